"""The start of every picture: an empty figure, or what to install."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symlow.extras import optional

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, which notebooks show as it is.

    Raises:
        DependencyError: if matplotlib is not installed.
    """
    optional("matplotlib.figure", "plot", "plots")
    from symlow.plot.picture import Picture

    return Picture(figsize=(width, height), layout="constrained")
