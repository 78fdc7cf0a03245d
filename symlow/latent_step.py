"""The time step of the reduced dynamics on arrays of latents, at given overlaps.

    kappa[t+1] = step(kappa[t], x; sigma),      fixed points: step(kappa, x; sigma) = kappa

The generated module steps latents through trials, from their start; phase portraits ask for the flow at places that no
trial visits. This is compiled from the scalar equations of the reduction, with gains in closed form or by their series.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import sympy

from symlow.arrays import FloatArray
from symlow.derivation import Derivation
from symlow.errors import ArrayError, LearningError, SpecError, listing
from symlow.nonlinearity import DELTA, MU
from symlow.nonlinearity.mixture import mixed_forms
from symlow.reduction import DT, TAU, Column, Statistics, explicit_column

SMALLEST_VARIANCE = 1e-100
"""What stands for zero in gains that have a limit there."""

UNBOUNDED = SMALLEST_VARIANCE**-0.25
"""Gains beyond have no limit at zero, such as that of a jump; they multiply overlaps that are zero there too."""

SPACING = 1e-6
"""Of central differences, relative to 1 + |kappa|: their error is its square."""

MOST_NEWTON_STEPS = 60
SETTLED = 1e-10
"""The change of latents in a step, relative to 1 + |kappa|, at a fixed point."""

SAME = 1e-5
"""Fixed points that differ by less, relative to 1 + |kappa|, are one."""

Compiled = Callable[..., Sequence[Any]]


class LatentStep:
    """The time step of the latents of a reduced model.

    Args:
        derivation: the model.
        sigma: overlaps, shape (n_overlaps,), of which the visible ones count.

    Raises:
        SpecError: for a nonlinearity of which no mean activity is known, where vectors have means.

    Attributes:
        names: of all entries of the latents, such as ``("kappa_m", "kappa_u1", "kappa_u2")``.
        driven: whether the equation of each contains an overlap, or a gain or gate: those of filtered inputs do not.
    """

    def __init__(self, derivation: Derivation, sigma: FloatArray) -> None:
        reduction, network = derivation.reduction, derivation.network
        self.dt = float(network.dt)
        self.inputs = derivation.loss.inputs
        latents = [symbol for column in reduction.latents.values() for symbol in explicit_column(column)]
        self.names = tuple(symbol.name for symbol in latents)
        overlaps = {overlap.symbol: sympy.Float(v) for overlap, v in zip(derivation.ordered, sigma, strict=True)}
        plain = {DT: network.dt, TAU: network.tau, **derivation.backward.gain_symbols}

        def entries(expression: sympy.MatrixExpr) -> list[sympy.Expr]:
            return list(reduction.explicit(expression.subs(plain)))

        known: list[sympy.Symbol] = [*latents, *explicit_column(network.inputs)]
        self._nodes: list[tuple[Compiled, _Gains | None]] = []
        for node in reduction.nodes:
            if isinstance(node, Statistics):
                found = [entries(expression)[0] for expression in node.definitions.values()]
                symbols = list(node.definitions)
                for k, symbol in enumerate(symbols):  # the variance contains the mean
                    found[k + 1 :] = [entry.subs(symbol, found[k]) for entry in found[k + 1 :]]
                self._nodes.append((_compiled(known, found, overlaps), _Gains(derivation, node)))
                known += [*symbols, *(derivation.backward.gain_symbols[gain] for gain in node.gains)]
            else:
                found = entries(node.right) if node.right is not None else _gate(node)
                self._nodes.append((_compiled(known, found, overlaps), None))
                known += list(explicit_column(node.symbol))
        steps = [entry for expression in reduction.step.values() for entry in entries(expression)]
        self._step = _compiled(known, steps, overlaps)
        own = {*latents, *explicit_column(network.inputs)}
        self.driven = tuple(bool(entry.free_symbols - own) for entry in steps)

    def __call__(self, kappa: FloatArray, x: FloatArray) -> FloatArray:
        """Return the latents after a step.

        Args:
            kappa: latents, shape (..., n_latents).
            x: inputs, shape (..., n_inputs), with leading axes that broadcast with those of the latents.
        """
        known = [*np.moveaxis(kappa, -1, 0), *np.moveaxis(np.asarray(x, dtype=float), -1, 0)]
        for compute, gains in self._nodes:
            found = [np.asarray(value, dtype=float) for value in compute(known)]
            known += [*found, *(gains(found) if gains is not None else ())]
        return np.stack(
            np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in self._step(known)), known[0])[:-1], -1
        )

    def velocity(self, kappa: FloatArray, x: FloatArray) -> FloatArray:
        """Return the change of the latents in a step over its length dt, of the shape of the latents."""
        return (self(kappa, x) - kappa) / self.dt

    def run(self, kappa: FloatArray, x: FloatArray, steps: int) -> FloatArray:
        """Return latents at a constant input before the first and after each step, (steps + 1, ..., n_latents)."""
        course = [np.asarray(kappa, dtype=float)]
        for _ in range(steps):
            course.append(self(course[-1], x))
        return np.array(course)

    def positions(self, names: Sequence[str]) -> list[int]:
        """Return where entries of latents stand.

        Raises:
            ArrayError: for a name that is none of theirs.
        """
        for name in names:
            if name not in self.names:
                raise ArrayError(f"latents: found {name!r}; accepted: {listing(self.names)}")
        return [self.names.index(name) for name in names]

    def at_rest(
        self, x: FloatArray, free: Sequence[int], held: Mapping[int, float] | None = None, steps: int = 100_000
    ) -> FloatArray:
        """Return where all latents but some settle under a constant input, from 0, shape (n_latents,).

        Args:
            x: the constant input, shape (n_inputs,).
            free: positions of latents that stay 0.
            held: values of latents by position that stay as they are.
            steps: the most steps.

        Raises:
            LearningError: if they do not settle.
        """
        fixed = dict.fromkeys(free, 0.0) | dict(held or {})
        kappa = np.zeros(len(self.names))
        kappa[list(fixed)] = list(fixed.values())
        with np.errstate(over="ignore", invalid="ignore"):  # of latents that grow without bounds
            for _ in range(steps):
                following = self(kappa, x)
                following[list(fixed)] = list(fixed.values())
                if not np.isfinite(following).all():
                    break
                if np.abs(following - kappa).max() <= SETTLED * (1 + np.abs(kappa).max()) * min(self.dt, 1.0):
                    return following
                kappa = following
        raise LearningError("latents: those outside the plane do not settle; say in `held` at what values to hold them")

    def fixed_points(self, starts: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the fixed points that Newton's method finds from some starts, and what perturbations do there.

        Args:
            starts: shape (starts, n_latents).
            x: the constant input, shape (n_inputs,).

        Returns:
            The fixed points, shape (points, n_latents), in the order of the starts, and the largest modulus of an
            eigenvalue of the step at each, shape (points,): stable below 1.
        """
        kappa = np.array(starts, dtype=float)
        identity = np.eye(len(self.names))
        with np.errstate(all="ignore"):  # of starts that lead nowhere
            for _ in range(MOST_NEWTON_STEPS):
                residual = self(kappa, x) - kappa
                system = self._jacobian(kappa, x) - identity
                good = np.isfinite(system).all(axis=(1, 2)) & np.isfinite(residual).all(axis=1)
                kappa, residual, system = kappa[good], residual[good], system[good]
                # At a line of fixed points the system is singular: the shortest step leads to the nearest of them.
                kappa = kappa - (np.linalg.pinv(system, rcond=1e-9) @ residual[..., None])[..., 0]
            error = np.abs(self(kappa, x) - kappa).max(axis=1, initial=0)
            kappa = kappa[error <= SETTLED * (1 + np.abs(kappa).max(axis=1, initial=0))]
        points: list[FloatArray] = []
        for point in kappa:
            if all(np.abs(point - other).max() > SAME * (1 + np.abs(point).max()) for other in points):
                points.append(point)
        found = np.array(points).reshape(len(points), len(self.names))
        moduli = np.abs(np.linalg.eigvals(self._jacobian(found, x))) if len(found) else np.zeros((0, 1))
        return found, moduli.max(axis=1)

    def _jacobian(self, kappa: FloatArray, x: FloatArray) -> FloatArray:
        """Return the derivative of the step by the latents, shape (points, n_latents, n_latents)."""
        spacing = SPACING * (1 + np.abs(kappa).max(axis=1, initial=0))[:, None, None]
        shifts = spacing * np.eye(len(self.names))
        change = self(kappa[:, None] + shifts, x) - self(kappa[:, None] - shifts, x)
        return np.swapaxes(change / (2 * spacing), 1, 2)


class _Gains:
    """The gains of a field as functions of its statistics."""

    def __init__(self, derivation: Derivation, node: Statistics) -> None:
        nonlinearity = derivation.network.nonlinearity
        self._series = nonlinearity.series.gain if node.activity is None and nonlinearity.needs_series else None
        if self._series is not None:
            return
        tables: dict[str, Callable[..., FloatArray]] = {}
        variables = [DELTA] if node.activity is None else [MU, DELTA]
        forms = [nonlinearity.gain] if node.activity is None else [nonlinearity.gain_with_mean, nonlinearity.activity]
        if None in forms:
            mixed = mixed_forms(nonlinearity.phi)
            if mixed is None:
                raise SpecError(
                    f"network.nonlinearity: {nonlinearity.name!r} has no closed form or table where vectors have means"
                )
            forms = [mixed.gain, mixed.activity]
            tables = {f"mixture_{table.name}": table for table in mixed.tables}
        self._closed = sympy.lambdify([variables], forms, [tables, "scipy", "numpy"])

    def __call__(self, statistics: Sequence[FloatArray]) -> Sequence[Any]:
        *mean, variance = statistics
        vanishing = variance < SMALLEST_VARIANCE  # rounding leaves some below zero
        variance = np.where(vanishing, SMALLEST_VARIANCE, variance)
        if self._series is not None:
            return [self._series(variance)]
        found = self._closed([*mean, variance])
        return [np.where(vanishing & (np.abs(value) > UNBOUNDED), 0.0, value) for value in found]


def _compiled(
    arguments: Sequence[sympy.Symbol], expressions: Sequence[sympy.Expr], overlaps: Mapping[sympy.Symbol, sympy.Float]
) -> Compiled:
    values = [expression.xreplace(overlaps) for expression in expressions]
    function: Compiled = sympy.lambdify([list(arguments)], values, ["scipy", "numpy"], cse=True)
    return function


def _gate(gate: Column) -> list[sympy.Expr]:
    """Return the entries of a gate; arguments of one entry act on all."""
    columns = {variable: list(explicit_column(column)) for variable, column in gate.arguments}
    assert gate.function is not None
    return [
        gate.function.xreplace({v: c[row] if len(c) > 1 else c[0] for v, c in columns.items()})
        for row in range(gate.symbol.rows)
    ]
