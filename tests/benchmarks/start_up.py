"""What a start of symlow costs beside what it is made of: processes side by side in one run, ratios first.

    python tests/benchmarks/start_up.py [--rounds 20]

A round runs every process once, in turn, so that what slows the machine for a while slows them all; a process's time is
the least over the rounds. What is kept on disk is kept in a folder of this run, made before the first round.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SPECIFICATION = Path(__file__).parents[2] / "derivations" / "ger_barak_2026" / "rank1_linear.toml"

COMMAND = ("-m", "symlow.cli")
PROCESSES = {
    "symlow --help": (*COMMAND, "--help"),
    "import numpy, typer": ("-c", "import numpy, typer"),
    "symlow derive, kept": (*COMMAND, "derive", str(SPECIFICATION)),
    "symlow derive, anew": (*COMMAND, "derive", str(SPECIFICATION), "--no-cache"),
    "import sympy": ("-c", "import sympy"),
    "import symlow": ("-c", "import symlow"),
    "pass": ("-c", "pass"),
}
"""By name the arguments of Python."""

PAIRS = (
    ("symlow --help", "import numpy, typer", 1.3),
    ("symlow derive, kept", "import sympy", 1.5),
    ("symlow derive, anew", "import sympy", None),
    ("import symlow", "pass", None),
)
"""What is compared with what, and the ratio that it should not exceed."""


@dataclass(frozen=True)
class Row:
    """A comparison.

    Attributes:
        name: the process that is judged.
        against: the process that it is compared with.
        ratio: of their times.
        bound: what the ratio should not exceed, or None.
        seconds: the time of the first.
        seconds_against: the time of the other.
    """

    name: str
    against: str
    ratio: float
    bound: float | None
    seconds: float
    seconds_against: float


def rows(rounds: int = 20) -> list[Row]:
    """Run all processes and return the comparisons."""
    least = dict.fromkeys(PROCESSES, float("inf"))
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SYMLOW_CACHE_DIR": folder}
        for arguments in PROCESSES.values():  # files of Python compiled and in memory, the derivation kept
            _seconds(arguments, environment)
        for _ in range(rounds):
            for name, arguments in PROCESSES.items():
                least[name] = min(least[name], _seconds(arguments, environment))
    return [Row(a, b, least[a] / least[b], bound, least[a], least[b]) for a, b, bound in PAIRS]


def _seconds(arguments: tuple[str, ...], environment: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def table(found: list[Row]) -> str:
    """Return the comparisons as a table of Markdown."""
    lines = ["| process | against | ratio | bound | ms | ms, against |", "| --- | --- | ---: | ---: | ---: | ---: |"]
    for row in found:
        bound = "" if row.bound is None else f"{row.bound:g}"
        times = f"{row.seconds * 1e3:.0f} | {row.seconds_against * 1e3:.0f}"
        lines.append(f"| {row.name} | {row.against} | {row.ratio:.2f} | {bound} | {times} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="how often each process runs")
    print(table(rows(parser.parse_args().rounds)))


if __name__ == "__main__":
    main()
