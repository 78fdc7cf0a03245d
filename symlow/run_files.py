"""Files of learning runs: named arrays as .npz, or as .zarr with labelled axes (xarray), written and read in blocks.

Neither needs the memory that the arrays take: those with steps first are written block by block, and read from an .npz
file as memory maps, from a .zarr folder as xarray's arrays, which load what is used of them.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from symlow.errors import FileError
from symlow.extras import optional
from symlow.files import check_writable, resolved

SUFFIXES = (".npz", ".zarr")
BLOCK_BYTES = 2**24
"""About how many bytes of a long array are held at once."""

Array = NDArray[Any]
Arrays = Mapping[str, Array]

AXES: Mapping[str, tuple[str, ...]] = {
    "sigma": ("step", "history", "overlap"),
    "loss": ("step", "history"),
    "drift": ("step", "history", "quantity"),
    "step": ("step",),
    "stopped": ("history",),
    "reason": ("history",),
    "lr": ("history",),
    "seed": ("history",),
    "parameters": ("parameter",),
    "parameter_values": ("parameter", "history"),
    "overlaps": ("overlap",),
    "conserved": ("quantity",),
}
"""The axes of each array; those without any are numbers or words. A run of one history has no axis of histories."""


def check_suffix(path: str | os.PathLike[str]) -> str:
    """Return which of ``SUFFIXES`` a path has.

    Raises:
        FileError: if it has none.
        DependencyError: if what the format needs is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise FileError(f"{Path(path)}: found the suffix {suffix!r}; accepted: {' or '.join(SUFFIXES)}")
    if suffix == ".zarr":
        _xarray()
    return suffix


def check_target(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Return where a run may be written, as :func:`symlow.files.check_writable`; a .zarr folder may be replaced too.

    Raises:
        DependencyError: if what the format needs is not installed.
        FileError: for another suffix, or if it may not be written.
    """
    if check_suffix(path) == ".npz":
        return check_writable(path, overwrite)
    target = resolved(path)
    if not target.is_dir():
        return check_writable(path, overwrite)
    if not overwrite:
        raise FileError(f"{path}: exists and was left as it is; choose another name, or replace it (option --force)")
    if not (target / ".zgroup").is_file():
        raise FileError(f"{path}: is a folder that holds no .zarr data, and was left as it is; choose another name")
    return target


def write_npz(stream: BinaryIO, arrays: Arrays) -> None:
    """Write arrays to an .npz file; memory maps are copied piece by piece."""
    np.savez(stream, **arrays)  # type: ignore[arg-type]  # NumPy's stub takes names for flags


def write_zarr(folder: Path, arrays: Arrays) -> None:
    """Write arrays to a new .zarr folder, in blocks of steps; words and numbers become attributes."""
    xarray = _xarray()
    labels = {"step": arrays["step"], "overlap": arrays["overlaps"], "quantity": arrays["conserved"]}
    labels["parameter"] = arrays["parameters"]
    named = ("step", "overlaps", "conserved", "parameters")
    axes = {name: _axes(name, array) for name, array in arrays.items()}
    fixed = {
        name: (axes[name], array)
        for name, array in arrays.items()
        if name not in named and axes[name] and axes[name][0] != "step" and array.size
    }
    attributes = {name: array.item() for name, array in arrays.items() if not axes[name] and name not in named}
    for block in blocks(arrays["sigma"]):
        along = {name: (axes[name], np.asarray(arrays[name][block])) for name in ("sigma", "loss", "drift")}
        coordinates = {"step": arrays["step"][block]}
        if block.start:
            xarray.Dataset(along, coordinates, attributes).to_zarr(
                folder, append_dim="step", zarr_format=2, consolidated=True
            )
            continue
        coordinates |= {name: values for name, values in labels.items() if name != "step" and len(values)}
        chunks = {
            name: {"chunks": (max(1, block.stop - block.start), *values.shape[1:])}
            for name, (_, values) in along.items()
            if values.size
        }
        whole = xarray.Dataset(along | fixed, coordinates, attributes)
        whole.to_zarr(folder, zarr_format=2, consolidated=True, encoding=chunks)


def read_run(path: Path) -> dict[str, Any]:
    """Return the arrays of a run's file, the long ones mapped or loaded as they are used.

    Raises:
        FileError: if the file cannot be read.
    """
    if check_suffix(path) == ".zarr":
        return _read_zarr(path)
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as stream:
            return {entry.filename.removesuffix(".npy"): _mapped(path, stream, entry) for entry in archive.infolist()}
    except (OSError, ValueError, zipfile.BadZipFile):
        raise FileError(f"{path}: not the .npz file of a run; choose another name, or replace it") from None


def _mapped(path: Path, stream: BinaryIO, entry: zipfile.ZipInfo) -> Array:
    """Return an array of an .npz file as a memory map; np.savez stores arrays as they are, without compression."""
    stream.seek(entry.header_offset + 26)
    name, extra = np.frombuffer(stream.read(4), dtype="<u2")  # lengths of what is left of a ZIP file's local header
    stream.seek(entry.header_offset + 30 + int(name) + int(extra))
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(stream)
    if dtype.hasobject or entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(entry.filename)
    if 0 in shape:
        return np.zeros(shape, dtype)
    mapped = np.memmap(path, dtype, "r", stream.tell(), shape, "F" if fortran else "C")
    return mapped if mapped.nbytes > BLOCK_BYTES else np.array(mapped)


def _read_zarr(path: Path) -> dict[str, Any]:
    try:
        stored = _xarray().open_zarr(path, chunks=None, consolidated=True)
    except (OSError, ValueError, KeyError):
        raise FileError(f"{path}: not the .zarr folder of a run; choose another name, or replace it") from None
    arrays = {name: stored[name] for name in ("sigma", "loss", "drift")}
    arrays |= {name: stored[name].values for name in stored.data_vars if name not in arrays}
    arrays |= {name: np.asarray(value) for name, value in stored.attrs.items()}
    arrays["step"] = stored["step"].values
    for name, axis in (("overlaps", "overlap"), ("conserved", "quantity"), ("parameters", "parameter")):
        arrays[name] = stored[axis].values.astype(str) if axis in stored.coords else np.array([], dtype=str)
    return arrays


def blocks(array: Array) -> Iterator[slice]:
    """Give the blocks of an array's first axis, at least one, each of about ``BLOCK_BYTES``."""
    size = max(1, BLOCK_BYTES // max(1, array[:1].nbytes))
    for start in range(0, max(1, len(array)), size):
        yield slice(start, min(start + size, len(array)))


def move_into_place(made: Path, target: Path) -> None:
    """Rename a file or folder to its name; what has that name is replaced."""
    if made.is_dir() and target.exists():
        # A folder cannot be replaced in one go: for a moment there is none, but never half of one.
        old = made.parent / "replaced"
        os.replace(target, old)
        os.replace(made, target)
        shutil.rmtree(old)
    else:
        os.replace(made, target)


def _axes(name: str, array: Array) -> tuple[str, ...]:
    axes = AXES.get(name, ())
    return axes if len(axes) == array.ndim else tuple(axis for axis in axes if axis != "history")


def _xarray() -> Any:
    optional("zarr", needed_by=".zarr files")  # xarray finds it by itself
    return optional("xarray", needed_by=".zarr files")
