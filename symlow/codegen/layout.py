"""Layout of generated code: statements, names and text in lines of bounded width."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from symlow.codegen.statements import Statement, mentioned

WIDTH = 120
"""The widest line of generated code."""


def in_docstring(text: str) -> str:
    """Return a user's text so that it can neither end the docstring that it stands in nor be read as an escape."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def code(line: Statement | str, indent: int, functional: bool = False) -> str:
    """Return a statement, or an expression that is returned, in lines of bounded width, broken before signs.

    Args:
        line: a statement, or the code of an expression.
        indent: number of spaces in front of it.
        functional: whether arrays never change, so that assignments to parts of them make new ones.
    """
    if isinstance(line, str):
        head, value, end = "return ", line, ""
    else:
        (head, end), value = line.functional if functional else line.in_place, line.value
    if indent + len(head + value + end) <= WIDTH:
        return f"{head}{value}{end}"
    inner = "\n".join(_broken(value, indent + 4))
    opening = "" if end else "("
    return f"{head}{opening}\n{inner}\n{' ' * indent})"


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


def indexed(name: str, index: str) -> str:
    """Return the code of a part of an array."""
    return f"{name}[{index}]"


def unpacked(names: Iterable[str], lines: Iterable[str]) -> str:
    """Return names as the target of an assignment, ``_`` for those that no line mentions."""
    lines = tuple(lines)
    return together([name if mentioned(name, lines) else "_" for name in names])


def packed(names: Iterable[str], indent: int = 4) -> str:
    """Return names as a tuple in brackets, in several lines if it is long."""
    text = together(names, indent)
    return text if text.startswith("(\n") else f"({text})"


def together(names: Iterable[str], indent: int = 4) -> str:
    """Return names as a tuple in a function, in brackets and several lines if it is long."""
    names = tuple(names)
    text = f"{names[0]}," if len(names) == 1 else ", ".join(names)
    return text if len(text) < WIDTH - 50 else f"(\n{_filled(text.removesuffix(','), indent + 4)},\n{' ' * indent})"


def _filled(text: str, indent: int) -> str:
    margin = " " * indent
    return textwrap.fill(text, WIDTH, initial_indent=margin, subsequent_indent=margin, break_long_words=False)


def prose(line: str, indent: int) -> str:
    """Return a line of text in lines of bounded width, those after the first indented."""
    return textwrap.fill(line, WIDTH - 4, subsequent_indent=" " * indent, break_long_words=False)


def wrapped(items: Iterable[object], indent: int = 4, width: int = 116) -> str:
    """Join items with commas in lines of bounded width."""
    text = ", ".join(repr(item) if isinstance(item, str) else str(item) for item in items)
    text = text.replace("'", '"')
    margin = " " * indent
    return textwrap.fill(text, width, initial_indent=margin, subsequent_indent=margin, break_long_words=False)
