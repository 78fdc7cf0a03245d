"""Optimizers of the full network's weights: what a step of training subtracts, given the gradient.

    P+ = P - lr d,      d = g for gradient descent,      d = m / (1 - beta1^k) / (sqrt(s / (1 - beta2^k)) + eps) in Adam
    m+ = beta1 m + (1 - beta1) g,      s+ = beta2 s + (1 - beta2) g^2      at step k = 1, 2, ...

g_i = (1/w_i) dL/dP_i is the gradient for neuron i in units of its weight w_i: N dL/dP_i where all are 1/N. It is of
order one at every N, so that eps means the same at every N; in dL/dP, which falls as 1/N, eps would come to rule.

Gradient descent has the options of PyTorch's SGD (torch.optim.SGD, with dampening 0): first the gradient is clipped,
as by torch.nn.utils.clip_grad_norm_ but without its 1e-6, then weight decay is added, then momentum:

    g <- g min(1, clip / |g|),  |g|^2 = sum_i w_i |g_i|^2;    g <- g + weight_decay P;    v <- momentum v + g;    d = v

or d = g + momentum v (nesterov). Each vector has its own lr, as a parameter group has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from symlow.arrays import FloatArray, shown
from symlow.errors import UnknownNameError, check_name, listing
from symlow.rules import Rule


class Run(Protocol):
    """The optimizer of one run, called once a step."""

    @property
    def velocity(self) -> FloatArray | None:
        """The velocities v of the trained columns after the last step, shape (N, trained); None if it has none."""

    def __call__(self, gradient: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the direction d of descent, given the gradient g and the trained columns, all (N, trained)."""


@runtime_checkable
class Optimizer(Protocol):
    """How successive gradients become successive directions of descent."""

    def start(self, node_weights: FloatArray, velocity: FloatArray | None = None) -> Run:
        """Begin a run of neurons of weights w, shape (N, 1), from given velocities, or from zero."""


@dataclass(frozen=True)
class GradientDescent:
    """Gradient descent, stochastic where the trials are.

    Attributes:
        momentum: how much of the velocity is kept at a step; without momentum there is none.
        nesterov: whether the momentum is Nesterov's.
        weight_decay: how much of the weights is added to the gradient.
        clip: the largest norm of the gradient.
    """

    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    clip: float | None = None

    def start(self, node_weights: FloatArray, velocity: FloatArray | None = None) -> Run:
        """Begin a run."""
        return _Descent(self, node_weights, velocity if self.momentum else None)


@dataclass
class _Descent:
    settings: GradientDescent
    node_weights: FloatArray
    velocity: FloatArray | None

    def __call__(self, gradient: FloatArray, weights: FloatArray) -> FloatArray:
        settings = self.settings
        if settings.clip is not None:
            norm = np.sqrt(np.sum(self.node_weights * gradient**2))
            gradient = gradient * (settings.clip / norm if norm > settings.clip else 1.0)
        gradient = gradient + settings.weight_decay * weights
        if not settings.momentum:
            return gradient
        before = np.zeros_like(gradient) if self.velocity is None else self.velocity
        self.velocity = settings.momentum * before + gradient
        return gradient + settings.momentum * self.velocity if settings.nesterov else self.velocity


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

    def start(self, node_weights: FloatArray, velocity: FloatArray | None = None) -> Run:
        """Begin a run with both means at zero; it has no velocities."""
        return _AdamRun(self)


@dataclass
class _AdamRun:
    settings: Adam
    mean: FloatArray | float = 0.0
    square: FloatArray | float = 0.0
    step: int = 0
    velocity: None = field(default=None, init=False)

    def __call__(self, gradient: FloatArray, weights: FloatArray) -> FloatArray:
        beta1, beta2 = self.settings.beta1, self.settings.beta2
        self.step += 1
        self.mean = beta1 * self.mean + (1 - beta1) * gradient
        self.square = beta2 * self.square + (1 - beta2) * gradient**2
        unbiased = self.mean / (1 - beta1**self.step), self.square / (1 - beta2**self.step)
        return unbiased[0] / (np.sqrt(unbiased[1]) + self.settings.eps)


OPTIMIZERS: dict[str, Optimizer] = {
    "gradient_descent": GradientDescent(),
    "momentum": GradientDescent(momentum=0.9),
    "nesterov": GradientDescent(momentum=0.9, nesterov=True),
    "adam": Adam(),
}
"""The optimizers by name, with their usual settings."""


def find_optimizer(optimizer: object) -> Optimizer:
    """Return the optimizer of that name, or the one given.

    Raises:
        UnknownNameError: for a name that is not in ``OPTIMIZERS``, or what is no optimizer.
    """
    if isinstance(optimizer, str):
        check_name(optimizer, OPTIMIZERS, "optimizer")
        return OPTIMIZERS[optimizer]
    if isinstance(optimizer, type) or not isinstance(optimizer, Optimizer):
        raise UnknownNameError(
            f"optimizer: found {shown(optimizer)}; accepted: {listing(OPTIMIZERS)}, or one such as Adam(beta1=0.8)"
        )
    return optimizer


def rule_optimizer(rule: Rule) -> Optimizer:
    """Return the optimizer that does to weights what a derivation's rule says."""
    clip = None if rule.clip is None else float(rule.clip)
    return GradientDescent(float(rule.momentum), rule.name == "nesterov", float(rule.weight_decay), clip)
