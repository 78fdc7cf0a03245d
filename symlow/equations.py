"""A network of neurons as equations: what a user declares and writes, before anything is derived from it.

    tau dh/dt = -h + (1/N) U V^T phi(h) + M x,      y = (1/N) Z^T phi(h)

*Vectors* are blocks of columns of length N, learned or frozen. A *state* has an entry for each neuron of a population,
or, in an environment, a few entries; its equation gives its time derivative or its next value. Right-hand sides are
SymPy matrix expressions in vectors, states, inputs and named definitions, the output among them: sums, products,
transposes, ``phi`` of a column of neurons, other functions and products of short columns element by element, and
matrices of numbers. N is the number of all neurons; a population of weight alpha has alpha N of them.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import sympy
from sympy import MatrixExpr, MatrixSymbol
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction

from symlow.errors import SpecError, listing, nearest

N = sympy.Symbol("N", integer=True, positive=True)
"""The number of neurons."""

PHI = sympy.Function("phi")
"""The nonlinearity of the neurons, as it stands in equations."""

RESERVED = ("np", "len", "blocks", "block", "name", "value", "columns", "neurons", "enumerate", "P", "N", "phi", "T")
"""Names that generated code uses where vectors are arguments, or that equations use."""

MOST_COLUMNS = 400
"""The most columns of P for which overlaps are named one by one: 80200 of them, which take about a minute."""


def phi(column: MatrixExpr) -> MatrixExpr:
    """Return the nonlinearity of the neurons applied to each entry of a column."""
    return ElementwiseApplyFunction(PHI, column)


@dataclass(frozen=True)
class Vector:
    """A block of columns of P, each column with one entry for every neuron of a population.

    Attributes:
        name: letters, as in overlap names.
        columns: how many columns the block holds.
        rate: learning rate relative to the others', exact and not negative; 0 where frozen.
        role: what it does, in words.
        population: name of the population whose neurons have the entries; empty where there is only one.
    """

    name: str
    columns: int
    rate: sympy.Rational
    role: str
    population: str = ""

    @property
    def trainable(self) -> bool:
        """Whether learning moves it."""
        return self.rate != 0


@dataclass(frozen=True)
class Population:
    """A group of neurons with a Gram matrix of its own.

    Attributes:
        name: letters; empty for the only one.
        weight: its number of neurons in units of N; weights of the parts of one network add up to 1.
        ones: name of its vector of ones, whose overlaps are means over its neurons; None where vectors have mean zero.
    """

    name: str = ""
    weight: sympy.Rational = sympy.S.One
    ones: str | None = None

    @property
    def size(self) -> sympy.Symbol:
        """The number of its neurons as a symbol, N for the only one."""
        return N if not self.name else sympy.Symbol(f"N_{self.name}", integer=True, positive=True)


@dataclass(frozen=True)
class State:
    """A state and its equation.

    Attributes:
        symbol: one entry for each neuron of its population, or a few for an environment; shape (entries, 1).
        right: the right-hand side.
        tau: time constant in units of the network's; None where ``right`` is the state at the next time step.
        initial: the state at time 0; zero if None.
        population: name of its population; None for an environment, which has no neurons.
    """

    symbol: MatrixSymbol
    right: MatrixExpr
    tau: sympy.Rational | None = sympy.S.One
    initial: MatrixExpr | None = None
    population: str | None = ""


@dataclass(frozen=True)
class Equations:
    """The equations of a network.

    Attributes:
        vectors: the blocks of P, in the order of its columns.
        inputs: the symbol x of the input, shape (n_inputs, 1).
        states: the states with their equations.
        definitions: names of columns that equations use, with what they stand for, each in terms of earlier ones; state
            equations can use the output too.
        output: the symbol y of the output, shape (n_outputs, 1).
        readout: what the output is.
        populations: the populations of neurons.
    """

    vectors: tuple[Vector, ...]
    inputs: MatrixSymbol
    states: tuple[State, ...]
    output: MatrixSymbol
    readout: MatrixExpr
    definitions: tuple[tuple[MatrixSymbol, MatrixExpr], ...] = ()
    populations: tuple[Population, ...] = field(default=(Population(),))

    def __post_init__(self) -> None:
        """Check names, which overlaps, LaTeX and generated code are built from, and that shapes fit.

        Raises:
            SpecError: for a name that is not of letters (and digits, but for vectors), means something in Python or in
                equations, or differs from another one by upper and lower case only; for more than ``MOST_COLUMNS``
                columns; for an equation with unknown symbols or another shape than its left-hand side.
        """
        self._check_sizes()
        symbols = [
            self.inputs,
            self.output,
            *(state.symbol for state in self.states),
            *(s for s, _ in self.definitions),
        ]
        check_names([vector.name for vector in self.vectors], [symbol.name for symbol in symbols])
        self._check_entries(symbols)
        self._check_populations()
        for symbol, right, known in self._right_hand_sides():
            # A full matrix is let through: what does not close about it is said with its term (symlow.span).
            full = {s for s in right.atoms(MatrixSymbol) if s.shape[0] == s.shape[1] and not s.shape[0].is_Integer}
            unknown = sorted({s.name for s in right.atoms(MatrixSymbol) - full} - {s.name for s in known})
            if unknown:
                accepted = listing(s.name for s in known)
                raise SpecError(
                    f"equation of {symbol.name}: unknown {unknown[0]!r}{nearest(unknown[0], [s.name for s in known])}; "
                    f"accepted: {accepted}"
                )
            if right.shape != symbol.shape:
                raise SpecError(
                    f"equation of {symbol.name}: found shape {_shape(right.shape)}; accepted: {_shape(symbol.shape)}, "
                    "that of its left-hand side"
                )

    def _check_sizes(self) -> None:
        p = sum(vector.columns for vector in self.vectors)
        if p > MOST_COLUMNS:
            raise SpecError(
                f"the network has {p} columns of P, so {p * (p + 1) // 2} overlaps; accepted: at most {MOST_COLUMNS} "
                "columns; lower network.rank, network.inputs or network.outputs"
            )
        if not self.states:
            raise SpecError("no state equation; accepted: at least one, such as h' = -h + M*x")

    def _check_entries(self, symbols: Sequence[MatrixSymbol]) -> None:
        """Check that names of entries, which equations entry by entry consist of, are different."""
        owners: dict[str, str] = {}
        for symbol in symbols:
            if isinstance(symbol.shape[0], int | sympy.Integer):
                for name in entry_names(symbol):
                    other = owners.setdefault(name, symbol.name)
                    if other != symbol.name:
                        column, taken = sorted((symbol.name, other), key=len)
                        raise SpecError(f"symbol {taken!r}: {column} has an entry {name}; accepted: another name")

    def _check_populations(self) -> None:
        names = [population.name for population in self.populations]
        for name in names:
            if names.count(name) > 1 or not re.fullmatch("[A-Za-z]*", name):
                raise SpecError(f"population {name!r}: accepted: names of letters, each once")
        used = [*(v.population for v in self.vectors), *(s.population for s in self.states if s.population is not None)]
        for name in used:
            if name not in names:
                raise SpecError(f"unknown population {name!r}{nearest(name, names)}; accepted: {listing(names)}")
        for population in self.populations:
            if population.weight <= 0:
                raise SpecError(
                    f"population {population.name!r}: found weight {population.weight}; accepted: more than 0"
                )
            members = [vector for vector in self.vectors if vector.population == population.name]
            if population.ones is not None and not any(
                (v.name, v.columns, v.trainable) == (population.ones, 1, False) for v in members
            ):
                raise SpecError(f"vector {population.ones!r}: accepted: ones as a vector of one column, not trained")

    def _right_hand_sides(self) -> Iterator[tuple[MatrixSymbol, MatrixExpr, list[MatrixSymbol]]]:
        """Give every equation's left-hand side, right-hand side and the symbols that may stand in it."""
        given = [*self.vector_symbols.values(), self.inputs, *(state.symbol for state in self.states)]
        for symbol, right in self.named:
            yield symbol, right, given
            given = [*given, symbol]
        for state in self.states:
            yield state.symbol, state.right, given
            if state.initial is not None:
                yield state.symbol, state.initial, list(self.vector_symbols.values())

    @property
    def named(self) -> tuple[tuple[MatrixSymbol, MatrixExpr], ...]:
        """The definitions, and the read-out as the last of them."""
        return (*self.definitions, (self.output, self.readout))

    @cached_property
    def vector_symbols(self) -> dict[str, MatrixSymbol]:
        """The vectors as matrix symbols, shape (neurons, columns), by name."""
        sizes = {population.name: population.size for population in self.populations}
        return {v.name: MatrixSymbol(v.name, sizes[v.population], v.columns) for v in self.vectors}

    def vector(self, name: str) -> Vector:
        """Return the vector of that name."""
        return next(vector for vector in self.vectors if vector.name == name)

    def population(self, name: str) -> Population:
        """Return the population of that name."""
        return next(population for population in self.populations if population.name == name)

    @property
    def shares(self) -> tuple[int, ...]:
        """The smallest numbers of neurons of the populations that are in the ratio of their weights."""
        unit = sympy.gcd([population.weight for population in self.populations])
        return tuple(int(population.weight / unit) for population in self.populations)

    def expanded(self, expression: MatrixExpr) -> MatrixExpr:
        """Return an expression with definitions and the output replaced by what they stand for."""
        for symbol, meaning in reversed(self.named):
            expression = expression.subs(symbol, meaning)
        return expression

    @property
    def averages(self) -> bool:
        """Whether projections are averages over neurons, (1/N) q^T phi(h), rather than sums q^T h."""
        rights = [right for _, right, _ in self._right_hand_sides()]
        return any(right.has(N) and _has_scalar(right) for right in rights)


def entry_names(symbol: MatrixSymbol) -> tuple[str, ...]:
    """Return the names of the entries of a short column: ``a1, a2, ...``, its own if there is one entry."""
    entries = int(symbol.shape[0])
    return tuple(f"{symbol.name}{k}" for k in range(1, entries + 1)) if entries > 1 else (symbol.name,)


def check_names(vectors: Sequence[str], symbols: Sequence[str]) -> None:
    """Raise :class:`SpecError` unless names of vectors and other symbols are accepted, each once in either case."""
    for what, names, pattern in (("vector", vectors, "[A-Za-z]+"), ("symbol", symbols, "[A-Za-z][A-Za-z0-9]*")):
        for name in names:
            if not re.fullmatch(pattern, name) or keyword.iskeyword(name) or name in RESERVED:
                digits = " and digits" if what == "symbol" else ""
                raise SpecError(f"{what} {name!r}: accepted: names of letters{digits} that mean nothing in Python")
    for what, names in (("vector", vectors), ("symbol", symbols)):
        if "n" in names:
            raise SpecError(f"{what} 'n': in capitals it would read as N, the number of neurons; write another name")
    every = [name.upper() for name in (*vectors, *symbols)]
    for what, names in (("vector", vectors), ("symbol", symbols)):
        for name in names:
            if every.count(name.upper()) > 1:
                raise SpecError(f"{what} {name!r}: another one has the same name but for upper and lower case")


def _has_scalar(expression: MatrixExpr) -> bool:
    """Whether N stands in a scalar factor, rather than only in the shapes of symbols."""
    if isinstance(expression, MatrixSymbol):
        return False
    if isinstance(expression, sympy.MatMul) and expression.as_coeff_matrices()[0].has(N):
        return True
    return any(_has_scalar(argument) for argument in expression.args if isinstance(argument, MatrixExpr))


def _shape(shape: tuple[sympy.Expr, sympy.Expr]) -> str:
    return f"({shape[0]}, {shape[1]})"
