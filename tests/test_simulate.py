"""The full-N simulator on its own: backpropagation against differences, whose error has order two, and training."""

from __future__ import annotations

import numpy as np
import pytest

from symlow.simulate import FullNetwork
from tests.conftest import derived, random_trials, weights

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
