"""The reduced dynamics in PyTorch: a loop over time, differentiated by autograd.

    km += a (x[t] - km),   ku += a (g (S_vm km + S_vu ku) - ku),   y[t] = g (S_zm km + S_zu ku) after the update
    g = (1 + (pi/2) Delta)^(-1/2),  Delta = k^T S_cc k,  or 1 where linear

What does not have to be in the loop is outside: km, which depends on no overlap, has no gradient, and the outputs of
all times are computed at once. With states in front, one program does them all; their losses are summed, which gives
each its own gradient. float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from symlow.arrays import FloatArray
from tests.benchmarks.problems import Problem

CHUNK = 256
"""The most states at once: at each step and for each autograd keeps what the way back needs."""

Result = tuple[FloatArray, FloatArray]


def gradient_program(problem: Problem, threads: int = 1) -> Callable[[FloatArray], Result]:
    """Return a function of overlaps, (n_overlaps,) or (states, n_overlaps), that returns loss and gradient."""
    torch.set_num_threads(threads)  # for the whole process: one thread is the faster for one state
    a, visible = problem.alpha, problem.module.N_VISIBLE
    entry = torch.from_numpy(problem.entry)
    inputs, outputs, rank = problem.inputs, problem.outputs, problem.rank
    x, y, mask = (None if array is None else torch.from_numpy(array.swapaxes(0, 1).copy()) for array in problem.trials)
    weight = torch.full_like(y, problem.scale) if mask is None else problem.scale * mask
    m_u, v, z = slice(0, inputs + rank), slice(inputs + rank, inputs + 2 * rank), slice(-outputs, None)
    # The filtered inputs at all times: constants of the program.
    filtered = [torch.zeros(x.shape[1:], dtype=torch.float64)]
    for drive in x:
        filtered.append(torch.lerp(filtered[-1], drive, a))

    def gain(S_cc: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return torch.rsqrt(1 + math.pi / 2 * (k @ S_cc * k).sum(-1, keepdim=True))

    def loss(sigma: torch.Tensor) -> torch.Tensor:
        S = sigma[..., entry]
        S_cc, S_cv, S_cz = S[..., m_u, m_u], S[..., m_u, v], S[..., m_u, z]
        lead = sigma.shape[:-1]
        carried = [km.expand(*lead, *km.shape) for km in filtered]
        ku = torch.zeros((*lead, x.shape[1], rank), dtype=torch.float64)
        latents = []
        for km in carried[:-1]:
            k = torch.cat([km, ku], -1)
            drive = k @ S_cv
            if not problem.is_linear:
                drive = gain(S_cc, k) * drive
            ku = torch.lerp(ku, drive, a)
            latents.append(ku)
        k = torch.cat([torch.stack(carried[1:]), torch.stack(latents)], -1)
        output = k @ S_cz
        if not problem.is_linear:
            output = gain(S_cc, k) * output
        order = (slice(None), *[None] * len(lead))
        return (weight[order] * (output - y[order]) ** 2).sum((0, -2, -1))

    def run(sigma: FloatArray) -> Result:
        if sigma.ndim == 1:
            return one_pass(sigma)
        losses, gradients = zip(*[one_pass(sigma[k : k + CHUNK]) for k in range(0, len(sigma), CHUNK)], strict=True)
        return np.concatenate(losses), np.concatenate(gradients)

    def one_pass(sigma: FloatArray) -> Result:
        leaf = torch.from_numpy(np.ascontiguousarray(sigma)).requires_grad_()
        losses = loss(leaf)
        (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        return losses.detach().numpy(), gradient[..., :visible].numpy()

    return run
