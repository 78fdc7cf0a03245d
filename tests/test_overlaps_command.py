"""``symlow overlaps``: files of trained networks in every form, their scalings, and each damage as one line.

tests/trained/low_rank_rnn.pt was written once with PyTorch 2.13: ``torch.save(LowRankRNN().state_dict(), ...)`` after
``torch.manual_seed(2022)``, of a module with the parameters, in this order, wi (1, 60), wo (60, 1), m (60, 1),
n (60, 1), all ``torch.randn``, si = [0.5], so = [2.0], b and h0, zeros of 60. What ``torch.load`` reads from it stands
in ``READ_BY_TORCH``.
"""

from __future__ import annotations

import io
import pickle
import re
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

import symlow
from symlow.array_files import read_arrays
from symlow.errors import ArrayError, FileError, LearningError, UnknownNameError
from symlow.initial import stacked_weights
from symlow.simulate import FullNetwork
from symlow.torch_files import load_tensors
from tests.conftest import compiled, derived
from tests.test_cli import fails, works
from tests.test_realise import FILES, TRIALS, sampled, system

STORED = Path(__file__).parent / "trained" / "low_rank_rnn.pt"
READ_BY_TORCH = {  # shape, sum in double precision, last entry
    "wi": ((1, 60), -8.27494503906928, 1.4419792890548706),
    "wo": ((60, 1), 12.031568605452776, 0.2739406228065491),
    "m": ((60, 1), -7.358731446787715, 2.09726881980896),
    "n": ((60, 1), -4.35493342182599, 0.11966956406831741),
    "si": ((1,), 0.5, 0.5),
    "so": ((1,), 2.0, 2.0),
    "b": ((60,), 0.0, 0.0),
    "h0": ((60,), 0.0, 0.0),
}
SPEC = """
name = "trained"
[network]
rank = 1
nonlinearity = "tanh"
dt = 0.2
[task]
kind = "flip_flop"
duration = 4.0
batch = 3
"""
CHOICES = [(None, None), ("W/N", "y/N"), ("W/N", "y"), ("W", "y/N"), ("W", "y")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("spec.toml").write_text(SPEC)
    Path("trained.pt").write_bytes(STORED.read_bytes())
    return tmp_path


def erf(**network):
    return derived(TRIALS, nonlinearity="erf", **network)


def printed_overlaps(text):
    """The first table of the command, by overlap."""
    return {name: float(value) for name, value in re.findall(r"^│ (\w+_\w+) +│ +(\S+) │ loss-", text, re.MULTILINE)}


def random_arrays(neurons=9, inputs=1, rank=1, outputs=1, seed=0):
    random = np.random.default_rng(seed)
    shapes = {"wi": (inputs, neurons), "m": (neurons, rank), "n": (neurons, rank), "wo": (neurons, outputs)}
    return {name: random.standard_normal(shape) for name, shape in shapes.items()}


# PyTorch's files --------------------------------------------------------------------------------------------------


def test_a_state_dict_is_read_as_torch_reads_it():
    tensors = load_tensors(STORED)
    assert list(tensors) == list(READ_BY_TORCH)
    for name, (shape, total, last) in READ_BY_TORCH.items():
        assert tensors[name].shape == shape
        assert tensors[name].dtype == np.float32
        assert tensors[name].astype(float).sum() == pytest.approx(total, rel=1e-14, abs=1e-14)
        assert float(tensors[name].ravel()[-1]) == last


def torch_file(path, content, members=None, byteorder=b"little", compression=zipfile.ZIP_STORED):
    """An archive with a pickle and storages of one's own."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("a/data.pkl", content)
        archive.writestr("a/byteorder", byteorder)
        for name, data in (members or {}).items():
            archive.writestr(f"a/data/{name}", data)
    return path


class Named:
    """Something that pickles as a name, called with arguments."""

    def __init__(self, module, name, *arguments):
        self.module, self.name, self.arguments = module, name, arguments


class Storage(tuple):
    """Something that pickles as a persistent name: ("storage", kind, key, device, entries)."""

    __slots__ = ()


def pickled(value):
    """A pickle as torch.save makes it, by hand: dictionaries, tuples, integers, text, names and storages."""
    if isinstance(value, Storage):
        return pickled(tuple(value)) + b"Q"
    if isinstance(value, Named):
        called = f"c{value.module}\n{value.name}\n".encode()
        return called + (pickled(value.arguments) + b"R" if value.arguments else b"")
    if isinstance(value, dict):
        return b"}(" + b"".join(pickled(key) + pickled(entry) for key, entry in value.items()) + b"u"
    if isinstance(value, tuple):
        return b"(" + b"".join(pickled(entry) for entry in value) + b"t"
    if isinstance(value, str):
        return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()
    return b"J" + int(value).to_bytes(4, "little", signed=True)


def tensor(kind, key, entries, offset, size, stride):
    storage = Storage(("storage", Named("torch", kind), key, "cpu", entries))
    return Named("torch._utils", "_rebuild_tensor_v2", storage, offset, size, stride, 0, ())


def program(value):
    return b"\x80\x02" + pickled(value) + b"."


@pytest.mark.parametrize(
    ("kind", "code"), [("DoubleStorage", "f8"), ("FloatStorage", "f4"), ("HalfStorage", "f2"), ("LongStorage", "i8")]
)
@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_kinds_strides_and_orders_of_bytes(tmp_path, kind, code, byteorder):
    data = np.arange(12).astype((">" if byteorder == "big" else "<") + code).tobytes()
    content = {
        "rows": tensor(kind, "0", 12, 0, (3, 4), (4, 1)),
        "columns": tensor(kind, "0", 12, 1, (4, 2), (1, 4)),
        "inner": {"part": Named("torch._utils", "_rebuild_parameter", tensor(kind, "0", 12, 11, (1,), (1,)), 1, ())},
        "empty": tensor(kind, "0", 12, 0, (0, 3), (3, 1)),
        "epoch": 7,
    }
    found = load_tensors(torch_file(tmp_path / "a.pt", program(content), {"0": data}, byteorder.encode()))
    whole = np.arange(12).reshape(3, 4)
    assert list(found) == ["rows", "columns", "inner.part", "empty"]
    assert np.array_equal(found["rows"], whole)
    assert np.array_equal(found["columns"], whole.T.ravel(order="F")[1:][np.add.outer(np.arange(4), [0, 4])])
    assert np.array_equal(found["inner.part"], [11])
    assert found["empty"].shape == (0, 3)


def test_brain_floats(tmp_path):
    values = np.array([1.0, -2.5, 3e30], dtype=np.float32)
    upper = (values.view(np.uint32) >> 16).astype("<u2")
    content = {"x": tensor("BFloat16Storage", "0", 3, 0, (3,), (1,))}
    found = load_tensors(torch_file(tmp_path / "a.pt", program(content), {"0": upper.tobytes()}))["x"]
    assert np.allclose(found, values, rtol=2**-7, atol=0)


def test_nothing_that_a_file_says_is_run(tmp_path):
    for number, (module, name) in enumerate(
        [("os", "system"), ("builtins", "eval"), ("torch", "load"), ("numpy", "load"), ("__main__", "Model")]
    ):
        victim = tmp_path / "victim"
        path = torch_file(tmp_path / f"{number}.pt", program({"x": Named(module, name, f"touch {victim}")}))
        with pytest.raises(FileError, match=re.escape(f"found {module}.{name} in it, where only tensors")):
            load_tensors(path)
        assert not victim.exists()


WHOLE = tensor("FloatStorage", "0", 4, 0, (4,), (1,))
BROKEN = "not a file of torch.save, or damaged; save it again"


def numbers(key, *values):
    """Integers of eight bytes as a storage: as a size or stride they are NumPy's, which wrap around."""
    storage = Storage(("storage", Named("torch", "LongStorage"), key, "cpu", len(values)))
    return storage, np.array(values, "<i8").tobytes()


# Entries of four bytes: (3 - 1) * STEP wraps to 2 - 2**63 entries, and STEP * 4 to 4 bytes.
STEP, STEP_BYTES = numbers("1", 2**62 + 1)
DAMAGED = {
    "beyond the storage": ({"x": tensor("FloatStorage", "0", 4, 1, (4,), (1,))}, BROKEN),
    "beyond the storage by numbers that wrap": ({"x": tensor("FloatStorage", "0", 4, 0, (3,), STEP)}, BROKEN),
    "more entries than the storage": (
        {"x": tensor("FloatStorage", "0", 4, 0, (1000, 1000), (0, 0))},
        "found a tensor of shape (1000, 1000) with 4 entries in its storage, as one that was expanded has; save its "
        "copy, tensor.contiguous()",
    ),
    "a negative length": ({"x": tensor("FloatStorage", "0", 4, 0, (-1,), (1,))}, BROKEN),
    "strides of another length": ({"x": tensor("FloatStorage", "0", 4, 0, (2, 2), (1,))}, BROKEN),
    "a storage that is not there": ({"x": tensor("FloatStorage", "9", 4, 0, (4,), (1,))}, BROKEN),
    "a storage that is cut short": ({"x": tensor("FloatStorage", "0", 5, 0, (4,), (1,))}, BROKEN),
    "a kind that is none": (
        {"x": tensor("StringStorage", "0", 4, 0, (4,), (1,))},
        "found torch.StringStorage in it, where only tensors and plain data are read",
    ),
    "a size of text": ({"x": tensor("FloatStorage", "0", 4, 0, "ab", (1, 1))}, BROKEN),
    "a size of part of an entry": (
        {"x": tensor("FloatStorage", "0", 4, 0, tensor("FloatStorage", "0", 4, 0, (1,), (1,)), (1,))},
        BROKEN,
    ),
    "no storage": ({"x": Named("torch._utils", "_rebuild_tensor_v2", 1, 0, (1,), (1,))}, BROKEN),
    "no arguments": ({"x": Named("torch._utils", "_rebuild_tensor_v2", 1)}, BROKEN),
    "no tensor": ({"x": 1}, "holds no tensor; accepted: a state_dict, saved with torch.save"),
    "two of one name": ({"a": {"b": WHOLE}, "a.b": WHOLE}, "found two tensors of the name a.b; save the parameters"),
}


@pytest.mark.parametrize("damage", list(DAMAGED))
def test_damaged_tensors(tmp_path, damage):
    content, message = DAMAGED[damage]
    path = torch_file(tmp_path / "a.pt", program(content), {"0": bytes(16), "1": STEP_BYTES})
    with pytest.raises(FileError, match=re.escape(f"{path}: {message}")):
        load_tensors(path)


def test_sizes_can_be_storages(tmp_path):
    size, data = numbers("1", 2, 2)
    content = {"x": tensor("FloatStorage", "0", 4, 0, Named("torch", "Size", size), (1, 1))}
    path = torch_file(tmp_path / "a.pt", program(content), {"0": np.arange(4, dtype="<f4").tobytes(), "1": data})
    assert np.array_equal(load_tensors(path)["x"], [[0, 1], [1, 2]])


@pytest.mark.parametrize("thing", [WHOLE, Named("torch", "Size"), Named("torch._utils", "_rebuild_tensor_v2")])
def test_states_cannot_be_set(tmp_path, thing):
    content = b"\x80\x02" + pickled(thing) + b"N" + pickled({"array": 1, "__defaults__": ()}) + b"\x86b."
    with pytest.raises(FileError, match=BROKEN):
        load_tensors(torch_file(tmp_path / "a.pt", content, {"0": bytes(16)}))


def test_dictionaries_that_are_held_twice(tmp_path):
    """Forty that each hold the next one twice have 2**40 names for what is in the last."""
    for inside, message in ((pickled(WHOLE), "a dictionary that it holds more than once"), (b"K\x01", "no tensor")):
        content = b"}" + pickled("x") + inside + b"s"
        for k in range(40):
            content += b"q" + bytes([k]) + b"0}(" + b"".join(pickled(key) + b"h" + bytes([k]) for key in "ab") + b"u"
        with pytest.raises(FileError, match=message):
            load_tensors(torch_file(tmp_path / "a.pt", b"\x80\x02" + content + b".", {"0": bytes(16)}))
    within = b"\x80\x02}q\x00" + pickled("a") + b"h\x00s."
    with pytest.raises(FileError, match="found a, a dictionary that it holds more than once"):
        load_tensors(torch_file(tmp_path / "a.pt", within))
    shared = b"\x80\x02}(" + pickled("x") + pickled(WHOLE) + pickled("a") + b"}q\x00" + pickled("b") + b"h\x00u."
    assert list(load_tensors(torch_file(tmp_path / "a.pt", shared, {"0": bytes(16)}))) == ["x"]


def test_a_pickle_cannot_ask_for_memory(folder):
    content = b"\x80\x02}r" + (2**32 - 1).to_bytes(4, "little") + b"."
    assert "damaged" in fails("overlaps", torch_file("a.pt", content), "spec.toml")


def test_damaged_files(folder):
    whole = Path("trained.pt").read_bytes()
    random = np.random.default_rng(0)
    cut = [whole[: int(n)] for n in random.integers(1, len(whole), 8)]
    flipped = []
    for position in random.integers(0, len(whole), 40):
        changed = bytearray(whole)
        changed[position] ^= 0xFF
        flipped.append(bytes(changed))
    scrambled = []
    with zipfile.ZipFile(STORED) as archive:
        parts = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    for position in random.integers(2, len(parts["data.pkl"]), 60):
        content = bytearray(parts["data.pkl"])
        content[position] = random.integers(0, 256)
        members = {name.removeprefix("data/"): data for name, data in parts.items() if name.startswith("data/")}
        scrambled.append(Path(torch_file("scrambled.pt", bytes(content), members)).read_bytes())
    messages = []
    for content in (*cut, *flipped, *scrambled):
        Path("a.pt").write_bytes(content)
        try:
            assert all(isinstance(array, np.ndarray) for array in read_arrays("a.pt").values())
        except FileError as error:
            messages.append(str(error))
    assert len(messages) > 50
    assert all(re.fullmatch(r"a\.pt: [^\n]+", message) for message in messages)
    Path("a.pt").write_bytes(cut[0])
    assert fails("overlaps", "a.pt", "spec.toml").startswith("error: a.pt: ")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.pt", None, "none.pt: no such file; expected an .npz, .npy or .pt file"),
        (".", None, ".: is a directory, expected an .npz, .npy or .pt file"),
        ("a.pt", b"", "a.pt: not an .npz, .npy or PyTorch file"),
        ("a.pt", b"\x80\x02\x8a\nl\xfc\x9cF\xf9", "a.pt: a pickle, as of a PyTorch before 1.6"),
        ("a.npz", b"PK\x03\x04", "a.npz: a zip archive that is damaged"),
        ("a.npy", b"\x93NUMPY\x01\x00", "a.npy: not an .npy file of plain numbers, or damaged"),
    ],
)
def test_files_that_are_none(folder, name, content, message):
    if content is not None:
        Path(name).write_bytes(content)
    assert message in fails("overlaps", name, "spec.toml")


def test_objects_in_numpy_files(folder):
    stream = io.BytesIO()
    np.save(stream, np.array([{}], dtype=object), allow_pickle=True)
    Path("a.npy").write_bytes(stream.getvalue())
    assert "a.npy: not an .npy file of plain numbers" in fails("overlaps", "a.npy", "spec.toml")
    np.savez("a.npz", m=np.array([{}], dtype=object))
    assert "a.npz: not an .npz file of plain arrays" in fails("overlaps", "a.npz", "spec.toml")
    Path("b.pt").write_bytes(pickle.dumps(OrderedDict(x=1)))
    assert "b.pt: a pickle" in fails("overlaps", "b.pt", "spec.toml")
    torch_file("c.pt", program({"x": 1}), compression=zipfile.ZIP_DEFLATED)
    assert "c.pt: found a/byteorder compressed, as torch.save writes nothing" in fails("overlaps", "c.pt", "spec.toml")


# Scalings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("recurrent", "readout"), CHOICES)
def test_overlaps_are_those_by_hand_under_each_scaling(folder, recurrent, readout):
    options = [f"--{name}={value}" for name, value in (("recurrent", recurrent), ("readout", readout)) if value]
    text = works("overlaps", "trained.pt", "spec.toml", "--steps", 0, *options)
    found = printed_overlaps(text)
    tensors = {name: array.astype(float).ravel() for name, array in load_tensors(STORED).items()}
    m, u = 0.5 * tensors["wi"], tensors["m"]
    v = tensors["n"] * (60 if recurrent == "W" else 1)
    z = 2 * tensors["wo"] * (60 if readout == "y" else 1)
    vectors = {"m": m, "u": u, "v": v, "z": z}
    assert list(found) == ["z_m", "z_u", "v_m", "v_u", "m_u", "m_m", "u_u", "z_v", "v_v", "z_z"]
    for name, value in found.items():
        left, right = name.split("_")
        assert value == pytest.approx(sum(vectors[left] * vectors[right]) / 60, rel=1e-5)
    assert "multiplied into the columns that they scale: si, so" in text
    assert "left out: b, h0" in text
    assert ("V = n * 60" in text) == (recurrent == "W")
    assert ("Z = wo * 60" in text) == (readout == "y")


def code_of_a_low_rank_network(arrays, x, alpha, recurrent, readout, phi=np.tanh):
    """The published code, step by step: h += alpha (-h + r n m^T [/ N] + x wi), y = r wo [/ N]."""
    N = len(arrays["m"])
    h = np.zeros((len(x), N))
    outputs = []
    for t in range(x.shape[1]):
        drive = phi(h) @ arrays["n"] @ arrays["m"].T / (N if recurrent == "W/N" else 1)
        h = h + alpha * (-h + drive + x[:, t] @ arrays["wi"])
        outputs.append(phi(h) @ arrays["wo"] / (N if readout == "y/N" else 1))
    return np.stack(outputs, axis=1)


@pytest.mark.parametrize(("recurrent", "readout"), CHOICES[1:])
def test_networks_of_each_scaling_have_their_own_outputs_here(tmp_path, recurrent, readout):
    shape = {"rank": 2, "inputs": 3, "outputs": 2}
    d = derived(TRIALS, nonlinearity="tanh", dt=0.2, **shape)
    arrays = random_arrays(30, **shape)
    if recurrent == "W":
        arrays["n"] /= 10
    np.savez(tmp_path / "a.npz", **arrays)
    trained = symlow.load_weights(tmp_path / "a.npz", d, recurrent=recurrent, readout=readout)
    x = np.random.default_rng(1).standard_normal((4, 25, 3))
    expected = code_of_a_low_rank_network(arrays, x, 0.2, recurrent, readout)
    network = FullNetwork(d.network, d.loss.reduction, float(d.loss.factor))
    found = network.outputs(stacked_weights(d, trained.weights), x)
    assert np.abs(found - expected).max() < 1e-13 * np.abs(expected).max()


@pytest.mark.parametrize(("recurrent", "readout"), CHOICES[1:])
def test_learning_of_the_files_own_arrays_is_that_at_the_rates_named(tmp_path, recurrent, readout):
    """One step of gradient descent of the published code, by complex steps, beside the exact map of the overlaps."""
    arrays, eta = random_arrays(8), 30.0
    for name in ("n", "wo"):
        arrays[name] /= 4
    np.savez(tmp_path / "a.npz", **arrays)
    random = np.random.default_rng(2)
    x, y = random.standard_normal((2, 3, 10, 1))
    trained = symlow.load_weights(tmp_path / "a.npz", derived(TRIALS), recurrent=recurrent, readout=readout)
    rates = trained.rates(derived(TRIALS))
    tables = {"name": "rates", "network": {"rank": 1}, "task": TRIALS}
    tables["learning"] = {"rates": {name: rate / rates["m"] for name, rate in rates.items() if rate != rates["m"]}}
    d = symlow.derive(symlow.Spec.model_validate(tables))
    module = d.compile()

    def loss(given):
        outputs = code_of_a_low_rank_network(given, x, 0.05, recurrent, readout, phi=lambda h: h)
        return np.sum((outputs - y) ** 2) * 0.05 / 2 / len(x)  # the loss of trials: factor 1/2, dt, mean over the batch

    learned = {}
    for name, array in arrays.items():
        gradient = np.zeros(array.shape)
        for place in np.ndindex(array.shape):
            moved = {key: value.astype(complex) for key, value in arrays.items()}
            moved[name][place] += 1e-30j
            gradient[place] = loss(moved).imag / 1e-30
        learned[name] = array - eta * gradient
    np.savez(tmp_path / "b.npz", **learned)
    after = symlow.load_weights(tmp_path / "b.npz", d, recurrent=recurrent, readout=readout)
    before = module.overlaps_of(**trained.weights)
    assert float(module.loss(before, (x, y, None))) == pytest.approx(loss(arrays), rel=1e-12)
    expected = module.step(before, eta * rates["m"], (x, y, None))
    found = module.overlaps_of(**after.weights)
    assert np.abs(found - expected).max() < 1e-12 * np.abs(expected).max()
    assert np.abs(found - before).max() > 1e-3 * np.abs(expected).max()


SUMS = {
    "dynamics": ["h' = -h + U*a + M*x", "a = V.T*phi(h)", "y = Z.T*phi(h)"],
    "vectors": {"m": 1, "u": 1, "v": 1, "z": 1},
}


def test_equations_in_sums_over_neurons_take_the_other_factor(tmp_path):
    d = symlow.derive(symlow.Spec.model_validate({"name": "sums", "network": SUMS, "task": TRIALS}))
    module, arrays = d.compile(), random_arrays(6)
    np.savez(tmp_path / "a.npz", **arrays)
    plain = {"m": arrays["wi"].T, "u": arrays["m"], "v": arrays["n"], "z": arrays["wo"]}
    for (recurrent, readout), (v, z) in zip(
        CHOICES, [(1, 1), (1 / 6, 1 / 6), (1 / 6, 1), (1, 1 / 6), (1, 1)], strict=True
    ):
        trained = symlow.load_weights(tmp_path / "a.npz", d, recurrent=recurrent, readout=readout)
        assert (trained.recurrent, trained.readout) == (recurrent or "W", readout or "y")
        assert trained.by_default == (() if recurrent else ("recurrent", "readout"))
        by_hand = module.overlaps_of(**plain | {"v": v * plain["v"], "z": z * plain["z"]})
        assert np.allclose(module.overlaps_of(**trained.weights), by_hand, rtol=1e-14, atol=0)
        assert trained.rates(d) == {"m": 1, "u": 1, "v": pytest.approx(v**2), "z": pytest.approx(z**2)}


def test_what_reads_a_state_that_leaves_the_span_takes_the_factor(tmp_path):
    d, _ = system("architectures/rate_form")
    np.savez(tmp_path / "a.npz", **random_arrays(6))
    trained = symlow.load_weights(tmp_path / "a.npz", d, recurrent="W", readout="y/N")
    assert trained.factors == {"m": 1, "u": 1, "v": 6, "z": 1}


def test_a_vector_that_carries_and_reads_takes_no_factor(tmp_path):
    d, _ = system("architectures/symmetric_connectivity")
    arrays = random_arrays(7, rank=2)
    np.savez(tmp_path / "a.npz", m=arrays["wi"], u=arrays["m"], z=arrays["wo"])
    trained = symlow.load_weights(tmp_path / "a.npz", d, recurrent="W/N", readout="y")
    assert np.array_equal(trained.weights["z"], 7 * arrays["wo"])
    with pytest.raises(LearningError, match="where u, which reads neurons, carries activity too"):
        symlow.load_weights(tmp_path / "a.npz", d, recurrent="W")


# Names, shapes ----------------------------------------------------------------------------------------------------


def test_own_names_and_those_of_the_literature(tmp_path):
    arrays = random_arrays(9)
    expected = {"m": arrays["wi"].T, "u": arrays["m"], "v": arrays["n"], "z": arrays["wo"]}
    files = {
        "published": arrays,
        "transposed": {name: array.T for name, array in arrays.items()},
        "flat": {name: array.ravel() for name, array in arrays.items()},
        "of a module": {f"model.rnn.{name}": array for name, array in arrays.items()} | {"model.rnn.h0": np.zeros(9)},
        "own": expected,
    }
    for name, content in files.items():
        np.savez(tmp_path / "a.npz", **content)
        trained = symlow.load_weights(tmp_path / "a.npz", erf())
        for vector, array in expected.items():
            assert np.array_equal(trained.weights[vector], array), name
    np.savez(tmp_path / "a.npz", w_in=arrays["wi"], m=arrays["m"], n=arrays["n"], out=arrays["wo"], noise=np.ones(3))
    names = {"w_in": "M", "out": "z"}
    trained = symlow.load_weights(tmp_path / "a.npz", erf(), names, ignore=["noise"])
    assert all(np.array_equal(trained.weights[vector], array) for vector, array in expected.items())
    assert trained.left_out == ("noise",)
    assert len(repr(trained)) < 400
    np.savez(tmp_path / "a.npz", **arrays, si=np.ones(1), so=np.array([3.0]))
    trained = symlow.load_weights(tmp_path / "a.npz", erf())
    assert (trained.scalings, trained.left_out) == (("so",), ())
    assert np.array_equal(trained.weights["z"], 3 * arrays["wo"])
    np.savez(tmp_path / "a.npz", w_in=arrays["wi"], m=arrays["m"], n=arrays["n"], out=arrays["wo"], noise=np.ones(3))
    swapped = symlow.load_weights(tmp_path / "a.npz", erf(), names | {"n": "U", "m": "V"}, ignore=["noise"])
    assert np.array_equal(swapped.weights["u"], arrays["n"])


def test_all_that_belongs_to_no_vector_is_said_and_left_out_at_once(tmp_path):
    arrays = {f"model.{name}": array for name, array in random_arrays(9).items()} | {"model.b": np.ones(9)}
    arrays |= {f"other.state.{k}.{name}": np.ones(9) for k in range(4) for name in ("exp_avg", "exp_avg_sq")}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(FileError, match=r"found 9 arrays that belong to no vector .*, model.b of shape") as caught:
        symlow.load_weights(tmp_path / "a.npz", erf())
    assert str(caught.value).endswith("one of m, u, v, z, or --ignore model.b --ignore other")
    assert str(caught.value).count("of shape") == 3
    trained = symlow.load_weights(tmp_path / "a.npz", erf(), ignore=["model.b", "other"])
    assert len(trained.left_out) == 9
    assert trained.left_out_in_short == "model.b, other (8 arrays)"
    with pytest.raises(UnknownNameError, match="ignore: found 'oth', which is no array") as caught:
        symlow.load_weights(tmp_path / "a.npz", erf(), ignore=["oth"])
    assert len(str(caught.value)) < 300


def checkpoint(network):
    """What scripts save at the end of a training: the network, its optimizer, the last loss, the epoch."""
    state = {f"{k}.{name}": np.ones(9) for k in range(4) for name in ("exp_avg", "exp_avg_sq")}
    steps = {f"{k}.step": np.array(7.0) for k in range(4)}
    return (
        {f"model_state_dict.{name}": array for name, array in network.items()}
        | {f"optimizer_state_dict.state.{name}": array for name, array in (state | steps).items()}
        | {"loss": np.array(0.1), "model_state_dict.alpha": np.array(0.2), "epoch": np.array(30)}
    )


def test_optimizers_and_single_numbers_are_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", **checkpoint(random_arrays(9)))
    Path("spec.toml").write_text(SPEC)
    text = works("overlaps", "a.npz", "spec.toml", "--steps", 0)
    assert "left out: optimizer_state_dict (12 arrays), loss, model_state_dict.alpha, epoch\n" in text
    trained = symlow.load_weights("a.npz", erf())
    assert trained.sources["u"] == "model_state_dict.m"
    assert len(trained.left_out) == 15
    # A vector is one that --map names, wherever it stands.
    mapped = symlow.load_weights("a.npz", erf(), {"optimizer_state_dict.state.0.exp_avg": "m"}, ["model_state_dict.wi"])
    assert np.array_equal(mapped.weights["m"], np.ones((9, 1)))
    np.savez("a.npz", **checkpoint({}))
    said = fails("overlaps", "a.npz", "spec.toml")
    assert "no array for the vector m: found none, and 12 of an optimizer, left out; accepted: arrays m, u" in said


@pytest.mark.parametrize(
    "outer",
    ["optim", "optimizer", "optimizers", "optimiser", "optimizer_state", "optimizer_states", "OPTIM_STATE_DICT"],
)
def test_what_an_optimizer_holds_is_left_out(tmp_path, outer):
    arrays = random_arrays(9) | {f"{outer}.state.0.exp_avg": np.ones(9)}
    np.savez(tmp_path / "a.npz", **arrays)
    assert symlow.load_weights(tmp_path / "a.npz", erf()).left_out == (f"{outer}.state.0.exp_avg",)


@pytest.mark.parametrize("outer", ["optimal", "optimum", "optimized", "optical"])
def test_networks_whose_names_begin_like_an_optimizers_are_read(tmp_path, outer):
    arrays = random_arrays(9)
    np.savez(tmp_path / "a.npz", **{f"{outer}.{name}": array for name, array in arrays.items()})
    trained = symlow.load_weights(tmp_path / "a.npz", erf())
    assert trained.sources["u"] == f"{outer}.m"
    assert np.array_equal(trained.weights["u"], arrays["m"])


@pytest.mark.parametrize("prefix", ["", "rnn."])
@pytest.mark.parametrize(("si", "so"), [(2.0, 3.0), (2, np.float32(3)), ([2.0, 2.0], [3.0])])
def test_scalings_that_are_single_numbers_are_multiplied_in(tmp_path, prefix, si, so):
    arrays = random_arrays(9, inputs=2)
    named = {prefix + name: array for name, array in (arrays | {"si": np.array(si), "so": np.array(so)}).items()}
    np.savez(tmp_path / "a.npz", **named)
    trained = symlow.load_weights(tmp_path / "a.npz", erf(inputs=2))
    assert (trained.scalings, trained.left_out) == ((f"{prefix}si", f"{prefix}so"), ())
    assert np.array_equal(trained.weights["m"], 2 * arrays["wi"].T)
    assert np.array_equal(trained.weights["z"], 3 * arrays["wo"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("best_loss", 0.1),
        ("val.accuracy", 0.9),
        ("rnn.noise_std", 0.05),
        ("rec_noise", 0.05),
        ("learning_rate", 1e-3),
        ("Alpha", 0.2),
        ("loss2", 0.1),
        ("hidden_size", 9),
        ("train_si", True),
        ("bias", 0.0),
    ],
)
def test_single_numbers_that_are_no_weights_are_left_out(tmp_path, name, value):
    np.savez(tmp_path / "a.npz", **random_arrays(9), **{name: np.array(value)})
    assert symlow.load_weights(tmp_path / "a.npz", erf()).left_out == (name,)
    np.savez(tmp_path / "a.npz", P=np.random.default_rng(0).standard_normal((9, 4)), **{name: np.array(value)})
    assert symlow.load_weights(tmp_path / "a.npz", erf()).left_out == (name,)


@pytest.mark.parametrize("name", ["bias", "rnn.b", "gain", "alphabet", "glossy", "so"])
@pytest.mark.parametrize("whole", [True, False])
def test_single_numbers_that_can_be_weights_are_not(tmp_path, name, whole):
    arrays = {"P": np.random.default_rng(0).standard_normal((9, 4))} if whole else random_arrays(9)
    if name == "so" and not whole:  # of an array that is not there
        arrays["out"] = arrays.pop("wo")
    np.savez(tmp_path / "a.npz", **arrays, **{name: np.array(3.0)})
    names = {"out": "Z"} if "out" in arrays else {}
    with pytest.raises(FileError, match=rf"belongs to no vector .*, {name} of shape \(\); .*--ignore") as caught:
        symlow.load_weights(tmp_path / "a.npz", erf(), names)
    outer = str(caught.value).rpartition("--ignore ")[2]
    assert symlow.load_weights(tmp_path / "a.npz", erf(), names, ignore=[outer]).left_out == (name,)


def test_names_in_capitals(tmp_path):
    arrays = {name: np.random.default_rng(k).standard_normal((9, 1)) for k, name in enumerate("MUVZ")}
    np.savez(tmp_path / "a.npz", **arrays)
    trained = symlow.load_weights(tmp_path / "a.npz", erf())
    assert trained.sources == {"m": "M", "u": "U", "v": "V", "z": "Z"}
    assert np.array_equal(trained.weights["v"], arrays["V"])
    small = {name.lower(): 2 * array for name, array in arrays.items()}
    np.savez(tmp_path / "a.npz", **arrays, **small)
    with pytest.raises(FileError, match="found 4 arrays that belong to no vector and are not zero, M of shape"):
        symlow.load_weights(tmp_path / "a.npz", erf())


def test_the_scaling_is_said_with_what_else_it_can_be(folder):
    text = works("overlaps", "trained.pt", "spec.toml", "--steps", 0)
    assert "taken as W/N and y/N (--recurrent W, --readout y for code that does not divide)\n" in text
    assert "of the order of 1/N" not in text
    text = works("overlaps", "trained.pt", "spec.toml", "--steps", 0, "--recurrent", "W")
    assert "taken as W and y/N (--readout y for code that does not divide)\n" in text
    text = works("overlaps", "trained.pt", "spec.toml", "--steps", 0, "--recurrent", "W", "--readout", "y")
    assert "taken as W and y\n" in text
    arrays = {name: array.copy() for name, array in load_tensors(STORED).items()}
    arrays["wo"] /= 60
    np.savez("small.npz", **arrays)
    text = works("overlaps", "small.npz", "spec.toml", "--steps", 0)
    assert "its readout arrays have mean squares of the order of 1/N, as in code that does not divide" in text
    assert "if it is such, --readout y\n" in text
    assert "its recurrent arrays" not in text
    assert "1/N" not in works("overlaps", "small.npz", "spec.toml", "--steps", 0, "--readout", "y")


@pytest.mark.parametrize("size", [1e100, 1e150])
def test_numbers_beyond_the_largest_are_said_without_warnings(folder, size):
    np.savez("large.npz", **{name: size * array for name, array in random_arrays(9).items()})
    Path("linear.toml").write_text(SPEC.replace('"tanh"', '"linear"'))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = works("overlaps", "large.npz", "linear.toml", "--steps", 0)
    assert re.search(r"│ z_m +│ +-?[\d.]+e\+\d{3} ", text)


def test_columns_of_one_array_are_said(folder):
    np.save("P.npy", np.random.default_rng(0).standard_normal((30, 4)))
    text = works("overlaps", "P.npy", "spec.toml", "--steps", 0)
    assert "30 neurons: M = P, column 1; U = P, column 2; V = P, column 3; Z = P, column 4\n" in text
    assert re.search(r"overlap +.*value +.*kind +.*range, others kept", text)


def test_a_matrix_of_all_columns(tmp_path):
    d, module = derived(TRIALS, rank=2, outputs=2), compiled(TRIALS, rank=2, outputs=2)
    P = np.random.default_rng(0).standard_normal((11, 7))
    by_hand = P.T @ P / 11
    for matrix in (P, P.T, np.asfortranarray(P)):
        np.save(tmp_path / "a.npy", matrix)
        trained = symlow.load_weights(tmp_path / "a.npy", d)
        assert np.allclose(module.gram(module.overlaps_of(**trained.weights)), by_hand, rtol=0, atol=1e-14)
    np.save(tmp_path / "a.npy", P[:7])
    with pytest.raises(ArrayError, match=r"P: found shape \(7, 7\), of which either axis .* --axis P=0 or --axis P=1"):
        symlow.load_weights(tmp_path / "a.npy", d)
    for side, matrix in enumerate((P[:7], P[:7].T)):
        trained = symlow.load_weights(tmp_path / "a.npy", d, axes={"P": side})
        assert np.allclose(
            module.gram(module.overlaps_of(**trained.weights)), matrix.T @ matrix / 7, rtol=0, atol=1e-14
        )


def test_populations_have_numbers_of_neurons_of_their_own(tmp_path):
    d, module = system(FILES[1])
    random = np.random.default_rng(0)
    arrays = {name: random.standard_normal((12, 1)) for name in ("mE", "uE", "vE", "zE")}
    arrays |= {name: random.standard_normal(4) for name in ("mI", "uI", "vI")}
    np.savez(tmp_path / "a.npz", **arrays)
    trained = symlow.load_weights(tmp_path / "a.npz", d, recurrent="W")
    assert (trained.neurons, trained.factors["vI"], trained.factors["zE"], trained.factors["uI"]) == (16.0, 16.0, 1, 1)
    sigma = dict(zip(d.overlaps, module.overlaps_of(**trained.weights), strict=True))
    assert sigma["vI_mI"] == pytest.approx(16 * (arrays["vI"] @ arrays["mI"]) / 16)
    assert sigma["mE_oneE"] == pytest.approx(arrays["mE"].sum() / 16)
    np.savez(tmp_path / "a.npz", **arrays | {"uI": np.ones(5)})
    with pytest.raises(ArrayError, match="uI: found 5 neurons, where mI has 4"):
        symlow.load_weights(tmp_path / "a.npz", d)
    np.savez(tmp_path / "a.npz", **arrays | {name: np.ones(3) for name in ("mI", "uI", "vI")})
    ratio = "neurons: found 12, 3 of the populations E, I; accepted: numbers in the ratio of their weights, 3 : 1"
    with pytest.raises(ArrayError, match=ratio):
        symlow.load_weights(tmp_path / "a.npz", d)
    np.save(tmp_path / "a.npy", np.ones((16, 7)))
    with pytest.raises(ArrayError, match="array P: found one for 2 populations"):
        symlow.load_weights(tmp_path / "a.npy", d)


def test_velocities_are_zero_and_initial_states_can_be_vectors(tmp_path):
    np.savez(tmp_path / "a.npz", **random_arrays(9))
    d, module = system(FILES[3])
    assert module.overlaps_of(**symlow.load_weights(tmp_path / "a.npz", d).weights).shape == (36,)
    arrays = random_arrays(9, rank=2) | {"h0": np.arange(9.0)}
    np.savez(tmp_path / "a.npz", **arrays)
    started, _ = system("architectures/initial_state")
    trained = symlow.load_weights(tmp_path / "a.npz", started, {"h0": "S"})
    assert np.array_equal(trained.weights["s"].ravel(), np.arange(9.0))


@pytest.mark.parametrize(
    ("changes", "options", "error", "message"),
    [
        (
            {"n": None},
            {},
            FileError,
            "no array for the vector v: found wi, m, wo; accepted: arrays m, u, v, z and m, n",
        ),
        (
            {"h0": np.ones(9)},
            {},
            FileError,
            r"an array that belongs to no vector .*, h0 of shape \(9,\); .* --map h0=VECTOR, .*--ignore h0$",
        ),
        ({"n": np.ones((8, 1))}, {}, ArrayError, "n: found 8 neurons, where wi has 9; accepted: as many in both"),
        ({"n": np.ones((9, 2))}, {}, ArrayError, r"n: found shape \(9, 2\); accepted: \(N, 1\) or \(1, N\)"),
        ({"n": np.ones((9, 1, 1))}, {}, ArrayError, r"n: found shape \(9, 1, 1\)"),
        ({"n": np.full((9, 1), np.nan)}, {}, ArrayError, r"n: found nan at index \(0, 0\)"),
        ({"n": np.full((9, 1), 1j)}, {}, ArrayError, "n: found complex numbers"),
        ({"si": np.ones(3)}, {}, ArrayError, r"si: found shape \(3,\); accepted: \(1,\), meaning one for each column"),
        ({"rnn.m": np.ones(9), "m": None, "b.m": np.ones(9)}, {}, UnknownNameError, "which rnn.m, b.m end in"),
        ({}, {"names": {"n": "w"}}, UnknownNameError, "map: found n=w, which is no vector; accepted: m, u, v, z"),
        ({}, {"names": {"nn": "v"}}, UnknownNameError, "map: found 'nn', which is no array; did you mean 'n'"),
        ({}, {"names": {"n": "v", "m": "V"}}, UnknownNameError, "map: found two arrays for V"),
        ({}, {"ignore": ["x"]}, UnknownNameError, "ignore: found 'x', which is no array"),
        ({}, {"names": {"m": 3}}, UnknownNameError, "map: found m=3, which is no vector; accepted: m, u, v, z"),
        ({}, {"names": [("m", "u")]}, UnknownNameError, "map: found .*; accepted: a mapping by name"),
        ({}, {"names": {3: "m"}}, UnknownNameError, "map: found 3, which is no array; accepted: wi, m, n"),
        ({}, {"axes": 1}, UnknownNameError, "axis: found 1; accepted: a mapping by name, such as {'w_in': 1}"),
        ({}, {"ignore": "m"}, UnknownNameError, r"ignore: found 'm'; accepted: a list of names, such as \['optim"),
        ({}, {"ignore": 3}, UnknownNameError, "ignore: found 3; accepted: a list of names"),
        ({}, {"ignore": [3]}, UnknownNameError, "ignore: found 3, which is no array; accepted: wi, m, n"),
        ({}, {"readout": 2}, LearningError, "readout: found 2; accepted: 'y/N' or 'y'"),
        ({}, {"axes": {"n": 1}}, ArrayError, "n: found shape .* with axis 1 for neurons"),
        ({}, {"recurrent": "N"}, LearningError, "recurrent: found 'N'; accepted: 'W/N' or 'W'"),
        ({name: np.ones((0, 1)) for name in ("wi", "m", "n", "wo")}, {}, ArrayError, "wi: found no neuron"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, changes, options, error, message):
    arrays = {name: array for name, array in (random_arrays(9) | changes).items() if array is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(error, match=message) as caught:
        symlow.load_weights(tmp_path / "a.npz", erf(), **options)
    assert str(caught.value).startswith(str(tmp_path / "a.npz"))
    assert "\n" not in str(caught.value)


# The command ------------------------------------------------------------------------------------------------------


def test_help_has_an_example():
    assert "overlaps" in works("--help")
    assert "Example: symlow overlaps trained.pt" in works("overlaps", "--help")


def test_learning_is_that_of_symlow_learn(folder):
    given = "--steps", 6, "--lr", 0.02, "--seed", 3
    text = works("overlaps", "trained.pt", "spec.toml", *given, "-o", "run.npz", "--plot", "run.svg")
    d = symlow.derive(symlow.Spec.load("spec.toml"))
    sigma = d.compile().overlaps_of(**symlow.load_weights("trained.pt", d).weights)
    run_here = symlow.learn(d, sigma, 0.02, 6, seed=3)
    with np.load("run.npz") as saved:
        assert np.array_equal(saved["sigma"], run_here.sigma)
    rows = re.findall(r"^│ (\w+_\w+) +│ +(\S+) │ +(\S+) │ +(\S+) │$", text, re.MULTILINE)
    assert [name for name, *_ in rows] == list(d.overlaps)
    for (_, now, then, _), first, last in zip(rows, run_here.sigma[0], run_here.sigma[-1], strict=True):
        assert (float(now), float(then)) == (pytest.approx(first, rel=1e-5), pytest.approx(last, rel=1e-5))
    assert "wrote run.npz" in text
    assert Path("run.svg").stat().st_size > 1000
    assert "run.npz: exists and was left as it is" in fails(
        "overlaps", "trained.pt", "spec.toml", *given, "-o", "run.npz"
    )
    works("overlaps", "trained.pt", "spec.toml", *given, "-o", "run.npz", "--force")


def test_loss_is_of_the_overlaps_and_of_the_neurons(folder):
    d = symlow.derive(symlow.Spec.load("spec.toml"))
    sigma = np.asarray(sampled(d))
    weights = symlow.realise(d, sigma, neurons=40000)
    np.savez("wide.npz", **weights)
    text = works("overlaps", "wide.npz", "spec.toml", "--steps", 0)
    by_overlaps, by_neurons = map(
        float, re.findall(r"loss: (\S+) by the overlaps, (\S+) of the neurons, on 3 trials", text)[0]
    )
    assert by_overlaps == pytest.approx(by_neurons, rel=0.05)
    assert by_overlaps != by_neurons
    kurtosis = re.findall(r"^│ \w +│ +\S+ │ +\S+ │ +(\S+) │ +(\S+) │$", text, re.MULTILINE)
    assert len(kurtosis) == 4
    assert all(abs(float(excess)) < 0.2 and float(quantiles) > 0.999 for excess, quantiles in kurtosis)


def test_tasks_with_and_without_trials(folder):
    filters = 'name = "f"\n[network]\nrank = 1\n[task]\nkind = "exponential_filter"\ndecay = 0.2\nhorizon = '
    Path("endless.toml").write_text(filters + "inf\n")
    Path("short.toml").write_text(filters + "2.0\n")
    Path("given.toml").write_text('name = "t"\n[network]\nrank = 1\n[task]\nkind = "trials"\n')
    text = works("overlaps", "trained.pt", "endless.toml", "--steps", 3)
    assert re.search(r"^loss: \S+ by the overlaps$", text, re.MULTILINE)
    losses = re.findall(
        r"loss: (\S+) by the overlaps, (\S+) of the neurons$",
        works("overlaps", "trained.pt", "short.toml", "--steps", 0),
        re.MULTILINE,
    )
    assert losses[0][0] == losses[0][1]
    text = works("overlaps", "trained.pt", "given.toml")
    assert "loss and learning: not known, for the task has no trials of its own; give them with --trials" in text
    np.savez("trials.npz", x=np.ones((2, 5, 1)), y=np.ones((2, 5, 1)))
    text = works("overlaps", "trained.pt", "given.toml", "--trials", "trials.npz", "--steps", 2)
    assert "of the neurons, on 2 trials" in text
    assert "in 2 steps at lr = 0.005" in text


def test_rates_are_said_as_a_specification_takes_them(folder):
    text = works("overlaps", "trained.pt", "spec.toml", "--steps", 0, "--recurrent", "W", "--readout", "y")
    line = "lr = 0.01666666667 eta with [learning] rates = { v = 3600, z = 3600 }, were si and so one\n"
    assert line in text
    tables = {"name": "a", "network": {"rank": 1}, "task": TRIALS, "learning": {"rates": {"v": 3600, "z": 3600}}}
    assert symlow.Spec.model_validate(tables)
    text = works("overlaps", "trained.pt", "spec.toml", "--steps", 2, "--lr", 1e-6, "--recurrent", "W")
    assert "the prediction is at lr = 1e-06 and the rates of SPEC" in text


@pytest.mark.parametrize(
    "learning", ["weight_decay = 0.1", "clip = 0.5", 'rule = "momentum"', 'rule = "feedback_alignment"']
)
def test_rates_are_said_where_they_are_all_that_differs(folder, learning):
    Path("spec.toml").write_text(f"{SPEC}[learning]\n{learning}\n")
    text = works("overlaps", "trained.pt", "spec.toml", "--steps", 0, "--map", "b=bz" if "feed" in learning else "n=V")
    assert ("gradient descent of the file's own arrays" in text) == ("momentum" in learning)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--map", "wi"], "--map: found 'wi'; accepted: two names with = between, such as wi=M"),
        (["--axis", "wi=2"], "--axis wi: found '2'; accepted: 0 or 1"),
        (["--steps", -1], "--steps: found -1; accepted: an integer >= 0"),
        (["--steps", 0, "-o", "run.npz"], "--steps: found 0 with --output or --plot"),
        (["-o", "trained.pt", "--force"], "trained.pt: cannot be written to, it is an input of this command"),
        (["-o", "run.csv"], "run.csv: found the suffix '.csv'"),
        (["--trials", "none.npz"], "none.npz: no such file"),
    ],
)
def test_mistakes(folder, options, message):
    assert message in fails("overlaps", "trained.pt", "spec.toml", *options)
    assert sorted(path.name for path in folder.iterdir()) == ["spec.toml", "trained.pt"]
