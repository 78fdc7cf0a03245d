"""Curves of overlaps in shades of their kind, each with its name at its end, where the eye is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symlow.arrays import FloatArray
from symlow.colours import INVISIBLE_SHADES, VISIBLE_SHADES
from symlow.plot.labels import overlap_label
from symlow.plot.style import DASHES, GREY, shades
from symlow.spacing import apart

MOST_LABELS = 14
"""The most curves of a panel that are named."""

CROWD = 12
"""The most curves of a panel that are thick."""

NARROW = 5.0
"""The ratio of the ends of a logarithmic axis up to which its ticks are evenly spaced."""

DIGITS = (1, 2, 5)
"""At these times powers of ten are the ticks of one that is longer; any that is has two of them."""

LINE_HEIGHT = 1.35
"""The least distance of two names, in heights of their letters."""

LEADER = {"arrowstyle": "-", "linewidth": 0.6, "alpha": 0.6, "shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5)}
"""The thin line from a name to the end of its curve."""

TITLES = {True: "loss-visible overlaps", False: "loss-invisible overlaps"}

SHADES = {True: VISIBLE_SHADES, False: INVISIBLE_SHADES}


def overlap_panel(panel: Any, steps: Any, values: FloatArray, names: Sequence[str], visible: bool) -> None:
    """Draw overlaps of one kind, one line after the other in their order, and name them.

    Args:
        panel: axes of matplotlib.
        steps: shape (records,).
        values: shape (records, overlaps), perhaps of none.
        names: of these overlaps.
        visible: whether they are.
    """
    colours = shades(SHADES[visible], len(names))
    for k, colour in enumerate(colours):
        thin = {"linewidth": 1.4} if len(names) > CROWD else {}
        panel.plot(steps, values[:, k], DASHES[k % len(DASHES)], color=colour, **thin)
    zero_line(panel)
    panel.set_title(TITLES[visible])
    panel.margins(x=0.02)
    name_curves(panel, [(steps, values)], names, colours)


def name_curves(
    panel: Any, courses: Sequence[tuple[Any, FloatArray]], names: Sequence[str], colours: Sequence[Any]
) -> None:
    """Write the names of overlaps to the ends of their curves; of many, of those that move most.

    Args:
        panel: axes of matplotlib, whose limits are not to change any more.
        courses: steps, shape (records,), and values, shape (records, overlaps), of one run or of several.
        names: of the overlaps.
        colours: theirs.
    """
    moved = np.max([np.nan_to_num(np.nanmax(v, axis=0) - np.nanmin(v, axis=0)) for _, v in courses], axis=0)
    chosen = sorted(np.argsort(-moved, kind="stable")[:MOST_LABELS])
    ends = [[last_finite(steps, values[:, k]) for steps, values in courses] for k in chosen]
    name_ends(panel, ends, [overlap_label(names[k]) for k in chosen], [colours[k] for k in chosen])
    if len(names) > MOST_LABELS:
        more = f"and {len(names) - MOST_LABELS} more"
        panel.annotate(more, (1.06, -0.04), xycoords="axes fraction", va="top", fontsize=10, annotation_clip=False)


def loss_axis(panel: Any, title: str = "loss") -> None:
    """Finish a panel of losses: a title, and a logarithmic axis, of plain numbers where it is of a decade or so.

    Args:
        panel: axes of matplotlib, in which the losses are drawn.
        title: of the panel.
    """
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, ScalarFormatter

    panel.set(title=title, yscale="log")
    panel.margins(x=0.02)
    low, high = panel.get_ylim()
    if np.floor(np.log10(high)) > np.ceil(np.log10(low)):
        return  # two powers of ten say it all
    panel.yaxis.set_major_locator(
        MaxNLocator(6, steps=[1, 2, 5, 10]) if high <= NARROW * low else LogLocator(subs=DIGITS)
    )
    panel.yaxis.set_major_formatter(ScalarFormatter(useOffset=False))
    panel.yaxis.set_minor_locator(NullLocator())


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
    size = min(panel.xaxis.label.get_size(), height / (LINE_HEIGHT * max(len(labels) - 1, 1)))
    heights = apart(np.array(wanted), LINE_HEIGHT * size / height, (0.0, 1.0))
    for places, label, colour, at in zip(ends, labels, colours, heights, strict=False):
        for k, end in enumerate(places):
            panel.annotate(
                "" if k else label,
                end,
                (1.06, at),
                textcoords="axes fraction",
                color=colour,
                fontsize=size,
                va="center",
                ha="left",
                annotation_clip=False,
                arrowprops={**LEADER, "color": colour},
            )
