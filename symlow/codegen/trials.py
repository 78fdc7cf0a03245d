"""Lowering of trials: the reduced dynamics stepped through time, forwards and backwards, as lines of NumPy code.

Forwards only the recurrent latents are stepped in a loop with everything else known before it; all statistics, gains
and read-outs follow for all times at once. Backwards only the cotangents of the recurrent latents are, and those of the
blocks of Sigma are sums over time of outer products, that is matrix products.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import sympy
from sympy import MatrixExpr, MatrixSymbol

from symlow.backward import Cotangents
from symlow.codegen.loop import Loop
from symlow.codegen.numpy_rows import Rows
from symlow.codegen.terms import Term, added_up, terms_of, without_transposes
from symlow.derivation import Derivation
from symlow.reduction import DT, TAU

ALPHA = sympy.Symbol("alpha")
"""dt / tau."""


@dataclass(frozen=True)
class TrialCode:
    """Lines of the functions that step trials through time.

    Attributes:
        driven: carriers whose latents are filters of the input, in order.
        recurrent: carriers of the others.
        driven_before: lines before the loop of the driven latents.
        driven_loop: lines in it.
        loop_before: lines before the forward loop.
        loop: lines in it.
        statistics: lines that give statistics and gains at all times.
        slopes: lines that give the derivatives of the gains.
        output: the read-out, an expression.
        output_back: lines from the output's cotangent to latents, statistics and gains.
        back_before: lines before the backward loop.
        back_loop: lines in it.
        step_back: lines that add what the steps pass to gains and statistics, for all times.
        blocks: for each visible block of Sigma, its columns of P and the terms of its cotangent.
    """

    driven: tuple[str, ...]
    recurrent: tuple[str, ...]
    driven_before: tuple[str, ...]
    driven_loop: tuple[str, ...]
    loop_before: tuple[str, ...]
    loop: tuple[str, ...]
    statistics: tuple[str, ...]
    slopes: tuple[str, ...]
    output: str
    output_back: tuple[str, ...]
    back_before: tuple[str, ...]
    back_loop: tuple[str, ...]
    step_back: tuple[str, ...]
    blocks: tuple[tuple[str, str, str], ...]


class TrialLowering:
    """The lowering of one derivation."""

    def __init__(self, derivation: Derivation) -> None:
        self.derivation = derivation
        self.reduction = derivation.reduction
        self.backward = derivation.backward
        self.latents = {carrier: latent.name for carrier, latent in self.reduction.latents.items()}
        self.statistics = [symbol.name for symbol in self.reduction.statistics]
        self.gains = [symbol.name for symbol in self.backward.gain_symbols.values()]

    def code(self) -> TrialCode:
        """Return the code of the derivation's trials."""
        recurrent = self.backward.recurrent
        driven = tuple(carrier for carrier in self.latents if carrier not in recurrent)
        driven_loop, loop, back = self._driven_loop(driven), self._loop(), self._back_loop()
        return TrialCode(
            driven=driven,
            recurrent=recurrent,
            driven_before=tuple(driven_loop.before),
            driven_loop=tuple(driven_loop.body),
            loop_before=tuple(loop.before),
            loop=tuple(loop.body),
            statistics=tuple(self._statistics()),
            slopes=tuple(f"{name} = _{name}({', '.join(self.statistics)})" for name in self._slope_names()),
            output=self._rows(latents="[read]", gains="[at]").total(self._terms(self.reduction.output)),
            output_back=tuple(self._output_back()),
            back_before=tuple(back.before),
            back_loop=tuple(back.body),
            step_back=tuple(self._step_back()),
            blocks=tuple(self._blocks()),
        )

    # Terms and names ------------------------------------------------------------------------------------------------

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
        return [*self.latents.values(), self._inputs.name, *cotangents, "ybar"]

    @cached_property
    def _inputs(self) -> MatrixSymbol:
        return MatrixSymbol("x", *self.derivation.network.inputs.shape)

    @cached_property
    def _scalar_names(self) -> list[str]:
        return [f"{name}bar" for name in (*self.statistics, *self.gains)]

    @cached_property
    def _block_codes(self) -> Mapping[tuple[str, bool], str]:
        codes = {}
        for (a, b), symbol in self.reduction.index.blocks.items():
            codes[symbol.name, True] = f"Sigma[..., P_{a.upper()}, P_{b.upper()}]"
            codes[symbol.name, False] = f"Sigma[..., P_{b.upper()}, P_{a.upper()}]"
        return codes

    @cached_property
    def _sizes(self) -> Mapping[str, int]:
        """Number of entries of each column."""
        sizes = {latent.name: latent.rows for latent in self.reduction.latents.values()}
        sizes |= {symbol.name: symbol.rows for symbol in self.backward.next_cotangents.values()}
        loss = self.derivation.loss
        return {**sizes, "ybar": loss.outputs, self._inputs.name: loss.inputs}

    @cached_property
    def _widths(self) -> Mapping[tuple[str, bool], int]:
        """Number of columns of each block, by name and whether it is transposed."""
        blocks = self.reduction.index.blocks.values()
        return {(b.name, turned): b.shape[0 if turned else 1] for b in blocks for turned in (False, True)}

    def _rows(self, latents: str = "", gains: str = "", cotangents: str = "", **names: str) -> Rows:
        """Return how to print for all times, with the given slice of time for each kind of array."""
        code = {name: f"{name}{latents}" for name in self.latents.values()}
        code |= {name: f"{name}{gains}" for name in (*self.statistics, *self.gains, *self._slope_names())}
        code |= {f"{name}bar": f"{name}_bar" for name in (*self.statistics, *self.gains)}
        code |= {f"lambda_{carrier}": f"kappa_{carrier}_bar{cotangents}" for carrier in self.latents}
        code |= {self._inputs.name: "x", "ybar": "y_bar", "alpha": "ALPHA"}
        return Rows({**code, **names}, self._block_codes, self._sizes, self._widths, frozenset(["alpha"]))

    # Forwards -------------------------------------------------------------------------------------------------------

    def _driven_loop(self, driven: tuple[str, ...]) -> Loop:
        names = [self.latents[carrier] for carrier in driven]
        inside = self._rows(latents="[t]")
        loop = Loop(frozenset(names), inside, self._rows())
        for name in names:
            loop.assign(f"{name}[t + 1]", self._terms(self.reduction.step[name]))
        return loop

    def _loop(self) -> Loop:
        recurrent = [self.latents[carrier] for carrier in self.backward.recurrent]
        live = frozenset([*recurrent, *self.statistics, *self.gains])
        loop = Loop(live, self._rows(**{name: f"{name}_t" for name in recurrent}), self._rows(latents="[now]"))
        loop.body += [f"{name}_t = {name}[t]" for name in recurrent]
        if recurrent:
            for symbol, expression in self.reduction.statistics.items():
                loop.assign(symbol.name, self._terms(expression))
            loop.body += [self._gain_line(name) for name in self.gains]
        for name in recurrent:
            loop.assign(f"{name}[t + 1]", self._terms(self.reduction.step[name]))
        return loop

    def _gain_line(self, name: str) -> str:
        return f"{name} = _{name}({', '.join(self.statistics)})"

    def _statistics(self) -> Iterable[str]:
        for symbol, expression in self.reduction.statistics.items():
            yield f"{symbol.name} = {self._rows().total(self._terms(expression))}"
        yield from (self._gain_line(name) for name in self.gains)

    # Backwards ------------------------------------------------------------------------------------------------------

    def _slope_names(self) -> list[str]:
        """Names of the derivatives of gains by statistics that are functions of their own."""
        return [f"g_{statistic}" for statistic in self.statistics] if self.gains else []

    def _statistic_terms(self, statistic: str, direct: Cotangents) -> tuple[Term, ...]:
        """Return the cotangent of a statistic: what reaches it directly, through gains and through later statistics."""
        terms = list(self._terms(direct.scalars[statistic])) if statistic in direct.scalars else []
        for gain, slope in self.backward.gain_slopes[statistic].items():
            if gain in direct.scalars:
                terms.append(Term(slope * sympy.Symbol(f"{gain}bar")))
        for later in self.statistics[self.statistics.index(statistic) + 1 :]:
            passed = self.backward.statistics[later].scalars
            if statistic in passed:
                terms += self._terms(passed[statistic])
        return tuple(terms)

    def _scalar_cotangents(self, direct: Cotangents) -> Iterable[tuple[str, tuple[Term, ...]]]:
        """Return the cotangents of gains and statistics in the order in which they can be computed."""
        for gain in self.gains:
            if gain in direct.scalars:
                yield gain, self._terms(direct.scalars[gain])
        for statistic in reversed(self.statistics):
            yield statistic, self._statistic_terms(statistic, direct)

    def _output_back(self) -> Iterable[str]:
        direct = self.backward.output
        rows = self._rows(latents="[read]", gains="[at]")
        for name, terms in self._scalar_cotangents(direct):
            yield f"{name}_bar = {rows.total(terms)}"
        for carrier in self.backward.recurrent:
            if carrier in direct.latents:
                target = f"kappa_{carrier}_bar[read]"
                yield f"{target} += {rows.total(self._terms(direct.latents[carrier]))}"
        at_gain = self._rows(latents="[at]")
        for statistic in self.statistics:
            passed = self.backward.statistics[statistic].latents
            for carrier in self.backward.recurrent:
                if carrier in passed:
                    target = f"kappa_{carrier}_bar[at]"
                    yield f"{target} += {at_gain.total(self._terms(passed[carrier]))}"

    def _back_loop(self) -> Loop:
        recurrent = self.backward.recurrent
        live = frozenset([*(f"lambda_{c}" for c in recurrent), *self._scalar_names])
        names = {f"lambda_{c}": f"lambda_{c}" for c in recurrent}
        names |= {name: name.removesuffix("bar") + "_bar_t" for name in self._scalar_names}
        loop = Loop(live, self._rows(**names), self._rows(latents="[now]", gains="[now]"))
        statements = list(self._back_statements())
        if len(recurrent) == 1 and self._sizes[f"lambda_{recurrent[0]}"] == 1:
            # With one entry, the whole step is one factor for each time: what a cotangent of 1 becomes.
            rows = self._rows(latents="[now]", gains="[now]", **names)
            bar, moment = f"kappa_{recurrent[0]}_bar", "[t]" if self.statistics else ""
            *scalars, (_, last) = statements
            loop.before += [f"lambda_{recurrent[0]} = 1.0"]
            loop.before += [f"{target} = {rows.total(terms)}" for target, terms in scalars]
            loop.before += [f"passed = {rows.total(last)}"]
            loop.body += [f"{bar}[t] += passed{moment} * {bar}[t + 1]"]
            return loop
        loop.body += [f"lambda_{c} = kappa_{c}_bar[t + 1]" for c in recurrent]
        for target, terms in statements:
            loop.assign(target, terms, "+=" if target.endswith("[t]") else "=")
        return loop

    def _back_statements(self) -> Iterable[tuple[str, tuple[Term, ...]]]:
        """Return what a step backwards in time assigns: cotangents of gains and statistics, then those of latents."""
        direct = self.backward.step
        for name, terms in self._scalar_cotangents(direct):
            yield f"{name}_bar_t", terms
        for carrier in self.backward.recurrent:
            sources = [direct, *(self.backward.statistics[statistic] for statistic in self.statistics)]
            moved = [term for part in sources if carrier in part.latents for term in self._terms(part.latents[carrier])]
            if moved:
                yield f"kappa_{carrier}_bar[t]", tuple(moved)

    def _step_back(self) -> Iterable[str]:
        rows = self._rows(latents="[now]", gains="[now]", cotangents="[1:]", **self._step_bars())
        for name, terms in self._scalar_cotangents(self.backward.step):
            yield f"{name}_step = {rows.total(terms)}"

    def _step_bars(self) -> dict[str, str]:
        return {name: name.removesuffix("bar") + "_step" for name in self._scalar_names}

    def _blocks(self) -> Iterable[tuple[str, str, str]]:
        """Return for each visible block where it stands in Sigma, and its cotangent summed over time and batch."""
        output = self._rows(latents="[read]", gains="[at]")
        step = self._rows(latents="[now]", gains="[now]", cotangents="[1:]", **self._step_bars())
        both = self._rows(**{f"{name}bar": f"{name}_total" for name in self.statistics})
        places = [(output, self.backward.output), (step, self.backward.step)]
        places += [(both, self.backward.statistics[statistic]) for statistic in self.statistics]
        for (a, b), symbol in self.reduction.index.blocks.items():
            sums: list[str] = []
            for rows, cotangents in places:
                if symbol.name in cotangents.blocks:
                    sums += self._summed(rows, self._terms(cotangents.blocks[symbol.name]))
            if sums:
                yield f"P_{a.upper()}", f"P_{b.upper()}", " + ".join(sums)

    def _summed(self, rows: Rows, terms: tuple[Term, ...]) -> Iterable[str]:
        """Return sums over time and batch of outer products, those with the same row together."""
        groups: dict[str, list[Term]] = {}
        for term in terms:
            right = "_ONE" if term.row is None else rows.chain(term.row)
            groups.setdefault(right, []).append(Term(term.coefficient, term.dots, term.column))
        for right, lefts in groups.items():
            yield f"_summed({rows.total(lefts)}, {right})"


def lower_trials(derivation: Derivation) -> TrialCode:
    """Return the code of the functions that step a derivation's trials through time."""
    return TrialLowering(derivation).code()
