"""Loss and gradient of one state, by rank and nonlinearity: generated modules beside programs by hand."""

from __future__ import annotations

from tests.benchmarks import programs
from tests.benchmarks.problems import BATCH, STEPS, flip_flop
from tests.benchmarks.programs import JAX, STEPWISE, TUNED_C, C
from tests.benchmarks.report import Finding, Section, table
from tests.benchmarks.timing import least_times

RANKS = (1, 2, 4, 8)
NUMBA, NUMPY = "symlow numba", "symlow numpy"

TEXT = f"""
One state, the flip-flop of one bit, {BATCH} trials of {STEPS} steps, float64; the tuned C loop is in microseconds,
the others in times of it. Times are the least of {{rounds}} rounds of alternating programs. What `loss_gradient` does
from arrays to arrays, checks of arguments included; only the C loops are called with pointers prepared, the plain one
with trials in the order that it likes. Every program agrees with the NumPy module to {programs.AGREEMENT:g} of the
largest entry, which is checked before it is timed.

Programs by hand come in two forms: what one writes down, and the fastest that was found. The plain C loop, at rank 1,
is one over time and one over the batch, left to the compiler; the tuned one writes out vectors and sums in tiles. The
plain JAX program scans over arrays of latents and reads the outputs after it; the tuned one is the fastest of up to
eight ways to write it. The PyTorch program has in its loop what must be there; stepwise all is in it, filtered inputs,
outputs and loss.
"""


def section(quick: bool) -> Section:
    """Measure, and return the section."""
    rounds = 3 if quick else 15
    times = {}
    for nonlinearity in ("erf", "linear"):
        for rank in (1, 4) if quick else RANKS:
            problem = flip_flop(rank, nonlinearity)
            made = {name: programs.program(name, problem) for name in programs.names(rank)}
            times[nonlinearity, rank] = least_times(programs.calls(made, problem.states(1)[0]), rounds)
    names = [name for name in programs.names() if name != TUNED_C]
    header = ("nonlinearity", "rank", f"{TUNED_C} / us", *names)
    ratios = [
        (*case, 1e6 * found[TUNED_C], *[found[name] / found[TUNED_C] if name in found else None for name in names])
        for case, found in times.items()
    ]
    names = [TUNED_C, *names]
    absolute = [
        (*case, *[1e6 * found[name] if name in found else None for name in names]) for case, found in times.items()
    ]
    in_microseconds = table(("nonlinearity", "rank", *names), absolute, words=1)
    return Section(
        "Loss and gradient of one state",
        TEXT.format(rounds=rounds),
        (table(header, ratios, words=1), "The same in microseconds:", in_microseconds),
        _findings(times["erf", 1]),
        {"rank 1": times["erf", 1]},
    )


def _findings(times: dict[str, float]) -> tuple[Finding, ...]:
    findings = []
    if NUMBA in times:
        findings += [
            Finding("Numba module / C loop, rank 1, erf", 1.5, times[NUMBA] / times[C], at_least=False),
            Finding("JAX program / Numba module, rank 1, erf", 20, times[JAX] / times[NUMBA], at_least=True),
            Finding("PyTorch stepwise / Numba module, rank 1, erf", 2000, times[STEPWISE] / times[NUMBA], True),
        ]
    return (
        *findings,
        Finding("PyTorch stepwise / NumPy module, rank 1, erf", 50, times[STEPWISE] / times[NUMPY], at_least=True),
        Finding("NumPy module / JAX program, rank 1, erf, one state", 1.5, times[NUMPY] / times[JAX], at_least=False),
    )
