"""The network as data: which vectors there are, which carry the state, what drives them, what is read out.

    tau dh/dt = -h + sum_c (columns of carrier c) drive_c,      a_q = (1/N) q^T phi(h),      y = (1/N) z^T phi(h)

Each drive is an expression in the inputs and the projections a_q. Every architecture whose state equation has this
form closes in overlaps; the stages that follow read nothing but this value and assume no vector's name.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass

import sympy
from sympy import Identity, MatrixExpr, MatrixSymbol

from symlow.errors import SpecError, listing, nearest
from symlow.expressions import exact
from symlow.nonlinearity import Nonlinearity, nonlinearity
from symlow.spec import Spec

ONES = "one"
"""Name of the vector of ones."""

RESERVED = ("np", "len", "blocks", "block", "name", "value", "columns", "neurons", "enumerate", "P")
"""Names that generated code uses where vectors are arguments."""

MOST_COLUMNS = 400
"""The most columns of P for which overlaps are named one by one: 80200 of them, which take about a minute."""


@dataclass(frozen=True)
class Vector:
    """A block of columns of P, each column with one entry for every neuron.

    Attributes:
        name: letters, as in overlap names.
        columns: how many vectors of length N the block holds.
        rate: learning rate relative to the others', exact and not negative; 0 where frozen.
        role: what it does, in words.
    """

    name: str
    columns: int
    rate: sympy.Rational
    role: str

    @property
    def trainable(self) -> bool:
        """Whether learning moves it."""
        return self.rate != 0


@dataclass(frozen=True)
class Carrier:
    """A vector along whose columns the state moves: its latent kappa obeys tau dkappa/dt = -kappa + drive.

    The drive is a sum of inputs and projections, each with a number in front, and of the constant Identity(1).
    """

    vector: str
    drive: MatrixExpr

    @property
    def is_constant(self) -> bool:
        """Whether the drive is 1, so that the vector is a bias."""
        return isinstance(self.drive, Identity)


@dataclass(frozen=True)
class Projection:
    """The activity seen by a vector: ``symbol`` = (1/N) reader^T phi(h)."""

    symbol: MatrixSymbol
    reader: str


@dataclass(frozen=True)
class Network:
    """A low-rank network in the form of this module's equation.

    Attributes:
        vectors: the blocks of P, in the order of its columns.
        inputs: the symbol x of the input, shape (n_inputs, 1).
        carriers: the vectors that carry the state, with their drives.
        projections: the projections that drives contain.
        output: the read-out, a projection too.
        nonlinearity: phi, with its gain.
        dt: exact time step of forward Euler.
        tau: exact time constant.
        readout: which state the output reads, as in the specification.
        ones: the vector whose one, frozen column is all ones, so that its overlaps are means over neurons; None where
            all vectors have mean zero.
    """

    vectors: tuple[Vector, ...]
    inputs: MatrixSymbol
    carriers: tuple[Carrier, ...]
    projections: tuple[Projection, ...]
    output: Projection
    nonlinearity: Nonlinearity
    dt: sympy.Rational
    tau: sympy.Rational
    readout: str
    ones: str | None = None

    def __post_init__(self) -> None:
        """Check names, which overlaps, LaTeX and generated code are built from, numbers, and that all fits together.

        Raises:
            SpecError: for a name that is not of letters only, means something in Python, or differs from another one by
                upper and lower case only; for more than ``MOST_COLUMNS`` columns; for carriers, projections or ones
                that do not fit the vectors.
        """
        self._check_names()
        self._check_parts()

    def _check_names(self) -> None:
        p = sum(vector.columns for vector in self.vectors)
        if p > MOST_COLUMNS:
            raise SpecError(
                f"the network has {p} columns of P, so {p * (p + 1) // 2} overlaps; accepted: at most {MOST_COLUMNS} "
                "columns; lower network.rank, network.inputs or network.outputs"
            )
        names = [vector.name for vector in self.vectors]
        for name in names:
            if not re.fullmatch("[A-Za-z]+", name) or keyword.iskeyword(name) or name in RESERVED:
                raise SpecError(f"vector {name!r}: accepted: names of letters that mean nothing in Python")
            if [other.upper() for other in names].count(name.upper()) > 1:
                raise SpecError(f"vector {name!r}: another vector has the same name but for upper and lower case")

    def _check_parts(self) -> None:
        sizes = {vector.name: vector.columns for vector in self.vectors}
        carriers = [carrier.vector for carrier in self.carriers]
        symbols = [projection.symbol for projection in self.projections]
        readings = (*self.projections, self.output)
        named = [*carriers, *(reading.reader for reading in readings), *([self.ones] if self.ones else [])]
        for name in named:
            if name not in sizes:
                raise SpecError(f"unknown vector {name!r}{nearest(name, sizes)}; accepted: {listing(sizes)}")
        if not carriers or len(set(carriers)) < len(carriers) or len(set(symbols)) < len(symbols):
            raise SpecError(
                f"carriers {listing(carriers)}, projections {listing(symbol.name for symbol in symbols)}: accepted: at "
                "least one carrier, and each of them once; add up the drives of a vector"
            )
        for carrier in self.carriers:
            unknown = carrier.drive.atoms(MatrixSymbol) - {self.inputs, *symbols}
            if unknown:
                found = listing(sorted(symbol.name for symbol in unknown))
                raise SpecError(f"drive of {carrier.vector}: found {found}; accepted: inputs and projections")
            _check_shape(f"drive of {carrier.vector}", carrier.drive.shape, sizes[carrier.vector])
        for reading in readings:
            _check_shape(f"projection {reading.symbol.name}", reading.symbol.shape, sizes[reading.reader])
        if self.ones is not None:
            last = self.vectors[-1]
            if (last.name, last.columns, last.trainable) != (self.ones, 1, False):
                raise SpecError(f"vector {self.ones!r}: accepted: ones as the last vector, of one column, not trained")

    def vector(self, name: str) -> Vector:
        """Return the vector of that name."""
        return next(vector for vector in self.vectors if vector.name == name)

    @property
    def has_constant_gain(self) -> bool:
        """Whether the gain does not depend on the state, so that the reduced dynamics is linear, but for a bias."""
        return self.nonlinearity.is_linear or (self.ones is None and self.nonlinearity.has_constant_gain)

    @property
    def reads_after_update(self) -> bool:
        """Whether the output at a step sees the input of the same step."""
        return self.readout != "before_update"

    @property
    def gain_after_update(self) -> bool:
        """Whether the gain of the read-out is that of the updated state."""
        return self.readout == "after_update"


def _check_shape(what: str, shape: tuple[int, int], columns: int) -> None:
    if shape != (columns, 1):
        raise SpecError(f"{what}: found shape {shape}; accepted: ({columns}, 1), the columns of its vector")


def build_network(spec: Spec) -> Network:
    """Return the low-rank network of a specification: vectors M, U, V, Z of math.md, section 1, and B and ones of 5.

    Raises:
        SpecError: if ``learning.frozen`` or ``learning.rates`` names a vector that the network does not have, or the
            nonlinearity is even and vectors have no means.
    """
    size = spec.network
    shapes = {"m": size.inputs, "u": size.rank}
    shapes |= {"b": 1} if size.bias else {}
    shapes |= {"v": size.rank, "z": size.outputs}
    roles = {
        "m": "input vectors: carry the filtered input",
        "u": "output side of the recurrent connectivity: carry the recurrent activity",
        "b": "bias: carries a constant drive",
        "v": "input side of the recurrent connectivity: select what is fed back",
        "z": "read-out vectors: select the output",
    }
    rates = dict.fromkeys(shapes, 1.0) | dict(spec.learning.rates) | dict.fromkeys(spec.learning.frozen, 0.0)
    for name in rates:
        if name not in shapes:
            key = "frozen" if name in spec.learning.frozen else "rates"
            raise SpecError(
                f"learning.{key}: unknown vector {name!r}{nearest(name, shapes)}; accepted: {listing(shapes)}"
            )
    phi = nonlinearity(size.nonlinearity)
    if phi.gain == 0 and not size.means:
        raise SpecError(
            f"network.nonlinearity: {size.nonlinearity!r} is even, so that vectors of mean zero project nothing of it; "
            "accepted: means = true, or a nonlinearity with an odd part"
        )
    x = MatrixSymbol("x", size.inputs, 1)
    a = MatrixSymbol("a", size.rank, 1)
    vectors = [Vector(name, columns, exact(rates[name]), roles[name]) for name, columns in shapes.items()]
    if size.means:
        vectors.append(Vector(ONES, 1, sympy.Integer(0), "ones: its overlap with a vector is that vector's mean"))
    carriers = [Carrier("m", drive=x), Carrier("u", drive=a)]
    if size.bias:
        carriers.append(Carrier("b", drive=Identity(1)))
    return Network(
        vectors=tuple(vectors),
        inputs=x,
        carriers=tuple(carriers),
        projections=(Projection(a, reader="v"),),
        output=Projection(MatrixSymbol("y", size.outputs, 1), reader="z"),
        nonlinearity=phi,
        dt=exact(size.dt),
        tau=exact(size.tau),
        readout=size.readout,
        ones=ONES if size.means else None,
    )
