"""The nonlinear network: a flip-flop, and how Gaussian its weights stay.

A network of N neurons with erf learns to remember the sign of the last pulse, by stochastic gradient descent; the
overlap equations are stepped on the same batches. At first they agree but for N being finite. The rows of the weights
are Gaussian at the start; learning makes them less so, which the equations leave out: the deviation grows with it.
Histograms and quantiles of the four vectors at the end show how far they are from Gaussian.
"""

from __future__ import annotations

import numpy as np
from ger_barak import BLACK, EPOCHS, GREY, LR, NEURONS, SCALE, UNKNOWN_START, derivation, label, legend, panels
from scipy.special import ndtri

import symlow
from symlow.batches import task_batches
from symlow.initial import sample_weights
from symlow.plot.lines import overlap_panel
from symlow.reproduction import Check, Outcome
from symlow.simulate import FullNetwork


def run(quick: bool) -> Outcome:
    neurons, epochs, batch = (300, 6, 4) if quick else (NEURONS, EPOCHS, 32)
    d = derivation("rank1_erf_flip_flop")
    weights = sample_weights(d, neurons, SCALE, 1)
    course = symlow.drift(d, weights, LR, epochs, task_batches(d, seed=1, batch=batch))
    early = min(5, epochs)
    x, y, _ = task_batches(d, seed=2, batch=8 if quick else 64)(0)
    output = FullNetwork(d.network, "sum_dt", 0.5).outputs(course.weights, x)
    counted = settled(y)
    right = float(np.mean(np.sign(output[counted]) == y[counted]))

    figure, axes = panels(3, 2)
    width = max(1, epochs // 50)
    kernel = np.ones(width) / width
    for losses, colour, name in ((course.theory_loss, GREY, "equations"), (course.network_loss, BLACK, "network")):
        axes[0, 0].plot(np.convolve(losses, kernel, "valid"), color=colour, label=name)
    axes[0, 0].set_yscale("log")
    label(axes[0, 0], f"loss, mean of {width} batches", "epoch")
    legend(axes[0, 0])
    some = np.unique(np.linspace(0, epochs, 20).astype(int))
    steps = np.arange(epochs + 1)
    for panel, part, visible in (
        (axes[0, 1], slice(0, course.n_visible), True),
        (axes[0, 2], slice(course.n_visible, None), False),
    ):
        panel.plot(some, course.network[some, part], ".", color=BLACK, markersize=3)
        overlap_panel(panel, steps, course.theory[:, part], course.overlaps[part], visible)
        label(panel, f"loss-{'in' * (not visible)}visible; dots: network", "epoch")
    normal = ndtri((np.arange(neurons) + 0.5) / neurons)
    colours = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
    for k, (name, colour) in enumerate(zip(course.columns, colours, strict=True)):
        column = course.weights[:, k] / course.weights[:, k].std()
        axes[1, 0].hist(column, np.linspace(-4, 4, 33), density=True, histtype="step", color=colour, label=name)
        axes[1, 1].plot(normal, np.sort(column), color=colour, label=name)
        axes[1, 2].plot(course.kurtosis[:, k], color=colour, label=name)
    grid = np.linspace(-4, 4, 100)
    axes[1, 0].plot(grid, np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi), color="0.7", zorder=0)
    axes[1, 1].plot([-3, 3], [-3, 3], color="0.7", zorder=0)
    label(axes[1, 0], "entries of the vectors at the end", "in units of their spread")
    label(axes[1, 1], "their quantiles", "normal quantile")
    label(axes[1, 2], "excess kurtosis", "epoch")
    legend(axes[1, 1])
    checks = [
        Check(
            f"overlaps: largest deviation of the network in {early} epochs, relative",
            float(course.deviation[: early + 1].max()),
            0.05,
        ),
        Check("QQ correlation of the vectors at the start, least", float(course.quantiles[0].min()), None, 0.99),
    ]
    if not quick:
        checks += [
            Check(
                "loss of the network, last tenth over first epoch",
                float(course.network_loss[-epochs // 10 :].mean() / course.network_loss[0]),
                0.25,
            ),
            Check("sign of the output right on new trials, from a pulse's width after each change", right, None, 0.9),
            Check(
                "deviation at the end over that of the first epochs",
                float(course.deviation[-1] / course.deviation[early]),
                None,
                1,
            ),
            Check("QQ correlation of the vectors at the end, least", float(course.quantiles[-1].min()), None, 0.9),
        ]
    return Outcome(
        figure,
        tuple(checks),
        {
            "overlaps: deviation at the end, relative": float(course.deviation[-1]),
            "epochs within 10 %": float(course.trusted_steps),
            "excess kurtosis at the end": ", ".join(
                f"{n} {v:+.2f}" for n, v in zip(course.columns, course.kurtosis[-1], strict=True)
            ),
            "QQ correlation at the end": ", ".join(
                f"{n} {v:.4f}" for n, v in zip(course.columns, course.quantiles[-1], strict=True)
            ),
        },
        {"time step": 0.05, "trial": "20", "learning rate": LR, "epochs": epochs, "batch": batch, "neurons": neurons},
        (
            UNKNOWN_START,
            "Pulses of width 0.5 at a rate of 0.25 per unit of time, and batches, were taken; the source at hand does "
            "not give them.",
        ),
    )


def settled(y: np.ndarray) -> np.ndarray:
    """Where the target has been the same for a pulse's width, ten steps, and a pulse has come."""
    same = np.ones_like(y, dtype=bool)
    for back in range(1, 11):
        same[:, back:] &= y[:, back:] == y[:, :-back]
    return same & (y != 0)
