"""The command line: ``symlow new | schema | derive | explain | latex | generate | verify | learn | report | ...``.

    terminal        what commands share: options, lines, progress bars
    specifications  new, schema
    derivations     derive, explain, latex, generate
    verification    verify, drift
    learning        learn
    reporting       report
    sweeping        sweep
    trained         overlaps
    reproducing     reproduce

Every error that a user can cause is one line on standard error, with exit code 2; a failed verification or drift of
generated files exits with 1. A command that is interrupted (SIGINT) prints one line and exits with 130;
a command whose work is kept says how to go on, in the ``KeyboardInterrupt`` that it raises.

A new command is a function with a docstring and an example, in the module of its group or in a new one, and stands in
``COMMANDS`` where the overview should show it. All these modules load at each start, for ``symlow --help`` too: at
their heads they import typer, ``terminal``, ``errors`` and ``files`` only, and a command imports inside itself what
else it needs: SymPy, NumPy, SciPy, pydantic, rich, matplotlib, and the stages of symlow that need these.
"""

from __future__ import annotations

import inspect
import io
import re
import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from symlow.cli.derivations import derive, explain, generate, latex
from symlow.cli.learning import learn
from symlow.cli.reporting import report
from symlow.cli.reproducing import reproduce
from symlow.cli.specifications import new, schema
from symlow.cli.sweeping import sweep
from symlow.cli.terminal import console
from symlow.cli.trained import overlaps
from symlow.cli.verification import drift, verify
from symlow.errors import SymlowError

COMMANDS = (new, schema, derive, explain, latex, generate, verify, learn, report, sweep, drift, overlaps, reproduce)
"""Every command, in the order of the overview."""

EXAMPLE = re.compile(r"\w+: symlow ")

INTERRUPTED = 130
"""The exit code of what SIGINT ends, by the convention of shells."""


class _Commands(TyperGroup):
    """The commands: what a user interrupts says so in a line, and how to go on where a command knows."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            sys.stderr.write("; ".join(["interrupted", *map(str, stop.args)]) + "\n")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=_Commands,
    help="Derive how learning moves the overlaps of low-rank recurrent neural networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing what draws boxes takes longer than importing typer
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; an error that a user can cause is one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may not know every letter of a reference
    try:
        app()
    except SymlowError as error:
        _fail(str(error))
    except MemoryError as error:
        _fail(f"out of memory ({error}); use fewer neurons, steps, states or columns")
    except OSError as error:
        _fail(f"{error.filename or 'output'}: {error.strerror or error}")


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(2)


def _version(wanted: bool) -> None:
    if wanted:
        from symlow.version import __version__

        console().print(f"symlow {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def _help(command: Callable[..., None]) -> str:
    """Return what a command says of itself, with its examples in lines that are not wrapped, to be copied."""
    parts = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(f"\b\n{part}" if EXAMPLE.match(part) else part for part in parts)


for command in COMMANDS:
    app.command(help=_help(command))(command)
