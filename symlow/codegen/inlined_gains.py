"""Gains in closed form with their derivatives, written out together: what they share is computed once.

Powers of one base by halves share one root, r = b^(-1/2): b^(-3/2) = r^3 takes two products in place of a root and a
division, which are ten times as slow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import sympy

from symlow.codegen.numpy_functions import NumpyFunctionPrinter

HALF = sympy.Rational(1, 2)


def inlined(forms: Mapping[str, sympy.Expr], variables: Mapping[sympy.Symbol, str], prefix: str) -> Iterator[str]:
    """Give the lines that assign some expressions.

    Args:
        forms: expressions by the names that they are assigned to.
        variables: code of the variables.
        prefix: what the names of shared parts begin with.
    """
    codes = dict(variables)
    names, values = list(forms), list(forms.values())
    bases = {power.base: None for value in values for power in roots(value)}
    for number, base in enumerate(bases, 1):
        # A gain that is the root itself gives it its name.
        itself = next((name for name, value in zip(names, values, strict=True) if value == 1 / sympy.sqrt(base)), None)
        root = sympy.Symbol(itself or f"{prefix}{number}", positive=True)
        yield f"{root.name} = 1 / np.sqrt({code_of(base, codes)})"
        codes[root] = root.name
        values = [by_root(value, base, root) for value in values]
    given = [(name, value) for name, value in zip(names, values, strict=True) if str(value) != name]
    names, values = [name for name, _ in given], [value for _, value in given]
    numbered = sympy.numbered_symbols(f"{prefix}part_")
    shared, values = sympy.cse(values, symbols=numbered, order="canonical")
    for symbol, expression in shared:
        yield f"{symbol.name} = {code_of(expression, codes)}"
        codes[symbol] = symbol.name
    for name, value in zip(names, values, strict=True):
        yield f"{name} = {code_of(value, codes)}"


def roots(expression: sympy.Expr) -> list[sympy.Pow]:
    """Return the powers by odd halves, in a fixed order."""
    powers = (p for p in expression.atoms(sympy.Pow) if p.free_symbols and p.exp.is_Rational and p.exp.q == 2)
    return sorted(powers, key=sympy.default_sort_key)


def by_root(expression: sympy.Expr, base: sympy.Expr, root: sympy.Symbol) -> sympy.Expr:
    """Return an expression with powers of a base by odd halves, and negative ones, as powers of its inverse root."""

    def is_power(part: sympy.Basic) -> bool:
        by_halves = isinstance(part, sympy.Pow) and part.base == base and (2 * part.exp).is_Integer
        return bool(by_halves and (part.exp.is_negative or part.exp.q == 2))

    def in_root(part: sympy.Pow) -> sympy.Expr:
        return root ** (-2 * part.exp) if part.exp.is_negative else base ** (part.exp + HALF) * root

    return expression.replace(is_power, in_root)


def code_of(expression: sympy.Expr, codes: Mapping[sympy.Symbol, str]) -> str:
    """Return a scalar expression as code, with given code of its symbols."""
    return str(NumpyFunctionPrinter(codes).doprint(expression))
