"""The closure report: for each overlap why it is visible or invisible, and its equation term by term.

A term of d sigma_ij/dt comes from one movement: learning moves a trained column i along another column k at the rate
-2 S_ik, and the overlap of k with j is what that movement adds to sigma_ij.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sympy

from symlow.derivation import Derivation
from symlow.errors import listing
from symlow.learning import Term
from symlow.overlaps import Overlap


@dataclass(frozen=True)
class TermExplanation:
    """One term of an overlap's equation, and the movement that it comes from."""

    expression: sympy.Expr
    reason: str


@dataclass(frozen=True)
class Explanation:
    """Why an overlap is what it is.

    Attributes:
        name: name of the overlap.
        meaning: the two vectors that it compares.
        visible: whether the loss depends on it.
        reason: the proof: a nonzero derivative, or the equations that do not contain it.
        terms: its flow, term by term; none if no gradient moves a trained column of it.
    """

    name: str
    meaning: str
    visible: bool
    reason: str
    terms: tuple[TermExplanation, ...]


@dataclass(frozen=True)
class ClosureReport:
    """Why the system has the size that it has.

    Attributes:
        summary: what closed, and how, one sentence each.
        explanations: one for each overlap, visible ones first.
    """

    summary: tuple[str, ...]
    explanations: tuple[Explanation, ...]


def closure_report(derivation: Derivation) -> ClosureReport:
    """Return the closure report of a derivation."""
    p = len(derivation.reduction.index.columns)
    n = len(derivation.overlaps)
    latents = ", ".join(f"{latent.name} ({latent.rows})" for latent in derivation.reduction.latents.values())
    conserved = listing(invariant.name for invariant in derivation.conserved)
    summary = (
        f"The state stays in the span of its carriers: the latents are {latents}.",
        f"P has {p} columns, so its Gram matrix has {p} * {p + 1} / 2 = {n} distinct entries, the overlaps.",
        f"{len(derivation.visible)} of them are in an equation on which the output depends: loss-visible.",
        f"The other {len(derivation.invisible)} are in none: loss-invisible.",
        "Every right-hand side is a product of loss gradients and overlaps, so the system closes.",
        *_velocities(derivation),
        f"Gradient flow conserves, whatever the loss: {conserved or 'nothing in closed form'}.",
        *(f"{statement.validity.capitalize()}: {statement.text}" for statement in derivation.statements),
    )
    explanations = tuple(explain(derivation, name) for name in derivation.overlaps)
    return ClosureReport(summary, explanations)


def _velocities(derivation: Derivation) -> Iterator[str]:
    learning = derivation.learning
    if learning.velocities:
        yield (
            f"{len(learning.velocities)} columns are velocities of the trained ones, sums of their gradients: "
            f"{len(derivation.overlaps) - len(learning.weights)} overlaps are with them."
        )


def explain(derivation: Derivation, name: str) -> Explanation:
    """Return why an overlap is visible or invisible, and its equation term by term.

    Raises:
        UnknownNameError: if there is no such overlap, with the nearest spelling.
    """
    index = derivation.reduction.index
    overlap = index[name]
    name = overlap.name
    left, right = (index.columns[k].label for k in (overlap.row, overlap.column))
    meaning = f"squared norm of {left}, divided by N" if overlap.is_norm else f"{left} . {right} / N"
    terms = tuple(
        TermExplanation(term.expression, _movement(derivation, overlap, term))
        for term in derivation.learning.terms(overlap)
    )
    return Explanation(name, meaning, name in derivation.visible, _reason(derivation, name), terms)


def _reason(derivation: Derivation, name: str) -> str:
    reduction = derivation.reduction
    why = reduction.visibility[name]
    if not why.visible:
        equations = ", ".join(f"{equation}" for equation in reduction.equations)
        return f"sigma_{name} is in none of the equations that the output depends on: those of {equations}"
    output = reduction.network.output.symbol.name
    moment = "" if why.path == (output,) else "[t+1]"
    way = " -> ".join(why.path)
    return f"d {why.where}{moment} / d sigma_{name} = {why.derivative}, which is not zero; way to the output: {way}"


def _movement(derivation: Derivation, overlap: Overlap, term: Term) -> str:
    columns, moving, along = derivation.reduction.index.columns, term.moving, term.along
    if term.gradient is None:
        return f"weight decay shrinks {columns[moving].label}"
    other = overlap.column if moving == overlap.row else overlap.row
    a, b, c = (columns[k].label for k in (moving, along, other))
    return f"learning moves {a} along {b}, and {b} . {c} / N is {derivation.reduction.index.at(along, other).name}"
