"""How long networks take to learn that do the same at first, and differ in what the loss does not see.

Shows the result of the sweep invisible_start.toml: a linear rank-1 network learns an exponential filter, from the same
four loss-visible overlaps and unit norms, so from the same function and loss, and from different m_u and z_v.

    symlow sweep derivations/ger_barak_2026/invisible_start.toml
    python derivations/ger_barak_2026/invisible_start.py invisible_start.zarr
"""

from __future__ import annotations

import argparse
from pathlib import Path

from matplotlib.figure import Figure

import symlow
from symlow.plot import save_figure

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="what symlow sweep has written")
    parser.add_argument("--picture", type=Path, default=HERE / "invisible_start.png")
    options = parser.parse_args()

    result = symlow.open_sweep(options.result)
    steps = result.stopped_at.where(result.status == "converged")
    figure = Figure(figsize=(5.6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    image = axes.pcolormesh(result.m_u, result.z_v, steps.transpose("z_v", "m_u"), cmap="viridis")
    axes.set(xlabel=r"$\sigma_{mu}$ at the start", ylabel=r"$\sigma_{zv}$ at the start", aspect="equal")
    axes.set_title("white: no network has these overlaps", fontsize=9)
    figure.colorbar(image, label="steps until the loss is below 1e-4")
    save_figure(figure, options.picture, overwrite=True)

    first, last = steps.min().item(), steps.max().item()
    print(f"between {first:.0f} and {last:.0f} steps, a factor of {last / first:.1f}")


if __name__ == "__main__":
    main()
