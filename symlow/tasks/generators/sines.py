"""Sine waves of the frequency that a static input tells (Sussillo & Barak 2013)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symlow.arrays import Trials
from symlow.spec_trials import SineGenerationTask
from symlow.tasks.generators.generator import EpochGenerator


@dataclass(frozen=True)
class SineGeneration(EpochGenerator[SineGenerationTask]):
    """A constant cue and the sine wave that it stands for."""

    def trials(self, rng: np.random.Generator, batch: int) -> Trials:
        """Return x and y of shape (batch, steps, 1), without a mask: every step counts."""
        x, y = self.silent(batch)
        count = len(self.task.frequencies)
        number = rng.integers(count, size=batch)
        times = np.arange(self.steps) * self.dt
        x[:] = (0.25 + number / count)[:, None, None]
        y[..., 0] = np.sin(2 * np.pi * np.array(self.task.frequencies)[number, None] * times)
        return x, y, None
