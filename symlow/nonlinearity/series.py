"""Gains without a closed form: Chebyshev series over the whole half-line of variances, with a certified error.

    g(Delta) = s^k sum_n c_n T_n(2 s - 1),     s = (1 + c Delta)^(-1/2),     0 < s <= 1,

and a series of the same form for dg/dDelta. The variable s is smooth in Delta at 0, unlike 1/(1 + sqrt(Delta)), and is
the one that g of a saturating phi is a power series of for large Delta: for tanh and c = 3 the error is 8e-15 with 32
terms, over all Delta. k is the order at which g decays, so that the error is relative.

Functions of several scales, or whose gain decays otherwise, have a series on each of a number of pieces instead,

    g(Delta) = sum_n c_jn T_n(2 (w - j) - 1),     w = m log2(1 + c Delta),     j = floor(w),

up to the largest certified variance, and the value there beyond. The samples are integrals
(:mod:`symlow.nonlinearity.integrals`); the certificate compares the finished series with a second quadrature, which has
other points, between the nodes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sympy

from symlow.arrays import FloatArray
from symlow.errors import SpecError
from symlow.nonlinearity.integrals import LARGEST_VARIANCE, Integrals

Function = Callable[[float], float]

TARGET = 2e-14
"""Relative error at which no more terms are added."""
ACCEPTED = 1e-12
"""The largest relative error of a gain that is accepted."""
WHOLE = 5e-14
"""The largest relative error of a series for all variances before those on pieces are tried, which reach 1e-14."""
TERMS = (24, 32, 40, 48, 64)
STRETCHES = (3.0, 2.0, 4.0, 1.0, 8.0)
"""Values of c tried, in units of the initial rate of g; for tanh, the first is best."""
CERTIFIED_POINTS = 300
PIECES = ((1, 12), (1, 16), (1, 20), (2, 16), (2, 20), (4, 20))
"""Pieces per octave of 1 + c Delta, and terms of each, tried in turn."""
FINENESS = 32.0
"""c in units of the initial rate of g. The first piece has to be short: at Delta = 0 the power series of g diverges."""
CERTIFIED_PER_PIECE = 9


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
class PiecewiseSeries:
    """A function of the variance as Chebyshev series in w, one on each piece.

    Attributes:
        coefficients: c_jn, a row for each piece.
        stretch: c in w = m log2(1 + c Delta).
        density: m, the number of pieces per octave.
        error: the certified bound of the error, relative to the function's scale.
    """

    coefficients: tuple[tuple[float, ...], ...]
    stretch: float
    density: int
    error: float

    def __call__(self, variance: FloatArray) -> FloatArray:
        """Return the value at variances."""
        table = np.array(self.coefficients)
        w = np.minimum(self.density * np.log2(1 + self.stretch * np.asarray(variance)), len(table))
        piece = np.minimum(w.astype(int), len(table) - 1)
        return np.polynomial.chebyshev.chebval(2 * (w - piece) - 1, np.moveaxis(table[piece], -1, 0), tensor=False)


@dataclass(frozen=True)
class GainSeries:
    """The gain and its derivative with respect to the variance."""

    gain: Series | PiecewiseSeries
    slope: Series | PiecewiseSeries

    @property
    def error(self) -> float:
        """The larger of the two certified bounds."""
        return max(self.gain.error, self.slope.error)


@dataclass(frozen=True)
class _Sampled:
    """A function to be approximated: how to sample it, its natural scale, and what to certify against."""

    value: Function
    scale: Function
    certified: Function
    rate: float
    phi: sympy.Expr


@functools.lru_cache(maxsize=64)
def gain_series(phi: sympy.Expr) -> GainSeries:
    """Return series of g(Delta) = E[phi'(sqrt(Delta) xi)] and of its derivative.

    Raises:
        SpecError: if phi is not smooth, or no series reaches the accepted error.
    """
    one, two = Integrals(phi), Integrals(phi, nodes=41)
    gain = _Sampled(one.gain, one.gain_scale, two.gain, one.rate, phi)
    slope = _Sampled(one.slope, one.slope_scale, two.slope, one.rate, phi)
    # Both of one kind, so that a module has one way to evaluate them.
    whole = [_whole(gain), _whole(slope)]
    if whole[0] is not None and whole[1] is not None:
        return GainSeries(whole[0], whole[1])
    return GainSeries(_pieces(gain), _pieces(slope))


def _rounded(value: float) -> float:
    """Return a number in three digits, so that it prints shortly; for c, any positive value will do."""
    return float(f"{value:.3g}")


# One series for all variances ---------------------------------------------------------------------------------------


def _whole(function: _Sampled) -> Series | None:
    """Return the first series that reaches the target, or else the best that is accepted; None if there is none."""
    best: Series | None = None
    order = _order(function.value)
    for terms in TERMS:
        for stretch in STRETCHES:
            candidate = _fit(function.value, order, _rounded(stretch * function.rate), terms)
            best = candidate if best is None or candidate.error < best.error else best
        if best is None or best.error < TARGET or best.error > 10 ** (-terms / 8):
            break  # accurate, or so slow to converge that no number of terms will do
    if best is None or not best.error < WHOLE:
        return None
    # Twice the largest deviation seen: between the points it is larger than at them, but not by much.
    error = 2 * max(best.error, _certify(best, function.certified))
    return Series(best.coefficients, best.order, best.stretch, float(f"{error:.1e}")) if error <= ACCEPTED else None


def _order(function: Function) -> int:
    """Return the power of s that a function decays with: minus its logarithmic slope for large variances."""
    values = [abs(function(variance)) for variance in (1e7, 4e7)]
    if not all(values):
        return 0
    return max(round(-np.log(values[1] / values[0]) / np.log(2.0)), -40)


def _nodes(terms: int) -> FloatArray:
    return np.cos(np.pi * (np.arange(terms) + 0.5) / terms)


def _coefficients(samples: FloatArray) -> FloatArray:
    """Return the Chebyshev coefficients of samples at ``_nodes``, shape (..., terms) as the samples."""
    terms = samples.shape[-1]
    cosines = np.cos(np.pi * np.arange(terms)[:, None] * (np.arange(terms) + 0.5) / terms)
    coefficients = 2 / terms * samples @ cosines.T
    coefficients[..., 0] /= 2
    return coefficients


def _fit(function: Function, order: int, stretch: float, terms: int) -> Series:
    coefficients = _coefficients(_scaled(function, _nodes(terms), order, stretch))
    between = np.cos(np.pi * np.arange(2 * terms + 1) / (2 * terms))[:-1]
    exact = _scaled(function, between, order, stretch)
    found = np.polynomial.chebyshev.chebval(between, coefficients)
    # Relative to the value; to a thousandth of the largest one where the function crosses zero.
    scale = np.maximum(np.abs(exact), 1e-3 * np.abs(exact).max())
    error = float((np.abs(found - exact) / scale).max()) if scale.all() else np.inf
    return Series(tuple(float(c) for c in coefficients), order, stretch, error if np.isfinite(error) else np.inf)


def _scaled(function: Function, nodes: FloatArray, order: int, stretch: float) -> FloatArray:
    s = (nodes + 1) / 2
    variances = (s**-2.0 - 1) / stretch
    return np.array([function(max(v, 0.0)) for v in variances]) * s**-order


def _certify(series: Series, certified: Function) -> float:
    """Return the largest relative deviation from a second quadrature, between 0 and ``LARGEST_VARIANCE``."""
    lowest = (1 + series.stretch * LARGEST_VARIANCE) ** -0.5
    s = np.concatenate([np.linspace(lowest, 1, CERTIFIED_POINTS // 2), np.geomspace(lowest, 1, CERTIFIED_POINTS // 2)])
    variances = np.clip((s**-2.0 - 1) / series.stretch, 0, LARGEST_VARIANCE)
    exact = np.array([certified(v) for v in variances])
    scaled = np.abs(exact) * s**-series.order
    scale = np.maximum(scaled, 1e-3 * scaled.max()) * s**series.order
    return float((np.abs(series(variances) - exact) / scale).max())


# Pieces -------------------------------------------------------------------------------------------------------------


def _pieces(function: _Sampled) -> PiecewiseSeries:
    best: PiecewiseSeries | None = None
    for density, terms in PIECES:
        candidate = _fit_pieces(function, density, terms)
        best = candidate if best is None or candidate.error < best.error else best
        if best.error < TARGET:
            break
    if best is None or not best.error < ACCEPTED / 2:
        error = float("nan") if best is None else best.error
        raise SpecError(
            f"nonlinearity: no closed form of the gain of {function.phi}, and its Chebyshev series reaches {error:.0e} "
            f"only; accepted: a function whose gain can be approximated to {ACCEPTED:.0e}; use a smoother function"
        )
    found = _deviation(best, function, function.certified, np.linspace(-1, 1, CERTIFIED_PER_PIECE + 1)[:-1])
    error = 2 * max(best.error, found)
    if error > ACCEPTED:
        raise SpecError(
            f"nonlinearity: the gain of {function.phi} is off by {error:.0e} against a second quadrature; "
            f"accepted: {ACCEPTED:.0e}; use a smoother function"
        )
    return PiecewiseSeries(best.coefficients, best.stretch, best.density, float(f"{error:.1e}"))


def _fit_pieces(function: _Sampled, density: int, terms: int) -> PiecewiseSeries:
    stretch = _rounded(FINENESS * function.rate)
    count = int(np.ceil(density * np.log2(1 + stretch * LARGEST_VARIANCE)))
    samples = _on_pieces(function.value, count, density, stretch, _nodes(terms))
    coefficients = tuple(tuple(float(c) for c in row) for row in _coefficients(samples))
    series = PiecewiseSeries(coefficients, stretch, density, np.inf)
    between = np.cos(np.pi * np.arange(terms + 1) / terms)[1:]
    error = _deviation(series, function, function.value, between)
    return PiecewiseSeries(coefficients, stretch, density, error if np.isfinite(error) else np.inf)


def _deviation(series: PiecewiseSeries, function: _Sampled, exact: Function, nodes: FloatArray) -> float:
    """Return the largest deviation from a function at nodes of every piece, relative to the scale."""
    place = (len(series.coefficients), series.density, series.stretch, nodes)
    # The largest on the piece, for where g is zero at Delta = 0.
    scale = _on_pieces(function.scale, *place).max(axis=1, keepdims=True)
    if not scale.all():
        return np.inf
    found = series(_variances(*place))
    return float((np.abs(found - _on_pieces(exact, *place)) / scale).max())


def _variances(count: int, density: int, stretch: float, nodes: FloatArray) -> FloatArray:
    w = np.arange(count)[:, None] + (nodes + 1) / 2
    return np.expm1(np.log(2.0) * w / density) / stretch


def _on_pieces(function: Function, count: int, density: int, stretch: float, nodes: FloatArray) -> FloatArray:
    """Return values at nodes of every piece, shape (pieces, nodes)."""
    variances = _variances(count, density, stretch, nodes)
    return np.array([[function(variance) for variance in row] for row in variances])
