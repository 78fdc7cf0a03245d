"""Trial tasks: arrays x, y, mask that are given when the generated module is called.

sum_dt:       L = factor * dt * mean_b sum_(t,o) mask (yhat - y)^2
masked_mean:  L = factor * sum_(b,t,o) mask (yhat - y)^2 / sum_(b,t,o) mask
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import sympy

from symlow.arrays import Trials, check_array, load_arrays, shown
from symlow.errors import ArrayError, FileError, nearest
from symlow.expressions import exact
from symlow.spec_network import NetworkSpec
from symlow.spec_trials import GeneratedTask, TrialsTask


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

    @property
    def parameters(self) -> Mapping[sympy.Symbol, sympy.Rational]:
        """Symbols in formulas of the task: none."""
        return MappingProxyType({})


def build_trials_loss(task: TrialsTask | GeneratedTask, network: NetworkSpec) -> TrialsLoss:
    """Return the loss of a specification's task of trials, given or generated."""
    return TrialsLoss(network.inputs, network.outputs, task.loss.reduction, exact(task.loss.factor))


def check_trials(trials: object, inputs: int, outputs: int) -> Trials:
    """Return trials as arrays of floats, checked.

    Args:
        trials: (x, y, mask) or (x, y); x of shape (batch, time, inputs), y (batch, time, outputs), mask as y or None.
        inputs: number of inputs of the network.
        outputs: number of outputs of the network.

    Raises:
        ArrayError: for a wrong number of arrays, a wrong shape, values that are not finite numbers, or a mask that
            has negative entries or is zero everywhere.
    """
    if not isinstance(trials, tuple | list):
        raise ArrayError(f"trials: found {shown(trials)}; accepted: (x, y, mask) or (x, y)")
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


def load_trials(path: str | os.PathLike[str], inputs: int, outputs: int) -> Trials:
    """Return the trials in an .npz file with the arrays ``x``, ``y`` and, if there is one, ``mask``.

    Raises:
        FileError: if the file cannot be read or an array is missing.
        ArrayError: as :func:`check_trials`.
    """
    arrays = load_arrays(path)
    unknown = [name for name in arrays if name not in ("x", "y", "mask")]
    missing = [name for name in ("x", "y") if name not in arrays]
    if missing:
        raise FileError(f"{Path(path)}: no array {missing[0]!r}; accepted: arrays x, y and, if wanted, mask")
    if unknown:
        hint = nearest(unknown[0], ("x", "y", "mask"))
        raise FileError(f"{Path(path)}: unknown array {unknown[0]!r}{hint}; accepted: arrays x, y and, if wanted, mask")
    try:
        return check_trials((arrays["x"], arrays["y"], arrays.get("mask")), inputs, outputs)
    except ArrayError as error:
        raise ArrayError(f"{Path(path)}: {error}") from None
