"""The Gram flow: the published equations, a second derivation over neurons, the metric, finite steps."""

from __future__ import annotations

import pytest
import sympy
from sympy import MatrixSymbol

from symlow.learning import LR
from tests.conftest import EXPONENTIAL, derived, filters
from tests.published import RANK1, RANK1_NONLINEAR, RANK2


def published(expression: str) -> sympy.Expr:
    names = {str(s): s for s in sympy.sympify(expression).free_symbols}
    overlaps = {symbol: sympy.Symbol(f"sigma_{name}") for name, symbol in names.items() if not name.startswith("g_")}
    return -sympy.sympify(expression).subs(overlaps, simultaneous=True)


TRIALS = {"kind": "trials"}


@pytest.mark.parametrize(
    ("network", "equations"),
    [
        ({"rank": 1}, RANK1),
        ({"rank": 2}, RANK2),
        ({"rank": 1, "nonlinearity": "erf", "task": TRIALS}, RANK1_NONLINEAR),
        ({"rank": 1, "nonlinearity": "tanh", "task": TRIALS}, RANK1_NONLINEAR),
    ],
)
def test_flow_is_the_published_one(network, equations):
    d = derived(**network)
    assert set(d.overlaps) == set(equations)
    for name, expression in equations.items():
        assert sympy.expand(d.flow[name] - published(expression)) == 0, name


def test_overlaps_of_carriers_are_visible_in_a_nonlinear_network():
    d = derived(TRIALS, nonlinearity="erf")
    assert d.visible == ("z_m", "z_u", "v_m", "v_u", "m_u", "m_m", "u_u")
    assert d.invisible == ("z_v", "v_v", "z_z")
    assert d.metric.shape == (10, 7)


SHAPES = [
    {"rank": 1},
    {"rank": 1, "nonlinearity": "erf", "task": TRIALS},
    {"rank": 1, "nonlinearity": "relu", "means": True, "bias": True, "task": TRIALS, "frozen": ("z",)},
    {"rank": 2},
    {"rank": 1, "inputs": 2, "task": filters(1, 2, (EXPONENTIAL,))},
    {"rank": 1, "outputs": 2, "task": filters(2, 1, (EXPONENTIAL,)), "frozen": ("m", "z")},
]


def over_neurons(d, neurons=2):
    """The weights of a network of a few neurons as symbols, and the substitution of its overlaps."""
    p = len(d.reduction.index.columns)
    P = sympy.Matrix(neurons, p, lambda n, k: sympy.Symbol(f"P{n}_{k}"))
    gram = (P.T * P) / neurons
    return P, {o.symbol: gram[o.row, o.column] for o in d.reduction.index.all}


@pytest.mark.parametrize("shape", SHAPES)
def test_flow_follows_from_the_chain_rule_over_neurons(shape):
    # A second derivation, that knows no Gram matrix: dP/dt = -N dL/dP by the chain rule, then d sigma/dt by it again.
    d = derived(**shape)
    P, overlaps = over_neurons(d)
    loss_gradient = {symbol: d.gradient_symbols[name] for name, symbol in d.symbols.items() if name in d.visible}
    velocity = P.applyfunc(
        lambda w: -P.rows * sum((g * sympy.diff(overlaps[s], w) for s, g in loss_gradient.items()), sympy.Integer(0))
    )
    for column, rate in enumerate(d.learning.rates):
        velocity[:, column] *= rate
    for name, symbol in d.symbols.items():
        rate = sum(sympy.diff(overlaps[symbol], w) * v for w, v in zip(P, velocity, strict=True))
        assert sympy.expand(rate - d.flow[name].subs(overlaps)) == 0, name


@pytest.mark.parametrize("shape", SHAPES)
def test_finite_step_is_the_overlap_of_the_stepped_weights(shape):
    d = derived(**shape)
    P, overlaps = over_neurons(d)
    S = sympy.zeros(P.cols, P.cols)
    for name in d.visible:
        o = d.reduction.index[name]
        S[o.row, o.column] = S[o.column, o.row] = d.gradient_symbols[name] / (1 if o.is_norm else 2)
    stepped = P * (sympy.eye(P.cols) - 2 * LR * S * sympy.diag(*d.learning.rates))
    gram = stepped.T * stepped / P.rows
    for name in (d.overlaps[0], d.overlaps[3], d.overlaps[-1], "m_u" if "m_u" in d.overlaps else d.overlaps[5]):
        o = d.reduction.index[name]
        assert sympy.expand(gram[o.row, o.column] - d.finite_step[name].subs(overlaps)) == 0, name


@pytest.mark.parametrize("shape", SHAPES)
def test_metric_times_gradient_is_minus_the_flow(shape):
    d = derived(**shape)
    gradient = sympy.Matrix([d.gradient_symbols[name] for name in d.visible])
    assert d.metric.shape == (len(d.overlaps), len(d.visible))
    for name, value in zip(d.overlaps, d.metric * gradient, strict=True):
        assert sympy.expand(value + d.flow[name]) == 0


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if "nonlinearity" not in shape])
def test_linear_metric_is_off_diagonal_in_visibility(shape):
    # Visible rows contain invisible overlaps only, and the other way round (Ger & Barak 2026, fig. 11).
    d = derived(**shape)
    visible = {d.symbols[name] for name in d.visible}
    invisible = {d.symbols[name] for name in d.invisible}
    assert d.metric.visible_block.free_symbols <= invisible
    assert d.metric.invisible_block.free_symbols <= visible
    assert d.metric.visible_block.is_symmetric()


@pytest.mark.parametrize("shape", [{"rank": 3}, *SHAPES])
def test_block_flow_has_the_scalar_flow_as_entries(shape):
    d = derived(**shape)
    index = d.reduction.index
    for (left, right), expression in d.block_flow.items():
        values = {symbol: index.explicit(*pair) for pair, symbol in index.blocks.items()}
        for (a, b), symbol in d.learning.visible_blocks.items():
            values[symbol] = index.explicit(a, b).applyfunc(lambda s: symmetric_gradient(index, s)).as_immutable()
        explicit = sympy.Matrix(expression.subs(values).doit().as_explicit())
        for (i, j), symbol in _entries(index.explicit(left, right)):
            assert sympy.expand(explicit[i, j] - d.flow[symbol.name.removeprefix("sigma_")]) == 0, symbol


def symmetric_gradient(index, symbol):
    overlap = index[symbol.name.removeprefix("sigma_")]
    return overlap.gradient_symbol / (1 if overlap.is_norm else 2)


def _entries(matrix):
    return [((i, j), matrix[i, j]) for i in range(matrix.rows) for j in range(matrix.cols)]


def test_overlaps_of_frozen_vectors_are_constant():
    d = derived(frozen=("m", "z"))
    assert [name for name in d.overlaps if d.flow[name] == 0] == ["z_m", "m_m", "z_z"]
    assert d.finite_step["z_m"] == d.symbols["z_m"]


def test_loss_adjoint_keeps_the_blocks():
    d = derived(rank=3)
    dt, tau = sympy.Symbol("dt", positive=True), sympy.Symbol("tau", positive=True)
    assert d.loss_adjoint["Sigma_v_u"] == dt / tau * MatrixSymbol("Abar_u_u", 3, 3)
    assert d.loss_adjoint["Sigma_z_u"] == MatrixSymbol("Cbar_u", 1, 3)
    assert set(d.loss_adjoint) == {"Sigma_z_m", "Sigma_z_u", "Sigma_v_m", "Sigma_v_u"}
