"""What learning histories learn from at each step: a closed form, trials that all share, or trials of their own.

A history draws the trials of step k as it would alone, from its own seed and its own specification, so that histories
with the same of both share them. Histories advance in parts, which bounds the memory that trials and the module's
arrays over time take: a part has at most ``MOST_VALUES`` numbers in an array of one entry for each history, trial and
time step, and at most ``MOST_HISTORIES`` histories.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from symlow.arrays import FloatArray, IntArray, Trials
from symlow.batches import LABEL_STREAM, Batches, spec_generator
from symlow.codegen.backends import BACKENDS
from symlow.derivation import Derivation
from symlow.errors import LearningError, SpecError
from symlow.histories import Histories, target_arguments
from symlow.spec import Spec
from symlow.spec_trials import GeneratedTask
from symlow.tasks import TrialGenerator, batches
from symlow.tasks.filters import FilterLoss
from symlow.tasks.trials import check_trials

MOST_VALUES = 2**20
"""The most numbers in an array with one entry for each history, trial and time step: 8 MB, of which there are some."""

MOST_HISTORIES = 4096
"""The most histories that advance in one call of the module."""

HELD_BYTES = 2**29
"""How much memory fixed trials of many histories may take; what is more is drawn again at each step."""


class HistoryTrials(ABC):
    """The trials of histories."""

    @abstractmethod
    def at(self, step: int, active: IntArray) -> Iterator[tuple[IntArray, Any]]:
        """Give parts of the active histories, each with what the module takes as their trials at a step."""

    @property
    @abstractmethod
    def repeats(self) -> bool:
        """Whether each step has the same trials, so that the loss is a function of the overlaps."""


@dataclass(frozen=True, eq=False)
class ClosedForm(HistoryTrials):
    """A loss in closed form, of the specification's task, or with parameters of their own for each history.

    Attributes:
        target: the generated module's targets, arrays with histories first; None for that of the specification.
        filled: whether parts are filled up to few lengths.
    """

    target: Any
    filled: bool

    repeats = True

    def at(self, step: int, active: IntArray) -> Iterator[tuple[IntArray, Any]]:
        """Give the parts, each with its targets."""
        for part in _parts(active, MOST_HISTORIES, self.filled):
            yield part, None if self.target is None else type(self.target)(*(array[part] for array in self.target))


@dataclass(frozen=True, eq=False)
class GivenTrials(HistoryTrials):
    """Trials of all histories, given or drawn, and trials of their own, which differ by specification or seed.

    Attributes:
        draw: the trials of a source at a step.
        source: the source of each history, shape (states,).
        noise: standard deviation of the noise on targets of each history, shape (states,).
        seeds: seed of this noise, shape (states,).
        fixed: whether a source has the same trials at each step.
        filled: whether parts are filled up to few lengths.
    """

    draw: Callable[[int, int], Trials]
    source: IntArray
    noise: FloatArray
    seeds: IntArray
    fixed: bool
    filled: bool

    @property
    def repeats(self) -> bool:
        """Whether neither trials nor noise are drawn anew."""
        return self.fixed and not self.noise.any()

    @functools.cached_property
    def _together(self) -> bool:
        """Whether all histories have the same trials, and the same noise on them."""
        same_noise = not self.noise.any() or (np.ptp(self.noise) == 0 and np.ptp(self.seeds) == 0)
        return bool(np.ptp(self.source) == 0 and same_noise)

    def at(self, step: int, active: IntArray) -> Iterator[tuple[IntArray, Any]]:
        """Give the parts, each with its trials: of shape (batch, time, n), or (histories, batch, time, n)."""
        first = self.draw(int(self.source[active[0]]), step)
        size = max(1, min(MOST_HISTORIES, MOST_VALUES // (first[0].shape[0] * first[0].shape[1])))
        shared = self._noisy(first, int(active[0]), step) if self._together else None
        for part in _parts(active, size, self.filled):
            yield part, shared if shared is not None else self._stacked(part, step)

    def _stacked(self, part: IntArray, step: int) -> Trials:
        drawn: dict[int, Trials] = {}
        trials = []
        for history in part:
            source = int(self.source[history])
            if source not in drawn:
                drawn[source] = self.draw(source, step)
            trials.append(self._noisy(drawn[source], int(history), step))
        x, y, masks = zip(*trials, strict=True)
        mask = None if masks[0] is None else np.stack(masks)
        return np.stack(x), np.stack(y), mask

    def _noisy(self, trials: Trials, history: int, step: int) -> Trials:
        x, y, mask = trials
        if self.noise[history] == 0:
            return trials
        rng = np.random.default_rng([self.seeds[history], step, LABEL_STREAM])
        return x, y + self.noise[history] * rng.standard_normal(y.shape), mask


def _parts(active: IntArray, size: int, filled: bool) -> Iterator[IntArray]:
    """Give active histories in parts, each at most so long.

    If filled, the last history of a part is repeated until it has one of four lengths between powers of two: a module
    that is compiled anew for each shape then is so a few times while histories stop, at a quarter more work or less.
    """
    for start in range(0, len(active), size):
        part = active[start : start + size]
        spacing = 1 << max(0, len(part).bit_length() - 3)
        length = min(size, -(-len(part) // spacing) * spacing) if filled else len(part)
        yield np.concatenate([part, np.repeat(part[-1:], length - len(part))])


def build_trials(
    derivation: Derivation,
    module: ModuleType,
    histories: Histories,
    trials: tuple[object, ...] | Batches | None,
    method: str,
) -> HistoryTrials:
    """Return the trials of histories: given ones, those that the task draws, or its closed form.

    Raises:
        ArrayError: for trials that are given and wrong.
        LearningError: if there are no trials and no closed form, or the method wants others.
        SpecError: if the trials of histories differ in length, or the task is a teacher that no network can be.
    """
    loss = derivation.loss
    filled = BACKENDS[getattr(module, "BACKEND", "numpy")].functional
    if trials is None and isinstance(loss, FilterLoss):
        return ClosedForm(_targets(histories, derivation, loss, module), filled)
    noise = np.zeros(len(histories))
    if method == "step":
        noise = np.array([spec.learning.label_noise for spec in histories.specs])[histories.which]
    if trials is None:
        drawn, sources, fixed = _drawn(derivation, histories, method)
    else:
        task = [name for name in histories.parameters if name.startswith("task.")]
        if task:
            raise LearningError(f"parameters: found {task[0]!r} with trials that are given; accepted: no task.*")
        drawn, fixed = _given(trials, loss.inputs, loss.outputs, method)
        sources = np.zeros(len(histories), dtype=np.int64)
    return GivenTrials(drawn, sources, noise, histories.seeds, fixed, filled)


def _targets(histories: Histories, derivation: Derivation, loss: FilterLoss, module: ModuleType) -> Any:
    arguments = target_arguments(derivation.spec, loss)
    given = {arguments[name]: v for name, v in histories.parameters.items() if name in arguments}
    if "task.loss.factor" in histories.parameters:
        given["weight"] = histories.parameters["task.loss.factor"] * float(loss.dt)
    return module.task(**given) if given else None


def _given(
    trials: tuple[object, ...] | Batches, inputs: int, outputs: int, method: str
) -> tuple[Callable[[int, int], Trials], bool]:
    if not callable(trials):
        checked = check_trials(trials, inputs, outputs)
        return lambda source, step: checked, True
    if method == "flow" and any(first is not second for first, second in zip(trials(0), trials(1), strict=True)):
        raise LearningError("method: found 'flow' with trials that differ from step to step; accepted: fixed trials")

    @functools.lru_cache(maxsize=1)
    def at(step: int) -> Trials:
        return check_trials(trials(step), inputs, outputs)

    return lambda source, step: at(step), method == "flow"


def _drawn(
    derivation: Derivation, histories: Histories, method: str
) -> tuple[Callable[[int, int], Trials], IntArray, bool]:
    """Return what draws the trials of each source, the source of each history, and whether they stay the same."""
    task = derivation.spec.task
    if not isinstance(task, GeneratedTask):
        raise LearningError("trials: the task has no closed-form loss; give arrays x, y and, if wanted, mask")
    data = "fixed" if method == "flow" else task.data
    # Specifications that differ in the learning rule alone draw the same trials.
    texts = [spec.task.model_dump_json() for spec in histories.specs]
    first = {text: k for k, text in reversed(list(enumerate(texts)))}
    numbers = np.array([first[text] for text in texts])[histories.which]
    generators = {k: _generator(histories.specs[k]) for k in first.values()}
    lengths = sorted({generator.steps for generator in generators.values()})
    if len(lengths) > 1:
        raise SpecError(
            f"parameters: histories have trials of {lengths[0]} to {lengths[-1]} time steps; accepted: durations that "
            "make the same number of steps for all of them"
        )
    rows, source = np.unique(np.stack([numbers, histories.seeds], axis=1), axis=0, return_inverse=True)
    fresh = [batches(generators[number], task.batch, int(seed)) for number, seed in rows]
    size = task.batch * lengths[0] * (derivation.loss.inputs + 2 * derivation.loss.outputs) * 8

    @functools.lru_cache(maxsize=1 if data == "fresh" else max(1, HELD_BYTES // size))
    def draw(source: int, step: int) -> Trials:
        return fresh[source](step)

    fixed = data == "fixed"
    return (lambda source, step: draw(source, 0)) if fixed else draw, source.reshape(-1).astype(np.int64), fixed


def _generator(spec: Spec) -> TrialGenerator:
    generator = spec_generator(spec)
    assert generator is not None  # parameters do not change the kind of a task
    return generator
