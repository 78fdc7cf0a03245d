"""The specification of a sweep, SWEEP.toml: what every history shares, and the axes along which histories differ.

    histories = product over dimensions of their points;  a dimension = one axis, or several in step (``[zip]``)

A sweep names the specification of what is learned. Its *canonical form* is JSON with sorted keys and every default
written out; the SHA-256 of that, of the specification's canonical form and of the trials is its *digest*.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, ValidationError, model_validator

from symlow.arrays import Trials
from symlow.errors import SpecError, SymlowError, listing, nearest
from symlow.files import read_text
from symlow.histories import LARGEST_SEED, with_parameters
from symlow.spec import Spec
from symlow.spec_messages import refused, spec_error, whole_refusal
from symlow.spec_tables import NonNegativeNumber, Number, PositiveInteger, PositiveNumber, Table
from symlow.spec_trials import TrialsTask
from symlow.sweep.axes import AxisTable, Name, NonNegativeInteger, Value
from symlow.sweep.result import MEANINGS
from symlow.tasks import build_loss
from symlow.tasks.trials import load_trials

SEED, WEIGHTS_SEED, TRIALS_SEED = "seed", "initial.seed", "trials.seed"
NEURONS, SCALE, LR = "initial.neurons", "initial.scale", "learning.lr"
OWN = (SEED, WEIGHTS_SEED, NEURONS, SCALE, TRIALS_SEED, LR)
"""What an axis can vary apart from initial overlaps and numbers of the specification."""

TAKEN = ("overlap", "visible", "step", *MEANINGS)
"""Names of the result's own dimensions, coordinates and variables, which no axis can have."""

MOST_HISTORIES = 10_000_000
"""The most histories of a sweep."""


class SweepInitial(Table):
    """Where histories start: overlaps of sampled weights, with those that are given in their place."""

    overlaps: dict[str, Number] = Field(default_factory=dict)
    """Initial overlaps by name; the others are those of the sampled weights."""
    neurons: PositiveInteger = 500
    """Number N of neurons of the sampled weights."""
    scale: NonNegativeNumber = 1.0
    """Standard deviation of the sampled weights."""
    seed: NonNegativeInteger | None = None
    """Seed of the sampled weights; by default the sweep's seed."""


class SweepLearning(Table):
    """What learning needs beside the specification."""

    lr: PositiveNumber = 0.005
    """Learning rate."""


class SweepTrials(Table):
    """Trials: given, or drawn by the task."""

    file: Annotated[str, Field(strict=True, min_length=1)] | None = None
    """An .npz file with x, y and mask, for tasks of trials; relative to the sweep's file."""
    seed: NonNegativeInteger | None = None
    """Seed of trials that the task draws, and of label noise; by default the sweep's seed."""


class SweepStop(Table):
    """When a history has converged and takes no further steps (:mod:`symlow.stopping`)."""

    loss: PositiveNumber | None = None
    """Bound of the loss."""
    change: PositiveNumber | None = None
    """Bound of the relative change of the overlaps per unit of lr."""
    patience: PositiveInteger | None = None
    """How many recorded steps in a row; by default 1, or 10 where trials are drawn anew for each step."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.loss is None and self.change is None:
            raise whole_refusal("loss", "found no bound; accepted: stop.loss or stop.change, or both")
        return self


class SweepTables(Table):
    """What stands in a sweep's file."""

    spec: Annotated[str, Field(strict=True, min_length=1)]
    """The specification of what is learned: a TOML file, relative to the sweep's file."""
    steps: PositiveInteger
    """Number of steps of each history."""
    method: Literal["step", "flow"] = "step"
    """step: finite steps of the learning rule. flow: its flow, over the time lr * steps."""
    record: Literal["final", "course"] = "final"
    """final: the overlaps and the loss at the end of each history. course: those at every ``every``-th step too."""
    every: PositiveInteger = 1
    """How many steps from one that is recorded, or looked at for ``stop``, to the next; the last always is."""
    stop: SweepStop | None = None
    """When to stop a history before its last step; by default never."""
    infeasible: Literal["refuse", "skip"] = "refuse"
    """What to do with initial overlaps that no network has: refuse the sweep, or skip and mark these histories."""
    backend: Literal["numpy", "numba"] = "numpy"
    """What evaluates the generated equations; part of the sweep, for their last digits depend on it. JAX is none of
    them, since its precision is a setting outside of a sweep."""
    chunk: PositiveInteger = 64
    """Histories of a task, which are advanced together. Part of the sweep, for the last digits may depend on it."""
    seed: NonNegativeInteger = 0
    """Seed of the sampled weights and of the trials, unless they have their own."""
    initial: SweepInitial = SweepInitial()
    learning: SweepLearning = SweepLearning()
    trials: SweepTrials = SweepTrials()
    axes: Annotated[tuple[AxisTable, ...], Field(min_length=1)]
    """What is varied, one table [[axes]] for each."""
    zip: dict[Name, Annotated[tuple[str, ...], Field(min_length=2)]] = Field(default_factory=dict)
    """Axes that advance together, by the name of the dimension that they make; others are crossed."""

    @model_validator(mode="wrap")
    @classmethod
    def _translate(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            tables = handler(value)
        except ValidationError as error:
            raise spec_error(error, cls) from None
        if tables.stop is not None and tables.method == "flow":
            raise refused("stop", 'found with method = "flow", whose histories end together', "it with steps")
        _check_names(tables)
        _check_zip(tables)
        _check_own(tables)
        return tables


@dataclass(frozen=True, eq=False)
class Sweep:
    """A sweep: its tables, the specification of what is learned, and the trials that it gives.

    Attributes:
        tables: what its file says.
        spec: the specification that it names.
        trials: (x, y, mask), or None where the task draws them or has a closed form.
        text: the text of its file.
    """

    tables: SweepTables
    spec: Spec
    trials: Trials | None
    text: str

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a sweep from a TOML file.

        Raises:
            FileError: if it, its specification or its trials cannot be read.
            SpecError: if it or its specification is not valid; the message names the file and the key.
            ArrayError: if its trials are not those of a task.
        """
        text = read_text(path, "sweep (TOML)")
        try:
            return cls.from_toml(text, Path(path).parent)
        except SymlowError as error:
            raise type(error)(f"{Path(path)}: {error}") from None

    @classmethod
    def from_toml(cls, text: str, folder: str | os.PathLike[str] = ".") -> Self:
        """Read a sweep from TOML text; the files that it names are looked for from ``folder``.

        Raises:
            SymlowError: as :meth:`load`.
        """
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SpecError(f"not valid TOML: {error}; see https://toml.io for the syntax") from None
        except RecursionError:
            raise SpecError("not valid TOML: nested too deeply; a sweep has flat tables") from None
        if "axes" not in content and "network" in content:
            raise SpecError(
                "found the specification of a derivation, with a table [network]; accepted: a sweep, with spec, the "
                "name of such a file, steps and tables [[axes]]"
            )
        tables = SweepTables.model_validate(content)
        spec = Spec.load(Path(folder, tables.spec))
        _check_parameters(tables, spec)
        return cls(tables, spec, _load_trials(tables, spec, Path(folder)), text)

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """The axes with their values, in the order of the file."""
        along = {name: dimension for dimension, names in self.tables.zip.items() for name in names}
        return tuple(
            Axis(table.label, table.over, along.get(table.label, table.label), table.points)
            for table in self.tables.axes
        )

    def canonical(self) -> dict[str, Any]:
        """Return all that determines the result but for the versions of programs, as JSON has it."""
        trials = None if self.trials is None else _digest_of_trials(self.trials)
        # Where files lie is no part of what is computed; what they hold is.
        tables = self.tables.model_dump(mode="json", exclude={"spec": True, "trials": {"file"}})
        return {"sweep": tables, "specification": json.loads(self.spec.canonical()), "trials": trials}

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form, in hexadecimal."""
        text = json.dumps(self.canonical(), sort_keys=True, ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()


@dataclass(frozen=True)
class Axis:
    """An axis of a sweep.

    Attributes:
        name: its name in the result.
        over: what it varies.
        dimension: the dimension of the result that it runs along: its own, or one that it shares.
        values: its values, in order.
    """

    name: str
    over: str
    dimension: str
    values: tuple[Value, ...]


def parameters(values: Mapping[str, Value]) -> dict[str, Value]:
    """Return, of what varies, the numbers of the specification."""
    return {over: value for over, value in values.items() if over not in OWN and not over.startswith("initial.")}


def _check_names(tables: SweepTables) -> None:
    labels = [axis.label for axis in tables.axes]
    overs = [axis.over for axis in tables.axes]
    for k, axis in enumerate(tables.axes):
        where = f"axes[{k + 1}]"
        if axis.label in labels[:k]:
            raise refused(
                f"{where}.name", f"found {axis.label!r}, which another axis has", "a name of its own, by the key name"
            )
        taken = (*TAKEN, *tables.zip)
        if axis.label in taken:
            raise refused(
                f"{where}.name", f"found {axis.label!r}, which the result has already", f"none of {listing(taken)}"
            )
        if axis.over in overs[:k]:
            raise refused(f"{where}.over", f"found {axis.over!r}, which another axis varies", "one axis for each")
        both = [seed for seed in (WEIGHTS_SEED, TRIALS_SEED) if axis.over == SEED and seed in overs]
        if both:
            raise refused(f"{where}.over", f"found 'seed' beside {both[0]!r}", "one of them, for seed sets both")
        name = axis.over.removeprefix("initial.")
        if name in tables.initial.overlaps and name != axis.over:
            raise refused(f"initial.overlaps.{name}", "found beside an axis over it", "one of them")
    for dimension in tables.zip:
        if dimension in TAKEN:
            raise refused(f"zip.{dimension}", "found a name which the result has already", "another name")


def _check_zip(tables: SweepTables) -> None:
    numbers = {axis.label: len(axis.points) for axis in tables.axes}
    seen: list[str] = []
    for dimension, names in tables.zip.items():
        for name in names:
            if name not in numbers:
                raise refused(
                    f"zip.{dimension}",
                    f"unknown axis {name!r}{nearest(name, numbers)}",
                    f"names of axes: {listing(numbers)}",
                )
            if name in seen:
                raise refused(f"zip.{dimension}", f"found {name!r} twice", "each axis once")
            seen.append(name)
        if len({numbers[name] for name in names}) > 1:
            found = listing(f"{name} has {numbers[name]}" for name in names)
            raise refused(f"zip.{dimension}", f"found axes of unlike length ({found})", "axes of as many values")
    total = 1
    for number in [numbers[names[0]] for names in tables.zip.values()] + [
        number for name, number in numbers.items() if name not in seen
    ]:
        total *= number
    if total > MOST_HISTORIES:
        raise refused("axes", f"found {total:.3g} histories", f"at most {MOST_HISTORIES:.0e}")


def _check_own(tables: SweepTables) -> None:
    """Check the values of what is no number of the specification; overlaps are checked when they are named."""
    for k, axis in enumerate(tables.axes):
        if axis.over not in OWN:
            if not axis.over.startswith(("initial.", "task.", "learning.")):
                raise refused(
                    f"axes[{k + 1}].over",
                    f"unknown {axis.over!r}{nearest(axis.over, OWN)}",
                    f"{listing(OWN)}, initial.OVERLAP, or a number of the specification such as task.KEY, learning.KEY",
                )
            continue
        whole = axis.over not in (SCALE, LR)
        least = 1 if axis.over == NEURONS else 0
        for value in axis.points:
            good = isinstance(value, int) and value <= LARGEST_SEED if whole else True
            good = good and (value > 0 if axis.over == LR else value >= least)
            if not good:
                accepted = (
                    f"integers >= {least} and < 2**63" if whole else f"numbers {'> 0' if axis.over == LR else '>= 0'}"
                )
                raise refused(f"axes[{k + 1}]", f"found {value!r} for {axis.over}", accepted)


def _check_parameters(tables: SweepTables, spec: Spec) -> None:
    """Check each value of an axis over a number of the specification, by the specification's own rules."""
    for k, axis in enumerate(tables.axes):
        for value in axis.points if parameters({axis.over: 0}) else ():
            try:
                with_parameters(spec, {axis.over: value})
            except SpecError as error:
                raise SpecError(f"axes[{k + 1}]: {axis.over} = {value!r}: {error}") from None


def _load_trials(tables: SweepTables, spec: Spec, folder: Path) -> Trials | None:
    if tables.trials.file is None:
        if isinstance(spec.task, TrialsTask):
            raise refused("trials.file", "found none with a task of kind 'trials'", "an .npz file with x, y and mask")
        return None
    loss = build_loss(spec)
    return load_trials(folder / tables.trials.file, loss.inputs, loss.outputs)


def _digest_of_trials(trials: Trials) -> str:
    digest = hashlib.sha256()
    for array in trials:
        if array is not None:
            digest.update(f"{array.shape}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()
