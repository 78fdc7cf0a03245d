"""The network as data: latents, what moves them, what is projected, what is read out.

    h = sum_c (columns of c) kappa_c,      a_q = (1/N) q^T phi(f),      f = sum_c (columns of c) coefficient_c

A state of neurons is the columns of its *carriers* times *latents* kappa; or it leaves their span, and the latents are
its *readings* (1/N) q^T r. Latents of either kind, and the entries of an environment, move by expressions in latents,
inputs, projections a_q and gates, which are functions of these entry by entry. A *field* is what phi acts on, always in
the span of vectors. Every network with equations of this form closes in overlaps; the stages that follow read nothing
but this value and assume no vector's name. :mod:`symlow.span` finds it from the equations of the neurons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import sympy
from sympy import ImmutableDenseMatrix, MatrixExpr, MatrixSymbol, ZeroMatrix

from symlow.equations import Equations, Vector
from symlow.errors import SpecError
from symlow.nonlinearity import Nonlinearity


@dataclass(frozen=True)
class Latent:
    """A column of latents kappa.

    Attributes:
        key: the symbol is ``kappa_<key>``.
        symbol: the latents, shape (entries, 1).
        state: name of the state that they are of.
        vector: the carrier whose coefficients they are, or the reader whose readings; empty for an environment.
        reading: whether they are readings (1/N) q^T r of the state r.
        right: what moves them, in latents, inputs, and symbols of projections, gates and constants.
        tau: time constant in units of the network's; None where ``right`` is the next value.
        initial: their value at time 0: zero, constants, or, for readings, projections of initial states.
    """

    key: str
    symbol: MatrixSymbol
    state: str
    vector: str
    reading: bool
    right: MatrixExpr
    tau: sympy.Rational | None
    initial: MatrixExpr


@dataclass(frozen=True)
class Field:
    """A column of neurons in the span of vectors, on which phi acts, or which is read as it is.

    Attributes:
        name: empty where the network has only one field.
        population: the population whose neurons have the entries.
        coefficients: by carrier, columns in latents, inputs, projections and gates.
    """

    name: str
    population: str
    coefficients: Mapping[str, MatrixExpr]


@dataclass(frozen=True)
class Projection:
    """What a vector sees: ``symbol`` = (1/N) reader^T phi(field), or (1/N) reader^T field; a sum where nothing has 1/N.

    Attributes:
        symbol: the projection, shape (columns of the reader, 1).
        reader: the vector.
        field: what is projected.
        linear: whether it is projected as it is, without phi.
    """

    symbol: MatrixSymbol
    reader: str
    field: Field
    linear: bool


@dataclass(frozen=True)
class Gate:
    """A function of columns, entry by entry: ``symbol`` = function(arguments); arguments of one entry act on all.

    Attributes:
        symbol: the gate, a column.
        function: a scalar expression in the arguments' symbols.
        arguments: each argument's symbol with the column that it stands for.
    """

    symbol: MatrixSymbol
    function: sympy.Expr
    arguments: tuple[tuple[sympy.Symbol, MatrixExpr], ...]


@dataclass(frozen=True, eq=False)
class Network:
    """A network whose equations close, in latents.

    Attributes:
        equations: the equations of its neurons.
        nonlinearity: phi, with its gain.
        dt: exact time step of forward Euler.
        tau: exact time constant.
        readout: which state the output reads, as in the specification.
        latents: the latents with their equations.
        fields: what phi acts on.
        projections: what vectors see of fields.
        gates: functions of columns, each in terms of earlier ones.
        constants: matrices of numbers, by the symbols that stand for them.
        output_right: the output, in latents, inputs, projections, gates and constants.
    """

    equations: Equations
    nonlinearity: Nonlinearity
    dt: sympy.Rational
    tau: sympy.Rational
    readout: str
    latents: tuple[Latent, ...]
    fields: tuple[Field, ...]
    projections: tuple[Projection, ...]
    gates: tuple[Gate, ...]
    constants: Mapping[MatrixSymbol, ImmutableDenseMatrix]
    output_right: MatrixExpr

    @property
    def vectors(self) -> tuple[Vector, ...]:
        """The blocks of P, in the order of its columns."""
        return self.equations.vectors

    def vector(self, name: str) -> Vector:
        """Return the vector of that name."""
        return self.equations.vector(name)

    @property
    def inputs(self) -> MatrixSymbol:
        """The input."""
        return self.equations.inputs

    @property
    def output(self) -> MatrixSymbol:
        """The output."""
        return self.equations.output

    @cached_property
    def carriers(self) -> tuple[str, ...]:
        """The vectors along which states or fields have a component, in the order of P."""
        used = {latent.vector for latent in self.latents if not latent.reading}
        used |= {vector for projection in self.projections for vector in projection.field.coefficients}
        return tuple(vector.name for vector in self.vectors if vector.name in used)

    @cached_property
    def readers(self) -> tuple[str, ...]:
        """The vectors that see the activity: what the output reads first, then what that depends on, and so on."""
        reads = {projection.symbol: projection.reader for projection in self.projections}
        reads |= {latent.symbol: latent.vector for latent in self.latents if latent.reading}
        made_of: dict[MatrixSymbol, list[MatrixExpr]] = {latent.symbol: [latent.right] for latent in self.latents}
        made_of |= {gate.symbol: [column for _, column in gate.arguments] for gate in self.gates}
        for projection in self.projections:
            made_of[projection.symbol] = list(projection.field.coefficients.values())
        order = [vector.name for vector in self.vectors]
        found: list[str] = []
        seen, level = {self.inputs}, [self.output_right]
        while level:
            symbols = [symbol for symbol in made_of if symbol not in seen and any(e.has(symbol) for e in level)]
            new = {reads[symbol] for symbol in symbols if symbol in reads} - set(found)
            found += sorted(new, key=order.index)
            seen |= set(symbols)
            level = [expression for symbol in symbols for expression in made_of[symbol]]
        rest = [name for name in order if name in reads.values() and name not in found]
        return (*found, *rest)

    @cached_property
    def read(self) -> frozenset[MatrixSymbol]:
        """The symbols that the output is made of at one time, directly or through projections and gates."""
        made_of = {gate.symbol: [column for _, column in gate.arguments] for gate in self.gates}
        made_of |= {projection.symbol: list(projection.field.coefficients.values()) for projection in self.projections}
        found: set[MatrixSymbol] = set()
        expressions = [self.output_right]
        while expressions:
            new = expressions.pop().atoms(MatrixSymbol) - found
            found |= new
            expressions += [expression for symbol in new if symbol in made_of for expression in made_of[symbol]]
        return frozenset(found)

    def check(self) -> None:
        """Raise :class:`SpecError` if the equations, which close, ask for what a time step does not compute."""
        if self.reads_after_update and self.inputs in self.read:
            raise SpecError(
                f"network.readout: found {self.readout!r} with the input in the read-out, which at that time is not "
                "yet known; accepted: 'before_update'"
            )
        if self.reads_after_update != self.gain_after_update and any(gate.symbol in self.read for gate in self.gates):
            raise SpecError(
                f"network.readout: found {self.readout!r} of gates; accepted: 'before_update', 'after_update'"
            )
        if isinstance(self.output_right, ZeroMatrix):
            raise SpecError("the read-out is zero at all times; accepted: one of states that something drives")
        active = [] if self.has_constant_gain else [p.symbol for p in self.projections if not p.linear]
        for latent in self.latents:
            if any(latent.initial.has(symbol) for symbol in (*active, *(gate.symbol for gate in self.gates))):
                raise SpecError(
                    f"the initial state of {latent.state}: found a projection of phi(...), or a function; accepted: "
                    "vectors times numbers"
                )

    @property
    def ones(self) -> tuple[str, ...]:
        """The vectors of ones, whose overlaps are means over neurons; none where vectors have mean zero."""
        return tuple(population.ones for population in self.equations.populations if population.ones is not None)

    @property
    def has_means(self) -> bool:
        """Whether vectors have means over neurons."""
        return bool(self.ones)

    @property
    def has_constant_gain(self) -> bool:
        """Whether the gain does not depend on the state."""
        return self.nonlinearity.is_linear or (not self.has_means and self.nonlinearity.has_constant_gain)

    @property
    def reads_after_update(self) -> bool:
        """Whether the output at a step sees the input of the same step."""
        return self.readout != "before_update"

    @property
    def gain_after_update(self) -> bool:
        """Whether the gain of the read-out is that of the updated state."""
        return self.readout == "after_update"


def with_names(
    equations: Equations, fields: Sequence[Field], projections: Sequence[Projection]
) -> tuple[tuple[Field, ...], tuple[Projection, ...]]:
    """Return fields and projections with names that tell the fields apart: populations where these do, else numbers."""
    order = [population.name for population in equations.populations]
    fields = sorted(fields, key=lambda known: order.index(known.population))
    places = [known.population for known in fields]
    numbers = [""] if len(places) == 1 else [str(number) for number in range(1, len(places) + 1)]
    names = places if 1 < len(set(places)) == len(places) else numbers
    named = tuple(replace(known, name=name) for known, name in zip(fields, names, strict=True))
    return named, tuple(
        projection if projection.linear else replace(projection, field=named[fields.index(projection.field)])
        for projection in projections
    )
