"""Which columns of P learning moves along which: the graph of the visible overlaps.

A trained column moves along the columns with which it has a visible overlap, dP_i/dt = -2 d_i sum_k P_k S_ki. Moving
columns joined by visible overlaps form a component; the columns at rest beside it are those that it moves along and
that do not move themselves.

With feedback alignment what moves along a read-out column moves along its feedback column, at rest, in its place. Where
the read-out column moves too, both are counted among the columns of the component, exchanged in its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from symlow.learning import GramFlow


@dataclass(frozen=True)
class Component:
    """Moving columns of P that are joined by visible overlaps.

    Attributes:
        columns: their positions, and those of the feedback columns of read-out columns among them.
        signs: +1 or -1 for each of them, such that visible overlaps within the component join opposite signs (the
            diagonal of J); none if there are no such signs.
        beside: the columns at rest with which one of them has a visible overlap.
        has_visible_norm: whether a squared norm of one of them is visible.
        rows: the columns, feedback and read-out columns exchanged.
    """

    columns: tuple[int, ...]
    signs: tuple[int, ...] | None
    beside: tuple[int, ...]
    has_visible_norm: bool
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Coupling:
    """The columns of P by what learning does to them.

    Attributes:
        at_rest: the columns that do not move: frozen, or without a visible overlap.
        components: the others.
    """

    at_rest: tuple[int, ...]
    components: tuple[Component, ...]


def coupling(flow: GramFlow) -> Coupling:
    """Return the columns at rest and the components of the others."""
    neighbours: dict[int, list[int]] = {k: [] for k in range(len(flow.rates))}
    for overlap in flow.visible:
        neighbours[overlap.row].append(overlap.column)
        if not overlap.is_norm:
            neighbours[overlap.column].append(overlap.row)
    moving = [k for k, rate in enumerate(flow.rates) if rate and neighbours[k]]
    at_rest = tuple(k for k in neighbours if k not in moving)
    components: list[Component] = []
    for start in moving:
        if not any(start in component.columns for component in components):
            components.append(_component(start, neighbours, at_rest, flow.exchanged))
    return Coupling(at_rest, tuple(components))


def _component(
    start: int, neighbours: Mapping[int, list[int]], at_rest: tuple[int, ...], exchanged: tuple[int, ...]
) -> Component:
    """Return the component of a column, with signs that alternate along visible overlaps where they can."""
    signs = {start: 1}
    balanced, frontier = True, [start]
    while frontier:
        column = frontier.pop(0)
        for other in neighbours[column]:
            if other in at_rest:
                continue
            if other not in signs:
                signs[other] = -signs[column]
                frontier.append(other)
            balanced = balanced and signs[other] == -signs[column]
    beside = tuple(exchanged[k] for k in at_rest if any(k in neighbours[column] for column in signs))
    norm = any(column in neighbours[column] for column in signs)
    if len(signs) > 1:  # a read-out column by itself moves, but nothing moves along it or its feedback
        signs |= {exchanged[column]: sign for column, sign in signs.items()}
    columns = tuple(sorted(signs))
    rows = tuple(exchanged[k] if exchanged[k] in signs else k for k in columns)
    return Component(columns, tuple(signs[k] for k in columns) if balanced else None, beside, norm, rows)
