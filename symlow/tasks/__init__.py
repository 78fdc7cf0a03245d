"""Tasks: what the network should do, as a loss.

A task of a specification becomes a :class:`~symlow.tasks.filters.FilterLoss`, known in closed form, or a
:class:`~symlow.tasks.trials.TrialsLoss`, whose arrays are given at call time.
"""

from __future__ import annotations

from symlow.spec import Spec
from symlow.spec_tasks import FilterTask
from symlow.tasks.filters import FilterLoss, build_filter_loss
from symlow.tasks.trials import TrialsLoss, build_trials_loss

Loss = FilterLoss | TrialsLoss


def build_loss(spec: Spec) -> Loss:
    """Return the loss of a specification's task."""
    if isinstance(spec.task, FilterTask):
        return build_filter_loss(spec.task, spec.network)
    return build_trials_loss(spec.task, spec.network)
