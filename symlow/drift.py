"""The drift of a closure: learning in overlap space beside learning of a network of N neurons, on the same trials.

    theory    Sigma[k+1] = K^T Sigma[k] K         network    P[k+1] = P[k] - lr N grad_P L, or another rule's step

Both start from the same weights. For a nonlinear network the rows of P, Gaussian at first, do not stay so: the gradient
with respect to the state of neuron i contains phi'(h_i). The drift of overlaps and loss, and the kurtosis and QQ
correlation of each column, tell how long the theory is to be trusted (math.md, section 4).
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import scipy.special

from symlow.arrays import FloatArray, Trials, shown
from symlow.batches import Batches, noisy_batches, task_batches
from symlow.codegen.emit import compile_module
from symlow.course import Track
from symlow.derivation import Derivation
from symlow.errors import LearningError
from symlow.files import write_whole
from symlow.initial import check_weights, overlaps_of_weights, population_parts
from symlow.learn import check_run
from symlow.markup import formula, joined, kind, number, table
from symlow.optimizers import rule_optimizer
from symlow.overlap_names import column_latex, overlap_latex
from symlow.simulate import FullNetwork
from symlow.tasks.filters import FilterLoss
from symlow.tasks.trials import check_trials

TRUSTED = 0.1
"""Relative deviation of overlaps up to which the theory is called trustworthy."""


@dataclass(frozen=True)
class Drift:
    """A learning run of theory and network.

    Attributes:
        overlaps: names of the overlaps, visible ones first.
        n_visible: how many of them are visible.
        columns: labels of the columns of P.
        theory: overlaps of the theory, shape (steps + 1, n_overlaps).
        network: overlaps of the network, of the same shape.
        theory_loss: loss of the theory on each step's trials, shape (steps + 1,).
        network_loss: loss of the network on the same trials.
        kurtosis: excess kurtosis of the entries of each column, 0 for Gaussian ones, shape (steps + 1, columns).
        quantiles: correlation of the ordered entries with normal quantiles, 1 for Gaussian ones, of the same shape.
        weights: the network's weights at the end, shape (neurons, columns).
    """

    overlaps: tuple[str, ...]
    n_visible: int
    columns: tuple[str, ...]
    theory: FloatArray
    network: FloatArray
    theory_loss: FloatArray
    network_loss: FloatArray
    kurtosis: FloatArray
    quantiles: FloatArray
    weights: FloatArray

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write the run to an .npz file with an array for each attribute, and return its path.

        Raises:
            FileError: if the file exists and ``overwrite`` is false, or cannot be written.
        """
        stream = io.BytesIO()
        arrays: dict[str, Any] = {name: np.asarray(value) for name, value in vars(self).items()}
        np.savez(stream, **arrays)
        return write_whole(path, stream.getvalue(), overwrite)

    def _repr_html_(self) -> str:
        """Return the ends of theory and network and how far they are apart, for notebooks."""
        steps = len(self.theory) - 1
        caption = (
            f"Theory and network after {steps} steps: overlaps {self.deviation[-1]:.1%} of the largest apart, loss "
            f"{self.loss_gap[-1]:.1%} of its largest; overlaps within {TRUSTED:.0%} for {self.trusted_steps} steps"
        )
        rows = [
            (
                formula(overlap_latex(name)),
                kind(k < self.n_visible),
                number(self.theory[-1, k]),
                number(self.network[-1, k]),
            )
            for k, name in enumerate(self.overlaps)
        ]
        shapes = [
            (formula(column_latex(self.columns[k])), f"{self.kurtosis[-1, k]:+.2f}", f"{self.quantiles[-1, k]:.4f}")
            for k in self.varying
        ]
        return joined(
            (
                table(caption, ("overlap", "kind", "theory", "network"), rows),
                table(
                    "Gaussianity at the end", ("vector", "excess kurtosis", "correlation with normal quantiles"), shapes
                ),
            )
        )

    @property
    def varying(self) -> tuple[int, ...]:
        """The positions of the columns whose entries vary over neurons; vectors of ones are of no distribution."""
        return tuple(int(k) for k in np.flatnonzero((self.kurtosis != 0).any(axis=0)))

    @property
    def deviation(self) -> FloatArray:
        """The largest deviation of an overlap, relative to the largest overlap, at each step."""
        return _relative(np.abs(self.theory - self.network).max(axis=1), np.abs(self.network).max(axis=1))

    @property
    def loss_gap(self) -> FloatArray:
        """The deviation of the loss, relative to the network's largest, at each step."""
        return _relative(np.abs(self.theory_loss - self.network_loss), self.network_loss.max())

    @property
    def trusted_steps(self) -> int:
        """The number of steps after which the deviation does not yet exceed ``TRUSTED``."""
        beyond = np.flatnonzero(self.deviation > TRUSTED)
        return int(beyond[0] if len(beyond) else len(self.deviation)) - 1


def drift(
    derivation: Derivation,
    weights: FloatArray | Mapping[str, FloatArray],
    lr: float,
    steps: int,
    trials: Batches,
    module: ModuleType | None = None,
    track: Track = iter,
) -> Drift:
    """Train a network and integrate the theory beside it.

    Args:
        derivation: what is learned.
        weights: initial weights by vector, as :func:`symlow.realise` and :func:`symlow.load_weights` give them; or P,
            shape (neurons, columns), its columns in the order of the network's vectors.
        lr: learning rate.
        steps: number of steps of the learning rule.
        trials: what gives the trials (x, y, mask) of each step by its number, such as :func:`drift_trials`.
        module: the generated module, if it is at hand.
        track: wraps the iteration over steps, for a progress bar.

    Raises:
        ArrayError: for weights or trials of another shape, or with values that are not finite.
        LearningError: if trials are no function, lr or steps are out of range, either run leaves the finite numbers, or
            no network of neurons has the derivation's read-out.
        UnknownNameError: for a vector that does not exist.
    """
    check_run(lr, steps)
    P = check_weights(derivation, weights)
    if not callable(trials):
        raise LearningError(
            f"trials: found {shown(trials)}; accepted: a function of the step, such as drift_trials(d, seed=0)"
        )
    if has_no_network(derivation):
        raise LearningError(
            "network.readout: found 'updated_latents_previous_gain', which no network of neurons has; accepted, to be "
            "compared with one: 'before_update' or 'after_update'"
        )
    module = compile_module(derivation) if module is None else module
    network = FullNetwork(derivation.network, derivation.loss.reduction, float(derivation.loss.factor))

    def checked(step: int) -> Trials:
        return check_trials(trials(step), derivation.loss.inputs, derivation.loss.outputs)

    run = network.train(P, checked, lr, steps, optimizer=rule_optimizer(derivation.rule))
    sigma = overlaps_of_weights(derivation, P)
    theory, simulated, losses, shapes = [], [], [], []
    with np.errstate(over="ignore", invalid="ignore"):  # divergence is reported, not warned of
        for k in track(range(steps + 1)):
            moment, batch = next(run), checked(k)
            theory.append(sigma)
            simulated.append(overlaps_of_weights(derivation, moment.weights))
            losses.append((float(module.loss(sigma, batch)), moment.loss))
            if not (np.isfinite(losses[-1]).all() and np.isfinite(simulated[-1]).all()):
                raise LearningError(f"learning diverged at step {k} at lr = {lr}; lower the learning rate")
            shapes.append(gaussianity(derivation, moment.weights))
            if k < steps:
                sigma = module.step(sigma, lr, batch)
    theory_loss, network_loss = np.array(losses).T
    kurtosis, quantiles = np.array(shapes).transpose(1, 0, 2)
    labels = tuple(column.label for column in derivation.reduction.index.columns)
    return Drift(
        derivation.overlaps,
        len(derivation.visible),
        labels,
        np.array(theory),
        np.array(simulated),
        theory_loss,
        network_loss,
        kurtosis,
        quantiles,
        moment.weights,
    )


def has_no_network(derivation: Derivation) -> bool:
    """Whether the read-out is a convention of the reduced model, which no network of neurons has."""
    network = derivation.network
    return network.readout == "updated_latents_previous_gain" and not network.nonlinearity.is_linear


def drift_trials(derivation: Derivation, seed: int, batch: int | None = None, trials: Trials | None = None) -> Batches:
    """Return the trials of each step: those given, those that the task draws, or a filter task's impulses.

    On their targets there is the label noise of the specification.

    Raises:
        LearningError: if the task has no trials of its own and none are given, or batch has no meaning for it.
        SpecError: if seed or batch are out of range.
    """
    loss = derivation.loss
    noise = float(derivation.rule.label_noise)
    drawn = None if trials is not None else task_batches(derivation, seed, batch)
    if drawn is not None:
        return noisy_batches(drawn, noise, seed) if noise else drawn
    if batch is not None:
        raise LearningError("batch: the task draws no trials; leave it out")
    if trials is None and isinstance(loss, FilterLoss) and loss.steps is not None:
        trials = loss.impulse_trials()
    if trials is None:
        raise LearningError("trials: the task has none of its own; give arrays x, y and, if wanted, mask")
    return noisy_batches(trials, noise, seed)


def _relative(deviation: FloatArray, size: FloatArray) -> FloatArray:
    """Return deviation / size, 0 where both are 0."""
    return deviation / np.where(size > 0, size, 1.0)


def gaussianity(derivation: Derivation, weights: FloatArray) -> FloatArray:
    """Return how Gaussian each column of P is over its neurons: 0 and 1 if it is, shape (2, columns).

    The first row is the excess kurtosis, the second the correlation of the ordered entries with normal quantiles.

    Args:
        derivation: whose weights they are.
        weights: P, shape (neurons, columns).
    """
    shapes = np.zeros((2, weights.shape[1]))
    for _, rows, columns in population_parts(derivation, len(weights)):
        part = weights[rows, columns]
        shapes[:, columns] = _kurtosis(part), _quantile_correlation(part)
    return shapes


def _kurtosis(weights: FloatArray) -> FloatArray:
    """Return the excess kurtosis of each column; 0 for a column that does not vary."""
    deviations = weights - weights.mean(axis=0)
    second = (deviations**2).mean(axis=0)
    return np.where(second > 0, (deviations**4).mean(axis=0) / np.where(second > 0, second, 1) ** 2 - 3, 0.0)


def _quantile_correlation(weights: FloatArray) -> FloatArray:
    """Return the correlation of each column's ordered entries with normal quantiles; 1 for one that does not vary."""
    neurons = len(weights)
    normal = scipy.special.ndtri((np.arange(neurons) + 0.5) / neurons)
    ordered = np.sort(weights, axis=0) - weights.mean(axis=0)
    sizes = np.sqrt((ordered**2).sum(axis=0) * (normal**2).sum())
    return np.where(sizes > 0, normal @ ordered / np.where(sizes > 0, sizes, 1), 1.0)
