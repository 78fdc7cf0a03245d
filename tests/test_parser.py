"""Expressions that users type: what each parses to, what a mistake is told, and that nothing runs or hangs."""

from __future__ import annotations

import os
import random
import string
import time

import pytest
import sympy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sympy import E, Max, Min, Rational, pi

from symlow.errors import SpecError
from symlow.parser import CONSTANTS, FUNCTIONS, MAX_DEPTH, MAX_LENGTH, MAX_NODES, X, parse_expression

FUZZ = int(os.environ.get("SYMLOW_FUZZ", "20000"))
"""Random texts in a run of these tests."""
SECONDS = 2.0
"""Longest time that one expression may take, on a busy machine."""
ACCEPTED = (
    "accepted: numbers, x, pi, e, + - * / **, parentheses and tanh, erf, sin, cos, exp, log, sqrt, arctan, atan, "
    "arcsinh, asinh, sinh, cosh, abs, sign, sigmoid, softplus, relu, leaky_relu, clip, max, min"
)
PIECEWISE = "write a piecewise function with max, min, relu, clip, abs or sign"
UNREAL = "this part is not a finite real number; write no division by 0, log(0) or root of a negative number"
NO_DIVISOR = "a division by zero; write a divisor that is not zero"
NO_NUMBER = "an exponent that is not a plain number; write for example 2, -1 or (1/2)"
NO_QUOTES = "write the expression without quotes"
OF_LOG = "an exponential of a logarithm; write a**k for exp(k*log(a))"


def message(text):
    with pytest.raises(SpecError) as caught:
        parse_expression(text)
    return str(caught.value)


def assert_says(text, first, column, shown=None):
    """Assert the whole message: the line that says what is wrong, the expression and the caret."""
    assert message(text) == f"{first}\n    {shown or text}\n    {' ' * column}^"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tanh(x)", sympy.tanh(X)),
        ("erf(x)", sympy.erf(X)),
        ("sin(x)", sympy.sin(X)),
        ("cos(x)", sympy.cos(X)),
        ("exp(x)", sympy.exp(X)),
        ("log(1 + x**2)", sympy.log(1 + X**2)),
        ("sqrt(1 + x**2)", sympy.sqrt(1 + X**2)),
        ("arctan(x)", sympy.atan(X)),
        ("atan(x)", sympy.atan(X)),
        ("arcsinh(x)", sympy.asinh(X)),
        ("asinh(x)", sympy.asinh(X)),
        ("sinh(x)", sympy.sinh(X)),
        ("cosh(x)", sympy.cosh(X)),
        ("sigmoid(x)", 1 / (1 + sympy.exp(-X))),
        ("softplus(x)", sympy.log(1 + sympy.exp(X))),
        ("relu(x)", Max(0, X)),
        ("leaky_relu(x, 0.1)", Max(0, X) + Min(0, X) / 10),
        ("clip(x, -1, 1)", Min(Max(X, -1), 1)),
        ("clip(x, -pi, pi)", Min(Max(X, -pi), pi)),
        ("clip(x, -1)", Max(X, -1)),
        ("abs(x)", sympy.Abs(X)),
        ("sign(x)", sympy.sign(X)),
        ("max(x, 2*x)", Max(X, 2 * X, evaluate=False)),
        ("min(x, 1)", Min(X, 1)),
        ("tanh(x) + 0.1*x", sympy.tanh(X) + X / 10),
        ("x*exp(-x**2/2)", X * sympy.exp(-(X**2) / 2)),
        ("(1 + erf(x/2))/2", (1 + sympy.erf(X / 2)) / 2),
        ("x/(1 + abs(x))", X / (1 + sympy.Abs(X))),
        ("tanh(2*x - 1)**3", sympy.tanh(2 * X - 1) ** 3),
        ("relu(tanh(x))", Max(0, sympy.tanh(X), evaluate=False)),
        ("exp(x*log(2))", sympy.exp(X * sympy.log(2))),
        ("tanh(x) - tanh(x)", sympy.S.Zero),
        ("tanh(0) + sin(pi) + log(1) + max(2, 3)", sympy.Integer(3)),
        ("cos(pi/3)*sqrt(4)", sympy.Integer(1)),
        ("-x**2", -(X**2)),
        ("+x - -x", 2 * X),
        ("x**-1", 1 / X),
        ("x**(1/2)", sympy.sqrt(X)),
        ("x**(-2 + 1/2)", X ** Rational(-3, 2)),
        ("e**2*pi", pi * E**2),
        ("  \tx\n", X),
        ("2.e1*x + .5", 20 * X + Rational(1, 2)),
    ],
)
def test_expressions_are_exact(text, expected):
    assert parse_expression(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1", Rational(1, 10)),
        ("1e-3", Rational(1, 1000)),
        ("0.123456789012345678901234567890"[:31], Rational(12345678901234567890123456789, 10**29)),
        ("1E6", 10**6),
        ("1e-12", Rational(1, 10**12)),
        ("0.0e5", 0),
        ("1/3", Rational(1, 3)),
    ],
)
def test_numbers_are_as_typed(text, expected):
    assert parse_expression(text) == expected


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_the_derivative_of_its_values(name):
    arguments = {"leaky_relu": "x, 0.1", "clip": "x, -1, 1", "max": "x, -2*x", "min": "x, x**2"}.get(name, "x")
    phi = parse_expression(f"{name}({arguments})")
    point, step = Rational(7, 10), Rational(1, 10**6)
    slope = (phi.subs(X, point + step) - phi.subs(X, point - step)) / (2 * step)
    assert float(phi.diff(X).subs(X, point)) == pytest.approx(float(slope), abs=1e-9)


def test_parts_are_written_as_in_sympy_whatever_their_order():
    assert parse_expression("sin(x) + x + cos(x)*x + 1") == parse_expression("1 + x*cos(x) + x + sin(x)")
    assert parse_expression("sin(x) + x + cos(x)*x + 1") == sympy.sin(X) + X + sympy.cos(X) * X + 1


MISTAKES = [
    # powers
    ("tanh(x)^2", "the character '^' is not accepted; write ** for a power", 7),
    ("tan^-1(x)", "a power between tan and its argument; write arctan(x)", 3),
    ("tan**-1(x)", "a power between tan and its argument; write arctan(x)", 3),
    ("tan**(-1)(x)", "a power between tan and its argument; write arctan(x)", 3),
    ("sinh^-1(x)", "a power between sinh and its argument; write arcsinh(x)", 4),
    ("sin^2 x", "a power between sin and its argument; write sin(x)**2", 3),
    ("1 + sin**2(x)", "a power between sin and its argument; write sin(x)**2", 7),
    ("tan^2(x)", "a power between tan and its argument; write (sin(x)/cos(x))**2", 3),
    ("2**x", "x in an exponent; write exp(x) for e**x and exp(x*log(2)) for 2**x", 3),
    ("e**(-x)", "x in an exponent; write exp(x) for e**x and exp(x*log(2)) for 2**x", 4),
    ("x**pi", NO_NUMBER, 3),
    ("x**(2**2)", NO_NUMBER, 4),
    ("x**(1/0)", NO_NUMBER, 4),
    # products
    ("2x", "a product without its sign; write 2*x", 1),
    ("2 tanh(x)", "a product without its sign; write 2*tanh(x)", 2),
    ("x(1+x)", "a product without its sign; write x*(...)", 1),
    ("(1+x)(2)", "a product without its sign; write (...)*(...)", 5),
    ("(1+x)x", "a product without its sign; write (...)*x", 5),
    ("tanh(x)tanh(x)", "a product without its sign; write (...)*tanh(x)", 7),
    ("2e", "a product without its sign; write 2*e", 1),
    ("1 2", "a product without its sign; write 1*2", 2),
    # names
    ("tnh(x)", f"unknown name 'tnh'; did you mean 'tanh'? ({ACCEPTED})", 0),
    ("1 + Tanh(x)", f"unknown name 'Tanh'; did you mean 'tanh'? ({ACCEPTED})", 4),
    ("qqq(x)", f"unknown name 'qqq' ({ACCEPTED})", 0),
    ("E*x", f"unknown name 'E'; did you mean 'e'? ({ACCEPTED})", 0),
    ("PI", f"unknown name 'PI'; did you mean 'pi'? ({ACCEPTED})", 0),
    ("ln(x)", "unknown name 'ln'; write log(x)", 0),
    ("1 + tan(x)", "unknown name 'tan'; write sin(x)/cos(x)", 4),
    ("GELU(x)", "unknown name 'GELU'; write x*(1 + erf(x/sqrt(2)))/2", 0),
    ("h", "unknown name 'h'; the variable is x", 0),
    ("tanh(t)", "unknown name 't'; the variable is x", 5),
    ("X", "unknown name 'X'; the variable is x", 0),
    ("np.tanh(x)", "the name np.tanh with a point is not accepted; write tanh(x)", 0),
    ("torch.relu(x)", "the name torch.relu with a point is not accepted; write relu(x)", 0),
    ("1 + torch.nn.clip(x)", "the name torch.nn.clip with a point is not accepted; write clip(x, low, high)", 4),
    ("np.pi", "the name np.pi with a point is not accepted; write pi", 0),
    ("np.log2(x)", "the name np.log2 with a point is not accepted; write log(x)/log(2)", 0),
    ("x.real", f"the name x.real with a point is not accepted; {ACCEPTED}", 0),
    # arguments
    ("tanh()", "tanh takes 1 argument, found 0; write tanh(x)", 0),
    ("x + tanh(x, 1)", "tanh takes 1 argument, found 2; write tanh(x)", 4),
    ("clip(x)", "clip takes 2 or 3 arguments, found 1; write clip(x, low, high)", 0),
    ("max(x)", "max takes 2 arguments, found 1; write max(x, y)", 0),
    ("leaky_relu(x)", "leaky_relu takes 2 arguments, found 1; write leaky_relu(x, slope)", 0),
    (
        "clip(x, 1, -1)",
        "bounds of clip that are not rising numbers; write for example clip(x, -1, 1)",
        0,
    ),
    ("clip(x, x, 1)", "bounds of clip that are not rising numbers; write for example clip(x, -1, 1)", 0),
    (
        "leaky_relu(x, tanh(x))",
        "a slope of leaky_relu that is not a number; write for example leaky_relu(x, 0.1)",
        0,
    ),
    ("tanh", "tanh without parentheses; write tanh(x)", 0),
    ("2*tanh x", "tanh without parentheses; write tanh(x)", 2),
    # parentheses, commas and operators
    ("tanh(x", "a missing parenthesis; write the ')' that closes this '('", 4),
    ("((x)", "a missing parenthesis; write the ')' that closes this '('", 0),
    ("tanh(x))", "a ')' without its '('; remove it, or write the '(' before", 7),
    ("x +", "nothing after '+'; write a number, x or a function there", 3),
    ("* x", "nothing before '*'; write a number, x or a function there", 0),
    ("x * / 2", "nothing before '/'; write a number, x or a function there", 4),
    ("()", "nothing before ')'; write a number, x or a function there", 1),
    ("max(x,)", "nothing before ')'; write a number, x or a function there", 6),
    ("0,5*x", "a comma outside of a function; write 0.5 with a point, not 0,5", 1),
    ("(x, 1)", "a comma outside of a function; write 0.5 with a point, not 0,5", 2),
    # characters
    ("|x|", "the character '|' is not accepted; write abs(x) for |x|", 0),
    ("2×x", "the character '×' is not accepted; write * for a product", 1),
    ("x − 1", "the character '−' is not accepted; write - for a minus", 2),
    ("x ÷ 2", "the character '÷' is not accepted; write / for a quotient", 2),
    ("2*π", "the character 'π' is not accepted; write pi", 2),
    ("x²", "the character '²' is not accepted; write **2 for a power", 1),
    ("√x", "the character '√' is not accepted; write sqrt(x)", 0),
    ("y = tanh(x)", "the character '=' is not accepted; write only what stands right of the sign, "
     "and arguments by position", 2),
    ("x % 2", "the character '%' is not accepted; write a quotient such as x/100", 2),
    ("x!", f"the character '!' is not accepted; {ACCEPTED}", 1),
    ("x # the variable", f"the character '#' is not accepted; {ACCEPTED}", 2),
    ("'tanh(x)'", f"the character ''' is not accepted; {NO_QUOTES}", 0),
    # numbers
    ("007", "a number with leading zeros; write 7", 0),
    ("1j", "unknown name 'j'; the variable is x", 1),
    ("x + 1000001", "a number beyond the limits; write 0 or a size from 1e-12 to 1000000", 4),
    ("1e-13", "a number beyond the limits; write 0 or a size from 1e-12 to 1000000", 0),
    ("1e31", "a number beyond the limits; write 0 or a size from 1e-12 to 1000000", 0),
    ("1e999999999", "a number beyond the limits; write 0 or a size from 1e-12 to 1000000", 0),
    ("9" * 31, "a number of 31 digits; write at most 30", 0),
    # values
    ("1/0", NO_DIVISOR, 2),
    ("0**-1", NO_DIVISOR, 0),
    ("x/(x-x)", NO_DIVISOR, 3),
    ("x/((x+1)**2 - x**2 - 2*x - 1)", NO_DIVISOR, 3),
    ("x/(sin(x)**2 + cos(x)**2 - 1)", NO_DIVISOR, 3),
    ("1 + log(0)", UNREAL, 4),
    ("sqrt(-1)", UNREAL, 0),
    ("log(-1)", UNREAL, 0),
    ("x*(-8)**(1/3)", UNREAL, 2),
    ("log(sin(4))", UNREAL, 0),
    ("exp(log(x))", OF_LOG, 0),
    ("x + exp(1000000*1000000*log(2))", OF_LOG, 4),
    ("exp(exp(exp(10)))", "a value beyond 1e100; write smaller numbers", 4),
]  # fmt: skip


@pytest.mark.parametrize(("text", "first", "column"), MISTAKES, ids=[text for text, _, _ in MISTAKES])
def test_each_mistake_is_told_with_its_mend(text, first, column):
    assert_says(text, first, column)


@pytest.mark.parametrize("text", ["", "  ", "\n\t"])
def test_an_empty_text(text):
    assert message(text) == "an empty expression; write for example tanh(x)"


def test_characters_that_take_no_column_or_two_are_escaped_so_that_the_caret_stays_below():
    one_line = "the character '{}' is not accepted; {}"
    assert_says("x\x00", one_line.format("\\x00", ACCEPTED), 1, "x\\x00")
    assert_says("x + \ud800", one_line.format("\\ud800", ACCEPTED), 4, "x + \\ud800")
    assert_says("x\n+ 1", one_line.format("\\n", "write it in one line"), 1, "x\\n+ 1")
    assert_says("漢*x", one_line.format("\\u6f22", ACCEPTED), 0, "\\u6f22*x")
    assert_says("\tx\t+ h".strip(), "unknown name 'h'; the variable is x", 5, "x\\t+ h")
    assert_says("x + e\u0301", one_line.format("\\u0301", ACCEPTED), 5, "x + e\\u0301")


def test_a_long_text_is_shown_around_the_caret():
    assert_says("x + " * 50 + "h" + " + x" * 50, "unknown name 'h'; the variable is x", 63,
         "..." + "x + " * 15 + "h" + " + x" * 9 + " + " + "...")  # fmt: skip


@pytest.mark.parametrize(
    ("text", "first", "column"),
    [
        ("__import__('os')", f"unknown name '__import__' ({ACCEPTED})", 0),
        ("().__class__", "nothing before ')'; write a number, x or a function there", 1),
        ("(1).__class__", "the character '.' is not accepted; write functions by their plain name, "
         "for example tanh(x)", 3),
        ("x.__class__.__bases__", f"the name x.__class__.__bases__ with a point is not accepted; {ACCEPTED}", 0),
        ("lambda x: x", f"the Python keyword 'lambda' is not accepted; {ACCEPTED}", 0),
        ("(x for x in x)", f"the Python keyword 'for' is not accepted; {ACCEPTED}", 3),
        ("[x for x in x]", "the character '[' is not accepted; write round parentheses, "
         "and no lists or subscripts", 0),
        ("x[0]", "the character '[' is not accepted; write round parentheses, and no lists or subscripts", 1),
        ("{x}", "the character '{' is not accepted; write round parentheses, and no lists or subscripts", 0),
        ("f'{x}'", f"the character ''' is not accepted; {NO_QUOTES}", 1),
        ("b'x'", f"the character ''' is not accepted; {NO_QUOTES}", 1),
        ('"x"', f"the character '\"' is not accepted; {NO_QUOTES}", 0),
        ("(x := 1)", f"the character ':' is not accepted; {ACCEPTED}", 3),
        ("await x", f"the Python keyword 'await' is not accepted; {ACCEPTED}", 0),
        ("yield", f"the Python keyword 'yield' is not accepted; {ACCEPTED}", 0),
        ("True", f"the Python keyword 'True' is not accepted; {ACCEPTED}", 0),
        ("x if x else 1", f"the Python keyword 'if' is not accepted; {PIECEWISE}", 2),
        ("x and 1", f"the Python keyword 'and' is not accepted; {PIECEWISE}", 2),
        ("x < 1", f"the character '<' is not accepted; {PIECEWISE}", 2),
        ("x == 1", f"the character '=' is not accepted; {PIECEWISE}", 2),
        ("x != 1", f"the character '!' is not accepted; {PIECEWISE}", 2),
        ("max(*x)", "nothing before '*'; write a number, x or a function there", 4),
        ("max(x, **x)", "nothing before '**'; write a number, x or a function there", 7),
        ("max(x, key=x)", "the character '=' is not accepted; write only what stands right of the sign, "
         "and arguments by position", 10),
        ("9**9**9**9", NO_NUMBER, 3),
        ("x**1000000", "an exponent beyond 20; write one from -20 to 20", 3),
        ("10**10000", "an exponent beyond 20; write one from -20 to 20", 4),
        ("x**-20.5", "an exponent beyond 20; write one from -20 to 20", 3),
        ("((x**20)**20)**20", "nested powers beyond 64; write smaller exponents", 10),
        ("tanh(x**20)**4", "nested powers beyond 64; write smaller exponents", 8),
        ("x**20*x**20*x**20*x**20", "a power that becomes larger than 64; write smaller exponents", 0),
        ("(1000000**16)*1000000", "a number that becomes too large; write smaller numbers or powers", 0),
    ],
)  # fmt: skip
def test_what_is_not_arithmetic_is_refused(text, first, column):
    assert_says(text, first, column)


def test_limits_on_the_text_and_the_tree():
    long = "x" + "+x" * MAX_LENGTH
    assert message(long).startswith(f"{len(long)} characters; write at most {MAX_LENGTH}\n    ...")
    assert message("(" * 10_000 + "x" + ")" * 10_000).startswith("20001 characters; write at most 500\n")
    assert_says("(" * 100 + "x" + ")" * 100, "more than 40 nested parentheses; write fewer", 40,
         "(" * 80 + "...")  # fmt: skip
    assert message("-" * 499 + "x").startswith(f"500 numbers, names and operators; write at most {MAX_NODES}\n")
    assert message("-" * MAX_DEPTH + "x").startswith(f"more than {MAX_DEPTH} nested operations; write a flatter")
    assert parse_expression("+".join(["x"] * 100)) == 100 * X
    assert message("+".join(["x"] * 101)).startswith("201 numbers, names and operators; write at most 200\n")
    assert message("leaky_relu(" * 12 + "x" + ", 0.1)" * 12).startswith("an expression that becomes too large")
    assert message("sin(" * 12 + "1+tanh(2)" + "+3)" * 12).startswith("a constant that becomes too large")


def nested(function, times, inner):
    return function.replace("@", inner) if times == 1 else function.replace("@", nested(function, times - 1, inner))


WORST = [
    *(
        nested(function, times, inner)
        for function in (
            *("tanh(@)", "max(@,x)", "min(max(@,1),x)", "abs(@-1)", "sign(@-x)", "sqrt(@+1)", "log(@)", "exp(-@)"),
            *("sin(@+1)", "sigmoid(@)", "softplus(@)", "leaky_relu(@,.1)", "clip(@,0,1)", "sin(arctan(@))", "erf(@)"),
            *("tanh(asinh(@))", "x/(x+@)", "(@+1)**2", "(@)**0.5+x", "sqrt((@)**2+1)", "x*@+1", "abs(log(@))"),
        )
        for times in (8, 19, 39)
        for inner in ("x", "2", "pi", "1/x")
    ),
    "+".join(["tanh(x)"] * 100),
    "+".join(f"tanh({k}*x)" for k in range(40)),
    "*".join(f"(x+{k})**20" for k in range(33)),
    "abs(" + "+".join(f"1/(x+{k})" for k in range(32)) + ")**0.5",
    "1/(" + "+".join(f"(x+{k})**-9" for k in range(28)) + ")",
    "cos(pi" + "/1000000" * 16 + ")",
    "log(" + "*".join(["999983"] * 16) + ")",
    "(999983*999979*999961*999959)**0.123456789",
    "-tanh(tanh((tanh(((e)/x-3-7*tanh(tanh(tanh(tanh(7+2))))*1*((7*3+pi)))**20))**(1/3)))+((tanh((1)**2)-tanh(-tanh("
    "tanh(tanh(3)))/e*tanh((e+1e6)**2)))*(tanh((tanh((tanh(tanh(7)))))**3+tanh(x)*1e6*1e6)))**7",
]


def assert_answered(text):
    """The expression or None, with the promises that hold for every text."""
    start, expression, said = time.perf_counter(), None, "none"
    try:
        expression = parse_expression(text)
    except SpecError as error:
        said = str(error)
    seconds = time.perf_counter() - start
    lines = said.split("\n")
    assert len(lines) == 1 or (len(lines) == 3 and lines[2].strip() == "^"), said
    assert all(line.isprintable() for line in lines), said
    assert seconds < SECONDS, text
    SLOWEST.append((seconds, text))
    SLOWEST.sort(reverse=True)
    del SLOWEST[1:]
    if expression is not None:
        assert isinstance(expression, sympy.Expr)
        assert expression.free_symbols <= {X}
        assert not expression.has(sympy.zoo, sympy.nan, sympy.oo, sympy.I)
    return expression


SLOWEST = []


@pytest.fixture(scope="module", autouse=True)
def slowest():
    """Shows the slowest expression of the run with ``pytest -s``."""
    yield
    print("\nslowest:", *SLOWEST)


@pytest.mark.parametrize("k", range(8))
def test_the_worst_expressions_are_answered_at_once(k):
    for text in WORST[k::8]:
        assert_answered(text)


SEEDS = [
    "tanh(x) + 0.1*x", "x*exp(-x**2/2)", "clip(1.5*x, -1, 1)", "leaky_relu(x, 0.1) - 1e-3", "sqrt(1 + x**2) - 1",
    "(x + 1)**20*(x + 2)**20", "max(sin(x), cos(x))/3", "log(1 + exp(2*x))", "sigmoid(4*x) - 1/2",
    "sign(x)*abs(x)**0.5",
] * 8 + [text for text, _, _ in MISTAKES]  # fmt: skip
PIECES = [*FUNCTIONS, *CONSTANTS, *"xxxx()()(),+-*/.^|=:[]{}'\"\\#@!%&<>~`;\n\t_ ", "**", "e5", "1e", "0.1", "20",
          "lambda", "if", "import", "__", "π", "²", "−", "\x00", "\ud800", "漢", "np.", "1e999", *string.ascii_letters,
          *string.digits]  # fmt: skip


def random_pieces(rng):
    return "".join(rng.choices(PIECES, k=rng.randint(1, 25)))


def mutation(rng):
    text = list(rng.choice(SEEDS))
    for _ in range(rng.randint(1, 4)):
        k = rng.randrange(len(text) + 1)
        text[k : k + rng.randint(0, 3)] = rng.choice([[], [rng.choice(PIECES)], text[: rng.randint(0, 8)]])
    return "".join(text)


def grammar(rng, depth):
    """An expression that is nearly always accepted by the tokens, to try what SymPy does with it."""
    if depth <= 0 or rng.random() < 0.12:
        return rng.choice(["x", "x", "x", "2", "0.1", "3", "pi", "e", "1", "1e6", "0.5", "0"])
    part = grammar(rng, depth - 1)
    kind = rng.random()
    if kind < 0.4:
        return f"{part}{rng.choice('+-**/')}{grammar(rng, depth - 2)}"
    if kind < 0.55:
        return f"({part})**{rng.choice(['2', '3', '-1', '0.5', '20', '(1/3)', '-2'])}"
    if kind < 0.6:
        return f"-({part})"
    name = rng.choice(list(FUNCTIONS))
    rest = {"clip": ",-1,2", "leaky_relu": ",.1"}.get(name, f",{grammar(rng, depth - 2)}")
    return f"{name}({part}{rest if FUNCTIONS[name].least > 1 else ''})"


SHARES = {"pieces": (0.65, random_pieces), "mutations": (0.24, mutation)}
SHARES["grammar"] = (0.1, lambda rng: grammar(rng, rng.randint(2, 10)))


@pytest.mark.parametrize("kind", SHARES)
def test_random_texts_give_an_expression_or_a_message(kind):
    share, text = SHARES[kind]
    rng = random.Random(kind)
    accepted = sum(assert_answered(text(rng)) is not None for _ in range(int(FUZZ * share)))
    assert accepted > 0.01 * FUZZ * share or kind == "pieces"


@settings(max_examples=FUZZ // 100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=30).map("".join)))
def test_any_text_gives_an_expression_or_a_message(text):
    assert_answered(text)
