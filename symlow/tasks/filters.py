"""Filter tasks: the network's impulse response f should equal a target filter f*.

    L = w sum_k sum_(o,i) (f_oi[k] - f*_oi(k dt))^2,        w = factor * dt

over the lags k = 0, 1, ... that the horizon holds. Lag 0 is the first
output that an input can reach. A target filter is itself a small linear system,

    f*[k] = C* (A*)^k B*,

so that the loss is a quadratic form in the impulse response of diag(A, A*) (math.md, section 7). Unit white noise as
input gives the same loss: the expected squared error after the horizon is a sum over lags of the same squares.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import sympy

from symlow.arrays import FloatArray
from symlow.expressions import exact
from symlow.spec_network import NetworkSpec
from symlow.spec_tasks import FiltersTask, FilterTask, TargetTable

T = sympy.Symbol("t", nonnegative=True)
"""Time, in the formulas of target filters."""


@dataclass(frozen=True)
class TargetFilter:
    """The target filter of one pair: f*(t) = amplitude exp(-decay t) cos(frequency t + phase).

    With complex ``residue`` and ``pole`` that is Re(residue exp(-pole t)).

    Attributes:
        output: number of the output, from 0.
        input: number of the input, from 0.
        amplitude: a symbol of ``parameters``, or 0 where the target is no response.
        decay: a symbol, or 0 for an integrator.
        frequency: a symbol, or 0 where nothing oscillates.
        phase: a symbol, or 0 where nothing oscillates.
        parameters: exact values of these symbols.
    """

    output: int
    input: int
    amplitude: sympy.Expr
    decay: sympy.Expr
    frequency: sympy.Expr
    phase: sympy.Expr
    parameters: Mapping[sympy.Symbol, sympy.Rational]

    @property
    def response(self) -> sympy.Expr:
        """f*(t) in ``T`` and the parameters."""
        return self.amplitude * sympy.exp(-self.decay * T) * sympy.cos(self.frequency * T + self.phase)

    @property
    def pole(self) -> sympy.Expr:
        """The (complex) rate of decay, decay - i frequency."""
        return self.decay - sympy.I * self.frequency

    @property
    def residue(self) -> sympy.Expr:
        """The (complex) amplitude, amplitude exp(i phase)."""
        return self.amplitude * sympy.exp(sympy.I * self.phase)

    @property
    def parameter_names(self) -> Mapping[sympy.Symbol, str]:
        """The key of the specification that each symbol of ``parameters`` stands for, with the pair's numbers."""
        keys = {getattr(self, key): key for key in PARAMETER_SYMBOLS}
        return {
            symbol: keys[symbol] + symbol.name.removeprefix(PARAMETER_SYMBOLS[keys[symbol]])
            for symbol in self.parameters
        }

    @property
    def decays(self) -> bool:
        """Whether f*(t) tends to zero, so that an infinite horizon can have a finite loss."""
        return bool(self.amplitude == 0 or self.decay.subs(self.parameters) > 0)

    def system(self, dt: sympy.Expr) -> tuple[sympy.Matrix, sympy.Matrix, sympy.Matrix]:
        """Return A*, B*, C* with f*(k dt) = C* (A*)^k B*, real and exact: no state, one, or two if it oscillates."""
        if self.amplitude == 0:
            return sympy.zeros(0, 0), sympy.zeros(0, 1), sympy.zeros(1, 0)
        step = sympy.exp(-self.decay * dt)
        if self.frequency == 0:
            return sympy.Matrix([[step]]), sympy.Matrix([1]), sympy.Matrix([[self.amplitude]])
        c, s = sympy.cos(self.frequency * dt), sympy.sin(self.frequency * dt)
        start = sympy.Matrix([sympy.cos(self.phase), sympy.sin(self.phase)])
        return step * sympy.Matrix([[c, -s], [s, c]]), start, sympy.Matrix([[self.amplitude, 0]])


PARAMETER_SYMBOLS = {"amplitude": "a_star", "decay": "c_star", "frequency": "omega_star", "phase": "varphi_star"}


def _target(table: TargetTable, output: int, input_: int, pair: str) -> TargetFilter:
    # A target of amplitude zero is no response, whatever its other parameters.
    keys = [key for key in PARAMETER_SYMBOLS if getattr(table, "amplitude", 0) and hasattr(table, key)]
    symbols = {key: sympy.Symbol(f"{PARAMETER_SYMBOLS[key]}{pair}", real=True) for key in keys}
    values = {symbol: exact(getattr(table, key)) for key, symbol in symbols.items()}
    shape = {key: symbols.get(key, sympy.Integer(0)) for key in PARAMETER_SYMBOLS}
    return TargetFilter(output, input_, **shape, parameters=MappingProxyType(values))


@dataclass(frozen=True)
class FilterLoss:
    """A filter task with everything that its loss needs.

    Attributes:
        targets: one for each pair of output and input, ordered by output, then input.
        inputs: number of inputs.
        outputs: number of outputs.
        dt: exact time step.
        steps: number of time steps of the horizon, or None for an infinite one.
        latency: steps between an input and the first output that it can reach.
        drive: "impulse" or "white_noise".
        factor: exact factor of the loss.
        reduction: how trials are reduced where they are given instead, as in a task of trials.
    """

    targets: tuple[TargetFilter, ...]
    inputs: int
    outputs: int
    dt: sympy.Rational
    steps: int | None
    latency: int
    drive: str
    factor: sympy.Rational
    reduction: str = "sum_dt"

    @property
    def lags(self) -> int | None:
        """Number of lags at which responses are compared, or None for infinitely many."""
        return None if self.steps is None else self.steps - self.latency

    @property
    def weight(self) -> sympy.Rational:
        """The weight w of the squared errors in this module's equation."""
        return self.factor * self.dt

    @property
    def parameters(self) -> Mapping[sympy.Symbol, sympy.Rational]:
        """Exact values of the parameters of all targets."""
        return {symbol: value for target in self.targets for symbol, value in target.parameters.items()}

    @property
    def parameter_names(self) -> Mapping[sympy.Symbol, str]:
        """The names of these parameters: keys of the specification, such as decay, of several targets decay_1_2."""
        return {symbol: name for target in self.targets for symbol, name in target.parameter_names.items()}

    def system(self) -> tuple[sympy.ImmutableDenseMatrix, ...]:
        """Return A*, B*, C* of all targets as one system, exact numbers; shapes (n, n), (n, inputs), (outputs, n)."""
        return tuple(matrix.subs(self.parameters).as_immutable() for matrix in self.symbolic_system(self.dt))

    def symbolic_system(self, dt: sympy.Expr) -> tuple[sympy.ImmutableDenseMatrix, ...]:
        """Return the same in the symbols of the parameters, at a time step that can be a symbol."""
        parts = [target.system(dt) for target in self.targets]
        n = sum(part[0].rows for part in parts)
        A, B, C = sympy.zeros(n, n), sympy.zeros(n, self.inputs), sympy.zeros(self.outputs, n)
        offset = 0
        for target, (a, b, c) in zip(self.targets, parts, strict=True):
            block = slice(offset, offset + a.rows)
            A[block, block], B[block, target.input], C[target.output, block] = a, b, c
            offset += a.rows
        return tuple(matrix.as_immutable() for matrix in (A, B, C))

    def response(self, lags: int) -> FloatArray:
        """Return f*_oi(k dt) for k < lags, evaluated from its formula; shape (lags, outputs, inputs)."""
        times = np.arange(lags) * float(self.dt)
        values = np.zeros((lags, self.outputs, self.inputs))
        for target in self.targets:
            formula = sympy.lambdify(T, target.response.subs(target.parameters), "numpy")
            values[:, target.output, target.input] = formula(times)
        return values

    def impulse_trials(self, steps: int | None = None) -> tuple[FloatArray, FloatArray, None]:
        """Return trials (x, y, None) whose loss is this task's: one trial per input, an impulse at time 0.

        The impulses have size sqrt(inputs)/dt, so that the mean over the batch of x x^T is that of unit white noise
        and the mean over trials is the sum over inputs.

        Args:
            steps: number of time steps, by default those of the horizon; needed if it is infinite.

        Returns:
            x, shape (inputs, steps, inputs); y, shape (inputs, steps, outputs); no mask.
        """
        steps = self.steps if steps is None else steps
        if steps is None:
            raise ValueError("an infinite horizon has no impulse trials: say how many steps to take of it")
        x = np.zeros((self.inputs, steps, self.inputs))
        x[:, 0, :] = np.eye(self.inputs) * math.sqrt(self.inputs) / float(self.dt)
        y = np.zeros((self.inputs, steps, self.outputs))
        y[:, self.latency :] = self.response(steps - self.latency).transpose(2, 0, 1) * math.sqrt(self.inputs)
        return x, y, None

    def noise_trials(self, noise: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return trials driven by given noise, compared with the target at their last time step only.

        Their loss is an unbiased estimate of this task's if the noise is white with variance 1/dt at each step.

        Args:
            noise: the input x, shape (batch, steps, inputs).

        Returns:
            x as given; y, shape (batch, steps, outputs); mask, zero but at the last step.
        """
        batch, steps, _ = noise.shape
        response = self.response(steps) * float(self.dt)
        y = np.zeros((batch, steps, self.outputs))
        for t in range(self.latency, steps):
            past = noise[:, : t + 1 - self.latency][:, ::-1]
            y[:, t] = np.einsum("bki,koi->bo", past, response[: past.shape[1]])
        mask = np.zeros_like(y)
        # One time step stands for the whole sum over time, so it takes the weight that the sum would give it.
        mask[:, -1] = 1 / float(self.dt)
        return noise, y, mask


def build_filter_loss(task: FilterTask, network: NetworkSpec) -> FilterLoss:
    """Return the loss of a filter task of a specification (whose pairs and horizon are already checked)."""
    if isinstance(task, FiltersTask):
        tables = sorted(task.targets, key=lambda table: (table.output, table.input))
        single = len(tables) == 1
        targets = tuple(
            _target(t, t.output - 1, t.input - 1, "" if single else f"_{t.output}_{t.input}") for t in tables
        )
    else:
        targets = (_target(task, 0, 0, ""),)
    return FilterLoss(
        targets=targets,
        inputs=network.inputs,
        outputs=network.outputs,
        dt=exact(network.dt),
        steps=None if math.isinf(task.horizon) else round(task.horizon / network.dt),
        latency=1 if network.readout == "before_update" else 0,
        drive=task.drive,
        factor=exact(task.loss.factor),
    )
