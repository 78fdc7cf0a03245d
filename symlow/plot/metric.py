r"""The metric's block structure: which overlaps stand in each entry of G, \dot\sigma = -G(\sigma)\nabla L.

G (math.md, section 2; Ger & Barak 2026, fig. 11) has a row for each overlap and a column for each loss-visible one, so
two blocks: visible x visible, how gradients move what the loss depends on, and invisible x visible. In a linear network
the first holds invisible overlaps only and the second visible ones only: each kind of overlaps steers the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import sympy

from symlow.arrays import FloatArray
from symlow.colours import BOTH, INVISIBLE, INVISIBLE_SHADES, VISIBLE, VISIBLE_SHADES
from symlow.derivation import Derivation
from symlow.plot.figures import new_figure
from symlow.plot.labels import gradient_label, overlap_label
from symlow.plot.style import styled
from symlow.realise import check_state

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_WRITTEN = 8
"""The most columns of which the entries are written out."""

MOST_ROWS = 45
"""The most overlaps whose names are written at the rows."""

NARROW = 0.62
"""The width of a column, in inches, below which its name is turned."""

EMPTY, OF_VISIBLE, OF_INVISIBLE, OF_BOTH, CONSTANT = range(5)
KINDS = {
    OF_VISIBLE: "visible overlaps",
    OF_INVISIBLE: "invisible overlaps",
    OF_BOTH: "overlaps of both kinds",
    CONSTANT: "numbers",
}
COLOURS = ("#FFFFFF", VISIBLE, INVISIBLE, BOTH, "#C9C9C9")
TINTS = ("#FFFFFF", "#CFE4F2", "#F9DFCB", "#DCDCDC", "#F1F1F1")
"""Lighter, behind letters."""
DARK = {OF_VISIBLE: VISIBLE_SHADES[0], OF_INVISIBLE: INVISIBLE_SHADES[0]}
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
    weights, constant = set(derivation.learning.weights), constant_overlaps(derivation)
    rows = [k for k, o in enumerate(derivation.ordered) if o in weights and o.symbol not in constant]
    columns = len(derivation.visible)
    values = None if sigma is None else metric_values(derivation, check_state(sigma, derivation))[rows]
    written = columns <= MOST_WRITTEN
    width = (1.45 if written else max(0.34, 4.0 / columns)) * columns
    height = min(max(0.42 * len(rows), 3.0), 14.0)
    # With what stands around the squares: names of rows, of blocks and of columns.
    figure = new_figure(width + 2.4 + (0 if values is None else 0.62 * width + 2.6), height + 1.7)
    ratios = (1.0,) if values is None else (1.0, 0.62)
    panels = figure.subplots(1, len(ratios), width_ratios=ratios, squeeze=False)[0]
    _contents(panels[0], derivation, rows, written)
    if values is not None:
        _values(figure, panels[1], derivation, rows, values)
    return figure


def metric_kinds(derivation: Derivation) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return what entries contain, shape (n_overlaps, n_visible).

    0 is nothing, 1 visible overlaps, 2 invisible ones, 3 both, and 4 numbers only, among them the norms of ones.
    """
    visible, constant = {overlap.symbol for overlap in derivation.reduction.visible}, constant_overlaps(derivation)
    kinds = np.zeros(derivation.metric.shape, dtype=np.int64)
    for (row, column), entry in derivation.metric.todok().items():
        symbols = entry.free_symbols - constant
        kind = OF_VISIBLE * bool(symbols & visible) + OF_INVISIBLE * bool(symbols - visible)
        kinds[row, column] = kind or CONSTANT
    return kinds


def constant_overlaps(derivation: Derivation) -> set[sympy.Symbol]:
    """Return the overlaps that are numbers: those of vectors of ones with themselves."""
    return {derivation.reduction.index[f"{name}_{name}"].symbol for name in derivation.network.ones}


def metric_values(derivation: Derivation, sigma: FloatArray) -> FloatArray:
    """Return the metric at overlaps, shape (n_overlaps, n_visible): its entries are linear in them."""
    place = {overlap.symbol: k for k, overlap in enumerate(derivation.ordered)}
    values = np.zeros(derivation.metric.shape)
    for (row, column), entry in derivation.metric.todok().items():
        values[row, column] = sum(float(c) * sigma[place[s]] for s, c in entry.as_coefficients_dict().items())
    return values


def _contents(panel: Any, derivation: Derivation, rows: list[int], written: bool) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    kinds = metric_kinds(derivation)[rows]
    colours = TINTS if written else COLOURS
    panel.pcolormesh(kinds, cmap=ListedColormap(list(colours)), vmin=-0.5, vmax=4.5, edgecolors="white", linewidth=1.5)
    if written:
        for i, row in enumerate(rows):
            for j in range(kinds.shape[1]):
                if kinds[i, j]:
                    entry, dark = _entry(derivation, derivation.metric[row, j]), DARK.get(kinds[i, j], "#222222")
                    panel.text(j + 0.5, i + 0.5, entry, ha="center", va="center", fontsize=12, color=dark)
    found = [kind for kind in KINDS if (kinds == kind).any()]
    swatches = [Patch(facecolor=colours[kind], edgecolor=COLOURS[kind], label=KINDS[kind]) for kind in found]
    panel.legend(handles=swatches, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=len(found), handlelength=1.0)
    _axes(panel, derivation, rows, "what the entries of the metric contain")
    n = len(derivation.visible)
    for low, high, kind in ((0, n, "visible"), (n, len(rows), "invisible")):
        if high > low:
            # Beside the names of the rows: the block's own, along a line as long as the block.
            at = panel.get_yaxis_transform()
            colour = VISIBLE if kind == "visible" else INVISIBLE
            panel.plot(
                [1.015, 1.015], [low + 0.1, high - 0.1], color=colour, transform=at, clip_on=False, linewidth=2.5
            )
            panel.text(
                1.03, (low + high) / 2, f"{kind} × visible", rotation=-90, va="center", color=colour, transform=at
            )


def _values(figure: Any, panel: Any, derivation: Derivation, rows: list[int], values: FloatArray) -> None:
    largest = float(np.abs(values).max()) or 1.0
    drawn = panel.pcolormesh(values, cmap="PRGn", vmin=-largest, vmax=largest, edgecolors="white", linewidth=1.0)
    figure.colorbar(drawn, ax=panel, shrink=0.7, pad=0.03)
    _axes(panel, derivation, rows, "values")


def _axes(panel: Any, derivation: Derivation, rows: list[int], title: str) -> None:
    names, n = [derivation.overlaps[k] for k in rows], len(derivation.visible)
    panel.set_title(title)
    panel.invert_yaxis()
    panel.axhline(n, color="black", linewidth=1.4)
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0)
    panel.xaxis.tick_top()
    room = panel.get_window_extent().width / panel.figure.dpi / n
    turned = 90 if room < NARROW else 0
    panel.set_xticks(np.arange(n) + 0.5, [gradient_label(name) for name in names[:n]], rotation=turned)
    if len(names) <= MOST_ROWS:
        panel.set_yticks(np.arange(len(names)) + 0.5, [overlap_label(name) for name in names])
        for label, name in zip(panel.get_yticklabels(), names, strict=True):
            label.set_color(VISIBLE if name in derivation.visible else INVISIBLE)
    else:
        panel.set_yticks([])


def _entry(derivation: Derivation, entry: sympy.Expr) -> str:
    """Return an entry with its overlaps in mathematical notation, in the order of ``OVERLAPS``."""
    names = {overlap.symbol: overlap.name for overlap in derivation.ordered}
    terms = sorted(entry.as_coefficients_dict().items(), key=lambda term: derivation.overlaps.index(names[term[0]]))
    sizes = [("" if abs(c) == 1 else f"{abs(c)}\\,", overlap_label(names[s]).strip("$"), c < 0) for s, c in terms]
    code = "".join(f"{'-' if negative else '+'}{size}{label}" for size, label, negative in sizes)
    return f"${code.removeprefix('+')}$"
