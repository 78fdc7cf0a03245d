"""Gradient of a filter task: the closed form against stepping through time, and its cost against the horizon."""

from __future__ import annotations

import math

import numpy as np

from tests.benchmarks.problems import backends, derive, sample_states
from tests.benchmarks.report import Finding, Section, table
from tests.benchmarks.timing import least_times

DT = 0.05
RANKS, HORIZONS = (1, 2, 4, 8), (5.0, 20.0, 80.0, 320.0)

TEXT = """
One input, one output, one state, dt = 0.05. Stepped is the same module, given the impulse and the response wanted as a
trial; the other modules' closed forms are in times of that of NumPy. Times are the least of {rounds} rounds of
alternating programs.
"""


def section(quick: bool) -> Section:
    """Measure, and return the section."""
    rounds = 3 if quick else 20
    others = [backend for backend in backends() if backend != "numpy"]
    cases = [(rank, 20.0) for rank in RANKS] + [(1, horizon) for horizon in HORIZONS if horizon != 20]
    found = {case: _times(*case, others, rounds) for case in (cases[:2] if quick else cases)}
    rows = [
        (
            rank,
            round(horizon / DT),
            times["stepped"] / times["numpy"],
            1e6 * times["numpy"],
            1e6 * times["stepped"],
            *[times[backend] / times["numpy"] for backend in others],
        )
        for (rank, horizon), times in found.items()
    ]
    header = ("rank", "time steps", "stepped / closed form", "closed form / us", "stepped / us")
    return Section(
        "Gradient of a filter task: closed form against stepping through time",
        TEXT.format(rounds=rounds),
        (table((*header, *[f"{backend} / numpy" for backend in others]), rows),),
        _findings(found),
    )


def _times(rank: int, horizon: float, others: list[str], rounds: int) -> dict[str, float]:
    task = {"kind": "exponential_filter", "decay": 0.2, "horizon": horizon}
    d = derive({"network": {"rank": rank, "dt": DT}, "task": task})
    modules = {backend: d.compile(backend=backend) for backend in ("numpy", *others)}
    sigma = sample_states(modules["numpy"], rank, 1, 1)[0]
    trials = d.loss.impulse_trials()
    # JAX returns before it has computed; as an array of NumPy the result is whole.
    calls = {name: lambda m=module: np.asarray(m.loss_gradient(sigma)) for name, module in modules.items()}
    stepped = {"stepped": lambda: modules["numpy"].loss_gradient(sigma, trials)}
    return least_times({**calls, **stepped}, rounds)


def _findings(found: dict[tuple[int, float], dict[str, float]]) -> tuple[Finding, ...]:
    findings = []
    for rank in (1, 4):
        if (rank, 20.0) in found:
            times = found[rank, 20.0]
            demand = f"stepped over 400 steps / closed form, NumPy, rank {rank}"
            findings.append(Finding(demand, 10, times["stepped"] / times["numpy"], at_least=True))
    shortest, longest = HORIZONS[0], HORIZONS[-1]
    if (1, longest) in found:
        growth = found[1, longest]["numpy"] / found[1, shortest]["numpy"]
        logarithm = round(math.log(longest / DT) / math.log(shortest / DT), 2)
        demand = f"closed form, {longest / DT:.0f} steps / {shortest / DT:.0f} steps (limit: of their logarithms)"
        findings.append(Finding(demand, logarithm, growth, at_least=False))
    return tuple(findings)
