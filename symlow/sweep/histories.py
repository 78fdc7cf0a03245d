"""The histories of a sweep: a table in a fixed order, and where each of them starts.

    history k = (i_1, ..., i_d),  k = (... (i_1 n_2 + i_2) n_3 + ...) n_d + i_d

with the dimensions in the order of the axes that make them: the last one runs fastest, as in a C array. Overlaps at the
start are those of sampled weights, P^T P / N, with those that are given in their place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from symlow.arrays import FloatArray
from symlow.batches import spec_generator
from symlow.derivation import Derivation
from symlow.errors import GramMatrixError, SpecError, listing, nearest
from symlow.histories import accepted_parameters, with_parameters
from symlow.initial import check_finite_overlaps, infeasible, overlaps_of_weights, sample_weights
from symlow.spec_trials import TeacherTask
from symlow.sweep.axes import Value
from symlow.sweep.specification import (
    NEURONS,
    OWN,
    SCALE,
    SEED,
    WEIGHTS_SEED,
    Axis,
    Sweep,
    SweepTables,
    parameters,
)

Columns = Mapping[str, tuple[Value, ...]]
"""What some histories vary, by dotted name: a value for each of them."""


@dataclass(frozen=True)
class Grid:
    """The histories of a sweep, in their order: the product of its dimensions.

    Attributes:
        axes: what is varied, in the order of the file.
    """

    axes: tuple[Axis, ...]

    @property
    def dimensions(self) -> dict[str, int]:
        """The dimensions of the result with their lengths, the last one fastest."""
        return {axis.dimension: len(axis.values) for axis in self.axes}

    def __len__(self) -> int:
        """Return the number of histories."""
        return math.prod(self.dimensions.values())

    def columns(self, numbers: Sequence[int] | range) -> dict[str, tuple[Value, ...]]:
        """Return what the histories of these numbers vary, by dotted name."""
        sizes = self.dimensions
        places = dict(zip(sizes, np.unravel_index(np.asarray(numbers, dtype=int), tuple(sizes.values())), strict=True))
        return {axis.over: tuple(axis.values[i] for i in places[axis.dimension].tolist()) for axis in self.axes}

    def describe(self, number: int) -> str:
        """Return a history in words: its number, and its value on each axis."""
        columns = self.columns([number])
        values = ", ".join(f"{axis.name} = {columns[axis.over][0]:.6g}" for axis in self.axes)
        return f"history {number} ({values})"

    def chunks(self, size: int) -> list[range]:
        """Return the histories cut into tasks of ``size``, the last of which may be shorter."""
        return [range(start, min(start + size, len(self))) for start in range(0, len(self), size)]


@dataclass(frozen=True, eq=False)
class Starts:
    """Where histories start.

    Attributes:
        derivation: what is learned.
        tables: the sweep's tables.
    """

    derivation: Derivation
    tables: SweepTables

    @cached_property
    def _sampled(self) -> Callable[..., FloatArray]:
        """Return the overlaps of sampled weights; crossed axes meet the same again and again."""
        return lru_cache(maxsize=4096)(
            lambda *drawn: overlaps_of_weights(self.derivation, sample_weights(self.derivation, *drawn))
        )

    def overlaps(self, columns: Columns, number: int) -> FloatArray:
        """Return the initial overlaps of so many histories, which vary ``columns``; shape (number, n_overlaps).

        Raises:
            LearningError: if the weights of populations do not divide the number of neurons.
        """
        initial, names = self.tables.initial, self.derivation.overlaps
        seed = self.tables.seed if initial.seed is None else initial.seed
        seeds = columns.get(WEIGHTS_SEED, columns.get(SEED, (seed,) * number))
        neurons = columns.get(NEURONS, (initial.neurons,) * number)
        scales = columns.get(SCALE, (initial.scale,) * number)
        given = {name: (value,) * number for name, value in initial.overlaps.items()}
        given |= {over.removeprefix("initial."): values for over, values in columns.items() if _is_overlap(over)}
        sigma = np.empty((number, len(names)))
        if not set(given) >= set(names):
            sigma[:] = [self._sampled(*drawn) for drawn in zip(neurons, scales, seeds, strict=True)]
        for name, values in given.items():
            sigma[:, names.index(name)] = values
        return sigma


def problems(derivation: Derivation, sigma: FloatArray) -> list[str | None]:
    """Return for each state, shape (states, n_overlaps), None if a network has it, otherwise what is wrong with it.

    Raises:
        ArrayError: if overlaps are not finite.
        GramMatrixError: if the mean square of ones is not 1.
    """
    found = dict(infeasible(check_finite_overlaps(sigma, derivation), derivation))
    return [found[k].split(";")[0] if k in found else None for k in range(len(sigma))]


def check_sweep(sweep: Sweep, derivation: Derivation) -> int:
    """Check all that can be known before anything runs, and return how many histories would be skipped.

    Raises:
        SpecError: if an overlap does not exist, numbers of the specification are not accepted together, or numbers of
            the task are varied beside trials that are given.
        GramMatrixError: if histories start from overlaps that no network has and the sweep does not skip them.
        LearningError: if the weights of populations do not divide the number of neurons.
        ArrayError: if initial overlaps are not finite.
    """
    _check_overlap_names(sweep, derivation)
    _check_task(sweep, derivation)
    histories, starts = Grid(sweep.axes), Starts(derivation, sweep.tables)
    checked: dict[tuple[Value, ...], None] = {}
    refused: list[str] = []
    count = 0
    for chunk in histories.chunks(sweep.tables.chunk):
        columns = histories.columns(chunk)
        _check_together(sweep, histories, chunk, parameters_of(columns), checked)
        sigma = starts.overlaps(columns, len(chunk))
        for number, problem in zip(chunk, problems(derivation, sigma), strict=True):
            if problem is not None:
                count += 1
                if len(refused) < MOST_NAMED:
                    refused.append(f"{histories.describe(number)}: {problem}")
    if count and sweep.tables.infeasible == "refuse":
        more = f"; and {count - len(refused)} more" if count > len(refused) else ""
        raise GramMatrixError(
            f"{count} of {len(histories)} histories start from overlaps that no network has: {'; '.join(refused)}"
            f'{more}; change the axes, raise norms by initial.overlaps, or mark these with infeasible = "skip"'
        )
    if count == len(histories):
        raise GramMatrixError(f"all {count} histories start from overlaps that no network has, such as {refused[0]}")
    return count


MOST_NAMED = 8
"""The most histories that a message names."""


def parameters_of(columns: Columns) -> dict[str, tuple[Value, ...]]:
    """Return, of what histories vary, the numbers of the specification."""
    return {over: columns[over] for over in parameters(dict.fromkeys(columns, 0))}


def _check_together(
    sweep: Sweep, histories: Grid, chunk: range, varied: Columns, checked: dict[tuple[Value, ...], None]
) -> None:
    # Whether a teacher is a network is seen when it is derived, which reading the file does not.
    teacher = sweep.trials is None and isinstance(sweep.spec.task, TeacherTask)
    if len(varied) < 2 and not teacher:  # each value by itself was checked with the file
        return
    rows = zip(*varied.values(), strict=True) if varied else [()] * len(chunk)
    for number, values in zip(chunk, rows, strict=True):
        if values in checked:
            continue
        checked[values] = None
        try:
            spec = with_parameters(sweep.spec, dict(zip(varied, values, strict=True)))
            if teacher:
                spec_generator(spec)
        except SpecError as error:
            raise SpecError(f"{histories.describe(number)}: {error}") from None


def _check_overlap_names(sweep: Sweep, derivation: Derivation) -> None:
    named = [(f"initial.overlaps.{name}", name) for name in sweep.tables.initial.overlaps]
    named += [
        (f"axes[{k + 1}].over", axis.over.removeprefix("initial."))
        for k, axis in enumerate(sweep.axes)
        if _is_overlap(axis.over)
    ]
    for where, name in named:
        if name not in derivation.overlaps:
            raise SpecError(
                f"{where}: unknown overlap {name!r}{nearest(name, derivation.overlaps)}; accepted: "
                f"{listing(derivation.overlaps)}"
            )


def _check_task(sweep: Sweep, derivation: Derivation) -> None:
    accepted = accepted_parameters(derivation)
    for k, axis in enumerate(sweep.axes):
        if sweep.trials is not None and axis.over.startswith("task.") and axis.over in accepted:
            raise SpecError(
                f"axes[{k + 1}].over: found {axis.over!r} beside trials.file, whose trials do not depend on it; "
                "accepted: no task.* with trials that are given"
            )


def _is_overlap(over: str) -> bool:
    return over.startswith("initial.") and over not in OWN
