"""The report: every derivation on a page that is whole, well-formed, reachable and asks nothing of any network."""

from __future__ import annotations

import functools
import inspect
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import Markup

import symlow
from symlow.cli.reporting import report as report_command
from symlow.colours import ON_DARK, ON_LIGHT, contrast
from symlow.errors import ArrayError, LearningError
from symlow.generate import specifications
from symlow.initial import overlaps_of_weights, sample_weights
from symlow.report.figures import figure
from symlow.report.prose import passages
from symlow.views import derive_file
from tests.conftest import EXPONENTIAL, INTEGRATOR, derived
from tests.test_cli import SMALL, fails, folder, works

__all__ = ["folder"]

ROOT = Path(__file__).parents[1]
SPECIFICATIONS = {path.stem: path for path in specifications(ROOT / "derivations")}
PAGES = (  # of each kind one: the equations of all are those of the committed LaTeX, which is read below
    "rank1_linear",
    "rank1_erf_flip_flop",
    "two_populations",
    "closed_loop_double_integrator",
    "rank1_momentum",
)
VOID = ("meta", "br", "hr", "img", "input", "link", "wbr")


class Page(HTMLParser):
    """A page read strictly: every element closed in order; what is in it, as lists."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.text = text
        self.open, self.elements, self.headings = [], [], []
        pieces = self.pieces = {}
        self.feed(text)
        self.close()
        assert self.open == []
        self.content = {key: "".join(texts) for key, texts in pieces.items()}

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(set(names)) == len(names), f"{tag} has an attribute twice"
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append((tag, dict(attributes).get("id")))

    def handle_startendtag(self, tag, attributes):
        raise AssertionError(f"{tag} closes itself, which HTML ignores")

    def handle_endtag(self, tag):
        assert self.open, f"{tag} closes nothing"
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for tag, name in self.open:
            for key in (tag, f"#{name}"):
                self.pieces.setdefault(key, []).append(data)
        if self.open and re.fullmatch("h[1-6]", self.open[-1][0]):
            self.headings.append((int(self.open[-1][0][1]), data))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


QUICK = {"verify": False, "explorer": False, "steps": 1}


@functools.cache
def small(**options):
    return symlow.report(derived({**EXPONENTIAL, "horizon": 5.0}), **{**QUICK, "steps": 3, **options})


def assert_well_formed(page):
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(names)) == len(names)
    for _, attributes in page.elements:
        assert set(attributes.get("aria-labelledby", "").split()) <= set(names)
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in names
        if "data-copies" in attributes:
            assert attributes["data-copies"] in names
    for tag in ("svg", "math"):
        for piece in re.findall(rf"<{tag}[ >].*?</{tag}>", page.text, re.DOTALL):
            ElementTree.fromstring(piece)
    assert 'class="unknown"' not in page.text


def assert_accessible(page):
    assert page.all("html") == [{"lang": "en"}]
    for picture in re.findall(r"<svg[ >].*?</svg>", page.text, re.DOTALL):
        root = ElementTree.fromstring(picture)
        if root.get("aria-hidden") == "true":  # words beside it say the same
            continue
        assert root.get("role") == "img"
        title, description = root[0], root[1]
        assert (title.tag, description.tag) == ("title", "desc")
        assert title.text
        assert description.text
        assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))
    assert all(button.get("type") == "button" for button in page.all("button"))
    for attributes in page.all("div"):
        if attributes.get("class") == "wide":  # what scrolls is reached by keys
            assert (attributes.get("tabindex"), attributes.get("role")) == ("0", "group")
            assert attributes["aria-label"]


def assert_asks_nothing(page):
    """No element loads anything: links are followed by people alone, and the page forbids the rest."""
    for tag, attributes in page.elements:
        assert not {"src", "srcset", "poster", "data", "background", "action", "formaction", "ping"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        if "href" in attributes and tag != "link":
            assert tag == "a"
            assert re.match(r"#|https://arxiv\.org/abs/\d", attributes["href"])
    assert page.all("link") == [{"rel": "icon", "href": "data:,"}]  # without one a browser asks for one
    assert not {"img", "iframe", "object", "embed", "video", "audio", "base"} & {tag for tag, _ in page.elements}
    assert not re.search(r"url\(|@import", page.content["style"])
    policy = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy[0].startswith("default-src 'none';")
    assert "http" not in policy[0]


def displayed(latex):
    """The displayed equations of a LaTeX document, by a reading of their own."""
    lines = "\n".join(line for line in latex.splitlines() if not line.startswith("%"))
    found = re.findall(r"\\\[(.*?)\\\]|(\\begin\{(?:align|gather)\*\}.*?\\end\{(?:align|gather)\*\})", lines, re.DOTALL)
    return [" ".join((short or long).split()) for short, long in found]


def explorer_of(text):
    """The section of the live explorer, which has tests of its own."""
    return re.search(r'<section class="symlow-explorer" id="explorer".*?</section>\n', text, re.DOTALL)[0]


def equations_of(html):
    """The LaTeX that displayed formulas carry."""
    found = re.findall(r'x-tex">(.*?)</annotation>', html, re.DOTALL)
    return [Markup(" ".join(code.split())).unescape() for code in found]


@pytest.mark.parametrize("name", PAGES)
def test_derivations_have_their_pages(name):
    d = derive_file(SPECIFICATIONS[name])
    page = Page(symlow.report(d, **QUICK))
    assert_well_formed(page)
    assert_accessible(page)
    assert_asks_nothing(page)
    assert len(page.text.encode()) < 1_000_000
    titles = [text for level, text in page.headings if level == 2]
    latex = d.latex()
    sections = re.findall(r"\\section\*\{([^}]*)\}", latex)
    assert titles == [
        "At a glance",
        *sections,
        "A learning run",
        "Verification",
        "The generated module",
        "The LaTeX document",
        "The specification",
    ]
    assert equations_of(page.text) == displayed(latex)
    assert page.content["#module-source"] == d.source()
    assert page.content["#latex-source"] == latex
    assert page.content["#learning"].split("\n")[2].startswith(f"G{d.rule.words[1:]} in overlap space")
    variance = "1" if d.network.equations.averages else "1/N"
    assert f"Gaussian entries of variance {variance}, seed 0" in page.content["#learning"]
    for name in ("gram", "metric", "chart-loss", "chart-output", "chart-visible", "chart-invisible"):
        assert f"#{name}-title" in page.content


@pytest.mark.parametrize("path", SPECIFICATIONS.values(), ids=SPECIFICATIONS)
def test_every_document_is_read_to_the_last_formula(path):
    """No command of any derivation is unknown, no equation is lost, and no LaTeX is left in the text."""
    latex = (ROOT / "generated" / path.parent.name / f"{path.stem}.tex").read_text()
    found = passages(latex)
    assert [passage.title for passage in found] == re.findall(r"\\section\*\{([^}]*)\}", latex)
    html = "".join(passage.content for passage in found)
    ElementTree.fromstring(f"<div>{html}</div>")
    assert equations_of(html) == displayed(latex)
    shown = re.sub(r"<annotation.*?</annotation>", "", html, flags=re.DOTALL)
    assert "unknown" not in shown
    assert not re.search(r"[\\$]|\{\}|<m[a-z]+[^>]*>\s*[{}&]", Markup(shown).unescape())


def test_the_same_derivation_gives_the_same_bytes_in_any_process(folder):
    here = symlow.report(symlow.derive(symlow.Spec.from_toml(SMALL)), steps=3)
    command = [sys.executable, "-m", "symlow.cli", "report", "small.toml", "-o", "page.html", "--steps", "3"]
    result = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "7"}, timeout=300, cwd=folder
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("wrote page.html (0.")
    assert (folder / "page.html").read_text() == here
    page = Page(here)
    assert_well_formed(page)
    assert_accessible(page)
    rows = re.findall(r'<th scope="row">([^<]*)</th>.*?<span class="verdict (\w+)">', page.text)
    assert len(rows) == 11
    assert {verdict for _, verdict in rows} == {"pass"}
    assert "11 of 11 checks passed" in page.content["#verification"]
    assert "11 of 11 checks passed" in page.content["#overview"]


def test_the_explorer_stands_before_the_module():
    text = small(explorer=True)
    page = Page(text)
    assert_well_formed(page)
    assert_accessible(page)
    assert_asks_nothing(page)
    titles = [title for level, title in page.headings if level == 2]
    assert titles[titles.index("Learning, live") + 1] == "The generated module"
    assert {"href": "#explorer"} in page.all("a")
    assert not re.search(r"""(?:src|href)=["']?(?!#)|fetch\(|XMLHttp|import\(""", explorer_of(text))
    sigma = overlaps_of_weights(d := derived({**EXPONENTIAL, "horizon": 5.0}), sample_weights(d, 500, 1.0, 0))
    assert f'"initial": {sigma.tolist()}' in explorer_of(text)  # where the learning run begins
    trials = symlow.report(derived({"kind": "trials"}), verify=False)
    assert "none were given here" in re.search(r'<section id="explorer".*?</section>', trials, re.DOTALL)[0]


def test_text_of_users_is_text(browser):
    reference = (
        """</title><!-- <script>alert(1)</script>" onload='x' */ & \\end{document} $y$ <b> arXiv:2605.04115 <i>"""
    )
    spec = derived({**EXPONENTIAL, "horizon": 5.0}).spec.model_copy(update={"reference": reference})
    text = symlow.report(symlow.derive(spec), **{**QUICK, "explorer": True})
    page = Page(text)
    assert_well_formed(page)
    assert_asks_nothing(page)
    assert len(page.all("script")) == 2
    shown = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL).replace("<i>P</i>", "").replace("<i>G</i>", "")
    assert "<i>" not in shown
    assert reference in page.content["header"]
    assert {"href": "https://arxiv.org/abs/2605.04115"} in page.all("a")
    browser.open(text)
    assert browser.complaints() == []
    assert browser.script("return document.scripts.length") == 2
    assert browser.script("return document.querySelector('.reference').textContent") == reference


def test_trials_that_are_given_are_learned_from():
    d = derived({"kind": "trials"})
    without = Page(symlow.report(d, verify=False, explorer=False))
    assert "none were given here" in without.content["#learning"]
    assert "svg" not in re.search(r'<section id="learning".*?</section>', without.text, re.DOTALL)[0]
    x = np.random.default_rng(0).standard_normal((2, 30, 1))
    page = Page(symlow.report(d, **QUICK, trials=(x, np.ones((2, 30, 1)), None)))
    assert_well_formed(page)
    assert "the first trial" in page.content["#chart-output-description"]
    with pytest.raises(ArrayError, match=r"^y: found shape"):
        symlow.report(d, **QUICK, trials=(x, np.ones((2, 29, 1)), None))
    with pytest.raises(LearningError, match=r"^steps: found 0"):
        symlow.report(derived(), **{**QUICK, "steps": 0})


def test_steps_that_the_loss_does_not_see_have_no_target():
    d = derived({"kind": "trials"})
    x = np.random.default_rng(0).standard_normal((2, 30, 1))
    mask = np.zeros((2, 30, 1))
    mask[1, 18:27] = 1
    mask[1, 22:] *= 3
    page = Page(symlow.report(d, **QUICK, trials=(x, np.where(mask > 0, 1.0, 100.0), mask)))
    sigma = overlaps_of_weights(d, sample_weights(d, 500, 1.0, 0))
    output = d.compile().outputs(sigma, x[1:])[0, 18:27, 0]
    distance = np.sqrt(np.average((output - 1) ** 2, weights=mask[1, 18:27, 0]))
    words = page.content["#chart-output-description"]
    assert "the first trial that the loss looks at;" in words
    assert f"difference {figure(distance)} before" in words
    assert "where the loss looks." in words
    target = re.search(r'<path d="([^"]*)" class="curve target"', page.text)[1]
    assert len(re.findall("[ML]", target)) == 9


def test_a_trial_that_no_page_can_hold_has_no_explorer():
    d = derived({"kind": "trials"})
    x = np.ones((1, 20_001, 1))
    page = Page(symlow.report(d, **{**QUICK, "explorer": True}, trials=(x, x, None)))
    assert "There is no explorer: trials: found 40002 numbers in each" in page.content["#explorer"]


def test_the_command_has_the_defaults_of_the_function():
    function, command = (inspect.signature(each).parameters for each in (symlow.report, report_command))
    shared = [name for name in function if name in command and name != "trials"]
    assert shared == ["verify", "explorer", "lr", "steps", "seed"]
    assert [function[name].default for name in shared] == [command[name].default for name in shared]


def test_what_is_infinite_has_a_page_too():
    """An integrator has an infinite loss over all time: there is nothing to learn from, and nothing to simulate."""
    page = Page(symlow.report(derived({**INTEGRATOR, "horizon": float("inf")}), explorer=False, steps=2))
    assert_well_formed(page)
    assert "earning leaves the finite numbers at once" in page.content["#learning"]
    assert page.content["#verification"].strip().startswith("Verification")
    assert "There is no verification: the loss is infinite at the initial weights" in page.content["#verification"]


def test_constants_are_neither_counted_nor_drawn():
    d = derived({"kind": "flip_flop", "batch": 2, "duration": 0.5}, nonlinearity="erf", means=True)
    assert "one_one" in d.invisible
    page = Page(symlow.report(d, **QUICK))
    words = " ".join(page.content["#overview"].split())
    invisible = len(d.invisible) - 1
    assert f"{len(d.overlaps) - 1} overlaps describe learning: {len(d.visible)} loss-visible" in words
    assert f"{invisible} loss-invisible ones, which only learning sees. 1 more is a constant." in words
    assert page.content["#chart-invisible-description"].startswith(f"{invisible} loss-invisible overlaps")


def test_learning_that_diverges_is_shown_as_far_as_it_goes():
    page = Page(small(lr=40.0))
    assert_well_formed(page)
    assert "to 2490 in 1 step; learning diverges at step 3" in page.content["#learning"]
    assert "not a number" not in page.content["#learning"]
    # Axes end where the curves do, and names begin there.
    loss = re.search(r"<svg[^>]*chart-loss-title.*?</svg>", page.text, re.DOTALL)[0]
    assert re.findall(r'text-anchor="middle">([\d.]+)</text>', loss) == ["0", "1"]
    # What is on its way to infinity leaves room for what came before.
    for kind in ("visible", "invisible"):
        assert "beyond 1000 times the largest overlap" in page.content[f"#chart-{kind}-description"]
        chart = re.search(rf"<svg[^>]*chart-{kind}-title.*?</svg>", page.text, re.DOTALL)[0]
        ticks = re.findall(r'<text [^>]*text-anchor="end">−?([\d.]+)</text>', chart)
        assert ticks
        assert max(map(float, ticks)) < 5000


def test_the_drift_of_conserved_quantities_is_that_of_the_run():
    text = re.search(r"<h3>What gradient flow conserves</h3>.*?</table>", small(lr=0.05, seed=3), re.DOTALL)[0]
    rows = re.findall(r'<th scope="row"><math>(.*?)</math></th><td class="number">(.*?)</td>', text)
    d = derived({**EXPONENTIAL, "horizon": 5.0})
    sigma = overlaps_of_weights(d, sample_weights(d, 500, 1.0, 3))
    run = symlow.learn(d, sigma, 0.05, 3)
    J = np.diag([1, 1, -1, -1])
    gram = d.compile().gram(run.sigma)
    assert ["".join(ElementTree.fromstring(f"<a>{name}</a>").itertext()) for name, _ in rows] == [
        *("trΛ", "trΛ2", "trΛ3", "trΛ4"),
    ]
    for power, (_, shown) in enumerate(rows, start=1):
        trace = np.trace(np.linalg.matrix_power(J @ gram, power), axis1=1, axis2=2)
        drift = np.abs(trace - trace[0]).max() / run.conserved[power - 1].scale(sigma)
        mantissa, _, exponent = shown.partition("·10")
        digits = exponent.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
        assert float(f"{mantissa}e{digits or 0}") == pytest.approx(drift, rel=0.06)


def test_colours_can_be_told_apart_in_both_themes():
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w{6})", block))
        for block in re.findall(r":root \{(.*?)\}", Page(small()).content["style"], re.DOTALL)
    )
    assert light.keys() == dark.keys()
    assert (light["visible"], light["invisible-edge"]) == ON_LIGHT  # as everywhere
    assert (dark["visible"], dark["invisible-edge"]) == ON_DARK
    explorer = re.findall(r"--(?:in)?visible: (#\w{6})", explorer_of(small(explorer=True)))
    assert tuple(explorer) == (*ON_LIGHT, *ON_DARK)
    words = ("ink", "soft", "link", "exact", "asymptotic", "closure", "fail")
    code = ("ink", "soft", "link", "comment", "string", "keyword", "number")
    for theme in (light, dark):
        assert all(contrast(theme[word], theme["paper"]) >= 4.5 for word in words)
        assert all(contrast(theme[word], theme["panel"]) >= 4.5 for word in code)
        assert all(contrast(theme[kind], theme[f"on-{kind}"]) >= 4.5 for kind in ("visible", "invisible", "constant"))
        assert all(contrast(theme[f"c{k}"], theme["paper"]) >= 3 for k in range(7))
        assert contrast(theme["visible"], theme["invisible"]) >= 3


def test_mistakes_are_one_line(folder):
    (folder / "page.html").write_text("mine")
    assert fails("report", "none.toml") == "error: none.toml: no such file; expected a specification (TOML)\n"
    assert "exists and was left as it is" in fails("report", "small.toml", "-o", "page.html", "--no-verify")
    assert (folder / "page.html").read_text() == "mine"
    for name, suffix in (("r.pdf", ".pdf"), ("noext", "")):
        assert f"{name}: found the suffix '{suffix}'; accepted, for a page of HTML: .html" in fails(
            "report", "none.toml", "-o", name
        )
        assert not (folder / name).exists()
    assert "steps: found 0" in fails("report", "small.toml", "--steps", "0", "--no-verify")
    assert not (folder / "small.html").exists()
    said = works("report", "small.toml", "-o", "page.html", "--no-verify", "--steps", "2", "--force")
    assert said.startswith("wrote page.html")
    assert "was not verified" in (folder / "page.html").read_text()
