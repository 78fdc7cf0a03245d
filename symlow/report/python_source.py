"""A generated module as HTML: its functions with their docstrings, and its text with words of the language coloured."""

from __future__ import annotations

import ast
import inspect
import io
import keyword
import re
import tokenize
from dataclasses import dataclass

from markupsafe import Markup

from symlow.report.markup import element, joined

STRINGS = (tokenize.STRING, getattr(tokenize, "FSTRING_START", -1), getattr(tokenize, "FSTRING_MIDDLE", -1))

ITEM = re.compile(r"^    (\w+(?:, \w+)*): ", re.MULTILINE)
"""Where an argument begins in a docstring."""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of a docstring.

    Attributes:
        text: its text, or the line above its items.
        arguments: names with what they mean, where it lists arguments.
    """

    text: str
    arguments: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Function:
    """A function of a module.

    Attributes:
        name: its name.
        signature: its parameters, with brackets.
        summary: the first sentence of its docstring, or as far as its first line goes.
        details: the rest of its docstring.
    """

    name: str
    signature: str
    summary: str
    details: tuple[Paragraph, ...]


def public_functions(source: str) -> tuple[Function, ...]:
    """Return the functions of a module that have no underscore before their names, in their order."""
    tree = ast.parse(source)
    return tuple(
        _function(node) for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    )


def _function(node: ast.FunctionDef) -> Function:
    summary, _, details = (ast.get_docstring(node) or "").partition("\n")
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(details))
    return Function(
        node.name,
        f"({ast.unparse(node.args)})",
        summary,
        tuple(_paragraph(text) for text in paragraphs if text.strip()),
    )


def _paragraph(text: str) -> Paragraph:
    """Return a paragraph without its line breaks, its indented lines as items."""
    head, *items = ITEM.split(text)
    names, meanings = items[::2], items[1::2]
    return Paragraph(
        " ".join(head.split()),
        tuple((name, " ".join(meaning.split())) for name, meaning in zip(names, meanings, strict=True)),
    )


def coloured(source: str) -> Markup:
    """Return the text of a module with its comments, strings, keywords and numbers in elements; its text is the same.

    Raises:
        SyntaxError: if it is not Python.
    """
    # Lines end where they do for tokenize: str.splitlines would end them at U+2028 and its like too.
    lines = io.StringIO(source).readlines()
    pieces: list[str] = []
    row, column = 1, 0

    def skip(to: tuple[int, int]) -> str:
        """Return the text between the last token and a place."""
        nonlocal row, column
        text = ""
        while row < to[0]:
            text += lines[row - 1][column:]
            row, column = row + 1, 0
        if row <= len(lines):
            text += lines[row - 1][column : to[1]]
        column = to[1]
        return text

    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        pieces.append(skip(token.start))
        text = skip(token.end)
        style = _style(token)
        pieces.append(element("span", text, class_=style) if style and text else text)
    return joined(pieces)


def _style(token: tokenize.TokenInfo) -> str | None:
    if token.type == tokenize.COMMENT:
        return "comment"
    if token.type in STRINGS:
        return "string"
    if token.type == tokenize.NUMBER:
        return "number-literal"
    if token.type == tokenize.NAME and keyword.iskeyword(token.string):
        return "keyword"
    return None
