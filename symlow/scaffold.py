"""A commented specification to start from, as ``symlow new`` writes it."""

from __future__ import annotations

import jinja2

from symlow.spec import Spec


def new_specification(name: str, rank: int = 1) -> str:
    """Return a commented specification (TOML) of that name.

    Raises:
        SpecError: if the name or the rank is not one that a specification accepts.
    """
    # Checked before it is written into a file, so that the message is about the name and not about the file.
    Spec.model_validate({"name": name, "network": {"rank": rank}, "task": {"kind": "exponential_filter", "decay": 0.2}})
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("symlow", "templates"), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template("specification.toml.jinja").render(name=name, rank=rank)
