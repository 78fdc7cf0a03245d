"""Tables of tasks that are trials: the tasks of systems neuroscience, drawn at random, or arrays given at call time.

Durations are in units of time, those of ``network.tau``; defaults taken from experiments or from models in seconds are
converted with tau = 100 ms, the time constant of the low-rank networks of Dubreuil et al. 2022 (Nature Neuroscience 25)
and Valente et al. 2022 (NeurIPS); "Valente et al." below is the code of the latter, adrian-valente/lowrank_inference on
GitHub. A duration is rounded to whole steps of dt, at least one; an epoch that may be left out has no step if its
duration is 0. Input noise is white, of standard deviation sigma / sqrt(dt) at each step, so that its integral over time
does not depend on dt.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, PlainSerializer, model_validator

from symlow.errors import SpecError
from symlow.nonlinearity import nonlinearity
from symlow.spec_messages import refusal, refused, whole_refusal
from symlow.spec_tables import NonNegativeNumber, Number, PositiveInteger, PositiveNumber, Size, Table

MOST_TRIAL_STEPS = 1e6
"""The most time steps of a generated trial, which are held in memory for a whole batch."""

MOST_TRIALS = 1_000_000
"""The most trials of a batch."""

TEACHER_OVERLAPS: Mapping[str, float] = MappingProxyType(
    {"z_m": 0.5, "z_u": 2.3, "v_m": 2.0, "v_u": 1.5, "m_u": 1.6, "m_m": 1.8, "u_u": 2.2}
)
"""The loss-visible overlaps of the teacher of Ger & Barak 2026: rank 1, erf, one input and one output."""

Coherence = Annotated[float, Field(strict=True, ge=-1, le=1)]
Coherences = Annotated[tuple[Coherence, ...], Field(min_length=1)]
Batch = Annotated[int, Field(strict=True, ge=1, le=MOST_TRIALS)]
Pair = Annotated[tuple[Number, ...], Field(min_length=2, max_length=2)]
Overlaps = Annotated[
    Mapping[str, Number],
    AfterValidator(lambda values: MappingProxyType(dict(values))),
    PlainSerializer(dict, return_type=dict[str, float]),
]


class TrialsLossSpec(Table):
    """How squared errors of trials become a loss: factor times their sum or mean."""

    reduction: Literal["sum_dt", "masked_mean"] = "sum_dt"
    """sum_dt: sum over time (times dt) and outputs, mean over the batch. masked_mean: sum over all entries of
    mask * error^2, divided by the sum of the mask."""
    factor: PositiveNumber = 0.5
    """Factor in front; 1/2 makes the gradient the error itself."""


class TrialsTask(Table):
    """Arrays of inputs and targets that are given when the generated module is called."""

    kind: Literal["trials"]
    loss: TrialsLossSpec = TrialsLossSpec()


class GeneratedTask(Table):
    """A task whose trials are drawn at random: what the kinds of them share."""

    EPOCHS: ClassVar[Mapping[str, str]] = MappingProxyType({"trial": "duration"})
    """The epochs of a trial in their order, and the key that holds the duration of each."""

    kind: str
    batch: Batch = 128
    """Number of trials of a batch; 128 as in Ger & Barak 2026."""
    data: Literal["fresh", "fixed"] = "fresh"
    """fresh: a new batch at each step of learning. fixed: one batch, the same at all of them."""
    loss: TrialsLossSpec = TrialsLossSpec()

    @property
    @abstractmethod
    def channels(self) -> tuple[int, int] | None:
        """Number of inputs and of outputs, or None if the task has those of any network."""

    def epochs(self, dt: float) -> dict[str, slice]:
        """Return the time steps of each epoch, in their order; they follow on each other from step 0."""
        slices, start = {}, 0
        for name, key in self.EPOCHS.items():
            stop = start + whole_steps(getattr(self, key), dt)
            slices[name] = slice(start, stop)
            start = stop
        return slices

    def steps(self, dt: float) -> int:
        """Return the number of time steps of a trial."""
        return sum(whole_steps(getattr(self, key), dt) for key in self.EPOCHS.values())

    def check(self, dt: float, table: str = "task.") -> None:
        """Raise what only the time step can tell to be wrong.

        Args:
            dt: time step.
            table: what to put before a key in a message.

        Raises:
            SpecError: if a trial has more than ``MOST_TRIAL_STEPS`` steps, or dt is too long for a key's value.
        """
        steps = sum(getattr(self, key) / dt for key in self.EPOCHS.values())
        if steps > MOST_TRIAL_STEPS:
            longest = max(self.EPOCHS.values(), key=lambda key: getattr(self, key))
            raise refused(
                f"{table}{longest}",
                f"found {getattr(self, longest)}, which makes trials of {steps:.3g} steps of dt = {dt}",
                f"at most {MOST_TRIAL_STEPS:.0e} steps",
            )


def whole_steps(duration: float, dt: float) -> int:
    """Return a duration in steps of dt: none if it is 0, otherwise the nearest number of at least one."""
    # Cut where no trial is as long, for a quotient can be infinite.
    return max(1, round(min(duration / dt, 2 * MOST_TRIAL_STEPS))) if duration > 0 else 0


class FlipFlopTask(GeneratedTask):
    """Remember the sign of the last pulse in each channel (Sussillo & Barak 2013, Neural Computation 25).

    One input and one output for each bit. Pulses of +1 or -1 begin at random times, as a Poisson process, and a new
    pulse ends the one before it. The target is 0 before the first pulse.
    """

    kind: Literal["flip_flop"]
    bits: PositiveInteger = 1
    """Number of channels; Sussillo & Barak have 3."""
    duration: PositiveNumber = 20.0
    """Length of a trial, in units of time; 20 as in Ger & Barak 2026."""
    pulse_width: PositiveNumber = 0.5
    """Length of a pulse, in units of time: short against the memory that is asked for."""
    pulse_rate: PositiveNumber = 0.25
    """Pulses per unit of time and channel; 0.25 are five in a trial of 20."""

    @property
    def channels(self) -> tuple[int, int]:
        """As many inputs and outputs as bits."""
        return self.bits, self.bits

    def check(self, dt: float, table: str = "task.") -> None:
        """As :meth:`GeneratedTask.check`; no more than one pulse begins in a step."""
        super().check(dt, table)
        if self.pulse_rate * dt > 1:
            raise refused(
                f"{table}pulse_rate",
                f"found {self.pulse_rate}, which is more than one pulse in each step of dt = {dt}",
                f"a number <= 1 / dt = {1 / dt:.6g}, or a shorter dt",
            )


class _Decision(GeneratedTask):
    fixation: NonNegativeNumber = 1.0
    """Length of the epoch before anything is shown, in units of time, or 0 for none."""
    delay: NonNegativeNumber = 3.0
    """Length of the epoch between stimulus and response, in units of time, or 0 for none."""
    response: PositiveNumber = 3.0
    """Length of the epoch in which the output is compared with its target, in units of time. The mask is 1 there and
    0 before it."""


class DecisionMakingTask(_Decision):
    """Report the sign of noisy evidence (Britten et al. 1992, Roitman & Shadlen 2002, J. Neurosci. 12 and 22).

    One input: during the stimulus, the trial's coherence plus white noise. The output is to be the sign of the
    coherence during the response. Epochs: fixation, stimulus, delay, response, of the lengths of Valente et al.
    """

    EPOCHS = MappingProxyType({key: key for key in ("fixation", "stimulus", "delay", "response")})

    kind: Literal["decision_making"]
    stimulus: PositiveNumber = 8.0
    """Length of the stimulus, in units of time."""
    coherences: Coherences = (-0.512, -0.256, -0.128, -0.064, -0.032, 0.032, 0.064, 0.128, 0.256, 0.512)
    """Coherences, each as likely as the others; those of Roitman & Shadlen 2002, without 0. At 0, where the animal is
    rewarded at random, the target is the mean, 0."""
    sigma: NonNegativeNumber = 0.3
    """Strength of the evidence's noise: of standard deviation sigma / sqrt(dt) at each step. With 0.3 an ideal observer
    of 8 units of time is right in 83 % of trials of coherence 0.1, near the monkeys' thresholds."""
    outputs: Literal[1, 2] = 1
    """1: one output, +1 or -1. 2: one output for each choice, first that of positive coherence: 1 if it is the right
    one, otherwise 0 (at coherence 0 both are 1/2)."""

    @property
    def channels(self) -> tuple[int, int]:
        """One input; one or two outputs."""
        return 1, self.outputs


class ContextIntegrationTask(_Decision):
    """Report the sign of one of two noisy streams, that of the context (Mante et al. 2013, Nature 503).

    Four inputs: the streams motion and colour, each a coherence plus white noise during the stimulus, and one input for
    each context, on from the end of fixation to the end of the trial. One output: the sign of the coherence of the
    stream that the context selects, during the response. Epochs: fixation, context alone, stimulus, delay, response,
    the first four of the lengths of Valente et al.
    """

    EPOCHS = MappingProxyType({key: key for key in ("fixation", "context", "stimulus", "delay", "response")})

    kind: Literal["context_integration"]
    context: NonNegativeNumber = 3.5
    """Time for which the context is shown before the stimulus, in units of time, or 0 for none."""
    stimulus: PositiveNumber = 8.0
    """Length of the stimulus, in units of time."""
    delay: NonNegativeNumber = 1.0
    """Length of the epoch between stimulus and response, in units of time, or 0 for none."""
    coherences: Coherences = (-0.5, -0.15, -0.05, 0.05, 0.15, 0.5)
    """Coherences of either stream, drawn independently; about those of Mante et al. 2013. At 0 the target is 0."""
    sigma: NonNegativeNumber = 0.3
    """Strength of the noise of either stream: of standard deviation sigma / sqrt(dt) at each step."""
    amplitude: PositiveNumber = 1.0
    """Size of the input of the context."""

    @property
    def channels(self) -> tuple[int, int]:
        """Four inputs, one output."""
        return 4, 1


class ParametricWorkingMemoryTask(_Decision):
    """Compare two vibrations that a delay separates (Romo et al. 1999, Nature 399).

    One input: while a vibration lasts, its frequency, scaled linearly so that the lowest of all pairs is -1/2 and the
    highest +1/2; the middle of the range is no input. One output, during the response: f1 - f2, or its sign. Epochs:
    fixation, first stimulus, delay, second stimulus, response. The scaling and the lengths are those of Valente et al.,
    whose delay is 5 to 20; Romo's animals felt each vibration for 500 ms and waited 3 s: stimulus = 5, delay = 30.
    """

    EPOCHS = MappingProxyType(
        {"fixation": "fixation", "first": "stimulus", "delay": "delay", "second": "stimulus", "response": "response"}
    )

    kind: Literal["parametric_working_memory"]
    stimulus: PositiveNumber = 1.0
    """Length of either stimulus, in units of time."""
    delay: PositiveNumber = 10.0
    """Time between the stimuli, in units of time."""
    response: PositiveNumber = 1.0
    """Length of the response, the only epoch that counts, in units of time."""
    pairs: Annotated[tuple[Pair, ...], Field(min_length=1)] = (
        *((10.0, 18.0), (14.0, 22.0), (18.0, 26.0), (22.0, 30.0), (26.0, 34.0)),
        *((18.0, 10.0), (22.0, 14.0), (26.0, 18.0), (30.0, 22.0), (34.0, 26.0)),
    )
    """Pairs [f1, f2] of frequencies, in Hz, each as likely as the others; by default 8 Hz apart, as in Romo et al."""
    target: Literal["difference", "sign"] = "difference"
    """difference: (f1 - f2) / (highest - lowest frequency), as in Valente et al. sign: +1 if f1 > f2, else -1."""
    sigma: NonNegativeNumber = 0.0
    """Strength of the noise during the stimuli: of standard deviation sigma / sqrt(dt) at each step."""

    @property
    def channels(self) -> tuple[int, int]:
        """One input, one output."""
        return 1, 1

    @model_validator(mode="after")
    def _check(self) -> Self:
        for position, (first, second) in enumerate(self.pairs):
            if first == second:
                found = f"found {first} twice, which leaves nothing to compare"
                raise refusal(f"pairs[{position + 1}]", found, "two different frequencies")
        return self


class DelayedMatchToSampleTask(_Decision):
    """Tell whether two stimuli were the same (Miyashita & Chang 1988, Nature 331; Miller et al. 1996, J. Neurosci. 16).

    Two inputs, one for each stimulus: 1 while it is shown. Sample and test are drawn independently, so that half of the
    trials match. One output, during the response: +1 for a match, -1 otherwise. Epochs: fixation, sample, delay, test,
    response; the lengths are those of Valente et al., the delay, 5 to 30 there, the 1 s of Miller et al.
    """

    EPOCHS = MappingProxyType(
        {"fixation": "fixation", "sample": "stimulus", "delay": "delay", "test": "stimulus", "response": "response"}
    )

    kind: Literal["delayed_match_to_sample"]
    stimulus: PositiveNumber = 5.0
    """Length of either stimulus, in units of time."""
    delay: PositiveNumber = 10.0
    """Time between the stimuli, in units of time."""
    response: PositiveNumber = 10.0
    """Length of the response, the only epoch that counts, in units of time."""
    sigma: NonNegativeNumber = 0.0
    """Strength of the noise of both inputs during the stimuli: of standard deviation sigma / sqrt(dt) at each step."""

    @property
    def channels(self) -> tuple[int, int]:
        """Two inputs, one output."""
        return 2, 1


class _Values(_Decision):
    lowest: Number = -1.0
    """The least value that a stimulus takes."""
    highest: Number = 1.0
    """The greatest; values are drawn uniformly between."""
    sigma: NonNegativeNumber = 0.0
    """Strength of the input's noise while stimuli may come: of standard deviation sigma / sqrt(dt) at each step."""

    @property
    def channels(self) -> tuple[int, int]:
        """One input, one output."""
        return 1, 1

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.lowest > self.highest:
            raise refusal("lowest", f"found {self.lowest}, above highest = {self.highest}", "lowest <= highest")
        return self


class DelayedAdditionTask(_Values):
    """Add two values (after the adding problem of Hochreiter & Schmidhuber 1997, Neural Computation 9).

    One input: two pulses, with heights drawn uniformly, at random times within the presentation, one after the other.
    One output, during the response: the sum of the heights. Epochs: fixation, presentation, delay, response.
    """

    EPOCHS = MappingProxyType({key: key for key in ("fixation", "presentation", "delay", "response")})

    kind: Literal["delayed_addition"]
    presentation: PositiveNumber = 8.0
    """Length of the epoch in which the pulses come, in units of time."""
    pulse_width: PositiveNumber = 1.0
    """Length of a pulse, in units of time."""

    def check(self, dt: float, table: str = "task.") -> None:
        """As :meth:`GeneratedTask.check`; two pulses fit into the presentation."""
        super().check(dt, table)
        if whole_steps(self.presentation, dt) < 2 * whole_steps(self.pulse_width, dt):
            raise refused(
                f"{table}presentation",
                f"found {self.presentation}, too short for two pulses of pulse_width = {self.pulse_width}",
                "at least two pulses' widths and steps of dt",
            )


class DelayedReproductionTask(_Values):
    """Reproduce a value after a delay, a delayed response (Funahashi et al. 1989, J. Neurophysiol. 61).

    One input: during the stimulus, a value drawn uniformly. One output, during the response: that value. Epochs:
    fixation, stimulus, delay, response; stimulus and delay are the 0.5 s and 3 s of Funahashi et al.
    """

    EPOCHS = MappingProxyType({key: key for key in ("fixation", "stimulus", "delay", "response")})

    kind: Literal["delayed_reproduction"]
    stimulus: PositiveNumber = 5.0
    """Length of the stimulus, in units of time."""
    delay: NonNegativeNumber = 30.0
    """Length of the epoch between stimulus and response, in units of time, or 0 for none."""


class SineGenerationTask(GeneratedTask):
    """Generate the sine wave whose frequency a static input tells (Sussillo & Barak 2013, Neural Computation 25).

    The input is constant, 1/4 + j/n for the frequency number j = 0 ... n - 1 of the list; the output is
    sin(2 pi f t), from t = 0 at the first step.
    """

    kind: Literal["sine_generation"]
    frequencies: Annotated[tuple[PositiveNumber, ...], Field(min_length=1)] = (0.05, 0.1, 0.15, 0.2, 0.25)
    """Frequencies f in cycles per unit of time (the ``frequency`` of a damped_oscillation is an angular one, 2 pi f),
    each as likely as the others. By default five within the range of the 51 of Sussillo & Barak."""
    duration: PositiveNumber = 20.0
    """Length of a trial, in units of time."""

    @property
    def channels(self) -> tuple[int, int]:
        """One input, one output."""
        return 1, 1

    def check(self, dt: float, table: str = "task.") -> None:
        """As :meth:`GeneratedTask.check`; a step sees more than two points a period."""
        super().check(dt, table)
        for position, frequency in enumerate(self.frequencies):
            if frequency * dt >= 0.5:
                raise refused(
                    f"{table}frequencies[{position + 1}]",
                    f"found {frequency}, of which steps of dt = {dt} see less than two a period",
                    f"a number < 1 / (2 dt) = {1 / (2 * dt):.6g}, or a shorter dt",
                )


class TeacherTask(GeneratedTask):
    """Imitate a teacher: a low-rank network given by its overlaps (Ger & Barak 2026, arXiv:2605.04115).

    The inputs are noise, the targets the outputs of the teacher's reduced dynamics from rest. Teacher and student have
    the same numbers of inputs and outputs, and the same dt, tau, readout, bias and means.
    """

    kind: Literal["teacher"]
    rank: Size = 1
    """Rank of the teacher."""
    overlaps: Overlaps = Field(default=dict(TEACHER_OVERLAPS), validate_default=True)
    """The teacher's loss-visible overlaps by name, such as z_m or v1_u2; by default those of Ger & Barak 2026, for rank
    1 and the nonlinearity erf."""
    nonlinearity: str | None = None
    """Name of the teacher's nonlinearity; without it that of the network."""
    drive: Literal["white_noise", "smooth"] = "white_noise"
    """white_noise: of standard deviation sigma / sqrt(dt) at each step. smooth: a stationary Gaussian process of
    standard deviation sigma and autocorrelation exp(-t^2 / (2 correlation_time^2))."""
    sigma: PositiveNumber = 1.0
    """Strength of the inputs."""
    correlation_time: PositiveNumber = 1.0
    """Correlation time of smooth inputs, in units of time; at most the duration."""
    duration: PositiveNumber = 20.0
    """Length of a trial, in units of time; 20 as in Ger & Barak 2026."""

    @property
    def channels(self) -> None:
        """Those of the network."""
        return

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.nonlinearity is not None:
            try:
                nonlinearity(self.nonlinearity)
            except SpecError as error:
                raise whole_refusal("nonlinearity", str(error)) from None
        strange = [name for name in self.overlaps if not re.fullmatch(r"[a-z][0-9]*_[a-z][0-9]*", name)]
        if strange:
            raise refusal("overlaps", f"found the name {strange[0]!r}", "names of overlaps, such as z_m or v1_u2")
        if not self.overlaps:
            raise refusal("overlaps", "found none", "each loss-visible overlap of the teacher, such as z_m = 0.5")
        if self.drive == "smooth" and self.correlation_time > self.duration:
            raise refusal(
                "correlation_time",
                f"found {self.correlation_time}, longer than duration = {self.duration}",
                "at most the duration of a trial",
            )
        return self
