"""Pictures in files, as vectors (.svg, .pdf) or points (.png): the same picture has the same bytes."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from symlow.errors import FileError
from symlow.extras import optional
from symlow.files import write_whole
from symlow.plot.style import styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")

# Files would otherwise tell when, and .png by what, they were made.
UNDATED = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}

FINENESS = 160
"""Points per inch of a .png file."""


def check_figure(path: str | os.PathLike[str]) -> None:
    """Check that a figure can be made and written, before the work that it will show.

    Raises:
        FileError: unless the path has the suffix of a format that can be written.
        DependencyError: if matplotlib is not installed.
    """
    optional("matplotlib.figure", "plot", "plots")
    if Path(path).suffix.lower() not in FORMATS:
        raise FileError(f"{Path(path)}: unknown picture format {Path(path).suffix!r}; accepted: {', '.join(FORMATS)}")


@styled
def save_figure(figure: Figure, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Write a figure whole, as .png, .svg or .pdf by the suffix of ``path``, and return the path.

    Raises:
        FileError: for another suffix, or as :func:`symlow.files.write_whole`.
    """
    check_figure(path)
    stream, suffix = io.BytesIO(), Path(path).suffix.lower()
    figure.savefig(stream, format=suffix[1:], dpi=FINENESS, metadata=UNDATED[suffix])
    return write_whole(path, stream.getvalue(), overwrite)
