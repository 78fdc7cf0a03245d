"""A learning run in work: what learns, what from, how far it is, and which histories still go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from symlow.arrays import IntArray
from symlow.derivation import Derivation
from symlow.errors import LearningError
from symlow.histories import Histories
from symlow.history_trials import HistoryTrials
from symlow.recording import Progress, Recording
from symlow.stopping import DIVERGED, REASONS
from symlow.tasks.filters import FilterLoss

Track = Callable[[Iterable[int]], Iterable[int]]
"""What wraps an iteration over steps, for a progress bar."""


@dataclass(frozen=True, eq=False)
class Course:
    """A run in work.

    Attributes:
        derivation: what is learned.
        module: its generated module.
        histories: what learns.
        source: what from.
        recording: where its course goes.
        progress: how far it is.
        steps: how many steps it is to take.
        every: which steps are recorded.
        may_diverge: whether it is no error if all histories diverge.
    """

    derivation: Derivation
    module: ModuleType
    histories: Histories
    source: HistoryTrials
    recording: Recording
    progress: Progress
    steps: int
    every: int
    may_diverge: bool = False

    def records(self, step: int) -> bool:
        """Whether a step is recorded."""
        return step % self.every == 0 or step == self.steps

    @property
    def active(self) -> IntArray:
        """Positions of the histories that still learn."""
        return np.flatnonzero(self.progress.stopped < 0)

    def end(self, ended: IntArray, step: int, reason: str) -> None:
        """Note that histories end at a step; those that diverge have no numbers in what is recorded from then on."""
        progress = self.progress
        progress.stopped[ended], progress.reason[ended] = step, REASONS.index(reason)
        if reason == DIVERGED:
            progress.sigma[ended] = progress.loss[ended] = np.nan

    def check_first(self) -> None:
        """Raise LearningError if no loss is finite at the initial overlaps, and end histories whose loss is not."""
        finite = np.isfinite(self.progress.loss)
        if not finite.any() and not self.may_diverge:
            raise LearningError(infinite_loss(self.derivation))
        self.end(np.flatnonzero(~finite), 0, DIVERGED)

    def check_some_left(self, step: int) -> None:
        """Raise LearningError if all histories have diverged."""
        if (self.progress.reason == REASONS.index(DIVERGED)).all() and not self.may_diverge:
            which = "" if self.histories.single else f" in all {len(self.histories)} histories, in the last"
            raise LearningError(
                f"learning diverged{which} at step {step}: the overlaps are not finite; lower the learning rate"
            )


def infinite_loss(derivation: Derivation) -> str:
    """Return what to say where no loss is finite at the initial overlaps."""
    if isinstance(derivation.loss, FilterLoss) and derivation.loss.lags is None:
        return (
            "the loss is not finite at the initial overlaps: over an infinite horizon the reduced dynamics or the "
            "target does not decay; use a finite task.horizon"
        )
    return (
        "the loss is not finite at the initial overlaps: they, the targets or the trials are too large for "
        "floating point; scale them down"
    )
