"""The code of kernels as JavaScript: the same syntax trees, hence the same operations in the same order.

    s[3, b] = ALPHA * f_1 + np.sqrt(Delta)**3     becomes     s[3] = ALPHA * f_1 + power(Math.sqrt(Delta), 3);

Kernels are lowered once, to Python expressions of numbers; a second lowering for JavaScript could come to differ from
it. What changes is how powers, functions and declarations are written. Lanes are left out: one trial is stepped at a
time.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator

from symlow.codegen.layout import code
from symlow.codegen.statements import Statement

FUNCTIONS = {
    "np.sqrt": "Math.sqrt",
    "np.exp": "Math.exp",
    "np.log": "Math.log",
    "np.sin": "Math.sin",
    "np.cos": "Math.cos",
    "np.sinh": "Math.sinh",
    "np.cosh": "Math.cosh",
    "np.tanh": "Math.tanh",
    "np.arctan": "Math.atan",
    "np.arcsinh": "Math.asinh",
    "np.sign": "Math.sign",
}
"""Functions of NumPy that expressions contain, as JavaScript names them; others keep their names."""

SIGNS = {ast.Add: ("+", 1), ast.Sub: ("-", 1), ast.Mult: ("*", 2), ast.Div: ("/", 2)}
"""How operations are written, and how strongly they bind."""

NEGATIVE, WHOLE = 3, 4
"""How strongly a negative and what is written in one piece bind."""


def javascript(expression: str) -> str:
    """Return a Python expression of numbers as JavaScript.

    Raises:
        ValueError: for syntax that lowered code does not contain.
    """
    return _written(ast.parse(expression, mode="eval").body)[0]


def declared(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """Return statements of a kernel in JavaScript, each variable declared where it is first assigned.

    Variables that are only added to are declared before, where they are read from their rows.
    """
    statements = tuple(statements)
    times = Counter(statement.target for statement in statements if not statement.index)
    begun: dict[str, None] = {}
    lines = []
    for statement in statements:
        target, index = statement.target, statement.index.split(",")[0]
        if not index and target not in begun and not statement.adds:
            begun[target] = None
            target = f"{'const' if times[target] == 1 else 'let'} {target}"
        lines.append(Statement(target, javascript(statement.value), index, statement.adds))
    return tuple(lines)


def line(statement: Statement | str, indent: int) -> str:
    """Return a statement of JavaScript, or an expression that is returned, in lines of bounded width."""
    return f"{code(statement, indent)};"


def _written(node: ast.expr) -> tuple[str, int]:
    """Return the code of a node, and how strongly it binds."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return repr(value), WHOLE
        case ast.Name(id=name):
            return name, WHOLE
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Tuple(elts=[ast.Constant(value=int() as row), *_])):
            return f"{name}[{row}]", WHOLE
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"-{_bracketed(operand, WHOLE)}", NEGATIVE
        case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
            return _power(base, exponent)
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in SIGNS:
            sign, strength = SIGNS[type(operation)]
            # Operations group to the left: what stands to the right of a sign binds more strongly, or in brackets.
            return f"{_bracketed(left, strength)} {sign} {_bracketed(right, strength + 1)}", strength
        case ast.Call(func=function, args=arguments, keywords=[]):
            name = ast.unparse(function)
            return f"{FUNCTIONS.get(name, name)}({', '.join(_arguments(arguments))})", WHOLE
    raise ValueError(f"no JavaScript is known for {ast.unparse(node)!r}")


def _bracketed(node: ast.expr, strength: int) -> str:
    """Return the code of a node, in brackets if it binds less strongly."""
    text, own = _written(node)
    return text if own >= strength else f"({text})"


def _power(base: ast.expr, exponent: ast.expr) -> tuple[str, int]:
    """Return a power: products of a name with itself, for Math.pow is slower and rounds otherwise."""
    text, _ = _written(base)
    match exponent:
        case ast.Constant(value=int() as times) if isinstance(base, ast.Name) and 1 < times < 5:
            return f"({' * '.join([text] * times)})", WHOLE
        case ast.Constant(value=int() as times):
            return f"power({text}, {times})", WHOLE
    return f"Math.pow({text}, {_written(exponent)[0]})", WHOLE


def _arguments(nodes: Iterable[ast.expr]) -> Iterator[str]:
    return (_written(node)[0] for node in nodes)
