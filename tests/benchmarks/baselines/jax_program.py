"""The reduced dynamics in JAX: jit of value_and_grad of a scan over time, vmapped where there are many states.

    km' = km + a (x - km),   ku' = ku + a (g (S_vm km + S_vu ku) - ku),   y = g (S_zm km + S_zu ku) after the update
    g = (1 + (pi/2) Delta)^(-1/2),  Delta = k^T S_cc k,  or 1 where linear

It is written in several ways, for which of them is fast depends on the rank and the number of states: latents as arrays
(batch, entries) with matrix products, or as a row (batch,) for each of them; outputs in the scan, or after it, at once;
one time step in a turn of the loop, or several. What one writes down first has arrays, and outputs after the scan; the
tuned program is the fastest of all, tried out on the problem. JAX must have been set to float64, as by
JAX_ENABLE_X64=1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from symlow.arrays import FloatArray
from tests.benchmarks.problems import Problem
from tests.benchmarks.timing import least_times

CHUNK = 256
"""The most states that are vmapped at once: at each step and for each it keeps what the way back needs."""

MOST_ROWS = 3
"""The most latents for which a program with a row for each is tried: it takes minutes to compile beyond."""

UNROLLED = (1, 4)
"""Time steps in a turn of the loop, where neurons are linear; for others more than one never was the faster."""

Result = tuple[FloatArray, FloatArray]
Program = Callable[[FloatArray], Result]


def plain_program(problem: Problem) -> Program:
    """Return what one writes down first: matrix products, and outputs after the scan."""
    return _program(problem, _matrix_loss(problem, inside=False, unroll=1))


def tuned_program(problem: Problem, states: int | None = None) -> Program:
    """Return the fastest of the programs of :func:`programs`, tried out on one state or on so many."""
    tried = programs(problem)
    sigma = problem.states(1)[0] if states is None else problem.states(min(states, CHUNK))
    times = least_times({name: partial(run, sigma) for name, run in tried.items()}, rounds=2)
    return tried[min(times, key=times.__getitem__)]


def programs(problem: Problem) -> dict[str, Program]:
    """Return functions of overlaps, (n_overlaps,) or (states, n_overlaps), that return the loss and the gradient."""
    forms = {"matrices": _matrix_loss}
    if problem.inputs + problem.rank <= MOST_ROWS:
        forms["rows"] = _row_loss
    return {
        f"{form}, outputs {'in' if inside else 'after'} the scan, {unroll} at a time": _program(
            problem, build(problem, inside, unroll)
        )
        for form, build in forms.items()
        for inside in (False, True)
        for unroll in (UNROLLED if problem.is_linear else (1,))
    }


def _program(problem: Problem, loss: Callable[[jax.Array], jax.Array]) -> Program:
    visible = problem.module.N_VISIBLE
    single = jax.jit(jax.value_and_grad(loss))
    many = jax.jit(jax.vmap(jax.value_and_grad(loss)))

    def run(sigma: FloatArray) -> Result:
        if sigma.ndim == 1:
            value, gradient = single(sigma[:visible])
            return np.asarray(value), np.asarray(gradient)
        parts = [many(sigma[first : first + CHUNK, :visible]) for first in range(0, len(sigma), CHUNK)]
        values, gradients = zip(*parts, strict=True)
        return np.concatenate(values), np.concatenate(gradients)

    return run


def _gram(problem: Problem, visible: jax.Array) -> jax.Array:
    """Return the Gram matrix of visible overlaps, zero elsewhere."""
    hidden = len(problem.module.OVERLAPS) - len(visible)
    return jnp.concatenate([visible, jnp.zeros(hidden)])[problem.entry]


def _gain(Delta: jax.Array) -> jax.Array:
    return 1 / jnp.sqrt(1 + jnp.pi / 2 * Delta)


def _time_first(problem: Problem, axes: tuple[int, int, int]) -> tuple[jax.Array, jax.Array, Any]:
    """Return inputs, targets and the weights of squared errors, with their axes in this order."""
    x, y, mask = (None if array is None else jnp.asarray(np.transpose(array, axes)) for array in problem.trials)
    return x, y, problem.scale if mask is None else problem.scale * mask


def _matrix_loss(problem: Problem, inside: bool, unroll: int) -> Callable[[jax.Array], jax.Array]:
    """Return the loss with latents (batch, entries)."""
    x, y, weight = _time_first(problem, (1, 0, 2))
    inputs, outputs, rank, a = problem.inputs, problem.outputs, problem.rank, problem.alpha
    start = (jnp.zeros((x.shape[1], inputs)), jnp.zeros((x.shape[1], rank)))

    def loss(visible: jax.Array) -> jax.Array:
        S = _gram(problem, visible)
        carriers = inputs + rank
        S_cc, S_cv, S_cz = S[:carriers, :carriers], S[:carriers, carriers : carriers + rank], S[:carriers, -outputs:]

        def read(k: tuple[jax.Array, jax.Array], S_c: jax.Array) -> jax.Array:
            both = jnp.concatenate(k, -1)
            if problem.is_linear:
                return both @ S_c
            return _gain(jnp.sum(both @ S_cc * both, -1, keepdims=True)) * (both @ S_c)

        def step(k: tuple[jax.Array, jax.Array], drive: jax.Array) -> tuple[tuple[jax.Array, jax.Array], Any]:
            km, ku = k
            after = (km + a * (drive - km), ku + a * (read(k, S_cv) - ku))
            return after, read(after, S_cz) if inside else after

        _, kept = jax.lax.scan(step, start, x, unroll=unroll)
        output = kept if inside else read(kept, S_cz)
        return jnp.sum(weight * (output - y) ** 2)

    return loss


def _row_loss(problem: Problem, inside: bool, unroll: int) -> Callable[[jax.Array], jax.Array]:
    """Return the loss with a row (batch,) for each latent, and sums written out."""
    x, y, weight = _time_first(problem, (1, 2, 0))
    inputs, rank, a = problem.inputs, problem.rank, problem.alpha
    carriers = range(inputs + rank)
    z = range(inputs + 2 * rank, inputs + 2 * rank + problem.outputs)
    start = (jnp.zeros(x.shape[-1]),) * len(carriers)

    def loss(visible: jax.Array) -> jax.Array:
        S = _gram(problem, visible)

        def read(k: tuple[jax.Array, ...], row: int) -> jax.Array:
            return sum((S[row, j] * k[j] for j in carriers), jnp.zeros(()))

        def gain(k: tuple[jax.Array, ...]) -> jax.Array | float:
            return 1.0 if problem.is_linear else _gain(sum((read(k, i) * k[i] for i in carriers), jnp.zeros(())))

        def outputs(k: tuple[jax.Array, ...]) -> jax.Array:
            g = gain(k)
            return jnp.stack([g * read(k, row) for row in z], -2)

        def step(k: tuple[jax.Array, ...], drive: jax.Array) -> tuple[tuple[jax.Array, ...], Any]:
            g = gain(k)
            pulls = [*drive, *[g * read(k, inputs + rank + i) for i in range(rank)]]
            after = tuple(before + a * (pull - before) for before, pull in zip(k, pulls, strict=True))
            return after, outputs(after) if inside else after

        _, kept = jax.lax.scan(step, start, x, unroll=unroll)
        output = kept if inside else outputs(kept)
        return jnp.sum(weight * (output - y) ** 2)

    return loss
