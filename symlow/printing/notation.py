"""Notation: SymPy symbols of a derivation as LaTeX, in the letters of the low-rank network literature."""

from __future__ import annotations

import re

import sympy
from sympy import MatrixSymbol
from sympy.printing.latex import LatexPrinter, translate

from symlow.overlaps import Overlap, OverlapIndex

FIXED = {"dt": r"\mathrm{d}t", "tau": r"\tau", "eta": r"\eta", "k": "k", "j": "j"}


class Notation(LatexPrinter):
    r"""LaTeX of expressions in overlaps, loss gradients, blocks and latents of one network.

    Overlaps are \\sigma_{zu}, \\sigma_{v_1u_2} and squared norms \\lVert m\\rVert^2; a loss gradient is
    \\partial_{zu}L; blocks are \\Sigma_{zu} and S_{zu}; latents \\kappa_u.
    """

    def __init__(self, index: OverlapIndex) -> None:
        super().__init__({"mul_symbol": None, "order": "old", "imaginary_unit": "i", "ln_notation": True})
        self._names = dict(FIXED)
        self._pairs = {overlap.name: self.pair(index, overlap) for overlap in index.all}
        for overlap in index.all:
            symbol = rf"\sigma_{{{self._pairs[overlap.name]}}}"
            if overlap.is_norm:
                symbol = rf"\lVert {_subscripted(index.columns[overlap.row].label)}\rVert^2"
            self._names[overlap.symbol.name] = symbol
            self._names[overlap.gradient_symbol.name] = self.gradient(overlap)
        for (left, right), block in index.blocks.items():
            pair = f"{_subscripted(left)}{_subscripted(right)}"
            self._names[block.name] = rf"\Sigma_{{{pair}}}"
            self._names[f"S_{left}_{right}"] = rf"S_{{{pair}}}"

    @staticmethod
    def pair(index: OverlapIndex, overlap: Overlap) -> str:
        """Return the two columns of an overlap as a subscript, ``v_1u_2``."""
        return "".join(_subscripted(index.columns[k].label) for k in (overlap.row, overlap.column))

    def gradient(self, overlap: Overlap) -> str:
        r"""Return dL/d(overlap) in short, ``\\partial_{zu}L``."""
        return rf"\partial_{{{self._pairs[overlap.name]}}}L"

    def _print_Symbol(self, symbol: sympy.Symbol, style: str = "plain") -> str:  # noqa: N802
        if symbol.name in self._names:
            return self._names[symbol.name]
        letter, _, pair = symbol.name.partition("_star")
        if letter != symbol.name:  # a parameter of a target filter: a_star, or a_star_1_2 for output 1 and input 2
            subscript = pair.replace("_", "") if len(pair) <= 4 else pair[1:].replace("_", ",")
            return f"{translate(letter)}^{{*}}" + (f"_{{{subscript}}}" if subscript else "")
        return super()._print_Symbol(symbol)

    def _print_MatrixSymbol(self, symbol: MatrixSymbol) -> str:  # noqa: N802
        if symbol.name in self._names:
            return self._names[symbol.name]
        letter, *subscripts = symbol.name.split("_")
        letter = {"kappa": r"\kappa", "Abar": r"\bar{A}", "Bbar": r"\bar{B}", "Cbar": r"\bar{C}"}.get(letter, letter)
        return rf"{letter}_{{{''.join(map(_subscripted, subscripts))}}}" if subscripts else letter

    def _print_Pow(self, power: sympy.Pow) -> str:  # noqa: N802
        # A squared norm or a starred parameter already has an exponent, and TeX refuses a second one.
        base = power.base
        if isinstance(base, sympy.Symbol) and "^" in self._print(base) and power.exp.is_positive:
            return rf"\left({self._print(base)}\right)^{{{self._print(power.exp)}}}"
        return super()._print_Pow(power)

    def _print_Transpose(self, transpose: sympy.Transpose) -> str:  # noqa: N802
        return rf"{self._print(transpose.arg)}^{{\top}}"

    def _print_re(self, expression: sympy.re, exp: str | None = None) -> str:
        return rf"\operatorname{{Re}}\left[{self._print(expression.args[0])}\right]"

    def _print_Identity(self, identity: sympy.Identity, exp: str | None = None) -> str:  # noqa: N802
        return "1"


def _subscripted(label: str) -> str:
    letters, number = re.fullmatch(r"([A-Za-z]+?)(\d*)", label).groups()  # type: ignore[union-attr]
    name = letters if len(letters) == 1 else rf"\mathrm{{{letters}}}"
    return f"{name}_{number}" if len(number) == 1 else f"{name}_{{{number}}}" if number else name


GLYPH = re.compile(r"\\(?:left|right|operatorname|mathrm|mathbf|top|,|;|!|quad|tfrac|frac)|[{}&\s]|\\[A-Za-z]+|.")
SMALL = re.compile(r"[_^](?:\{((?:[^{}]|\{[^{}]*\})*)\}|(\\[A-Za-z]+|.))")


def width(code: str) -> float:
    """Return an estimate of the printed width of LaTeX code, in characters of normal size.

    A fraction is as wide as the wider of its parts; subscripts and superscripts count two thirds.
    """
    code, fractions = _without_fractions(code)
    small = sum(0.66 * _glyphs(match.group(1) or match.group(2) or "") for match in SMALL.finditer(code))
    return fractions + small + _glyphs(SMALL.sub("", code))


def _glyphs(code: str) -> float:
    skipped = ("\\left", "\\right", "\\operatorname", "\\mathrm", "\\mathbf", "\\,", "\\;", "\\!", "{", "}", "&")
    wide = {"+": 1.9, "-": 1.9, "=": 2.0, "\\sum": 2.0, "\\partial": 1.1, "\\Sigma": 1.4}
    return sum(wide.get(glyph, 1.0) for glyph in GLYPH.findall(code) if glyph not in skipped and not glyph.isspace())


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
