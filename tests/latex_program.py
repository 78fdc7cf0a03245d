r"""Documents read back as programs: the equations that a page prints, evaluated on numbers.

    \kappa_{u}(t+\mathrm{d}t) &= \kappa_{u}(t) + \frac{\mathrm{d}t}{\tau}\left[-\kappa_{u}(t) + a(t)\right]

Everything is a matrix. A column of one entry in a product is a number, side by side is the matrix product, and \odot
the product entry by entry, which binds less.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np

TIMES = {"(t)": 0, r"(t+\mathrm{d}t)": 1, r"(t-\mathrm{d}t)": -1, "(0)": None}
OPENING = {r"\left(": r"\right)", r"\left[": r"\right]", r"\bigl[": r"\bigr]", "(": ")", "[": "]"}
SPACES = (r"\,", r"\;", r"\quad", " ", "\n", "&")
NUMBER = re.compile(r"\d+")
GREEK = "kappa|lambda|Sigma|tau|mu|Delta|Phi|omega"
LETTER = re.compile(rf"\\(?:bar|hat){{|\\mathbf{{1}}|\\mathrm{{[A-Za-z]+}}|\\(?:{GREEK})(?![A-Za-z])|[A-Za-z]")
SLOPE = re.compile(r"\\partial_\\(mu|Delta) g((?:_\{[^{}]*\})?)\(t\)")
GAIN = re.compile(r"g('?)\(\\Delta((?:_\{[^{}]*\})?)")

Value = np.ndarray
Tree = tuple


def rows(text: str, after: str) -> list[tuple[str, str]]:
    """The equations of the first align* that follows a text, as pairs of left-hand and right-hand side."""
    block = re.search(re.escape(after) + r".*?\\begin\{align\*\}\n(.*?)\\end\{align\*\}", text, re.DOTALL)[1]
    lines = block.replace("\\\\\n&\\quad", " ").replace("\\\\\n", "\n").strip().split("\n")
    return [tuple(side.strip() for side in line.split("&=")) for line in lines]


class Parser:
    """Parses one side of an equation."""

    def __init__(self, code: str) -> None:
        self.code, self.position = code, 0

    def tree(self) -> Tree:
        value = self._sum()
        self._skip()
        assert self.position == len(self.code), f"not understood: {self.code[self.position :]!r} in {self.code!r}"
        return value

    def _skip(self) -> None:
        while any(self.code.startswith(space, self.position) for space in SPACES):
            self.position += next(len(s) for s in SPACES if self.code.startswith(s, self.position))

    def _take(self, *texts: str) -> str | None:
        self._skip()
        found = next((text for text in texts if self.code.startswith(text, self.position)), None)
        self.position += len(found or "")
        return found

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        self._skip()
        match = pattern.match(self.code, self.position)
        self.position = match.end() if match else self.position
        return match

    def _group(self) -> str:
        """The content of the braces that open here, as code."""
        assert self._take("{"), f"no brace at {self.code[self.position :]!r}"
        start, depth = self.position, 1
        while depth:
            depth += {"{": 1, "}": -1}.get(self.code[self.position], 0)
            self.position += 1
        return self.code[start : self.position - 1]

    def _sum(self) -> Tree:
        sign = -1 if self._take("-") else 1
        terms = [("scale", sign, self._term())]
        while mark := self._take("+", "-"):
            terms.append(("scale", 1 if mark == "+" else -1, self._term()))
        return ("sum", terms)

    def _term(self) -> Tree:
        factors = [self._product()]
        while self._take(r"\odot"):
            factors.append(self._product())
        return ("entries", factors)

    def _product(self) -> Tree:
        factors = []
        while (factor := self._factor()) is not None:
            factors.append(factor)
        assert factors, f"no factor at {self.code[self.position :]!r} in {self.code!r}"
        return ("product", factors)

    def _factor(self) -> Tree | None:
        if self._take(r"\sum_t"):
            return ("over time", self._product())
        if self._take(r"\sum_k"):
            inner = self._bracket()
            assert self._take("_k")
            return ("total", inner)
        base = self._base()
        while base is not None and self._take("^{"):
            self.position -= 1
            power = self._group()
            base = ("transpose", base) if power == r"\top" else ("power", base, int(power))
        return base

    def _base(self) -> Tree | None:
        if number := self._match(NUMBER):
            return ("number", float(number[0]))
        if self._take(r"\frac"):
            return ("quotient", Parser(self._group()).tree(), Parser(self._group()).tree())
        if self._take(r"\begin{pmatrix}"):
            end = self.code.index(r"\end{pmatrix}", self.position)
            entries, self.position = self.code[self.position : end], end + len(r"\end{pmatrix}")
            return ("matrix", [[Parser(e).tree() for e in row.split("&")] for row in entries.split(r"\\")])
        if self._take(r"\mathrm{d}t"):
            return ("name", "dt", 0)
        if self._take("e^"):
            return ("function", np.exp, Parser(self._group()).tree())
        if self._take(r"\operatorname{sigmoid}"):
            return ("function", lambda x: 1 / (1 + np.exp(-x)), self._bracket())
        if self._take(r"\phi"):
            return ("phi", self._bracket())
        if any(self.code.startswith(mark, self.position) for mark in OPENING):
            return self._bracket()
        return self._symbol()

    def _bracket(self) -> Tree:
        mark = self._take(*OPENING)
        value = self._sum()
        assert self._take(OPENING[mark]), f"{mark} not closed at {self.code[self.position :]!r}"
        return value

    def _symbol(self) -> Tree | None:
        if slope := self._match(SLOPE):
            return ("name", f"g_{slope[1]}{slope[2]}", 0)
        if gain := self._match(GAIN):
            return ("name", f"g{gain[1] and '_Delta'}{gain[2]}", TIMES[self._time(inside=True)])
        letter = self._match(LETTER)
        if letter is None:
            return None
        name = letter[0]
        if name.endswith("{"):
            self.position -= 1
            name += self._group() + "}"
        if self.code.startswith("^{*}", self.position):
            self.position, name = self.position + 4, name + "^{*}"
        if self.code.startswith("_{", self.position):
            self.position += 1
            name += "_{" + self._group() + "}"
        return ("name", name, TIMES.get(self._time(), 0))

    def _time(self, inside: bool = False) -> str:
        mark = next((mark for mark in TIMES if self.code.startswith(mark, self.position)), "")
        self.position += len(mark) + inside
        return mark


class Program:
    """Values of everything over time, in which equations are evaluated.

    Attributes:
        values: by name and time; what has no time is at None.
        shapes: of what is zero where no value is known.
        phi: the nonlinearity.
    """

    def __init__(self, phi: Callable[[Value], Value] = lambda x: x) -> None:
        self.values: dict[str, dict[int | None, Value]] = {}
        self.shapes: dict[str, tuple[int, int]] = {}
        self.phi = phi

    def set(self, name: str, value: object, time: int | None = None) -> None:
        self.values.setdefault(name, {})[time] = np.atleast_2d(np.asarray(value))

    def get(self, name: str, time: int) -> Value:
        known = self.values.get(name, {})
        if time in known:
            return known[time]
        if None in known:
            return known[None]
        assert name in self.shapes, f"{name} is not known at time {time}"
        return np.zeros(self.shapes[name])

    def evaluate(self, tree: Tree, t: int, end: int = 0) -> Value:
        """The value at time t; sums over time run up to the end."""
        match tree:
            case ("name", name, shift):
                return self.get(name, 0 if shift is None else t + shift)
            case ("number", value):
                return np.array([[value]])
            case ("scale", sign, inner):
                return sign * self.evaluate(inner, t, end)
            case ("sum", terms):
                return sum((self.evaluate(term, t, end) for term in terms[1:]), self.evaluate(terms[0], t, end))
            case ("entries", factors):
                return np.prod(np.broadcast_arrays(*(self.evaluate(f, t, end) for f in factors)), axis=0)
            case ("product", factors):
                return product([self.evaluate(factor, t, end) for factor in factors])
            case ("quotient", above, below):
                return self.evaluate(above, t, end) / self.evaluate(below, t, end)
            case ("matrix", entries):
                return np.array([[self.evaluate(entry, t, end).item() for entry in row] for row in entries])
            case ("transpose", inner):
                return self.evaluate(inner, t, end).T
            case ("power", inner, power):
                return self.evaluate(inner, t, end) ** power
            case ("function", function, inner):
                return function(self.evaluate(inner, t, end))
            case ("phi", inner):
                return self.phi(self.evaluate(inner, t, end))
            case ("total", inner):
                return np.sum(self.evaluate(inner, t, end), keepdims=True).reshape(1, 1)
            case ("over time", inner):
                return sum(self.evaluate(inner, moment) for moment in range(end + 1))
        raise AssertionError(tree)


def product(factors: list[Value]) -> Value:
    """The matrix product from the right, columns of one entry being numbers."""
    value = factors[-1]
    for factor in reversed(factors[:-1]):
        value = factor * value if factor.size == 1 or value.size == 1 else factor @ value
    return value


def parsed(equations: list[tuple[str, str]]) -> Iterator[tuple[str, Tree]]:
    """Equations with their right-hand sides parsed."""
    for left, right in equations:
        yield left, Parser(right).tree()
