"""Learning in overlap space: the Gram flow, its metric and the exact finite step.

With the symmetric gradient S (S_ij = (1/2) dL/dsigma_ij off the diagonal, S_ii = dL/dsigma_ii, zero where invisible)
and D = diag(rates), 1 for trained columns and 0 for frozen ones unless a vector has another rate, gradient flow
dP/dt = -N grad_P L = -2 P S D gives

    dSigma/dt = -2 (D S Sigma + Sigma S D),

and gradient descent P+ = P - lr N grad_P L = P K with K = I - 2 lr S D gives, for every lr and N,

    Sigma+ = K^T Sigma K = Sigma - 2 lr (D S Sigma + Sigma S D) + 4 lr^2 D S Sigma S D

(math.md, section 2; expanded at rank 1 the ten equations of Ger & Barak 2026). Both are exact in a linear network. In a
nonlinear one S is the gradient of the reduced loss, and they are asymptotically exact and a closure
(:attr:`symlow.derivation.Derivation.statements`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import sympy
from sympy import ImmutableSparseMatrix, MatrixExpr, MatrixSymbol, ZeroMatrix

from symlow.overlaps import Overlap, OverlapIndex

LR = sympy.Symbol("eta", positive=True)


@dataclass(frozen=True)
class Term:
    """One term of an overlap's equation: coefficient * dL/d(gradient) * overlap.

    Attributes:
        coefficient: an exact number.
        gradient: the visible overlap whose gradient drives the term.
        overlap: the overlap that multiplies it.
        moving: position of the column of P that learning moves.
        along: position of the column along which it moves.
    """

    coefficient: sympy.Rational
    gradient: Overlap
    overlap: Overlap
    moving: int
    along: int

    @property
    def expression(self) -> sympy.Expr:
        """The term in overlaps and loss gradients."""
        return self.coefficient * self.gradient.gradient_symbol * self.overlap.symbol


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
    """The flow of the Gram matrix under gradient descent of the trained vectors.

    Attributes:
        index: all overlaps.
        visible: the loss-visible overlaps.
        invisible: the loss-invisible overlaps.
    """

    index: OverlapIndex
    visible: tuple[Overlap, ...]
    invisible: tuple[Overlap, ...]

    @cached_property
    def rates(self) -> tuple[sympy.Rational, ...]:
        """The diagonal of D: the relative learning rate of each column of P, 0 where frozen.

        Divided by the weight of the column's population: dP/dt = -N grad_P L moves the overlaps of a population of
        alpha N neurons by 1/alpha times the gradient with respect to them (math.md, section 5).
        """
        return tuple(self._rate_of[column.vector] for column in self.index.columns)

    @cached_property
    def _rate_of(self) -> Mapping[str, sympy.Rational]:
        equations = self.index.network.equations
        return {v.name: v.rate / equations.population(v.population).weight for v in equations.vectors}

    @cached_property
    def _gradients(self) -> tuple[dict[int, Overlap], ...]:
        """For each row of S its entries that are not zero: the visible overlaps of that column of P, by the other."""
        rows: tuple[dict[int, Overlap], ...] = tuple({} for _ in self.rates)
        for overlap in self.visible:
            rows[overlap.row][overlap.column] = rows[overlap.column][overlap.row] = overlap
        return tuple(dict(sorted(row.items())) for row in rows)

    def terms(self, overlap: Overlap) -> tuple[Term, ...]:
        """Return the terms of d(overlap)/dt, in the order of the columns that they move along."""
        i, j = overlap.row, overlap.column
        if i == j:
            return tuple(self._moving(i, j, doubled=True))
        return (*self._moving(i, j), *self._moving(j, i))

    def _moving(self, moving: int, other: int, doubled: bool = False) -> Iterator[Term]:
        if not self.rates[moving]:
            return
        for along, gradient in self._gradients[moving].items():
            # S_ij is half the gradient off the diagonal and the whole of it on the diagonal.
            coefficient = -self.rates[moving] * (2 if gradient.is_norm else 1) * (2 if doubled else 1)
            yield Term(coefficient, gradient, self.index.at(along, other), moving, along)

    def equation(self, overlap: Overlap) -> sympy.Expr:
        """Return d(overlap)/dt in overlaps and loss gradients."""
        return sympy.Add(*(term.expression for term in self.terms(overlap)))

    def by_gradient(self, overlap: Overlap) -> dict[Overlap, sympy.Expr]:
        """Return the equation's terms collected by gradient: d(overlap)/dt = sum of value * dL/d(key)."""
        collected: dict[Overlap, sympy.Expr] = {gradient: sympy.Integer(0) for gradient in self.visible}
        for term in self.terms(overlap):
            collected[term.gradient] += term.coefficient * term.overlap.symbol
        return {gradient: value for gradient, value in collected.items() if value != 0}

    def finite_step(self, overlap: Overlap) -> sympy.Expr:
        """Return the overlap after one step of gradient descent with learning rate ``eta``: exact, quadratic in it."""
        i, j = overlap.row, overlap.column
        second = sympy.Integer(0)
        if self.rates[i] and self.rates[j]:
            second = (
                self.rates[i]
                * self.rates[j]
                * sympy.Add(
                    *(
                        _halved(left) * self.index.at(k, l_).symbol * _halved(right)
                        for k, left in self._gradients[i].items()
                        for l_, right in self._gradients[j].items()
                    )
                )
            )
        return overlap.symbol + LR * self.equation(overlap) + 4 * LR**2 * second

    @cached_property
    def metric(self) -> Metric:
        """The metric G, shape (n_overlaps, n_visible)."""
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
        total: MatrixExpr = ZeroMatrix(*block.shape)
        for vector in self.index.network.vectors:
            if vector.population != population:
                continue
            if rate[left] and (gradient := self._gradient_block(left, vector.name)) is not None:
                total = total - 2 * rate[left] * gradient * self.index.block(vector.name, right)
            if rate[right] and (gradient := self._gradient_block(vector.name, right)) is not None:
                total = total - 2 * rate[right] * self.index.block(left, vector.name) * gradient
        return total.doit()

    def _gradient_block(self, left: str, right: str) -> MatrixExpr | None:
        blocks = self.visible_blocks
        if (left, right) in blocks:
            return blocks[left, right]
        return blocks[right, left].T if (right, left) in blocks else None


def _halved(gradient: Overlap) -> sympy.Expr:
    """Return the entry of S of a visible overlap."""
    return gradient.gradient_symbol / (1 if gradient.is_norm else 2)
