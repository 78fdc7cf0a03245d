"""The flip-flop of n bits (Sussillo & Barak 2013)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symlow.arrays import Trials
from symlow.spec_trials import FlipFlopTask, whole_steps
from symlow.tasks.generators.generator import EpochGenerator


@dataclass(frozen=True)
class FlipFlop(EpochGenerator[FlipFlopTask]):
    """Pulses of either sign in each channel, and the sign of the last one."""

    def trials(self, rng: np.random.Generator, batch: int) -> Trials:
        """Return x and y of shape (batch, steps, bits), without a mask: every step counts."""
        shape = (batch, self.steps, self.task.bits)
        begins = rng.random(shape) < self.task.pulse_rate * self.dt
        signs = np.where(rng.random(shape) < 0.5, -1.0, 1.0)
        steps = np.arange(self.steps)[None, :, None]
        # The step at which the last pulse began, -1 before the first.
        last = np.maximum.accumulate(np.where(begins, steps, -1), axis=1)
        y = np.where(last >= 0, np.take_along_axis(signs, np.maximum(last, 0), axis=1), 0.0)
        x = np.where(steps - last < whole_steps(self.task.pulse_width, self.dt), y, 0.0)
        return x, y, None
