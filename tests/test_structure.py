"""Structure: against finite transformations, brackets of the metric's columns, known invariants and learning itself."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
import scipy.linalg
import sympy
from sympy import Rational

import symlow
from symlow.gaps import numerical_rank
from symlow.modular import PRIME, fraction, lie_algebra, null_space, rank, residue
from symlow.reachable import reachable_by_overlaps, reachable_by_tasks
from symlow.response import MarkovParameters, SampledOutputs, linear_state_space, random_overlaps
from symlow.structure import MODULAR, NUMERICAL, PROVED, UNDECIDED, Fact, kind
from symlow.symmetries import find_symmetries
from tests.conftest import EXPONENTIAL, compiled, derived, random_trials, weights, with_rates

TRIALS = {"kind": "trials"}


def system(**network):
    settings = {"task": TRIALS, "dt": 0.2, **network}
    return derived(**settings), compiled(**settings)


def facts(d) -> dict[str, Fact]:
    return {fact.name: fact for fact in d.structure}


# Exact linear algebra.


def test_arithmetic_modulo_the_prime():
    assert sympy.isprime(PRIME)
    assert 2048 * PRIME**2 < 2**63
    for value in (Fraction(-3, 7), Fraction(12), Fraction(999, 1000)):
        assert fraction(residue(value)) == value
    assert fraction(PRIME // 2 + 12345) is None
    with pytest.raises(ZeroDivisionError, match="1/67108859 has no residue"):
        residue(Fraction(1, PRIME))


@pytest.mark.parametrize("seed", range(4))
def test_ranks_and_null_spaces_against_rationals(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-3, 4, (6, 4)) @ rng.integers(-3, 4, (4, 8)) * rng.integers(0, 2, (6, 1))
    assert rank(matrix) == sympy.Matrix(matrix).rank()
    basis = null_space(matrix)
    assert len(basis) == 8 - rank(matrix) == rank(basis)
    assert not np.any(matrix @ basis.T % PRIME)
    assert null_space(np.zeros((0, 3), dtype=np.int64)).tolist() == np.eye(3).tolist()


@pytest.mark.parametrize(("size", "signs"), [(3, (1, 1, 1)), (4, (1, 1, -1, -1)), (5, (1, 1, 1, 1, 1))])
def test_lie_algebra_of_rotations(size, signs):
    """Rotations in neighbouring planes generate so(p, q), of dimension size (size - 1) / 2."""
    rng = np.random.default_rng(0)
    generators = np.zeros((size - 1, size, size), dtype=np.int64)
    for k in range(size - 1):
        generators[k, k, k + 1], generators[k, k + 1, k] = 1, -signs[k] * signs[k + 1]
    algebra = lie_algebra(generators, lambda shape: rng.integers(0, PRIME, shape))
    assert len(algebra) == size * (size - 1) // 2


# The metric.


def test_metric_of_a_linear_network():
    d = derived()
    linear = facts(d)
    assert linear["metric_visible"].kind == PROVED
    assert linear["metric_visible"].evidence == {"visible": (), "invisible": d.invisible}
    assert linear["metric_invisible"].evidence == {"visible": d.visible, "invisible": ()}
    frozen = facts(derived(frozen=("m", "u", "v", "z")))
    assert frozen["metric_visible"].statement == "No loss moves a loss-visible overlap."
    assert frozen["reachable_by_tasks"].evidence["dimension"] == 0


# Symmetries.


def assert_finite_symmetries(d, module, found):
    """Every mixing, exponentiated, leaves the outputs as they are at weights of its own."""
    columns = [column.label for column in d.reduction.index.columns]
    P = weights(d, 3 * len(columns), seed=7)
    if d.network.ones is not None:
        P[:, -1] = 1
    x = np.random.default_rng(8).standard_normal((3, 25, module.N_INPUTS))

    def outputs(P):
        return module.outputs((P.T @ P / len(P))[module._ROWS, module._COLUMNS], x)

    for mixing in found.mixings:
        X = np.zeros((len(columns), len(columns)))
        for added, changed, value in mixing.entries:
            X[columns.index(added), columns.index(changed)] = value
        moved = P @ scipy.linalg.expm(0.3 * X)
        assert np.abs(moved - P).max() > 0.1
        assert outputs(moved) == pytest.approx(outputs(P), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("rank_", "inputs", "outputs"), [(1, 1, 1), (2, 2, 1), (3, 1, 2)])
def test_linear_networks_have_the_general_linear_group(rank_, inputs, outputs):
    d, module = system(rank=rank_, inputs=inputs, outputs=outputs)
    found = find_symmetries(d, module)
    assert found.exact
    assert len(found.mixings) == found.moved == found.free == rank_**2
    # A transfer function of order R has R (n_in + n_out) parameters, and the direct path n_in n_out.
    assert found.function_rank == rank_ * (inputs + outputs) + inputs * outputs
    assert_finite_symmetries(d, module, found)


@pytest.mark.parametrize(
    ("network", "count"),
    [
        ({"nonlinearity": "erf"}, 1),
        ({"nonlinearity": "tanh", "rank": 2, "inputs": 2}, 4),
        ({"nonlinearity": "clip", "bias": True}, 1),
        ({"nonlinearity": "x**3"}, 2),
        ({"nonlinearity": "sign"}, 2),
        ({"nonlinearity": "relu", "bias": True, "means": True}, 2),
        ({"nonlinearity": "linear", "bias": True}, 1),
    ],
)
def test_symmetries_of_nonlinear_networks(network, count):
    """Mixings of the rank space, and where phi(c h) is a power of c times phi(h) a scaling of carriers and readers."""
    d, module = system(**network)
    found = find_symmetries(d, module)
    assert not found.exact
    assert all(gap.is_clear for gap in found.gaps)
    assert len(found.mixings) == found.moved == found.free == count
    assert_finite_symmetries(d, module, found)


def test_mixings_in_words():
    found = find_symmetries(*system(nonlinearity="x**3"))
    assert [str(mixing) for mixing in found.mixings] == ["m + eps m, v - 2 eps v, z - 3 eps z", "u + eps u, v - eps v"]


def test_exact_and_sampled_functions_have_the_same_derivative():
    """Markov parameters and outputs see the same directions of the visible overlaps."""
    d, module = system(rank=2, inputs=2)
    whole = np.random.default_rng(0).integers(-4, 5, len(d.overlaps))
    exact = MarkovParameters(d, linear_state_space(d)).derivative(whole % PRIME)
    sampled = SampledOutputs(module).derivative(whole.astype(float))
    free = [[float(fraction(value)) for value in row] for row in null_space(exact)]
    assert len(free) == 4 == len(d.visible) - numerical_rank(sampled).rank
    assert np.abs(sampled @ np.array(free).T).max() <= 1e-10 * np.abs(sampled).max() * np.abs(free).max()


# What learning can reach.


def orbit_dimension_by_brackets(d):
    """Dimension of the Lie algebra of the metric's columns at a random point, by brackets of n x n matrices."""
    symbols = [d.symbols[name] for name in d.overlaps]
    jacobians = [sympy.Matrix(d.metric[:, b]).jacobian(symbols) for b in range(len(d.visible))]
    fields = [np.array(jacobian.tolist(), dtype=float) for jacobian in jacobians]
    basis, fresh = [], [field for field in fields if field.any()]
    generators = list(fresh)
    while fresh:
        added = []
        for field in fresh:
            if np.linalg.matrix_rank(np.array([*basis, field]).reshape(len(basis) + 1, -1), tol=1e-9) > len(basis):
                basis.append(field / np.abs(field).max())
                added.append(basis[-1])
        fresh = [a @ b - b @ a for a, b in itertools.product(generators, added)]
        fresh = [field for field in fresh if np.abs(field).max() > 1e-12]
    point = np.random.default_rng(0).standard_normal(len(symbols))
    return np.linalg.matrix_rank(np.array([field @ point for field in basis]), tol=1e-9)


@pytest.mark.parametrize(
    ("network", "dimension"),
    [
        ({}, 6),
        ({"frozen": ("m",)}, 6),
        ({"frozen": ("u", "v")}, 5),
        ({"nonlinearity": "erf"}, 10),
        ({"nonlinearity": "erf", "frozen": ("u",)}, 9),
    ],
)
def test_reachable_dimension_is_that_of_brackets_of_the_metric(network, dimension):
    d, _ = system(**network)
    found = reachable_by_overlaps(d)
    assert found.dimension == orbit_dimension_by_brackets(d) == dimension
    assert found.gaps == ()


@pytest.mark.parametrize(("rank_", "inputs", "outputs"), [(1, 1, 1), (2, 1, 1), (3, 2, 2), (8, 2, 2)])
def test_linear_networks_reach_an_orbit_of_rotations(rank_, inputs, outputs):
    """The Lax pair d(J Sigma)/dt = 2 [S, J Sigma] has the p eigenvalues of J Sigma as invariants."""
    d, _ = system(rank=rank_, inputs=inputs, outputs=outputs)
    p = 2 * rank_ + inputs + outputs
    found = reachable_by_overlaps(d)
    assert found.algebra == found.dimension == p * (p - 1) // 2
    assert len(d.overlaps) - found.dimension == p
    assert found.memory == len(found.free) == found.dimension - len(d.visible)


@pytest.mark.parametrize(
    ("network", "dimension", "memory"),
    [({}, 5, 1), ({"rank": 2}, 12, 3), ({"nonlinearity": "erf"}, 9, 2)],
)
def test_tasks_conserve_more(network, dimension, memory):
    """Besides the eigenvalues of J Sigma, in a linear network, all entries of Sigma_uu - Sigma_vv."""
    d, module = system(**network)
    found = reachable_by_tasks(d, module)
    assert (found.dimension, found.memory, len(found.free)) == (dimension, memory, memory)
    assert all(gap.is_clear for gap in found.gaps)
    sigma, units = random_overlaps(d, np.random.default_rng(1)), module.gram(np.eye(len(d.overlaps)))
    linear = d.network.nonlinearity.is_linear
    J = np.diag(np.concatenate([np.ones(module.P_V.start), -np.ones(module.N_COLUMNS - module.P_V.start)]))
    powers = range(module.N_COLUMNS if linear else 0)
    gradients = [
        np.trace(np.linalg.matrix_power(J @ module.gram(sigma), k) @ J @ units, axis1=1, axis2=2) for k in powers
    ]
    balance = units[:, module.P_U, module.P_U] - units[:, module.P_V, module.P_V]
    gradients += [balance[:, i, j] for i in range(balance.shape[1]) for j in range(i + 1)]
    assert np.linalg.matrix_rank(np.array(gradients), tol=1e-8) == len(sigma) - dimension
    rng = np.random.default_rng(2)
    for _ in range(3):
        rate = module.rhs(0.0, sigma, (rng.standard_normal((2, 15, 1)), rng.standard_normal((2, 15, 1))))
        assert np.abs(np.array(gradients) @ rate).max() <= 1e-11 * np.abs(rate).max() * np.abs(gradients).max()


def test_learning_rates_of_vectors():
    """With rates r the balance |u|^2 / r_u - |v|^2 / r_v is conserved by tasks."""
    d = with_rates(derived(TRIALS, dt=0.2), u=Rational(1, 3), m=Rational(2))
    module = d.compile()
    assert reachable_by_overlaps(d).dimension == orbit_dimension_by_brackets(d) == 6
    assert reachable_by_tasks(d, module).dimension == 5
    sigma = random_overlaps(d, np.random.default_rng(1))
    rate = dict(zip(d.overlaps, module.rhs(0.0, sigma, random_trials(d)), strict=True))
    assert 3 * rate["u_u"] == pytest.approx(rate["v_v"], rel=1e-12)


def test_learning_leaves_a_memory():
    """Two curricula that end at one function: the same outputs, other invisible overlaps, another sharpness."""
    d = derived({**EXPONENTIAL, "horizon": 5.0})
    first, second, last = (
        compiled({**EXPONENTIAL, "horizon": 5.0, **task})
        for task in ({"decay": 0.05, "amplitude": 2.0}, {"decay": 3.0, "amplitude": -1.0}, {})
    )
    P = weights(d, 12)
    start = (P.T @ P / 12)[last._ROWS, last._COLUMNS]
    ends = []
    for module in (first, second):
        sigma = start
        for _ in range(300):
            sigma = module.step(sigma, 0.01)
        ends.append(sigma)
    sigma = np.array(ends)
    for _ in range(2500):
        sigma = last.step(sigma, 0.05)
    assert last.loss(sigma).max() < 1e-14
    x = np.eye(1, 100)[..., None]
    assert last.outputs(sigma[0], x) == pytest.approx(last.outputs(sigma[1], x), abs=1e-6)
    hidden = np.abs(sigma[0] - sigma[1])[last.N_VISIBLE :]
    assert hidden.max() > 0.05
    found = symlow.stability(d, sigma)
    assert found.at_solution.all()
    assert abs(found.sharpness[1] / found.sharpness[0] - 1) > 0.02


# Facts.


def test_facts_are_said_and_kept():
    d = derived(rank=2)
    found = facts(d)
    assert list(found) == [
        "metric_visible",
        "metric_invisible",
        "symmetries",
        "function",
        "reachable_by_overlaps",
        "reachable_by_tasks",
        "memory",
    ]
    assert found["symmetries"].kind == found["function"].kind == found["reachable_by_overlaps"].kind == MODULAR
    assert found["reachable_by_tasks"].kind == found["memory"].kind == NUMERICAL
    assert found["function"].evidence["solution_manifold"] == 16
    assert "depends on the 9 loss-visible overlaps in 5 independent ways; symmetries account for 4 of the 4" in (
        found["function"].statement
    )
    assert "u1 + eps u2, v2 - eps v1" in found["symmetries"].statement
    assert r"$u_{1}\to u_{1}+\varepsilon u_{2}, v_{2}\to v_{2}-\varepsilon v_{1}$" in found["symmetries"].latex
    assert found["memory"].statement.endswith("m_u1, m_u2, z_v1 are coordinates of it.")
    assert r"$\sigma_{mu_1}$, $\sigma_{mu_2}$, $\sigma_{zv_1}$" in found["memory"].latex
    assert not any("{" in fact.statement for fact in found.values())
    once, again = derived(), symlow.derive(derived().spec)
    assert [fact.statement for fact in again.structure] == [fact.statement for fact in once.structure]


def test_structure_is_that_of_gradients_alone():
    """Velocities are no overlaps of weights, and neither clipping nor decay opens ways to tasks."""
    plain = derived()
    learning = {"rule": "momentum", "weight_decay": 0.01, "clip": 0.5}
    content = {**plain.spec.model_dump(mode="json"), "learning": learning}
    found, expected = facts(symlow.derive(symlow.Spec.model_validate(content))), facts(plain)
    for name, fact in expected.items():
        assert found[name].kind == fact.kind
        if name != "reachable_by_tasks":
            assert found[name].evidence == fact.evidence
    for name in ("reachable_by_overlaps", "reachable_by_tasks"):
        assert found[name].evidence["dimension"] == expected[name].evidence["dimension"]
        assert found[name].statement.endswith("Weight decay moves them out of it, and changes these.")
    assert "are, but for weight decay, loss gradients" in found["metric_visible"].statement


def test_facts_of_a_nonlinear_network():
    found = facts(system(nonlinearity="erf")[0])
    assert found["metric_visible"].evidence["visible"] == ("z_m", "z_u", "v_m", "v_u", "m_u", "m_m", "u_u")
    assert found["metric_invisible"].evidence == {"visible": ("z_m", "z_u", "v_m", "v_u"), "invisible": ()}
    assert found["symmetries"].kind == NUMERICAL
    assert found["reachable_by_overlaps"].evidence["conserved"] == 0
    assert found["reachable_by_tasks"].evidence["conserved"] == 1


def test_gap_that_is_not_clear_is_undecided():
    assert numerical_rank(np.diag([1.0, 1e-5, 1e-12])).is_clear
    smooth = numerical_rank(np.diag(np.geomspace(1, 1e-15, 11)))
    assert not smooth.is_clear
    assert kind(False, [smooth]) == UNDECIDED
    assert kind(False, [numerical_rank(np.eye(3))]) == NUMERICAL
    assert numerical_rank(np.zeros((2, 3))).rank == 0
