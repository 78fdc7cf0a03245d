"""Certificates: what was compared or measured, the bounds and where they come from, and the verdict."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from symlow.arrays import FloatArray
from symlow.derivation import Statement
from symlow.files import write_whole
from symlow.markup import joined, table

EPSILON = float(np.finfo(float).eps)
"""Nothing is resolved beyond the spacing of floating-point numbers."""


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        name: what was compared, in words.
        error: the largest deviation found.
        bound: the largest deviation accepted.
        why: where the bound comes from.
        passed: the verdict.
        resolution: the error of what it is compared with, where that is known apart from rounding: smaller deviations
            are not seen, and a pass says no more.
    """

    name: str
    error: float
    bound: float
    why: str
    passed: bool
    resolution: float | None = None

    @property
    def verdict(self) -> str:
        """The verdict in words, with what was resolved, such as "pass, resolved to 0.01"."""
        word = "pass" if self.passed else "FAIL"
        return word if self.resolution is None else f"{word}, resolved to {self.resolution:.1g}"


@dataclass(frozen=True)
class Measurement:
    """Something measured that has no right value, such as how far a closure drifts.

    Attributes:
        name: what was measured, in words.
        value: the figure.
        meaning: how to read it.
    """

    name: str
    value: float
    meaning: str


@dataclass(frozen=True)
class Certificate:
    """The result of a verification.

    Attributes:
        name: name of the specification.
        digest: its digest.
        symlow: version of symlow.
        settings: neurons, steps, learning rate and seed of the runs compared.
        statements: what the derivation claims, each claim with its validity.
        checks: the comparisons.
        measurements: what was measured besides.
    """

    name: str
    digest: str
    symlow: str
    settings: dict[str, float]
    statements: tuple[Statement, ...]
    checks: tuple[Check, ...]
    measurements: tuple[Measurement, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def _repr_html_(self) -> str:
        """Return the checks and measurements, for notebooks."""
        passed = sum(check.passed for check in self.checks)
        caption = f"{self.name}: {passed} of {len(self.checks)} checks passed"
        checks = [(one.name, f"{one.error:.1e}", f"{one.bound:.1e}", one.verdict, one.why) for one in self.checks]
        tables = [table(caption, ("compared", "found", "bound", "verdict", "where the bound comes from"), checks)]
        if self.measurements:
            rows = [(one.name, f"{one.value:.3g}", one.meaning) for one in self.measurements]
            tables.append(table("measured", ("what", "figure", "how to read it"), rows))
        claims = [(statement.validity, statement.text) for statement in self.statements]
        return joined((*tables, table("what is claimed", ("validity", "statement"), claims)))

    def to_json(self) -> str:
        """Return the certificate as JSON."""
        return json.dumps({**asdict(self), "passed": self.passed}, indent=2) + "\n"

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the certificate as JSON.

        Raises:
            FileError: if the file exists and ``overwrite`` is false, or cannot be written.
        """
        return write_whole(path, self.to_json(), overwrite)


def check(name: str, error: float, bound: float, why: str, resolution: float | None = None) -> Check:
    """Return a check with its verdict; an error that is not a number fails."""
    resolved = None if resolution is None else max(float(resolution), EPSILON)
    return Check(name, float(error), float(bound), why, bool(error <= bound), resolved)


def relative_error(found: FloatArray, reference: FloatArray) -> float:
    """Return the largest deviation, relative to the largest entry of the reference."""
    deviation = float(np.abs(found - reference).max())
    size = float(np.abs(reference).max())
    return deviation / size if size else float("inf" if deviation else 0.0)
