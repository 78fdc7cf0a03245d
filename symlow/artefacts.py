"""What is printed of a specification file, kept on disk between runs.

    file -> digest of the specification        key = SHA-256 (text of the file, provenance)
    digest -> text, LaTeX or generated module  key = SHA-256 (digest, provenance, which of them)

The digest does not see comments, layout and defaults, but finding it takes reading the equations, with SymPy. So it is
kept too: if neither it nor an artefact is missing, nothing is imported that derives. Only what came out of a valid
specification is kept, so that every error is met anew, in the same words. Derivations themselves are not kept: of
SymPy's trees there is no file that is safe to read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from symlow.cache import Cache, key_of
from symlow.errors import listing
from symlow.files import read_text
from symlow.provenance import is_unchanged, provenance

if TYPE_CHECKING:
    from symlow.explain import Explanation
    from symlow.views import DerivedSystem


@dataclass(frozen=True)
class ExplainedOverlap:
    """Why an overlap is what it is, in words: a :class:`symlow.explain.Explanation` whose terms are text.

    Attributes:
        name: name of the overlap.
        meaning: the two vectors that it compares.
        visible: whether the loss depends on it.
        reason: the proof.
        terms: each term of its flow, and the movement that it comes from.
    """

    name: str
    meaning: str
    visible: bool
    reason: str
    terms: tuple[tuple[str, str], ...]


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

    def sections(self) -> tuple[str, list[tuple[str, list[tuple[str, str]]]], str]:
        """Return the same text in the parts of :class:`symlow.printing.text.Sections`: before, overlaps, after."""

        def encoded(derivation: DerivedSystem) -> str:
            from symlow.printing.text import sections

            return json.dumps(asdict(sections(derivation)))

        found = json.loads(self._artefact(encoded, "sections"))
        parts = [(title, [(name, equation) for name, equation in rows]) for title, rows in found["overlaps"]]
        return found["before"], parts, found["after"]

    def latex(self, fragment: bool = False, scalars: bool | None = None) -> str:
        """Return the LaTeX of :meth:`symlow.DerivedSystem.latex`."""
        return self._artefact(lambda derivation: derivation.latex(fragment, scalars), "latex", fragment, scalars)

    def source(self, backend: str = "numpy") -> str:
        """Return the text of the generated module.

        Raises:
            UnknownNameError: for a backend that does not exist.
        """
        return self._artefact(lambda derivation: derivation.source(backend), "source", backend)

    def explanation(self, overlap: str) -> ExplainedOverlap:
        """Return why an overlap is visible or invisible, and its equation term by term.

        Raises:
            UnknownNameError: if there is no such overlap.
        """

        def encoded(derivation: DerivedSystem) -> str:
            return json.dumps(asdict(_in_words(derivation.explain(overlap))))

        return _read(json.loads(self._artefact(encoded, "explanation", overlap)))

    def closure_report(self) -> tuple[list[str], list[ExplainedOverlap]]:
        """Return why the system has the size that it has, one sentence each, and every overlap explained."""

        def encoded(derivation: DerivedSystem) -> str:
            report = derivation.closure_report()
            return json.dumps([report.summary, [asdict(_in_words(each)) for each in report.explanations]])

        summary, explanations = json.loads(self._artefact(encoded, "closure report"))
        return summary, [_read(words) for words in explanations]

    def structure(self) -> list[tuple[str, str]]:
        """Return the structural facts: how each is known, and its statement.

        Raises:
            SpecError: if there is no generated module.
        """

        def encoded(derivation: DerivedSystem) -> str:
            return json.dumps([(fact.kind, fact.statement) for fact in derivation.structure])

        return [(kind, statement) for kind, statement in json.loads(self._artefact(encoded, "structure"))]

    def invariants(self, degree: int) -> str:
        """Return the conserved polynomials up to a degree, with their proofs, as text.

        Raises:
            InvariantError: if the degree is out of range.
        """

        def printed(derivation: DerivedSystem) -> str:
            found = derivation.invariants(degree)
            lines = [str(found)]
            for proof in dict.fromkeys(generator.proof.text for generator in found.generators):
                names = [generator.name for generator in found.generators if generator.proof.text == proof]
                lines.append(f"Proof of {listing(names)}: {proof}.")
            return "\n".join(lines)

        return self._artefact(printed, "invariants", degree)

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
            # What was derived while a file of symlow was edited is neither of the old files nor of the new ones.
            if is_unchanged():
                self._cache.put(key, found)
        return found


def _in_words(explanation: Explanation) -> ExplainedOverlap:
    terms = tuple((str(term.expression).replace("sigma_", ""), term.reason) for term in explanation.terms)
    return ExplainedOverlap(explanation.name, explanation.meaning, explanation.visible, explanation.reason, terms)


def _read(words: dict[str, Any]) -> ExplainedOverlap:
    return ExplainedOverlap(**{**words, "terms": tuple((term, reason) for term, reason in words["terms"])})
