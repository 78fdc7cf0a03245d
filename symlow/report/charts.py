"""Line charts as SVG: curves with their names at their ends, in colours that the page's theme chooses.

    x = left + (value - low) / (high - low) * (right - left)

A curve is broken where values are missing. Small, without a program and without a package, the same bytes everywhere.
(Rejected: matplotlib's SVG, whose colours do not follow the theme, whose identifiers clash between pictures of a page,
and whose bytes change with its version.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from symlow.arrays import FloatArray, IntArray
from symlow.report.figures import tick_label
from symlow.report.labels import SIZE, label, width
from symlow.report.markup import element
from symlow.spacing import apart

WIDE, HIGH = 350.0, 276.0
"""Size of a chart."""

LEFT, TOP, BOTTOM = 50.0, 12.0, 42.0
"""Margins; that at the right is as wide as the names of the curves."""

COLOURS = 7
"""How many colours the page has for curves; then they repeat, dashed and dotted."""

MOST_POINTS = 400
"""The most points of a curve."""

LARGEST = 1e100
"""The largest value that is drawn: an axis from -1e308 to 1e308 has no length in floating point."""

MOST_NAMED = 12
"""The most curves with names and colours; more are thin and grey."""

APART = 19.3
"""The least distance of names, in the unit of pictures."""

DASHES = (None, "6 3", "2 2.5", "8 3 2 3")


@dataclass(frozen=True)
class Curve:
    """A curve of a chart.

    Attributes:
        values: one for each position.
        code: its name as LaTeX.
        style: its class, which gives the colour; by default one after the other.
        dash: whether it is dashed, if the class is given.
    """

    values: FloatArray
    code: str
    style: str = ""
    dash: bool = False


@dataclass(frozen=True)
class Scale:
    """An axis.

    Attributes:
        low: the value at its beginning.
        high: the value at its end.
        start: the place of its beginning.
        stop: the place of its end.
        logarithmic: whether places are linear in logarithms.
        whole: whether values are whole numbers, such as steps.
    """

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False
    whole: bool = False

    def place(self, value: float) -> float:
        """Return the place of a value."""
        low, high, value = (
            (math.log10(number) for number in (self.low, self.high, value))
            if self.logarithmic
            else (self.low, self.high, value)
        )
        return self.start + (value - low) / (high - low) * (self.stop - self.start)

    def ticks(self, count: int) -> list[float]:
        """Return about so many round values on the axis."""
        if self.logarithmic:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            powers = [10.0**k for k in range(first, last + 1, max(1, round((last - first) / count)))]
            finer = [factor * 10.0**k for k in range(first, last) for factor in (1, 2, 5)]
            for found in (powers, finer):
                inside = [tick for tick in found if self.low <= tick <= self.high]
                if len(inside) >= 3:
                    return inside
        rough = (self.high - self.low) / count
        size = 10.0 ** math.floor(math.log10(rough))
        step_ = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= 0.75 * rough)
        step_ = max(step_, 1) if self.whole else step_
        first, last = math.ceil(self.low / step_ - 1e-9), math.floor(self.high / step_ + 1e-9)
        return [k * step_ for k in range(first, last + 1)]


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        name: unique on the page, for the identifiers of its elements.
        title: what it shows, in a few words.
        description: what is seen, for those who do not see it.
        x: positions, increasing, shape (points,).
        curves: what is drawn, values that are not finite, or beyond ``LARGEST``, left out.
        x_title: what the horizontal axis shows.
        logarithmic: whether the vertical axis is; values that are not positive then are left out.
    """

    name: str
    title: str
    description: str
    x: FloatArray
    curves: Sequence[Curve]
    x_title: str
    logarithmic: bool = False

    def svg(self) -> Markup:
        """Return the picture."""
        named = self._named()
        right = max((width(self.curves[k].code) for k in named), default=0.0) + 26
        across = Scale(float(self.x[0]), self._reach(), LEFT, WIDE - right, whole=bool((self.x % 1 == 0).all()))
        up = self._vertical()
        parts = [
            element("title", self.title, id=f"{self.name}-title"),
            element("desc", self.description, id=f"{self.name}-description"),
            *self._axes(across, up),
        ]
        grey = (curve for k, curve in enumerate(self.curves) if k not in named)
        parts += [self._line(curve, across, up, "rest", None) for curve in grey]
        ends: list[tuple[float, float, int]] = []
        styles: dict[int, str] = {}
        for position, k in enumerate(named):
            curve = self.curves[k]
            styles[k] = curve.style or f"c{position % COLOURS}"
            number = int(curve.dash) if curve.style else position // COLOURS
            parts.append(self._line(curve, across, up, styles[k], DASHES[number % len(DASHES)]))
            last = self._finite(curve.values)
            if len(last):
                x, y = (float(values[last[-1]]) for values in (self.x, curve.values))
                ends.append((up.place(y), across.place(x), k))
        parts += self._names(ends, styles, WIDE - right)
        return element(
            "svg",
            *parts,
            class_="chart",
            role="img",
            aria_labelledby=f"{self.name}-title {self.name}-description",
            viewBox=f"0 0 {WIDE:.0f} {HIGH:.0f}",
        )

    def _named(self) -> list[int]:
        """Return which curves have names: those that move most, in their order."""
        kept = [curve.values[self._finite(curve.values)] for curve in self.curves]
        spans = [float(np.ptp(values)) if len(values) else 0.0 for values in kept]
        order = sorted(range(len(self.curves)), key=lambda k: (-round(spans[k], 9), k))
        return sorted(order[:MOST_NAMED])

    def _finite(self, values: FloatArray) -> IntArray:
        good = (np.abs(values) <= LARGEST) & ((values > 0) | (not self.logarithmic))
        return np.flatnonzero(good)

    def _reach(self) -> float:
        """Return the end of the horizontal axis: where the last curve ends, for learning may diverge before."""
        last = max((int(kept[-1]) for curve in self.curves if len(kept := self._finite(curve.values))), default=0)
        return float(max(self.x[min(max(last, 1), len(self.x) - 1)], self.x[0] + 1e-12))

    def _vertical(self) -> Scale:
        kept = [curve.values[self._finite(curve.values)] for curve in self.curves]
        values = np.concatenate([*kept, np.zeros(0)])
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.5, 1.0)
        if self.logarithmic:
            low, high = low * 0.85, high * 1.15
        else:
            low, high = min(low, 0.0), max(high, 0.0)
            margin = 0.05 * ((high - low) or 1.0)
            low, high = low - margin * (low < 0), high + margin
        return Scale(low, high, HIGH - BOTTOM, TOP, self.logarithmic)

    def _axes(self, across: Scale, up: Scale) -> list[Markup]:
        base = up.start
        parts = []
        for tick in up.ticks(5):
            y = f"{up.place(tick):.1f}"
            parts.append(element("line", x1=f"{LEFT:.1f}", y1=y, x2=f"{across.stop:.1f}", y2=y, class_="grid"))
            parts.append(_text(tick_label(tick, up.logarithmic), LEFT - 7, up.place(tick) + 4, "end"))
        for tick in across.ticks(4):
            x = f"{across.place(tick):.1f}"
            parts.append(element("line", x1=x, y1=f"{base:.1f}", x2=x, y2=f"{base + 4:.1f}", class_="axis"))
            parts.append(_text(tick_label(tick), across.place(tick), base + 18, "middle"))
        line = f"M{LEFT:.1f} {base:.1f}H{across.stop:.1f}"
        parts.append(element("path", d=line, class_="axis"))
        parts.append(_text(self.x_title, (across.start + across.stop) / 2, HIGH - 7, "middle"))
        return parts

    def _line(self, curve: Curve, across: Scale, up: Scale, style: str, dash: str | None) -> Markup:
        """Return a curve, broken where values are left out; nothing if all are, for a path has a point at least."""
        kept = self._finite(curve.values)
        piece = np.cumsum(np.diff(kept, prepend=kept[:1]) > 1)
        if len(kept) > MOST_POINTS:
            some = np.unique(np.linspace(0, len(kept) - 1, MOST_POINTS).round().astype(int))
            kept, piece = kept[some], piece[some]
        begins, alone = np.diff(piece, prepend=-1) > 0, np.bincount(piece)[piece] == 1
        code = ""
        for k, first, only in zip(kept, begins, alone, strict=True):
            point = f"{across.place(float(self.x[k])):.1f} {up.place(float(curve.values[k])):.1f}"
            # A line of no length would not be seen.
            code += f"{'M' if first else 'L'}{point}{'h1.5' if only else ''}"
        return element("path", d=code, class_=f"curve {style}", stroke_dasharray=dash) if code else Markup()

    def _names(self, ends: list[tuple[float, float, int]], styles: dict[int, str], right: float) -> list[Markup]:
        """Return the names of curves at their ends, moved apart where these are close, each with a line to its end."""
        ends = sorted(ends)
        low, high = TOP + 4, HIGH - BOTTOM
        distance = min(APART, (high - low) / max(len(ends) - 1, 1))
        places = apart(np.array([y for y, _, _ in ends]), distance, (low, high))
        parts = []
        for (y, x, k), place in zip(ends, places, strict=True):
            leader = f"M{x + 1:.1f} {y:.1f}L{right + 12:.1f} {place:.1f}"
            parts.append(element("path", d=leader, class_=f"leader {styles[k]}"))
            content = label(self.curves[k].code)
            base = f"{place + SIZE / 3:.1f}"
            parts.append(element("text", content, x=f"{right + 15:.1f}", y=base, font_size=f"{SIZE:g}"))
        return parts


def _text(content: str, x: float, y: float, anchor: str) -> Markup:
    return element("text", content, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)
