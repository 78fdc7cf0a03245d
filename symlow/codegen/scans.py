"""Loops over time as scans: a function from what a step carries over and what is given at its time to what it makes.

    name[t + 1] = f(name[t], given[t])      or, backwards in time,      name[t] += f(name[t + 1], given[t])

Inside the function ``name[t]`` is ``name_t`` and ``name[t + 1]`` is ``name_next``: nothing is indexed by the time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from symlow.codegen.statements import Statement

NOW = re.compile(r"\b(\w+)\[t\]")
NEXT = re.compile(r"\b(\w+)\[t \+ 1\]")


@dataclass(frozen=True)
class Scan:
    """A loop over time without indices.

    Attributes:
        arrays: names of the arrays that the loop fills.
        carried: names of what a step takes over from the one before it, one for each of them.
        given: names of the arrays of which a step takes its entry.
        body: the statements of a step.
        made: names of what a step makes, one for each of the arrays.
    """

    arrays: tuple[str, ...]
    carried: tuple[str, ...]
    given: tuple[str, ...]
    body: tuple[Statement, ...]
    made: tuple[str, ...]

    @property
    def received(self) -> tuple[str, ...]:
        """Names of the entries that a step is given."""
        return tuple(f"{name}_t" for name in self.given)


def scan(loop: Iterable[Statement]) -> Scan:
    """Return a loop over time, forwards or backwards, as a scan."""
    loop = tuple(loop)
    arrays = tuple(statement.target for statement in loop if statement.index)
    forwards = any(statement.index == "t + 1" for statement in loop)
    here, there = ("next", "t") if forwards else ("t", "next")
    found = [name for statement in loop for name in NOW.findall(str(statement))]
    given = tuple(dict.fromkeys(name for name in found if not (forwards and name in arrays)))
    body = (_plain(statement, here) for statement in loop)
    return Scan(
        arrays=arrays,
        carried=tuple(f"{name}_{there}" for name in arrays),
        given=given,
        body=tuple(statement for statement in body if statement.target != statement.value),
        made=tuple(f"{name}_{here}" for name in arrays),
    )


def _plain(statement: Statement, here: str) -> Statement:
    value = NEXT.sub(r"\1_next", NOW.sub(r"\1_t", statement.value))
    if not statement.index:
        return replace(statement, value=value)
    target = f"{statement.target}_{here}"
    return Statement(target, value, adds=statement.adds)
