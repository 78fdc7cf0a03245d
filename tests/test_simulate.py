"""The full-N simulator on its own: against loops over the equations and against differences, and training."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import sympy

from symlow.errors import ArrayError, LearningError, UnknownNameError
from symlow.optimizers import Adam
from symlow.simulate import FullNetwork
from tests.conftest import derived, random_trials, weights
from tests.nonlinear import KINKED, SMOOTH, X, columns_of, low_rank, nonlinearity, trials_of

SHAPES = [
    {"rank": 1},
    {"rank": 2, "inputs": 2, "outputs": 2, "readout": "before_update"},
    {"rank": 3, "outputs": 2, "tau": 2.0},
]


def network(d, reduction="sum_dt"):
    return FullNetwork(d.network, reduction, 0.5)


@pytest.mark.parametrize("reduction", ["sum_dt", "masked_mean"])
@pytest.mark.parametrize("shape", SHAPES)
def test_differences_converge_to_backpropagation_with_order_two(shape, reduction):
    d = derived(task={"kind": "trials"}, **shape)
    full, P, trials = network(d, reduction), weights(d, 7), random_trials(d, steps=12)
    exact = full.gradient(P, trials)
    spacings = 0.2 * 2.0 ** -np.arange(4)
    errors = [np.abs(full.finite_difference_gradient(P, trials, h) - exact).max() for h in spacings]
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert orders[-1] == pytest.approx(2, abs=0.05)
    # At the default spacing what is left is the rounding of the loss, divided by the spacing.
    best = np.abs(full.finite_difference_gradient(P, trials) - exact).max()
    assert best < 10 * np.finfo(float).eps * full.loss(P, trials) / 6e-6


def test_one_step_by_hand():
    # One neuron, one step: h = (dt/tau) m x, y = z h / N.
    d = derived(task={"kind": "trials"}, dt=0.1, tau=0.5)
    P = np.array([[2.0, 5.0, 7.0, 3.0]])
    x = np.array([[[1.5]]])
    assert network(d).outputs(P, x) == pytest.approx(np.array([[[3.0 * 0.2 * 2.0 * 1.5]]]))


def test_outputs_of_several_networks_at_once():
    d = derived(rank=2, inputs=2, task={"kind": "trials"})
    x = random_trials(d)[0]
    many = np.stack([weights(d, 9, seed) for seed in range(3)])
    together = network(d).outputs(many, x)
    assert together == pytest.approx(np.stack([network(d).outputs(P, x) for P in many]))


def test_training_leaves_frozen_vectors_and_lowers_the_loss():
    d = derived(task={"kind": "trials"}, frozen=("m", "v"), rank=2)
    P, trials = weights(d), random_trials(d)
    moments = list(network(d).train(P, trials, 0.05, 10))
    assert len(moments) == 11
    assert moments[-1].loss < moments[0].loss
    assert np.array_equal(moments[-1].weights[:, 0], P[:, 0])
    assert np.array_equal(moments[-1].weights[:, 3:5], P[:, 3:5])
    assert np.abs(moments[-1].weights - P).max() > 0


def test_stochastic_gradient_descent_takes_fresh_trials():
    d = derived(task={"kind": "trials"})
    P = weights(d)
    fresh = [moment.loss for moment in network(d).train(P, lambda k: random_trials(d, seed=k), 0.01, 3)]
    fixed = [moment.loss for moment in network(d).train(P, random_trials(d, seed=0), 0.01, 3)]
    assert fresh[0] == fixed[0]
    assert fresh[1] != fixed[1]


# Nonlinear neurons. Every shape has something that the others have not.
NONLINEAR = [
    low_rank(SMOOTH["tanh"]),
    low_rank(SMOOTH["erf"], rank=2, inputs=2, readout="before_update"),
    low_rank(SMOOTH["softplus"], rank=2, outputs=2, bias=True),
    low_rank(SMOOTH["arctan"], rank=3, inputs=2, outputs=2, bias=True, ones=True, frozen=("m",)),
    low_rank(SMOOTH["tanh and linear"], rank=3, readout="before_update", bias=True),
    low_rank(SMOOTH["logistic"], inputs=2, ones=True),
]


def full_network(net, reduction="sum_dt", node_weights=None):
    return FullNetwork(net, reduction, 0.5, node_weights)


def some_weights(net, neurons=6, seed=0):
    return np.random.default_rng(seed).standard_normal((neurons, columns_of(net)))


def uneven(neurons=6, seed=1):
    w = np.random.default_rng(seed).random(neurons) + 0.1
    return w / w.sum()


@pytest.mark.parametrize("node_weights", [None, uneven()], ids=["uniform", "uneven"])
@pytest.mark.parametrize("readout", ["before_update", "after_update"])
def test_outputs_by_loops_over_neurons(readout, node_weights):
    net = low_rank(SMOOTH["tanh"], rank=2, inputs=2, outputs=2, readout=readout, bias=True)
    P, (x, _, _) = some_weights(net), trials_of(net, batch=1, steps=5)
    w = np.full(6, 1 / 6) if node_weights is None else node_weights
    m, u, v, z, b = P[:, 0:2], P[:, 2:4], P[:, 4:6], P[:, 6:8], P[:, 8]
    h, expected = [0.0] * 6, []
    for t in range(5):
        phi = [math.tanh(value) for value in h]
        a = [sum(w[i] * v[i, k] * phi[i] for i in range(6)) for k in range(2)]
        drive = [sum(m[i, k] * x[0, t, k] + u[i, k] * a[k] for k in range(2)) + b[i] for i in range(6)]
        updated = [h[i] + 0.2 * (-h[i] + drive[i]) for i in range(6)]
        seen = h if readout == "before_update" else updated
        expected.append([sum(w[i] * z[i, k] * math.tanh(seen[i]) for i in range(6)) for k in range(2)])
        h = updated
    found = full_network(net, node_weights=node_weights).outputs(P, x)
    assert found == pytest.approx(np.array([expected]), rel=1e-13)


@pytest.mark.parametrize("node_weights", [None, uneven()], ids=["uniform", "uneven"])
@pytest.mark.parametrize("reduction", ["sum_dt", "masked_mean"])
@pytest.mark.parametrize("net", NONLINEAR)
def test_differences_of_nonlinear_networks_have_order_two(net, reduction, node_weights):
    full, P, trials = full_network(net, reduction, node_weights), some_weights(net), trials_of(net)
    exact = full.gradient(P, trials)
    spacings = 0.1 * 2.0 ** -np.arange(5)
    errors = [np.abs(full.finite_difference_gradient(P, trials, h) - exact).max() for h in spacings]
    assert np.log2(errors[-2] / errors[-1]) == pytest.approx(2, abs=0.05)
    # At the default spacing what is left is the rounding of the loss, divided by the spacing.
    best = np.abs(full.finite_difference_gradient(P, trials) - exact).max()
    assert best < 10 * np.finfo(float).eps * full.loss(P, trials) / 6e-6


@pytest.mark.parametrize("net", [
    low_rank(KINKED["relu"], bias=True),
    low_rank(KINKED["relu"], rank=3, inputs=2, outputs=2, readout="before_update"),
    low_rank(KINKED["hard tanh"], rank=2),
    low_rank(KINKED["elu"], rank=2),
    low_rank(KINKED["absolute value"], rank=2),
])  # fmt: skip
def test_differences_of_networks_with_kinks(net):
    full, P, trials = full_network(net), some_weights(net), trials_of(net)
    exact = full.gradient(P, trials)
    assert np.abs(full.finite_difference_gradient(P, trials) - exact).max() < 1e-8 * np.abs(exact).max()


def test_gradient_of_jumps_is_that_of_the_readers():
    net = low_rank(sympy.sign(X), rank=2)
    full, P, trials = full_network(net), some_weights(net), trials_of(net)
    found = full.gradient(P, trials)
    assert np.array_equal(found[:, :5], np.zeros((6, 5)))
    differences = full.finite_difference_gradient(P, trials, entries=np.arange(5, P.size, 6))
    assert found[:, 5] == pytest.approx(differences, rel=1e-8)
    assert np.abs(found[:, 5]).min() > 0


def test_differences_by_some_entries():
    net = NONLINEAR[3]
    full, P, trials = full_network(net), some_weights(net), trials_of(net)
    entries = np.array([40, 3, 17])
    found = full.finite_difference_gradient(P, trials, entries=entries)
    assert found == pytest.approx(full.finite_difference_gradient(P, trials).ravel()[entries], rel=1e-12)


@pytest.mark.parametrize("node_weights", [None, uneven(50)], ids=["uniform", "uneven"])
@pytest.mark.parametrize("net", NONLINEAR)
def test_flow_from_the_loss_alone(net, node_weights):
    full, P, trials = full_network(net, node_weights=node_weights), some_weights(net, 50), trials_of(net)
    found, error = full.finite_difference_flow(P, trials)
    w = np.full(50, 1 / 50) if node_weights is None else node_weights
    velocity = -full.gradient(P, trials) * full.rates / w[:, None]
    expected = np.einsum("k,ki,kj->ij", w, velocity, P) + np.einsum("k,ki,kj->ij", w, P, velocity)
    assert np.abs(full.flow(P, trials) - expected).max() < 1e-13 * np.abs(expected).max()
    assert np.abs(found - expected).max() < 1e-9 * np.abs(expected).max()
    assert error.max() < 1e-9 * np.abs(expected).max()


def test_error_of_the_flow_is_estimated_where_it_is_large():
    net = NONLINEAR[0]
    full, P, trials = full_network(net), some_weights(net, 50), trials_of(net)
    found, error = full.finite_difference_flow(P, trials, spacing=0.1)
    true = np.abs(found - full.flow(P, trials))
    assert true.max() > 1e-9
    assert (true < error).all()
    # At the default spacing, where the error is rounding, it has its size.
    found, error = full.finite_difference_flow(P, trials)
    assert np.abs(found - full.flow(P, trials)).max() < 10 * error.max()


@pytest.mark.parametrize("spacing", [6e-6, 1e-4, 1e-3])
def test_error_of_the_flow_at_kinks(spacing):
    net, neurons = low_rank(KINKED["relu"]), 4000
    full, P, trials = full_network(net), some_weights(net, neurons), trials_of(net, steps=30)
    found, _ = full.finite_difference_flow(P, trials, spacing)
    expected = full.flow(P, trials)
    assert np.abs(found - expected).max() < np.sqrt(spacing / neurons) * np.abs(expected).max()


def test_flow_of_sixteen_thousand_neurons():
    net = low_rank(SMOOTH["erf"])
    full, P, trials = full_network(net), some_weights(net, 16000), trials_of(net)
    found, _ = full.finite_difference_flow(P, trials)
    expected = full.flow(P, trials)
    assert np.abs(found - expected).max() < 1e-9 * np.abs(expected).max()


def test_derivative_at_kinks_and_far_out():
    full = {name: full_network(low_rank(phi)) for name, phi in {**SMOOTH, **KINKED}.items()}
    at = np.array([-2000.0, -1.0, 0.0, 1.0, 2000.0])
    assert full["relu"].slope(at).tolist() == [0, 0, 0.5, 1, 1]
    assert full["hard tanh"].slope(at).tolist() == [0, 0.5, 1, 0.5, 0]
    assert full["absolute value"].slope(at).tolist() == [-1, -1, 0, 1, 1]
    assert full["softplus"].phi(at)[[0, 2, 4]] == pytest.approx([0, np.log(2), 2000], rel=1e-15)
    assert full["softplus"].slope(at)[[0, 2, 4]].tolist() == [0, 0.5, 1]
    assert full["logistic"].phi(at)[[0, 2, 4]].tolist() == [0, 0.5, 1]
    assert full["logistic"].slope(at)[[0, 2, 4]].tolist() == [0, 0.25, 0]


def test_softplus_that_is_scaled_and_shifted():
    full = full_network(low_rank(sympy.log(1 + sympy.exp(3 * X - 1)) / 3))
    at = np.array([-1e4, 0.2, 1e4])
    assert full.phi(at) == pytest.approx([0, np.log1p(np.exp(-0.4)) / 3, 1e4 - 1 / 3], rel=1e-14)
    assert full.slope(at) == pytest.approx([0, 1 / (1 + np.exp(0.4)), 1], rel=1e-14)


def test_symbols_with_and_without_assumptions():
    plain = sympy.Symbol("x")
    for phi in (sympy.sign, sympy.tanh, sympy.Abs):
        here, there = (full_network(low_rank(phi(symbol))) for symbol in (plain, X))
        at = np.linspace(-1, 1, 5)
        assert np.array_equal(here.phi(at), there.phi(at))
        assert np.array_equal(here.slope(at), there.slope(at))


def test_linear_neurons_read_updated_latents_as_after_the_update():
    x = trials_of(low_rank(X))[0]
    one, other = (low_rank(X, readout=readout) for readout in ("after_update", "updated_latents_previous_gain"))
    P = some_weights(one)
    assert np.array_equal(full_network(one).outputs(P, x), full_network(other).outputs(P, x))


def test_what_the_simulator_refuses():
    net = low_rank(SMOOTH["tanh"])
    with pytest.raises(LearningError, match="a convention of the reduced model, without a counterpart"):
        full_network(dataclasses.replace(net, readout="updated_latents_previous_gain"))
    with pytest.raises(ValueError, match="accepted: an expression in one symbol"):
        full_network(dataclasses.replace(net, nonlinearity=nonlinearity(X + sympy.Symbol("y"))))
    with pytest.raises(ValueError, match="accepted: a function that SymPy differentiates"):
        full_network(dataclasses.replace(net, nonlinearity=nonlinearity(sympy.Function("f")(X))))


@pytest.mark.parametrize("wrong", [np.ones(6), np.array([1.5, -0.5]), np.array([1.0, 0.0]), np.full((2, 2), 0.25)])
def test_node_weights_are_positive_and_of_sum_one(wrong):
    with pytest.raises(ArrayError, match=r"node weights: found shape .* accepted: shape"):
        full_network(NONLINEAR[0], node_weights=wrong)


def test_shapes_of_weights_and_inputs():
    net = NONLINEAR[0]
    full, P, (x, y, _) = full_network(net), some_weights(net), trials_of(net)
    with pytest.raises(ArrayError, match=r"P: found shape .*; accepted: \(..., any, \d+\), meaning"):
        full.outputs(P[:, :-1], x)
    with pytest.raises(ArrayError, match=r"x: found shape .*; accepted: \(any, any, \d+\), meaning"):
        full.gradient(P, (x[0], y, None))


def test_as_many_node_weights_as_neurons():
    full = full_network(NONLINEAR[0], node_weights=uneven(5))
    with pytest.raises(ArrayError, match="found 6 rows of P for 5 node weights"):
        full.loss(some_weights(NONLINEAR[0]), trials_of(NONLINEAR[0]))


def test_a_node_of_double_weight_is_two_neurons():
    net = low_rank(SMOOTH["tanh"], rank=2, bias=True)
    P, trials = some_weights(net, 5), trials_of(net)
    twice = full_network(net).train(np.vstack([P, P[:1]]), trials, 0.1, 20)
    once = full_network(net, node_weights=np.array([2, 1, 1, 1, 1]) / 6).train(P, trials, 0.1, 20)
    for one, other in zip(once, twice, strict=True):
        assert np.abs(one.gram - other.gram).max() < 1e-13
        assert np.abs(one.weights - other.weights[:5]).max() < 1e-13
        assert one.loss == pytest.approx(other.loss, rel=1e-13)


def test_frozen_columns_stay():
    net = low_rank(SMOOTH["arctan"], rank=2, bias=True, ones=True, frozen=("m", "v"))
    P, trials = some_weights(net), trials_of(net)
    for optimizer in ("gradient_descent", "adam"):
        *_, last = full_network(net).train(P, trials, 0.01, 5, optimizer=optimizer)
        moved = (last.weights != P).any(axis=0)
        assert moved.tolist() == [False, True, True, False, False, True, True, False]


@pytest.mark.parametrize("settings", [(0.9, 0.999, 1e-8), (0.5, 0.8, 0.3)])
def test_adam_by_a_loop_over_weights(settings):
    net = low_rank(SMOOTH["tanh"], rank=2, frozen=("v",))
    w, P, lr = uneven(), some_weights(net), 0.02
    full = full_network(net, node_weights=w)
    beta, gamma, eps = settings
    optimizer = "adam" if settings == (0.9, 0.999, 1e-8) else Adam(*settings)
    moments = full.train(P, lambda k: trials_of(net, seed=k), lr, 8, optimizer=optimizer)
    reference, m, s = P.copy(), np.zeros_like(P), np.zeros_like(P)
    for k, moment in enumerate(moments, start=1):
        assert np.abs(moment.weights - reference).max() < 1e-13
        g = full.gradient(reference, trials_of(net, seed=k - 1))
        for i, c in np.ndindex(*P.shape):
            if c in (3, 4):
                continue
            m[i, c] += (1 - beta) * (g[i, c] / w[i] - m[i, c])
            s[i, c] += (1 - gamma) * ((g[i, c] / w[i]) ** 2 - s[i, c])
            reference[i, c] -= lr * m[i, c] / (1 - beta**k) / (math.sqrt(s[i, c] / (1 - gamma**k)) + eps)


def test_first_step_of_adam_has_the_length_of_the_rate():
    net = NONLINEAR[0]
    first, second = full_network(net).train(some_weights(net), trials_of(net), 0.01, 1, optimizer="adam")
    assert np.abs(second.weights - first.weights) == pytest.approx(0.01, rel=1e-4)


def test_unknown_optimizer():
    net = NONLINEAR[0]
    with pytest.raises(UnknownNameError, match="unknown optimizer 'adan'; did you mean 'adam'"):
        next(full_network(net).train(some_weights(net), trials_of(net), 0.1, 1, optimizer="adan"))
