"""Functional twins: the ranges of invisible overlaps, and networks of one function that learn differently."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

import symlow
from symlow.errors import ArrayError, GramMatrixError, LearningError, UnknownNameError
from symlow.initial import gram_of_overlaps, overlaps_of_gram, overlaps_of_weights, stacked_weights
from symlow.simulate import FullNetwork
from tests.conftest import compiled, derived, random_trials
from tests.test_realise import FILES, TRIALS, sampled, system

NONLINEAR = {
    "erf": {"nonlinearity": "erf"},
    "tanh, rank 2": {"nonlinearity": "tanh", "rank": 2},
    "relu with means and biases": {"nonlinearity": "relu", "bias": True, "means": True},
}


def lowest(d, sigma):
    """The smallest eigenvalue of the Gram matrix, each column divided by its norm."""
    gram = gram_of_overlaps(d, sigma)
    sizes = np.sqrt(np.where(np.diag(gram) > 0, np.diag(gram), 1.0))
    return np.linalg.eigvalsh(gram / np.outer(sizes, sizes))[0]


def changed(d, sigma, name, value):
    moved = sigma.copy()
    moved[d.overlaps.index(name)] = value
    return moved


def bisected(d, sigma, name, outside):
    """Where on the way from the value that sigma has to one outside the cone the smallest eigenvalue is zero."""
    inside = sigma[d.overlaps.index(name)]
    for _ in range(80):
        middle = (inside + outside) / 2
        if np.linalg.eigvalsh(gram_of_overlaps(d, changed(d, sigma, name, middle)))[0] > 0:
            inside = middle
        else:
            outside = middle
    return inside


@pytest.mark.parametrize(
    "options", [{}, {"rank": 2, "inputs": 2}, NONLINEAR["erf"], NONLINEAR["relu with means and biases"]]
)
def test_ranges_end_where_the_smallest_eigenvalue_is_zero(options):
    d = derived(TRIALS, **options)
    sigma, known = sampled(d, 2, 12), {f"{name}_{name}" for name in d.network.ones}
    assert set(symlow.feasible_ranges(d, sigma)) == set(d.invisible) - known
    assert all(symlow.feasible(d, sigma, name) == (1.0, 1.0) for name in known)
    for name, (low, high) in symlow.feasible_ranges(d, sigma).items():
        assert abs(low - bisected(d, sigma, name, -100.0)) < 1e-11
        if name in (f"{column.label}_{column.label}" for column in d.reduction.index.columns):
            assert high == np.inf
            assert lowest(d, changed(d, sigma, name, 1e6)) > 0
        else:
            assert abs(high - bisected(d, sigma, name, 100.0)) < 1e-11


def test_visible_overlaps_have_ranges_too():
    d, sigma = derived(), sampled(derived(), 2, 12)
    low, high = symlow.feasible(d, sigma, "m_z")
    assert (low, high) == symlow.feasible(d, sigma, "z_m")
    assert abs(high - bisected(d, sigma, "z_m", 100.0)) < 1e-11
    with pytest.raises(UnknownNameError, match="unknown overlap 'z_w'"):
        symlow.feasible(d, sigma, "z_w")


def test_ranges_of_degenerate_overlaps():
    d = derived()
    parallel = np.array([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.3, 0.4, 1.0]])
    sigma = overlaps_of_gram(d, parallel @ parallel.T)
    # u = 2 m; the other end is u reflected on the plane of v and z, in which m has a part of squared length s.
    plane = parallel[2:]
    s = parallel[0] @ np.linalg.pinv(plane) @ plane @ parallel[0]
    assert symlow.feasible(d, sigma, "m_u") == pytest.approx((2 * (2 * s - 1), 2.0), abs=1e-12)
    assert symlow.feasible(d, sigma, "u_u")[0] == pytest.approx(4.0, abs=1e-12)
    # Beside m and u, which are parallel, v has a part of length 1 and z one of length sqrt(1.16).
    middle, beyond = 0.5 * 0.3, np.sqrt(1.16)
    assert symlow.feasible(d, sigma, "z_v") == pytest.approx((middle - beyond, middle + beyond), abs=1e-12)
    silent = overlaps_of_gram(d, np.diag([1.0, 0.0, 2.0, 3.0]))
    assert symlow.feasible(d, silent, "m_u") == (0.0, 0.0)
    assert symlow.feasible(d, silent, "u_u") == (0.0, np.inf)
    assert symlow.feasible(d, silent, "z_v") == pytest.approx((-np.sqrt(6), np.sqrt(6)), abs=1e-12)


def test_ranges_are_those_of_each_population():
    d, _ = system(FILES[1])
    sigma = sampled(d)
    ranges = symlow.feasible_ranges(d, sigma)
    for name, (low, high) in ranges.items():
        assert low < high
        assert abs(low - bisected(d, sigma, name, -100.0)) < 1e-11
        if high < np.inf:
            assert abs(high - bisected(d, sigma, name, 100.0)) < 1e-11
    ends = [name for name, (_, high) in ranges.items() if high < np.inf]
    assert ends == [o.name for o in d.reduction.invisible if not o.is_norm]
    assert {name[1] for name in ranges} == {"E", "I"}


def test_a_twin_has_the_values_asked_for_and_else_those_of_the_network():
    d, sigma = derived(), sampled(derived())
    twin = symlow.twin(d, sigma, {"v_z": 0.3, "m_m": 2.5})
    values = dict(zip(d.overlaps, sigma, strict=True)) | {"z_v": 0.3, "m_m": 2.5}
    assert dict(zip(d.overlaps, twin, strict=True)) == values
    assert np.array_equal(symlow.nearest_twin(d, sigma, {"z_v": 0.3, "m_m": 2.5}), twin)
    assert np.array_equal(symlow.twin(d, sigma, {}), sigma)


def test_extreme_twins_lie_on_the_boundary():
    d, sigma = derived(), sampled(derived())
    low, high = symlow.extreme_twins(d, sigma, "z_v")
    at = d.overlaps.index("z_v")
    assert (low[at], high[at]) == symlow.feasible(d, sigma, "z_v")
    for twin in (low, high):
        assert abs(lowest(d, twin)) < 1e-14
        assert np.array_equal(np.delete(twin, at), np.delete(sigma, at))


# The nearest ------------------------------------------------------------------------------------------------------


def test_the_nearest_by_hand():
    d = derived()
    unit = overlaps_of_gram(d, np.eye(4))
    near = dict(zip(d.overlaps, symlow.nearest_twin(d, unit, {"m_u": 3.0, "z_v": -4.0}), strict=True))
    assert (near["m_u"], near["z_v"]) == pytest.approx((1.0, -1.0), abs=1e-12)
    # In the plane of m_u and u_u the boundary is the parabola u_u = m_u^2, and an overlap counts twice: the nearest
    # point to (2, 0) has 4 (x - 2) + 4 x^3 = 0, so x = 1.
    near = dict(zip(d.overlaps, symlow.nearest_twin(d, unit, {"m_u": 2.0, "u_u": 0.0}), strict=True))
    assert (near["m_u"], near["u_u"]) == pytest.approx((1.0, 1.0), abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", [{}, {"rank": 2}, NONLINEAR["erf"], NONLINEAR["relu with means and biases"]])
def test_the_nearest_is_the_projection(options, seed):
    """<wish - found, other - found> <= 0 for every other twin: here random ones, among them ones close by."""
    d = derived(TRIALS, **options)
    random = np.random.default_rng(seed)
    sigma = sampled(d, seed)
    free = [name for name in d.invisible if name not in (f"{ones}_{ones}" for ones in d.network.ones)]
    chosen = list(random.permutation(free)[: max(2, len(free) // 2)])
    changes = {name: 3 * random.standard_normal() for name in chosen}
    near = symlow.nearest_twin(d, sigma, changes)
    places = [d.overlaps.index(name) for name in chosen]
    assert np.array_equal(np.delete(near, places), np.delete(sigma, places))
    assert lowest(d, near) > -1e-12
    wish = near.copy()
    wish[places] = list(changes.values())
    twice = np.array([1.0 if overlap.is_norm else 2.0 for overlap in d.ordered])
    gap = []
    for scale in (1.0, 0.1, 1e-2) * 200:
        other = near.copy()
        other[places] = (
            near[places] + scale * (sigma - near)[places] + 0.5 * scale * random.standard_normal(len(places))
        )
        if lowest(d, other) >= 0:
            gap.append(np.sum(twice * (wish - near) * (other - near)))
    assert len(gap) > 20
    assert max(gap) < 1e-10


@pytest.mark.parametrize(
    "root",
    [np.diag([1.0, 0.0, 1.0, 1.0]), np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.3, 0.4, 1.0]])],
)
def test_the_nearest_beside_a_vector_that_is_zero(root):
    """No overlap of u is other than 0, however near by: the projections alone tend to it as a power of their number."""
    d = derived()
    sigma = overlaps_of_gram(d, root @ root.T)
    near = symlow.nearest_twin(d, sigma, {"m_u": 1.0, "z_v": 9.0})
    assert near == pytest.approx(changed(d, sigma, "z_v", symlow.feasible(d, sigma, "z_v")[1]), rel=0, abs=1e-11)
    with pytest.raises(GramMatrixError, match=r"the nearest that one has, m_u = .*, z_v = ") as refused:
        symlow.twin(d, sigma, {"m_u": 1.0, "z_v": 9.0})
    accepted = {name: float(value) for name, value in re.findall(r"(\w+) = (\S+?)(?:,|$)", str(refused.value))[-2:]}
    assert np.allclose(symlow.twin(d, sigma, accepted), near, rtol=0, atol=1e-10)


def test_the_nearest_where_carriers_are_parallel():
    """By a search along one line: beside m and 2 m, v has a part of v_v - 1/4 left and z one of 1.16."""
    import scipy.optimize

    d = derived(TRIALS, nonlinearity="erf")
    root = np.array([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.3, 0.4, 1.0]])
    sigma = overlaps_of_gram(d, root @ root.T)
    near = symlow.nearest_twin(d, sigma, {"z_v": 9.0, "v_v": 0.5})

    def best(v_v):
        return min(9.0, 0.15 + np.sqrt(1.16 * (v_v - 0.25)))

    found = scipy.optimize.minimize_scalar(
        lambda v_v: 2 * (best(v_v) - 9.0) ** 2 + (v_v - 0.5) ** 2, bounds=(0.25, 80.0), options={"xatol": 1e-10}
    )
    expected = changed(d, changed(d, sigma, "v_v", found.x), "z_v", best(found.x))
    assert near == pytest.approx(expected, rel=0, abs=1e-6)


def test_tiny_networks_are_held_to_their_own_size():
    d, sigma = derived(), 1e-13 * sampled(derived())
    low, high = symlow.feasible(d, sigma, "z_v")
    assert symlow.twin(d, sigma, {"z_v": 0.9 * high})[d.overlaps.index("z_v")] == 0.9 * high
    for beyond in (1.1 * high, 1.1 * low):
        with pytest.raises(GramMatrixError, match="no network has z_v"):
            symlow.twin(d, sigma, {"z_v": beyond})


def test_a_refusal_names_what_is_accepted():
    d, sigma = derived(), sampled(derived())
    for changes in ({"z_v": 9.0}, {"v_v": 1e-9}, {"m_u": -4.0, "z_v": 5.0, "m_m": 0.01}):
        with pytest.raises(GramMatrixError) as refused:
            symlow.twin(d, sigma, changes)
        text = str(refused.value)
        assert "no network has" in text
        assert "and the other overlaps; accepted:" in text
        nearest = {}
        for name in changes:
            nearest[name] = float(text.rsplit(f"{name} = ", 1)[1].split(",")[0])
        twin = symlow.twin(d, sigma, nearest)
        assert np.allclose(twin, symlow.nearest_twin(d, sigma, changes), rtol=0, atol=1e-10)


# At random --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"rank": 2}, NONLINEAR["erf"]])
def test_a_random_twin_is_a_twin(options):
    d = derived(TRIALS, **options)
    sigma, norms = sampled(d), [o.name for o in d.ordered if o.is_norm]
    twins = [symlow.random_twin(d, sigma, seed=seed) for seed in range(5)]
    for twin in twins:
        kept = [name in d.visible or name in norms for name in d.overlaps]
        assert np.array_equal(twin[kept], sigma[kept])
        assert (twin != sigma)[np.logical_not(kept)].all()
        assert lowest(d, twin) > 0
    assert np.array_equal(twins[0], symlow.random_twin(d, sigma, seed=0))
    assert not np.array_equal(twins[0], twins[1])


@pytest.mark.parametrize("neurons", [2, 3])
@pytest.mark.parametrize("seed", range(8))
def test_a_random_twin_of_few_neurons(neurons, seed):
    """Their Gram matrix is singular, and stays one to rounding; some overlaps can hardly move."""
    d = derived(TRIALS, rank=2)
    sigma = overlaps_of_weights(d, np.random.default_rng(seed).standard_normal((neurons, 6)))
    twin = symlow.random_twin(d, sigma, seed=seed)
    assert lowest(d, twin) > -1e-11
    assert np.array_equal(twin[: len(d.visible)], sigma[: len(d.visible)])


def test_random_twins_are_uniform():
    d = derived()
    sigma = overlaps_of_gram(d, np.eye(4))
    pairs = np.array([symlow.random_twin(d, sigma, seed=seed)[[4, 5]] for seed in range(100)])
    # At a Gram matrix of one the two are independent, and uniform between -1 and 1: variance 1/3, fourth moment 1/5.
    assert np.abs((pairs**2).mean(axis=0) - 1 / 3).max() < 4 * np.sqrt((1 / 5 - 1 / 9) / 100)
    assert abs((pairs[:, 0] * pairs[:, 1]).mean()) < 4 / 3 / np.sqrt(100)
    # Three overlaps of unit vectors are uniform on the elliptope, on which each has the density 3/4 (1 - x^2).
    two = derived(TRIALS, rank=2, outputs=2)
    unit = overlaps_of_gram(two, np.eye(len(two.reduction.index.columns)))
    names = ["v1_v2", "z1_v1", "z1_v2"]
    drawn = np.array(
        [
            symlow.random_twin(two, unit, seed=s, overlaps=names)[[two.overlaps.index(n) for n in names]]
            for s in range(100)
        ]
    )
    assert np.abs((drawn**2).mean(axis=0) - 1 / 5).max() < 4 * np.sqrt((3 / 35 - 1 / 25) / 100)


# Twins compute the same, and learn differently --------------------------------------------------------------------


def outputs_differ(network, weights, x):
    here, there = (network.outputs(P, x) for P in weights)
    return np.abs(here - there).max() / np.abs(here).max()


@pytest.mark.parametrize("name", ["linear", *NONLINEAR])
def test_twins_have_equal_outputs_before_learning_and_others_after(name):
    options = NONLINEAR.get(name, {})
    d, module = derived(TRIALS, **options), compiled(TRIALS, **options)
    sigma = sampled(d, 1)
    pair = (sigma, symlow.random_twin(d, sigma, seed=2))
    network = FullNetwork(d.network, d.loss.reduction, float(d.loss.factor))
    # Linear twins need no pairs: any realisations of theirs do, even with other neurons.
    seeds = (0, 1) if name == "linear" else (0, 0)
    weights = [
        stacked_weights(d, symlow.realise(d, state, neurons=60, seed=seed, paired=name != "linear"))
        for state, seed in zip(pair, seeds, strict=True)
    ]
    trials = random_trials(d, batch=4)
    x = np.random.default_rng(5).standard_normal((6, 50, d.loss.inputs))
    assert outputs_differ(network, weights, x) < 1e-12
    assert np.array_equal(*(module.outputs(state, x) for state in pair))
    assert np.array_equal(*(module.loss(state, trials) for state in pair))
    learned = [symlow.learn(d, state, 0.05, 10, trials).sigma[-1] for state in pair]
    trained = [list(network.train(P, trials, 0.05, 10))[-1].weights for P in weights]
    assert outputs_differ(network, trained, x) > 1e-3
    here, there = (module.outputs(state, x) for state in learned)
    assert np.abs(here - there).max() / np.abs(here).max() > 1e-3


def test_without_pairs_nonlinear_twins_differ_by_the_root_of_their_number():
    d = derived(TRIALS, nonlinearity="erf")
    sigma = sampled(d, 1)
    network = FullNetwork(d.network, d.loss.reduction, float(d.loss.factor))
    x = np.random.default_rng(5).standard_normal((6, 20, 1))
    found = []
    for neurons in (200, 20000):
        states = (sigma, symlow.random_twin(d, sigma, seed=2))
        weights = [stacked_weights(d, symlow.realise(d, state, neurons=neurons)) for state in states]
        found.append(outputs_differ(network, weights, x))
    assert 1e-4 < found[1] < found[0] / 3


# Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d, s: symlow.twin(d, s, {"z_m": 1}), UnknownNameError, "z_m, which is loss-visible, and twins have"),
        (lambda d, s: symlow.twin(d, s, {"z_w": 1}), UnknownNameError, "unknown overlap 'z_w'; did you mean"),
        (lambda d, s: symlow.twin(d, s, {"z_v": "x"}), ArrayError, "z_v: found 'x'; accepted: a finite number"),
        (lambda d, s: symlow.twin(d, s, {"z_v": np.inf}), ArrayError, "z_v: found inf; accepted: a finite number"),
        (lambda d, s: symlow.twin(d, -s, {}), GramMatrixError, "the nearest overlaps of a network have"),
        (lambda d, s: symlow.extreme_twins(d, s, "v_v"), GramMatrixError, "v_v is .* or more, without end"),
        (lambda d, s: symlow.random_twin(d, s, overlaps=["v_v"]), GramMatrixError, "found v_v, a norm"),
        (lambda d, s: symlow.random_twin(d, s, overlaps=[]), LearningError, "no overlap to draw; accepted: .*m_u, z_v"),
        (lambda d, s: symlow.random_twin(d, s, seed=-1), LearningError, "seed: found -1"),
        (lambda d, s: symlow.feasible(d, np.stack([s, s]), "z_v"), ArrayError, "found 2 states; accepted: one"),
    ],
)
def test_refusals(call, error, message):
    d = derived()
    with pytest.raises(error, match=message):
        call(d, sampled(d))


def test_the_mean_square_of_ones_is_known():
    d = derived(TRIALS, **NONLINEAR["relu with means and biases"])
    with pytest.raises(UnknownNameError, match="found one_one, which is known"):
        symlow.twin(d, sampled(d), {"one_one": 2.0})


def test_every_pair_of_carriers_of_a_nonlinear_network_is_kept():
    d = derived(TRIALS, nonlinearity="erf")
    for left, right in itertools.combinations_with_replacement("mu", 2):
        with pytest.raises(UnknownNameError, match="loss-visible"):
            symlow.twin(d, sampled(d), {f"{left}_{right}": 0.1})
