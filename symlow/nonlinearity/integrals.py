"""Gains as integrals, where they have no closed form.

    g(Delta) = E[phi'(sqrt(Delta) xi)],     dg/dDelta = E[(xi^2 - 1) (phi'(sqrt(Delta) xi) - phi'(0))] / (2 Delta),

They are taken over Gauss-Legendre panels of half an octave, from 0 to beyond every variance, halved until phi' is
resolved. The values of phi' are computed at 40 digits, the sums in float64. phi'(0) has no share in the derivative,
but cancels what would cancel in the sum for small variances; for large ones, where phi' is small at most points, the
sum is better without.
"""

from __future__ import annotations

from itertools import pairwise

import mpmath
import numpy as np
import sympy

from symlow.arrays import FloatArray
from symlow.errors import SpecError
from symlow.nonlinearity.numeric import DIGITS, even_slope

LARGEST_VARIANCE = 1e4
"""Gains without a closed form are certified for variances up to here."""
REACH = 15 * LARGEST_VARIANCE**0.5
"""No variance up to the largest sees phi' beyond here; panels beyond are not halved."""
FARTHEST = 2.0**18
MOST_PANELS = 800
RESOLVED = 1e-9
"""The last Legendre coefficients of phi' on a panel, relative to its mean size; the error is of twice their degree."""
LARGEST_VALUE = 1e280
CLOSE = 1e-15
"""Where variances, in units of the rate, are too small for the panels: two terms of the power series are as good."""


class Integrals:
    """The gain and its derivative with respect to the variance, by a quadrature.

    Attributes:
        rate: the initial rate |g'(0) / g(0)|, or 1 where it is of no use as a scale.
    """

    def __init__(self, phi: sympy.Expr, nodes: int = 32) -> None:
        """Resolve phi'.

        Args:
            phi: expression in x.
            nodes: of each panel; quadratures with 32 and 41 have no points in common, nor panels.

        Raises:
            SpecError: if phi is not smooth, has no finite real slope, grows too fast or oscillates too much.
        """
        self._slope = even_slope(phi)
        self._phi = phi
        with mpmath.workdps(2 * DIGITS):
            self._first = self._value(mpmath.mpf(0))
            # The error of the difference is of second order, 1e-24.
            tiny = mpmath.mpf(10) ** -12
            self._third = 2 * (self._value(tiny) - self._first) / tiny**2
        rate = abs(float(self._third / (2 * self._first))) if self._first else 1.0
        self.rate = rate if 1e-10 < rate < 1e10 else 1.0
        with mpmath.workdps(DIGITS):
            self._resolve(nodes)

    def _value(self, y: mpmath.mpf) -> mpmath.mpf:
        try:
            value = self._slope(y)
        except ValueError as error:
            raise SpecError(
                f"nonlinearity: the slope of {self._phi} has {error}; accepted: a finite slope everywhere"
            ) from None
        if abs(value) > LARGEST_VALUE:
            raise SpecError(f"nonlinearity: {self._phi} grows so fast that its gain overflows; accepted: slower growth")
        return value

    def _resolve(self, nodes: int) -> None:
        points, weights = np.polynomial.legendre.leggauss(nodes)
        last = np.polynomial.legendre.legvander(points, nodes - 1)[:, -4:] * weights[:, None] * (nodes - 2.5)
        unit = self.rate**-0.5
        # Odd numbers of nodes shift the edges too, so that two quadratures share nothing.
        octaves = np.arange(-26, np.log2(FARTHEST / unit) + 0.5, 0.5) + 0.25 * (nodes % 2)
        edges = [0.0, *(unit * 2.0**octaves)]
        waiting = list(pairwise(edges))[::-1]
        found: list[tuple[FloatArray, FloatArray, FloatArray, FloatArray]] = []
        area, width = 0.0, edges[1]
        while waiting:
            if len(found) + len(waiting) > MOST_PANELS:
                raise SpecError(
                    f"nonlinearity: no closed form of the gain of {self._phi}, which oscillates or bends too often up "
                    f"to |x| = {REACH:g} for a quadrature; accepted: slower oscillations"
                )
            left, right = waiting.pop()
            half = (right - left) / 2
            if right <= REACH and half > 1.6 * width:  # would have to be halved: the one before had to be
                waiting += [(left + half, right), (left, left + half)]
                continue
            y = left + half + half * points
            exact = [self._value(mpmath.mpf(v)) for v in y]
            values = np.array([float(v) for v in exact])
            size = half * float(weights @ np.abs(values))
            scale = (area + size) / right
            if right <= REACH and np.abs(values @ last).max() > RESOLVED * scale:
                waiting += [(left + half, right), (left, left + half)]
                continue
            area += size
            width = right - left
            found.append((y, half * weights, values, np.array([float(v - self._first) for v in exact])))
        self._points, self._weights, self._values, self._changes = map(np.concatenate, zip(*found, strict=True))

    def gain(self, variance: float) -> float:
        """Return g(Delta)."""
        if variance * self.rate < CLOSE:
            return float(self._first + variance * self._third / 2)
        _, density, values, _ = self._near(variance)
        return float(density @ values)

    def gain_scale(self, variance: float) -> float:
        """Return E|phi'|, to which the error of g is relative where g is small by cancellation."""
        if variance * self.rate < CLOSE:
            return abs(float(self._first + variance * self._third / 2))
        _, density, values, _ = self._near(variance)
        return float(density @ np.abs(values))

    def slope(self, variance: float) -> float:
        """Return dg/dDelta."""
        if variance * self.rate < CLOSE:
            return float(self._third) / 2
        spread, density, values, changes = self._near(variance)
        return float((density * spread) @ (changes if variance * self.rate < 1 else values)) / (2 * variance)

    def slope_scale(self, variance: float) -> float:
        """Return the smaller of the mean sizes of the integrands of dg/dDelta, with phi'(0) and without.

        No less than a thousandth of what the size of g suggests, for where phi' is all but constant up to a distance.
        """
        least = 1e-3 * self.rate / (1 + self.rate * variance) * self.gain_scale(variance)
        if variance * self.rate < CLOSE:
            return max(abs(float(self._third)) / 2, least)
        spread, density, values, changes = self._near(variance)
        weight = density * np.abs(spread)
        return max(min(float(weight @ np.abs(changes)), float(weight @ np.abs(values))) / (2 * variance), least)

    def _near(self, variance: float) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return xi^2 - 1, the density times the weights, phi' and phi' - phi'(0), at points within 14 deviations."""
        stop = int(np.searchsorted(self._points, 14 * variance**0.5))
        squares = self._points[:stop] ** 2 / variance
        density = 2 * self._weights[:stop] * np.exp(-squares / 2) / np.sqrt(2 * np.pi * variance)
        return squares - 1, density, self._values[:stop], self._changes[:stop]
