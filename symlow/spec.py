"""The specification: what the user wrote, validated, in canonical form, with a digest.

A specification has three tables: ``[network]``, ``[task]`` and ``[learning]``. Its *canonical form* is JSON with
sorted keys and every default written out (of keys that came later than the format, only what is set); the SHA-256 of
the canonical form is the *digest* that generated files carry, so that a file tells which specification it was made
from.
"""

from __future__ import annotations

import hashlib
import json
import keyword
import math
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Self

from markupsafe import Markup
from pydantic import Field, ModelWrapValidatorHandler, ValidationError, model_validator

from symlow.errors import SpecError
from symlow.files import read_text
from symlow.markup import code, joined
from symlow.markup import table as html_table
from symlow.spec_learning import LearningSpec
from symlow.spec_messages import refused, spec_error
from symlow.spec_network import NetworkSpec
from symlow.spec_tables import Table
from symlow.spec_tasks import FiltersTask, FilterTask, TaskSpec
from symlow.spec_trials import TEACHER_OVERLAPS, GeneratedTask, TeacherTask

FORMAT = 1
"""Version of the specification format; part of the canonical form, so a change of meaning changes the digest."""

RESERVED_NAMES = ("numpy", "symlow")
"""Names of modules that a generated module of the same name would hide from itself."""

MOST_STEPS = 1e9
"""The most time steps of a horizon; a longer one is infinite for every purpose."""


class Spec(Table):
    """A network, a task and a learning rule: everything that a derivation depends on."""

    name: Annotated[str, Field(strict=True, pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=100)]
    """Name of the derivation: letters, digits and underscores; generated files are called by it."""
    reference: Annotated[str, Field(strict=True, pattern=r"^[^\x00-\x1f\x7f]*$", max_length=500)] = ""
    """The paper or note that the system comes from."""
    network: NetworkSpec
    task: TaskSpec
    learning: LearningSpec = LearningSpec()

    @model_validator(mode="wrap")
    @classmethod
    def _translate(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            spec = handler(value)
        except ValidationError as error:
            raise spec_error(error, cls) from None
        if keyword.iskeyword(spec.name) or spec.name in RESERVED_NAMES:
            raise refused("name", f"found {spec.name!r}, which a generated module cannot be called", "another name")
        if isinstance(spec.task, FilterTask):
            _check_horizon(spec.task, spec.network)
            _check_pairs(spec.task, spec.network)
            _check_frequencies(spec.task, spec.network.dt)
            if spec.learning.label_noise:
                raise refused(
                    "learning.label_noise",
                    f"found {spec.learning.label_noise} with task.kind {spec.task.kind!r}, which has no trials",
                    "a task of trials, whose targets can have noise",
                )
            if spec.learning.has_feedback:
                raise refused(
                    "learning.rule",
                    f"found {spec.learning.rule!r}, which sends errors back at each time step, with task.kind "
                    f"{spec.task.kind!r}, whose loss is a closed form",
                    "a task of trials",
                )
        if isinstance(spec.task, GeneratedTask):
            _check_channels(spec.task, spec.network)
            spec.task.check(spec.network.dt)
        return spec

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a specification from a TOML file.

        Raises:
            FileError: if the file cannot be read.
            SpecError: if it is not TOML, or not a valid specification; the message names the file and the key.
        """
        text = read_text(path, "specification (TOML)")
        try:
            return cls.from_toml(text)
        except SpecError as error:
            raise SpecError(f"{Path(path)}: {error}") from None

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Read a specification from TOML text.

        Raises:
            SpecError: if the text is not TOML, or not a valid specification.
        """
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SpecError(f"not valid TOML: {error}; see https://toml.io for the syntax") from None
        except RecursionError:
            raise SpecError("not valid TOML: nested too deeply; a specification has three flat tables") from None
        return cls.model_validate(tables)

    def canonical(self) -> str:
        """Return the canonical form: JSON with sorted keys and every default written out.

        Of the network and the learning rule, keys that came later than format 1 are written where they say something.
        """
        later = {"network": self.network.canonical(), "learning": self.learning.canonical()}
        tables = {**self.model_dump(mode="python"), **later}
        # JSON has no infinity: the horizon is the one value that can be, and TOML's own word stands for it.
        content = {"format": FORMAT, **_without_infinities(tables)}
        if isinstance(self.task, FiltersTask):
            content["task"]["targets"].sort(key=lambda target: (target["output"], target["input"]))
        return json.dumps(content, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form, in hexadecimal."""
        return hashlib.sha256(self.canonical().encode("utf-8")).hexdigest()

    def _repr_html_(self) -> str:
        """Return what the specification says, for notebooks: a row for each key, defaults left out."""
        said = self.model_dump(mode="python", exclude_defaults=True)
        rows = [
            (joined((name, key), "."), joined(map(code, _said(value)), Markup("<br>")))
            for name in ("network", "task", "learning")
            for key, value in said.get(name, {}).items()
        ]
        caption = f"{self.name}: {self.reference}" if self.reference else self.name
        return html_table(caption, ("key", "value"), rows)


def _said(value: Any) -> list[str]:
    """Return a value in lines: of a list its items, of a table its keys and values on one."""
    if isinstance(value, dict):
        return [", ".join(f"{key} = {item}" for key, item in value.items())]
    if isinstance(value, list | tuple):
        nested = any(isinstance(item, list | tuple | dict) for item in value)
        lines = [_said(item) for item in value]
        return [", ".join(line) for line in lines] if nested else [line for item in lines for line in item]
    return [str(value)]


def _without_infinities(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinities(item) for item in value]
    return "inf" if isinstance(value, float) and math.isinf(value) else value


def _check_horizon(task: FilterTask, network: NetworkSpec) -> None:
    if math.isinf(task.horizon):
        return
    dt, steps = network.dt, task.horizon / network.dt
    least = 2 if network.readout == "before_update" else 1  # an output read before the update is one step late
    if steps > MOST_STEPS:
        raise refused(
            "task.horizon",
            f"found {task.horizon}, which is {steps:.3g} time steps",
            f"at most {MOST_STEPS:.0e} steps, or inf",
        )
    if round(steps) < least or abs(steps - round(steps)) > 1e-9 * steps:
        raise refused(
            "task.horizon",
            f"found {task.horizon}, which is {steps:.6g} time steps of network.dt = {dt}",
            f"a whole number of steps, at least {least}, such as {max(round(steps), least) * dt:.12g}, or inf",
        )


def _check_frequencies(task: FilterTask, dt: float) -> None:
    for table in task.targets if isinstance(task, FiltersTask) else (task,):
        frequency = getattr(table, "frequency", 0.0)
        if frequency * dt >= math.pi:
            raise refused(
                "task.frequency",
                f"found {frequency}, of which steps of network.dt = {dt} see less than two a period",
                f"a number < pi / dt = {math.pi / dt:.6g}, or a shorter dt",
            )


def _check_pairs(task: FilterTask, network: NetworkSpec) -> None:
    expected = [(o, i) for o in range(1, network.outputs + 1) for i in range(1, network.inputs + 1)]
    if not isinstance(task, FiltersTask):
        if len(expected) != 1:
            raise refused(
                "task.kind",
                f"found {task.kind!r}, which has one target, with {network.inputs} input(s) and "
                f"{network.outputs} output(s)",
                'kind = "filters" with one table [[task.targets]] for each pair of output and input',
            )
        return
    listed = [(target.output, target.input) for target in task.targets]
    for position, pair in enumerate(listed):
        problem = "twice" if listed.index(pair) < position else "which the network does not have"
        if pair not in expected or listed.index(pair) < position:
            raise refused(
                f"task.targets[{position + 1}]",
                f"found output {pair[0]}, input {pair[1]} {problem}",
                f"each pair of outputs 1..{network.outputs} and inputs 1..{network.inputs} once",
            )
    missing = [pair for pair in expected if pair not in listed]
    if missing:
        raise refused(
            "task.targets",
            f"no target for output {missing[0][0]}, input {missing[0][1]}",
            'one table for each pair; kind = "no_response" where the output ignores the input',
        )


def _check_channels(task: GeneratedTask, network: NetworkSpec) -> None:
    if task.channels is not None:
        for key, found, needed in zip(
            ("inputs", "outputs"), (network.inputs, network.outputs), task.channels, strict=True
        ):
            if found != needed:
                noun = key.removesuffix("s") if needed == 1 else key
                raise refused(
                    f"network.{key}", f"found {found}, but task.kind {task.kind!r} has {needed} {noun}", f"{needed}"
                )
    if isinstance(task, TeacherTask) and task.overlaps == TEACHER_OVERLAPS:
        sizes = (task.rank, network.inputs, network.outputs)
        if sizes != (1, 1, 1):
            raise refused(
                "task.overlaps",
                "found the default, a teacher of rank 1 with one input and one output, for one of "
                f"rank {sizes[0]} with {sizes[1]} input(s) and {sizes[2]} output(s)",
                "a table [task.overlaps] with each loss-visible overlap of the teacher",
            )
