"""symlow: a symbolic derivation toolkit for learning in low-rank recurrent neural networks.

    Spec -> Network -> Reduction -> Derivation -> text, LaTeX, NumPy module, verification

The modules in the order of the data, each stage reading the one before it:

    colours         what is visible is blue, what is invisible vermilion
    letters         letters and signs of LaTeX in Unicode
    formulas        short formulas, read
    overlap_names   names of overlaps as such formulas
    markup          small tables in HTML, for notebooks
    nonlinearity    phi and its Gaussian gain
    equations       a network of neurons as its user writes it
    equation_text   equations as text
    equation_reader  equations read from text
    dynamics        equations written with SymPy, as text
    spec_tables     what tables of a specification share
    spec_trials     tables of tasks that are trials
    spec_tasks      the table of the task
    spec_network    the table of the network
    spec_learning   the table of the learning rule
    spec            what the user wrote: validated, canonical, with a digest
    network         latents, fields, projections and read-out as data
    components      which states stay in the span of which vectors
    neuron_columns  columns of neurons, and their arithmetic
    named_parts     fields, projections, gates and constants, each with its name
    span            the network that equations make
    architectures   low-rank networks by their sizes, as equations
    rules           learning rules, and the velocities that they need
    overlaps        the distinct entries of the Gram matrix, their names and order
    reduction       latents, step map and the loss-visible set that follows from them
    backward        the adjoint of a time step
    tasks           losses: target filters and trials
    closed_form     filter losses as formulas, and their minimum
    learning        the Gram flow, its metric and the exact finite step of a rule
    invariants      conserved quantities: Lax pairs, and a search for polynomials
    derivation      the frozen result
    latent_step     the time step of latents on arrays
    printing        text, LaTeX and tables
    metric_contents  which overlaps the metric's entries contain
    explain         the closure report
    codegen         generated modules
    modular         exact linear algebra modulo a prime
    gaps            numerical ranks
    response        the input-output function and its derivative by the visible overlaps
    symmetries      column mixings that leave the function as it is
    reachable       what learning can reach and what invisible overlaps remember
    structure       these facts in words
    views           a derivation with its printers at hand
    batches         the trials that a task draws
    artefacts       what is printed of a specification, kept on disk between runs
    scaffold        a commented specification to start from
    generate        generated files, written and checked for drift
    cone            Gram matrices: ranges of their entries, and the nearest one
    initial         initial overlaps and weights
    optimizers      gradient descent, with momentum or not, and Adam
    elementwise     functions on arrays, with their derivatives
    passes          what a time step computes over neurons, forward and backward
    neurons         equations compiled to passes, without their analysis
    unrolled        the passes of all time steps
    simulate        the full network of N neurons: the independent oracle
    infinite_width  the network of infinite width, on the nodes of a quadrature
    realise         weight vectors with exactly given overlaps
    twins           networks with equal visible overlaps and other invisible ones
    torch_files     tensors that PyTorch saved, read without it
    array_files     arrays by name in files of NumPy and PyTorch
    trained         networks that others trained, from files
    programs        the versions of programs that last digits depend on
    run_files       files of learning runs, .npz and .zarr
    stopping        why a history stops, and when it has converged
    histories       initial states, learning rates, seeds and parameters of histories
    history_trials  what each history learns from at a step
    learning_run    the course of learning
    recording       its record, in memory or on disk, to be resumed
    course          a run in work
    descent         gradient descent of many histories
    flow            gradient flow of many histories
    learn           learning runs
    protocols       sequences of tasks on one network
    decoding        what a linear classifier reads from overlaps
    stability       the spectrum of the network's Hessian, rates of convergence
    drift           a closure beside a network of neurons
    certificate     checks and measurements with their bounds and verdicts
    closure         verification of what is asymptotically exact
    reference       the reduced loss at 50 digits: the second oracle
    verify          the generated module against the full network, mpmath and complex steps
    sweep           many learning histories, along axes, as one result
    spacing         names beside pictures, moved apart
    plot            pictures of them
    explorer        learning in a page, live
    report          a derivation as one page of HTML
    reproduction    figures of papers, made again with their claims checked
    cli             the command line, a module for each group of commands
"""

from __future__ import annotations

import sys
from types import ModuleType

TYPE_CHECKING = False  # type checkers take the name as true; importing typing would be most of the time of an import
if TYPE_CHECKING:
    from symlow import tasks
    from symlow.certificate import Certificate
    from symlow.drift import Drift, drift
    from symlow.dynamics import dynamics
    from symlow.equations import N, phi
    from symlow.errors import SymlowError
    from symlow.explorer import explorer_fragment, explorer_page
    from symlow.learn import learn
    from symlow.learning_run import LearningRun
    from symlow.protocols import Phase, run_protocol
    from symlow.realise import realise
    from symlow.report import report
    from symlow.spec import Spec
    from symlow.stability import Stability, stability
    from symlow.sweep.result import open_sweep
    from symlow.sweep.run import SweepReport, run_sweep
    from symlow.sweep.specification import Sweep
    from symlow.trained import load_weights
    from symlow.twins import extreme_twins, feasible, feasible_ranges, nearest_twin, random_twin, twin
    from symlow.verify import verify
    from symlow.version import __version__
    from symlow.views import DerivedSystem, derive

__all__ = [
    "Certificate",
    "DerivedSystem",
    "Drift",
    "LearningRun",
    "N",
    "Phase",
    "Spec",
    "Stability",
    "Sweep",
    "SweepReport",
    "SymlowError",
    "__version__",
    "derive",
    "drift",
    "dynamics",
    "explorer_fragment",
    "explorer_page",
    "extreme_twins",
    "feasible",
    "feasible_ranges",
    "learn",
    "load_weights",
    "nearest_twin",
    "open_sweep",
    "phi",
    "random_twin",
    "realise",
    "report",
    "run_protocol",
    "run_sweep",
    "stability",
    "tasks",
    "twin",
    "verify",
]

_HOMES = {
    "Certificate": "certificate",
    "DerivedSystem": "views",
    "Drift": "drift",
    "LearningRun": "learning_run",
    "N": "equations",
    "Phase": "protocols",
    "Spec": "spec",
    "Stability": "stability",
    "Sweep": "sweep.specification",
    "SweepReport": "sweep.run",
    "SymlowError": "errors",
    "__version__": "version",
    "derive": "views",
    "drift": "drift",
    "dynamics": "dynamics",
    "explorer_fragment": "explorer",
    "explorer_page": "explorer",
    "extreme_twins": "twins",
    "feasible": "twins",
    "feasible_ranges": "twins",
    "learn": "learn",
    "load_weights": "trained",
    "nearest_twin": "twins",
    "open_sweep": "sweep.result",
    "phi": "equations",
    "random_twin": "twins",
    "realise": "realise",
    "report": "report",
    "run_protocol": "protocols",
    "run_sweep": "sweep.run",
    "stability": "stability",
    "twin": "twins",
    "verify": "verify",
}
"""The module of each name of the surface, imported when the name is first asked for: SymPy and SciPy take a second."""


def __getattr__(name: str) -> object:
    """Return a name of the surface, or a module of the package, which is imported when it is first asked for."""
    from importlib import import_module
    from importlib.util import find_spec

    if name in _HOMES:
        value = getattr(import_module(f"symlow.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    if name.startswith("_") or not name.isidentifier() or find_spec(f"symlow.{name}") is None:
        raise AttributeError(f"module 'symlow' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    return import_module(f"symlow.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Surface(ModuleType):
    """The package, in which a function is never hidden by the module of the same name that it stands in.

    Importing ``symlow.learn`` ends with the import system binding the module to the package's attribute ``learn``,
    whoever imports it and whenever. Only here can that be seen: ``__getattr__`` is not called for what is bound.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if _HOMES.get(name) == name and isinstance(value, ModuleType) and value.__name__ == f"symlow.{name}":
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Surface
