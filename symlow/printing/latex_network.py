r"""The network as LaTeX: the equations of its neurons as they were written, its vectors, and what its latents are.

    \tau dh/dt = -h + M x + U a,      a = (1/N) V^T \phi(h),      y = (1/N) Z^T \phi(h)

Where phi is linear it is left out, and its argument stands in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import sympy
from sympy import (
    HadamardProduct,
    Identity,
    ImmutableDenseMatrix,
    MatAdd,
    MatrixExpr,
    MatrixSymbol,
    Transpose,
    ZeroMatrix,
)
from sympy.matrices import MatrixBase
from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction

from symlow.equation_text import (
    coefficient,
    factors_in_order,
    function_name,
    is_phi,
    terms_in_order,
    without_phi,
    written_start,
)
from symlow.equations import N, Population, State, Vector
from symlow.network import Field, Latent, Network
from symlow.printing.latex_lines import aligned, listed, width
from symlow.printing.notation import Notation
from symlow.printing.terms import is_large
from symlow.reduction import TAU
from symlow.rules import Velocity

FUNCTIONS = {"tanh": r"\tanh", "sin": r"\sin", "cos": r"\cos", "exp": r"\exp", "log": r"\log", "sinh": r"\sinh"}
"""Functions that LaTeX has commands for; others are words."""

WIDEST_NUMBERS = 40
"""The widest matrix of numbers that is printed; of a wider one only the shape is."""
MOST_COLUMNS = 10
"""The most columns of a matrix of numbers that is printed: what amsmath sets without being told."""

Row = tuple[str, Sequence[str]]


class Model:
    """The equations of one network."""

    def __init__(self, network: Network, notation: Notation) -> None:
        self.network = network
        self.equations = network.equations
        self.notation = notation

    # The equations ------------------------------------------------------------------------------------------------

    @property
    def rows(self) -> str:
        """State equations, definitions, read-out, initial states and phi."""
        equations = self.equations
        rows: list[Row] = [self._state(state) for state in equations.states]
        rows += [(self.notation.letter(symbol.name), self.terms(right)) for symbol, right in equations.named]
        rows += [
            (f"{self._letter(state)}(0)", self.terms(state.initial))
            for state in equations.states
            if state.initial is not None
        ]
        nonlinearity = self.network.nonlinearity
        if not nonlinearity.is_linear:
            rows.append((r"\phi(x)", [self.notation.doprint(nonlinearity.phi)]))
        return aligned(rows)

    @property
    def starts(self) -> dict[str, str]:
        """Where states start, by the words for it: ``h(0) = 0``."""
        return {
            written_start(state, self.equations): f"{self._letter(state)}(0)="
            + ("0" if state.initial is None else self._sum(state.initial))
            for state in self.equations.states
        }

    def _state(self, state: State) -> Row:
        letter = self._letter(state)
        if state.tau is None:
            names = [self.equations.inputs, *(s.symbol for s in self.equations.states)]
            names += [symbol for symbol, _ in self.equations.named]
            timed = Model(self.network, self.notation.at({symbol.name: "t" for symbol in names}))
            return rf"{letter}(t+\mathrm{{d}}t)", timed.terms(state.right)
        tau = self.notation.doprint(state.tau * TAU)
        return rf"{tau}\,\frac{{\mathrm{{d}}{letter}}}{{\mathrm{{d}}t}}", self.terms(state.right)

    def _letter(self, state: State) -> str:
        return self.notation.letter(state.symbol.name)

    def terms(self, expression: MatrixExpr) -> list[str]:
        """Return a sum as its terms."""
        if self.network.nonlinearity.is_linear:
            expression = without_phi(expression)
        return [self._term(term) for term in terms_in_order(expression, self.equations)]

    def _sum(self, expression: MatrixExpr) -> str:
        return " + ".join(self.terms(expression)).replace("+ -", "- ")

    def _term(self, term: MatrixExpr) -> str:
        number, factors = coefficient(term)
        sign, number = ("-", -number) if number.as_coeff_Mul()[0].is_negative else ("", number)
        codes = [self._factor(factor, len(factors) == 1 and number == 1) for factor in factors]
        if number != 1:
            codes = [self.notation.doprint(number), *(code for code in codes if code != "1")]
        return sign + r"\,".join(codes)

    def _factor(self, factor: MatrixExpr, alone: bool) -> str:
        if isinstance(factor, Transpose):
            inner = self._sum(factor.arg)
            inner = inner if isinstance(factor.arg, MatrixSymbol) else rf"\left({inner}\right)"
            return rf"{inner}^{{\top}}"
        if isinstance(factor, ElementwiseApplyFunction):
            return self._applied(factor)
        if isinstance(factor, HadamardProduct):
            parts = [self._enclosed(part) for part in factors_in_order(factor, self.equations)]
            return self._grouped(r" \odot ".join(parts), alone)
        if isinstance(factor, MatAdd):
            return rf"\left({self._sum(factor)}\right)"
        if isinstance(factor, MatrixBase):
            return self.numbers(ImmutableDenseMatrix(factor))
        if isinstance(factor, Identity | ZeroMatrix):
            return str(int(isinstance(factor, Identity)))
        return str(self.notation.doprint(factor))

    @staticmethod
    def _grouped(code: str, alone: bool) -> str:
        return code if alone else rf"\left({code}\right)"

    def _enclosed(self, expression: MatrixExpr) -> str:
        code = self._sum(expression)
        return rf"\left({code}\right)" if len(terms_in_order(expression, None)) > 1 else code

    def _applied(self, applied: ElementwiseApplyFunction) -> str:
        inner = self._sum(applied.expr)
        if is_phi(applied):
            return rf"\phi({inner})" if r"\frac" not in inner else rf"\phi\left({inner}\right)"
        (variable,) = applied.function.variables
        return self.function(applied.function.expr, {variable: inner})

    def function(self, function: sympy.Expr, codes: Mapping[sympy.Symbol, str]) -> str:
        """Return a scalar function, entry by entry, with codes in the places of its variables."""
        if len(codes) == 1:
            ((variable, inner),) = codes.items()
            name = function_name(function, variable)
            if name is not None:
                command = FUNCTIONS.get(name, rf"\operatorname{{{name}}}")
                return f"{command}({inner})" if r"\frac" not in inner else rf"{command}\left({inner}\right)"
        fresh = {variable: sympy.Symbol(f"argument {k}") for k, variable in enumerate(codes)}
        named = {
            fresh[variable].name: code if _is_single(code) else rf"\left({code}\right)"
            for variable, code in codes.items()
        }
        return str(self.notation.at({}, named).doprint(function.xreplace(fresh)))

    # Numbers and vectors -------------------------------------------------------------------------------------------

    def numbers(self, numbers: ImmutableDenseMatrix) -> str:
        """Return a matrix of numbers, by name if it is large."""
        symbol = next((symbol for symbol, known in self.network.constants.items() if known == numbers), None)
        return self.notation.numbers(numbers, symbol)

    @property
    def large_numbers(self) -> str:
        """The definitions of matrices of numbers that are printed by name; empty where there are none."""
        definitions = []
        for symbol, numbers in self.network.constants.items():
            if is_large(numbers):
                name, entries = self.notation.letter(symbol.name), self.notation.numbers(numbers)
                shown = width(entries) <= WIDEST_NUMBERS and numbers.shape[1] <= MOST_COLUMNS
                of_shape = rf"\in\mathbb{{R}}^{{{numbers.shape[0]}\times{numbers.shape[1]}}}"
                definitions.append(f"{name}={entries}" if shown else f"{name}{of_shape}")
        return listed(definitions) if definitions else ""

    @property
    def acts_entry_by_entry(self) -> bool:
        """Whether there are functions of columns of several entries."""
        return any(gate.symbol.shape[0] > 1 for gate in self.network.gates)

    @property
    def states(self) -> str:
        """The states with the spaces that they are in."""
        neurons = [state for state in self.equations.states if state.population is not None]
        places = [self._place(state, self.size(self.equations.population(state.population or ""))) for state in neurons]
        around = [
            self._place(state, str(state.symbol.shape[0])) for state in self.equations.states if state not in neurons
        ]
        states = f"state{'s' if len(places) > 1 else ''} {_joined(places)}" if places else "no state"
        return f"{states}, an environment {_joined(around)}" if around else states

    def _place(self, state: State, size: str) -> str:
        return rf"${self._letter(state)}\in\mathbb{{R}}^{{{size}}}$"

    def size(self, population: Population) -> str:
        """Return the number of neurons of a population."""
        return "N" if not population.name else rf"N_{{{self.population(population.name)}}}"

    @staticmethod
    def population(name: str) -> str:
        """Return the name of a population."""
        return name if len(name) == 1 else rf"\mathrm{{{name}}}"

    @property
    def populations(self) -> list[Population]:
        """The populations, if there are several, or one with a name."""
        return [population for population in self.equations.populations if population.name]

    @property
    def weights(self) -> str:
        """The number of neurons of each population."""
        sizes = [
            f"${self.size(population)}={self.notation.doprint(population.weight * N)}$"
            for population in self.populations
        ]
        return _joined(sizes)

    @cached_property
    def _named(self) -> list[Vector]:
        """The vectors but for those of ones and velocities."""
        ones = self.network.ones
        return [v for v in self.network.vectors if v.name not in ones and not isinstance(v, Velocity)]

    @property
    def shapes(self) -> str:
        """The vectors with their shapes, but for those of ones."""
        sizes = {population.name: self.size(population) for population in self.equations.populations}
        return ", ".join(
            rf"${self.notation.vector(v.name)}$ (${sizes[v.population]}\times {v.columns}$)" for v in self._named
        )

    @property
    def ones(self) -> str:
        """The vectors of ones, empty where there are none."""
        return _joined([f"${self.notation.vector(name)}$" for name in self.network.ones])

    @property
    def frozen(self) -> str:
        """The vectors that learning does not move, but for those of ones."""
        return ", ".join(f"${self.notation.vector(vector.name)}$" for vector in self._named if not vector.trainable)

    @property
    def stacked(self) -> str:
        """The matrix P, or its blocks, and that of velocities where learning makes use of them."""
        blocks = ", as the blocks on the diagonal of $P$" if self.populations else ""
        weights = _joined([f"$P{place}=[{self._columns(name, False)}]$" for name, place in self._places]) + blocks
        if not self.has_velocities:
            return weights
        velocities = _joined([f"$Q{place}=[{self._columns(name, True)}]$" for name, place in self._places])
        return f"{weights},\nand their velocities, {velocities}, of which learning makes use"

    @property
    def gram(self) -> str:
        """The Gram matrix."""
        both = r"[P\;Q]" if self.has_velocities else "P"
        return rf"$\Sigma={both}^{{\top}}{both}{'/N' if self.equations.averages else ''}$"

    @property
    def _places(self) -> list[tuple[str, str]]:
        """The populations, with subscripts if they have names."""
        names = [population.name for population in self.equations.populations]
        return [(name, f"_{{{self.population(name)}}}" if name else "") for name in names]

    @property
    def norms_of_ones(self) -> str:
        """The squared norms of vectors of ones: the weights of their populations."""
        weights = {one.ones: one.weight for one in self.equations.populations if one.ones is not None}
        return ", ".join(
            rf"$\lVert{self.notation.vector(name)}\rVert^2={self.notation.doprint(weight)}$"
            for name, weight in weights.items()
        )

    @property
    def has_velocities(self) -> bool:
        """Whether learning makes use of velocities."""
        return any(isinstance(vector, Velocity) for vector in self.network.vectors)

    def _columns(self, population: str, velocities: bool) -> str:
        members = [vector for vector in self.network.vectors if vector.population == population]
        return r"\;".join(self.notation.vector(v.name) for v in members if isinstance(v, Velocity) == velocities)

    # Latents and fields -------------------------------------------------------------------------------------------

    @cached_property
    def _of_states(self) -> dict[str, list[Latent]]:
        latents: dict[str, list[Latent]] = {state.symbol.name: [] for state in self.equations.states}
        for latent in self.network.latents:
            latents[latent.state].append(latent)
        return latents

    @property
    def reduction(self) -> str:
        """What the latents are, in a sentence for states in the span, for those outside, and for an environment."""
        every = "." if self.network.nonlinearity.is_linear else ", for every $N$."
        sentences = []
        if self._spanned:
            letters = "=".join(f"{self._letter(state)}(0)" for state, _ in self._spanned)
            start = f"From ${letters}=0$" if self._start_at_zero else "From there"
            which = "the state stays" if len(self._spanned) == 1 else "the states stay"
            sums = _joined([f"${self._letter(state)}={self._combination(along)}$" for state, along in self._spanned])
            sentences.append(
                f"{start} {which} in the span of the carriers, {sums}, with the latents $\\kappa$ as coordinates{every}"
            )
        if self._outside:
            states = _joined([f"${self._letter(state)}$" for state, _ in self._outside])
            which = "The state {} leaves" if len(self._outside) == 1 else "The states {} leave"
            readings = _joined([f"${code}$" for code in self._readings])
            sentences.append(
                f"{which.format(states)} the span of the vectors, but what these read of it, the latents {readings}, "
                f"obeys equations of its own{every}"
            )
        around = [f"${self._letter(state)}$" for state in self.equations.states if state.population is None]
        if around:
            sentences.append(
                f"The environment's {_joined(around)} {'is a latent' if len(around) == 1 else 'are latents'} as well."
            )
        return " ".join(sentences)

    @property
    def _spanned(self) -> list[tuple[State, Mapping[str, MatrixExpr]]]:
        """The states in the span of their carriers, with their latents by carrier."""
        return [
            (state, {latent.vector: latent.symbol for latent in latents})
            for state, latents in self._states_with_latents()
            if state.population is not None and not any(latent.reading for latent in latents)
        ]

    @property
    def _outside(self) -> list[tuple[State, list[Latent]]]:
        """The states that leave the span, with their latents."""
        return [(state, latents) for state, latents in self._states_with_latents() if any(x.reading for x in latents)]

    @property
    def _readings(self) -> list[str]:
        number = r"\frac{1}{N}\," if self.equations.averages else ""
        return [
            rf"{self.notation.letter(x.symbol.name)}={number}{self.notation.vector(x.vector)}^{{\top}}{self._letter(state)}"
            for state, latents in self._outside
            for x in latents
        ]

    def _states_with_latents(self) -> list[tuple[State, list[Latent]]]:
        return [(s, self._of_states[s.symbol.name]) for s in self.equations.states if self._of_states[s.symbol.name]]

    @property
    def _start_at_zero(self) -> bool:
        return all(state.initial is None for state, _ in self._spanned)

    @property
    def acted_on(self) -> str:
        """What phi acts on, with a verb: a state, or other columns, with their indices where there are several."""
        fields = self.network.fields
        if len(fields) == 1 and self._is_state(fields[0]):
            return f"${self.field(fields[0])}$ is"
        return rf"what $\phi$ acts on, {self.fields}, is"

    def _is_state(self, field: Field) -> bool:
        return self.field(field) in [self._letter(state) for state in self.equations.states]

    @property
    def fields(self) -> str:
        """What phi acts on, each with its index where there are several."""
        codes = []
        for field in self.network.fields:
            index = f" (index ${field.name}$)" if len(self.network.fields) > 1 else ""
            codes.append(f"${self.field(field)}$" + index)
        return _joined(codes)

    def field(self, field: Field) -> str:
        """Return a field: the state that it is, or the sum over its carriers."""
        for state, latents in self._states_with_latents():
            along = {latent.vector: latent.symbol for latent in latents if not latent.reading}
            if state.population == field.population and along == dict(field.coefficients):
                return self._letter(state)
        return self._combination(field.coefficients)

    def _combination(self, coefficients: Mapping[str, MatrixExpr]) -> str:
        codes = []
        for name, column in coefficients.items():
            vector = self.notation.vector(name)
            codes.append(vector if isinstance(column, Identity) else rf"{vector}\,{self._enclosed(column)}")
        return " + ".join(codes)


def _is_single(code: str) -> bool:
    """Whether a code is one symbol, perhaps with a time, rather than a sum or a product."""
    return not any(character in code.partition("(")[0] for character in r" +-")


def _joined(codes: Sequence[str]) -> str:
    """Return codes with commas, and an and before the last."""
    return codes[0] if len(codes) == 1 else f"{', '.join(codes[:-1])} and {codes[-1]}" if codes else ""
