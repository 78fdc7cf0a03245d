"""The step of latents on arrays, against outputs of the generated module and against fixed points known otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import scipy.special

import symlow
from symlow.errors import ArrayError, LearningError
from symlow.latent_step import LatentStep
from symlow.response import random_overlaps
from tests.conftest import compiled, derived, states

SLOPE = np.sqrt(np.pi) / 2  # of the erf nonlinearity, whose slope at 0 is 1

TRIALS = {"kind": "trials"}

NEUROMODULATED = {
    "name": "neuromodulated",
    "network": {
        "nonlinearity": "linear",
        "dt": 0.1,
        "dynamics": [
            "h' = -h + U*hadamard(s, a) + M*x",
            "5*c' = -c + G.T*phi(h)/N",
            "a = V.T*phi(h)/N",
            "s = sigmoid(c)",
            "y = Z.T*phi(h)/N",
        ],
        "vectors": {"m": 1, "u": 2, "v": 2, "g": 2, "z": 1},
        "environment": {"c": 2},
    },
    "task": TRIALS,
}


def slope_of(name):
    """phi' by hand."""
    return {
        "linear": np.ones_like,
        "erf": lambda h: np.exp(-np.pi * h**2 / 4),
        "tanh": lambda h: 1 - np.tanh(h) ** 2,
    }[name]


def mean_slope(name, variance):
    """E[phi'(sqrt(variance) xi)] by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    return slope_of(name)(np.sqrt(variance)[..., None] * nodes) @ weights / weights.sum()


def outputs_by_hand(d, module, sigma, x, name="linear"):
    """Outputs from latents stepped one by one and read out by hand, y = g z^T (M kappa_m + U kappa_u) / N."""
    step = LatentStep(d, sigma)
    carriers = [k for k, label in enumerate(step.names) if label.startswith(("kappa_m", "kappa_u"))]
    columns = np.r_[module.P_M, module.P_U]
    gram = module.gram(sigma)
    kappa, read = np.zeros((len(x), len(step.names))), []
    for t in range(x.shape[1]):
        kappa = step(kappa, x[:, t])
        own = kappa[:, carriers]
        variance = np.einsum("bi,ij,bj->b", own, gram[np.ix_(columns, columns)], own)
        read.append(mean_slope(name, variance)[:, None] * (own @ gram[np.ix_(columns, np.r_[module.P_Z])]))
    return np.stack(read, axis=1)


@pytest.mark.parametrize(("name", "rank"), [("linear", 2), ("erf", 1), ("tanh", 2)])
def test_outputs_are_those_of_the_module(name, rank):
    d, module = (make(task=TRIALS, rank=rank, nonlinearity=name) for make in (derived, compiled))
    sigma, x = states(module, 1)[0], np.random.default_rng(1).standard_normal((3, 30, 1))
    assert outputs_by_hand(d, module, sigma, x, name) == pytest.approx(module.outputs(sigma, x), abs=1e-11)


@pytest.mark.parametrize(("name", "phi"), [("tanh", np.tanh), ("erf", lambda h: scipy.special.erf(SLOPE * h))])
def test_means_and_mean_activities(name, phi):
    d, module = (make(task=TRIALS, nonlinearity=name, means=True) for make in (derived, compiled))
    sigma, x = random_overlaps(d, np.random.default_rng(3)), np.random.default_rng(1).standard_normal((3, 25, 1))
    step, at = LatentStep(d, sigma), dict(zip(d.overlaps, sigma, strict=True))
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    kappa, read = np.zeros((3, 2)), []
    for t in range(x.shape[1]):
        kappa = step(kappa, x[:, t])
        m, u = kappa.T
        mean = at["m_one"] * m + at["u_one"] * u
        variance = at["m_m"] * m**2 + 2 * at["m_u"] * m * u + at["u_u"] * u**2 - mean**2
        h = mean[:, None] + np.sqrt(variance)[:, None] * nodes
        gain, activity = (f(h) @ weights / weights.sum() for f in (slope_of(name), phi))
        seen = at["z_m"] * m + at["z_u"] * u
        read.append(gain * (seen - mean * at["z_one"]) + activity * at["z_one"])
    assert np.array(read).T[..., None] == pytest.approx(module.outputs(sigma, x), abs=1e-9)


def test_gates_and_environments_are_stepped():
    d = symlow.derive(symlow.Spec.model_validate(NEUROMODULATED))
    module = d.compile()
    sigma, x = states(module, 1)[0], np.random.default_rng(1).standard_normal((2, 40, 1))
    assert LatentStep(d, sigma).names == ("kappa_m", "kappa_u1", "kappa_u2", "kappa_c1", "kappa_c2")
    assert outputs_by_hand(d, module, sigma, x) == pytest.approx(module.outputs(sigma, x), abs=1e-12)


def flip_flop(v_u=2.0):
    """The derivation of an erf network of rank 1 with a strong feedback, and its overlaps."""
    d = derived(task=TRIALS, nonlinearity="erf")
    given = {"z_u": 2.0, "v_m": 2.0, "v_u": v_u, "m_m": 1.5, "u_u": 1.5, "v_v": 9.0, "z_z": 9.0}
    return d, np.array([given.get(name, 0.0) for name in d.overlaps])


def test_gains_without_a_limit_are_zero_where_nothing_varies():
    """phi = sign has the gain sqrt(2 / (pi Delta)): what rounding leaves of u_u and v_u is not to be blown up by it."""
    d = derived(task=TRIALS, nonlinearity="sign")
    given = {"m_m": 1.0, "u_u": -1e-14, "v_u": 1e-12, "v_m": 0.5, "v_v": 1.0, "z_z": 1.0}
    step = LatentStep(d, np.array([given.get(name, 0.0) for name in d.overlaps]))
    assert step(np.array([0.0, 1.0]), np.zeros(1)) == pytest.approx([0.0, 0.95], abs=1e-12)
    # Elsewhere as it is: kappa_u moves by dt g v_m kappa_m with g = sqrt(2 / pi) / |kappa_m|.
    assert step(np.array([2.0, 0.0]), np.zeros(1)) == pytest.approx([1.9, 0.05 * 0.5 * np.sqrt(2 / np.pi)], abs=1e-12)


def test_fixed_points_of_a_flip_flop_and_their_stability():
    d, sigma = flip_flop()
    step = LatentStep(d, sigma)
    # kappa_u = g(u_u kappa_u^2) v_u kappa_u with g = (1 + pi Delta / 2)^(-1/2) by hand.
    expected = np.sqrt((2.0**2 - 1) * 2 / (np.pi * 1.5))
    starts = np.random.default_rng(0).uniform(-2, 2, (40, 2))
    points, moduli = step.fixed_points(starts, np.zeros(1))
    assert np.sort(points[:, 1]) == pytest.approx([-expected, 0, expected], abs=1e-9)
    assert points[:, 0] == pytest.approx(0, abs=1e-9)
    stable = {round(float(point[1]), 6): bool(modulus < 1) for point, modulus in zip(points, moduli, strict=True)}
    assert [stable[key] for key in sorted(stable)] == [True, False, True]
    assert step.run(np.array([[0.1, 0.2]]), np.zeros(1), 2000)[-1, 0] == pytest.approx([0, expected], abs=1e-6)


def test_input_moves_what_is_at_rest():
    d, sigma = flip_flop(v_u=0.5)
    step = LatentStep(d, sigma)
    assert step.driven == (False, True)
    assert step.at_rest(np.array([0.7]), free=[1]) == pytest.approx([0.7, 0], abs=1e-8)
    assert step.at_rest(np.array([0.7]), free=[], held={0: 0.3})[0] == 0.3
    assert step.at_rest(np.array([0.7]), free=[], held={1: -0.4}) == pytest.approx([0.7, -0.4], abs=1e-8)
    (point,), _ = step.fixed_points(np.zeros((1, 2)), np.array([0.7]))
    equation = lambda k: k - (2.0 * 0.7 + 0.5 * k) / np.sqrt(1 + np.pi / 2 * 1.5 * (0.7**2 + k**2))  # noqa: E731
    assert point == pytest.approx([0.7, scipy.optimize.brentq(equation, 0, 5)], abs=1e-9)


def test_what_is_wrong_is_said():
    d, sigma = flip_flop()
    with pytest.raises(ArrayError, match="latents: found 'kappa_q'; accepted: kappa_m, kappa_u"):
        LatentStep(d, sigma).positions(["kappa_q"])
    linear = derived(rank=2)
    growing = np.array([{"v1_u1": 3.0, "v1_m": 1.0}.get(name, 1.0 * (name[0] == name[-1])) for name in linear.overlaps])
    with pytest.raises(LearningError, match="do not settle; say in `held`"):
        LatentStep(linear, growing).at_rest(np.ones(1), free=[2])
