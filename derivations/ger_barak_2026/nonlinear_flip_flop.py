"""The nonlinear theory of Ger & Barak 2026 next to the network that it describes: rank 1, erf, flip-flop.

A network of N neurons is trained by stochastic gradient descent with backpropagation; the ten overlap equations,
generated from rank1_erf_flip_flop.toml, are stepped from the same initial overlaps on the same batches. Lines are the
equations, dots the network. Over a learning run the theory is a closure: see ../validity.md for how to read it.

    python derivations/ger_barak_2026/nonlinear_flip_flop.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import symlow
from symlow.batches import task_batches
from symlow.drift import TRUSTED
from symlow.initial import sample_weights
from symlow.plot import plot_drift, save_figure
from symlow.simulate import FullNetwork

HERE = Path(__file__).parent


def explained(outputs: np.ndarray, targets: np.ndarray, settled: int) -> float:
    """The share of the variance of the target that is explained, leaving out the steps right after its changes."""
    changed = np.diff(targets, axis=1, prepend=0) != 0
    recent = np.stack([changed[:, max(0, t - settled) : t + 1].any(axis=1) for t in range(targets.shape[1])], axis=1)
    counted = (targets != 0) & ~recent
    return 1 - float(np.mean((outputs[counted] - targets[counted]) ** 2) / np.var(targets[counted]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", type=int, default=600)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--picture", type=Path, default=HERE / "nonlinear_flip_flop.png")
    options = parser.parse_args()

    derivation = symlow.derive(symlow.Spec.load(HERE / "rank1_erf_flip_flop.toml"))
    module = derivation.compile()
    weights = sample_weights(derivation, options.neurons, scale=1.0, seed=1)
    trials = task_batches(derivation, seed=1, batch=options.batch)
    run = symlow.drift(derivation, weights, options.lr, options.steps, trials, module)

    figure = plot_drift(run)
    figure.suptitle(
        f"lines: ten overlap equations; dots: network of {options.neurons} neurons, same batches", fontsize=11
    )
    save_figure(figure, options.picture, overwrite=True)

    x, y, _ = task_batches(derivation, seed=2, batch=128)(0)
    theory = module.outputs(run.theory[-1], x)
    network = FullNetwork(derivation.network, "sum_dt", 0.5).outputs(run.weights, x)
    last = slice(-max(options.steps // 20, 1), None)
    print(f"loss, mean over the last steps: theory {run.theory_loss[last].mean():.3f}, ", end="")
    print(f"network {run.network_loss[last].mean():.3f} (at the start {run.network_loss[0]:.3f})")
    print("new trials, variance explained from a pulse width after each change: ", end="")
    print(f"theory {explained(theory, y, 10):.1%}, network {explained(network, y, 10):.1%}")
    for fraction in (0.05, 0.25, 0.5, 1.0):
        step = round(fraction * options.steps)
        print(f"largest deviation of an overlap after {step} steps: {run.deviation[step]:.1%} of the largest overlap")
    print(f"overlaps within {TRUSTED:.0%} for {run.trusted_steps} steps; excess kurtosis at the end: ", end="")
    print(", ".join(f"{label} {value:+.2f}" for label, value in zip(run.columns, run.kurtosis[-1], strict=True)))


if __name__ == "__main__":
    main()
