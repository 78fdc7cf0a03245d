"""The order of two tasks, read from a network that has since learned a third.

After A-B-C and B-A-C (figure 9) a linear discriminant is to tell, from the three loss-invisible overlaps at the end of
C, which of A and B came first. It is trained on other initial overlaps than those it is tested on. It does better than
chance, and than with shuffled labels. The loss-visible overlaps tell it as well: what C asks for leaves them free in
part, so that they too end elsewhere.
"""

from __future__ import annotations

import numpy as np
import task_order
from ger_barak import GREY, INVISIBLE, UNKNOWN_START, VISIBLE, at, label, legend, panels, symbol

from symlow.decoding import Decoding, decode
from symlow.reproduction import Check, Outcome


def run(quick: bool) -> Outcome:
    histories = task_order.load()
    d = task_order.task("C")
    names, n = np.repeat(task_order.ORDERS, histories.last.shape[2]), histories.last.shape[2]
    pairs, groups = np.tile(np.arange(n), 2), np.tile(histories.group, 2)
    shuffles = 30 if quick else 200

    def read(sigma: np.ndarray, part: str, held: np.ndarray, shuffles: int = shuffles) -> Decoding:
        features = task_order.features(d, sigma.reshape(-1, sigma.shape[-1]), part)
        return decode(features, names, held, shuffles=shuffles)

    end = histories.last[:, -1]
    invisible, visible = (read(end, part, pairs) for part in ("invisible", "visible"))
    across = read(end, "invisible", groups)
    courses = {
        part: [read(histories.last[:, k], part, pairs, 0).accuracy for k in range(histories.last.shape[1])]
        for part in (("invisible",) if quick else ("invisible", "visible"))
    }

    control = f"{invisible.shuffled.mean():.3f}, {invisible.shuffled.max():.3f}"

    figure, axes = panels(3)
    for order, marker in enumerate("os"):
        values = at(d, np.abs(end[order]), "v_v", "z_z")
        axes[0, 0].scatter(
            *values, marker=marker, s=22, color=(INVISIBLE, GREY)[order], label=f"{task_order.ORDERS[order][0]} first"
        )
    label(axes[0, 0], "end of C", symbol("v_v"), symbol("z_z"))
    legend(axes[0, 0])
    axes[0, 1].hist(invisible.shuffled, np.linspace(0, 1, 21), color="0.8", label="shuffled labels")
    axes[0, 1].axvline(invisible.accuracy, color=INVISIBLE, label="invisible overlaps")
    axes[0, 1].axvline(visible.accuracy, color=VISIBLE, linestyle="--", label="visible overlaps")
    axes[0, 1].axvline(invisible.chance, color=GREY, linestyle=":", label="chance")
    label(axes[0, 1], "order read at the end of C", "accuracy, pairs left out")
    legend(axes[0, 1], loc="upper left")
    for part, course in courses.items():
        colour = INVISIBLE if part == "invisible" else VISIBLE
        axes[0, 2].plot(np.linspace(0, 1, len(course)), course, color=colour, label=f"{part} overlaps")
    axes[0, 2].axhline(invisible.chance, color=GREY, linestyle=":")
    axes[0, 2].set_ylim(0, 1.05)
    label(axes[0, 2], "order read in the course of C", "course of C", "accuracy")
    legend(axes[0, 2], loc="lower right")
    return Outcome(
        figure,
        (
            Check("order read from loss-invisible overlaps, accuracy (chance 0.5)", invisible.accuracy, None, 0.75),
            Check("p-value of it, labels shuffled within pairs", invisible.p_value, 0.05),
        ),
        {
            "from loss-visible overlaps at the end of C": visible.accuracy,
            "p-value of it": visible.p_value,
            "from loss-invisible overlaps, whole groups of batches left out": across.accuracy,
            "its p-value": across.p_value,
            "shuffled labels, mean and largest accuracy": control,
        },
        task_order.settings(histories),
        (UNKNOWN_START, *task_order.NOTES),
    )
