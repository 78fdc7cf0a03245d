"""A network of rank 1 learns to steady a double integrator: nine overlap equations beside the network they describe.

Both do the same clipped steps of stochastic gradient descent, on batches of random initial states of the environment:
an impulse x sets e, and the target is zero. Lines are the Gram map, dots a network of N neurons with backpropagation.

    python derivations/ger_barak_2025/closed_loop.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import symlow
from symlow.arrays import FloatArray, Trials
from symlow.initial import overlaps_of_weights, sample_weights
from symlow.optimizers import rule_optimizer
from symlow.plot import save_figure
from symlow.simulate import FullNetwork

HERE = Path(__file__).parent
BATCH, TIME = 16, 20


def initial_states(step: int) -> Trials:
    """Return trials of one batch: an impulse sets the environment to a random state, and it should go to zero."""
    x = np.zeros((BATCH, TIME, 2))
    x[:, 0] = np.random.default_rng(step).standard_normal((BATCH, 2))
    return x, np.zeros((BATCH, TIME, 2)), None


def joint_update(sigma: FloatArray, overlaps: tuple[str, ...]) -> FloatArray:
    """Return the update matrix of (e1, e2, kappa_m, kappa_u), of math.md, section 6; shape (..., 4, 4)."""
    s = {name: sigma[..., k] for k, name in enumerate(overlaps)}
    zero, one = np.zeros_like(s["z_m"]), np.ones_like(s["z_m"])
    rows = [
        [one, one, zero, zero],
        [zero, one, s["z_m"], s["z_u"]],
        [one, one, zero, zero],
        [zero, zero, s["v_m"], s["v_u"]],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", type=int, default=100)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--lr", type=float, default=0.003)
    parser.add_argument("--picture", type=Path, default=HERE / "closed_loop.png")
    options = parser.parse_args()

    derivation = symlow.derive(symlow.Spec.load(HERE / "closed_loop_double_integrator.toml"))
    module = derivation.compile()
    weights = sample_weights(derivation, options.neurons, scale=0.5, seed=2)
    network = FullNetwork(derivation.network, "sum_dt", 0.5)
    run = network.train(weights, initial_states, options.lr, options.steps, optimizer=rule_optimizer(derivation.rule))
    sigma, theory, simulated = overlaps_of_weights(derivation, weights), [], []
    for step, moment in enumerate(run):
        theory.append(sigma)
        simulated.append(overlaps_of_weights(derivation, moment.weights))
        sigma = module.step(sigma, options.lr, initial_states(step))
    theory, simulated = np.array(theory), np.array(simulated)
    population = module.loss(theory)
    radius = np.abs(np.linalg.eigvals(joint_update(theory, derivation.overlaps))).max(axis=-1)

    figure, panels = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    dots = np.arange(0, options.steps + 1, max(options.steps // 20, 1))
    panels[0].semilogy(population, color="black")
    panels[0].semilogy(dots, module.loss(simulated[dots]), "o", color="black", markersize=3.5)
    panels[0].set_title("loss over all initial states", fontsize=11)
    for k, name in enumerate(derivation.overlaps):
        if name != "m_m":  # frozen
            style = "-" if name in derivation.visible else "--"
            (line,) = panels[1].plot(theory[:, k], style, label=rf"$\sigma_{{{name.replace('_', '')}}}$")
            panels[1].plot(dots, simulated[dots, k], "o", color=line.get_color(), markersize=3)
    panels[1].legend(ncols=2, fontsize=8, frameon=False)
    panels[1].set_title("nine overlaps (dashed: loss-invisible)", fontsize=11)
    panels[2].plot(radius, color="black")
    panels[2].axhline(1.0, color="grey", linewidth=0.8)
    panels[2].set_title("spectral radius of the closed loop", fontsize=11)
    for panel in panels:
        panel.set_xlabel("step")
        panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"lines: Gram map; dots: network of {options.neurons} neurons", fontsize=11)
    save_figure(figure, options.picture, overwrite=True)

    print(f"largest deviation of an overlap over {options.steps} steps: {np.abs(theory - simulated).max():.1e}")
    print(f"loss over all initial states {population[0]:.3g} -> {population[-1]:.3g}")
    print(f"spectral radius of the closed loop {radius[0]:.3f} -> {radius[-1]:.3f}")


if __name__ == "__main__":
    main()
