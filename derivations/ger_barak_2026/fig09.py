"""Nonlinear networks: A or B first, then C.

Networks with erf learn a flip-flop (A) and decision making (B), in either order from the same overlaps, and then to
imitate a teacher (C). At the end of C the networks of both orders do C, and their loss-invisible overlaps differ with
the order, by more than they did before C.
"""

from __future__ import annotations

import numpy as np
import task_order
from ger_barak import BLACK, GREY, INVISIBLE, UNKNOWN_START, VISIBLE, at, compiled, label, legend, panels, symbol

from symlow.reproduction import Check, Outcome


def run(quick: bool) -> Outcome:
    histories = task_order.load()
    d = task_order.task("C")
    first, last = histories.first, histories.last
    middle = first[:, 1, -1]
    visible, invisible = (task_order.apart(d, last, part) for part in ("visible", "invisible"))
    at_start = [task_order.apart(d, middle[:, None], part)[0] for part in ("visible", "invisible")]
    left = [float(np.median(course[-1] / start)) for course, start in zip((visible, invisible), at_start, strict=True)]
    batch = task_order.teacher_trials(d, "numpy", 4 if quick else 64, 1000)(0)
    outputs = compiled(d).outputs(last[:, -1], batch[0])
    between = np.sqrt(np.mean((outputs[0] - outputs[1]) ** 2, axis=(1, 2, 3)) / np.mean(batch[1] ** 2))
    missed = np.mean((outputs - batch[1]) ** 2, axis=(2, 3, 4)) / np.mean(batch[1] ** 2)

    anew = task_order.recomputed(histories)
    size = np.sqrt(np.sum(task_order.features(d, last[0, -1], "invisible") ** 2, axis=-1))
    remaining = invisible[-1] / size

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
                values = at(d, last[order], name)[0]
                panel.plot(records, values, style, color=(colour, GREY)[order], linewidth=0.8)
            panel.plot([], [], style, color=colour, label=symbol(name))
        label(panel, f"loss-{'in' * (colour == INVISIBLE)}visible, grey: B first", "course of C")
        legend(panel)
    for course, begin, colour, name in (
        (visible, at_start[0], VISIBLE, "loss-visible"),
        (invisible, at_start[1], INVISIBLE, "loss-invisible"),
    ):
        axes[0, 3].plot(records, np.median(course / begin, axis=-1), color=colour, label=name)
    axes[0, 3].set_yscale("log")
    label(axes[0, 3], "distance of the orders, relative, median", "course of C")
    legend(axes[0, 3])
    checks = (
        Check("losses computed anew from the overlaps kept, largest relative difference", anew, 1e-9),
        Check("C: variance of the teacher's outputs that is missed, largest of all", float(missed.max()), 0.1),
        Check(
            "loss-invisible distance of the orders over their size, after C, median",
            float(np.median(remaining)),
            None,
            0.01,
        ),
    )
    return Outcome(
        figure,
        checks,
        {
            "distance of the orders at the end of C over that before C, loss-visible, median": left[0],
            "the same, loss-invisible": left[1],
            "variance of the teacher's outputs that is missed, median": float(np.median(missed)),
            "difference of outputs of the orders over the teacher's, median": float(np.median(between)),
        },
        task_order.settings(histories),
        (
            "That both orders end with one function did not come out: after 30000 epochs of C the loss of those that "
            "began with B is ten times that of the others, and still falls. After 10000 epochs with a batch of 32 "
            "outputs differed by 0.073 of the teacher's.",
            UNKNOWN_START,
            *task_order.NOTES,
        ),
    )
