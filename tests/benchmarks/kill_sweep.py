"""A sweep of 1000 histories, killed half-way (a worker, then the whole process) and resumed, against one left alone.

    python tests/benchmarks/kill_sweep.py --workers 2

prints what was killed and when, what was done again, and whether the two results have the same bytes. A benchmark, not
a test: a smaller sweep is killed in tests/test_sweep_run.py.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

import symlow
from symlow.sweep.result import partial_folder

SPEC = Path(__file__).parents[2] / "derivations" / "ger_barak_2026" / "rank1_linear.toml"
SWEEP = """
spec = "rank1_linear.toml"
steps = STEPS
record = "course"
every = 100
chunk = 20

[initial]
neurons = 100

[[axes]]
over = "seed"
kind = "integers"
number = 10

[[axes]]
over = "initial.v_u"
kind = "linspace"
start = -0.2
stop = 0.4
number = 10

[[axes]]
over = "learning.lr"
kind = "loguniform"
low = 0.001
high = 0.02
number = 10
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=2000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / SPEC.name).write_text(SPEC.read_text())
        (folder / "sweep.toml").write_text(SWEEP.replace("STEPS", str(arguments.steps)))
        alone, killed = folder / "alone.zarr", folder / "killed.zarr"

        began = time.perf_counter()
        start(folder, alone, arguments.workers).wait()
        print(f"uninterrupted: {time.perf_counter() - began:.1f} s with {arguments.workers} workers")

        began = time.perf_counter()
        process = start(folder, killed, arguments.workers)
        tasks = wait_for(killed, 15, process)
        worker = next(
            child for child in psutil.Process(process.pid).children() if "LokyProcess" in str(child.cmdline())
        )
        worker.kill()
        print(f"killed worker {worker.pid} of {arguments.workers} after {tasks} of 50 tasks")
        tasks = wait_for(killed, 25, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        print(f"killed the process and its workers after {tasks} of 50 tasks; result there: {killed.exists()}")
        kept = parts(killed)
        start(folder, killed, arguments.workers).wait()
        print(f"resumed: {50 - kept} tasks; {time.perf_counter() - began:.1f} s in all")

        files = [path.relative_to(alone) for path in sorted(alone.rglob("*")) if path.is_file()]
        others = [path.relative_to(killed) for path in sorted(killed.rglob("*")) if path.is_file()]
        same, different, missing = filecmp.cmpfiles(alone, killed, files, shallow=False)
        size = sum((alone / file).stat().st_size for file in files)
        histories = symlow.open_sweep(killed).status.size
        print(
            f"{histories} histories, {len(files)} files, {size} bytes; same: {len(same)}, different: {len(different)}"
        )
        sys.exit(bool(different or missing or files != others))


def start(folder: Path, output: Path, workers: int) -> subprocess.Popen[bytes]:
    """Start the sweep as a user does, in a process group of its own."""
    command = [sys.executable, "-m", "symlow.cli", "sweep", "sweep.toml", "-o", output.name, "--workers", str(workers)]
    return subprocess.Popen(command, cwd=folder, start_new_session=True)


def wait_for(output: Path, tasks: int, process: subprocess.Popen[bytes]) -> int:
    """Wait until so many tasks are done, and return how many are."""
    while (done := parts(output)) < tasks:
        if process.poll() is not None:
            sys.exit(f"the sweep ended after {done} tasks, before it could be killed; give it more --steps")
        time.sleep(0.001)
    return done


def parts(output: Path) -> int:
    return len(list(partial_folder(output).glob("[0-9]*.npz")))


if __name__ == "__main__":
    main()
