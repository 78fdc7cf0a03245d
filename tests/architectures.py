"""Networks of many kinds as equations, which tests share: by name a function of the rank that gives the equations."""

from __future__ import annotations

from collections.abc import Callable

import sympy
from sympy import HadamardProduct, ImmutableDenseMatrix, Lambda, MatrixExpr, MatrixSymbol

from symlow.architectures import low_rank
from symlow.equations import Equations, N, Population, State, Vector, phi

HALF = sympy.Rational(1, 2)
X, Y = MatrixSymbol("x", 1, 1), MatrixSymbol("y", 1, 1)
H = MatrixSymbol("h", N, 1)


def vectors(population: str = "", frozen: tuple[str, ...] = (), **columns: int) -> tuple[Vector, ...]:
    return tuple(Vector(name, n, sympy.Integer(name not in frozen), "", population) for name, n in columns.items())


def matrices(*blocks: Vector, size: sympy.Symbol = N) -> tuple[MatrixSymbol, ...]:
    return tuple(MatrixSymbol(block.name, size, block.columns) for block in blocks)


def sigmoid(column: MatrixExpr) -> MatrixExpr:
    s = sympy.Symbol("s")
    return column.applyfunc(Lambda(s, 1 / (1 + sympy.exp(-s))))


def conventional(rank: int = 1) -> Equations:
    return low_rank(rank, 1, 1)


def bias(rank: int = 1) -> Equations:
    return low_rank(rank, 1, 1, bias=True)


def bias_and_means(rank: int = 1) -> Equations:
    return low_rank(rank, 1, 1, bias=True, means=True)


def rate_form(rank: int = 1) -> Equations:
    P = vectors(m=1, u=rank, v=rank, z=1)
    M, U, V, Z = matrices(*P)
    r = MatrixSymbol("r", N, 1)
    return Equations(P, X, (State(r, -r + phi(U * V.T * r / N + M * X)),), Y, Z.T * r / N)


def rate_form_from_an_initial_state(rank: int = 1) -> Equations:
    P = vectors(m=1, u=rank, b=1, v=rank, z=1)
    M, U, B, V, Z = matrices(*P)
    r = MatrixSymbol("r", N, 1)
    return Equations(P, X, (State(r, -r + phi(U * V.T * r / N + M * X), initial=B),), Y, Z.T * r / N)


def discrete_time(rank: int = 1) -> Equations:
    P = vectors(m=1, u=rank, v=rank, z=1)
    M, U, V, Z = matrices(*P)
    return Equations(P, X, (State(H, U * V.T * phi(H) / N + M * X, tau=None),), Y, Z.T * phi(H) / N)


def initial_state(rank: int = 1) -> Equations:
    P = vectors(m=1, u=rank, b=1, v=rank, z=1)
    M, U, B, V, Z = matrices(*P)
    return Equations(P, X, (State(H, -H + U * V.T * phi(H) / N + M * X, initial=B),), Y, Z.T * phi(H) / N)


def output_feedback(rank: int = 1) -> Equations:
    P = vectors(m=1, u=rank, f=1, v=rank, z=1)
    M, U, F, V, Z = matrices(*P)
    return Equations(P, X, (State(H, -H + U * V.T * phi(H) / N + M * X + F * Y),), Y, Z.T * phi(H) / N)


def tied_vectors(rank: int = 1) -> Equations:
    P = vectors(m=1, u=rank, z=1)
    M, U, Z = matrices(*P)
    return Equations(P, X, (State(H, -H + U * U.T * phi(H) / N + M * X),), Y, Z.T * phi(H) / N)


def mixing(rank: int = 1) -> Equations:
    """One recurrent activity more than the rank says, mixed by a matrix of numbers."""
    n = rank + 1
    P = vectors(m=1, u=n, v=n, z=1)
    M, U, V, Z = matrices(*P)
    matrix = ImmutableDenseMatrix([[sympy.Rational(n - abs(i - j), n) * (-1) ** j for j in range(n)] for i in range(n)])
    a = MatrixSymbol("a", n, 1)
    state = State(H, -H + U * matrix * a + M * X)
    return Equations(P, X, (state,), Y, Z.T * phi(H) / N, ((a, V.T * phi(H) / N),))


def two_populations(rank: int = 1) -> Equations:
    """Excitatory and inhibitory neurons, four to one, with means; both feed the same recurrent activities."""
    e = Population("e", sympy.Rational(4, 5), "onee")
    i = Population("i", sympy.Rational(1, 5), "onei")
    P_e = vectors("e", ("onee",), me=1, ue=rank, ve=rank, ze=1, onee=1)
    P_i = vectors("i", ("onei",), mi=1, ui=rank, vi=rank, onei=1)
    M_e, U_e, V_e, Z_e, _ = matrices(*P_e, size=e.size)
    M_i, U_i, V_i, _ = matrices(*P_i, size=i.size)
    h_e, h_i, a = MatrixSymbol("he", e.size, 1), MatrixSymbol("hi", i.size, 1), MatrixSymbol("a", rank, 1)
    states = (
        State(h_e, -h_e + U_e * a + M_e * X, population="e"),
        State(h_i, -h_i + U_i * a + M_i * X, tau=HALF, population="i"),
    )
    recurrent = V_e.T * phi(h_e) / N + V_i.T * phi(h_i) / N
    return Equations((*P_e, *P_i), X, states, Y, Z_e.T * phi(h_e) / N, ((a, recurrent),), (e, i))


def hadamard_gate(rank: int = 1) -> Equations:
    """Recurrent activities that multiply one another."""
    P = vectors(m=1, u=rank, v=rank, g=rank, z=1)
    M, U, V, G, Z = matrices(*P)
    product = HadamardProduct(V.T * phi(H) / N, G.T * phi(H) / N)
    return Equations(P, X, (State(H, -H + U * product + M * X),), Y, Z.T * phi(H) / N)


def sigmoid_gate(rank: int = 1) -> Equations:
    """A gate of one entry on all recurrent activities, and another on the input."""
    P = vectors(m=1, u=rank, v=rank, g=1, z=1)
    M, U, V, G, Z = matrices(*P)
    a, s = MatrixSymbol("a", rank, 1), MatrixSymbol("s", 1, 1)
    state = State(H, -H + U * a * s + M * X * s)
    definitions = ((a, V.T * phi(H) / N), (s, sigmoid(G.T * phi(H) / N)))
    return Equations(P, X, (state,), Y, Z.T * phi(H) / N, definitions)


def adaptation(rank: int = 1) -> Equations:
    """A second, slower state in the same span."""
    P = vectors(m=1, u=rank, v=rank, z=1)
    M, U, V, Z = matrices(*P)
    w = MatrixSymbol("w", N, 1)
    states = (
        State(H, -H + U * V.T * phi(H) / N + M * X - 2 * w),
        State(w, -w + H, tau=sympy.Integer(5)),
    )
    return Equations(P, X, states, Y, Z.T * phi(H) / N)


def closed_loop(rank: int = 1) -> Equations:
    """A double integrator that the network steers: linear, discrete time, sums without 1/N (math.md, section 6)."""
    P = vectors(m=1, u=rank, v=rank, z=1, frozen=("m",))
    M, U, V, Z = matrices(*P)
    e, c, x = MatrixSymbol("e", 2, 1), MatrixSymbol("c", 1, 1), MatrixSymbol("x", 2, 1)
    double_integrator = ImmutableDenseMatrix([[1, 1], [0, 1]])
    force, position = ImmutableDenseMatrix([0, 1]), ImmutableDenseMatrix([[1, 0]])
    states = (
        State(H, U * V.T * H + M * position * e, tau=None),
        State(e, double_integrator * e + force * c + x, tau=None, population=None),
    )
    return Equations(P, x, states, Y, position * e, ((c, Z.T * H),))


def two_areas(rank: int = 1) -> Equations:
    """Two areas in a chain: the first sees the input and drives the second, which is read out."""
    a, b = Population("a", HALF), Population("b", HALF)
    P_a = vectors("a", ma=1, ua=rank, va=rank, ga=1)
    P_b = vectors("b", fb=1, ub=rank, vb=rank, zb=1)
    M, U_a, V_a, G = matrices(*P_a, size=a.size)
    F, U_b, V_b, Z = matrices(*P_b, size=b.size)
    h_a, h_b = MatrixSymbol("ha", a.size, 1), MatrixSymbol("hb", b.size, 1)
    states = (
        State(h_a, -h_a + U_a * V_a.T * phi(h_a) / N + M * X, population="a"),
        State(h_b, -h_b + U_b * V_b.T * phi(h_b) / N + F * (G.T * phi(h_a) / N), population="b"),
    )
    return Equations((*P_a, *P_b), X, states, Y, Z.T * phi(h_b) / N, populations=(a, b))


ARCHITECTURES: dict[str, Callable[..., Equations]] = {
    "conventional": conventional,
    "bias": bias,
    "bias and means": bias_and_means,
    "rate form": rate_form,
    "rate form from an initial state": rate_form_from_an_initial_state,
    "discrete time": discrete_time,
    "initial state": initial_state,
    "output feedback": output_feedback,
    "tied vectors": tied_vectors,
    "mixing": mixing,
    "two populations": two_populations,
    "hadamard gate": hadamard_gate,
    "sigmoid gate": sigmoid_gate,
    "adaptation": adaptation,
    "closed loop": closed_loop,
    "two areas": two_areas,
}

LINEAR = ("closed loop",)
"""Those that make sense with a linear phi only: sums instead of averages."""
