"""Learning rules in print: their gradient, their step and the congruence of the Gram matrix, as text and as LaTeX."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import sympy

from symlow.printing.latex_lines import matrix
from symlow.rules import CLIP_FACTOR, LABEL_NOISE, LR, MOMENTUM, WEIGHT_DECAY, Block, Rule

ORDER = (LR, CLIP_FACTOR, WEIGHT_DECAY, MOMENTUM)
"""The order of factors in a product."""


@dataclass(frozen=True)
class Style:
    """How products are written.

    Attributes:
        symbols: the letter of each symbol.
        space: what stands between factors.
        plus: the mark of values after the step.
        gradient: N grad_P L, or grad_P L where projections are sums over neurons.
        aligned: the same with errors sent back through B.
    """

    symbols: dict[sympy.Symbol, str]
    space: str
    plus: str
    gradient: str
    aligned: str

    def product(self, coefficient: sympy.Expr, matrices: Iterable[str]) -> str:
        """Return a product of symbols, numbers and matrices; 1 if it has no factor."""
        number, rest = coefficient.as_coeff_Mul()
        powers = dict(factor.as_base_exp() for factor in sympy.Mul.make_args(rest) if factor != 1)
        factors = [] if number == 1 else [f"{number}"]
        for symbol in (*(symbol for symbol in ORDER if symbol in powers), *(base for base in powers if base.is_Add)):
            code = self.symbols[symbol] if symbol in ORDER else self._sum(symbol)
            factors.append(code if powers[symbol] == 1 else f"{code}^{powers[symbol]}")
        return self.space.join([*factors, *matrices]) or "1"

    def _sum(self, expression: sympy.Expr) -> str:
        """Return a sum in brackets, the number first."""
        number, rest = expression.as_coeff_Add()
        return f"({number} + {' + '.join(self.product(term, '') for term in sympy.Add.make_args(rest))})"

    def block(self, block: Block) -> str:
        """Return a block of K."""
        text = ""
        for coefficient, matrices in block:
            negative = coefficient.could_extract_minus_sign()
            code = self.product(-coefficient if negative else coefficient, matrices)
            sign = ("-" if negative else "") if not text else (" - " if negative else " + ")
            text += sign + code
        return text

    def rule_gradient(self, rule: Rule, in_span: bool = False) -> str:
        """Return the gradient that a rule sees, of N grad_P L, or of 2 P S."""
        factor = CLIP_FACTOR if rule.clip else sympy.Integer(1)
        gradient = self.aligned if rule.has_feedback else self.gradient
        code = self.product(2 * factor, ("P", rule.mixing)) if in_span else self.product(factor, (gradient,))
        return f"{code} + {self.product(WEIGHT_DECAY, 'P')}" if rule.weight_decay else code

    def step(self, rule: Rule) -> list[str]:
        """Return the equations of a step, the gradient g first."""
        lr, beta, plus = self.symbols[LR], self.symbols[MOMENTUM], self.plus
        direction = {"momentum": f"Q{plus}", "nesterov": f"(g + {beta}{self.space}Q{plus})"}.get(rule.name, "g")
        equations = [f"g = {self.rule_gradient(rule)}"]
        equations += [f"Q{plus} = {beta}{self.space}Q + g"] if rule.has_velocity else []
        return [*equations, f"P{plus} = P - {self.space.join([lr, direction, 'D'])}"]


TEXT = Style(
    {LR: "lr", WEIGHT_DECAY: "rho", MOMENTUM: "beta", CLIP_FACTOR: "c"}, " ", "+", "N grad_P L", "N grad_P^B L"
)
LATEX = Style(
    {LR: r"\eta", WEIGHT_DECAY: r"\rho", MOMENTUM: r"\beta", CLIP_FACTOR: "c"},
    r"\,",
    "^{+}",
    r"N\,\nabla_P L",
    r"N\,\nabla_P^{B}L",
)


def style_of(style: Style, averages: bool) -> Style:
    """Return the style where projections are averages over neurons, or sums, whose gradients have no factor N."""
    if averages:
        return style
    size = f"N{style.space}"
    return replace(style, gradient=style.gradient.removeprefix(size), aligned=style.aligned.removeprefix(size))


def rule_equations(rule: Rule, averages: bool = True) -> tuple[str, ...]:
    """Return the flow and the step of a rule as lines of text, for docstrings and the terminal.

    Args:
        rule: the rule.
        averages: whether projections are averages over neurons, rather than sums.
    """
    style = style_of(TEXT, averages)
    left, right = ("R^T", "R") if rule.has_feedback else ("S", "S")
    flow = f"dSigma/dt = -2 {'c ' if rule.clip else ''}(D {left} Sigma + Sigma {right} D)"
    flow += " - rho (D Sigma + Sigma D)" if rule.weight_decay else ""
    K = {pair: style.block(block) for pair, block in rule.congruence.items()}
    norm = f"|{style.aligned if rule.has_feedback else style.gradient}|"
    lines = [
        f"g = {style.rule_gradient(rule)}" + (f",   c = min(1, C / {norm})" if rule.clip else ""),
        f"flow:  dP/dt = -g D,   {flow}",
        f"step:  {',   '.join(style.step(rule)[1:])},   Sigma+ = K^T Sigma K",
    ]
    if rule.has_velocity:
        lines += [
            f"       [P Q]+ = [P Q] K,   K = [{K['P', 'P']}, {K['P', 'Q']}]",
            f"                               [{K['Q', 'P']}, {K['Q', 'Q']}]",
            "       Q: velocities of the trained columns, zero at first",
        ]
    else:
        lines.append(f"       P+ = P K,   K = {K['P', 'P']}")
    if rule.clip:
        square = f"{norm}^2 = 4 tr({left} Sigma {right}) over trained columns"
        lines.append(f"{square}, the square of its Frobenius norm{', by N' if averages else ''}")
    if rule.has_feedback:
        lines += [
            f"{style.aligned} = 2 P R,  R = E S: errors are sent back through B, one vector for each that the output "
            "reads",
            "S: of cotangents in the backward pass with B in place of these vectors, at the errors of the network",
            "E: the permutation of columns that exchanges them, so that what S moves along them moves along B",
        ]
    values = {symbol: value for symbol, value in rule.parameters.items() if symbol != LABEL_NOISE}
    return (
        *lines,
        *([",   ".join(f"{symbol} = {float(value):g}" for symbol, value in values.items())] if values else []),
    )


def noise_equations(rule: Rule) -> tuple[str, ...]:
    """Return what noise on targets does to a step as lines of text; none without noise."""
    if not rule.label_noise:
        return ()
    lines = [f"Targets have white noise of standard deviation {float(rule.label_noise):g}, drawn anew at each step."]
    if rule.has_noisy_moments:
        lines += [
            "Loss gradients g then are Gaussian, and K is affine in them. With its derivatives K_k along the principal",
            "axes k of their covariance, times standard deviations, and sym M = (M + M^T) / 2,",
            "    E[Sigma+] = K^T Sigma K + sum_k K_k^T Sigma K_k,   K at the targets without noise",
            "    Cov[Sigma+] = sum_k A_k A_k^T + 2 sum_kl B_kl B_kl^T,",
            "    A_k = 2 sym K_k^T Sigma K,   B_kl = sym K_k^T Sigma K_l",
        ]
    return tuple(lines)


def rule_step(rule: Rule) -> list[str]:
    """Return the equations of the step of a rule in LaTeX, given its gradient g; that of the velocity first."""
    return LATEX.step(rule)[1:]


def rule_congruence(rule: Rule) -> str:
    """Return K in LaTeX, in blocks where there are velocities."""
    K = {pair: LATEX.block(block) for pair, block in rule.congruence.items()}
    return matrix([[K[row, column] for column in "PQ"] for row in "PQ"]) if rule.has_velocity else K["P", "P"]
