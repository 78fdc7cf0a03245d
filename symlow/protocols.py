"""Sequences of tasks on one network: what it learns first is where it learns next from.

    Sigma at the start of phase k = Sigma at the end of phase k - 1 + s_k^2 D

where D is diagonal, 1 for trained columns and 0 for others, and s_k is the standard deviation of independent noise on
the trained weights before the phase: the overlaps of N neurons change by this in the mean, with fluctuations of order
s_k / sqrt(N), which the equations leave out. Within a phase overlaps move by the rule of its specification, on the
trials of its task, with noise on their targets where wanted. Vectors and network are the same in all phases; tasks,
learning rules without other vectors, and what is trained can differ.

Beside the equations, a network of N neurons goes through the same phases (:func:`train_protocol`). What tells two
networks apart is measured in overlaps (:func:`overlap_distance`) and in the outputs of networks whose neurons are
disturbed (:func:`noisy_outputs`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np

from symlow.arrays import FloatArray, IntArray, Trials, check_array, check_integer, check_number, is_single, shown
from symlow.batches import Batches, noisy_batches, task_batches
from symlow.codegen.emit import compile_module
from symlow.course import Track
from symlow.derivation import Derivation
from symlow.errors import ArrayError, LearningError, listing
from symlow.histories import check_rates
from symlow.initial import check_finite_overlaps, check_weights, overlaps_of_weights, population_parts
from symlow.learn import learn
from symlow.learning_run import LearningRun
from symlow.optimizers import Optimizer, rule_optimizer
from symlow.simulate import FullNetwork
from symlow.tasks.filters import FilterLoss
from symlow.tasks.trials import check_trials

SHAKE_STREAM = 2
"""Sets the random numbers of noise on weights apart from those of trials and of their targets."""


@dataclass(frozen=True, eq=False)
class Phase:
    """One phase of a protocol: a task that is learned for some steps.

    Two phases are equal where they are the same object, for they can hold arrays.

    Attributes:
        derivation: what is learned, and by which rule.
        steps: number of steps, >= 1.
        lr: learning rate, > 0; for the equations also one for each history, shape (states,).
        name: what the phase is called; by default by the name of the specification.
        trials: (x, y, mask), or what gives those of each step; by default those of the task, or its closed form.
        label_noise: standard deviation of white noise on targets, drawn anew at each step and the same for all
            histories. A filter task then learns from impulses, as many as it has inputs, in place of its closed form.
        weight_noise: standard deviation of independent Gaussian noise that is added to the trained weights before the
            phase.
        seed: seed of trials and noise, >= 0.

    Raises:
        ArrayError: for learning rates that are no array of numbers, or trials of another shape.
        LearningError: if steps, a learning rate, noise or the seed are out of range, what is learned is no derivation,
            or weight_noise is given where overlaps are sums over neurons, not averages.
    """

    derivation: Derivation
    steps: int
    lr: float | FloatArray = 0.005
    name: str = ""
    trials: Trials | Batches | None = None
    label_noise: float = 0.0
    weight_noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.derivation, Derivation):
            raise LearningError(
                f"phase: found {shown(self.derivation)} to learn; accepted: a derivation, as of symlow.derive(spec)"
            )
        where = f"phase {self.label!r}: "
        check_integer(self.steps, f"{where}steps", 1, LearningError)
        check_rates(self.lr, f"{where}lr")
        for name in ("label_noise", "weight_noise"):
            check_number(getattr(self, name), where + name, least=0, error=LearningError)
        check_integer(self.seed, f"{where}seed", 0, LearningError)
        if self.weight_noise and not self.derivation.network.equations.averages:
            raise LearningError(
                f"{where}weight_noise: found {self.weight_noise} with sums over neurons, which it changes in "
                "proportion to their number; accepted: none, or equations with 1/N"
            )
        if self.trials is not None and not callable(self.trials):
            self._checked(self.trials)

    @property
    def label(self) -> str:
        """The name, or that of the specification."""
        return self.name or self.derivation.spec.name

    def batches(self) -> Trials | Batches | None:
        """Return what the equations learn from: None for the task's own trials or closed form, without noise on them.

        Raises:
            LearningError: if there is noise on targets and the task has no trials.
        """
        return self.trials if self.label_noise == 0 else noisy_batches(self._clean(), self.label_noise, self.seed)

    def network_batches(self) -> Batches:
        """Return what a network of neurons learns from, which needs trials; a filter task has impulses.

        Raises:
            LearningError: if the task has no trials and none are given.
        """
        return noisy_batches(self._clean(), self.label_noise, self.seed)

    def _checked(self, trials: object) -> Trials:
        return check_trials(trials, self.derivation.loss.inputs, self.derivation.loss.outputs)

    def _clean(self) -> Trials | Batches:
        given = self.trials
        if callable(given):
            return lambda step: self._checked(given(step))
        if given is not None:
            return self._checked(given)
        drawn = task_batches(self.derivation, self.seed)
        if drawn is not None:
            return drawn
        loss = self.derivation.loss
        if isinstance(loss, FilterLoss) and loss.steps is not None:
            return loss.impulse_trials()
        raise LearningError(
            f"phase {self.label!r}: the task has no trials of its own; accepted: trials, or a finite horizon of filters"
        )


@dataclass(frozen=True, eq=False)
class ProtocolRun:
    """The course of a protocol, of one history or of many.

    Attributes:
        labels: what each phase is called.
        overlaps: names, those first that are visible in the first phase.
        n_visible: how many are visible.
        sigma: overlaps at the recorded steps of all phases, shape (records, n_overlaps), or (records, states,
            n_overlaps). The last record of a phase and the first of the next have the same step; they differ by noise
            on weights.
        loss: loss at the same moments, that of the phase's own task, shape (records,) or (records, states).
        step: numbers of the recorded steps, from the beginning of the protocol, shape (records,).
        phase: number of the phase of each record, from 0, shape (records,).
    """

    labels: tuple[str, ...]
    overlaps: tuple[str, ...]
    n_visible: int
    sigma: FloatArray
    loss: FloatArray
    step: IntArray
    phase: IntArray

    @cached_property
    def starts(self) -> FloatArray:
        """Overlaps at the start of each phase, shape (phases, ..., n_overlaps)."""
        return self.sigma[np.searchsorted(self.phase, np.arange(len(self.labels)))]

    @cached_property
    def ends(self) -> FloatArray:
        """Overlaps at the end of each phase, shape (phases, ..., n_overlaps)."""
        return self.sigma[np.searchsorted(self.phase, np.arange(len(self.labels)), side="right") - 1]

    def part(self, phase: int) -> slice:
        """Return the records of a phase, by its number, from 0.

        Raises:
            LearningError: if there is no such phase.
        """
        if check_integer(phase, "phase", 0, LearningError) >= len(self.labels):
            raise LearningError(f"phase: found {phase}; accepted: 0 to {len(self.labels) - 1}, the number of a phase")
        first, last = np.searchsorted(self.phase, [phase, phase + 1])
        return slice(int(first), int(last))


@dataclass(frozen=True, eq=False)
class NetworkProtocolRun(ProtocolRun):
    """The course of a network of neurons through a protocol.

    Attributes:
        weights: P at the end, shape (neurons, columns).
    """

    weights: FloatArray


def run_protocol(
    sigma: object,
    phases: Sequence[Phase],
    every: int = 1,
    backend: str = "numpy",
    track: Track = iter,
) -> ProtocolRun:
    """Integrate learning through phases, each from the overlaps at which the one before it ended.

    Args:
        sigma: initial overlaps, shape (n_overlaps,) or (states, n_overlaps) for many histories; a single state for
            all of them where a phase has several learning rates.
        phases: the phases, in their order.
        every: record each step of a phase whose number it divides, and the last.
        backend: what evaluates the equations, as for :meth:`symlow.DerivedSystem.compile`.
        track: wraps the iteration over the steps of a phase, for a progress bar.

    Raises:
        ArrayError: if phases have different numbers of learning rates, or there are not as many as states.
        LearningError: if the phases are not of one network, there is none, or as :func:`symlow.learn`.
        SymlowError: as :func:`symlow.learn`.
    """
    check_phases(phases)
    state = _states(sigma, phases)
    modules: dict[str, ModuleType] = {}
    runs: list[LearningRun] = []
    for phase in phases:
        derivation = phase.derivation
        if derivation.spec.digest not in modules:
            modules[derivation.spec.digest] = compile_module(derivation, backend)
        run = learn(
            derivation,
            state + phase.weight_noise**2 * _shaken(phase) if phase.weight_noise else state,
            phase.lr,
            phase.steps,
            phase.batches(),
            module=modules[derivation.spec.digest],
            track=track,
            seed=phase.seed,
            every=every,
        )
        state = np.asarray(run.sigma[-1])
        if not np.isfinite(state).all():
            lost = np.flatnonzero(~np.isfinite(state).all(axis=-1))
            raise LearningError(
                f"phase {phase.label!r}: {len(lost)} of {len(state)} histories diverged, the first of them number "
                f"{lost[0]}; lower the learning rate, or leave them out"
            )
        runs.append(run)
    return ProtocolRun(**_joined(phases, [(run.sigma, run.loss, run.step) for run in runs]))


def train_protocol(
    weights: FloatArray | Mapping[str, FloatArray],
    phases: Sequence[Phase],
    every: int = 1,
    optimizer: str | Optimizer | None = None,
    track: Track = iter,
) -> NetworkProtocolRun:
    """Train a network of neurons through phases, by backpropagation.

    On the same trials and without noise on weights, linear networks have the overlaps of :func:`run_protocol` to
    rounding.

    Args:
        weights: initial weights by vector, as :func:`symlow.realise` and :func:`symlow.load_weights` give them; or P,
            shape (neurons, columns), its columns in the order of the network's vectors.
        phases: the phases, in their order, each with one learning rate.
        every: record each step of a phase whose number it divides, and the last.
        optimizer: such as "adam", in place of the rule of each phase; it begins anew in each.
        track: wraps the iteration over the steps of a phase, for a progress bar.

    Raises:
        ArrayError: for weights of another shape, or with values that are not finite.
        LearningError: if the phases are not of one network, there is none, ``every`` is out of range, a task has no
            trials, no network of neurons has the read-out, or weights leave the finite numbers.
        UnknownNameError: for a vector or an optimizer that does not exist.
    """
    check_phases(phases)
    check_integer(every, "every", 1, LearningError)
    P, courses = check_weights(phases[0].derivation, weights), []
    for phase in phases:
        if not is_single(phase.lr):
            raise LearningError(f"phase {phase.label!r}: found several lr for one network; accepted: a number")
        lr, derivation = float(phase.lr), phase.derivation
        P = P + phase.weight_noise * _weight_noise(phase, P.shape)
        network = FullNetwork(derivation.network, derivation.loss.reduction, float(derivation.loss.factor))
        chosen = rule_optimizer(derivation.rule) if optimizer is None else optimizer
        moments = network.train(P, phase.network_batches(), lr, phase.steps, optimizer=chosen)
        records: list[tuple[FloatArray, float, int]] = []
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is reported, not warned of
            for k in track(range(phase.steps + 1)):
                moment = next(moments)
                if k % every and k < phase.steps:
                    continue
                records.append((overlaps_of_weights(derivation, moment.weights), moment.loss, k))
                if not (np.isfinite(moment.loss) and np.isfinite(records[-1][0]).all()):
                    raise LearningError(
                        f"phase {phase.label!r}: diverged by step {k} at lr = {lr}; lower the learning rate"
                    )
        P = moment.weights
        sigma, loss, step = (np.array(values) for values in zip(*records, strict=True))
        courses.append((sigma, loss, step))
    return NetworkProtocolRun(**_joined(phases, courses), weights=P)


def check_phases(phases: Sequence[Phase]) -> None:
    """Check that phases are of one network and its vectors.

    Raises:
        LearningError: if they are not, there is none, or what is given are no phases.
    """
    if isinstance(phases, Phase) or not isinstance(phases, Sequence):
        raise LearningError(
            f"phases: found {shown(phases)}; accepted: a list of phases, such as [symlow.Phase(d, 100)]"
        )
    if not phases:
        raise LearningError("phases: found none; accepted: at least one")
    for k, phase in enumerate(phases):
        if not isinstance(phase, Phase):
            raise LearningError(f"phases[{k}]: found {shown(phase)}; accepted: a phase, such as symlow.Phase(d, 100)")
    first = phases[0].derivation
    for phase in phases:
        derivation = phase.derivation
        if derivation.spec.network != first.spec.network or derivation.overlaps != first.overlaps:
            raise LearningError(
                f"phase {phase.label!r}: found another network than in phase {phases[0].label!r}; accepted: the same "
                f"[network], with the overlaps {listing(first.overlaps)}, and any task"
            )


def overlap_distance(derivation: Derivation, first: object, second: object) -> tuple[FloatArray, FloatArray]:
    """Return how far two states are from one another, in loss-visible and in loss-invisible overlaps.

    Each is the Frobenius norm of the difference of the Gram matrices, over their visible or invisible entries, so that
    an overlap of two different columns counts twice.

    Args:
        derivation: whose overlaps these are.
        first: overlaps, shape (..., n_overlaps).
        second: overlaps, of a shape that broadcasts with the first.

    Returns:
        The two distances, shape (...) each.

    Raises:
        ArrayError: for overlaps of another shape, shapes that do not broadcast, or values that are not finite numbers.
    """
    meaning = f"(..., {len(derivation.overlaps)} overlaps, see OVERLAPS)"
    one = check_array(first, "first", (..., len(derivation.overlaps)), meaning)
    other = check_array(second, "second", (..., len(derivation.overlaps)), meaning)
    # Axes are compared from the last, as far as both have them.
    if any(1 != a != b != 1 for a, b in zip(one.shape[::-1], other.shape[::-1], strict=False)):
        raise ArrayError(
            f"second: found shape {other.shape}; accepted: one that broadcasts with the first, {one.shape}"
        )
    times = np.array([1.0 if overlap.row == overlap.column else 2.0 for overlap in derivation.ordered])
    squares = times * (one - other) ** 2
    visible = len(derivation.visible)
    return np.sqrt(squares[..., :visible].sum(-1)), np.sqrt(squares[..., visible:].sum(-1))


def noisy_outputs(
    derivation: Derivation, weights: FloatArray | Mapping[str, FloatArray], x: FloatArray, noise: float, seed: int
) -> FloatArray:
    """Return the outputs of a network of neurons each of which is disturbed by white noise of its own.

    noise sqrt(dt) times a standard normal number is added to every entry of every state after each update, so that its
    integral over time does not depend on dt. The same seed draws the same noise, whatever the weights.

    Args:
        derivation: whose network it is.
        weights: by vector, as :func:`symlow.realise` and :func:`symlow.load_weights` give them; or P, shape (neurons,
            columns), its columns in the order of the network's vectors.
        x: inputs, shape (batch, time, inputs).
        noise: strength of the noise, >= 0.
        seed: >= 0.

    Returns:
        The outputs, shape (batch, time, outputs).

    Raises:
        ArrayError: for arrays of another shape, or with values that are not finite numbers.
        LearningError: if noise or seed are out of range, or no network of neurons has the read-out.
        UnknownNameError: for a vector that does not exist.
    """
    P = check_weights(derivation, weights)
    x = check_array(x, "x", (None, None, derivation.loss.inputs), "(batch, time, inputs)")
    check_number(noise, "noise", least=0, error=LearningError)
    rng = np.random.default_rng(check_integer(seed, "seed", 0, LearningError))
    network = FullNetwork(derivation.network, derivation.loss.reduction, float(derivation.loss.factor))
    size = noise * np.sqrt(network.dt)

    def disturb(step: int, name: str, state: FloatArray) -> FloatArray:
        whole = np.broadcast_to(state, (len(x), state.shape[-1]))
        return whole + size * rng.standard_normal(whole.shape)

    return network.outputs(P, x, disturb)


def _states(sigma: object, phases: Sequence[Phase]) -> FloatArray:
    """Return initial overlaps, of as many histories as any phase has learning rates."""
    state = check_finite_overlaps(sigma, phases[0].derivation)
    counts = [("sigma", len(state))] if state.ndim == 2 else []
    counts += [
        (f"phases[{k}].lr", len(np.asarray(phase.lr))) for k, phase in enumerate(phases) if not is_single(phase.lr)
    ]
    for name, count in counts:
        first, states = counts[0]
        if count != states:
            raise ArrayError(
                f"{name}: found {count} entries, where {first} has {states}; accepted: one for each of the same "
                "number of histories, or a single one for all"
            )
    return np.broadcast_to(state, (counts[0][1], state.shape[-1])) if counts else state


def _shaken(phase: Phase) -> FloatArray:
    """Return by how much noise of unit strength on the trained weights raises each overlap in the mean."""
    index, network = phase.derivation.reduction.index, phase.derivation.network
    weights = {population.name: float(population.weight) for population in network.equations.populations}
    raised = np.zeros(len(index.columns))
    for vector in network.vectors:
        if vector.rate:
            raised[index.slice(vector.name)] = weights[vector.population]
    return np.array([raised[o.row] if o.row == o.column else 0.0 for o in phase.derivation.ordered])


def _weight_noise(phase: Phase, shape: tuple[int, ...]) -> FloatArray:
    """Return standard normal numbers for the trained weights of each population, zeros for the others."""
    index, network, noise = phase.derivation.reduction.index, phase.derivation.network, np.zeros(shape)
    trained = np.zeros(shape[1], dtype=bool)
    for vector in network.vectors:
        trained[index.slice(vector.name)] = bool(vector.rate)
    drawn = np.random.default_rng([phase.seed, SHAKE_STREAM]).standard_normal(shape)
    for _, rows, columns in population_parts(phase.derivation, shape[0]):
        places = [k for k in columns if trained[k]]
        noise[rows, places] = drawn[rows, places]
    return noise


def _joined(phases: Sequence[Phase], courses: Sequence[tuple[FloatArray, FloatArray, IntArray]]) -> dict[str, Any]:
    """Return the fields of a run: the courses of the phases one behind the other."""
    derivation = phases[0].derivation
    starts = np.cumsum([0, *(phase.steps for phase in phases[:-1])])
    return {
        "labels": tuple(phase.label for phase in phases),
        "overlaps": derivation.overlaps,
        "n_visible": len(derivation.visible),
        "sigma": np.concatenate([np.asarray(sigma) for sigma, _, _ in courses]),
        "loss": np.concatenate([np.asarray(loss) for _, loss, _ in courses]),
        "step": np.concatenate([step + start for (_, _, step), start in zip(courses, starts, strict=True)]),
        "phase": np.repeat(np.arange(len(phases)), [len(step) for _, _, step in courses]),
    }
