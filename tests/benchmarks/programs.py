"""The programs that stand side by side in tables, each checked before it is timed.

    C                    the loop by hand, at rank 1 (:mod:`tests.benchmarks.baselines.c_program`)
    C tuned              the fastest that was found, at any rank
    symlow BACKEND       the generated modules
    JAX program          jit of value_and_grad of a scan
    JAX tuned            the fastest of several ways to write it
    PyTorch program      a loop over time, and autograd
    PyTorch stepwise     the same as one writes it down: all in the loop, the outputs and the loss too

A program is given overlaps, (n_overlaps,) or (states, n_overlaps), and returns what is timed: a function without
arguments that returns dL/dsigma over the visible ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import numpy as np

from symlow.arrays import FloatArray
from tests.benchmarks.problems import Problem, backends

C, JAX, TORCH, STEPWISE = "C", "JAX program", "PyTorch program", "PyTorch stepwise"
TUNED_C, TUNED_JAX = "C tuned", "JAX tuned"
AGREEMENT = 1e-10
"""The most by which a program may differ from the generated NumPy module, relative to the largest entry."""

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

Call = Callable[[], FloatArray]
Program = Callable[[FloatArray], Call]


class DisagreementError(Exception):
    """A program does not compute what the generated NumPy module computes: its time means nothing."""


def names(rank: int = 1) -> tuple[str, ...]:
    """Return the names of the programs that there are at a rank, in the order of tables."""
    plain = (C,) if rank == 1 else ()
    return (*plain, TUNED_C, *[f"symlow {backend}" for backend in backends()], JAX, TUNED_JAX, TORCH, STEPWISE)


def program(name: str, problem: Problem, states: int | None = None) -> Program:
    """Return a program, checked, for one state or for so many.

    Over many states it may use every core, and over one it uses what it likes: C and PyTorch one.

    Raises:
        DisagreementError: if it computes something else.
    """
    made = _program(name, problem, states)
    _check(name, made, problem, problem.states(1, seed=1)[0] if states is None else problem.states(min(states, 5), 1))
    return made


def calls(programs: Mapping[str, Program], sigma: FloatArray) -> dict[str, Call]:
    """Return what is timed of each program, at these overlaps."""
    return {name: made(sigma) for name, made in programs.items()}


def _program(name: str, problem: Problem, states: int | None) -> Program:
    # Each by hand needs what the others do without: imported where it is wanted.
    threads = 1 if states is None else CORES
    if name in (C, TUNED_C):
        from tests.benchmarks.baselines import c_program

        compiled = c_program.plain_program if name == C else c_program.tuned_program
        return compiled(problem, threads).prepared
    if name in (JAX, TUNED_JAX):
        from tests.benchmarks.baselines import jax_program

        plain = name == JAX
        return _gradient(jax_program.plain_program(problem) if plain else jax_program.tuned_program(problem, states))
    if name in (TORCH, STEPWISE):
        from tests.benchmarks.baselines import torch_program

        return _gradient(torch_program.gradient_program(problem, threads, name == STEPWISE))
    module = problem.derivation.compile(backend=name.removeprefix("symlow "))
    # JAX returns before it has computed; as an array of NumPy the result is whole.
    return lambda sigma: lambda: np.asarray(module.loss_gradient(sigma, problem.trials))


def _gradient(run: Callable[[FloatArray], tuple[FloatArray, FloatArray]]) -> Program:
    return lambda sigma: lambda: run(sigma)[1]


def _check(name: str, made: Program, problem: Problem, sigma: FloatArray) -> None:
    expected = problem.module.loss_gradient(sigma, problem.trials)
    error = float(np.abs(made(sigma)() - expected).max() / np.abs(expected).max())
    if not error <= AGREEMENT:
        raise DisagreementError(
            f"{name}, rank {problem.rank}: differs from the NumPy module by {error:.2g} of the gradient"
        )
