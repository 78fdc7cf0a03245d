"""Columns of neurons while equations are evaluated: what they are made of, and their arithmetic.

sum_c (columns of c) coefficient_c + sum_r (number) r + sum_f (number) phi(f)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import sympy
from sympy import MatMul, MatrixExpr, ZeroMatrix

from symlow.equations import N
from symlow.errors import SpecError, listing
from symlow.expressions import summands

Key = TypeVar("Key", str, int)


@dataclass(frozen=True)
class Neurons:
    """A column of neurons.

    Attributes:
        population: the population whose neurons have the entries.
        span: coefficients of vectors, short columns.
        states: numbers in front of states that have left the span of the vectors.
        activities: numbers in front of phi of fields, by number of the field.
    """

    population: str
    span: Mapping[str, MatrixExpr] = field(default_factory=dict)
    states: Mapping[str, sympy.Expr] = field(default_factory=dict)
    activities: Mapping[int, sympy.Expr] = field(default_factory=dict)

    def scaled(self, number: sympy.Expr) -> Neurons:
        """Return a number times the column."""
        return replace(
            self,
            span={name: scaled(number, value) for name, value in self.span.items()},
            states={name: number * value for name, value in self.states.items()},
            activities={name: number * value for name, value in self.activities.items()},
        )

    def plus(self, other: Neurons) -> Neurons:
        """Return the sum with another column of the population."""
        span = dict(self.span)
        for name, value in other.span.items():
            span[name] = (span[name] + value).doit() if name in span else value
        return replace(
            self,
            span={name: value for name, value in span.items() if not isinstance(value, ZeroMatrix)},
            states=_added(self.states, other.states),
            activities=_added(self.activities, other.activities),
        )


def scaled(number: sympy.Expr, column: MatrixExpr) -> MatrixExpr:
    """Return a number times a short column."""
    return (number * column).expand().doit()


def scale(number: sympy.Expr, value: Neurons | MatrixExpr) -> Neurons | MatrixExpr:
    """Return a number times a column of either kind."""
    return value.scaled(number) if isinstance(value, Neurons) else scaled(number, value)


def plus(left: Neurons | MatrixExpr, right: Neurons | MatrixExpr) -> Neurons | MatrixExpr:
    """Return the sum of two columns of one kind."""
    if isinstance(left, Neurons):
        assert isinstance(right, Neurons)
        return left.plus(right)
    assert isinstance(right, MatrixExpr)
    return (left + right).doit()


def _added(left: Mapping[Key, sympy.Expr], right: Mapping[Key, sympy.Expr]) -> dict[Key, sympy.Expr]:
    total = dict(left)
    for key, value in right.items():
        total[key] = total.get(key, sympy.Integer(0)) + value
    return {key: value for key, value in total.items() if value != 0}


def powers_of_size(columns: Iterable[MatrixExpr]) -> tuple[sympy.Expr, ...]:
    """Return the powers of N in front of the terms of columns, each once."""
    terms = [term for column in columns for term in summands(column)]
    numbers = [term.as_coeff_matrices()[0] if isinstance(term, MatMul) else sympy.Integer(1) for term in terms]
    return tuple(sorted({number.as_independent(N)[1] for number in numbers}, key=str))


def without_size(span: Mapping[str, MatrixExpr], where: str) -> tuple[sympy.Expr, Mapping[str, MatrixExpr]]:
    """Return the power of N that coefficients share, and coefficients without it.

    Raises:
        SpecError: if they do not share one; the message says ``where``.
    """
    powers = powers_of_size(span.values())
    if len(powers) > 1:
        raise SpecError(
            f"{where}: found terms with {listing(map(str, powers))} that are read together; accepted: 1/N once for "
            "each Q.T*..., or nowhere"
        )
    return powers[0], {name: scaled(1 / powers[0], coefficient) for name, coefficient in span.items()}
