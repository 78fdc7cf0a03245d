"""Tensors in files that ``torch.save`` wrote, read without PyTorch and without running what the file says.

A file of PyTorch 1.6 or newer is a zip archive: ``data.pkl``, a pickle of dictionaries in which each tensor is the call

    torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...),   entry [i, j] = storage[offset + i s0 + j s1]

and one uncompressed member ``data/KEY`` for each storage. A pickle can name any function and have it called. Here it
can name those that make tensors, dictionaries and sizes, which are functions of this module, and nothing else; what
they return has no attributes to be set. Other names are refused before anything is made of them.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symlow.errors import FileError

STORAGES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "u2",  # the upper half of a float of four bytes
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
"""Kinds of storage by their names in PyTorch, with NumPy's code of their entries."""

DAMAGES = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What reading a damaged archive or pickle raises."""


class _RefusedError(Exception):
    """Something in a file that is no plain tensor; the message says what."""


class _Tensor:
    """A tensor. A pickle can hold it, but set nothing of it."""

    __slots__ = ("array",)

    def __init__(self, array: NDArray[np.generic]) -> None:
        self.array = array

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("a tensor has no state")


def load_tensors(path: str | os.PathLike[str]) -> dict[str, NDArray[np.generic]]:
    """Return the tensors of a file that ``torch.save`` wrote, by name; those of nested dictionaries as ``outer.inner``.

    Raises:
        FileError: if the file cannot be read, is damaged or not of ``torch.save``, or holds other than tensors and
            plain data.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            tensors = dict(_flattened(_Reader(archive).load(), ""))
    except FileNotFoundError:
        raise FileError(f"{path}: no such file; expected a state_dict, saved with torch.save") from None
    except _RefusedError as refused:
        raise FileError(f"{path}: {refused}; save the parameters alone, torch.save(model.state_dict(), ...)") from None
    except DAMAGES:
        raise FileError(f"{path}: not a file of torch.save, or damaged; save it again") from None
    if not tensors:
        raise FileError(f"{path}: holds no tensor; accepted: a state_dict, saved with torch.save")
    return tensors


class _Reader(pickle.Unpickler):
    """Reads the pickle of an archive; only what this class returns for a name can be called."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        names = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
        if len(names) != 1:
            raise _RefusedError(f"found {len(names)} members data.pkl, where a file of torch.save has one")
        self._archive, self._folder = archive, names[0].removesuffix("data.pkl")
        self._big_endian = self._member("byteorder", b"little") == b"big"
        content = self._member("data.pkl")
        for opcode, argument, _ in pickletools.genops(content):
            # Python makes room for as many things as the largest number says, be it for gigabytes of them.
            if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(argument or 0) <= len(content):
                raise pickle.UnpicklingError("a number beyond the things that there are")
        super().__init__(io.BytesIO(content))

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name in the pickle."""
        if module == "torch" and name in STORAGES:
            return name
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch", "Size"): self._size,
            ("torch._utils", "_rebuild_tensor"): self._tensor,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): self._parameter,
        }
        if (module, name) not in known:
            raise _RefusedError(f"found {module}.{name} in it, where only tensors and plain data are read")
        return known[module, name]

    def persistent_load(self, pid: Any) -> NDArray[np.generic]:
        """Return a storage, ("storage", kind, key, device, number of entries), as a flat array."""
        _, kind, key, _, entries = pid
        entry = np.dtype(STORAGES[kind]).newbyteorder(">" if self._big_endian else "<")
        flat = np.frombuffer(self._member(f"data/{key}"), entry)
        if len(flat) < entries:
            raise pickle.UnpicklingError(f"storage {key} is cut short")
        flat = flat.astype(entry.newbyteorder("="))
        return (flat.astype("u4") << 16).view("f4") if kind == "BFloat16Storage" else flat

    def _member(self, name: str, default: bytes | None = None) -> bytes:
        name = self._folder + name
        if default is not None and name not in self._archive.namelist():
            return default
        if self._archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
            raise _RefusedError(f"found {name} compressed, as torch.save writes nothing")
        return self._archive.read(name)

    @staticmethod
    def _size(lengths: Any) -> tuple[int, ...]:
        return tuple(lengths)

    @staticmethod
    def _tensor(flat: Any, offset: int, size: Any, stride: Any, *_: object) -> _Tensor:
        reach = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        entries = math.prod(size)
        if min((offset, *size, *stride)) < 0 or (entries and reach >= len(flat)) or entries > len(flat):
            raise pickle.UnpicklingError("a tensor reaches beyond its storage")
        strides = [step * flat.itemsize for step in stride]
        view = np.lib.stride_tricks.as_strided(flat[offset:], size, strides) if entries else np.zeros(size, flat.dtype)
        return _Tensor(view.copy())

    @staticmethod
    def _parameter(tensor: Any, *_: object) -> Any:
        return tensor


def _flattened(content: Any, prefix: str) -> list[tuple[str, NDArray[np.generic]]]:
    """Return the tensors in nested dictionaries, with names joined by dots."""
    if isinstance(content, _Tensor):
        return [(prefix or "tensor", content.array)]
    if not isinstance(content, dict):
        return []
    found = [pair for key, value in content.items() for pair in _flattened(value, f"{prefix}.{key}".lstrip("."))]
    names = [name for name, _ in found]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise _RefusedError(f"found two tensors of the name {twice[0]}")
    return found
