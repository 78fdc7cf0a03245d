"""Values to hold over a delay: one to reproduce, two to add."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symlow.arrays import Trials
from symlow.spec_trials import DelayedAdditionTask, DelayedReproductionTask, whole_steps
from symlow.tasks.generators.generator import EpochGenerator
from symlow.tasks.generators.noise import white_noise


@dataclass(frozen=True)
class DelayedReproduction(EpochGenerator[DelayedReproductionTask]):
    """A value shown and later reproduced (Funahashi et al. 1989)."""

    def trials(self, rng: np.random.Generator, batch: int) -> Trials:
        """Return x and y of shape (batch, steps, 1) and the mask of the response."""
        x, y = self.silent(batch)
        stimulus = self.epochs["stimulus"]
        values = rng.uniform(self.task.lowest, self.task.highest, (batch, 1, 1))
        x[:, stimulus] = values + white_noise(rng, x[:, stimulus].shape, self.task.sigma, self.dt)
        y[:, self.epochs["response"]] = values
        return x, y, self.response_mask(y)


@dataclass(frozen=True)
class DelayedAddition(EpochGenerator[DelayedAdditionTask]):
    """Two pulses whose heights are to be added (after Hochreiter & Schmidhuber 1997)."""

    def trials(self, rng: np.random.Generator, batch: int) -> Trials:
        """Return x and y of shape (batch, steps, 1) and the mask of the response."""
        x, y = self.silent(batch)
        presentation = self.epochs["presentation"]
        length, width = presentation.stop - presentation.start, whole_steps(self.task.pulse_width, self.dt)
        heights = rng.uniform(self.task.lowest, self.task.highest, (batch, 2))
        # Every placement is as likely as the others: two different places, in order, among the steps that the pulses
        # leave free; the second pulse begins where the first has ended.
        places = length - 2 * width + 2
        first, second = rng.integers(places, size=batch), rng.integers(places - 1, size=batch)
        second += second >= first
        starts = np.sort(np.stack([first, second], axis=1), axis=1) + np.array([0, width - 1])
        since = np.arange(length)[None, :, None] - starts[:, None]
        pulses = np.where((since >= 0) & (since < width), heights[:, None], 0.0)
        noise = white_noise(rng, (batch, length, 1), self.task.sigma, self.dt)
        x[:, presentation] = pulses.sum(axis=-1, keepdims=True) + noise
        y[:, self.epochs["response"], 0] = heights.sum(axis=1, keepdims=True)
        return x, y, self.response_mask(y)
