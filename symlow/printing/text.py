"""Derivations as plain text, for the terminal and for docstrings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sympy import MatrixExpr, MatrixSymbol, Transpose

from symlow.derivation import Derivation
from symlow.equation_text import function_text, without_phi, written
from symlow.equations import State
from symlow.errors import listing
from symlow.invariants.invariant import FROZEN
from symlow.invariants.lax_pair import LaxPair
from symlow.network import Latent, Network
from symlow.nonlinearity import Nonlinearity
from symlow.nonlinearity.series import ACCEPTED
from symlow.printing.rules import noise_equations, rule_equations
from symlow.printing.tasks import task_batches, task_name, task_parameters, task_summary
from symlow.printing.terms import Group, Term, Terms, feeds_back, is_large
from symlow.reduction import DT, TAU, Column, Reduction, Statistics
from symlow.spec_trials import GeneratedTask
from symlow.tasks.filters import FilterLoss
from symlow.tasks.trials import TrialsLoss

MOST_TERMS = 12
"""The largest number of terms of a conserved quantity that is written out."""


def network_equations(network: Network) -> tuple[str, ...]:
    """Return the equations of the network as plain text, for docstrings and the terminal."""
    equations = network.equations
    lines = [_state_equation(network, state) for state in equations.states]
    lines.append(",   ".join(f"{symbol.name} = {_written(network, right)}" for symbol, right in equations.named))
    starts = [state for state in equations.states if state.initial is not None]
    lines += [f"{state.symbol.name}[0] = {_written(network, state.initial)}" for state in starts]
    if not network.nonlinearity.is_linear:
        lines.append(f"phi(x) = {network.nonlinearity.phi}")
    populations = [population for population in equations.populations if population.name]
    if populations:
        weights = (f"{population.name} {population.weight}" for population in populations)
        lines.append(f"populations, as parts of the N neurons: {', '.join(weights)}")
    return tuple(lines)


def _state_equation(network: Network, state: State) -> str:
    name = state.symbol.name
    if state.tau is None:
        return f"{name}[t+1] = {_written(network, state.right)}"
    tau = str(state.tau * TAU)
    return f"{f'({tau})' if '/' in tau else tau} d{name}/dt = {_written(network, state.right)}"


def _written(network: Network, expression: MatrixExpr) -> str:
    plain = without_phi(expression) if network.nonlinearity.is_linear else expression
    return written(plain, network.equations)


def gain_equations(derivation: Derivation) -> tuple[str, ...]:
    """Return the statistics of fields and the gains that depend on them, or the constant gain."""
    reduction, nonlinearity = derivation.reduction, derivation.network.nonlinearity
    if nonlinearity.is_linear:
        return ()
    if not reduction.statistics:
        return (f"g = E[phi'(sqrt(Delta)*xi)] = {nonlinearity.gain}, whatever the variance Delta of h",)
    terms = Terms(derivation.backward)
    lines = [f"{symbol} = {_grouped(terms, terms.statistic_groups(symbol))}" for symbol in reduction.statistics]
    if len(reduction.statistics_of) > 1:
        named = (f"{symbol} = {gain}" for gain, symbol in derivation.backward.gain_symbols.items())
        lines.append(", ".join(named))
    for one in _kinds(reduction):
        lines += _gain_functions(one, nonlinearity)
    return tuple(lines)


def _kinds(reduction: Reduction) -> list[Statistics]:
    """Return one of the fields without means and one of those with means, as far as there are any."""
    kinds = {one.activity is not None: one for one in reversed(reduction.statistics_of)}
    return [kinds[mean] for mean in sorted(kinds)]


def _gain_functions(one: Statistics, nonlinearity: Nonlinearity) -> Iterator[str]:
    if one.activity is None:
        closed = [nonlinearity.gain if nonlinearity.gain is not None else nonlinearity.stated_gain]
        forms = [("g(Delta)", "phi'(sqrt(Delta)*xi)")]
    else:
        closed = [nonlinearity.gain_with_mean, nonlinearity.activity]
        forms = [("g(mu, Delta)", "phi'(mu + sqrt(Delta)*xi)"), ("phibar(mu, Delta)", "phi(mu + sqrt(Delta)*xi)")]
    for (name, inside), form in zip(forms, closed, strict=True):
        yield f"{name} = E[{inside}]" + ("" if form is None else f" = {form}")
    if one.activity is None and nonlinearity.needs_series:
        yield f"    evaluated by a Chebyshev series, relative error < {ACCEPTED:.0e}"
    elif closed[0] is None:
        yield "    without a closed form"


def reduced_equations(derivation: Derivation) -> tuple[str, ...]:
    """Return the time step and the read-out, at the times of latents and gains."""
    reduction, network = derivation.reduction, derivation.network
    terms, output = Terms(derivation.backward), network.output
    hats = {output: MatrixSymbol(f"{output.name}_now", *output.shape)} if feeds_back(reduction) else {}
    lines = [_column(terms, node, hats) for node in reduction.nodes if isinstance(node, Column)]
    lines += [
        f"{projection.symbol.subs(hats)} = {_sum(terms, reduction.projections[projection.symbol.name])}"
        for projection in network.projections
        if projection.symbol.name not in reduction.columns
        and any(latent.right.has(projection.symbol) for latent in network.latents)
    ]
    lines += [f"{name}[0] = {_sum(terms, start)}" for name, start in reduction.initial.items()]
    lines += [_step(terms, latent, hats) for latent in network.latents]
    return (*lines, f"{output.name}[t] = {_sum(terms, reduction.output.subs(hats))}   {_times(derivation)}")


def latents_in_words(network: Network) -> tuple[str, ...]:
    """Return what the latents are, but for coefficients of a state along the vector that they are named after."""
    size = " / N" if network.equations.averages else ""
    lines = []
    for latent in network.latents:
        if latent.reading:
            lines.append(
                f"{latent.symbol.name} = {latent.vector.upper()}^T {latent.state}{size}, what {latent.vector} reads"
            )
        elif not latent.vector:
            lines.append(f"{latent.symbol.name} = {latent.state}, the environment")
        elif latent.key != latent.vector:
            lines.append(f"{latent.symbol.name}: the coefficient of {latent.state} along {latent.vector}")
    return tuple(lines)


def _column(terms: Terms, column: Column, hats: Mapping[MatrixExpr, MatrixExpr]) -> str:
    name = str(column.symbol.subs(hats))
    if column.right is not None:
        return f"{name} = {_sum(terms, column.right.subs(hats))}"
    assert column.function is not None
    arguments = [(variable, str(argument.subs(hats))) for variable, argument in column.arguments]
    each = ", entry by entry" if column.symbol.shape[0] > 1 else ""
    return f"{name} = {function_text(column.function, arguments)}{each}"


def _step(terms: Terms, latent: Latent, hats: Mapping[MatrixExpr, MatrixExpr]) -> str:
    name = latent.symbol.name
    pieces = [_term(term, terms) for term in terms.of(latent.right.subs(hats))]
    drive = _joined(sorted(pieces, key=lambda piece: piece.startswith("-")))
    return (
        f"{name}[t+1] = {drive}"
        if latent.tau is None
        else f"{name}[t+1] = {name} + ({DT / (latent.tau * TAU)})*({drive})"
    )


def _times(derivation: Derivation) -> str:
    """Return at which times the read-out takes latents and gains."""
    reduction, network = derivation.reduction, derivation.network
    time = f"at kappa[{'t+1' if network.reads_after_update else 't'}]"
    known = [*(symbol.name for symbol in derivation.backward.gain_symbols.values()), *reduction.columns]
    known += [symbol.name for one in reduction.statistics_of if one.activity is not None for symbol in one.definitions][
        :1
    ]
    read = reduction.output.subs(derivation.backward.gain_symbols)
    used = {symbol.name for symbol in (*read.free_symbols, *read.atoms(MatrixSymbol))}
    if network.reads_after_update and not network.gain_after_update and (names := [n for n in known if n in used]):
        time += f", {', '.join(names)} at kappa[t]"
    return time


def _sum(terms: Terms, expression: MatrixExpr) -> str:
    """Return a sum of products with common factors in front: ``g*(Sigma_v_m*kappa_m + Sigma_v_u*kappa_u)``."""
    return _grouped(terms, terms.groups(terms.of(expression)))


def _grouped(terms: Terms, groups: Iterable[Group]) -> str:
    pieces = []
    for group in groups:
        inside = _joined([_term(term, terms) for term in group.terms])
        front = "" if group.coefficient == 1 else f"{group.coefficient}*"
        pieces.append(f"{front}({inside})" if front else inside)
    return _joined(pieces)


def _term(term: Term, terms: Terms) -> str:
    product = "*".join(_factor(factor, terms.reduction.network) for factor in term.factors)
    if not product:
        return str(term.coefficient)
    sign, size = ("-", -term.coefficient) if term.coefficient.as_coeff_Mul()[0].is_negative else ("", term.coefficient)
    return f"{sign}{product}" if size == 1 else f"{sign}{size}*{product}"


def _joined(pieces: list[str]) -> str:
    return " + ".join(pieces).replace("+ -", "- ")


def _factor(factor: MatrixExpr, network: Network) -> str:
    """Return a factor; a small matrix of numbers as it is."""
    plain = factor.arg if isinstance(factor, Transpose) else factor
    numbers = network.constants.get(plain)
    if numbers is None or is_large(numbers):
        return str(factor)
    return written(numbers.T if isinstance(factor, Transpose) else numbers)


def equation(derivation: Derivation, name: str) -> str:
    """Return the flow of one overlap, collected by loss gradient, in names: ``-(m_m + z_z) g_z_m - m_u g_z_u``."""
    overlap = derivation.reduction.index[name]
    terms = []
    for gradient, coefficient in derivation.learning.by_gradient(overlap).items():
        factor = str(-coefficient).replace("sigma_", "")
        terms.append(f"{f'({factor})' if '+' in factor else factor} g_{gradient.name}")
    gradients = "-" + " - ".join(terms) if terms else ""
    if terms and derivation.rule.clip:
        gradients = f"c*({gradients})" if len(terms) > 1 else f"-c*{terms[0]}"
    decay = derivation.learning.decay(overlap)
    if decay == 0:
        return f"d {name}/dt = {gradients or '0'}"
    return f"d {name}/dt = {gradients}{' ' if gradients else ''}- {str(-decay).replace('sigma_', '')}".replace(
        "= - ", "= -"
    )


@dataclass(frozen=True)
class Sections:
    """A derivation as text, in parts.

    Attributes:
        before: network and reduction.
        overlaps: visible and invisible overlaps: a title, and their equations by name; what has no equation of its own
            has a note in the place of one, under an empty name.
        after: rule, loss, what is conserved, validity.
    """

    before: str
    overlaps: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    after: str

    def __str__(self) -> str:
        """Return the whole as plain text."""
        lines = [self.before]
        for title, rows in self.overlaps:
            lines += ["", title, *(f"    {line}" for _, line in rows)]
        return "\n".join([*lines, "", self.after])


def equations(derivation: Derivation) -> str:
    """Return the whole derivation as text: network, reduction, the two sets of overlaps and every equation."""
    return str(sections(derivation))


def sections(derivation: Derivation) -> Sections:
    """Return the same in parts, for terminals that show them in colours."""
    network = derivation.network
    lines = [f"{derivation.spec.name}: {derivation.spec.reference or 'no reference given'}", "", "Network"]
    lines += [f"    {line}" for line in network_equations(network)]
    lines += ["", f"Reduction (dt = {network.dt}, tau = {network.tau}, read-out {network.readout})"]
    reduction = (*latents_in_words(network), *gain_equations(derivation), *reduced_equations(derivation))
    lines += [f"    {line}" for line in reduction]
    large = [(symbol, numbers) for symbol, numbers in network.constants.items() if is_large(numbers)]
    lines += [f"    {symbol} = {written(numbers)}" for symbol, numbers in large]
    for one in (one for one in network.equations.populations if one.ones is not None):
        times = "" if one.weight == 1 else f" of {one.name}, times {one.weight}"
        lines += ["", f"x_{one.ones} is the mean of x over neurons{times}; {one.ones}_{one.ones} = {one.weight}"]
    before = "\n".join(lines)
    weights = {overlap.name for overlap in derivation.learning.weights}
    aligned = derivation.rule.has_feedback
    gradients = f"g_x stands for {'the cotangent of x in the aligned backward pass' if aligned else 'dL/dx'}"
    parts = []
    for title, overlaps in (("loss-visible", derivation.visible), ("loss-invisible", derivation.invisible)):
        moving = [(name, equation(derivation, name)) for name in overlaps if name in weights]
        if len(moving) < len(overlaps):
            moving.append(("", f"and {len(overlaps) - len(moving)} with velocities, which only steps move"))
        parts.append((f"{len(overlaps)} {title} overlaps ({gradients})", tuple(moving)))
    lines = [*_rule(derivation), "", *_loss(derivation)]
    lines += [
        "",
        f"Conserved by {'the' if aligned or derivation.moved_besides else 'gradient'} flow, whatever the loss",
    ]
    lines += [f"    {line}" for line in conserved(derivation)]
    lines += ["", "Validity"]
    lines += [f"    {statement.validity}: {statement.text}" for statement in derivation.statements]
    return Sections(before, tuple(parts), "\n".join(lines))


def _rule(derivation: Derivation) -> Iterator[str]:
    """Give the step of the learning rule, what noise does to it, and the learning rates."""
    network = derivation.network
    how = ", exactly" if network.nonlinearity.is_linear else " (the part of second order in lr is a closure)"
    if derivation.rule.is_plain:
        yield f"Gradient descent{how}: Sigma+ = K^T Sigma K with K = 1 - 2 lr S D"
    else:
        yield f"{derivation.rule.words.capitalize()}{how}"
        yield from (f"    {line}" for line in rule_equations(derivation.rule, network.equations.averages))
    yield from (f"    {line}" for line in noise_equations(derivation.rule))
    if rates := [f"{v.rate} for {v.name.upper()}" for v in network.vectors if v.rate not in (0, 1)]:
        yield f"    D = {', '.join(rates)}, 1 for other trained and 0 for frozen columns"


def conserved(derivation: Derivation) -> tuple[str, ...]:
    """Return what gradient flow conserves: Lax pairs in matrix form, other closed forms by name."""
    if derivation.moved_besides:
        return (f"nothing is claimed, for {derivation.moved_besides}",)
    lines = [line for pair in derivation.lax_pairs for line in _lax_pair(pair)]
    of_pairs = {invariant.name for pair in derivation.lax_pairs for invariant in pair.invariants}
    others = [i for i in derivation.conserved if i.name not in of_pairs and i.kind != FROZEN]
    lines += [f"{invariant.name}   (minor of Sigma: {invariant.kind})" for invariant in others]
    frozen = [invariant.name for invariant in derivation.conserved if invariant.kind == FROZEN]
    lines += [f"frozen: {listing(frozen)}"] if frozen else []
    if derivation.conserves_nothing_else is None:
        return tuple(lines or ["no Lax pair"])
    if not derivation.conserves_nothing_else:
        return tuple(lines or ["nothing in closed form; symlow explain SPEC --invariants K searches"])
    return tuple(
        [*lines, "nothing else: any smooth conserved quantity is locally a function of these"] if lines else ["nothing"]
    )


def _lax_pair(pair: LaxPair) -> list[str]:
    columns = pair.fields.flow.index.columns
    plus, minus = (
        ", ".join(columns[k].label for k, s in zip(pair.component.columns, pair.signs, strict=True) if s == sign)
        for sign in (1, -1)
    )
    number = pair.number or ""
    lines = [
        f"Lax pair dLambda/dt = {pair.bracket}, Lambda = {pair.matrix}; J{number} is +1 on {plus} and -1 on {minus}"
    ]
    if pair.component.beside:
        frozen = ", ".join(columns[k].label for k in pair.component.beside)
        lines.append(f"    Sigma/F{number} is the Gram matrix of what is orthogonal to {frozen} (Schur complement)")
    size, first = len(pair.component.columns), next(pair.invariants)
    short = first.is_expandable and len(first.polynomial) <= MOST_TERMS
    value = f"; {first.name} = {str(first.expression).replace('sigma_', '')}" if short else ""
    return [*lines, f"    so the {size} eigenvalues of Lambda are constant{value}"]


def _loss(derivation: Derivation) -> list[str]:
    """Return the loss in words, and as a formula where it has one."""
    loss = derivation.loss
    if not isinstance(loss, FilterLoss):
        return _trials(derivation, loss)
    horizon = "all lags" if loss.lags is None else f"{loss.lags} lags"
    lines = [f"Loss: L = {loss.factor} dt * sum over {horizon} k of (f[k] - f*(k dt))^2, summed over pairs"]
    for target in loss.targets:
        values = ", ".join(f"{symbol} = {value}" for symbol, value in target.parameters.items())
        pair = f"from input {target.input + 1} to output {target.output + 1}"
        lines.append(f"    f*(t) = {target.response} {pair}{f'   with {values}' if values else ''}")
    for formula in derivation.pair_formulas or ():
        pair = f"input {formula.target.input + 1}, output {formula.target.output + 1}"
        lines.append(f"    {pair}, for an infinite horizon, dynamics that decays and dt -> 0:")
        if formula.squared_error is None:
            lines.append("        L = oo unless the responses agree, for the target does not decay")
        else:
            lines.append(f"        L = {str(loss.factor * formula.squared_error).replace('sigma_', '')}")
        for family in formula.minimum:
            values = ", ".join(f"{symbol} = {value}" for symbol, value in family.items()).replace("sigma_", "")
            lines.append(f"        L = 0, its minimum, where {values}")
        if not formula.minimum:
            lines.append("        L > 0: the target has modes that the network lacks")
    return lines


def _trials(derivation: Derivation, loss: TrialsLoss) -> list[str]:
    """Return a loss of trials in words, and what the trials are."""
    task = derivation.spec.task
    if loss.reduction == "sum_dt":
        formula = f"{loss.factor} dt * sum over time and outputs of mask*(y - target)^2, mean over trials"
    else:
        formula = (
            f"{loss.factor} * sum over trials, time and outputs of mask*(y - target)^2, divided by the sum of mask"
        )
    lines = [f"Loss: L = {formula}"]
    if isinstance(task, GeneratedTask):
        lines += [f"    {task_name(task)}: {task_summary(task)}"]
        lines += [f"    Drawn at random, with {task_parameters(task)}; {task_batches(task)}."]
    else:
        lines += ["    The trials, x, target and mask, are given at call time."]
    return lines
