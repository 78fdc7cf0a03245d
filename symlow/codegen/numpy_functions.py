"""Gains as NumPy code: functions of the statistics of the state, in closed form, as series or by tables of sigmoids.

Closed forms that are singular at Delta = 0, the state h = 0 from which every run starts, are not evaluated there. One
that has a limit takes it, at ``SMALLEST_VARIANCE``; one that grows beyond bounds, such as the gain of a jump, has zeros
for factors, and is taken as what it is far away, zero: else cotangents would grow by it at each silent step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import sympy
from sympy.printing.pycode import PythonCodePrinter

from symlow.errors import SpecError
from symlow.nonlinearity import DELTA, MU, Nonlinearity
from symlow.nonlinearity.mixture import Mixture, mixed_forms
from symlow.nonlinearity.series import PiecewiseSeries, Series
from symlow.reduction import Reduction

SMALLEST_VARIANCE = 1e-100


@dataclass(frozen=True)
class GainFunction:
    """A function of a generated module.

    Attributes:
        name: ``_g``, ``_g_Delta``, ``_g_mu`` or ``_phibar``.
        arguments: names of the statistics.
        meaning: what it is, for its docstring.
        expression: code of its value, where there is a closed form; empty else.
        at_zero: code of the variance that stands for 0, empty where 0 stands for itself.
        series: its series over all variances, if that is how it is evaluated.
        pieces: its series on pieces, if that is how it is evaluated.
        mixtures: the tables of sigmoids that its expression contains.
        form: the closed form itself, in mu and Delta, where it contains none of these.
    """

    name: str
    arguments: tuple[str, ...]
    meaning: str
    expression: str = ""
    at_zero: str = ""
    series: Series | None = None
    pieces: PiecewiseSeries | None = None
    mixtures: tuple[Mixture, ...] = ()
    form: sympy.Expr | None = None

    @property
    def grows(self) -> bool:
        """Whether its closed form grows beyond bounds at Delta = 0."""
        return bool(self.at_zero) and float(self.at_zero) > 1


class NumpyFunctionPrinter(PythonCodePrinter):
    """Print scalar expressions of some variables, given with their code; constants as one number."""

    def __init__(self, variables: Mapping[sympy.Symbol, str]) -> None:
        super().__init__({"fully_qualified_modules": False})
        self._variables = dict(variables)

    def _print_Symbol(self, symbol: sympy.Symbol) -> str:  # noqa: N802 - SymPy's printers dispatch on class names
        return self._variables[symbol]

    def _print_Rational(self, value: sympy.Rational) -> str:  # noqa: N802
        return repr(float(sympy.N(value, 30)))

    def _print_Mul(self, product: sympy.Mul) -> str:  # noqa: N802
        constant, rest = product.as_independent(*self._variables, as_Add=False)
        if rest == 1:
            return repr(float(sympy.N(constant, 30)))
        above: list[sympy.Expr] = []
        below: list[sympy.Expr] = []
        for factor in sympy.Mul.make_args(rest):
            base, exponent = factor.as_base_exp()
            negative = exponent.is_number and exponent.is_negative and not factor.has(sympy.exp)
            (below if negative else above).append(base**-exponent if negative else factor)
        front = [] if constant == 1 else ["-" if constant == -1 else repr(float(sympy.N(constant, 30)))]
        code = " * ".join([*(f for f in front if f != "-"), *(self._factor(f) for f in above)]) or "1.0"
        for factor in below:
            code += f" / {self._factor(factor)}"
        return f"-{code}" if front == ["-"] else code

    def _factor(self, factor: sympy.Expr) -> str:
        return f"({self._print(factor)})" if factor.is_Add or factor.is_Mul else str(self._print(factor))

    def _print_Pow(self, power: sympy.Pow, rational: bool = False) -> str:  # noqa: N802
        base, exponent = power.as_base_exp()
        if power.is_number:
            return repr(float(sympy.N(power, 30)))
        if exponent.is_negative:
            return f"1 / {self._factor(base**-exponent)}"
        whole = int(exponent)
        root = f"np.sqrt({self._print(base)})" if exponent != whole else ""
        if exponent - whole not in (0, sympy.Rational(1, 2)):
            return f"{self._factor(base)} ** {self._print(exponent)}"
        if whole == 0:
            return root
        code = self._factor(base) if whole == 1 else f"{self._factor(base)}**{whole}"
        return f"({code} * {root})" if root else code

    def _print_exp(self, function: sympy.exp) -> str:
        return f"np.exp({self._print(function.args[0])})"

    def _print_NumberSymbol(self, number: sympy.NumberSymbol) -> str:  # noqa: N802
        return repr(float(sympy.N(number, 30)))

    def _print_Function(self, function: sympy.Function) -> str:  # noqa: N802
        if function.is_number:
            return repr(float(sympy.N(function, 30)))
        known = {
            "sin": "np.sin",
            "cos": "np.cos",
            "sinh": "np.sinh",
            "cosh": "np.cosh",
            "tanh": "np.tanh",
            "atan": "np.arctan",
            "asinh": "np.arcsinh",
            "log": "np.log",
            "erf": "erf",
            "sign": "np.sign",
        }
        return f"{known[function.func.__name__]}({self._print(function.args[0])})"

    def _print_AppliedUndef(self, function: sympy.Function) -> str:  # noqa: N802
        """Print the function of a table of sigmoids, of derivative, mu and Delta."""
        return f"_{function.func.__name__}({', '.join(self._print(argument) for argument in function.args)})"

    _print_sin = _print_cos = _print_sinh = _print_cosh = _print_tanh = _print_erf = _print_sign = _print_Function
    _print_atan = _print_asinh = _print_log = _print_Function


def gain_functions(reduction: Reduction) -> tuple[GainFunction, ...]:
    """Return the functions that a module needs for its gains, none where the gain is constant.

    Raises:
        SpecError: for a nonlinearity whose gain can be had neither in closed form nor as a series.
    """
    if not reduction.statistics:
        return ()
    nonlinearity = reduction.network.nonlinearity
    if reduction.network.has_means:
        return tuple(_with_mean(nonlinearity))
    if not nonlinearity.needs_series:
        forms = [("_g", nonlinearity.gain, _AT_ZERO), ("_g_Delta", sympy.diff(nonlinearity.gain, DELTA), "dg/dDelta")]
        return tuple(_printed(*form, ("Delta",)) for form in forms)
    return tuple(_approximated(nonlinearity))


_AT_ZERO = "g(Delta) = E[phi'(sqrt(Delta) xi)]"


def _approximated(nonlinearity: Nonlinearity) -> Iterator[GainFunction]:
    series = nonlinearity.series
    for name, part, meaning in (("_g", series.gain, _AT_ZERO), ("_g_Delta", series.slope, "dg/dDelta")):
        if isinstance(part, Series):
            yield GainFunction(name, ("Delta",), meaning, series=part)
        else:
            yield GainFunction(name, ("Delta",), meaning, pieces=part)


def _with_mean(nonlinearity: Nonlinearity) -> Iterator[GainFunction]:
    gain, activity = nonlinearity.gain_with_mean, nonlinearity.activity
    mixed = mixed_forms(nonlinearity.phi) if gain is None or activity is None else None
    if mixed is not None:
        forms, tables = (mixed.gain, mixed.activity, mixed.gain_mu, mixed.gain_delta), mixed.tables
    elif gain is not None and activity is not None:
        forms, tables = (gain, activity, sympy.diff(gain, MU), sympy.diff(gain, DELTA)), ()
    else:
        raise SpecError(
            f"network.nonlinearity: {nonlinearity.name!r} has no closed form or table where vectors have means; "
            "accepted with network.means = true: sums of tanh, arctan, sigmoid and softplus of a*x + b, "
            "x/sqrt(1 + x**2), polynomials, and polynomials times one of erf, sin, cos, exp, relu, clip, abs, sign"
        )
    state = "mu + sqrt(Delta) xi"
    meanings = (f"g(mu, Delta) = E[phi'({state})]", f"phibar(mu, Delta) = E[phi({state})]", "dg/dmu", "dg/dDelta")
    for name, form, meaning in zip(("_g", "_phibar", "_g_mu", "_g_Delta"), forms, meanings, strict=True):
        yield _printed(name, form, meaning, ("mu", "Delta"), tables)


def _printed(
    name: str, form: sympy.Expr, meaning: str, arguments: tuple[str, ...], tables: tuple[Mixture, ...] = ()
) -> GainFunction:
    code = str(NumpyFunctionPrinter({MU: MU.name, DELTA: DELTA.name}).doprint(form))
    if not form.has(DELTA, MU):
        code += " + 0 * Delta"  # of the shape of the statistics
    return GainFunction(name, arguments, meaning, code, _at_zero(form), mixtures=tables, form=None if tables else form)


def _at_zero(form: sympy.Expr) -> str:
    """Return the variance that stands for 0: a small one where the form has a limit, a large one where it grows."""
    powers = [power for power in form.atoms(sympy.Pow) if power.base.has(DELTA) and power.base.subs(DELTA, 0) == 0]
    if all(power.exp.is_Integer and power.exp.is_positive for power in powers):
        return ""
    # In floating point: arbitrary precision would hold on to every digit of exp(-1e100).
    with np.errstate(over="ignore", invalid="ignore"):
        near = sympy.lambdify([MU, DELTA], form, ["scipy", "numpy"])(np.float64(0), np.float64(SMALLEST_VARIANCE))
    return repr(SMALLEST_VARIANCE) if abs(near) < 1 / SMALLEST_VARIANCE**0.25 else repr(1 / SMALLEST_VARIANCE)
