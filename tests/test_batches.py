"""Trials that tasks draw, in learning: the same for the same seed, fresh or fixed; teachers and their students."""

from __future__ import annotations

import numpy as np
import pytest

import symlow
from symlow.batches import task_batches, task_generator
from symlow.errors import ArrayError, GramMatrixError, LearningError, SpecError
from symlow.initial import overlaps_of_weights, sample_weights
from symlow.spec_trials import TEACHER_OVERLAPS
from tests.conftest import compiled, derived

FLIP_FLOP = {"kind": "flip_flop", "duration": 2.0, "pulse_rate": 1.0, "batch": 3}
TEACHER = {"kind": "teacher", "duration": 2.0, "batch": 3}


def initial(d, seed=0):
    return overlaps_of_weights(d, sample_weights(d, 30, 1.0, seed))


def test_tasks_without_generator_have_no_batches():
    assert task_batches(derived(), 0) is None
    assert task_generator(derived({"kind": "trials"})) is None


def test_batch_and_data_of_the_specification_or_of_the_call():
    d = derived(FLIP_FLOP)
    batches = task_batches(d, seed=1)
    assert batches(0)[0].shape == (3, 40, 1)
    assert not np.array_equal(batches(0)[0], batches(1)[0])
    assert np.array_equal(batches(1)[0], task_batches(d, seed=1)(1)[0])
    fixed = task_batches(d, seed=1, batch=5, data="fixed")
    assert fixed(0)[0].shape == (5, 40, 1)
    assert fixed(7)[0] is fixed(0)[0]


def test_learning_draws_the_trials_of_each_step():
    d, module = derived(FLIP_FLOP, nonlinearity="erf"), compiled(FLIP_FLOP, nonlinearity="erf")
    run = symlow.learn(d, initial(d), 0.1, 3, seed=5)
    batches, sigma = task_batches(d, 5), initial(d)
    for k in range(4):
        assert run.loss[k] == module.loss(sigma, batches(k))
        assert np.array_equal(run.sigma[k], sigma)
        sigma = module.step(sigma, 0.1, batches(k))


def test_trials_by_step_from_a_function_or_arrays():
    d = derived(FLIP_FLOP, nonlinearity="erf")
    batches = task_batches(d, 3)
    by_function = symlow.learn(d, initial(d), 0.1, 2, trials=batches)
    assert np.array_equal(by_function.sigma, symlow.learn(d, initial(d), 0.1, 2, seed=3).sigma)
    fixed = symlow.learn(d, initial(d), 0.1, 2, trials=batches(0))
    assert np.array_equal(fixed.sigma[1], by_function.sigma[1])
    assert not np.array_equal(fixed.sigma[2], by_function.sigma[2])


def test_flow_learns_fixed_trials_and_tends_to_descent():
    d = derived(FLIP_FLOP, nonlinearity="erf")
    flow = symlow.learn(d, initial(d), 0.08, 1, method="flow", seed=2).sigma[-1]
    data = task_batches(d, 2, data="fixed")
    errors = []
    for steps in (8, 16, 32):
        descent = symlow.learn(d, initial(d), 0.08 / steps, steps, trials=data).sigma[-1]
        errors.append(np.abs(descent - flow).max())
    assert np.log2(np.array(errors[:-1]) / errors[1:]) == pytest.approx([1, 1], abs=0.1)


def test_flow_on_changing_trials_is_refused():
    d = derived(FLIP_FLOP, nonlinearity="erf")
    with pytest.raises(LearningError, match="method: found 'flow' with trials that differ"):
        symlow.learn(d, initial(d), 0.1, 2, trials=task_batches(d, 0), method="flow")


def test_ones_are_ones():
    d = derived(FLIP_FLOP, nonlinearity="relu", means=True)
    sigma = initial(d)
    sigma[-1] = 2.0
    with pytest.raises(GramMatrixError, match="sigma: found one_one = 2; accepted: 1, the mean square of ones"):
        symlow.learn(d, sigma, 0.1, 2)


def test_settings_of_the_wrong_type():
    d = derived(FLIP_FLOP)
    with pytest.raises(LearningError, match="method: found 'descent'; accepted: 'step' or 'flow'"):
        symlow.learn(d, initial(d), 0.1, 2, method="descent")
    for lr, steps in (("0.1", 2), (None, 2), (0.1, 2.5), (0.1, "2")):
        with pytest.raises(LearningError, match=r"(lr|steps): found"):
            symlow.learn(d, initial(d), lr, steps)


def test_flow_on_the_same_arrays_at_each_step():
    d = derived(FLIP_FLOP, nonlinearity="erf")
    x, y, _ = task_batches(d, 0)(0)
    run = symlow.learn(d, initial(d), 0.01, 2, trials=lambda step: (x, y, None), method="flow")
    assert run.method == "flow"


def test_trials_of_a_step_are_checked():
    d = derived(FLIP_FLOP)
    with pytest.raises(ArrayError, match="x: found shape"):
        symlow.learn(d, initial(d), 0.1, 2, trials=lambda step: (np.zeros((1, 5, 3)), np.zeros((1, 5, 1))))


def test_student_that_is_its_teacher_has_no_loss():
    d, module = derived(TEACHER, nonlinearity="erf"), compiled(TEACHER, nonlinearity="erf")
    sigma = np.array([TEACHER_OVERLAPS.get(name, 1.0) for name in d.overlaps])
    trials = task_batches(d, 0)(0)
    assert module.loss(sigma, trials) < 1e-28
    assert np.abs(module.loss_gradient(sigma, trials)).max() < 1e-13


def test_teacher_of_another_rank_and_nonlinearity():
    overlaps = {
        "z_m": 0.5,
        "z_u1": 0.1,
        "z_u2": 0.2,
        "v1_m": 0.3,
        "v2_m": 0.4,
        "v1_u1": 0.5,
        "v1_u2": -0.6,
        "v2_u1": 0.7,
        "v2_u2": 0.8,
    }
    task = {**TEACHER, "rank": 2, "nonlinearity": "linear", "overlaps": overlaps}
    teacher = compiled({"kind": "trials"}, rank=2)
    sigma = np.array([overlaps.get(name, 0.0) for name in teacher.OVERLAPS])
    x, y, mask = task_batches(derived(task, nonlinearity="erf"), 4)(2)
    assert mask is None
    assert np.array_equal(y, teacher.outputs(sigma, x))


@pytest.mark.parametrize(
    ("overlaps", "message"),
    [
        ({**TEACHER_OVERLAPS, "z_q": 1.0}, "task.overlaps: unknown overlap 'z_q'; did you mean"),
        ({"z_m": 0.5}, "task.overlaps: no value for z_u; accepted: each loss-visible overlap of the teacher, z_m, z_u"),
        ({**TEACHER_OVERLAPS, "v_v": 1.0}, "task.overlaps: unknown overlap 'v_v'"),
        ({**TEACHER_OVERLAPS, "m_u": 2.5}, "task.overlaps: those of m, u with one another have a Gram matrix with the"),
    ],
)
def test_teachers_that_are_no_networks(overlaps, message):
    with pytest.raises(SpecError, match=message):
        task_batches(derived({**TEACHER, "overlaps": overlaps}, nonlinearity="erf"), 0)
