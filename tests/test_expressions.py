"""Matrix calculus: adjoints against finite differences, linear coefficients, exact numbers."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
from sympy import Identity, MatrixSymbol

from symlow.expressions import adjoint, exact, linear_coefficients, summands

A, B = MatrixSymbol("A", 2, 3), MatrixSymbol("B", 3, 3)
K = MatrixSymbol("K", 3, 1)
c = sympy.Rational(3, 7)

EXPRESSIONS = [
    A * B,
    c * A * B * A.T,
    A * (B + B.T) * B - 2 * A,
    (A * B).T,
    A * (Identity(3) + c * B) * B.T,
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_adjoint_against_central_differences(expression):
    rng = np.random.default_rng(0)
    values = {A: rng.standard_normal((2, 3)), B: rng.standard_normal((3, 3))}
    Y = MatrixSymbol("Ybar", *expression.shape)
    bar = rng.standard_normal(expression.shape)

    def evaluate(at, target=expression):
        replaced = target.subs({symbol: sympy.ImmutableDenseMatrix(value) for symbol, value in at.items()})
        return np.array(sympy.Matrix(replaced.doit().as_explicit()), dtype=float)

    cotangents = adjoint(expression, Y, [A, B])
    for symbol in (A, B):
        found = evaluate({**values, Y: bar}, cotangents[symbol.name])
        for entry in np.ndindex(*symbol.shape):
            shift = np.zeros(symbol.shape)
            shift[entry] = 1e-5
            above, below = (evaluate({**values, symbol: values[symbol] + sign * shift}) for sign in (1, -1))
            # At most cubic in A or B: central differences of spacing 1e-5 are off by less than 1e-9.
            assert found[entry] == pytest.approx(np.sum(bar * (above - below)) / 2e-5, abs=1e-8)


def test_adjoint_leaves_out_what_is_absent_and_refuses_what_it_does_not_know():
    assert adjoint(A * B, MatrixSymbol("Y", 2, 3), [K]) == {}
    with pytest.raises(TypeError, match="no adjoint rule for HadamardProduct"):
        adjoint(sympy.HadamardProduct(B, B.T), B, [B])
    with pytest.raises(TypeError, match=r"no adjoint rule for the scalar Trace\(B\)"):
        adjoint(sympy.Trace(B) * A, MatrixSymbol("Y", 2, 3), [A, B])


def test_linear_coefficients():
    k, m = MatrixSymbol("k", 3, 1), MatrixSymbol("m", 1, 1)
    M = MatrixSymbol("M", 3, 1)
    coefficients, rest = linear_coefficients(k + c * (B * k - k) + M * m + K, [k, m])
    assert coefficients["k"] == c * B + (1 - c) * Identity(3)
    assert coefficients["m"] == M
    assert rest == K


def test_linear_coefficients_refuse_products_of_variables():
    k = MatrixSymbol("k", 3, 1)
    with pytest.raises(ValueError, match="not linear in k"):
        linear_coefficients(k * k.T * k, [k])
    with pytest.raises(ValueError, match="not linear in k"):
        linear_coefficients(k[0, 0] * k, [k])


def test_exact_reads_decimals():
    assert exact(0.05) == sympy.Rational(1, 20)
    assert exact(1e-7) == sympy.Rational(1, 10**7)
    assert exact(3) == 3


def test_summands_multiply_out():
    assert set(summands(A * (B + 2 * Identity(3)))) == {A * B, 2 * A}
