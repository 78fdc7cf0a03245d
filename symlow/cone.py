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

*Faces.* Where a block of given entries is singular, as that of a column of norm 0 is, X vanishes along its null
vectors: it lies in a face of the cone, X = B X' B^T with B a basis of what is orthogonal to them, and the dual function
has no minimum. In the face it has one: there the positive part of M is B (B^T M B)_+ B^T.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from symlow.arrays import FloatArray
from symlow.errors import GramMatrixError

NULL = 1e-13
"""Eigenvalues of a Gram matrix of unit vectors below this are rounding errors of zero."""

SAME_NULL = 1e-7
"""The sine of the angle below which null vectors of two blocks are one."""

MOST_STEPS = 20000
"""Steps after which the search for the nearest Gram matrix ends; a few hundred are the rule."""

ENOUGH, ENOUGH_IN_FACE, LARGEST_MISS = 1e-14, 1e-13, 1e-10
"""By how much given entries are missed, relative to the largest entry: where the search ends, where it does in a face,
whose basis has errors of the size of ``NULL``, and what is no longer an answer after ``MOST_STEPS``."""


def unit_columns(gram: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the Gram matrix of the columns divided by their norms, and these; those of norm zero stay as they are.

    Args:
        gram: shape (..., columns, columns).

    Returns:
        The matrix, of the same shape, and by what columns were divided, shape (..., columns).
    """
    sizes = np.sqrt(np.maximum(np.diagonal(gram, axis1=-2, axis2=-1), 0.0))
    units = np.where(sizes > 0, sizes, 1.0)
    return gram / (units[..., :, None] * units[..., None, :]), units


def entry_range(gram: FloatArray, row: int, column: int) -> tuple[float, float]:
    """Return the smallest and the largest value of an entry with which the Gram matrix stays one, the others kept.

    Args:
        gram: a Gram matrix, shape (columns, columns), perhaps singular.
        row: the entry's row.
        column: its column; on the diagonal the largest value is inf.
    """
    scaled, units = unit_columns(gram)
    lasting = np.diag(gram) > 0
    kept = [k for k in range(len(gram)) if k not in (row, column) and lasting[k]]
    values, vectors = np.linalg.eigh(scaled[np.ix_(kept, kept)])
    inside = values > NULL
    # Coordinates of the two columns along an orthonormal basis of the span of the others.
    basis = vectors[:, inside] / np.sqrt(values[inside])
    left, right = scaled[row, kept] @ basis, scaled[column, kept] @ basis
    middle, unit = left @ right, units[row] * units[column]
    if row == column:
        return float(middle * unit), math.inf
    beyond = math.sqrt(max(1.0 - left @ left, 0.0) * max(1.0 - right @ right, 0.0)) * (lasting[row] and lasting[column])
    return float((middle - beyond) * unit), float((middle + beyond) * unit)


def nearest_gram(wish: FloatArray, free: NDArray[np.bool_]) -> FloatArray:
    """Return the Gram matrix nearest to a wish in the Frobenius norm that has its entries where they are not free.

    Args:
        wish: symmetric, shape (columns, columns); where it is not free some Gram matrix has these entries.
        free: which entries can be others, symmetric, of the same shape.

    Returns:
        The matrix, with the given entries to the letter, and eigenvalues that are not negative but by rounding.

    Raises:
        GramMatrixError: if none is found, for the given entries leave no room, or almost none, for the others.
    """
    basis = _face(wish, free)
    dual = ahead = np.zeros_like(wish)
    size, momentum = max(np.abs(wish).max(initial=0.0), np.finfo(float).tiny), 1.0
    enough = (ENOUGH if basis.shape[1] == len(wish) else ENOUGH_IN_FACE) * size
    for _ in range(MOST_STEPS):
        found = _positive(wish + ahead, basis)
        missing = np.where(free, 0.0, wish - found)
        missed = np.abs(missing).max(initial=0.0)
        if missed <= enough:
            break
        after = ahead + missing
        if np.sum(missing * (after - dual)) < 0:
            momentum = 1.0
        next_momentum = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = after + (momentum - 1) / next_momentum * (after - dual)
        dual, momentum = after, next_momentum
    if missed > LARGEST_MISS * size:
        raise GramMatrixError(
            f"the nearest Gram matrix: found one that misses entries that are to be kept by {missed:.1g}, after "
            f"{MOST_STEPS} steps; accepted: entries to keep that leave room for the others; change more of them, or "
            "by less"
        )
    return np.where(free, found, wish)


def _face(wish: FloatArray, free: NDArray[np.bool_]) -> FloatArray:
    """Return an orthonormal basis of what is orthogonal to the null vectors of given blocks, (columns, dimensions).

    Blocks are the largest that contain a column and as many as fit of those behind it, in cyclic order.
    """
    given, columns = ~free, len(wish)
    nulls: list[FloatArray] = []
    for start in np.flatnonzero(np.diag(given)):
        block: list[int] = []
        for k in np.roll(np.arange(columns), -start):
            if given[k, k] and given[k, block].all():
                block.append(int(k))
        scaled, units = unit_columns(wish[np.ix_(block, block)])
        values, vectors = np.linalg.eigh(scaled)
        for vector in vectors[:, values <= NULL].T:
            null = np.zeros(columns)
            null[block] = vector / units
            nulls.append(null / np.linalg.norm(null))
    if not nulls:
        return np.eye(columns)
    _, sizes, rotation = np.linalg.svd(np.array(nulls))
    return rotation[np.count_nonzero(sizes > SAME_NULL) :].T


def _positive(matrix: FloatArray, basis: FloatArray) -> FloatArray:
    """Return the nearest positive semidefinite matrix to a symmetric one in the span of a basis.

    That is the matrix in this basis with its negative eigenvalues set to zero.
    """
    values, vectors = np.linalg.eigh(basis.T @ matrix @ basis)
    vectors = basis @ vectors
    return (vectors * np.maximum(values, 0.0)) @ vectors.T
