"""Trained networks: the arrays of a file as the weight vectors of a derivation, in symlow's scaling.

    symlow         J = U V^T / N,                y = Z^T phi(h) / N
    a file's code  J = m n^T / N  or  m n^T,     y = wo^T phi(h) / N  or  wo^T phi(h)

The low-rank networks of Dubreuil, Valente, Beiran, Mastrogiuseppe & Ostojic (2022), and of many who took up their code,
have the parameters ``m``, ``n``, ``wi``, ``wo``, which are U, V, M, Z here, and scalings ``si``, ``so``, which multiply
the columns of ``wi`` and ``wo``. Some of these codes divide by N and some do not. *The vectors that read take the
factor*: with J = m n^T without 1/N, V = N n; with y = wo^T phi(h) without 1/N, Z = N wo. Carriers, m and wi, are kept,
so that the state h, its variance over neurons and the latents are those of the file's own network, and so is the
output:

    (1/N) m (N n)^T phi(h) = m n^T phi(h),      (1/N) (N wo)^T phi(h) = wo^T phi(h)

Then v_u is n . m and z_u is wo . m, N times the averages over neurons of the file's arrays; v_v is N n . n. Where a
derivation's equations are sums over neurons without 1/N themselves it is the other way round: readers are divided by N
if the file's code divides.

*Learning.* With P' = f P, a step P - eta dL/dP of the file's own parameters is P' - eta f^2 dL/dP', and symlow's is
P' - lr r N dL/dP' with r the vector's relative rate, ``[learning] rates``. They are one where lr r = eta f^2 / N, for
sums eta f^2: :meth:`Trained.rates`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
import sympy
from numpy.typing import NDArray

from symlow.array_files import MATRIX, read_arrays
from symlow.arrays import FloatArray, check_array, shown
from symlow.derivation import Derivation
from symlow.equations import Vector
from symlow.errors import ArrayError, FileError, LearningError, SymlowError, UnknownNameError, listing, nearest
from symlow.initial import stacked_weights
from symlow.network import Network
from symlow.rules import Velocity

CONVENTIONAL = MappingProxyType({"m": "u", "n": "v", "wi": "m", "wo": "z"})
"""Names of parameters in the code of low-rank networks, with the vectors that they are here."""

SCALINGS = MappingProxyType({"si": "wi", "so": "wo"})
"""Parameters that multiply the columns of others."""

SETTINGS = (
    "loss(es)?|error|accuracy|score|epochs?|steps?|iterations?|trials?|time|seed|lr|rate|momentum|alpha|tau|dt|leak|"
    "noise|std|temperature"
)
"""Words in names of single numbers that are settings of a network or a training, or measures of it, and no weights."""

OPTIMIZER = r"optim(i[sz]er)?s?(_states?)?(_dicts?)?"
"""What dictionaries of optimizers are called."""

SCALES = MappingProxyType({"recurrent": ("W/N", "W"), "readout": ("y/N", "y")})
"""What a file's code can do: divide by N, or not."""

LIKE_UNDIVIDED = 3.0
"""Weights that sums over N neurons read in code that does not divide by N have mean squares of up to this over N."""

NAMED = 3
"""How many arrays a message names."""

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, eq=False)
class Trained:
    """A network from a file, in symlow's scaling.

    Attributes:
        weights: by vector, but for ones, an array of shape (N, columns), of its population's neurons.
        sources: the name of the array that each vector was.
        factors: what each was multiplied by, besides the file's own scalings.
        neurons: N in the equations: the number of neurons in units of the populations' weights.
        scalings: names of the file's own scalings that were multiplied in, but for those that are one.
        left_out: names of the arrays that belong to no vector.
        recurrent: what the file's code was taken to do, "W/N" or "W".
        readout: likewise "y/N" or "y".
        by_default: of "recurrent" and "readout" those that nobody said, taken as the derivation's equations do.
        like_undivided: those of them that were taken as divided by N, where the file's arrays are as small as those of
            code that does not divide.
    """

    weights: Mapping[str, FloatArray] = field(repr=False)
    sources: Mapping[str, str]
    factors: Mapping[str, float]
    neurons: float
    scalings: tuple[str, ...]
    left_out: tuple[str, ...]
    recurrent: str
    readout: str
    by_default: tuple[str, ...]
    like_undivided: tuple[str, ...]

    @property
    def left_out_in_short(self) -> str:
        """The arrays left out, those inside one dictionary as one."""
        counts: dict[str, int] = {}
        for name in self.left_out:
            outer = _outermost(name, tuple(self.sources.values()))
            counts[outer] = counts.get(outer, 0) + 1
        return listing(
            outer if outer in self.left_out else f"{outer} ({count} array{'s' * (count > 1)})"
            for outer, count in counts.items()
        )

    def rates(self, derivation: Derivation) -> dict[str, float]:
        """Return by trained vector lr times its relative rate where the file's parameters have the learning rate 1."""
        size = self.neurons if derivation.network.equations.averages else 1.0
        trained = [vector.name for vector in derivation.network.vectors if vector.trainable]
        return {name: self.factors[name] ** 2 / size for name in trained if name in self.factors}


def load_weights(
    path: str | os.PathLike[str],
    derivation: Derivation,
    names: Mapping[str, str] | None = None,
    ignore: Sequence[str] = (),
    recurrent: str | None = None,
    readout: str | None = None,
    axes: Mapping[str, int] | None = None,
) -> Trained:
    """Return the network in a file as the vectors of a derivation.

    Arrays are found by the names of the vectors, where all of these are there, or else by those of the literature
    (``CONVENTIONAL``), by those of the vectors in capitals, or by ``names``. Which of their axes is that of neurons
    shows in their shapes. A single array P is all vectors side by side, in the order of the derivation's columns,
    without ones and velocities. An array that is zero everywhere, such as an initial state, can belong to no vector.
    What a dictionary of an optimizer holds is left out. So are single numbers that are integers or have a word of
    ``SETTINGS`` in their name, such as ``best_loss`` or ``noise_std``; one of ``SCALINGS`` multiplies all columns, and
    others, which can be biases or gains that the equations do not have, are an error unless they are zero.

    Args:
        path: an .npz, .npy or PyTorch file.
        derivation: whose vectors the arrays are.
        names: by name of an array, or the last part of one such as ``rnn.m``, the vector that it is.
        ignore: names of arrays to leave out, or the first parts of names: ``optimizer`` is all of ``optimizer.*``.
        recurrent: "W/N" if the file's code divides the recurrent connectivity by N, "W" if not; by default as the
            derivation's equations do. It is about all vectors that read neurons, but for those that the output reads.
        readout: "y/N" or "y", likewise for the vectors that the output reads.
        axes: by name of an array the axis along which neurons run, 0 or 1, where shapes do not tell.

    Raises:
        ArrayError: for arrays of shapes that do not fit, or with values that are not finite numbers.
        FileError: if the file cannot be read, or lacks an array, or has one that belongs to no vector.
        LearningError: if the neurons do not divide into the populations, or a factor N has no vector to take it.
        UnknownNameError: for a name in an argument that is none of the file's or the derivation's.
    """
    arrays = read_arrays(path)
    try:
        return trained_network(arrays, derivation, names or {}, ignore, recurrent, readout, axes or {})
    except SymlowError as error:
        raise type(error)(f"{Path(path)}: {error}") from None


def trained_network(
    arrays: Arrays,
    derivation: Derivation,
    names: Mapping[str, str],
    ignore: Sequence[str],
    recurrent: str | None,
    readout: str | None,
    axes: Mapping[str, int],
) -> Trained:
    """Return the network of arrays by name; arguments and errors are those of :func:`load_weights`."""
    asked = {"recurrent": recurrent, "readout": readout}
    for what, given in asked.items():
        if given is not None and not (isinstance(given, str) and given in SCALES[what]):
            raise LearningError(f"{what}: found {shown(given)}; accepted: {' or '.join(map(repr, SCALES[what]))}")
    for what, mapping, example in (("map", names, "{'w_in': 'M'}"), ("axis", axes, "{'w_in': 1}")):
        if not isinstance(mapping, Mapping):
            raise UnknownNameError(f"{what}: found {shown(mapping)}; accepted: a mapping by name, such as {example}")
    if isinstance(ignore, str) or not isinstance(ignore, Sequence):
        raise UnknownNameError(f"ignore: found {shown(ignore)}; accepted: a list of names, such as ['optimizer']")
    wanted = {
        vector.name: vector
        for vector in derivation.network.vectors
        if vector.name not in derivation.network.ones and not isinstance(vector, Velocity)
    }
    sides = {_array_named(name, arrays, "axis"): side for name, side in axes.items()}
    mapped = [_array_named(name, arrays, "map") for name in names]
    of_optimizers = [name for name in arrays if name not in mapped and _is_of_optimizer(name)]
    settings = [name for name, array in arrays.items() if name not in mapped and _is_setting(name, array)]
    ignored = {*_all_named(ignore, arrays, "ignore"), *of_optimizers, *settings}
    kept = {name: array for name, array in arrays.items() if name not in ignored}
    if MATRIX in kept and MATRIX not in names and all(kept[name].ndim == 0 for name in kept if name != MATRIX):
        found = _split(kept[MATRIX], wanted, sides.get(MATRIX))
        sources, scalings = dict.fromkeys(wanted, MATRIX), {}
        left_out = [name for name in kept if name != MATRIX]
        _check_left_out(kept, left_out, [MATRIX], wanted)
    else:
        sources = _sources(kept, wanted, names, len(of_optimizers))
        taken = list(sources.values())
        scalings = _scalings(kept, sources)
        left_out = [name for name in kept if name not in taken and name not in scalings]
        _check_left_out(kept, left_out, [*taken, *scalings], wanted)
        found = {
            name: _upright(kept[source], source, wanted[name].columns, sides.get(source))
            for name, source in sources.items()
        }
        for scaling, source in scalings.items():
            owner = next(name for name in sources if sources[name] == source)
            shape = () if kept[scaling].ndim == 0 else (wanted[owner].columns,)
            found[owner] = found[owner] * check_array(
                kept[scaling], f"array {scaling}", shape, f"one for each column of {source}"
            )
    _check_neurons(found, sources, wanted)
    P = stacked_weights(derivation, found)
    if len(P) == 0:
        raise ArrayError(f"array {next(iter(sources.values()))}: found no neuron; accepted: at least one")
    size = len(P) / float(sympy.Add(*(p.weight for p in derivation.network.equations.populations)))
    readers = _readers(derivation.network)
    own = derivation.network.equations.averages
    factors = dict.fromkeys(wanted, 1.0) | {
        name: _factor(derivation.network, name, size, what, asked[what]) for name, what in readers.items()
    }
    by_default = tuple(what for what, given in asked.items() if given is None)
    taken_as = {what: given or SCALES[what][not own] for what, given in asked.items()}
    return Trained(
        {name: factors[name] * array for name, array in found.items()},
        sources,
        factors,
        size,
        tuple(name for name in scalings if np.any(kept[name] != 1)),
        (*left_out, *(name for name in arrays if name not in kept)),
        **taken_as,
        by_default=by_default,
        like_undivided=tuple(
            what
            for what in by_default
            if own and _like_undivided([found[name] for name in readers if readers[name] == what], size)
        ),
    )


def _is_of_optimizer(name: str) -> bool:
    """Return whether an array stands in a dictionary that is called as those of optimizers are."""
    return any(re.fullmatch(OPTIMIZER, part) for part in name.lower().split(".")[:-1])


def _is_setting(name: str, array: NDArray[np.generic]) -> bool:
    """Return whether an array is a single number that is known to be no weight, by its type or its name."""
    last = name.rpartition(".")[2]
    return (
        array.ndim == 0
        and last not in SCALINGS
        and (
            array.dtype.kind in "biu"
            or any(re.fullmatch(SETTINGS, word) for word in re.findall("[a-z]+", last.lower()))
        )
    )


def _like_undivided(arrays: Sequence[FloatArray], neurons: float) -> bool:
    """Return whether all these arrays have mean squares of the order of 1/N or less, and not all are zero."""
    with np.errstate(over="ignore"):
        squares = [float(np.mean(np.square(array), axis=0).max()) for array in arrays]
    return max(squares, default=0.0) > 0 and max(squares) <= LIKE_UNDIVIDED / neurons


def _array_named(name: str, arrays: Arrays, option: str) -> str:
    """Return the array of that name, or the only one of which it is the last part."""
    if name in arrays:
        return name
    matching = [full for full in arrays if full.rpartition(".")[2] == name]
    if len(matching) != 1:
        found = f"found {name!r}, " + (f"which {listing(matching, NAMED)} end in" if matching else "which is no array")
        raise UnknownNameError(f"{option}: {found}{nearest(name, arrays)}; accepted: {listing(arrays, NAMED)}")
    return matching[0]


def _all_named(names: Sequence[str], arrays: Arrays, option: str) -> list[str]:
    """Return the arrays of these names, or all those inside where a name is that of a dictionary of them."""
    found: list[str] = []
    for name in names:
        inside = [full for full in arrays if full.startswith(f"{name}.")]
        found += inside if inside and name not in arrays else [_array_named(name, arrays, option)]
    return found


def _sources(
    arrays: Arrays, wanted: Mapping[str, Vector], names: Mapping[str, str], of_optimizers: int
) -> dict[str, str]:
    """Return by vector the name of its array; ``of_optimizers`` are not among the arrays, and are said."""
    sources: dict[str, str] = {}
    letters = {name.lower(): name for name in wanted}
    for array, vector in names.items():
        if not isinstance(vector, str) or vector.lower() not in letters:
            raise UnknownNameError(
                f"map: found {array}={vector}, which is no vector{nearest(vector, wanted)}; accepted: {listing(wanted)}"
            )
        if letters[vector.lower()] in sources:
            raise UnknownNameError(f"map: found two arrays for {vector}; accepted: one for each vector")
        sources[letters[vector.lower()]] = _array_named(array, arrays, "map")
    rest = [name for name in wanted if name not in sources]
    own = {name: name for name in rest}
    conventional = {vector: array for array, vector in CONVENTIONAL.items() if vector in rest}
    free = {name: array for name, array in arrays.items() if name not in sources.values()}
    lasts = {name.rpartition(".")[2] for name in free}
    capitals = {name: last for name in rest for last in sorted(lasts) if last == name.upper()}
    candidates = (own, conventional, capitals)
    chosen = next((c for c in candidates if all(c.get(name) in lasts for name in rest)), conventional)
    missing = [name for name in rest if chosen.get(name) not in lasts]
    if missing:
        known = " and ".join(listing(sorted(names)) for names in (own.values(), conventional.values()) if names)
        raise FileError(
            f"no array for the vector {missing[0]}: found {listing(free, NAMED) or 'none'}"
            + (f", and {of_optimizers} of an optimizer, left out" if of_optimizers else "")
            + f"; accepted: arrays {known}, or others with --map NAME={missing[0]}"
        )
    return {name: sources.get(name) or _array_named(chosen[name], free, "map") for name in wanted}


def _scalings(arrays: Arrays, sources: Mapping[str, str]) -> dict[str, str]:
    """Return the file's own scalings by name, with the array whose columns each multiplies."""
    found = {}
    for scaling, scaled in SCALINGS.items():
        for source in sources.values():
            prefix, dot, last = source.rpartition(".")
            if (
                last == scaled
                and f"{prefix}{dot}{scaling}" in arrays
                and f"{prefix}{dot}{scaling}" not in sources.values()
            ):
                found[f"{prefix}{dot}{scaling}"] = source
    return found


def _check_left_out(
    arrays: Arrays, left_out: Sequence[str], taken: Sequence[str], wanted: Mapping[str, Vector]
) -> None:
    """Check that what belongs to no vector is zero: an initial state, or biases, that the equations do not have."""
    foreign = [name for name in left_out if np.any(arrays[name] != 0)]
    if foreign:
        many = f"{len(foreign)} arrays that belong to no vector and are not zero, " if len(foreign) > 1 else ""
        found = listing((f"{name} of shape {arrays[name].shape}" for name in foreign), NAMED)
        outermost = list(dict.fromkeys(_outermost(name, taken) for name in foreign))
        ignored = " ".join(f"--ignore {name}" for name in outermost[:NAMED]) + " ..." * (len(outermost) > NAMED)
        raise FileError(
            f"found {many or 'an array that belongs to no vector and is not zero, '}{found}; accepted: "
            f"--map {foreign[0]}=VECTOR, one of {listing(wanted)}, or {ignored}"
        )


def _outermost(name: str, taken: Sequence[str]) -> str:
    """Return the shortest beginning of a name, up to a dot, that no name of those taken has."""
    parts = name.split(".")
    beginnings = (".".join(parts[: k + 1]) for k in range(len(parts)))
    return next(part for part in beginnings if not any(f"{other}.".startswith(f"{part}.") for other in taken))


def _upright(array: NDArray[np.generic], name: str, columns: int, side: int | None) -> FloatArray:
    """Return an array with its neurons along the first axis, shape (N, columns)."""
    if array.ndim == 1 and columns == 1:
        return check_array(array[:, None], f"array {name}", (None, 1), "(N, 1)")
    shape = f"(N, {columns}) or ({columns}, N)"
    sides = [axis for axis in (0, 1) if array.ndim == 2 and array.shape[1 - axis] == columns]
    if not sides or (side is not None and side not in sides):
        given = "" if side is None else f" with axis {side} for neurons"
        raise ArrayError(f"array {name}: found shape {array.shape}{given}; accepted: {shape}")
    if side is None and len(sides) > 1:
        raise ArrayError(
            f"array {name}: found shape {array.shape}, of which either axis can be that of neurons; accepted: "
            f"--axis {name}=0 or --axis {name}=1 says which"
        )
    return check_array(array if (side or sides[0]) == 0 else array.T, f"array {name}", (None, columns), shape)


def _split(matrix: NDArray[np.generic], wanted: Mapping[str, Vector], side: int | None) -> dict[str, FloatArray]:
    """Return the vectors that stand side by side in a matrix."""
    populations = {vector.population for vector in wanted.values()}
    if len(populations) > 1:
        raise ArrayError(
            f"array {MATRIX}: found one for {len(populations)} populations; accepted: an .npz file with one by vector"
        )
    upright = _upright(matrix, MATRIX, sum(vector.columns for vector in wanted.values()), side)
    ends = np.cumsum([vector.columns for vector in wanted.values()])[:-1]
    return dict(zip(wanted, np.split(upright, ends, axis=1), strict=True))


def _check_neurons(found: Mapping[str, FloatArray], sources: Mapping[str, str], wanted: Mapping[str, Vector]) -> None:
    """Check that all vectors of a population have as many neurons."""
    first: dict[str, str] = {}
    for name, array in found.items():
        other = first.setdefault(wanted[name].population, name)
        if len(array) != len(found[other]):
            raise ArrayError(
                f"array {sources[name]}: found {len(array)} neurons, where {sources[other]} has {len(found[other])}; "
                "accepted: as many in both"
            )


def _readers(network: Network) -> dict[str, str]:
    """Return by vector that reads neurons whether it is one of the "readout" or of the "recurrent" connectivity."""
    symbols = {p.symbol: p.reader for p in network.projections} | {
        latent.symbol: latent.vector for latent in network.latents if latent.reading
    }
    of_output = {reader for symbol, reader in symbols.items() if symbol in network.read}
    return {name: "readout" if name in of_output else "recurrent" for name in dict.fromkeys(symbols.values())}


def _factor(network: Network, name: str, neurons: float, what: str, given: str | None) -> float:
    """Return what a vector that reads is multiplied by, for the equations' 1/N in place of the file's."""
    own = network.equations.averages
    divided = own if given is None else given == SCALES[what][0]
    factor = float(neurons ** (own - divided))
    if factor != 1 and (name in network.carriers or name in network.ones):
        raise LearningError(
            f"{what}: found {given!r} where {name}, which reads neurons, "
            f"{'is a vector of ones' if name in network.ones else 'carries activity too'} and cannot take the "
            f"factor N; accepted: {SCALES[what][not own]!r}, with arrays of the file that are scaled so"
        )
    return factor
