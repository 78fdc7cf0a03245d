"""Colours with a meaning, the same in pictures, notebooks and terminals: visible is blue, invisible vermilion.

Both are of the palette of Okabe & Ito (2008), which people with any of the usual colour vision deficiencies tell apart,
and so are the two of other classes, green and purple.
"""

from __future__ import annotations

VISIBLE = "#0072B2"
INVISIBLE = "#D55E00"
BOTH = "#7F7F7F"
"""What has a share of visible and of invisible overlaps."""

VISIBLE_SHADES = ("#003A5D", "#0072B2", "#3F9BD4", "#79B8E2")
INVISIBLE_SHADES = ("#7A3000", "#D55E00", "#E98A35", "#EBAA66")
"""From dark to light: several overlaps of one kind take colours between these."""

CLASSES = ("#009E73", "#AA3377")
"""Two classes that are neither visible nor invisible, such as two histories."""

VISIBLE_ON_ANY, INVISIBLE_ON_ANY = "#2F8FD0", "#D9660F"
"""The two for letters on a background that may be light or dark: contrast of at least 3.4 with white and with black."""


ON_LIGHT, ON_DARK = (VISIBLE, "#B34F00"), (VISIBLE_SHADES[-1], INVISIBLE_SHADES[-1])
"""The two for letters on white, or nearly, and on black: contrast of at least 4.5. Vermilion as it is has 3.9."""


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours, #rrggbb each, from 1 to 21 (WCAG 2.2, section 1.4.3)."""
    bright, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    linear = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
