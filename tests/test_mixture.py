"""Tables of sigmoids: their stated errors against mpmath, with and without variance, and which functions they serve."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import sympy
from sympy import Rational, atan, erf, exp, log, sqrt, tanh

from symlow.nonlinearity import X
from symlow.nonlinearity.mixture import ERRORS, mixed_forms, mixture
from tests.gains import panels, quadrature

x = X
SIGMOIDS = {"tanh": tanh(x), "arctan": atan(x), "ratio": x / sqrt(1 + x**2)}


def values(f, points):
    with mpmath.workdps(40):
        compiled = sympy.lambdify(X, f, "mpmath")
        return np.array([float(compiled(mpmath.mpf(point))) for point in points])


@pytest.mark.parametrize("name", SIGMOIDS)
def test_functions_without_variance(name):
    points = np.concatenate([np.linspace(0, 12, 121), np.geomspace(12, 1e4, 15)])
    for n in range(4):
        found = mixture(name)(n, points, 0 * points)
        assert np.abs(found - values(sympy.diff(SIGMOIDS[name], X, n), points)).max() < ERRORS[name]
        np.testing.assert_allclose(mixture(name)(n, -points, 0 * points), (-1) ** (n + 1) * found, atol=1e-16)


def test_antiderivative_of_tanh():
    points = np.linspace(-30, 30, 121)
    exact = values(log(2 * sympy.cosh(x)), points)
    np.testing.assert_allclose(mixture("tanh")(-1, points, 0 * points), exact, rtol=0, atol=2e-14)


@pytest.mark.parametrize("name", SIGMOIDS)
@pytest.mark.parametrize(("mean", "variance"), [(0.0, 0.01), (0.7, 1.0), (-3.0, 20.0), (12.0, 900.0), (50.0, 0.3)])
def test_expectations(name, mean, variance):
    for n in range(4):
        compiled = sympy.lambdify(X, sympy.diff(SIGMOIDS[name], X, n), "numpy")
        found = mixture(name)(n, np.array(mean), np.array(variance))
        assert abs(found - panels(compiled, mean, variance)) < ERRORS[name] + 1e-14


@pytest.mark.parametrize("name", SIGMOIDS)
def test_expectations_to_many_digits(name):
    for mean, variance in [(0.5, 0.25), (2.0, 1e4), (1e3, 1e4)]:
        exact = quadrature(SIGMOIDS[name], mean, variance)
        assert abs(mixture(name)(0, np.array(mean), np.array(variance)) - exact) < ERRORS[name] + 1e-15


def test_weights_are_positive_and_few():
    for name, most in [("tanh", 32), ("arctan", 190), ("ratio", 140)]:
        table = mixture(name)
        assert len(table.weights) == len(table.scales) == most
        assert min(table.weights) > 0


@pytest.mark.parametrize(
    ("phi", "tables"),
    [
        (tanh(x), ["tanh"]),
        (Rational(1, 2) + tanh(x / 2) / 2, ["tanh"]),
        (1 / (1 + exp(-x)), ["tanh"]),
        (3 / (1 + exp(1 - 2 * x)) - x**3, ["tanh"]),
        (log(1 + exp(x)), ["tanh"]),
        (log(1 + exp(-sqrt(2) * x)) + atan(x / 3), ["arctan", "tanh"]),
        (x / sqrt(2 + 5 * x**2) - erf(x) * x, ["ratio"]),
    ],
    ids=str,
)
def test_forms_agree_with_quadrature(phi, tables):
    forms = mixed_forms(phi)
    assert [table.name for table in forms.tables] == tables
    functions = [{f"mixture_{table.name}": table} for table in forms.tables]
    parts = [(forms.activity, 0), (forms.gain, 1), (forms.gain_mu, 2), (2 * forms.gain_delta, 3)]
    for form, n in parts:
        compiled = sympy.lambdify(sympy.symbols("mu Delta"), form.subs(_plain(form)), [*functions, "numpy", "scipy"])
        exact = panels(sympy.lambdify(X, sympy.diff(phi, X, n), ["numpy", "scipy"]), 0.4, 1.7)
        assert abs(compiled(np.array(0.4), np.array(1.7)) - exact) < 5e-13


def _plain(form):
    return {symbol: sympy.Symbol(symbol.name) for symbol in form.free_symbols}


@pytest.mark.parametrize(
    "phi",
    [tanh(x) ** 2, x * tanh(x), tanh(x**2), sympy.asinh(x), erf(x), x / (1 + x**2), tanh(x) + x * atan(x),
     sympy.I * tanh(x), 1 / (2 + exp(x)), log(1 + exp(x**2)), x / sqrt(x**2 - 1), x / sqrt(1 + x + x**2),
     tanh(x) + sympy.asinh(x), log(1 + x)],
    ids=str,
)  # fmt: skip
def test_others_have_no_table(phi):
    assert mixed_forms(phi) is None
