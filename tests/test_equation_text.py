"""Equations as text: as a user would type them, in a fixed order, and read back as the same network."""

from __future__ import annotations

import pytest
import sympy
from sympy import HadamardProduct, ImmutableDenseMatrix, Lambda, MatrixSymbol

from symlow.dynamics import lines
from symlow.equation_reader import parse_equations
from symlow.equation_text import written
from symlow.equations import Equations, N, phi
from symlow.nonlinearity import nonlinearity
from symlow.reduction import Reduction
from symlow.span import find_network
from tests.architectures import ARCHITECTURES, LINEAR, H, X

U, V, M = MatrixSymbol("u", N, 2), MatrixSymbol("v", N, 2), MatrixSymbol("m", N, 1)
A, S = MatrixSymbol("a", 2, 1), sympy.Symbol("s")


def read_back(equations: Equations) -> Equations:
    environment = {s.symbol.name: int(s.symbol.shape[0]) for s in equations.states if s.population is None}
    places = {state.symbol.name: state.population for state in equations.states if state.population}
    return parse_equations(
        lines(equations),
        equations.vectors,
        int(equations.inputs.shape[0]),
        populations=equations.populations,
        states=places,
        environment=environment,
    )


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_is_written_reads_back_as_the_same_network(name, rank):
    equations = ARCHITECTURES[name](rank)
    phi_of_network = nonlinearity("linear" if name in LINEAR else "tanh")
    first, second = (
        Reduction(find_network(one, phi_of_network, sympy.Rational(1, 10), sympy.S.One, "after_update"))
        for one in (equations, read_back(equations))
    )
    assert (second.step, second.output, second.initial) == (first.step, first.output, first.initial)
    assert second.nodes == first.nodes
    assert second.network.constants == first.network.constants
    assert lines(read_back(equations)) == lines(equations)


@pytest.mark.parametrize(("expression", "text"), [
    (M * X + U * V.T * phi(H) / N - H, "-h + m*x + u*v.T*phi(h)/N"),
    (U * HadamardProduct(2 * A, V.T * H / N), "u*hadamard(2*a, v.T*h/N)"),
    (U * (A + V.T * H / (2 * N)) / 3, "u*(v.T*h/(2*N) + a)/3"),
    (-U * A / 2, "-u*a/2"),
    (U * (A.applyfunc(Lambda(S, sympy.tanh(S)))), "u*tanh(a)"),
    ((2 * A).applyfunc(Lambda(S, 1 / (1 + sympy.exp(-S)))), "sigmoid(2*a)"),
    (A.applyfunc(Lambda(S, S**2 + 1)), "(a**2 + 1)"),
    (U * ImmutableDenseMatrix([[1, sympy.Rational(1, 2)], [0, -1]]) * A, "u*[[1, 1/2], [0, -1]]*a"),
    (U * ImmutableDenseMatrix([1, 2]), "u*[1, 2]"),
    ((U * V.T / N).T * H, "v*u.T*h/N"),
])  # fmt: skip
def test_forms(expression, text):
    assert written(expression) == text


def test_vectors_are_capitals_and_terms_in_the_order_of_p():
    equations = ARCHITECTURES["bias"]()
    assert written(equations.states[0].right, equations) == "-h + M*x + U*a + B"
    two = ARCHITECTURES["two populations"]()
    assert [written(state.right, two) for state in two.states] == ["-he + ME*x + UE*a", "-hi + MI*x + UI*a"]
