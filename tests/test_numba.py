"""The Numba backend: the numbers of the NumPy module, whatever the leading axes, the threads and the lanes."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numba
import numpy as np
import pytest

import symlow
from symlow.codegen import backends
from symlow.errors import SpecError, UnknownNameError
from symlow.generate import specifications
from symlow.initial import overlaps_of_weights, sample_weights

DERIVATIONS = Path(__file__).parents[1] / "derivations"
SPECS = specifications(DERIVATIONS)
ERF = DERIVATIONS / "ger_barak_2026" / "rank1_erf_flip_flop.toml"
LINEAR = DERIVATIONS / "ger_barak_2026" / "rank1_linear.toml"


def derived(path):
    return symlow.derive(symlow.Spec.load(path))


def states(derivation, count, neurons=60):
    weights = (sample_weights(derivation, neurons, 0.8, seed) for seed in range(count))
    return np.stack([overlaps_of_weights(derivation, w) for w in weights])


def drawn(derivation, batch, steps, seed=0, lead=()):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(*lead, batch, steps, derivation.loss.inputs))
    y, mask = (rng.normal(size=(*lead, batch, steps, derivation.loss.outputs)) for _ in range(2))
    return x, y, mask**2


def assert_equal_numbers(found, expected, tolerance=1e-12):
    assert found.shape == expected.shape
    assert np.max(np.abs(found - expected)) <= tolerance * np.max(np.abs(expected))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_derivation_has_the_numbers_of_the_numpy_module(path):
    derivation = derived(path)
    module, numpy_module = derivation.compile("numba"), derivation.compile()
    assert all(len(line) <= 120 for line in derivation.source("numba").splitlines())
    sigma, trials = states(derivation, 3), drawn(derivation, 11, 23)
    for name in ("loss", "loss_gradient"):
        assert_equal_numbers(getattr(module, name)(sigma, trials), getattr(numpy_module, name)(sigma, trials))
    assert_equal_numbers(module.rhs(0.0, sigma, trials[:2]), numpy_module.rhs(0.0, sigma, trials[:2]))
    lr = np.array([0.1, 0.2, 0.3])
    assert_equal_numbers(module.step(sigma, lr, trials), numpy_module.step(sigma, lr, trials))
    assert_equal_numbers(module.outputs(sigma, trials[0]), numpy_module.outputs(sigma, trials[0]))


@pytest.mark.parametrize("path", [ERF, LINEAR], ids=lambda path: path.stem)
def test_second_derivatives(path):
    derivation = derived(path)
    module, numpy_module = derivation.compile("numba"), derivation.compile()
    sigma, trials = states(derivation, 2), drawn(derivation, 3, 12)
    for name in ("loss_hessian", "jacobian"):
        assert_equal_numbers(getattr(module, name)(sigma, trials), getattr(numpy_module, name)(sigma, trials))


def test_a_filter_task_has_its_closed_form():
    derivation = derived(LINEAR)
    module, numpy_module = derivation.compile("numba"), derivation.compile()
    sigma, target = states(derivation, 4), numpy_module.task(decay=[0.1, 0.2, 0.3, 0.4])
    same_target = module.task(decay=[0.1, 0.2, 0.3, 0.4])
    assert_equal_numbers(module.loss_gradient(sigma), numpy_module.loss_gradient(sigma))
    assert_equal_numbers(module.step(sigma, 0.1, same_target), numpy_module.step(sigma, 0.1, target))


@pytest.mark.parametrize("batch", [1, 8, 16, 17, 40])
def test_lanes_beyond_the_batch_count_for_nothing(batch):
    derivation = derived(ERF)
    module, numpy_module = derivation.compile("numba"), derivation.compile()
    sigma, trials = states(derivation, 1)[0], drawn(derivation, batch, 9)
    assert_equal_numbers(module.loss_gradient(sigma, trials), numpy_module.loss_gradient(sigma, trials))
    assert_equal_numbers(module.outputs(sigma, trials[0]), numpy_module.outputs(sigma, trials[0]))


def test_states_with_their_own_trials_in_several_axes():
    derivation = derived(ERF)
    module, numpy_module = derivation.compile("numba"), derivation.compile()
    sigma = states(derivation, 6).reshape(3, 2, -1)
    x, y, mask = drawn(derivation, 4, 9, lead=(3, 1))
    for trials in ((x, y, mask), (x[0, 0], y, mask[0, 0]), (x, y[0, 0])):
        assert_equal_numbers(module.loss_gradient(sigma, trials), numpy_module.loss_gradient(sigma, trials))
    assert_equal_numbers(module.loss(sigma[0, 0], (x, y, mask)), numpy_module.loss(sigma[0, 0], (x, y, mask)))


def test_numbers_do_not_depend_on_threads_or_on_other_states():
    derivation = derived(ERF)
    module = derivation.compile("numba")
    sigma, trials = states(derivation, 37), drawn(derivation, 10, 300)
    together = module.loss_gradient(sigma, trials)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        np.testing.assert_array_equal(module.loss_gradient(sigma, trials), together)
        np.testing.assert_array_equal(module.loss_gradient(sigma[5], trials), together[5])
    finally:
        numba.set_num_threads(before)


def test_nan_of_one_state_stays_there():
    derivation = derived(ERF)
    module = derivation.compile("numba")
    sigma, trials = states(derivation, 3), drawn(derivation, 5, 9)
    sigma[1, 3] = np.nan
    gradient = module.loss_gradient(sigma, trials)
    assert np.isnan(gradient[1]).all()
    assert np.isfinite(gradient[[0, 2]]).all()


def test_read_only_arrays_integers_and_lists_are_taken():
    derivation = derived(ERF)
    module, numpy_module = derivation.compile("numba"), derivation.compile()
    sigma, (x, y, _) = states(derivation, 2), drawn(derivation, 2, 5)
    x, y = np.round(3 * x).astype(int), y.tolist()
    sigma.flags.writeable = False
    assert_equal_numbers(module.loss_gradient(sigma, (x, y)), numpy_module.loss_gradient(sigma, (x, y)))
    with pytest.raises(ValueError, match=r"y: found shape \(2, 4, 1\), expected \(\.\.\., 2, 5, 1\)"):
        module.loss(sigma, (x, np.zeros((2, 4, 1))))


def test_noisy_steps_without_a_mask():
    given = symlow.Spec.load(ERF).model_dump()
    derivation = symlow.derive(symlow.Spec.model_validate({**given, "learning": {"label_noise": 0.5}}))
    module, numpy_module = derivation.compile("numba"), derivation.compile()
    sigma, (x, y, _) = states(derivation, 2), drawn(derivation, 3, 6)
    for found, expected in zip(
        module.noisy_step_moments(sigma, 0.1, (x, y)), numpy_module.noisy_step_moments(sigma, 0.1, (x, y)), strict=True
    ):
        assert_equal_numbers(found, expected)


def test_no_states_and_single_precision():
    derivation = derived(ERF)
    module, numpy_module = derivation.compile("numba"), derivation.compile()
    sigma, trials = states(derivation, 2), drawn(derivation, 2, 5)
    for each in (module, numpy_module):
        assert each.loss_gradient(np.empty((0, 3, sigma.shape[-1])), trials).shape == (0, 3, 7)
        assert each.loss(sigma[:, None], tuple(np.empty((2, 0, *array.shape)) for array in trials)).shape == (2, 0)
    single = sigma.astype(np.float32)
    assert module.loss_gradient(single, trials).dtype == np.float64
    assert_equal_numbers(module.loss(single, trials), numpy_module.loss(single, trials))


def test_another_process_takes_what_is_compiled(tmp_path):
    program = textwrap.dedent(
        f"""
        import numpy as np, symlow
        d = symlow.derive(symlow.Spec.load({str(LINEAR)!r}))
        module = d.compile("numba")
        x = np.ones((2, 5, 1))
        module.loss(np.ones(10) / 2, (x, x))
        print(module.__file__ if hasattr(module, "__file__") else module.__spec__.origin)
        print(sum(module._in_turn.stats.cache_hits.values()))
        """
    )
    environment = os.environ | {"SYMLOW_CACHE_DIR": str(tmp_path)}
    runs = [
        subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    (first, misses), (second, hits) = (run.stdout.split() for run in runs)
    assert first == second
    assert Path(first).is_relative_to(tmp_path)
    assert (misses, hits) == ("0", "1")


@pytest.mark.parametrize("damage", [b"", b"\x80\x04", b"no pickle."])
def test_damaged_files_of_numba_are_made_anew(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("SYMLOW_CACHE_DIR", str(tmp_path))
    program = (
        f"import numpy as np, symlow; d = symlow.derive(symlow.Spec.load({str(LINEAR)!r}));"
        "x = np.ones((2, 5, 1)); print(d.compile('numba').loss(np.ones(10) / 2, (x, x)))"
    )
    found = []
    for _ in range(2):
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        found.append(run.stdout)
        for path in tmp_path.glob("numba/__pycache__/*.nb?"):
            path.write_bytes(damage)
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", [">f8", "float16", "longdouble", ">c16"])
def test_every_kind_of_number_is_taken(kind):
    derivation = derived(ERF)
    module, numpy_module = derivation.compile("numba"), derivation.compile()
    sigma, trials = states(derivation, 2).astype(kind), drawn(derivation, 2, 5)
    swapped = tuple(array.astype(">f8") for array in trials)
    expected = numpy_module.loss_gradient(np.asarray(sigma, dtype=complex if ">c" in kind else float), trials)
    assert_equal_numbers(module.loss_gradient(sigma, swapped), expected)
    assert_equal_numbers(numpy_module.loss_gradient(sigma, swapped), expected)


def test_no_trials_and_no_time_are_refused():
    module = derived(ERF).compile("numba")
    with pytest.raises(ValueError, match="expected at least one trial and one time step"):
        module.loss(np.ones(10), (np.empty((0, 5, 1)), np.empty((0, 5, 1))))


def test_auto_takes_the_fastest_and_says_which(monkeypatch):
    derivation = derived(ERF)
    assert derivation.compile("auto").BACKEND == "numba"
    absent = backends.Backend("numba", "_numba.py", False, "np", "", needs="no_such_package", compiled=True)
    monkeypatch.setattr(backends, "BACKENDS", {**backends.BACKENDS, "numba": absent})
    assert derivation.compile("auto").BACKEND == "numpy"
    with pytest.raises(UnknownNameError, match="accepted: numpy, numba, jax, javascript, auto"):
        derivation.compile("fortran")


def test_too_many_overlaps_are_refused_by_name():
    network = {"rank": 21, "inputs": 1, "outputs": 1, "nonlinearity": "linear"}
    wide = symlow.derive(symlow.Spec.model_validate({"name": "wide", "network": network, "task": {"kind": "trials"}}))
    with pytest.raises(SpecError, match="backend 'numba': found 484 loss-visible overlaps, accepted: at most 400"):
        wide.source("numba")
    assert 'BACKEND = "numpy"' in wide.source("auto")
