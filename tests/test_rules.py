"""Learning rules: against the full network to rounding, PyTorch's algorithm, the flow, and in print."""

from __future__ import annotations

import functools
import itertools
import json
import math
import shutil

import numpy as np
import pytest
import sympy
from numpy.polynomial.hermite_e import hermegauss

import symlow
from symlow.architectures import build_network
from symlow.drift import drift_trials
from symlow.errors import ArrayError, FileError, SpecError
from symlow.initial import load_initial, overlaps_of_weights, sample_weights
from symlow.learning import gradient_covariance
from symlow.optimizers import GradientDescent, rule_optimizer
from symlow.printing.notation import Notation
from symlow.rules import CLIP_FACTOR, LR, Rule, Velocity, build_rule, with_companions
from symlow.simulate import FullNetwork
from symlow.tasks import build_loss
from symlow.views import DerivedSystem
from tests.conftest import EXPONENTIAL, states
from tests.hand_made import by_hand
from tests.test_latex import compile_latex
from tests.test_own_network import NETWORKS, TASK

TRIALS = {"kind": "trials"}
FILTER = {**EXPONENTIAL, "horizon": 5.0}
EVERYTHING = {"rates": {"u": 0.5, "v": 2.0}, "frozen": ["m"], "weight_decay": 0.1, "clip": 0.5}
RULES = {
    "rates": {"rates": {"u": 0.5, "v": 2.0}},
    "weight decay": {"weight_decay": 0.1},
    "clip": {"clip": 0.5},
    "momentum": {"rule": "momentum"},
    "nesterov": {"rule": "nesterov", "momentum": 0.8},
    "descent with all": EVERYTHING,
    "momentum with all": {"rule": "momentum", **EVERYTHING},
    "nesterov with all": {"rule": "nesterov", **EVERYTHING},
}
SOME = ["rates", "descent with all", "momentum with all", "nesterov with all"]


def spec(learning, task=TRIALS, **network):
    content = {"name": "example", "network": {"rank": 1, **network}, "task": task, "learning": learning}
    return symlow.Spec.model_validate(content)


def derived(learning, task=TRIALS, **network):
    return _derived(json.dumps(learning), json.dumps(task), json.dumps(network))


@functools.cache
def _derived(learning, task, network):
    return symlow.derive(spec(json.loads(learning), json.loads(task), **json.loads(network)))


@functools.cache
def _compiled(derivation):
    return derivation.compile()


def trials_of(step, batch=2, steps=10):
    """Trials of one input and one output whose sizes differ from step to step, so that some gradients are clipped."""
    rng = np.random.default_rng(step)
    size = 0.2 + 2 * rng.random()
    return size * rng.standard_normal((batch, steps, 1)), size * rng.standard_normal((batch, steps, 1)), None


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("rule", RULES)
def test_two_hundred_steps_equal_those_of_the_neurons(rule, rank):
    d = derived(RULES[rule], rank=rank, dt=0.5)
    module, full = _compiled(d), FullNetwork(d.network, "sum_dt", 0.5)
    P = 0.7 * np.random.default_rng(0).standard_normal((12, module.N_COLUMNS))  # velocities too: any are allowed
    sigma = overlaps_of_weights(d, P)
    clipped = []
    for k, moment in enumerate(full.train(P, trials_of, 0.02, 200, optimizer=rule_optimizer(d.rule))):
        assert np.abs(module.gram(sigma) - moment.gram).max() < 1e-11 * np.abs(moment.gram).max()
        assert abs(module.loss(sigma, trials_of(k)) - moment.loss) < 1e-11 * moment.loss
        if d.rule.clip:
            clipped.append(module.clip_factor(sigma, trials_of(k)) < 1)
        sigma = module.step(sigma, 0.02, trials_of(k))
    if d.rule.clip:
        assert 10 < sum(clipped) < 190
    assert np.abs(moment.weights - P).max() > 0.01


@pytest.mark.parametrize("rule", SOME)
def test_symbolic_step_is_that_of_the_module(rule):
    d = derived(RULES[rule], FILTER)
    module = _compiled(d)
    (sigma,) = states(module, 1)
    values = dict(zip(d.symbols.values(), sigma, strict=True))
    values |= dict(zip(d.gradient_symbols.values(), module.loss_gradient(sigma), strict=True))
    values |= {LR: 0.3, **d.rule.parameters}
    values[CLIP_FACTOR] = d.learning.clip_factor.subs(values)
    assert float(values[CLIP_FACTOR]) == pytest.approx(module.clip_factor(sigma) if d.rule.clip else 1, rel=1e-13)
    for equations, found in ((d.finite_step, module.step(sigma, 0.3)), (d.flow, module.rhs(0.0, sigma))):
        evaluate = sympy.lambdify(list(values), [equations[name] for name in d.overlaps])
        expected = evaluate(*map(float, values.values()))
        assert np.allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rule", ["rates", "momentum with all"])
def test_blocks_have_the_scalar_flow_as_entries(rule):
    d = derived(RULES[rule], outputs=2)
    index = d.reduction.index
    values = {symbol: index.explicit(*pair) for pair, symbol in index.blocks.items()}
    for (a, b), symbol in d.learning.visible_blocks.items():
        values[symbol] = index.explicit(a, b).applyfunc(
            lambda s: index[s.name.removeprefix("sigma_")].gradient_symbol / 2
        )
    for (left, right), expression in d.block_flow.items():
        explicit = sympy.Matrix(expression.subs(values).doit().as_explicit())
        for found, symbol in zip(explicit, index.explicit(left, right), strict=True):
            assert sympy.expand(found - d.flow[symbol.name.removeprefix("sigma_")]) == 0


@pytest.mark.parametrize("rule", RULES)
def test_congruence_in_blocks_is_the_step_of_the_module(rule):
    # K as it is printed, of matrices S and D, against the generated code.
    d = derived(RULES[rule], FILTER)
    module, learning = _compiled(d), d.learning
    (sigma,) = states(module, 1)
    S = module._symmetric_gradient(module.gram(sigma), None)
    values = {LR: 0.3, CLIP_FACTOR: module.clip_factor(sigma) if d.rule.clip else 1.0, **d.rule.parameters}
    matrices = {"": np.eye(len(S)), "S": S, "D": np.diag(module.RATES), "SD": S * module.RATES}
    place = {"P": [k for k in range(len(S)) if k not in learning.velocities], "Q": list(learning.velocities)}
    K = np.zeros_like(S)
    for (row, column), block in d.rule.congruence.items():
        total = sum(float(coefficient.subs(values)) * matrices[word] for coefficient, word in block)
        weights = {"P": place["P"], "Q": list(learning.trained)}
        K[np.ix_(place[row], place[column])] = total[np.ix_(weights[row], weights[column])]
    stepped = K.T @ module.gram(sigma) @ K
    assert np.allclose(module.gram(module.step(sigma, 0.3)), stepped, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("settings", [(0.0, False), (0.9, False), (0.9, True)])
@pytest.mark.parametrize("clip", [None, 0.3])
def test_descent_is_the_algorithm_that_pytorch_documents(settings, clip):
    # Parameters p = P / sqrt(N) have PyTorch's learning rate, decay, momentum and largest norm as they are.
    d = derived({"frozen": ["z"], "rates": {"u": 0.5}})
    full = FullNetwork(d.network, "sum_dt", 0.5)
    n, lr, decay, (beta, nesterov) = 10, 0.1, 0.2, settings
    P = np.random.default_rng(1).standard_normal((n, 4))
    *_, last = full.train(P, trials_of, lr, 6, optimizer=GradientDescent(beta, nesterov, decay, clip))
    params, buffers = list(P.T / math.sqrt(n)), [None] * 3
    for step in range(6):
        grads = list(math.sqrt(n) * full.gradient(math.sqrt(n) * np.array(params).T, trials_of(step)).T)[:3]
        total_norm = math.sqrt(sum((grad**2).sum() for grad in grads))
        grads = [grad * min(clip / total_norm, 1.0) if clip else grad for grad in grads]
        for k, grad in enumerate(grads):
            grad = grad + decay * params[k]
            if beta:
                buffers[k] = grad if buffers[k] is None else beta * buffers[k] + grad
                grad = grad + beta * buffers[k] if nesterov else buffers[k]
            params[k] = params[k] - lr * (1.0, 0.5, 1.0)[k] * grad
    assert np.allclose(last.weights, math.sqrt(n) * np.array(params).T, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rule", ["rates", "weight decay", "clip", "descent with all"])
def test_steps_of_a_nonlinear_network_tend_to_its_flow(rule):
    d = derived(RULES[rule], nonlinearity="erf")
    module = _compiled(d)
    (sigma,) = states(module, 1)
    rates = 0.1 / 2.0 ** np.arange(4)
    deviations = module.step(sigma, rates, trials_of(0)) - sigma - rates[:, None] * module.rhs(0.0, sigma, trials_of(0))
    sizes = np.abs(deviations).max(axis=1)
    assert np.log2(sizes[:-1] / sizes[1:]) == pytest.approx(2, abs=1e-3)


def test_momentum_in_a_nonlinear_network_tends_to_the_flow():
    d = derived(RULES["nesterov with all"], nonlinearity="erf")
    module, trials = _compiled(d), trials_of(0)
    sigma = overlaps_of_weights(d, sample_weights(d, 20, 1.0, 0))
    weights = [d.overlaps.index(overlap.name) for overlap in d.learning.weights]
    lr, left = 0.4, float(1 - d.rule.momentum)
    limit = symlow.learn(d, sigma, lr * left, 1, trials, "flow", module).sigma[-1]
    errors = []
    for steps in (200, 400):
        run = symlow.learn(d, sigma, lr * left / steps, steps, trials, module=module)
        errors.append(np.abs(run.sigma[-1] - limit)[weights].max())
    assert errors[0] < 0.02
    assert math.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.1)


def test_first_step_of_a_nonlinear_network_with_momentum_is_its_flow():
    d = derived(RULES["momentum with all"], nonlinearity="erf")
    module = _compiled(d)
    sigma = overlaps_of_weights(d, sample_weights(d, 20, 1.0, 0))
    weights = [d.overlaps.index(overlap.name) for overlap in d.learning.weights]
    change = (module.step(sigma, 1e-7, trials_of(0)) - sigma)[weights] / 1e-7
    assert np.allclose(change, module.rhs(0.0, sigma, trials_of(0))[weights], rtol=1e-5, atol=1e-6)


def test_velocities_are_vectors_that_nothing_reads():
    d = derived({"rule": "momentum", "frozen": ["m"]}, rank=2, means=True, task=TRIALS, nonlinearity="erf")
    velocities = [vector for vector in d.network.vectors if isinstance(vector, Velocity)]
    assert [(v.name, v.of, v.columns, v.trainable) for v in velocities] == [
        ("qu", "u", 2, False),
        ("qv", "v", 2, False),
        ("qz", "z", 1, False),
    ]
    assert (d.network.vectors[-1].name,) == d.network.ones
    assert not [name for name in d.visible if "q" in name]
    assert {"qu1_qu2", "m_qu1", "qz_qz", "qz_one"} <= set(d.invisible)


def test_velocities_start_at_zero():
    d = derived({"rule": "nesterov"}, FILTER)
    plain = derived({}, FILTER)
    weights = sample_weights(d, 9, 1.0, 3)
    assert np.array_equal(weights[:, :4], sample_weights(plain, 9, 1.0, 3))
    assert not weights[:, 4:].any()
    module = _compiled(d)
    m, u, v, z = weights[:, :4].T
    assert np.allclose(module.overlaps_of(m, u, v, z), overlaps_of_weights(d, weights))
    qm = np.arange(9.0)
    sigma = module.overlaps_of(m=m, u=u, v=v, z=z, qm=qm)
    assert sigma[d.overlaps.index("m_qm")] == pytest.approx(m @ qm / 9)
    assert sigma[d.overlaps.index("u_qu")] == 0


def test_initial_velocities_of_a_file(tmp_path):
    d = derived({"rule": "nesterov"}, FILTER)
    arrays = {name: np.arange(5.0) + k for k, name in enumerate(("m", "u", "v", "z", "qu"))}
    np.savez(tmp_path / "all.npz", **arrays)
    sigma = load_initial(tmp_path / "all.npz", d)
    assert sigma[d.overlaps.index("m_qu")] == pytest.approx(arrays["m"] @ arrays["qu"] / 5)
    np.savez(tmp_path / "few.npz", **{name: arrays[name] for name in ("m", "u", "qu")})
    with pytest.raises(FileError, match="no array 'v'"):
        load_initial(tmp_path / "few.npz", d)
    np.savez(tmp_path / "short.npz", **arrays | {"qu": np.zeros(4)})
    with pytest.raises(ArrayError, match="qu: found shape"):
        load_initial(tmp_path / "short.npz", d)


NOISY = {
    "descent": {"label_noise": 0.3},
    "decay": {"label_noise": 0.3, "weight_decay": 0.1, "rates": {"u": 0.5}},
    "nesterov": {"label_noise": 0.3, "rule": "nesterov", "frozen": ["m"]},
}


def noisy_system(rule, **network):
    d = derived(NOISY[rule], {"kind": "trials", "loss": {"reduction": "masked_mean"}}, dt=0.5, **network)
    module = _compiled(d)
    (sigma,) = states(module, 1)
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((2, 1, 4, 1))
    return d, module, sigma, (x, y, rng.random((1, 4, 1)) + 0.5)


@pytest.mark.parametrize(("rule", "network"), [("descent", {}), ("decay", {}), ("nesterov", {"nonlinearity": "erf"})])
def test_moments_over_label_noise_are_those_of_a_quadrature(rule, network):
    # A step is a polynomial of degree 2 in the noise, its square of degree 4: three Gauss-Hermite nodes are exact.
    _, module, sigma, (x, y, mask) = noisy_system(rule, **network)
    nodes, masses = hermegauss(3)
    mean, second = 0.0, 0.0
    for places in itertools.product(range(3), repeat=y.size):
        noise, weight = nodes[list(places)].reshape(y.shape), np.prod(masses[list(places)] / masses.sum())
        stepped = module.step(sigma, 0.5, (x, y + 0.3 * noise, mask))
        mean, second = mean + weight * stepped, second + weight * np.outer(stepped, stepped)
    found, covariance = module.noisy_step_moments(sigma, 0.5, (x, y, mask))
    assert np.allclose(found, mean, rtol=1e-12, atol=1e-12)
    assert np.allclose(covariance, second - np.outer(mean, mean), rtol=1e-9, atol=1e-12)
    assert np.abs(found - module.step(sigma, 0.5, (x, y, mask))).max() > 1e-4


def test_moments_over_label_noise_by_monte_carlo_over_neurons():
    d, module, _, (x, y, mask) = noisy_system("decay")
    full = FullNetwork(d.network, d.loss.reduction, float(d.loss.factor))
    P = np.random.default_rng(2).standard_normal((6, 4))
    rng, samples = np.random.default_rng(3), []
    for _ in range(1000):
        noisy = x, y + 0.3 * rng.standard_normal(y.shape), mask
        *_, last = full.train(P, noisy, 0.5, 1, optimizer=rule_optimizer(d.rule))
        samples.append(overlaps_of_weights(d, last.weights))
    mean, covariance = module.noisy_step_moments(overlaps_of_weights(d, P), 0.5, (x, y, mask))
    deviations = np.array(samples) - mean
    # Four standard errors: of means by the variance found, of covariances by the scatter of products.
    assert np.all(np.abs(deviations.mean(axis=0)) < 4 * np.sqrt(np.diag(covariance) / len(samples)))
    products = deviations[:, :, None] * deviations[:, None, :]
    errors = products.std(axis=0) / math.sqrt(len(samples))
    assert np.all(np.abs(products.mean(axis=0) - covariance) < 4 * errors)


@pytest.mark.parametrize("rule", NOISY)
def test_symbolic_mean_over_label_noise_is_that_of_the_module(rule):
    d, module, sigma, (x, y, mask) = noisy_system(rule)
    step = 1e-3
    slopes = [
        (
            module.loss_gradient(sigma, (x, y + step * e.reshape(y.shape), mask))
            - module.loss_gradient(sigma, (x, y, mask))
        )
        / step
        for e in np.eye(y.size)
    ]
    C = 0.3**2 * np.array(slopes).T @ np.array(slopes)
    values = dict(zip(d.symbols.values(), sigma, strict=True)) | {LR: 0.5, **d.rule.parameters}
    values |= dict(zip(d.gradient_symbols.values(), module.loss_gradient(sigma, (x, y, mask)), strict=True))
    visible = d.reduction.visible
    for i, left in enumerate(visible):
        values |= {gradient_covariance(left, right): C[i, j] for j, right in enumerate(visible)}
    expected = sympy.lambdify(list(values), [d.noisy_step_mean[name] for name in d.overlaps])(
        *map(float, values.values())
    )
    assert np.allclose(module.noisy_step_moments(sigma, 0.5, (x, y, mask))[0], expected, rtol=1e-9, atol=1e-11)


def test_moments_broadcast():
    _, module, sigma, trials = noisy_system("nesterov")
    several = sigma + np.zeros((3, 1))
    mean, covariance = module.noisy_step_moments(several, np.array([[0.5], [0.1]]), trials)
    assert (mean.shape, covariance.shape) == ((2, 3, 28), (2, 3, 28, 28))
    assert np.allclose(covariance[0, 1], module.noisy_step_moments(sigma, 0.5, trials)[1])
    assert np.allclose(module.noisy_step_moments(sigma, 0.5, trials, noise=0.0)[0], module.step(sigma, 0.5, trials))


def test_learning_with_label_noise_is_that_of_the_neurons():
    d = derived(NOISY["nesterov"], dt=0.5)
    weights = sample_weights(d, 10, 1.0, 0)
    run = symlow.learn(d, overlaps_of_weights(d, weights), 0.05, 20, trials_of(0), seed=4)
    theory = symlow.drift(d, weights, 0.05, 20, drift_trials(d, 4, trials=trials_of(0)))
    assert theory.deviation.max() < 1e-12
    assert np.allclose(run.sigma, theory.theory, rtol=1e-12)
    assert not np.allclose(run.loss, symlow.learn(d, run.sigma[0], 0.05, 20, trials_of(0), seed=5).loss)
    assert symlow.verify(d, neurons=6, steps=3).passed
    flow = symlow.learn(d, run.sigma[0], 0.01, 2, trials_of(0), "flow", seed=4)
    assert np.allclose(flow.loss[0], _compiled(d).loss(run.sigma[0], trials_of(0)))


def test_label_noise_with_clipping_has_no_moments():
    d = derived({"label_noise": 0.1, "clip": 1.0})
    assert not hasattr(_compiled(d), "noisy_step_moments")
    with pytest.raises(SpecError, match=r"learning.clip: found it with label noise"):
        _ = d.noisy_step_mean["z_m"]
    assert "mean and the covariance" not in str(d)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_ones_own_learn_with_momentum(name):
    given = symlow.Spec.model_validate(
        {
            "name": "own",
            "network": {"rank": 1, "inputs": 2},
            "task": TASK,
            "learning": {"rule": "nesterov", "weight_decay": 0.1, "clip": 1.0},
        }
    )
    with pytest.raises(SpecError, match="found 'nesterov', and velocities of no vectors"):
        _ = DerivedSystem(given, NETWORKS[name], build_loss(given)).learning
    rule = build_rule(given.learning)
    d = DerivedSystem(given, with_companions(NETWORKS[name], rule), build_loss(given))
    module, full = d.compile(), FullNetwork(d.network, "sum_dt", 0.5)
    P = np.random.default_rng(0).standard_normal((30, module.N_COLUMNS))
    sigma = overlaps_of_weights(d, P)
    for moment in full.train(P, d.loss.impulse_trials(), 0.01, 20, optimizer=rule_optimizer(rule)):
        assert np.abs(module.gram(sigma) - moment.gram).max() < 1e-11
        sigma = module.step(sigma, 0.01)


def test_step_broadcasts_over_states_and_rates():
    d = derived(RULES["nesterov with all"], FILTER)
    module = _compiled(d)
    sigma = states(module, 3)
    rates = np.array([0.1, 0.2])[:, None]
    found = module.step(sigma, rates)
    assert found.shape == (2, 3, len(d.overlaps))
    assert np.allclose(found[1, 2], module.step(sigma[2], 0.2), rtol=1e-13)
    assert module.clip_factor(sigma).shape == (3,)
    shifted = module.step(sigma[0] + 1e-30j * np.eye(len(d.overlaps)), 0.1).imag / 1e-30
    spaced = (module.step(sigma[0] + 1e-6 * np.eye(len(d.overlaps)), 0.1) - module.step(sigma[0], 0.1)) / 1e-6
    assert np.allclose(shifted, spaced, rtol=1e-3, atol=1e-4)


def test_frozen_everything_stays():
    d = derived({"rule": "momentum", "frozen": ["m", "u", "v", "z"], "weight_decay": 0.1, "clip": 1.0}, FILTER)
    module = _compiled(d)
    (sigma,) = states(module, 1)
    assert np.array_equal(module.step(sigma, 0.1), sigma)
    assert not module.rhs(0.0, sigma).any()


def test_digests_of_older_specifications_stay():
    plain = spec({"frozen": ["z", "m"]}, FILTER)
    assert plain.digest == "35d6426ed56668d55616fb6e1d4054205a8d1b48b33aecda9cddea9a79c0e0f0"
    assert spec({"frozen": ["m", "z"], "rates": {"u": 1}, "weight_decay": 0, "label_noise": 0.0}, FILTER) != plain
    assert spec({"frozen": ["m", "z"], "rates": {"u": 1}, "weight_decay": 0}, FILTER).digest == plain.digest
    assert spec({"rule": "momentum"}, FILTER).digest == spec({"rule": "momentum", "momentum": 0.9}, FILTER).digest
    others = [{}, *RULES.values(), {"rule": "nesterov"}, {"rule": "momentum", "momentum": 0.8}]
    assert len({spec(learning, FILTER).digest for learning in others}) == len(others)


def test_unknown_vector_of_a_rate():
    with pytest.raises(SpecError, match=r"learning.rates: unknown vector 'w'; accepted: m, u, v, z"):
        symlow.derive(spec({"rates": {"w": 2.0}}))
    with pytest.raises(SpecError, match=r"learning.rates: unknown vector 'one'"):
        symlow.derive(spec({"rates": {"one": 2.0}}, means=True, nonlinearity="erf"))


def test_velocity_of_a_taken_name():
    lines = ("h' = -h + A*x", "y = QA.T*h/N")
    renamed = by_hand(lines, [("a", 1, True), ("qa", 1, True)])
    with pytest.raises(SpecError, match="vector 'qa': another one has the same name"):
        with_companions(renamed, Rule("momentum", momentum=sympy.Rational(9, 10)))
    assert with_companions(renamed, Rule()) is renamed


def test_network_of_a_specification_has_its_rates():
    network = build_network(spec({"rates": {"u": 0.1}, "frozen": ["z"]}))
    assert {vector.name: vector.rate for vector in network.vectors} == {
        "m": 1,
        "u": sympy.Rational(1, 10),
        "v": 1,
        "z": 0,
    }


def test_certificate():
    certificate = symlow.verify(derived(RULES["nesterov with all"], FILTER), neurons=8, steps=4)
    assert certificate.passed, [check for check in certificate.checks if not check.passed]


def test_every_term_is_explained():
    d = derived(RULES["momentum with all"], FILTER)
    for name in d.overlaps:
        explanation = d.explain(name)
        assert sympy.expand(sympy.Add(*(term.expression for term in explanation.terms)) - d.flow[name]) == 0
    assert "weight decay shrinks v" in [term.reason for term in d.explain("v_u").terms]
    assert any("velocities of the trained ones" in sentence for sentence in d.closure_report().summary)


def test_text_states_the_rule():
    text = str(derived(RULES["nesterov with all"], FILTER))
    for line in (
        "    g = c N grad_P L + rho P,   c = min(1, C / |N grad_P L|)",
        "    step:  Q+ = beta Q + g,   P+ = P - lr (g + beta Q+) D,   Sigma+ = K^T Sigma K",
        "[P Q]+ = [P Q] K,   K = [1 - lr rho (1 + beta) D - 2 lr c (1 + beta) S D, rho + 2 c S]",
        "    D = 1/2 for U, 2 for V, 1 for other trained and 0 for frozen columns",
        "    d z_u/dt = c*(-m_u g_z_m - (u_u + z_z/2) g_z_u - z_v/2 g_v_u) - 3*rho*z_u/2",
    ):
        assert line in text, line


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize(("rule", "network"), [
    ("momentum", {"rank": 2}),
    ("nesterov with all", {"nonlinearity": "erf"}),
    ("descent with all", {"nonlinearity": "clip", "means": True}),
    ("noise", {"rank": 2}),
])  # fmt: skip
def test_document_compiles_within_the_page(rule, network, tmp_path):
    learning = {**RULES, "noise": NOISY["decay"]}[rule]
    code, log = compile_latex(derived(learning, **network).latex(), tmp_path)
    assert code == 0, log[-2000:]
    assert "Overfull" not in log
    assert "undefined" not in log


def test_equations_of_sums_over_neurons_have_no_factor_n():
    """Sigma = P^T P there: gradients are grad_P L, and norms those of Frobenius."""
    learning = {"rule": "nesterov", "clip": 0.5, "weight_decay": 0.25}
    dynamics = ["h[t+1] = U*(V.T*h) + M*x", "e[t+1] = Z.T*h", "y = e"]
    network = {"dynamics": dynamics, "environment": {"e": 1}, "vectors": dict.fromkeys("muvz", 1)}
    content = {"name": "sums", "network": network, "task": TRIALS, "learning": learning}
    d = symlow.derive(symlow.Spec.model_validate(content))
    for text in (str(d), d.source()):
        assert "g = c grad_P L + rho P,   c = min(1, C / |grad_P L|)" in text
        assert "|grad_P L|^2 = 4 tr(S Sigma S) over trained columns, the square of its Frobenius norm\n" in text
        assert "N grad" not in text
    code = d.latex()
    assert r"\lVert \nabla_P L\rVert^2=\operatorname{tr}" in code
    assert r"$\mathrm{d}P/\mathrm{d}t=-(c\,\nabla_P L+\rho P)$" in code
    assert r"N\,\nabla" not in code
    assert r"from $h(0)=0$, $e(0)=0$." in code
    plain = symlow.derive(symlow.Spec.model_validate({**content, "learning": {}}))
    assert "N grad" not in plain.source()


@pytest.mark.parametrize("rule", ["momentum", "feedback_alignment"])
@pytest.mark.parametrize("first", [True, False])
def test_means_are_printed_as_means_in_every_population(rule, first):
    """Whether a vector of ones stands before the others of its population or behind them, or companions join these."""
    dynamics = ["h' = -h + U*a + M*x", "k' = -k + F*a", "a = V.T*phi(h)/N", "y = Z.T*phi(k)/N"]
    vectors = {name: {"population": "A" if name in "muv" else "B"} for name in "muvfz"}
    ones = {name: {"population": name[-1].upper(), "ones": True} for name in ("onea", "oneb")}
    network = {"dynamics": dynamics, "populations": {"A": 0.5, "B": 0.5}, "states": {"h": "A", "k": "B"}}
    network |= {"vectors": ones | vectors if first else vectors | ones, "nonlinearity": "erf"}
    content = {"name": "means", "network": network, "task": TRIALS}
    for learning in ({}, {"rule": rule}):
        d = symlow.derive(symlow.Spec.model_validate({**content, "learning": learning}))
        code = Notation(d.reduction.index)
        means = [o for o in d.ordered if not o.is_norm and any(name in o.name for name in ones)]
        assert len(means) == len(d.network.vectors) - 2
        assert all(str(code.doprint(overlap.symbol)).startswith(r"\langle") for overlap in means)
        assert [v.name for v in d.network.vectors][-2:] == ["onea", "oneb"] or (first and not learning)


@pytest.mark.parametrize(
    ("learning", "what"),
    [
        ({"rule": "momentum"}, "velocities move overlaps too"),
        ({"weight_decay": 0.1}, "weight decay moves overlaps too"),
        ({"rule": "nesterov", "weight_decay": 0.1}, "velocities and weight decay move overlaps too"),
    ],
)
def test_conserved_quantities_are_neither_claimed_nor_denied(learning, what):
    """The signs of a Lax pair are there: what spoils it is the rule, not the visible overlaps."""
    d = derived(learning)
    assert d.conserved == ()
    assert f"whatever the loss\n    nothing is claimed, for {what}" in str(d)
    assert f"No conserved quantity is claimed, for {what}." in d.closure_report().summary
    code = d.latex()
    assert f"No conserved quantity is claimed, for {what}." in code
    assert "There is no Lax pair" not in code
