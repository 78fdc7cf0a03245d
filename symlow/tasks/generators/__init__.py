"""Generators of trials: from a task's table and a time step to seeded batches of (x, y, mask)."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from symlow.arrays import check_number
from symlow.errors import SpecError
from symlow.spec_trials import (
    ContextIntegrationTask,
    DecisionMakingTask,
    DelayedAdditionTask,
    DelayedMatchToSampleTask,
    DelayedReproductionTask,
    FlipFlopTask,
    GeneratedTask,
    ParametricWorkingMemoryTask,
    SineGenerationTask,
    TeacherTask,
)
from symlow.tasks.generators.comparisons import DelayedMatchToSample, ParametricWorkingMemory
from symlow.tasks.generators.decisions import ContextIntegration, DecisionMaking
from symlow.tasks.generators.flip_flop import FlipFlop
from symlow.tasks.generators.generator import TrialGenerator, batches, check_count
from symlow.tasks.generators.sines import SineGeneration
from symlow.tasks.generators.teacher import Teacher, TeacherStudent
from symlow.tasks.generators.values import DelayedAddition, DelayedReproduction

__all__ = ["Teacher", "TrialGenerator", "batches", "build_generator"]

_GENERATORS: MappingProxyType[type[GeneratedTask], Callable[[Any, float], TrialGenerator]] = MappingProxyType(
    {
        FlipFlopTask: FlipFlop,
        DecisionMakingTask: DecisionMaking,
        ContextIntegrationTask: ContextIntegration,
        ParametricWorkingMemoryTask: ParametricWorkingMemory,
        DelayedMatchToSampleTask: DelayedMatchToSample,
        DelayedAdditionTask: DelayedAddition,
        DelayedReproductionTask: DelayedReproduction,
        SineGenerationTask: SineGeneration,
    }
)


def build_generator(
    task: GeneratedTask,
    dt: float,
    *,
    inputs: int = 1,
    outputs: int = 1,
    teacher: Teacher | None = None,
    table: str = "task.",
) -> TrialGenerator:
    """Return the generator of a task's trials.

    Args:
        task: the table of the task.
        dt: time step, in the unit of the task's durations.
        inputs: number of inputs of the network; read by a task of kind teacher, for the others say it themselves.
        outputs: number of outputs of the network, likewise.
        teacher: the teacher's outputs (batch, steps, outputs) as a function of x (batch, steps, inputs), needed by a
            task of kind teacher.
        table: what to put before a key in a message.

    Raises:
        SpecError: if dt is no positive number, too short or too long for the task, or the teacher is missing.
    """
    dt = check_number(dt, "dt", above=0, error=SpecError)
    task.check(dt, table)
    if not isinstance(task, TeacherTask):
        return _GENERATORS[type(task)](task, dt)
    check_count("inputs", inputs, 1)
    check_count("outputs", outputs, 1)
    if teacher is None:
        raise SpecError(f"{table}kind: found 'teacher', but no teacher was given; accepted: a function from x to y")
    return TeacherStudent(task, dt, inputs, outputs, teacher)
