"""The reduction: N neurons to latents, written in overlaps, and the loss-visible set that follows from it.

A field f = sum_c (columns of c) coefficient_c, such as the state h of neurons with the latents kappa_c as coefficients,
is seen by a vector q as the projection

    a_q = (1/N) q^T phi(f) = g(Delta) sum_c Sigma_qc coefficient_c,
    Delta = sum_cd coefficient_c^T Sigma_cd coefficient_d,

with the gain g = E[phi'(sqrt(Delta) xi)], which is 1 in a linear network, for every N; in a nonlinear one these
equations hold for N -> infinity where the rows of P are jointly Gaussian (Stein's lemma; math.md, section 1; Ger &
Barak 2026). Where P has a column of ones, vectors have means, Sigma_q1, and

    a_q = g(mu, Delta) (sum_c Sigma_qc coefficient_c - mu Sigma_q1) + phibar(mu, Delta) Sigma_q1,
    mu = sum_c Sigma_1c coefficient_c,      Delta = sum_cd coefficient_c^T Sigma_cd coefficient_d - mu^2

(math.md, section 5). Each population has a Gram matrix and statistics of its own. As all overlaps are divided by N,
the number of all neurons, means and covariances over the alpha N neurons of a population are overlaps divided by alpha:
mu and the sum of Delta then have the factor 1/alpha.

Latents step by forward Euler, kappa[t+1] = kappa[t] + (dt/tau) right(kappa[t], x[t], a[t], ...), or to their next
value.

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

from symlow.equations import entry_names
from symlow.expressions import linear_coefficients, summands
from symlow.network import Field, Gate, Latent, Network, Projection
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
        where: the scalar equation that contains it: ``kappa_u1`` (its next value), ``Delta`` or ``y1``; empty if
            invisible.
        derivative: the nonzero derivative of that equation with respect to the overlap; zero if invisible.
        path: the way of its influence to the output, such as ``("Delta", "kappa_u", "y")``; empty if invisible.
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
        A: blocks by the keys of the latents (to, from), those that are not zero.
        B: blocks by the keys of the latents.
        C: blocks by the keys of the latents.
    """

    A: Mapping[tuple[str, str], MatrixExpr]
    B: Mapping[str, MatrixExpr]
    C: Mapping[str, MatrixExpr]


@dataclass(frozen=True)
class Statistics:
    """What the gain of a field depends on, and the gain.

    Attributes:
        field: the field.
        definitions: mean (where vectors have means) and variance over neurons, 1 x 1 expressions.
        gain: the function g of them.
        activity: the function phibar of them, where vectors have means.
    """

    field: Field
    definitions: Mapping[sympy.Symbol, MatrixExpr]
    gain: sympy.Expr
    activity: sympy.Expr | None

    @property
    def gains(self) -> tuple[sympy.Expr, ...]:
        """The functions of the statistics that the dynamics contains."""
        return (self.gain,) if self.activity is None else (self.gain, self.activity)


@dataclass(frozen=True)
class Column:
    """A column that is computed before what uses it: a projection or sum (``function`` None), or a gate.

    Attributes:
        symbol: the column.
        right: a matrix expression; for a gate None.
        function: for a gate, a scalar expression in ``arguments``, entry by entry.
        arguments: for a gate, each argument's symbol with the column that it stands for, a plain symbol.
    """

    symbol: MatrixSymbol
    right: MatrixExpr | None
    function: sympy.Expr | None = None
    arguments: tuple[tuple[sympy.Symbol, MatrixSymbol], ...] = ()


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
        """Matrix symbols kappa_c, shape (entries, 1), by key."""
        return MappingProxyType({latent.key: latent.symbol for latent in self.network.latents})

    # What a time step computes from latents, in order -------------------------------------------------------------

    @cached_property
    def statistics_of(self) -> tuple[Statistics, ...]:
        """The statistics and gains of each field whose gain depends on them."""
        if self.network.has_constant_gain:
            return ()
        return tuple(self._statistics_of(field) for field in self.network.fields if self._gain_changes(field))

    def _gain_changes(self, field: Field) -> bool:
        return not self.network.nonlinearity.has_constant_gain or self._ones(field) is not None

    def _ones(self, field: Field) -> str | None:
        return self.network.equations.population(field.population).ones

    def _statistics_of(self, field: Field) -> Statistics:
        ones, weight = self._ones(field), self.network.equations.population(field.population).weight
        mu, delta = (of_field(symbol, field) for symbol in (MU, DELTA))
        parts = list(field.coefficients.items())
        second_moment = [
            (1 if k == j else 2) / weight * left.T * self.index.block(a, b) * right
            for k, (a, left) in enumerate(parts)
            for j, (b, right) in enumerate(parts[k:], k)
        ]
        if ones is None:
            return Statistics(field, MappingProxyType({delta: _total(second_moment)}), GAIN(delta), None)
        means = [1 / weight * self.index.block(ones, vector) * column for vector, column in parts]
        both = {mu: _total(means), delta: _total([*second_moment, -(mu**2) * Identity(1)])}
        return Statistics(field, MappingProxyType(both), GAIN(mu, delta), ACTIVITY(mu, delta))

    @cached_property
    def statistics(self) -> Mapping[sympy.Symbol, MatrixExpr]:
        """Mean (where vectors have means) and variance of each field over neurons, which its gain depends on.

        1 x 1 expressions in overlaps, latents and other columns; none where the gain is constant.
        """
        return MappingProxyType({s: e for one in self.statistics_of for s, e in one.definitions.items()})

    @cached_property
    def gains(self) -> tuple[sympy.Expr, ...]:
        """The functions of the statistics that the dynamics contains: g, and phibar where vectors have means."""
        return tuple(gain for one in self.statistics_of for gain in one.gains)

    @cached_property
    def projections(self) -> Mapping[str, MatrixExpr]:
        """Each projection in overlaps and the coefficients of its field, by the name of its symbol."""
        return MappingProxyType({p.symbol.name: self._project(p) for p in self.network.projections})

    def _project(self, projection: Projection) -> MatrixExpr:
        network, field, reader = self.network, projection.field, projection.reader
        terms = [self.index.block(reader, vector) * column for vector, column in field.coefficients.items()]
        if projection.linear:  # a linear projection does not see how the field is distributed
            return _total(terms)
        found = next((one for one in self.statistics_of if one.field == field), None)
        if found is None:
            return _total([network.nonlinearity.gain * term for term in terms])
        terms = [found.gain * term for term in terms]
        if found.activity is not None:
            mu = next(iter(found.definitions))
            terms.append((found.activity - found.gain * mu) * self.index.block(reader, self._ones(field) or ""))
        return _total(terms)

    @cached_property
    def nodes(self) -> tuple[Statistics | Column, ...]:
        """What is computed from the latents before they step, in order: statistics with gains, and columns.

        Columns are gates, and what gates and fields are made of. A projection that only enters linearly is not among
        them: it is written out where it stands.
        """
        found: dict[str, Statistics | Column] = {}
        gates = {gate.symbol: gate for gate in self.network.gates}
        projections = {projection.symbol: projection for projection in self.network.projections}
        of_field = {one.field.name: one for one in self.statistics_of}

        def need(expression: MatrixExpr) -> None:
            for symbol in sorted(expression.atoms(MatrixSymbol), key=lambda symbol: str(symbol.name)):
                if symbol in gates and symbol.name not in found:
                    need_gate(gates[symbol])
                elif symbol in projections and symbol.name not in found:
                    projection = projections[symbol]
                    need_field(projection.field, not projection.linear)
                    found[symbol.name] = Column(symbol, self.projections[symbol.name])

        def need_field(field: Field, gain: bool) -> None:
            for column in field.coefficients.values():
                need(column)
            if gain and field.name in of_field:
                found.setdefault(f"gain {field.name}", of_field[field.name])

        def need_gate(gate: Gate) -> None:
            arguments = []
            for number, (variable, column) in enumerate(gate.arguments, 1):
                need(column)
                if not isinstance(column, MatrixSymbol) or column in self.network.constants:
                    column = MatrixSymbol(f"{gate.symbol.name}_{number}", *column.shape)
                    found[column.name] = Column(column, gate.arguments[number - 1][1])
                arguments.append((variable, column))
            found[gate.symbol.name] = Column(gate.symbol, None, gate.function, tuple(arguments))

        for field in self.network.fields:
            need_field(field, True)
        for gate in self.network.gates:
            if gate.symbol.name not in found:
                need_gate(gate)
        return tuple(found.values())

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """The columns among the nodes, by name."""
        return MappingProxyType({node.symbol.name: node for node in self.nodes if isinstance(node, Column)})

    def _written_out(self, expression: MatrixExpr, columns: Iterable[str]) -> MatrixExpr:
        columns, written = tuple(columns), expression
        for projection in reversed(self.network.projections):  # later ones may contain earlier ones
            if projection.symbol.name not in columns and written.has(projection.symbol):
                written = written.subs(projection.symbol, self.projections[projection.symbol.name])
        # Terms may cancel, as h and 2 phi(h) do at the gain 1/2, and take what they contain with them.
        expanded = written if written == expression else written.expand().doit()
        return expanded if expanded.atoms(MatrixSymbol) != written.atoms(MatrixSymbol) else written

    # The time step ------------------------------------------------------------------------------------------------

    @cached_property
    def step(self) -> Mapping[str, MatrixExpr]:
        """The next value of each latent, by the latent's name."""
        return MappingProxyType({latent.symbol.name: self._next(latent) for latent in self.network.latents})

    def _next(self, latent: Latent) -> MatrixExpr:
        right = self._written_out(latent.right, self.columns)
        return right if latent.tau is None else latent.symbol + (DT / (latent.tau * TAU)) * right

    @cached_property
    def initial(self) -> Mapping[str, MatrixExpr]:
        """The latents at time 0 that are not zero, by name."""
        starts = {latent.symbol.name: self._written_out(latent.initial, ()) for latent in self.network.latents}
        return MappingProxyType({name: start for name, start in starts.items() if not isinstance(start, ZeroMatrix)})

    @cached_property
    def output(self) -> MatrixExpr:
        """The read-out in overlaps and latents."""
        return self._written_out(self.network.output_right, self.columns)

    # What the output depends on -----------------------------------------------------------------------------------

    @cached_property
    def equations(self) -> Mapping[str, MatrixExpr]:
        """The equations on which the output depends, by the name of what they give, but for those of gates."""
        return MappingProxyType({name: self._every[name] for name in self._every if name in self.paths})

    @cached_property
    def _every(self) -> Mapping[str, MatrixExpr]:
        columns = {name: column.right for name, column in self.columns.items() if column.right is not None}
        statistics = {symbol.name: expression for symbol, expression in self.statistics.items()}
        return MappingProxyType({**self.step, self.network.output.name: self.output, **columns, **statistics})

    def uses(self, name: str, symbol: sympy.Basic) -> bool:
        """Whether the equation of that name contains a symbol."""
        if name in self._every and self._every[name].has(symbol):
            return True
        column = self.columns.get(name)
        return column is not None and any(argument == symbol for _, argument in column.arguments)

    @cached_property
    def paths(self) -> Mapping[str, tuple[str, ...]]:
        """The shortest way to the output from each equation that reaches it, breadth first."""
        output = self.network.output.name
        sources: list[tuple[str, sympy.Basic]] = [
            *((latent.name, latent) for latent in self.latents.values()),
            *((name, column.symbol) for name, column in self.columns.items()),
            *((symbol.name, symbol) for symbol in self.statistics),
        ]
        paths: dict[str, tuple[str, ...]] = {output: (output,)}
        frontier = [output]
        while frontier:
            name = frontier.pop(0)
            for source, symbol in sources:
                if source not in paths and self.uses(name, symbol):
                    paths[source] = (source, *paths[name])
                    frontier.append(source)
        return MappingProxyType(paths)

    @cached_property
    def visibility(self) -> Mapping[str, Visibility]:
        """Why each overlap is visible or invisible, by name, in canonical order.

        Derived: the output depends on the equation of a latent, statistic or column if its own equation contains it,
        directly or through others; an overlap is visible if an equation on which the output depends contains it.
        """
        overlaps = {overlap.symbol: overlap for overlap in self.index.all}
        found: dict[sympy.Symbol, Visibility] = {}
        starts = {f"{name}[0]": (name, start) for name, start in self.initial.items() if name in self.paths}
        equations = {name: (name, expression) for name, expression in self.equations.items()}
        for label, (name, expression) in {**equations, **starts}.items():
            for row, scalar in enumerate(self.explicit(expression)):
                where = label if expression.shape[0] == 1 else f"{label}{row + 1}"
                for symbol, derivative in _derivatives(scalar, overlaps).items():
                    if derivative != 0 and symbol not in found:
                        found[symbol] = Visibility(overlaps[symbol], True, where, derivative, self.paths[name])
        hidden = sympy.Integer(0)
        return MappingProxyType(
            {
                overlap.name: found.get(overlap.symbol, Visibility(overlap, False, "", hidden, ()))
                for overlap in self.index.all
            }
        )

    @cached_property
    def sees_overlaps(self) -> bool:
        """Whether the output depends on any overlap."""
        blocks = tuple(self.index.blocks.values())
        starts = (start for name, start in self.initial.items() if name in self.paths)
        return any(term.has(*blocks) for e in (*self.equations.values(), *starts) for term in summands(e))

    @cached_property
    def visible(self) -> tuple[Overlap, ...]:
        """The loss-visible overlaps, in canonical order."""
        return tuple(item.overlap for item in self.visibility.values() if item.visible)

    @cached_property
    def invisible(self) -> tuple[Overlap, ...]:
        """The loss-invisible overlaps, in canonical order."""
        return tuple(item.overlap for item in self.visibility.values() if not item.visible)

    def explicit(self, expression: MatrixExpr) -> sympy.ImmutableDenseMatrix:
        """Return a matrix expression entry by entry, in scalar overlaps, latents, inputs and other columns."""
        values: dict[MatrixExpr, MatrixExpr] = dict(self.network.constants)
        values |= {symbol: self.index.explicit(*pair) for pair, symbol in self.index.blocks.items()}
        columns = (column.symbol for column in self.columns.values())
        for column in (*self.latents.values(), self.network.inputs, *columns):
            values[column] = explicit_column(column)
        replaced = expression.subs({symbol: values[symbol] for symbol in values if expression.has(symbol)})
        return sympy.ImmutableDenseMatrix(replaced.doit().as_explicit())

    @cached_property
    def state_space(self) -> StateSpace:
        """The matrices of the linear reduced dynamics, in blocks.

        Raises:
            ValueError: if the reduced dynamics is not linear in latents and inputs, or does not start at zero.
        """
        if self.statistics:
            raise ValueError("its gain depends on the state")
        if self.columns:
            raise ValueError("it has gates")
        if self.initial:
            raise ValueError(f"it does not start at zero: {', '.join(self.initial)}")
        inputs = self.network.inputs
        key_of = {latent.name: key for key, latent in self.latents.items()}
        A: dict[tuple[str, str], MatrixExpr] = {}
        B: dict[str, MatrixExpr] = {}
        for to, expression in self.step.items():
            coefficients, rest = linear_coefficients(expression, [*self.latents.values(), inputs])
            if not isinstance(rest, ZeroMatrix):
                raise ValueError(f"the step of {to} has the constant term {rest}")
            for source, coefficient in coefficients.items():
                if source == inputs.name:
                    B[key_of[to]] = coefficient
                else:
                    A[key_of[to], key_of[source]] = coefficient
        C, rest = linear_coefficients(self.output, [*self.latents.values(), inputs])
        if not isinstance(rest, ZeroMatrix) or inputs.name in C:
            raise ValueError("the read-out has a constant term or the input itself")
        return StateSpace(
            MappingProxyType(A),
            MappingProxyType(B),
            MappingProxyType({key_of[source]: coefficient for source, coefficient in C.items()}),
        )


def of_field(symbol: sympy.Symbol, field: Field) -> sympy.Symbol:
    """Return the symbol of a statistic of a field: Delta, or Delta_e where fields have names."""
    return symbol if not field.name else sympy.Symbol(f"{symbol.name}_{field.name}", **symbol.assumptions0)


def _derivatives(scalar: sympy.Expr, symbols: Iterable[sympy.Symbol]) -> dict[sympy.Symbol, sympy.Expr]:
    """Return the derivatives with respect to the symbols that an expression contains.

    Each term is differentiated by its own symbols only: differentiating the whole sum by each of them takes a time
    that grows with the square of its length.
    """
    wanted = set(symbols)
    total: dict[sympy.Symbol, sympy.Expr] = {}
    for term in sympy.Add.make_args(sympy.expand(scalar)):
        for symbol in sorted(term.free_symbols & wanted, key=str):
            total[symbol] = total.get(symbol, sympy.Integer(0)) + sympy.diff(term, symbol)
    return total


def _total(terms: list[MatrixExpr]) -> MatrixExpr:
    return sum(terms[1:], terms[0])


def explicit_column(column: MatrixSymbol) -> sympy.ImmutableDenseMatrix:
    """Return a column of scalar symbols: ``kappa_u1, kappa_u2, ...``, without a number if there is one row."""
    return sympy.ImmutableDenseMatrix([sympy.Symbol(name) for name in entry_names(column)])
