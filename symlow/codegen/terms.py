"""Expressions over time as sums of terms: what can be taken out of a loop over time, and what has to stay in it.

A column kappa of the reduced dynamics is an array of rows, shape (time, ..., batch, entries), and a block of Sigma has
shape (..., rows, columns); so Sigma_vu kappa_u is the array ``kappa_u @ Sigma_uv``. Every expression of a time step
is a sum of terms

    coefficient * (left chain . right chain)... * column chain * row chain^T

where a chain is a product of blocks with a column at its end. This form tells which factors are known before a loop
starts (everything but the chains and scalars that the loop makes), so that only the rest is left inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import sympy
from sympy import MatrixExpr, MatrixSymbol, Transpose, ZeroMatrix
from sympy.matrices.expressions.special import Identity

from symlow.expressions import factors_of, summands


@dataclass(frozen=True)
class Chain:
    """Blocks applied to a column: the matrix product of ``blocks`` and ``column``.

    Attributes:
        blocks: names of blocks, leftmost first, each with whether it is transposed.
        column: name of the column at the end; empty where the last block has one column itself.
    """

    blocks: tuple[tuple[str, bool], ...]
    column: str

    def touches(self, names: frozenset[str]) -> bool:
        """Whether the column is one of the names."""
        return self.column in names


@dataclass(frozen=True)
class Term:
    """One term, as in the module's equation.

    Attributes:
        coefficient: numbers and scalar symbols.
        dots: inner products of two chains.
        column: the chain that gives the entries of a column; None for a scalar.
        row: the chain of an outer product's row; None but in cotangents of blocks.
    """

    coefficient: sympy.Expr
    dots: tuple[tuple[Chain, Chain], ...] = ()
    column: Chain | None = None
    row: Chain | None = None

    def touches(self, names: frozenset[str]) -> bool:
        """Whether any factor is one of the names."""
        chains = [chain for dot in self.dots for chain in dot] + [c for c in (self.column, self.row) if c is not None]
        scalars = {symbol.name for symbol in self.coefficient.free_symbols}
        return any(chain.touches(names) for chain in chains) or bool(scalars & names)


def terms_of(expression: MatrixExpr, columns: Iterable[str], scalars: Iterable[str]) -> tuple[Term, ...]:
    """Return an expression as terms.

    Args:
        expression: a column, a scalar (1 x 1), or the cotangent of a block.
        columns: names of the matrix symbols that are columns over time.
        scalars: names of the 1 x 1 matrix symbols that are scalars over time.
    """
    columns, scalars = frozenset(columns), frozenset(scalars)
    terms = (summand for summand in summands(expression) if not isinstance(summand, ZeroMatrix))
    return tuple(_term(summand, columns, scalars) for summand in terms)


def _term(product: MatrixExpr, columns: frozenset[str], scalars: frozenset[str]) -> Term:
    coefficient, factors = factors_of(product)
    dots: list[tuple[Chain, Chain]] = []
    column: Chain | None = None
    row: Chain | None = None
    row_blocks: list[tuple[str, bool]] = []
    pending: list[tuple[str, bool]] = []
    shapes = {factor.name: factor.shape for factor in product.atoms(MatrixSymbol)}
    for factor in factors:
        transposed = isinstance(factor, Transpose)
        symbol = factor.arg if transposed else factor
        if isinstance(symbol, Identity):
            continue
        if not isinstance(symbol, MatrixSymbol):
            raise TypeError(f"no term for {type(symbol).__name__} in {product}")
        if symbol.name in scalars:
            coefficient *= sympy.Symbol(symbol.name)
        elif symbol.name in columns and transposed:
            row, row_blocks = Chain((), symbol.name), []
        elif symbol.name in columns:
            chain = Chain(tuple(pending), symbol.name)
            pending = []
            if row is None:
                column = chain
            else:
                dots.append(_canonical(row, chain, row_blocks))
                row = None
        elif row is not None:
            row_blocks.append((symbol.name, transposed))
        else:
            pending.append((symbol.name, transposed))
    if row is not None and row_blocks:
        # A row times blocks is the transpose of the transposed blocks, in reverse, applied to the column.
        row = Chain(tuple((name, not turned) for name, turned in reversed(row_blocks)), row.column)
    if pending:  # blocks that end in one of a single column, or row, such as the means of a vector
        start = len(pending) if row is not None else 0
        if row is None and column is None:
            start = _end_of_column(pending, shapes, product.shape)
        if start < len(pending):
            row = Chain(tuple((name, not turned) for name, turned in reversed(pending[start:])), "")
        if start:
            column = Chain(tuple(pending[:start]), "")
    if row is not None and column is None and product.shape[1] == 1:
        # kappa^T Sigma_u1, a scalar, whose column is the block's own
        column, row = row, None
    return Term(coefficient, tuple(sorted(dots, key=str)), column, row)


def _end_of_column(
    blocks: list[tuple[str, bool]],
    shapes: dict[str, tuple[sympy.Expr, sympy.Expr]],
    shape: tuple[sympy.Expr, sympy.Expr],
) -> int:
    """Return how many blocks make the column of an outer product (column) (row); all of them make a column."""
    if shape[1] == 1:
        return len(blocks)
    return next(k for k, (name, turned) in enumerate(blocks) if shapes[name][1 if turned else 0] == 1)


def _canonical(left: Chain, right: Chain, between: list[tuple[str, bool]]) -> tuple[Chain, Chain]:
    """Return the inner product of left^T (blocks between) right with all blocks on its right side."""
    return left, Chain((*between, *right.blocks), right.column)


def turned(dot: tuple[Chain, Chain]) -> tuple[Chain, Chain]:
    """Return an inner product with its blocks moved to the other side."""
    left, right = dot
    blocks = tuple((name, not transposed) for name, transposed in reversed(right.blocks))
    return Chain((), right.column), Chain((*blocks, *left.blocks), left.column)


def split(terms: Iterable[Term], live: frozenset[str]) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
    """Return the terms that are known before a loop that makes ``live``, and those that are not."""
    terms = tuple(terms)
    return tuple(t for t in terms if not t.touches(live)), tuple(t for t in terms if t.touches(live))


def added_up(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Return terms with equal ones added up."""
    total: dict[Term, sympy.Expr] = {}
    for term in terms:
        key = replace(term, coefficient=sympy.Integer(1))
        total[key] = total.get(key, sympy.Integer(0)) + term.coefficient
    return tuple(replace(key, coefficient=value) for key, value in total.items() if value != 0)


def without_transposes(term: Term, symmetric: frozenset[str]) -> Term:
    """Return a term without transposes of symmetric blocks (those on the diagonal of Sigma)."""

    def plain(chain: Chain) -> Chain:
        return replace(chain, blocks=tuple((name, turn and name not in symmetric) for name, turn in chain.blocks))

    dots = tuple((plain(left), plain(right)) for left, right in term.dots)
    column, row = (None if chain is None else plain(chain) for chain in (term.column, term.row))
    return Term(term.coefficient, dots, column, row)
