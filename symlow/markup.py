"""Small tables in HTML for notebooks: text escaped, colours those of the page, so that light and dark ones show them.

table("caption", ("overlap", "value"), [("v_u", "0.8")])        a cell is text, or HTML that symlow itself wrote
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from symlow.colours import INVISIBLE_ON_ANY, VISIBLE_ON_ANY

MOST_ROWS = 60
"""The most rows of a table; the others are counted."""

# Notebooks align cells to the right; their backgrounds and the colours of their letters stay.
_LEFT = ' style="text-align:left;vertical-align:top"'
_CAPTION = ' style="text-align:left;font-weight:bold;caption-side:top"'


class Html(str):
    """Text that is HTML already, written by symlow from escaped parts."""

    __slots__ = ()


def escaped(text: object) -> Html:
    """Return text as HTML: HTML as it is, with anything else escaped, quotation marks too."""
    return text if isinstance(text, Html) else Html(html.escape(str(text)))


def element(tag: str, *content: object, attributes: str = "") -> Html:
    """Return an element with its content escaped; attributes are HTML."""
    return Html(f"<{tag}{attributes}>{''.join(map(escaped, content))}</{tag}>")


def code(text: object) -> Html:
    """Return text in the letters of programs."""
    return element("code", text)


def joined(parts: Iterable[object], between: object = "") -> Html:
    """Return parts one behind the other, escaped, with some text between."""
    return Html(escaped(between).join(map(escaped, parts)))


def marked(colour: str, text: object) -> Html:
    """Return text behind a square in a colour: letters stay in the page's own, to be read on any background."""
    square = element("span", "\u25a0", attributes=f' style="color:{html.escape(colour)}" aria-hidden="true"')
    return joined((square, text), " ")


def table(caption: object, columns: Sequence[object], rows: Sequence[Sequence[object]]) -> Html:
    """Return a table; the first cell of each row is its heading.

    Args:
        caption: what the table shows.
        columns: their headings.
        rows: cells, as many as columns; beyond ``MOST_ROWS`` rows are counted and not shown.
    """
    head = joined(element("th", column, attributes=f' scope="col"{_LEFT}') for column in columns)
    body = [_row(row) for row in rows[:MOST_ROWS]]
    if len(rows) > MOST_ROWS:
        more = f"and {len(rows) - MOST_ROWS} more"
        body.append(element("tr", element("td", more, attributes=f' colspan="{len(columns)}"{_LEFT}')))
    return element(
        "table",
        element("caption", caption, attributes=_CAPTION),
        element("thead", element("tr", head)),
        element("tbody", joined(body)),
    )


def _row(row: Sequence[object]) -> Html:
    first, *others = row
    cells = (element("td", cell, attributes=_LEFT) for cell in others)
    return element("tr", element("th", first, attributes=f' scope="row"{_LEFT}'), joined(cells))


def overlap(name: str) -> Html:
    """Return an overlap in mathematical letters: v1_u2 as a sigma with v1u2 below, m_m as the square of a norm."""
    left, _, right = name.partition("_")
    if left == right:
        return joined(("\u2016", _letters(left), "\u2016", element("sup", "2")))
    between = "" if len(left.rstrip("0123456789")) == len(right.rstrip("0123456789")) == 1 else "\u00b7"
    return joined(("\u03c3", element("sub", _letters(left), between, _letters(right))))


def _letters(label: str) -> Html:
    """Return a column of a vector: u2 is an italic u with a small 2 below."""
    letters = label.rstrip("0123456789")
    number = label[len(letters) :].translate(str.maketrans("0123456789", "".join(map(chr, range(0x2080, 0x208A)))))
    return joined((element("i", letters), number))


def kind(visible: bool) -> Html:
    """Return whether an overlap is loss-visible, with the colour of its kind."""
    return marked(VISIBLE_ON_ANY, "loss-visible") if visible else marked(INVISIBLE_ON_ANY, "loss-invisible")


def number(value: float, digits: int = 4) -> str:
    """Return a number in as many digits as are read."""
    return f"{value:.{digits}g}"
