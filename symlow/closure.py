"""Verification of a closure: what is asymptotically exact is checked against the limit, the rest is measured.

    instantaneous flow    dSigma/dt = -2 (D S Sigma + Sigma S D)  against  (a) N neurons: an error falling as N^(-1/2),
                          and (b) infinitely many, as nodes of a quadrature: no error but the quadrature's
    learning run          (c) theory beside a network of N neurons: a drift, which is measured

(a) takes networks with exactly the same Gram matrix at every N, and gradients by finite differences of the loss of all
N neurons. The exponent is fitted to the root mean square error over overlaps and seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType

import numpy as np
import sympy

from symlow.arrays import FloatArray, Trials
from symlow.certificate import Check, Measurement, check, relative_error
from symlow.course import Track
from symlow.derivation import Derivation
from symlow.drift import TRUSTED, Drift
from symlow.equations import Population
from symlow.infinite_width import gaussian_nodes, realise_weights, sobol_nodes
from symlow.initial import gram_of_weights, least_neurons, population_parts, sample_weights
from symlow.simulate import DIFFERENCE_SPACING, FLOW_SPACING, FullNetwork

NEURONS = (250, 1000, 4000, 16000)
"""Numbers of neurons at which the flow is compared."""
SEEDS = 8
"""Networks at each of them."""
EXPONENT = -0.5
STANDARD_ERRORS = 3.0
"""By how many standard errors of the fit to few networks the exponent may be larger."""
SLOWEST_EXPONENT = -0.2
"""An exponent beyond is not accepted, however large the scatter."""
NODES = {1: (64, 96), 2: (40, 64), 3: (20, 28)}
"""Nodes along each component of the carriers, by their number: a coarse rule and a fine one."""
SOBOL_NODES = 2**15
"""Nodes where there are more components than a product of rules allows."""
QUADRATURE_MARGIN = 5.0
"""The fine rule is better than the coarse one: their distance, times this, bounds the error of the fine one."""
ROUNDING = 1e-10


@dataclass(frozen=True)
class ClosureVerification:
    """The comparisons of one derivation.

    Attributes:
        derivation: what is verified.
        module: its generated module.
        trials: trials of the comparison of flows.
        seed: seed of the Gram matrix and of all networks.
        track: wraps the iteration over networks, for a progress bar.
    """

    derivation: Derivation
    module: ModuleType
    trials: Trials
    seed: int
    track: Track

    def checks(self) -> list[Check]:
        """Return the checks of read-out and flow against infinitely many neurons, and the exponent in N of the flow."""
        checks = [self.output()]
        if not self.derivation.network.nonlinearity.has_jumps:
            checks += [self._infinite_width_flow(), self._exponent()]
        return checks

    def measurements(self) -> list[Measurement]:
        """Return the size of the error at finite N."""
        if self.derivation.network.nonlinearity.has_jumps or not self.flow.any():
            return []
        prefactor = float(np.exp(np.mean(np.log(self.errors) + 0.5 * np.log(self._neurons))))
        meaning = "the flow's relative rms error at N neurons is about this / sqrt(N)"
        return [Measurement("prefactor of the flow's error in N", prefactor, meaning)]

    @cached_property
    def gram(self) -> FloatArray:
        """A Gram matrix with all overlaps of order one."""
        columns, least = len(self.derivation.reduction.index.columns), least_neurons(self.derivation.network.equations)
        weights = sample_weights(self.derivation, 8 * columns * least, 1.0, self.seed)
        return gram_of_weights(self.derivation, weights)

    @cached_property
    def sigma(self) -> FloatArray:
        """Its overlaps."""
        return np.array([self.gram[overlap.row, overlap.column] for overlap in self.derivation.ordered])

    @cached_property
    def flow(self) -> FloatArray:
        """dSigma/dt of gradient flow by the theory, as a matrix."""
        return gradient_flow(self.derivation, self.module, self.sigma, self.trials)

    @cached_property
    def squares(self) -> FloatArray:
        """The mean square error of dSigma/dt of each network, by size, relative to its mean square."""
        network = self._network()
        # Differences over kinks of phi are better the closer they are; smooth ones are best where rounding is small.
        kinked = self.derivation.network.nonlinearity.phi.has(sympy.Max, sympy.Min, sympy.Abs)
        spacing = DIFFERENCE_SPACING if kinked else FLOW_SPACING
        squares = np.zeros((len(NEURONS), SEEDS))
        for position in self.track(range(squares.size)):
            size, k = divmod(position, SEEDS)
            weights = self._realised(self._neurons[size], self.seed + k)
            found, _ = network.finite_difference_flow(weights, self.trials, spacing)
            squares[size, k] = np.mean((found - self.flow) ** 2)
        return squares / np.mean(self.flow**2)

    @property
    def errors(self) -> FloatArray:
        """The root mean square error of dSigma/dt at each number of neurons, relative to its root mean square."""
        return np.sqrt(self.squares.mean(axis=1))

    @cached_property
    def _neurons(self) -> tuple[int, ...]:
        """The numbers of neurons, rounded so that populations have whole numbers of them."""
        least = least_neurons(self.derivation.network.equations)
        return tuple(max(round(n / least), 1) * least for n in NEURONS)

    def _parts(self, neurons: int) -> Iterator[tuple[Population, slice, list[int], int | None, list[int]]]:
        """Give each population's rows and columns of P, and among its columns that of ones and those of carriers."""
        index, network = self.derivation.reduction.index, self.derivation.network
        for population, rows, columns in population_parts(self.derivation, neurons):
            names = [index.columns[k].vector for k in columns]
            ones = None if population.ones is None else names.index(population.ones)
            yield population, rows, columns, ones, [k for k, name in enumerate(names) if name in network.carriers]

    def _realised(self, neurons: int, seed: int) -> FloatArray:
        """Return weights with exactly the Gram matrix, shape (neurons, columns)."""
        weights = np.zeros((neurons, len(self.gram)))
        for k, (population, rows, columns, ones, _) in enumerate(self._parts(neurons)):
            gram, size = self.gram[np.ix_(columns, columns)] / float(population.weight), rows.stop - rows.start
            weights[rows, columns] = realise_weights(gram, size, seed + 1000 * k, ones)
        return weights

    @cached_property
    def _wide(self) -> tuple[tuple[FloatArray, FullNetwork], tuple[FloatArray, FullNetwork]]:
        """Networks of infinite width, on a coarse set of nodes and on a fine one, each with its nodes."""
        return self._nodes(0), self._nodes(1)

    def _nodes(self, fine: int) -> tuple[FloatArray, FullNetwork]:
        """Return the nodes of all populations, one after the other, and the network on them."""
        parts = list(self._parts(least_neurons(self.derivation.network.equations)))
        blocks, masses = [], []
        for k, (population, _, columns, ones, carriers) in enumerate(parts):
            gram = self.gram[np.ix_(columns, columns)] / float(population.weight)
            if len(carriers) in NODES:
                nodes, weights = gaussian_nodes(gram, carriers, NODES[len(carriers)][fine], ones=ones)
            else:
                nodes, weights = sobol_nodes(gram, carriers, SOBOL_NODES, self.seed + fine + 1000 * k, ones)
            block = np.zeros((len(nodes), len(self.gram)))
            block[:, columns] = nodes
            blocks.append(block)
            masses.append(float(population.weight) * weights)
        network = self._network(np.concatenate(masses), [len(block) for block in blocks])
        return np.concatenate(blocks), network

    def _network(self, node_weights: FloatArray | None = None, sizes: Sequence[int] | None = None) -> FullNetwork:
        loss = self.derivation.loss
        return FullNetwork(self.derivation.network, loss.reduction, float(loss.factor), node_weights, sizes)

    def output(self) -> Check:
        """Return the check of the reduced network's output against infinitely many neurons."""
        coarse, fine = (network.outputs(nodes, self.trials[0]) for nodes, network in self._wide)
        found = self.module.outputs(self.sigma, self.trials[0])
        return _against_quadrature("output, reduced / infinite width", found, coarse, fine)

    def _infinite_width_flow(self) -> Check:
        coarse, fine = (network.flow(nodes, self.trials) for nodes, network in self._wide)
        return _against_quadrature("dSigma/dt, rhs / infinite width", self.flow, coarse, fine)

    def _exponent(self) -> Check:
        name = "exponent in N of the flow's error / finite differences"
        why = (
            f"-1/2 and {STANDARD_ERRORS:g} standard errors of a fit over N = {self._neurons[0]} to "
            f"{self._neurons[-1]}, {SEEDS} networks each"
        )
        if not self.flow.any():  # where nothing is trained nothing moves, and there is no error to have an exponent
            return check(name, EXPONENT, EXPONENT, why)
        sizes = np.log(self._neurons) - np.mean(np.log(self._neurons))
        exponent = float(sizes @ np.log(self.errors) / (sizes @ sizes))
        scatter = np.log(self.squares).std(axis=1, ddof=1) / 2 / np.sqrt(SEEDS)
        margin = STANDARD_ERRORS * float(np.sqrt(np.sum((sizes * scatter) ** 2)) / (sizes @ sizes))
        return check(name, exponent, min(EXPONENT + margin, SLOWEST_EXPONENT), why)


def gradient_flow(derivation: Derivation, module: ModuleType, sigma: FloatArray, trials: Trials) -> FloatArray:
    """Return -2 (D S Sigma + Sigma S D) as a module's ``rhs`` has it, shape (columns, columns).

    What the learning rule does to it, clipping and weight decay, is undone; the steps of the rule are compared as a
    whole.
    """
    flow, gram, rule = module.gram(module.rhs(0.0, sigma, trials)), module.gram(sigma), derivation.rule
    if rule.weight_decay:
        decay = float(rule.weight_decay) * module.RATES * gram
        flow = flow + decay + decay.T
    return np.asarray(flow / module.clip_factor(sigma, trials) if rule.clip else flow)


def _against_quadrature(name: str, found: FloatArray, coarse: FloatArray, fine: FloatArray) -> Check:
    resolution = relative_error(coarse, fine)
    bound = QUADRATURE_MARGIN * resolution + ROUNDING
    why = f"distance of two quadratures, times {QUADRATURE_MARGIN:g}"
    return check(name, relative_error(found, fine), bound, why, resolution)


def drift_measurements(run: Drift) -> list[Measurement]:
    """Return what a learning run tells of the closure, as figures."""
    steps = len(run.theory) - 1
    return [
        Measurement(
            f"steps trusted, of {steps}", run.trusted_steps, f"with overlaps within {TRUSTED:.0%} of the largest"
        ),
        Measurement("deviation of overlaps at the end", float(run.deviation[-1]), "relative to the largest overlap"),
        Measurement("gap of the loss, largest", float(run.loss_gap.max()), "relative to the network's largest loss"),
        Measurement("loss of the theory at the end", float(run.theory_loss[-1]), "on the last step's trials"),
        Measurement("loss of the network at the end", float(run.network_loss[-1]), "on the same trials"),
        *(
            Measurement(
                f"kurtosis of {run.columns[k]} at the end",
                float(run.kurtosis[-1, k]),
                f"at the start {run.kurtosis[0, k]:+.2f}; QQ correlation {run.quantiles[-1, k]:.4f}",
            )
            for k in run.varying
        ),
    ]
