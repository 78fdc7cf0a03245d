r"""LaTeX formulas as presentation MathML: ``\frac{a}{b}`` becomes ``<mfrac><mi>a</mi><mi>b</mi></mfrac>``.

A reader of the LaTeX that :mod:`symlow.printing` and SymPy print, in the elements of MathML Core, which browsers draw
without a program. Equations so are printed once, and a page shows those of the LaTeX document, all of them. A command
that is not known stays readable, as itself. (Rejected: latex2mathml, which joins the lines of ``gather``, stretches
norms over their scripts and sets an upright d as an italic one; SymPy's MathML printer, a second notation.)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from symlow.letters import (
    BOLD,
    CALLIGRAPHIC,
    CAPITALS,
    CLOSE,
    DOUBLE_STRUCK,
    EITHER,
    FUNCTIONS,
    GREEK,
    OPEN,
    SYMBOLS,
)
from symlow.report.markup import element, joined

TOKEN = re.compile(r"\\([A-Za-z]+)|\\(.)|(\d+(?:\.\d+)?)|(\s+)|(.)", re.DOTALL)

SPACES = {
    "quad": "1em",
    "qquad": "2em",
    ",": "0.167em",
    ":": "0.222em",
    ";": "0.278em",
    "!": "-0.167em",
    " ": "0.25em",
    "~": "0.25em",
}

SIZES = {"big": "1.2em", "Big": "1.8em", "bigg": "2.4em", "Bigg": "3em"}
ACCENTS = {"bar": "¯", "hat": "^", "tilde": "~", "dot": "˙", "ddot": "¨", "vec": "→"}
OVER = {"overline": "‾", "widehat": "^", "widetilde": "~"}
ALPHABETS = {"mathbf": BOLD, "mathbb": DOUBLE_STRUCK, "mathcal": CALLIGRAPHIC}
FENCES = {"pmatrix": ("(", ")"), "bmatrix": ("[", "]"), "vmatrix": ("|", "|"), "cases": ("{", "")}
TALL = ("<mfrac", "<mtable", "<munder", "<mover", "<msqrt", "<mroot")
"""What begins elements between which delimiters grow."""

SIGNED_AFTER = ("open", "relation", "binary", "operation", "comma", "sum", "function")
"""The kinds of atoms after which a plus or minus is a sign, and not an operation."""

LIMITS = ("min", "max", "sup", "inf", "lim")
ALIGNED = ("align*", "aligned", "split")


@dataclass(frozen=True)
class Atom:
    """A piece of a formula.

    Attributes:
        code: its MathML.
        kind: "ord", "function", "sum", "integral", "relation", "binary" for signs that may stand before a term too,
            "operation" for other signs between terms, "open", "close", "comma" or "space", as TeX has classes of atoms.
    """

    code: Markup
    kind: str = "ord"


def mathml(code: str, display: bool = False) -> Markup:
    """Return a formula as a ``math`` element, with its LaTeX as an annotation if it is displayed.

    Args:
        code: LaTeX, without the marks of math mode; an environment such as ``align*`` with its begin and end.
        display: whether it stands in a paragraph of its own.
    """
    content = _Reader(code).row(end=None)
    if not display:
        return element("math", content)
    source = element("annotation", code.strip(), encoding="application/x-tex")
    return element("math", element("semantics", content, source), display="block")


class _Reader:
    """A recursive descent over the tokens of a formula."""

    def __init__(self, code: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        for command, character, number, space, other in TOKEN.findall(code):
            if command:
                self.tokens.append(("command", command))
            elif character:
                self.tokens.append(("command", "newline" if character == "\\" else character))
            elif number:
                self.tokens.append(("number", number))
            elif other:
                self.tokens.append(("character", other))
            else:
                self.tokens.append(("blank", space))
        self.place = 0

    def _peek(self) -> tuple[str, str] | None:
        while self.place < len(self.tokens) and self.tokens[self.place][0] == "blank":
            self.place += 1
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def _next(self) -> tuple[str, str] | None:
        token = self._peek()
        self.place += token is not None
        return token

    def row(self, end: tuple[tuple[str, str], ...] | None) -> Markup:
        """Return what stands before one of the tokens of ``end``, which is left; before the end of the code if None."""
        return _arranged(self._atoms(end or ()))

    def _atoms(self, end: tuple[tuple[str, str], ...]) -> list[Atom]:
        atoms: list[Atom] = []
        while (token := self._peek()) is not None and token not in end:
            if token in (("character", "_"), ("character", "^"), ("character", "'")):
                base = atoms.pop() if atoms and atoms[-1].kind != "space" else Atom(element("mrow"))
                atoms.append(self._scripts(base))
            else:
                atoms.append(self._atom())
        return atoms

    def _scripts(self, base: Atom) -> Atom:
        """Return an atom with the scripts that follow it."""
        below: Markup | None = None
        above: list[Markup] = []
        while (token := self._peek()) in (("character", "_"), ("character", "^"), ("character", "'")):
            self._next()
            if token == ("character", "'"):
                above.append(element("mo", "′"))
            elif token == ("character", "_"):
                below = self._argument()
            else:
                above.append(self._argument())
        over = None if not above else above[0] if len(above) == 1 else element("mrow", *above)
        names = ("munder", "mover", "munderover") if base.kind == "sum" else ("msub", "msup", "msubsup")
        if below is None:
            return Atom(element(names[1], base.code, over or ""), base.kind)
        if over is None:
            return Atom(element(names[0], base.code, below), base.kind)
        return Atom(element(names[2], base.code, below, over), base.kind)

    def _argument(self) -> Markup:
        """Return the argument of a command: a group, or one token, of a number its first digit."""
        token = self._peek()
        if token is None:
            return element("mrow")
        if token[0] == "number" and len(token[1]) > 1:
            self.tokens[self.place : self.place + 1] = [("number", digit) for digit in token[1]]
        return self._atom().code

    def _group(self) -> Markup:
        self._next()
        content = self.row((("character", "}"),))
        self._next()
        return content

    def _text(self) -> str:
        """Return the argument of a command as text, blanks and all."""
        if self._peek() != ("character", "{"):
            token = self._next()
            return token[1] if token else ""
        self._next()
        words: list[str] = []
        depth = 1
        while self.place < len(self.tokens):
            kind, value = self.tokens[self.place]
            self.place += 1
            depth += {"{": 1, "}": -1}.get(value, 0) if kind == "character" else 0
            if depth == 0:
                break
            words.append(value if kind != "command" or len(value) == 1 else f"\\{value}")
        return "".join(words)

    def _atom(self) -> Atom:
        token = self._next()
        if token is None:
            return Atom(element("mrow"))
        kind, value = token
        if kind == "number":
            return Atom(element("mn", value))
        if kind == "command":
            return self._command(value)
        if value == "{":
            self.place -= 1
            return Atom(self._group())
        return _character(value)

    def _command(self, name: str) -> Atom:
        if name in SPACES:
            return Atom(element("mspace", width=SPACES[name]), "space")
        if name in GREEK:
            return Atom(element("mi", GREEK[name]))
        if name in CAPITALS:
            return Atom(_upright(CAPITALS[name]))
        if name in FUNCTIONS:
            if name in LIMITS:
                return Atom(element("mo", name, lspace="0", rspace="0.167em", movablelimits="true"), "sum")
            return Atom(element("mi", name), "function")
        if name in SYMBOLS:
            symbol, kind = SYMBOLS[name]
            return Atom(element("mi", symbol) if kind == "ord" else element("mo", symbol), kind)
        if name in OPEN or name in CLOSE or name in EITHER:
            return _delimiter(name)
        special: dict[str, Callable[[], Atom]] = {
            "left": self._fenced,
            "begin": self._environment,
            "sqrt": self._root,
            "operatorname": lambda: Atom(element("mi", self._text(), mathvariant="normal"), "function"),
            "mathrm": lambda: Atom(_upright(self._text())),
            "text": lambda: Atom(element("mtext", _spaced(self._text()))),
            "mathit": lambda: Atom(element("mi", self._text())),
            "not": lambda: Atom(joined([self._argument(), "\u0338"])),
        }
        if name in special:
            return special[name]()
        if name in ("frac", "tfrac", "dfrac"):
            top, bottom = self._argument(), self._argument()
            small = "false" if name == "tfrac" else None
            return Atom(element("mfrac", top, bottom, displaystyle=small))
        if name in ACCENTS or name in OVER:
            wide = "true" if name in OVER else "false"
            accent = element("mo", ACCENTS.get(name) or OVER[name], stretchy=wide, class_="accent")
            return Atom(element("mover", self._argument(), accent, accent="true"))
        if name in ALPHABETS:
            letters = "".join(ALPHABETS[name].get(letter, letter) for letter in self._text())
            return Atom(_upright(letters))
        if name[:-1] in SIZES and name[-1] in "lrm":
            return self._sized(SIZES[name[:-1]], name[-1])
        if len(name) == 1:
            return Atom(element("mi", name))
        return Atom(element("mtext", f"\\{name}", class_="unknown"))

    def _root(self) -> Atom:
        if self._peek() != ("character", "["):
            return Atom(element("msqrt", self._argument()))
        self._next()
        degree = self.row((("character", "]"),))
        self._next()
        return Atom(element("mroot", self._argument(), degree))

    def _delimiter_sign(self) -> str:
        token = self._next()
        name = token[1] if token else "."
        return {**EITHER, **OPEN, **CLOSE}.get(name, name)

    def _fenced(self) -> Atom:
        r"""Return what stands between ``\left`` and ``\right``."""
        opening = self._delimiter_sign()
        inside = self.row((("command", "right"),))
        self._next()
        # As in TeX, a subscript alone does not make them grow.
        return Atom(_in_fences(opening, inside, self._delimiter_sign(), any(tag in inside for tag in TALL)), "close")

    def _sized(self, size: str, side: str) -> Atom:
        form, kind = {"l": ("prefix", "open"), "r": ("postfix", "close"), "m": ("infix", "relation")}[side]
        sign = self._delimiter_sign()
        fence = element("mo", sign, form=form, fence="true", stretchy="true", minsize=size, maxsize=size)
        # In a row of its own, for a script would keep its base from growing.
        return Atom(element("mrow", fence), kind)

    def _environment(self) -> Atom:
        name = self._text()
        name += self._text() if self._peek() == ("character", "*") else ""
        columns = self._text() if name == "array" else ""
        rows: list[list[Markup]] = [[]]
        ruled: list[int] = []
        ends = (("character", "&"), ("command", "newline"), ("command", "end"))
        cell: list[Atom] = []
        while True:
            if self._peek() == ("command", "hline"):
                self._next()
                ruled.append(len(rows) - 1)
                continue
            cell = self._atoms((*ends, ("command", "hline")))
            rows[-1].append(_arranged(cell, continued=len(rows[-1]) > 0 and name in ALIGNED))
            token = self._next()
            if token is None or token == ("command", "end"):
                self._text()
                break
            if token == ("command", "newline"):
                rows.append([])
        if rows and rows[-1] == [element("mrow")]:
            rows.pop()
        return Atom(_table(name, columns, rows, ruled))


def _table(name: str, columns: str, rows: list[list[Markup]], ruled: list[int]) -> Markup:
    style = "aligned" if name in ALIGNED else "gathered" if name == "gather*" else "matrix"
    if name == "cases" or set(columns) == {"l"}:
        style = "cases"
    lines = [
        element("mtr", *(element("mtd", cell) for cell in row), class_="ruled" if k in ruled and k > 0 else None)
        for k, row in enumerate(rows)
    ]
    large = None if style == "matrix" else "true"
    table = element("mtable", *lines, class_=style, displaystyle=large)
    left, right = FENCES.get(name, ("", ""))
    return _in_fences(left, table, right) if left or right else table


def _in_fences(left: str, inside: Markup, right: str, stretches: bool = True) -> Markup:
    grows = "true" if stretches else "false"
    opening = element("mo", left, form="prefix", fence="true", stretchy=grows) if left else ""
    closing = element("mo", right, form="postfix", fence="true", stretchy=grows) if right else ""
    return element("mrow", opening, inside, closing)


def _character(value: str) -> Atom:
    if value in OPEN or value in CLOSE or value in EITHER:
        return _delimiter(value)
    if value in "+-*":
        return Atom(element("mo", {"-": "−", "*": "∗"}.get(value, value)), "binary")
    if value in "=<>:":
        return Atom(element("mo", value), "relation")
    if value in ",;":
        return Atom(element("mo", value, separator="true"), "comma")
    if value == "~":
        return Atom(element("mspace", width=SPACES["~"]), "space")
    return Atom(element("mi", value))


def _delimiter(name: str) -> Atom:
    """Return a delimiter of the size of letters."""
    if name in OPEN:
        return Atom(element("mo", OPEN[name], form="prefix", fence="true", stretchy="false"), "open")
    if name in CLOSE:
        return Atom(element("mo", CLOSE[name], form="postfix", fence="true", stretchy="false"), "close")
    if name == ".":
        return Atom(element("mo", ".", separator="true"), "comma")
    return Atom(element("mo", EITHER[name], lspace="0", rspace="0", stretchy="false"))


def _upright(text: str) -> Markup:
    # One letter alone is set in italics unless told otherwise; several are upright of themselves.
    return element("mi", text, mathvariant="normal" if len(text) == 1 else None)


def _spaced(text: str) -> str:
    """Return text whose blanks at the ends are kept."""
    inside = text.strip()
    left, right = len(text) - len(text.lstrip()), len(text) - len(text.rstrip())
    return "\u00a0" * (left > 0) + inside + "\u00a0" * (right > 0)


def _arranged(atoms: list[Atom], continued: bool = False) -> Markup:
    """Return atoms in a row, with the spaces that TeX sets by their kinds where MathML does not.

    Args:
        atoms: the pieces.
        continued: whether the row goes on from another cell, so that a sign at its beginning is one between terms.
    """
    pieces: list[Markup] = []
    before = "ord" if continued else "open"
    for k, atom in enumerate(atoms):
        code, kind = atom.code, atom.kind
        if kind == "binary" and before in SIGNED_AFTER:
            # A sign and not an operation: no space behind it.
            code = Markup(code.replace(Markup("<mo>"), Markup('<mo form="prefix" lspace="0" rspace="0">'), 1))
        elif kind == "binary":
            code = Markup(code.replace(Markup("<mo>"), Markup('<mo form="infix">'), 1))
        if kind == "function" and before in ("ord", "close", "function"):
            pieces.append(element("mspace", width="0.167em"))
        pieces.append(code)
        follows = atoms[k + 1].kind if k + 1 < len(atoms) else "close"
        if kind == "function" and follows in ("ord", "sum"):
            pieces.append(element("mspace", width="0.167em"))
        before = before if kind == "space" else kind
    return pieces[0] if len(pieces) == 1 else element("mrow", *pieces)
