"""Low-rank networks by their sizes, written in the language of equations like any other.

    tau dh/dt = -h + U a + M x + B,      a = (1/N) V^T phi(h),      y = (1/N) Z^T phi(h)

M has a column for each input, U and V one for each rank, Z one for each output; B is the bias of the neurons, where
they have one (math.md, section 1).
"""

from __future__ import annotations

from dataclasses import replace

import sympy
from sympy import MatrixSymbol

from symlow.equations import Equations, N, Population, State, Vector, phi
from symlow.errors import SpecError, listing, nearest
from symlow.expressions import exact
from symlow.network import Network
from symlow.nonlinearity import nonlinearity
from symlow.span import find_network
from symlow.spec import Spec

ONES = "one"
"""Name of the vector of ones."""

ROLES = {
    "m": "input vectors: carry the filtered input",
    "u": "output side of the recurrent connectivity: carry the recurrent activity",
    "b": "bias: carries a constant drive",
    "v": "input side of the recurrent connectivity: select what is fed back",
    "z": "read-out vectors: select the output",
}


def low_rank(rank: int, inputs: int, outputs: int, bias: bool = False, means: bool = False) -> Equations:
    """Return the equations of a low-rank network of these sizes."""
    columns = {"m": inputs, "u": rank, **({"b": 1} if bias else {}), "v": rank, "z": outputs}
    vectors = [Vector(name, n, sympy.Integer(1), ROLES[name]) for name, n in columns.items()]
    if means:
        vectors.append(Vector(ONES, 1, sympy.Integer(0), "ones: its overlap with a vector is that vector's mean"))
    matrix = {name: MatrixSymbol(name, N, n) for name, n in columns.items()}
    h, x, a = MatrixSymbol("h", N, 1), MatrixSymbol("x", inputs, 1), MatrixSymbol("a", rank, 1)
    right = -h + matrix["u"] * a + matrix["m"] * x
    if bias:
        right = right + matrix["b"]
    return Equations(
        vectors=tuple(vectors),
        inputs=x,
        states=(State(h, right),),
        output=MatrixSymbol("y", outputs, 1),
        readout=matrix["z"].T * phi(h) / N,
        definitions=((a, matrix["v"].T * phi(h) / N),),
        populations=(Population(ones=ONES if means else None),),
    )


def build_network(spec: Spec) -> Network:
    """Return the network of a specification.

    Raises:
        SpecError: if ``learning.frozen`` names a vector that the network does not have, or the nonlinearity is even
            and vectors have no means.
    """
    size = spec.network
    phi_of_network = nonlinearity(size.nonlinearity)
    if size.rank is None:
        equations = size.equations()
    else:
        equations = low_rank(size.rank, size.inputs, size.outputs, size.bias, size.means)
    ones = [population.ones for population in equations.populations]
    names = [vector.name for vector in equations.vectors if vector.name not in ones]
    rates = dict.fromkeys(names, 1.0) | dict(spec.learning.rates) | dict.fromkeys(spec.learning.frozen, 0.0)
    for name in rates:
        if name not in names:
            key = "frozen" if name in spec.learning.frozen else "rates"
            raise SpecError(
                f"learning.{key}: unknown vector {name!r}{nearest(name, names)}; accepted: {listing(names)}"
            )
    vectors = (replace(v, rate=exact(rates[v.name])) if v.name in rates else v for v in equations.vectors)
    equations = replace(equations, vectors=tuple(vectors))
    if phi_of_network.gain == 0 and not any(ones):
        raise SpecError(
            f"network.nonlinearity: {size.nonlinearity!r} is even, so that vectors of mean zero project nothing of it; "
            "accepted: means = true, or a nonlinearity with an odd part"
        )
    return find_network(equations, phi_of_network, exact(size.dt), exact(size.tau), size.readout)
