"""Sums of matrix products as people write them: with common factors in front of a bracket.

    g Sigma_vm kappa_m + g Sigma_vu kappa_u - g mu Sigma_v1  =  g [Sigma_vm kappa_m + Sigma_vu kappa_u - mu Sigma_v1]

Text and LaTeX print the same groups, each in its own letters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import sympy
from sympy import ImmutableDenseMatrix, MatMul, MatrixExpr, MatrixSymbol, Transpose
from sympy.matrices.expressions.special import GenericIdentity, Identity

from symlow.backward import Backward
from symlow.expressions import summands
from symlow.nonlinearity import MU
from symlow.reduction import Reduction, of_field

LARGEST_INLINE = 6
"""The most entries of a matrix of numbers that is printed where it stands, rather than by name."""


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
        columns = (column.symbol for column in self.reduction.columns.values())
        symbols = [*self.reduction.latents.values(), *columns, self.reduction.network.inputs]
        return {symbol.name: k for k, symbol in enumerate(symbols)}

    @cached_property
    def _symmetric(self) -> frozenset[MatrixSymbol]:
        return frozenset(symbol for (a, b), symbol in self.reduction.index.blocks.items() if a == b)

    @cached_property
    def _cotangents(self) -> frozenset[str]:
        """Names of the 1 x 1 symbols of the cotangents of statistics."""
        return frozenset(f"{symbol.name}bar" for symbol in self.reduction.statistics)

    @cached_property
    def _means(self) -> tuple[sympy.Symbol, ...]:
        return tuple(of_field(MU, one.field) for one in self.reduction.statistics_of if one.activity is not None)

    @cached_property
    def activities(self) -> tuple[sympy.Symbol, ...]:
        """The plain symbols of the mean activities."""
        symbols = self.backward.gain_symbols
        return tuple(symbols[one.activity] for one in self.reduction.statistics_of if one.activity is not None)

    @cached_property
    def _still(self) -> frozenset[str]:
        """Names of cotangents that are zero: of latents and columns that the output does not depend on."""
        reduction = self.reduction
        still = [f"lambda_{key}" for key, latent in reduction.latents.items() if latent.name not in reduction.paths]
        return frozenset([*still, *(f"{name}bar" for name in reduction.columns if name not in reduction.paths)])

    def of(self, expression: MatrixExpr, split: bool = True) -> tuple[Term, ...]:
        """Return an expression multiplied out, gains as plain symbols, equal products added up.

        With ``split`` a coefficient that is a sum of gains makes a term for each.
        """
        total: dict[tuple[MatrixExpr, ...], sympy.Expr] = {}
        for summand in summands(expression.subs(self.backward.gain_symbols)):
            if self._still and any(symbol.name in self._still for symbol in summand.atoms(MatrixSymbol)):
                continue
            term = self._term(summand)
            total[term.factors] = total.get(term.factors, sympy.Integer(0)) + term.coefficient
        terms = [Term(part, factors) for factors, value in total.items() for part in self._parts(value, split)]
        return tuple(sorted(terms, key=self._position))

    def groups(self, terms: Iterable[Term]) -> tuple[Group, ...]:
        """Return terms in groups of the same coefficient but for sign and mean, and of the same row in front."""
        found: dict[tuple[sympy.Expr, MatrixExpr | None], list[Term]] = {}
        for term in terms:
            head = term.factors[0] if len(term.factors) > 1 and self._is_row(term.factors[0]) else None
            powers = ((mean, term.coefficient.as_coeff_exponent(mean)[1]) for mean in self._means)
            inside = sympy.Mul(*(mean**k for mean, k in powers if k in (1, 2)))
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

    def statistic_groups(self, statistic: sympy.Symbol) -> tuple[Group, ...]:
        """Return a mean or variance in groups: overlaps, one over the population's weight in front, and the rest."""
        one = next(one for one in self.reduction.statistics_of if statistic in one.definitions)
        weight = self.reduction.network.equations.population(one.field.population).weight
        terms = self.of(one.definitions[statistic])
        scaled = tuple(Term(term.coefficient * weight, term.factors) for term in terms if term.factors)
        rest = tuple(term for term in terms if not term.factors)
        return (Group(1 / weight, None, scaled), *(Group(sympy.Integer(1), None, (term,)) for term in rest))

    def _is_row(self, factor: MatrixExpr) -> bool:
        """Whether it is the transpose of a cotangent."""
        return isinstance(factor, Transpose) and factor.arg in self._rows

    @cached_property
    def _rows(self) -> frozenset[MatrixSymbol]:
        columns = [self.reduction.network.output, *(column.symbol for column in self.reduction.columns.values())]
        cotangents = [MatrixSymbol(f"{symbol.name}bar", *symbol.shape) for symbol in columns]
        return frozenset([*self.backward.next_cotangents.values(), *cotangents])

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
        return int(not present), present, int(term.coefficient.has(*self.activities))


def _whole(coefficient: sympy.Expr, head: MatrixExpr | None, term: Term) -> Term:
    return Term(coefficient * term.coefficient, term.factors if head is None else (head, *term.factors))


def feeds_back(reduction: Reduction) -> bool:
    """Whether the state equations use the output, at the latents that they start from."""
    network = reduction.network
    used = any(latent.right.has(network.output) for latent in network.latents)
    return used or network.output.name in reduction.columns


def is_large(numbers: ImmutableDenseMatrix) -> bool:
    """Whether a matrix of numbers is printed by name."""
    return len(numbers) > LARGEST_INLINE
