"""Conserved quantities: counts, Lax pairs, frozen vectors, rates, tying; against brute force and integrated flows."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
import sympy
from scipy.integrate import solve_ivp

import symlow
from symlow.equations import Vector
from symlow.errors import ArrayError, InvariantError
from symlow.invariants import lax_pair
from symlow.invariants.invariant import evaluate
from symlow.invariants.null_space import null_space
from symlow.invariants.orbits import independent, most_invariants
from symlow.invariants.polynomials import evaluated
from symlow.invariants.search import prove
from symlow.printing.text import conserved
from symlow.tasks import build_loss
from symlow.views import DerivedSystem
from tests.conftest import EXPONENTIAL, compiled, derived, filters, states
from tests.test_latex import compile_latex
from tests.test_own_network import derivation as own

TRIALS = {"kind": "trials"}
DERIVATIONS = Path(__file__).parents[1] / "derivations" / "beyond_the_papers"
FROZEN = [frozen for n in range(5) for frozen in itertools.combinations("muvz", n)]
PRIME = 1_000_003


def with_rates(**rates):
    """The linear network of rank 1 with the given learning rates."""
    d = derived()
    vectors = tuple(Vector(v.name, v.columns, sympy.Rational(rates.get(v.name, 1)), v.role) for v in d.network.vectors)
    equations = dataclasses.replace(d.network.equations, vectors=vectors)
    network = dataclasses.replace(d.network, equations=equations)
    return DerivedSystem(d.spec, network, build_loss(d.spec))


CASES = {
    "linear": lambda: derived(),
    "erf": lambda: derived(TRIALS, nonlinearity="erf"),
    "frozen m": lambda: derived(frozen=("m",)),
    "frozen v": lambda: derived(frozen=("v",)),
    "frozen u, z": lambda: derived(frozen=("u", "z")),
    "frozen v, z": lambda: derived(frozen=("v", "z")),
    "frozen m, u, v": lambda: derived(frozen=("m", "u", "v")),
    "erf, frozen u": lambda: derived(TRIALS, nonlinearity="erf", frozen=("u",)),
    "rates": lambda: with_rates(m="1/2", u=3, z="5/7"),
    "rates, frozen m": lambda: with_rates(m=0, u=3, z="5/7"),
    "two inputs": lambda: derived(inputs=2, task=filters(1, 2, (EXPONENTIAL,))),
    "tied": lambda: own("tied"),
    "two loops": lambda: own("two loops"),
    "output feedback": lambda: own("output feedback"),
}


def brute_force(d, degree):
    """The number of conserved polynomials, homogeneous of a degree, that grad f . G = 0 at random points leaves.

    Another way: no symmetry, no lifting, no expansion; conditions at points instead of coefficients, from the metric.
    """
    n = len(d.overlaps)
    monomials = list(itertools.combinations_with_replacement(range(n), degree))
    symbols = [d.symbols[name] for name in d.overlaps]
    unit = sympy.ilcm(*(rate.q for rate in d.learning.rates))
    metric = sympy.lambdify(symbols, (sympy.Matrix(d.metric) * unit).tolist(), "math")
    rng = np.random.default_rng(5)
    echelon = np.zeros((0, len(monomials)), dtype=np.int64)
    while True:
        points = rng.integers(0, PRIME, (len(monomials) // 2 + 2, n))
        rows = [condition for point in points for condition in conditions(metric, monomials, [int(v) for v in point])]
        more = eliminated(np.concatenate([echelon, np.array(rows, dtype=np.int64) % PRIME]))
        if len(more) == len(echelon):
            return len(monomials) - len(more)
        echelon = more


def conditions(metric, monomials, point):
    G = np.array(metric(*point), dtype=object) % PRIME
    gradients = np.zeros((len(monomials), len(point)), dtype=object)
    for k, monomial in enumerate(monomials):
        for place, variable in enumerate(monomial):
            rest = [point[other] for other in monomial[:place] + monomial[place + 1 :]]
            gradients[k, variable] += int(np.prod(rest, dtype=object)) % PRIME
    return (gradients.dot(G) % PRIME).T.astype(np.int64)


def eliminated(matrix):
    """A basis of the rows modulo the prime, in echelon form."""
    done = 0
    for column in range(matrix.shape[1]):
        candidates = [k for k in range(done, len(matrix)) if matrix[k, column]]
        if candidates:
            matrix[[done, candidates[0]]] = matrix[[candidates[0], done]]
            matrix[done] = matrix[done] * pow(int(matrix[done, column]), -1, PRIME) % PRIME
            matrix[done + 1 :] = (matrix[done + 1 :] - matrix[done + 1 :, [column]] * matrix[done]) % PRIME
            done += 1
    return matrix[:done]


@pytest.mark.parametrize(("name", "degree"), [
    *((name, 2) for name in CASES if name not in ("two loops", "tied", "two inputs")),
    ("tied", 1), ("two inputs", 1), ("two loops", 1), ("linear", 3), ("erf", 3),
])  # fmt: skip
def test_counts_are_those_of_brute_force(name, degree):
    d = CASES[name]()
    assert d.invariants(degree).counts[-1] == brute_force(d, degree)


def test_published_and_claimed_counts():
    assert derived().invariants(4).dimensions == (1, 3, 6, 11)
    assert [g.name for g in derived().invariants(4).generators] == [
        "tr J Sigma", "tr (J Sigma)^2", "tr (J Sigma)^3", "tr (J Sigma)^4",
    ]  # fmt: skip
    assert str(derived().invariants(1).generators[0].expression) == "sigma_m_m + sigma_u_u - sigma_v_v - sigma_z_z"
    erf = derived(TRIALS, nonlinearity="erf").invariants(3)
    assert (erf.dimensions, erf.generators, erf.most, erf.is_complete) == ((0, 0, 0), (), 0, True)
    assert "none up to degree 3" in str(erf)
    assert "No smooth quantity" in str(erf)


def test_rank_2_has_the_traces_and_nothing_more():
    found = derived(rank=2).invariants(3)
    assert found.dimensions == (1, 3, 6)
    assert [g.name for g in found.generators] == ["tr J Sigma", "tr (J Sigma)^2", "tr (J Sigma)^3"]
    assert (found.independent, found.most) == (3, 6)


@pytest.mark.parametrize("frozen", FROZEN)
def test_closed_forms_are_all_that_is_conserved(frozen):
    d = derived(frozen=frozen)
    polynomials = [invariant.polynomial for invariant in d.conserved]
    assert independent(d.vector_fields, polynomials) == len(d.conserved) == most_invariants(d.vector_fields)
    assert d.conserves_nothing_else


@pytest.mark.parametrize("name", CASES)
def test_generators_are_conserved_by_sympy_too(name):
    d = CASES[name]()
    symbols = [d.symbols[overlap] for overlap in d.overlaps]
    most = 4 if len(symbols) <= 15 else 2
    generators = [*d.invariants(2).generators, *(i for i in d.conserved if i.degree <= most)]
    for invariant in generators:
        gradient = sympy.Matrix([[sympy.diff(invariant.expression, symbol) for symbol in symbols]])
        assert (gradient * d.metric).applyfunc(sympy.expand) == sympy.zeros(1, len(d.visible)), invariant.name


def test_unequal_rates_weight_the_signs():
    d = with_rates(m="1/2", u=3, z="5/7")
    first = d.conserved[0]
    m, u, v, z = (d.symbols[name] for name in ("m_m", "u_u", "v_v", "z_z"))
    assert first.name == "tr J D^-1 Sigma"
    assert first.expression == 2 * m + u / 3 - v - sympy.Rational(7, 5) * z
    assert d.invariants(3).dimensions == (1, 3, 6)
    assert "[SD,\\,\\Lambda]" in d.latex()


def test_frozen_vectors_leave_the_part_orthogonal_to_them():
    d = derived(frozen=("m",))
    mm, mu, vm, zm, uu, vv, zz = (d.symbols[n] for n in ("m_m", "m_u", "v_m", "z_m", "u_u", "v_v", "z_z"))
    first = d.conserved[0]
    assert first.kind == "Lax pair"
    assert sympy.expand(first.expression - (mm * uu - mu**2 - (mm * vv - vm**2) - (mm * zz - zm**2))) == 0
    assert "det" not in d.conserved[-1].name
    assert d.conserved[-1].kind == "frozen"


def test_tied_vectors_conserve_nothing():
    # The recurrent vector reads and carries: its own norms are visible, and no signs alternate along them.
    assert own("tied").invariants(2).counts == (0, 0)
    assert own("tied").conserved == ()
    assert own("tied").invariants(1).most == 0


def test_components_without_signs_keep_volumes():
    # Three vectors, each pair with a visible overlap, and no visible norm.
    d = derived(frozen=("m",))
    index = d.learning.index
    visible = tuple(index[name] for name in ("v_u", "z_u", "z_v", "z_m"))
    flow = type(d.learning)(index, visible, tuple(o for o in index.all if o not in visible))
    fields = type(d.vector_fields)(flow)
    (volume, norm) = lax_pair.closed_forms(fields)
    assert (volume.name, norm.name) == ("det[m u v z]", "m_m")
    assert fields.moving(volume.polynomial) == ()
    assert most_invariants(fields) == 2


def test_two_components_have_their_own_lax_pairs_and_mixed_words():
    d = derived()
    index = d.learning.index
    visible = (index["z_m"], index["v_u"])
    fields = type(d.vector_fields)(type(d.learning)(index, visible, tuple(o for o in index.all if o not in visible)))
    assert [i.name for i in lax_pair.closed_forms(fields)] == [
        "tr J1 Sigma", "tr (J1 Sigma)^2", "tr J2 Sigma", "tr (J2 Sigma)^2",
    ]  # fmt: skip
    A, B = sympy.diag(1, 0, 0, -1), sympy.diag(0, 1, -1, 0)  # of the columns m, u, v, z
    gram = sympy.Matrix(4, 4, lambda i, j: index.at(i, j).symbol)
    word = sympy.Poly(sympy.expand((A * gram * B * gram).trace()), *(o.symbol for o in fields.overlaps))
    polynomial = {
        tuple(k for k, power in enumerate(powers) for _ in range(power)): int(coefficient)
        for powers, coefficient in word.terms()
    }
    assert fields.moving(polynomial) == ()


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("erf", "tied", "erf, frozen u")])
def test_conserved_along_an_integrated_flow(name):
    d = CASES[name]()
    module = d.compile()
    start = states(module, 1)[0]
    end = solve_ivp(module.rhs, (0, 1.5), start, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    assert np.abs(end - start).max() > 0.05
    for invariant in d.conserved:
        assert abs(invariant.value(end) - invariant.value(start)) < 1e-9 * max(1, invariant.scale(start)), (
            invariant.name
        )


@pytest.mark.parametrize("name", ["linear", "frozen m", "frozen v, z", "rates"])
def test_a_step_changes_them_at_second_order(name):
    d = CASES[name]()
    module = d.compile()
    start = states(module, 1)[0]
    for invariant in d.conserved:
        steps = [abs(invariant.value(module.step(start, lr)) - invariant.value(start)) for lr in (4e-3, 2e-3)]
        assert invariant.is_kept_by_steps == (name == "frozen v, z" or invariant.kind == "frozen")
        if invariant.is_kept_by_steps:
            assert max(steps) < 1e-15
        else:
            assert np.log2(steps[0] / steps[1]) == pytest.approx(2, abs=0.1), invariant.name


def test_learning_runs_tell_the_drift(tmp_path):
    d, start = derived(), states(compiled(), 2)
    step = [symlow.learn(d, start, lr, n) for lr, n in ((0.004, 50), (0.002, 100))]
    flow = symlow.learn(d, start[0], 0.004, 50, method="flow")
    assert step[0].drift.shape == (51, 2, 4)
    drifts = [np.abs(run.drift[-1]) for run in step]
    assert np.log2(drifts[0] / drifts[1]) == pytest.approx(np.ones((2, 4)), abs=0.1)
    assert 0 < np.abs(flow.drift).max() < 1e-9
    with np.load(flow.save(tmp_path / "run.npz")) as saved:
        assert list(saved["conserved"]) == [invariant.name for invariant in d.conserved]
        assert np.array_equal(saved["drift"], flow.drift)
    erf = derived(TRIALS, nonlinearity="erf")
    x = np.ones((1, 3, 1))
    assert symlow.learn(erf, start[0], 0.01, 2, (x, x)).drift.shape == (3, 0)


@pytest.mark.parametrize("name", ["linear", "frozen m", "frozen v, z", "rates, frozen m", "two loops"])
def test_values_are_those_of_the_expanded_polynomials(name):
    d = CASES[name]()
    sigma = states(d.compile(), 6).reshape(2, 3, -1)
    together = evaluate(d.conserved, sigma)
    for k, invariant in enumerate(d.conserved):
        value = invariant.value(sigma)
        assert value.shape == (2, 3)
        assert together[..., k] == pytest.approx(value, rel=1e-12, abs=1e-12)
        assert (np.abs(value) <= invariant.scale(sigma) * (1 + 1e-12)).all()
        if invariant.degree <= 5:
            assert value == pytest.approx(evaluated(invariant.polynomial, sigma), rel=1e-9, abs=1e-9)
            assert all(len(m) == invariant.degree for m in invariant.polynomial)


def test_gram_sums_with_a_frozen_vector_of_zeros():
    d = derived(frozen=("m",))
    sigma = states(compiled(), 1)[0] * np.array([not {"m"} & set(name.split("_")) for name in d.overlaps])
    assert all(abs(invariant.value(sigma)) < 1e-12 for invariant in d.conserved)


def test_what_is_not_conserved_is_refused():
    d = derived()
    fields = d.vector_fields
    place = {name: (k,) for k, name in enumerate(d.overlaps)}
    wrong = {place["m_m"]: 1, place["u_u"]: 1, place["v_v"]: -1, place["z_z"]: -2}
    with pytest.raises(InvariantError, match="not conserved: the gradients with respect to z_m, z_u change it"):
        prove(fields, wrong)
    assert set(prove(fields, {**wrong, place["z_z"]: -1}).checked) == {f"X of {name}" for name in d.visible}
    (pair,) = d.lax_pairs
    flipped = dataclasses.replace(pair.component, signs=(1, 1, -1, 1))
    with pytest.raises(InvariantError, match="z_m: joins columns of equal signs"):
        dataclasses.replace(pair, component=flipped).proof  # noqa: B018


def test_proof_of_the_lax_pair_is_data():
    proof = derived().conserved[0].proof
    assert "dLambda/dt = 2 [S, Lambda] for Lambda = J Sigma" in proof.text
    assert proof.checked["z_m"] == "signs -1 and +1"
    assert proof.checked["dLambda/dt - 2 [S D, Lambda]"] == 0


@pytest.mark.parametrize("name", ["linear", "rates", "frozen m", "rates, frozen m", "two loops"])
def test_lax_equation_entry_by_entry(name):
    # The matrix equation on numbers, from the generated module's own flow and a numerical derivative of Lambda.
    d = CASES[name]()
    module = d.compile()
    (pair,) = d.lax_pairs
    C, F = list(pair.component.columns), list(pair.component.beside)
    rates = np.array([float(rate) for rate in d.learning.rates])
    J = np.diag(pair.signs) / rates[C][:, None]

    def matrix(sigma):
        gram = module.gram(sigma)
        return J @ (gram[np.ix_(C, C)] - gram[np.ix_(C, F)] @ np.linalg.inv(gram[np.ix_(F, F)]) @ gram[np.ix_(F, C)])

    sigma = states(module, 1)[0]
    S = np.zeros((len(rates), len(rates)))
    for overlap, g in zip(d.learning.visible, module.loss_gradient(sigma), strict=True):
        S[overlap.row, overlap.column] = S[overlap.column, overlap.row] = g / 2
    SD = (S * rates)[np.ix_(C, C)]
    h = 1e-5
    change = (matrix(sigma + h * module.rhs(0, sigma)) - matrix(sigma - h * module.rhs(0, sigma))) / (2 * h)
    assert change == pytest.approx(2 * (SD @ matrix(sigma) - matrix(sigma) @ SD), abs=1e-7)


def test_searches_out_of_range():
    for degree in (0, 1.5, True, "2"):
        with pytest.raises(InvariantError, match=f"degree: found {degree!r}; accepted: an integer >= 1"):
            derived().invariants(degree)
    with pytest.raises(InvariantError, match="degree: found 9, with 10015005 monomials in 21 overlaps"):
        derived(rank=2).invariants(9)
    with pytest.raises(ArrayError, match=r"sigma: found shape \(9,\); accepted: \(\.\.\., 10\)"):
        derived().conserved[0].value(np.ones(9))
    big = derived(TRIALS, rank=8)
    with pytest.raises(InvariantError, match=r"tr \(J Sigma\)\^18: found \d+ products .*evaluate it with value"):
        big.conserved[-1].expression  # noqa: B018
    assert big.conserves_nothing_else is None


def test_null_space_is_exact_where_one_prime_is_too_small():
    # The reduced basis has the entry -(10^9 + 7) / 998244353, beyond the reach of a prime of 31 bits.
    (vector,) = null_space([{0: 998244353, 1: 10**9 + 7}], 2)
    assert vector == {0: -sympy.Rational(10**9 + 7, 998244353), 1: 1}
    # Modulo the first prime the row vanishes, and the null space is too large.
    assert null_space([{0: 2147483647, 1: 2147483647}], 2) == ({0: -1, 1: 1},)
    with pytest.raises(ArithmeticError, match="a null vector has entries beyond"):
        null_space([{0: 3**400, 1: 2**600}], 2)


def test_text_says_what_is_conserved():
    assert "tr J Sigma = m_m + u_u - v_v - z_z" in str(derived())
    assert "Sigma/F is the Gram matrix of what is orthogonal to m" in str(derived(frozen=("m",)))
    assert "det[v z m; v z u]   (minor of Sigma: orthogonal part)" in str(derived(frozen=("v", "z")))
    assert "    nothing\n" in str(derived(TRIALS, nonlinearity="erf"))
    assert conserved(derived(TRIALS, rank=6, nonlinearity="erf")) == ("no Lax pair",)
    assert "conserves, whatever the loss: tr J Sigma" in " ".join(derived().closure_report().summary)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("name", ["rates, frozen m", "frozen v, z", "two loops"])
def test_document_with_frozen_vectors_compiles(name, tmp_path):
    code, log = compile_latex(CASES[name]().latex(), tmp_path)
    assert code == 0, log[-2000:]
    assert "Overfull" not in log


def test_document_says_what_is_conserved():
    text = derived().latex(fragment=True)
    assert (
        r"\operatorname{tr}\,\Lambda &= \lVert m\rVert^2 + \lVert u\rVert^2 - \lVert v\rVert^2 - \lVert z\rVert^2"
        in text
    )
    assert "$+1$ on the columns of $M$, $U$ and $-1$ on those of $V$, $Z$" in text
    assert "Nothing else is conserved" in text
    assert r"$\det\Sigma_{[v\,z\,m],[v\,z\,u]}$" in derived(frozen=("v", "z")).latex(fragment=True)
    assert "No smooth function of the overlaps is conserved" in derived(TRIALS, nonlinearity="erf").latex(fragment=True)


def test_table_of_the_page_is_the_measured_one():
    place = importlib.util.spec_from_file_location("conservation_laws", DERIVATIONS / "conservation_laws.py")
    script = importlib.util.module_from_spec(place)
    place.loader.exec_module(script)
    page = (DERIVATIONS / "conservation_laws.md").read_text()
    assert script.table() in page
