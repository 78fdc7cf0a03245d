"""Networks that few would write: gradients against complex steps, outputs against neurons, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import sympy
from sympy import Identity, MatrixSymbol

from symlow.codegen.emit import compile_module
from symlow.derivation import Derivation
from symlow.equations import Equations, N, Population, State, Vector, phi
from symlow.errors import ClosureError, SpecError
from symlow.initial import overlaps_of_weights, sample_weights
from symlow.nonlinearity import nonlinearity
from symlow.reference import ReferenceModel
from symlow.simulate import FullNetwork
from symlow.span import find_network
from symlow.tasks import build_loss
from tests.conftest import spec
from tests.hand_made import by_hand

VECTORS = (("m", 1, True), ("u", 2, True), ("b", 1, True), ("v", 2, True), ("g", 1, True), ("z", 1, True))
LOOP, OUT = "h' = -h + U*V.T*phi(h)/N + M*x", "y = Z.T*phi(h)/N"
NETWORKS = {
    "what a vector reads of a projection": (LOOP, "y = Z.T*U*(V.T*phi(h)/N)/N + Z.T*phi(h)/N"),
    "a function of the output": ("h' = -h + B*tanh(y) + M*x", OUT),
    "a square": ("h' = -h + B*s*s + M*x", "s = G.T*phi(h)/N", OUT),
    "a scalar after a projection": ("s = sigmoid(x)", "h' = -h + U*V.T*phi(h)/N*s + M*x", OUT),
    "names of what a step computes": (
        "alpha = V.T*phi(h)/N",
        "g = tanh(alpha)",
        "alphabar = sigmoid(g)",
        "h' = -h + U*g + U*alphabar + M*x",
        OUT,
    ),
    "the same at all times": ("c = V.T*phi(B)/N", "s = tanh([1, 2])", "h' = -h + U*hadamard(c, s) + M*x", OUT),
    "one entry, no gate in its loop": ("h' = -h + B*(G.T*phi(h)/N) + M*tanh(x)", OUT),
    "an initial state from overlaps": ("h' = -h + U*V.T*phi(h)/N + M*tanh(G.T*B/N)", "h[0] = B*(G.T*B/N)", OUT),
}


def compiled(network):
    given = spec({"kind": "trials"})
    derivation = Derivation(given, network, build_loss(given))
    return derivation, compile_module(derivation)


@pytest.mark.parametrize("nonlinear", ["linear", "erf"])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_and_output(name, nonlinear):
    lines = NETWORKS[name]
    named = [vector for vector in VECTORS if name != "names of what a step computes" or vector[0] != "g"]
    network = by_hand(lines, named, phi=nonlinear)
    derivation, module = compiled(network)
    rng = np.random.default_rng(0)
    P = rng.standard_normal((20, module.N_COLUMNS))
    sigma = (P.T @ P / len(P))[module._ROWS, module._COLUMNS]
    trials = rng.standard_normal((2, 4, 1)), rng.standard_normal((2, 4, 1)), None
    found = module.loss_gradient(sigma, trials)
    exact = np.imag(module.loss(sigma + 1e-30j * np.eye(len(sigma))[: module.N_VISIBLE], trials)) / 1e-30
    assert np.abs(found - exact).max() <= 1e-12 * np.abs(exact).max()
    places = [0, module.N_VISIBLE // 2]
    reference = ReferenceModel(derivation).gradient(sigma, trials, places)
    assert np.abs(found[places] - reference).max() <= 1e-12 * np.abs(exact).max()
    if nonlinear == "linear":
        x = rng.standard_normal((2, 50, 1))
        expected = FullNetwork(network, "sum_dt", 0.5).outputs(P, x)
        assert np.abs(module.outputs(sigma, x) - expected).max() <= 1e-11 * np.abs(expected).max()


def test_identity_in_a_sum_carries_the_state():
    names = {name: MatrixSymbol(name, N, 1) for name in ("m", "u", "v", "z", "h", "w")}
    m, u, v, z, h, w = names.values()
    x, y = MatrixSymbol("x", 1, 1), MatrixSymbol("y", 1, 1)
    states = (State(h, -h + m * x), State(w, -w + (Identity(N) + u * v.T / N) * h))
    vectors = tuple(Vector(name, 1, sympy.Integer(1), "") for name in "muvz")
    equations = Equations(vectors, x, states, y, z.T * w / N)
    network = find_network(equations, nonlinearity("linear"), sympy.Rational(1, 20), sympy.Integer(1), "after_update")
    assert [latent.vector for latent in network.latents if latent.state == "w"] == ["m", "u"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((LOOP, "h[0] = phi(B)", OUT), "phi acts on h, which is not in the span"),
        ((LOOP, "h[0] = B*(G.T*phi(B)/N)", OUT), "initial state of h: found a projection of phi"),
        ((LOOP, "h[0] = B/N", OUT), "1/N left over"),
        (("h' = -h", OUT), "phi acts on neurons that nothing drives"),
        (("h' = -h + 1e9999999*M*x", OUT), "a number of more than 30 digits"),
    ],
)
def test_what_is_refused(lines, message):
    with pytest.raises((ClosureError, SpecError), match=message):
        by_hand(lines, VECTORS, phi="erf")


def test_ones_in_some_populations():
    half = sympy.Rational(1, 2)
    a, b = Population("a", half, "one"), Population("b", half)
    h, k = MatrixSymbol("ha", a.size, 1), MatrixSymbol("hb", b.size, 1)
    m, z = MatrixSymbol("m", a.size, 1), MatrixSymbol("z", a.size, 1)
    f, q = MatrixSymbol("f", b.size, 1), MatrixSymbol("q", b.size, 1)
    x, y = MatrixSymbol("x", 1, 1), MatrixSymbol("y", 1, 1)
    one = Vector("one", 1, sympy.Integer(0), "", "a")
    vectors = [Vector(n, 1, sympy.Integer(1), "", p) for n, p in (("m", "a"), ("z", "a"), ("f", "b"), ("q", "b"))]
    states = (State(h, -h + m * x, population="a"), State(k, -k + f * x, population="b"))
    readout = z.T * phi(h) / N + q.T * phi(k) / N
    equations = Equations((*vectors, one), x, states, y, readout, populations=(a, b))
    network = find_network(equations, nonlinearity("erf"), sympy.Rational(1, 20), sympy.Integer(1), "after_update")
    derivation, module = compiled(network)
    assert {"m_one", "z_one", "one_one"} <= set(derivation.overlaps)
    assert not any("f_one" in name or "q_one" in name for name in derivation.overlaps)
    sigma = overlaps_of_weights(derivation, sample_weights(derivation, 20, 0.7, 0))
    rng = np.random.default_rng(1)
    trials = rng.standard_normal((2, 6, 1)), rng.standard_normal((2, 6, 1))
    shifted = sigma + 1e-30j * np.eye(len(sigma))[: module.N_VISIBLE]
    exact = np.imag(module.loss(shifted, trials)) / 1e-30
    assert np.abs(module.loss_gradient(sigma, trials) - exact).max() <= 1e-12 * np.abs(exact).max()


def test_a_full_matrix_is_named_with_what_to_do():
    h, J = MatrixSymbol("h", N, 1), MatrixSymbol("J", N, N)
    given = by_hand(("h' = -h + M*x", "y = Z.T*phi(h)/N"), (("m", 1, True), ("z", 1, True))).equations
    state = State(h, given.states[0].right + J * phi(h))
    message = r"the equation of h: the term J does not close: J is a full matrix.*write it as a product of vectors"
    with pytest.raises(ClosureError, match=message):
        find_network(
            dataclasses.replace(given, states=(state,)),
            nonlinearity("tanh"),
            sympy.Rational(1, 20),
            sympy.Integer(1),
            "after_update",
        )
