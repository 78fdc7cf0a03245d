"""Learning runs: gradient descent by the finite step, or gradient flow by an adaptive integrator.

    descent:  Sigma[k+1] = K^T Sigma[k] K,  K = 1 - 2 lr S D        flow:  dSigma/dt = -2 (D S Sigma + Sigma S D)

or K and the flow of another rule (:mod:`symlow.rules`). A step of descent with learning rate lr advances the time of
the flow by lr; a step with momentum beta does by lr / (1 - beta), to which it tends as lr falls. Where trials are drawn
anew for each step, S is that of the step's own batch: stochastic gradient descent.

What the flow conserves whatever the loss (:mod:`symlow.invariants`), a step changes by an amount of order lr^2, so that
over a given time of the flow descent drifts by an amount of order lr; the flow drifts by its integrator's error.

Many histories advance together. In descent the overlaps of each are what they would be alone: bit by bit in all that
was measured, which is every derivation of this repository, for the module's matrix products and sums are those of one
history at a time. The loss of trials is summed in an order that can depend on how many histories there are, and was
found to differ by up to 2e-15 relative. In a flow histories share the integrator's steps, and differ within its error.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np

from symlow.arrays import FloatArray, IntArray, check_integer
from symlow.batches import Batches
from symlow.codegen.emit import compile_module
from symlow.course import Course, Track
from symlow.derivation import Derivation
from symlow.descent import descend
from symlow.errors import LearningError
from symlow.flow import flow
from symlow.histories import Histories, build_histories, check_lr
from symlow.history_trials import build_trials
from symlow.invariants.invariant import FROZEN
from symlow.learning_run import LearningRun, drifts
from symlow.programs import versions
from symlow.recording import InMemory, OnDisk, Recording, finished, first_progress
from symlow.run_files import blocks, check_suffix, read_run
from symlow.stopping import REASONS, Stop, check_stop


def learn(
    derivation: Derivation,
    sigma: object,
    lr: object,
    steps: int,
    trials: tuple[object, ...] | Batches | None = None,
    method: Literal["step", "flow"] = "step",
    module: ModuleType | None = None,
    track: Track = iter,
    seed: object = 0,
    *,
    parameters: Mapping[str, object] | None = None,
    every: int = 1,
    stop: Stop | Mapping[str, object] | None = None,
    output: str | os.PathLike[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    may_diverge: bool = False,
) -> LearningRun:
    """Integrate learning from initial overlaps: one history, or many together.

    sigma, lr, seed and each parameter can be one for all histories or an array with one for each; arrays must agree on
    the number of histories, ``states``.

    Args:
        derivation: what is learned.
        sigma: initial overlaps, shape (n_overlaps,) or (states, n_overlaps).
        lr: learning rate, > 0, a number or an array of shape (states,).
        steps: number of steps, >= 1.
        trials: (x, y, mask); or a function that returns those of each step by its number. Needed for tasks of kind
            ``trials``; by default tasks that are drawn at random are drawn, others have a closed form. An interrupted
            run knows a function again by what it returns for step 0 alone.
        method: "step", steps of the learning rule; "flow", its flow over the time lr * steps, with momentum beta
            lr * steps / (1 - beta), which wants the same trials at all times, and in which label noise averages out.
        module: its generated module, if it is at hand; by default it is compiled.
        track: wraps the iteration over steps, for a progress bar.
        seed: seed of the trials that are drawn, and of the noise on their targets, an integer >= 0 or an array of
            shape (states,).
        parameters: values in place of those of the specification, by dotted name, such as ``{"task.decay": [0.1, 0.2],
            "learning.momentum": 0.9}``, numbers or arrays of shape (states,). They can be real numbers that leave the
            module and the shape of the trials as they are (:func:`symlow.histories.accepted_parameters`).
        every: record each step whose number it divides, and the last.
        stop: when a history has converged (:class:`symlow.stopping.Stop`), such as ``{"loss": 1e-6}``; it then takes
            no further steps. By default all take all steps.
        output: .npz file or .zarr folder to which the run is written while it goes on, block by block; memory then
            does not grow with the number of steps.
        resume: go on with what an interrupted run with the same inputs has left at ``output``, and end with the very
            same numbers; a run that is whole is read. Without any, begin. The same inputs are all arguments, the text
            of the module, and the versions of the programs that compute; of a function for ``trials`` only its first
            step is compared, so that one which differs later is not noticed.
        overwrite: replace what exists at ``output``.
        may_diverge: mark histories that diverge even if all of them do, which is an error otherwise.

    Raises:
        ArrayError: for arrays of the wrong shape, or with values that are not finite.
        DependencyError: if output is a .zarr folder and xarray or Zarr is not installed.
        FileError: if output exists or cannot be written, or cannot be resumed with these inputs.
        GramMatrixError: if the initial overlaps are those of no network.
        LearningError: if lr, steps, every or stop are out of range, trials are missing, or learning leaves the finite
            numbers, of many histories in all of them; if some do they are marked, and the others go on.
        SpecError: if a seed is negative, or the value of a parameter is not accepted.
        UnknownNameError: for a parameter that histories cannot differ in.
    """
    check_steps(steps)
    check_integer(every, "every", 1, LearningError)
    if method not in ("step", "flow"):
        raise LearningError(f"method: found {method!r}; accepted: 'step' or 'flow'")
    bounds = check_stop(stop)
    if bounds is not None and method == "flow":
        raise LearningError("stop: found one with method = 'flow', whose histories end together; accepted: none")
    if resume and output is None:
        raise LearningError("resume: found no output to resume; accepted: the file of the interrupted run")
    module = compile_module(derivation) if module is None else module
    histories = build_histories(derivation, sigma, lr, seed, parameters)
    source = build_trials(derivation, module, histories, trials, method)
    recorded = np.unique(np.append(np.arange(0, steps + 1, every), steps))
    recording: Recording
    if output is None:
        recording = InMemory(len(recorded), *histories.sigma.shape)
        progress = first_progress(histories.sigma)
    else:
        check_suffix(output)
        inputs = _inputs(derivation, histories, module, trials, (steps, every, method, bounds))
        whole = finished(Path(output), inputs) if resume else None
        if whole is not None:
            return _from_file(derivation, histories, whole)
        recording = OnDisk(Path(output), histories.sigma, inputs, resume, overwrite)
        progress = recording.progress
    course = Course(derivation, module, histories, source, recording, progress, int(steps), int(every), may_diverge)
    try:
        if method == "step":
            descend(course, bounds, track)
        else:
            flow(course, track)
    except LearningError:
        if isinstance(recording, OnDisk):
            recording.discard()  # it would end in the same error
        raise
    run = _run(course, recorded, method)
    if isinstance(recording, OnDisk):
        records = blocks(run.sigma)
        parts = (drifts(run.conserved, run.sigma[block], run.sigma[0]) for block in records)
        shape = (*run.sigma.shape[:-1], len(run.conserved))
        recording.finish({**run.arrays(), "drift": recording.write_beside("drift", parts, shape)})
        return _from_file(derivation, histories, read_run(Path(recording.path)))
    return run


def _run(course: Course, recorded: IntArray, method: str) -> LearningRun:
    histories, progress = course.histories, course.progress
    sigma, loss = course.recording.courses()
    at = 0 if histories.single else slice(None)
    reasons = np.array(REASONS)[progress.reason]
    return _described(
        course.derivation, histories, method, sigma[:, at], loss[:, at], recorded, progress.stopped[at], reasons[at]
    )


def _from_file(derivation: Derivation, histories: Histories, arrays: Mapping[str, Any]) -> LearningRun:
    names = ("sigma", "loss", "step", "stopped", "reason")
    run = _described(derivation, histories, str(arrays["method"]), *(arrays[name] for name in names))
    vars(run)["drift"] = arrays["drift"]  # what the property would find, of the whole course at once
    return run


def _described(
    derivation: Derivation,
    histories: Histories,
    method: str,
    sigma: FloatArray,
    loss: FloatArray,
    step: IntArray,
    stopped: IntArray,
    reason: Any,
) -> LearningRun:
    at = 0 if histories.single else slice(None)
    return LearningRun(
        derivation.overlaps,
        len(derivation.visible),
        sigma,
        loss,
        histories.given_lr,
        method,
        derivation.spec.digest,
        tuple(invariant for invariant in derivation.conserved if invariant.kind != FROZEN),
        step,
        np.asarray(stopped),
        np.asarray(reason),
        histories.given_seed,
        {name: values[at] for name, values in histories.parameters.items()},
    )


def _inputs(
    derivation: Derivation,
    histories: Histories,
    module: ModuleType,
    trials: tuple[object, ...] | Batches | None,
    numbers: tuple[int, int, str, Stop | None],
) -> dict[str, str]:
    """Return digests of all that the numbers of a run follow from, by what it is called; of a function, its step 0."""
    steps, every, method, stop = numbers
    arrays = trials(0) if callable(trials) else trials or ()
    return {
        **versions(getattr(module, "BACKEND", "numpy")),
        "specification": derivation.spec.digest,
        "module": _digest(_text(module).encode()),
        "sigma": _digest(histories.sigma),
        "lr": _digest(histories.lr),
        "seed": _digest(histories.seeds),
        "trials": _digest(*(np.asarray(array, dtype=float) for array in arrays if array is not None)),
        **{name: _digest(values) for name, values in histories.parameters.items()},
        "steps": str(int(steps)),
        "every": str(int(every)),
        "method": method,
        "stop": str(stop),
        "axes": "one history" if histories.single else "histories",
    }


def _text(module: ModuleType) -> str:
    """Return the text of a generated module; one that has no loader is taken to be the derivation's own."""
    loader = getattr(module, "__loader__", None)
    text = loader.get_source(module.__name__) if isinstance(loader, importlib.abc.InspectLoader) else None
    return text or ""


def _digest(*contents: Any) -> str:
    found = hashlib.sha256()
    for content in contents:
        found.update(str(getattr(content, "shape", "")).encode())
        found.update(content if isinstance(content, bytes) else np.ascontiguousarray(content).tobytes())
    return found.hexdigest()


def check_run(lr: float, steps: int) -> None:
    """Raise LearningError unless the learning rate and the number of steps are positive and finite."""
    check_lr(lr)
    check_steps(steps)


def check_steps(steps: int) -> None:
    """Raise LearningError unless the number of steps is an integer of at least one."""
    check_integer(steps, "steps", 1, LearningError)
