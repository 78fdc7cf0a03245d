"""The errors that symlow raises: one hierarchy, each message one line that says what to do next.

Every message names what is wrong and where, what was found against what is accepted, and the mend.
The command line prints the message after ``error:`` and leaves with exit code 2; it never shows a traceback
for a :class:`SymlowError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SymlowError(Exception):
    """Base of every error that a user can cause."""


class SpecError(SymlowError):
    """A specification that does not parse, has an unknown key or a value that is not accepted."""


class ClosureError(SpecError):
    """Equations of a network that overlaps do not close: a term leaves the span of the vectors."""


class UnknownNameError(SymlowError):
    """A name (of an overlap, a backend, a nonlinearity...) that does not exist."""


class ArrayError(SymlowError):
    """An array of the wrong shape or type, or with values that are not finite."""


class GramMatrixError(SymlowError):
    """Overlaps that no weight vectors can have: their Gram matrix is not positive semidefinite."""


class FileError(SymlowError):
    """A file that cannot be read, or an output that cannot or must not be written."""


class DependencyError(SymlowError):
    """An optional package that the requested feature needs is not installed."""


class LearningError(SymlowError):
    """A learning run that left the finite numbers, or an integration that failed."""


class FlowError(LearningError):
    """A gradient flow that its integrator gave up: too stiff, or steps too small."""


class FlowDivergenceError(FlowError):
    """A gradient flow whose overlaps or loss are not finite."""


class SweepError(SymlowError):
    """A sweep whose tasks failed again and again, or whose folder belongs to another sweep."""


class InvariantError(SymlowError):
    """A quantity that is not conserved, or a search for conserved ones that is out of range."""


def nearest(name: object, accepted: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the accepted spelling nearest to ``name``, or an empty string."""
    if not isinstance(name, str):
        return ""
    matches = difflib.get_close_matches(name, list(accepted), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def listing(names: Iterable[str], limit: int = 24) -> str:
    """Join names for a message, cut after ``limit`` of them so that it stays one readable line."""
    names = list(names)
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown}, ... ({len(names)} in all)"


def check_name(name: object, accepted: Iterable[str], what: str) -> None:
    """Raise :class:`UnknownNameError` unless ``name`` is one of ``accepted``."""
    accepted = list(accepted)
    if name not in accepted:
        raise UnknownNameError(f"unknown {what} {name!r}{nearest(name, accepted)} (accepted: {listing(accepted)})")
