"""Equations written with SymPy, as the lines of text that a specification holds.

    {h: -h + U*V.T*phi(h)/N + M*x}, y = Z.T*phi(h)/N      ->      ("h' = -h + M*x + U*V.T*phi(h)/N", "y = Z.T*phi(h)/N")

The text is the canonical form, which :mod:`symlow.equation_reader` reads: what is built here goes the same way as what
is typed, and is read once to be sure of it. Vectors and states of neurons are ``MatrixSymbol(name, N, columns)``, the
input is ``MatrixSymbol("x", inputs, 1)``, definitions and states of an environment are columns of numbers of entries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

import sympy
from sympy import ImmutableDenseMatrix, MatrixExpr, MatrixSymbol
from sympy.matrices import MatrixBase
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction

from symlow.equation_reader import SMOOTH, parse_equations
from symlow.equation_text import function_name, is_phi, written
from symlow.equations import Equations, N, Population, State, Vector
from symlow.errors import SpecError, listing
from symlow.expressions import exact

Columns = Mapping[MatrixSymbol, MatrixExpr | MatrixBase]

NONE: Mapping[MatrixSymbol, MatrixExpr] = MappingProxyType({})

_SIZE = re.compile("N(?:_([A-Za-z]+))?")


def dynamics(
    derivatives: Columns = NONE,
    *,
    y: MatrixExpr | MatrixBase,
    definitions: Columns = NONE,
    initial: Columns = NONE,
    time_constants: Mapping[MatrixSymbol, float | sympy.Expr] = MappingProxyType({}),
    next_values: Columns = NONE,
) -> tuple[str, ...]:
    """Return equations written with SymPy as the lines of ``network.dynamics`` of a specification.

    Neurons of a population E are counted by the symbol ``N_E``: ``MatrixSymbol("hE", Symbol("N_E"), 1)``.

    Args:
        derivatives: by state h the right-hand side of tau dh/dt, of the state's shape.
        y: the read-out, shape (outputs, 1); equations may use it as ``MatrixSymbol("y", outputs, 1)``.
        definitions: by name, a column, what it stands for; each may use those before it.
        initial: by state its value at time 0; zero where not given.
        time_constants: by state its time constant, in units of the network's; 1 where not given.
        next_values: by state its value at the next time step, in place of a derivative.

    Raises:
        SpecError: for a symbol that is unknown, has a name that is taken, or stands in a sum or an equation of another
            shape; for operations that the language of equations does not have. The message names the symbol.
    """
    both = [state for state in derivatives if state in next_values]
    if both:
        raise SpecError(f"state {both[0]}: found a derivative and a next value; accepted: one of them")
    _check_keys("initial", initial, [*derivatives, *next_values])
    _check_keys("time_constants", time_constants, [*derivatives])
    states = [
        State(
            _symbol(symbol),
            _column(symbol, right),
            _time_constant(symbol, time_constants.get(symbol, 1)) if symbol in derivatives else None,
            _column(symbol, initial[symbol]) if symbol in initial else None,
            _population(symbol),
        )
        for symbol, right in (*derivatives.items(), *next_values.items())
    ]
    named = [(_symbol(symbol), _column(symbol, right)) for symbol, right in definitions.items()]
    readout = _column("y", y)
    if not isinstance(readout.shape[0], int | sympy.Integer) or readout.shape[1] != 1:
        raise SpecError(f"y: found shape {tuple(readout.shape)}; accepted: a column of outputs, such as Z.T*phi(h)/N")
    output = MatrixSymbol("y", *readout.shape)
    rights = [state.right for state in states] + [state.initial for state in states if state.initial is not None]
    vectors, inputs = _others([*rights, *(right for _, right in named), readout], {s.symbol.name for s in states})
    members = [vector.population for vector in vectors] + [s.population for s in states if s.population is not None]
    populations = tuple(Population(name) for name in dict.fromkeys(members))
    return lines(
        Equations(vectors, inputs, tuple(states), output, readout, tuple(named), populations or (Population(),))
    )


def lines(equations: Equations) -> tuple[str, ...]:
    """Return equations as lines of text, which :func:`symlow.equation_reader.parse_equations` reads.

    Raises:
        SpecError: if the text is not one that the reader accepts.
    """
    found = []
    for state in equations.states:
        name = state.symbol.name
        factor = "" if state.tau in (None, 1) else f"{state.tau}*"
        found.append(f"{factor}{name}{'[t+1]' if state.tau is None else chr(39)} = {written(state.right, equations)}")
        if state.initial is not None:
            found.append(f"{name}[0] = {written(state.initial, equations)}")
    found += [f"{symbol.name} = {written(right, equations)}" for symbol, right in equations.named]
    parse_equations(
        found,
        equations.vectors,
        int(equations.inputs.shape[0]),
        equations.output.name,
        equations.populations,
        {state.symbol.name: state.population for state in equations.states if state.population is not None},
        {state.symbol.name: int(state.symbol.shape[0]) for state in equations.states if state.population is None},
    )
    return tuple(found)


def _check_keys(what: str, table: Mapping[MatrixSymbol, object], accepted: Iterable[MatrixSymbol]) -> None:
    known = list(accepted)
    for symbol in table:
        if symbol not in known:
            raise SpecError(f"{what}: found {symbol}; accepted: {listing(map(str, known)) or 'none'}")


def _symbol(symbol: MatrixSymbol) -> MatrixSymbol:
    """Return the left-hand side of an equation, with the sizes that equations have."""
    if not isinstance(symbol, MatrixSymbol) or symbol.shape[1] != 1:
        found = f"{symbol} of shape {tuple(symbol.shape)}" if isinstance(symbol, MatrixSymbol) else repr(symbol)
        raise SpecError(f"left-hand side: found {found}; accepted: a column, such as MatrixSymbol('h', N, 1)")
    return _with_sizes(symbol)


def _with_sizes(expression: MatrixExpr) -> MatrixExpr:
    """Return an expression with the symbols that are called N or N_E as those of this package."""
    shapes = [size for symbol in expression.atoms(MatrixSymbol) for size in symbol.shape]
    symbols = {s for size in shapes for s in size.free_symbols} | _free_scalars(expression)
    sizes = {s: Population(match[1] or "").size for s in symbols if (match := _SIZE.fullmatch(s.name))}
    return expression.xreplace(sizes)


def _free_scalars(expression: MatrixExpr) -> set[sympy.Symbol]:
    return {symbol for symbol in expression.free_symbols if not isinstance(symbol, MatrixSymbol)}


def _column(symbol: MatrixSymbol | str, right: MatrixExpr | MatrixBase) -> MatrixExpr:
    """Return a right-hand side in the operations that text has, with exact numbers."""
    where = f"equation of {getattr(symbol, 'name', symbol)}"
    if isinstance(right, MatrixBase):
        right = ImmutableDenseMatrix(right)
    if not isinstance(right, MatrixExpr):
        raise SpecError(f"{where}: found {right!r}; accepted: a column in SymPy, such as Z.T*phi(h)/N")
    right = _with_sizes(right)
    right = right.xreplace({number: exact(float(number)) for number in right.atoms(sympy.Float)})
    for scalar in _scalars(right):
        unknown = sorted(s.name for s in scalar.free_symbols - {N})
        if unknown:
            raise SpecError(
                f"{where}: unknown {unknown[0]!r} in the factor {scalar}; accepted: numbers and powers of N, for a "
                "symbol has no value: write its number, or a vector"
            )
        if not scalar.xreplace({N: sympy.Integer(1)}).is_rational:
            raise SpecError(
                f"{where}: found the number {scalar}; accepted: rational numbers, such as {_decimal(scalar)}"
            )
    for applied in right.atoms(ElementwiseApplyFunction):
        _check_function(where, applied)
    return right


def _decimal(number: sympy.Expr) -> str:
    value = number.subs(N, 1)
    return str(sympy.N(value, 6)) if value.is_real else "0.5"


def _scalars(expression: MatrixExpr) -> Iterator[sympy.Expr]:
    """Give the numbers that stand in an expression as factors or entries, not those inside of functions."""
    if isinstance(expression, MatrixBase):
        yield from expression.flat()
    elif not isinstance(expression, MatrixSymbol):
        for argument in expression.args:
            if isinstance(argument, MatrixExpr):
                yield from _scalars(argument)
            elif not isinstance(argument, sympy.Lambda):
                yield argument


def _check_function(where: str, applied: ElementwiseApplyFunction) -> None:
    if is_phi(applied):
        return
    (variable,) = applied.function.variables
    name = function_name(applied.function.expr, variable)
    if name not in SMOOTH:
        raise SpecError(
            f"{where}: found the function {applied.function.expr.xreplace({variable: sympy.Symbol('x')})} entry by "
            f"entry; accepted: {listing(SMOOTH)} of a column, and hadamard_product(a, b) for products"
        )


def _time_constant(symbol: MatrixSymbol, value: float | sympy.Expr) -> sympy.Rational:
    found = exact(value) if isinstance(value, float) else sympy.Integer(value) if isinstance(value, int) else value
    if not (isinstance(found, sympy.Rational) and found > 0):
        raise SpecError(f"time constant of {symbol.name}: found {value}; accepted: a rational number > 0")
    return found


def _population(symbol: MatrixSymbol) -> str | None:
    """Return the population of a state or vector by its number of rows; None for an environment's few entries."""
    rows = symbol.shape[0]
    if isinstance(rows, int | sympy.Integer):
        return None
    match = _SIZE.fullmatch(str(rows))
    if match is None:
        raise SpecError(
            f"{symbol.name}: found {rows} rows; accepted: N, N_E for neurons of a population E, or a number of entries"
        )
    return match[1] or ""


def _others(rights: Iterable[MatrixExpr], states: set[str]) -> tuple[tuple[Vector, ...], MatrixSymbol]:
    """Return the vectors, in the order in which they appear, and the input."""
    vectors: dict[MatrixSymbol, Vector] = {}
    inputs = MatrixSymbol("x", 1, 1)
    for symbol in (s for right in rights for s in sympy.preorder_traversal(right) if isinstance(s, MatrixSymbol)):
        population = _population(symbol)
        if symbol.name == "x" and population is None:
            inputs = symbol
        elif population is not None and symbol.name not in states and symbol not in vectors:
            vectors[symbol] = Vector(symbol.name, _columns(symbol), sympy.Integer(1), "", population)
    return tuple(vectors.values()), inputs


def _columns(symbol: MatrixSymbol) -> int:
    if not isinstance(symbol.shape[1], int | sympy.Integer):
        raise SpecError(
            f"{symbol.name}: found shape {tuple(symbol.shape)}, a full matrix, which does not close; accepted: vectors "
            f"of few columns, such as U*V.T/N in place of {symbol.name}"
        )
    return int(symbol.shape[1])
