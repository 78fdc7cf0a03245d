"""The order of two tasks, read from a network that has since learned a third.

After A-B-C and B-A-C (figure 9) a linear discriminant is to tell, from the three loss-invisible overlaps at the end of
C, which of A and B came first. It is trained on other initial overlaps than those it is tested on. It does better than
chance, and than with shuffled labels; also when C has been learned on, until the functions of both orders are the same.
The loss-visible overlaps tell it as well: what C asks for leaves them free in part, so that they too end elsewhere.
"""

from __future__ import annotations

import numpy as np
import task_order
from ger_barak import GREY, INVISIBLE, UNKNOWN_START, VISIBLE, at, label, legend, panels, symbol

from symlow.decoding import Decoding, decode
from symlow.reproduction import Check, Outcome


def run(quick: bool) -> Outcome:
    histories, later = task_order.load()
    d = task_order.task("C")
    shuffles = 30 if quick else 200

    def read(sigma: np.ndarray, part: str, shuffles: int = shuffles, groups: np.ndarray | None = None) -> Decoding:
        """Read the order from overlaps (orders, histories, n_overlaps), pairs of one start or groups left out."""
        held = np.arange(sigma.shape[1]) if groups is None else groups
        features = task_order.features(d, sigma.reshape(-1, sigma.shape[-1]), part)
        return decode(features, np.repeat(task_order.ORDERS, sigma.shape[1]), np.tile(held, 2), shuffles=shuffles)

    end = histories.last[:, -1]
    invisible, visible = (read(end, part) for part in ("invisible", "visible"))
    on, visible_on = (read(later.sigma[:, -1], part) for part in ("invisible", "visible"))
    across = read(end, "invisible", groups=histories.group)
    epochs, course = task_order.whole_course(histories, later)
    courses = {
        part: [read(course[:, k], part, 0).accuracy for k in range(len(epochs))]
        for part in (("invisible",) if quick else ("invisible", "visible"))
    }

    control = f"{invisible.shuffled.mean():.3f}, {invisible.shuffled.max():.3f}"

    figure, axes = panels(4)
    for panel, sigma, when in ((axes[0, 0], end, "end of C"), (axes[0, 1], later.sigma[:, -1], "C learned on")):
        for order, (marker, colour) in enumerate((("o", INVISIBLE), ("s", GREY))):
            first = f"{task_order.ORDERS[order][0]} first"
            panel.scatter(*at(d, np.abs(sigma[order]), "z_v", "z_z"), marker=marker, s=22, color=colour, label=first)
        label(panel, when, symbol("z_v"), symbol("z_z"))
        legend(panel)
    axes[0, 2].hist(invisible.shuffled, np.linspace(0, 1, 21), color="0.8", label="shuffled labels")
    axes[0, 2].axvline(invisible.accuracy, color=INVISIBLE, label="invisible overlaps")
    axes[0, 2].axvline(visible.accuracy, color=VISIBLE, linestyle="--", label="visible overlaps")
    axes[0, 2].axvline(invisible.chance, color=GREY, linestyle=":", label="chance")
    label(axes[0, 2], "order read at the end of C", "accuracy, pairs left out")
    legend(axes[0, 2], loc="upper left")
    for part, accuracies in courses.items():
        colour = INVISIBLE if part == "invisible" else VISIBLE
        axes[0, 3].plot(epochs / 1000, accuracies, color=colour, label=f"{part} overlaps")
    axes[0, 3].axhline(invisible.chance, color=GREY, linestyle=":")
    axes[0, 3].set_ylim(0, 1.05)
    label(axes[0, 3], "order read in the course of C", "epoch of C, learned on, in thousands", "accuracy")
    legend(axes[0, 3], loc="lower right")
    return Outcome(
        figure,
        (
            Check("order read from loss-invisible overlaps, accuracy (chance 0.5)", invisible.accuracy, None, 0.75),
            Check("p-value of it, labels shuffled within pairs", invisible.p_value, 0.05),
            Check("the same when C has been learned on, accuracy", on.accuracy, None, 0.75),
            Check("p-value of it", on.p_value, 0.05),
        ),
        {
            "from loss-visible overlaps at the end of C": visible.accuracy,
            "p-value of it": visible.p_value,
            "from loss-visible overlaps when C has been learned on": visible_on.accuracy,
            "from loss-invisible overlaps, whole groups of batches left out": across.accuracy,
            "its p-value": across.p_value,
            "shuffled labels, mean and largest accuracy": control,
        },
        task_order.settings(histories),
        (UNKNOWN_START, *task_order.NOTES),
    )
