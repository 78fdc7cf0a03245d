"""The start of every picture: an empty figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, which notebooks show as it is.

    Functions that call it are :func:`symlow.plot.style.styled`, which says so where matplotlib is not installed.
    """
    from symlow.plot.picture import Picture

    return Picture(figsize=(width, height), layout="constrained")
