"""Equations as text: ``h' = -h + U*a + M*x``, ``a = V.T*phi(h)/N``, parsed through a whitelist, never executed."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import sympy
from sympy import (
    HadamardPower,
    HadamardProduct,
    Identity,
    MatAdd,
    MatMul,
    MatrixExpr,
    MatrixSymbol,
    Transpose,
    ZeroMatrix,
)
from sympy.matrices import MatrixBase
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction

from symlow.equations import PHI, Equations, State
from symlow.parser import FUNCTIONS, X, parse_expression


def written(expression: MatrixExpr, equations: Equations | None = None) -> str:
    """Return a matrix expression as a user would write it: ``-h + M*x + U*V.T*phi(h)/N``.

    Args:
        expression: a right-hand side, or a term of one.
        equations: the equations that it belongs to, which tell vectors, written in capitals, from states, and the order
            of terms: states first, then vectors in the order of P. Without them names and order are SymPy's.
    """
    return _sum(expression, equations)


def written_start(state: State, equations: Equations) -> str:
    """Return where a state starts, ``h(0) = S``; 0 where the equations do not say."""
    return f"{state.symbol.name}(0) = {'0' if state.initial is None else written(state.initial, equations)}"


def terms_in_order(expression: MatrixExpr, equations: Equations | None) -> tuple[MatrixExpr, ...]:
    """Return the terms of a sum, those of states first, then by vectors in the order of P, definitions and inputs."""
    terms = tuple(_terms(expression))
    return terms if equations is None else tuple(sorted(terms, key=lambda term: _place(term, _order(equations))))


def factors_in_order(product: HadamardProduct, equations: Equations | None) -> tuple[MatrixExpr, ...]:
    """Return the factors of a product entry by entry, in the same order; SymPy sorts them by its own."""
    if equations is None:
        return tuple(product.args)
    return tuple(sorted(product.args, key=lambda factor: _place(factor, _order(equations))))


def coefficient(term: MatrixExpr) -> tuple[sympy.Expr, tuple[MatrixExpr, ...]]:
    """Return the number in front of a product, powers of N in it, and the factors, those of inner products too."""
    if not isinstance(term, MatMul):
        return sympy.Integer(1), (term,)
    number, factors = term.as_coeff_matrices()
    flat: list[MatrixExpr] = []
    for factor in factors:
        inner, parts = coefficient(factor)
        number, flat = number * inner, [*flat, *parts]
    kept = tuple(factor for factor in flat if not isinstance(factor, Identity))
    return number, kept or tuple(flat[:1])


def function_name(function: sympy.Expr, variable: sympy.Symbol) -> str | None:
    """Return the name of a function of one variable in the language of expressions; None if it has none."""
    return _named_functions().get(function.subs(variable, X))


@functools.cache
def _named_functions() -> dict[sympy.Expr, str]:
    """Return the functions of one variable by their expression in x; of two names the first."""
    singles = [name for name, known in FUNCTIONS.items() if known.least == 1]
    return {parse_expression(f"{name}(x)"): name for name in reversed(singles)}


def is_phi(applied: ElementwiseApplyFunction) -> bool:
    """Whether the function is the nonlinearity of the neurons."""
    return isinstance(applied.function.expr, PHI)


def without_phi(expression: MatrixExpr) -> MatrixExpr:
    """Return an expression with the arguments of phi in its place, as where phi is linear."""
    return expression.replace(
        lambda node: isinstance(node, ElementwiseApplyFunction) and is_phi(node), lambda node: node.expr
    )


def _terms(expression: MatrixExpr) -> Iterator[MatrixExpr]:
    if isinstance(expression, MatAdd):
        for argument in expression.args:
            yield from _terms(argument)
    else:
        yield expression


def _order(equations: Equations) -> dict[str, int]:
    names = [
        *(state.symbol.name for state in equations.states),
        *(vector.name for vector in equations.vectors),
        *(symbol.name for symbol, _ in equations.named),
        equations.inputs.name,
    ]
    return {name: place for place, name in enumerate(names)}


def _place(expression: MatrixExpr, order: dict[str, int]) -> tuple[int, ...]:
    """Return the places of the symbols of an expression, in the order in which one reads them."""
    return tuple(order[name] for name in _read(expression) if name in order)


def _read(expression: MatrixExpr) -> Iterator[str]:
    if isinstance(expression, MatrixSymbol):
        yield expression.name
    elif isinstance(expression, ElementwiseApplyFunction):
        yield from _read(expression.expr)
    elif isinstance(expression, MatrixExpr) and not isinstance(expression, Identity | ZeroMatrix):
        for argument in expression.args:
            if isinstance(argument, MatrixExpr):
                yield from _read(argument)


def _sum(expression: MatrixExpr, equations: Equations | None) -> str:
    return " + ".join(_term(term, equations) for term in terms_in_order(expression, equations)).replace("+ -", "- ")


def _term(term: MatrixExpr, equations: Equations | None) -> str:
    number, factors = coefficient(term)
    sign, number = ("-", -number) if number.as_coeff_Mul()[0].is_negative else ("", number)
    above, below = sympy.fraction(number)
    codes = [] if above == 1 else [f"({above})" if above.is_Add else str(above)]
    ones = codes and all(isinstance(factor, Identity) for factor in factors)
    codes += [] if ones else [_factor(factor, equations) for factor in factors]
    divisor = "" if below == 1 else f"/{below}" if below.is_Atom else f"/({below})"
    return f"{sign}{'*'.join(codes)}{divisor}"


def _factor(factor: MatrixExpr, equations: Equations | None) -> str:
    if isinstance(factor, MatrixSymbol):
        is_vector = equations is not None and factor.name in equations.vector_symbols
        return str(factor.name.upper() if is_vector else factor.name)
    if isinstance(factor, Transpose):
        return f"{_enclosed(factor.arg, equations)}.T"
    if isinstance(factor, ElementwiseApplyFunction):
        return _applied(factor, equations)
    if isinstance(factor, HadamardProduct):
        return f"hadamard({', '.join(_sum(part, equations) for part in factors_in_order(factor, equations))})"
    if isinstance(factor, HadamardPower) and factor.exp.is_Integer and factor.exp > 1:
        return f"hadamard({', '.join([_sum(factor.base, equations)] * int(factor.exp))})"
    if isinstance(factor, MatrixBase):
        return str(factor.flat() if factor.shape[1] == 1 else factor.tolist())  # [0, 1] is a column
    if isinstance(factor, MatAdd):
        return f"({_sum(factor, equations)})"
    if isinstance(factor, Identity | ZeroMatrix):
        return str(int(isinstance(factor, Identity)))
    return str(factor)


def _enclosed(expression: MatrixExpr, equations: Equations | None) -> str:
    code = _sum(expression, equations)
    return code if isinstance(expression, MatrixSymbol) else f"({code})"


def _applied(applied: ElementwiseApplyFunction, equations: Equations | None) -> str:
    """Return a function of a column: by its name, or with the column in the place of the variable."""
    if is_phi(applied):
        return f"phi({_sum(applied.expr, equations)})"
    (variable,) = applied.function.variables
    function = applied.function.expr
    name = function_name(function, variable)
    if name is not None:
        return f"{name}({_sum(applied.expr, equations)})"
    return f"({function_text(function, [(variable, _enclosed(applied.expr, equations))])})"


def function_text(function: sympy.Expr, arguments: Sequence[tuple[sympy.Symbol, str]]) -> str:
    """Return a scalar function with texts in the places of its variables."""
    return str(function.xreplace({variable: sympy.Symbol(text) for variable, text in arguments}))
