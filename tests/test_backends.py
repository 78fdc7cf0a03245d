"""The JAX backend: the numbers of the NumPy module in either precision, compiled, vectorised and differentiated."""

from __future__ import annotations

import ast
import importlib.util
import math
from pathlib import Path

import jax
import numpy as np
import pytest

import symlow
from symlow.errors import DependencyError, SymlowError
from tests.conftest import EXPONENTIAL, compiled, derived, random_trials, states

ROOT = Path(__file__).parents[1]
GENERATED = sorted(path.relative_to(ROOT / "generated") for path in (ROOT / "generated").rglob("*.py"))
TRIALS = {"kind": "trials"}
ERF = {"task": TRIALS, "rank": 1, "nonlinearity": "erf"}
FILTER = {"task": {**EXPONENTIAL, "horizon": 2.0}, "rank": 1}


@pytest.fixture(autouse=True)
def double():
    """Double precision, and programs that are compiled fast rather than run fast."""
    names = ("jax_enable_x64", "jax_disable_most_optimizations")
    before = [jax.config.read(name) for name in names]
    for name in names:
        jax.config.update(name, True)
    yield
    for name, value in zip(names, before, strict=True):
        jax.config.update(name, value)


def pair(**system):
    """The modules of NumPy and JAX. A new one of JAX: what it compiled is of the precision of its test."""
    return compiled(**system), derived(**system).compile("jax")


def network_states(d, module, lead, seed=0):
    """Overlaps of random networks of 40 neurons; vectors of ones are ones."""
    P = 0.7 * np.random.default_rng(seed).standard_normal((*lead, 40, module.N_COLUMNS))
    for name in d.network.ones:
        P[..., d.reduction.index.slice(name)] = 1
    return (np.swapaxes(P, -1, -2) @ P / 40)[..., module._ROWS, module._COLUMNS]


def assert_close(found, expected, relative=1e-12):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= relative * np.abs(expected).max()


def assert_same(modules, functions, relative=1e-12):
    """That modules agree on functions of a module, which may give several arrays."""
    numpy_module, jax_module = modules
    for function in functions:
        found, expected = function(jax_module), function(numpy_module)
        if not isinstance(expected, tuple):
            found, expected = (found,), (expected,)
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other, relative)


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.stem)
def test_every_derivation(path):
    d = symlow.derive(symlow.Spec.load(ROOT / "derivations" / path.with_suffix(".toml")))
    modules = d.compile(), d.compile("jax")
    sigma, (x, y, mask) = network_states(d, modules[0], (2,)), random_trials(d, batch=2, steps=4)
    trials = x, np.stack([y, 0.5 * y])[:, None], mask
    functions = [lambda m: m.rhs(0.0, sigma, trials)]
    if hasattr(modules[0], "task"):
        functions += [lambda m: m.rhs(0.0, sigma)]
    assert_same(modules, functions)


RULES = {
    "momentum": {"rule": "momentum", "momentum": 0.5, "clip": 0.01, "weight_decay": 0.1},
    "feedback": {"rule": "feedback_alignment", "label_noise": 0.2},
}


@pytest.mark.parametrize("rule", RULES)
def test_rules(rule):
    given = {
        "name": "rule",
        "network": {"rank": 1, "nonlinearity": "erf"},
        "task": TRIALS,
        "learning": RULES[rule],
    }
    d = symlow.derive(symlow.Spec.model_validate(given))
    modules = d.compile(), d.compile("jax")
    sigma, trials = network_states(d, modules[0], (2,)), random_trials(d, batch=2, steps=4)
    clips = np.array([0.01, 1e9])
    functions = {
        "momentum": [
            lambda m: m.clip_factor(sigma, trials),
            lambda m: m.step(sigma, 0.1, trials, clip=clips, momentum=clips / 2e9),
        ],
        "feedback": [lambda m: m.jacobian(sigma, trials), lambda m: m.noisy_step_moments(sigma, 0.1, trials)],
    }
    assert_same(modules, functions[rule])


def test_derivatives_and_steps():
    d, modules = derived(**ERF), pair(**ERF)
    sigma, trials = states(modules[0], 2), random_trials(d, batch=2, steps=4)
    assert_same(modules, [lambda m: m.loss_hessian(sigma, trials), lambda m: m.jacobian(sigma, trials)])
    modules = pair(**FILTER)
    sigma, rates = states(modules[0], 2), np.array([0.1, 0.2])
    assert_same(modules, [lambda m: m.step(sigma, rates), lambda m: m.jacobian(sigma)])


def test_filters_with_other_parameters_and_over_infinite_horizons():
    task = {**EXPONENTIAL, "horizon": math.inf}
    numpy_module, jax_module = modules = pair(task=task, rank=2)
    sigma = states(numpy_module, 4)
    sigma[1, numpy_module.OVERLAPS.index("v1_u1")] = 1.5
    sigma[2] = np.nan
    for function in (lambda m: m.loss(sigma), lambda m: m.loss_gradient(sigma)):
        found, expected = np.asarray(function(jax_module)), function(numpy_module)
        finite = np.isfinite(expected)
        assert finite.any()
        assert not finite.all()
        assert np.array_equal(found[~finite], expected[~finite], equal_nan=True)
        assert_close(found[finite], expected[finite])
    assert_same(modules, [lambda m: m.loss(sigma[0], m.task(decay=np.array([0.1, 0.2, 0.4])))])


def test_compiled_vectorised_and_differentiated():
    d, (numpy_module, module) = derived(**ERF), pair(**ERF)
    visible, trials = module.N_VISIBLE, random_trials(d, batch=2, steps=4)
    sigma = states(numpy_module, 3)
    gradient = numpy_module.loss_gradient(sigma, trials)
    backwards = jax.jit(jax.vmap(jax.grad(module.loss), in_axes=(0, None)))(sigma, trials)
    assert_close(backwards[:, :visible], gradient)
    assert np.abs(backwards[:, visible:]).max() == 0
    assert_close(jax.vmap(module.loss_gradient, in_axes=(0, None))(sigma, trials), gradient)


def test_learning_to_learn():
    # The derivative of the loss after a step by its learning rate.
    d, (numpy_module, module) = derived(**ERF), pair(**ERF)
    sigma, trials = states(numpy_module, 1)[0], random_trials(d, batch=2, steps=4)

    def after(m, rate):
        return m.loss(m.step(sigma, rate, trials), trials)

    exact = np.imag(after(numpy_module, 0.1 + 1e-30j)) / 1e-30
    assert_close(jax.grad(lambda rate: after(module, rate))(0.1), exact)


def test_chunks_change_nothing(monkeypatch):
    d, (numpy_module, module) = derived(**ERF), pair(**ERF)
    sigma, (x, y, mask) = states(numpy_module, 6).reshape(2, 3, -1), random_trials(d, batch=2, steps=4)
    trials = np.stack([x, 2 * x, 3 * x]), y, np.stack([mask, mask + 1])[:, None]
    monkeypatch.setattr(module, "_CHUNK", 500)
    assert_same((numpy_module, module), [lambda m: m.outputs(sigma, trials[0])])
    backwards = jax.grad(lambda s: module.loss(s, trials).sum())(sigma)
    assert_close(backwards[..., : module.N_VISIBLE], numpy_module.loss_gradient(sigma, trials))


@pytest.mark.parametrize("nonlinearity", ["tanh", "sign"])
def test_single_precision(nonlinearity):
    jax.config.update("jax_enable_x64", False)
    system = {**ERF, "nonlinearity": nonlinearity}
    d, (numpy_module, module) = derived(**system), pair(**system)
    sigma, trials = states(numpy_module, 2), random_trials(d, batch=2, steps=4)
    found = module.loss_gradient(sigma, trials)
    assert found.dtype == np.float32
    assert_close(found, numpy_module.loss_gradient(sigma, trials), 1e-5)


def test_wrong_shapes_are_named():
    module = derived(**ERF).compile("jax")
    sigma, x, y = np.zeros(len(module.OVERLAPS)), np.zeros((3, 8, 1)), np.zeros((3, 8, 1))
    cases = [
        (lambda: module.loss(sigma[:-1], (x, y)), r"sigma: found shape \(9,\), expected \(\.\.\., 10\)"),
        (lambda: module.loss(sigma, (x[0], y)), r"x: found shape \(8, 1\), expected \(\.\.\., batch, time, 1\)"),
        (lambda: module.loss(sigma, (x, y[:, :4])), r"y: found shape \(3, 4, 1\), expected \(\.\.\., 3, 8, 1\)"),
        (lambda: module.loss(sigma), "trials: expected"),
        (lambda: module.loss_hessian(sigma + 0j, (x, y)), "sigma: found complex128, expected real numbers"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()


def test_overlaps_of_weights():
    numpy_module, module = pair(**ERF)
    rng = np.random.default_rng(0)
    vectors = {name: rng.standard_normal((20, 1)) for name in "muvz"}
    assert_close(module.overlaps_of(**vectors), numpy_module.overlaps_of(**vectors))
    assert_close(module.gram(module.overlaps_of(**vectors)), numpy_module.gram(numpy_module.overlaps_of(**vectors)))


def test_imports_and_surface():
    for system in (ERF, FILTER):
        numpy_module, module = pair(**system)
        tree = ast.parse(derived(**system).source("jax"))
        lines = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        assert set(lines) <= {
            "import functools",
            "import math",
            "from typing import NamedTuple",
            "import jax",
            "import jax.numpy as np",
            "import numpy",
        }
        names = [name for name in vars(numpy_module) if not name.startswith("_") and name != "np"]
        assert set(names) <= set(vars(module))
        assert module.OVERLAPS == numpy_module.OVERLAPS


def test_a_backend_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert issubclass(DependencyError, SymlowError)
    with pytest.raises(DependencyError, match=r'pip install "symlow\[jax\]"'):
        derived(**ERF).compile("jax")


def test_arrays_in_another_byte_order_are_turned():
    numpy_module, module = pair(**FILTER)
    sigma = np.full(len(numpy_module.OVERLAPS), 0.1)
    with jax.enable_x64(True):
        assert_close(module.loss(sigma.astype(">f8")), numpy_module.loss(sigma))
