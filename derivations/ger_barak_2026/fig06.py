"""Noise erases the memory.

Two histories of one linear network end with the same function: A alone, and A-B-A-B-A. Their loss-invisible overlaps
differ, and go on to differ while A is learned on without noise, for then nothing moves. With white noise on the
targets of A the loss-invisible overlaps drift along the states that do A, towards one another from both histories:
their distance falls exponentially, until nothing tells any more that B was ever learned.
"""

from __future__ import annotations

import numpy as np
from ger_barak import (
    BLACK,
    EPOCHS,
    GREY,
    INVISIBLE,
    LR,
    SETTINGS,
    VISIBLE,
    at,
    derivation,
    first_task_state,
    label,
    legend,
    panels,
    rounds,
    symbol,
)

from symlow.protocols import Phase, overlap_distance, run_protocol
from symlow.reproduction import Check, Outcome

STARTS, NOISE, NOISY_LR = (0.7, 0.5, 0.3), 0.5, 0.02


def run(quick: bool) -> Outcome:
    epochs, noisy, seeds = (1000, 800, 1) if quick else (EPOCHS, 400_000, 2)
    backend = "numpy" if quick else "auto"
    d = derivation()
    begin = np.stack([first_task_state(d, overlap, 1.7) for overlap in (STARTS[1:2] if quick else STARTS)])
    before = run_protocol(begin, rounds(epochs, LR), every=epochs)
    starts = len(begin)
    both = np.concatenate([before.ends[0], before.ends[4]])
    quiet = run_protocol(both, [Phase(d, noisy, NOISY_LR)], every=noisy // 100, backend=backend)
    courses = [
        run_protocol(
            both, [Phase(d, noisy, NOISY_LR, label_noise=NOISE, seed=seed)], every=noisy // 100, backend=backend
        )
        for seed in range(seeds)
    ]
    apart = np.stack([overlap_distance(d, c.sigma[:, :starts], c.sigma[:, starts:]) for c in courses])
    alone = overlap_distance(d, quiet.sigma[:, :starts], quiet.sigma[:, starts:])[1]
    left = apart[:, 1, -1] / apart[:, 1, 0]
    moved = np.stack([overlap_distance(d, c.sigma[-1], both)[1] for c in courses])

    kept = float((alone[-1] / alone[0]).min())
    late = float((apart[:, 1, -1] / apart[:, 1, -len(courses[0].step) // 5]).max())
    quarter = len(courses[0].step) // 4
    logs = -np.log(apart[:, 1, 2 * quarter :: quarter])
    falls = np.diff(logs, axis=1) / (courses[0].step[quarter] - courses[0].step[0])
    travelled = float((moved.reshape(seeds, 2, starts) / apart[:, None, 1, 0]).min())
    rates = falls[:, 1] / falls[:, 0]
    exponential = (
        ()
        if quick
        else (
            Check("rate of the fall in the last quarter, over that before, least", float(rates.min()), None, 0.8),
            Check("the same, largest", float(rates.max()), 1.25),
        )
    )
    measured: dict[str, float | str] = {
        "distance at the beginning": ", ".join(f"{value:.4f}" for value in apart[0, 1, 0]),
        "with noise, end over beginning": ", ".join(f"{value:.1e}" for value in left.ravel()),
        "epochs in which it falls by a factor of e, last quarter": ", ".join(
            f"{1 / f:.0f}" for f in falls[:, 1].ravel()
        ),
    }
    if seeds > 1:  # noise of its own for each history
        one, other = (course.sigma[-1] for course in courses[:2])
        between, within = (overlap_distance(d, one[:starts], part)[1] for part in (other[starts:], other[:starts]))
        measured["with noise of their own: distance of histories, over that of one history run twice"] = ", ".join(
            f"{ratio:.3f}" for ratio in between / within
        )

    figure, axes = panels(3)
    for k in range(starts):
        for s in range(seeds):
            named = {"label": "with noise"} if k + s == 0 else {}
            axes[0, 0].plot(courses[s].step, apart[s, 1, :, k], color=INVISIBLE, linewidth=1, **named)
        axes[0, 0].plot(quiet.step, alone[:, k], color=BLACK, **({"label": "without noise"} if k == 0 else {}))
    axes[0, 0].set_yscale("log")
    label(axes[0, 0], "invisible distance of A and A-B-A-B-A", "epoch of A after both")
    legend(axes[0, 0])
    for panel, names, colour in ((axes[0, 1], ("m_u", "m_m"), INVISIBLE), (axes[0, 2], ("z_m", "z_u", "v_u"), VISIBLE)):
        for name, style in zip(names, ("-", "--", ":"), strict=False):
            values = at(d, courses[0].sigma, name)[0]
            panel.plot(courses[0].step, values[:, 0], style, color=colour, label=f"{symbol(name)}, A")
            panel.plot(courses[0].step, values[:, starts], style, color=GREY, linewidth=1)
        panel.plot([], [], color=GREY, label="A-B-A-B-A")
        label(panel, "one pair, with noise", "epoch of A after both")
        legend(panel, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return Outcome(
        figure,
        (
            Check("without noise: invisible distance, end over beginning, least", kept, None, 0.95),
            Check("with noise: the same, largest", float(left.max()), 0.9 if quick else 0.05),
            Check("with noise: the last fifth still lessens it, factor", late, 0.99),
            *exponential,
            Check(
                "with noise: how far states have moved, over that distance, least",
                travelled,
                None,
                1.0,
            ),
        ),
        measured,
        {**SETTINGS, "learning rate with noise": NOISY_LR, "noise on targets, rms of a step": NOISE}
        | {"epochs with noise": noisy, "initial states": starts, "seeds of the noise": seeds},
        (
            "The source at hand gives neither kind nor strength of the noise, nor how long it lasts: these were taken.",
            "The distance falls by more than a half in the first 10000 epochs, then exponentially and slowly: noise "
            "moves states in proportion to the square of the learning rate. With twice the noise learning diverged.",
            "Both histories have the same noise on their targets, so that nothing but history tells them apart.",
        ),
    )
