"""Trial tasks: arrays x, y, mask that are given when the generated module is called.

sum_dt:       L = factor * dt * mean_b sum_(t,o) mask (yhat - y)^2
masked_mean:  L = factor * sum_(b,t,o) mask (yhat - y)^2 / sum_(b,t,o) mask
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sympy
from numpy.typing import NDArray

from symlow.errors import ArrayError, FileError
from symlow.expressions import exact
from symlow.spec import NetworkSpec, TrialsTask

FloatArray = NDArray[np.float64]
Trials = tuple[FloatArray, FloatArray, FloatArray | None]


@dataclass(frozen=True)
class TrialsLoss:
    """A task whose trials are given at call time.

    Attributes:
        inputs: number of inputs.
        outputs: number of outputs.
        reduction: "sum_dt" or "masked_mean".
        factor: exact factor of the loss.
    """

    inputs: int
    outputs: int
    reduction: str
    factor: sympy.Rational


def build_trials_loss(task: TrialsTask, network: NetworkSpec) -> TrialsLoss:
    """Return the loss of a trials task of a specification."""
    return TrialsLoss(network.inputs, network.outputs, task.loss.reduction, exact(task.loss.factor))


def check_trials(trials: tuple[object, ...], inputs: int, outputs: int) -> Trials:
    """Return trials as arrays of floats, checked.

    Args:
        trials: (x, y, mask) or (x, y); x of shape (batch, time, inputs), y (batch, time, outputs), mask as y or None.
        inputs: number of inputs of the network.
        outputs: number of outputs of the network.

    Raises:
        ArrayError: for a wrong number of arrays, a wrong shape, values that are not finite numbers, or a mask that
            has negative entries or is zero everywhere.
    """
    if len(trials) not in (2, 3):
        raise ArrayError(f"trials: found {len(trials)} arrays; accepted: (x, y, mask) or (x, y)")
    x = check_array(trials[0], "x", (None, None, inputs), "(batch, time, inputs)")
    y = check_array(trials[1], "y", (*x.shape[:2], outputs), "(batch, time, outputs)")
    if x.size == 0:
        raise ArrayError(f"x: found shape {x.shape}, which holds no trial; accepted: at least one trial and time step")
    if len(trials) == 2 or trials[2] is None:
        return x, y, None
    mask = check_array(trials[2], "mask", y.shape, "(batch, time, outputs), like y")
    if (mask < 0).any() or not mask.any():
        raise ArrayError("mask: found negative entries or none above zero; accepted: weights >= 0, some of them > 0")
    return x, y, mask


def check_array(value: object, name: str, shape: tuple[int | None, ...], meaning: str) -> FloatArray:
    """Return ``value`` as an array of finite floats of the given shape (None: any length).

    Raises:
        ArrayError: naming the array, what was found and what is accepted.
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise TypeError
        array = array.astype(np.float64)
    except (TypeError, ValueError):
        raise ArrayError(f"{name}: found values that are not real numbers; accepted: numbers, {meaning}") from None
    expected = ", ".join("any" if length is None else str(length) for length in shape)
    if array.ndim != len(shape) or any(
        length not in (None, found) for length, found in zip(shape, array.shape, strict=True)
    ):
        raise ArrayError(f"{name}: found shape {array.shape}; accepted: ({expected}), meaning {meaning}")
    if not np.isfinite(array).all():
        where = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
        raise ArrayError(f"{name}: found {array[where]} at index {where}; accepted: finite numbers")
    return array


def load_arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of an .npz file by name.

    Raises:
        FileError: if the file cannot be read or is no .npz file of plain arrays.
    """
    path = Path(path)
    if path.is_dir():
        raise FileError(f"{path}: is a directory, expected an .npz file; name a file inside it")
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise FileError(f"{path}: holds one array without a name; save arrays by name with numpy.savez")
        with archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise FileError(f"{path}: no such file; expected an .npz file") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile):
        raise FileError(f"{path}: not an .npz file of plain arrays; save them with numpy.savez") from None


def load_trials(path: str | os.PathLike[str], inputs: int, outputs: int) -> Trials:
    """Return the trials in an .npz file with the arrays ``x``, ``y`` and, if there is one, ``mask``.

    Raises:
        FileError: if the file cannot be read or an array is missing.
        ArrayError: as :func:`check_trials`.
    """
    arrays = load_arrays(path)
    missing = [name for name in ("x", "y") if name not in arrays]
    if missing:
        raise FileError(f"{Path(path)}: no array {missing[0]!r}; accepted: arrays x, y and, if wanted, mask")
    try:
        return check_trials((arrays["x"], arrays["y"], arrays.get("mask")), inputs, outputs)
    except ArrayError as error:
        raise ArrayError(f"{Path(path)}: {error}") from None
