"""Verification: the generated module against the full network of N neurons, mpmath and complex steps.

A check compares two ways to the same numbers, states the bound that the error must keep and why, and gives a verdict.
The bound on runs trained with finite differences follows from an estimate of the error of the differences: if every
entry of the gradient is off by at most delta, a step moves an overlap by at most

    lr (|P_i|_1 + |P_j|_1) delta

more or less than it should, and the run by the sum over its steps (times a margin of ten, as errors may grow). Momentum
beta makes errors last for 1 / (1 - beta) steps, and overlaps with velocities have them without the factor lr.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from types import ModuleType

import numpy as np
from scipy.integrate import solve_ivp

from symlow.arrays import FloatArray, Trials
from symlow.batches import noisy_batches, task_batches
from symlow.certificate import Certificate, Check, Measurement, check, relative_error
from symlow.closure import ClosureVerification, drift_measurements, gradient_flow
from symlow.codegen.emit import compile_module
from symlow.course import Track
from symlow.derivation import Derivation
from symlow.drift import drift, has_no_network
from symlow.errors import LearningError
from symlow.initial import least_neurons, overlaps_of_weights, sample_weights
from symlow.learn import check_run
from symlow.optimizers import rule_optimizer
from symlow.reference import DIGITS, ReferenceModel
from symlow.simulate import DIFFERENCE_SPACING, FullNetwork
from symlow.tasks.filters import FilterLoss
from symlow.version import __version__

LONGEST_SIMULATION = 2**14
"""The most time steps that a simulation takes of an infinite horizon."""

LARGEST_OVERLAP = 1e3
"""Beyond it learning has diverged: the overlaps of the initial weights are of order one."""

REFERENCE_TRIALS = (2, 10)
"""Trials and time steps at 50 digits where gains depend on the state."""

DRIFT_TRIALS = 16
"""Trials of a batch in the learning run of a closure."""

SMALL_CHANGE = 1e-7
"""Relative change of initial overlaps by which the amplification of errors is measured."""

MOMENTUM_STEPS = 20
"""The fewest steps of a run that is compared with the flow, in times 1 / (1 - beta) that velocities need to settle."""

MOST_REFERENCE_DERIVATIVES = 12
"""How many visible overlaps are differentiated at 50 digits; spread evenly over all of them where there are more."""


def verify(
    derivation: Derivation,
    neurons: int | None = None,
    steps: int | None = None,
    lr: float = 0.02,
    seed: int = 0,
    module: ModuleType | None = None,
    track: Track = iter,
) -> Certificate:
    """Compare everything with the full network, trained with finite-difference gradients, and with many digits.

    A linear network is compared step by step with a full network of few neurons, to rounding. Of a nonlinear one the
    flow at a Gaussian state is compared with networks of up to 16000 neurons and with infinite width, and the drift of
    the closure is measured over a learning run.

    Args:
        derivation: what to verify.
        neurons: N of the full network of the learning run, by default 24 for linear networks, 600 for others.
        steps: steps of gradient descent, by default 20 for linear networks, 100 for others.
        lr: learning rate.
        seed: seed of the initial weights, and of the trials where the task has none of its own.
        module: what to verify in place of the module generated from the derivation.
        track: wraps the iteration over steps or networks, for a progress bar.

    Raises:
        LearningError: if a setting is out of range, learning diverges at the learning rate, or the loss cannot be
            simulated: it is infinite, or the horizon too long.
    """
    linear = derivation.network.nonlinearity.is_linear
    if neurons is None:
        least = least_neurons(derivation.network.equations)
        neurons = math.ceil((24 if linear else 600) / least) * least
    steps = (20 if linear else 100) if steps is None else steps
    check_run(lr, steps)
    module = compile_module(derivation) if module is None else module
    weights = sample_weights(derivation, neurons, 1.0, seed)
    sigma = overlaps_of_weights(derivation, weights)
    trials = verification_trials(derivation, module, sigma, seed)
    comparison = _Comparison(derivation, module, weights, sigma, trials)
    measurements: list[Measurement] = []
    if linear:
        checks = [*comparison.full_network(steps, lr, seed, track), *comparison.gradient()]
    else:
        checks = comparison.gradient()
        if not has_no_network(derivation):
            trials = _random_trials(derivation, seed)
            closure = ClosureVerification(derivation, module, trials, seed, track)
            checks += closure.checks()
            measurements += closure.measurements()
            if not derivation.network.nonlinearity.has_jumps:
                drawn = task_batches(derivation, seed, DRIFT_TRIALS) or trials
                batches = noisy_batches(drawn, float(derivation.rule.label_noise), seed)
                measurements += drift_measurements(drift(derivation, weights, lr, steps, batches, module, track))
    if isinstance(derivation.loss, FilterLoss):
        checks += comparison.closed_form()
    return Certificate(
        derivation.spec.name,
        derivation.spec.digest,
        __version__,
        {"neurons": neurons, "steps": steps, "lr": lr, "seed": seed},
        derivation.statements,
        tuple(checks),
        tuple(measurements),
    )


def verification_trials(derivation: Derivation, module: ModuleType, sigma: FloatArray, seed: int) -> Trials:
    """Return the task's own trials, cut where an infinite horizon is negligible, or random ones for a trials task."""
    loss = derivation.loss
    if not isinstance(loss, FilterLoss):
        return _random_trials(derivation, seed)
    if loss.steps is not None:
        if loss.steps > LONGEST_SIMULATION:
            raise LearningError(
                f"task.horizon: found {loss.steps} time steps; accepted for verification, which steps through time: "
                f"at most {LONGEST_SIMULATION}"
            )
        return loss.impulse_trials()
    if not np.isfinite(module.loss(sigma)):
        raise LearningError(
            "the loss is infinite at the initial weights, for the horizon is infinite and the reduced dynamics or the "
            "target does not decay; verify with a finite task.horizon or another seed"
        )
    # Long enough for both responses to vanish; the closed form, over all lags, is then compared with what is left.
    steps = 256
    while steps <= LONGEST_SIMULATION:
        x, y, _ = loss.impulse_trials(steps)
        responses = np.concatenate([module.outputs(sigma, x), y], axis=0)
        if np.abs(responses[:, 3 * steps // 4 :]).max() <= 1e-8 * np.abs(responses).max():
            return x, y, None
        steps *= 2
    raise LearningError(
        f"the responses do not vanish within {LONGEST_SIMULATION} time steps, too slow for verification, which steps "
        "through time; verify with a finite task.horizon"
    )


@dataclass(frozen=True, eq=False)
class _Comparison:
    """The two sides of all comparisons: the generated module and the full network, at the same weights and trials."""

    derivation: Derivation
    module: ModuleType
    weights: FloatArray
    sigma: FloatArray
    trials: Trials

    @cached_property
    def network(self) -> FullNetwork:
        """The full network."""
        loss = self.derivation.loss
        return FullNetwork(self.derivation.network, loss.reduction, float(loss.factor))

    def full_network(self, steps: int, lr: float, seed: int, track: Track) -> list[Check]:
        """Return the comparisons of a linear network with all its neurons."""
        return [
            self.outputs(seed),
            *self.backpropagation_run(steps, lr),
            *self.finite_difference_run(steps, lr, track),
            self.flow(),
            self.order(lr),
        ]

    def gradient(self) -> list[Check]:
        """Return the comparisons of the gradient of the reduced loss."""
        return [self.gradient_at_many_digits(), self.gradient_by_complex_steps()]

    def outputs(self, seed: int) -> Check:
        x = np.random.default_rng(seed + 1).standard_normal((3, 200, self.derivation.loss.inputs))
        full, reduced = self.network.outputs(self.weights, x), self.module.outputs(self.sigma, x)
        error = relative_error(reduced, full)
        return check("output, reduced / full network", error, 1e-11, "rounding, relative")

    def backpropagation_run(self, steps: int, lr: float) -> list[Check]:
        errors = self._run(steps, lr, self.network.aligned_gradient, iter)
        grown = self.amplification(steps, lr)
        why = f"rounding, which this run amplifies by {grown:.2g}: the finite step is exact"
        return [
            check(f"overlaps, {steps} steps / backpropagation", errors[0], 1e-11 * grown, why),
            check(f"loss, {steps} steps / backpropagation", errors[1], 1e-11 * grown, why),
        ]

    def finite_difference_run(self, steps: int, lr: float, track: Track) -> list[Check]:
        rule, rate = self.derivation.rule, max(self.network.rates.max(), 1.0)
        bound = 10 * (steps * lr * rate + rule.has_velocity) * self.overlap_error / float(1 - rule.momentum)
        slope = np.abs(self.module.loss_gradient(self.sigma, self.trials)).sum()
        sizes = np.abs(self.sigma).max(), float(self.module.loss(self.sigma, self.trials))
        bound *= self.amplification(steps, lr)
        errors = self._run(steps, lr, partial(self.network.finite_difference_gradient, aligned=True), track)
        why = f"gradients by differences are off by {self.difference_error:.0e} an entry, over {steps} steps, times 10"
        return [
            check(f"overlaps, {steps} steps / finite differences", errors[0], bound / sizes[0], why),
            check(f"loss, {steps} steps / finite differences", errors[1], bound * slope / sizes[1], why),
        ]

    def amplification(self, steps: int, lr: float) -> float:
        """Return by how much a run of the module amplifies a small change of its initial overlaps, at least 1.

        Where learning is unstable, rounding and errors of gradients grow along the run as that change does.
        """
        sigma = np.stack([self.sigma, self.sigma * (1 + SMALL_CHANGE)])
        trials = noisy_batches(self.trials, float(self.derivation.rule.label_noise), seed=0)
        largest = 1.0
        with np.errstate(over="ignore", invalid="ignore"):
            for k in range(steps):
                sigma = self.module.step(sigma, lr, trials(k))
                largest = max(largest, float(np.abs(sigma[1] - sigma[0]).max() / np.abs(sigma[0]).max()) / SMALL_CHANGE)
        return largest

    def _run(
        self, steps: int, lr: float, gradient: Callable[[FloatArray, Trials], FloatArray], track: Track
    ) -> tuple[float, float]:
        """Return the largest deviations of overlaps and loss along a run, relative to the largest of each."""
        sigma, in_overlaps, in_loss, scale = self.sigma, 0.0, 0.0, 0.0
        optimizer = rule_optimizer(self.derivation.rule)
        trials = noisy_batches(self.trials, float(self.derivation.rule.label_noise), seed=0)
        run = self.network.train(self.weights, trials, lr, steps, gradient, optimizer)
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is reported, not warned of
            for k in track(range(steps + 1)):
                moment, batch = next(run), trials(k)
                if not np.isfinite(moment.loss) or np.abs(moment.gram).max() > LARGEST_OVERLAP:
                    raise LearningError(f"learning of the full network diverged at lr = {lr}; verify with a lower one")
                in_overlaps = max(in_overlaps, relative_error(self.module.gram(sigma), moment.gram))
                scale = max(scale, moment.loss)
                in_loss = max(in_loss, abs(float(self.module.loss(sigma, batch)) - moment.loss) / (scale or 1.0))
                sigma = self.module.step(sigma, lr, batch)
        return in_overlaps, in_loss

    def flow(self) -> Check:
        full = self.network.flow(self.weights, self.trials, self.differences[0])
        reduced = gradient_flow(self.derivation, self.module, self.sigma, self.trials)
        why = "the error of the finite differences"
        return check("dSigma/dt, rhs / finite differences", np.abs(full - reduced).max(), self.overlap_error, why)

    def order(self, lr: float) -> Check:
        return self.order_of_momentum(lr) if self.derivation.rule.has_velocity else self.order_of_euler_step(lr)

    def order_of_euler_step(self, lr: float) -> Check:
        rates = lr * 2.0 ** -np.arange(4)
        flow = self.module.rhs(0.0, self.sigma, self.trials)
        exact = self.module.step(self.sigma, rates, self.trials)
        deviations = np.abs(exact - self.sigma - rates[:, None] * flow).max(axis=-1)
        # Where nothing is trained nothing moves, and there is no deviation to have an order.
        order = np.log2(deviations[:-1] / deviations[1:]) if self.network.rates.any() else np.array([2.0])
        why = "Euler's step of rhs differs from step by O(lr^2)"
        return check("order of Euler's error per step, minus 2", np.abs(order - 2).max(), 1e-3, why)

    def order_of_momentum(self, lr: float) -> Check:
        """Compare runs of ever shorter steps with the flow, which they tend to; velocities are not in it."""
        learning, left = self.derivation.learning, float(1 - self.derivation.rule.momentum)
        ordered = self.derivation.ordered
        weights = [ordered.index(overlap) for overlap in learning.weights]
        time, errors = 20 * lr, []
        flow = partial(self.module.rhs, trials=self.trials)
        limit = solve_ivp(flow, (0.0, time), self.sigma, method="DOP853", rtol=1e-12, atol=1e-13).y[weights, -1]
        for steps in round(MOMENTUM_STEPS / left) * 2 ** np.arange(3):
            sigma = self.sigma
            for _ in range(steps):
                sigma = self.module.step(sigma, time * left / steps, self.trials)
            errors.append(np.abs(sigma[weights] - limit).max())
        # Where nothing is trained nothing moves, and there is no deviation to have an order.
        order = np.log2(np.divide(errors[:-1], errors[1:])) if self.network.rates.any() else np.array([1.0])
        why = "runs of small steps differ from the flow by O(lr)"
        return check("order of the run's distance to the flow, minus 1", np.abs(order - 1).max(), 0.1, why)

    def gradient_at_many_digits(self) -> Check:
        count = len(self.derivation.visible)
        positions = sorted({round(k) for k in np.linspace(0, count - 1, min(count, MOST_REFERENCE_DERIVATIVES))})
        # A gain by quadrature at many digits takes long: a few time steps of two trials do.
        quick = not self.derivation.reduction.statistics
        trials = self.trials if quick else _cut(self.trials, *REFERENCE_TRIALS)
        reference = ReferenceModel(self.derivation).gradient(self.sigma, trials, positions)
        found = self.module.loss_gradient(self.sigma, trials)[positions]
        name = f"gradient ({len(positions)} of {count}) / {DIGITS} digits"
        return check(name, relative_error(found, reference), 1e-10, "rounding over the time steps, relative")

    def gradient_by_complex_steps(self) -> Check:
        count, step = len(self.derivation.visible), 1e-30
        shifted = self.sigma + 1j * step * np.eye(len(self.sigma))[:count]
        reference = np.imag(self.module.loss(shifted, self.trials)) / step
        found = self.module.loss_gradient(self.sigma, self.trials)
        why = "a complex step has no error but rounding"
        return check("gradient / complex steps", relative_error(found, reference), 1e-12, why)

    def closed_form(self) -> list[Check]:
        stepped, closed = (self.module.loss(self.sigma, trials) for trials in (self.trials, None))
        slopes, slopes_closed = (self.module.loss_gradient(self.sigma, trials) for trials in (self.trials, None))
        why = "rounding over the lags, relative"
        return [
            check("loss, closed form / stepped in time", relative_error(closed, stepped), 1e-10, why),
            check("gradient, closed form / stepped in time", relative_error(slopes_closed, slopes), 1e-10, why),
        ]

    @cached_property
    def differences(self) -> tuple[FloatArray, FloatArray]:
        """What learning has as gradients, by differences at the spacing of the runs and at twice that spacing."""
        spacings = DIFFERENCE_SPACING, 2 * DIFFERENCE_SPACING
        fine, coarse = (self._differences(h) for h in spacings)
        return fine, coarse

    def _differences(self, spacing: float) -> FloatArray:
        return self.network.finite_difference_gradient(self.weights, self.trials, spacing, aligned=True)

    @property
    def difference_error(self) -> float:
        """An estimate of the largest error of the finer differences.

        At twice the spacing the truncation error is four times as large and the rounding another, so the distance of
        the two is about three times the truncation error of the finer, and of the size of the rounding.
        """
        fine, coarse = self.differences
        return float(np.abs(fine - coarse).max())

    @property
    def overlap_error(self) -> float:
        """What that error does to the rate of an overlap, at most: (|P_i|_1 + |P_j|_1) delta, velocities included."""
        longest = np.abs(self.weights).sum(axis=0).max()
        if self.derivation.rule.has_velocity:
            gradients = len(self.weights) * np.abs(self.differences[0]).sum(axis=0)
            longest = max(longest, gradients.max() / float(1 - self.derivation.rule.momentum))
        return float(2 * longest * self.difference_error)


def _random_trials(derivation: Derivation, seed: int) -> Trials:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((3, 40, derivation.loss.inputs))
    y = rng.standard_normal((3, 40, derivation.loss.outputs))
    return x, y, (rng.random(y.shape) < 0.7).astype(float)


def _cut(trials: Trials, batch: int, steps: int) -> Trials:
    x, y, mask = trials
    return x[:batch, :steps], y[:batch, :steps], None if mask is None else mask[:batch, :steps]
