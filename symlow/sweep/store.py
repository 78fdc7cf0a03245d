"""The result of a sweep, written: made of its parts, and put in its place.

    history k  ->  sigma[i_1, ..., i_d, ...],  k = (... (i_1 n_2 + i_2) ...) n_d + i_d

The store is made in the folder of the parts and renamed, so that under its own name it is whole or not there. Arrays
are cut so that a piece is a block of histories that follow one another, which bounds the memory that this takes; the
same result has the same bytes. Format 2 of Zarr: format 3 has no settled form for texts.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symlow.errors import FileError, SweepError
from symlow.extras import optional
from symlow.files import resolved, write_whole
from symlow.sweep.histories import Grid
from symlow.sweep.identity import differences
from symlow.sweep.parts import Parts
from symlow.sweep.result import MEANINGS, read_identity
from symlow.sweep.specification import Sweep
from symlow.sweep.task import recorded_steps

PIECE = 8_000_000
"""The most bytes of a piece of an array, where one history has fewer."""


def check_place(output: str | os.PathLike[str]) -> Path:
    """Return where a result will be, if it may be there; called before long work, so that none is lost.

    Raises:
        FileError: if something else is in its place, or the folder does not exist or is not writable.
    """
    result = resolved(output)
    if not result.parent.is_dir():
        raise FileError(f"{output}: the folder {Path(output).parent} does not exist; create it first")
    if not os.access(result.parent, os.W_OK):
        raise FileError(f"{output}: the folder {Path(output).parent} is not writable; choose another one")
    if os.path.lexists(result) and read_identity(result) is None:
        raise FileError(
            f"{output}: exists and is not the result of a sweep, so it was left as it is; choose another name with -o"
        )
    return result


def is_complete(result: Path, identity: dict[str, Any], afresh: bool = False) -> bool:
    """Return whether a result is there already and is the one that is wanted.

    Raises:
        SweepError: if it is another sweep's and ``afresh`` is false.
    """
    found = read_identity(result)
    if found is None or afresh:
        return False
    if found != identity:
        raise SweepError(
            f"{result}: is the result of another sweep ({differences(found, identity)}); choose another output with "
            "-o, or replace it (option --force)"
        )
    return True


def write_store(
    result: Path, parts: Parts, sweep: Sweep, overlaps: tuple[str, ...], n_visible: int, identity: dict[str, Any]
) -> None:
    """Make the result of its parts, and put it in its place.

    Raises:
        FileError: if the disk refuses.
        SweepError: if a part is missing.
    """
    zarr = optional("zarr")
    histories = Grid(sweep.axes)
    place = parts.folder / "store"
    if place.exists():
        shutil.rmtree(place)  # what an interrupted sweep has left
    attributes = _attributes(sweep, identity) | {"coordinates": " ".join(_coordinates(histories))}
    group = zarr.create_group(store=zarr.storage.LocalStore(place), zarr_format=2, attributes=attributes)
    _write_coordinates(group, sweep, histories, overlaps, n_visible)
    for name in MEANINGS:
        _write_variable(group, name, parts, sweep, histories, overlaps)
    _write_index(place, [*_coordinates(histories), *(["step"] if sweep.tables.record == "course" else []), *MEANINGS])
    try:
        if result.exists():  # moved whole, and removed with the parts: half of a result would look like one
            os.rename(result, parts.folder / f"replaced-{len(list(parts.folder.glob('replaced-*')))}")
        os.rename(place, result)
    except OSError as error:
        raise FileError(
            f"{result}: cannot be written ({error.strerror}); the parts are kept in {parts.folder}"
        ) from None


def _attributes(sweep: Sweep, identity: dict[str, Any]) -> dict[str, Any]:
    return {
        "sweep": sweep.text,
        "specification": sweep.spec.canonical(),
        "digest": sweep.digest,
        "versions": identity["versions"],
        "identity": json.dumps(identity, sort_keys=True, ensure_ascii=False, allow_nan=False),
    }


def _coordinates(histories: Grid) -> list[str]:
    return [*(axis.name for axis in histories.axes), "overlap", "visible"]


def _write_index(place: Path, names: list[str]) -> None:
    """Write all metadata in one file, as Zarr's consolidate_metadata does, but in an order that no disk decides."""
    files = [".zgroup", ".zattrs", *(f"{name}/{file}" for name in names for file in (".zarray", ".zattrs"))]
    content = {file: json.loads((place / file).read_text(encoding="utf-8")) for file in files}
    text = json.dumps({"metadata": content, "zarr_consolidated_format": 1}, indent=2)
    write_whole(place / ".zmetadata", text)


def _write_coordinates(group: Any, sweep: Sweep, histories: Grid, overlaps: tuple[str, ...], n_visible: int) -> None:
    for axis in histories.axes:
        _write_array(group, axis.name, np.array(axis.values), (axis.dimension,), {"over": axis.over})
    _write_array(group, "overlap", np.array(overlaps), ("overlap",), {})
    visible = np.arange(len(overlaps)) < n_visible
    _write_array(group, "visible", visible, ("overlap",), {"meaning": "whether the overlap is loss-visible"})
    if sweep.tables.record == "course":
        _write_array(group, "step", np.array(recorded_steps(sweep.tables)), ("step",), {})


def _write_array(
    group: Any, name: str, values: NDArray[Any], dimensions: tuple[str, ...], attributes: dict[str, Any]
) -> None:
    array = _create(group, name, values.shape, values.shape, values.dtype, dimensions, attributes)
    array[...] = values


def _create(
    group: Any,
    name: str,
    shape: tuple[int, ...],
    piece: tuple[int, ...],
    dtype: np.dtype[Any],
    dimensions: tuple[str, ...],
    attributes: dict[str, Any],
) -> Any:
    return group.create_array(
        name,
        shape=shape,
        chunks=piece,
        dtype=dtype,
        compressors=optional("numcodecs").Zstd(level=1),
        # xarray takes entries of the fill value for missing ones: NaN are that, zeros are not.
        fill_value=np.nan if dtype.kind == "f" else None,
        attributes={**attributes, "_ARRAY_DIMENSIONS": list(dimensions)},
        config={"write_empty_chunks": True},
    )


def _write_variable(
    group: Any, name: str, parts: Parts, sweep: Sweep, histories: Grid, overlaps: tuple[str, ...]
) -> None:
    course = sweep.tables.record == "course"
    inner = {"step": len(recorded_steps(sweep.tables))} if course and name in ("sigma", "loss") else {}
    inner |= {"overlap": len(overlaps)} if name in ("sigma", "initial") else {}
    rows = _Rows(parts, histories.chunks(sweep.tables.chunk), name)
    dtype = rows.part(0).dtype
    outer = histories.dimensions
    piece = _piece(tuple(outer.values()), math.prod(inner.values()) * dtype.itemsize)
    shape = (*outer.values(), *inner.values())
    array = _create(group, name, shape, (*piece, *inner.values()), dtype, (*outer, *inner), {"meaning": MEANINGS[name]})
    start = 0
    for block in _blocks(tuple(outer.values()), piece):
        lengths = [cut.stop - cut.start for cut in block]
        stop = start + math.prod(lengths)
        array[block] = rows.between(start, stop).reshape(*lengths, *inner.values())
        start = stop


class _Rows:
    """One variable of all histories, in their order, read from the parts."""

    def __init__(self, parts: Parts, chunks: list[range], name: str) -> None:
        self.parts, self.chunks, self.name = parts, chunks, name
        self.part = lru_cache(maxsize=1)(self._part)

    def _part(self, task: int) -> NDArray[Any]:
        arrays = self.parts.read(task, self.name)
        if arrays is None:
            raise SweepError(f"{self.parts.path(task)}: is missing or damaged; run the same command again")
        return arrays[self.name]

    def between(self, start: int, stop: int) -> NDArray[Any]:
        """Return the rows of histories ``start`` to ``stop``, shape (stop - start, ...)."""
        size = len(self.chunks[0])
        found = [
            self.part(task)[max(start - chunk.start, 0) : stop - chunk.start]
            for task, chunk in enumerate(self.chunks[start // size : (stop - 1) // size + 1], start // size)
        ]
        return np.concatenate(found)


def _piece(sizes: tuple[int, ...], item: int) -> tuple[int, ...]:
    """Return the shape of a block of histories that follow one another, of ``item`` bytes each, within ``PIECE``."""
    room, piece = max(1, PIECE // item), [1] * len(sizes)
    for k in reversed(range(len(sizes))):
        piece[k] = min(room, sizes[k])
        if piece[k] < sizes[k]:
            break
        room //= sizes[k]
    return tuple(piece)


def _blocks(sizes: tuple[int, ...], piece: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Give the blocks of an array of such pieces, in the order of their histories."""
    cuts = [
        [slice(start, min(start + length, size)) for start in range(0, size, length)]
        for size, length in zip(sizes, piece, strict=True)
    ]
    return itertools.product(*cuts)
