"""Figures of papers, made again: derivations/PAPER/figNN.py, each with its claim, its numbers and a verdict.

A figure's file has a docstring, whose first paragraph says what it shows and whose others what is claimed, and a
function ``run(quick: bool)`` that returns an :class:`Outcome`. The quick form has fewer neurons, steps or histories,
and is what the tests run. Modules beside the file can be imported by their name; it should be that of no other one.
"""

from __future__ import annotations

import importlib.util
import inspect
import io
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from symlow.errors import FileError, check_name
from symlow.files import check_folder, check_writable, write_whole
from symlow.plot import check_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = Path("derivations")
"""Where papers have their folders."""

DOTS_PER_INCH, COLOURS = 130, 64
"""Of pictures that stand in a repository."""

FIGURE_FILE = re.compile(r"fig[0-9]{2}[a-z]?\.py")


@dataclass(frozen=True)
class Check:
    """A statement with the number that decides it.

    Attributes:
        statement: what is stated, in words.
        measured: the number.
        at_most: the largest number with which the statement holds, if there is one.
        at_least: the smallest, if there is one.
    """

    statement: str
    measured: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def holds(self) -> bool:
        """Whether it holds; not for a number that is not one."""
        above = self.at_least is None or self.measured >= self.at_least
        below = self.at_most is None or self.measured <= self.at_most
        return above and below and self.measured == self.measured

    @property
    def bounds(self) -> str:
        """What the number is held against, in words."""
        low = [] if self.at_least is None else [f"at least {self.at_least:.4g}"]
        high = [] if self.at_most is None else [f"at most {self.at_most:.4g}"]
        return ", ".join(low + high)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a figure's file has found.

    Attributes:
        figure: the picture.
        checks: what is stated, each with its number.
        numbers: what was measured besides, by what it is.
        settings: the parameters, by their names.
        notes: what the source does not give and was taken, what was left out, where a claim did not reproduce.
    """

    figure: Figure
    checks: tuple[Check, ...]
    numbers: Mapping[str, float | str] = field(default_factory=dict)
    settings: Mapping[str, float | str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether all statements hold."""
        return all(check.holds for check in self.checks)


@dataclass(frozen=True, eq=False)
class Reproduced:
    """A figure made again.

    Attributes:
        name: of the figure, such as fig05.
        title: what it shows.
        claim: what is claimed, in words.
        command: what makes it.
        quick: whether this is the quick form.
        outcome: what was found.
    """

    name: str
    title: str
    claim: str
    command: str
    quick: bool
    outcome: Outcome

    def report(self, picture: str) -> str:
        """Return a page in Markdown: claim, command, picture, numbers and verdict."""
        outcome = self.outcome
        verdict = "The claim is reproduced." if outcome.holds else "Not all of the claim is reproduced: see the table."
        lines = [f"# {self.name}: {self.title}", "", self.claim, "", f"```sh\n{self.command}\n```", ""]
        lines += [f"![{self.title}]({picture})", "", f"**Verdict.** {verdict}", ""]
        lines += ["| Stated | Measured | Holds if | |", "|---|---|---|---|"]
        lines += [
            f"| {check.statement} | {_number(check.measured)} | {check.bounds} | {'yes' if check.holds else '**no**'} |"
            for check in outcome.checks
        ]
        for title, table in (("Measured besides", outcome.numbers), ("Parameters", outcome.settings)):
            if table:
                lines += ["", f"| {title} | |", "|---|---|"]
                lines += [f"| {name} | {_number(value)} |" for name, value in table.items()]
        lines += [f"\n{note}" for note in outcome.notes]
        if self.quick:
            lines += ["", "This is the quick form: fewer neurons, steps or histories than in the full one."]
        return "\n".join(lines) + "\n"


def find_figures(paper: str, root: str | os.PathLike[str] = ".") -> dict[str, Path]:
    """Return the files of a paper's figures by name, in their order.

    Args:
        paper: name of the paper's folder.
        root: the folder that ``derivations`` is in.

    Raises:
        FileError: if there is no folder ``derivations``, or none in it has figures.
        UnknownNameError: if the paper has no folder with figures.
    """
    folder = Path(root) / FOLDER
    if not folder.is_dir():
        raise FileError(f"{folder}: no such folder; run this where the folder derivations is")
    papers: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.glob("*/fig*.py")):
        if FIGURE_FILE.fullmatch(path.name):
            papers.setdefault(path.parent.name, {})[path.stem] = path
    if not papers:
        raise FileError(f"{folder}: found no figure; accepted: files such as {FOLDER / 'PAPER' / 'fig01.py'}")
    check_name(paper, papers, "paper")
    return papers[paper]


def choose_figures(found: Mapping[str, Path], wanted: str | None) -> dict[str, Path]:
    """Return one of a paper's figures, "fig05" or "5", or all of them.

    Raises:
        UnknownNameError: if there is none of this name.
    """
    if wanted is None:
        return dict(found)
    match = re.fullmatch(r"(?:fig)?0*([0-9]+)([a-z]?)", wanted.lower())
    name = f"fig{int(match[1]):02d}{match[2]}" if match else wanted
    check_name(name, found, "figure")
    return {name: found[name]}


def check_outputs(names: Mapping[str, Path], folder: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Check, before any work, that pictures can be made and that they and their pages can be written.

    Raises:
        DependencyError: if matplotlib is not installed.
        FileError: if the folder is none or cannot be written to, or a file exists and ``overwrite`` is false.
    """
    check_folder(folder)
    for name in names:
        for path in (Path(folder) / f"{name}.png", Path(folder) / f"{name}.md"):
            check_writable(path, overwrite)
        check_figure(Path(folder) / f"{name}.png")


def reproduce(path: str | os.PathLike[str], quick: bool = False) -> Reproduced:
    """Run a figure's file.

    Args:
        path: of the file.
        quick: whether to take the quick form.

    Raises:
        FileError: if the file is none of a figure: without a docstring, or without a function ``run``.
    """
    path = Path(path)
    with _importable(path.parent):
        specification = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
        if specification is None or specification.loader is None or not path.is_file():
            raise FileError(f"{path}: no such file; expected the Python file of a figure")
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        title, _, claim = inspect.cleandoc(module.__doc__ or "").partition("\n\n")
        if not (title and claim) or not callable(getattr(module, "run", None)):
            raise FileError(
                f"{path}: found no figure; accepted: a docstring of a title and a claim, and a function run(quick)"
            )
        outcome = module.run(quick)
    command = f"symlow reproduce {path.parent.name} {path.stem}" + " --quick" * quick
    return Reproduced(path.stem, " ".join(title.split()).rstrip("."), claim, command, quick, outcome)


def write(reproduced: Reproduced, folder: str | os.PathLike[str], overwrite: bool = False) -> tuple[Path, Path]:
    """Write the picture of a figure and the page that shows it, and return their paths.

    Raises:
        FileError: if a file exists and ``overwrite`` is false, or cannot be written.
    """
    picture = write_whole(Path(folder) / f"{reproduced.name}.png", small_png(reproduced.outcome.figure), overwrite)
    page = write_whole(Path(folder) / f"{reproduced.name}.md", reproduced.report(picture.name), overwrite)
    return picture, page


def small_png(figure: Figure) -> bytes:
    """Return a figure as a PNG of few colours, which takes a third of the bytes, and without a date."""
    from PIL import Image  # matplotlib brings it

    whole, small = io.BytesIO(), io.BytesIO()
    figure.savefig(whole, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    whole.seek(0)
    with Image.open(whole) as image:
        image.convert("RGB").quantize(COLOURS, method=Image.Quantize.MEDIANCUT).save(small, "PNG", optimize=True)
    return small.getvalue()


def _number(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if value == round(value, 0) and abs(value) < 1e6 else f"{value:.4g}"


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let modules of a folder be imported by name."""
    place = str(folder.resolve())
    sys.path.insert(0, place)
    try:
        yield
    finally:
        sys.path.remove(place)
