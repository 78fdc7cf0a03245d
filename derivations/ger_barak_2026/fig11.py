"""The blocks of the metric.

Overlaps move as sigma' = -G(sigma) grad L, with G linear in the overlaps. In the linear network the rows of G for
loss-visible overlaps, against loss-visible gradients, contain loss-invisible overlaps alone, and those for
loss-invisible overlaps contain loss-visible ones alone: invisible overlaps are the metric in which visible ones learn,
and gradients of the visible move the invisible. It holds at rank 1, with ten overlaps of which four are visible, and at
rank 2, with twenty-one of which nine are. In a nonlinear network the overlaps of m and u with one another are visible
too, and stand in both kinds of rows. The visible block is symmetric, and positive semidefinite at the overlaps of any
network.
"""

from __future__ import annotations

import numpy as np
import sympy
from ger_barak import INVISIBLE, VISIBLE, derivation, panels, start, symbol
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

import symlow
from symlow.reproduction import Check, Outcome

NETWORKS = (
    ("rank1_linear", "linear, rank 1"),
    ("rank2_damped_oscillation", "linear, rank 2"),
    ("rank1_erf_flip_flop", "erf, rank 1"),
)
BOTH = "#CC79A7"
NEITHER, SEEN, UNSEEN, MIXED = range(4)


def run(quick: bool) -> Outcome:
    states = 10 if quick else 200
    figure, axes = panels(3, width=3.6, height=4.6)
    checks, numbers = [], {}
    for panel, (name, title) in zip(axes[0], NETWORKS, strict=True):
        d = derivation(name)
        kinds = contents(d)
        visible, invisible = kinds[: len(d.visible)], kinds[len(d.visible) :]
        if "linear" in title:
            wrong = [
                int(np.isin(rows, kind).sum())
                for rows, kind in ((visible, (SEEN, MIXED)), (invisible, (UNSEEN, MIXED)))
            ]
            checks.append(Check(f"{title}: entries of visible rows with a visible overlap", wrong[0], 0))
            checks.append(Check(f"{title}: entries of invisible rows with an invisible one", wrong[1], 0))
        else:
            mixed = float(np.isin(visible, (SEEN, MIXED)).sum())
            checks.append(Check(f"{title}: entries of visible rows with a visible overlap", mixed, None, 1))
        block = visible_block(d, np.stack([start(d, seed, 6 + seed) for seed in range(states)]))
        sizes = np.abs(block).max(axis=(1, 2))
        skew = np.abs(block - block.swapaxes(1, 2)).max(axis=(1, 2)) / sizes
        scaled = np.linalg.eigvalsh(block)[:, 0] / sizes
        checks.append(Check(f"{title}: asymmetry of the visible block, largest, relative", float(skew.max()), 1e-14))
        checks.append(
            Check(f"{title}: least eigenvalue of the visible block, relative", float(scaled.min()), None, -1e-13)
        )
        numbers |= count(title, d, kinds)
        draw(panel, d, kinds, title)
    words = {INVISIBLE: "loss-invisible overlaps", VISIBLE: "loss-visible overlaps", BOTH: "both"}
    figure.legend(
        handles=[Patch(color=c, label=w) for c, w in words.items()], loc="outside lower center", ncols=3, frameon=False
    )
    return Outcome(figure, tuple(checks), numbers, {"states at which the block is evaluated": states})


def contents(d: symlow.DerivedSystem) -> np.ndarray:
    """What each entry of G contains: visible overlaps, invisible ones, both, or none."""
    names = {f"sigma_{name}" for name in d.visible}
    kinds = np.full(d.metric.shape, NEITHER)
    for (row, column), entry in d.metric.todok().items():
        found = {symbol.name in names for symbol in entry.free_symbols}
        kinds[row, column] = MIXED if len(found) == 2 else SEEN if found == {True} else UNSEEN
    return kinds


def visible_block(d: symlow.DerivedSystem, sigma: np.ndarray) -> np.ndarray:
    """The visible block of G at overlaps of shape (states, n_overlaps)."""
    symbols = [overlap.symbol for overlap in d.ordered]
    evaluate = sympy.lambdify(symbols, list(d.metric.visible_block), "numpy")
    n = len(d.visible)
    entries = [np.broadcast_to(entry, len(sigma)) for entry in evaluate(*sigma.T)]
    return np.stack(entries, axis=-1).reshape(len(sigma), n, n)


def count(title: str, d: symlow.DerivedSystem, kinds: np.ndarray) -> dict[str, str]:
    parts = {"visible": kinds[: len(d.visible)], "invisible": kinds[len(d.visible) :]}
    return {
        f"{title}: {name} rows, entries with visible / invisible / both / none": " / ".join(
            str(int((part == kind).sum())) for kind in (SEEN, UNSEEN, MIXED, NEITHER)
        )
        for name, part in parts.items()
    }


def draw(panel: Axes, d: symlow.DerivedSystem, kinds: np.ndarray, title: str) -> None:
    panel.imshow(kinds, cmap=ListedColormap(["white", VISIBLE, INVISIBLE, BOTH]), vmin=0, vmax=3)
    panel.axhline(len(d.visible) - 0.5, color="black", linewidth=1)
    size = 8 if len(d.overlaps) < 15 else 5
    panel.set_yticks(range(len(d.overlaps)), [symbol(name) for name in d.overlaps], fontsize=size)
    panel.set_xticks(range(len(d.visible)), [symbol(name) for name in d.visible], fontsize=size, rotation=90)
    for side in ("top", "right", "bottom", "left"):
        panel.spines[side].set_visible(True)
    panel.set_title(title, fontsize=10)
    panel.set_xlabel("gradient by", fontsize=9)
