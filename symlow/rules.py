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

*Feedback alignment* (Lillicrap et al. 2016, Nature Communications 7, 13276) sends errors back through fixed random
vectors B in place of the read-out vectors Z. The output being linear in Z, which nothing else sees, the backward pass
is that of the network with B and Z exchanged, at the errors of the network as it is. Its cotangents of the overlaps,
with 1/2 off the diagonal, are a symmetric matrix S, and what they would move along Z moves along B. With E the
permutation that exchanges Z and B, in place of the gradient

    N grad_P^B L = 2 P R,      R = E S,

in which S has no row of B, so that R has none of Z. The columns of Z learn the gradient of the loss; all others learn
what in general is the gradient of no function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

import sympy

from symlow.equations import Vector
from symlow.errors import SpecError, listing
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
class Companion(Vector):
    """A vector that a rule puts beside another one: neither carrier nor reader.

    Attributes:
        of: name of that vector.
    """

    of: str = ""


@dataclass(frozen=True)
class Velocity(Companion):
    """The velocities of the columns of another vector, moved by the rule alone."""


@dataclass(frozen=True)
class Feedback(Companion):
    """The fixed vectors through which errors are sent back, in place of those of a vector that the output reads."""


WORDS = ("", "D", "S", "R", "SD", "RD")
"""Products of matrices in K."""

Block = tuple[tuple[sympy.Expr, str], ...]
"""A block of K: the sum of products of a coefficient and of one of these."""


@dataclass(frozen=True)
class Rule:
    """A learning rule.

    Attributes:
        name: "gradient_descent", "momentum", "nesterov" or "feedback_alignment".
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
    def has_feedback(self) -> bool:
        """Whether errors are sent back through vectors of their own."""
        return self.name == "feedback_alignment"

    @property
    def is_plain(self) -> bool:
        """Whether it is gradient descent alone."""
        return not (self.has_velocity or self.has_feedback or self.weight_decay or self.clip)

    @property
    def stable_product(self) -> sympy.Rational:
        """The learning rate times the curvature h of a quadratic loss below which steps are stable, without decay.

        A step maps weight and velocity by a matrix of 2 rows whose eigenvalues z obey z^2 - (1 + beta - lr h) z + beta
        = 0, or with Nesterov's momentum z^2 - (1 + beta) (1 - lr h) z + beta (1 - lr h) = 0; the first to leave the
        unit circle does so at z = -1.
        """
        beta = self.momentum
        return 2 * (1 + beta) / (1 + 2 * beta if self.name == "nesterov" else sympy.Integer(1))

    @property
    def mixing(self) -> str:
        """The letter of the matrix that mixes the columns of P in the gradient 2 P S, or in 2 P R."""
        return "R" if self.has_feedback else "S"

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
        gradient = "N grad^B L" if self.has_feedback else "N grad L"
        gradient = ("c " if self.clip else "") + gradient + (" + rho P" if self.weight_decay else "")
        return f"dP/dt = -({gradient})" if self.weight_decay else f"dP/dt = -{gradient}"

    @property
    def words(self) -> str:
        """What the rule is called."""
        names = {
            "momentum": "gradient descent with momentum",
            "nesterov": "gradient descent with Nesterov's momentum",
            "feedback_alignment": "feedback alignment",
        }
        return names.get(self.name, "gradient descent")

    @property
    def congruence(self) -> Mapping[tuple[str, str], Block]:
        """K of [P Q]+ = [P Q] K, or of P+ = P K, in blocks: those of each of P+ and Q+ in each of P and Q."""
        names = ("P", "Q") if self.has_velocity else ("P",)
        before = {name: sympy.Symbol(name, commutative=False) for name in names}
        S, D = (sympy.Symbol(name, commutative=False) for name in (self.mixing, "D"))
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
    return tuple((sympy.factor(collected[word]), word) for word in WORDS if word in collected)


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


def with_companions(network: Network, rule: Rule) -> Network:
    """Return the network with the vectors that a rule puts beside its own; without any, as it is.

    The velocity of m is qm, of each trained vector; the feedback of z is bz, of each vector that the output reads.
    They stand behind the other vectors, in their order, but before those of ones.

    Raises:
        SpecError: if the network has a vector of such a name, or too many columns; or if errors are to be sent back
            past a read-out vector that does something else.
    """
    companions: list[Companion] = []
    if rule.has_velocity:
        companions += [_velocity(vector) for vector in network.vectors if vector.trainable]
    if rule.has_feedback:
        companions += [_feedback(network.vector(name)) for name in read_out_vectors(network)]
    if not companions:
        return network
    ones = tuple(vector for vector in network.vectors if vector.name in network.ones)
    others = tuple(vector for vector in network.vectors if vector not in ones)
    vectors = (*others, *companions, *ones)
    return replace(network, equations=replace(network.equations, vectors=vectors))


def _velocity(vector: Vector) -> Velocity:
    own = {"name": f"q{vector.name}", "rate": ZERO, "role": f"velocity of {vector.name.upper()}"}
    return Velocity(**(_inherited(vector) | own), of=vector.name)


def _feedback(vector: Vector) -> Feedback:
    own = {"name": f"b{vector.name}", "rate": ZERO, "role": f"sends errors back in place of {vector.name.upper()}"}
    return Feedback(**(_inherited(vector) | own), of=vector.name)


def _inherited(vector: Vector) -> dict[str, Any]:
    return {field.name: getattr(vector, field.name) for field in fields(Vector)}


def read_out_vectors(network: Network) -> tuple[str, ...]:
    """Return the vectors that the output reads, in the order of P, each of which does nothing else.

    Raises:
        SpecError: if one of them does, or the output is made of something else than projections and inputs.
    """
    read = [p for p in network.projections if network.output_right.has(p.symbol)]
    found = [latent.symbol.name for latent in network.latents if network.output_right.has(latent.symbol)]
    found += ["a function"] if any(network.output_right.has(gate.symbol) for gate in network.gates) else []
    if found or not read:
        raise _refused(f"an output that is made of {listing(found) or 'no projection'}")
    names = tuple(v.name for v in network.vectors if v.name in {projection.reader for projection in read})
    for name in names:
        if use := _other_use(network, name):
            raise _refused(f"the read-out vector {name!r}, which {use}")
    return names


def _other_use(network: Network, name: str) -> str:
    """Return what a vector that the output reads does besides, in words; nothing if it does not."""
    if name in network.ones:
        return "is the vector of ones"
    if name in network.carriers:
        return "carries activity too"
    expressions = {
        **{f"the equation of {latent.symbol.name}": (latent.right, latent.initial) for latent in network.latents},
        **{f"the gate {gate.symbol.name}": tuple(column for _, column in gate.arguments) for gate in network.gates},
        "a field": tuple(column for field in network.fields for column in field.coefficients.values()),
    }
    own = [projection.symbol for projection in network.projections if projection.reader == name]
    for where, parts in expressions.items():
        if any(part.has(symbol) for part in parts for symbol in own):
            return f"{where} contains"
    return "reads a state that leaves the span" if any(x.reading and x.vector == name for x in network.latents) else ""


def _refused(found: str) -> SpecError:
    return SpecError(
        f"learning.rule: found 'feedback_alignment' with {found}; accepted: an output that is a sum of what vectors "
        "read of the neurons, such as Z.T*phi(h)/N, with vectors that nothing else contains"
    )
