"""The full network of N neurons, simulated and trained: the oracle that the derivation is checked against.

    s[t+1] = s[t] + (dt/tau_s) right_s(states[t], x[t])   or   right_s(states[t], x[t]),      for every state s
    y[t] = readout(states[t], x[t])   or   readout(states[t+1])
    Sigma = sum_i w_i P_i P_i^T,   where columns of different populations of neurons have no neuron in common
    P_i+ = P_i - lr (1/w_i) dL/dP_i    for the trained columns of P, or as another optimizer says

w_i = 1/N, unless nodes of a quadrature stand for neurons: then w_i are their weights, and the network is the one of
infinite width (:mod:`symlow.infinite_width`). For equations without 1/N, in sums over neurons, w_i = 1.

The gradient is computed twice over: by backpropagation through time, exact, and by central finite differences of the
loss. With feedback alignment (Lillicrap et al. 2016) the aligned gradient takes its place: that of sum_t ybar[t] . y[t]
in a network that reads with the feedback vectors, ybar being dL/dy of the network as it is, held fixed. Nothing
here knows of overlaps, latents, carriers, gains or the generated code: it computes what the equations say, with NumPy.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import sympy
from numpy.typing import NDArray

from symlow.arrays import FloatArray, Trials, check_shape
from symlow.elementwise import elementwise
from symlow.equations import Equations
from symlow.errors import ArrayError, LearningError
from symlow.optimizers import Optimizer, find_optimizer
from symlow.passes import Weights
from symlow.rules import Feedback, Velocity
from symlow.unrolled import Disturb, Run, Unrolled, unroll

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
        gram: the Gram matrix as of :meth:`FullNetwork.gram`, shape (columns, columns).
        loss: the loss at these weights.
    """

    weights: FloatArray
    gram: FloatArray
    loss: float


class HasPhi(Protocol):
    """A nonlinearity, as far as neurons have to do with it."""

    @property
    def phi(self) -> sympy.Expr:
        """An expression in one symbol."""


class HasEquations(Protocol):
    """A network, as far as it is simulated."""

    @property
    def equations(self) -> Equations:
        """Its equations."""

    @property
    def nonlinearity(self) -> HasPhi:
        """What phi stands for in them."""

    @property
    def dt(self) -> sympy.Rational:
        """The time step."""

    @property
    def tau(self) -> sympy.Rational:
        """The unit of the states' time constants."""

    @property
    def readout(self) -> str:
        """Which states the output reads."""


class FullNetwork:
    """The N-neuron network, or the infinitely wide one on the nodes of a quadrature.

    Weights are given as P, shape (..., N, columns): the columns of the network's vectors side by side, in their order.
    The rows of the populations follow one another in their order; entries of a vector outside its own population are
    ignored.

    Args:
        network: the network.
        reduction: "sum_dt" or "masked_mean", how squared errors of trials become the loss.
        factor: the factor in front of it.
        node_weights: w, shape (N,), positive, whose sum over each population is its weight; by default 1/N for whatever
            N the weights P have.
        sizes: how many rows of P each population has; by default in proportion to their weights. Without node weights
            nothing else is accepted.

    Raises:
        ArrayError: for wrong node weights or sizes, or, by its methods, weights or inputs of another shape.
        LearningError: for a read-out that only the reduced model has, or node weights of what is no average.
        ValueError: for equations that no specification has, or a phi that SymPy does not differentiate.
    """

    def __init__(
        self,
        network: HasEquations,
        reduction: str,
        factor: float,
        node_weights: FloatArray | None = None,
        sizes: Sequence[int] | None = None,
    ) -> None:
        self.equations = network.equations
        self.dt = float(network.dt)
        self.reduction = reduction
        self.factor = factor
        self._phi = network.nonlinearity.phi
        function = elementwise(self._phi)
        self.phi, self.slope = function.value, function.slope
        if network.readout == "updated_latents_previous_gain" and not self._phi.is_Symbol:
            raise LearningError(
                f"the read-out {network.readout!r} is a convention of the reduced model, without a counterpart in a "
                "network of nonlinear neurons; accepted: 'before_update', 'after_update'"
            )
        # Linear neurons have gain 1, now as at the step before: then that convention is to read after the update.
        self.reads_after_update = network.readout != "before_update"
        self._steps = {
            state.symbol.name: None if state.tau is None else network.dt / (state.tau * network.tau)
            for state in self.equations.states
        }
        self.columns: dict[str, slice] = {}
        start = 0
        for vector in self.equations.vectors:
            self.columns[vector.name] = slice(start, start + vector.columns)
            start += vector.columns
        self.rates = np.concatenate([np.full(vector.columns, float(vector.rate)) for vector in self.equations.vectors])
        velocities = [isinstance(vector, Velocity) for vector in self.equations.vectors for _ in range(vector.columns)]
        self.velocities = np.flatnonzero(velocities)
        feedback = [vector for vector in self.equations.vectors if isinstance(vector, Feedback)]
        # Columns of vectors that the output reads, each with those through which errors are sent back in its place.
        self._sent_back = [(self.columns[vector.of], self.columns[vector.name]) for vector in feedback]
        # The weight of all populations together: P has so many times N rows.
        self._total = sympy.Add(*(population.weight for population in self.equations.populations))
        self._sizes = sizes
        self.node_weights = None if node_weights is None else np.asarray(node_weights, dtype=float)
        self._compiled: dict[sympy.Rational, Unrolled] = {}
        unrolled = self._unrolled(sympy.Integer(1))
        if self.node_weights is not None:
            self._check_node_weights(self.node_weights)
            if unrolled != self._unrolled(sympy.Integer(2)):
                raise LearningError(
                    "node weights: the equations have a sum over neurons without 1/N, or 1/N without such a sum; "
                    "accepted with node weights: averages over neurons, such as V.T*phi(h)/N"
                )

    def gram(self, P: FloatArray) -> FloatArray:
        """Return the Gram matrix of one set of weights, shape (columns, columns), zero between populations.

        It is sum_i w_i P_i P_i^T: P^T P / N where all w_i are 1/N; for equations without 1/N it is P^T P.
        """
        w, gram = self._weights(P), np.zeros((P.shape[-1], P.shape[-1]))
        for rows, columns in self._parts(P):
            root = np.sqrt(w[rows]) * P[rows, columns]
            gram[np.ix_(columns, columns)] = root.T @ root
        return gram

    def outputs(self, P: FloatArray, x: FloatArray, disturb: Disturb | None = None) -> FloatArray:
        """Return the outputs for inputs x of shape (batch, time, inputs); shape (..., batch, time, outputs).

        With ``disturb`` each state is replaced after each update by disturb(time step, its name, its values), values
        being of shape (..., batch, neurons): noise in the activity, or a perturbation at one time.
        """
        outputs = np.empty((*P.shape[:-2], *x.shape[:2], int(self.equations.output.shape[0])))
        for t, output in enumerate(self._run(P, x).outputs(disturb=disturb)):
            outputs[..., t, :] = output
        return outputs

    def loss(self, P: FloatArray, trials: Trials) -> FloatArray:
        """Return the loss of trials (x, y, mask), shape (...)."""
        x, y, _ = trials
        weight = self._error_weight(trials)
        total = np.zeros(P.shape[:-2])
        for t, output in enumerate(self._run(P, x).outputs()):
            total += np.sum(weight[:, t] * (output - y[:, t]) ** 2, axis=(-2, -1))
        return total

    def gradient(self, P: FloatArray, trials: Trials) -> FloatArray:
        """Return dL/dP of one set of weights, shape (N, columns), by backpropagation through time.

        Its memory is what products and functions need on the way back, at every step: for the conventional network
        phi(h) and phi'(h), two arrays of shape (time, batch, N).
        """
        return self._gradient_and_bars(P, trials)[0]

    def _gradient_and_bars(self, P: FloatArray, trials: Trials) -> tuple[FloatArray, list[FloatArray]]:
        run = self._run(P, trials[0])
        bars = self._error_bars(run.outputs(keep=True), trials)
        return run.gradient(bars), bars

    def aligned_gradient(self, P: FloatArray, trials: Trials) -> FloatArray:
        """Return what learning has in place of dL/dP of one set of weights, shape (N, columns).

        Errors dL/dy of the network are sent back through feedback vectors in place of those that the output reads; the
        gradient of these themselves is that of the loss. Without feedback vectors all of it is :meth:`gradient`.
        """
        gradient, bars = self._gradient_and_bars(P, trials)
        if not self._sent_back:
            return gradient
        run = self._run(self._reading_with_feedback(P), trials[0])
        for _ in run.outputs(keep=True):
            pass  # states do not depend on what the output reads: this is for what the way back needs
        aligned = run.gradient(bars)
        for own, _ in self._sent_back:
            aligned[:, own] = gradient[:, own]
        return aligned

    def _error_bars(self, outputs: Iterable[FloatArray], trials: Trials) -> list[FloatArray]:
        """Return dL/dy at each step, shape (batch, outputs) each."""
        weight = self._error_weight(trials)
        return [2 * weight[:, t] * (output - trials[1][:, t]) for t, output in enumerate(outputs)]

    def _reading_with_feedback(self, P: FloatArray) -> FloatArray:
        """Return P with feedback vectors in the place of those that the output reads."""
        P = P.copy()
        for own, sent in self._sent_back:
            P[..., own] = P[..., sent]
        return P

    def _objective(self, P: FloatArray, trials: Trials) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        """Return weights and a function of such weights whose gradient at these is the aligned gradient at P.

        The gradient by the read-out, in which the function is linear, is the same whatever stands in its place.
        """
        if not self._sent_back:
            return P, lambda moved: self.loss(moved, trials)
        bars = self._error_bars(self._run(P, trials[0]).outputs(), trials)

        def linear(moved: FloatArray) -> FloatArray:
            outputs = self._run(moved, trials[0]).outputs()
            return sum((np.sum(bar * y, axis=(-2, -1)) for bar, y in zip(bars, outputs, strict=True)), np.zeros(()))

        return self._reading_with_feedback(P), linear

    def flow(self, P: FloatArray, trials: Trials, gradient: FloatArray | None = None) -> FloatArray:
        """Return dSigma/dt of the flow dP_i/dt = -(1/w_i) dL/dP_i, shape (columns, columns).

        dL/dP is given, shape (N, columns), or that of :meth:`aligned_gradient`: the gradient of the loss, unless errors
        are sent back through vectors of their own.
        """
        gradient = self.aligned_gradient(P, trials) if gradient is None else gradient
        moved, flow = gradient * self.rates, np.zeros((P.shape[-1], P.shape[-1]))
        for rows, columns in self._parts(P):
            half = -moved[rows, columns].T @ P[rows, columns]
            flow[np.ix_(columns, columns)] = half + half.T
        return flow

    def finite_difference_gradient(
        self,
        P: FloatArray,
        trials: Trials,
        spacing: float = DIFFERENCE_SPACING,
        entries: NDArray[np.integer[Any]] | None = None,
        aligned: bool = False,
    ) -> FloatArray:
        """Return dL/dP of one set of weights by central differences.

        Args:
            P: weights, shape (N, columns).
            trials: the trials.
            spacing: how far a weight is moved to either side.
            entries: positions in the flattened P to differentiate by; by default all.
            aligned: whether to return what learning has in its place, as of :meth:`aligned_gradient`.

        Returns:
            dL/dP, shape (N, columns); with ``entries`` the derivatives by those, shape (len(entries),).
        """
        positions = np.arange(P.size) if entries is None else np.asarray(entries)
        P, function = self._objective(P, trials) if aligned else (P, partial(self.loss, trials=trials))
        flat = np.empty(len(positions))
        chunk = max(1, min(256, LARGEST_CHUNK // (len(P) * max(len(trials[0]), P.shape[1]))))
        for start in range(0, len(positions), chunk):
            moved = positions[start : start + chunk]
            shifted = np.repeat(P[None], len(moved), axis=0).reshape(len(moved), P.size)
            shifted[np.arange(len(moved)), moved] += spacing
            above = function(shifted.reshape(-1, *P.shape))
            shifted[np.arange(len(moved)), moved] -= 2 * spacing
            below = function(shifted.reshape(-1, *P.shape))
            flat[start : start + chunk] = (above - below) / (2 * spacing)
        return flat.reshape(P.shape) if entries is None else flat

    def finite_difference_flow(
        self, P: FloatArray, trials: Trials, spacing: float = FLOW_SPACING
    ) -> tuple[FloatArray, FloatArray]:
        """Return dSigma/dt of the flow of :meth:`flow` from differences of the loss, and an estimate of its error.

        The rate of an overlap needs the gradient along two directions only, for every N and all node weights:

            dSigma_ij/dt = -(rate_i D_ij + rate_j D_ji),     D_ij = dL/de at P_i + e P_j in place of P_i

        for columns of one population, so columns^2 directional derivatives take the place of N columns. Each is a
        central difference at spacings e, 2e and 4e, extrapolated twice. The estimate of the error is the distance of
        the two values extrapolated once: far above the truncation error of the result, and of the size of its rounding.
        Where phi' jumps (ReLU), each state within e of a jump adds an error of order 1/N, of either sign: some
        sqrt(e/N) in all, of which the estimate has the size but is no bound; a smaller spacing helps, as
        ``DIFFERENCE_SPACING``.

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
        weights, function = self._objective(P, trials)
        for rows, columns in self._parts(P):
            for i, j in itertools.product(columns[self.rates[columns] > 0], columns):
                moved = np.repeat(weights[None], 6, axis=0)
                moved[:, rows, i] += np.concatenate([sizes, -sizes])[:, None] * P[rows, j]
                losses = function(moved)
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
            gradient: how gradients dL/dP are computed; by default :meth:`aligned_gradient`.
            optimizer: "gradient_descent", "momentum", "nesterov", "adam" or an optimizer; it is given the gradients
                (1/w_i) dL/dP_i of the trained columns.

        Raises:
            UnknownNameError: for an unknown name of an optimizer.
        """
        gradient = gradient or self.aligned_gradient
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

    def _run(self, P: FloatArray, x: FloatArray) -> Run:
        """Return the network of weights P, about to run."""
        check_shape(P, "P", (..., None, len(self.rates)), "(..., neurons, columns)")
        check_shape(x, "x", (None, None, int(self.equations.inputs.shape[0])), "(batch, time, inputs)")
        n = P.shape[-2]
        if self.node_weights is None:
            neurons = n / self._total
            w = np.full(n, float(1 / neurons))
        else:
            neurons, w = sympy.Integer(1), self._weights(P)[:, 0]
        names = (population.name for population in self.equations.populations)
        return Run(self._unrolled(neurons), Weights(P, w, dict(zip(names, self._rows(n), strict=True))), x)

    def _unrolled(self, neurons: sympy.Rational) -> Unrolled:
        """Return the compiled equations for N neurons."""
        if neurons not in self._compiled:
            compiled = unroll(self.equations, self._phi, self._steps, neurons, self.reads_after_update)
            self._compiled[neurons] = compiled
        return self._compiled[neurons]

    def _weights(self, P: FloatArray) -> FloatArray:
        """Return w, as Sigma and learning have it, as a column, shape (N, 1)."""
        n = P.shape[-2]
        if self.node_weights is None:
            return np.full((n, 1), float(self._total / n) if self.equations.averages else 1.0)
        if len(self.node_weights) != n:
            raise ArrayError(f"found {n} rows of P for {len(self.node_weights)} node weights; accepted: as many")
        return self.node_weights[:, None]

    def _rows(self, n: int) -> list[slice]:
        """Return the rows of each population, of n rows of P."""
        shares = [population.weight * n / self._total for population in self.equations.populations]
        sizes = shares if self._sizes is None else list(self._sizes)
        in_proportion = sizes == shares or self.node_weights is not None
        if len(sizes) != len(shares) or sum(sizes) != n or any(size % 1 for size in sizes) or not in_proportion:
            found, wanted = (", ".join(map(str, numbers)) for numbers in (sizes, shares))
            raise ArrayError(
                f"sizes of populations: found {found} for {n} rows of P; accepted: whole numbers of that sum, and in "
                f"proportion to the populations' weights, {wanted}, unless there are node weights"
            )
        ends = [int(end) for end in itertools.accumulate(sizes)]
        return [slice(start, end) for start, end in itertools.pairwise([0, *ends])]

    def _parts(self, P: FloatArray) -> Iterator[tuple[slice, NDArray[np.intp]]]:
        """Give the rows and the columns of each population."""
        owner = np.concatenate([[vector.population] * vector.columns for vector in self.equations.vectors])
        for population, rows in zip(self.equations.populations, self._rows(P.shape[-2]), strict=True):
            yield rows, np.flatnonzero(owner == population.name)

    def _error_weight(self, trials: Trials) -> FloatArray:
        """Return the weight of each squared error, shape (batch, time, outputs)."""
        _, y, mask = trials
        weight = np.ones_like(y) if mask is None else mask
        if self.reduction == "sum_dt":
            return self.factor * self.dt * weight / len(y)
        return self.factor * weight / weight.sum()

    def _check_node_weights(self, w: FloatArray) -> None:
        total = float(self._total)
        if w.ndim != 1 or not (w > 0).all() or abs(w.sum() - total) > 1e-10:
            raise ArrayError(
                f"node weights: found shape {w.shape} and sum {w.sum():.12g}; accepted: shape (N,), positive, of sum "
                f"{total:.12g}"
            )
        for population, rows in zip(self.equations.populations, self._rows(len(w)), strict=True):
            if abs(w[rows].sum() - float(population.weight)) > 1e-10:
                raise ArrayError(
                    f"node weights of population {population.name!r}: found the sum {w[rows].sum():.12g}; accepted: "
                    f"its weight, {population.weight}"
                )
