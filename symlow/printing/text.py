"""Derivations as plain text, for the terminal and for docstrings."""

from __future__ import annotations

from sympy import MatAdd, MatrixExpr

from symlow.derivation import Derivation
from symlow.network import Network
from symlow.tasks.filters import FilterLoss


def network_equations(network: Network) -> tuple[str, ...]:
    """Return the equations of the network as plain text, for docstrings and the terminal."""
    phi = "h" if network.nonlinearity.is_linear else "phi(h)"
    drives = " + ".join(f"{carrier.vector.upper()} {_bracketed(carrier.drive)}" for carrier in network.carriers)
    projections = [
        f"{projection.symbol.name} = {projection.reader.upper()}^T {phi} / N"
        for projection in (*network.projections, network.output)
    ]
    equations = [f"tau dh/dt = -h + {drives}", ",   ".join(projections)]
    if not network.nonlinearity.is_linear:
        equations.append(f"phi(x) = {network.nonlinearity.phi}")
    return tuple(equations)


def gain_equations(derivation: Derivation) -> tuple[str, ...]:
    """Return the statistics of the state and the gains that depend on them, none where the gain is constant."""
    reduction, nonlinearity = derivation.reduction, derivation.network.nonlinearity
    if not reduction.statistics:
        return ()
    lines = [f"{symbol} = {expression}" for symbol, expression in reduction.statistics.items()]
    state = "sqrt(Delta)*xi" if derivation.network.ones is None else "mu + sqrt(Delta)*xi"
    if derivation.network.ones is None:
        closed = [nonlinearity.gain if nonlinearity.gain is not None else nonlinearity.stated_gain]
    else:
        closed = [nonlinearity.gain_with_mean, nonlinearity.activity]
    for gain, slope, form in zip(reduction.gains, ("phi'", "phi"), closed, strict=False):
        lines.append(f"{gain} = E[{slope}({state})]" + ("" if form is None else f" = {form}"))
    return tuple(lines)


def _bracketed(drive: MatrixExpr) -> str:
    return f"({drive})" if isinstance(drive, MatAdd) else str(drive)


def equation(derivation: Derivation, name: str) -> str:
    """Return the flow of one overlap, collected by loss gradient, in names: ``-(m_m + z_z) g_z_m - m_u g_z_u``."""
    overlap = derivation.reduction.index[name]
    terms = []
    for gradient, coefficient in derivation.learning.by_gradient(overlap).items():
        factor = str(-coefficient).replace("sigma_", "")
        terms.append(f"{f'({factor})' if '+' in factor else factor} g_{gradient.name}")
    return f"d {name}/dt = " + ("-" + " - ".join(terms) if terms else "0")


def equations(derivation: Derivation) -> str:
    """Return the whole derivation as text: network, reduction, the two sets of overlaps and every equation."""
    network, reduction = derivation.network, derivation.reduction
    lines = [f"{derivation.spec.name}: {derivation.spec.reference or 'no reference given'}", "", "Network"]
    lines += [f"    {line}" for line in network_equations(network)]
    lines += ["", f"Reduction (dt = {network.dt}, tau = {network.tau}, read-out {network.readout})"]
    lines += [f"    {line}" for line in gain_equations(derivation)]
    lines += [f"    {name}[t+1] = {expression}" for name, expression in reduction.step.items()]
    time = "t+1" if network.reads_after_update else "t"
    lines += [f"    {network.output.symbol.name}[t] = {reduction.output}   at kappa[{time}]"]
    for title, overlaps in (("loss-visible", derivation.visible), ("loss-invisible", derivation.invisible)):
        lines += ["", f"{len(overlaps)} {title} overlaps (g_x stands for dL/dx)"]
        lines += [f"    {equation(derivation, name)}" for name in overlaps]
    how = ", exactly" if network.nonlinearity.is_linear else " (the part of second order in lr is a closure)"
    lines += ["", f"Gradient descent{how}: Sigma+ = K^T Sigma K with K = 1 - 2 lr S D", "", *_loss(derivation)]
    lines += ["", "Validity"]
    lines += [f"    {statement.validity}: {statement.text}" for statement in derivation.statements]
    return "\n".join(lines)


def _loss(derivation: Derivation) -> list[str]:
    """Return the loss in words, and as a formula where it has one."""
    loss = derivation.loss
    if not isinstance(loss, FilterLoss):
        what = (
            "sum over time and outputs, times dt, mean over the batch" if loss.reduction == "sum_dt" else "masked mean"
        )
        return ["Loss", f"    L = {loss.factor} * ({what}) of mask * (y - target)^2, for trials given at call time"]
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
