"""Networks written by hand, with other vectors than m, u, v, z: through every stage, and against the full network."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import sympy
from sympy import MatrixSymbol

import symlow
from symlow.errors import SpecError
from symlow.network import Carrier, Network, Projection, Vector
from symlow.nonlinearity import nonlinearity
from symlow.simulate import FullNetwork
from symlow.tasks import build_loss
from symlow.views import DerivedSystem
from tests.conftest import EXPONENTIAL, INTEGRATOR, filters, spec
from tests.test_latex import compile_latex

x = MatrixSymbol("x", 2, 1)
a, b, y = MatrixSymbol("a", 2, 1), MatrixSymbol("b", 1, 1), MatrixSymbol("y", 1, 1)
TASK = filters(1, 2, (EXPONENTIAL, INTEGRATOR), 2.0)


def network(vectors, carriers, projections, reader):
    return Network(
        vectors=tuple(
            Vector(name, columns, sympy.Integer(trained), "a test vector") for name, columns, trained in vectors
        ),
        inputs=x,
        carriers=tuple(Carrier(*carrier) for carrier in carriers),
        projections=tuple(Projection(*projection) for projection in projections),
        output=Projection(y, reader),
        nonlinearity=nonlinearity("linear"),
        dt=sympy.Rational(1, 20),
        tau=sympy.Integer(1),
        readout="after_update",
    )


NETWORKS = {
    # One block is carrier and reader: symmetric connectivity.
    "tied": network(
        [("inp", 2, True), ("rec", 2, True), ("out", 1, True)], [("inp", x), ("rec", a)], [(a, "rec")], "out"
    ),
    # The recurrent vectors come before the input vectors, and a second projection drives a second carrier.
    "two loops": network(
        [("u", 2, True), ("f", 1, True), ("m", 2, False), ("v", 2, True), ("g", 1, True), ("z", 1, True)],
        [("u", a), ("f", 2 * b), ("m", x)],
        [(a, "v"), (b, "g")],
        "z",
    ),
    # Names of one letter that would run into one another, were they joined without a mark.
    "names": network(
        [("a", 2, True), ("ba", 1, True), ("b", 1, True), ("bb", 1, True)], [("a", x), ("ba", b)], [(b, "b")], "bb"
    ),
    # The read-out vector projects the activity that is fed back.
    "output feedback": network([("m", 2, True), ("f", 1, True), ("z", 1, True)], [("m", x), ("f", b)], [(b, "z")], "z"),
}  # fmt: skip


def derivation(name):
    given = spec(TASK, inputs=2)
    return DerivedSystem(given, NETWORKS[name], build_loss(given))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_overlap_has_a_name_of_its_own(name):
    d = derivation(name)
    p = len(d.reduction.index.columns)
    assert len(set(d.overlaps)) == len(d.overlaps) == p * (p + 1) // 2


@pytest.mark.parametrize("name", NETWORKS)
def test_verified_against_the_full_network(name):
    certificate = symlow.verify(derivation(name), neurons=12, steps=3)
    assert certificate.passed, [check for check in certificate.checks if not check.passed]


@pytest.mark.parametrize("name", NETWORKS)
def test_two_hundred_steps_are_exact(name):
    d = derivation(name)
    module, full = d.compile(), FullNetwork(d.network, "sum_dt", 0.5)
    P = np.random.default_rng(0).standard_normal((30, module.N_COLUMNS))
    sigma = (P.T @ P / 30)[module._ROWS, module._COLUMNS]
    for moment in full.train(P, d.loss.impulse_trials(), 0.01, 200):
        assert np.abs(module.gram(sigma) - moment.gram).max() < 1e-11
        sigma = module.step(sigma, 0.01)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("name", NETWORKS)
def test_document_compiles(name, tmp_path):
    code, log = compile_latex(derivation(name).latex(), tmp_path)
    assert code == 0, log[-2000:]
    assert "Overfull" not in log


@pytest.mark.parametrize("name", NETWORKS)
def test_every_overlap_is_explained(name):
    d = derivation(name)
    for overlap in d.overlaps:
        explanation = d.explain(overlap)
        assert explanation.reason
        assert sympy.expand(sympy.Add(*(term.expression for term in explanation.terms)) - d.flow[overlap]) == 0


@pytest.mark.parametrize(("names", "message"), [
    (("m", "M", "z"), "vector 'm': another vector has the same name but for upper and lower case"),
    (("m", "u1", "z"), "vector 'u1': accepted: names of letters"),
    (("in", "u", "z"), "vector 'in': accepted: names of letters that mean nothing in Python"),
    (("w_in", "u", "z"), "vector 'w_in'"),
])  # fmt: skip
def test_names_that_would_collide_are_refused(names, message):
    with pytest.raises(SpecError, match=message):
        network([(name, 2, True) for name in names], [(names[0], x)], [], names[-1])


@pytest.mark.parametrize("drive", [a + MatrixSymbol("one", 2, 1) * b * b, sympy.HadamardProduct(a, a)])
def test_simulator_refuses_drives_that_it_cannot_do(drive):
    drive = drive.subs(MatrixSymbol("one", 2, 1), sympy.ones(2, 1).as_immutable())
    net = network(
        [("m", 2, True), ("u", 2, True), ("v", 2, True), ("g", 1, True), ("z", 1, True)],
        [("m", x), ("u", drive)],
        [(a, "v"), (b, "g")],
        "z",
    )
    with pytest.raises(ValueError, match="is not linear in x, a, b"):
        FullNetwork(net, "sum_dt", 0.5)
