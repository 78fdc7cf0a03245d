"""The tables ``[[axes]]`` of a sweep: what is varied, and over which values.

    values       v_k as listed                       integers     v_k = start + k step
    linspace     v_k = start + k (stop - start)/(number - 1)
    logspace     v_k = start (stop/start)^(k/(number - 1))
    uniform      v_k = low + (high - low) x_k        loguniform   v_k = low (high/low)^x_k
    normal       v_k = mean + deviation xi_k         x_k uniform on [0, 1), xi_k standard normal

The same table gives the same values to the bit. Grids and transformations are computed exactly or at 50 digits and
rounded once, so that they depend on no machine's library of functions. x and xi are drawn by NumPy's PCG64 from a
SeedSequence of the axis's own seed and of what it varies: they depend on no other axis, and a longer sample begins with
the shorter one.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

import mpmath
import numpy as np
from pydantic import Field, PlainValidator, WithJsonSchema, model_validator
from pydantic_core import PydanticKnownError

from symlow.histories import LARGEST_SEED
from symlow.spec_messages import refusal
from symlow.spec_tables import NonNegativeNumber, Number, PositiveInteger, PositiveNumber, Table

DIGITS = 50
"""Decimal digits to which powers and quotients are computed before they are rounded to floating point."""

Value = int | float
NonNegativeInteger = Annotated[int, Field(strict=True, ge=0, le=LARGEST_SEED)]
Name = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=100)]


def _number(value: Any) -> Value:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticKnownError("float_type")
    if not math.isfinite(value):
        raise PydanticKnownError("finite_number")
    return value


PlainNumber = Annotated[Any, PlainValidator(_number), WithJsonSchema({"type": "number"})]
"""A finite number, left as it was written: integers stay integers."""


class _Axis(Table):
    over: Annotated[str, Field(strict=True)]
    """What is varied: seed, initial.seed, initial.neurons, initial.scale, initial.OVERLAP, trials.seed, learning.lr, or
    a number of the specification such as task.decay or learning.momentum."""
    name: Name | None = None
    """Name of the axis in the result; by default ``over`` after its last dot."""

    @property
    def label(self) -> str:
        """Name of the axis in the result."""
        return self.over.rsplit(".", 1)[-1] if self.name is None else self.name

    @property
    @abstractmethod
    def points(self) -> tuple[Value, ...]:
        """The values, in their order."""


class ValuesAxis(_Axis):
    """Values one by one."""

    kind: Literal["values"]
    values: Annotated[tuple[PlainNumber, ...], Field(min_length=1)]
    """The values, in the order of the result."""

    @property
    def points(self) -> tuple[Value, ...]:
        """The values, in their order."""
        return self.values


class IntegersAxis(_Axis):
    """Integers at equal distances, such as seeds."""

    kind: Literal["integers"]
    number: PositiveInteger
    """How many."""
    start: Annotated[int, Field(strict=True)] = 0
    """The first."""
    step: Annotated[int, Field(strict=True)] = 1
    """The distance from one to the next."""

    @property
    def points(self) -> tuple[Value, ...]:
        """The values, in their order."""
        return tuple(self.start + k * self.step for k in range(self.number))


class _Grid(_Axis):
    number: Annotated[int, Field(strict=True, ge=2)]
    """How many values, start and stop among them."""


class LinspaceAxis(_Grid):
    """Values at equal distances."""

    kind: Literal["linspace"]
    start: Number
    """The first value."""
    stop: Number
    """The last value."""

    @property
    def points(self) -> tuple[Value, ...]:
        """The values, in their order."""
        start, span = Fraction(self.start), Fraction(self.stop) - Fraction(self.start)
        return tuple(float(start + k * span / (self.number - 1)) for k in range(self.number))


class LogspaceAxis(_Grid):
    """Values of equal quotients, from ``start`` itself to ``stop`` itself (not their exponents)."""

    kind: Literal["logspace"]
    start: PositiveNumber
    """The first value."""
    stop: PositiveNumber
    """The last value."""

    @property
    def points(self) -> tuple[Value, ...]:
        """The values, in their order."""
        inner = _geometric(self.start, self.stop, [Fraction(k, self.number - 1) for k in range(1, self.number - 1)])
        return (self.start, *inner, self.stop)


class _Sample(_Axis):
    number: PositiveInteger
    """How many values."""
    seed: NonNegativeInteger = 0
    """Seed of the values."""

    def _generator(self) -> np.random.Generator:
        # What is varied is part of the seed, lest two axes of the same seed be the same numbers.
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=tuple(self.over.encode())))


class UniformAxis(_Sample):
    """A sample of the uniform distribution."""

    kind: Literal["uniform"]
    low: Number
    """The lower bound."""
    high: Number
    """The upper bound, > low."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_bounds(self.low, self.high)
        return self

    @property
    def points(self) -> tuple[Value, ...]:
        """The values, in their order."""
        low, span = Fraction(self.low), Fraction(self.high) - Fraction(self.low)
        return tuple(float(low + span * Fraction(x)) for x in self._generator().random(self.number).tolist())


class LogUniformAxis(_Sample):
    """A sample of numbers whose logarithms are uniform."""

    kind: Literal["loguniform"]
    low: PositiveNumber
    """The lower bound."""
    high: PositiveNumber
    """The upper bound, > low."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_bounds(self.low, self.high)
        return self

    @property
    def points(self) -> tuple[Value, ...]:
        """The values, in their order."""
        drawn = self._generator().random(self.number).tolist()
        return tuple(_geometric(self.low, self.high, [Fraction(x) for x in drawn]))


class NormalAxis(_Sample):
    """A sample of the normal distribution."""

    kind: Literal["normal"]
    mean: Number = 0.0
    """Its mean."""
    deviation: NonNegativeNumber = 1.0
    """Its standard deviation."""

    @property
    def points(self) -> tuple[Value, ...]:
        """The values, in their order."""
        mean, deviation = Fraction(self.mean), Fraction(self.deviation)
        drawn = self._generator().standard_normal(self.number).tolist()
        return tuple(float(mean + deviation * Fraction(xi)) for xi in drawn)


AxisTable = Annotated[
    ValuesAxis | IntegersAxis | LinspaceAxis | LogspaceAxis | UniformAxis | LogUniformAxis | NormalAxis,
    Field(discriminator="kind"),
]


def _check_bounds(low: float, high: float) -> None:
    if not low < high:
        raise refusal("high", f"found {high} with low = {low}", "a number > low")


def _geometric(first: float, last: float, exponents: list[Fraction]) -> list[float]:
    """Return first (last/first)^x, computed at ``DIGITS`` digits and rounded once, within [first, last]."""
    context = mpmath.mp.clone()
    context.dps = DIGITS
    quotient = context.mpf(last) / first
    low, high = min(first, last), max(first, last)
    values = (float(first * quotient ** (context.mpf(x.numerator) / x.denominator)) for x in exponents)
    return [min(max(value, low), high) for value in values]
