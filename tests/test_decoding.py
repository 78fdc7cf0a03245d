"""The linear discriminant, beside its formulas and beside what cannot be decoded."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from symlow.decoding import decode
from symlow.errors import ArrayError


def two_classes(distance, n=400, features=3, seed=0):
    """Gaussian classes with a common covariance; the best accuracy is ndtr(Mahalanobis distance / 2)."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((features, features))
    direction = mixing @ np.eye(features)[0]  # of Mahalanobis length 1
    table = rng.standard_normal((2 * n, features)) @ mixing.T
    table[n:] += distance * direction
    return table, np.repeat(["left", "right"], n)


@pytest.mark.parametrize("distance", [0.5, 1.5, 3.0])
def test_accuracy_is_that_of_the_best_classifier_of_gaussian_classes(distance):
    table, labels = two_classes(distance)
    found = decode(table, labels, np.arange(len(labels)) % 10, shrinkage=0.0, shuffles=0)
    assert found.chance == 0.5
    assert found.accuracy == pytest.approx(ndtr(distance / 2), abs=0.03)


def test_what_tells_nothing_is_decoded_at_chance():
    found = []
    for seed in range(20):
        table, labels = two_classes(0.0, n=20, seed=seed)
        found.append(decode(table, labels, np.arange(40) % 5, shuffles=19, seed=seed))
    assert abs(np.mean([one.accuracy for one in found]) - 0.5) < 0.05
    assert np.mean([one.p_value <= 0.1 for one in found]) <= 0.3
    assert abs(np.mean([one.shuffled for one in found]) - 0.5) < 0.05


def test_classes_far_apart_are_always_told_apart():
    table, labels = two_classes(20.0, n=30)
    found = decode(table, labels, shuffles=30)
    assert found.accuracy == 1
    assert found.p_value == pytest.approx(1 / 31)
    assert (found.predicted == labels).all()
    assert ((found.score > 0) == (labels == "right")).all()


def test_it_does_not_depend_on_the_units_of_features():
    table, labels = two_classes(1.0, n=40)
    one = decode(table, labels, shuffles=0)
    other = decode(table * [1e6, 1e-6, 1.0] + [5.0, 0.0, -3.0], labels, shuffles=0)
    np.testing.assert_array_equal(one.predicted, other.predicted)
    np.testing.assert_allclose(one.score, other.score, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-308, 1e-200, 1e200, 1e300])
def test_it_does_not_depend_on_how_large_all_features_are(scale):
    table, labels = two_classes(1.5, n=40)
    one, other = (decode(each, labels, shuffles=5) for each in (table, table * scale))
    np.testing.assert_array_equal(one.predicted, other.predicted)
    assert one.accuracy == other.accuracy > 0.6
    np.testing.assert_array_equal(one.shuffled, other.shuffled)


def test_rounding_beside_other_features_says_nothing():
    table, labels = two_classes(1.5, n=30)
    noise = 1e-17 * np.where(labels == "left", 1.0, -1.0)[:, None]
    one, other = (decode(each, labels, shuffles=0) for each in (table, np.concatenate([table, noise], axis=1)))
    np.testing.assert_array_equal(one.score, other.score)


def test_three_classes_and_unequal_numbers():
    rng = np.random.default_rng(1)
    labels = np.repeat(["a", "b", "c"], [60, 20, 40])
    table = rng.standard_normal((120, 2)) + 8 * np.repeat([[0, 0], [1, 0], [0, 1]], [60, 20, 40], axis=0)
    found = decode(table, labels, shuffles=20)
    assert found.chance == pytest.approx(1 / 3)
    assert found.accuracy > 0.97
    assert (found.score > 0).mean() > 0.97


def test_what_groups_share_is_not_read():
    # A feature that numbers the groups, each of one class: left out together, it cannot help.
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(20), 5)
    labels = np.where(rng.permutation(20)[groups] % 2, "x", "y")
    marks = rng.standard_normal((20, 3))[groups] + 0.01 * rng.standard_normal((100, 3))
    assert decode(marks, labels, shuffles=0).accuracy > 0.6
    assert decode(marks, labels, groups, shuffles=0).accuracy < 0.7


def test_features_that_do_not_vary_say_nothing():
    table, labels = two_classes(3.0, n=30)
    padded = np.concatenate([table, np.ones((60, 1))], axis=1)
    np.testing.assert_allclose(decode(padded, labels, shuffles=0).score, decode(table, labels, shuffles=0).score)
    flat = decode(np.ones((6, 2)), np.repeat(["x", "y"], 3), shuffles=0)
    assert flat.accuracy == 0.5


@pytest.mark.parametrize(
    ("features", "labels", "options", "words"),
    [
        (np.zeros(4), list("xyxy"), {}, "features: found shape"),
        (np.zeros((4, 1)), list("xyx"), {}, "labels: found shape"),
        (np.zeros((4, 1)), list("xxxx"), {}, "found 1 class"),
        (np.zeros((4, 1)), list("xyxy"), {"groups": [0, 1]}, "groups: found shape"),
        (np.zeros((4, 1)), list("xyyy"), {}, "found class .x. in history .0. alone"),
        (np.zeros((4, 1)), list("xyxy"), {"groups": list("aabb")}, "found 2 histories of 2 classes when group 'a' is"),
        (np.zeros((4, 1)), list("xyxy"), {"groups": list("baba")}, "found class 'y' in group 'a' alone"),
        (np.zeros((4, 0)), list("xyxy"), {}, "features: found shape"),
        (np.zeros((6, 1)), list("xyxyxy"), {"shrinkage": 2.0}, "shrinkage: found 2.0; accepted: .* >= 0 and <= 1"),
        (np.zeros((6, 1)), list("xyxyxy"), {"shrinkage": "a"}, "shrinkage: found 'a'"),
        (np.zeros((6, 1)), list("xyxyxy"), {"shuffles": -1}, "shuffles: found -1; accepted: an integer >= 0"),
        (np.zeros((6, 1)), list("xyxyxy"), {"shuffles": 1.5}, "shuffles: found 1.5"),
        (np.zeros((6, 1)), list("xyxyxy"), {"seed": None}, "seed: found None"),
        (np.zeros((6, 1)), list("xyxyxy"), {"seed": -1}, "seed: found -1"),
        (np.full((6, 1), np.nan), list("xyxyxy"), {}, "finite numbers"),
    ],
)
def test_what_cannot_be_decoded_is_refused(features, labels, options, words):
    with pytest.raises(ArrayError, match=words):
        decode(features, labels, **options)
