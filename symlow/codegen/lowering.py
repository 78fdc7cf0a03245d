"""Lowering: from a derivation to what a template lays out, with all mathematics already printed.

A filter task is evaluated in closed form, from A(Sigma), B(Sigma), C(Sigma) of the linear reduced dynamics, assembled
block by block, and the cotangents of these; trials are stepped through time (:mod:`symlow.codegen.trials`). Either
gives the cotangent of Sigma, block by block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sympy
from sympy import MatAdd, MatrixExpr, MatrixSymbol

from symlow.codegen.kernels import KernelCode, lower_kernels
from symlow.codegen.numpy_functions import SMALLEST_VARIANCE, GainFunction, NumpyFunctionPrinter, gain_functions
from symlow.codegen.numpy_printer import NumpyMatrixPrinter
from symlow.codegen.statements import Statement
from symlow.codegen.trials import TrialCode, lower_trials
from symlow.derivation import Derivation
from symlow.equations import Vector
from symlow.expressions import summands
from symlow.nonlinearity.mixture import Mixture
from symlow.reduction import DT
from symlow.rules import Velocity
from symlow.tasks.filters import FilterLoss

MEANINGS = {
    "amplitude": "amplitude a*",
    "decay": "rate of decay c*, per unit of time",
    "frequency": "angular frequency w*, in radians per unit of time",
    "phase": "phase, in radians",
}


@dataclass(frozen=True)
class BlockMatrix:
    """The constant part of a block matrix of the reduced dynamics.

    Attributes:
        name: "A", "B" or "C".
        rows: code for the number of rows.
        columns: code for the number of columns.
        blocks: its blocks.
    """

    name: str
    rows: str
    columns: str
    blocks: tuple[Statement, ...]


@dataclass(frozen=True)
class Slice:
    """A named range of columns of P, or of entries of kappa."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class Parameter:
    """A parameter of the target filters: an argument of a generated function, its default as code, and what it is."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Target:
    """The entries of the target filters' linear system as code in their parameters, and the horizon."""

    parameters: tuple[Parameter, ...]
    A: tuple[tuple[int, int, str], ...]
    B: tuple[tuple[int, int, str], ...]
    C: tuple[tuple[int, int, str], ...]
    states: int
    lags: int | None
    doublings: tuple[bool, ...]
    weight: str


@dataclass(frozen=True)
class FilterCode:
    """What the closed form of a filter task evaluates.

    Attributes:
        latents: which entries of the stacked latents each carrier has.
        matrices: the constant parts of A, B and C.
        dependent: the parts of A and C that depend on overlaps, as blocks of the error system's E and G.
        adjoint: the cotangents of the blocks of Sigma in those of E and G.
        target: the target filters.
    """

    latents: tuple[Slice, ...]
    matrices: tuple[BlockMatrix, ...]
    dependent: tuple[Statement, ...]
    adjoint: tuple[Statement, ...]
    target: Target


@dataclass(frozen=True)
class Members:
    """The vectors of a population, that of ones (if there is one) last, its weight, and its share of neurons.

    Shares are the smallest integers in the ratio of the weights.
    """

    name: str
    weight: str
    share: int
    ones: str | None
    vectors: tuple[Vector, ...]


@dataclass(frozen=True)
class Lowered:
    """The content of a generated module.

    Attributes:
        derivation: what it is made from.
        columns: which columns of P each vector has.
        dt: code of the time step.
        tau: code of the time constant.
        rows: row of Sigma of each overlap.
        cols: column of Sigma of each overlap.
        sizes: number of latents by carrier.
        latent_names: names of the latents, in order.
        gains: the gains as functions.
        constants: matrices of numbers in the equations, by name, as rows of numbers.
        trials: the code of trials.
        kernels: the code of trials as kernels, for the backend that compiles them.
        read: offset of the latents that the output reads.
        gain_at: offset of the state whose gain it has.
        factor: code of the factor of the loss.
        reduction: how trials are reduced.
        smallest_variance: where closed forms stop short of Delta = 0.
        filter: the closed form, for a filter task.
    """

    derivation: Derivation
    columns: tuple[Slice, ...]
    dt: str
    tau: str
    rows: tuple[int, ...]
    cols: tuple[int, ...]
    sizes: Mapping[str, int]
    latent_names: tuple[str, ...]
    gains: tuple[GainFunction, ...]
    constants: tuple[tuple[str, str], ...]
    trials: TrialCode
    kernels: KernelCode | None
    read: int
    gain_at: int
    factor: str
    reduction: str
    smallest_variance: float
    filter: FilterCode | None

    @property
    def averages(self) -> bool:
        """Whether overlaps are averages over neurons, rather than sums."""
        return self.derivation.network.equations.averages

    @property
    def gram(self) -> str:
        """The Gram matrix as text."""
        return "P^T P / N" if self.averages else "P^T P"

    @property
    def populations(self) -> tuple[Members, ...]:
        """The populations with their vectors."""
        equations = self.derivation.network.equations
        found = []
        for population, share in zip(equations.populations, equations.shares, strict=True):
            vectors = [v for v in equations.vectors if v.population == population.name]
            ordered = sorted(vectors, key=lambda vector: vector.name == population.ones)
            found.append(Members(population.name, number(population.weight), share, population.ones, tuple(ordered)))
        return tuple(found)

    @property
    def given(self) -> tuple[Vector, ...]:
        """The vectors whose weights are to be given: all but the ones, which are the last."""
        network = self.derivation.network
        return tuple(vector for vector in network.vectors if vector.name not in network.ones)

    @property
    def velocities(self) -> tuple[str, ...]:
        """Names of the vectors that are velocities of others."""
        return tuple(vector.name for vector in self.given if isinstance(vector, Velocity))

    def neurons_of(self, vector: Vector) -> str:
        """Return the letter of the number of neurons that a vector has: of its population where there are several."""
        return f"N_{vector.population}" if len(self.populations) > 1 else "N"

    @property
    def given_arguments(self) -> str:
        """The same as arguments of a function; velocities may be left out."""
        return ", ".join(f"{v.name}=None" if v.name in self.velocities else v.name for v in self.given)

    @property
    def rates(self) -> tuple[str, ...]:
        """Code of the learning rate of each column."""
        return tuple(str(rate) if rate.is_Integer else number(rate) for rate in self.derivation.learning.rates)

    @property
    def has_rates(self) -> bool:
        """Whether some trained vector has another rate than 1."""
        return any(rate not in (0, 1) for rate in self.derivation.learning.rates)

    @property
    def needs_scipy(self) -> bool:
        """Whether a gain contains a function that NumPy lacks."""
        lines = (*self.trials.loop, *self.trials.state, *(function.expression for function in self.gains))
        return bool(self.mixtures) or any("erf(" in str(line) for line in lines)

    @property
    def needs_erf(self) -> bool:
        """Whether kernels contain the error function, in gains, gates or tables of sigmoids."""
        kernels = () if self.kernels is None else (*self.kernels.forward, *self.kernels.backward)
        lines = (*kernels, *(function.expression for function in self.gains))
        return bool(self.mixtures) or any("erf(" in str(line) for line in lines)

    @property
    def calls_gains(self) -> bool:
        """Whether kernels call functions of gains, which else are written out."""
        return any(gain.form is None or gain.at_zero for gain in self.gains)

    @property
    def mixtures(self) -> tuple[Mixture, ...]:
        """The tables of sigmoids that gains contain."""
        return self.gains[0].mixtures if self.gains else ()


def lower(derivation: Derivation, kernels: bool = False) -> Lowered:
    """Return the content of the generated module of a derivation.

    Raises:
        SpecError: for a nonlinearity whose gain can be had neither in closed form nor as a series.
    """
    network, reduction, loss = derivation.network, derivation.reduction, derivation.loss
    columns = tuple(
        Slice(f"P_{vector.name.upper()}", place.start, place.stop)
        for vector in network.vectors
        for place in [reduction.index.slice(vector.name)]
    )
    return Lowered(
        derivation=derivation,
        columns=columns,
        dt=number(network.dt),
        tau=number(network.tau),
        rows=tuple(overlap.row for overlap in derivation.ordered),
        cols=tuple(overlap.column for overlap in derivation.ordered),
        sizes={carrier: latent.rows for carrier, latent in reduction.latents.items()},
        latent_names=tuple(latent.name for latent in reduction.latents.values()),
        gains=gain_functions(reduction),
        constants=tuple((symbol.name, _rows(matrix)) for symbol, matrix in network.constants.items()),
        trials=lower_trials(derivation),
        kernels=lower_kernels(derivation) if kernels else None,
        read=1 if network.reads_after_update else 0,
        gain_at=1 if network.gain_after_update else 0,
        factor=number(loss.factor),
        reduction=loss.reduction,
        smallest_variance=SMALLEST_VARIANCE,
        filter=_filter(derivation, loss) if isinstance(loss, FilterLoss) else None,
    )


def _filter(derivation: Derivation, loss: FilterLoss) -> FilterCode:
    reduction = derivation.reduction
    space = reduction.state_space
    blocks = set(reduction.index.blocks.values())
    if any(block.atoms(MatrixSymbol) & blocks for block in space.B.values()):
        raise ValueError("the module's adjoint takes B to be free of overlaps, as it is where drives contain x alone")
    names = {
        symbol.name: f"Sigma[..., P_{a.upper()}, P_{b.upper()}]" for (a, b), symbol in reduction.index.blocks.items()
    }
    names |= {"dt": "DT", "tau": "TAU"} | {symbol.name: symbol.name for symbol in derivation.network.constants}
    latent = {carrier: f"K_{carrier.upper()}" for carrier in reduction.latents}
    blocks_a = [(latent[to], latent[source], block) for (to, source), block in space.A.items()]
    blocks_b = [(latent[to], ":", block) for to, block in space.B.items()]
    blocks_c = [(":", latent[source], block) for source, block in space.C.items()]
    a, moving_a = _parts("_A", "E", blocks_a, names, blocks)
    b, _ = _parts("_B", "F", blocks_b, names, blocks)
    c, moving_c = _parts("_C", "G", blocks_c, names, blocks)
    return FilterCode(
        latents=tuple(_latent_slices(derivation)),
        matrices=(
            BlockMatrix("A", "N_LATENTS", "N_LATENTS", a),
            BlockMatrix("B", "N_LATENTS", "N_INPUTS", b),
            BlockMatrix("C", "N_OUTPUTS", "N_LATENTS", c),
        ),
        dependent=(*moving_a, *moving_c),
        adjoint=tuple(_adjoint(derivation, names, latent)),
        target=_target(loss),
    )


def _rows(matrix: sympy.ImmutableDenseMatrix) -> str:
    return "[" + ", ".join("[" + ", ".join(number(entry) for entry in row) + "]" for row in matrix.tolist()) + "]"


def number(value: sympy.Expr) -> str:
    """Return a float literal, correctly rounded from 30 digits."""
    return repr(float(sympy.N(value, 30)))


def _latent_slices(derivation: Derivation) -> Iterable[Slice]:
    start = 0
    for carrier, latent in derivation.reduction.latents.items():
        yield Slice(f"K_{carrier.upper()}", start, start + latent.rows)
        start += latent.rows


def _parts(
    constant: str,
    dependent: str,
    blocks: list[tuple[str, str, MatrixExpr]],
    names: dict[str, str],
    overlaps: set[MatrixSymbol],
) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
    """Return the statements of the blocks that are free of overlaps, in a matrix of one name, and of the others."""
    printer = NumpyMatrixPrinter(names)
    fixed, moving = [], []
    for row, column, block in blocks:
        terms = summands(block)
        without = [term for term in terms if not term.atoms(MatrixSymbol) & overlaps]
        others = [term for term in terms if term.atoms(MatrixSymbol) & overlaps]
        if without:
            fixed.append(Statement(constant, printer.doprint(MatAdd(*without).doit()), f"{row}, {column}"))
        if others:
            value = printer.doprint(MatAdd(*others).doit())
            moving.append(Statement(dependent, value, f"..., {row}, {column}", adds=bool(without)))
    return tuple(fixed), tuple(moving)


def _adjoint(derivation: Derivation, names: dict[str, str], latent: dict[str, str]) -> Iterable[Statement]:
    space = derivation.reduction.state_space
    cotangents = {f"Abar_{to}_{source}": f"E_bar[..., {latent[to]}, {latent[source]}]" for to, source in space.A} | {
        f"Cbar_{source}": f"G_bar[..., :, {latent[source]}]" for source in space.C
    }
    printer = NumpyMatrixPrinter(names | cotangents)
    for (left, right), symbol in derivation.reduction.index.blocks.items():
        if symbol.name in derivation.loss_adjoint:
            expression = printer.doprint(derivation.loss_adjoint[symbol.name])
            yield Statement("Sigma_bar", expression, f"..., P_{left.upper()}, P_{right.upper()}")


def _target(loss: FilterLoss) -> Target:
    A, B, C = loss.symbolic_system(DT)
    names = loss.parameter_names
    printer = NumpyFunctionPrinter({DT: "DT", **names})
    bits = () if loss.lags is None else tuple(bit == "1" for bit in bin(loss.lags)[3:])
    return Target(
        parameters=tuple(
            Parameter(names[symbol], number(value), _meaning(names[symbol]))
            for symbol, value in loss.parameters.items()
        ),
        A=_entries(A, printer),
        B=_entries(B, printer),
        C=_entries(C, printer),
        states=A.shape[0],
        lags=loss.lags,
        doublings=bits,
        weight=number(loss.weight),
    )


def _meaning(name: str) -> str:
    key, *pair = name.split("_")
    return MEANINGS[key] + (f", of output {pair[0]}, input {pair[1]}" if pair else "")


def _entries(matrix: sympy.ImmutableDenseMatrix, printer: NumpyFunctionPrinter) -> tuple[tuple[int, int, str], ...]:
    """Return row, column and code of the entries that are not zero."""
    return tuple(
        (i, j, printer.doprint(matrix[i, j]))
        for i in range(matrix.rows)
        for j in range(matrix.cols)
        if matrix[i, j] != 0
    )
