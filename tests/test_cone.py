"""The nearest Gram matrix where columns have very different sizes and wishes lie far off: against other methods."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.optimize

import symlow
from symlow import cone
from symlow.errors import ArrayError, GramMatrixError, UnknownNameError
from symlow.initial import gram_of_overlaps, overlaps_of_gram
from tests.conftest import derived
from tests.test_realise import TRIALS, sampled


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def resized(d, sigma, sizes):
    """The overlaps with columns multiplied by sizes, by label; others stay as they are."""
    factors = np.array([sizes.get(column.label, 1.0) for column in d.reduction.index.columns])
    return overlaps_of_gram(d, gram_of_overlaps(d, sigma) * np.outer(factors, factors))


def lowest(d, sigma):
    """The smallest eigenvalue of the Gram matrix of the columns divided by their norms."""
    gram = gram_of_overlaps(d, sigma)
    norms = np.sqrt(np.diag(gram))
    return np.linalg.eigvalsh(gram / np.outer(norms, norms))[0]


def searched(d, sigma, m_u, z_v):
    """The nearest m_u and z_v by a search along a line, of unit columns: 2 w (m_u - wish)^2 + 2 w' (z_v - wish)^2.

    A matrix of which z_v alone is open can be filled in exactly if the blocks without z and without v are Gram
    matrices (Grone et al. 1984). That gives the range of m_u; that of z_v follows from it.
    """
    gram = gram_of_overlaps(d, sigma)
    norms = np.sqrt(np.diag(gram))
    labels = [column.label for column in d.reduction.index.columns]
    m, u, v, z = (labels.index(name) for name in "muvz")
    unit = gram / np.outer(norms, norms)
    sizes = np.array([norms[m] * norms[u], norms[v] * norms[z]])
    wishes = np.array([m_u, z_v]) / sizes
    weights = (sizes / sizes.max()) ** 2
    weights = weights / (weights * (1 + np.abs(wishes))).max()
    ends = [cone.entry_range(unit[np.ix_(block, block)], 0, 1) for block in ([m, u, z], [m, u, v])]

    def best(a):
        moved = unit.copy()
        moved[m, u] = moved[u, m] = a
        return np.clip(wishes[1], *cone.entry_range(moved, v, z))

    def cost(a):
        # Without the squares of wishes, beside which all else would be rounding.
        point = np.array([a, best(a)])
        return weights @ (point**2 / 2) - (weights * wishes) @ point

    low, high = max(low for low, _ in ends), min(high for _, high in ends)

    def along(angle):  # at the ends of its range z_v depends on m_u by a root, on this angle smoothly
        return (low + high) / 2 + (high - low) / 2 * np.sin(angle)

    found = scipy.optimize.minimize_scalar(
        lambda angle: cost(along(angle)), bounds=(-np.pi / 2, np.pi / 2), options={"xatol": 1e-13, "maxiter": 200}
    )
    # The search stays inside its bounds by more than rounding: their ends are tried too.
    m_u = min((along(found.x), low, high), key=cost)
    return np.array([m_u, best(m_u)])


WISHES = [(1.5, -1.2), (1e2, -1e2), (1e4, -1e4), (1e6, -1e6), (1e12, 1e9), (-1e160, 1e160)]


@pytest.mark.parametrize("size", [1e-6, 1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("wishes", WISHES)
def test_the_nearest_at_every_size_and_distance_is_that_of_a_search_along_a_line(size, wishes):
    d = derived()
    sigma = resized(d, sampled(d, 1), {"m": 1 / size, "z": size})
    changes = dict(zip(("m_u", "z_v"), (wishes[0] / size, wishes[1] * size), strict=True))
    near = symlow.nearest_twin(d, sigma, changes)
    assert lowest(d, near) > -1e-12
    values, norms = (dict(zip(d.overlaps, state, strict=True)) for state in (near, sigma))
    found = [values[f"{a}_{b}"] / np.sqrt(norms[f"{a}_{a}"] * norms[f"{b}_{b}"]) for a, b in (("m", "u"), ("z", "v"))]
    assert found == pytest.approx(searched(d, sigma, **changes), rel=0, abs=2e-6)
    kept = [name not in changes for name in d.overlaps]
    assert np.array_equal(near[kept], sigma[kept])
    # What a refusal calls the nearest is accepted.
    symlow.twin(d, sigma, {name: values[name] for name in changes})


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("wish", [3.0, 1e5, 1e160])
def test_the_nearest_fulfils_the_conditions_of_a_minimum_at_every_size(seed, wish):
    """<wish - found, other - found> <= 0 for every other twin, relative to the largest term of this sum."""
    d = derived(TRIALS, rank=2)
    random = np.random.default_rng(seed)
    labels = [column.label for column in d.reduction.index.columns]
    sigma = resized(d, sampled(d, seed), dict(zip(labels, 10 ** random.uniform(-3, 3, len(labels)), strict=True)))
    norms = np.sqrt(np.diag(gram_of_overlaps(d, sigma)))
    chosen = [o for o in d.reduction.invisible if not o.is_norm and random.random() < 0.6]
    places = [d.overlaps.index(o.name) for o in chosen]
    sizes = np.array([norms[o.row] * norms[o.column] for o in chosen])
    wished = wish * random.standard_normal(len(chosen)) * sizes
    near = symlow.nearest_twin(d, sigma, dict(zip((o.name for o in chosen), wished, strict=True)))
    assert lowest(d, near) > -1e-12
    scale = np.abs(wished).max()
    pull = (wished / scale - near[places] / scale) * sizes
    pull /= np.abs(pull).max()
    for other in range(10):
        twin = symlow.random_twin(d, sigma, seed=other, overlaps=[o.name for o in chosen])
        assert pull @ ((twin - near)[places] / sizes) < 1e-7


def test_the_nearest_norms_to_negative_ones():
    """m_m + u_u is smallest, found by a search that takes the roots of the matrix as its unknowns."""
    d, sigma = derived(), sampled(derived(), 1)
    near = dict(zip(d.overlaps, symlow.nearest_twin(d, sigma, {"m_m": -1e13, "u_u": -1e13}), strict=True))
    index = d.reduction.index
    gram = gram_of_overlaps(d, sigma)
    m, u = index["m_u"].row, index["m_u"].column
    others = [k for k in range(len(gram)) if k not in (m, u)]
    regressed = np.linalg.solve(gram[np.ix_(others, others)], gram[np.ix_(others, [m, u])])
    fixed = gram[np.ix_([m, u], others)] @ regressed
    # Beyond the others there are two squares s and t with s t >= r^2, whose sum is smallest where both are |r|.
    rest = abs(gram[m, u] - fixed[0, 1])
    assert (near["m_m"], near["u_u"]) == pytest.approx(tuple(np.diag(fixed) + rest), rel=1e-9)


def test_what_a_strong_wish_leaves_open_a_weak_one_decides():
    d = derived()
    unit = overlaps_of_gram(d, np.eye(4))
    near = dict(zip(d.overlaps, symlow.nearest_twin(d, unit, {"m_u": 1e160, "z_v": 0.1}), strict=True))
    assert near["m_u"] == pytest.approx(1.0, abs=1e-12)
    assert near["z_v"] == pytest.approx(0.1, abs=1e-5)


def test_wishes_near_the_largest_number():
    d = derived()
    sigma = resized(d, sampled(d, 1), dict.fromkeys("muvz", 1e-5))
    near = symlow.nearest_twin(d, sigma, {"m_u": 1e308, "z_v": -1e308})
    far = symlow.nearest_twin(d, sigma, {"m_u": 1e100, "z_v": -1e100})
    assert near == pytest.approx(far, rel=1e-12)
    assert lowest(d, near) > -1e-12
    one = symlow.nearest_twin(d, sigma, {"m_u": 1e308})
    assert one[d.overlaps.index("m_u")] == symlow.feasible(d, sigma, "m_u")[1]


def test_a_search_that_does_not_end_is_said(monkeypatch):
    monkeypatch.setattr(cone, "MOST_STEPS", 3)
    d, sigma = derived(), sampled(derived())
    changes = {"m_u": -4.0, "z_v": 5.0, "m_m": 0.01}
    with pytest.raises(GramMatrixError, match=r"the nearest Gram matrix: found none but to "):
        symlow.nearest_twin(d, sigma, changes)
    with pytest.raises(GramMatrixError, match=r"no network has m_u = -4, .* the nearest Gram matrix: found none"):
        symlow.twin(d, sigma, changes)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (None, ArrayError, r"twin: found None; accepted: values by name of overlap, a mapping"),
        ([("m_u", 0.1)], ArrayError, r"found \[\('m_u', 0\.1\)\]; accepted: values by name"),
        ({1: 2}, UnknownNameError, r"twin: found 1; accepted: the name of an overlap"),
        ({"m_u": 10**400}, ArrayError, r"twin: m_u: found .{,120}; accepted: a finite number"),
        ({"m_u": "x" * 1000}, ArrayError, r"twin: m_u: found .{,120}; accepted: a finite number"),
        ({"m_u": "0.01"}, ArrayError, r"twin: m_u: found '0.01'; accepted: a finite number"),
        ({"m_u": 1.0, "u_m": 2.0}, UnknownNameError, r"twin: found m_u twice, as m_u and u_m; accepted: one value"),
    ],
)
def test_changes_that_are_none(changes, error, message):
    d, sigma = derived(), sampled(derived())
    for call in (symlow.twin, symlow.nearest_twin):
        with pytest.raises(error, match=message):
            call(d, sigma, changes)


@pytest.mark.parametrize("names", [[3], "m_u", 3])
def test_names_that_are_none(names):
    d, sigma = derived(), sampled(derived())
    with pytest.raises(UnknownNameError, match=r"random twin: found .*; accepted: (the name of|a list of names of)"):
        symlow.random_twin(d, sigma, overlaps=names)
    with pytest.raises(UnknownNameError, match="extreme twins: found 3; accepted: the name of an overlap"):
        symlow.extreme_twins(d, sigma, 3)
    with pytest.raises(UnknownNameError, match="feasible: found None; accepted: the name of an overlap"):
        symlow.feasible(d, sigma, None)


@pytest.mark.parametrize("seed", range(12))
def test_the_nearest_with_norms_at_every_size(seed):
    """The same where norms are open too, to what ``LEAST_PULLS`` promises: other twins have larger norms."""
    d = derived(TRIALS, rank=2, nonlinearity="erf")
    random = np.random.default_rng(seed)
    labels = [column.label for column in d.reduction.index.columns]
    sigma = resized(d, sampled(d, seed), dict(zip(labels, 10 ** random.uniform(-2, 2, len(labels)), strict=True)))
    gram = gram_of_overlaps(d, sigma)
    norms = np.sqrt(np.diag(gram))
    chosen = [o for o in d.reduction.invisible if random.random() < 0.7]
    places = [d.overlaps.index(o.name) for o in chosen]
    twice = np.array([1.0 if o.is_norm else 2.0 for o in chosen])
    sizes = np.array([norms[o.row] * norms[o.column] for o in chosen])
    wished = 3 * random.standard_normal(len(chosen)) * sizes
    near = symlow.nearest_twin(d, sigma, dict(zip((o.name for o in chosen), wished, strict=True)))
    assert lowest(d, near) > -1e-12
    pull = twice * (wished - near[places])
    mixed = [o.name for o in chosen if not o.is_norm]
    for other in range(10):
        raised = sigma.copy()
        for k in (k for k, o in zip(places, chosen, strict=True) if o.is_norm):
            raised[k] *= 1 + random.exponential()
        twin = symlow.random_twin(d, raised, seed=other, overlaps=mixed)
        assert pull @ (twin - near)[places] <= cone.LEAST_PULLS[-1] * (sizes**2).max()
