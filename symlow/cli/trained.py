"""Commands that start from trained networks: ``overlaps``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from symlow.cli.learning import print_drift, print_losses
from symlow.cli.terminal import Force, SpecFile, check_outputs, colour_of, console, progress, say
from symlow.errors import LearningError

if TYPE_CHECKING:
    from symlow.arrays import FloatArray, Trials
    from symlow.trained import Trained
    from symlow.views import DerivedSystem


def overlaps(
    weights: Annotated[
        Path, typer.Argument(metavar="WEIGHTS", help="Trained network: .npz, .npy or PyTorch file.", show_default=False)
    ],
    spec: SpecFile,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="NAME=VECTOR", help="The vector that an array is; default: its own, or m=U n=V wi=M wo=Z."
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="An array, or all inside a dictionary, to leave out.")
    ] = None,
    recurrent: Annotated[
        Literal["W/N", "W"] | None,
        typer.Option(help="Whether the file's code divides recurrent weights by N; default: as SPEC does."),
    ] = None,
    readout: Annotated[
        Literal["y/N", "y"] | None,
        typer.Option(help="Whether the file's code divides the output by N; default: as SPEC does."),
    ] = None,
    axis: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=0|1", help="Axis of an array that neurons run along, where its shape does not tell."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help=".npz file or .zarr folder for the predicted learning.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of it to write: .png, .svg or .pdf.")] = None,
    lr: Annotated[float, typer.Option(help="Learning rate of the prediction, at the rates of SPEC.")] = 0.005,
    steps: Annotated[int, typer.Option(help="Number of steps of learning to predict; 0: none.")] = 2000,
    method: Annotated[
        Literal["step", "flow"], typer.Option(help="Finite steps of gradient descent, or gradient flow by solve_ivp.")
    ] = "step",
    seed: Annotated[int, typer.Option(help="Seed of trials that the task draws.")] = 0,
    trials: Annotated[
        Path | None, typer.Option(help=".npz file with x, y and mask, for tasks of trials, or in place of drawn ones.")
    ] = None,
    force: Force = False,
) -> None:
    """Read a trained network and report its overlaps.

    Also how Gaussian it is, its loss, and the learning that is predicted from there. A state_dict is read without
    PyTorch; nothing that a file says is run.

    Example: symlow overlaps trained.pt derivations/ger_barak_2026/rank1_erf_flip_flop.toml --steps 0
    """
    import numpy as np

    from symlow.initial import check_overlaps, overlaps_of_weights, stacked_weights
    from symlow.plot import check_figure
    from symlow.run_files import check_target
    from symlow.tasks.trials import load_trials
    from symlow.trained import load_weights
    from symlow.views import derive_file

    if steps < 0:
        raise LearningError(f"--steps: found {steps}; accepted: an integer >= 0")
    if steps == 0 and (output is not None or plot is not None):
        raise LearningError("--steps: found 0 with --output or --plot, of learning; accepted: at least 1")
    folder = output is not None and output.is_dir()  # of a run that may be replaced
    check_outputs([None if folder else output, plot], [weights, spec, trials], force)
    if output is not None:
        check_target(output, force)
    if plot is not None:
        check_figure(plot)
    derivation = derive_file(spec)
    given = None if trials is None else load_trials(trials, derivation.loss.inputs, derivation.loss.outputs)
    axes = {name: _axis(name, side) for name, side in (_pair("--axis", text, "wi=1") for text in axis or [])}
    mapped = dict(_pair("--map", text, "wi=M") for text in names or [])
    trained = load_weights(weights, derivation, mapped, ignore or [], recurrent, readout, axes)
    P = stacked_weights(derivation, trained.weights)
    sigma = check_overlaps(overlaps_of_weights(derivation, P), derivation)
    _print_sources(derivation, trained, len(P))
    _print_overlaps(derivation, sigma)
    with np.errstate(over="ignore", invalid="ignore"):  # what is beyond the largest number is printed as inf or nan
        _print_columns(derivation, P)
    if not _has_loss(derivation, given):
        say("loss and learning: not known, for the task has no trials of its own; give them with --trials")
        return
    with np.errstate(over="ignore", invalid="ignore"):
        _print_loss(derivation, P, sigma, seed, given)
    if steps:
        _predict(derivation, trained, sigma, (lr, steps, method, seed), given, output, plot, force)


def _pair(option: str, text: str, example: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not (name and value):
        raise LearningError(f"{option}: found {text!r}; accepted: two names with = between, such as {example}")
    return name, value


def _axis(name: str, side: str) -> int:
    if side not in ("0", "1"):
        raise LearningError(f"--axis {name}: found {side!r}; accepted: 0 or 1")
    return int(side)


def _print_sources(derivation: DerivedSystem, trained: Trained, neurons: int) -> None:
    """Say which array each vector is, what it was multiplied by, and what was left out."""
    parts, first = [], 1
    together = len(trained.sources) > 1 and len(set(trained.sources.values())) == 1  # side by side in one array
    for name, source in trained.sources.items():
        factor, last = trained.factors[name], first + trained.weights[name].shape[1] - 1
        columns = f", column{f's {first} to {last}' if last > first else f' {first}'}" if together else ""
        parts.append(f"{name.upper()} = {source}{columns}" + (f" * {factor:g}" if factor != 1 else ""))
        first = last + 1
    say(f"{neurons} neurons: {('; ' if together else ', ').join(parts)}")
    _print_scaling(derivation, trained)
    if trained.scalings:
        say(f"multiplied into the columns that they scale: {', '.join(trained.scalings)}")
    if trained.left_out:
        say(f"left out: {trained.left_out_in_short}")
    rates, rule = trained.rates(derivation), derivation.rule
    # What decays or is cut, and errors that are sent back through other vectors, are not scaled as gradients are.
    if not rates or rule.weight_decay or rule.clip or rule.has_feedback:
        return
    base = next(iter(rates.values()))
    others = ", ".join(f"{name} = {rate / base:.10g}" for name, rate in rates.items() if rate != base)
    say(
        f"gradient descent of the file's own arrays at the rate eta is, here, lr = {base:.10g} eta"
        + (f" with [learning] rates = {{ {others} }}" if others else "")
        + (f", were {' and '.join(trained.scalings)} one" if trained.scalings else "")
    )


def _print_scaling(derivation: DerivedSystem, trained: Trained) -> None:
    """Say what the file's code was taken to divide by N, what else it can do, and where its arrays look like that."""
    from symlow.trained import SCALES

    averages = derivation.network.equations.averages
    others = {what: choices[averages] for what, choices in SCALES.items()}
    open_ones = [f"--{what} {others[what]}" for what in trained.by_default]
    hint = f" ({', '.join(open_ones)} for code that {'does not divide' if averages else 'divides'})" * bool(open_ones)
    say(f"taken as {trained.recurrent} and {trained.readout}{hint}")
    for what in trained.like_undivided:
        say(
            f"its {what} arrays have mean squares of the order of 1/N, as in code that does not divide: if it is such, "
            f"--{what} {others[what]}"
        )


def _print_overlaps(derivation: DerivedSystem, sigma: FloatArray) -> None:
    """Print the overlaps, loss-visible ones first, and the ranges that twins have of the others."""
    from rich.table import Table

    from symlow.twins import feasible_ranges

    ranges = feasible_ranges(derivation, sigma)
    table = Table(title="overlaps", title_justify="left")
    for column, justify in (("overlap", "left"), ("value", "right"), ("kind", "left"), ("range, others kept", "left")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for name, value in zip(derivation.overlaps, sigma, strict=True):
        visible = name in derivation.visible
        kind = f"[{colour_of(visible)}]{'loss-visible' if visible else 'loss-invisible'}[/]"
        table.add_row(name, f"{value:.6g}", kind, _range(*ranges[name]) if name in ranges else "")
    console().print(table, highlight=False)


def _range(low: float, high: float) -> str:
    return f"{low:.4g} or more" if high == float("inf") else f"{low:.4g} to {high:.4g}"


def _print_columns(derivation: DerivedSystem, P: FloatArray) -> None:
    """Print mean, spread and Gaussianity of each column over its neurons."""
    from rich.table import Table

    from symlow.drift import gaussianity
    from symlow.initial import population_parts

    kurtosis, quantiles = gaussianity(derivation, P)
    columns = derivation.reduction.index.columns
    table = Table(title="columns over neurons (Gaussian: kurtosis 0, QQ correlation 1)", title_justify="left")
    for heading in ("column", "mean", "standard deviation", "excess kurtosis", "QQ correlation"):
        table.add_column(heading, justify="left" if heading == "column" else "right")
    for _, rows, places in population_parts(derivation, len(P)):
        for k in places:
            entries = P[rows, k]
            if columns[k].vector not in derivation.network.ones and entries.any():
                numbers = (f"{entries.mean():.4g}", f"{entries.std():.4g}", f"{kurtosis[k]:.3g}", f"{quantiles[k]:.4f}")
                table.add_row(columns[k].label, *numbers)
    console().print(table, highlight=False)


def _has_loss(derivation: DerivedSystem, given: Trials | None) -> bool:
    from symlow.spec_trials import GeneratedTask
    from symlow.tasks.filters import FilterLoss

    return (
        given is not None or isinstance(derivation.loss, FilterLoss) or isinstance(derivation.spec.task, GeneratedTask)
    )


def _print_loss(derivation: DerivedSystem, P: FloatArray, sigma: FloatArray, seed: int, given: Trials | None) -> None:
    """Say the loss of the reduced network and, where there are trials to run it on, of the neurons themselves."""
    from symlow.drift import drift_trials, has_no_network
    from symlow.simulate import FullNetwork
    from symlow.tasks.filters import FilterLoss

    loss, module = derivation.loss, derivation.compile()
    if given is None and isinstance(loss, FilterLoss) and loss.steps is None:
        say(f"loss: {float(module.loss(sigma)):.6g} by the overlaps")
        return
    batch = drift_trials(derivation, seed, None, given)(0)
    text = f"loss: {float(module.loss(sigma, batch)):.6g} by the overlaps"
    if not has_no_network(derivation):
        network = FullNetwork(derivation.network, loss.reduction, float(loss.factor))
        text += f", {float(network.loss(P, batch)):.6g} of the neurons"
    say(text + ("" if isinstance(loss, FilterLoss) and given is None else f", on {len(batch[0])} trials"))


def _predict(
    derivation: DerivedSystem,
    trained: Trained,
    sigma: FloatArray,
    numbers: tuple[float, int, Literal["step", "flow"], int],
    given: Trials | None,
    output: Path | None,
    plot: Path | None,
    force: bool,
) -> None:
    """Integrate learning from the overlaps of the network, and print where it leads."""
    import numpy as np
    from rich.table import Table

    from symlow.learn import learn
    from symlow.plot import plot_learning, save_figure

    lr, steps, method, seed = numbers
    module = derivation.compile()
    run = learn(
        derivation,
        sigma,
        lr,
        steps,
        given,
        method,
        module,
        progress("learning"),
        seed,
        output=output,
        overwrite=force,
    )
    drawn = given is None and method == "step" and getattr(derivation.spec.task, "data", "fixed") == "fresh"
    print_losses(run, steps, ", each loss on its own trials" if drawn else "")
    last = np.asarray(run.sigma[-1])
    # With the learning rate of each vector as SPEC has it, which need not be that of the file's own arrays.
    say(f"the prediction is at lr = {lr:g} and the rates of SPEC")
    table = Table(title=f"predicted after {steps} steps", title_justify="left")
    for heading in ("overlap", "now", "then", "change"):
        table.add_column(heading, justify="left" if heading == "overlap" else "right")
    for name, before, after in zip(derivation.overlaps, sigma, last, strict=True):
        colour = colour_of(name in derivation.visible)
        table.add_row(f"[{colour}]{name}[/]", f"{before:.6g}", f"{after:.6g}", f"{after - before:+.3g}")
    console().print(table, highlight=False)
    print_drift(run)
    if output is not None:
        say(f"wrote {output}")
    if plot is not None:
        say(f"wrote {save_figure(plot_learning(run), plot, force)}")
