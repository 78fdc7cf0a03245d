"""Filter losses as formulas: against the generated module, the published formula, their limit and their minimum."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import sympy

from tests.conftest import EXPONENTIAL, INTEGRATOR, NO_RESPONSE, OSCILLATION, compiled, derived, filters, states

INF = {"horizon": math.inf}
TASKS = {
    "exponential": {**EXPONENTIAL, **INF, "amplitude": 1.3},
    "oscillation": {**OSCILLATION, **INF},
    "exponential, finite": {**EXPONENTIAL, "horizon": 5.0},
    "oscillation, finite": {**OSCILLATION, "horizon": 5.0},
    "integrator, finite": {**INTEGRATOR, "horizon": 5.0},
}


def value(d, expression, sigma):
    point = {overlap.symbol: sympy.Float(float(s), 30) for overlap, s in zip(d.ordered, sigma, strict=True)}
    return complex(expression.subs(d.parameters).subs(point).doit().evalf(25))


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("readout", ["after_update", "before_update"])
def test_formula_is_what_the_module_evaluates(name, readout):
    task = TASKS[name]
    d, module = derived(task, readout=readout, tau=1.25), compiled(task, readout=readout, tau=1.25)
    for sigma in states(module, 3):
        found = value(d, d.loss_expression, sigma)
        assert found.imag == pytest.approx(0, abs=1e-15)
        assert found.real == pytest.approx(float(module.loss(sigma)), rel=1e-12)


def test_formula_of_several_pairs_is_the_sum_over_pairs():
    task = filters(2, 2, (EXPONENTIAL, OSCILLATION, NO_RESPONSE), horizon=math.inf)
    d, module = derived(task, inputs=2, outputs=2), compiled(task, inputs=2, outputs=2)
    sigma = states(module, 1)[0]
    assert value(d, d.loss_expression, sigma).real == pytest.approx(float(module.loss(sigma)), rel=1e-12)


def test_limit_of_small_steps_is_the_published_formula():
    # math.md, section 7, at tau = 1 and amplitude 1.
    d = derived({**EXPONENTIAL, **INF})
    zm, zu, vm, vu = (d.symbols[name] for name in d.visible)
    K, c, target = zu * vm, 1 - vu, sympy.Symbol("c_star", real=True)
    published = (
        zm**2 / 2
        + zm * K / (1 + c)
        + K**2 / (2 * c * (1 + c))
        - 2 * zm / (1 + target)
        - 2 * K / ((1 + c) * 0 + (1 + target) * (c + target))
        + 1 / (2 * target)
    )
    found = d.pair_formulas[0].squared_error.subs({"tau": 1, sympy.Symbol("tau", positive=True): 1})
    found = found.subs(sympy.Symbol("a_star", real=True), 1)
    assert sympy.simplify(found - published) == 0


def test_discrete_formula_tends_to_the_continuous_one_linearly_in_dt():
    d = derived({**OSCILLATION, **INF})
    formula = d.pair_formulas[0]
    sigma = states(compiled({**OSCILLATION, **INF}), 1)[0]
    dt = sympy.Symbol("dt", positive=True)
    parameters = {key: v for key, v in d.parameters.items() if key != dt}
    point = dict(zip((o.symbol for o in d.ordered), (sympy.Float(s, 30) for s in sigma), strict=True))
    limit = formula.squared_error.subs(parameters).subs(point).doit().evalf(25)
    steps = [sympy.Rational(1, 10 * 2**k) for k in range(5)]
    errors = [
        abs(formula.squared_error_discrete.subs({**parameters, dt: h}).subs(point).doit().evalf(25) - limit)
        for h in steps
    ]
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert orders[-1] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", ["exponential", "exponential, finite", "integrator, finite"])
def test_minimum_has_no_loss_and_no_gradient(name):
    task = TASKS[name]
    d, module = derived(task), compiled(task)
    (family,) = d.pair_formulas[0].minimum_discrete
    free = {symbol: sympy.Rational(7, 10) for s in family.values() for symbol in s.free_symbols if symbol not in family}
    sigma = np.zeros(len(d.overlaps))
    for k, overlap in enumerate(d.ordered):
        if overlap.symbol in family or overlap.symbol in free:
            expression = family.get(overlap.symbol, free.get(overlap.symbol))
            sigma[k] = float(expression.subs(d.parameters).subs(free).subs(d.parameters))
    assert abs(module.loss(sigma)) < 1e-15
    assert np.abs(module.loss_gradient(sigma)).max() < 1e-12


def test_minimum_is_the_published_one():
    d = derived({**EXPONENTIAL, **INF})
    (family,) = d.pair_formulas[0].minimum
    a, c, tau = sympy.Symbol("a_star", real=True), sympy.Symbol("c_star", real=True), sympy.Symbol("tau", positive=True)
    zm, zu, vm, vu = (d.symbols[name] for name in d.visible)
    assert sympy.expand(family[vu] - (1 - c * tau)) == 0
    assert sympy.expand(family[zm] - a * tau) == 0
    assert sympy.expand(family[vm] * zu - a * tau * (1 - c * tau)) == 0


def test_target_with_more_modes_than_the_network_has_no_exact_minimum():
    assert derived({**OSCILLATION, **INF}).pair_formulas[0].minimum == ()


@pytest.mark.parametrize("point", [{"v_u": 0}, {"v_u": 0, "v_m": 0}, {"v_u": sympy.Rational(4, 5)}])
def test_formula_is_regular_where_eigenvalues_coincide(point):
    # Partial fractions divide by sigma_vu (the two modes of the network) and by c - 1 + sigma_vu (network and target).
    task = TASKS["exponential"]
    d, module = derived(task), compiled(task)
    sigma = states(module, 1)[0]
    for name, number in point.items():
        sigma[d.overlaps.index(name)] = float(number)
    assert value(d, d.loss_expression, sigma).real == pytest.approx(float(module.loss(sigma)), rel=1e-12)


def test_integrator_over_an_infinite_horizon_has_infinite_loss():
    assert derived({**INTEGRATOR, **INF}).loss_expression == sympy.oo


def test_no_formula_where_modes_are_not_explicit():
    assert derived({**OSCILLATION, **INF}, rank=2).loss_expression is None
    assert derived({"kind": "trials"}).loss_expression is None
