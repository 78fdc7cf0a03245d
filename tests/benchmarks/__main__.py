"""Benchmarks: tables, ratios first, of programs side by side in one run.

python -m tests.benchmarks                          all parts
python -m tests.benchmarks gradient states          these parts
python -m tests.benchmarks --quick                  smaller and shorter: to see that it runs
python -m tests.benchmarks --record                 and write RESULTS.md and the chart of the README
"""

from __future__ import annotations

import argparse
import importlib
import os
import time

PARTS = ("gradient", "states", "filters", "full_network", "learning", "derivation", "starting", "sweeping")
SETTINGS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "JAX_ENABLE_X64": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; by default all")
    parser.add_argument("--quick", action="store_true", help="fewer sizes and rounds")
    parser.add_argument("--record", action="store_true", help="write RESULTS.md and the chart; needs all parts")
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"unknown part {unknown[0]!r}; accepted: {', '.join(PARTS)}")
    if options.record and options.parts:
        parser.error("--record: a record has all parts; leave PART out")
    # Libraries read these when they are loaded, so that they are set before.
    os.environ.update(SETTINGS)
    from tests.benchmarks.record import record
    from tests.benchmarks.report import findings_table

    sections, begin = [], time.perf_counter()
    for part in options.parts or PARTS:
        start = time.perf_counter()
        section = importlib.import_module(f"tests.benchmarks.tables.{part}").section(options.quick)
        print(f"{section}\n\n({part}: {time.perf_counter() - start:.0f} s)\n", flush=True)
        sections.append(section)
    print(findings_table(finding for section in sections for finding in section.findings))
    if options.record:
        record(sections, time.perf_counter() - begin, options.quick)


if __name__ == "__main__":
    main()
