"""Lines of LaTeX: equations broken between terms to the width of the page, and text with its characters escaped."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from sympy.printing.latex import greek_letters_set, translate

LINE = 65
"""Width of a line of equations at the document's margins, in the unit of :func:`width`, with a little to spare."""

SILENT = ("left", "right", "bigl", "bigr", "operatorname", "tfrac", "mathrm", "mathbf", "bar", "hat", ";", "!")
"""Commands that print nothing by themselves."""

GLYPH = re.compile(r"\\(?:,|;|!)|[{}&\s]|\\[A-Za-z]+|.")
MATRIX = re.compile(r"\\begin\{pmatrix\}(.*?)\\end\{pmatrix\}", re.DOTALL)
SMALL = re.compile(r"[_^](?:\{((?:[^{}]|\{[^{}]*\})*)\}|(\\[A-Za-z]+|.))")


def width(code: str) -> float:
    """Return an estimate of the printed width of LaTeX code, in characters of normal size.

    A fraction is as wide as the wider of its parts, a matrix as the sum of its widest entries; subscripts and
    superscripts count two thirds.
    """
    code, matrices = _without_matrices(code)
    code, fractions = _without_fractions(code)
    fractions += matrices
    # TeX adds half a point after each script.
    small = sum(0.68 * width(match.group(1) or match.group(2) or "") + 0.07 for match in SMALL.finditer(code))
    return fractions + small + _glyphs(SMALL.sub(" ", code))


def _glyphs(code: str) -> float:
    skipped = (*(rf"\{word}" for word in SILENT), "{", "}", "&")
    wide = {
        "m": 1.6,
        "M": 1.6,
        "L": 1.15,
        "\\,": 0.3,
        "+": 1.9,
        "-": 1.9,
        "=": 2.0,
        "\\to": 2.4,
        "\\sum": 2.0,
        "\\partial": 1.1,
        "\\Sigma": 1.4,
        "\\Delta": 1.4,
    }
    return sum(wide.get(glyph, 1.0) for glyph in GLYPH.findall(code) if glyph not in skipped and not glyph.isspace())


def _without_matrices(code: str) -> tuple[str, float]:
    total = 0.0
    for match in MATRIX.finditer(code):
        rows = [[width(entry) for entry in row.split("&")] for row in match[1].split(r"\\")]
        total += sum(max(column) + 1 for column in zip(*rows, strict=True)) + 1
    return MATRIX.sub(" ", code), total


def _without_fractions(code: str) -> tuple[str, float]:
    total = 0.0
    while (start := code.find(r"\frac{")) >= 0:
        top, after = _group(code, start + 5)
        bottom, end = _group(code, after)
        total += max(width(top), width(bottom)) + 0.5
        code = code[:start] + code[end:]
    return code, total


def _group(code: str, start: int) -> tuple[str, int]:
    depth = 0
    for position in range(start, len(code)):
        depth += {"{": 1, "}": -1}.get(code[position], 0)
        if depth == 0:
            return code[start + 1 : position], position + 1
    raise ValueError(f"unbalanced braces in {code!r}")


def matrix(rows: list[list[str]]) -> str:
    """Return a matrix in parentheses."""
    return r"\begin{pmatrix}" + r"\\ ".join(" & ".join(row) for row in rows) + r"\end{pmatrix}"


def bracketed(code: str) -> str:
    """Return a sum in parentheses, anything else as it is."""
    return rf"\left({code}\right)" if "+" in code or "-" in code[1:] else code


def aligned(rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return an align* environment of equations, lines broken between terms to the page width."""
    rows = list(rows)
    # Aligned at the equals sign, all right-hand sides begin where the widest left-hand side ends.
    indent = max(width(left) for left, _ in rows) + 3
    lines = []
    for left, terms in rows:
        line, used = f"{left} &= ", indent
        for position, term in enumerate(terms):
            piece = term if position == 0 or term.startswith(("-", "=")) else f"+ {term}"
            piece = f"- {piece[1:].lstrip()}" if position and piece.startswith("-") else piece
            size = width(piece)
            if position and used + size > LINE:
                lines.append(line.rstrip() + r" \\")
                line, used = r"&\quad ", indent + 3
            line += piece + " "
            used += size
        lines.append(line.rstrip() + r" \\")
    lines[-1] = lines[-1].removesuffix(r" \\")
    return "\n".join([r"\begin{align*}", *lines, r"\end{align*}"])


def listed(equations: Iterable[str]) -> str:
    """Return short equations side by side, as many to a line as the page is wide."""
    lines: list[list[str]] = [[]]
    for equation in equations:
        if lines[-1] and sum(width(other) + 3.5 for other in [*lines[-1], equation]) > LINE:
            lines.append([])
        lines[-1].append(equation)
    return "\n".join([r"\begin{gather*}", " \\\\\n".join(",\\qquad ".join(line) for line in lines), r"\end{gather*}"])


def escaped(text: str) -> str:
    """Return plain text with TeX's special characters escaped, and letters that pdflatex does not know replaced."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {character: f"\\{character}" for character in "&%$#_{}"}
    return "".join(special.get(character) or _known(character) for character in text)


def _known(character: str) -> str:
    """Return a character that pdflatex knows: itself, a Greek letter as a command, or the nearest of ASCII."""
    if ord(character) < 0x180 or character in "\u2013\u2014\u2018\u2019\u201c\u201d":
        return character
    greek = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (\w+)", unicodedata.name(character, ""))
    if greek and greek[2].lower() in greek_letters_set:
        return str(translate(greek[2].lower() if greek[1] == "SMALL" else greek[2].capitalize()).join(("$", "$")))
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return plain or "?"
