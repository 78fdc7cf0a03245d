"""Networks written by hand, with nonlinear neurons and means: gradients, infinite width, and what does not fit."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from sympy import Identity, Integer, MatrixSymbol

from symlow.codegen.emit import compile_module
from symlow.derivation import Derivation
from symlow.errors import SpecError
from symlow.infinite_width import gaussian_nodes
from symlow.network import Carrier, Projection, Vector
from symlow.nonlinearity import nonlinearity
from symlow.simulate import FullNetwork
from symlow.tasks import build_loss
from tests.conftest import spec
from tests.test_own_network import NETWORKS, a, b, network, x, y

ONE = ("one", 1, False)
INPUT, LOOP, READ = ("m", 2, True), ("u", 1, True), ("z", 1, True)
TRIALS = {"kind": "trials"}


def with_means(vectors, carriers, projections, reader):
    return dataclasses.replace(network([*vectors, ONE], carriers, projections, reader), ones="one")


EVERY = {
    **NETWORKS,
    "nothing fed back": network([INPUT, READ], [("m", x)], [], "z"),
    "bias alone": network([("c", 1, True), READ], [("c", Identity(1))], [], "z"),
    "coupled loops": network(
        [("u", 2, True), ("f", 1, True), ("v", 2, True), ("g", 1, True), READ],
        [("u", 3 * a), ("f", 2 * b)],
        [(a, "v"), (b, "g")],
        "z",
    ),
    "means": with_means([INPUT, LOOP, ("v", 1, True), READ], [("m", x), ("u", b)], [(b, "v")], "z"),
    "means, tied": with_means([INPUT, LOOP], [("m", x), ("u", b)], [(b, "u")], "u"),
    "mean activity fed back": with_means([INPUT, LOOP, READ], [("m", x), ("u", b)], [(b, "one")], "z"),
    "mean activity read out": with_means(
        [INPUT, ("u", 1, True), ("v", 1, True)], [("m", x), ("u", b)], [(b, "v")], "one"
    ),
}  # fmt: skip


def system(name, phi, readout):
    net = dataclasses.replace(EVERY[name], nonlinearity=nonlinearity(phi), readout=readout)
    given = spec(TRIALS, inputs=2)
    derivation = Derivation(given, net, build_loss(given))
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
    carriers = [k for c in derivation.reduction.latents for k in range(index.slice(c).start, index.slice(c).stop)]
    column_of_ones = index.slice(ones).start if ones else None
    nodes, mass = gaussian_nodes(gram, carriers, 24 if len(carriers) > 3 else 32, 2, column_of_ones)
    flow = FullNetwork(derivation.network, "sum_dt", 0.5, mass).flow(nodes, data(module))
    found = module.gram(module.rhs(0.0, gram[module._ROWS, module._COLUMNS], data(module)))
    assert np.abs(found - flow).max() <= 1e-7 * np.abs(flow).max()


def test_name_of_the_input_is_free():
    renamed = {}
    for name in ("x", "alpha", "g", "Delta"):
        inputs = MatrixSymbol(name, 2, 1)
        net = dataclasses.replace(
            NETWORKS["tied"],
            inputs=inputs,
            carriers=(Carrier("inp", inputs), Carrier("rec", a)),
            nonlinearity=nonlinearity("erf"),
        )
        given = spec(TRIALS, inputs=2)
        module = compile_module(Derivation(given, net, build_loss(given)))
        P = weights(module, False)
        renamed[name] = module.loss_gradient((P.T @ P / 25)[module._ROWS, module._COLUMNS], data(module))
    assert all(np.array_equal(gradient, renamed["x"]) for gradient in renamed.values())


GOOD = EVERY["means"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"carriers": ()}, "at least one carrier"),
        ({"carriers": (Carrier("m", x), Carrier("m", x))}, "each of them once; add up the drives"),
        ({"carriers": (Carrier("q", x),)}, "unknown vector 'q'; accepted: m, u, v, z, one"),
        ({"carriers": (Carrier("m", MatrixSymbol("w", 2, 1)),)}, "drive of m: found w; accepted: inputs and"),
        ({"carriers": (Carrier("u", x),)}, r"drive of u: found shape \(2, 1\); accepted: \(1, 1\)"),
        ({"output": Projection(y, "m")}, r"projection y: found shape \(1, 1\); accepted: \(2, 1\)"),
        ({"projections": (Projection(b, "w"),)}, "unknown vector 'w'"),
        ({"ones": "z"}, "vector 'z': accepted: ones as the last vector, of one column, not trained"),
        ({"ones": "nought"}, "unknown vector 'nought'"),
        (
            {"vectors": (*GOOD.vectors[:-1], Vector("one", 1, Integer(1), ""))},
            "vector 'one': accepted: ones as the last",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, message):
    with pytest.raises(SpecError, match=message):
        dataclasses.replace(GOOD, **change)


def test_names_of_generated_code_are_refused():
    with pytest.raises(SpecError, match="vector 'np': accepted: names of letters that mean nothing in Python"):
        network([("m", 2, True), ("np", 1, True)], [("m", x)], [], "np")
