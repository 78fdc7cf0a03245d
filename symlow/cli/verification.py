"""Commands that compare the theory with networks of N neurons: ``verify`` and ``drift``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symlow.cli.terminal import Force, SpecFile, check_outputs, console, progress, say

if TYPE_CHECKING:
    from symlow.certificate import Certificate, Measurement


def verify(
    spec: SpecFile,
    neurons: Annotated[
        int | None, typer.Option(help="Neurons of the full network; default: 24, or 600 if it is nonlinear.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Steps of gradient descent; default: 20, or 100 if it is nonlinear.")
    ] = None,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 0.02,
    seed: Annotated[int, typer.Option(help="Seed of the initial weights.")] = 0,
    certificate: Annotated[Path | None, typer.Option("-o", "--certificate", help="JSON file to write.")] = None,
    force: Force = False,
) -> None:
    """Check the generated module against the full network of neurons.

    The network is trained with finite-difference gradients. Of a nonlinear one the flow is checked against networks of
    up to 16000 neurons and of infinite width, and the drift of the closure over a learning run is measured.

    Example: symlow verify derivations/ger_barak_2026/rank1_linear.toml -o certificate.json
    """
    from symlow.verify import verify as run_verification
    from symlow.views import derive_file

    check_outputs([certificate], [spec], force)
    derivation = derive_file(spec)
    result = run_verification(derivation, neurons, steps, lr, seed, track=progress("training"))
    _print_certificate(result)
    if certificate is not None:
        say(f"wrote {result.save(certificate, force)}")
    if not result.passed:
        raise typer.Exit(1)


def _print_certificate(certificate: Certificate) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"{certificate.name}: the generated module compared", title_justify="left")
    for column, justify in (("compared", "left"), ("found", "right"), ("bound", "right"), ("verdict", "left")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for check in certificate.checks:
        verdict = f"[{'green' if check.passed else 'bold red'}]{check.verdict}[/]"
        table.add_row(escape(check.name), f"{check.error:.1e}", f"{check.bound:.1e}", verdict)
    console().print(table, highlight=False)
    if certificate.measurements:
        _print_measurements(certificate.measurements)
    for statement in certificate.statements:
        say(f"{statement.validity}: {statement.text}")
    passed = sum(check.passed for check in certificate.checks)
    say(f"{passed} of {len(certificate.checks)} checks passed")


def _print_measurements(measurements: Sequence[Measurement]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="measured", title_justify="left")
    for column, justify in (("what", "left"), ("figure", "right"), ("how to read it", "left")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for measurement in measurements:
        table.add_row(escape(measurement.name), f"{measurement.value:.3g}", escape(measurement.meaning))
    console().print(table, highlight=False)


def drift(
    spec: SpecFile,
    output: Annotated[Path | None, typer.Option("-o", "--output", help=".npz file to write.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture to write: .png, .svg or .pdf.")] = None,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 0.01,
    steps: Annotated[int, typer.Option(help="Number of steps.")] = 200,
    neurons: Annotated[int, typer.Option(help="Number N of neurons.")] = 600,
    scale: Annotated[float, typer.Option(help="Standard deviation of the sampled weights.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the sampled weights, and of trials that the task draws.")] = 0,
    batch: Annotated[int | None, typer.Option(help="Trials drawn for a step; default: as the specification.")] = None,
    trials: Annotated[Path | None, typer.Option(help=".npz file with x, y and mask, for tasks of trials.")] = None,
    force: Force = False,
) -> None:
    """Train a network of neurons beside the theory. Both have the same trials; tells how far they drift apart.

    Example: symlow drift derivations/ger_barak_2026/rank1_erf_flip_flop.toml --batch 16 --plot drift.png
    """
    from symlow.closure import drift_measurements
    from symlow.drift import drift as run_drift
    from symlow.drift import drift_trials
    from symlow.initial import sample_weights
    from symlow.plot import check_figure, plot_drift, save_figure
    from symlow.tasks.trials import load_trials
    from symlow.views import derive_file

    check_outputs([output, plot], [spec, trials], force)
    if plot is not None:
        check_figure(plot)
    derivation = derive_file(spec)
    weights = sample_weights(derivation, neurons, scale, seed)
    given = None if trials is None else load_trials(trials, derivation.loss.inputs, derivation.loss.outputs)
    by_step = drift_trials(derivation, seed, batch, given)
    run = run_drift(derivation, weights, lr, steps, by_step, track=progress("training"))
    _print_measurements(drift_measurements(run))
    if output is not None:
        say(f"wrote {run.save(output, force)}")
    if plot is not None:
        say(f"wrote {save_figure(plot_drift(run), plot, force)}")
