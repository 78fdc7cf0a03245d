"""Functions of each entry of an array, with their derivatives: phi and what else equations apply entry by entry.

y = f(x),      dy/dx = f'(x),      at a kink the mean of both sides; a jump of f itself adds nothing to f'
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.special
import sympy

from symlow.arrays import FloatArray

ARGUMENT = sympy.Symbol("x", real=True)
"""What functions are written in before they are compiled."""


@dataclass(frozen=True, eq=False)
class Elementwise:
    """A function on arrays.

    Attributes:
        value: f.
        slope: f'.
        both: f and f' at once, what they share being computed once.
    """

    value: Callable[[FloatArray], FloatArray]
    slope: Callable[[FloatArray], FloatArray]
    both: Callable[[FloatArray], tuple[FloatArray, ...]]


@functools.lru_cache(maxsize=256)
def elementwise(expression: sympy.Expr) -> Elementwise:
    """Return a function given as an expression in one symbol.

    Raises:
        ValueError: if it is no function of one symbol, or SymPy cannot differentiate it.
    """
    if len(expression.free_symbols) != 1:
        raise ValueError(f"phi = {expression}: accepted: an expression in one symbol")
    value = expression.xreplace({next(iter(expression.free_symbols)): ARGUMENT}).replace(_overflows, _rewritten)
    slope = sympy.diff(value, ARGUMENT).replace(sympy.DiracDelta, lambda *_: sympy.Integer(0))
    if slope.has(sympy.Derivative, sympy.Subs):
        raise ValueError(f"phi = {expression}: accepted: a function that SymPy differentiates")
    values, slopes, both = (_on_arrays(*expressions) for expressions in ((value,), (slope,), (value, slope)))
    return Elementwise(lambda x: values(x)[0], lambda x: slopes(x)[0], both)


class _Softplus(sympy.Function):
    """log(1 + exp(x)), which NumPy is asked for in a form that does not overflow."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return _Expit(self.args[0])


class _Expit(sympy.Function):
    """1 / (1 + exp(-x)), likewise."""

    def fdiff(self, argindex: int = 1) -> sympy.Expr:
        return self * (1 - self)


class _Step(sympy.Function):
    """1 for x > 0, 0 for x < 0, and half at 0."""


NUMERIC = {
    "_Softplus": lambda x: np.logaddexp(0, x),
    "_Expit": scipy.special.expit,
    "_Step": lambda x: np.heaviside(x, 0.5),
}


def _overflows(expression: sympy.Expr) -> bool:
    """Whether this is log(1 + exp(u)) or 1 / (1 + exp(u)), which for large u are inf in floating point, or warn."""
    if isinstance(expression, sympy.log):
        return isinstance(expression.args[0] - 1, sympy.exp)
    return bool(expression.is_Pow and expression.exp == -1 and isinstance(expression.base - 1, sympy.exp))


def _rewritten(expression: sympy.Expr) -> sympy.Expr:
    exponent = (expression.args[0] - 1).args[0]
    return _Softplus(exponent) if isinstance(expression, sympy.log) else _Expit(-exponent)


def _on_arrays(*expressions: sympy.Expr) -> Callable[[FloatArray], tuple[FloatArray, ...]]:
    steps = [expression.replace(sympy.Heaviside, lambda argument, *_: _Step(argument)) for expression in expressions]
    function = sympy.lambdify(ARGUMENT, steps, [NUMERIC, "scipy", "numpy"], cse=True)

    def evaluate(values: FloatArray) -> tuple[FloatArray, ...]:
        # Constants and select(...) give no array of this shape, or integers.
        results = (np.asarray(result, dtype=float) for result in function(values))
        return tuple(
            result if result.shape == values.shape else np.broadcast_to(result, values.shape) for result in results
        )

    return evaluate
