"""Gradient flow, descent in large steps, and Adam, in the nonlinear network.

A network of erf neurons learns a flip-flop on one batch of trials. Over the same time of the flow, descent in small
steps keeps to gradient flow, and in steps ten times as long stays near it. Adam learns as well, but on another path:
at the same loss its overlaps are elsewhere, the loss-invisible ones among them, since it follows no gradient flow.
"""

from __future__ import annotations

import numpy as np
from ger_barak import BLACK, GREY, NEURONS, SCALE, UNKNOWN_START, at, derivation, label, legend, panels, symbol

from symlow.batches import task_batches
from symlow.initial import sample_weights
from symlow.protocols import Phase, overlap_distance, train_protocol
from symlow.reproduction import Check, Outcome

SMALL, LARGE, ADAM = 2.5e-3, 2.5e-2, 5e-3


def run(quick: bool) -> Outcome:
    neurons, batch, time = (60, 2, 0.05) if quick else (NEURONS, 4, 4.0)
    d = derivation("rank1_erf_flip_flop")
    trials = task_batches(d, seed=1, batch=batch, data="fixed")(0)
    weights = sample_weights(d, neurons, SCALE, 1)

    def phase(lr: float, steps: int | None = None) -> list[Phase]:
        return [Phase(d, round(time / lr) if steps is None else steps, lr, trials=trials)]

    fine = train_protocol(weights, phase(SMALL / 2))
    small, large = train_protocol(weights, phase(SMALL)), train_protocol(weights, phase(LARGE))
    adam = train_protocol(weights, phase(ADAM, 40 if quick else 800), optimizer="adam")
    # Euler steps have an error of first order: twice the half step less the whole is gradient flow to second order.
    flow = 2 * fine.sigma[::2] - small.sigma
    moved = total(d, flow[-1], flow[0])
    away = {name: total(d, course.sigma[-1], flow[-1]) / moved for name, course in (("small", small), ("large", large))}
    # Adam where its loss is first as low as that of the flow at the end, or at its lowest.
    goal = max(small.loss[-1], adam.loss.min())
    arrived = int(np.argmax(adam.loss <= goal))
    elsewhere = overlap_distance(d, adam.sigma[arrived], small.sigma[int(np.argmax(small.loss <= goal))])

    ends = ", ".join(f"{value:.3g}" for value in (small.loss[0], small.loss[-1], adam.loss[-1]))

    figure, axes = panels(3)
    styles = (
        ("gradient flow, steps extrapolated", small.step * SMALL, small.loss, flow, GREY, "-"),
        (f"descent, steps of {LARGE:g}", large.step * LARGE, large.loss, large.sigma, BLACK, "--"),
        (
            f"Adam, its {adam.step[-1]} steps drawn over this",
            adam.step / adam.step[-1] * time,
            adam.loss,
            adam.sigma,
            "#009E73",
            "-",
        ),
    )
    for name, at_time, losses, sigma, colour, style in styles:
        axes[0, 0].plot(at_time, losses, style, color=colour, label=name)
        axes[0, 1].plot(losses, at(d, sigma, "v_u")[0], style, color=colour)
        axes[0, 2].plot(losses, at(d, sigma, "z_z")[0], style, color=colour)
    label(axes[0, 0], "loss", "time of the flow")
    for panel, name in ((axes[0, 1], "v_u"), (axes[0, 2], "z_z")):
        panel.invert_xaxis()
        label(panel, f"{symbol(name)}, loss-{'in' * (name in d.invisible)}visible", "loss")
    legend(axes[0, 0], loc="upper right")
    return Outcome(
        figure,
        (
            Check("small steps: distance from the flow at the end, over how far it has moved", away["small"], 0.02),
            Check("large steps: the same", away["large"], 0.25),
            Check(
                "Adam at an equal loss: distance of loss-invisible overlaps, over the flow's path",
                float(elsewhere[1]) / moved,
                None,
                0.05,
            ),
            Check(
                "loss at the end over the beginning, Adam", float(adam.loss[-1] / adam.loss[0]), 0.97 if quick else 0.5
            ),
        ),
        {
            "loss at the beginning, of small steps at the end, of Adam at the end": ends,
            "Adam at an equal loss: distance of loss-visible overlaps, over the flow's path": float(elsewhere[0])
            / moved,
        },
        {"time step": 0.05, "trial": "20", "time of the flow": time, "batch, fixed": batch, "neurons": neurons}
        | {"small, large steps, Adam's learning rate": f"{SMALL:g}, {LARGE:g}, {ADAM:g}"},
        (UNKNOWN_START, "Steps, time and batch were taken; the source at hand does not give them."),
    )


def total(d: object, first: np.ndarray, second: np.ndarray) -> float:
    return float(np.hypot(*overlap_distance(d, first, second)))
