"""Arrays that users give: read from files, checked for shape, type and finite values."""

from __future__ import annotations

import lzma
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from symlow.errors import ArrayError, FileError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Trials = tuple[FloatArray, FloatArray, FloatArray | None]
"""Inputs x (batch, time, inputs), targets y (batch, time, outputs), and a mask like y or None."""


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
    expected += "," if len(shape) == 1 else ""
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
    except (ValueError, OSError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error, lzma.LZMAError):
        raise FileError(
            f"{path}: not an .npz file of plain arrays; save them with numpy.savez, without what is None"
        ) from None
