"""Gram matrices among symmetric ones: the range of one entry, and the nearest to wishes for several.

A symmetric matrix is the Gram matrix of real vectors exactly if it is positive semidefinite. These form a cone, and
those of them with given values of some entries are a slice of it, a convex set.

*One entry.* With K all indices but i and j, and C = Sigma_ab - Sigma_aK Sigma_KK^+ Sigma_Kb for a, b in {i, j}, the
Schur complement of Sigma_KK, Sigma stays positive semidefinite exactly for

    |Sigma_ij - b| <= sqrt(C_ii C_jj),  b = Sigma_iK Sigma_KK^+ Sigma_Kj;      Sigma_ii >= Sigma_iK Sigma_KK^+ Sigma_Ki

*Several entries.* The nearest point X of the slice to a wish W in the Frobenius norm is the positive part of
W + Y for the matrix Y, zero at the free entries, at which the dual function is smallest:

    X = (W + Y)_+,      dX/dY: minimise |(W + Y)_+|^2 / 2 - <Y, given>,  whose gradient is X - given, at the given ones

Steps of length 1 down this gradient are Dykstra's alternating projections (Boyle & Dykstra 1986; for correlation
matrices Higham 2002), which converge whenever the slice is not empty. Here they are accelerated (Nesterov 1983) and
restarted where they overshoot (O'Donoghue & Candes 2015).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from symlow.arrays import FloatArray

NULL = 1e-13
"""Eigenvalues of a Gram matrix of unit vectors below this are rounding errors of zero."""

MOST_STEPS = 20000
"""Steps after which the search for the nearest Gram matrix ends with what it has; a few hundred are the rule."""


def entry_range(gram: FloatArray, row: int, column: int) -> tuple[float, float]:
    """Return the smallest and the largest value of an entry with which the Gram matrix stays one, the others kept.

    Args:
        gram: a Gram matrix, shape (columns, columns), perhaps singular.
        row: the entry's row.
        column: its column; on the diagonal the largest value is inf.
    """
    sizes = np.sqrt(np.maximum(np.diag(gram), 0.0))
    units = np.where(sizes > 0, sizes, 1.0)
    scaled = gram / np.outer(units, units)
    kept = [k for k in range(len(gram)) if k not in (row, column) and sizes[k] > 0]
    values, vectors = np.linalg.eigh(scaled[np.ix_(kept, kept)])
    inside = values > NULL
    # Coordinates of the two columns along an orthonormal basis of the span of the others.
    basis = vectors[:, inside] / np.sqrt(values[inside])
    left, right = scaled[row, kept] @ basis, scaled[column, kept] @ basis
    middle, unit = left @ right, units[row] * units[column]
    if row == column:
        return float(middle * unit), math.inf
    beyond = math.sqrt(max(1.0 - left @ left, 0.0) * max(1.0 - right @ right, 0.0)) * (sizes[row] * sizes[column] > 0)
    return float((middle - beyond) * unit), float((middle + beyond) * unit)


def nearest_gram(wish: FloatArray, free: NDArray[np.bool_]) -> FloatArray:
    """Return the Gram matrix nearest to a wish in the Frobenius norm that has its entries where they are not free.

    Args:
        wish: symmetric, shape (columns, columns); where it is not free some Gram matrix has these entries.
        free: which entries can be others, symmetric, of the same shape.

    Returns:
        The matrix, with the given entries to the letter, and eigenvalues that are not negative but by rounding.
    """
    dual = ahead = np.zeros_like(wish)
    size, momentum = max(np.abs(wish).max(initial=0.0), np.finfo(float).tiny), 1.0
    for _ in range(MOST_STEPS):
        found = _positive(wish + ahead)
        missing = np.where(free, 0.0, wish - found)
        if np.abs(missing).max(initial=0.0) <= 1e-14 * size:
            break
        after = ahead + missing
        if np.sum(missing * (after - dual)) < 0:
            momentum = 1.0
        next_momentum = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = after + (momentum - 1) / next_momentum * (after - dual)
        dual, momentum = after, next_momentum
    return np.where(free, found, wish)


def _positive(matrix: FloatArray) -> FloatArray:
    """Return the nearest positive semidefinite matrix to a symmetric one: its negative eigenvalues set to zero."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T
