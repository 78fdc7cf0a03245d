"""The library of tasks as functions: ``flip_flop(batch=128, seed=0, dt=0.05, bits=3)`` returns (x, y, mask).

Their keyword arguments are the keys of the task's table in a specification, which is where the defaults are.
"""

from __future__ import annotations

import inspect
from typing import Any, Protocol, get_args

from pydantic import ValidationError

from symlow.arrays import Trials
from symlow.errors import SpecError, listing, nearest
from symlow.spec_messages import spec_error
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
from symlow.tasks.generators import Teacher, batches, build_generator

DT = 0.05
"""Time step where none is given: the default of ``network.dt``."""


class TaskFunction(Protocol):
    """A function that draws a batch of a task's trials; ``help`` of it lists the task's keys, units and defaults."""

    def __call__(self, *, batch: int = ..., seed: int = ..., dt: float = ..., **keys: Any) -> Trials:
        """Return x (batch, time, inputs), y (batch, time, outputs), and a mask like y or None."""


def teacher_student(
    teacher: Teacher, *, inputs: int = 1, outputs: int = 1, seed: int = 0, dt: float = DT, **keys: Any
) -> Trials:
    """Return noise as input and what a teacher makes of it (Ger & Barak 2026).

    Args:
        teacher: the teacher's outputs (batch, time, outputs) as a function of x (batch, time, inputs).
        inputs: number of inputs.
        outputs: number of outputs.
        seed: seed of the random numbers, >= 0.
        dt: time step, in the unit of the durations.
        **keys: batch, duration, drive, sigma or correlation_time, as in a specification's task of kind teacher.

    Returns:
        x, y and no mask.

    Raises:
        SpecError: for an argument that is unknown or has a value that is not accepted.
        ArrayError: if the teacher's outputs do not have the shape of y.
    """
    accepted = ("batch", "duration", "drive", "sigma", "correlation_time")
    task = _table(TeacherTask, "teacher_student", keys, accepted)
    generator = build_generator(task, dt, inputs=inputs, outputs=outputs, teacher=teacher, table="")
    return batches(generator, task.batch, seed)(0)


def _table(table: type[GeneratedTask], name: str, keys: dict[str, Any], accepted: tuple[str, ...]) -> GeneratedTask:
    unknown = [key for key in keys if key not in accepted]
    if unknown:
        hint = nearest(unknown[0], accepted)
        raise SpecError(f"{name}: unknown argument {unknown[0]!r}{hint}; accepted: {listing(accepted)}")
    try:
        return table.model_validate({"kind": _kind(table), **keys})
    except ValidationError as error:
        raise spec_error(error, table) from None


def _kind(table: type[GeneratedTask]) -> str:
    return str(get_args(table.model_fields["kind"].annotation)[0])


def _function(table: type[GeneratedTask]) -> TaskFunction:
    name = _kind(table)
    fields = {key: field for key, field in table.model_fields.items() if key not in ("kind", "data", "loss")}
    accepted = ("seed", "dt", *fields)

    def draw(*, seed: int = 0, dt: float = DT, **keys: Any) -> Trials:
        task = _table(table, name, keys, accepted)
        generator = build_generator(task, dt, table="")
        return batches(generator, task.batch, seed)(0)

    described = {
        "seed": "Seed of the random numbers, >= 0.",
        "dt": "Time step, in the unit of the durations.",
        **{key: " ".join((field.description or "").split()) for key, field in fields.items()},
    }
    defaults = {"seed": 0, "dt": DT, **{key: field.default for key, field in fields.items()}}
    returns = "x (batch, time, inputs), y (batch, time, outputs), and a mask like y or None."
    draw.__doc__ = "\n".join(
        [
            inspect.cleandoc(table.__doc__ or ""),
            *("", "Args:", *(f"    {key}: {text}" for key, text in described.items())),
            *("", "Returns:", f"    {returns}"),
            *("", "Raises:", "    SpecError: for an argument that is unknown or has a value that is not accepted."),
        ]
    )
    draw.__name__ = draw.__qualname__ = name
    # What help() and editors show: the keys of the table with their defaults, which are written there only.
    parameters = [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=defaults[key]) for key in described]
    draw.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return draw


flip_flop = _function(FlipFlopTask)
decision_making = _function(DecisionMakingTask)
context_integration = _function(ContextIntegrationTask)
parametric_working_memory = _function(ParametricWorkingMemoryTask)
delayed_match_to_sample = _function(DelayedMatchToSampleTask)
delayed_addition = _function(DelayedAdditionTask)
delayed_reproduction = _function(DelayedReproductionTask)
sine_generation = _function(SineGenerationTask)
