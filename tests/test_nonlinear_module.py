"""The generated module of nonlinear networks: gradients against 50 digits and complex steps, all read-outs, means."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import symlow
from symlow.codegen.emit import compile_module
from symlow.derivation import Derivation
from symlow.nonlinearity import DELTA, LIBRARY, Nonlinearity, X
from symlow.reference import ReferenceModel
from symlow.span import find_network
from tests.conftest import compiled, derived

READOUTS = ("before_update", "after_update", "updated_latents_previous_gain")
TRIALS = {"kind": "trials"}
MEAN = {"kind": "trials", "loss": {"reduction": "masked_mean", "factor": 1.0}}


def state(module, seed=0, means=0.0, neurons=30):
    """Overlaps of random weights, with means where the module has them."""
    rng = np.random.default_rng(seed)
    P = rng.standard_normal((neurons, module.N_COLUMNS)) + means * rng.standard_normal(module.N_COLUMNS)
    if module.OVERLAPS[-1] == "one_one":
        P[:, -1] = 1
    return (P.T @ P / neurons)[module._ROWS, module._COLUMNS]


def trials(module, batch=2, steps=7, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, steps, module.N_INPUTS))
    y = rng.standard_normal((batch, steps, module.N_OUTPUTS))
    return x, y, (rng.random(y.shape) < 0.7) * rng.random(y.shape)


def complex_steps(module, sigma, data):
    shifted = sigma + 1e-30j * np.eye(len(sigma))[: module.N_VISIBLE]
    return np.imag(module.loss(shifted, data)) / 1e-30


def assert_gradient(d, module, sigma, data):
    found = module.loss_gradient(sigma, data)
    count = len(d.visible)
    positions = sorted({round(k) for k in np.linspace(0, count - 1, min(count, 8))})
    exact = ReferenceModel(d).gradient(sigma, data, positions)
    assert np.abs(found[positions] - exact).max() <= 1e-10 * np.abs(exact).max()
    assert np.abs(found - complex_steps(module, sigma, data)).max() <= 1e-12 * np.abs(found).max()


CASES = [(name, rank, READOUTS[(k + rank) % 3]) for k, name in enumerate(sorted(LIBRARY)) for rank in (1, 2, 3)]


@pytest.mark.parametrize(("name", "rank", "readout"), CASES)
def test_gradient_against_many_digits(name, rank, readout):
    network = {
        "rank": rank,
        "inputs": 1 + rank % 2,
        "outputs": 1 + (rank > 1),
        "nonlinearity": name,
        "readout": readout,
        "dt": 0.2,
        "tau": 0.7,
    }
    task = MEAN if rank == 2 else TRIALS
    d, module = derived(task, **network), compiled(task, **network)
    assert_gradient(d, module, state(module, rank), trials(module))


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("name", ["erf", "relu", "clip", "sin", "exp", "leaky_relu", "sign"])
def test_gradient_with_means_and_bias(name, readout):
    network = {"rank": 2, "nonlinearity": name, "readout": readout, "bias": True, "means": True, "dt": 0.2}
    d, module = derived(TRIALS, **network), compiled(TRIALS, **network)
    assert_gradient(d, module, state(module, 3, means=0.5), trials(module))


@pytest.mark.parametrize(
    "name", ["(min(3, x))**2 + x", "tanh(x)", "softplus(2*x) - x/3", "x/sqrt(1 + x**2)", "max(x, 0)*x"]
)
def test_gradient_with_means_of_other_nonlinearities(name):
    network = {"rank": 1, "nonlinearity": name, "means": True, "bias": True, "dt": 0.2}
    d, module = derived(TRIALS, **network), compiled(TRIALS, **network)
    sigma, data = state(module, 3, means=0.5), trials(module, steps=5)
    positions = list(range(0, len(d.visible), 3))
    exact = ReferenceModel(d).gradient(sigma, data, positions)
    assert np.abs(module.loss_gradient(sigma, data)[positions] - exact).max() <= 1e-10 * np.abs(exact).max()


@pytest.mark.parametrize("readout", READOUTS)
def test_frozen_vectors_and_no_mask(readout):
    network = {"rank": 2, "nonlinearity": "erf", "readout": readout}
    module = compiled(TRIALS, frozen=("m", "z"), **network)
    sigma, (x, y, _) = state(module), trials(module)
    assert_gradient(derived(TRIALS, frozen=("m", "z"), **network), module, sigma, (x, y, None))
    flow = module.gram(module.rhs(0.0, sigma, (x, y)))
    assert flow[0, 0] == 0 == flow[-1, -1] == flow[0, -1]
    assert np.abs(flow).max() > 0


def test_broadcasts_over_states():
    module = compiled(TRIALS, rank=2, nonlinearity="tanh", bias=True)
    many = np.stack([np.stack([state(module, 3 * i + j) for j in range(3)]) for i in range(2)])
    data = trials(module)
    for function in (
        module.loss,
        module.loss_gradient,
        lambda s, t: module.rhs(0, s, t),
        lambda s, t: module.step(s, 0.1, t),
    ):
        together = function(many, data)
        singly = np.array([[function(many[i, j], data) for j in range(3)] for i in range(2)])
        assert np.abs(together - singly).max() <= 1e-13 * np.abs(singly).max()
    assert module.outputs(many, data[0]).shape == (2, 3, 2, 7, 1)


@functools.cache
def through_gauss(rank, readout):
    """Modules of a linear network, as it is, and through the Gaussian path with a gain of 1 that is not written so."""
    d = derived(TRIALS, rank=rank, inputs=2, readout=readout)
    hidden = _HiddenLinear("linear in disguise", X + 0 * X, "")
    object.__setattr__(hidden, "gain", (1 + DELTA) ** 2 / (1 + 2 * DELTA + DELTA**2))
    network = find_network(d.network.equations, hidden, d.network.dt, d.network.tau, readout)
    return compile_module(d), compile_module(Derivation(d.spec, network, d.loss))


class _HiddenLinear(Nonlinearity):
    is_linear = False
    has_constant_gain = False
    needs_series = False
    gain = None


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_linear_network_through_the_gaussian_path(rank, readout):
    linear, gaussian = through_gauss(rank, readout)
    assert len(gaussian.VISIBLE) > len(linear.VISIBLE)
    sigma = state(linear, rank)
    order = [linear.OVERLAPS.index(name) for name in gaussian.OVERLAPS]
    data = trials(linear, steps=40)
    for name in ("loss", "outputs", "rhs", "step"):
        arguments = {"loss": (data,), "outputs": (data[0],), "rhs": (data,), "step": (0.1, data)}[name]
        found, exact = (
            (m.rhs(0.0, s, *arguments) if name == "rhs" else getattr(m, name)(s, *arguments))
            for m, s in ((gaussian, sigma[order]), (linear, sigma))
        )
        exact = exact[order] if name in ("rhs", "step") else exact
        assert np.abs(found - exact).max() <= 1e-13 * np.abs(exact).max()


def test_step_keeps_the_gram_matrix_positive_semidefinite():
    module = compiled(TRIALS, rank=2, nonlinearity="erf")
    for lr in (0.1, 1.0, 30.0):
        stepped = module.gram(module.step(state(module, neurons=module.N_COLUMNS), lr, trials(module)))
        assert np.linalg.eigvalsh(stepped)[0] >= -1e-12 * np.abs(stepped).max()


def test_euler_step_of_the_flow_is_of_second_order():
    module = compiled(TRIALS, rank=1, nonlinearity="tanh")
    sigma, data = state(module), trials(module)
    rates = 0.1 * 2.0 ** -np.arange(4)
    off = np.abs(module.step(sigma, rates, data) - sigma - rates[:, None] * module.rhs(0, sigma, data)).max(axis=-1)
    assert np.log2(off[:-1] / off[1:]) == pytest.approx([2, 2, 2], abs=1e-6)


def test_means_at_zero_equal_the_system_without_means():
    """With an odd phi and vectors of mean zero the mean stays zero: both systems have the same loss and flow."""
    plain, means = (compiled(TRIALS, rank=2, nonlinearity="erf", means=with_means) for with_means in (False, True))
    sigma = state(plain)
    whole = np.zeros(len(means.OVERLAPS))
    for name, value in zip(plain.OVERLAPS, sigma, strict=True):
        whole[means.OVERLAPS.index(name)] = value
    whole[-1] = 1
    data = trials(plain)
    assert means.loss(whole, data) == pytest.approx(plain.loss(sigma, data), rel=1e-14)
    common = [means.OVERLAPS.index(name) for name in plain.OVERLAPS]
    assert means.rhs(0, whole, data)[common] == pytest.approx(plain.rhs(0, sigma, data), rel=1e-12, abs=1e-14)


def test_overlaps_of_adds_the_ones():
    module = compiled(TRIALS, rank=1, nonlinearity="relu", means=True, bias=True)
    P = np.random.default_rng(0).standard_normal((9, 5))
    sigma = module.overlaps_of(m=P[:, 0], u=P[:, 1], b=P[:, 2], v=P[:, 3], z=P[:, 4])
    values = dict(zip(module.OVERLAPS, sigma, strict=True))
    assert values["one_one"] == 1
    assert values["u_one"] == pytest.approx(P[:, 1].mean())
    assert values["m_b"] == pytest.approx((P[:, 0] * P[:, 2]).mean())


@pytest.mark.parametrize("means", [False, True])
@pytest.mark.parametrize("name", ["clip", "sign", "abs(x)*x", "erf"])
def test_silence_is_finite(name, means):
    """Without input the state stays at 0, where some gains are singular and multiply zeros."""
    module = compiled(TRIALS, rank=2, nonlinearity=name, means=means)
    sigma = state(module)
    silent = np.zeros((2, 40, 1)), np.ones((2, 40, 1)), None
    assert module.loss(sigma, silent) == pytest.approx(0.5 * 0.05 * 40)
    assert np.all(module.loss_gradient(sigma, silent) == 0)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("name", ["sign", "clip"])
def test_gradient_after_silence(name, readout):
    module = compiled(TRIALS, nonlinearity=name, readout=readout)
    x, y, mask = trials(module, steps=30)
    x[:, :20] = 0
    found, exact = module.loss_gradient(state(module), (x, y, mask)), complex_steps(module, state(module), (x, y, mask))
    assert np.abs(found - exact).max() <= 1e-12 * np.abs(found).max()


def test_nan_in_nan_out():
    for network in ({"nonlinearity": "clip"}, {"nonlinearity": "relu", "means": True}, {"nonlinearity": "erf"}):
        module = compiled(TRIALS, **network)
        sigma = state(module)
        sigma[module.OVERLAPS.index("m_m")] = np.nan
        assert np.isnan(module.loss(sigma, trials(module)))


def test_filter_tasks_need_linear_dynamics():
    with pytest.raises(symlow.errors.SpecError, match=r"task\.kind: found 'integrator', which needs linear"):
        derived({"kind": "integrator"}, nonlinearity="erf")
    with pytest.raises(symlow.errors.SpecError, match="constant term"):
        derived({"kind": "integrator"}, bias=True)


def test_relu_at_mean_zero_is_a_linear_system_of_half_the_gain():
    """Its gain is 1/2: the reduced dynamics is linear in overlaps of half the size, closed form included."""
    relu, linear = (compiled({"kind": "integrator"}, nonlinearity=name) for name in ("relu", "linear"))
    assert relu.VISIBLE == linear.VISIBLE
    sigma = state(linear)
    half = np.where(np.arange(len(sigma)) < linear.N_VISIBLE, sigma / 2, sigma)
    assert relu.loss(sigma) == pytest.approx(linear.loss(half), rel=1e-13)
