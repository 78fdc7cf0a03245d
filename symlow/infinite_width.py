"""Neurons for a given Gram matrix: nodes that stand for infinitely many, and random ones in any number.

    row of P ~ N(mean, covariance),      sum_i w_i P_i P_i^T = Sigma, to rounding
    mean = 0,            covariance = Sigma
    mean = Sigma_1,      covariance = Sigma - Sigma_1 Sigma_1^T    with a column of ones, whose overlaps are Sigma_1

With these rows and weights w for neurons, :class:`symlow.simulate.FullNetwork` is the network of infinite width: sums
over neurons are Gaussian averages. The state h of a neuron depends on its entries in the carriers alone, through phi;
on those in the other columns, of readers, gradients depend as polynomials. So the rule is a product of two: with many
nodes along the random components that carriers are made of, and few along those that only readers have.

Gauss-Hermite rules: Golub and Welsch, "Calculation of Gauss quadrature rules" (1969), in NumPy. Scrambled Sobol points:
Owen, "Scrambling Sobol' and Niederreiter-Xing points" (1998), in SciPy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.special
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray

from symlow.arrays import FloatArray, check_array
from symlow.errors import ArrayError, GramMatrixError

MOST_NODES_PER_COMPONENT = 100
"""Up to here NumPy's Gauss-Hermite rules are tested to be exact."""

MOST_NODES = 2**23
"""The most nodes of a product rule: with ten columns P takes 0.7 GB."""

RANK_TOLERANCE = 1e-14
"""Eigenvalues of the covariance below this, times the largest, are rounding errors of zero."""


def gaussian_nodes(
    gram: FloatArray,
    carriers: Sequence[int],
    nodes_per_carrier: int,
    nodes_per_reader: int = 2,
    ones: int | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Return rows of P and their weights: a product of Gauss-Hermite rules over independent components.

    With ``n`` nodes along a component, averages of polynomials of degree 2 n - 1 in it are exact; those of phi converge
    as fast as phi is smooth. Two nodes do for readers at the first step of learning, since a gradient times a column is
    quadratic in them; later steps have moved readers into carriers, and need more.

    Args:
        gram: Sigma, shape (columns, columns), positive semidefinite, perhaps singular.
        carriers: positions of the carriers' columns.
        nodes_per_carrier: nodes along each component of the carriers; as many components as their rank.
        nodes_per_reader: nodes along each component that only the other columns have.
        ones: position of the column that is one for every neuron, if there is one.

    Returns:
        P, shape (nodes, columns), and weights of sum 1, shape (nodes,), the outermost as small as 1e-150, but not zero.

    Raises:
        ArrayError: for a wrong shape or values that are not finite, too many nodes, or a column of ones whose overlap
            with itself is not one.
        GramMatrixError: if the Gram matrix is not positive semidefinite.
    """
    mean, factor, rank = row_distribution(gram, carriers, ones)
    counts = [nodes_per_carrier] * rank + [nodes_per_reader] * (factor.shape[1] - rank)
    for name, count in (("nodes_per_carrier", nodes_per_carrier), ("nodes_per_reader", nodes_per_reader)):
        if not 2 <= count <= MOST_NODES_PER_COMPONENT:
            raise ArrayError(f"{name}: found {count}; accepted: 2 to {MOST_NODES_PER_COMPONENT}")
    total = np.prod(counts, dtype=float)
    if total > MOST_NODES:
        raise ArrayError(
            f"nodes: found {total:.3g}, of {rank} components of carriers and {len(counts) - rank} of readers; "
            f"accepted: at most {MOST_NODES}; take fewer nodes for each, or sobol_nodes"
        )
    components, weights = np.zeros((1, 0)), np.ones(1)
    for count in counts:
        points, masses = hermegauss(count)
        along = np.tile(points, len(components))[:, None]
        components = np.hstack([np.repeat(components, count, axis=0), along])
        weights = np.repeat(weights, count) * np.tile(masses / masses.sum(), len(weights))
    return _rows(mean, factor, components, ones), weights


def sobol_nodes(
    gram: FloatArray, carriers: Sequence[int], nodes: int, seed: int, ones: int | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return rows of P and their weights, all 1/nodes: Sobol points, for more carriers than a product of rules allows.

    Points are scrambled, without which the first of them would lie at infinity, mapped to Gaussians, and corrected by
    a linear map so that means and Gram matrix are exact. The error of averages falls faster than 1/sqrt(nodes); other
    seeds show its size.

    Args:
        gram: Sigma, shape (columns, columns), positive semidefinite, perhaps singular.
        carriers: positions of the carriers' columns, which get the first and best dimensions.
        nodes: number of nodes, a power of two.
        seed: of the scrambling.
        ones: position of the column that is one for every neuron, if there is one.

    Returns:
        P, shape (nodes, columns), and weights, shape (nodes,).

    Raises:
        ArrayError: for a wrong shape or values that are not finite, a number of nodes that is no power of two or not
            above the number of columns, or a column of ones whose overlap with itself is not one.
        GramMatrixError: if the Gram matrix is not positive semidefinite.
    """
    from scipy.stats import qmc  # half a second, and nothing else here needs it

    mean, factor, _ = row_distribution(gram, carriers, ones)
    if nodes <= len(factor) or nodes & (nodes - 1):
        raise ArrayError(f"nodes: found {nodes}; accepted: a power of two above the {len(factor)} columns")
    components = np.zeros((nodes, 0))
    if factor.shape[1]:
        sampler = qmc.Sobol(factor.shape[1], scramble=True, seed=seed)
        components = scipy.special.ndtri(sampler.random_base2(nodes.bit_length() - 1))
    components = orthonormal(components - components.mean(axis=0))
    return _rows(mean, factor, components, ones), np.full(nodes, 1 / nodes)


def realise_weights(gram: FloatArray, neurons: int, seed: int, ones: int | None = None) -> FloatArray:
    """Return random weights P with exactly the given Gram matrix P^T P / N, shape (neurons, columns).

    P = sqrt(N) Q F^T with a frame Q of orthonormal columns, uniformly distributed, and F F^T = Sigma: as N grows the
    rows tend to independent Gaussian ones. With a column of ones, the columns of Q are orthogonal to it too.

    Args:
        gram: Sigma, shape (columns, columns), positive semidefinite, perhaps singular.
        neurons: N, at least the number of columns.
        seed: of the random frame.
        ones: position of the column that is one for every neuron, if there is one.

    Raises:
        ArrayError: for a wrong shape or values that are not finite, fewer neurons than columns, or a column of ones
            whose overlap with itself is not one.
        GramMatrixError: if the Gram matrix is not positive semidefinite.
    """
    mean, factor, _ = row_distribution(gram, [], ones)
    if neurons < len(factor):
        raise ArrayError(f"neurons: found {neurons}; accepted: at least the number of columns, {len(factor)}")
    components = np.random.default_rng(seed).standard_normal((neurons, factor.shape[1]))
    if ones is not None:
        components -= components.mean(axis=0)
    return _rows(mean, factor, orthonormal(components), ones)


def row_distribution(gram: FloatArray, carriers: Sequence[int], ones: int | None) -> tuple[FloatArray, FloatArray, int]:
    """Return the mean of a row of P, shape (columns,), a factor F of its covariance, and the rank of the carriers.

    F has shape (columns, components), F F^T = covariance, and carriers depend on the first ``rank`` components only,
    to rounding. Rotations do all of it, and rounding stays that of a few operations for singular matrices too, where
    elimination would divide by what is left of a pivot.
    """
    gram = check_array(gram, "gram", (None, None), "(columns, columns)")
    p = len(gram)
    if gram.shape != (p, p) or np.abs(gram - gram.T).max(initial=0) > 1e-12 * np.abs(gram).max(initial=1):
        raise ArrayError(f"gram: found shape {gram.shape}, or not symmetric; accepted: a symmetric matrix")
    if not all(0 <= position < p for position in [*carriers, ones or 0]):
        raise ArrayError(f"carriers, ones: found {list(carriers)}, {ones}; accepted: columns 0 to {p - 1}")
    mean = np.zeros(p)
    if ones is not None:
        if abs(gram[ones, ones] - 1) > 1e-12:
            raise ArrayError(f"gram: found {gram[ones, ones]:.15g} for the column of ones with itself; accepted: 1")
        mean = gram[:, ones].copy()
    values, vectors = np.linalg.eigh(gram - np.outer(mean, mean))
    largest = max(values[-1], 0.0)
    if values[0] < -1e-10 * max(1.0, largest):
        raise GramMatrixError(
            f"gram: the covariance of rows has the eigenvalue {values[0]:.3g}; accepted: positive semidefinite, as of "
            "real vectors"
        )
    kept = values > RANK_TOLERANCE * max(largest, np.finfo(float).tiny)
    root = vectors[:, kept] * np.sqrt(values[kept])
    rest = np.setdiff1d(np.arange(p), carriers)
    root, rank = _rotated(root, np.asarray(carriers, dtype=int), 0)
    root, components = _rotated(root, rest, rank)
    return mean, root[:, :components], rank


def _rotated(root: FloatArray, rows: NDArray[np.int_], start: int) -> tuple[FloatArray, int]:
    """Rotate the components from ``start`` so that these rows depend on as few as possible; return where those end."""
    root = root.copy()
    block = root[rows, start:]
    if block.size == 0:
        return root, start
    _, sizes, rotation = np.linalg.svd(block, full_matrices=True)
    end = start + int(np.sum(sizes > RANK_TOLERANCE * max(np.abs(root).max(), np.finfo(float).tiny)))
    root[:, start:] = root[:, start:] @ rotation.T
    return root, end


def orthonormal(components: FloatArray) -> FloatArray:
    """Return the nearest matrix Z with Z^T Z / N = 1: rotations of the components rotate it with them."""
    if components.shape[1] == 0:
        return components
    left, _, right = np.linalg.svd(components, full_matrices=False)
    return np.sqrt(len(components)) * left @ right


def _rows(mean: FloatArray, factor: FloatArray, components: FloatArray, ones: int | None) -> FloatArray:
    rows = mean + components @ factor.T
    if ones is not None:
        rows[:, ones] = 1.0
    return rows
