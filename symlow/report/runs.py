"""A learning run for the page: initial overlaps of sampled weights, the course of learning, and what the network does.

sigma(0) = overlaps of P with Gaussian entries        sigma(k + 1) = step(sigma(k), lr)
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np

from symlow.arrays import FloatArray, Trials
from symlow.batches import task_batches
from symlow.course import Track
from symlow.derivation import Derivation
from symlow.explorer.content import RESPONSE_STEPS
from symlow.initial import sampled_neurons, sampled_overlaps
from symlow.learn import learn
from symlow.learning_run import LearningRun
from symlow.metric_contents import moving_rows
from symlow.printing.notation import Notation
from symlow.report.charts import Chart, Curve
from symlow.report.figures import figure
from symlow.spec_trials import TrialsTask
from symlow.stopping import DIVERGED
from symlow.tasks.filters import FilterLoss
from symlow.tasks.trials import check_trials

MOST_INPUTS = 2
"""The most inputs that are drawn beside the output."""

BEYOND = 1e3
"""How many times the largest size at the start is drawn: on the way to infinity a curve leaves no room for others."""

LOSS_BEYOND = 1e6
"""The same for the loss, whose axis is logarithmic."""


@dataclass(frozen=True, eq=False)
class Demonstration:
    """A learning run, and the output before and after it.

    Attributes:
        run: the run.
        lr: its learning rate.
        steps: how many steps it was to take.
        seed: seed of the initial weights and of trials.
        neurons: the number of neurons that the initial weights were sampled for.
        fresh: whether each step had trials of its own.
        time: times of the output, shape (time,).
        inputs: the inputs of the trial that is shown, shape (time, inputs); none for an impulse.
        target: what the output should be, shape (time,), nan where the loss does not look.
        weights: weights of the differences from it in the loss, shape (time,).
        before: the output at the initial overlaps, shape (time,).
        after: the output at the last overlaps that are finite, shape (time,).
        shown: which trial and output that is, in words.
    """

    run: LearningRun
    lr: float
    steps: int
    seed: int
    neurons: int
    fresh: bool
    time: FloatArray
    inputs: FloatArray
    target: FloatArray
    weights: FloatArray
    before: FloatArray
    after: FloatArray
    shown: str

    @property
    def last(self) -> int:
        """The position of the last recorded state that is finite."""
        return int(np.flatnonzero(np.isfinite(self.run.sigma).all(axis=-1))[-1])

    @property
    def last_loss(self) -> int:
        """The position of the last recorded loss that is finite; the first if none is."""
        return int(np.flatnonzero(np.isfinite(self.run.loss)).max(initial=0))

    @property
    def diverged(self) -> bool:
        """Whether learning left the finite numbers."""
        return str(self.run.reason) == DIVERGED


def needs_trials(derivation: Derivation) -> bool:
    """Whether there is no run without trials that the user gives."""
    return isinstance(derivation.spec.task, TrialsTask)


def demonstrate(
    derivation: Derivation,
    module: ModuleType,
    lr: float,
    steps: int,
    seed: int = 0,
    trials: Trials | None = None,
    track: Track = iter,
) -> Demonstration:
    """Return a learning run from sampled weights, with the output of the network before and after.

    Args:
        derivation: what is learned.
        module: its generated module.
        lr: learning rate.
        steps: number of steps.
        seed: seed of the initial weights, of trials that are drawn, and of noise on targets.
        trials: (x, y, mask) in place of the task's own.
        track: wraps the iteration over steps, for a progress bar.

    Raises:
        LearningError: if lr or steps are out of range, or the task needs trials that are not given.
        ArrayError: for trials of a wrong shape.
        SpecError: if the task is a teacher that no network can be.
    """
    if trials is not None:
        trials = check_trials(trials, derivation.loss.inputs, derivation.loss.outputs)
    sigma = sampled_overlaps(derivation, seed)
    run = learn(derivation, sigma, lr, steps, trials, module=module, track=track, seed=seed, every=1, may_diverge=True)
    finite = np.flatnonzero(np.isfinite(run.sigma).all(axis=-1))
    x, y, mask, shown = _shown(derivation, seed, trials)
    weights = np.ones_like(y) if mask is None else mask
    # Where the loss looks at several, that which has most to do.
    sizes = np.where(weights.any(axis=1), (y**2 * weights).sum(axis=1), -1.0)
    trial, output = np.unravel_index(np.argmax(sizes), sizes.shape)
    with np.errstate(over="ignore", invalid="ignore"):  # of a state close to divergence outputs can be infinite
        before, after = (module.outputs(run.sigma[k], x[trial : trial + 1])[0, :, output] for k in (0, finite[-1]))
    impulse = trials is None and isinstance(derivation.loss, FilterLoss)
    several = f", output {output + 1}" if y.shape[2] > 1 else ""
    which = f"{shown} at input {trial + 1}" if impulse and len(y) > 1 else shown
    # An impulse of every input is scaled with their number, to have the power of white noise.
    scale = derivation.loss.inputs**-0.5 if impulse else 1.0
    return Demonstration(
        run,
        float(lr),
        int(steps),
        seed,
        sampled_neurons(derivation),
        trials is None and getattr(derivation.spec.task, "data", "fixed") == "fresh",
        np.arange(y.shape[1], dtype=float) * float(module.DT),
        x[trial, :, : 0 if impulse or x.shape[2] > MOST_INPUTS else None],
        np.where(weights[trial, :, output] > 0, y[trial, :, output] * scale, np.nan),
        weights[trial, :, output],
        before * scale,
        after * scale,
        f"{which}{several}",
    )


def _shown(
    derivation: Derivation, seed: int, trials: Trials | None
) -> tuple[FloatArray, FloatArray, FloatArray | None, str]:
    """Return the trials (x, y, mask) to choose from what is shown, and what they are."""
    loss = derivation.loss
    if trials is None and isinstance(loss, FilterLoss):
        return *loss.impulse_trials(RESPONSE_STEPS if loss.steps is None else None), "the response to an impulse"
    words = "the first trial"
    if trials is None:
        batches = task_batches(derivation, seed)
        assert batches is not None  # learn would have asked for trials
        trials, words = batches(0), "the first trial drawn"
    x, y, mask = trials
    if mask is None:
        return x[:1], y[:1], None, words
    k = int(np.argmax(mask.any(axis=(1, 2))))
    return x[k : k + 1], y[k : k + 1], mask[k : k + 1], words if k == 0 else f"{words} that the loss looks at"


def learning_charts(shown: Demonstration, derivation: Derivation, notation: Notation) -> tuple[Chart, ...]:
    """Return the charts of a run: loss, output, loss-visible and loss-invisible overlaps."""
    run = shown.run
    steps = run.step.astype(float)
    title = "step of learning"
    loss = np.asarray(run.loss, dtype=float)
    first, last = (float(loss[k]) for k in (0, shown.last_loss))
    output = notation.letter(derivation.network.output.name)
    given = notation.letter(derivation.network.inputs.name)
    number = [f"_{{{k + 1}}}" if shown.inputs.shape[1] > 1 else "" for k in range(shown.inputs.shape[1])]
    expected = np.concatenate([shown.target, shown.inputs.ravel(), shown.before])
    before, after = (_bounded(values, expected, BEYOND) for values in (shown.before, shown.after))
    counted = "" if (shown.weights > 0).all() else ", where the loss looks"
    charts = [
        Chart(
            "chart-loss",
            "Loss during learning",
            f"The loss against the step of learning, from {figure(first)} to {figure(last)}.",
            steps,
            [Curve(_bounded(loss, loss[:1], LOSS_BEYOND), "L", "loss")],
            title,
            logarithmic=True,
        ),
        Chart(
            "chart-output",
            "Output before and after learning",
            f"Target and output of the reduced network, {shown.shown}; "
            f"root mean square of their difference {figure(_distance(shown, shown.before))} before and "
            f"{figure(_distance(shown, shown.after))} after learning{counted}.",
            shown.time,
            [
                *(Curve(shown.inputs[:, k], f"{given}{number[k]}", "input") for k in range(len(number))),
                Curve(before, r"\text{before}", "before"),
                Curve(after, r"\text{after}", "after"),
                Curve(shown.target, f"{output}^*", "target", dash=True),
            ],
            "time",
        ),
    ]
    moving = moving_rows(derivation)
    parts = [
        ("visible", slice(0, run.n_visible)),
        ("invisible", slice(run.n_visible, None)),
    ]
    for kind, part in parts:
        places = [k for k in range(len(derivation.ordered))[part] if k in moving]
        if not places:
            continue
        drawn_part = _bounded(run.sigma[:, places], run.sigma[0], BEYOND)
        curves = [
            Curve(values, str(notation.doprint(derivation.ordered[k].symbol)))
            for k, values in zip(places, drawn_part.T, strict=True)
        ]
        moved = [derivation.overlaps[k] for k in places if np.nanmax(np.abs(run.sigma[:, k] - run.sigma[0, k])) > 1e-9]
        count = "all" if len(moved) == len(places) else str(len(moved))
        description = f"{len(places)} loss-{kind} overlaps against the step of learning; {count} of them move."
        if np.isfinite(drawn_part).sum() < np.isfinite(run.sigma[:, places]).sum():
            description += f" What grows beyond {BEYOND:g} times the largest overlap at the start is not drawn."
        charts.append(Chart(f"chart-{kind}", f"Loss-{kind} overlaps", description, steps, curves, title))
    return tuple(charts)


def _bounded(values: FloatArray, start: FloatArray, times: float) -> FloatArray:
    """Return values with nan for those beyond so many times the largest finite one of a start, where there is one."""
    largest = np.max(np.abs(start), where=np.isfinite(start), initial=0.0) or 1.0
    with np.errstate(over="ignore"):
        return np.where(np.abs(values) <= times * largest, values, np.nan)


def _distance(shown: Demonstration, output: FloatArray) -> float:
    """Return the root mean square of the difference of an output and its target, with the weights of the loss."""
    seen = shown.weights > 0
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sqrt(np.average((output - shown.target)[seen] ** 2, weights=shown.weights[seen])))
