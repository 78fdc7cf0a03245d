"""Filter losses as formulas, where the reduced dynamics has explicit modes, and the minimum that follows.

For one pair of output and input let f(t) = C exp(F t) b and f*(t) = Re(r exp(-p t)). Over an infinite horizon

    int (f - f*)^2 dt = C X C^T - 2 Re(r fhat(p)) + (|r|^2 / Re p + Re(r^2 / p)) / 4,
    F X + X F^T + b b^T = 0,        fhat(p) = C (p - F)^{-1} b   (the Laplace transform of f at the target's pole).

In discrete time, with q = exp(-p dt), X = A X A^T + b b^T, fhat = C (1 - q A)^{-1} b, and the last bracket is
(|r|^2 / (1 - |q|^2) + Re(r^2 / (1 - q^2))) / 2. Both are regular where eigenvalues coincide, unlike partial
fractions: X has the denominators 1 - lambda_i lambda_j only (math.md, section 7). The loss is a sum of squares, so it
is least, and zero, exactly where the transfer functions of network and target agree: polynomial equations for the
overlaps.

The formulas are given where the latents of a pair are at most two and couple one way (a triangular A, as at rank 1):
there the modes are explicit. Beyond it the loss is evaluated, not printed, by the same equations in matrix form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sympy
from sympy import Matrix

from symlow.reduction import DT, TAU, Reduction
from symlow.tasks.filters import FilterLoss, T, TargetFilter

LAG = sympy.Symbol("k", integer=True, nonnegative=True)
MAXIMAL_LATENTS = 2


@dataclass(frozen=True)
class PairFormula:
    """The formulas of one pair of output and input, in overlaps, ``dt``, ``tau`` and the target's parameters.

    Attributes:
        target: the target filter of the pair.
        response: the network's impulse response at lag ``k``, without singularities.
        squared_error: sum over all lags of (f - f*)^2, times dt, in the limit dt -> 0; None if the target does not
            decay, where it is infinite.
        squared_error_discrete: the same sum, times dt, exactly at the given dt; None likewise.
        minimum: every family of overlaps with zero loss in the limit dt -> 0, for generic parameters, as
            substitutions; empty if the target has modes that the network lacks.
        minimum_discrete: the same at the given dt.
    """

    target: TargetFilter
    response: sympy.Expr
    squared_error: sympy.Expr | None
    squared_error_discrete: sympy.Expr | None
    minimum: tuple[Mapping[sympy.Symbol, sympy.Expr], ...]
    minimum_discrete: tuple[Mapping[sympy.Symbol, sympy.Expr], ...]


def pair_formulas(reduction: Reduction, loss: FilterLoss) -> tuple[PairFormula, ...] | None:
    """Return the formulas of every pair, or None where the modes of the reduced dynamics are not explicit."""
    A, B, C = _explicit_state_space(reduction)
    formulas = []
    for target in loss.targets:
        kept = _reached_from(target.input, A, B)
        a, b, c = A[kept, kept], B[kept, target.input], C[target.output, kept]
        if len(kept) > MAXIMAL_LATENTS or not a.is_lower:
            return None
        formulas.append(_pair_formula(a, b, c, target))
    return tuple(formulas)


def loss_formula(formulas: tuple[PairFormula, ...], loss: FilterLoss) -> sympy.Expr:
    """Return the loss that the generated module evaluates, exactly: a rational function, or a finite sum over lags."""
    if loss.lags is None:
        if any(formula.squared_error_discrete is None for formula in formulas):
            return sympy.oo
        return loss.factor * sympy.Add(*(formula.squared_error_discrete for formula in formulas))
    squares = sympy.Add(*((f.response - f.target.response.subs(T, LAG * DT)) ** 2 for f in formulas))
    return loss.factor * DT * sympy.Sum(squares, (LAG, 0, loss.lags - 1))


def _explicit_state_space(
    reduction: Reduction,
) -> tuple[Matrix, Matrix, Matrix]:
    space, latents = reduction.state_space, reduction.latents
    inputs = reduction.network.inputs.shape[0]

    def block(blocks: Mapping[Any, sympy.MatrixExpr], key: Any, rows: int, columns: int) -> Matrix:
        return Matrix(reduction.explicit(blocks[key])) if key in blocks else sympy.zeros(rows, columns)

    A = Matrix.vstack(
        *(
            Matrix.hstack(*(block(space.A, (to, source), latents[to].rows, latents[source].rows) for source in latents))
            for to in latents
        )
    )
    B = Matrix.vstack(*(block(space.B, to, latents[to].rows, inputs) for to in latents))
    outputs = reduction.output.shape[0]
    C = Matrix.hstack(*(block(space.C, source, outputs, latents[source].rows) for source in latents))
    return A.as_immutable(), B.as_immutable(), C.as_immutable()


def _reached_from(input_: int, A: Matrix, B: Matrix) -> list[int]:
    """Return the scalar latents that an input reaches, each after those that drive it; the others stay at zero."""
    reached = [k for k in range(A.rows) if B[k, input_] != 0]
    for source in reached:
        reached += [k for k in range(A.rows) if A[k, source] != 0 and k not in reached]
    return sorted(reached, key=lambda k: (sum(A[k, source] != 0 for source in reached if source != k), k))


def _pair_formula(A: Matrix, B: Matrix, C: Matrix, target: TargetFilter) -> PairFormula:
    # The response to an impulse of unit area; forward Euler is affine in dt, so F = (A - 1)/dt is exact.
    b = (B / DT).applyfunc(sympy.cancel)
    F = ((A - sympy.eye(A.rows)) / DT).applyfunc(sympy.cancel)
    squared_error = squared_error_discrete = None
    if target.decays:
        squared_error = _squared_error(F, b, C, target)
        squared_error_discrete = _squared_error_discrete(A, b, C, target)
    decay, turn = sympy.exp(-target.decay * DT), target.frequency * DT
    return PairFormula(
        target=target,
        response=_response(A, b, C),
        squared_error=squared_error,
        squared_error_discrete=squared_error_discrete,
        minimum=_agreement(F, b, C, target, -target.decay, target.frequency),
        minimum_discrete=_agreement(A, b, C, target, decay * sympy.cos(turn), decay * sympy.sin(turn)),
    )


def _squared_error(F: Matrix, b: Matrix, C: Matrix, target: TargetFilter) -> sympy.Expr:
    gramian = _solved(lambda X: F * X + X * F.T + b * b.T, F.rows)
    p, r = target.pole, target.residue
    at_pole = ((sympy.Symbol("p") * sympy.eye(F.rows) - F).inv() * b).applyfunc(_factored).subs("p", p)
    own = sympy.Integer(0)
    if target.amplitude != 0:
        own = target.amplitude**2 / target.decay + _real_part(r**2 / p, target)
    return _form(C, gramian) - 2 * _real_part(r * (C * at_pole)[0], target) + own / 4


def _squared_error_discrete(A: Matrix, b: Matrix, C: Matrix, target: TargetFilter) -> sympy.Expr:
    gramian = _solved(lambda X: A * X * A.T + b * b.T - X, A.rows)
    q, r = sympy.exp(-target.pole * DT), target.residue
    at_pole = ((sympy.eye(A.rows) - sympy.Symbol("q") * A).inv() * b).applyfunc(_factored).subs("q", q)
    own = sympy.Integer(0)
    if target.amplitude != 0:
        own = target.amplitude**2 / (1 - sympy.exp(-2 * target.decay * DT)) + _real_part(r**2 / (1 - q**2), target)
    return DT * (_form(C, gramian) - 2 * _real_part(r * (C * at_pole)[0], target) + own / 2)


def _real_part(expression: sympy.Expr, target: TargetFilter) -> sympy.Expr:
    # Left as Re(...) where the target oscillates: the real form is ten times as long and says less.
    return sympy.re(expression, evaluate=False) if target.frequency != 0 else expression


def _solved(residual: Callable[[Matrix], Matrix], n: int) -> Matrix:
    """Return the symmetric X with residual(X) = 0, each entry factored."""
    unknown = Matrix(n, n, lambda i, j: sympy.Symbol(f"X_{min(i, j)}_{max(i, j)}"))
    variables = [unknown[i, j] for i in range(n) for j in range(i, n)]
    (solution,) = sympy.linsolve([residual(unknown)[i, j] for i in range(n) for j in range(i, n)], variables)
    return unknown.subs(dict(zip(variables, solution, strict=True))).applyfunc(_factored)


def _factored(expression: sympy.Expr) -> sympy.Expr:
    """Return the factored form with denominators that are positive at zero overlaps: 2 - sigma, not sigma - 2."""
    sign, factors = sympy.Integer(1), []
    for factor in sympy.Mul.make_args(sympy.factor(expression)):
        base, exponent = factor.as_base_exp()
        point = {symbol: 0 if symbol.name.startswith("sigma_") else 1 for symbol in base.free_symbols}
        if exponent.is_negative and base.subs(point).is_negative:
            base, sign = sympy.expand(-base), sign * (-1) ** exponent
        factors.append(base**exponent)
    return sign * sympy.Mul(*factors)


def _form(C: Matrix, X: Matrix) -> sympy.Expr:
    return sympy.Add(*((1 if i == j else 2) * C[i] * C[j] * X[i, j] for i in range(X.rows) for j in range(i, X.rows)))


def _response(A: Matrix, b: Matrix, C: Matrix) -> sympy.Expr:
    """Return C A^k b for a lower triangular A of one or two rows, as a sum instead of a divided difference."""
    power = sympy.zeros(A.rows, A.rows)
    for row in range(A.rows):
        power[row, row] = A[row, row] ** LAG
    if A.rows == 2:
        step = sympy.Symbol("j", integer=True, nonnegative=True)
        first, second = A[0, 0] ** (LAG - 1 - step), A[1, 1] ** step
        power[1, 0] = A[1, 0] * sympy.Sum(first * second, (step, 0, LAG - 1))
    return (C * power * b)[0]


def _agreement(
    A: Matrix, b: Matrix, C: Matrix, target: TargetFilter, real: sympy.Expr, imaginary: sympy.Expr
) -> tuple[Mapping[sympy.Symbol, sympy.Expr], ...]:
    """Return the families of overlaps for which C (s - A)^{-1} b is the target's transfer function.

    The target's eigenvalue is real + i imaginary, so its transfer function is Re(r / (s - eigenvalue)) for real s.
    """
    s, x, y = sympy.Dummy("s"), sympy.Dummy("x"), sympy.Dummy("y")
    # Symbols for the eigenvalue: polynomials with exponentials as coefficients are solved much more slowly.
    resolvent = s * sympy.eye(A.rows) - A
    numerator, denominator = (C * resolvent.adjugate() * b)[0], resolvent.det()
    if target.frequency == 0:
        numerator_target, denominator_target = target.amplitude, s - x
    else:
        numerator_target = target.amplitude * (sympy.cos(target.phase) * (s - x) - sympy.sin(target.phase) * y)
        denominator_target = (s - x) ** 2 + y**2
    difference = sympy.Poly(sympy.expand(numerator * denominator_target - numerator_target * denominator), s)
    overlaps = sorted((A.free_symbols | C.free_symbols) - {DT, TAU}, key=str)
    families = sympy.solve(difference.all_coeffs(), overlaps, dict=True)
    values = {x: real, y: imaginary}
    return tuple({symbol: sympy.factor(value).subs(values) for symbol, value in family.items()} for family in families)
