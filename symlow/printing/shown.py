r"""What a derivation holds, as notebooks show it: mappings and matrices that know their LaTeX.

    d.flow, d.finite_step, d.block_flow, d.metric        \dot\sigma_{zu} = ...

They are the derivation's own in every other way; the derivation itself knows no printer (:mod:`symlow.views`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

import sympy

from symlow.derivation import ByOverlap, Derivation
from symlow.learning import LR, Metric
from symlow.printing.latex import block_flow_equations, flow_equations
from symlow.printing.latex_lines import aligned
from symlow.printing.notation import Notation

MOST_EQUATIONS = 60
"""The most overlaps whose equations are shown."""

MOST_STEPS = 24
"""The most overlaps whose steps are shown: these are quadratic in the gradients."""

MOST_COLUMNS = 12
"""The most columns of a metric that is shown."""

K = TypeVar("K")
V = TypeVar("V")


class ShownFlow(ByOverlap):
    """The flow of every overlap, shown as equations."""

    def __init__(self, derivation: Derivation) -> None:
        super().__init__(derivation.ordered, derivation.learning.equation)
        self._derivation = derivation

    def _repr_latex_(self) -> str | None:
        names = tuple(self)
        return shown(flow_equations(self._derivation, names)) if len(names) <= MOST_EQUATIONS else None


class ShownSteps(ByOverlap):
    """Overlaps after a step, shown as equations."""

    def __init__(self, derivation: Derivation) -> None:
        super().__init__(derivation.ordered, derivation.learning.finite_step)
        self._notation = Notation(derivation.reduction.index)

    def _repr_latex_(self) -> str | None:
        if len(self) > MOST_STEPS:
            return None
        rows = (
            (f"{self._notation.doprint(sympy.Symbol(f'sigma_{name}'))}^+", self._terms(step))
            for name, step in self.items()
        )
        return shown(aligned(rows))

    def _terms(self, step: sympy.Expr) -> list[str]:
        """Return the part without the learning rate, and those with each of its powers."""
        powers = sympy.expand(step).collect(LR, evaluate=False)
        terms = []
        for power in sorted(powers, key=lambda power: sympy.degree(power, LR)):
            addends = [str(self._notation.doprint(term)) for term in self._notation.addends(powers[power])]
            if power == 1:
                terms += addends
                continue
            sign = "-" if all(term.startswith("-") for term in addends) else ""
            inside = " + ".join(term.removeprefix("-").strip() if sign else term for term in addends)
            terms.append(rf"{sign}{self._notation.doprint(power)}\,({inside.replace('+ -', '- ')})")
        return terms


class ShownBlocks(Mapping[K, V], Generic[K, V]):
    """A mapping, shown as the flow of blocks of the Gram matrix."""

    def __init__(self, derivation: Derivation, blocks: Mapping[K, V]) -> None:
        self._derivation, self._blocks = derivation, blocks

    def __getitem__(self, key: K) -> V:
        return self._blocks[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)

    def __repr__(self) -> str:
        """Return the mapping as Python writes one."""
        return f"{type(self).__name__}({dict(self._blocks)!r})"

    def _repr_latex_(self) -> str:
        return shown(block_flow_equations(self._derivation))


class ShownMetric(Metric):
    """The metric, shown in the letters of the literature, visible rows above the line."""

    _notation: Notation | None = None
    """Of the derivation's own metric; SymPy makes others of this class from it, such as its transpose."""

    @classmethod
    def of(cls, derivation: Derivation) -> ShownMetric:
        """Return the metric of a derivation."""
        metric = derivation.learning.metric
        made: ShownMetric = cls(*metric.shape, metric.todok())
        made._notation = Notation(derivation.reduction.index)
        return made

    def _repr_latex_(self) -> str | None:
        notation = self._notation
        if notation is None:
            return str(super()._repr_latex_())
        if self.cols > MOST_COLUMNS or self.rows > MOST_EQUATIONS:
            return None
        lines = [r" & ".join(str(notation.doprint(entry)) for entry in self.row(k)) for k in range(self.rows)]
        above, below = (r" \\ ".join(part) for part in (lines[: self.cols], lines[self.cols :]))
        rule = r" \\ \hline " if below else ""
        return rf"$\displaystyle \left(\begin{{array}}{{{'c' * self.cols}}}{above}{rule}{below}\end{{array}}\right)$"


def shown(environment: str) -> str:
    """Return an align* environment as a formula that notebooks set wherever they set formulas."""
    inside = environment.replace("{align*}", "{aligned}").replace("\n", " ")
    return rf"$\displaystyle {inside}$"
