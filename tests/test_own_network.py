"""Networks written by hand, with other vectors than m, u, v, z: through every stage, and against the full network."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import sympy

import symlow
from symlow.errors import SpecError
from symlow.simulate import FullNetwork
from symlow.tasks import build_loss
from symlow.views import DerivedSystem
from tests.conftest import EXPONENTIAL, INTEGRATOR, filters, spec
from tests.hand_made import LINEAR, by_hand, hand_made
from tests.test_latex import compile_latex

TASK = filters(1, 2, (EXPONENTIAL, INTEGRATOR), 2.0)
NETWORKS = {name: hand_made(name) for name in LINEAR}


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
    (("m", "M", "z"), "vector 'm': another one has the same name but for upper and lower case"),
    (("m", "u1", "z"), "vector 'u1': accepted: names of letters"),
    (("in", "u", "z"), "vector 'in': accepted: names of letters that mean nothing in Python"),
    (("np", "u", "z"), "vector 'np': accepted: names of letters that mean nothing in Python"),
    (("a", "u", "z"), "a is a vector, which learning or the task gives; write another name"),
])  # fmt: skip
def test_names_that_would_collide_are_refused(names, message):
    lines = (f"h' = -h + {names[0]}*x + {names[1]}*a", f"a = {names[1]}.T*h/N", f"y = {names[2]}.T*h/N")
    with pytest.raises(SpecError, match=message):
        by_hand(lines, [(name, 1, True) for name in names])
