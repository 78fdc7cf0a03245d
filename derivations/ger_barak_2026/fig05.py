"""The linear theory, and the values on which learning ends.

A linear network of rank 1 learns the filter a* exp(-c* t). The ten overlap equations are those of the network of N
neurons, trained by backpropagation. Whatever the initial weights, learning ends where sigma_zm = a*,
sigma_zu sigma_vm = a* (1 - c*) and sigma_vu = 1 - c*, and the loss with them at zero; sigma_zu and sigma_vm for
themselves, and the loss-invisible overlaps, end where their beginning and the conserved K = |m|^2 + |u|^2 - |v|^2 -
|z|^2 take them. In steps of dt the last three values have (exp(-c* dt) - 1 + dt) / dt in the place of 1 - c*.
"""

from __future__ import annotations

import numpy as np
from ger_barak import (
    BLACK,
    EPOCHS,
    INVISIBLE,
    LR,
    NEURONS,
    SCALE,
    SETTINGS,
    UNKNOWN_START,
    VISIBLE,
    at,
    derivation,
    label,
    legend,
    panels,
    start,
    symbol,
)

import symlow
from symlow.initial import overlaps_of_weights, sample_weights
from symlow.protocols import Phase, train_protocol
from symlow.reproduction import Check, Outcome

A_STAR, C_STAR, DT = 1.0, 0.2, 0.05
LONG = 20_000


def run(quick: bool) -> Outcome:
    neurons, trained, seeds = (40, 15, 3) if quick else (NEURONS, EPOCHS, 12)
    d = derivation()
    starts = np.stack([start(d, seed, NEURONS) for seed in range(seeds)])
    theory = symlow.learn(d, starts, LR, EPOCHS)

    weights = sample_weights(d, neurons, SCALE, 0)
    beside = symlow.learn(d, overlaps_of_weights(d, weights), LR, trained)
    network = train_protocol(weights, [Phase(d, trained, LR)])
    gap = float(np.abs(beside.sigma - network.sigma).max())

    last = (np.exp(-C_STAR * DT) - 1 + DT) / DT
    ends = {"z_m": A_STAR, "z_u v_m": A_STAR * last, "v_u": last}
    limits = {"z_m": A_STAR, "z_u v_m": A_STAR * (1 - C_STAR), "v_u": 1 - C_STAR}
    reached = products(d, theory.sigma)
    longer = symlow.learn(d, theory.sigma[-1], LR, 1 if quick else LONG - EPOCHS, every=500)
    late = products(d, longer.sigma)
    K = at(d, theory.sigma, "m_m", "u_u", "v_v", "z_z") * np.array([1, 1, -1, -1])[:, None, None]
    drift = np.abs(K.sum(axis=0) - K.sum(axis=0)[0]).max()

    figure, axes = panels(4)
    steps = theory.step
    axes[0, 0].plot(steps, theory.loss, color=BLACK, linewidth=0.8)
    axes[0, 0].set_yscale("log")
    label(axes[0, 0], f"loss, {seeds} initial weights", "epoch")
    names = (r"$\sigma_{zm}$", r"$\sigma_{zu}\sigma_{vm}$", r"$\sigma_{vu}$")
    styles = ("-", "--", ":")
    for name, values, style in zip(names, reached.values(), styles, strict=False):
        axes[0, 1].plot(steps, values[:, 0], style, color=VISIBLE, label=name)
        axes[0, 1].plot(steps, values[:, 1:], style, color=VISIBLE, linewidth=0.5, alpha=0.5)
    for value in (A_STAR, 1 - C_STAR):
        axes[0, 1].axhline(value, color="0.8", zorder=0, linewidth=0.8)
    axes[0, 1].set_yticks([0, 0.5, 1 - C_STAR, A_STAR], ["0", "0.5", "1-c*", "a*"])
    label(axes[0, 1], "loss-visible: the same ends", "epoch")
    legend(axes[0, 1])
    for name, style in (("m_u", "-"), ("z_v", "--"), ("v_v", ":")):
        values = at(d, theory.sigma, name)[0]
        axes[0, 2].plot(steps, values[:, 0], style, color=INVISIBLE, label=symbol(name))
        axes[0, 2].plot(steps, values[:, 1:], style, color=INVISIBLE, linewidth=0.5, alpha=0.5)
    label(axes[0, 2], "loss-invisible: as many ends as beginnings", "epoch")
    legend(axes[0, 2])
    some = np.linspace(0, trained, 16).astype(int)
    for overlap, (name, course) in enumerate(zip(d.overlaps, beside.sigma.T, strict=True)):
        colour = VISIBLE if name in d.visible else INVISIBLE
        axes[0, 3].plot(beside.step, course, color=colour, linewidth=1)
        axes[0, 3].plot(some, network.sigma[some, overlap], ".", color=BLACK, markersize=4)
    label(axes[0, 3], f"lines: equations; dots: {neurons} neurons", "epoch")
    checks = [
        Check("largest distance of an overlap of the network from the equations, all epochs", gap, at_most=1e-11),
        Check(f"largest loss after {EPOCHS} epochs", float(theory.loss[-1].max()), at_most=1e-4),
        Check("largest change of K by steps of this length", float(drift), at_most=1e-3),
        Check("spread of m_u over the ends", float(np.ptp(at(d, theory.sigma[-1], "m_u"))), at_least=0.1),
    ]
    checks += [
        Check(f"{name} after {EPOCHS} epochs, distance from {limits[name]:g}", worst(reached[name], limits[name]), 0.02)
        for name in ends
    ]
    if not quick:
        checks += [
            Check(f"{name} after {LONG} epochs, distance from {ends[name]:.5f}", worst(late[name], ends[name]), 1e-4)
            for name in ends
        ]
    spread = {f"spread of {name} over the ends": float(np.ptp(reached[name][-1])) for name in ("z_u", "z_u v_m")}
    return Outcome(
        figure,
        tuple(checks),
        {f"{name} after {EPOCHS} epochs, mean": float(reached[name][-1].mean()) for name in ends} | spread,
        {**SETTINGS, "epochs": EPOCHS, "neurons": neurons, "epochs of the network": trained, "initial weights": seeds},
        (UNKNOWN_START,),
    )


def products(d: symlow.DerivedSystem, sigma: np.ndarray) -> dict[str, np.ndarray]:
    """What the ends of learning are stated of."""
    z_m, z_u, v_m, v_u = at(d, sigma, "z_m", "z_u", "v_m", "v_u")
    return {"z_m": z_m, "z_u v_m": z_u * v_m, "v_u": v_u, "z_u": z_u}


def worst(course: np.ndarray, end: float) -> float:
    """The largest distance of the last values from one."""
    return float(np.abs(course[-1] - end).max())
