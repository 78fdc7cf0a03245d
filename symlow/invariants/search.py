"""All polynomials in the overlaps that are conserved for every loss, up to a degree: exact, and each of them proved.

    f is conserved   <=>   X_e f = 0 for every visible overlap e   (:mod:`symlow.invariants.polynomials`)

The vector fields X_e are linear in the overlaps, so f can be taken homogeneous. They also are multiplied by numbers
when the columns of P are multiplied by numbers c_i, provided c_i^2 is the same throughout each component of moving
columns. So conserved polynomials can be taken from one *sector* at a time: the monomials in which the index of each
column occurs equally often modulo 2, those of each component equally often, and that of each column at rest equally
often. In each sector a linear null-space problem over the rationals is left. Where the norm of a trained column i is
visible, its X_e counts the index i, so that a conserved f contains no overlap of i at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import combinations_with_replacement
from math import comb

from symlow.arrays import check_integer
from symlow.errors import InvariantError
from symlow.invariants.coupling import coupling
from symlow.invariants.invariant import SEARCH, Invariant, Proof, Terms
from symlow.invariants.lax_pair import closed_forms
from symlow.invariants.null_space import null_space
from symlow.invariants.orbits import independent, most_invariants
from symlow.invariants.polynomials import Monomial, Number, Polynomial, VectorFields, primitive, product

MOST_MONOMIALS = 60_000
"""The largest number of monomials of one degree that are searched: about a minute."""

Sector = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ConservedPolynomials:
    """What the search found.

    Attributes:
        degree: the degree up to which it searched.
        counts: for each degree from 1, how many linearly independent conserved polynomials are homogeneous of it.
        generators: conserved polynomials of which all others of up to this degree are polynomials, none of them to
            spare; those in closed form where they serve.
        fields: the flow that conserves them.
    """

    degree: int
    counts: tuple[int, ...]
    generators: tuple[Invariant, ...]
    fields: VectorFields

    @property
    def dimensions(self) -> tuple[int, ...]:
        """The dimension of the space of conserved polynomials of degree <= 1, <= 2, ... without a constant term."""
        return tuple(sum(self.counts[:k]) for k in range(1, self.degree + 1))

    @cached_property
    def independent(self) -> int:
        """How many of the generators are functionally independent (not fewer)."""
        return independent(self.fields, [generator.polynomial for generator in self.generators])

    @cached_property
    def most(self) -> int:
        """How many functionally independent conserved quantities there can be, polynomial or not, of any degree."""
        return most_invariants(self.fields)

    @property
    def is_complete(self) -> bool:
        """Whether every smooth conserved quantity is a function of the generators (near a generic point)."""
        return self.independent == self.most

    def __str__(self) -> str:
        """Return the result in a few lines of text."""
        degrees = ", ".join(str(degree) for degree in range(1, self.degree + 1))
        lines = [f"conserved polynomials of degree <= {degrees}: {', '.join(map(str, self.dimensions))}"]
        if not self.generators:
            lines[0] = f"conserved polynomials: none up to degree {self.degree}"
        for generator in self.generators:
            expression = str(generator.expression).replace("sigma_", "")
            lines.append(f"    degree {generator.degree}, {generator.kind}: {generator.name} = {expression}")
        if self.is_complete:
            lines.append(
                "No other smooth quantity is conserved for every loss, but functions of these."
                if self.most
                else NOTHING
            )
        else:
            lines.append(
                f"Independent: {self.independent} of them, and at most {self.most} of all conserved quantities."
            )
        return "\n".join(lines)


NOTHING = "No smooth quantity, polynomial or not, is conserved for every loss."


def conserved_polynomials(fields: VectorFields, degree: int) -> ConservedPolynomials:
    """Search all polynomials up to a degree.

    Raises:
        InvariantError: if the degree is less than 1, or there are too many monomials.
    """
    n = len(fields.overlaps)
    degree = check_integer(degree, "degree", 1, InvariantError)
    variables = _variables(fields)
    size = comb(len(variables) + degree - 1, degree)
    if size > MOST_MONOMIALS:
        raise InvariantError(
            f"degree: found {degree}, with {size} monomials in {n} overlaps; accepted: at most {MOST_MONOMIALS}; lower "
            "the degree"
        )
    sectors = _Sectors(fields)
    known = _expandable(closed_forms(fields), degree)
    counts: list[int] = []
    generators: list[Invariant] = []
    for k in range(1, degree + 1):
        composed = _composed(generators, k, sectors)
        count, fresh = 0, []
        for sector, monomials in sectors.monomials(variables, k).items():
            basis = _conserved(fields, monomials)
            count += len(basis)
            if basis:
                candidates = [invariant for invariant in known if _lies_in(invariant, k, sector, sectors)]
                fresh += _generators(fields, basis, composed.get(sector, []), candidates)
        counts.append(count)
        order = {id(invariant): place for place, invariant in enumerate(known)}
        fresh.sort(key=lambda invariant: (order.get(id(invariant), len(order)), list(invariant.polynomial)))
        generators += _numbered(fresh, k)
    return ConservedPolynomials(degree, tuple(counts), tuple(generators), fields)


def prove(fields: VectorFields, polynomial: Polynomial) -> Proof:
    """Return the proof that a polynomial is conserved: X_e of it, expanded in exact arithmetic, is zero for every e.

    Raises:
        InvariantError: if it is not, with the loss gradients that change it.
    """
    moving = fields.moving(polynomial)
    if moving:
        raise InvariantError(f"not conserved: the gradients with respect to {', '.join(moving)} change it")
    return Proof(
        "grad f . G, expanded in exact arithmetic, vanishes identically",
        {f"X of {overlap.name}": 0 for overlap in fields.flow.visible},
    )


@dataclass(frozen=True, eq=False)
class _Sectors:
    """The sectors of monomials."""

    fields: VectorFields

    @cached_property
    def _weights(self) -> tuple[tuple[Sector, Sector], ...]:
        """For each overlap how often the parts of P occur in it, and each column."""
        parts = coupling(self.fields.flow)
        groups = [component.columns for component in parts.components]
        groups += [(column,) for column in parts.at_rest if not any(column in group for group in groups)]
        # Numbers that multiply a read-out column divide its feedback column: the two are counted together.
        columns = sorted({tuple(sorted((k, other))) for k, other in enumerate(self.fields.flow.exchanged)})
        return tuple(
            (
                tuple(sum(k in group for k in (overlap.row, overlap.column)) for group in groups),
                tuple((overlap.row in pair) + (overlap.column in pair) for pair in columns),
            )
            for overlap in self.fields.overlaps
        )

    def of(self, monomial: Monomial) -> Sector:
        """Return the sector of a monomial."""
        counted = [self._weights[k] for k in monomial]
        counts = (sum(values) for values in zip(*(count for count, _ in counted), strict=True))
        parities = (sum(values) % 2 for values in zip(*(parity for _, parity in counted), strict=True))
        return (*counts, *parities)

    def monomials(self, variables: Sequence[int], degree: int) -> dict[Sector, list[Monomial]]:
        """Return all monomials of a degree, by sector."""
        found: dict[Sector, list[Monomial]] = {}
        for monomial in combinations_with_replacement(variables, degree):
            found.setdefault(self.of(monomial), []).append(monomial)
        return found


def _variables(fields: VectorFields) -> list[int]:
    """Return the overlaps that a conserved polynomial can contain: none of a trained column whose norm is visible."""
    counted = {overlap.row for overlap in fields.flow.visible if overlap.is_norm and fields.flow.rates[overlap.row]}
    return [k for k, overlap in enumerate(fields.overlaps) if not counted & {overlap.row, overlap.column}]


def _conserved(fields: VectorFields, monomials: Sequence[Monomial]) -> list[Polynomial]:
    """Return a basis of the conserved polynomials in some monomials, with its free monomials last."""
    rows: dict[tuple[int, Monomial], dict[int, int]] = {}
    for column, monomial in enumerate(monomials):
        for e, changed in fields.change({monomial: 1}).items():
            for target, coefficient in changed.items():
                rows.setdefault((e, target), {})[column] = int(coefficient)
    vectors = null_space(list(rows.values()), len(monomials))
    return [{monomials[k]: value for k, value in vector.items()} for vector in vectors]


def _generators(
    fields: VectorFields,
    basis: Sequence[Polynomial],
    composed: Sequence[Polynomial],
    candidates: Sequence[Invariant],
) -> list[Invariant]:
    """Return conserved polynomials that span the basis together with those composed of generators of lower degree."""
    # A conserved polynomial is known from its coefficients at the free monomials of the reduced basis.
    free = [max(vector) for vector in basis]
    echelon: list[list[Number]] = []
    for polynomial in composed:
        _extend(echelon, [polynomial.get(monomial, 0) for monomial in free])
    for invariant in candidates:
        prove(fields, invariant.polynomial)  # once more than in closed form: by expansion, like all others
    chosen = [
        invariant
        for invariant in candidates
        if _extend(echelon, [invariant.polynomial.get(monomial, 0) for monomial in free])
    ]
    simplest = sorted((primitive(vector) for vector in basis), key=lambda f: (len(f), _size(f), min(f)))
    for polynomial in simplest:
        if _extend(echelon, [polynomial.get(monomial, 0) for monomial in free]):
            degree = len(min(polynomial))
            chosen.append(Terms("", degree, SEARCH, prove(fields, polynomial), fields, polynomial))
    return chosen


def _size(polynomial: Polynomial) -> Number:
    return sum((max(value, -value) for value in polynomial.values()), start=Fraction(0))


def _extend(echelon: list[list[Number]], vector: list[Number]) -> bool:
    """Add a vector to a basis in echelon form, and return whether it was independent of it."""
    for row in echelon:
        lead = next(k for k, entry in enumerate(row) if entry)
        if vector[lead]:
            factor = Fraction(vector[lead]) / row[lead]
            vector = [entry - factor * other for entry, other in zip(vector, row, strict=True)]
    if not any(vector):
        return False
    echelon.append(vector)
    return True


def _composed(generators: Sequence[Invariant], degree: int, sectors: _Sectors) -> dict[Sector, list[Polynomial]]:
    """Return the products of two or more generators that have the degree, by sector."""
    found: dict[Sector, list[Polynomial]] = {}
    for chosen in _products([generator.degree for generator in generators], degree):
        polynomial: Polynomial = {(): 1}
        for k in chosen:
            polynomial = product(polynomial, generators[k].polynomial)
        found.setdefault(sectors.of(min(polynomial)), []).append(polynomial)
    return found


def _products(degrees: Sequence[int], degree: int, first: int = 0) -> Iterator[tuple[int, ...]]:
    """Return the choices, with repetition, whose degrees add up."""
    if degree == 0:
        yield ()
    for k in range(first, len(degrees)):
        if degrees[k] <= degree:
            yield from ((k, *rest) for rest in _products(degrees, degree - degrees[k], k))


def _expandable(invariants: Sequence[Invariant], degree: int) -> list[Invariant]:
    return [invariant for invariant in invariants if invariant.degree <= degree and invariant.is_expandable]


def _lies_in(invariant: Invariant, degree: int, sector: Sector, sectors: _Sectors) -> bool:
    return invariant.degree == degree and sectors.of(min(invariant.polynomial)) == sector


def _numbered(invariants: Sequence[Invariant], degree: int) -> list[Invariant]:
    """Return the invariants, those that were found by search with a name: f3, or f3_1, f3_2 where there are several."""
    found = [invariant for invariant in invariants if not invariant.name]
    named: Mapping[int, str] = {
        id(invariant): f"f{degree}" if len(found) == 1 else f"f{degree}_{k}" for k, invariant in enumerate(found, 1)
    }
    return [
        Terms(named[id(i)], i.degree, i.kind, i.proof, i.fields, i.polynomial) if id(i) in named else i
        for i in invariants
    ]
