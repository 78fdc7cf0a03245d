"""The backends of generated modules: how each names what it computes with, and what must be installed for it.

All backends share one template. Where arrays change in place, it writes the loops over time as loops; where arrays
never change it writes them as scans, and what is known when the module is imported as arrays of NumPy.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

from symlow.errors import DependencyError


@dataclass(frozen=True)
class Backend:
    """One backend.

    Attributes:
        name: its name.
        functional: whether arrays never change, so that an assignment to a part of one makes a new one.
        constants: the package that makes what is known when the module is imported.
        requires: what a module needs, as text.
        needs: the package that must be installed beyond those of symlow; empty for none.
        extra: the extra of symlow that installs it.
    """

    name: str
    functional: bool
    constants: str
    requires: str
    needs: str = ""
    extra: str = ""

    def check(self) -> None:
        """Raise :class:`DependencyError` unless what the backend needs is installed."""
        if self.needs and importlib.util.find_spec(self.needs) is None:
            raise DependencyError(
                f'backend {self.name!r} needs {self.needs}; install it: pip install "symlow[{self.extra}]"'
            )


BACKENDS: Mapping[str, Backend] = {
    backend.name: backend
    for backend in (
        Backend("numpy", functional=False, constants="np", requires="NumPy >= 1.26"),
        Backend("numba", functional=False, constants="np", requires="Numba >= 0.60", needs="numba", extra="fast"),
        Backend("jax", functional=True, constants="numpy", requires="JAX >= 0.4.35", needs="jax", extra="jax"),
    )
}
