"""What users hold: a derivation together with its printers, so that ``d.latex()`` and ``d.compile()`` are at hand.

The derivation itself knows no printer; this class stands to the right of both.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from sympy import MatrixExpr

from symlow.architectures import build_network
from symlow.codegen.emit import compile_module
from symlow.codegen.sources import source
from symlow.derivation import ByOverlap, Derivation
from symlow.equation_text import written
from symlow.errors import SpecError
from symlow.explain import ClosureReport, Explanation, closure_report, explain
from symlow.files import read_text
from symlow.learning import Metric
from symlow.printing.html import derivation_tables
from symlow.printing.latex import latex
from symlow.printing.shown import ShownBlocks, ShownFlow, ShownMetric, ShownSteps
from symlow.printing.text import equations
from symlow.rules import build_rule, with_companions
from symlow.spec import Spec
from symlow.tasks import build_loss
from symlow.tasks.filters import FilterLoss

if TYPE_CHECKING:
    from symlow.structure import Fact


@dataclass(frozen=True, eq=False)
class DerivedSystem(Derivation):
    """A derivation with its views: text, LaTeX, explanations and generated code."""

    @cached_property
    def flow(self) -> ByOverlap:
        """d(overlap)/dt under gradient flow, by name, in overlaps ``sigma_*`` and loss gradients ``g_*``."""
        return ShownFlow(self)

    @cached_property
    def finite_step(self) -> ByOverlap:
        """The overlap after one step of the learning rule with learning rate ``eta``, by name; exact if linear."""
        return ShownSteps(self)

    @cached_property
    def block_flow(self) -> Mapping[tuple[str, str], MatrixExpr]:
        """D Sigma_ab/dt in blocks of Sigma and S, by pair of vectors: the same at every rank."""
        return ShownBlocks(self, super().block_flow)

    @cached_property
    def metric(self) -> Metric:
        """The matrix G of dsigma/dt = -G(sigma) grad L, shape (n_overlaps, n_visible), with its two blocks."""
        return ShownMetric.of(self)

    def _repr_html_(self) -> str:
        return derivation_tables(self)

    def _repr_latex_(self) -> str | None:
        return self.flow._repr_latex_() if isinstance(self.flow, ShownFlow) else None

    def __str__(self) -> str:
        """Return the derivation as plain text."""
        return equations(self)

    def latex(self, fragment: bool = False, scalars: bool | None = None) -> str:
        """Return a complete LaTeX document, or with ``fragment=True`` the equations alone.

        ``scalars`` says whether to print the equation of every overlap; by default up to 60 overlaps.
        """
        return latex(self, fragment, scalars)

    def source(self, backend: str = "numpy") -> str:
        """Return the text of the generated module.

        Args:
            backend: as for :meth:`compile`; or ``"javascript"``, for browsers and Node.js
                (:mod:`symlow.codegen.javascript`).

        Raises:
            UnknownNameError: for a backend that does not exist.
            SpecError: for more visible overlaps than the backend takes.
        """
        return source(self, backend)

    def compile(self, backend: str = "numpy") -> ModuleType:
        """Return the generated module, imported. All backends have the same surface and give the same numbers.

        Args:
            backend: ``"numpy"``, which needs nothing more; ``"numba"`` (extra ``fast``), compiled, on all cores, the
                fastest; ``"jax"`` (extra ``jax``), to be differentiated and run on accelerators; or ``"auto"``, the
                fastest of the first two that is installed. ``module.BACKEND`` says which it is.

        Raises:
            UnknownNameError: for a backend that does not exist.
            DependencyError: for one whose package is not installed.
            SpecError: for more visible overlaps than the backend takes, or one whose modules Python does not import.
        """
        return compile_module(self, backend)

    def explain(self, overlap: str) -> Explanation:
        """Return why an overlap is visible or invisible, and its equation term by term.

        Raises:
            UnknownNameError: if there is no such overlap.
        """
        return explain(self, overlap)

    @cached_property
    def structure(self) -> tuple[Fact, ...]:
        """Structural facts: what the metric contains, symmetries, free directions, what learning can reach.

        Found when first asked for, which takes 1 to 90 seconds for those in ``derivations`` on a busy core.
        """
        from symlow.structure import find_structure  # with SciPy's integrators, which nothing else here needs

        return find_structure(self, self.compile())

    def closure_report(self) -> ClosureReport:
        """Return why the system has the size that it has, with an explanation of every overlap."""
        return closure_report(self)


def derive(spec: Spec) -> DerivedSystem:
    """Derive the overlap gradient flow of a specification.

    Raises:
        SpecError: if the specification names a vector that its network does not have, or its task needs linear reduced
            dynamics that the network does not have; or if the output depends on no overlap.
    """
    derivation = DerivedSystem(spec, with_companions(build_network(spec), build_rule(spec.learning)), build_loss(spec))
    if not derivation.reduction.sees_overlaps:
        equations = derivation.network.equations
        raise SpecError(
            f"the read-out: {equations.output.name} = {written(equations.readout, equations)} depends on no "
            "overlap, so that there is nothing to learn; accepted: what vectors read of neurons that something drives, "
            "such as Z.T*phi(h)/N"
        )
    if isinstance(derivation.loss, FilterLoss):
        try:
            derivation.reduction.state_space  # noqa: B018 - the closed form of a filter's loss is built on it
        except ValueError as error:
            raise SpecError(
                f"task.kind: found {spec.task.kind!r}, which needs linear reduced dynamics, with a network whose is "
                f"not ({error}); accepted: a nonlinearity of constant gain and no bias, or a task of trials"
            ) from None
    return derivation


def derive_file(path: str | os.PathLike[str]) -> DerivedSystem:
    """Derive the specification in a TOML file.

    Raises:
        FileError: if the file cannot be read.
        SpecError: if it is not a valid specification; the message names the file.
    """
    return derive_text(read_text(path, "specification (TOML)"), path)


def derive_text(text: str, path: str | os.PathLike[str]) -> DerivedSystem:
    """Derive the specification in TOML text that was read from a file.

    Raises:
        SpecError: if it is not a valid specification; the message names the file.
    """
    try:
        return derive(Spec.from_toml(text))
    except SpecError as error:
        raise SpecError(f"{Path(path)}: {error}") from None
