"""The most memory that a program has used, by the number of states: ``python -m tests.benchmarks.memory PROGRAM N...``

A process of its own for each program, which is given more and more states; the high-water mark after each is printed,
in bytes, as a list in JSON, and before them that of the process without any.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def high_water(name: str, counts: Sequence[int]) -> dict[int, int]:
    """Return the high-water mark of a program for these numbers of states, in bytes; 0 states are the process alone."""
    command = [sys.executable, "-m", "tests.benchmarks.memory", name, *map(str, counts)]
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    return dict(zip((0, *counts), json.loads(found.stdout), strict=True))


def main() -> None:
    from tests.benchmarks import programs
    from tests.benchmarks.tables.states import problem

    name, counts = sys.argv[1], [int(count) for count in sys.argv[2:]]
    case = problem()
    made = programs.program(name, case, states=max(counts))
    marks = [_high_water()]
    for count in counts:
        made(case.states(count))()
        marks.append(_high_water())
    print(json.dumps(marks))


def _high_water() -> int:
    """Return the most resident memory that this process has had, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage of Linux counts what the parent had, too
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return 1024 * int(line.split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
