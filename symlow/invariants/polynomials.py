"""Polynomials in the overlaps, and how the Gram flow changes them.

A visible overlap e moves the overlaps by dL/dsigma_e times a vector field X_e, minus column e of the metric G, which is
linear in them. Along the flow

    df/dt = sum_e (X_e f) dL/dsigma_e,      X_e f = -(grad f . G)_e,

so that f is conserved for every loss if, and only if, X_e f = 0 for every visible overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import gcd, lcm

import numpy as np
import sympy

from symlow.arrays import FloatArray
from symlow.learning import GramFlow
from symlow.overlaps import Overlap

Monomial = tuple[int, ...]
"""A product of overlaps: their positions in the order of sigma, ascending, repeated as often as they occur."""

Number = int | Fraction

Polynomial = dict[Monomial, Number]
"""Exact coefficients that are not zero, by monomial."""


def total(parts: Iterable[tuple[Number, Polynomial]]) -> Polynomial:
    """Return the sum of multiples of polynomials."""
    result: Polynomial = {}
    for factor, polynomial in parts:
        for monomial, coefficient in polynomial.items():
            result[monomial] = result.get(monomial, 0) + factor * coefficient
    return {monomial: coefficient for monomial, coefficient in sorted(result.items()) if coefficient}


def product(left: Polynomial, right: Polynomial) -> Polynomial:
    """Return the product of two polynomials."""
    result: Polynomial = {}
    for first, a in left.items():
        for second, b in right.items():
            monomial = tuple(sorted(first + second))
            result[monomial] = result.get(monomial, 0) + a * b
    return {monomial: coefficient for monomial, coefficient in sorted(result.items()) if coefficient}


def primitive(polynomial: Polynomial) -> Polynomial:
    """Return the multiple with integer coefficients without a common divisor, the first of them positive."""
    denominator = lcm(*(coefficient.denominator for coefficient in polynomial.values()))
    divisor = gcd(*(int(coefficient * denominator) for coefficient in polynomial.values()))
    factor = Fraction(denominator, divisor)
    if polynomial[min(polynomial)] < 0:
        factor = -factor
    return {monomial: factor * coefficient for monomial, coefficient in polynomial.items()}


def evaluated(polynomial: Polynomial, sigma: FloatArray) -> FloatArray:
    """Return the values of a polynomial at overlaps of shape (..., n_overlaps), shape (...)."""
    value = np.zeros(sigma.shape[:-1])
    for monomial, coefficient in polynomial.items():
        value = value + float(coefficient) * sigma[..., list(monomial)].prod(axis=-1)
    return value


@dataclass(frozen=True, eq=False)
class VectorFields:
    """The vector fields X_e of the Gram flow, one for each visible overlap.

    Attributes:
        flow: the Gram flow.
    """

    flow: GramFlow

    @cached_property
    def overlaps(self) -> tuple[Overlap, ...]:
        """All overlaps in the order of sigma, visible ones first."""
        return (*self.flow.visible, *self.flow.invisible)

    @cached_property
    def positions(self) -> Mapping[tuple[int, int], int]:
        """The position in sigma of the overlap of two columns of P, in either order."""
        places: dict[tuple[int, int], int] = {}
        for k, overlap in enumerate(self.overlaps):
            places[overlap.row, overlap.column] = places[overlap.column, overlap.row] = k
        return places

    @cached_property
    def _moves(self) -> tuple[tuple[tuple[int, int, int], ...], ...]:
        """For each overlap what moves it: visible overlap, the overlap that its gradient adds, and how often.

        In units of time in which these numbers are integers.
        """
        number = {overlap.name: k for k, overlap in enumerate(self.overlaps)}
        unit = lcm(*(int(rate.q) for rate in self.flow.rates))
        return tuple(
            tuple(
                (number[term.gradient.name], number[term.overlap.name], int(unit * term.coefficient))
                for term in self.flow.terms(overlap)
                if term.gradient is not None  # else of weight decay
            )
            for overlap in self.overlaps
        )

    def change(self, polynomial: Polynomial) -> dict[int, Polynomial]:
        """Return X_e of a polynomial for the visible overlaps e, by number, where it is not zero.

        All X_e have a common factor that makes their coefficients integers.
        """
        result: dict[int, Polynomial] = {}
        for monomial, coefficient in polynomial.items():
            for place, overlap in enumerate(monomial):
                rest = monomial[:place] + monomial[place + 1 :]
                for e, other, factor in self._moves[overlap]:
                    key = tuple(sorted((*rest, other)))
                    changed = result.setdefault(e, {})
                    changed[key] = changed.get(key, 0) + coefficient * factor
        cleaned = {e: {key: value for key, value in result[e].items() if value} for e in sorted(result)}
        return {e: changed for e, changed in cleaned.items() if changed}

    def moving(self, polynomial: Polynomial) -> tuple[str, ...]:
        """Return the visible overlaps whose gradients change a polynomial: none if it is conserved, which proves it."""
        return tuple(self.flow.visible[e].name for e in self.change(polynomial))

    def expression(self, polynomial: Polynomial) -> sympy.Expr:
        """Return a polynomial as a SymPy expression in ``sigma_*``."""
        symbols = [overlap.symbol for overlap in self.overlaps]
        return sympy.Add(
            *(
                sympy.Rational(coefficient.numerator, coefficient.denominator)
                * sympy.Mul(*(symbols[k] for k in monomial))
                for monomial, coefficient in polynomial.items()
            )
        )
