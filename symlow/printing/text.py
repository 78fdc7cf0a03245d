"""Derivations as plain text, for the terminal and for docstrings."""

from __future__ import annotations

from sympy import MatAdd, MatrixExpr

from symlow.derivation import Derivation
from symlow.errors import listing
from symlow.invariants.invariant import FROZEN
from symlow.invariants.lax_pair import LaxPair
from symlow.network import Carrier, Network
from symlow.nonlinearity.series import ACCEPTED
from symlow.printing.rules import noise_equations, rule_equations
from symlow.printing.tasks import task_batches, task_name, task_parameters, task_summary
from symlow.printing.terms import Term, Terms
from symlow.spec_trials import GeneratedTask
from symlow.tasks.filters import FilterLoss
from symlow.tasks.trials import TrialsLoss

MOST_TERMS = 12
"""The largest number of terms of a conserved quantity that is written out."""


def network_equations(network: Network) -> tuple[str, ...]:
    """Return the equations of the network as plain text, for docstrings and the terminal."""
    phi = "h" if network.nonlinearity.is_linear else "phi(h)"
    drives = " + ".join(_drive(carrier) for carrier in network.carriers)
    projections = [
        f"{projection.symbol.name} = {projection.reader.upper()}^T {phi} / N"
        for projection in (*network.projections, network.output)
    ]
    equations = [f"tau dh/dt = -h + {drives}", ",   ".join(projections)]
    if not network.nonlinearity.is_linear:
        equations.append(f"phi(x) = {network.nonlinearity.phi}")
    return tuple(equations)


def _drive(carrier: Carrier) -> str:
    return carrier.vector if carrier.is_constant else f"{carrier.vector.upper()} {_bracketed(carrier.drive)}"


def gain_equations(derivation: Derivation) -> tuple[str, ...]:
    """Return the statistics of the state and the gains that depend on them, or the constant gain."""
    reduction, nonlinearity, network = derivation.reduction, derivation.network.nonlinearity, derivation.network
    if nonlinearity.is_linear:
        return ()
    if not reduction.statistics:
        return (f"g = E[phi'(sqrt(Delta)*xi)] = {reduction.gain}, whatever the variance Delta of h",)
    terms = Terms(derivation.backward)
    lines = [f"{symbol} = {_sum(terms, expression)}" for symbol, expression in reduction.statistics.items()]
    state = "sqrt(Delta)*xi" if network.ones is None else "mu + sqrt(Delta)*xi"
    if network.ones is None:
        closed = [nonlinearity.gain if nonlinearity.gain is not None else nonlinearity.stated_gain]
    else:
        closed = [nonlinearity.gain_with_mean, nonlinearity.activity]
    for gain, slope, form in zip(reduction.gains, ("phi'", "phi"), closed, strict=False):
        lines.append(f"{gain} = E[{slope}({state})]" + ("" if form is None else f" = {form}"))
    if network.ones is None and nonlinearity.needs_series:
        lines.append(f"    evaluated by a Chebyshev series, relative error < {ACCEPTED:.0e}")
    elif closed[0] is None:
        lines.append("    without a closed form")
    return tuple(lines)


def reduced_equations(derivation: Derivation) -> tuple[str, ...]:
    """Return the time step and the read-out, at the times of latents and gains."""
    reduction, network = derivation.reduction, derivation.network
    terms = Terms(derivation.backward)
    lines = [
        f"{projection.symbol.name} = {_sum(terms, reduction.projections[projection.symbol.name])}"
        for projection in network.projections
    ]
    for carrier in network.carriers:
        name = reduction.latents[carrier.vector].name
        drive = "1" if carrier.is_constant else str(carrier.drive)
        lines.append(f"{name}[t+1] = {name} + (dt/tau)*({drive} - {name})")
    time = "t+1" if network.reads_after_update else "t"
    gains = ""
    if reduction.statistics and network.reads_after_update and not network.gain_after_update:
        names = ", ".join((*(gain.func.__name__ for gain in reduction.gains), *(["mu"] if network.ones else [])))
        gains = f", {names} at kappa[t]"
    output = network.output.symbol.name
    return (*lines, f"{output}[t] = {_sum(terms, reduction.output)}   at kappa[{time}]{gains}")


def _sum(terms: Terms, expression: MatrixExpr) -> str:
    """Return a sum of products with common factors in front: ``g*(Sigma_v_m*kappa_m + Sigma_v_u*kappa_u)``."""
    pieces = []
    for group in terms.groups(terms.of(expression)):
        inside = _joined([_term(term) for term in group.terms])
        front = "" if group.coefficient == 1 else f"{group.coefficient}*"
        pieces.append(f"{front}({inside})" if front else inside)
    return _joined(pieces)


def _term(term: Term) -> str:
    product = "*".join(str(factor) for factor in term.factors)
    if not product:
        return str(term.coefficient)
    sign, size = ("-", -term.coefficient) if term.coefficient.as_coeff_Mul()[0].is_negative else ("", term.coefficient)
    return f"{sign}{product}" if size == 1 else f"{sign}{size}*{product}"


def _joined(pieces: list[str]) -> str:
    return " + ".join(pieces).replace("+ -", "- ")


def _bracketed(drive: MatrixExpr) -> str:
    return f"({drive})" if isinstance(drive, MatAdd) else str(drive)


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


def equations(derivation: Derivation) -> str:
    """Return the whole derivation as text: network, reduction, the two sets of overlaps and every equation."""
    network = derivation.network
    lines = [f"{derivation.spec.name}: {derivation.spec.reference or 'no reference given'}", "", "Network"]
    lines += [f"    {line}" for line in network_equations(network)]
    lines += ["", f"Reduction (dt = {network.dt}, tau = {network.tau}, read-out {network.readout})"]
    lines += [f"    {line}" for line in (*gain_equations(derivation), *reduced_equations(derivation))]
    if network.ones is not None:
        lines += ["", f"x_{network.ones} is the mean of x over neurons; {network.ones}_{network.ones} = 1"]
    weights = {overlap.name for overlap in derivation.learning.weights}
    for title, overlaps in (("loss-visible", derivation.visible), ("loss-invisible", derivation.invisible)):
        lines += ["", f"{len(overlaps)} {title} overlaps (g_x stands for dL/dx)"]
        moving = [name for name in overlaps if name in weights]
        lines += [f"    {equation(derivation, name)}" for name in moving]
        if len(moving) < len(overlaps):
            lines.append(f"    and {len(overlaps) - len(moving)} with velocities, which only steps move")
    how = ", exactly" if network.nonlinearity.is_linear else " (the part of second order in lr is a closure)"
    if derivation.rule.is_plain:
        lines += ["", f"Gradient descent{how}: Sigma+ = K^T Sigma K with K = 1 - 2 lr S D"]
    else:
        lines += ["", f"{derivation.rule.words.capitalize()}{how}"]
        lines += [f"    {line}" for line in rule_equations(derivation.rule)]
    lines += [f"    {line}" for line in noise_equations(derivation.rule)]
    rates = [f"{v.rate} for {v.name.upper()}" for v in network.vectors if v.rate not in (0, 1)]
    lines += [f"    D = {', '.join(rates)}, 1 for other trained and 0 for frozen columns"] if rates else []
    lines += ["", *_loss(derivation)]
    lines += ["", "Conserved by gradient flow, whatever the loss"]
    lines += [f"    {line}" for line in conserved(derivation)]
    lines += ["", "Validity"]
    lines += [f"    {statement.validity}: {statement.text}" for statement in derivation.statements]
    return "\n".join(lines)


def conserved(derivation: Derivation) -> tuple[str, ...]:
    """Return what gradient flow conserves: Lax pairs in matrix form, other closed forms by name."""
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
