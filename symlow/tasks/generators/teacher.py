"""Teacher and student: noise as input, the outputs of another low-rank network as targets (Ger & Barak 2026).

What the teacher answers is a function that is given, for its reduced dynamics belongs to a later stage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from symlow.arrays import FloatArray, Trials, check_array
from symlow.spec_trials import TeacherTask
from symlow.tasks.generators.noise import smooth_noise, white_noise

Teacher = Callable[[FloatArray], FloatArray]
"""From inputs x (batch, steps, inputs) to the teacher's outputs y (batch, steps, outputs)."""


@dataclass(frozen=True)
class TeacherStudent:
    """Random inputs and what a teacher makes of them.

    Attributes:
        task: the table of the task.
        dt: time step, in the unit of the task's durations.
        inputs: number of inputs of teacher and student.
        outputs: number of outputs of teacher and student.
        teacher: the teacher's outputs as a function of the inputs.
    """

    task: TeacherTask
    dt: float
    inputs: int
    outputs: int
    teacher: Teacher

    @property
    def steps(self) -> int:
        """Number of time steps of a trial."""
        return self.task.steps(self.dt)

    def trials(self, rng: np.random.Generator, batch: int) -> Trials:
        """Return x (batch, steps, inputs) and y (batch, steps, outputs), without a mask: every step counts.

        Raises:
            ArrayError: if the teacher's outputs are not finite numbers of that shape.
        """
        shape = (batch, self.steps, self.inputs)
        if self.task.drive == "white_noise":
            x = white_noise(rng, shape, self.task.sigma, self.dt)
        else:
            x = smooth_noise(rng, shape, self.task.sigma, self.task.correlation_time, self.dt)
        meaning = "(batch, time, outputs), the outputs of the teacher"
        return x, check_array(self.teacher(x), "y", (batch, self.steps, self.outputs), meaning), None
