"""Symmetries of the input-output function: column mixings dP = eps P X that leave it as it is.

A mixing X moves the Gram matrix by dSigma = eps (X^T Sigma + Sigma X), and so the visible overlaps by a linear map
V(Sigma) of X. X is a symmetry if

    F'(sigma) V(Sigma) X = 0    for all Sigma,

where F' is the derivative of the input-output function by the visible overlaps (:mod:`symlow.response`). That is a
linear system for X, stacked over random Sigma until its solutions stay the same: nothing is assumed about which
symmetries there are. Losses of the function share them, and no learning rule can tell networks along them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from types import ModuleType

import numpy as np

from symlow.arrays import FloatArray
from symlow.derivation import Derivation
from symlow.gaps import NumericalRank, numerical_rank, unit_rows
from symlow.modular import PRIME, Residues, fraction, null_space, rank, reduced
from symlow.response import MarkovParameters, SampledOutputs, linear_state_space, random_overlaps

REPETITIONS = 2
"""Random Gram matrices in a row that must leave the symmetries as they are."""


READABLE = 1e-6
"""Coefficients of numerical symmetries below this are zero."""


@dataclass(frozen=True)
class Mixing:
    """A column mixing X that leaves the function as it is.

    Attributes:
        entries: (column added, column changed, coefficient): the changed column gets eps * coefficient * the added one.
            The coefficient is None where it is no fraction of small numbers.
    """

    entries: tuple[tuple[str, str, Fraction | None], ...]

    def __str__(self) -> str:
        """Return it in words, such as ``u + eps u, v - eps v``."""
        return ", ".join(
            f"{changed} {'-' if value is not None and value < 0 else '+'} {size(value)}eps {added}"
            for added, changed, value in self.entries
        )


def size(coefficient: Fraction | None) -> str:
    """Return the size of a coefficient as a factor: nothing for 1, ``c`` for one that is no fraction."""
    if coefficient is None:
        return "c "
    return "" if abs(coefficient) == 1 else f"{abs(coefficient)} "


@dataclass(frozen=True)
class Symmetries:
    """How the function depends on the visible overlaps, and what leaves it as it is.

    Attributes:
        exact: whether found by exact arithmetic modulo a prime; else numerically, with gaps.
        n_visible: number of visible overlaps.
        function_rank: rank of the function's derivative by them, at random overlaps.
        mixings: a basis of the symmetries, but for those that move no visible overlap.
        moved: in how many directions these move the visible overlaps, at random overlaps.
        gaps: the gaps of the numerical ranks of the function and of the symmetries; none if exact.
    """

    exact: bool
    n_visible: int
    function_rank: int
    mixings: tuple[Mixing, ...]
    moved: int
    gaps: tuple[NumericalRank, ...]

    @property
    def free(self) -> int:
        """The number of directions in the visible overlaps that do not change the function."""
        return self.n_visible - self.function_rank


def find_symmetries(derivation: Derivation, module: ModuleType, seed: int = 0) -> Symmetries:
    """Return the symmetries of the input-output function.

    Args:
        derivation: what has them.
        module: its generated module, for functions that are known by their outputs.
        seed: seed of random overlaps and inputs.
    """
    rng = np.random.default_rng(seed)
    space = linear_state_space(derivation)
    if space is not None:
        return _exact(derivation, MarkovParameters(derivation, space), rng)
    return _numerical(derivation, SampledOutputs(module, seed), rng)


def mixing_pairs(derivation: Derivation) -> tuple[tuple[int, int], ...]:
    """Return the entries (added, changed) that X may have: columns of the same neurons, ones left as they are."""
    index, ones = derivation.reduction.index, derivation.network.ones
    together = {frozenset((overlap.row, overlap.column)) for overlap in index.all}
    columns = range(len(index.columns))
    return tuple(
        (added, changed)
        for changed in columns
        for added in columns
        if frozenset((added, changed)) in together and index.columns[changed].vector not in ones
    )


def visible_change(derivation: Derivation) -> Residues:
    """Return V: the visible overlaps' change along X, a linear map of the overlaps, of the entries -2..2.

    Returns:
        Shape (n_visible, entries of X, n_overlaps): V(Sigma) is its product with the overlaps.
    """
    index, pairs = derivation.reduction.index, mixing_pairs(derivation)
    place = {frozenset((overlap.row, overlap.column)): k for k, overlap in enumerate(derivation.ordered)}
    V = np.zeros((len(derivation.visible), len(pairs), len(derivation.ordered)), dtype=np.int64)
    columns = range(len(index.columns))
    of_changed = {changed: [k for k, pair in enumerate(pairs) if pair[1] == changed] for changed in columns}
    for row, overlap in enumerate(derivation.reduction.visible):
        for changed, other in ((overlap.row, overlap.column), (overlap.column, overlap.row)):
            for k in of_changed[changed]:
                V[row, k, place[frozenset((pairs[k][0], other))]] += 1
    return V


def _exact(derivation: Derivation, function: MarkovParameters, rng: np.random.Generator) -> Symmetries:
    V = visible_change(derivation)
    equations = np.zeros((0, V.shape[1]), dtype=np.int64)
    trivial = equations.copy()
    unchanged, function_rank, moved = 0, 0, 0
    while unchanged < REPETITIONS:
        sigma = rng.integers(1, PRIME, (V.shape[-1],))
        change = V @ sigma % PRIME
        derivative = function.derivative(sigma)
        before = len(equations), len(trivial)
        function_rank = max(function_rank, rank(derivative))
        equations, _ = reduced(np.concatenate([equations, reduced(derivative)[0] @ change % PRIME]))
        trivial, _ = reduced(np.concatenate([trivial, change]))
        unchanged = unchanged + 1 if before == (len(equations), len(trivial)) else 0
        moved = rank(change @ null_space(equations).T % PRIME)
    solutions, idle = null_space(equations), null_space(trivial)
    lifted = [[fraction(int(value)) for value in row] for row in _complement(solutions, idle)]
    return Symmetries(True, V.shape[0], function_rank, _mixings(derivation, lifted), moved, ())


def _complement(solutions: Residues, idle: Residues) -> Residues:
    """Return solutions up to those that move nothing, in reduced echelon form."""
    pivots = list(reduced(idle)[1])
    return reduced(solutions - solutions[:, pivots] @ reduced(idle)[0])[0]


def _numerical(derivation: Derivation, function: SampledOutputs, rng: np.random.Generator) -> Symmetries:
    V = visible_change(derivation).astype(float)
    entries = V.shape[1]
    changes: list[FloatArray] = []
    equations: list[FloatArray] = []
    ranks: list[NumericalRank] = []
    points = 1
    while len(equations) < points:
        sigma = random_overlaps(derivation, rng)
        derivative = unit_rows(function.derivative(sigma))
        found = numerical_rank(derivative)
        _, _, directions = np.linalg.svd(derivative, full_matrices=False)
        changes.append(V @ sigma)
        equations.append(directions[: found.rank] @ changes[-1])
        ranks.append(found)
        points = -(-entries // max(found.rank, 1)) + REPETITIONS
    stacked = np.concatenate(equations)
    solved = numerical_rank(stacked)
    solutions = np.linalg.svd(stacked)[2][solved.rank :]
    idle = np.linalg.svd(np.concatenate(changes))[2][numerical_rank(np.concatenate(changes)).rank :]
    idle, pivots = _echelon(idle)
    basis, _ = _echelon(solutions - solutions[:, pivots] @ idle)
    moved = numerical_rank(changes[-1] @ basis.T).rank if len(basis) else 0
    lifted: list[list[Fraction | None]] = [
        [Fraction(float(value)).limit_denominator(100) for value in row] for row in basis
    ]
    worst = min(ranks, key=lambda found: found.above / max(found.below, 1e-300))
    return Symmetries(False, V.shape[0], worst.rank, _mixings(derivation, lifted), moved, (worst, solved))


def _echelon(rows: FloatArray) -> tuple[FloatArray, list[int]]:
    """Return the reduced echelon form, whose coefficients can be read, without rows of rounding; and its pivots."""
    rows = rows.copy()
    pivots: list[int] = []
    for column in range(rows.shape[1]):
        done = len(pivots)
        if done == len(rows):
            break
        pivot = done + int(np.argmax(np.abs(rows[done:, column])))
        if abs(rows[pivot, column]) < READABLE:
            continue
        rows[[done, pivot]] = rows[[pivot, done]]
        rows[done] /= rows[done, column]
        others = np.arange(len(rows)) != done
        rows[others] -= rows[others, column, None] * rows[done]
        pivots.append(column)
    return rows[: len(pivots)], pivots


def _mixings(derivation: Derivation, basis: list[list[Fraction | None]]) -> tuple[Mixing, ...]:
    columns, pairs = derivation.reduction.index.columns, mixing_pairs(derivation)
    return tuple(
        Mixing(
            tuple(
                (columns[added].label, columns[changed].label, value)
                for (added, changed), value in zip(pairs, row, strict=True)
                if value != 0
            )
        )
        for row in basis
    )
