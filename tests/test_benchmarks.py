"""The programs that benchmarks compare with compute what the generated module computes. No times here."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.baselines import c_program, jax_program
from tests.benchmarks.problems import given_trials, sample_states
from tests.benchmarks.timing import least_times

SIZES = [(1, 1, 1), (3, 2, 2)]


def random_trials(inputs, outputs, batch=7, steps=37, seed=0):
    """Inputs, targets and mask, a batch and a number of steps that fill neither lanes nor blocks."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((batch, steps, inputs)), rng.standard_normal((batch, steps, outputs))
    return x, y, rng.random(y.shape)


def assert_agrees(problem, sigma, found, tolerance=1e-12):
    loss, gradient = problem.module.loss(sigma, problem.trials), problem.module.loss_gradient(sigma, problem.trials)
    scale = np.abs(gradient).max(axis=-1, keepdims=True)
    assert np.all(np.abs(found[0] - loss) <= tolerance * loss)
    assert np.all(np.abs(found[1] - gradient) <= tolerance * scale)


@pytest.mark.parametrize("nonlinearity", ["linear", "erf"])
@pytest.mark.parametrize(("rank", "inputs", "outputs"), SIZES)
def test_c_loop_agrees_with_the_module(rank, inputs, outputs, nonlinearity):
    problem = given_trials(rank, nonlinearity, random_trials(inputs, outputs))
    for lanes, vector, threads in ((4, 4, 1), (8, 8, 1), (12, 4, 2)):
        loop = c_program.CLoop(problem, lanes, vector, threads)
        for sigma in (problem.states(1)[0], problem.states(5)):
            assert_agrees(problem, sigma, loop(sigma))


def test_c_loop_without_mask_agrees_with_the_module():
    x, y, _ = random_trials(1, 1)
    problem = given_trials(2, "erf", (x, y, None))
    assert_agrees(problem, problem.states(3), c_program.CLoop(problem, 4)(problem.states(3)))


def test_c_loop_leaves_subnormal_numbers_to_the_process():
    problem = given_trials(1, "erf", random_trials(1, 1))
    c_program.CLoop(problem, 4)(problem.states(1))
    assert np.float64(1e-310) / 2 > 0


@pytest.mark.parametrize("nonlinearity", ["linear", "erf"])
@pytest.mark.parametrize(("rank", "inputs", "outputs"), SIZES)
def test_jax_programs_agree_with_the_module(rank, inputs, outputs, nonlinearity):
    problem = given_trials(rank, nonlinearity, random_trials(inputs, outputs))
    for program in jax_program.programs(problem).values():
        for sigma in (problem.states(1)[0], problem.states(3)):
            assert_agrees(problem, sigma, program(sigma))


def test_states_are_those_of_networks_whose_activity_neither_dies_nor_grows():
    problem = given_trials(4, "linear", random_trials(1, 1))
    sigma = sample_states(problem.module, 4, 1, 20)
    grams = problem.module.gram(sigma)
    assert np.linalg.eigvalsh(grams).min() > -1e-12
    recurrent = grams[:, problem.module.P_V, problem.module.P_U]
    radius = np.abs(np.linalg.eigvals(recurrent)).max(axis=-1)
    assert 0.3 < radius.min() <= radius.max() < 1


def test_programs_alternate():
    calls = []
    least_times({name: lambda name=name: calls.append(name) for name in "ab"}, rounds=2)
    order = "".join(calls)
    assert order.index("b") > 0
    assert order.rindex("a") > order.index("b")
