"""The result of a sweep, opened: labelled arrays in a Zarr store, as xarray reads them.

    sigma[i_1, ..., i_d, (step,) overlap],  loss[i_1, ..., i_d (, step)],  status, stopped_at, initial

with a dimension for each axis of the sweep, or for several that advance together. While a sweep runs, its result is in
parts in a folder beside it, of the same name and ``.partial``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from symlow.errors import FileError, SweepError
from symlow.extras import optional
from symlow.stopping import REASONS

if TYPE_CHECKING:
    import xarray

FAILED, SKIPPED = "failed", "skipped"
STATUSES = (*REASONS, FAILED, SKIPPED)
"""How a history can end: for one of ``REASONS``, by a flow that its integrator gave up, or never begun."""

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "sigma": "overlaps at the end of a history, or at its recorded steps",
        "loss": "loss at the same moments, each on the trials of its step",
        "status": "took all steps: nothing stopped it. converged: met what says when to stop. "
        "diverged: left the finite numbers. failed: a flow that its integrator gave up, too stiff or too long. "
        "skipped: would start from overlaps that no network has",
        "stopped_at": "number of steps after which a history stopped; 0 where a flow failed or diverged",
        "initial": "overlaps at the start",
    }
)
"""The variables of a result; floating-point ones are NaN where a history has diverged, failed or was skipped."""


def open_sweep(path: str | os.PathLike[str]) -> xarray.Dataset:
    """Open the result of a sweep; arrays are read when they are used.

    Returns:
        The dataset: a dimension for each axis of the sweep (or for several that advance together), the values of the
        axes as coordinates, and the variables ``sigma`` (..., [step,] overlap), ``loss`` (... [, step]), ``status``,
        ``stopped_at`` (...) and ``initial`` (..., overlap). Its attributes hold the text of the sweep, the canonical
        form of the specification, the digest and the versions of programs.

    Raises:
        FileError: if there is no result of a sweep.
        SweepError: if the sweep is not finished.
        DependencyError: if xarray or Zarr is not installed.
    """
    path = Path(path)
    if not path.exists() and partial_folder(path).is_dir():
        raise SweepError(f"{path}: the sweep is not finished; go on with it by the command that began it")
    if read_identity(path) is None:
        raise FileError(f"{path}: is not the result of a sweep; expected a folder that symlow sweep has written")
    optional("zarr")  # xarray would say at length that it has no engine
    dataset: xarray.Dataset = optional("xarray").open_zarr(path, consolidated=True, chunks=None)
    return dataset


def partial_folder(result: Path) -> Path:
    """Return the folder of the parts of a result."""
    return result.with_name(result.name + ".partial")


def read_identity(path: Path) -> dict[str, Any] | None:
    """Return what the sweep of a result is, or None if there is no such result."""
    try:
        content = json.loads((path / ".zattrs").read_text(encoding="utf-8"))
        identity = json.loads(content["identity"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return identity if isinstance(identity, dict) else None


def count_statuses(result: Path) -> dict[str, int]:
    """Return how many histories of a result ended in which way, in the order of ``STATUSES``."""
    found = optional("zarr").open_group(store=result, mode="r", zarr_format=2)["status"][...]
    counts = {status: int((found == status).sum()) for status in STATUSES}
    return {status: count for status, count in counts.items() if count}
