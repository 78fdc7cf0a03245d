"""What benchmarks report: tables in Markdown, and beside each demand what was found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """A ratio that is demanded, and the one found.

    Attributes:
        demand: what is demanded, in words.
        limit: the number in it.
        found: the number measured.
        at_least: whether the demand is "at least", otherwise it is "at most".
    """

    demand: str
    limit: float
    found: float
    at_least: bool

    @property
    def is_met(self) -> bool:
        return self.found >= self.limit if self.at_least else self.found <= self.limit


@dataclass(frozen=True)
class Section:
    """A part of the report: a heading, what was measured and how, tables, findings, and numbers for charts."""

    title: str
    text: str
    tables: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n\n".join([f"## {self.title}", self.text.strip(), *self.tables])


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown; numbers in three digits, None where nothing was measured."""
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---:" for _ in header) + " |"]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    return "\n".join(lines)


def findings_table(findings: Iterable[Finding]) -> str:
    """Return the demands and what was found."""
    rows = [
        (
            finding.demand,
            f"{'at least' if finding.at_least else 'at most'} {finding.limit:g}",
            finding.found,
            "yes" if finding.is_met else "**no**",
        )
        for finding in findings
    ]
    return table(("ratio", "asked for", "found", "met"), rows).replace("| ---:", "| ---", 1)


def ratio(value: float) -> str:
    """Return a ratio in as many digits as it deserves."""
    return f"{value:.3g}" if value < 1000 else f"{float(f'{value:.3g}'):.0f}"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return ratio(float(value)) if isinstance(value, float) else str(value)
