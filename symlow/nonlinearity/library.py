"""The nonlinearities that a specification can name, with what they are for and where they come from.

Each entry is an expression in x; its Gaussian gain follows from the expression like that of any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import sympy
from sympy import Max, Min, Rational, erf, erfc, exp, log, pi, sqrt

from symlow.nonlinearity.gaussian import DELTA
from symlow.parser import X


@dataclass(frozen=True)
class Entry:
    """A nonlinearity of the library.

    Attributes:
        phi: expression in x.
        reference: where it is used, or what it is.
        stated_gain: g(Delta) in closed form, for those whose form no rule gives and is no use in floating point.
    """

    phi: sympy.Expr
    reference: str
    stated_gain: sympy.Expr | None = None


LIBRARY: Mapping[str, Entry] = MappingProxyType(
    {
        "linear": Entry(X, "linear network; the reduction is exact for every N"),
        "erf": Entry(erf(sqrt(pi) * X / 2), "unit slope at 0: Ger & Barak 2026"),
        "erf_plain": Entry(erf(X), "without scaling: Saad & Solla 1995 up to a factor"),
        "tanh": Entry(sympy.tanh(X), "Sompolinsky, Crisanti & Sommers 1988"),
        "relu": Entry(Max(0, X), "threshold-linear; its gain is 1/2 unless the state has a mean"),
        "leaky_relu": Entry(Max(X, X / 10), "slope 1/10 below 0; leaky_relu(x, a) has another one"),
        "softplus": Entry(log(1 + exp(X)), "smooth threshold-linear"),
        "clip": Entry(Min(1, Max(-1, X)), "linear between -1 and 1, saturated beyond"),
        "sin": Entry(sympy.sin(X), "periodic"),
        "arctan": Entry(
            sympy.atan(X), "saturates slowly", sqrt(pi / (2 * DELTA)) * exp(1 / (2 * DELTA)) * erfc(1 / sqrt(2 * DELTA))
        ),
        "sign": Entry(sympy.sign(X), "binary neurons: weights of the carriers have no gradient at finite N"),
        "cubic": Entry(X - X**3 / 3, "polynomial, for expansions about the linear network"),
        "exp": Entry(exp(X), "exponential"),
        "sigmoid": Entry(Rational(1, 2) + sympy.tanh(X / 2) / 2, "logistic, 1 / (1 + exp(-x))"),
    }
)
"""By name."""
