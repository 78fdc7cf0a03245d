"""How pictures look: letters to be read from the back of a room, no frame where there is no data, colours of a kind."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

from symlow.extras import optional

P = ParamSpec("P")
T = TypeVar("T")

STYLE: dict[str, Any] = {
    "font.size": 13,
    "axes.titlesize": 14,
    "axes.labelsize": 13,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "legend.fontsize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.9,
    "axes.titlepad": 9.0,
    "axes.formatter.use_mathtext": True,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    # What svg files name their parts by is random unless it is salted.
    "svg.hashsalt": "symlow",
}
"""Settings of matplotlib, in force while a picture is drawn or written and never for other pictures of a program."""

GREY = "0.55"
"""Lines that are not data: axes through zero, chance levels."""

DASHES = ("-", "--", "-.", ":")
"""Styles of curves of neighbouring shades, which may lie on one another."""


def styled(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function that draws in this style, and says so if matplotlib is not installed."""

    @functools.wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> T:
        optional("matplotlib.figure", "plot", "plots")
        with optional("matplotlib", "plot", "plots").rc_context(STYLE):
            return function(*args, **kwargs)

    return drawn


def shades(colours: Sequence[str], count: int) -> list[tuple[float, float, float]]:
    """Return that many colours between the given ones, from the first to the last; one alone is the second."""
    known = np.array([[int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)] for colour in colours])
    places = np.linspace(0, len(colours) - 1, count) if count > 1 else np.array([1.0])[:count]
    mixed = np.stack([np.interp(places, np.arange(len(colours)), part) for part in known.T], axis=1)
    return [(float(r), float(g), float(b)) for r, g, b in mixed]
