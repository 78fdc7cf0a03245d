"""A commented specification to start from, as ``symlow new`` writes it."""

from __future__ import annotations

import jinja2

from symlow.spec import Spec


def new_specification(name: str, rank: int = 1, equations: bool = False) -> str:
    """Return a commented specification (TOML) of that name, of a low-rank network by its sizes or by its equations.

    Raises:
        SpecError: if the name or the rank is not one that a specification accepts.
    """
    # Checked before it is written into a file, so that the message is about the name and not about the file.
    Spec.model_validate({"name": name, "network": {"rank": rank}, "task": {"kind": "exponential_filter", "decay": 0.2}})
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("symlow", "templates"), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    template = "equations.toml.jinja" if equations else "specification.toml.jinja"
    return environment.get_template(template).render(name=name, rank=rank)
