"""Validation errors as one-line messages: the key, what was found, what is accepted, the nearest right spelling."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from symlow.errors import SpecError, listing, nearest


def refusal(key: str, found: str, accepted: str) -> PydanticCustomError:
    """Return the error that a validator raises for a value that its type allows but its meaning does not."""
    return PydanticCustomError("refusal", "{found}", {"key": key, "found": found, "accepted": accepted})


def whole_refusal(key: str, message: str) -> PydanticCustomError:
    """Return the error of a validator whose message is complete but for the key, what is accepted included."""
    return PydanticCustomError("whole_refusal", "{message}", {"key": key, "message": message})


def refused(key: str, found: str, accepted: str) -> SpecError:
    """Return the error for a value that only other tables can tell to be wrong."""
    return SpecError(f"{key}: {found}; accepted: {accepted}")


def spec_error(error: ValidationError, model: type[BaseModel]) -> SpecError:
    """Return one line about the first of pydantic's errors, and which other keys are wrong too."""
    # A misspelt key is two errors, an unknown key and a missing one; the unknown one has the hint.
    details = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")
    message = _message(details[0], model)
    path, *others = dict.fromkeys(_walk(detail["loc"], model)[0] for detail in details)
    # Of a list with a wrong item pydantic also says that it is too short.
    others = [other for other in others if not path.startswith((f"{other}[", f"{other}."))]
    return SpecError(message + (f" (also wrong: {listing(others)})" if others else ""))


def _message(detail: ErrorDetails, model: type[BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    path, _ = _walk(detail["loc"], model)
    if kind == "refusal":
        return f"{_join(path, context['key'])}: {context['found']}; accepted: {context['accepted']}"
    if kind == "whole_refusal":
        return f"{_join(path, context['key'])}: {context['message']}"
    if kind == "extra_forbidden":
        table, key, owner = _place(detail["loc"], model)
        return f"unknown key {key!r} {table}{nearest(key, owner)}; accepted keys: {listing(owner)}"
    if kind == "missing":
        table, key, _ = _place(detail["loc"], model)
        return f"missing key {key!r} {table}; accepted: {_value(key)}"
    if kind == "union_tag_not_found":
        return f"missing key 'kind' in [{path}]; accepted: one of {listing(_tags(detail['loc'], model))}"
    if kind == "union_tag_invalid":
        tags = _tags(detail["loc"], model)
        found = str(context["tag"])
        return f"{path}.kind: unknown kind {found!r}{nearest(found, tags)}; accepted: {listing(tags)}"
    found = repr(detail["input"])
    found = found if len(found) <= 60 else found[:57] + "..."
    hint = ""
    if kind == "literal_error" and isinstance(detail["input"], str) and "'" in context["expected"]:
        hint = nearest(detail["input"], [choice.strip("'") for choice in _choices(context)])
    return f"{path or 'specification'}: found {found}{hint}; accepted: {_accepted(kind, context)}"


def _accepted(kind: str, context: dict[str, Any]) -> str:
    match kind:
        case "greater_than_equal":
            return f"a number >= {context['ge']}"
        case "greater_than":
            return f"a number > {context['gt']}"
        case "less_than_equal":
            return f"a number <= {context['le']}"
        case "int_type" | "int_from_float" | "int_parsing":
            return "an integer, without a decimal point or quotes"
        case "float_type" | "float_parsing":
            return "a number, without quotes"
        case "finite_number":
            return "a finite number"
        case "string_type":
            return 'text in "quotes"'
        case "string_pattern_mismatch" if context["pattern"].startswith("^[A-Za-z]"):
            return "letters, digits and underscores, a letter first"
        case "string_pattern_mismatch":
            return "text on one line"
        case "string_too_long":
            return f"at most {context['max_length']} characters"
        case "tuple_type":
            return "a list in [brackets]"
        case "too_short":
            return f"a list of at least {context['min_length']}"
        case "too_long":
            return f"a list of at most {context['max_length']}"
        case "literal_error":
            return " or ".join(_choices(context))
        case "model_type" | "model_attributes_type" | "dict_type":
            return "a table of keys and values"
        case _:
            return kind.replace("_", " ")


def _value(key: str) -> str:
    return "a table" if key in ("network", "task") else "a value; `symlow schema` describes each key"


def _choices(context: dict[str, Any]) -> list[str]:
    return str(context["expected"]).replace(" or ", ", ").split(", ")


def _tags(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    return [_tag(member) for member in _walk(location, model)[1]]


def _place(location: tuple[int | str, ...], model: type[BaseModel]) -> tuple[str, str, list[str]]:
    """Return in which table a key is, in words, the key itself, and the keys which that table accepts."""
    table, owners = _walk(location[:-1], model)
    return f"in [{table}]" if table else "at the top level", str(location[-1]), list(owners[0].model_fields)


def _walk(location: tuple[int | str, ...], model: type[BaseModel]) -> tuple[str, list[type[BaseModel]]]:
    path, models = "", [model]
    for item in location:
        tagged = [member for member in models if _tag(member) == item]
        if isinstance(item, int):
            path += f"[{item + 1}]"
        elif tagged and len(models) > 1:
            # pydantic puts the tag of a union into the location; a user's file has no such level.
            models = tagged
        else:
            path = _join(path, item if item.isprintable() else repr(item))
            field = models[0].model_fields.get(item) if models else None
            models = _members(field.annotation) if field is not None else []
    return path, models


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _members(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [member for argument in get_args(annotation) for member in _members(argument)]


def _tag(model: type[BaseModel]) -> str:
    field = model.model_fields.get("kind")
    return str(get_args(field.annotation)[0]) if field is not None else ""
