"""The reduced dynamics and its backpropagation as LaTeX, with the time of everything in them.

At time t the latents kappa(t) have the statistics and gains of time t, and a step takes them to t + dt. The output
y(t) is that of the step at t: it reads latents and gain of t or t + dt, whichever the read-out says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise

import sympy
from sympy import MatrixExpr

from symlow.backward import Cotangents
from symlow.derivation import Derivation
from symlow.nonlinearity.integrals import LARGEST_VARIANCE
from symlow.nonlinearity.series import ACCEPTED
from symlow.printing.latex_lines import aligned, bracketed, width
from symlow.printing.notation import SCALARS, Notation
from symlow.printing.terms import Group, Term, Terms
from symlow.reduction import ACTIVITY
from symlow.tasks.trials import TrialsLoss

MOMENTS = {-1: r"t-\mathrm{d}t", 0: "t", 1: r"t+\mathrm{d}t"}
"""Times by their distance to t in steps."""

UNBROKEN = 52
"""Brackets that are less wide than this are not broken between lines."""

Row = tuple[str, Sequence[str]]


class Dynamics:
    """The equations of one derivation."""

    def __init__(self, derivation: Derivation, notation: Notation) -> None:
        self.derivation = derivation
        self.notation = notation
        self.network = derivation.network
        self.reduction = derivation.reduction
        self.backward = derivation.backward
        self.terms = Terms(derivation.backward)
        self.read = int(self.network.reads_after_update)
        self.gain_at = int(self.network.gain_after_update)

    # Forwards -------------------------------------------------------------------------------------------------------

    @property
    def statistics(self) -> str:
        """The mean and the variance of the state over neurons."""
        return aligned(
            (self.notation.doprint(symbol), self._pieces(expression, self.notation))
            for symbol, expression in self.reduction.statistics.items()
        )

    @property
    def gains(self) -> str:
        """The functions of the statistics as expectations, and in closed form where there is one."""
        nonlinearity = self.network.nonlinearity
        if not self.reduction.statistics:
            return aligned([("g", [self._expectation("'"), *self._closed(nonlinearity.gain)])])
        if self.network.ones is None:
            closed = nonlinearity.gain if nonlinearity.gain is not None else nonlinearity.stated_gain
            return aligned([(r"g(\Delta)", [self._expectation("'"), *self._closed(closed)])])
        return aligned(
            [
                (r"g(\mu,\Delta)", [self._expectation("'"), *self._closed(nonlinearity.gain_with_mean)]),
                (rf"{SCALARS['phibar']}(\mu,\Delta)", [self._expectation(""), *self._closed(nonlinearity.activity)]),
            ]
        )

    def _expectation(self, prime: str) -> str:
        mean = "" if self.network.ones is None else r"\mu+"
        return rf"\mathrm{{E}}\bigl[\phi{prime}({mean}\sqrt{{\Delta}}\,\xi)\bigr]"

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
        if not self.reduction.statistics:
            return ""
        if self.network.ones is not None:
            return "Neither has a closed form." if nonlinearity.gain_with_mean is None else ""
        if not nonlinearity.needs_series:
            return ""
        error, largest = (round(math.log10(value)) for value in (ACCEPTED, LARGEST_VARIANCE))
        series = rf"by a Chebyshev series, with a relative error below $10^{{{error}}}$ for $\Delta\le10^{{{largest}}}$"
        if nonlinearity.stated_gain is not None:
            return f"This form cancels in floating point, and $g$ is evaluated {series}."
        return f"It has no closed form, and is evaluated {series}."

    @property
    def reduced(self) -> str:
        """The time step and the read-out."""
        reduction, network = self.reduction, self.network
        now = self._timed(latents=0, gains=0)
        rows: list[Row] = [
            (
                now.doprint(projection.symbol),
                self._pieces(reduction.projections[projection.symbol.name], now),
            )
            for projection in network.projections
        ]
        for carrier in network.carriers:
            latent = reduction.latents[carrier.vector]
            before, after = (self._timed(latents=k).doprint(latent) for k in (0, 1))
            drive = bracketed(now.doprint(carrier.drive))
            rows.append((after, [before, rf"\frac{{\mathrm{{d}}t}}{{\tau}}\left[-{before} + {drive}\right]"]))
        read = self._timed(latents=self.read, gains=self.gain_at)
        rows.append((now.doprint(network.output.symbol), self._pieces(reduction.output, read)))
        return aligned(rows)

    def _timed(self, latents: int = 0, gains: int = 0, cotangents: int = 0, output: int = 0) -> Notation:
        """Return the notation with everything at a distance from t, in steps."""
        scalars = ("mu", "Delta", "g", "phibar", "g_mu", "g_Delta", "mubar", "Deltabar", "gbar", "phibarbar")
        distances = {latent.name: latents for latent in self.reduction.latents.values()}
        distances |= dict.fromkeys(scalars, gains)
        distances |= {symbol.name: cotangents for symbol in self.backward.next_cotangents.values()}
        distances |= {projection.symbol.name: 0 for projection in self.network.projections}
        distances |= {self.network.inputs.name: 0, self.network.output.symbol.name: 0, "ybar": output}
        return self.notation.at({name: MOMENTS[distance] for name, distance in distances.items()})

    # Backwards ------------------------------------------------------------------------------------------------------

    @property
    def free(self) -> list[str]:
        """The latents that are filters of the input, the same for all overlaps."""
        carriers = [carrier for carrier in self.reduction.latents if carrier not in self.backward.recurrent]
        return [self.notation.doprint(self.reduction.latents[carrier]) for carrier in carriers]

    @property
    def cotangents(self) -> list[str]:
        """The symbols of the cotangents of recurrent latents, without time."""
        return [self.notation.doprint(self.backward.next_cotangents[c]) for c in self.backward.recurrent]

    @property
    def recurrent(self) -> list[str]:
        """The latents that have cotangents."""
        return [self.notation.doprint(self.reduction.latents[c]) for c in self.backward.recurrent]

    @property
    def backpropagation(self) -> str:
        """Cotangents of output, gains, statistics and latents at time t, in the order of their computation."""
        rows: list[Row] = [self._output_row()]
        for symbol in self.backward.gain_symbols.values():
            pieces = self._scalar_pieces(symbol.name)
            if pieces:
                rows.append((self._now(f"{symbol.name}bar"), pieces))
        rows += [
            (self._now(f"{statistic.name}bar"), self._statistic_pieces(statistic.name))
            for statistic in reversed(list(self.reduction.statistics))
        ]
        rows += [self._latent_row(carrier) for carrier in self.backward.recurrent]
        return aligned(rows)

    def _now(self, name: str) -> str:
        return f"{SCALARS[name]}(t)"

    def _output_row(self) -> Row:
        loss = self.derivation.loss
        assert isinstance(loss, TrialsLoss)
        twice = 2 * loss.factor
        number = "" if twice == 1 else self.notation.doprint(twice)
        error = r"w(t)\odot\bigl[y(t)-y^{*}(t)\bigr]"
        if loss.reduction == "sum_dt":
            return r"\bar{y}(t)", [rf"{number}\frac{{\mathrm{{d}}t}}{{n}}\,{error}"]
        return r"\bar{y}(t)", [rf"\frac{{{number or 1}}}{{\sum w}}\,{error}"]

    @cached_property
    def _sources(self) -> tuple[tuple[Cotangents, Notation, Notation], ...]:
        """What output and step pass back: as seen from their gain's time, and from their latents'."""
        read, at = self.read, self.gain_at
        output = self.backward.output
        step = self._timed(cotangents=1)
        return (
            (output, self._timed(latents=read - at, output=-at), self._timed(gains=at - read, output=-read)),
            (self.backward.step, step, step),
        )

    def _scalar_pieces(self, name: str) -> list[str]:
        """Return what passes to a gain, or to a statistic directly."""
        return [
            piece
            for cotangents, notation, _ in self._sources
            if name in cotangents.scalars
            for piece in self._pieces(cotangents.scalars[name], notation)
        ]

    def _statistic_pieces(self, statistic: str) -> list[str]:
        slopes = self.backward.gain_slopes[statistic]
        gains = {symbol.name for symbol in self.backward.gain_symbols.values()}
        through = [gain for gain, slope in slopes.items() if not (slope.is_Symbol and slope.name in gains)]
        direct: list[str] = []
        if any(not self._cancels(statistic, cotangents) for cotangents, *_ in self._sources):
            through, direct = list(slopes), self._scalar_pieces(statistic)
        now = self._timed()
        pieces = [self._term(Term(slopes[gain] * sympy.Symbol(f"{gain}bar"), ()), now) for gain in through]
        for later, cotangents in self.backward.statistics.items():
            if later != statistic and statistic in cotangents.scalars:
                pieces += self._pieces(cotangents.scalars[statistic], now)
        return [*pieces, *direct]

    def _cancels(self, statistic: str, cotangents: Cotangents) -> bool:
        """Whether what passes directly to a statistic cancels what passes through gains whose slope is a gain.

        phibar - g mu has the derivative -g by mu where it stands, and dphibar/dmu = g through phibar.
        """
        gains = {symbol.name for symbol in self.backward.gain_symbols.values()}
        total = [cotangents.scalars[statistic]] if statistic in cotangents.scalars else []
        for gain, slope in self.backward.gain_slopes[statistic].items():
            if slope.is_Symbol and slope.name in gains and gain in cotangents.scalars:
                total.append(slope * cotangents.scalars[gain])
        added: dict[tuple[MatrixExpr, ...], sympy.Expr] = {}
        for expression in total:
            for term in self.terms.of(expression):
                added[term.factors] = added.get(term.factors, sympy.Integer(0)) + term.coefficient
        return all(sympy.expand(value) == 0 for value in added.values())

    def _latent_row(self, carrier: str) -> Row:
        pieces: list[str] = []
        for cotangents, _, notation in self._sources:
            if carrier in cotangents.latents:
                pieces += self._pieces(cotangents.latents[carrier], notation)
        for cotangents in self.backward.statistics.values():
            if carrier in cotangents.latents:
                pieces += self._pieces(cotangents.latents[carrier], self._timed())
        return self._timed().doprint(self.backward.next_cotangents[carrier]), pieces

    @property
    def gradients(self) -> str:
        """dL/dSigma, block by block, as sums over time."""
        output = self._timed(latents=self.read, gains=self.gain_at)
        places = [(self.backward.output, output), (self.backward.step, self._timed(cotangents=1))]
        places += [(cotangents, self._timed()) for cotangents in self.backward.statistics.values()]
        rows: list[Row] = []
        for symbol in self.reduction.index.blocks.values():
            sums = [
                self._sum(term, notation)
                for cotangents, notation in places
                if symbol.name in cotangents.blocks
                for term in self.terms.of(cotangents.blocks[symbol.name], split=False)
            ]
            if sums:
                rows.append((rf"\frac{{\partial L}}{{\partial {self.notation.doprint(symbol)}}}", sums))
        return aligned(rows)

    @property
    def symmetrised(self) -> bool:
        """Whether a block on the diagonal of Sigma has a cotangent of which only the symmetric part counts."""
        diagonal = {symbol.name for (a, b), symbol in self.reduction.index.blocks.items() if a == b}
        return any(diagonal & c.blocks.keys() for c in (self.backward.output, self.backward.step))

    def _sum(self, term: Term, notation: Notation) -> str:
        constant, changing = sympy.factor(term.coefficient).as_independent(*self._scalars, as_Add=False)
        if changing.is_Add and changing.coeff(sympy.Symbol(ACTIVITY.__name__)).is_negative:
            constant, changing = -constant, sympy.expand(-changing)  # phibar - g mu
        sign, constant = ("-", -constant) if _is_negative(constant) else ("", constant)
        front = "" if constant == 1 else notation.doprint(constant)
        return rf"{sign}{front}\sum_t {self._term(Term(changing, term.factors), notation)}"

    # Terms ----------------------------------------------------------------------------------------------------------

    def _pieces(self, expression: MatrixExpr, notation: Notation) -> list[str]:
        pieces: list[str] = []
        for group in self.terms.groups(self.terms.of(expression)):
            pieces += self._group(group, notation)
        return pieces

    def _group(self, group: Group, notation: Notation) -> list[str]:
        pieces = [self._term(term, notation) for term in group.terms]
        if group.coefficient == 1 and group.head is None:
            return pieces
        front = self._term(Term(group.coefficient, () if group.head is None else (group.head,)), notation)
        joined = [rf"{front}\bigl[{pieces[0]}", *pieces[1:]]
        joined[-1] += r"\bigr]"
        whole = " + ".join(joined).replace("+ -", "- ")
        return [whole] if width(whole) < UNBROKEN else joined

    @cached_property
    def _scalars(self) -> tuple[sympy.Symbol, ...]:
        return tuple(symbol for name in SCALARS for symbol in (sympy.Symbol(name), *self._statistic(name)))

    def _statistic(self, name: str) -> Iterable[sympy.Symbol]:
        return (symbol for symbol in self.reduction.statistics if symbol.name == name)

    def _term(self, term: Term, notation: Notation) -> str:
        constant, changing = term.coefficient.as_independent(*self._scalars, as_Add=False)
        sign, constant = ("-", -constant) if _is_negative(constant) else ("", constant)
        codes = [] if constant == 1 else [self._factor(constant, notation)]
        codes += self._scalar_codes(changing, notation)
        codes += [notation.doprint(factor) for factor in term.factors]
        return sign + _product(codes or ["1"])

    def _scalar_codes(self, product: sympy.Expr, notation: Notation) -> list[str]:
        """Return the factors of a product of statistics and gains: g before mu, cotangents last."""
        order = {name: k for k, name in enumerate(SCALARS)}
        factors = [factor for factor in sympy.Mul.make_args(product) if factor != 1]
        factors.sort(key=lambda factor: _place(factor, order))
        return [self._factor(factor, notation) for factor in factors]

    def _factor(self, factor: sympy.Expr, notation: Notation) -> str:
        """Return a factor, a sum in brackets with its negative terms last."""
        if not factor.is_Add:
            return str(notation.doprint(factor))
        terms = [self._term(Term(term, ()), notation) for term in sorted(factor.args, key=_is_negative)]
        inside = " + ".join(terms).replace("+ -", "- ")
        return rf"\left({inside}\right)" if r"\frac" in inside else rf"\bigl[{inside}\bigr]"


def _is_negative(expression: sympy.Expr) -> bool:
    return bool(expression.as_coeff_Mul()[0].is_negative)


def _place(factor: sympy.Expr, order: Mapping[str, int]) -> tuple[int, int]:
    """Sort g before mu, cotangents last."""
    name = next(iter(sorted(symbol.name for symbol in factor.free_symbols)), "")
    return int(name.endswith("bar") and name != "phibar"), -order.get(name, 0)


def _product(codes: Sequence[str]) -> str:
    """Return factors side by side, with a thin space after one that has an argument, and after a fraction."""
    code = codes[0]
    for before, after in pairwise(codes):
        bracketed_sum = before.endswith((r"\right)", r"\bigr]"))
        argued = before.startswith(r"\frac") or (before.endswith((")", r")^{\top}")) and not bracketed_sum)
        code += (r"\," if argued else " ") + after
    return code
