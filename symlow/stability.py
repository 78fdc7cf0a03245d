"""Stability of learning: the Hessian of the N-neuron network's loss from overlaps, and what follows at a solution.

Let H be the Hessian of the loss by the visible overlaps, Sigma = L L^T with L of shape (columns, columns), S the
symmetric gradient and D the learning rates. The weights are P = sqrt(N) Q L^T with Q^T Q = 1. Gradient descent
P+ = P - lr N grad_P L D is governed by the spectrum of N D^(1/2) (Hess_P L) D^(1/2). Write changes of the weights as
dP = (sqrt(N) Q W + O) D^(1/2) with Q^T O = 0. The loss depends on P through Sigma alone, which changes by
dSigma = D^(1/2) W^T L^T + L W D^(1/2) + dP^T dP / N, so that the Hessian maps

    W -> 2 L^T S'(W) D^(1/2) + 2 W D^(1/2) S D^(1/2),          O -> 2 O D^(1/2) S D^(1/2),

where S'(W) is the change of S, that is H times the first-order change of the overlaps. At every point of learning, for
every N >= columns, its spectrum is that of a matrix of columns^2 rows, and N - columns times the eigenvalues of
2 D^(1/2) S D^(1/2) *(own)*.

At a solution S = 0. With B the linear map from W to the change of the visible overlaps, what is left is B^T H B. Now
B B^T = G_vv, the visible block of the metric, for dsigma/dt = -G grad L is the image of dP/dt = -N grad_P L D; and
B^T (H B) and (H B) B^T have the same nonzero eigenvalues. The Jacobian of the flow is -G H in the columns of visible
overlaps and zero in the others, so its nonzero eigenvalues are those of -G_vv H: minus those of the Hessian of all N
neurons. They are real, and where H is positive semidefinite, as at a minimum, not positive. A deviation along an
eigenvector decays as exp(-rate t), and under gradient descent by the factor 1 - lr rate a step: it does decay if
lr < 2 / rate. With momentum another number takes the place of 2 (:attr:`symlow.rules.Rule.stable_product`); the rates
are those of the flow, of which a step advances the time by lr / (1 - beta). Clipping changes nothing near a solution.
Weight decay moves weights where the gradient vanishes, so that a solution is no fixed point of it: it is refused.

H depends on visible overlaps alone, G_vv also on invisible ones, and in a linear network on these alone: networks that
compute the same function differ in sharpness, and in the rates at which they learn.

All this is exact in a linear network. In a nonlinear one it is the stability of the closure, which knows changes
dP = P X of Gaussian weights but not those along phi'(h). At a solution a network of many neurons is therefore at least
as sharp: in one of 8000 erf neurons of rank 1 the sharpness was 3.06, that of the closure 2.60.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from symlow.arrays import FloatArray, Trials
from symlow.codegen.emit import compile_module
from symlow.derivation import Derivation
from symlow.errors import LearningError
from symlow.initial import check_overlaps
from symlow.markup import number, table
from symlow.tasks.filters import FilterLoss
from symlow.tasks.trials import check_trials

NEAR_SOLUTION = 1e-6
"""The gradient that a solution may have, in parts of |H| |visible overlaps|: the distance to the solution."""

NO_CURVATURE = 1e-10
"""Eigenvalues below this part of the largest count as zero: rounding leaves some 1e-15 of it."""


@dataclass(frozen=True)
class Stability:
    """The linear stability of learning at given overlaps. Arrays have the leading axes of sigma in front.

    Attributes:
        overlaps: number of overlaps of weights, without those of velocities.
        gradient_norm: |dL/dsigma|, shape (...).
        at_solution: whether the gradient vanishes, up to ``NEAR_SOLUTION``, shape (...). Elsewhere the flow moves
            sigma: curvatures are still those of the network, but eigenvalues are those of a part of the Jacobian.
        eigenvalues: of -G_vv H, ascending, shape (..., n_visible): rates of change per unit of learning time.
        curvatures: spectrum of N D^(1/2) (Hess_P L) D^(1/2) on changes in the span of the weights, descending, shape
            (..., columns * trained columns).
        outer_curvatures: the other eigenvalues, each (N - columns)-fold, descending, shape (..., trained columns); zero
            at a solution.
        stable_product: what lr times a curvature must stay below for steps of the rule to be stable, 2 for gradient
            descent.
    """

    overlaps: int
    gradient_norm: FloatArray
    at_solution: NDArray[np.bool_]
    eigenvalues: FloatArray
    curvatures: FloatArray
    outer_curvatures: FloatArray
    stable_product: float = 2.0

    @property
    def sharpness(self) -> FloatArray:
        """The largest eigenvalue of the network's Hessian in the scaling of learning, shape (...)."""
        return np.maximum(self.curvatures[..., 0], self.outer_curvatures[..., 0])

    @property
    def largest_stable_lr(self) -> FloatArray:
        """``stable_product`` / sharpness: steps of a larger learning rate leave the solution; inf without curvature."""
        sharpness = self.sharpness
        return np.divide(self.stable_product, sharpness, out=np.full(sharpness.shape, np.inf), where=sharpness > 0)

    @property
    def slowest_rate(self) -> FloatArray:
        """The smallest rate of change that is not zero, shape (...); nan where there is none."""
        rates = np.where(self._nonzero, np.abs(self.eigenvalues), np.inf).min(axis=-1)
        return np.where(np.isfinite(rates), rates, np.nan)

    @property
    def zero_modes(self) -> NDArray[np.integer]:
        """How many directions of overlap space neither decay nor grow, shape (...).

        At a solution of zero loss it is the dimension of the solution manifold, unless the loss is flat there.
        """
        return self.overlaps - np.sum(self._nonzero, axis=-1)

    @property
    def growing_modes(self) -> NDArray[np.integer]:
        """How many eigenvalues are positive, shape (...): none at a minimum."""
        return np.sum(self._nonzero & (self.eigenvalues > 0), axis=-1)

    @property
    def _nonzero(self) -> NDArray[np.bool_]:
        sizes = np.abs(self.eigenvalues)
        return sizes > NO_CURVATURE * sizes.max(axis=-1, keepdims=True)

    def __str__(self) -> str:
        """Return a line for each state."""
        return "\n".join(self._line(where) for where in np.ndindex(self.gradient_norm.shape))

    def _repr_html_(self) -> str:
        """Return a row for each state, for notebooks."""
        heads = ("state", "gradient", "solution", "sharpness", "largest stable learning rate", "slowest rate")
        return table(
            f"Stability of learning: {self.overlaps} directions",
            (*heads, "free directions", "growing"),
            [self._row(where) for where in np.ndindex(self.gradient_norm.shape)],
        )

    def _row(self, where: tuple[int, ...]) -> tuple[str, ...]:
        numbers = (self.gradient_norm, self.sharpness, self.largest_stable_lr, self.slowest_rate)
        gradient, sharpness, lr, rate = (number(float(values[where])) for values in numbers)
        solution = bool(self.at_solution[where])
        # Where the flow moves on there are no rates of convergence.
        rates = (rate, str(self.zero_modes[where]), str(self.growing_modes[where])) if solution else ("\u2013",) * 3
        return (", ".join(map(str, where)) or "0", gradient, "yes" if solution else "no", sharpness, lr, *rates)

    def _line(self, where: tuple[int, ...]) -> str:
        norm = f"|grad L| = {self.gradient_norm[where]:.2e}"
        bound = f"{self.stable_product:.4g} / sharpness = {self.largest_stable_lr[where]:.4g}"
        lr = f"sharpness {self.sharpness[where]:.4g}, {bound}"
        if not self.at_solution[where]:
            return f"not a solution, {norm}: {lr}; there are no rates of convergence where the flow moves on"
        return (
            f"solution, {norm}: {lr}, slowest rate {self.slowest_rate[where]:.4g}, "
            f"{self.zero_modes[where]} of {self.overlaps} directions free, {self.growing_modes[where]} growing"
        )


def stability(
    derivation: Derivation, sigma: object, trials: tuple[object, ...] | None = None, module: ModuleType | None = None
) -> Stability:
    """Return the linear stability of learning at given overlaps, at a solution or elsewhere.

    Args:
        derivation: what is learned.
        sigma: overlaps, shape (..., n_overlaps).
        trials: x, y and, if wanted, mask, for all states; by default the loss is the filter task's closed form.
        module: the generated module, if it is at hand; by default it is compiled.

    Raises:
        ArrayError: for arrays of the wrong shape, or with values that are not finite.
        GramMatrixError: if overlaps are those of no network.
        LearningError: if trials are missing, the loss is not finite, nothing is trained, or learning does not follow
            the gradient of the loss: with feedback alignment or weight decay.
    """
    if derivation.rule.has_feedback:
        raise LearningError(
            f"learning.rule: found {derivation.rule.name!r}, which does not follow the gradient, so that no Hessian "
            "tells its stability; accepted: a rule that does, or the eigenvalues of the module's jacobian"
        )
    if derivation.rule.weight_decay:
        raise LearningError(
            f"learning.weight_decay: found {float(derivation.rule.weight_decay):g}, which moves weights where the "
            "gradient of the loss vanishes, so that no solution stays one; accepted: 0, or the eigenvalues of the "
            "module's jacobian at a fixed point of rhs"
        )
    module = compile_module(derivation) if module is None else module
    states = _checked_states(sigma, derivation)
    checked = _checked_trials(trials, derivation)
    trained = np.flatnonzero(module.RATES)
    if not len(trained):
        raise LearningError("no vector is trained: there is no learning to be stable")
    H, gradient = module.loss_hessian(states, checked), module.loss_gradient(states, checked)
    if not (np.isfinite(H).all() and np.isfinite(gradient).all()):
        raise LearningError(
            "the loss is not finite at these overlaps: over an infinite horizon the reduced dynamics or the target "
            "does not decay, or numbers overflow"
        )
    H = (H + np.swapaxes(H, -1, -2)) / 2
    n, p = module.N_VISIBLE, module.N_COLUMNS
    root = np.sqrt(module.RATES[trained])
    B = _visible_change(module, states)
    rows, columns = module._ROWS[:n], module._COLUMNS[:n]
    S = np.zeros((*states.shape[:-1], p, p))
    S[..., rows, columns] = S[..., columns, rows] = gradient * np.where(rows == columns, 1, 0.5)
    outer = 2 * root[:, None] * S[..., trained[:, None], trained] * root
    inner = np.swapaxes(B, -1, -2) @ H @ B + np.kron(np.eye(p), outer)
    norm = np.linalg.norm(gradient, axis=-1)
    scale = np.linalg.norm(H, axis=(-2, -1)) * np.linalg.norm(states[..., :n], axis=-1)
    return Stability(
        overlaps=len(derivation.learning.weights),
        gradient_norm=norm,
        at_solution=norm <= NEAR_SOLUTION * scale,
        eigenvalues=_rates(B, H),
        curvatures=np.linalg.eigvalsh(inner)[..., ::-1],
        outer_curvatures=np.linalg.eigvalsh(outer)[..., ::-1],
        stable_product=float(derivation.rule.stable_product),
    )


def _visible_change(module: ModuleType, sigma: FloatArray) -> FloatArray:
    """Return B, shape (..., n_visible, columns * trained columns): dSigma = D^(1/2) W^T L^T + L W D^(1/2)."""
    trained = np.flatnonzero(module.RATES)
    root = np.sqrt(module.RATES[trained])
    L = _factor(module.gram(sigma))
    rows, columns = module._ROWS[: module.N_VISIBLE], module._COLUMNS[: module.N_VISIBLE]
    moves_row, moves_column = (root * (side[:, None] == trained) for side in (rows, columns))
    change = L[..., columns, :, None] * moves_row[:, None, :] + L[..., rows, :, None] * moves_column[:, None, :]
    return change.reshape(*change.shape[:-2], -1)


def _factor(gram: FloatArray) -> FloatArray:
    """Return L with L L^T the Gram matrix, which may be singular."""
    values, vectors = np.linalg.eigh(gram)
    return vectors * np.sqrt(np.maximum(values, 0))[..., None, :]


def _rates(B: FloatArray, H: FloatArray) -> FloatArray:
    """Return the eigenvalues of -B B^T H, ascending: those of the symmetric -R^T H R with R R^T = B B^T."""
    R = _factor(B @ np.swapaxes(B, -1, -2))
    return np.asarray(np.linalg.eigvalsh(-np.swapaxes(R, -1, -2) @ H @ R), dtype=np.float64)


def _checked_states(sigma: object, derivation: Derivation) -> FloatArray:
    """Return overlaps with any number of leading axes, checked."""
    shape = np.shape(np.asarray(sigma, dtype=object))
    if len(shape) <= 2:
        return check_overlaps(sigma, derivation)
    rows = np.asarray(sigma, dtype=object).reshape(math.prod(shape[:-1]), shape[-1])
    return check_overlaps(rows.tolist(), derivation).reshape(shape)


def _checked_trials(trials: tuple[object, ...] | None, derivation: Derivation) -> Trials | None:
    if trials is not None:
        return check_trials(trials, derivation.loss.inputs, derivation.loss.outputs)
    if isinstance(derivation.loss, FilterLoss):
        return None
    raise LearningError("trials: the task has no closed-form loss; give arrays x, y and, if wanted, mask")
