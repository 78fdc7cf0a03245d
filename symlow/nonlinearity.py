"""Nonlinearities phi and their Gaussian gains g(Delta) = E[phi'(sqrt(Delta) xi)], xi ~ N(0, 1).

The gain multiplies every projection of the reduced dynamics (Stein's lemma); the linear network has gain 1 and its
reduced dynamics is exact for every N.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy


@dataclass(frozen=True)
class Nonlinearity:
    """A nonlinearity phi of one variable.

    Attributes:
        name: what a specification calls it.
        phi: expression in the symbol ``x``.
        gain: E[phi'(sqrt(Delta) xi)], expression in the symbol ``Delta``.
    """

    name: str
    phi: sympy.Expr
    gain: sympy.Expr

    @property
    def is_linear(self) -> bool:
        """Whether phi(x) = x, for which the reduction holds exactly for every N."""
        return self.phi == sympy.Symbol("x")


LIBRARY = {"linear": Nonlinearity("linear", sympy.Symbol("x"), sympy.Integer(1))}
"""The nonlinearities that a specification can name."""
