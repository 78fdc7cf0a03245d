"""Learning in overlap space: the Gram flow, its metric and the exact finite step of a rule.

With the symmetric gradient S (S_ij = (1/2) dL/dsigma_ij off the diagonal, S_ii = dL/dsigma_ii, zero where invisible)
and D = diag(rates), 1 for trained columns and 0 for frozen ones unless a vector has another rate, gradient flow
dP/dt = -N grad_P L = -2 P S D gives

    dSigma/dt = -2 (D S Sigma + Sigma S D),

and gradient descent P+ = P - lr N grad_P L = P K with K = I - 2 lr S D gives, for every lr and N,

    Sigma+ = K^T Sigma K = Sigma - 2 lr (D S Sigma + Sigma S D) + 4 lr^2 D S Sigma S D

(math.md, section 2; expanded at rank 1 the ten equations of Ger & Barak 2026). Other rules (:mod:`symlow.rules`) have
another K: with clipping, weight decay rho and, in the columns of velocities, momentum. Their flow is what their steps
tend to as lr -> 0,

    dP/dt = -(c N grad_P L + rho P) D,    dSigma/dt = -2 c (D S Sigma + Sigma S D) - rho (D Sigma + Sigma D),

where a step advances the time by lr, and with momentum, at fixed beta, by lr / (1 - beta): Q follows the gradient,
Q = g / (1 - beta), within some 1 / (1 - beta) steps. Velocities have rate 0 and stand still in the flow.

With feedback alignment R = E S takes the place of S, and R^T = S E: dL/dsigma then stands for the cotangent of an
overlap in the backward pass whose errors are sent through B, and what it would move along Z moves along B. Those of
overlaps with Z are derivatives of the loss, the others are not.

All are exact in a linear network. In a nonlinear one S is the gradient of the reduced loss, or of the aligned pass, and
they are asymptotically exact and a closure (:attr:`symlow.derivation.Derivation.statements`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import sympy
from sympy import ImmutableSparseMatrix, MatAdd, MatrixExpr, MatrixSymbol, ZeroMatrix

from symlow.errors import SpecError, listing
from symlow.overlaps import Overlap, OverlapIndex
from symlow.rules import CLIP, CLIP_FACTOR, LR, PLAIN, WEIGHT_DECAY, Feedback, Rule, Velocity

__all__ = ["LR", "GramFlow", "Metric", "Term"]


@dataclass(frozen=True)
class Term:
    """One term of an overlap's equation: coefficient * factor * dL/d(gradient) * overlap.

    Attributes:
        coefficient: an exact number.
        factor: 1, c where gradients are clipped, or rho in a term of weight decay.
        gradient: the visible overlap whose gradient drives the term; None in a term of weight decay.
        overlap: the overlap that multiplies it.
        moving: position of the column of P that learning moves.
        along: position of the column along which it moves.
    """

    coefficient: sympy.Rational
    factor: sympy.Expr
    gradient: Overlap | None
    overlap: Overlap
    moving: int
    along: int

    @property
    def expression(self) -> sympy.Expr:
        """The term in overlaps and loss gradients."""
        gradient = sympy.Integer(1) if self.gradient is None else self.gradient.gradient_symbol
        return self.coefficient * self.factor * gradient * self.overlap.symbol


class Metric(ImmutableSparseMatrix):
    """The matrix G of dsigma/dt = -G(sigma) grad L: a row for each overlap, a column for each visible one.

    Rows and columns are in the order of ``OVERLAPS`` (visible first). Every entry is linear in the overlaps.
    """

    @property
    def visible_block(self) -> ImmutableSparseMatrix:
        """The rows of the visible overlaps: how their gradients move them, shape (n_visible, n_visible)."""
        return ImmutableSparseMatrix(self[: self.cols, :])

    @property
    def invisible_block(self) -> ImmutableSparseMatrix:
        """The rows of the invisible overlaps, shape (n_invisible, n_visible)."""
        return ImmutableSparseMatrix(self[self.cols :, :])


@dataclass(frozen=True, eq=False)
class GramFlow:
    """How a learning rule of the trained vectors moves the Gram matrix.

    Attributes:
        index: all overlaps.
        visible: the loss-visible overlaps.
        invisible: the loss-invisible overlaps.
        rule: the learning rule.

    Raises:
        SpecError: if the rule has velocities or feedback and the network has none, or the other way round.
    """

    index: OverlapIndex
    visible: tuple[Overlap, ...]
    invisible: tuple[Overlap, ...]
    rule: Rule = PLAIN

    def __post_init__(self) -> None:
        """Check that there are velocities where the rule moves them, and feedback where it sends errors back."""
        vectors = self.index.network.vectors
        trained = [vector.name for vector in vectors if vector.trainable]
        moving = [vector.of for vector in vectors if isinstance(vector, Velocity)]
        accepted = trained if self.rule.has_velocity else []
        if moving != accepted:
            raise SpecError(
                f"learning.rule: found {self.rule.name!r}, and velocities of {listing(moving) or 'no vectors'} in the "
                f"network; accepted: of {listing(accepted) or 'no vectors'}, as symlow.rules.with_companions gives them"
            )
        if self.rule.has_feedback != bool(self.feedback):
            raise SpecError(
                f"learning.rule: found {self.rule.name!r}, and feedback of {listing(self.feedback) or 'no vectors'} in "
                "the network; accepted: as symlow.rules.with_companions gives it"
            )

    @cached_property
    def rates(self) -> tuple[sympy.Rational, ...]:
        """The diagonal of D: the relative learning rate of each column of P, 0 where frozen."""
        return tuple(self._rate_of[column.vector] for column in self.index.columns)

    @cached_property
    def _rate_of(self) -> Mapping[str, sympy.Rational]:
        return {vector.name: vector.rate for vector in self.index.network.vectors}

    @cached_property
    def trained(self) -> tuple[int, ...]:
        """Positions of the trained columns."""
        return tuple(k for k, rate in enumerate(self.rates) if rate)

    @cached_property
    def velocities(self) -> tuple[int, ...]:
        """Positions of their velocities, in the same order; none where the rule has none."""
        moving = {vector.of: vector.name for vector in self.index.network.vectors if isinstance(vector, Velocity)}
        places = [self.index.slice(moving[name]) for name in moving]
        return tuple(k for place in places for k in range(place.start, place.stop))

    @cached_property
    def feedback(self) -> Mapping[str, str]:
        """By vector that the output reads, the one through which errors are sent back; empty if they agree."""
        vectors = self.index.network.vectors
        return MappingProxyType({vector.of: vector.name for vector in vectors if isinstance(vector, Feedback)})

    @cached_property
    def exchanged(self) -> tuple[int, ...]:
        """The permutation E: for each column of P its position, that of feedback and read-out columns exchanged."""
        order = list(range(len(self.rates)))
        for name, other in self.feedback.items():
            own, sent = self.index.slice(name), self.index.slice(other)
            order[own], order[sent] = order[sent], order[own]
        return tuple(order)

    @cached_property
    def _gradients(self) -> tuple[dict[int, Overlap], ...]:
        """For each column of S, or of R = E S, its entries that are not zero, by row: visible overlaps."""
        columns: tuple[dict[int, Overlap], ...] = tuple({} for _ in self.rates)
        for overlap in self.visible:
            columns[overlap.row][self.exchanged[overlap.column]] = overlap
            columns[overlap.column][self.exchanged[overlap.row]] = overlap
        return tuple(dict(sorted(column.items())) for column in columns)

    @cached_property
    def weights(self) -> tuple[Overlap, ...]:
        """The overlaps of weights with one another, without velocities: those that the flow is about, visible first."""
        standing = set(self.velocities)
        return tuple(o for o in (*self.visible, *self.invisible) if not {o.row, o.column} & standing)

    def terms(self, overlap: Overlap) -> tuple[Term, ...]:
        """Return the terms of d(overlap)/dt, in the order of the columns that they move along."""
        i, j = overlap.row, overlap.column
        if i == j:
            return tuple(self._moving(i, j, doubled=True))
        return (*self._moving(i, j), *self._moving(j, i))

    def _moving(self, moving: int, other: int, doubled: bool = False) -> Iterator[Term]:
        if not self.rates[moving]:
            return
        factor = CLIP_FACTOR if self.rule.clip else sympy.Integer(1)
        for along, gradient in self._gradients[moving].items():
            # S_ij is half the gradient off the diagonal and the whole of it on the diagonal.
            coefficient = -self.rates[moving] * (2 if gradient.is_norm else 1) * (2 if doubled else 1)
            yield Term(coefficient, factor, gradient, self.index.at(along, other), moving, along)
        if self.rule.weight_decay:
            coefficient = -self.rates[moving] * (2 if doubled else 1)
            yield Term(coefficient, WEIGHT_DECAY, None, self.index.at(moving, other), moving, moving)

    def equation(self, overlap: Overlap) -> sympy.Expr:
        """Return d(overlap)/dt in overlaps and loss gradients, ``c`` if these are clipped, and ``rho`` of a decay."""
        return sympy.Add(*(term.expression for term in self.terms(overlap)))

    def by_gradient(self, overlap: Overlap) -> dict[Overlap, sympy.Expr]:
        """Return the equation's terms collected by gradient: d(overlap)/dt = sum of value * dL/d(key).

        Without weight decay (:meth:`decay`), and before clipping.
        """
        collected: dict[Overlap, sympy.Expr] = {gradient: sympy.Integer(0) for gradient in self.visible}
        for term in self.terms(overlap):
            if term.gradient is not None:
                collected[term.gradient] += term.coefficient * term.overlap.symbol
        return {gradient: value for gradient, value in collected.items() if value != 0}

    def decay(self, overlap: Overlap) -> sympy.Expr:
        """Return the part of d(overlap)/dt that is weight decay."""
        return sympy.Add(*(term.expression for term in self.terms(overlap) if term.gradient is None))

    def stepped(self, column: int) -> dict[int, sympy.Expr]:
        """Return a column of K: the column of P after a step of the rule, in the columns before it, by their position.

        The entries are in ``eta``, loss gradients and the rule's parameters.
        """
        if column not in self._stepped:
            self._stepped[column] = self._step(column)
        return self._stepped[column]

    @cached_property
    def _stepped(self) -> dict[int, dict[int, sympy.Expr]]:
        return {}

    def _step(self, column: int) -> dict[int, sympy.Expr]:
        weights = self.trained[self.velocities.index(column)] if column in self.velocities else column
        if not self.rates[weights]:
            return {column: sympy.Integer(1)}
        # The rule acts on columns as symbols, and what it makes of them is linear in these.
        gradients = self._gradients[weights]
        velocity = self.velocities[self.trained.index(weights)] if self.velocities else None
        positions = sorted({weights, *gradients, *([] if velocity is None else [velocity])})
        columns = {k: sympy.Symbol(f"P_{k}") for k in positions}
        gradient = sympy.Add(*(2 * _halved(overlap) * columns[k] for k, overlap in gradients.items()))
        moved = self.rule.step(
            columns[weights],
            sympy.Integer(0) if velocity is None else columns[velocity],
            gradient,
            self.rates[weights],
        )
        combination = sympy.expand(moved[column == velocity])
        entries = {k: combination.coeff(symbol) for k, symbol in columns.items()}
        return {k: entry for k, entry in entries.items() if entry != 0}

    def finite_step(self, overlap: Overlap) -> sympy.Expr:
        """Return the overlap after one step with learning rate ``eta``, an entry of K^T Sigma K: exact if linear."""
        return sympy.Add(
            *(
                sympy.expand(left * right) * self.index.at(k, l_).symbol
                for k, left in self.stepped(overlap.row).items()
                for l_, right in self.stepped(overlap.column).items()
            )
        )

    def noisy_mean(self, overlap: Overlap) -> sympy.Expr:
        """Return the mean of the overlap after one step over noise on the targets, exact as the step is.

        The step is quadratic in the loss gradients ``g_a``, which are affine in the targets, so that the mean is the
        step at their means plus (1/2) sum_ab cov_ab d^2/dg_a dg_b, with their covariances ``cov_a_b``; for gradient
        descent E[Sigma+] = K^T Sigma K + 4 eta^2 E[D dS Sigma dS D].

        Raises:
            SpecError: if gradients are clipped, for then the step is not a polynomial in them.
        """
        if self.rule.clip:
            raise SpecError("learning.clip: found it with label noise; a clipped step has no mean in closed form")
        step = self.finite_step(overlap)
        moving = [visible for visible in self.visible if step.has(visible.gradient_symbol)]
        second = [
            gradient_covariance(left, right) * sympy.diff(step, left.gradient_symbol, right.gradient_symbol) / 2
            for left in moving
            for right in moving
        ]
        return step + sympy.Add(*second)

    @cached_property
    def square_of_gradient(self) -> sympy.Expr:
        """|N grad_P L|^2 = 4 tr(S Sigma S) over trained columns, by the norm with which gradients are clipped.

        4 tr(R^T Sigma R) with feedback alignment.
        """
        return 4 * sympy.Add(
            *(
                _halved(left) * self.index.at(k, l_).symbol * _halved(right)
                for column in self.trained
                for k, left in self._gradients[column].items()
                for l_, right in self._gradients[column].items()
            )
        )

    @property
    def clip_factor(self) -> sympy.Expr:
        """What clipping leaves of the gradient, c = min(1, C / |N grad_P L|); 1 without clipping."""
        return sympy.Min(1, CLIP / sympy.sqrt(self.square_of_gradient)) if self.rule.clip else sympy.Integer(1)

    @cached_property
    def metric(self) -> Metric:
        """The metric G, shape (n_overlaps, n_visible): of the gradient before clipping, and without weight decay.

        With feedback alignment it is the matrix of the same meaning, of which the visible rows are not symmetric.
        """
        columns = {overlap.name: k for k, overlap in enumerate(self.visible)}
        entries: dict[tuple[int, int], sympy.Expr] = {}
        for row, overlap in enumerate((*self.visible, *self.invisible)):
            for gradient, value in self.by_gradient(overlap).items():
                entries[row, columns[gradient.name]] = -value
        return Metric(len(self.visible) + len(self.invisible), len(self.visible), entries)

    @cached_property
    def visible_blocks(self) -> Mapping[tuple[str, str], MatrixSymbol]:
        """The blocks of S that are not zero, as matrix symbols by the pair of vectors."""
        vector = [column.vector for column in self.index.columns]
        pairs = {(vector[overlap.row], vector[overlap.column]) for overlap in self.visible}
        return MappingProxyType(
            {
                (a, b): MatrixSymbol(f"S_{a}_{b}", *symbol.shape)
                for (a, b), symbol in self.index.blocks.items()
                if (a, b) in pairs
            }
        )

    def block_equation(self, left: str, right: str) -> MatrixExpr:
        """Return d Sigma_{left right}/dt in blocks of Sigma and S: the same expression at every rank."""
        block = self.index.block(left, right)
        rate, population = self._rate_of, self.index.network.vector(left).population
        terms: list[MatrixExpr] = []
        factor = CLIP_FACTOR if self.rule.clip else sympy.Integer(1)
        for vector in self.index.network.vectors:
            if vector.population != population:
                continue
            along = self.feedback.get(vector.name, vector.name)
            if rate[left] and (gradient := self._gradient_block(left, vector.name)) is not None:
                terms.append(-2 * factor * rate[left] * gradient * self.index.block(along, right))
            if rate[right] and (gradient := self._gradient_block(vector.name, right)) is not None:
                terms.append(-2 * factor * rate[right] * self.index.block(left, along) * gradient)
        if self.rule.weight_decay and (rate[left] or rate[right]):
            terms.append(-(rate[left] + rate[right]) * WEIGHT_DECAY * block)
        # One sum of all terms: adding them one by one takes a time that grows with the square of their number.
        return MatAdd(*terms).doit() if terms else ZeroMatrix(*block.shape)

    def _gradient_block(self, left: str, right: str) -> MatrixExpr | None:
        blocks = self.visible_blocks
        if (left, right) in blocks:
            return blocks[left, right]
        return blocks[right, left].T if (right, left) in blocks else None


def gradient_covariance(left: Overlap, right: Overlap) -> sympy.Symbol:
    """Return the covariance of two loss gradients over noise on the targets, ``cov_<left>_<right>``."""
    return sympy.Symbol("_".join(("cov", *sorted((left.name, right.name)))))


def _halved(gradient: Overlap) -> sympy.Expr:
    """Return the entry of S of a visible overlap."""
    return gradient.gradient_symbol / (1 if gradient.is_norm else 2)
