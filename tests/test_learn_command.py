"""``symlow learn`` with many histories: the same as in Python, resumed, and each mistake as one line."""

from __future__ import annotations

import json

import numpy as np
import pytest

import symlow
from symlow.initial import overlaps_of_weights, sample_weights
from symlow.run_files import read_run
from tests.test_cli import SMALL, fails, folder, run, works

__all__ = ["folder"]

FLIP_FLOP = {"kind": "flip_flop", "batch": 2, "duration": 2.0, "pulse_rate": 1.0}


@pytest.fixture
def derivation(folder):
    return symlow.derive(symlow.Spec.from_toml(SMALL))


def test_states_are_those_of_their_seeds(folder):
    tables = {"name": "drawn", "network": {"rank": 1, "nonlinearity": "erf"}, "task": FLIP_FLOP}
    d = symlow.derive(symlow.Spec.model_validate(tables))
    task = "\n".join(f"{key} = {json.dumps(value)}" for key, value in FLIP_FLOP.items())
    (folder / "drawn.toml").write_text(f'name = "drawn"\n[network]\nrank = 1\nnonlinearity = "erf"\n[task]\n{task}\n')
    printed = works("learn", "drawn.toml", "--states", 3, "--seed", 5, "--steps", 4, "--every", 2, "-o", "run.npz")
    assert "3 histories, of whose losses these are the mean of all: 3 took all steps" in printed
    saved, module = read_run(folder / "run.npz"), d.compile()
    for k in range(3):
        sigma = overlaps_of_weights(d, sample_weights(d, 500, 1.0, 5 + k))
        alone = symlow.learn(d, sigma, 0.005, 4, module=module, seed=5 + k)
        assert np.array_equal(saved["sigma"][:, k], alone.sigma[::2])


def test_values_are_zipped(folder, derivation):
    given = "--lr", "0.01,0.5,1e9", "--set", "task.decay=0.1,0.2,0.3", "--set", "task.amplitude=0.7"
    printed = works("learn", "small.toml", *given, "--steps", 30, "--stop", "loss=0.1", "-o", "run.zarr")
    assert "of those that did not diverge: 1 took all steps, 1 converged, 1 diverged" in printed
    saved = read_run(folder / "run.zarr")
    sigma = overlaps_of_weights(derivation, sample_weights(derivation, 500, 1.0, 0))
    parameters = {"task.decay": [0.1, 0.2, 0.3], "task.amplitude": 0.7}
    expected = symlow.learn(derivation, sigma, [0.01, 0.5, 1e9], 30, parameters=parameters, stop={"loss": 0.1})
    assert np.array_equal(np.asarray(saved["sigma"]), expected.sigma, equal_nan=True)
    assert saved["parameters"].tolist() == ["task.decay", "task.amplitude"]


def test_one_history_that_converges_says_where(folder):
    assert "converged at step 0" in works("learn", "small.toml", "--steps", 3, "--stop", "loss=100")


def test_resumed_by_the_same_command(folder, monkeypatch):
    command = "learn", "small.toml", "--steps", 20, "--lr", "0.1,0.2", "-o", "run.npz"

    def interrupted(numbers):
        yield from list(numbers)[:5]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("symlow.cli.learning.progress", lambda description: interrupted)
        result = run(*command)
    assert result.returncode != 0
    assert result.stderr.startswith("interrupted; the same command with --resume goes on from the last block\n")
    assert "run.npz.parts: holds an interrupted run; resume it" in fails(*command)
    assert "wrote run.npz" in works(*command, "--resume")
    first = (folder / "run.npz").read_bytes()
    assert "wrote run.npz" in works(*command, "--resume")
    assert "exists and was left as it is" in fails(*command)
    works(*command, "--force")
    assert (folder / "run.npz").read_bytes() == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "task.dekay=0.1"], "did you mean 'task.decay'?"),
        (["--set", "decay"], "--set: found 'decay'; accepted: a name, = and a number"),
        (["--set", "task.decay=0.1,x"], "--set task.decay: found '0.1,x'; accepted: a number, or numbers with commas"),
        (["--set", "task.decay=0.1,0.2", "--lr", "1,2,3"], "task.decay: found 2 entries, where lr has 3"),
        (["--stop", "los=1"], "stop: unknown key 'los'; did you mean 'loss'?"),
        (["--stop", "loss=1,2"], "--stop loss: found 2 numbers; accepted: one for all histories"),
        (["--states", "0"], "--states: found 0; accepted: an integer >= 1"),
        (["--states", "2", "--initial", "some.npz"], "--states: found it with --initial"),
        (["--every", "0"], "every: found 0; accepted: an integer >= 1"),
        (["--resume"], "resume: found no output to resume"),
        (["-o", "run.csv"], "run.csv: found the suffix '.csv'; accepted: .npz or .zarr"),
    ],
)
def test_mistakes(folder, options, message):
    assert message in fails("learn", "small.toml", *options)
    assert sorted(path.name for path in folder.iterdir()) == ["small.toml", "trials.toml"]
