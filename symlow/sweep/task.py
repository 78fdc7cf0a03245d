"""A task of a sweep: some histories that follow one another, advanced together by one call of :func:`symlow.learn`.

    (numbers of histories, what they vary)  ->  overlaps, loss, how and at which step each ended

A task depends on nothing but the sweep and its own numbers: where and when it runs, and after how many attempts, leaves
its result as it is, to the bit.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symlow.arrays import FloatArray, Trials
from symlow.derivation import Derivation
from symlow.errors import FlowDivergenceError, FlowError, SpecError, SweepError, listing
from symlow.histories import accepted_parameters, with_parameters
from symlow.learn import learn
from symlow.programs import versions
from symlow.spec import Spec
from symlow.spec_trials import GeneratedTask
from symlow.stopping import DIVERGED
from symlow.sweep.axes import Value
from symlow.sweep.histories import Columns, Grid, Starts, parameters_of, problems
from symlow.sweep.identity import WRITER, differences
from symlow.sweep.result import FAILED, SKIPPED, STATUSES
from symlow.sweep.specification import LR, SEED, TRIALS_SEED, Sweep, SweepTables
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


def make_tasks(sweep: Sweep, histories: Grid, numbers: Iterable[int]) -> list[Task]:
    """Return the tasks of a sweep, of those that its histories are cut into, of these numbers."""
    chunks = histories.chunks(sweep.tables.chunk)
    tables, spec = sweep.tables.model_dump_json(), json.dumps(sweep.spec.model_dump(mode="python"))
    programs = dict(versions(sweep.tables.backend, WRITER))
    return [
        Task(number, chunks[number], histories.columns(chunks[number]), tables, spec, sweep.trials, programs)
        for number in numbers
    ]


def recorded_steps(tables: SweepTables) -> list[int]:
    """Return the numbers of the steps that are recorded: 0, every, 2 every... and the last; or the last alone."""
    if tables.record == "final":
        return [tables.steps]
    return [*range(0, tables.steps, tables.every), tables.steps]


def run_task(task: Task) -> Arrays:
    """Return the results of a task's histories, in order.

    Returns:
        ``sigma`` of shape (histories, recorded steps, n_overlaps), ``loss`` (histories, recorded steps), NaN from a
        divergence on, and of histories that were skipped or whose flow failed; ``status``, one of ``STATUSES``, and
        ``stopped_at``, the number of the step after which a history stopped, (histories,); ``initial``, the overlaps
        at the start, (histories, n_overlaps).

    Raises:
        SweepError: if programs are not those of who made the task.
    """
    tables = SweepTables.model_validate(json.loads(task.tables))
    _check_versions(task, tables.backend)
    derivation, module = _derived(task.spec, tables.backend)
    number = len(task.histories)
    initial = Starts(derivation, tables).overlaps(task.columns, number)
    feasible = np.array([problem is None for problem in problems(derivation, initial)])
    result = _nothing(number, len(recorded_steps(tables)), len(derivation.overlaps)) | {"initial": initial}
    if feasible.any():
        places = np.flatnonzero(feasible)
        columns = {over: tuple(values[k] for k in places) for over, values in task.columns.items()}
        advanced = _advance(derivation, module, initial[places], columns, tables, task.trials)
        for name, values in advanced.items():
            result[name][places] = values
    return result


@functools.lru_cache(maxsize=8)
def _derived(spec: str, backend: str) -> tuple[DerivedSystem, ModuleType]:
    """Derive a specification once for all tasks of a process."""
    derivation = derive(Spec.model_validate(json.loads(spec)))
    return derivation, derivation.compile(backend)


def _check_versions(task: Task, backend: str) -> None:
    found = differences(task.versions, versions(backend, WRITER))
    if found:
        raise SweepError(
            f"a worker runs other programs than this process ({found}), so that its numbers could differ; install the "
            "same versions on all machines"
        )


def _advance(
    derivation: Derivation,
    module: ModuleType,
    initial: FloatArray,
    columns: Columns,
    tables: SweepTables,
    trials: Trials | None,
) -> Arrays:
    """Return the results of feasible histories: all in one call, but for numbers that change the generated module."""
    number = len(initial)
    seed = tables.seed if tables.trials.seed is None else tables.trials.seed
    seeds = np.array(columns.get(TRIALS_SEED, columns.get(SEED, (seed,) * number)))
    rates = np.array(columns.get(LR, (tables.learning.lr,) * number), dtype=float)
    accepted = accepted_parameters(derivation)
    varied = {over: np.array(values, dtype=float) for over, values in columns.items() if over in accepted}
    baked = {over: values for over, values in parameters_of(columns).items() if over not in accepted}
    lengths = _trial_steps(derivation.spec, parameters_of(columns), number)
    groups: dict[tuple[tuple[Value, ...], int], list[int]] = {}
    for k in range(number):
        groups.setdefault((tuple(values[k] for values in baked.values()), lengths[k]), []).append(k)
    result = _nothing(number, len(recorded_steps(tables)), len(derivation.overlaps))
    for (values, _), places in groups.items():
        system, compiled = derivation, module
        if baked:
            spec = with_parameters(derivation.spec, dict(zip(baked, values, strict=True)))
            system, compiled = _derived(json.dumps(spec.model_dump(mode="python")), tables.backend)
            _check_overlaps(system, derivation, baked, values)
        given = {over: column[places] for over, column in varied.items()}
        pending = [places]
        while pending:
            some = pending.pop()
            within = [places.index(k) for k in some]
            try:
                run = learn(
                    system,
                    initial[some],
                    rates[some],
                    tables.steps,
                    trials,
                    tables.method,
                    compiled,
                    seed=seeds[some],
                    parameters={over: column[within] for over, column in given.items()},
                    every=tables.steps if tables.record == "final" and tables.stop is None else tables.every,
                    stop=None if tables.stop is None else tables.stop.model_dump(),
                    may_diverge=True,
                )
            except FlowError as error:
                # An integrator that fails does so for all at once; alone, only for those that it fails for.
                if len(some) > 1:
                    pending += [[k] for k in some]
                else:
                    result["status"][some] = DIVERGED if isinstance(error, FlowDivergenceError) else FAILED
                continue
            kept = np.searchsorted(run.step, recorded_steps(tables))
            result["sigma"][some] = np.moveaxis(run.sigma[kept], 0, 1)
            result["loss"][some] = np.moveaxis(run.loss[kept], 0, 1)
            result["status"][some] = run.reason
            result["stopped_at"][some] = run.stopped
    return result


def _trial_steps(spec: Spec, varied: Columns, number: int) -> list[int]:
    """Return the number of time steps of each history's trials, 0 for none: only those of one length learn together."""
    if not isinstance(spec.task, GeneratedTask):
        return [0] * number

    @functools.cache
    def steps(*values: Value) -> int:
        task = with_parameters(spec, dict(zip(varied, values, strict=True))).task
        return task.steps(spec.network.dt) if isinstance(task, GeneratedTask) else 0

    return [steps(*(values[k] for values in varied.values())) for k in range(number)]


def _nothing(histories: int, recorded: int, overlaps: int) -> Arrays:
    """Return the results of histories that have none."""
    return {
        "sigma": np.full((histories, recorded, overlaps), np.nan),
        "loss": np.full((histories, recorded), np.nan),
        "status": np.full(histories, SKIPPED, dtype=f"<U{max(map(len, STATUSES))}"),
        "stopped_at": np.zeros(histories, dtype=np.int64),
    }


def _check_overlaps(
    system: Derivation, derivation: Derivation, names: Iterable[str], values: tuple[Value, ...]
) -> None:
    if system.overlaps != derivation.overlaps:
        found = listing(f"{name} = {value}" for name, value in zip(names, values, strict=True))
        raise SpecError(
            f"{found} makes a network of other overlaps, which have no place in the same result; make it a sweep of "
            "its own"
        )
