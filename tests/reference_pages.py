"""The reference pages of derivations/guide/, written from the JSON Schema, the docstrings and the command line.

``python -m tests.reference_pages`` writes them; tests/test_pages.py fails if they are not what this module makes.
Options are read from the functions of the commands, not from the help of typer, whose layout changes between versions.
"""

from __future__ import annotations

import enum
import functools
import inspect
import json
import re
import textwrap
import types
import typing
from pathlib import Path

import sympy
import typer

import symlow
import symlow.decoding
import symlow.plot
import symlow.protocols
import symlow.simulate
from symlow.cli import COMMANDS
from symlow.spec import Spec
from symlow.sweep.specification import SweepTables

GUIDE = Path(__file__).parents[1] / "derivations" / "guide"
WRITTEN = "This page is written by `python -m tests.reference_pages`. Do not edit it."
MODULES = {
    "symlow": symlow,
    "symlow.tasks": symlow.tasks,
    "symlow.plot": symlow.plot,
    "symlow.protocols": symlow.protocols,
    "symlow.decoding": symlow.decoding,
    "symlow.simulate": symlow.simulate,
}
SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Example|Examples):$")


def cell(text: str) -> str:
    """A text as one cell of a table."""
    return " ".join(text.replace("|", "\\|").split())


def markdown(text: str) -> str:
    """The reStructuredText of docstrings as Markdown."""
    text = re.sub(r":\w+:`~?([^`]+)`", lambda role: f"`{role[1].rsplit('.', 1)[-1]}`", text)
    parts = text.replace("``", "`").split("`")  # every second one is code, in which a star is a star
    return "`".join(part if k % 2 else part.replace("*", r"\*") for k, part in enumerate(parts))


def filled(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 120, break_long_words=False, break_on_hyphens=False)


# The specification


def specification() -> str:
    parts = [
        "# Specification reference",
        WRITTEN,
        filled(
            "Every key of a specification, from the JSON Schema that `symlow schema` prints; then those of a sweep, "
            "from `symlow schema --sweeps`. A key without a default must be given. Unknown keys are refused, "
            "with the nearest known one. What can be written in `dynamics` is in [Equations](concepts.md#equations)."
        ),
        *tables(Spec.model_json_schema(), "Specification", {"NetworkSpec": "[network]", "LearningSpec": "[learning]"}),
        *tables(SweepTables.model_json_schema(), "Sweep", {}),
    ]
    return "\n\n".join(parts) + "\n"


def tables(schema: dict[str, typing.Any], title: str, headings: dict[str, str]) -> list[str]:
    """The tables of a schema: the one at the top, and those that it reaches, in the order in which it names them."""
    parts = [f"## {title}", *table(schema)]
    for name in reached(schema):
        definition = schema["$defs"][name]
        parts += [f"### {name}"]
        if name in headings:
            parts.append(f"The table `{headings[name]}`.")
        parts += table(definition)
    return parts


def reached(schema: dict[str, typing.Any]) -> list[str]:
    names: list[str] = []
    waiting = [{key: value for key, value in schema.items() if key != "$defs"}]
    while waiting:
        part = waiting.pop(0)
        for name in re.findall(r'"\$ref": "#/\$defs/(\w+)"', json.dumps(part)):
            if name not in names:
                names.append(name)
                waiting.append(schema["$defs"][name])
    return names


def table(definition: dict[str, typing.Any]) -> list[str]:
    """What a definition says, and its keys."""
    said = [filled(paragraph) for paragraph in markdown(definition.get("description", "")).split("\n\n") if paragraph]
    required = definition.get("required", [])
    rows = ["| key | accepted | default | meaning |", "| --- | --- | --- | --- |"]
    for key, value in definition.get("properties", {}).items():
        default = "required" if key in required else shown_default(value)
        rows.append(
            f"| `{key}` | {cell(accepted(value))} | {cell(default)} | {cell(markdown(value.get('description', '')))} |"
        )
    return [*said, "\n".join(rows)]


def shown_default(value: dict[str, typing.Any]) -> str:
    default = value.get("default")
    if default is None or "default" not in value:
        return "none"
    if isinstance(default, dict) and default:
        return "those of its keys"
    return f"`{json.dumps(default)}`"


def accepted(value: dict[str, typing.Any]) -> str:
    """What a key accepts, in words."""
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    for several in ("oneOf", "anyOf"):
        if several in value:
            return " or ".join(accepted(one) for one in value[several] if one != {"type": "null"})
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return ", ".join(f"`{json.dumps(one)}`" for one in value["enum"])
    if value.get("type") == "array":
        if "prefixItems" in value:
            return "pair of " + " and ".join(accepted(one) for one in value["prefixItems"])
        return f"list of {accepted(value.get('items', {}))}"
    if value.get("type") == "object":
        return f"by name, {accepted(value.get('additionalProperties', {}))}"
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    said = [f"{sign} {value[key]}" for key, sign in bounds.items() if key in value]
    return " ".join([value.get("type", "anything"), ", ".join(said)]).strip()


# The command line


def command_line() -> str:
    parts = [
        "# Command line reference",
        WRITTEN,
        filled(
            "Each command has `--help` with the same text. An error in a specification, a file or a number is one line "
            "on standard error, with exit code 2. An unknown command or option, or an argument that is missing or of "
            "the wrong kind, has the same exit code, and the usage stands above its line. A failed verification, or "
            "drift of generated files, exits with 1."
        ),
        *(part for function in COMMANDS for part in command(function)),
    ]
    return "\n\n".join(parts) + "\n"


def command(function: typing.Callable[..., None]) -> list[str]:
    arguments, options = [], []
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        kind, *said = typing.get_args(parameter.annotation)
        (info,) = (one for one in said if isinstance(one, typer.models.ParameterInfo))
        if isinstance(info, typer.models.ArgumentInfo):
            arguments.append((info.metavar or name.upper(), parameter, kind, info.help or ""))
        else:
            # typer takes the first declaration of an annotated option for its default until it reads the annotation
            declared = [one for one in (info.default, *(info.param_decls or ())) if str(one).startswith("-")]
            options.append((", ".join(declared) or f"--{name.replace('_', '-')}", parameter, kind, info.help or ""))
    usage = " ".join(
        ["symlow", function.__name__]
        + [
            name if parameter.default is parameter.empty or "[" in name else f"[{name}]"
            for name, parameter, *_ in arguments
        ]
        + ["[OPTIONS]"] * bool(options)
    )
    parts = [f"## symlow {function.__name__}", f"`{usage}`"]
    for paragraph in inspect.cleandoc(function.__doc__ or "").split("\n\n"):
        text = " ".join(paragraph.split())
        example = re.match(r"(\w+): (symlow .*)", text)
        if example:
            text = f"{example[1]}: " + ", or ".join(f"`{one}`" for one in example[2].split(", or "))
        parts.append(text if example else filled(markdown(text)))
    if arguments or options:
        rows = ["| argument | accepted | default | meaning |", "| --- | --- | --- | --- |"]
        for name, parameter, kind, said in [*arguments, *options]:
            default = parameter.default
            if default is parameter.empty:
                default = "required"
            elif kind is bool and "/" in name:
                default = f"`{name.split('/')[not default]}`"
            elif default is None or default is False:
                default = ""
            else:
                default = f"`{default.value if isinstance(default, enum.Enum) else default}`"
            meaning = markdown(said.replace("\\\\", "\\"))
            rows.append(f"| `{name}` | {cell(kind_of(kind))} | {cell(default)} | {cell(meaning)} |")
        parts.append("\n".join(rows))
    return parts


def kind_of(kind: typing.Any) -> str:
    """The kind of an argument, in words."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(kind_of(one) for one in inner if one is not type(None))
    if origin is typing.Literal:
        return ", ".join(f"`{one}`" for one in inner)
    if origin in (list, tuple):
        return f"{kind_of(inner[0])}, any number of times"
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return ", ".join(f"`{one.value}`" for one in kind)
    return {bool: "flag", Path: "path", int: "integer", float: "number", str: "text"}.get(kind, str(kind))


# Python


def python() -> str:
    parts = [
        "# Python reference",
        WRITTEN,
        filled(
            "The public names, with what their docstrings say. Generated modules have a docstring of their own: the "
            "first lines of [rank1_linear.py](../../generated/ger_barak_2026/rank1_linear.py) say what each function "
            "takes. Every error that a user can cause is a `SymlowError`, but in generated modules: they import "
            "nothing of symlow, and raise `ValueError` for arrays of another shape."
        ),
        "\n".join(f"- [{name}](#{name.replace('.', '')})" for name in MODULES),
    ]
    for name, module in MODULES.items():
        parts += [f"## {name}"]
        if name != "symlow":
            parts += docstring(module.__doc__)
        for public in public_names(module):
            parts += entry(name, public, getattr(module, public))
    return "\n\n".join(parts) + "\n"


def public_names(module: types.ModuleType) -> list[str]:
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if not isinstance(getattr(module, name), types.ModuleType)]
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
    ]


def entry(module: str, name: str, value: typing.Any) -> list[str]:
    """A heading, a signature and a docstring; for a class those of its methods too."""
    parts = [f"### {module}.{name}"]
    if inspect.isclass(value):
        return parts + class_entry(name, value)
    if inspect.isfunction(value):
        return [*parts, signature(name, value), *docstring(value.__doc__)]
    if name == "__version__":
        return [*parts, "The version of symlow."]
    if isinstance(value, sympy.Basic):
        return [*parts, f"The symbol `{value}`, for equations."]
    if isinstance(value, int | float | str | tuple):
        return [*parts, f"The constant `{value!r}`."]
    return [*parts, "A type, for annotations."]


def class_entry(name: str, value: type[typing.Any]) -> list[str]:
    """What a class says of itself, its own attributes and methods, and those of the bases that symlow has."""
    parts = []
    if hasattr(value, "model_fields"):
        parts.append("A table: its keys are in the [specification reference](specification.md).")
    elif not issubclass(value, Exception) and not getattr(value, "_is_protocol", False):
        parts.append(signature(name, value))
    parts += docstring(value.__doc__)
    members: dict[str, typing.Any] = {}
    for base in value.__mro__:
        if base.__module__.startswith("symlow"):
            members = {**vars(base), **members}
    for attribute, member in members.items():
        if attribute.startswith(("_", "model_")):
            continue
        if isinstance(member, property | functools.cached_property):
            said = (member.fget if isinstance(member, property) else member.func).__doc__
            if said:
                parts += [f"#### {name}.{attribute}", *docstring(said)]
        elif inspect.isfunction(member) or isinstance(member, classmethod | staticmethod):
            function = member if inspect.isfunction(member) else member.__func__
            if function.__doc__:
                parts += [f"#### {name}.{attribute}()", signature(f"{name}.{attribute}", function)]
                parts += docstring(function.__doc__)
    return parts


def signature(name: str, value: typing.Any) -> str:
    """A call in code, one parameter to a line where it is long. Annotations are as in the source."""
    words, star = [], False
    for parameter in inspect.signature(value).parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            words.append("*")
        star = star or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        mark = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        word = mark + parameter.name
        annotated = parameter.annotation is not parameter.empty
        if annotated:
            said = parameter.annotation
            word += f": {said if isinstance(said, str) else inspect.formatannotation(said)}"
        if parameter.default is not parameter.empty:
            default = repr(parameter.default)
            default = default if len(default) <= 40 and " at 0x" not in default and "<" not in default else "..."
            word += f" = {default}" if annotated else f"={default}"
        words.append(word)
    returned = inspect.signature(value).return_annotation
    arrow = f" -> {returned}" if isinstance(returned, str) and not inspect.isclass(value) else ""
    line = f"{name}({', '.join(words)}){arrow}"
    if len(line) > 100:
        line = f"{name}(\n" + "".join(f"    {word},\n" for word in words) + f"){arrow}"
    return f"```text\n{line}\n```"


def docstring(text: str | None) -> list[str]:
    """The parts of a docstring: prose, formulas in blocks, and its sections as lists."""
    parts: list[str] = []
    section = ""
    for block in inspect.cleandoc(text or "").split("\n\n"):
        lines = block.split("\n")
        if SECTION.match(lines[0]):
            section, lines = lines[0].rstrip(":"), lines[1:]
            body = textwrap.dedent("\n".join(lines))
            if section in ("Args", "Attributes", "Raises"):
                parts.append(f"{section}:\n\n" + items(body))
            elif section.startswith("Example"):
                parts.append(f"```text\n{body}\n```")
            else:
                parts.append(f"{section}: {filled(markdown(body))}")
        elif all(line.startswith("    ") for line in lines):
            parts.append("```text\n" + textwrap.dedent(block) + "\n```")
        else:
            parts.append(filled(markdown(block)))
    return [part for part in parts if part]


def items(body: str) -> str:
    """Lines "name: meaning", continued by indented ones, as a list."""
    found = re.split(r"\n(?=\S)", body)
    rows = []
    for one in found:
        name, _, meaning = one.partition(":")
        rows.append(filled(f"- `{name.strip()}`: {markdown(meaning)}").replace("\n", "\n  "))
    return "\n".join(rows)


PAGES = {"specification.md": specification, "command_line.md": command_line, "python.md": python}


def main() -> None:
    for name, page in PAGES.items():
        (GUIDE / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
