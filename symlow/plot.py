"""Pictures of learning runs, with matplotlib (the extra ``plot``)."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from symlow.arrays import FloatArray
from symlow.errors import DependencyError, FileError
from symlow.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from symlow.drift import Drift
    from symlow.learning_run import LearningRun

FORMATS = (".png", ".svg", ".pdf")
MOST_LABELS = 14
"""The most curves of a panel that are named in its legend."""


def plot_learning(run: LearningRun) -> Figure:
    """Return a figure of a run: the loss, the loss-visible and the loss-invisible overlaps against the steps.

    With several initial states, overlaps are those of the first and losses those of all.

    Raises:
        DependencyError: if matplotlib is not installed.
    """
    figure = _figure_class()(figsize=(13, 3.6), layout="constrained")
    panels = figure.subplots(1, 3)
    steps = run.step
    single = run.sigma.ndim == 2
    sigma = np.asarray(run.sigma if single else run.sigma[:, 0])
    # A loss that rounding has left at zero has no place on a logarithmic axis.
    panels[0].plot(steps, np.where(run.loss > 0, run.loss, np.nan), color="black" if single else None, linewidth=1.6)
    panels[0].set(title="loss", yscale="log")
    shown = slice(0, run.n_visible), slice(run.n_visible, None)
    for panel, part, title in zip(panels[1:], shown, ("loss-visible overlaps", "loss-invisible overlaps"), strict=True):
        _overlap_panel(panel, steps, sigma[:, part], run.overlaps[part])
        panel.set_title(title)
    for panel in panels:
        panel.set_xlabel("step of gradient descent" if run.method == "step" else "time / lr of gradient flow")
        panel.spines[["top", "right"]].set_visible(False)
    return figure


def plot_drift(run: Drift) -> Figure:
    """Return a figure of a closure beside a network: loss, visible and invisible overlaps, and Gaussianity.

    Lines are the theory, dots the network.

    Raises:
        DependencyError: if matplotlib is not installed.
    """
    figure = _figure_class()(figsize=(15, 3.8), layout="constrained")
    panels = figure.subplots(1, 4)
    steps = np.arange(len(run.theory))
    width = max(len(steps) // 100, 1)  # batches differ: a running mean shows the course
    for loss, style in ((run.theory_loss, "-"), (run.network_loss, "--")):
        label = "theory" if style == "-" else "network"
        panels[0].plot(steps, _running_mean(loss, width), style, label=label, linewidth=1.6)
    panels[0].set(title="loss" if width == 1 else f"loss, mean over {width} steps", yscale="log")
    panels[0].legend(frameon=False, fontsize=9)
    some = np.unique(np.linspace(0, len(steps) - 1, 25).astype(int))
    parts = slice(0, run.n_visible), slice(run.n_visible, None)
    for panel, part, title in zip(
        panels[1:3], parts, ("loss-visible overlaps", "loss-invisible overlaps"), strict=True
    ):
        _overlap_panel(panel, steps, run.theory[:, part], run.overlaps[part])
        for line, values in zip(panel.lines, run.network[some][:, part].T, strict=False):
            panel.plot(steps[some], values, ".", color=line.get_color(), markersize=5)
        panel.set_title(title)
    for k, label in enumerate(run.columns):
        if np.ptp(run.quantiles[:, k]) > 0:
            panels[3].plot(steps, run.kurtosis[:, k], label=f"${_math(label)}$", linewidth=1.6)
    panels[3].set_title("excess kurtosis of the network's vectors")
    panels[3].axhline(0, color="0.8", linewidth=0.8, zorder=0)
    panels[3].legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.6)
    for panel in panels:
        panel.set_xlabel("step of gradient descent")
        panel.spines[["top", "right"]].set_visible(False)
    return figure


def _running_mean(values: FloatArray, width: int) -> FloatArray:
    """Return the mean over ``width`` values about each, fewer at the ends."""
    kernel = np.ones(width)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")


def check_figure(path: str | os.PathLike[str]) -> None:
    """Check that a figure can be made and written, before the work that it will show.

    Raises:
        FileError: unless the path has the suffix of a format that can be written.
        DependencyError: if matplotlib is not installed.
    """
    _figure_class()
    if Path(path).suffix.lower() not in FORMATS:
        raise FileError(f"{Path(path)}: unknown picture format {Path(path).suffix!r}; accepted: {', '.join(FORMATS)}")


def save_figure(figure: Figure, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Write a figure whole, as .png, .svg or .pdf by the suffix of ``path``, and return the path.

    Raises:
        FileError: for another suffix, or as :func:`symlow.files.write_whole`.
    """
    check_figure(path)
    stream = io.BytesIO()
    figure.savefig(stream, format=Path(path).suffix[1:].lower(), dpi=160)
    return write_whole(path, stream.getvalue(), overwrite)


def _figure_class() -> type[Figure]:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise DependencyError("plots need matplotlib; install it with: pip install 'symlow[plot]'") from None
    return Figure


def _overlap_panel(panel: Any, steps: Any, values: Any, names: tuple[str, ...]) -> None:
    # Every other curve is dashed: overlaps that learning keeps equal lie on one another. Colours repeat after ten.
    styles = ("-", "--", ":", "-.")
    for k, name in enumerate(names):
        label = _label(name) if k < MOST_LABELS else None
        panel.plot(steps, values[:, k], styles[k % 2 + 2 * (k // 10 % 2)], label=label, linewidth=1.6)
    panel.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    if len(names) > MOST_LABELS:
        panel.plot([], [], " ", label=f"and {len(names) - MOST_LABELS} more")
    panel.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.6)


def _label(name: str) -> str:
    left, right = name.split("_")
    if left == right:
        return rf"$\|{_math(left)}\|^2$"
    return rf"$\sigma_{{{_math(left)}{_math(right)}}}$"


def _math(label: str) -> str:
    letters = label.rstrip("0123456789")
    number = label[len(letters) :]
    return f"{letters}_{{{number}}}" if number else letters
