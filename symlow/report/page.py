"""The page: one file that a browser opens from disk and that asks for nothing else, ``symlow report SPEC -o FILE``.

overview, equations, learning run, verification, live explorer, module, LaTeX, specification
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from symlow.arrays import Trials
from symlow.codegen.backends import MOST_COMPILED
from symlow.colours import ON_DARK, ON_LIGHT
from symlow.course import Track
from symlow.errors import LearningError
from symlow.explorer import explorer_fragment
from symlow.explorer.fragment import POLICY
from symlow.printing.notation import Notation
from symlow.report import sections
from symlow.report.prose import passages
from symlow.report.runs import demonstrate, needs_trials
from symlow.report.sections import Section
from symlow.verify import verify as run_verification
from symlow.version import __version__
from symlow.views import DerivedSystem

if TYPE_CHECKING:
    from symlow.certificate import Certificate
    from symlow.report.runs import Demonstration

LR, STEPS = 0.01, 500
"""The learning rate and the number of steps of the learning run, unless others are asked for."""


NO_TRIALS = "The trials of this task are given when the module is called: none were given here."


def _quiet(_: str) -> Track:
    return iter


def report(
    derivation: DerivedSystem,
    *,
    verify: bool = True,
    explorer: bool = True,
    lr: float = LR,
    steps: int = STEPS,
    seed: int = 0,
    trials: Trials | None = None,
    progress: Callable[[str], Track] = _quiet,
) -> str:
    """Return a derivation as a page of HTML, whole in itself, the same text for the same arguments.

    Its equations are those of :meth:`symlow.DerivedSystem.latex`, all of them, as MathML.

    Args:
        derivation: what the page is about.
        verify: whether to verify the generated module, which takes from seconds to minutes.
        explorer: whether the page has the live explorer, which begins where the learning run does.
        lr: learning rate of the learning run, > 0.
        steps: its number of steps, >= 1.
        seed: seed of its initial weights and of trials that the task draws, >= 0.
        trials: (x, y, mask) of a task whose trials are given, or in place of those that are drawn; without any, a page
            of such a task has no learning run.
        progress: what shows that work goes on: given what is done, it returns what wraps an iteration.

    Raises:
        ArrayError: for trials of a wrong shape.
        LearningError: if lr or steps are out of range.
        SpecError: if there is no generated module, or the task is a teacher that no network can be.
    """
    notation = Notation(derivation.reduction.index)
    name = derivation.spec.name
    module, source, document = derivation.compile(), derivation.source(), derivation.latex()
    shown: Demonstration | None = None
    if needs_trials(derivation) and trials is None:
        run = sections.no_learning(NO_TRIALS)
    else:
        shown = demonstrate(derivation, module, lr, steps, seed, trials, progress("learning"))
        run = sections.learning(shown, derivation, notation)
    certificate: Certificate | None = None
    if not verify:
        check = sections.no_verification("The generated module was not verified for this page.")
    else:
        try:
            certificate = run_verification(derivation, module=module, seed=seed, track=progress("verifying"))
            check = sections.verification(certificate)
        except LearningError as error:  # what cannot be simulated has a page too
            check = sections.no_verification(f"There is no verification: {error}.")
    live = [_explorer(derivation, shown, trials)] if explorer else []
    body = [
        sections.overview(derivation, certificate, shown),
        *(sections.equations(passage, derivation, notation) for passage in passages(document)),
        run,
        check,
        *live,
        sections.module_reference(source, module, name),
        sections.latex_source(document, name),
        sections.specification(derivation),
    ]
    return (
        sections.environment()
        .get_template("page.html.jinja")
        .render(
            d=derivation,
            sections=body,
            reference=sections.reference(derivation.spec.reference),
            version=__version__,
            policy=POLICY,
            light=ON_LIGHT,
            dark=ON_DARK,
        )
    )


def _explorer(derivation: DerivedSystem, shown: Demonstration | None, trials: Trials | None) -> Section:
    """Return the live explorer, which begins where the learning run does, or why there is none."""
    if shown is None:
        return sections.no_explorer(NO_TRIALS)
    if len(derivation.visible) > MOST_COMPILED:
        return sections.no_explorer(
            f"There is no explorer of more than {MOST_COMPILED} loss-visible overlaps: the generated module takes them."
        )
    try:
        return sections.explorer(
            explorer_fragment(
                derivation,
                sigma=shown.run.sigma[0],
                trials=trials,
                lr=shown.lr,
                steps=shown.steps,
                seed=shown.seed,
                identifier=sections.EXPLORER,
            )
        )
    except LearningError as error:  # trials that are too large to be in a page
        return sections.no_explorer(f"There is no explorer: {error}.")
