"""The figure of all pictures: matplotlib's own, which a notebook shows though pyplot does not know it.

Figures of pyplot stay in memory until they are closed. These do not, and a notebook that imports no pyplot would show
their size only.
"""

from __future__ import annotations

import io
from typing import Any

from matplotlib.figure import Figure

from symlow.plot.style import styled

SCREEN = 72
"""Points of a notebook's page per inch of a picture."""


class Picture(Figure):
    """A figure that notebooks show, twice as fine as the points of the page."""

    @styled
    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=2 * SCREEN, metadata={"Software": None})
        width, height = self.get_size_inches() * SCREEN
        return stream.getvalue(), {"width": round(width), "height": round(height)}
