"""Terms over time as NumPy code on arrays of rows, and loops with everything that they do not change taken out.

A chain Sigma_vu kappa_u prints as ``kappa_u @ Sigma[..., P_U, P_V]``, an inner product as ``_dot(left, right)``;
scalars have shape (time, ..., batch, 1), so that they multiply rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import sympy
from sympy.printing.pycode import PythonCodePrinter

from symlow.codegen.terms import Chain, Term, split, turned

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


@dataclass(frozen=True)
class Rows:
    """How to print terms in one place of a module.

    Attributes:
        names: code of columns and scalars over time, by name.
        blocks: code of the *transposes* of blocks, by name and whether the block itself is transposed.
        single: names of columns known to have one entry, whose inner products need no sum.
        constants: names of scalars that do not depend on time.
    """

    names: Mapping[str, str]
    blocks: Mapping[tuple[str, bool], str]
    single: frozenset[str]
    constants: frozenset[str]

    def chain(self, chain: Chain) -> str:
        """Return the rows of a chain."""
        blocks = [self.blocks[block] for block in reversed(chain.blocks)]
        return " @ ".join([self.names[chain.column], *blocks] if chain.column else blocks)

    def scalar(self, expression: sympy.Expr) -> str:
        """Return a scalar expression."""
        code = SINGLE_STAR.sub(" * ", str(ScalarPrinter(self.names).doprint(expression)))
        return BRACKETED_NUMBER.sub(r"\1", code)

    def factor(self, expression: sympy.Expr) -> str:
        """Return a scalar expression as a factor of a product."""
        return f"({self.scalar(expression)})" if expression.is_Add else self.scalar(expression)

    def dot(self, left: str, right: str, column: str) -> str:
        """Return an inner product of rows of which one is a column of that name (or as long)."""
        return f"{left} * {right}" if column in self.single else f"_dot({left}, {right})"

    def total(self, terms: Iterable[Term]) -> str:
        """Return a sum of terms (without outer products), those with a common factor together."""
        terms = tuple(terms)
        inner: dict[tuple[sympy.Expr, Chain], list[Chain]] = {}
        for term in terms:
            if _is_inner(term):
                inner.setdefault((term.coefficient, term.dots[0][0]), []).append(term.dots[0][1])
        parts = [self._inner_sum(coefficient, left, rights) for (coefficient, left), rights in inner.items()]
        parts += [self._group(*group) for group in _grouped(term for term in terms if not _is_inner(term))]
        return " + ".join(parts) or "0.0"

    def _inner_sum(self, coefficient: sympy.Expr, left: Chain, rights: list[Chain]) -> str:
        other = " + ".join(self.chain(right) for right in rights)
        if left.column in self.single:
            other = f"({other})" if "@" in other or len(rights) > 1 else other
        code = self.dot(other, self.chain(left), left.column)
        return code if coefficient == 1 else f"{self.factor(coefficient)} * {code}"

    def _group(self, coefficient: sympy.Expr, dots: tuple[tuple[Chain, Chain], ...], chains: list[Chain]) -> str:
        factors = [] if coefficient == 1 else [self.factor(coefficient)]
        factors += [self._inner(dot) for dot in dots]
        if chains:
            codes = [self.chain(chain) for chain in chains]
            code = " + ".join(codes)
            factors.append(f"({code})" if (len(codes) > 1 or "@" in code) and factors else code)
        return " * ".join(factors) or "1.0"

    def _inner(self, dot: tuple[Chain, Chain]) -> str:
        return f"_dot({self.chain(dot[0])}, {self.chain(dot[1])})"


def _is_inner(term: Term) -> bool:
    """Whether a term is a scalar times one inner product whose left factor is a bare column."""
    return term.column is None and len(term.dots) == 1 and not term.dots[0][0].blocks


def _grouped(
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


@dataclass
class Loop:
    """The body of a loop over time under construction, with what is computed before it.

    Attributes:
        live: names that the loop makes.
        inside: how to print in the loop, at the time ``t``.
        outside: how to print before the loop, for all times.
        prefix: how names of what is computed before begin.
        before: lines before the loop.
        body: lines of the loop.
    """

    live: frozenset[str]
    inside: Rows
    outside: Rows
    prefix: str
    before: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    _known: dict[str, str] = field(default_factory=dict)

    def assign(self, target: str, terms: Iterable[Term], operator: str = "=") -> None:
        """Add ``target = terms`` to the body, with all that is known before taken out."""
        fixed, moving = split(terms, self.live)
        parts = [self._fixed(fixed)] if fixed else []
        parts += self._inner_products([term for term in moving if term.column is None])
        for coefficient, dots, chains in _grouped(term for term in moving if term.column is not None):
            parts.append(self._product(coefficient, dots, self._chains(chains)))
        self.body.append(f"{target} {operator} {' + '.join(parts)}")

    def _fixed(self, terms: tuple[Term, ...]) -> str:
        code = self.outside.total(terms)
        same_at_all_times = all(
            not term.touches(frozenset(self.outside.names) - self.outside.constants) for term in terms
        )
        return code if same_at_all_times else f"{self._taken_out(code)}[t]"

    def _product(self, coefficient: sympy.Expr, dots: tuple[tuple[Chain, Chain], ...], codes: list[str]) -> str:
        made = [symbol for symbol in sorted(coefficient.free_symbols, key=str) if symbol.name in self.live]
        known, live = coefficient.as_independent(*made, as_Add=False)
        factors = []
        if any(symbol.name not in self.outside.constants for symbol in known.free_symbols):
            factors.append(f"{self._taken_out(self.outside.scalar(known))}[t]")
        elif known != 1:
            factors.append(self.inside.factor(known))
        if live != 1:
            factors.append(self.inside.factor(live))
        factors += [self._dot(dot) for dot in dots]
        if codes:
            code = " + ".join(codes)
            factors.append(f"({code})" if factors and (len(codes) > 1 or "@" in code) else code)
        return " * ".join(factors)

    def _inner_products(self, terms: list[Term]) -> list[str]:
        """Return the scalar terms, inner products with the same live column added up first."""
        groups: dict[tuple[sympy.Expr, str], list[Chain]] = {}
        rest = []
        for term in terms:
            if len(term.dots) != 1:
                rest.append(term)
                continue
            left, right = term.dots[0]
            if left.blocks or not left.touches(self.live):
                left, right = turned(term.dots[0])
            groups.setdefault((term.coefficient, left.column), []).append(right)
        parts: list[str] = []
        for (coefficient, column), chains in groups.items():
            codes = self._chains(chains)
            other = " + ".join(codes)
            short = column in self.inside.single
            other = f"({other})" if (short and ("@" in other or len(codes) > 1)) else other
            product = self.inside.dot(other, self.inside.names[column], column)
            parts.append(self._product(coefficient, (), [product]))
        return parts + [self._product(term.coefficient, term.dots, []) for term in rest]

    def _dot(self, dot: tuple[Chain, Chain]) -> str:
        left, right = dot
        return f"({self.inside.dot(self._chain(left), self._chain(right), right.column)})"

    def _chains(self, chains: list[Chain]) -> list[str]:
        """Return the rows of chains to be added up, those known before the loop as one."""
        fixed = [chain for chain in chains if chain.column and not chain.touches(self.live)]
        codes = [f"{self._taken_out(' + '.join(self.outside.chain(chain) for chain in fixed))}[t]"] if fixed else []
        return codes + [self._chain(chain) for chain in chains if chain not in fixed]

    def _chain(self, chain: Chain) -> str:
        if chain.touches(self.live):
            blocks = [self._taken_out(self.inside.blocks[block]) for block in reversed(chain.blocks)]
            return " @ ".join([self.inside.names[chain.column], *blocks])
        code = self.outside.chain(chain)
        if chain.column:
            return f"{self._taken_out(code)}[t]"
        return self._taken_out(code)  # the same at all times

    def _taken_out(self, code: str) -> str:
        if code not in self._known:
            name = f"{self.prefix}{len(self._known) + 1}"
            self._known[code] = name
            self.before.append(f"{name} = {code}")
        return self._known[code]
