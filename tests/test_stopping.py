"""When histories stop: the bounds, told from a run without them, step by step."""

from __future__ import annotations

import numpy as np
import pytest

import symlow
from symlow.errors import LearningError
from symlow.stopping import PATIENCE, Stop
from tests.conftest import EXPONENTIAL, compiled, derived, states

TASK = {**EXPONENTIAL, "horizon": 5.0}
FLIP_FLOP = {"kind": "flip_flop", "batch": 4, "duration": 3.0, "pulse_rate": 1.0}


class Counted:
    """A module, with the numbers of histories in its steps."""

    def __init__(self, module, taken, backend="numpy"):
        self.module, self.taken, self.BACKEND = module, taken, backend

    def __getattr__(self, name):
        return getattr(self.module, name)

    def step(self, sigma, *rest, **more):
        self.taken.append(len(sigma))
        return self.module.step(sigma, *rest, **more)


def told(run, lr, patience, loss=None, change=None):
    """The record at which one history converges, from its whole course; None if it does not."""
    rests = 0
    for k in range(len(run.step)):
        rest = loss is not None and run.loss[k] < loss
        if change is not None and k:
            time = lr * (run.step[k] - run.step[k - 1])
            moved = max(abs(run.sigma[k] - run.sigma[k - 1])) / max(abs(run.sigma[k]))
            rest = rest or moved <= change * time
        rests = rests + 1 if rest else 0
        if rests == patience:
            return k
    return None


@pytest.mark.parametrize(
    ("task", "stop", "patience"),
    [
        (TASK, {"loss": 0.05}, 1),
        (TASK, {"change": 0.02}, 1),
        (TASK, {"loss": 0.01, "change": 0.05, "patience": 3}, 3),
        (FLIP_FLOP, {"loss": 0.6}, PATIENCE),
        (FLIP_FLOP, {"change": 0.3, "patience": 2}, 2),
    ],
)
def test_each_history_stops_where_its_course_meets_the_bound(task, stop, patience):
    d, module = derived(task), compiled(task)
    sigma, lr = states(module, 6), np.array([0.02, 0.05, 0.03, 0.01, 0.002, 0.04])
    free = symlow.learn(d, sigma, lr, 150, module=module, every=4)
    run = symlow.learn(d, sigma, lr, 150, module=module, every=4, stop=stop)
    bounds = {name: value for name, value in stop.items() if name != "patience"}
    ended = 0
    for k in range(6):
        alone = symlow.learn(d, sigma[k], float(lr[k]), 150, module=module, every=4)
        at = told(alone, lr[k], patience, **bounds)
        ended += at is not None
        if at is None:
            assert (run.reason[k], run.stopped[k]) == ("took all steps", 150)
            assert np.array_equal(run.sigma[:, k], free.sigma[:, k])
        else:
            assert (run.reason[k], run.stopped[k]) == ("converged", alone.step[at])
            assert np.array_equal(run.sigma[: at + 1, k], free.sigma[: at + 1, k])
            assert (run.sigma[at:, k] == run.sigma[at, k]).all()
            assert (run.loss[at:, k] == run.loss[at, k]).all()
    assert 0 < ended < 6


def test_a_history_that_has_stopped_costs_nothing():
    d, module = derived(TASK), compiled(TASK)
    taken = []

    sigma = states(module, 4)
    run = symlow.learn(d, sigma, 0.05, 100, stop={"loss": 0.1}, module=Counted(module, taken))
    assert sum(taken) == sum(min(int(step) + 1, 100) for step in run.stopped)
    assert taken == sorted(taken, reverse=True)


def test_a_module_that_is_compiled_for_each_shape_sees_few():
    d, module = derived(TASK), compiled(TASK)
    sigma, taken, expected = states(module, 60), [], []
    call = {"lr": 0.05, "steps": 60, "stop": {"loss": 0.2}}
    first = symlow.learn(d, sigma, **call, module=Counted(module, expected))
    run = symlow.learn(d, sigma, **call, module=Counted(module, taken, "jax"))
    assert np.array_equal(run.sigma, first.sigma)
    assert np.array_equal(run.loss, first.loss)
    assert set(taken) <= {64, 56, 48, 40, 32, 28, 24, 20, 16, 14, 12, 10, *range(1, 9)}
    assert all(need <= found <= 1.25 * need for need, found in zip(expected, taken, strict=True))
    assert len(set(expected)) > 2 * len({length for length in taken if length > 8})


def test_states_at_rest_stop_at_the_second_record():
    run = symlow.learn(derived(TASK), np.zeros((2, 10)), 0.1, 9, module=compiled(TASK), stop=Stop(change=1e-9), every=3)
    assert run.stopped.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("stop", "message"),
    [
        ({"lost": 1}, "stop: unknown key 'lost'; did you mean 'loss'\\?; accepted: loss, change, patience"),
        ({}, "stop: found no bound; accepted: loss or change"),
        ({"loss": -1.0}, "stop.loss: found -1.0; accepted: a finite number > 0"),
        ({"change": float("nan")}, "stop.change: found nan"),
        ({"loss": "small"}, "stop.loss: found 'small'"),
        ({"loss": 1.0, "patience": 0}, "stop.patience: found 0; accepted: an integer >= 1"),
        (1e-3, "stop: found 0.001; accepted: a mapping"),
    ],
)
def test_bounds_that_are_wrong(stop, message):
    with pytest.raises(LearningError, match=message):
        symlow.learn(derived(TASK), states(compiled(TASK), 1)[0], 0.1, 2, stop=stop)


def test_flow_has_no_bounds():
    with pytest.raises(LearningError, match="stop: found one with method = 'flow'"):
        symlow.learn(derived(TASK), states(compiled(TASK), 1)[0], 0.1, 2, method="flow", stop={"loss": 1.0})


@pytest.mark.parametrize("every", [0, 1.5, True])
def test_every_that_is_wrong(every):
    with pytest.raises(LearningError, match=r"every: found .*; accepted: an integer >= 1"):
        symlow.learn(derived(TASK), states(compiled(TASK), 1)[0], 0.1, 2, every=every)
