"""Values of nonlinearities at many digits, and whether phi(x) + phi(-x) = 0, or phi(x) - phi(-x) = 2 c x.

Symmetry is found at sample points, to 25 digits, rather than proved, for SymPy's simplification can take forever: at a
few points where phi is smooth, near and far, and between all kinks where it has some that the algebra of
:mod:`symlow.nonlinearity.terms` finds. Other functions with kinks have the symmetry that their parts give them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import mpmath
import sympy

from symlow.errors import SpecError
from symlow.nonlinearity.terms import decomposed
from symlow.parser import X

DIGITS = 40
NEAR = tuple(mpmath.mpf(k) / 7 for k in (2, 5, 11, 19, 37))
FAR = tuple(mpmath.mpf(k) / 7 for k in (101, 499, 3001, 20011))
"""Not every function is finite here."""
KINKED = (sympy.Max, sympy.Min, sympy.Abs, sympy.sign, sympy.Heaviside, sympy.DiracDelta, sympy.Piecewise)
ODD = (sympy.sign, sympy.tanh, sympy.erf, sympy.sin, sympy.sinh, sympy.atan, sympy.asinh)
FASTEST = 100
"""No expectation is taken of a function that grows faster than exp of this times x."""

LARGEST_ARGUMENT = 1e100
"""mpmath takes a time that grows with the digits of the argument of an exponential or a sine."""

Evaluated = Callable[[mpmath.mpf], mpmath.mpf]


def _bounded(function: Evaluated, largest: float) -> Evaluated:
    def value(x: mpmath.mpf) -> mpmath.mpf:
        if abs(x) > largest:
            raise OverflowError
        return function(x)

    return value


def _exp(x: mpmath.mpf) -> mpmath.mpf:
    if abs(x) > LARGEST_ARGUMENT:
        if mpmath.re(x) > 0:
            raise OverflowError
        return mpmath.mpf(0)
    return mpmath.exp(x)


_BOUNDED = {
    "exp": _exp,
    "sinh": _bounded(mpmath.sinh, LARGEST_ARGUMENT),
    "cosh": _bounded(mpmath.cosh, LARGEST_ARGUMENT),
    "sin": _bounded(mpmath.sin, LARGEST_ARGUMENT),
    "cos": _bounded(mpmath.cos, LARGEST_ARGUMENT),
}


def evaluated(f: sympy.Expr) -> Evaluated:
    """Return a function of x that raises ``ValueError`` where the expression has no finite real value."""
    compiled = sympy.lambdify(X, f, [_BOUNDED, "mpmath"], cse=True)

    def value(x: mpmath.mpf) -> mpmath.mpf:
        try:
            found = mpmath.mpmathify(compiled(x))
        except (ZeroDivisionError, OverflowError, TypeError):
            raise ValueError(f"no value at x = {mpmath.nstr(x, 5)}") from None
        if isinstance(found, mpmath.mpc) or not mpmath.isfinite(found):
            raise ValueError(f"no finite real value at x = {mpmath.nstr(x, 5)}")
        return found

    return value


def is_smooth(phi: sympy.Expr) -> bool:
    """Whether no function in phi has a kink or a jump."""
    return not phi.has(*KINKED)


def is_odd(phi: sympy.Expr) -> bool:
    """Whether phi(-x) = -phi(x)."""
    if not is_smooth(phi) and decomposed(phi) is None:
        return _parity(phi) == -1
    return _all_close(phi, lambda x, plus, minus: (plus + minus, mpmath.mpf(0)))


def odd_slope(phi: sympy.Expr) -> sympy.Expr | None:
    """Return c where the odd part of phi is c x, so that its gain at mean 0 is c; None where it is not."""
    if not _is_tame(evaluated(phi)) or _has_pole(phi):
        return None
    if not is_smooth(phi):
        return sympy.Integer(0) if _parity(phi) == 1 else None
    if _all_close(phi, lambda x, plus, minus: (plus - minus, mpmath.mpf(0))):
        return sympy.Integer(0)
    slope = sympy.diff(phi, X).subs(X, 0)
    with mpmath.workdps(DIGITS):
        number = mpmath.mpmathify(sympy.N(slope, DIGITS + 10)) if slope.is_finite else mpmath.nan
    if isinstance(number, mpmath.mpc) or not mpmath.isfinite(number):
        return None
    return slope if _all_close(phi, lambda x, plus, minus: (plus - minus, 2 * number * x)) else None


def _parity(f: sympy.Expr) -> int:
    """Return 1 for a function that is even by its parts, -1 for an odd one, and 0 where they do not tell."""
    if not f.has(X):
        return 1
    if f == X:
        return -1
    parts = [_parity(argument) for argument in f.args]
    if f.is_Mul:
        return math.prod(parts)
    if f.is_Add:
        return parts[0] if len(set(parts)) == 1 else 0
    if f.is_Pow and f.exp.is_Integer:
        return parts[0] if f.exp % 2 else abs(parts[0])
    if all(part == 1 for part in parts) or (parts == [-1] and f.func in (sympy.Abs, sympy.cos, sympy.cosh)):
        return 1
    return -1 if parts == [-1] and f.func in ODD else 0


def _is_tame(value: Evaluated) -> bool:
    """Whether a function grows no faster than an exponential, so that it has expectations at all variances."""
    try:
        # Near points first: at far ones, an exponential of an exponential takes forever.
        for distance in (1, 10, 100, 1000):
            for x in (mpmath.mpf(distance), -mpmath.mpf(distance)):
                if mpmath.log(1 + abs(value(x))) > FASTEST * (3 + distance):
                    return False
    except ValueError:
        return False
    return True


def _has_pole(phi: sympy.Expr) -> bool:
    """Whether a denominator changes its sign, so that phi has no expectation, though it may be even."""
    for power in phi.atoms(sympy.Pow):
        if power.base.has(X) and power.exp.is_number and power.exp.is_negative:
            value = evaluated(power.base)
            try:
                signs = {mpmath.sign(value(mpmath.mpf(k) / 7)) for k in range(-140, 141)}
            except ValueError:
                return True
            if len(signs) > 1:
                return True
    return False


def _all_close(
    phi: sympy.Expr, sides: Callable[[mpmath.mpf, mpmath.mpf, mpmath.mpf], tuple[mpmath.mpf, mpmath.mpf]]
) -> bool:
    value = evaluated(phi)
    with mpmath.workdps(DIGITS + 10):
        for x in _points(phi):
            try:
                plus, minus = value(x), value(-x)
            except ValueError:
                if x in FAR:
                    continue
                return False
            one, two = sides(x, plus, minus)
            if abs(one - two) > mpmath.mpf(10) ** -25 * (1 + abs(plus)):
                return False
    return True


def _points(phi: sympy.Expr) -> list[mpmath.mpf]:
    """Return sample points: a few where phi is smooth, else a few on each piece."""
    terms = None if is_smooth(phi) else decomposed(phi)
    kinks = set() if terms is None else {abs(kernel.kink) for kernel in terms.parts if kernel.kink is not None}
    edges = sorted({mpmath.mpf(0), *(mpmath.mpmathify(sympy.N(kink, DIGITS)) for kink in kinks)})
    between = [left + (right - left) * point / 7 for left, right in pairwise(edges) for point in NEAR]
    return [*between, *(edges[-1] + point for point in NEAR), *FAR]


def even_slope(phi: sympy.Expr) -> Evaluated:
    """Return the even part of phi', the only part that has a share in the gain at mean 0.

    Raises:
        SpecError: if phi is not smooth, for which phi' would have jumps.
    """
    if not is_smooth(phi):
        raise SpecError(
            f"nonlinearity: no closed form of the gain of {phi}, and it is not smooth; accepted: smooth functions, and "
            "sums and products of polynomials with max, min, abs and sign of piecewise linear functions"
        )
    slope = evaluated(sympy.diff(phi, X))
    return lambda x: (slope(x) + slope(-x)) / 2
