"""Gains without a closed form: Chebyshev series over the whole half-line of variances, with a certified error.

    g(Delta) = s^k sum_n c_n T_n(2 s - 1),     s = (1 + c Delta)^(-1/2),     0 < s <= 1,

and a series of the same form for dg/dDelta. The variable s is smooth in Delta at 0, unlike 1/(1 + sqrt(Delta)), and is
the one that g of a saturating phi is a power series of for large Delta: for tanh and c = 3 the error is 1.5e-15 with 32
terms, over all Delta. k is the order at which g decays, so that the error is relative.

The samples are integrals over fixed Gauss-Legendre panels at graded distances from 0, in float64, of values computed at
30 digits; the certificate compares the finished series with tanh-sinh quadrature at 30 digits between the nodes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import mpmath
import numpy as np
import sympy
from numpy.typing import NDArray

from symlow.arrays import FloatArray
from symlow.errors import SpecError
from symlow.parser import X

Function = Callable[[float], float]
Certified = Callable[[float], mpmath.mpf]

DIGITS = 30
TARGET = 2e-14
"""Relative error at which no more terms are added."""
ACCEPTED = 1e-12
"""The largest relative error of a gain that is accepted."""
LARGEST_VARIANCE = 1e4
"""The bound is certified for variances up to here."""
TERMS = (24, 32, 40, 48, 64, 96, 128)
STRETCHES = (3.0, 2.0, 4.0, 1.0, 8.0)
"""Values of c tried, in units of the initial rate of g; for tanh, the first is best."""
CERTIFIED_POINTS = 16


@dataclass(frozen=True)
class Series:
    """A function of the variance as a Chebyshev series in s.

    Attributes:
        coefficients: c_n.
        order: k, the power of s in front.
        stretch: c in s = (1 + c Delta)^(-1/2).
        error: the certified bound of the error, relative to the function's scale.
    """

    coefficients: tuple[float, ...]
    order: int
    stretch: float
    error: float

    def __call__(self, variance: FloatArray) -> FloatArray:
        """Return the value at variances."""
        s = 1 / np.sqrt(1 + self.stretch * variance)
        return np.polynomial.chebyshev.chebval(2 * s - 1, self.coefficients) * s**self.order


@dataclass(frozen=True)
class GainSeries:
    """The gain and its derivative with respect to the variance."""

    gain: Series
    slope: Series

    @property
    def error(self) -> float:
        """The larger of the two certified bounds."""
        return max(self.gain.error, self.slope.error)


@functools.lru_cache(maxsize=64)
def gain_series(phi: sympy.Expr) -> GainSeries:
    """Return series of g(Delta) = E[phi'(sqrt(Delta) xi)] and of its derivative.

    Raises:
        SpecError: if phi is not smooth, or no series reaches the accepted error.
    """
    integrals = _Integrals(phi)
    rate = abs(integrals.slope(0.0) / integrals.gain(0.0)) if integrals.gain(0.0) else 1.0
    rate = rate if 1e-3 < rate < 1e3 else 1.0
    return GainSeries(
        _fitted(integrals.gain, integrals.certified_gain, rate, phi),
        _fitted(integrals.slope, integrals.certified_slope, rate, phi),
    )


class _Integrals:
    """E[phi'(sqrt(Delta) xi)] and its derivative in Delta, in float64 and at 30 digits, from the even part of phi'.

    dg/dDelta = E[phi''']/2 for small variances, and E[(xi^2 - 1) phi'] / (2 Delta) for others: the first loses digits
    to cancellation where phi' is narrow, the second where it is wide.
    """

    def __init__(self, phi: sympy.Expr) -> None:
        first = sympy.diff(phi, X)
        third = sympy.diff(first, X, 2)
        if third.has(sympy.DiracDelta, sympy.Heaviside, sympy.Derivative, sympy.sign, sympy.Abs, sympy.Max, sympy.Min):
            raise SpecError(
                f"nonlinearity: no closed form of the gain of {phi}, and it is not smooth; accepted: smooth functions, "
                "or sums of smooth ones and piecewise linear ones that each have a closed form"
            )
        self._first, self._third = (_even(derivative) for derivative in (first, third))
        with mpmath.workdps(DIGITS):
            points, self._weights = _panels()
            self._points = points
            self._values = np.array([float(self._first(mpmath.mpf(y))) for y in points])
            self._thirds = np.array([float(self._third(mpmath.mpf(y))) for y in points])
        if not (np.isfinite(self._values).all() and np.isfinite(self._thirds).all()):
            raise SpecError(f"nonlinearity: {phi} grows so fast that its gain overflows; accepted: slower growth")

    def gain(self, variance: float) -> float:
        if variance == 0:
            return float(self._first(mpmath.mpf(0)))
        return float(np.sum(self._values * self._density(variance)))

    def slope(self, variance: float) -> float:
        if variance == 0:
            return float(self._third(mpmath.mpf(0))) / 2
        if variance < 1:
            return float(np.sum(self._thirds * self._density(variance))) / 2
        spread = self._points**2 / variance - 1
        return float(np.sum(self._values * spread * self._density(variance))) / (2 * variance)

    def _density(self, variance: float) -> FloatArray:
        return 2 * self._weights * np.exp(-(self._points**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)

    def certified_gain(self, variance: float) -> mpmath.mpf:
        return self._quadrature(lambda y, delta: self._first(y), variance)

    def certified_slope(self, variance: float) -> mpmath.mpf:
        if variance < 1:
            return self._quadrature(lambda y, delta: self._third(y) / 2, variance)
        return self._quadrature(lambda y, delta: self._first(y) * (y * y / delta - 1) / (2 * delta), variance)

    @staticmethod
    def _quadrature(f: Callable[[mpmath.mpf, mpmath.mpf], mpmath.mpf], variance: float) -> mpmath.mpf:
        with mpmath.workdps(DIGITS):
            delta = mpmath.mpf(variance)
            width = mpmath.sqrt(delta)
            edges = [0, *(mpmath.mpf(2) ** k for k in range(-3, 5) if 2**k < 14 * width), 14 * width]
            density = 2 / mpmath.sqrt(2 * mpmath.pi * delta)
            return mpmath.quad(lambda y: f(y, delta) * mpmath.exp(-y * y / (2 * delta)) * density, edges)


def _even(f: sympy.Expr) -> Callable[[mpmath.mpf], mpmath.mpf]:
    """Return the even part of a function, for mpmath: the odd part has no share in the expectation."""
    compiled = sympy.lambdify(X, f, "mpmath")
    if sympy.expand(f - f.subs(X, -X)) == 0:
        return compiled
    return lambda y: (compiled(y) + compiled(-y)) / 2


def _panels() -> tuple[FloatArray, FloatArray]:
    """Return points and weights of Gauss-Legendre panels of half an octave, from 0 to beyond every variance."""
    nodes, weights = np.polynomial.legendre.leggauss(32)
    edges = np.concatenate([[0.0], 2.0 ** np.arange(-12, 18.5, 0.5)])
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half + half * nodes).ravel(), (half * weights).ravel()


def _fitted(function: Function, certified: Function, rate: float, phi: sympy.Expr) -> Series:
    best: Series | None = None
    order = _order(function)
    for terms in TERMS:
        for stretch in STRETCHES:
            # Rounded to three digits, so that it prints shortly; any positive value will do.
            candidate = _fit(function, order, float(f"{stretch * rate:.3g}"), terms)
            best = candidate if best is None or candidate.error < best.error else best
        if best is not None and best.error < TARGET:
            break
    if best is None or not best.error < ACCEPTED / 2:
        error = float("nan") if best is None else best.error
        raise SpecError(
            f"nonlinearity: no closed form of the gain of {phi}, and its Chebyshev series reaches {error:.0e} only; "
            f"accepted: a function whose gain can be approximated to {ACCEPTED:.0e}, such as smooth ones of one scale"
        )
    # Twice the largest deviation seen: between the points it is larger than at them, but not by much.
    error = 2 * max(best.error, _certify(best, function, certified))
    if error > ACCEPTED:
        raise SpecError(
            f"nonlinearity: the gain of {phi} is off by {error:.0e} against quadrature at {DIGITS} digits; "
            f"accepted: {ACCEPTED:.0e}; use a smoother function"
        )
    return Series(best.coefficients, best.order, best.stretch, float(f"{error:.1e}"))


def _order(function: Function) -> int:
    """Return the power of s that a function decays with: minus its logarithmic slope for large variances."""
    values = [abs(function(variance)) for variance in (1e7, 4e7)]
    if not all(values):
        return 0
    return max(round(-np.log(values[1] / values[0]) / np.log(2.0)), -40)


def _fit(function: Function, order: int, stretch: float, terms: int) -> Series:
    nodes = np.cos(np.pi * (np.arange(terms) + 0.5) / terms)
    samples = _scaled(function, nodes, order, stretch)
    coefficients = np.array(
        [2 / terms * np.sum(samples * np.cos(np.pi * k * (np.arange(terms) + 0.5) / terms)) for k in range(terms)]
    )
    coefficients[0] /= 2
    between = np.cos(np.pi * np.arange(2 * terms + 1) / (2 * terms))[:-1]
    exact = _scaled(function, between, order, stretch)
    found = np.polynomial.chebyshev.chebval(between, coefficients)
    # Relative to the value; to a thousandth of the largest one where the function crosses zero.
    scale = np.maximum(np.abs(exact), 1e-3 * np.abs(exact).max())
    error = float((np.abs(found - exact) / scale).max())
    return Series(tuple(float(c) for c in coefficients), order, stretch, error if np.isfinite(error) else np.inf)


def _scaled(function: Function, nodes: NDArray[np.float64], order: int, stretch: float) -> FloatArray:
    s = (nodes + 1) / 2
    variances = (s**-2.0 - 1) / stretch
    return np.array([function(max(v, 0.0)) for v in variances]) * s**-order


def _certify(series: Series, function: Function, certified: Certified) -> float:
    """Return the largest relative deviation from quadrature at many digits, between 0 and ``LARGEST_VARIANCE``."""
    lowest = (1 + series.stretch * LARGEST_VARIANCE) ** -0.5
    s = np.linspace(lowest, 1 - 1e-3, CERTIFIED_POINTS)
    variances = (s**-2.0 - 1) / series.stretch
    found = series(variances)
    exact = np.array([float(certified(v)) for v in variances])
    scaled = np.abs(exact) * s**-series.order
    scale = np.maximum(scaled, 1e-3 * scaled.max()) * s**series.order
    return float((np.abs(found - exact) / scale).max())
