"""Values of nonlinearities at many digits, and whether phi(x) + phi(-x) = 0, or phi(x) - phi(-x) = 2 c x.

Symmetry is found at sample points, to 25 digits, rather than proved: SymPy's simplification can take forever, and no
expression that a specification can hold agrees to so many digits at points like these without being equal.
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import sympy

from symlow.errors import SpecError
from symlow.parser import X

DIGITS = 40
POINTS = tuple(sympy.sqrt(sympy.Rational(k, 7)) for k in (2, 5, 11, 41, 173))
KINKED = (sympy.Max, sympy.Min, sympy.Abs, sympy.sign, sympy.Heaviside, sympy.DiracDelta, sympy.Piecewise)
FASTEST = 100
"""No expectation is taken of a function that grows faster than exp of this times x."""

Evaluated = Callable[[mpmath.mpf], mpmath.mpf]


def evaluated(f: sympy.Expr) -> Evaluated:
    """Return a function of x that raises ``ValueError`` where the expression has no finite real value."""
    compiled = sympy.lambdify(X, f, "mpmath", cse=True)

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
    value = evaluated(phi)
    return _all_close(value, lambda x, plus, minus: (plus + minus, mpmath.mpf(0)))


def odd_slope(phi: sympy.Expr) -> sympy.Expr | None:
    """Return c where the odd part of phi is c x, so that its gain at mean 0 is c; None where it is not."""
    if not _is_tame(evaluated(phi)):
        return None
    value = evaluated(phi)
    if _all_close(value, lambda x, plus, minus: (plus - minus, mpmath.mpf(0))):
        return sympy.Integer(0)
    if not is_smooth(phi):
        return None
    slope = sympy.diff(phi, X).subs(X, 0)
    with mpmath.workdps(DIGITS):
        number = mpmath.mpmathify(sympy.N(slope, DIGITS + 10)) if slope.is_finite else mpmath.nan
    if isinstance(number, mpmath.mpc) or not mpmath.isfinite(number):
        return None
    return slope if _all_close(value, lambda x, plus, minus: (plus - minus, 2 * number * x)) else None


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


def _all_close(
    value: Evaluated, sides: Callable[[mpmath.mpf, mpmath.mpf, mpmath.mpf], tuple[mpmath.mpf, mpmath.mpf]]
) -> bool:
    with mpmath.workdps(DIGITS + 10):
        for point in POINTS:
            x = mpmath.mpmathify(sympy.N(point, DIGITS + 10))
            try:
                plus, minus = value(x), value(-x)
            except ValueError:
                return False
            one, two = sides(x, plus, minus)
            if abs(one - two) > mpmath.mpf(10) ** -25 * (1 + abs(plus)):
                return False
    return True


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
