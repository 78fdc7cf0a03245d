"""The closure report: for each overlap why it is visible or invisible, and its equation term by term.

A term of d sigma_ij/dt comes from one movement: learning moves a trained column i along another column k at the rate
-2 d_i S_ik, d_i being the rate of i, and the overlap of k with j is what that movement adds to sigma_ij.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sympy

from symlow.derivation import Derivation
from symlow.errors import listing
from symlow.learning import Term
from symlow.markup import code, formula, joined, kind, table
from symlow.metric_contents import is_constant
from symlow.network import Network
from symlow.nonlinearity import MU
from symlow.overlaps import Overlap
from symlow.printing.notation import Notation
from symlow.reduction import Reduction, Visibility, of_field


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
        latex: the overlap in mathematical letters.
        meaning: the two vectors that it compares.
        visible: whether the loss depends on it.
        reason: the proof: a nonzero derivative, or the equations that do not contain it.
        terms: its flow, term by term; none if no gradient moves a trained column of it.
    """

    name: str
    latex: str
    meaning: str
    visible: bool
    reason: str
    terms: tuple[TermExplanation, ...]

    def _repr_html_(self) -> str:
        """Return the equation term by term, for notebooks."""
        caption = joined((formula(self.latex), f" = {self.meaning}, ", kind(self.visible), f": {self.reason}"))
        rows = [(code(str(term.expression).replace("sigma_", "")), term.reason) for term in self.terms]
        return table(
            caption, ("term of its rate of change", "where it comes from"), rows or [("0", "nothing moves it")]
        )


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
    conserved = listing(invariant.name for invariant in derivation.conserved)
    aligned = derivation.rule.has_feedback
    gradients, flow = ("cotangents", "The flow") if aligned else ("loss gradients", "Gradient flow")
    summary = (
        *_latents(derivation.network),
        _gram(derivation),
        f"{len(derivation.visible)} of them are in an equation on which the output depends: loss-visible.",
        f"The other {len(derivation.invisible)} are in none: loss-invisible{_constants(derivation)}.",
        f"Every right-hand side is a product of {gradients} and overlaps, so the system closes.",
        *_companions(derivation),
        f"No conserved quantity is claimed, for {derivation.moved_besides}."
        if derivation.moved_besides
        else f"{flow} conserves, whatever the loss: {conserved or 'nothing in closed form'}.",
        *(f"{statement.validity.capitalize()}: {statement.text}" for statement in derivation.statements),
    )
    notation = Notation(derivation.reduction.index)
    explanations = tuple(_explanation(derivation, overlap, notation) for overlap in derivation.ordered)
    return ClosureReport(summary, explanations)


def _constants(derivation: Derivation) -> str:
    """Return how many overlaps are constants, which learning does not move."""
    constant = sum(is_constant(derivation, overlap) for overlap in derivation.ordered)
    return f", {constant} of them {'a constant' if constant == 1 else 'constants'}" if constant else ""


def _latents(network: Network) -> Iterator[str]:
    """Give what the latents are, one sentence for each kind."""
    kinds = {
        "The state stays in the span of its carriers: the latents are": [
            latent for latent in network.latents if latent.vector and not latent.reading
        ],
        "What vectors read of a state that leaves their span obeys equations of its own: the latents are": [
            latent for latent in network.latents if latent.reading
        ],
        "The environment is as it is: its states are": [latent for latent in network.latents if not latent.vector],
    }
    for sentence, latents in kinds.items():
        if latents:
            yield f"{sentence} {', '.join(f'{one.symbol.name} ({one.symbol.shape[0]})' for one in latents)}."


def _gram(derivation: Derivation) -> str:
    """Return how many overlaps there are, and why."""
    equations, n = derivation.network.equations, len(derivation.overlaps)
    sizes = [
        sum(vector.columns for vector in equations.vectors if vector.population == population.name)
        for population in equations.populations
    ]
    counts = " + ".join(f"{p} * {p + 1} / 2" for p in sizes)
    if len(sizes) == 1:
        return f"P has {sizes[0]} columns, so its Gram matrix has {counts} = {n} distinct entries, the overlaps."
    return (
        f"The populations have {listing(map(str, sizes))} columns, so their Gram matrices have {counts} = {n} distinct "
        "entries, the overlaps; vectors of different populations have none."
    )


def _companions(derivation: Derivation) -> Iterator[str]:
    learning = derivation.learning
    if learning.velocities:
        yield (
            f"{len(learning.velocities)} columns are velocities of the trained ones, sums of their gradients: "
            f"{len(derivation.overlaps) - len(learning.weights)} overlaps are with them."
        )
    for read, sent in learning.feedback.items():
        yield (
            f"Errors are sent back through {sent} in place of {read}: what would move along {read} moves along {sent}, "
            "which does not move itself. g_x stands for the cotangent of x in that backward pass; the cotangents of "
            f"overlaps with {read} are loss gradients, the others are not."
        )


def explain(derivation: Derivation, name: str) -> Explanation:
    """Return why an overlap is visible or invisible, and its equation term by term.

    Raises:
        UnknownNameError: if there is no such overlap, with the nearest spelling.
    """
    index = derivation.reduction.index
    return _explanation(derivation, index[name], Notation(index))


def _explanation(derivation: Derivation, overlap: Overlap, notation: Notation) -> Explanation:
    index, name = derivation.reduction.index, overlap.name
    left, right = (index.columns[k].label for k in (overlap.row, overlap.column))
    averages = derivation.network.equations.averages
    divided = ", divided by N" if averages else ""
    meaning = f"squared norm of {left}{divided}" if overlap.is_norm else f"{left} . {right}{' / N' if averages else ''}"
    terms = tuple(
        TermExplanation(term.expression, _movement(derivation, overlap, term))
        for term in derivation.learning.terms(overlap)
    )
    latex, visible = str(notation.doprint(overlap.symbol)), name in derivation.visible
    return Explanation(name, latex, meaning, visible, _reason(derivation, name), terms)


def _reason(derivation: Derivation, name: str) -> str:
    reduction = derivation.reduction
    why = reduction.visibility[name]
    if not why.visible:
        equations = ", ".join(f"{equation}" for equation in reduction.equations)
        return f"sigma_{name} is in none of the equations that the output depends on: those of {equations}"
    moment = "[t+1]" if why.path[0] in reduction.step and not why.where.endswith("[0]") else ""
    way = " -> ".join(why.path)
    derivative = f"d {why.where}{moment} / d sigma_{name} = {why.derivative}, which is not zero"
    role = _role(reduction, why)
    return f"{derivative}{f': it is in {role}' if role else ''}; way to the output: {way}"


def _role(reduction: Reduction, why: Visibility) -> str:
    """Return what an equation gives, where its name does not say it: a statistic or what latents start from."""
    if why.where.endswith("[0]"):
        return f"what {why.path[0]} starts from"
    for one in reduction.statistics_of:
        field = "the state" if not one.field.name else f"the field {one.field.name}"
        for symbol in one.definitions:
            if symbol.name == why.path[0]:
                statistic = "mean" if symbol == of_field(MU, one.field) else "variance"
                return f"the {statistic} {symbol} of {field} over neurons, which the gain depends on"
    if why.path[0] in reduction.columns:
        return f"the column {why.path[0]}, which a time step computes"
    return ""


def _movement(derivation: Derivation, overlap: Overlap, term: Term) -> str:
    columns, moving, along = derivation.reduction.index.columns, term.moving, term.along
    if term.gradient is None:
        return f"weight decay shrinks {columns[moving].label}"
    other = overlap.column if moving == overlap.row else overlap.row
    a, b, c = (columns[k].label for k in (moving, along, other))
    product = f"{b} . {c}{' / N' if derivation.network.equations.averages else ''}"
    return f"learning moves {a} along {b}, and {product} is {derivation.reduction.index.at(along, other).name}"
