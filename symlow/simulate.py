"""The full network of N neurons, simulated and trained: the oracle that the derivation is checked against.

    h[t+1] = h[t] + (dt/tau) (-h[t] + sum_c P_c drive_c(x[t], a[t])),   a_q = P_q^T h / N,   y = P_z^T h / N
    P+ = P - lr N grad_P L   for the trained columns of P

The gradient is computed twice over: by backpropagation through time, exact, and by central finite differences of the
loss over every parameter. Nothing here knows of overlaps, latents or the generated code: it uses the network's data
(which vectors there are, their drives, dt and tau) and NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import NDArray
from sympy import MatrixExpr, MatrixSymbol

from symlow.network import Network

FloatArray = NDArray[np.float64]
Trials = tuple[FloatArray, FloatArray, FloatArray | None]


DIFFERENCE_SPACING = 6e-6
"""Spacing of central differences: about the cube root of the machine epsilon, which balances truncation, growing with
its square, against rounding, growing with its inverse."""


@dataclass(frozen=True)
class TrainingStep:
    """One moment of a training run.

    Attributes:
        weights: P, shape (N, columns), before the step's update.
        gram: P^T P / N, shape (columns, columns).
        loss: the loss at these weights.
    """

    weights: FloatArray
    gram: FloatArray
    loss: float


class FullNetwork:
    """The N-neuron network with linear neurons.

    Weights are given as P, shape (..., N, columns): the columns of the network's vectors side by side, in their order.

    Args:
        network: the network's data.
        reduction: "sum_dt" or "masked_mean", how squared errors of trials become the loss.
        factor: the factor in front of it.

    Raises:
        ValueError: for a network that this simulator cannot do: nonlinear neurons, or drives that are not linear in
            inputs and projections.
    """

    def __init__(self, network: Network, reduction: str, factor: float) -> None:
        if not network.nonlinearity.is_linear:
            raise ValueError(f"the simulator has linear neurons only, found {network.nonlinearity.name!r}")
        self.dt = float(network.dt)
        self.leak = float(network.dt / network.tau)
        self.reduction = reduction
        self.factor = factor
        self.reads_after_update = network.reads_after_update
        self.columns: dict[str, slice] = {}
        start = 0
        for vector in network.vectors:
            self.columns[vector.name] = slice(start, start + vector.columns)
            start += vector.columns
        self.trained = np.concatenate([np.full(vector.columns, float(vector.trainable)) for vector in network.vectors])
        self.reader = self.columns[network.output.reader]
        # Drives are linear in inputs and projections: their matrices are read off by applying them to unit vectors.
        variables = [network.inputs, *(projection.symbol for projection in network.projections)]
        self._input_maps = [
            (self.columns[c.vector], _matrix_of(c.drive, network.inputs, variables)) for c in network.carriers
        ]
        self._feedback_maps = [
            (self.columns[c.vector], self.columns[q.reader], _matrix_of(c.drive, q.symbol, variables))
            for c in network.carriers
            for q in network.projections
        ]

    def outputs(self, P: FloatArray, x: FloatArray) -> FloatArray:
        """Return the outputs for inputs x of shape (batch, time, inputs); shape (..., batch, time, outputs)."""
        return np.moveaxis(np.array(list(self._outputs(P, x))), 0, -2)

    def loss(self, P: FloatArray, trials: Trials) -> FloatArray:
        """Return the loss of trials (x, y, mask), shape (...)."""
        x, y, _ = trials
        weight = self._weight(trials)
        total = np.zeros(P.shape[:-2])
        for t, output in enumerate(self._outputs(P, x)):
            total += np.sum(weight[:, t] * (output - y[:, t]) ** 2, axis=(-2, -1))
        return total

    def gradient(self, P: FloatArray, trials: Trials) -> FloatArray:
        """Return dL/dP of one set of weights, shape (N, columns), by backpropagation through time."""
        x, y, _ = trials
        n, steps = len(P), x.shape[1]
        h = np.zeros((steps + 1, len(x), n))
        for t in range(steps):
            h[t + 1] = self._update(P, h[t], x[:, t])
        read = 1 if self.reads_after_update else 0
        output_bar = 2 * self._weight(trials) * (np.swapaxes(h[read : steps + read] @ P[:, self.reader], 0, 1) / n - y)
        P_bar = np.zeros_like(P)
        h_bar = np.zeros_like(h)
        for t in range(steps):
            P_bar[:, self.reader] += h[t + read].T @ output_bar[:, t] / n
            h_bar[t + read] += output_bar[:, t] @ P[:, self.reader].T / n
        for t in range(steps - 1, -1, -1):
            pulled = self.leak * h_bar[t + 1]
            h_bar[t] += h_bar[t + 1] - pulled
            for carrier, matrix in self._input_maps:
                P_bar[:, carrier] += pulled.T @ (x[:, t] @ matrix.T)
            for carrier, reader, matrix in self._feedback_maps:
                projection = h[t] @ P[:, reader] / n
                P_bar[:, carrier] += pulled.T @ (projection @ matrix.T)
                projection_bar = pulled @ P[:, carrier] @ matrix
                P_bar[:, reader] += h[t].T @ projection_bar / n
                h_bar[t] += projection_bar @ P[:, reader].T / n
        return P_bar

    def finite_difference_gradient(
        self, P: FloatArray, trials: Trials, spacing: float = DIFFERENCE_SPACING
    ) -> FloatArray:
        """Return dL/dP of one set of weights, shape (N, columns), by central differences over every parameter."""
        flat = np.empty(P.size)
        chunk = 256
        for start in range(0, P.size, chunk):
            entries = np.arange(start, min(start + chunk, P.size))
            shifted = np.repeat(P[None], len(entries), axis=0).reshape(len(entries), P.size)
            shifted[np.arange(len(entries)), entries] += spacing
            above = self.loss(shifted.reshape(-1, *P.shape), trials)
            shifted[np.arange(len(entries)), entries] -= 2 * spacing
            below = self.loss(shifted.reshape(-1, *P.shape), trials)
            flat[entries] = (above - below) / (2 * spacing)
        return flat.reshape(P.shape)

    def train(
        self,
        P: FloatArray,
        trials: Trials | Callable[[int], Trials],
        lr: float,
        steps: int,
        gradient: Callable[[FloatArray, Trials], FloatArray] | None = None,
    ) -> Iterator[TrainingStep]:
        """Train by gradient descent, and give every moment of the run, the last one included: steps + 1 of them.

        Args:
            P: initial weights, shape (N, columns).
            trials: the trials, or what gives those of a step for stochastic gradient descent.
            lr: learning rate, in the scaling P+ = P - lr N grad_P L.
            steps: number of steps.
            gradient: how gradients are computed; by default :meth:`gradient`.
        """
        gradient = gradient or self.gradient
        P = P.copy()
        for k in range(steps + 1):
            batch = trials(k) if callable(trials) else trials
            yield TrainingStep(P.copy(), P.T @ P / len(P), float(self.loss(P, batch)))
            if k < steps:
                P -= lr * len(P) * gradient(P, batch) * self.trained

    def _outputs(self, P: FloatArray, x: FloatArray) -> Iterator[FloatArray]:
        n = P.shape[-2]
        h = np.zeros((*P.shape[:-2], len(x), n))
        for t in range(x.shape[1]):
            updated = self._update(P, h, x[:, t])
            yield (updated if self.reads_after_update else h) @ P[..., self.reader] / n
            h = updated

    def _update(self, P: FloatArray, h: FloatArray, x: FloatArray) -> FloatArray:
        change = -h
        for carrier, matrix in self._input_maps:
            change = change + (x @ matrix.T) @ np.swapaxes(P[..., carrier], -1, -2)
        for carrier, reader, matrix in self._feedback_maps:
            projection = h @ P[..., reader] / P.shape[-2]
            change = change + (projection @ matrix.T) @ np.swapaxes(P[..., carrier], -1, -2)
        return h + self.leak * change

    def _weight(self, trials: Trials) -> FloatArray:
        """Return the weight of each squared error, shape (batch, time, outputs)."""
        _, y, mask = trials
        weight = np.ones_like(y) if mask is None else mask
        if self.reduction == "sum_dt":
            return self.factor * self.dt * weight / len(y)
        return self.factor * weight / weight.sum()


def _matrix_of(drive: MatrixExpr, variable: MatrixSymbol, variables: list[MatrixSymbol]) -> FloatArray:
    """Return the matrix of the linear map from a variable to a drive, with all other variables at zero.

    Raises:
        ValueError: if the drive is not linear in all variables together.
    """

    def value(point: dict[MatrixSymbol, FloatArray]) -> FloatArray:
        full = {other: point.get(other, np.zeros(other.shape[0])) for other in variables}
        exact = {other: sympy.ImmutableDenseMatrix(entries) for other, entries in full.items()}
        return np.array(drive.subs(exact).doit().as_explicit(), dtype=float)[:, 0]

    rng = np.random.default_rng(0)
    left, right = ({other: rng.standard_normal(other.shape[0]) for other in variables} for _ in range(2))
    together = {other: left[other] - 3 * right[other] for other in variables}
    if not np.allclose(value(together), value(left) - 3 * value(right), rtol=1e-12, atol=1e-12):
        raise ValueError(f"the drive {drive} is not linear in {', '.join(other.name for other in variables)}")
    return np.stack([value({variable: unit}) for unit in np.eye(variable.shape[0])], axis=1)
