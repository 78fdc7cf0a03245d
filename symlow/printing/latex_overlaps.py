r"""The table of overlaps as LaTeX: every block of the Gram matrix, whether the loss depends on it, and why.

\Sigma_vu   \sigma_vu   visible   multiplies a latent in \kappa_u \to y
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import sympy
from sympy import MatrixExpr, MatrixSymbol

from symlow.derivation import Derivation
from symlow.expressions import summands
from symlow.printing.latex_lines import width
from symlow.printing.notation import Notation
from symlow.reduction import ACTIVITY
from symlow.rules import Velocity

WIDEST_ENTRIES = 20
"""The widest list of entries of a block in the table of overlaps; a wider one is cut."""

WIDEST_TABLE = 51
"""The widest sum of blocks, entries and reasons in that table, in the unit of :func:`width`."""

MOST_ROWS = 40
"""The most rows of that table on a page."""

LONGEST_PATH = 6
"""The most steps of a way to the output that the table names."""


class OverlapTable:
    """The table of one derivation."""

    def __init__(self, derivation: Derivation, notation: Notation) -> None:
        self.derivation = derivation
        self.network = derivation.network
        self.notation = notation

    def _tex(self, expression: sympy.Basic) -> str:
        return str(self.notation.doprint(expression))

    @property
    def tables(self) -> list[list[tuple[str, str, str, str]]]:
        """The rows of the table of blocks, in tables that fit on a page."""
        rows = self.rows
        return [rows[start : start + MOST_ROWS] for start in range(0, len(rows), MOST_ROWS)]

    @property
    def rows(self) -> list[tuple[str, str, str, str]]:
        """Block, its entries, visible or not, and why: a row for each block of the Gram matrix."""
        index = self.derivation.reduction.index
        blocks = {pair: symbol for pair, symbol in index.blocks.items() if not self.moves(*pair)}
        rows = [(self._tex(symbol), pair, *self._visibility(pair, symbol)) for pair, symbol in blocks.items()]
        widest = max(width(row[0]) for row in rows) + max(_prose_width(row[3]) for row in rows)
        entries = (self._entries(pair, WIDEST_TABLE - widest) for _, pair, _, _ in rows)
        shown = [(block, entry, kind, why) for (block, _, kind, why), entry in zip(rows, entries, strict=True)]
        return sorted([*shown, *self._velocity_rows], key=lambda row: row[2] != "visible")

    @property
    def _velocity_rows(self) -> Iterator[tuple[str, str, str, str]]:
        index = self.derivation.reduction.index
        moving = [pair for pair in index.blocks if self.moves(*pair)]
        for name, both in ((r"\Sigma_{PQ}", False), (r"\Sigma_{QQ}", True)) if moving else ():
            first = next(pair for pair in moving if self.moves(pair[0]) == both)
            shown = rf"{self._tex(index.explicit(*first)[0])}, \ldots"
            yield name, shown, "invisible", "is in no equation that the output depends on"

    def moves(self, *vectors: str) -> bool:
        """Whether one of the vectors is a velocity."""
        return any(isinstance(self.network.vector(vector), Velocity) for vector in vectors)

    def _entries(self, pair: tuple[str, str], room: float) -> str:
        entries = list(dict.fromkeys(self._tex(entry) for entry in self.derivation.reduction.index.explicit(*pair)))
        shown = ", ".join(entries)
        if width(shown) > min(WIDEST_ENTRIES, room):
            shown = rf"{entries[0]}, \ldots, {entries[-1]}"
        if pair not in self.constant:
            return shown
        weight = next(one.weight for one in self.network.equations.populations if one.ones == pair[0])
        return f"{shown}={self._tex(weight)}"

    def _visibility(self, pair: tuple[str, str], block: MatrixSymbol) -> tuple[str, str]:
        """Return whether a block is visible, and why."""
        index = self.derivation.reduction.index
        if pair in self.constant:
            return "invisible", "is a constant"
        name = index.at(*(index.slice(vector).start for vector in pair)).name
        if self.derivation.reduction.visibility[name].visible:
            return "visible", self._reason(block)
        return "invisible", "is in no equation that the output depends on"

    @property
    def constant(self) -> list[tuple[str, str]]:
        """The blocks that are constant, squared norms of vectors of ones."""
        return [(name, name) for name in self.network.ones]

    def _reason(self, block: MatrixSymbol) -> str:
        """Return where a visible block stands: in statistics, initial latents, or directly in an equation."""
        reduction = self.derivation.reduction
        statistics = [self._tex(symbol) for symbol, expression in reduction.statistics.items() if expression.has(block)]
        starts = [
            f"{self._name(name)}(0)"
            for name, start in reduction.initial.items()
            if name in reduction.paths and start.has(block)
        ]
        reasons = [f"is in ${', '.join(codes)}$" for codes in (statistics, starts) if codes]
        for name, terms in self._terms.items():
            direct = [term for term in terms if term.has(block)]
            if direct:
                where = r"\to ".join(self._path(reduction.paths[name]))
                reasons.append(f"multiplies {self._multiplied(direct[0])} in ${where}$")
                break
        return ", and ".join(reasons)

    @cached_property
    def _terms(self) -> dict[str, tuple[MatrixExpr, ...]]:
        """The terms of the equations that the output depends on, but for those of statistics."""
        reduction = self.derivation.reduction
        statistics = {symbol.name for symbol in reduction.statistics}
        return {name: summands(right) for name, right in reduction.equations.items() if name not in statistics}

    def _path(self, path: Sequence[str]) -> list[str]:
        """Return a way to the output, the middle of a long one left out."""
        codes = [self._name(step) for step in path]
        return codes if len(codes) <= LONGEST_PATH else [*codes[: LONGEST_PATH - 2], r"\cdots", codes[-1]]

    def _multiplied(self, term: MatrixExpr) -> str:
        reduction = self.derivation.reduction
        if any(term.has(latent) for latent in reduction.latents.values()):
            return "a latent"
        if any(term.has(column.symbol) for column in reduction.columns.values()):
            return "a column"
        if term.has(self.network.inputs):
            return "the input"
        return "the mean activity" if term.has(ACTIVITY) else "a constant"

    def _name(self, name: str) -> str:
        scalars = {symbol.name for symbol in self.derivation.reduction.statistics}
        return self.notation.scalar(name) if name in scalars else self.notation.letter(name)


def _prose_width(text: str) -> float:
    """Return an estimate of the width of a sentence with formulas, whose letters are wider than those of text."""
    return sum(width(part) if k % 2 else 0.7 * len(part) for k, part in enumerate(text.split("$")))
