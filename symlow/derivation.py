"""The derivation: the frozen result from which equations, LaTeX, code and verification are read.

    specification -> network -> reduction -> Gram flow and adjoint of the loss

The gradient of the loss comes from the adjoint of a time step (:mod:`symlow.backward`), summed over the steps of
trials. Where the reduced dynamics is linear, kappa[t+1] = A kappa[t] + B x[t], y = C kappa, and the task is a filter,
it comes from closed forms: from the cotangents Abar, Bbar, Cbar of the matrices each block of Sigma gets its own. S is
the symmetric part of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import sympy
from sympy import MatrixExpr, MatrixSymbol

from symlow.backward import Backward
from symlow.closed_form import PairFormula, loss_formula, pair_formulas
from symlow.equation_text import written_start
from symlow.errors import InvariantError, check_name, listing
from symlow.expressions import adjoint
from symlow.invariants.invariant import Invariant
from symlow.invariants.lax_pair import LaxPair, closed_forms, lax_pairs
from symlow.invariants.orbits import most_invariants
from symlow.invariants.polynomials import VectorFields
from symlow.invariants.search import ConservedPolynomials, conserved_polynomials
from symlow.learning import GramFlow, Metric
from symlow.network import Network
from symlow.overlaps import Overlap
from symlow.reduction import DT, TAU, Reduction
from symlow.rules import Rule, build_rule
from symlow.spec import Spec
from symlow.tasks import Loss
from symlow.tasks.filters import FilterLoss

EXACT, ASYMPTOTIC, CLOSURE = "exact", "asymptotically exact", "closure"

MOST_COUNTED = 12
"""The largest number of columns of P for which conserved quantities are counted unasked: half a second."""


@dataclass(frozen=True)
class Statement:
    """Something that the derivation claims, and how far it holds.

    Attributes:
        text: the claim, in words.
        validity: "exact", "asymptotically exact" or "closure".
    """

    text: str
    validity: str


class ByOverlap(Mapping[str, sympy.Expr]):
    """A mapping from overlap names to expressions, each made when it is first asked for.

    A network of rank 8 has 210 overlaps; most users look at a few of their equations.
    """

    def __init__(self, overlaps: tuple[Overlap, ...], make: Callable[[Overlap], sympy.Expr]) -> None:
        self._overlaps = {overlap.name: overlap for overlap in overlaps}
        self._make = make
        self._made: dict[str, sympy.Expr] = {}

    def __getitem__(self, name: str) -> sympy.Expr:
        if name not in self._made:
            check_name(name, self._overlaps, "overlap")
            self._made[name] = self._make(self._overlaps[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._overlaps)

    def __len__(self) -> int:
        return len(self._overlaps)

    def __repr__(self) -> str:
        """Return the names: expressions are made when they are asked for."""
        return f"<{type(self).__name__} of {listing(self)}>"


@dataclass(frozen=True, eq=False)
class Derivation:
    """Everything that follows from a network and a loss.

    Attributes:
        spec: the specification: name, reference and digest of what is derived.
        network: the network as data.
        loss: the task's loss.
    """

    spec: Spec
    network: Network
    loss: Loss

    @cached_property
    def reduction(self) -> Reduction:
        """Latents, overlaps, step map and the visible set."""
        return Reduction(self.network)

    @cached_property
    def learning(self) -> GramFlow:
        """The Gram flow."""
        return GramFlow(self.reduction.index, self.reduction.visible, self.reduction.invisible, self.rule)

    @cached_property
    def rule(self) -> Rule:
        """The learning rule."""
        return build_rule(self.spec.learning)

    @cached_property
    def backward(self) -> Backward:
        """The adjoint of a time step of the reduced dynamics, which gives the gradient of the loss."""
        return Backward(self.reduction)

    @cached_property
    def learning_backward(self) -> Backward:
        """The same as the learning rule has it: with feedback alignment errors are sent back through other vectors."""
        return Backward(self.reduction, self.learning.feedback) if self.learning.feedback else self.backward

    @cached_property
    def ordered(self) -> tuple[Overlap, ...]:
        """All overlaps in the order of sigma: visible ones first."""
        return (*self.reduction.visible, *self.reduction.invisible)

    @cached_property
    def overlaps(self) -> tuple[str, ...]:
        """Names of all overlaps, visible first: the order of sigma."""
        return tuple(overlap.name for overlap in self.ordered)

    @cached_property
    def visible(self) -> tuple[str, ...]:
        """Names of the loss-visible overlaps."""
        return tuple(overlap.name for overlap in self.reduction.visible)

    @cached_property
    def invisible(self) -> tuple[str, ...]:
        """Names of the loss-invisible overlaps."""
        return tuple(overlap.name for overlap in self.reduction.invisible)

    @cached_property
    def symbols(self) -> Mapping[str, sympy.Symbol]:
        """The SymPy symbol of each overlap, ``sigma_<name>``."""
        return MappingProxyType({overlap.name: overlap.symbol for overlap in self.ordered})

    @cached_property
    def gradient_symbols(self) -> Mapping[str, sympy.Symbol]:
        """The SymPy symbol of dL/dsigma for each visible overlap, ``g_<name>``."""
        return MappingProxyType({overlap.name: overlap.gradient_symbol for overlap in self.reduction.visible})

    @cached_property
    def flow(self) -> ByOverlap:
        """d(overlap)/dt under gradient flow, by name, in overlaps ``sigma_*`` and loss gradients ``g_*``."""
        return ByOverlap(self.ordered, self.learning.equation)

    @cached_property
    def finite_step(self) -> ByOverlap:
        """The overlap after one step of the learning rule with learning rate ``eta``, by name; exact if linear."""
        return ByOverlap(self.ordered, self.learning.finite_step)

    @cached_property
    def noisy_step_mean(self) -> ByOverlap:
        """The mean of the overlap after one step over noise on targets, by name, with covariances ``cov_*``."""
        return ByOverlap(self.ordered, self.learning.noisy_mean)

    @cached_property
    def block_flow(self) -> Mapping[tuple[str, str], MatrixExpr]:
        """D Sigma_ab/dt in blocks of Sigma and S, by pair of vectors: the same at every rank."""
        return MappingProxyType({pair: self.learning.block_equation(*pair) for pair in self.reduction.index.blocks})

    @property
    def metric(self) -> Metric:
        """The matrix G of dsigma/dt = -G(sigma) grad L, shape (n_overlaps, n_visible), with its two blocks."""
        return self.learning.metric

    @cached_property
    def vector_fields(self) -> VectorFields:
        """The vector fields X_e of the flow, one for each visible overlap."""
        return VectorFields(self.learning)

    @cached_property
    def lax_pairs(self) -> tuple[LaxPair, ...]:
        """The Lax pairs dLambda/dt = 2 [S D, Lambda] of the flow; none where nothing of the kind holds."""
        return lax_pairs(self.vector_fields) if self._conserves else ()

    @property
    def moved_besides(self) -> str:
        """What moves overlaps besides gradients, or aligned ones, with a verb: velocities, weight decay; or nothing."""
        moving = ["velocities"] if self.rule.has_velocity else []
        moving += ["weight decay"] if self.rule.weight_decay else []
        return (
            f"{' and '.join(moving)} {'moves' if moving == ['weight decay'] else 'move'} overlaps too" if moving else ""
        )

    @property
    def _conserves(self) -> bool:
        """Whether gradients, or aligned ones, are all that moves overlaps."""
        return not self.moved_besides

    @cached_property
    def conserved(self) -> tuple[Invariant, ...]:
        """What gradient flow conserves, whatever the loss, in closed form: of Lax pairs, and overlaps at rest.

        ``invariants`` searches for more, or proves that there is no more. Nothing where the rule has weight decay or
        velocities.
        """
        return closed_forms(self.vector_fields) if self._conserves else ()

    @cached_property
    def conserves_nothing_else(self) -> bool | None:
        """Whether every smooth function that is conserved for every loss is a function of those in ``conserved``.

        Counted exactly (:mod:`symlow.invariants.orbits`); None for more than ``MOST_COUNTED`` columns of P.
        """
        if len(self.learning.rates) > MOST_COUNTED or not self._conserves:
            return None
        return len(self.conserved) == most_invariants(self.vector_fields)

    def invariants(self, degree: int) -> ConservedPolynomials:
        """Return all polynomials in the overlaps, up to a degree, that gradient flow conserves whatever the loss.

        Exact: an invariant polynomial f satisfies grad f . G = 0 identically (math.md, section 3).

        Raises:
            InvariantError: if the degree is less than 1, or too large for so many overlaps, or the rule has weight
                decay or velocities.
        """
        if not self._conserves:
            raise InvariantError(
                f"learning.rule: found {self.rule.words}{' with weight decay' * bool(self.rule.weight_decay)}, which "
                "does not follow gradient flow; accepted: gradient descent, with rates, frozen vectors, clipping"
            )
        return conserved_polynomials(self.vector_fields, degree)

    @cached_property
    def loss_adjoint(self) -> Mapping[str, MatrixExpr]:
        """The cotangent of each visible block of Sigma, in the cotangents ``Abar_*``, ``Bbar_*``, ``Cbar_*``.

        For linear reduced dynamics, which has such matrices.

        Keys are names of the blocks, ``Sigma_vu``; the cotangent of the block of A from latent kappa_u to latent
        kappa_u is the matrix symbol ``Abar_u_u``, that of B at kappa_m is ``Bbar_m``, that of C at kappa_u ``Cbar_u``.
        """
        space = self.reduction.state_space
        symbols = list(self.reduction.index.blocks.values())
        total: dict[str, MatrixExpr] = {}
        matrices: list[tuple[str, MatrixExpr]] = [
            *((f"Abar_{to}_{source}", block) for (to, source), block in space.A.items()),
            *((f"Bbar_{to}", block) for to, block in space.B.items()),
            *((f"Cbar_{source}", block) for source, block in space.C.items()),
        ]
        for name, block in matrices:
            for target, part in adjoint(block, MatrixSymbol(name, *block.shape), symbols).items():
                total[target] = (total[target] + part).doit() if target in total else part
        return MappingProxyType({symbol.name: total[symbol.name] for symbol in symbols if symbol.name in total})

    @cached_property
    def pair_formulas(self) -> tuple[PairFormula, ...] | None:
        """The filter loss of each pair as formulas, or None where the task or the size has none."""
        return pair_formulas(self.reduction, self.loss) if isinstance(self.loss, FilterLoss) else None

    @cached_property
    def loss_expression(self) -> sympy.Expr | None:
        """The loss as a SymPy expression in the visible overlaps, exactly what the generated module evaluates.

        Over an infinite horizon the formula holds where the loss is finite, that is where the reduced dynamics and the
        targets decay; elsewhere the module gives inf. None where there is no formula: for trials, and where the reduced
        dynamics has no explicit modes.
        """
        if isinstance(self.loss, FilterLoss) and self.pair_formulas is not None:
            return loss_formula(self.pair_formulas, self.loss)
        return None

    @cached_property
    def parameters(self) -> Mapping[sympy.Symbol, sympy.Rational]:
        """Exact values of the symbols in ``loss_expression``: dt, tau and the target's parameters."""
        values = {DT: self.network.dt, TAU: self.network.tau}
        return MappingProxyType({**values, **self.loss.parameters})

    @property
    def statements(self) -> tuple[Statement, ...]:
        """What the derivation claims, each claim with its validity."""
        return tuple((_exact_statements if self.network.nonlinearity.is_linear else _gaussian_statements)(self))


def _exact_statements(derivation: Derivation) -> Iterator[Statement]:
    rule = derivation.rule
    yield from (
        Statement(
            "The latents obey the same time steps as the N neurons, so the reduced output equals the network's output "
            f"for every N, from {_start(derivation.network)}.",
            EXACT,
        ),
        Statement(
            "The loss-invisible overlaps appear in no equation that the output depends on, so that two networks "
            "with equal visible overlaps compute the same function.",
            EXACT,
        ),
        Statement(
            f"{'Gradient flow' if rule.is_plain else 'The flow'} of all trained weights, {_flow(derivation)}, moves "
            "the overlaps by the equations given; they close.",
            EXACT,
        ),
        Statement(
            f"A step of {rule.words} with any learning rate maps the Gram matrix by the congruence given, for every N.",
            EXACT,
        ),
    )
    yield from _feedback_statements(rule, EXACT)
    yield from _velocity_statements(rule)
    if rule.label_noise:
        yield Statement("With noise on the targets all this holds for each realisation of it.", EXACT)
        yield from _noise_statements(rule, EXACT)


def _flow(derivation: Derivation) -> str:
    """Return the flow of the rule in words, of gradients of averages or of sums."""
    flow = derivation.rule.flow
    return flow if derivation.network.equations.averages else flow.replace("N grad", "grad")


def _start(network: Network) -> str:
    """Return where states start: h(0) = 0, or h(0) = S."""
    return ", ".join(written_start(state, network.equations) for state in network.equations.states)


def _latent_statements(network: Network) -> Iterator[Statement]:
    """Give what the states of neurons have to do with the latents."""
    neurons = [state.symbol.name for state in network.equations.states if state.population is not None]
    read = {latent.state for latent in network.latents if latent.reading}
    inside, outside = [n for n in neurons if n not in read], [n for n in neurons if n in read]
    if inside:
        stays = f"{inside[0]} stays" if len(inside) == 1 else f"{' and '.join(inside)} stay"
        yield Statement(
            f"From {_start(network)} the state{'s' * (len(inside) > 1)} {stays} in the span of the carriers, so that "
            "latents describe it, for every N.",
            EXACT,
        )
    if outside:
        leaves = f"{outside[0]} leaves" if len(outside) == 1 else f"{' and '.join(outside)} leave"
        yield Statement(
            f"The state{'s' * (len(outside) > 1)} {leaves} the span of the vectors. What vectors read of it obeys "
            "equations of its own, for every N, in which phi stands in projections alone.",
            EXACT,
        )


def _noise_statements(rule: Rule, validity: str) -> Iterator[Statement]:
    if rule.has_noisy_moments:
        yield Statement(
            "The loss gradient is affine in the targets, and a step is quadratic in it: over Gaussian noise on the "
            "targets the mean and the covariance of a step are those given.",
            validity,
        )


def _velocity_statements(rule: Rule) -> Iterator[Statement]:
    if rule.has_velocity:
        yield Statement(
            "As the learning rate eta falls at fixed beta, steps from velocities of zero follow the flow, each "
            "advancing its time by eta / (1 - beta), up to an error of order eta.",
            ASYMPTOTIC,
        )


def _feedback_statements(rule: Rule, validity: str) -> Iterator[Statement]:
    if rule.has_feedback:
        yield Statement(
            "Errors are sent back through fixed vectors in place of those that the output reads. The latter follow the "
            "gradient of the loss, all others a direction that in general is the gradient of no function, so that the "
            "loss can rise.",
            validity,
        )


def _gaussian_statements(derivation: Derivation) -> Iterator[Statement]:
    network, rule = derivation.network, derivation.rule
    # With a convention of the reduced model in it, nothing tends to what a network does.
    conventional = network.readout == "updated_latents_previous_gain" and not network.has_constant_gain
    limit = CLOSURE if conventional else ASYMPTOTIC
    yield from _latent_statements(network)
    yield Statement(
        "Where the rows of P are jointly Gaussian, projections see the nonlinearity through the gains alone (Stein's "
        "lemma): the reduced output is the network's as N grows, with an error that falls as N^(-1/2).",
        limit,
    )
    yield Statement(
        "The loss-invisible overlaps appear in no equation that the output depends on: Gaussian networks with equal "
        "visible overlaps compute the same function, up to that error.",
        limit,
    )
    yield Statement(
        f"At a Gaussian state {'gradient flow' if rule.is_plain else 'the flow'}, {_flow(derivation)}, moves the "
        f"overlaps by the equations given{' at the same c' if rule.clip else ''}, up to that error; the equations "
        "close.",
        limit,
    )
    if rule.clip:
        yield Statement(
            "The norm of the gradient, and so the factor c of clipping, is that of the part of the gradient within the "
            "span of P: the gradient of a nonlinear network is longer, for phi'(h) takes it out of the span.",
            CLOSURE,
        )
    yield from _feedback_statements(rule, limit)
    yield from _velocity_statements(rule)
    if network.nonlinearity.has_jumps:
        yield Statement(
            "The nonlinearity jumps: a network of finitely many neurons has no gradient with respect to its carriers, "
            "and the equations are those of the limit of steep smooth nonlinearities.",
            CLOSURE,
        )
    if conventional:
        yield Statement(
            "The output has the gain of the previous state: a convention of the reduced model, off the network's "
            "read-out by a term of order dt.",
            CLOSURE,
        )
    if not network.has_means and not network.nonlinearity.is_odd:
        yield Statement(
            "The nonlinearity is not odd, so that learning gives the vectors means over neurons, which overlaps "
            "without a vector of ones do not hold: set means = true.",
            CLOSURE,
        )
    yield Statement(
        "A finite step maps the Gram matrix by a congruence, which keeps it positive semidefinite. Its first-order "
        "term is the flow; its second-order term is not that of a nonlinear network, but part of the closure.",
        CLOSURE,
    )
    yield from _noise_statements(rule, CLOSURE)
    if rule.has_velocity:
        yield Statement(
            "Velocities are made of gradients, which leave the span of P in a nonlinear network, and whose rows are "
            "not Gaussian: overlaps with velocities are part of the closure.",
            CLOSURE,
        )
    yield Statement(
        "Over a learning run the rows of P do not stay Gaussian, for phi'(h) moves each neuron by its own amount: "
        "the equations then are a closure, whose error verification and simulation tell.",
        CLOSURE,
    )
