"""Pictures: the data of their lines, their names and colours; not their points."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import sys

import numpy as np
import pytest
from matplotlib.colors import to_hex

import symlow
from symlow import colours
from symlow.errors import ArrayError, DependencyError, FileError, GramMatrixError
from symlow.plot import (
    plot_drift,
    plot_learning,
    plot_losses,
    plot_memory,
    plot_metric,
    plot_overlaps,
    plot_phase_portrait,
    plot_twins,
    save_figure,
)
from symlow.plot.labels import overlap_label
from symlow.plot.metric import metric_values
from symlow.plot.style import shades
from tests.conftest import compiled, derived, random_trials, states, weights


def learned(count=1, steps=12, **network):
    """A run of the example from one or many states."""
    d, module = derived(**network), compiled(**network)
    sigma = states(module, count)
    return d, symlow.learn(d, sigma[0] if count == 1 else sigma, 0.01, steps)


def names(panel):
    """What stands at the ends of curves, from the top."""
    return [text.get_text() for text in panel.texts if text.get_text()]


def hue(line):
    """Whether a colour is more blue, or more red."""
    red, _, blue = (int(to_hex(line.get_color())[k : k + 2], 16) for k in (1, 3, 5))
    return "blue" if blue > red else "red"


def test_learning_shows_the_run_in_the_colours_of_its_kinds():
    _, run = learned(rank=2)
    loss, visible, invisible = plot_learning(run).axes
    assert np.array_equal(loss.lines[0].get_ydata(), run.loss)
    assert loss.get_yscale() == "log"
    for panel, part, colour in (
        (visible, slice(0, run.n_visible), "blue"),
        (invisible, slice(run.n_visible, None), "red"),
    ):
        curves = panel.lines[: len(run.overlaps[part])]
        assert np.array_equal([line.get_ydata() for line in curves], run.sigma[:, part].T)
        assert {hue(line) for line in curves} == {colour}
        assert names(panel) == [overlap_label(name) for name in run.overlaps[part]]
    assert [panel.get_title() for panel in (visible, invisible)] == ["loss-visible overlaps", "loss-invisible overlaps"]
    assert len(plot_overlaps(run).axes) == 2


def test_names_at_the_ends_are_in_the_order_of_the_curves():
    _, run = learned()
    for panel in plot_overlaps(run).axes:
        heights = {text.get_text(): text.xyann[1] for text in panel.texts}
        assert set(heights) <= {overlap_label(name) for name in run.overlaps}
        at_the_end = {overlap_label(name): run.sigma[-1, k] for k, name in enumerate(run.overlaps)}
        assert sorted(heights, key=heights.get) == sorted(heights, key=at_the_end.get)


def test_many_curves_are_not_all_named():
    _, run = learned(rank=3)
    panel = plot_overlaps(run).axes[1]
    assert len(names(panel)) == 15
    assert names(panel)[-1] == f"and {len(run.overlaps) - run.n_visible - 14} more"


def test_losses_of_many_histories_are_a_median_and_a_band():
    _, one = learned()
    _, many = learned(count=20)
    figure = plot_losses({"one": one, "twenty": many})
    (panel,) = figure.axes
    assert np.array_equal(panel.lines[1].get_ydata(), np.median(many.loss, axis=1))
    low, high = np.percentile(many.loss[3], (5, 95))
    corners = panel.collections[0].get_paths()[0].vertices
    at_three = corners[corners[:, 0] == 3, 1]
    assert (at_three.min(), at_three.max()) == pytest.approx((low, high))
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["one", "twenty"]
    assert len(plot_learning(many, history=19).axes[0].lines) == 1
    with pytest.raises(ArrayError, match="history: found 20; accepted: 0 to 19"):
        plot_learning(many, history=20)
    with pytest.raises(ArrayError, match="history: found 'a'; accepted: an integer >= 0"):
        plot_learning(many, history="a")
    with pytest.raises(ArrayError, match="runs: found none"):
        plot_losses({})
    with pytest.raises(ArrayError, match="runs: found a list; accepted: a learning run, or a mapping"):
        plot_losses([one])
    with pytest.raises(ArrayError, match=r"runs\['one'\]: found 3; accepted"):
        plot_losses({"one": 3})


def test_losses_of_up_to_twelve_histories_are_drawn_one_by_one():
    _, some = learned(count=12)
    (panel,) = plot_losses(some).axes
    assert np.array_equal([line.get_ydata() for line in panel.lines], some.loss.T)


@pytest.mark.parametrize(
    ("low", "high", "some"),
    [
        (0.43, 0.44, "0.434"),
        (6.0, 9.0, "7"),
        (0.55, 6.6, "0.5"),
        (0.00012, 0.0009, "0.0002"),
        (1e-3, 1.0, "10^{-2}"),
    ],
)
def test_losses_of_a_decade_or_so_have_plain_numbers(low, high, some):
    _, run = learned(steps=30)
    (panel,) = plot_losses(dataclasses.replace(run, loss=np.geomspace(high, low, 31))).axes
    panel.figure.draw_without_rendering()
    texts = [text.get_text() for which in ("major", "minor") for text in panel.yaxis.get_ticklabels(which=which)]
    found = [text.removeprefix(r"$\mathdefault{").removesuffix("}$") for text in texts]
    assert some in found
    assert any("10^" in text for text in found) == ("10^" in some)
    shown = [tick for tick in panel.get_yticks() if low <= tick <= high]
    assert len(shown) >= 2


def test_a_history_that_reached_a_loss_of_zero_counts_among_many():
    _, many = learned(count=20)
    loss = np.array(many.loss)
    loss[4:, :12] = 0.0
    loss[6:, 19] = np.nan
    changed = symlow.LearningRun(**{**vars(many), "loss": loss})
    (panel,) = plot_losses(changed).axes
    median = panel.lines[0].get_ydata()
    assert np.array_equal(median[:4], np.median(loss[:4, :19], axis=1))
    assert np.isnan(median[4:]).all()


def test_a_network_whose_output_is_its_feedback_has_visible_overlaps_alone():
    network = {"dynamics": ["h' = -h + U*a + M*x", "a = U.T*phi(h)/N", "y = U.T*phi(h)/N"], "vectors": {"m": 1, "u": 1}}
    spec = {"name": "visible", "network": network | {"nonlinearity": "erf"}, "task": {"kind": "trials"}}
    d = symlow.derive(symlow.Spec.model_validate(spec))
    assert d.invisible == ()
    trials = random_trials(d)
    runs = [symlow.learn(d, sigma, 0.01, 3, trials) for sigma in states(d.compile(), 2)]
    for figure in (plot_learning(runs[0]), plot_overlaps(runs[0]), plot_twins(*runs), plot_metric(d)):
        figure.draw_without_rendering()
    visible, invisible = plot_overlaps(runs[0]).axes
    assert names(visible) == [overlap_label(name) for name in d.overlaps]
    assert names(invisible) == []
    assert [len(shades(colours.CLASSES, count)) for count in range(4)] == [0, 1, 2, 3]


def test_a_loss_of_zero_and_a_history_that_diverged_are_left_out():
    _, run = learned()
    broken = run.sigma.copy()
    broken[5:] = np.nan
    changed = symlow.LearningRun(**{**vars(run), "loss": np.append(run.loss[:-1], 0.0), "sigma": broken})
    loss, visible, _ = plot_learning(changed).axes
    assert np.isnan(loss.lines[0].get_ydata()[-1])
    assert visible.texts[0].xy == (4, run.sigma[4, 0])


def test_twins_show_what_they_differ_in():
    d, first = learned()
    sigma = first.sigma[0].copy()
    sigma[d.overlaps.index("z_v")] += 0.3
    second = symlow.learn(d, sigma, 0.01, 20)
    loss, visible, invisible = plot_twins(first, second, ("one", "other")).axes
    assert [line.get_label() for line in loss.lines] == ["one", "other"]
    assert np.array_equal(visible.lines[4].get_ydata(), second.sigma[:, 0])
    assert visible.lines[0].get_color() == visible.lines[4].get_color()
    circles = [line for panel in (visible, invisible) for line in panel.lines if line.get_marker() == "o"]
    assert len(circles) == 1
    assert circles[0].get_ydata() == pytest.approx([sigma[5] - 0.3, sigma[5]])
    with pytest.raises(ArrayError, match="accepted: two runs of one derivation"):
        plot_twins(first, learned(rank=2)[1])


def test_drift_lies_over_its_dots():
    d = derived(task={"kind": "flip_flop", "duration": 1.0, "batch": 2}, nonlinearity="erf")
    trials = symlow.tasks.flip_flop(batch=2, seed=0, duration=1.0, dt=0.05)
    run = symlow.drift(d, weights(d, 60), 0.01, 4, lambda k: trials)
    _, visible, invisible, shape = plot_drift(run).axes
    dots, curve = visible.lines[0], visible.lines[7]
    assert np.array_equal(dots.get_ydata(), run.network[:, 0])
    assert np.array_equal(curve.get_ydata(), run.theory[:, 0])
    assert dots.get_color() == curve.get_color()
    assert names(shape) == ["$m$", "$u$", "$v$", "$z$"]
    assert {hue(line) for line in invisible.lines[:6]} == {"red"}


# The metric ----------------------------------------------------------------------------------------------------------


def test_values_of_the_metric_move_overlaps_as_the_module_does():
    d, module = derived(rank=2), compiled(rank=2)
    sigma = states(module, 1)[0]
    moved = -metric_values(d, sigma) @ module.loss_gradient(sigma)
    assert moved == pytest.approx(module.rhs(0.0, sigma), rel=1e-12, abs=1e-14)


def test_metric_is_drawn_with_names_on_its_axes():
    d = derived()
    (panel,) = plot_metric(d).axes
    assert [label.get_text() for label in panel.get_yticklabels()] == [overlap_label(name) for name in d.overlaps]
    assert [to_hex(label.get_color()).upper() for label in panel.get_yticklabels()[3:5]] == [
        colours.VISIBLE,
        colours.INVISIBLE,
    ]
    assert panel.get_xticklabels()[0].get_text() == r"$\partial_{zm}L$"
    written = [text.get_text() for text in panel.texts]
    assert r"$\|m\|^2+\|z\|^2$" in written
    assert "visible × visible" in written
    assert "invisible × visible" in written
    values = plot_metric(derived(rank=2), states(compiled(rank=2), 1)[0]).axes[1]
    assert values.get_title() == "values"
    with pytest.raises(GramMatrixError):
        plot_metric(d, -np.ones(10))
    with pytest.raises(ArrayError, match="found 2 states; accepted: one"):
        plot_metric(d, states(compiled(), 2))


# Latents -------------------------------------------------------------------------------------------------------------


def test_portrait_of_a_flip_flop_has_two_stable_fixed_points():
    d = derived({"kind": "trials"}, nonlinearity="erf")
    given = {"z_u": 2.0, "v_m": 2.0, "v_u": 2.0, "m_m": 1.5, "u_u": 1.5, "v_v": 9.0, "z_z": 9.0}
    sigma = np.array([given.get(name, 0.0) for name in d.overlaps])
    (panel,) = plot_phase_portrait(d, sigma).axes
    points = {line.get_label(): line for line in panel.lines if line.get_label().endswith("stable fixed point")}
    stable = np.array(points["stable fixed point"].get_data()).T
    assert np.sort(stable[:, 1]) == pytest.approx(np.array([-1, 1]) * np.sqrt(6 / (1.5 * np.pi)), abs=1e-6)
    (unstable,) = [line for line in panel.lines if line.get_label() == "unstable"]
    assert np.array(unstable.get_data()).ravel() == pytest.approx([0, 0], abs=1e-9)
    assert (panel.get_xlabel(), panel.get_ylabel()) == (r"$\kappa_{m}$", r"$\kappa_{u}$")
    ends = [line.get_ydata()[-1] for line in panel.lines if len(line.get_ydata()) > 10]
    assert len(ends) == 8
    assert np.abs(ends) == pytest.approx(np.abs(stable[0, 1]), rel=1e-3)


def test_trajectories_of_rank_two_are_exponentials_of_the_recurrent_matrix():
    d, module = derived(rank=2), compiled(rank=2)
    sigma = states(module, 1)[0]
    (panel,) = plot_phase_portrait(d, sigma, starts=np.array([[1.0, -0.5]]), duration=2.0, extent=2.0).axes
    assert panel.get_xlabel() == r"$\kappa_{u_1}$"
    loop = module.gram(sigma)[module.P_V, module.P_U]
    kappa = np.linalg.matrix_power(np.eye(2) + 0.05 * (loop - np.eye(2)), 40) @ [1.0, -0.5]
    trajectory = next(line for line in panel.lines if len(line.get_xdata()) == 41)
    assert [trajectory.get_xdata()[-1], trajectory.get_ydata()[-1]] == pytest.approx(kappa, rel=1e-10)
    assert panel.get_xlim() == (-2.0, 2.0)


def test_portraits_that_cannot_be_drawn():
    d, module = derived(rank=2), compiled(rank=2)
    sigma = states(module, 1)[0]
    with pytest.raises(ArrayError, match="latents: found 'kappa_q'; accepted: kappa_m, kappa_u1, kappa_u2"):
        plot_phase_portrait(d, sigma, latents=("kappa_u1", "kappa_q"))
    with pytest.raises(ArrayError, match="latents: found 1 different ones"):
        plot_phase_portrait(d, sigma, latents=("kappa_u1", "kappa_u1"))
    for shape in ((2,), (3,), (4, 3), (1, 1, 2)):
        with pytest.raises(ArrayError, match=r"starts: found shape \(.*\); accepted: .*trajectories"):
            plot_phase_portrait(d, sigma, starts=np.ones(shape))
    with pytest.raises(ArrayError, match=r"x: found shape \(2,\); accepted: \(1,\), meaning a number, or one"):
        plot_phase_portrait(d, sigma, x=[1.0, 2.0])
    with pytest.raises(ArrayError, match="found 2 states; accepted: one"):
        plot_phase_portrait(d, states(compiled(rank=2), 2))
    for change, words in (
        ({"x": np.nan}, "x: found nan; accepted: finite numbers"),
        ({"x": "a"}, "x: found text"),
        ({"starts": [[np.nan, 0.0]]}, "starts: found nan"),
        ({"extent": 0}, "extent: found 0; accepted: a finite number > 0"),
        ({"extent": np.nan}, "extent: found nan"),
        ({"duration": 0}, "duration: found 0"),
        ({"duration": -1.0}, "duration: found -1.0"),
        ({"held": {"kappa_m": "a"}}, r"held\['kappa_m'\]: found 'a'"),
    ):
        with pytest.raises(ArrayError, match=words):
            plot_phase_portrait(d, sigma, **change)


def test_latents_that_are_not_held_settle():
    d = derived({"kind": "trials"}, inputs=3, rank=1)
    sigma = states(compiled({"kind": "trials"}, inputs=3, rank=1), 1)[0]
    given = {"latents": ("kappa_m1", "kappa_u"), "x": [0.0, 0.5, 0.7], "duration": 1.0, "starts": [[0.5, 0.5]]}
    everything = plot_phase_portrait(d, sigma, held={"kappa_m2": 0.3, "kappa_m3": 0.7}, **given).axes[0]
    some = plot_phase_portrait(d, sigma, held={"kappa_m2": 0.3}, **given).axes[0]
    for one, other in zip(everything.lines, some.lines, strict=True):
        assert np.array(one.get_data()) == pytest.approx(np.array(other.get_data()), abs=1e-7)


# Memory --------------------------------------------------------------------------------------------------------------


def test_memory_shows_the_two_overlaps_that_tell_most():
    rng = np.random.default_rng(0)
    history = np.repeat(["A", "B"], 30)
    overlaps = rng.standard_normal((60, 3)) + np.outer(history == "B", [0.0, 5.0, 2.0])
    plane, bars = plot_memory(overlaps, history, ("z_v", "v_v", "z_z"), {"visible": 0.5, "invisible": 0.97}).axes
    assert (plane.get_xlabel(), plane.get_ylabel()) == (overlap_label("v_v"), overlap_label("z_z"))
    assert [line.get_label() for line in plane.lines] == ["A", "B"]
    assert np.array_equal(plane.lines[1].get_xdata(), overlaps[30:, 1])
    assert [to_hex(bar.get_facecolor()).upper() for bar in bars.patches] == [colours.VISIBLE, colours.INVISIBLE]
    assert [bar.get_height() for bar in bars.patches] == [0.5, 0.97]
    chosen = plot_memory(overlaps, history, ("z_v", "v_v", "z_z"), {}, axes=("z_v", "z_z")).axes[0]
    assert chosen.get_xlabel() == overlap_label("z_v")


def test_overlaps_without_spread_tell_most_if_they_differ():
    history = np.repeat([0, 1], 10)
    overlaps = np.stack([np.random.default_rng(0).standard_normal(20), np.ones(20), 1.0 * history], axis=1)
    plane = plot_memory(overlaps, history, ("z_v", "v_v", "z_z"), {}).axes[0]
    assert (plane.get_xlabel(), plane.get_ylabel()) == (overlap_label("z_z"), overlap_label("z_v"))


@pytest.mark.parametrize(
    ("history", "labels", "axes", "message"),
    [
        ([0, 1], ("z_v",), None, "overlaps: found shape"),
        ([0, 1, 1], ("z_v", "v_v"), None, "history: found shape"),
        ([0, 0], ("z_v", "v_v"), None, "history: found 1 different values; accepted: 2"),
        ([0, 1], ("z_v", "v_v"), ("z_v", "m_m"), "axes: found 'm_m'; accepted: two of z_v, v_v"),
    ],
)
def test_memory_of_something_else(history, labels, axes, message):
    with pytest.raises(ArrayError, match=message):
        plot_memory(np.eye(2), np.array(history), labels, {}, axes=axes)


def test_shares_are_from_none_to_all():
    given = np.eye(2), np.array([0, 1]), ("z_v", "v_v")
    for accuracy, chance, words in (
        ({"visible": 2.0}, 0.5, r"accuracy\['visible'\]: found 2.0; accepted: a finite number >= 0 and <= 1"),
        ({"visible": np.nan}, 0.5, "found nan"),
        ([0.5], 0.5, "accuracy: found .0.5.; accepted: a mapping"),
        ({"visible": 0.5}, -0.1, "chance: found -0.1"),
    ):
        with pytest.raises(ArrayError, match=words):
            plot_memory(*given, accuracy, chance=chance)


# Files, style --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_the_same_picture_has_the_same_bytes(suffix, tmp_path):
    _, run = learned()
    digests = set()
    for k in range(2):
        path = save_figure(plot_losses(run), tmp_path / f"{k}{suffix}")
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1
    text = path.read_bytes().decode("latin-1")
    assert not re.search(r"<dc:date>|/CreationDate|tEXtSoftware", text)


def test_pictures_leave_the_settings_of_a_program_alone(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    save_figure(plot_losses(learned()[1]), tmp_path / "run.svg")
    assert dict(matplotlib.rcParams) == before


def test_notebooks_show_a_picture():
    figure = plot_losses(learned()[1])
    data, size = figure._repr_png_()
    assert data.startswith(b"\x89PNG")
    assert size == {"width": 461, "height": 317}


def test_what_cannot_be_written_is_said(tmp_path, monkeypatch):
    _, run = learned()
    figure = plot_losses(run)
    with pytest.raises(FileError, match=r"unknown picture format '\.bmp'"):
        save_figure(figure, tmp_path / "run.bmp")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for draw in (plot_learning, plot_overlaps, plot_losses):
        with pytest.raises(DependencyError, match=r'plots need matplotlib.*pip install "symlow\[plot\]"'):
            draw(run)


def test_colours_can_be_read():
    for colour in (colours.VISIBLE_ON_ANY, colours.INVISIBLE_ON_ANY):
        assert min(colours.contrast(colour, "#FFFFFF"), colours.contrast(colour, "#000000")) >= 3.4
    assert colours.contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert colours.contrast(colours.VISIBLE, "#FFFFFF") >= 4.5
