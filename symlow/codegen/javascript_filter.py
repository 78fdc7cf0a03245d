"""The closed form of a filter task entry by entry, for JavaScript, which has no arrays of matrices.

    A(Sigma), C(Sigma) of the reduced dynamics, and dL/dsigma from dL/dA, dL/dC,

each as the entries that are not constant, in the overlaps. Matrices are rows one behind the other in one array.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sympy
from sympy import MatrixExpr, MatrixSymbol
from sympy.printing.jscode import JavascriptCodePrinter

from symlow.codegen.javascript_syntax import javascript
from symlow.codegen.lowering import Lowered, Parameter, Target
from symlow.codegen.statements import Statement
from symlow.derivation import Derivation
from symlow.reduction import DT, TAU


@dataclass(frozen=True)
class FilterEntries:
    """What the closed form evaluates.

    Attributes:
        A: assignments to entries of A that are not zero.
        B: the same of B, which is free of overlaps.
        C: the same of C.
        gradient: dL/dsigma over the visible overlaps, from entries of A_bar and C_bar.
        states: number of states of the target filters.
        target: assignments to entries of A*, B*, C* by name, in the parameters.
        parameters: the parameters of the target filters.
        lags: number of lags, or None for infinitely many.
        doublings: the binary digits of the number of lags after the first.
        weight: code of the weight of squared errors.
    """

    A: tuple[Statement, ...]
    B: tuple[Statement, ...]
    C: tuple[Statement, ...]
    gradient: tuple[Statement, ...]
    states: int
    target: Mapping[str, tuple[Statement, ...]]
    parameters: tuple[Parameter, ...]
    lags: int | None
    doublings: tuple[bool, ...]
    weight: str


class EntryPrinter(JavascriptCodePrinter):
    """Print an entry in given code of its symbols; numbers as correctly rounded floats."""

    def __init__(self, codes: Mapping[str, str]) -> None:
        super().__init__()
        self._codes = codes

    def _print_Symbol(self, symbol: sympy.Symbol) -> str:  # noqa: N802 - SymPy's printers dispatch on class names
        return self._codes[symbol.name]

    def _print_Rational(self, value: sympy.Rational) -> str:  # noqa: N802
        return repr(float(sympy.N(value, 30)))


def filter_entries(derivation: Derivation, module: Lowered) -> FilterEntries:
    """Return the entries of the closed form of a filter task."""
    assert module.filter is not None
    return _Entries(derivation).all(module.filter.target)


class _Entries:
    """The entries of one derivation."""

    def __init__(self, derivation: Derivation) -> None:
        self._derivation = derivation
        self._space = derivation.reduction.state_space
        self._inputs, self._outputs = derivation.loss.inputs, derivation.loss.outputs
        latents = derivation.reduction.latents
        self._latents = sum(int(latent.rows) for latent in latents.values())
        starts: dict[str, int] = {}
        for carrier, latent in latents.items():
            starts[carrier] = sum(int(latents[name].rows) for name in starts)
            assert latent.cols == 1
        self._start = starts
        index = derivation.reduction.index
        self._codes = {overlap.symbol.name: f"sigma[{k}]" for k, overlap in enumerate(derivation.ordered)}
        self._codes |= {DT.name: "DT", TAU.name: "TAU"}
        self._explicit: dict[MatrixSymbol, sympy.ImmutableDenseMatrix] = {
            symbol: index.explicit(a, b) for (a, b), symbol in index.blocks.items()
        }
        self._explicit |= {symbol: matrix.as_immutable() for symbol, matrix in derivation.network.constants.items()}

    def all(self, target: Target) -> FilterEntries:
        start, latents = self._start, self._latents
        sizes = {"A": target.states, "B": self._inputs, "C": target.states}
        return FilterEntries(
            A=self._matrix("A", latents, (((start[to], start[of]), m) for (to, of), m in self._space.A.items())),
            B=self._matrix("B", self._inputs, (((start[to], 0), m) for to, m in self._space.B.items())),
            C=self._matrix("C", latents, (((0, start[of]), m) for of, m in self._space.C.items())),
            gradient=tuple(self._gradient()),
            states=target.states,
            target={
                name: tuple(
                    Statement(name, javascript(value), str(i * columns + j)) for i, j, value in getattr(target, name)
                )
                for name, columns in sizes.items()
            },
            parameters=target.parameters,
            lags=target.lags,
            doublings=target.doublings,
            weight=target.weight,
        )

    def _matrix(
        self, name: str, columns: int, blocks: Iterable[tuple[tuple[int, int], MatrixExpr]]
    ) -> tuple[Statement, ...]:
        found = []
        for (row, column), block in blocks:
            entries = self._entries(block)
            for i in range(entries.rows):
                for j in range(entries.cols):
                    if entries[i, j] != 0:
                        place = str((row + i) * columns + column + j)
                        found.append(Statement(name, self._code(entries[i, j]), place))
        return tuple(found)

    def _gradient(self) -> Iterable[Statement]:
        index, latents = self._derivation.reduction.index, self._latents
        for (to, of), block in self._space.A.items():
            self._cotangent(f"Abar_{to}_{of}", "A_bar", latents, self._start[to], self._start[of], block.shape)
        for of, block in self._space.C.items():
            self._cotangent(f"Cbar_{of}", "C_bar", latents, 0, self._start[of], block.shape)
        totals: dict[str, sympy.Expr] = {}
        for (a, b), symbol in index.blocks.items():
            if symbol.name not in self._derivation.loss_adjoint:
                continue
            entries = self._entries(self._derivation.loss_adjoint[symbol.name])
            rows, columns = index.slice(a), index.slice(b)
            for i in range(entries.rows):
                for j in range(entries.cols):
                    name = index.at(rows.start + i, columns.start + j).name
                    totals[name] = totals.get(name, sympy.Integer(0)) + entries[i, j]
        for k, name in enumerate(self._derivation.visible):
            yield Statement("gradient", self._code(totals[name]), str(k))

    def _cotangent(self, name: str, array: str, width: int, row: int, column: int, shape: tuple[int, int]) -> None:
        """Give the entries of a block of a cotangent their symbols and code."""
        rows, columns = (int(length) for length in shape)
        symbols = [[sympy.Symbol(f"{name}_{i}_{j}") for j in range(columns)] for i in range(rows)]
        self._explicit[MatrixSymbol(name, rows, columns)] = sympy.ImmutableDenseMatrix(symbols)
        for i, line in enumerate(symbols):
            for j, symbol in enumerate(line):
                self._codes[symbol.name] = f"{array}[{(row + i) * width + column + j}]"

    def _entries(self, block: MatrixExpr) -> sympy.ImmutableDenseMatrix:
        """Return a block with its overlaps, cotangents and constants written out."""
        given = {symbol: self._explicit[symbol] for symbol in block.atoms(MatrixSymbol)}
        return sympy.ImmutableDenseMatrix(block.xreplace(given).doit().as_explicit())

    def _code(self, entry: sympy.Expr) -> str:
        return str(EntryPrinter(self._codes).doprint(entry))
