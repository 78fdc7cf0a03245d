"""Representations in notebooks: HTML whose text is escaped and whose colours are the page's, LaTeX as in documents."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from markupsafe import Markup

import symlow
from symlow.certificate import Certificate, Check, Measurement
from symlow.derivation import Statement
from symlow.markup import MOST_ROWS, element, joined, table
from symlow.printing.html import overlap_table
from tests.conftest import compiled, derived, random_trials, spec, states, weights

HOSTILE = "<script>alert('x')</script> & \"quoted\" </td></table>"


class Reader(HTMLParser):
    """Reads HTML: tags with their attributes, text of cells; fails if tags are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.cells, self.rows, self.headings = [], [], [], 0, []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "br":
            return
        self.open.append(tag)
        self.rows += tag == "tr"
        if tag in ("td", "th", "caption"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.cells and {"td", "th", "caption"} & set(self.open):
            self.cells[-1] += data


def assert_plain(html):
    """No scripts, links or sources, no backgrounds, letters in the page's own colour but for the squares."""
    reader = Reader(html)
    for tag, attributes in reader.tags:
        assert tag in {"table", "caption", "thead", "tbody", "tr", "th", "td", "span", "code", "i", "b", "p"} | {
            "sub",
            "sup",
            "br",
        }
        assert set(attributes) <= {"scope", "style", "colspan", "aria-hidden"}
        assert "background" not in attributes.get("style", "")
        if "color:" in attributes.get("style", ""):
            assert attributes["aria-hidden"] == "true"
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
    return reader


@pytest.fixture(scope="module")
def certificate():
    checks = (Check(HOSTILE, 1e-16, 1e-12, HOSTILE, True), Check("other", 1.0, 1e-3, "why", False))
    measured = (Measurement(HOSTILE, 0.25, HOSTILE),)
    return Certificate("name", "0" * 64, "0.1", {}, (Statement(HOSTILE, "exact"),), checks, measured)


def test_text_is_escaped_and_html_is_not():
    escaped = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;quoted&#34; &lt;/td&gt;&lt;/table&gt;"
    assert element("b", HOSTILE, aria_label=HOSTILE, class_="a") == f'<b aria-label="{escaped}" class="a">{escaped}</b>'
    assert element("p", element("b", HOSTILE), title=None) == f"<p><b>{escaped}</b></p>"
    assert joined(("<", Markup("<br>"), 1), "&") == "&lt;&amp;<br>&amp;1"
    reader = assert_plain(table(HOSTILE, (HOSTILE, "b"), [(HOSTILE, HOSTILE)]))
    assert reader.cells == [HOSTILE, HOSTILE, "b", HOSTILE, HOSTILE]


def test_rows_beyond_what_is_read_are_counted():
    reader = assert_plain(table("many", ("a", "b"), [(k, k) for k in range(MOST_ROWS + 5)]))
    assert reader.rows == MOST_ROWS + 2
    assert reader.cells[-1] == "and 5 more"


def test_a_hostile_reference_stays_text():
    text = spec().model_copy(update={"reference": HOSTILE})
    d = symlow.derive(text)
    for html in (text._repr_html_(), d._repr_html_()):
        assert "<script" not in html
        assert "&lt;script&gt;" in html
        assert_plain(html)


def test_derivations_show_every_overlap_with_its_kind():
    d = derived(rank=2)
    reader = assert_plain(overlap_table(d))
    assert reader.cells[0] == "21 overlaps, 9 of them loss-visible (g_x stands for dL/dx)"
    assert [cell for cell in reader.cells if cell.endswith("visible")].count("■ loss-visible") == 9
    assert "d v1_u2/dt = " in " ".join(reader.cells)
    assert "exact" in assert_plain(d._repr_html_()).cells


def test_velocities_are_said_to_move_in_steps_only():
    tables = {**spec().model_dump(), "learning": {"rule": "momentum", "momentum": 0.9}}
    d = symlow.derive(symlow.Spec.model_validate(tables))
    assert "only steps move velocities" in assert_plain(overlap_table(d)).cells


def test_specifications_show_what_is_set():
    reader = assert_plain(spec(rank=2)._repr_html_())
    assert reader.cells[reader.cells.index("network.rank") + 1] == "2"
    assert "task.decay" in reader.cells
    assert not any("readout" in cell for cell in reader.cells)


def test_certificates(certificate):
    reader = assert_plain(certificate._repr_html_())
    assert reader.cells[0] == "name: 1 of 2 checks passed"
    assert reader.cells.count(HOSTILE) == 5
    assert {"pass", "FAIL", "1.0e-16", "0.25"} <= set(reader.cells)


def test_runs():
    d, module = derived(), compiled()
    sigma = states(module, 3)
    one = assert_plain(symlow.learn(d, sigma[0], 0.01, 5)._repr_html_())
    assert "σzm" in one.cells
    assert f"{sigma[0][0]:.4g}" in one.cells
    many = assert_plain(symlow.learn(d, sigma, [0.01, 0.02, 0.03], 5)._repr_html_())
    assert many.rows == 4
    assert "0.03" in many.cells
    assert "took all steps" in many.cells


def test_stability_and_drift():
    d, module = derived(), compiled()
    result = symlow.stability(d, states(module, 2))
    reader = assert_plain(result._repr_html_())
    assert reader.rows == 3
    assert f"{result.sharpness[1]:.4g}" in reader.cells
    nonlinear = derived({"kind": "trials"}, nonlinearity="erf")
    trials = random_trials(nonlinear, steps=6)
    run = symlow.drift(nonlinear, weights(nonlinear), 0.01, 2, lambda k: trials)
    reader = assert_plain(run._repr_html_())
    assert f"{run.kurtosis[-1, 0]:+.2f}" in reader.cells


def test_explanations():
    reader = assert_plain(derived().explain("v_u")._repr_html_())
    assert any(cell == "-g_v_u*v_v" for cell in reader.cells)
    at_rest = assert_plain(derived(frozen=("v",)).explain("v_v")._repr_html_())
    assert at_rest.cells[-2:] == ["0", "nothing moves it"]


# LaTeX ---------------------------------------------------------------------------------------------------------------


def test_flow_is_that_of_documents():
    d = derived()
    document = re.sub(r"\s+", " ", d.latex(fragment=True))
    body = re.fullmatch(r"\$\\displaystyle \\begin{aligned} (.*) \\end{aligned}\$", d.flow._repr_latex_())[1]
    assert [row for row in body.split(r" \\ ") if row not in document] == []
    assert d._repr_latex_() == d.flow._repr_latex_()
    blocks = d.block_flow._repr_latex_()
    assert blocks.count("&=") == len(d.block_flow) == 10


def test_shown_values_are_those_of_the_derivation():
    d = derived(rank=2)
    assert d.metric == d.learning.metric
    assert d.metric.visible_block.shape == (9, 9)
    assert d.metric._repr_latex_().count(" & ") == 21 * 8
    assert d.metric._repr_latex_().count(r"\hline") == 1
    assert dict(d.flow) == {name: d.learning.equation(d.reduction.index[name]) for name in d.overlaps}
    assert dict(d.finite_step) == {name: d.learning.finite_step(d.reduction.index[name]) for name in d.overlaps}
    assert d.block_flow["v", "u"] == d.learning.block_equation("v", "u")
    steps = d.finite_step._repr_latex_()
    assert steps.count("^+ &=") == 21
    assert r"\eta^{2}\,(" in steps


def test_metrics_that_sympy_makes_of_a_metric_are_shown_too():
    d = derived()
    for other in (d.metric.T, 2 * d.metric, d.metric.subs(d.reduction.index["m_m"].symbol, 1)):
        assert type(other) is type(d.metric)
        assert "begin{matrix}" in other._repr_latex_()
    assert "hline" in d.metric._repr_latex_()


def test_large_systems_are_not_written_out():
    d = derived(rank=4)
    assert d.metric._repr_latex_() is None
    assert derived(rank=5).flow._repr_latex_() is None
    assert d.metric.shape == (55, 25)
