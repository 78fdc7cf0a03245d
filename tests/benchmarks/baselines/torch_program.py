"""The reduced dynamics in PyTorch: a loop over time, differentiated by autograd.

    km += a (x[t] - km),   ku += a (g (S_vm km + S_vu ku) - ku),   y[t] = g (S_zm km + S_zu ku) after the update
    g = (1 + (pi/2) Delta)^(-1/2),  Delta = k^T S_cc k,  or 1 where linear

Step by step all of this and the error is in the loop, as one writes it down. The careful program has in the loop what
must be there: km, which depends on no overlap, is filtered once and for all, and the outputs of all times are computed
at once. With states in front, one program does them all; their losses are summed, which gives each its own gradient.
float64.
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


def gradient_program(problem: Problem, threads: int = 1, stepwise: bool = False) -> Callable[[FloatArray], Result]:
    """Return a function of overlaps, (n_overlaps,) or (states, n_overlaps), that returns loss and gradient."""
    torch.set_num_threads(threads)  # for the whole process: one thread is the faster for one state
    loss = (_stepwise_loss if stepwise else _careful_loss)(problem)
    visible = problem.module.N_VISIBLE

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


class _Network:
    """Trials, time first, as tensors, and what a state of the network does."""

    def __init__(self, problem: Problem) -> None:
        x, y, mask = (None if a is None else torch.from_numpy(a.swapaxes(0, 1).copy()) for a in problem.trials)
        self.x, self.y = x, y
        self.weight = torch.full_like(y, problem.scale) if mask is None else problem.scale * mask
        self.a, self.rank, self.is_linear = problem.alpha, problem.rank, problem.is_linear
        self._entry = torch.from_numpy(problem.entry)
        carriers = problem.inputs + problem.rank
        self._parts = slice(0, carriers), slice(carriers, carriers + problem.rank), slice(-problem.outputs, None)

    def blocks(self, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return S_cc, S_cv and S_cz."""
        m_u, v, z = self._parts
        S = sigma[..., self._entry]
        return S[..., m_u, m_u], S[..., m_u, v], S[..., m_u, z]

    def zeros(self, sigma: torch.Tensor, entries: int) -> torch.Tensor:
        """Return latents of the first time."""
        return torch.zeros((*sigma.shape[:-1], self.x.shape[1], entries), dtype=torch.float64)

    def read(self, k: torch.Tensor, S_cc: torch.Tensor, S_c: torch.Tensor) -> torch.Tensor:
        """Return what is read of the state k."""
        if self.is_linear:
            return k @ S_c
        return torch.rsqrt(1 + math.pi / 2 * (k @ S_cc * k).sum(-1, keepdim=True)) * (k @ S_c)


def _stepwise_loss(problem: Problem) -> Callable[[torch.Tensor], torch.Tensor]:
    network = _Network(problem)

    def loss(sigma: torch.Tensor) -> torch.Tensor:
        S_cc, S_cv, S_cz = network.blocks(sigma)
        km, ku = network.zeros(sigma, problem.inputs), network.zeros(sigma, network.rank)
        total = torch.zeros(sigma.shape[:-1], dtype=torch.float64)
        for x, y, weight in zip(network.x, network.y, network.weight, strict=True):
            drive = network.read(torch.cat([km, ku], -1), S_cc, S_cv)
            km, ku = km + network.a * (x - km), ku + network.a * (drive - ku)
            output = network.read(torch.cat([km, ku], -1), S_cc, S_cz)
            total = total + (weight * (output - y) ** 2).sum((-2, -1))
        return total

    return loss


def _careful_loss(problem: Problem) -> Callable[[torch.Tensor], torch.Tensor]:
    network = _Network(problem)
    # The filtered inputs at all times: constants of the program.
    filtered = [torch.zeros(network.x.shape[1:], dtype=torch.float64)]
    for drive in network.x:
        filtered.append(torch.lerp(filtered[-1], drive, network.a))

    def loss(sigma: torch.Tensor) -> torch.Tensor:
        S_cc, S_cv, S_cz = network.blocks(sigma)
        lead = sigma.shape[:-1]
        carried = [km.expand(*lead, *km.shape) for km in filtered]
        ku = network.zeros(sigma, network.rank)
        latents = []
        for km in carried[:-1]:
            ku = torch.lerp(ku, network.read(torch.cat([km, ku], -1), S_cc, S_cv), network.a)
            latents.append(ku)
        k = torch.cat([torch.stack(carried[1:]), torch.stack(latents)], -1)
        output = network.read(k, S_cc, S_cz)
        times = (slice(None), *[None] * len(lead))
        return (network.weight[times] * (output - network.y[times]) ** 2).sum((0, -2, -1))

    return loss
