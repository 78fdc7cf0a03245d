"""What learning can reach from given overlaps, and what invisible overlaps can remember of it.

Learning moves the overlaps by dsigma/dt = -G(sigma) grad L. The states that a sequence of losses can reach from sigma
form the orbit of a family of vector fields, a manifold whose dimension is that of the Lie algebra which they generate
there (Chow 1939, Rashevskii 1938; Nagano 1966, Sussmann 1973). Two families are of interest.

*Losses of the visible overlaps*, whatever they are. The fields are the columns of G, each a column mixing
dP/dt = P M_b with M_b a constant matrix, for dSigma/dt = M_b^T Sigma + Sigma M_b. Brackets of mixings are mixings by
the commutators of their matrices, so the Lie algebra g is found by exact linear algebra on matrices of the size of
Sigma, and the tangent space of the orbit is {X^T Sigma + Sigma X: X in g}.

*Losses of the input-output function*, as those of every task are. Their gradients are F'^T w, and annihilate the
symmetries of the function, so that the family is smaller: fields G F'^T w. The tangent space of its orbit is spanned
by the fields at all states of the orbit, carried back by the flows that lead there (Sussmann 1973); flows of random
tasks and their linearisation give it numerically. What it has less are quantities that other losses do not conserve:
with vectors u and v of equal rates, Sigma_uu - Sigma_vv, for the symmetry u -> u A, v -> v A^(-T), in linear and
nonlinear networks alike.

With feedback alignment G is the matrix of the same meaning (:mod:`symlow.learning`), cotangents of the backward pass
take the place of gradients, and F' is that of the network that reads with the feedback vectors: errors are arbitrary,
but what they do to overlaps is not.

Directions of the orbit that move no visible overlap are a memory: networks with one function, and one set of conserved
quantities, that learned different things before, differ in so many dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from types import ModuleType

import numpy as np
from scipy.integrate import solve_ivp

from symlow.arrays import FloatArray
from symlow.derivation import Derivation
from symlow.gaps import NumericalRank, numerical_rank, unit_rows
from symlow.modular import PRIME, Residues, lie_algebra, null_space, rank, reduced, residue
from symlow.response import SampledOutputs, random_overlaps

TASKS = 3
"""Tasks of a learning history, one after the other."""

UNCHANGED = 2
"""Learning histories in a row that must not add to the orbit's tangent space."""

STRIDE = 0.3
"""How far each task moves the overlaps, in parts of the largest."""

STEPS = 12
"""Time steps of the tasks' trials."""

TOLERANCE = 1e-10
"""Relative tolerance of the flows: between what counts and what does not there are many orders of magnitude."""


@dataclass(frozen=True)
class Reachable:
    """The orbit of overlaps under learning, at random overlaps.

    Attributes:
        dimension: its dimension.
        visible: how many directions of the visible overlaps it has.
        free: names of the invisible overlaps that serve as its other coordinates: given these, the visible overlaps
            and the conserved quantities, all others are determined, locally.
        algebra: dimension of the Lie algebra of column mixings; None where it is not one of constant mixings.
        gaps: of the numerical ranks of the orbit and of its visible directions; none if exact, modulo a prime.
    """

    dimension: int
    visible: int
    free: tuple[str, ...]
    algebra: int | None
    gaps: tuple[NumericalRank, ...]

    @property
    def memory(self) -> int:
        """In how many dimensions overlaps with the same visible ones can differ."""
        return self.dimension - self.visible


def reachable_by_overlaps(derivation: Derivation, seed: int = 0) -> Reachable:
    """Return what losses of the visible overlaps can reach, by exact arithmetic modulo a prime."""
    rng = np.random.default_rng(seed)

    def draw(shape: tuple[int, ...]) -> Residues:
        return rng.integers(0, PRIME, shape)

    generators = _mixings(derivation)
    if not len(generators):
        return Reachable(0, 0, (), 0, ())
    algebra = lie_algebra(generators, draw)
    tangents, _ = reduced(_moved(derivation, algebra, draw((len(derivation.overlaps),))))
    n = len(derivation.visible)
    hidden = null_space(tangents[:, :n].T) @ tangents[:, n:] % PRIME
    free = tuple(derivation.invisible[k] for k in reduced(hidden)[1])
    return Reachable(len(tangents), rank(tangents[:, :n]), free, len(algebra), ())


def reachable_by_tasks(derivation: Derivation, module: ModuleType, seed: int = 0) -> Reachable:
    """Return what losses of the input-output function can reach, numerically, by learning histories of random tasks.

    Args:
        derivation: what learns.
        module: its generated module.
        seed: seed of overlaps and tasks.
    """
    rng = np.random.default_rng(seed)
    family = _FamilyOfTasks(derivation, module, SampledOutputs(module, seed))
    if not family.learns:
        return Reachable(0, 0, (), None, ())
    start = random_overlaps(derivation, rng)
    tangents, found, unchanged = family.fields(start), NumericalRank(0, 1.0, 0.0), 0
    while unchanged < UNCHANGED and found.rank < len(start):
        tangents = np.concatenate([tangents, family.carried_back(start, rng)])
        before, found = found, numerical_rank(tangents)
        unchanged = unchanged + 1 if found.rank == before.rank else 0
    basis = np.linalg.svd(tangents, full_matrices=False)[2][: found.rank]
    n = len(derivation.visible)
    visible = numerical_rank(basis[:, :n])
    hidden = np.linalg.svd(basis[:, :n].T)[2][visible.rank :] @ basis[:, n:]
    free: list[int] = []
    for k in range(hidden.shape[1]):
        if len(free) < len(hidden) and numerical_rank(hidden[:, [*free, k]]).rank > len(free):
            free.append(k)
    return Reachable(found.rank, visible.rank, tuple(derivation.invisible[k] for k in free), None, (found, visible))


@dataclass(frozen=True, eq=False)
class _FamilyOfTasks:
    """The vector fields -G F'^T w of losses of the input-output function, and the flows of tasks."""

    derivation: Derivation
    module: ModuleType
    function: SampledOutputs

    @property
    def learns(self) -> bool:
        """Whether any overlap moves."""
        return bool(np.any(self.module.RATES))

    def fields(self, sigma: FloatArray) -> FloatArray:
        """Return a basis of the fields at given overlaps, as rows of length one, shape (function rank, n_overlaps)."""
        derivative = unit_rows(self.function.derivative(self._sent_back(sigma)))
        gradients = np.linalg.svd(derivative, full_matrices=False)[2][: numerical_rank(derivative).rank]
        n = self.module.N_VISIBLE
        halves = np.where(self.module._ROWS[:n] == self.module._COLUMNS[:n], 1, 0.5)
        S = self.module.gram(np.concatenate([gradients * halves, np.zeros((len(gradients), len(sigma) - n))], axis=1))
        half = self.module.gram(sigma) @ (S[:, self._exchanged] * self.module.RATES)
        return unit_rows((half + np.swapaxes(half, -1, -2))[:, self.module._ROWS, self.module._COLUMNS])

    @property
    def _exchanged(self) -> list[int]:
        return list(self.derivation.learning.exchanged)

    def _sent_back(self, sigma: FloatArray) -> FloatArray:
        """Return the overlaps with read-out and feedback vectors exchanged."""
        exchanged = self.module.gram(sigma)[np.ix_(self._exchanged, self._exchanged)]
        return np.asarray(exchanged[self.module._ROWS, self.module._COLUMNS])

    def carried_back(self, start: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return the fields along a learning history of random tasks, carried back to its start."""
        sigma, linearised = start, np.eye(len(start))
        rows = []
        for _ in range(TASKS):
            sigma, step = self._flow(sigma, rng)
            linearised = step @ linearised
            rows.append(np.linalg.solve(linearised, self.fields(sigma).T).T)
        return unit_rows(np.concatenate(rows))

    def _flow(self, start: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Return where a random task leads, and the linearisation of its flow."""
        module, n = self.module, len(start)
        x = rng.standard_normal((2, STEPS, module.N_INPUTS))
        trials = x, 2 * rng.standard_normal((2, STEPS, module.N_OUTPUTS))
        duration = STRIDE * np.abs(start).max() / np.abs(module.rhs(0.0, start, trials)).max()

        def rate(t: float, state: FloatArray) -> FloatArray:
            sigma, linearised = state[:n], state[n:].reshape(n, n)
            moved = module.jacobian(sigma, trials) @ linearised
            return np.concatenate([module.rhs(t, sigma, trials), moved.ravel()])

        state = np.concatenate([start, np.eye(n).ravel()])
        tolerances = {"rtol": TOLERANCE, "atol": TOLERANCE / 10}
        end = solve_ivp(rate, (0.0, duration), state, method="DOP853", **tolerances).y[:, -1]
        return end[:n], end[n:].reshape(n, n)


def _mixings(derivation: Derivation) -> Residues:
    """Return the matrices M_b of dP/dt = P M_b dL/dsigma_b that are not zero, shape (count, columns, columns)."""
    columns = len(derivation.reduction.index.columns)
    found: dict[str, Residues] = {}
    for overlap in derivation.ordered:
        for term in derivation.learning.terms(overlap):
            if term.gradient is None:  # weight decay, which no loss controls
                continue
            # The rate of a squared norm, of one column alone, has its movement twice.
            value = Fraction(int(term.coefficient.p), int(term.coefficient.q)) / (2 if overlap.is_norm else 1)
            matrix = found.setdefault(term.gradient.name, np.zeros((columns, columns), dtype=np.int64))
            matrix[term.along, term.moving] = residue(value)
    return np.array(list(found.values()), dtype=np.int64).reshape(-1, columns, columns)


def _moved(derivation: Derivation, mixings: Residues, sigma: Residues) -> Residues:
    """Return the overlaps' change X^T Sigma + Sigma X along mixings, shape (count, n_overlaps)."""
    columns = len(derivation.reduction.index.columns)
    rows, others = (np.array([getattr(overlap, side) for overlap in derivation.ordered]) for side in ("row", "column"))
    Sigma = np.zeros((columns, columns), dtype=np.int64)
    Sigma[rows, others] = Sigma[others, rows] = sigma
    half = Sigma @ mixings % PRIME
    return (half + np.swapaxes(half, -1, -2))[:, rows, others] % PRIME
