"""A closure beside a network of neurons: lines are the theory, dots the network (:mod:`symlow.drift`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from symlow.arrays import FloatArray
from symlow.colours import CLASSES
from symlow.drift import Drift
from symlow.plot.figures import new_figure
from symlow.plot.labels import column_label
from symlow.plot.lines import MOST_LABELS, last_finite, loss_axis, name_ends, overlap_panel, zero_line
from symlow.plot.style import DASHES, shades, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS = 25
"""How many dots a curve has."""

VECTORS = ("#222222", "#117733", CLASSES[1], "#DDAA33")
"""Between these are the colours of vectors, which have shares of visible and of invisible overlaps."""


@styled
def plot_drift(run: Drift) -> Figure:
    """Return a figure of a closure beside a network: loss, visible and invisible overlaps, and Gaussianity.

    Lines are the theory, dots the network.

    Raises:
        DependencyError: if matplotlib is not installed.
    """
    figure = new_figure(18, 4.0)
    panels = figure.subplots(1, 4)
    steps = np.arange(len(run.theory))
    width = max(len(steps) // 100, 1)  # batches differ: a running mean shows the course
    for loss, style, label in ((run.theory_loss, "-", "theory"), (run.network_loss, "--", "network")):
        panels[0].plot(steps, _running_mean(loss, width), style, color="black" if style == "-" else "0.55", label=label)
    loss_axis(panels[0], "loss" if width == 1 else f"loss, mean over {width} steps")
    panels[0].legend()
    some = np.unique(np.linspace(0, len(steps) - 1, DOTS).astype(int))
    parts = slice(0, run.n_visible), slice(run.n_visible, None)
    for panel, part, visible in zip(panels[1:3], parts, (True, False), strict=True):
        # Dots first, so that the panel is large enough for both when names are put to the ends of lines.
        dots = [panel.plot(steps[some], values, "o", markersize=4)[0] for values in run.network[some][:, part].T]
        overlap_panel(panel, steps, run.theory[:, part], run.overlaps[part], visible)
        for dot, line in zip(dots, panel.lines[len(dots) :], strict=False):
            dot.set_color(line.get_color())
    moving = [k for k in range(len(run.columns)) if np.ptp(run.quantiles[:, k]) > 0]
    colours = shades(VECTORS, len(moving))
    for k, column in enumerate(moving):
        panels[3].plot(steps, run.kurtosis[:, column], DASHES[k % len(DASHES)], color=colours[k])
    zero_line(panels[3])
    panels[3].set_title("excess kurtosis of vectors")
    ends = [[last_finite(steps, run.kurtosis[:, column])] for column in moving]
    labels = [column_label(run.columns[column]) for column in moving]
    name_ends(panels[3], ends[:MOST_LABELS], labels[:MOST_LABELS], colours)
    for panel in panels:
        panel.set_xlabel("step of gradient descent")
    return figure


def _running_mean(values: FloatArray, width: int) -> FloatArray:
    """Return the mean over ``width`` values about each, fewer at the ends."""
    kernel = np.ones(width)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")
