r"""Short formulas as text in SVG: ``\sigma_{v_1u}`` becomes tspans, letters in italics and indices below the line.

SVG knows no MathML but as foreign content, which few programs draw; labels of pictures are text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from symlow.report.letters import BOLD, CAPITALS, CLOSE, GREEK, OPEN, SYMBOLS
from symlow.report.markup import element, joined

TOKEN = re.compile(r"\\([A-Za-z]+)|(\s+|\\.)|(.)")
SIGNS = {**OPEN, **CLOSE, **CAPITALS, **{name: sign for name, (sign, _) in SYMBOLS.items()}}
FACES = ("mathrm", "mathbf", "operatorname", "text")

SIZE = 13.0
"""Font size of labels unless another is given, in the unit of pictures."""

SMALLER = 0.74
"""Size of an index relative to that of what it stands at."""

WIDE, NARROW = 0.62, 0.4
"""Widths of a letter and of a sign such as a bar, relative to the font size."""


@dataclass(frozen=True)
class Run:
    """Some letters in one face, size and height.

    Attributes:
        text: the letters.
        italic: whether they are set in italics.
        depth: how many levels of indices they stand at.
        shift: how far below the line, relative to the label's font size.
    """

    text: str
    italic: bool
    depth: int
    shift: float

    @property
    def scale(self) -> float:
        """The font size, relative to that of the label."""
        return SMALLER**self.depth


def runs(code: str) -> list[Run]:
    """Return the runs of a formula that has letters, norms, means and indices, and nothing else."""
    tokens = [match.groups() for match in TOKEN.finditer(code)]
    return list(_runs(iter(tokens), 0, 0.0))


def _runs(tokens: Iterator[tuple[str | None, ...]], depth: int, shift: float, single: bool = False) -> Iterator[Run]:
    """Give runs up to a closing brace, or of a single token or group."""
    face = None
    for command, blank, character in tokens:
        if blank:
            continue
        if character == "}":
            return
        if character in ("_", "^"):
            lower = 0.22 if character == "_" else -0.4
            yield from _runs(tokens, depth + 1, shift + lower * SMALLER**depth, single=True)
        elif character == "{":
            yield from _in_face(face, _runs(tokens, depth, shift))
            face = None
        elif command in FACES:
            face = command
            continue
        else:
            yield _run(command, character, depth, shift)
        if single:
            return


def _in_face(face: str | None, content: Iterator[Run]) -> Iterator[Run]:
    for run in content:
        text = "".join(BOLD.get(letter, letter) for letter in run.text) if face == "mathbf" else run.text
        yield Run(text, run.italic and face is None, run.depth, run.shift)


def _run(command: str | None, character: str | None, depth: int, shift: float) -> Run:
    if command in GREEK:
        return Run(GREEK[command], True, depth, shift)
    if command:
        return Run(SIGNS.get(command, f"\\{command}"), False, depth, shift)
    text = "∗" if character == "*" else character or ""
    return Run(text, text.isalpha(), depth, shift)


def width(code: str, size: float = SIZE) -> float:
    """Return about how wide a label is, in the unit of pictures."""
    return size * sum(run.scale * sum(WIDE if c.isalnum() else NARROW for c in run.text) for run in runs(code))


def label(code: str, size: float = SIZE) -> Markup:
    """Return a formula as the content of a ``text`` element of that font size."""
    pieces: list[Markup] = []
    height = 0.0
    for run in runs(code):
        style = "letter" if run.italic else None
        small = f"{size * run.scale:.1f}" if run.depth else None
        moved = f"{size * (run.shift - height):.1f}" if run.shift != height else None
        pieces.append(element("tspan", run.text, class_=style, font_size=small, dy=moved))
        height = run.shift
    return joined(pieces)
