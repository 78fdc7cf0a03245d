"""The loss of the reduced model at 50 digits, and its derivatives: the oracle for the generated gradient.

    kappa[t+1] = step(kappa[t], x[t]; sigma),    L = sum of weighted squared errors,    dL/dsigma by central differences

It steps the scalar equations of the reduction through time in mpmath. It shares the reduction with the generated
module, but neither its adjoint, nor its closed forms of losses, nor its series of gains, nor its code: a gain without a
closed form is the Gaussian average of phi', by quadrature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import mpmath
import numpy as np
import sympy
from sympy import MatrixExpr

from symlow.arrays import FloatArray, Trials
from symlow.derivation import Derivation
from symlow.network import Network
from symlow.nonlinearity import DELTA, MU, Nonlinearity, X
from symlow.reduction import DT, TAU, Column, Statistics, explicit_column

DIGITS = 50
SPACING = mpmath.mpf(10) ** -16
"""Spacing of the central differences: at 50 digits they have 32 digits by truncation and 34 by rounding."""

QUADRATURE_DIGITS = 25
"""Digits of gains by quadrature: constants of a run, so that differences lose none of theirs to them."""

SMALLEST_VARIANCE = mpmath.mpf(10) ** -100
"""What stands for zero in gains that have a limit there."""

Numbers = list[mpmath.mpf]


class ReferenceModel:
    """The scalar equations of a reduced model, compiled for mpmath."""

    def __init__(self, derivation: Derivation) -> None:
        self.derivation = derivation
        reduction, network = derivation.reduction, derivation.network
        self._plain = {DT: network.dt, TAU: network.tau, **derivation.backward.gain_symbols}
        self._columns = {latent.name: list(explicit_column(latent)) for latent in reduction.latents.values()}
        latents = [symbol for column in self._columns.values() for symbol in column]
        inputs = list(explicit_column(network.inputs))
        visible = [overlap.symbol for overlap in reduction.visible]
        self._nodes: list[tuple[Callable[..., Numbers], _Gains | None]] = []
        known: list[sympy.Symbol] = []
        for node in reduction.nodes:
            arguments = [latents, inputs, visible, list(known)]
            if isinstance(node, Statistics):
                found = [self._entries(expression)[0] for expression in node.definitions.values()]
                symbols = list(node.definitions)
                for k, symbol in enumerate(symbols):  # the variance contains the mean
                    found[k + 1 :] = [entry.subs(symbol, found[k]) for entry in found[k + 1 :]]
                self._nodes.append((sympy.lambdify(arguments, found, "mpmath", cse=True), _gains(network, node)))
                known += [*symbols, *(derivation.backward.gain_symbols[gain] for gain in node.gains)]
            else:
                entries = self._entries(node.right) if node.right is not None else self._gate(node)
                self._nodes.append((sympy.lambdify(arguments, entries, "mpmath", cse=True), None))
                known += list(explicit_column(node.symbol))
        step = [entry for expression in reduction.step.values() for entry in self._entries(expression)]
        zero = {symbol: sympy.Integer(0) for symbol in latents}
        start = [
            entry
            for latent in reduction.latents.values()
            for entry in (
                self._entries(reduction.initial[latent.name])
                if latent.name in reduction.initial
                else [zero[symbol] for symbol in explicit_column(latent)]
            )
        ]
        self.reads_after_update = network.reads_after_update
        self.gain_after_update = network.gain_after_update
        self._step = sympy.lambdify([latents, inputs, visible, known], step, "mpmath", cse=True)
        output = self._entries(reduction.output)
        self._output = sympy.lambdify([latents, inputs, visible, known], output, "mpmath", cse=True)
        self._start = sympy.lambdify([visible], start, "mpmath", cse=True)

    def _entries(self, expression: MatrixExpr) -> list[sympy.Expr]:
        return list(self.derivation.reduction.explicit(expression.subs(self._plain)))

    def _gate(self, gate: Column) -> list[sympy.Expr]:
        """Return the entries of a gate; arguments of one entry act on all."""
        columns = {variable: list(explicit_column(column)) for variable, column in gate.arguments}
        assert gate.function is not None
        return [
            gate.function.xreplace({v: c[row] if len(c) > 1 else c[0] for v, c in columns.items()})
            for row in range(gate.symbol.rows)
        ]

    def loss(self, visible: Sequence[mpmath.mpf], trials: Trials) -> mpmath.mpf:
        """Return the loss of trials at given visible overlaps."""
        x, y, mask = trials
        weight = np.ones_like(y) if mask is None else mask
        total = mpmath.mpf(0)
        silence = [mpmath.mpf(0)] * x.shape[2]
        for b in range(len(x)):
            inputs = [[mpmath.mpf(float(value)) for value in row] for row in x[b]]
            kappa = [mpmath.mpf(value) for value in self._start(visible)]
            known = self._known(kappa, inputs[0], visible, (b, 0))
            for t in range(x.shape[1]):
                updated = self._step(kappa, inputs[t], visible, known)
                # Nothing that is read after the last step contains the input.
                later = inputs[t + 1] if t + 1 < len(inputs) else silence
                next_known = self._known(updated, later, visible, (b, t + 1))
                output = self._output(
                    updated if self.reads_after_update else kappa,
                    inputs[t],
                    visible,
                    next_known if self.gain_after_update else known,
                )
                for o, value in enumerate(output):
                    if weight[b, t, o]:
                        total += mpmath.mpf(float(weight[b, t, o])) * (value - mpmath.mpf(float(y[b, t, o]))) ** 2
                kappa, known = updated, next_known
        return total * self._scale(weight)

    def gradient(self, sigma: FloatArray, trials: Trials, positions: Sequence[int]) -> FloatArray:
        """Return dL/dsigma at some positions of the visible overlaps, rounded to float from 32 digits or so."""
        with mpmath.workdps(DIGITS):
            visible = [mpmath.mpf(float(value)) for value in sigma[: len(self.derivation.visible)]]
            for _, gains in self._nodes:
                if isinstance(gains, _AveragedGains):
                    gains.forget()
            self.loss(visible, trials)  # with the gains by quadrature that the differences are expanded about
            derivatives = []
            for k in positions:
                above, below = list(visible), list(visible)
                above[k] += SPACING
                below[k] -= SPACING
                derivatives.append(float((self.loss(above, trials) - self.loss(below, trials)) / (2 * SPACING)))
            return np.array(derivatives)

    def _known(
        self, kappa: Numbers, inputs: Numbers, visible: Sequence[mpmath.mpf], moment: tuple[int, int]
    ) -> Numbers:
        """Return statistics, gains and columns of a state."""
        known: Numbers = []
        for compute, gains in self._nodes:
            found = compute(kappa, inputs, visible, known)
            known = [*known, *found, *(gains(found, moment) if gains is not None else [])]
        return known

    def _scale(self, weight: FloatArray) -> mpmath.mpf:
        loss = self.derivation.loss
        factor = mpmath.mpf(loss.factor.p) / loss.factor.q
        if loss.reduction == "masked_mean":
            return factor / mpmath.mpf(float(weight.sum()))
        dt = self.derivation.network.dt
        return factor * mpmath.mpf(dt.p) / dt.q / len(weight)


class _ClosedGains:
    """Gains from their closed forms; at the state 0, what has no limit there is 0, for its factors are."""

    def __init__(self, arguments: list[sympy.Symbol], forms: list[sympy.Expr]) -> None:
        self._forms = sympy.lambdify([arguments], forms, "mpmath")

    def __call__(self, statistics: Numbers, moment: tuple[int, int]) -> Numbers:
        *mean, variance = statistics
        if variance > SMALLEST_VARIANCE:
            return list(self._forms([*mean, variance]))
        limits = self._forms([*mean, SMALLEST_VARIANCE])
        return [value if abs(value) < SMALLEST_VARIANCE**-0.25 else mpmath.mpf(0) for value in limits]


class _AveragedGains:
    """Gains by quadrature: E[phi'] and, with means, E[phi].

    A quadrature takes long, so each moment of a run has one, at the first statistics asked for. Statistics that differ
    from these by the spacing of finite differences take the first-order expansion there, whose error, of the square of
    the spacing, is beyond the digits of the differences.
    """

    def __init__(self, nonlinearity: Nonlinearity, with_mean: bool) -> None:
        self._derivatives = [sympy.lambdify(X, sympy.diff(nonlinearity.phi, X, order), "mpmath") for order in range(4)]
        self._with_mean = with_mean
        self._base: dict[tuple[int, int], tuple[Numbers, Numbers]] = {}

    def forget(self) -> None:
        """Drop the averages that have been computed."""
        self._base.clear()

    def __call__(self, statistics: Numbers, moment: tuple[int, int]) -> Numbers:
        if moment not in self._base:
            self._base[moment] = list(statistics), self._averages(statistics)
        base, (activity, first, second, third) = self._base[moment]
        *mean, variance = (value - start for value, start in zip(statistics, base, strict=True))
        shift = mean[0] if mean else mpmath.mpf(0)
        gain = first + second * shift + third / 2 * variance
        return [gain, activity + first * shift + second / 2 * variance] if self._with_mean else [gain]

    def _averages(self, statistics: Numbers) -> Numbers:
        """Return E of phi and its first three derivatives."""
        *mean, variance = statistics
        centre, width = mean[0] if mean else mpmath.mpf(0), mpmath.sqrt(max(variance, 0))
        if width == 0:
            return [f(centre) for f in self._derivatives]
        needed = range(4) if self._with_mean else (1, 3)  # at mean zero only these move the gain
        averages = [mpmath.mpf(0)] * 4
        with mpmath.workdps(QUADRATURE_DIGITS):
            edges = [k * width for k in (-12, -6, -3, -1, 0, 1, 3, 6, 12)]
            for order in needed:
                f = self._derivatives[order]
                averages[order] = mpmath.quad(lambda y, f=f: f(centre + y) * mpmath.npdf(y, 0, width), edges)
        return averages


_Gains = _ClosedGains | _AveragedGains


def _gains(network: Network, node: Statistics) -> _Gains:
    nonlinearity, with_mean = network.nonlinearity, node.activity is not None
    closed = [nonlinearity.gain_with_mean, nonlinearity.activity] if with_mean else [nonlinearity.gain]
    if None in closed:
        return _AveragedGains(nonlinearity, with_mean)
    return _ClosedGains([MU, DELTA] if with_mean else [DELTA], closed)
