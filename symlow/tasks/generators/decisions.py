"""Decisions about noisy evidence, from one stream or from the one of two that a context selects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symlow.arrays import FloatArray, Trials
from symlow.spec_trials import ContextIntegrationTask, DecisionMakingTask
from symlow.tasks.generators.generator import EpochGenerator
from symlow.tasks.generators.noise import white_noise


@dataclass(frozen=True)
class DecisionMaking(EpochGenerator[DecisionMakingTask]):
    """One stream of evidence (Britten et al. 1992, Roitman & Shadlen 2002)."""

    def trials(self, rng: np.random.Generator, batch: int) -> Trials:
        """Return x (batch, steps, 1), y (batch, steps, outputs) and the mask of the response."""
        x, y = self.silent(batch)
        coherence = rng.choice(self.task.coherences, batch)
        x[:, self.epochs["stimulus"]] = _evidence(self, rng, coherence[:, None])
        choice = np.sign(coherence)
        columns = [choice] if self.task.outputs == 1 else [(1 + choice) / 2, (1 - choice) / 2]
        y[:, self.epochs["response"]] = np.stack(columns, axis=-1)[:, None]
        return x, y, self.response_mask(y)


@dataclass(frozen=True)
class ContextIntegration(EpochGenerator[ContextIntegrationTask]):
    """Two streams of evidence and a context (Mante et al. 2013)."""

    def trials(self, rng: np.random.Generator, batch: int) -> Trials:
        """Return x (batch, steps, 4), y (batch, steps, 1) and the mask of the response.

        Inputs 0 and 1 are the streams, 2 and 3 the contexts that select them.
        """
        x, y = self.silent(batch)
        coherences = rng.choice(self.task.coherences, (batch, 2))
        context = rng.integers(2, size=batch)
        x[:, self.epochs["stimulus"], :2] = _evidence(self, rng, coherences)
        x[:, self.epochs["context"].start :, 2:] = self.task.amplitude * np.eye(2)[context][:, None]
        y[:, self.epochs["response"], 0] = np.sign(coherences[np.arange(batch), context])[:, None]
        return x, y, self.response_mask(y)


def _evidence(
    generator: DecisionMaking | ContextIntegration, rng: np.random.Generator, coherences: FloatArray
) -> FloatArray:
    """Return coherences (batch, streams) with noise of their own at each step of the stimulus."""
    stimulus = generator.epochs["stimulus"]
    batch, streams = coherences.shape
    shape = (batch, stimulus.stop - stimulus.start, streams)
    return coherences[:, None] + white_noise(rng, shape, generator.task.sigma, generator.dt)
