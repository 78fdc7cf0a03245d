"""The chart of the README: time of loss and gradient by program, and cost for each state by their number.

Both axes of time are logarithmic. Blue is symlow, orange what was written by hand; greys and colours are such that they
stand out on white and on black paper, and for those who confuse red and green.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from tests.benchmarks.report import Section, number

INK, RULE = "#7d8590", "#7d859055"
SYMLOW, BY_HAND = "#2f8fd6", "#d9822b"
LABELS = {
    "C": "C loop by hand",
    "C tuned": "C loop, tuned",
    "symlow numba": "symlow, Numba",
    "symlow jax": "symlow, JAX",
    "symlow numpy": "symlow, NumPy",
    "JAX program": "JAX by hand",
    "JAX tuned": "JAX, tuned",
    "PyTorch program": "PyTorch by hand",
    "PyTorch stepwise": "PyTorch, step by step",
}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "symlow",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def chart(sections: Sequence[Section], form: str = "svg") -> bytes:
    """Return the chart of the sections that have its numbers, as a picture of this form."""
    data = {key: value for section in sections for key, value in section.data.items()}
    per_state = {key: value for key, value in data.items() if isinstance(key, int)}
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 2.9), gridspec_kw={"width_ratios": (1.25, 1)})
        _dots(left, data["rank 1"])
        _lines(right, per_state)
        figure.tight_layout(w_pad=2.5)
        stream = io.BytesIO()
        figure.savefig(stream, format=form, transparent=True, metadata={"Date": None} if form == "svg" else None)
        plt.close(figure)
    return stream.getvalue()


def _colour(name: str) -> str:
    return SYMLOW if name.startswith("symlow") else BY_HAND


def _dots(axes: Axes, times: dict[str, float]) -> None:
    """Draw the time of each program, with its ratio to the loop by hand. Dots: a bar would begin anywhere."""
    names = sorted(times, key=times.__getitem__)
    start = 1e6 * times[names[0]] / 2
    for place, name in enumerate(names):
        value = 1e6 * times[name]
        axes.plot([start, value], [place, place], color=RULE, lw=0.6, zorder=0)
        axes.plot(value, place, "o", ms=8, color=_colour(name))
        axes.annotate(
            f"{number(times[name] / times['C'])}×", (value, place), xytext=(9, 0), textcoords="offset points",
            va="center", color=_colour(name),
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(start, 1e6 * times[names[-1]] * 8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), [LABELS[name] for name in names])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.minorticks_off()
    axes.set_xlabel("loss and gradient of one state, µs")


def _lines(axes: Axes, per_state: dict[int, dict[str, float]]) -> None:
    """Draw the cost for each state of each program."""
    counts = sorted(per_state)
    ends = {}
    for name in per_state[counts[0]]:
        known = [n for n in counts if name in per_state[n]]
        costs = [1e6 * per_state[n][name] for n in known]
        axes.plot(known, costs, color=_colour(name), lw=1.4, marker="o", ms=3)
        ends[name] = costs[-1]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.grid(axis="y", color=RULE, lw=0.6)
    axes.minorticks_off()
    axes.set_xlabel("states at once")
    axes.set_ylabel("µs for each state")
    axes.set_xlim(counts[0] * 0.8, counts[-1] * 1.3)
    for name, height in zip(ends, _apart(list(ends.values())), strict=True):
        axes.annotate(
            LABELS[name], (counts[-1], height), xytext=(6, 0), textcoords="offset points", va="center",
            color=_colour(name), annotation_clip=False,
        )  # fmt: skip


def _apart(heights: list[float], factor: float = 2.2) -> list[float]:
    """Return heights on a logarithmic axis, moved up where labels would lie on one another."""
    moved = dict.fromkeys(range(len(heights)), 0.0)
    floor = 0.0
    for k in sorted(moved, key=heights.__getitem__):
        moved[k] = floor = max(heights[k], floor * factor)
    return [moved[k] for k in range(len(heights))]
