"""The trials of a derivation's own task: drawn at random where its specification names a task, batch by batch.

A teacher is itself a reduced network: its outputs are those of the module generated for it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from types import ModuleType
from typing import Literal

import numpy as np

from symlow.arrays import FloatArray, Trials
from symlow.derivation import Derivation
from symlow.errors import SpecError, listing, nearest
from symlow.spec import Spec
from symlow.spec_trials import GeneratedTask, TeacherTask
from symlow.tasks import Teacher, TrialGenerator, batches, build_generator
from symlow.views import derive

Batches = Callable[[int], Trials]
"""The trials of each step of learning, by its number."""

LABEL_STREAM = 1
"""Sets the random numbers of label noise apart from those of the trials of the same seed and step."""


def task_generator(derivation: Derivation) -> TrialGenerator | None:
    """Return the generator of the trials of a derivation's task, or None if the task does not generate any.

    Raises:
        SpecError: if the task is a teacher whose overlaps are not those of a network of its rank.
    """
    return spec_generator(derivation.spec)


def spec_generator(spec: Spec) -> TrialGenerator | None:
    """Return the generator of the trials of a specification's task, or None if the task does not generate any.

    Raises:
        SpecError: if the task is a teacher whose overlaps are not those of a network of its rank.
    """
    task = spec.task
    if not isinstance(task, GeneratedTask):
        return None
    teacher = _teacher(spec, task) if isinstance(task, TeacherTask) else None
    return build_generator(
        task, spec.network.dt, inputs=spec.network.inputs, outputs=spec.network.outputs, teacher=teacher
    )


def task_batches(
    derivation: Derivation, seed: int, batch: int | None = None, data: Literal["fresh", "fixed"] | None = None
) -> Batches | None:
    """Return the trials of each step of learning of a derivation's task, or None if the task does not generate any.

    Args:
        derivation: what is learned.
        seed: >= 0.
        batch: number of trials, by default as the specification says.
        data: "fresh" for other trials at each step or "fixed" for the same, by default as the specification says.

    Raises:
        SpecError: if an argument is out of range, or the task is a teacher whose overlaps are not those of a network
            of its rank.
    """
    task, generator = derivation.spec.task, task_generator(derivation)
    if generator is None or not isinstance(task, GeneratedTask):
        return None
    return batches(generator, task.batch if batch is None else batch, seed, task.data if data is None else data)


def noisy_batches(trials: Trials | Batches, noise: float, seed: int) -> Batches:
    """Return trials with white noise on their targets, drawn anew at each step and the same for the same seed.

    Args:
        trials: the trials, or those of each step.
        noise: standard deviation of the noise on each entry of y; without noise the trials are those given.
        seed: >= 0.
    """

    def at(step: int) -> Trials:
        x, y, mask = trials(step) if callable(trials) else trials
        if noise == 0:
            return x, y, mask
        return x, y + noise * np.random.default_rng([seed, step, LABEL_STREAM]).standard_normal(y.shape), mask

    return at


def _check_carriers(teacher: Derivation, task: TeacherTask) -> None:
    """Check that real vectors can have the overlaps of the carriers; norms of readers are free, and can be large."""
    index = teacher.reduction.index
    names = [*teacher.network.carriers, *teacher.network.ones]
    places = [k for name in names for k in range(index.slice(name).start, index.slice(name).stop)]
    entries = [[index.at(i, j).name for j in places] for i in places]
    known = [f"{ones}_{ones}" for ones in teacher.network.ones]
    if any(name in teacher.invisible for row in entries for name in row if name not in known):
        return  # the gain is constant: the output does not depend on them
    gram = [[task.overlaps.get(name, 1.0) for name in row] for row in entries]
    lowest = np.linalg.eigvalsh(gram)[0]
    if lowest < -1e-10:
        raise SpecError(
            f"task.overlaps: those of {listing(names)} with one another have a Gram matrix with the eigenvalue "
            f"{lowest:.3g}; accepted: positive semidefinite, as of real vectors; raise the norms"
        )


@functools.lru_cache(maxsize=4)
def _derived_teacher(canonical: str) -> tuple[Derivation, ModuleType]:
    """Return the derivation and module of a teacher, whatever its overlaps: many teachers share one."""
    tables = {key: value for key, value in json.loads(canonical).items() if key != "format"}
    teacher = derive(Spec.model_validate(tables))
    return teacher, teacher.compile()


def _teacher(spec: Spec, task: TeacherTask) -> Teacher:
    network = spec.network.model_copy(
        update={"rank": task.rank, "nonlinearity": task.nonlinearity or spec.network.nonlinearity}
    )
    teacher, module = _derived_teacher(
        Spec.model_validate(
            {"name": "teacher", "network": network.model_dump(), "task": {"kind": "trials"}}
        ).canonical()
    )
    for name in task.overlaps:
        if name not in teacher.visible:
            raise SpecError(
                f"task.overlaps: unknown overlap {name!r}{nearest(name, teacher.visible)}; accepted: the loss-visible "
                f"overlaps of the teacher, {listing(teacher.visible)}"
            )
    missing = [name for name in teacher.visible if name not in task.overlaps]
    if missing:
        raise SpecError(
            f"task.overlaps: no value for {missing[0]}; accepted: each loss-visible overlap of the teacher, "
            f"{listing(teacher.visible)}"
        )
    _check_carriers(teacher, task)
    sigma = np.array([task.overlaps.get(name, 0.0) for name in teacher.overlaps])

    def outputs(x: FloatArray) -> FloatArray:
        return np.asarray(module.outputs(sigma, x))

    return outputs
