"""Derivations as LaTeX: a complete document, or the equations alone to input into one's own.

The document needs amsmath, amssymb and geometry. Every statement in it is a view of the derivation; the
order of terms is that of the overlaps, so that the same specification gives the same bytes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import jinja2
import sympy
from sympy import MatMul, MatrixExpr
from sympy.printing.latex import greek_letters_set, translate

from symlow.closed_form import PairFormula
from symlow.derivation import Derivation
from symlow.expressions import summands
from symlow.network import Network
from symlow.printing.notation import Notation, width
from symlow.spec import FORMAT
from symlow.tasks.filters import FilterLoss
from symlow.version import MARK, __version__

LINE = 68
"""Width of a line of equations, in the unit of :func:`symlow.printing.notation.width`, at the document's margins."""

MOST_SCALARS = 60
"""The largest number of overlaps whose scalar equations are printed unless asked for: beyond it the block form,
which is the same at every rank, says the same in one page."""

WIDEST_ENTRIES = 20
"""The widest list of entries of a block in the table of overlaps; a wider one is cut."""

WIDEST_METRIC = 4
"""The largest number of visible overlaps for which the metric is printed as a matrix on one page."""


def latex(derivation: Derivation, fragment: bool = False, scalars: bool | None = None) -> str:
    r"""Return the derivation as LaTeX.

    Args:
        derivation: what to print.
        fragment: only the equations, for ``\\input`` into a document that loads amsmath and amssymb.
        scalars: whether to print the scalar equation of every overlap; by default up to ``MOST_SCALARS`` overlaps.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("symlow.printing"),
        undefined=jinja2.StrictUndefined,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["tex"] = _text
    document = _Document(derivation, len(derivation.overlaps) <= MOST_SCALARS if scalars is None else scalars)
    return environment.get_template("fragment.tex.jinja" if fragment else "document.tex.jinja").render(
        document=document, d=derivation, version=__version__, format=FORMAT, mark=MARK
    )


class _Document:
    """The parts of the document, each a piece of LaTeX."""

    def __init__(self, derivation: Derivation, scalars: bool) -> None:
        self.derivation = derivation
        self.scalars = scalars
        self.notation = Notation(derivation.reduction.index)
        self.network: Network = derivation.network

    def _tex(self, expression: sympy.Basic) -> str:
        return str(self.notation.doprint(expression))

    @property
    def model(self) -> str:
        network = self.network
        phi = "h" if network.nonlinearity.is_linear else r"\phi(h)"
        drives = [
            rf"{_capital(carrier.vector)}\,{_bracketed(self._tex(carrier.drive))}" for carrier in network.carriers
        ]
        rows = [(r"\tau\,\frac{\mathrm{d}h}{\mathrm{d}t}", ["-h", *drives])]
        rows += [
            (self._tex(projection.symbol), [rf"\frac{{1}}{{N}}\,{_capital(projection.reader)}^{{\top}} {phi}"])
            for projection in (*network.projections, network.output)
        ]
        return _aligned(rows)

    @property
    def stacked(self) -> str:
        return r"\;".join(_capital(vector.name) for vector in self.network.vectors)

    @property
    def shapes(self) -> str:
        return ", ".join(rf"${_capital(v.name)}$ ($N\times {v.columns}$)" for v in self.network.vectors)

    @property
    def frozen(self) -> str:
        names = [f"${_capital(vector.name)}$" for vector in self.network.vectors if not vector.trainable]
        return ", ".join(names)

    @property
    def reduced(self) -> str:
        reduction, network = self.derivation.reduction, self.network
        rows = [
            (rf"{self._tex(projection.symbol)}(t)", self._at_time(reduction.projections[projection.symbol.name], "t"))
            for projection in network.projections
        ]
        for carrier in network.carriers:
            latent = self._tex(reduction.latents[carrier.vector])
            drive = _bracketed(self._at_time_text(carrier.drive))
            change = [rf"{latent}(t)", rf"\frac{{\mathrm{{d}}t}}{{\tau}}\left[-{latent}(t) + {drive}\right]"]
            rows.append((rf"{latent}(t+\mathrm{{d}}t)", change))
        moment = r"t+\mathrm{d}t" if network.reads_after_update else "t"
        rows.append((rf"{self._tex(network.output.symbol)}(t)", self._at_time(reduction.output, moment)))
        return _aligned(rows)

    def _at_time(self, expression: MatrixExpr, moment: str) -> list[str]:
        terms = []
        for term in summands(expression):
            code = self._tex(term)
            for latent in self.derivation.reduction.latents.values():
                name = self._tex(latent)
                code = code.replace(name, f"{name}({moment})")
            terms.append(code)
        return terms

    def _at_time_text(self, drive: MatrixExpr) -> str:
        symbols = (self.network.inputs, *(projection.symbol for projection in self.network.projections))
        return self._tex(
            drive.subs({symbol: sympy.MatrixSymbol(f"{symbol.name}(t)", *symbol.shape) for symbol in symbols})
        )

    @property
    def overlap_rows(self) -> list[tuple[str, str, str, str]]:
        """Block, its entries, visible or not, and why: a row for each block of the Gram matrix."""
        reduction = self.derivation.reduction
        index = reduction.index
        rows = []
        for (left, right), symbol in index.blocks.items():
            entries = list(dict.fromkeys(self._tex(entry) for entry in index.explicit(left, right)))
            shown = ", ".join(entries)
            if width(shown) > WIDEST_ENTRIES:
                shown = rf"{entries[0]}, \ldots, {entries[-1]}"
            reason = reduction.visibility[index.at(index.slice(left).start, index.slice(right).start).name]
            if reason.visible:
                where = r"\to ".join(self._name(step) for step in reason.path)
                rows.append((self._tex(symbol), shown, "visible", f"multiplies a latent in ${where}$"))
            else:
                rows.append((self._tex(symbol), shown, "invisible", "in no equation that the output depends on"))
        return sorted(rows, key=lambda row: row[2] != "visible")

    def _name(self, name: str) -> str:
        latents = {latent.name: latent for latent in self.derivation.reduction.latents.values()}
        return self._tex(latents[name]) if name in latents else name

    @property
    def gradient_blocks(self) -> str:
        symbols = self.derivation.reduction.index.blocks
        entries = []
        for pair, block in self.derivation.learning.visible_blocks.items():
            half = "" if pair[0] == pair[1] else r"\tfrac{1}{2}\,"
            entries.append(rf"{self._tex(block)}={half}\frac{{\partial L}}{{\partial {self._tex(symbols[pair])}}}")
        return _listed(entries)

    @property
    def block_flow(self) -> str:
        symbols = self.derivation.reduction.index.blocks
        return _aligned(
            (_rate(self._tex(symbols[pair])), self._block_terms(expression))
            for pair, expression in self.derivation.block_flow.items()
        )

    def _block_terms(self, expression: MatrixExpr) -> list[str]:
        if isinstance(expression, sympy.ZeroMatrix):
            return ["0"]
        terms = []
        for term in summands(expression):
            scalar, factors = term.as_coeff_matrices() if isinstance(term, MatMul) else (sympy.Integer(1), [term])
            product = r"\,".join(self._tex(factor) for factor in factors)
            sign, size = ("-", -scalar) if scalar.is_negative else ("", scalar)
            terms.append(f"{sign}{'' if size == 1 else self._tex(size)}{product}")
        return terms

    def scalar_flow(self, names: Sequence[str]) -> str:
        return _aligned(self._flow_row(name) for name in names)

    def _flow_row(self, name: str) -> tuple[str, list[str]]:
        overlap = self.derivation.reduction.index[name]
        terms = []
        for gradient, coefficient in self.derivation.learning.by_gradient(overlap).items():
            code = self._tex(-coefficient)
            bracketed = f"({code})" if isinstance(coefficient, sympy.Add) else code
            terms.append(rf"-{bracketed}\,{self.notation.gradient(gradient)}")
        return _rate(self._tex(overlap.symbol)), terms or ["0"]

    @property
    def metric(self) -> str | None:
        if len(self.derivation.visible) > WIDEST_METRIC:
            return None
        d = self.derivation
        rows = []
        for k in range(d.metric.rows):
            if k == len(d.visible):
                rows.append(r"\hline")
            rows.append(" & ".join(self._tex(entry) for entry in d.metric.row(k)) + r" \\")
        return "\n".join([rf"\begin{{array}}{{{'c' * d.metric.cols}}}", *rows, r"\end{array}"])

    @property
    def state_space(self) -> str:
        space, latents = self.derivation.reduction.state_space, self.derivation.reduction.latents
        A = [[self._tex(space.A[t, s]) if (t, s) in space.A else "0" for s in latents] for t in latents]
        B = [[self._tex(space.B[t]) if t in space.B else "0"] for t in latents]
        C = [[self._tex(space.C[s]) if s in space.C else "0" for s in latents]]
        stack = [[self._tex(latents[s])] for s in latents]
        return _listed([rf"\kappa={_matrix(stack)}", f"A={_matrix(A)}", f"B={_matrix(B)}", f"C={_matrix(C)}"])

    @property
    def adjoint(self) -> str:
        """The blocks of dL/dSigma in the cotangents of A, B and C."""
        symbols = {symbol.name: symbol for symbol in self.derivation.reduction.index.blocks.values()}
        return _listed(
            rf"\frac{{\partial L}}{{\partial {self._tex(symbols[name])}}}={self._tex(expression)}"
            for name, expression in self.derivation.loss_adjoint.items()
        )

    @property
    def factor(self) -> str:
        return self._tex(self.derivation.loss.factor)

    @property
    def weight(self) -> str:
        loss = self.derivation.loss
        assert isinstance(loss, FilterLoss)
        return self._tex(loss.weight)

    @property
    def is_filter(self) -> bool:
        return isinstance(self.derivation.loss, FilterLoss)

    @property
    def targets(self) -> str:
        loss = self.derivation.loss
        assert isinstance(loss, FilterLoss)
        single = len(loss.targets) == 1
        rows = [
            (self._target_name(target.output, target.input, single) + "(t)", [self._tex(target.response)])
            for target in loss.targets
        ]
        return _aligned(rows)

    @staticmethod
    def _target_name(output: int, input_: int, single: bool) -> str:
        return r"f^{*}" if single else rf"f^{{*}}_{{{output + 1}{input_ + 1}}}"

    @property
    def parameters(self) -> str:
        values = self.derivation.parameters
        return ", ".join(rf"${self._tex(symbol)}={self._tex(value)}$" for symbol, value in values.items())

    @property
    def formulas(self) -> list[dict[str, str]]:
        """For each pair its impulse response, its loss as dt tends to 0 and its minimum."""
        d = self.derivation
        if not isinstance(d.loss, FilterLoss) or d.pair_formulas is None:
            return []
        single = len(d.pair_formulas) == 1
        return [self._formula(formula, d.loss, single) for formula in d.pair_formulas]

    def _formula(self, formula: PairFormula, loss: FilterLoss, single: bool) -> dict[str, str]:
        target = formula.target
        pair = "" if single else rf"_{{{target.output + 1}{target.input + 1}}}"
        parts = {"name": f"L{pair}", "response": _aligned([(rf"f{pair}[k]", self._sum(formula.response))])}
        parts["loss"] = ""
        if formula.squared_error is not None:
            parts["loss"] = _aligned([(f"L{pair}", self._sum(loss.factor * formula.squared_error))])
        parts["minimum"] = self._families(formula.minimum)
        parts["minimum_discrete"] = self._families(formula.minimum_discrete)
        return parts

    def _families(self, families: Iterable[Mapping[sympy.Symbol, sympy.Expr]]) -> str:
        listed = (",\\quad ".join(f"{self._tex(s)}={self._tex(value)}" for s, value in f.items()) for f in families)
        return r"\quad\text{or}\quad ".join(listed)

    def _sum(self, expression: sympy.Expr) -> list[str]:
        """Return the terms of a sum, those with the most overlaps first, denominators as they are."""
        terms = [part for term in sympy.Add.make_args(expression) for part in _distributed(term)]
        return [self._tex(term) for term in sorted(terms, key=_order)]


def _distributed(term: sympy.Expr) -> list[sympy.Expr]:
    """Multiply one sum in the numerator out, once; sympy's expand would multiply denominators out too."""
    factors = sympy.Mul.make_args(term)
    sums = [factor for factor in factors if isinstance(factor, sympy.Add)]
    if not sums:
        return [term]
    rest = term / sums[0]
    return [part for addend in sums[0].args for part in _distributed(rest * addend)]


def _order(term: sympy.Expr) -> tuple[int, int, str]:
    """Sort rational terms first, and those with more overlaps before those with fewer."""
    overlaps = [symbol for symbol in term.free_symbols if symbol.name.startswith("sigma_")]
    return (0 if overlaps and term.is_rational_function() else 1, -len(overlaps), str(term))


def _matrix(rows: list[list[str]]) -> str:
    return r"\begin{pmatrix}" + r"\\ ".join(" & ".join(row) for row in rows) + r"\end{pmatrix}"


def _capital(vector: str) -> str:
    """Return the matrix of a vector's columns: its name in capitals."""
    return vector.upper() if len(vector) == 1 else rf"\mathrm{{{vector.upper()}}}"


def _rate(code: str) -> str:
    return rf"\frac{{\mathrm{{d}}}}{{\mathrm{{d}}t}}{code}"


def _bracketed(code: str) -> str:
    return rf"\left({code}\right)" if "+" in code or "-" in code[1:] else code


def _aligned(rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return an align* environment of equations, lines broken between terms to the page width."""
    rows = list(rows)
    # Aligned at the equals sign, all right-hand sides begin where the widest left-hand side ends.
    indent = max(width(left) for left, _ in rows) + 3
    lines = []
    for left, terms in rows:
        line, used = f"{left} &= ", indent
        for position, term in enumerate(terms):
            piece = term if position == 0 or term.startswith("-") else f"+ {term}"
            piece = piece.replace("-", "- ", 1) if position and piece.startswith("-") else piece
            size = width(piece)
            if position and used + size > LINE:
                lines.append(line.rstrip() + r" \\")
                line, used = r"&\quad ", indent + 3
            line += piece + " "
            used += size
        lines.append(line.rstrip() + r" \\")
    lines[-1] = lines[-1].removesuffix(r" \\")
    return "\n".join([r"\begin{align*}", *lines, r"\end{align*}"])


def _listed(equations: Iterable[str]) -> str:
    """Return short equations side by side, as many to a line as the page is wide."""
    lines: list[list[str]] = [[]]
    for equation in equations:
        if lines[-1] and sum(width(other) + 4 for other in [*lines[-1], equation]) > LINE:
            lines.append([])
        lines[-1].append(equation)
    return "\n".join([r"\begin{gather*}", " \\\\\n".join(",\\qquad ".join(line) for line in lines), r"\end{gather*}"])


def _text(text: str) -> str:
    """Return plain text with TeX's special characters escaped, and letters that pdflatex does not know replaced."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {character: f"\\{character}" for character in "&%$#_{}"}
    return "".join(special.get(character) or _known(character) for character in text)


def _known(character: str) -> str:
    """Return a character that pdflatex knows: itself, a Greek letter as a command, or the nearest of ASCII."""
    if ord(character) < 0x180 or character in "\u2013\u2014\u2018\u2019\u201c\u201d":
        return character
    greek = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (\w+)", unicodedata.name(character, ""))
    if greek and greek[2].lower() in greek_letters_set:
        return str(translate(greek[2].lower() if greek[1] == "SMALL" else greek[2].capitalize()).join(("$", "$")))
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return plain or "?"
