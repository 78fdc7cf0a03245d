"""The equations of a network, as matrix expressions, compiled to the passes of one time step over neurons.

    F_1 F_2 ... F_n q = F_1 (F_2 (... (F_n q)))

Products are computed from the right, so that nothing but columns comes up: a vector U times a short column is a column
of neurons, U^T times that a short one, and no matrix of neurons by neurons is ever made. A column is compiled to a
*form*: a sum of columns with a number, a matrix of numbers, or a vector in front of each. Forms are computed only where
a function, a product or an equation needs their values.

N and the numbers of neurons of populations are numbers here. Sums over neurons are N times the weighted means
sum_i w_i ..., sum_i w_i = 1, so that with w_i = 1/N they are what they say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sympy
from sympy import ImmutableDenseMatrix, MatrixExpr, MatrixSymbol, Transpose
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction

from symlow.elementwise import ARGUMENT, elementwise
from symlow.equations import PHI, Equations, N, Vector
from symlow.passes import Applied, Block, Column, Entry, Inner, Node, Part, Product, Program, Reading, ShortSum, Sum

ACCEPTED = (
    "sums, products and transposes of vectors, states, inputs, definitions and numbers, with phi, other functions and "
    "products of columns entry by entry"
)


@dataclass(frozen=True)
class Term:
    """``vector * coefficient * column``: a column times a number or a matrix of numbers, and perhaps a vector."""

    coefficient: sympy.Expr | ImmutableDenseMatrix
    column: Column
    vector: str | None = None


Form = tuple[Term, ...]


@dataclass(frozen=True)
class CompiledStep:
    """A compiled time step.

    Attributes:
        program: the nodes.
        inputs: the slot of the input.
        states: the slots of the states, by name.
        updates: the states at the next time, by name.
        output: the output.
    """

    program: Program
    inputs: int
    states: Mapping[str, int]
    updates: Mapping[str, Column]
    output: Column


@dataclass(frozen=True)
class CompiledStart:
    """The compiled states at time 0.

    Attributes:
        program: the nodes.
        states: the states, by name.
    """

    program: Program
    states: Mapping[str, Column]


def compile_step(
    equations: Equations, phi: sympy.Expr, steps: Mapping[str, sympy.Rational | None], neurons: sympy.Rational
) -> CompiledStep:
    """Compile a time step, from states and the input at one time to states at the next, and the output.

    Args:
        equations: the network's equations.
        phi: the nonlinearity of its neurons, an expression in one symbol.
        steps: the time step of each state, in units of its time constant; None where the equation gives the next value.
        neurons: the number that stands for N.

    Raises:
        ValueError: for an expression that is not made of the accepted parts.
    """
    compiler = _Compiler(equations, phi, neurons)
    inputs = compiler.given(equations.inputs, fixed=True)
    states = {state.symbol.name: compiler.given(state.symbol) for state in equations.states}
    compiler.named |= {symbol.name: meaning for symbol, meaning in equations.named}
    output = compiler.column(equations.output)
    updates = {}
    for state in equations.states:
        form, step = compiler.form(state.right), steps[state.symbol.name]
        if step is not None:
            form = merged((Term(sympy.S.One, Column(states[state.symbol.name])), *scaled(form, step)))
        updates[state.symbol.name] = compiler.values(form, state.symbol.shape[0])
    return CompiledStep(compiler.program(), inputs, states, updates, output)


def compile_start(equations: Equations, phi: sympy.Expr, neurons: sympy.Rational) -> CompiledStart:
    """Compile the states at time 0; the arguments are those of :func:`compile_step`.

    Raises:
        ValueError: for an expression that is not made of the accepted parts.
    """
    compiler = _Compiler(equations, phi, neurons)
    states = {}
    for state in equations.states:
        form = () if state.initial is None else compiler.form(state.initial)
        states[state.symbol.name] = compiler.values(form, state.symbol.shape[0])
    return CompiledStart(compiler.program(), states)


def scaled(form: Form, number: sympy.Expr) -> Form:
    """Return a number times a form."""
    return tuple(Term(number * term.coefficient, term.column, term.vector) for term in form)


def merged(form: Form) -> Form:
    """Return a form with one term for each column and vector."""
    total: dict[tuple[Column, str | None], sympy.Expr | ImmutableDenseMatrix] = {}
    for term in form:
        key, coefficient = (term.column, term.vector), term.coefficient
        if key in total:
            one, other = total[key], coefficient
            if isinstance(one, ImmutableDenseMatrix) != isinstance(other, ImmutableDenseMatrix):
                size = (one if isinstance(one, ImmutableDenseMatrix) else other).rows
                one, other = (
                    c if isinstance(c, ImmutableDenseMatrix) else c * ImmutableDenseMatrix.eye(size)
                    for c in (one, other)
                )
            coefficient = one + other
        total[key] = coefficient
    return tuple(Term(coefficient, *key) for key, coefficient in total.items())


def _is_short(rows: sympy.Expr | int) -> bool:
    """Whether columns of so many rows are short, not of neurons; matrices of numbers give Python's integers."""
    return isinstance(rows, int) or bool(rows.is_Integer)


@dataclass
class _Compiler:
    """What has been compiled so far.

    Attributes:
        equations: the network's equations.
        phi: the nonlinearity of its neurons.
        neurons: the number that stands for N.
        columns: columns by name.
        named: what definitions stand for, by name, until they are needed.
        nodes: the nodes.
        widths: how many entries each slot has, 0 for those of neurons.
        entries: the columns of P in each block.
        constants: columns of numbers, by their slots.
    """

    equations: Equations
    phi: sympy.Expr
    neurons: sympy.Rational
    columns: dict[str, Column] = field(default_factory=dict)
    named: dict[str, MatrixExpr] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    blocks: list[tuple[str, bool, list[Entry]]] = field(default_factory=list)
    constants: dict[int, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._populations = {population.size: population.name for population in self.equations.populations}
        self._sizes = {N: self.neurons} | {p.size: p.weight * self.neurons for p in self.equations.populations}
        self._places: dict[str, tuple[int, int]] = {}
        start = 0
        for vector in self.equations.vectors:
            self._places[vector.name] = (start, start + vector.columns)
            start += vector.columns
        self._forms: dict[MatrixExpr, Form] = {}
        self._known: dict[tuple[object, ...], Column] = {}
        self._readings: dict[tuple[Column, str], int] = {}

    def program(self) -> Program:
        """Return all that has been compiled."""
        blocks = tuple(Block(population, tuple(entries), reads) for population, reads, entries in self.blocks)
        return Program(tuple(self.nodes), blocks, tuple(self.constants.items()), tuple(self.widths))

    def new_slot(self, rows: sympy.Expr) -> int:
        """Return a slot for a column of so many rows."""
        self.widths.append(int(rows) if _is_short(rows) else 0)
        return len(self.widths) - 1

    def given(self, symbol: MatrixSymbol, fixed: bool = False) -> int:
        """Return the slot of a symbol whose values are given."""
        slot = self.new_slot(symbol.shape[0])
        self.columns[symbol.name] = Column(slot, fixed=fixed)
        return slot

    def column(self, expression: MatrixExpr) -> Column:
        """Return where the values of a column stand."""
        return self.values(self.form(expression), expression.shape[0])

    def form(self, expression: MatrixExpr) -> Form:
        """Return a column as a form."""
        if expression not in self._forms:
            self._forms[expression] = self._form(expression)
        return self._forms[expression]

    def _form(self, expression: MatrixExpr) -> Form:
        rows = expression.shape[0]
        if isinstance(expression, MatrixSymbol):
            return self._symbol(expression)
        if isinstance(expression, sympy.ZeroMatrix):
            return ()
        if _is_short(rows) and not expression.has(MatrixSymbol):
            entries = tuple(float(self._number(entry)) for entry in self._explicit(expression))
            return (Term(sympy.S.One, self._constant(entries)),)
        if isinstance(expression, sympy.MatAdd):
            return merged(tuple(term for argument in expression.args for term in self.form(argument)))
        if isinstance(expression, sympy.MatMul):
            coefficient, (*factors, last) = expression.as_coeff_matrices()
            return self._multiplied(coefficient, factors, self.form(last), last.shape[0])
        if isinstance(expression, ElementwiseApplyFunction):
            return self._applied(expression.function, expression.expr)
        if isinstance(expression, sympy.HadamardProduct):
            return (self._product(tuple(self.column(argument) for argument in expression.args), rows),)
        if isinstance(expression, sympy.HadamardPower | sympy.MatPow) and expression.shape[1] == 1:
            d = sympy.Dummy("d")
            return self._applied(sympy.Lambda(d, d**expression.exp), expression.base)
        if isinstance(expression, Transpose) and expression.shape == (1, 1):
            return self.form(expression.arg)
        raise ValueError(f"found {expression}; accepted: {ACCEPTED}")

    def _symbol(self, symbol: MatrixSymbol) -> Form:
        if symbol.name in self._places:
            return (Term(sympy.S.One, self._constant((1.0,)), symbol.name),)
        if symbol.name not in self.columns:
            if symbol.name not in self.named:
                raise ValueError(f"found {symbol.name}, shape {symbol.shape}; accepted: {ACCEPTED}")
            self.columns[symbol.name] = self.column(self.named[symbol.name])
        return (Term(sympy.S.One, self.columns[symbol.name]),)

    def _multiplied(self, coefficient: sympy.Expr, factors: Sequence[MatrixExpr], form: Form, rows: sympy.Expr) -> Form:
        """Return a number and matrices times a column, the last of them first."""
        if factors and len(form) > 1:
            form = (Term(sympy.S.One, self.values(form, rows)),)
        form = scaled(form, self._number(coefficient))
        for factor in reversed(factors):
            form = self._times(factor, form)
        return form

    def _times(self, factor: MatrixExpr, form: Form) -> Form:
        """Return a matrix times a column."""
        rows, inner = factor.shape
        if not form or isinstance(factor, sympy.ZeroMatrix):
            return ()
        if isinstance(factor, sympy.Identity):
            return form
        if isinstance(factor, sympy.MatAdd):
            return merged(tuple(term for argument in factor.args for term in self._times(argument, form)))
        if isinstance(factor, sympy.MatMul):
            coefficient, factors = factor.as_coeff_matrices()
            return self._multiplied(coefficient, factors, form, inner)
        if _is_short(rows) and _is_short(inner) and not factor.has(MatrixSymbol):
            matrix = self._explicit(factor).applyfunc(self._number)
            return tuple(Term(matrix * term.coefficient, term.column) for term in form)
        if isinstance(factor, MatrixSymbol) and factor.name in self._places:
            return tuple(Term(term.coefficient, term.column, factor.name) for term in form)
        if isinstance(factor, Transpose) and isinstance(factor.arg, MatrixSymbol) and factor.arg.name in self._places:
            return (self._reading(self.equations.vector(factor.arg.name), form, inner),)
        if inner == 1:
            return (self._product((self.column(factor), self.values(form, inner)), rows),)
        if rows == 1:
            return (self._inner(self.column(factor.T), self.values(form, inner), inner),)
        raise ValueError(f"found {factor}, shape ({rows}, {inner}); accepted: {ACCEPTED}")

    def _reading(self, vector: Vector, form: Form, inner: sympy.Expr) -> Term:
        """Return what a vector reads of a column of neurons; those of one column are read together."""
        coefficient, source = sympy.S.One, None
        if len(form) == 1 and form[0].vector is None:
            coefficient, source = form[0].coefficient, form[0].column
        source = source or self.values(form, inner)
        factor = float(self.neurons * coefficient)
        if ("reading", source, vector.name, factor) not in self._known:
            if (source, vector.population) not in self._readings:
                self._readings[source, vector.population] = len(self.nodes)
                self.nodes.append(Reading(self.new_slot(sympy.S.Zero), source, len(self.blocks)))
                self.blocks.append((vector.population, True, []))
            node = self.nodes[self._readings[source, vector.population]]
            assert isinstance(node, Reading)
            start = self.widths[node.slot]
            self.widths[node.slot] += vector.columns
            entry = Entry(self._places[vector.name], start, start + vector.columns, factor)
            self.blocks[node.block][2].append(entry)
            self._known["reading", source, vector.name, factor] = Column(node.slot, entry.start, entry.stop)
        return Term(sympy.S.One, self._known["reading", source, vector.name, factor])

    def _applied(self, function: sympy.Lambda, argument: MatrixExpr) -> Form:
        """Return a function of each entry; the nonlinearity of the neurons may be a part of it."""
        (variable,) = function.variables
        body = function.expr.replace(PHI, lambda entry: self.phi.xreplace(dict.fromkeys(self.phi.free_symbols, entry)))
        if body == variable:
            return self.form(argument)
        source = self.column(argument)
        body = body.xreplace({variable: ARGUMENT})  # variables have new names in every expression
        key = ("function", body, source)
        if key not in self._known:
            self._known[key] = self._added(Applied(self.new_slot(argument.shape[0]), elementwise(body), source))
        return (Term(sympy.S.One, self._known[key]),)

    def _product(self, factors: tuple[Column, ...], rows: sympy.Expr) -> Term:
        key = ("product", *factors)
        if key not in self._known:
            self._known[key] = self._added(Product(self.new_slot(rows), factors))
        return Term(sympy.S.One, self._known[key])

    def _inner(self, left: Column, right: Column, inner: sympy.Expr) -> Term:
        population = self._populations.get(inner)
        key = ("inner", left, right)
        if key not in self._known:
            self._known[key] = self._added(Inner(self.new_slot(sympy.S.One), left, right, population))
        return Term(sympy.S.One if population is None else self.neurons, self._known[key])

    def values(self, form: Form, rows: sympy.Expr) -> Column:
        """Return where the values of a form stand, which are computed if need be."""
        if len(form) == 1 and form[0].vector is None and form[0].coefficient == 1:
            return form[0].column
        key = ("sum", form, rows)
        if key not in self._known:
            slot = self.new_slot(rows)
            self._known[key] = self._added(
                ShortSum(slot, tuple(self._part(term, 0, int(rows)) for term in form), int(rows))
                if _is_short(rows)
                else self._neurons(slot, form, self._populations[rows])
            )
        return self._known[key]

    def _neurons(self, slot: int, form: Form, population: str) -> Sum:
        """Return a column of neurons as a node; a vector's columns stand in its block once."""
        terms, parts, entries = [], [], {}
        width = 0
        for term in form:
            if term.vector is None:
                terms.append((float(term.coefficient), term.column))
                continue
            if term.vector not in entries:
                place = self._places[term.vector]
                entries[term.vector] = Entry(place, width, width + place[1] - place[0])
                width = entries[term.vector].stop
            parts.append(self._part(term, entries[term.vector].start, entries[term.vector].stop))
        if entries:
            self.blocks.append((population, False, list(entries.values())))
        return Sum(slot, population, tuple(terms), tuple(parts), len(self.blocks) - 1)

    def _part(self, term: Term, start: int, stop: int) -> Part:
        coefficient = term.coefficient
        if isinstance(coefficient, ImmutableDenseMatrix):
            return Part(term.column, tuple(tuple(map(float, row)) for row in coefficient.tolist()), start, stop)
        return Part(term.column, float(coefficient), start, stop)

    def _added(self, node: Node) -> Column:
        self.nodes.append(node)
        return Column(node.slot)

    def _constant(self, entries: tuple[float, ...]) -> Column:
        key = ("constant", entries)
        if key not in self._known:
            slot = self.new_slot(sympy.Integer(len(entries)))
            self.constants[slot] = entries
            self._known[key] = Column(slot, fixed=True)
        return self._known[key]

    def _explicit(self, expression: MatrixExpr | ImmutableDenseMatrix) -> ImmutableDenseMatrix:
        return ImmutableDenseMatrix(expression.doit().as_explicit())

    def _number(self, coefficient: sympy.Expr) -> sympy.Expr:
        number = coefficient.xreplace(self._sizes)
        if not number.is_number:
            raise ValueError(f"coefficient {coefficient}; accepted: numbers and powers of N")
        return number
