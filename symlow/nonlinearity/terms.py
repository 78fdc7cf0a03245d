"""Functions with a Gaussian expectation in closed form, as sums of polynomials times kernels.

    f(x) = sum_j P_j(x) K_j(x),     K(x) = exp(-c x^2 + a x) cos(w x + p) prod_i erf(a_i x + b_i) H(x - k),

with H the unit step. Sums, products and derivatives of such functions are such functions again, and so are maxima,
minima, absolute values and signs of piecewise linear ones. This is an algebra of its own, rather than SymPy's expand,
diff and integrate, so that the work is bounded on every expression: where it would exceed a limit there is no rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import sympy
from sympy import Abs, Expr, Heaviside, Max, Min, cos, cosh, erf, erfc, exp, log, pi, sign, sin, sinh, sqrt

from symlow.parser import X

MOST_KERNELS = 100
"""The most kernels of a function."""
MOST_PIECES = 60
"""The most pieces of a piecewise linear function."""
HIGHEST_DEGREE = 64
"""The highest power of x."""
LARGEST_NUMBER = 400
"""The most nodes of an exact coefficient that is no rational number."""

ZERO, ONE, MINUS = sympy.Integer(0), sympy.Integer(1), sympy.Integer(-1)
Polynomial = Mapping[int, Expr]
"""Coefficients by power of x."""


class NoRuleError(Exception):
    """A function outside the algebra, or beyond its limits."""


def order(a: Expr, b: Expr) -> int:
    """Return the sign of a - b for real numbers; numbers that agree to 40 digits are equal."""
    difference = a - b
    if difference.is_Rational:
        return int(sympy.sign(difference))
    value = sympy.N(difference, 50)
    if not (value.is_Float and value.is_finite):
        raise NoRuleError
    return 0 if abs(value) < sympy.Float("1e-40") * (1 + abs(sympy.N(a, 20))) else int(sympy.sign(value))


@dataclass(frozen=True)
class Kernel:
    """A factor exp(-c x^2 + a x) cos(w x + p) prod_i erf(a_i x + b_i) H(x - k).

    Attributes:
        curvature: c.
        rate: a.
        wave: (w, p) with w > 0, or None without the cosine.
        sigmoids: (a_i, b_i) of the error functions.
        kink: k, or None without the step.
    """

    curvature: Expr = ZERO
    rate: Expr = ZERO
    wave: tuple[Expr, Expr] | None = None
    sigmoids: tuple[tuple[Expr, Expr], ...] = ()
    kink: Expr | None = None

    def times(self, other: Kernel) -> Iterable[tuple[Expr, Kernel]]:
        """Return the product as pairs of a coefficient and a kernel: two for a product of cosines."""
        kink = self.kink if other.kink is None else other.kink
        if self.kink is not None and other.kink is not None:
            kink = self.kink if order(self.kink, other.kink) > 0 else other.kink
        sigmoids = tuple(sorted(self.sigmoids + other.sigmoids, key=sympy.default_sort_key))
        joint = Kernel(self.curvature + other.curvature, self.rate + other.rate, None, sigmoids, kink)
        if self.wave is None or other.wave is None:
            return [(ONE, replace(joint, wave=self.wave or other.wave))]
        (w, p), (v, q) = self.wave, other.wave
        pairs = [cosine(w - v, p - q), cosine(w + v, p + q)]
        return [(factor / 2, replace(joint, wave=wave)) for factor, wave in pairs]

    def at(self, x: Expr) -> Expr:
        """Return the value at a number, without the step."""
        value = exp(-self.curvature * x**2 + self.rate * x)
        if self.wave is not None:
            value *= cos(self.wave[0] * x + self.wave[1])
        return value * sympy.Mul(*(erf(a * x + b) for a, b in self.sigmoids))


PLAIN = Kernel()


def cosine(w: Expr, p: Expr) -> tuple[Expr, tuple[Expr, Expr] | None]:
    """Return cos(w x + p) as a factor and a wave of positive frequency, or none."""
    direction = order(w, ZERO)
    if direction == 0:
        return cos(p), None
    return ONE, (direction * w, direction * p)


@dataclass(frozen=True)
class Terms:
    """A function as a sum of polynomials times kernels.

    Attributes:
        parts: polynomial by kernel; none is zero.
    """

    parts: Mapping[Kernel, Polynomial]

    @staticmethod
    def total(pairs: Iterable[tuple[Kernel, Polynomial]]) -> Terms:
        """Return the sum of polynomials times kernels.

        Raises:
            NoRuleError: beyond the limits.
        """
        found: dict[Kernel, dict[int, Expr]] = {}
        for kernel, polynomial in pairs:
            part = found.setdefault(kernel, {})
            for power, coefficient in polynomial.items():
                part[power] = _tidy(part.get(power, ZERO) + coefficient)
        parts = {kernel: {n: value for n, value in part.items() if value != 0} for kernel, part in found.items()}
        parts = {kernel: part for kernel, part in parts.items() if part}
        if len(parts) > MOST_KERNELS or any(max(part) > HIGHEST_DEGREE for part in parts.values()):
            raise NoRuleError
        return Terms(parts)

    @staticmethod
    def polynomial(coefficients: Polynomial, kernel: Kernel = PLAIN) -> Terms:
        """Return one polynomial, by powers, times a kernel."""
        return Terms.total([(kernel, coefficients)])

    def plus(self, other: Terms) -> Terms:
        """Return the sum."""
        return Terms.total([*self.parts.items(), *other.parts.items()])

    def times(self, other: Terms) -> Terms:
        """Return the product.

        Raises:
            NoRuleError: beyond the limits.
        """
        if len(self.parts) * len(other.parts) > 4 * MOST_KERNELS:
            raise NoRuleError
        return Terms.total(
            (kernel, {n: factor * value for n, value in _convolved(left, right).items()})
            for one, left in self.parts.items()
            for two, right in other.parts.items()
            for factor, kernel in one.times(two)
        )

    def power(self, exponent: int) -> Terms:
        """Return a power with a positive exponent."""
        result = self
        for _ in range(exponent - 1):
            result = result.times(self)
        return result

    def derivative(self) -> tuple[Terms, tuple[tuple[Expr, Expr], ...]]:
        """Return the derivative: a function, and (place, height) of delta functions where it jumps."""
        pairs: list[tuple[Kernel, Polynomial]] = []
        jumps: dict[Expr, Expr] = {}
        for kernel, part in self.parts.items():
            pairs.append((kernel, {n - 1: n * value for n, value in part.items() if n}))
            slope = {0: kernel.rate, 1: -2 * kernel.curvature}
            pairs.append((kernel, _convolved(part, {n: value for n, value in slope.items() if value != 0})))
            if kernel.wave is not None:
                w, p = kernel.wave
                shifted = replace(kernel, wave=(w, p + pi / 2))
                pairs.append((shifted, {n: w * value for n, value in part.items()}))
            for k, (a, b) in enumerate(kernel.sigmoids):
                rest = kernel.sigmoids[:k] + kernel.sigmoids[k + 1 :]
                bell = Kernel(kernel.curvature + a**2, kernel.rate - 2 * a * b, kernel.wave, rest, kernel.kink)
                pairs.append((bell, {n: 2 * a / sqrt(pi) * exp(-(b**2)) * value for n, value in part.items()}))
            if kernel.kink is not None:
                value = sympy.Add(*(c * kernel.kink**n for n, c in part.items())) * kernel.at(kernel.kink)
                jumps[kernel.kink] = _tidy(jumps.get(kernel.kink, ZERO) + value)
        return Terms.total(pairs), tuple((k, height) for k, height in jumps.items() if height != 0)


def _tidy(number: Expr) -> Expr:
    """Return an exact number multiplied out, so that what cancels is zero."""
    if number.is_Rational:
        return number
    number = sympy.expand(number, power_exp=False, log=False, trig=False, complex=False)
    if sum(1 for _ in sympy.preorder_traversal(number)) > LARGEST_NUMBER:
        raise NoRuleError
    return number


def _convolved(left: Polynomial, right: Polynomial) -> Polynomial:
    found: dict[int, Expr] = {}
    for n, a in left.items():
        for m, b in right.items():
            found[n + m] = found.get(n + m, ZERO) + a * b
    return found


def decomposed(f: Expr) -> Terms | None:
    """Return an expression in ``X`` as polynomials times kernels, or None where it is none or too large."""
    try:
        return _terms(f)
    except NoRuleError:
        return None


def _terms(f: Expr) -> Terms:
    if not f.has(X):
        if not f.is_Rational:
            order(f, ZERO)  # for the refusal of what is no real number
        return Terms.polynomial({0: f})
    if f == X:
        return Terms.polynomial({1: ONE})
    if f.is_Add:
        return Terms.total(pair for argument in f.args for pair in _terms(argument).parts.items())
    if f.is_Mul:
        total, *others = [_terms(argument) for argument in f.args]
        for other in others:
            total = total.times(other)
        return total
    if f.is_Pow:
        return _power(f.base, f.exp)
    if isinstance(f, Max | Min | Abs | sign):
        return lines_of(f).terms
    rule = _RULES.get(f.func)
    if rule is None:
        raise NoRuleError
    return rule(_polynomial(f.args[0]))


def _power(base: Expr, exponent: Expr) -> Terms:
    if exponent.is_Integer and 0 < exponent <= HIGHEST_DEGREE:
        return _terms(base).power(int(exponent))
    if not base.has(X) and order(base, ZERO) > 0:
        return _exponential(_polynomial(exponent * log(base)))
    raise NoRuleError


def _polynomial(f: Expr) -> Polynomial:
    parts = _terms(f).parts
    if parts.keys() - {PLAIN}:
        raise NoRuleError
    return parts.get(PLAIN, {})


def _line(polynomial: Polynomial) -> tuple[Expr, Expr]:
    """Return a, b of a polynomial a x + b with a != 0."""
    if max(polynomial, default=0) != 1:
        raise NoRuleError
    return polynomial[1], polynomial.get(0, ZERO)


def _exponential(exponent: Polynomial) -> Terms:
    if max(exponent, default=0) > 2:
        raise NoRuleError
    kernel = Kernel(-exponent.get(2, ZERO), exponent.get(1, ZERO))
    return Terms.polynomial({0: exp(exponent.get(0, ZERO))}, kernel)


def _hyperbolic(odd: bool) -> Callable[[Polynomial], Terms]:
    def rule(argument: Polynomial) -> Terms:
        a, b = _line(argument)
        minus = -exp(-b) / 2 if odd else exp(-b) / 2
        return Terms.total([(Kernel(rate=a), {0: exp(b) / 2}), (Kernel(rate=-a), {0: minus})])

    return rule


def _wave(shift: Expr) -> Callable[[Polynomial], Terms]:
    def rule(argument: Polynomial) -> Terms:
        a, b = _line(argument)
        factor, wave = cosine(a, b + shift)
        return Terms.polynomial({0: factor}, Kernel(wave=wave))

    return rule


def _sigmoid(argument: Polynomial) -> Terms:
    return Terms.polynomial({0: ONE}, Kernel(sigmoids=(_line(argument),)))


def _complement(argument: Polynomial) -> Terms:
    return Terms.total([(PLAIN, {0: ONE}), (Kernel(sigmoids=(_line(argument),)), {0: MINUS})])


def _step(argument: Polynomial) -> Terms:
    a, b = _line(argument)
    up = order(a, ZERO) > 0
    return Terms.total([(PLAIN, {0: ZERO if up else ONE}), (Kernel(kink=-b / a), {0: ONE if up else MINUS})])


_RULES: Mapping[type[Expr], Callable[[Polynomial], Terms]] = {
    exp: _exponential,
    sin: _wave(-pi / 2),
    cos: _wave(ZERO),
    sinh: _hyperbolic(odd=True),
    cosh: _hyperbolic(odd=False),
    erf: _sigmoid,
    erfc: _complement,
    Heaviside: _step,
}


Line = tuple[Expr, Expr]
"""Intercept and slope."""


@dataclass(frozen=True)
class Lines:
    """A piecewise linear function, with or without jumps.

    Attributes:
        edges: where pieces begin, ascending; the first piece begins at minus infinity and has no edge.
        lines: the pieces, one more than edges.
    """

    edges: tuple[Expr, ...]
    lines: tuple[Line, ...]

    @property
    def terms(self) -> Terms:
        """The function as steps times lines."""
        pairs: list[tuple[Kernel, Polynomial]] = [(PLAIN, dict(enumerate(self.lines[0])))]
        for edge, (before, after) in zip(self.edges, pairwise(self.lines), strict=True):
            change = {n: b - a for n, (a, b) in enumerate(zip(before, after, strict=True))}
            pairs.append((Kernel(kink=edge), change))
        return Terms.total(pairs)

    def scaled(self, factor: Expr) -> Lines:
        """Return the function times a number."""
        return Lines(self.edges, tuple((factor * a, factor * b) for a, b in self.lines))

    def plus(self, other: Lines) -> Lines:
        """Return the sum."""
        edges = _merged(self.edges, other.edges)
        pairs = zip(self._on(edges), other._on(edges), strict=True)
        return _joined(edges, tuple((_tidy(a + c), _tidy(b + d)) for (a, b), (c, d) in pairs))

    def _on(self, edges: tuple[Expr, ...]) -> tuple[Line, ...]:
        """Return the pieces on a finer set of edges."""
        starts = [sum(order(own, edge) <= 0 for own in self.edges) for edge in edges]
        return tuple(self.lines[k] for k in (0, *starts))

    def by_sign(self, of: Callable[[int, Line], Line]) -> Lines:
        """Return the function with each stretch of constant sign replaced by a line.

        Args:
            of: the line for a sign, -1, 0 or 1, and the line there.
        """
        edges: list[Expr] = []
        lines: list[Line] = []
        for k, (intercept, slope) in enumerate(self.lines):
            left = self.edges[k - 1] if k else None
            right = self.edges[k] if k < len(self.edges) else None
            zero = _tidy(-intercept / slope) if slope != 0 else None
            after = zero is not None and (left is None or order(left, zero) < 0)
            inside = after and (right is None or order(zero, right) < 0)
            direction = order(slope, ZERO)
            # Before its zero a line has the sign opposite to its slope.
            first = order(intercept, ZERO) if zero is None else -direction if after else direction
            for start, positive in [(left, first), *([(zero, direction)] if inside else [])]:
                edges += [] if start is None else [start]
                lines.append(of(positive, (intercept, slope)))
        return _joined(tuple(edges), tuple(lines))


def _merged(one: tuple[Expr, ...], two: tuple[Expr, ...]) -> tuple[Expr, ...]:
    merged: list[Expr] = []
    left, right = list(one), list(two)
    while left or right:
        which = -1 if not right else 1 if not left else order(left[0], right[0])
        merged.append(left[0] if which <= 0 else right[0])
        left, right = left[which <= 0 :], right[which >= 0 :]
    return tuple(merged)


def _joined(edges: tuple[Expr, ...], lines: tuple[Line, ...]) -> Lines:
    """Return a function without the edges at which its line stays the same.

    Raises:
        NoRuleError: if it has too many pieces.
    """
    kept = [k for k, (before, after) in enumerate(pairwise(lines)) if before != after]
    if len(kept) > MOST_PIECES:
        raise NoRuleError
    return Lines(tuple(edges[k] for k in kept), (lines[0], *(lines[k + 1] for k in kept)))


def lines_of(f: Expr) -> Lines:
    """Return an expression of x, numbers, sums, maxima, minima, absolute values and signs as pieces.

    Raises:
        NoRuleError: for any other.
    """
    if not f.has(X):
        order(f, ZERO)
        return Lines((), ((f, ZERO),))
    if f == X:
        return Lines((), ((ZERO, ONE),))
    if isinstance(f, Abs | sign):
        inner = lines_of(f.args[0])
        if isinstance(f, Abs):
            return inner.by_sign(lambda s, line: (s * line[0], s * line[1]))
        return inner.by_sign(lambda s, line: (sympy.Integer(s), ZERO))
    if f.is_Add or isinstance(f, Max | Min):
        total, *others = [lines_of(argument) for argument in f.args]
        side = -1 if isinstance(f, Min) else 1
        for other in others:
            if not f.is_Add:  # max(f, g) = g + max(f - g, 0), and min alike with negative parts
                total = total.plus(other.scaled(MINUS)).by_sign(lambda s, line: line if s == side else (ZERO, ZERO))
            total = other.plus(total)
        return total
    if f.is_Mul:
        factor, rest = f.as_independent(X, as_Add=False)
        if factor != 1 and order(factor, ZERO) != 0:
            return lines_of(rest).scaled(factor)
    raise NoRuleError
