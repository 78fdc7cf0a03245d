"""Nonlinear networks: A or B first, then C.

Networks with erf learn a flip-flop (A) and decision making (B), in either order from the same overlaps, and then to
imitate a teacher (C). After 30000 epochs of C networks of both orders do it, those that began with B less well. When C
is learned on, their functions become the same; their loss-invisible overlaps still differ with the order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import task_order
from ger_barak import BLACK, GREY, INVISIBLE, UNKNOWN_START, VISIBLE, at, compiled, label, legend, panels, symbol

from symlow.protocols import overlap_distance
from symlow.reproduction import Check, Outcome


def run(quick: bool) -> Outcome:
    histories, later = task_order.load()
    d = task_order.task("C")
    last = histories.last
    epochs, course = task_order.whole_course(histories, later)
    visible, invisible = (np.median(part, axis=-1) for part in task_order.apart(d, course))
    batch = task_order.teacher_trials(d, "numpy", 4 if quick else 64, 1000)(0)
    early, late = (Outputs.of(compiled(d).outputs(sigma[:, -1], batch[0]), batch[1]) for sigma in (last, later.sigma))
    size = overlap_distance(d, later.sigma[:, -1], np.zeros(len(d.overlaps)))[1].mean(axis=0)
    remaining = task_order.apart(d, later.sigma[:, -1:])[1][0] / size
    lasting = invisible[-1] / np.interp(epochs[-1] - 50_000, epochs, invisible)
    anew = task_order.recomputed(histories)

    figure, axes = panels(4)
    records = np.linspace(0, 1, last.shape[1])
    losses = np.concatenate([histories.first_loss.swapaxes(0, 1), histories.last_loss[None]])
    for order, (colour, style) in enumerate(((BLACK, "-"), (GREY, "--"))):
        for phase in range(3):
            named = {"label": "-".join(task_order.ORDERS[order]) + "-C"} if phase == 0 else {}
            axes[0, 0].plot(phase + records, np.median(losses[phase, order], axis=-1), style, color=colour, **named)
    axes[0, 0].set_yscale("log")
    label(axes[0, 0], "loss, median of histories", "phase")
    legend(axes[0, 0])
    for panel, names, colour in (
        (axes[0, 1], ("v_u", "z_m"), VISIBLE),
        (axes[0, 2], ("v_v", "z_z"), INVISIBLE),
    ):
        for name, style in zip(names, ("-", "--"), strict=True):
            for order in (0, 1):
                values = at(d, course[order], name)[0]
                panel.plot(epochs / 1000, values, style, color=(colour, GREY)[order], linewidth=0.8)
            panel.plot([], [], style, color=colour, label=symbol(name))
        label(
            panel, f"loss-{'in' * (colour == INVISIBLE)}visible, grey: B first", "epoch of C, learned on, in thousands"
        )
        legend(panel)
    for distances, colour, name in ((visible, VISIBLE, "loss-visible"), (invisible, INVISIBLE, "loss-invisible")):
        axes[0, 3].plot(epochs / 1000, distances, color=colour, label=name)
    axes[0, 3].axvline(epochs[last.shape[1] - 1] / 1000, color=GREY, linestyle=":", linewidth=1)
    axes[0, 3].set_yscale("log")
    label(axes[0, 3], "distance of the orders, median", "epoch of C, learned on, in thousands")
    legend(axes[0, 3])
    checks = (
        Check("losses computed anew from the overlaps kept, largest relative difference", anew, 1e-9),
        Check("C: variance of the teacher's outputs that is missed, largest of all", float(early.missed.max()), 0.1),
        Check("C learned on: the same", float(late.missed.max()), 1e-3),
        Check(
            "C learned on: difference of the outputs of the two orders, rms, over the teacher's, median",
            float(np.median(late.between)),
            0.01,
        ),
        Check(
            "C learned on: loss-invisible distance of the orders over their size, median",
            float(np.median(remaining)),
            None,
            0.01,
        ),
        Check(
            "C learned on: that distance at the end, over what it was 50000 epochs before", float(lasting), None, 0.9
        ),
    )
    places = {"before C": 0, "at the end of C": last.shape[1] - 1, "C learned on": -1}
    return Outcome(
        figure,
        checks,
        {
            f"distance of the orders, {when}: visible, invisible, median": f"{visible[k]:.3g}, {invisible[k]:.3g}"
            for when, k in places.items()
        }
        | {
            "variance missed at the end of C, A first and B first, median": ", ".join(
                f"{value:.3g}" for value in np.median(early.missed, axis=-1)
            ),
            "difference of outputs of the orders over the teacher's at the end of C, median": float(
                np.median(early.between)
            ),
        },
        task_order.settings(histories),
        (
            "After the 30000 epochs that are given the functions of the two orders are not yet the same: those that "
            "began with B have ten times the loss. So C was learned on.",
            UNKNOWN_START,
            *task_order.NOTES,
        ),
    )


@dataclass(frozen=True)
class Outputs:
    """How outputs differ, relative to the teacher's.

    Attributes:
        missed: share of the variance of the teacher's outputs that is missed, shape (orders, histories).
        between: difference of the two orders, rms, over the teacher's, shape (histories,).
    """

    missed: np.ndarray
    between: np.ndarray

    @classmethod
    def of(cls, outputs: np.ndarray, target: np.ndarray) -> Outputs:
        size = np.mean(target**2)
        missed = np.mean((outputs - target) ** 2, axis=(2, 3, 4)) / size
        return cls(missed, np.sqrt(np.mean((outputs[0] - outputs[1]) ** 2, axis=(1, 2, 3)) / size))
