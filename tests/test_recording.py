"""Runs on disk: what is written is what is learned, and an interruption at any moment leaves no trace in the result."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import symlow
from symlow import programs, recording, run_files
from symlow.errors import DependencyError, FileError, FlowError, LearningError
from tests.conftest import EXPONENTIAL, compiled, derived, states

TASK = {**EXPONENTIAL, "horizon": 5.0}
FLIP_FLOP = {"kind": "flip_flop", "batch": 2, "duration": 2.0, "pulse_rate": 1.0}


def run(task, path=None, steps=20, method="step", **more):
    """Six histories, some of which converge and one of which diverges, recorded at every third step."""
    d, module = derived(task), compiled(task)
    call = {"module": module, "every": 3, "output": path, "method": method, **more}
    lr, stop = np.array([0.05, 0.01, 0.03, 0.2, 0.01, 0.02]), None
    if method == "step":
        lr, stop = lr * [1, 1, 1, 1e7, 1, 1], {"loss": 0.5, "patience": 1}
    return symlow.learn(d, states(module, 6), lr, steps, **{"stop": stop, **call})


def contents(path):
    """All bytes of a file, or of the files of a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [(file.relative_to(path).as_posix(), file.read_bytes()) for file in files if file.is_file()]


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(recording, "BLOCK_BYTES", 1500)
    monkeypatch.setattr(run_files, "BLOCK_BYTES", 1500)


@pytest.mark.parametrize("suffix", [".npz", ".zarr"])
@pytest.mark.parametrize("method", ["step", "flow"])
def test_what_is_written_is_what_is_learned(tmp_path, small_blocks, suffix, method):
    expected = run(TASK, method=method)
    path = tmp_path / f"run{suffix}"
    streamed = run(TASK, path, method=method)
    assert [child.name for child in tmp_path.iterdir()] == [path.name]
    for found in (streamed, run(TASK, path, method=method, resume=True)):
        for name in ("sigma", "loss", "drift", "step", "stopped", "reason", "lr"):
            assert np.array_equal(
                np.asarray(getattr(found, name)), getattr(expected, name), equal_nan=name in ("sigma", "loss", "drift")
            ), name
    if method == "step":
        assert sorted(set(expected.reason.tolist())) == ["converged", "diverged", "took all steps"]
    arrays = run_files.read_run(path)
    assert tuple(arrays["overlaps"]) == derived(TASK).overlaps
    assert str(arrays["digest"]) == derived(TASK).spec.digest
    assert np.asarray(arrays["drift"]).shape == (len(expected.step), 6, len(expected.conserved))
    saved = expected.save(tmp_path / f"saved{suffix}")
    for name, array in run_files.read_run(saved).items():
        equal = np.asarray(array) == np.asarray(arrays[name])
        assert (equal | (np.asarray(array) != np.asarray(array))).all(), name


def test_labelled_arrays_open_with_their_names(tmp_path):
    import xarray

    run(TASK, tmp_path / "run.zarr", parameters={"task.decay": 0.3})
    with xarray.open_zarr(tmp_path / "run.zarr") as found:
        assert dict(found["sigma"].sizes) == {"step": 8, "history": 6, "overlap": 10}
        assert found["sigma"].sel(overlap="v_u").isel(step=0).values == pytest.approx(
            states(compiled(TASK), 6)[:, derived(TASK).overlaps.index("v_u")]
        )
        assert (found["parameter_values"].sel(parameter="task.decay") == 0.3).all()


def test_one_history_has_no_axis(tmp_path):
    d, module = derived(TASK), compiled(TASK)
    expected = symlow.learn(d, states(module, 1)[0], 0.1, 5, module=module)
    for suffix in (".npz", ".zarr"):
        found = symlow.learn(d, states(module, 1)[0], 0.1, 5, module=module, output=tmp_path / f"run{suffix}")
        assert np.array_equal(np.asarray(found.sigma), expected.sigma)
        assert (found.lr, found.seed, found.stopped.shape) == (0.1, 0, ())


def test_large_runs_are_mapped(tmp_path, small_blocks):
    found = run(TASK, tmp_path / "run.npz")
    assert isinstance(found.sigma, np.memmap)
    with np.load(tmp_path / "run.npz") as arrays:
        assert np.array_equal(arrays["sigma"], found.sigma, equal_nan=True)


class InterruptionError(Exception):
    pass


def interrupted_after(count):
    def track(numbers):
        for k, number in enumerate(numbers):
            if k == count:
                raise InterruptionError
            yield number

    return track


@pytest.mark.parametrize(("task", "method"), [(TASK, "step"), (FLIP_FLOP, "step"), (TASK, "flow")])
def test_interrupted_runs_go_on(tmp_path, monkeypatch, task, method):
    monkeypatch.setattr(recording, "BLOCK_SECONDS", 0.0)
    seeds = {"seed": [0, 1, 0, 2, 3, 3]}
    run(task, tmp_path / "whole.npz", method=method, **seeds)
    path = tmp_path / "run.npz"
    for count in (0, 1, 2, 5):
        with pytest.raises(InterruptionError):
            run(task, path, method=method, resume=True, track=interrupted_after(count), **seeds)
        assert not path.exists()
    taken = []
    run(
        task,
        path,
        method=method,
        resume=True,
        track=lambda numbers: (taken.append(k) or k for k in numbers),
        **seeds,
    )
    assert len(taken) == 20 - 8
    assert path.read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_evaluations_of_a_flow_are_counted_over_interruptions(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "BLOCK_SECONDS", 0.0)
    with pytest.raises(InterruptionError):
        run(TASK, tmp_path / "run.npz", method="flow", track=interrupted_after(15))
    with np.load(tmp_path / "run.npz.parts" / "progress.npz") as progress:
        taken = int(progress["evaluations"])
    # More than enough for the quarter that is left, but not on top of what was taken.
    monkeypatch.setattr(sys.modules["symlow.flow"], "MOST_EVALUATIONS", taken + 1)
    with pytest.raises(FlowError, match=f"took more than {taken + 1} evaluations"):
        run(TASK, tmp_path / "run.npz", method="flow", resume=True)


KILLED = """
    import os, shutil, signal, sys
    from pathlib import Path
    import numpy as np
    from symlow import recording, run_files
    from tests.test_recording import TASK, contents, run

    recording.BLOCK_BYTES = run_files.BLOCK_BYTES = 1500
    folder, suffix = Path(sys.argv[1]), sys.argv[2]
    whole, path = folder / f"whole{suffix}", folder / f"run{suffix}"
    run(TASK, whole)
    events = 0

    def kill_at(moment):
        # Each time that a file below the folder is opened, renamed or removed, before it happens.
        def hook(event, arguments):
            global events
            if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir") and "run" in str(arguments[0]):
                events += str(folder) in os.path.abspath(str(arguments[0]))
                if events == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)

    def damage():
        # What a write that was cut short leaves behind the last block that counts.
        for name in ("sigma", "loss"):
            file = recording.parts_folder(path) / f"{name}.f8"
            if file.exists():
                with file.open("ab") as stream:
                    stream.write(b"\\x7f" * 13)

    killed = 0
    for moment in range(1, 1000, int(sys.argv[3])):
        child = os.fork()
        if child == 0:
            kill_at(moment)
            run(TASK, path, resume=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        killed += 1
        if not path.exists():
            damage()
        run(TASK, path, resume=True)
        assert contents(path) == contents(whole), moment
        assert not recording.parts_folder(path).exists()
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    print(killed)
"""


@pytest.mark.parametrize(("suffix", "every"), [(".npz", 7), (".zarr", 131)])
def test_killed_runs_go_on(tmp_path, suffix, every):
    program = textwrap.dedent(KILLED)
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), suffix, str(every)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parent.parent,
        env=environment,
    )
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) > 2


def test_other_inputs_are_refused(tmp_path):
    path = tmp_path / "run.npz"
    with pytest.raises(InterruptionError):
        run(TASK, path, track=interrupted_after(2))
    with pytest.raises(FileError, match=r"run.npz.parts: holds an interrupted run; resume it .* or start again"):
        run(TASK, path)
    for different, name in (
        ({"steps": 21}, "steps"),
        ({"seed": 1}, "seed"),
        ({"every": 2}, "every"),
        ({"stop": None}, "stop"),
        ({"parameters": {"task.decay": 0.3}}, "task.decay"),
        ({"method": "flow", "stop": None}, "lr, method, stop"),
    ):
        with pytest.raises(FileError, match=f"cannot be resumed, for these inputs are not those of its run: {name}"):
            run(TASK, path, resume=True, **different)
    with pytest.raises(FileError, match="module, specification"):
        run(FLIP_FLOP, path, resume=True)
    run(TASK, path, resume=True)
    with pytest.raises(FileError, match=r"run.npz: cannot be resumed, .*: steps; give the same"):
        run(TASK, path, resume=True, steps=21)
    with pytest.raises(FileError, match=r"run.npz: exists and was left as it is"):
        run(TASK, path)
    assert run(TASK, path, overwrite=True, steps=3).step.tolist() == [0, 3]


def test_other_programs_are_other_inputs(tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    with pytest.raises(InterruptionError):
        run(TASK, path, track=interrupted_after(2))
    found = dict(programs.versions("numpy"))
    for name in ("symlow", "numpy", "scipy"):
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules["symlow.learn"], "versions", lambda backend, name=name: {**found, name: "0.1"})
            with pytest.raises(FileError, match=f"are not those of its run: {name}; give the same"):
                run(TASK, path, resume=True)
    assert set(programs.versions("numba")) == {*found, "numba", "llvmlite"}


def test_the_precision_of_jax_is_an_input():
    import jax

    names = []
    for wide in (False, True):
        with jax.enable_x64(wide):
            names.append(programs.versions("jax")["jax_enable_x64"])
    assert names == ["False", "True"]


def test_outputs_that_are_wrong(tmp_path, monkeypatch):
    with pytest.raises(FileError, match=r"run.csv: found the suffix '.csv'; accepted: .npz or .zarr"):
        run(TASK, tmp_path / "run.csv")
    with pytest.raises(FileError, match=r"the folder .* does not exist"):
        run(TASK, tmp_path / "none" / "run.npz")
    with pytest.raises(LearningError, match="resume: found no output to resume"):
        run(TASK, resume=True)
    (tmp_path / "mine.zarr").mkdir()
    with pytest.raises(FileError, match=r"is a folder that holds no .zarr data, and was left as it is"):
        run(TASK, tmp_path / "mine.zarr", overwrite=True)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(FileError, match=r"text.npz: not the .npz file of a run"):
        run(TASK, tmp_path / "text.npz", resume=True)
    with pytest.raises(InterruptionError):
        run(TASK, tmp_path / "run.npz", track=interrupted_after(2))
    (tmp_path / "run.npz.parts" / "sigma.f8").unlink()
    with pytest.raises(FileError, match="is damaged and cannot be resumed; start again"):
        run(TASK, tmp_path / "run.npz", resume=True)
    for package in ("xarray", "zarr"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(
                DependencyError, match=rf'^.zarr files need {package}, .*; pip install "symlow\[sweep\]"'
            ):
                run(TASK, tmp_path / "run.zarr")


def test_learning_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(LearningError, match="diverged in all 2"):
        symlow.learn(
            derived(TASK), states(compiled(TASK), 2), 1e6, 50, module=compiled(TASK), output=tmp_path / "r.npz"
        )
    assert list(tmp_path.iterdir()) == []


def test_files_of_runs_are_replaced_when_asked(tmp_path):
    for suffix in (".npz", ".zarr"):
        path = tmp_path / f"run{suffix}"
        run(TASK, path, steps=3)
        found = run(TASK, steps=6)
        with pytest.raises(FileError, match="exists and was left as it is"):
            found.save(path)
        found.save(path, overwrite=True)
        assert len(run_files.read_run(path)["step"]) == 3
    assert sorted(child.name for child in tmp_path.iterdir()) == ["run.npz", "run.zarr"]
