"""Gram matrices among symmetric ones: the range of one entry, and the nearest to wishes for several.

A symmetric matrix is the Gram matrix of real vectors exactly if it is positive semidefinite. These form a cone, and
those of them with given values of some entries are a slice of it, a convex set.

*One entry.* With K all indices but i and j, and C = Sigma_ab - Sigma_aK Sigma_KK^+ Sigma_Kb for a, b in {i, j}, the
Schur complement of Sigma_KK, Sigma stays positive semidefinite exactly for

    |Sigma_ij - b| <= sqrt(C_ii C_jj),  b = Sigma_iK Sigma_KK^+ Sigma_Kj;      Sigma_ii >= Sigma_iK Sigma_KK^+ Sigma_Ki

*Several entries.* The nearest point X of the slice to a wish W in the Frobenius norm has a multiplier Z with

    X >= 0,   Z >= 0,   X Z = 0;      Z_ij = X_ij - W_ij at the free entries,      X_ij = given_ij at the others

where >= 0 is positive semidefinite. The products X Z = mu 1 are the equation X = p(X - Z) of the smoothed positive part

    p(M) = (M + (M^2 + 4 mu)^(1/2)) / 2,      which tends to M_+ as mu tends to 0

solved by Newton's method while mu falls to 0 (Chen & Tseng 2003), in ten or twenty steps, quadratic at last, from any
start. Columns are divided by their norms first, free norms by an estimate from the wishes, and Z by the largest pull of
a wish. So it is of little matter how far the wishes are, and where norms are given, of what sizes; where norms are free
and sizes differ by more than a factor of about 10^3, the point found can be a nearly nearest one.

*Faces.* Where a block of given entries is singular, as that of a column of norm 0 is, X vanishes along its null
vectors: it lies in a face of the cone, X = B X' B^T with B a basis of what is orthogonal to them, and Z need not exist.
In the face it does: X' and Z' are in place of X and Z.
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

BEYOND = 1e250
"""Relative to norms, as far as any wish."""

MOST_STEPS = 300
"""Newton's steps after which the search for the nearest Gram matrix ends; about twenty are the rule, with columns of
sizes 10^3 apart forty."""

LARGEST_MISS = 1e-10
"""By how much X and (X - Z)_+ can differ, with columns of norm 1, in what is still an answer."""

NEAR_PATH, FALL, LAST_ROOT = 0.01, 0.3, 1e-12
"""Where the equation is solved to ``NEAR_PATH`` of mu^(1/2), this falls to ``FALL`` of itself; below ``LAST_ROOT`` to
zero."""

SHORTEST = 1e-6
"""The shortest fraction of a Newton step that is tried."""

LEAST_PULLS = (1e-10, 1e-8, 1e-6)
"""The least pull of a wish, relative to the largest: the first with which there is an answer. Weaker ones are taken as
that strong, or rounding would hide them: they decide what stronger ones leave open."""

NORM_SWEEPS, NORM_HALVINGS = 10, 12
"""How often free norms are estimated from one another, and bisections, on a logarithmic scale, for each."""

LIKE_EXPECTED, MOST_RESCALINGS = 10.0, 8
"""By which factor a squared norm that is free can differ from its estimate, and how often it is estimated anew."""


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
        The matrix, with exactly the given entries, and, with columns divided by their norms, eigenvalues that are
        not negative but by rounding.

    Raises:
        GramMatrixError: if none is found, for the given entries leave no room, or almost none, for the others.
    """
    norms, loose = _expected_norms(wish, free), np.diag(free)
    for _ in range(MOST_RESCALINGS):
        units = norms[:, None] * norms
        with np.errstate(over="ignore"):  # of wishes near the largest number, for small columns
            scaled = np.clip(wish / units, -BEYOND, BEYOND)
        weights = np.square(units / units.max())
        for least_pull in LEAST_PULLS:
            found, missed = _Slice(scaled, weights, free, least_pull).nearest()
            if missed <= LARGEST_MISS:
                break
        squares = np.diag(found)
        unlike = loose & ((squares > LIKE_EXPECTED) | (squares < 1 / LIKE_EXPECTED))
        if not (squares[unlike] > NULL).any():
            break
        norms = np.where(unlike, norms * np.sqrt(np.maximum(squares, NULL)), norms)
    nearest = np.where(free, found * units, wish)
    # What is missed can be large beside a column that turned out short.
    low = float(np.linalg.eigvalsh(unit_columns(nearest)[0])[0])
    if not (missed <= LARGEST_MISS and low >= -LARGEST_MISS):
        raise GramMatrixError(
            f"the nearest Gram matrix: found none but to {max(missed, -low):.1g} relative to norms; accepted: entries "
            "to keep that leave room for the others; change more of them, or by less"
        )
    return nearest


def _expected_norms(wish: FloatArray, free: NDArray[np.bool_]) -> FloatArray:
    """Return what columns are divided by: their norms, where these are free those that wishes lead to, never zero.

    These are the d_i at which sum_i (d_i^2 - W_ii)^2 + 2 sum_j (|W_ij| - d_i d_j)_+^2, what norms alone let wishes
    come near to, is smallest in each, and at which d_i d_j is at least what is given.
    """
    largest = max(float(np.abs(wish).max(initial=0.0)), np.finfo(float).tiny)
    loose, sizes = np.diag(free), np.abs(wish) / largest
    norms: FloatArray = np.sqrt(np.maximum(np.diag(wish) / largest, 0.0))
    norms = np.where(loose, np.maximum(norms, np.sqrt(np.where(free, sizes, 0.0).max(axis=1, initial=0.0))), norms)
    for _ in range(NORM_SWEEPS):
        for i in np.flatnonzero(loose):
            others = norms > 0
            others[i] = False
            wished, given = others & free[i], others & ~free[i]
            norms[i] = max(
                _expected_norm(float(wish[i, i]) / largest, sizes[i, wished], norms[wished]),
                (sizes[i, given] / norms[given]).max(initial=0.0),
            )
    return np.where(norms > 0, norms, 1.0) * math.sqrt(largest)


def _expected_norm(square: float, sizes: FloatArray, others: FloatArray) -> float:
    """Return the largest d with d^3 - square d = sum_j others_j (sizes_j - d others_j)_+, to about 1 %."""
    low = math.sqrt(max(square, 0.0))
    high = low + math.cbrt(float(sizes @ others))
    low = max(low, NULL**2 * high)
    for _ in range(NORM_HALVINGS):
        middle = math.sqrt(low) * math.sqrt(high)
        rises = middle * (middle * middle - square) >= others @ np.maximum(sizes - middle * others, 0.0)
        low, high = (low, middle) if rises else (middle, high)
    return high


class _Slice:
    """The slice of a cone, of columns with norms of about 1, and the search for its point nearest to a wish.

    Symmetric matrices of the face are vectors of coordinates in an orthonormal basis, shape (coordinates,). Those of X
    are ``origin + tangent t``, of which the given entries stay as they are, and those of Z ``tangent (slope t + pull)``
    plus ``normal y``.
    """

    def __init__(self, wish: FloatArray, weights: FloatArray, free: NDArray[np.bool_], least: float) -> None:
        self._face = _face(np.where(free, 0.0, wish), free)
        self._basis = _symmetric_basis(self._face.shape[1])
        whole = self._face @ self._basis @ self._face.T
        upper = np.triu_indices(len(wish))
        entries, loose = whole[:, *upper].T, free[upper]
        left, sizes, right = np.linalg.svd(entries[~loose])
        rank = np.count_nonzero(sizes > SAME_NULL)
        self._normal, self._tangent = right[:rank].T, right[rank:].T
        self._origin = self._normal @ (left[:, :rank].T @ wish[upper][~loose] / sizes[:rank])
        pulls, wishes = _bounded_pulls(weights[upper][loose], wish[upper][loose], least)
        pulls = pulls * np.where(upper[0] == upper[1], 1.0, 2.0)[loose]
        moves = entries[loose] @ self._tangent
        here = entries[loose] @ self._origin
        self._slope = moves.T @ (pulls[:, None] * moves)
        self._pull = moves.T @ (pulls * (here - wishes))
        self._start = _solved(moves, np.clip(wishes, -1.0, 1.0) - here)

    def nearest(self) -> tuple[FloatArray, float]:
        """Return the nearest point, shape (columns, columns), and by how much X and (X - Z)_+ differ there."""
        place = np.concatenate([self._start, np.zeros(self._normal.shape[1])])
        root, best, least = 1.0, place, math.inf
        for _ in range(MOST_STEPS):
            values, vectors, residual = self._equation(place, root)
            missed = float(np.linalg.norm(residual))
            while root > 0 and missed <= NEAR_PATH * root:
                root = FALL * root if FALL * root > LAST_ROOT else 0.0
                values, vectors, residual = self._equation(place, root)
                missed = float(np.linalg.norm(residual))
            if root == 0:
                if missed >= least / 2:  # rounding is all that is left
                    break
                best, least = place, missed
            try:
                step = _solved(self._jacobian(values, vectors, root), -residual)
            except np.linalg.LinAlgError:  # no singular values, of a step that went far out
                break
            length = self._length(place, step, root, missed)
            if length == 0:
                if root == 0:
                    break
                root = FALL * root if FALL * root > LAST_ROOT else 0.0
            place = place + length * step
        values, vectors, residual = self._equation(best, 0.0)
        vectors = self._face @ vectors
        return (vectors * np.maximum(values, 0.0)) @ vectors.T, float(np.linalg.norm(residual))

    def _equation(self, place: FloatArray, root: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return eigenvalues and eigenvectors of X - Z, and the coordinates of X - p(X - Z) where mu is root^2."""
        count = self._tangent.shape[1]
        x = self._origin + self._tangent @ place[:count]
        z = self._tangent @ (self._slope @ place[:count] + self._pull) + self._normal @ place[count:]
        values, vectors = np.linalg.eigh(np.tensordot(x - z, self._basis, 1))
        smooth = (vectors * _smoothed(values, root)) @ vectors.T
        return values, vectors, x - np.tensordot(self._basis, smooth, 2)

    def _jacobian(self, values: FloatArray, vectors: FloatArray, root: float) -> FloatArray:
        """Return the derivative of the equation by t and y: the divided differences of p in the basis of X - Z."""
        sides = np.hypot(values, 2 * root)
        total = sides[:, None] + sides
        ratios = np.divide(values[:, None] + values, total, out=np.zeros_like(total), where=total > 0)
        turned = (vectors.T @ self._basis @ vectors).reshape(len(self._basis), -1)
        slope = (turned * (0.5 * (1 + ratios)).ravel()) @ turned.T
        return np.hstack([self._tangent - slope @ (self._tangent - self._tangent @ self._slope), slope @ self._normal])

    def _length(self, place: FloatArray, step: FloatArray, root: float, missed: float) -> float:
        """Return by which part of a step the equation is missed by less (Armijo's rule), or zero if by none."""
        length = 1.0
        while length > SHORTEST:
            if np.linalg.norm(self._equation(place + length * step, root)[2]) <= (1 - 1e-4 * length) * missed:
                return length
            length /= 2
        return 0.0


def _solved(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Return the solution of linear equations, the shortest nearest one."""
    return np.asarray(np.linalg.lstsq(matrix, right, rcond=np.finfo(float).eps)[0], dtype=np.float64)


def _symmetric_basis(size: int) -> FloatArray:
    """Return an orthonormal basis of the symmetric matrices, shape (size (size + 1) / 2, size, size)."""
    rows, columns = np.triu_indices(size)
    places = np.arange(len(rows))
    basis = np.zeros((len(rows), size, size))
    basis[places, rows, columns] = basis[places, columns, rows] = np.where(rows == columns, 1.0, math.sqrt(0.5))
    return basis


def _bounded_pulls(weights: FloatArray, wishes: FloatArray, least: float) -> tuple[FloatArray, FloatArray]:
    """Return weights and wishes whose pulls, weight times wish, are at most 1, and weights that are at least so large.

    A wish that can be fulfilled, between -1 and 1, stays; another keeps its pull, or is moved to these ends.
    """
    pulls = weights / (weights * (1 + np.abs(wishes))).max(initial=np.finfo(float).tiny)
    held = np.maximum(np.abs(pulls * wishes) / least, np.minimum(np.abs(wishes), 1.0))
    weak = pulls < least
    return np.where(weak, least, pulls), np.where(weak, np.copysign(held, wishes), wishes)


def _smoothed(values: FloatArray, root: float) -> FloatArray:
    """Return p of numbers, where mu is root^2, without a loss of digits where they are negative."""
    half = (np.abs(values) + np.hypot(values, 2 * root)) / 2
    small = np.divide(root, half, out=np.zeros_like(half), where=half > 0) * root
    return np.where(values > 0, half, small)


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
