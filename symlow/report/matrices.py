"""Pictures of matrices: the Gram matrix Sigma by what the loss sees of it, the metric G by what its entries hold.

    dsigma/dt = -G(sigma) grad L

Entry (i, e) of G multiplies dL/dsigma_e in the equation of overlap i, and is linear in the overlaps. Colours say which
overlaps it holds: in a linear network the rows of visible overlaps hold invisible ones only, and the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup

from symlow.derivation import Derivation
from symlow.metric_contents import Content, is_constant, metric_contents, moving_rows
from symlow.printing.notation import Notation
from symlow.report.labels import SIZE, label, width
from symlow.report.markup import element, joined

WIDEST, LARGEST, SMALLEST = 620.0, 44.0, 15.0
"""Width of a matrix that fills a page, and the largest and smallest cells, in the unit of pictures.

Of more columns than fill a page with the smallest the picture is wider, for a name beside each is to be read.
"""

READABLE = 34.0
"""The smallest cell that an overlap can be written in."""

SMALLEST_FONT = 11.0
"""The smallest font size of names, in the same unit."""

BETWEEN = 4.0
"""The least room between names of columns that stand upright; where there is less they are turned."""

APART = 8.0
"""The room about the line between rows."""

VISIBLE, INVISIBLE = Content.VISIBLE.value, Content.INVISIBLE.value
BOTH, CONSTANT = Content.BOTH.value, Content.CONSTANT.value
"""What a cell holds; the names are those of its class."""


@dataclass(frozen=True)
class Picture:
    """A picture and what it shows.

    Attributes:
        svg: the picture.
        caption: what is seen, as HTML.
    """

    svg: Markup
    caption: Markup


@dataclass(frozen=True)
class Grid:
    """A matrix of coloured cells with labels at its left and top.

    Attributes:
        name: unique on the page, for the identifiers of its elements.
        title: what it is, in a few words.
        description: what is seen, for those who do not see it.
        rows: labels of the rows, LaTeX.
        columns: labels of the columns, LaTeX.
        cells: by position, the kind of a cell, what is written in it as LaTeX, and its name for a pointer that rests.
        split: the number of rows above a line through the matrix; 0 for none.
    """

    name: str
    title: str
    description: str
    rows: Sequence[str]
    columns: Sequence[str]
    cells: dict[tuple[int, int], tuple[str, str, str]]
    split: int = 0

    @cached_property
    def cell(self) -> float:
        """The size of a cell."""
        return max(SMALLEST, min(LARGEST, (WIDEST - self.left) / len(self.columns)))

    @cached_property
    def left(self) -> float:
        """The width of the labels of rows."""
        return max(width(code) for code in self.rows) + 14

    @cached_property
    def font(self) -> float:
        """The font size of labels, smaller where cells are."""
        return max(SMALLEST_FONT, min(SIZE, self.cell * 0.72))

    def svg(self) -> Markup:
        """Return the picture."""
        widest = max(width(code, self.font) for code in self.columns)
        turned = widest + BETWEEN > self.cell
        top = widest + 12 if turned else 26.0
        wide, high = self.left + len(self.columns) * self.cell + 2, top + self._down(len(self.rows)) + 2
        parts = [
            element("title", self.title, id=f"{self.name}-title"),
            element("desc", self.description, id=f"{self.name}-description"),
        ]
        lower = self.font * 0.3
        for k, code in enumerate(self.columns):
            x, y = self.left + (k + 0.5) * self.cell, top - 8
            if turned:
                place = f"translate({x + lower:.1f} {y + 4:.1f}) rotate(-90)"
                parts.append(self._label(code, transform=place))
            else:
                parts.append(self._label(code, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor="middle"))
        for k, code in enumerate(self.rows):
            base = f"{top + self._down(k) + 0.5 * self.cell + lower:.1f}"
            parts.append(self._label(code, x=f"{self.left - 8:.1f}", y=base, text_anchor="end"))
        parts += [self._cell(place, top, *content) for place, content in self.cells.items()]
        if 0 < self.split < len(self.rows):
            level = f"{top + self._down(self.split) - APART / 2:.1f}"
            parts.append(element("line", x1=0, y1=level, x2=f"{wide:.1f}", y2=level, class_="split"))
        return element(
            "svg",
            *parts,
            class_="matrix",
            role="img",
            aria_labelledby=f"{self.name}-title {self.name}-description",
            viewBox=f"0 0 {wide:.0f} {high:.0f}",
            width=f"{wide:.0f}",
            height=f"{high:.0f}",
        )

    def _down(self, row: int) -> float:
        """Return how far below the first row another begins."""
        return row * self.cell + (APART if 0 < self.split < len(self.rows) and self.split <= row else 0.0)

    def _label(self, code: str, **attributes: str) -> Markup:
        return element("text", label(code, self.font), **attributes, font_size=f"{self.font:.1f}")

    def _cell(self, place: tuple[int, int], top: float, kind: str, code: str, name: str) -> Markup:
        row, column = place
        gap = 1
        x, y, size = self.left + column * self.cell + gap, top + self._down(row) + gap, self.cell - 2 * gap
        style = f"cell {VISIBLE if kind == BOTH else kind}"
        square = element("rect", x=f"{x:.1f}", y=f"{y:.1f}", width=f"{size:.1f}", height=f"{size:.1f}", class_=style)
        parts = [element("title", name), square]
        if kind == BOTH:  # half and half
            corner = f"M{x:.1f} {y + size:.1f}h{size:.1f}v{-size:.1f}z"
            parts.append(element("path", d=corner, class_=f"cell {INVISIBLE}"))
        if self.cell >= READABLE and code and width(code) < size - 2:
            middle, base = f"{x + size / 2:.1f}", f"{y + size / 2 + 4:.1f}"
            parts.append(
                element(
                    "text",
                    label(code),
                    x=middle,
                    y=base,
                    text_anchor="middle",
                    class_=f"on-{kind}",
                    font_size=f"{SIZE:g}",
                )
            )
        return element("g", *parts)


def gram_picture(derivation: Derivation, notation: Notation) -> Picture:
    """Return the Gram matrix, a cell for each overlap, coloured by what the loss sees of it."""
    index = derivation.reduction.index
    codes = [notation.column(column) for column in index.columns]
    visible = set(derivation.visible)
    constant = {overlap.name for overlap in derivation.ordered if is_constant(derivation, overlap)}
    cells = {}
    for overlap in derivation.ordered:
        kind = VISIBLE if overlap.name in visible else CONSTANT if overlap.name in constant else INVISIBLE
        said = kind if kind == CONSTANT else f"loss-{kind}"
        content = kind, str(notation.doprint(overlap.symbol)), f"{overlap.name}: {said}"
        cells[overlap.row, overlap.column] = cells[overlap.column, overlap.row] = content
    title = f"Gram matrix of the {len(codes)} columns of P"
    known = f"Loss-visible overlaps: {', '.join(derivation.visible)}."
    grid = Grid("gram", title, known, codes, codes, dict(sorted(cells.items())))
    several = len(derivation.network.equations.populations) > 1
    caption = joined(
        [
            "The Gram matrix of the columns of ",
            element("i", "P"),
            ". The loss depends on the ",
            element("span", "loss-visible", class_="mark visible"),
            " overlaps alone; the ",
            element("span", "loss-invisible", class_="mark invisible"),
            " ones only steer learning.",
            " Grey entries are constant." if constant else "",
            " Columns of different populations have no overlap." if several else "",
        ]
    )
    return Picture(grid.svg(), caption)


def metric_picture(derivation: Derivation, notation: Notation) -> Picture:
    """Return the matrix G, a cell for each entry, coloured by the overlaps that it holds."""
    ordered, n_visible = derivation.ordered, len(derivation.visible)
    rows = moving_rows(derivation)
    place = {row: k for k, row in enumerate(rows)}
    cells: dict[tuple[int, int], tuple[str, str, str]] = {}
    found: dict[bool, list[str]] = {True: [], False: []}
    for (row, column), kind in metric_contents(derivation).items():
        if row in place:
            written = str(derivation.metric[row, column]).replace("sigma_", "")
            cells[place[row], column] = kind.value, "", f"{ordered[row].name}, {ordered[column].name}: {written}"
            found[row < n_visible].append(kind.value)
    above = sum(row < n_visible for row in rows)
    description = " ".join(_in_words(found[side], side) for side in (True, False))
    grid = Grid(
        "metric",
        f"Structure of the matrix G, {len(rows)} by {n_visible}",
        description,
        [str(notation.doprint(ordered[row].symbol)) for row in rows],
        [str(notation.doprint(overlap.symbol)) for overlap in ordered[:n_visible]],
        cells,
        above,
    )
    caption = joined(
        [
            "The matrix ",
            element("i", "G"),
            ": how the loss gradient by each visible overlap (columns) moves each overlap (rows; visible ones above "
            "the line). A cell is coloured by the overlaps that its entry holds, ",
            element("span", "loss-visible", class_="mark visible"),
            " or ",
            element("span", "loss-invisible", class_="mark invisible"),
            "; two colours stand for both, grey for numbers, an empty place for zero. "
            if any(content[0] == CONSTANT for content in cells.values())
            else "; two colours stand for both, an empty place for zero. ",
            description,
        ]
    )
    return Picture(grid.svg(), caption)


def _in_words(kinds: Sequence[str], visible: bool) -> str:
    """Return what the rows of visible or of invisible overlaps hold, as a sentence."""
    side = f"rows of loss-{VISIBLE if visible else INVISIBLE} overlaps"
    held = {VISIBLE, INVISIBLE} if BOTH in kinds else {kind for kind in kinds if kind in (VISIBLE, INVISIBLE)}
    if not held:
        return f"The {side} are zero." if not kinds else f"The {side} hold numbers only."
    if len(held) == 2:
        return f"The {side} hold overlaps of both kinds."
    return f"The {side} hold loss-{min(held)} overlaps only."
