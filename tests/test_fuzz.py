"""Mutated specifications: whatever stands in them, the answer is a derivation or one of symlow's own errors, soon.

SYMLOW_FUZZ=100000 pytest tests/test_fuzz.py
"""

from __future__ import annotations

import copy
import os
import random
import time
import warnings

import pytest

import symlow
from symlow.batches import task_batches
from tests.conftest import EXPONENTIAL, INTEGRATOR, filters

COUNT = int(os.environ.get("SYMLOW_FUZZ", "1500"))
SLOWEST = 5.0
"""Seconds, on a machine that does other work too; most take a few milliseconds."""

TANH = {"rank": 2, "inputs": 4, "nonlinearity": "tanh(x) + 0.1*x"}
RELU = {"rank": 1, "bias": True, "means": True, "nonlinearity": "relu"}
BASES = [
    {"name": "a", "network": {"rank": 1, "nonlinearity": "erf"}, "task": {"kind": "flip_flop", "bits": 1}},
    {"name": "b", "network": TANH, "task": {"kind": "context_integration"}},
    {"name": "c", "network": RELU, "task": {"kind": "decision_making", "coherences": [0.1, -0.1]}},
    {"name": "d", "network": {"rank": 1}, "task": {**EXPONENTIAL, "horizon": 5.0}, "learning": {"frozen": ["m"]}},
    {"name": "e", "network": {"rank": 2, "inputs": 2, "outputs": 2}, "task": filters(2, 2, (EXPONENTIAL, INTEGRATOR))},
    {"name": "f", "network": {"rank": 1, "nonlinearity": "clip(x, -2, 2)"}, "task": {"kind": "teacher"}},
    {"name": "g", "network": {"rank": 1}, "task": {"kind": "trials", "loss": {"reduction": "masked_mean"}}},
]
VALUES = [
    *(None, True, False, 0, 1, 2, -1, 3.5, 0.0, -0.0, 1e-9, 1e9, 1e308, float("inf"), float("nan"), 10**30),
    *("", "x", "erf", "linear", "tanh(x)^2", "__import__('os')", "lambda: 0", "9**9**9", "x" * 1000, "\x00", "é"),
    *("relu(x)**2", "abs(x)", "sin(x) + x/3", "exp(x)", "1/x", "flip_flop", "trials", "m", "fixed", "(" * 100 + "x"),
    *([], {}, [1], ["m"], ["m", "q"], {"kind": "flip_flop"}, [[1, 2]], {"z_m": float("nan")}, b"bytes", (1, 2)),
]
KEYS = ["rank", "kind", "bits", "bias", "means", "batch", "data", "seed", "frozen", "loss", "x" * 50, "", "é"]
CODE = ["__import__('os').system('true')", "().__class__.__bases__", "lambda: x", "[x for x in (1,)]", "9**9**9**9"]


def tables(value):
    """Every table and list of a specification."""
    found = [value] if isinstance(value, dict | list) else []
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        found += tables(inner)
    return found


def mutated(rng):
    specification = copy.deepcopy(rng.choice(BASES))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        table = rng.choice(tables(specification))
        value = copy.deepcopy(rng.choice(VALUES))
        if isinstance(table, list):
            if table and rng.random() < 0.5:
                table[rng.randrange(len(table))] = value
            else:
                table.append(value)
        elif table and rng.random() < 0.7:
            table[rng.choice(sorted(table, key=str))] = value
        elif table and rng.random() < 0.5:
            del table[rng.choice(sorted(table, key=str))]
        else:
            table[rng.choice(KEYS)] = value
    return specification


def test_mutated_specifications_are_derived_or_refused():
    rng = random.Random(20260101)
    accepted, slowest = 0, (0.0, None)
    for _ in range(COUNT):
        specification = mutated(rng)
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                d = symlow.derive(symlow.Spec.model_validate(specification))
                task_batches(d, 0, batch=1)
                accepted += 1
            except symlow.SymlowError as error:
                first, *rest = str(error).split("\n")
                assert first.isprintable(), specification
                assert len(rest) in (0, 2), specification  # an expression, and a caret under it
        slowest = max(slowest, (time.perf_counter() - start, repr(specification)[:200]))
    assert slowest[0] < SLOWEST, slowest
    assert accepted > COUNT // 50


@pytest.mark.parametrize("text", CODE)
def test_code_in_a_nonlinearity_is_refused(text):
    network = {"rank": 1, "nonlinearity": text}
    with pytest.raises(symlow.errors.SpecError, match=r"^network\.nonlinearity: "):
        symlow.Spec.model_validate({"name": "a", "network": network, "task": {"kind": "trials"}})
