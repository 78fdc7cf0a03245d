"""Sequences of tasks on one network, beside networks of neurons and beside learning phase by phase."""

from __future__ import annotations

import numpy as np
import pytest

import symlow
from symlow.errors import ArrayError, GramMatrixError, LearningError, SymlowError, UnknownNameError
from symlow.initial import check_weights, overlaps_of_weights, sample_weights, weights_by_vector
from symlow.optimizers import Adam
from symlow.protocols import Phase, noisy_outputs, overlap_distance, run_protocol, train_protocol
from symlow.simulate import FullNetwork
from tests.conftest import compiled, derived

A = {"kind": "exponential_filter", "decay": 0.2, "horizon": 1.0}
B = {"kind": "exponential_filter", "decay": 1.0, "horizon": 1.0}
SHORT = {"kind": "flip_flop", "duration": 1.0, "batch": 2}


def weights(d, neurons=20, seed=0):
    return sample_weights(d, neurons, 1.0, seed)


def sigma(d, neurons=20, seed=0):
    return overlaps_of_weights(d, weights(d, neurons, seed))


def test_phases_go_on_where_the_last_one_ended():
    a, b = derived(A), derived(B)
    start = sigma(a)
    run = run_protocol(start, [Phase(a, 6, 0.05, "A"), Phase(b, 5, 0.03), Phase(a, 4, 0.05, "A")], every=2)
    first = symlow.learn(a, start, 0.05, 6)
    second = symlow.learn(b, first.sigma[-1], 0.03, 5)
    third = symlow.learn(a, second.sigma[-1], 0.05, 4)
    assert run.labels == ("A", "example", "A")
    np.testing.assert_array_equal(run.ends, [first.sigma[-1], second.sigma[-1], third.sigma[-1]])
    np.testing.assert_array_equal(run.starts, [start, first.sigma[-1], second.sigma[-1]])
    np.testing.assert_array_equal(run.step, [0, 2, 4, 6, 6, 8, 10, 11, 11, 13, 15])
    np.testing.assert_array_equal(run.phase, [0] * 4 + [1] * 4 + [2] * 3)
    np.testing.assert_array_equal(run.loss[run.part(1)], second.loss[[0, 2, 4, 5]])


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_linear_networks_have_the_overlaps_of_the_equations(noise):
    a, b = derived(A), derived(B)
    phases = [Phase(a, 4, 0.05, label_noise=noise, seed=2), Phase(b, 3, 0.04, seed=3)]
    theory, network = run_protocol(sigma(a), phases), train_protocol(weights(a), phases)
    np.testing.assert_allclose(network.sigma, theory.sigma, rtol=0, atol=1e-13)
    np.testing.assert_allclose(network.loss, theory.loss, rtol=1e-12)
    np.testing.assert_allclose(overlaps_of_weights(a, network.weights), theory.ends[-1], rtol=0, atol=1e-13)


def test_noise_on_targets_is_drawn_from_the_seed():
    a = derived(A)
    run, again, other = (
        run_protocol(sigma(a), [Phase(a, 3, 0.05, label_noise=0.5, seed=seed)]).ends for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(run, again)
    assert np.abs(run - other).max() > 1e-4


def test_many_histories_go_through_phases_together():
    a, b = derived(A), derived(B)
    starts = np.stack([sigma(a, seed=seed) for seed in (1, 2)])
    phases = [Phase(a, 4, 0.05), Phase(b, 4, np.array([0.02, 0.05]))]
    together = run_protocol(starts, phases)
    for k, lr in enumerate((0.02, 0.05)):
        alone = run_protocol(starts[k], [Phase(a, 4, 0.05), Phase(b, 4, lr)])
        np.testing.assert_array_equal(together.sigma[:, k], alone.sigma)


def test_noise_on_weights_raises_the_norms_of_trained_vectors():
    frozen = derived(A, ("m",))
    start = sigma(frozen)
    run = run_protocol(start, [Phase(frozen, 1, 0.01), Phase(frozen, 1, 0.01, weight_noise=0.5)])
    raised = run.starts[1] - run.ends[0]
    expected = [0.25 if name in ("u_u", "v_v", "z_z") else 0.0 for name in frozen.overlaps]
    np.testing.assert_allclose(raised, expected, atol=1e-15)


def test_the_mean_of_noise_on_the_weights_of_networks_is_that_of_the_equations():
    d = derived(A)
    neurons = 200_000
    P = weights(d, neurons)
    shaken = train_protocol(P, [Phase(d, 1, 1e-9, weight_noise=0.3, seed=5)]).starts[0]
    expected = run_protocol(overlaps_of_weights(d, P), [Phase(d, 1, 1e-9, weight_noise=0.3)]).starts[0]
    assert np.abs(shaken - expected).max() < 6 * 0.3 * 2 / np.sqrt(neurons)


def test_a_nonlinear_task_draws_its_own_trials_in_equations_and_network():
    d = derived(SHORT, nonlinearity="erf")
    phases = [Phase(d, 2, 0.01, seed=4)]
    theory = run_protocol(sigma(d), phases)
    network = train_protocol(weights(d, 2000), phases)
    expected = symlow.learn(d, sigma(d), 0.01, 2, seed=4)
    np.testing.assert_array_equal(theory.sigma, expected.sigma)
    np.testing.assert_allclose(network.loss[0], expected.loss[0], rtol=0.2)


def test_another_optimizer_takes_the_place_of_the_rule():
    d = derived(A)
    phases = [Phase(d, 3, 0.01)]
    own, adam = train_protocol(weights(d), phases), train_protocol(weights(d), phases, optimizer="adam")
    network = FullNetwork(d.network, d.loss.reduction, float(d.loss.factor))
    moments = list(network.train(weights(d), d.loss.impulse_trials(), 0.01, 3, optimizer="adam"))
    np.testing.assert_array_equal(adam.weights, moments[-1].weights)
    assert np.abs(own.weights - adam.weights).max() > 1e-3


@pytest.mark.parametrize(
    ("phases", "words"),
    [
        (list, "phases: found none"),
        (lambda: None, "phases: found None; accepted: a list of phases"),
        (lambda: Phase(derived(A), 2), "phases: found a Phase; accepted: a list of phases"),
        (lambda: [(derived(A), 2)], r"phases\[0\]: found a tuple"),
        (lambda: [Phase(derived(A).spec, 2)], "found a Spec to learn; accepted: a derivation"),
        (lambda: [Phase(derived(A), 0)], "phase 'example': steps: found 0"),
        (lambda: [Phase(derived(A), 2, 0.0)], "phase 'example': lr: found 0.0; accepted: a finite number > 0"),
        (lambda: [Phase(derived(A), 2, [0.1, -1.0])], "lr: found -1.0 at index 1"),
        (lambda: [Phase(derived(A), 2, [[0.1], [0.1, 0.2]])], "lr: found a list with parts of different shapes"),
        (lambda: [Phase(derived(A), 2, seed=None)], "seed: found None; accepted: an integer >= 0"),
        (lambda: [Phase(derived(A), 2, label_noise="a")], "label_noise: found 'a'"),
        (lambda: [Phase(derived(A), 2, weight_noise=None)], "weight_noise: found None"),
        (lambda: [Phase(derived(A), 2, trials=3)], "trials: found 3; accepted"),
        (lambda: [Phase(derived(A), 2, trials=lambda step: None)], "trials: found None; accepted"),
        (lambda: [Phase(derived(A), 2, trials=lambda step: None, label_noise=0.1)], "trials: found None; accepted"),
        (lambda: [Phase(derived(A), 2), Phase(derived(A, dt=0.1), 2)], "found another network than in phase"),
        (lambda: [Phase(derived(A), 2), Phase(derived(SHORT, nonlinearity="erf"), 2)], "accepted: the same"),
        (lambda: [Phase(derived(A), 2, label_noise=-1.0)], "label_noise: found -1.0"),
        (lambda: [Phase(derived(A), 2, weight_noise=float("nan"))], "weight_noise: found nan"),
        (lambda: [Phase(derived({"kind": "trials"}), 2, label_noise=0.1)], "no trials of its own"),
    ],
)
def test_what_is_no_protocol_is_refused(phases, words):
    with pytest.raises((LearningError, symlow.SymlowError), match=words):
        run_protocol(sigma(derived(A)), phases())


def test_phases_are_compared_as_objects_for_they_hold_arrays():
    d, rates = derived(A), np.array([0.02, 0.05])
    first, second = Phase(d, 2, rates), Phase(d, 2, rates)
    assert first != second
    assert [second, first].index(first) == 1
    assert len({first, second, first}) == 2


def test_noise_on_weights_is_refused_with_sums_over_neurons():
    d = symlow.derive(symlow.Spec.load("derivations/ger_barak_2025/closed_loop_double_integrator.toml"))
    with pytest.raises(LearningError, match="sums over neurons"):
        run_protocol(np.zeros(len(d.overlaps)), [Phase(d, 1, weight_noise=0.1)])


def test_histories_that_all_diverge_end_the_protocol():
    d = derived(A)
    for run in (run_protocol, train_protocol):
        start = sigma(d) if run is run_protocol else weights(d)
        with pytest.raises(LearningError, match="diverged"):
            run(start, [Phase(d, 200, 1e3), Phase(d, 2)])


def test_a_history_that_diverges_among_others_is_named():
    d = derived(A)
    with pytest.raises(LearningError, match="1 of 2 histories diverged, the first of them number 1"):
        run_protocol(np.stack([sigma(d)] * 2), [Phase(d, 200, np.array([0.01, 1e3])), Phase(d, 2)])


def test_a_common_first_phase_goes_before_a_scan():
    a, b = derived(A), derived(B)
    run = run_protocol(sigma(a), [Phase(a, 4, 0.05), Phase(b, 3, np.array([0.02, 0.05]))])
    assert run.sigma.shape == (9, 2, len(a.overlaps))
    for k, lr in enumerate((0.02, 0.05)):
        alone = run_protocol(sigma(a), [Phase(a, 4, 0.05), Phase(b, 3, lr)])
        np.testing.assert_array_equal(run.sigma[:, k], alone.sigma)
    for start, phases in (
        (sigma(a), [Phase(a, 2, [0.1] * 3), Phase(b, 2, [0.1] * 2)]),
        (np.stack([sigma(a)] * 3), [Phase(a, 2), Phase(b, 2, [0.1] * 2)]),
    ):
        with pytest.raises(
            ArrayError, match=r"phases\[1\].lr: found 2 entries, where .* has 3; accepted: one for each"
        ):
            run_protocol(start, phases)


def test_parts_are_those_of_phases():
    d = derived(A)
    run = run_protocol(sigma(d), [Phase(d, 2), Phase(d, 1)])
    assert (run.part(0), run.part(1)) == (slice(0, 3), slice(3, 5))
    for phase, found in ((2, "found 2; accepted: 0 to 1"), (-1, "found -1"), (1.5, "found 1.5")):
        with pytest.raises(LearningError, match=f"phase: {found}"):
            run.part(phase)


def test_a_backend_that_is_no_name():
    with pytest.raises(UnknownNameError, match="unknown backend None"):
        run_protocol(sigma(derived(A)), [Phase(derived(A), 2)], backend=None)


def test_several_learning_rates_are_refused_for_one_network():
    d = derived(A)
    with pytest.raises(LearningError, match="several lr"):
        train_protocol(weights(d), [Phase(d, 2, np.array([0.1, 0.2]))])


def test_distance_is_the_frobenius_norm_of_gram_matrices():
    d, module = derived(A), compiled(A)
    first, second = sigma(d, seed=1), sigma(d, seed=2)
    visible, invisible = overlap_distance(d, first, second)
    whole = np.linalg.norm(module.gram(first) - module.gram(second))
    assert np.hypot(visible, invisible) == pytest.approx(whole, rel=1e-14)
    changed = first.copy()
    changed[d.overlaps.index("v_v")] += 2
    assert overlap_distance(d, first, changed) == (0.0, 2.0)
    assert overlap_distance(d, np.stack([first, second]), first)[0].shape == (2,)
    assert overlap_distance(d, np.zeros((2, 1, 10)), np.zeros((3, 10)))[1].shape == (2, 3)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda s: s + 1j, "found complex numbers"),
        (lambda s: None, "found None"),
        (lambda s: np.where(s > 0, s, np.nan), "found nan at index"),
        (lambda s: s[:3], r"found shape \(3,\); accepted: \(..., 10\)"),
        (lambda s: np.stack([s] * 3), "one that broadcasts with the first"),
        (lambda s: dict.fromkeys("abc", 1.0), "found {'a': 1.0, 'b': 1.0, 'c': 1.0}; accepted: real numbers"),
        (lambda s: s.astype(object), "found an array of objects, the first a float"),
    ],
)
def test_distance_of_what_are_no_overlaps(other, words):
    d = derived(A)
    with pytest.raises(ArrayError, match=f"second: {words}" if "broadcasts" not in words else words):
        overlap_distance(d, np.stack([sigma(d)] * 2), other(sigma(d)))


def test_noise_of_neurons_has_the_variance_of_its_equation():
    # Without recurrent weights the output is that of independent neurons: variance z.z/N^2 noise^2 dt sum (1 - dt)^2k.
    d = derived(A)
    neurons, noise, dt = 50, 0.7, 0.05
    P = weights(d, neurons)
    P[:, 1:3] = 0
    x = np.zeros((4000, 20, 1))
    outputs = noisy_outputs(d, P, x, noise, seed=1)
    expected = P[:, 3] @ P[:, 3] / neurons**2 * noise**2 * dt * np.sum((1 - dt) ** (2 * np.arange(20)))
    assert outputs[:, -1, 0].var() == pytest.approx(expected, rel=0.1)
    assert np.abs(outputs[:, -1, 0].mean()) < 5 * np.sqrt(expected / 4000)
    np.testing.assert_array_equal(outputs, noisy_outputs(d, P, x, noise, seed=1))
    np.testing.assert_array_equal(
        noisy_outputs(d, P, x[:2] + 1, 0.0, seed=1), FullNetwork(d.network, "sum_dt", 0.5).outputs(P, x[:2] + 1)
    )


# Weights by vector ---------------------------------------------------------------------------------------------------

TWO = "derivations/architectures/two_populations.toml"
BIASED = {"nonlinearity": "erf", "bias": True, "means": True}


def test_weights_by_vector_are_the_network_in_any_order():
    d = derived(A, rank=2)
    P, x = weights(d), np.random.default_rng(0).standard_normal((2, 10, 1))
    by_vector = dict(reversed(weights_by_vector(d, P).items()))
    flat = {name: array[:, 0] if array.shape[1] == 1 else array for name, array in by_vector.items()}
    for given in (by_vector, flat):
        np.testing.assert_array_equal(check_weights(d, given), P)
        np.testing.assert_array_equal(noisy_outputs(d, given, x, 0.1, 0), noisy_outputs(d, P, x, 0.1, 0))
    phases = [Phase(d, 2, 0.05)]
    np.testing.assert_array_equal(train_protocol(by_vector, phases).sigma, train_protocol(P, phases).sigma)
    trials = phases[0].network_batches()
    np.testing.assert_array_equal(
        symlow.drift(d, by_vector, 0.05, 2, trials).network, symlow.drift(d, P, 0.05, 2, trials).network
    )


def test_weights_of_populations_and_of_networks_with_means():
    for d in (symlow.derive(symlow.Spec.load(TWO)), derived(SHORT, **BIASED)):
        P = weights(d, 40)
        np.testing.assert_array_equal(check_weights(d, weights_by_vector(d, P)), P)
        realised = check_weights(d, symlow.realise(d, overlaps_of_weights(d, P), neurons=40))
        np.testing.assert_allclose(overlaps_of_weights(d, realised), overlaps_of_weights(d, P), atol=1e-12)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda w: {}, ArrayError, "weights: found none, and no m; accepted: arrays m, u, v, z by name"),
        (lambda w: {k: w[k] for k in "muv"}, ArrayError, "weights: found m, u, v, and no z"),
        (lambda w: w | {"q": w["u"]}, UnknownNameError, "unknown vector 'q'"),
        (lambda w: w | {"u": w["u"][:5]}, ArrayError, r"u: found shape \(5, 1\); accepted: \(20, 1\)"),
        (lambda w: w | {"u": "a"}, ArrayError, "u: found text"),
        (lambda w: w | {"v": np.nan * w["v"]}, ArrayError, r"v: found nan at index \(0, 0\)"),
        (
            lambda w: np.zeros((50, 3)),
            ArrayError,
            r"weights: found shape \(50, 3\); accepted: \(any, 4\), .* m, u, v, z",
        ),
        (lambda w: np.zeros(4), ArrayError, r"weights: found shape \(4,\)"),
        (lambda w: np.zeros((0, 4)), ArrayError, "weights: found no neuron"),
        (lambda w: [[1, 2], [3]], ArrayError, "weights: found a list with parts of different shapes"),
        (lambda w: np.full((5, 4), np.inf), ArrayError, "weights: found inf"),
    ],
)
def test_what_are_no_weights(change, error, words):
    d = derived(A)
    given = change(weights_by_vector(d, weights(d)))
    x = np.zeros((1, 3, 1))
    for use in (
        lambda: noisy_outputs(d, given, x, 0.1, 0),
        lambda: train_protocol(given, [Phase(d, 2)]),
        lambda: symlow.drift(d, given, 0.1, 2, Phase(d, 2).network_batches()),
    ):
        with pytest.raises(error, match=words):
            use()


def test_columns_in_another_order_are_seen_by_their_ones():
    d = derived(SHORT, **BIASED)
    with pytest.raises(GramMatrixError, match="weights: found entries of one that are not 1"):
        check_weights(d, np.roll(weights(d), 1, axis=1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"noise": -1}, "noise: found -1; accepted: a finite number >= 0"),
        ({"noise": np.float64("nan")}, "noise: found nan"),
        ({"noise": np.inf}, "noise: found inf"),
        ({"noise": "a"}, "noise: found 'a'"),
        ({"noise": 10**400}, "noise: found an int"),
        ({"seed": None}, "seed: found None; accepted: an integer >= 0"),
        ({"seed": -1}, "seed: found -1"),
        ({"seed": 1.5}, "seed: found 1.5"),
        (
            {"x": np.zeros((3, 1))},
            r"x: found shape \(3, 1\); accepted: \(any, any, 1\), meaning \(batch, time, inputs\)",
        ),
        ({"x": np.zeros((2, 3, 2))}, r"x: found shape \(2, 3, 2\)"),
        ({"x": np.full((1, 3, 1), np.nan)}, "x: found nan"),
    ],
)
def test_noise_on_what_is_not_there(change, words):
    d = derived(A)
    with pytest.raises(SymlowError, match=words):
        noisy_outputs(
            **{"derivation": d, "weights": weights(d), "x": np.zeros((1, 3, 1)), "noise": 0.1, "seed": 0} | change
        )


def test_no_network_of_neurons_reads_latents_with_the_gain_before():
    d = derived(SHORT, nonlinearity="erf", readout="updated_latents_previous_gain")
    for use in (
        lambda: noisy_outputs(d, weights(d), np.zeros((1, 3, 1)), 0.1, 0),
        lambda: train_protocol(weights(d), [Phase(d, 1)]),
    ):
        with pytest.raises(LearningError, match="without a counterpart in a network of nonlinear neurons"):
            use()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"every": 0}, "every: found 0; accepted: an integer >= 1"),
        ({"optimizer": 3}, "optimizer: found 3; accepted: gradient_descent, momentum, nesterov, adam, or one such as"),
        ({"optimizer": Adam}, "optimizer: found <class"),
        ({"optimizer": "adm"}, "unknown optimizer 'adm'; did you mean 'adam'"),
    ],
)
def test_training_that_cannot_be(change, words):
    d = derived(A)
    with pytest.raises(SymlowError, match=words):
        train_protocol(**{"weights": weights(d), "phases": [Phase(d, 2)]} | change)


def test_drift_wants_the_trials_of_each_step():
    d = derived(A)
    with pytest.raises(LearningError, match="trials: found a tuple; accepted: a function of the step"):
        symlow.drift(d, weights(d), 0.1, 2, Phase(d, 2).network_batches()(0))
    with pytest.raises(ArrayError, match="trials: found None"):
        symlow.drift(d, weights(d), 0.1, 2, lambda step: None)
