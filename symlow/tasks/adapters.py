"""Trials from elsewhere: plain arrays, tasks of PsychRNN, environments and datasets of NeuroGym.

Neither package is imported: an object is taken by what it can do. Both count time in milliseconds, so that the
network's dt should be the package's dt divided by the milliseconds that a unit of ``network.tau`` stands for.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from symlow.arrays import FloatArray, Trials, check_array, check_integer
from symlow.errors import ArrayError
from symlow.tasks.trials import check_trials


def from_arrays(
    x: object, y: object, mask: object = None, order: Literal["batch_first", "time_first"] = "batch_first"
) -> Trials:
    """Return trials given as arrays, checked and with the batch as their first axis.

    Args:
        x: inputs, of shape (batch, time, inputs), or (time, batch, inputs) if time comes first.
        y: targets, of shape (batch, time, outputs), or (time, batch, outputs).
        mask: weights like y, numbers >= 0 or booleans, or None.
        order: which axis comes first in these arrays.

    Returns:
        x (batch, time, inputs), y (batch, time, outputs), and a mask like y or None.

    Raises:
        ArrayError: for shapes that do not fit, values that are not finite numbers, a mask that is negative or zero
            everywhere, or an unknown order.
    """
    if order not in ("batch_first", "time_first"):
        raise ArrayError(f"order: found {order!r}; accepted: 'batch_first' or 'time_first'")
    axes = "(batch, time, {})" if order == "batch_first" else "(time, batch, {})"
    first = check_array(x, "x", (None, None, None), axes.format("inputs"))
    second = check_array(y, "y", (*first.shape[:2], None), axes.format("outputs"))
    third = None if mask is None else check_array(mask, "mask", second.shape, axes.format("outputs") + ", like y")
    trials = tuple(a if a is None or order == "batch_first" else a.swapaxes(0, 1) for a in (first, second, third))
    return check_trials(trials, first.shape[2], second.shape[2])


def from_psychrnn(task: Any) -> Trials:
    """Return a batch of trials of a PsychRNN task (Ehrlich et al. 2021, eNeuro 8).

    PsychRNN draws from NumPy's global generator: call ``numpy.random.seed`` before, for the same trials again.

    Args:
        task: anything with ``get_trial_batch()`` that returns (x, y, mask, trial_params), the arrays of shapes
            (batch, time, inputs), (batch, time, outputs) and (batch, time, outputs).

    Raises:
        ArrayError: if the object has no such method, or returns something else.
    """
    if not hasattr(task, "get_trial_batch"):
        raise ArrayError(f"task: found {type(task).__name__} without get_trial_batch(); accepted: a task of PsychRNN")
    returned = task.get_trial_batch()
    if not isinstance(returned, tuple) or len(returned) != 4:
        raise ArrayError(
            f"task.get_trial_batch(): found {_short(returned)}; accepted: (x, y, mask, trial_params), as of PsychRNN"
        )
    return from_arrays(*returned[:3])


def from_neurogym(
    source: Any, *, batch: int | None = None, steps: int | None = None, seed: int | None = None
) -> Trials:
    """Return trials of a NeuroGym environment or dataset (Molano-Mazon et al. 2022, psyRxiv).

    From an environment each trial begins at its beginning, as a network at rest does; shorter trials are filled with
    zeros, which the mask leaves out. From a ``Dataset``, whose sequences go on from trial to trial, one sequence per
    row is taken as it comes. Class labels become one output for each class, 1 for the right one and 0 for the others.

    Args:
        source: an environment, with ``new_trial()``, ``ob`` (time, inputs), ``gt`` (time) or (time, outputs) and
            ``action_space``; or a ``neurogym.Dataset``, which when called returns inputs (time, batch, inputs) and
            labels (time, batch), or the batch first if it was made so, and has the environment as ``env``.
        batch: number of trials of an environment, by default 128; a dataset has its own.
        steps: time steps of an environment's trials, cut or filled; by default those of the longest.
        seed: seed of an environment; a dataset is seeded where it is made.

    Returns:
        x (batch, time, inputs), y (batch, time, outputs), and a mask like y or None.

    Raises:
        ArrayError: if the object is neither, has no targets, or an argument does not apply to it.
    """
    # Callable first: an environment is not, and some wrappers warn when asked for what they do not have.
    if callable(source) and hasattr(source, "env"):
        given = [name for name, value in (("batch", batch), ("steps", steps), ("seed", seed)) if value is not None]
        if given:
            raise ArrayError(f"{given[0]}: found one for a Dataset; accepted: none, for a Dataset has its own")
        inputs, target = source()
        order: Literal["batch_first", "time_first"] = "time_first"
        if getattr(source, "batch_first", False):
            order = "batch_first"
        return from_arrays(inputs, _outputs(target, source.env, 2), None, order)
    # A wrapper of NeuroGym has new_trial() of its own; one of Gymnasium hands nothing on but the bare environment.
    own = getattr(type(source), "new_trial", None)
    environment = source if own is not None else getattr(source, "unwrapped", source)
    if not (hasattr(environment, "new_trial") and hasattr(environment, "action_space")):
        raise ArrayError(f"source: found {type(source).__name__}; accepted: an environment or a Dataset of NeuroGym")
    for name, value in (("batch", batch), ("steps", steps)):
        if value is not None:
            check_integer(value, name, 1)
    return _environment_trials(environment, 128 if batch is None else batch, steps, seed)


def _environment_trials(environment: Any, batch: int, steps: int | None, seed: int | None) -> Trials:
    if seed is not None:
        environment.seed(seed)
    drawn = []
    for _ in range(batch):
        environment.new_trial()
        target = getattr(environment, "gt", None)
        if target is None:
            name = type(environment).__name__
            raise ArrayError(f"source: found no targets gt in {name}; accepted: an environment made for supervision")
        ob = check_array(environment.ob, "ob", (None, None), "(time, inputs)")
        drawn.append((ob, check_array(_outputs(target, environment, 1), "gt", (len(ob), None), "(time, outputs)")))
    length = max(len(ob) for ob, _ in drawn) if steps is None else steps
    x = np.zeros((batch, length, drawn[0][0].shape[1]))
    y = np.zeros((batch, length, drawn[0][1].shape[1]))
    mask = np.zeros_like(y)
    for row, (ob, gt) in enumerate(drawn):
        x[row, : len(ob)], y[row, : len(gt)], mask[row, : len(gt)] = ob[:length], gt[:length], 1
    return from_arrays(x, y, None if mask.all() else mask)


def _outputs(target: object, environment: Any, label_axes: int) -> FloatArray:
    """Return targets with an axis of outputs: as they are, or one output for each class of a label."""
    labels = np.asarray(target)
    classes = getattr(environment.action_space, "n", None)
    if classes is None or labels.ndim != label_axes:
        return labels
    labels = labels - getattr(environment.action_space, "start", 0)
    if labels.dtype.kind not in "iu" or ((labels < 0) | (labels >= classes)).any():
        raise ArrayError(f"gt: found labels that are no classes of the environment; accepted: 0 to {classes - 1}")
    return np.eye(int(classes))[labels]


def _short(value: object) -> str:
    return f"{len(value)} arrays" if isinstance(value, tuple) else type(value).__name__
