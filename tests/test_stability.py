"""Stability: against the Hessian of the full network by differences, the Jacobian, and learning itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import least_squares
from sympy import Rational

import symlow
from symlow.errors import ArrayError, GramMatrixError, LearningError
from symlow.initial import overlaps_of_weights
from symlow.simulate import FullNetwork
from tests.conftest import (
    EXPONENTIAL,
    INTEGRATOR,
    OSCILLATION,
    compiled,
    derived,
    filters,
    random_trials,
    weights,
    with_rates,
)

TRIALS = {"kind": "trials"}
SYSTEMS = [
    {"rank": 1},
    {"rank": 2, "task": {**OSCILLATION, "horizon": 4.0}, "frozen": ("m",)},
    {"rank": 1, "inputs": 2, "outputs": 2, "task": filters(2, 2, (EXPONENTIAL, INTEGRATOR), 3.0)},
]


def network_hessian(d, P, trials, spacing=1e-3):
    """The matrix of N D^(1/2) (Hess_P L) D^(1/2), by fourth-order differences of the full network's gradient."""
    network = FullNetwork(d.network, d.loss.reduction, float(d.loss.factor))
    scale = np.sqrt(len(P) * np.broadcast_to(network.rates, P.shape)).ravel()
    rows = []
    for k in range(P.size):
        step = np.zeros(P.size)
        step[k] = spacing
        one, two = (
            network.gradient(P + j * step.reshape(P.shape), trials)
            - network.gradient(P - j * step.reshape(P.shape), trials)
            for j in (1, 2)
        )
        rows.append(scale[k] * scale * (8 * one - two).ravel() / (12 * spacing))
    return np.array(rows)


def solution(d, module, start, trials):
    """Overlaps near ``start`` whose outputs are the targets, by least squares over the visible ones."""
    visible = module.N_VISIBLE

    def error(values):
        return (module.outputs(np.concatenate([values, start[visible:]]), trials[0]) - trials[1]).ravel()

    found = least_squares(error, start[:visible], xtol=1e-15, ftol=1e-15, gtol=1e-15).x
    return np.concatenate([found, start[visible:]])


def exponential_solution(norm, scale=1.0):
    """Overlaps of a network of one function; norms of carriers are norm * scale, those of readers norm / scale."""
    d, module = derived(), compiled()
    start = np.array([0.9, 0.8, 0.9, 0.7, 0, 0, norm * scale, norm * scale, norm / scale, norm / scale])
    return d, module, solution(d, module, start, d.loss.impulse_trials())


@pytest.mark.parametrize(
    "d",
    [*(derived(**system) for system in SYSTEMS), with_rates(derived(), u=Rational(1, 3), m=Rational(2))],
    ids=["rank 1", "frozen m", "two outputs", "rates"],
)
def test_spectrum_is_that_of_the_full_network_anywhere(d):
    N = 9
    P = weights(d, N, seed=1)
    columns = P.shape[1]
    found = symlow.stability(d, overlaps_of_weights(d, P))
    assert not found.at_solution
    exact = np.linalg.eigvalsh(network_hessian(d, P, d.loss.impulse_trials()))
    frozen = N * (columns - found.outer_curvatures.shape[-1])
    spectrum = [found.curvatures, np.repeat(found.outer_curvatures, N - columns), np.zeros(frozen)]
    assert np.sort(np.concatenate(spectrum)) == pytest.approx(exact, abs=1e-8 * np.abs(exact).max())
    assert found.sharpness == pytest.approx(exact[-1], rel=1e-8)


def test_rates_at_a_solution_are_those_of_all_neurons():
    """Minus the nonzero eigenvalues of the network's Hessian, and the nonzero eigenvalues of the Jacobian."""
    d, module, sigma = exponential_solution(2.5)
    found = symlow.stability(d, sigma)
    assert found.at_solution
    assert module.loss(sigma) < 1e-15
    P = math.sqrt(6) * np.linalg.qr(weights(d, 6))[0] @ np.linalg.cholesky(module.gram(sigma)).T
    assert overlaps_of_weights(d, P) == pytest.approx(sigma, abs=1e-14)
    neurons = np.linalg.eigvalsh(network_hessian(d, P, d.loss.impulse_trials()))
    flow = np.sort(np.linalg.eigvals(module.jacobian(sigma)).real)
    largest = found.sharpness
    for spectrum in (-neurons[::-1], flow):
        assert spectrum[:3] == pytest.approx(found.eigenvalues[:3], abs=1e-7 * largest)
        assert np.abs(spectrum[3:]).max() < 1e-7 * largest
    assert -found.eigenvalues[0] == pytest.approx(found.sharpness, rel=1e-12)
    assert np.abs(found.outer_curvatures).max() < 1e-10
    # z_m, v_u and the product z_u v_m are determined, the ratio of z_u and v_m and six invisible overlaps are free.
    assert (found.zero_modes, found.growing_modes) == (7, 0)


def test_learning_converges_below_the_largest_stable_rate_and_not_above():
    """Along the fastest mode by the factor 1 - lr * sharpness a step."""
    d, module, sigma = exponential_solution(2.5)
    found = symlow.stability(d, sigma)
    values, vectors = np.linalg.eig(module.jacobian(sigma))
    deviation = 1e-7 * vectors[:, np.argmin(values.real)].real
    for part, factor in ((0.9, -0.8), (1.1, -1.2)):
        state = sigma + deviation
        for _ in range(5):
            state = module.step(state, part * found.largest_stable_lr)
        assert state - sigma == pytest.approx(factor**5 * deviation, abs=1e-4 * np.abs(deviation).max())


def with_rule(**learning):
    """The derivation of the conventional network of rank 1 with another learning rule."""
    content = derived().spec.model_dump(mode="json")
    return symlow.derive(symlow.Spec.model_validate({**content, "learning": learning}))


@pytest.mark.parametrize(
    "learning", [{"rule": "momentum", "momentum": 0.5}, {"rule": "nesterov", "momentum": 0.9}, {"clip": 0.5}]
)
def test_largest_stable_rate_is_that_of_the_rule(learning):
    """Deviations of the rule's own steps fall below it, and grow above it; velocities are no free directions."""
    plain, _, solved = exponential_solution(2.5)
    d = with_rule(**learning)
    module, sigma = d.compile(), np.zeros(len(d.overlaps))
    sigma[[d.overlaps.index(name) for name in plain.overlaps]] = solved
    found = symlow.stability(d, sigma, module=module)
    assert (found.at_solution, found.zero_modes, found.overlaps) == (True, 7, 10)
    deviation = 1e-9 * np.eye(len(sigma))[: len(d.visible)].sum(axis=0)
    for part, grows in ((0.95, False), (1.05, True)):
        states = [sigma + deviation]
        for _ in range(60):
            states.append(module.step(states[-1], part * found.largest_stable_lr))
        moved = np.abs(np.diff(states, axis=0)).max(axis=1)
        assert (moved[-1] > moved[29]) == grows


def test_sharpness_varies_through_invisible_overlaps():
    """Networks of one function: twice the norms, half the learning rate; unbalanced ones are sharper."""
    d, module, plain = exponential_solution(2.5)
    states = np.stack([plain, exponential_solution(5.0)[2], exponential_solution(3.4, 2.5)[2]])
    assert np.abs(states[:, : module.N_VISIBLE] - plain[: module.N_VISIBLE]).max() < 1e-12
    found = symlow.stability(d, states)
    assert found.at_solution.all()
    assert found.sharpness[1] == pytest.approx(2 * found.sharpness[0], rel=1e-9)
    assert found.slowest_rate[1] == pytest.approx(2 * found.slowest_rate[0], rel=1e-6)
    assert found.sharpness[2] > found.sharpness[0] * 1.5
    assert np.all(found.largest_stable_lr * found.sharpness == pytest.approx([2, 2, 2]))


def test_saddle():
    """Without recurrence, and with the best direct path, the gradient vanishes; z_u and v_m can grow together."""
    d, module = derived(), compiled()
    sigma = np.array([0.0, 0, 0, 0, 0, 0, 4, 4, 4, 4])
    sigma[0] -= module.loss_gradient(sigma)[0] / module.loss_hessian(sigma)[0, 0]
    found = symlow.stability(d, sigma)
    assert found.at_solution
    assert found.growing_modes == 1
    growth = np.linalg.eigvals(module.jacobian(sigma)).real.max()
    assert found.eigenvalues[-1] == pytest.approx(growth, rel=1e-9)
    assert found.eigenvalues[-1] == pytest.approx(-found.curvatures[-1], rel=1e-9)
    assert "1 growing" in str(found)
    moving = symlow.stability(d, sigma + 0.1 * np.eye(10)[0])
    assert not moving.at_solution
    assert "not a solution" in str(moving)


def test_closure_is_as_sharp_as_the_network_on_the_span_of_its_weights():
    """A nonlinear network at a solution: Rayleigh quotients of its Hessian along dP = P X, and the whole of it."""
    d, module, N = derived(TRIALS, nonlinearity="erf", dt=0.2), compiled(TRIALS, nonlinearity="erf", dt=0.2), 4000
    P = weights(d, N, seed=2) @ np.array([[1, 0.3, 0.2, 0.3], [0, 1, 0.9, 0.8], [0, 0, 1, 0], [0, 0, 0, 1]])
    x = 2 * np.random.default_rng(0).standard_normal((3, 15, 1))
    network, sigma = FullNetwork(d.network, "sum_dt", 0.5), overlaps_of_weights(d, P)
    trials = x, network.outputs(P, x), None
    found = symlow.stability(d, sigma, (x, module.outputs(sigma, x)))
    assert found.at_solution

    def hessian(change, spacing=1e-4):
        above, below = (network.gradient(P + side * spacing * change, trials) for side in (1, -1))
        return N * (above - below) / (2 * spacing)

    basis = np.linalg.qr(P)[0]
    changes = [basis[:, [a]] * np.eye(4)[b] * math.sqrt(N) for a in range(4) for b in range(4)]
    images = [hessian(change) / N for change in changes]
    on_span = np.array([[np.sum(image * change) for change in changes] for image in images])
    assert np.linalg.eigvalsh((on_span + on_span.T) / 2)[-1] == pytest.approx(found.sharpness, rel=0.05)
    direction = changes[0]
    for _ in range(20):
        direction = hessian(direction / np.linalg.norm(direction) * math.sqrt(N))
    whole = np.linalg.norm(direction) / math.sqrt(N)
    assert whole > found.sharpness


def test_batches_and_trials():
    d, module = derived({**OSCILLATION, "horizon": 4.0}, rank=2), compiled({**OSCILLATION, "horizon": 4.0}, rank=2)
    sigma = np.stack([overlaps_of_weights(d, weights(d, 30, seed)) for seed in range(6)]).reshape(2, 3, -1)
    for trials in (None, random_trials(d)):
        together = symlow.stability(d, sigma, trials, module)
        assert together.eigenvalues.shape == (2, 3, len(d.visible))
        for i, j in np.ndindex(2, 3):
            singly = symlow.stability(d, sigma[i, j], trials, module)
            assert together.curvatures[i, j] == pytest.approx(singly.curvatures, abs=1e-12 * singly.sharpness)
            assert together.zero_modes[i, j] == singly.zero_modes
    assert len(str(together).splitlines()) == 6


def test_what_is_not_accepted():
    d = derived()
    sigma = overlaps_of_weights(d, weights(d))
    with pytest.raises(ArrayError, match=r"sigma: found shape \(9,\); accepted: \(10,\)"):
        symlow.stability(d, sigma[:-1])
    with pytest.raises(GramMatrixError, match="positive semidefinite"):
        symlow.stability(d, np.stack([np.stack([sigma, -sigma])]))
    with pytest.raises(LearningError, match="no vector is trained"):
        symlow.stability(derived(frozen=("m", "u", "v", "z")), sigma)
    with pytest.raises(LearningError, match=r"learning.weight_decay: found 0.1, .* no solution stays one"):
        symlow.stability(with_rule(weight_decay=0.1), sigma)
    with pytest.raises(LearningError, match="trials: the task has no closed-form loss"):
        symlow.stability(derived(TRIALS), sigma)
    endless = derived({**EXPONENTIAL, "horizon": math.inf})
    sigma[endless.overlaps.index("v_u")] = 1.2
    sigma[endless.overlaps.index("v_v")] = sigma[endless.overlaps.index("u_u")] = 3.0
    with pytest.raises(LearningError, match="the loss is not finite"):
        symlow.stability(endless, sigma)
