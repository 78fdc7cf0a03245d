"""Sums of matrix products as people write them: with common factors in front of a bracket.

    g Sigma_vm kappa_m + g Sigma_vu kappa_u - g mu Sigma_v1  =  g [Sigma_vm kappa_m + Sigma_vu kappa_u - mu Sigma_v1]

Text and LaTeX print the same groups, each in its own letters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import sympy
from sympy import MatMul, MatrixExpr, MatrixSymbol, Transpose
from sympy.matrices.expressions.special import GenericIdentity, Identity

from symlow.backward import Backward
from symlow.expressions import summands
from symlow.nonlinearity import MU
from symlow.reduction import ACTIVITY


@dataclass(frozen=True)
class Term:
    """A coefficient of numbers and scalar symbols, times a product of matrices (none for a scalar)."""

    coefficient: sympy.Expr
    factors: tuple[MatrixExpr, ...]


@dataclass(frozen=True)
class Group:
    """Terms with a common coefficient, and perhaps a common first factor, in front.

    Attributes:
        coefficient: what all terms are multiplied by.
        head: the first factor of all terms, which they are without; None if they have none in common.
        terms: what is left of them.
    """

    coefficient: sympy.Expr
    head: MatrixExpr | None
    terms: tuple[Term, ...]


class Terms:
    """Expressions of one reduction and its adjoint as terms: latents in the order of their carriers."""

    def __init__(self, backward: Backward) -> None:
        self.reduction = backward.reduction
        self.backward = backward

    @cached_property
    def _order(self) -> dict[str, int]:
        return {latent.name: k for k, latent in enumerate(self.reduction.latents.values())}

    @cached_property
    def _symmetric(self) -> frozenset[MatrixSymbol]:
        return frozenset(symbol for (a, b), symbol in self.reduction.index.blocks.items() if a == b)

    @cached_property
    def _cotangents(self) -> frozenset[str]:
        """Names of the 1 x 1 symbols of the cotangents of statistics."""
        return frozenset(f"{symbol.name}bar" for symbol in self.reduction.statistics)

    def of(self, expression: MatrixExpr, split: bool = True) -> tuple[Term, ...]:
        """Return an expression multiplied out, gains as plain symbols, equal products added up.

        With ``split`` a coefficient that is a sum of gains makes a term for each.
        """
        total: dict[tuple[MatrixExpr, ...], sympy.Expr] = {}
        for summand in summands(expression.subs(self.backward.gain_symbols)):
            term = self._term(summand)
            total[term.factors] = total.get(term.factors, sympy.Integer(0)) + term.coefficient
        terms = [Term(part, factors) for factors, value in total.items() for part in self._parts(value, split)]
        return tuple(sorted(terms, key=self._position))

    def groups(self, terms: Iterable[Term]) -> tuple[Group, ...]:
        """Return terms in groups of the same coefficient but for sign and mean, and of the same row in front."""
        found: dict[tuple[sympy.Expr, MatrixExpr | None], list[Term]] = {}
        for term in terms:
            head = term.factors[0] if len(term.factors) > 1 and self._is_row(term.factors[0]) else None
            inside = sympy.Mul(*(MU**k for k in (1, 2) if term.coefficient.as_coeff_exponent(MU)[1] == k))
            if term.coefficient.as_coeff_Mul()[0].is_negative:
                inside = -inside
            if head is None and (term.coefficient / inside).is_Integer:
                inside = term.coefficient  # nothing to put in front of a bracket
            rest = term.factors if head is None else term.factors[1:]
            found.setdefault((term.coefficient / inside, head), []).append(Term(inside, rest))
        return tuple(
            Group(common, head, tuple(members))
            if len(members) > 1
            else Group(sympy.Integer(1), None, (_whole(common, head, members[0]),))
            for (common, head), members in found.items()
        )

    def _is_row(self, factor: MatrixExpr) -> bool:
        """Whether it is the transpose of a cotangent."""
        cotangents = [*self.backward.next_cotangents.values(), MatrixSymbol("ybar", *self.reduction.output.shape)]
        return isinstance(factor, Transpose) and factor.arg in cotangents

    def _term(self, product: MatrixExpr) -> Term:
        coefficient, factors = (
            product.as_coeff_matrices() if isinstance(product, MatMul) else (sympy.Integer(1), [product])
        )
        kept: list[MatrixExpr] = []
        for factor in factors:
            plain = factor.arg if isinstance(factor, Transpose) else factor
            if isinstance(plain, MatrixSymbol) and plain.name in self._cotangents:
                coefficient *= sympy.Symbol(plain.name)
            elif plain in self._symmetric:
                kept.append(plain)
            elif not isinstance(plain, Identity | GenericIdentity):
                kept.append(factor)
        return Term(coefficient, tuple(kept))

    def _parts(self, coefficient: sympy.Expr, split: bool) -> Iterable[sympy.Expr]:
        """Multiply a coefficient out only where it mixes gains: 1 - dt/tau stays one."""
        gains = set(self.backward.gain_symbols.values())
        if coefficient == 0:
            return ()
        if split and coefficient.free_symbols & gains:
            return sympy.Add.make_args(sympy.expand(coefficient))
        return (coefficient,)

    def _position(self, term: Term) -> tuple[int, tuple[int, ...], int]:
        present = tuple(
            self._order[symbol.name]
            for factor in term.factors
            for symbol in factor.atoms(MatrixSymbol)
            if symbol.name in self._order
        )
        # What multiplies no latent comes last, the mean activity last of all.
        return int(not present), present, int(term.coefficient.has(sympy.Symbol(ACTIVITY.__name__)))


def _whole(coefficient: sympy.Expr, head: MatrixExpr | None, term: Term) -> Term:
    return Term(coefficient * term.coefficient, term.factors if head is None else (head, *term.factors))
