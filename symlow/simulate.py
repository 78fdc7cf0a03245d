"""The full network of N neurons, simulated and trained: the oracle that the derivation is checked against.

    h[t+1] = h[t] + (dt/tau) (-h[t] + sum_c P_c drive_c(x[t], a[t])),      h[0] = 0,      P_c: the columns of carrier c
    a_q = sum_i w_i P_iq phi(h_i),      y = sum_i w_i P_iz phi(h_i),      Sigma = sum_i w_i P_i P_i^T
    P_i+ = P_i - lr (1/w_i) dL/dP_i    for the trained columns of P, or as another optimizer says

w_i = 1/N, unless nodes of a quadrature stand for neurons: then w_i are their weights, and the network is the one of
infinite width (:mod:`symlow.infinite_width`). Drives are affine in inputs and projections.

The gradient is computed twice over: by backpropagation through time, exact, and by central finite differences of the
loss. Nothing here knows of overlaps, latents, gains or the generated code: it uses the network's data (which vectors
there are, their drives, phi, dt and tau) and NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special
import sympy
from numpy.typing import NDArray
from sympy import MatrixExpr, MatrixSymbol

from symlow.arrays import FloatArray, Trials
from symlow.network import Network
from symlow.optimizers import Optimizer, find_optimizer
from symlow.rules import Velocity

DIFFERENCE_SPACING = 6e-6
"""Spacing of central differences: about the cube root of the machine epsilon, which balances truncation, growing with
its square, against rounding, growing with its inverse."""

FLOW_SPACING = 1e-3
"""Spacing of the extrapolated differences, whose truncation error grows with its sixth power."""

LARGEST_CHUNK = 2**22
"""The most numbers in an array of states or weights when many networks are simulated at once: 32 MB."""


@dataclass(frozen=True)
class TrainingStep:
    """One moment of a training run.

    Attributes:
        weights: P, shape (N, columns), before the step's update.
        gram: sum_i w_i P_i P_i^T, shape (columns, columns); P^T P / N where all weights are 1/N.
        loss: the loss at these weights.
    """

    weights: FloatArray
    gram: FloatArray
    loss: float


class FullNetwork:
    """The N-neuron network, or the infinitely wide one on the nodes of a quadrature.

    Weights are given as P, shape (..., N, columns): the columns of the network's vectors side by side, in their order.

    Args:
        network: the network's data.
        reduction: "sum_dt" or "masked_mean", how squared errors of trials become the loss.
        factor: the factor in front of it.
        node_weights: w, shape (N,), positive, of sum 1; by default 1/N for whatever N the weights P have.

    Raises:
        ValueError: for a network that this simulator cannot do: drives that are not affine in inputs and projections,
            a read-out that only the reduced model has, a phi that cannot be differentiated; or for wrong node weights.
    """

    def __init__(self, network: Network, reduction: str, factor: float, node_weights: FloatArray | None = None) -> None:
        self.dt = float(network.dt)
        self.leak = float(network.dt / network.tau)
        self.reduction = reduction
        self.factor = factor
        self.phi, self.slope = _compile(network.nonlinearity.phi)
        if network.readout == "updated_latents_previous_gain" and not network.nonlinearity.phi.is_Symbol:
            raise ValueError(
                f"the read-out {network.readout!r} is a convention of the reduced model, without a counterpart in a "
                "network of nonlinear neurons; accepted: 'before_update', 'after_update'"
            )
        # Linear neurons have gain 1, now as at the step before: then that convention is to read after the update.
        self.reads_after_update = network.readout != "before_update"
        self.node_weights = None if node_weights is None else _checked_weights(node_weights)
        self.columns: dict[str, slice] = {}
        start = 0
        for vector in network.vectors:
            self.columns[vector.name] = slice(start, start + vector.columns)
            start += vector.columns
        self.rates = np.concatenate([np.full(vector.columns, float(vector.rate)) for vector in network.vectors])
        velocities = [isinstance(vector, Velocity) for vector in network.vectors for _ in range(vector.columns)]
        self.velocities = np.flatnonzero(velocities)
        self.reader = self.columns[network.output.reader]
        # The drive of every column of P, as one affine map of the inputs and of phi(h) projected on every column.
        self._constant = np.zeros(start)
        self._input_map = np.zeros((start, network.inputs.shape[0]))
        self._feedback_map = np.zeros((start, start))
        variables = [network.inputs, *(projection.symbol for projection in network.projections)]
        for carrier in network.carriers:
            constant, matrices = _affine_map(carrier.drive, variables)
            rows = self.columns[carrier.vector]
            self._constant[rows] += constant
            self._input_map[rows] += matrices[0]
            for projection, matrix in zip(network.projections, matrices[1:], strict=True):
                self._feedback_map[rows, self.columns[projection.reader]] += matrix
        # Most columns do one thing only; arrays over time are of the columns that do it.
        everything = np.arange(start)
        carriers = [everything[self.columns[carrier.vector]] for carrier in network.carriers]
        self._carriers = np.unique(np.concatenate(carriers))
        readers = [everything[self.columns[projection.reader]] for projection in (*network.projections, network.output)]
        self._readers = np.unique(np.concatenate(readers))
        self._outputs = np.searchsorted(self._readers, everything[self.reader])
        self._constant = self._constant[self._carriers]
        self._input_map = self._input_map[self._carriers]
        self._feedback_map = self._feedback_map[np.ix_(self._carriers, self._readers)]

    def gram(self, P: FloatArray) -> FloatArray:
        """Return the Gram matrix sum_i w_i P_i P_i^T, shape (columns, columns), of one set of weights."""
        root = np.sqrt(self._weights(P)) * P
        return root.T @ root

    def outputs(self, P: FloatArray, x: FloatArray) -> FloatArray:
        """Return the outputs for inputs x of shape (batch, time, inputs); shape (..., batch, time, outputs)."""
        return np.moveaxis(np.array(list(self._readouts(P, x))), 0, -2)

    def loss(self, P: FloatArray, trials: Trials) -> FloatArray:
        """Return the loss of trials (x, y, mask), shape (...)."""
        x, y, _ = trials
        weight = self._error_weight(trials)
        total = np.zeros(P.shape[:-2])
        for t, output in enumerate(self._readouts(P, x)):
            total += np.sum(weight[:, t] * (output - y[:, t]) ** 2, axis=(-2, -1))
        return total

    def gradient(self, P: FloatArray, trials: Trials) -> FloatArray:
        """Return dL/dP of one set of weights, shape (N, columns), by backpropagation through time.

        Its memory is three arrays of shape (time + 1, batch, N).
        """
        x, y, _ = trials
        w = self._weights(P)
        steps, read = x.shape[1], int(self.reads_after_update)
        activity = np.empty((steps + 1, len(x), len(P)))
        slope = np.empty_like(activity)
        projections = np.empty((steps + 1, len(x), len(self._readers)))
        for t, (h, phi, projected) in enumerate(self._states(P, x)):
            activity[t], slope[t], projections[t] = phi, self.slope(h), projected
        drives = self._drives(np.swapaxes(x, 0, 1), projections[:-1])
        error = projections[read : steps + read, :, self._outputs] - np.swapaxes(y, 0, 1)
        weight = np.swapaxes(self._error_weight(trials), 0, 1)
        # A bar is the derivative of the loss; those of a neuron's state and drive are in units of its weight w_i.
        projections_bar = np.zeros_like(projections)
        projections_bar[read : steps + read, :, self._outputs] = 2 * weight * error
        pulled = np.empty((steps, len(x), len(P)))
        readers, carriers = np.ascontiguousarray(P[:, self._readers].T), w * P[:, self._carriers]
        h_bar = np.zeros((len(x), len(P)))
        for t in range(steps, 0, -1):
            h_bar += slope[t] * (projections_bar[t] @ readers)
            pulled[t - 1] = self.leak * h_bar
            projections_bar[t - 1] += pulled[t - 1] @ carriers @ self._feedback_map
            h_bar *= 1 - self.leak
        P_bar = np.zeros_like(P)
        P_bar[:, self._readers] += _summed_products(activity, projections_bar)
        P_bar[:, self._carriers] += _summed_products(pulled, drives)
        return w * P_bar

    def flow(self, P: FloatArray, trials: Trials) -> FloatArray:
        """Return dSigma/dt of gradient flow dP_i/dt = -(1/w_i) dL/dP_i by :meth:`gradient`, (columns, columns)."""
        half = -(self.gradient(P, trials) * self.rates).T @ P
        return half + half.T

    def finite_difference_gradient(
        self,
        P: FloatArray,
        trials: Trials,
        spacing: float = DIFFERENCE_SPACING,
        entries: NDArray[np.integer[Any]] | None = None,
    ) -> FloatArray:
        """Return dL/dP of one set of weights by central differences.

        Args:
            P: weights, shape (N, columns).
            trials: the trials.
            spacing: how far a weight is moved to either side.
            entries: positions in the flattened P to differentiate by; by default all.

        Returns:
            dL/dP, shape (N, columns); with ``entries`` the derivatives by those, shape (len(entries),).
        """
        positions = np.arange(P.size) if entries is None else np.asarray(entries)
        flat = np.empty(len(positions))
        chunk = max(1, min(256, LARGEST_CHUNK // (len(P) * max(len(trials[0]), P.shape[1]))))
        for start in range(0, len(positions), chunk):
            moved = positions[start : start + chunk]
            shifted = np.repeat(P[None], len(moved), axis=0).reshape(len(moved), P.size)
            shifted[np.arange(len(moved)), moved] += spacing
            above = self.loss(shifted.reshape(-1, *P.shape), trials)
            shifted[np.arange(len(moved)), moved] -= 2 * spacing
            below = self.loss(shifted.reshape(-1, *P.shape), trials)
            flat[start : start + chunk] = (above - below) / (2 * spacing)
        return flat.reshape(P.shape) if entries is None else flat

    def finite_difference_flow(
        self, P: FloatArray, trials: Trials, spacing: float = FLOW_SPACING
    ) -> tuple[FloatArray, FloatArray]:
        """Return dSigma/dt of gradient flow from differences of the loss alone, and an estimate of its error.

        The rate of an overlap needs the gradient along two directions only, for every N and all node weights:

            dSigma_ij/dt = -(rate_i D_ij + rate_j D_ji),     D_ij = dL/de at P_i + e P_j in place of P_i

        so columns^2 directional derivatives take the place of N columns. Each is a central difference at spacings e,
        2e and 4e, extrapolated twice. The estimate of the error is the distance of the two values extrapolated once:
        far above the truncation error of the result, and of the size of its rounding. Where phi' jumps (ReLU), each
        state within e of a jump adds an error of order 1/N, of either sign: some sqrt(e/N) in all, of which the
        estimate has the size but is no bound; a smaller spacing helps, as ``DIFFERENCE_SPACING``.

        Args:
            P: weights, shape (N, columns).
            trials: the trials.
            spacing: e, relative to the columns of P.

        Returns:
            dSigma/dt and its error, both of shape (columns, columns).
        """
        p = P.shape[1]
        sizes = spacing * np.array([1.0, 2.0, 4.0])
        slopes, errors = np.zeros((p, p)), np.zeros((p, p))
        for i in np.flatnonzero(self.rates):
            for j in range(p):
                moved = np.repeat(P[None], 6, axis=0)
                moved[:, :, i] += np.concatenate([sizes, -sizes])[:, None] * P[:, j]
                losses = self.loss(moved, trials)
                second = (losses[:3] - losses[3:]) / (2 * sizes)
                fourth = (4 * second[:-1] - second[1:]) / 3
                slopes[i, j] = self.rates[i] * (16 * fourth[0] - fourth[1]) / 15
                errors[i, j] = self.rates[i] * abs(fourth[0] - fourth[1])
        return -(slopes + slopes.T), errors + errors.T

    def train(
        self,
        P: FloatArray,
        trials: Trials | Callable[[int], Trials],
        lr: float,
        steps: int,
        gradient: Callable[[FloatArray, Trials], FloatArray] | None = None,
        optimizer: str | Optimizer = "gradient_descent",
    ) -> Iterator[TrainingStep]:
        """Train, and give every moment of the run, the last one included: steps + 1 of them.

        Args:
            P: initial weights, shape (N, columns), with the initial velocities if the network has columns for them.
            trials: the trials, or what gives those of a step for stochastic gradient descent.
            lr: learning rate, in the scaling P_i+ = P_i - lr (1/w_i) dL/dP_i; that of a vector is lr times its rate.
            steps: number of steps.
            gradient: how gradients dL/dP are computed; by default :meth:`gradient`.
            optimizer: "gradient_descent", "momentum", "nesterov", "adam" or an optimizer; it is given the gradients
                (1/w_i) dL/dP_i of the trained columns.

        Raises:
            UnknownNameError: for an unknown name of an optimizer.
        """
        gradient = gradient or self.gradient
        w = self._weights(P)
        trained = np.flatnonzero(self.rates)
        P = P.copy()
        run = find_optimizer(optimizer).start(w, P[:, self.velocities] if len(self.velocities) else None)
        for k in range(steps + 1):
            batch = trials(k) if callable(trials) else trials
            yield TrainingStep(P.copy(), self.gram(P), float(self.loss(P, batch)))
            if k < steps:
                direction = run(gradient(P, batch)[:, trained] / w, P[:, trained])
                P[:, trained] -= lr * self.rates[trained] * direction
                if len(self.velocities) and run.velocity is not None:
                    P[:, self.velocities] = run.velocity

    def _readouts(self, P: FloatArray, x: FloatArray) -> Iterator[FloatArray]:
        """Give the output at every step, shape (..., batch, outputs)."""
        shift = int(self.reads_after_update)
        for t, (_, _, projected) in enumerate(self._states(P, x)):
            if 0 <= t - shift < x.shape[1]:
                yield projected[..., self._outputs]

    def _states(self, P: FloatArray, x: FloatArray) -> Iterator[tuple[FloatArray, FloatArray, FloatArray]]:
        """Give h[t], phi(h[t]) and its projections on the readers for t = 0 to the number of steps, both included."""
        readers = self._weights(P) * P[..., self._readers]
        carriers = np.ascontiguousarray(np.swapaxes(P[..., self._carriers], -1, -2))
        h = np.zeros((*P.shape[:-2], len(x), P.shape[-2]))
        for t in range(x.shape[1] + 1):
            activity = self.phi(h)
            projected = activity @ readers
            yield h, activity, projected
            if t < x.shape[1]:
                # One array of the size of h is new, for whoever holds on to the one before.
                h = (1 - self.leak) * h
                h += (self.leak * self._drives(x[:, t], projected)) @ carriers

    def _drives(self, x: FloatArray, projected: FloatArray) -> FloatArray:
        return x @ self._input_map.T + projected @ self._feedback_map.T + self._constant

    def _weights(self, P: FloatArray) -> FloatArray:
        """Return w as a column, shape (N, 1)."""
        n = P.shape[-2]
        if self.node_weights is None:
            return np.full((n, 1), 1 / n)
        if len(self.node_weights) != n:
            raise ValueError(f"found {n} rows of P for {len(self.node_weights)} node weights; accepted: as many")
        return self.node_weights[:, None]

    def _error_weight(self, trials: Trials) -> FloatArray:
        """Return the weight of each squared error, shape (batch, time, outputs)."""
        _, y, mask = trials
        weight = np.ones_like(y) if mask is None else mask
        if self.reduction == "sum_dt":
            return self.factor * self.dt * weight / len(y)
        return self.factor * weight / weight.sum()


def _summed_products(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return the sum over time and batch of left_i right_j, shape (N, columns), for (time, batch, ...) of either."""
    return left.reshape(-1, left.shape[-1]).T @ right.reshape(-1, right.shape[-1])


def _checked_weights(node_weights: FloatArray) -> FloatArray:
    w = np.asarray(node_weights, dtype=float)
    if w.ndim != 1 or not (w > 0).all() or abs(w.sum() - 1) > 1e-10:
        raise ValueError(
            f"node weights: found shape {w.shape} and sum {w.sum():.12g}; accepted: shape (N,), positive, of sum 1"
        )
    return w


def _affine_map(drive: MatrixExpr, variables: list[MatrixSymbol]) -> tuple[FloatArray, list[FloatArray]]:
    """Return the constant of a drive, and its matrix for each variable, read off at zero and at unit vectors.

    Raises:
        ValueError: if the drive, but for its constant, is not linear in all variables together.
    """
    zero = [np.zeros(variable.shape[0]) for variable in variables]

    def value(point: list[FloatArray]) -> FloatArray:
        exact = {
            variable: sympy.ImmutableDenseMatrix(entries) for variable, entries in zip(variables, point, strict=True)
        }
        return np.array(drive.subs(exact).doit().as_explicit(), dtype=float)[:, 0]

    constant = value(zero)
    rng = np.random.default_rng(0)
    left, right = ([rng.standard_normal(variable.shape[0]) for variable in variables] for _ in range(2))
    together = [one - 3 * other for one, other in zip(left, right, strict=True)]
    parts = value(left) - constant - 3 * (value(right) - constant)
    if not np.allclose(value(together) - constant, parts, rtol=1e-12, atol=1e-12):
        names = ", ".join(variable.name for variable in variables)
        raise ValueError(f"the drive {drive} is not linear in {names}, but for a constant")
    matrices = [
        np.stack([value([*zero[:k], unit, *zero[k + 1 :]]) - constant for unit in np.eye(len(zero[k]))], axis=1)
        for k in range(len(variables))
    ]
    return constant, matrices


class _Softplus(sympy.Function):
    """log(1 + exp(x)), which NumPy is asked for in a form that does not overflow."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return _Expit(self.args[0])


class _Expit(sympy.Function):
    """1 / (1 + exp(-x)), likewise."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return self * (1 - self)


class _Step(sympy.Function):
    """1 for x > 0, 0 for x < 0, and half at 0."""


NUMERIC = {
    "_Softplus": lambda x: np.logaddexp(0, x),
    "_Expit": scipy.special.expit,
    "_Step": lambda x: np.heaviside(x, 0.5),
}


def _compile(phi: sympy.Expr) -> tuple[Callable[[FloatArray], FloatArray], Callable[[FloatArray], FloatArray]]:
    """Return phi and its derivative as functions of arrays, the derivative at a jump of phi or phi' being the mean.

    Of a jump of phi itself the derivative has no part: the gradient of sign(x) is zero.

    Raises:
        ValueError: if phi is no function of one symbol, or SymPy cannot differentiate it.
    """
    if len(phi.free_symbols) != 1:
        raise ValueError(f"phi = {phi}: accepted: an expression in one symbol")
    x = sympy.Symbol("x", real=True)
    phi = phi.xreplace({phi.free_symbols.pop(): x})
    phi = phi.replace(_overflows, _rewritten)
    slope = sympy.diff(phi, x).replace(sympy.DiracDelta, lambda *_: sympy.Integer(0))
    if slope.has(sympy.Derivative, sympy.Subs):
        raise ValueError(f"phi = {phi}: accepted: a function that SymPy differentiates")
    return _on_arrays(x, phi), _on_arrays(x, slope)


def _overflows(expression: sympy.Expr) -> bool:
    """Whether this is log(1 + exp(u)) or 1 / (1 + exp(u)), which for large u are inf in floating point, or warn."""
    if isinstance(expression, sympy.log):
        return isinstance(expression.args[0] - 1, sympy.exp)
    return bool(expression.is_Pow and expression.exp == -1 and isinstance(expression.base - 1, sympy.exp))


def _rewritten(expression: sympy.Expr) -> sympy.Expr:
    exponent = (expression.args[0] - 1).args[0]
    return _Softplus(exponent) if isinstance(expression, sympy.log) else _Expit(-exponent)


def _on_arrays(x: sympy.Symbol, expression: sympy.Expr) -> Callable[[FloatArray], FloatArray]:
    steps = expression.replace(sympy.Heaviside, lambda argument, *_: _Step(argument))
    function = sympy.lambdify(x, steps, [NUMERIC, "scipy", "numpy"])

    def evaluate(values: FloatArray) -> FloatArray:
        # Constants and select(...) give no array of this shape, or integers.
        return np.broadcast_to(np.asarray(function(values), dtype=float), values.shape)

    return evaluate
