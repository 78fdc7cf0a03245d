"""Lowering: from a derivation to what a template lays out, with all mathematics already printed.

What the module evaluates: A(Sigma), B(Sigma), C(Sigma) of the reduced dynamics, assembled block by block; the loss and
the cotangents of A, B, C by the routine of the task; and the cotangent of Sigma, block by block, from the adjoint.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sympy
from sympy import MatAdd, MatrixExpr, MatrixSymbol

from symlow.codegen.numpy_printer import NumpyMatrixPrinter
from symlow.derivation import Derivation
from symlow.expressions import summands
from symlow.tasks.filters import FilterLoss


@dataclass(frozen=True)
class Assignment:
    """A line ``target[..., rows, columns] (+)= expression`` of a generated module."""

    rows: str
    columns: str
    expression: str


@dataclass(frozen=True)
class BlockMatrix:
    """A block matrix of the reduced dynamics: a constant part, and a part that depends on overlaps.

    Attributes:
        name: "A", "B" or "C".
        rows: code for the number of rows.
        columns: code for the number of columns.
        constant: the blocks of the constant part.
        dependent: the blocks of the part that depends on overlaps; none if the whole matrix is constant.
    """

    name: str
    rows: str
    columns: str
    constant: tuple[Assignment, ...]
    dependent: tuple[Assignment, ...]


@dataclass(frozen=True)
class Slice:
    """A named range of columns of P, or of entries of kappa."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class Target:
    """The entries of the target filters' linear system, and the horizon."""

    A: tuple[tuple[int, int, str], ...]
    B: tuple[tuple[int, int, str], ...]
    C: tuple[tuple[int, int, str], ...]
    states: int
    lags: int | None
    doublings: tuple[bool, ...]
    weight: str


@dataclass(frozen=True)
class Lowered:
    """The content of a generated module."""

    derivation: Derivation
    columns: tuple[Slice, ...]
    latents: tuple[Slice, ...]
    dt: str
    tau: str
    rows: tuple[int, ...]
    cols: tuple[int, ...]
    matrices: tuple[BlockMatrix, ...]
    adjoint: tuple[Assignment, ...]
    read: int
    factor: str
    reduction: str
    target: Target | None


def lower(derivation: Derivation) -> Lowered:
    """Return the content of the generated module of a derivation."""
    network, reduction, loss = derivation.network, derivation.reduction, derivation.loss
    index, space = reduction.index, reduction.state_space
    columns = tuple(
        Slice(f"P_{vector.name.upper()}", place.start, place.stop)
        for vector in network.vectors
        for place in [index.slice(vector.name)]
    )
    if any(block.atoms(MatrixSymbol) for block in space.B.values()):
        raise ValueError("the module's adjoint takes B to be free of overlaps, as it is where drives contain x alone")
    latents = tuple(_latent_slices(derivation))
    names = {symbol.name: f"Sigma[..., P_{a.upper()}, P_{b.upper()}]" for (a, b), symbol in index.blocks.items()}
    names |= {"dt": "DT", "tau": "TAU"}
    latent = {carrier: f"K_{carrier.upper()}" for carrier in reduction.latents}
    blocks_a = [(latent[to], latent[source], block) for (to, source), block in space.A.items()]
    blocks_b = [(latent[to], ":", block) for to, block in space.B.items()]
    blocks_c = [(":", latent[source], block) for source, block in space.C.items()]
    return Lowered(
        derivation=derivation,
        columns=columns,
        latents=latents,
        dt=number(network.dt),
        tau=number(network.tau),
        rows=tuple(overlap.row for overlap in derivation.ordered),
        cols=tuple(overlap.column for overlap in derivation.ordered),
        matrices=(
            _block_matrix("A", "N_LATENTS", "N_LATENTS", blocks_a, names),
            _block_matrix("B", "N_LATENTS", "N_INPUTS", blocks_b, names),
            _block_matrix("C", "N_OUTPUTS", "N_LATENTS", blocks_c, names),
        ),
        adjoint=tuple(_adjoint(derivation, names, latent)),
        read=1 if network.reads_after_update else 0,
        factor=number(loss.factor),
        reduction=loss.reduction,
        target=_target(loss) if isinstance(loss, FilterLoss) else None,
    )


def number(value: sympy.Expr) -> str:
    """Return a float literal, correctly rounded from 30 digits."""
    return repr(float(sympy.N(value, 30)))


def _latent_slices(derivation: Derivation) -> Iterable[Slice]:
    start = 0
    for carrier, latent in derivation.reduction.latents.items():
        yield Slice(f"K_{carrier.upper()}", start, start + latent.rows)
        start += latent.rows


def _block_matrix(
    name: str, rows: str, columns: str, blocks: list[tuple[str, str, MatrixExpr]], names: dict[str, str]
) -> BlockMatrix:
    printer = NumpyMatrixPrinter(names)
    constant, dependent = [], []
    for row, column, block in blocks:
        terms = summands(block)
        fixed = [term for term in terms if not term.atoms(MatrixSymbol)]
        moving = [term for term in terms if term.atoms(MatrixSymbol)]
        if fixed:
            constant.append(Assignment(row, column, printer.doprint(MatAdd(*fixed).doit())))
        if moving:
            dependent.append(Assignment(row, column, printer.doprint(MatAdd(*moving).doit())))
    return BlockMatrix(name, rows, columns, tuple(constant), tuple(dependent))


def _adjoint(derivation: Derivation, names: dict[str, str], latent: dict[str, str]) -> Iterable[Assignment]:
    space = derivation.reduction.state_space
    cotangents = (
        {f"Abar_{to}_{source}": f"A_bar[..., {latent[to]}, {latent[source]}]" for to, source in space.A}
        | {f"Bbar_{to}": f"B_bar[..., {latent[to]}, :]" for to in space.B}
        | {f"Cbar_{source}": f"C_bar[..., :, {latent[source]}]" for source in space.C}
    )
    printer = NumpyMatrixPrinter(names | cotangents)
    for (left, right), symbol in derivation.reduction.index.blocks.items():
        if symbol.name in derivation.loss_adjoint:
            expression = printer.doprint(derivation.loss_adjoint[symbol.name])
            yield Assignment(f"P_{left.upper()}", f"P_{right.upper()}", expression)


def _target(loss: FilterLoss) -> Target:
    A, B, C = loss.system()
    bits = () if loss.lags is None else tuple(bit == "1" for bit in bin(loss.lags)[3:])
    return Target(
        A=_entries(A),
        B=_entries(B),
        C=_entries(-C),  # the error is the response minus the target
        states=A.shape[0],
        lags=loss.lags,
        doublings=bits,
        weight=number(loss.weight),
    )


def _entries(matrix: sympy.ImmutableDenseMatrix) -> tuple[tuple[int, int, str], ...]:
    """Return row, column and value of the entries that are not zero."""
    return tuple(
        (i, j, number(matrix[i, j])) for i in range(matrix.rows) for j in range(matrix.cols) if matrix[i, j] != 0
    )
