"""What the tests share: specifications by rank and task, derived and compiled once."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import Any

import numpy as np
import pytest
import sympy

import symlow
from tests.browser import browser  # noqa: F401 - a fixture, for all tests


@pytest.fixture(autouse=True, scope="session")
def _cache_of_the_tests(tmp_path_factory):
    """What symlow keeps between runs, of the tests alone: neither of their user nor left behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYMLOW_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


EXPONENTIAL = {"kind": "exponential_filter", "decay": 0.2}
OSCILLATION = {"kind": "damped_oscillation", "decay": 0.3, "frequency": 2.0, "phase": 0.4, "amplitude": 1.2}
INTEGRATOR = {"kind": "integrator", "amplitude": 0.8}
NO_RESPONSE = {"kind": "no_response"}


def filters(outputs: int, inputs: int, kinds: tuple[dict[str, Any], ...], horizon: float = 5.0) -> dict[str, Any]:
    """A task with the given targets, taken in turn, for the pairs of output and input."""
    pairs = [(o, i) for o in range(1, outputs + 1) for i in range(1, inputs + 1)]
    targets = [{"output": o, "input": i, **kinds[k % len(kinds)]} for k, (o, i) in enumerate(pairs)]
    return {"kind": "filters", "horizon": horizon, "targets": targets}


def spec(task: dict[str, Any] | None = None, frozen: tuple[str, ...] = (), **network: Any) -> symlow.Spec:
    """A specification of rank 1 that learns an exponential filter, but for what is given."""
    return symlow.Spec.model_validate(
        {
            "name": "example",
            "network": {"rank": 1, **network},
            "task": task or {**EXPONENTIAL, "horizon": 5.0},
            "learning": {"frozen": list(frozen)},
        }
    )


def derived(task: dict[str, Any] | None = None, frozen: tuple[str, ...] = (), **network: Any) -> symlow.DerivedSystem:
    """The derivation of such a specification, made once for all tests."""
    return _derived(json.dumps(task), frozen, json.dumps(network))


def compiled(task: dict[str, Any] | None = None, frozen: tuple[str, ...] = (), **network: Any) -> Any:
    """The generated module of such a specification, made once for all tests."""
    return _compiled(json.dumps(task), frozen, json.dumps(network))


def with_rates(derivation: symlow.DerivedSystem, **rates: sympy.Rational) -> symlow.DerivedSystem:
    """The derivation with other learning rates of the vectors named."""
    vectors = tuple(
        dataclasses.replace(vector, rate=rates.get(vector.name, vector.rate)) for vector in derivation.network.vectors
    )
    equations = dataclasses.replace(derivation.network.equations, vectors=vectors)
    network = dataclasses.replace(derivation.network, equations=equations)
    return symlow.DerivedSystem(derivation.spec, network, derivation.loss)


@functools.cache
def _derived(task: str, frozen: tuple[str, ...], network: str) -> symlow.DerivedSystem:
    return symlow.derive(spec(json.loads(task), frozen, **json.loads(network)))


@functools.cache
def _compiled(task: str, frozen: tuple[str, ...], network: str) -> Any:
    return _derived(task, frozen, network).compile()


def weights(derivation: symlow.DerivedSystem, neurons: int = 50, seed: int = 0) -> np.ndarray:
    """Gaussian weights P, shape (neurons, columns)."""
    return np.random.default_rng(seed).standard_normal((neurons, len(derivation.reduction.index.columns)))


def states(module: Any, count: int, seed: int = 0, neurons: int = 40) -> np.ndarray:
    """Overlaps of that many random networks, shape (count, n_overlaps)."""
    P = np.random.default_rng(seed).standard_normal((count, neurons, module.N_COLUMNS))
    gram = np.swapaxes(P, -1, -2) @ P / neurons
    return gram[..., module._ROWS, module._COLUMNS]


def random_trials(derivation: symlow.DerivedSystem, batch: int = 3, steps: int = 30, seed: int = 0) -> Any:
    """Random inputs, targets and mask."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, steps, derivation.loss.inputs))
    y = rng.standard_normal((batch, steps, derivation.loss.outputs))
    return x, y, (rng.random(y.shape) < 0.6) * rng.random(y.shape)
