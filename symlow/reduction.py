"""The reduction: N neurons to latents, written in overlaps, and the loss-visible set that follows from it.

From h(0) = 0 the state stays in the span of the carriers, h = sum_c (columns of c) kappa_c, and forward Euler gives

    kappa_c[t+1] = kappa_c[t] + (dt/tau) (-kappa_c[t] + drive_c(x[t], a[t])),
    a_q[t] = g sum_c Sigma_qc kappa_c[t],       y = g sum_c Sigma_zc kappa_c,

with the gain g = 1 in a linear network (math.md, section 1; Ger & Barak 2026). An overlap is *loss-visible* when the
output depends on it through these equations, and *loss-invisible* when its symbol is in none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import sympy
from sympy import MatrixExpr, MatrixSymbol, ZeroMatrix

from symlow.expressions import linear_coefficients
from symlow.network import Network
from symlow.overlaps import Overlap, OverlapIndex

DT = sympy.Symbol("dt", positive=True)
TAU = sympy.Symbol("tau", positive=True)


@dataclass(frozen=True)
class Visibility:
    """Why an overlap is visible or invisible.

    Attributes:
        overlap: the overlap.
        visible: whether the output, and so the loss, depends on it.
        where: the scalar equation that contains it, ``kappa_u1`` (its next value) or ``y1``; empty if invisible.
        derivative: the nonzero derivative of that equation with respect to the overlap; zero if invisible.
        path: the way of its influence to the output, such as ``("kappa_u", "y")``; empty if invisible.
    """

    overlap: Overlap
    visible: bool
    where: str
    derivative: sympy.Expr
    path: tuple[str, ...]


@dataclass(frozen=True)
class StateSpace:
    """The linear reduced dynamics kappa[t+1] = A kappa[t] + B x[t], y = C kappa, in blocks.

    Attributes:
        A: blocks by the carriers of the latents (to, from), those that are not zero.
        B: blocks by carrier.
        C: blocks by carrier.
    """

    A: Mapping[tuple[str, str], MatrixExpr]
    B: Mapping[str, MatrixExpr]
    C: Mapping[str, MatrixExpr]


class Reduction:
    """The reduced model of a network.

    Attributes:
        network: what was reduced.
        index: the overlaps in canonical order.
        latents: matrix symbols kappa_c, shape (columns, 1), by carrier.
        projections: the projections a_q in overlaps and latents, by symbol name.
        step: the next value of each latent, by latent name, in overlaps, latents and inputs.
        output: the read-out in overlaps and latents.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.index = OverlapIndex(network)
        self.latents: Mapping[str, MatrixSymbol] = MappingProxyType(
            {
                carrier.vector: MatrixSymbol(f"kappa_{carrier.vector}", network.vector(carrier.vector).columns, 1)
                for carrier in network.carriers
            }
        )
        self.projections: Mapping[str, MatrixExpr] = MappingProxyType(
            {projection.symbol.name: self._project(projection.reader) for projection in network.projections}
        )
        self.step: Mapping[str, MatrixExpr] = MappingProxyType(
            {
                self.latents[carrier.vector].name: self._next(self.latents[carrier.vector], carrier.drive)
                for carrier in network.carriers
            }
        )
        self.output = self._project(network.output.reader)

    def _project(self, reader: str) -> MatrixExpr:
        gain = self.network.nonlinearity.gain
        terms = [gain * self.index.block(reader, carrier) * latent for carrier, latent in self.latents.items()]
        return sum(terms[1:], terms[0])

    def _next(self, latent: MatrixSymbol, drive: MatrixExpr) -> MatrixExpr:
        for projection in self.network.projections:
            drive = drive.subs(projection.symbol, self.projections[projection.symbol.name])
        return latent + (DT / TAU) * (drive - latent)

    @property
    def equations(self) -> Mapping[str, MatrixExpr]:
        """The step map and the read-out together, by the name of what they give."""
        return {**self.step, self.network.output.symbol.name: self.output}

    @cached_property
    def visibility(self) -> Mapping[str, Visibility]:
        """Why each overlap is visible or invisible, by name, in canonical order.

        Derived: an equation reaches the output if the output's equation contains its latent, directly or through
        other latents; an overlap is visible if an equation that reaches the output contains its symbol.
        """
        paths = self._paths_to_output()
        overlaps = {overlap.symbol: overlap for overlap in self.index.all}
        found: dict[sympy.Symbol, Visibility] = {}
        for name, expression in self.equations.items():
            if name not in paths:
                continue
            for row, scalar in enumerate(self.explicit(expression)):
                label = name if expression.shape[0] == 1 else f"{name}{row + 1}"
                for symbol, derivative in _derivatives(scalar, overlaps).items():
                    if derivative != 0 and symbol not in found:
                        found[symbol] = Visibility(overlaps[symbol], True, label, derivative, paths[name])
        hidden = sympy.Integer(0)
        return MappingProxyType(
            {
                overlap.name: found.get(overlap.symbol, Visibility(overlap, False, "", hidden, ()))
                for overlap in self.index.all
            }
        )

    @cached_property
    def visible(self) -> tuple[Overlap, ...]:
        """The loss-visible overlaps, in canonical order."""
        return tuple(item.overlap for item in self.visibility.values() if item.visible)

    @cached_property
    def invisible(self) -> tuple[Overlap, ...]:
        """The loss-invisible overlaps, in canonical order."""
        return tuple(item.overlap for item in self.visibility.values() if not item.visible)

    def explicit(self, expression: MatrixExpr) -> sympy.ImmutableDenseMatrix:
        """Return a matrix expression entry by entry, in scalar overlaps, latents and inputs."""
        values = {symbol: self.index.explicit(*pair) for pair, symbol in self.index.block_symbols().items()}
        for column in (*self.latents.values(), self.network.inputs):
            values[column] = explicit_column(column)
        replaced = expression.subs({symbol: values[symbol] for symbol in values if expression.has(symbol)})
        return sympy.ImmutableDenseMatrix(replaced.doit().as_explicit())

    @cached_property
    def state_space(self) -> StateSpace:
        """The matrices of the linear reduced dynamics, in blocks.

        Raises:
            ValueError: if the reduced dynamics is not linear in latents and inputs.
        """
        inputs = self.network.inputs
        carrier_of = {latent.name: carrier for carrier, latent in self.latents.items()}
        A: dict[tuple[str, str], MatrixExpr] = {}
        B: dict[str, MatrixExpr] = {}
        for to, expression in self.step.items():
            coefficients, rest = linear_coefficients(expression, [*self.latents.values(), inputs])
            if not isinstance(rest, ZeroMatrix):
                raise ValueError(f"the step of {to} has the constant term {rest}")
            for source, coefficient in coefficients.items():
                if source == inputs.name:
                    B[carrier_of[to]] = coefficient
                else:
                    A[carrier_of[to], carrier_of[source]] = coefficient
        C, _ = linear_coefficients(self.output, list(self.latents.values()))
        return StateSpace(
            MappingProxyType(A),
            MappingProxyType(B),
            MappingProxyType({carrier_of[source]: coefficient for source, coefficient in C.items()}),
        )

    def _paths_to_output(self) -> dict[str, tuple[str, ...]]:
        """Return the shortest way to the output from each equation that reaches it, breadth first."""
        output = self.network.output.symbol.name
        paths: dict[str, tuple[str, ...]] = {output: (output,)}
        frontier = [output]
        while frontier:
            name = frontier.pop(0)
            for latent in self.latents.values():
                if latent.name not in paths and self.equations[name].has(latent):
                    paths[latent.name] = (latent.name, *paths[name])
                    frontier.append(latent.name)
        return paths


def _derivatives(scalar: sympy.Expr, symbols: Iterable[sympy.Symbol]) -> dict[sympy.Symbol, sympy.Expr]:
    """Return the derivatives with respect to the symbols that an expression contains, term by term.

    Each term is differentiated by its own symbols only: differentiating the whole sum by each of them takes a time
    that grows with the square of its length.
    """
    wanted = set(symbols)
    total: dict[sympy.Symbol, sympy.Expr] = {}
    for term in sympy.Add.make_args(sympy.expand(scalar)):
        for symbol in sorted(term.free_symbols & wanted, key=str):
            total[symbol] = total.get(symbol, sympy.Integer(0)) + sympy.diff(term, symbol)
    return total


def explicit_column(column: MatrixSymbol) -> sympy.ImmutableDenseMatrix:
    """Return a column of scalar symbols: ``kappa_u1, kappa_u2, ...``, without a number if there is one row."""
    rows = column.shape[0]
    names = [column.name if rows == 1 else f"{column.name}{k}" for k in range(1, rows + 1)]
    return sympy.ImmutableDenseMatrix([sympy.Symbol(name) for name in names])
