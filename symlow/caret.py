"""Errors in what users type on one line: the message, the text, and a caret under the place."""

from __future__ import annotations

import unicodedata

from symlow.errors import SpecError


def error_at(text: str, column: int, message: str) -> SpecError:
    """Return the error with the text around ``column`` below it and a caret under that column."""
    start, stop = max(0, column - 60), column + 40
    before = "..." * (start > 0) + "".join(map(shown, text[start:column]))
    after = "".join(map(shown, text[column:stop])) + "..." * (stop < len(text))
    return SpecError(f"{message}\n    {before}{after}\n    {' ' * len(before)}^")


def shown(character: str) -> str:
    """Return the character as it is if it takes one column, else its escape."""
    wide = unicodedata.combining(character) or unicodedata.east_asian_width(character) in "WF"
    return character if character.isprintable() and not wide else character.encode("unicode_escape").decode()
