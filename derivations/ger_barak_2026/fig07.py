"""Adam breaks the conserved quantity.

Gradient flow conserves K = |m|^2 + |u|^2 - |v|^2 - |z|^2 (over N), whatever the loss. Gradient descent of the network
of neurons changes it by an amount of order the learning rate over the same time; Adam, which scales the step of every
weight by itself, does not follow gradient flow, and changes K by a hundred times as much.
"""

from __future__ import annotations

import numpy as np
from ger_barak import (
    BLACK,
    EPOCHS,
    GREY,
    LR,
    NEURONS,
    SCALE,
    SETTINGS,
    UNKNOWN_START,
    at,
    derivation,
    label,
    legend,
    panels,
)

from symlow.initial import sample_weights
from symlow.protocols import Phase, train_protocol
from symlow.reproduction import Check, Outcome


def run(quick: bool) -> Outcome:
    neurons, epochs, adam_lr = (50, 28, 0.02) if quick else (NEURONS, EPOCHS // 2, LR)
    d = derivation()
    weights = sample_weights(d, neurons, SCALE, 3)
    phase = Phase(d, epochs, LR)
    courses = {
        "gradient descent": train_protocol(weights, [phase]),
        "descent, half the step": train_protocol(weights, [Phase(d, 2 * epochs, LR / 2)]),
        "Adam": train_protocol(weights, [Phase(d, epochs, adam_lr)], optimizer="adam"),
    }
    K = {name: at(d, c.sigma, "m_m", "u_u", "v_v", "z_z").T @ np.array([1.0, 1, -1, -1]) for name, c in courses.items()}
    change = {name: float(np.abs(values - values[0]).max()) for name, values in K.items()}
    descent, half, adam = change.values()

    figure, axes = panels(3)
    for (name, course), colour, style in zip(courses.items(), (BLACK, GREY, "#009E73"), ("-", "--", "-"), strict=True):
        steps = course.step / (2 if "half" in name else 1)
        axes[0, 0].plot(steps, course.loss, style, color=colour, label=name)
        axes[0, 1].plot(steps, K[name], style, color=colour, label=name)
        axes[0, 2].plot(steps[1:], np.abs(K[name] - K[name][0])[1:], style, color=colour, label=name)
    axes[0, 0].set_yscale("log")
    axes[0, 2].set_yscale("log")
    label(axes[0, 0], f"loss, network of {neurons} neurons", "epoch")
    label(axes[0, 1], "K", "epoch")
    label(axes[0, 2], "change of K", "epoch")
    legend(axes[0, 0])
    return Outcome(
        figure,
        (
            Check("largest change of K by gradient descent", descent, 1e-3),
            Check(
                "the same in twice as many steps of half the length, relative to it",
                half / descent,
                0.6,
                0.4,
            ),
            Check("largest change of K by Adam, relative to that by gradient descent", adam / descent, None, 50),
            Check(
                "loss at the end, Adam over the beginning",
                float(courses["Adam"].loss[-1] / courses["Adam"].loss[0]),
                0.7 if quick else 0.01,
            ),
        ),
        {f"largest change of K, {name}": value for name, value in change.items()},
        {
            **SETTINGS,
            "neurons": neurons,
            "epochs": epochs,
            "learning rate of Adam": adam_lr,
            "beta1, beta2": "0.9, 0.999",
        },
        (
            UNKNOWN_START,
            "Adam acts on the gradients N dL/dP, so that its epsilon of 1e-8 means the same at every N; its learning "
            "rate was taken.",
        ),
    )
