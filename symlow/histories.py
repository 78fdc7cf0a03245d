"""Learning histories: initial overlaps, learning rates, seeds and parameters, one of each for every history.

Each of them is a number, the same for all histories, or an array with one entry for each. Parameters have the dotted
names that they have in a specification, such as ``task.decay`` or ``learning.momentum``, and each history's values are
checked as those of a specification of its own. Histories can differ in real numbers that leave the generated module
and the shape of the trials as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from symlow.arrays import FloatArray, IntArray, check_array, check_number, is_single, shown
from symlow.derivation import Derivation
from symlow.errors import ArrayError, LearningError, SpecError, UnknownNameError, listing, nearest
from symlow.initial import check_overlaps
from symlow.spec import Spec
from symlow.spec_tasks import FiltersTask
from symlow.spec_trials import GeneratedTask
from symlow.tasks import build_loss
from symlow.tasks.filters import FilterLoss

RULE_ARGUMENTS = ("clip", "weight_decay", "momentum")
"""Parameters of a rule that are arguments of the generated module's ``step``, where the rule has them."""

LARGEST_SEED = 2**63 - 1
"""The largest seed: they are kept as signed integers of 8 bytes."""


@dataclass(frozen=True, eq=False)
class Histories:
    """So many learning histories.

    Attributes:
        sigma: initial overlaps, shape (states, n_overlaps).
        lr: learning rates, shape (states,).
        seeds: seeds of trials and noise, shape (states,).
        parameters: values by dotted name, shape (states,) each; those that were given.
        specs: the distinct specifications.
        which: the specification of each history, shape (states,).
        single: whether there is one, asked for without an axis of states.
        given_lr: the learning rates as given, a number if it is one for all.
        given_seed: the seeds, likewise.
    """

    sigma: FloatArray
    lr: FloatArray
    seeds: IntArray
    parameters: Mapping[str, FloatArray]
    specs: tuple[Spec, ...]
    which: IntArray
    single: bool
    given_lr: float | FloatArray
    given_seed: int | IntArray

    def __len__(self) -> int:
        return len(self.sigma)

    @property
    def rule_arguments(self) -> dict[str, FloatArray]:
        """Arguments of the generated module's ``step``, shape (states,) each."""
        given = {name.removeprefix("learning."): values for name, values in self.parameters.items()}
        return {name: given[name] for name in RULE_ARGUMENTS if f"learning.{name}" in self.parameters}


def build_histories(
    derivation: Derivation, sigma: object, lr: object, seed: object, parameters: Mapping[str, object] | None
) -> Histories:
    """Return histories of what is given, each a number (of sigma: a state) or with one entry for each history.

    Raises:
        ArrayError: for arrays of the wrong shape, of lengths that differ, or with values that are not finite.
        GramMatrixError: if initial overlaps are those of no network.
        LearningError: if a learning rate is out of range.
        SpecError: if a seed is negative, or a parameter's value is not accepted.
        UnknownNameError: for a parameter that histories cannot differ in.
    """
    start = check_overlaps(sigma, derivation)
    given = {"lr": check_rates(lr), "seed": _seeds(seed)}
    accepted = accepted_parameters(derivation)
    for name, value in (parameters or {}).items():
        if name not in accepted:
            raise UnknownNameError(
                f"parameters: found {name!r}, which is no number that histories of this derivation can differ in"
                f"{nearest(name, accepted)}; accepted: {listing(accepted) or 'none'}; for another value, derive a "
                "specification that has it"
            )
        given[name] = _values(value, name)
    lengths = {"sigma": len(start)} if start.ndim == 2 else {}
    lengths |= {name: len(values) for name, values in given.items() if values.ndim}
    for name, length in lengths.items():
        first, states = next(iter(lengths.items()))
        if length != states:
            raise ArrayError(
                f"{name}: found {length} entries, where {first} has {states}; accepted: one for each of the same "
                "number of histories, or a single one for all"
            )
    count = next(iter(lengths.values()), 1)
    columns = {name: np.broadcast_to(values, (count,)).copy() for name, values in given.items()}
    rates, seeds = columns.pop("lr"), columns.pop("seed").astype(np.int64)
    specs, which = _specifications(derivation, columns, count)
    return Histories(
        np.broadcast_to(start, (count, start.shape[-1])).copy(),
        rates,
        seeds,
        MappingProxyType(columns),
        specs,
        which,
        not lengths,
        rates.copy() if given["lr"].ndim else float(rates[0]),
        seeds.copy() if given["seed"].ndim else int(seeds[0]),
    )


def accepted_parameters(derivation: Derivation) -> tuple[str, ...]:
    """Return the dotted names of the parameters in which histories of a derivation can differ."""
    task, rule = derivation.spec.task, derivation.rule
    names: list[str] = []
    if isinstance(derivation.loss, FilterLoss):
        names += [*target_arguments(derivation.spec, derivation.loss), "task.loss.factor"]
    elif isinstance(task, GeneratedTask):
        names += [f"task.{name}" for name in _numbers(task.model_dump(exclude={"loss"}))]
    has = {"clip": bool(rule.clip), "weight_decay": bool(rule.weight_decay), "momentum": rule.has_velocity}
    names += [f"learning.{name}" for name in RULE_ARGUMENTS if has[name]]
    if not isinstance(derivation.loss, FilterLoss):
        names.append("learning.label_noise")
    return tuple(names)


def target_arguments(spec: Spec, loss: FilterLoss) -> dict[str, str]:
    """Return by dotted name the arguments of the generated module's function ``task``."""
    tables = {(0, 0): "task"}
    if isinstance(spec.task, FiltersTask):
        tables = {
            (table.output - 1, table.input - 1): f"task.targets[{position}]"
            for position, table in enumerate(spec.task.targets, start=1)
        }
    return {
        f"{tables[target.output, target.input]}.{name.split('_')[0]}": name
        for target in loss.targets
        for name in target.parameter_names.values()
    }


def _numbers(table: Mapping[str, Any]) -> Iterator[str]:
    """Give the dotted names of the real numbers in a table."""
    for key, value in table.items():
        if isinstance(value, float):
            yield key
        elif isinstance(value, Mapping):
            yield from (f"{key}.{name}" for name in _numbers(value))


def check_rates(lr: object, name: str = "lr") -> FloatArray:
    """Return learning rates as an array, checked: one for all histories, shape (), or one for each, (states,).

    Raises:
        ArrayError: for an array of another shape, or with values that are not finite.
        LearningError: for a learning rate that is not positive.
    """
    if is_single(lr):
        return np.asarray(check_lr(lr, name))
    rates = check_array(lr, name, (None,), "one learning rate for each history")
    for k in np.flatnonzero(rates <= 0)[:1]:
        raise LearningError(f"{name}: found {rates[k]} at index {k}; accepted: finite numbers > 0")
    return rates


def check_lr(lr: object, name: str = "lr") -> float:
    """Return a learning rate; raise LearningError unless it is positive and finite."""
    return check_number(lr, name, above=0, error=LearningError)


def _seeds(seed: object) -> IntArray:
    array = np.asarray(seed)
    if array.dtype.kind not in "iu" or array.ndim > 1 or (array < 0).any() or (array > LARGEST_SEED).any():
        raise SpecError(
            f"seed: found {shown(seed)}; accepted: an integer >= 0 and < 2**63, or an array of one for each history"
        )
    return array.astype(np.int64)


def _values(value: object, name: str) -> FloatArray:
    if is_single(value):
        return check_array(value, name, (), "one number for all histories")
    return check_array(value, name, (None,), "one number for each history")


def _specifications(
    derivation: Derivation, columns: Mapping[str, FloatArray], count: int
) -> tuple[tuple[Spec, ...], IntArray]:
    """Return the distinct specifications that the values make, and which of them each history has."""
    spec = derivation.spec
    if not columns:
        return (spec,), np.zeros(count, dtype=np.int64)
    rows, first, which = np.unique(
        np.stack(list(columns.values()), axis=1), axis=0, return_index=True, return_inverse=True
    )
    specs = []
    for row, history in zip(rows, first, strict=True):
        try:
            specs.append(with_parameters(spec, dict(zip(columns, row.tolist(), strict=True))))
        except SpecError as error:
            raise SpecError(f"{error} (history {history})") from None
    return tuple(specs), which.reshape(count).astype(np.int64)


def with_parameters(spec: Spec, values: Mapping[str, int | float]) -> Spec:
    """Return a specification with other numbers, by dotted names such as ``task.decay`` or ``task.targets[2].decay``.

    Raises:
        SpecError: if it has no such key, or the values are not accepted together, or take a target its amplitude.
    """
    tables = {"task": spec.task.model_dump(), "learning": spec.learning.model_dump()}
    for name, value in values.items():
        if value == 0 and name.endswith(".amplitude"):
            _check_target(spec, name)
        try:
            _put_value(tables, name, value)
        except (KeyError, IndexError, TypeError):
            raise SpecError(f"{name}: no such table; accepted: keys of the tables that the specification has") from None
    # The network is not checked again: no number of it is varied, and equations take long to read.
    return Spec.model_validate({"name": spec.name, "reference": spec.reference, "network": spec.network, **tables})


def _check_target(spec: Spec, name: str) -> None:
    """Raise SpecError if an amplitude that is to be 0 is that of a target."""
    loss = build_loss(spec)
    if isinstance(loss, FilterLoss) and name in target_arguments(spec, loss):
        raise SpecError(f"{name}: found 0; accepted: other numbers, for a target without amplitude has no states")


def _put_value(tables: Any, name: str, value: float) -> None:
    """Set a value in nested tables; entries of a list are counted from 1."""
    *path, last = name.split(".")
    for part in path:
        match = re.fullmatch(r"(\w+)\[(\d+)\]", part)
        if match is None:
            tables = tables[part]
        else:
            entries = list(tables[match[1]])
            entries[int(match[2]) - 1] = dict(entries[int(match[2]) - 1])
            tables[match[1]] = entries
            tables = entries[int(match[2]) - 1]
    tables[last] = value
