"""Tasks of sweeps: each kind of axis against histories one by one, each derived with numbers of its own."""

from __future__ import annotations

import functools
import sys

import numpy as np
import pytest

import symlow
from symlow.errors import ArrayError, LearningError, SpecError
from symlow.initial import overlaps_of_weights, sample_weights
from symlow.programs import versions
from symlow.sweep.histories import Grid, check_sweep
from symlow.sweep.specification import Sweep
from symlow.sweep.task import make_tasks, run_task
from tests.sweeps import SPEC, write_sweep

FLIP_FLOP = """
name = "flip_flop"
[network]
rank = 1
[task]
kind = "flip_flop"
duration = 2.0
pulse_rate = 1.0
batch = 3
[learning]
rule = "momentum"
label_noise = 0.1
"""
PAIRS = """
name = "pairs"
[network]
rank = 1
inputs = 2
[task]
kind = "filters"
horizon = 2.0
targets = [
    { kind = "exponential_filter", output = 1, input = 1, decay = 0.2 },
    { kind = "exponential_filter", output = 1, input = 2, decay = 0.4 },
]
"""


@functools.lru_cache
def derive(text):
    return symlow.derive(symlow.Spec.from_toml(text))


def axis(over, values, more=""):
    return f'[[axes]]\nover = "{over}"\nkind = "values"\nvalues = {values}\n{more}\n'


def swept(folder, spec, head, *axes):
    path = write_sweep(folder, f'spec = "small.toml"\n{head}\n' + "".join(axes))
    (folder / "small.toml").write_text(spec)
    return Sweep.load(path)


def results(sweep):
    """All histories of a sweep, as tasks in this process; by name with histories first."""
    check_sweep(sweep, symlow.derive(sweep.spec))
    histories = Grid(sweep.axes)
    numbers = range(len(histories.chunks(sweep.tables.chunk)))
    tasks = [run_task(task) for task in make_tasks(sweep, histories, numbers)]
    return {name: np.concatenate([task[name] for task in tasks]) for name in tasks[0]}


def start(derivation, seed, neurons=500, scale=1.0):
    return overlaps_of_weights(derivation, sample_weights(derivation, neurons, scale, seed))


def test_parameters_of_task_and_rule_and_seeds_of_trials(tmp_path):
    head = 'steps = 6\nrecord = "course"\nevery = 4\n[learning]\nlr = 0.01\n[initial]\nseed = 7\n'
    axes = (axis("task.pulse_width", [0.3, 0.5]), axis("learning.momentum", [0.5, 0.9]), axis("trials.seed", [3, 4]))
    found = results(swept(tmp_path, FLIP_FLOP, head, *axes))
    cases = [(width, momentum, seed) for width in (0.3, 0.5) for momentum in (0.5, 0.9) for seed in (3, 4)]
    for k, (width, momentum, seed) in enumerate(cases):
        text = FLIP_FLOP.replace("batch = 3", f"batch = 3\npulse_width = {width}") + f"momentum = {momentum}\n"
        derivation = derive(text)
        run = symlow.learn(derivation, start(derivation, 7), 0.01, 6, seed=seed)
        assert found["sigma"][k] == pytest.approx(run.sigma[[0, 4, 6]], rel=1e-12, abs=1e-14)
        assert found["loss"][k] == pytest.approx(run.loss[[0, 4, 6]], rel=1e-12)


def test_trials_of_other_lengths(tmp_path):
    head = "steps = 3\n[initial]\nneurons = 30\n"
    found = results(swept(tmp_path, FLIP_FLOP, head, axis("task.duration", [1.0, 2.0, 1.01])))
    for k, duration in enumerate((1.0, 2.0, 1.01)):
        derivation = derive(FLIP_FLOP.replace("duration = 2.0", f"duration = {duration}"))
        run = symlow.learn(derivation, start(derivation, 0, 30), 0.005, 3)
        assert found["sigma"][k, 0] == pytest.approx(run.sigma[-1], rel=1e-12, abs=1e-14)


def test_the_backend_is_part_of_the_sweep(tmp_path):
    seeds, head = axis("seed", [0, 1]), "steps = 3\n[initial]\nneurons = 30\n"
    sweeps = [swept(tmp_path, SPEC, f'backend = "{name}"\n{head}', seeds) for name in ("numpy", "numba")]
    assert sweeps[0].digest != sweeps[1].digest
    assert set(versions("numba")) - set(versions("numpy")) == {"numba", "llvmlite"}
    first, second = (results(sweep)["sigma"] for sweep in sweeps)
    assert second == pytest.approx(first, rel=1e-11, abs=1e-13)


def test_numbers_that_change_the_module_and_targets_of_pairs(tmp_path):
    head = "steps = 5\nseed = 2\n[initial]\nneurons = 30\n[learning]\nlr = 0.01\n"
    axes = (axis("task.targets[2].decay", [0.4, 0.8]), axis("task.horizon", [2.0, 1.0]))
    found = results(swept(tmp_path, PAIRS, head, *axes))
    for k, (decay, horizon) in enumerate([(0.4, 2.0), (0.4, 1.0), (0.8, 2.0), (0.8, 1.0)]):
        text = PAIRS.replace("horizon = 2.0", f"horizon = {horizon}").replace("decay = 0.4", f"decay = {decay}")
        derivation = derive(text)
        run = symlow.learn(derivation, start(derivation, 2, 30), 0.01, 5)
        assert found["sigma"][k, 0] == pytest.approx(run.sigma[-1], rel=1e-12)
        assert (found["status"][k], found["stopped_at"][k]) == ("took all steps", 5)


def test_neurons_scale_and_seed_of_the_weights(tmp_path):
    head = 'steps = 1\nmethod = "flow"\n'
    axes = (axis("initial.neurons", [20, 30]), axis("initial.scale", [0.5, 1]), axis("initial.seed", [0, 5]))
    sweep = swept(tmp_path, SPEC, head, *axes)
    found, derivation = results(sweep), derive(SPEC)
    cases = [(neurons, scale, seed) for neurons in (20, 30) for scale in (0.5, 1) for seed in (0, 5)]
    expected = np.stack([start(derivation, seed, neurons, scale) for neurons, scale, seed in cases])
    assert np.array_equal(found["initial"], expected)
    run = symlow.learn(derivation, expected[3], 0.005, 1, method="flow")
    assert found["sigma"][3, 0] == pytest.approx(run.sigma[-1], rel=1e-8)


def test_histories_stop_when_they_have_converged(tmp_path):
    head = "steps = 900\nevery = 20\nstop = { loss = 0.01 }\n"
    sweep = swept(tmp_path, SPEC, head, axis("learning.lr", [0.001, 0.01, 0.03]))
    found, derivation = results(sweep), derive(SPEC)
    assert found["status"].tolist() == ["took all steps", "converged", "converged"]
    for k, lr in enumerate((0.001, 0.01, 0.03)):
        run = symlow.learn(derivation, start(derivation, 0), lr, 900)
        below = [step for step in range(0, 901, 20) if run.loss[step] < 0.01]
        last = below[0] if below else 900
        assert found["stopped_at"][k] == last
        assert found["sigma"][k, 0] == pytest.approx(run.sigma[last], rel=1e-12)


@pytest.mark.parametrize("rates", [[1e3, 1e4], [1e3, 0.01]])
def test_histories_that_diverge_are_marked_even_if_all_do(rates, tmp_path):
    found = results(swept(tmp_path, SPEC, 'steps = 30\nrecord = "course"\n', axis("learning.lr", rates)))
    for k, lr in enumerate(rates):
        finite = np.isfinite(found["sigma"][k]).all(axis=-1)
        assert found["status"][k] == ("diverged" if lr > 1 else "took all steps")
        assert finite.sum() == (found["stopped_at"][k] if lr > 1 else 31)
        # The square of overlaps can be too large where they are not yet.
        assert not (np.isfinite(found["loss"][k]) & ~finite).any()


def test_a_flow_that_fails_is_marked_and_leaves_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["symlow.flow"], "MOST_EVALUATIONS", 2000)
    sweep = swept(tmp_path, SPEC, 'steps = 10\nmethod = "flow"\n', axis("learning.lr", [0.01, 1e4]))
    found, derivation = results(sweep), derive(SPEC)
    assert found["status"].tolist() == ["took all steps", "failed"]
    run = symlow.learn(derivation, start(derivation, 0), 0.01, 10, method="flow")
    assert found["sigma"][0, 0] == pytest.approx(run.sigma[-1], rel=1e-8)
    assert np.isnan(found["sigma"][1]).all()


def test_a_flow_without_a_finite_loss_has_diverged(tmp_path):
    spec = SPEC.replace("horizon = 2.0", "horizon = inf")
    head = 'steps = 3\nmethod = "flow"\ninitial = { overlaps = { u_u = 3.0, v_v = 3.0 } }\n'
    sweep = swept(tmp_path, spec, head, axis("initial.v_u", [0.1, 1.2]))
    assert results(sweep)["status"].tolist() == ["took all steps", "diverged"]


def test_a_flow_whose_trials_are_wrong_is_an_error(tmp_path, monkeypatch):
    # What is no fault of the integrator is never taken for one.
    def learn(*args, **more):
        raise LearningError("no trials")

    monkeypatch.setattr("symlow.sweep.task.learn", learn)
    with pytest.raises(LearningError, match="no trials"):
        results(swept(tmp_path, SPEC, 'steps = 3\nmethod = "flow"\n', axis("seed", [0, 1])))


def test_trials_from_a_file(tmp_path):
    text = 'name = "t"\n[network]\nrank = 1\n[task]\nkind = "trials"\n'
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 3, 8, 1))
    np.savez(tmp_path / "trials.npz", x=x, y=y)
    sweep = swept(tmp_path, text, 'steps = 4\n[trials]\nfile = "trials.npz"\n', axis("seed", [0, 1]))
    found = results(sweep)
    run = symlow.learn(derive(text), start(derive(text), 1), 0.005, 4, (x, y))
    assert found["sigma"][1, 0] == pytest.approx(run.sigma[-1], rel=1e-12)
    np.savez(tmp_path / "trials.npz", x=x, y=2 * y)
    assert Sweep.load(tmp_path / "sweep.toml").digest != sweep.digest
    np.savez(tmp_path / "trials.npz", x=x, y=y[:1])
    with pytest.raises(ArrayError, match=r"sweep.toml: .*trials.npz: y: found shape \(1, 8, 1\)"):
        Sweep.load(tmp_path / "sweep.toml")


@pytest.mark.parametrize("method", ["step", "flow"])
def test_numbers_of_the_task_beside_trials_from_a_file(method, tmp_path):
    x, y = np.random.default_rng(0).standard_normal((2, 3, 8, 1))
    np.savez(tmp_path / "trials.npz", x=x, y=y)
    head = f'steps = 4\nmethod = "{method}"\n[trials]\nfile = "trials.npz"\n'
    with pytest.raises(SpecError, match=r"axes\[2\].over: found 'task.decay' beside trials.file"):
        results(swept(tmp_path, SPEC, head, axis("seed", [0, 1]), axis("task.decay", [0.1, 0.2])))


def test_teachers_that_no_network_can_be_are_found_before_anything_runs(tmp_path):
    spec = 'name = "t"\n[network]\nrank = 1\nnonlinearity = "erf"\n[task]\nkind = "teacher"\nbatch = 2\n'
    axes = (axis("seed", [0, 1, 2]), axis("task.overlaps.m_u", [1.6, 9.0]))
    sweep = swept(tmp_path, spec, "steps = 1\nchunk = 2\n", *axes)
    with pytest.raises(SpecError, match=r"^history 1 \(seed = 0, m_u = 9\): task.overlaps: .* Gram matrix"):
        check_sweep(sweep, symlow.derive(sweep.spec))


def test_what_has_no_place_in_one_result(tmp_path):
    text = FLIP_FLOP.replace('rule = "momentum"\n', "")
    for over, values, message in (
        ("task.trials.decay", [1.0], r"axes\[1\]: task.trials.decay = 1.0: task.trials.decay: no such table"),
        ("task.targets[1].decay", [1.0], "no such table"),
        ("task.loss.factr", [1.0], "unknown key 'factr' in "),
        ("task.bits", [1, 2], "found 1, but task.kind 'flip_flop' has 2 inputs"),
    ):
        with pytest.raises(SpecError, match=message):
            swept(tmp_path, text, "steps = 1\n", axis(over, values))
    with pytest.raises(SpecError, match=r"stop\.loss: found no bound; accepted: stop.loss or stop.change"):
        swept(tmp_path, text, "steps = 1\nstop = {}\n", axis("seed", [1]))
    with pytest.raises(SpecError, match='stop: found with method = "flow"'):
        swept(tmp_path, text, 'steps = 1\nmethod = "flow"\nstop = { loss = 1.0 }\n', axis("seed", [1]))
    with pytest.raises(SpecError, match=r"backend: found 'nump'; did you mean 'numpy'\?; accepted: 'numpy' or 'numba'"):
        swept(tmp_path, text, 'steps = 1\nbackend = "nump"\n', axis("seed", [1]))
    given = 'name = "t"\n[network]\nrank = 1\n[task]\nkind = "trials"\n'
    with pytest.raises(SpecError, match=r"trials\.file: found none with a task of kind 'trials'; accepted: an .npz"):
        swept(tmp_path, given, "steps = 1\n", axis("seed", [1]))
