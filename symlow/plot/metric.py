r"""The metric's block structure: which overlaps stand in each entry of G, \dot\sigma = -G(\sigma)\nabla L.

Two blocks (:mod:`symlow.metric_contents`): visible x visible, how gradients move what the loss depends on, and
invisible x visible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import sympy

from symlow.arrays import FloatArray
from symlow.colours import BOTH, INVISIBLE, INVISIBLE_SHADES, VISIBLE, VISIBLE_SHADES
from symlow.derivation import Derivation
from symlow.metric_contents import Content, metric_contents, moving_rows
from symlow.plot.figures import new_figure
from symlow.plot.labels import mathtext
from symlow.plot.style import styled
from symlow.printing.notation import Notation
from symlow.realise import check_state

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_WRITTEN = 8
"""The most columns of which the entries are written out."""

MOST_ROWS = 45
"""The most overlaps whose names are written at the rows."""

NARROW = 0.62
"""The width of a column, in inches, below which its name is turned."""

WORDS = {
    Content.VISIBLE: "visible overlaps",
    Content.INVISIBLE: "invisible overlaps",
    Content.BOTH: "overlaps of both kinds",
    Content.CONSTANT: "numbers",
}
COLOURS = (VISIBLE, INVISIBLE, BOTH, "#C9C9C9")
TINTS = ("#CFE4F2", "#F9DFCB", "#DCDCDC", "#F1F1F1")
"""Lighter, behind letters; both in the order of ``WORDS``."""
DARK = {Content.VISIBLE: VISIBLE_SHADES[0], Content.INVISIBLE: INVISIBLE_SHADES[0]}
"""Of letters on these."""


@styled
def plot_metric(derivation: Derivation, sigma: FloatArray | None = None) -> Figure:
    """Return a figure of the metric: what each entry contains, and with overlaps given its values beside it.

    Args:
        derivation: what has the metric. Velocities and norms of ones, which stand still in the flow, are left out.
        sigma: overlaps at which to evaluate it, shape (n_overlaps,).

    Raises:
        ArrayError, GramMatrixError: as :func:`symlow.realise.check_state`.
        DependencyError: if matplotlib is not installed.
    """
    rows, notation = moving_rows(derivation), Notation(derivation.reduction.index)
    columns = len(derivation.visible)
    values = None if sigma is None else metric_values(derivation, check_state(sigma, derivation))[rows]
    written = columns <= MOST_WRITTEN
    width = (1.45 if written else max(0.34, 4.0 / columns)) * columns
    height = min(max(0.42 * len(rows), 3.0), 14.0)
    # With what stands around the squares: names of rows, of blocks and of columns.
    figure = new_figure(width + 2.4 + (0 if values is None else 0.62 * width + 2.6), height + 1.7)
    ratios = (1.0,) if values is None else (1.0, 0.62)
    panels = figure.subplots(1, len(ratios), width_ratios=ratios, squeeze=False)[0]
    _contents(panels[0], derivation, notation, rows, written)
    if values is not None:
        _values(figure, panels[1], derivation, notation, rows, values)
    return figure


def metric_values(derivation: Derivation, sigma: FloatArray) -> FloatArray:
    """Return the metric at overlaps, shape (n_overlaps, n_visible): its entries are linear in them."""
    place = {overlap.symbol: k for k, overlap in enumerate(derivation.ordered)}
    values = np.zeros(derivation.metric.shape)
    for (row, column), entry in derivation.metric.todok().items():
        values[row, column] = sum(float(c) * sigma[place[s]] for s, c in entry.as_coefficients_dict().items())
    return values


def _contents(panel: Any, derivation: Derivation, notation: Notation, rows: list[int], written: bool) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    place = {row: k for k, row in enumerate(rows)}
    contents = {at: kind for at, kind in metric_contents(derivation).items() if at[0] in place}
    kinds, colours = list(WORDS), TINTS if written else COLOURS
    drawn = np.full((len(rows), len(derivation.visible)), np.nan)
    for (row, column), kind in contents.items():
        drawn[place[row], column] = kinds.index(kind)
    limits = {"vmin": -0.5, "vmax": len(kinds) - 0.5}
    panel.pcolormesh(drawn, cmap=ListedColormap(list(colours)), **limits, edgecolors="white", linewidth=1.5)
    if written:
        for (row, column), kind in contents.items():
            entry = _entry(derivation, notation, derivation.metric[row, column])
            where = {"x": column + 0.5, "y": place[row] + 0.5, "ha": "center", "va": "center"}
            panel.text(s=entry, **where, fontsize=12, color=DARK.get(kind, "#222222"))
    found = [k for k, kind in enumerate(kinds) if kind in contents.values()]
    swatches = [Patch(facecolor=colours[k], edgecolor=COLOURS[k], label=WORDS[kinds[k]]) for k in found]
    panel.legend(handles=swatches, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=len(found), handlelength=1.0)
    _axes(panel, derivation, notation, rows, "what the entries of the metric contain")
    n = len(derivation.visible)
    for low, high, block in ((0, n, "visible"), (n, len(rows), "invisible")):
        if high > low:
            # Beside the names of the rows: the block's own, along a line as long as the block.
            at = panel.get_yaxis_transform()
            colour = VISIBLE if block == "visible" else INVISIBLE
            panel.plot(
                [1.015, 1.015], [low + 0.1, high - 0.1], color=colour, transform=at, clip_on=False, linewidth=2.5
            )
            panel.text(
                1.03, (low + high) / 2, f"{block} × visible", rotation=-90, va="center", color=colour, transform=at
            )


def _values(
    figure: Any, panel: Any, derivation: Derivation, notation: Notation, rows: list[int], values: FloatArray
) -> None:
    largest = float(np.abs(values).max()) or 1.0
    drawn = panel.pcolormesh(values, cmap="PRGn", vmin=-largest, vmax=largest, edgecolors="white", linewidth=1.0)
    figure.colorbar(drawn, ax=panel, shrink=0.7, pad=0.03)
    _axes(panel, derivation, notation, rows, "values")


def _axes(panel: Any, derivation: Derivation, notation: Notation, rows: list[int], title: str) -> None:
    overlaps, n = [derivation.ordered[k] for k in rows], len(derivation.visible)
    panel.set_title(title)
    panel.invert_yaxis()
    panel.axhline(n, color="black", linewidth=1.4)
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0)
    panel.xaxis.tick_top()
    room = panel.get_window_extent().width / panel.figure.dpi / n
    turned = 90 if room < NARROW else 0
    gradients = [mathtext(notation.gradient(overlap)) for overlap in derivation.ordered[:n]]
    panel.set_xticks(np.arange(n) + 0.5, gradients, rotation=turned)
    if len(overlaps) <= MOST_ROWS:
        names = [mathtext(notation.doprint(overlap.symbol)) for overlap in overlaps]
        panel.set_yticks(np.arange(len(names)) + 0.5, names)
        for label, overlap in zip(panel.get_yticklabels(), overlaps, strict=True):
            label.set_color(VISIBLE if overlap.name in derivation.visible else INVISIBLE)
    else:
        panel.set_yticks([])


def _entry(derivation: Derivation, notation: Notation, entry: sympy.Expr) -> str:
    """Return an entry with its overlaps in mathematical notation, in the order of ``OVERLAPS``."""
    place = {overlap.symbol: k for k, overlap in enumerate(derivation.ordered)}
    terms = sorted(entry.as_coefficients_dict().items(), key=lambda term: place[term[0]])
    sizes = [("" if abs(c) == 1 else f"{abs(c)}\\,", notation.doprint(symbol), c < 0) for symbol, c in terms]
    code = "".join(f"{'-' if negative else '+'}{size}{overlap}" for size, overlap, negative in sizes)
    return mathtext(code.removeprefix("+"))
