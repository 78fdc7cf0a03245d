"""The equations of a network unrolled over time, forward and backward.

    states[t+1] = step(states[t], x[t]),      y[t] = readout(states[t], x[t])   or   readout(states[t+1])

Reading after the update is reading at the next step before it, so that y[t] and what else is read of states[t+1] are
computed together; a last step more then has a read-out only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from symlow.arrays import FloatArray
from symlow.equations import Equations
from symlow.neurons import CompiledStart, CompiledStep, compile_start, compile_step
from symlow.passes import Backward, Forward, Node, Record, Weights

Disturb = Callable[[int, str, FloatArray], FloatArray]
"""What a state is replaced by after an update, given the number of the time step, its name and its values, of shape
(..., batch, neurons)."""


@dataclass(frozen=True)
class Unrolled:
    """A network's compiled equations.

    Attributes:
        start: the states at time 0.
        step: a time step.
        readout: those of its nodes that the output needs.
        after_update: whether y[t] reads states[t+1], not states[t].
    """

    start: CompiledStart
    step: CompiledStep
    readout: tuple[Node, ...]
    after_update: bool


def unroll(
    equations: Equations,
    phi: sympy.Expr,
    steps: Mapping[str, sympy.Rational | None],
    neurons: sympy.Rational,
    after_update: bool,
) -> Unrolled:
    """Compile equations; the arguments are those of :func:`symlow.neurons.compile_step`.

    Raises:
        ValueError: for an expression that is not made of the accepted parts, or an input in a read-out of updated
            states.
    """
    step = compile_step(equations, phi, steps, neurons)
    readout, slots = step.program.needed(step.output)
    if after_update and step.inputs in slots:
        raise ValueError(
            f"read-out {equations.readout}: found the input {equations.inputs.name}, of which there is none after the "
            "last update; accepted with it: the read-out 'before_update'"
        )
    return Unrolled(compile_start(equations, phi, neurons), step, readout, after_update)


class Run:
    """A network of given weights over the time of a batch of inputs.

    Args:
        network: the compiled equations.
        weights: P and the weights of its rows.
        x: inputs, shape (batch, time, inputs).
    """

    def __init__(self, network: Unrolled, weights: Weights, x: FloatArray) -> None:
        self._network = network
        self._x = x
        self._start = Forward(network.start.program, weights, len(x))
        self._forward = Forward(network.step.program, weights, len(x))
        self._tape: list[list[Record]] = []

    def outputs(self, keep: bool = False, disturb: Disturb | None = None) -> Iterator[FloatArray]:
        """Give the output at every step, shape (..., batch, outputs); what :meth:`gradient` needs is kept if wanted.

        States are disturbed after each update if wanted; gradients then are those of what was added, held fixed.
        """
        network, step, steps = self._network, self._network.step, self._x.shape[1]
        tape = self._tape if keep else None
        self._start.run(network.start.program.nodes, {}, tape)
        states = {name: column.of(self._start.values) for name, column in network.start.states.items()}
        shift = int(network.after_update)
        for t in range(steps + shift):
            given = {step.states[name]: state for name, state in states.items()}
            if t < steps:
                given[step.inputs] = self._x[:, t]
            is_last = t == steps + shift - 1
            self._forward.run(network.readout if is_last else step.program.nodes, given, tape)
            if t >= shift:
                yield step.output.of(self._forward.values)
            if not is_last:
                states = {name: column.of(self._forward.values) for name, column in step.updates.items()}
                if disturb is not None:
                    states = {name: disturb(t, name, state) for name, state in states.items()}

    def gradient(self, output_bars: Sequence[FloatArray]) -> FloatArray:
        """Return dL/dP, shape (rows, columns), from dL/dy[t], shape (batch, outputs), after outputs that were kept."""
        network, step, steps = self._network, self._network.step, len(output_bars)
        back = Backward(step.program, self._forward)
        shift = int(network.after_update)
        updates: dict[str, FloatArray] = {}
        for t in reversed(range(steps + shift)):
            bars = [(step.updates[name], bar) for name, bar in updates.items()]
            if t >= shift:
                bars.append((step.output, output_bars[t - shift]))
            nodes = network.readout if t == steps + shift - 1 else step.program.nodes
            back.run(nodes, self._tape.pop(), bars)
            states = {name: back.bars[step.states[name]] for name in step.updates}
            updates = {name: bar for name, bar in states.items() if bar is not None}
        begin = Backward(network.start.program, self._start)
        begin.run(
            network.start.program.nodes, self._tape.pop(), [(network.start.states[n], b) for n, b in updates.items()]
        )
        P_bar = np.zeros_like(self._forward.weights.P)
        back.collect(P_bar)
        begin.collect(P_bar)
        return P_bar
