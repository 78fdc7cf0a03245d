"""The results of tasks on disk while a sweep runs: one file for each task beside the result to be.

    RESULT.partial/identity.json    what the sweep is        RESULT.partial/000012.npz    the result of task 12

Only who started the sweep writes here, each file under a temporary name that is renamed. So a sweep that is killed at
any moment leaves whole files, and the same command does what is missing. A file that is damaged is missing.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symlow.errors import FileError, SweepError
from symlow.files import write_whole
from symlow.sweep.identity import differences
from symlow.sweep.result import partial_folder

IDENTITY = "identity.json"


@dataclass(frozen=True)
class Parts:
    """The parts of a result.

    Attributes:
        folder: where they are.
    """

    folder: Path

    @classmethod
    def open(cls, result: Path, identity: Mapping[str, Any], afresh: bool = False) -> Parts:
        """Return the parts of a result, those of a sweep that was interrupted among them.

        Args:
            result: where the result will be.
            identity: what the sweep is.
            afresh: remove what another sweep has left.

        Raises:
            SweepError: if they belong to another sweep.
            FileError: if the folder cannot be made, or was not made by a sweep.
        """
        parts = cls(partial_folder(result))
        place = parts.folder / IDENTITY
        text = json.dumps(identity, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
        if place.is_file():
            found = _read_identity(place)
            if found == json.loads(text):
                return parts
            if not afresh:
                what = differences(found, identity) if found else f"{IDENTITY} is damaged"
                raise SweepError(
                    f"{parts.folder}: an interrupted sweep is there, which is another one ({what}); finish that one, "
                    "choose another output with -o, or begin afresh (option --force)"
                )
            parts.remove()
        elif parts.folder.exists() and not _is_ours(parts.folder):
            raise FileError(f"{parts.folder}: exists and is not of a sweep; move it away, or choose another output")
        try:
            parts.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise FileError(f"{parts.folder}: cannot be made ({error.strerror}); choose another output") from None
        write_whole(place, text, overwrite=True)
        return parts

    @classmethod
    def remove_left(cls, result: Path, identity: Mapping[str, Any]) -> None:
        """Remove the parts of a result that is whole, which an interruption has left."""
        parts = cls(partial_folder(result))
        if (parts.folder / IDENTITY).is_file() and _read_identity(parts.folder / IDENTITY) == identity:
            parts.remove()

    def path(self, task: int) -> Path:
        """Return the file of a task."""
        return self.folder / f"{task:06d}.npz"

    def write(self, task: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write the result of a task.

        Raises:
            FileError: if the disk refuses.
        """
        stream = io.BytesIO()
        # Called by its name, for arrays may be called as an argument of savez is.
        np.savez(stream, **arrays)  # type: ignore[arg-type]
        write_whole(self.path(task), stream.getvalue(), overwrite=True)

    def read(self, task: int, *names: str) -> dict[str, NDArray[Any]] | None:
        """Return the result of a task, or some arrays of it by name; None if it is missing or damaged."""
        try:
            # Opened here, for numpy leaves a damaged file open.
            with self.path(task).open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                return {name: archive[name] for name in names or archive.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
            return None

    def missing(self, tasks: int) -> list[int]:
        """Return the numbers of the tasks, of so many, whose results are not there."""
        return [task for task in range(tasks) if self.read(task) is None]

    def remove(self) -> None:
        """Remove the folder, its identity last: what is left of it after an interruption is still known."""
        for path in sorted(self.folder.iterdir()):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != IDENTITY:
                path.unlink()
        (self.folder / IDENTITY).unlink(missing_ok=True)
        os.rmdir(self.folder)


def _read_identity(place: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _is_ours(folder: Path) -> bool:
    """Whether a folder without an identity is empty but for one that was being written."""
    return folder.is_dir() and all(path.name.startswith(f".{IDENTITY}.") for path in folder.iterdir())
