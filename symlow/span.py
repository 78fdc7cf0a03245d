"""The span: from the equations of N neurons to latents, by evaluating right-hand sides along the vectors.

A column of neurons is a sum of vectors times columns, of states that have left the span, and of activities,

    sum_c (columns of c) coefficient_c + sum_r (number) r + sum_f (number) phi(f),

and a product is evaluated from the right: U (V^T phi(h) / N) is the vector U times the projection of phi(h) on V.
A state of which no activity is a part stays in the span of the vectors in its equation: its latents are their
coefficients. Another one (r' = -r + phi(...)) leaves the span, but what vectors read of it obeys equations of its own,

    q^T r' / N = -q^T r / N + q^T phi(...) / N,

which close if r is never needed but through such readings. Whatever is neither is an error, which names the term.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from types import MappingProxyType

import sympy
from sympy import (
    HadamardPower,
    HadamardProduct,
    Identity,
    ImmutableDenseMatrix,
    MatAdd,
    MatMul,
    MatPow,
    MatrixExpr,
    MatrixSymbol,
    Transpose,
    ZeroMatrix,
)
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction

from symlow.components import is_phi
from symlow.equation_text import written
from symlow.equations import Equations, State
from symlow.errors import ClosureError, SpecError
from symlow.named_parts import NamedParts, latent_symbol, names_of
from symlow.network import Field, Latent, Network, with_names
from symlow.neuron_columns import Neurons, plus, scale, scaled, without_size
from symlow.nonlinearity import Nonlinearity

_OF_THE_REDUCED_MODEL = re.compile("g|mu|Delta|dt|tau|alpha|[A-Za-z0-9]*bar")
"""Names of gains, statistics, constants and cotangents in the reduced model."""


class _Analysis(NamedParts):
    """The analysis of one set of equations."""

    # Values -------------------------------------------------------------------------------------------------------

    def neurons(self, expression: MatrixExpr) -> Neurons:
        """Return what a column of neurons is made of."""
        value = self.value(expression)
        assert isinstance(value, Neurons)
        return value

    def column(self, expression: MatrixExpr) -> MatrixExpr:
        """Return a short column in latents, inputs, projections, gates and constants."""
        value = self.value(expression)
        assert isinstance(value, MatrixExpr)
        return value

    def value(self, expression: MatrixExpr) -> Neurons | MatrixExpr:
        """Return the value of an expression with one column."""
        if isinstance(expression, MatAdd):
            return reduce(plus, [self.value(argument) for argument in expression.args])
        if isinstance(expression, MatMul):
            return self._product(expression)
        if isinstance(expression, MatrixSymbol):
            return self._symbol(expression)
        if isinstance(expression, ElementwiseApplyFunction):
            return self._applied(expression)
        if isinstance(expression, HadamardProduct):
            return self._gated_product(expression, list(expression.args))
        power = isinstance(expression, HadamardPower) or (isinstance(expression, MatPow) and expression.shape == (1, 1))
        if power and expression.exp.is_Integer and expression.exp > 0:
            return self._gated_product(expression, [expression.base] * int(expression.exp))
        if isinstance(expression, ZeroMatrix):
            return self._nothing(expression)
        if isinstance(expression, ImmutableDenseMatrix) and expression.shape[1] == 1:
            return self._constant(expression)
        if isinstance(expression, Identity) and expression.shape == (1, 1):
            return expression
        raise self._refused(
            expression, "symlow does not know this operation", "write sums, products and functions of columns"
        )

    def _nothing(self, zero: ZeroMatrix) -> Neurons | MatrixExpr:
        """Return the value of a column of zeros, such as x - x."""
        found = [population.name for population in self.equations.populations if population.size == zero.shape[0]]
        return Neurons(found[0]) if found else zero

    def _product(self, product: MatMul) -> Neurons | MatrixExpr:
        number, factors = product.as_coeff_matrices()
        if len(factors) > 1 and factors[-1].shape == (1, 1) and factors[-2].shape[1] == 1:
            # (U V^T phi(h)) s: what stands left is a column, and s scales it
            return scale(number, self._times(MatMul(*factors[:-1]), self.column(factors[-1])))
        value = self.value(factors[-1])
        if isinstance(value, MatrixExpr) and value.shape == (1, 1) and len(factors) > 2:
            return scale(number, self._times(MatMul(*factors[:-1]), value))  # (Q.T*phi(h))*s rather than Q.T*(phi(h)*s)
        for factor in reversed(factors[:-1]):
            value = self._applied_to(factor, value)
        return scale(number, value)

    def _applied_to(self, factor: MatrixExpr, value: Neurons | MatrixExpr) -> Neurons | MatrixExpr:
        """Return a matrix times a value."""
        if isinstance(factor, MatAdd | MatMul) and factor.shape[1] == 1 and not isinstance(value, Neurons):
            return self._times(factor, value)
        if isinstance(factor, MatAdd):
            return reduce(plus, [self._applied_to(argument, value) for argument in factor.args])
        if isinstance(factor, MatMul):
            number, factors = factor.as_coeff_matrices()
            for inner in reversed(factors):
                value = self._applied_to(inner, value)
            return scale(number, value)
        if isinstance(factor, Identity):
            return value
        if isinstance(factor, Transpose):
            if isinstance(factor.arg, MatrixSymbol) and factor.arg.name in self.equations.vector_symbols:
                return self._reading(factor.arg.name, value, factor)
            inner = factor.doit()
            if not isinstance(inner, Transpose):
                return self._applied_to(inner, value)
            raise self._refused(factor, "only vectors read neurons", "write the transpose of a vector")
        if (
            isinstance(factor, MatrixSymbol)
            and factor.name in self.equations.vector_symbols
            and not isinstance(value, Neurons)
        ):
            span = {} if isinstance(value, ZeroMatrix) else {factor.name: value}
            return Neurons(self.equations.vector(factor.name).population, span)
        if isinstance(factor, ImmutableDenseMatrix) and not isinstance(value, Neurons) and factor.shape != (1, 1):
            return MatMul(self._constant(factor), value).doit()
        if factor.shape[1] == 1 and not isinstance(value, Neurons):
            return self._times(factor, value)
        if isinstance(factor, MatrixSymbol) and factor.shape[0] == factor.shape[1]:
            raise self._refused(
                factor,
                f"{factor.name} is a full matrix, whose image of the state is no combination of the vectors",
                f"write it as a product of vectors of few columns, such as U*V.T/N in place of {factor.name}, or "
                "simulate the network of neurons (symlow.simulate.FullNetwork)",
            )
        raise self._refused(factor, "symlow does not know this product", "write products that end in a column")

    def _times(self, factor: MatrixExpr, scalar: MatrixExpr) -> Neurons | MatrixExpr:
        """Return a column times a column of one entry."""
        left = self.value(factor)
        if isinstance(scalar, Identity):
            return left
        if isinstance(left, Neurons):
            if left.states or left.activities:
                raise self._refused(
                    factor,
                    "a state outside of the span, or an activity, times something that changes in time",
                    "multiply what vectors read of it",
                )
            products = {name: self._gate_product([value, scalar]) for name, value in left.span.items()}
            return Neurons(left.population).plus(replace(left, span=products))
        return self._gate_product([left, scalar])

    def _symbol(self, symbol: MatrixSymbol) -> Neurons | MatrixExpr:
        name = symbol.name
        if name in self.values:
            return self.values[name]
        if name == self.equations.inputs.name:
            return symbol
        if name in self.states:
            state = self.states[name]
            if state.population is None:
                return latent_symbol(name, symbol.shape[0])
            if name in self.outside:
                return Neurons(state.population, states={name: sympy.Integer(1)})
            vectors = self.carriers[name]
            columns = {v: self.equations.vector(v).columns for v in vectors}
            return Neurons(state.population, {v: latent_symbol(self.keys[name, v], columns[v]) for v in vectors})
        if name in self.equations.vector_symbols:
            return Neurons(self.equations.vector(name).population, {name: Identity(1)})
        raise self._refused(symbol, "it is used before its definition", "define it first")

    def _applied(self, applied: ElementwiseApplyFunction) -> Neurons | MatrixExpr:
        value = self.value(applied.expr)
        if is_phi(applied):
            if not isinstance(value, Neurons):
                raise self._refused(
                    applied, "phi acts on columns of neurons", "write another function of short columns"
                )
            if self.linear:
                return value
            if value.states or value.activities:
                names = ", ".join([*value.states, *("phi(...)" for _ in value.activities)])
                raise self._refused(
                    applied,
                    f"phi acts on {names}, which is not in the span of the vectors",
                    "let vectors read it, as in phi(U*V.T*r/N + M*x), or write the current form, "
                    "h' = -h + U*V.T*phi(h)/N",
                )
            return Neurons(value.population, activities={self._field(value): sympy.Integer(1)})
        if isinstance(value, Neurons):
            raise self._refused(
                applied, "a function of neurons other than phi", "write phi, and give its formula as nonlinearity"
            )
        variable = applied.function.variables[0]
        return self._gate(applied.function.expr, ((variable, value),))

    def _gated_product(self, product: MatrixExpr, arguments: list[MatrixExpr]) -> MatrixExpr:
        values = [self.value(argument) for argument in arguments]
        if any(isinstance(value, Neurons) for value in values):
            raise self._refused(
                product,
                "a product of columns of neurons, neuron by neuron, is no combination of the vectors",
                "multiply what vectors read, such as hadamard(V.T*phi(h)/N, G.T*phi(h)/N)",
            )
        return self._gate_product([value for value in values if isinstance(value, MatrixExpr)])

    def _reading(self, reader: str, value: Neurons | MatrixExpr, factor: MatrixExpr) -> MatrixExpr:
        if not isinstance(value, Neurons):
            raise self._refused(factor, "a vector reads columns of neurons", "write V.T before a state or phi")
        columns = self.equations.vector(reader).columns
        size = self.size
        total: MatrixExpr = ZeroMatrix(columns, 1)
        if value.span:
            power, span = without_size(value.span, self.where)
            read = Field("", value.population, self._in_order(span))
            total = total + scaled(size * power, self._projection(reader, read, linear=True))
        for position, number in value.activities.items():
            total = total + scaled(size * number, self._projection(reader, self.fields[position], linear=False))
        for name, number in value.states.items():
            total = total + scaled(size * number, self._state_reading(reader, name))
        return total.doit()

    def define(self, symbol: MatrixSymbol, meaning: MatrixExpr) -> None:
        """Evaluate a definition; a projection or gate that it is the first to mention gets its name.

        Not the name of the output, which is read at other times than what drives the states, nor one that the reduced
        model has for something else, such as its gain g: these keep a name of symlow's own.
        """
        self.where = f"the definition of {symbol.name}"
        known = {p.symbol for p in self.projections.values()} | {gate.symbol for gate in self.gates.values()}
        value = self.value(meaning)
        own = symbol != self.equations.output and not _OF_THE_REDUCED_MODEL.fullmatch(symbol.name)
        if isinstance(value, MatrixSymbol) and value not in known and own:
            self.taken.difference_update(names_of(value))
            if self._rename(value, symbol):
                value = symbol
        self.values[symbol.name] = value

    # The network --------------------------------------------------------------------------------------------------

    def run(self) -> tuple[Latent, ...]:
        """Evaluate all equations and return the latents."""
        for symbol, meaning in self.equations.named:
            self.define(symbol, meaning)
        return tuple(self.latents())

    def latents(self) -> Iterator[Latent]:
        """Give the latents of every state."""
        for name, state in self.states.items():
            self.where = f"the equation of {name}"
            if state.population is None:
                yield self._environment(name, state)
            elif name not in self.outside:
                yield from self._in_span(name, state)
        done: set[tuple[str, str]] = set()
        while set(self.readings) - done:
            for name, reader in [pair for pair in self.readings if pair not in done]:
                done.add((name, reader))
                self.where = f"the equation of {name}"
                yield self._read(name, reader)

    def _environment(self, name: str, state: State) -> Latent:
        symbol = latent_symbol(name, state.symbol.shape[0])
        right = self._checked(self.column(state.right))
        return Latent(name, symbol, name, "", False, right, state.tau, ZeroMatrix(*symbol.shape))

    def _in_span(self, name: str, state: State) -> Iterator[Latent]:
        right = self.neurons(state.right)
        assert not right.states
        assert not right.activities
        assert right.span.keys() <= set(self.carriers[name])
        initial = None if state.initial is None else self.neurons(state.initial)
        for vector in self.carriers[name]:
            key = self.keys[name, vector]
            symbol = latent_symbol(key, self.equations.vector(vector).columns)
            zero = ZeroMatrix(*symbol.shape)
            start = zero if initial is None else self._checked(initial.span.get(vector, zero))
            yield Latent(
                key, symbol, name, vector, False, self._checked(right.span.get(vector, zero)), state.tau, start
            )

    def _read(self, name: str, reader: str) -> Latent:
        state, symbol = self.states[name], self.readings[name, reader]
        size = 1 / self.size
        factor = self.equations.vector_symbols[reader].T
        right = self._checked(self._reading(reader, self.neurons(state.right).scaled(size), factor))
        start: MatrixExpr = ZeroMatrix(*symbol.shape)
        if state.initial is not None:
            start = self._checked(self._reading(reader, self.neurons(state.initial).scaled(size), factor))
        return Latent(symbol.name.removeprefix("kappa_"), symbol, name, reader, True, right, state.tau, start)

    def _refused(self, term: MatrixExpr, why: str, mend: str) -> ClosureError:
        return ClosureError(f"{self.where}: the term {written(term, self.equations)} does not close: {why}; {mend}")


def find_network(
    equations: Equations, nonlinearity: Nonlinearity, dt: sympy.Rational, tau: sympy.Rational, readout: str
) -> Network:
    """Return the network that equations make: latents, what moves them and what is read out.

    Raises:
        ClosureError: if a term leaves the span of the vectors; the message names it and says what could be done.
        SpecError: if something else is wrong with the equations, such as a missing 1/N.
    """
    analysis = _Analysis(equations, nonlinearity.is_linear)
    latents = analysis.run()
    analysis.where = "the read-out"
    output = analysis._checked(analysis.column(equations.output))
    if not nonlinearity.is_linear and not analysis.averages:
        raise SpecError("nonlinear networks need projections that are averages; write (1/N) Q.T*phi(h) as Q.T*phi(h)/N")
    network = Network(
        equations,
        nonlinearity,
        dt,
        tau,
        readout,
        latents,
        *with_names(equations, analysis.fields, tuple(analysis.projections.values())),
        gates=tuple(analysis.gates.values()),
        constants=MappingProxyType({symbol: matrix for matrix, symbol in analysis.constants.items()}),
        output_right=output,
    )
    network.check()
    return network
