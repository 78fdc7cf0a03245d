"""A commented specification to start from, as ``symlow new`` writes it."""

from __future__ import annotations

import jinja2

from symlow.spec import Spec


def new_specification(name: str, rank: int = 1) -> str:
    """Return a commented specification (TOML) of that name.

    Raises:
        SpecError: if the name or the rank is not one that a specification accepts.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("symlow", "templates"), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    text = environment.get_template("specification.toml.jinja").render(name=name, rank=rank)
    Spec.from_toml(text)
    return text
