"""Overlaps: the distinct entries of the Gram matrix Sigma = P^T P / N, their names and their order.

Vectors of different populations of neurons have no overlap: each population has a Gram matrix of its own, and Sigma
holds them as blocks on its diagonal.

A name joins two columns, readers before carriers as in the literature: ``v_u`` is (1/N) v . u. Columns are numbered
from 1 where a vector has several: ``v1_u2``. The order is: readers with carriers, carriers with one another, readers
with one another, columns of the same vector, and the squared norms last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from types import MappingProxyType

import sympy
from sympy import MatrixSymbol

from symlow.errors import check_name
from symlow.network import Network


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


@dataclass(frozen=True, eq=False)
class OverlapIndex:
    """All overlaps of a network in canonical order, and the blocks of the Gram matrix that they fill."""

    network: Network

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of P, in order."""
        return tuple(
            Column(vector.name, k, vector.name if vector.columns == 1 else f"{vector.name}{k}")
            for vector in self.network.vectors
            for k in range(1, vector.columns + 1)
        )

    @cached_property
    def blocks(self) -> Mapping[tuple[str, str], MatrixSymbol]:
        """The blocks Sigma_ab as matrix symbols by pair of vectors, each unordered pair once, in canonical order."""
        sizes = {vector.name: vector.columns for vector in self.network.vectors}
        return MappingProxyType(
            {(a, b): MatrixSymbol(f"Sigma_{a}_{b}", sizes[a], sizes[b]) for a, b in _block_order(self.network)}
        )

    @cached_property
    def all(self) -> tuple[Overlap, ...]:
        """All overlaps, in canonical order."""
        return tuple(self._entries())

    @cached_property
    def _by_name(self) -> dict[str, Overlap]:
        return {overlap.name: overlap for overlap in self.all}

    @cached_property
    def _by_entry(self) -> dict[frozenset[int], Overlap]:
        return {frozenset((overlap.row, overlap.column)): overlap for overlap in self.all}

    @cached_property
    def _slices(self) -> dict[str, slice]:
        slices, start = {}, 0
        for vector in self.network.vectors:
            slices[vector.name] = slice(start, start + vector.columns)
            start += vector.columns
        return slices

    def __getitem__(self, name: str) -> Overlap:
        """Return the overlap of that name, or of its two columns in the other order.

        Raises:
            UnknownNameError: if there is none, with the nearest spelling.
        """
        left, _, right = name.partition("_")
        swapped = f"{right}_{left}"
        if name not in self._by_name and swapped in self._by_name:
            return self._by_name[swapped]
        check_name(name, self._by_name, "overlap")
        return self._by_name[name]

    def at(self, row: int, column: int) -> Overlap:
        """Return the overlap of two columns of P, in either order."""
        return self._by_entry[frozenset((row, column))]

    def slice(self, vector: str) -> slice:
        """Return which columns of P a vector fills."""
        return self._slices[vector]

    def block(self, left: str, right: str) -> sympy.MatrixExpr:
        """Return Sigma_{left right} as a matrix symbol, or the transpose of the one in canonical order."""
        return self.blocks[left, right] if (left, right) in self.blocks else self.blocks[right, left].T

    def explicit(self, left: str, right: str) -> sympy.ImmutableDenseMatrix:
        """Return the block Sigma_{left right} with its overlaps as entries."""
        rows, columns = self.slice(left), self.slice(right)
        return sympy.ImmutableDenseMatrix(
            [[self.at(i, j).symbol for j in range(columns.start, columns.stop)] for i in range(rows.start, rows.stop)]
        )

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
    """Return the pairs of vectors of one population, each unordered pair once, in canonical order and orientation."""
    population = {vector.name: vector.population for vector in network.vectors}
    ordered = [
        *product(network.readers, network.carriers),
        *combinations(network.carriers, 2),
        *combinations(network.readers, 2),
        *combinations(population, 2),
    ]
    blocks: list[tuple[str, str]] = []
    for left, right in ordered:
        new = (left, right) not in blocks and (right, left) not in blocks
        if left != right and population[left] == population[right] and new:
            blocks.append((left, right))
    return (*blocks, *((name, name) for name in population))
