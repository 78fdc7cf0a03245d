"""Arrays and numbers that users give: what is accepted, and what is said of the rest."""

from __future__ import annotations

import numpy as np
import pytest

import symlow
from symlow.arrays import check_array, check_integer, check_number, is_single, shown
from symlow.errors import ArrayError, LearningError
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
    assert (check_integer(np.int8(3), "k", 3), type(check_integer(np.int8(3), "k", 3))) == (3, int)
    for value, words in ((2, "2"), (3.0, "3.0"), (True, "True"), (None, "None"), ("3", "'3'")):
        with pytest.raises(LearningError, match=f"^k: found {words}; accepted: an integer >= 3$"):
            check_integer(value, "k", 3, LearningError)


def test_what_is_one_number_and_what_are_many():
    assert [is_single(value) for value in (1.0, np.array(1), None, {})] == [True] * 4
    assert [is_single(value) for value in ([1.0], (), np.ones(1), [[1], [1, 2]])] == [False] * 4
    assert shown(np.array(2.5)) == "2.5"


def test_overlaps_by_name_are_no_array():
    d, sigma = derived(), states(compiled(), 1)[0]
    with pytest.raises(ArrayError, match="sigma: found a dict; accepted: real numbers"):
        symlow.learn(d, dict(zip(d.overlaps, sigma, strict=True)), 0.1, 2)
    with pytest.raises(ArrayError, match="sigma: found an array of objects, the first a float"):
        symlow.learn(d, sigma.astype(object), 0.1, 2)
    with pytest.raises(ArrayError, match="trials: found 3; accepted"):
        symlow.learn(d, sigma, 0.1, 2, trials=3)
