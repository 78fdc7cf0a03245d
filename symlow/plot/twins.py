"""Twins: two networks that compute the same function, and learn differently.

Equal loss-visible overlaps make equal outputs; loss-invisible ones, in which the two differ, steer learning (math.md,
section 10; Ger & Barak 2026).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from symlow.arrays import FloatArray
from symlow.errors import ArrayError
from symlow.learning_run import LearningRun
from symlow.plot.figures import new_figure
from symlow.plot.learning import course_of, parts, positive, steps_label
from symlow.plot.lines import SHADES, TITLES, loss_axis, name_curves, zero_line
from symlow.plot.style import shades, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLES = ("-", (0, (4, 1.6)))
"""The lines of the first and of the second network."""


@styled
def plot_twins(
    first: LearningRun,
    second: LearningRun,
    names: tuple[str, str] = ("network", "twin"),
    history: int = 0,
) -> Figure:
    """Return a figure of two runs laid over each other: loss, visible and invisible overlaps.

    Each overlap has one colour; lines of the first run are solid, those of the second dashed. Where the two start from
    different values of an overlap, circles mark them.

    Args:
        first: a run.
        second: another one of the same derivation.
        names: what they are called.
        history: which of several initial states of each, from 0.

    Raises:
        ArrayError: if the runs have different overlaps, or no such history.
        DependencyError: if matplotlib is not installed.
    """
    if first.overlaps != second.overlaps or first.n_visible != second.n_visible:
        raise ArrayError(
            f"twins: found runs with {len(first.overlaps)} overlaps, {first.n_visible} of them visible, and with "
            f"{len(second.overlaps)}, {second.n_visible} of them visible; accepted: two runs of one derivation, whose "
            "overlaps have the same names"
        )
    sigmas = [course_of(run, history) for run in (first, second)]
    figure = new_figure(14, 4.2)
    panels = figure.subplots(1, 3)
    for run, style, name, colour in zip((first, second), STYLES, names, ("black", "0.45"), strict=True):
        loss = run.loss if run.sigma.ndim == 2 else run.loss[:, history]
        panels[0].plot(run.step, positive(np.asarray(loss)), linestyle=style, color=colour, label=name)
    loss_axis(panels[0])
    panels[0].legend()
    for panel, part, visible in zip(panels[1:], parts(first), (True, False), strict=True):
        courses = [(run.step, sigma[:, part]) for run, sigma in zip((first, second), sigmas, strict=True)]
        _overlaid(panel, courses, first.overlaps[part], visible)
    for panel in panels:
        panel.set_xlabel(steps_label(first))
    return figure


def _overlaid(panel: Any, courses: list[tuple[Any, FloatArray]], names: tuple[str, ...], visible: bool) -> None:
    colours = shades(SHADES[visible], len(names))
    for (steps, values), style in zip(courses, STYLES, strict=True):
        for k, colour in enumerate(colours):
            panel.plot(steps, values[:, k], linestyle=style, color=colour)
    (steps, one), (_, other) = courses
    differ = np.flatnonzero(~np.isclose(one[0], other[0], rtol=1e-9, atol=1e-12))
    for at in differ:
        panel.plot([steps[0]] * 2, [one[0, at], other[0, at]], "o", color=colours[at], markerfacecolor="white")
    zero_line(panel)
    panel.set_title(TITLES[visible])
    panel.margins(x=0.02)
    name_curves(panel, courses, names, colours)  # where the two end apart, the name stands between them
