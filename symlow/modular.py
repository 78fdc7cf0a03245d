"""Exact linear algebra modulo a prime: ranks, null spaces and Lie algebras of matrices of rational numbers.

    rank modulo p <= rank over the rationals,

with equality unless p divides all the largest minors that are not zero. So a rank found at random numbers modulo p is
a lower bound for certain, and by the lemma of Schwartz and Zippel too low with a probability of at most d/p, where d is
the degree of such a minor in the numbers drawn: below 1e-5 for all ranks here, and its square for two draws that agree.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

PRIME = 2**26 - 5
"""A prime so small that sums of 2048 products are exact in 64 bits."""

LARGEST_FRACTION = 1000
"""The largest numerator and denominator that a residue is read as."""

Residues = NDArray[np.int64]


def residue(value: Fraction) -> int:
    """Return a rational number modulo the prime.

    Raises:
        ZeroDivisionError: if the prime divides its denominator.
    """
    if value.denominator % PRIME == 0:
        raise ZeroDivisionError(f"{value} has no residue modulo {PRIME}")
    return value.numerator * pow(value.denominator, -1, PRIME) % PRIME


def fraction(value: int) -> Fraction | None:
    """Return the rational number of small numerator and denominator with that residue, or None if there is none."""
    r, last_r, s, last_s = int(value) % PRIME, PRIME, 1, 0
    while r > LARGEST_FRACTION:  # Euclid's algorithm: every pair (r, s) has r = value s
        quotient = last_r // r
        r, last_r = last_r - quotient * r, r
        s, last_s = last_s - quotient * s, s
    return Fraction(r, s) if 0 < abs(s) <= LARGEST_FRACTION else None


def reduced(matrix: Residues) -> tuple[Residues, tuple[int, ...]]:
    """Return the reduced row echelon form, without rows of zeros, and the columns of its pivots."""
    matrix = np.array(matrix, dtype=np.int64) % PRIME
    pivots: list[int] = []
    for column in range(matrix.shape[1]):
        row = len(pivots)
        below = np.flatnonzero(matrix[row:, column])
        if not len(below):
            continue
        matrix[[row, row + below[0]]] = matrix[[row + below[0], row]]
        matrix[row] = matrix[row] * pow(int(matrix[row, column]), -1, PRIME) % PRIME
        factors = matrix[:, column].copy()
        factors[row] = 0
        used = np.flatnonzero(factors)
        matrix[used] = (matrix[used] - factors[used, None] * matrix[row]) % PRIME
        pivots.append(column)
        if len(pivots) == len(matrix):
            break
    return matrix[: len(pivots)], tuple(pivots)


def rank(matrix: Residues) -> int:
    """Return the rank modulo the prime."""
    return len(reduced(matrix)[1])


def null_space(matrix: Residues) -> Residues:
    """Return a basis of the vectors that the matrix maps to zero, as rows in reduced echelon form."""
    echelon, pivots = reduced(matrix)
    free = [column for column in range(matrix.shape[1]) if column not in pivots]
    basis = np.zeros((len(free), matrix.shape[1]), dtype=np.int64)
    for row, column in enumerate(free):
        basis[row, column] = 1
        basis[row, list(pivots)] = -echelon[:, column] % PRIME
    return reduced(basis)[0]


def lie_algebra(generators: Residues, draw: Callable[[tuple[int, ...]], Residues]) -> Residues:
    """Return a basis of the Lie algebra of square matrices that these generate under [A, B] = A B - B A.

    All brackets are brackets with generators of what there is; random combinations of them span what all would.

    Args:
        generators: shape (count, size, size).
        draw: draws random residues of a shape.

    Returns:
        Shape (dimension, size, size).
    """
    size = generators.shape[-1]
    basis, _ = reduced(generators.reshape(len(generators), -1))
    while True:
        count = size * size - len(basis) + 2
        left = draw((count, len(generators))) @ generators.reshape(len(generators), -1) % PRIME
        right = draw((count, len(basis))) @ basis % PRIME
        left, right = (side.reshape(count, size, size) for side in (left, right))
        brackets = (left @ right - right @ left) % PRIME
        larger, _ = reduced(np.concatenate([basis, brackets.reshape(count, -1)]))
        if len(larger) == len(basis):
            return basis.reshape(-1, size, size)
        basis = larger
