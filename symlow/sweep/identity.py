"""What a result belongs to: the sweep, the specification, the trials, the generated module, the versions of programs.

    equal identities  =>  equal results, to the bit, on machines of one kind

A result that was begun is continued only where all of these are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from symlow.errors import listing
from symlow.programs import versions
from symlow.sweep.specification import Sweep

FORMAT = 1
"""Version of the format of results."""

WRITER = "zarr"
"""The program that writes the bytes of a result."""


def identity(sweep: Sweep, source: str) -> dict[str, Any]:
    """Return what a result belongs to, as JSON has it.

    Args:
        sweep: the sweep.
        source: text of the generated module.
    """
    module = hashlib.sha256(source.encode("utf-8")).hexdigest()
    return {
        "format": FORMAT,
        **sweep.canonical(),
        "module": module,
        "versions": dict(versions(sweep.tables.backend, WRITER)),
    }


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return in words in which keys two tables differ, empty if in none."""
    return listing(_differences(found, wanted, ""), limit=4)


def _differences(found: Any, wanted: Any, path: str) -> list[str]:
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        keys = dict.fromkeys([*found, *wanted])
        return [
            line
            for key in keys
            for line in _differences(found.get(key), wanted.get(key), f"{path}.{key}" if path else str(key))
        ]
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        pairs = enumerate(zip(found, wanted, strict=True))
        return [line for k, (a, b) in pairs for line in _differences(a, b, f"{path}[{k + 1}]")]
    return [] if found == wanted else [f"{path}: {_short(found)} there, {_short(wanted)} here"]


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
