"""The printed equations are right: a document of rank 1, read back as a program, gives the module's gradient."""

from __future__ import annotations

import re

import numpy as np
import pytest
import sympy

from symlow.nonlinearity import DELTA, MU
from tests.conftest import compiled, derived, random_trials, states

LETTERS = {
    r"\bar{\Delta}": "Deltabar",
    r"\bar{\mu}": "mubar",
    r"\bar{\Phi}": "Phibar",
    r"\bar{g}": "gbar",
    r"\bar{y}": "ybar",
    r"\partial_\Delta g": "g_Delta",
    r"\partial_\mu g": "g_mu",
    r"g'(\Delta(t))": "g_Delta(t)",
    r"\frac{\mathrm{d}t}{\tau}": " alpha ",
    r"\frac{\mathrm{d}t}{n}": " weight ",
    r"\frac{1}{2}": " 0.5 ",
    r"\mathbf{1}": "one",
    r"^{\top}": "",
    r"\odot": " ",
    r"\,": " ",
    r"\left": "",
    r"\right": "",
    r"\bigl": "",
    r"\bigr": "",
    r"\quad": "",
    r"\mu^{2}": " square ",
    r"\Delta": "Delta",
    r"\mu": "mu",
    r"\Phi": "Phi",
    "y^{*}": "target",
}


def rows(text, after):
    """The equations of the first align* that follows a text, as pairs of left-hand and right-hand side."""
    block = re.search(re.escape(after) + r".*?\\begin\{align\*\}\n(.*?)\\end\{align\*\}", text, re.DOTALL)[1]
    lines = block.replace("\\\\\n&\\quad", " ").replace("\\\\\n", "\n").strip().split("\n")
    return [tuple(side.strip() for side in line.split("&=")) for line in lines]


def python(code):
    """LaTeX of scalars as Python, with ``name[t+1]`` for a time, and products written out."""
    for moment, index in ((r"t+\mathrm{d}t", "t+1"), (r"t-\mathrm{d}t", "t-1")):
        code = re.sub(rf"g\(\\Delta\({re.escape(moment)}\)\)", f"g({index})", code).replace(moment, index)
    code = code.replace(r"g(\Delta(t))", "g(t)")
    for old, new in LETTERS.items():
        code = code.replace(old, new)
    code = re.sub(r"\\Sigma_\{([^{}]*)\}", r" S_\1 ", code)
    code = re.sub(r"\\(kappa|lambda)_\{(\w+)\}", r" \1_\2", code)
    code = code.replace("[", "(").replace("]", ")")
    code = re.sub(r"\((t(?:[+-]1)?)\)", r"[\1] ", code)
    code = re.sub(r"(?<=[\w\])])\s+(?=[\w(])", " * ", code.strip())
    return re.sub(r"\)\s*\(", ")*(", re.sub(r"(?<=[\]])\s*\(", "*(", code))


class Over(dict):
    """Values over time, zero beyond the trial."""

    def __missing__(self, moment):
        return 0.0


def functions(d):
    """Values of the gains and their slopes, from their closed forms."""
    phi = d.network.nonlinearity
    g = phi.gain if d.network.ones is None else phi.gain_with_mean
    forms = {"g": g, "g_Delta": sympy.diff(g, DELTA), "g_mu": sympy.diff(g, MU)}
    forms["Phi"] = sympy.Integer(0) if d.network.ones is None else phi.activity
    return {name: sympy.lambdify((MU, DELTA), form, ["scipy", "numpy"]) for name, form in forms.items()}


def gradient_as_printed(d, sigma, x, target, mask):
    """dL/dSigma of each block, following the document line by line."""
    text, steps = d.latex(scalars=False), x.shape[1]
    values = dict(zip(d.overlaps, sigma, strict=True))
    short = {f"S_{name.replace('_', '')}": float(value) for name, value in values.items()}
    forms, total = functions(d), {}
    compute = [(re.match(r"\w+", left)[0], right) for left, right in map(sides, rows(text, "In steps of"))]
    definitions = [(python(left), python(right)) for left, right in rows(text, "Gaussian over neurons")]
    backwards = [(re.match(r"\w+", left)[0], right) for left, right in map(sides, rows(text, "Backwards in time"))]
    for b in range(len(x)):
        scope = {name: Over() for name in ("g", "g_Delta", "g_mu", "Phi", "mu", "Delta", "a", "y", "x", "w", "target")}
        scope |= {
            name: Over() for name in re.findall(r"\b(?:kappa|lambda)_\w+|\w+bar\b", str(compute) + str(backwards))
        }
        scope |= {"alpha": float(d.network.dt / d.network.tau), "weight": float(d.network.dt) / len(x), **short}
        for t in range(steps):
            scope["x"][t], scope["target"][t], scope["w"][t] = x[b, t, 0], target[b, t, 0], mask[b, t, 0]
        for t in range(steps + 1):
            now = {**scope, **{name: scope[name][t] for name in scope if name.startswith("kappa")}, "square": 0.0}
            for name, right in definitions:
                now[name] = scope[name][t] = eval(right, now)
                now["square"] = now["mu"] ** 2 if name == "mu" else 0.0
            for name, form in forms.items():
                scope[name][t] = float(form(scope["mu"][t], scope["Delta"][t]))
            for name, right in compute if t < steps else ():
                if name != "y":
                    scope[name][t + name.startswith("kappa")] = eval(right, {**scope, "t": t})
        for t in range(steps):
            scope["y"][t] = eval(dict(compute)["y"], {**scope, "t": t})
        for name, right in backwards[:1]:
            scope[name].update({t: eval(right, {**scope, "t": t}) for t in range(steps)})
        for t in reversed(range(steps + 1)):
            for name, right in backwards[1:]:
                scope[name][t] = eval(right, {**scope, "t": t})
        for left, right in rows(text, "sum over times and trials"):
            block = python(re.search(r"\\partial (\\Sigma.*)\}$", left)[1]).strip().removeprefix("S_")
            front, term = right.split(r"\sum_t")
            term = python(front + " " + term)
            total[block] = total.get(block, 0.0) + sum(eval(term, {**scope, "t": t}) for t in range(steps + 1))
    return total


def sides(row):
    return python(row[0]), python(row[1])


@pytest.mark.parametrize("readout", ["after_update", "before_update", "updated_latents_previous_gain"])
@pytest.mark.parametrize("extra", [{}, {"bias": True, "means": True}], ids=["zero mean", "means"])
def test_the_document_computes_the_gradient(readout, extra):
    system = {"task": {"kind": "trials"}, "nonlinearity": "erf", "readout": readout, "dt": 0.5, **extra}
    d, module = derived(**system), compiled(**system)
    sigma = states(module, 1, seed=1)[0]
    if extra:
        sigma[module.OVERLAPS.index("one_one")] = 1.0
    x, y, mask = random_trials(d, batch=2, steps=6)
    expected = module.loss_gradient(sigma, (x, y, mask))
    printed = gradient_as_printed(d, sigma, x, y, mask)
    assert printed == pytest.approx(
        {name.replace("_", ""): g for name, g in zip(module.VISIBLE, expected, strict=True)}
    )
    assert np.abs(expected).min() > 0
