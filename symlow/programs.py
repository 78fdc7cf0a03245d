"""The programs on which the last digits of a result depend: versions, and settings that are as good as one.

    equal inputs and equal programs  =>  equal results, to the bit, on machines of one kind

What was begun is continued only by the same programs.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType

from symlow.codegen.backends import BACKENDS
from symlow.version import __version__

PROGRAMS = ("numpy", "scipy", "sympy")
"""The programs that all results depend on, besides symlow."""

COMPILERS: Mapping[str, tuple[str, ...]] = MappingProxyType({"numba": ("numba", "llvmlite"), "jax": ("jax", "jaxlib")})
"""Those of backends that need some of their own."""


def versions(backend: str, *more: str) -> Mapping[str, str]:
    """Return the versions of the programs on which a result depends, by name, and the precision of JAX if it is one.

    Args:
        backend: of the generated module.
        more: further programs, such as one that writes the result.

    Raises:
        DependencyError: if what the backend needs is not installed.
    """
    BACKENDS[backend].check()
    programs = (*PROGRAMS, *more, *COMPILERS.get(backend, ()))
    found = {"symlow": __version__, **{program: _version(program) for program in programs}}
    if backend == "jax":
        # A setting of the process, which can change from one call to the next.
        found["jax_enable_x64"] = str(bool(importlib.import_module("jax").config.jax_enable_x64))
    return MappingProxyType(found)


_version = functools.cache(version)
