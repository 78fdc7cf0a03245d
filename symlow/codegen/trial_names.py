"""Names and terms of the reduced dynamics over time: how each quantity prints in each place of a module.

Latents have values before the first and after every step; statistics, gains and columns at the same times, unless they
contain the input, which has none after the last step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import sympy
from sympy import MatrixExpr, MatrixSymbol

from symlow.codegen.numpy_functions import NumpyFunctionPrinter
from symlow.codegen.numpy_rows import Rows
from symlow.codegen.terms import Term, added_up, terms_of, without_transposes
from symlow.derivation import Derivation
from symlow.reduction import DT, TAU, Column, Statistics

ALPHA = sympy.Symbol("alpha")
"""dt / tau."""


class TrialNames:
    """The names of one derivation."""

    def __init__(self, derivation: Derivation) -> None:
        self.derivation = derivation
        self.reduction = derivation.reduction
        self.backward = derivation.backward
        self.latents = {key: latent.name for key, latent in self.reduction.latents.items()}
        self.statistics = [symbol.name for symbol in self.reduction.statistics]
        self.gains = [symbol.name for symbol in self.backward.gain_symbols.values()]
        self.columns = {name: f"col_{name}" for name in self.reduction.columns}

    def _terms(self, expression: MatrixExpr) -> tuple[Term, ...]:
        # Inputs get a name that no gain or statistic has, whatever the network calls them.
        plain = expression.subs(self.derivation.network.inputs, self._inputs).subs(self.backward.gain_symbols)
        plain = plain.subs(DT, ALPHA * TAU).doit()
        terms = terms_of(plain, self._column_names, self._scalar_names)
        return added_up(without_transposes(term, self._symmetric) for term in terms)

    @cached_property
    def _symmetric(self) -> frozenset[str]:
        return frozenset(symbol.name for (a, b), symbol in self.reduction.index.blocks.items() if a == b)

    @cached_property
    def _column_names(self) -> list[str]:
        cotangents = [symbol.name for symbol in self.backward.next_cotangents.values()]
        bars = [f"{name}bar" for name in self.columns]
        return [*self.latents.values(), *self.columns, self._inputs.name, *cotangents, *bars, "ybar"]

    @cached_property
    def _inputs(self) -> MatrixSymbol:
        return MatrixSymbol("the input", *self.derivation.network.inputs.shape)

    @cached_property
    def _scalar_names(self) -> list[str]:
        return [f"{name}bar" for name in (*self.statistics, *self.gains)]

    @cached_property
    def _block_codes(self) -> Mapping[tuple[str, bool], str]:
        codes = {}
        for (a, b), symbol in self.reduction.index.blocks.items():
            codes[symbol.name, True] = f"Sigma[..., P_{a.upper()}, P_{b.upper()}]"
            codes[symbol.name, False] = f"Sigma[..., P_{b.upper()}, P_{a.upper()}]"
        for symbol in self.derivation.network.constants:
            codes[symbol.name, True], codes[symbol.name, False] = symbol.name, f"{symbol.name}.T"
        return codes

    @cached_property
    def _sizes(self) -> Mapping[str, int]:
        """Number of entries of each column."""
        sizes = {latent.name: latent.rows for latent in self.reduction.latents.values()}
        sizes |= {symbol.name: symbol.rows for symbol in self.backward.next_cotangents.values()}
        for name, column in self.reduction.columns.items():
            sizes |= {name: column.symbol.rows, f"{name}bar": column.symbol.rows}
        loss = self.derivation.loss
        return {**sizes, "ybar": loss.outputs, self._inputs.name: loss.inputs}

    @cached_property
    def _widths(self) -> Mapping[tuple[str, bool], int]:
        """Number of columns of each block, by name and whether it is transposed."""
        blocks = [*self.reduction.index.blocks.values(), *self.derivation.network.constants]
        return {(b.name, turned): int(b.shape[0 if turned else 1]) for b in blocks for turned in (False, True)}

    @cached_property
    def _with_inputs(self) -> frozenset[str]:
        """Names of statistics, gains and columns that contain the input, and so have no value after the last step."""
        reduction, found = self.reduction, set[str]()
        symbols = {column.symbol: name for name, column in reduction.columns.items()}
        for node in reduction.nodes:
            for names, expressions in self._made_by(node):
                atoms = {atom for expression in expressions for atom in expression.atoms(MatrixSymbol, sympy.Symbol)}
                inputs = self.derivation.network.inputs in atoms
                if inputs or any(symbols.get(atom, str(atom)) in found for atom in atoms):
                    found |= set(names)
        return frozenset(found)

    @cached_property
    def _steady(self) -> frozenset[str]:
        """Names of what is the same at all times: it has no axis of time, for it contains no latents and no input."""
        network, found = self.derivation.network, set[str]()
        symbols = {column.symbol: name for name, column in self.reduction.columns.items()}
        in_time = {network.inputs, *self.reduction.latents.values()}
        for node in self.reduction.nodes:
            for names, expressions in self._made_by(node):
                atoms = {atom for expression in expressions for atom in expression.atoms(MatrixSymbol, sympy.Symbol)}
                made = {symbols.get(atom, str(atom)) for atom in atoms} & {*self._nodes}
                if not atoms & in_time and made <= found:
                    found |= set(names)
        for name, (gate, _, slope) in self._gate_slopes.items():
            arguments = self.reduction.columns[gate].arguments
            if all(column.name in found for variable, column in arguments if slope.has(variable)):
                found.add(name)
        return frozenset(found)

    @property
    def _nodes(self) -> list[str]:
        return [*self.statistics, *self.gains, *self.columns]

    def _made_by(self, node: Statistics | Column) -> Iterator[tuple[list[str], list[sympy.Basic]]]:
        """Give the names that a node makes, each with what it is made of."""
        if isinstance(node, Column):
            right = [column for _, column in node.arguments] if node.right is None else [node.right]
            yield [node.symbol.name], [expression.subs(self.backward.gain_symbols) for expression in right]
            return
        for symbol, expression in node.definitions.items():
            yield [symbol.name, f"g_{symbol.name}"], [expression]
        gains = [self.backward.gain_symbols[gain].name for gain in node.gains]
        yield gains, list(node.definitions)

    def _rows(self, moment: str = "", cotangents: str = "", **names: str) -> Rows:
        """Return how to print for all times, in a loop (``t``), for steps (``now``), the output (``read``, ``at``)."""
        latents = f"[{moment}]" if moment else ""
        scalars = {"": "", "t": "[t]", "now": "[now]", "read": "[at]", "at": "[at]"}[moment]
        with_inputs = "[t]" if moment == "t" else ""  # these have no value after the last step
        code = {name: f"{name}{latents}" for name in self.latents.values()}
        known = [*self.statistics, *self.gains, *self._slope_names(), *self.columns, *self._gate_slopes]
        indexed = {name: with_inputs if name in self._with_inputs else scalars for name in known}
        indexed |= dict.fromkeys(self._steady, "")
        code |= {name: f"{self.columns.get(name, name)}{indexed[name]}" for name in known}
        code |= {f"{name}bar": f"{self.columns.get(name, name)}_bar" for name in known}
        code |= {f"lambda_{key}": f"kappa_{key}_bar{cotangents}" for key in self.latents}
        code |= {self._inputs.name: f"x{with_inputs}", "ybar": "y_bar", "alpha": "ALPHA"}
        return Rows({**code, **names}, self._block_codes, self._sizes, self._widths, self._constants)

    @cached_property
    def _constants(self) -> frozenset[str]:
        """Names of scalars that do not depend on time."""
        return frozenset(["alpha", *self._steady])

    def _arguments(self, node: Statistics, zero: str = "np.zeros_like({})") -> str:
        """Return the arguments of gains; where only other populations have means, they have the mean 0 here."""
        names = [symbol.name for symbol in node.definitions]
        without = self.derivation.network.has_means and node.activity is None
        return ", ".join([*(zero.format(name) for name in names if without), *names])

    def _plain_name(self, argument: MatrixSymbol) -> str:
        return str(self._inputs.name if argument == self.derivation.network.inputs else argument.name)

    def _slope_names(self) -> list[str]:
        """Names of the derivatives of gains by statistics that are functions of their own."""
        return [f"g_{statistic}" for statistic in self.statistics]

    @cached_property
    def _gate_slopes(self) -> dict[str, tuple[str, str, sympy.Expr]]:
        """The derivatives of gates that depend on overlaps, by name: gate, the argument's column, expression."""
        found = {}
        for gate, column in self.reduction.columns.items():
            for number, (variable, argument) in enumerate(column.arguments, 1):
                if gate in self.backward.moving and argument.name in self.backward.moving:
                    slope = sympy.diff(stable(column.function), variable)
                    found[f"slope_{gate}_{number}"] = (gate, argument.name, slope)
        return found


def gate_code(function: sympy.Expr | None, codes: Mapping[sympy.Symbol, str]) -> str:
    """Return the code of a function of columns, entry by entry."""
    return str(NumpyFunctionPrinter(codes).doprint(stable(function)))


def stable(function: sympy.Expr | None) -> sympy.Expr:
    """Return a function with the logistic function as (1 + tanh(s/2)) / 2, which no argument makes overflow."""
    assert function is not None
    s = sympy.Wild("s")
    return function.replace(1 / (1 + sympy.exp(-s)), (1 + sympy.tanh(s / 2)) / 2)
