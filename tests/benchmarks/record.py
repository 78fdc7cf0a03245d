"""The record of a run: RESULTS.md, with the machine, the programs' versions and the command, and the chart."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from symlow.files import write_whole
from symlow.version import __version__
from tests.benchmarks.chart import chart
from tests.benchmarks.programs import CORES
from tests.benchmarks.report import Section, findings_table, table

HERE = Path(__file__).parent
RESULTS, CHART = "RESULTS.md", "speed.svg"

INTRODUCTION = """# Benchmarks

Recorded {date} by `{command}`, which took {minutes:.0f} minutes.

{machine}

Programs that are compared alternate within one run. BLAS has one thread, so has PyTorch unless stated; JAX and Numba
may use all cores. Times are of one machine and noisy; ratios and growth laws carry. The programs by hand are in
[baselines/](baselines): loops in C, [plain](baselines/plain.c) and [tuned](baselines/loop.c),
[JAX](baselines/jax_program.py), [PyTorch](baselines/torch_program.py).

![Time of loss and gradient by program, and cost for each state by the number of states.](speed.svg)
"""


def record(sections: Sequence[Section], seconds: float, quick: bool, folder: Path = HERE) -> None:
    """Write the report and the chart, after so many seconds of measuring."""
    command = f"python -m tests.benchmarks{' --quick' if quick else ''} --record"
    facts = {"date": datetime.date.today(), "command": command, "minutes": seconds / 60, "machine": machine()}
    text = INTRODUCTION.format(**facts)
    findings = [finding for section in sections for finding in section.findings]
    parts = [text.strip(), "## Asked for, and found", findings_table(findings), *map(str, sections)]
    write_whole(folder / RESULTS, "\n\n".join(parts) + "\n", overwrite=True)
    write_whole(folder / CHART, chart(sections), overwrite=True)


def machine() -> str:
    """Return a table of the machine and of the programs' versions."""
    compiler = subprocess.run(["gcc", "-dumpfullversion"], check=True, capture_output=True, text=True).stdout.strip()
    packages = [f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "sympy", "numba", "jax", "torch")]
    rows = [
        ("processor", f"{_processor()}, {CORES} cores"),
        ("system", f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"),
        ("programs", f"symlow {__version__}, {', '.join(packages)}, GCC {compiler}"),
    ]
    return table(("machine", ""), rows, words=2)


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
