"""Overlaps: the distinct entries of the Gram matrix Sigma = P^T P / N, their names and their order.

A name joins two columns, readers before carriers as in the literature: ``v_u`` is (1/N) v . u. Columns are numbered
from 1 where a vector has several: ``v1_u2``. The order is: readers with carriers, carriers with one another, readers
with one another, columns of the same vector, and the squared norms last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product

import sympy
from sympy import MatrixSymbol

from symlow.errors import SpecError, check_name
from symlow.network import Network

MOST_COLUMNS = 400
"""The most columns of P for which overlaps are named one by one: 80200 of them, which take about a minute."""


@dataclass(frozen=True)
class Column:
    """One column of P: the ``number``-th (from 1) of a vector, with the label that overlap names use."""

    vector: str
    number: int
    label: str


@dataclass(frozen=True)
class Overlap:
    """An entry of the Gram matrix: the columns at ``row`` and ``column`` of P, in the order of the name."""

    name: str
    row: int
    column: int

    @property
    def symbol(self) -> sympy.Symbol:
        """The overlap as a SymPy symbol, ``sigma_<name>``."""
        return sympy.Symbol(f"sigma_{self.name}")

    @property
    def gradient_symbol(self) -> sympy.Symbol:
        """The derivative of the loss with respect to the overlap, ``g_<name>``."""
        return sympy.Symbol(f"g_{self.name}")

    @property
    def is_norm(self) -> bool:
        """Whether it is a squared norm, on the diagonal of the Gram matrix."""
        return self.row == self.column


class OverlapIndex:
    """All overlaps of a network in canonical order, and the blocks of the Gram matrix that they fill.

    Raises:
        SpecError: if the network has more than ``MOST_COLUMNS`` columns.
    """

    def __init__(self, network: Network) -> None:
        self.vectors = network.vectors
        p = sum(vector.columns for vector in network.vectors)
        if p > MOST_COLUMNS:
            raise SpecError(
                f"the network has {p} columns of P, so {p * (p + 1) // 2} overlaps; accepted: at most {MOST_COLUMNS} "
                "columns; lower network.rank, network.inputs or network.outputs"
            )
        self.columns = tuple(
            Column(vector.name, k, vector.name if vector.columns == 1 else f"{vector.name}{k}")
            for vector in network.vectors
            for k in range(1, vector.columns + 1)
        )
        self.blocks = _block_order(network)
        self.all = tuple(self._entries())
        self._by_name = {overlap.name: overlap for overlap in self.all}
        self._by_entry = {frozenset((o.row, o.column)): o for o in self.all}

    def __getitem__(self, name: str) -> Overlap:
        """Return the overlap of that name.

        Raises:
            UnknownNameError: if there is none, with the nearest spelling.
        """
        check_name(name, self._by_name, "overlap")
        return self._by_name[name]

    def at(self, row: int, column: int) -> Overlap:
        """Return the overlap of two columns of P, in either order."""
        return self._by_entry[frozenset((row, column))]

    def slice(self, vector: str) -> slice:
        """Return which columns of P a vector fills."""
        positions = [k for k, column in enumerate(self.columns) if column.vector == vector]
        return slice(positions[0], positions[-1] + 1)

    def block(self, left: str, right: str) -> sympy.MatrixExpr:
        """Return Sigma_{left right} as a matrix symbol, or the transpose of the one in canonical order."""
        if (left, right) in self.blocks:
            return self._block_symbol(left, right)
        return self._block_symbol(right, left).T

    def block_symbols(self) -> dict[tuple[str, str], MatrixSymbol]:
        """Return the matrix symbol of every block in canonical order."""
        return {pair: self._block_symbol(*pair) for pair in self.blocks}

    def explicit(self, left: str, right: str) -> sympy.ImmutableDenseMatrix:
        """Return the block Sigma_{left right} with its overlaps as entries."""
        rows, columns = self.slice(left), self.slice(right)
        return sympy.ImmutableDenseMatrix(
            [[self.at(i, j).symbol for j in range(columns.start, columns.stop)] for i in range(rows.start, rows.stop)]
        )

    def _block_symbol(self, left: str, right: str) -> MatrixSymbol:
        sizes = {vector.name: vector.columns for vector in self.vectors}
        return MatrixSymbol(f"Sigma_{left}{right}", sizes[left], sizes[right])

    def _entries(self) -> Iterator[Overlap]:
        within: list[tuple[int, int]] = []
        for left, right in self.blocks:
            rows, columns = self.slice(left), self.slice(right)
            pairs = list(product(range(rows.start, rows.stop), range(columns.start, columns.stop)))
            if left == right:
                within += [(i, j) for i, j in pairs if i < j]
            else:
                yield from (self._overlap(i, j) for i, j in pairs)
        yield from (self._overlap(i, j) for i, j in within)
        yield from (self._overlap(k, k) for k in range(len(self.columns)))

    def _overlap(self, row: int, column: int) -> Overlap:
        return Overlap(f"{self.columns[row].label}_{self.columns[column].label}", row, column)


def _block_order(network: Network) -> tuple[tuple[str, str], ...]:
    """Return the pairs of vectors, each unordered pair once, in canonical order and orientation."""
    carriers = [carrier.vector for carrier in network.carriers]
    readers = [network.output.reader, *(projection.reader for projection in network.projections)]
    names = [vector.name for vector in network.vectors]
    ordered = [
        *product(readers, carriers),
        *combinations(carriers, 2),
        *combinations(readers, 2),
        *combinations(names, 2),
    ]
    blocks: list[tuple[str, str]] = []
    for left, right in ordered:
        if left != right and (left, right) not in blocks and (right, left) not in blocks:
            blocks.append((left, right))
    return (*blocks, *((name, name) for name in names))
