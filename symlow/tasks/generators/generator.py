"""What generators of trials are: draws of (x, y, mask) from a random number generator, and batches of them by number.

Batches depend on nothing but the seed and their number, so that a run of learning can be repeated from any step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

import numpy as np

from symlow.arrays import FloatArray, Trials, check_integer
from symlow.errors import ArrayError, SpecError
from symlow.spec_trials import GeneratedTask

T = TypeVar("T", bound=GeneratedTask)


class TrialGenerator(Protocol):
    """Anything that draws trials.

    Attributes:
        inputs: number of inputs.
        outputs: number of outputs.
        steps: number of time steps of a trial.
    """

    @property
    def inputs(self) -> int: ...  # noqa: D102
    @property
    def outputs(self) -> int: ...  # noqa: D102
    @property
    def steps(self) -> int: ...  # noqa: D102

    def trials(self, rng: np.random.Generator, batch: int) -> Trials:
        """Return ``batch`` trials: x (batch, steps, inputs), y (batch, steps, outputs), mask like y or None."""


@dataclass(frozen=True)
class EpochGenerator(Generic[T]):
    """A task at a time step: what the generators of the library's tasks share.

    Attributes:
        task: the table of the task.
        dt: time step, in the unit of the task's durations.
    """

    task: T
    dt: float

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        assert self.task.channels is not None
        return self.task.channels[0]

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        assert self.task.channels is not None
        return self.task.channels[1]

    @property
    def steps(self) -> int:
        """Number of time steps of a trial."""
        return self.task.steps(self.dt)

    @property
    def epochs(self) -> dict[str, slice]:
        """The time steps of each epoch."""
        return self.task.epochs(self.dt)

    def silent(self, batch: int) -> tuple[FloatArray, FloatArray]:
        """Return x and y of zeros."""
        return np.zeros((batch, self.steps, self.inputs)), np.zeros((batch, self.steps, self.outputs))

    def response_mask(self, y: FloatArray) -> FloatArray:
        """Return a mask like y, 1 in the epoch of the response and 0 elsewhere."""
        mask = np.zeros_like(y)
        mask[:, self.epochs["response"]] = 1
        return mask


def batches(
    generator: TrialGenerator, batch: int, seed: int, data: Literal["fresh", "fixed"] = "fresh"
) -> Callable[[int], Trials]:
    """Return the trials of each step of learning, as a function of its number.

    Args:
        generator: what draws the trials.
        batch: number of trials, >= 1.
        seed: >= 0; the trials of step k are drawn from ``numpy.random.default_rng([seed, k])``.
        data: "fresh", other trials at each step, or "fixed", those of step 0 at all of them, in read-only arrays.

    Raises:
        SpecError: if batch, seed or data is not what is accepted; from the function, if the number of a step is not.
        ArrayError: from the function, if values of the task are too large for floating point.
    """
    check_count("batch", batch, 1)
    check_count("seed", seed, 0)
    if data not in ("fresh", "fixed"):
        raise SpecError(f"data: found {data!r}; accepted: 'fresh' or 'fixed'")

    def fresh(step: int) -> Trials:
        check_count("step", step, 0)
        with np.errstate(over="ignore", invalid="ignore"):
            trials = generator.trials(np.random.default_rng([seed, step]), batch)
        if not all(np.isfinite(array).all() for array in trials[:2]):
            raise ArrayError("trials: found values that are not finite; accepted: a task of values within 1e300")
        return trials

    @functools.cache
    def first() -> Trials:
        trials = fresh(0)
        for array in trials:
            if array is not None:
                array.setflags(write=False)
        return trials

    def fixed(step: int) -> Trials:
        check_count("step", step, 0)
        return first()

    return fresh if data == "fresh" else fixed


def check_count(name: str, value: object, least: int) -> None:
    """Raise :class:`SpecError` unless ``value`` is an integer of at least ``least``."""
    check_integer(value, name, least, SpecError)
