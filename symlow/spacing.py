"""Names that stand beside a picture, moved apart so that none hides another.

minimise sum_k (moved_k - place_k)^2        subject to moved_(k+1) - moved_k >= distance, low <= moved_k <= high
"""

from __future__ import annotations

import numpy as np

from symlow.arrays import FloatArray


def apart(places: FloatArray, distance: float, bounds: tuple[float, float] = (-np.inf, np.inf)) -> FloatArray:
    """Return places in the same order, none nearer to the next than a distance, moved as little as can be.

    In least squares: names that touch form a block, which stands about the mean of where they would be; blocks that
    touch are joined (the pooling of isotonic regression).

    Args:
        places: where they would be, shape (names,), in any order.
        distance: the least distance of neighbours.
        bounds: between which all are if there is room; otherwise they begin at the lower one.
    """
    order = np.argsort(places, kind="stable")
    offsets = distance * np.arange(len(places))
    blocks: list[list[float]] = []  # sums and lengths
    for value in places[order] - offsets:
        blocks.append([float(value), 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, length = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += length
    level = np.concatenate([np.full(int(length), total / length) for total, length in blocks] or [np.zeros(0)])
    moved = np.empty(len(places))
    low, high = bounds[0], max(bounds[1] - distance * (len(places) - 1), bounds[0])
    moved[order] = np.clip(level, low, high) + offsets
    return moved
