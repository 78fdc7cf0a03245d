r"""Terms of the reduced dynamics as LaTeX, each with the time of everything in it.

At time t the latents kappa(t) have the statistics, gains and columns of time t, and a step takes them to t + dt:

    g(\Delta(t)) [\Sigma_vm \kappa_m(t) + \Sigma_vu \kappa_u(t)]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType

import sympy
from sympy import MatrixExpr

from symlow.backward import Backward
from symlow.printing.latex_lines import width
from symlow.printing.notation import Letter, Notation
from symlow.printing.terms import Group, Term, Terms, feeds_back

MOMENTS = {-1: r"t-\mathrm{d}t", 0: "t", 1: r"t+\mathrm{d}t"}
"""Times by their distance to t in steps."""

UNBROKEN = 52
"""Brackets that are less wide than this are not broken between lines."""

Row = tuple[str, Sequence[str]]


class TimedTerms:
    """The terms of one reduction and its adjoint."""

    def __init__(self, backward: Backward, notation: Notation) -> None:
        self.backward = backward
        self.reduction = backward.reduction
        self.network = backward.reduction.network
        self.notation = notation
        self.terms = Terms(backward)

    @cached_property
    def fed_back(self) -> Mapping[str, str]:
        """The names of the output at the latents of time t, and of its cotangent, where state equations use it."""
        if not feeds_back(self.reduction):
            return MappingProxyType({})
        output = self.network.output.name
        letter = Letter(self.notation.letter(output)).accented("hat")
        return MappingProxyType({output: letter.code, f"{output}bar": letter.accented("bar").code})

    def timed(
        self,
        latents: int = 0,
        gains: int = 0,
        cotangents: int = 0,
        output: int = 0,
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> Notation:
        """Return the notation with everything at a distance from t, in steps; columns are at the time of gains."""
        return self.notation.at(
            {name: MOMENTS[k] for name, k in self._distances(latents, gains, cotangents, output).items()}, names
        )

    def at_start(self) -> Notation:
        """Return the notation with everything at time 0."""
        return self.notation.at(dict.fromkeys(self._distances(0, 0, 0, 0), "0"))

    def _distances(self, latents: int, gains: int, cotangents: int, output: int) -> dict[str, int]:
        reduction, network = self.reduction, self.network
        distances = dict.fromkeys(self.notation.scalars, gains)
        distances |= {projection.symbol.name: 0 for projection in network.projections}
        distances |= dict.fromkeys(reduction.columns, gains)
        distances |= {latent.name: latents for latent in reduction.latents.values()}
        distances |= {f"{name}bar": gains for name in reduction.columns}
        distances |= {symbol.name: cotangents for symbol in self.backward.next_cotangents.values()}
        return distances | {network.inputs.name: 0, network.output.name: gains, f"{network.output.name}bar": output}

    def pieces(self, expression: MatrixExpr, notation: Notation) -> list[str]:
        """Return a sum as terms, and as brackets with common factors in front."""
        groups = self.terms.groups(self.terms.of(expression))
        return [piece for group in groups for piece in self._group(group, notation)]

    def statistic(self, statistic: sympy.Symbol) -> list[str]:
        """Return a mean or variance over neurons, without times."""
        groups = self.terms.statistic_groups(statistic)
        return [piece for group in groups for piece in self._group(group, self.notation)]

    def _group(self, group: Group, notation: Notation) -> list[str]:
        pieces = [self.term(term, notation) for term in group.terms]
        if group.coefficient == 1 and group.head is None:
            return pieces
        front = self.term(Term(group.coefficient, () if group.head is None else (group.head,)), notation)
        return in_brackets(front, pieces)

    def sum_over_time(self, term: Term, notation: Notation) -> str:
        """Return a term under a sum over time, with what is constant in front of it."""
        constant, changing = sympy.factor(term.coefficient).as_independent(*self._scalars, as_Add=False)
        if changing.is_Add and any(changing.coeff(symbol).is_negative for symbol in self.terms.activities):
            constant, changing = -constant, sympy.expand(-changing)  # phibar - g mu
        sign, constant = ("-", -constant) if _is_negative(constant) else ("", constant)
        front = "" if constant == 1 else notation.doprint(constant)
        return rf"{sign}{front}\sum_t {self.term(Term(changing, term.factors), notation)}"

    @cached_property
    def _scalars(self) -> tuple[sympy.Symbol, ...]:
        return (*(sympy.Symbol(name) for name in self.notation.scalars), *self.reduction.statistics)

    def term(self, term: Term, notation: Notation) -> str:
        """Return a term: numbers, gains and statistics, and the product of matrices."""
        constant, changing = term.coefficient.as_independent(*self._scalars, as_Add=False)
        sign, constant = ("-", -constant) if _is_negative(constant) else ("", constant)
        codes = [] if constant == 1 else [self._factor(constant, notation)]
        codes += self._scalar_codes(changing, notation)
        codes += [notation.doprint(factor) for factor in term.factors]
        return sign + _product(codes or ["1"])

    def _scalar_codes(self, product: sympy.Expr, notation: Notation) -> list[str]:
        """Return the factors of a product of statistics and gains: g before mu, cotangents last."""
        factors = [factor for factor in sympy.Mul.make_args(product) if factor != 1]
        return [self._factor(factor, notation) for factor in sorted(factors, key=self._place)]

    def _place(self, factor: sympy.Expr) -> tuple[int, int]:
        order = {name: k for k, name in enumerate(self.notation.scalars)}
        name = min((symbol.name for symbol in factor.free_symbols), default="")
        return int(name in order and self.notation.scalars[name].code.startswith(r"\bar")), -order.get(name, 0)

    def _factor(self, factor: sympy.Expr, notation: Notation) -> str:
        """Return a factor, a sum in brackets with its negative terms last."""
        if not factor.is_Add:
            return str(notation.doprint(factor))
        terms = [self.term(Term(term, ()), notation) for term in sorted(factor.args, key=_is_negative)]
        inside = " + ".join(terms).replace("+ -", "- ")
        return rf"\left({inside}\right)" if r"\frac" in inside else rf"\bigl[{inside}\bigr]"


def in_brackets(front: str, pieces: Sequence[str]) -> list[str]:
    """Return a sum in brackets behind a factor: in one piece if it fits on a line, else in several."""
    joined = [rf"{front}\bigl[{pieces[0]}", *pieces[1:]]
    joined[-1] += r"\bigr]"
    whole = " + ".join(joined).replace("+ -", "- ")
    return [whole] if width(whole) < UNBROKEN else joined


def _is_negative(expression: sympy.Expr) -> bool:
    return bool(expression.as_coeff_Mul()[0].is_negative)


def _product(codes: Sequence[str]) -> str:
    """Return factors side by side, with a thin space after one that has an argument, and after a fraction."""
    code = codes[0]
    for before, after in pairwise(codes):
        bracketed_sum = before.endswith((r"\right)", r"\bigr]"))
        argued = before.startswith(r"\frac") or (before.endswith((")", r")^{\top}")) and not bracketed_sum)
        code += (r"\," if argued else " ") + after
    return code
