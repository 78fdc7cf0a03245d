"""Many histories: each is what it would be alone, derived and trained by itself with its own parameters."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest

import symlow
from symlow import history_trials
from symlow.errors import ArrayError, LearningError, SpecError, UnknownNameError
from symlow.histories import accepted_parameters
from symlow.recording import InMemory
from symlow.spec_trials import TEACHER_OVERLAPS
from tests.conftest import EXPONENTIAL, NO_RESPONSE, OSCILLATION, filters, random_trials, states

FLIP_FLOP = {"kind": "flip_flop", "batch": 3, "duration": 3.0, "pulse_rate": 1.0}
DECISION = {"kind": "decision_making", "batch": 2, "stimulus": 1.0, "fixation": 0.2, "delay": 0.2, "response": 0.5}
TEACHER = {"kind": "teacher", "batch": 2, "duration": 2.0, "overlaps": dict(TEACHER_OVERLAPS)}
ALL = {"rule": "momentum", "momentum": 0.8, "weight_decay": 0.01, "clip": 0.5}


@functools.cache
def _derived(task, learning, network):
    tables = {"network": {"rank": 1, **json.loads(network)}, "learning": json.loads(learning)}
    return symlow.derive(symlow.Spec.model_validate({"name": "example", "task": json.loads(task), **tables}))


def derived(task, learning=None, **network):
    return _derived(json.dumps(task), json.dumps(learning or {}), json.dumps(network))


def changed(task, learning, names, values):
    """The tables with values put where dotted names say; written apart from the package's own."""
    tables = json.loads(json.dumps({"task": task, "learning": learning or {}}))
    for name, value in zip(names, values, strict=True):
        place = tables
        *path, last = name.replace("[", ".").replace("]", "").split(".")
        for part in path:
            place = place[int(part) - 1] if part.isdigit() else place.setdefault(part, {})
        place[last] = float(value)
    return tables["task"], tables["learning"]


CASES = {
    "decay and amplitude": (
        {**EXPONENTIAL, "horizon": 5.0},
        {},
        {},
        {"task.decay": [0.1, 0.5, 2.0], "task.amplitude": [1.0, -0.3, 2.0]},
    ),
    "one value for all, over an infinite horizon": (
        {**EXPONENTIAL, "horizon": float("inf")},
        {"rule": "nesterov"},
        {},
        {"task.decay": 0.7, "learning.momentum": [0.2, 0.5, 0.8], "task.loss.factor": [0.5, 1.0, 0.1]},
    ),
    "oscillation of rank 2, every number of the rule": (
        {**OSCILLATION, "horizon": 3.0},
        ALL,
        {"rank": 2},
        {
            "task.frequency": [1.0, 2.5, 4.0],
            "task.phase": [0.0, 0.4, -1.0],
            "learning.momentum": [0.5, 0.8, 0.95],
            "learning.weight_decay": [0.1, 0.0, 0.02],
            "learning.clip": [0.05, 0.5, 100.0],
        },
    ),
    "several targets": (
        filters(2, 2, (OSCILLATION, NO_RESPONSE, EXPONENTIAL), 2.0),
        {},
        {"inputs": 2, "outputs": 2},
        {"task.targets[1].decay": [0.1, 0.2, 0.3], "task.targets[3].amplitude": [1.0, 2.0, 3.0]},
    ),
    "flip-flop": (FLIP_FLOP, {"label_noise": 0.3}, {"nonlinearity": "erf"}, {"task.pulse_rate": [0.5, 1.0, 2.0]}),
    "decisions": (DECISION, ALL, {}, {"task.sigma": [0.0, 0.3, 0.6], "learning.label_noise": [0.0, 0.2, 0.1]}),
    "feedback": (
        FLIP_FLOP,
        {"rule": "feedback_alignment", "clip": 0.5},
        {"nonlinearity": "erf"},
        {"learning.clip": [0.02, 0.1, 9.0], "task.pulse_width": [0.2, 0.5, 0.9]},
    ),
    "teachers": (TEACHER, {}, {"nonlinearity": "erf"}, {"task.overlaps.v_u": [0.5, 1.0, 1.5]}),
}


@pytest.mark.parametrize("case", CASES)
def test_histories_are_those_of_their_own_specifications(case):
    task, learning, network, parameters = CASES[case]
    d = derived(task, learning, **network)
    module = d.compile()
    # Small states, whose reduced dynamics decays.
    sigma, lr, seeds = 0.3 * states(module, 3), np.array([0.02, 0.05, 0.1]), np.array([4, 0, 7])
    run = symlow.learn(d, sigma, lr, 12, module=module, seed=seeds, parameters=parameters, every=5)
    assert run.step.tolist() == [0, 5, 10, 12]
    columns = np.array([np.broadcast_to(values, 3) for values in parameters.values()])
    for k in range(3):
        own = derived(*changed(task, learning, parameters, columns[:, k]), **network)
        alone = symlow.learn(own, sigma[k], float(lr[k]), 12, seed=int(seeds[k]))
        size = np.abs(alone.sigma).max()
        assert np.abs(run.sigma[:, k] - alone.sigma[run.step]).max() < 1e-12 * size
        assert run.loss[:, k] == pytest.approx(alone.loss[run.step], rel=1e-12)
    assert np.ptp(run.sigma[-1], axis=0).max() > 0


@pytest.mark.parametrize("values", [1, 40])
def test_histories_do_not_depend_on_their_parts(monkeypatch, values):
    d = derived(FLIP_FLOP, {"label_noise": 0.1}, nonlinearity="erf")
    module = d.compile()
    sigma, seeds = states(module, 5), np.array([0, 1, 0, 2, 1])
    whole = symlow.learn(d, sigma, 0.05, 4, module=module, seed=seeds)
    monkeypatch.setattr(history_trials, "MOST_VALUES", values * 3 * 60)
    parts = symlow.learn(d, sigma, 0.05, 4, module=module, seed=seeds)
    assert np.array_equal(parts.sigma, whole.sigma)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-14)


def test_each_batch_is_drawn_once():
    d = derived({"kind": "trials"})
    drawn = []

    def trials(step):
        drawn.append(step)
        return random_trials(d, seed=step)

    symlow.learn(d, states(d.compile(), 3), 0.1, 4, trials)
    assert drawn == [0, 1, 2, 3, 4]


def test_flow_of_many_histories():
    task = {**EXPONENTIAL, "horizon": 3.0}
    d = derived(task, {"rule": "momentum", "momentum": 0.5})
    sigma = states(d.compile(), 3)
    given = {"task.decay": np.array([0.1, 0.4, 1.0]), "learning.momentum": np.array([0.3, 0.5, 0.9])}
    lr = np.array([0.01, 0.05, 0.02])
    run = symlow.learn(d, sigma, lr, 6, method="flow", parameters=given, every=4)
    assert run.step.tolist() == [0, 4, 6]
    for k in range(3):
        tables = changed(task, {"rule": "momentum"}, given, [values[k] for values in given.values()])
        alone = symlow.learn(derived(*tables), sigma[k], float(lr[k]), 6, method="flow")
        assert run.sigma[:, k] == pytest.approx(alone.sigma[run.step], rel=1e-8)


def test_targets_of_the_module_broadcast():
    d = derived({**OSCILLATION, "horizon": 4.0})
    module = d.compile()
    sigma = states(module, 2)
    target = module.task(decay=np.array([0.3, 0.5, 0.9])[:, None])
    assert module.loss(sigma, target).shape == (3, 2)
    assert np.allclose(module.loss(sigma, target)[0], module.loss(sigma), rtol=1e-14)
    gradient = module.loss_gradient(sigma, target)
    own = derived({**OSCILLATION, "decay": 0.9, "horizon": 4.0}).compile()
    assert np.allclose(gradient[2], own.loss_gradient(sigma), rtol=1e-12, atol=1e-14)
    assert np.allclose(module.loss_hessian(sigma, target)[2], own.loss_hessian(sigma), rtol=1e-11, atol=1e-12)
    assert np.allclose(module.jacobian(sigma, target)[2], own.jacobian(sigma), rtol=1e-11, atol=1e-12)


def test_moments_of_noisy_steps_take_arrays():
    d = derived({"kind": "trials"}, {"rule": "momentum", "momentum": 0.7, "weight_decay": 0.1, "label_noise": 0.2})
    module, trials = d.compile(), random_trials(d, steps=8)
    sigma, lr = states(module, 3), np.array([0.1, 0.2, 0.3])
    noise, momentum, decay = np.array([0.1, 0.5, 0.0]), np.array([0.2, 0.7, 0.9]), np.array([0.0, 0.1, 0.4])
    given = {"momentum": momentum, "weight_decay": decay}
    mean, covariance = module.noisy_step_moments(sigma, lr, trials, noise, **given)
    for k in range(3):
        own = {name: values[k] for name, values in given.items()}
        found = module.noisy_step_moments(sigma[k], lr[k], trials, noise[k], **own)
        assert np.allclose(mean[k], found[0], rtol=1e-13)
        assert np.allclose(covariance[k], found[1], rtol=1e-12, atol=1e-16)
    quiet = module.step(sigma[2], lr[2], trials, momentum=0.9, weight_decay=0.4)
    assert np.allclose(mean[2], quiet, rtol=1e-13)


def test_one_of_each_is_one_history():
    d = derived({**EXPONENTIAL, "horizon": 5.0})
    module = d.compile()
    sigma = states(module, 1)
    alone = symlow.learn(d, sigma[0], 0.1, 3, module=module, parameters={"task.decay": 0.3})
    assert (alone.sigma.shape, alone.loss.shape, alone.reason.shape) == ((4, 10), (4,), ())
    for given in ({"lr": [0.1]}, {"seed": [0]}, {"parameters": {"task.decay": [0.3]}}, {"sigma": sigma}):
        call = {"sigma": sigma[0], "lr": 0.1, "parameters": {"task.decay": 0.3}, **given}
        run = symlow.learn(d, steps=3, module=module, **call)
        assert np.array_equal(run.sigma[:, 0], alone.sigma)


def test_diverged_histories_do_not_stop_the_others():
    d = derived({**EXPONENTIAL, "horizon": 5.0})
    module = d.compile()
    sigma = states(module, 3)
    run = symlow.learn(d, sigma, [0.01, 1e6, 0.02], 20, module=module)
    assert run.reason.tolist() == ["took all steps", "diverged", "took all steps"]
    lost = int(run.stopped[1])
    assert np.isfinite(run.sigma[:lost, 1]).all()
    assert np.isnan(run.sigma[lost:, 1]).all()
    assert np.isnan(run.loss[lost:, 1]).all()
    others = symlow.learn(d, sigma[[0, 2]], [0.01, 0.02], 20, module=module)
    assert np.array_equal(run.sigma[:, [0, 2]], others.sigma)
    with pytest.raises(LearningError, match=r"diverged in all 3 histories, in the last at step \d+"):
        symlow.learn(d, sigma, 1e6, 50, module=module)


def test_overlaps_are_left_alone_between_records_when_all_have_stopped(monkeypatch):
    copies = []

    class Watched(np.ndarray):
        def copy(self, order="C"):
            copies.append(order)
            return super().copy(order)

    def checkpoint(self, progress):
        progress.sigma = progress.sigma.view(Watched)

    d = derived({**EXPONENTIAL, "horizon": 5.0})
    module = d.compile()
    sigma = states(module, 2)
    monkeypatch.setattr(InMemory, "checkpoint", checkpoint)
    run = symlow.learn(d, sigma, 0.01, 40, module=module, every=8, stop={"loss": 1e9})
    assert run.stopped.tolist() == [0, 0]
    assert np.array_equal(run.sigma, np.broadcast_to(sigma, (6, *sigma.shape)))
    assert len(copies) == 5


def test_histories_whose_loss_is_infinite_do_not_begin():
    d = derived({**EXPONENTIAL, "horizon": float("inf")})
    module = d.compile()
    sigma = 0.3 * states(module, 2)
    for name, value in (("v_u", 1.2), ("u_u", 3.0), ("v_v", 3.0)):
        sigma[1, d.overlaps.index(name)] = value
    run = symlow.learn(d, sigma, 0.01, 3)
    assert run.reason.tolist() == ["took all steps", "diverged"]
    assert run.stopped.tolist() == [3, 0]
    assert run.loss[0, 1] == np.inf
    assert np.array_equal(run.sigma[0], sigma)
    assert np.isnan(run.sigma[1:, 1]).all()
    assert np.isnan(run.loss[1:, 1]).all()


def test_parameters_that_are_wrong():
    d = derived({**EXPONENTIAL, "horizon": 5.0}, ALL)
    drawn = derived(DECISION)
    modules = {derivation: derivation.compile() for derivation in (d, drawn)}
    sigma = states(modules[d], 2)
    plain = 0.3 * states(modules[drawn], 1)[0]
    cases = [
        (d, {"parameters": {"task.dekay": 0.1}}, UnknownNameError, "did you mean 'task.decay'.*accepted: task.ampl"),
        (d, {"parameters": {"task.horizon": 5.0}}, UnknownNameError, "no number that histories of this derivation"),
        (d, {"parameters": {"network.dt": 0.1}}, UnknownNameError, "accepted: .*learning.clip, learning.weight_decay"),
        (d, {"parameters": {"task.decay": [0.1, -1]}}, SpecError, r"task.decay: found -1.0; .*>= 0.* \(history 1\)"),
        (d, {"parameters": {"learning.momentum": 1.5}}, SpecError, r"learning.momentum: found 1.5; .* > 0 and < 1"),
        (d, {"parameters": {"task.amplitude": [1, 0]}}, SpecError, r"task.amplitude: found 0; .*\(history 1\)"),
        (d, {"parameters": {"task.decay": [1, 2, 3]}}, ArrayError, "task.decay: found 3 entries, where sigma has 2"),
        (d, {"parameters": {"task.decay": np.nan}}, ArrayError, "task.decay: found nan"),
        (d, {"lr": [0.1, 0.0]}, LearningError, "lr: found 0.0 at index 1; accepted: finite numbers > 0"),
        (d, {"lr": [0.1]}, ArrayError, "lr: found 1 entries, where sigma has 2"),
        (d, {"seed": [0, -1]}, SpecError, "seed: found .*accepted: an integer >= 0 .*, or an array"),
        (d, {"seed": 2**63}, SpecError, r"seed: found 9223372036854775808; accepted: .* < 2\*\*63"),
        (d, {"seed": [0, 2**63]}, SpecError, r"seed: found \[0, 9223372036854775808\]; accepted"),
        (d, {"seed": 0.5}, SpecError, "seed: found 0.5"),
        (drawn, {"parameters": {"learning.momentum": 0.5}}, UnknownNameError, "learning.label_noise"),
        (drawn, {"parameters": {"task.response": [0.5, 1.0]}}, SpecError, "trials of 38 to 48 time steps"),
    ]
    for derivation, given, kind, message in cases:
        state = sigma if derivation is d else plain
        with pytest.raises(kind, match=message):
            symlow.learn(derivation, **{"sigma": state, "lr": 0.1, "steps": 2, "module": modules[derivation], **given})
    with pytest.raises(LearningError, match=r"found 'task.sigma' with trials that are given"):
        symlow.learn(drawn, plain, 0.1, 2, random_trials(drawn), parameters={"task.sigma": 0.1})


def test_accepted_parameters_are_those_of_the_specification():
    assert accepted_parameters(derived({**EXPONENTIAL, "horizon": 5.0}, ALL)) == (
        "task.amplitude",
        "task.decay",
        "task.loss.factor",
        "learning.clip",
        "learning.weight_decay",
        "learning.momentum",
    )
    assert "task.overlaps.v_u" in accepted_parameters(derived(TEACHER, nonlinearity="erf"))
    assert accepted_parameters(derived({"kind": "trials"})) == ("learning.label_noise",)
