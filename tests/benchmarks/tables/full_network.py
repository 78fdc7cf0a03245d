"""A step of gradient descent of the full network against one of its overlaps, by the number of neurons."""

from __future__ import annotations

import numpy as np

from symlow.initial import sample_weights
from symlow.simulate import FullNetwork
from tests.benchmarks.problems import backends, flip_flop
from tests.benchmarks.report import Section, table
from tests.benchmarks.timing import least_times

NEURONS = (100, 1000, 10_000, 100_000)
BATCH, STEPS = 4, 100

TEXT = f"""
Rank 1, erf, the flip-flop, {BATCH} trials of {STEPS} steps. The full network is `symlow.simulate.FullNetwork`,
vectorised over neurons and trials, its gradient by backpropagation written by hand; the reduced step is `step` of a
generated module, which does not depend on N. Microseconds for the full step, the others in ratios: full / reduced.
"""


def section(quick: bool) -> Section:
    """Measure, and return the section."""
    problem = flip_flop(1, "erf", BATCH, STEPS)
    derivation, loss = problem.derivation, problem.derivation.loss
    network = FullNetwork(derivation.network, loss.reduction, float(loss.factor))
    modules = {backend: derivation.compile(backend=backend) for backend in backends()}
    sigma = problem.states(1)[0]
    rows = []
    for neurons in NEURONS[:2] if quick else NEURONS:
        P = sample_weights(derivation, neurons, 1.0, seed=0)
        step = {"full": lambda P=P, n=neurons: P - 0.01 * n * network.gradient(P, problem.trials)}
        reduced = {name: lambda m=m: np.asarray(m.step(sigma, 0.01, problem.trials)) for name, m in modules.items()}
        times = least_times({**step, **reduced}, 3)
        rows.append((neurons, *[times["full"] / times[name] for name in modules], 1e6 * times["full"]))
    header = ("N", *[f"full / symlow {backend}" for backend in modules], "full / us")
    return Section("A step of the full network against a reduced one", TEXT, (table(header, rows),))
