"""Structure of a derivation, as facts that are found and not listed, each with how it is known and the evidence.

- what the metric's rows contain, read from its terms;
- the symmetries of the input-output function (:mod:`symlow.symmetries`);
- how many overlaps the function does not see: n_overlaps - rank F' is the dimension of the solution manifold;
- what learning can reach, and what invisible overlaps can remember (:mod:`symlow.reachable`).

Dimensions are those at generic overlaps of weights. What a rule adds to gradients, velocities, weight decay and
clipping, is left out: no loss controls a decay, and clipping changes only how fast overlaps move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType, ModuleType

from symlow.codegen.emit import compile_module
from symlow.derivation import Derivation
from symlow.errors import listing
from symlow.gaps import NumericalRank
from symlow.overlaps import Overlap
from symlow.printing.notation import Notation
from symlow.reachable import Reachable, reachable_by_overlaps, reachable_by_tasks
from symlow.rules import Velocity
from symlow.spec_learning import LearningSpec
from symlow.symmetries import Mixing, Symmetries, find_symmetries, size

PROVED = "proved"
MODULAR = "exact modulo a prime"
NUMERICAL = "numerical evidence"
UNDECIDED = "undecided"

MOST_NAMES = 12
"""How many overlaps or mixings a statement names."""


@dataclass(frozen=True)
class Fact:
    """A structural fact.

    Attributes:
        name: what it is about: ``metric_visible``, ``metric_invisible``, ``symmetries``, ``function``,
            ``reachable_by_overlaps``, ``reachable_by_tasks`` or ``memory``.
        statement: the fact in words.
        latex: the same for a LaTeX document.
        kind: "proved"; "exact modulo a prime", by exact arithmetic at random points (:mod:`symlow.modular`);
            "numerical evidence", by numerical ranks with a clear gap; or "undecided", where the gap is not clear.
        evidence: the numbers, names and gaps that it says or rests on.
    """

    name: str
    statement: str
    latex: str
    kind: str
    evidence: Mapping[str, object]


@dataclass(frozen=True)
class _Words:
    """Something in a statement, as text and as LaTeX."""

    text: str
    latex: str


def find_structure(derivation: Derivation, module: ModuleType, seed: int = 0) -> tuple[Fact, ...]:
    """Return the structural facts of a derivation.

    Args:
        derivation: what has them.
        module: its generated module.
        seed: seed of random overlaps, inputs and tasks.
    """
    decays = bool(derivation.rule.weight_decay)
    alone = gradients_alone(derivation)
    if alone is not derivation:
        derivation, module = alone, compile_module(alone)
    author = _Author(derivation, decays)
    symmetries = find_symmetries(derivation, module, seed)
    by_overlaps = reachable_by_overlaps(derivation, seed)
    by_tasks = reachable_by_tasks(derivation, module, seed)
    return (
        author.metric("metric_visible", derivation.reduction.visible, "loss-visible"),
        author.metric("metric_invisible", derivation.reduction.invisible, "loss-invisible"),
        author.symmetries(symmetries),
        author.function(symmetries),
        author.reachable_by_overlaps(by_overlaps),
        author.reachable_by_tasks(by_tasks, by_overlaps),
        author.memory(by_tasks, by_overlaps),
    )


def gradients_alone(derivation: Derivation) -> Derivation:
    """Return the derivation of a rule without velocities, weight decay and clipping; as it is where it has none."""
    rule = derivation.rule
    if not (rule.has_velocity or rule.weight_decay or rule.clip):
        return derivation
    kept = {"rates", "frozen", *(["rule"] if rule.has_feedback else [])}
    learning = LearningSpec(**derivation.spec.learning.model_dump(include=kept))
    equations = derivation.network.equations
    vectors = tuple(vector for vector in equations.vectors if not isinstance(vector, Velocity))
    network = replace(derivation.network, equations=replace(equations, vectors=vectors))
    return Derivation(derivation.spec.model_copy(update={"learning": learning}), network, derivation.loss)


class _Author:
    """Puts facts into words."""

    def __init__(self, derivation: Derivation, decays: bool) -> None:
        self.derivation = derivation
        self.decay = " Weight decay moves them out of it, and changes these." if decays else ""
        self.notation = Notation(derivation.reduction.index)
        # With feedback alignment, what moves overlaps are not derivatives of a loss, and what stands for G no metric.
        aligned = derivation.rule.has_feedback
        self.gradients = "cotangents of the aligned backward pass" if aligned else "loss gradients"
        self.losses = "Cotangents" if aligned else "Losses"

    def metric(self, name: str, rows: tuple[Overlap, ...], which: str) -> Fact:
        found = {term.overlap.name for row in rows for term in self.derivation.learning.terms(row)}
        visible, invisible = (
            tuple(name for name in names if name in found)
            for names in (self.derivation.visible, self.derivation.invisible)
        )
        words = {"visible": self._overlaps(visible), "invisible": self._overlaps(invisible)}
        start = (
            f"The rates of {which} overlaps are{', but for weight decay,' * bool(self.decay)} {self.gradients} times "
        )
        if visible and invisible:
            text = start + "loss-visible overlaps, {visible}, and loss-invisible ones, {invisible}."
        elif visible or invisible:
            side = "visible" if visible else "invisible"
            text = f"{start}loss-{side} overlaps only: {{{side}}}."
        else:
            text = f"No loss moves a {which} overlap."
        return _fact(name, PROVED, text, {"visible": visible, "invisible": invisible}, **words)

    def symmetries(self, found: Symmetries) -> Fact:
        evidence = {
            "mixings": tuple(str(mixing) for mixing in found.mixings),
            "moved": found.moved,
            "gaps": found.gaps,
        }
        if not found.mixings:
            text = "No mixing of the columns of {P} moves a loss-visible overlap and leaves the output as it is."
        else:
            count = _count(len(found.mixings), "independent mixing")
            text = f"The output for any input is left as it is by {count} of the columns of {{P}}: {{mixings}}."
        words = {"mixings": self._mixings(found.mixings), "P": _Words("P", "$P$")}
        return _fact("symmetries", kind(found.exact, found.gaps), text, evidence, **words)

    def function(self, found: Symmetries) -> Fact:
        total = len(self.derivation.overlaps)
        evidence = {
            "visible": found.n_visible,
            "rank": found.function_rank,
            "solution_manifold": total - found.function_rank,
            "symmetric": found.moved,
            "gaps": found.gaps[:1],
        }
        text = (
            f"The input-output function depends on the {_count(found.n_visible, 'loss-visible overlap')} in "
            f"{_count(found.function_rank, 'independent way')}; symmetries account for {found.moved} of the "
            f"{_count(found.free, 'direction')} that it does not see. Networks of one function form a manifold of "
            f"dimension {total - found.function_rank} among the {_count(total, 'overlap')}."
        )
        return _fact("function", kind(found.exact, found.gaps[:1]), text, evidence)

    def reachable_by_overlaps(self, found: Reachable) -> Fact:
        total = len(self.derivation.overlaps)
        evidence = {**_numbers(found, total), "algebra": found.algebra}
        text = (
            f"{self.losses} of the loss-visible overlaps, whatever they are and one after the other, move the overlaps "
            f"in a manifold of dimension {found.dimension} of {total}, with "
            f"{_conserved(total - found.dimension)}.{self.decay}"
        )
        return _fact("reachable_by_overlaps", MODULAR, text, evidence)

    def reachable_by_tasks(self, found: Reachable, wider: Reachable) -> Fact:
        total = len(self.derivation.overlaps)
        text = (
            "Losses of the input-output function, as those of all tasks are, move the overlaps in a manifold of "
            f"dimension {found.dimension} of {total}, with "
            f"{_conserved(total - found.dimension)}: "
            f"{wider.dimension - found.dimension} more than all {self.losses.lower()} of loss-visible overlaps "
            f"conserve.{self.decay}"
        )
        evidence = {**_numbers(found, total), "gaps": found.gaps}
        return _fact("reachable_by_tasks", kind(False, found.gaps), text, evidence)

    def memory(self, found: Reachable, wider: Reachable) -> Fact:
        if found.memory:
            text = (
                "Networks with the same loss-visible overlaps and the same conserved quantities can differ in "
                f"{_count(found.memory, 'dimension')}, by what they learned before; {{free}} "
                f"{'is a coordinate' if found.memory == 1 else 'are coordinates'} of it."
            )
        else:
            text = "Loss-visible overlaps and conserved quantities determine all others: nothing else is remembered."
        evidence = {"dimension": found.memory, "free": found.free, "dimension_by_overlaps": wider.memory}
        words = {"free": self._overlaps(found.free)}
        return _fact("memory", kind(False, found.gaps), text, evidence, **words)

    def _overlaps(self, names: tuple[str, ...]) -> _Words:
        symbols = [f"${self.notation.doprint(self.derivation.symbols[name])}$" for name in names]
        return _Words(listing(names, MOST_NAMES), listing(symbols, MOST_NAMES))

    def _mixings(self, mixings: tuple[Mixing, ...]) -> _Words:
        shown = mixings[:MOST_NAMES]
        more = [f"... ({len(mixings)} in all)"] if len(mixings) > MOST_NAMES else []
        latex = [f"${', '.join(self._change(*entry) for entry in mixing.entries)}$" for mixing in shown]
        return _Words("; ".join([*map(str, shown), *more]), "; ".join([*latex, *more]))

    def _change(self, added: str, changed: str, value: Fraction | None) -> str:
        """Return one column's change as LaTeX."""
        sign = "-" if value is not None and value < 0 else "+"
        step = rf"{size(value)}\varepsilon {self._column(added)}"
        return rf"{self._column(changed)}\to {self._column(changed)}{sign}{step}"

    def _column(self, label: str) -> str:
        letters = label.rstrip("0123456789")
        if letters in self.derivation.network.ones:
            return r"\mathbf{1}"
        letter = letters if len(letters) == 1 else rf"\mathrm{{{letters}}}"
        return letter if letters == label else f"{letter}_{{{label[len(letters) :]}}}"


def _fact(name: str, kind: str, text: str, evidence: Mapping[str, object], **words: _Words) -> Fact:
    statement = text.format(**{key: word.text for key, word in words.items()})
    latex = text.format(**{key: word.latex for key, word in words.items()})
    return Fact(name, statement, latex, kind, MappingProxyType(dict(evidence)))


def kind(exact: bool, gaps: Iterable[NumericalRank]) -> str:
    """Return how a dimension is known: by exact arithmetic, or by numerical ranks with these gaps."""
    if exact:
        return MODULAR
    return NUMERICAL if all(gap.is_clear for gap in gaps) else UNDECIDED


def _numbers(found: Reachable, total: int) -> dict[str, object]:
    return {"dimension": found.dimension, "conserved": total - found.dimension, "visible": found.visible}


def _count(number: int, what: str, plural: str = "") -> str:
    return f"{number} {what if number == 1 else plural or what + 's'}"


def _conserved(number: int) -> str:
    return _count(number, "independent conserved quantity", "independent conserved quantities")
