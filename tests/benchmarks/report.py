"""What benchmarks report: tables in Markdown, and beside each demand what was found."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

WIDTH = 120


@dataclass(frozen=True)
class Finding:
    """A ratio that is demanded, and the one found.

    Attributes:
        ratio: what is divided by what.
        limit: what is demanded of it.
        found: the number measured.
        at_least: whether the demand is "at least", otherwise it is "at most".
    """

    ratio: str
    limit: float
    found: float
    at_least: bool

    @property
    def is_met(self) -> bool:
        return self.found >= self.limit if self.at_least else self.found <= self.limit


@dataclass(frozen=True)
class Section:
    """A part of the report: a heading, what was measured and how, tables, findings, and numbers for the chart.

    Attributes:
        title: the heading.
        text: a paragraph.
        blocks: tables, and paragraphs between them.
        findings: ratios that are demanded.
        data: times in seconds.
    """

    title: str
    text: str
    blocks: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    data: dict[Any, dict[str, float]] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n\n".join([f"## {self.title}", *map(_filled, (self.text, *self.blocks))])


def table(header: Sequence[str], rows: Iterable[Sequence[object]], words: int = 0) -> str:
    """Return a table in Markdown; numbers in three digits, None where nothing was measured.

    Args:
        header: the heads of the columns.
        rows: the rows.
        words: how many columns, from the left, are words and not numbers.
    """
    rules = ["---" if k < words else "---:" for k in range(len(header))]
    return "\n".join("| " + " | ".join(map(_cell, row)) + " |" for row in (header, rules, *rows))


def findings_table(findings: Iterable[Finding]) -> str:
    """Return the demands and what was found."""
    rows = [
        (
            finding.ratio,
            f"{'at least' if finding.at_least else 'at most'} {finding.limit:g}",
            finding.found,
            "yes" if finding.is_met else "**no**",
        )
        for finding in findings
    ]
    return table(("ratio", "asked for", "found", "met"), rows, words=1)


def number(value: float) -> str:
    """Return a number in three digits, without an exponent up to a million."""
    return f"{value:.3g}" if not 1000 <= abs(value) < 1e6 else f"{float(f'{value:.3g}'):.0f}"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return number(value) if isinstance(value, float) else str(value)


def _filled(block: str) -> str:
    """Return a paragraph in lines of bounded width, a table or what a program said as it is."""
    return (
        block
        if block.startswith(("|", "```"))
        else textwrap.fill(" ".join(block.split()), WIDTH, break_on_hyphens=False)
    )
