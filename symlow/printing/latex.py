"""Derivations as LaTeX: a complete document, or the equations alone to input into one's own.

The document needs amsmath, amssymb and geometry. Every statement in it is a view of the derivation; the
order of terms is that of the overlaps, so that the same specification gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import jinja2
import sympy
from sympy import MatAdd, MatMul, MatrixExpr

from symlow.closed_form import PairFormula
from symlow.derivation import Derivation
from symlow.network import Network
from symlow.printing.latex_backward import Backpropagation
from symlow.printing.latex_conserved import Conserved
from symlow.printing.latex_dynamics import Dynamics
from symlow.printing.latex_lines import aligned, escaped, listed, matrix
from symlow.printing.latex_network import Model
from symlow.printing.latex_overlaps import OverlapTable
from symlow.printing.notation import Notation
from symlow.printing.rules import LATEX, Style, rule_congruence, rule_step, style_of
from symlow.printing.tasks import task_batches, task_name, task_parameters, task_summary
from symlow.reduction import TAU
from symlow.rules import LABEL_NOISE, WEIGHT_DECAY
from symlow.spec import FORMAT
from symlow.spec_trials import GeneratedTask
from symlow.tasks.filters import FilterLoss
from symlow.version import MARK, __version__

MOST_SCALARS = 60
"""The largest number of overlaps whose scalar equations are printed unless asked for: beyond it the block form,
which is the same at every rank, says the same in one page."""

FORMULAS = {
    **{
        text.replace("N grad L", f"{size}grad{sent} L"): code.replace(
            r"N\,\nabla_P L", rf"{size and 'N'}\,\nabla_P{sent and '^{B}'} L"
        )
        for sent in ("", "^B")
        for size in ("N ", "")
        for text, code in (
            ("dP/dt = -N grad L", r"\mathrm{d}P/\mathrm{d}t=-N\,\nabla_P L"),
            ("dP/dt = -c N grad L", r"\mathrm{d}P/\mathrm{d}t=-cN\,\nabla_P L"),
            ("dP/dt = -(N grad L + rho P)", r"\mathrm{d}P/\mathrm{d}t=-(N\,\nabla_P L+\rho P)"),
            ("dP/dt = -(c N grad L + rho P)", r"\mathrm{d}P/\mathrm{d}t=-(cN\,\nabla_P L+\rho P)"),
        )
    },
    "eta / (1 - beta)": r"\eta/(1-\beta)",
    "N^(-1/2)": "N^{-1/2}",
    "phi'(h)": r"\phi'(h)",
    "order dt": r"\text{order }\mathrm{d}t",
}
"""What formulas in the text of statements are in LaTeX."""

LETTERS = {"N": "N", "P": "P", "c": "c", "eta": r"\eta", "beta": r"\beta"}
"""Letters that are formulas where they stand alone."""

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
    environment.filters["tex"] = escaped
    environment.filters["dollars"] = lambda code: f"${code}$"
    document = _Document(derivation, len(derivation.learning.weights) <= MOST_SCALARS if scalars is None else scalars)
    environment.filters["vector"] = document.notation.vector
    environment.filters["statement"] = document.statement
    return environment.get_template("fragment.tex.jinja" if fragment else "document.tex.jinja").render(
        document=document, d=derivation, version=__version__, format=FORMAT, mark=MARK
    )


def flow_equations(derivation: Derivation, names: Sequence[str]) -> str:
    """Return the equations of some overlaps, an align* environment."""
    return _Document(derivation, True).scalar_flow(names)


def block_flow_equations(derivation: Derivation) -> str:
    """Return the flow of the blocks of the Gram matrix, an align* environment."""
    return _Document(derivation, False).block_flow


class _Document:
    """The parts of the document, each a piece of LaTeX."""

    def __init__(self, derivation: Derivation, scalars: bool) -> None:
        self.derivation = derivation
        self.scalars = scalars
        self.network: Network = derivation.network
        self.notation = Notation(derivation.reduction.index)
        self.model = Model(derivation.network, self.notation)
        self.dynamics = Dynamics(derivation, self.notation)
        self.backpropagation = Backpropagation(derivation, self.dynamics)
        self.conserved = Conserved(derivation, self.notation)
        self.table = OverlapTable(derivation, self.notation)
        self.output = self.notation.letter(self.network.output.name)
        self.input = self.notation.letter(self.network.inputs.name)
        self.mask = self.notation.mask

    def _tex(self, expression: sympy.Basic) -> str:
        return str(self.notation.doprint(expression))

    def statement(self, text: str) -> str:
        """Return a statement with its formulas as LaTeX."""
        formulas = {**FORMULAS, **self.model.starts}
        letters = "|".join(LETTERS)
        parts = re.split("(" + "|".join(map(re.escape, formulas)) + rf"|\b(?:{letters})\b)", text)
        known = {**formulas, **LETTERS}
        return "".join(f"${known[part]}$" if k % 2 else escaped(part) for k, part in enumerate(parts))

    @property
    def statistics_in_words(self) -> str:
        """What fields have over neurons."""
        words = "mean and variance" if self.dynamics.has_means else "variance"
        return words if len(self.network.fields) == 1 else words.replace("mean", "means").replace("nce", "nces")

    @property
    def per_neuron(self) -> str:
        """What a product of vectors is divided by in overlaps."""
        return "/N" if self.network.equations.averages else ""

    @property
    def gradient(self) -> str:
        """What gradient descent subtracts, but for the learning rate."""
        size = r"N\," if self.network.equations.averages else ""
        return rf"{size}(\nabla_P L)\,D"

    @property
    def gradient_blocks(self) -> str:
        symbols = self.derivation.reduction.index.blocks
        entries = []
        for pair, block in self.derivation.learning.visible_blocks.items():
            half = "" if pair[0] == pair[1] else r"\tfrac{1}{2}\,"
            entries.append(f"{self._tex(block)}={half}{self.notation.block_gradient(symbols[pair])}")
        return listed(entries)

    @property
    def block_flow(self) -> str:
        symbols = self.derivation.reduction.index.blocks
        return aligned(
            (_rate(self._tex(symbols[pair])), self._block_terms(expression))
            for pair, expression in self.derivation.block_flow.items()
            if pair not in self.table.constant and not self.table.moves(*pair)
        )

    def _block_terms(self, expression: MatrixExpr) -> list[str]:
        if isinstance(expression, sympy.ZeroMatrix):
            return ["0"]
        terms = []
        for term in expression.args if isinstance(expression, MatAdd) else (expression,):
            scalar, factors = term.as_coeff_matrices() if isinstance(term, MatMul) else (sympy.Integer(1), [term])
            product = r"\,".join(self._tex(factor) for factor in factors)
            sign, size = ("-", -scalar) if scalar.is_negative else ("", scalar)
            number = self._tex(size) if size.is_Integer else rf"{self._tex(size)}\,".replace(r"\frac", r"\tfrac")
            terms.append(f"{sign}{'' if size == 1 else number}{product}")
        return terms

    def scalar_flow(self, names: Sequence[str]) -> str:
        constant = [f"{name}_{name}" for name in self.network.ones]
        weights = {overlap.name for overlap in self.derivation.learning.weights}
        return aligned(self._flow_row(name) for name in names if name in weights and name not in constant)

    def _flow_row(self, name: str) -> tuple[str, list[str]]:
        overlap = self.derivation.reduction.index[name]
        learning, terms = self.derivation.learning, []
        factor = "c" if learning.rule.clip else ""
        for gradient, coefficient in learning.by_gradient(overlap).items():
            terms.append(rf"-{self._product(factor, -coefficient)}\,{self.notation.gradient(gradient)}")
        if (decay := learning.decay(overlap)) != 0:
            terms.append("-" + self._product(r"\rho", -decay / WEIGHT_DECAY))
        return _rate(self._tex(overlap.symbol)), terms or ["0"]

    def _product(self, factor: str, overlaps: sympy.Expr) -> str:
        """Return a factor times overlaps, numbers in front of it."""
        if isinstance(overlaps, sympy.Add):
            return f"{factor}({self._tex(overlaps)})"
        number, rest = overlaps.as_coeff_Mul()
        if not factor:
            return self._tex(overlaps)
        return rf"{'' if number == 1 else self._tex(number)}{factor}\,{self._tex(rest)}"

    @property
    def feedback(self) -> list[tuple[str, str]]:
        """The vectors that the output reads, each with the one through which errors are sent back in its place."""
        feedback = self.derivation.learning.feedback.items()
        return [(f"${self.notation.vector(read)}$", f"${self.notation.vector(sent)}$") for read, sent in feedback]

    @property
    def sent_through(self) -> str:
        """The vectors through which errors are sent back, and those in whose place."""
        return " and ".join(f"{sent} in place of {read}" for read, sent in self.feedback)

    @property
    def gradient_of_rule(self) -> str:
        """The gradient that the rule sees, g, as a formula."""
        return self._style.rule_gradient(self.derivation.rule)

    @property
    def gradient_of_loss(self) -> str:
        """The gradient of the loss in the scaling of learning, or what the rule has in its place."""
        return self._style.aligned if self.derivation.rule.has_feedback else self._style.gradient

    @property
    def _style(self) -> Style:
        return style_of(LATEX, self.network.equations.averages)

    @property
    def rule_step(self) -> str:
        """The step of the rule."""
        return listed(rule_step(self.derivation.rule))

    @property
    def gradient_in_span(self) -> str:
        """The gradient that the rule sees in the columns of P."""
        return LATEX.rule_gradient(self.derivation.rule, in_span=True)

    @property
    def rates(self) -> str:
        """What the matrix D is."""
        own = {vector: vector.rate for vector in self.network.vectors if vector.rate not in (0, 1)}
        listed_rates = [f"${self._tex(rate)}$ for ${self.notation.vector(v.name)}$" for v, rate in own.items()]
        trained = "$1$ for other trained" if own else "$1$ for trained"
        rates = ", ".join([*listed_rates, f"{trained} and $0$ for frozen columns"])
        return f"$D$ the diagonal matrix with {rates}"

    @property
    def rule_congruence(self) -> str:
        """K of the rule."""
        return rule_congruence(self.derivation.rule)

    @property
    def rule_parameters(self) -> str:
        """The values of the rule's parameters."""
        values = {s: value for s, value in self.derivation.rule.parameters.items() if s != LABEL_NOISE}
        return ", ".join(f"${self._tex(symbol)}={self._tex(value)}$" for symbol, value in values.items())

    @property
    def label_noise(self) -> str:
        """The standard deviation of the noise on targets."""
        return self._tex(self.derivation.rule.label_noise)

    @property
    def metric(self) -> str | None:
        if len(self.derivation.visible) > WIDEST_METRIC:
            return None
        d = self.derivation
        rows = []
        weights = set(d.learning.weights)
        for k, overlap in enumerate(d.ordered):
            if overlap not in weights:
                continue
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
        return listed([rf"\kappa={matrix(stack)}", f"A={matrix(A)}", f"B={matrix(B)}", f"C={matrix(C)}"])

    @property
    def adjoint(self) -> str:
        """The blocks of dL/dSigma in the cotangents of A, B and C."""
        symbols = {symbol.name: symbol for symbol in self.derivation.reduction.index.blocks.values()}
        return listed(
            rf"\frac{{\partial L}}{{\partial {self._tex(symbols[name])}}}={self._tex(expression)}"
            for name, expression in self.derivation.loss_adjoint.items()
        )

    @property
    def factor(self) -> str:
        factor = self.derivation.loss.factor
        return "" if factor == 1 else rf"{self._tex(factor)}\,"

    @property
    def weight(self) -> str:
        loss = self.derivation.loss
        assert isinstance(loss, FilterLoss)
        return self._tex(loss.weight)

    @property
    def task(self) -> dict[str, str] | None:
        """A generated task in words; none for trials that are given."""
        task = self.derivation.spec.task
        if not isinstance(task, GeneratedTask):
            return None
        return {
            "name": task_name(task),
            "summary": task_summary(task),
            "parameters": task_parameters(task),
            "batches": task_batches(task),
        }

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
        return aligned(rows)

    @staticmethod
    def _target_name(output: int, input_: int, single: bool) -> str:
        return r"f^{*}" if single else rf"f^{{*}}_{{{output + 1}{input_ + 1}}}"

    @property
    def parameters(self) -> str:
        discrete = all(latent.tau is None for latent in self.network.latents)
        values = {s: value for s, value in self.derivation.parameters.items() if not (discrete and s == TAU)}
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
        parts = {"name": f"L{pair}", "response": aligned([(rf"f{pair}[k]", self._sum(formula.response))])}
        parts["loss"] = ""
        if formula.squared_error is not None:
            parts["loss"] = aligned([(f"L{pair}", self._sum(loss.factor * formula.squared_error))])
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


def _rate(code: str) -> str:
    return rf"\frac{{\mathrm{{d}}}}{{\mathrm{{d}}t}}{code}"
