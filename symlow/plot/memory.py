"""Memory: which overlaps tell histories apart that end in the same function (Ger & Barak 2026, figs. 3 and 10).

Networks of two histories are points; a decoder that sees only some of their overlaps guesses the history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from symlow.arrays import FloatArray, check_array, check_number, shown
from symlow.colours import CLASSES, INVISIBLE, VISIBLE
from symlow.errors import ArrayError
from symlow.plot.figures import new_figure
from symlow.plot.labels import overlap_label
from symlow.plot.style import GREY, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = ("o", "^")

KINDS = {"visible": VISIBLE, "invisible": INVISIBLE}
"""Colours of accuracies by the word that their name begins with."""


@styled
def plot_memory(
    overlaps: FloatArray,
    history: NDArray[Any],
    names: Sequence[str],
    accuracy: Mapping[str, float],
    axes: tuple[str, str] | None = None,
    chance: float = 0.5,
) -> Figure:
    """Return a figure of the memory of two histories: networks in the plane of two overlaps, and what decoders find.

    Args:
        overlaps: shape (networks, overlaps), of networks with one or the other history.
        history: which of two histories each network has, shape (networks,); the two values name them.
        names: of the overlaps.
        accuracy: the share of networks whose history a decoder finds, 0 to 1, by what it reads. Names that begin with
            "visible" or "invisible" have the colour of these overlaps.
        axes: the two overlaps that are the axes; by default the two whose means differ most between the histories,
            relative to their spread.
        chance: the accuracy of guessing.

    Raises:
        ArrayError: for arrays of other shapes or with values that are not finite, another number of histories than
            two, an overlap that is not named, or an accuracy below 0 or above 1.
        DependencyError: if matplotlib is not installed.
    """
    overlaps, history = check_array(overlaps, "overlaps", (None, None), "(networks, overlaps)"), np.asarray(history)
    if not isinstance(accuracy, Mapping):
        raise ArrayError(f"accuracy: found {shown(accuracy)}; accepted: a mapping, such as {{'invisible': 0.9}}")
    for name, share in {**{f"accuracy[{key!r}]": value for key, value in accuracy.items()}, "chance": chance}.items():
        check_number(share, name, least=0, most=1)
    classes = np.unique(history)
    _check(overlaps, history, names, classes)
    pair = _telling(overlaps, history == classes[0]) if axes is None else tuple(_place(name, names) for name in axes)
    figure = new_figure(10.5, 4.4)
    plane, bars = figure.subplots(1, 2, width_ratios=(1.25, 1))
    for value, colour, marker in zip(classes, CLASSES, MARKERS, strict=True):
        points = overlaps[history == value][:, pair]
        plane.plot(*points.T, marker, color=colour, markersize=6, markeredgecolor="white", label=str(value))
    plane.set(xlabel=overlap_label(names[pair[0]]), ylabel=overlap_label(names[pair[1]]))
    plane.set_title("networks after learning")
    plane.legend(handletextpad=0.2)
    labels, heights = list(accuracy), [float(value) for value in accuracy.values()]
    colours = [next((c for word, c in KINDS.items() if label.startswith(word)), "0.4") for label in labels]
    drawn = bars.bar(labels, heights, color=colours, width=0.62)
    bars.bar_label(drawn, [f"{height:.0%}" for height in heights], padding=3)
    bars.axhline(chance, color=GREY, linewidth=1.0, linestyle="--")
    # In axes' width and the data's height: beside the bars, on the line.
    bars.annotate(
        "chance", (1.0, chance), (4, 0), ("axes fraction", "data"), "offset points", va="center", color="0.35"
    )
    bars.set(ylim=(0, 1.12), yticks=[0, 0.25, 0.5, 0.75, 1.0], title="history decoded from", ylabel="accuracy")
    bars.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    return figure


def _check(overlaps: FloatArray, history: NDArray[Any], names: Sequence[str], classes: NDArray[Any]) -> None:
    if overlaps.shape[1] != len(names) or len(names) < 2:
        raise ArrayError(
            f"overlaps: found shape {overlaps.shape} with {len(names)} names; accepted: (networks, overlaps), "
            "a name for each of two or more overlaps"
        )
    if history.shape != overlaps.shape[:1]:
        raise ArrayError(f"history: found shape {history.shape}; accepted: {overlaps.shape[:1]}, one for each network")
    if len(classes) != 2:
        raise ArrayError(f"history: found {len(classes)} different values; accepted: 2")


def _place(name: str, names: Sequence[str]) -> int:
    if name not in names:
        raise ArrayError(f"axes: found {name!r}; accepted: two of {', '.join(names)}")
    return list(names).index(name)


def _telling(overlaps: FloatArray, first: NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the two overlaps that differ most between two classes: difference of means over the spread in each."""
    one, other = overlaps[first], overlaps[~first]
    spread = np.sqrt(one.var(axis=0) + other.var(axis=0))
    difference = np.abs(one.mean(axis=0) - other.mean(axis=0))
    without_spread = np.where(difference > 0, np.inf, 0.0)
    telling = np.divide(difference, spread, out=without_spread, where=spread > 0)
    return tuple(int(k) for k in np.argsort(-telling, kind="stable")[:2])
