"""Reading and writing files: a file is written whole or not at all, and nothing is overwritten unasked.

A new file is written under a temporary name in the target's own folder and renamed into place, so that a reader
never sees half of it and an interruption leaves the old one as it was.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from symlow.errors import FileError


def read_text(path: str | os.PathLike[str], what: str = "file") -> str:
    """Return the text of a UTF-8 file, without the mark that some editors put at its beginning.

    Raises:
        FileError: if there is no such file, it is a directory, or it is not UTF-8 text.
    """
    path = Path(path)
    if path.is_dir():
        raise FileError(f"{path}: is a directory, expected a {what}; name a file inside it")
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileError(f"{path}: no such file; expected a {what}") from None
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: not UTF-8 text (byte {error.start}); save the {what} with UTF-8 encoding") from None
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def resolved(path: str | os.PathLike[str]) -> Path:
    """Return where a path leads, links followed.

    Raises:
        FileError: if its links lead in a circle.
    """
    try:
        return Path(path).resolve()
    except (RuntimeError, OSError):
        raise FileError(f"{path}: its links lead in a circle, or cannot be followed; name a file") from None


def check_writable(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Return where ``path`` leads if a file may be written there; called before long work, so that none is lost.

    Raises:
        FileError: if the folder does not exist, the path is a directory, or a file exists and ``overwrite`` is false.
    """
    path = Path(path)
    # Links are followed, so that what they point to is replaced and not the link.
    target = resolved(path)
    if target.is_dir():
        raise FileError(f"{path}: is a directory, expected a file name to write to")
    if not target.parent.is_dir():
        raise FileError(f"{path}: the folder {path.parent} does not exist; create it first")
    if not os.access(target.parent, os.W_OK):
        raise FileError(f"{path}: the folder {path.parent} is not writable; choose another one")
    if target.exists() and not target.is_file():
        raise FileError(f"{path}: is a device or pipe, which cannot be replaced; name a file")
    if os.path.lexists(target) and not overwrite:
        raise FileError(f"{path}: exists and was left as it is; choose another name, or replace it (option --force)")
    return target


def check_folder(path: str | os.PathLike[str]) -> Path:
    """Return the path of a folder to which files can be written, found by writing one that has no name.

    Permissions alone do not tell: some file systems refuse what these allow.

    Raises:
        FileError: if there is no such folder, it is a file, or nothing can be written to it.
    """
    import tempfile

    path = Path(path)
    if not resolved(path).is_dir():
        if os.path.lexists(path):
            raise FileError(f"{path}: is a file, expected a folder to write to; name the folder it is in, or another")
        raise FileError(f"{path}: no such folder; create it first")
    try:
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise FileError(f"{path}: no file can be written there ({error.strerror}); choose another folder") from None


def write_whole(path: str | os.PathLike[str], data: str | bytes, overwrite: bool = False) -> Path:
    """Write ``data`` to ``path`` through a temporary file and a rename, and return the path.

    Raises:
        FileError: as :func:`check_writable`, or if the disk refuses.
    """
    with written_whole(path, overwrite) as stream:
        stream.write(data.encode("utf-8") if isinstance(data, str) else data)
    return Path(path)


@contextmanager
def written_whole(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[BinaryIO]:
    """Give a stream to write a file to, which is renamed into place when the block ends without an error.

    Raises:
        FileError: as :func:`check_writable`, or if the disk refuses.
    """
    target = check_writable(path, overwrite)
    try:
        with _replacing(target) as stream:
            yield stream
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror}); nothing was changed") from None


def replace_whole(path: Path, content: bytes) -> None:
    """Put a file with that content in the place of ``path``, whatever is there, by a temporary file and a rename.

    Raises:
        OSError: if the disk refuses; then nothing was changed.
    """
    with _replacing(path) as stream:
        stream.write(content)


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    import tempfile  # with what it imports it would be half of the modules of symlow that every command loads

    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".part", dir=path.parent)
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
        # mkstemp makes private files; a written result gets the permissions that open() would have given.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
