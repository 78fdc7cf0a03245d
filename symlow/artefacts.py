"""What is printed of a specification file, kept on disk between runs.

    file -> digest of the specification        key = SHA-256 (text of the file, provenance)
    digest -> text, LaTeX or generated module  key = SHA-256 (digest, provenance, which of them)

The digest does not see comments, layout and defaults, but finding it takes reading the equations, with SymPy. So it is
kept too: if neither it nor an artefact is missing, nothing is imported that derives. Only what came out of a valid
specification is kept, so that every error is met anew, in the same words. Derivations themselves are not kept: of
SymPy's trees there is no file that is safe to read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from symlow.cache import Cache, key_of
from symlow.files import read_text
from symlow.provenance import provenance

if TYPE_CHECKING:
    from symlow.views import DerivedSystem


class Artefacts:
    """The artefacts of one specification file, each taken from a cache, or derived and put there.

    Args:
        path: a specification, a TOML file, read once.
        cache: where artefacts are kept; None: nowhere, and all are derived.

    Raises:
        FileError: if the file cannot be read.
        SpecError: from every method, if it is not a valid specification.
    """

    def __init__(self, path: str | os.PathLike[str], cache: Cache | None = None) -> None:
        self._path = path
        self._text = read_text(path, "specification (TOML)")
        self._cache = cache

    def name(self) -> str:
        """Return the name of the derivation."""
        return self._artefact(lambda derivation: derivation.spec.name, "name")

    def text(self) -> str:
        """Return the derivation as plain text."""
        return self._artefact(str, "text")

    def latex(self, fragment: bool = False, scalars: bool | None = None) -> str:
        """Return the LaTeX of :meth:`symlow.DerivedSystem.latex`."""
        return self._artefact(lambda derivation: derivation.latex(fragment, scalars), "latex", fragment, scalars)

    def source(self, backend: str = "numpy") -> str:
        """Return the text of the generated module.

        Raises:
            UnknownNameError: for a backend that does not exist.
        """
        return self._artefact(lambda derivation: derivation.source(backend), "source", backend)

    @cached_property
    def _derivation(self) -> DerivedSystem:
        from symlow.views import derive_text

        return derive_text(self._text, self._path)

    @cached_property
    def _digest(self) -> str:
        # Of the derivation and not of its specification alone: some mistakes are seen only when it is derived.
        return self._kept(("file", self._text), lambda: self._derivation.spec.digest)

    def _artefact(self, printed: Callable[[DerivedSystem], str], *which: object) -> str:
        if self._cache is None:
            return printed(self._derivation)
        return self._kept(("digest", self._digest, *map(repr, which)), lambda: printed(self._derivation))

    def _kept(self, determined_by: tuple[str, ...], make: Callable[[], str]) -> str:
        """Return a text from the cache, or make it and put it there."""
        known = provenance()
        if self._cache is None or known is None:
            return make()
        key = key_of(*(f"{name} {version}" for name, version in known), *determined_by)
        found = self._cache.get(key)
        if found is None:
            found = make()
            self._cache.put(key, found)
        return found
