"""Cost per state, from one state to a hundred thousand, and the memory that it takes."""

from __future__ import annotations

import numpy as np

from tests.benchmarks import programs
from tests.benchmarks.memory import high_water
from tests.benchmarks.problems import BATCH, STEPS, Problem, flip_flop
from tests.benchmarks.programs import CORES, JAX, STEPWISE, Program
from tests.benchmarks.report import Finding, Section, table
from tests.benchmarks.timing import least_times

COUNTS = (1, 4, 16, 64, 256, 1024, 10_000, 100_000)
LONGEST, BY_HAND = 150.0, 30.0
"""Seconds beyond which a call of a generated module, or of a program by hand, is not made, as fewer states foretell."""

NUMPY = "symlow numpy"

TEXT = f"""
Loss and gradient of many states at once, rank 1, erf, the flip-flop, {BATCH} trials of {STEPS} steps, float64;
microseconds for each state. Every program may use the {CORES} cores; the C loops and PyTorch have {CORES} threads. The
JAX programs vmap, and that of PyTorch takes, at most 256 states at once. Times are the least of {{rounds}} rounds of
alternating programs, of one call from 10^4 states on; a call that would take more than {LONGEST:.0f} s, of a program by
hand {BY_HAND:.0f} s, is not made.
Memory is the high-water mark of a process of its own, in MB: the first row is the process before its first state,
with its libraries, trials and what it has compiled.
"""


def problem() -> Problem:
    """Return what is measured here, in this process and in those that measure memory."""
    return flip_flop(1, "erf")


def section(quick: bool) -> Section:
    """Measure, and return the section."""
    counts, rounds = (COUNTS[:4], 2) if quick else (COUNTS, 5)
    case = problem()
    made = {name: programs.program(name, case, states=256) for name in programs.names() if name != STEPWISE}
    per_state = _costs(case, made, counts, rounds)
    header = ("states", *made)
    costs = table(header, [(n, *[_micro(found.get(name)) for name in made]) for n, found in per_state.items()])
    marks = {name: high_water(name, [n for n in counts if name in per_state[n]]) for name in made}
    memory = [
        (n, *[_mega(marks[name].get(n)) for name in made]) for n in (0, *counts) if any(n in m for m in marks.values())
    ]
    return Section(
        "Cost for each state, by the number of states",
        TEXT.format(rounds=rounds),
        (costs, "Memory:", table(header, memory)),
        _findings(per_state, marks),
        per_state,
    )


def _costs(
    case: Problem, made: dict[str, Program], counts: tuple[int, ...], rounds: int
) -> dict[int, dict[str, float]]:
    """Return the time for each state, by the number of states and the program."""
    per_state: dict[int, dict[str, float]] = {}
    last = dict.fromkeys(made, 0.0)
    for n in counts:
        longest = {name: LONGEST if name.startswith("symlow") else BY_HAND for name in made}
        within = {name: run for name, run in made.items() if n * last[name] < longest[name]}
        calls = programs.calls(within, case.states(n))
        times = least_times(calls, rounds if n < 10_000 else 0)
        per_state[n] = {name: time / n for name, time in times.items()}
        last.update(per_state[n])
    return per_state


def _findings(per_state: dict[int, dict[str, float]], marks: dict[str, dict[int, int]]) -> tuple[Finding, ...]:
    findings = []
    if 256 in per_state:
        at = per_state[256]
        findings.append(Finding("JAX program / NumPy module for each state, 256 states", 1, at[JAX] / at[NUMPY], True))
    for name in [name for name in per_state[1] if name.startswith("symlow")]:
        costs = [found[name] for found in per_state.values() if name in found]
        rise = costs[-1] / min(costs)
        findings.append(Finding(f"{name}: cost for each state, most states / cheapest", 1.5, rise, at_least=False))
        large = [mark for n, mark in marks[name].items() if n >= 1024]
        if len(large) > 1:
            growth = large[-1] / large[0]
            findings.append(Finding(f"{name}: memory, most states / 1024 states", 2, growth, at_least=False))
    return tuple(findings)


def _micro(seconds: float | None) -> float | None:
    return None if seconds is None else float(np.round(1e6 * seconds, 3))


def _mega(bytes_: int | None) -> float | None:
    return None if bytes_ is None else bytes_ / 1e6
