"""Realisation: weight vectors with exactly given overlaps (math.md, section 10).

    P = 1 mean^T + sqrt(N) Q F^T,      F F^T = Sigma - mean mean^T,      Q^T Q = 1,      Q^T 1 = 0 where there are means

for each population of neurons, with Sigma its Gram matrix divided by its weight. Q is a random frame, of the directions
of Gaussian columns: as N grows the rows of P tend to independent Gaussian ones. Carriers C and the others R have

    F = [[A, 0], [B, H]],      A = Cov_CC^(1/2),  B = Cov_RC A^+,  H = (Cov_RR - B B^T)^(1/2)

with symmetric roots, which are continuous in Sigma. So networks of one seed whose carriers have the same overlaps have
the same carriers, and differ in the others alone.

*Pairs.* Each state of a neuron is a function of the neuron's entries in carriers. If neurons come in pairs of the same
entries in carriers, and of opposite ones in what is left of the others beyond their regression on carriers, this rest
sees nothing of any state, for phi(h) is the same in both. What readers see then follows, at every N and for every
nonlinearity, from the carriers and from B alone, that is from overlaps of readers with carriers: networks of one seed
that differ in other overlaps have the same outputs to rounding, until learning moves the two neurons of a pair apart.
"""

from __future__ import annotations

import numpy as np

from symlow.arrays import FloatArray, check_integer
from symlow.cone import nearest_gram, unit_columns
from symlow.derivation import Derivation
from symlow.errors import ArrayError, GramMatrixError, LearningError, listing
from symlow.infinite_width import orthonormal, row_distribution
from symlow.initial import (
    check_finite_overlaps,
    gram_of_overlaps,
    infeasible,
    overlaps_of_gram,
    population_parts,
    weights_by_vector,
)


def realise(
    derivation: Derivation, sigma: object, *, neurons: int, seed: int = 0, paired: bool = False
) -> dict[str, FloatArray]:
    """Return random weight vectors with exactly the given overlaps.

    ``module.overlaps_of(**realise(d, sigma, neurons=500))`` is sigma to rounding: to 1e-13 of sqrt(sigma_aa sigma_bb)
    for the overlap of a and b, also where the Gram matrix is singular.

    Args:
        derivation: whose overlaps they are.
        sigma: overlaps, shape (n_overlaps,).
        neurons: N, of all populations together; at least as many in each as it has columns of P.
        seed: of the random frame.
        paired: whether neurons come in pairs, so that outputs depend on overlaps of readers with carriers and of
            carriers with one another alone, at this N too; needs an even number in each population, of at least twice
            the columns of its carriers, means included, and of its other vectors.

    Returns:
        By vector, but for those of ones, an array of shape (N, columns), of its population's own neurons.

    Raises:
        ArrayError: for a wrong shape, values that are not finite, or too few neurons.
        GramMatrixError: if the overlaps are those of no network; the message names the nearest that are.
        LearningError: if ``neurons`` does not divide into the populations, or into pairs, or the seed is negative.
    """
    state = check_state(sigma, derivation)
    neurons = check_integer(neurons, "neurons", 1, LearningError)
    seed = check_integer(seed, "seed", 0, LearningError)
    gram, network = gram_of_overlaps(derivation, state), derivation.network
    labels = [column.vector for column in derivation.reduction.index.columns]
    weights = np.zeros((neurons, len(gram)))
    for place, (population, rows, columns) in enumerate(population_parts(derivation, neurons)):
        size = rows.stop - rows.start
        names = [labels[k] for k in columns]
        ones = None if population.ones is None else names.index(population.ones)
        carriers = [k for k, name in enumerate(names) if name in network.carriers and k != ones]
        own = gram[np.ix_(columns, columns)] / (float(population.weight) if network.equations.averages else size)
        where = f"neurons of population {population.name!r}" if population.name else "neurons"
        random = np.random.default_rng([seed, place])
        try:
            weights[rows, columns] = _rows(own, size, random, carriers, ones, paired)
        except ArrayError as error:
            raise ArrayError(f"{where}: {error}") from None
    return weights_by_vector(derivation, weights)


def _rows(
    gram: FloatArray,
    neurons: int,
    random: np.random.Generator,
    carriers: list[int],
    ones: int | None,
    paired: bool,
) -> FloatArray:
    """Return rows of P with the Gram matrix P^T P / neurons, shape (neurons, columns)."""
    # Of unit columns, so that rounding is relative to the norms of the two columns of an overlap.
    scaled, units = unit_columns(gram)
    if np.linalg.eigvalsh(scaled)[0] < 0:
        # Of rounding: what is beyond it has been refused by check_state.
        free = np.ones(scaled.shape, dtype=bool)
        if ones is not None:
            free[ones, ones] = False
        scaled = nearest_gram(scaled, free)
    mean, factor, rank = row_distribution(scaled, carriers, ones)
    others = [k for k in range(len(gram)) if k not in carriers and k != ones]
    loadings = np.zeros((len(gram), len(carriers) + len(others)))
    loadings[:, : len(carriers)] = factor[:, :rank] @ _to_symmetric(factor[carriers, :rank])
    loadings[others, len(carriers) :] = factor[others, rank:] @ _to_symmetric(factor[others, rank:])
    frame = (_paired_frame if paired else _frame)(random, neurons, len(carriers), len(others), ones is not None)
    rows = (mean + frame @ loadings.T) * units
    if ones is not None:
        rows[:, ones] = 1.0
    return rows


def _to_symmetric(root: FloatArray) -> FloatArray:
    """Return the rotation T, orthonormal rows, for which root T is the symmetric root of root root^T."""
    left, _, right = np.linalg.svd(root, full_matrices=False)
    return right.T @ left.T


def _frame(random: np.random.Generator, neurons: int, carriers: int, others: int, means: bool) -> FloatArray:
    """Return columns Z with Z^T Z / neurons = 1, and of mean zero where there are means."""
    columns = carriers + others + means
    if neurons < columns:
        raise ArrayError(f"found {neurons}; accepted: at least the number of columns of P, {columns}")
    components = random.standard_normal((neurons, carriers + others))
    return orthonormal(components - components.mean(axis=0) if means else components)


def _paired_frame(random: np.random.Generator, neurons: int, carriers: int, others: int, means: bool) -> FloatArray:
    """Return such columns, equal in both neurons of a pair along carriers, and opposite along the others."""
    least = 2 * max(carriers + means, others)
    if neurons % 2 or neurons < least:
        raise ArrayError(f"found {neurons}; accepted with paired = True: an even number, at least {least}")
    equal, opposite = _frame(random, neurons // 2, carriers, 0, means), _frame(random, neurons // 2, others, 0, False)
    return np.block([[equal, opposite], [equal, -opposite]])


def check_state(sigma: object, derivation: Derivation) -> FloatArray:
    """Return the overlaps of one network as an array of floats, checked: shape (n_overlaps,).

    Raises:
        ArrayError: for a wrong shape, or values that are not finite numbers.
        GramMatrixError: if they are those of no network; the message names the nearest that are.
    """
    state = check_finite_overlaps(sigma, derivation)
    if state.ndim != 1:
        raise ArrayError(f"sigma: found {len(state)} states; accepted: one, shape ({len(derivation.overlaps)},)")
    for relative in (False, True):
        for _, problem in infeasible(state[None], derivation, relative):
            raise GramMatrixError(f"sigma: {problem}; {_nearest(state, derivation, relative)}")
    return state


def _nearest(state: FloatArray, derivation: Derivation, relative: bool) -> str:
    """Return in words which overlaps are others in the network with the overlaps nearest to those given."""
    near, gram = nearest_overlaps(derivation, state, relative), gram_of_overlaps(derivation, state)
    units = unit_columns(gram)[1] if relative else np.ones(len(gram))
    moves = np.abs(near - state) / overlaps_of_gram(derivation, np.outer(units, units))
    changed = [
        f"{name} = {value:.{_digits(value, found)}g}"
        for name, value, found, move in zip(derivation.overlaps, near, state, moves, strict=True)
        if move > 1e-6 * moves.max()
    ]
    return f"the nearest overlaps of a network{', relative to norms,' if relative else ''} have {listing(changed)}"


def _digits(value: float, other: float) -> int:
    """Return how many digits tell a number from another one, at least six."""
    return int(np.clip(3 + np.ceil(np.log10(abs(value) / abs(value - other))), 6, 17)) if value not in (0, other) else 6


def nearest_overlaps(derivation: Derivation, sigma: FloatArray, relative: bool = False) -> FloatArray:
    """Return the overlaps nearest to given ones, in the Frobenius norm of Sigma, that a network has.

    Args:
        derivation: whose overlaps they are.
        sigma: overlaps, shape (n_overlaps,), of a network or not.
        relative: whether the norm is that of Sigma with columns divided by their norms.

    Raises:
        GramMatrixError: if they are not found.
    """
    gram = gram_of_overlaps(derivation, sigma)
    units = np.ones(len(gram))
    if relative:
        gram, units = unit_columns(gram)
    free = gram_of_overlaps(derivation, np.ones(len(sigma))) > 0
    for population in derivation.network.equations.populations:
        if population.ones is not None:
            at = derivation.reduction.index.slice(population.ones).start
            gram[at, at], free[at, at] = float(population.weight) / units[at] ** 2, False
    return overlaps_of_gram(derivation, nearest_gram(gram, free) * np.outer(units, units))
