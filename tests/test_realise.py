"""Realisation: weight vectors have the overlaps that were asked for, in every architecture, and Gaussian rows."""

from __future__ import annotations

import functools
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import symlow
from symlow.errors import ArrayError, GramMatrixError, LearningError
from symlow.initial import (
    gram_of_overlaps,
    least_neurons,
    overlaps_of_gram,
    overlaps_of_weights,
    sample_weights,
    stacked_weights,
    weights_by_vector,
)
from symlow.realise import nearest_overlaps
from tests.conftest import compiled, derived

DERIVATIONS = Path(__file__).parents[1] / "derivations"
FILES = [
    "ger_barak_2026/rank1_erf_flip_flop",
    "architectures/two_populations",
    "architectures/symmetric_connectivity",
    "beyond_the_papers/rank1_momentum",
    "beyond_the_papers/rank2_relu_two_bit_flip_flop",
    "beyond_the_papers/rank3_two_in_two_out",
    "ger_barak_2025/closed_loop_double_integrator",
]
"""Nonlinear, populations with means, tied vectors, velocities, biases with means, many columns, sums without 1/N."""
TRIALS = {"kind": "trials"}


@functools.cache
def system(name):
    d = symlow.derive(symlow.Spec.load(DERIVATIONS / f"{name}.toml"))
    return d, d.compile()


def sampled(d, seed=0, neurons=120):
    return overlaps_of_weights(d, sample_weights(d, neurons * least_neurons(d.network.equations), 1.0, seed))


def norms(d, sigma):
    """What rounding is relative to: sqrt(sigma_aa sigma_bb), or 1 where it is zero."""
    squares = np.diag(gram_of_overlaps(d, sigma))
    sizes = overlaps_of_gram(d, np.sqrt(np.outer(squares, squares)))
    return np.where(sizes > 0, sizes, 1.0)


def assert_realised(d, module, sigma, neurons=None, paired=False, seed=0):
    neurons = 40 * least_neurons(d.network.equations) if neurons is None else neurons
    weights = symlow.realise(d, sigma, neurons=neurons, seed=seed, paired=paired)
    assert np.abs((module.overlaps_of(**weights) - sigma) / norms(d, sigma)).max() < 1e-13
    return weights


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_overlaps_are_those_asked_for(name, paired):
    d, module = system(name)
    weights = assert_realised(d, module, sampled(d), paired=paired)
    P = stacked_weights(d, weights)
    assert len(P) == 40 * least_neurons(d.network.equations)
    assert np.abs((overlaps_of_weights(d, P) - sampled(d)) / norms(d, sampled(d))).max() < 1e-13
    assert all(np.array_equal(value, weights[key]) for key, value in weights_by_vector(d, P).items())


def test_overlaps_are_sums_over_neurons():
    d = derived()
    weights = assert_realised(d, compiled(), sampled(d), neurons=7)
    for a, b in itertools.combinations_with_replacement("muvz", 2):
        name = f"{a}_{b}" if f"{a}_{b}" in d.overlaps else f"{b}_{a}"
        by_hand = sum(float(x) * float(y) for x, y in zip(weights[a][:, 0], weights[b][:, 0], strict=True)) / 7
        assert abs(by_hand - sampled(d)[d.overlaps.index(name)]) < 1e-13


@pytest.mark.parametrize("neurons", [4, 5, 1000])
def test_any_number_of_neurons_from_the_number_of_columns_on(neurons):
    assert_realised(derived(), compiled(), sampled(derived()), neurons)


def test_columns_of_very_different_sizes():
    d, module = derived(TRIALS, nonlinearity="erf"), compiled(TRIALS, nonlinearity="erf")
    gram = gram_of_overlaps(d, sampled(d)) * np.outer(*2 * [[1e-6, 1e3, 1.0, 1e-9]])
    assert_realised(d, module, overlaps_of_gram(d, gram))


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
@pytest.mark.parametrize("paired", [False, True])
def test_degenerate_gram_matrices(rank, paired):
    d, module = derived(TRIALS, nonlinearity="erf"), compiled(TRIALS, nonlinearity="erf")
    for seed in range(5):
        root = np.random.default_rng(seed).standard_normal((4, rank))
        assert_realised(d, module, overlaps_of_gram(d, root @ root.T), neurons=8, paired=paired)
    # Carriers along one another, and a reader that is zero.
    root = np.array([[1.0, 0.0], [2.0, 0.0], [0.3, 0.7], [0.0, 0.0]])
    weights = assert_realised(d, module, overlaps_of_gram(d, root @ root.T), paired=paired)
    assert not weights["z"].any()
    assert np.allclose(weights["u"], 2 * weights["m"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_columns_that_are_nearly_dependent(seed, paired):
    d, module = system("beyond_the_papers/rank2_relu_two_bit_flip_flop")
    random = np.random.default_rng(seed)
    P = sample_weights(d, 40, 1.0, seed)
    left, _, right = np.linalg.svd(random.standard_normal((9, 9)))
    P[:, :-1] = P[:, :-1] @ (left * 10.0 ** random.uniform(-9, 0, 9)) @ right * 10.0 ** random.uniform(-5, 3, 9)
    assert_realised(d, module, overlaps_of_weights(d, P), paired=paired, seed=seed)


def test_rows_tend_to_gaussian_ones():
    d, _ = system("beyond_the_papers/rank2_relu_two_bit_flip_flop")
    P = stacked_weights(d, symlow.realise(d, sampled(d), neurons=20000))[:, :-1]
    deviations = (P - P.mean(axis=0)) / P.std(axis=0)
    for power, moment, error in ((3, 0, 6), (4, 3, 96)):  # and their variances over 20000 Gaussian numbers
        assert np.abs((deviations**power).mean(axis=0) - moment).max() < 5 * np.sqrt(error / 20000)
    rows = np.corrcoef(P[:-1] @ np.linalg.inv(np.cov(P.T)), P[1:], rowvar=False)
    assert np.abs(rows[: P.shape[1], P.shape[1] :]).max() < 5 / np.sqrt(20000)


def test_means_are_those_of_the_columns():
    d, _ = system("beyond_the_papers/rank2_relu_two_bit_flip_flop")
    sigma, weights = sampled(d), symlow.realise(d, sampled(d), neurons=30)
    assert "one" not in weights
    for column in d.reduction.index.columns[:-1]:
        mean = weights[column.vector][:, column.number - 1].mean()
        assert abs(mean - sigma[d.overlaps.index(d.reduction.index[f"{column.label}_one"].name)]) < 1e-14


def test_a_seed_is_a_network():
    d, sigma = derived(), sampled(derived())
    first, again, other = (symlow.realise(d, sigma, neurons=20, seed=seed) for seed in (3, 3, 4))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.allclose(first["m"], other["m"])


def test_weights_are_continuous_and_carriers_are_kept():
    d = derived(TRIALS, nonlinearity="erf")
    sigma, at = sampled(d), d.overlaps.index("z_v")
    here = symlow.realise(d, sigma, neurons=50)
    for step in (1e-3, 1e-6):
        moved = sigma.copy()
        moved[at] += step
        there = symlow.realise(d, moved, neurons=50)
        assert max(np.abs(there[name] - here[name]).max() for name in "mu") < 1e-13
        assert 0 < max(np.abs(there[name] - here[name]).max() for name in "vz") < 10 * step


def test_pairs_have_equal_carriers_and_opposite_rests():
    d = derived(TRIALS, nonlinearity="erf")
    P = stacked_weights(d, symlow.realise(d, sampled(d), neurons=60, paired=True))
    first, second = P[:30], P[30:]
    carriers, readers = [0, 1], [2, 3]
    assert np.array_equal(first[:, carriers], second[:, carriers])
    coefficients = np.linalg.lstsq(P[:, carriers], P[:, readers], rcond=None)[0]
    rest = P[:, readers] - P[:, carriers] @ coefficients
    assert np.allclose(rest[:30], -rest[30:], rtol=0, atol=1e-13)
    assert np.abs(rest).max() > 0.1


# Refusals ---------------------------------------------------------------------------------------------------------


def refusal(error, d, sigma, **options):
    with pytest.raises(error) as caught:
        symlow.realise(d, sigma, **{"neurons": 20, **options})
    return str(caught.value)


def test_refusals():
    d, sigma = derived(), sampled(derived())
    assert "neurons: found 3; accepted: at least the number of columns of P, 4" in refusal(
        ArrayError, d, sigma, neurons=3
    )
    assert "neurons: found 7; accepted with paired = True: an even number, at least 4" in refusal(
        ArrayError, d, sigma, neurons=7, paired=True
    )
    for name in ("neurons", "seed"):
        for value in (-1, 8.0, True, "8"):
            words = f"{name}: found {value!r}; accepted: an integer"
            assert words in refusal(LearningError, d, sigma, **{name: value})
    assert "sigma: found 2 states; accepted: one, shape (10,)" in refusal(ArrayError, d, np.stack([sigma, sigma]))
    assert "accepted: finite numbers" in refusal(ArrayError, d, sigma * np.nan)
    two, _ = system("architectures/two_populations")
    assert "neurons: found 21; accepted: a multiple of 4" in refusal(LearningError, two, sampled(two), neurons=21)
    assert "neurons of population 'I': found 3; accepted: at least the number of columns of P, 4" in refusal(
        ArrayError, two, sampled(two), neurons=12
    )


def test_overlaps_of_no_network_are_refused_with_the_nearest():
    d, sigma = derived(), sampled(derived())
    values = dict(zip(d.overlaps, sigma, strict=True)) | dict.fromkeys(("m_m", "u_u"), 1.0)
    message = refusal(GramMatrixError, d, np.array(list((values | {"m_u": 3.0}).values())))
    assert "the Gram matrix has the eigenvalue -2, mostly along" in message
    assert "the nearest overlaps of a network have" in message
    assert "m_u = 1.99909, " in message


def with_values(d, **values):
    """Unit vectors that are orthogonal, but for some overlaps."""
    return np.array([values.get(o.name, float(o.is_norm)) for o in d.ordered])


def named_values(message):
    return {name: float(value) for name, value in re.findall(r"(\w+) = ([-+.e\d]+\d)", message)}


def test_overlaps_too_large_for_a_short_column_are_refused():
    """|z_v| <= sqrt(v_v z_z) = 1e-6: beside the largest norm, 1, the excess is as small as rounding."""
    d = derived()
    message = refusal(GramMatrixError, d, with_values(d, v_v=1e-12, z_v=1e-5))
    assert "the Gram matrix of the columns divided by their norms has the eigenvalue -9, mostly along" in message
    # Of unit columns [[1, 10], [10, 1]], whose positive part has the entries 11 / 2.
    values = named_values(message.split("have")[-1])
    assert values == pytest.approx({"z_v": 5.5e-6, "v_v": 5.5e-12, "z_z": 5.5}, rel=1e-5)
    assert_realised(d, compiled(), with_values(d, **values))


def test_a_refusal_names_what_is_missing_by_little():
    d = derived()
    message = refusal(GramMatrixError, d, with_values(d, m_u=1 + 1e-9))
    values = named_values(message.split("have")[-1])
    assert {"m_u", "m_m", "u_u"} <= set(values)
    assert_realised(d, compiled(), with_values(d, **values))


def test_a_norm_that_rounding_left_below_zero():
    d = derived()
    weights = symlow.realise(d, with_values(d, v_v=-1e-13), neurons=9)
    assert np.abs(compiled().overlaps_of(**weights) - with_values(d, v_v=0.0)).max() < 1e-12


@pytest.mark.parametrize("name", ["ger_barak_2026/rank1_linear", FILES[1], FILES[4]])
def test_nearest_overlaps_are_nearest(name):
    """The defining inequality of a projection, <wish - found, other - found> <= 0 for every other network."""
    d, _ = system(name)
    random = np.random.default_rng(0)
    wish = sampled(d, 1) + 1.5 * random.standard_normal(len(d.overlaps))
    for ones in d.network.ones:
        at = d.overlaps.index(f"{ones}_{ones}")
        wish[at] = sampled(d)[at]
    near = nearest_overlaps(d, wish)
    found = gram_of_overlaps(d, near)
    assert np.linalg.eigvalsh(found)[0] > -1e-12
    others = [sampled(d, seed) for seed in range(200)]
    others += [near + 0.05 * (other - near) for other in others]
    gap = [np.sum((gram_of_overlaps(d, wish) - found) * (gram_of_overlaps(d, other) - found)) for other in others]
    assert max(gap) < 1e-10
    assert min(gap) < -1e-3
    if not d.network.has_means:
        levels, vectors = np.linalg.eigh(gram_of_overlaps(d, wish))
        assert np.allclose(found, vectors * np.maximum(levels, 0) @ vectors.T, rtol=0, atol=1e-12)
    assert np.allclose(nearest_overlaps(d, sampled(d)), sampled(d), rtol=0, atol=1e-13)
