"""Commands that integrate learning: ``learn``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from symlow.cli.terminal import Force, SpecFile, check_outputs, progress, say
from symlow.errors import listing

if TYPE_CHECKING:
    from symlow.learning_run import LearningRun


def learn(
    spec: SpecFile,
    output: Annotated[Path | None, typer.Option("-o", "--output", help=".npz file to write.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture to write: .png, .svg or .pdf.")] = None,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 0.005,
    steps: Annotated[int, typer.Option(help="Number of steps.")] = 2000,
    method: Annotated[
        Literal["step", "flow"], typer.Option(help="Finite steps of gradient descent, or gradient flow by solve_ivp.")
    ] = "step",
    initial: Annotated[
        Path | None, typer.Option(help=".npz file with sigma, or an array for each vector; default: sampled.")
    ] = None,
    neurons: Annotated[int, typer.Option(help="N of the sampled weights.")] = 500,
    scale: Annotated[float, typer.Option(help="Standard deviation of the sampled weights.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the sampled weights, and of trials that the task draws.")] = 0,
    trials: Annotated[
        Path | None, typer.Option(help=".npz file with x, y and mask, for tasks of trials, or in place of drawn ones.")
    ] = None,
    force: Force = False,
) -> None:
    """Integrate learning from given or sampled initial overlaps; save and plot it.

    Example: `symlow learn derivations/ger_barak_2026/rank1_linear.toml -o run.npz --plot run.png`
    """
    from symlow.initial import load_initial, overlaps_of_weights, sample_weights
    from symlow.learn import learn as run_learning
    from symlow.plot import check_figure, plot_learning, save_figure
    from symlow.tasks.trials import load_trials
    from symlow.views import derive_file

    check_outputs([output, plot], [spec, initial, trials], force)
    if plot is not None:
        check_figure(plot)
    derivation = derive_file(spec)
    module = derivation.compile()
    arrays = None if trials is None else load_trials(trials, derivation.loss.inputs, derivation.loss.outputs)
    if initial is not None:
        sigma = load_initial(initial, derivation, module)
    else:
        sigma = overlaps_of_weights(derivation, sample_weights(derivation, neurons, scale, seed))
    run = run_learning(derivation, sigma, lr, steps, arrays, method, module, progress("learning"), seed)
    drawn = arrays is None and method == "step" and getattr(derivation.spec.task, "data", "fixed") == "fresh"
    fresh = ", each loss on its own trials" if drawn else ""
    say(f"loss {run.loss[0].mean():.6g} -> {run.loss[-1].mean():.6g} in {steps} steps at lr = {lr:g} ({method}){fresh}")
    _print_drift(run)
    if output is not None:
        say(f"wrote {run.save(output, force)}")
    if plot is not None:
        say(f"wrote {save_figure(plot_learning(run), plot, force)}")


def _print_drift(run: LearningRun) -> None:
    """Say in a line or two how far what gradient flow conserves has drifted."""
    import numpy as np

    if not run.conserved:
        return
    drift = np.abs(run.drift).reshape(-1, len(run.conserved)).max(axis=0)
    shown = listing((f"{i.name} {d:.1e}" for i, d in zip(run.conserved, drift, strict=True)), limit=6)
    say(f"conserved by gradient flow, largest drift relative to what the norms at the start allow: {shown}")
    if run.method == "step" and not all(invariant.is_kept_by_steps for invariant in run.conserved):
        say("(a step of descent changes them by an amount of order lr^2: over the same time of the flow, of order lr)")
