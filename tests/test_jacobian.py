"""The Jacobian of the flow and the Hessian of the loss, against differences, SymPy, many digits and loops."""

from __future__ import annotations

import itertools
import math
import runpy
from pathlib import Path
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import sympy
from sympy import Rational

from tests.conftest import (
    EXPONENTIAL,
    INTEGRATOR,
    NO_RESPONSE,
    OSCILLATION,
    compiled,
    derived,
    filters,
    states,
    with_rates,
)

GENERATED = sorted((Path(__file__).parents[1] / "generated").rglob("*.py"))
TRIALS = {"kind": "trials"}
MEAN = {"kind": "trials", "loss": {"reduction": "masked_mean", "factor": 1.0}}


def network_states(module, count=1, seed=0):
    """Overlaps of random networks of 200 neurons, with means where the module has them."""
    rng = np.random.default_rng(seed)
    P = 0.8 * rng.standard_normal((count, 200, module.N_COLUMNS))
    if module.OVERLAPS[-1] == "one_one":
        P += 0.2 * rng.standard_normal((count, 1, module.N_COLUMNS))
        P[..., -1] = 1
    return (np.swapaxes(P, -1, -2) @ P / 200)[..., module._ROWS, module._COLUMNS]


def trials(module, batch=2, steps=7, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, steps, module.N_INPUTS))
    y = rng.standard_normal((batch, steps, module.N_OUTPUTS))
    return x, y, (rng.random(y.shape) < 0.7) * rng.random(y.shape)


def assert_jacobian(module, sigma, data=None):
    """Central differences converge to it with the square of their spacing, in every entry together."""
    jacobian, hessian = module.jacobian(sigma, data), module.loss_hessian(sigma, data)
    n, visible = len(module.OVERLAPS), module.N_VISIBLE
    assert jacobian.shape == (n, n)
    assert hessian.shape == (visible, visible)
    assert jacobian.dtype == hessian.dtype == float
    assert np.abs(hessian - hessian.T).max() <= 1e-12 * np.abs(hessian).max()
    spacings = 2e-3 * 0.5 ** np.arange(3)
    shifted = sigma + spacings[:, None, None] * np.array([[[1]], [[-1]]])[:, None] * np.eye(n)
    for exact, function in (
        (jacobian, lambda s: module.rhs(0.0, s, data)),
        (hessian, lambda s: module.loss_gradient(s[..., :visible, :], data)),
    ):
        values = function(shifted)
        differences = np.swapaxes((values[0] - values[1]) / (2 * spacings[:, None, None]), -1, -2)
        errors = np.abs(differences - exact).max(axis=(-2, -1)) / np.abs(exact).max()
        assert errors[-1] < 1e-4
        assert np.log2(errors[:-1] / errors[1:]) == pytest.approx([2, 2], abs=0.1)


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.stem)
def test_every_generated_module(path):
    module = SimpleNamespace(**runpy.run_path(str(path)))
    sigma = network_states(module)[0]
    assert_jacobian(module, sigma, trials(module, steps=20))
    if hasattr(module, "_filter_loss"):
        assert_jacobian(module, sigma)


# Closed forms of the gain, series, pieces and tables of sigmoids; constant gains; kinks and jumps.
NONLINEARITIES = [
    ("tanh", False),
    ("tanh", True),
    ("clip", False),
    ("clip", True),
    ("sign", True),
    ("relu", False),
    ("relu", True),
    ("arctan", True),
    ("sin", False),
    ("min(3, x)**2 + x", True),
]


@pytest.mark.parametrize(("name", "means"), NONLINEARITIES)
def test_nonlinear_networks(name, means):
    network = {"rank": 1, "nonlinearity": name, "means": means, "bias": True, "dt": 0.2}
    module = compiled(TRIALS, **network)
    assert_jacobian(module, network_states(module, seed=3)[0], trials(module))


@pytest.mark.parametrize("readout", ["before_update", "after_update", "updated_latents_previous_gain"])
def test_read_outs_masks_and_frozen_vectors(readout):
    network = {"rank": 2, "inputs": 2, "nonlinearity": "erf", "readout": readout, "dt": 0.2}
    module = compiled(MEAN, frozen=("m",), **network)
    sigma = network_states(module)[0]
    assert_jacobian(module, sigma, trials(module))
    still = [k for k, name in enumerate(module.OVERLAPS) if name in ("m1_m1", "m1_m2", "m2_m2")]
    assert np.all(module.jacobian(sigma, trials(module))[still] == 0)


def test_learning_rates_of_vectors():
    module = with_rates(derived(TRIALS, nonlinearity="erf", dt=0.2), u=Rational(1, 3), m=Rational(2)).compile()
    assert_jacobian(module, network_states(module)[0], trials(module))


@pytest.mark.parametrize("horizon", [5.0, math.inf])
def test_closed_forms(horizon):
    module = compiled(
        filters(2, 2, (EXPONENTIAL, OSCILLATION, NO_RESPONSE), horizon), rank=2, inputs=2, outputs=2, tau=0.7
    )
    assert_jacobian(module, network_states(module)[0])


def test_hessian_at_an_integrator():
    """At the eigenvalue 1, where an inverse of 1 - A (x) A does not exist."""
    module = compiled({**INTEGRATOR, "horizon": 10.0}, rank=1)
    sigma = states(module, 1)[0]
    sigma[module.OVERLAPS.index("v_u")] = 1.0
    assert_jacobian(module, sigma)


@pytest.mark.parametrize("horizon", [0.2, math.inf])
def test_hessian_is_that_of_the_formula(horizon):
    task = {**EXPONENTIAL, "horizon": horizon}
    d, module = derived(task), compiled(task)
    sigma = network_states(module)[0]
    point = {d.symbols[name]: sympy.Float(value, 40) for name, value in zip(d.overlaps, sigma, strict=True)}
    formula = d.loss_expression.subs(d.parameters).doit()
    symbols = [d.symbols[name] for name in d.visible]
    exact = [[float(sympy.N(sympy.diff(formula, a, b).subs(point), 40)) for b in symbols] for a in symbols]
    assert module.loss_hessian(sigma) == pytest.approx(np.array(exact), rel=1e-11, abs=1e-13)


def test_hessian_is_nan_where_the_loss_is_inf():
    module = compiled({**EXPONENTIAL, "horizon": math.inf})
    sigma = network_states(module, 2)
    sigma[1, module.OVERLAPS.index("v_u")] = 1.5
    for found in (module.loss_hessian(sigma), module.jacobian(sigma)):
        assert np.isfinite(found[0]).all()
        assert np.isnan(found[1, : module.N_VISIBLE, : module.N_VISIBLE]).all()


def test_series_of_gains_can_be_differentiated():
    """The second derivative of the gain of tanh, E[phi''''']/4, against quadrature."""
    module = compiled(TRIALS, nonlinearity="tanh", dt=0.2)
    variances = np.array([0.0, 0.01, 1.0, 10.0, 1e3])
    found = np.imag(module._g_Delta(variances + 1e-30j)) / 1e-30
    fifth = sympy.lambdify(sympy.Symbol("x"), sympy.diff(sympy.tanh(sympy.Symbol("x")), sympy.Symbol("x"), 5), "mpmath")
    with mpmath.workdps(25):
        panels = [-12, -6, -3, -1, -0.3, -0.1, -0.03, 0, 0.03, 0.1, 0.3, 1, 3, 6, 12]
        for value, variance in zip(found, variances, strict=True):
            width = mpmath.sqrt(variance)
            exact = mpmath.quad(lambda x, w=width: fifth(w * x) * mpmath.npdf(x), panels) / 4
            assert value == pytest.approx(float(exact), rel=1e-11)


@pytest.mark.parametrize(
    ("task", "network"),
    [({**OSCILLATION, "horizon": 5.0}, {"rank": 2}), (TRIALS, {"rank": 1, "nonlinearity": "erf", "bias": True})],
)
def test_batches_equal_loops(task, network):
    module = compiled(task, **network)
    data = trials(module) if task is TRIALS else None
    many = network_states(module, 6).reshape(2, 3, -1)
    for function in (module.jacobian, module.loss_hessian):
        together = function(many, data)
        for i, j in itertools.product(range(2), range(3)):
            singly = function(many[i, j], data)
            assert together[i, j] == pytest.approx(singly, rel=1e-12, abs=1e-13 * np.abs(singly).max())


def test_other_numbers():
    module = compiled()
    sigma = network_states(module)[0].astype(np.float32)
    assert np.array_equal(module.jacobian(sigma), module.jacobian(sigma.astype(float)))
    whole = [0, 1, 1, 0, 0, 0, 2, 2, 2, 2]
    assert np.array_equal(module.jacobian(whole), module.jacobian(np.array(whole, dtype=float)))
    with pytest.raises(ValueError, match="sigma: found complex128, expected real numbers"):
        module.loss_hessian(sigma + 0j)
    with pytest.raises(ValueError, match=r"sigma: found shape \(9,\), expected \(\.\.\., 10\)"):
        module.jacobian(sigma[:-1])
