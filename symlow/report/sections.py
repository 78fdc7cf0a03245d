"""The sections that are written for the page: each a function from a derivation, or what was done with it, to HTML."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from symlow.certificate import Certificate
from symlow.derivation import Derivation
from symlow.invariants.invariant import FROZEN
from symlow.metric_contents import is_constant
from symlow.printing.latex_conserved import Conserved
from symlow.printing.notation import Notation
from symlow.printing.tasks import task_name
from symlow.report.charts import MOST_NAMED
from symlow.report.figures import figure, figures_in
from symlow.report.markup import element, joined, scrolling
from symlow.report.mathml import mathml
from symlow.report.matrices import Picture, gram_picture, metric_picture
from symlow.report.prose import Passage
from symlow.report.python_source import coloured, public_functions
from symlow.report.runs import Demonstration, learning_charts
from symlow.rules import Velocity
from symlow.spec import FORMAT
from symlow.spec_trials import GeneratedTask
from symlow.version import __version__

WITH_GRAM = "Loss-visible and loss-invisible overlaps"
WITH_METRIC = ("Gradient flow of the overlaps", "Flow of the overlaps")
"""Sections of the LaTeX document that get a picture."""

EXPLORER = "explorer"
"""Identifier of the live explorer."""

ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")

VALIDITY = {"Exact.": "exact", "Asymptotically exact.": "asymptotic", "Closure.": "closure"}
"""Classes of the words that begin statements, for their colours."""

LONGEST_VALUE = 72
"""The longest value of a constant that is shown, in characters."""


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        name: its identifier, which links point to: letters, digits and hyphens.
        title: its heading, plain text.
        content: its HTML, below a heading of level 2.
        is_whole: whether the content is an element of its own, with that identifier and such a heading in it.
    """

    name: str
    title: str
    content: Markup
    is_whole: bool = False


def environment() -> jinja2.Environment:
    """Return the templates of the page; what they are given is escaped unless it is markup."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("symlow.report"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["figure"] = figure
    templates.filters["figures_in"] = figures_in
    templates.filters["scrolling"] = scrolling
    return templates


def _rendered(template: str, **values: Any) -> Markup:
    return Markup(environment().get_template(template).render(**values))


def overview(derivation: Derivation, certificate: Certificate | None, shown: Demonstration | None) -> Section:
    """Return what the derivation is about, in a table."""
    network, task = derivation.network, derivation.spec.task
    standing = [vector for vector in network.vectors if not vector.rate and not isinstance(vector, Velocity)]
    frozen = [vector.name for vector in standing if vector.name not in network.ones]
    conserved = [invariant for invariant in derivation.conserved if invariant.kind != FROZEN]
    kind = task_name(task) if isinstance(task, GeneratedTask) else task.kind.replace("_", " ")
    names = ", ".join(column.label for column in derivation.reduction.index.columns)
    rows = [
        ("Columns of P", f"{len(derivation.learning.rates)}: {names}"),
        ("Frozen", ", ".join(frozen) or "none"),
        ("Nonlinearity", _nonlinearity(derivation)),
        ("Task", f"{kind}, {_count(derivation.loss.inputs, 'input')}, {_count(derivation.loss.outputs, 'output')}"),
        ("Learning rule", derivation.rule.words),
        ("Conserved quantities", _conserved(derivation, len(conserved))),
    ]
    if shown is not None:
        rows.append(("Learning run", _loss_in_words(shown)))
    if certificate is not None:
        passed = sum(check.passed for check in certificate.checks)
        rows.append(("Verification", f"{passed} of {len(certificate.checks)} checks passed"))
    constant = sum(is_constant(derivation, overlap) for overlap in derivation.ordered)
    visible, invisible = len(derivation.visible), len(derivation.invisible) - constant
    content = _rendered("overview.html.jinja", rows=rows, visible=visible, invisible=invisible, constant=constant)
    return Section("overview", "At a glance", content)


def reference(text: str) -> Markup:
    """Return a reference, identifiers of arXiv as links; a link asks nothing of a network until it is followed."""
    parts = ARXIV.split(text)
    links = [element("a", f"arXiv:{number}", href=f"https://arxiv.org/abs/{number}") for number in parts[1::2]]
    return joined([part for pair in zip(parts[::2], [*links, ""], strict=True) for part in pair])


def equations(passage: Passage, derivation: Derivation, notation: Notation) -> Section:
    """Return a section of the LaTeX document, with its picture if it has one."""
    content = str(passage.content)
    for words, style in VALIDITY.items():
        content = content.replace(f"<strong>{words}</strong>", f'<strong class="{style}">{words}</strong>')
    pictures = []
    if passage.title == WITH_GRAM:
        pictures.append(_figure(gram_picture(derivation, notation), "The Gram matrix"))
    if passage.title in WITH_METRIC:
        pictures.append(_figure(metric_picture(derivation, notation), "The matrix G"))
    content = joined([Markup(content), *pictures])
    return Section(_identifier(passage.title), passage.title, content)


def _figure(picture: Picture, name: str) -> Markup:
    return element("figure", scrolling(picture.svg, name), element("figcaption", picture.caption), class_="picture")


def learning(shown: Demonstration, derivation: Derivation, notation: Notation) -> Section:
    """Return a learning run in charts, and how far conserved quantities have drifted in it."""
    run = shown.run
    written = Conserved(derivation, notation).quantities()
    drifts = [
        (mathml(written[invariant.name]), float(np.nanmax(np.abs(run.drift[:, k]))), invariant.is_kept_by_steps)
        for k, invariant in enumerate(run.conserved)
    ]
    charts = [(chart, len(chart.curves)) for chart in learning_charts(shown, derivation, notation)]
    content = _rendered(
        "learning.html.jinja",
        d=derivation,
        shown=shown,
        charts=charts,
        most=MOST_NAMED,
        drifts=drifts,
        sentence=_loss_in_words(shown),
    )
    return Section("learning", "A learning run", content)


def no_learning(why: str) -> Section:
    """Return the section of a learning run that there is none of."""
    return Section("learning", "A learning run", element("p", why))


def verification(certificate: Certificate) -> Section:
    """Return a certificate: what was compared or measured, and the verdicts."""
    return Section("verification", "Verification", _rendered("verification.html.jinja", certificate=certificate))


def no_verification(why: str) -> Section:
    """Return the section of a verification that there is none of."""
    return Section("verification", "Verification", element("p", why))


def explorer(fragment: str) -> Section:
    """Return the live explorer, a section as :func:`symlow.explorer.explorer_fragment` makes it."""
    return Section(EXPLORER, "Learning, live", Markup(fragment), is_whole=True)


def no_explorer(why: str) -> Section:
    """Return the section of an explorer that there is none of."""
    return Section(EXPLORER, "Learning, live", element("p", why))


def module_reference(source: str, module: ModuleType, name: str) -> Section:
    """Return what a generated module offers, and its text."""
    constants = [
        (key, _short(value))
        for key, value in vars(module).items()
        if key.isupper() and not key.startswith("_") and not key.startswith(("P_", "K_"))
    ]
    content = _rendered(
        "module.html.jinja",
        name=name,
        functions=public_functions(source),
        constants=constants,
        source=coloured(source),
        lines=source.count("\n"),
    )
    return Section("module", "The generated module", content)


def latex_source(text: str, name: str) -> Section:
    """Return the LaTeX document to copy."""
    content = _rendered("latex.html.jinja", name=name, text=text, lines=text.count("\n"))
    return Section("latex", "The LaTeX document", content)


def specification(derivation: Derivation) -> Section:
    """Return the specification in its canonical form, and what made the page."""
    canonical = json.dumps(json.loads(derivation.spec.canonical()), indent=2, ensure_ascii=False)
    content = _rendered(
        "specification.html.jinja",
        canonical=canonical,
        digest=derivation.spec.digest,
        version=__version__,
        format=FORMAT,
    )
    return Section("specification", "The specification", content)


def _loss_in_words(shown: Demonstration) -> str:
    loss = shown.run.loss
    if shown.diverged and shown.last == 0:
        return f"learning leaves the finite numbers at once, at a learning rate of {shown.lr:g}"
    last = shown.last_loss
    course = f"the loss goes from {figure(loss[0])} to {figure(loss[last])} in {_count(last, 'step')}"
    own = ", each loss on its own trials" if shown.fresh else ""
    return f"{course}{own}{f'; learning diverges at step {shown.run.stopped}' if shown.diverged else ''}"


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 2]} …"


def _conserved(derivation: Derivation, count: int) -> str:
    """Return how many conserved quantities there are, besides overlaps that nothing moves."""
    if derivation.moved_besides:
        return f"none claimed, for {derivation.moved_besides}"
    if derivation.conserves_nothing_else:
        return str(count) if count else "none"
    return f"{count} in closed form, perhaps more"


def _nonlinearity(derivation: Derivation) -> str:
    nonlinearity = derivation.network.nonlinearity
    return "none, phi(x) = x" if nonlinearity.is_linear else f"phi(x) = {nonlinearity.phi}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _identifier(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
