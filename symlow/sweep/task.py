"""A task of a sweep: some histories that follow one another, advanced together by one call of :func:`symlow.learn`.

    (numbers of histories, what they vary)  ->  overlaps, loss, how and at which step each ended

A task depends on nothing but the sweep and its own numbers: where and when it runs, and after how many attempts, leaves
its result as it is, to the bit.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symlow.arrays import FloatArray, Trials
from symlow.errors import LearningError, SweepError
from symlow.learn import learn
from symlow.spec import Spec
from symlow.sweep.axes import Value
from symlow.sweep.histories import are_feasible, initial_overlaps, parameters_of
from symlow.sweep.identity import differences, versions
from symlow.sweep.result import DIVERGED, RAN_OUT, SKIPPED, STATUSES
from symlow.sweep.specification import LR, SEED, TRIALS_SEED, Sweep, SweepTables, with_parameters
from symlow.views import DerivedSystem, derive

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Task:
    """Some histories of a sweep, with all that a worker needs, as plain data.

    Attributes:
        number: number of the task.
        histories: numbers of the histories.
        columns: what they vary, by dotted name.
        tables: the tables of the sweep, as JSON.
        spec: the tables of the specification, as JSON.
        trials: (x, y, mask) if the sweep gives them.
        versions: the versions of programs that the result depends on.
    """

    number: int
    histories: range
    columns: Mapping[str, tuple[Value, ...]]
    tables: str
    spec: str
    trials: Trials | None
    versions: Mapping[str, str]

    @classmethod
    def of(cls, sweep: Sweep, number: int, histories: range, columns: Mapping[str, tuple[Value, ...]]) -> Task:
        """Return the task of some histories of a sweep."""
        spec = json.dumps(sweep.spec.model_dump(mode="python"))
        return cls(number, histories, columns, sweep.tables.model_dump_json(), spec, sweep.trials, versions())


def recorded_steps(tables: SweepTables) -> list[int]:
    """Return the numbers of the steps that are recorded: 0, every, 2 every... and the last; or the last alone."""
    if tables.record == "final":
        return [tables.steps]
    return [*range(0, tables.steps, tables.every), tables.steps]


def run_task(task: Task) -> Arrays:
    """Return the results of a task's histories, in order.

    Returns:
        ``sigma`` of shape (histories, recorded steps, n_overlaps), ``loss`` (histories, recorded steps), NaN after a
        divergence and of skipped histories; ``status``, one of ``STATUSES``, and ``stopped_at``, the number of the last
        step, (histories,); ``initial``, the overlaps at the start (histories, n_overlaps).

    Raises:
        SweepError: if programs are not those of who made the task.
    """
    _check_versions(task)
    tables = SweepTables.model_validate(json.loads(task.tables))
    derivation, module = _derived(task.spec)
    number = len(task.histories)
    initial = initial_overlaps(derivation, tables, task.columns, number)
    feasible = np.array([problem is None for problem in are_feasible(derivation, initial)])
    recorded = len(recorded_steps(tables))
    result: Arrays = {
        "sigma": np.full((number, recorded, len(derivation.overlaps)), np.nan),
        "loss": np.full((number, recorded), np.nan),
        "status": np.full(number, SKIPPED, dtype=f"<U{max(map(len, STATUSES))}"),
        "stopped_at": np.zeros(number, dtype=np.int64),
        "initial": initial,
    }
    if feasible.any():
        places = np.flatnonzero(feasible)
        columns = {over: tuple(values[k] for k in places) for over, values in task.columns.items()}
        advanced = _advance(derivation, module, initial[places], columns, tables, task.trials)
        for name, values in advanced.items():
            result[name][places] = values
    return result


@functools.lru_cache(maxsize=8)
def _derived(spec: str) -> tuple[DerivedSystem, ModuleType]:
    """Derive a specification once for all tasks of a process."""
    derivation = derive(Spec.model_validate(json.loads(spec)))
    return derivation, derivation.compile()


def _check_versions(task: Task) -> None:
    found = differences(dict(task.versions), versions())
    if found:
        raise SweepError(
            f"a worker runs other programs than this process ({found}), so that its numbers could differ; install the "
            "same versions on all machines"
        )


def _advance(
    derivation: DerivedSystem,
    module: ModuleType,
    initial: FloatArray,
    columns: Mapping[str, tuple[Value, ...]],
    tables: SweepTables,
    trials: Trials | None,
) -> Arrays:
    """Return the results of feasible histories: those that one call can advance together, together."""
    number = len(initial)
    own = tables.seed if tables.trials.seed is None else tables.trials.seed
    seeds = columns.get(TRIALS_SEED, columns.get(SEED, (own,) * number))
    rates = columns.get(LR, (tables.learning.lr,) * number)
    varied = parameters_of(columns)
    groups: dict[tuple[Value, ...], list[int]] = {}
    for k in range(number):
        groups.setdefault((rates[k], seeds[k], *(values[k] for values in varied.values())), []).append(k)
    recorded = recorded_steps(tables)
    result: Arrays = {
        "sigma": np.full((number, len(recorded), len(derivation.overlaps)), np.nan),
        "loss": np.full((number, len(recorded)), np.nan),
        "status": np.full(number, RAN_OUT, dtype=f"<U{max(map(len, STATUSES))}"),
        "stopped_at": np.full(number, tables.steps),
    }
    for (lr, seed, *values), places in groups.items():
        system, compiled = derivation, module
        if varied:
            spec = with_parameters(derivation.spec, dict(zip(varied, values, strict=True)))
            system, compiled = _derived(json.dumps(spec.model_dump(mode="python")))
        pending = [places]
        while pending:
            some = pending.pop()
            try:
                run = learn(
                    system, initial[some], float(lr), tables.steps, trials, tables.method, compiled, seed=int(seed)
                )
            except LearningError:
                if len(some) > 1:
                    pending += [[k] for k in some]
                    continue
                result["status"][some] = DIVERGED
                result["stopped_at"][some] = 0
                continue
            result["sigma"][some] = np.moveaxis(run.sigma[recorded], 0, 1)
            result["loss"][some] = np.moveaxis(run.loss[recorded], 0, 1)
    return result
