"""Cost of deriving and size of what is generated, as functions of the rank, with the law by which they grow."""

from __future__ import annotations

import numpy as np

import symlow
from tests.benchmarks.problems import derive
from tests.benchmarks.report import Section, table
from tests.benchmarks.timing import least_time

RANKS = (1, 2, 4, 8, 16, 32)
HEADER = (
    "rank",
    "overlaps",
    "derive / s",
    "module / s",
    "LaTeX / s",
    "all scalar equations / s",
    "module / kB",
    "LaTeX / kB",
)
TARGETS = (
    {"kind": "exponential_filter", "decay": 0.2},
    {"kind": "no_response"},
    {"kind": "integrator"},
    {"kind": "damped_oscillation", "decay": 0.3, "frequency": 2.0},
)

TEXT = """
Two inputs, two outputs, a filter task with four targets; p = 2 rank + 4 columns, p (p + 1) / 2 overlaps. The module and
the document are those of `symlow generate`; the document prints scalar equations up to 60 overlaps, blocks beyond (its
size is that of the blocks throughout). SymPy is imported and warm.
"""

LAW = """
The last row is the exponent in p, fitted from rank 4 on. The module grows with the number of names of overlaps, p^2 on
top of a constant, and with nothing else: its mathematics is in blocks. The block equations of the document do not grow
at all. All scalar equations together have of the order of p^3 terms.
"""


def section(quick: bool) -> Section:
    """Measure, and return the section."""
    ranks = RANKS[:4] if quick else RANKS
    values = np.array([_row(rank) for rank in ranks])
    rows: list[tuple[object, ...]] = [
        (rank, f"{row[0]:.0f}", *row[1:]) for rank, row in zip(ranks, values.tolist(), strict=True)
    ]
    rows.append(("growth p^", *[f"{_growth(np.array(ranks), column):.2f}" for column in values.T]))
    return Section("Deriving and generating, against the rank", TEXT, (table(HEADER, rows), LAW.strip()))


def _row(rank: int) -> list[float]:
    def derived() -> symlow.DerivedSystem:
        d = specification_derived(rank)
        assert d.visible
        return d

    d = derived()
    times = [least_time(function, 2) for function in (derived, d.source, d.latex)]
    scalars = least_time(lambda: dict(derived().flow), rounds=0)
    sizes = [len(d.source()) / 1000, len(d.latex(scalars=False)) / 1000]
    return [len(d.overlaps), *times, scalars, *sizes]


def specification_derived(rank: int) -> symlow.DerivedSystem:
    """Return the derivation of this rank, which derives its parts when they are asked for."""
    pairs = [(o, i) for o in (1, 2) for i in (1, 2)]
    targets = [{"output": o, "input": i, **kind} for (o, i), kind in zip(pairs, TARGETS, strict=True)]
    network = {"rank": rank, "inputs": 2, "outputs": 2}
    return derive({"network": network, "task": {"kind": "filters", "horizon": 20.0, "targets": targets}})


def _growth(ranks: np.ndarray, values: np.ndarray) -> float:
    """Return the exponent in the number of columns p = 2 rank + 4, fitted from rank 4 on."""
    large = ranks >= 4
    return float(np.polyfit(np.log(2 * ranks[large] + 4), np.log(values[large]), 1)[0])
