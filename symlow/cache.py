"""Texts kept on disk from one run to the next, each found by the SHA-256 of all that determines it.

    entry = folder / derived / <key>      its first line: format, key, SHA-256 of the text      the rest: the text

An entry is written under a temporary name and renamed, so that of several writers each leaves a whole one, and they
leave the same. One that does not begin as it must (damaged, cut short, copied from another key) is not there. A folder
that cannot be read or written, or is full, costs time and nothing else. Entries are text: nothing in them is executed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from symlow.files import replace_whole

VARIABLE = "SYMLOW_CACHE_DIR"
"""The environment variable that names the folder."""

NAMES = re.compile(r"[0-9a-f]{64}|\.[0-9a-f]{64}\..*\.part")
"""The names of entries, and of those that are being written; no other file is ever removed."""

MOST_BYTES = 100_000_000
"""How large the folder may grow; beyond it, entries that were not used for longest are removed."""

BLOCK = 4096
"""What the shortest file takes of a disk, in bytes."""


def cache_folder() -> Path | None:
    """Return the folder of what symlow keeps between runs, or None if the user has no home.

    It is what SYMLOW_CACHE_DIR says, else the folder ``symlow`` where the system has such files: XDG_CACHE_HOME or
    ``~/.cache``, on macOS ``~/Library/Caches``, on Windows ``%LOCALAPPDATA%``.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen)
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "symlow"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "symlow" / "Cache"
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG Base Directory Specification: a relative path is to be ignored.
    return (Path(base) if os.path.isabs(base) else home / ".cache") / "symlow"


@dataclass(frozen=True)
class Cache:
    """Texts by keys, in a folder.

    Attributes:
        folder: where the entries are; made when the first is written.
        most_bytes: how large it may grow.
    """

    folder: Path
    most_bytes: int = MOST_BYTES

    @classmethod
    def of_user(cls) -> Cache | None:
        """Return the cache of derivations in the user's folder, or None if there is no such folder."""
        folder = cache_folder()
        return None if folder is None else cls(folder / "derived")

    def get(self, key: str) -> str | None:
        """Return the text of a key, or None if there is no whole entry of it."""
        path = self.folder / key
        try:
            head, _, content = path.read_bytes().partition(b"\n")
            text = content.decode("utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        if head != _head(key, content):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # what was used last is kept longest
        return text

    def put(self, key: str, text: str) -> None:
        """Keep a text; if the disk refuses, it is not kept."""
        content = text.encode("utf-8")
        with contextlib.suppress(OSError):
            # Only its user may write what a later run will print.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_whole(self.folder / key, b"%s\n%s" % (_head(key, content), content))
            self._prune()

    def _prune(self) -> None:
        """Remove what was not used for longest, if all is too large: entries, and what writers left that died."""
        entries = []
        with os.scandir(self.folder) as found:
            for entry in found:
                if NAMES.fullmatch(entry.name):
                    with contextlib.suppress(FileNotFoundError):  # another process prunes too
                        status = entry.stat(follow_symlinks=False)
                        blocks = -(-status.st_size // BLOCK)
                        entries.append((status.st_mtime, entry.name, blocks * BLOCK))
        size = sum(entry[2] for entry in entries)
        for _, name, bytes_freed in sorted(entries):
            if size <= self.most_bytes:
                break
            (self.folder / name).unlink(missing_ok=True)
            size -= bytes_freed


def key_of(*parts: str) -> str:
    """Return the SHA-256 of some texts, in hexadecimal; other texts, or the same cut elsewhere, give another."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8")
        digest.update(b"%d\n%s" % (len(content), content))
    return digest.hexdigest()


def _head(key: str, content: bytes) -> bytes:
    return f"symlow 1 {key} {hashlib.sha256(content).hexdigest()}".encode()
