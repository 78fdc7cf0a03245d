"""Commands that make pages: ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symlow.cli.terminal import Force, SpecFile, check_outputs, progress, say
from symlow.errors import FileError, listing
from symlow.files import write_whole

SUFFIXES = (".html", ".htm")
"""What names of pages end in; a browser takes a file by that."""


def report(
    spec: SpecFile,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="HTML file to write; default: the specification's name.")
    ] = None,
    lr: Annotated[float, typer.Option(help="Learning rate of the learning run.")] = 0.01,
    steps: Annotated[int, typer.Option(help="Its number of steps.")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of its initial weights, and of trials that the task draws.")] = 0,
    trials: Annotated[
        Path | None, typer.Option(help=".npz file with x, y and mask, for tasks of trials, or in place of drawn ones.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare the generated module with the full network.")
    ] = True,
    explorer: Annotated[
        bool, typer.Option("--explorer/--no-explorer", help="Put the live explorer in, which needs JavaScript.")
    ] = True,
    force: Force = False,
) -> None:
    """Write a derivation as one page of HTML.

    Equations, pictures, a learning run, the verified module. The page is whole in itself: a browser
    opens it from disk and asks nothing of any network.

    Example: symlow report derivations/ger_barak_2026/rank1_linear.toml -o report.html
    """
    from symlow.report import report as write_report
    from symlow.tasks.trials import load_trials
    from symlow.views import derive_file

    path = Path(f"{spec.stem}.html") if output is None else output
    if path.suffix.lower() not in SUFFIXES:
        raise FileError(f"{path}: found the suffix {path.suffix!r}; accepted, for a page of HTML: {listing(SUFFIXES)}")
    check_outputs([path], [spec, trials], force)
    derivation = derive_file(spec)
    arrays = None if trials is None else load_trials(trials, derivation.loss.inputs, derivation.loss.outputs)
    page = write_report(
        derivation, verify=verify, explorer=explorer, lr=lr, steps=steps, seed=seed, trials=arrays, progress=progress
    )
    say(f"wrote {write_whole(path, page, force)} ({len(page.encode()) / 1e6:.2f} MB)")
