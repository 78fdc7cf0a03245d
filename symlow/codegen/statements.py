"""Statements of a generated module, ``target[index] = value`` or ``+=``, which each backend writes in its own way.

Arrays of NumPy change in place; those of JAX never do, so that ``name[index] += value`` is
``name = name.at[index].add(value)`` there. Targets, indices and values are the same code for all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """One assignment.

    Attributes:
        target: the name that is assigned.
        value: code of the expression.
        index: code of the part of the target that is assigned; empty for all of it.
        adds: whether the value is added to what is there.
    """

    target: str
    value: str
    index: str = ""
    adds: bool = False

    @classmethod
    def to(cls, target: str, value: str, adds: bool = False) -> Statement:
        """Return the assignment of a value to ``name`` or ``name[index]``."""
        name, _, index = target.removesuffix("]").partition("[")
        return cls(name, value, index, adds)

    @property
    def in_place(self) -> tuple[str, str]:
        """The code before the value and after it, for arrays that change in place."""
        place = f"{self.target}[{self.index}]" if self.index else self.target
        return f"{place} {'+=' if self.adds else '='} ", ""

    @property
    def functional(self) -> tuple[str, str]:
        """The code before the value and after it, for arrays that never change."""
        if not self.index:
            return f"{self.target} = {f'{self.target} + ' if self.adds else ''}", ""
        return f"{self.target} = {self.target}.at[{self.index}].{'add' if self.adds else 'set'}(", ")"

    def __str__(self) -> str:
        """Return the statement as NumPy code."""
        return self.in_place[0] + self.value


def mentioned(name: str, lines: Iterable[Statement | str]) -> bool:
    """Whether a name stands in one of the lines."""
    return any(re.search(rf"\b{name}\b", str(line)) for line in lines)
