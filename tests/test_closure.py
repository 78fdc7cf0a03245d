"""Verification of nonlinear systems: it passes on what is right, notices what is wrong, and measures the drift."""

from __future__ import annotations

import dataclasses
import json
import types

import numpy as np
import pytest

import symlow
from symlow import closure
from symlow.batches import task_batches
from symlow.certificate import check
from symlow.closure import ClosureVerification, drift_measurements
from symlow.drift import drift
from symlow.initial import sample_weights
from symlow.verify import verification_trials
from tests.conftest import compiled, derived

TRIALS = {"kind": "trials"}
FLIP_FLOP = {"kind": "flip_flop", "duration": 3.0, "pulse_rate": 1.0, "batch": 4}


@pytest.fixture(autouse=True)
def few_neurons(monkeypatch):
    """The fit over few, small networks is quick, and as telling."""
    monkeypatch.setattr(closure, "NEURONS", (250, 1000, 4000))
    monkeypatch.setattr(closure, "SEEDS", 3)
    monkeypatch.setattr(closure, "SOBOL_NODES", 2**12)


SYSTEMS = [
    {"rank": 1, "nonlinearity": "erf"},
    {"rank": 2, "nonlinearity": "tanh", "task": FLIP_FLOP, "frozen": ("m",)},
    {"rank": 1, "nonlinearity": "relu", "means": True, "bias": True},
    {"rank": 1, "nonlinearity": "arctan", "inputs": 3, "readout": "before_update"},
]


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system["nonlinearity"])
def test_passes(system, tmp_path):
    d = derived(**{"task": TRIALS, **system})
    certificate = symlow.verify(d, neurons=60, steps=3)
    assert certificate.passed, [check for check in certificate.checks if not check.passed]
    names = " | ".join(check.name for check in certificate.checks)
    for part in ("50 digits", "complex steps", "output, reduced / infinite width", "dSigma/dt, rhs", "exponent in N"):
        assert part in names
    measured = {measurement.name: measurement.value for measurement in certificate.measurements}
    assert 0.05 < measured["prefactor of the flow's error in N"] < 20
    assert measured["deviation of overlaps at the end"] < 0.2
    of_columns = [column for column in d.reduction.index.columns if column.vector not in d.network.ones]
    assert sum(name.startswith("kurtosis") for name in measured) == len(of_columns)
    saved = json.loads(certificate.save(tmp_path / "certificate.json").read_text())
    assert {statement["validity"] for statement in saved["statements"]} == {"exact", "asymptotically exact", "closure"}
    assert len(saved["measurements"]) == len(measured)


def test_reduced_and_infinitely_wide_network_agree_to_rounding_where_phi_is_smooth():
    d = derived(TRIALS, nonlinearity="erf")
    checks = {check.name: check for check in symlow.verify(d, neurons=20, steps=1).checks}
    assert checks["output, reduced / infinite width"].error < 1e-12
    assert checks["dSigma/dt, rhs / infinite width"].error < 1e-12
    assert checks["output, reduced / infinite width"].resolution < 1e-12


def test_a_verdict_says_what_the_quadrature_resolves():
    """With seven vectors that carry activity nodes are quasi-random: a coarse comparison, which says that it is."""
    network = {"rank": 2, "inputs": 4, "nonlinearity": "tanh(x) + 0.1*x", "bias": True, "means": True}
    d = derived({"kind": "trials"}, **network)
    module = d.compile()
    trials = verification_trials(d, module, np.zeros(len(d.overlaps)), 0)
    one = ClosureVerification(d, module, trials, 0, iter).output()
    assert one.passed
    assert 1e-3 < one.resolution < 0.05
    assert one.bound == pytest.approx(5 * one.resolution, abs=1e-9)
    assert one.verdict == f"pass, resolved to {one.resolution:.1g}"
    exact = check("gradient", 0.0, 1e-10, "rounding")
    assert (exact.resolution, exact.verdict) == (None, "pass")


def test_vectors_of_ones_have_no_kurtosis():
    d = derived(TRIALS, nonlinearity="erf", means=True)
    trials = verification_trials(d, d.compile(), np.zeros(len(d.overlaps)), 0)
    run = drift(d, sample_weights(d, 40, 1.0, 0), 0.01, 1, lambda step: trials)
    named = [one.name.split()[2] for one in drift_measurements(run) if one.name.startswith("kurtosis")]
    assert named == [column.label for column in d.reduction.index.columns if column.vector != "one"]
    assert "one</" not in run._repr_html_().partition("Gaussianity")[2]


MUTATIONS = [
    ("the gain", "return 1 / np.sqrt(1.57", "return 1.001 / np.sqrt(1.57", {"output", "dSigma/dt", "50 digits"}),
    ("its derivative", "return -0.785", "return -0.786", {"dSigma/dt", "complex steps", "50 digits"}),
    (
        "the variance",
        "multiply(form_1_1, kappa",
        "multiply(1.01 * form_1_1, kappa",
        {"output", "dSigma/dt", "50 digits"},
    ),
    ("a cotangent of the gain", "g_step = ALPHA", "g_step = 1.01 * ALPHA", {"dSigma/dt", "complex steps", "50 digits"}),
    ("the flow", "half = -2 * Sigma", "half = -2.01 * Sigma", {"dSigma/dt"}),
]


@pytest.mark.parametrize(("wrong", "text", "instead", "noticed"), MUTATIONS, ids=[m[0] for m in MUTATIONS])
def test_fails_on_a_module_that_is_wrong(wrong, text, instead, noticed, monkeypatch):
    d = derived(TRIALS, nonlinearity="erf")
    source = d.source()
    assert source.count(text) == 1
    module = types.ModuleType("wrong")
    exec(source.replace(text, instead), module.__dict__)
    monkeypatch.setattr(closure, "NEURONS", (100, 200))
    certificate = symlow.verify(d, neurons=20, steps=1, module=module)
    failed = " | ".join(check.name for check in certificate.checks if not check.passed)
    assert not certificate.passed
    for word in noticed:
        assert word in failed


def test_an_error_that_does_not_fall_with_the_number_of_neurons_is_noticed(monkeypatch):
    """A flow off by half a percent passes for noise in small networks, and not in large ones."""
    d = derived(TRIALS, nonlinearity="erf")
    module = types.ModuleType("wrong")
    exec(d.source().replace("half = -2 * Sigma", "half = -2.2 * Sigma"), module.__dict__)
    trials = verification_trials(d, module, np.zeros(10), 0)
    wrong = ClosureVerification(d, module, trials, 0, iter).checks()[-1]
    right = ClosureVerification(d, compiled(TRIALS, nonlinearity="erf"), trials, 0, iter).checks()[-1]
    assert not wrong.passed
    assert right.passed
    assert right.error < -0.35 < wrong.error


def test_what_is_frozen_altogether_passes():
    certificate = symlow.verify(derived(TRIALS, frozen=("m", "u", "v", "z"), nonlinearity="erf"), neurons=20, steps=1)
    assert certificate.passed


def test_a_reduced_read_out_is_compared_with_digits_only():
    d = derived(TRIALS, nonlinearity="erf", readout="updated_latents_previous_gain")
    certificate = symlow.verify(d, neurons=20, steps=1)
    assert certificate.passed
    assert [check.name for check in certificate.checks] == ["gradient (7 of 7) / 50 digits", "gradient / complex steps"]
    assert any("convention of the reduced model" in statement.text for statement in certificate.statements)


def test_jumps_have_an_output_and_no_gradient():
    d = derived(TRIALS, nonlinearity="sign")
    certificate = symlow.verify(d, neurons=20, steps=1)
    names = [check.name for check in certificate.checks]
    assert "output, reduced / infinite width" in names
    assert not any("dSigma/dt" in name for name in names)
    assert any("jumps" in statement.text for statement in certificate.statements)


def test_drift_of_a_linear_network_is_none():
    d = derived({**FLIP_FLOP}, rank=2)
    run = symlow.drift(d, sample_weights(d, 40, 1.0, 0), 0.05, 20, task_batches(d, 0))
    assert run.deviation.max() < 1e-12
    assert run.theory_loss == pytest.approx(run.network_loss, rel=1e-11)
    assert run.trusted_steps == 20


def test_drift_shrinks_with_the_number_of_neurons_and_grows_with_learning():
    d = derived(FLIP_FLOP, nonlinearity="erf")
    runs = {n: symlow.drift(d, sample_weights(d, n, 1.0, 1), 0.1, 30, task_batches(d, 0)) for n in (100, 6400)}
    assert runs[100].deviation[0] == 0 == runs[6400].deviation[0]
    assert runs[6400].deviation[3] < 0.5 * runs[100].deviation[3]
    assert runs[6400].deviation[-1] > runs[6400].deviation[3] > 0
    assert np.abs(runs[6400].kurtosis[0]).max() < 0.3
    assert runs[6400].quantiles[0].min() > 0.999


def test_trusted_steps_end_before_the_deviation():
    d = derived(FLIP_FLOP, nonlinearity="erf")
    run = symlow.drift(d, sample_weights(d, 40, 1.0, 0), 0.01, 4, task_batches(d, 0))
    for beyond in range(1, 5):
        network = run.theory.copy()
        network[beyond:] *= 2
        assert dataclasses.replace(run, network=network).trusted_steps == beyond - 1
    assert dataclasses.replace(run, network=run.theory).trusted_steps == 4


def test_drift_of_silence_and_of_a_reduced_read_out():
    d = derived(FLIP_FLOP, nonlinearity="erf")
    run = symlow.drift(d, sample_weights(d, 10, 0.0, 0), 0.1, 2, task_batches(d, 0))
    assert run.deviation.tolist() == [0, 0, 0]
    d = derived(FLIP_FLOP, nonlinearity="erf", readout="updated_latents_previous_gain")
    with pytest.raises(symlow.errors.LearningError, match=r"network.readout: found 'updated_latents_previous_gain'"):
        symlow.drift(d, sample_weights(d, 10, 1.0, 0), 0.1, 2, task_batches(d, 0))


def test_moments_of_drift():
    d = derived(FLIP_FLOP, nonlinearity="erf")
    run = symlow.drift(d, sample_weights(d, 5000, 1.0, 0) ** 3, 1e-9, 1, task_batches(d, 0))
    # The cube of a Gaussian has the excess kurtosis 10395/225 - 3 = 43.2, and heavy tails that few samples miss.
    assert run.kurtosis[0].min() > 15
    assert run.quantiles[0].max() < 0.9
