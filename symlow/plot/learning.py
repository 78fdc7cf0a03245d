"""Learning runs: losses against the steps, and overlaps, those that determine the loss beside those that do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from symlow.arrays import FloatArray, check_integer, shown
from symlow.colours import CLASSES
from symlow.errors import ArrayError
from symlow.learning_run import LearningRun
from symlow.plot.figures import new_figure
from symlow.plot.lines import loss_axis, overlap_panel
from symlow.plot.style import DASHES, shades, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_HISTORIES = 12
"""The most histories of a run whose losses are drawn one by one; of more, the median and where most of them are."""

BAND = (5, 95)
"""Percentiles between which the band of many losses lies."""

RUNS = ("#222222", *CLASSES, "#B8860B")
"""The colours of several runs, in turn."""


@styled
def plot_learning(run: LearningRun, history: int = 0) -> Figure:
    """Return a figure of a run: the loss, the loss-visible and the loss-invisible overlaps against the steps.

    With several initial states, overlaps are those of one of them and losses those of all.

    Args:
        run: the run.
        history: which of several initial states has its overlaps drawn, from 0.

    Raises:
        ArrayError: if the run has no such history.
        DependencyError: if matplotlib is not installed.
    """
    sigma = course_of(run, history)
    figure = new_figure(14, 4.0)
    panels = figure.subplots(1, 3)
    _losses(panels[0], run, "black" if run.sigma.ndim == 2 else None)
    loss_axis(panels[0])
    overlap_panels(panels[1:], run, sigma)
    for panel in panels:
        panel.set_xlabel(steps_label(run))
    return figure


@styled
def plot_overlaps(run: LearningRun, history: int = 0) -> Figure:
    """Return a figure of the overlaps of a run, loss-visible ones on the left and loss-invisible ones on the right.

    Args:
        run: the run.
        history: which of several initial states, from 0.

    Raises:
        ArrayError: if the run has no such history.
        DependencyError: if matplotlib is not installed.
    """
    sigma = course_of(run, history)
    figure = new_figure(10, 4.2)
    panels = figure.subplots(1, 2)
    overlap_panels(panels, run, sigma)
    for panel in panels:
        panel.set_xlabel(steps_label(run))
    return figure


@styled
def plot_losses(runs: LearningRun | Mapping[str, LearningRun]) -> Figure:
    """Return a figure of learning curves: the loss of one run, or of several by name, against the steps.

    Of a run of up to 12 histories the loss of each, of one with more the median, and a band with nine tenths of them.

    Args:
        runs: a run, or runs by name.

    Raises:
        ArrayError: if there are no runs, or what is given are none.
        DependencyError: if matplotlib is not installed.
    """
    accepted = "a learning run, or a mapping from names to learning runs"
    if not isinstance(runs, LearningRun | Mapping):
        raise ArrayError(f"runs: found {shown(runs)}; accepted: {accepted}")
    named = {"": runs} if isinstance(runs, LearningRun) else dict(runs)
    if not named:
        raise ArrayError(f"runs: found none; accepted: {accepted}")
    for name, run in named.items():
        if not isinstance(run, LearningRun):
            raise ArrayError(f"runs[{name!r}]: found {shown(run)}; accepted: {accepted}")
    figure = new_figure(6.4, 4.4)
    panel = figure.subplots()
    for k, (name, run) in enumerate(named.items()):
        style = DASHES[(k + k // len(RUNS)) % len(DASHES)]  # so that no two of sixteen runs look the same
        _losses(panel, run, RUNS[k % len(RUNS)], style, name)
    loss_axis(panel)
    panel.set_xlabel(steps_label(next(iter(named.values()))))
    if any(named):
        panel.legend()
    return figure


def course_of(run: LearningRun, history: int) -> FloatArray:
    """Return the overlaps of one history, shape (records, n_overlaps).

    Raises:
        ArrayError: if the run has no such history.
    """
    states = 1 if run.sigma.ndim == 2 else run.sigma.shape[1]
    if check_integer(history, "history", 0) >= states:
        raise ArrayError(f"history: found {history}; accepted: 0 to {states - 1}, for the run has {states}")
    return np.asarray(run.sigma if run.sigma.ndim == 2 else run.sigma[:, history])


def overlap_panels(panels: Any, run: LearningRun, sigma: FloatArray) -> None:
    """Draw visible overlaps in the first of two panels and invisible ones in the second."""
    for panel, part, visible in zip(panels, parts(run), (True, False), strict=True):
        overlap_panel(panel, run.step, sigma[:, part], run.overlaps[part], visible)


def parts(run: LearningRun) -> tuple[slice, slice]:
    """Return where visible and where invisible overlaps stand in sigma."""
    return slice(0, run.n_visible), slice(run.n_visible, None)


def steps_label(run: LearningRun) -> str:
    """Return what the steps of a run are."""
    return "step of gradient descent" if run.method == "step" else "time / learning rate"


def positive(values: FloatArray) -> FloatArray:
    """Return values without those that have no place on a logarithmic axis: losses that rounding has left at zero."""
    return np.where(values > 0, values, np.nan)


def _losses(panel: Any, run: LearningRun, colour: Any, style: str = "-", name: str = "") -> None:
    losses = np.asarray(run.loss)
    label = name or None
    if losses.ndim == 1 or losses.shape[1] <= MOST_HISTORIES:
        for k, course in enumerate(np.atleast_2d(losses.T)):
            own = shades(RUNS, len(losses.T))[k] if losses.ndim > 1 and colour is None else colour
            panel.plot(run.step, positive(course), style, color=own, label=label if k == 0 else None)
        return
    kept = losses[:, np.isfinite(losses).all(axis=0)]
    shown = kept if kept.shape[1] else losses
    colour = colour or "black"
    low, high = positive(np.percentile(shown, BAND, axis=1))
    panel.fill_between(run.step, low, high, color=colour, alpha=0.18, linewidth=0)
    panel.plot(run.step, positive(np.median(shown, axis=1)), style, color=colour, label=label)
