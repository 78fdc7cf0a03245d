"""Learning runs: descent and flow, several states, saving, and input that is wrong."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import symlow
from symlow.errors import ArrayError, DependencyError, FileError, GramMatrixError, LearningError
from symlow.initial import least_neurons, load_initial
from symlow.plot import plot_learning, save_figure
from tests.conftest import EXPONENTIAL, compiled, derived, random_trials, states, weights
from tests.test_cli import works
from tests.test_realise import DERIVATIONS, sampled, system


def test_descent_learns_the_published_values():
    # Final values a*, a*(1 - c*), 1 - c* of Ger & Barak 2026, fig. 5, at dt = 0.05 up to the exact discrete minimum.
    task = {**EXPONENTIAL, "horizon": 20.0}
    d, module = derived(task), compiled(task)
    run = symlow.learn(d, states(module, 1, neurons=500)[0], 0.005, 4000)
    z_m, z_u, v_m, v_u = run.sigma[-1, :4]
    (family,) = d.pair_formulas[0].minimum_discrete
    exact = {symbol.name: value.subs(d.parameters) for symbol, value in family.items()}
    assert run.loss[-1] < 1e-10
    assert z_m == pytest.approx(float(exact["sigma_z_m"]), abs=1e-4)
    assert v_u == pytest.approx(float(exact["sigma_v_u"]), abs=1e-4)
    assert v_u == pytest.approx(0.8, abs=1.5e-3)
    assert z_u * v_m == pytest.approx(0.8, abs=2e-3)


def test_flow_follows_the_steps_and_tends_to_them():
    d, module = derived(), compiled()
    start = states(module, 1)[0]
    runs = [
        (symlow.learn(d, start, lr, n), symlow.learn(d, start, lr, n, method="flow"))
        for lr, n in ((0.004, 50), (0.002, 100), (0.001, 200))
    ]
    errors = [np.abs(step.sigma[-1] - flow.sigma[-1]).max() for step, flow in runs]
    assert np.log2(errors[1] / errors[2]) == pytest.approx(1, abs=0.05)
    assert runs[0][1].sigma.shape == (51, 10)


@pytest.mark.parametrize("method", ["step", "flow"])
def test_several_states_learn_as_each_does_alone(method):
    d, module = derived(), compiled()
    sigma = states(module, 3)
    together = symlow.learn(d, sigma, 0.01, 5, method=method)
    assert together.sigma.shape == (6, 3, 10)
    assert together.loss.shape == (6, 3)
    alone = symlow.learn(d, sigma[1], 0.01, 5, method=method)
    assert together.sigma[:, 1] == pytest.approx(alone.sigma, rel=1e-8)


def test_saved_run_has_everything(tmp_path):
    d, module = derived(), compiled()
    run = symlow.learn(d, states(module, 1)[0], 0.01, 5)
    path = run.save(tmp_path / "run.npz")
    with np.load(path) as saved:
        assert np.array_equal(saved["sigma"], run.sigma)
        assert tuple(saved["overlaps"]) == d.overlaps
        assert str(saved["digest"]) == d.spec.digest
    before = path.read_bytes()
    with pytest.raises(FileError, match="exists and was left as it is"):
        run.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


def test_figure_is_written(tmp_path):
    pytest.importorskip("matplotlib")
    d, module = derived(rank=2), compiled(rank=2)
    for sigma in (states(module, 1)[0], states(module, 3)):
        figure = plot_learning(symlow.learn(d, sigma, 0.01, 5))
        assert next(axes.get_title() for axes in figure.axes) == "loss"
        assert [len(axes.get_lines()) for axes in figure.axes][1:] == [10, 13]
    assert save_figure(figure, tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(FileError, match=r"unknown picture format '\.bmp'; accepted: \.png, \.svg, \.pdf"):
        save_figure(figure, tmp_path / "run.bmp")


def test_missing_matplotlib_is_one_line(monkeypatch):
    d, module = derived(), compiled()
    run = symlow.learn(d, states(module, 1)[0], 0.01, 2)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(DependencyError, match=r'plots need matplotlib.*pip install "symlow\[plot\]"'):
        plot_learning(run)


def shifted(sigma, name, value):
    changed = sigma.copy()
    changed[derived().overlaps.index(name)] = value
    return changed


def test_input_that_is_wrong():
    d, module = derived(), compiled()
    sigma = states(module, 1)[0]
    cases = [
        (
            shifted(sigma, "m_m", -1.0),
            0.1,
            5,
            GramMatrixError,
            r"sigma: the Gram matrix has the eigenvalue -.*norm m_m",
        ),
        (np.stack([sigma, shifted(sigma, "z_u", 9.0)]), 0.1, 5, GramMatrixError, r"sigma\[1\]: the Gram matrix"),
        (sigma[:-1], 0.1, 5, ArrayError, r"sigma: found shape \(9,\); accepted: \(10,\), meaning \(10 overlaps"),
        (shifted(sigma, "z_m", np.nan), 0.1, 5, ArrayError, r"sigma: found nan at index \(0,\); accepted: finite"),
        (["a"] * 10, 0.1, 5, ArrayError, "sigma: found (text|complex numbers)"),
        (sigma * (1 + 0j), 0.1, 5, ArrayError, "sigma: found (text|complex numbers)"),
        (sigma, -0.1, 5, LearningError, "lr: found -0.1; accepted: a finite number > 0"),
        (sigma, 0.1, 0, LearningError, "steps: found 0; accepted: an integer >= 1"),
        (sigma, 1e6, 50, LearningError, r"learning diverged at step \d+: .*lower the learning rate"),
    ]
    for state, lr, steps, kind, message in cases:
        with pytest.raises(kind, match=message):
            symlow.learn(d, state, lr, steps)


def test_trials_that_are_wrong():
    task = {"kind": "trials"}
    d, module = derived(task), compiled(task)
    sigma, (x, y, mask) = states(module, 1)[0], random_trials(d)
    cases = [
        (None, LearningError, "the task has no closed-form loss; give arrays x, y"),
        ((x[..., :0], y), ArrayError, r"x: found shape \(3, 30, 0\); accepted: \(any, any, 1\)"),
        ((x, y[:2]), ArrayError, r"y: found shape \(2, 30, 1\); accepted: \(3, 30, 1\)"),
        ((x, y, 0 * mask), ArrayError, "mask: found negative entries or none above zero"),
        ((x, y, -mask), ArrayError, "mask: found negative entries"),
        ((x, y * np.inf), ArrayError, r"y: found -?inf at index \(0, 0, 0\)"),
        ((x,), ArrayError, "trials: found 1 arrays"),
        ((x[:0], y[:0]), ArrayError, "which holds no trial"),
    ]
    for trials, kind, message in cases:
        with pytest.raises(kind, match=message):
            symlow.learn(d, sigma, 0.1, 5, trials)


def test_infinite_loss_at_the_start_is_an_error():
    task = {**EXPONENTIAL, "horizon": float("inf")}
    d, module = derived(task), compiled(task)
    sigma = shifted(shifted(shifted(states(module, 1)[0], "v_u", 1.2), "u_u", 3.0), "v_v", 3.0)
    with pytest.raises(LearningError, match="the loss is not finite at the initial overlaps: over an infinite horizon"):
        symlow.learn(d, sigma, 0.1, 5)


def test_flow_that_is_too_stiff_stops(monkeypatch):
    monkeypatch.setattr(sys.modules["symlow.flow"], "MOST_EVALUATIONS", 100)
    with pytest.raises(LearningError, match=r"took more than 100 evaluations by time \S+ of 100000: it is too stiff"):
        symlow.learn(derived(), states(compiled(), 1)[0], 1e4, 10, method="flow")


def test_numbers_too_large_are_an_error():
    with pytest.raises(LearningError, match="too large for floating point"):
        symlow.learn(derived(), states(compiled(), 1)[0] * 1e160, 0.1, 5)


def test_initial_overlaps_from_files(tmp_path):
    d, module = derived(), compiled()
    P = weights(d)
    np.savez(tmp_path / "weights.npz", m=P[:, 0], u=P[:, 1:2], v=P[:, 2], z=P[:, 3])
    expected = (P.T @ P / 50)[module._ROWS, module._COLUMNS]
    assert load_initial(tmp_path / "weights.npz", d) == pytest.approx(expected)
    np.savez(tmp_path / "sigma.npz", sigma=np.stack([expected, expected]))
    assert load_initial(tmp_path / "sigma.npz", d).shape == (2, 10)
    np.savez(tmp_path / "some.npz", m=P[:, 0], u=P[:, 1])
    with pytest.raises(FileError, match=r"some.npz: no array 'v'; accepted: an array sigma, or arrays m, u, v, z"):
        load_initial(tmp_path / "some.npz", d)
    np.savez(tmp_path / "short.npz", m=P[:, 0], u=P[:9, 1], v=P[:, 2], z=P[:, 3])
    with pytest.raises(ArrayError, match=r"short.npz: u: found shape \(9, 1\); accepted: \(50, 1\)"):
        load_initial(tmp_path / "short.npz", d)
    run = symlow.learn(d, expected, 0.01, 4)
    run.save(tmp_path / "run.npz")
    assert np.array_equal(load_initial(tmp_path / "run.npz", d), run.sigma[-1])
    np.savez(tmp_path / "none.npz", sigma=np.ones((0, 10)))
    with pytest.raises(ArrayError, match=r"none.npz: sigma: found no state"):
        load_initial(tmp_path / "none.npz", d)
    np.savez_compressed(tmp_path / "damaged.npz", sigma=expected)
    damaged = bytearray((tmp_path / "damaged.npz").read_bytes())
    damaged[60:70] = b"x" * 10
    (tmp_path / "damaged.npz").write_bytes(damaged)
    with pytest.raises(FileError, match=r"not an \.npz file of plain arrays"):
        load_initial(tmp_path / "damaged.npz", d)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(FileError, match=r"not an \.npz file of plain arrays"):
        load_initial(tmp_path / "text.npz", d)
    np.save(tmp_path / "one.npy", P)
    with pytest.raises(FileError, match="holds one array without a name"):
        load_initial(tmp_path / "one.npy", d)
    with pytest.raises(FileError, match="is a directory"):
        load_initial(tmp_path, d)


@pytest.mark.parametrize("name", ["architectures/two_populations", "ger_barak_2026/rank1_erf_flip_flop"])
def test_learning_starts_from_a_file_of_what_realise_makes(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    d, module = system(name)
    sigma = sampled(d)
    weights_of = symlow.realise(d, sigma, neurons=40 * least_neurons(d.network.equations))
    np.savez("weights.npz", **weights_of)
    assert load_initial("weights.npz", d) == pytest.approx(np.asarray(module.overlaps_of(**weights_of)), abs=1e-12)
    assert load_initial("weights.npz", d) == pytest.approx(sigma, abs=1e-12)
    works("learn", DERIVATIONS / f"{name}.toml", "--initial", "weights.npz", "--steps", 2, "-o", "run.npz")
    with np.load("run.npz") as run:
        assert run["sigma"][0] == pytest.approx(sigma, abs=1e-12)


def test_initial_weights_of_populations_are_checked_as_others_are(tmp_path):
    d, _ = system("architectures/two_populations")
    made = symlow.realise(d, sampled(d), neurons=40)
    path = tmp_path / "a.npz"
    np.savez(path, **made, oneE=np.ones(30))
    assert load_initial(path, d).shape == (len(d.overlaps),)
    for changes, message in (
        ({"oneE": 2 * np.ones(30)}, "oneE: found entries that are not 1"),
        ({"uI": np.ones(9)}, r"uI: found shape \(9, 1\); accepted: \(10, 1\)"),
        ({key: array[:5] for key, array in made.items() if key.endswith("I")}, "neurons: found 30, 5 of .* 3 : 1"),
        ({key: array[:0] for key, array in made.items()}, "weights: found no neuron"),
    ):
        np.savez(path, **made | changes)
        with pytest.raises((ArrayError, GramMatrixError), match=f"^{path}: {message}"):
            load_initial(path, d)
