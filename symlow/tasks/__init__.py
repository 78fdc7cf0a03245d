"""Tasks: what the network should do, as a loss, and as trials.

A task of a specification becomes a :class:`~symlow.tasks.filters.FilterLoss`, known in closed form, or a
:class:`~symlow.tasks.trials.TrialsLoss`, whose arrays are given at call time. Arrays come from
:func:`build_generator` and :func:`batches` for the tasks that specifications name, from the functions of the library,
such as ``symlow.tasks.flip_flop(batch=128, seed=0, dt=0.05, bits=3)``, from PsychRNN or NeuroGym by the adapters, or
from files.
"""

from __future__ import annotations

from symlow.spec import Spec
from symlow.spec_tasks import FilterTask
from symlow.tasks.adapters import from_arrays, from_neurogym, from_psychrnn
from symlow.tasks.filters import FilterLoss, build_filter_loss
from symlow.tasks.generators import Teacher, TrialGenerator, batches, build_generator
from symlow.tasks.library import (
    context_integration,
    decision_making,
    delayed_addition,
    delayed_match_to_sample,
    delayed_reproduction,
    flip_flop,
    parametric_working_memory,
    sine_generation,
    teacher_student,
)
from symlow.tasks.trials import TrialsLoss, build_trials_loss

__all__ = [
    "FilterLoss",
    "Loss",
    "Teacher",
    "TrialGenerator",
    "TrialsLoss",
    "batches",
    "build_generator",
    "build_loss",
    "context_integration",
    "decision_making",
    "delayed_addition",
    "delayed_match_to_sample",
    "delayed_reproduction",
    "flip_flop",
    "from_arrays",
    "from_neurogym",
    "from_psychrnn",
    "parametric_working_memory",
    "sine_generation",
    "teacher_student",
]

Loss = FilterLoss | TrialsLoss


def build_loss(spec: Spec) -> Loss:
    """Return the loss of a specification's task."""
    if isinstance(spec.task, FilterTask):
        return build_filter_loss(spec.task, spec.network)
    return build_trials_loss(spec.task, spec.network)
