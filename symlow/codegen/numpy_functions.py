"""Gains as NumPy code: functions of the statistics of the state, in closed form or as series.

Closed forms that are singular at Delta = 0 are evaluated no closer to it than ``SMALLEST_VARIANCE``: at the state
h = 0, from which every run starts, what they multiply is zero, and so is the product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sympy
from sympy.printing.pycode import PythonCodePrinter

from symlow.errors import SpecError
from symlow.nonlinearity import DELTA, MU, Nonlinearity
from symlow.nonlinearity.series import Series
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
        guarded: whether Delta is kept away from 0.
        series: its series, where there is no closed form.
    """

    name: str
    arguments: tuple[str, ...]
    meaning: str
    expression: str
    guarded: bool
    series: Series | None


class NumpyFunctionPrinter(PythonCodePrinter):
    """Print scalar expressions of mu and Delta; constants as one number."""

    def __init__(self) -> None:
        super().__init__({"fully_qualified_modules": False})

    def _print_Symbol(self, symbol: sympy.Symbol) -> str:  # noqa: N802 - SymPy's printers dispatch on class names
        return symbol.name

    def _print_Rational(self, value: sympy.Rational) -> str:  # noqa: N802
        return repr(float(sympy.N(value, 30)))

    def _print_Mul(self, product: sympy.Mul) -> str:  # noqa: N802
        constant, rest = product.as_independent(DELTA, MU, as_Add=False)
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
            "erf": "erf",
            "sign": "np.sign",
        }
        name = known[function.func.__name__]
        return f"{name}({self._print(function.args[0])})"

    _print_sin = _print_cos = _print_sinh = _print_cosh = _print_erf = _print_sign = _print_Function


def gain_functions(reduction: Reduction) -> tuple[GainFunction, ...]:
    """Return the functions that a module needs for its gains, none where the gain is constant.

    Raises:
        SpecError: for a nonlinearity whose gain can be had neither in closed form nor as a series.
    """
    if not reduction.statistics:
        return ()
    nonlinearity = reduction.network.nonlinearity
    with_mean = reduction.network.ones is not None
    if not with_mean and nonlinearity.needs_series:
        series = nonlinearity.series
        meanings = ("g(Delta) = E[phi'(sqrt(Delta) xi)]", "dg/dDelta")
        pairs = zip(("_g", "_g_Delta"), (series.gain, series.slope), meanings, strict=True)
        return tuple(GainFunction(name, ("Delta",), meaning, "", False, part) for name, part, meaning in pairs)
    return tuple(_closed(nonlinearity, with_mean))


def _closed(nonlinearity: Nonlinearity, with_mean: bool) -> Iterator[GainFunction]:
    gain = nonlinearity.gain_with_mean if with_mean else nonlinearity.gain
    if gain is None or (with_mean and nonlinearity.activity is None):
        raise SpecError(
            f"network.nonlinearity: {nonlinearity.name!r} has no gain in closed form where vectors have means; "
            "accepted with network.means = true: erf, relu, leaky_relu, clip, sin, sign, exp, polynomials, sums"
        )
    arguments = ("mu", "Delta") if with_mean else ("Delta",)
    state = "mu + sqrt(Delta) xi" if with_mean else "sqrt(Delta) xi"
    forms = [("_g", gain, f"g({', '.join(arguments)}) = E[phi'({state})]")]
    if with_mean:
        forms += [
            ("_phibar", nonlinearity.activity, f"phibar(mu, Delta) = E[phi({state})]"),
            ("_g_mu", sympy.diff(gain, MU), "dg/dmu"),
        ]
    forms.append(("_g_Delta", sympy.diff(gain, DELTA), "dg/dDelta"))
    printer = NumpyFunctionPrinter()
    for name, form, meaning in forms:
        code = str(printer.doprint(form))
        if not form.has(DELTA, MU):
            code += " + 0 * Delta"  # of the shape of the statistics
        yield GainFunction(name, arguments, meaning, code, _singular(form), None)


def _singular(form: sympy.Expr) -> bool:
    """Whether an expression has a power of Delta, negative or fractional, that is singular at 0."""
    powers = form.atoms(sympy.Pow)
    return any(
        p.base.subs(DELTA, 0) == 0 and not (p.exp.is_Integer and p.exp.is_positive) for p in powers if p.base.has(DELTA)
    )
