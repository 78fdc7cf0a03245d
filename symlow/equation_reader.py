"""Equations that users type, parsed through a whitelist into SymPy matrix expressions, never executed.

    h' = -h + U*a + M*x          tau dh/dt; 3*h' has three times the time constant
    a = V.T*phi(h)/N             a definition: a name for a column
    y = Z.T*phi(h)/N             the read-out
    e[t+1] = [[1, 1], [0, 1]]*e  the next value
    h[0] = H0                    the state at time 0

Products are matrix products, of a column and a 1 x 1 column too; ``hadamard(a, b)`` and functions such as
``sigmoid(a)`` act on short columns entry by entry. ``V.T`` is the transpose. Vectors may be written in either case.
[1, 2] is a column and [[1, 2], [3, 4]] a matrix of numbers; a number beside a column is added to each entry.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import sympy
from sympy import HadamardProduct, ImmutableDenseMatrix, Lambda, MatrixExpr, MatrixSymbol
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction

from symlow.caret import error_at
from symlow.equations import Equations, N, Population, State, Vector, check_names, phi
from symlow.errors import SpecError, listing, nearest
from symlow.parser import FUNCTIONS, MAX_DEPTH, MAX_DIGITS, MAX_LENGTH, MAX_NODES, X, parse_expression

SMOOTH = ("sigmoid", "tanh", "erf", "exp", "sin", "cos", "softplus", "arctan", "sinh", "cosh", "arcsinh")
"""Functions that act on short columns entry by entry: the smooth ones of one argument."""

LARGEST_MATRIX = 64
"""The most rows or columns of a matrix of numbers."""

_LINE = re.compile(
    r"\s*(?:(?P<factor>[0-9]+(?:\.[0-9]+)?(?:/[0-9]+)?)\s*\*\s*)?(?P<name>[A-Za-z][A-Za-z0-9]*)\s*"
    r"(?P<mark>'|\[\s*t\s*\+\s*1\s*\]|\[\s*0\s*\])?\s*=(?!=)"
)
_INSTEAD = {
    "@": "write * for a product of matrices",
    "^": "write V.T for a transpose, and hadamard(a, a) for a square entry by entry",
    "'": "write a derivative on the left-hand side only",
}
_ACCEPTED = (
    "accepted: sums and products of vectors, states, inputs, definitions and numbers, /N, transposes such as V.T, "
    f"phi(...), hadamard(a, b), matrices such as [[1, 0], [0, 1]], and {listing(f'{name}(a)' for name in SMOOTH)}"
)


@dataclass(frozen=True)
class _Line:
    """A line: what it gives, and where its right-hand side starts in the text."""

    name: str
    kind: str  # "flow", "next", "initial" or "definition"
    tau: sympy.Rational
    text: str
    start: int


def parse_equations(
    lines: Sequence[str],
    vectors: Sequence[Vector],
    inputs: int,
    output: str = "y",
    populations: Sequence[Population] = (Population(),),
    states: Mapping[str, str] | None = None,
    environment: Mapping[str, int] | None = None,
) -> Equations:
    """Return the equations that lines of text write.

    Args:
        lines: one equation each.
        vectors: the vectors that they may use.
        inputs: number of entries of the input x.
        output: name of the output; the line that defines it is the read-out.
        populations: the populations of neurons.
        states: population of each state of neurons, by name; may be left out where there is only one population.
        environment: number of entries of each state that has no neurons, by name.

    Raises:
        SpecError: saying what is wrong with which line, with a caret under the place.
    """
    return _Reader(lines, vectors, inputs, output, populations, states or {}, environment or {}).equations()


class _Reader:
    """Reads the lines of one network."""

    def __init__(
        self,
        lines: Sequence[str],
        vectors: Sequence[Vector],
        inputs: int,
        output: str,
        populations: Sequence[Population],
        states: Mapping[str, str],
        environment: Mapping[str, int],
    ) -> None:
        check_names([vector.name for vector in vectors], [])
        self.vectors, self.populations, self.output = tuple(vectors), tuple(populations), output
        self.lines = [_line(text) for text in lines]
        self.environment, self.of_state = dict(environment), dict(states)
        self.sizes = {population.name: population.size for population in self.populations}
        self.inputs = MatrixSymbol("x", inputs, 1)
        self.symbols: dict[str, MatrixSymbol] = {"x": self.inputs}
        for vector in self.vectors:
            if vector.population not in self.sizes:
                known = listing(self.sizes)
                raise SpecError(f"vector {vector.name}: unknown population {vector.population!r}; accepted: {known}")
            symbol = MatrixSymbol(vector.name, self.sizes[vector.population], vector.columns)
            for name in (vector.name.upper(), vector.name, vector.name.lower(), vector.name.capitalize()):
                self.symbols.setdefault(name, symbol)
        self._check_left_sides()
        for line in self.lines:
            if line.kind in ("flow", "next"):
                self.symbols[line.name] = MatrixSymbol(line.name, self._entries(line.name), 1)

    def equations(self) -> Equations:
        """Return the equations."""
        definitions: list[tuple[MatrixSymbol, MatrixExpr]] = []
        for line in (line for line in self.lines if line.kind == "definition"):
            right = self._right(line)
            self.symbols[line.name] = MatrixSymbol(line.name, *right.shape)
            definitions.append((self.symbols[line.name], right))
        if not definitions or definitions[-1][0].name != self.output:
            # The output may use all definitions, and state equations may use it: it comes last.
            definitions.sort(key=lambda definition: definition[0].name == self.output)
        starts = {line.name: self._right(line) for line in self.lines if line.kind == "initial"}
        states = tuple(
            State(
                self.symbols[line.name],
                self._right(line),
                line.tau if line.kind == "flow" else None,
                starts.get(line.name),
                None if line.name in self.environment else self.of_state.get(line.name, self.populations[0].name),
            )
            for line in self.lines
            if line.kind in ("flow", "next")
        )
        symbol, readout = definitions[-1]
        return Equations(self.vectors, self.inputs, states, symbol, readout, tuple(definitions[:-1]), self.populations)

    def _check_left_sides(self) -> None:
        given = [line.name for line in self.lines if line.kind in ("flow", "next")]
        for line in self.lines:
            same = [
                other
                for other in self.lines
                if other.name == line.name and (other.kind == "initial") == (line.kind == "initial")
            ]
            if len(same) > 1:
                raise error_at(line.text, 0, f"{line.name} has {len(same)} equations; write one")
            if line.kind == "initial" and line.name not in given:
                raise error_at(
                    line.text, 0, f"{line.name} has no equation; write {line.name}' = ... or {line.name}[t+1] = ..."
                )
            if line.kind != "initial" and line.name in self.symbols:
                what = "the input" if line.name == "x" else "a vector"
                raise error_at(
                    line.text, 0, f"{line.name} is {what}, which learning or the task gives; write another name"
                )
        if not given:
            raise SpecError("network.dynamics: no state equation; write for example h' = -h + U*a + M*x")
        if self.output not in [line.name for line in self.lines if line.kind == "definition"]:
            raise SpecError(f"network.dynamics: no read-out; write for example {self.output} = Z.T*phi(h)/N")
        for what, names in (("network.states", self.of_state), ("network.environment", self.environment)):
            for name in names:
                if name not in given:
                    raise SpecError(
                        f"{what}: {name!r} has no equation{nearest(name, given)}; accepted: {listing(given)}"
                    )
        for name in given:
            several = len(self.populations) > 1 and name not in self.environment
            if several and self.of_state.get(name) not in self.sizes:
                found = f"found population {self.of_state[name]!r}" if name in self.of_state else "found no population"
                raise SpecError(f"network.states.{name}: {found}; accepted: {listing(self.sizes)}")

    def _entries(self, name: str) -> sympy.Expr | int:
        if name in self.environment:
            return self.environment[name]
        return self.sizes[self.of_state.get(name, self.populations[0].name)]

    def _right(self, line: _Line) -> MatrixExpr:
        return _Expression(line.text, line.start, self.symbols, self.lines).read()


def _line(text: str) -> _Line:
    if len(text) > MAX_LENGTH:
        raise error_at(text, MAX_LENGTH, f"{len(text)} characters; write at most {MAX_LENGTH} in an equation")
    match = _LINE.match(text)
    if match is None:
        raise error_at(
            text,
            0,
            "no left-hand side; write h' = ..., h[t+1] = ..., h[0] = ..., or a = ... for a definition",
        )
    mark = "".join((match["mark"] or "").split())
    kind = {"'": "flow", "[t+1]": "next", "[0]": "initial", "": "definition"}[mark]
    if match["factor"] and kind != "flow":
        raise error_at(
            text,
            match.start("factor"),
            "a factor on the left; write it on the right, or before a derivative such as 2*h'",
        )
    try:
        tau = sympy.Rational(Fraction(match["factor"] or 1))
    except ZeroDivisionError:
        tau = sympy.Integer(0)
    if tau == 0:
        raise error_at(text, match.start("factor"), "a time constant of zero; write a number above 0")
    return _Line(match["name"], kind, tau, text, match.end())


class _Expression:
    """Builds the matrix expression of one right-hand side."""

    def __init__(self, text: str, start: int, symbols: Mapping[str, MatrixSymbol], lines: Sequence[_Line]) -> None:
        self.text = text
        self.start = start
        self.symbols = symbols
        self.lines = lines

    def read(self) -> MatrixExpr:
        """Return the expression."""
        body = self.text[self.start :]
        for position, character in enumerate(body):
            if not (character.isascii() and (character.isalnum() or character in "+-*/().,[]_ \t")):
                hint = _INSTEAD.get(
                    character, "write hadamard(a, b) for a product entry by entry, and V.T for a transpose"
                )
                raise error_at(self.text, self.start + position, f"the character {character!r} is not accepted; {hint}")
        try:
            tree = ast.parse(f"({body})", mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise error_at(self.text, self.start, f"this is no expression; {_ACCEPTED}") from None
        if sum(isinstance(node, ast.expr) for node in ast.walk(tree)) > MAX_NODES:
            raise error_at(
                self.text, self.start, f"more than {MAX_NODES} names, numbers and operators; write definitions"
            )
        value = self._build(tree, 0)
        if isinstance(value, sympy.Expr) and not isinstance(value, MatrixExpr):
            return self._raised(value, (1, 1))
        return value

    def _fail(self, node: ast.expr, message: str) -> SpecError:
        return error_at(self.text, self.start + node.col_offset - 1, message)

    def _build(self, node: ast.expr, depth: int) -> sympy.Expr:
        """Return a matrix expression, or a plain number (with powers of N)."""
        if depth > MAX_DEPTH:
            raise self._fail(node, f"more than {MAX_DEPTH} nested operations; write definitions")
        match node:
            case ast.Constant(value=value) if type(value) in (int, float):
                return self._number(node)
            case ast.Name(id="N"):
                return N
            case ast.Name(id=name):
                return self._name(node, name)
            case ast.Attribute(value=inner, attr="T"):
                value = self._build(inner, depth + 1)
                if not isinstance(value, MatrixExpr):
                    raise self._fail(node, "the transpose of a number; write V.T for a vector v")
                return value.T
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -1 * self._build(operand, depth + 1)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._build(operand, depth + 1)
            case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
                a, b = self._build(left, depth + 1), self._build(right, depth + 1)
                return self._sum(node, a, b if isinstance(op, ast.Add) else -1 * b)
            case ast.BinOp(left=left, op=ast.Mult() | ast.MatMult(), right=right):
                return self._product(node, self._build(left, depth + 1), self._build(right, depth + 1))
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                divisor = self._build(right, depth + 1)
                if isinstance(divisor, MatrixExpr) or divisor == 0:
                    raise self._fail(
                        right, "a division by something else than a number or N; write for example V.T*phi(h)/N"
                    )
                return self._build(left, depth + 1) / divisor
            case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=int())):
                base, power = self._build(left, depth + 1), self._build(node.right, depth + 1)
                if isinstance(base, MatrixExpr) or power > 9:
                    raise self._fail(node, "a power of a matrix; write hadamard(a, a) for a square entry by entry")
                return base**power
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self._call(node, name, [self._build(argument, depth + 1) for argument in args])
            case ast.List():
                return self._matrix(node)
        raise self._fail(node, f"this is not accepted ({type(node).__name__}); {_ACCEPTED}")

    def _source(self, node: ast.expr) -> str:
        return f"({self.text[self.start :]})"[node.col_offset : node.end_col_offset]

    def _number(self, node: ast.expr) -> sympy.Rational:
        mantissa, _, exponent = self._source(node).lower().partition("e")
        if len(mantissa) > MAX_DIGITS or abs(int(exponent or 0)) > MAX_DIGITS:  # before a number is made of it
            raise self._fail(node, f"a number of more than {MAX_DIGITS} digits; write a shorter one")
        return sympy.Rational(Fraction(self._source(node)))

    def _name(self, node: ast.expr, name: str) -> MatrixExpr:
        if name in self.symbols:
            return self.symbols[name]
        if self.text in [line.text for line in self.lines if line.name == name]:
            raise self._fail(
                node,
                f"{name} on both sides of a definition; write {name}' = ... for a derivative, or {name}[t+1] = ...",
            )
        if name in [line.name for line in self.lines]:
            raise self._fail(node, f"{name} is used before its definition; write its line first")
        known: dict[MatrixSymbol, str] = {}
        for spelling, symbol in self.symbols.items():
            known.setdefault(symbol, spelling)
        raise self._fail(
            node,
            f"unknown name {name!r}{nearest(name, self.symbols)}; give its columns in network.vectors (a full N x N "
            f"matrix does not close: write it as vectors of few columns, U*V.T/N); known: {listing(known.values())}",
        )

    def _sum(self, node: ast.expr, a: sympy.Expr, b: sympy.Expr) -> sympy.Expr:
        if not isinstance(a, MatrixExpr) and not isinstance(b, MatrixExpr):
            return a + b
        if not isinstance(a, MatrixExpr):
            return self._sum(node, b, a)
        if not isinstance(b, MatrixExpr):
            if b == 0:
                return a
            if not _is_short(a) or a.shape[1] != 1:
                raise self._fail(node, "a number added to a column of neurons; write a vector, a bias, with one column")
            b = self._raised(b, a.shape)
        if a.shape != b.shape:
            raise self._fail(node, f"a sum of shapes {_shape(a)} and {_shape(b)}; write a sum of equal shapes")
        return a + b

    def _raised(self, number: sympy.Expr, shape: tuple[int, int]) -> MatrixExpr:
        """Return a column with a number in each entry."""
        return ImmutableDenseMatrix([[number]] * int(shape[0]))

    def _product(self, node: ast.expr, a: sympy.Expr, b: sympy.Expr) -> sympy.Expr:
        if not isinstance(a, MatrixExpr) or not isinstance(b, MatrixExpr):
            return a * b
        if a.shape[1] == b.shape[0]:
            return a * b
        if a.shape == (1, 1) and b.shape[1] == 1:
            return b * a
        if a.shape[1] != 1 or b.shape[1] != 1:
            hint = "write the transpose of one, such as V.T"
        elif a.shape == b.shape and _is_short(a):
            hint = "write hadamard(a, b) for a product entry by entry"
        elif a.shape == b.shape:
            hint = "neuron by neuron it does not close: multiply what vectors read, V.T*phi(h)/N, by hadamard(a, b)"
        else:
            hint = (
                "write brackets for the order of products, and hadamard(a, b) for one entry by entry: U*hadamard(a, b)"
            )
        raise self._fail(node, f"a product of shapes {_shape(a)} and {_shape(b)}; {hint}")

    def _call(self, node: ast.Call, name: str, arguments: list[sympy.Expr]) -> MatrixExpr:
        columns = [a if isinstance(a, MatrixExpr) else self._raised(a, (1, 1)) for a in arguments]
        if name == "hadamard":
            if len(columns) < 2 or len({column.shape for column in columns}) > 1:
                found = " and ".join(_shape(column) for column in columns) or "none"
                short = (
                    "" if all(map(_is_short, columns)) else "; entries of a state without neurons: network.environment"
                )
                raise self._fail(
                    node,
                    f"hadamard takes two or more columns of equal shape, found {found}; write hadamard(a, b){short}",
                )
            return HadamardProduct(*columns)
        if name == "phi" or name in SMOOTH:
            if len(columns) != 1 or columns[0].shape[1] != 1:
                raise self._fail(
                    node, f"{name} takes one column; write for example {name}({'h' if name == 'phi' else 'a'})"
                )
            if name == "phi":
                return phi(columns[0])
            return ElementwiseApplyFunction(Lambda(X, parse_expression(f"{name}(x)")), columns[0])
        accepted = ["phi", "hadamard", *SMOOTH]
        more = "; only smooth functions are accepted" if name in FUNCTIONS else ""
        raise self._fail(
            node, f"unknown function {name!r}{nearest(name, accepted)}{more}; accepted: {listing(accepted)}"
        )

    def _matrix(self, node: ast.List) -> MatrixExpr:
        rows = [row.elts if isinstance(row, ast.List) else [row] for row in node.elts]
        if (
            not rows
            or len({len(row) for row in rows}) != 1
            or not rows[0]
            or max(len(rows), len(rows[0])) > LARGEST_MATRIX
        ):
            raise self._fail(
                node, f"a matrix of rows of unequal or zero length, or beyond {LARGEST_MATRIX}; write [[1, 0], [0, 1]]"
            )
        entries = [[self._build(entry, 1) for entry in row] for row in rows]
        if any(isinstance(entry, MatrixExpr) or entry.has(N) for row in entries for entry in row):
            raise self._fail(node, "a matrix of something else than numbers; write numbers such as [[1, 0.5], [0, 1]]")
        return ImmutableDenseMatrix(entries)


def _is_short(matrix: MatrixExpr) -> bool:
    """Whether a matrix has a number of rows, not one for each neuron."""
    return isinstance(matrix.shape[0], sympy.Integer | int)


def _shape(matrix: MatrixExpr) -> str:
    return f"({matrix.shape[0]}, {matrix.shape[1]})"
