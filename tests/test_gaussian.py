"""Gaussian expectations in closed form: against quadrature, the heat equation, and the limits of the algebra."""

from __future__ import annotations

import time

import mpmath
import numpy as np
import pytest
import sympy
from sympy import (
    Abs,
    Heaviside,
    Integer,
    Max,
    Min,
    Rational,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    log,
    pi,
    sign,
    sin,
    sinh,
    sqrt,
    tanh,
)

from symlow.nonlinearity import DELTA, LIBRARY, MU, Nonlinearity, X
from symlow.nonlinearity.gain import check_real
from symlow.nonlinearity.gaussian import expectation, mean_slope
from symlow.nonlinearity.terms import MOST_PIECES, NoRuleError, decomposed, lines_of
from tests.gains import KINKS, panels, quadrature

x = X
POINTS = [(0.0, 1e-6), (0.3, 0.7), (-1.2, 25.0), (5.0, 1e-3), (0.5, 40.0)]
CLOSED = {name: (entry.phi, KINKS.get(name, [])) for name, entry in LIBRARY.items()}
for open_form in ("tanh", "softplus", "arctan", "sigmoid"):
    del CLOSED[open_form]
CLOSED |= {
    "moments": ((x + 1) ** 5 * (x - 2) ** 2, []),
    "odd power of relu": (Max(0, x) ** 3, [0]),
    "square of relu": (x**2 * Max(0, x - 1) ** 2, [1]),
    "absolute power": (Abs(x) ** 3 - x * Abs(x), [0]),
    "sign times x": (sign(x - 1) * x**2, [1]),
    "square of sign": (sign(2 * x - 1) ** 2 * x, [Rational(1, 2)]),
    "steps": (Heaviside(1 - x) * x - Heaviside(x + 2), [1, -2]),
    "hat": (Max(0, 1 - Abs(x)), [-1, 0, 1]),
    "hat with irrational kinks": (Max(0, sqrt(2) - Abs(pi * x)), [-sqrt(2) / pi, 0, sqrt(2) / pi]),
    "staircase": (sign(x + 2) + sign(x) + 3 * sign(x - Rational(1, 3)), [-2, 0, Rational(1, 3)]),
    "dead zone": (x - Min(1, Max(-1, x)), [-1, 1]),
    "two ramps": (Max(x, 2 * x - 1) - Min(Rational(1, 2), x / 3), [1, Rational(3, 2)]),
    "bell": (x**3 * exp(-(x**2) / 2 + x), []),
    "bell off centre": (exp(-3 * (x - 2) ** 2), []),
    "Gabor": (cos(3 * x + 1) * exp(-(x**2)), []),
    "bell and ramp": (exp(-(x**2)) * Max(0, x - 1), [1]),
    "bell and step": (exp(-(x**2) + x) * sign(x), [0]),
    "bell and sigmoid": (x**2 * exp(-(x**2)) * erf(2 * x - 1), []),
    "GELU": (x * (1 + erf(x / sqrt(2))) / 2, []),
    "steep off centre": (erf(10 * x - 40), []),
    "complement": (erfc(x - 1) * x**2, []),
    "power of sine": (sin(x) ** 3 * cos(2 * x + 1), []),
    "sine and polynomial": (x**4 * sin(2 * x) - x * cos(x), []),
    "power": (Integer(2) ** (x / 20), []),
    "hyperbolic": (x * sinh(x / 10) + cosh((x + 1) / 20) ** 2, []),
    "sum of many": (sympy.Add(*(erf(Rational(k, 7) * x) / k for k in range(1, 13))), []),
    "square of erf": (erf(x) ** 2, []),
}
ONLY_SLOPE = {"square of erf"}


def at(form, mean, variance):
    with mpmath.workdps(60):
        return sympy.lambdify((MU, DELTA), form, "mpmath")(mpmath.mpf(mean), mpmath.mpf(variance))


@pytest.mark.parametrize("name", CLOSED)
def test_expectation_and_mean_slope_agree_with_quadrature(name):
    phi, kinks = CLOSED[name]
    kinks = [float(kink) for kink in kinks]
    compiled = sympy.lambdify(X, phi, ["numpy", "scipy"])

    def value(y):
        return compiled(y) + 0 * y

    activity, gain = expectation(phi), mean_slope(phi)
    assert (activity is None) == (name in ONLY_SLOPE)
    for mean, variance in POINTS:
        size = panels(lambda y: abs(value(y)), mean, variance, kinks) + 1e-9
        if activity is not None:
            assert abs(at(activity, mean, variance) - panels(value, mean, variance, kinks)) < 1e-13 * size
        # Stein's lemma, for it holds where phi jumps too.
        centre = value(np.array(mean))
        parts = [
            panels(lambda y: part((y - mean) * (value(y) - centre)), mean, variance, kinks)  # noqa: B023
            for part in (lambda v: v, abs)
        ]
        tolerance = 2e-13 * parts[1] / variance + 1e-14 * abs(float(centre)) / variance**0.5 + 1e-20
        assert abs(at(gain, mean, variance) - parts[0] / variance) < tolerance


@pytest.mark.parametrize("name", ["erf", "cubic", "GELU", "Gabor", "bell and sigmoid", "power of sine"])
def test_expectation_to_eighteen_digits(name):
    phi = CLOSED[name][0]
    for form, f in [(expectation(phi), phi), (mean_slope(phi), sympy.diff(phi, X))]:
        exact = quadrature(f, "0.3", "0.7", digits=24)
        assert abs(at(form, "0.3", "0.7") - exact) < mpmath.mpf(10) ** -18


@pytest.mark.parametrize(
    "name",
    ["erf", "clip", "sign", "exp", "cubic", "odd power of relu", "GELU", "Gabor"],
)
def test_heat_equation(name):
    activity, gain = expectation(CLOSED[name][0]), mean_slope(CLOSED[name][0])
    pairs = [
        (sympy.diff(activity, MU), gain),
        (2 * sympy.diff(activity, DELTA), sympy.diff(gain, MU)),
        (2 * sympy.diff(gain, DELTA), sympy.diff(gain, MU, 2)),
    ]
    for left, right in pairs:
        for mean, variance in [("0.4", "0.9"), ("-1.7", "3.1")]:
            one, two = at(left, mean, variance), at(right, mean, variance)
            assert abs(one - two) < mpmath.mpf(10) ** -35 * (1 + abs(one))


def test_gain_is_the_mean_slope_at_mean_zero():
    for name, (phi, _) in CLOSED.items():
        assert sympy.simplify(Nonlinearity(name, phi).gain - mean_slope(phi).subs(MU, 0)) == 0


@pytest.mark.parametrize("variance", ["1e-2", "0.3", "1", "20", "1e4"])
def test_stated_gain_of_arctan(variance):
    stated = LIBRARY["arctan"].stated_gain.subs(DELTA, sympy.Rational(variance))
    assert abs(mpmath.mpf(sympy.N(stated, 30)) - quadrature(1 / (1 + x**2), 0, variance)) < 1e-15


@pytest.mark.parametrize(
    ("phi", "gain"),
    [
        (erf(sqrt(pi) * x / 2), 1 / sqrt(1 + pi * DELTA / 2)),
        (Max(0, x), Rational(1, 2)),
        (Min(1, Max(-1, x)), erf(1 / sqrt(2 * DELTA))),
        (sign(x), sqrt(2 / (pi * DELTA))),
        (sin(x), exp(-DELTA / 2)),
        (x - x**3 / 3, 1 - DELTA),
        (log(1 + exp(x)), Rational(1, 2)),
        (sqrt(2) * log(1 + exp(x)), sqrt(2) / 2),
        (log(1 + exp(x)) + erf(x), Rational(1, 2) + 2 / sqrt(pi * (1 + 2 * DELTA))),
        (x * tanh(x), 0),
        (sqrt(1 + x**2) + 3 * x, 3),
        (Max(x**2, sin(x) ** 2) + Abs(tanh(x)) * 3, 0),
        (log(cosh(x)), 0),
        (tanh(x) ** 2 * Abs(sin(x)), 0),
        (sqrt(Abs(x)), 0),
    ],
    ids=str,
)
def test_gains_at_mean_zero(phi, gain):
    assert sympy.simplify(Nonlinearity("of a test", phi).gain - gain) == 0


@pytest.mark.parametrize(
    "phi",
    [tanh(x), sympy.atan(x), 1 / x, log(x), exp(x**2), exp(x**3), x * exp(x**2), exp(exp(x)), sin(x**2) * x,
     sqrt(1 + x**2) * x, Abs(sin(x)) * x, Max(0, x) * tanh(x), exp(-Abs(x)) * x, exp(x) * Max(0, x), erf(x) ** 3,
     erf(x) * sin(x) ** 2, Abs(x) ** Rational(5, 2) * x, tanh(Max(0, x)), tanh(Max(0, x - 10)),
     exp(-(Max(0, x) ** 2)), 1 / cos(x), 1 / (x**2 - 2),
     sympy.Piecewise((x, x > 0), (exp(x) - 1, True)), sympy.I * x,
     sympy.asinh(x), x**65, (-2) ** x],
    ids=str,
)  # fmt: skip
def test_no_rule(phi):
    phi = sympy.sympify(phi)
    assert mean_slope(phi) is None
    assert Nonlinearity("of a test", phi).gain is None


def nested(rule, depth):
    """A function of itself, many times; not evaluated where SymPy takes long to find out what is larger."""
    f = x
    for k in range(depth):
        f = rule(f, k)
    return f


NASTY = {
    "two powers": (x + 1) ** 20 * (x + 2) ** 20,
    "beyond the highest degree": (x + 1) ** 40 * (x + 2) ** 40,
    "alternating maxima and minima": nested(
        lambda f, k: (Max, Min)[k % 2](Abs(f, evaluate=False) - Rational(k + 1, 3), Rational(k, 7) - f, evaluate=False),
        10,
    ),
    "absolute values": nested(lambda f, k: Abs(f) - 1, 20),
    "tent map": nested(lambda f, k: 1 - 2 * Abs(f), 20),
    "maxima of sines": nested(lambda f, k: Max(sin(f), f / 2, evaluate=False), 10),
    "sigmoids in each other": nested(lambda f, k: tanh(f), 30),
    "bell and power": x**20 * exp(-(x**2)),
    "power of a bell": exp(-(x**2)) ** 20 * x,
    "sigmoid and power": x**40 * erf(x),
    "sine and power": x**40 * sin(x),
    "sixty terms": sympy.Add(*(x**k * exp(-k * x**2) * (sin(k * x) if k % 2 else 1) for k in range(1, 61))),
    "sixty kinks": sympy.Add(*(k * Abs(x - Rational(k, 7)) for k in range(1, 61))),
    "sixty sigmoids": sympy.Add(*(tanh(k * x) for k in range(1, 61))),
    "forty factors": sympy.Mul(*(x + k for k in range(40))),
    "twelve sines": sympy.Mul(*(sin(x + k) for k in range(12))),
    "power of a sum": (x + sin(x) + cos(x) + exp(x) + tanh(x) + erf(x) + 1) ** 20,
    "power of a closed sum": (x + sin(x) + cos(2 * x) + exp(-(x**2)) + erf(x) + 1) ** 20,
    "powers in powers": ((((x + 1) ** 4 + x) ** 4 + 1) ** 2 + x) ** 2,
    "exponentials in each other": exp(exp(exp(x))),
    "irrational coefficients": (sqrt(2) * x + pi + sqrt(3) + exp(1) + log(7) + sqrt(5)) ** 20,
    "irrational lines": Max(sqrt(2) * x, pi - x, sin(1) * x + cos(1), exp(1) * x - sqrt(3)),
    "quotients": sympy.Mul(*(1 / (x**2 + k) for k in range(1, 12))),
    "exponential of a hyperbolic sine": (x + exp(-(sinh(x) ** 2))) ** 2,
    "exponentials in a softplus": log(exp(exp(x**2 + Max(0, x))) + 1),
    "sine of an exponential": sin(exp(exp(x))) * tanh(x),
    "roots": nested(lambda f, k: sqrt(1 + f**2), 12),
}


@pytest.mark.parametrize("name", NASTY)
def test_time_is_bounded(name):
    start = time.process_time()
    phi = Nonlinearity(name, NASTY[name])
    for form in (expectation(phi.phi), phi.gain_with_mean, phi.gain):
        assert form is None or not form.has(X)
    assert phi.is_odd in (True, False)
    assert time.process_time() - start < 6


def test_pieces_are_bounded_and_joined():
    assert len(lines_of(Max(x, x + 0 * x, 2 * x) + Abs(x)).edges) == 1
    assert lines_of(Max(x, 1) - Max(x, 1)).edges == ()
    assert lines_of(Max(x / 3, Rational(1, 3)) - Max(x, 1) / 3).edges == ()
    irrational = Max(sqrt(2) * sqrt(3) * x, 1) - Max(sqrt(6) * x, 1)
    assert decomposed(irrational).parts == {}
    with pytest.raises(NoRuleError):
        lines_of(sympy.Add(*(Abs(x - k) for k in range(MOST_PIECES + 1))))


def test_forms_are_the_same_each_time():
    phi = x**2 * erf(x) + Max(0, x) * exp(-(x**2)) + sin(x) * cos(3 * x)
    assert str(expectation(phi)) == str(expectation(phi))
    assert str(mean_slope(phi)) == str(mean_slope(sympy.expand(phi)))


@pytest.mark.parametrize(
    ("phi", "odd"),
    [(tanh(x), True), (x - x**3, True), (x * cos(x), True), (sign(x), True), (1 / (1 + exp(-x)), False), (x**2, False),
     (1 / (1 + exp(-x)) - Rational(1, 2), True), (log(1 + exp(x)) - log(1 + exp(-x)), True),
     (log(x), False), (1 / x, True), (x + Max(0, x - 10), False), (x + Max(0, 1 - Abs(x - 7)), False),
     (x + tanh(Max(0, x - 9)), False), (x + tanh(x - 100) + 1, False), (sinh(x) ** 3, True),
     (Max(x, -1) + Min(x, 1), True),
     (tanh(Abs(x)) * x, True), (sign(tanh(x)), True), (Abs(tanh(x)) * x**2, False), (x * Abs(cos(x)) ** 3, True)],
    ids=str,
)  # fmt: skip
def test_oddness(phi, odd):
    assert Nonlinearity("of a test", phi).is_odd == odd


def test_what_is_not_real_is_named():
    assert check_real(tanh(x)) == ""
    assert check_real(log(x)) == "it has no finite real value at x = -10.0"
    assert check_real(1 / x) == "it has no value at x = 0.0"
    assert check_real(sqrt(x - 1)) == "it has no finite real value at x = -10.0"
