"""A conserved quantity: a polynomial in the overlaps that learning does not change, whatever the loss, and its proof.

Three forms, each of which is evaluated without being expanded:

    terms           sum of coefficient * product of overlaps
    trace           tr (A E Sigma_C)^k,           A diagonal, on the columns C of P, and E a permutation of them
    Gram sum        sum over K in C, |K| = k, of (product of A_ii over K) det Sigma_{F+EK; F+K},

and a minor of the Gram matrix. The Gram sum is the coefficient of x^(|C| - k) in the determinant of
[[Sigma_FF, Sigma_FC], [A E Sigma_CF, A E Sigma_CC + x]]. Where Sigma_FF is invertible it is det Sigma_FF times the
k-th elementary symmetric function of the eigenvalues of A E (Sigma_CC - Sigma_CF Sigma_FF^-1 Sigma_FC) (Schur's
determinant).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb, factorial, prod
from types import MappingProxyType
from typing import final

import numpy as np
import sympy

from symlow.arrays import FloatArray
from symlow.errors import ArrayError, InvariantError
from symlow.invariants.polynomials import Number, Polynomial, VectorFields, evaluated, product, total

FROZEN, ORTHOGONAL, LAX, VOLUME, SEARCH = "frozen", "orthogonal part", "Lax pair", "volume", "found by search"

MOST_PRODUCTS = 50_000
"""The largest number of products of overlaps that are multiplied out for an expression: some seconds."""


@dataclass(frozen=True)
class Proof:
    """Why a quantity is conserved.

    Attributes:
        text: the argument, in words.
        checked: what was checked, exactly, each with what was found.
    """

    text: str
    checked: Mapping[str, object]

    def __post_init__(self) -> None:
        object.__setattr__(self, "checked", MappingProxyType(dict(self.checked)))


@dataclass(frozen=True, eq=False)
class Invariant(ABC):
    """A conserved quantity.

    Attributes:
        name: short name, such as ``tr(J Sigma)^2``.
        degree: its degree as a polynomial in the overlaps; it is homogeneous.
        kind: "frozen", "orthogonal part", "Lax pair", "volume" or "found by search".
        proof: why it is conserved.
        fields: the flow that conserves it.
    """

    name: str
    degree: int
    kind: str
    proof: Proof
    fields: VectorFields

    @property
    def is_kept_by_steps(self) -> bool:
        """Whether finite steps conserve it too; others, as far as is known, change by an amount of order lr^2."""
        return self.kind in (FROZEN, ORTHOGONAL)

    @property
    def is_expandable(self) -> bool:
        """Whether it has few enough terms to be multiplied out."""
        return self._products <= MOST_PRODUCTS

    @cached_property
    def polynomial(self) -> Polynomial:
        """Its exact coefficients by monomial, positions in the order of sigma.

        Raises:
            InvariantError: if there are too many terms to multiply out.
        """
        if not self.is_expandable:
            raise InvariantError(
                f"{self.name}: found {self._products} products of overlaps to multiply out; accepted: at most "
                f"{MOST_PRODUCTS}; evaluate it with value()"
            )
        return self._expanded()

    @cached_property
    def expression(self) -> sympy.Expr:
        """The quantity in SymPy, expanded, in the overlaps ``sigma_*``.

        Raises:
            InvariantError: if there are too many terms to multiply out.
        """
        return self.fields.expression(self.polynomial)

    def value(self, sigma: object) -> FloatArray:
        """Return its value at overlaps of shape (..., n_overlaps), shape (...).

        Raises:
            ArrayError: if the last axis does not hold the overlaps.
        """
        return self._value(self._checked(sigma))

    def scale(self, sigma: object) -> FloatArray:
        """Return how large it could be for vectors of the same norms, shape (...): what drifts are compared with.

        By the inequalities of Cauchy and Schwarz, and for determinants of Hadamard, abs(value) <= scale.

        Raises:
            ArrayError: if the last axis does not hold the overlaps.
        """
        return self._scale(self._checked(sigma))

    def _checked(self, sigma: object) -> FloatArray:
        array = np.asarray(sigma, dtype=np.float64)
        n = len(self.fields.overlaps)
        if array.ndim == 0 or array.shape[-1] != n:
            raise ArrayError(f"sigma: found shape {array.shape}; accepted: (..., {n}), the overlaps of the derivation")
        return array

    def _gram(self, sigma: FloatArray, rows: tuple[int, ...], columns: tuple[int, ...]) -> FloatArray:
        """Return the block of the Gram matrix of some rows and columns, shape (..., rows, columns)."""
        places = self.fields.positions
        return sigma[..., [[places[i, j] for j in columns] for i in rows]]

    def _norms(self, sigma: FloatArray, columns: tuple[int, ...]) -> FloatArray:
        return np.abs(sigma[..., [self.fields.positions[k, k] for k in columns]])

    def _entry(self, row: int, column: int) -> Polynomial:
        return {(self.fields.positions[row, column],): 1}

    @property
    @abstractmethod
    def _products(self) -> int:
        """How many products the expansion has."""

    @abstractmethod
    def _expanded(self) -> Polynomial: ...

    @abstractmethod
    def _value(self, sigma: FloatArray) -> FloatArray: ...

    @abstractmethod
    def _scale(self, sigma: FloatArray) -> FloatArray: ...


@final
@dataclass(frozen=True, eq=False)
class Terms(Invariant):
    """A conserved quantity by its terms.

    Attributes:
        terms: exact coefficients by monomial.
    """

    terms: Polynomial

    @property
    def _products(self) -> int:
        return len(self.terms)

    def _expanded(self) -> Polynomial:
        return dict(self.terms)

    def _value(self, sigma: FloatArray) -> FloatArray:
        return evaluated(self.terms, sigma)

    def _scale(self, sigma: FloatArray) -> FloatArray:
        overlaps = self.fields.overlaps
        sizes = {monomial: max(coefficient, -coefficient) for monomial, coefficient in self.terms.items()}
        norms = [self._norms(sigma, (overlap.row, overlap.column)) for overlap in overlaps]
        bounds = np.stack([np.sqrt(norm.prod(axis=-1)) for norm in norms], axis=-1)
        return evaluated(sizes, bounds)


@final
@dataclass(frozen=True, eq=False)
class Trace(Invariant):
    """tr (A E Sigma_C)^k.

    Attributes:
        columns: the columns C of P.
        form: the diagonal of A.
        rows: the same columns in the order of E.
    """

    columns: tuple[int, ...]
    form: tuple[Number, ...]
    rows: tuple[int, ...]

    @property
    def _products(self) -> int:
        return len(self.columns) ** self.degree

    def _expanded(self) -> Polynomial:
        size = range(len(self.columns))
        matrix = [
            [{m: a * c for m, c in self._entry(i, j).items()} for j in self.columns]
            for i, a in zip(self.rows, self.form, strict=True)
        ]
        power = matrix
        for _ in range(self.degree - 1):
            power = [[total((1, product(power[i][k], matrix[k][j])) for k in size) for j in size] for i in size]
        return total((1, power[i][i]) for i in size)

    def _value(self, sigma: FloatArray) -> FloatArray:
        matrix = np.array(self.form, dtype=np.float64)[:, None] * self._gram(sigma, self.rows, self.columns)
        # tr (X^a X^b) is a sum of products of entries: half of the powers are enough.
        power = np.linalg.matrix_power(matrix, self.degree // 2)
        other = power if self.degree % 2 == 0 else power @ matrix
        return np.einsum("...ij,...ji->...", power, other)

    def _scale(self, sigma: FloatArray) -> FloatArray:
        return _sizes(self, sigma).sum(-1) ** self.degree


@final
@dataclass(frozen=True, eq=False)
class GramSum(Invariant):
    """The sum over subsets K of C, of ``degree - len(beside)`` columns, of (product of A over K) det Sigma_{F+EK; F+K}.

    Attributes:
        columns: the columns C of P.
        form: the diagonal of A.
        rows: the same columns in the order of E.
        beside: the columns F.
    """

    columns: tuple[int, ...]
    form: tuple[Number, ...]
    rows: tuple[int, ...]
    beside: tuple[int, ...]

    @property
    def order(self) -> int:
        """How many columns of C its subsets have."""
        return self.degree - len(self.beside)

    @property
    def _products(self) -> int:
        return comb(len(self.columns), self.order) * factorial(self.degree)

    def _expanded(self) -> Polynomial:
        return total(
            (prod(self.form[k] for k in chosen), self._minor(chosen))
            for chosen in combinations(range(len(self.columns)), self.order)
        )

    def _minor(self, chosen: tuple[int, ...]) -> Polynomial:
        rows, columns = ((*self.beside, *(places[k] for k in chosen)) for places in (self.rows, self.columns))
        return determinant(self.fields, rows, columns)

    def _value(self, sigma: FloatArray) -> FloatArray:
        return self._all_orders(sigma)[..., self.order]

    def all_orders(self, sigma: object) -> FloatArray:
        """Return the sums over subsets of 0, 1, ..., |C| columns, shape (..., |C| + 1).

        Raises:
            ArrayError: if the last axis does not hold the overlaps.
        """
        return self._all_orders(self._checked(sigma))

    def _all_orders(self, sigma: FloatArray) -> FloatArray:
        f, n = len(self.beside), len(self.columns)
        rows, columns = (*self.beside, *self.rows), (*self.beside, *self.columns)
        form = np.array(self.form, dtype=np.float64)
        pencil = self._gram(sigma, rows, columns) * np.concatenate([np.ones(f), form])[:, None]
        # Coefficients of a polynomial in x from its values on a circle, as large as the eigenvalues so that no
        # coefficient drowns in the rounding of another.
        radius = _sizes(self, sigma).mean(axis=-1)
        radius = np.where(radius > 0, radius, 1.0)
        circle = np.exp(2j * np.pi * np.arange(n + 1) / (n + 1))
        x = radius[..., None] * circle
        shift = np.concatenate([np.zeros(f), np.ones(n)])
        values = np.linalg.det(pencil[..., None, :, :] + x[..., None, None] * np.diag(shift))
        powers = n - np.arange(n + 1)  # of x, for each number of columns
        return (values @ circle[:, None] ** -powers).real / (n + 1) / radius[..., None] ** powers

    def _scale(self, sigma: FloatArray) -> FloatArray:
        sizes = _sizes(self, sigma)
        symmetric = [np.ones(sizes.shape[:-1]), *(np.zeros(sizes.shape[:-1]) for _ in range(self.order))]
        for k in range(sizes.shape[-1]):
            for order in range(self.order, 0, -1):
                symmetric[order] = symmetric[order] + sizes[..., k] * symmetric[order - 1]
        return symmetric[-1] * self._norms(sigma, self.beside).prod(axis=-1)


@final
@dataclass(frozen=True, eq=False)
class Minor(Invariant):
    """The determinant of some rows and columns of the Gram matrix.

    Attributes:
        rows: the rows.
        columns: the columns, as many.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def _products(self) -> int:
        return factorial(self.degree)

    def _expanded(self) -> Polynomial:
        return determinant(self.fields, self.rows, self.columns)

    def _value(self, sigma: FloatArray) -> FloatArray:
        return np.linalg.det(self._gram(sigma, self.rows, self.columns))

    def _scale(self, sigma: FloatArray) -> FloatArray:
        return np.sqrt(self._norms(sigma, (*self.rows, *self.columns)).prod(axis=-1))


def _sizes(invariant: Trace | GramSum, sigma: FloatArray) -> FloatArray:
    """Return how large entries of A E Sigma_C on the diagonal can be, |A_ii| |P_i| |P_Ei| / N, shape (..., |C|)."""
    norms = (invariant._norms(sigma, columns) for columns in (invariant.rows, invariant.columns))
    return np.asarray(np.abs(np.array(invariant.form, dtype=np.float64)) * np.sqrt(np.prod(list(norms), axis=0)))


def evaluate(invariants: Sequence[Invariant], sigma: object) -> FloatArray:
    """Return the values of several conserved quantities at overlaps (..., n_overlaps), shape (..., n_invariants).

    Faster than one by one where there are Gram sums of the same columns.

    Raises:
        ArrayError: if the last axis does not hold the overlaps.
    """
    array = np.asarray(sigma, dtype=np.float64)
    values = np.empty((*array.shape[:-1], len(invariants)))
    sums: dict[tuple[object, ...], FloatArray] = {}
    for k, invariant in enumerate(invariants):
        if isinstance(invariant, GramSum):
            family = (invariant.columns, invariant.form, invariant.rows, invariant.beside)
            if family not in sums:
                sums[family] = invariant.all_orders(array)
            values[..., k] = sums[family][..., invariant.order]
        else:
            values[..., k] = invariant.value(array)
    return values


def determinant(fields: VectorFields, rows: tuple[int, ...], columns: tuple[int, ...]) -> Polynomial:
    """Return the determinant of a block of the Gram matrix, expanded along its first row."""
    if not rows:
        return {(): 1}
    return total(
        (
            (-1) ** k,
            product(
                {(fields.positions[rows[0], column],): 1},
                determinant(fields, rows[1:], columns[:k] + columns[k + 1 :]),
            ),
        )
        for k, column in enumerate(columns)
    )
