"""The record of learning histories: in memory, or on disk while they run, to be resumed where it was interrupted.

On disk it is a folder beside the file that it becomes, ``run.npz.parts`` for ``run.npz``:

    sigma.f8, loss.f8   overlaps and losses at the recorded steps so far, numbers of 8 bytes, and what a block left over
    progress.npz        what the rest of the run follows from, how many records count, and digests of all inputs

A block of records is appended and flushed to the disk before ``progress.npz``, which is written whole and renamed,
says that they count. Whatever a run is interrupted by, the folder is therefore that of a run which is about to go on
from the last block; what has been appended since is overwritten. A whole run is written within the folder and then
renamed, so that the file is there when all of it is, and not before. Blocks end when they are large or some seconds
old; since all numbers follow from ``progress.npz`` and the inputs, where they ended leaves no trace in the result.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from symlow.arrays import FloatArray, IntArray, load_arrays
from symlow.errors import FileError, listing
from symlow.files import written_whole
from symlow.run_files import BLOCK_BYTES, check_suffix, check_target, move_into_place, read_run, write_npz, write_zarr

BLOCK_SECONDS = 10.0
"""About how much work is lost if a run is interrupted, in seconds, unless a step takes longer."""


@dataclass
class Progress:
    """All that the rest of a run follows from, besides its inputs.

    Attributes:
        step: number of steps taken; one more when the last record is made as well.
        sigma: overlaps of all histories, shape (states, n_overlaps).
        loss: their last recorded losses, shape (states,).
        stopped: the step at which each stopped, -1 if it has not, shape (states,).
        reason: why it stopped, as a position in ``symlow.stopping.REASONS``, shape (states,).
        rests: for how many recorded steps each has been at rest, shape (states,).
        before: overlaps at the last recorded step, shape (states, n_overlaps).
        before_step: that step, -1 if there was none.
        evaluations: how often the velocity of a flow has been evaluated, of which there is a bound.
    """

    step: int
    sigma: FloatArray
    loss: FloatArray
    stopped: IntArray
    reason: IntArray
    rests: IntArray
    before: FloatArray
    before_step: int
    evaluations: int = 0


def first_progress(sigma: FloatArray) -> Progress:
    """Return where histories begin, at overlaps of shape (states, n_overlaps)."""
    states = len(sigma)
    none = np.full(states, -1)
    zeros = np.zeros(states, dtype=np.int64)
    return Progress(0, sigma.copy(), np.full(states, np.nan), none, zeros, zeros.copy(), sigma.copy(), -1)


class Recording(ABC):
    """Records of overlaps and losses, one after the other."""

    @abstractmethod
    def add(self, sigma: FloatArray, loss: FloatArray) -> None:
        """Append a record: overlaps (states, n_overlaps) and losses (states,)."""

    @abstractmethod
    def checkpoint(self, progress: Progress) -> None:
        """Note that the run can go on from here."""

    @abstractmethod
    def courses(self) -> tuple[FloatArray, FloatArray]:
        """Return all records: overlaps (records, states, n_overlaps) and losses (records, states)."""


class InMemory(Recording):
    """Records held in memory."""

    def __init__(self, records: int, states: int, overlaps: int) -> None:
        self._sigma = np.empty((records, states, overlaps))
        self._loss = np.empty((records, states))
        self._count = 0

    def add(self, sigma: FloatArray, loss: FloatArray) -> None:
        """Append a record."""
        self._sigma[self._count], self._loss[self._count] = sigma, loss
        self._count += 1

    def checkpoint(self, progress: Progress) -> None:
        """Do nothing: what is in memory cannot be resumed."""

    def courses(self) -> tuple[FloatArray, FloatArray]:
        """Return all records."""
        return self._sigma, self._loss


class OnDisk(Recording):
    """Records written to disk block by block.

    Attributes:
        path: the file that the record becomes.
        folder: where it is until then.
        progress: where the run begins, or where it was interrupted.
    """

    def __init__(self, path: Path, start: FloatArray, inputs: Mapping[str, str], resume: bool, overwrite: bool) -> None:
        """Begin a record, or go on with one.

        Args:
            path: the .npz file or .zarr folder that it becomes.
            start: overlaps before the first step, shape (states, n_overlaps).
            inputs: digests of everything that the run follows from, by what it is called.
            resume: whether to go on with an interrupted record, if there is one.
            overwrite: whether to replace what exists.

        Raises:
            FileError: if there is an interrupted record that is not to be resumed, or one of other inputs.
        """
        self.path, self.folder = path, parts_folder(path)
        self._shapes = {"sigma": start.shape, "loss": start.shape[:1]}
        self._inputs = json.dumps(dict(inputs), sort_keys=True)
        self._overwrite = overwrite
        self._count = 0
        self._block: list[tuple[FloatArray, FloatArray]] = []
        self.progress = first_progress(start)
        check_target(path, overwrite)
        if self.folder.exists():
            if not resume and not overwrite:
                raise FileError(
                    f"{self.folder}: holds an interrupted run; resume it (resume=True, option --resume) or start "
                    "again (option --force)"
                )
            if not resume or not (self.folder / "progress.npz").exists():
                shutil.rmtree(self.folder)
        if self.folder.exists():
            self._resume()
        else:
            self._begin()
        self._saved = time.monotonic()

    def _begin(self) -> None:
        try:
            self.folder.mkdir()
        except OSError as error:
            raise FileError(f"{self.folder}: cannot be made ({error.strerror}); choose another output") from None
        for name in self._shapes:
            (self.folder / f"{name}.f8").touch()
        self._write()

    def _resume(self) -> None:
        arrays = load_arrays(self.folder / "progress.npz")
        try:
            check_inputs(self.folder, str(arrays.pop("inputs")), self._inputs)
            self._count = int(arrays.pop("records"))
            self.progress = Progress(**{name: a if a.ndim else int(a) for name, a in arrays.items()})  # type: ignore[arg-type]
            whole = all(
                (self.folder / f"{name}.f8").stat().st_size >= self._count * self._bytes(name) for name in self._shapes
            )
        except (KeyError, TypeError, ValueError, OSError):
            whole = False
        if not whole:
            raise FileError(f"{self.folder}: is damaged and cannot be resumed; start again (option --force)")

    def _bytes(self, name: str) -> int:
        return 8 * int(np.prod(self._shapes[name]))

    def add(self, sigma: FloatArray, loss: FloatArray) -> None:
        """Append a record, to the block in work."""
        self._block.append((sigma.copy(), loss.copy()))

    def checkpoint(self, progress: Progress) -> None:
        """End the block if it is large or old enough."""
        self.progress = progress
        held = len(self._block) * (self._bytes("sigma") + self._bytes("loss"))
        if held >= BLOCK_BYTES or time.monotonic() - self._saved >= BLOCK_SECONDS:
            self._write()

    def _write(self) -> None:
        """Append the block, and say that it counts."""
        try:
            for position, name in enumerate(self._shapes):
                with (self.folder / f"{name}.f8").open("r+b") as stream:
                    stream.seek(self._count * self._bytes(name))
                    for record in self._block:
                        stream.write(np.ascontiguousarray(record[position], dtype="<f8").data)
                    stream.flush()
                    os.fsync(stream.fileno())
        except OSError as error:
            raise FileError(f"{self.folder}: cannot be written ({error.strerror}); resume it when it can") from None
        self._count += len(self._block)
        self._block = []
        kept = {name: np.asarray(value) for name, value in vars(self.progress).items()}
        kept |= {"records": np.asarray(self._count), "inputs": np.array(self._inputs)}
        with written_whole(self.folder / "progress.npz", overwrite=True) as whole:
            write_npz(whole, kept)
        self._saved = time.monotonic()

    def courses(self) -> tuple[FloatArray, FloatArray]:
        """Return all records, as memory maps."""
        self._write()
        sigma, loss = (self._mapped(name, (self._count, *shape)) for name, shape in self._shapes.items())
        return sigma, loss

    def _mapped(self, name: str, shape: tuple[int, ...]) -> FloatArray:
        if 0 in shape:
            return np.zeros(shape)
        return np.memmap(self.folder / f"{name}.f8", "<f8", "r", shape=shape)

    def write_beside(self, name: str, parts: Iterable[FloatArray], shape: tuple[int, ...]) -> FloatArray:
        """Write another array to the folder, part by part, and return it as a memory map of a shape.

        Raises:
            FileError: if the disk refuses.
        """
        try:
            with (self.folder / f"{name}.f8").open("wb") as stream:
                for part in parts:
                    stream.write(np.ascontiguousarray(part, dtype="<f8").data)
        except OSError as error:
            raise FileError(f"{self.folder}: cannot be written ({error.strerror}); resume it when it can") from None
        return self._mapped(name, shape)

    def finish(self, arrays: Mapping[str, Any]) -> None:
        """Write the arrays of the run, rename them into place and remove the folder.

        Raises:
            FileError: if the disk refuses, or somebody else has written the file.
        """
        target = check_target(self.path, self._overwrite)
        made = self.folder / f"whole{check_suffix(self.path)}"
        arrays = {**arrays, "inputs": np.array(self._inputs)}
        try:
            if made.is_dir():
                shutil.rmtree(made)
            if made.suffix == ".zarr":
                write_zarr(made, arrays)
            else:
                with made.open("wb") as stream:
                    write_npz(stream, arrays)
                    stream.flush()
                    os.fsync(stream.fileno())
            move_into_place(made, target)
        except OSError as error:
            raise FileError(f"{self.path}: cannot be written ({error.strerror}); resume it when it can") from None
        self.discard()

    def discard(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def parts_folder(path: Path) -> Path:
    """Return the folder of a run that is being written to a file."""
    return path.with_name(path.name + ".parts")


def finished(path: Path, inputs: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the arrays of a run that is whole already, or None if it is not there.

    Raises:
        FileError: if it is no run, or one of other inputs.
    """
    if not path.exists():
        return None
    arrays = read_run(path)
    check_inputs(path, str(arrays.get("inputs", "{}")), json.dumps(dict(inputs), sort_keys=True))
    # An interruption right after the rename leaves the folder.
    shutil.rmtree(parts_folder(path), ignore_errors=True)
    return arrays


def check_inputs(path: Path, found: str, given: str) -> None:
    """Raise FileError unless a record has the inputs that are given, naming those that differ."""
    first, second = json.loads(found), json.loads(given)
    different = [name for name in {**first, **second} if first.get(name) != second.get(name)]
    if different:
        raise FileError(
            f"{path}: cannot be resumed, for these inputs are not those of its run: {listing(different)}; give the "
            "same, or start again (option --force)"
        )
