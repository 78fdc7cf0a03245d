"""Memory over A-B-A-B: the function returns, the loss-invisible overlaps do not.

A linear network learns filter A, filter B, A again, B again, and A. Each time A is learned the loss-visible overlaps
come back to where they were when A was learned first, and with them what the network does. The loss-invisible ones do
not come back: each round of B and A moves them on by about as much as the round before, so that they tell how often B
has been learned since. This is no effect of the length of steps: with steps a quarter as long, and four times as many,
they move as far.
"""

from __future__ import annotations

import numpy as np
from ger_barak import (
    BLACK,
    EPOCHS,
    INVISIBLE,
    LR,
    NEURONS,
    SETTINGS,
    VISIBLE,
    at,
    compiled,
    derivation,
    first_task_state,
    label,
    legend,
    panels,
    realised,
    rounds,
    symbol,
)

from symlow.protocols import Phase, overlap_distance, run_protocol, train_protocol
from symlow.reproduction import Check, Outcome


def run(quick: bool) -> Outcome:
    epochs, neurons, trained = (1200, 40, 6) if quick else (EPOCHS, NEURONS, EPOCHS // 2)
    d = derivation()
    begin = first_task_state(d, 1.0, 2.5)
    theory = run_protocol(begin, rounds(epochs, LR), every=20)
    short = [Phase(phase.derivation, trained, LR) for phase in rounds(epochs, LR)[:3]]
    network = train_protocol(realised(d, begin, 0, neurons), short, every=20)
    beside = run_protocol(begin, short, every=20)
    gap = float(np.abs(network.sigma - beside.sigma).max())

    ends = theory.ends[0::2]
    visible, invisible = overlap_distance(d, ends[1:], ends[0])
    moved = overlap_distance(d, ends[1:], ends[:-1])[1]
    responses = compiled(d).outputs(ends, impulse())
    differing = float(np.abs(responses - responses[0]).max() / np.abs(responses[0]).max())
    checks = [
        Check("distance of the loss-visible overlaps at the ends of A from the first, largest", visible.max(), 1e-3),
        Check("difference of the filters learned, relative to their largest value", differing, 1e-3),
        Check(
            "loss-invisible distance at the end of the second A, over the visible one",
            invisible[0] / visible[0],
            None,
            20 if quick else 50,
        ),
        Check("loss-invisible distance that a round adds, second over first", moved[1] / moved[0], 1.1, 0.9),
        Check("networks beside the equations in A, B, A, largest distance of an overlap", gap, 1e-11),
    ]
    if not quick:
        fine = run_protocol(begin, rounds(4 * epochs, LR / 4)[:3], every=4 * epochs)
        far = overlap_distance(d, fine.ends[2], fine.ends[0])[1]
        checks.append(Check("loss-invisible distance of a round, in steps a quarter as long", far / moved[0], 1.1, 0.9))

    figure, axes = panels(4)
    axes[0, 0].plot(theory.step, theory.loss, color=BLACK, linewidth=0.9)
    axes[0, 0].set_yscale("log")
    label(axes[0, 0], "loss of the phase's task", "epoch")
    for panel, names, colour, title in (
        (axes[0, 1], ("z_m", "z_u", "v_u"), VISIBLE, "loss-visible overlaps"),
        (axes[0, 2], ("m_u", "m_m", "u_u"), INVISIBLE, "loss-invisible overlaps"),
    ):
        for name, style in zip(names, ("-", "--", ":"), strict=True):
            panel.plot(theory.step, at(d, theory.sigma, name)[0], style, color=colour, label=symbol(name))
        label(panel, title, "epoch")
        legend(panel)
    for panel in axes[0, :3]:
        for k, name in enumerate(theory.labels):
            panel.axvspan(k * epochs, (k + 1) * epochs, color="0.93" if k % 2 else "white", zorder=0)
            panel.text((k + 0.5) * epochs, 1.0, name, transform=panel.get_xaxis_transform(), fontsize=8, va="top")
    rest = overlap_distance(d, theory.sigma[theory.part(2).start :], ends[0])
    steps = theory.step[theory.part(2).start :]
    axes[0, 3].plot(steps, rest[0], color=VISIBLE, label="loss-visible")
    axes[0, 3].plot(steps, rest[1], color=INVISIBLE, label="loss-invisible")
    axes[0, 3].set_yscale("log")
    label(axes[0, 3], "distance from the end of the first A", "epoch")
    legend(axes[0, 3], loc="center left", bbox_to_anchor=(0.37, 0.3))
    return Outcome(
        figure,
        tuple(checks),
        {"loss-invisible distance that each round adds": ", ".join(f"{value:.4f}" for value in moved)},
        {**SETTINGS, "c* of B": rounds(1, LR)[1].derivation.spec.task.decay, "epochs of a phase": epochs}
        | {"neurons": neurons, "epochs of a phase of the network": trained},
        (
            "The source at hand gives neither B nor the initial overlaps. Taken: an initial state that does A already, "
            "with squared norms of 2.5, and that is the same if m and z, u and v change places; so it stays, and "
            "sigma_zu and sigma_vm, whose product alone A fixes, return one by one.",
        ),
    )


def impulse() -> np.ndarray:
    x = np.zeros((1, 400, 1))
    x[0, 0, 0] = 20.0
    return x
