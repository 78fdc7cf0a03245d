"""Generated tasks in words: what their trials are, and how they are drawn."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from symlow.spec_trials import GeneratedTask

SHARED = ("kind", "batch", "data", "loss")
"""Keys of all generated tasks, which are no parameters of a trial."""

SHOWN = 4
"""The most values of a list that are written out."""


def task_name(task: GeneratedTask) -> str:
    """Return the kind of a task in words, ``flip flop``."""
    return task.kind.replace("_", " ")


def task_summary(task: GeneratedTask) -> str:
    """Return what a task asks for, in a sentence with its source."""
    return inspect.cleandoc(type(task).__doc__ or "").partition("\n")[0]


def task_parameters(task: GeneratedTask) -> str:
    """Return the parameters of a task's trials, ``bits = 3, duration = 20``, lists cut."""
    values = {key: value for key, value in task.model_dump().items() if key not in SHARED and value is not None}
    return ", ".join(f"{key.replace('_', ' ')} = {_shown(value)}" for key, value in values.items())


def task_batches(task: GeneratedTask) -> str:
    """Return how batches are drawn."""
    how = "a new batch at each step of learning" if task.data == "fresh" else "one batch, the same at all steps"
    return f"{task.batch} trials a batch, {how}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        items = [_shown(item) for item in value]
        if len(items) > SHOWN:
            items = [*items[:2], "...", items[-1]]
        return "(" + ", ".join(items) + ")"
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")
