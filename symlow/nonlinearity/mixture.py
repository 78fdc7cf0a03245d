"""Expectations of sigmoids under a Gaussian with a mean, from slopes that are mixtures of Gaussians.

    T'(x) = sum_k w_k exp(-x^2 / (2 s_k^2)),
    E[T(mu + sqrt(Delta) xi)] = sum_k w_k s_k sqrt(pi / 2) erf(mu / sqrt(2 (s_k^2 + Delta))),

and derivatives by mu: one table for all means and variances. Tables discretise an integral over scales by the
trapezoidal rule in log s, the error of which falls exponentially with the number of scales:

    sech(x)^2         = int f(s) sqrt(2 / pi) / s exp(-x^2 / (2 s^2)) ds,     f the density of Kolmogorov's law,
    (1 + x^2)^(-p)    = int t^(p - 1) exp(-t (1 + x^2)) dt / Gamma(p),        s^2 = 1 / (2 t),

the first by Andrews & Mallows (1974). With T = tanh, the expectations of softplus and of the logistic function follow:
log(1 + exp(x)) = x / 2 + log(2 cosh(x / 2)), and log(2 cosh) is the antiderivative of tanh by the same table.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import mpmath
import numpy as np
import sympy
from sympy import Expr, Rational

from symlow.arrays import FloatArray
from symlow.nonlinearity.gaussian import DELTA, MU, expectation
from symlow.nonlinearity.numeric import DIGITS
from symlow.nonlinearity.terms import ZERO, NoRuleError, order
from symlow.parser import X

ERRORS: Mapping[str, float] = {"tanh": 5e-15, "arctan": 2e-13, "ratio": 2e-14}
"""Absolute error of T and of three derivatives, for |mu| and sqrt(Delta) up to 1e4 (tests/test_mixture.py)."""
MEANINGS: Mapping[str, str] = {"tanh": "tanh(x)", "arctan": "arctan(x)", "ratio": "x / sqrt(1 + x^2)"}


@dataclass(frozen=True)
class Mixture:
    """The slope of a sigmoid T as a sum of Gaussians.

    Attributes:
        name: of T: a key of ``MEANINGS``.
        weights: w_k.
        scales: s_k.
    """

    name: str
    weights: tuple[float, ...]
    scales: tuple[float, ...]

    @property
    def meaning(self) -> str:
        """T(x), as text."""
        return MEANINGS[self.name]

    @property
    def error(self) -> float:
        """The certified bound of the absolute error."""
        return ERRORS[self.name]

    def __call__(self, derivative: int, mean: FloatArray, variance: FloatArray) -> FloatArray:
        """Return a derivative of E[T] by the mean, of order 0 to 3, or for -1 its antiderivative."""
        from scipy.special import erf  # SciPy takes as long to import as SymPy, and deriving needs nothing else of it

        mean, variance = (np.asarray(value)[..., None] for value in (mean, variance))
        weights, scales = np.array(self.weights), np.array(self.scales)
        width = scales**2 + variance
        z = mean / np.sqrt(2 * width)
        bell = weights * scales / np.sqrt(width) * np.exp(-z * z)
        area = np.sqrt(np.pi / 2) * weights * scales * erf(z)
        terms = {-1: mean * area + width * bell, 0: area, 1: bell, 2: -mean / width * bell}
        return np.sum(terms.get(derivative, (mean**2 / width - 1) / width * bell), axis=-1)


@functools.cache
def mixture(name: str) -> Mixture:
    """Return the table of a sigmoid, by its name in ``MEANINGS``."""
    with mpmath.workdps(DIGITS):
        if name == "tanh":
            # From where f is 1e-20 of its largest to where it is again; the integrand is analytic for |arg s| < pi/4.
            scales = _trapezoidal(mpmath.mpf("0.165"), mpmath.mpf("4.5"), 32)
            step = mpmath.log(scales[1] / scales[0])
            weights = [step * mpmath.sqrt(2 / mpmath.pi) * _kolmogorov(s) for s in scales]
        else:
            power = mpmath.mpf(1) if name == "arctan" else mpmath.mpf(3) / 2
            low, count = (mpmath.mpf(10) ** -19, 190) if name == "arctan" else (mpmath.mpf(10) ** -12, 140)
            times = _trapezoidal(low, mpmath.mpf(42), count)
            step = mpmath.log(times[1] / times[0])
            weights = [step * t**power * mpmath.exp(-t) / mpmath.gamma(power) for t in times]
            scales = [1 / mpmath.sqrt(2 * t) for t in times]
        return Mixture(name, tuple(float(w) for w in weights), tuple(float(s) for s in scales))


def _trapezoidal(low: mpmath.mpf, high: mpmath.mpf, count: int) -> list[mpmath.mpf]:
    ratio = mpmath.log(high / low) / (count - 1)
    return [low * mpmath.exp(k * ratio) for k in range(count)]


def _kolmogorov(s: mpmath.mpf) -> mpmath.mpf:
    """Return the density of Kolmogorov's distribution, by the series that converges fast where s is small or large."""
    if s > 1:
        return 8 * s * mpmath.fsum((-1) ** (n + 1) * n * n * mpmath.exp(-2 * n * n * s * s) for n in range(1, 12))
    squares = [(2 * n - 1) ** 2 * mpmath.pi**2 / 4 for n in range(1, 12)]
    terms = (mpmath.exp(-q / (2 * s * s)) * (q / s**4 - 1 / s**2) for q in squares)
    return mpmath.sqrt(2 * mpmath.pi) * mpmath.fsum(terms)


@dataclass(frozen=True)
class Sigmoid:
    """A term factor * T(slope x + offset), or with the antiderivative of T.

    Attributes:
        factor: in front.
        slope: of the argument.
        offset: of the argument.
        name: of T.
        lowest: 0 for T itself, -1 for its antiderivative.
    """

    factor: Expr
    slope: Expr
    offset: Expr
    name: str
    lowest: int = 0

    def derivative(self, times: int) -> Expr:
        """Return a derivative of the expectation by the mean, in ``mixture_name(order, mu, Delta)``."""
        table = sympy.Function(f"mixture_{self.name}")
        arguments = (self.slope * MU + self.offset, self.slope**2 * DELTA)
        return self.factor * self.slope**times * table(self.lowest + times, *arguments)


@dataclass(frozen=True)
class MixedForms:
    """Expectations of a nonlinearity with a mean, in closed form but for the functions of tables.

    Attributes:
        activity: phibar.
        gain: g.
        gain_mu: dg/dmu.
        gain_delta: dg/dDelta.
        tables: those that they contain.
    """

    activity: Expr
    gain: Expr
    gain_mu: Expr
    gain_delta: Expr
    tables: tuple[Mixture, ...]


def mixed_forms(phi: Expr) -> MixedForms | None:
    """Return the expectations of a sum of sigmoids and of terms with a closed form, or None for any other."""
    sigmoids: list[Sigmoid] = []
    rest: list[Expr] = []
    for term in sympy.Add.make_args(phi):
        found = _recognised(term)
        if found is None:
            rest.append(term)
            continue
        sigmoids += found[0]
        rest.append(found[1])
    closed = expectation(sympy.Add(*rest))
    if closed is None or not sigmoids:
        return None
    derivatives = [
        sympy.Add(sympy.diff(closed, MU, n) if n else closed, *(sigmoid.derivative(n) for sigmoid in sigmoids))
        for n in range(4)
    ]
    names = sorted({sigmoid.name for sigmoid in sigmoids})
    # The heat equation: dg/dDelta = (1/2) d^2 g/dmu^2.
    return MixedForms(
        derivatives[0], derivatives[1], derivatives[2], sympy.expand_mul(derivatives[3] / 2), tuple(map(mixture, names))
    )


def _recognised(term: Expr) -> tuple[list[Sigmoid], Expr] | None:
    """Return a term as sigmoids and a rest with a closed form, or None."""
    factor, core = term.as_independent(X, as_Add=False)
    try:
        order(factor, ZERO)
        return _sigmoid(factor, core)
    except NoRuleError:
        return None


def _sigmoid(factor: Expr, core: Expr) -> tuple[list[Sigmoid], Expr] | None:
    half = Rational(1, 2)
    if core.func in (sympy.tanh, sympy.atan):
        a, b = _line(core.args[0])
        return [Sigmoid(factor, a, b, "tanh" if core.func == sympy.tanh else "arctan")], ZERO
    exponential = _one_plus_exponential(core.args[0]) if core.func in (sympy.log, sympy.Pow) else None
    if exponential is not None and core.func == sympy.log:
        a, b = exponential
        return [Sigmoid(factor, a / 2, b / 2, "tanh", -1)], factor * (a * X + b) / 2
    if exponential is not None and core.exp == -1:
        a, b = exponential
        return [Sigmoid(-factor / 2, a / 2, b / 2, "tanh")], factor * half
    if core.is_Mul and set(core.args) - {X} and X in core.args and len(core.args) == 2:
        root = next(argument for argument in core.args if argument != X)
        if root.is_Pow and root.exp == -half and root.base.is_polynomial(X):
            square = sympy.Poly(root.base, X)
            c, middle, d = (square.coeff_monomial(X**n) for n in (2, 1, 0))
            if square.degree() == 2 and middle == 0 and order(c, ZERO) > 0 and order(d, ZERO) > 0:
                return [Sigmoid(factor / sympy.sqrt(c), sympy.sqrt(c / d), ZERO, "ratio")], ZERO
    return None


def _one_plus_exponential(f: Expr) -> tuple[Expr, Expr] | None:
    """Return a, b of 1 + exp(a x + b)."""
    if not (f.is_Add and len(f.args) == 2 and 1 in f.args):
        return None
    other = next(argument for argument in f.args if argument != 1)
    return _line(other.args[0]) if isinstance(other, sympy.exp) else None


def _line(argument: Expr) -> tuple[Expr, Expr]:
    """Return a, b of a x + b with real a != 0.

    Raises:
        NoRuleError: for any other expression.
    """
    if not argument.is_polynomial(X) or sympy.degree(argument, X) != 1:
        raise NoRuleError
    a, b = sympy.Poly(argument, X).all_coeffs()
    order(b, a)  # for the refusal of what is no real number
    return a, b
