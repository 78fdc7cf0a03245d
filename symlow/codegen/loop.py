"""Loops over time with everything that they do not change taken out.

    target[t] = fixed[t] + made * (known[t] + live @ matrix) + ...

In each statement of a loop, ``fixed`` is all that is known before the loop starts; of the rest, terms with the same
factor ``made`` in the loop are added up, constants are multiplied into what is known, and blocks that act on the same
live column become one matrix. A step of the loop is left with a few operations on small arrays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import sympy

from symlow.codegen.numpy_rows import Rows, in_product
from symlow.codegen.statements import Statement
from symlow.codegen.terms import Chain, Term, split, turned


@dataclass
class Group:
    """The terms of a statement that share a factor made in the loop, and one known for each time.

    Attributes:
        known: columns known before the loop, each with its constant.
        acted: blocks that act on each live column, each with its constant; no block for the column itself.
        scalar: the sum of constants of terms without a column.
    """

    known: list[tuple[sympy.Expr, Chain]] = field(default_factory=list)
    acted: dict[str, list[tuple[sympy.Expr, Chain]]] = field(default_factory=dict)
    scalar: sympy.Expr = sympy.S.Zero

    @property
    def alone(self) -> bool:
        """Whether there is no column in it."""
        return not self.known and not self.acted


@dataclass
class Loop:
    """The body of a loop over time under construction, with what is computed before it.

    Attributes:
        live: names that the loop makes.
        inside: how to print in the loop, at the time ``t``.
        outside: how to print before the loop, for all times.
        before: statements before the loop.
        body: statements of the loop.
    """

    live: frozenset[str]
    inside: Rows
    outside: Rows
    before: list[Statement] = field(default_factory=list)
    body: list[Statement] = field(default_factory=list)
    _known: dict[str, str] = field(default_factory=dict)

    def add(self, statement: Statement) -> None:
        """Add a statement to the body as it is."""
        self.body.append(statement)

    def assign(self, target: str, terms: Iterable[Term], adds: bool = False, extra: Iterable[str] = ()) -> None:
        """Add ``target = terms + extra`` to the body, with all that is known before taken out of the terms."""
        fixed, moving = split(terms, self.live)
        parts = [self._fixed(fixed)] if fixed else []
        parts += self._inner_products([term for term in moving if term.dots])
        parts += self._products([term for term in moving if not term.dots])
        self.add(Statement.to(target, " + ".join([*parts, *extra]) or "0.0", adds))

    def _fixed(self, terms: tuple[Term, ...]) -> str:
        code = self.outside.total(terms)
        over_time = frozenset(self.outside.names) - self.outside.constants
        return f"{self._taken_out(code)}[t]" if any(term.touches(over_time) for term in terms) else code

    def _products(self, terms: list[Term]) -> list[str]:
        """Return terms without inner products, by the factor that the loop makes."""
        return [self._product(made, over_time, group) for (made, over_time), group in self._groups(terms).items()]

    def _groups(self, terms: list[Term]) -> dict[tuple[sympy.Expr, sympy.Expr], Group]:
        """Return terms without inner products by factors: what the loop makes, and what is known for each time."""
        groups: dict[tuple[sympy.Expr, sympy.Expr], Group] = {}
        for term in terms:
            made, over_time, constant = self._factors(term.coefficient)
            if term.column is not None and not term.column.touches(self.live):
                # A column that is known takes what is known for each time along, out of the loop.
                over_time, constant = sympy.Integer(1), over_time * constant
            group = groups.setdefault((made, over_time), Group())
            if term.column is None:
                group.scalar += constant
            elif term.column.touches(self.live):
                group.acted.setdefault(term.column.column, []).append((constant, term.column))
            else:
                group.known.append((constant, term.column))
        return groups

    def _product(self, made: sympy.Expr, over_time: sympy.Expr, group: Group) -> str:
        factors = []
        if over_time != 1:
            factors.append(f"{self._taken_out(self.outside.scalar(over_time))}[t]")
        if made != 1 or group.alone:
            factors.append(self.inside.factor(group.scalar * made if group.alone else made))
        codes = [self._known_columns(group.known)] if group.known else []
        codes += [self._acted(column, actions) for column, actions in group.acted.items()]
        if codes:
            code = " + ".join(codes)
            factors.append(in_product(code) if factors else code)
        return " * ".join(factors)

    def _dot_groups(self, terms: list[Term]) -> dict[tuple[sympy.Expr, str], Group]:
        """Return terms with inner products by the factor and the column that the loop makes."""
        groups: dict[tuple[sympy.Expr, str], Group] = {}
        for term in terms:
            left, right = term.dots[0]
            if left.blocks or not left.touches(self.live):
                left, right = turned(term.dots[0])
            if len(term.dots) > 1 or term.column is not None or left.blocks:
                raise TypeError(f"no statement of a loop for {term}")
            made, over_time, constant = self._factors(term.coefficient)
            group = groups.setdefault((made, left.column), Group())
            if right.touches(self.live):
                if over_time != 1:
                    raise TypeError(f"no statement of a loop for {term}")
                group.acted.setdefault(right.column, []).append((constant, right))
            else:
                group.known.append((over_time * constant, right))
        return groups

    def _inner_products(self, terms: list[Term]) -> list[str]:
        """Return terms with inner products, those with the same live column added up first."""
        parts = []
        for (made, column), group in self._dot_groups(terms).items():
            codes = [self._known_columns(group.known)] if group.known else []
            codes += [self._acted(live, actions) for live, actions in group.acted.items()]
            other = " + ".join(codes)
            other = in_product(other) if self.inside.sizes[column] == 1 else other
            code = self.inside.dot(other, self.inside.names[column], column)
            parts.append(code if made == 1 else f"{self.inside.factor(made)} * {code}")
        return parts

    def _factors(self, coefficient: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr]:
        """Return a coefficient as a product: what the loop makes, what is known for each time, and a constant."""
        made = [symbol for symbol in sorted(coefficient.free_symbols, key=str) if symbol.name in self.live]
        known, live = coefficient.as_independent(*made, as_Add=False)
        constants = self.outside.constants
        times = [symbol for symbol in sorted(known.free_symbols, key=str) if symbol.name not in constants]
        constant, over_time = known.as_independent(*times, as_Add=False)
        return live, over_time, constant

    def _known_columns(self, known: list[tuple[sympy.Expr, Chain]]) -> str:
        code = self.outside.total(Term(constant, (), chain) for constant, chain in known)
        constants = self.outside.constants
        over_time = any(
            chain.column or any(symbol.name not in constants for symbol in constant.free_symbols)
            for constant, chain in known
        )
        name = self._taken_out(code)
        return f"{name}[t]" if over_time else name  # means of vectors are the same at all times

    def _acted(self, column: str, actions: list[tuple[sympy.Expr, Chain]]) -> str:
        """Return what blocks make of a live column, as one matrix."""
        name, size = self.inside.names[column], self.inside.sizes[column]
        if all(not chain.blocks for _, chain in actions):
            constant = sympy.Add(*(constant for constant, _ in actions))
            return name if constant == 1 else f"{self.inside.factor(constant)} * {name}"
        return self.inside.applied(name, self._taken_out(self._matrix(column, actions)), size)

    def _matrix(self, column: str, actions: list[tuple[sympy.Expr, Chain]]) -> str:
        """Return the sum of blocks that act on a column, each with its constant."""
        size, matrices = self.inside.sizes[column], []
        for constant, chain in actions:
            blocks = " @ ".join(self.inside.blocks[block] for block in reversed(chain.blocks))
            if not blocks:
                blocks = "" if size == 1 else f"np.eye({size})"
            factor = "" if constant == 1 and blocks else self.inside.factor(constant)
            matrices.append(" * ".join(code for code in (factor, blocks) if code))
        return " + ".join(matrices)

    def _taken_out(self, code: str) -> str:
        if code not in self._known:
            name = f"fixed_{len(self._known) + 1}"
            self._known[code] = name
            self.before.append(Statement(name, code))
        return self._known[code]
