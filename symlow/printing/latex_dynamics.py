r"""The reduced dynamics as LaTeX: statistics and gains, the time step and the read-out.

    a(t) = g(\Delta(t)) [\Sigma_vm \kappa_m(t) + \Sigma_vu \kappa_u(t)],
    \kappa_u(t + dt) = \kappa_u(t) + (dt/\tau) [-\kappa_u(t) + a(t)]

The output y(t) is that of the step at t: it reads latents and gain of t or t + dt, whichever the read-out says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import sympy
from sympy import MatrixExpr, MatrixSymbol

from symlow.derivation import Derivation
from symlow.network import Latent
from symlow.nonlinearity.integrals import LARGEST_VARIANCE
from symlow.nonlinearity.series import ACCEPTED
from symlow.printing.latex_lines import aligned
from symlow.printing.latex_network import Model
from symlow.printing.latex_terms import Row, TimedTerms, in_brackets
from symlow.printing.notation import GAINS, Notation
from symlow.reduction import ACTIVITY, DT, TAU, Column, Statistics


class Dynamics:
    """The equations of one derivation, forwards."""

    def __init__(self, derivation: Derivation, notation: Notation) -> None:
        self.notation = notation
        self.network = derivation.network
        self.reduction = derivation.reduction
        self.timed_terms = TimedTerms(derivation.backward, notation)
        self.model = Model(derivation.network, notation)

    # Statistics and gains -------------------------------------------------------------------------------------------

    @property
    def statistics(self) -> str:
        """The mean and the variance of fields over neurons."""
        return aligned(
            (self.notation.doprint(symbol), self.timed_terms.statistic(symbol)) for symbol in self.reduction.statistics
        )

    @property
    def gains(self) -> str:
        """The functions of the statistics as expectations, and in closed form where there is one."""
        nonlinearity = self.network.nonlinearity
        rows: list[Row] = []
        if not self.reduction.statistics:
            rows.append(("g", [self._expectation("'", False), *self._closed(nonlinearity.gain)]))
        if self._with_mean(False):
            closed = nonlinearity.gain if nonlinearity.gain is not None else nonlinearity.stated_gain
            rows.append((r"g(\Delta)", [self._expectation("'", False), *self._closed(closed)]))
        if self._with_mean(True):
            activity = GAINS[ACTIVITY.__name__]
            rows.append((r"g(\mu,\Delta)", [self._expectation("'", True), *self._closed(nonlinearity.gain_with_mean)]))
            rows.append(
                (rf"{activity}(\mu,\Delta)", [self._expectation("", True), *self._closed(nonlinearity.activity)])
            )
        return aligned(rows)

    def _with_mean(self, mean: bool) -> list[Statistics]:
        return [one for one in self.reduction.statistics_of if (one.activity is not None) == mean]

    @staticmethod
    def _expectation(prime: str, mean: bool) -> str:
        of = r"\mu+" if mean else ""
        return rf"\mathrm{{E}}\bigl[\phi{prime}({of}\sqrt{{\Delta}}\,\xi)\bigr]"

    def _closed(self, form: sympy.Expr | None) -> list[str]:
        if form is None:
            return []
        # (1 + erf)/2 is shorter than 1/2 + erf/2, in which two fractions stand side by side.
        halved = form.is_Add and all(term.is_Number or term.as_coeff_Mul()[1].is_Function for term in form.args)
        whole = sympy.factor_terms(form, fraction=False) if halved else form
        first, *rest = (self.notation.doprint(term) for term in self.notation.addends(whole))
        return [f"= {first}", *rest]

    @property
    def gain_note(self) -> str:
        """How a gain is evaluated that has no closed form, or none for floating point; empty for the others."""
        nonlinearity = self.network.nonlinearity
        notes = []
        if self._with_mean(True) and nonlinearity.gain_with_mean is None:
            notes.append("Neither has a closed form." if not self._with_mean(False) else "Those with a mean have none.")
        if self._with_mean(False) and nonlinearity.needs_series:
            error, largest = (round(math.log10(value)) for value in (ACCEPTED, LARGEST_VARIANCE))
            series = (
                rf"by a Chebyshev series, with a relative error below $10^{{{error}}}$ for $\Delta\le10^{{{largest}}}$"
            )
            stated = nonlinearity.stated_gain is not None
            notes.append(
                f"This form cancels in floating point, and $g$ is evaluated {series}."
                if stated
                else f"It has no closed form, and is evaluated {series}."
            )
        return " ".join(notes)

    @property
    def has_means(self) -> bool:
        """Whether a field has a mean over neurons."""
        return bool(self._with_mean(True))

    @property
    def values(self) -> str:
        """What stands for statistics and gains at a time."""
        values = []
        for one in self.reduction.statistics_of:
            values += [rf"{self.notation.doprint(symbol)}(t)" for symbol in one.definitions]
            if one.activity is not None:
                symbols = self.timed_terms.backward.gain_symbols
                values += [f"{self.notation.scalar(symbols[gain].name)}(t)" for gain in one.gains]
        return ", ".join(f"${value}$" for value in values)

    @property
    def values_of(self) -> str:
        """What values of statistics and gains depend on: the latents of a time, perhaps with the input or columns."""
        arguments = ["$\\kappa(t)$"]
        fields = [column for one in self.reduction.statistics_of for column in one.field.coefficients.values()]
        if any(column.has(self.network.inputs) for column in fields):
            arguments.append(f"${self.notation.letter(self.network.inputs.name)}(t)$")
        return " and ".join(arguments)

    # The time step --------------------------------------------------------------------------------------------------

    @property
    def start(self) -> str:
        """The latents at time 0 that are not zero; empty if there are none."""
        codes = []
        for latent in self.network.latents:
            if (name := latent.symbol.name) in self.reduction.initial:
                pieces = self.timed_terms.pieces(self.reduction.initial[name], self.notation)
                codes.append(f"${self.notation.letter(name)}(0)={' + '.join(pieces).replace('+ -', '- ')}$")
        rest = "" if len(codes) in (0, len(self.network.latents)) else " and zero else"
        return ", ".join(codes) + rest

    @property
    def fed_back(self) -> str:
        """The letter of the output that state equations use; empty if they do not."""
        return self.timed_terms.fed_back.get(self.network.output.name, "")

    @property
    def reduced(self) -> str:
        """What a time step computes, in order: columns, projections, latents and the read-out."""
        terms, output = self.timed_terms, self.network.output
        now = terms.timed(names=terms.fed_back)
        rows = [self._column(node, now) for node in self.reduction.nodes if isinstance(node, Column)]
        rows += [
            (now.doprint(projection.symbol), terms.pieces(self.reduction.projections[projection.symbol.name], now))
            for projection in self.network.projections
            if projection.symbol.name not in self.reduction.columns
            and any(latent.right.has(projection.symbol) for latent in self.network.latents)
        ]
        rows += [self._latent(latent, now) for latent in self.network.latents]
        read = terms.timed(
            latents=int(self.network.reads_after_update),
            gains=int(self.network.gain_after_update),
            names=terms.fed_back,
        )
        rows.append((f"{self.notation.letter(output.name)}(t)", terms.pieces(self.reduction.output, read)))
        return aligned(rows)

    def _column(self, column: Column, now: Notation) -> Row:
        left = now.doprint(column.symbol)
        if column.right is not None:
            return left, self.timed_terms.pieces(column.right, now)
        codes = {variable: now.doprint(argument) for variable, argument in column.arguments}
        assert column.function is not None
        return left, [self.entry_by_entry(column.function, codes, single_entries(column))]

    def entry_by_entry(
        self, function: sympy.Expr, codes: Mapping[sympy.Symbol, str], single: frozenset[sympy.Symbol]
    ) -> str:
        """Return a function of columns; a product has what has one entry first, the others multiplied entry by entry.

        Args:
            function: an expression in the symbols that stand for columns.
            codes: the columns.
            single: the symbols of those that have one entry, and act on all.
        """
        number, product = function.as_coeff_Mul()
        factors = sympy.Mul.make_args(product)
        if any(factor.is_Pow and factor.exp.is_negative for factor in factors):
            return self.model.function(function, codes)
        scalars = [self._gate_factor(f, codes, len(factors) > 1) for f in factors if f.free_symbols <= single]
        columns = [self._gate_factor(f, codes, len(factors) > 1) for f in factors if not f.free_symbols <= single]
        sign, number = ("-", -number) if number.is_negative else ("", number)
        front = [code for code in (self.notation.doprint(number), *scalars) if code != "1"]
        return sign + (r"\,".join([*front, *([r" \odot ".join(columns)] if columns else [])]) or "1")

    def _gate_factor(self, factor: sympy.Expr, codes: Mapping[sympy.Symbol, str], in_product: bool) -> str:
        used = {variable: code for variable, code in codes.items() if factor.has(variable)}
        code = self.model.function(factor, used)
        return rf"\left({code}\right)" if factor.is_Add and in_product else code

    def _latent(self, latent: Latent, now: Notation) -> Row:
        before, after = (
            self.timed_terms.timed(latents=k, names=self.timed_terms.fed_back).doprint(latent.symbol) for k in (0, 1)
        )
        ordered = sorted(self._ordered(latent), key=lambda term: not term.has(latent.symbol))
        pieces = [piece for term in ordered for piece in self.timed_terms.pieces(term, now)]
        if latent.tau is None:
            return after, pieces
        rate = self.notation.doprint(DT / (latent.tau * TAU))
        whole = " + ".join(pieces).replace("+ -", "- ")
        inside = in_brackets(rate, pieces)
        return after, [before, *([rf"{rate}\left[{whole}\right]"] if len(inside) == 1 else inside)]

    def _ordered(self, latent: Latent) -> Iterator[MatrixExpr]:
        """Give the terms of what moves a latent: latents first, then what a step computes, inputs and numbers."""
        order = [*self.reduction.latents.values(), *self._computed, self.network.inputs]
        places = {symbol: place for place, symbol in enumerate(order)}

        def place(term: MatrixExpr) -> int:
            return min((places[s] for s in term.atoms(MatrixSymbol) if s in places), default=len(order))

        expanded = latent.right.expand().doit()
        yield from sorted(expanded.args if expanded.is_MatAdd else (expanded,), key=place)

    @property
    def _computed(self) -> tuple[MatrixSymbol, ...]:
        return (
            *(projection.symbol for projection in self.network.projections),
            *(gate.symbol for gate in self.network.gates),
        )


def single_entries(gate: Column) -> frozenset[sympy.Symbol]:
    """Return the symbols of the arguments of a gate that have one entry, and act on all."""
    return frozenset(variable for variable, argument in gate.arguments if argument.shape[0] == 1)
