"""A sweep that is killed half-way and resumed, against one left alone (:mod:`tests.benchmarks.kill_sweep`)."""

from __future__ import annotations

import subprocess
import sys

from tests.benchmarks.programs import CORES
from tests.benchmarks.report import Finding, Section

TEXT = """
1000 histories of {steps} steps, on {cores} workers: first a worker is killed, then the whole process, and the sweep
is resumed; its files are compared with those of one left alone. What the run said:
"""


def section(quick: bool) -> Section:
    """Run both sweeps, and return the section."""
    steps = 500 if quick else 1000
    command = [sys.executable, "-m", "tests.benchmarks.kill_sweep", "--workers", str(CORES), "--steps", str(steps)]
    run = subprocess.run(command, capture_output=True, text=True)
    if not run.stdout:
        raise RuntimeError(f"tests.benchmarks.kill_sweep: {run.stderr}")
    said = f"```text\n{run.stdout.strip()}\n```"
    finding = Finding("sweep killed and resumed: runs with other bytes", 0, float(run.returncode != 0), at_least=False)
    return Section("A sweep, killed and resumed", TEXT.format(steps=steps, cores=CORES), (said,), (finding,))
