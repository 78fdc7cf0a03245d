"""Matrix expressions: exact numbers, linear coefficients and the adjoint (reverse-mode derivative).

For a scalar L that depends on matrices X_k through Y = f(X_1, X_2, ...), with cotangents
Xbar_ij = dL/dX_ij, a product Y = c A X B gives

    Xbar = c A^T Ybar B^T,

sums and transposes follow, and a scalar factor of a column has cbar = Ybar^T dY/dc. Structure is kept: a derivative of
a matrix expression is a matrix expression, never a table of scalars, which is what keeps generated code short and
independent of the rank.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sympy
from sympy import MatAdd, MatMul, MatPow, MatrixExpr, MatrixSymbol, Transpose, ZeroMatrix
from sympy.matrices.expressions.special import GenericIdentity, Identity


def exact(value: float) -> sympy.Rational:
    """Return the rational that the shortest decimal form of ``value`` spells: 0.05 is 1/20."""
    return sympy.Rational(repr(value))


def summands(expression: MatrixExpr) -> tuple[MatrixExpr, ...]:
    """Return the terms of an expression multiplied out."""
    expanded = expression.expand().doit()
    return tuple(expanded.args) if isinstance(expanded, MatAdd) else (expanded,)


def factors_of(product: MatrixExpr) -> tuple[sympy.Expr, list[MatrixExpr]]:
    """Return the number in front of a product and its matrices; SymPy writes equal neighbours as a power."""
    number, factors = product.as_coeff_matrices() if isinstance(product, MatMul) else (sympy.Integer(1), [product])
    flat: list[MatrixExpr] = []
    for factor in factors:
        flat += [factor.base] * int(factor.exp) if isinstance(factor, MatPow) else [factor]
    return number, flat


def linear_coefficients(
    expression: MatrixExpr, variables: Sequence[MatrixSymbol]
) -> tuple[dict[str, MatrixExpr], MatrixExpr]:
    """Write ``expression`` as the sum of coefficient * variable, plus a rest that is free of them.

    Args:
        expression: a column, such as the next value of a latent.
        variables: columns in which the expression should be linear.

    Returns:
        The coefficient matrices by the variables' names (absent where zero), and the rest.

    Raises:
        ValueError: if a term is not linear in the variables.
    """
    coefficients: dict[str, MatrixExpr] = {}
    rest: MatrixExpr = ZeroMatrix(*expression.shape)
    for term in summands(expression):
        present = [variable for variable in variables if term.has(variable)]
        if not present:
            rest = rest + term
            continue
        scalar, factors = term.as_coeff_matrices() if isinstance(term, MatMul) else (sympy.Integer(1), [term])
        others = [scalar, *factors[:-1]]
        if len(present) != 1 or factors[-1] != present[0] or any(other.has(present[0]) for other in others):
            raise ValueError(f"the term {term} is not linear in {', '.join(v.name for v in variables)}")
        matrices = factors[:-1] or [Identity(present[0].shape[0])]
        coefficient = MatMul(scalar, *matrices).doit()
        name = present[0].name
        coefficients[name] = coefficients[name] + coefficient if name in coefficients else coefficient
    return {name: value.doit() for name, value in coefficients.items()}, rest.doit()


def adjoint(
    expression: MatrixExpr,
    cotangent: MatrixExpr,
    variables: Iterable[MatrixSymbol],
    scalars: Iterable[sympy.Symbol] = (),
) -> dict[str, MatrixExpr]:
    """Return the cotangents of ``variables`` for the cotangent of ``expression``, by name (absent where zero).

    Args:
        expression: a matrix expression.
        cotangent: dL/d(expression), of its shape.
        variables: the matrices to differentiate by.
        scalars: symbols in scalar factors to differentiate by too; their cotangents are 1 x 1.

    Raises:
        TypeError: for a kind of node that this calculus does not know.
    """
    variables, scalars = tuple(variables), tuple(scalars)
    wanted = {variable.name for variable in variables}
    found: dict[str, MatrixExpr] = {}

    def add(name: str, bar: MatrixExpr) -> None:
        found[name] = found[name] + bar if name in found else bar

    def pull(node: MatrixExpr, bar: MatrixExpr) -> None:
        if isinstance(node, MatrixSymbol):
            if node.name in wanted:
                add(node.name, bar)
        elif isinstance(node, MatAdd):
            for argument in node.args:
                pull(argument, bar)
        elif isinstance(node, MatMul | MatPow):
            scalar, factors = factors_of(node)
            if any(scalar.has(variable) for variable in variables):
                raise TypeError(f"no adjoint rule for the scalar {scalar} in {node}, which depends on the variables")
            for symbol in scalars:
                slope = sympy.diff(scalar, symbol)
                if slope != 0:
                    add(symbol.name, _inner(bar, MatMul(*factors), slope))
            for position, factor in enumerate(factors):
                before = [other.T for other in reversed(factors[:position])]
                after = [other.T for other in reversed(factors[position + 1 :])]
                pull(factor, MatMul(scalar, *before, bar, *after).doit())
        elif isinstance(node, Transpose):
            pull(node.arg, bar.T)
        elif not isinstance(node, Identity | GenericIdentity | ZeroMatrix):
            raise TypeError(f"no adjoint rule for {type(node).__name__}: {node}")

    pull(expression, cotangent)
    return {name: value.doit() for name, value in found.items()}


def _inner(bar: MatrixExpr, column: MatrixExpr, scale: sympy.Expr) -> MatrixExpr:
    """Return scale * bar^T column, 1 x 1, of columns.

    Raises:
        TypeError: for matrices of several columns, whose inner product is a trace.
    """
    if column.shape[1] != 1:
        raise TypeError(f"no adjoint rule for a scalar that multiplies {column}, which is not a column")
    return MatMul(scale, bar.T, column).doit()
