r"""Backpropagation through the latents as LaTeX: cotangents of what a time step computes, and the gradient.

    \bar{g}(t) = \bar{y}(t - dt)^T [\Sigma_zm \kappa_m(t) + ...]
                 + (dt/\tau) \lambda_u(t + dt)^T [\Sigma_vm \kappa_m(t) + ...]

Everything that time t computes stands in the order in which its cotangents follow: the last column, gain or statistic
first, latents last.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import sympy
from sympy import MatrixExpr

from symlow.backward import Cotangents
from symlow.derivation import Derivation
from symlow.printing.latex_dynamics import Dynamics, single_entries
from symlow.printing.latex_lines import aligned
from symlow.printing.latex_terms import Row
from symlow.printing.notation import Notation
from symlow.printing.terms import Term
from symlow.reduction import Column, Statistics
from symlow.tasks.trials import TrialsLoss


class Backpropagation:
    """The equations of one derivation, backwards."""

    def __init__(self, derivation: Derivation, dynamics: Dynamics) -> None:
        self.derivation = derivation
        self.dynamics = dynamics
        self.notation = dynamics.notation
        self.network = derivation.network
        self.reduction = derivation.reduction
        self.backward = derivation.learning_backward
        self.timed_terms = dynamics.timed_terms
        self.terms = self.timed_terms.terms
        self.read = int(self.network.reads_after_update)
        self.gain_at = int(self.network.gain_after_update)
        self.now = self.timed_terms.timed(names=self.timed_terms.fed_back)

    # What has cotangents ------------------------------------------------------------------------------------------

    @cached_property
    def _keys(self) -> tuple[str, ...]:
        """The keys of the latents that depend on overlaps and that the output depends on."""
        latents = self.reduction.latents
        return tuple(key for key in self.backward.recurrent if latents[key].name in self.reduction.paths)

    @property
    def free(self) -> list[str]:
        """The latents that do not depend on overlaps."""
        return [
            self.notation.doprint(latent)
            for key, latent in self.reduction.latents.items()
            if key not in self.backward.recurrent
        ]

    @property
    def cotangents(self) -> list[str]:
        """The symbols of the cotangents of latents, without time."""
        return [self.notation.doprint(self.backward.next_cotangents[key]) for key in self._keys]

    @property
    def recurrent(self) -> list[str]:
        """The latents that have cotangents."""
        return [self.notation.doprint(self.reduction.latents[key]) for key in self._keys]

    @cached_property
    def _columns(self) -> tuple[str, ...]:
        """The names of the columns that have cotangents, in the order of the time step."""
        return tuple(
            name for name in self.reduction.columns if name in self.backward.moving and name in self.reduction.paths
        )

    # The adjoint of a time step -----------------------------------------------------------------------------------

    @property
    def rows(self) -> str:
        """Cotangents of the output, of what time t computes, and of latents, in the order of their computation."""
        rows: list[Row] = [self._output_row()]
        for node in reversed(self.reduction.nodes):
            if isinstance(node, Statistics):
                rows += self._statistics_rows(node)
            elif node.symbol.name in self._columns:
                rows.append(self._column_row(node))
        rows += [self._latent_row(key) for key in self._keys]
        return aligned(rows)

    def _output_row(self) -> Row:
        loss = self.derivation.loss
        assert isinstance(loss, TrialsLoss)
        twice = 2 * loss.factor
        number = "" if twice == 1 else self.notation.doprint(twice)
        output = self.notation.letter(self.network.output.name)
        bar = f"{self.notation.letter(f'{self.network.output.name}bar')}(t)"
        error = rf"{self.notation.mask}(t)\odot\bigl[{output}(t)-{output}^{{*}}(t)\bigr]"
        if loss.reduction == "sum_dt":
            return bar, [rf"{number}\frac{{\mathrm{{d}}t}}{{n}}\,{error}"]
        return bar, [rf"\frac{{{number or 1}}}{{\sum {self.notation.mask}}}\,{error}"]

    @cached_property
    def _sources(self) -> tuple[tuple[Cotangents, Notation, Notation], ...]:
        """What output, step and columns pass back, as seen from the time of gains and columns, and of latents."""
        timed, read, at, names = self.timed_terms.timed, self.read, self.gain_at, self.timed_terms.fed_back
        step = timed(cotangents=1, names=names)
        hats = {name: code for name, code in names.items() if name == self.network.output.name}
        columns = ((self.backward.columns[name], self.now, self.now) for name in self._columns if self._is_sum(name))
        return (
            (
                self.backward.output,
                timed(latents=read - at, output=-at, names=hats),
                timed(gains=at - read, output=-read, names=hats),
            ),
            (self.backward.step, step, step),
            *columns,
        )

    def _is_sum(self, name: str) -> bool:
        return self.reduction.columns[name].right is not None

    def _column_row(self, column: Column) -> Row:
        name = str(column.symbol.name)
        pieces = [
            piece
            for cotangents, notation, _ in self._sources
            if name in cotangents.columns
            for piece in self.timed_terms.pieces(cotangents.columns[name], notation)
        ]
        for one in self._statistics_after(cotangent_of=name):
            pieces += self.timed_terms.pieces(one.columns[name], self.now)
        return self._bar(name), [*pieces, *self._through_gates(name)]

    def _statistics_after(self, cotangent_of: str) -> Iterator[Cotangents]:
        yield from (one for one in self.backward.statistics.values() if cotangent_of in one.columns)

    def _bar(self, name: str) -> str:
        column = self.reduction.columns[name].symbol
        return str(self.now.doprint(sympy.MatrixSymbol(f"{name}bar", *column.shape)))

    def _through_gates(self, name: str) -> Iterator[str]:
        """Give what gates pass to an argument, a sum over entries where it has one and the gate several."""
        for gate in self._columns:
            if self._is_sum(gate):
                continue
            column = self.reduction.columns[gate]
            for (_, argument), (source, slope) in zip(column.arguments, self.backward.gate_slopes[gate], strict=True):
                if source == name and slope != 0:
                    yield self._gate_piece(column, slope, argument.shape[0])

    def _gate_piece(self, gate: Column, slope: sympy.Expr, entries: int) -> str:
        bar = sympy.Symbol("gate")
        codes = {variable: self.now.doprint(argument) for variable, argument in gate.arguments}
        codes = {bar: self._bar(str(gate.symbol.name)), **codes}
        several = gate.symbol.shape[0] > 1
        single = single_entries(gate) | (frozenset() if several else frozenset([bar]))
        number, rest = slope.as_coeff_Mul()
        sign, number = ("-", -number) if number.is_negative else ("", number)
        code = self.dynamics.entry_by_entry(number * bar, codes, single)
        if rest != 1:
            factor = self.dynamics.entry_by_entry(rest, codes, single)
            factor = rf"\left({factor}\right)" if rest.is_Add else factor
            code += (r" \odot " if several and not rest.free_symbols <= single else r"\,") + factor
        return sign + (rf"\sum_k\bigl[{code}\bigr]_k" if several and entries == 1 else code)

    def _statistics_rows(self, one: Statistics) -> Iterator[Row]:
        for gain in one.gains:
            name = self.backward.gain_symbols[gain].name
            pieces = self._scalar_pieces(name)
            if pieces:
                yield self.now.scalar(f"{name}bar"), pieces
        for statistic in reversed(list(one.definitions)):
            yield self.now.scalar(f"{statistic.name}bar"), self._statistic_pieces(statistic.name)

    def _scalar_pieces(self, name: str) -> list[str]:
        """Return what passes to a gain, or to a statistic directly."""
        return [
            piece
            for cotangents, notation, _ in self._sources
            if name in cotangents.scalars
            for piece in self.timed_terms.pieces(cotangents.scalars[name], notation)
        ]

    def _statistic_pieces(self, statistic: str) -> list[str]:
        slopes = self.backward.gain_slopes[statistic]
        gains = {symbol.name for symbol in self.backward.gain_symbols.values()}
        through = [gain for gain, slope in slopes.items() if not (slope.is_Symbol and slope.name in gains)]
        direct: list[str] = []
        if any(not self._cancels(statistic, cotangents) for cotangents, *_ in self._sources):
            through, direct = list(slopes), self._scalar_pieces(statistic)
        pieces = [
            self.timed_terms.term(Term(slopes[gain] * sympy.Symbol(f"{gain}bar"), ()), self.now)
            for gain in through
            if self._scalar_pieces(gain)
        ]
        for later, cotangents in self.backward.statistics.items():
            if later != statistic and statistic in cotangents.scalars:
                pieces += self.timed_terms.pieces(cotangents.scalars[statistic], self.now)
        return [*pieces, *direct]

    def _cancels(self, statistic: str, cotangents: Cotangents) -> bool:
        """Whether what passes directly to a statistic cancels what passes through gains whose slope is a gain.

        phibar - g mu has the derivative -g by mu where it stands, and dphibar/dmu = g through phibar.
        """
        gains = {symbol.name for symbol in self.backward.gain_symbols.values()}
        total = [cotangents.scalars[statistic]] if statistic in cotangents.scalars else []
        for gain, slope in self.backward.gain_slopes[statistic].items():
            if slope.is_Symbol and slope.name in gains and gain in cotangents.scalars:
                total.append(slope * cotangents.scalars[gain])
        added: dict[tuple[MatrixExpr, ...], sympy.Expr] = {}
        for expression in total:
            for term in self.terms.of(expression):
                added[term.factors] = added.get(term.factors, sympy.Integer(0)) + term.coefficient
        return all(sympy.expand(value) == 0 for value in added.values())

    def _latent_row(self, key: str) -> Row:
        pieces: list[str] = []
        for cotangents, _, notation in self._sources:
            if key in cotangents.latents:
                pieces += self.timed_terms.pieces(cotangents.latents[key], notation)
        for cotangents in self.backward.statistics.values():
            if key in cotangents.latents:
                pieces += self.timed_terms.pieces(cotangents.latents[key], self.now)
        pieces += self._through_gates(str(self.reduction.latents[key].name))
        return self.now.doprint(self.backward.next_cotangents[key]), pieces or ["0"]

    # The gradient -------------------------------------------------------------------------------------------------

    @property
    def gradients(self) -> str:
        """dL/dSigma, block by block, as sums over time; what initial latents pass stands at time 0."""
        rows: list[Row] = []
        for symbol in self.reduction.index.blocks.values():
            sums = [
                self.timed_terms.sum_over_time(term, notation)
                for cotangents, notation in self._places
                if symbol.name in cotangents.blocks
                for term in self.terms.of(cotangents.blocks[symbol.name], split=False)
            ]
            if symbol.name in self.backward.initial.blocks:
                start = self.timed_terms.at_start()
                sums += self.timed_terms.pieces(self.backward.initial.blocks[symbol.name], start)
            if sums:
                rows.append((self.notation.block_gradient(symbol), sums))
        return aligned(rows)

    @property
    def starts(self) -> bool:
        """Whether initial latents depend on overlaps."""
        return bool(self.backward.initial.blocks)

    @cached_property
    def _places(self) -> tuple[tuple[Cotangents, Notation], ...]:
        names = self.timed_terms.fed_back
        hats = {name: code for name, code in names.items() if name == self.network.output.name}
        output = self.timed_terms.timed(latents=self.read, gains=self.gain_at, names=hats)
        return (
            (self.backward.output, output),
            (self.backward.step, self.timed_terms.timed(cotangents=1, names=names)),
            *((cotangents, self.now) for cotangents in self.backward.statistics.values()),
            *((self.backward.columns[name], self.now) for name in self._columns if self._is_sum(name)),
        )

    @property
    def symmetrised(self) -> bool:
        """Whether a block on the diagonal of Sigma has a cotangent of which only the symmetric part counts."""
        diagonal = {symbol.name for (a, b), symbol in self.reduction.index.blocks.items() if a == b}
        columns = [self.backward.columns[name] for name in self._columns if self._is_sum(name)]
        sources = (self.backward.output, self.backward.step, self.backward.initial, *columns)
        return any(diagonal & cotangents.blocks.keys() for cotangents in sources)
