"""Times of programs side by side: A B C A B C ..., so that what slows the machine for a while slows them all.

A program's time is the least over the rounds: what the machine can do, free of what else it did. In a round a program
is called as often as fits into ``SHARE`` seconds, at least once, and the round's time is the mean of these calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

SHARE = 0.02
"""Seconds that a program is called for in a round, unless one call takes longer."""


def least_times(programs: Mapping[str, Callable[[], object]], rounds: int = 10) -> dict[str, float]:
    """Return the least time of one call of each program, in seconds.

    With rounds, a first call, which may compile, is not timed; with 0 rounds each program is called once, and timed.
    """
    if rounds == 0:
        return {name: _time(program, 1) for name, program in programs.items()}
    calls = {}
    for name, program in programs.items():
        program()
        calls[name] = max(1, round(SHARE / max(_time(program, 1), 1e-7)))
    least = dict.fromkeys(programs, float("inf"))
    for _ in range(rounds):
        for name, program in programs.items():
            least[name] = min(least[name], _time(program, calls[name]))
    return least


def least_time(program: Callable[[], object], rounds: int = 10) -> float:
    """Return the least time of one call of one program, in seconds."""
    return least_times({"": program}, rounds)[""]


def _time(program: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        program()
    return (time.perf_counter() - start) / calls
