"""Commands that run many learning histories: ``sweep``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symlow.cli.terminal import Force, progress, say
from symlow.errors import listing


def sweep(
    file: Annotated[Path, typer.Argument(metavar="SWEEP", help="Sweep, a TOML file.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder to make; default: the sweep's name with .zarr.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Number of processes; default: one for each core.", show_default=False)
    ] = None,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Dask scheduler to use, or local for a cluster made here.")
    ] = None,
    force: Force = False,
) -> None:
    """Run the histories of a sweep, on all cores or a Dask cluster.

    They are written as labelled arrays, which symlow.open_sweep opens. What was interrupted is continued by the same
    command.

    Example: symlow sweep derivations/ger_barak_2026/invisible_start.toml -o sweep.zarr
    """
    from symlow.sweep.run import run_sweep
    from symlow.sweep.specification import Sweep

    place = Path(f"{file.stem}.zarr") if output is None else output
    try:
        report = run_sweep(Sweep.load(file), place, workers, dask, force, progress("sweeping"), say)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on from here") from None
    ends = listing(f"{count} {status}" for status, count in report.statuses.items())
    say(f"{'wrote' if report.resumed < report.tasks else 'found'} {report.path}: {ends}")
