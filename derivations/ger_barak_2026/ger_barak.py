"""What the figures of Ger & Barak 2026 share: specifications, sizes, colours."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from types import ModuleType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import symlow
from symlow.infinite_width import realise_weights
from symlow.initial import overlaps_of_weights, sample_weights
from symlow.protocols import Phase

HERE = Path(__file__).parent
NEURONS, LR, EPOCHS, SCALE = 500, 5e-3, 2000, 1.0
VISIBLE, INVISIBLE, BLACK, GREY = "#0072B2", "#D55E00", "black", "0.55"
LAST = (np.exp(-0.2 * 0.05) - 1 + 0.05) / 0.05
"""sigma_vu where the first task is learned, in steps of dt; 1 - c* for dt -> 0."""
SETTINGS = {"time step": 0.05, "trial": "20", "decay of the target c*": 0.2, "learning rate": LR}
UNKNOWN_START = (
    f"The source at hand gives no initial weights: Gaussian ones of standard deviation {SCALE:g} were taken, so that "
    "norms are about 1 and other overlaps about 1/sqrt(N)."
)


@functools.cache
def derivation(name: str = "rank1_linear", **task: float) -> symlow.DerivedSystem:
    """A specification of this folder, derived, with other parameters of its task where given."""
    spec = symlow.Spec.load(HERE / f"{name}.toml")
    if task:
        spec = spec.model_copy(update={"task": spec.task.model_copy(update=task)})
    return symlow.derive(spec)


@functools.cache
def compiled(d: symlow.DerivedSystem, backend: str = "numpy") -> ModuleType:
    """Its generated module."""
    return d.compile(backend)


def start(d: symlow.DerivedSystem, seed: int, neurons: int = NEURONS) -> np.ndarray:
    """The overlaps of sampled weights."""
    return overlaps_of_weights(d, sample_weights(d, neurons, SCALE, seed))


def realised(d: symlow.DerivedSystem, sigma: np.ndarray, seed: int, neurons: int = NEURONS) -> np.ndarray:
    """Random weights P with exactly these overlaps, shape (neurons, columns)."""
    return realise_weights(compiled(d).gram(sigma), neurons, seed)


def first_task_state(d: symlow.DerivedSystem, overlap: float, norm: float) -> np.ndarray:
    """A state that does the first task, with such squared norms and sigma_mu = sigma_zv as given.

    It is the same if m and z, and u and v, change places, and so is the flow: it stays so.
    """
    root = np.sqrt(LAST)
    known = {"z_m": 1.0, "z_u": root, "v_m": root, "v_u": LAST, "m_u": overlap, "z_v": overlap}
    return np.array([known.get(name, norm) for name in d.overlaps])


def rounds(epochs: int, lr: float) -> list[Phase]:
    """The phases A, B, A, B, A."""
    return [Phase(derivation() if k % 2 == 0 else derivation(decay=1.0), epochs, lr, "AB"[k % 2]) for k in range(5)]


def at(d: symlow.DerivedSystem, sigma: np.ndarray, *names: str) -> np.ndarray:
    """The overlaps of these names, along the first axis."""
    return np.stack([sigma[..., d.overlaps.index(name)] for name in names])


def panels(columns: int, rows: int = 1, width: float = 3.4, height: float = 2.9) -> tuple[Figure, np.ndarray]:
    """A figure with so many panels, and these in an array of shape (rows, columns)."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for panel in axes.flat:
        panel.spines[["top", "right"]].set_visible(False)
    return figure, axes


def label(panel: Axes, title: str, x: str, y: str = "") -> None:
    """Name a panel and its axes."""
    panel.set_title(title, fontsize=10)
    panel.set_xlabel(x, fontsize=9)
    panel.set_ylabel(y, fontsize=9)
    panel.tick_params(labelsize=8)


def legend(panel: Axes, **options: object) -> None:
    """A small legend without a frame."""
    panel.legend(frameon=False, fontsize=8, **options)


def symbol(name: str) -> str:
    """The LaTeX of an overlap."""
    left, right = (re.sub("([0-9]+)", r"_{\1}", part) for part in name.split("_"))
    return rf"$\|{left}\|^2$" if left == right else rf"$\sigma_{{{left}{right}}}$"
