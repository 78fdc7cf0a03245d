"""Curves of overlaps in shades of their kind, each with its name at its end, where the eye is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symlow.arrays import FloatArray
from symlow.colours import INVISIBLE_SHADES, VISIBLE_SHADES
from symlow.plot.labels import overlap_label
from symlow.plot.style import DASHES, GREY, shades

MOST_LABELS = 14
"""The most curves of a panel that are named."""

LINE_HEIGHT = 1.35
"""The least distance of two names, in heights of their letters."""

LEADER = {"arrowstyle": "-", "linewidth": 0.6, "alpha": 0.6, "shrinkA": 1, "shrinkB": 3}
"""The thin line from a name to the end of its curve."""

TITLES = {True: "loss-visible overlaps", False: "loss-invisible overlaps"}

SHADES = {True: VISIBLE_SHADES, False: INVISIBLE_SHADES}


def overlap_panel(panel: Any, steps: Any, values: FloatArray, names: Sequence[str], visible: bool) -> None:
    """Draw overlaps of one kind, the first lines of the panel, in order, and name them.

    Args:
        panel: axes of matplotlib.
        steps: shape (records,).
        values: shape (records, overlaps).
        names: of these overlaps.
        visible: whether they are.
    """
    colours = shades(SHADES[visible], len(names))
    for k, colour in enumerate(colours):
        panel.plot(steps, values[:, k], DASHES[k % len(DASHES)], color=colour)
    zero_line(panel)
    panel.set_title(TITLES[visible])
    panel.margins(x=0.02)
    ends = [[last_finite(steps, values[:, k])] for k in range(len(names))]
    name_ends(panel, ends[:MOST_LABELS], [overlap_label(name) for name in names[:MOST_LABELS]], colours)
    if len(names) > MOST_LABELS:
        more = f"and {len(names) - MOST_LABELS} more"
        panel.annotate(more, (1.0, 0.0), (0, -8), "axes fraction", "offset points", ha="right", va="top", fontsize=10)


def zero_line(panel: Any, height: float = 0.0) -> None:
    """Draw a thin line behind the data."""
    panel.axhline(height, color=GREY, linewidth=0.8, zorder=0)


def last_finite(steps: Any, values: FloatArray) -> tuple[float, float]:
    """Return where a curve ends: its last point with a finite value, or the origin if it has none."""
    finite = np.flatnonzero(np.isfinite(values))
    return (float(steps[finite[-1]]), float(values[finite[-1]])) if len(finite) else (0.0, 0.0)


def name_ends(
    panel: Any, ends: Sequence[Sequence[tuple[float, float]]], labels: Sequence[str], colours: Sequence[Any]
) -> None:
    """Write names to the right of a panel at the heights of the ends of curves, moved apart where they would overlap.

    Args:
        panel: axes of matplotlib, whose limits are not to change any more.
        ends: for each name the ends of the curves that have it, in the units of the axes.
        labels: the names.
        colours: their colours.
    """
    low, high = panel.get_ylim()
    panel.set_ylim(low, high)
    scale = panel.transLimits.transform
    wanted = [np.mean([scale(panel.transScale.transform(end))[1] for end in places]) for places in ends]
    height = panel.bbox.height / panel.figure.dpi * 72  # in points, as letters are
    size = panel.xaxis.label.get_size()
    heights = apart(np.array(wanted), LINE_HEIGHT * size / height)
    for places, label, colour, at in zip(ends, labels, colours, heights, strict=False):
        for k, end in enumerate(places):
            panel.annotate(
                "" if k else label,
                end,
                (1.06, at),
                textcoords="axes fraction",
                color=colour,
                va="center",
                ha="left",
                annotation_clip=False,
                arrowprops={**LEADER, "color": colour},
            )


def apart(places: FloatArray, distance: float) -> FloatArray:
    """Return places in the same order, none nearer to the next than a distance, moved as little as blocks allow.

    Names that touch form a block, which stands about the mean of where they would be; blocks that touch are joined
    (the pooling of isotonic regression).
    """
    order = np.argsort(places, kind="stable")
    offsets = distance * np.arange(len(places))
    blocks: list[list[float]] = []  # sums and lengths
    for value in places[order] - offsets:
        blocks.append([float(value), 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, length = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += length
    level = np.concatenate([np.full(int(length), total / length) for total, length in blocks] or [np.zeros(0)])
    moved = np.empty(len(places))
    moved[order] = level + offsets
    return moved
