"""What commands share: types of arguments and options, lines on the terminal, progress bars, outputs checked early."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symlow.errors import FileError
from symlow.files import check_writable, resolved

if TYPE_CHECKING:
    from rich.console import Console

    from symlow.course import Track

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="Specification, a TOML file.", show_default=False)]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Derive anew; neither use nor keep what is on disk.")]


@functools.cache
def console() -> Console:
    """Return the console of standard output, made when something is first printed in colours or tables."""
    from rich.console import Console

    return Console()


def say(text: str) -> None:
    """Print a line as it is, however wide the terminal."""
    console().print(text, highlight=False, markup=False, soft_wrap=True)


def in_colours() -> bool:
    """Whether what is printed goes to a terminal that shows colours, and NO_COLOR (no-color.org) is not set."""
    return console().is_terminal and not console().no_color and console().color_system is not None


def colour_of(visible: bool) -> str:
    """Return the colour of what is loss-visible, or loss-invisible, to be read on light and dark terminals."""
    from symlow.colours import INVISIBLE_ON_ANY, VISIBLE_ON_ANY

    return VISIBLE_ON_ANY if visible else INVISIBLE_ON_ANY


def check_outputs(outputs: list[Path | None], inputs: list[Path | None], force: bool) -> None:
    """Check, before any work, that results can be written, to different files, and not over what they come from."""
    taken = {resolved(path): "it is an input of this command" for path in inputs if path is not None}
    for path in outputs:
        if path is not None:
            target = check_writable(path, force)
            if target in taken:
                raise FileError(f"{path}: cannot be written to, {taken[target]}; choose another name")
            taken[target] = "another output goes there"


def progress(description: str) -> Track:
    """Return what shows a progress bar over an iteration, on standard error and only in a terminal."""
    from rich.console import Console
    from rich.progress import track

    errors = Console(stderr=True)
    return lambda numbers: track(numbers, description, console=errors, disable=not errors.is_terminal, transient=True)
