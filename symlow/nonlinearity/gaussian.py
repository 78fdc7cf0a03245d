"""Gaussian expectations in closed form: E[f(mu + sqrt(Delta) xi)] with xi ~ N(0, 1), by rules.

    E[x f(x)] = (mu + Delta d/dmu) E[f(x)]        (Stein's lemma; powers of x by repetition)
    E[exp(a x + b)] = exp(a mu + b + a^2 Delta / 2),     E[erf(a x + b)] = erf((a mu + b) / sqrt(1 + 2 a^2 Delta)),
    E[exp(-c x^2 + a x + b)] = exp((-c mu^2 + a mu + a^2 Delta / 2) / (1 + 2 c Delta) + b) / sqrt(1 + 2 c Delta),
    E[max(x - b, 0)] = (mu - b) Phi((mu - b) / sqrt(Delta)) + sqrt(Delta) phi((mu - b) / sqrt(Delta)),

and linearity. Functions made of maxima, minima and absolute values of linear ones are sums of such ramps. Rules, rather
than an integrator: they take a bounded time on any expression, and give the same form each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import sympy
from sympy import Abs, Heaviside, Max, Min, Rational, cos, cosh, erf, exp, pi, sign, sin, sinh, sqrt

from symlow.parser import X

MU = sympy.Symbol("mu", real=True)
"""Mean of the state over neurons."""
DELTA = sympy.Symbol("Delta", nonnegative=True)
"""Variance of the state over neurons."""

MOST_TERMS = 200
"""The most terms of a product that is multiplied out."""
HIGHEST_DEGREE = 40
"""The highest power of x with a closed form."""


def expectation(f: sympy.Expr) -> sympy.Expr | None:
    """Return E[f(mu + sqrt(Delta) xi)] in ``MU`` and ``DELTA``, or None where no rule applies.

    Args:
        f: expression in ``X``.
    """
    ramps = piecewise_linear(f)
    if ramps is not None:
        return ramps.expectation
    if f.is_Add:
        return _sum(f)
    if f.is_polynomial(X):
        polynomial = sympy.Poly(f, X)
        return _moment(polynomial) if polynomial.degree() <= HIGHEST_DEGREE else None
    if f.is_Mul or f.is_Pow:
        return _product(f)
    return _transcendental(f)


def _sum(f: sympy.Expr) -> sympy.Expr | None:
    total = sympy.Integer(0)
    for term in f.args:
        part = expectation(term)
        if part is None:
            return None
        total += part
    return total


def _moment(polynomial: sympy.Poly) -> sympy.Expr:
    """Return the expectation of a polynomial (Isserlis): E[xi^2k] = (2k - 1)!!."""
    return sympy.Add(
        *(
            coefficient * sympy.binomial(n, 2 * k) * sympy.factorial2(2 * k - 1) * MU ** (n - 2 * k) * DELTA**k
            for (n,), coefficient in polynomial.terms()
            for k in range(n // 2 + 1)
        )
    )


def _product(f: sympy.Expr) -> sympy.Expr | None:
    """Return the expectation of a product: a constant, a polynomial and at most one other factor."""
    constant, rest = f.as_independent(X)
    if constant != 1:
        part = expectation(rest)
        return None if part is None else constant * part
    expanded = _multiplied_out(f)
    if expanded.is_Add:
        return _sum(expanded)
    power, others = 0, sympy.Integer(1)
    for factor in sympy.Mul.make_args(expanded):
        base, exponent = factor.as_base_exp()
        if base == X and exponent.is_Integer and exponent.is_positive:
            power += int(exponent)
        else:
            others *= factor
    if power > HIGHEST_DEGREE or (power == 0 and others != f and others.is_Mul):
        return None
    total = _transcendental(others) if power == 0 else expectation(others)
    for _ in range(power):
        if total is None:
            return None
        total = MU * total + DELTA * sympy.diff(total, MU)
    return total


def _multiplied_out(f: sympy.Expr) -> sympy.Expr:
    """Return a product multiplied out, and its exponentials joined, unless it would have too many terms."""
    terms = 1
    for factor in sympy.Mul.make_args(f):
        base, exponent = factor.as_base_exp()
        if base.is_Add and exponent.is_Integer and exponent.is_positive:
            terms *= len(base.args) ** int(exponent)
    if terms > MOST_TERMS:
        return f
    return sympy.powsimp(sympy.expand(f, power_base=False, log=False, trig=False, complex=False))


def _transcendental(f: sympy.Expr) -> sympy.Expr | None:
    """Return the expectation of one function of a linear (or, in an exponential, quadratic) argument."""
    head, argument = f.func, (f.args[0] if f.args else f)
    if head == exp and argument.is_polynomial(X):
        return _exponential(sympy.Poly(argument, X))
    line = _line(argument)
    if line is None:
        return None
    a, b = line
    centre = a * MU + b
    if head in (sin, cos):
        return head(centre) * exp(-(a**2) * DELTA / 2)
    if head in (sinh, cosh):
        return head(centre) * exp(a**2 * DELTA / 2)
    if head == erf:
        return erf(centre / sqrt(1 + 2 * a**2 * DELTA))
    if head == sign:
        return sign(a) * erf((MU + b / a) / sqrt(2 * DELTA))
    if head == Heaviside:
        return (1 + sign(a) * erf((MU + b / a) / sqrt(2 * DELTA))) / 2
    if head == sympy.DiracDelta:
        return _density(MU + b / a) / abs(a)
    return None


def _exponential(exponent: sympy.Poly) -> sympy.Expr | None:
    if exponent.degree() > 2:
        return None
    c, a, b = (-exponent.coeff_monomial(X**2), exponent.coeff_monomial(X), exponent.coeff_monomial(1))
    if c.is_negative:
        return None
    spread = 1 + 2 * c * DELTA
    return exp((-c * MU**2 + a * MU + a**2 * DELTA / 2) / spread + b) / sqrt(spread)


def _line(argument: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr] | None:
    """Return a, b of an argument a x + b with real a != 0."""
    if not argument.is_polynomial(X):
        return None
    polynomial = sympy.Poly(argument, X)
    if polynomial.degree() != 1:
        return None
    a, b = polynomial.all_coeffs()
    return (a, b) if a.is_real and b.is_real else None


def _density(deviation: sympy.Expr) -> sympy.Expr:
    return exp(-(deviation**2) / (2 * DELTA)) / sqrt(2 * pi * DELTA)


@dataclass(frozen=True)
class Ramps:
    """A continuous piecewise linear function, intercept + slope x + sum_k jump_k max(x - kink_k, 0).

    Attributes:
        intercept: exact number.
        slope: slope left of all kinks.
        jumps: (kink, change of the slope there), kinks ascending.
    """

    intercept: sympy.Rational
    slope: sympy.Rational
    jumps: tuple[tuple[sympy.Rational, sympy.Rational], ...]

    @property
    def expectation(self) -> sympy.Expr:
        """E of the function."""
        total = self.intercept + self.slope * MU
        for kink, jump in self.jumps:
            centre = MU - kink
            total += jump * (centre * (1 + erf(centre / sqrt(2 * DELTA))) / 2 + DELTA * _density(centre))
        return total

    @property
    def mean_slope(self) -> sympy.Expr:
        """E of its derivative."""
        half = Rational(1, 2)
        return self.slope + sympy.Add(
            *(jump * half * (1 + erf((MU - kink) / sqrt(2 * DELTA))) for kink, jump in self.jumps)
        )

    def scaled(self, factor: sympy.Rational) -> Ramps:
        """Return the function times a number."""
        jumps = tuple((kink, factor * jump) for kink, jump in self.jumps) if factor else ()
        return Ramps(factor * self.intercept, factor * self.slope, jumps)

    def plus(self, other: Ramps) -> Ramps:
        """Return the sum of two functions."""
        jumps = dict(self.jumps)
        for kink, jump in other.jumps:
            jumps[kink] = jumps.get(kink, sympy.Integer(0)) + jump
        kept = tuple(sorted((kink, jump) for kink, jump in jumps.items() if jump != 0))
        return Ramps(self.intercept + other.intercept, self.slope + other.slope, kept)

    def positive_part(self) -> Ramps:
        """Return max(f, 0): the function between those zeros where it is positive."""
        found = []
        kinks = [kink for kink, _ in self.jumps]
        edges: list[sympy.Expr] = [-sympy.oo, *kinks, sympy.oo]
        for (left, right), (intercept, slope) in zip(pairwise(edges), self._lines(), strict=True):
            found.append((left, intercept, slope))
            if slope != 0 and left < -intercept / slope < right:
                found.append((-intercept / slope, intercept, slope))
        # On each piece the sign is constant: judge it by a point inside.
        pieces: list[tuple[sympy.Expr, sympy.Rational, sympy.Rational]] = []
        for (left, intercept, slope), (right, _, _) in pairwise([*found, (sympy.oo, 0, 0)]):
            inside = _between(left, right)
            zero = sympy.Integer(0)
            pieces.append((left, intercept, slope) if intercept + slope * inside > 0 else (left, zero, zero))
        jumps = tuple(
            (left, slope - before) for (_, _, before), (left, _, slope) in pairwise(pieces) if slope != before
        )
        return Ramps(pieces[0][1], pieces[0][2], jumps)

    def _lines(self) -> Iterator[tuple[sympy.Rational, sympy.Rational]]:
        intercept, slope = self.intercept, self.slope
        yield intercept, slope
        for kink, jump in self.jumps:
            intercept, slope = intercept - jump * kink, slope + jump
            yield intercept, slope


def _between(left: sympy.Expr, right: sympy.Expr) -> sympy.Rational:
    if left == -sympy.oo:
        return sympy.Integer(0) if right == sympy.oo else right - 1
    return left + 1 if right == sympy.oo else (left + right) / 2


def piecewise_linear(f: sympy.Expr) -> Ramps | None:
    """Return an expression of x, numbers, sums, maxima, minima and absolute values as ramps; None for any other."""
    zero = sympy.Integer(0)
    if f == X:
        return Ramps(zero, sympy.Integer(1), ())
    if f.is_Rational:
        return Ramps(f, zero, ())
    if f.is_Add or isinstance(f, Max | Min):
        parts = [piecewise_linear(argument) for argument in f.args]
        total = parts[0]
        for part in parts[1:]:
            if total is None or part is None:
                return None
            if f.is_Add:
                total = total.plus(part)
            elif isinstance(f, Max):
                total = part.plus(total.plus(part.scaled(sympy.Integer(-1))).positive_part())
            else:
                difference = part.plus(total.scaled(sympy.Integer(-1)))
                total = part.plus(difference.positive_part().scaled(sympy.Integer(-1)))
        return total
    if isinstance(f, Abs):
        inner = piecewise_linear(f.args[0])
        minus = sympy.Integer(-1)
        return None if inner is None else inner.positive_part().scaled(sympy.Integer(2)).plus(inner.scaled(minus))
    if f.is_Mul:
        factor, rest = f.as_independent(X)
        inner = piecewise_linear(rest) if factor.is_Rational and rest != f else None
        return None if inner is None else inner.scaled(factor)
    return None


def mean_slope(phi: sympy.Expr) -> sympy.Expr | None:
    """Return E[phi'(mu + sqrt(Delta) xi)] in closed form, or None where no rule applies."""
    ramps = piecewise_linear(phi)
    return ramps.mean_slope if ramps is not None else expectation(sympy.diff(phi, X))
