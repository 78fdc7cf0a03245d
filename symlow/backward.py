"""The adjoint of one time step of the reduced dynamics: backpropagation through the latents, as equations.

    latents kappa[t], inputs x[t]  ->  statistics (mu, Delta)  ->  gains (g, phibar)  ->  columns
                                   ->  kappa[t+1], output y

Each arrow is differentiated by itself: from cotangents of what it gives (``ybar`` of the output, ``lambda_c`` of the
next latents, ``gbar``, ``phibarbar`` of the gains, ``mubar``, ``Deltabar`` of the statistics, ``abar`` of a column a)
follow those of what it reads: latents, gains, statistics, columns and the blocks of Sigma. Summed over time the last
are dL/dSigma.

Where errors are sent back through other vectors than those that the output reads, Sigma_bc stands in place of Sigma_zc
in what the output passes back, and what the blocks of Sigma get are no derivatives (:mod:`symlow.rules`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import sympy
from sympy import MatrixExpr, MatrixSymbol

from symlow.expressions import adjoint
from symlow.nonlinearity import MU
from symlow.reduction import Reduction, of_field


@dataclass(frozen=True)
class Cotangents:
    """What an arrow passes back, by name (absent where zero).

    Attributes:
        latents: by key, columns.
        scalars: by the name of a gain or statistic (``g``, ``phibar``, ``mu``, ``Delta``), 1 x 1.
        columns: by the name of a column that the step computes.
        blocks: by the name of a block of Sigma, matrices.
    """

    latents: Mapping[str, MatrixExpr]
    scalars: Mapping[str, MatrixExpr]
    columns: Mapping[str, MatrixExpr]
    blocks: Mapping[str, MatrixExpr]


@dataclass(frozen=True, eq=False)
class Backward:
    """The adjoints of the arrows of a reduction.

    Attributes:
        reduction: what is differentiated.
        feedback: by vector that the output reads, the one through which errors are sent back; empty if they agree.
    """

    reduction: Reduction
    feedback: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def gain_symbols(self) -> Mapping[sympy.Expr, sympy.Symbol]:
        """For each gain, such as g(Delta), the plain symbol that stands for its value."""
        return MappingProxyType(
            {
                gain: of_field(sympy.Symbol(gain.func.__name__), one.field)
                for one in self.reduction.statistics_of
                for gain in one.gains
            }
        )

    @cached_property
    def gain_slopes(self) -> Mapping[str, Mapping[str, sympy.Expr]]:
        """For each statistic the derivatives of the gains by it, by name; ``g_mu`` and ``g_Delta`` are those of g.

        The mean activity's follow from the gain: dphibar/dmu = g, and dphibar/dDelta = (1/2) dg/dmu.
        """
        slopes: dict[str, Mapping[str, sympy.Expr]] = {}
        for one in self.reduction.statistics_of:
            gain, *activity = (self.gain_symbols[gain] for gain in one.gains)
            mean = of_field(MU, one.field)
            for statistic in one.definitions:
                both = {gain.name: sympy.Symbol(f"g_{statistic.name}")}
                if activity:
                    both[activity[0].name] = gain if statistic == mean else sympy.Symbol(f"g_{mean.name}") / 2
                slopes[statistic.name] = MappingProxyType(both)
        return MappingProxyType(slopes)

    @cached_property
    def gate_slopes(self) -> Mapping[str, tuple[tuple[str, sympy.Expr], ...]]:
        """For each gate its derivative by each argument, entry by entry: the argument's column with an expression."""
        return MappingProxyType(
            {
                name: tuple((str(c.name), sympy.diff(column.function, variable)) for variable, c in column.arguments)
                for name, column in self.reduction.columns.items()
                if column.function is not None
            }
        )

    @cached_property
    def next_cotangents(self) -> Mapping[str, MatrixSymbol]:
        """The symbols ``lambda_c`` of the cotangents of the next latents, by key."""
        return MappingProxyType(
            {c: MatrixSymbol(f"lambda_{c}", *latent.shape) for c, latent in self.reduction.latents.items()}
        )

    @cached_property
    def moving(self) -> frozenset[str]:
        """Names of the latents, statistics and columns that depend on overlaps.

        The others are functions of the input, the same for all overlaps, and need no cotangents.
        """
        reduction = self.reduction
        blocks = tuple(reduction.index.blocks.values())
        moving = {symbol.name for symbol in reduction.statistics}
        moving |= {
            name
            for name, expression in (*reduction.step.items(), *reduction.initial.items())
            if expression.has(*blocks)
        }
        moving |= {
            name for name, column in reduction.columns.items() if column.right is not None and column.right.has(*blocks)
        }
        symbols = [*reduction.latents.values(), *(column.symbol for column in reduction.columns.values())]
        names = [*reduction.step, *reduction.columns]
        for _ in names:
            reached = {symbol for symbol in symbols if symbol.name in moving} | set(reduction.statistics)
            moving |= {name for name in names if any(reduction.uses(name, symbol) for symbol in reached)}
        return frozenset(moving)

    @cached_property
    def recurrent(self) -> tuple[str, ...]:
        """The keys of the latents that depend on overlaps."""
        return tuple(key for key, latent in self.reduction.latents.items() if latent.name in self.moving)

    @cached_property
    def output(self) -> Cotangents:
        """From the cotangent ``ybar`` of the output."""
        output = self.reduction.output
        passed = self._pull([(output, MatrixSymbol(f"{self.reduction.network.output.name}bar", *output.shape))])
        latents, scalars, columns = (
            MappingProxyType({name: self._sent_back(part) for name, part in parts.items()})
            for parts in (passed.latents, passed.scalars, passed.columns)
        )
        return Cotangents(latents, scalars, columns, passed.blocks)

    def _sent_back(self, passed: MatrixExpr) -> MatrixExpr:
        """Return what the output passes back, with the blocks of the vectors through which errors are sent."""
        index = self.reduction.index
        sent = {
            symbol: index.block(self.feedback.get(a, a), self.feedback.get(b, b))
            for (a, b), symbol in index.blocks.items()
            if a in self.feedback or b in self.feedback
        }
        return passed.subs(sent).doit() if sent else passed

    @cached_property
    def step(self) -> Cotangents:
        """From the cotangents of the next recurrent latents."""
        steps = self.reduction.step
        pairs = [(steps[self.reduction.latents[c].name], self.next_cotangents[c]) for c in self.recurrent]
        return self._pull(pairs)

    @cached_property
    def initial(self) -> Cotangents:
        """From the cotangents of the recurrent latents at time 0, which may be projections of initial states."""
        starts = self.reduction.initial
        latents = {key: self.reduction.latents[key].name for key in self.recurrent}
        return self._pull(
            [(starts[name], self.next_cotangents[key]) for key, name in latents.items() if name in starts]
        )

    @cached_property
    def statistics(self) -> Mapping[str, Cotangents]:
        """From the cotangent of each statistic, ``mubar`` or ``Deltabar``, by the statistic's name."""
        return MappingProxyType(
            {
                symbol.name: self._pull([(expression, MatrixSymbol(f"{symbol.name}bar", 1, 1))])
                for symbol, expression in self.reduction.statistics.items()
            }
        )

    @cached_property
    def columns(self) -> Mapping[str, Cotangents]:
        """From the cotangent ``abar`` of each column a that is not a gate, by its name."""
        return MappingProxyType(
            {
                name: self._pull([(column.right, MatrixSymbol(f"{name}bar", *column.symbol.shape))])
                for name, column in self.reduction.columns.items()
                if column.right is not None
            }
        )

    def _pull(self, pairs: list[tuple[MatrixExpr, MatrixExpr]]) -> Cotangents:
        blocks = {symbol.name: symbol for symbol in self.reduction.index.blocks.values()}
        latents = {latent.name: key for key, latent in self.reduction.latents.items()}
        columns = {name: column.symbol for name, column in self.reduction.columns.items()}
        scalars = [*self.gain_symbols.values(), *self.reduction.statistics]
        total: dict[str, MatrixExpr] = {}
        for expression, cotangent in pairs:
            plain = expression.subs(self.gain_symbols)
            variables = [*blocks.values(), *self.reduction.latents.values(), *columns.values()]
            for name, part in adjoint(plain, cotangent, variables, scalars).items():
                total[name] = (total[name] + part).doit() if name in total else part
        return Cotangents(
            MappingProxyType({key: total[name] for name, key in latents.items() if name in total}),
            MappingProxyType({symbol.name: total[symbol.name] for symbol in scalars if symbol.name in total}),
            MappingProxyType({name: total[name] for name in columns if name in total}),
            MappingProxyType({name: total[name] for name in blocks if name in total}),
        )
