"""Emission: a lowered derivation laid out as the text of a module, and that text imported."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.abc
import importlib.util
import linecache
import os
import sys
import tempfile
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import jinja2

from symlow.cache import cache_folder
from symlow.codegen.backends import BACKENDS, TARGETS, check_size, chosen
from symlow.codegen.layout import code, in_docstring, indexed, packed, prose, together, unpacked, wrapped
from symlow.codegen.lowering import lower, number
from symlow.codegen.scans import scan
from symlow.codegen.statements import Statement, mentioned
from symlow.derivation import Derivation
from symlow.files import replace_whole
from symlow.printing.rules import rule_equations
from symlow.printing.text import gain_equations, network_equations
from symlow.spec import FORMAT
from symlow.version import MARK, __version__

MOST_KEPT = 200
"""How many modules are kept beside what Numba compiles of them: about half a megabyte each."""


def python_source(derivation: Derivation, backend: str) -> str:
    """Return the text of the generated module of a backend of Python.

    Raises:
        SpecError: for more visible overlaps than the backend takes.
    """
    compiled = BACKENDS[backend].compiled
    if compiled:
        check_size(backend, len(derivation.visible), "compiling would take minutes")
    return render(
        "module.py.jinja",
        backend,
        module=lower(derivation, kernels=compiled),
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
    """Return the generated module, imported; tracebacks and ``inspect`` show its source, ``BACKEND`` its backend.

    Raises:
        UnknownNameError: for a backend that does not exist.
        DependencyError: for one whose package is not installed.
        SpecError: for more visible overlaps than the backend takes, or one whose modules Python does not import.
    """
    backend = chosen(backend, len(derivation.visible))
    TARGETS[backend].check()
    name = f"symlow_generated_{derivation.spec.name}"
    text = python_source(derivation, backend)
    path = _kept_beside_compiled(name, text) if BACKENDS[backend].compiled else None
    if path is not None:
        name = path.stem  # what Numba keeps on disk refers to the module by its name
    loader = _TextLoader(text, str(path) if path else f"<{name} {backend} {derivation.spec.digest[:12]}>")
    module = importlib.util.module_from_spec(ModuleSpec(name, loader, origin=loader.filename))
    if path is not None:
        sys.modules[name] = module
    loader.exec_module(module)
    # Where no file holds this text, tracebacks and inspect find it here, as for classes made by dataclasses.
    linecache.cache[loader.filename] = (len(text), None, text.splitlines(keepends=True), loader.filename)
    return module


def _kept_beside_compiled(name: str, text: str) -> Path:
    """Return a file with the text, the same from one process to the next, beside which Numba keeps what it compiles.

    Where the user's folder cannot be written to it is a temporary one, and the next process compiles anew.
    """
    content = text.encode()
    file_name = f"{name}_{hashlib.sha256(content).hexdigest()[:16]}.py"
    kept = cache_folder()
    if kept is not None:
        path = kept / "numba" / file_name
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # Numba runs what it finds there
            if not path.is_file() or path.read_bytes() != content:
                _make_room(path.parent)
                replace_whole(path, content)
            _remove_damaged(path)
            if os.access(path.parent, os.W_OK):
                return path
    path = Path(_temporary().name) / file_name
    replace_whole(path, content)
    return path


def _remove_damaged(module: Path) -> None:
    """Remove what Numba keeps of a module where it is no whole pickle: Numba would stop at it, every time."""
    for path in (module.parent / "__pycache__").glob(f"{module.stem}.*.nb[ic]"):
        kept = path.read_bytes()
        if kept[:1] != b"\x80" or kept[-1:] != b".":
            path.unlink(missing_ok=True)


def _make_room(folder: Path) -> None:
    """Remove the oldest modules, with what Numba keeps of them, where there are as many as may be kept."""
    modules = sorted(folder.glob("*.py"), key=lambda path: path.stat().st_mtime)
    for module in modules[: max(0, len(modules) - MOST_KEPT + 1)]:
        for path in (module, *(folder / "__pycache__").glob(f"{module.stem}.*")):
            path.unlink(missing_ok=True)


@functools.cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="symlow_")


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
