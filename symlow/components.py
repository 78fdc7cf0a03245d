"""Which states stay in the span of which vectors.

A state of neurons leaves the span if an activity phi(...) is a part of its equation or its initial state, directly or
through another state that has left it; else it stays in the span of the vectors that are parts of its equation, its
initial state, and the states that are parts of it. (A projection (1/N) q^T phi(h) is a number in front of a vector:
with it a state stays.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from sympy import Identity, MatAdd, MatMul, MatrixExpr, MatrixSymbol
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction

from symlow.equations import PHI, Equations, State


@dataclass(frozen=True, eq=False)
class Components:
    """The vectors along which states have components.

    Attributes:
        equations: the equations of the network.
        linear: whether phi is the identity, which takes nothing out of the span.
    """

    equations: Equations
    linear: bool

    @property
    def _states(self) -> dict[str, State]:
        return {state.symbol.name: state for state in self.equations.states}

    @cached_property
    def outside(self) -> frozenset[str]:
        """Return the states of which an activity is a part, directly or through another one."""
        outside: set[str] = set()
        found = True
        while found:
            found = False
            for name, state in self._states.items():
                if state.population is None or name in outside:
                    continue
                parts = self._parts_of(state)
                if "phi" in parts or parts & {f"state {other}" for other in outside}:
                    outside.add(name)
                    found = True
        return frozenset(outside)

    @cached_property
    def carriers(self) -> dict[str, tuple[str, ...]]:
        """Return for each state in the span the vectors that it can have a component along, in the order of P."""
        reached: dict[str, set[str]] = {}
        for name, state in self._states.items():
            if state.population is not None and name not in self.outside:
                reached[name] = self._parts_of(state)
        for _ in reached:
            for parts in reached.values():
                for other in reached:
                    if f"state {other}" in parts:
                        parts |= reached[other]
        return {
            name: tuple(v.name for v in self.equations.vectors if f"vector {v.name}" in parts)
            for name, parts in reached.items()
        }

    def _parts_of(self, state: State) -> set[str]:
        starts = [] if state.initial is None else [state.initial]
        return {part for expression in (state.right, *starts) for part in self._parts(expression)}

    def _parts(self, expression: MatrixExpr) -> Iterator[str]:
        """Give what a column of neurons, or a matrix that makes one, is made of: "vector u", "state h", "phi"."""
        if isinstance(expression, MatAdd):
            for argument in expression.args:
                yield from self._parts(argument)
        elif isinstance(expression, MatMul):
            _, factors = expression.as_coeff_matrices()
            first, *rest = [f for f in factors if not isinstance(f, Identity)] or factors[-1:]
            for term in first.args if isinstance(first, MatAdd) and rest else ():
                yield from self._parts(MatMul(term, *rest).doit())
            if not (isinstance(first, MatAdd) and rest):
                yield from self._parts(first)
        elif isinstance(expression, ElementwiseApplyFunction):
            if not is_phi(expression):
                return
            if self.linear:
                yield from self._parts(expression.expr)
            else:
                yield "phi"
        elif isinstance(expression, MatrixSymbol):
            definitions = {symbol.name: meaning for symbol, meaning in self.equations.named}
            if expression.name in definitions:
                yield from self._parts(definitions[expression.name])
            elif expression.name in self._states:
                yield f"state {expression.name}"
            else:
                yield f"vector {expression.name}"

    @cached_property
    def keys(self) -> dict[tuple[str, str], str]:
        """Return a key for the latents of each state along each carrier: the vector, with the state if need be."""
        along = [vector for vectors in self.carriers.values() for vector in vectors]
        return {
            (state, vector): vector if along.count(vector) == 1 else f"{vector}_{state}"
            for state, vectors in self.carriers.items()
            for vector in vectors
        }


def is_phi(applied: ElementwiseApplyFunction) -> bool:
    """Whether the function of a column is the nonlinearity of the neurons."""
    return isinstance(applied.function.expr, PHI)
