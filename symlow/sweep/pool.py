"""Workers of a sweep: processes of this machine through joblib's loky, or those of a Dask cluster.

Both are executors of ``concurrent.futures``, and one loop serves them: so many tasks are given out at a time, results
are taken as they come, and a task that failed is given out again, ``MOST_ATTEMPTS`` times in all. A process that dies
takes its pool with it, and nobody knows which task it had: all that were given out have lost an attempt, and one that
has lost all of them has a last one alone, where the blame is certain.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from symlow.errors import SweepError, SymlowError
from symlow.extras import optional

MOST_ATTEMPTS = 3

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Variables that set the threads of a process's libraries: one each, so that sums do not depend on their number."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pool:
    """Workers that can be replaced.

    Args:
        start: makes an executor.
        workers: how many tasks can run at once.
        stop: ends an executor.
    """

    def __init__(self, start: Callable[[], Executor], workers: Callable[[], int], stop: Callable[[Any], None]) -> None:
        self._start, self._stop, self._workers = start, stop, workers
        self._executor: Executor | None = None

    @property
    def workers(self) -> int:
        """How many tasks can run at once."""
        return max(1, self._workers())

    def submit(self, function: Callable[[Item], Result], item: Item) -> Future[Result]:
        """Give a task out, to new workers if there are none."""
        if self._executor is None:
            self._executor = self._start()
        return self._executor.submit(function, item)

    def close(self) -> None:
        """End the workers."""
        if self._executor is not None:
            executor, self._executor = self._executor, None
            self._stop(executor)


@contextmanager
def processes(workers: int | None = None) -> Iterator[Pool]:
    """Give worker processes of this machine, by default as many as it has cores.

    Raises:
        DependencyError: if joblib is not installed.
    """
    joblib, loky = optional("joblib"), optional("joblib.externals.loky")
    number = joblib.cpu_count() if workers is None else workers
    pool = Pool(
        # A process even where one is enough, for a worker has settings of its own: its threads.
        lambda: loky.ProcessPoolExecutor(max_workers=number, env=dict.fromkeys(THREADS, "1")),
        lambda: number,
        lambda executor: executor.shutdown(wait=True, kill_workers=True),
    )
    try:
        yield pool
    finally:
        pool.close()


@contextmanager
def dask_cluster(address: str, workers: int | None = None) -> Iterator[Pool]:
    """Give the workers of a Dask cluster.

    Args:
        address: of its scheduler; or "local" for a cluster of processes on this machine.
        workers: how many, of a local cluster; another has workers of its own.

    Raises:
        SweepError: if there is no scheduler at the address, or it goes away.
        DependencyError: if Dask is not installed.
    """
    distributed = optional("distributed", "dask")
    if address != "local" and workers is not None:
        raise SweepError(
            f"workers: found {workers} with a cluster, which has workers of its own; leave one of them out"
        )
    with ExitStack() as stack:
        if address == "local":
            place = stack.enter_context(
                distributed.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
            )
        else:
            place = address
        try:
            client = stack.enter_context(distributed.Client(place))
        except (OSError, ValueError) as error:
            raise SweepError(
                f"dask: no scheduler at {address!r} ({error}); accepted: an address such as tcp://HOST:8786, or local"
            ) from None

        def threads() -> int:
            try:
                return sum(client.nthreads().values())
            except (OSError, RuntimeError) as error:
                raise SweepError(
                    f"dask: the scheduler at {address!r} is gone ({error}); what is done is kept: run the same command "
                    "again when there is one"
                ) from None

        pool = Pool(
            # Not pure: Dask would name tasks by their contents, and need not.
            lambda: client.get_executor(pure=False),
            threads,
            lambda executor: executor.shutdown(wait=False),
        )
        stack.callback(pool.close)
        yield pool


@dataclass(frozen=True)
class Failure:
    """Why a task was given up: what happened at its last attempt."""

    error: BaseException


def completed(
    pool: Pool, function: Callable[[Item], Result], items: Sequence[Item]
) -> Iterator[tuple[int, Result | Failure]]:
    """Give the place of each item and its result, or why there is none, as they come.

    Raises:
        SymlowError: what ``function`` raises of these: it would do so at each attempt.
    """
    waiting, suspects = deque(range(len(items))), deque[int]()
    attempts = [0] * len(items)
    given: dict[Future[Result], int] = {}
    while waiting or suspects or given:
        alone = not waiting and not given
        # Twice as many as can run, lest a worker wait for the loop.
        while (alone and not given) or (waiting and len(given) < 2 * pool.workers):
            place = suspects.popleft() if alone else waiting.popleft()
            try:
                given[pool.submit(function, items[place])] = place
            except BrokenExecutor:
                (suspects if alone else waiting).appendleft(place)
                break
        wait(given, return_when=FIRST_COMPLETED)
        errors = {future: _error(future) for future in given if future.done()}
        broken = not given or any(isinstance(error, BrokenExecutor) for error in errors.values())
        if broken:
            wait(given)  # all of them end when their pool does
            errors = {future: _error(future) for future in given}
            pool.close()
        for future, error in errors.items():
            place = given.pop(future)
            if error is None:
                yield place, future.result()
                continue
            if isinstance(error, SymlowError):
                raise error
            attempts[place] += 1
            if attempts[place] < MOST_ATTEMPTS:
                waiting.append(place)
            elif isinstance(error, BrokenExecutor) and not alone:
                suspects.append(place)
            else:
                yield place, Failure(error)


def _error(future: Future[Any]) -> BaseException | None:
    return CancelledError("cancelled") if future.cancelled() else future.exception()
