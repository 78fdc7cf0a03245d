"""How many independent conserved quantities there can be, polynomial or not: n minus the dimension of a generic orbit.

Along a visible overlap e learning moves P by P S_e D, with S_e symmetric, or with feedback alignment by P E S_e D;
along several, in turn, by whatever these p x p matrices generate under commutators, a Lie algebra. It moves the
overlaps by B^T Sigma + Sigma B for each of its elements B. By Frobenius' theorem the smooth functions that are
conserved for every loss are, near a generic point, the functions of as many independent ones as the overlaps outnumber
the directions in which they can move.

Ranks are found modulo a prime at one point, where they are at most the generic, rational ones. So the number returned
is never too small: it is a bound, and where as many independent conserved quantities are at hand, these are all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symlow.invariants.null_space import IntArray, reduced
from symlow.invariants.polynomials import Polynomial, VectorFields
from symlow.learning import GramFlow

PRIME = 67108859
"""The largest prime below 2^26: sums of 2000 products of two remainders fit a signed integer of 64 bits."""


def most_invariants(fields: VectorFields) -> int:
    """Return a bound on the number of functionally independent quantities that are conserved for every loss."""
    algebra = _algebra(fields.flow)
    gram = _point(fields)
    moved = (np.swapaxes(algebra, 1, 2) @ gram + gram @ algebra) % PRIME
    rows = [overlap.row for overlap in fields.overlaps]
    columns = [overlap.column for overlap in fields.overlaps]
    return len(fields.overlaps) - len(reduced(moved[:, rows, columns], PRIME)[1])


def independent(fields: VectorFields, polynomials: Sequence[Polynomial]) -> int:
    """Return how many of the polynomials are functionally independent, at least: the rank of their gradients."""
    gram = _point(fields)
    sigma = [int(gram[overlap.row, overlap.column]) for overlap in fields.overlaps]
    gradients = np.zeros((len(polynomials), len(sigma)), dtype=np.int64)
    for k, polynomial in enumerate(polynomials):
        for monomial, coefficient in polynomial.items():
            factor = coefficient.numerator * pow(coefficient.denominator, -1, PRIME)
            for place, overlap in enumerate(monomial):
                value = factor
                for other in monomial[:place] + monomial[place + 1 :]:
                    value = value * sigma[other] % PRIME
                gradients[k, overlap] = (gradients[k, overlap] + value) % PRIME
    return len(reduced(gradients, PRIME)[1])


def _algebra(flow: GramFlow) -> IntArray:
    """Return a basis of the Lie algebra that the matrices S_e D, or E S_e D, generate, shape (dimension, p, p)."""
    p = len(flow.rates)
    rates = [int(rate.p) * pow(int(rate.q), -1, PRIME) % PRIME for rate in flow.rates]
    generators = np.zeros((len(flow.visible), p, p), dtype=np.int64)
    for k, overlap in enumerate(flow.visible):
        generators[k, flow.exchanged[overlap.row], overlap.column] = rates[overlap.column]
        generators[k, flow.exchanged[overlap.column], overlap.row] = rates[overlap.row]
    basis, pivots = reduced(generators.reshape(-1, p * p), PRIME)
    generators = fresh = basis.reshape(-1, p, p)
    while len(fresh):
        # Commutators with the generators alone span all nested ones (Jacobi's identity).
        products = np.concatenate([(a @ generators - generators @ a) % PRIME for a in fresh]).reshape(-1, p * p)
        rest = (products - products[:, pivots] @ basis) % PRIME
        added, _ = reduced(rest[rest.any(axis=1)], PRIME)
        basis, pivots = reduced(np.concatenate([basis, added]), PRIME)
        fresh = added.reshape(-1, p, p)
    return basis.reshape(-1, p, p)


def _point(fields: VectorFields) -> IntArray:
    """Return a symmetric matrix of random remainders, zero where there is no overlap."""
    p = len(fields.flow.rates)
    values = np.random.default_rng(0).integers(1, PRIME, len(fields.overlaps))
    gram = np.zeros((p, p), dtype=np.int64)
    for overlap, value in zip(fields.overlaps, values, strict=True):
        gram[overlap.row, overlap.column] = gram[overlap.column, overlap.row] = value
    return gram
