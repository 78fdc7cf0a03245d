"""Low-rank networks with nonlinear neurons, for the tests of the simulator."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import sympy
from sympy import MatrixSymbol

from symlow.equations import Equations, N, Population, State, Vector, phi
from symlow.nonlinearity import Nonlinearity
from symlow.span import find_network

X = sympy.Symbol("x", real=True)
DT, TAU = sympy.Rational(1, 5), sympy.Integer(1)
SMOOTH = {
    "tanh": sympy.tanh(X),
    "erf": sympy.erf(sympy.sqrt(sympy.pi) * X / 2),
    "softplus": sympy.log(1 + sympy.exp(X)),
    "arctan": sympy.atan(X),
    "tanh and linear": sympy.tanh(X) + X / 10,
    "logistic": 1 / (1 + sympy.exp(-X)),
}
KINKED = {
    "relu": sympy.Max(0, X),
    "hard tanh": sympy.Min(sympy.Max(X, -1), 1),
    "elu": sympy.Piecewise((X, X > 0), (sympy.exp(X) - 1, True)),
    "absolute value": sympy.Abs(X),
}


def nonlinearity(phi):
    """The simulator reads phi alone."""
    return Nonlinearity("of a test", phi)


def vector_blocks(columns, frozen=(), populations=None):
    """Vectors with these names and numbers of columns."""
    return tuple(
        Vector(name, n, sympy.Integer(name not in frozen), "of a test", (populations or {}).get(name, ""))
        for name, n in columns.items()
    )


def network(equations, function, readout="after_update"):
    """What the simulator reads of a network, which need not close."""
    return SimpleNamespace(equations=equations, nonlinearity=nonlinearity(function), dt=DT, tau=TAU, readout=readout)


def low_rank(function, rank=1, inputs=1, outputs=1, readout="after_update", bias=False, ones=False, frozen=()):
    """The network of vectors m, u, v, z, and where asked for a bias vector b and a frozen vector of ones."""
    x, a, h = MatrixSymbol("x", inputs, 1), MatrixSymbol("a", rank, 1), MatrixSymbol("h", N, 1)
    columns = (
        {"m": inputs, "u": rank, "v": rank, "z": outputs} | ({"b": 1} if bias else {}) | ({"one": 1} if ones else {})
    )
    P = {name: MatrixSymbol(name, N, n) for name, n in columns.items()}
    right = -h + P["u"] * a + P["m"] * x
    equations = Equations(
        vectors=vector_blocks(columns, (*frozen, "one")),
        inputs=x,
        states=(State(h, right + P["b"] if bias else right),),
        output=MatrixSymbol("y", outputs, 1),
        readout=P["z"].T * phi(h) / N,
        definitions=((a, P["v"].T * phi(h) / N),),
        populations=(Population(ones="one" if ones else None),),
    )
    return find_network(equations, nonlinearity(function), DT, TAU, readout)


def columns_of(network):
    return sum(vector.columns for vector in network.equations.vectors)


def trials_of(network, batch=2, steps=12, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, steps, int(network.equations.inputs.shape[0])))
    y = rng.standard_normal((batch, steps, int(network.equations.output.shape[0])))
    return x, y, (rng.random(y.shape) < 0.7) * rng.random(y.shape)
