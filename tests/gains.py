"""Gains of an expression as generated code, and the same by mpmath, for the tests of both."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import mpmath
import numpy as np
import sympy

from symlow.codegen.emit import render
from symlow.codegen.numpy_functions import SMALLEST_VARIANCE, gain_functions
from symlow.nonlinearity import LIBRARY, Nonlinearity, X
from symlow.reduction import Reduction
from tests.nonlinear import low_rank

KINKS = {"relu": [0], "leaky_relu": [0], "sign": [0], "clip": [-1, 1]}
EVERY = {name: entry.phi for name, entry in LIBRARY.items()}


@functools.cache
def generated(phi, means):
    """The functions of a generated module that evaluate the gains of phi, by name."""
    network = low_rank(phi, ones=means)
    gains = gain_functions(Reduction(network))
    mixtures = gains[0].mixtures if gains else ()
    text = render(
        "gains.py.jinja",
        module=SimpleNamespace(gains=gains, mixtures=mixtures, smallest_variance=SMALLEST_VARIANCE),
    )
    namespace = {"np": np}
    exec("from scipy.special import erf\n" + text, namespace)
    functions = SimpleNamespace(**{function.name: namespace[function.name] for function in gains})
    return functions, text


def nonlinearity(phi):
    return Nonlinearity("of a test", phi)


def panels(f, mean, variance, kinks=()):
    """E[f(mean + sqrt(variance) xi)] in float64, by Gauss-Legendre panels that end where f bends."""
    nodes, weights = np.polynomial.legendre.leggauss(24)
    width = variance**0.5
    edges = np.arange(-22.0, 22.0, min(0.5, 0.25 / width)) * width + mean
    edges = np.unique([*edges, *(kink for kink in kinks if edges[0] < kink < edges[-1])])
    half = np.diff(edges)[:, None] / 2
    y = edges[:-1, None] + half + half * nodes
    density = np.exp(-((y - mean) ** 2) / (2 * variance)) / (width * np.sqrt(2 * np.pi))
    return float(np.sum(half * weights * density * f(y)))


def quadrature(f, mean, variance, digits=18):
    """E[f(mean + sqrt(variance) xi)] by mpmath, for functions that are smooth on the scale of 1."""
    with mpmath.workdps(digits):
        value = sympy.lambdify(X, f, "mpmath")
        mean, width = mpmath.mpf(mean), mpmath.sqrt(mpmath.mpf(variance))
        reach = 10 * width
        near = {s * mpmath.mpf(2) ** j - mean for j in range(-1, 9, 2) for s in (-1, 1)}
        edges = sorted({-reach, mpmath.mpf(0), reach, *(edge for edge in near if abs(edge) < reach)})
        total = mpmath.quad(
            lambda y: value(mean + y) * mpmath.exp(-((y / width) ** 2) / 2), edges, method="gauss-legendre", maxdegree=7
        )
        return total / (width * mpmath.sqrt(2 * mpmath.pi))
