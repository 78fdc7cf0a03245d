"""The network of infinite width: nodes and random weights with a given Gram matrix, and what averages come to."""

from __future__ import annotations

import numpy as np
import pytest

from symlow.errors import ArrayError, GramMatrixError
from symlow.infinite_width import gaussian_nodes, realise_weights, sobol_nodes
from symlow.simulate import FullNetwork
from tests.nonlinear import KINKED, SMOOTH, X, columns_of, low_rank, trials_of

RANK_ONE = [0, 1]  # the positions of m and u


def gram_of(columns, seed=0, rank=None, ones=None):
    A = np.random.default_rng(seed).standard_normal((2 * columns if rank is None else rank, columns))
    if ones is not None:
        A[:, ones] = 1.0
    return A.T @ A / len(A)


def full_network(net, node_weights=None):
    return FullNetwork(net, "sum_dt", 0.5, node_weights)


def flow_on_nodes(net, gram, carriers, nodes, trials, **options):
    P, w = gaussian_nodes(gram, carriers, nodes, **options)
    return full_network(net, w).flow(P, trials)


def deviation(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


# The given Gram matrix, exactly


@pytest.mark.parametrize("ones", [None, 2])
@pytest.mark.parametrize("rank", [None, 5, 3, 2, 1])
@pytest.mark.parametrize("carriers", [[0, 1], [4, 0, 3], [2], []])
def test_gram_matrix_is_exact(carriers, rank, ones):
    gram = gram_of(5, rank=rank, ones=ones)
    for P, w in (
        gaussian_nodes(gram, carriers, 12, 3, ones),
        sobol_nodes(gram, carriers, 256, 0, ones),
        (realise_weights(gram, 40, 0, ones), np.full(40, 1 / 40)),
        (realise_weights(gram, 5, 0, ones), np.full(5, 1 / 5)),
    ):
        assert P.shape == (len(w), 5)
        assert w.sum() == pytest.approx(1, abs=1e-13)
        assert deviation(P.T @ (w[:, None] * P), gram) < 1e-12
        if ones is not None:
            assert np.array_equal(P[:, ones], np.ones(len(P)))


@pytest.mark.parametrize("nodes", [24, 60, 100])
def test_many_nodes_keep_it_exact(nodes):
    gram = gram_of(4)
    P, w = gaussian_nodes(gram, RANK_ONE, nodes)
    assert w.min() > 0
    assert deviation(full_network(low_rank(X), w).gram(P), gram) < 1e-12


def test_a_network_without_any_weights():
    gram = np.zeros((3, 3))
    for P in (gaussian_nodes(gram, [0], 5)[0], sobol_nodes(gram, [0], 8, 0)[0], realise_weights(gram, 4, 0)):
        assert not P.any()


def test_singular_matrices_take_fewer_nodes():
    gram = gram_of(5, rank=3)
    assert len(gaussian_nodes(gram, [0, 1], 10, 2)[0]) == 10**2 * 2
    parallel = gram_of(5)[np.ix_([0, 0, 2, 3, 4], [0, 0, 2, 3, 4])]
    P, _ = gaussian_nodes(parallel, [0, 1], 10, 2)
    assert len(P) == 10 * 2**3
    assert P[:, 0] == pytest.approx(P[:, 1], abs=1e-13)


def test_moments_of_nodes_are_those_of_gaussians():
    gram = gram_of(5, ones=3)
    P, w = gaussian_nodes(gram, [0, 1], 8, 4, ones=3)
    mean, covariance = gram[3], gram - np.outer(gram[3], gram[3])
    assert w @ P == pytest.approx(mean, abs=1e-13)
    c = P - mean
    fourth = np.einsum("n,ni,nj,nk,nl->ijkl", w, c, c, c, c)
    pairs = np.einsum("ij,kl->ijkl", covariance, covariance)
    expected = pairs + np.swapaxes(pairs, 1, 2) + np.swapaxes(pairs, 1, 3)
    assert np.abs(fourth - expected).max() < 1e-12 * np.abs(expected).max()
    assert np.abs(np.einsum("n,ni,nj,nk->ijk", w, c, c, c)).max() < 1e-13


def test_random_rows_look_gaussian_and_follow_the_seed():
    gram = gram_of(4)
    P = realise_weights(gram, 20000, 0)
    kurtosis = np.mean(P**4, axis=0) / np.diag(gram) ** 2
    assert kurtosis == pytest.approx(3, abs=0.15)  # standard error sqrt(96 / N) = 0.07
    assert np.array_equal(P, realise_weights(gram, 20000, 0))
    assert not np.allclose(P, realise_weights(gram, 20000, 1))


# What averages come to, by hand


def latents(trials, gram, gain, dt=0.2):
    """The recursion of m, u, v, z by hand: a_t = g(Delta) Sigma_vc kappa, where u is driven by a and m by x."""
    x, outputs = trials[0], []
    for sequence in x[:, :, 0]:
        m = u = 0.0
        row = []
        for value in sequence:
            delta = gram[0, 0] * m**2 + 2 * gram[0, 1] * m * u + gram[1, 1] * u**2
            a = gain(delta) * (gram[2, 0] * m + gram[2, 1] * u)
            m, u = m + dt * (value - m), u + dt * (a - u)
            delta = gram[0, 0] * m**2 + 2 * gram[0, 1] * m * u + gram[1, 1] * u**2
            row.append(gain(delta) * (gram[3, 0] * m + gram[3, 1] * u))
        outputs.append(row)
    return np.array(outputs)[:, :, None]


@pytest.mark.parametrize(("phi", "gain", "nodes"), [
    (SMOOTH["erf"], lambda delta: (1 + np.pi * delta / 2) ** -0.5, 60),
    # x/2 is the odd part of both; the even part has no overlap with readers, on symmetric nodes neither.
    (KINKED["relu"], lambda delta: 0.5, 4),
    (SMOOTH["softplus"], lambda delta: 0.5, 4),
])  # fmt: skip
def test_outputs_by_the_gaussian_gain(phi, gain, nodes):
    net, gram = low_rank(phi), gram_of(4, seed=1)
    trials = trials_of(net, batch=3, steps=40)
    P, w = gaussian_nodes(gram, RANK_ONE, nodes)
    expected = latents(trials, gram, gain)
    assert full_network(net, w).outputs(P, trials[0]) == pytest.approx(expected, rel=1e-11, abs=1e-13)


def test_means_and_bias_by_hand():
    # One step from rest without input: h = (dt/tau) b, b ~ N(mu, s^2) / (dt/tau). Then by Stein's lemma
    # y = E[z] E[phi(h)] + Cov(z, h) E[phi'(h)], both averages of erf being known.
    net = low_rank(SMOOTH["erf"], bias=True, ones=True)
    gram = gram_of(6, seed=2, ones=5)
    P, w = gaussian_nodes(gram, [0, 1, 4], 50, 2, ones=5)
    found = full_network(net, w).outputs(P, np.zeros((1, 1, 1)))
    mean, covariance = gram[5], gram - np.outer(gram[5], gram[5])
    mu, variance = 0.2 * mean[4], 0.04 * covariance[4, 4]
    width = 1 + np.pi * variance / 2
    average = SMOOTH["erf"].subs(X, mu / np.sqrt(width))
    slope = np.exp(-np.pi * mu**2 / (4 * width)) / np.sqrt(width)
    assert found[0, 0, 0] == pytest.approx(float(mean[3] * average + 0.2 * covariance[3, 4] * slope), rel=1e-12)


# Convergence


def test_nodes_converge_spectrally():
    net, gram = low_rank(SMOOTH["erf"]), gram_of(4, seed=1)
    trials = trials_of(net, steps=30)
    reference = flow_on_nodes(net, gram, RANK_ONE, 90, trials)
    counts = np.array([4, 8, 12, 16, 20])
    errors = np.array([deviation(flow_on_nodes(net, gram, RANK_ONE, n, trials), reference) for n in counts])
    factors = errors[1:] / errors[:-1]
    # Every four nodes divide the error by about the same factor, which no power of their number does.
    assert factors == pytest.approx(0.075, abs=0.015)
    assert deviation(flow_on_nodes(net, gram, RANK_ONE, 60, trials), reference) < 1e-12


def test_two_nodes_for_readers_do_for_the_first_step_only():
    net, gram = low_rank(SMOOTH["tanh"]), gram_of(4, seed=1)
    trials = trials_of(net, steps=20)
    for nodes_per_reader in (3, 5):
        found = flow_on_nodes(net, gram, RANK_ONE, 24, trials, nodes_per_reader=nodes_per_reader)
        assert deviation(found, flow_on_nodes(net, gram, RANK_ONE, 24, trials)) < 1e-12

    def learned(nodes_per_reader):
        P, w = gaussian_nodes(gram, RANK_ONE, 16, nodes_per_reader)
        *_, last = full_network(net, w).train(P, trials, 0.3, 15)
        return last.gram

    reference = learned(8)
    errors = [deviation(learned(n), reference) for n in (2, 4, 6)]
    assert errors[0] > 10 * errors[1] > 100 * errors[2]


@pytest.mark.parametrize("name", ["tanh", "erf", "softplus", "relu"])
def test_networks_converge_to_infinite_width_with_the_root_of_their_size(name):
    net = low_rank({**SMOOTH, **KINKED}[name])
    gram, trials = gram_of(4, seed=1), trials_of(net, steps=20)
    limit = flow_on_nodes(net, gram, RANK_ONE, 60, trials)
    full, sizes = full_network(net), 250 * 2 ** np.arange(7)
    errors = [
        np.sqrt(np.mean([(full.flow(realise_weights(gram, n, seed), trials) - limit) ** 2 for seed in range(12)]))
        for n in sizes
    ]
    exponent = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert -0.7 < exponent < -0.3
    assert errors[-1] < 0.02 * np.abs(limit).max()


def test_mean_over_networks_is_closer_than_each():
    net, gram = low_rank(SMOOTH["erf"]), gram_of(4, seed=1)
    trials = trials_of(net, steps=20)
    limit = flow_on_nodes(net, gram, RANK_ONE, 60, trials)
    flows = np.array([full_network(net).flow(realise_weights(gram, 1000, seed), trials) for seed in range(100)])
    each = np.sqrt(np.mean((flows - limit) ** 2))
    of_mean = np.sqrt(np.mean((flows.mean(axis=0) - limit) ** 2))
    # Independent errors of mean zero would average to a tenth; there is a bias too, of order 1/N.
    assert of_mean < 0.2 * each


def test_sobol_points_agree_with_the_product_rule():
    net, gram = low_rank(SMOOTH["tanh"], rank=2), gram_of(6, seed=1)
    trials = trials_of(net, steps=10)
    reference = flow_on_nodes(net, gram, [0, 1, 2], 24, trials)
    errors = []
    for nodes in (2**9, 2**15):
        P, w = sobol_nodes(gram, [0, 1, 2], nodes, seed=0)
        errors.append(deviation(full_network(net, w).flow(P, trials), reference))
    assert errors[1] < 3e-4
    # 64 times as many: independent samples would gain a factor of 8.
    assert errors[1] < errors[0] / 12


# Linear neurons know the Gram matrix alone


@pytest.mark.parametrize("ones", [None, 6])
def test_linear_networks_of_all_widths_learn_alike(ones):
    net = low_rank(X, rank=1, inputs=2, bias=True, ones=ones is not None)
    gram, trials = gram_of(columns_of(net), ones=ones), trials_of(net)
    P, w = gaussian_nodes(gram, [0, 1, 2, 5], 3, 2, ones)
    infinite = full_network(net, w).train(P, trials, 0.02, 100)
    finite = full_network(net).train(realise_weights(gram, 10, 0, ones), trials, 0.02, 100)
    for one, other in zip(infinite, finite, strict=True):
        assert np.abs(one.gram - other.gram).max() < 1e-11
        assert one.loss == pytest.approx(other.loss, rel=1e-10)


# What is refused


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ((np.eye(3)[:2], [0], 4), ArrayError, "gram: found shape \\(2, 3\\), or not symmetric"),
    ((np.triu(np.ones((3, 3))), [0], 4), ArrayError, "not symmetric; accepted"),
    ((np.diag([1.0, np.nan]), [0], 4), ArrayError, "gram: found nan"),
    ((np.diag([1.0, -0.1]), [0], 4), GramMatrixError, "has the eigenvalue -0.1; accepted: positive semidefinite"),
    ((np.eye(3), [3], 4), ArrayError, "carriers, ones: found \\[3\\], None; accepted: columns 0 to 2"),
    ((np.eye(3), [0], 4, 2, 5), ArrayError, "carriers, ones: found \\[0\\], 5; accepted: columns 0 to 2"),
    ((np.eye(3), [0], 1), ArrayError, "nodes_per_carrier: found 1; accepted: 2 to 100"),
    ((np.eye(3), [0], 4, 101), ArrayError, "nodes_per_reader: found 101; accepted: 2 to 100"),
    ((np.eye(5), [0, 1, 2, 3], 60), ArrayError, "nodes: found 2.59e\\+07, of 4 components of carriers and 1"),
    ((2 * np.eye(3), [0], 4, 2, 1), ArrayError, "gram: found 2 for the column of ones with itself; accepted: 1"),
    # A mean of 2 is more than a norm of 1 allows.
    ((np.array([[1.0, 2.0], [2.0, 1.0]]), [0], 4, 2, 1), GramMatrixError, "the covariance of rows has the eigenvalue"),
])  # fmt: skip
def test_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        gaussian_nodes(*arguments)


@pytest.mark.parametrize("nodes", [100, 4, 0])
def test_sobol_points_come_in_powers_of_two(nodes):
    with pytest.raises(ArrayError, match=f"nodes: found {nodes}; accepted: a power of two above the 4 columns"):
        sobol_nodes(np.eye(4), [0], nodes, 0)


def test_as_many_neurons_as_columns():
    with pytest.raises(ArrayError, match="neurons: found 3; accepted: at least the number of columns, 4"):
        realise_weights(np.eye(4), 3, 0)
