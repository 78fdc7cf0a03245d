"""Derivations as text: what ``print(d)`` says of nonlinear networks and of generated tasks."""

from __future__ import annotations

import pytest

from tests.conftest import derived

TRIALS = {"kind": "trials"}


def text(task=TRIALS, **network):
    return str(derived(task=task, **network))


def test_linear_network_has_no_gain():
    printed = text(bias=True)
    assert "tau dh/dt = -h + M*x + U*a + B\n" in printed
    assert "    a = Sigma_v_m*kappa_m + Sigma_v_u*kappa_u + Sigma_v_b*kappa_b\n" in printed
    assert "    kappa_b[t+1] = kappa_b + (dt/tau)*(1 - kappa_b)\n" in printed
    assert "    y[t] = Sigma_z_m*kappa_m + Sigma_z_u*kappa_u + Sigma_z_b*kappa_b   at kappa[t+1]\n" in printed
    assert "E[" not in printed


def test_statistics_and_gain():
    printed = text(nonlinearity="erf")
    assert (
        "Delta = kappa_m.T*Sigma_m_m*kappa_m + 2*kappa_m.T*Sigma_m_u*kappa_u + kappa_u.T*Sigma_u_u*kappa_u\n" in printed
    )
    assert "g(Delta) = E[phi'(sqrt(Delta)*xi)] = 1/sqrt(pi*Delta/2 + 1)\n" in printed
    assert "a = g*(Sigma_v_m*kappa_m + Sigma_v_u*kappa_u)\n" in printed
    assert "Chebyshev" not in printed
    assert "relative error < 1e-12" in text(nonlinearity="tanh")
    assert "= 1/2, whatever the variance" in text(nonlinearity="relu")


def test_means():
    printed = text(nonlinearity="erf", means=True, readout="updated_latents_previous_gain")
    assert "mu = Sigma_m_one.T*kappa_m + Sigma_u_one.T*kappa_u\n" in printed
    assert " + kappa_u.T*Sigma_u_u*kappa_u - mu**2\n" in printed
    assert "a = g*(Sigma_v_m*kappa_m + Sigma_v_u*kappa_u - mu*Sigma_v_one) + phibar*Sigma_v_one\n" in printed
    assert "at kappa[t+1], g, phibar, mu at kappa[t]\n" in printed
    assert "x_one is the mean of x over neurons; one_one = 1" in printed
    assert "without a closed form" in text(nonlinearity="tanh", means=True)


@pytest.mark.parametrize(("reduction", "words"), [
    ("sum_dt", "L = 1/2 dt * sum over time and outputs of mask*(y - target)^2, mean over trials"),
    ("masked_mean", "L = 1/2 * sum over trials, time and outputs of mask*(y - target)^2, divided by the sum of mask"),
])  # fmt: skip
def test_loss_of_trials(reduction, words):
    assert words in text({"kind": "trials", "loss": {"reduction": reduction}})


def test_generated_task():
    printed = text({"kind": "decision_making", "data": "fixed"}, nonlinearity="tanh")
    assert "decision making: Report the sign of noisy evidence" in printed
    assert "coherences = (-0.512, -0.256, ..., 0.512)" in printed
    assert "128 trials a batch, one batch, the same at all steps." in printed
    assert "given at call time" not in printed


def test_validity():
    printed = text(nonlinearity="erf")
    assert "asymptotically exact: Where the rows of P are jointly Gaussian" in printed
    assert "the part of second order in lr is a closure" in printed
    assert "Gradient descent, exactly:" in text()
