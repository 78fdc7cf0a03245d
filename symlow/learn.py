"""Learning runs: gradient descent by the finite step, or gradient flow by an adaptive integrator.

    descent:  Sigma[k+1] = K^T Sigma[k] K,  K = 1 - 2 lr S D        flow:  dSigma/dt = -2 (D S Sigma + Sigma S D)

or K and the flow of another rule (:mod:`symlow.rules`). A step of descent with learning rate lr advances the time of
the flow by lr; a step with momentum beta does by lr / (1 - beta), to which it tends as lr falls. Where trials are drawn
anew for each step, S is that of the step's own batch: stochastic gradient descent.

What the flow conserves whatever the loss (:mod:`symlow.invariants`), a step changes by an amount of order lr^2, so that
over a given time of the flow descent drifts by an amount of order lr; the flow drifts by its integrator's error.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np
from scipy.integrate import solve_ivp

from symlow.arrays import FloatArray, Trials
from symlow.batches import Batches, noisy_batches, task_batches
from symlow.codegen.emit import compile_module
from symlow.derivation import Derivation
from symlow.errors import LearningError
from symlow.files import write_whole
from symlow.initial import check_overlaps
from symlow.invariants.invariant import FROZEN, Invariant, evaluate
from symlow.tasks.filters import FilterLoss
from symlow.tasks.trials import check_trials

Track = Callable[[Iterable[int]], Iterable[int]]


MOST_EVALUATIONS = 100_000
"""The most evaluations of the flow in a run: some minutes, and far more than a flow needs that is not stiff."""


@dataclass(frozen=True)
class LearningRun:
    """The course of a learning run.

    Attributes:
        overlaps: names, visible ones first.
        n_visible: how many of them are visible.
        sigma: overlaps before the first and after every step, shape (steps + 1, n_overlaps), or
            (steps + 1, states, n_overlaps) for several initial states.
        loss: loss at the same moments, shape (steps + 1,) or (steps + 1, states); on the trials of each step where
            these differ.
        lr: learning rate.
        method: "step" for gradient descent, "flow" for gradient flow.
        digest: digest of the specification.
        conserved: what gradient flow conserves, but for overlaps that are frozen.
    """

    overlaps: tuple[str, ...]
    n_visible: int
    sigma: FloatArray
    loss: FloatArray
    lr: float
    method: str
    digest: str
    conserved: tuple[Invariant, ...] = ()

    @cached_property
    def drift(self) -> FloatArray:
        """How far each conserved quantity is from its first value, by ``conserved`` along the last axis.

        Relative to the largest that it could be for vectors of the first state's norms (:meth:`Invariant.scale`).
        Shape (steps + 1, n_conserved), or (steps + 1, states, n_conserved).
        """
        values = evaluate(self.conserved, self.sigma)
        scales = np.ones(values.shape[1:])
        for k, invariant in enumerate(self.conserved):
            scales[..., k] = invariant.scale(self.sigma[0])
        difference = values - values[0]
        return np.divide(difference, scales, out=np.zeros_like(difference), where=scales > 0)

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the run to an .npz file with an array for each attribute, and return its path.

        Raises:
            FileError: if the file exists and ``overwrite`` is false, or cannot be written.
        """
        stream = io.BytesIO()
        np.savez(
            stream,
            sigma=self.sigma,
            loss=self.loss,
            overlaps=np.array(self.overlaps),
            n_visible=self.n_visible,
            lr=self.lr,
            method=self.method,
            digest=self.digest,
            conserved=np.array([invariant.name for invariant in self.conserved], dtype=np.str_),
            drift=self.drift,
        )
        return write_whole(path, stream.getvalue(), overwrite)


def learn(
    derivation: Derivation,
    sigma: object,
    lr: float,
    steps: int,
    trials: tuple[object, ...] | Batches | None = None,
    method: Literal["step", "flow"] = "step",
    module: ModuleType | None = None,
    track: Track = iter,
    seed: int = 0,
) -> LearningRun:
    """Integrate learning from initial overlaps.

    Args:
        derivation: what is learned.
        sigma: initial overlaps, shape (n_overlaps,) or (states, n_overlaps).
        lr: learning rate, > 0.
        steps: number of steps, >= 1.
        trials: (x, y, mask); or a function that returns those of each step by its number. Needed for tasks of kind
            ``trials``; by default tasks that are drawn at random are drawn, others have a closed form.
        method: "step", steps of the learning rule; "flow", its flow over the time lr * steps, with momentum beta
            lr * steps / (1 - beta), which wants the same trials at all times, and in which label noise averages out.
        module: its generated module, if it is at hand; by default it is compiled.
        track: wraps the iteration over steps, for a progress bar.
        seed: seed of the trials that are drawn, and of the noise on their targets.

    Raises:
        ArrayError: for arrays of the wrong shape, or with values that are not finite.
        GramMatrixError: if the initial overlaps are those of no network.
        LearningError: if lr or steps are out of range, trials are missing, or learning leaves the finite numbers.
        SpecError: if the seed is negative.
    """
    check_run(lr, steps)
    if method not in ("step", "flow"):
        raise LearningError(f"method: found {method!r}; accepted: 'step' or 'flow'")
    module = compile_module(derivation) if module is None else module
    start = check_overlaps(sigma, derivation)
    at_step = _trials_by_step(derivation, trials, method, seed)
    _check_initial_loss(derivation, module, start, at_step(0))
    if method == "step":
        course = _descend(module, start, lr, steps, at_step, track)
    else:
        course = _flow(module, start, lr / float(1 - derivation.rule.momentum), steps, at_step, track)
    losses = np.array([module.loss(state, at_step(k)) for k, state in enumerate(course)])
    return LearningRun(
        derivation.overlaps,
        len(derivation.visible),
        course,
        losses,
        lr,
        method,
        derivation.spec.digest,
        tuple(invariant for invariant in derivation.conserved if invariant.kind != FROZEN),
    )


def _trials_by_step(
    derivation: Derivation, trials: tuple[object, ...] | Batches | None, method: str, seed: int
) -> Callable[[int], Trials | None]:
    """Return the checked trials of each step, with the noise on their targets; None where there is a closed form."""
    loss = derivation.loss
    noise = float(derivation.rule.label_noise) if method == "step" else 0.0
    if trials is None:
        if isinstance(loss, FilterLoss):
            return lambda step: None
        trials = task_batches(derivation, seed, data="fixed" if method == "flow" else None)
        if trials is None:
            raise LearningError("trials: the task has no closed-form loss; give arrays x, y and, if wanted, mask")
    if not callable(trials):
        checked = check_trials(trials, loss.inputs, loss.outputs)
        return noisy_batches(checked, noise, seed)
    if method == "flow" and any(first is not second for first, second in zip(trials(0), trials(1), strict=True)):
        raise LearningError("method: found 'flow' with trials that differ from step to step; accepted: fixed trials")
    given = trials
    return noisy_batches(lambda step: check_trials(given(step), loss.inputs, loss.outputs), noise, seed)


def _check_initial_loss(derivation: Derivation, module: ModuleType, start: FloatArray, trials: Trials | None) -> None:
    loss = derivation.loss
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(module.loss(start, trials)).all()
    if not finite and isinstance(loss, FilterLoss) and loss.lags is None:
        raise LearningError(
            "the loss is not finite at the initial overlaps: over an infinite horizon the reduced dynamics or the "
            "target does not decay; use a finite task.horizon"
        )
    if not finite:
        raise LearningError(
            "the loss is not finite at the initial overlaps: they, the targets or the trials are too large for "
            "floating point; scale them down"
        )


def check_run(lr: float, steps: int) -> None:
    """Raise LearningError unless the learning rate and the number of steps are positive and finite."""
    if not (isinstance(lr, int | float | np.number) and np.isfinite(lr) and lr > 0):
        raise LearningError(f"lr: found {lr}; accepted: a finite number > 0")
    if not isinstance(steps, int | np.integer) or steps < 1:
        raise LearningError(f"steps: found {steps}; accepted: an integer >= 1")


def _descend(
    module: ModuleType,
    start: FloatArray,
    lr: float,
    steps: int,
    trials: Callable[[int], Trials | None],
    track: Track,
) -> FloatArray:
    course = np.empty((steps + 1, *start.shape))
    course[0] = start
    for k in track(range(steps)):
        with np.errstate(over="ignore", invalid="ignore"):
            course[k + 1] = module.step(course[k], lr, trials(k))
        if not np.isfinite(course[k + 1]).all():
            raise LearningError(
                f"learning diverged at step {k + 1}: the overlaps are not finite; lower the learning rate"
            )
    return course


def _flow(
    module: ModuleType,
    start: FloatArray,
    lr: float,
    steps: int,
    trials: Callable[[int], Trials | None],
    track: Track,
) -> FloatArray:
    course = np.empty((steps + 1, *start.shape))
    course[0] = start

    evaluations = 0

    def flow(t: float, flat: FloatArray) -> FloatArray:
        nonlocal evaluations
        evaluations += 1
        if evaluations > MOST_EVALUATIONS:
            raise LearningError(
                f"gradient flow took more than {MOST_EVALUATIONS} evaluations by time {t:g} of {steps * lr:g}: "
                "it is too stiff, or its time lr * steps too long; lower the learning rate or the number of steps"
            )
        return np.asarray(module.rhs(t, flat.reshape(start.shape), trials(0))).ravel()

    # In pieces, so that there is progress to show; each piece starts from the last with full accuracy.
    pieces = np.array_split(np.arange(1, steps + 1), min(steps, 100))
    for number in track(range(len(pieces))):
        piece = pieces[number]
        first = piece[0] - 1
        with np.errstate(over="ignore", invalid="ignore"):
            solution = solve_ivp(
                flow,
                (first * lr, piece[-1] * lr),
                course[first].ravel(),
                t_eval=piece * lr,
                method="DOP853",
                rtol=1e-10,
                atol=1e-12,
            )
        if not solution.success or not np.isfinite(solution.y).all():
            raise LearningError(f"gradient flow failed near step {first + 1}: {solution.message}; use the method step")
        course[piece] = solution.y.T.reshape(len(piece), *start.shape)
    return course
