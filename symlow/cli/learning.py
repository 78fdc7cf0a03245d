"""Commands that integrate learning: ``learn``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from symlow.cli.terminal import Force, SpecFile, check_outputs, progress, say
from symlow.errors import LearningError, listing

if TYPE_CHECKING:
    from symlow.learning_run import LearningRun


def learn(
    spec: SpecFile,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help=".npz file or .zarr folder, written while learning goes on.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture to write: .png, .svg or .pdf.")] = None,
    lr: Annotated[str, typer.Option(metavar="NUMBER[,...]", help="Learning rate, or one for each history.")] = "0.005",
    steps: Annotated[int, typer.Option(help="Number of steps.")] = 2000,
    method: Annotated[
        Literal["step", "flow"], typer.Option(help="Finite steps of gradient descent, or gradient flow by solve_ivp.")
    ] = "step",
    initial: Annotated[
        Path | None,
        typer.Option(
            help=".npz file with sigma, of one or many states, or an array for each vector; default: sampled."
        ),
    ] = None,
    states: Annotated[
        int | None, typer.Option(metavar="K", help="Sample K initial states, with the seeds SEED to SEED + K - 1.")
    ] = None,
    neurons: Annotated[int, typer.Option(help="N of the sampled weights.")] = 500,
    scale: Annotated[float, typer.Option(help="Standard deviation of the sampled weights.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the sampled weights, and of trials that the task draws.")] = 0,
    trials: Annotated[
        Path | None, typer.Option(help=".npz file with x, y and mask, for tasks of trials, or in place of drawn ones.")
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=NUMBER[,...]",
            help="Another value than the specification's, such as task.decay=0.3, or one for each history.",
        ),
    ] = None,
    every: Annotated[int, typer.Option(help="Record each step whose number it divides, and the last.")] = 1,
    stop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER",
            help="End a history whose loss, or relative change of overlaps per unit of lr (change), is less; "
            "patience=K: at K records in a row.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run of the same output.")] = False,
    backend: Annotated[
        Literal["numpy", "numba", "jax", "auto"],
        typer.Option(help="What evaluates the generated equations; auto: the fastest that is installed."),
    ] = "numpy",
    force: Force = False,
) -> None:
    """Integrate learning, of one history or many.

    Overlaps are given or sampled; many histories advance together. The course is saved and plotted.

    Example: symlow learn derivations/ger_barak_2026/rank1_linear.toml -o run.npz --plot run.png

    Many: symlow learn derivations/ger_barak_2026/rank1_linear.toml --states 100 --every 50 --stop loss=1e-6
    """
    import numpy as np

    from symlow.initial import load_initial, overlaps_of_weights, sample_weights
    from symlow.learn import learn as run_learning
    from symlow.plot import check_figure, plot_learning, save_figure
    from symlow.run_files import check_target
    from symlow.tasks.trials import load_trials
    from symlow.views import derive_file

    inputs = [spec, initial, trials]
    folder = output is not None and output.is_dir()  # of a run that may be replaced, or resumed
    check_outputs([None if folder else output, plot], inputs, force or resume)
    if output is not None:
        check_target(output, force or resume)
    if plot is not None:
        check_outputs([plot], inputs, force)
        check_figure(plot)
    rates = _numbers("--lr", lr)
    given = dict(_named("--set", text) for text in parameters or [])
    bounds = {name: _one("--stop", name, values) for name, values in (_named("--stop", text) for text in stop or [])}
    derivation = derive_file(spec)
    module = derivation.compile(backend)
    if backend == "auto":
        say(f"backend: {module.BACKEND}")
    arrays = None if trials is None else load_trials(trials, derivation.loss.inputs, derivation.loss.outputs)
    seeds: object = seed
    if initial is not None:
        if states is not None:
            raise LearningError("--states: found it with --initial, which holds the states; accepted: one of them")
        sigma = load_initial(initial, derivation)
    elif states is None:
        sigma = overlaps_of_weights(derivation, sample_weights(derivation, neurons, scale, seed))
    else:
        if states < 1:
            raise LearningError(f"--states: found {states}; accepted: an integer >= 1")
        seeds = np.arange(seed, seed + states)
        sampled = (sample_weights(derivation, neurons, scale, int(k)) for k in range(seed, seed + states))
        sigma = np.stack([overlaps_of_weights(derivation, weights) for weights in sampled])
    try:
        run = run_learning(
            derivation,
            sigma,
            rates,
            steps,
            arrays,
            method,
            module,
            progress("learning"),
            seeds,
            parameters=given,
            every=every,
            stop=bounds or None,
            output=output,
            resume=resume,
            overwrite=force,
        )
    except KeyboardInterrupt:
        if output is None:
            raise
        raise KeyboardInterrupt("the same command with --resume goes on from the last block") from None
    drawn = arrays is None and method == "step" and getattr(derivation.spec.task, "data", "fixed") == "fresh"
    print_losses(run, steps, ", each loss on its own trials" if drawn else "")
    print_drift(run)
    if output is not None:
        say(f"wrote {output}")
    if plot is not None:
        say(f"wrote {save_figure(plot_learning(run), plot, force)}")


def _numbers(option: str, text: str) -> float | list[float]:
    """Return the number that an option has, or the list of those that commas divide."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise LearningError(f"{option}: found {text!r}; accepted: a number, or numbers with commas between") from None
    return numbers if len(numbers) > 1 else numbers[0]


def _named(option: str, text: str) -> tuple[str, float | list[float]]:
    name, sign, values = text.partition("=")
    if not (name and sign):
        raise LearningError(f"{option}: found {text!r}; accepted: a name, = and a number, such as loss=1e-6")
    return name, _numbers(f"{option} {name}", values)


def _one(option: str, name: str, values: float | list[float]) -> float | int:
    if isinstance(values, list):
        raise LearningError(f"{option} {name}: found {len(values)} numbers; accepted: one for all histories")
    return int(values) if name == "patience" and values.is_integer() else values


def print_losses(run: LearningRun, steps: int, fresh: str) -> None:
    """Say how the loss has changed, of many histories their mean, and why these stopped."""
    import numpy as np

    from symlow.stopping import DIVERGED, REASONS, TOOK_ALL

    reasons = np.atleast_1d(run.reason)
    kept = reasons != DIVERGED
    first, last = (np.atleast_1d(np.asarray(run.loss[at]))[kept].mean() for at in (0, -1))
    rates = np.unique(run.lr)
    lr = f"{rates[0]:g}" if len(rates) == 1 else f"{rates[0]:g} to {rates[-1]:g}"
    say(f"loss {first:.6g} -> {last:.6g} in {steps} steps at lr = {lr} ({run.method}){fresh}")
    if run.reason.ndim:
        counts = [f"{(reasons == reason).sum()} {reason}" for reason in REASONS if (reasons == reason).any()]
        mean = "the mean of all" if kept.all() else "the mean of those that did not diverge"
        say(f"{len(reasons)} histories, of whose losses these are {mean}: {listing(counts)}")
    elif run.reason != TOOK_ALL:
        say(f"{run.reason} at step {run.stopped}")


def print_drift(run: LearningRun) -> None:
    """Say in a line or two how far what gradient flow conserves has drifted."""
    import numpy as np

    if not run.conserved:
        return
    # The largest of either sign, nan of histories that diverged left out, without a copy of a long array.
    drift = np.asarray(run.drift).reshape(-1, len(run.conserved))
    largest = np.maximum(np.abs(np.fmax.reduce(drift)), np.abs(np.fmin.reduce(drift)))
    shown = listing((f"{i.name} {d:.1e}" for i, d in zip(run.conserved, largest, strict=True)), limit=6)
    say(f"conserved by gradient flow, largest drift relative to what the norms at the start allow: {shown}")
    if run.method == "step" and not all(invariant.is_kept_by_steps for invariant in run.conserved):
        say("(a step of descent changes them by an amount of order lr^2: over the same time of the flow, of order lr)")
