"""Verification: it passes on what is right, fails on what is wrong, and certifies both."""

from __future__ import annotations

import json
import math
import types

import pytest

import symlow
from symlow.errors import LearningError
from tests.conftest import EXPONENTIAL, INTEGRATOR, OSCILLATION, derived, filters

SYSTEMS = [
    {"rank": 1},
    {"rank": 2, "inputs": 2, "task": filters(1, 2, (EXPONENTIAL, OSCILLATION), 2.0), "frozen": ("v",)},
    {"rank": 2, "outputs": 2, "task": {"kind": "trials", "loss": {"reduction": "masked_mean"}}},
    {"rank": 1, "task": {**EXPONENTIAL, "decay": 2.0, "horizon": float("inf")}, "dt": 0.2},
]


@pytest.mark.parametrize("system", SYSTEMS)
def test_passes(system, tmp_path):
    d = derived(**system)
    certificate = symlow.verify(d, neurons=12, steps=4)
    assert certificate.passed, [check for check in certificate.checks if not check.passed]
    saved = json.loads(certificate.save(tmp_path / "certificate.json").read_text())
    assert saved["passed"] is True
    assert saved["digest"] == d.spec.digest
    assert len(saved["checks"]) == len(certificate.checks) >= 9
    assert set(saved["checks"][0]) == {"name", "error", "bound", "why", "passed", "resolution"}


MUTATIONS = [
    # (what is wrong, text, instead, checks that must notice it)
    ("a cotangent", "P_V, P_U] = _summed(", "P_V, P_U] = 1.001 * _summed(", {"gradient", "overlaps"}),
    ("a term of the flow", "half = -2 * Sigma", "half = -2.001 * Sigma", {"dSigma/dt", "order"}),
    ("the finite step", "K = np.eye(N_COLUMNS) - 2", "K = np.eye(N_COLUMNS) - 2.0001", {"overlaps", "order"}),
    ("the read-out", "return kappa_m[read]", "return 1.0001 * kappa_m[read]", {"output", "loss"}),
    ("the closed read-out", "G[..., :, K_U] = Sigma", "G[..., :, K_U] = 1.0001 * Sigma", {"closed form"}),
    ("the closed form", "WEIGHT = ", "WEIGHT = 1.0001 * ", {"closed form"}),
    ("the reverse pass", "half = dot(Et, half)", "half = dot(Et, half) * 1.0001", {"closed form"}),
]


@pytest.mark.parametrize(("wrong", "text", "instead", "noticed"), MUTATIONS, ids=[m[0] for m in MUTATIONS])
def test_fails_on_a_module_that_is_wrong(wrong, text, instead, noticed):
    d = derived()
    source = d.source()
    assert source.count(text) == 1
    module = types.ModuleType("wrong")
    exec(source.replace(text, instead), module.__dict__)
    certificate = symlow.verify(d, neurons=12, steps=4, module=module)
    failed = " | ".join(check.name for check in certificate.checks if not check.passed)
    assert not certificate.passed
    for word in noticed:
        assert word in failed


def test_what_is_frozen_altogether_passes():
    assert symlow.verify(derived(frozen=("m", "u", "v", "z")), neurons=12, steps=2).passed


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({**INTEGRATOR, "horizon": math.inf}, "the loss is infinite at the initial weights"),
        ({**EXPONENTIAL, "decay": 0.001, "horizon": math.inf}, "the responses do not vanish within 16384 time steps"),
        ({**EXPONENTIAL, "horizon": 1e6}, "task.horizon: found 20000000 time steps; accepted for verification"),
    ],
)
def test_losses_that_cannot_be_simulated_are_refused(task, message):
    with pytest.raises(LearningError, match=message):
        symlow.verify(derived(task))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neurons": 0}, "neurons: found 0; accepted: an integer >= 1"),
        ({"steps": 0}, "steps: found 0"),
        ({"lr": float("nan")}, "lr: found nan"),
        ({"seed": -1}, "seed: found -1"),
        ({"lr": 1e3, "steps": 9}, "diverged at lr = 1000"),
    ],
)
def test_settings_out_of_range(options, message):
    d = derived()
    with pytest.raises(LearningError, match=message):
        symlow.verify(d, **options)
