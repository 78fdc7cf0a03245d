"""Commands that make specifications: ``new`` and ``schema``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from symlow.cli.terminal import Force, say
from symlow.files import write_whole


def new(
    name: Annotated[str, typer.Argument(help="Name of the derivation; the file is NAME.toml.", show_default=False)],
    rank: Annotated[int, typer.Option(help="Rank of the network.")] = 1,
    equations: Annotated[bool, typer.Option("--equations", help="Write the network as equations, to change.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write instead.")] = None,
    force: Force = False,
) -> None:
    """Write a commented specification to start from.

    Example: symlow new my_network --rank 2, or symlow new my_network --equations
    """
    from symlow.scaffold import new_specification

    path = output or Path(f"{name}.toml")
    write_whole(path, new_specification(name, rank, equations), force)
    say(f"wrote {path}; next: symlow derive {path}")


def schema(
    sweeps: Annotated[bool, typer.Option("--sweeps", help="That of sweeps, instead of specifications.")] = False,
) -> None:
    """Print the JSON Schema of specifications. Editors complete and check keys by it.

    Example: symlow schema > symlow.schema.json
    """
    import json

    from symlow.spec import Spec
    from symlow.sweep.specification import SweepTables

    model = SweepTables if sweeps else Spec
    sys.stdout.write(json.dumps(model.model_json_schema(), indent=2) + "\n")
