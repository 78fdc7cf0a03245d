"""The specification of a sweep: values of axes to the bit, the table of histories, and mistakes as one line."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symlow
from symlow.errors import GramMatrixError, SpecError, SymlowError
from symlow.initial import overlaps_of_weights, sample_weights
from symlow.sweep.axes import (
    IntegersAxis,
    LinspaceAxis,
    LogspaceAxis,
    LogUniformAxis,
    NormalAxis,
    UniformAxis,
    ValuesAxis,
)
from symlow.sweep.histories import Grid, Starts, check_sweep, problems
from symlow.sweep.specification import Axis, Sweep, SweepTables
from tests.conftest import derived
from tests.sweeps import SWEEP, write_sweep
from tests.test_cli import works

NUMBERS = st.floats(-1e6, 1e6)
POSITIVE = st.floats(1e-9, 1e9)
SAMPLES = (
    (UniformAxis, "uniform", {"low": -1.5, "high": 2.0}),
    (LogUniformAxis, "loguniform", {"low": 1e-4, "high": 0.5}),
    (NormalAxis, "normal", {"mean": 3.0, "deviation": 0.25}),
)


@given(NUMBERS, NUMBERS, st.integers(2, 40))
def test_linspace_is_rounded_once(start, stop, number):
    points = LinspaceAxis(over="x", kind="linspace", start=start, stop=stop, number=number).points
    assert (points[0], points[-1], len(points)) == (start, stop, number)
    for k, point in enumerate(points):
        exact = Fraction(start) * (number - 1 - k) / (number - 1) + Fraction(stop) * k / (number - 1)
        assert abs(Fraction(point) - exact) <= Fraction(math.ulp(point)) / 2


@settings(max_examples=30)
@given(POSITIVE, POSITIVE, st.integers(2, 12))
def test_logspace_has_equal_quotients(start, stop, number):
    points = LogspaceAxis(over="x", kind="logspace", start=start, stop=stop, number=number).points
    assert (points[0], points[-1], len(points)) == (start, stop, number)
    assert points == pytest.approx(np.geomspace(start, stop, number), rel=1e-12)


@pytest.mark.parametrize(("axis", "kind", "bounds"), SAMPLES)
@given(st.integers(1, 20), st.integers(0, 20), st.integers(0, 2**40))
@settings(max_examples=20)
def test_longer_samples_begin_with_shorter_ones(axis, kind, bounds, number, more, seed):
    def sample(number, over="task.decay"):
        return axis(over=over, kind=kind, number=number, seed=seed, **bounds).points

    assert sample(number + more)[:number] == sample(number)
    assert sample(number, "learning.lr") != sample(number)


@pytest.mark.parametrize(("axis", "kind", "bounds"), SAMPLES)
def test_samples_have_their_distribution(axis, kind, bounds):
    points = np.array(axis(over="task.decay", kind=kind, number=4000, seed=1, **bounds).points)
    if kind == "normal":
        quantiles = (points.mean(), points.std())
        assert quantiles == pytest.approx((3.0, 0.25), abs=0.02)
        return
    assert bounds["low"] <= points.min() <= points.max() <= bounds["high"]
    scaled = np.log(points) if kind == "loguniform" else points
    low, high = (math.log(b) if kind == "loguniform" else b for b in (bounds["low"], bounds["high"]))
    assert np.quantile((scaled - low) / (high - low), [0.25, 0.5, 0.75]) == pytest.approx([0.25, 0.5, 0.75], abs=0.03)


def test_values_stay_as_they_are_written():
    assert ValuesAxis(over="seed", kind="values", values=[3, 1, 2]).points == (3, 1, 2)
    assert [type(v) for v in ValuesAxis(over="x", kind="values", values=[3, 1.0]).points] == [int, float]
    assert IntegersAxis(over="seed", kind="integers", start=4, step=-2, number=3).points == (4, 2, 0)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), min_size=1, max_size=4), st.integers(1, 7))
def test_histories_are_the_product_of_the_dimensions(shape, size):
    # Axes of the same dimension have the length of its first one.
    lengths = {}
    axes = tuple(
        Axis(f"a{k}", f"task.a{k}", f"d{d}", tuple(range(100 * k, 100 * k + lengths.setdefault(d, n))))
        for k, (d, n) in enumerate(shape)
    )
    histories = Grid(axes)
    expected = [
        tuple(axis.values[place[list(lengths).index(int(axis.dimension[1:]))]] for axis in axes)
        for place in itertools.product(*map(range, lengths.values()))
    ]
    chunks = histories.chunks(size)
    assert [k for chunk in chunks for k in chunk] == list(range(len(expected)))
    assert {len(chunk) for chunk in chunks[:-1]} <= {size}
    found = [row for chunk in chunks for row in zip(*histories.columns(chunk).values(), strict=True)]
    assert found == expected


def test_starts_are_sampled_but_for_what_is_given(tmp_path):
    text = SWEEP.replace("neurons = 40", "neurons = 40\noverlaps = { u_u = 2.5 }")
    sweep, d = Sweep.load(write_sweep(tmp_path, text)), derived()
    histories = Grid(sweep.axes)
    assert histories.dimensions == {"v_u": 2, "seed": 3}
    columns = histories.columns(range(6))
    sigma = Starts(d, sweep.tables).overlaps(columns, 6)
    for row, v_u, seed in zip(sigma, [0.1] * 3 + [0.2] * 3, [0, 1, 2] * 2, strict=True):
        expected = overlaps_of_weights(d, sample_weights(d, 40, 1.0, seed))
        expected[d.overlaps.index("v_u")] = v_u
        expected[d.overlaps.index("u_u")] = 2.5
        assert np.array_equal(row, expected)


@settings(max_examples=30)
@given(st.lists(st.floats(-1.5, 1.5), min_size=10, max_size=10))
def test_feasible_starts_are_those_with_a_cholesky_factor(values):
    d = derived()
    gram = np.zeros((4, 4))
    for value, overlap in zip(values, d.ordered, strict=True):
        gram[overlap.row, overlap.column] = gram[overlap.column, overlap.row] = value
    lowest = np.linalg.eigvalsh(gram)[0]
    (problem,) = problems(d, np.array([values]))
    try:
        np.linalg.cholesky(gram + 1e-9 * np.eye(4))
        assert problem is None or abs(lowest) < 1e-8
    except np.linalg.LinAlgError:
        assert f"the eigenvalue {lowest:.3g}" in problem


def test_the_digest_says_what_is_computed(tmp_path):
    first = Sweep.load(write_sweep(tmp_path))
    assert Sweep.load(write_sweep(tmp_path, "# why\n" + SWEEP, "other")).digest == first.digest
    for old, new in (("steps = 20", "steps = 21"), ("number = 3", "number = 4"), ("chunk = 5", "chunk = 4")):
        assert Sweep.load(write_sweep(tmp_path, SWEEP.replace(old, new), "other")).digest != first.digest
    (tmp_path / "small.toml").write_text((tmp_path / "small.toml").read_text().replace("decay = 0.2", "decay = 0.3"))
    assert Sweep.load(tmp_path / "sweep.toml").digest != first.digest


AXIS = '[[axes]]\nover = "OVER"\nkind = "values"\nvalues = [VALUES]\n'


def axis(over, values="0.1", more=""):
    return AXIS.replace("OVER", over).replace("VALUES", values) + more


def swept(axes, head=""):
    return f'spec = "small.toml"\nsteps = 3\n{head}\n{axes}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = ", "not valid TOML"),
        (
            swept(axis("seed", "1")).replace("steps = 3", "step = 3"),
            "unknown key 'step' at the top level; did you mean",
        ),
        (swept("axes = []"), r"axes: found \[\]; accepted: a list of at least 1"),
        (
            swept(axis("seed", "1").replace('"values"', '"value"')),
            r"axes\[1\].kind: unknown kind 'value'; did you mean",
        ),
        (swept(axis("seed", "1").replace("over", "ovr")), r"unknown key 'ovr' in \[axes\[1\]\]; did you mean 'over'"),
        (swept(axis("seed", '"one"')), r"axes\[1\].values\[1\]: found 'one'; accepted: a number, without quotes"),
        (swept(axis("seed", "nan")), r"axes\[1\].values\[1\]: found nan; accepted: a finite number"),
        (swept(axis("seed", "9223372036854775808")), r"found 9223372036854775808 for seed; .* >= 0 and < 2\*\*63"),
        (swept(axis("task.decay"), "seed = 9223372036854775808"), "seed: found 9223372036854775808; .* <= 92233720"),
        (swept(axis("seed", "0.5")), r"axes\[1\]: found 0.5 for seed; accepted: integers >= 0"),
        (swept(axis("initial.neurons", "0")), r"axes\[1\]: found 0 for initial.neurons; accepted: integers >= 1"),
        (swept(axis("learning.lr", "0")), r"axes\[1\]: found 0 for learning.lr; accepted: numbers > 0"),
        (
            swept(axis("sed", "1")),
            r"axes\[1\].over: unknown 'sed'; did you mean 'seed'\?; accepted: seed, initial.seed",
        ),
        (swept(axis("network.dt", "1")), r"axes\[1\].over: unknown 'network.dt'"),
        (swept(axis("task.deca")), r"axes\[1\]: task.deca = 0.1: unknown key 'deca' in \[task\]; did you mean 'decay'"),
        (swept(axis("task.decay", "0.1, -2")), r"axes\[1\]: task.decay = -2: task.decay: found -2; accepted: a number"),
        (swept(axis("task.amplitude", "1, 2, 0")), r"axes\[1\]: task.amplitude = 0: task.amplitude: found 0; accepted"),
        (swept(axis("learning.momentum")), "momentum: found 0.1 with rule = 'gradient_descent'"),
        (swept(axis("initial.v_uu")), r"axes\[1\].over: unknown overlap 'v_uu'; did you mean 'v_u'"),
        (
            swept(axis("seed", "1"), "initial = { overlaps = { vu = 1.0 } }"),
            "initial.overlaps.vu: unknown overlap 'vu'",
        ),
        (swept(axis("initial.v_u"), "initial = { overlaps = { v_u = 1.0 } }"), "initial.overlaps.v_u: found beside an"),
        (
            swept(axis("seed", "1") + axis("seed", "2", 'name = "b"')),
            r"axes\[2\].over: found 'seed', which another axis",
        ),
        (
            swept(axis("seed", "1") + axis("initial.scale", "2", 'name = "seed"')),
            r"axes\[2\].name: found 'seed', which another axis has",
        ),
        (swept(axis("seed", "1") + axis("trials.seed", "2", 'name = "b"')), "found 'seed' beside 'trials.seed'"),
        (swept(axis("seed", "1", 'name = "loss"')), r"axes\[1\].name: found 'loss', which the result has already"),
        (swept(axis("seed", "1"), 'zip = { a = ["seed", "lr"] }'), "zip.a: unknown axis 'lr'; accepted: names of axes"),
        (swept(axis("seed", "1") + axis("task.decay", "1, 2"), 'zip = { a = ["seed", "decay"] }'), "unlike length"),
        (
            swept('[[axes]]\nover = "task.decay"\nkind = "uniform"\nlow = 2.0\nhigh = 1.0\nnumber = 3'),
            r"axes\[1\].high: found 1.0 with low = 2.0; accepted: a number > low",
        ),
        (
            swept(axis("initial.v_u", "0.1, 9.0")),
            r"1 of 2 histories start from overlaps that no network has: history 1 ",
        ),
        (
            swept(axis("initial.v_u", "9.0"), 'infeasible = "skip"'),
            "all 1 histories start from overlaps that no network",
        ),
        ('name = "a"\n[network]\nrank = 1\n', "found the specification of a derivation, with a table"),
        (swept(axis("seed", "1")).replace("small", "none"), "none.toml: no such file; expected a specification"),
    ],
)
def test_mistakes_are_one_line(text, message, tmp_path):
    with pytest.raises(SymlowError, match=message) as caught:
        check_sweep(Sweep.load(write_sweep(tmp_path, text)), derived())
    assert "\n" not in str(caught.value)


def test_values_that_are_accepted_alone_but_not_together(tmp_path):
    path = write_sweep(tmp_path, swept(axis("task.stimulus", "1.0, 3e4") + axis("task.delay", "1.0, 3e4")))
    filtering = 'kind = "exponential_filter"\ndecay = 0.2\nhorizon = 2.0'
    specification = (tmp_path / "small.toml").read_text()
    assert filtering in specification
    (tmp_path / "small.toml").write_text(specification.replace(filtering, 'kind = "decision_making"'))
    sweep = Sweep.load(path)
    with pytest.raises(SpecError, match=r"history 3 \(stimulus = 30000, delay = 30000\): task.stimulus: found 30000"):
        check_sweep(sweep, symlow.derive(sweep.spec))


def test_infeasible_starts_are_named_or_counted(tmp_path):
    text = swept(axis("initial.m_m", "1.0, 2.0") + axis("initial.v_m", "0.5, 1.2, 1.3, -1.6"))
    with pytest.raises(GramMatrixError, match=r"4 of 8 .*: history 1 \(m_m = 1, v_m = 1.2\): the Gram matrix has the"):
        check_sweep(Sweep.load(write_sweep(tmp_path, text)), derived())
    assert check_sweep(Sweep.load(write_sweep(tmp_path, 'infeasible = "skip"\n' + text)), derived()) == 4


def test_the_schema_describes_each_key():
    schema = json.loads(works("schema", "--sweeps"))
    assert set(schema["properties"]) == set(SweepTables.model_fields)
    tables = [schema, *schema["$defs"].values()]
    assert [key for table in tables for key, value in table["properties"].items() if not described(value)] == []


def described(value):
    return "description" in value or "const" in value or "$ref" in value
