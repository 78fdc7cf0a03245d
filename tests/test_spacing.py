"""Names moved apart: as little as can be, by another method, and within bounds."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize

from symlow.spacing import apart


@pytest.mark.parametrize("seed", range(5))
def test_places_are_moved_apart_as_little_as_can_be(seed):
    places = np.random.default_rng(seed).uniform(0, 1, 9)
    moved = apart(places, 0.1)
    assert np.argsort(moved).tolist() == np.argsort(places).tolist()
    assert np.diff(np.sort(moved)).min() >= 0.1 - 1e-12
    # Least squares under the same bounds, by another method.
    ordered = np.sort(places)
    bounds = [{"type": "ineq", "fun": lambda z, k=k: z[k + 1] - z[k] - 0.1} for k in range(8)]
    best = scipy.optimize.minimize(lambda z: np.sum((z - ordered) ** 2), ordered, constraints=bounds, tol=1e-12)
    assert np.sort(moved) == pytest.approx(best.x, abs=1e-5)


def test_places_stay_within_bounds_if_there_is_room():
    moved = apart(np.array([0.9, 0.95, 0.97]), 0.2, (0.0, 1.0))
    assert moved == pytest.approx([0.6, 0.8, 1.0])
    assert apart(np.array([0.5, 0.5]), 2.0, (0.0, 1.0)) == pytest.approx([0.0, 2.0])
    assert len(apart(np.zeros(0), 0.1)) == 0
