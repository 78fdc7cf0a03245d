"""A sweep from beginning to end: checked, cut into tasks, run by workers, its parts kept, its result made.

    tasks without a result  ->  workers  ->  parts  ->  store

The order in which results come, the number of workers, attempts and interruptions leave the result as it is, to the
bit: the parent alone writes, tasks are fixed by the sweep, and the store is made of whole parts in their order.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from symlow.arrays import check_integer
from symlow.course import Track
from symlow.errors import SweepError
from symlow.extras import optional
from symlow.sweep.histories import Grid, check_sweep
from symlow.sweep.identity import identity
from symlow.sweep.parts import Parts
from symlow.sweep.pool import MOST_ATTEMPTS, Failure, Pool, completed, dask_cluster, processes
from symlow.sweep.result import count_statuses
from symlow.sweep.specification import Sweep
from symlow.sweep.store import check_place, is_complete, write_store
from symlow.sweep.task import make_tasks, run_task
from symlow.views import derive


@dataclass(frozen=True)
class SweepReport:
    """What a sweep has done.

    Attributes:
        path: the result.
        histories: number of histories.
        tasks: number of tasks.
        resumed: number of tasks whose results were there from before.
        statuses: how many histories ended in which way.
    """

    path: Path
    histories: int
    tasks: int
    resumed: int
    statuses: dict[str, int]


def run_sweep(
    sweep: Sweep,
    output: str | os.PathLike[str],
    workers: int | None = None,
    dask: str | None = None,
    force: bool = False,
    track: Track = iter,
    tell: Callable[[str], None] = lambda line: None,
) -> SweepReport:
    """Run a sweep, or what is missing of one that was interrupted, and write its result.

    Args:
        sweep: what to do.
        output: the result, a folder that is made, such as ``sweep.zarr``; parts are kept beside it until it is whole.
        workers: number of processes; by default as many as there are cores, or as a cluster has.
        dask: address of a Dask scheduler, or "local", in place of joblib's processes.
        force: replace the result, or the parts, of another sweep; begin afresh.
        track: wraps the iteration over the tasks that are to be done, for a progress bar.
        tell: is called with a line on what is about to be done.

    Raises:
        SpecError: if the sweep names what does not exist, or values are not accepted together.
        GramMatrixError: if histories start from overlaps that no network has, and are not to be skipped.
        SweepError: if tasks failed at all attempts, or the output belongs to another sweep.
        FileError: if the output cannot be written.
        DependencyError: if joblib, Zarr or Dask is not installed.
    """
    result = check_place(output)
    _check_packages(dask)  # now, and not when the work is done
    if workers is not None:
        workers = check_integer(workers, "workers", 1, SweepError)
    derivation = derive(sweep.spec)
    belongs = identity(sweep, derivation.source(sweep.tables.backend))
    histories = Grid(sweep.axes)
    chunks = histories.chunks(sweep.tables.chunk)
    if is_complete(result, belongs, force):
        Parts.remove_left(result, belongs)
        tell(f"{output}: is there, whole, from the same sweep; nothing to do")
        return SweepReport(Path(output), len(histories), len(chunks), len(chunks), count_statuses(result))
    skipped = check_sweep(sweep, derivation)
    parts = Parts.open(result, belongs, force)
    missing = parts.missing(len(chunks))
    resumed = len(chunks) - len(missing)
    tell(_plan(histories, len(chunks), resumed, skipped))
    failures: dict[int, Failure] = {}
    if missing:
        tasks = make_tasks(sweep, histories, missing)
        with _workers(workers, dask) as pool:
            outcomes = completed(pool, run_task, tasks)
            for _ in track(range(len(tasks))):
                place, outcome = next(outcomes)
                if isinstance(outcome, Failure):
                    failures[missing[place]] = outcome
                else:
                    parts.write(missing[place], outcome)
    if failures:
        raise _failed(failures, chunks)
    write_store(result, parts, sweep, derivation.overlaps, len(derivation.visible), belongs)
    parts.remove()
    return SweepReport(Path(output), len(histories), len(chunks), resumed, count_statuses(result))


def _workers(workers: int | None, dask: str | None) -> AbstractContextManager[Pool]:
    return processes(workers) if dask is None else dask_cluster(dask, workers)


def _check_packages(dask: str | None) -> None:
    for package in ("zarr", "numcodecs"):
        optional(package)
    optional(*(("joblib",) if dask is None else ("distributed", "dask")))


def _plan(histories: Grid, tasks: int, resumed: int, skipped: int) -> str:
    sizes = " x ".join(f"{name} {size}" for name, size in histories.dimensions.items())
    line = f"{len(histories)} histories ({sizes}) in {_count(tasks, 'task')}"
    if skipped:
        line += f"; {skipped} start from overlaps that no network has, and are skipped"
    return line + (f"; {_count(resumed, 'task')} done before" if resumed else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _failed(failures: dict[int, Failure], chunks: list[range]) -> SweepError:
    named = [
        f"histories {chunks[number].start} to {chunks[number].stop - 1} ({_in_words(failures[number].error)})"
        for number in sorted(failures)
    ]
    return SweepError(
        f"{len(failures)} of {len(chunks)} tasks failed at {MOST_ATTEMPTS} attempts: {'; '.join(named[:4])}"
        f"{'; ...' if len(named) > 4 else ''}; the others are kept: run the same command to try these again"
    )


def _in_words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= 160 else text[:157] + '...'}"
