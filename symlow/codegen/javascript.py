"""A derivation as a JavaScript module: the generated module once more, for pages that learn while they are looked at.

    import { OVERLAPS, loss, lossGradient, rhs, step, outputs } from "./rank1_linear.mjs";

It needs nothing but a browser or Node.js, and steps one state at a time. Trials are the kernels of compiled backends,
one after another; a filter task has its closed form. Matrices are Float64Arrays, rows one behind the other.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

import jinja2

from symlow.codegen.backends import JAVASCRIPT, check_size
from symlow.codegen.javascript_filter import filter_entries
from symlow.codegen.javascript_syntax import declared, javascript, line
from symlow.codegen.layout import WIDTH, wrapped
from symlow.codegen.lowering import lower, number
from symlow.codegen.statements import mentioned
from symlow.derivation import Derivation
from symlow.printing.rules import rule_equations
from symlow.printing.text import gain_equations, network_equations
from symlow.spec import FORMAT
from symlow.tasks.filters import FilterLoss
from symlow.version import MARK, __version__

EXPORTS = (
    "OVERLAPS",
    "VISIBLE",
    "INVISIBLE",
    "ROWS",
    "COLUMNS",
    "N_COLUMNS",
    "N_INPUTS",
    "N_OUTPUTS",
    "DT",
    "TAU",
    "gram",
    "loss",
    "lossGradient",
    "lossAndGradient",
    "rhs",
    "step",
    "outputs",
)
"""What every module exports, in order; one of a filter task exports ``PARAMETERS`` and ``task`` as well."""


def module_source(derivation: Derivation) -> str:
    """Return the text of the JavaScript module (an ES module) of a derivation.

    Its surface, with sigma the overlaps in the order of ``OVERLAPS``, as a Float64Array or an array of numbers:

    - ``loss(sigma, trials)``, ``lossGradient(sigma, trials)`` over ``VISIBLE``, ``lossAndGradient(sigma, trials)``;
    - ``rhs(t, sigma, trials)`` and ``step(sigma, lr, trials)``, of the overlaps;
    - ``outputs(sigma, trials)``, flat with shape (batch, time, N_OUTPUTS);
    - ``trials`` is ``{x, y, mask, batch, time}`` with flat arrays x (batch, time, N_INPUTS), y (batch, time, N_OUTPUTS)
      and mask like y or null. A filter task needs none, and takes ``task({decay: 0.3})`` in their place.

    Raises:
        SpecError: for more visible overlaps than are written out entry by entry.
    """
    return f"{_body(derivation)}\nexport {{\n{_names(derivation)},\n}};\n"


def closure_source(derivation: Derivation) -> str:
    """Return the same as an expression, whose value has the exports as properties, to stand in another script.

    Raises:
        SpecError: for more visible overlaps than are written out entry by entry.
    """
    return f"(() => {{\n{_body(derivation)}\nreturn {{\n{_names(derivation)},\n}};\n}})()"


def _names(derivation: Derivation) -> str:
    """Return the names of what is exported, in lines of bounded width."""
    return _listed((*EXPORTS, "PARAMETERS", "task") if isinstance(derivation.loss, FilterLoss) else EXPORTS)


def _listed(names: Iterable[str], indent: int = 2) -> str:
    margin = " " * indent
    return textwrap.fill(", ".join(names), WIDTH, initial_indent=margin, subsequent_indent=margin)


def _body(derivation: Derivation) -> str:
    check_size(JAVASCRIPT.name, len(derivation.visible), "time steps are written out entry by entry")
    module = lower(derivation, kernels=True)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("symlow.codegen", "templates/javascript"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "comment": _in_comment,
        "declared": declared,
        "javascript": javascript,
        "line": line,
        "listed": _listed,
        "number": number,
        "wrapped": wrapped,
        "wrapped_comment": _wrapped_comment,
    }
    environment.tests["mentioned"] = mentioned
    return environment.get_template("module.js.jinja").render(
        module=module,
        filter=None if module.filter is None else filter_entries(derivation, module),
        network_equations=network_equations(derivation.network),
        gain_equations=gain_equations(derivation),
        rule_equations=rule_equations(derivation.rule, derivation.network.equations.averages),
        version=__version__,
        format=FORMAT,
        mark=MARK,
    )


def _in_comment(text: str) -> str:
    """Return a user's text so that it ends neither the comment that it stands in nor a script of a page."""
    return text.replace("*/", "* /").replace("</", "< /").replace("<!", "< !")


def _wrapped_comment(text: str, indent: int) -> str:
    """Return text of a comment in lines of bounded width, those after the first indented."""
    later = " *".ljust(indent)
    return textwrap.fill(text, WIDTH - indent, subsequent_indent=f"{later}    ", break_long_words=False)
