"""Gradient descent of many histories: each step in one call of the generated module for each part of them.

    Sigma[k+1] = K^T Sigma[k] K

A history that has converged or diverged takes no further steps: the arrays that go into the module hold those that are
left.
"""

from __future__ import annotations

import numpy as np

from symlow.course import Course, Track
from symlow.stopping import CONVERGED, DIVERGED, PATIENCE, TOOK_ALL, Patience, Stop


def descend(course: Course, stop: Stop | None, track: Track) -> None:
    """Take all steps that are left.

    Raises:
        LearningError: if no loss is finite at the initial overlaps, or all histories diverge.
    """
    progress, histories = course.progress, course.histories
    module, arguments = course.module, histories.rule_arguments
    needed = 1 if course.source.repeats else PATIENCE
    patience = Patience(
        needed if stop is None or stop.patience is None else stop.patience,
        progress.rests,
        progress.before,
        progress.before_step,
    )

    def advance(step: int) -> None:
        """Take a step; record the one before it. Each batch is drawn once, for the loss and for the step."""
        active = course.active
        records, moves = course.records(step), step < course.steps
        if not active.size and not records:  # nothing is left to do until the next record
            progress.step = step + 1
            course.recording.checkpoint(progress)
            return
        after = progress.sigma.copy()
        with np.errstate(over="ignore", invalid="ignore"):
            for part, trials in course.source.at(step, active) if active.size else ():
                if records:
                    progress.loss[part] = module.loss(progress.sigma[part], trials)
                if moves:
                    given = {name: values[part] for name, values in arguments.items()}
                    after[part] = module.step(progress.sigma[part], histories.lr[part], trials, **given)
        if records:
            course.recording.add(progress.sigma, progress.loss)
            if step == 0:
                course.check_first()
            if stop is not None and active.size:
                still = active[progress.stopped[active] < 0]
                ended = patience.converged(stop, step, progress.sigma, progress.loss, histories.lr, still)
                course.end(ended, step, CONVERGED)
                progress.before, progress.before_step = patience.before, patience.step
        if moves:
            going = course.active
            lost = going[~np.isfinite(after[going]).all(axis=-1)]
            progress.sigma[going] = after[going]
            course.end(lost, step + 1, DIVERGED)
            course.check_some_left(step + 1)
            progress.step = step + 1
            course.recording.checkpoint(progress)

    # The last record is that of a step which is not taken: progress beyond it says that it is made.
    for step in track(range(progress.step, course.steps)):
        advance(step)
    if progress.step == course.steps:
        advance(course.steps)
        course.end(course.active, course.steps, TOOK_ALL)
        progress.step = course.steps + 1
