"""The JavaScript module: the numbers of the NumPy module, in Chromium and, where it is installed, in Node.js."""

import ast
import functools
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.special

import symlow
from symlow.codegen.javascript import module_source
from symlow.codegen.javascript_syntax import javascript
from symlow.errors import SpecError
from symlow.generate import specifications
from tests.browser import in_node
from tests.conftest import compiled, derived, random_trials, spec, states
from tests.test_cli import run

DERIVATIONS = Path(__file__).parents[1] / "derivations"
GENERATED = DERIVATIONS.parent / "generated"
TEMPLATES = Path(symlow.__file__).parent / "codegen" / "templates" / "javascript"
LR = 0.05

PROGRAM = """
const sigma = Float64Array.from(GIVEN.sigma);
const numbers = (value) => Array.from(typeof value === "number" ? [value] : value, String);
const found = GIVEN.goals.map((goal) => {
  const trials = goal && (goal.x ? goal : task(goal));
  const { loss: value, gradient } = lossAndGradient(sigma, trials);
  const all = [loss(sigma, trials), value, lossGradient(sigma, trials), gradient, rhs(0, sigma, trials)];
  all.push(step(sigma, GIVEN.lr, trials));
  if (trials && trials.x) all.push(outputs(sigma, trials));
  return all.map(numbers);
});
export { found as default };
"""


def flat(array):
    return None if array is None else np.ravel(array).tolist()


def as_given(goal):
    """A goal of learning as JavaScript gets it: none, parameters of a task by name, or trials."""
    if goal is None or isinstance(goal, dict):
        return goal
    x, y, mask = goal
    return {"x": flat(x), "y": flat(y), "mask": flat(mask), "batch": x.shape[0], "time": x.shape[1]}


@functools.cache
def source():
    """The module of the simplest derivation."""
    return module_source(derived())


def committed(path):
    """The NumPy module of a derivation that is in the repository, and checked for drift elsewhere."""
    file = (GENERATED / path.parent.name / path.stem).with_suffix(".py")
    found = importlib.util.spec_from_file_location(f"committed_{path.stem}", file)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def numpy_numbers(module, sigma, goal):
    trials = module.task(**goal) if isinstance(goal, dict) else goal
    loss, gradient = module.loss(sigma, trials), module.loss_gradient(sigma, trials)
    numbers = [loss, loss, gradient, gradient, module.rhs(0.0, sigma, trials), module.step(sigma, LR, trials)]
    return numbers if goal is None or isinstance(goal, dict) else [*numbers, module.outputs(sigma, trials[0])]


def assert_numbers_of_numpy(browser, derivation, module, goals, tolerance=1e-13, node=False):
    """Compare all functions; the closed form's loss is a difference, whose digits are those of the responses."""
    sigma = states(module, 1)[0]
    given = {"sigma": flat(sigma), "goals": [as_given(goal) for goal in goals], "lr": LR}
    module_text = module_source(derivation)
    assert all(len(line) <= 120 for line in module_text.splitlines())
    text = f"{module_text}\nconst GIVEN = {json.dumps(given)};\n{PROGRAM}"
    for found in (browser.default_export(text), in_node(text) if node else None):
        for goal, numbers in zip(goals, found or [], strict=found is not None):
            for number, expected in zip(numbers, numpy_numbers(module, sigma, goal), strict=True):
                values = np.array(number, dtype=float)
                np.testing.assert_array_equal(np.isfinite(values), np.isfinite(np.ravel(expected)))
                size = np.max(np.abs(expected))
                np.testing.assert_allclose(values, np.ravel(expected), rtol=0, atol=tolerance * max(size, 0.1))


@pytest.mark.parametrize("path", specifications(DERIVATIONS), ids=lambda path: path.stem)
def test_every_derivation_has_the_numbers_of_the_numpy_module(browser, path):
    derivation = symlow.derive(symlow.Spec.load(path))
    module = committed(path)
    x, y, mask = random_trials(derivation, batch=2, steps=12)
    goals = [(x, y, mask), (x, y, None)]
    if hasattr(module, "task"):
        parameters = {symbol: float(value) for symbol, value in derivation.loss.parameters.items()}
        names = derivation.loss.parameter_names
        goals += [None, {names[symbol]: value + 0.1 for symbol, value in parameters.items()}]
    assert_numbers_of_numpy(browser, derivation, module, goals, node=path.parent.name == "ger_barak_2026")


@pytest.mark.parametrize(
    ("phi", "means"),
    [("arctan", False), ("sign", False), ("tanh(x) + 0.1*x", False), ("clip", True), ("x**3/3 - x", True)],
)
def test_gains(browser, phi, means):
    network = {"nonlinearity": phi, "means": means, "readout": "before_update"}
    task = {"kind": "trials", "loss": {"reduction": "masked_mean"}}
    derivation = derived(task, **network)
    assert_numbers_of_numpy(browser, derivation, compiled(task, **network), [random_trials(derivation, 2, 9)], 1e-12)


@pytest.mark.parametrize(
    "learning",
    [
        {"rule": "nesterov", "momentum": 0.7, "clip": 0.01, "weight_decay": 0.2},
        {"rule": "feedback_alignment", "clip": 0.3, "rates": {"m": 0.5}},
        {"clip": 100.0, "frozen": ["m"]},
    ],
    ids=["nesterov", "feedback", "frozen"],
)
def test_rules(browser, learning):
    tables = spec({"kind": "trials"}, nonlinearity="erf").model_dump() | {"learning": learning}
    derivation = symlow.derive(symlow.Spec.model_validate(tables))
    assert_numbers_of_numpy(browser, derivation, derivation.compile(), [random_trials(derivation, 2, 9)])


def test_an_infinite_horizon_has_a_closed_form_where_responses_decay(browser):
    task = {"kind": "damped_oscillation", "decay": 0.3, "frequency": 1.0, "horizon": float("inf")}
    derivation = symlow.derive(spec(task))
    module = derivation.compile()
    sigma = states(module, 2)
    sigma[:, list(module.OVERLAPS).index("v_u")] = [0.1, 3.0]  # decaying, growing
    text = f"{module_source(derivation)}\nconst sigmas = {json.dumps(sigma.tolist())};\n"
    text += "const numbers = (sigma) => [loss(sigma), ...lossGradient(sigma)].map(String);\n"
    text += "const found = sigmas.map(numbers);\nexport { found as default };\n"
    found = np.array(browser.default_export(text), dtype=float)
    expected = np.column_stack([module.loss(sigma), module.loss_gradient(sigma)])
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    assert np.isfinite(found[0]).all()
    assert found[1, 0] == np.inf


def test_the_error_function(browser):
    x = np.concatenate([np.linspace(-7, 7, 1401), [2.0, np.nextafter(2.0, 0), 1e-300, 0.0, 6.5, np.inf]])
    text = (TEMPLATES / "erf.js.jinja").read_text()
    given = json.dumps(x[:-1].tolist())
    text += f"const found = [...{given}, Infinity].map((x) => String(erf(x)));\nexport {{ found as default }};\n"
    found = np.array(browser.default_export(text), dtype=float)
    np.testing.assert_allclose(found, scipy.special.erf(x), rtol=1e-15, atol=0)


@pytest.mark.parametrize(
    "expression",
    [
        *("a - (b - c)", "a / (b * c)", "a / b * c", "-a**2", "(-a)**2", "-(a + b) * -c", "a**-2", "(a + b)**5"),
        *("2 * a**3", "1 / np.sqrt(c) + np.arctan(a) - np.log(b)", "c**0.25", "1e-100 + 1.0 * -2.5"),
    ],
)
def test_expressions_keep_their_meaning(browser, expression):
    a, b, c = values = (0.7, 1.9, 2.3)
    power = "const power = (base, n) => base ** n;"
    code = f"{power} const [a, b, c] = {list(values)}; const found = {javascript(expression)};"
    found = browser.default_export(f"{code} export {{ found as default }};")
    assert found == pytest.approx(eval(expression, {"np": np, "a": a, "b": b, "c": c}), rel=1e-15)


def test_what_kernels_do_not_contain_is_not_guessed_at():
    for expression in ("a if b else c", "a // b", "f(x=1)", "[a]"):
        ast.parse(expression)
        with pytest.raises(ValueError, match="no JavaScript is known for"):
            javascript(expression)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("loss([1, 2])", "sigma: found 2 numbers, expected 10"),
        ("loss(new Array(10).fill(1), {x: [1], y: [1], batch: 1, time: 2})", "x: found 1 numbers, expected 2"),
        ("loss(new Array(10).fill(1), {x: [1], batch: 1, time: 1})", "y: found no numbers, expected 1"),
        ("outputs(new Array(10).fill(1), null)", "trials: found none, expected {x, y, mask, batch, time}"),
        (
            "outputs(new Array(10).fill(1), {x: [], batch: 0, time: 3})",
            "trials: found batch 0 and time 3, expected at least 1 of each",
        ),
    ],
)
def test_wrong_arguments(browser, call, message):
    text = f"{source()}\nlet found = null; try {{ {call}; }} catch (error) {{ found = String(error); }}"
    assert browser.default_export(f"{text}\nexport {{ found as default }};") == f"RangeError: {message}"


def test_a_reference_cannot_end_the_comment_that_it_stands_in(browser):
    tables = spec().model_dump() | {"reference": "*/ throw 1; /* </script><!--"}
    derivation = symlow.derive(symlow.Spec.model_validate(tables))
    text = module_source(derivation)
    assert "</script" not in text
    assert "<!--" not in text
    assert browser.default_export(f"{text}\nexport {{ DT as default }};") == 0.05


def test_the_text_is_the_same_whatever_the_hash_seed():
    path = DERIVATIONS / "ger_barak_2026" / "rank2_damped_oscillation.toml"
    program = (
        "import sys, symlow; d = symlow.derive(symlow.Spec.load(sys.argv[1])); print(d.source('javascript'), end='')"
    )
    environment = os.environ | {"PYTHONHASHSEED": "3"}
    arguments = [sys.executable, "-c", program, str(path)]
    again = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=True).stdout
    assert again == symlow.derive(symlow.Spec.load(path)).source("javascript")


def test_the_backend_is_text_alone():
    assert source() == derived().source("javascript")
    with pytest.raises(SpecError, match=r"backend 'javascript': .*cannot import.*accepted: numpy, numba, jax, auto"):
        derived().compile("javascript")
    assert derived().source("auto").startswith('"""')


def test_a_generated_file_runs_on_its_own(browser, tmp_path):
    path = DERIVATIONS / "ger_barak_2026" / "rank1_linear.toml"
    result = run("generate", "--backend", "javascript", path, "-o", tmp_path)
    assert result.returncode == 0, result.stderr
    (found,) = tmp_path.rglob("rank1_linear.mjs")
    sigma = states(symlow.derive(symlow.Spec.load(path)).compile(), 1)[0]
    text = f"{found.read_text()}\nconst found = [loss({json.dumps(sigma.tolist())})];\n"
    expected = [symlow.derive(symlow.Spec.load(path)).compile().loss(sigma)]
    for number in (browser.default_export(f"{text}export {{ found as default }};"), in_node(text)):
        assert number is None or number == pytest.approx(expected, rel=1e-12)


def test_more_overlaps_than_are_written_out():
    with pytest.raises(
        SpecError, match=r"backend 'javascript': found 441 loss-visible overlaps, accepted: at most 400"
    ):
        module_source(derived(rank=20))
