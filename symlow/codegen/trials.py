"""Lowering of trials: the reduced dynamics stepped through time, forwards and backwards, as lines of NumPy code.

Forwards only the recurrent latents are stepped in a loop with everything else known before it; all statistics,
gains, columns and read-outs follow for all times at once. Backwards only the cotangents of the recurrent latents are,
and those of the blocks of Sigma are sums over time of outer products, that is matrix products.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import sympy
from sympy import MatrixExpr, MatrixSymbol

from symlow.backward import Cotangents
from symlow.codegen.loop import Loop
from symlow.codegen.numpy_functions import NumpyFunctionPrinter
from symlow.codegen.numpy_rows import Rows, in_product
from symlow.codegen.terms import Term, added_up, terms_of, without_transposes
from symlow.derivation import Derivation
from symlow.reduction import DT, TAU, Column, Statistics

ALPHA = sympy.Symbol("alpha")
"""dt / tau."""


@dataclass(frozen=True)
class TrialCode:
    """Lines of the functions that step trials through time.

    Attributes:
        driven: keys of the latents that are functions of the input alone, in order.
        recurrent: keys of the others.
        driven_start: lines that set driven latents at time 0, where they are not zero.
        driven_before: lines before the loop of the driven latents.
        driven_loop: lines in it.
        start: lines that set recurrent latents at time 0, where they are not zero.
        loop_before: lines before the forward loop.
        loop: lines in it.
        known: names of statistics, gains and columns, in order.
        state: lines that give them at all times.
        slopes: lines that give the derivatives of gains and gates.
        output: the read-out, an expression.
        output_needs: which of the known names the read-out contains.
        output_back: lines from the output's cotangent to latents, statistics, gains and columns.
        back_before: lines before the backward loop.
        back_loop: lines in it.
        back_to: the first time that the backward loop does not reach.
        step_back: lines that add what the steps pass to gains, statistics and columns, for all times.
        blocks: for each visible block of Sigma, its columns of P and the terms of its cotangent.
    """

    driven: tuple[str, ...]
    recurrent: tuple[str, ...]
    driven_start: tuple[str, ...]
    driven_before: tuple[str, ...]
    driven_loop: tuple[str, ...]
    start: tuple[str, ...]
    loop_before: tuple[str, ...]
    loop: tuple[str, ...]
    known: tuple[str, ...]
    state: tuple[str, ...]
    slopes: tuple[str, ...]
    output: str
    output_needs: tuple[str, ...]
    output_back: tuple[str, ...]
    back_before: tuple[str, ...]
    back_loop: tuple[str, ...]
    back_to: int
    step_back: tuple[str, ...]
    blocks: tuple[tuple[str, str, str], ...]

    @property
    def uses_now(self) -> bool:
        """Whether a line that gives the state is for the times of the steps alone."""
        return any("[now]" in line for line in self.state)

    @property
    def needs_ones(self) -> bool:
        """Whether a cotangent is a plain sum."""
        return any("_ONE" in expression for _, _, expression in self.blocks)


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


class TrialLowering:
    """The lowering of one derivation."""

    def __init__(self, derivation: Derivation) -> None:
        self.derivation = derivation
        self.reduction = derivation.reduction
        self.backward = derivation.backward
        self.latents = {key: latent.name for key, latent in self.reduction.latents.items()}
        self.statistics = [symbol.name for symbol in self.reduction.statistics]
        self.gains = [symbol.name for symbol in self.backward.gain_symbols.values()]
        self.columns = {name: f"col_{name}" for name in self.reduction.columns}

    def code(self) -> TrialCode:
        """Return the code of the derivation's trials."""
        recurrent = self.backward.recurrent
        driven = tuple(key for key in self.latents if key not in recurrent)
        driven_loop, loop, back = self._driven_loop(driven), self._loop(), self._back_loop()
        output = self._rows("read").total(self._terms(self.reduction.output))
        known = tuple(self._known_names())
        start = {key: self._start(key) for key in self.latents if self.latents[key] in self.reduction.initial}
        return TrialCode(
            driven=driven,
            recurrent=recurrent,
            driven_start=tuple(start[key] for key in driven if key in start),
            driven_before=tuple(driven_loop.before),
            driven_loop=tuple(driven_loop.body),
            start=tuple(start[key] for key in recurrent if key in start),
            loop_before=(*self._driven_columns(), *loop.before),
            loop=tuple(loop.body),
            known=known,
            state=tuple(self._state()),
            slopes=tuple(self._slopes()),
            output=output,
            output_needs=tuple(name for name in known if name in self._names_in(output)),
            output_back=tuple(self._output_back()),
            back_before=tuple(back.before),
            back_loop=tuple(back.body),
            back_to=-1 if self.backward.initial.blocks else 0,
            step_back=tuple(self._step_back()),
            blocks=tuple(self._blocks()),
        )

    def _names_in(self, code: str) -> set[str]:
        return {part.split("[")[0] for part in code.replace("(", " ").replace(")", " ").replace(",", " ").split()}

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

    # Forwards -------------------------------------------------------------------------------------------------------

    def _start(self, key: str) -> str:
        name = self.latents[key]
        return f"{name}[0] = {self._rows().total(self._terms(self.reduction.initial[name]))}"

    def _driven_loop(self, driven: tuple[str, ...]) -> Loop:
        columns = [column for name, column in self.reduction.columns.items() if name not in self.backward.moving]
        live = [*(self.latents[key] for key in driven), *(column.symbol.name for column in columns)]
        names = {str(column.symbol.name): self.columns[column.symbol.name] for column in columns}
        loop = Loop(frozenset(live), self._rows("t", **names), self._rows("now"))
        used = any(self.reduction.uses(self.latents[key], column.symbol) for key in driven for column in columns)
        for column in columns if used else ():
            self._assign_column(loop, column)
        for key in driven:
            loop.assign(f"{self.latents[key]}[t + 1]", self._terms(self.reduction.step[self.latents[key]]))
        return loop

    def _driven_columns(self) -> Iterator[str]:
        """Give the columns that are functions of the input alone, at all times."""
        if any(name in self.backward.moving for name in self.columns) or self.backward.recurrent:
            for name, column in self.reduction.columns.items():
                if name not in self.backward.moving:
                    yield self._column_line(column, "now")

    def _loop(self) -> Loop:
        recurrent = [self.latents[key] for key in self.backward.recurrent]
        moving = [name for name in self.columns if name in self.backward.moving]
        live = frozenset([*recurrent, *self.statistics, *self.gains, *moving])
        names = {name: f"{name}_t" for name in recurrent}
        names |= {name: self.columns[name] for name in moving} | {
            name: name for name in (*self.statistics, *self.gains)
        }
        outside = self._rows("now", **{n: f"{c}" for n, c in self.columns.items() if n not in moving})
        loop = Loop(live, self._rows("t", **names), outside)
        loop.body += [f"{name}_t = {name}[t]" for name in recurrent]
        for node in self.reduction.nodes if recurrent else ():
            if isinstance(node, Statistics):
                for symbol, expression in node.definitions.items():
                    loop.assign(symbol.name, self._terms(expression))
                loop.body += list(self._gain_lines(node))
            elif node.symbol.name in moving:
                self._assign_column(loop, node)
        for name in recurrent:
            loop.assign(f"{name}[t + 1]", self._terms(self.reduction.step[name]))
        return loop

    def _assign_column(self, loop: Loop, column: Column) -> None:
        target = self.columns[column.symbol.name]
        if column.right is not None:
            loop.assign(target, self._terms(column.right))
        else:
            names = loop.inside.names
            codes = {variable: names[self._plain_name(argument)] for variable, argument in column.arguments}
            loop.body.append(f"{target} = {_gate_code(column.function, codes)}")

    def _plain_name(self, argument: MatrixSymbol) -> str:
        return str(self._inputs.name if argument == self.derivation.network.inputs else argument.name)

    def _column_line(self, column: Column, moment: str) -> str:
        target, rows = self.columns[column.symbol.name], self._rows(moment)
        if column.right is not None:
            return f"{target} = {rows.total(self._terms(column.right))}"
        codes = {variable: rows.names[self._plain_name(argument)] for variable, argument in column.arguments}
        return f"{target} = {_gate_code(column.function, codes)}"

    def _arguments(self, node: Statistics) -> str:
        """Return the arguments of gains; where only other populations have means, they have the mean 0 here."""
        names = [symbol.name for symbol in node.definitions]
        without = self.derivation.network.has_means and node.activity is None
        return ", ".join([*(f"np.zeros_like({name})" for name in names if without), *names])

    def _gain_lines(self, node: Statistics) -> Iterator[str]:
        arguments = self._arguments(node)
        for gain in node.gains:
            yield f"{self.backward.gain_symbols[gain].name} = _{gain.func.__name__}({arguments})"

    def _known_names(self) -> Iterator[str]:
        for node in self.reduction.nodes:
            if isinstance(node, Column):
                yield self.columns[node.symbol.name]
            else:
                yield from (symbol.name for symbol in node.definitions)
                yield from (self.backward.gain_symbols[gain].name for gain in node.gains)

    def _state(self) -> Iterator[str]:
        """Give statistics, gains and columns at all times, or at those of the steps where they contain the input."""
        for node in self.reduction.nodes:
            if isinstance(node, Column):
                yield self._column_line(node, "now" if node.symbol.name in self._with_inputs else "")
                continue
            for symbol, expression in node.definitions.items():
                rows = self._rows("now" if symbol.name in self._with_inputs else "")
                yield f"{symbol.name} = {rows.total(self._terms(expression))}"
            yield from self._gain_lines(node)

    # Backwards ------------------------------------------------------------------------------------------------------

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
                    slope = sympy.diff(_stable(column.function), variable)
                    found[f"slope_{gate}_{number}"] = (gate, argument.name, slope)
        return found

    def _slopes(self) -> Iterator[str]:
        for one in self.reduction.statistics_of:
            arguments = self._arguments(one)
            for symbol in one.definitions:
                plain = symbol.name.removesuffix(f"_{one.field.name}") if one.field.name else symbol.name
                yield f"g_{symbol.name} = _g_{plain}({arguments})"
        for name, (gate, _, slope) in self._gate_slopes.items():
            column = self.reduction.columns[gate]
            rows = self._rows("now" if gate in self._with_inputs else "")
            codes = {variable: rows.names[self._plain_name(argument)] for variable, argument in column.arguments}
            yield f"{name} = {_gate_code(slope, codes)}"

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
                through = tuple(
                    (slope, gate, self._sizes[name] == 1 < self._sizes[gate])
                    for slope, (gate, argument, _) in self._gate_slopes.items()
                    if argument == name and gate in present
                )
                if terms or through:
                    yield _Bar(name, tuple(terms), through)
                    passed = {**self.backward.statistics, **self.backward.columns}
                    present[name] = passed.get(name, Cotangents({}, {}, {}, {}))

    def _passed(self, part: Cotangents, name: str) -> tuple[Term, ...]:
        found = part.scalars.get(name, part.columns.get(name))
        return () if found is None else self._terms(found)

    def _passed_to_latent(self, sources: Iterable[Cotangents], key: str) -> list[Term]:
        return [term for part in sources if key in part.latents for term in self._terms(part.latents[key])]

    def _gates_to_latent(self, key: str, present: Iterable[str]) -> list[tuple[str, str, bool]]:
        name = self.latents[key]
        return [
            (slope, gate, self._sizes[name] == 1 < self._sizes[gate])
            for slope, (gate, argument, _) in self._gate_slopes.items()
            if argument == name and gate in present
        ]

    def _through(self, rows: Rows, through: Iterable[tuple[str, str, bool]]) -> list[str]:
        """Return what gates pass back, as code."""
        parts = []
        for slope, gate, summed in through:
            left, right = rows.names[slope], rows.names[f"{gate}bar"]
            parts.append(f"_dot({left}, {right})" if summed else f"{left} * {right}")
        return parts

    def _sum(self, rows: Rows, terms: tuple[Term, ...], through: Iterable[tuple[str, str, bool]]) -> str:
        return " + ".join([*([rows.total(terms)] if terms else []), *self._through(rows, through)])

    def _output_back(self) -> Iterator[str]:
        direct = self.backward.output
        rows, at_gain = self._rows("read"), self._rows("at")
        bars = list(self._bars(direct))
        for bar in bars:
            yield f"{rows.names[f'{bar.name}bar']} = {self._sum(rows, bar.terms, bar.through)}"
        present = [bar.name for bar in bars]
        for key in self.backward.recurrent:
            if key in direct.latents:
                yield f"kappa_{key}_bar[read] += {rows.total(self._terms(direct.latents[key]))}"
        sources = [part for name, part in self._parts.items() if name in present]
        for key in self.backward.recurrent:
            terms = self._passed_to_latent(sources, key)
            through = self._gates_to_latent(key, present)
            if terms or through:
                yield f"kappa_{key}_bar[at] += {self._sum(at_gain, tuple(terms), through)}"

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
            loop.before += [f"lambda_{recurrent[0]} = 1.0"]
            loop.before += [f"{target} = {self._sum(rows, terms, through)}" for target, terms, through in before]
            loop.before += [f"passed = {self._sum(rows, terms, through)}"]
            loop.body += [f"{bar}[t] += passed{moment} * {bar}[t + 1]"]
            return loop
        loop.body += [f"lambda_{key} = kappa_{key}_bar[t + 1]" for key in recurrent]
        for target, terms, through in statements:
            operator = "+=" if target.endswith("[t]") else "="
            loop.assign(target, terms, operator, self._through(loop.inside, through))
        return loop

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

    def _step_back(self) -> Iterator[str]:
        rows = self._step_rows()
        in_output = {bar.name for bar in self._bars(self.backward.output)}
        for bar in self._bars(self.backward.step):
            yield f"{rows.names[f'{bar.name}bar']} = {self._sum(rows, bar.terms, bar.through)}"
        for bar in self._bars(self.backward.step):
            code = self.columns.get(bar.name, bar.name)
            if bar.name not in in_output or bar.name not in self._parts:
                continue
            if bar.name in self._with_inputs:
                yield f"{code}_total = {code}_bar + {code}_step"
            else:
                yield f"{code}_total = np.zeros((steps + 1, *{code}_bar.shape[1:]), {code}_bar.dtype)"
                yield f"{code}_total[at] = {code}_bar"
                yield f"{code}_total[now] += {code}_step"

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

    def _blocks(self) -> Iterator[tuple[str, str, str]]:
        """Give for each visible block where it stands in Sigma, and its cotangent summed over time and batch."""
        places = list(self._places())
        for (a, b), symbol in self.reduction.index.blocks.items():
            sums: list[str] = []
            for rows, cotangents in places:
                if symbol.name in cotangents.blocks:
                    sums += self._summed(rows, self._terms(cotangents.blocks[symbol.name]))
            if sums:
                yield f"P_{a.upper()}", f"P_{b.upper()}", " + ".join(sums)

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


def _gate_code(function: sympy.Expr | None, codes: Mapping[sympy.Symbol, str]) -> str:
    """Return the code of a function of columns, entry by entry."""
    return str(NumpyFunctionPrinter(codes).doprint(_stable(function)))


def _stable(function: sympy.Expr | None) -> sympy.Expr:
    """Return a function with the logistic function as (1 + tanh(s/2)) / 2, which no argument makes overflow."""
    assert function is not None
    s = sympy.Wild("s")
    return function.replace(1 / (1 + sympy.exp(-s)), (1 + sympy.tanh(s / 2)) / 2)


def lower_trials(derivation: Derivation) -> TrialCode:
    """Return the code of the functions that step a derivation's trials through time."""
    return TrialLowering(derivation).code()
