"""Packages of extras, imported where they are used: ``pip install "symlow[sweep]"``, or ``[dask]``."""

from __future__ import annotations

import importlib
from typing import Any

from symlow.errors import DependencyError


def optional(module: str, extra: str = "sweep", needed_by: str = "sweeps") -> Any:
    """Return a package that may not be installed.

    Args:
        module: its name, or that of a module of it.
        extra: the extra of symlow that installs it.
        needed_by: what needs it, as the message says it.

    Raises:
        DependencyError: if it is not.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.split(".")[0]
        raise DependencyError(
            f'{needed_by} need {package}, which is not installed; pip install "symlow[{extra}]"'
        ) from None
