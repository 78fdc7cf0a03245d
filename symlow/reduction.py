"""The reduction: N neurons to latents, written in overlaps, and the loss-visible set that follows from it.

From h(0) = 0 the state stays in the span of the carriers, h = sum_c (columns of c) kappa_c, and forward Euler gives

    kappa_c[t+1] = kappa_c[t] + (dt/tau) (-kappa_c[t] + drive_c(x[t], a[t])),
    a_q[t] = g(Delta) sum_c Sigma_qc kappa_c[t],      Delta = sum_cd kappa_c^T Sigma_cd kappa_d,      y likewise,

with the gain g = E[phi'(sqrt(Delta) xi)], which is 1 in a linear network, for every N; in a nonlinear one these
equations hold for N -> infinity where the rows of P are jointly Gaussian (Stein's lemma; math.md, section 1; Ger &
Barak 2026). Where P has a column of ones, vectors have means, Sigma_q1, and

    a_q = g(mu, Delta) (sum_c Sigma_qc kappa_c - mu Sigma_q1) + phibar(mu, Delta) Sigma_q1,
    mu = sum_c Sigma_1c kappa_c,      Delta = sum_cd kappa_c^T Sigma_cd kappa_d - mu^2      (math.md, section 5).

An overlap is *loss-visible* when the output depends on it through these equations, and *loss-invisible* when its symbol
is in none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import sympy
from sympy import Identity, MatrixExpr, MatrixSymbol, ZeroMatrix

from symlow.expressions import linear_coefficients
from symlow.network import Network
from symlow.nonlinearity import DELTA, MU
from symlow.overlaps import Overlap, OverlapIndex

DT = sympy.Symbol("dt", positive=True)
TAU = sympy.Symbol("tau", positive=True)
GAIN = sympy.Function("g")
"""The mean slope E[phi'], of (Delta), or of (mu, Delta) where vectors have means."""
ACTIVITY = sympy.Function("phibar")
"""The mean activity E[phi], of (mu, Delta)."""


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


@dataclass(frozen=True, eq=False)
class Reduction:
    """The reduced model of a network.

    Attributes:
        network: what was reduced.
    """

    network: Network

    @cached_property
    def index(self) -> OverlapIndex:
        """The overlaps in canonical order."""
        return OverlapIndex(self.network)

    @cached_property
    def latents(self) -> Mapping[str, MatrixSymbol]:
        """Matrix symbols kappa_c, shape (columns, 1), by carrier."""
        sizes = {vector.name: vector.columns for vector in self.network.vectors}
        carriers = [carrier.vector for carrier in self.network.carriers]
        return MappingProxyType({name: MatrixSymbol(f"kappa_{name}", sizes[name], 1) for name in carriers})

    @cached_property
    def projections(self) -> Mapping[str, MatrixExpr]:
        """The projections a_q in overlaps and latents, by symbol name."""
        return MappingProxyType({q.symbol.name: self._project(q.reader) for q in self.network.projections})

    @cached_property
    def step(self) -> Mapping[str, MatrixExpr]:
        """The next value of each latent, by latent name, in overlaps, latents and inputs."""
        latents = [(self.latents[carrier.vector], carrier.drive) for carrier in self.network.carriers]
        return MappingProxyType({latent.name: self._next(latent, drive) for latent, drive in latents})

    @cached_property
    def output(self) -> MatrixExpr:
        """The read-out in overlaps and latents."""
        return self._project(self.network.output.reader)

    @cached_property
    def statistics(self) -> Mapping[sympy.Symbol, MatrixExpr]:
        """Mean (where vectors have means) and variance of the state over neurons, which the gain depends on.

        1 x 1 expressions in overlaps and latents; none where the gain is constant.
        """
        network = self.network
        if network.has_constant_gain:
            return MappingProxyType({})
        latents = list(self.latents.items())
        second_moment = [
            (1 if k == j else 2) * left.T * self.index.block(a, b) * right
            for k, (a, left) in enumerate(latents)
            for j, (b, right) in enumerate(latents[k:], k)
        ]
        if network.ones is None:
            return MappingProxyType({DELTA: _total(second_moment)})
        means = [self.index.block(network.ones, carrier) * latent for carrier, latent in latents]
        return MappingProxyType({MU: _total(means), DELTA: _total([*second_moment, -(MU**2) * Identity(1)])})

    @cached_property
    def gain(self) -> sympy.Expr:
        """The gain of the projections: a number where it is constant, else ``g`` of the statistics."""
        if self.statistics:
            return GAIN(*self.statistics)
        return self.network.nonlinearity.gain

    @cached_property
    def gains(self) -> tuple[sympy.Expr, ...]:
        """The functions of the statistics that the dynamics contains: g, and phibar where vectors have means."""
        if not self.statistics:
            return ()
        return (self.gain,) if self.network.ones is None else (self.gain, ACTIVITY(*self.statistics))

    def _project(self, reader: str) -> MatrixExpr:
        network = self.network
        terms = [self.index.block(reader, carrier) * latent for carrier, latent in self.latents.items()]
        if network.nonlinearity.is_linear:  # a linear projection does not see how the state is distributed
            return _total(terms)
        terms = [self.gain * term for term in terms]
        if network.ones is not None:
            terms.append((self.gains[1] - self.gain * MU) * self.index.block(reader, network.ones))
        return _total(terms)

    def _next(self, latent: MatrixSymbol, drive: MatrixExpr) -> MatrixExpr:
        for projection in self.network.projections:
            drive = drive.subs(projection.symbol, self.projections[projection.symbol.name])
        return latent + (DT / TAU) * (drive - latent)

    @cached_property
    def equations(self) -> Mapping[str, MatrixExpr]:
        """The step maps and the read-out on which the output depends, by the name of what they give."""
        every = {**self.step, self.network.output.symbol.name: self.output}
        return MappingProxyType({name: every[name] for name in every if name in self.paths})

    @cached_property
    def paths(self) -> Mapping[str, tuple[str, ...]]:
        """The shortest way to the output from each equation that reaches it, breadth first."""
        output = self.network.output.symbol.name
        every = {**self.step, output: self.output}
        paths: dict[str, tuple[str, ...]] = {output: (output,)}
        frontier = [output]
        while frontier:
            name = frontier.pop(0)
            for latent in self.latents.values():
                if latent.name not in paths and every[name].has(latent):
                    paths[latent.name] = (latent.name, *paths[name])
                    frontier.append(latent.name)
        return MappingProxyType(paths)

    @cached_property
    def visibility(self) -> Mapping[str, Visibility]:
        """Why each overlap is visible or invisible, by name, in canonical order.

        Derived: the output depends on the equation of a latent if its own equation contains the latent, directly or
        through other latents; an overlap is visible if an equation on which the output depends contains its symbol.
        """
        overlaps = {overlap.symbol: overlap for overlap in self.index.all}
        statistics: dict[sympy.Symbol, sympy.Expr] = {}
        for symbol, expression in self.statistics.items():
            statistics[symbol] = self.explicit(expression)[0].subs(statistics)
        found: dict[sympy.Symbol, Visibility] = {}
        for name, expression in self.equations.items():
            for row, scalar in enumerate(self.explicit(expression)):
                label = name if expression.shape[0] == 1 else f"{name}{row + 1}"
                for symbol, derivative in _derivatives(scalar, overlaps, statistics).items():
                    if derivative != 0 and symbol not in found:
                        found[symbol] = Visibility(overlaps[symbol], True, label, derivative, self.paths[name])
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
        values = {symbol: self.index.explicit(*pair) for pair, symbol in self.index.blocks.items()}
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
        if self.statistics:
            raise ValueError("its gain depends on the state")
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
        C, rest = linear_coefficients(self.output, list(self.latents.values()))
        if not isinstance(rest, ZeroMatrix):
            raise ValueError(f"the read-out has the constant term {rest}")
        return StateSpace(
            MappingProxyType(A),
            MappingProxyType(B),
            MappingProxyType({carrier_of[source]: coefficient for source, coefficient in C.items()}),
        )


def _derivatives(
    scalar: sympy.Expr, symbols: Iterable[sympy.Symbol], statistics: Mapping[sympy.Symbol, sympy.Expr]
) -> dict[sympy.Symbol, sympy.Expr]:
    """Return the derivatives with respect to the symbols that an expression contains, directly or in its statistics.

    Each term is differentiated by its own symbols only: differentiating the whole sum by each of them takes a time
    that grows with the square of its length. A constant factor of the whole, such as the overlap's own latent, is
    pulled out of what comes through a statistic.
    """
    wanted = set(symbols)
    total: dict[sympy.Symbol, sympy.Expr] = {}
    for term in sympy.Add.make_args(sympy.expand(scalar)):
        for symbol in sorted(term.free_symbols & wanted, key=str):
            total[symbol] = total.get(symbol, sympy.Integer(0)) + sympy.diff(term, symbol)
    for statistic, definition in statistics.items():
        through = sympy.factor_terms(sympy.diff(scalar, statistic)) if scalar.has(statistic) else sympy.Integer(0)
        if through != 0:
            for symbol, derivative in _derivatives(definition, wanted, {}).items():
                total[symbol] = total.get(symbol, sympy.Integer(0)) + derivative * through
    return total


def _total(terms: list[MatrixExpr]) -> MatrixExpr:
    return sum(terms[1:], terms[0])


def explicit_column(column: MatrixSymbol) -> sympy.ImmutableDenseMatrix:
    """Return a column of scalar symbols: ``kappa_u1, kappa_u2, ...``, without a number if there is one row."""
    rows = column.shape[0]
    names = [column.name if rows == 1 else f"{column.name}{k}" for k in range(1, rows + 1)]
    return sympy.ImmutableDenseMatrix([sympy.Symbol(name) for name in names])
