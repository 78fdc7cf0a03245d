"""Terms over time as code of single entries: (Sigma_vu kappa_u)_i = sum_j sigma_{v_i u_j} kappa_{u_j}, written out.

Every entry of a column is a variable of its own, so that a compiler sees plain arithmetic. Products of blocks with a
column are computed once, and so are inner products.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import sympy

from symlow.codegen.numpy_rows import BRACKETED_NUMBER, SINGLE_STAR, ScalarPrinter, grouped, in_product
from symlow.codegen.terms import Chain, Term

Matrix = tuple[tuple[str, ...], ...]
"""The entries of a block as code, row by row; empty where they are zero."""


@dataclass
class Entries:
    """How to print terms in one place of a kernel, and the lines that compute what they share.

    Attributes:
        names: the entries of columns, and scalars as one entry, by name.
        blocks: the entries of blocks by name and whether the block is transposed.
        temporaries: the prefix of names of what is shared.
        lines: lines that compute it, in order.
    """

    names: Mapping[str, tuple[str, ...]]
    blocks: Mapping[tuple[str, bool], Matrix]
    temporaries: str
    lines: list[str] = field(default_factory=list)
    _chains: dict[Chain, tuple[str, ...]] = field(default_factory=dict)
    _dots: dict[tuple[Chain, Chain], str] = field(default_factory=dict)
    _shared: dict[str, str] = field(default_factory=dict)
    _given: int = 0

    def new_lines(self) -> list[str]:
        """Return the lines that were added since the last call."""
        fresh, self._given = self.lines[self._given :], len(self.lines)
        return fresh

    def chain(self, chain: Chain) -> tuple[str, ...]:
        """Return the entries of a chain."""
        if not chain.blocks:
            return self.names[chain.column]
        if chain not in self._chains:
            if not chain.column and len(chain.blocks) == 1:
                self._chains[chain] = tuple(row[0] or "0.0" for row in self.blocks[chain.blocks[0]])
            else:
                inner = self.chain(Chain(chain.blocks[1:], chain.column))
                entries = (_inner_product(row, inner) for row in self.blocks[chain.blocks[0]])
                self._chains[chain] = tuple(self.shared(code) for code in entries)
        return self._chains[chain]

    def dot(self, dot: tuple[Chain, Chain]) -> str:
        """Return an inner product of two chains."""
        if dot not in self._dots:
            self._dots[dot] = self.shared(_inner_product(self.chain(dot[0]), self.chain(dot[1])))
        return self._dots[dot]

    def shared(self, code: str) -> str:
        """Return the name of a variable with that value; code without operations stands for itself."""
        if " " not in code:
            return code
        if code not in self._shared:
            self._shared[code] = f"{self.temporaries}{len(self.lines) + 1}"
            self.lines.append(f"{self._shared[code]} = {code}")
        return self._shared[code]

    def total(self, terms: Iterable[Term], size: int) -> list[str]:
        """Return the entries of a sum of terms without outer products, those with common factors together."""
        sums: list[list[str]] = [[] for _ in range(size)]
        for coefficient, dots, chains in grouped(terms):
            factors = [] if coefficient == 1 else [self._factor(coefficient)]
            factors += [self.dot(dot) for dot in dots]
            columns = [self.chain(chain) for chain in chains]
            if columns and len(factors) > 1:
                factors = [self.shared(" * ".join(factors))]
            for k in range(size):
                entry = [column[k] for column in columns if column[k] != "0.0"]
                if columns and not entry:
                    continue
                code = " + ".join(entry)
                parts = [*factors, *([in_product(code) if factors else code] if entry else [])]
                sums[k].append(" * ".join(parts) or "1.0")
        return [" + ".join(parts) or "0.0" for parts in sums]

    def outer(self, terms: Iterable[Term], rows: int, columns: int) -> dict[tuple[int, int], str]:
        """Return the entries of a sum of outer products that are not zero, those with the same row together."""
        groups: dict[tuple[str, ...], list[Term]] = {}
        for term in terms:
            right = ("1.0",) * columns if term.row is None else self.chain(term.row)
            groups.setdefault(right, []).append(Term(term.coefficient, term.dots, term.column))
        parts: dict[tuple[int, int], list[str]] = {}
        for right, lefts in groups.items():
            codes = [self.shared(code) for code in self.total(lefts, rows)]
            for i, left in enumerate(codes):
                for j, entry in enumerate(right):
                    if "0.0" not in (left, entry):
                        parts.setdefault((i, j), []).append(left if entry == "1.0" else f"{left} * {entry}")
        return {place: " + ".join(codes) for place, codes in parts.items()}

    def scalar(self, expression: sympy.Expr) -> str:
        """Return a scalar expression."""
        printer = ScalarPrinter({name: entries[0] for name, entries in self.names.items()})
        return BRACKETED_NUMBER.sub(r"\1", SINGLE_STAR.sub(" * ", str(printer.doprint(expression))))

    def _factor(self, expression: sympy.Expr) -> str:
        return f"({self.scalar(expression)})" if expression.is_Add else self.scalar(expression)


def _inner_product(left: Sequence[str], right: Sequence[str]) -> str:
    pairs = [(a, b) for a, b in zip(left, right, strict=True) if a not in ("", "0.0") and b != "0.0"]
    return " + ".join(f"{a} * {b}" if a != "1.0" else b for a, b in pairs) or "0.0"
