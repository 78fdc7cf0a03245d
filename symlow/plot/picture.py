"""The figure of all pictures: matplotlib's own, which a notebook shows though pyplot does not know it.

Figures of pyplot stay in memory until they are closed. These do not, and a notebook that imports no pyplot would show
their size only.
"""

from __future__ import annotations

import io
from typing import Any

from matplotlib.figure import Figure

from symlow.plot.style import styled

COLOURS = 96
"""The most colours of a picture in a notebook."""

SCREEN = 72
"""Points of a notebook's page per inch of a picture."""


class Picture(Figure):
    """A figure that notebooks show, twice as fine as the points of the page."""

    @styled
    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        from PIL import Image

        drawn, stream = io.BytesIO(), io.BytesIO()
        self.savefig(drawn, format="png", dpi=2 * SCREEN)
        # As many colours as drawings have: a third of the size, in notebooks that are kept with their outputs.
        colours = Image.open(drawn).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        colours.save(stream, format="png", optimize=True)
        width, height = self.get_size_inches() * SCREEN
        return stream.getvalue(), {"width": round(width), "height": round(height)}
