r"""Short formulas as matplotlib sets them, between dollar signs: \sigma_{v_1u_2}, and norms with the bars it knows."""

from __future__ import annotations

import re

from symlow.overlap_names import column_latex, overlap_latex

BAR, KNOWN_BAR = re.compile(r"\\[lr]Vert\b *"), r"\|"


def mathtext(code: str) -> str:
    """Return LaTeX of an overlap, a vector or the like as a text of matplotlib."""
    return f"${BAR.sub(lambda _: KNOWN_BAR, code)}$"


def overlap_label(name: str) -> str:
    """Return an overlap by its name alone."""
    return mathtext(overlap_latex(name))


def column_label(label: str) -> str:
    """Return a vector, or one of its columns, by its name alone."""
    return mathtext(column_latex(label))
