"""Packages that only sweeps need, imported where they are used: ``pip install "symlow[sweep]"``, or ``[dask]``."""

from __future__ import annotations

import importlib
from typing import Any

from symlow.errors import DependencyError


def optional(module: str, extra: str = "sweep") -> Any:
    """Return a package that may not be installed.

    Raises:
        DependencyError: if it is not.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.split(".")[0]
        raise DependencyError(f'sweeps need {package}, which is not installed; pip install "symlow[{extra}]"') from None
