"""Emission: a lowered derivation laid out as the text of a module, and that text imported."""

from __future__ import annotations

import functools
import importlib.abc
import importlib.util
import linecache
from importlib.machinery import ModuleSpec
from types import ModuleType

import jinja2

from symlow.codegen.backends import BACKENDS
from symlow.codegen.layout import code, in_docstring, indexed, packed, prose, together, unpacked, wrapped
from symlow.codegen.lowering import lower, number
from symlow.codegen.scans import scan
from symlow.codegen.statements import Statement, mentioned
from symlow.derivation import Derivation
from symlow.errors import check_name
from symlow.printing.rules import rule_equations
from symlow.printing.text import gain_equations, network_equations
from symlow.spec import FORMAT
from symlow.version import MARK, __version__


def source(derivation: Derivation, backend: str = "numpy") -> str:
    """Return the text of the generated module.

    Raises:
        UnknownNameError: for a backend that does not exist.
    """
    check_name(backend, BACKENDS, "backend")
    return render(
        "module.py.jinja",
        backend,
        module=lower(derivation),
        network_equations=network_equations(derivation.network),
        gain_equations=gain_equations(derivation),
        rule_equations=rule_equations(derivation.rule, derivation.network.equations.averages),
        version=__version__,
        format=FORMAT,
        mark=MARK,
    )


def render(template: str, backend: str = "numpy", **values: object) -> str:
    """Return a template of this package, filled in for a backend."""
    chosen = BACKENDS[backend]
    values |= {"backend": backend, "host": chosen.constants, "requires": chosen.requires}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("symlow.codegen"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"wrapped": wrapped, "docstring": in_docstring, "prose": prose}
    environment.filters |= {
        "number": number,
        "unpacked": unpacked,
        "together": together,
        "indexed": indexed,
        "packed": packed,
    }
    environment.filters["code"] = functools.partial(code, functional=chosen.functional)
    environment.globals |= {"assigned": Statement.to, "scan": scan}
    environment.tests["mentioned"] = mentioned
    return environment.get_template(template).render(**values)


def compile_module(derivation: Derivation, backend: str = "numpy") -> ModuleType:
    """Return the generated module, imported; tracebacks and ``inspect`` show its source.

    Raises:
        UnknownNameError: for a backend that does not exist.
        DependencyError: for one whose package is not installed.
    """
    check_name(backend, BACKENDS, "backend")
    BACKENDS[backend].check()
    name = f"symlow_generated_{derivation.spec.name}"
    text = source(derivation, backend)
    loader = _TextLoader(text, f"<{name} {backend} {derivation.spec.digest[:12]}>")
    module = importlib.util.module_from_spec(ModuleSpec(name, loader, origin=loader.filename))
    loader.exec_module(module)
    # No file holds this text: tracebacks and inspect find it here, as they do for classes made by dataclasses.
    linecache.cache[loader.filename] = (len(text), None, text.splitlines(keepends=True), loader.filename)
    return module


class _TextLoader(importlib.abc.ExecutionLoader):
    """Import a module from its text."""

    def __init__(self, text: str, filename: str) -> None:
        self.text = text
        self.filename = filename

    def get_source(self, fullname: str) -> str:
        return self.text

    def get_filename(self, fullname: str) -> str:
        return self.filename

    def is_package(self, fullname: str) -> bool:
        return False
