"""Emission: a lowered derivation laid out as the text of a module, and that text imported."""

from __future__ import annotations

import importlib.abc
import importlib.util
import linecache
import re
import textwrap
from collections.abc import Iterable
from importlib.machinery import ModuleSpec
from types import ModuleType

import jinja2

from symlow.codegen.lowering import lower, number
from symlow.codegen.trials import mentioned
from symlow.derivation import Derivation
from symlow.errors import check_name
from symlow.printing.rules import rule_equations
from symlow.printing.text import gain_equations, network_equations
from symlow.spec import FORMAT
from symlow.version import MARK, __version__

BACKENDS = ("numpy",)
WIDTH = 120
"""The widest line of generated code."""


def source(derivation: Derivation, backend: str = "numpy") -> str:
    """Return the text of the generated module.

    Raises:
        UnknownNameError: for a backend that does not exist.
    """
    check_name(backend, BACKENDS, "backend")
    return render(
        f"{backend}.py.jinja",
        module=lower(derivation),
        network_equations=network_equations(derivation.network),
        gain_equations=gain_equations(derivation),
        rule_equations=rule_equations(derivation.rule, derivation.network.equations.averages),
        version=__version__,
        format=FORMAT,
        mark=MARK,
    )


def render(template: str, **values: object) -> str:
    """Return a template of this package, filled in."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("symlow.codegen"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"wrapped": _wrapped, "docstring": _in_docstring, "code": _code, "prose": _prose}
    environment.filters |= {"number": number, "unpacked": _unpacked, "together": _together}
    environment.tests["mentioned"] = mentioned
    return environment.get_template(template).render(**values)


def compile_module(derivation: Derivation, backend: str = "numpy") -> ModuleType:
    """Return the generated module, imported; tracebacks and ``inspect`` show its source.

    Raises:
        UnknownNameError: for a backend that does not exist.
    """
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


def _in_docstring(text: str) -> str:
    """Return a user's text so that it can neither end the docstring that it stands in nor be read as an escape."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _code(line: str, indent: int) -> str:
    """Return a statement in lines of bounded width, broken before the signs of its right-hand side."""
    if indent + len(line) <= WIDTH:
        return line
    match = re.match(r"return |.*? \+?= ", line)
    head = match.group() if match else ""
    inner = "\n".join(_broken(line[len(head) :], indent + 4))
    return f"{head}(\n{inner}\n{' ' * indent})"


def _broken(code: str, indent: int) -> list[str]:
    """Return an expression in lines of bounded width: one for each summand, and brackets opened where that is wide."""
    lines = []
    for term in _summands(code):
        text = " " * indent + term
        opening = [position for position, character in enumerate(text) if character == "("]
        groups = [(start, _closing(text, start)) for start in opening]
        groups = [(start, end) for start, end in groups if len(_summands(text[start + 1 : end])) > 1]
        if len(text) <= WIDTH or not groups:
            lines.append(text)
        else:
            start, end = groups[0]
            lines += [text[: start + 1], *_broken(text[start + 1 : end], indent + 4), " " * indent + text[end:]]
    return lines


def _closing(text: str, start: int) -> int:
    """Return where the bracket that opens at ``start`` closes."""
    depth = 0
    for position in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return position
    raise ValueError(f"unbalanced brackets in {text!r}")


def _summands(code: str) -> list[str]:
    """Split code before the signs that stand in no brackets; summands after the first keep theirs."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(code):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(character, 0)
        if depth == 0 and code.startswith((" + ", " - "), position):
            parts.append(code[start:position])
            start = position + 1
    return [*parts, code[start:]]


def _unpacked(names: Iterable[str], lines: Iterable[str]) -> str:
    """Return names as the target of an assignment, ``_`` for those that no line mentions."""
    lines = tuple(lines)
    return _together([name if mentioned(name, lines) else "_" for name in names])


def _together(names: Iterable[str]) -> str:
    """Return names as a tuple in a function, in brackets and several lines if it is long."""
    names = tuple(names)
    text = f"{names[0]}," if len(names) == 1 else ", ".join(names)
    return text if len(text) < WIDTH - 50 else f"(\n{_filled(text, 8)},\n    )"


def _filled(text: str, indent: int) -> str:
    margin = " " * indent
    return textwrap.fill(text, WIDTH, initial_indent=margin, subsequent_indent=margin, break_long_words=False)


def _prose(line: str, indent: int) -> str:
    """Return a line of text in lines of bounded width, those after the first indented."""
    return textwrap.fill(line, WIDTH - 4, subsequent_indent=" " * indent, break_long_words=False)


def _wrapped(items: Iterable[object], indent: int = 4, width: int = 116) -> str:
    """Join items with commas in lines of bounded width."""
    text = ", ".join(repr(item) if isinstance(item, str) else str(item) for item in items)
    text = text.replace("'", '"')
    margin = " " * indent
    return textwrap.fill(text, width, initial_indent=margin, subsequent_indent=margin, break_long_words=False)
