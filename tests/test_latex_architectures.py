"""Documents of networks that are written as equations: they compile, and what they print is right.

The printed equations of the neurons and the printed reduced dynamics are both read back as programs. In linear networks
they agree exactly, in nonlinear ones as N grows; and the printed gradient is the derivative of the printed loss.
"""

from __future__ import annotations

import functools
import re
import shutil

import numpy as np
import pytest
import scipy.special
import sympy

from symlow.nonlinearity import DELTA, MU, nonlinearity
from symlow.printing.latex_network import Model
from symlow.printing.notation import Notation
from symlow.span import find_network
from symlow.spec import Spec
from symlow.tasks import build_loss
from symlow.views import DerivedSystem
from tests.architectures import ARCHITECTURES, LINEAR
from tests.latex_program import Parser, Program, parsed, rows
from tests.test_latex import compile_latex

DT = sympy.Rational(1, 2)
NONLINEAR = [name for name in ARCHITECTURES if name not in LINEAR]
STEPS = 7
PREVIOUS = "updated_latents_previous_gain"
READOUTS = [
    *((name, "after_update") for name in ARCHITECTURES),
    *((name, "before_update") for name in ("two populations", "output feedback", "sigmoid gate", "closed loop")),
    *((name, PREVIOUS) for name in ("two populations", "output feedback")),
]


@functools.cache
def derived(name: str, phi: str = "erf", readout: str = "after_update", rank: int = 2) -> DerivedSystem:
    network = find_network(ARCHITECTURES[name](rank), nonlinearity(phi), DT, sympy.Integer(1), readout)
    sizes = {"inputs": int(network.inputs.shape[0]), "outputs": int(network.output.shape[0])}
    table = {"name": name.replace(" ", "_"), "network": {"rank": rank, **sizes}, "task": {"kind": "trials"}}
    spec = Spec.model_validate(table)
    return DerivedSystem(spec, network, build_loss(spec))


def suitable(name: str) -> str:
    return "linear" if name in LINEAR else "erf"


@functools.cache
def document(d: DerivedSystem) -> str:
    return d.latex(fragment=True, scalars=False)


@functools.cache
def notation(d: DerivedSystem) -> Notation:
    return Notation(d.reduction.index)


def letter(d: DerivedSystem, name: str) -> str:
    """The code of a symbol in the document."""
    return notation(d).letter(name)


def codes(d: DerivedSystem) -> list[tuple[tuple[str, str], str]]:
    """The blocks with their codes in the document."""
    return [(pair, letter(d, symbol.name)) for pair, symbol in d.reduction.index.blocks.items()]


# Numbers for the symbols ----------------------------------------------------------------------------------------------


def weights(d: DerivedSystem, neurons: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Gaussian vectors with overlaps of order one, the same in the mean at every number of neurons; ones where due."""
    rng, found = np.random.default_rng(seed), {}
    for population in d.network.equations.populations:
        members = [vector for vector in d.network.vectors if vector.population == population.name]
        columns = sum(vector.columns for vector in members)
        size = int(population.weight * neurons)
        mixing = rng.standard_normal((columns, columns)) / 2
        block = rng.standard_normal((size, columns)) @ mixing
        for vector in members:
            taken, block = block[:, : vector.columns], block[:, vector.columns :]
            found[vector.name] = np.ones((size, 1)) if vector.name == population.ones else taken
    return found if d.network.equations.averages else {name: value / np.sqrt(neurons) for name, value in found.items()}


def gram(d: DerivedSystem, vectors: dict[str, np.ndarray], neurons: int) -> dict[tuple[str, str], np.ndarray]:
    size = neurons if d.network.equations.averages else 1
    return {(a, b): vectors[a].T @ vectors[b] / size for a, b in d.reduction.index.blocks}


def inputs(d: DerivedSystem) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((STEPS + 1, *d.network.inputs.shape))


def constants(d: DerivedSystem, program: Program) -> None:
    program.set("dt", float(DT))
    program.set(r"\tau", 1.0)
    for symbol, numbers in d.network.constants.items():
        program.set(letter(d, symbol.name), np.array(numbers, dtype=float))


# The document as programs ---------------------------------------------------------------------------------------------


def neurons_as_printed(d: DerivedSystem, vectors: dict[str, np.ndarray], x: np.ndarray, neurons: int) -> np.ndarray:
    """The outputs of the network of neurons, following the section on the model line by line."""
    phi = scipy.special.erf if not d.network.nonlinearity.is_linear else None
    program = Program((lambda h: phi(np.sqrt(np.pi) / 2 * h)) if phi else lambda h: h)
    constants(d, program)
    program.set("N", float(neurons))
    for name, columns in vectors.items():
        program.set(letter(d, name), columns)
    states, definitions = {}, {}
    for left, right in rows(document(d), r"\section*{Model}"):
        flow = re.fullmatch(r"(.*?)\\,\\frac\{\\mathrm\{d\}(.*)\}\{\\mathrm\{d\}t\}", left)
        if flow:
            states[flow[2]] = (Parser(flow[1]).tree(), Parser(right).tree())
        elif left.endswith(r"(t+\mathrm{d}t)"):
            states[left.removesuffix(r"(t+\mathrm{d}t)")] = (None, Parser(right).tree())
        elif left.endswith("(0)"):
            program.set(left.removesuffix("(0)"), program.evaluate(Parser(right).tree(), 0), 0)
        elif not left.startswith(r"\phi"):
            definitions[left] = Parser(right).tree()
    for symbol in (state.symbol for state in d.network.equations.states):
        size = next((len(v) for name, v in vectors.items() if _population(d, name) == _of(d, symbol.name)), None)
        shape = (symbol.shape[0] if _of(d, symbol.name) is None else size, 1)
        if 0 not in program.values.get(letter(d, symbol.name), {}):
            program.set(letter(d, symbol.name), np.zeros(shape), 0)
    outputs, code = [], letter(d, d.network.output.name)
    for t in range(STEPS + 1):
        program.set(letter(d, d.network.inputs.name), x[t], t)
        for name, right in definitions.items():
            program.set(name, program.evaluate(right, t), t)
        outputs.append(program.get(code, t))
        for name, (tau, right) in states.items():
            value = program.evaluate(right, t)
            step = value if tau is None else program.get(name, t) + float(DT) / program.evaluate(tau, t) * value
            program.set(name, step, t + 1)
    return np.array(outputs[1:] if d.network.reads_after_update else outputs[:-1])


def _population(d: DerivedSystem, vector: str) -> str:
    return d.network.vector(vector).population


def _of(d: DerivedSystem, state: str) -> str | None:
    return next(one.population for one in d.network.equations.states if one.symbol.name == state)


def gain_functions(d: DerivedSystem) -> dict[str, object]:
    """Values of the gains and their slopes by what the document calls them, for fields without means and with them."""
    phi = d.network.nonlinearity
    plain, mean, activity = phi.gain, phi.gain_with_mean, phi.activity
    forms = {
        False: {"g": plain, "g_Delta": sympy.diff(plain, DELTA)},
        True: {"g": mean, "g_Delta": sympy.diff(mean, DELTA), "g_mu": sympy.diff(mean, MU), r"\Phi": activity},
    }
    return {
        has: {name: sympy.lambdify((MU, DELTA), form, ["scipy", "numpy"]) for name, form in functions.items()}
        for has, functions in forms.items()
    }


class Reduced:
    """The reduced dynamics of a document, forwards and backwards."""

    def __init__(self, d: DerivedSystem) -> None:
        self.d, text = d, document(d)
        head = r"Gaussian over neurons"
        self.statistics = list(parsed(rows(text, head))) if d.reduction.statistics else []
        self.step = [
            (left.removesuffix("(t)"), right) for left, right in parsed(rows(text, r"In steps of $\mathrm{d}t$"))
        ]
        starts = re.search(r"In steps of \$\\mathrm\{d\}t\$, from (.*?)(?: and zero else)?(?:, with.*)?,\n", text)
        self.starts = [tuple(one.strip("$").split("=")) for one in starts[1].split(", ")] if starts else []
        self.backwards = list(parsed(rows(text, "Backwards in time")))
        self.gradients = list(parsed(rows(text, "sum over times and trials")))
        self.functions = gain_functions(d) if d.reduction.statistics else {}

    def forward(self, blocks: dict[tuple[str, str], np.ndarray], x: np.ndarray) -> Program:
        """All values over a trial."""
        d, program = self.d, Program()
        constants(d, program)
        program.set("n", 1.0)
        for pair, symbol in d.reduction.index.blocks.items():
            program.set(letter(d, symbol.name), blocks[pair])
        for latent in d.network.latents:
            program.set(letter(d, latent.symbol.name), np.zeros(latent.symbol.shape), 0)
        for left, right in self.starts:
            program.set(left.removesuffix("(0)"), program.evaluate(Parser(right).tree(), 0), 0)
        output = letter(d, d.network.output.name)
        for t in range(STEPS + 1):
            program.set(letter(d, d.network.inputs.name), x[t], t)
            self._gains(program, t)
            for left, right in self.step:
                if left != output and (t < STEPS or not left.endswith(")")):
                    later = left.endswith(r"(t+\mathrm{d}t)")
                    program.set(left.removesuffix(r"(t+\mathrm{d}t)"), program.evaluate(right, t), t + later)
        for t in range(STEPS):
            program.set(output, program.evaluate(dict(self.step)[output], t), t)
        return program

    def _gains(self, program: Program, t: int) -> None:
        for name, right in self.statistics:
            program.set(name, program.evaluate(right, t), t)
        for name, _ in self.statistics:
            if not name.startswith(r"\Delta"):
                continue
            below = name.removeprefix(r"\Delta")
            mean = rf"\mu{below}"
            has = any(other == mean for other, _ in self.statistics)
            mu = program.get(mean, t).item() if has else 0.0
            for function, value in self.functions[has].items():
                program.set(f"{function}{below}", value(mu, program.get(name, t).item()), t)

    def outputs(self, blocks: dict[tuple[str, str], np.ndarray], x: np.ndarray) -> np.ndarray:
        program = self.forward(blocks, x)
        return np.array([program.get(letter(self.d, self.d.network.output.name), t) for t in range(STEPS)])

    def gradient(
        self, blocks: dict[tuple[str, str], np.ndarray], x: np.ndarray, target: np.ndarray, mask: np.ndarray
    ) -> dict[str, np.ndarray]:
        """dL/dSigma by the code of the block."""
        program, output = self.forward(blocks, x), letter(self.d, self.d.network.output.name)
        (first, error), *others = self.backwards
        weight = re.search(r"with mask \$(.*?)\$", document(self.d))[1]
        for t in range(STEPS):
            program.set(f"{output}^{{*}}", target[t], t)
            program.set(weight, mask[t], t)
            program.set(first.removesuffix("(t)"), program.evaluate(error, t), t)
        program.shapes[first.removesuffix("(t)")] = self.d.network.output.shape
        # Beyond the end of the trial nothing has a cotangent, whatever its value.
        for latent in self.d.network.latents:
            program.shapes[letter(self.d, latent.symbol.name)] = latent.symbol.shape
            program.shapes[letter(self.d, f"lambda_{latent.key}")] = latent.symbol.shape
        program.shapes |= dict.fromkeys((scalar.code for scalar in notation(self.d).scalars.values()), (1, 1))
        for column in self.d.reduction.columns.values():
            program.shapes[letter(self.d, f"{column.symbol.name}bar")] = column.symbol.shape
        for t in reversed(range(STEPS + 1)):
            for left, right in others:
                program.set(left.removesuffix("(t)"), program.evaluate(right, t), t)
        return {
            re.search(r"\\partial (\\Sigma.*)\}$", left)[1]: program.evaluate(right, 0, STEPS)
            for left, right in self.gradients
        }


# Tests ----------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed (texlive-latex-recommended)")
def test_documents_compile_within_the_page(tmp_path):
    for name in ARCHITECTURES:
        (tmp_path / f"{name.replace(' ', '_')}.tex").write_text(document(derived(name, suitable(name))))
    head, *_ = derived("conventional").latex().partition(r"\begin{document}")
    body = "\n".join(rf"\typeout{{{name}}}\input{{{name.replace(' ', '_')}}}" for name in ARCHITECTURES)
    code, log = compile_latex(f"{head}\\begin{{document}}\n{body}\n\\end{{document}}\n", tmp_path)
    assert code == 0, log[-2000:]
    assert "Overfull" not in log
    assert "undefined" not in log


@pytest.mark.parametrize(("name", "readout"), READOUTS)
def test_linear_neurons_and_latents_agree_exactly(name, readout):
    d, neurons = derived(name, "linear", readout), 20
    P, x = weights(d, neurons), inputs(d)
    expected = neurons_as_printed(d, P, x, neurons)
    assert Reduced(d).outputs(gram(d, P, neurons), x) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert np.abs(expected).max() > 1e-6


@pytest.mark.parametrize("name", NONLINEAR)
def test_nonlinear_neurons_and_latents_agree_at_large_n(name):
    d, neurons = derived(name), 40000
    P, x = weights(d, neurons, seed=4), inputs(d)
    expected = neurons_as_printed(d, P, x, neurons)
    found = Reduced(d).outputs(gram(d, P, neurons), x)
    assert np.linalg.norm(found - expected) < 0.03 * np.linalg.norm(expected)


@pytest.mark.parametrize(("name", "readout"), READOUTS)
def test_the_printed_gradient_is_that_of_the_printed_loss(name, readout):
    d, rng = derived(name, suitable(name), readout), np.random.default_rng(3)
    reduced, x, index = Reduced(d), inputs(d), d.reduction.index
    blocks = gram(d, weights(d, 40), 40)
    target, mask = rng.standard_normal((2, STEPS, *d.network.output.shape))
    printed = reduced.gradient(blocks, x, target, mask)
    assert printed.keys() == {letter(d, index.blocks[pair].name) for pair in d.learning.visible_blocks}
    change = {pair: rng.standard_normal(block.shape) for pair, block in blocks.items()}
    change = {pair: (one + one.T) / 2 if pair[0] == pair[1] else one for pair, one in change.items()}
    outputs = reduced.outputs({pair: block + 1e-30j * change[pair] for pair, block in blocks.items()}, x)
    expected = np.sum(float(DT) / 2 * mask * (outputs - target) ** 2).imag / 1e-30  # a complex step: exact to rounding
    found = [np.sum(printed[code] * change[pair]) for pair, code in codes(d) if code in printed]
    assert sum(found) == pytest.approx(expected, rel=1e-9)
    assert np.abs(found).min() > 0


# What documents and reports say ---------------------------------------------------------------------------------------


def test_states_have_their_time_constants_and_latents_their_states():
    text = document(derived("adaptation"))
    assert r"5 \tau\,\frac{\mathrm{d}w}{\mathrm{d}t} &= h - w" in text
    assert r"$h=M\,\kappa_{m,h} + U\,\kappa_{u,h}$ and $w=M\,\kappa_{m,w} + U\,\kappa_{u,w}$" in text
    assert r"\kappa_{u,w}(t) + \frac{\mathrm{d}t}{5 \tau}\left[-\kappa_{u,w}(t) + \kappa_{u,h}(t)\right]" in text


def test_what_is_read_of_a_state_outside_of_the_span():
    text = document(derived("rate form from an initial state"))
    assert r"The state $r$ leaves the span of the vectors" in text
    assert r"$\kappa_{z}=\frac{1}{N}\,Z^{\top}r$ and $\kappa_{v}=\frac{1}{N}\,V^{\top}r$" in text
    assert r"what $\phi$ acts on, $M\,x + U\,\kappa_{v}$, is Gaussian over neurons" in text
    assert r"from $\kappa_{z}(0)=\Sigma_{zb}$, $\kappa_{v}(0)=\Sigma_{vb}$," in text
    assert r"r(0) &= b" in text
    assert r"$\Sigma_{vb}$ & $\sigma_{v_1b}, \sigma_{v_2b}$ & visible & is in $\kappa_{v}(0)$" in text


def test_populations_have_gram_matrices_of_their_own():
    text = document(derived("two populations"))
    assert r"populations of $N_{e}=\frac{4 N}{5}$ and $N_{i}=\frac{N}{5}$" in text
    assert r"Vectors of different populations have none" in text
    assert r"$\lVert \mathbf{1}_i\rVert^2=\frac{1}{5}$ & invisible & is a constant" in text
    assert r"\mu_{i} &= 5\bigl[\Sigma_{m_i\mathbf{1}_i}^{\top} \kappa_{m_i} + " in text
    assert r"\bar{g}_{i}(t) &= " in text


def test_sums_have_no_number_of_neurons():
    text = document(derived("closed loop", "linear"))
    assert r"$\Sigma=P^{\top}P$" in text
    assert r"\mathrm{d}P/\mathrm{d}t=-(\nabla_P L)\,D=-2PSD" in text
    assert r"e(t+\mathrm{d}t) &= \begin{pmatrix}1 & 1\\ 0 & 1\end{pmatrix} e(t) + " in text
    assert r"Parameters: $\mathrm{d}t=\frac{1}{2}$." in text


def test_what_is_fed_back_is_told_from_the_output():
    text = document(derived("output feedback"))
    # What drives the state is seen at the latents of time t, the output at those of t + dt.
    assert r"\left[-\kappa_{f}(t) + a_{z}(t)\right]" in text
    assert r"y(t) &= g(\Delta(t+\mathrm{d}t))" in text


def test_gates():
    text = document(derived("sigmoid gate"))
    assert r"s &= \operatorname{sigmoid}\left(\frac{1}{N}\,G^{\top}\,\phi(h)\right)" in text
    assert r"s(t) &= \operatorname{sigmoid}(a_{g}(t))" in text
    assert r"\bar{s}(t) &= \bar{w}(t)\,x(t) + \sum_k\bigl[\bar{w}_{2}(t) \odot a(t)\bigr]_k" in text
    assert r"with mask $\omega$" in text  # the letter w is a gate's
    assert "w(t) &= a_{g}(t) \\odot a_{v}(t)" in document(derived("hadamard gate"))


def test_matrices_of_numbers_are_printed_by_name_if_they_are_large():
    small, large, largest = (derived("mixing", rank=rank) for rank in (1, 2, 11))
    assert r"U\,\begin{pmatrix}1 & - \frac{1}{2}\\ \frac{1}{2} & -1\end{pmatrix}\,a" in document(small)
    assert r"U\,C_{1}\,a" in document(large)
    assert r"C_{1}=\begin{pmatrix}1 & - \frac{2}{3} & \frac{1}{3}\\" in document(large)
    assert r"C_{1}\in\mathbb{R}^{12\times12}" in Model(largest.network, notation(largest)).large_numbers


def test_text():
    printed = str(derived("two populations"))
    assert "tau dhe/dt = -he + ME*x + UE*a\n    (tau/2) dhi/dt = -hi + MI*x + UI*a\n" in printed
    assert "populations, as parts of the N neurons: e 4/5, i 1/5\n" in printed
    assert "g_e = g(mu_e, Delta_e), phibar_e = phibar(mu_e, Delta_e), g_i = " in printed
    assert "x_onei is the mean of x over neurons of i, times 1/5; onei_onei = 1/5\n" in printed
    printed = str(derived("rate form from an initial state"))
    assert "    kappa_v = V^T r / N, what v reads\n" in printed
    assert "    kappa_v[0] = Sigma_v_b\n" in printed
    printed = str(derived("closed loop", "linear"))
    assert "    e[t+1] = [[1, 1], [0, 1]]*e + [0, 1]*c + x\n" in printed
    assert "    kappa_e = e, the environment\n" in printed
    assert "    w = a_g*a_v, entry by entry\n" in str(derived("hadamard gate"))
    assert "at kappa[t+1], g_e, phibar_e, mu_e at kappa[t]\n" in str(derived("two populations", readout=PREVIOUS))


@pytest.mark.parametrize(("name", "overlap", "reason"), [
    ("rate form", "m_m", "it is in the variance Delta of the state over neurons, which the gain depends on; way to"),
    ("two populations", "me_onee", "it is in the mean mu_e of the field e over neurons, which the gain depends on"),
    ("rate form from an initial state", "z_b", "d kappa_z[0] / d sigma_z_b = 1, which is not zero: it is in what"),
    ("hadamard gate", "v1_m", "it is in the column a_v, which a time step computes; way to the output: a_v -> w"),
    ("conventional", "v1_m", "d kappa_u1[t+1] / d sigma_v1_m = dt*kappa_m*g(Delta)/tau, which is not zero; way to"),
])  # fmt: skip
def test_reasons_read_well(name, overlap, reason):
    assert reason in derived(name).explain(overlap).reason


@pytest.mark.parametrize(("name", "sentence"), [
    ("two populations", "Gram matrices have 7 * 8 / 2 + 6 * 7 / 2 = 49 distinct entries"),
    ("closed loop", "The environment is as it is: its states are kappa_e (2)."),
    ("rate form", "obeys equations of its own: the latents are kappa_z (1), kappa_v (2)."),
])  # fmt: skip
def test_the_report_says_what_latents_are(name, sentence):
    assert any(sentence in line for line in derived(name, suitable(name)).closure_report().summary)
