"""Conserved quantities in closed form: Lax pairs, what frozen vectors leave of them, and Gram determinants.

Let C be a component of moving columns (:mod:`symlow.invariants.coupling`), S and D its blocks of the symmetric gradient
and the rates, and suppose that signs J = diag(+-1) exist with JS = -SJ: every visible overlap within C joins opposite
signs. Then

    dLambda/dt = 2 [S D, Lambda],      Lambda = J D^-1 Sigma_CC,

since D^-1 commutes with J: dLambda/dt = -2 J (S Sigma + D^-1 Sigma S D) = 2 (S D) Lambda - 2 Lambda (S D). This is a
Lax pair: the flow is isospectral, and tr Lambda^k is conserved for k = 1..|C|. (Own; with all columns and D = 1 its
first one says that [Z V][Z V]^T - [M U][M U]^T, a matrix over neurons, has a constant trace.)

*Feedback alignment.* In R = E S of columns C with the feedback columns of read-out columns among them, exchanged by E
and of equal signs, the same holds for

    dLambda/dt = 2 [R D, Lambda],      Lambda = J E D^-1 Sigma_CC,

where D^-1 has the rate of a read-out column for its feedback too. For the matrix X = R D by which learning moves P,
dP/dt = -2 P X, and A = J E D^-1, X A is antisymmetric, so that A X^T = -X A and dLambda/dt = -2 A (X^T Sigma + Sigma X)
= 2 [X, Lambda]; with E = 1 this is the case above. (Own; over neurons it is M M^T + U U^T - V V^T - Z B^T - B Z^T that
does not change, as in the feed-forward network of Lillicrap et al. 2016. So read-out vectors come to lie along B as
carriers grow. With that matrix K, and B at rest, B^T K^j B is conserved too; these are left to the search.)

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

    With feedback alignment R = E S takes the place of S, and J E that of J.

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
        return tuple(sign * Fraction(int(r.q), int(r.p)) for sign, r in zip(self.signs, self._rates, strict=True))

    @property
    def _rates(self) -> list[sympy.Rational]:
        """The rates of its columns; feedback columns have those of read-out columns, the moving ones of each pair."""
        rates = self.fields.flow.rates
        return [max(rates[k], rates[row]) for k, row in zip(self.component.columns, self.component.rows, strict=True)]

    @property
    def has_equal_rates(self) -> bool:
        """Whether all its columns learn at the same rate."""
        return len(set(self._rates)) == 1

    @property
    def has_unit_rates(self) -> bool:
        """Whether all its columns learn at the rate 1."""
        return all(rate == 1 for rate in self._rates)

    @property
    def has_feedback(self) -> bool:
        """Whether there are feedback columns among its columns."""
        return self.component.rows != self.component.columns

    @property
    def mixing(self) -> str:
        """The letter of the matrix that mixes the columns, S or R."""
        return self.fields.flow.rule.mixing

    @property
    def bracket(self) -> str:
        """The right-hand side in letters: ``2 [S D, Lambda]``, or ``2 [S, Lambda]`` where D is 1."""
        return f"2 [{self.mixing}, Lambda]" if self.has_unit_rates else f"2 [{self.mixing} D, Lambda]"

    @property
    def matrix(self) -> str:
        """Lambda in letters: ``J Sigma``, ``J D^-1 Sigma/F``, ``J E Sigma``."""
        number = str(self.number or "")
        rates = "" if self.has_equal_rates else " D^-1"
        frozen = f"/F{number}" if self.component.beside else ""
        return f"J{number}{' E' if self.has_feedback else ''}{rates} Sigma{frozen}"

    @property
    def proof(self) -> Proof:
        """The Lax pair's proof: the signs, checked visible overlap by visible overlap, and the identity.

        Raises:
            InvariantError: if a visible overlap joins columns of equal signs, or one that moves outside.
        """
        sign, exchanged = dict(zip(self.component.columns, self.signs, strict=True)), self.fields.flow.exchanged
        checked: dict[str, object] = {}
        for overlap in self.fields.flow.visible:
            ends = overlap.row, overlap.column
            inside = [k for k in ends if k in sign]
            if len(inside) == 2 and sign[overlap.row] != -sign[overlap.column]:
                raise InvariantError(f"{overlap.name}: joins columns of equal signs, so that JS is not -SJ")
            if len(inside) == 2:
                checked[overlap.name] = f"signs {sign[overlap.row]:+d} and {sign[overlap.column]:+d}"
            elif inside and not all(k in sign or exchanged[k] in self.component.beside for k in ends):
                raise InvariantError(f"{overlap.name}: joins the component with a column that is not at rest")
        for k, row in zip(self.component.columns, self.component.rows, strict=True):
            if sign[k] != sign[row]:
                raise InvariantError(f"column {self._labels((k,))}: has another sign than its feedback")
        frozen, moved = self._labels(self.component.beside), f"{self.mixing} D"
        checked[f"dLambda/dt - 2 [{moved}, Lambda]"] = lax_identity()
        signs = "JS = -SJ entry by entry" + (", and E exchanges columns of equal signs" if self.has_feedback else "")
        text = f"{signs}, so dLambda/dt = {self.bracket} for Lambda = {self.matrix}: isospectral"
        if frozen:
            transposed = "D R^T" if self.fields.flow.rule.has_feedback else "D S"
            checked[f"d(Sigma/F)/dt + 2 ({transposed} Sigma/F + Sigma/F {moved})"] = schur_identity()
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
                    component.rows,
                    component.beside,
                )
            else:
                name = f"tr {self.matrix}" if k == 1 else f"tr ({self.matrix})^{k}"
                yield Trace(name, k, LAX, proof, self.fields, component.columns, form, component.rows)

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
    """Return dLambda/dt - 2 [X, Lambda] for Lambda = A Sigma, A = J E D^-1 and X = E S D: zero.

    With dSigma/dt = -2 (X^T Sigma + Sigma X), that is -2 (D S E Sigma + Sigma E S D), and JS = -SJ, expanded with
    matrices as symbols that do not commute, but for J and D, diagonal, and E, which exchanges columns of equal signs.
    D^-1 undoes D on columns that move; S E has no others.

    Raises:
        InvariantError: if anything is left.
    """
    S, Sigma, J, D, E, inverse = sympy.symbols("S Sigma J D E D^-1", commutative=False)
    X, transposed = E * S * D, D * S * E
    Lambda = J * E * inverse * Sigma
    change = -2 * J * E * inverse * (transposed * Sigma + Sigma * X)
    rest = sympy.expand(change - 2 * (X * Lambda - Lambda * X))
    rest = rest.subs(inverse * D, 1)
    return _nothing(sympy.expand(_ordered(rest, J, E, D, inverse, S)))


def _ordered(rest: sympy.Expr, *symbols: sympy.Symbol) -> sympy.Expr:
    """Return a sum of products without D next to D^-1, which undoes it, and with J on the left: JS = -SJ."""
    J, E, D, inverse, S = symbols
    rest = sympy.expand(rest.subs(D * J, J * D))
    rest = sympy.expand(rest.subs(D * E * inverse, E))
    rest = sympy.expand(rest.subs(D * inverse, 1))
    rest = sympy.expand(rest.subs(S * J, -J * S))
    return sympy.expand(rest.subs(E * J, J * E))


@cache
def schur_identity() -> sympy.Expr:
    """Return d(Sigma/F)/dt + 2 (X^T (Sigma/F) + (Sigma/F) X) for columns C beside columns F at rest: zero.

    With the blocks CC, CF, FC, FF of Sigma, and X, Y those of CC, FC of S D, or of R D.

    Raises:
        InvariantError: if anything is left.
    """
    CC, CF, FC, FF, inverse = sympy.symbols("CC CF FC FF FF^-1", commutative=False)
    X, Y, Xt, Yt = sympy.symbols("X Y X^T Y^T", commutative=False)
    change_cc = -2 * (Xt * CC + Yt * FC + CC * X + CF * Y)
    change_cf = -2 * (Xt * CF + Yt * FF)
    change_fc = -2 * (FC * X + FF * Y)
    schur = CC - CF * inverse * FC
    change = change_cc - change_cf * inverse * FC - CF * inverse * change_fc
    rest = sympy.expand(change + 2 * (Xt * schur + schur * X))
    return _nothing(sympy.expand(rest.subs(FF * inverse, 1).subs(inverse * FF, 1)))


def _nothing(rest: sympy.Expr) -> sympy.Expr:
    if rest != 0:
        raise InvariantError(f"the identity of the Lax pair does not hold: found {rest}; accepted: 0")
    return rest
