"""Tensors in files that ``torch.save`` wrote, read without PyTorch and without running what the file says.

A file of PyTorch 1.6 or newer is a zip archive: ``data.pkl``, a pickle of dictionaries in which each tensor is the call

    torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...),   entry [i, j] = storage[offset + i s0 + j s1]

and one uncompressed member ``data/KEY`` for each storage. A pickle can name any function and have it called. Here it
can name those that make tensors, dictionaries and sizes, which stand for functions of this module, and nothing else.
Other names are refused before anything is made of them. What is called and the tensors that it returns take no state
from a pickle.
"""

from __future__ import annotations

import io
import math
import operator
import os
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable
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
    """Something in a file that is no plain tensor; the message says what, and what to do."""

    def __init__(self, found: str, remedy: str = "save the parameters alone, torch.save(model.state_dict(), ...)"):
        super().__init__(f"{found}; {remedy}")


class _Stateless:
    """What a pickle can hold, but set nothing of."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("tensors and functions have no state")


class _Tensor(_Stateless):
    """A tensor."""

    __slots__ = ("array",)

    def __init__(self, array: NDArray[np.generic]) -> None:
        self.array = array


class _Function(_Stateless):
    """A function that a pickle can call."""

    __slots__ = ("_called",)

    def __init__(self, called: Callable[..., Any]) -> None:
        self._called = called

    def __call__(self, *arguments: Any) -> Any:
        return self._called(*arguments)


def load_tensors(path: str | os.PathLike[str]) -> dict[str, NDArray[np.generic]]:
    """Return the tensors of a file that ``torch.save`` wrote, by name; those of nested dictionaries as ``outer.inner``.

    Raises:
        FileError: if the file cannot be read, is damaged or not of ``torch.save``, or holds other than tensors and
            plain data.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            tensors = dict(_flattened(_Reader(archive).load(), "", {}))
    except FileNotFoundError:
        raise FileError(f"{path}: no such file; expected a state_dict, saved with torch.save") from None
    except _RefusedError as refused:
        raise FileError(f"{path}: {refused}") from None
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
            ("torch", "Size"): _Function(_whole),
            ("torch._utils", "_rebuild_tensor"): _Function(_tensor),
            ("torch._utils", "_rebuild_tensor_v2"): _Function(_tensor),
            ("torch._utils", "_rebuild_parameter"): _Function(_parameter),
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


def _whole(numbers: Any) -> tuple[int, ...]:
    """Return integers as Python's, which have no largest: a file can hold NumPy's, whose products wrap around."""
    return tuple(operator.index(number) for number in numbers)


def _tensor(flat: Any, offset: Any, size: Any, stride: Any, *_: object) -> _Tensor:
    offset, size, stride = operator.index(offset), _whole(size), _whole(stride)
    reach = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    entries = math.prod(size)
    if min((offset, *size, *stride)) < 0 or (entries and reach >= len(flat)):
        raise pickle.UnpicklingError("a tensor reaches beyond its storage")
    if entries > len(flat):  # a short file could ask for any memory
        raise _RefusedError(
            f"found a tensor of shape {size} with {len(flat)} entries in its storage, as one that was expanded has",
            "save its copy, tensor.contiguous()",
        )
    strides = [step * flat.itemsize for step in stride]
    view = np.lib.stride_tricks.as_strided(flat[offset:], size, strides) if entries else np.zeros(size, flat.dtype)
    return _Tensor(view.copy())


def _parameter(tensor: Any, *_: object) -> Any:
    return tensor


def _flattened(content: Any, prefix: str, walked: dict[int, bool]) -> list[tuple[str, NDArray[np.generic]]]:
    """Return the tensors in nested dictionaries, with names joined by dots.

    Args:
        content: what may be a dictionary or a tensor.
        prefix: its name.
        walked: by identity, of the dictionaries met so far whether they hold tensors; those met here are added.
    """
    if isinstance(content, _Tensor):
        return [(prefix or "tensor", content.array)]
    if not isinstance(content, dict):
        return []
    if id(content) in walked:  # a few that hold one another twice would have more names than there is memory
        if walked[id(content)]:
            raise _RefusedError(f"found {prefix}, a dictionary that it holds more than once", "save it once")
        return []
    walked[id(content)] = True  # within itself too
    found = [
        pair for key, value in content.items() for pair in _flattened(value, f"{prefix}.{key}".lstrip("."), walked)
    ]
    walked[id(content)] = bool(found)
    names = [name for name, _ in found]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise _RefusedError(f"found two tensors of the name {twice[0]}")
    return found
