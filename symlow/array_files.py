"""Arrays by name in files of NumPy and PyTorch, told apart by their first bytes.

    93 NUMPY    .npy, one array, which is called P
    PK          a zip archive: .npz, whose members are called NAME.npy, or a file of torch.save
    80          a pickle, which is refused

93 and 80 are hexadecimal.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from symlow.arrays import load_arrays
from symlow.errors import FileError
from symlow.torch_files import load_tensors

MATRIX = "P"
"""The name of an array that has none, and holds all vectors side by side."""


def read_arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of an .npz, .npy or PyTorch file by name; the one of an .npy file is called ``P``.

    What kind of file it is shows in its first bytes, whatever its suffix.

    Raises:
        FileError: if the file cannot be read, is damaged, or holds other than plain arrays and tensors.
    """
    path = Path(path)
    if path.is_dir():
        raise FileError(f"{path}: is a directory, expected an .npz, .npy or .pt file; name a file inside it")
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except FileNotFoundError:
        raise FileError(f"{path}: no such file; expected an .npz, .npy or .pt file") from None
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    if start.startswith(b"\x93NUMPY"):
        try:
            return {MATRIX: np.load(path, allow_pickle=False)}
        except (ValueError, OSError, EOFError, MemoryError, SyntaxError):
            raise FileError(f"{path}: not an .npy file of plain numbers, or damaged; save it with numpy.save") from None
    if start.startswith(b"PK"):
        # Members of an .npz file are called NAME.npy; those of torch.save have no suffix, or .pkl.
        return dict(load_arrays(path)) if _holds_arrays(path) else load_tensors(path)
    if start.startswith(b"\x80"):
        raise FileError(
            f"{path}: a pickle, as of a PyTorch before 1.6 or of pickle.dump, which is not read, for it can run "
            "anything; load it where it was made, and save it with a newer PyTorch or with numpy.savez"
        )
    raise FileError(f"{path}: not an .npz, .npy or PyTorch file; save arrays with numpy.savez or numpy.save")


def _holds_arrays(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise FileError(f"{path}: a zip archive that is damaged; save it again") from None
