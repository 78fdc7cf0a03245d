"""Elements of HTML, MathML and SVG: ``<name attribute="value">content</name>``, all text in them escaped."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape


def element(name: str, *content: str, **attributes: object) -> Markup:
    """Return an element with its content; text that is not markup yet is escaped.

    Args:
        name: its tag.
        content: what stands in it.
        attributes: by name, an underscore for a hyphen, and one at the end of a Python keyword left out; None is left
            out too. The camel case of SVG stays.
    """
    # Names are the program's own; everything else is escaped here, and nothing is escaped twice.
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{given}>{''.join(map(escape, content))}</{name}>")


def scrolling(content: str, name: str) -> Markup:
    """Return what may be wider than a screen in a box that scrolls, which keys reach by its name."""
    return element("div", content, class_="wide", tabindex=0, role="group", aria_label=name)


def joined(parts: Iterable[str]) -> Markup:
    """Return the parts one behind the other; text that is not markup yet is escaped."""
    return Markup("").join(parts)
