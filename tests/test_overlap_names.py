"""Overlaps in mathematical letters: by name and by network, in HTML, SVG, plots and the explorer, all the same."""

from __future__ import annotations

import functools
import unicodedata
from pathlib import Path
from xml.etree import ElementTree

import pytest
from markupsafe import Markup
from matplotlib.mathtext import MathTextParser

import symlow
from symlow.explorer.content import content
from symlow.formulas import Run, runs
from symlow.generate import specifications
from symlow.markup import formula
from symlow.overlap_names import column_latex, overlap_latex
from symlow.plot.labels import mathtext
from symlow.printing.notation import Notation
from symlow.report.labels import label, width
from symlow.rules import Companion
from tests.conftest import derived
from tests.test_report_parts import letters_of

SPECS = specifications(Path(__file__).parents[1] / "derivations")
WORDS = {
    "dynamics": ["h' = -h + U*a + WIN*x", "a = V.T*phi(h)/N", "y = WOUT.T*phi(h)/N"],
    "inputs": 2,
    "vectors": {"win": 2, "u": 1, "v": 1, "wout": 1},
    "nonlinearity": "erf",
}


@functools.cache
def at(path):
    """The derivation of a specification; without a file, of one whose vectors have names of several letters."""
    words = {"name": "words", "network": WORDS, "task": {"kind": "trials"}}
    return symlow.derive(symlow.Spec.load(path) if path else symlow.Spec.model_validate(words))


def is_plain(derivation):
    """Whether the names of its vectors are all that there is to know of them."""
    companions = any(isinstance(vector, Companion) for vector in derivation.network.vectors)
    return not derivation.network.ones and len(derivation.network.equations.populations) == 1 and not companions


def codes(derivation):
    """All overlaps of a derivation as LaTeX, by name."""
    notation = Notation(derivation.reduction.index)
    return {overlap.name: str(notation.doprint(overlap.symbol)) for overlap in derivation.ordered}


def test_a_name_alone_is_written_as_the_network_writes_it():
    derivations = [derivation for derivation in map(at, (*SPECS, None)) if is_plain(derivation)]
    assert len(derivations) >= 15
    for derivation in derivations:
        index, notation = derivation.reduction.index, Notation(derivation.reduction.index)
        assert {name: overlap_latex(name) for name in derivation.overlaps} == codes(derivation)
        assert [column_latex(column.label) for column in index.columns] == [notation.column(c) for c in index.columns]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("v1_u2", r"\sigma_{v_1u_2}"),
        ("z_m12", r"\sigma_{zm_{12}}"),
        ("m_m", r"\lVert m\rVert^2"),
        ("u1_u1", r"\lVert u_1\rVert^2"),
        ("qm_u2", r"\sigma_{\mathrm{qm}\cdot u_2}"),
        ("in_in", r"\lVert \mathrm{in}\rVert^2"),
    ],
)
def test_names(name, code):
    assert overlap_latex(name) == code


def test_what_only_the_network_knows():
    """Means, populations, velocities and feedback, whose names alone are words."""
    by_name = {path.stem: codes(at(path)) for path in SPECS}
    assert by_name["two_populations"]["zE_uE"] == r"\sigma_{z_Eu_E}"
    assert by_name["two_populations"]["mI_oneI"] == r"\langle m_I\rangle"
    assert by_name["two_populations"]["oneE_oneE"] == r"\lVert \mathbf{1}_E\rVert^2"
    assert by_name["rank1_momentum"]["m_qm"] == r"\sigma_{mq_{m}}"
    assert by_name["rank1_feedback_alignment"]["z_bz"] == r"\sigma_{zb_{z}}"


def test_entries_of_latents():
    """A number is that of the vector's column, and stands at it; an environment has its own letter."""
    expected = {
        "rank2_damped_oscillation": {"kappa_m": r"\kappa_{m}", "kappa_u2": r"\kappa_{u_2}"},
        "adaptation": {"kappa_u_h": r"\kappa_{u,h}"},
        "two_populations": {"kappa_uI": r"\kappa_{u_I}"},
        "closed_loop_double_integrator": {"kappa_e2": "e_{2}"},
    }
    for path in SPECS:
        notation = Notation(at(path).reduction.index)
        for name, code in expected.pop(path.stem, {}).items():
            assert notation.letter(name) == code
    assert not expected


# Renderings ----------------------------------------------------------------------------------------------------------


def plain(text):
    """The letters and signs of a text, whatever their size and weight."""
    return unicodedata.normalize("NFKC", text)


def in_plots(code):
    """What matplotlib sets of a formula, from the left to the right: it raises an error for what it cannot set."""
    return "".join(chr(glyph[2]) for glyph in MathTextParser("path").parse(mathtext(code)).glyphs)


@pytest.mark.parametrize("path", [*SPECS, None], ids=lambda path: path.stem if path else "words")
def test_every_rendering_of_an_overlap_has_the_same_letters(path):
    derivation = at(path)
    notation = Notation(derivation.reduction.index)
    columns = [str(notation.column(column)) for column in derivation.reduction.index.columns]
    for code in (*codes(derivation).values(), *columns):
        expected = plain(in_plots(code))
        assert sorted(filter(str.isalnum, expected)) == letters_of(code)
        assert plain(Markup(formula(code)).striptags()) == expected
        assert plain("".join(ElementTree.fromstring(f"<text>{label(code)}</text>").itertext())) == expected
    for overlap in derivation.ordered[: len(derivation.visible)]:
        assert in_plots(notation.gradient(overlap))


@pytest.mark.parametrize("network", [{"rank": 2}, {"means": True, "bias": True, "nonlinearity": "erf"}])
def test_labels_of_the_explorer_are_the_same_runs(network):
    d = derived({"kind": "trials"}, **network) if "means" in network else derived(**network)
    trials = None if "means" not in network else ([[[1.0]]], [[[1.0]]], None)
    given = content(d, None, trials, 0.01, 10, 0)["overlaps"]
    for overlap, code in zip(given, codes(d).values(), strict=True):
        found = runs(code)
        assert [(run["text"], run["italic"]) for run in overlap["label"]] == [(run.text, run.italic) for run in found]
        assert [run["scale"] for run in overlap["label"]] == pytest.approx([run.scale for run in found], abs=1e-3)
        assert [run["shift"] for run in overlap["label"]] == pytest.approx([run.shift for run in found], abs=1e-3)


def test_formulas_have_their_indices_below_the_line():
    assert runs(r"\sigma_{v_1u}") == [
        Run("σ", True),
        Run("v", True, "_"),
        Run("1", False, "__"),
        Run("u", True, "_"),
    ]
    assert [(run.text, run.script) for run in runs(r"\lVert m_E\rVert^2")] == [
        ("‖", ""),
        ("m", ""),
        ("E", "_"),
        ("‖", ""),
        ("2", "^"),
    ]
    assert [run.text for run in runs(r"\mathrm{in}\mathbf{1}")] == ["i", "n", "𝟏"]
    assert width(r"\sigma_{zm}") < width(r"\sigma_{z_1m_1}")


def test_formulas_as_html():
    assert formula(r"\sigma_{v_1u_2}") == "<i>σ</i><sub><i>v</i>₁<i>u</i>₂</sub>"
    assert formula(r"\lVert u_{12}\rVert^2") == "‖<i>u</i>₁₂‖<sup>2</sup>"
    assert formula(r"\sigma_{z_Em_E}") == "<i>σ</i><sub><i>z</i><sub><i>E</i></sub><i>m</i><sub><i>E</i></sub></sub>"
    assert formula(r"\kappa_{u_1,w}") == "<i>κ</i><sub><i>u</i>₁,<i>w</i></sub>"
    assert formula(r"\sigma_{\mathrm{in}\cdot u}") == "<i>σ</i><sub>in⋅<i>u</i></sub>"
    assert formula("a<b") == "<i>a</i>&lt;<i>b</i>"
