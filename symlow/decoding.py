"""What a linear classifier reads from overlaps: how well histories are told apart by where they have ended.

Fisher's linear discriminant with K classes of means mu_k, in features standardised by the training histories:

    a history x belongs to the class of the largest   w_k . x - w_k . mu_k / 2 + log p_k,      w_k = C^(-1) mu_k
    C = (1 - gamma) S + gamma (tr S / n) 1,           S = the pooled covariance within classes

shrunk by gamma towards a multiple of the unit matrix (Friedman, "Regularized discriminant analysis", 1989), p_k = 1/K.
Accuracy is that on histories left out, group after group: those that share what must not be read, such as initial
overlaps or trials, are left out together. Chance is 1/K for classes of equal weight, and is measured besides, by
decoding labels that are shuffled within groups: so they stay as balanced in each as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symlow.arrays import FloatArray, IntArray, check_array, check_integer, check_number
from symlow.errors import ArrayError

ROUNDING = 1e-12
"""The spread of a feature, relative to its size, that is taken for rounding."""


@dataclass(frozen=True, eq=False)
class Decoding:
    """How well classes are told apart.

    Attributes:
        accuracy: the mean over classes of the share of histories left out that are put into their own class.
        chance: 1 / number of classes.
        shuffled: the accuracies for shuffled labels, shape (shuffles,).
        predicted: the class that each history was put into when left out, shape (histories,).
        score: for two classes, how far each history left out is on the side of the second, shape (histories,): the
            difference of the two discriminants; for more classes that of its own and the best other one.
    """

    accuracy: float
    chance: float
    shuffled: FloatArray
    predicted: NDArray[np.str_]
    score: FloatArray

    @property
    def p_value(self) -> float:
        """The share of labelings, the true one included, that are decoded at least as well as the true one."""
        return float((1 + np.sum(self.shuffled >= self.accuracy - 1e-12)) / (1 + len(self.shuffled)))


def decode(
    features: object,
    labels: object,
    groups: object = None,
    *,
    shrinkage: float = 0.05,
    shuffles: int = 200,
    seed: int = 0,
) -> Decoding:
    """Tell classes apart by a linear discriminant, cross-validated, with shuffled labels as a control.

    Args:
        features: such as the invisible overlaps of each history, shape (histories, features).
        labels: the class of each history, shape (histories,); at least two classes.
        groups: what histories that are left out together share, shape (histories,); by default each is left out alone,
            and labels are shuffled among all.
        shrinkage: gamma, >= 0 and <= 1.
        shuffles: how many times labels are shuffled, >= 0.
        seed: of the shuffles, >= 0.

    Raises:
        ArrayError: for arrays that do not fit, arguments that are out of range, fewer than two classes, or a class of
            which nothing is left to learn from when some group is left out.
    """
    table = check_array(features, "features", (None, None), "(histories, features)")
    names, classes = np.unique(np.asarray(labels), return_inverse=True)
    n = len(table)
    held = np.arange(n) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    for name, array in (("labels", classes), ("groups", held)):
        if array.shape != (n,):
            raise ArrayError(f"{name}: found shape {array.shape}; accepted: ({n},), one for each history of features")
    if not table.size:
        raise ArrayError(f"features: found shape {table.shape}; accepted: at least one history and one feature")
    if len(names) < 2:
        raise ArrayError(f"labels: found {len(names)} class; accepted: at least two")
    check_number(shrinkage, "shrinkage", least=0, most=1)
    check_integer(shuffles, "shuffles", 0)
    check_integer(seed, "seed", 0)
    _check_groups(classes, held, names, groups)
    table, rounding = _scaled(table)
    discriminants = _left_out(table, rounding, classes, held, len(names), shrinkage)
    predicted = discriminants.argmax(axis=1)
    rng = np.random.default_rng(seed)
    shuffled = []
    for _ in range(shuffles):
        permuted = _shuffled(classes, held if groups is not None else np.zeros(n, dtype=np.int64), rng)
        guesses = _left_out(table, rounding, permuted, held, len(names), shrinkage).argmax(axis=1)
        shuffled.append(_accuracy(guesses, permuted, len(names)))
    own = discriminants[np.arange(n), classes]
    others = np.where(np.arange(len(names)) == classes[:, None], -np.inf, discriminants).max(axis=1)
    score = discriminants[:, 1] - discriminants[:, 0] if len(names) == 2 else own - others
    return Decoding(
        _accuracy(predicted, classes, len(names)),
        1 / len(names),
        np.array(shuffled),
        names[predicted].astype(np.str_),
        score,
    )


def _check_groups(classes: IntArray, held: IntArray, names: NDArray[Any], groups: object) -> None:
    """Raise ArrayError unless each class can be learned from what is left when any group is left out."""
    labels = np.unique(np.asarray(groups)) if groups is not None else np.arange(len(classes))
    left = np.array([np.bincount(classes[held != group], minlength=len(names)) for group in range(len(labels))])
    what = "history" if groups is None else "group"
    for group, k in np.argwhere(left == 0)[:1]:
        raise ArrayError(
            f"labels: found class {str(names[k])!r} in {what} {str(labels[group])!r} alone, so that nothing is left to "
            f"learn it from when that is left out; accepted: each class in at least two of them"
        )
    for group in np.flatnonzero(left.sum(axis=1) <= len(names))[:1]:
        raise ArrayError(
            f"labels: found {left[group].sum()} histories of {len(names)} classes when {what} {str(labels[group])!r} "
            f"is left out; accepted: at least {len(names) + 1}, for a covariance within classes"
        )


def _scaled(table: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return features in units of a power of two of their own, and the spread of each that is but rounding in them.

    So squares neither overflow nor vanish. Rounding is relative to 1, or to the largest entry where all are smaller.
    """
    exponents = np.frexp(np.abs(table).max(axis=0))[1]
    with np.errstate(over="ignore"):  # of a feature that is far below rounding
        rounding = np.ldexp(ROUNDING * min(1.0, np.abs(table).max()), -exponents)
    return np.ldexp(table, -exponents), rounding


def _left_out(
    table: FloatArray, rounding: FloatArray, classes: IntArray, held: IntArray, n_classes: int, shrinkage: float
) -> FloatArray:
    """Return the discriminant of each class for each history, from the histories of the other groups, (n, classes)."""
    found = np.empty((len(table), n_classes))
    for group in range(held.max() + 1):
        out = held == group
        train, own = table[~out], classes[~out]
        centre, spread = train.mean(axis=0), train.std(axis=0)
        # A feature without spread, to rounding, says nothing: it is not blown up.
        keep = spread > np.maximum(rounding, ROUNDING * np.abs(centre))
        train, test = ((part[:, keep] - centre[keep]) / spread[keep] for part in (train, table[out]))
        means = np.stack([_mean(train, own == k) for k in range(n_classes)])
        within = train - means[own]
        pooled = within.T @ within / max(1, len(train) - n_classes)
        size = np.trace(pooled) / max(1, len(pooled))
        shrunk = (1 - shrinkage) * pooled + shrinkage * size * np.eye(len(pooled))
        # Classes that do not vary leave no covariance: then distance alone decides.
        weights = np.linalg.pinv(shrunk, hermitian=True) @ means.T if size > 0 else means.T
        found[out] = test @ weights - np.sum(means.T * weights, axis=0) / 2
    return found


def _mean(table: FloatArray, chosen: NDArray[np.bool_]) -> FloatArray:
    """Return the mean of the chosen rows, the origin if shuffling has left none."""
    return table[chosen].mean(axis=0) if chosen.any() else np.zeros(table.shape[1])


def _accuracy(predicted: IntArray, classes: IntArray, n_classes: int) -> float:
    right = predicted == classes
    return float(np.mean([right[classes == k].mean() for k in range(n_classes)]))


def _shuffled(classes: IntArray, held: IntArray, rng: np.random.Generator) -> IntArray:
    permuted = classes.copy()
    for group in np.unique(held):
        places = np.flatnonzero(held == group)
        permuted[places] = classes[rng.permutation(places)]
    return permuted
