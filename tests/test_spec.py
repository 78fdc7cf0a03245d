"""Specifications: canonical form and digest, and a one-line message for everything that can be wrong."""

from __future__ import annotations

import copy
import json
import math
import re
import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import symlow
from symlow.errors import FileError, SpecError, SymlowError
from symlow.scaffold import new_specification

VALID = {
    "name": "example",
    "network": {"rank": 1, "inputs": 1, "outputs": 1},
    "task": {"kind": "exponential_filter", "decay": 0.2},
}
PAIRS = {"network.inputs": 2, "task": {"kind": "filters", "targets": [{"kind": "integrator", "output": 1, "input": 1}]}}


def changed(changes):
    content = copy.deepcopy(VALID)
    for path, value in changes.items():
        *tables, key = path.split(".")
        place = content
        for table in tables:
            place = place[table]
        if value is None:
            del place[key]
        else:
            place[key] = value
    return content


MESSAGES = [
    ({"network.rank": 0}, "network.rank: found 0; accepted: a number >= 1"),
    ({"network.rank": -2}, "network.rank: found -2; accepted: a number >= 1"),
    ({"network.rank": 1.5}, "network.rank: found 1.5; accepted: an integer"),
    ({"network.rank": True}, "network.rank: found True; accepted: an integer"),
    ({"network.rank": "2"}, "network.rank: found '2'; accepted: an integer, without a decimal point or quotes"),
    ({"network.rank": None}, "network.rank: found neither a rank nor dynamics"),
    ({"network.rnak": 1}, "unknown key 'rnak' in [network]; did you mean 'rank'?; accepted keys: rank, inputs"),
    ({"nework": {}}, "unknown key 'nework' at the top level; did you mean 'network'?; accepted keys: name"),
    ({"network.nonlinearity": "linaer"}, "unknown nonlinearity 'linaer'; did you mean 'linear'?; accepted: linear"),
    ({"network.readout": "after"}, "network.readout: found 'after'; did you mean 'after_update'?; accepted: 'before_"),
    ({"network.dt": math.nan}, "network.dt: found nan; accepted: a finite number"),
    ({"network.dt": -0.1}, "network.dt: found -0.1; accepted: a number > 0"),
    ({"network.dt": 3.0}, "network.dt: found dt = 3.0, longer than tau = 1.0; accepted: 0 < dt <= tau"),
    ({"network.tau": "1"}, "network.tau: found '1'; accepted: a number, without quotes"),
    ({"network.inputs": 2}, 'task.kind: found \'exponential_filter\', which has one target, with 2 input(s)'),
    ({"task": None}, "missing key 'task' at the top level; accepted: a table"),
    ({"task": 3}, "task: found 3; accepted: a table of keys and values"),
    ({"task.kind": None}, "missing key 'kind' in [task]; accepted: one of exponential_filter, damped_oscillation"),
    ({"task.kind": "filter"}, "task.kind: unknown kind 'filter'; did you mean 'filters'?; accepted: exp"),
    ({"task.decy": 1.0}, "unknown key 'decy' in [task]; did you mean 'decay'?; accepted keys: kind, decay, amplitude"),
    ({"task.horizon": 20.03}, "task.horizon: found 20.03, which is 400.6 time steps of network.dt = 0.05; accepted"),
    ({"task.horizon": 0.05, "network.readout": "before_update"}, "task.horizon: found 0.05, which is 1 time steps"),
    ({"task.loss": {"reduction": "masked_mean"}}, "task.loss.reduction: found 'masked_mean'; accepted: 'sum_dt'"),
    ({"task.horizon": 1e308}, "task.horizon: found 1e+308, which is inf time steps; accepted: at most 1e+09 steps"),
    ({"task": {"kind": "damped_oscillation", "decay": 0.1, "frequency": 63.0}}, "task.frequency: found 63.0, of which"),
    ({"reference": "two\nlines"}, "reference: found 'two\\nlines'; accepted: text on one line"),
    ({"task.loss": {"factor": 0}}, "task.loss.factor: found 0; accepted: a number > 0"),
    ({"name": "a b"}, "name: found 'a b'; accepted: letters, digits and underscores, a letter first"),
    ({"name": "../x"}, "name: found '../x'; accepted: letters"),
    ({"learning": {"frozen": "m"}}, "learning.frozen: found 'm'; accepted: a list in [brackets]"),
    ({"learning": {"rule": "adam"}}, "learning.rule: found 'adam', which acts on weights element by element"),
    ({"learning": {"rule": "adam"}}, 'FullNetwork.train(optimizer="adam")'),
    ({"learning": {"rule": "sign_descent"}}, "so that no equations in overlaps close; accepted: 'gradient_descent'"),
    ({"learning": {"rule": "nestrov"}}, "learning.rule: found 'nestrov'; did you mean 'nesterov'?"),
    ({"learning": {"rule": 3}}, "learning.rule: found 3; accepted: 'gradient_descent' or 'momentum' or 'nesterov'"),
    ({"learning": {"momentum": 0.9}}, "learning.momentum: found 0.9 with rule = 'gradient_descent'; accepted: it with"),
    ({"learning": {"rule": "momentum", "momentum": 1.0}}, "momentum: found 1.0; accepted: a number > 0 and < 1"),
    ({"learning": {"rates": {"u": 0}}}, "learning.rates.u: found 0; accepted: a number > 0"),
    ({"learning": {"rates": {"u": 2}, "frozen": ["u"]}}, "learning.rates: found 'u', which is frozen"),
    ({"learning": {"clip": 0}}, "learning.clip: found 0; accepted: a number > 0"),
    ({"learning": {"weight_decay": -1}}, "learning.weight_decay: found -1; accepted: a number >= 0"),
    ({"learning": {"weigth_decay": 1}}, "unknown key 'weigth_decay' in [learning]; did you mean 'weight_decay'?"),
    ({"learning": {"label_noise": 0.1}}, "learning.label_noise: found 0.1 with task.kind 'exponential_filter'"),
    (PAIRS, "task.targets: no target for output 1, input 2; accepted: one table for each pair"),
    ({**PAIRS, "network.inputs": 1, "task": {**PAIRS["task"], "targets": []}}, "task.targets: found []; accepted: a"),
    (
        {"task": {"kind": "filters", "targets": [{"kind": "integrator", "output": 2, "input": 1}]}},
        "task.targets[1]: found output 2, input 1 which the network does not have",
    ),
    (
        {"task": {"kind": "filters", "targets": [{"kind": "integrator", "output": 1, "input": 1}] * 2}},
        "task.targets[2]: found output 1, input 1 twice",
    ),
    (
        {"task": {"kind": "filters", "targets": [{"kind": "integratr", "output": 1, "input": 1}]}},
        "task.targets[1].kind: unknown kind 'integratr'; did you mean 'integrator'?",
    ),
    (
        {"task": {"kind": "filters", "targets": [{"kind": "integrator", "output": 1, "input": 1, "decay": 1.0}]}},
        "unknown key 'decay' in [task.targets[1]]; accepted keys: kind, amplitude, output, input",
    ),
    ({"network.rank": 0, "network.dt": "x"}, "(also wrong: network.dt)"),
]  # fmt: skip


def task(kind, **keys):
    return {"task": {"kind": kind, **keys}}


MESSAGES += [
    (task("flipflop"), "task.kind: unknown kind 'flipflop'; did you mean 'flip_flop'?; accepted: exponential_filter, "),
    (task("flip_flop", bits=3), "network.inputs: found 1, but task.kind 'flip_flop' has 3 inputs; accepted: 3"),
    (
        {**task("flip_flop", bits=3), "network.inputs": 3, "network.outputs": 2},
        "network.outputs: found 2, but task.kind 'flip_flop' has 3 outputs; accepted: 3",
    ),
    (
        task("context_integration"),
        "network.inputs: found 1, but task.kind 'context_integration' has 4 inputs; accepted: 4",
    ),
    ({**task("sine_generation"), "network.outputs": 2}, "but task.kind 'sine_generation' has 1 output; accepted: 1"),
    (
        task("flip_flop", bts=3),
        "unknown key 'bts' in [task]; did you mean 'bits'?; accepted keys: kind, batch, data, loss",
    ),
    (task("flip_flop", duration=1e6), "task.duration: found 1000000.0, which makes trials of 2e+07 steps of dt = 0.05"),
    (task("flip_flop", duration=1e308), "task.duration: found 1e+308, which makes trials of inf steps of dt = 0.05"),
    (task("flip_flop", duration=0), "task.duration: found 0; accepted: a number > 0"),
    (task("flip_flop", pulse_rate=30), "task.pulse_rate: found 30.0, which is more than one pulse in each step of dt"),
    (task("flip_flop", batch=10**7), "task.batch: found 10000000; accepted: a number <= 1000000"),
    (task("flip_flop", data="frsh"), "task.data: found 'frsh'; did you mean 'fresh'?; accepted: 'fresh' or 'fixed'"),
    (task("flip_flop", loss={"factor": 0}), "task.loss.factor: found 0; accepted: a number > 0"),
    (task("decision_making", delay=1e5), "task.delay: found 100000.0, which makes trials of 2e+06 steps of dt = 0.05"),
    (task("decision_making", delay=-1), "task.delay: found -1; accepted: a number >= 0"),
    (task("decision_making", coherences=[0.1, 51.2]), "task.coherences[2]: found 51.2; accepted: a number <= 1"),
    (task("decision_making", coherences=[]), "task.coherences: found []; accepted: a list of at least 1"),
    (task("decision_making", outputs="2"), "task.outputs: found '2'; accepted: 1 or 2"),
    (
        task("parametric_working_memory", pairs=[[1, 2], [1, 2, 3]]),
        "task.pairs[2]: found [1, 2, 3]; accepted: a list of",
    ),
    (task("parametric_working_memory", pairs=[[1, 2], [3, 3]]), "task.pairs[2]: found 3.0 twice, which leaves nothing"),
    (task("delayed_addition", presentation=1), "task.presentation: found 1.0, too short for two pulses of pulse_width"),
    (
        task("delayed_addition", pulse_width=1e308),
        "task.presentation: found 8.0, too short for two pulses of pulse_wid",
    ),
    (
        task("delayed_reproduction", lowest=3),
        "task.lowest: found 3.0, above highest = 1.0; accepted: lowest <= highest",
    ),
    (
        task("sine_generation", frequencies=[1, 11]),
        "task.frequencies[2]: found 11.0, of which steps of dt = 0.05 see less",
    ),
    (
        task("teacher", rank=2),
        "task.overlaps: found the default, a teacher of rank 1 with one input and one output, for on",
    ),
    (task("teacher", overlaps={}), "task.overlaps: found none; accepted: each loss-visible overlap of the teacher"),
    (
        task("teacher", overlaps={"zm": 1}),
        "task.overlaps: found the name 'zm'; accepted: names of overlaps, such as z_m",
    ),
    (task("teacher", overlaps={"z_m": "1"}), "task.overlaps.z_m: found '1'; accepted: a number, without quotes"),
    (
        task("teacher", nonlinearity="linaer"),
        "task.nonlinearity: unknown nonlinearity 'linaer'; did you mean 'linear'?",
    ),
    (
        task("teacher", drive="smooth", duration=0.5),
        "task.correlation_time: found 1.0, longer than duration = 0.5; accepted: at most the duration of a trial",
    ),
]


@pytest.mark.parametrize(("changes", "message"), MESSAGES, ids=[m[:40] for _, m in MESSAGES])
def test_message(changes, message):
    with pytest.raises(SpecError) as error:
        symlow.Spec.model_validate(changed(changes))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_wrong_item_of_a_list_is_one_mistake():
    with pytest.raises(SpecError) as error:
        symlow.Spec.model_validate(changed(task("decision_making", coherences=[51.2])))
    assert "also wrong" not in str(error.value)


def test_constructor_translates_errors_too():
    with pytest.raises(SpecError, match="missing key 'network'"):
        symlow.Spec(name="x")


def test_not_toml(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("name = = 3")
    with pytest.raises(SpecError, match=r"bad.toml: not valid TOML: .*line 1, column 8"):
        symlow.Spec.load(path)


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileError, match="no such file; expected a specification"):
        symlow.Spec.load(tmp_path / "none.toml")
    with pytest.raises(FileError, match="is a directory, expected a specification"):
        symlow.Spec.load(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(FileError, match="not UTF-8 text"):
        symlow.Spec.load(tmp_path / "binary.toml")


def test_canonical_form_does_not_depend_on_order_or_defaults():
    spec = symlow.Spec.model_validate(VALID)
    written = json.loads(spec.canonical())
    del written["format"]
    assert symlow.Spec.model_validate(dict(reversed(written.items()))).digest == spec.digest
    assert len(spec.digest) == 64
    assert symlow.Spec.model_validate(changed({"network.rank": 2})).digest != spec.digest
    frozen = [symlow.Spec.model_validate(changed({"learning": {"frozen": f}})) for f in (["z", "m"], ["m", "z", "m"])]
    assert frozen[0].digest == frozen[1].digest
    pairs = [{"kind": "integrator", "output": 1, "input": k} for k in (1, 2)]
    orders = [changed({"network.inputs": 2, "task": {"kind": "filters", "targets": t}}) for t in (pairs, pairs[::-1])]
    assert len({symlow.Spec.model_validate(order).digest for order in orders}) == 1


def test_infinite_horizon_has_a_canonical_form():
    spec = symlow.Spec.model_validate(changed({"task.horizon": math.inf}))
    assert json.loads(spec.canonical())["task"]["horizon"] == "inf"
    assert symlow.Spec.from_toml('name="a"\n[network]\nrank=1\n[task]\nkind="integrator"\nhorizon=inf').digest


TRIAL_TASKS = {
    "flip_flop": {"network": {"inputs": 3, "outputs": 3}, "bits": 3},
    "decision_making": {"network": {"outputs": 2}, "outputs": 2},
    "context_integration": {"network": {"inputs": 4}},
    "parametric_working_memory": {"network": {}, "pairs": [[10, 18], [18, 10]]},
    "delayed_match_to_sample": {"network": {"inputs": 2}},
    "delayed_addition": {"network": {}},
    "delayed_reproduction": {"network": {}},
    "sine_generation": {"network": {}, "frequencies": [0.1, 0.2]},
    "teacher": {"network": {}, "overlaps": {"z_m": 1, "v_m": 2.0}},
}


def trial_spec(kind, **keys):
    own = {key: value for key, value in TRIAL_TASKS[kind].items() if key != "network"}
    network = {"rank": 1, **TRIAL_TASKS[kind]["network"]}
    return {"name": "example", "network": network, "task": {"kind": kind, **own, **keys}}


@pytest.mark.parametrize("kind", TRIAL_TASKS)
def test_canonical_form_of_trial_tasks(kind):
    spec = symlow.Spec.model_validate(trial_spec(kind))
    written = json.loads(spec.canonical())
    del written["format"]
    again = symlow.Spec.model_validate(written)
    assert (again, again.digest) == (spec, spec.digest)
    assert spec.digest != symlow.Spec.model_validate(trial_spec(kind, batch=7)).digest


def test_teacher_overlaps_cannot_be_changed():
    teacher = symlow.Spec.model_validate(trial_spec("teacher")).task
    with pytest.raises(TypeError, match="does not support item assignment"):
        teacher.overlaps["z_m"] = 3.0
    default = json.loads(symlow.Spec.model_validate(changed(task("teacher"))).canonical())["task"]["overlaps"]
    assert default == {"z_m": 0.5, "z_u": 2.3, "v_m": 2.0, "v_u": 1.5, "m_u": 1.6, "m_m": 1.8, "u_u": 2.2}


def test_frozen():
    spec = symlow.Spec.model_validate(VALID)
    with pytest.raises(ValidationError, match="frozen"):
        spec.name = "other"


def test_schema_describes_every_key():
    schema = symlow.Spec.model_json_schema()
    network = schema["$defs"]["NetworkSpec"]["properties"]
    assert set(network) == {
        "rank", "inputs", "outputs", "nonlinearity", "bias", "means", "dt", "tau", "readout",
        "dynamics", "vectors", "populations", "states", "environment",
    }  # fmt: skip
    undescribed = [
        f"{table}.{key}"
        for table, definition in schema["$defs"].items()
        for key, entry in definition.get("properties", {}).items()
        if "description" not in entry and key not in ("kind", "loss")
    ]
    assert undescribed == []


COMMENTED = new_specification("commented", 2, equations=True)
FLOW, ACTIVITIES, READOUT = tomllib.loads(COMMENTED)["network"]["dynamics"].splitlines()
GATE = "s = sigmoid(G.T*phi(h)/N)"
IN_COMMENTS = {  # the lines of a network with each equation, its further vectors, and its environment
    "h' = -h + U*a + F*y + M*x": ((ACTIVITIES, READOUT), {"f": 1}, {}),
    "h' = -h + U*hadamard(a, s) + M*x": ((ACTIVITIES, GATE, READOUT), {"g": 2}, {}),
    GATE: ((FLOW, ACTIVITIES, READOUT), {"g": 2}, {}),
    "r' = -r + phi(U*V.T*r/N + M*x)": (("y = Z.T*r/N",), {}, {}),
    "5*w' = -w + h": ((FLOW, ACTIVITIES, READOUT), {}, {}),
    "h[t+1] = U*a + M*x": ((ACTIVITIES, READOUT), {}, {}),
    "h[0] = S": ((FLOW, ACTIVITIES, READOUT), {"s": 1}, {}),
    "e[t+1] = [[1, 1], [0, 1]]*e + [0, 1]*y": ((FLOW, ACTIVITIES, READOUT), {}, {"e": 2}),
}


def test_equations_in_the_comments_of_a_new_specification_close():
    shown = re.findall(r"^#   (\S+ = .*?)(?: {3,}.*)?$", COMMENTED, re.MULTILINE)
    assert shown == list(IN_COMMENTS)
    for line, (others, vectors, environment) in IN_COMMENTS.items():
        table = tomllib.loads(COMMENTED)
        table["network"] |= {"dynamics": [line, *others], "environment": environment}
        table["network"]["vectors"] |= vectors
        assert symlow.derive(symlow.Spec.model_validate(table)).visible


def test_new_specification_is_valid_and_commented():
    text = new_specification("my_network", 2)
    assert symlow.Spec.from_toml(text).network.rank == 2
    assert text.count("#") > 10
    equations = symlow.Spec.from_toml(new_specification("my_network", 2, equations=True)).network
    assert {vector.name: vector.columns for vector in equations.vectors} == {"m": 1, "u": 2, "v": 2, "z": 1}
    with pytest.raises(SpecError, match="name: found"):
        new_specification("not a name")


SCALARS = st.none() | st.booleans() | st.integers(-3, 50) | st.floats() | st.text(max_size=6)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
KEYS = st.sampled_from(
    [
        *("name", "network", "task", "learning", "extra", "network.rank", "network.dt", "network.readout"),
        *("network.x", "task.kind", "task.decay", "task.horizon", "task.targets", "task.loss", "task.drive"),
    ]
)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=3))
def test_mutated_specifications_raise_only_our_errors(changes):
    content = copy.deepcopy(VALID)
    for path, value in changes.items():
        table, _, key = path.rpartition(".")
        place = content.get(table, {}) if table else content
        if isinstance(place, dict):
            place[key] = value
    message = "valid"
    try:
        assert symlow.Spec.model_validate(content).digest
    except SymlowError as error:
        message = str(error)
    assert message
    assert "\n" not in message


NUMBERS = st.floats(0.0, 1e308) | st.floats(0.0, 10.0) | st.integers(0, 5)
TRIAL_VALUES = (
    NUMBERS
    | VALUES
    | st.lists(NUMBERS, max_size=4)
    | st.lists(st.lists(NUMBERS, max_size=3), max_size=3)
    | st.dictionaries(st.sampled_from(["z_m", "v1_u2", "factor", "reduction", "zm", ""]), NUMBERS, max_size=3)
    | st.sampled_from(["fresh", "fixed", "sign", "difference", "smooth", "linear"])
)


def mutated(kind):
    keys = [*type(symlow.Spec.model_validate(trial_spec(kind)).task).model_fields, "extra"]
    keys.remove("kind")
    return st.tuples(st.just(kind), st.dictionaries(st.sampled_from(keys), TRIAL_VALUES, min_size=1, max_size=3))


@settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(TRIAL_TASKS)).flatmap(mutated), st.just(0.05) | NUMBERS)
def test_mutated_trial_tasks_raise_only_our_errors(mutation, dt):
    kind, changes = mutation
    content = trial_spec(kind)
    content["task"].update(changes)
    content["network"].update(dt=dt, tau=10.0)
    message = "valid"
    try:
        spec = symlow.Spec.model_validate(content)
        assert spec.digest
        assert 1 <= spec.task.steps(spec.network.dt) <= 1_000_010
        assert list(spec.task.epochs(spec.network.dt).values())[-1].stop == spec.task.steps(spec.network.dt)
    except SymlowError as error:
        message = str(error)
    assert message
    assert "\n" not in message
