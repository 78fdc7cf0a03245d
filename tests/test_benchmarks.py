"""The programs that benchmarks compare with compute what the generated module computes. No times here."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from tests.benchmarks.baselines import c_program, jax_program
from tests.benchmarks.chart import chart
from tests.benchmarks.problems import given_trials, sample_states
from tests.benchmarks.report import Finding, Section, findings_table
from tests.benchmarks.timing import least_times


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


def tuned_loop(problem, lanes, vector=4, threads=1):
    return c_program.CLoop(problem, threads, c_program.TUNED, LANES=lanes, VECTOR=vector, BLOCK=c_program.BLOCK)


@pytest.mark.parametrize("nonlinearity", ["linear", "erf"])
@pytest.mark.parametrize(("rank", "inputs", "outputs"), [(1, 1, 1), (4, 2, 3)])
def test_c_loops_agree_with_the_module(rank, inputs, outputs, nonlinearity):
    problem = given_trials(rank, nonlinearity, random_trials(inputs, outputs))
    loops = [tuned_loop(problem, 4, 4, 1), tuned_loop(problem, 8, 8, 2)]
    loops += [c_program.plain_program(problem, 2)] if rank == 1 else []
    for loop in loops:
        for sigma in (problem.states(1)[0], problem.states(5)):
            assert_agrees(problem, sigma, loop(sigma))


def test_c_loops_without_mask_agree_with_the_module():
    x, y, _ = random_trials(1, 1)
    problem = given_trials(2, "erf", (x, y, None))
    assert_agrees(problem, problem.states(3), tuned_loop(problem, 12)(problem.states(3)))
    first = given_trials(1, "erf", (x, y, None))
    assert_agrees(first, first.states(3), c_program.plain_program(first)(first.states(3)))


def test_c_loop_leaves_subnormal_numbers_to_the_process():
    problem = given_trials(1, "linear", random_trials(1, 1))
    tuned_loop(problem, 4)(problem.states(1))
    assert np.float64(1e-310) / 2 > 0


@pytest.mark.parametrize(("nonlinearity", "rank", "inputs", "outputs"), [("erf", 2, 1, 2), ("linear", 3, 2, 2)])
def test_jax_programs_agree_with_the_module(nonlinearity, rank, inputs, outputs):
    problem = given_trials(rank, nonlinearity, random_trials(inputs, outputs))
    with jax.enable_x64(True):
        tried = list(jax_program.programs(problem).values())
        for program in (
            jax_program.plain_program(problem),
            tried[0],
            tried[-1],
        ):  # of both forms, where both are tried; outputs after and in the scan
            assert_agrees(problem, problem.states(3), program(problem.states(3)))
        assert_agrees(problem, problem.states(1)[0], tried[0](problem.states(1)[0]))


def test_states_are_those_of_networks_whose_activity_neither_dies_nor_grows():
    problem = given_trials(4, "linear", random_trials(1, 1))
    grams = problem.module.gram(sample_states(problem.module, 4, 1, 20))
    assert np.linalg.eigvalsh(grams).min() > -1e-12
    radius = np.abs(np.linalg.eigvals(grams[:, problem.module.P_V, problem.module.P_U])).max(axis=-1)
    assert 0.3 < radius.min() <= radius.max() < 1


def test_programs_alternate():
    calls = []
    least_times({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2)
    changes = "".join(calls[k] for k in range(1, len(calls)) if calls[k] != calls[k - 1])
    assert changes == "babab"


def test_findings_say_whether_a_demand_is_met():
    fast = Finding("slow / fast", 20, 35.24, at_least=True)
    slow = Finding("slow / fast", 1.5, 3.0, at_least=False)
    assert (fast.is_met, slow.is_met) == (True, False)
    assert "| slow / fast | at least 20 | 35.2 | yes |" in findings_table([fast, slow])


def test_the_chart_is_the_same_each_time():
    times = {"C": 3e-5, "symlow numpy": 3e-3, "PyTorch program": 0.2}
    sections = [Section("", "", (), data={"rank 1": times}), Section("", "", (), data={1: times, 4: times})]
    first = chart(sections)
    assert first == chart(sections)
    assert len(first) < 60_000
