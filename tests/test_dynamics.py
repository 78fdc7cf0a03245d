"""Equations written with SymPy: the lines of text that they become are those of the same network."""

from __future__ import annotations

import pytest
import sympy
from sympy import ImmutableDenseMatrix, Lambda, Matrix, MatrixSymbol, Symbol, hadamard_product

import symlow
from symlow import N, dynamics, phi
from symlow.dynamics import lines
from symlow.equation_reader import parse_equations
from symlow.errors import SpecError
from tests.architectures import ARCHITECTURES

M, U, V, G, Z = (MatrixSymbol(name, N, k) for name, k in (("M", 1), ("U", 2), ("V", 2), ("G", 2), ("Z", 1)))
h, x = MatrixSymbol("h", N, 1), MatrixSymbol("x", 1, 1)
a, b, c = (MatrixSymbol(name, 2, 1) for name in "abc")
LEAK = -h + M * x
READ = Z.T * phi(h) / N


def sigmoid(column):
    s = Symbol("s")
    return column.applyfunc(Lambda(s, 1 / (1 + sympy.exp(-s))))


def read(written, equations):
    """The equations that the text writes, with the vectors and sizes of others."""
    places = {state.symbol.name: state.population for state in equations.states if state.population is not None}
    environment = {s.symbol.name: int(s.symbol.shape[0]) for s in equations.states if s.population is None}
    inputs = int(equations.inputs.shape[0])
    return parse_equations(written, equations.vectors, inputs, "y", equations.populations, places, environment)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_parts_of_an_architecture_are_written_as_its_equations_are(name, rank):
    equations = ARCHITECTURES[name](rank)
    of_states = {state.symbol: state for state in equations.states}
    written = dynamics(
        {symbol: state.right for symbol, state in of_states.items() if state.tau is not None},
        y=equations.readout,
        definitions=dict(equations.definitions),
        initial={symbol: state.initial for symbol, state in of_states.items() if state.initial is not None},
        time_constants={symbol: state.tau for symbol, state in of_states.items() if state.tau is not None},
        next_values={symbol: state.right for symbol, state in of_states.items() if state.tau is None},
    )
    # Terms are in the order in which equations mention vectors; read with the vectors of P they are in its order.
    assert lines(read(written, equations)) == lines(equations)


def test_a_network_of_low_rank():
    assert dynamics({h: -h + U * V.T * phi(h) / N + M * x}, y=READ) == (
        "h' = -h + M*x + U*V.T*phi(h)/N",
        "y = Z.T*phi(h)/N",
    )


def test_everything_that_can_be_given():
    written = dynamics(
        {h: LEAK + 0.5 * U * hadamard_product(a, b), c: -c + G.T * phi(h) / N},
        y=READ,
        definitions={a: V.T * phi(h) / N, b: sigmoid(c)},
        initial={h: M},
        time_constants={c: 2.5},
    )
    assert written == (
        "h' = -h + M*x + U*hadamard(a, b)/2",
        "h[0] = M",
        "5/2*c' = -c + G.T*phi(h)/N",
        "a = V.T*phi(h)/N",
        "b = sigmoid(c)",
        "y = Z.T*phi(h)/N",
    )


def test_next_values_numbers_and_powers_entry_by_entry():
    step = U * Matrix([[0, -1], [1, 0.5]]) * a + M * x
    written = dynamics(next_values={h: step}, definitions={b: V.T * h, a: hadamard_product(b, b)}, y=Z.T * h)
    assert written == (
        "h[t+1] = M*x + U*[[0, -1], [1, 1/2]]*a",
        "b = V.T*h",
        "a = hadamard(b, b)",
        "y = Z.T*h",
    )


def test_sizes_are_known_by_name():
    """A user's own symbol N, without assumptions, and populations E and I."""
    n = Symbol("N")
    own = MatrixSymbol("h", n, 1)
    assert dynamics({own: -own + MatrixSymbol("M", n, 1) * x}, y=MatrixSymbol("Z", n, 1).T * phi(own) / n) == dynamics(
        {h: LEAK}, y=READ
    )
    hE, hI = (MatrixSymbol(f"h{p}", Symbol(f"N_{p}"), 1) for p in "EI")
    mE, mI, zE, zI = (MatrixSymbol(f"{v}{p}", Symbol(f"N_{p}"), 1) for v in "mz" for p in "EI")
    written = dynamics(
        {hE: -hE + mE * x, hI: -hI + mI * x}, y=zE.T * phi(hE) / N + zI.T * phi(hI) / N, time_constants={hI: 0.5}
    )
    assert written == ("hE' = -hE + ME*x", "1/2*hI' = -hI + MI*x", "y = ZE.T*phi(hE)/N + ZI.T*phi(hI)/N")


def test_a_specification_takes_the_lines():
    spec = symlow.Spec.model_validate(
        {
            "name": "mine",
            "network": {
                "dynamics": dynamics({h: -h + U * V.T * phi(h) / N + M * x}, y=READ),
                "vectors": {"m": 1, "u": 2, "v": 2, "z": 1},
            },
            "task": {"kind": "exponential_filter", "decay": 0.2, "horizon": 2.0},
        }
    )
    low_rank = symlow.Spec.model_validate({"name": "mine", "network": {"rank": 2}, "task": spec.task.model_dump()})
    mine, known = symlow.derive(spec), symlow.derive(low_rank)
    assert mine.visible == known.visible
    assert dict(mine.flow) == dict(known.flow)


def test_what_is_refused_is_named():
    n = MatrixSymbol("W", N, N)
    g = Symbol("g")
    for equations, message in (
        (lambda: dynamics({h: LEAK + n * h}, y=READ), "W: found shape (N, N), a full matrix, which does not close"),
        (lambda: dynamics({h: -h + g * M * x}, y=READ), "equation of h: unknown 'g' in the factor g"),
        (lambda: dynamics({h: -h + sympy.pi * M * x}, y=READ), "found the number pi; accepted: rational numbers"),
        (lambda: dynamics({h: -h + M * x / sympy.sqrt(N)}, y=READ), "unknown function 'sqrt'"),
        (lambda: dynamics({h: LEAK + U * a}, y=READ), "equation of h: unknown 'a'; accepted: M, U, Z, x, h, y"),
        (
            lambda: dynamics({h: LEAK + U * b}, y=READ, definitions={b: 2 * a, a: V.T * h}),
            "equation of b: unknown 'a'; accepted: M, U, V, Z, x, h",
        ),
        (
            lambda: dynamics({h: LEAK + U * a}, y=READ, definitions={a: (V.T * h).applyfunc(lambda s: s**2 + 1)}),
            "equation of a: found the function x**2 + 1 entry by entry; accepted: sigmoid, tanh",
        ),
        (lambda: dynamics({h: LEAK + U * ImmutableDenseMatrix([g, 1])}, y=READ), "unknown 'g' in the factor g"),
        (lambda: dynamics({U: LEAK}, y=READ), "left-hand side: found U of shape (N, 2)"),
        (lambda: dynamics({"h": LEAK}, y=READ), "left-hand side: found 'h'; accepted: a column"),
        (lambda: dynamics({h: LEAK}, y=3), "equation of y: found 3; accepted: a column in SymPy"),
        (lambda: dynamics({h: LEAK}, y=M), "y: found shape (N, 1); accepted: a column of outputs"),
        (lambda: dynamics({h: U}, y=READ), "equation of h: found shape (N, 2); accepted: (N, 1)"),
        (lambda: dynamics(y=READ), "no state equation"),
        (lambda: dynamics({h: LEAK}, y=READ, next_values={h: LEAK}), "state h: found a derivative and a next value"),
        (lambda: dynamics({h: LEAK}, y=READ, initial={a: U}), "initial: found a; accepted: h"),
        (lambda: dynamics(next_values={h: LEAK}, y=READ, time_constants={h: 2}), "time_constants: found h; accepted:"),
        (lambda: dynamics({h: LEAK}, y=READ, time_constants={h: 0}), "time constant of h: found 0; accepted: a"),
        (
            lambda: dynamics({h: LEAK, a: -a}, y=READ, definitions={a: V.T * h}),
            "symbol 'a': another one has the same name",
        ),
        (lambda: dynamics({MatrixSymbol("h", g, 1): M}, y=READ), "h: found g rows; accepted: N, N_E for neurons"),
    ):  # fmt: skip
        with pytest.raises(SpecError) as error:
            equations()
        assert message in str(error.value)
