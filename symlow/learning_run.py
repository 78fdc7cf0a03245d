"""The course of learning: overlaps and losses at the recorded steps, and where each history stopped and why."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symlow.arrays import FloatArray, IntArray
from symlow.files import written_whole
from symlow.invariants.invariant import Invariant, evaluate
from symlow.markup import formula, joined, kind, number, table
from symlow.overlap_names import overlap_latex
from symlow.run_files import check_suffix, check_target, move_into_place, write_npz, write_zarr
from symlow.stopping import TOOK_ALL


@dataclass(frozen=True, eq=False)
class LearningRun:
    """The course of a learning run.

    Where there are several histories, arrays have an axis of length ``states`` for them, behind the one of recorded
    steps; a run of one history, asked for without such an axis, has none. After a history has converged its last
    overlaps and loss are repeated; from the step at which it diverged they are nan. If that is step 0, for a loss that
    is not finite at the initial overlaps, these are kept with that loss, and nan comes after.

    Attributes:
        overlaps: names, visible ones first.
        n_visible: how many of them are visible.
        sigma: overlaps at the recorded steps, shape (records, n_overlaps) or (records, states, n_overlaps). Of a run
            that was written to a large .npz file this is a memory map, to a .zarr folder an array of xarray.
        loss: loss at the same moments, shape (records,) or (records, states); on the trials of each step where these
            differ.
        lr: learning rate, a number or one for each history, shape (states,).
        method: "step" for gradient descent, "flow" for gradient flow.
        digest: digest of the specification.
        conserved: what gradient flow conserves, but for overlaps that are frozen.
        step: numbers of the recorded steps, shape (records,); 0 is before the first.
        stopped: number of the step at which each history stopped, shape () or (states,).
        reason: why it stopped, "took all steps", "converged" or "diverged", shape () or (states,).
        seed: seeds of trials and noise, a number or one for each history.
        parameters: values by dotted name that differ from the specification, shape (states,) each.
    """

    overlaps: tuple[str, ...]
    n_visible: int
    sigma: FloatArray
    loss: FloatArray
    lr: float | FloatArray
    method: str
    digest: str
    conserved: tuple[Invariant, ...] = ()
    step: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    stopped: IntArray = field(default_factory=lambda: np.zeros((), dtype=np.int64))
    reason: NDArray[np.str_] = field(default_factory=lambda: np.array(TOOK_ALL))
    seed: int | IntArray = 0
    parameters: Mapping[str, FloatArray] = field(default_factory=dict)

    @cached_property
    def drift(self) -> FloatArray:
        """How far each conserved quantity is from its first value, by ``conserved`` along the last axis.

        Relative to the largest that it could be for vectors of the first state's norms (:meth:`Invariant.scale`).
        Shape (records, n_conserved), or (records, states, n_conserved).
        """
        return drifts(self.conserved, np.asarray(self.sigma), np.asarray(self.sigma[0]))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is saved, but for the drift: an array for each attribute, words and numbers without axes."""
        given = list(self.parameters)
        return {
            "sigma": self.sigma,
            "loss": self.loss,
            "overlaps": np.array(self.overlaps),
            "n_visible": np.asarray(self.n_visible),
            "lr": np.asarray(self.lr),
            "method": np.array(self.method),
            "digest": np.array(self.digest),
            "conserved": np.array([invariant.name for invariant in self.conserved], dtype=np.str_),
            "step": self.step,
            "stopped": np.asarray(self.stopped),
            "reason": np.asarray(self.reason),
            "seed": np.asarray(self.seed),
            "parameters": np.array(given, dtype=np.str_),
            "parameter_values": np.stack([self.parameters[name] for name in given]) if given else np.zeros((0, 0)),
        }

    def _repr_html_(self) -> str:
        """Return how the run went, for notebooks: losses and why histories stopped; of one history its overlaps."""
        way = "gradient descent" if self.method == "step" else "gradient flow"
        losses, lr = (
            (np.asarray(self.loss[at]).reshape(-1) for at in (0, -1)),
            np.broadcast_to(self.lr, self.stopped.shape),
        )
        columns = zip(*losses, np.ravel(lr), np.ravel(self.stopped), np.ravel(self.reason), strict=True)
        rows = [
            (str(k), number(first, 6), number(last, 6), number(rate), str(step), str(reason))
            for k, (first, last, rate, step, reason) in enumerate(columns)
        ]
        heads = ("history", "loss at first", "loss at last", "learning rate", "last step", "why it ended")
        runs = table(f"Learning by {way}", heads, rows)
        if self.sigma.ndim > 2:
            return runs
        start, end = (np.asarray(self.sigma[at]) for at in (0, -1))
        overlaps = [
            (formula(overlap_latex(name)), kind(k < self.n_visible), number(start[k]), number(end[k]))
            for k, name in enumerate(self.overlaps)
        ]
        return joined((runs, table("Overlaps", ("overlap", "kind", "at first", "at last"), overlaps)))

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the run to an .npz file with an array for each attribute, or to a .zarr folder, and return the path.

        Raises:
            DependencyError: for a .zarr folder, if xarray or Zarr is not installed.
            FileError: for another suffix, if the file exists and ``overwrite`` is false, or cannot be written.
        """
        arrays = {**self.arrays(), "drift": self.drift}
        path = Path(path)
        if check_suffix(path) == ".npz":
            with written_whole(path, overwrite) as stream:
                write_npz(stream, arrays)
            return path
        target = check_target(path, overwrite)
        with tempfile.TemporaryDirectory(prefix=f".{target.name[:100]}.", dir=target.parent) as folder:
            write_zarr(Path(folder) / "run.zarr", arrays)
            move_into_place(Path(folder) / "run.zarr", target)
        return path


def drifts(conserved: tuple[Invariant, ...], sigma: FloatArray, first: FloatArray) -> FloatArray:
    """Return how far conserved quantities at overlaps are from those at the first ones, relative to their scales.

    Args:
        conserved: the quantities.
        sigma: overlaps, shape (..., n_overlaps) with the axes of ``first`` last.
        first: the overlaps to compare with.
    """
    start = evaluate(conserved, first)
    scales = np.ones(start.shape)
    for k, invariant in enumerate(conserved):
        scales[..., k] = invariant.scale(first)
    with np.errstate(over="ignore", invalid="ignore"):  # of a history that diverged there is none
        difference = evaluate(conserved, sigma) - start
    return np.divide(difference, scales, out=np.zeros_like(difference), where=scales > 0)
