"""The loss of the reduced model at 50 digits, and its derivatives: the oracle for the generated gradient.

    kappa[t+1] = step(kappa[t], x[t]; sigma),    L = sum of weighted squared errors,    dL/dsigma by central differences

It steps the scalar equations of the reduction through time in mpmath. It shares the reduction with the generated
module, but neither its adjoint, nor its closed form, nor its code.
"""

from __future__ import annotations

from collections.abc import Sequence

import mpmath
import numpy as np
import sympy

from symlow.arrays import FloatArray, Trials
from symlow.derivation import Derivation
from symlow.reduction import DT, TAU, explicit_column

DIGITS = 50
SPACING = mpmath.mpf(10) ** -16
"""Spacing of the central differences: at 50 digits they have 32 digits by truncation and 34 by rounding."""


class ReferenceModel:
    """The scalar equations of a reduced model, compiled for mpmath."""

    def __init__(self, derivation: Derivation) -> None:
        self.derivation = derivation
        reduction, network = derivation.reduction, derivation.network
        values = {DT: network.dt, TAU: network.tau}
        step = [
            entry for expression in reduction.step.values() for entry in reduction.explicit(expression.subs(values))
        ]
        output = list(reduction.explicit(reduction.output))
        latents = [symbol for latent in reduction.latents.values() for symbol in explicit_column(latent)]
        inputs = list(explicit_column(network.inputs))
        visible = [overlap.symbol for overlap in reduction.visible]
        self.n_latents = len(latents)
        self.reads_after_update = network.reads_after_update
        self._step = sympy.lambdify([latents, inputs, visible], step, "mpmath", cse=True)
        self._output = sympy.lambdify([latents, visible], output, "mpmath", cse=True)

    def loss(self, visible: Sequence[mpmath.mpf], trials: Trials) -> mpmath.mpf:
        """Return the loss of trials at given visible overlaps."""
        x, y, mask = trials
        weight = np.ones_like(y) if mask is None else mask
        total = mpmath.mpf(0)
        for b in range(len(x)):
            kappa = [mpmath.mpf(0)] * self.n_latents
            for t in range(x.shape[1]):
                updated = self._step(kappa, [mpmath.mpf(float(value)) for value in x[b, t]], visible)
                output = self._output(updated if self.reads_after_update else kappa, visible)
                for o, value in enumerate(output):
                    if weight[b, t, o]:
                        total += mpmath.mpf(float(weight[b, t, o])) * (value - mpmath.mpf(float(y[b, t, o]))) ** 2
                kappa = updated
        return total * self._scale(weight)

    def gradient(self, sigma: FloatArray, trials: Trials, positions: Sequence[int]) -> FloatArray:
        """Return dL/dsigma at some positions of the visible overlaps, rounded to float from 32 digits or so."""
        with mpmath.workdps(DIGITS):
            visible = [mpmath.mpf(float(value)) for value in sigma[: len(self.derivation.visible)]]
            derivatives = []
            for k in positions:
                above, below = list(visible), list(visible)
                above[k] += SPACING
                below[k] -= SPACING
                derivatives.append(float((self.loss(above, trials) - self.loss(below, trials)) / (2 * SPACING)))
            return np.array(derivatives)

    def _scale(self, weight: FloatArray) -> mpmath.mpf:
        loss = self.derivation.loss
        factor = mpmath.mpf(loss.factor.p) / loss.factor.q
        if loss.reduction == "masked_mean":
            return factor / mpmath.mpf(float(weight.sum()))
        dt = self.derivation.network.dt
        return factor * mpmath.mpf(dt.p) / dt.q / len(weight)
