"""The section on conserved quantities: the parts of its sentences, in LaTeX."""

from __future__ import annotations

from dataclasses import dataclass

from symlow.derivation import Derivation
from symlow.invariants.invariant import FROZEN, Invariant, Minor
from symlow.invariants.lax_pair import LaxPair
from symlow.printing.latex_lines import aligned
from symlow.printing.notation import Notation

MOST_TERMS = 12
"""The largest number of terms of a conserved quantity that is written out."""

MOST_LISTED = 12
"""The largest number of conserved quantities that are listed one by one."""


@dataclass(frozen=True)
class PrintedPair:
    """The parts of a Lax pair, pieces of LaTeX.

    Attributes:
        J: its name.
        plus: the columns of sign +1.
        minus: the columns of sign -1.
        frozen: the frozen columns F beside them, empty if there are none.
        matrix: the name of the matrix whose spectrum is conserved.
        definition: what it is.
        bracket: the right-hand side of its equation.
        size: how many quantities it conserves.
        first: the first of them, an equation, or empty if it is long.
        has_feedback: whether feedback columns are among the columns.
    """

    J: str
    plus: str
    minus: str
    frozen: str
    matrix: str
    definition: str
    bracket: str
    size: int
    first: str
    has_feedback: bool


class Conserved:
    """What the section on conserved quantities says of a derivation."""

    def __init__(self, derivation: Derivation, notation: Notation) -> None:
        self.derivation = derivation
        self.notation = notation

    @property
    def pairs(self) -> list[PrintedPair]:
        """The Lax pairs."""
        return [self._pair(pair) for pair in self.derivation.lax_pairs]

    @property
    def determinants(self) -> list[str]:
        """The minors of the Gram matrix that are conserved, cut where there are many."""
        minors = [invariant for invariant in self.derivation.conserved if isinstance(invariant, Minor)]
        codes = [self._minor(minor) for minor in minors[:MOST_LISTED]]
        return [*codes, r"\ldots"] if len(minors) > MOST_LISTED else codes

    @property
    def frozen(self) -> list[str]:
        """The overlaps that no gradient moves, cut where there are many; but squared norms of ones."""
        constant = [f"{name}_{name}" for name in self.derivation.network.ones]
        names = [i.name for i in self.derivation.conserved if i.kind == FROZEN and i.name not in constant]
        codes = [self.notation.doprint(self.derivation.symbols[name]) for name in names[:MOST_LISTED]]
        return [*codes, r"\ldots"] if len(names) > MOST_LISTED else codes

    @property
    def is_empty(self) -> bool:
        """Whether nothing is conserved, but the squared norm of a vector of ones."""
        return not (self.pairs or self.determinants or self.frozen)

    @property
    def is_kept_by_steps(self) -> bool:
        """Whether finite steps conserve all of it too, and there is something."""
        return not self.is_empty and all(invariant.is_kept_by_steps for invariant in self.derivation.conserved)

    @property
    def is_complete(self) -> bool:
        """Whether it is known that nothing else is conserved for every loss."""
        return self.derivation.conserves_nothing_else is True

    def quantities(self) -> dict[str, str]:
        """Return the conserved quantities by their names: traces of powers, determinants and overlaps."""
        codes = {}
        for pair in self.derivation.lax_pairs:
            number = f"_{{{pair.number}}}" if pair.number else ""
            for k, invariant in enumerate(pair.invariants, start=1):
                power = f"^{{{k}}}" if k > 1 else ""
                codes[invariant.name] = (
                    rf"\det\Sigma_{{F{number}F{number}}}\,e_{{{k}}}(\Lambda{number})"
                    if pair.component.beside
                    else rf"\operatorname{{tr}}\,\Lambda{number}{power}"
                )
        for invariant in self.derivation.conserved:
            if isinstance(invariant, Minor):
                codes[invariant.name] = self._minor(invariant)
            elif invariant.kind == FROZEN:
                codes[invariant.name] = self.notation.doprint(self.derivation.symbols[invariant.name])
        return codes

    def _pair(self, pair: LaxPair) -> PrintedPair:
        number = f"_{{{pair.number}}}" if pair.number else ""
        columns, signs = pair.component.columns, pair.signs
        plus = tuple(k for k, sign in zip(columns, signs, strict=True) if sign > 0)
        minus = tuple(k for k, sign in zip(columns, signs, strict=True) if sign < 0)
        every = len(columns) == len(self.derivation.learning.rates)
        c = "" if every else rf"_{{C{number}C{number}}}"
        frozen = ""
        sigma = rf"\Sigma{c}"
        if pair.component.beside:
            frozen = self._columns(pair.component.beside)
            f = f"F{number}"
            sigma = rf"\bigl(\Sigma{c}-\Sigma_{{C{number}{f}}}\,\Sigma_{{{f}{f}}}^{{-1}}\,\Sigma_{{{f}C{number}}}\bigr)"
        rate = "" if pair.has_equal_rates else rf"D{c}^{{-1}}"
        D = "" if pair.has_unit_rates else f"D{c}"
        return PrintedPair(
            J=f"J{number}",
            plus=self._columns(plus),
            minus=self._columns(minus),
            frozen=frozen,
            matrix=rf"\Lambda{number}",
            definition=rf"J{number}{'E' if pair.has_feedback else ''}{rate}\,{sigma}",
            bracket=rf"2\,[{pair.mixing}{c}{D},\,\Lambda{number}]",
            size=len(columns),
            first=self._first(next(iter(pair.invariants)), pair, number),
            has_feedback=pair.has_feedback,
        )

    def _first(self, invariant: Invariant, pair: LaxPair, number: str) -> str:
        if not invariant.is_expandable or len(invariant.polynomial) > MOST_TERMS:
            return ""
        left = rf"\operatorname{{tr}}\,\Lambda{number}"
        if pair.component.beside:
            left = rf"\det\Sigma_{{F{number}F{number}}}\,{left}"
        terms = self.notation.addends(invariant.expression)
        return aligned([(left, [str(self.notation.doprint(term)) for term in terms])])

    def _columns(self, columns: tuple[int, ...]) -> str:
        """Return columns as the vectors that they fill, ``M``, or one by one, ``m_1``, where they do not fill one."""
        index = self.derivation.reduction.index
        codes: list[str] = []
        for k in columns:
            place = index.slice(index.columns[k].vector)
            whole = all(other in columns for other in range(place.start, place.stop))
            code = self.notation.vector(index.columns[k].vector) if whole else self.notation.column(index.columns[k])
            codes += [] if code in codes else [code]
        return ", ".join(f"${code}$" for code in codes)

    def _minor(self, minor: Minor) -> str:
        columns = self.derivation.reduction.index.columns
        rows, others = (
            r"\,".join(self.notation.column(columns[k]) for k in part) for part in (minor.rows, minor.columns)
        )
        return rf"\det\Sigma_{{[{rows}]}}" if rows == others else rf"\det\Sigma_{{[{rows}],[{others}]}}"
