"""Networks written by hand as equations, with other vectors than m, u, v, z, for the tests."""

from __future__ import annotations

import sympy

from symlow.equation_reader import parse_equations
from symlow.equations import Population, Vector
from symlow.nonlinearity import nonlinearity
from symlow.span import find_network


def by_hand(lines, vectors, inputs=1, phi="linear", readout="after_update", ones=None):
    """The network of equations; vectors are (name, columns, trained)."""
    equations = parse_equations(
        lines,
        [Vector(name, columns, sympy.Integer(trained), "a test vector") for name, columns, trained in vectors],
        inputs,
        populations=(Population(ones=ones),),
    )
    return find_network(equations, nonlinearity(phi), sympy.Rational(1, 20), sympy.Integer(1), readout)


def hand_made(name, phi="linear", readout="after_update"):
    """One of the networks of ``EVERY``, which has two inputs."""
    lines, vectors, *ones = EVERY[name]
    return by_hand(lines, vectors, 2, phi, readout, ones=ones[0] if ones else None)


ONE = ("one", 1, False)
INPUT, LOOP, READ = ("m", 2, True), ("u", 1, True), ("z", 1, True)
OUT = "y = Z.T*phi(h)/N"

LINEAR = {
    # One block is carrier and reader: symmetric connectivity.
    "tied": (
        ("h' = -h + INP*x + REC*a", "a = REC.T*phi(h)/N", "y = OUT.T*phi(h)/N"),
        (("inp", 2, True), ("rec", 2, True), ("out", 1, True)),
    ),
    # The recurrent vectors come before the input vectors, and a second projection drives a second carrier.
    "two loops": (
        ("h' = -h + U*a + 2*F*b + M*x", "a = V.T*phi(h)/N", "b = G.T*phi(h)/N", OUT),
        (("u", 2, True), ("f", 1, True), ("m", 2, False), ("v", 2, True), ("g", 1, True), ("z", 1, True)),
    ),
    # Names of one letter that would run into one another, were they joined without a mark.
    "names": (
        ("h' = -h + A*x + BA*w", "w = B.T*phi(h)/N", "y = BB.T*phi(h)/N"),
        (("a", 2, True), ("ba", 1, True), ("b", 1, True), ("bb", 1, True)),
    ),
    # The read-out vector projects the activity that is fed back.
    "output feedback": (("h' = -h + M*x + F*y", OUT), (INPUT, ("f", 1, True), READ)),
}
EVERY = {
    **LINEAR,
    "nothing fed back": (("h' = -h + M*x", OUT), (INPUT, READ)),
    "bias alone": (("h' = -h + C", OUT), (("c", 1, True), READ)),
    "coupled loops": (
        ("h' = -h + 3*U*a + 2*F*b", "a = V.T*phi(h)/N", "b = G.T*phi(h)/N", OUT),
        (("u", 2, True), ("f", 1, True), ("v", 2, True), ("g", 1, True), READ),
    ),
    "means": (("h' = -h + M*x + U*b", "b = V.T*phi(h)/N", OUT), (INPUT, LOOP, ("v", 1, True), READ, ONE), "one"),
    "means, tied": (("h' = -h + M*x + U*y", "y = U.T*phi(h)/N"), (INPUT, LOOP, ONE), "one"),
    "mean activity fed back": (
        ("h' = -h + M*x + U*b", "b = ONE.T*phi(h)/N", OUT),
        (INPUT, LOOP, READ, ONE),
        "one",
    ),
    "mean activity read out": (
        ("h' = -h + M*x + U*b", "b = V.T*phi(h)/N", "y = ONE.T*phi(h)/N"),
        (INPUT, LOOP, ("v", 1, True), ONE),
        "one",
    ),
}
