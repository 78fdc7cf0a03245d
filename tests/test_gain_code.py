"""The gains of generated modules as code: against mpmath, at the limits, for complex and for missing numbers."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import sympy
from sympy import Abs, Max, Rational, cos, cosh, erf, exp, log, pi, sign, sin, sqrt, tanh

from symlow.errors import SpecError
from symlow.nonlinearity import DELTA, MU, X
from symlow.nonlinearity.gaussian import expectation, mean_slope
from tests.gains import EVERY, generated, nonlinearity, panels

x = X
VARIANCES = np.array([1e-12, 1e-8, 1e-5, 1e-3, 0.04, 0.3, 1.0, 7.0, 300.0, 1e4])
MEANS = np.array([0.0, 1e-9, 1e-3, 0.2, -0.7, 1.0, -1.0, 3.0, -8.0, 50.0])
FURTHER = {
    "square of relu": Max(0, x) ** 2 * x,
    "hat": Max(0, 1 - Abs(pi * x)),
    "sign times x": sign(x - 1) * x**2,
    "bell": x**3 * exp(-(x**2) / 2 + x),
    "bell and sigmoid": x * exp(-(x**2)) * erf(2 * x - 1),
    "Gabor": cos(3 * x + 1) * exp(-(x**2)),
    "GELU": x * (1 + erf(x / sqrt(2))) / 2,
    "steep off centre": erf(10 * x - 40),
    "powers of waves": x**2 * sin(2 * x - 1) - sin(x) ** 3,
    "hyperbolic": cosh((x + 1) / 500) + x * exp(-x / 300),
    "quintic": Rational(1, 3) * (x / 7 + 1) ** 5 - x,
    "two sigmoids": erf(x) - 2 * erf(x / 2),
}
CLOSED = {name: phi for name, phi in EVERY.items() if expectation(phi) is not None and name != "linear"} | FURTHER
MIXED = {
    **{name: EVERY[name] for name in ("tanh", "arctan", "softplus", "sigmoid")},
    "ratio": x / sqrt(1 + x**2),
    "wide ratio": 3 * x / sqrt(4 + 9 * x**2),
    "sum": 2 * tanh(x / 3 - 1) + x**2 / 10 + erf(x) - sympy.atan(2 * x),
    "logistic": 2 / (1 + exp(1 - 2 * x)) - log(1 + exp(-x)),
}


def assert_close(found, exact, scale, bound=1e-12):
    assert np.isfinite(found).all()
    np.testing.assert_array_less(np.abs(found - exact), bound * np.maximum(np.abs(exact), scale) + 1e-300)


def evaluated(form, means, variances):
    """A closed form at 60 digits, of the shape (means, variances); where it overflows, at the largest float."""
    with mpmath.workdps(60):
        compiled = sympy.lambdify((MU, DELTA), form, "mpmath")
        return np.array([[float(compiled(mpmath.mpf(m), mpmath.mpf(v))) for v in variances] for m in means])


def forms(phi):
    gain = mean_slope(phi)
    return {"_g": gain, "_phibar": expectation(phi), "_g_mu": sympy.diff(gain, MU), "_g_Delta": sympy.diff(gain, DELTA)}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms_with_means(name):
    functions, _ = generated(CLOSED[name], means=True)
    variances = VARIANCES[: -1 if name == "exp" else None]
    mean, variance = np.meshgrid(MEANS, variances, indexing="ij")
    # Differences of large terms lose digits of the size of what is averaged, which polynomials make large.
    deviations = np.linspace(-6, 6, 49)
    values = _numpy(CLOSED[name])(mean[..., None] + np.sqrt(variance)[..., None] * deviations)
    size = np.max(np.abs(values) * np.exp(-(deviations**2) / 2), axis=-1)
    for function, form in forms(CLOSED[name]).items():
        found = getattr(functions, function)(mean, variance)
        assert found.shape == mean.shape
        assert_close(found, evaluated(form, MEANS, variances), np.maximum(1, 1e-2 * size))


def _numpy(phi):
    compiled = sympy.lambdify(X, phi, ["numpy", "scipy"])
    return lambda y: compiled(y) + 0 * y


@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms_at_mean_zero(name):
    nonlinear = nonlinearity(CLOSED[name])
    if nonlinear.has_constant_gain:
        assert generated(CLOSED[name], means=False)[1].strip() == ""
        return
    functions, _ = generated(CLOSED[name], means=False)
    variances = VARIANCES[: -1 if name == "exp" else None]
    for function, form in [("_g", nonlinear.gain), ("_g_Delta", sympy.diff(nonlinear.gain, DELTA))]:
        assert_close(getattr(functions, function)(variances), evaluated(form, [0], variances)[0], 1e-3)


@pytest.mark.parametrize("name", CLOSED | MIXED)
def test_limit_of_no_variance(name):
    phi = (CLOSED | MIXED)[name]
    functions, _ = generated(phi, means=True)
    means = np.array([0.21, -0.73, 2.9, -8.1, 49.0])
    with mpmath.workdps(30):
        for function, derivative, factor in [("_phibar", 0, 1), ("_g", 1, 1), ("_g_mu", 2, 1), ("_g_Delta", 3, 2)]:
            slope = sympy.diff(phi, X, derivative)
            exact = np.array([float(sympy.N(slope.subs(X, Rational(str(m))).doit() / factor, 30)) for m in means])
            assert_close(getattr(functions, function)(means, 0 * means), exact, 1)


def test_at_a_kink_without_variance_values_are_finite():
    zero = np.zeros((2, 1))
    for name in ("relu", "leaky_relu", "clip", "sign", "square of relu"):
        functions, _ = generated(CLOSED[name], means=True)
        for function in ("_g", "_phibar", "_g_mu", "_g_Delta"):
            assert np.isfinite(getattr(functions, function)(zero, zero)).all()
    np.testing.assert_allclose(generated(CLOSED["clip"], means=False)[0]._g(zero), 1)
    assert (generated(CLOSED["clip"], means=False)[0]._g_Delta(zero) == 0).all()
    assert (generated(CLOSED["relu"], means=True)[0]._g(zero, zero) == 0.5).all()


@pytest.mark.parametrize("name", MIXED)
def test_tables_of_sigmoids(name):
    phi = MIXED[name]
    functions, text = generated(phi, means=True)
    assert "off by at most" in text
    slopes = {
        function: _numpy(sympy.diff(phi, X, n) / (2 if function == "_g_Delta" else 1))
        for n, function in enumerate(["_phibar", "_g", "_g_mu", "_g_Delta"])
    }
    for mean, variance in [(0.0, 1e-9), (0.3, 1e-4), (-0.9, 0.2), (2.5, 1.0), (-11.0, 4.0), (20.0, 10.0)]:
        for function, slope in slopes.items():
            exact = panels(slope, mean, variance)
            assert_close(getattr(functions, function)(np.array([mean]), np.array([variance])), exact, 1)


def test_tables_saturate():
    functions, _ = generated(EVERY["tanh"], means=True)
    mean, variance = np.array([50.0, -50.0, 1e4]), np.array([1e-12, 20.0, 1e4])
    assert_close(functions._phibar(mean, variance), np.sign(mean), 1)
    assert_close(functions._g(mean, variance), 0, 1)
    functions, _ = generated(EVERY["softplus"], means=True)
    assert_close(functions._phibar(mean, variance), np.maximum(mean, 0), 1)


@pytest.mark.parametrize("name", [*MIXED, *FURTHER, "clip", "relu", "sin", "erf"])
def test_complex_steps_give_the_slopes(name):
    functions, _ = generated((CLOSED | MIXED)[name], means=True)
    mean, variance = np.array([0.0, 0.4, -1.3, 3.0]), np.array([0.3, 1e-2, 2.0, 20.0])
    step = 1e-40j
    pairs = [
        (functions._phibar(mean + step, variance), functions._g(mean, variance)),
        (functions._g(mean + step, variance), functions._g_mu(mean, variance)),
        (functions._phibar(mean, variance + step), functions._g_mu(mean, variance) / 2),
        (functions._g(mean, variance + step), functions._g_Delta(mean, variance)),
    ]
    for stepped, slope in pairs:
        assert_close(np.imag(stepped) / 1e-40, slope, 1)


@pytest.mark.parametrize("name", ["tanh", "clip", "erf", "sigmoid"])
def test_missing_numbers_stay_missing(name):
    for means in (False, True):
        functions, _ = generated(EVERY[name], means)
        for function in vars(functions).values():
            arguments = (np.array([np.nan]),) * (2 if means else 1)
            assert np.isnan(function(*arguments)).all()


def test_constant_gains_have_the_shape_of_the_statistics():
    functions, _ = generated(x**2 + x, means=True)
    assert functions._g_mu(np.zeros((3, 1)), np.ones((3, 1))).shape == (3, 1)
    assert (functions._g_Delta(np.zeros((3, 1)), np.ones((3, 1))) == 0).all()


@pytest.mark.parametrize("phi", [sympy.asinh(x), tanh(x) ** 3, x * tanh(x), Max(0, x) * tanh(x)], ids=str)
def test_no_means_without_a_closed_form(phi):
    with pytest.raises(SpecError, match=r"no closed form or table where vectors have means; accepted.*sums of tanh"):
        generated(phi, means=True)
