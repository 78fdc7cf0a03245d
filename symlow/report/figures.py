"""Numbers as people read them: 3.22·10⁻⁷ and −0.57, not 3.22e-07 and -0.57."""

from __future__ import annotations

import math
import re

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

POWER = re.compile(r"(?<![\w.])(?P<mantissa>\d+(?:\.\d+)?)e(?P<exponent>[-+]?\d+)(?!\w)")


def figure(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, and a power of ten where it is small or large."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{float(f'{value:.{digits}g}'):.{max(digits, 6)}g}".replace("-", "−")
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    return f"{mantissa}·{_power(int(exponent))}".replace("-", "−")


def figures_in(text: str) -> str:
    """Return words with the powers of ten in them, 4e-10, as people write them, 4·10⁻¹⁰."""
    return POWER.sub(lambda match: f"{match['mantissa']}·{_power(int(match['exponent']))}", text)


def tick_label(value: float, logarithmic: bool = False) -> str:
    """Return a round number as an axis shows it, powers of ten as such, on a logarithmic axis the smaller ones too."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)) + 1e-9)
    if -3 <= exponent <= 4 and not (logarithmic and not -2 <= exponent <= 3):
        return f"{value:.4g}".replace("-", "−")
    mantissa = value / 10.0**exponent
    power = _power(exponent)
    return power if abs(mantissa - 1) < 1e-9 else f"{mantissa:.3g}·{power}".replace("-", "−")


def _power(exponent: int) -> str:
    return f"10{str(exponent).translate(SUPERSCRIPTS)}"
