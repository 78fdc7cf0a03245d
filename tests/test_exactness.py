"""The linear theory is exact: hundreds of steps of the full network and of the generated map, to rounding."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from symlow.simulate import FullNetwork
from tests.conftest import EXPONENTIAL, INTEGRATOR, NO_RESPONSE, compiled, derived, filters, weights

# A learning rate for each at which the loss falls by nine tenths within 500 steps.
RUNS = [
    ({"rank": 1, "task": {**EXPONENTIAL, "horizon": 5.0}}, 0.01),
    ({"rank": 2, "task": {**EXPONENTIAL, "horizon": 5.0}, "frozen": ("m",)}, 0.01),
    ({"rank": 2, "inputs": 2, "task": filters(1, 2, (EXPONENTIAL, INTEGRATOR))}, 0.01),
    ({"rank": 1, "outputs": 2, "task": filters(2, 1, (EXPONENTIAL,)), "readout": "before_update"}, 0.01),
    ({"rank": 3, "inputs": 2, "outputs": 2, "task": filters(2, 2, (EXPONENTIAL, NO_RESPONSE))}, 0.015),
    ({"rank": 3, "task": {**EXPONENTIAL, "horizon": 5.0}, "frozen": ("v", "z"), "tau": 0.8}, 0.02),
]


@pytest.mark.parametrize(("system", "lr"), RUNS)
def test_five_hundred_steps_of_fifty_neurons(system, lr):
    d, module = derived(**system), compiled(**system)
    network, P = FullNetwork(d.network, "sum_dt", 0.5), weights(d, 50, seed=3)
    sigma = (P.T @ P / 50)[module._ROWS, module._COLUMNS]
    in_overlaps = in_loss = 0.0
    losses = []
    for moment in network.train(P, d.loss.impulse_trials(), lr, 500):
        in_overlaps = max(in_overlaps, np.abs(module.gram(sigma) - moment.gram).max())
        in_loss = max(in_loss, abs(module.loss(sigma) - moment.loss))
        losses.append(moment.loss)
        sigma = module.step(sigma, lr)
    assert losses[-1] < 0.1 * losses[0]
    assert in_overlaps < 1e-11
    assert in_loss < 1e-11


@pytest.mark.parametrize(("system", "lr"), [RUNS[k] for k in (0, 1, 2, 4)])
def test_finite_difference_run_agrees_to_the_accuracy_of_the_differences(system, lr):
    # Twice the spacing has four times the truncation error, so the distance of the two gradients bounds the error of
    # the finer; a step moves an overlap by at most lr (|P_i|_1 + |P_j|_1) times it, and errors may grow: a margin of
    # ten. Twelve neurons: every step takes two losses for each of up to 120 weights.
    d, module = derived(**system), compiled(**system)
    network, P = FullNetwork(d.network, "sum_dt", 0.5), weights(d, 12, seed=3)
    trials, steps = d.loss.impulse_trials(), 30
    gradients = [network.finite_difference_gradient(P, trials, spacing) for spacing in (6e-6, 1.2e-5)]
    delta = np.abs(gradients[0] - gradients[1]).max()
    bound = 10 * steps * lr * 2 * np.abs(P).sum(axis=0).max() * delta
    assert bound < 1e-6
    sigma = (P.T @ P / 12)[module._ROWS, module._COLUMNS]
    for moment in network.train(P, trials, lr, steps, network.finite_difference_gradient):
        assert np.abs(module.gram(sigma) - moment.gram).max() <= bound
        sigma = module.step(sigma, lr)


@pytest.mark.parametrize("system", [system for system, _ in RUNS])
def test_euler_step_of_the_flow_is_off_by_the_square_of_the_learning_rate(system):
    d, module = derived(**system), compiled(**system)
    P = weights(d, 50, seed=3)
    sigma = (P.T @ P / 50)[module._ROWS, module._COLUMNS]
    rates = 0.1 * 2.0 ** -np.arange(6)
    euler = sigma + rates[:, None] * module.rhs(0.0, sigma)
    errors = np.abs(module.step(sigma, rates) - euler).max(axis=-1)
    assert np.log2(errors[:-1] / errors[1:]) == pytest.approx(2, abs=1e-6)


def test_descent_tends_to_the_flow_linearly_in_the_learning_rate():
    system, lr = RUNS[0]
    d, module = derived(**system), compiled(**system)
    P = weights(d, 50, seed=3)
    start = (P.T @ P / 50)[module._ROWS, module._COLUMNS]

    def descended(rate, steps):
        sigma = start
        for _ in range(steps):
            sigma = module.step(sigma, rate)
        return sigma

    ends = [descended(lr / 2**k, 50 * 2**k) for k in range(6)]
    errors = [np.abs(a - b).max() for a, b in itertools.pairwise(ends)]
    assert np.log2(errors[-2] / errors[-1]) == pytest.approx(1, abs=0.03)
