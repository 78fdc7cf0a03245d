"""Conserved quantities in closed form: Lax pairs, what frozen vectors leave of them, and Gram determinants.

Let C be a component of moving columns (:mod:`symlow.invariants.coupling`), S and D its blocks of the symmetric gradient
and the rates, and suppose that signs J = diag(+-1) exist with JS = -SJ: every visible overlap within C joins opposite
signs. Then

    dLambda/dt = 2 [S D, Lambda],      Lambda = J D^-1 Sigma_CC,

since D^-1 commutes with J: dLambda/dt = -2 J (S Sigma + D^-1 Sigma S D) = 2 (S D) Lambda - 2 Lambda (S D). This is a
Lax pair: the flow is isospectral, and tr Lambda^k is conserved for k = 1..|C|. (Own; with all columns and D = 1 its
first one says that [Z V][Z V]^T - [M U][M U]^T, a matrix over neurons, has a constant trace.)

*Frozen columns.* Where columns of C have visible overlaps with columns F at rest, they also move along these. What of
them is orthogonal to F does not see that: the Schur complement Sigma/F = Sigma_CC - Sigma_CF Sigma_FF^-1 Sigma_FC obeys

    d(Sigma/F)/dt = -2 (D S (Sigma/F) + (Sigma/F) S D),

the same equation, so that the eigenvalues of J D^-1 (Sigma/F) are conserved. Their elementary symmetric functions times
det Sigma_FF, which is constant, are polynomials (:class:`symlow.invariants.invariant.GramSum`).

*A single column* that moves along frozen ones only: its part orthogonal to them is constant, and so is every minor
det Sigma[F+i; F+j] with another such column j, or one at rest, along finite steps too.

*No such signs, no visible norm* (an odd circle of visible overlaps): tr S = 0 keeps volumes, det Sigma_{F+C}.

*Several components* C, C', ... each have their own signs. Where no frozen column is beside them, any sum A of multiples
of their J D^-1 gives a Lax pair of Lambda = A Sigma, so that every word tr (A_C Sigma A_C' Sigma ...) is conserved. The
words of one component are the traces here; mixed ones are left to the search (:mod:`symlow.invariants.search`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import sympy

from symlow.errors import InvariantError
from symlow.invariants.coupling import Component, Coupling, coupling
from symlow.invariants.invariant import FROZEN, LAX, ORTHOGONAL, VOLUME, GramSum, Invariant, Minor, Proof, Terms, Trace
from symlow.invariants.polynomials import Number, VectorFields


@dataclass(frozen=True, eq=False)
class LaxPair:
    """A Lax pair dLambda/dt = 2 [S D, Lambda] with Lambda = J D^-1 (Sigma/F) on a component of moving columns.

    Attributes:
        fields: the flow.
        component: the columns C, their signs and the columns F beside them.
        number: which Lax pair it is, from 1; 0 if it is the only one.
    """

    fields: VectorFields
    component: Component
    number: int

    @property
    def signs(self) -> tuple[int, ...]:
        """The diagonal of J, in the order of the component's columns."""
        if self.component.signs is None:
            raise InvariantError(f"columns {self._labels(self.component.columns)}: no signs J with JS = -SJ")
        return self.component.signs

    @property
    def form(self) -> tuple[Number, ...]:
        """The diagonal of J D^-1, or of J where all rates are equal, which then only scale time."""
        if self.has_equal_rates:
            return self.signs
        rates = [self.fields.flow.rates[k] for k in self.component.columns]
        return tuple(sign * Fraction(int(r.q), int(r.p)) for sign, r in zip(self.signs, rates, strict=True))

    @property
    def has_equal_rates(self) -> bool:
        """Whether all its columns learn at the same rate."""
        return len({self.fields.flow.rates[k] for k in self.component.columns}) == 1

    @property
    def has_unit_rates(self) -> bool:
        """Whether all its columns learn at the rate 1."""
        return all(self.fields.flow.rates[k] == 1 for k in self.component.columns)

    @property
    def bracket(self) -> str:
        """The right-hand side in letters: ``2 [S D, Lambda]``, or ``2 [S, Lambda]`` where D is 1."""
        return "2 [S, Lambda]" if self.has_unit_rates else "2 [S D, Lambda]"

    @property
    def matrix(self) -> str:
        """Lambda in letters: ``J Sigma``, ``J D^-1 Sigma/F``."""
        number = str(self.number or "")
        rates = "" if self.has_equal_rates else " D^-1"
        frozen = f"/F{number}" if self.component.beside else ""
        return f"J{number}{rates} Sigma{frozen}"

    @property
    def proof(self) -> Proof:
        """The Lax pair's proof: the signs, checked visible overlap by visible overlap, and the identity.

        Raises:
            InvariantError: if a visible overlap joins columns of equal signs, or one that moves outside.
        """
        sign = dict(zip(self.component.columns, self.signs, strict=True))
        checked: dict[str, object] = {}
        for overlap in self.fields.flow.visible:
            inside = [k for k in (overlap.row, overlap.column) if k in sign]
            if len(inside) == 2 and sign[overlap.row] != -sign[overlap.column]:
                raise InvariantError(f"{overlap.name}: joins columns of equal signs, so that JS is not -SJ")
            if len(inside) == 2:
                checked[overlap.name] = f"signs {sign[overlap.row]:+d} and {sign[overlap.column]:+d}"
            elif inside and not {overlap.row, overlap.column} <= {*sign, *self.component.beside}:
                raise InvariantError(f"{overlap.name}: joins the component with a column that is not at rest")
        frozen = self._labels(self.component.beside)
        checked["dLambda/dt - 2 [S D, Lambda]"] = lax_identity()
        text = f"JS = -SJ entry by entry, so dLambda/dt = {self.bracket} for Lambda = {self.matrix}: isospectral"
        if frozen:
            checked["d(Sigma/F)/dt + 2 (D S Sigma/F + Sigma/F S D)"] = schur_identity()
            text += f"; F is {frozen}, and Sigma/F, what is orthogonal to it, obeys the same equation"
        return Proof(text, checked)

    @property
    def invariants(self) -> Iterator[Invariant]:
        """The conserved quantities, as many as the component has columns."""
        component, proof, form = self.component, self.proof, self.form
        for k in range(1, len(component.columns) + 1):
            if component.beside:
                number = self.number or ""
                name = f"det Sigma_F{number} e{k}({self.matrix})"
                yield GramSum(
                    name,
                    len(component.beside) + k,
                    LAX,
                    proof,
                    self.fields,
                    component.columns,
                    form,
                    component.beside,
                )
            else:
                name = f"tr {self.matrix}" if k == 1 else f"tr ({self.matrix})^{k}"
                yield Trace(name, k, LAX, proof, self.fields, component.columns, form)

    def _labels(self, columns: tuple[int, ...]) -> str:
        return _labels(self.fields, columns)


def lax_pairs(fields: VectorFields) -> tuple[LaxPair, ...]:
    """Return the Lax pairs of a flow, in the order of the columns: one for each component of several that has signs."""
    found = [c for c in coupling(fields.flow).components if c.signs is not None and len(c.columns) > 1]
    return tuple(LaxPair(fields, c, k if len(found) > 1 else 0) for k, c in enumerate(found, 1))


def closed_forms(fields: VectorFields) -> tuple[Invariant, ...]:
    """Return the conserved quantities in closed form: of Lax pairs first, those of overlaps at rest last.

    They are conserved for every loss, but need not be all that are. They are functionally independent: eigenvalues of
    different components are functions of different overlaps, and of the others each contains an overlap that those
    before it do not.
    """
    parts = coupling(fields.flow)
    return (
        *(invariant for pair in lax_pairs(fields) for invariant in pair.invariants),
        *_volumes(fields, parts),
        *_projections(fields, parts),
        *frozen_overlaps(fields),
    )


def frozen_overlaps(fields: VectorFields) -> tuple[Invariant, ...]:
    """Return the overlaps that no loss gradient changes."""
    return tuple(
        Terms(
            overlap.name,
            1,
            FROZEN,
            Proof("no loss gradient moves either of its columns", {overlap.name: "no terms"}),
            fields,
            {(k,): 1},
        )
        for k, overlap in enumerate(fields.overlaps)
        if not fields.flow.terms(overlap)
    )


def _volumes(fields: VectorFields, parts: Coupling) -> Iterator[Invariant]:
    """Return the determinants of components without signs and without visible norms."""
    for component in parts.components:
        if component.signs is None and not component.has_visible_norm:
            columns = (*component.beside, *component.columns)
            proof = Proof(
                "learning shears: its columns move along others, none along itself, so the volume that they span with "
                "the columns at rest beside them is constant",
                {f"visible norms of {_labels(fields, component.columns)}": 0},
            )
            name = f"det[{_labels(fields, columns)}]"
            yield Minor(name, len(columns), VOLUME, proof, fields, columns, columns)


def _projections(fields: VectorFields, parts: Coupling) -> Iterator[Invariant]:
    """Return the minors of pairs of columns that move along columns at rest only, or do not move."""
    single = {c.columns[0]: c.beside for c in parts.components if len(c.columns) == 1 and not c.has_visible_norm}
    fixed = {**single, **dict.fromkeys(parts.at_rest, ())}
    for i in single:
        for j, others in fixed.items():
            frozen = tuple(sorted({*single[i], *others}))
            rows, columns = (*frozen, i), (*frozen, j)
            complete = all((r, c) in fields.positions for r in rows for c in columns)
            if (j in single and j < i) or j in frozen or not complete:
                continue
            along = _labels(fields, frozen)
            pair = " and ".join(dict.fromkeys((_labels(fields, (i,)), _labels(fields, (j,)))))
            proof = Proof(
                f"no loss gradient moves the parts of {pair} that are orthogonal to {along}, which do not move",
                {f"columns along which {_labels(fields, (k,))} moves": _labels(fields, fixed[k]) for k in (i, j)},
            )
            name = (
                f"det[{_labels(fields, rows)}]"
                if i == j
                else f"det[{_labels(fields, rows)}; {along} {_labels(fields, (j,))}]"
            )
            yield Minor(name, len(rows), ORTHOGONAL, proof, fields, rows, columns)


def _labels(fields: VectorFields, columns: tuple[int, ...]) -> str:
    return " ".join(fields.flow.index.columns[k].label for k in columns)


@cache
def lax_identity() -> sympy.Expr:
    """Return dLambda/dt - 2 [S D, Lambda] for Lambda = J D^-1 Sigma: zero.

    With dSigma/dt = -2 (D S Sigma + Sigma S D) and JS = -SJ, expanded with matrices as symbols that
    do not commute, but for the diagonal J and D.

    Raises:
        InvariantError: if anything is left.
    """
    S, Sigma, J, D, inverse = sympy.symbols("S Sigma J D D^-1", commutative=False)
    Lambda = J * inverse * Sigma
    change = J * inverse * (-2) * (D * S * Sigma + Sigma * S * D)
    rest = sympy.expand(change - 2 * (S * D * Lambda - Lambda * S * D))
    rest = rest.subs(inverse * D, 1).subs(D * J * inverse, J)
    return _nothing(sympy.expand(rest.subs(J * S, -S * J)))


@cache
def schur_identity() -> sympy.Expr:
    """Return d(Sigma/F)/dt + 2 (D S (Sigma/F) + (Sigma/F) S D) for columns C beside columns F at rest: zero.

    With the blocks CC, CF, FC, FF of Sigma, and S, T, U those of CC, CF, FC of the symmetric gradient.

    Raises:
        InvariantError: if anything is left.
    """
    CC, CF, FC, FF, inverse = sympy.symbols("CC CF FC FF FF^-1", commutative=False)
    S, T, U, D = sympy.symbols("S T U D", commutative=False)
    change_cc = -2 * (D * (S * CC + T * FC) + (CC * S + CF * U) * D)
    change_cf = -2 * D * (S * CF + T * FF)
    change_fc = -2 * (FC * S + FF * U) * D
    schur = CC - CF * inverse * FC
    change = change_cc - change_cf * inverse * FC - CF * inverse * change_fc
    rest = sympy.expand(change + 2 * (D * S * schur + schur * S * D))
    return _nothing(sympy.expand(rest.subs(FF * inverse, 1).subs(inverse * FF, 1)))


def _nothing(rest: sympy.Expr) -> sympy.Expr:
    if rest != 0:
        raise InvariantError(f"the identity of the Lax pair does not hold: found {rest}; accepted: 0")
    return rest
