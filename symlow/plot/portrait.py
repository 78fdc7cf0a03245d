"""Phase portraits of latents: the vector field of the reduced dynamics, its fixed points, and trajectories.

    (kappa[t+1] - kappa[t]) / dt in the plane of two latents, at constant input, the others held where they rest

A flip-flop network that has learned has two stable fixed points for x = 0, one for each value that it remembers; one
that has learned a damped oscillation a spiral into a single one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from symlow.arrays import FloatArray, check_array, check_number, is_single
from symlow.derivation import Derivation
from symlow.errors import ArrayError
from symlow.latent_step import LatentStep
from symlow.plot.figures import new_figure
from symlow.plot.labels import mathtext
from symlow.plot.style import shades, styled
from symlow.printing.notation import Notation
from symlow.realise import check_state

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GRID = 41
"""Points of the vector field along each axis."""

STARTS = 8
"""How many trajectories there are unless their starts are given, on a circle."""

RANGES = (0.3, 1.0, 3.0, 10.0)
"""Half widths of the squares from whose grids fixed points are sought, each of ``SEARCH`` points on a side."""
SEARCH = 7

DURATION = 20.0
"""How long trajectories are, in units of tau."""

MARGIN = 1.4
"""How far the picture reaches beyond the outermost fixed point."""

MARGINAL = 1e-6
"""How far above 1 the modulus of an eigenvalue of the step may be at a fixed point that is called stable."""

TRAJECTORIES = ("#882255", "#117733", "#332288")
"""Between these are the colours of trajectories."""


@styled
def plot_phase_portrait(
    derivation: Derivation,
    sigma: FloatArray,
    latents: tuple[str, str] | None = None,
    x: float | Sequence[float] = 0.0,
    starts: FloatArray | None = None,
    duration: float = DURATION,
    extent: float | None = None,
    held: Mapping[str, float] | None = None,
) -> Figure:
    """Return a phase portrait of the reduced network in the plane of two latents.

    Streamlines are the vector field, lines trajectories of the whole reduced network, filled dots stable fixed points
    and open ones unstable fixed points.

    Args:
        derivation: the network.
        sigma: overlaps, shape (n_overlaps,).
        latents: the two axes, entries of latents such as ``("kappa_u1", "kappa_u2")``; by default the first two that
            overlaps drive, filled up with filtered inputs.
        x: the constant input, a number or one for each input.
        starts: where trajectories start in the plane, shape (trajectories, 2); by default on a circle.
        duration: of trajectories, in units of tau.
        extent: half of the width of the picture; by default what shows the fixed points.
        held: values of latents outside the plane by name; the others are where they settle while those two are 0.

    Raises:
        ArrayError: for overlaps, inputs or starts of another shape or with values that are not finite, a duration or
            extent that is not positive, or latents that the network does not have.
        GramMatrixError: for overlaps of no network.
        LearningError: if latents outside the plane do not settle.
        DependencyError: if matplotlib is not installed.
    """
    step = LatentStep(derivation, check_state(sigma, derivation))
    plane = step.positions(_default(step) if latents is None else latents)
    if len(plane) != 2 or plane[0] == plane[1]:
        raise ArrayError(f"latents: found {len(set(plane))} different ones; accepted: 2 of {', '.join(step.names)}")
    given_x = check_array(x, "x", () if is_single(x) else (step.inputs,), "a number, or one for each input")
    inputs = np.broadcast_to(given_x, (step.inputs,))
    if starts is not None:
        starts = check_array(starts, "starts", (None, 2), "(trajectories, 2)")
    check_number(duration, "duration", above=0)
    if extent is not None:
        check_number(extent, "extent", above=0)
    for name, value in (held or {}).items():
        check_number(value, f"held[{name!r}]")
    others = {} if held is None else dict(zip(step.positions(list(held)), held.values(), strict=True))
    base = step.at_rest(inputs, plane, others)
    points, moduli = step.fixed_points(_search(base, plane), inputs)
    reach = extent if extent is not None else MARGIN * max(1.0, *np.abs(points[:, plane]).ravel())
    if starts is None:
        angles = 2 * np.pi * (np.arange(STARTS) + 0.5) / STARTS
        starts = 0.9 * reach * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    figure = new_figure(6.2, 6.6)
    panel = figure.subplots()
    _field(panel, step, inputs, base, plane, reach)
    steps = max(1, round(duration * float(derivation.network.tau) / step.dt))
    _trajectories(panel, step, inputs, _placed(base, plane, starts), plane, steps)
    stable = moduli <= 1 + MARGINAL
    for chosen, face, label in ((stable, "black", "stable fixed point"), (~stable, "white", "unstable")):
        if chosen.any():
            dots: dict[str, Any] = {"markerfacecolor": face, "markersize": 10, "markeredgewidth": 1.8, "zorder": 5}
            panel.plot(*points[chosen][:, plane].T, "o", color="black", label=label, **dots)
    if len(points):
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, handletextpad=0.2)
    notation = Notation(derivation.reduction.index)
    labels = [mathtext(notation.letter(step.names[k])) for k in plane]
    panel.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel=labels[0], ylabel=labels[1], aspect="equal")
    given = ", ".join(f"{value:g}" for value in inputs)
    panel.set_title(f"latents at input {given}" if len(inputs) == 1 else f"latents at inputs {given}")
    panel.xaxis.label.set_fontsize(16)
    panel.yaxis.label.set_fontsize(16)
    return figure


def _default(step: LatentStep) -> list[str]:
    """Return the first two latents that overlaps drive; with fewer, a filtered input is the first axis."""
    driven = [name for name, moved in zip(step.names, step.driven, strict=True) if moved][:2]
    others = [name for name, moved in zip(step.names, step.driven, strict=True) if not moved]
    chosen = [*others[: 2 - len(driven)], *driven]
    if len(chosen) < 2:
        raise ArrayError(f"latents: the network has one, {step.names[0]}; a portrait has two axes")
    return chosen


def _placed(base: FloatArray, plane: list[int], places: FloatArray) -> FloatArray:
    """Return latents at places in the plane, shape (..., 2), the others where they are held."""
    kappa = np.broadcast_to(base, (*places.shape[:-1], len(base))).copy()
    kappa[..., plane] = places
    return kappa


def _search(base: FloatArray, plane: list[int]) -> FloatArray:
    """Return where fixed points are sought from: grids of several sizes in the plane."""
    grids = [np.stack(np.meshgrid(*[np.linspace(-r, r, SEARCH)] * 2), axis=-1).reshape(-1, 2) for r in RANGES]
    return _placed(base, plane, np.concatenate(grids))


def _field(panel: Any, step: LatentStep, x: FloatArray, base: FloatArray, plane: list[int], reach: float) -> None:
    axis = np.linspace(-reach, reach, GRID)
    places = np.stack(np.meshgrid(axis, axis), axis=-1)
    velocity = step.velocity(_placed(base, plane, places), x)[..., plane]
    speed = np.linalg.norm(velocity, axis=-1)
    width = 0.4 + 1.2 * np.sqrt(speed / (speed.max() or 1.0))
    panel.streamplot(
        axis, axis, velocity[..., 0], velocity[..., 1], color="0.72", linewidth=width, density=1.1, arrowsize=1.1
    )


def _trajectories(
    panel: Any, step: LatentStep, x: FloatArray, starts: FloatArray, plane: list[int], steps: int
) -> None:
    with np.errstate(over="ignore", invalid="ignore"):  # a trajectory may leave the picture for good
        course = step.run(starts, x, steps)[..., plane]
    for k, colour in enumerate(shades(TRAJECTORIES, course.shape[1])):
        panel.plot(*course[:, k].T, color=colour, linewidth=1.8, zorder=3)
        panel.plot(*course[0, k], "o", color=colour, markersize=4.5, zorder=4)
