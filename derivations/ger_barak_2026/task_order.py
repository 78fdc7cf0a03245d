"""Histories of nonlinear networks that learn A then B, or B then A, and then C: what figures 9 and 10 show.

A is the flip-flop, B decision making, C an arbitrary teacher. Both orders begin with the same overlaps. Histories come
in groups, each with batches of its own, which its histories share: in C those of both orders do, so that C does not
tell them apart. The full form takes some forty minutes of one core for a group, and is kept in task_order.npz:

    python derivations/ger_barak_2026/task_order.py
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from ger_barak import HERE, NEURONS, compiled, derivation, start

import symlow
from symlow.errors import FileError
from symlow.files import write_whole
from symlow.protocols import Phase, overlap_distance, run_protocol

FILE = HERE / "task_order.npz"
STEPS, BATCH, LR, RECORDS, GROUPS, STATES = 30_000, 128, 0.01, 10, 2, 20
LATER_STEPS, LATER_BATCH, LATER_RECORDS, LATER_STATES = 300_000, 32, 30, 10
"""How long, with which batches and by how many histories of each group C is learned on."""
MADE_WITH = np.array([STEPS, BATCH, LR, LATER_STEPS, LATER_BATCH])
"""Kept beside the histories, so that a page does not give numbers that they were not made with."""
TASKS = {"A": "rank1_erf_flip_flop", "B": "rank1_erf_decision_making", "C": "rank1_erf_teacher"}
ORDERS = ("AB", "BA")
NOTES = (
    "The histories are kept in task_order.npz, which python derivations/ger_barak_2026/task_order.py makes; both "
    "forms of the figure read them there.",
    "The loss is half the mean of squared errors, over the response in B. With their sum over time times dt, as in the "
    "linear figures, the learning rate of 0.01 is too large: norms grew to hundreds, and a history of ten ran away.",
    "A and B are the flip-flop and the decision making of this toolkit; the teacher's input is white noise. These, and "
    "the number of histories, are not given by the source at hand.",
)


@dataclass(frozen=True)
class Histories:
    """Overlaps and losses at equal spacings of steps, of all histories: groups one after the other.

    Attributes:
        first: overlaps in the first two phases, shape (orders, 2 phases, records, histories, n_overlaps).
        last: overlaps in C, shape (orders, records, histories, n_overlaps).
        first_loss: shape (orders, 2 phases, records, histories).
        last_loss: shape (orders, records, histories).
        group: of each history, shape (histories,).
    """

    first: np.ndarray
    last: np.ndarray
    first_loss: np.ndarray
    last_loss: np.ndarray
    group: np.ndarray


@dataclass(frozen=True)
class Later:
    """Some of the histories, in which C is learned on.

    Attributes:
        sigma: overlaps at equal spacings of steps, shape (orders, records, histories, n_overlaps).
        loss: shape (orders, records, histories).
        of: which histories these are, shape (histories,).
    """

    sigma: np.ndarray
    loss: np.ndarray
    of: np.ndarray


def task(name: str) -> symlow.DerivedSystem:
    """A task with the mean of squared errors for its loss."""
    d = derivation(TASKS[name])
    loss = d.spec.task.loss.model_copy(update={"reduction": "masked_mean"})
    return derivation(TASKS[name], loss=loss)


def teacher_trials(d: symlow.DerivedSystem, backend: str, batch: int, seed: int) -> Callable[[int], tuple]:
    """The trials of the teacher, of white noise, with the outputs from a compiled module."""
    module = compiled(d, backend)
    sigma = np.array([d.spec.task.overlaps.get(name, 0.0) for name in d.overlaps])
    shape = (batch, d.spec.task.steps(d.spec.network.dt), 1)

    def at(step: int) -> tuple:
        x = np.random.default_rng([seed, step]).standard_normal(shape) * d.spec.task.sigma / np.sqrt(d.spec.network.dt)
        return x, np.asarray(module.outputs(sigma, x)), None

    return at


def histories(groups: Sequence[int], states: int, steps: int, batch: int, backend: str) -> Histories:
    """Run the histories of both orders."""
    derivations = {name: task(name) for name in TASKS}
    every = max(1, steps // RECORDS)
    found: list[tuple[np.ndarray, ...]] = []
    for group in groups:
        begin = np.stack([start(derivations["A"], 100 * group + k, NEURONS) for k in range(states)])
        firsts = []
        for order in ORDERS:
            phases = [
                Phase(d, steps, LR, name, trials=drawn(d, batch, 10 * group + k), seed=10 * group + k)
                for k, name in enumerate(order)
                for d in [derivations[name]]
            ]
            firsts.append(run_protocol(begin, phases, every, backend))
        teacher = teacher_trials(derivations["C"], backend, batch, 10 * group + 2)
        ends = np.concatenate([first.ends[-1] for first in firsts])
        last = run_protocol(ends, [Phase(derivations["C"], steps, LR, "C", trials=teacher)], every, backend)
        parts = [[first.part(k) for k in (0, 1)] for first in firsts]
        found.append(
            (
                np.stack([[f.sigma[p] for p in part] for f, part in zip(firsts, parts, strict=True)]),
                np.stack(np.split(last.sigma, 2, axis=1)),
                np.stack([[f.loss[p] for p in part] for f, part in zip(firsts, parts, strict=True)]),
                np.stack(np.split(last.loss, 2, axis=1)),
            )
        )
    first, last, first_loss, last_loss = zip(*found, strict=True)
    return Histories(
        np.concatenate(first, axis=3),
        np.concatenate(last, axis=2),
        np.concatenate(first_loss, axis=3),
        np.concatenate(last_loss, axis=2),
        np.repeat(groups, states),
    )


def learned_on(run: Histories, states: int, steps: int, batch: int, backend: str) -> Later:
    """Learn C on, by the first histories of each group, with batches of its own for each group."""
    C = task("C")
    every = max(1, steps // LATER_RECORDS)
    found, of = [], []
    for group in np.unique(run.group):
        of.append(np.flatnonzero(run.group == group)[:states])
        teacher = teacher_trials(C, backend, batch, 10 * int(group) + 3)
        ends = np.concatenate(run.last[:, -1, of[-1]])
        course = run_protocol(ends, [Phase(C, steps, LR, "C", trials=teacher)], every, backend)
        found.append([np.stack(np.split(part, 2, axis=1)) for part in (course.sigma, course.loss)])
    sigma, loss = (np.concatenate(part, axis=2) for part in zip(*found, strict=True))
    return Later(sigma, loss, np.concatenate(of))


def drawn(d: symlow.DerivedSystem, batch: int, seed: int) -> Callable[[int], tuple]:
    """The trials of a task that draws them."""
    trials = symlow.batches.task_batches(d, seed, batch)
    assert trials is not None
    return trials


def load() -> tuple[Histories, Later]:
    """Read the full form."""
    if not FILE.is_file():
        raise FileError(f"{FILE}: no such file; make it with python {Path(*Path(__file__).parts[-3:])}")
    with np.load(FILE) as arrays:
        if not np.array_equal(arrays["made_with"], MADE_WITH):
            raise FileError(
                f"{FILE}: found histories made with {arrays['made_with']}, expected {MADE_WITH}; make it anew"
            )
        run = Histories(**{field.name: arrays[field.name] for field in fields(Histories)})
        return run, Later(**{field.name: arrays[f"later_{field.name}"] for field in fields(Later)})


def recomputed(run: Histories) -> float:
    """How far losses at the beginning of A and of C, computed anew from the overlaps kept, are from those kept.

    Of the first group, relative: tells that the file is that of this code.
    """
    own = run.group == run.group[0]
    A, C = task("A"), task("C")
    losses = [
        (
            compiled(A).loss(run.first[0, 0, 0, own], drawn(A, BATCH, 10 * int(run.group[0]))(0)),
            run.first_loss[0, 0, 0],
        ),
        (
            compiled(C).loss(run.last[0, 0, own], teacher_trials(C, "numpy", BATCH, 10 * int(run.group[0]) + 2)(0)),
            run.last_loss[0, 0],
        ),
    ]
    return max(float(np.abs(now / kept[own] - 1).max()) for now, kept in losses)


def settings(run: Histories) -> dict[str, float | str]:
    """The parameters, for a figure's page."""
    groups = len(np.unique(run.group))
    return {
        "time step": 0.05,
        "trial of A and C": "20",
        "learning rate": LR,
        "epochs of each phase": STEPS,
        "batch": BATCH,
        "groups of histories": groups,
        "initial overlaps in each": len(run.group) // groups,
        "epochs of C learned on": LATER_STEPS,
        "batch, initial overlaps in each group there": f"{LATER_BATCH}, {LATER_STATES}",
    }


def whole_course(run: Histories, later: Later) -> tuple[np.ndarray, np.ndarray]:
    """Epochs of C, and overlaps where it is learned on: (records,), (orders, records, histories, n_overlaps)."""
    epochs = [
        np.linspace(0, STEPS, run.last.shape[1])[:-1],
        np.linspace(STEPS, STEPS + LATER_STEPS, later.sigma.shape[1]),
    ]
    return np.concatenate(epochs), np.concatenate([run.last[:, :-1, later.of], later.sigma], axis=1)


def apart(d: symlow.DerivedSystem, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far the orders are apart in visible and in invisible overlaps, (records, histories) each.

    From overlaps (orders, records, histories, n_overlaps). The sign of both u and v can be changed without any effect:
    that one is taken in which the orders are nearer.
    """
    flipped = sigma[1] * np.where([sum(name.count(x) for x in "uv") % 2 for name in d.overlaps], -1.0, 1.0)
    same, other = (overlap_distance(d, sigma[0], end) for end in (sigma[1], flipped))
    nearer = np.hypot(*same) <= np.hypot(*other)
    return np.where(nearer, same[0], other[0]), np.where(nearer, same[1], other[1])


def features(d: symlow.DerivedSystem, sigma: np.ndarray, part: str) -> np.ndarray:
    """Visible or invisible overlaps that do not depend on the sign of u and v, for a classifier."""
    n = len(d.visible)
    return np.abs(sigma[:, :n] if part == "visible" else sigma[:, n:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, default=GROUPS)
    parser.add_argument("--output", type=Path, default=FILE)
    options = parser.parse_args()
    run = histories(range(options.groups), STATES, STEPS, BATCH, "auto")
    later = learned_on(run, LATER_STATES, LATER_STEPS, LATER_BATCH, "auto")
    stream = io.BytesIO()
    of_later = {f"later_{name}": array for name, array in vars(later).items()}
    np.savez_compressed(stream, **vars(run), **of_later, made_with=MADE_WITH)
    print(f"wrote {write_whole(options.output, stream.getvalue(), overwrite=True)}")


if __name__ == "__main__":
    main()
