"""What a start of symlow costs beside what it is made of (:mod:`tests.benchmarks.start_up`)."""

from __future__ import annotations

from tests.benchmarks import start_up
from tests.benchmarks.report import Finding, Section

TEXT = """
Processes, run in turn; a process's time is the least over {rounds} rounds. A derivation that is kept is
read from the cache.
"""


def section(quick: bool) -> Section:
    """Measure, and return the section."""
    rounds = 3 if quick else 20
    rows = start_up.rows(rounds)
    findings = tuple(
        Finding(f"{row.name} / {row.against}", row.bound, row.ratio, at_least=False)
        for row in rows
        if row.bound is not None
    )
    return Section("Start-up", TEXT.format(rounds=rounds), (start_up.table(rows),), findings)
