"""Pictures, with matplotlib (the extra ``plot``): one function each, of what symlow makes.

    style       letters, lines and sizes
    picture     the figure that notebooks show
    figures     an empty one
    labels      overlaps, vectors and latents in mathematical notation
    lines       curves with their names at their ends
    files       pictures written whole, with the same bytes each time
    learning    losses, visible and invisible overlaps of learning runs
    closure     a closure beside a network of neurons
    metric      which overlaps the metric contains, block by block
    portrait    phase portraits of latents
    twins       two runs laid over each other
    memory      what invisible overlaps tell of the past

Visible is blue and invisible vermilion in all of them (:mod:`symlow.colours`).
"""

from symlow.plot.closure import plot_drift
from symlow.plot.files import FORMATS, check_figure, save_figure
from symlow.plot.learning import plot_learning, plot_losses, plot_overlaps
from symlow.plot.memory import plot_memory
from symlow.plot.metric import plot_metric
from symlow.plot.portrait import plot_phase_portrait
from symlow.plot.twins import plot_twins

__all__ = [
    "FORMATS",
    "check_figure",
    "plot_drift",
    "plot_learning",
    "plot_losses",
    "plot_memory",
    "plot_metric",
    "plot_overlaps",
    "plot_phase_portrait",
    "plot_twins",
    "save_figure",
]
