"""Arrays and numbers that users give: what is accepted, and what is said of the rest."""

from __future__ import annotations

import numpy as np
import pytest

import symlow
from symlow.arrays import check_array, check_integer, check_number, is_single, shown
from symlow.errors import ArrayError, LearningError, SpecError
from tests.conftest import compiled, derived, states


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ([[1, 2], [3, 4]], (None, 2)),
        (np.ones((2, 3), dtype=np.float32), (2, 3)),
        (np.array([True, False]), (2,)),
        (3, ()),
        (np.ones(4), (..., 4)),
        (np.ones((2, 3, 4)), (..., 4)),
        (np.ones((3, 4)), (..., None, 4)),
    ],
)
def test_arrays_of_numbers_are_floats(value, shape):
    found = check_array(value, "a", shape, "whatever")
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, value)
    assert found is not value


@pytest.mark.parametrize(
    ("value", "shape", "words"),
    [
        (None, (2,), "a: found None; accepted: real numbers, the meaning"),
        ("text", (2,), "a: found text;"),
        (["1", "2"], (2,), "a: found text;"),
        ([1j, 2], (2,), "a: found complex numbers;"),
        (np.array(["2020"], dtype="M8[D]"), (1,), "a: found dates;"),
        ({"z_m": 1.0}, (2,), "a: found {'z_m': 1.0};"),
        ({f"vector {k}": 1.0 for k in range(9)}, (2,), "a: found a dict;"),
        (
            np.array([1.0, 2.0], dtype=object),
            (2,),
            r"a: found an array of objects, the first a float: .*\.astype\(float\)",
        ),
        ([None, 1.0], (2,), "a: found an array of objects, the first a NoneType"),
        ([[1.0], [1.0, 2.0]], (2,), "a: found a list with parts of different shapes"),
        (np.ones(3), (2,), r"a: found shape \(3,\); accepted: \(2,\), meaning the meaning"),
        (np.ones(3), (None, 3), r"a: found shape \(3,\); accepted: \(any, 3\)"),
        (1.0, (..., 3), r"a: found shape \(\); accepted: \(..., 3\)"),
        (np.ones(3), (..., None, 3), r"a: found shape \(3,\); accepted: \(..., any, 3\)"),
        (np.nan, (), "a: found nan; accepted: finite numbers"),
        ([[0.0, np.inf]], (None, 2), r"a: found inf at index \(0, 1\); accepted: finite numbers"),
    ],
)
def test_what_is_no_such_array_is_said(value, shape, words):
    with pytest.raises(ArrayError, match=f"^{words}"):
        check_array(value, "a", shape, "the meaning")


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.5), np.int64(1), np.array(0.25)])
def test_numbers_are_floats(value):
    found = check_number(value, "n", above=0, most=1)
    assert (found, type(found)) == (float(value), float)


@pytest.mark.parametrize(
    ("value", "bounds", "words"),
    [
        (np.float64("nan"), {}, "n: found nan; accepted: a finite number$"),
        (-np.inf, {}, "n: found -inf;"),
        (10**400, {}, "n: found an int;"),
        pytest.param(10**5000, {}, "n: found an int;", id="more digits than Python writes"),
        ([10**5000], {}, "n: found a list;"),
        (np.timedelta64(3, "ns"), {}, r"n: found np.timedelta64\(3,'ns'\);"),
        (True, {}, "n: found True;"),
        ("1", {}, "n: found '1';"),
        (None, {}, "n: found None;"),
        (np.ones(2), {}, r"n: found an array of shape \(2,\);"),
        (1 + 0j, {}, r"n: found \(1\+0j\);"),
        (np.int64(-1), {"least": 0}, "n: found -1; accepted: a finite number >= 0$"),
        (0, {"above": 0}, "n: found 0; accepted: a finite number > 0$"),
        (1.5, {"least": 0, "most": 1}, "n: found 1.5; accepted: a finite number >= 0 and <= 1$"),
    ],
)
def test_other_numbers_are_refused(value, bounds, words):
    with pytest.raises(LearningError, match=f"^{words}"):
        check_number(value, "n", error=LearningError, **bounds)


def test_integers():
    for value in (3, np.int8(3), np.array(3), np.uint64(3)):
        found = check_integer(value, "k", 3)
        assert (found, type(found)) == (3, int)
    for value, words in (
        (2, "2"),
        (3.0, "3.0"),
        (True, "True"),
        (np.array(True), "True"),
        (None, "None"),
        ("3", "'3'"),
        (np.array(2), "2"),
        (np.array([3]), r"an array of shape \(1,\)"),
        (-(10**5000), "an int"),
        (np.timedelta64(3, "ns"), r"np.timedelta64\(3,'ns'\)"),
    ):
        with pytest.raises(LearningError, match=f"^k: found {words}; accepted: an integer >= 3$"):
            check_integer(value, "k", 3, LearningError)


def test_what_is_one_number_and_what_are_many():
    assert [is_single(value) for value in (1.0, np.array(1), None, {})] == [True] * 4
    assert [is_single(value) for value in ([1.0], (), np.ones(1), [[1], [1, 2]])] == [False] * 4
    assert shown(np.array(2.5)) == "2.5"


def test_numbers_beyond_those_that_python_writes():
    d, sigma = derived(), states(compiled(), 1)[0]
    with pytest.raises(LearningError, match=r"^lr: found an int; accepted: a finite number > 0$"):
        symlow.learn(d, sigma, 10**5000, 2)
    with pytest.raises(SpecError, match=r"^seed: found an int; accepted: an integer >= 0"):
        symlow.learn(d, sigma, 0.1, 2, seed=10**5000)


class Unreadable:
    """What refuses to be an array, as a tensor of PyTorch does that requires a gradient."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")


class UnreadableOfAxes(Unreadable):
    """A tensor says how many axes it has all the same."""

    def __init__(self, ndim):
        self.ndim = ndim


@pytest.mark.parametrize("value", [Unreadable(), UnreadableOfAxes(0), UnreadableOfAxes(1), UnreadableOfAxes(2)])
def test_what_numpy_cannot_read_is_said(value):
    words = r"found an Unreadable\w* that NumPy cannot read; accepted: real numbers, .*, as by \.detach\(\)\.numpy\(\)$"
    with pytest.raises(ArrayError, match=f"^a: {words}"):
        check_array(value, "a", (None,), "the meaning")
    assert is_single(value) == (getattr(value, "ndim", None) == 0)
    d = derived()
    with pytest.raises(ArrayError, match=f"^sigma: {words}"):
        symlow.learn(d, value, 0.1, 2)
    with pytest.raises((ArrayError, LearningError), match=r"^lr: found .*Unreadable"):
        symlow.learn(d, states(compiled(), 1)[0], value, 2)
