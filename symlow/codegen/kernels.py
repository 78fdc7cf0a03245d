"""Lowering of trials to kernels: the time steps of some trials at once, entry by entry, as a compiler likes them.

    forwards    kappa[t + 1] from kappa[t], x[t];  kappa[t] and what the step computes from it go to a record
    backwards   at node time s: errors of the output at s - GAIN, cotangents of the step, sums for each overlap

Trials stand side by side in *lanes*. All that a step touches is a row of lanes in one small array, so that a compiler
can prove that rows do not overlap, and works on several lanes in one instruction. Nothing is taken out of loops here:
compilers do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import sympy

from symlow.backward import Cotangents
from symlow.codegen.entries import Entries, Matrix
from symlow.codegen.inlined_gains import inlined
from symlow.codegen.numpy_functions import gain_functions
from symlow.codegen.statements import Statement, mentioned
from symlow.codegen.terms import Term
from symlow.codegen.trial_backward import TrialBackward
from symlow.codegen.trial_names import gate_code
from symlow.derivation import Derivation
from symlow.nonlinearity import DELTA, MU
from symlow.reduction import Column, Statistics


@dataclass(frozen=True)
class Row:
    """A row of lanes with the variable that holds one of its lanes."""

    name: str
    number: int


@dataclass(frozen=True)
class KernelCode:
    """What the kernels of a module consist of.

    Attributes:
        overlaps: variables of visible overlaps with their positions in sigma, those that kernels mention.
        as_read: the same of those of the forward pass that the backward pass reads, where its own are others.
        recorded: what is recorded of each time, latents first.
        latents: how many of the recorded rows are latents.
        inputs: the rows of inputs.
        rows_forward: the number of rows that the forward pass needs.
        start: lines that set latents at time 0.
        forward: lines of a step, for one lane.
        output: lines that give the outputs ``y_1, ...`` from ``kappa`` and what is recorded.
        output_reads: what is read of the record for them, with 1 for latents of the next time.
        ahead: whether the output reads latents one step later than gains.
        later: recorded rows of the next time, for the backward pass, where the output reads them.
        targets: rows of targets and of weights for each output.
        cotangents: rows of the cotangents of recurrent latents.
        sums: rows in which the gradient is summed, with the positions of the overlaps.
        total: the row in which the loss is summed.
        rows_backward: the number of rows that the backward pass needs.
        backward: lines of a step backwards, for one lane.
        uses_inputs: whether these contain the input.
        end: lines for what the initial latents contain.
    """

    overlaps: tuple[tuple[str, int], ...]
    as_read: tuple[tuple[str, int], ...]
    recorded: tuple[Row, ...]
    latents: int
    inputs: tuple[Row, ...]
    rows_forward: int
    start: tuple[Statement, ...]
    forward: tuple[Statement, ...]
    output: tuple[Statement, ...]
    output_reads: tuple[tuple[Row, int], ...]
    later: tuple[Row, ...]
    targets: tuple[tuple[Row, Row], ...]
    cotangents: tuple[Row, ...]
    sums: tuple[tuple[Row, int], ...]
    total: Row
    rows_backward: int
    backward: tuple[Statement, ...]
    uses_inputs: bool
    end: tuple[Statement, ...]


class KernelLowering(TrialBackward):
    """The lowering of one derivation to kernels."""

    def __init__(self, derivation: Derivation) -> None:
        super().__init__(derivation)
        self._position = {overlap.name: k for k, overlap in enumerate(derivation.ordered)}
        network = derivation.network
        self._ahead = int(network.reads_after_update) - int(network.gain_after_update)
        self._functions = gain_functions(self.reduction)
        self._again: list[str] = []

    def code(self) -> KernelCode:
        """Return the code of the derivation's kernels."""
        step, readout = list(self._forward()), list(self._output())
        sums: dict[int, str] = {}
        step_back = [*self._again, *self._backward(sums)]
        last = list(self._end(sums))
        recorded = self._recorded((*readout, *step_back))
        step += [f"s[{row.number}, b] = {row.name}" for row in recorded[self._latent_rows :]]
        read = [(row, int(row.number < self._latent_rows) * self._ahead) for row in recorded]
        backward_rows = iter(range(len(recorded), 10**9))
        inputs = tuple(Row(name, next(backward_rows)) for name in self._input_names)
        latents = recorded[: self._latent_rows] if self._ahead else ()
        later = tuple(Row(f"later_{row.name}", next(backward_rows)) for row in latents)
        targets = tuple(
            (Row(f"target_{k}", next(backward_rows)), Row(f"weight_{k}", next(backward_rows)))
            for k in range(1, self.derivation.loss.outputs + 1)
        )
        cotangents = tuple(
            Row(name, next(backward_rows)) for key in self.backward.recurrent for name in self._lambda(key)
        )
        total = Row("loss", next(backward_rows))
        rows = tuple((Row(f"sum_{k}", next(backward_rows)), k) for k in sums)
        places = {f"@{k}@": str(row.number) for row, k in rows} | {"@loss@": str(total.number)}
        places |= {f"@{row.name}@": str(row.number) for row in cotangents}
        start, forward, output, backward, end = (
            tuple(_statement(line, places) for line in lines)
            for lines in (self._start_lines(), step, readout, step_back, last)
        )
        every = (*start, *forward, *output, *backward, *end)
        return KernelCode(
            overlaps=tuple((f"S_{n}", k) for n, k in self._position.items() if mentioned(f"S_{n}", every)),
            as_read=tuple((f"Y_{n}", k) for n, k in self._position.items() if mentioned(f"Y_{n}", every)),
            recorded=recorded,
            latents=self._latent_rows,
            inputs=inputs,
            rows_forward=len(recorded) + len(inputs),
            start=start,
            forward=forward,
            output=output,
            output_reads=tuple((row, offset) for row, offset in read if mentioned(row.name, output)),
            later=later,
            targets=targets,
            cotangents=cotangents,
            sums=rows,
            total=total,
            rows_backward=next(backward_rows),
            backward=backward,
            uses_inputs=any(mentioned(name, backward) for name in self._input_names),
            end=end,
        )

    # Names ---------------------------------------------------------------------------------------------------------

    @property
    def _input_names(self) -> tuple[str, ...]:
        return tuple(f"x_{k}" for k in range(1, self.derivation.loss.inputs + 1))

    def _lambda(self, key: str) -> tuple[str, ...]:
        return labels(f"lambda_{key}", self._sizes[f"lambda_{key}"])

    @property
    def _latent_rows(self) -> int:
        return sum(int(self._sizes[name]) for name in self.latents.values())

    @cached_property
    def _variables(self) -> Mapping[str, tuple[str, ...]]:
        """The variables that hold each quantity's entries."""
        known = {name: labels(name, self._sizes[name]) for name in self.latents.values()}
        known |= {name: (name,) for name in (*self.statistics, *self.gains, *self._slope_names())}
        known |= {name: labels(code, self._sizes[name]) for name, code in self.columns.items()}
        known |= {slope: labels(slope, self._sizes[gate]) for slope, (gate, _, _) in self._gate_slopes.items()}
        bars = {name: f"{self.columns.get(name, name)}_bar" for name in (*self.statistics, *self.gains, *self.columns)}
        known |= {f"{name}bar": labels(code, self._sizes.get(name, 1)) for name, code in bars.items()}
        known |= {f"lambda_{key}": self._lambda(key) for key in self.latents if key in self.backward.recurrent}
        known |= {self._inputs.name: self._input_names, "alpha": ("ALPHA",)}
        return known | {"ybar": labels("y_bar", self.derivation.loss.outputs, numbered=True)}

    @cached_property
    def _blocks_of(self) -> Mapping[tuple[str, bool], Matrix]:
        """The entries of blocks as variables, and of constants as numbers."""
        index, found = self.reduction.index, {}
        for (a, b), symbol in index.blocks.items():
            rows, columns = index.slice(a), index.slice(b)
            entries = [
                [f"S_{index.at(i, j).name}" for j in range(columns.start, columns.stop)]
                for i in range(rows.start, rows.stop)
            ]
            found[symbol.name, False] = tuple(map(tuple, entries))
        for symbol, matrix in self.derivation.network.constants.items():
            found[symbol.name, False] = tuple(
                tuple("" if entry == 0 else repr(float(sympy.N(entry, 30))) for entry in row) for row in matrix.tolist()
            )
        turned = {(name, True): tuple(zip(*matrix, strict=True)) for (name, _), matrix in found.items()}
        return {**found, **turned}

    @property
    def _as_read(self) -> Mapping[tuple[str, bool], Matrix]:
        """The entries of blocks in the forward pass, as variables of their own."""
        return {
            block: tuple(tuple(f"Y_{code[2:]}" if code.startswith("S_") else code for code in row) for row in matrix)
            for block, matrix in self._blocks_of.items()
        }

    def _entries(self, temporaries: str, **other: tuple[str, ...]) -> Entries:
        return Entries({**self._variables, **other}, self._blocks_of, temporaries)

    def _recorded(self, lines: Iterable[str]) -> tuple[Row, ...]:
        """Return the rows of a record: latents, and what later lines mention of the rest that a step computes."""
        lines = tuple(lines)
        names = [name for latent in self.latents.values() for name in self._variables[latent]]
        nodes = (*self.statistics, *self.gains, *self._slope_names(), *self.columns)
        known = [name for node in nodes for name in self._variables[node]]
        made_again = {line.partition(" = ")[0] for line in self._again}
        names += [name for name in known if name not in made_again and mentioned(name, lines)]
        return tuple(Row(name, k) for k, name in enumerate(names))

    # Forwards ------------------------------------------------------------------------------------------------------

    def _start_lines(self) -> Iterator[str]:
        entries, row = self._entries("start_"), 0
        for latent in self.latents.values():
            size = self._sizes[latent]
            start = self.reduction.initial.get(latent)
            codes = ["0.0"] * size if start is None else entries.total(self._terms(start), size)
            yield from entries.new_lines()
            for code in codes:
                yield f"s[{row}, b] = {code}"
                row += 1

    def _forward(self) -> Iterator[str]:
        """Give the lines that compute nodes from latents and inputs, and the latents of the next time."""
        entries = self._entries("f_")
        for node in self.reduction.nodes:
            if isinstance(node, Column):
                yield from self._column_lines(entries, node)
                continue
            for symbol, expression in node.definitions.items():
                (code,) = entries.total(self._terms(expression), 1)
                yield from entries.new_lines()
                yield f"{symbol.name} = {code}"
            yield from self._gain_lines_of(node)
        following: list[str] = []
        for latent in self.latents.values():
            following += entries.total(self._terms(self.reduction.step[latent]), self._sizes[latent])
        yield from entries.new_lines()
        yield from (f"s[{row}, b] = {code}" for row, code in enumerate(following))

    def _column_lines(self, entries: Entries, column: Column) -> Iterator[str]:
        name = column.symbol.name
        targets = self._variables[name]
        if column.right is not None:
            codes = entries.total(self._terms(column.right), self._sizes[name])
            yield from entries.new_lines()
        else:
            codes = [self._gate_entry(column, column.function, k) for k in range(self._sizes[name])]
        yield from (f"{target} = {code}" for target, code in zip(targets, codes, strict=True))

    def _gate_entry(self, gate: Column, function: sympy.Expr | None, entry: int) -> str:
        arguments = {variable: self._variables[self._plain_name(argument)] for variable, argument in gate.arguments}
        return gate_code(function, {v: names[entry % len(names)] for v, names in arguments.items()})

    def _gain_lines_of(self, node: Statistics) -> Iterator[str]:
        """Give the lines of gains and of their derivatives by statistics."""
        names = [symbol.name for symbol in node.definitions]
        suffix = f"_{node.field.name}" if node.field.name else ""
        targets = {"_g": f"g{suffix}", "_phibar": f"phibar{suffix}"}
        targets |= {f"_g_{name.removesuffix(suffix)}": f"g_{name}" for name in names}
        wanted = [f for f in self._functions if f.name in targets]
        if all(function.form is not None and not function.at_zero for function in wanted):
            delta = names[-1]
            mean = names[0] if len(names) > 1 else "0.0"
            forms = {targets[f.name]: f.form for f in wanted if f.form is not None}
            lines = list(inlined(forms, {MU: mean, DELTA: delta}, f"root{suffix}_"))
            # Slopes that follow from the gain alone are cheaper to compute again than to keep for each time.
            slopes = {f"g_{name}" for name in names}
            rest = [line for line in lines if line.partition(" = ")[0] not in slopes]
            early = [line.partition(" = ")[0] for line in rest if line.partition(" = ")[0] != f"g{suffix}"]
            again = [
                line
                for line in lines
                if line not in rest
                and not any(mentioned(name, [line.partition(" = ")[2]]) for name in (*names, *early))
            ]
            self._again += again
            yield from (line for line in lines if line not in again)
        else:
            arguments = self._arguments(node, zero="0.0")
            yield from (f"{targets[f.name]} = {f.name}({arguments})" for f in wanted)

    def _output(self) -> Iterator[str]:
        entries = self._entries("o_")
        codes = entries.total(self._terms(self.reduction.output), self.derivation.loss.outputs)
        yield from entries.new_lines()
        yield from (f"y_{k} = {code}" for k, code in enumerate(codes, 1))

    # Backwards -----------------------------------------------------------------------------------------------------

    def _backward(self, sums: dict[int, str]) -> Iterator[str]:
        """Give the lines of a step backwards; rows whose numbers are not known yet stand between @."""
        later = {name: tuple(f"later_{n}" for n in self._variables[name]) for name in self.latents.values()}
        here, read = self._entries("b_"), self._entries("r_", **(later if self._ahead else {}))
        for gate_slope, (gate, _, slope) in self._gate_slopes.items():
            column = self.reduction.columns[gate]
            targets = self._variables[gate_slope]
            yield from (f"{target} = {self._gate_entry(column, slope, k)}" for k, target in enumerate(targets))
        # The output is what the network reads, even where errors are sent back through other vectors.
        made = Entries(read.names, self._as_read, "a_") if self.derivation.rule.has_feedback else read
        codes = made.total(self._terms(self.reduction.output), self.derivation.loss.outputs)
        yield from made.new_lines()
        squares = []
        for k, code in enumerate(codes, 1):
            yield f"error_{k} = {code} - target_{k}"
            yield f"y_bar_{k} = 2 * weight_{k} * error_{k}"
            squares.append(f"weight_{k} * error_{k} * error_{k}")
        yield f"s[@loss@, b] += {' + '.join(squares)}"
        output, step = self.backward.output, self.backward.step
        if self._ahead:  # the output reads the latents after the step
            yield from self._to_latents(read, output.latents)
        present: list[str] = []
        for name in self._backward_order():
            through = self._through_to(name, present)
            terms = [t for n in present if n in self._parts for t in self._passed(self._parts[n], name)]
            terms += self._passed(step, name)
            terms += [
                Term(slope * sympy.Symbol(f"{gain}bar"))
                for gain, slope in self.backward.gain_slopes.get(name, {}).items()
                if gain in present
            ]
            direct = self._passed(output, name)
            if not (terms or through or direct):
                continue
            size = self._sizes.get(name, 1)
            codes = here.total(terms, size)
            added = read.total(direct, size)
            passed = self._passed_through(through, size)
            yield from here.new_lines()
            yield from read.new_lines()
            targets = self._variables[f"{name}bar"]
            for target, *parts in zip(targets, codes, added, *passed, strict=True):
                yield f"{target} = {_sum(parts)}"
            present.append(name)
        sources = [step, *(self._parts[name] for name in present if name in self._parts)]
        lines: list[str] = []
        for key in self.backward.recurrent:
            size = self._sizes[f"lambda_{key}"]
            codes = here.total(self._passed_to_latent(sources, key), size)
            direct = () if self._ahead or key not in output.latents else self._terms(output.latents[key])
            added = read.total(direct, size)
            passed = self._passed_through(self._gates_to_latent(key, present), size)
            for target, *parts in zip(self._lambda(key), codes, added, *passed, strict=True):
                lines.append(f"s[@{target}@, b] = {_sum(parts)}")
        yield from here.new_lines()
        yield from read.new_lines()
        yield from self._add_blocks([(read, output), *((here, source) for source in sources)], sums)
        yield from lines

    def _backward_order(self) -> Iterator[str]:
        """Give gains, statistics and columns, each after all that it passes something to."""
        for node in reversed(self.reduction.nodes):
            if isinstance(node, Column):
                if node.symbol.name in self.backward.moving:
                    yield str(node.symbol.name)
            else:
                yield from (self.backward.gain_symbols[gain].name for gain in node.gains)
                yield from (symbol.name for symbol in reversed(list(node.definitions)))

    def _passed_through(self, through: Iterable[tuple[str, str, bool]], size: int) -> list[list[str]]:
        """Return what gates pass back to a column of some size, entry by entry."""
        found = []
        for slope, gate, summed in through:
            products = [
                f"{left} * {right}"
                for left, right in zip(self._variables[slope], self._variables[f"{gate}bar"], strict=True)
            ]
            found.append([" + ".join(products)] if summed else products)
        assert all(len(products) == size for products in found)
        return found

    def _to_latents(self, entries: Entries, cotangents: Mapping[str, sympy.MatrixExpr]) -> Iterator[str]:
        for key in self.backward.recurrent:
            if key in cotangents:
                codes = entries.total(self._terms(cotangents[key]), self._sizes[f"lambda_{key}"])
                yield from entries.new_lines()
                yield from (f"{t} += {c}" for t, c in zip(self._lambda(key), codes, strict=True) if c != "0.0")

    def _add_blocks(self, places: list[tuple[Entries, Cotangents]], sums: dict[int, str]) -> Iterator[str]:
        """Give the lines that add to the sums of overlaps, each overlap once."""
        index = self.reduction.index
        parts: dict[int, list[str]] = {}
        for (a, b), symbol in index.blocks.items():
            rows, columns = index.slice(a), index.slice(b)
            for entries, cotangents in places:
                if symbol.name not in cotangents.blocks:
                    continue
                terms = self._terms(cotangents.blocks[symbol.name])
                outer = entries.outer(terms, rows.stop - rows.start, columns.stop - columns.start)
                yield from entries.new_lines()
                for (i, j), code in outer.items():
                    name = index.at(rows.start + i, columns.start + j).name
                    parts.setdefault(self._position[name], []).append(code)
        for k in sorted(parts):
            sums.setdefault(k, "")
            yield f"s[@{k}@, b] += {' + '.join(parts[k])}"

    def _end(self, sums: dict[int, str]) -> Iterator[str]:
        if self.backward.initial.blocks:
            entries = self._entries("e_")
            yield from self._add_blocks([(entries, self.backward.initial)], sums)


def labels(code: str, size: int, numbered: bool = False) -> tuple[str, ...]:
    """Return a variable for each entry of a column: ``code``, or numbered from 1 if there are several."""
    return (code,) if size == 1 and not numbered else tuple(f"{code}_{k}" for k in range(1, size + 1))


def _sum(parts: Iterable[str]) -> str:
    return " + ".join(part for part in parts if part != "0.0") or "0.0"


def _statement(line: str, places: Mapping[str, str]) -> Statement:
    """Return a line as a statement, with rows in the place of their marks."""
    for mark, number in places.items():
        line = line.replace(mark, number)
    target, sign, value = re.split(r" (\+?=) ", line, maxsplit=1)
    return Statement.to(target, value, sign == "+=")


def lower_kernels(derivation: Derivation) -> KernelCode:
    """Return the code of the kernels of a derivation."""
    return KernelLowering(derivation).code()
