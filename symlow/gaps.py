"""Numerical ranks, with the gap between the singular values that count and those that are rounding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symlow.arrays import FloatArray

ROUNDING = 1e-14
"""Singular values, relative to the largest, below which all is rounding: a few hundred operations."""

CLEAR = 1e3
"""The ratio of singular values that is called a gap."""


@dataclass(frozen=True)
class NumericalRank:
    """A numerical rank.

    Attributes:
        rank: the number of singular values above the widest gap.
        above: the smallest singular value above it, relative to the largest.
        below: the largest one below it; 0 for a matrix of full rank.
    """

    rank: int
    above: float
    below: float

    @property
    def is_clear(self) -> bool:
        """Whether the gap is a factor of ``CLEAR`` or more, down to rounding."""
        return self.above >= CLEAR * max(self.below, ROUNDING)

    def __str__(self) -> str:
        """Return the rank and the gap in words."""
        return f"singular values from {self.above:.1e} of the largest up, and from {self.below:.1e} down"


def numerical_rank(matrix: FloatArray) -> NumericalRank:
    """Return the numerical rank of a matrix: singular values to the widest gap between neighbours."""
    values = np.linalg.svd(matrix, compute_uv=False)
    if not len(values) or values[0] == 0:
        return NumericalRank(0, 1.0, 0.0)
    relative = np.append(values / values[0], 0.0)
    ratios = np.maximum(relative[:-1], ROUNDING) / np.maximum(relative[1:], ROUNDING)
    last = len(ratios) - 1 - int(np.argmax(ratios[::-1]))
    return NumericalRank(last + 1, float(relative[last]), float(relative[last + 1]))


def unit_rows(matrix: FloatArray) -> FloatArray:
    """Return a matrix with its rows scaled to length one, where they are not zero.

    The row space stays, and rows of very different size no longer look like a gap.
    """
    sizes = np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix / np.where(sizes > 0, sizes, 1.0)
