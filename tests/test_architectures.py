"""Architectures as equations: every specification and network of the tests, against neurons, digits and one another.

Each is a network of few equations. What is proved of all of them: learning in overlaps is learning of N neurons where
phi is linear; the flow is that of infinitely many neurons where it is not; the gradient; and, written by hand from the
equations, what the loss sees. Where two architectures are one network in two forms, their outputs are equal.
"""

from __future__ import annotations

import copy
import functools
import itertools
import tomllib
from pathlib import Path

import numpy as np
import pytest
import sympy

import symlow
from symlow.architectures import build_network
from symlow.codegen.emit import compile_module
from symlow.derivation import Derivation
from symlow.infinite_width import gaussian_nodes, realise_weights
from symlow.initial import gram_of_weights, least_neurons, overlaps_of_weights, population_parts, sample_weights
from symlow.nonlinearity import nonlinearity
from symlow.optimizers import rule_optimizer
from symlow.reference import ReferenceModel
from symlow.simulate import FullNetwork
from symlow.span import find_network
from symlow.tasks import build_loss
from tests.architectures import ARCHITECTURES, LINEAR
from tests.conftest import spec

DERIVATIONS = Path(__file__).parents[1] / "derivations"
FILES = {
    path.name: path
    for folder in ("architectures", "ger_barak_2025")
    for path in sorted((DERIVATIONS / folder).glob("*.toml"))
}
RATES = {
    **dict.fromkeys(("closed loop", "closed_loop_double_integrator.toml"), 5e-4),
    "discrete_time.toml": 2e-3,
    "discrete time": 0.05,
    "two_area_chain.toml": 5.0,
    "two areas": 5.0,
}
"""Learning rates, but 1 for most: as large as the loss that they sum over time and area allows."""
SUMS = (*LINEAR, "closed_loop_double_integrator.toml")
"""Those in sums over neurons without 1/N, which are linear."""
EVERY = [*FILES, *ARCHITECTURES]
NONLINEAR = [name for name in EVERY if name not in SUMS]


READOUTS = ["before_update", "after_update"]


def in_turn(cases, others):
    """Each case with one of the others, which take turns: all of both, without all pairs."""
    return [(*(case if isinstance(case, tuple) else (case,)), others[k % len(others)]) for k, case in enumerate(cases)]


@functools.cache
def table(path):
    return tomllib.loads(path.read_text())


@functools.cache
def system(name, phi="linear", readout="after_update", rank=2):
    """The derivation of a network for tasks of trials, and its module."""
    if name in FILES:
        changed = copy.deepcopy(table(FILES[name]))
        changed["network"] |= {"nonlinearity": phi, "readout": readout}
        changed |= {"task": {"kind": "trials"}, "learning": {}}
        given = symlow.Spec.model_validate(changed)
        network = build_network(given)
    else:
        equations = ARCHITECTURES[name](rank)
        inputs, outputs = (int(symbol.shape[0]) for symbol in (equations.inputs, equations.output))
        given = spec({"kind": "trials"}, inputs=inputs, outputs=outputs)
        network = find_network(equations, nonlinearity(phi), sympy.Rational(1, 10), sympy.S.One, readout)
    derivation = Derivation(given, network, build_loss(given))
    return derivation, compile_module(derivation)


def neurons_of(derivation, fewest=24):
    least = least_neurons(derivation.network.equations)
    return least * -(-fewest // least)


def trials_of(derivation, seed, batch=2, steps=8):
    """Random inputs, and what a slow filter makes of them as targets; a closed loop is to bring impulses to rest."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, steps, derivation.loss.inputs))
    if any(state.population is None for state in derivation.network.equations.states):
        x[:, 1:] = 0
        return x, np.zeros((batch, steps, derivation.loss.outputs)), None
    filtered = 0.3 * np.cumsum(x[:, :, :1], axis=1) + 0.1
    return x, np.repeat(filtered, derivation.loss.outputs, axis=2), rng.random((batch, steps, derivation.loss.outputs))


def network_of(derivation, *nodes):
    return FullNetwork(derivation.network, derivation.loss.reduction, float(derivation.loss.factor), *nodes)


# Learning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "readout"), in_turn(EVERY, READOUTS))
def test_two_hundred_steps_of_linear_neurons(name, readout):
    derivation, module = system(name, readout=readout)
    lr = RATES.get(name, 1.0)
    P = sample_weights(derivation, neurons_of(derivation), 0.6, seed=1)
    sigma = overlaps_of_weights(derivation, P)
    fixed = trials_of(derivation, 1000, batch=20)
    start, in_overlaps, in_loss = module.loss(sigma, fixed), 0.0, 0.0
    batches = functools.partial(trials_of, derivation)
    for k, moment in enumerate(network_of(derivation).train(P, batches, lr, 200)):
        in_overlaps = max(in_overlaps, np.abs(module.gram(sigma) - moment.gram).max())
        in_loss = max(in_loss, abs(module.loss(sigma, batches(k)) - moment.loss))
        sigma = module.step(sigma, lr, batches(k))
    assert in_overlaps < 1e-11
    assert in_loss < 1e-11
    assert module.loss(sigma, fixed) < (1 - 1e-4) * start


# Gradients --------------------------------------------------------------------------------------------------------


def assert_gradient(derivation, module):
    sigma = overlaps_of_weights(derivation, sample_weights(derivation, neurons_of(derivation, 60), 0.8, seed=2))
    trials = trials_of(derivation, 3)
    shifted = sigma + 1e-30j * np.eye(len(sigma))[: module.N_VISIBLE]
    exact = np.imag(module.loss(shifted, trials)) / 1e-30
    assert np.abs(module.loss_gradient(sigma, trials) - exact).max() <= 1e-12 * np.abs(exact).max()
    x, y, _ = trials_of(derivation, 4, batch=1, steps=3)
    positions = list(range(0, module.N_VISIBLE, -(-module.N_VISIBLE // 5)))
    digits = ReferenceModel(derivation).gradient(sigma, (x, y, None), positions)
    found = module.loss_gradient(sigma, (x, y, None))
    assert np.abs(found[positions] - digits).max() <= 1e-12 * np.abs(found).max()


@pytest.mark.parametrize(("name", "readout"), in_turn(EVERY, READOUTS))
def test_gradient_of_linear_neurons(name, readout):
    assert_gradient(*system(name, "linear", readout))


@pytest.mark.parametrize(("name", "readout"), in_turn(NONLINEAR, READOUTS[::-1]))
def test_gradient_of_nonlinear_neurons(name, readout):
    assert_gradient(*system(name, "erf", readout))


@pytest.mark.parametrize("name", ["rate_form.toml", "two areas"])
def test_gradient_where_the_gain_is_a_series(name):
    assert_gradient(*system(name, "tanh", rank=1))


# Infinite width ---------------------------------------------------------------------------------------------------


def assert_flow(found, exact, bound):
    assert np.abs(exact).max() > 0
    assert np.abs(found - exact).max() <= bound * np.abs(exact).max()


def wide(derivation, gram, along):
    """Nodes of a quadrature for each population, and the network on them."""
    index, blocks, masses, least = derivation.reduction.index, [], [], least_neurons(derivation.network.equations)
    for population, _, columns in population_parts(derivation, least):
        names, weight = [index.columns[k].vector for k in columns], float(population.weight)
        carriers = [k for k, name in enumerate(names) if name in derivation.network.carriers]
        ones = None if population.ones is None else names.index(population.ones)
        nodes, mass = gaussian_nodes(gram[np.ix_(columns, columns)] / weight, carriers, along, 2, ones)
        block = np.zeros((len(nodes), len(gram)))
        block[:, columns] = nodes
        blocks.append(block)
        masses.append(weight * mass)
    return np.concatenate(blocks), network_of(derivation, np.concatenate(masses), [len(block) for block in blocks])


@pytest.mark.parametrize(
    ("name", "along", "readout"),
    in_turn([
        ("rate_form.toml", 36),
        ("discrete_time.toml", 28),
        ("two_area_chain.toml", 36),
        ("two_populations.toml", 32),
        ("adaptation.toml", 36),
        ("rate form", 36),
        ("rate form from an initial state", 36),
        ("initial state", 20),
        ("output feedback", 20),
        ("tied vectors", 36),
        ("two populations", 32),
        ("hadamard gate", 36),
        ("sigmoid gate", 36),
        ("adaptation", 36),
        ("two areas", 36),
    ], READOUTS),
)  # fmt: skip
def test_flow_of_infinitely_many_neurons(name, along, readout):
    derivation, module = system(name, "erf", readout, rank=1)
    gram = gram_of_weights(derivation, sample_weights(derivation, neurons_of(derivation, 60), 0.6, seed=5))
    sigma = gram[module._ROWS, module._COLUMNS]
    trials = trials_of(derivation, 6, batch=1, steps=4)
    nodes, network = wide(derivation, gram, along)
    x = trials[0]
    assert np.abs(module.outputs(sigma, x) - network.outputs(nodes, x)).max() < 1e-9
    assert_flow(module.gram(module.rhs(0.0, sigma, trials)), network.flow(nodes, trials), 1e-8)


@pytest.mark.parametrize(
    "name", ["rate_form.toml", "gated_drive.toml", "two_populations.toml", "initial_state.toml", "two areas"]
)
def test_error_of_few_neurons_falls_as_the_root_of_their_number(name):
    derivation, module = system(name, "erf", rank=1)
    gram = gram_of_weights(derivation, sample_weights(derivation, neurons_of(derivation, 60), 0.8, seed=7))
    trials = trials_of(derivation, 8, batch=2, steps=5)
    exact = module.gram(module.rhs(0.0, gram[module._ROWS, module._COLUMNS], trials))
    numbers, seeds = [500, 1000, 2000, 4000, 8000], range(12)
    network, squares = network_of(derivation), np.zeros((len(numbers), len(seeds)))
    for (k, n), seed in itertools.product(enumerate(numbers), seeds):
        P = np.zeros((n, len(gram)))
        for place, (population, rows, columns) in enumerate(population_parts(derivation, n)):
            names = [derivation.reduction.index.columns[column].vector for column in columns]
            ones = None if population.ones is None else names.index(population.ones)
            part = gram[np.ix_(columns, columns)] / float(population.weight)
            P[rows, columns] = realise_weights(part, rows.stop - rows.start, 100 * seed + place, ones)
        assert_flow(gram_of_weights(derivation, P), gram, 1e-12)
        squares[k, seed] = np.mean((network.flow(P, trials) - exact) ** 2)
    sizes = np.log(numbers) - np.mean(np.log(numbers))
    exponent = sizes @ np.log(squares.mean(axis=1)) / 2 / (sizes @ sizes)
    scatter = np.log(squares).std(axis=1, ddof=1) / 2 / np.sqrt(len(seeds))
    error = np.sqrt(np.sum((sizes * scatter) ** 2)) / (sizes @ sizes)
    assert error < 0.1
    assert abs(exponent + 0.5) < 3 * error


# What the loss sees, by hand --------------------------------------------------------------------------------------

# For each population: vectors that read; the carriers of what is read; those of what phi acts on; and the vector of
# ones. A linear network shows overlaps of readers with carriers, and no more; in a nonlinear one the variance of what
# phi acts on has all overlaps of its carriers, and means come in with the vector of ones.
CONVENTIONAL = [("v z", "m u", "m u", "")]
SEEN = {
    "adaptation.toml": CONVENTIONAL,
    "biases.toml": [("v z", "m u b", "m u b", "one")],
    "discrete_time.toml": CONVENTIONAL,
    "gated_drive.toml": [("v g k z", "m u", "m u", "")],
    "initial_state.toml": [("v z", "m s u", "m s u", "")],
    "output_feedback.toml": [("v z", "m u f", "m u f", "")],
    "rate_form.toml": CONVENTIONAL,
    "symmetric_connectivity.toml": [("u z", "m u", "m u", "")],
    "two_area_chain.toml": [("v g", "m u", "m u", ""), ("q z", "f p", "f p", "")],
    "two_populations.toml": [("vE zE", "mE uE", "mE uE", "oneE"), ("vI", "mI uI", "mI uI", "oneI")],
    "closed_loop_double_integrator.toml": CONVENTIONAL,
    "conventional": CONVENTIONAL,
    "bias": [("v z", "m u b", "m u b", "")],
    "bias and means": [("v z", "m u b", "m u b", "one")],
    "rate form": CONVENTIONAL,
    # The rates start at b, which V and Z read; phi acts on U V^T r / N + M x, and never on b.
    "rate form from an initial state": [("v z", "m u b", "m u", "")],
    "discrete time": CONVENTIONAL,
    "initial state": [("v z", "m u b", "m u b", "")],
    "output feedback": [("v z", "m u f", "m u f", "")],
    "tied vectors": [("u z", "m u", "m u", "")],
    "mixing": CONVENTIONAL,
    "two populations": [("ve ze", "me ue", "me ue", "onee"), ("vi", "mi ui", "mi ui", "onei")],
    "hadamard gate": [("v g z", "m u", "m u", "")],
    "sigmoid gate": [("v g z", "m u", "m u", "")],
    "adaptation": CONVENTIONAL,
    "closed loop": CONVENTIONAL,
    "two areas": [("va ga", "ma ua", "ma ua", ""), ("vb zb", "fb ub", "fb ub", "")],
}


def seen(name, phi, index):
    pairs = []
    for readers, carriers, acted, ones in SEEN[name]:
        pairs += itertools.product(readers.split(), carriers.split())
        if phi != "linear":
            pairs += itertools.product(acted.split(), repeat=2)
            if ones:
                pairs += itertools.product((readers + " " + acted).split(), [ones])
    spans = ((index.slice(a), index.slice(b)) for a, b in pairs)
    return {
        index.at(i, j).name
        for rows, columns in spans
        for i, j in itertools.product(range(rows.start, rows.stop), range(columns.start, columns.stop))
    }


@pytest.mark.parametrize(
    ("name", "phi"), [*((name, "linear") for name in EVERY), *((name, "erf") for name in NONLINEAR)]
)
def test_the_loss_sees_what_the_mathematics_says(name, phi):
    reduction = system(name, phi)[0].reduction
    wanted = seen(name, phi, reduction.index)
    assert {overlap.name for overlap in reduction.visible} == wanted
    assert {overlap.name for overlap in reduction.invisible} == {o.name for o in reduction.index.all} - wanted


@pytest.mark.parametrize("name", ["two_area_chain.toml", "two_populations.toml", "two populations", "two areas"])
def test_vectors_of_different_populations_have_no_overlap(name):
    derivation = system(name, "erf")[0]
    owner = {vector.name: vector.population for vector in derivation.network.vectors}
    index = derivation.reduction.index
    for overlap in index.all:
        left, right = (index.columns[k].vector for k in (overlap.row, overlap.column))
        assert owner[left] == owner[right]
    sizes = [sum(v.columns for v in derivation.network.vectors if v.population == p) for p in set(owner.values())]
    assert len(index.all) == sum(p * (p + 1) // 2 for p in sizes)


# One network in two forms -----------------------------------------------------------------------------------------

PLAIN = ("h' = -h + U*V.T*phi(h)/N + M*x", "y = Z.T*phi(h)/N")
MUVZ = {"m": 1, "u": 1, "v": 1, "z": 1}


@functools.cache
def written(lines, vectors, phi="erf", readout="after_update", dt=0.1, populations=(), states=(), inputs=1):
    """The module of equations; vectors are pairs of a name and a number of columns or a table's items."""
    network = {
        "dynamics": list(lines),
        "vectors": {name: dict(value) if isinstance(value, tuple) else value for name, value in vectors},
        "inputs": inputs,
        "nonlinearity": phi,
        "readout": readout,
        "dt": dt,
        **({"populations": dict(populations), "states": dict(states)} if populations else {}),
    }
    given = symlow.Spec.model_validate({"name": "one", "network": network, "task": {"kind": "trials"}})
    return symlow.derive(given).compile()


def module_of(lines, vectors=MUVZ, **settings):
    return written(tuple(lines), tuple(vectors.items()), **settings)


def random_gram(columns, seed=0):
    P = np.random.default_rng(seed).standard_normal((40, columns))
    return 0.6 * P.T @ P / 40


def outputs_and_loss(module, gram, trials):
    """Overlaps are taken from a Gram matrix by the labels of its columns."""
    sigma = np.array([gram[tuple(name.split("_"))] for name in module.OVERLAPS])
    return module.outputs(sigma, trials[0]), module.loss(sigma, trials)


def by_label(names, matrix, **same):
    """A Gram matrix by pairs of labels; a label that is the same as another has its row and column."""
    place = {name: k for k, name in enumerate(names)} | {name: names.index(other) for name, other in same.items()}
    return {(a, b): matrix[place[a], place[b]] for a, b in itertools.product(place, repeat=2)}


def some_trials(inputs=1, seed=3):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((2, 9, inputs)), rng.standard_normal((2, 9, 1)), rng.random((2, 9, 1))


def assert_same(first, second, gram, trials=None):
    trials = trials or some_trials()
    (one, one_loss), (other, other_loss) = (outputs_and_loss(module, gram, trials) for module in (first, second))
    assert np.abs(one).max() > 1e-3
    assert np.abs(one - other).max() < 1e-13
    assert abs(one_loss - other_loss) < 1e-13


@pytest.mark.parametrize("phi", ["linear", "erf", "tanh"])
@pytest.mark.parametrize("readout", READOUTS)
def test_two_halves_that_are_alike_are_one_population(phi, readout):
    halves = {f"{name}{half}": (("population", half),) for half in "AB" for name in MUVZ}
    lines = [f"h{p}' = -h{p} + U{p}*a + M{p}*x" for p in "AB"]
    lines += ["a = VA.T*phi(hA)/N + VB.T*phi(hB)/N", "y = ZA.T*phi(hA)/N + ZB.T*phi(hB)/N"]
    both = module_of(
        lines, halves, phi=phi, readout=readout, populations=(("A", 0.5), ("B", 0.5)), states=(("hA", "A"), ("hB", "B"))
    )
    whole = module_of(PLAIN, phi=phi, readout=readout)
    gram = by_label(list(MUVZ), random_gram(4))
    half = {(a + p, b + p): value / 2 for (a, b), value in gram.items() for p in "AB"}
    x = some_trials()[0]
    one, two = (
        module.outputs(np.array([overlaps[tuple(name.split("_"))] for name in module.OVERLAPS]), x)
        for module, overlaps in ((whole, gram), (both, half))
    )
    assert np.abs(one - two).max() < 1e-13


def test_an_area_that_nothing_reaches_is_silent():
    derivation, module = system("two_area_chain.toml", "erf")
    gram = gram_of_weights(derivation, sample_weights(derivation, 40, 1.0, seed=1))
    columns = derivation.reduction.index.slice("f")
    gram[columns, :], gram[:, columns] = 0, 0
    assert np.array_equal(module.outputs(gram[module._ROWS, module._COLUMNS], some_trials()[0]), np.zeros((2, 9, 1)))


@pytest.mark.parametrize("phi", ["linear", "erf"])
def test_adaptation_without_a_coefficient_is_none(phi):
    adapting = module_of(("h' = -h + U*V.T*phi(h)/N + M*x - 0*c", "5*c' = -c + h", PLAIN[1]), phi=phi)
    assert_same(adapting, module_of(PLAIN, phi=phi), by_label(list(MUVZ), random_gram(4)))


@pytest.mark.parametrize("phi", ["linear", "erf"])
def test_discrete_time_is_a_step_of_the_time_constant(phi):
    discrete = module_of(("h[t+1] = U*V.T*phi(h)/N + M*x", PLAIN[1]), phi=phi, dt=1.0)
    assert_same(discrete, module_of(PLAIN, phi=phi, dt=1.0), by_label(list(MUVZ), random_gram(4)))


@pytest.mark.parametrize("phi", ["linear", "erf"])
def test_output_feedback_is_one_more_rank_whose_reader_is_the_readout(phi):
    fed_back = module_of(("h' = -h + U*V.T*phi(h)/N + F*y + M*x", PLAIN[1]), {**MUVZ, "f": 1}, phi=phi)
    rank_two = module_of(PLAIN, {**MUVZ, "u": 2, "v": 2}, phi=phi)
    assert_same(fed_back, rank_two, by_label([*MUVZ, "f"], random_gram(5), u1="u", u2="f", v1="v", v2="z"))


@pytest.mark.parametrize("readout", READOUTS)
def test_rates_of_linear_neurons_are_their_currents(readout):
    rates = ("r' = -r + phi(U*V.T*r/N + M*x)", "y = Z.T*r/N")
    first, second = (module_of(lines, phi="linear", readout=readout) for lines in (rates, PLAIN))
    assert first.OVERLAPS == second.OVERLAPS
    assert_same(first, second, by_label(list(MUVZ), random_gram(4)))


@pytest.mark.parametrize("phi", ["linear", "erf", "softplus"])
def test_tied_vectors_are_two_that_are_equal(phi):
    tied = module_of(("h' = -h + U*U.T*phi(h)/N + M*x", PLAIN[1]), {"m": 1, "u": 2, "z": 1}, phi=phi)
    free = module_of(PLAIN, {"m": 1, "u": 2, "v": 2, "z": 1}, phi=phi)
    assert_same(tied, free, by_label(["m", "u1", "u2", "z"], random_gram(4), v1="u1", v2="u2"))


@pytest.mark.parametrize("phi", ["linear", "erf"])
def test_a_bias_is_a_constant_input(phi):
    biased = module_of(("h' = -h + U*V.T*phi(h)/N + M*x + B", PLAIN[1]), {**MUVZ, "b": 1}, phi=phi)
    two = module_of(
        ("h' = -h + U*V.T*phi(h)/N + M*[[1, 0]]*x + B*[[0, 1]]*x", PLAIN[1]), {**MUVZ, "b": 1}, phi=phi, inputs=2
    )
    gram, x = by_label([*MUVZ, "b"], random_gram(5)), some_trials()[0]
    one, other = (
        module.outputs(np.array([gram[tuple(name.split("_"))] for name in module.OVERLAPS]), given)
        for module, given in ((biased, x), (two, np.concatenate([x, np.ones_like(x)], axis=2)))
    )
    assert np.abs(one - other).max() < 1e-13


@pytest.mark.parametrize("phi", ["linear", "erf"])
def test_an_initial_state_is_an_impulse_before(phi):
    starting = module_of(("h[t+1] = U*V.T*phi(h)/N + M*x", "h[0] = S", PLAIN[1]), {**MUVZ, "s": 1}, phi=phi)
    lines = ("h[t+1] = U*V.T*phi(h)/N + M*[[1, 0]]*x + S*[[0, 1]]*x", PLAIN[1])
    kicked = module_of(lines, {**MUVZ, "s": 1}, phi=phi, inputs=2)
    gram, x = by_label([*MUVZ, "s"], random_gram(5)), some_trials()[0]
    earlier = np.zeros((2, 10, 2))
    earlier[:, 0, 1], earlier[:, 1:, 0] = 1, x[:, :, 0]
    one, other = (
        module.outputs(np.array([gram[tuple(name.split("_"))] for name in module.OVERLAPS]), given)
        for module, given in ((starting, x), (kicked, earlier))
    )
    assert np.abs(one - other[:, 1:]).max() < 1e-13


@pytest.mark.parametrize("phi", ["linear", "erf"])
def test_a_gate_that_reads_nothing_is_half_open(phi):
    gated = module_of(
        ("h' = -h + (U*V.T*phi(h)/N + M*x)*s", "s = sigmoid(G.T*phi(h)/N)", PLAIN[1]), {**MUVZ, "g": 1}, phi=phi
    )
    half = module_of(("h' = -h + U*V.T*phi(h)/(2*N) + M*x/2", PLAIN[1]), {**MUVZ, "g": 1}, phi=phi)
    matrix = random_gram(5)
    matrix[4, :4] = matrix[:4, 4] = 0
    assert_same(gated, half, by_label([*MUVZ, "g"], matrix))


@pytest.mark.parametrize("phi", ["linear", "erf"])
def test_names_and_their_order_do_not_matter(phi):
    renamed = ("gain = Q.T*phi(s)/N", "s' = W*x + MU*gain - s", "y = OUT.T*phi(s)/N")
    first = module_of(renamed, {"out": 1, "q": 1, "w": 1, "mu": 1}, phi=phi)
    gram = by_label(list(MUVZ), random_gram(4), out="z", q="v", w="m", mu="u")
    assert_same(first, module_of(PLAIN, phi=phi), gram)


# The closed loop --------------------------------------------------------------------------------------------------

LOOP = FILES["closed_loop_double_integrator.toml"]
ZM, ZU, VM, VU, MU, ZV, MM, UU, VV, ZZ = sympy.symbols(
    "sigma_z_m sigma_z_u sigma_v_m sigma_v_u sigma_m_u sigma_z_v sigma_m_m sigma_u_u sigma_v_v sigma_z_z"
)
G_ZM, G_ZU, G_VM, G_VU = sympy.symbols("g_z_m g_z_u g_v_m g_v_u")
NINE = {
    # z' = -(m g_zm + u g_zu), v' = -(m g_vm + u g_vu), u' = -(z g_zu + v g_vu), m' = 0 (math.md, sections 2 and 6)
    "z_m": -(MM * G_ZM + MU * G_ZU),
    "z_u": -(MU * G_ZM + UU * G_ZU) - (ZZ * G_ZU + ZV * G_VU),
    "v_m": -(MM * G_VM + MU * G_VU),
    "v_u": -(MU * G_VM + UU * G_VU) - (ZV * G_ZU + VV * G_VU),
    "m_u": -(ZM * G_ZU + VM * G_VU),
    "z_v": -(VM * G_ZM + VU * G_ZU) - (ZM * G_VM + ZU * G_VU),
    "u_u": -2 * (ZU * G_ZU + VU * G_VU),
    "v_v": -2 * (VM * G_VM + VU * G_VU),
    "z_z": -2 * (ZM * G_ZM + ZU * G_ZU),
    "m_m": sympy.Integer(0),
}


@functools.cache
def closed_loop(clip=None, **changes):
    changed = copy.deepcopy(table(LOOP)) | {"learning": {"frozen": ["m"], **({"clip": clip} if clip else {})}}
    changed |= {"task": {"kind": "trials"}} if changes.get("trials") else {}
    derivation = symlow.derive(symlow.Spec.model_validate(changed))
    return derivation, derivation.compile()


def test_nine_overlaps_of_the_closed_loop_move():
    derivation, _ = closed_loop()
    assert set(derivation.overlaps) == set(NINE)
    for name, rate in NINE.items():
        assert sympy.expand(derivation.flow[name] - rate) == 0


def test_the_closed_loop_steps_state_and_environment_together():
    derivation, _ = closed_loop()
    space = derivation.reduction.state_space
    sizes = {"e": 2, "m": 1, "u": 1}
    blocks = [[derivation.reduction.explicit(space.A[a, b]) if (a, b) in space.A else sympy.zeros(sizes[a], sizes[b])
               for b in sizes] for a in sizes]  # fmt: skip
    joint = sympy.Matrix(sympy.BlockMatrix(blocks).as_explicit())
    assert joint == sympy.Matrix([[1, 1, 0, 0], [0, 1, ZM, ZU], [1, 1, 0, 0], [0, 0, VM, VU]])
    assert [derivation.reduction.explicit(space.B[key]) for key in space.B] == [sympy.eye(2)]
    assert derivation.reduction.explicit(space.C["e"]) == sympy.eye(2)


def steadying(rng, neurons=100):
    """Weights near a network that steadies the integrator, so that 300 steps stay finite."""
    P = rng.standard_normal((neurons, 4)) / np.sqrt(neurons)
    return 0.5 * P


def test_clipped_descent_of_a_hundred_neurons_in_a_closed_loop():
    derivation, module = closed_loop(clip=1.0, trials=True)
    P, lr = steadying(np.random.default_rng(0)), 0.01
    sigma = overlaps_of_weights(derivation, P)

    def batches(k):
        x = np.zeros((8, 20, 2))
        x[:, 0] = np.random.default_rng(k).standard_normal((8, 2))
        return x, np.zeros((8, 20, 2)), None

    run = network_of(derivation).train(P, batches, lr, 300, optimizer=rule_optimizer(derivation.rule))
    clipped, losses = 0, []
    for k, moment in enumerate(run):
        assert np.abs(module.gram(sigma) - moment.gram).max() < 1e-12
        assert abs(module.loss(sigma, batches(k)) / moment.loss - 1) < 1e-10
        clipped += module.clip_factor(sigma, batches(k)) < 1
        losses.append(moment.loss)
        sigma = module.step(sigma, lr, batches(k))
    assert clipped > 100
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])


def test_loss_of_impulses_is_the_mean_over_initial_states():
    filters, by_filters = closed_loop()
    derivation, by_trials = closed_loop(trials=True)
    sigma = overlaps_of_weights(derivation, steadying(np.random.default_rng(1)))
    units = np.zeros((2, 20, 2))
    units[:, 0] = np.eye(2)
    rest = np.zeros((2, 20, 2))
    # Covariance 1: the mean over initial states is the sum over those along the axes, of which trials give the mean.
    exact = by_filters.loss(sigma[[derivation.overlaps.index(name) for name in filters.overlaps]])
    assert exact == pytest.approx(2 * by_trials.loss(sigma, (units, rest, None)), rel=1e-12)
    states = np.zeros((4000, 20, 2))
    states[:, 0] = np.random.default_rng(2).standard_normal((4000, 2))
    each = np.array([by_trials.loss(sigma, (one[None], rest[:1], None)) for one in states])
    assert abs(each.mean() - exact) < 3 * each.std(ddof=1) / np.sqrt(len(each))
