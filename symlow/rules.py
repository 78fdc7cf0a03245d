"""Learning rules: what a step does to the vectors, and the vectors that a rule needs besides.

    g  = c N grad_P L + rho P,      c = min(1, C / |N grad_P L|),      |G|^2 = tr G^T G / N over trained columns
    P+ = P - eta g D                                                          gradient descent
    Q+ = beta Q + g,      P+ = P - eta Q+ D                                   momentum
    Q+ = beta Q + g,      P+ = P - eta (g + beta Q+) D                        Nesterov's momentum

with the learning rate eta, relative rates D of the columns, weight decay rho and clipping at C. With P in the place of
parameters this is what PyTorch's SGD does (dampening 0), relative rates being those of parameter groups, after
clip_grad_norm_ of all trained parameters (without its 1e-6). So rates scale the decay, and do not enter the norm.

*Scaling.* eta, beta, rho and C are PyTorch's own for the parameters p = P / sqrt(N), with gradient sqrt(N) grad_P L:
those of a linear network k' = -k + u v^T k + m x, y = z^T k. For the parameters P of y = Z^T h / N PyTorch's are
lr = N eta, weight_decay = rho / N and max_norm = C / sqrt(N).

The gradient N grad_P L = 2 P S and everything a rule makes of it are combinations of the columns of P. So are the
velocities Q, which then are vectors too: they carry and read nothing, and the Gram matrix of [P Q] closes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

import sympy

from symlow.equations import Vector
from symlow.expressions import exact
from symlow.network import Network
from symlow.spec_learning import DEFAULT_MOMENTUM, LearningSpec

LR = sympy.Symbol("eta", positive=True)
WEIGHT_DECAY = sympy.Symbol("rho", positive=True)
MOMENTUM = sympy.Symbol("beta", positive=True)
CLIP = sympy.Symbol("C", positive=True)
CLIP_FACTOR = sympy.Symbol("c", positive=True)
"""What clipping leaves of the gradient, a function of the overlaps and of the gradient."""
LABEL_NOISE = sympy.Symbol("s", positive=True)

ZERO = sympy.Integer(0)


@dataclass(frozen=True)
class Velocity(Vector):
    """The velocities of the columns of another vector: neither carrier nor reader, moved by the rule alone.

    Attributes:
        of: name of that vector.
    """

    of: str = ""


Block = tuple[tuple[sympy.Expr, str], ...]
"""A block of K: the sum of products of a coefficient and of the matrices "", "S", "D" or "SD"."""


@dataclass(frozen=True)
class Rule:
    """A learning rule.

    Attributes:
        name: "gradient_descent", "momentum" or "nesterov".
        weight_decay: rho, exact.
        momentum: beta, exact; 0 for gradient descent.
        clip: C, exact; None where gradients are not clipped.
        label_noise: standard deviation of white noise on targets, exact.
    """

    name: str = "gradient_descent"
    weight_decay: sympy.Rational = ZERO
    momentum: sympy.Rational = ZERO
    clip: sympy.Rational | None = None
    label_noise: sympy.Rational = ZERO

    @property
    def has_velocity(self) -> bool:
        """Whether trained vectors have velocities."""
        return self.momentum != 0

    @property
    def is_plain(self) -> bool:
        """Whether it is gradient descent alone."""
        return not (self.has_velocity or self.weight_decay or self.clip)

    @property
    def has_noisy_moments(self) -> bool:
        """Whether there is noise on targets, over which a step has moments in closed form: clipping leaves none."""
        return bool(self.label_noise) and not self.clip

    @property
    def parameters(self) -> Mapping[sympy.Symbol, sympy.Rational]:
        """Exact values of the symbols in the rule's equations."""
        values = {
            MOMENTUM: self.momentum,
            WEIGHT_DECAY: self.weight_decay,
            CLIP: self.clip,
            LABEL_NOISE: self.label_noise,
        }
        return MappingProxyType({symbol: value for symbol, value in values.items() if value})

    @property
    def flow(self) -> str:
        """What the rule tends to as eta -> 0, in words."""
        gradient = ("c " if self.clip else "") + "N grad L" + (" + rho P" if self.weight_decay else "")
        return f"dP/dt = -({gradient})" if self.weight_decay else f"dP/dt = -{gradient}"

    @property
    def words(self) -> str:
        """What the rule is called."""
        names = {"momentum": "gradient descent with momentum", "nesterov": "gradient descent with Nesterov's momentum"}
        return names.get(self.name, "gradient descent")

    @property
    def congruence(self) -> Mapping[tuple[str, str], Block]:
        """K of [P Q]+ = [P Q] K, or of P+ = P K, in blocks: those of each of P+ and Q+ in each of P and Q."""
        names = ("P", "Q") if self.has_velocity else ("P",)
        before = {name: sympy.Symbol(name, commutative=False) for name in names}
        S, D = (sympy.Symbol(name, commutative=False) for name in "SD")
        after = self.step(before["P"], before.get("Q"), 2 * before["P"] * S, D)
        return MappingProxyType(
            {
                (row, column): _block(sympy.expand(after[k]), before[row])
                for row in names
                for k, column in enumerate(names)
            }
        )

    def gradient(self, weights: Any, gradient: Any) -> Any:
        """Return g, the gradient with clipping and decay, given N grad_P L.

        Any things do that can be added and multiplied by symbols: columns as symbols, or matrices.
        """
        clipped = CLIP_FACTOR * gradient if self.clip else gradient
        return clipped + WEIGHT_DECAY * weights if self.weight_decay else clipped

    def step(self, weights: Any, velocity: Any, gradient: Any, rates: Any) -> tuple[Any, Any]:
        """Return weights and velocity after a step, given N grad_P L; without velocities the latter as it is."""
        direction = self.gradient(weights, gradient)
        if self.has_velocity:
            velocity = MOMENTUM * velocity + direction
            direction = direction + MOMENTUM * velocity if self.name == "nesterov" else velocity
        return weights - LR * direction * rates, velocity


def _block(combination: sympy.Expr, source: sympy.Symbol) -> Block:
    """Return what multiplies P or Q from the right in a sum of products, equal matrices together."""
    collected: dict[str, sympy.Expr] = {}
    for term in sympy.Add.make_args(combination):
        coefficient, matrices = term.args_cnc()
        if matrices and matrices[0] == source:
            word = "".join(symbol.name for symbol in matrices[1:])
            collected[word] = collected.get(word, sympy.Integer(0)) + sympy.Mul(*coefficient)
    return tuple((sympy.factor(collected[word]), word) for word in ("", "D", "S", "SD") if word in collected)


PLAIN = Rule()
"""Gradient descent and nothing else."""


def build_rule(learning: LearningSpec) -> Rule:
    """Return the rule of a specification, with exact numbers."""
    momentum = DEFAULT_MOMENTUM if learning.momentum is None else learning.momentum
    return Rule(
        learning.rule,
        exact(learning.weight_decay),
        exact(momentum) if learning.has_velocity else ZERO,
        None if learning.clip is None else exact(learning.clip),
        exact(learning.label_noise),
    )


def with_velocities(network: Network, rule: Rule) -> Network:
    """Return the network with the velocities that a rule gives its trained vectors; without any, as it is.

    The velocity of m is qm. Velocities stand behind the other vectors, in their order, but before the vector of ones.

    Raises:
        SpecError: if the network has a vector of such a name, or too many columns.
    """
    if not rule.has_velocity:
        return network
    velocities = [_velocity(vector) for vector in network.vectors if vector.trainable]
    end = len(network.vectors) - (network.vectors[-1].name in network.ones)
    vectors = (*network.vectors[:end], *velocities, *network.vectors[end:])
    return replace(network, equations=replace(network.equations, vectors=vectors))


def _velocity(vector: Vector) -> Velocity:
    inherited = {field.name: getattr(vector, field.name) for field in fields(vector)}
    own = {"name": f"q{vector.name}", "rate": sympy.Integer(0), "role": f"velocity of {vector.name.upper()}"}
    return Velocity(**(inherited | own), of=vector.name)
