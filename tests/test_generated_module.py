"""The generated NumPy module: its surface, the closed-form loss, broadcasting, errors, determinism."""

from __future__ import annotations

import ast
import inspect
import math
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import hadamard

import symlow
from symlow.errors import UnknownNameError
from tests.conftest import (
    EXPONENTIAL,
    INTEGRATOR,
    NO_RESPONSE,
    OSCILLATION,
    compiled,
    derived,
    filters,
    random_trials,
    spec,
    states,
    weights,
)
from tests.test_realise import system

SYSTEMS = [
    {"rank": 1, "task": {**EXPONENTIAL, "horizon": 20.0}},
    {"rank": 2, "task": {**OSCILLATION, "horizon": 5.0}, "readout": "before_update"},
    {"rank": 3, "inputs": 2, "outputs": 2, "task": filters(2, 2, (EXPONENTIAL, OSCILLATION, INTEGRATOR, NO_RESPONSE))},
    {"rank": 4, "inputs": 1, "outputs": 2, "task": filters(2, 1, (INTEGRATOR, OSCILLATION), 6.35), "tau": 2.0},
    {"rank": 1, "task": {**INTEGRATOR, "horizon": 0.05}},
]


@pytest.mark.parametrize("system", SYSTEMS)
def test_closed_form_equals_the_stepped_loss_and_gradient(system):
    d, module = derived(**system), compiled(**system)
    sigma, trials = states(module, 5), derived(**system).loss.impulse_trials()
    assert module.loss(sigma) == pytest.approx(module.loss(sigma, trials), rel=1e-10)
    closed, stepped = module.loss_gradient(sigma), module.loss_gradient(sigma, trials)
    assert closed.shape == (5, len(d.visible))
    assert np.abs(closed - stepped).max() <= 1e-10 * np.abs(stepped).max()


@pytest.mark.parametrize("system", SYSTEMS[:4])
def test_gradient_against_complex_steps(system):
    module = compiled(**system)
    sigma = states(module, 2)
    shifted = sigma[:, None] + 1e-30j * np.eye(len(module.OVERLAPS))
    derivative = np.imag(module.loss(shifted)) / 1e-30
    assert np.abs(derivative[:, module.N_VISIBLE :]).max() == 0
    error = np.abs(derivative[:, : module.N_VISIBLE] - module.loss_gradient(sigma)).max()
    assert error <= 1e-12 * np.abs(derivative).max()


@pytest.mark.parametrize("eigenvalue", [1.0, 1.0 + 1e-9, 1.4, -0.5])
def test_finite_horizon_holds_for_marginal_and_unstable_dynamics(eigenvalue):
    # The eigenvalue 1 is where an integrator ends; a tail subtracted from a Stein solution is singular there.
    system = {"rank": 2, "task": {**INTEGRATOR, "horizon": 10.0}}
    d, module = derived(**system), compiled(**system)
    sigma = states(module, 1)[0]
    for name, number in (("v1_u1", eigenvalue), ("v1_u2", 0.0), ("v2_u1", 0.0), ("v2_u2", eigenvalue)):
        sigma[d.overlaps.index(name)] = number
    trials = d.loss.impulse_trials()
    assert module.loss(sigma) == pytest.approx(module.loss(sigma, trials), rel=1e-10)
    closed, stepped = module.loss_gradient(sigma), module.loss_gradient(sigma, trials)
    assert np.abs(closed - stepped).max() <= 1e-10 * np.abs(stepped).max()


def test_infinite_horizon_is_the_limit_of_long_ones_and_inf_beyond_stability():
    task = {**EXPONENTIAL, "horizon": math.inf}
    d, module = derived(task, rank=2), compiled(task, rank=2)
    sigma = states(module, 4)
    sigma[1, d.overlaps.index("v1_u1")] = 1.5
    sigma[2] = 0.0
    long = compiled({**EXPONENTIAL, "horizon": 200.0}, rank=2)
    decaying = np.array([True, False, True, True])
    loss, gradient = module.loss(sigma), module.loss_gradient(sigma)
    assert np.array_equal(np.isinf(loss), ~decaying)
    assert np.array_equal(np.isnan(gradient).any(axis=-1), ~decaying)
    assert loss[decaying] == pytest.approx(long.loss(sigma[decaying]), rel=1e-10)
    assert gradient[decaying] == pytest.approx(long.loss_gradient(sigma[decaying]), rel=1e-9, abs=1e-12)
    assert float(module.loss(sigma[1])) == math.inf


@pytest.mark.parametrize("readout", ["after_update", "before_update"])
@pytest.mark.parametrize(("rank", "inputs", "outputs"), [(1, 1, 1), (2, 2, 1), (3, 1, 2), (4, 2, 2)])
def test_infinite_horizon_equals_the_stepped_loss(rank, inputs, outputs, readout):
    shape = {"rank": rank, "inputs": inputs, "outputs": outputs, "readout": readout}
    task = filters(outputs, inputs, (EXPONENTIAL, OSCILLATION, NO_RESPONSE), math.inf)
    d, module = derived(task, **shape), compiled(task, **shape)
    sigma, trials = states(module, 3, neurons=200), d.loss.impulse_trials(2000)
    assert module.loss(sigma) == pytest.approx(module.loss(sigma, trials), rel=1e-10)
    closed, stepped = module.loss_gradient(sigma), module.loss_gradient(sigma, trials)
    assert np.abs(closed - stepped).max() <= 1e-10 * np.abs(stepped).max()
    rows = np.stack([module.loss_gradient(row) for row in sigma])
    assert np.abs(closed - rows).max() <= 1e-13 * np.abs(rows).max()


def test_nan_in_nan_out():
    for horizon in (5.0, math.inf):
        module = compiled({**EXPONENTIAL, "horizon": horizon})
        sigma = np.stack([states(module, 1)[0], np.full(10, np.nan)])
        assert np.array_equal(np.isnan(module.loss(sigma)), [False, True])
        assert np.array_equal(np.isnan(module.rhs(0.0, sigma)).all(axis=-1), [False, True])


def test_integrator_over_an_infinite_horizon_is_inf_everywhere():
    module = compiled({**INTEGRATOR, "horizon": math.inf})
    assert np.isinf(module.loss(states(module, 3))).all()


@pytest.mark.parametrize("readout", ["after_update", "before_update"])
def test_white_noise_and_impulses_have_the_same_loss(readout):
    # An ensemble whose second moment is exactly that of white noise: the rows of an orthogonal matrix. No sampling.
    task = {**filters(1, 2, (EXPONENTIAL, OSCILLATION), 3.2), "drive": "white_noise"}
    shape = {"inputs": 2, "dt": 0.1, "readout": readout}
    d, module = derived(task, **shape), compiled(task, **shape)
    steps = d.loss.steps
    noise = hadamard(2 * steps).astype(float).reshape(2 * steps, steps, 2) / math.sqrt(0.1)
    sigma = states(module, 3)
    noise_loss = module.loss(sigma, d.loss.noise_trials(noise))
    assert noise_loss == pytest.approx(module.loss(sigma), rel=1e-10)


@pytest.mark.parametrize("task", [{**EXPONENTIAL, "horizon": 5.0}, {"kind": "trials"}])
def test_a_thousand_states_at_once_are_a_loop_over_rows(task):
    d, module = derived(task, rank=2), compiled(task, rank=2)
    trials = random_trials(d) if task["kind"] == "trials" else None
    sigma = states(module, 1000)
    for function in (
        lambda s: module.loss(s, trials),
        lambda s: module.loss_gradient(s, trials),
        lambda s: module.rhs(0.0, s, trials),
        lambda s: module.step(s, 0.01, trials),
    ):
        rows = np.stack([function(row) for row in sigma])
        assert np.abs(function(sigma) - rows).max() <= 1e-13 * np.abs(rows).max()
    assert module.loss(sigma.reshape(10, 100, -1), trials).shape == (10, 100)
    assert module.outputs(sigma[:6].reshape(2, 3, -1), np.ones((4, 7, 1))).shape == (2, 3, 4, 7, 1)


def test_step_takes_a_learning_rate_for_each_state():
    module = compiled(rank=2)
    sigma, rates = states(module, 3), np.array([0.0, 0.01, 0.1])
    together = module.step(sigma, rates)
    assert np.array_equal(together[0], sigma[0])
    for row, rate, state in zip(together, rates, sigma, strict=True):
        assert row == pytest.approx(module.step(state, rate), rel=1e-13)


def test_rhs_runs_in_solve_ivp():
    module = compiled()
    start = states(module, 1)[0]
    solution = solve_ivp(module.rhs, (0.0, 1.0), start, rtol=1e-8)
    assert solution.success
    assert module.loss(solution.y[:, -1]) < module.loss(start)


@pytest.mark.parametrize("reduction", ["sum_dt", "masked_mean"])
def test_trials_loss_is_its_definition(reduction):
    task = {"kind": "trials", "loss": {"reduction": reduction, "factor": 1.5}}
    d, module = derived(task, rank=2, inputs=2), compiled(task, rank=2, inputs=2)
    sigma = states(module, 1)[0]
    x, y, mask = random_trials(d)
    squares = (module.outputs(sigma, x) - y) ** 2
    for weight in (mask, None):
        w = np.ones_like(y) if weight is None else weight
        expected = np.sum(w * squares) * 0.05 / len(x) if reduction == "sum_dt" else np.sum(w * squares) / w.sum()
        assert module.loss(sigma, (x, y, weight)) == pytest.approx(1.5 * expected, rel=1e-12)
    assert module.loss(sigma, (x, y)) == module.loss(sigma, (x, y, None))


@pytest.mark.parametrize("reduction", ["sum_dt", "masked_mean"])
@pytest.mark.parametrize("readout", ["after_update", "before_update", "updated_latents_previous_gain"])
def test_trials_gradient_against_complex_steps(reduction, readout):
    task = {"kind": "trials", "loss": {"reduction": reduction}}
    shape = {"rank": 2, "inputs": 2, "outputs": 2, "readout": readout}
    d, module = derived(task, **shape), compiled(task, **shape)
    sigma, trials = states(module, 2), random_trials(d)
    shifted = sigma[:, None] + 1e-30j * np.eye(len(module.OVERLAPS))[: module.N_VISIBLE]
    derivative = np.imag(module.loss(shifted, trials)) / 1e-30
    assert np.abs(derivative - module.loss_gradient(sigma, trials)).max() <= 1e-12 * np.abs(derivative).max()


def test_overlaps_of_weights():
    d, module = derived(rank=2), compiled(rank=2)
    P = weights(d)
    vectors = {"m": P[:, :1], "u": P[:, 1:3], "v": P[:, 3:5], "z": P[:, 5:]}
    sigma = module.overlaps_of(**vectors)
    assert sigma[d.overlaps.index("v2_u1")] == pytest.approx(P[:, 4] @ P[:, 1] / 50)
    assert module.gram(sigma) == pytest.approx(P.T @ P / 50)
    assert np.array_equal(module.overlaps_of(**{**vectors, "m": P[:, 0]}), sigma)
    with pytest.raises(ValueError, match=r"u: found shape \(50, 1\), expected \(50, 2\)"):
        module.overlaps_of(**{**vectors, "u": P[:, :1]})
    with pytest.raises(ValueError, match=r"z: found shape \(49, 1\), expected \(50, 1\)"):
        module.overlaps_of(**{**vectors, "z": P[1:, :1]})


def test_populations_have_neurons_in_the_ratio_of_their_weights():
    d, module = system("architectures/two_populations")
    assert "N_E : N_I = 3 : 1" in module.overlaps_of.__doc__
    assert "uI: array of shape (N_I, 1), or (N_I,)." in module.overlaps_of.__doc__
    for excitatory, inhibitory in ((300, 100), (100, 300), (400, 400), (301, 100)):
        sizes = dict.fromkeys(("mE", "uE", "vE", "zE"), excitatory) | dict.fromkeys(("mI", "uI", "vI"), inhibitory)
        random = np.random.default_rng(0)
        vectors = {name: random.standard_normal(size) for name, size in sizes.items()}
        if excitatory == 3 * inhibitory:
            sigma = dict(zip(d.overlaps, module.overlaps_of(**vectors), strict=True))
            assert sigma["vI_mI"] == pytest.approx(vectors["vI"] @ vectors["mI"] / (excitatory + inhibitory))
            continue
        found = rf"found {excitatory}, {inhibitory} neurons of E, I, expected numbers in the ratio 3 : 1"
        with pytest.raises(ValueError, match=found):
            module.overlaps_of(**vectors)


def test_wrong_shapes_are_named():
    task = {"kind": "trials"}
    module = compiled(task, inputs=2)
    sigma = states(module, 1)[0]
    x, y = np.zeros((3, 8, 2)), np.zeros((3, 8, 1))
    cases = [
        (lambda: module.loss(sigma[:-1], (x, y)), r"sigma: found shape \(14,\), expected \(\.\.\., 15\)"),
        (
            lambda: module.loss(sigma, (x[..., :1], y)),
            r"x: found shape \(3, 8, 1\), expected \(.*batch, time, 2\)",
        ),
        (lambda: module.loss(sigma, (x, y[:, :4])), r"y: found shape \(3, 4, 1\), expected \(\.\.\., 3, 8, 1\)"),
        (lambda: module.loss(sigma, (x, y, y[0])), r"mask: found shape \(8, 1\), expected \(\.\.\., 3, 8, 1\)"),
        (lambda: module.loss(sigma), "trials: expected"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()


def test_unknown_backend_is_named():
    with pytest.raises(UnknownNameError, match="unknown backend 'nunpy'; did you mean 'numpy'"):
        derived().source("nunpy")


def test_module_imports_numpy_only_and_shows_its_source():
    module = compiled(rank=2)
    tree = ast.parse(derived(rank=2).source())
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imported] == [
        "import math",
        "from typing import NamedTuple",
        "import numpy as np",
    ]
    assert inspect.getsource(module.step) in derived(rank=2).source()
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    assert all(ast.get_docstring(node) for node in functions)
    assert derived(rank=2).spec.digest in module.__doc__


REFERENCES = ['a """ b', "\\sigma \\x \\", '"""; raise SystemExit; """', "three ' ' '", 'ends with "']


@pytest.mark.parametrize("reference", REFERENCES)
def test_reference_is_text_whatever_is_in_it(reference):
    given = symlow.Spec.model_validate({**spec().model_dump(), "reference": reference})
    module = symlow.derive(given).compile()
    assert f"Source: {reference}." in module.__doc__


@pytest.mark.parametrize("role", REFERENCES)
@pytest.mark.parametrize("backend", ["numpy", "numba", "jax"])
def test_role_is_text_whatever_is_in_it(role, backend):
    path = Path(__file__).parents[1] / "derivations" / "architectures" / "biases.toml"
    given = tomllib.loads(path.read_text(encoding="utf-8"))
    given["network"]["vectors"]["b"]["role"] = role
    text = symlow.derive(symlow.Spec.model_validate(given)).source(backend)
    assert role in ast.get_docstring(ast.parse(text), clean=False)


def test_gram_matrix_stays_positive_semidefinite_at_large_steps():
    module = compiled(rank=2)
    sigma = states(module, 20, neurons=6)
    for _ in range(20):
        sigma = module.step(sigma, 0.05)
        assert np.linalg.eigvalsh(module.gram(sigma)).min() > -1e-12


def test_same_bytes_under_any_hash_seed():
    program = (
        "import hashlib, symlow;"
        "d = symlow.derive(symlow.Spec.load('derivations/beyond_the_papers/rank3_two_in_two_out.toml'));"
        "e = symlow.derive(symlow.Spec.load('derivations/ger_barak_2026/rank1_linear.toml'));"
        "zero = symlow.derive(symlow.Spec.from_toml('name = \\'z\\'\\n[network]\\nrank = 1\\ninputs = 2\\n[task]\\n"
        "kind = \\'filters\\'\\nhorizon = inf\\ntargets = [{kind = \\'no_response\\', input = 1, output = 1}, "
        "{kind = \\'damped_oscillation\\', decay = 1.0, frequency = 2.0, input = 2, output = 1}]'));"
        "texts = [f() for x in (d, e, zero) for f in "
        "(x.source, lambda: x.source('jax'), x.latex, lambda: x.latex(fragment=True), x.__str__)];"
        "print(hashlib.sha256(''.join(texts).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert len(digests) == 1
