"""Networks written by hand, with nonlinear neurons and means: gradients, infinite width, and what does not fit."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import sympy
from sympy import MatrixSymbol

from symlow.codegen.emit import compile_module
from symlow.derivation import Derivation
from symlow.equations import N, Population, State, Vector
from symlow.errors import SpecError
from symlow.infinite_width import gaussian_nodes
from symlow.nonlinearity import nonlinearity
from symlow.simulate import FullNetwork
from symlow.span import find_network
from symlow.tasks import build_loss
from tests.conftest import spec
from tests.hand_made import EVERY, hand_made

TRIALS = {"kind": "trials"}


def system(name, phi, readout):
    given = spec(TRIALS, inputs=2)
    derivation = Derivation(given, hand_made(name, phi, readout), build_loss(given))
    return derivation, compile_module(derivation)


def weights(module, means):
    P = np.random.default_rng(0).standard_normal((25, module.N_COLUMNS))
    if means:
        P = P + 0.4
        P[:, -1] = 1
    return P


def data(module):
    rng = np.random.default_rng(1)
    return rng.standard_normal((2, 9, 2)), rng.standard_normal((2, 9, 1)), rng.random((2, 9, 1))


@pytest.mark.parametrize("readout", ["before_update", "after_update", "updated_latents_previous_gain"])
@pytest.mark.parametrize(("name", "phi"), list(itertools.product(EVERY, ["erf", "tanh"])))
def test_gradient_against_complex_steps(name, phi, readout):
    derivation, module = system(name, phi, readout)
    P = weights(module, derivation.network.ones)
    sigma = (P.T @ P / len(P))[module._ROWS, module._COLUMNS]
    shifted = sigma + 1e-30j * np.eye(len(sigma))[: module.N_VISIBLE]
    exact = np.imag(module.loss(shifted, data(module))) / 1e-30
    assert np.abs(module.loss_gradient(sigma, data(module)) - exact).max() <= 1e-11 * np.abs(exact).max()


@pytest.mark.parametrize("name", ["tied", "means", "means, tied", "mean activity fed back", "mean activity read out"])
def test_flow_against_infinite_width(name):
    derivation, module = system(name, "erf", "after_update")
    index, ones = derivation.reduction.index, derivation.network.ones
    P = weights(module, ones)
    gram = P.T @ P / len(P)
    carriers = [k for c in derivation.network.carriers for k in range(index.slice(c).start, index.slice(c).stop)]
    column_of_ones = index.slice(ones[0]).start if ones else None
    nodes, mass = gaussian_nodes(gram, carriers, 24 if len(carriers) > 3 else 32, 2, column_of_ones)
    flow = FullNetwork(derivation.network, "sum_dt", 0.5, mass).flow(nodes, data(module))
    found = module.gram(module.rhs(0.0, gram[module._ROWS, module._COLUMNS], data(module)))
    assert np.abs(found - flow).max() <= 1e-7 * np.abs(flow).max()


def test_name_of_the_input_is_free():
    renamed = {}
    tied = hand_made("tied").equations
    for name in ("x", "alpha", "g", "Delta"):
        x = MatrixSymbol(name, 2, 1)
        states = tuple(dataclasses.replace(s, right=s.right.subs(tied.inputs, x)) for s in tied.states)
        equations = dataclasses.replace(tied, inputs=x, states=states)
        network = find_network(equations, nonlinearity("erf"), sympy.Rational(1, 20), sympy.Integer(1), "after_update")
        given = spec(TRIALS, inputs=2)
        module = compile_module(Derivation(given, network, build_loss(given)))
        P = weights(module, False)
        renamed[name] = module.loss_gradient((P.T @ P / 25)[module._ROWS, module._COLUMNS], data(module))
    assert all(np.array_equal(gradient, renamed["x"]) for gradient in renamed.values())


GOOD = hand_made("means", "erf").equations
h, x = GOOD.states[0].symbol, GOOD.inputs
M, Z = (GOOD.vector_symbols[name] for name in "mz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"states": ()}, "no state equation; accepted: at least one"),
        ({"states": (State(h, -h + MatrixSymbol("q", N, 2) * x),)}, "equation of h: unknown 'q'; accepted: m, u, v, z"),
        ({"states": (State(h, x),)}, r"equation of h: found shape \(2, 1\); accepted: \(N, 1\)"),
        ({"readout": M.T * h / N}, r"equation of y: found shape \(2, 1\); accepted: \(1, 1\)"),
        ({"populations": (Population(ones="z"),)}, "vector 'z': accepted: ones as a vector of one column, not trained"),
        ({"populations": (Population(ones="nought"),)}, "vector 'nought': accepted: ones"),
        (
            {"vectors": (*GOOD.vectors[:-1], Vector("one", 1, sympy.Integer(1), ""))},
            "vector 'one': accepted: ones as a vector of one column",
        ),
        ({"populations": (Population(weight=sympy.Integer(0)),)}, "found weight 0; accepted: more than 0"),
        ({"states": (State(h, -h, population="e"),)}, "unknown population 'e'"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, message):
    with pytest.raises(SpecError, match=message):
        dataclasses.replace(GOOD, **change)
