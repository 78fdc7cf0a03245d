"""The adjoint of one time step of the reduced dynamics: backpropagation through the latents, as equations.

    latents kappa[t], inputs x[t]  ->  statistics (mu, Delta)  ->  gains (g, phibar)  ->  kappa[t+1], output y

Each arrow is differentiated by itself: from cotangents of what it gives (``ybar`` of the output, ``lambda_c`` of the
next latents, ``gbar``, ``phibarbar`` of the gains, ``mubar``, ``Deltabar`` of the statistics) follow those of what it
reads: latents, gains, statistics and the blocks of Sigma. Summed over time the last are dL/dSigma.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import sympy
from sympy import MatrixExpr, MatrixSymbol

from symlow.expressions import adjoint
from symlow.nonlinearity import MU
from symlow.reduction import Reduction


@dataclass(frozen=True)
class Cotangents:
    """What an arrow passes back, by name (absent where zero).

    Attributes:
        latents: by carrier, columns.
        scalars: by the name of a gain or statistic (``g``, ``phibar``, ``mu``, ``Delta``), 1 x 1.
        blocks: by the name of a block of Sigma, matrices.
    """

    latents: Mapping[str, MatrixExpr]
    scalars: Mapping[str, MatrixExpr]
    blocks: Mapping[str, MatrixExpr]


@dataclass(frozen=True, eq=False)
class Backward:
    """The adjoints of the arrows of a reduction.

    Attributes:
        reduction: what is differentiated.
    """

    reduction: Reduction

    @cached_property
    def gain_symbols(self) -> Mapping[sympy.Expr, sympy.Symbol]:
        """For each gain, such as g(Delta), the plain symbol that stands for its value."""
        return MappingProxyType({gain: sympy.Symbol(gain.func.__name__) for gain in self.reduction.gains})

    @cached_property
    def gain_slopes(self) -> Mapping[str, Mapping[str, sympy.Expr]]:
        """For each statistic the derivatives of the gains by it, by name; ``g_mu`` and ``g_Delta`` are those of g.

        The mean activity's follow from the gain: dphibar/dmu = g, and dphibar/dDelta = (1/2) dg/dmu.
        """
        slopes: dict[str, Mapping[str, sympy.Expr]] = {}
        names = [symbol.name for symbol in self.gain_symbols.values()]
        for statistic in self.reduction.statistics:
            heat = sympy.Symbol("g") if statistic == MU else sympy.Symbol("g_mu") / 2
            both = {"g": sympy.Symbol(f"g_{statistic.name}"), "phibar": heat}
            slopes[statistic.name] = MappingProxyType({name: both[name] for name in names})
        return MappingProxyType(slopes)

    @cached_property
    def next_cotangents(self) -> Mapping[str, MatrixSymbol]:
        """The symbols ``lambda_c`` of the cotangents of the next latents, by carrier."""
        return MappingProxyType(
            {c: MatrixSymbol(f"lambda_{c}", *latent.shape) for c, latent in self.reduction.latents.items()}
        )

    @cached_property
    def recurrent(self) -> tuple[str, ...]:
        """The carriers whose latents depend on overlaps: those whose drives contain a projection.

        The others are filters of the input, the same for all overlaps, and need no cotangents.
        """
        blocks = tuple(self.reduction.index.blocks.values())
        latents = self.reduction.latents
        return tuple(carrier for carrier, latent in latents.items() if self.reduction.step[latent.name].has(*blocks))

    @cached_property
    def output(self) -> Cotangents:
        """From the cotangent ``ybar`` of the output."""
        output = self.reduction.output
        return self._pull([(output, MatrixSymbol("ybar", *output.shape))])

    @cached_property
    def step(self) -> Cotangents:
        """From the cotangents of the next recurrent latents."""
        steps = self.reduction.step
        pairs = [(steps[self.reduction.latents[c].name], self.next_cotangents[c]) for c in self.recurrent]
        return self._pull(pairs)

    @cached_property
    def statistics(self) -> Mapping[str, Cotangents]:
        """From the cotangent of each statistic, ``mubar`` or ``Deltabar``, by the statistic's name."""
        return MappingProxyType(
            {
                symbol.name: self._pull([(expression, MatrixSymbol(f"{symbol.name}bar", 1, 1))])
                for symbol, expression in self.reduction.statistics.items()
            }
        )

    def _pull(self, pairs: list[tuple[MatrixExpr, MatrixExpr]]) -> Cotangents:
        blocks = {symbol.name: symbol for symbol in self.reduction.index.blocks.values()}
        latents = {latent.name: carrier for carrier, latent in self.reduction.latents.items()}
        scalars = [*self.gain_symbols.values(), *self.reduction.statistics]
        total: dict[str, MatrixExpr] = {}
        for expression, cotangent in pairs:
            plain = expression.subs(self.gain_symbols)
            variables = [*blocks.values(), *self.reduction.latents.values()]
            for name, part in adjoint(plain, cotangent, variables, scalars).items():
                total[name] = (total[name] + part).doit() if name in total else part
        return Cotangents(
            MappingProxyType({carrier: total[name] for name, carrier in latents.items() if name in total}),
            MappingProxyType({symbol.name: total[symbol.name] for symbol in scalars if symbol.name in total}),
            MappingProxyType({name: total[name] for name in blocks if name in total}),
        )
