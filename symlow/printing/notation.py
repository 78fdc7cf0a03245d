"""Notation: SymPy symbols of a derivation as LaTeX, in the letters of the low-rank network literature."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping

import sympy
from sympy import MatrixSymbol, Rational
from sympy.printing.latex import LatexPrinter, translate
from sympy.printing.precedence import PRECEDENCE
from sympy.utilities.iterables import sift

from symlow.nonlinearity import DELTA, MU, X
from symlow.overlaps import Column, Overlap, OverlapIndex
from symlow.rules import Velocity

FIXED = {"dt": r"\mathrm{d}t", "tau": r"\tau", "eta": r"\eta", "k": "k", "j": "j"}

SCALARS = {
    "mu": r"\mu",
    "Delta": r"\Delta",
    "g": "g",
    "phibar": r"\Phi",
    "mubar": r"\bar{\mu}",
    "Deltabar": r"\bar{\Delta}",
    "gbar": r"\bar{g}",
    "phibarbar": r"\bar{\Phi}",
    "g_mu": r"\partial_\mu g",
    "g_Delta": r"\partial_\Delta g",
}
"""Statistics of the state, gains, their cotangents and slopes. A bar is a cotangent, so the mean activity is a Phi."""

SLOPES = ("g_mu", "g_Delta")

ARGUMENTS = {DELTA, MU, X}
"""What nonlinearities and gains are functions of."""

LETTERS = {
    "kappa": r"\kappa",
    "lambda": r"\lambda",
    "Abar": r"\bar{A}",
    "Bbar": r"\bar{B}",
    "Cbar": r"\bar{C}",
    "ybar": r"\bar{y}",
}


class Notation(LatexPrinter):
    r"""LaTeX of expressions in overlaps, loss gradients, blocks and latents of one network.

    Overlaps are \\sigma_{zu}, \\sigma_{v_1u_2} and squared norms \\lVert m\\rVert^2; an overlap with the vector of ones
    is a mean, \\langle z\\rangle; a loss gradient is \\partial_{zu}L; blocks are \\Sigma_{zu}, S_{zu} and, of means,
    \\Sigma_{z\\mathbf{1}}; velocities are q_m; latents \\kappa_u, their cotangents \\lambda_u.
    """

    def __init__(self, index: OverlapIndex) -> None:
        settings = {"mul_symbol": None, "order": "old", "imaginary_unit": "i", "ln_notation": True}
        super().__init__({**settings, "inv_trig_style": "full"})
        self.network = index.network
        self._velocity_of = {vector.name: vector.of for vector in self.network.vectors if isinstance(vector, Velocity)}
        self._names = dict(FIXED)
        self._moments: dict[str, str] = {}
        self._pairs = {overlap.name: self._pair(index, overlap) for overlap in index.all}
        for overlap in index.all:
            self._names[overlap.symbol.name] = self._overlap(index, overlap)
            self._names[overlap.gradient_symbol.name] = self.gradient(overlap)
        for (left, right), block in index.blocks.items():
            pair = f"{self._letter(left)}{self._letter(right)}"
            self._names[block.name] = rf"\Sigma_{{{pair}}}"
            self._names[f"S_{left}_{right}"] = rf"S_{{{pair}}}"

    def at(self, moments: Mapping[str, str]) -> Notation:
        """Return this notation with times: the symbols named have the given argument."""
        timed = copy.copy(self)
        timed._moments = dict(moments)
        return timed

    def addends(self, expression: sympy.Expr) -> list[sympy.Expr]:
        """Return the terms of a sum in the order in which they are printed."""
        return list(self._as_ordered_terms(expression)) if expression.is_Add else [expression]

    def vector(self, name: str) -> str:
        """Return the matrix of a vector's columns: its name in capitals; vectors that drive alone are small."""
        if name == self.network.ones:
            return r"\mathbf{1}"
        if name in self._velocity_of:
            return f"Q_{{{self.vector(self._velocity_of[name])}}}"
        constant = any(carrier.vector == name and carrier.is_constant for carrier in self.network.carriers)
        letter = name if constant else name.upper()
        return letter if len(letter) == 1 else rf"\mathrm{{{letter}}}"

    def _letter(self, vector: str) -> str:
        if vector in self._velocity_of:
            return f"q_{{{_subscripted(self._velocity_of[vector])}}}"
        return r"\mathbf{1}" if vector == self.network.ones else _subscripted(vector)

    def column(self, column: Column) -> str:
        """Return one column of a vector, as in overlaps: v_1."""
        if column.vector in self._velocity_of:
            weights = self._velocity_of[column.vector]
            return f"q_{{{_subscripted(weights + column.label.removeprefix(column.vector))}}}"
        return self._letter(column.vector) if column.vector == self.network.ones else _subscripted(column.label)

    def _overlap(self, index: OverlapIndex, overlap: Overlap) -> str:
        if overlap.is_norm:
            return rf"\lVert {self.column(index.columns[overlap.row])}\rVert^2"
        pair = self._pairs[overlap.name]
        return pair if self._is_mean(index, overlap) else rf"\sigma_{{{pair}}}"

    def _is_mean(self, index: OverlapIndex, overlap: Overlap) -> bool:
        return not overlap.is_norm and index.columns[overlap.column].vector == self.network.ones

    def _pair(self, index: OverlapIndex, overlap: Overlap) -> str:
        """Return the two columns of an overlap as a subscript, ``v_1u_2``; of a mean, the mean itself."""
        left, right = (self.column(index.columns[k]) for k in (overlap.row, overlap.column))
        return rf"\langle {left}\rangle" if self._is_mean(index, overlap) else f"{left}{right}"

    def gradient(self, overlap: Overlap) -> str:
        r"""Return dL/d(overlap) in short, ``\\partial_{zu}L``."""
        return rf"\partial_{{{self._pairs[overlap.name]}}}L"

    def _print_Symbol(self, symbol: sympy.Symbol, style: str = "plain") -> str:  # noqa: N802
        if symbol.name in SCALARS:
            return self._scalar(symbol.name)
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
        letter = LETTERS.get(letter, letter)
        code = rf"{letter}_{{{''.join(map(_subscripted, subscripts))}}}" if subscripts else letter
        moment = self._moments.get(symbol.name)
        return f"{code}({moment})" if moment else code

    def _scalar(self, name: str) -> str:
        moment = self._moments.get(name)
        if self.network.ones is None and name in SLOPES:  # a function of one variable has a derivative with a prime
            return f"g'({SCALARS['Delta']}({moment}))" if moment else "g'"
        if self.network.ones is None and name == "g" and moment:
            return f"g({SCALARS['Delta']}({moment}))"
        return f"{SCALARS[name]}({moment})" if moment else SCALARS[name]

    def _as_ordered_terms(self, expr: sympy.Expr, order: str | None = None) -> list[sympy.Expr]:
        terms = super()._as_ordered_terms(expr, order)
        if expr.free_symbols <= ARGUMENTS:  # mu - 1, not -1 + mu
            terms = sorted(terms, key=lambda term: bool(term.as_coeff_Mul()[0].is_negative))
        return terms

    def _print_Mul(self, product: sympy.Mul) -> str:  # noqa: N802
        # Gains: square roots under one root, 1/sqrt(2 Delta) and not sqrt(2)/(2 sqrt(Delta)), and functions after the
        # fraction, in which they would be small.
        if not product.free_symbols or not product.free_symbols <= ARGUMENTS:
            return super()._print_Mul(product)
        roots, rest = sift(
            product.args, lambda factor: factor.is_Pow and abs(factor.exp) == Rational(1, 2), binary=True
        )
        number, others = sympy.factor_terms(sympy.Mul(*rest)).as_coeff_Mul()
        functions = others.has(sympy.Function)
        if not roots and (number.is_Integer or not functions):
            return super()._print_Mul(product)
        content, square = (number**2 * sympy.Mul(*(root**2 for root in roots))).as_coeff_Mul()
        outside, left = _square_part(content)
        above, below = sympy.fraction(left * square)
        top, bottom = sympy.fraction(outside)
        tail = "" if others == 1 else self.parenthesize(others, PRECEDENCE["Mul"], strict=True)
        alone = above == top == 1 and not functions and others != 1
        inside, after = ("", rf"\,{tail}") if functions else (self._print(others) if alone else tail, "")
        if above != 1 and below != 1 and not inside:
            number_code = "" if outside == 1 else self._print(outside)
            code = rf"{number_code}{self._root(above / below)}{after if tail else ''}"
        else:
            upper = " ".join(
                filter(None, ["" if top == 1 else str(top), "" if above == 1 else self._root(above), inside])
            )
            lower = " ".join(
                filter(None, ["" if bottom == 1 else str(bottom), "" if below == 1 else self._root(below)])
            )
            code = (rf"\frac{{{upper or 1}}}{{{lower}}}" if lower else upper) + (after if upper or lower else tail)
        return ("-" if number.is_negative else "") + code

    def _root(self, square: sympy.Expr) -> str:
        """Return a square root, in which the fractions of a sum are written with a slash."""
        return rf"\sqrt{{{self._folded(square) if square.is_Add else self._print(square)}}}"

    def _folded(self, expression: sympy.Expr) -> str:
        folded = copy.copy(self)
        folded._settings = {**self._settings, "fold_short_frac": True}
        return str(folded._print(expression))

    def _print_ExpBase(self, expression: sympy.exp, exp: str | None = None) -> str:  # noqa: N802
        argument = expression.args[0]
        if exp is not None or not argument.free_symbols or not argument.free_symbols <= ARGUMENTS:
            return super()._print_ExpBase(expression, exp)
        if sympy.fraction(sympy.together(argument))[1].is_number:
            return f"e^{{{self._folded(argument)}}}"
        return rf"\exp\left({self._print(sympy.factor(argument))}\right)"

    def _print_Pow(self, power: sympy.Pow) -> str:  # noqa: N802
        # A squared norm or a starred parameter already has an exponent, and TeX refuses a second one.
        base = power.base
        if base.free_symbols <= ARGUMENTS and base.free_symbols and abs(power.exp) == Rational(1, 2):
            root = self._root(base)
            return root if power.exp.is_positive else rf"\frac{{1}}{{{root}}}"
        if isinstance(base, sympy.Symbol) and "^" in self._print(base) and power.exp.is_positive:
            return rf"\left({self._print(base)}\right)^{{{self._print(power.exp)}}}"
        return super()._print_Pow(power)

    def _print_Transpose(self, transpose: sympy.Transpose) -> str:  # noqa: N802
        return rf"{self._print(transpose.arg)}^{{\top}}"

    def _print_re(self, expression: sympy.re, exp: str | None = None) -> str:
        return rf"\operatorname{{Re}}\left[{self._print(expression.args[0])}\right]"

    def _print_Identity(self, identity: sympy.Identity, exp: str | None = None) -> str:  # noqa: N802
        return "1"


def _square_part(content: sympy.Rational) -> tuple[sympy.Rational, sympy.Rational]:
    """Return the square root of a rational's largest square factor, and what is left of it."""
    above, below = (sympy.sqrt(part).as_coeff_Mul()[0] for part in (content.p, content.q))
    return Rational(above, below), content / Rational(above, below) ** 2


def _subscripted(label: str) -> str:
    letters, number = re.fullmatch(r"([A-Za-z]+?)(\d*)", label).groups()  # type: ignore[union-attr]
    name = letters if len(letters) == 1 else rf"\mathrm{{{letters}}}"
    return f"{name}_{number}" if len(number) == 1 else f"{name}_{{{number}}}" if number else name
