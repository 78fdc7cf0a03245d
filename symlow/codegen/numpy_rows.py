"""Terms over time as NumPy code on arrays of rows.

A chain Sigma_vu kappa_u prints as ``kappa_u @ Sigma[..., P_U, P_V]``, an inner product as ``_dot(left, right)``;
scalars have shape (time, ..., batch, 1), so that they multiply rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sympy
from sympy.printing.pycode import PythonCodePrinter

from symlow.codegen.terms import Chain, Term

SINGLE_STAR = re.compile(r"(?<!\*)\*(?!\*)")
BRACKETED_NUMBER = re.compile(r"(?<!\w)\((\d+\.\d+)\)")


class ScalarPrinter(PythonCodePrinter):
    """Print scalar expressions with given code for each symbol; numbers as correctly rounded floats."""

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__({"fully_qualified_modules": False})
        self._code = names

    def _print_Symbol(self, symbol: sympy.Symbol) -> str:  # noqa: N802 - SymPy's printers dispatch on class names
        return self._code[symbol.name]

    def _print_Rational(self, value: sympy.Rational) -> str:  # noqa: N802
        return repr(float(sympy.N(value, 30)))

    def _print_Float(self, value: sympy.Float) -> str:  # noqa: N802
        return repr(float(value))


@dataclass(frozen=True)
class Rows:
    """How to print terms in one place of a module.

    Attributes:
        names: code of columns and scalars over time, by name.
        blocks: code of the *transposes* of blocks, by name and whether the block itself is transposed.
        sizes: number of entries of each column.
        widths: number of columns of a block, by name and whether it is transposed.
        constants: names of scalars that do not depend on time.
    """

    names: Mapping[str, str]
    blocks: Mapping[tuple[str, bool], str]
    sizes: Mapping[str, int]
    widths: Mapping[tuple[str, bool], int]
    constants: frozenset[str]

    def chain(self, chain: Chain) -> str:
        """Return the rows of a chain."""
        blocks = [self.blocks[block] for block in reversed(chain.blocks)]
        if not chain.column:
            return " @ ".join(blocks)
        code = self.names[chain.column]
        for block in reversed(chain.blocks):
            code = self.applied(code, self.blocks[block], self.widths[block])
        return code

    @staticmethod
    def applied(rows: str, matrix: str, width: int) -> str:
        """Return rows of ``width`` entries times a matrix; with one entry, elementwise, which is much faster."""
        return f"{rows} * {matrix}" if width == 1 else f"{rows} @ {matrix}"

    def scalar(self, expression: sympy.Expr) -> str:
        """Return a scalar expression."""
        code = SINGLE_STAR.sub(" * ", str(ScalarPrinter(self.names).doprint(expression)))
        return BRACKETED_NUMBER.sub(r"\1", code)

    def factor(self, expression: sympy.Expr) -> str:
        """Return a scalar expression as a factor of a product."""
        return f"({self.scalar(expression)})" if expression.is_Add else self.scalar(expression)

    def dot(self, left: str, right: str, column: str) -> str:
        """Return an inner product of rows of which one is a column of that name (or as long)."""
        return f"{left} * {right}" if self.sizes.get(column) == 1 else f"_dot({left}, {right})"

    def total(self, terms: Iterable[Term]) -> str:
        """Return a sum of terms (without outer products), those with a common factor together."""
        terms = tuple(terms)
        inner: dict[tuple[sympy.Expr, Chain], list[Chain]] = {}
        for term in terms:
            if _is_inner(term):
                inner.setdefault((term.coefficient, term.dots[0][0]), []).append(term.dots[0][1])
        parts = [self._inner_sum(coefficient, left, rights) for (coefficient, left), rights in inner.items()]
        parts += [self._group(*group) for group in grouped(term for term in terms if not _is_inner(term))]
        return " + ".join(parts) or "0.0"

    def _inner_sum(self, coefficient: sympy.Expr, left: Chain, rights: list[Chain]) -> str:
        other = " + ".join(self.chain(right) for right in rights)
        if self.sizes.get(left.column) == 1:
            other = in_product(other)
        code = self.dot(other, self.chain(left), left.column)
        return code if coefficient == 1 else f"{self.factor(coefficient)} * {code}"

    def _group(self, coefficient: sympy.Expr, dots: tuple[tuple[Chain, Chain], ...], chains: list[Chain]) -> str:
        factors = [] if coefficient == 1 else [self.factor(coefficient)]
        factors += [self._inner(dot) for dot in dots]
        if chains:
            codes = [self.chain(chain) for chain in chains]
            code = " + ".join(codes)
            factors.append(in_product(code) if factors else code)
        return " * ".join(factors) or "1.0"

    def _inner(self, dot: tuple[Chain, Chain]) -> str:
        return f"_dot({self.chain(dot[0])}, {self.chain(dot[1])})"


def in_product(code: str) -> str:
    """Return code as a factor of a product, in brackets if it is a sum or a product itself."""
    return f"({code})" if any(sign in code for sign in (" + ", " - ", " @ ", " * ")) else code


def _is_inner(term: Term) -> bool:
    """Whether a term is a scalar times one inner product whose left factor is a bare column."""
    return term.column is None and len(term.dots) == 1 and not term.dots[0][0].blocks


def grouped(
    terms: Iterable[Term],
) -> list[tuple[sympy.Expr, tuple[tuple[Chain, Chain], ...], list[Chain]]]:
    """Return the terms by common coefficient and inner products, with the chains that these multiply."""
    groups: dict[tuple[sympy.Expr, tuple[tuple[Chain, Chain], ...], bool], list[Chain]] = {}
    for term in terms:
        key = (term.coefficient, term.dots, term.column is None)
        groups.setdefault(key, [])
        if term.column is not None:
            groups[key].append(term.column)
    return [(coefficient, dots, chains) for (coefficient, dots, _), chains in groups.items()]
