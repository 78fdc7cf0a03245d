"""The linear theory of Ger & Barak 2026 next to the network that it describes.

A rank-1 network of N neurons is trained by gradient descent with backpropagation; the ten overlap equations, generated
from rank1_linear.toml, are stepped from the same initial overlaps. Lines are the equations, dots the network.

    python derivations/ger_barak_2026/linear_theory.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import symlow
from symlow.initial import overlaps_of_weights, sample_weights
from symlow.plot import plot_learning, save_figure
from symlow.simulate import FullNetwork

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", type=int, default=100)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--picture", type=Path, default=HERE / "linear_theory.png")
    options = parser.parse_args()
    lr, every = 0.005, max(options.steps // 20, 1)

    derivation = symlow.derive(symlow.Spec.load(HERE / "rank1_linear.toml"))
    weights = sample_weights(derivation, options.neurons, scale=1.0, seed=1)
    run = symlow.learn(derivation, overlaps_of_weights(derivation, weights), lr, options.steps)

    network = FullNetwork(derivation.network, "sum_dt", 0.5)
    moments = list(network.train(weights, derivation.loss.impulse_trials(), lr, options.steps))
    grams = np.array([moment.gram for moment in moments])
    in_network = np.stack([grams[:, o.row, o.column] for o in derivation.ordered], axis=1)
    losses = np.array([moment.loss for moment in moments])

    figure = plot_learning(run)
    figure.suptitle(f"lines: ten overlap equations; dots: network of {options.neurons} neurons", fontsize=11)
    dots = np.arange(0, options.steps + 1, every)
    panels = figure.axes
    panels[0].plot(dots, losses[dots], "o", color="black", markersize=3.5)
    for panel, part in ((panels[1], slice(0, run.n_visible)), (panels[2], slice(run.n_visible, None))):
        colours = [line.get_color() for line in panel.get_lines()]
        for values, colour in zip(in_network[:, part].T, colours, strict=False):
            panel.plot(dots, values[dots], "o", color=colour, markersize=3.5)
    save_figure(figure, options.picture, overwrite=True)

    z_m, z_u, v_m, v_u = run.sigma[-1, : run.n_visible]
    print(f"largest deviation of an overlap over {options.steps} steps: {np.abs(run.sigma - in_network).max():.1e}")
    print(f"loss {run.loss[0]:.3g} -> {run.loss[-1]:.3g}")
    print("final values, in brackets those of the paper in the limit dt -> 0 with a* = 1, c* = 0.2:")
    print(f"  z_m = {z_m:.4f} (a* = 1)   z_u v_m = {z_u * v_m:.4f} (a*(1 - c*) = 0.8)   v_u = {v_u:.4f} (1 - c* = 0.8)")


if __name__ == "__main__":
    main()
