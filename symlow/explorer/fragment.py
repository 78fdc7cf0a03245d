"""The explorer as HTML: one section that needs nothing else, to stand in any page, or a page of its own.

The section holds its style, the derivation as JavaScript (:mod:`symlow.codegen.javascript`) and the script that draws.
Nothing is fetched from a network.
"""

from __future__ import annotations

import json
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from symlow.codegen.javascript import closure_source
from symlow.colours import ON_DARK, ON_LIGHT
from symlow.derivation import Derivation
from symlow.errors import SpecError
from symlow.explorer.content import content

SCRIPTS = ("cone.js", "plots.js", "explorer.js")

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
"""What a browser lets a page do: its own styles and scripts, an icon that is empty, nothing of any network."""


def explorer_fragment(
    derivation: Derivation,
    *,
    sigma: object | None = None,
    trials: tuple[object, ...] | None = None,
    lr: float = 0.005,
    steps: int = 2000,
    seed: int = 0,
    identifier: str = "explorer",
    level: int = 2,
) -> str:
    """Return the live explorer of a derivation, an HTML ``section``.

    Args:
        derivation: what is learned.
        sigma: initial overlaps, shape (n_overlaps,); by default those of about 500 neurons with Gaussian weights.
        trials: (x, y, mask) that are learned from at each step, the first of them if the page cannot hold all; by
            default a filter task has its closed form, and of other tasks up to 16 trials are drawn once, as many as
            the page can hold.
        lr: learning rate at the start, > 0; its slider spans a factor of 1000 either way.
        steps: number of steps at the start, >= 1.
        seed: seed of weights and trials, >= 0.
        identifier: the section's id, and what other ids in it begin with: a letter, then letters, digits, - and _.
        level: level of its heading, 1 to 6.

    Raises:
        ArrayError: for arrays of the wrong shape, or values that are not finite.
        GramMatrixError: if the initial overlaps are those of no network.
        LearningError: if lr, steps or seed are out of range, or a single trial has more than 40 000 numbers.
        SpecError: if the task draws no trials and none are given; for an identifier or level that is not accepted; or
            for more loss-visible overlaps than the JavaScript is written for.
    """
    if not (identifier[:1].isalpha() and identifier.isascii() and identifier.replace("-", "_").isidentifier()):
        raise SpecError(f"identifier: found {identifier!r}; accepted: a letter, then letters, digits, - and _")
    if level not in range(1, 7):
        raise SpecError(f"level: found {level}; accepted: 1 to 6")
    given = content(derivation, sigma, trials, lr, steps, seed)
    return (
        _environment()
        .get_template("explorer.html.jinja")
        .render(
            identifier=identifier,
            level=level,
            light=ON_LIGHT,
            dark=ON_DARK,
            system=Markup(closure_source(derivation)),
            program=Markup("\n").join(_text(name) for name in SCRIPTS),
            content=_json(given),
            invisible=any(not overlap["constant"] for overlap in given["overlaps"][len(derivation.visible) :]),
            parameters=bool(given["parameters"]),
            output="Response to an impulse" if given["trials"] is None else "Output in the first trial",
            note=_note(derivation, given, None if trials is None else len(np.asarray(trials[0]))),
        )
    )


def explorer_page(derivation: Derivation, **options: Any) -> str:
    """Return a page that holds the live explorer alone; options are those of :func:`explorer_fragment`."""
    fragment = Markup(explorer_fragment(derivation, **({"level": 1} | options)))
    page = _environment().get_template("page.html.jinja")
    return page.render(title=derivation.spec.name, fragment=fragment, policy=POLICY)


def _note(derivation: Derivation, given: dict[str, Any], offered: int | None) -> str:
    """Return what the numbers are, in words; offered is the number of trials that were given."""
    rule = derivation.rule.words
    if given["trials"] is None:
        data = "The loss of the filter task is its closed form."
    else:
        batch = given["trials"]["batch"]
        trials = f"the same {batch} trial{'s' if batch > 1 else ''}"
        more = offered is not None and offered > batch
        which = f"of the {offered} given, as many as the page can hold" if more else "which the page holds"
        data = f"Each step learns from {trials}{' ' if more else ', '}{which}."
    noise = " Label noise is left out." if derivation.spec.learning.label_noise else ""
    exact = (
        "exact at any number of neurons"
        if derivation.network.nonlinearity.is_linear
        else "a closure, whose error verification and simulation tell"
    )
    return (
        f"Each step is one of {rule} in overlaps, {exact}. {data}{noise} Sliders set what learning starts "
        "from. The coloured part of a slider is what its overlap can be with the others as they are: beyond it the "
        "Gram matrix is that of no network."
    )


def _json(value: Any) -> Markup:
    """Return a value as JSON that ends no script of a page."""
    return Markup(json.dumps(value, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"))


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("symlow.explorer"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _text(name: str) -> Markup:
    source, _, _ = jinja2.PackageLoader("symlow.explorer").get_source(jinja2.Environment(), name)
    return Markup(source)
