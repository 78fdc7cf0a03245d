"""Low-rank networks with nonlinear neurons, for the tests of the simulator."""

from __future__ import annotations

import numpy as np
import sympy
from sympy import MatrixSymbol

from symlow.network import Carrier, Network, Projection, Vector
from symlow.nonlinearity import Nonlinearity

X = sympy.Symbol("x", real=True)
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


def low_rank(phi, rank=1, inputs=1, outputs=1, readout="after_update", bias=False, ones=False, frozen=()):
    """The network of vectors m, u, v, z, and where asked for a bias vector b and a frozen vector of ones."""
    x, a = MatrixSymbol("x", inputs, 1), MatrixSymbol("a", rank, 1)
    columns = {"m": inputs, "u": rank, "v": rank, "z": outputs}
    carriers = [Carrier("m", x), Carrier("u", a)]
    if bias:
        columns["b"] = 1
        carriers.append(Carrier("b", sympy.Identity(1)))
    if ones:
        columns["one"] = 1
    return Network(
        vectors=tuple(
            Vector(name, n, sympy.Integer(name not in (*frozen, "one")), "of a test") for name, n in columns.items()
        ),
        inputs=x,
        carriers=tuple(carriers),
        projections=(Projection(a, "v"),),
        output=Projection(MatrixSymbol("y", outputs, 1), "z"),
        nonlinearity=nonlinearity(phi),
        dt=sympy.Rational(1, 5),
        tau=sympy.Integer(1),
        readout=readout,
    )


def columns_of(network):
    return sum(vector.columns for vector in network.vectors)


def trials_of(network, batch=2, steps=12, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, steps, network.inputs.shape[0]))
    y = rng.standard_normal((batch, steps, network.output.symbol.shape[0]))
    return x, y, (rng.random(y.shape) < 0.7) * rng.random(y.shape)
