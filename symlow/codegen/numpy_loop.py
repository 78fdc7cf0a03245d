"""Loops over time with as few operations in a step as possible, on arrays that are there before the loop.

    forms[t] = known[t] + kappa @ [M_1, M_2, ...]       every form that is affine in the latents, at once
    kappa[t + 1] = forms_3 + forms_2 / sqrt(base),      base = fixed[t] + forms_1 . kappa

An operation on a small array takes the interpreter much longer than the arithmetic; so all products of latents with
what is known before the loop are one operation, factors and constants of a root go into what is known, and results go
to buffers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import sympy

from symlow.codegen.inlined_gains import by_root, code_of, roots
from symlow.codegen.layout import WIDTH
from symlow.codegen.loop import Group, Loop
from symlow.codegen.numpy_rows import in_product
from symlow.codegen.statements import Statement, mentioned
from symlow.codegen.terms import Term, split
from symlow.nonlinearity import DELTA

AT_TIME = re.compile(r"\b(\w+)\[t\]")
IN_PLACE = re.compile(r"^(\w+) \+= ([\w\[\]]+)$")
FUNCTION = re.compile(r"^np\.(\w+)\(")


@dataclass
class _Product:
    """A product of arrays, or the inner product of the first two of them times the others.

    Attributes:
        factors: code of the factors.
        divisors: names of arrays that it is divided by.
        dot: the number of entries of the first two, if it is their inner product.
    """

    factors: list[str]
    divisors: list[str] = field(default_factory=list)
    dot: int = 0


@dataclass
class NumpyLoop(Loop):
    """A loop under construction.

    Attributes:
        states: number of entries of each latent that is stepped, by name.
        lines: the lines of the body.
    """

    states: Mapping[str, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    _forms: dict[int, list[tuple[str, dict[str, str]]]] = field(default_factory=dict)
    _buffers: dict[str, int] = field(default_factory=dict)
    _roots: dict[str, str] = field(default_factory=dict)

    def add(self, statement: Statement) -> None:
        """Add a statement as it is."""
        self.lines.append(str(statement))

    def gain(self, variance: str, terms: tuple[Term, ...], gain: str, form: sympy.Expr | None) -> bool:
        """Add the statements of a gain that is a function of one root, and whether it is one.

        Args:
            variance: name of the variance.
            terms: its terms.
            gain: name of the gain.
            form: its closed form in Delta, if it has one.
        """
        bases = sorted({power.base for power in roots(form)}, key=str) if form is not None else []
        root = sympy.Symbol("root", positive=True)
        if form is None or len(bases) != 1 or not bases[0].is_polynomial(DELTA) or sympy.degree(bases[0], DELTA) != 1:
            return False
        value = by_root(form, bases[0], root)
        if value.has(DELTA):
            return False
        slope, constant = (sympy.N(c, 30) for c in sympy.Poly(bases[0], DELTA).all_coeffs())
        scaled = [Term(slope * term.coefficient, term.dots, term.column) for term in terms]
        name = variance.replace("Delta", "root")
        self.assign(name, [*scaled, Term(constant)], width=1)
        self.lines.append(f"np.sqrt({name}, {name})")
        self._roots[gain] = name
        if value != root:
            self.lines.append(f"{gain} = {code_of(value, {root: f'(1 / {name})'})}")
            del self._roots[gain]
        return True

    def assign(
        self, target: str, terms: Iterable[Term], adds: bool = False, extra: Iterable[str] = (), width: int = 0
    ) -> None:
        """Add ``target = terms`` to the body, written into a buffer or the latent's next row if its width is given."""
        if not width:
            super().assign(target, terms, adds, extra)
            return
        fixed, moving = split(terms, self.live)
        products = list(self._structured(moving, width))
        if fixed:
            products.append(_Product([self._fixed(fixed)]))
        self._write(target, products, width)

    def _structured(self, terms: tuple[Term, ...], width: int) -> Iterator[_Product]:
        for (made, column), group in self._dot_groups([term for term in terms if term.dots]).items():
            size = int(self.inside.sizes[column])
            product = _Product([self._bracket(group, size), self.inside.names[column]], [], size)
            yield self._times(product, made)
        for (made, over_time), group in self._groups([term for term in terms if not term.dots]).items():
            product = _Product([] if group.alone else [self._bracket(group, width)])
            if over_time != 1:
                product.factors.append(f"{self._taken_out(self.outside.scalar(over_time))}[t]")
            yield self._times(product, group.scalar * made if group.alone else made)

    def _times(self, product: _Product, made: sympy.Expr) -> _Product:
        """Return a product times a factor that the loop makes; a gain that is the inverse of a root divides."""
        if isinstance(made, sympy.Symbol) and made.name in self._roots and product.factors:
            product.divisors.append(self._roots[made.name])
        elif made != 1:
            product.factors.append(self.inside.factor(made))
        return product

    def _bracket(self, group: Group, width: int) -> str:
        """Return what is affine in the latents as a form of the stack; anything else as an expression."""
        if not all(column in self.states for column in group.acted):
            before = [self._known_columns(group.known)] if group.known else []
            return in_product(" + ".join([*before, *(self._acted(c, a) for c, a in group.acted.items())]))
        if not group.acted:
            return self._known_columns(group.known)
        known = self._known_columns(group.known).removesuffix("[t]") if group.known else "None"
        stack = self._forms.setdefault(width, [])
        stack.append((known, {column: self._matrix(column, actions) for column, actions in group.acted.items()}))
        return f"form_{width}_{len(stack)}"

    def _write(self, target: str, products: list[_Product], width: int) -> None:
        plain = [product for product in products if len(product.factors) == 1 and not product.divisors]
        others = [product for product in products if product not in plain]
        if target not in self._next.values():
            self._buffers[target] = width
        started = False
        for product in others:
            self._multiply(product, self._buffer("part", width) if started else target, width)
            if started:
                self.lines.append(f"{target} += {self._buffer('part', width)}")
            started = True
        codes = [product.factors[0] for product in plain]
        if not started:
            operation = f"np.add({codes[0]}, {codes[1]}," if len(codes) > 1 else f"np.positive({codes[0]},"
            self.lines.append(f"{operation} {target})")
            codes = codes[2:]
        self.lines += [f"{target} += {code}" for code in codes]

    def _multiply(self, product: _Product, out: str, width: int) -> None:
        first, *rest = product.factors
        if product.dot > 1:
            pair = self._buffer("pair", product.dot)
            self.lines.append(f"np.multiply({first}, {rest[0]}, {pair})")
            self.lines.append(f"np.add.reduce({pair}, -1, None, {out}, True)")
            operations = [("multiply", factor) for factor in rest[1:]]
        else:
            operations = [("multiply", factor) for factor in rest]
            operations += [("divide", divisor) for divisor in product.divisors]
            (name, second), *operations = operations
            self.lines.append(f"np.{name}({first}, {second}, {out})")
            product.divisors.clear()
        operations += [("divide", divisor) for divisor in product.divisors]
        self.lines += [f"np.{name}({out}, {factor}, {out})" for name, factor in operations]

    def _buffer(self, name: str, width: int) -> str:
        self._buffers[f"{name}_{width}"] = width
        return f"{name}_{width}"

    @property
    def _next(self) -> Mapping[str, str]:
        return {name: f"{name}_next" for name in self.states}

    # The whole ------------------------------------------------------------------------------------------------------

    def code(self) -> tuple[Statement | str, ...]:
        """Return what stands before the loop, and the loop, whose lines are as long as they are to be."""
        states = list(self.states)
        before: list[Statement | str] = list(self.before)
        stepped: list[str] = []
        for width, stack in self._forms.items():
            knowns = [known for known, _ in stack]
            if any(known != "None" for known in knowns):
                before += _call(f"known_{width}", "_stacked", knowns, [states[0], str(width)])
            for number, column in enumerate(dict.fromkeys(column for _, acted in stack for column in acted)):
                rows, name = self.states[column], f"act_{width}_{column}"
                matrices = [acted.get(column, "0.0") for _, acted in stack]
                before += _call(name, "_matrices", matrices, ["Sigma", str(rows), str(width)])
                entrywise = rows == width == 1
                if number == 0:
                    operation = "multiply" if entrywise else "matmul"
                    stepped.append(f"np.{operation}({column}_t, {name}, forms_{width})")
                else:
                    stepped.append(f"forms_{width} += {column}_t {'*' if entrywise else '@'} {name}")
            before.append(f"forms_{width} = _buffer({states[0]}, {width}, {len(stack)})")
            names = ", ".join(f"form_{width}_{k}" for k in range(1, len(stack) + 1))
            before.append(f"{names}{',' if len(stack) == 1 else ''} = forms_{width}")
            if any(known != "None" for known in knowns):
                stepped.append(f"forms_{width} += known_{width}[t]")
        before += [f"{name} = _buffer({states[0]}, {width})" for name, width in self._buffers.items()]
        body = [IN_PLACE.sub(r"np.add(\1, \2, \1)", line) for line in (*stepped, *self.lines)]
        operations = list(dict.fromkeys(name for line in body for name in FUNCTION.findall(line)))
        # Names of this function: looked up once, not at each step.
        before.append(f"{', '.join(operations)} = {', '.join(f'np.{name}' for name in operations)}")
        return (*before, *self._in_time(states, body))

    def _in_time(self, states: list[str], body: list[str]) -> Iterator[str]:
        """Give the lines of the loop, over the rows of all that has an axis of time."""
        for gain, root in self._roots.items():
            if mentioned(gain, body):
                place = next(k for k, line in enumerate(body) if line == f"np.sqrt({root}, {root})")
                body.insert(place + 1, f"{gain} = 1 / {root}")
        zipped = {f"{name}_t": f"{name}[:-1]" for name in states} | {f"{name}_next": f"{name}[1:]" for name in states}
        for name in (name for line in body for name in AT_TIME.findall(line)):
            # Taken out of the loop, or known for its steps only; else there is one more, after the last step.
            steps_only = name.startswith(("fixed_", "known_")) or name == "x"
            zipped.setdefault(f"{name}_t", name if steps_only else f"{name}[:steps]")
        heads, arrays = ", ".join(zipped), ", ".join([*zipped.values(), "strict=True"])
        line = f"for {heads} in zip({arrays}):"
        if len(line) <= WIDTH - 4:
            yield line
        else:
            yield "for ("
            yield from (f"    {name}," for name in zipped)
            yield ") in zip("
            yield from (f"    {name}," for name in (*zipped.values(), "strict=True"))
            yield "):"
        yield from ("    " + FUNCTION.sub(r"\1(", AT_TIME.sub(r"\1_t", line)) for line in body)


def _call(target: str, function: str, parts: list[str], others: list[str]) -> list[str]:
    """Return the lines of a call with a list as its first argument."""
    line = f"{target} = {function}([{', '.join(parts)}], {', '.join(others)})"
    if len(line) <= WIDTH - 4:
        return [line]
    listed = [f"        {part}," for part in parts]
    return [f"{target} = {function}(", "    [", *listed, "    ],", *(f"    {other}," for other in others), ")"]
