"""Verification: the generated module against the full network of N neurons, mpmath and complex steps.

A check compares two ways to the same numbers, states the bound that the error must keep and why, and gives a verdict.
The bound on runs trained with finite differences follows from an estimate of the error of the differences: if every
entry of the gradient is off by at most delta, a step moves an overlap by at most

    lr (|P_i|_1 + |P_j|_1) delta

more or less than it should, and the run by the sum over its steps (times a margin of ten, as errors may grow).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

import numpy as np

from symlow.arrays import FloatArray, Trials
from symlow.codegen.emit import compile_module
from symlow.derivation import Derivation
from symlow.errors import LearningError
from symlow.files import write_whole
from symlow.initial import overlaps_of_weights, sample_weights
from symlow.learn import Track, check_run
from symlow.reference import DIGITS, ReferenceModel
from symlow.simulate import DIFFERENCE_SPACING, FullNetwork
from symlow.tasks.filters import FilterLoss
from symlow.version import __version__

LONGEST_SIMULATION = 2**14
"""The most time steps that a simulation takes of an infinite horizon."""

LARGEST_OVERLAP = 1e3
"""Beyond it learning has diverged: the overlaps of the initial weights are of order one."""

MOST_REFERENCE_DERIVATIVES = 12
"""How many visible overlaps are differentiated at 50 digits; spread evenly over all of them where there are more."""


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        name: what was compared, in words.
        error: the largest deviation found.
        bound: the largest deviation accepted.
        why: where the bound comes from.
        passed: the verdict.
    """

    name: str
    error: float
    bound: float
    why: str
    passed: bool


@dataclass(frozen=True)
class Certificate:
    """The result of a verification.

    Attributes:
        name: name of the specification.
        digest: its digest.
        symlow: version of symlow.
        settings: neurons, steps, learning rate and seed of the runs compared.
        checks: the comparisons.
    """

    name: str
    digest: str
    symlow: str
    settings: dict[str, float]
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def to_json(self) -> str:
        """Return the certificate as JSON."""
        return json.dumps({**asdict(self), "passed": self.passed}, indent=2) + "\n"

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the certificate as JSON.

        Raises:
            FileError: if the file exists and ``overwrite`` is false, or cannot be written.
        """
        return write_whole(path, self.to_json(), overwrite)


def verify(
    derivation: Derivation,
    neurons: int = 24,
    steps: int = 20,
    lr: float = 0.02,
    seed: int = 0,
    module: ModuleType | None = None,
    track: Track = iter,
) -> Certificate:
    """Train the full network with finite-difference gradients and compare everything with the generated module.

    Args:
        derivation: what to verify.
        neurons: N of the full network.
        steps: steps of gradient descent.
        lr: learning rate.
        seed: seed of the initial weights, and of the trials where the task has none of its own.
        module: what to verify in place of the module generated from the derivation.
        track: wraps the iteration over steps, for a progress bar.

    Raises:
        LearningError: if a setting is out of range, learning diverges at the learning rate, or the loss cannot be
            simulated: it is infinite, or the horizon too long.
    """
    check_run(lr, steps)
    module = compile_module(derivation) if module is None else module
    weights = sample_weights(derivation, neurons, 1.0, seed)
    sigma = overlaps_of_weights(derivation, weights)
    trials = verification_trials(derivation, module, sigma, seed)
    network = FullNetwork(derivation.network, derivation.loss.reduction, float(derivation.loss.factor))
    comparison = _Comparison(derivation, module, network, weights, sigma, trials)
    checks = [
        comparison.outputs(seed),
        *comparison.backpropagation_run(steps, lr),
        *comparison.finite_difference_run(steps, lr, track),
        comparison.flow(),
        comparison.order_of_euler_step(lr),
        comparison.gradient_at_many_digits(),
        comparison.gradient_by_complex_steps(),
    ]
    if isinstance(derivation.loss, FilterLoss):
        checks += comparison.closed_form()
    settings = {"neurons": neurons, "steps": steps, "lr": lr, "seed": seed}
    return Certificate(derivation.spec.name, derivation.spec.digest, __version__, settings, tuple(checks))


def verification_trials(derivation: Derivation, module: ModuleType, sigma: FloatArray, seed: int) -> Trials:
    """Return the task's own trials, cut where an infinite horizon is negligible, or random ones for a trials task."""
    loss = derivation.loss
    if not isinstance(loss, FilterLoss):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((3, 40, loss.inputs))
        y = rng.standard_normal((3, 40, loss.outputs))
        return x, y, (rng.random(y.shape) < 0.7).astype(float)
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
    network: FullNetwork
    weights: FloatArray
    sigma: FloatArray
    trials: Trials

    def outputs(self, seed: int) -> Check:
        x = np.random.default_rng(seed + 1).standard_normal((3, 200, self.derivation.loss.inputs))
        full, reduced = self.network.outputs(self.weights, x), self.module.outputs(self.sigma, x)
        error = _relative(reduced, full)
        return _check("output, reduced / full network", error, 1e-11, "rounding, relative")

    def backpropagation_run(self, steps: int, lr: float) -> list[Check]:
        errors = self._run(steps, lr, self.network.gradient, iter)
        why = "rounding: the finite step is exact"
        return [
            _check(f"overlaps, {steps} steps / backpropagation", errors[0], 1e-11, why),
            _check(f"loss, {steps} steps / backpropagation", errors[1], 1e-11, why),
        ]

    def finite_difference_run(self, steps: int, lr: float, track: Track) -> list[Check]:
        bound = 10 * steps * lr * self.overlap_error
        slope = np.abs(self.module.loss_gradient(self.sigma, self.trials)).sum()
        sizes = np.abs(self.sigma).max(), float(self.module.loss(self.sigma, self.trials))
        errors = self._run(steps, lr, self.network.finite_difference_gradient, track)
        why = f"gradients by differences are off by {self.difference_error:.0e} an entry, over {steps} steps, times 10"
        return [
            _check(f"overlaps, {steps} steps / finite differences", errors[0], bound / sizes[0], why),
            _check(f"loss, {steps} steps / finite differences", errors[1], bound * slope / sizes[1], why),
        ]

    def _run(
        self, steps: int, lr: float, gradient: Callable[[FloatArray, Trials], FloatArray], track: Track
    ) -> tuple[float, float]:
        """Return the largest deviations of overlaps and loss along a run, relative to the largest of each."""
        sigma, in_overlaps, in_loss, scale = self.sigma, 0.0, 0.0, 0.0
        run = self.network.train(self.weights, self.trials, lr, steps, gradient)
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is reported, not warned of
            for _ in track(range(steps + 1)):
                moment = next(run)
                if not np.isfinite(moment.loss) or np.abs(moment.gram).max() > LARGEST_OVERLAP:
                    raise LearningError(f"learning of the full network diverged at lr = {lr}; verify with a lower one")
                in_overlaps = max(in_overlaps, _relative(self.module.gram(sigma), moment.gram))
                scale = max(scale, moment.loss)
                in_loss = max(in_loss, abs(float(self.module.loss(sigma, self.trials)) - moment.loss) / (scale or 1.0))
                sigma = self.module.step(sigma, lr, self.trials)
        return in_overlaps, in_loss

    def flow(self) -> Check:
        half = -(self.differences[0] * self.network.trained).T @ self.weights
        full, reduced = half + half.T, self.module.gram(self.module.rhs(0.0, self.sigma, self.trials))
        why = "the error of the finite differences"
        return _check("dSigma/dt, rhs / finite differences", np.abs(full - reduced).max(), self.overlap_error, why)

    def order_of_euler_step(self, lr: float) -> Check:
        rates = lr * 2.0 ** -np.arange(4)
        flow = self.module.rhs(0.0, self.sigma, self.trials)
        exact = self.module.step(self.sigma, rates, self.trials)
        deviations = np.abs(exact - self.sigma - rates[:, None] * flow).max(axis=-1)
        # Where nothing is trained nothing moves, and there is no deviation to have an order.
        order = np.log2(deviations[:-1] / deviations[1:]) if self.network.trained.any() else np.array([2.0])
        why = "Euler's step of rhs differs from step by O(lr^2)"
        return _check("order of Euler's error per step, minus 2", np.abs(order - 2).max(), 1e-3, why)

    def gradient_at_many_digits(self) -> Check:
        count = len(self.derivation.visible)
        positions = sorted({round(k) for k in np.linspace(0, count - 1, min(count, MOST_REFERENCE_DERIVATIVES))})
        reference = ReferenceModel(self.derivation).gradient(self.sigma, self.trials, positions)
        found = self.module.loss_gradient(self.sigma, self.trials)[positions]
        name = f"gradient ({len(positions)} of {count}) / {DIGITS} digits"
        return _check(name, _relative(found, reference), 1e-10, "rounding over the time steps, relative")

    def gradient_by_complex_steps(self) -> Check:
        count, step = len(self.derivation.visible), 1e-30
        shifted = self.sigma + 1j * step * np.eye(len(self.sigma))[:count]
        reference = np.imag(self.module.loss(shifted, self.trials)) / step
        found = self.module.loss_gradient(self.sigma, self.trials)
        why = "a complex step has no error but rounding"
        return _check("gradient / complex steps", _relative(found, reference), 1e-12, why)

    def closed_form(self) -> list[Check]:
        stepped, closed = (self.module.loss(self.sigma, trials) for trials in (self.trials, None))
        slopes, slopes_closed = (self.module.loss_gradient(self.sigma, trials) for trials in (self.trials, None))
        why = "rounding over the lags, relative"
        return [
            _check("loss, closed form / stepped in time", _relative(closed, stepped), 1e-10, why),
            _check("gradient, closed form / stepped in time", _relative(slopes_closed, slopes), 1e-10, why),
        ]

    @cached_property
    def differences(self) -> tuple[FloatArray, FloatArray]:
        """The gradients by finite differences, at the spacing of the runs and at twice that spacing."""
        spacings = DIFFERENCE_SPACING, 2 * DIFFERENCE_SPACING
        fine, coarse = (self.network.finite_difference_gradient(self.weights, self.trials, h) for h in spacings)
        return fine, coarse

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
        """What that error does to the rate of an overlap, at most: (|P_i|_1 + |P_j|_1) delta."""
        return float(2 * np.abs(self.weights).sum(axis=0).max() * self.difference_error)


def _check(name: str, error: float, bound: float, why: str) -> Check:
    return Check(name, float(error), float(bound), why, bool(error <= bound))


def _relative(found: FloatArray, reference: FloatArray) -> float:
    """Return the largest deviation, relative to the largest entry of the reference."""
    deviation = float(np.abs(found - reference).max())
    size = float(np.abs(reference).max())
    return deviation / size if size else float("inf" if deviation else 0.0)
