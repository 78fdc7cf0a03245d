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

import numpy as np
from numpy.typing import NDArray

from symlow.arrays import FloatArray, IntArray, check_array
from symlow.errors import ArrayError


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
        ArrayError: for arrays that do not fit, fewer than two classes, or a class that without some group has no
            history left.
    """
    table = check_array(features, "features", (None, None), "(histories, features)")
    names, classes = np.unique(np.asarray(labels), return_inverse=True)
    n = len(table)
    held = np.arange(n) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    for name, array in (("labels", classes), ("groups", held)):
        if array.shape != (n,):
            raise ArrayError(f"{name}: found shape {array.shape}; accepted: ({n},), one for each history of features")
    if len(names) < 2:
        raise ArrayError(f"labels: found {len(names)} class; accepted: at least two")
    if not 0 <= shrinkage <= 1:
        raise ArrayError(f"shrinkage: found {shrinkage}; accepted: a number from 0 to 1")
    left = [np.bincount(classes[held != group], minlength=len(names)) for group in range(held.max() + 1)]
    if np.min(left) == 0 or n - np.bincount(held).max() <= len(names):
        raise ArrayError("groups: found one without which a class has no history; accepted: more histories or groups")
    discriminants = _left_out(table, classes, held, len(names), shrinkage)
    predicted = discriminants.argmax(axis=1)
    rng = np.random.default_rng(seed)
    shuffled = []
    for _ in range(shuffles):
        permuted = _shuffled(classes, held if groups is not None else np.zeros(n, dtype=np.int64), rng)
        guesses = _left_out(table, permuted, held, len(names), shrinkage).argmax(axis=1)
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


def _left_out(table: FloatArray, classes: IntArray, held: IntArray, n_classes: int, shrinkage: float) -> FloatArray:
    """Return the discriminant of each class for each history, from the histories of the other groups, (n, classes)."""
    found = np.empty((len(table), n_classes))
    for group in range(held.max() + 1):
        out = held == group
        train, own = table[~out], classes[~out]
        centre, spread = train.mean(axis=0), train.std(axis=0)
        # A feature without spread, to rounding, says nothing: it is not blown up.
        keep = spread > 1e-12 * np.maximum(1.0, np.abs(centre))
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
