"""Trial tasks: what is drawn is what the papers describe, the same for the same seed, and independent otherwise."""

from __future__ import annotations

import importlib.util
import inspect
import math
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import symlow
from symlow import tasks
from symlow.errors import ArrayError, SpecError
from symlow.spec_trials import GeneratedTask
from symlow.tasks import library
from symlow.tasks.trials import check_trials
from tests.conftest import spec

CHANNELS = {
    "flip_flop": (1, 1),
    "decision_making": (1, 1),
    "context_integration": (4, 1),
    "parametric_working_memory": (1, 1),
    "delayed_match_to_sample": (2, 1),
    "delayed_addition": (1, 1),
    "delayed_reproduction": (1, 1),
    "sine_generation": (1, 1),
    "teacher": (1, 1),
}
FUNCTIONS = [name for name in CHANNELS if name != "teacher"]
DT = 0.05


def leaky(x):
    """A teacher with memory, one step of a loop at a time: kappa' = -kappa + x."""
    y = np.zeros_like(x)
    for b in range(x.shape[0]):
        for o in range(x.shape[2]):
            kappa = 0.0
            for t in range(x.shape[1]):
                kappa += DT * (-kappa + x[b, t, o])
                y[b, t, o] = kappa
    return y


def table(kind, **keys):
    inputs, outputs = CHANNELS[kind]
    channels = {"inputs": keys.get("bits", inputs), "outputs": keys.get("bits", keys.get("outputs", outputs))}
    return spec({"kind": kind, **keys}, **channels).task


def generator(kind, dt=DT, **keys):
    return tasks.build_generator(table(kind, **keys), dt, teacher=leaky if kind == "teacher" else None)


def drawn(kind, batch=40, seed=1, dt=DT, **keys):
    return tasks.batches(generator(kind, dt, **keys), batch, seed)(0)


def equal(first, second):
    return all(a is b is None or np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("kind", CHANNELS)
def test_shapes_masks_and_defaults(kind):
    source = generator(kind)
    x, y, mask = source.trials(np.random.default_rng(0), 7)
    assert (source.inputs, source.outputs) == CHANNELS[kind]
    assert x.shape == (7, source.steps, source.inputs)
    assert y.shape == (7, source.steps, source.outputs)
    check_trials((x, y, mask), source.inputs, source.outputs)
    if mask is not None:
        assert mask.shape == y.shape
        assert set(np.unique(mask)) == {0.0, 1.0}
        assert (y[mask == 0] == 0).all()
    assert (table(kind).batch, table(kind).data, table(kind).loss.reduction) == (128, "fresh", "sum_dt")


@pytest.mark.parametrize("kind", CHANNELS)
def test_batches_depend_on_seed_and_number_only(kind):
    source = generator(kind)
    ahead, back = tasks.batches(source, 3, seed=5), tasks.batches(source, 3, seed=5)
    first = [ahead(k) for k in (0, 1, 2)]
    second = {k: back(k) for k in (2, 0, 1)}
    assert all(equal(first[k], second[k]) for k in (0, 1, 2))
    assert not equal(first[0], first[1])
    assert not equal(first[0], tasks.batches(source, 3, seed=6)(0))


@pytest.mark.parametrize("kind", CHANNELS)
def test_fixed_data_are_those_of_step_zero(kind):
    source = generator(kind)
    fixed = tasks.batches(source, 3, seed=5, data="fixed")
    assert equal(fixed(17), tasks.batches(source, 3, seed=5)(0))
    assert fixed(17)[0] is fixed(0)[0]
    with pytest.raises(ValueError, match="read-only"):
        fixed(2)[0][0, 0, 0] = 1.0


def test_noise_of_different_steps_and_trials_is_independent():
    source = tasks.batches(generator("teacher"), 100, seed=0)
    noise = np.stack([source(k)[0].ravel() for k in range(4)])
    off = np.corrcoef(noise)[np.triu_indices(4, 1)]
    assert np.abs(off).max() < 5 / math.sqrt(noise.shape[1])
    rows = source(0)[0][:, :, 0]
    assert np.abs(np.corrcoef(rows)[np.triu_indices(100, 1)]).max() < 5.5 / math.sqrt(rows.shape[1])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_draws_what_its_table_says(name):
    function = getattr(tasks, name)
    task = table(name)
    assert equal(function(seed=3), tasks.batches(tasks.build_generator(task, 0.05), task.batch, 3)(0))
    defaults = {key: p.default for key, p in inspect.signature(function).parameters.items()}
    assert defaults == {"seed": 0, "dt": 0.05, **task.model_dump(exclude={"kind", "data", "loss"})}
    assert all(f"    {key}: " in function.__doc__ for key in defaults)
    assert equal(function(**{**defaults, "batch": 2}), function(batch=2))


def test_default_time_step_is_that_of_networks():
    assert spec().network.dt == library.DT


def test_every_generated_kind_is_in_the_library():
    kinds = {sub.model_fields["kind"].annotation.__args__[0] for sub in leaves(GeneratedTask)}
    assert kinds == set(CHANNELS)
    assert set(FUNCTIONS) | {"teacher_student"} <= set(tasks.__all__)


def leaves(cls):
    return [leaf for sub in cls.__subclasses__() for leaf in leaves(sub)] or [cls]


# Each target once more, trial by trial and step by step, from the inputs alone.


def test_flip_flop_remembers_the_last_pulse():
    x, y, mask = drawn("flip_flop", bits=3)
    assert mask is None
    for b in range(x.shape[0]):
        for bit in range(3):
            state = 0.0
            for t in range(x.shape[1]):
                state = x[b, t, bit] if x[b, t, bit] != 0 else state
                assert y[b, t, bit] == state
    assert set(np.unique(x)) == {-1.0, 0.0, 1.0}
    assert set(np.unique(y)) == {-1.0, 0.0, 1.0}


def test_flip_flop_pulses_have_their_width_and_rate():
    x, _, _ = drawn("flip_flop", batch=400, pulse_width=0.2, pulse_rate=0.1)
    lengths = []
    for row in x[:, :, 0]:
        padded = np.concatenate(([0.0], row, [0.0]))
        starts = np.flatnonzero((padded[1:] != 0) & (padded[:-1] == 0))
        ends = np.flatnonzero((padded[1:] == 0) & (padded[:-1] != 0))
        lengths += [end - start for start, end in zip(starts, ends, strict=True) if end < len(row)]
    assert min(lengths) == 4  # 0.2 / 0.05; two that touch are longer
    assert np.mean(np.array(lengths) == 4) > 0.95
    # A single step of width tells each beginning: 400 trials of 20 at rate 0.1 have 800, give or take sqrt(800).
    single, _, _ = drawn("flip_flop", batch=400, pulse_width=0.05, pulse_rate=0.1)
    assert abs(np.count_nonzero(single) - 800) < 5 * math.sqrt(800)
    assert abs(single.sum()) < 5 * math.sqrt(800)


@pytest.mark.parametrize("outputs", [1, 2])
def test_decision_reports_the_sign_of_the_evidence(outputs):
    keys = {"coherences": [-0.4, 0.0, 0.1], "fixation": 0.5, "stimulus": 1.0, "delay": 0.25, "response": 0.5}
    x, y, mask = drawn("decision_making", sigma=0.0, outputs=outputs, **keys)
    assert x.shape[1] == 10 + 20 + 5 + 10
    answers = {-0.4: (-1.0, (0.0, 1.0)), 0.0: (0.0, (0.5, 0.5)), 0.1: (1.0, (1.0, 0.0))}
    for b in range(x.shape[0]):
        coherence = x[b, 10, 0]
        for t in range(45):
            assert x[b, t, 0] == (coherence if 10 <= t < 30 else 0.0)
            answer = answers[coherence][outputs - 1] if t >= 35 else 0.0
            assert np.array_equal(y[b, t], np.broadcast_to(answer, outputs))
            assert (mask[b, t] == (t >= 35)).all()
    assert set(np.unique(x[:, 10])) == {-0.4, 0.0, 0.1}


def test_context_selects_the_stream():
    keys = {"fixation": 0.5, "context": 0.25, "stimulus": 1.0, "delay": 0.0, "response": 0.1}
    x, y, mask = drawn("context_integration", sigma=0.0, amplitude=2.0, **keys)
    assert x.shape[1] == 10 + 5 + 20 + 0 + 2
    seen = set()
    for b in range(x.shape[0]):
        context = 0 if x[b, -1, 2] else 1
        for t in range(37):
            on = 2.0 if t >= 10 else 0.0
            assert tuple(x[b, t, 2:]) == ((on, 0.0) if context == 0 else (0.0, on))
            assert tuple(x[b, t, :2]) == (tuple(x[b, 15, :2]) if 15 <= t < 35 else (0.0, 0.0))
            sign = math.copysign(1.0, x[b, 15, context])
            assert (y[b, t, 0], mask[b, t, 0]) == ((sign, 1.0) if t >= 35 else (0.0, 0.0))
        seen.add((context, *np.sign(x[b, 15, :2])))
    assert len(seen) == 8  # every context with every pair of signs


@pytest.mark.parametrize("target", ["difference", "sign"])
def test_frequencies_are_compared(target):
    x, y, mask = drawn("parametric_working_memory", batch=200, target=target, fixation=0.0, delay=2.0)
    assert x.shape[1] == 0 + 20 + 40 + 20 + 20
    seen = set()
    for b in range(x.shape[0]):
        first, second = (22 + 24 * x[b, t, 0] for t in (0, 60))
        seen.add((round(first, 9), round(second, 9)))
        for t in range(100):
            shown = first if t < 20 else second if 60 <= t < 80 else 22
            assert 22 + 24 * x[b, t, 0] == pytest.approx(shown)
            answer = (first - second) / 24 if target == "difference" else math.copysign(1, first - second)
            assert y[b, t, 0] == pytest.approx(answer if t >= 80 else 0.0)
            assert mask[b, t, 0] == (t >= 80)
    assert seen == set(table("parametric_working_memory").pairs)


def test_matches_are_told():
    x, y, mask = drawn("delayed_match_to_sample", fixation=0.5, stimulus=0.5, delay=1.0, response=0.5)
    for b in range(x.shape[0]):
        sample, test = (0 if x[b, t, 0] else 1 for t in (10, 40))
        for t in range(60):
            shown = sample if 10 <= t < 20 else test if 40 <= t < 50 else None
            assert [x[b, t, k] for k in range(2)] == [float(shown == k) for k in range(2)]
            assert y[b, t, 0] == ((1.0 if sample == test else -1.0) if t >= 50 else 0.0)
            assert mask[b, t, 0] == (t >= 50)


def test_pulses_are_added():
    x, y, mask = drawn("delayed_addition", batch=200, fixation=0.5, presentation=1.0, pulse_width=0.2, delay=0.5)
    assert x.shape[1] == 10 + 20 + 10 + 60
    starts = set()
    for b in range(x.shape[0]):
        steps = [t for t in range(x.shape[1]) if x[b, t, 0] != 0]
        assert len(steps) == 8
        assert steps[0] >= 10
        assert steps[-1] < 30
        assert steps[:4] == list(range(steps[0], steps[0] + 4))
        assert steps[4:] == list(range(steps[4], steps[4] + 4))
        heights = {x[b, t, 0] for t in steps[:4]}, {x[b, t, 0] for t in steps[4:]}
        assert [len(h) for h in heights] == [1, 1]
        answer = heights[0].pop() + heights[1].pop()
        for t in range(x.shape[1]):
            assert y[b, t, 0] == pytest.approx(answer if t >= 40 else 0.0)
            assert mask[b, t, 0] == (t >= 40)
        starts.add((steps[0], steps[4]))
    possible = {(first, second) for first in range(10, 27) for second in range(first + 4, 27)}
    assert starts <= possible
    # Each of the 91 places of the two is as likely as the others.
    x, _, _ = drawn("delayed_addition", batch=9100, fixation=0.5, presentation=1.0, pulse_width=0.2, delay=0.5)
    onsets = [tuple(np.flatnonzero(row)[[0, 4]]) for row in x[:, :, 0]]
    counts = [onsets.count(pair) for pair in sorted(possible)]
    assert sum(counts) == 9100
    assert min(counts) > 50
    assert max(counts) < 150


def test_pulses_may_fill_the_presentation():
    x, _, _ = drawn("delayed_addition", presentation=1.0, pulse_width=0.5, fixation=0.0)
    assert np.count_nonzero(x, axis=1).ravel().tolist() == [20] * 40


def test_values_are_reproduced():
    x, y, mask = drawn("delayed_reproduction", fixation=0.5, stimulus=0.5, delay=0.0, response=0.5, lowest=2, highest=3)
    for b in range(x.shape[0]):
        for t in range(30):
            assert x[b, t, 0] == (x[b, 10, 0] if 10 <= t < 20 else 0.0)
            assert y[b, t, 0] == (x[b, 10, 0] if t >= 20 else 0.0)
            assert mask[b, t, 0] == (t >= 20)
    assert x[:, 10].min() > 2
    assert x[:, 10].max() < 3


def test_sines_have_the_frequency_of_their_cue():
    frequencies = [0.3, 0.1]
    x, y, mask = drawn("sine_generation", frequencies=frequencies, duration=2.0)
    assert mask is None
    assert set(np.unique(x)) == {0.25, 0.75}
    for b in range(x.shape[0]):
        frequency = frequencies[0 if x[b, 0, 0] == 0.25 else 1]
        for t in range(40):
            assert x[b, t, 0] == x[b, 0, 0]
            assert y[b, t, 0] == pytest.approx(math.sin(2 * math.pi * frequency * t * DT))


def test_teacher_answers_to_the_inputs():
    x, y, mask = drawn("teacher", batch=5)
    assert mask is None
    assert np.array_equal(y, leaky(x))
    x, y, _ = tasks.teacher_student(lambda x: x[:, :, :1] - x[:, :, 1:], inputs=2, batch=4, duration=1.0, seed=2)
    assert np.array_equal(y[..., 0], x[..., 0] - x[..., 1])


# Statistics, to five standard errors.


@pytest.mark.parametrize("dt", [0.05, 0.2])
@pytest.mark.parametrize(
    ("kind", "columns", "epoch"),
    [
        ("decision_making", slice(None), "stimulus"),
        ("context_integration", slice(0, 2), "stimulus"),
        ("parametric_working_memory", slice(None), "second"),
        ("delayed_match_to_sample", slice(None), "sample"),
        ("delayed_reproduction", slice(None), "stimulus"),
        ("delayed_addition", slice(None), "presentation"),
        ("teacher", slice(None), "trial"),
    ],
)
def test_noise_is_white_with_its_strength(kind, columns, epoch, dt):
    keys = {} if kind == "teacher" else {"stimulus": 8.0} if kind != "delayed_addition" else {}
    noisy, quiet = {"sigma": 0.7, **keys}, {"sigma": 1e-300, **keys}
    source = tasks.build_generator(table(kind, **noisy), dt, teacher=leaky)
    silent = tasks.build_generator(table(kind, **quiet), dt, teacher=leaky)
    where = source.task.epochs(dt)[epoch]
    x, plain = (s.trials(np.random.default_rng(3), 300)[0] for s in (source, silent))
    noise = (x - plain)[:, where, columns]
    assert abs(noise.mean()) < 5 * 0.7 / math.sqrt(dt * noise.size)
    assert noise.var() == pytest.approx(0.49 / dt, rel=5 * math.sqrt(2 / noise.size))
    assert abs(np.mean(noise[:, 1:] * noise[:, :-1])) < 5 * 0.49 / dt / math.sqrt(noise.size)
    # Its integral over the epoch has the variance sigma^2 T at every dt.
    integral = noise.sum(axis=1).ravel() * dt
    duration = noise.shape[1] * dt
    assert integral.var() == pytest.approx(0.49 * duration, rel=5 * math.sqrt(2 / integral.size))
    outside = np.delete(x - plain, np.arange(where.start, where.stop), axis=1)
    assert kind in ("parametric_working_memory", "delayed_match_to_sample") or not outside.any()


def test_smooth_noise_has_its_autocorrelation():
    x, _, _ = drawn("teacher", batch=400, drive="smooth", sigma=0.5, correlation_time=0.4)
    x = x[..., 0]
    effective = 400 * 20 / (0.4 * math.sqrt(math.pi))
    assert x.var() == pytest.approx(0.25, rel=5 * math.sqrt(2 / effective))
    for lag in (4, 8, 16):
        measured = np.mean(x[:, lag:] * x[:, :-lag]) / 0.25
        assert measured == pytest.approx(math.exp(-((lag * DT) ** 2) / (2 * 0.16)), abs=5 / math.sqrt(effective))
    # Stationary: as strong at the beginning as everywhere.
    assert x[:, 0].var() == pytest.approx(0.25, rel=5 * math.sqrt(2 / 400))


def test_conditions_are_balanced():
    x, y, _ = drawn("decision_making", batch=5000, sigma=0.0)
    listed = table("decision_making").coherences
    counts = np.array([np.count_nonzero(x[:, 30, 0] == c) for c in listed])
    assert counts.sum() == 5000
    assert np.abs(counts - 500).max() < 5 * math.sqrt(5000 * 0.1 * 0.9)
    assert abs(y[:, -1].sum()) < 5 * math.sqrt(5000)
    _, y, _ = drawn("delayed_match_to_sample", batch=5000, delay=0.1)
    assert abs(y[:, -1].sum()) < 5 * math.sqrt(5000)
    x, _, _ = drawn("context_integration", batch=5000, sigma=0.0)
    assert abs(x[:, -1, 2].sum() - 2500) < 5 * math.sqrt(5000) / 2
    streams = x[:, 100, :2]
    assert abs(np.corrcoef(streams.T)[0, 1]) < 5 / math.sqrt(5000)
    _, y, _ = drawn("delayed_reproduction", batch=5000, delay=0.0)
    assert y[:, -1].mean() == pytest.approx(0, abs=5 * math.sqrt(1 / 3 / 5000))
    assert y[:, -1].var() == pytest.approx(1 / 3, rel=0.1)


def test_conditions_do_not_depend_on_the_strength_of_noise():
    assert equal(drawn("context_integration", sigma=0.0)[1:], drawn("context_integration", sigma=0.9)[1:])


def test_durations_are_rounded_to_whole_steps_and_at_least_one():
    task = table("decision_making", fixation=0.0, stimulus=0.001, delay=0.12, response=0.13)
    assert task.epochs(0.05) == {
        "fixation": slice(0, 0),
        "stimulus": slice(0, 1),
        "delay": slice(1, 3),
        "response": slice(3, 6),
    }
    assert task.steps(0.05) == 6
    assert drawn("flip_flop", duration=0.001)[0].shape == (40, 1, 1)


# Messages.

CALLS = [
    (lambda: tasks.flip_flop(bts=2), "flip_flop: unknown argument 'bts'; did you mean 'bits'?; accepted: seed, dt"),
    (lambda: tasks.flip_flop(kind="x"), "flip_flop: unknown argument 'kind'"),
    (lambda: tasks.flip_flop(bits=0), "bits: found 0; accepted: a number >= 1"),
    (lambda: tasks.flip_flop(batch=0), "batch: found 0; accepted: a number >= 1"),
    (lambda: tasks.flip_flop(dt=0), "dt: found 0; accepted: a finite number > 0"),
    (lambda: tasks.flip_flop(dt=math.nan), "dt: found nan; accepted: a finite number > 0"),
    (lambda: tasks.flip_flop(dt="0.1"), "dt: found '0.1'; accepted: a finite number > 0"),
    (lambda: tasks.flip_flop(dt=True), "dt: found True; accepted: a finite number > 0"),
    (lambda: tasks.flip_flop(seed=True), "seed: found True; accepted: an integer >= 0"),
    (lambda: tasks.flip_flop(seed=-1), "seed: found -1; accepted: an integer >= 0"),
    (lambda: tasks.flip_flop(seed=1.5), "seed: found 1.5; accepted: an integer >= 0"),
    (lambda: tasks.flip_flop(dt=8.0), "pulse_rate: found 0.25, which is more than one pulse in each step of dt = 8.0"),
    (lambda: tasks.flip_flop(dt=1e-7), "duration: found 20.0, which makes trials of 2e+08 steps of dt = 1e-07"),
    (lambda: tasks.decision_making(coherences=[51.2]), "coherences[1]: found 51.2; accepted: a number <= 1.0"),
    (lambda: tasks.sine_generation(frequencies=[20.0]), "frequencies[1]: found 20.0, of which steps of dt = 0.05"),
    (lambda: tasks.teacher_student(leaky, rank=1), "teacher_student: unknown argument 'rank'"),
    (lambda: tasks.teacher_student(leaky, inputs=0), "inputs: found 0; accepted: an integer >= 1"),
    (lambda: tasks.build_generator(table("teacher"), DT), "task.kind: found 'teacher', but no teacher was given"),
    (lambda: tasks.batches(generator("flip_flop"), 0, 0), "batch: found 0; accepted: an integer >= 1"),
    (lambda: tasks.batches(generator("flip_flop"), 1, 0)(-1), "step: found -1; accepted: an integer >= 0"),
    (lambda: tasks.batches(generator("flip_flop"), 1, 0, "fixed")(-1), "step: found -1; accepted: an integer >= 0"),
    (lambda: tasks.batches(generator("flip_flop"), 1, 0, "old"), "data: found 'old'; accepted: 'fresh' or 'fixed'"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), CALLS, ids=[m[:50] for _, m in CALLS])
def test_messages_of_calls(call, message):
    with pytest.raises(SpecError) as error:
        call()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_teacher_of_the_wrong_shape_is_refused():
    with pytest.raises(ArrayError, match=r"y: found shape .*, the outputs of the teacher"):
        tasks.teacher_student(lambda x: x[:, :-1], batch=2)


def test_values_too_large_are_refused():
    with pytest.raises(ArrayError, match="trials: found values that are not finite"):
        tasks.decision_making(sigma=1e308, dt=0.01)


# The way through the package.


@pytest.mark.parametrize("kind", CHANNELS)
def test_loss_is_that_of_trials(kind):
    inputs, outputs = CHANNELS[kind]
    loss_table = {"reduction": "masked_mean", "factor": 1.0}
    loss = tasks.build_loss(spec({"kind": kind, "loss": loss_table}, inputs=inputs, outputs=outputs))
    assert isinstance(loss, tasks.TrialsLoss)
    assert (loss.inputs, loss.outputs, loss.reduction, loss.factor) == (inputs, outputs, "masked_mean", 1)


def test_learning_from_generated_trials_lowers_their_loss():
    derivation = symlow.derive(
        spec({"kind": "delayed_reproduction", "delay": 1.0, "loss": {"reduction": "masked_mean"}})
    )
    module = derivation.compile()
    P = np.random.default_rng(0).standard_normal((60, 4))
    sigma = module.overlaps_of(m=P[:, :1], u=P[:, 1:2], v=P[:, 2:3], z=P[:, 3:])
    task = derivation.spec.task
    source = tasks.build_generator(task, derivation.spec.network.dt)
    trials = tasks.batches(source, 32, seed=0, data="fixed")(0)
    run = symlow.learn(derivation, sigma, lr=0.1, steps=40, trials=trials)
    assert run.loss[-1] < 0.3 * run.loss[0]


# Adapters.


class PsychTask:
    """The interface of psychrnn.tasks.task.Task that the adapter uses."""

    def get_trial_batch(self):
        x = np.random.standard_normal((4, 9, 2))
        mask = np.ones((4, 9, 1), dtype=bool)
        mask[:, :3] = False
        return x, x[..., :1] + 1, mask, np.array([{}] * 4)


class GymEnvironment:
    """The interface of a neurogym environment that the adapter uses: trials of 8 to 10 steps, three classes."""

    action_space = SimpleNamespace(n=3, start=0)

    def __init__(self):
        self.rng = np.random.RandomState(0)

    def seed(self, seed):
        self.rng = np.random.RandomState(seed)

    def new_trial(self):
        length = self.rng.randint(8, 11)
        self.ob = self.rng.standard_normal((length, 2)).astype(np.float32)
        self.gt = np.zeros(length, dtype=np.int64)
        self.gt[-2:] = self.rng.randint(1, 3)


class GymDataset:
    """The interface of neurogym.Dataset that the adapter uses."""

    def __init__(self, batch_first=False):
        self.env, self.batch_first, self.seq_len = GymEnvironment(), batch_first, 12

    def __call__(self):
        inputs, labels = np.arange(12 * 5 * 2.0).reshape(12, 5, 2), np.arange(60).reshape(12, 5) % 3
        return (inputs.swapaxes(0, 1), labels.T) if self.batch_first else (inputs, labels)


def installed(*names):
    return all(importlib.util.find_spec(name) is not None for name in names)


def psychrnn_sources():
    sources = [PsychTask]
    if installed("psychrnn"):
        from psychrnn.tasks.perceptual_discrimination import PerceptualDiscrimination

        sources.append(lambda: PerceptualDiscrimination(dt=10, tau=100, T=500, N_batch=4))
    return sources


def neurogym_sources():
    sources = [(GymEnvironment, GymDataset)]
    if installed("neurogym", "torch"):  # without torch neurogym does not import
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import neurogym

        name = "PerceptualDecisionMakingDelayResponse-v0"
        sources.append((lambda: neurogym.make(name), lambda **keys: neurogym.Dataset(name, batch_size=5, **keys)))
    return sources


@pytest.mark.parametrize("task", psychrnn_sources())
def test_psychrnn(task):
    np.random.seed(1)
    x, y, mask = tasks.from_psychrnn(task())
    np.random.seed(1)
    expected = task().get_trial_batch()
    assert x.shape[0] == 4
    assert equal((x, y, mask), expected[:3])
    assert mask.dtype == np.float64


@pytest.mark.filterwarnings("ignore")  # of gymnasium, where the real package is installed
@pytest.mark.parametrize(("environment", "dataset"), neurogym_sources())
def test_neurogym_environment(environment, dataset):
    x, y, mask = tasks.from_neurogym(environment(), batch=6, seed=2)
    assert x.shape[:2] == y.shape[:2]
    assert len(x) == 6
    env = environment().unwrapped if hasattr(environment(), "unwrapped") else environment()
    env.seed(2)
    for row in range(6):
        env.new_trial()
        length = len(env.gt)
        assert np.allclose(x[row, :length], env.ob)
        assert not x[row, length:].any()
        assert (mask[row] == (np.arange(x.shape[1]) < length)[:, None]).all()
        for t in range(length):
            assert y[row, t].tolist() == [float(env.gt[t] == c) for c in range(env.action_space.n)]
    assert equal(tasks.from_neurogym(environment(), batch=6, seed=2), (x, y, mask))
    assert tasks.from_neurogym(environment(), batch=2, steps=5)[0].shape[1] == 5
    assert tasks.from_neurogym(environment(), batch=2, steps=500)[2].sum() < 2 * 500
    assert len(tasks.from_neurogym(environment())[0]) == 128


@pytest.mark.filterwarnings("ignore")  # of gymnasium, where the real package is installed
@pytest.mark.parametrize(("environment", "dataset"), neurogym_sources())
@pytest.mark.parametrize("batch_first", [False, True])
def test_neurogym_dataset(environment, dataset, batch_first):
    source = dataset(batch_first=batch_first)
    x, y, mask = tasks.from_neurogym(source)
    assert mask is None
    assert x.shape[:2] == y.shape[:2] == (5, source.seq_len)
    assert (y.sum(axis=-1) == 1).all()


def test_neurogym_labels_stay_with_their_inputs():
    first, second = (tasks.from_neurogym(GymDataset(batch_first)) for batch_first in (False, True))
    assert equal(first, second)
    x, y, _ = first
    for b in range(5):
        for t in range(12):
            assert y[b, t].argmax() == (x[b, t, 0] // 2) % 3


def test_neurogym_continuous_targets_are_taken_as_they_are():
    env = GymEnvironment()
    env.action_space = SimpleNamespace(shape=(2,))
    env.new_trial = lambda: vars(env).update(ob=np.ones((4, 3)), gt=np.full((4, 2), 0.5))
    _, y, mask = tasks.from_neurogym(env, batch=2)
    assert mask is None
    assert np.array_equal(y, np.full((2, 4, 2), 0.5))


def test_arrays_of_either_order():
    rng = np.random.default_rng(0)
    x, y, mask = rng.random((3, 7, 2)), rng.random((3, 7, 1)), rng.random((3, 7, 1)) < 0.5
    expected = (x, y, mask.astype(float))
    assert equal(tasks.from_arrays(x, y, mask), expected)
    assert equal(tasks.from_arrays(*(a.swapaxes(0, 1) for a in (x, y, mask)), order="time_first"), expected)
    assert tasks.from_arrays(x.tolist(), y)[2] is None


ADAPTED = [
    (lambda: tasks.from_arrays(np.ones((3, 7)), np.ones((3, 7, 1))), "x: found shape (3, 7); accepted: (any, any"),
    (lambda: tasks.from_arrays(np.ones((3, 7, 2)), np.ones((7, 3, 1))), "y: found shape (7, 3, 1); accepted: (3, 7,"),
    (lambda: tasks.from_arrays(np.ones((3, 7, 2)), np.ones((3, 7, 1)), -np.ones((3, 7, 1))), "mask: found negative"),
    (lambda: tasks.from_arrays(np.ones((3, 7, 2)), np.ones((3, 7, 1)), np.ones((3, 7))), "mask: found shape (3, 7)"),
    (lambda: tasks.from_arrays(np.ones((3, 0, 2)), np.ones((3, 0, 1))), "x: found shape (3, 0, 2), which holds no"),
    (lambda: tasks.from_arrays(np.ones((3, 7, 2)), np.ones((3, 7, 1)), order="b"), "order: found 'b'; accepted: 'ba"),
    (lambda: tasks.from_psychrnn(3), "task: found int without get_trial_batch(); accepted: a task of PsychRNN"),
    (lambda: tasks.from_psychrnn(SimpleNamespace(get_trial_batch=lambda: (1, 2))), "found 2 arrays; accepted: (x, y,"),
    (lambda: tasks.from_neurogym(3), "source: found int; accepted: an environment or a Dataset of NeuroGym"),
    (lambda: tasks.from_neurogym(GymDataset(), batch=3), "batch: found one for a Dataset; accepted: none"),
    (lambda: tasks.from_neurogym(GymEnvironment(), batch=0), "batch: found 0; accepted: an integer >= 1"),
    (lambda: tasks.from_neurogym(unsupervised(None)), "source: found no targets gt in GymEnvironment; accepted"),
    (lambda: tasks.from_neurogym(unsupervised(np.full(4, 3))), "gt: found labels that are no classes of the"),
    (lambda: tasks.from_neurogym(unsupervised(np.full(4, 0.5))), "gt: found labels that are no classes of the environ"),
]  # fmt: skip


def unsupervised(gt):
    env = GymEnvironment()
    env.new_trial = lambda: vars(env).update(ob=np.ones((4, 3)), gt=gt)
    return env


@pytest.mark.parametrize(("call", "message"), ADAPTED, ids=[m[:50] for _, m in ADAPTED])
def test_messages_of_adapters(call, message):
    with pytest.raises(ArrayError) as error:
        call()
    assert message in str(error.value)
    assert "\n" not in str(error.value)
