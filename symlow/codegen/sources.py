"""The text of generated modules, in the language of each backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from symlow.codegen.backends import BACKENDS, JAVASCRIPT, chosen
from symlow.codegen.emit import python_source
from symlow.codegen.javascript import module_source
from symlow.derivation import Derivation

WRITERS: Mapping[str, Callable[[Derivation], str]] = {
    **{name: partial(python_source, backend=name) for name in BACKENDS},
    JAVASCRIPT.name: module_source,
}
"""What writes the module of each backend."""


def source(derivation: Derivation, backend: str = "numpy") -> str:
    """Return the text of the generated module.

    Raises:
        UnknownNameError: for a backend that does not exist.
        SpecError: for more visible overlaps than the backend takes.
    """
    return WRITERS[chosen(backend, len(derivation.visible))](derivation)
