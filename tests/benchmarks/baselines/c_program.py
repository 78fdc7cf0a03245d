"""The loops of ``plain.c`` and ``loop.c``, compiled for one problem and called without a wrapper's overhead.

The first is what one writes down at rank 1, and leaves to the compiler. The second, for any rank, has been tuned:
vectors are written out, sums are matrix products in tiles; how many trials stand side by side (LANES) and how wide a
vector is (VECTOR) is tried out on the problem, and the fastest taken.

Both are compiled by GCC with -O3 -march=native -ffast-math, linked without: the linker would set the processor to
flush subnormal numbers to zero, for the whole process.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from symlow.arrays import FloatArray
from tests.benchmarks.problems import Problem
from tests.benchmarks.timing import least_times

PLAIN, TUNED = (Path(__file__).with_name(name) for name in ("plain.c", "loop.c"))
FLAGS = ("-O3", "-march=native", "-ffast-math")
BLOCK = 16
ALIGNMENT = 64

Result = tuple[FloatArray, FloatArray]


class CLoop:
    """The compiled loop, with trials and working memory at hand.

    Args:
        problem: what is computed.
        threads: states are divided among so many.
        source: the program.
        constants: of its compilation, beside the sizes of the problem.
    """

    def __init__(self, problem: Problem, threads: int, source: Path, **constants: int) -> None:
        module, (x, y, mask) = problem.module, problem.trials
        self._library = _compiled(problem, source, constants)
        self._library.working_memory.restype = ctypes.c_size_t
        self._library.loss_gradient.restype = None
        batch, steps, _ = x.shape
        self._entries = module.N_VISIBLE
        rows, columns = (a[: self._entries].astype(ctypes.c_long) for a in (module._ROWS, module._COLUMNS))
        order = (0, 1, 2)
        if source == PLAIN:
            order, mask = (1, 2, 0), np.ones_like(y) if mask is None else mask
        arrays = [None if a is None else np.ascontiguousarray(np.transpose(a, order)) for a in (x, y, mask)]
        self._kept = [*arrays, rows, columns]
        self._sizes = (ctypes.c_long(batch), ctypes.c_long(steps), ctypes.c_long(self._entries))
        self._numbers = (ctypes.c_double(problem.alpha), ctypes.c_double(problem.scale))
        self._pointers = tuple(map(_pointer, self._kept))
        memory = self._library.working_memory(ctypes.c_long(steps), ctypes.c_long(batch)) + ALIGNMENT
        self._memories = [np.zeros(memory, dtype=np.uint8) for _ in range(threads)]
        self._pool = ThreadPoolExecutor(threads)
        self._entry = problem.entry

    def __call__(self, sigma: FloatArray) -> Result:
        """Return the loss (...) and the gradient (..., n_visible) of overlaps (..., n_overlaps)."""
        run, loss = self._prepared(sigma)
        gradient = run()
        return loss, gradient

    def prepared(self, sigma: FloatArray) -> Callable[[], FloatArray]:
        """Return a function without arguments that computes loss and gradient and returns the gradient, its own."""
        return self._prepared(sigma)[0]

    def _prepared(self, sigma: FloatArray) -> tuple[Callable[[], FloatArray], FloatArray]:
        lead = sigma.shape[:-1]
        S = np.ascontiguousarray(sigma[..., self._entry]).reshape(-1, *self._entry.shape)
        loss, gradient = np.empty(len(S)), np.empty((len(S), self._entries))
        bounds = np.linspace(0, len(S), len(self._memories) + 1).astype(int)
        calls = []
        for memory, first, last in zip(self._memories, bounds[:-1], bounds[1:], strict=True):
            if first < last:
                aligned = memory[-memory.ctypes.data % ALIGNMENT :]
                own = (S[first:last], loss[first:last], gradient[first:last], aligned)
                states, results, table, scratch = map(_pointer, own)
                head = (ctypes.c_long(last - first), *self._sizes, *self._numbers, states, *self._pointers)
                calls.append((*head, results, table, scratch))
        compute = self._library.loss_gradient
        shaped = gradient.reshape(*lead, -1)

        def run(kept: object = (S, loss)) -> FloatArray:  # what only pointers in calls refer to
            if len(calls) == 1:
                compute(*calls[0])
            else:  # a call from ctypes lets other threads run
                list(self._pool.map(lambda arguments: compute(*arguments), calls))
            return shaped

        return run, loss.reshape(lead)


def plain_program(problem: Problem, threads: int = 1) -> CLoop:
    """Return the plain loop, for rank 1 with one input and one output."""
    return CLoop(problem, threads, PLAIN)


def tuned_program(problem: Problem, threads: int = 1) -> CLoop:
    """Return the fastest of the tuned loops that are tried out on the problem."""
    whole = -(-len(problem.trials[0]) // 4) * 4
    shapes = [(lanes, 4) for lanes in sorted({4, min(whole, 8), min(whole, 12)})] + [(8, 8), (16, 8)]
    loops = {
        str((lanes, vector)): CLoop(problem, threads, TUNED, LANES=lanes, VECTOR=vector, BLOCK=BLOCK)
        for lanes, vector in shapes
    }
    sigma = problem.states(1)[0]
    times = least_times({name: loop.prepared(sigma) for name, loop in loops.items()}, rounds=20)
    return loops[min(times, key=times.__getitem__)]


def _compiled(problem: Problem, source: Path, constants: dict[str, int]) -> ctypes.CDLL:
    sizes = {
        "RANK": problem.rank,
        "INPUTS": problem.inputs,
        "OUTPUTS": problem.outputs,
        "NONLINEAR": int(not problem.is_linear),
        **constants,
    }
    with tempfile.TemporaryDirectory() as folder:
        program, library = os.path.join(folder, "loop.o"), os.path.join(folder, "loop.so")
        defined = [f"-D{name}={value}" for name, value in sizes.items()]
        subprocess.run(["gcc", *FLAGS, "-fPIC", *defined, "-c", str(source), "-o", program], check=True)
        subprocess.run(["gcc", "-shared", program, "-lm", "-o", library], check=True)
        return ctypes.CDLL(library)  # loaded, it needs its file no longer


def _pointer(array: np.ndarray | None) -> ctypes.c_void_p | None:
    return None if array is None else ctypes.c_void_p(array.ctypes.data)
