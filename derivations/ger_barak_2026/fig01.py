"""The loss along learning in parameters, in overlaps, and in overlaps taken for parameters (figure 1c).

Gradient descent of the weights of N neurons and the ten overlap equations have the same loss at every epoch. Gradient
descent on the four loss-visible overlaps themselves, as if they were parameters, does not: it leaves out the metric
that the loss-invisible overlaps are, and learns at other rates, along another path.
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
    VISIBLE,
    at,
    compiled,
    derivation,
    label,
    legend,
    panels,
    symbol,
)

import symlow
from symlow.initial import overlaps_of_weights, sample_weights
from symlow.protocols import Phase, train_protocol
from symlow.reproduction import Check, Outcome


def run(quick: bool) -> Outcome:
    neurons, trained, epochs = (40, 12, 800) if quick else (NEURONS, EPOCHS // 2, EPOCHS)
    d = derivation()
    module = compiled(d)
    weights = sample_weights(d, neurons, SCALE, 0)
    begin = overlaps_of_weights(d, weights)
    network = train_protocol(weights, [Phase(d, trained, LR)])
    theory = symlow.learn(d, begin, LR, epochs)
    naive = [begin]
    for _ in range(epochs):
        moved = naive[-1].copy()
        moved[: len(d.visible)] -= LR * module.loss_gradient(naive[-1])
        naive.append(moved)
    course = np.array(naive)
    losses = {"overlaps": theory.loss, "overlaps as parameters": module.loss(course)}
    gap = float(np.abs(network.loss - theory.loss[: trained + 1]).max() / theory.loss[0])
    apart = float(np.abs(np.log10(losses["overlaps as parameters"] / losses["overlaps"])).max())
    rate = (losses["overlaps as parameters"][0] - losses["overlaps as parameters"][1]) / (
        theory.loss[0] - theory.loss[1]
    )

    figure, axes = panels(2)
    axes[0, 0].plot(theory.step, losses["overlaps"], color=VISIBLE, label="overlap equations")
    axes[0, 0].plot(theory.step, losses["overlaps as parameters"], "--", color=GREY, label="overlaps as parameters")
    some = np.linspace(0, trained, 20).astype(int)
    axes[0, 0].plot(some, network.loss[some], ".", color=BLACK, label=f"weights of {neurons} neurons")
    axes[0, 0].set_yscale("log")
    label(axes[0, 0], "loss", "epoch")
    legend(axes[0, 0])
    for name, style in (("z_m", "-"), ("v_u", ":")):
        axes[0, 1].plot(theory.step, at(d, theory.sigma, name)[0], style, color=VISIBLE, label=symbol(name))
        axes[0, 1].plot(theory.step, at(d, course, name)[0], style, color=GREY, label=f"{symbol(name)}, as parameters")
    label(axes[0, 1], "loss-visible overlaps", "epoch")
    axes[0, 1].set_ylim(top=2.4)
    legend(axes[0, 1], loc="upper left", ncols=2)
    return Outcome(
        figure,
        (
            Check("loss of the network beside the overlap equations, largest difference, relative", gap, 1e-12),
            Check(
                "loss of overlaps as parameters, largest distance from the equations in powers of ten", apart, None, 0.3
            ),
        ),
        {"first step of overlaps as parameters: decrease of the loss, over that of the equations": float(rate)},
        {**SETTINGS, "epochs": epochs, "neurons": neurons, "epochs of the network": trained},
        (UNKNOWN_START,),
    )
