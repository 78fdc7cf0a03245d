"""The null space of an integer matrix over the rationals: elimination modulo primes, lifted and then proved.

Modulo any prime the rank is at most the rational one, so that the null space has at least its rational dimension. Each
vector of its reduced basis is lifted to the rationals, and multiplied by the matrix in integer arithmetic. Where all
products vanish, the rational null space has that dimension too and the lifted vectors are a basis: no luck with a prime
is relied on. Where one does not, the next prime joins in by the Chinese remainder theorem.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import isqrt

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

PRIMES = (2147483647, 2147483629, 2147483587, 2147483579, 2147483563, 2147483549, 2147483543, 2147483497)
"""The largest primes below 2^31: a product of two remainders fits a signed integer of 64 bits."""


def null_space(rows: Sequence[Mapping[int, int]], columns: int) -> tuple[dict[int, Fraction], ...]:
    """Return the reduced basis of the vectors that every row multiplies to zero.

    Each vector is 1 at its own free column, its last one, and 0 at those of the others.

    Args:
        rows: the entries that are not zero, by column.
        columns: the number of columns.

    Raises:
        ArithmeticError: if a basis has numerators or denominators beyond the product of all primes.
    """
    rows = [dict(row) for row in dict.fromkeys(tuple(sorted(row.items())) for row in rows)]
    modulus, residues = 1, []
    best: tuple[int, ...] = ()
    for prime in PRIMES:
        pivots, vectors = _modular_null_space(rows, columns, prime)
        if modulus == 1 or (-len(pivots), pivots) < (-len(best), best):  # the primes before were unlucky
            modulus, residues, best = prime, [_objects(vector) for vector in vectors], pivots
        elif pivots == best:
            residues = [_combined(r, modulus, v, prime) for r, v in zip(residues, vectors, strict=True)]
            modulus *= prime
        lifted = [_lifted(residue, modulus) for residue in residues]
        if all(vector is not None and _is_null(rows, vector) for vector in lifted):
            return tuple(vector for vector in lifted if vector is not None)
    raise ArithmeticError(f"a null vector has entries beyond {isqrt(modulus // 2)}")


def reduced(matrix: IntArray, prime: int) -> tuple[IntArray, list[int]]:
    """Return the reduced row echelon form modulo a prime below 2^31, without its rows of zeros, and its pivots."""
    matrix = matrix % prime
    pivots: list[int] = []
    for column in range(matrix.shape[1]):
        top = len(pivots)
        below = np.flatnonzero(matrix[top:, column])
        if not below.size:
            continue
        pivot = top + below[0]
        matrix[[top, pivot]] = matrix[[pivot, top]]
        matrix[top] = matrix[top] * pow(int(matrix[top, column]), -1, prime) % prime
        others = np.flatnonzero(matrix[:, column])
        others = others[others != top]
        filled = np.flatnonzero(matrix[top])
        block = np.ix_(others, filled)
        matrix[block] = (matrix[block] - matrix[others, column, None] * matrix[top, filled]) % prime
        pivots.append(column)
        if len(pivots) == len(matrix):
            break
    return matrix[: len(pivots)], pivots


def _modular_null_space(
    rows: Sequence[Mapping[int, int]], columns: int, prime: int
) -> tuple[tuple[int, ...], list[IntArray]]:
    matrix = np.zeros((len(rows), columns), dtype=np.int64)
    for k, row in enumerate(rows):
        for column, entry in row.items():
            matrix[k, column] = entry % prime
    echelon, pivots = reduced(matrix, prime)
    taken = set(pivots)
    vectors = []
    for free in (column for column in range(columns) if column not in taken):
        vector = np.zeros(columns, dtype=np.int64)
        vector[free] = 1
        vector[pivots] = -echelon[:, free] % prime
        vectors.append(vector)
    return tuple(pivots), vectors


def _objects(vector: IntArray) -> dict[int, int]:
    return {int(k): int(vector[k]) for k in np.flatnonzero(vector)}


def _combined(residue: dict[int, int], modulus: int, vector: IntArray, prime: int) -> dict[int, int]:
    """Return the vector modulo ``modulus * prime`` with the given remainders modulo each."""
    inverse = pow(modulus, -1, prime)
    new = _objects(vector)
    keys = sorted({*residue, *new})
    return {k: (r := residue.get(k, 0)) + modulus * ((new.get(k, 0) - r) * inverse % prime) for k in keys}


def _lifted(residue: dict[int, int], modulus: int) -> dict[int, Fraction] | None:
    lifted = {k: _rational(value, modulus) for k, value in residue.items()}
    return None if None in lifted.values() else {k: value for k, value in lifted.items() if value}


def _rational(residue: int, modulus: int) -> Fraction | None:
    """Return the fraction of numerator and denominator below sqrt(modulus / 2) with this residue, if there is one."""
    bound = isqrt(modulus // 2)
    (r0, t0), (r1, t1) = (modulus, 0), (residue, 1)
    while r1 > bound:
        quotient = r0 // r1
        (r0, t0), (r1, t1) = (r1, t1), (r0 - quotient * r1, t0 - quotient * t1)
    return Fraction(r1, t1) if t1 and abs(t1) <= bound else None


def _is_null(rows: Sequence[Mapping[int, int]], vector: Mapping[int, Fraction]) -> bool:
    return not any(sum(entry * vector[k] for k, entry in row.items() if k in vector) for row in rows)
