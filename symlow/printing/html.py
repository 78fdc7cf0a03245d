"""Derivations as tables in HTML: every overlap, whether the loss sees it, and its equation.

    sigma_zu   visible   z . u / N   d z_u/dt = -m_u g_z_m - (u_u + z_z) g_z_u - z_v g_v_u

Pure functions of values; notebooks show them (:mod:`symlow.views`).
"""

from __future__ import annotations

from markupsafe import Markup

from symlow.derivation import Derivation
from symlow.markup import code, element, formula, joined, kind, table
from symlow.printing.notation import Notation
from symlow.printing.text import conserved, equation


def overlap_table(derivation: Derivation) -> Markup:
    """Return a table of all overlaps, visible ones first: name, kind, the two columns that it compares, its flow."""
    weights = {one.name for one in derivation.learning.weights}
    columns, notation = derivation.reduction.index.columns, Notation(derivation.reduction.index)
    size = "\u00a0/\u00a0N" if derivation.network.equations.averages else ""
    rows = []
    for one in derivation.ordered:
        left, right = (formula(notation.column(columns[k])) for k in (one.row, one.column))
        meaning = joined((left, "\u00a0\u00b7\u00a0", right, size))
        flow = code(equation(derivation, one.name)) if one.name in weights else "only steps move velocities"
        rows.append((formula(notation.doprint(one.symbol)), kind(one.name in derivation.visible), meaning, flow))
    caption = (
        f"{len(derivation.overlaps)} overlaps, {len(derivation.visible)} of them loss-visible (g_x stands for "
        f"{'the cotangent of x in the aligned backward pass' if derivation.rule.has_feedback else 'dL/dx'})"
    )
    return table(caption, ("overlap", "kind", "what it is", "learning"), rows)


def statement_table(derivation: Derivation) -> Markup:
    """Return a table of what is claimed, each claim with its validity, and of what the flow conserves."""
    rows = [(statement.validity, statement.text) for statement in derivation.statements]
    kept = joined(map(code, conserved(derivation)), Markup("<br>"))
    return table("What is known", ("validity", "statement"), [*rows, ("conserved by the flow", kept)])


def derivation_tables(derivation: Derivation) -> Markup:
    """Return a derivation as a notebook shows it: its name, its overlaps and what is known of it."""
    spec = derivation.spec
    heading = element("p", element("b", spec.name), f": {spec.reference}" if spec.reference else "")
    return joined((heading, overlap_table(derivation), statement_table(derivation)))
