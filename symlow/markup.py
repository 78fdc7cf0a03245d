"""Elements of HTML, ``<name attribute="value">content</name>``, all text in them escaped, and small tables of them.

    table("caption", ("overlap", "value"), [("v_u", "0.8")])        a cell is text, or markup that symlow itself wrote

Colours are those of the page, so that light and dark notebooks show them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from symlow.colours import INVISIBLE_ON_ANY, VISIBLE_ON_ANY

MOST_ROWS = 60
"""The most rows of a table; the others are counted."""

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


def overlap(name: str) -> Markup:
    """Return an overlap in mathematical letters: v1_u2 as a sigma with v1u2 below, m_m as the square of a norm."""
    left, _, right = name.partition("_")
    if left == right:
        return joined(("\u2016", _letters(left), "\u2016", element("sup", "2")))
    between = "" if len(left.rstrip("0123456789")) == len(right.rstrip("0123456789")) == 1 else "\u00b7"
    return joined(("\u03c3", element("sub", _letters(left), between, _letters(right))))


def _letters(label: str) -> Markup:
    """Return a column of a vector: u2 is an italic u with a small 2 below."""
    letters = label.rstrip("0123456789")
    number = label[len(letters) :].translate(str.maketrans("0123456789", "".join(map(chr, range(0x2080, 0x208A)))))
    return joined((element("i", letters), number))


def kind(visible: bool) -> Markup:
    """Return whether an overlap is loss-visible, with the colour of its kind."""
    return marked(VISIBLE_ON_ANY, "loss-visible") if visible else marked(INVISIBLE_ON_ANY, "loss-invisible")


def number(value: float, digits: int = 4) -> str:
    """Return a number in as many digits as are read."""
    return f"{value:.{digits}g}"
