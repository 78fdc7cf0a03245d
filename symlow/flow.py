"""Gradient flow of many histories, integrated together by an adaptive method of order 8 (DOP853).

    dSigma/dt = lr_i / max_j lr_j * flow(Sigma),        t from 0 to steps * max_j lr_j

with lr / (1 - beta) for lr where there is momentum: so that history i ends at its own time of the flow, lr_i * steps.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp

from symlow.arrays import FloatArray
from symlow.course import Course, Track, infinite_loss
from symlow.errors import FlowDivergenceError, FlowError
from symlow.stopping import TOOK_ALL

MOST_EVALUATIONS = 100_000
"""The most evaluations of the flow in a run: some minutes, and far more than a flow needs that is not stiff."""

MOST_PIECES = 100
"""The most pieces in which a flow is integrated: progress is shown, and can be resumed, after each."""


def flow(course: Course, track: Track) -> None:
    """Integrate what is left of the flow.

    Raises:
        FlowDivergenceError: if a loss is not finite at the initial overlaps, or overlaps leave the finite numbers.
        FlowError: if the integrator fails, or takes too long.
    """
    progress, histories, module = course.progress, course.histories, course.module
    steps, states = course.steps, np.arange(len(histories))
    momentum = histories.parameters.get("learning.momentum", float(course.derivation.rule.momentum))
    rates = histories.lr / (1 - np.asarray(momentum))
    lr = float(rates.max())
    relative = (rates / lr)[:, None]
    arguments = {name: values for name, values in histories.rule_arguments.items() if name != "momentum"}

    def rate(t: float, flat: FloatArray) -> FloatArray:
        # Part of the progress, lest a run that was interrupted end well where one that was not is an error.
        progress.evaluations += 1
        if progress.evaluations > MOST_EVALUATIONS:
            raise FlowError(
                f"gradient flow took more than {MOST_EVALUATIONS} evaluations by time {t:g} of {steps * lr:g}: "
                "it is too stiff, or its time lr * steps too long; lower the learning rate or the number of steps"
            )
        sigma = flat.reshape(histories.sigma.shape)
        velocity = np.empty_like(sigma)
        for part, trials in course.source.at(0, states):
            given = {name: values[part] for name, values in arguments.items()}
            velocity[part] = module.rhs(t, sigma[part], trials, **given)
        return (relative * velocity).ravel()

    def record(sigma: FloatArray) -> None:
        for part, trials in course.source.at(0, states):
            progress.loss[part] = module.loss(sigma[part], trials)
        course.recording.add(sigma, progress.loss)

    if progress.step == 0:
        with np.errstate(over="ignore", invalid="ignore"):
            record(progress.sigma)
        if not np.isfinite(progress.loss).all():
            raise FlowDivergenceError(infinite_loss(course.derivation))
    # In pieces, so that there is progress to show; each piece starts from the last with full accuracy.
    pieces = [p for p in np.array_split(np.arange(1, steps + 1), min(steps, MOST_PIECES)) if p[-1] > progress.step]
    for number in track(range(len(pieces))):
        piece = pieces[number]
        first = piece[0] - 1
        kept = np.array([step for step in piece if course.records(step) or step == piece[-1]])
        with np.errstate(over="ignore", invalid="ignore"):
            solution = solve_ivp(
                rate,
                (first * lr, piece[-1] * lr),
                progress.sigma.ravel(),
                t_eval=kept * lr,
                method="DOP853",
                rtol=1e-10,
                atol=1e-12,
            )
        if not np.isfinite(solution.y).all():
            raise FlowDivergenceError(
                f"gradient flow diverged between steps {first} and {piece[-1]}: the overlaps are not finite; use the "
                "method step"
            )
        if not solution.success:
            raise FlowError(f"gradient flow failed near step {first + 1}: {solution.message}; use the method step")
        for step, flat in zip(kept, solution.y.T, strict=True):
            progress.sigma = flat.reshape(histories.sigma.shape).copy()
            if course.records(int(step)):
                record(progress.sigma)
        progress.step = int(piece[-1])
        course.recording.checkpoint(progress)
    course.end(states, steps, TOOK_ALL)
