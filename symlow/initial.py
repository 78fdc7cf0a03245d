"""Initial conditions of learning: overlaps or weight vectors, given in a file or sampled.

Sigma = P^T P / N must be positive semidefinite: overlaps that are not are those of no network.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from symlow.arrays import FloatArray, check_array, check_integer, check_number, dimensions, load_arrays
from symlow.cone import BEYOND, unit_columns
from symlow.derivation import Derivation
from symlow.equations import Equations, Population
from symlow.errors import ArrayError, FileError, GramMatrixError, LearningError, check_name, listing
from symlow.rules import Velocity

NEURONS = 500
"""The number of neurons of a network whose size nobody says."""


def sample_weights(derivation: Derivation, neurons: int, scale: float, seed: int) -> FloatArray:
    """Return P with independent Gaussian entries of standard deviation ``scale``, shape (neurons, columns).

    The column of ones, where there is one, is all ones. Velocities are zero, and change nothing for the others. The
    rows of populations follow one another, in proportion to their weights; a column has zeros in the rows of the
    others. Where overlaps are sums over neurons, not averages, entries are shorter by sqrt(neurons).

    Raises:
        LearningError: if an argument is out of range.
    """
    check_integer(neurons, "neurons", 1, LearningError)
    check_number(scale, "scale", least=0, error=LearningError)
    check_integer(seed, "seed", 0, LearningError)
    index, equations = derivation.reduction.index, derivation.network.equations
    velocities = [vector.name for vector in derivation.network.vectors if isinstance(vector, Velocity)]
    places = [k for k, column in enumerate(index.columns) if column.vector not in velocities]
    drawn = np.zeros((neurons, len(index.columns)))
    drawn[:, places] = scale * np.random.default_rng(seed).standard_normal((neurons, len(places)))
    weights = np.zeros_like(drawn)
    for population, rows, columns in population_parts(derivation, neurons):
        weights[rows, columns] = drawn[rows, columns] / (1.0 if equations.averages else np.sqrt(neurons))
        if population.ones is not None:
            weights[rows, index.slice(population.ones)] = 1.0
    return weights


def sampled_neurons(derivation: Derivation) -> int:
    """Return the number of neurons of :func:`sampled_overlaps`: ``NEURONS``, or the next that populations divide."""
    least = least_neurons(derivation.network.equations)
    return math.ceil(NEURONS / least) * least


def sampled_overlaps(derivation: Derivation, seed: int) -> FloatArray:
    """Return overlaps to begin from where nobody says which: those of weights with entries of variance 1.

    See :func:`sample_weights`; shape (n_overlaps,).

    Raises:
        LearningError: if the seed is out of range.
    """
    return overlaps_of_weights(derivation, sample_weights(derivation, sampled_neurons(derivation), 1.0, seed))


def population_parts(derivation: Derivation, neurons: int) -> Iterator[tuple[Population, slice, list[int]]]:
    """Give each population with its rows and its columns of P, of so many neurons in all.

    Raises:
        LearningError: if the populations' weights do not divide the neurons into whole numbers.
    """
    index, equations = derivation.reduction.index, derivation.network.equations
    least = least_neurons(equations)
    if neurons % least:
        raise LearningError(
            f"neurons: found {neurons}; accepted: a multiple of {least}, which the weights of the populations divide"
        )
    total = sum(population.weight for population in equations.populations)
    start = 0
    for population in equations.populations:
        stop = start + int(population.weight * neurons / total)
        owned = [vector.name for vector in equations.vectors if vector.population == population.name]
        yield population, slice(start, stop), [k for k, column in enumerate(index.columns) if column.vector in owned]
        start = stop


def least_neurons(equations: Equations) -> int:
    """Return the smallest number of neurons that the weights of the populations divide into whole numbers."""
    return sum(equations.shares)


def gram_of_weights(derivation: Derivation, weights: FloatArray) -> FloatArray:
    """Return the Gram matrix of P, shape (neurons, columns), with a block for each population; (columns, columns)."""
    gram = np.zeros((weights.shape[1], weights.shape[1]))
    for population, rows, columns in population_parts(derivation, len(weights)):
        part = weights[rows, columns]
        size = len(part) / float(population.weight) if derivation.network.equations.averages else 1.0
        gram[np.ix_(columns, columns)] = part.T @ part / size
    return gram


def overlaps_of_weights(derivation: Derivation, weights: FloatArray) -> FloatArray:
    """Return the overlaps of P, shape (neurons, columns), in the order of sigma; shape (n_overlaps,)."""
    with np.errstate(over="ignore", invalid="ignore"):  # overlaps that are not finite are reported by who uses them
        gram = gram_of_weights(derivation, weights)
    return overlaps_of_gram(derivation, gram)


def overlaps_of_gram(derivation: Derivation, gram: FloatArray) -> FloatArray:
    """Return the overlaps in a Gram matrix, shape (columns, columns), in the order of sigma; shape (n_overlaps,)."""
    return np.array([gram[overlap.row, overlap.column] for overlap in derivation.ordered])


def gram_of_overlaps(derivation: Derivation, sigma: FloatArray) -> FloatArray:
    """Return the Gram matrix, shape (..., columns, columns), of overlaps, shape (..., n_overlaps).

    It is zero between populations.
    """
    size = len(derivation.reduction.index.columns)
    rows, columns = ([getattr(overlap, side) for overlap in derivation.ordered] for side in ("row", "column"))
    gram = np.zeros((*sigma.shape[:-1], size, size))
    gram[..., rows, columns] = gram[..., columns, rows] = sigma
    return gram


def weights_by_vector(derivation: Derivation, weights: FloatArray) -> dict[str, FloatArray]:
    """Return P, shape (neurons, columns), as arrays by vector, each of its own population's neurons, without ones."""
    parts = list(population_parts(derivation, len(weights)))
    rows = {population.name: rows for population, rows, _ in parts}
    index, network = derivation.reduction.index, derivation.network
    return {
        vector.name: weights[rows[vector.population], index.slice(vector.name)].copy()
        for vector in network.vectors
        if vector.name not in network.ones
    }


def check_weights(derivation: Derivation, weights: object) -> FloatArray:
    """Return the weights of a network as P, shape (neurons, columns), checked.

    Args:
        derivation: whose network it is.
        weights: arrays by vector, as :func:`symlow.realise` and :func:`symlow.load_weights` give them, in any order; or
            P itself, its columns in the order of the network's vectors. Ones and velocities can be missing by vector.

    Raises:
        ArrayError: for a wrong shape, values that are not finite numbers, a vector that is missing, or no neurons.
        GramMatrixError: for a column of ones with other entries, as where columns are in another order.
        LearningError: if the populations' weights do not divide the neurons into whole numbers.
        UnknownNameError: for a name that is none of a vector.
    """
    network, columns = derivation.network, derivation.reduction.index.columns
    if isinstance(weights, Mapping):
        optional = [*network.ones, *(vector.name for vector in network.vectors if isinstance(vector, Velocity))]
        needed = [vector.name for vector in network.vectors if vector.name not in optional]
        for name in needed:
            if name not in weights:
                found = listing(map(str, weights)) or "none"
                raise ArrayError(f"weights: found {found}, and no {name}; accepted: arrays {listing(needed)} by name")
        P = stacked_weights(derivation, weights)
    else:
        meaning = f"(neurons, columns) in the order {listing(column.label for column in columns)}, or arrays by vector"
        P = check_array(weights, "weights", (None, len(columns)), meaning)
    if not len(P):
        raise ArrayError("weights: found no neuron; accepted: at least one")
    for population, rows, _ in population_parts(derivation, len(P)):
        ones = population.ones
        if ones is not None and not np.all(P[rows, derivation.reduction.index.slice(ones)] == 1):
            raise GramMatrixError(
                f"weights: found entries of {ones} that are not 1; accepted: ones, or arrays by vector, without it"
            )
    return P


def stacked_weights(derivation: Derivation, weights: Mapping[str, FloatArray]) -> FloatArray:
    """Return P, shape (neurons, columns), of arrays by vector as :func:`weights_by_vector` has them.

    What is missing is zero, but for ones. A vector of one column can be of shape (N,).

    Raises:
        ArrayError: for a wrong shape, or numbers of neurons that are not in the ratio of the populations' weights.
        UnknownNameError: for a name that is none of a vector.
    """
    network, index = derivation.network, derivation.reduction.index
    vectors = {vector.name: vector for vector in network.vectors}
    given: dict[str, FloatArray] = {}
    sizes: dict[str, int] = {}
    for name, value in weights.items():
        check_name(name, vectors, "vector")
        columns, owner = vectors[name].columns, vectors[name].population
        value = value[:, None] if isinstance(value, np.ndarray) and value.ndim == 1 and columns == 1 else value
        given[name] = check_array(value, name, (sizes.get(owner), columns), _meaning(owner))
        sizes[owner] = len(given[name])
    _check_ratio(sizes, network.equations)
    stacked = np.zeros((sum(sizes.values()), len(index.columns)))
    for part, rows, _ in population_parts(derivation, len(stacked)):
        for vector in network.vectors:
            if vector.population != part.name:
                continue
            shape = (rows.stop - rows.start, vector.columns)
            if vector.name in given:
                own = check_array(given[vector.name], vector.name, shape, _meaning(part.name))
                stacked[rows, index.slice(vector.name)] = own
            elif vector.name == part.ones:
                stacked[rows, index.slice(vector.name)] = 1.0
    return stacked


def _meaning(population: str) -> str:
    """Return what the axes of the weights of a vector are."""
    return f"(N{f' of population {population}' if population else ''}, columns)"


def _check_ratio(sizes: Mapping[str, int], equations: Equations) -> None:
    """Check that populations have neurons in the ratio of their weights."""
    names = [population.name for population in equations.populations]
    shares = equations.shares
    found = [sizes.get(name, 0) for name in names]
    if any(found[0] * share != shares[0] * count for share, count in zip(shares, found, strict=True)):
        raise ArrayError(
            f"neurons: found {listing(map(str, found))} of the populations {listing(names)}; accepted: numbers in the "
            f"ratio of their weights, {' : '.join(map(str, shares))}"
        )


def load_initial(path: str | os.PathLike[str], derivation: Derivation) -> FloatArray:
    """Return initial overlaps from an .npz file: an array ``sigma``, or one array for each vector.

    Args:
        path: a file with ``sigma`` of shape (n_overlaps,) or (states, n_overlaps), or with an array of shape
            (N, columns) for each vector of the network, by its name, with N of its own population, as
            :func:`symlow.realise` makes them; or a saved run, which is continued. Velocities that are not given are
            zero.
        derivation: the derivation whose overlaps these are.

    Raises:
        FileError: if the file cannot be read or holds neither.
        ArrayError: for wrong shapes, or values that are not finite numbers.
        GramMatrixError: if the overlaps are those of no network.
    """
    arrays = load_arrays(path)
    vectors = [vector for vector in derivation.network.vectors if vector.name not in derivation.network.ones]
    try:
        if "sigma" in arrays:
            sigma = arrays["sigma"]
            # A saved run continues from its last step.
            return check_overlaps(sigma[-1] if "method" in arrays and sigma.size else sigma, derivation)
        vectors = [vector for vector in vectors if vector.name in arrays or not isinstance(vector, Velocity)]
        missing = [vector.name for vector in vectors if vector.name not in arrays]
        if missing:
            names = listing(vector.name for vector in vectors)
            raise FileError(f"{Path(path)}: no array {missing[0]!r}; accepted: an array sigma, or arrays {names}")
        for ones in derivation.network.ones:
            if ones not in arrays or np.all(arrays[ones] == 1):
                continue
            raise GramMatrixError(f"{ones}: found entries that are not 1; leave the array out, it is known")
        P = check_weights(derivation, {vector.name: arrays[vector.name] for vector in vectors})
        return check_overlaps(overlaps_of_weights(derivation, P), derivation)
    except (ArrayError, GramMatrixError) as error:
        raise type(error)(f"{Path(path)}: {error}") from None


def check_overlaps(sigma: object, derivation: Derivation) -> FloatArray:
    """Return overlaps as an array of floats, checked: shape (n_overlaps,) or (states, n_overlaps).

    Raises:
        ArrayError: for a wrong shape, or values that are not finite numbers.
        GramMatrixError: if the Gram matrix of a state is not positive semidefinite.
    """
    array = check_finite_overlaps(sigma, derivation)
    for k, problem in infeasible(np.atleast_2d(array), derivation):
        raise GramMatrixError(f"{'sigma' if array.ndim == 1 else f'sigma[{k}]'}: {problem}")
    return array


def check_finite_overlaps(sigma: object, derivation: Derivation) -> FloatArray:
    """Return overlaps as :func:`check_overlaps` does, but without a look at what their Gram matrices are.

    Raises:
        ArrayError: for a wrong shape, or values that are not finite numbers.
        GramMatrixError: if the mean square of ones is not 1.
    """
    n = len(derivation.overlaps)
    states = dimensions(sigma) == 2
    shape: tuple[int | None, ...] = (None, n) if states else (n,)
    array = check_array(sigma, "sigma", shape, f"({'states, ' if states else ''}{n} overlaps, see OVERLAPS)")
    if not len(array):
        raise ArrayError("sigma: found no state; accepted: at least one")
    for population in derivation.network.equations.populations:
        ones, right = population.ones, float(population.weight)
        if ones is None:
            continue
        square = array[..., derivation.overlaps.index(f"{ones}_{ones}")]
        if not np.allclose(square, right, rtol=0, atol=1e-10):
            raise GramMatrixError(
                f"sigma: found {ones}_{ones} = {np.ravel(square)[np.argmax(np.abs(np.ravel(square) - right))]:.6g}; "
                f"accepted: {right:.6g}, the mean square of ones"
            )
    return array


def infeasible(sigma: FloatArray, derivation: Derivation, relative: bool = False) -> Iterator[tuple[int, str]]:
    """Give the states that are those of no network, each with what is wrong with it.

    Args:
        sigma: shape (states, n_overlaps).
        derivation: whose overlaps they are.
        relative: whether columns are divided by their norms first. Where one is small beside the others its overlaps
            can be too large for it by what is rounding for the others.
    """
    columns = derivation.reduction.index.columns
    gram, what = gram_of_overlaps(derivation, sigma), "the Gram matrix"
    if relative:
        with np.errstate(over="ignore"):  # an overlap near the largest number, of small columns
            gram = np.clip(unit_columns(gram)[0], -BEYOND, BEYOND)
        what = "the Gram matrix of the columns divided by their norms"
    values, vectors = np.linalg.eigh(gram)
    # Rounding of a Gram matrix of rank < p leaves eigenvalues of either sign of this size.
    for k in np.flatnonzero(values[:, 0] < -1e-10 * np.maximum(1.0, values[:, -1])):
        worst = columns[int(np.argmax(np.abs(vectors[k, :, 0])))].label
        yield (
            int(k),
            f"{what} has the eigenvalue {values[k, 0]:.3g}, mostly along {worst}; accepted: positive "
            f"semidefinite, as of real vectors; raise the norm {worst}_{worst} or lower its overlaps",
        )
