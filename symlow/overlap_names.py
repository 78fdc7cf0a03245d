r"""Names of overlaps, and of what they are made of, as LaTeX: v1_u2 is \sigma_{v_1u_2}, m_m is \lVert m\rVert^2.

From the names alone, for callers that have only these: learning runs, comparisons, files. Where the network is at
hand :class:`symlow.printing.notation.Notation` writes them, of the same parts: it also knows which overlaps are means,
which end of a name is a population, and what is a velocity.
"""

from __future__ import annotations

DIGITS = "0123456789"
WORD = r"\mathrm{"


def overlap_latex(name: str) -> str:
    r"""Return an overlap, ``\sigma_{zu}``, or a squared norm, ``\lVert m\rVert^2``."""
    left, right = name.split("_")
    return norm(column_latex(left)) if left == right else rf"\sigma_{{{pair(column_latex(left), column_latex(right))}}}"


def column_latex(label: str) -> str:
    """Return a vector or one of its columns: u2 is u_2."""
    letters = label.rstrip(DIGITS)
    return indexed(word(letters), label[len(letters) :])


def word(name: str) -> str:
    """Return a letter, or a name of several as a word."""
    return name if len(name) == 1 else f"{WORD}{name}}}"


def indexed(letter: str, below: str) -> str:
    """Return a letter with what stands below it, without braces where they are not needed."""
    return f"{letter}_{below}" if len(below) == 1 else f"{letter}_{{{below}}}" if below else letter


def pair(left: str, right: str) -> str:
    """Return two columns side by side, with a dot between them where one is a word."""
    return rf"{left}\cdot {right}" if WORD in (left[: len(WORD)], right[: len(WORD)]) else f"{left}{right}"


def norm(column: str) -> str:
    """Return the squared norm of a column."""
    return rf"\lVert {column}\rVert^2"
