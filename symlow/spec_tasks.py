"""The table ``[task]`` of a specification: what the network should do. The filters are here, trials imported."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from symlow.spec_tables import NonNegativeNumber, Number, PositiveInteger, PositiveNumber, Table
from symlow.spec_trials import (
    ContextIntegrationTask,
    DecisionMakingTask,
    DelayedAdditionTask,
    DelayedMatchToSampleTask,
    DelayedReproductionTask,
    FlipFlopTask,
    ParametricWorkingMemoryTask,
    SineGenerationTask,
    TeacherTask,
    TrialsTask,
)

Horizon = Annotated[float, Field(strict=True, gt=0)]


class _ExponentialFilter(Table):
    kind: Literal["exponential_filter"]
    decay: NonNegativeNumber
    """Decay rate c* of the target filter amplitude * exp(-c* t), per unit of time."""
    amplitude: Number = 1.0
    """Amplitude a* of the target filter."""


class _DampedOscillation(Table):
    kind: Literal["damped_oscillation"]
    decay: NonNegativeNumber
    """Decay rate c* of the target filter amplitude * exp(-c* t) cos(w* t + phase), per unit of time."""
    frequency: PositiveNumber
    """Angular frequency w*, in radians per unit of time."""
    phase: Number = 0.0
    """Phase, in radians."""
    amplitude: Number = 1.0
    """Amplitude a* of the target filter."""


class _Integrator(Table):
    kind: Literal["integrator"]
    amplitude: Number = 1.0
    """Gain a* of the integrator: the target is a* times the integral of the input."""


class _NoResponse(Table):
    kind: Literal["no_response"]
    """The target of this output does not depend on this input."""


class FilterLossSpec(Table):
    """How squared errors of a response become a loss: factor times their sum over time, times dt."""

    reduction: Literal["sum_dt"] = "sum_dt"
    """sum_dt: sum over time (times dt) and over pairs of output and input."""
    factor: PositiveNumber = 0.5
    """Factor in front; 1/2 makes the gradient the error itself."""


class _FilterTask(Table):
    horizon: Horizon = 20.0
    """Length of the response that the loss compares, in units of time, a whole number of dt, or inf."""
    drive: Literal["impulse", "white_noise"] = "impulse"
    """impulse: one unit impulse at time 0 in each input. white_noise: unit white noise, the loss is the expected
    squared error at the end of the horizon. Both have the same loss as a function of the overlaps."""
    loss: FilterLossSpec = FilterLossSpec()


class ExponentialFilterTask(_FilterTask, _ExponentialFilter):
    """Filter the input with amplitude * exp(-decay t)."""


class DampedOscillationTask(_FilterTask, _DampedOscillation):
    """Filter the input with amplitude * exp(-decay t) cos(frequency t + phase)."""


class IntegratorTask(_FilterTask, _Integrator):
    """Integrate the input."""


class _Pair(Table):
    output: PositiveInteger
    """Number of the output, from 1."""
    input: PositiveInteger
    """Number of the input, from 1."""


class ExponentialFilterPair(_Pair, _ExponentialFilter):
    """Target of one pair of input and output."""


class DampedOscillationPair(_Pair, _DampedOscillation):
    """Target of one pair of input and output."""


class IntegratorPair(_Pair, _Integrator):
    """Target of one pair of input and output."""


class NoResponsePair(_Pair, _NoResponse):
    """Target of one pair of input and output: none."""


PairTarget = Annotated[
    ExponentialFilterPair | DampedOscillationPair | IntegratorPair | NoResponsePair,
    Field(discriminator="kind"),
]


class FiltersTask(_FilterTask):
    """One target filter for each pair of input and output."""

    kind: Literal["filters"]
    targets: tuple[PairTarget, ...] = Field(min_length=1)
    """One table [[task.targets]] for each pair of output and input, in any order."""


SingleFilterTask = ExponentialFilterTask | DampedOscillationTask | IntegratorTask
FilterTask = SingleFilterTask | FiltersTask
TargetTable = SingleFilterTask | PairTarget
TaskSpec = Annotated[
    ExponentialFilterTask
    | DampedOscillationTask
    | IntegratorTask
    | FiltersTask
    | TrialsTask
    | FlipFlopTask
    | DecisionMakingTask
    | ContextIntegrationTask
    | ParametricWorkingMemoryTask
    | DelayedMatchToSampleTask
    | DelayedAdditionTask
    | DelayedReproductionTask
    | SineGenerationTask
    | TeacherTask,
    Field(discriminator="kind"),
]
