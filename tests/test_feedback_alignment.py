"""Feedback alignment: against networks of neurons to rounding and of infinite width, and its conserved quantities."""

from __future__ import annotations

import functools
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import sympy
from scipy.integrate import solve_ivp

import symlow
from symlow.certificate import relative_error
from symlow.closure import ClosureVerification
from symlow.derivation import EXACT
from symlow.errors import LearningError, SpecError
from symlow.initial import gram_of_weights, overlaps_of_weights, sample_weights
from symlow.invariants.invariant import FROZEN, evaluate
from symlow.learning import GramFlow
from symlow.optimizers import rule_optimizer
from symlow.rules import CLIP_FACTOR, LR, Feedback, build_rule
from symlow.simulate import FullNetwork
from tests.conftest import EXPONENTIAL
from tests.test_latex import compile_latex

TRIALS = {"kind": "trials"}
EVERYTHING = {"rates": {"u": 0.5, "v": 2.0}, "frozen": ["m"], "weight_decay": 0.1, "clip": 0.3}
ARCHITECTURES = Path(__file__).parents[1] / "derivations" / "architectures"


def architecture(name, dynamics=None, vectors=None):
    """Return a worked derivation of an architecture with feedback alignment, with trials and other equations."""
    content = tomllib.loads((ARCHITECTURES / f"{name}.toml").read_text())
    network = content["network"]
    network["dynamics"] = dynamics or network["dynamics"]
    network["vectors"] |= vectors or {}
    return symlow.derive(
        symlow.Spec.model_validate({**content, "task": TRIALS, "learning": {"rule": "feedback_alignment"}})
    )


def derived(learning=None, task=TRIALS, **network):
    return _derived(
        json.dumps({"rule": "feedback_alignment"} | (learning or {})),
        json.dumps(task),
        json.dumps({"rank": 1, **network}),
    )


@functools.cache
def _derived(learning, task, network):
    content = {"name": "example", "task": json.loads(task), "learning": json.loads(learning)}
    return symlow.derive(symlow.Spec.model_validate({**content, "network": json.loads(network)}))


@functools.cache
def _compiled(derivation):
    return derivation.compile()


def trials_of(d, step, batch=2, steps=10):
    """Trials whose sizes differ from step to step, so that some gradients are clipped."""
    rng = np.random.default_rng(step)
    size = 0.2 + 2 * rng.random()
    x, y = (size * rng.standard_normal((batch, steps, n)) for n in (d.loss.inputs, d.loss.outputs))
    return x, y, (rng.random(y.shape) < 0.8).astype(float)


def network_of(d):
    return FullNetwork(d.network, d.loss.reduction, float(d.loss.factor))


def weights_of(d, neurons=12, seed=0):
    return 0.7 * np.random.default_rng(seed).standard_normal((neurons, len(d.reduction.index.columns)))


# Against neurons --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learning", [{}, EVERYTHING, {"frozen": ["z"]}], ids=["alone", "everything", "z frozen"])
@pytest.mark.parametrize("rank", [1, 2])
def test_two_hundred_steps_equal_those_of_the_neurons(rank, learning):
    d = derived(learning, rank=rank, outputs=2, dt=0.5)
    module, P = _compiled(d), weights_of(d)
    sigma, batches, clipped = overlaps_of_weights(d, P), functools.partial(trials_of, d), 0
    for k, moment in enumerate(network_of(d).train(P, batches, 0.02, 200, optimizer=rule_optimizer(d.rule))):
        assert np.abs(module.gram(sigma) - moment.gram).max() < 1e-11 * np.abs(moment.gram).max()
        assert abs(module.loss(sigma, batches(k)) - moment.loss) < 1e-11 * moment.loss
        clipped += bool(d.rule.clip) and module.clip_factor(sigma, batches(k)) < 1
        sigma = module.step(sigma, 0.02, batches(k))
    assert np.abs(moment.weights - P).max() > 0.1
    assert 10 < clipped < 190 or not d.rule.clip


def test_the_aligned_gradient_is_that_of_neurons_one_by_one():
    # h' = h + (-h + u a + m x) / 2, a = v.h / N, y = z.h / N, sent back by hand through b.
    d = derived(dt=0.5)
    P = weights_of(d, 5)
    m, u, v, z, b = P.T
    x, y, mask = (array[0, :, 0] for array in trials_of(d, 1, batch=1))
    weight, n = 0.5 * 0.5 * mask, len(P)  # factor * dt
    states = [np.zeros(n)]
    for t in range(len(x)):
        states.append(states[-1] + (-states[-1] + u * (v @ states[-1]) / n + m * x[t]) / 2)
    grad, back = np.zeros_like(P), np.zeros(n)
    for t in reversed(range(len(x))):
        error = 2 * weight[t] * (z @ states[t + 1] / n - y[t])
        grad[:, 3] += error * states[t + 1] / n
        back = back + b * error / n
        before = states[t]
        grad[:, 0] += back * x[t] / 2
        grad[:, 1] += back * (v @ before) / n / 2
        grad[:, 2] += (back @ u) * before / n / 2
        back = back / 2 + v * (back @ u) / n / 2
    full = network_of(d)
    assert relative_error(full.aligned_gradient(P, trials_of(d, 1, batch=1)), grad) < 1e-14
    assert relative_error(full.gradient(P, trials_of(d, 1, batch=1))[:, :3], grad[:, :3]) > 0.1


@pytest.mark.parametrize("nonlinearity", ["linear", "erf"])
def test_differences_of_what_is_linear_in_errors_give_the_aligned_gradient(nonlinearity):
    d = derived(outputs=2, nonlinearity=nonlinearity, dt=0.5)
    P, trials, full = weights_of(d), trials_of(d, 3), network_of(d)
    aligned = full.aligned_gradient(P, trials)
    assert relative_error(full.finite_difference_gradient(P, trials, aligned=True), aligned) < 1e-8
    assert relative_error(full.finite_difference_gradient(P, trials), full.gradient(P, trials)) < 1e-8
    assert relative_error(full.finite_difference_flow(P, trials)[0], full.flow(P, trials)) < 1e-9
    assert relative_error(full.flow(P, trials), full.flow(P, trials, full.gradient(P, trials))) > 0.01


@pytest.mark.parametrize(
    "network",
    [
        {"nonlinearity": "erf", "outputs": 2},
        {"nonlinearity": "erf", "rank": 2},
        {"nonlinearity": "softplus", "means": True},
    ],
    ids=["two outputs", "rank 2", "means"],
)
def test_flow_of_nonlinear_networks_is_that_of_infinite_width(network):
    d = derived({"rates": {"u": 0.5}}, **network)
    (check,) = [ClosureVerification(d, _compiled(d), trials_of(d, 0, 1, 5), 0, iter)._infinite_width_flow()]
    assert check.passed
    assert check.bound < 1e-4


def test_each_population_that_the_output_reads_has_feedback_of_its_own():
    dynamics = [
        "hE' = -hE + UE*(aE - aI) + ME*x",
        "hI' = -hI + UI*aE + MI*x",
        "aE = VE.T*phi(hE)/N",
        "aI = VI.T*phi(hI)/N",
        "y = ZE.T*phi(hE)/N - 2*ZI.T*phi(hI)/N",
    ]
    d = architecture("two_populations", dynamics, {"zI": {"population": "I"}})
    assert dict(d.learning.feedback) == {"zE": "bzE", "zI": "bzI"}
    module, P = _compiled(d), sample_weights(d, 12, 1.0, 0)
    check = ClosureVerification(d, module, trials_of(d, 0, 1, 5), 0, iter)._infinite_width_flow()
    assert check.passed
    assert check.bound < 1e-3
    sigma, trials = overlaps_of_weights(d, P), trials_of(d, 0)
    assert not np.allclose(module.rhs(0.0, sigma, trials)[[d.overlaps.index(n) for n in ("zE_bzE", "zI_bzI")]], 0)


def test_sampled_networks_approach_the_flow_of_nonlinear_ones():
    d = derived(nonlinearity="erf")
    closure, errors = ClosureVerification(d, _compiled(d), trials_of(d, 0), 0, iter), []
    for neurons in (400, 25600):
        flows = [network_of(d).flow(closure._realised(neurons, seed), closure.trials) for seed in range(6)]
        errors.append(np.sqrt(np.mean([(flow - closure.flow) ** 2 for flow in flows])))
    assert 5 < errors[0] / errors[1] < 13  # 64 times as many neurons: 8


def test_with_the_read_out_as_feedback_it_is_gradient_descent():
    d, plain = (
        derived(rank=2, outputs=2, nonlinearity="erf"),
        derived({"rule": "gradient_descent"}, rank=2, outputs=2, nonlinearity="erf"),
    )
    P = weights_of(d)
    P[:, d.reduction.index.slice("bz")] = P[:, d.reduction.index.slice("z")]
    sigma, of_plain = overlaps_of_weights(d, P), [d.overlaps.index(name) for name in plain.overlaps]
    module, other = _compiled(d), _compiled(plain)
    for k in range(3):
        trials = trials_of(d, k)
        full = network_of(d)
        assert np.array_equal(full.aligned_gradient(P, trials), full.gradient(P, trials))
        pairs = [
            (module.rhs(0.0, sigma, trials), other.rhs(0.0, sigma[of_plain], trials)),
            (module.step(sigma, 0.1, trials), other.step(sigma[of_plain], 0.1, trials)),
        ]
        for found, expected in pairs:
            assert relative_error(found[of_plain], expected) < 1e-13


# The equations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learning", [{}, EVERYTHING], ids=["alone", "everything"])
def test_symbolic_step_and_flow_are_those_of_the_module(learning):
    d = derived(learning, rank=2, outputs=2)
    module, sigma, trials = _compiled(d), overlaps_of_weights(d, weights_of(d)), trials_of(d, 2)
    S = module._symmetric_gradient(module.gram(sigma), trials, aligned=True)
    values = dict(zip(d.symbols.values(), sigma, strict=True))
    values |= {o.gradient_symbol: S[o.row, o.column] * (1 if o.is_norm else 2) for o in d.reduction.visible}
    values |= {LR: 0.3, **d.rule.parameters}
    values[CLIP_FACTOR] = d.learning.clip_factor.subs(values)
    assert float(values[CLIP_FACTOR]) == pytest.approx(
        module.clip_factor(sigma, trials) if d.rule.clip else 1, rel=1e-13
    )
    for equations, found in (
        (d.finite_step, module.step(sigma, 0.3, trials)),
        (d.flow, module.rhs(0.0, sigma, trials)),
    ):
        evaluate_all = sympy.lambdify(list(values), [equations[name] for name in d.overlaps])
        assert np.allclose(found, evaluate_all(*map(float, values.values())), rtol=1e-12, atol=1e-12)


def test_blocks_and_metric_have_the_scalar_flow_as_entries():
    d = derived(EVERYTHING, outputs=2)
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
    gradients = sympy.Matrix(list(d.gradient_symbols.values()))
    for overlap, rate in zip(d.ordered, -CLIP_FACTOR * sympy.Matrix(d.metric) * gradients, strict=True):
        assert sympy.expand(rate + d.learning.decay(overlap) - d.flow[overlap.name]) == 0
    assert d.metric.visible_block != d.metric.visible_block.T


def test_loss_gradient_is_the_gradient_of_the_loss_and_that_of_the_read_out_its_own():
    d = derived(outputs=2, nonlinearity="erf")
    module, sigma, trials = _compiled(d), overlaps_of_weights(d, weights_of(d)), trials_of(d, 2)
    shifted = sigma + 1e-30j * np.eye(len(sigma))[: module.N_VISIBLE]
    true = module.loss_gradient(sigma, trials)
    assert relative_error(true, np.imag(module.loss(shifted, trials)) / 1e-30) < 1e-13
    S = module._symmetric_gradient(module.gram(sigma), trials, aligned=True)
    for k, overlap in enumerate(d.reduction.visible):
        aligned = S[overlap.row, overlap.column] * (1 if overlap.is_norm else 2)
        with_read_out = overlap.name.startswith("z")
        assert (abs(aligned - true[k]) < 1e-14 * np.abs(true).max()) == with_read_out, overlap.name


def test_jacobian_is_the_derivative_of_the_flow():
    d = derived(EVERYTHING)
    module, sigma, trials = _compiled(d), overlaps_of_weights(d, weights_of(d)), trials_of(d, 2)
    differences = [
        (module.rhs(0.0, sigma + e, trials) - module.rhs(0.0, sigma - e, trials)) / 2e-5
        for e in 1e-5 * np.eye(len(sigma))
    ]
    assert relative_error(module.jacobian(sigma, trials), np.transpose(differences)) < 1e-8


def test_moments_over_label_noise_are_those_of_drawn_steps():
    d = derived({"label_noise": 0.5}, dt=0.5)
    module, sigma, (x, y, mask) = _compiled(d), overlaps_of_weights(d, weights_of(d)), trials_of(d, 2)
    rng, count = np.random.default_rng(0), 1500
    steps = np.array([module.step(sigma, 0.3, (x, y + 0.5 * rng.standard_normal(y.shape), mask)) for _ in range(count)])
    mean, covariance = module.noisy_step_moments(sigma, 0.3, (x, y, mask))
    deviations = np.sqrt(np.diag(covariance))
    moved = deviations > 1e-12
    assert moved.sum() > len(sigma) // 2
    assert (np.abs(steps.mean(axis=0) - mean)[moved] < 5 * deviations[moved] / np.sqrt(count)).all()
    assert relative_error(np.cov(steps.T), covariance) < 0.1  # sqrt(2 / 1500) = 0.04


# What is conserved ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("learning", "network"),
    [
        ({}, {"rank": 2, "outputs": 2}),
        ({"rates": {"z": 0.5, "u": 3.0}}, {}),
        ({"frozen": ["m"]}, {}),
        ({"frozen": ["z"]}, {}),
    ],
    ids=["two outputs", "rates", "m frozen", "z frozen"],
)
def test_flow_conserves_the_spectrum_of_the_lax_matrix(learning, network):
    d = derived(learning, dt=0.5, **network)
    sigma, trials = overlaps_of_weights(d, weights_of(d)), trials_of(d, 4)
    course = solve_ivp(_compiled(d).rhs, (0, 6), sigma, args=(trials,), method="DOP853", rtol=1e-12, atol=1e-13).y.T
    (pair,) = d.lax_pairs
    kept = [invariant for invariant in d.conserved if invariant.kind != FROZEN]
    assert len(kept) == len(pair.component.columns)
    scales = np.array([invariant.scale(sigma) for invariant in kept])
    values = evaluate(kept, course)
    assert np.abs(values - values[0]).max() < 1e-9 * scales.max()
    assert (np.abs(values[0]) <= scales).all()
    assert np.abs(course[-1] - sigma).max() > 0.1
    for invariant in kept[:2]:  # the polynomials, multiplied out, are conserved term by term
        assert pair.fields.moving(invariant.polynomial) == ()


def test_the_search_finds_the_first_and_no_other_of_degree_one():
    found = derived().invariants(2)
    first, frozen, *_ = found.generators
    s = derived().symbols
    assert sympy.expand(first.expression - (s["m_m"] + s["u_u"] - s["v_v"] - 2 * s["z_bz"])) == 0
    assert (found.dimensions[0], frozen.name, found.most) == (2, "bz_bz", 9)
    assert derived(nonlinearity="erf").conserves_nothing_else is False
    assert [invariant.name for invariant in derived(nonlinearity="erf").conserved] == ["bz_bz"]


def test_read_outs_come_to_lie_along_the_feedback():
    d = derived(dt=0.5)
    P = 0.1 * sample_weights(d, 200, 1.0, 0)
    P[:, d.reduction.index.slice("bz")] *= 10
    x = np.random.default_rng(1).standard_normal((32, 20, 1))
    y = 0.5 * np.cumsum(x * np.exp(0.3 * np.arange(20))[:, None], axis=1) * np.exp(-0.3 * np.arange(20))[:, None]
    run = symlow.learn(d, overlaps_of_weights(d, P), lr=0.05, steps=600, trials=(x, y))
    z_b, z_z, b_b = (run.sigma[:, d.overlaps.index(name)] for name in ("z_bz", "z_z", "bz_bz"))
    cosine = z_b / np.sqrt(z_z * b_b)
    assert abs(cosine[0]) < 0.2
    assert cosine[-1] > 0.5
    assert run.loss[-1] < 0.01 * run.loss[0]


# Its vectors and its words ------------------------------------------------------------------------------------------


def test_feedback_stands_beside_the_read_out():
    d = derived(outputs=2, nonlinearity="erf", means=True)
    feedback = d.network.vector("bz")
    assert isinstance(feedback, Feedback)
    assert (feedback.of, feedback.columns, feedback.trainable) == ("z", 2, False)
    assert [vector.name for vector in d.network.vectors] == ["m", "u", "v", "z", "bz", "one"]
    assert not any("bz" in name for name in d.visible)
    P = sample_weights(d, 300, 1.0, 0)
    assert 0.5 < gram_of_weights(d, P)[4, 4] < 2  # random, not zero as velocities are
    assert d.learning.exchanged == (0, 1, 2, 5, 6, 3, 4, 7)
    with pytest.raises(SpecError, match="feedback of no vectors"):
        GramFlow(derived({"rule": "gradient_descent"}).reduction.index, (), (), build_rule(d.spec.learning))


def test_linear_derivations_are_verified():
    certificate = symlow.verify(derived(outputs=2), steps=5)
    assert all(check.passed for check in certificate.checks)
    assert [s.validity for s in certificate.statements if "sent back" in s.text] == [EXACT]


def test_text_says_what_stands_for_the_gradient():
    text = str(derived({"clip": 0.3}))
    for line in (
        "4 loss-visible overlaps (g_x stands for the cotangent of x in the aligned backward pass)",
        "d z_bz/dt = c*(-m_bz g_z_m - u_bz g_z_u)",
        "g = c N grad_P^B L,   c = min(1, C / |N grad_P^B L|)",
        "flow:  dP/dt = -g D,   dSigma/dt = -2 c (D R^T Sigma + Sigma R D)",
        "Lax pair dLambda/dt = 2 [R, Lambda], Lambda = J E Sigma; J is +1 on m, u and -1 on v, z, bz",
    ):
        assert line in text
    assert "bz in place of z" in " ".join(derived().closure_report().summary)


def test_latex_shows_where_errors_are_sent_back(tmp_path):
    d = derived({"clip": 0.3}, rank=2, outputs=2, nonlinearity="erf")
    fragment = d.latex(fragment=True)
    for code in (
        r"R=ES",
        r"g(\Delta(t))\,\Sigma_{ub_{z}} \bar{y}",
        r"\bar\Sigma_{zu}",
        r"4\operatorname{tr}\,T R^{\top}\Sigma R",
    ):
        assert code in fragment
    assert r"\partial_{" not in fragment.replace(r"\partial_{\Delta}", "")
    compile_latex(d.latex(), tmp_path)


def test_structure_says_that_they_are_no_gradients():
    facts = {fact.name: fact for fact in derived().structure}
    assert "cotangents of the aligned backward pass" in facts["metric_visible"].statement
    assert facts["reachable_by_overlaps"].evidence["conserved"] == derived().invariants(1).most
    assert facts["function"].evidence["rank"] == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"task": {**EXPONENTIAL, "horizon": 5.0}}, "learning.rule: found 'feedback_alignment', .* a task of trials"),
        ({"learning": {"momentum": 0.9}}, "learning.momentum: found 0.9 with rule = 'feedback_alignment'"),
        ({"learning": {"frozen": ["bz"]}}, "bz"),
    ],
    ids=["filter", "momentum", "frozen feedback"],
)
def test_what_does_not_go_with_it_is_refused(content, message):
    learning = {"rule": "feedback_alignment", **content.get("learning", {})}
    with pytest.raises(SpecError, match=message):
        symlow.derive(
            symlow.Spec.model_validate(
                {"name": "example", "network": {"rank": 1}, "task": content.get("task", TRIALS), "learning": learning}
            )
        )


@pytest.mark.parametrize(
    ("name", "dynamics", "message"),
    [
        ("output_feedback", None, "the read-out vector 'z', which the equation of kappa_f contains"),
        ("rate_form", None, "an output that is made of kappa_z"),
        ("closed_loop", ["h' = -h + M*x + U*(V.T*h/N)", "y = M.T*h/N + 0*Z.T*h/N"], "'m', which carries activity too"),
        ("gated", ["h' = -h + M*x + U*(V.T*h/N)", "y = tanh(Z.T*h/N)"], "an output that is made of a function"),
    ],
    ids=["output feedback", "rate form", "tied", "gate"],
)
def test_read_outs_that_do_something_else_are_refused(name, dynamics, message):
    base = name if dynamics is None else "output_feedback"
    with pytest.raises(SpecError, match=message):
        architecture(base, dynamics)


def test_no_hessian_tells_its_stability():
    d = derived()
    with pytest.raises(LearningError, match="does not follow the gradient"):
        symlow.stability(d, overlaps_of_weights(d, weights_of(d)), trials_of(d, 0))
