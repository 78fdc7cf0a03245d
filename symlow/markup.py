"""Elements of HTML, ``<name attribute="value">content</name>``, all text in them escaped, and small tables of them.

    table("caption", ("overlap", "value"), [("v_u", "0.8")])        a cell is text, or markup that symlow itself wrote

Colours are those of the page, so that light and dark notebooks show them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from markupsafe import Markup, escape

from symlow.colours import INVISIBLE_ON_ANY, VISIBLE_ON_ANY
from symlow.formulas import BELOW, Run, runs

MOST_ROWS = 60
"""The most rows of a table; the others are counted."""

SMALL_DIGITS = {str(digit): chr(0x2080 + digit) for digit in range(10)}
"""Digits below the line."""

# Notebooks align cells to the right; their backgrounds and the colours of their letters stay.
_LEFT = "text-align:left;vertical-align:top"
_CAPTION = "text-align:left;font-weight:bold;caption-side:top"


def element(name: str, *content: object, **attributes: object) -> Markup:
    """Return an element with its content; what is not markup yet is escaped.

    Args:
        name: its tag.
        content: what stands in it.
        attributes: by name, an underscore for a hyphen, and one at the end of a Python keyword left out; None is left
            out too. The camel case of SVG stays.
    """
    # Names are the program's own; everything else is escaped here, and nothing is escaped twice.
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{given}>{''.join(map(escape, content))}</{name}>")


def code(text: object) -> Markup:
    """Return text in the letters of programs."""
    return element("code", text)


def joined(parts: Iterable[object], between: object = "") -> Markup:
    """Return parts one behind the other, with some text between; what is not markup yet is escaped."""
    return escape(between).join(map(escape, parts))


def marked(colour: str, text: object) -> Markup:
    """Return text behind a square in a colour: letters stay in the page's own, to be read on any background."""
    square = element("span", "\u25a0", style=f"color:{colour}", aria_hidden="true")
    return joined((square, text), " ")


def table(caption: object, columns: Sequence[object], rows: Sequence[Sequence[object]]) -> Markup:
    """Return a table; the first cell of each row is its heading.

    Args:
        caption: what the table shows.
        columns: their headings.
        rows: cells, as many as columns; beyond ``MOST_ROWS`` rows are counted and not shown.
    """
    head = joined(element("th", column, scope="col", style=_LEFT) for column in columns)
    body = [_row(row) for row in rows[:MOST_ROWS]]
    if len(rows) > MOST_ROWS:
        more = f"and {len(rows) - MOST_ROWS} more"
        body.append(element("tr", element("td", more, colspan=len(columns), style=_LEFT)))
    return element(
        "table",
        element("caption", caption, style=_CAPTION),
        element("thead", element("tr", head)),
        element("tbody", joined(body)),
    )


def _row(row: Sequence[object]) -> Markup:
    first, *others = row
    cells = (element("td", cell, style=_LEFT) for cell in others)
    return element("tr", element("th", first, scope="row", style=_LEFT), joined(cells))


def formula(code: str) -> Markup:
    r"""Return a short formula, such as ``\sigma_{v_1u_2}``: letters in italics, indices below and exponents above."""
    return _on_level(runs(code), 0)


def _on_level(found: list[Run], depth: int) -> Markup:
    """Return runs as they stand at one level of indices."""
    parts: list[object] = []
    for script, group in groupby(found, key=lambda run: run.script[depth : depth + 1]):
        inside = list(group)
        if not script:
            parts += [element("i", run.text) if run.italic else run.text for run in inside]
        elif script == BELOW and all(run.script[depth:] == BELOW and run.text in SMALL_DIGITS for run in inside):
            # Digits that are small of themselves, for each level of indices makes the lines of a table higher.
            parts += [SMALL_DIGITS[run.text] for run in inside]
        else:
            parts.append(element("sub" if script == BELOW else "sup", _on_level(inside, depth + 1)))
    return joined(parts)


def kind(visible: bool) -> Markup:
    """Return whether an overlap is loss-visible, with the colour of its kind."""
    return marked(VISIBLE_ON_ANY, "loss-visible") if visible else marked(INVISIBLE_ON_ANY, "loss-invisible")


def number(value: float, digits: int = 4) -> str:
    """Return a number in as many digits as are read."""
    return f"{value:.{digits}g}"
