"""The simulator on equations: each architecture against a loop over its equations in NumPy, and against differences."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
from numpy import tanh
from sympy import HadamardProduct, ImmutableDenseMatrix, MatrixSymbol
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction

from symlow.equations import Equations, N, Population, State, phi
from symlow.errors import ArrayError, LearningError
from symlow.neurons import compile_step
from symlow.passes import Applied, Reading, Sum
from symlow.simulate import FullNetwork
from tests.architectures import ARCHITECTURES, LINEAR
from tests.nonlinear import SMOOTH, X, columns_of, network, trials_of, vector_blocks

DT = 0.2
x, y, a = (MatrixSymbol(name, n, 1) for name, n in (("x", 2), ("y", 1), ("a", 2)))
h, w = MatrixSymbol("h", N, 1), MatrixSymbol("w", N, 1)
M, U, V = (MatrixSymbol(name, N, 2) for name in ("m", "u", "v"))
Z, B, H = (MatrixSymbol(name, N, 1) for name in ("z", "b", "ho"))
MUVZ = {"m": 2, "u": 2, "v": 2, "z": 1}
DRIVE = -h + U * a + M * x
FED_BACK = (a, V.T * phi(h) / N)


def sigmoid(column):
    return ElementwiseApplyFunction(sympy.Lambda(X, 1 / (1 + sympy.exp(-X))), column)


def of(states, readout, vectors=MUVZ, definitions=(), when="after_update", function=SMOOTH["tanh"], **more):
    """A network of these equations; the vectors are given by their numbers of columns."""
    blocks = vector_blocks(vectors) if isinstance(vectors, dict) else vectors
    return network(Equations(blocks, x, tuple(states), y, readout, tuple(definitions), **more), function, when)


CASES = {}


def case(net, **settings):
    """Pair a network with a loop: a function of P, the inputs of one trial, and what gives the outputs."""

    def add(loop):
        CASES[loop.__name__] = (net, loop, settings)
        return loop

    return add


@case(of([State(h, DRIVE)], Z.T * phi(h) / N, definitions=[FED_BACK]))
def conventional(P, x, h=0):
    h = np.zeros(len(P["m"]))
    for xt in x:
        h = h + DT * (-h + P["u"] @ (P["v"].T @ tanh(h)) / len(h) + P["m"] @ xt)
        yield P["z"].T @ tanh(h) / len(h)


@case(of([State(h, -h + phi(U * V.T * h / N + M * x))], Z.T * h / N, when="before_update"))
def rate_form(P, x):
    r = np.zeros(len(P["m"]))
    for xt in x:
        yield P["z"].T @ r / len(r)
        r = r + DT * (-r + tanh(P["u"] @ P["v"].T @ r / len(r) + P["m"] @ xt))


@case(of([State(h, (U * V.T) * (phi(h) + M * x) / N, tau=None)], Z.T * phi(h) / N))
def discrete_time(P, x):
    h = np.zeros(len(P["m"]))
    for xt in x:
        h = P["u"] @ P["v"].T @ (tanh(h) + P["m"] @ xt) / len(h)
        yield P["z"].T @ tanh(h) / len(h)


@case(of([State(h, DRIVE + B)], Z.T * phi(h + B) / N, {**MUVZ, "b": 1}, [FED_BACK]))
def bias(P, x):
    h, b = np.zeros(len(P["m"])), P["b"][:, 0]
    for xt in x:
        h = h + DT * (-h + P["u"] @ (P["v"].T @ tanh(h)) / len(h) + P["m"] @ xt + b)
        yield P["z"].T @ tanh(h + b) / len(h)


@case(
    of(
        [State(h, DRIVE, initial=2 * H + U * ImmutableDenseMatrix([1, -3]))],
        Z.T * phi(h) / N,
        {**MUVZ, "ho": 1},
        [FED_BACK],
        "before_update",
    )
)
def initial_state(P, x):
    h = 2 * P["ho"][:, 0] + P["u"][:, 0] - 3 * P["u"][:, 1]
    for xt in x:
        yield P["z"].T @ tanh(h) / len(h)
        h = h + DT * (-h + P["u"] @ (P["v"].T @ tanh(h)) / len(h) + P["m"] @ xt)


@case(of([State(h, -h + B * y + M * x)], Z.T * phi(h) / N + ImmutableDenseMatrix([[3]]), {"m": 2, "b": 1, "z": 1}))
def output_feedback(P, x):
    h = np.zeros(len(P["m"]))
    for xt in x:
        h = h + DT * (-h + P["b"] @ (P["z"].T @ tanh(h) / len(h) + 3) + P["m"] @ xt)
        yield P["z"].T @ tanh(h) / len(h) + 3


# A tied vector carries and reads; it is used three times, once of them behind a matrix of numbers.
TURN = ImmutableDenseMatrix([[0, 2], [-1, 1]])


@case(
    of(
        [State(h, -h + U * TURN * a + M * x)],
        Z.T * phi(h) / N + x.T * a,
        {"m": 2, "u": 2, "z": 1},
        [(a, U.T * phi(h) / N)],
        "before_update",
    )
)
def tied_vectors(P, x):
    h, turn = np.zeros(len(P["m"])), np.array([[0, 2], [-1, 1]])
    for xt in x:
        a = P["u"].T @ tanh(h) / len(h)
        yield P["z"].T @ tanh(h) / len(h) + xt @ a
        h = h + DT * (-h + P["u"] @ turn @ a + P["m"] @ xt)


# The gate, of a definition used twice; a function of the nonlinearity; a power.
GATE = MatrixSymbol("gate", 2, 1)


@case(
    of(
        [State(h, -h + U * HadamardProduct(GATE, a) + M * x)],
        Z.T * phi(h) / N + x.T * GATE + (Z.T * h / N) ** 2,
        definitions=[FED_BACK, (GATE, sigmoid(3 * a + 2 * x - ImmutableDenseMatrix([1, 2])))],
        when="before_update",
    )
)
def gated_drive(P, x):
    h = np.zeros(len(P["m"]))
    for xt in x:
        a = P["v"].T @ tanh(h) / len(h)
        gate = 1 / (1 + np.exp(-(3 * a + 2 * xt - np.array([1, 2]))))
        yield P["z"].T @ tanh(h) / len(h) + xt @ gate + (P["z"].T @ h / len(h)) ** 2
        h = h + DT * (-h + P["u"] @ (gate * a) + P["m"] @ xt)


@case(of([State(h, DRIVE - w), State(w, (-w + h) / 2, sympy.Integer(3))], Z.T * phi(h) / N, definitions=[FED_BACK]))
def adaptation(P, x):
    h = w = np.zeros(len(P["m"]))
    for xt in x:
        drive = P["u"] @ (P["v"].T @ tanh(h)) / len(h) + P["m"] @ xt
        h, w = h + DT * (-h + drive - w), w + DT / 3 * (-w + h) / 2
        yield P["z"].T @ tanh(h) / len(h)


# A double integrator driven by the output, with sums instead of averages; its first entry is the network's input.
E = MatrixSymbol("env", 2, 1)
STEP, PUSH, SEEN = ImmutableDenseMatrix([[1, 1], [0, 1]]), ImmutableDenseMatrix([0, 1]), ImmutableDenseMatrix([[1, 0]])


@case(
    of(
        [
            State(
                E,
                STEP * E + PUSH * y + x,
                tau=None,
                initial=ImmutableDenseMatrix([1, sympy.Rational(1, 2)]),
                population=None,
            ),
            State(h, U * V.T * phi(h) + Z * SEEN * E, tau=None),
        ],
        B.T * phi(h),
        {"u": 2, "v": 2, "z": 1, "b": 1},
    )
)
def closed_loop(P, x):
    e, h = np.array([1, 0.5]), np.zeros(len(P["u"]))
    for xt in x:
        e, h = (
            np.array([e[0] + e[1], e[1] + (P["b"].T @ tanh(h)).item()]) + xt,
            P["u"] @ P["v"].T @ tanh(h) + P["z"][:, 0] * e[0],
        )
        yield P["b"].T @ tanh(h)


# Products of states close in no overlaps, but neurons have them.
@case(
    of(
        [State(h, DRIVE - HadamardProduct(h, phi(w), w)), State(w, -w + h * (Z.T * h / N) - h * x.T * x)],
        Z.T * HadamardProduct(h, w) / N + h.T * phi(w) / N,
        definitions=[FED_BACK],
    )
)
def products_of_states(P, x):
    h = w = np.zeros(len(P["m"]))
    for xt in x:
        drive = P["u"] @ (P["v"].T @ tanh(h)) / len(h) + P["m"] @ xt
        h, w = h + DT * (-h + drive - h * tanh(w) * w), w + DT * (-w + h * (P["z"][:, 0] @ h) / len(h) - h * (xt @ xt))
        yield P["z"].T @ (h * w) / len(h) + h @ tanh(w) / len(h)


# Two populations of 2 N / 3 and N / 3 neurons, whose vectors are not side by side.
E_, I_ = Population("E", sympy.Rational(2, 3)), Population("I", sympy.Rational(1, 3))
H_E, H_I = MatrixSymbol("hE", E_.size, 1), MatrixSymbol("hI", I_.size, 1)
OWNERS = {"ue": "E", "vi": "I", "ve": "E", "ui": "I", "ze": "E", "zi": "I"}
UE, VE, ZE = (MatrixSymbol(name, E_.size, n) for name, n in (("ue", 2), ("ve", 2), ("ze", 1)))
UI, VI, ZI = (MatrixSymbol(name, I_.size, n) for name, n in (("ui", 2), ("vi", 2), ("zi", 1)))
BOTH = vector_blocks({"ue": 2, "vi": 2, "ve": 2, "ui": 2, "ze": 1, "zi": 1}, populations=OWNERS)
POPULATIONS = {"vectors": BOTH, "populations": (E_, I_)}


def two(P):
    """The vectors without the rows of the other population."""
    n = 2 * len(P["ue"]) // 3
    return n, {name: block[:n] if OWNERS[name] == "E" else block[n:] for name, block in P.items()}


@case(
    of(
        [
            State(H_E, -H_E + UE * (a + x), population="E"),
            State(H_I, -H_I + UI * a, sympy.Rational(1, 2), population="I"),
        ],
        ZE.T * phi(H_E) / N + ZI.T * H_I / I_.size,
        definitions=[(a, VE.T * phi(H_E) / N - VI.T * phi(H_I) / N)],
        **POPULATIONS,
    )
)
def two_populations(P, x):
    n, P = two(P)
    N = 3 * n // 2
    h, k = np.zeros(n), np.zeros(N - n)
    for xt in x:
        a = (P["ve"].T @ tanh(h) - P["vi"].T @ tanh(k)) / N
        h, k = h + DT * (-h + P["ue"] @ (a + xt)), k + 2 * DT * (-k + P["ui"] @ a)
        yield P["ze"].T @ tanh(h) / N + P["zi"].T @ k / len(k)


@case(
    of(
        [
            State(H_E, -H_E + UE * x, population="E"),
            State(H_I, -H_I + UI * VE.T * phi(H_E) / N, population="I"),
        ],
        ZI.T * phi(H_I) / N,
        **POPULATIONS,
    )
)
def two_areas_in_a_chain(P, x):
    n, P = two(P)
    N = 3 * n // 2
    h, k = np.zeros(n), np.zeros(N - n)
    for xt in x:
        h, k = h + DT * (-h + P["ue"] @ xt), k + DT * (-k + P["ui"] @ (P["ve"].T @ tanh(h)) / N)
        yield P["zi"].T @ tanh(k) / N


@pytest.fixture(params=CASES)
def made(request):
    net, loop, _ = CASES[request.param]
    P = np.random.default_rng(0).standard_normal((6, columns_of(net)))
    return FullNetwork(net, "sum_dt", 0.5), loop, P, trials_of(net, steps=6)


def test_outputs_by_a_loop_over_the_equations(made):
    full, loop, P, (inputs, _, _) = made
    blocks = {name: P[:, columns] for name, columns in full.columns.items()}
    expected = np.array([list(loop(blocks, trial)) for trial in inputs])
    assert np.abs(expected).max() > 1e-3
    assert np.abs(full.outputs(P, inputs) - expected).max() < 1e-13 * np.abs(expected).max()


def test_several_networks_at_once(made):
    full, _, P, trials = made
    many = np.stack([P, P / 2, 0 * P]).reshape(3, 1, *P.shape)
    outputs, losses = full.outputs(many, trials[0]), full.loss(many, trials)
    assert losses.shape == (3, 1)
    for k in range(3):
        one = full.outputs(many[k, 0], trials[0])
        assert np.abs(outputs[k, 0] - one).max() <= 1e-13 * np.abs(one).max()
        assert losses[k, 0] == pytest.approx(full.loss(many[k, 0], trials), rel=1e-13)


def test_gradient_by_differences(made):
    full, _, P, trials = made
    exact = full.gradient(P, trials)
    differences = full.finite_difference_gradient(P, trials)
    # Truncation and the rounding of the loss, divided by the spacing.
    assert (
        np.abs(differences - exact).max()
        < 20 * np.finfo(float).eps * full.loss(P, trials) / 6e-6 + 1e-9 * np.abs(exact).max()
    )
    # All that moves the loss does so in the gradient: no vector is left out.
    used = [np.abs(exact[:, columns]).max() > 0 for columns in full.columns.values()]
    assert used == [np.abs(differences[:, columns]).max() > 0 for columns in full.columns.values()]


def test_flow_by_differences(made):
    full, _, P, trials = made
    found, _ = full.finite_difference_flow(P, trials)
    assert np.abs(full.flow(P, trials) - found).max() < 1e-8 * np.abs(found).max()


def test_flow_is_the_derivative_of_the_gram_matrix(made):
    full, _, P, trials = made
    lr = 1e-6
    first, second = full.train(P, trials, lr, 1)
    flow = full.flow(P, trials)
    moved = (second.gram - first.gram) / lr
    back = (first.gram - list(full.train(P, trials, -lr, 1))[1].gram) / lr
    assert np.abs((moved + back) / 2 - flow).max() < 1e-8 * max(np.abs(flow).max(), np.abs(first.gram).max())


def uneven(net, neurons):
    """Node weights whose sum over each population is its weight, and the sizes of these."""
    weights, sizes = [], []
    for k, population in enumerate(net.equations.populations):
        sizes.append(neurons + k)
        part = np.random.default_rng(k).random(neurons + k) + 0.1
        weights.append(float(population.weight) * part / part.sum())
    return np.concatenate(weights), sizes


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in LINEAR])
def test_differences_with_node_weights(name):
    net = network(ARCHITECTURES[name](2), SMOOTH["tanh"])
    node_weights, sizes = uneven(net, 5)
    full, trials = FullNetwork(net, "masked_mean", 0.5, node_weights, sizes), trials_of(net)
    P = np.random.default_rng(0).standard_normal((sum(sizes), columns_of(net)))
    differences = full.finite_difference_gradient(P, trials)
    bound = 20 * np.finfo(float).eps * full.loss(P, trials) / 6e-6
    assert np.abs(differences - full.gradient(P, trials)).max() < bound
    found, _ = full.finite_difference_flow(P, trials)
    assert np.abs(found - full.flow(P, trials)).max() < 1e-8 * np.abs(found).max()


def test_a_node_of_double_weight_is_two_neurons_of_a_population():
    net, trials = CASES["two_populations"][0], trials_of(CASES["two_populations"][0])
    P = np.random.default_rng(0).standard_normal((6, columns_of(net)))
    # Of the four neurons of the first population the last two are one node, and the two of the second another.
    P[3], P[5] = P[2], P[4]
    kept = [0, 1, 2, 4]
    nodes = FullNetwork(net, "sum_dt", 0.5, np.array([1, 1, 2, 2]) / 6, [3, 1])
    runs = FullNetwork(net, "sum_dt", 0.5).train(P, trials, 0.1, 5), nodes.train(P[kept], trials, 0.1, 5)
    for neurons, other in zip(*runs, strict=True):
        assert np.abs(neurons.gram - other.gram).max() < 1e-13
        assert np.abs(neurons.weights[kept] - other.weights).max() < 1e-13
        assert neurons.loss == pytest.approx(other.loss, rel=1e-13)


def test_entries_outside_their_population_are_ignored():
    net, trials = CASES["two_populations"][0], trials_of(CASES["two_populations"][0])
    full, P = FullNetwork(net, "sum_dt", 0.5), np.random.default_rng(0).standard_normal((6, 10))
    own = np.zeros(P.shape, dtype=bool)
    for name, columns in full.columns.items():
        own[slice(4) if OWNERS[name] == "E" else slice(4, 6), columns] = True
    assert np.array_equal(full.gram(P), full.gram(P * own))
    assert np.array_equal(full.flow(P, trials), full.flow(P * own, trials))
    assert full.loss(P, trials) == full.loss(P * own, trials)
    assert np.array_equal(full.gradient(P, trials) != 0, own)
    # The Gram matrix is that of vectors which are zero outside their population.
    assert full.gram(P) == pytest.approx((P * own).T @ (P * own) / 6, rel=1e-14)


def test_sums_without_averages_learn_at_the_plain_gradient():
    net, trials = CASES["closed_loop"][0], trials_of(CASES["closed_loop"][0], steps=4)
    full, P = FullNetwork(net, "sum_dt", 0.5), np.random.default_rng(0).standard_normal((6, 6)) / 4
    first, second = full.train(P, trials, 0.1, 1)
    assert np.array_equal(first.gram, P.T @ P)
    assert np.array_equal(second.weights, P - 0.1 * full.gradient(P, trials))


def test_sums_beside_averages_are_what_the_equations_say():
    net = of([State(h, DRIVE)], Z.T * phi(h), definitions=[FED_BACK])
    averages = CASES["conventional"][0]
    P, inputs = np.random.default_rng(0).standard_normal((6, 7)), trials_of(net)[0]
    one, other = (FullNetwork(each, "sum_dt", 0.5).outputs(P, inputs) for each in (net, averages))
    assert one == pytest.approx(6 * other, rel=1e-14)


def test_what_is_written_twice_is_computed_once():
    net = of([State(h, -h + U * (V.T * phi(h) / N) + M * x)], Z.T * phi(h) / N)
    step = compile_step(net.equations, SMOOTH["tanh"], {"h": sympy.Rational(1, 5)}, sympy.Integer(1))
    assert [type(node) for node in step.program.nodes] == [Applied, Reading, Sum]


def test_no_matrix_of_neurons_by_neurons_is_made():
    net, trials = CASES["rate_form"][0], trials_of(CASES["rate_form"][0], steps=2)
    P = np.random.default_rng(0).standard_normal((100_000, 7))
    assert np.isfinite(FullNetwork(net, "sum_dt", 0.5).gradient(P, trials)).all()


SEES_INPUT = "found the input x, of which there is none after the last update; accepted with it: .* 'before_update'"


@pytest.mark.parametrize(("readout", "when", "message"), [
    (Z.T * phi(h) / N + SEEN * x, "after_update", SEES_INPUT),
    (Z.T * phi(h) / N + SEEN * a, "after_update", SEES_INPUT),
    (sympy.Symbol("gain") * Z.T * phi(h) / N, "before_update", "coefficient gain/N; accepted: numbers and powers of N"),
    (Z.T * HadamardProduct(M, U) * x / N, "before_update", r"found .*, shape \(N, 2\); accepted: sums, products"),
    (ElementwiseApplyFunction(sympy.Function("f"), SEEN * x), "before_update", "a function that SymPy differentiates"),
])  # fmt: skip
def test_what_the_simulator_refuses(readout, when, message):
    net = of([State(h, DRIVE)], readout, definitions=[(a, V.T * phi(h) / N + x)], when=when)
    with pytest.raises(ValueError, match=message):
        FullNetwork(net, "sum_dt", 0.5)


@pytest.mark.parametrize("readout", [Z.T * phi(h), Z.T * phi(h / N) / N, Z.T * phi(h) / N**2])
def test_node_weights_are_for_averages(readout):
    net = of([State(h, DRIVE)], readout, definitions=[FED_BACK])
    with pytest.raises(LearningError, match="accepted with node weights: averages over neurons"):
        FullNetwork(net, "sum_dt", 0.5, np.full(6, 1 / 6))


@pytest.mark.parametrize(("rows", "node_weights", "sizes", "message"), [
    (7, None, None, "found 14/3, 7/3 for 7 rows of P; accepted: whole numbers of that sum, and in proportion"),
    (6, None, [3, 3], "found 3, 3 for 6 rows of P; .* weights, 4, 2, unless there are node weights"),
    (6, None, [6], "found 6 for 6 rows of P"),
    (4, np.full(4, 1 / 4), [2, 2], r"node weights of population 'E': found the sum 0\.5; accepted: its weight, 2/3"),
    (4, np.full(4, 1 / 4), [2, 1], "found 2, 1 for 4 rows of P"),
])  # fmt: skip
def test_sizes_of_populations(rows, node_weights, sizes, message):
    net = CASES["two_populations"][0]
    with pytest.raises(ArrayError, match=message):
        FullNetwork(net, "sum_dt", 0.5, node_weights, sizes).gram(np.zeros((rows, 10)))
