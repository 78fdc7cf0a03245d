"""Cost of deriving and size of what is generated, as functions of the rank, with the law by which they grow.

    python tests/benchmarks/derivation_cost.py            print the tables
    python tests/benchmarks/derivation_cost.py --record   and write them to RESULTS.md beside this file

A benchmark, not a test: these are times of one machine. Every time is the least of several runs; derivations with a
warm SymPy (its import is reported apart).
"""

from __future__ import annotations

import argparse
import datetime
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import symlow

RANKS = (1, 2, 4, 8, 16, 32)
HERE = Path(__file__).parent


def least_time(function: Callable[[], object], repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def specification(rank: int) -> symlow.Spec:
    kinds = [
        {"kind": "exponential_filter", "decay": 0.2},
        {"kind": "no_response"},
        {"kind": "integrator"},
        {"kind": "damped_oscillation", "decay": 0.3, "frequency": 2.0},
    ]
    pairs = [(o, i) for o in (1, 2) for i in (1, 2)]
    targets = [{"output": o, "input": i, **kind} for (o, i), kind in zip(pairs, kinds, strict=True)]
    return symlow.Spec.model_validate(
        {
            "name": f"rank{rank}",
            "network": {"rank": rank, "inputs": 2, "outputs": 2},
            "task": {"kind": "filters", "horizon": 20.0, "targets": targets},
        }
    )


def growth(ranks: np.ndarray, values: np.ndarray) -> float:
    """Exponent in the number of columns p = 2 rank + 4, fitted from rank 4 on."""
    large = ranks >= 4
    return float(np.polyfit(np.log(2 * ranks[large] + 4), np.log(values[large]), 1)[0])


def derivation_table() -> str:
    names = (
        "overlaps",
        "derive / s",
        "module / s",
        "LaTeX / s",
        "all scalar equations / s",
        "module / kB",
        "LaTeX / kB",
    )
    rows = []
    for rank in RANKS:
        spec = specification(rank)

        def derived(spec: symlow.Spec = spec) -> symlow.DerivedSystem:
            d = symlow.derive(spec)
            assert d.visible
            return d

        d = derived()
        rows.append(
            (
                len(d.overlaps),
                least_time(derived),
                least_time(d.source),
                least_time(d.latex),
                least_time(lambda: dict(derived().flow), repeats=1),
                len(d.source()) / 1000,
                len(d.latex(scalars=False)) / 1000,
            )
        )
    values = np.array(rows, dtype=float)
    exponents = [growth(np.array(RANKS), values[:, k]) for k in range(values.shape[1])]
    lines = ["| rank | " + " | ".join(names) + " |", "| ---: " * (len(names) + 1) + "|"]
    for rank, row in zip(RANKS, values, strict=True):
        lines.append(f"| {rank} | {row[0]:.0f} | " + " | ".join(f"{value:.3g}" for value in row[1:]) + " |")
    lines.append("| growth p^ | " + " | ".join(f"{exponent:.2f}" for exponent in exponents) + " |")
    return "\n".join(lines)


def closed_form_table() -> str:
    lines = ["| rank | time steps | closed form / us | stepped / us | ratio |", "| ---: " * 5 + "|"]
    for rank, horizon in ((1, 20.0), (2, 20.0), (4, 20.0), (8, 20.0), (1, 5.0), (1, 80.0), (1, 320.0)):
        task = {"kind": "exponential_filter", "decay": 0.2, "horizon": horizon}
        spec = symlow.Spec.model_validate({"name": "a", "network": {"rank": rank}, "task": task})
        d = symlow.derive(spec)
        module = d.compile()
        P = np.random.default_rng(0).standard_normal((100, module.N_COLUMNS))
        sigma = module.overlaps_of(m=P[:, :1], u=P[:, 1 : rank + 1], v=P[:, rank + 1 : -1], z=P[:, -1:])
        trials = d.loss.impulse_trials()
        closed = least_time(lambda: module.loss_gradient(sigma), 200)  # noqa: B023 - called at once
        stepped = least_time(lambda: module.loss_gradient(sigma, trials), 30)  # noqa: B023 - called at once
        steps = round(horizon / 0.05)
        lines.append(f"| {rank} | {steps} | {closed * 1e6:.0f} | {stepped * 1e6:.0f} | {stepped / closed:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="write RESULTS.md")
    options = parser.parse_args()
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import sympy"], check=True)
    starting = time.perf_counter() - start
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, symlow {symlow.__version__}"
    text = f"""# Benchmarks

Recorded {datetime.date.today()} on {platform.machine()} with {versions} by
`python tests/benchmarks/derivation_cost.py --record`. Times are of one machine and noisy; ratios and growth laws carry.

## Deriving and generating, against the rank

Two inputs, two outputs, a filter task with four targets; p = 2 rank + 4 columns, p (p + 1) / 2 overlaps. The module and
the document are those of `symlow generate`; the document prints scalar equations up to 60 overlaps, blocks beyond (its
size is that of the blocks throughout). Importing SymPy takes {starting:.1f} s more.

{derivation_table()}

The last row is the exponent in p, fitted from rank 4 on. The module grows with the number of names of overlaps, p^2 on
top of a constant, and with nothing else: its mathematics is in blocks. The block equations of the document do not grow
at all. All scalar equations together have of the order of p^3 terms.

## Gradient of a filter task: closed form against stepping through time

One input, one output, one state, dt = 0.05; the closed form's cost grows with the logarithm of the horizon.

{closed_form_table()}
"""
    print(text)
    if options.record:
        (HERE / "RESULTS.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
