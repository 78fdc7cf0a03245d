"""Arrays and numbers that users give: read from files, checked for shape, type, range and finite values."""

from __future__ import annotations

import lzma
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import EllipsisType, MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symlow.errors import ArrayError, FileError, SymlowError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Trials = tuple[FloatArray, FloatArray, FloatArray | None]
"""Inputs x (batch, time, inputs), targets y (batch, time, outputs), and a mask like y or None."""

KINDS: Mapping[str, str] = MappingProxyType(
    {"c": "complex numbers", "U": "text", "S": "bytes", "M": "dates", "m": "spans of time", "V": "records"}
)
"""What arrays hold that hold no real numbers, by the kind of their type."""

LARGEST = float(np.finfo(np.float64).max)
"""The largest finite number."""

LONGEST_SHOWN = 60
"""The most letters of a value that a message shows."""


def check_array(value: object, name: str, shape: tuple[int | EllipsisType | None, ...], meaning: str) -> FloatArray:
    """Return ``value`` as an array of finite floats of the given shape.

    Args:
        value: what was given.
        name: what it is called.
        shape: lengths of its axes, None for any; ``...`` in front for any number of further axes.
        meaning: what the axes are, such as "(batch, time, inputs)".

    Raises:
        ArrayError: naming the array, what was found and what is accepted.
    """
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        found = f"{_kind(value)} with parts of different shapes, or that are no numbers"
        raise ArrayError(f"{name}: found {found}; accepted: real numbers, {meaning}") from None
    except RuntimeError:  # of a tensor of PyTorch that requires a gradient, or that is not in the memory of the CPU
        raise ArrayError(
            f"{name}: found {_kind(value)} that NumPy cannot read; accepted: real numbers, {meaning}; convert it, "
            "as by .detach().numpy()"
        ) from None
    if array.dtype.kind not in "biuf":
        raise ArrayError(f"{name}: found {_contents(value, array)}; accepted: real numbers, {meaning}")
    array = array.astype(np.float64)
    check_shape(array, name, shape, meaning)
    if not np.isfinite(array).all():
        where = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
        at = f" at index {where}" if where else ""
        raise ArrayError(f"{name}: found {array[where]}{at}; accepted: finite numbers")
    return array


def check_shape(
    array: NDArray[np.generic], name: str, shape: tuple[int | EllipsisType | None, ...], meaning: str
) -> None:
    """Raise ArrayError unless an array has the shape that :func:`check_array` describes."""
    any_lead = shape[:1] == (...,)
    lengths = shape[1:] if any_lead else shape
    found = array.shape[max(0, array.ndim - len(lengths)) :] if any_lead else array.shape
    if len(found) == len(lengths) and all(w is None or w == f for w, f in zip(lengths, found, strict=True)):
        return
    words = ["any" if length is None else "..." if length is ... else str(length) for length in shape]
    expected = ", ".join(words) + ("," if len(shape) == 1 else "")
    raise ArrayError(f"{name}: found shape {array.shape}; accepted: ({expected}), meaning {meaning}")


def check_number(
    value: object,
    name: str,
    *,
    least: float = -np.inf,
    above: float = -np.inf,
    most: float = np.inf,
    error: type[SymlowError] = ArrayError,
) -> float:
    """Return ``value`` as a finite float within bounds.

    Args:
        value: what was given.
        name: what it is called.
        least: the smallest that is accepted.
        above: what it is to be larger than.
        most: the largest that is accepted.
        error: the class of the error.

    Raises:
        SymlowError: of that class, naming what was found and what is accepted.
    """
    number = _plain(value)
    is_real = isinstance(number, int | float | np.floating) and not isinstance(number, bool)
    if not (is_real and abs(number) <= LARGEST and least <= number <= most and number > above):
        limits = ((">=", least), (">", above), ("<=", most))
        bounds = " and ".join(f"{sign} {bound:g}" for sign, bound in limits if np.isfinite(bound))
        raise error(f"{name}: found {shown(value)}; accepted: a finite number{f' {bounds}' if bounds else ''}")
    return float(number)


def check_integer(value: object, name: str, least: int, error: type[SymlowError] = ArrayError) -> int:
    """Return ``value`` as an integer that is not below the least one.

    Raises:
        SymlowError: of the class given, naming what was found and what is accepted.
    """
    number = _plain(value)
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise error(f"{name}: found {shown(value)}; accepted: an integer >= {least}")
    return number


def is_single(value: object) -> bool:
    """Whether a value is to be one number, for all of something, and no array with one for each."""
    return not isinstance(value, list | tuple) and dimensions(value) == 0


def dimensions(value: object) -> int | None:
    """Return the number of axes that a value has as an array, or None where it cannot be one."""
    try:
        return np.ndim(value)  # type: ignore[arg-type]  # of what is no array it is 0
    except (TypeError, ValueError, RuntimeError):
        return None


def shown(value: object) -> str:
    """Return what a message says of a value: the value, or, where that is long, what kind of thing it is."""
    value = _plain(value)
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    try:
        text = repr(value)
    except ValueError:  # of an integer of more digits than Python writes
        return _kind(value)
    return text if len(text) <= LONGEST_SHOWN and "\n" not in text else _kind(value)


def _plain(value: Any) -> Any:
    """Return a scalar of NumPy, or an array of one without axes, as the number of Python that it is."""
    is_scalar = isinstance(value, np.generic | np.ndarray) and value.ndim == 0
    return value.item() if is_scalar and value.dtype.kind not in "mM" else value  # dates would be integers


def _kind(value: object) -> str:
    """Return the type of a value in words, such as "a dict"."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _contents(value: object, array: NDArray[np.generic]) -> str:
    """Return in words what an array holds that holds no real numbers."""
    if array.dtype.kind in KINDS:
        return KINDS[array.dtype.kind]
    if array.ndim == 0:
        return shown(value)
    first = next(iter(array.flat), None)
    return f"an array of objects, the first {_kind(first)}: convert it to one of floats, as by .astype(float)"


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
