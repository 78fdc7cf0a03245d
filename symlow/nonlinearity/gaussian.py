"""Gaussian expectations in closed form: E[f(mu + sqrt(Delta) xi)] with xi ~ N(0, 1), by rules.

    E[x f(x)] = mu E[f(x)] + Delta E[f'(x)]        (Stein's lemma; powers of x by repetition),
    E[exp(a x) f(x)] = exp(a mu + a^2 Delta / 2) E'[f(x)]        with mean mu + a Delta,
    E[exp(-c (x - b)^2) f(x)] = exp(-c (mu - b)^2 / s) / sqrt(s) E'[f(x)],     s = 1 + 2 c Delta,
                                      with mean (mu + 2 b c Delta) / s and variance Delta / s,
    E[cos(w x + p)] = cos(w mu + p) exp(-w^2 Delta / 2),     E[erf(a x + b)] = erf((a mu + b) / sqrt(1 + 2 a^2 Delta)),
    E[H(x - k)] = (1 + erf((mu - k) / sqrt(2 Delta))) / 2,
    E[delta(x - k)] = exp(-(mu - k)^2 / (2 Delta)) / sqrt(2 pi Delta)

and linearity: what polynomials times such factors and their products can have (:mod:`symlow.nonlinearity.terms`).
"""

from __future__ import annotations

import sympy
from sympy import Expr, Rational, binomial, cos, erf, exp, factorial2, pi, sin, sqrt

from symlow.nonlinearity.terms import ZERO, Kernel, NoRuleError, Polynomial, Terms, decomposed, order
from symlow.parser import X

__all__ = ["DELTA", "MU", "X", "expectation", "mean_slope"]

MU = sympy.Symbol("mu", real=True)
"""Mean of the state over neurons."""
DELTA = sympy.Symbol("Delta", nonnegative=True)
"""Variance of the state over neurons."""

MOST_MONOMIALS = 600
"""The most monomials of mu and Delta in a closed form."""


def expectation(f: Expr) -> Expr | None:
    """Return E[f(mu + sqrt(Delta) xi)] in ``MU`` and ``DELTA``, or None where no rule applies.

    Args:
        f: expression in ``X``.
    """
    terms = decomposed(f)
    return None if terms is None else _closed(terms, ())


def mean_slope(phi: Expr) -> Expr | None:
    """Return E[phi'(mu + sqrt(Delta) xi)] in closed form, or None where no rule applies.

    Args:
        phi: expression in ``X``; where it jumps, its derivative is a delta function.
    """
    terms = decomposed(phi)
    if terms is None:
        return None
    try:
        return _closed(*terms.derivative())
    except NoRuleError:
        return None


def _closed(terms: Terms, jumps: tuple[tuple[Expr, Expr], ...]) -> Expr | None:
    """Return the expectation of polynomials times kernels, and of delta functions, (place, height) each."""
    if sum(_monomials(kernel, part) for kernel, part in terms.parts.items()) > MOST_MONOMIALS:
        return None
    try:
        parts = [_tilted(kernel, part) for kernel, part in terms.parts.items()]
    except NoRuleError:
        return None
    return sympy.Add(*parts, *(height * _density(MU - place, DELTA) for place, height in jumps))


def _monomials(kernel: Kernel, part: Polynomial) -> int:
    degree = max(part)
    if kernel.sigmoids:
        return 1 + (2 + degree) ** 3 // 24
    return (2 + degree) ** 2 // 4 if kernel.wave or kernel.kink is not None else 1 + degree // 2


def _tilted(kernel: Kernel, part: Polynomial) -> Expr:
    """Return the expectation of a polynomial times a kernel, its exponential taken into the Gaussian.

    Raises:
        NoRuleError: if two of cosine, error functions and step are left; if it is infinite for large variances; or if
            it is the product of a large number and a small one, as for a step times exp(a x).
    """
    c, a = kernel.curvature, kernel.rate
    direction = order(c, ZERO)
    if direction < 0 or (direction == 0 and a != 0 and kernel.kink is not None):
        raise NoRuleError
    if (kernel.wave is not None) + len(kernel.sigmoids) + (kernel.kink is not None) > 1:
        raise NoRuleError
    if direction == 0:
        weight, mean, variance = exp(a * MU + a**2 * DELTA / 2), MU + a * DELTA, DELTA
    else:
        spread, centre = 1 + 2 * c * DELTA, a / (2 * c)
        weight = exp(c * centre**2) * exp(-c * (MU - centre) ** 2 / spread) / sqrt(spread)
        mean, variance = (MU + a * DELTA) / spread, DELTA / spread
    if kernel.wave is not None:
        return weight * _wave(part, mean, variance, *kernel.wave)
    if kernel.sigmoids:
        return weight * _sigmoid(part, mean, variance, *kernel.sigmoids[0])
    if kernel.kink is not None:
        return weight * _step(part, mean, variance, kernel.kink)
    return weight * _polynomial(part, mean, variance)


def _polynomial(part: Polynomial, mean: Expr, variance: Expr) -> Expr:
    return sympy.Add(*(coefficient * _moment(n, mean, variance) for n, coefficient in part.items()))


def _moment(n: int, mean: Expr, variance: Expr) -> Expr:
    """Return E[x^n] (Isserlis): E[xi^2k] = (2k - 1)!!."""
    return sympy.Add(
        *(binomial(n, 2 * k) * factorial2(2 * k - 1) * mean ** (n - 2 * k) * variance**k for k in range(n // 2 + 1))
    )


def _wave(part: Polynomial, mean: Expr, variance: Expr, w: Expr, p: Expr) -> Expr:
    """Return E[P(x) cos(w x + p)], the real part of exp(i (w mu + p) - w^2 Delta / 2) E[P(x + i w Delta)]."""
    real, imaginary, turn = ZERO, ZERO, w * variance
    for n, coefficient in part.items():
        for k in range(n // 2 + 1):
            left = n - 2 * k
            for j in range(left + 1):
                signed = (-1) ** (j // 2) * binomial(n, 2 * k) * factorial2(2 * k - 1) * binomial(left, j)
                term = signed * coefficient * variance**k * mean ** (left - j) * turn**j
                real, imaginary = (real + term, imaginary) if j % 2 == 0 else (real, imaginary + term)
    angle = w * mean + p
    return exp(-(w**2) * variance / 2) * (real * cos(angle) - imaginary * sin(angle))


def _stein(part: Polynomial, mean: Expr, variance: Expr, slopes: list[Expr]) -> Expr:
    """Return what the derivative of a factor K adds to E[P(x) K(x)] beyond E[P] E[K], by Stein's lemma.

    q_n = mu q_(n-1) + (n - 1) Delta q_(n-2) + Delta E[x^(n-1) K'(x)], from q_0 = 0.

    Args:
        part: P.
        mean: of the Gaussian.
        variance: of the Gaussian.
        slopes: E[x^n K'(x)] without a common factor, for n = 0, 1, ...
    """
    m, v = sympy.symbols("m v")
    unknown = sympy.symbols(f"s:{len(slopes)}")
    q: list[Expr] = [ZERO]
    for n in range(1, max(part) + 1):
        before = (n - 1) * v * q[n - 2] if n > 1 else ZERO
        q.append(sympy.expand(m * q[n - 1] + before + v * unknown[n - 1]))
    total = sympy.Add(*(coefficient * q[n] for n, coefficient in part.items()))
    return total.xreplace({m: mean, v: variance, **dict(zip(unknown, slopes, strict=True))})


def _sigmoid(part: Polynomial, mean: Expr, variance: Expr, a: Expr, b: Expr) -> Expr:
    spread = 1 + 2 * a**2 * variance
    argument = (a * mean + b) / sqrt(spread)
    bell = 2 * a / sqrt(pi * spread) * exp(-(argument**2))
    centre, width = (mean - 2 * a * b * variance) / spread, variance / spread
    slopes = [_moment(n, centre, width) for n in range(max(part))]
    return _polynomial(part, mean, variance) * erf(argument) + bell * _stein(part, mean, variance, slopes)


def _step(part: Polynomial, mean: Expr, variance: Expr, kink: Expr) -> Expr:
    above = Rational(1, 2) + erf((mean - kink) / sqrt(2 * variance)) / 2
    density = _density(mean - kink, variance)
    slopes = [kink**n for n in range(max(part))]
    return _polynomial(part, mean, variance) * above + density * _stein(part, mean, variance, slopes)


def _density(deviation: Expr, variance: Expr) -> Expr:
    return exp(-(deviation**2) / (2 * variance)) / sqrt(2 * pi * variance)
