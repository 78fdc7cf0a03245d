"""Ten thousand learning histories of two thousand steps, together and one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from symlow.arrays import FloatArray, Trials
from tests.benchmarks.problems import BATCH, STEPS, backends, derive, flip_flop, sample_states
from tests.benchmarks.report import Section, table
from tests.benchmarks.timing import least_time

HISTORIES, LEARNING_STEPS = 10_000, 2000
FILTER_RATE, TRIAL_RATE = 0.01, 0.001

TEXT = f"""
{HISTORIES} histories from different overlaps, {LEARNING_STEPS} steps of gradient descent each: the generated `step`,
applied so often to all of them at once, or one history after the other. What was not run to its end is marked with ~:
its first steps, or first histories, were timed and the rest extrapolated. Seconds, and the ratio of one by one to
together. The filter is exponential, rank 1, in closed form over 400 lags; the flip-flop has rank 1, erf, {BATCH}
trials of {STEPS} time steps, the same throughout.
"""


def section(quick: bool) -> Section:
    """Measure, and return the section."""
    task = {"kind": "exponential_filter", "decay": 0.2, "horizon": 20.0}
    filtering = derive({"network": {"rank": 1, "dt": 0.05}, "task": task})
    flip = flip_flop(1, "erf")
    rows = []
    for backend in backends():
        module = filtering.compile(backend=backend)
        start = sample_states(filtering.compile(), 1, 1, HISTORIES)
        # Closed form: in full, unless quick; one by one the first history.
        taken = 20 if quick else LEARNING_STEPS
        rows.append(_row("filter, closed form", backend, module.step, start, FILTER_RATE, None, taken))
        module = flip.derivation.compile(backend=backend)
        taken = 1 if quick else 5
        start = flip.states(HISTORIES)[: 100 if quick else HISTORIES]
        rows.append(_row("flip-flop, trials", backend, module.step, start, TRIAL_RATE, flip.trials, taken))
    header = ("task", "backend", "one by one / together", "together / s", "one by one / s")
    return Section(f"Learning: {HISTORIES} histories of {LEARNING_STEPS} steps", TEXT, (table(header, rows, words=2),))


def _row(
    task: str,
    backend: str,
    step: Callable[..., FloatArray],
    start: FloatArray,
    lr: float,
    trials: Trials | None,
    taken: int,
) -> tuple[object, ...]:
    """Return a row: all histories for so many steps, and the first one for as many, but no more than twenty."""

    def learn(sigma: FloatArray, steps: int) -> None:
        for _ in range(steps):
            sigma = step(sigma, lr, trials)
        if not np.isfinite(np.asarray(sigma)).all():
            raise ArithmeticError(f"{task}: learning diverged; the learning rate {lr} of this benchmark is too large")

    learn(start[:2], 2)  # what compiles has compiled
    learn(start[0], 2)
    few = min(taken, 20)
    whole = taken == LEARNING_STEPS and len(start) == HISTORIES
    together = least_time(lambda: learn(start, taken), rounds=0) * LEARNING_STEPS / taken * HISTORIES / len(start)
    alone = least_time(lambda: learn(start[0], few), rounds=1) * LEARNING_STEPS / few * HISTORIES
    return task, backend, alone / together, f"{'' if whole else '~'}{together:.3g}", f"~{alone:.3g}"
