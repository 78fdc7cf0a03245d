"""LaTeX: documents compile with pdflatex, lines stay within the page, the fragment goes into another document."""

from __future__ import annotations

import math
import re
import shutil
import subprocess

import pytest

import symlow
from symlow.printing.notation import width
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


def compile_latex(text, folder):
    (folder / "document.tex").write_text(text)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120)
    return result.returncode, result.stdout


@needs_pdflatex
@pytest.mark.parametrize("name", SYSTEMS)
def test_document_compiles_within_the_page(name, tmp_path):
    code, log = compile_latex(derived(**SYSTEMS[name]).latex(), tmp_path)
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
    [("a", 1), (r"\sigma_{vu}", 2.3), (r"\frac{abc}{d}", 3.5), ("a + b", 3.9), (r"\left(a\right)", 3)],
)
def test_width_counts_glyphs(code, expected):
    assert width(code) == pytest.approx(expected, abs=0.1)
