"""The passes of one time step over neurons: nodes that compute columns, forward, and pull derivatives back, backward.

    sum         s = sum_k c_k n_k + sum_b P_b C_b q_b          n: columns of neurons, q: short columns, P_b: vectors
    read-out    a_b = sum_i w_i P_ib n_i
    product     s = r_1 r_2 ...  entry by entry, 1 x 1 columns standing for every entry
    inner       a = sum_i w_i n_i m_i,  or  sum_k q_k r_k
    function    s = f(r)  entry by entry

A column of neurons is an array of shape (..., batch, neurons), a short one of shape (..., batch, entries). Each node
fills a slot. Going back, a *bar* is the derivative of the loss by what it is the bar of, in an array of the same shape.
All vectors that read one column are read in one product of matrices, and all that carry one sum in another, so that the
arrays over neurons are gone through as rarely as in code written by hand.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from symlow.arrays import FloatArray
from symlow.elementwise import Elementwise

Record = tuple[FloatArray, ...]
"""What a node keeps of a forward pass for the way back."""


@dataclass(frozen=True)
class Column:
    """Where a column stands: the entries ``start`` to ``stop`` of a slot, or, without ``stop``, all of it.

    A ``fixed`` one, an input or numbers, has no bar, for it does not depend on P.
    """

    slot: int
    start: int = 0
    stop: int | None = None
    fixed: bool = False

    def of(self, values: Sequence[FloatArray]) -> FloatArray:
        """Return its values."""
        whole = values[self.slot]
        return whole if self.stop is None else whole[..., self.start : self.stop]


@dataclass(frozen=True)
class Entry:
    """Columns of P, times a factor, in a block: ``columns`` of P are ``start`` to ``stop`` of the block."""

    columns: tuple[int, int]
    start: int
    stop: int
    factor: float = 1.0


@dataclass(frozen=True)
class Block:
    """Columns of P over the neurons of a population, side by side.

    Attributes:
        population: whose neurons.
        entries: the columns.
        reads: whether they are multiplied by the weights w of the neurons, to read them.
    """

    population: str
    entries: tuple[Entry, ...]
    reads: bool

    def of(self, weights: Weights) -> FloatArray:
        """Return the block, shape (..., columns, neurons)."""
        P = np.swapaxes(weights.of(self.population), -1, -2)
        block = np.empty((*P.shape[:-2], self.entries[-1].stop, P.shape[-1]))
        for entry in self.entries:
            np.multiply(P[..., slice(*entry.columns), :], entry.factor, out=block[..., entry.start : entry.stop, :])
        if self.reads:
            block *= weights.measure(self.population)
        return block

    def pull(self, bar: FloatArray, weights: Weights, P_bar: FloatArray) -> None:
        """Add what a bar of the block, shape (columns, neurons), is to the bar of P."""
        target = P_bar[weights.rows[self.population]].T
        if self.reads:
            bar = bar * weights.measure(self.population)
        for entry in self.entries:
            target[slice(*entry.columns)] += entry.factor * bar[entry.start : entry.stop]


@dataclass(frozen=True)
class Weights:
    """P and the weights of its rows.

    Attributes:
        P: shape (..., rows, columns).
        w: w_i, shape (rows,).
        rows: the rows of each population.
    """

    P: FloatArray
    w: FloatArray
    rows: Mapping[str, slice]

    def of(self, population: str) -> FloatArray:
        """Return the rows of P of a population."""
        return self.P[..., self.rows[population], :]

    def measure(self, population: str) -> FloatArray:
        """Return the weights of its neurons, shape (neurons,)."""
        return self.w[self.rows[population]]


class Forward:
    """A program on given weights, run forward for a batch of trials.

    Attributes:
        weights: P and the weights of its rows.
        shape: the leading axes of P, and the batch.
        blocks: the program's blocks.
        values: the columns of the step at hand, by slot.
    """

    def __init__(self, program: Program, weights: Weights, batch: int) -> None:
        self.weights = weights
        self.shape = (*weights.P.shape[:-2], batch)
        self.blocks = [block.of(weights) for block in program.blocks]
        self.constants = [
            (slot, np.broadcast_to(np.array(column), (batch, len(column)))) for slot, column in program.constants
        ]
        self.values: list[FloatArray] = [np.empty(0)] * program.slots

    def run(
        self, nodes: Iterable[Node], given: Mapping[int, FloatArray], tape: list[list[Record]] | None = None
    ) -> None:
        """Compute the nodes from columns given by slot; what they keep for the way back is added to the tape."""
        for slot, column in (*self.constants, *given.items()):
            self.values[slot] = column
        if tape is None:
            for node in nodes:
                self.values[node.slot] = node.forward(self)
            return
        records = []
        for node in nodes:
            self.values[node.slot], record = node.record(self)
            records.append(record)
        tape.append(records)


class Backward:
    """The way back through steps that ran forward, of one set of weights.

    Attributes:
        forward: the run.
        bars: bars of the columns of the step at hand, by slot; None where nothing depends on it.
        block_bars: bars of the blocks, summed over all steps.
    """

    def __init__(self, program: Program, forward: Forward) -> None:
        self.program = program
        self.forward = forward
        self.block_bars = [np.zeros_like(block) for block in forward.blocks]
        self.bars: list[FloatArray | None] = [None] * program.slots

    def add(self, column: Column, bar: FloatArray) -> None:
        """Add to the bar of a column; the array given is not used elsewhere."""
        if column.fixed:
            return
        known = self.bars[column.slot]
        if column.stop is None:
            if known is None:
                self.bars[column.slot] = bar
            else:
                known += bar
            return
        whole = np.zeros((len(bar), self.program.widths[column.slot])) if known is None else known
        whole[:, column.start : column.stop] += bar
        self.bars[column.slot] = whole

    def run(self, nodes: Sequence[Node], records: Sequence[Record], bars: Iterable[tuple[Column, FloatArray]]) -> None:
        """Pull bars of columns back through the nodes of a step, given what these kept."""
        self.bars = [None] * len(self.bars)
        for column, given in bars:
            self.add(column, given)
        for node, record in zip(reversed(nodes), reversed(records), strict=True):
            reached = self.bars[node.slot]
            if reached is not None:
                node.pull(reached, record, self)

    def collect(self, P_bar: FloatArray) -> None:
        """Add the bars of the blocks to the bar of P."""
        for block, bar in zip(self.program.blocks, self.block_bars, strict=True):
            block.pull(bar, self.forward.weights, P_bar)


@dataclass(frozen=True)
class Node(ABC):
    """What fills a slot."""

    slot: int

    @property
    @abstractmethod
    def sources(self) -> tuple[Column, ...]:
        """The columns that it is computed from."""

    @abstractmethod
    def record(self, run: Forward) -> tuple[FloatArray, Record]:
        """Return its values, and what it keeps for the way back."""

    def forward(self, run: Forward) -> FloatArray:
        """Return its values."""
        return self.record(run)[0]

    @abstractmethod
    def pull(self, bar: FloatArray, record: Record, back: Backward) -> None:
        """Add to the bars of its sources, and of the columns of P."""


@dataclass(frozen=True)
class Part:
    """Entries ``start`` to ``stop`` of a column: another one times a number or a matrix, a tuple of rows."""

    column: Column
    coefficient: float | tuple[tuple[float, ...], ...]
    start: int
    stop: int

    @cached_property
    def _factor(self) -> float | FloatArray:
        return self.coefficient if isinstance(self.coefficient, float) else np.array(self.coefficient)

    def add(self, values: Sequence[FloatArray], target: FloatArray) -> None:
        """Add its values to an array of shape (..., batch, entries)."""
        column, factor = self.column.of(values), self._factor
        target[..., self.start : self.stop] += factor * column if isinstance(factor, float) else column @ factor.T

    def pull(self, bar: FloatArray, back: Backward) -> None:
        """Pull the bar of the longer column back."""
        if not self.column.fixed:
            own, factor = bar[:, self.start : self.stop], self._factor
            back.add(self.column, factor * own if isinstance(factor, float) else own @ factor)


@dataclass(frozen=True)
class ShortSum(Node):
    """A short column: the sum of its parts."""

    parts: tuple[Part, ...]
    width: int

    @property
    def sources(self) -> tuple[Column, ...]:
        """The columns of its parts."""
        return tuple(part.column for part in self.parts)

    def record(self, run: Forward) -> tuple[FloatArray, Record]:
        """Return the sum of the parts."""
        total = np.zeros((*run.shape, self.width))
        for part in self.parts:
            part.add(run.values, total)
        return total, ()

    def pull(self, bar: FloatArray, record: Record, back: Backward) -> None:
        """Give each part its entries."""
        for part in self.parts:
            part.pull(bar, back)


@dataclass(frozen=True)
class Sum(Node):
    """A column of neurons: others with numbers in front, and vectors, side by side in a block, times short columns."""

    population: str
    terms: tuple[tuple[float, Column], ...]
    parts: tuple[Part, ...]
    block: int

    @property
    def sources(self) -> tuple[Column, ...]:
        """The columns of neurons, and the short ones."""
        return (*(column for _, column in self.terms), *(part.column for part in self.parts))

    def record(self, run: Forward) -> tuple[FloatArray, Record]:
        """Return s = P_b q + sum_k c_k n_k, q the short columns one below the other."""
        record: Record = ()
        if self.parts:
            carriers = run.blocks[self.block]
            drives = np.zeros((*run.shape, carriers.shape[-2]))
            for part in self.parts:
                part.add(run.values, drives)
            total = drives @ carriers
            record = (drives,)
        else:
            total = np.zeros((*run.shape, len(run.weights.measure(self.population))))
        for coefficient, column in self.terms:
            total += coefficient * column.of(run.values)
        return total, record

    def pull(self, bar: FloatArray, record: Record, back: Backward) -> None:
        """Pull: n_k_bar += c_k s_bar, P_b_bar += s_bar q^T, q_bar += P_b^T s_bar."""
        for coefficient, column in self.terms:
            back.add(column, coefficient * bar)
        if self.parts:
            back.block_bars[self.block] += record[0].T @ bar
            drives_bar = bar @ back.forward.blocks[self.block].T
            for part in self.parts:
                part.pull(drives_bar, back)


@dataclass(frozen=True)
class Reading(Node):
    """A short column: what the vectors of a block read of a column of neurons."""

    source: Column
    block: int

    @property
    def sources(self) -> tuple[Column, ...]:
        """The column of neurons."""
        return (self.source,)

    def record(self, run: Forward) -> tuple[FloatArray, Record]:
        """Return a = P_b^T n, the weights w being a part of P_b."""
        neurons = self.source.of(run.values)
        return neurons @ np.swapaxes(run.blocks[self.block], -1, -2), (neurons,)

    def pull(self, bar: FloatArray, record: Record, back: Backward) -> None:
        """Pull: P_b_bar += n a_bar^T, n_bar += P_b a_bar."""
        back.block_bars[self.block] += bar.T @ record[0]
        back.add(self.source, bar @ back.forward.blocks[self.block])


@dataclass(frozen=True)
class Product(Node):
    """The product of columns, entry by entry; one of a single entry multiplies every entry."""

    factors: tuple[Column, ...]

    @property
    def sources(self) -> tuple[Column, ...]:
        """The factors."""
        return self.factors

    def record(self, run: Forward) -> tuple[FloatArray, Record]:
        """Return s = r_1 r_2 ..."""
        factors = tuple(factor.of(run.values) for factor in self.factors)
        return math.prod(factors[1:], start=factors[0]), factors

    def pull(self, bar: FloatArray, record: Record, back: Backward) -> None:
        """Pull: r_k_bar += s_bar times the other factors, summed over entries where r_k has a single one."""
        for k, factor in enumerate(self.factors):
            own = math.prod((*record[:k], *record[k + 1 :]), start=bar)
            back.add(factor, own if record[k].shape == own.shape else own.sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class Inner(Node):
    """The inner product of two columns, over the neurons of a population, weighted, or over entries of short ones."""

    left: Column
    right: Column
    population: str | None

    @property
    def sources(self) -> tuple[Column, ...]:
        """The two columns."""
        return (self.left, self.right)

    def record(self, run: Forward) -> tuple[FloatArray, Record]:
        """Return a = sum_i w_i n_i m_i."""
        left, right = self.left.of(run.values), self.right.of(run.values)
        return (self._weighted(left, run) * right).sum(axis=-1, keepdims=True), (left, right)

    def pull(self, bar: FloatArray, record: Record, back: Backward) -> None:
        """Pull: n_bar += a_bar w m, m_bar += a_bar w n."""
        for column, other in zip(self.sources, reversed(record), strict=True):
            back.add(column, bar * self._weighted(other, back.forward))

    def _weighted(self, column: FloatArray, run: Forward) -> FloatArray:
        return column if self.population is None else column * run.weights.measure(self.population)


@dataclass(frozen=True)
class Applied(Node):
    """A function of each entry of a column."""

    function: Elementwise
    source: Column

    @property
    def sources(self) -> tuple[Column, ...]:
        """Its argument."""
        return (self.source,)

    def forward(self, run: Forward) -> FloatArray:
        """Return f(r), without f'(r)."""
        return self.function.value(self.source.of(run.values))

    def record(self, run: Forward) -> tuple[FloatArray, Record]:
        """Return f(r) and f'(r)."""
        value, slope = self.function.both(self.source.of(run.values))
        return value, (slope,)

    def pull(self, bar: FloatArray, record: Record, back: Backward) -> None:
        """Pull: r_bar += f'(r) s_bar."""
        back.add(self.source, bar * record[0])


@dataclass(frozen=True)
class Program:
    """Nodes in the order in which they are computed, with what they need.

    Attributes:
        nodes: the nodes.
        blocks: the columns of P that they use.
        constants: columns of numbers, with their slots.
        widths: how many entries each slot has, 0 for those of neurons.
    """

    nodes: tuple[Node, ...]
    blocks: tuple[Block, ...]
    constants: tuple[tuple[int, tuple[float, ...]], ...]
    widths: tuple[int, ...]

    @property
    def slots(self) -> int:
        """How many slots there are."""
        return len(self.widths)

    def needed(self, column: Column) -> tuple[tuple[Node, ...], tuple[int, ...]]:
        """Return the nodes that a column depends on, in order, and the slots, those filled from outside included."""
        slots, nodes = [column.slot], []
        for node in reversed(self.nodes):
            if node.slot in slots:
                nodes.append(node)
                slots += [source.slot for source in node.sources]
        return tuple(reversed(nodes)), tuple(slots)
