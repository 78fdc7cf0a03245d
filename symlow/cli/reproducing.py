"""Commands that make figures of papers again: ``reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symlow.cli.terminal import Force, say


def reproduce(
    paper: Annotated[str, typer.Argument(metavar="PAPER", help="Folder below derivations.", show_default=False)],
    figure: Annotated[
        str | None,
        typer.Argument(metavar="[FIG]", help="Figure, such as fig05 or 5; default: all.", show_default=False),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder to write to; default: the current one.", show_default=False)
    ] = Path(),
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer neurons, steps or histories: seconds a figure.")
    ] = False,
    force: Force = False,
) -> None:
    """Make the figures of a paper again, with a verdict on each.

    Each is a picture, and a page with its claim and numbers. Run it where the folder derivations is. The
    exit code is 1 if a claim is not reproduced.

    Figures whose histories take long read them from a file beside them, in the full form too, and do not learn
    anew: in ger_barak_2026 fig09 and fig10, from task_order.npz. Their pages say so, and task_order.py how it was made.

    Example: symlow reproduce ger_barak_2026 fig05 --quick
    """
    from symlow.reproduction import check_outputs, choose_figures, find_figures, write
    from symlow.reproduction import reproduce as make

    chosen = choose_figures(find_figures(paper), figure)
    check_outputs(chosen, output, force)
    held = True
    for path in chosen.values():
        reproduced = make(path, quick)
        say(f"{reproduced.name}: {reproduced.title}")
        for check in reproduced.outcome.checks:
            say(f"  {'holds' if check.holds else 'FAILS'}  {check.statement}: {check.measured:.4g} ({check.bounds})")
        picture, page = write(reproduced, output, force)
        say(f"  wrote {picture} and {page}" + " in the current folder" * (output == Path()))
        held = held and reproduced.outcome.holds
    if not held:
        raise typer.Exit(1)
