"""Functional twins: networks with equal visible overlaps and other invisible ones (math.md, section 10).

    sigma_visible' = sigma_visible,      Sigma' positive semidefinite

They have the same latents, output and loss: in linear networks exactly, in others as N grows, or at any N where neurons
come in pairs (:mod:`symlow.realise`). Learning tells them apart, for the metric contains invisible overlaps (Ger &
Barak 2026). The invisible overlaps that a twin can have are the slice of the cone of positive semidefinite matrices at
the visible ones (:mod:`symlow.cone`).
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable, Mapping

import numpy as np

from symlow.arrays import FloatArray, check_integer, check_number
from symlow.cone import entry_range, nearest_gram, unit_columns
from symlow.derivation import Derivation
from symlow.errors import ArrayError, GramMatrixError, LearningError, UnknownNameError, listing, nearest
from symlow.initial import gram_of_overlaps, infeasible, overlaps_of_gram
from symlow.overlaps import Overlap
from symlow.realise import check_state

SWEEPS = 50
"""How often a random twin draws each of its overlaps anew; ranges are forgotten after a few."""

ROUNDING = 1e-12
"""How far the smallest eigenvalue of a random twin, relative to norms, can be below that of what it is drawn from."""


def feasible(derivation: Derivation, sigma: object, overlap: str) -> tuple[float, float]:
    """Return the smallest and the largest value of an overlap that a network has, all others kept.

    Args:
        derivation: whose overlaps they are.
        sigma: overlaps of a network, shape (n_overlaps,).
        overlap: name of the overlap; the largest value of a norm is inf, and that of ones has one value only.

    Raises:
        ArrayError: for a wrong shape, or values that are not finite numbers.
        GramMatrixError: if sigma is that of no network.
        UnknownNameError: if there is no such overlap.
    """
    state, found = check_state(sigma, derivation), _overlap(derivation, overlap, "feasible")
    if found.name in _known(derivation):
        value = float(state[derivation.overlaps.index(found.name)])
        return value, value
    return entry_range(gram_of_overlaps(derivation, state), found.row, found.column)


def feasible_ranges(derivation: Derivation, sigma: object) -> dict[str, tuple[float, float]]:
    """Return by name the range, as of :func:`feasible`, of each overlap in which a twin can differ, all others kept.

    Raises:
        ArrayError: for a wrong shape, or values that are not finite numbers.
        GramMatrixError: if sigma is that of no network.
    """
    gram = gram_of_overlaps(derivation, check_state(sigma, derivation))
    index = derivation.reduction.index
    return {name: entry_range(gram, index[name].row, index[name].column) for name in _free(derivation)}


def twin(derivation: Derivation, sigma: object, changes: Mapping[str, float]) -> FloatArray:
    """Return the overlaps of a network's twin: sigma with other values of some loss-invisible overlaps.

    Args:
        derivation: whose overlaps they are.
        sigma: overlaps of a network, shape (n_overlaps,).
        changes: by name the values that the twin has; it has all other overlaps of sigma.

    Raises:
        ArrayError: for a wrong shape, values that are not finite numbers, or changes that are not by name.
        GramMatrixError: if sigma is that of no network, or the twin is; the message names the range of its overlap, or
            of several together the nearest values, in the Frobenius norm of Sigma, that a twin can have.
        UnknownNameError: if there is no such overlap, or it is loss-visible.
    """
    state = check_state(sigma, derivation)
    wished, chosen = _wished(derivation, state, changes)
    if _of_no_network(derivation, wished):
        raise GramMatrixError(_refusal(derivation, state, wished, chosen))
    return wished


def nearest_twin(derivation: Derivation, sigma: object, changes: Mapping[str, float]) -> FloatArray:
    """Return the overlaps of the twin that is nearest to one with such values, whether there is one with them or not.

    Nearest in the Frobenius norm of Sigma, in which an overlap of two columns counts twice and a norm once, among
    twins that differ from sigma in the overlaps of ``changes`` alone. Columns can be of any size, and wishes as far off
    as one likes (:mod:`symlow.cone`).

    Args:
        derivation: whose overlaps they are.
        sigma: overlaps of a network, shape (n_overlaps,).
        changes: wishes for loss-invisible overlaps, by name.

    Raises:
        ArrayError: for a wrong shape, values that are not finite numbers, or changes that are not by name.
        GramMatrixError: if sigma is that of no network, or the nearest is not found.
        UnknownNameError: if there is no such overlap, or it is loss-visible.
    """
    state = check_state(sigma, derivation)
    wished, chosen = _wished(derivation, state, changes)
    return _nearest(derivation, state, wished, chosen) if _of_no_network(derivation, wished) else wished


def extreme_twins(derivation: Derivation, sigma: object, overlap: str) -> tuple[FloatArray, FloatArray]:
    """Return the overlaps of the two twins with the smallest and the largest value of an overlap, all others kept.

    Raises:
        ArrayError: for a wrong shape, or values that are not finite numbers.
        GramMatrixError: if sigma is that of no network, or the overlap is a norm, which has no largest value.
        UnknownNameError: if there is no such overlap, or it is loss-visible.
    """
    (found,) = _invisible(derivation, [overlap], "extreme twins")
    low, high = feasible(derivation, sigma, found.name)
    if math.isinf(high):
        raise GramMatrixError(
            f"extreme twins: {found.name} is {low:.12g} or more, without end; accepted: an overlap of two columns, or "
            "values of your own with symlow.twin"
        )
    return twin(derivation, sigma, {found.name: low}), twin(derivation, sigma, {found.name: high})


def random_twin(
    derivation: Derivation, sigma: object, *, seed: int = 0, overlaps: Iterable[str] | None = None
) -> FloatArray:
    """Return the overlaps of a random twin, by default with the norms of sigma.

    Each of the overlaps in turn is drawn anew, uniformly in its range with all others kept: a Markov chain whose
    distribution tends to the uniform one over all such twins (Gibbs sampling), where these have an interior.

    Args:
        derivation: whose overlaps they are.
        sigma: overlaps of a network, shape (n_overlaps,).
        seed: of the random numbers, >= 0.
        overlaps: names of those that are drawn; by default all loss-invisible ones of two different columns, which
            are bounded.

    Raises:
        ArrayError: for a wrong shape, or values that are not finite numbers.
        GramMatrixError: if sigma is that of no network, or a norm is to be drawn, which has no largest value.
        LearningError: if the seed is negative, or no overlap is to be drawn.
        UnknownNameError: if there is no such overlap, or it is loss-visible, or ``overlaps`` is no list of names.
    """
    state = check_state(sigma, derivation).copy()
    check_integer(seed, "seed", 0, LearningError)
    if isinstance(overlaps, str) or not isinstance(overlaps, Iterable | None):
        raise UnknownNameError(f"random twin: found overlaps = {overlaps!r}; accepted: a list of names of overlaps")
    given = [o.name for o in derivation.reduction.invisible if not o.is_norm] if overlaps is None else overlaps
    drawn = _invisible(derivation, given, "random twin")
    if not drawn:
        raise LearningError(
            "random twin: found no overlap to draw; accepted: loss-invisible ones of two different columns, "
            f"{listing(o.name for o in derivation.reduction.invisible if not o.is_norm) or 'of which there are none'}"
        )
    for overlap in drawn:
        if overlap.is_norm:
            raise GramMatrixError(f"random twin: found {overlap.name}, a norm; accepted: overlaps with two finite ends")
    random = np.random.default_rng(seed)
    gram = gram_of_overlaps(derivation, state)
    least = min(_lowest(gram), 0.0) - ROUNDING
    for _ in range(SWEEPS):
        for overlap in drawn:
            low, high = entry_range(gram, overlap.row, overlap.column)
            value = low + (high - low) * random.random()
            moved = gram.copy()
            moved[overlap.row, overlap.column] = moved[overlap.column, overlap.row] = value
            # On the boundary of the cone a range is known to rounding only. Draws beyond are refused, which leaves the
            # distribution as it is.
            if _lowest(moved) >= least:
                gram = moved
    return overlaps_of_gram(derivation, gram)


def _lowest(gram: FloatArray) -> float:
    """Return the smallest eigenvalue of the Gram matrix of the columns divided by their norms."""
    return float(np.linalg.eigvalsh(unit_columns(gram)[0])[0])


def _wished(
    derivation: Derivation, state: FloatArray, changes: Mapping[str, float]
) -> tuple[FloatArray, list[Overlap]]:
    """Return the overlaps with these changes, be they those of a network or not, and which of them are changed."""
    if not isinstance(changes, Mapping):
        raise ArrayError(f"twin: found {reprlib.repr(changes)}; accepted: values by name of overlap, a mapping")
    chosen = _invisible(derivation, changes, "twin")
    wished = state.copy()
    for overlap, value in zip(chosen, changes.values(), strict=True):
        wished[derivation.overlaps.index(overlap.name)] = check_number(value, f"twin: {overlap.name}")
    return wished, chosen


def _of_no_network(derivation: Derivation, wished: FloatArray) -> bool:
    """Return whether no network has these overlaps: to rounding, in all of them and relative to norms."""
    return any(True for relative in (False, True) for _ in infeasible(wished[None], derivation, relative))


def _overlap(derivation: Derivation, name: object, what: str) -> Overlap:
    """Return the overlap of a name, which need not be one."""
    if not isinstance(name, str):
        raise UnknownNameError(f"{what}: found {reprlib.repr(name)}; accepted: the name of an overlap")
    return derivation.reduction.index[name]


def _invisible(derivation: Derivation, names: Iterable[str], what: str) -> list[Overlap]:
    """Return the overlaps of these names, checked to be ones in which a twin can differ."""
    accepted = _free(derivation)
    found = []
    given: dict[str, str] = {}
    for name in names:
        overlap = _overlap(derivation, name, what)
        if given.setdefault(overlap.name, name) != name:
            first = given[overlap.name]
            raise UnknownNameError(f"{what}: found {overlap.name} twice, as {first} and {name}; accepted: one value")
        if overlap.name not in accepted:
            why = "loss-visible, and twins have equal ones" if overlap.name in derivation.visible else "known"
            hint = nearest(overlap.name, accepted)
            raise UnknownNameError(f"{what}: found {overlap.name}, which is {why}{hint}; accepted: {listing(accepted)}")
        found.append(overlap)
    return found


def _free(derivation: Derivation) -> list[str]:
    """Return the overlaps in which a twin can differ: the loss-invisible ones, but for norms of ones."""
    return [name for name in derivation.invisible if name not in _known(derivation)]


def _known(derivation: Derivation) -> list[str]:
    """Return the norms of vectors of ones, which are numbers."""
    return [f"{name}_{name}" for name in derivation.network.ones]


def _nearest(derivation: Derivation, state: FloatArray, wished: FloatArray, chosen: list[Overlap]) -> FloatArray:
    if len(chosen) == 1:
        low, high = feasible(derivation, state, chosen[0].name)
        return np.where([name == chosen[0].name for name in derivation.overlaps], np.clip(wished, low, high), state)
    gram = gram_of_overlaps(derivation, wished)
    free = np.zeros(gram.shape, dtype=bool)
    for overlap in chosen:
        free[overlap.row, overlap.column] = free[overlap.column, overlap.row] = True
    return overlaps_of_gram(derivation, nearest_gram(gram, free))


def _refusal(derivation: Derivation, state: FloatArray, wished: FloatArray, chosen: list[Overlap]) -> str:
    places = [derivation.overlaps.index(overlap.name) for overlap in chosen]
    found = listing(f"{derivation.overlaps[k]} = {wished[k]:.12g}" for k in places)
    try:
        near = _nearest(derivation, state, wished, chosen)
    except GramMatrixError as error:
        return f"twin: no network has {found} and the other overlaps; {error}"
    best = listing(f"{derivation.overlaps[k]} = {near[k]:.12g}" for k in places)
    if len(chosen) > 1:
        return f"twin: no network has {found} and the other overlaps; accepted: the nearest that one has, {best}"
    low, high = feasible(derivation, state, chosen[0].name)
    ends = f"{low:.12g} or more" if math.isinf(high) else f"{low:.12g} to {high:.12g}"
    return f"twin: no network has {found} and the other overlaps; accepted: {ends}; the nearest: {best}"
