"""What the tests of sweeps share: a small specification, and tasks of workers that fail in one way or another."""

from __future__ import annotations

import os
import signal
from pathlib import Path

SPEC = """
name = "small"
[network]
rank = 1
[task]
kind = "exponential_filter"
decay = 0.2
horizon = 2.0
"""

SWEEP = """
spec = "small.toml"
steps = 20
chunk = 5

[initial]
neurons = 40

[[axes]]
over = "initial.v_u"
kind = "values"
values = [0.1, 0.2]

[[axes]]
over = "seed"
kind = "integers"
number = 3
"""


def write_sweep(folder: Path, text: str = SWEEP, name: str = "sweep") -> Path:
    """Write the specification and a sweep of it, and return the sweep's file."""
    (folder / "small.toml").write_text(SPEC)
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def attempt(place: Path) -> int:
    """Count an attempt at something, over processes, and return its number."""
    with place.open("ab") as stream:
        stream.write(b"x")
    return place.stat().st_size


def square(item: tuple[Path, int]) -> int:
    """A task that succeeds."""
    return item[1] ** 2


def square_at_third_attempt(item: tuple[Path, int]) -> int:
    """A task that fails twice."""
    if attempt(item[0] / str(item[1])) < 3:
        raise OSError(f"no luck with {item[1]}")
    return item[1] ** 2


def square_but_die_at_three(item: tuple[Path, int]) -> int:
    """A task of which one kills its process at each attempt."""
    if item[1] == 3:
        attempt(item[0] / "3")
        os.kill(os.getpid(), signal.SIGKILL)
    return item[1] ** 2
