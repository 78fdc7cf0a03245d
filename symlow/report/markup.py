"""Elements of the report: those of :mod:`symlow.markup`, with all text in them escaped, and a box that scrolls."""

from __future__ import annotations

from markupsafe import Markup

from symlow.markup import element, joined

__all__ = ["element", "joined", "scrolling"]


def scrolling(content: str, name: str) -> Markup:
    """Return what may be wider than a screen in a box that scrolls, which keys reach by its name."""
    return element("div", content, class_="wide", tabindex=0, role="group", aria_label=name)
