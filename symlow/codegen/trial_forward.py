"""Lowering of trials forwards in time: latents stepped in a loop, all that follows from them at all times at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import sympy

from symlow.codegen.loop import Loop
from symlow.codegen.numpy_functions import gain_functions
from symlow.codegen.numpy_loop import NumpyLoop
from symlow.codegen.numpy_rows import Rows
from symlow.codegen.statements import Statement
from symlow.codegen.terms import split
from symlow.codegen.trial_names import TrialNames, gate_code
from symlow.reduction import Column, Statistics

AnyLoop = TypeVar("AnyLoop", bound=Loop)


class TrialForward(TrialNames):
    """The forward pass of one derivation."""

    def _start(self, key: str) -> Statement:
        name = self.latents[key]
        return Statement(name, self._rows().total(self._terms(self.reduction.initial[name])), "0")

    def _driven_loop(self, driven: tuple[str, ...]) -> Loop:
        columns = [column for name, column in self.reduction.columns.items() if name not in self.backward.moving]
        live = [*(self.latents[key] for key in driven), *(column.symbol.name for column in columns)]
        names = {str(column.symbol.name): self.columns[column.symbol.name] for column in columns}
        loop = Loop(frozenset(live), self._rows("t", **names), self._rows("now"))
        used = any(self.reduction.uses(self.latents[key], column.symbol) for key in driven for column in columns)
        for column in columns if used else ():
            self._assign_column(loop, column)
        for key in driven:
            loop.assign(f"{self.latents[key]}[t + 1]", self._terms(self.reduction.step[self.latents[key]]))
        return loop

    def _driven_at_once(self, driven: tuple[str, ...]) -> tuple[str, ...]:
        """Return the lines that step driven latents entry by entry for all times, if that is what their steps do."""
        lines: list[str] = []
        rows, live = self._rows("now"), frozenset(self.latents[key] for key in driven)
        steady = frozenset(name for name in self.columns if name not in self.backward.moving)
        for key in driven:
            name = self.latents[key]
            fixed, moving = split(self._terms(self.reduction.step[name]), live | steady)
            factor = sympy.Add(*(term.coefficient for term in moving))
            itself = all(term.column is not None and term.column.column == name for term in moving)
            if not itself or any(term.dots or (term.column and term.column.blocks) for term in moving):
                return ()
            if {symbol.name for symbol in factor.free_symbols} - {"alpha"}:
                return ()
            lines += [f"{name}[1:] = {rows.total(fixed)}", f"_accumulate({name}, {rows.scalar(factor)})"]
        return tuple(lines)

    def _driven_columns(self) -> Iterator[Statement]:
        """Give the columns that are functions of the input alone, at all times."""
        if any(name in self.backward.moving for name in self.columns) or self.backward.recurrent:
            for name, column in self.reduction.columns.items():
                if name not in self.backward.moving:
                    yield self._column_line(column, "now")

    def _loop(self) -> Loop:
        return self._filled(Loop(*self._in_loop()))

    def _numpy_loop(self) -> NumpyLoop:
        states = {self.latents[key]: int(self._sizes[self.latents[key]]) for key in self.backward.recurrent}
        return self._filled(NumpyLoop(*self._in_loop(), states=states))

    def _in_loop(self) -> tuple[frozenset[str], Rows, Rows]:
        """Return what the loop of recurrent latents makes, and how to print in it and before it."""
        recurrent = [self.latents[key] for key in self.backward.recurrent]
        moving = [name for name in self.columns if name in self.backward.moving]
        live = frozenset([*recurrent, *self.statistics, *self.gains, *moving])
        names = {name: f"{name}_t" for name in recurrent}
        names |= {name: self.columns[name] for name in moving} | {
            name: name for name in (*self.statistics, *self.gains)
        }
        outside = self._rows("now", **{n: f"{c}" for n, c in self.columns.items() if n not in moving})
        return live, self._rows("t", **names), outside

    def _filled(self, loop: AnyLoop) -> AnyLoop:
        """Return a loop with the statements of a step."""
        recurrent = [self.latents[key] for key in self.backward.recurrent]
        if not isinstance(loop, NumpyLoop):
            loop.body += [Statement(f"{name}_t", f"{name}[t]") for name in recurrent]
        forms = {function.name: function.form for function in gain_functions(self.reduction) if not function.at_zero}
        for node in self.reduction.nodes if recurrent else ():
            if not isinstance(node, Statistics):
                if node.symbol.name in self.backward.moving:
                    self._assign_column(loop, node)
                continue
            terms = {symbol.name: self._terms(expression) for symbol, expression in node.definitions.items()}
            gains = [self.backward.gain_symbols[gain].name for gain in node.gains]
            if isinstance(loop, NumpyLoop) and len(terms) == len(gains) == 1:
                (name, own), (gain,) = next(iter(terms.items())), gains
                if loop.gain(name, own, gain, forms.get("_g")):
                    continue
            for name, own in terms.items():
                loop.assign(name, own)
            for statement in self._gain_lines(node):
                loop.add(statement)
        for name in recurrent:
            if isinstance(loop, NumpyLoop):
                loop.assign(f"{name}_next", self._terms(self.reduction.step[name]), width=int(self._sizes[name]))
            else:
                loop.assign(f"{name}[t + 1]", self._terms(self.reduction.step[name]))
        return loop

    def _assign_column(self, loop: Loop, column: Column) -> None:
        target = self.columns[column.symbol.name]
        if column.right is not None:
            loop.assign(target, self._terms(column.right))
        else:
            names = loop.inside.names
            codes = {variable: names[self._plain_name(argument)] for variable, argument in column.arguments}
            loop.add(Statement(target, gate_code(column.function, codes)))

    def _column_line(self, column: Column, moment: str) -> Statement:
        target, rows = self.columns[column.symbol.name], self._rows(moment)
        if column.right is not None:
            return Statement(target, rows.total(self._terms(column.right)))
        codes = {variable: rows.names[self._plain_name(argument)] for variable, argument in column.arguments}
        return Statement(target, gate_code(column.function, codes))

    def _gain_lines(self, node: Statistics) -> Iterator[Statement]:
        arguments = self._arguments(node)
        for gain in node.gains:
            yield Statement(self.backward.gain_symbols[gain].name, f"_{gain.func.__name__}({arguments})")

    def _known_names(self) -> Iterator[str]:
        for node in self.reduction.nodes:
            if isinstance(node, Column):
                yield self.columns[node.symbol.name]
            else:
                yield from (symbol.name for symbol in node.definitions)
                yield from (self.backward.gain_symbols[gain].name for gain in node.gains)

    def _state(self) -> Iterator[Statement]:
        """Give statistics, gains and columns at all times, or at those of the steps where they contain the input."""
        for node in self.reduction.nodes:
            if isinstance(node, Column):
                yield self._column_line(node, "now" if node.symbol.name in self._with_inputs else "")
                continue
            for symbol, expression in node.definitions.items():
                rows = self._rows("now" if symbol.name in self._with_inputs else "")
                yield Statement(symbol.name, rows.total(self._terms(expression)))
            yield from self._gain_lines(node)
