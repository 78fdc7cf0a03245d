"""What is measured: low-rank networks of linear or erf neurons, with one input and one output, on trials or filters.

The vectors are those of the literature, m, u, v, z; states of learning are overlaps of random networks whose recurrent
overlap v^T u / N is near a half, so that activity neither dies out nor grows without bounds.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

import symlow
from symlow.arrays import FloatArray, Trials
from symlow.codegen.emit import BACKENDS

BATCH = 10
STEPS = 800
NEURONS = 200


@dataclass(frozen=True)
class Problem:
    """A network, its task, and states of learning.

    Attributes:
        derivation: the network and the task, derived.
        trials: x (batch, time, inputs), y (batch, time, outputs), mask like y or None.
    """

    derivation: symlow.DerivedSystem
    trials: Trials

    @property
    def rank(self) -> int:
        return self.derivation.spec.network.rank

    @property
    def inputs(self) -> int:
        return self.derivation.spec.network.inputs

    @property
    def outputs(self) -> int:
        return self.derivation.spec.network.outputs

    @property
    def is_linear(self) -> bool:
        return self.derivation.spec.network.nonlinearity == "linear"

    @functools.cached_property
    def module(self) -> ModuleType:
        """The generated NumPy module."""
        return self.derivation.compile()

    @functools.cached_property
    def entry(self) -> np.ndarray:
        """Which overlap stands at each place of the Gram matrix of the columns m, u, v, z."""
        return self.module.gram(np.arange(len(self.module.OVERLAPS))).astype(int)

    @property
    def alpha(self) -> float:
        """The time step in units of the time constant."""
        return self.module.DT / self.module.TAU

    @property
    def scale(self) -> float:
        """What multiplies the sum of the masked squared errors in the loss."""
        return self.module.FACTOR * self.module.DT / len(self.trials[0])

    def states(self, count: int, seed: int = 0) -> FloatArray:
        """Return overlaps of random networks, shape (count, n_overlaps)."""
        return sample_states(self.module, self.rank, self.inputs, count, seed)


def sample_states(module: ModuleType, rank: int, inputs: int, count: int, seed: int = 0) -> FloatArray:
    """Return overlaps of random networks of one module, shape (count, n_overlaps)."""
    rng = np.random.default_rng(seed)
    sigma = np.empty((count, len(module.OVERLAPS)))
    for first in range(0, count, 1000):
        P = rng.standard_normal((len(sigma[first : first + 1000]), NEURONS, module.N_COLUMNS))
        u, v = P[..., inputs : inputs + rank], P[..., inputs + rank : inputs + 2 * rank]
        v[:] = 0.5 * u + 0.3 * v
        gram = np.swapaxes(P, -1, -2) @ P / NEURONS
        sigma[first : first + 1000] = gram[..., module._ROWS, module._COLUMNS]
    return sigma


def flip_flop(rank: int, nonlinearity: str, batch: int = BATCH, steps: int = STEPS) -> Problem:
    """Return the flip-flop of one bit: one input, one output."""
    x, y, mask = symlow.tasks.flip_flop(batch=batch, seed=0, dt=0.05, bits=1, duration=steps * 0.05)
    return given_trials(rank, nonlinearity, (x, y, mask))


def given_trials(rank: int, nonlinearity: str, trials: Trials) -> Problem:
    """Return a network of this rank that learns trials, with the inputs and outputs that they have."""
    network = {
        "rank": rank,
        "inputs": trials[0].shape[-1],
        "outputs": trials[1].shape[-1],
        "nonlinearity": nonlinearity,
        "dt": 0.05,
    }
    return Problem(derive({"network": network, "task": {"kind": "trials"}}), trials)


def derive(tables: dict[str, Any]) -> symlow.DerivedSystem:
    """Return the derivation of a specification's tables."""
    return symlow.derive(symlow.Spec.model_validate({"name": "benchmark", **tables}))


def backends() -> tuple[str, ...]:
    """Return the backends of generated modules, NumPy last: the fastest first, as tables have them."""
    order = {"numba": 0, "jax": 1, "numpy": 3}
    return tuple(sorted((name for name in BACKENDS if name != "auto"), key=lambda name: order.get(name, 2)))
