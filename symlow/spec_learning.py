"""The table of the learning rule, ``[learning]``: the rule, the rates of the vectors, decay, clipping and label noise.

With the gradient N grad_P L and the learning rate lr given at each call (:mod:`symlow.rules` has the equations).
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from symlow.spec_messages import refusal, whole_refusal
from symlow.spec_tables import NonNegativeNumber, Number, PositiveNumber, Table

DEFAULT_MOMENTUM = 0.9

ELEMENTWISE = (
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "lion",
    "nadam",
    "radam",
    "rmsprop",
    "rprop",
    "sign_descent",
    "signsgd",
)
"""Rules that act on each weight by itself."""


class LearningSpec(Table):
    """The learning rule."""

    rule: Literal["gradient_descent", "momentum", "nesterov", "feedback_alignment"] = "gradient_descent"
    """Gradient descent of all weights, P+ = P - lr N grad_P L; or with momentum, or Nesterov's, as in PyTorch's SGD;
    or feedback alignment, with errors sent back through random vectors in place of those that the output reads."""
    frozen: tuple[str, ...] = ()
    """Names of the vectors that are not trained, in any order."""
    rates: dict[str, PositiveNumber] = Field(default_factory=dict)
    """Learning rates of vectors by name, relative to lr; 1 where not given."""
    weight_decay: NonNegativeNumber = 0.0
    """Weight decay rho: rho P is added to the gradient of trained vectors."""
    momentum: Number | None = None
    """What is left of a velocity after a step, between 0 and 1; only for momentum and nesterov, by default 0.9."""
    clip: PositiveNumber | None = None
    """Largest norm of the gradient, |N grad_P L| / sqrt(N) over all trained vectors; larger ones are scaled to it."""
    label_noise: NonNegativeNumber = 0.0
    """Standard deviation of white noise on the targets of trials, drawn anew at each step."""

    @model_validator(mode="before")
    @classmethod
    def _closes(cls, table: Any) -> Any:
        rule = table.get("rule") if isinstance(table, dict) else None
        if isinstance(rule, str) and rule.lower() in ELEMENTWISE:
            own = 'optimizer="adam"' if rule.lower() == "adam" else "optimizer=... with one of your own"
            raise whole_refusal(
                "rule",
                f"found {rule!r}, which acts on weights element by element, so that no equations in overlaps close; "
                "accepted: 'gradient_descent', 'momentum', 'nesterov' or 'feedback_alignment'; a network of N neurons "
                f"trains with it by FullNetwork.train({own})",
            )
        return table

    @field_validator("frozen")
    @classmethod
    def _canonical(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(dict.fromkeys(names)))

    @model_validator(mode="after")
    def _check(self) -> Self:
        both = [name for name in self.rates if name in self.frozen]
        if both:
            raise refusal("rates", f"found {both[0]!r}, which is frozen", "rates of vectors that are trained")
        if self.momentum is not None and not self.has_velocity:
            raise refusal(
                "momentum", f"found {self.momentum} with rule = {self.rule!r}", "it with momentum or nesterov"
            )
        if self.momentum is not None and not 0 < self.momentum < 1:
            raise refusal("momentum", f"found {self.momentum}", "a number > 0 and < 1")
        return self

    @property
    def has_velocity(self) -> bool:
        """Whether the rule remembers gradients in velocities."""
        return self.rule in ("momentum", "nesterov")

    @property
    def has_feedback(self) -> bool:
        """Whether errors are sent back through vectors of their own."""
        return self.rule == "feedback_alignment"

    def canonical(self) -> dict[str, Any]:
        """Return what belongs into the canonical form: the keys of format 1, and others where they say something.

        So specifications that were written before a key existed keep their digest.
        """
        content: dict[str, Any] = {"rule": self.rule, "frozen": self.frozen}
        if any(rate != 1 for rate in self.rates.values()):
            content["rates"] = {name: rate for name, rate in self.rates.items() if rate != 1}
        if self.has_velocity:
            content["momentum"] = DEFAULT_MOMENTUM if self.momentum is None else self.momentum
        content |= {"weight_decay": self.weight_decay, "clip": self.clip, "label_noise": self.label_noise}
        return {key: value for key, value in content.items() if key in ("rule", "frozen") or value}
