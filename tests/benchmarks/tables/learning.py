"""Ten thousand learning histories of two thousand steps, together and one by one."""

from __future__ import annotations

from collections.abc import Callable

import symlow
from tests.benchmarks.problems import BATCH, STEPS, backends, derive, flip_flop, sample_states
from tests.benchmarks.report import Section, number, table
from tests.benchmarks.timing import least_time

HISTORIES, LEARNING_STEPS, RATE = 10_000, 2000, 0.002
FEW = 1000
"""Histories of which the time of more is foretold, where a run of them all takes minutes for every step."""

TEXT = f"""
`symlow.learn`: {HISTORIES} histories from different overlaps, {LEARNING_STEPS} steps of gradient descent each, of
which the first and the last state are recorded; all at once, or one history after the other. Seconds. A number with ~
is extrapolated: from the difference of two short runs to {LEARNING_STEPS} steps; trials also from {FEW} histories to
all of them, and one by one from a single history. The filter is exponential, rank 1, in closed form over 400 lags;
the flip-flop has rank 1, erf, {BATCH} trials of {STEPS} time steps, the same at each step.
"""

Learn = Callable[[int, int], object]


def section(quick: bool) -> Section:
    """Measure, and return the section."""
    task = {"kind": "exponential_filter", "decay": 0.2, "horizon": 20.0}
    filtering = derive({"network": {"rank": 1, "dt": 0.05}, "task": task})
    flip = flip_flop(1, "erf")
    filter_states, flip_states = sample_states(filtering.compile(), 1, 1, HISTORIES), flip.states(FEW)
    rows = []
    for backend in backends():
        module = filtering.compile(backend=backend)

        def learn_filter(histories: int, steps: int, module=module) -> symlow.LearningRun:
            return symlow.learn(filtering, filter_states[:histories], RATE, steps, module=module, every=steps)

        whole = backend == "numpy" and not quick
        together = least_time(lambda: learn_filter(HISTORIES, LEARNING_STEPS), 0) if whole else None
        rows.append(_row("filter, closed form", backend, learn_filter, HISTORIES, together))
        module = flip.derivation.compile(backend=backend)

        def learn_trials(histories: int, steps: int, module=module) -> symlow.LearningRun:
            start = flip_states[:histories]
            return symlow.learn(flip.derivation, start, RATE, steps, flip.trials, module=module, every=steps)

        rows.append(_row("flip-flop, trials", backend, learn_trials, 100 if quick else FEW, None))
    header = ("task", "backend", "one by one / together", "together / s", "one by one / s")
    return Section(f"Learning: {HISTORIES} histories of {LEARNING_STEPS} steps", TEXT, (table(header, rows, words=2),))


def _row(task: str, backend: str, learn: Learn, histories: int, measured: float | None) -> tuple[object, ...]:
    """Return a row; so many histories stand for all, unless these have been measured."""
    together = _foretold(learn, histories, 2, 6) * HISTORIES / histories if measured is None else measured
    alone = _foretold(learn, 1, 5, 105) * HISTORIES
    return task, backend, alone / together, f"{'~' if measured is None else ''}{number(together)}", f"~{number(alone)}"


def _foretold(learn: Learn, histories: int, few: int, more: int) -> float:
    """Return the seconds that all steps of so many histories take, of the difference of two short runs."""
    learn(histories, few)  # what compiles has compiled
    short, long = (least_time(lambda: learn(histories, steps), 0) for steps in (few, more))  # noqa: B023
    return (long - short) / (more - few) * LEARNING_STEPS
