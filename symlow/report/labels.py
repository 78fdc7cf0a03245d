r"""Short formulas as text in SVG: ``\sigma_{v_1u}`` becomes tspans, letters in italics and indices below the line.

SVG knows no MathML but as foreign content, which few programs draw; labels of pictures are text.
"""

from __future__ import annotations

from markupsafe import Markup

from symlow.formulas import runs
from symlow.report.markup import element, joined

SIZE = 13.0
"""Font size of labels unless another is given, in the unit of pictures."""

WIDE, NARROW = 0.62, 0.4
"""Widths of a letter and of a sign such as a bar, relative to the font size."""


def width(code: str, size: float = SIZE) -> float:
    """Return about how wide a label is, in the unit of pictures."""
    return size * sum(run.scale * sum(WIDE if c.isalnum() else NARROW for c in run.text) for run in runs(code))


def label(code: str, size: float = SIZE) -> Markup:
    """Return a formula as the content of a ``text`` element of that font size."""
    pieces: list[Markup] = []
    height = 0.0
    for run in runs(code):
        style = "letter" if run.italic else None
        small = f"{size * run.scale:.1f}" if run.depth else None
        moved = f"{size * (run.shift - height):.1f}" if run.shift != height else None
        pieces.append(element("tspan", run.text, class_=style, font_size=small, dy=moved))
        height = run.shift
    return joined(pieces)
