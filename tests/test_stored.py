"""Stored series of the library's gains: those that a new fit gives, and of every nonlinearity that needs one."""

from __future__ import annotations

import numpy as np
import pytest

from symlow.nonlinearity import LIBRARY, nonlinearity
from symlow.nonlinearity.series import gain_series
from symlow.nonlinearity.stored import STORED


def test_every_series_of_the_library_is_stored():
    assert set(STORED) == {name for name in LIBRARY if nonlinearity(name).needs_series}
    for name in STORED:
        assert nonlinearity(name).series is STORED[name]


@pytest.mark.parametrize("name", sorted(STORED))
def test_stored_series_are_those_of_a_new_fit(name):
    fitted = gain_series(LIBRARY[name].phi)
    variances = np.concatenate([[0.0], np.logspace(-8, 4, 400)])
    for stored, new in ((STORED[name].gain, fitted.gain), (STORED[name].slope, fitted.slope)):
        deviation = np.abs(stored(variances) - new(variances)) / np.abs(new(variances))
        assert deviation.max() <= stored.error + new.error
