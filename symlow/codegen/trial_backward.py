"""Lowering of trials backwards in time: cotangents of recurrent latents in a loop, sums over time for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import sympy

from symlow.backward import Cotangents
from symlow.codegen.loop import Loop
from symlow.codegen.numpy_rows import Rows, in_product
from symlow.codegen.statements import Statement
from symlow.codegen.terms import Term
from symlow.codegen.trial_names import ALPHA, TrialNames, gate_code
from symlow.reduction import Column


@dataclass(frozen=True)
class _Bar:
    """The cotangent of a gain, statistic or column: terms, and what gates pass to it.

    Attributes:
        name: what it is the cotangent of.
        terms: its terms.
        through: names of slopes of gates, each with the gate and whether its entries are summed.
    """

    name: str
    terms: tuple[Term, ...]
    through: tuple[tuple[str, str, bool], ...]


class TrialBackward(TrialNames):
    """The backward pass of one derivation."""

    def _slopes(self) -> Iterator[Statement]:
        for one in self.reduction.statistics_of:
            arguments = self._arguments(one)
            for symbol in one.definitions:
                plain = symbol.name.removesuffix(f"_{one.field.name}") if one.field.name else symbol.name
                yield Statement(f"g_{symbol.name}", f"_g_{plain}({arguments})")
        for name, (gate, _, slope) in self._gate_slopes.items():
            column = self.reduction.columns[gate]
            rows = self._rows("now" if gate in self._with_inputs else "")
            codes = {variable: rows.names[self._plain_name(argument)] for variable, argument in column.arguments}
            yield Statement(name, gate_code(slope, codes))

    def _bars(self, direct: Cotangents) -> Iterator[_Bar]:
        """Give the cotangents of gains, statistics and columns in the order in which they can be computed.

        Each is what reaches it from ``direct``, through gains, and from those that were computed before it.
        """
        present: dict[str, Cotangents] = {}
        for node in reversed(self.reduction.nodes):
            if isinstance(node, Column):
                names = [str(node.symbol.name)] if node.symbol.name in self.backward.moving else []
            else:
                gains = [self.backward.gain_symbols[gain].name for gain in node.gains]
                names = [*gains, *(symbol.name for symbol in reversed(list(node.definitions)))]
            for name in names:
                terms = [term for part in (direct, *present.values()) for term in self._passed(part, name)]
                for gain, slope in self.backward.gain_slopes.get(name, {}).items():
                    if gain in present:
                        terms.append(Term(slope * sympy.Symbol(f"{gain}bar")))
                through = tuple(self._through_to(name, present))
                if terms or through:
                    yield _Bar(name, tuple(terms), through)
                    passed = {**self.backward.statistics, **self.backward.columns}
                    present[name] = passed.get(name, Cotangents({}, {}, {}, {}))

    def _passed(self, part: Cotangents, name: str) -> tuple[Term, ...]:
        found = part.scalars.get(name, part.columns.get(name))
        return () if found is None else self._terms(found)

    def _passed_to_latent(self, sources: Iterable[Cotangents], key: str) -> list[Term]:
        return [term for part in sources if key in part.latents for term in self._terms(part.latents[key])]

    def _through_to(self, name: str, present: Iterable[str]) -> list[tuple[str, str, bool]]:
        """Return the gates whose cotangents are known that pass something to a column: slope, gate, whether summed."""
        return [
            (slope, gate, self._sizes[name] == 1 < self._sizes[gate])
            for slope, (gate, argument, _) in self._gate_slopes.items()
            if argument == name and gate in present
        ]

    def _gates_to_latent(self, key: str, present: Iterable[str]) -> list[tuple[str, str, bool]]:
        return self._through_to(self.latents[key], present)

    def _through(self, rows: Rows, through: Iterable[tuple[str, str, bool]]) -> list[str]:
        """Return what gates pass back, as code."""
        parts = []
        for slope, gate, summed in through:
            left, right = rows.names[slope], rows.names[f"{gate}bar"]
            parts.append(f"_dot({left}, {right})" if summed else f"{left} * {right}")
        return parts

    def _sum(self, rows: Rows, terms: tuple[Term, ...], through: Iterable[tuple[str, str, bool]]) -> str:
        return " + ".join([*([rows.total(terms)] if terms else []), *self._through(rows, through)])

    def _output_back(self) -> Iterator[Statement]:
        direct = self.backward.output
        rows, at_gain = self._rows("read"), self._rows("at")
        bars = list(self._bars(direct))
        for bar in bars:
            yield Statement(rows.names[f"{bar.name}bar"], self._sum(rows, bar.terms, bar.through))
        present = [bar.name for bar in bars]
        for key in self.backward.recurrent:
            if key in direct.latents:
                yield Statement(f"kappa_{key}_bar", rows.total(self._terms(direct.latents[key])), "read", adds=True)
        sources = [part for name, part in self._parts.items() if name in present]
        for key in self.backward.recurrent:
            terms = self._passed_to_latent(sources, key)
            through = self._gates_to_latent(key, present)
            if terms or through:
                yield Statement(f"kappa_{key}_bar", self._sum(at_gain, tuple(terms), through), "at", adds=True)

    @cached_property
    def _parts(self) -> Mapping[str, Cotangents]:
        """What statistics and columns that are no gates pass back, by name."""
        return {**self.backward.statistics, **self.backward.columns}

    def _back_loop(self) -> Loop:
        recurrent = self.backward.recurrent
        bars = [f"{name}bar" for name in (*self.statistics, *self.gains, *self.columns)]
        live = frozenset([*(f"lambda_{key}" for key in recurrent), *bars])
        names = {f"lambda_{key}": f"lambda_{key}" for key in recurrent}
        names |= {bar: f"{self._code_of_bar(bar)}_t" for bar in bars}
        loop = Loop(live, self._rows("t", **names), self._rows("now"))
        statements = list(self._back_statements())
        if len(recurrent) == 1 and self._sizes[f"lambda_{recurrent[0]}"] == 1 and statements:
            # With one entry, the whole step is one factor for each time: what a cotangent of 1 becomes.
            rows = self._rows("now", **names)
            bar, moment = f"kappa_{recurrent[0]}_bar", "[t]" if self._varies(statements) else ""
            *before, (_, terms, through) = statements
            loop.before += [Statement(f"lambda_{recurrent[0]}", "1.0")]
            loop.before += [Statement.to(target, self._sum(rows, terms, through)) for target, terms, through in before]
            loop.before += [Statement("passed", self._sum(rows, terms, through))]
            loop.body += [Statement(bar, f"passed{moment} * {bar}[t + 1]", "t", adds=True)]
            return loop
        loop.body += [Statement(f"lambda_{key}", f"kappa_{key}_bar[t + 1]") for key in recurrent]
        for target, terms, through in statements:
            loop.assign(target, terms, target.endswith("[t]"), self._through(loop.inside, through))
        return loop

    @property
    def _back_to(self) -> int:
        """The first time that the backward loop does not reach."""
        return -1 if self.backward.initial.blocks else 0

    def _back_at_once(self, loop: Loop) -> tuple[str, ...]:
        """Return the line that runs a backward loop of one factor for each time, if it is one."""
        if not loop.body or not loop.body[-1].value.startswith("passed"):
            return ()
        part = f"[{self._back_to + 1}:][::-1]"
        moment = part if loop.body[-1].value.startswith("passed[t]") else "[None]"
        return (f"_accumulate({loop.body[-1].target}{part}, passed{moment})",)

    def _varies(self, statements: Iterable[tuple[str, tuple[Term, ...], tuple[tuple[str, str, bool], ...]]]) -> bool:
        """Whether what the last of the statements assigns changes in time if the cotangents of latents do not."""
        rows = self._rows("now")
        over_time = {name for name in rows.names if not name.startswith("lambda_") and not name.endswith("bar")}
        over_time -= self._constants
        found = False
        for target, terms, through in statements:
            slopes = any({slope, f"{gate}bar"} & over_time for slope, gate, _ in through)
            found = slopes or any(term.touches(frozenset(over_time)) for term in terms)
            if found:
                over_time |= {name for name in rows.names if f"{self._code_of_bar(name)}_t" == target}
        return found

    def _code_of_bar(self, bar: str) -> str:
        name = bar.removesuffix("bar")
        return f"{self.columns.get(name, name)}_bar"

    def _back_statements(self) -> Iterator[tuple[str, tuple[Term, ...], tuple[tuple[str, str, bool], ...]]]:
        """Give what a step backwards assigns: cotangents of gains, statistics and columns, then those of latents."""
        direct = self.backward.step
        bars = list(self._bars(direct))
        for bar in bars:
            yield f"{self._code_of_bar(f'{bar.name}bar')}_t", bar.terms, bar.through
        present = [bar.name for bar in bars]
        sources = [direct, *(part for name, part in self._parts.items() if name in present)]
        for key in self.backward.recurrent:
            moved, through = self._passed_to_latent(sources, key), self._gates_to_latent(key, present)
            if moved or through:
                yield f"kappa_{key}_bar[t]", tuple(moved), tuple(through)

    def _step_back(self) -> Iterator[Statement]:
        rows = self._step_rows()
        in_output = {bar.name for bar in self._bars(self.backward.output)}
        for bar in self._bars(self.backward.step):
            yield Statement(rows.names[f"{bar.name}bar"], self._sum(rows, bar.terms, bar.through))
        for bar in self._bars(self.backward.step):
            code = self.columns.get(bar.name, bar.name)
            if bar.name not in in_output or bar.name not in self._parts:
                continue
            if bar.name in self._with_inputs:
                yield Statement(f"{code}_total", f"{code}_bar + {code}_step")
            else:
                zeros = f"np.zeros((steps + 1, *{code}_bar.shape[1:]), {code}_bar.dtype)"
                yield Statement(f"{code}_total", zeros)
                yield Statement(f"{code}_total", f"{code}_bar", "at")
                yield Statement(f"{code}_total", f"{code}_step", "now", adds=True)

    def _step_rows(self) -> Rows:
        bars = [f"{name}bar" for name in (*self.statistics, *self.gains, *self.columns)]
        return self._rows("now", "[1:]", **{bar: self._code_of_bar(bar).removesuffix("_bar") + "_step" for bar in bars})

    def _places(self) -> Iterator[tuple[Rows, Cotangents]]:
        """Give all that passes something to blocks of Sigma, with how to print it."""
        yield self._rows("read"), self.backward.output
        yield self._step_rows(), self.backward.step
        in_output = {bar.name for bar in self._bars(self.backward.output)}
        in_step = {bar.name for bar in self._bars(self.backward.step)}
        for name, part in self._parts.items():
            code = self.columns.get(name, name)
            if name in in_output and name in in_step:
                yield self._rows("now" if name in self._with_inputs else "", **{f"{name}bar": f"{code}_total"}), part
            elif name in in_output:
                yield self._rows("at"), part
            elif name in in_step:
                yield self._step_rows(), part
        yield self._rows("", "[:1]"), self.backward.initial

    def _blocks(self) -> Iterator[Statement]:
        """Give the cotangent of each visible block, summed over time and batch."""
        places = list(self._places())
        for (a, b), symbol in self.reduction.index.blocks.items():
            sums: list[str] = []
            for rows, cotangents in places:
                if symbol.name in cotangents.blocks:
                    sums += self._summed(rows, self._terms(cotangents.blocks[symbol.name]))
            if sums:
                yield Statement("Sigma_bar", " + ".join(sums), f"..., P_{a.upper()}, P_{b.upper()}")

    def _summed(self, rows: Rows, terms: tuple[Term, ...]) -> Iterator[str]:
        """Give sums over time and batch of outer products, those with the same row together."""
        groups: dict[str, list[Term]] = {}
        for term in terms:
            right = "_ONE" if term.row is None else rows.chain(term.row)
            groups.setdefault(right, []).append(Term(term.coefficient, term.dots, term.column))
        for right, lefts in groups.items():
            left = rows.total(lefts)
            if not any(term.column or term.dots or term.coefficient.free_symbols - {ALPHA} for term in lefts):
                left = f"{in_product(left)} * _ONE"  # a number, which has no axes to be summed over
            yield f"_summed({left}, {right})"
