r"""Short formulas read: ``\sigma_{v_1u}`` is a sigma, below it a v, below that a 1, and a u.

What overlaps, vectors and latents are called in LaTeX, as runs of letters, of which HTML (:mod:`symlow.markup`), SVG
(:mod:`symlow.report.labels`) and the explorer's labels (:mod:`symlow.explorer.content`) are renderings. Formulas with
fractions, roots and the like are not read here but by :mod:`symlow.report.mathml`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from symlow.letters import BOLD, CAPITALS, CLOSE, GREEK, OPEN, SYMBOLS

TOKEN = re.compile(r"\\([A-Za-z]+)|(\s+|\\.)|(.)")
SIGNS = {**OPEN, **CLOSE, **CAPITALS, **{name: sign for name, (sign, _) in SYMBOLS.items()}}
FACES = ("mathrm", "mathbf", "operatorname", "text")

BELOW, ABOVE = "_", "^"
SHIFTS = {BELOW: 0.22, ABOVE: -0.4}
"""How far below the line an index or an exponent stands, relative to the size of what it stands at."""

SMALLER = 0.74
"""Size of an index relative to that of what it stands at."""


@dataclass(frozen=True)
class Run:
    """Some letters in one face, size and height.

    Attributes:
        text: the letters.
        italic: whether they are set in italics.
        script: the way to where they stand, ``_`` below and ``^`` above what comes before; empty on the line.
    """

    text: str
    italic: bool
    script: str = ""

    @property
    def depth(self) -> int:
        """At how many levels of indices they stand."""
        return len(self.script)

    @property
    def scale(self) -> float:
        """The font size, relative to that of the formula."""
        return SMALLER**self.depth

    @property
    def shift(self) -> float:
        """How far below the line they stand, relative to the font size of the formula."""
        return sum(SHIFTS[place] * SMALLER**k for k, place in enumerate(self.script))


def runs(code: str) -> list[Run]:
    """Return the runs of a formula that has letters, norms, means and indices, and nothing else."""
    tokens = [match.groups() for match in TOKEN.finditer(code)]
    return list(_runs(iter(tokens), ""))


def _runs(tokens: Iterator[tuple[str | None, ...]], script: str, single: bool = False) -> Iterator[Run]:
    """Give runs up to a closing brace, or of a single token or group."""
    face = None
    for command, blank, character in tokens:
        if blank:
            continue
        if character == "}":
            return
        if character in SHIFTS:
            yield from _runs(tokens, script + character, single=True)
        elif character == "{":
            yield from _in_face(face, _runs(tokens, script))
            face = None
        elif command in FACES:
            face = command
            continue
        else:
            yield _run(command, character, script)
        if single:
            return


def _in_face(face: str | None, content: Iterator[Run]) -> Iterator[Run]:
    for run in content:
        text = "".join(BOLD.get(letter, letter) for letter in run.text) if face == "mathbf" else run.text
        yield Run(text, run.italic and face is None, run.script)


def _run(command: str | None, character: str | None, script: str) -> Run:
    if command in GREEK:
        return Run(GREEK[command], True, script)
    if command:
        return Run(SIGNS.get(command, f"\\{command}"), False, script)
    text = "∗" if character == "*" else character or ""
    return Run(text, text.isalpha(), script)
