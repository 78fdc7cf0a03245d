"""Why a learning history stops, and when it has converged.

At a recorded step k, with j the recorded step before it, a history is *at rest* if its loss is below a bound, or if
its overlaps change by less than a bound, relative to their size and per unit of lr:

    L(k) < loss,        max_i |sigma_i(k) - sigma_i(j)| <= change * lr * (k - j) * max_i |sigma_i(k)|

lr (k - j) is the time of the flow between the two, or (1 - beta) of it with momentum beta. A history has converged at
the last of ``patience`` recorded steps in a row at which it is at rest. Where trials or noise are drawn anew for each
step, the loss is that of the step's own batch, and a step moves the overlaps at random beside where they tend: there
one lucky batch must not end a run, which is what patience is for, and the change is between recorded steps, over which
such moves average out: record every tenth step, or fewer, to judge by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from symlow.arrays import FloatArray, IntArray, check_integer, check_number
from symlow.errors import LearningError, listing, nearest

TOOK_ALL, CONVERGED, DIVERGED = "took all steps", "converged", "diverged"
REASONS = (TOOK_ALL, CONVERGED, DIVERGED)
"""Why a history stopped: it took all steps, it met the bound of ``stop``, or its overlaps left the finite numbers."""

PATIENCE = 10
"""How many recorded steps at rest make a converged history where each loss is that of its own trials."""


@dataclass(frozen=True)
class Stop:
    """When to stop a history.

    Attributes:
        loss: bound of the loss, > 0, or None.
        change: bound of the relative change of the overlaps per unit of lr, > 0, or None.
        patience: recorded steps in a row, >= 1; by default 1, and ``PATIENCE`` where trials or noise on their targets
            are drawn anew for each step.
    """

    loss: float | None = None
    change: float | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("loss", self.loss), ("change", self.change)):
            if value is not None:
                check_number(value, f"stop.{name}", above=0, error=LearningError)
        if self.loss is None and self.change is None:
            raise LearningError("stop: found no bound; accepted: loss or change, or both, such as loss = 1e-6")
        if self.patience is not None:
            check_integer(self.patience, "stop.patience", 1, LearningError)

    def at_rest(
        self, sigma: FloatArray, loss: FloatArray, before: FloatArray, time: FloatArray
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Return which histories are at rest, shape (states,).

        Args:
            sigma: overlaps at a recorded step, shape (states, n_overlaps).
            loss: losses there, shape (states,).
            before: overlaps at the recorded step before it, shape (states, n_overlaps).
            time: lr times the number of steps between the two, shape (states,); 0 at the first step.
        """
        rest = np.zeros(len(loss), dtype=bool)
        if self.loss is not None:
            rest |= loss < self.loss
        if self.change is not None:
            moved, size = np.abs(sigma - before).max(axis=-1), np.abs(sigma).max(axis=-1)
            rest |= (time > 0) & (moved <= self.change * time * size)
        return rest


@dataclass
class Patience:
    """For how many recorded steps each history has been at rest.

    Attributes:
        needed: how many make a converged history.
        count: how many it has been, shape (states,).
        before: overlaps at the last recorded step, shape (states, n_overlaps).
        step: that step, -1 if there was none.
    """

    needed: int
    count: IntArray
    before: FloatArray
    step: int = -1

    def converged(
        self, stop: Stop, step: int, sigma: FloatArray, loss: FloatArray, lr: FloatArray, active: IntArray
    ) -> IntArray:
        """Return which of the active histories have converged at a recorded step, as positions among all.

        Args:
            stop: the bounds.
            step: number of the step.
            sigma: overlaps of all histories, shape (states, n_overlaps).
            loss: their losses, shape (states,).
            lr: their learning rates, shape (states,).
            active: positions of those that still learn.
        """
        time = lr[active] * (step - self.step if self.step >= 0 else 0)
        rest = stop.at_rest(sigma[active], loss[active], self.before[active], time)
        self.count[active] = np.where(rest, self.count[active] + 1, 0)
        self.before, self.step = sigma.copy(), step
        return active[self.count[active] >= self.needed]


def check_stop(stop: Stop | Mapping[str, object] | None) -> Stop | None:
    """Return what says when to stop; a mapping, such as ``{"loss": 1e-6}``, has the names of its attributes.

    Raises:
        LearningError: for a name that is unknown or a value that is out of range.
    """
    if stop is None or isinstance(stop, Stop):
        return stop
    accepted = ("loss", "change", "patience")
    if not isinstance(stop, Mapping):
        raise LearningError(f"stop: found {stop!r}; accepted: a mapping with {listing(accepted)}")
    for name in stop:
        if name not in accepted:
            raise LearningError(f"stop: unknown key {name!r}{nearest(name, accepted)}; accepted: {listing(accepted)}")
    return Stop(**stop)  # type: ignore[arg-type]  # Stop checks the types itself
