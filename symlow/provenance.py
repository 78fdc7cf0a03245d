"""What a derivation depends on besides its specification, so that a kept result is used only where it would come out.

    provenance = (symlow and a hash of its files, the libraries that derive and print, Python, the kind of machine)

The version of symlow stays while people develop it, so the content of its own files counts too, templates included:
reading all of it takes two milliseconds. The machine counts since the last digits of a series that is fitted to a
nonlinearity depend on it (:mod:`symlow.nonlinearity.stored`). Libraries count by their versions alone.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("sympy", "mpmath", "numpy", "scipy", "jinja2", "markupsafe", "pydantic", "pydantic_core")
"""The packages of which a derivation and its printers consist."""

PACKAGE = Path(__file__).parent
FILES = "files of symlow"


@functools.cache
def provenance() -> tuple[tuple[str, str], ...] | None:
    """Return names and versions of all that a derivation depends on besides its specification.

    Files are read when it is first asked for, which is to be before the modules that derive are imported from them.

    None if that cannot be known: a library is there that was not installed as packages are, or symlow runs from an
    archive whose files cannot be read.
    """
    try:
        return (
            ("symlow", version("symlow")),
            (FILES, digest_of_files(PACKAGE)),
            *((library, version(library)) for library in LIBRARIES),
            ("Python", f"{sys.implementation.name} {sys.version}"),
            ("machine", f"{sys.platform} {platform.machine()}"),
        )
    except (PackageNotFoundError, OSError):
        return None


def is_unchanged() -> bool:
    """Whether the files of symlow are still those of :func:`provenance`: else who knows which of them were imported."""
    known = provenance()
    try:
        return known is not None and dict(known)[FILES] == digest_of_files(PACKAGE)
    except OSError:
        return False


def digest_of_files(folder: Path) -> str:
    """Return the SHA-256 of all files below a folder, by their names and contents, but for what Python compiles.

    Raises:
        OSError: if one cannot be read.
    """
    digest = hashlib.sha256()
    for path in sorted(_files(folder)):
        content = Path(path).read_bytes()
        name = os.path.relpath(path, folder)
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _files(folder: str | os.PathLike[str]) -> list[str]:
    found: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                found += _files(entry.path) if entry.name != "__pycache__" else []
            else:
                found.append(entry.path)
    return found
