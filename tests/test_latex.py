"""LaTeX: documents compile with pdflatex, lines stay within the page, the fragment goes into another document."""

from __future__ import annotations

import math
import re
import shutil
import subprocess

import pytest

import symlow
from symlow.printing.latex_lines import width
from tests.conftest import EXPONENTIAL, INTEGRATOR, NO_RESPONSE, OSCILLATION, derived, filters, spec

needs_pdflatex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed (Debian: texlive-latex-recommended)"
)

SYSTEMS = {
    "exponential": {"task": {**EXPONENTIAL, "horizon": 20.0}},
    "oscillation": {"task": {**OSCILLATION, "horizon": math.inf}, "tau": 2.0},
    "integrator": {"task": {**INTEGRATOR, "horizon": 5.0, "drive": "white_noise"}, "frozen": ("m", "z")},
    "rank 2": {"rank": 2, "task": {**OSCILLATION, "horizon": 20.0}, "readout": "before_update"},
    "pairs": {"inputs": 2, "outputs": 2, "task": filters(2, 2, (EXPONENTIAL, OSCILLATION, INTEGRATOR, NO_RESPONSE))},
    "trials": {"rank": 2, "inputs": 2, "task": {"kind": "trials", "loss": {"reduction": "masked_mean"}}},
    "rank 3": {"rank": 3, "inputs": 2, "outputs": 2, "task": filters(2, 2, (EXPONENTIAL, NO_RESPONSE))},
    "rank 8": {"rank": 8, "inputs": 2, "outputs": 2, "task": {"kind": "trials"}},
}

FLIP_FLOPS = {"kind": "flip_flop", "bits": 2}
CONTEXT = {"kind": "context_integration", "loss": {"reduction": "masked_mean", "factor": 1.0}}
TRIALS = {"kind": "trials"}
TWO = {"inputs": 2, "outputs": 2}
MEANS = {"means": True, "bias": True}
NONLINEAR = {
    "erf": {"nonlinearity": "erf", "readout": "updated_latents_previous_gain", "task": {"kind": "flip_flop"}},
    "relu": {"nonlinearity": "relu", "bias": True, "task": {"kind": "decision_making"}, "frozen": ("m",)},
    "tanh": {"nonlinearity": "tanh", "rank": 2, "task": FLIP_FLOPS, "readout": "before_update"} | TWO,
    "means": {"nonlinearity": "clip", "rank": 3, "inputs": 4, "task": CONTEXT, **MEANS},
    "scalars": {"nonlinearity": "cubic", "task": TRIALS, **MEANS},
    "rank 8": {"nonlinearity": "erf", "rank": 8, "task": TRIALS, **TWO, **MEANS},
}


def compile_latex(text, folder):
    (folder / "document.tex").write_text(text)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120)
    return result.returncode, result.stdout


@needs_pdflatex
@pytest.mark.parametrize(
    "system", [*SYSTEMS.values(), *NONLINEAR.values()], ids=[*SYSTEMS, *(f"nonlinear {n}" for n in NONLINEAR)]
)
def test_document_compiles_within_the_page(system, tmp_path):
    code, log = compile_latex(derived(**system).latex(), tmp_path)
    assert code == 0, log[-2000:]
    assert "Overfull" not in log
    assert "undefined" not in log


@needs_pdflatex
def test_every_scalar_equation_of_rank_8_on_request(tmp_path):
    d = derived(**SYSTEMS["rank 8"])
    text = d.latex(scalars=True)
    code, log = compile_latex(text, tmp_path)
    assert code == 0, log[-2000:]
    assert "Overfull" not in log
    assert text.count(r"\frac{\mathrm{d}}{\mathrm{d}t}") == 10 + len(d.overlaps)
    assert d.latex().count(r"\frac{\mathrm{d}}{\mathrm{d}t}") == 10


@needs_pdflatex
def test_fragment_goes_into_another_document(tmp_path):
    (tmp_path / "equations.tex").write_text(derived(rank=2).latex(fragment=True))
    frame = r"\documentclass[11pt]{article}\usepackage{amsmath,amssymb}\begin{document}\input{equations}\end{document}"
    code, log = compile_latex(frame, tmp_path)
    assert code == 0, log[-2000:]


def test_document_has_every_section():
    text = derived(**SYSTEMS["exponential"]).latex()
    for section in ("Model", "Reduction", "Loss-visible", "Gradient flow", "Finite steps", "Loss and its gradient"):
        assert rf"\section*{{{section}" in text
    assert (
        r"\frac{\mathrm{d}}{\mathrm{d}t}\sigma_{zm} &= -(\lVert m\rVert^2 + \lVert z\rVert^2)\,\partial_{zm}L" in text
    )
    assert r"\sigma_{vu}=1 - c^{*} \tau" in text
    assert "What is exact" in text


@needs_pdflatex
def test_any_reference_compiles(tmp_path):
    reference = 'Müller & Ångström – "σ_x", 50 % of \\alpha^2 ~ #1 {ŁΔ} 漢'
    given = symlow.Spec.model_validate({**spec().model_dump(), "reference": reference})
    code, log = compile_latex(symlow.derive(given).latex(), tmp_path)
    assert code == 0, log[-2000:]


def test_names_of_vectors_with_many_columns():
    text = derived(rank=12, task={"kind": "trials"}).latex(scalars=True)
    assert r"\sigma_{v_{11}u_{12}}" in text
    assert not re.search(r"_\d\d", text)


@pytest.mark.parametrize(
    ("code", "expected"),
    [("a", 1), (r"\sigma_{vu}", 2.4), (r"\frac{abc}{d}", 3.5), ("a + b", 3.9), (r"\left(a\right)", 3)],
)
def test_width_counts_glyphs(code, expected):
    assert width(code) == pytest.approx(expected, abs=0.1)


def nonlinear(nonlinearity="erf", task=TRIALS, scalars=False, **network):
    return derived(task=task, nonlinearity=nonlinearity, **network).latex(scalars=scalars)


@pytest.mark.parametrize(("name", "gain"), [
    ("erf", r"= \frac{1}{\sqrt{1 + \pi \Delta / 2}}"),
    ("erf_plain", r"= \frac{2}{\sqrt{\pi \left(1 + 2 \Delta\right)}}"),
    ("clip", r"= \operatorname{erf}{\left(\frac{1}{\sqrt{2 \Delta}} \right)}"),
    ("sin", r"= e^{- \Delta / 2}"),
    ("cubic", r"= 1 - \Delta"),
    ("sign", r"= \sqrt{\frac{2}{\pi \Delta}}"),
])  # fmt: skip
def test_gain_in_closed_form(name, gain):
    text = nonlinear(name)
    assert rf"g(\Delta) &= \mathrm{{E}}\bigl[\phi'(\sqrt{{\Delta}}\,\xi)\bigr] {gain}" in text
    assert "Chebyshev" not in text


def test_model_and_statistics():
    text = nonlinear()
    assert r"\phi(x) &= \operatorname{erf}{\left(\frac{\sqrt{\pi} x}{2} \right)}" in text
    assert (
        r"\Delta &= \kappa_{m}^{\top} \Sigma_{mm} \kappa_{m} + 2 \kappa_{m}^{\top} \Sigma_{mu} \kappa_{u}"
        r" + \kappa_{u}^{\top} \Sigma_{uu} \kappa_{u}" in text
    )
    assert r"\xi\sim\mathcal{N}(0,1)" in text


@pytest.mark.parametrize("name", ["tanh", "arctan"])
def test_gain_by_a_series(name):
    text = nonlinear(name)
    assert r"by a Chebyshev series, with a relative error below $10^{-12}$ for $\Delta\le10^{4}$" in text
    assert ("It has no closed form" in text) == (name == "tanh")
    assert (r"\operatorname{erfc}" in text) == (name == "arctan")


def test_constant_gain_is_a_factor():
    text = nonlinear("relu")
    assert r"g &= \mathrm{E}\bigl[\phi'(\sqrt{\Delta}\,\xi)\bigr] = \frac{1}{2}" in text
    assert r"a(t) &= \frac{1}{2}\bigl[\Sigma_{vm} \kappa_{m}(t) + \Sigma_{vu} \kappa_{u}(t)\bigr]" in text
    assert "is in $" not in text


@pytest.mark.parametrize(("readout", "gain", "latents"), [
    ("after_update", r"t+\mathrm{d}t", r"t+\mathrm{d}t"),
    ("before_update", "t", "t"),
    ("updated_latents_previous_gain", "t", r"t+\mathrm{d}t"),
])  # fmt: skip
def test_times_of_the_read_out(readout, gain, latents):
    text = nonlinear(readout=readout)
    assert rf"y(t) &= g(\Delta({gain}))\bigl[\Sigma_{{zm}} \kappa_{{m}}({latents}) + " in text
    assert rf"\sum_t g(\Delta({gain}))\,\bar{{y}}(t)\,\kappa_{{m}}({latents})^{{\top}}" in text
    assert ("gain of the state before" in text) == (gain != latents)


def test_means():
    text = nonlinear(scalars=True, **MEANS)
    assert r"-h + M\,x + U\,a + b" in text
    assert r"$P=[M\;U\;b\;V\;Z\;\mathbf{1}]$" in text
    assert r"\mu &= \Sigma_{m\mathbf{1}}^{\top} \kappa_{m}" in text
    assert r"\Phi(\mu,\Delta) &= \mathrm{E}\bigl[\phi(\mu+\sqrt{\Delta}\,\xi)\bigr] = \operatorname{erf}" in text
    assert r"- \mu(t)\,\Sigma_{v\mathbf{1}}\bigr] + \Phi(t)\,\Sigma_{v\mathbf{1}}" in text
    assert r"\bar{\mu}(t) &= \partial_\mu g(t)\,\bar{g}(t) - 2 \mu(t)\,\bar{\Delta}(t)" in text
    assert r"\frac{\mathrm{d}}{\mathrm{d}t}\langle z\rangle &=" in text
    assert r"{\mathrm{d}t}\lVert \mathbf{1}\rVert^2" not in text
    assert "Neither has a closed form" in nonlinear("tanh", means=True)


@pytest.mark.parametrize("rank", [1, 2])
def test_reasons_are_read_off_the_reduction(rank):
    text = nonlinear(means=True, rank=rank)
    reasons = dict(re.findall(r"^\$\\Sigma_\{(.*?)\}\$ & .* & (.*?) \\\\$", text, re.MULTILINE))
    assert {block for block, reason in reasons.items() if reason == r"is in $\Delta$"} == {"mm", "mu", "uu"}
    assert {block for block, reason in reasons.items() if reason == r"is in $\mu$"} == {r"m\mathbf{1}", r"u\mathbf{1}"}
    assert reasons["zm"] == "multiplies a latent in $y$"
    assert reasons["vu"] == r"multiplies a latent in $\kappa_{u}\to y$"
    assert reasons[r"v\mathbf{1}"] == r"multiplies the mean activity in $\kappa_{u}\to y$"
    assert reasons["zv"] == reasons["vv"] == "is in no equation that the output depends on"
    assert reasons[r"\mathbf{1}\mathbf{1}"] == "is a constant"


@pytest.mark.parametrize("extra", [{}, MEANS])
def test_matrix_form_is_the_same_at_every_rank(extra):
    def sections(rank):
        text = nonlinear(rank=rank, **extra)
        return re.findall(r"In steps of.*?\\section|Backwards in time.*?\\section", text, re.DOTALL)

    assert sections(1) == sections(2)
    assert len(sections(1)) == 2


@pytest.mark.parametrize("name", ["linear", "erf", "relu"])
def test_trials_are_backpropagated_without_matrices_of_a_linear_system(name):
    text = nonlinear(name)
    assert r"\lambda_{u}(t) &=" in text
    assert "pmatrix" not in text
    assert r"\bar A" not in text
    assert (r"\bar{\Delta}(t) &= g'(\Delta(t))\,\bar{g}(t)" in text) == (name == "erf")


def test_validity_of_each_statement():
    text, linear = nonlinear(), nonlinear("linear")
    assert "Validity of each statement" in text
    assert "Asymptotically exact." in text
    assert r"error that falls as $N^{-1/2}$" in text
    assert "it is part of the closure" in text
    assert r"exactly, for every learning rate" not in text
    assert "What is exact" in linear
    assert r"exactly, for every learning rate" in linear


def test_generated_task_in_a_line():
    text = nonlinear(task={"kind": "flip_flop", "bits": 2}, **TWO)
    assert r"\textbf{Task: flip flop.} Remember the sign of the last pulse in each channel" in text
    assert "are drawn at random, with bits = 2, duration = 20, pulse width = 0.5, pulse rate = 0.25;" in text
    assert "128 trials a batch, a new batch at each step of learning" in text
    assert "given trials" in nonlinear()
