"""The command line: ``symlow new | schema | derive | explain | latex | generate | verify | learn | drift``.

Every error that a user can cause is one line on standard error, with exit code 2; a failed verification or drift of
generated files exits with 1.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from symlow.certificate import Certificate, Measurement
from symlow.closure import drift_measurements
from symlow.drift import drift as run_drift
from symlow.drift import drift_trials
from symlow.errors import FileError, SpecError, SymlowError, listing
from symlow.explain import Explanation
from symlow.files import check_writable, resolved, write_whole
from symlow.generate import SOURCES, differences, generated_files, specifications, write
from symlow.initial import load_initial, overlaps_of_weights, sample_weights
from symlow.invariants.search import ConservedPolynomials
from symlow.learn import LearningRun, Track
from symlow.learn import learn as run_learning
from symlow.plot import check_figure, plot_drift, plot_learning, save_figure
from symlow.scaffold import new_specification
from symlow.spec import Spec
from symlow.tasks.trials import load_trials
from symlow.verify import verify as run_verification
from symlow.version import __version__
from symlow.views import derive_file

app = typer.Typer(
    help="Derive how learning moves the overlaps of low-rank recurrent neural networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console()

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="Specification, a TOML file.", show_default=False)]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]


def main() -> None:
    """Run the command line; an error that a user can cause is one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may not know every letter of a reference
    try:
        app()
    except SymlowError as error:
        _fail(str(error))
    except MemoryError as error:
        _fail(f"out of memory ({error}); use fewer neurons, steps, states or columns")
    except OSError as error:
        _fail(f"{error.filename or 'output'}: {error.strerror or error}")


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(2)


def _version(wanted: bool) -> None:
    if wanted:
        console.print(f"symlow {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the derivation; the file is NAME.toml.", show_default=False)],
    rank: Annotated[int, typer.Option(help="Rank of the network.")] = 1,
    equations: Annotated[bool, typer.Option("--equations", help="Write the network as equations, to change.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write instead.")] = None,
    force: Force = False,
) -> None:
    """Write a commented specification to start from.

    Example: `symlow new my_network --rank 2`, or `symlow new my_network --equations`
    """
    path = output or Path(f"{name}.toml")
    write_whole(path, new_specification(name, rank, equations), force)
    _say(f"wrote {path}; next: symlow derive {path}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of specifications, for editors that complete and check keys.

    Example: `symlow schema > symlow.schema.json`
    """
    sys.stdout.write(json.dumps(Spec.model_json_schema(), indent=2) + "\n")


@app.command()
def derive(spec: SpecFile) -> None:
    """Print the network, its reduction and every overlap's equation.

    Example: `symlow derive derivations/ger_barak_2026/rank1_linear.toml`
    """
    sys.stdout.write(f"{derive_file(spec)}\n")


@app.command()
def explain(
    spec: SpecFile,
    overlap: Annotated[str | None, typer.Argument(help="Name of an overlap, such as v_u; default: all.")] = None,
    invariants: Annotated[
        int | None, typer.Option(metavar="K", help="Show instead all conserved polynomials up to degree K, proved.")
    ] = None,
) -> None:
    """Say why each overlap is loss-visible or loss-invisible, and show its equation term by term.

    Without OVERLAP also what follows: symmetries, what learning conserves and can reach. Takes
    seconds, or with many overlaps a minute or two.

    Example: `symlow explain derivations/ger_barak_2026/rank1_linear.toml v_u`
    """
    derivation = derive_file(spec)
    if invariants is not None:
        _print_invariants(derivation.invariants(invariants))
        return
    if overlap is not None:
        _print_explanation(derivation.explain(overlap))
        return
    report = derivation.closure_report()
    for sentence in report.summary:
        _say(sentence)
    for explanation in report.explanations:
        _say("")
        _print_explanation(explanation)
    _say("")
    _say("Structure, at generic overlaps:")
    try:
        for fact in derivation.structure:
            _say(f"  {fact.kind}: {fact.statement}")
    except SpecError as error:  # all else is known without a module; this is not
        _say(f"  not known, for there is no generated module: {error}")


def _print_invariants(found: ConservedPolynomials) -> None:
    _say(str(found))
    for proof in dict.fromkeys(generator.proof.text for generator in found.generators):
        names = [generator.name for generator in found.generators if generator.proof.text == proof]
        _say(f"Proof of {listing(names)}: {proof}.")


def _print_explanation(explanation: Explanation) -> None:
    kind = "[bold green]loss-visible[/]" if explanation.visible else "[bold magenta]loss-invisible[/]"
    console.print(f"[bold]{explanation.name}[/] = {escape(explanation.meaning)}: {kind}", highlight=False)
    _say(f"  {explanation.reason}")
    if not explanation.terms:
        _say(f"  d {explanation.name}/dt = 0: no trained column of it is moved by a loss gradient")
        return
    _say(f"  d {explanation.name}/dt is the sum of")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    for term in explanation.terms:
        table.add_row(escape(str(term.expression).replace("sigma_", "")), escape(term.reason))
    console.print(table, highlight=False)


@app.command()
def latex(
    spec: SpecFile,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write; default: print.")] = None,
    fragment: Annotated[bool, typer.Option("--fragment", help="The equations alone, for \\\\input.")] = False,
    scalars: Annotated[
        bool | None, typer.Option("--scalars/--blocks", help="Print every scalar equation, or blocks only.")
    ] = None,
    force: Force = False,
) -> None:
    """Write the derivation as a LaTeX document, or as a fragment for one's own.

    Example: `symlow latex derivations/ger_barak_2026/rank1_linear.toml -o rank1.tex`
    """
    _check_outputs([output], [spec], force)
    text = derive_file(spec).latex(fragment, scalars)
    if output is None:
        sys.stdout.write(text)
    else:
        _say(f"wrote {write_whole(output, text, force)}")


@app.command()
def generate(
    specs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[SPEC]...", help="Specifications; default: all below derivations/.", show_default=False
        ),
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of generated files.")] = Path("generated"),
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a file is not up to date.")] = False,
    force: Force = False,
) -> None:
    """Generate the NumPy module and the LaTeX document of specifications.

    Specifications below derivations/ go to the same subfolders of the output folder; others go to it directly.

    Example: `symlow generate derivations/ger_barak_2026/rank1_linear.toml`
    """
    if output.is_file():
        raise FileError(f"{output}: is a file, expected a folder for generated files")
    files = generated_files(specs or specifications(SOURCES), output)
    if check:
        difference = differences(files, output, complete=not specs)
        if difference:
            named = "".join(f" {spec}" for spec in specs or [])
            sys.stdout.write(difference)
            sys.stderr.write(f"generated files have drifted; mend them with: symlow generate{named} -o {output}\n")
            raise typer.Exit(1)
        _say(f"{len(files)} generated files are up to date")
        return
    for file, fresh in write(files, force):
        _say(f"{'wrote' if fresh else 'up to date:'} {file.path}")


@app.command()
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
    """Check the generated module against the full network, trained with finite-difference gradients.

    Of a nonlinear network the flow is checked against networks of up to 16000 neurons and of infinite width, and the
    drift of the closure over a learning run is measured.

    Example: `symlow verify derivations/ger_barak_2026/rank1_linear.toml -o certificate.json`
    """
    _check_outputs([certificate], [spec], force)
    derivation = derive_file(spec)
    result = run_verification(derivation, neurons, steps, lr, seed, track=_progress("training"))
    _print_certificate(result)
    if certificate is not None:
        _say(f"wrote {result.save(certificate, force)}")
    if not result.passed:
        raise typer.Exit(1)


def _print_certificate(certificate: Certificate) -> None:
    table = Table(title=f"{certificate.name}: the generated module compared", title_justify="left")
    for column, justify in (("compared", "left"), ("found", "right"), ("bound", "right"), ("verdict", "left")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for check in certificate.checks:
        verdict = "[green]pass[/]" if check.passed else "[bold red]FAIL[/]"
        table.add_row(escape(check.name), f"{check.error:.1e}", f"{check.bound:.1e}", verdict)
    console.print(table, highlight=False)
    if certificate.measurements:
        _print_measurements(certificate.measurements)
    for statement in certificate.statements:
        _say(f"{statement.validity}: {statement.text}")
    passed = sum(check.passed for check in certificate.checks)
    _say(f"{passed} of {len(certificate.checks)} checks passed")


def _print_measurements(measurements: Sequence[Measurement]) -> None:
    table = Table(title="measured", title_justify="left")
    for column, justify in (("what", "left"), ("figure", "right"), ("how to read it", "left")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for measurement in measurements:
        table.add_row(escape(measurement.name), f"{measurement.value:.3g}", escape(measurement.meaning))
    console.print(table, highlight=False)


@app.command()
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
    _check_outputs([output, plot], [spec, initial, trials], force)
    if plot is not None:
        check_figure(plot)
    derivation = derive_file(spec)
    module = derivation.compile()
    arrays = None if trials is None else load_trials(trials, derivation.loss.inputs, derivation.loss.outputs)
    if initial is not None:
        sigma = load_initial(initial, derivation, module)
    else:
        sigma = overlaps_of_weights(derivation, sample_weights(derivation, neurons, scale, seed))
    run = run_learning(derivation, sigma, lr, steps, arrays, method, module, _progress("learning"), seed)
    drawn = arrays is None and method == "step" and getattr(derivation.spec.task, "data", "fixed") == "fresh"
    fresh = ", each loss on its own trials" if drawn else ""
    _say(
        f"loss {run.loss[0].mean():.6g} -> {run.loss[-1].mean():.6g} in {steps} steps at lr = {lr:g} ({method}){fresh}"
    )
    _print_drift(run)
    if output is not None:
        _say(f"wrote {run.save(output, force)}")
    if plot is not None:
        _say(f"wrote {save_figure(plot_learning(run), plot, force)}")


def _print_drift(run: LearningRun) -> None:
    """Say in a line or two how far what gradient flow conserves has drifted."""
    if not run.conserved:
        return
    drift = np.abs(run.drift).reshape(-1, len(run.conserved)).max(axis=0)
    shown = listing((f"{i.name} {d:.1e}" for i, d in zip(run.conserved, drift, strict=True)), limit=6)
    _say(f"conserved by gradient flow, largest drift relative to what the norms at the start allow: {shown}")
    if run.method == "step" and not all(invariant.is_kept_by_steps for invariant in run.conserved):
        _say("(a step of descent changes them by an amount of order lr^2: over the same time of the flow, of order lr)")


@app.command()
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
    """Train a network of N neurons beside the theory, on the same trials, and tell how far they drift apart.

    Example: `symlow drift derivations/ger_barak_2026/rank1_erf_flip_flop.toml --batch 16 --plot drift.png`
    """
    _check_outputs([output, plot], [spec, trials], force)
    if plot is not None:
        check_figure(plot)
    derivation = derive_file(spec)
    weights = sample_weights(derivation, neurons, scale, seed)
    given = None if trials is None else load_trials(trials, derivation.loss.inputs, derivation.loss.outputs)
    by_step = drift_trials(derivation, seed, batch, given)
    run = run_drift(derivation, weights, lr, steps, by_step, track=_progress("training"))
    _print_measurements(drift_measurements(run))
    if output is not None:
        _say(f"wrote {run.save(output, force)}")
    if plot is not None:
        _say(f"wrote {save_figure(plot_drift(run), plot, force)}")


def _check_outputs(outputs: list[Path | None], inputs: list[Path | None], force: bool) -> None:
    """Check, before any work, that results can be written, to different files, and not over what they come from."""
    taken = {resolved(path): "it is an input of this command" for path in inputs if path is not None}
    for path in outputs:
        if path is not None:
            target = check_writable(path, force)
            if target in taken:
                raise FileError(f"{path}: cannot be written to, {taken[target]}; choose another name")
            taken[target] = "another output goes there"


def _progress(description: str) -> Track:
    """Return what shows a progress bar over an iteration, on standard error and only in a terminal."""
    errors = Console(stderr=True)
    return lambda numbers: track(numbers, description, console=errors, disable=not errors.is_terminal, transient=True)


def _say(text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
