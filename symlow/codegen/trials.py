"""Lowering of trials: the reduced dynamics stepped through time, forwards and backwards, as statements.

Forwards only the recurrent latents are stepped in a loop with everything else known before it; all statistics,
gains, columns and read-outs follow for all times at once. Backwards only the cotangents of the recurrent latents are,
and those of the blocks of Sigma are sums over time of outer products, that is matrix products.
"""

from __future__ import annotations

from dataclasses import dataclass

from symlow.codegen.statements import Statement, mentioned
from symlow.codegen.trial_backward import TrialBackward
from symlow.codegen.trial_forward import TrialForward
from symlow.derivation import Derivation


@dataclass(frozen=True)
class TrialCode:
    """Statements of the functions that step trials through time.

    Attributes:
        driven: keys of the latents that are functions of the input alone, in order.
        recurrent: keys of the others.
        driven_start: statements that set driven latents at time 0, where they are not zero.
        driven_before: statements before the loop of the driven latents.
        driven_loop: statements in it.
        start: statements that set recurrent latents at time 0, where they are not zero.
        driven_columns: statements that give columns of the input alone, before it.
        loop_before: statements before the forward loop.
        loop: statements in it.
        known: names of statistics, gains and columns, in order.
        state: statements that give them at all times.
        slopes: statements that give the derivatives of gains and gates.
        output: the read-out, an expression.
        output_needs: which of the known names the read-out contains.
        output_back: statements from the output's cotangent to latents, statistics, gains and columns.
        back_before: statements before the backward loop.
        back_loop: statements in it.
        back_to: the first time that the backward loop does not reach.
        driven_at_once: lines for NumPy in place of the loop of driven latents, where each entry is stepped by itself.
        numpy_loop: lines for NumPy in place of the loop of recurrent latents, with those before it.
        back_at_once: lines for NumPy in place of the backward loop, where it is one factor for each time.
        step_back: statements that add what the steps pass to gains, statistics and columns, for all times.
        blocks: statements that give the cotangent of each visible block of Sigma.
    """

    driven: tuple[str, ...]
    recurrent: tuple[str, ...]
    driven_start: tuple[Statement, ...]
    driven_before: tuple[Statement, ...]
    driven_loop: tuple[Statement, ...]
    start: tuple[Statement, ...]
    driven_columns: tuple[Statement, ...]
    loop_before: tuple[Statement, ...]
    loop: tuple[Statement, ...]
    known: tuple[str, ...]
    state: tuple[Statement, ...]
    slopes: tuple[Statement, ...]
    output: str
    output_needs: tuple[str, ...]
    output_back: tuple[Statement, ...]
    back_before: tuple[Statement, ...]
    back_loop: tuple[Statement, ...]
    back_to: int
    driven_at_once: tuple[str, ...]
    numpy_loop: tuple[Statement | str, ...]
    back_at_once: tuple[str, ...]
    step_back: tuple[Statement, ...]
    blocks: tuple[Statement, ...]

    @property
    def loops(self) -> tuple[Statement, ...]:
        """The statements that step latents."""
        driven = (*self.driven_start, *self.driven_before, *self.driven_loop, *self.driven_columns)
        return (*self.start, *driven, *self.loop_before, *self.loop)

    @property
    def backwards(self) -> tuple[Statement | str, ...]:
        """The statements of the backward pass, and the names whose shapes it reads."""
        shapes = (f"kappa_{key}" for key in self.recurrent)
        lines = (*self.slopes, *self.output_back, *self.back_before, *self.back_loop, *self.step_back, *self.blocks)
        return (*shapes, *lines)

    @property
    def needs_ones(self) -> bool:
        """Whether a cotangent is a plain sum."""
        return mentioned("_ONE", self.backwards)


class TrialLowering(TrialForward, TrialBackward):
    """The lowering of one derivation."""

    def code(self) -> TrialCode:
        """Return the code of the derivation's trials."""
        recurrent = self.backward.recurrent
        driven = tuple(key for key in self.latents if key not in recurrent)
        driven_loop, loop, back = self._driven_loop(driven), self._loop(), self._back_loop()
        output = self._rows("read").total(self._terms(self.reduction.output))
        known = tuple(self._known_names())
        start = {key: self._start(key) for key in self.latents if self.latents[key] in self.reduction.initial}
        return TrialCode(
            driven=driven,
            recurrent=recurrent,
            driven_start=tuple(start[key] for key in driven if key in start),
            driven_before=tuple(driven_loop.before),
            driven_loop=tuple(driven_loop.body),
            start=tuple(start[key] for key in recurrent if key in start),
            driven_columns=tuple(self._driven_columns()),
            loop_before=tuple(loop.before),
            loop=tuple(loop.body),
            known=known,
            state=tuple(self._state()),
            slopes=tuple(self._slopes()),
            output=output,
            output_needs=tuple(name for name in known if mentioned(name, [output])),
            output_back=tuple(self._output_back()),
            back_before=tuple(back.before),
            back_loop=tuple(back.body),
            back_to=self._back_to,
            driven_at_once=self._driven_at_once(driven),
            numpy_loop=self._numpy_loop().code() if recurrent else (),
            back_at_once=self._back_at_once(back),
            step_back=tuple(self._step_back()),
            blocks=tuple(self._blocks()),
        )


def lower_trials(derivation: Derivation) -> TrialCode:
    """Return the code of the functions that step a derivation's trials through time."""
    return TrialLowering(derivation).code()
