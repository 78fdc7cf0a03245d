"""Commands that print derivations: ``derive``, ``explain``, ``latex`` and ``generate``."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from symlow.cli.terminal import Force, NoCache, SpecFile, check_outputs, colour_of, console, in_colours, say
from symlow.errors import FileError, SpecError
from symlow.files import write_whole

if TYPE_CHECKING:
    from symlow.artefacts import Artefacts, ExplainedOverlap

LEAST_WIDTH = 30
"""The least width of a column of words, on however narrow a terminal."""


def derive(spec: SpecFile, no_cache: NoCache = False) -> None:
    """Print the network, its reduction and all equations.

    In a terminal overlaps have the colours of their kinds, unless NO_COLOR is set.

    Example: symlow derive derivations/ger_barak_2026/rank1_linear.toml
    """
    artefacts = _artefacts(spec, no_cache)
    if not in_colours():
        sys.stdout.write(f"{artefacts.text()}\n")
        return
    before, parts, after = artefacts.sections()
    say(before)
    for (title, rows), visible in zip(parts, (True, False), strict=True):
        say("")
        _print_equations(title, rows, visible)
    say("")
    say(after)


def _print_equations(title: str, rows: list[tuple[str, str]], visible: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    colour = colour_of(visible)
    console().print(f"[bold {colour}]{escape(title)}[/]", highlight=False)
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(style=f"bold {colour}", no_wrap=True)
    table.add_column(overflow="fold")
    for name, equation in rows:
        rate = f"d {name}/dt" if name else ""
        table.add_row(f"    {escape(rate)}", escape(equation.removeprefix(rate).lstrip()))
    console().print(table, highlight=False)


def explain(
    spec: SpecFile,
    overlap: Annotated[str | None, typer.Argument(help="Name of an overlap, such as v_u; default: all.")] = None,
    invariants: Annotated[
        int | None, typer.Option(metavar="K", help="Show instead all conserved polynomials up to degree K, proved.")
    ] = None,
    no_cache: NoCache = False,
) -> None:
    """Say why overlaps are loss-visible or loss-invisible.

    Of an OVERLAP, with its equation term by term. Without OVERLAP also what follows: symmetries, what learning
    conserves and can reach. Takes seconds, or with many overlaps a minute or two, the first time.

    Example: symlow explain derivations/ger_barak_2026/rank1_linear.toml v_u
    """
    artefacts = _artefacts(spec, no_cache)
    if invariants is not None:
        say(artefacts.invariants(invariants))
        return
    if overlap is not None:
        _print_explanation(artefacts.explanation(overlap))
        return
    summary, explanations = artefacts.closure_report()
    for sentence in summary:
        say(sentence)
    for explanation in explanations:
        say("")
        _print_explanation(explanation)
    say("")
    say("Structure, at generic overlaps:")
    try:
        for kind, statement in artefacts.structure():
            say(f"  {kind}: {statement}")
    except SpecError as error:  # all else is known without a module; this is not
        say(f"  not known, for there is no generated module: {error}")


def _print_explanation(explanation: ExplainedOverlap) -> None:
    from rich.markup import escape

    colour = colour_of(explanation.visible)
    kind = f"[bold {colour}]{'loss-visible' if explanation.visible else 'loss-invisible'}[/]"
    console().print(f"[bold]{explanation.name}[/] = {escape(explanation.meaning)}: {kind}", highlight=False)
    say(f"  {explanation.reason}")
    if not explanation.terms:
        say(f"  d {explanation.name}/dt = 0: no trained column of it is moved by a loss gradient")
        return
    say(f"  d {explanation.name}/dt is the sum of")
    # Not a table of rich's, whose lines are filled up with blanks.
    wide = max(len(term) for term, _ in explanation.terms) + 4
    for term, reason in explanation.terms:
        first, *others = textwrap.wrap(reason, max(console().width - wide - 2, LEAST_WIDTH), break_on_hyphens=False)
        say(f"  {term:{wide}}{first}")
        for line in others:
            say(f"  {'':{wide}}{line}")


def latex(
    spec: SpecFile,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write; default: print.")] = None,
    fragment: Annotated[bool, typer.Option("--fragment", help="The equations alone, for \\\\input.")] = False,
    scalars: Annotated[
        bool | None, typer.Option("--scalars/--blocks", help="Print every scalar equation, or blocks only.")
    ] = None,
    force: Force = False,
    no_cache: NoCache = False,
) -> None:
    """Write the derivation as LaTeX, a document or a fragment.

    Example: symlow latex derivations/ger_barak_2026/rank1_linear.toml -o rank1.tex
    """
    check_outputs([output], [spec], force)
    text = _artefacts(spec, no_cache).latex(fragment, scalars)
    if output is None:
        sys.stdout.write(text)
    else:
        say(f"wrote {write_whole(output, text, force)}")


def generate(
    specs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[SPEC]...", help="Specifications; default: all below derivations/.", show_default=False
        ),
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of generated files.")] = Path("generated"),
    backend: Annotated[
        Literal["numpy", "numba", "jax", "javascript"],
        typer.Option(
            help="What modules compute with; others than numpy's are NAME_numba.py, NAME_jax.py and NAME.mjs."
        ),
    ] = "numpy",
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a file is not up to date.")] = False,
    force: Force = False,
    no_cache: NoCache = False,
) -> None:
    """Generate the module and the LaTeX document of specifications.

    Specifications below derivations/ go to the same subfolders of the output folder; others go to it directly.

    Example: symlow generate derivations/ger_barak_2026/rank1_linear.toml
    """
    from symlow.cache import Cache
    from symlow.generate import SOURCES, differences, generated_files, specifications, write

    if output.is_file():
        raise FileError(f"{output}: is a file, expected a folder for generated files")
    # A check rests on nothing that an earlier run has left.
    cache = None if check or no_cache else Cache.of_user()
    files = generated_files(specs or specifications(SOURCES), output, cache=cache, backend=backend)
    if check:
        difference = differences(files, output, complete=not specs and backend == "numpy")
        if difference:
            other = "" if backend == "numpy" else f" --backend {backend}"
            named = "".join(f" {spec}" for spec in specs or [])
            sys.stdout.write(difference)
            sys.stderr.write(
                f"generated files have drifted; mend them with: symlow generate{named} -o {output}{other}\n"
            )
            raise typer.Exit(1)
        say(f"{len(files)} generated files are up to date")
        return
    for file, fresh in write(files, force):
        say(f"{'wrote' if fresh else 'up to date:'} {file.path}")


def _artefacts(spec: Path, no_cache: bool) -> Artefacts:
    from symlow.artefacts import Artefacts
    from symlow.cache import Cache

    return Artefacts(spec, None if no_cache else Cache.of_user())
