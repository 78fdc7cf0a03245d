"""Notation: SymPy symbols of a derivation as LaTeX, in the letters of the low-rank network literature."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import sympy
from sympy import ImmutableDenseMatrix, MatMul, MatrixExpr, MatrixSymbol, Rational, Transpose
from sympy.printing.latex import LatexPrinter, greek_letters_set, translate
from sympy.printing.precedence import PRECEDENCE
from sympy.utilities.iterables import sift

from symlow.equation_text import coefficient
from symlow.equations import Equations, entry_names
from symlow.network import Field, Latent, Network
from symlow.nonlinearity import DELTA, MU, X
from symlow.overlap_names import indexed, norm, pair, word
from symlow.overlaps import Column, Overlap, OverlapIndex
from symlow.printing.latex_lines import matrix
from symlow.printing.terms import is_large
from symlow.reduction import ACTIVITY, GAIN, of_field
from symlow.rules import Companion, Feedback

FIXED = {"dt": r"\mathrm{d}t", "tau": r"\tau", "eta": r"\eta", "k": "k", "j": "j"}

STATISTICS = {MU.name: r"\mu", DELTA.name: r"\Delta"}
GAINS = {GAIN.__name__: "g", ACTIVITY.__name__: r"\Phi"}
"""Statistics of fields, and functions of them. A bar is a cotangent, so that the mean activity is a Phi."""

ARGUMENTS = {DELTA, MU, X}
"""What nonlinearities and gains are functions of."""

MASKS = ("w", r"\omega", r"\chi", r"\varrho")
"""Letters for the mask of trials, of which the first is taken that nothing else in the network has."""

LETTERS = {"Abar": r"\bar{A}", "Bbar": r"\bar{B}", "Cbar": r"\bar{C}"}
"""Cotangents of the matrices of the linear dynamics."""


@dataclass(frozen=True)
class Scalar:
    """How a statistic, a gain, one of their cotangents or slopes is printed.

    Attributes:
        code: the letter, with the name of the field as a subscript where there are several.
        of: for a gain of one variable, or its derivative, the code of the variable; else empty.
    """

    code: str
    of: str = ""


@dataclass(frozen=True)
class Letter:
    """A letter with what stands below it."""

    letter: str
    below: str = ""

    @property
    def code(self) -> str:
        """The letter with its subscript."""
        return f"{self.letter}_{{{self.below}}}" if self.below else self.letter

    def accented(self, accent: str) -> Letter:
        """Return it with an accent, ``bar`` or ``hat``."""
        return Letter(rf"\{accent}{{{self.letter}}}", self.below)


class Notation(LatexPrinter):
    r"""LaTeX of expressions in overlaps, loss gradients, blocks and latents of one network.

    Overlaps are \\sigma_{zu}, \\sigma_{v_1u_2} and squared norms \\lVert m\\rVert^2; an overlap with the vector of ones
    is a mean, \\langle z\\rangle; a loss gradient is \\partial_{zu}L; blocks are \\Sigma_{zu}, S_{zu} and, of means,
    \\Sigma_{z\\mathbf{1}}; velocities are q_m, feedback is b_z; latents \\kappa_u, their cotangents
    \\lambda_u. A name of a letter and that of a population has it as a subscript, u_e; latents of several states along
    one vector have the state as a second one, \\kappa_{u,w}. The states of an environment have letters of their own.
    """

    def __init__(self, index: OverlapIndex) -> None:
        settings = {"mul_symbol": None, "order": "old", "imaginary_unit": "i", "ln_notation": True}
        super().__init__({**settings, "inv_trig_style": "full"})
        self.network = index.network
        self.scalars = _scalars(self.network)
        companions = [vector for vector in self.network.vectors if isinstance(vector, Companion)]
        self._companions = {v.name: ("b" if isinstance(v, Feedback) else "q", v.of) for v in companions}
        self._moments: dict[str, str] = {}
        self._populations = {vector.name: vector.population for vector in self.network.vectors}
        self._small = _alone(self.network.equations)
        self._names = dict(FIXED)
        self._pairs = {overlap.name: self._pair(index, overlap) for overlap in index.all}
        for overlap in index.all:
            self._names[overlap.symbol.name] = self._overlap(index, overlap)
            self._names[overlap.gradient_symbol.name] = self.gradient(overlap)
        self._columns: dict[str, str] = dict(self._matrices(index))
        letters = dict(self._letters())
        self._columns |= {name: letter.code for name, letter in letters.items()}
        taken = {letter.letter for letter in letters.values()}
        self.mask = next((mask for mask in MASKS if mask not in taken), r"\mathrm{mask}")

    def _matrices(self, index: OverlapIndex) -> Iterator[tuple[str, str]]:
        """Give blocks, vectors and matrices of numbers by the names of their symbols."""
        for (left, right), block in index.blocks.items():
            below = pair(self._letter(left), self._letter(right))
            yield block.name, rf"\Sigma_{{{below}}}"
            yield f"S_{left}_{right}", rf"S_{{{below}}}"
        for vector in self.network.vectors:
            yield vector.name, self.vector(vector.name)
        for symbol, numbers in self.network.constants.items():
            yield symbol.name, self.numbers(numbers, symbol)

    def numbers(self, numbers: ImmutableDenseMatrix, symbol: MatrixSymbol | None = None) -> str:
        """Return a matrix of numbers, or the symbol that stands for it if it is large."""
        if symbol is not None and is_large(numbers):
            return Letter("C", symbol.name.removeprefix("C_")).code
        return matrix([[self.doprint(entry) for entry in row] for row in numbers.tolist()])

    def _letters(self) -> Iterator[tuple[str, Letter]]:
        """Give columns and their cotangents by the names of their symbols, letters with what stands below."""
        network = self.network
        for state in network.equations.states:
            yield state.symbol.name, self.state(state.symbol.name)
        named = [network.inputs, *(symbol for symbol, _ in network.equations.named)]
        computed = [
            *(projection.symbol for projection in network.projections),
            *(gate.symbol for gate in network.gates),
        ]
        readers = {projection.symbol.name: projection.reader for projection in network.projections}
        columns = dict.fromkeys(symbol.name for symbol in (*named, *computed))
        arguments = [f"{gate.symbol.name}_{k}" for gate in network.gates for k in range(1, len(gate.arguments) + 1)]
        for name in (*columns, *arguments):
            letter = self._column(name, readers.get(name, ""))
            yield name, letter
            yield f"{name}bar", letter.accented("bar")
        for latent in network.latents:
            yield from ((name, self._latent(latent, str(k))) for k, name in enumerate(entry_names(latent.symbol), 1))
            own = self._latent(latent)
            yield latent.symbol.name, own
            yield f"lambda_{latent.key}", Letter(r"\lambda", own.below if latent.vector else own.code)

    def _latent(self, latent: Latent, number: str = "") -> Letter:
        """Return a latent, or its entry of that number: a kappa, or the letter of an environment."""
        if not latent.vector:
            own = self.state(latent.state)
            return Letter(own.letter, ",".join(filter(None, (own.below, number))))
        state = f",{self.state(latent.state).code}" if latent.key not in ("", latent.vector, latent.state) else ""
        return Letter(r"\kappa", self._letter(latent.vector, number) + state)

    def _column(self, name: str, reader: str) -> Letter:
        """Return a projection on a vector, a_v or a_{v,2}, or another column, whose name may end with numbers."""
        prefix = f"a_{reader}"
        if reader and name.startswith(prefix):
            number = name.removeprefix(prefix)
            return Letter("a", self._letter(reader) + (f",{number}" if number else ""))
        name, *numbers = name.split("_")
        ends = (_without_population(name, population.name) for population in self.network.equations.populations)
        letter, below = next((split for split in ends if split[1]), (name, ""))
        return _word(letter, *filter(None, (below, *numbers)))

    def state(self, name: str) -> Letter:
        """Return a state: its name, of which that of its population is a subscript."""
        state = next(state for state in self.network.equations.states if state.symbol.name == name)
        letters, below = _without_population(name, state.population or "")
        plain = _word(letters)
        return Letter(plain.letter, plain.below + below)

    def at(self, moments: Mapping[str, str], names: Mapping[str, str] = MappingProxyType({})) -> Notation:
        """Return this notation with times, the symbols named having the given argument, and with other names."""
        timed = copy.copy(self)
        timed._moments = dict(moments)
        timed._columns = {**self._columns, **names}
        timed._names = {**self._names, **names}
        return timed

    def letter(self, name: str) -> str:
        """Return the code of a column by the name of its symbol, without a time."""
        return self._columns[name]

    def addends(self, expression: sympy.Expr) -> list[sympy.Expr]:
        """Return the terms of a sum in the order in which they are printed."""
        return list(self._as_ordered_terms(expression)) if expression.is_Add else [expression]

    def vector(self, name: str) -> str:
        """Return the matrix of a vector's columns: its name in capitals; vectors that stand alone are small."""
        if name in self.network.ones:
            return self._letter(name)
        if name in self._companions:
            letter, own = self._companions[name]
            return f"{letter.upper()}_{{{self.vector(own)}}}"
        letters, below = _without_population(name, self._populations[name])
        letters = letters if name in self._small else letters.upper()
        return Letter(word(letters), below).code

    def _letter(self, vector: str, number: str = "") -> str:
        """Return a vector, or a column of it, as it stands in subscripts."""
        if vector in self._companions:
            letter, own = self._companions[vector]
            return f"{letter}_{{{self._letter(own, number)}}}"
        letters, below = _without_population(vector, self._populations[vector])
        if vector in self.network.ones:
            return indexed(r"\mathbf{1}", self._populations[vector] if len(self.network.ones) > 1 else "")
        return indexed(word(letters), below + number)

    def column(self, column: Column) -> str:
        """Return one column of a vector, as in overlaps: v_1."""
        return self._letter(column.vector, column.label.removeprefix(column.vector))

    def _overlap(self, index: OverlapIndex, overlap: Overlap) -> str:
        if overlap.is_norm:
            return norm(self.column(index.columns[overlap.row]))
        columns = self._pairs[overlap.name]
        return columns if self._averaged(index, overlap) else rf"\sigma_{{{columns}}}"

    def _averaged(self, index: OverlapIndex, overlap: Overlap) -> Column | None:
        """Return the column whose mean an overlap is, None where neither is that of ones."""
        left, right = (index.columns[k] for k in (overlap.row, overlap.column))
        if overlap.is_norm or not {left.vector, right.vector} & {*self.network.ones}:
            return None
        return left if right.vector in self.network.ones else right

    def _pair(self, index: OverlapIndex, overlap: Overlap) -> str:
        """Return the two columns of an overlap as a subscript, ``v_1u_2``; of a mean, the mean itself."""
        if averaged := self._averaged(index, overlap):
            return rf"\langle {self.column(averaged)}\rangle"
        left, right = (self.column(index.columns[k]) for k in (overlap.row, overlap.column))
        return pair(left, right)

    def gradient(self, overlap: Overlap) -> str:
        r"""Return dL/d(overlap) in short, ``\\partial_{zu}L``."""
        columns = self._pairs[overlap.name]
        return rf"\bar\sigma_{{{columns}}}" if self.is_aligned else rf"\partial_{{{columns}}}L"

    def block_gradient(self, block: MatrixSymbol) -> str:
        """Return dL/dSigma of a block, or its cotangent where errors are sent back through other vectors."""
        code = str(self.doprint(block))
        return (
            code.replace(r"\Sigma", r"\bar\Sigma", 1) if self.is_aligned else rf"\frac{{\partial L}}{{\partial {code}}}"
        )

    @property
    def is_aligned(self) -> bool:
        """Whether errors are sent back through other vectors than those that the output reads."""
        return any(isinstance(vector, Feedback) for vector in self.network.vectors)

    def _print_Symbol(self, symbol: sympy.Symbol, style: str = "plain") -> str:  # noqa: N802
        if symbol.name in self.scalars:
            return self.scalar(symbol.name)
        if symbol.name in self._names:
            return self._names[symbol.name]
        letter, _, pair = symbol.name.partition("_star")
        if letter != symbol.name:  # a parameter of a target filter: a_star, or a_star_1_2 for output 1 and input 2
            subscript = pair.replace("_", "") if len(pair) <= 4 else pair[1:].replace("_", ",")
            return f"{translate(letter)}^{{*}}" + (f"_{{{subscript}}}" if subscript else "")
        return super()._print_Symbol(symbol)

    def _print_MatrixSymbol(self, symbol: MatrixSymbol) -> str:  # noqa: N802
        code = self._columns.get(symbol.name)
        if code is None:  # a cotangent of a matrix of the linear dynamics
            letter, *keys = symbol.name.split("_")
            latents = {latent.key: self.letter(latent.symbol.name) for latent in self.network.latents}
            code = Letter(LETTERS[letter], "".join(self._below(key) for key in _keys("_".join(keys), latents))).code
        moment = self._moments.get(symbol.name)
        return f"{code}({moment})" if moment else code

    def _below(self, key: str) -> str:
        """Return what stands below the kappa of a latent, or the letter of an environment."""
        code = self.letter(f"kappa_{key}")
        return code.removeprefix(r"\kappa_{").removesuffix("}") if code.startswith(r"\kappa_") else code

    def scalar(self, name: str) -> str:
        """Return a statistic, a gain, one of their cotangents or slopes, by name, at its time."""
        scalar, moment = self.scalars[name], self._moments.get(name)
        if not moment:
            return scalar.code
        # A gain of one variable is that function of it; of two variables the time alone is shorter.
        return f"{scalar.code.partition('_')[0]}({scalar.of}({moment}))" if scalar.of else f"{scalar.code}({moment})"

    def _as_ordered_terms(self, expr: sympy.Expr, order: str | None = None) -> list[sympy.Expr]:
        terms = super()._as_ordered_terms(expr, order)
        if expr.free_symbols <= ARGUMENTS:  # mu - 1, not -1 + mu
            terms = sorted(terms, key=lambda term: bool(term.as_coeff_Mul()[0].is_negative))
        return terms

    def _print_Mul(self, product: sympy.Mul) -> str:  # noqa: N802
        # Gains: square roots under one root, 1/sqrt(2 Delta) and not sqrt(2)/(2 sqrt(Delta)), and functions after the
        # fraction, in which they would be small.
        if not product.free_symbols or not product.free_symbols <= ARGUMENTS:
            return super()._print_Mul(product)
        roots, rest = sift(
            product.args, lambda factor: factor.is_Pow and abs(factor.exp) == Rational(1, 2), binary=True
        )
        number, others = sympy.factor_terms(sympy.Mul(*rest)).as_coeff_Mul()
        functions = others.has(sympy.Function)
        if not roots and (number.is_Integer or not functions):
            return super()._print_Mul(product)
        content, square = (number**2 * sympy.Mul(*(root**2 for root in roots))).as_coeff_Mul()
        outside, left = _square_part(content)
        above, below = sympy.fraction(left * square)
        top, bottom = sympy.fraction(outside)
        tail = "" if others == 1 else self.parenthesize(others, PRECEDENCE["Mul"], strict=True)
        alone = above == top == 1 and not functions and others != 1
        inside, after = ("", rf"\,{tail}") if functions else (self._print(others) if alone else tail, "")
        if above != 1 and below != 1 and not inside:
            number_code = "" if outside == 1 else self._print(outside)
            code = rf"{number_code}{self._root(above / below)}{after if tail else ''}"
        else:
            upper = " ".join(
                filter(None, ["" if top == 1 else str(top), "" if above == 1 else self._root(above), inside])
            )
            lower = " ".join(
                filter(None, ["" if bottom == 1 else str(bottom), "" if below == 1 else self._root(below)])
            )
            code = (rf"\frac{{{upper or 1}}}{{{lower}}}" if lower else upper) + (after if upper or lower else tail)
        return ("-" if number.is_negative else "") + code

    def _root(self, square: sympy.Expr) -> str:
        """Return a square root, in which the fractions of a sum are written with a slash."""
        return rf"\sqrt{{{self._folded(square) if square.is_Add else self._print(square)}}}"

    def _folded(self, expression: sympy.Expr) -> str:
        folded = copy.copy(self)
        folded._settings = {**self._settings, "fold_short_frac": True}
        return str(folded._print(expression))

    def _print_ExpBase(self, expression: sympy.exp, exp: str | None = None) -> str:  # noqa: N802
        argument = expression.args[0]
        if exp is not None or not argument.free_symbols or not argument.free_symbols <= ARGUMENTS:
            return super()._print_ExpBase(expression, exp)
        if sympy.fraction(sympy.together(argument))[1].is_number:
            return f"e^{{{self._folded(argument)}}}"
        return rf"\exp\left({self._print(sympy.factor(argument))}\right)"

    def _print_Pow(self, power: sympy.Pow) -> str:  # noqa: N802
        # A squared norm or a starred parameter already has an exponent, and TeX refuses a second one.
        base = power.base
        if base.free_symbols <= ARGUMENTS and base.free_symbols and abs(power.exp) == Rational(1, 2):
            root = self._root(base)
            return root if power.exp.is_positive else rf"\frac{{1}}{{{root}}}"
        if isinstance(base, sympy.Symbol) and "^" in self._print(base) and power.exp.is_positive:
            return rf"\left({self._print(base)}\right)^{{{self._print(power.exp)}}}"
        return super()._print_Pow(power)

    def _print_Transpose(self, transpose: sympy.Transpose) -> str:  # noqa: N802
        numbers = self.network.constants.get(transpose.arg)
        if numbers is not None and not is_large(numbers):
            return self.numbers(numbers.T)
        return rf"{self._print(transpose.arg)}^{{\top}}"

    def _print_re(self, expression: sympy.re, exp: str | None = None) -> str:
        return rf"\operatorname{{Re}}\left[{self._print(expression.args[0])}\right]"

    def _print_Identity(self, identity: sympy.Identity, exp: str | None = None) -> str:  # noqa: N802
        return "1"


def _square_part(content: sympy.Rational) -> tuple[sympy.Rational, sympy.Rational]:
    """Return the square root of a rational's largest square factor, and what is left of it."""
    above, below = (sympy.sqrt(part).as_coeff_Mul()[0] for part in (content.p, content.q))
    return Rational(above, below), content / Rational(above, below) ** 2


def _scalars(network: Network) -> dict[str, Scalar]:
    """Return the scalars of all fields by the names of their symbols: statistics first, slopes of gains last."""
    places = [(field, f"_{{{field.name}}}" if field.name else "") for field in network.fields]
    alone = {field.name: network.equations.population(field.population).ones is None for field in network.fields}
    found: dict[str, Scalar] = {}
    for kinds in (STATISTICS, GAINS):
        for kind, letter in kinds.items():
            for field, place in places:
                of = rf"\Delta{place}" if kind == GAIN.__name__ and alone[field.name] else ""
                found[_of_field(kind, field)] = Scalar(f"{letter}{place}", of)
    found |= {
        f"{_of_field(kind, field)}bar": Scalar(rf"\bar{{{letter}}}{place}")
        for kind, letter in {**STATISTICS, **GAINS}.items()
        for field, place in places
    }
    for kind, letter in STATISTICS.items():
        for field, place in places:
            slope = Scalar("g'", rf"\Delta{place}") if alone[field.name] else Scalar(rf"\partial_{letter} g{place}")
            found[f"g_{_of_field(kind, field)}"] = slope
    return found


def _of_field(name: str, field: Field) -> str:
    return str(of_field(sympy.Symbol(name), field).name)


def _alone(equations: Equations) -> frozenset[str]:
    """Return the vectors that neither multiply nor read anything, such as biases and initial states."""
    rights = [state.right for state in equations.states] + [right for _, right in equations.named]
    rights += [state.initial for state in equations.states if state.initial is not None]
    names = set(equations.vector_symbols)
    return frozenset(names - {symbol.name for right in rights for symbol in _multiplying(right)})


def _multiplying(expression: MatrixExpr) -> Iterator[MatrixSymbol]:
    """Give the symbols that stand in a product with something else than a number, or are transposed."""
    if isinstance(expression, MatrixSymbol):
        return
    product = isinstance(expression, MatMul | Transpose) and len(coefficient(expression)[1]) > 1
    for argument in expression.args:
        if isinstance(argument, MatrixSymbol) and (product or isinstance(expression, Transpose)):
            yield argument
        elif isinstance(argument, MatrixExpr):
            yield from _multiplying(argument)


def _keys(joined: str, known: Iterable[str]) -> list[str]:
    """Split keys of latents that are joined by an underscore, which may stand in a key itself."""
    known = tuple(known)
    if joined in known:
        return [joined]
    return next([left, joined[len(left) + 1 :]] for left in known if joined.removeprefix(f"{left}_") in known)


def _without_population(name: str, population: str) -> tuple[str, str]:
    """Split a name of a letter and that of a population into the two; return any other with an empty end."""
    letter = name.removesuffix(population)
    if not population or len(letter) != 1 or letter == name:
        return name, ""
    return letter, word(population)


def _word(name: str, *numbers: str) -> Letter:
    """Return a name of letters and digits: a letter, a Greek one by its name, or a word; digits and numbers below."""
    letters, digits = re.fullmatch(r"([A-Za-z]+)(\w*)", name).groups()  # type: ignore[union-attr]
    letter = str(translate(letters)) if letters.lower() in greek_letters_set else word(letters)
    return Letter(letter, ",".join(filter(None, (digits, *numbers))))
