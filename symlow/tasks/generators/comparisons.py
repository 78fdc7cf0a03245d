"""Comparisons of two stimuli that a delay separates: vibrations by their frequency, pictures by their identity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symlow.arrays import Trials
from symlow.spec_trials import DelayedMatchToSampleTask, ParametricWorkingMemoryTask
from symlow.tasks.generators.generator import EpochGenerator
from symlow.tasks.generators.noise import white_noise


@dataclass(frozen=True)
class ParametricWorkingMemory(EpochGenerator[ParametricWorkingMemoryTask]):
    """Two frequencies (Romo et al. 1999)."""

    def trials(self, rng: np.random.Generator, batch: int) -> Trials:
        """Return x and y of shape (batch, steps, 1) and the mask of the response."""
        x, y = self.silent(batch)
        pairs = np.array(self.task.pairs)
        span = pairs.max() - pairs.min()
        drawn = pairs[rng.integers(len(pairs), size=batch)]
        scaled = (drawn - (pairs.max() + pairs.min()) / 2) / span
        for position, name in enumerate(("first", "second")):
            x[:, self.epochs[name], 0] = scaled[:, position, None]
            x[:, self.epochs[name]] += white_noise(rng, x[:, self.epochs[name]].shape, self.task.sigma, self.dt)
        difference = drawn[:, 0] - drawn[:, 1]
        answer = np.sign(difference) if self.task.target == "sign" else difference / span
        y[:, self.epochs["response"], 0] = answer[:, None]
        return x, y, self.response_mask(y)


@dataclass(frozen=True)
class DelayedMatchToSample(EpochGenerator[DelayedMatchToSampleTask]):
    """A sample and a test, each one of two stimuli (Miyashita & Chang 1988, Miller et al. 1996)."""

    def trials(self, rng: np.random.Generator, batch: int) -> Trials:
        """Return x (batch, steps, 2), y (batch, steps, 1) and the mask of the response."""
        x, y = self.silent(batch)
        stimuli = rng.integers(2, size=(batch, 2))
        for position, name in enumerate(("sample", "test")):
            x[:, self.epochs[name]] = np.eye(2)[stimuli[:, position]][:, None]
            x[:, self.epochs[name]] += white_noise(rng, x[:, self.epochs[name]].shape, self.task.sigma, self.dt)
        match = np.where(stimuli[:, 0] == stimuli[:, 1], 1.0, -1.0)
        y[:, self.epochs["response"], 0] = match[:, None]
        return x, y, self.response_mask(y)
