"""The backends of generated modules: how each names what it computes with, and what must be installed for it.

All backends of Python share one template. Where arrays change in place, it writes the loops over time as loops; where
arrays never change it writes them as scans, and what is known when the module is imported as arrays of NumPy.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

from symlow.errors import DependencyError, SpecError, check_name, listing

AUTO = "auto"
"""Stands for the fastest backend that is installed and gives the numbers of the others."""

MOST_COMPILED = 400
"""The most visible overlaps of a module of kernels: at 289 (rank 16) compiling takes a minute and a half."""

MOST_AT_ONCE = 130
"""The most visible overlaps for which compiling is worth it unasked: rank 8, 18 seconds the first time."""


@dataclass(frozen=True)
class Target:
    """What modules are generated for: a language, and what computes in it.

    Attributes:
        name: its name.
        ending: how the file of a module ends, behind the name of the derivation.
    """

    name: str
    ending: str

    def check(self) -> None:
        """Raise :class:`SpecError`: a module that is not of Python is not imported."""
        raise SpecError(
            f"backend {self.name!r}: its modules are text for other programs than Python, which cannot import them; "
            f"accepted: {listing([*BACKENDS, AUTO])}, or the text alone, .source({self.name!r})"
        )


@dataclass(frozen=True)
class Backend(Target):
    """One backend of Python.

    Attributes:
        functional: whether arrays never change, so that an assignment to a part of one makes a new one.
        constants: the package that makes what is known when the module is imported.
        requires: what a module needs, as text.
        needs: the package that must be installed beyond those of symlow; empty for none.
        extra: the extra of symlow that installs it.
        compiled: whether trials are kernels, compiled when they are first used.
    """

    functional: bool
    constants: str
    requires: str
    needs: str = ""
    extra: str = ""
    compiled: bool = False

    @property
    def is_installed(self) -> bool:
        """Whether what it needs is there."""
        return not self.needs or importlib.util.find_spec(self.needs) is not None

    def check(self) -> None:
        """Raise :class:`DependencyError` unless what the backend needs is installed."""
        if not self.is_installed:
            raise DependencyError(
                f'backend {self.name!r} needs {self.needs}; install it: pip install "symlow[{self.extra}]"'
            )


BACKENDS: Mapping[str, Backend] = {
    backend.name: backend
    for backend in (
        Backend("numpy", ".py", functional=False, constants="np", requires="NumPy >= 1.26"),
        Backend(
            "numba",
            "_numba.py",
            functional=False,
            constants="np",
            requires="Numba >= 0.60",
            needs="numba",
            extra="fast",
            compiled=True,
        ),
        Backend(
            "jax", "_jax.py", functional=True, constants="numpy", requires="JAX >= 0.4.35", needs="jax", extra="jax"
        ),
    )
}
"""The backends whose modules Python imports."""

JAVASCRIPT = Target("javascript", ".mjs")

TARGETS: Mapping[str, Target] = {**BACKENDS, JAVASCRIPT.name: JAVASCRIPT}
"""All backends."""


def chosen(backend: str, visible: int) -> str:
    """Return the backend of that name; for ``auto`` the fastest that is installed and in double precision, always.

    JAX is never chosen unasked: its precision is what the process has set, single by default. Nor is what Python does
    not import.

    Args:
        backend: its name, or ``auto``.
        visible: the number of visible overlaps.

    Raises:
        UnknownNameError: for a backend that does not exist.
    """
    check_name(backend, [*TARGETS, AUTO], "backend")
    if backend != AUTO:
        return backend
    return "numba" if BACKENDS["numba"].is_installed and visible <= MOST_AT_ONCE else "numpy"


def check_size(backend: str, visible: int, why: str) -> None:
    """Raise :class:`SpecError` for more visible overlaps than are written out entry by entry, saying why."""
    if visible > MOST_COMPILED:
        raise SpecError(
            f"backend {backend!r}: found {visible} loss-visible overlaps, accepted: at most {MOST_COMPILED}, for "
            f"{why}; use the backend 'numpy' or 'jax'"
        )
