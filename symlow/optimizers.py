"""Optimizers of the full network's weights: what a step of training subtracts, given the gradient.

    P+ = P - lr d,      d = g for gradient descent,      d = m / (1 - beta1^k) / (sqrt(s / (1 - beta2^k)) + eps) in Adam
    m+ = beta1 m + (1 - beta1) g,      s+ = beta2 s + (1 - beta2) g^2      at step k = 1, 2, ...

g_i = (1/w_i) dL/dP_i is the gradient for neuron i in units of its weight w_i: N dL/dP_i where all are 1/N. It is of
order one at every N, so that eps means the same at every N; in dL/dP, which falls as 1/N, eps would come to rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from symlow.arrays import FloatArray
from symlow.errors import check_name


class Optimizer(Protocol):
    """How successive gradients become successive directions of descent."""

    def start(self) -> Callable[[FloatArray], FloatArray]:
        """Begin a run: return the function from each step's gradient g to its direction d, called once a step."""


@dataclass(frozen=True)
class GradientDescent:
    """Gradient descent, stochastic where the trials are."""

    def start(self) -> Callable[[FloatArray], FloatArray]:
        """Begin a run: the direction is the gradient."""
        return lambda gradient: gradient


@dataclass(frozen=True)
class Adam:
    """Adam, of Kingma and Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1.

    Attributes:
        beta1: how much of the mean of gradients is kept at a step.
        beta2: how much of the mean of their squares is kept at a step.
        eps: the size of g below which steps become shorter.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def start(self) -> Callable[[FloatArray], FloatArray]:
        """Begin a run with both means at zero."""
        mean: FloatArray | float = 0.0
        square: FloatArray | float = 0.0
        step = 0

        def direction(gradient: FloatArray) -> FloatArray:
            nonlocal mean, square, step
            step += 1
            mean = self.beta1 * mean + (1 - self.beta1) * gradient
            square = self.beta2 * square + (1 - self.beta2) * gradient**2
            unbiased = mean / (1 - self.beta1**step), square / (1 - self.beta2**step)
            return unbiased[0] / (np.sqrt(unbiased[1]) + self.eps)

        return direction


OPTIMIZERS: dict[str, Optimizer] = {"gradient_descent": GradientDescent(), "adam": Adam()}
"""The optimizers by name, with their usual settings."""


def find_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """Return the optimizer of that name, or the one given.

    Raises:
        UnknownNameError: for a name that is not in ``OPTIMIZERS``.
    """
    if isinstance(optimizer, str):
        check_name(optimizer, OPTIMIZERS, "optimizer")
        return OPTIMIZERS[optimizer]
    return optimizer
