"""The input-output function of the reduced network, and its derivative by the visible overlaps.

Where the reduced dynamics is linear, kappa[t+1] = A kappa[t] + B x[t], y = C kappa, the function is that of its Markov
parameters

    C A^k B,   k = 0 .. 2 n_latents - 1,

for two systems with n latents whose first 2n of them are equal have equal ones for all k (Cayley-Hamilton, for the
difference of the two). They are polynomials in the overlaps, differentiated exactly, modulo a prime. Otherwise the
function is known by its outputs for random inputs, differentiated by complex steps of the generated module.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from types import ModuleType

import numpy as np
import sympy
from sympy import MatrixExpr

from symlow.arrays import FloatArray
from symlow.derivation import Derivation
from symlow.modular import PRIME, Residues, residue
from symlow.reduction import DT, TAU, StateSpace

COMPLEX_STEP = 1e-30
"""Its square is far below rounding, so that an imaginary part over it is a derivative."""

TIME_CONSTANTS = 6.0
"""How long random inputs are, in units of tau."""

MOST_STEPS = 200
"""How many time steps they have at most."""

TRIALS = 8
"""How many random inputs there are."""

LARGEST_OUTPUT = 1e3
"""Inputs that lead to larger outputs are made smaller: some nonlinearities grow beyond bounds."""


def linear_state_space(derivation: Derivation) -> StateSpace | None:
    """Return the matrices of the linear reduced dynamics, or None where it is not linear."""
    try:
        return derivation.reduction.state_space
    except ValueError:
        return None


@dataclass(frozen=True, eq=False)
class MarkovParameters:
    """The Markov parameters of linear reduced dynamics, as polynomials in the overlaps modulo a prime.

    Attributes:
        derivation: what has them.
        space: its linear reduced dynamics.
    """

    derivation: Derivation
    space: StateSpace

    def derivative(self, sigma: Residues) -> Residues:
        """Return the derivative of all parameters by the visible overlaps at overlaps in the order of ``OVERLAPS``.

        Returns:
            Shape (parameters, n_visible).
        """
        (A, A_moved), (B, B_moved), (C, C_moved) = (self._values(matrix, sigma) for matrix in self._entries)
        state, state_moved = B, B_moved
        rows = []
        for _ in range(2 * len(A)):
            rows.append((C_moved @ state + C @ state_moved) % PRIME)
            state, state_moved = A @ state % PRIME, (A_moved @ state + A @ state_moved) % PRIME
        moved = np.stack(rows)  # (power, overlap, output, input)
        return np.moveaxis(moved, 1, -1).reshape(-1, moved.shape[1])

    @cached_property
    def _entries(self) -> tuple[sympy.ImmutableDenseMatrix, ...]:
        """A, B and C, with numbers for dt and tau."""
        sizes = {carrier: latent.rows for carrier, latent in self.derivation.reduction.latents.items()}
        places, start = {}, 0
        for carrier, size in sizes.items():
            places[carrier] = start
            start += size
        loss = self.derivation.loss
        A, B, C = sympy.zeros(start, start), sympy.zeros(start, loss.inputs), sympy.zeros(loss.outputs, start)
        for (to, source), block in self.space.A.items():
            self._fill(A, places[to], places[source], block)
        for to, block in self.space.B.items():
            self._fill(B, places[to], 0, block)
        for source, block in self.space.C.items():
            self._fill(C, 0, places[source], block)
        return tuple(sympy.ImmutableDenseMatrix(matrix) for matrix in (A, B, C))

    def _fill(self, matrix: sympy.MutableDenseMatrix, row: int, column: int, block: MatrixExpr) -> None:
        network = self.derivation.network
        explicit = self.derivation.reduction.explicit(block)
        matrix[row, column] = explicit.xreplace({DT: network.dt, TAU: network.tau})

    def _values(self, matrix: sympy.ImmutableDenseMatrix, sigma: Residues) -> tuple[Residues, Residues]:
        """Return a matrix, and its derivatives by the visible overlaps, shape (n_visible, rows, columns)."""
        visible = {overlap.symbol: k for k, overlap in enumerate(self.derivation.reduction.visible)}
        point = {
            overlap.symbol: sympy.Integer(int(value))
            for overlap, value in zip(self.derivation.ordered, sigma, strict=True)
        }
        values = np.zeros(matrix.shape, dtype=np.int64)
        moved = np.zeros((len(visible), *matrix.shape), dtype=np.int64)
        for i, j in np.ndindex(*matrix.shape):
            entry = sympy.expand(matrix[i, j])
            values[i, j] = _residue_at(entry, point)
            for symbol in entry.free_symbols:
                moved[visible[symbol], i, j] = _residue_at(sympy.diff(entry, symbol), point)
        return values, moved


@dataclass(frozen=True, eq=False)
class SampledOutputs:
    """The outputs for random inputs, through the generated module.

    Attributes:
        module: the generated module.
        seed: seed of the inputs.
    """

    module: ModuleType
    seed: int = 0

    def inputs(self, sigma: FloatArray) -> FloatArray:
        """Return inputs, shape (trials, time, inputs): pulses of several lengths and sizes, and noise."""
        module = self.module
        rng = np.random.default_rng(self.seed)
        steps = min(MOST_STEPS, max(4 * module.N_LATENTS, round(TIME_CONSTANTS * module.TAU / module.DT)))
        lengths = rng.integers(1, steps // 2 + 1, (TRIALS, 1, module.N_INPUTS))
        starts = rng.integers(0, steps // 2 + 1, lengths.shape)
        time = np.arange(steps)[:, None]
        pulses = (time >= starts) & (time < starts + lengths)
        sizes = np.geomspace(0.5, 4.0, TRIALS)[:, None, None]
        x = sizes * (rng.standard_normal(lengths.shape) * pulses + 0.5 * rng.standard_normal(pulses.shape))
        with np.errstate(over="ignore", invalid="ignore"):
            while not np.abs(module.outputs(sigma, x)).max() <= LARGEST_OUTPUT:
                x = x / 2
        return x

    def derivative(self, sigma: FloatArray) -> FloatArray:
        """Return the derivative of the outputs by the visible overlaps, shape (trials * time * outputs, n_visible)."""
        module = self.module
        x = self.inputs(sigma)
        shifted = sigma + 1j * COMPLEX_STEP * np.eye(module.N_VISIBLE, len(module.OVERLAPS))
        moved = np.imag(module.outputs(shifted, x)) / COMPLEX_STEP
        return moved.reshape(module.N_VISIBLE, -1).T


def random_overlaps(derivation: Derivation, rng: np.random.Generator) -> FloatArray:
    """Return overlaps of random weights of twice as many neurons as columns, shape (n_overlaps,): of order one."""
    index, equations = derivation.reduction.index, derivation.network.equations
    gram = np.zeros((len(index.columns), len(index.columns)))
    for population in equations.populations:
        members = [vector.name for vector in equations.vectors if vector.population == population.name]
        columns = [k for k, column in enumerate(index.columns) if column.vector in members]
        P = rng.standard_normal((2 * len(columns), len(columns)))
        if population.ones is not None:
            P[:, [index.columns[k].vector == population.ones for k in columns]] = 1
        gram[np.ix_(columns, columns)] = float(population.weight) * P.T @ P / len(P)
    return np.array([gram[overlap.row, overlap.column] for overlap in derivation.ordered])


def _residue_at(expression: sympy.Expr, point: dict[sympy.Symbol, sympy.Integer]) -> int:
    value = sympy.Rational(expression.xreplace(point))
    return residue(Fraction(int(value.p), int(value.q)))
