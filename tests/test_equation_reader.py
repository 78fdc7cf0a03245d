"""Mistakes in equations that are typed: each is one line, with a caret under the place, that says what to write."""

from __future__ import annotations

import pytest

from symlow.equation_reader import parse_equations
from symlow.equations import Vector
from symlow.errors import SpecError

LINES = ("h' = -h + U*hadamard(s, a) + M*x", "5*c' = -c + G.T*phi(h)/N", "a = V.T*phi(h)/N", "s = sigmoid(c)")
READ = "y = Z.T*phi(h)/N"
VECTORS = [Vector(name, columns, 1, "") for name, columns in (("m", 1), ("u", 2), ("v", 2), ("g", 2), ("z", 1))]

MISTAKES = [
    ("U*hadamard(s, a)", "U*s*a", "a product of shapes (N, 1) and (2, 1); write brackets", "U*s*a"),
    ("M*x", "M*h", "a product of shapes (N, 1) and (N, 1); neuron by neuron it does not close", "M*h"),
    ("hadamard(s, a)", "(s*a)", "a product of shapes (2, 1) and (2, 1); write hadamard(a, b)", "s*a"),
    ("V.T*phi(h)/N", "V*phi(h)/N", "a product of shapes (N, 2) and (N, 1); write the transpose", "V*phi(h)"),
    ("hadamard(s, a)", "hadamard(h, a)", "found (N, 1) and (2, 1); write hadamard(a, b); entries of a", "h"),
    ("hadamard(s, a)", "hadamard(s, x)", "of equal shape, found (2, 1) and (1, 1)", "hadamard(s, x)"),
    ("a = V.T", "a = a + V.T", "a on both sides of a definition; write a' = ... for a derivative", "a + V.T"),
    ("M*x", "W*h", "write it as vectors of few columns, U*V.T/N); known: x, M, U, V, G, Z, h, c, a, s", "W"),
    ("M*x", "M*xx", "unknown name 'xx'; did you mean 'x'?", "xx"),
    ("M*x", "M@x", "the character '@' is not accepted; write * for a product of matrices", "@x"),
    ("V.T", "V^T", "the character '^' is not accepted; write V.T for a transpose", "^T"),
    ("s = sigmoid(c)", "s = relu(c)", "unknown function 'relu'", "relu(c)"),
    ("s = sigmoid(c)", "s = c + h", "a sum of shapes (2, 1) and (N, 1); write a sum of equal shapes", "c + h"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message", "place"), MISTAKES)
def test_a_mistake_is_named_where_it_stands(old, new, message, place):
    (right,) = [line for line in LINES if old in line]
    wrong = right.replace(old, new)
    with pytest.raises(SpecError) as error:
        parse_equations([*(wrong if line == right else line for line in LINES), READ], VECTORS, 1, environment={"c": 2})
    said, shown, caret = str(error.value).splitlines()
    assert message in said
    assert shown.strip() == wrong
    assert shown[caret.index("^") :].startswith(place)


def test_a_definition_that_comes_too_late():
    with pytest.raises(SpecError, match="s is used before its definition; write its line first"):
        parse_equations([LINES[0], "a = hadamard(s, V.T*phi(h)/N)", LINES[3], READ], VECTORS, 1)
