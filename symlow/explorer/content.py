"""What an explorer shows and starts from, as plain data for its script: overlaps, trials, parameters and their ranges.

Numbers that learning depends on go into the page digit by digit: overlaps as shortest decimals, trials as their bits.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from symlow.arrays import FloatArray, Trials, check_integer, check_number
from symlow.batches import task_batches
from symlow.derivation import Derivation
from symlow.errors import LearningError, SpecError
from symlow.formulas import BELOW, Run, runs
from symlow.initial import check_overlaps, sampled_overlaps
from symlow.metric_contents import is_constant
from symlow.printing.notation import Notation
from symlow.rules import Velocity
from symlow.spec_trials import GeneratedTask
from symlow.tasks.filters import FilterLoss
from symlow.tasks.trials import check_trials

MOST_NUMBERS = 40_000
"""The most numbers in the trials of a page: half a megabyte of text, and some milliseconds for a step."""

MOST_TRIALS = 16
"""The most trials that are drawn for a page."""

RESPONSE_STEPS = 400
"""Steps of the response that is shown where the horizon is infinite."""


def content(
    derivation: Derivation, sigma: object | None, trials: tuple[object, ...] | None, lr: float, steps: int, seed: int
) -> dict[str, Any]:
    """Return what the script of an explorer is given; see :func:`symlow.explorer.explorer_fragment`."""
    lr = check_number(lr, "lr", above=0, error=LearningError)
    steps = check_integer(steps, "steps", 1, LearningError)
    start = check_overlaps(sampled_overlaps(derivation, seed) if sigma is None else sigma, derivation)
    if start.ndim != 1:
        raise LearningError(f"sigma: found {len(start)} states; accepted: one, for the page adds the twin")
    given = _trials(derivation, trials, seed)
    loss = derivation.loss
    parameters = _parameters(loss) if given is None and isinstance(loss, FilterLoss) else {}
    response = None
    if isinstance(loss, FilterLoss):
        response = {"time": loss.steps or RESPONSE_STEPS, "latency": loss.latency}
    return {
        "overlaps": _overlaps(derivation),
        "initial": start.tolist(),
        "trials": None if given is None else _encoded(*given),
        "lr": lr,
        "steps": steps,
        "parameters": {name: setting["value"] for name, setting in parameters.items()},
        "response": response,
        "settings": {
            "lr": {"label": _label("learning rate"), "meaning": "lr", "range": [lr / 1000, lr * 1000]},
            "steps": {
                "label": _label("steps"),
                "meaning": "steps of learning",
                "range": [min(10, steps), max(100_000, 10 * steps)],
            },
            "parameters": parameters,
        },
    }


def _trials(derivation: Derivation, trials: tuple[object, ...] | None, seed: int) -> Trials | None:
    """Return the trials given, or those that the task draws; None for the closed form of a filter task."""
    loss, task = derivation.loss, derivation.spec.task
    if trials is not None:
        return _first_that_fit(check_trials(trials, loss.inputs, loss.outputs))
    if isinstance(loss, FilterLoss):
        return None
    one = task_batches(derivation, seed, batch=1, data="fixed")
    if one is None or not isinstance(task, GeneratedTask):
        raise SpecError(
            "task.kind: found 'trials', whose arrays are given when learning starts; accepted: trials=(x, y, mask) as "
            "an argument, or a task that draws its trials"
        )
    batch = min(task.batch, MOST_TRIALS, _most_trials(one(0)))
    drawn = task_batches(derivation, seed, batch=batch, data="fixed")
    assert drawn is not None
    return drawn(0)


def _first_that_fit(trials: Trials) -> Trials:
    """Return trials, or where a page cannot hold all the first of them that count for the loss."""
    most = _most_trials(trials)
    if len(trials[0]) <= most:
        return trials
    x, y, mask = trials
    if mask is None:
        return x[:most], y[:most], None
    kept = np.flatnonzero(mask.any(axis=(1, 2)))[:most]
    return x[kept], y[kept], mask[kept]


def _most_trials(trials: Trials) -> int:
    """Return how many trials as large as these a page can hold, at least one."""
    size = sum(array[0].size for array in trials if array is not None)
    if size > MOST_NUMBERS:
        raise LearningError(
            f"trials: found {size} numbers in each; accepted: at most {MOST_NUMBERS}, so that a page can hold one; "
            "make trials shorter"
        )
    return MOST_NUMBERS // size


def _encoded(x: FloatArray, y: FloatArray, mask: FloatArray | None) -> dict[str, Any]:
    batch, time = x.shape[:2]
    arrays = {"x": x, "y": y, "mask": mask}
    return {name: None if array is None else _bits(array) for name, array in arrays.items()} | {
        "batch": batch,
        "time": time,
    }


def _bits(array: FloatArray) -> str:
    """Return an array as 64-bit numbers, least significant byte first, in base 64."""
    return base64.b64encode(np.ascontiguousarray(array, dtype="<f8").tobytes()).decode("ascii")


def _overlaps(derivation: Derivation) -> list[dict[str, Any]]:
    """Return how overlaps are written, and which are constants, and whether the start of each can be chosen."""
    network, columns = derivation.network, derivation.reduction.index.columns
    notation = Notation(derivation.reduction.index)
    velocities = [vector.name for vector in network.vectors if isinstance(vector, Velocity)]
    return [
        {
            "name": overlap.name,
            "label": _written(runs(notation.doprint(overlap.symbol))),
            "meaning": f"overlap {overlap.name}",
            "constant": is_constant(derivation, overlap),
            "movable": not is_constant(derivation, overlap)
            and not {columns[overlap.row].vector, columns[overlap.column].vector} & {*velocities},
        }
        for overlap in derivation.ordered
    ]


def _label(words: str, below: str = "") -> list[dict[str, Any]]:
    """Return words, with an index or not, as a label."""
    return _written([Run(words, italic=False), *([Run(below, italic=False, script=BELOW)] if below else [])])


def _written(label: Iterable[Run]) -> list[dict[str, Any]]:
    """Return a label as the script of an explorer writes it: sizes and heights relative to the size of its letters."""
    return [
        {"text": run.text, "italic": run.italic, "scale": round(run.scale, 3), "shift": round(run.shift, 3)}
        for run in label
    ]


def _parameters(loss: FilterLoss) -> Mapping[str, dict[str, Any]]:
    """Return the parameters of target filters with the ranges of their sliders."""
    found = {}
    for symbol, number in loss.parameters.items():
        name, value = loss.parameter_names[symbol], float(number)
        key, *pair = name.split("_")
        widest = {
            "amplitude": (-3 * max(1.0, abs(value)), 3 * max(1.0, abs(value))),
            # A target that does not decay has no finite loss over an infinite horizon.
            "decay": (min(value, 0.01 if loss.steps is None else 0.0), max(2.0, 4 * value)),
            "frequency": (min(value, 0.0), max(6.0, 2 * value)),
            "phase": (min(value, -math.pi), max(value, math.pi)),
        }
        found[name] = {
            "value": value,
            "label": _label(key, ",".join(pair)),
            "meaning": f"{key} of the target" + (f" of output {pair[0]}, input {pair[1]}" if pair else ""),
            "range": list(widest[key]),
        }
    return found
