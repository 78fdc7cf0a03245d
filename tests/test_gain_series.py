"""Series of gains without a closed form: their certified errors, their evaluation, and what is refused."""

from __future__ import annotations

import re

import mpmath
import numpy as np
import pytest
import sympy
from sympy import Abs, Max, Rational, asinh, atan, cos, exp, log, sin, sqrt, tanh

from symlow.errors import SpecError
from symlow.nonlinearity import LIBRARY, X
from symlow.nonlinearity.integrals import LARGEST_VARIANCE, Integrals
from symlow.nonlinearity.series import ACCEPTED, PiecewiseSeries, Series, gain_series
from tests.gains import generated, quadrature

x = X
GLOBAL = {
    "tanh": tanh(x),
    "arctan": atan(x),
    "sigmoid": LIBRARY["sigmoid"].phi,
    "flat": tanh(x / 1000),
}
PIECES = {
    "ratio": x / sqrt(1 + x**2),
    "asinh": asinh(x),
    "growing": x * tanh(x) ** 2,
    "bell": exp(-(x**2)) * tanh(x),
    "two scales": tanh(x) + tanh(30 * x),
    "sign changes": tanh(x) - x * exp(-(x**2)),
    "far step": x * tanh(8 * (x - 3)),
    "oscillating": tanh(x) * sin(x) * x,
}
VARIANCES = [3.7e-7, 2.3e-3, 0.11, 0.9, 4.4, 61.0, 970.0, 9.3e3]


@pytest.mark.parametrize("name", GLOBAL | PIECES)
def test_kind_and_bounds(name):
    series = gain_series((GLOBAL | PIECES)[name])
    kind = Series if name in GLOBAL else PiecewiseSeries
    assert isinstance(series.gain, kind)
    assert isinstance(series.slope, kind)
    assert series.error == max(series.gain.error, series.slope.error) <= ACCEPTED
    assert series.error < 1e-13


@pytest.mark.parametrize("name", GLOBAL | PIECES)
def test_errors_stay_within_the_bounds_everywhere(name):
    # Against a quadrature that neither fitted nor certified the series.
    phi = (GLOBAL | PIECES)[name]
    series, other = gain_series(phi), Integrals(phi, nodes=37)
    variances = np.concatenate([[0.0], np.geomspace(1e-9, LARGEST_VARIANCE, 150)])
    for part, exact, scale in [
        (series.gain, other.gain, other.gain_scale), (series.slope, other.slope, other.slope_scale)
    ]:  # fmt: skip
        values = np.array([exact(v) for v in variances])
        scales = np.array([scale(v) for v in variances])
        if name in PIECES:  # relative to the largest scale of the piece, and pieces are octaves
            scales = np.maximum(scales, [scale(2.1 * v + 1 / part.stretch) for v in variances])
        assert (np.abs(part(variances) - values) <= part.error * scales).all()


@pytest.mark.parametrize("name", ["tanh", "arctan", "asinh", "bell"])
def test_agrees_with_mpmath(name):
    phi = (GLOBAL | PIECES)[name]
    series = gain_series(phi)
    for variance in [2.3e-3, 0.9, 61.0, 9.3e3]:
        scale = Integrals(phi).gain_scale(variance)
        assert abs(series.gain(np.array(variance)) - quadrature(sympy.diff(phi, X), 0, variance)) < 5e-14 * scale
    for variance in [0.11, 4.4]:
        exact = quadrature(sympy.diff(phi, X, 3) / 2, 0, variance)
        assert abs(series.slope(np.array(variance)) - exact) < 1e-13 * max(abs(exact), 1e-3)


@pytest.mark.parametrize(("name", "bound"), [("tanh", 1e-14), ("sigmoid", 1e-14), ("arctan", 3e-14)])
def test_global_series_hold_beyond_the_certified_variances(name, bound):
    series = gain_series(GLOBAL[name])
    for variance in (1e5, 1e7):
        exact = quadrature(sympy.diff(GLOBAL[name], X), 0, variance)
        assert abs(series.gain(np.array(variance)) / float(exact) - 1) < bound


def test_pieces_end_at_their_last_value():
    series = gain_series(PIECES["asinh"])
    last = (2.0 ** len(series.gain.coefficients) - 1) / series.gain.stretch
    assert last >= LARGEST_VARIANCE
    for part in (series.gain, series.slope):
        assert part(np.array([1e6, 1e12])) == pytest.approx(part(np.array([last, last])), rel=1e-13)


def test_pieces_join():
    for name in PIECES:
        series = gain_series(PIECES[name])
        for part in (series.gain, series.slope):
            w = np.arange(1, len(part.coefficients)) / part.density
            edges = (2.0**w - 1) / part.stretch
            left, right = part(edges * (1 - 1e-15)), part(edges * (1 + 1e-15))
            np.testing.assert_allclose(left, right, rtol=1e-11, atol=1e-12 * np.abs(left).max())


def test_series_are_the_same_each_time():
    for name in ("tanh", "asinh"):  # of both kinds
        phi = (GLOBAL | PIECES)[name]
        first = gain_series(phi)
        gain_series.cache_clear()
        assert gain_series(phi) == first


@pytest.mark.parametrize("name", ["tanh", "arctan", "flat", "asinh", "two scales", "growing"])
def test_generated_code_evaluates_the_series(name):
    phi = (GLOBAL | PIECES)[name]
    functions, text = generated(phi, means=False)
    series = gain_series(phi)
    assert f"at most {series.gain.error}" in text
    assert f"at most {series.slope.error}" in text
    variances = np.array([0.0, -1e-18, *VARIANCES]).reshape(2, 5)
    for function, part in [(functions._g, series.gain), (functions._g_Delta, series.slope)]:
        found = function(variances)
        assert found.shape == variances.shape
        np.testing.assert_allclose(found, part(np.maximum(variances, 0)), rtol=1e-13, atol=1e-15 * np.abs(found).max())
        assert function(np.array(0.7)).shape == ()
        assert np.isnan(function(np.array([np.nan]))).all()


@pytest.mark.parametrize("name", ["tanh", "arctan", "asinh", "two scales", "sign changes"])
def test_complex_steps_through_the_code_give_the_slope(name):
    functions, _ = generated((GLOBAL | PIECES)[name], means=False)
    variances = np.array(VARIANCES)
    stepped = functions._g(variances + 1e-40j).imag / 1e-40
    scale = np.abs(functions._g(variances)) / (1 + variances) + np.abs(functions._g_Delta(variances))
    assert (np.abs(stepped - functions._g_Delta(variances)) < 1e-10 * scale).all()


@pytest.mark.parametrize(
    ("phi", "message"),
    [
        (Max(0, x) * tanh(x), "it is not smooth; accepted: smooth functions, and sums and products of polynomials"),
        (exp(-Abs(x)) * x, "it is not smooth"),
        (1 / x, "the slope of 1/x has no value at x = 0"),
        (log(x), "has no value at x = 0.0; accepted: a finite slope everywhere"),
        (sqrt(x), "has no value at x = 0"),
        (exp(x) * tanh(x), "grows so fast that its gain overflows; accepted: slower growth"),
        (exp(exp(x)), "grows so fast"),
        (exp(exp(exp(x))), "grows so fast"),
        (x * exp(x**2), "grows so fast"),
        (sin(x**3), r"oscillates or bends too often up to .x. = 1500 for a quadrature; accepted: slower"),
        ((x**2) ** Rational(2, 3) * tanh(x) / (1 + x**2), "not smooth|reaches"),
        (sqrt(1 - cos(x)) * tanh(x), "oscillates or bends|has no"),
    ],
    ids=str,
)
def test_refusals(phi, message):
    with pytest.raises(SpecError) as error:
        gain_series(phi)
    assert re.search(message, str(error.value))
    assert "accepted" in str(error.value)
    assert "\n" not in str(error.value)


def test_quadratures_with_other_nodes_agree():
    for phi in (tanh(x), asinh(x)):
        one, two = Integrals(phi), Integrals(phi, nodes=41)
        assert not set(one._points) & set(two._points)
        for variance in VARIANCES:
            assert abs(one.gain(variance) - two.gain(variance)) < 4e-15 * one.gain_scale(variance)
            assert abs(one.slope(variance) - two.slope(variance)) < 4e-15 * one.slope_scale(variance)


def test_values_at_no_variance_are_exact():
    integrals = Integrals(tanh(2 * x))
    assert (integrals.gain(0), integrals.slope(0), integrals.rate) == (2, -8, 4)
    with mpmath.workdps(30):
        assert float(mpmath.mpf(integrals.slope(1e-12))) == pytest.approx(-8, rel=1e-10)
