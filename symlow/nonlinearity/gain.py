"""Nonlinearities phi with what the reduction needs of them under a Gaussian state of mean mu and variance Delta.

    g(mu, Delta) = E[phi'(mu + sqrt(Delta) xi)],      phibar(mu, Delta) = E[phi(mu + sqrt(Delta) xi)],
    dphibar/dmu = g,      dphibar/dDelta = (1/2) dg/dmu      (the heat equation)

By Stein's lemma, a vector q that is jointly Gaussian with the state h projects
E[q phi(h)] = cov(q, h) g + mean(q) phibar (math.md, sections 4 and 5). The gain g is a closed form where the rules of
:mod:`symlow.nonlinearity.gaussian` give one, and a certified series else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import mpmath
import sympy

from symlow.errors import SpecError, listing, nearest
from symlow.nonlinearity.gaussian import DELTA, MU, expectation, mean_slope
from symlow.nonlinearity.library import LIBRARY
from symlow.nonlinearity.numeric import evaluated, is_odd, odd_slope
from symlow.nonlinearity.series import GainSeries, gain_series
from symlow.nonlinearity.stored import STORED
from symlow.parser import X, parse_expression

__all__ = ["DELTA", "MU", "Nonlinearity", "X", "nonlinearity"]


@dataclass(frozen=True)
class Nonlinearity:
    """A nonlinearity phi of one variable.

    Attributes:
        name: what a specification calls it: a name of the library, or the expression as typed.
        phi: expression in ``X``.
        reference: where it comes from.
        stated_gain: g(Delta) in a closed form that is to be read, not evaluated, for it cancels in floating point.
    """

    name: str
    phi: sympy.Expr
    reference: str = ""
    stated_gain: sympy.Expr | None = None

    @property
    def is_linear(self) -> bool:
        """Whether phi(x) = x, for which the reduction holds exactly for every N."""
        return bool(self.phi == X)

    @cached_property
    def is_odd(self) -> bool:
        """Whether phi(-x) = -phi(x), so that learning leaves means at zero; found at sample points."""
        return is_odd(self.phi)

    @property
    def has_jumps(self) -> bool:
        """Whether phi jumps, so that a finite network has no gradient with respect to its state."""
        return bool(self.phi.has(sympy.sign, sympy.Heaviside))

    @cached_property
    def gain_with_mean(self) -> sympy.Expr | None:
        """g(mu, Delta) in closed form, or None."""
        return mean_slope(self.phi)

    @cached_property
    def activity(self) -> sympy.Expr | None:
        """phibar(mu, Delta) in closed form, or None."""
        return expectation(self.phi)

    @cached_property
    def gain(self) -> sympy.Expr | None:
        """g(Delta) at mean 0 in closed form, or None.

        Only the odd part of phi has a share in it: softplus, x/2 plus an even function, has the gain 1/2.
        """
        if self.gain_with_mean is not None:
            return self.gain_with_mean.subs(MU, 0)
        # Term by term, so that the sum of a softplus and an error function has a closed form too.
        parts = [odd_slope(self.phi)]
        if parts[0] is None and self.phi.is_Add:
            parts = [_gain_slope(term) for term in self.phi.args]
        return None if None in parts else sympy.Add(*parts)

    @property
    def has_constant_gain(self) -> bool:
        """Whether the gain at mean 0 does not depend on the variance."""
        return self.gain is not None and not self.gain.has(DELTA)

    @property
    def series(self) -> GainSeries:
        """g(Delta) and its derivative as series, for a gain without a closed form.

        Raises:
            SpecError: if no series is accurate enough.
        """
        return STORED[self.name] if self.name in STORED else gain_series(self.phi)

    @property
    def needs_series(self) -> bool:
        """Whether the gain at mean 0 is evaluated by a series."""
        return self.gain is None


def nonlinearity(text: str) -> Nonlinearity:
    """Return the nonlinearity that a specification names or types.

    Raises:
        SpecError: for an unknown name, an expression that is not accepted, or one that is no function of x with real
            values everywhere.
    """
    if text in LIBRARY:
        entry = LIBRARY[text]
        return Nonlinearity(text, entry.phi, entry.reference, entry.stated_gain)
    if text.isidentifier() and text != X.name:
        accepted = f"{listing(LIBRARY)}, or an expression in x such as tanh(x) + 0.1*x"
        raise SpecError(f"unknown nonlinearity {text!r}{nearest(text, LIBRARY)}; accepted: {accepted}")
    phi = parse_expression(text)
    if not phi.has(X):
        raise SpecError(f"found {text!r}, which does not depend on x; accepted: an expression in x")
    problem = check_real(phi)
    if problem:
        raise SpecError(f"found {text!r}: {problem}; accepted: functions that are real and finite for all x")
    return Nonlinearity(text, phi)


def _gain_slope(term: sympy.Expr) -> sympy.Expr | None:
    """Return E[phi'] at mean 0 of a term, or None."""
    closed = mean_slope(term)
    return odd_slope(term) if closed is None else closed.subs(MU, 0)


def check_real(phi: sympy.Expr) -> str:
    """Return where phi is not a finite real number, in words, or an empty string."""
    value = evaluated(phi)
    for k in range(-40, 41):
        try:
            value(mpmath.mpf(k) / 4)
        except ValueError as error:
            return f"it has {error}"
    return ""
