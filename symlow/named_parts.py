"""What an analysis of equations has named: fields, projections, readings, gates and constants, each once.

A name is taken by one thing alone, entries of columns (``a1`` of ``a``) included, so that equations written entry by
entry tell them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import sympy
from sympy import Identity, ImmutableDenseMatrix, MatMul, MatrixExpr, MatrixSymbol, ZeroMatrix

from symlow.components import Components
from symlow.equations import Equations, N, entry_names
from symlow.errors import SpecError, listing
from symlow.network import Field, Gate, Projection
from symlow.neuron_columns import Neurons, scaled


class NamedParts:
    """The parts of one network, as they are found."""

    def __init__(self, equations: Equations, linear: bool) -> None:
        self.equations = equations
        self.linear = linear
        self.states = {state.symbol.name: state for state in equations.states}
        self.averages = equations.averages
        # What is read is a sum over neurons; symbols stand for averages where the equations have these.
        self.size = N if equations.averages else sympy.Integer(1)
        self.fields: list[Field] = []
        self.projections: dict[tuple[str, tuple[object, ...], bool], Projection] = {}
        self.gates: dict[tuple[sympy.Expr, tuple[MatrixExpr, ...]], Gate] = {}
        self.constants: dict[ImmutableDenseMatrix, MatrixSymbol] = {}
        self.values: dict[str, Neurons | MatrixExpr] = {}
        self.readings: dict[tuple[str, str], MatrixSymbol] = {}
        self.where = ""
        given = [equations.inputs, *(symbol for symbol, _ in equations.named), *(s.symbol for s in equations.states)]
        self.taken = {name for symbol in given for name in names_of(symbol)}
        components = Components(equations, linear)
        self.outside = components.outside
        self.carriers = components.carriers
        self.keys = components.keys

    def _field(self, value: Neurons) -> int:
        if not value.span:
            raise SpecError(
                f"{self.where}: phi acts on neurons that nothing drives, which stay at zero; write a vector in their "
                "equation, such as M*x, or in their initial state"
            )
        found = Field("", value.population, self._in_order(value.span))
        for coefficient in found.coefficients.values():
            self._checked(coefficient)
        if found not in self.fields:
            self.fields.append(found)
        return self.fields.index(found)

    def _in_order(self, span: Mapping[str, MatrixExpr]) -> Mapping[str, MatrixExpr]:
        return MappingProxyType({v.name: span[v.name] for v in self.equations.vectors if v.name in span})

    def _projection(self, reader: str, projected: Field, linear: bool) -> MatrixSymbol:
        key = (reader, (projected.population, *projected.coefficients.items()), linear)
        if key not in self.projections:
            symbol = self._free_symbol(f"a_{reader}", self.equations.vector(reader).columns)
            self.projections[key] = Projection(symbol, reader, projected, linear)
        return self.projections[key].symbol

    def _state_reading(self, reader: str, state: str) -> MatrixSymbol:
        if (state, reader) not in self.readings:
            key = reader if len(self.outside) == 1 and reader not in self.keys.values() else f"{reader}_{state}"
            self.readings[state, reader] = latent_symbol(key, self.equations.vector(reader).columns)
        return self.readings[state, reader]

    def _gate_product(self, values: list[MatrixExpr]) -> MatrixExpr:
        """Return a product of columns, entry by entry, with numbers in front of the gate."""
        if any(isinstance(value, ZeroMatrix) for value in values):
            return ZeroMatrix(max(int(value.shape[0]) for value in values), 1)
        number: sympy.Expr = sympy.Integer(1)
        columns: list[MatrixExpr] = []
        for value in values:
            if isinstance(value, Identity):
                continue
            coefficient, factors = (
                value.as_coeff_matrices() if isinstance(value, MatMul) else (sympy.Integer(1), [value])
            )
            number, columns = number * coefficient, [*columns, MatMul(*factors).doit()]
        if len(columns) < 2:
            return scaled(number, columns[0]) if columns else Identity(1)
        variables = sympy.symbols(f"s1:{len(columns) + 1}")
        return scaled(number, self._gate(sympy.Mul(*variables), tuple(zip(variables, columns, strict=True))))

    def _gate(self, function: sympy.Expr, arguments: tuple[tuple[sympy.Symbol, MatrixExpr], ...]) -> MatrixSymbol:
        sizes = {column.shape[0] for _, column in arguments} - {1} or {1}
        if len(sizes) > 1:
            found = listing(map(str, sorted(sizes)))
            raise SpecError(f"{self.where}: a product of columns of {found} entries; accepted: equal numbers, or one")
        names = sympy.symbols(f"s1:{len(arguments) + 1}")
        function = function.xreplace(dict(zip((variable for variable, _ in arguments), names, strict=True)))
        columns = tuple(
            self._constant(sympy.ImmutableDenseMatrix(c)) if isinstance(c, ZeroMatrix | Identity) else c
            for _, c in arguments
        )
        if any(column.has(N) for column in columns):
            raise SpecError(
                f"{self.where}: found N in the argument of a function; accepted: 1/N with each Q.T*..., no other N"
            )
        if (function, columns) not in self.gates:
            symbol = self._free_symbol("w", max(sizes))
            self.gates[function, columns] = Gate(symbol, function, tuple(zip(names, columns, strict=True)))
        return self.gates[function, columns].symbol

    def _constant(self, matrix: ImmutableDenseMatrix) -> MatrixSymbol:
        if matrix not in self.constants:
            self.constants[matrix] = MatrixSymbol(f"C_{len(self.constants) + 1}", *matrix.shape)
        return self.constants[matrix]

    def _free_symbol(self, name: str, entries: int) -> MatrixSymbol:
        """Return a column with a name that neither a symbol nor an entry of one has yet, numbered if need be."""
        symbol, number = MatrixSymbol(name, entries, 1), 1
        while not self.taken.isdisjoint(names_of(symbol)):
            number += 1
            symbol = MatrixSymbol(f"{name}{number}", entries, 1)
        self.taken.update(names_of(symbol))
        return symbol

    def _rename(self, symbol: MatrixSymbol, new: MatrixSymbol) -> bool:
        """Give the projection or gate of a symbol another name; return whether there is one."""
        projections = [key for key, projection in self.projections.items() if projection.symbol == symbol]
        gates = [key for key, gate in self.gates.items() if gate.symbol == symbol]
        for key in projections:
            self.projections[key] = replace(self.projections[key], symbol=new)
        for place in gates:
            self.gates[place] = replace(self.gates[place], symbol=new)
        return bool(projections or gates)

    def _checked(self, right: MatrixExpr) -> MatrixExpr:
        if right.has(N):
            raise SpecError(
                f"{self.where}: found a factor {'N' if not right.has(1 / N) else '1/N'} left over in {right}; "
                "accepted: 1/N once for each Q.T*phi(...), or nowhere (linear networks)"
            )
        return right


def latent_symbol(key: str, entries: int) -> MatrixSymbol:
    """Return the symbol of latents, ``kappa_<key>``."""
    return MatrixSymbol(f"kappa_{key}", entries, 1)


def names_of(symbol: MatrixSymbol) -> tuple[str, ...]:
    """Return the names that a symbol takes: its own, and those of its entries if they are few."""
    short = isinstance(symbol.shape[0], int | sympy.Integer)
    return (symbol.name, *(entry_names(symbol) if short else ()))
