"""Functional twins: told apart by learning, not by activity.

Two linear networks of rank 1 have the same loss-visible overlaps, those that a first task has left, and opposite
sigma_mu, which is loss-invisible. Their outputs are the same on any input. White noise in every neuron does not tell
them apart either: it reaches outputs through v and z, whose overlaps with one another are the same, so that outputs
have the same distribution. Learning a second task tells them apart from its first step on, for the rates of
loss-visible overlaps contain the loss-invisible ones. Twins that differ in sigma_zv instead have noise of another size
in their outputs, of order 1/N in variance, and the same mean.
"""

from __future__ import annotations

import numpy as np
from ger_barak import (
    BLACK,
    GREY,
    INVISIBLE,
    LR,
    NEURONS,
    SETTINGS,
    VISIBLE,
    compiled,
    derivation,
    label,
    legend,
    panels,
    realised,
)

import symlow
from symlow.decoding import decode
from symlow.protocols import Phase, noisy_outputs, overlap_distance, run_protocol, train_protocol
from symlow.reproduction import Check, Outcome
from symlow.simulate import FullNetwork

FUNCTION = {"z_m": 1.0, "z_u": 0.895, "v_m": 0.895, "v_u": 0.801, "m_m": 2.5, "u_u": 2.5, "v_v": 2.5, "z_z": 2.5}
DIFFERENT, SECOND_DECAY = 1.2, 1.0
NOISE = 0.5 / np.sqrt(NEURONS)
"""Strength of the noise of a neuron over sqrt(N), which is what outputs see of it."""


def run(quick: bool) -> Outcome:
    neurons, trials, epochs, trained = (60, 40, 150, 8) if quick else (NEURONS, 200, 600, 600)
    d, second = derivation(), derivation(decay=SECOND_DECAY)
    twins = np.stack([state(d, m_u=sign * DIFFERENT) for sign in (1, -1)])
    weights = [realised(d, sigma, seed, neurons) for seed, sigma in enumerate(twins)]
    others = [realised(d, state(d, z_v=sign * DIFFERENT), seed, neurons) for seed, sign in ((0, 1), (1, -1))]

    noise = NOISE * np.sqrt(neurons)
    x = np.random.default_rng(0).standard_normal((trials, 400, 1)) / np.sqrt(0.05)
    network = FullNetwork(d.network, "sum_dt", 0.5)
    silent = [network.outputs(P, x) for P in weights]
    equal = np.abs(silent[0] - silent[1]).max()

    # Each network twice, with noise of its own each time: how far the twins are, and how far a network from itself.
    noisy = np.stack([[noisy_outputs(d, P, x, noise, seed=10 * k + s) for s in (1, 2)] for k, P in enumerate(weights)])
    apart = rms(noisy[0, 0] - noisy[1, 0]) / rms(noisy[0, 0] - noisy[0, 1])
    sizes = [rms(noisy[k, 0] - silent[k]) for k in (0, 1)]
    other_sizes = [
        rms(noisy_outputs(d, P, x, noise, seed=50 + k) - network.outputs(P, x)) for k, P in enumerate(others)
    ]
    told = decode(
        np.concatenate(noisy[:, 0, :, 19::20, 0]),
        np.repeat(["first", "second"], trials),
        np.tile(np.arange(trials) % 10, 2),  # the same inputs are left out together
        shuffles=100,
    )

    phases = [Phase(second, epochs, LR)]
    theory = run_protocol(twins, phases)
    courses = [train_protocol(P, [Phase(second, trained, LR)]) for P in weights]
    gap = max(np.abs(c.sigma - theory.sigma[: trained + 1, k]).max() for k, c in enumerate(courses))
    some = np.unique(np.geomspace(1, epochs, 30).astype(int))
    outputs = compiled(d).outputs(theory.sigma[some], x[:20])
    differing = np.sqrt(np.mean((outputs[:, 0] - outputs[:, 1]) ** 2, axis=(-3, -2, -1)))
    visible, invisible = overlap_distance(d, theory.sigma[:, 0], theory.sigma[:, 1])
    noise_size = float(np.mean(sizes))
    noticed = some[np.argmax(differing > noise_size)] if (differing > noise_size).any() else epochs

    figure, axes = panels(4)
    time = 0.05 * np.arange(400)
    axes[0, 0].plot(time, silent[0][0, :, 0], color=BLACK, linewidth=1, label="both, no noise")
    for k, colour in enumerate((VISIBLE, GREY)):
        added = noisy[k, 0, 0, :, 0] - silent[k][0, :, 0]
        axes[0, 0].plot(time, added, color=colour, linewidth=0.8, label=f"noise added, twin {k + 1}")
    label(axes[0, 0], "activity: one output", "time", "y")
    legend(axes[0, 0], loc="lower left")
    bins = np.linspace(0.3, 0.7, 17)
    axes[0, 1].hist(told.shuffled, bins, color="0.8", label="shuffled labels")
    axes[0, 1].axvline(told.accuracy, color=BLACK, label="twins")
    axes[0, 1].axvline(told.chance, color=GREY, linestyle=":", label="chance")
    label(axes[0, 1], "a classifier of noisy outputs", "accuracy, trials left out")
    legend(axes[0, 1])
    for k, style in enumerate(("-", "--")):
        axes[0, 2].plot(theory.step, theory.loss[:, k], style, color=BLACK, label=f"twin {k + 1}")
    label(axes[0, 2], "learning: a second task", "epoch", "loss")
    axes[0, 2].set_yscale("log")
    legend(axes[0, 2])
    axes[0, 3].plot(theory.step[1:], invisible[1:], color=INVISIBLE, label="loss-invisible overlaps")
    axes[0, 3].plot(theory.step[1:], visible[1:], color=VISIBLE, label="loss-visible overlaps")
    axes[0, 3].plot(some, differing, color=BLACK, label="outputs, rms")
    axes[0, 3].axhline(noise_size, color=GREY, linestyle=":", label="noise of outputs, rms")
    label(axes[0, 3], "distance of the twins", "epoch")
    axes[0, 3].set(xscale="log", yscale="log", ylim=(None, 100))
    legend(axes[0, 3], loc="upper left")
    return Outcome(
        figure,
        (
            Check("largest difference of outputs before learning, random inputs", float(equal), at_most=1e-12),
            Check(
                "noisy neurons: distance of the twins' outputs, relative to a network's from itself", apart, 1.05, 0.95
            ),
            Check("share of noisy trials put to their own twin by a linear classifier", told.accuracy, at_most=0.58),
            Check("p-value of that accuracy", told.p_value, at_least=0.05),
            Check(
                "networks beside the equations in the second task, largest distance of an overlap", gap, at_most=1e-11
            ),
            Check(
                "distance of the twins' outputs in the second task, largest, relative to the noise of outputs",
                float(differing.max()) / noise_size,
                at_least=2.0,
            ),
            Check(
                "ratio of the twins' losses in the second task, largest", float(ratio(theory.loss).max()), at_least=1.5
            ),
        ),
        {
            "rms of outputs": rms(silent[0]),
            "noise of outputs, rms, twin 1 and 2": f"{sizes[0]:.4f}, {sizes[1]:.4f}",
            "epochs until outputs of the twins differ by the noise": float(noticed),
            "twins with opposite sigma_zv: noise of outputs, rms": f"{other_sizes[0]:.4f}, {other_sizes[1]:.4f}",
        },
        {**SETTINGS, "c* of the second task": SECOND_DECAY, "neurons": neurons, "trials": trials, "epochs": epochs}
        | {"sigma_mu of the twins": f"+-{DIFFERENT}", "noise of neurons, times sqrt(dt)": noise},
        (
            "The source at hand gives neither the twins' overlaps, nor the second task, nor the strength of the noise: "
            "these were taken. The loss-visible overlaps are those on which learning of the first task ends.",
        ),
    )


def state(d: symlow.DerivedSystem, **changed: float) -> np.ndarray:
    """The overlaps of a network that does the first task."""
    known = {**FUNCTION, "m_u": 0.0, "z_v": 0.0, **changed}
    return np.array([known[name] for name in d.overlaps])


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def ratio(losses: np.ndarray) -> np.ndarray:
    return np.maximum(losses[:, 0] / losses[:, 1], losses[:, 1] / losses[:, 0])
