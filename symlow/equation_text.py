"""Equations as text: ``h' = -h + U*a + M*x``, ``a = V.T*phi(h)/N``, parsed through a whitelist, never executed."""

from __future__ import annotations

from sympy import MatrixExpr


def written(expression: MatrixExpr) -> str:
    """Return a matrix expression as a user would write it: U*V.T*phi(h)/N."""
    return str(expression)
