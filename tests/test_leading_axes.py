"""Leading axes of states and of trials, and states in chunks: they equal a loop over single states."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest

from tests.conftest import EXPONENTIAL, compiled, derived, random_trials, states

TRIALS = {"kind": "trials"}
MEAN = {"kind": "trials", "loss": {"reduction": "masked_mean", "factor": 1.0}}
SYSTEMS = [
    {"task": {**EXPONENTIAL, "horizon": 5.0}, "rank": 2},
    {"task": MEAN, "rank": 2, "inputs": 2, "outputs": 2, "nonlinearity": "tanh"},
    {"task": TRIALS, "rank": 1, "nonlinearity": "erf", "bias": True, "means": True},
]
LEADS = [
    ((), (3,), (3,), (3,)),
    ((3,), (), (), ()),
    ((2, 1), (3,), (), (2, 3)),
    ((2,), (3, 1), (3, 2), ()),
    ((2, 1, 1), (4, 1), (3,), (1, 1)),
]


def with_leads(d, module, leads):
    """States, and trials that differ over their leading axes."""
    sigma = states(module, int(np.prod(leads[0]))).reshape(*leads[0], -1)
    rng = np.random.default_rng(1)
    arrays = [
        array * (1 + 0.3 * rng.random((*lead, 1, 1, 1)))
        for array, lead in zip(random_trials(d, steps=9), leads[1:], strict=True)
    ]
    return sigma, tuple(arrays)


def one_by_one(function, sigma, trials):
    """The results for single states with single trials, stacked."""
    lead = np.broadcast_shapes(sigma.shape[:-1], *(array.shape[:-3] for array in trials))
    sigma = np.broadcast_to(sigma, lead + sigma.shape[-1:])
    trials = [np.broadcast_to(array, lead + array.shape[-3:]) for array in trials]
    values = {
        index: function(sigma[index], tuple(array[index] for array in trials))
        for index in itertools.product(*map(range, lead))
    }
    first = values[(0,) * len(lead)]
    return np.stack([values[index] for index in sorted(values)]).reshape(lead + np.shape(first))


def functions(module):
    return {
        "outputs": lambda sigma, trials: module.outputs(sigma, trials[0]),
        "loss": module.loss,
        "loss_gradient": module.loss_gradient,
        "rhs": lambda sigma, trials: module.rhs(0.0, sigma, trials),
        "step": lambda sigma, trials: module.step(sigma, 0.1, trials),
        "loss_hessian": module.loss_hessian,
        "jacobian": module.jacobian,
    }


def assert_singles(module, sigma, trials):
    for name, function in functions(module).items():
        together, given = function(sigma, trials), trials[:1] if name == "outputs" else trials
        singly = one_by_one(function, sigma, given)
        assert together.shape == singly.shape, name
        assert np.abs(together - singly).max() <= 1e-13 * np.abs(singly).max(), name


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("leads", LEADS)
def test_each_state_has_its_own_trials(system, leads):
    d, module = derived(**system), compiled(**system)
    assert_singles(module, *with_leads(d, module, leads))


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("chunk", [1, 2000])
def test_chunks_change_nothing(monkeypatch, system, chunk):
    d, module = derived(**system), compiled(**system)
    monkeypatch.setattr(module, "_CHUNK", chunk)
    for leads in LEADS[1:4]:
        assert_singles(module, *with_leads(d, module, leads))


def test_memory_does_not_grow_with_the_number_of_states(monkeypatch):
    module, d = compiled(TRIALS, rank=1, nonlinearity="erf"), derived(TRIALS, rank=1, nonlinearity="erf")
    trials = random_trials(d, batch=4, steps=50)
    monkeypatch.setattr(module, "_CHUNK", 2**16)

    def peak(function, count):
        sigma = states(module, count)
        function(sigma, trials)
        tracemalloc.start()
        result = function(sigma, trials)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most - 2 * result.nbytes - 3 * sigma.nbytes

    for function in (module.loss, module.loss_gradient):
        assert peak(function, 2000) < 1.5 * peak(function, 200) < 30 * 2**16


def test_axes_that_do_not_broadcast_are_named():
    d, module = derived(TRIALS, rank=1), compiled(TRIALS, rank=1)
    x, y, mask = random_trials(d)
    message = r"trials: found leading axes \[\(3,\), \(\), \(\)\], expected ones that broadcast with .* sigma, \(2,\)"
    with pytest.raises(ValueError, match=message):
        module.loss(states(module, 2), (np.stack([x] * 3), y, mask))


def test_the_numbers_of_a_state_are_those_that_it_has_alone():
    module = compiled(task=TRIALS, rank=1, nonlinearity="erf")
    rng = np.random.default_rng(3)
    sigma = np.stack([module.overlaps_of(*rng.normal(size=(4, 50))) for _ in range(400)])
    trials = rng.normal(size=(8, 64, 1)), rng.normal(size=(8, 64, 1))
    together = module.loss_gradient(sigma, trials)
    for k in range(0, 400, 57):
        np.testing.assert_array_equal(module.loss_gradient(sigma[k], trials), together[k])
