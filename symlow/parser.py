"""Expressions that users type, such as ``tanh(x) + 0.1*x``: parsed through a whitelist into SymPy, never executed.

The text passes four stages, and each one only sees what the one before let through:

1. tokens: characters, names, numbers, parentheses and the order of operands, where most mistakes get their hint;
2. Python's ``ast``, which gives the structure (precedence) and runs nothing;
3. the whitelist of nodes and the limits on size, depth and powers;
4. SymPy, one node at a time. It can take forever to find out whether a function of a function is real or zero, so it
   only ever combines numbers and plain real symbols: each function stands as one symbol until all is built.
"""

from __future__ import annotations

import ast
import functools
import keyword
import re
from collections.abc import Callable
from fractions import Fraction
from operator import add, mul, sub, truediv
from typing import Any, NamedTuple

import sympy

from symlow.caret import error_at, shown
from symlow.errors import SpecError, listing, nearest

X = sympy.Symbol("x", real=True)
CONSTANTS: dict[str, sympy.Expr] = {"pi": sympy.pi, "e": sympy.E}

MAX_LENGTH = 500  # characters
MAX_DEPTH = 40  # nested parentheses, functions, signs and powers; a long sum or product is not deep
MAX_NODES = 200  # numbers, names, operators and functions
MAX_DIGITS = 30  # digits of a typed number, and size of its decimal exponent
SMALLEST, LARGEST = Fraction(1, 10**12), Fraction(10**6)  # size of a typed number that is not zero
MAX_EXPONENT = 20  # size of a typed exponent
MAX_DEGREE = 64  # product of nested exponents, and exponent after like powers are collected
MAX_SIZE = 1000  # nodes of the SymPy expression
MAX_CONSTANT_SIZE = 30  # nodes of a part without x, which SymPy evaluates often
MAX_VALUE = 10**100  # numerators, denominators, and values at the sample point

Apply = Callable[..., sympy.Expr]  # applies a SymPy function, which comes first, to arguments


class Function(NamedTuple):
    """A function that users can call: the numbers of arguments, how to write it, and how to build it."""

    least: int
    most: int
    usage: str
    build: Callable[..., sympy.Expr]  # from an Apply and the arguments


def _leaky_relu(apply: Apply, u: sympy.Expr, slope: sympy.Expr) -> sympy.Expr:
    if not slope.is_number:
        raise ValueError("a slope of leaky_relu that is not a number; write for example leaky_relu(x, 0.1)")
    return apply(sympy.Max, sympy.S.Zero, u) + slope * apply(sympy.Min, sympy.S.Zero, u)


def _clip(apply: Apply, u: sympy.Expr, low: sympy.Expr, high: sympy.Expr | None = None) -> sympy.Expr:
    bounds = [low] if high is None else [low, high]
    if not all(bound.is_number for bound in bounds) or (high is not None and float(low) >= float(high)):
        raise ValueError("bounds of clip that are not rising numbers; write for example clip(x, -1, 1)")
    above = apply(sympy.Max, low, u)
    return above if high is None else apply(sympy.Min, above, high)


def _head(name: str, head: Any, usage: str = "x", count: int = 1) -> Function:
    return Function(count, count, f"{name}({usage})", lambda apply, *arguments: apply(head, *arguments))


_HEADS = {
    "tanh": sympy.tanh, "erf": sympy.erf, "sin": sympy.sin, "cos": sympy.cos, "exp": sympy.exp, "log": sympy.log,
    "sqrt": sympy.sqrt, "arctan": sympy.atan, "atan": sympy.atan, "arcsinh": sympy.asinh, "asinh": sympy.asinh,
    "sinh": sympy.sinh, "cosh": sympy.cosh, "abs": sympy.Abs, "sign": sympy.sign,
}  # fmt: skip
FUNCTIONS: dict[str, Function] = {
    **{name: _head(name, head) for name, head in _HEADS.items()},
    "sigmoid": Function(1, 1, "sigmoid(x)", lambda apply, u: 1 / (1 + apply(sympy.exp, -u))),
    "softplus": Function(1, 1, "softplus(x)", lambda apply, u: apply(sympy.log, 1 + apply(sympy.exp, u))),
    "relu": Function(1, 1, "relu(x)", lambda apply, u: apply(sympy.Max, sympy.S.Zero, u)),
    "leaky_relu": Function(2, 2, "leaky_relu(x, slope)", _leaky_relu),
    "clip": Function(2, 3, "clip(x, low, high)", _clip),
    "max": _head("max", sympy.Max, "x, y", 2),
    "min": _head("min", sympy.Min, "x, y", 2),
}
_NAMES = ["x", *CONSTANTS, *FUNCTIONS]
_ACCEPTED = f"accepted: numbers, x, {', '.join(CONSTANTS)}, + - * / **, parentheses and {listing(FUNCTIONS)}"
_PIECEWISE = "write a piecewise function with max, min, relu, clip, abs or sign"
_INVERSES = {"tan": "arctan(x)", "sinh": "arcsinh(x)"}
_OTHER_NAMES = {
    "ln": "log(x)", "log2": "log(x)/log(2)", "log10": "log(x)/log(10)", "pow": "x**2", "square": "x**2",
    "tan": "sin(x)/cos(x)", "sech": "1/cosh(x)", "logistic": "sigmoid(x)", "heaviside": "(1 + sign(x))/2",
    "hardtanh": "clip(x, -1, 1)", "silu": "x*sigmoid(x)", "gelu": "x*(1 + erf(x/sqrt(2)))/2",
}  # fmt: skip
_CHARACTERS = {
    "^": "write ** for a power", "|": "write abs(x) for |x|", "π": "write pi", "√": "write sqrt(x)",
    "=": "write only what stands right of the sign, and arguments by position",
    ".": "write functions by their plain name, for example tanh(x)",
    "⁻": "write **-1 for an inverse", "∞": "write a finite number", "%": "write a quotient such as x/100",
    **dict.fromkeys("×·⋅∗•", "write * for a product"), **dict.fromkeys("−–—", "write - for a minus"),
    **dict.fromkeys("÷∕", "write / for a quotient"), **dict.fromkeys([*"<>≤≥≠", "==", "!="], _PIECEWISE),
    **dict.fromkeys("[]{}", "write round parentheses, and no lists or subscripts"),
    **dict.fromkeys("\r\n", "write it in one line"), **dict.fromkeys("\"'`", "write the expression without quotes"),
    **{power: f"write **{k} for a power" for k, power in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
}  # fmt: skip
_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>[A-Za-z_][A-Za-z_0-9]*)"
    r"|(?P<sign>\*\*|[-+*/(),])|(?P<space>[ \t]+)|(?P<other>(?s:.))"
)
_POWER_OF_FUNCTION = re.compile(r"[ \t]*(?:\^|\*\*)[ \t]*\(?[ \t]*([-+]?\d+)", re.ASCII)
_DOTTED = re.compile(r"(?:[ \t]*\.[ \t]*([A-Za-z_]\w*))+", re.ASCII)
_OPERATORS: dict[type[ast.operator], Any] = {ast.Add: add, ast.Sub: sub, ast.Mult: mul, ast.Div: truediv}
_UNREAL = "this part is not a finite real number; write no division by 0, log(0) or root of a negative number"
_NOT_PLAIN = "an exponent that is not a plain number; write for example 2, -1 or (1/2)"
_UNDEFINED = frozenset({sympy.zoo, sympy.nan, sympy.oo, -sympy.oo, sympy.I})
_PRECISION, _TINY = 60, sympy.Float("1e-50")
_SAMPLE = sympy.sqrt(sympy.Rational(37, 269)).evalf(_PRECISION)  # no root or kink of an expression falls on it


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


def parse_expression(text: str) -> sympy.Expr:
    """Return the expression in X that ``text`` writes, exactly and in SymPy's own functions.

    Raises:
        SpecError: saying what is wrong and what to write instead, then the text and a caret under the place.
    """
    text = text.strip()
    if not text:
        raise SpecError("an empty expression; write for example tanh(x)")
    if len(text) > MAX_LENGTH:
        raise error_at(text, MAX_LENGTH, f"{len(text)} characters; write at most {MAX_LENGTH}")
    _check_tokens(text)
    try:
        # The tokens left ASCII only, so the columns of ast, which count bytes, count characters.
        tree = ast.parse(text, mode="eval").body
        nodes = sum(isinstance(node, ast.expr) - isinstance(node, ast.Call) for node in ast.walk(tree))
        if nodes > MAX_NODES:
            raise error_at(text, 0, f"{nodes} numbers, names and operators; write at most {MAX_NODES}")
        _check_node(text, tree, 1, Fraction(1))
        builder = _Builder(text)
        return builder.restored(builder.build(tree).expression)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # of ast on a text that fooled the tokens, or deep
        raise error_at(text, 0, f"this is no expression, or one nested too deeply; {_ACCEPTED}") from None


def _check_tokens(text: str) -> None:
    """Raise unless the text is made of accepted tokens in an order that makes an expression."""
    found = [_Token(m.lastgroup or "", m.group(), m.start()) for m in _TOKEN.finditer(text) if m.lastgroup != "space"]
    start, end = _Token("start", "", 0), _Token("end", "", len(text))
    opened: list[tuple[_Token, bool]] = []  # the parentheses that are open, and whether each one is of a call
    for before, token, after in zip([start, *found], [*found, end], [*found[1:], end, end], strict=False):
        complete = before.kind in ("number", "name") or before.text == ")"
        call = before.text in FUNCTIONS
        if token.kind == "other":
            raise _character(text, token)
        if token.kind == "name":
            _check_name(text, token, after)
        if token.kind == "number":
            _check_number(text, token)
        if token.kind in ("number", "name") or (token.text == "(" and not call):
            if complete:
                left = "(...)" if before.text == ")" else before.text
                right = "(...)" if token.text == "(" else token.text + "(x)" * (token.text in FUNCTIONS)
                raise error_at(text, token.column, f"a product without its sign; write {left}*{right}")
        elif not complete and token.text not in ("+", "-", "("):
            place = f"before '{token.text}'" if token.text else f"after '{before.text}'"
            if not (token.text == ")" and before.text == "(" and opened[-1][1]):  # tanh() is an argument short
                raise error_at(text, token.column, f"nothing {place}; write a number, x or a function there")
        if token.text == "(":
            opened.append((token, call))
            if len(opened) > MAX_DEPTH:
                raise error_at(text, token.column, f"more than {MAX_DEPTH} nested parentheses; write fewer")
        if token.text == "," and not (opened and opened[-1][1]):
            raise error_at(text, token.column, "a comma outside of a function; write 0.5 with a point, not 0,5")
        if token.text == ")":
            if not opened:
                raise error_at(text, token.column, "a ')' without its '('; remove it, or write the '(' before")
            opened.pop()
    if opened:
        raise error_at(text, opened[-1][0].column, "a missing parenthesis; write the ')' that closes this '('")


def _character(text: str, token: _Token) -> SpecError:
    """Return the error of a character that no expression has."""
    pair = text[token.column : token.column + 2]
    hint = _CHARACTERS.get(pair, _CHARACTERS.get(token.text, _ACCEPTED))
    return error_at(text, token.column, f"the character '{shown(token.text)}' is not accepted; {hint}")


def _check_name(text: str, token: _Token, after: _Token) -> None:
    """Raise unless the name is known, and is followed by a parenthesis if it is a function's."""
    name, end = token.text, token.column + len(token.text)
    if power := _POWER_OF_FUNCTION.match(text, end) if name in FUNCTIONS or name in _INVERSES else None:
        base = FUNCTIONS[name].usage if name in FUNCTIONS else f"({_OTHER_NAMES[name]})"
        mend = _INVERSES[name] if name in _INVERSES and power[1] == "-1" else f"{base}**{power[1]}"
        raise error_at(text, after.column, f"a power between {name} and its argument; write {mend}")
    if dotted := _DOTTED.match(text, end):
        last, whole = dotted[1], "".join(text[token.column : dotted.end()].split())
        mends = _OTHER_NAMES | {name: name for name in CONSTANTS} | {name: f.usage for name, f in FUNCTIONS.items()}
        hint = f"write {mends[last]}" if last in mends else _ACCEPTED
        raise error_at(text, token.column, f"the name {whole} with a point is not accepted; {hint}")
    if keyword.iskeyword(name):
        hint = _PIECEWISE if name in ("if", "else", "and", "or", "not") else _ACCEPTED
        raise error_at(text, token.column, f"the Python keyword {name!r} is not accepted; {hint}")
    if after.text in ("=", '"', "'", ":"):  # y = tanh(x), f"...", x := 1: the sign is the mistake, not the name
        raise _character(text, after)
    if name not in _NAMES:
        raise error_at(text, token.column, _unknown(name, after))
    if name in FUNCTIONS and after.text != "(":
        raise error_at(text, token.column, f"{name} without parentheses; write {FUNCTIONS[name].usage}")


def _unknown(name: str, after: _Token) -> str:
    """Return what to say about an unknown name."""
    if name.lower() in _OTHER_NAMES:
        return f"unknown name {name!r}; write {_OTHER_NAMES[name.lower()]}"
    if name == "X" or (len(name) == 1 and after.text != "(" and name != "E"):
        return f"unknown name {name!r}; the variable is x"
    close = f"; did you mean {name.lower()!r}?" if name.lower() in _NAMES else nearest(name, _NAMES)
    return f"unknown name {name!r}{close} ({_ACCEPTED})"


def _check_number(text: str, token: _Token) -> None:
    """Raise unless the number has few digits and a size that computations can keep."""
    mantissa, _, exponent = token.text.lower().partition("e")
    digits = len(mantissa.replace(".", ""))
    if digits > MAX_DIGITS:
        raise error_at(text, token.column, f"a number of {digits} digits; write at most {MAX_DIGITS}")
    if re.fullmatch("0+[1-9][0-9]*", mantissa):
        raise error_at(text, token.column, f"a number with leading zeros; write {mantissa.lstrip('0')}")
    small = len(exponent) <= 4 and abs(int(exponent or 0)) <= MAX_DIGITS  # before a number is made of it
    if not small or not (Fraction(token.text) == 0 or SMALLEST <= Fraction(token.text) <= LARGEST):
        raise error_at(text, token.column, f"a number beyond the limits; write 0 or a size from 1e-12 to {LARGEST}")


def _check_node(text: str, node: ast.expr, depth: int, degree: Fraction) -> None:
    """Raise unless the node and all below it are accepted; ``degree`` is the product of the exponents above it."""
    if depth > MAX_DEPTH:
        raise error_at(text, node.col_offset, f"more than {MAX_DEPTH} nested operations; write a flatter expression")
    match node:
        case ast.Name(id=name) if name == "x" or name in CONSTANTS:
            return
        case ast.Constant(value=value) if type(value) in (int, float):
            return
        case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
            below = [operand]
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            degree *= max(_checked_exponent(text, right), Fraction(1))
            if degree > MAX_DEGREE:
                raise error_at(text, right.col_offset, f"nested powers beyond {MAX_DEGREE}; write smaller exponents")
            below = [left]
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div(), right=right):
            # The terms of a sum are equally deep, though the tree has each sum below the next.
            _check_node(text, left, depth + (not isinstance(left, ast.BinOp)), degree)
            below = [right]
        case ast.Call(func=ast.Name(id=name), args=below, keywords=[]) if name in FUNCTIONS:
            least, most, usage, _ = FUNCTIONS[name]
            if not least <= len(below) <= most:
                takes = " or ".join(map(str, sorted({least, most})))
                found = f"{name} takes {takes} argument{'s' * (most > 1)}, found {len(below)}; write {usage}"
                raise error_at(text, node.col_offset, found)
        case _:
            raise error_at(text, node.col_offset, f"this is not accepted ({type(node).__name__}); {_ACCEPTED}")
    for operand in below:
        _check_node(text, operand, depth + 1, degree)


def _checked_exponent(text: str, node: ast.expr) -> Fraction:
    """Return the size of the exponent, or raise if it is not a small number."""
    if any(isinstance(part, ast.Name) and part.id == "x" for part in ast.walk(node)):
        raise error_at(text, node.col_offset, "x in an exponent; write exp(x) for e**x and exp(x*log(2)) for 2**x")
    exponent = _exact(text, node)
    if exponent is None:
        raise error_at(text, node.col_offset, _NOT_PLAIN)
    if abs(exponent) > MAX_EXPONENT:
        raise error_at(text, node.col_offset, f"an exponent beyond {MAX_EXPONENT}; write one from -20 to 20")
    return abs(exponent)


def _exact(text: str, node: ast.expr) -> Fraction | None:
    """Return what a number, or signs, sums, products and quotients of numbers make exactly; None for all else."""
    match node:
        case ast.Constant():
            return Fraction(text[node.col_offset : node.end_col_offset])  # as typed: 0.1 is one tenth
        case ast.UnaryOp(op=sign, operand=operand):
            value = _exact(text, operand)
            return -value if value is not None and isinstance(sign, ast.USub) else value
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            a, b = _exact(text, left), _exact(text, right)
            if a is None or b is None or (isinstance(op, ast.Div) and b == 0):
                return None
            return _OPERATORS[type(op)](a, b)
    return None


class _Built(NamedTuple):
    expression: sympy.Expr
    value: sympy.Expr | None  # at x = _SAMPLE, if it is real there


class _Builder:
    """Builds the SymPy expression of a checked text, with a symbol for every function until the end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.hidden: dict[sympy.Expr, sympy.Expr] = {}  # what each symbol stands for
        self.symbols: dict[sympy.Expr, sympy.Expr] = {}  # the inverse: equal parts share a symbol
        self.sizes: dict[sympy.Expr, int] = {}
        self.whole: dict[sympy.Expr, sympy.Expr] = {}
        self.constant: set[sympy.Expr] = set()  # the symbols that stand for parts without x

    def build(self, node: ast.expr) -> _Built:
        """Return what the node writes."""
        match node:
            case ast.Name(id=name):
                return _Built(X, _SAMPLE) if name == "x" else _Built(CONSTANTS[name], CONSTANTS[name].evalf(_PRECISION))
            case ast.Constant():
                number = sympy.Rational(_exact(self.text, node) or Fraction(0))
                return _Built(number, number)
            case ast.UnaryOp(op=sign, operand=operand):
                return self.join(node, lambda _, u: -u if isinstance(sign, ast.USub) else u, [operand])
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                power = sympy.Rational(_exact(self.text, right) or Fraction(0))
                # A power that is no integer counts as a function: SymPy must not ask whether its base is positive.
                how: Apply = lambda apply, u: u**power if power.is_Integer else apply(lambda v: v**power, u)  # noqa: E731
                return self.join(node, how, [left], left if power < 0 else None)
            case ast.BinOp(left=left, op=op, right=right):
                divisor = right if isinstance(op, ast.Div) else None
                return self.join(node, lambda _, *both: _OPERATORS[type(op)](*both), [left, right], divisor)
            case ast.Call(func=ast.Name(id=name), args=args):
                return self.join(node, FUNCTIONS[name].build, args)
        raise AssertionError(node)  # _check_node lets nothing else through

    def join(self, node: ast.expr, how: Apply, operands: list[ast.expr], divisor: ast.expr | None = None) -> _Built:
        """Return what ``how`` makes of an Apply and the operands, if it is real, finite and small."""
        parts = [self.build(operand) for operand in operands]
        last, value = parts[-1]
        # A divisor that is zero at the sample point is zero all around it, whatever identity makes it so.
        if divisor and (last == 0 or (not last.is_Rational and value is not None and abs(value) < _TINY)):
            raise error_at(self.text, divisor.col_offset, "a division by zero; write a divisor that is not zero")
        try:
            expression = how(self.apply, *(part.expression for part in parts))
            numbers = [sympy.Float(part.value, _PRECISION) for part in parts if part.value is not None]
            value = how(lambda head, *them: head(*them), *numbers) if len(numbers) == len(parts) else None
        except ValueError as error:
            raise error_at(self.text, node.col_offset, str(error)) from None
        if expression.is_Rational or not isinstance(value, sympy.Float | sympy.Rational):
            value = expression if expression.is_Rational else None
        if fault := self.fault(expression, value):
            raise error_at(self.text, node.col_offset, fault)
        return _Built(expression, value)

    def apply(self, head: Callable[..., sympy.Expr], *arguments: sympy.Expr) -> sympy.Expr:
        """Return the function of the arguments: a symbol, or a number such as sqrt(2) or sin(1)."""
        if head is sympy.exp:
            self.check_exponential(arguments[0])
        built = head(*(self.hide(argument) for argument in arguments))
        plain = built.is_number and (all(part.is_Rational for part in arguments) or not built.has(sympy.Function))
        return built if plain else self.hide(built)

    def hide(self, expression: sympy.Expr) -> sympy.Expr:
        """Return a symbol that stands for the expression, if it is not simple already."""
        if expression.is_Symbol or (expression.is_number and not expression.has(sympy.Function)):
            return expression
        if expression not in self.symbols:
            symbol = self.symbols[expression] = sympy.Dummy(real=True)
            self.hidden[symbol] = expression
            self.sizes[symbol] = self.size(expression)
            if expression.free_symbols <= self.constant:
                self.constant.add(symbol)
        return self.symbols[expression]

    def size(self, expression: sympy.Expr) -> int:
        """Return the number of nodes, with those that symbols stand for."""
        return sum(self.sizes.get(part, 1) for part in sympy.preorder_traversal(expression))

    def check_exponential(self, argument: sympy.Expr) -> None:
        """Raise for exp(k*log(a)), which SymPy turns into a**k whatever the size of k."""
        for term in sympy.Add.make_args(self.restored(argument)):
            factors = sympy.Mul.make_args(term)
            variable = [factor for factor in factors if factor.has(X)]
            if any(isinstance(factor, sympy.log) and variable in ([], [factor]) for factor in factors):
                raise ValueError("an exponential of a logarithm; write a**k for exp(k*log(a))")

    def fault(self, expression: sympy.Expr, value: sympy.Expr | None) -> str | None:
        """Return what is wrong with an expression: not real, not finite or too large."""
        for part in sympy.preorder_traversal(expression):
            if part in _UNDEFINED:
                return _UNREAL
            if part.is_Rational and max(abs(part.p), part.q) > MAX_VALUE:
                return "a number that becomes too large; write smaller numbers or powers"
            if part.is_Pow and part.exp.is_Rational and abs(part.exp) > MAX_DEGREE:
                return f"a power that becomes larger than {MAX_DEGREE}; write smaller exponents"
        constant = expression.free_symbols <= self.constant
        if self.size(expression) > (MAX_CONSTANT_SIZE if constant else MAX_SIZE):
            return f"{'a constant' if constant else 'an expression'} that becomes too large; write a simpler one"
        if value is None:
            return _UNREAL if constant else None
        return None if abs(value) < MAX_VALUE else "a value beyond 1e100; write smaller numbers"

    def restored(self, expression: sympy.Expr) -> sympy.Expr:
        """Return the expression with its symbols replaced by what they stand for."""
        if expression.is_number or not (expression.args or expression in self.hidden):
            return expression
        if expression not in self.whole:
            whole = self.hidden.get(expression, expression)
            arguments = [self.restored(argument) for argument in whole.args]
            self.whole[expression] = _rebuilt(whole, arguments) if arguments else whole
        return self.whole[expression]


def _rebuilt(expression: sympy.Expr, arguments: list[sympy.Expr]) -> sympy.Expr:
    """Return the expression of other arguments in SymPy's form, as far as no function need be looked into."""
    if isinstance(expression, sympy.Add):
        return sympy.Add(*arguments)
    if isinstance(expression, sympy.Mul):
        factors = [factor for argument in arguments for factor in sympy.Mul.make_args(argument)]
        number = sympy.Mul(*(factor for factor in factors if factor.is_Rational))
        others = [factor for factor in factors if not factor.is_Rational]
        others.sort(key=functools.cmp_to_key(sympy.Basic.compare))
        if len(others) == 1 and others[0].is_Add:
            return number * others[0]  # SymPy multiplies the sum out
        return sympy.Mul(*([] if number == 1 else [number]), *others, evaluate=False)
    if expression.is_Pow and expression.exp.is_Integer:
        base, exponent = arguments
        if isinstance(base, sympy.exp):
            return sympy.exp(exponent * base.exp, evaluate=False)
        if base.is_Pow:
            base, exponent = base.base, base.exp * exponent
        return base if exponent == 1 else sympy.Pow(base, exponent, evaluate=False)
    return expression.func(*arguments, evaluate=False)
