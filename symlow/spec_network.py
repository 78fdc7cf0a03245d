"""The table of the network: its sizes, for the low-rank network, or its equations.

    tau dh/dt = -h + U V^T phi(h) / N + M x,      y = Z^T phi(h) / N

is what ``rank``, ``inputs`` and ``outputs`` stand for; ``dynamics`` writes any other network, with ``vectors``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from symlow.equation_reader import parse_equations
from symlow.equations import Equations, Population, Vector
from symlow.errors import SpecError
from symlow.expressions import exact
from symlow.nonlinearity import nonlinearity
from symlow.spec_messages import refusal, whole_refusal
from symlow.spec_tables import PositiveNumber, Size, Switch, Table

Letters = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z]*$", max_length=30)]
Line = Annotated[str, Field(strict=True, pattern=r"^[^\x00-\x1f\x7f]*$", max_length=2000)]


class VectorTable(Table):
    """A vector of the network: a block of columns with one entry for each neuron."""

    name: Letters
    """Its name, of letters."""
    columns: Size = 1
    """How many columns it has."""
    role: Line = ""
    """What it does, in words."""
    population: Letters = ""
    """The population whose neurons have the entries, where there are several."""
    ones: Switch = False
    """Whether it is the frozen column of ones, whose overlaps are means over neurons."""


class NetworkSpec(Table):
    """The network."""

    rank: Size | None = None
    """Rank R of the recurrent connectivity U V^T / N of the low-rank network."""
    inputs: Size = 1
    """Number of inputs, the entries of x."""
    outputs: Size = 1
    """Number of outputs, the entries of y."""
    nonlinearity: str = "linear"
    """Name of the nonlinearity phi, or an expression in x such as "tanh(x) + 0.1*x"."""
    bias: Switch = False
    """Whether neurons have a trainable bias: a vector b with a constant drive."""
    means: Switch = False
    """Whether vectors have means over neurons, as overlaps with a frozen vector of ones."""
    dt: PositiveNumber = 0.05
    """Time step of the forward Euler discretisation, in the unit of tau; dt = tau is a discrete-time network."""
    tau: PositiveNumber = 1.0
    """Time constant of the neurons."""
    readout: Literal["before_update", "after_update", "updated_latents_previous_gain"] = "after_update"
    """Which state the output at a time step reads: the one before or after the step's update, or the updated
    latents with the gain of the previous state (the same as after_update where the gain is constant)."""
    dynamics: tuple[Line, ...] = ()
    """The equations of another network, in place of rank, such as "h' = -h + U*a + M*x", "a = V.T*phi(h)/N" and
    "y = Z.T*phi(h)/N": state equations, definitions and the read-out y."""
    vectors: tuple[VectorTable, ...] = ()
    """The vectors of these equations: by name the number of columns, or a table."""
    populations: tuple[tuple[Letters, PositiveNumber], ...] = ()
    """By name the number of neurons of each population in units of N, where there are several."""
    states: tuple[tuple[Annotated[str, Field(strict=True)], Letters], ...] = ()
    """By name the population of each state, where there are several."""
    environment: tuple[tuple[Annotated[str, Field(strict=True)], Size], ...] = ()
    """By name the number of entries of each state without neurons."""

    @field_validator("dynamics", mode="before")
    @classmethod
    def _lines(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = value.splitlines()
        return (
            tuple(line.strip() for line in value if not isinstance(line, str) or line.strip())
            if isinstance(value, list | tuple) and all(isinstance(line, str) for line in value)
            else value
        )

    @field_validator("vectors", mode="before")
    @classmethod
    def _tables(cls, value: Any) -> Any:
        """Take a table of vectors by name, each a number of columns, "ones" or a table."""
        if not isinstance(value, dict):
            return value
        found = []
        for name, entry in value.items():
            if entry == "ones":
                entry = {"ones": True}
            found.append({**entry, "name": name} if isinstance(entry, dict) else {"name": name, "columns": entry})
        return tuple(found)

    @field_validator("populations", "states", "environment", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        return tuple(value.items()) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            nonlinearity(self.nonlinearity)
        except SpecError as error:
            raise whole_refusal("nonlinearity", str(error)) from None
        if self.dt > self.tau:
            raise refusal(
                "dt",
                f"found dt = {self.dt}, longer than tau = {self.tau}",
                "0 < dt <= tau, for the Euler step overshoots beyond it",
            )
        if self.dynamics:
            self._check_equations()
        elif self.rank is None:
            raise refusal(
                "rank", "found neither a rank nor dynamics", "the rank of a low-rank network, or dynamics and vectors"
            )
        else:
            for key in ("vectors", "populations", "states", "environment"):
                if getattr(self, key):
                    raise refusal(key, "found without dynamics", "dynamics, whose equations use it")
        return self

    def _check_equations(self) -> None:
        for key in ("rank", "bias", "means"):
            if getattr(self, key):
                raise refusal(key, "found beside dynamics", "vectors and terms of the equations")
        if not self.vectors:
            raise refusal(
                "vectors", "found none", "the columns of each vector in dynamics, such as vectors = { m = 1, u = 2 }"
            )
        try:
            equations = self.equations()
        except SpecError as error:
            raise whole_refusal("dynamics", str(error)) from None
        if equations.output.shape[0] != self.outputs:
            raise refusal(
                "outputs",
                f"found {self.outputs}, but y has {equations.output.shape[0]} entries",
                f"{equations.output.shape[0]}",
            )

    def equations(self) -> Equations:
        """Return the equations that ``dynamics`` writes, all vectors but ones with the learning rate 1.

        Raises:
            SpecError: if they are no equations; the message has a caret under the place.
        """
        ones = {vector.population: vector.name for vector in self.vectors if vector.ones}
        named = self.populations or (("", 1.0),)
        return parse_equations(
            self.dynamics,
            [
                Vector(v.name, v.columns, exact(float(not v.ones)), v.role or _role(v), v.population)
                for v in self.vectors
            ],
            self.inputs,
            populations=[Population(name, exact(weight), ones.get(name)) for name, weight in named],
            states=dict(self.states),
            environment=dict(self.environment),
        )

    def canonical(self) -> dict[str, Any]:
        """Return the table for the canonical form: keys that came later than format 1 where they say something."""
        table = self.model_dump(mode="python")
        later = ("dynamics", "vectors", "populations", "states", "environment")
        return {key: value for key, value in table.items() if not (key in later and not value)}


def _role(vector: VectorTable) -> str:
    return "ones: its overlap with a vector is that vector's mean" if vector.ones else "a vector of the equations"
