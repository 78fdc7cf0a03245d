r"""What the entries of the metric contain: \dot\sigma = -G(\sigma)\nabla L, each entry of G linear in overlaps.

G (math.md, section 2; Ger & Barak 2026, fig. 11) has a row for each overlap and a column for each loss-visible one. In
a linear network rows of visible overlaps contain invisible ones only and rows of invisible overlaps visible ones only:
each kind of overlaps steers the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from symlow.derivation import Derivation
from symlow.overlaps import Overlap


class Content(Enum):
    """What an entry contains that is not zero."""

    VISIBLE = "visible"
    INVISIBLE = "invisible"
    BOTH = "both"
    CONSTANT = "constant"
    """Numbers only, among them the norms of ones."""


def metric_contents(derivation: Derivation) -> Mapping[tuple[int, int], Content]:
    """Return what the entries that are not zero contain, by row and column, in the order of both."""
    visible = {overlap.symbol for overlap in derivation.reduction.visible}
    constant = {overlap.symbol for overlap in derivation.ordered if is_constant(derivation, overlap)}
    contents = {}
    for place, entry in sorted(derivation.metric.todok().items()):
        symbols = entry.free_symbols - constant
        sees, hides = bool(symbols & visible), bool(symbols - visible)
        kind = Content.BOTH if sees and hides else Content.VISIBLE if sees else Content.INVISIBLE
        contents[place] = kind if symbols else Content.CONSTANT
    return contents


def moving_rows(derivation: Derivation) -> list[int]:
    """Return the rows of what the flow can move: without the overlaps of velocities and the norms of ones."""
    weights = set(derivation.learning.weights)
    rows = enumerate(derivation.ordered)
    return [k for k, overlap in rows if overlap in weights and not is_constant(derivation, overlap)]


def is_constant(derivation: Derivation, overlap: Overlap) -> bool:
    """Whether an overlap is a number: that of a vector of ones with itself."""
    columns = derivation.reduction.index.columns
    return overlap.is_norm and columns[overlap.row].vector in derivation.network.ones
