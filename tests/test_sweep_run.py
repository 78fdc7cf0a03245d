"""Sweeps run: the numbers are those of histories one by one, the bytes those of any way in which they were reached."""

from __future__ import annotations

import filecmp
import functools
import itertools
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import xarray

import symlow
from symlow.errors import DependencyError, FileError, SweepError, SymlowError
from symlow.initial import overlaps_of_weights, sample_weights
from symlow.sweep.histories import Grid
from symlow.sweep.parts import IDENTITY, Parts
from symlow.sweep.pool import MOST_ATTEMPTS, Failure, completed, processes
from symlow.sweep.result import partial_folder, read_identity
from symlow.sweep.specification import Sweep
from symlow.sweep.task import make_tasks, run_task
from tests.sweeps import (
    SPEC,
    SWEEP,
    square,
    square_at_third_attempt,
    square_but_die_at_three,
    write_sweep,
)
from tests.test_cli import fails, run, works

ROOT = Path(__file__).parents[1]
COURSE = """
spec = "small.toml"
steps = 200
record = "course"
every = 80
infeasible = "skip"
chunk = 2
zip = { start = ["v_u", "weights"] }

[initial]
neurons = 40
overlaps = { v_v = 1.5 }

[learning]
lr = 0.02

[[axes]]
over = "task.decay"
kind = "values"
values = [0.2, 0.5]

[[axes]]
over = "initial.v_u"
kind = "linspace"
start = -0.5
stop = 1.6
number = 4

[[axes]]
name = "weights"
over = "initial.seed"
kind = "integers"
number = 4

[[axes]]
over = "learning.lr"
kind = "values"
values = [0.02, 0.01, 100.0]
"""


@pytest.fixture(autouse=True)
def derived_once(monkeypatch):
    """The parent derives the same specification again and again."""
    monkeypatch.setattr("symlow.sweep.run.derive", derive)


@functools.lru_cache
def _derived(text):
    return symlow.derive(symlow.Spec.from_toml(text))


def derive(spec):
    return _derived(SPEC) if spec.digest == _derived(SPEC).spec.digest else symlow.derive(spec)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A sweep that ran on two workers without interruption."""
    folder = tmp_path_factory.mktemp("reference")
    sweep = Sweep.load(write_sweep(folder, COURSE))
    report = symlow.run_sweep(sweep, folder / "result.zarr", workers=2)
    assert (report.histories, report.tasks, report.resumed) == (24, 12, 0)
    assert report.statuses == {"took all steps": 12, "diverged": 6, "skipped": 6}
    return folder / "result.zarr"


def assert_same_bytes(first, second):
    def files(folder):
        return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())

    assert files(first) == files(second)
    assert filecmp.cmpfiles(first, second, files(first), shallow=False)[0] == files(first)


def test_each_history_is_the_one_that_learn_gives(reference):
    result = symlow.open_sweep(reference)
    assert dict(result.sizes) == {"decay": 2, "start": 4, "lr": 3, "overlap": 10, "step": 4}
    assert result.sigma.dims == ("decay", "start", "lr", "step", "overlap")
    assert set(result.coords) == {"decay", "v_u", "weights", "lr", "step", "overlap", "visible"}
    assert result.step.values.tolist() == [0, 80, 160, 200]
    derivations = {decay: _derived(SPEC.replace("decay = 0.2", f"decay = {decay}")) for decay in (0.2, 0.5)}
    for decay, place, lr in itertools.product((0.2, 0.5), range(4), (0.02, 0.01, 100.0)):
        derivation = derivations[decay]
        start = overlaps_of_weights(derivation, sample_weights(derivation, 40, 1.0, place))
        start[derivation.overlaps.index("v_v")] = 1.5
        start[derivation.overlaps.index("v_u")] = -0.5 + 0.7 * place
        found = result.sel(decay=decay, lr=lr).isel(start=place)
        assert found.initial.values == pytest.approx(start, rel=1e-14)
        if lr == 100.0 or place == 3:
            with pytest.raises(SymlowError, match="eigenvalue" if place == 3 else "diverged"):
                symlow.learn(derivation, start, lr, 200)
            assert str(found.status.values) == ("skipped" if place == 3 else "diverged")
            assert np.isnan(found.sigma.values[-1]).all()
            continue
        run = symlow.learn(derivation, start, lr, 200)
        assert (str(found.status.values), int(found.stopped_at)) == ("took all steps", 200)
        assert found.sigma.values == pytest.approx(run.sigma[[0, 80, 160, 200]], rel=1e-12)
        assert found.loss.values == pytest.approx(run.loss[[0, 80, 160, 200]], rel=1e-12)


def test_the_result_says_where_it_comes_from(reference):
    result = symlow.open_sweep(reference)
    assert result.attrs["sweep"] == COURSE
    assert result.attrs["digest"] == Sweep.load(reference.with_name("sweep.toml")).digest
    assert result.attrs["versions"]["numpy"] == np.__version__
    assert symlow.Spec.from_toml(SPEC).canonical() == result.attrs["specification"]
    assert result.v_u.attrs["over"] == "initial.v_u"
    assert result.overlap.values[result.visible.values].tolist() == ["z_m", "z_u", "v_m", "v_u"]
    xarray.testing.assert_identical(xarray.open_zarr(reference, chunks=None), result)  # opens without symlow too
    assert not partial_folder(reference).exists()


def test_a_killed_worker_changes_nothing(reference, tmp_path):
    killed = []

    def kill_one(numbers):
        for number in numbers:
            yield number
            if not killed:  # afterwards the one killed is a process without a command line
                children = psutil.Process().children(recursive=True)
                alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
                worker = next(child for child in alive if "LokyProcess" in " ".join(child.cmdline()))
                killed.append(worker.pid)
                worker.kill()

    sweep = Sweep.load(write_sweep(tmp_path, COURSE))
    report = symlow.run_sweep(sweep, tmp_path / "result.zarr", workers=3, track=kill_one)
    assert (len(killed), report.resumed) == (1, 0)
    assert_same_bytes(reference, tmp_path / "result.zarr")


def test_a_killed_sweep_is_resumed_by_the_same_command_on_dask_too(reference, tmp_path):
    path, result = write_sweep(tmp_path, COURSE), tmp_path / "result.zarr"
    command = [sys.executable, "-m", "symlow.cli", "sweep", str(path), "-o", str(result), "--workers", "1"]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        while process.poll() is None and len(list(partial_folder(result).glob("0*.npz"))) < 2:
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGKILL)
    assert not result.exists()
    with pytest.raises(SweepError, match="the sweep is not finished"):
        symlow.open_sweep(result)
    done = sorted(partial_folder(result).glob("0*.npz"))
    assert 2 <= len(done) < 12
    # Half a write leaves a file under a temporary name; a disk that failed, one that is damaged.
    (partial_folder(result) / ".000005.npz.abc.part").write_bytes(b"PK")
    done[0].write_bytes(done[0].read_bytes()[:-40])
    other = write_sweep(tmp_path, COURSE.replace("steps = 200", "steps = 20"), "other")
    assert "an interrupted sweep is there, which is another one (sweep.steps: 200 there, 20 here)" in fails(
        "sweep", other, "-o", result
    )
    said = works("sweep", path, "-o", result, "--dask", "local", "--workers", "1")
    assert (
        f"24 histories (decay 2 x start 4 x lr 3) in 12 tasks; 6 start from overlaps that no network has, and are "
        f"skipped; {len(done) - 1} task{'s' * (len(done) > 2)} done before" in said
    )
    assert "12 took all steps, 6 diverged, 6 skipped" in said
    assert_same_bytes(reference, result)
    assert not partial_folder(result).exists()


def test_a_whole_result_is_not_made_again(reference):
    sweep = Sweep.load(reference.with_name("sweep.toml"))
    said = []
    report = symlow.run_sweep(sweep, reference, tell=said.append)
    assert (report.resumed, report.tasks) == (12, 12)
    assert said == [f"{reference}: is there, whole, from the same sweep; nothing to do"]
    other = Sweep.load(write_sweep(reference.parent, COURSE.replace("lr = 0.02", "lr = 0.03"), "other"))
    with pytest.raises(SweepError, match=r"another sweep \(sweep.learning.lr: 0.02 there, 0.03 here\); .*--force"):
        symlow.run_sweep(other, reference)


def test_what_interruptions_leave_at_the_end_is_removed(tmp_path, monkeypatch):
    # In this process; what is looked at is the moments after the last task.
    monkeypatch.setattr("symlow.sweep.run.completed", lambda pool, function, tasks: enumerate(map(function, tasks)))
    sweep, result = Sweep.load(write_sweep(tmp_path)), tmp_path / "result.zarr"
    symlow.run_sweep(sweep, result)
    first = {path.name: path.read_bytes() for path in result.iterdir() if path.is_file()}
    identity = read_identity(result)
    Parts.open(result, identity).write(0, {"sigma": np.zeros(3)})  # killed after the result was put in its place
    symlow.run_sweep(sweep, result)
    assert not partial_folder(result).exists()
    Parts.open(result, {**identity, "format": 0})  # of another sweep: left as it is
    symlow.run_sweep(sweep, result)
    assert (partial_folder(result) / IDENTITY).is_file()
    (partial_folder(result) / IDENTITY).unlink()

    def interrupted(parts):
        raise KeyboardInterrupt

    other = Sweep.load(write_sweep(tmp_path, SWEEP.replace("steps = 20", "steps = 21")))
    with monkeypatch.context() as patch:
        patch.setattr("symlow.sweep.run.Parts.remove", interrupted)
        with pytest.raises(KeyboardInterrupt):
            symlow.run_sweep(other, result, force=True)
    report = symlow.run_sweep(other, result, force=True)
    assert (report.resumed, report.tasks) == (2, 2)
    assert symlow.open_sweep(result).stopped_at.values.tolist() == [[21] * 3] * 2
    assert not partial_folder(result).exists()
    assert first[".zattrs"] != (result / ".zattrs").read_bytes()


def test_results_of_other_programs_are_refused(tmp_path, monkeypatch):
    sweep = Sweep.load(write_sweep(tmp_path))
    Parts.open(tmp_path / "result.zarr", {"versions": {"numpy": "1"}, "format": 1})
    with pytest.raises(SweepError, match=r"format: 1 there, 2 here; versions.numpy: 1 there, 3 here|numpy: 1 there"):
        Parts.open(tmp_path / "result.zarr", {"versions": {"numpy": "3"}, "format": 2})
    (task,) = make_tasks(sweep, Grid(sweep.axes), [0])
    monkeypatch.setattr("symlow.sweep.task.versions", lambda *programs: {**task.versions, "numpy": "0.1"})
    with pytest.raises(SweepError, match=r"a worker runs other programs than this process \(numpy: .* there, 0.1 here"):
        run_task(task)


def test_what_a_task_raises_is_tried_again(tmp_path):
    with processes(2) as pool:
        items = [(tmp_path, k) for k in range(5)]
        assert dict(completed(pool, square_at_third_attempt, items)) == {k: k * k for k in range(5)}
        assert dict(completed(pool, square, items)) == {k: k * k for k in range(5)}


def test_a_task_that_kills_its_worker_is_found_out(tmp_path):
    with processes(2) as pool:
        found = dict(completed(pool, square_but_die_at_three, [(tmp_path, k) for k in range(5)]))
    failure = found.pop(3)
    assert isinstance(failure, Failure)
    assert "terminated" in str(failure.error)
    assert found == {k: k * k for k in (0, 1, 2, 4)}
    assert (tmp_path / "3").stat().st_size >= MOST_ATTEMPTS


def test_tasks_that_fail_are_reported_and_the_others_kept(tmp_path, monkeypatch):
    sweep = Sweep.load(write_sweep(tmp_path))

    def outcomes(pool, function, tasks):
        yield 1, Failure(MemoryError("too\nmuch"))
        yield 0, function(tasks[0])

    monkeypatch.setattr("symlow.sweep.run.completed", outcomes)
    with pytest.raises(
        SweepError, match=r"1 of 2 tasks failed .*: histories 5 to 5 \(MemoryError: too much\); the oth"
    ):
        symlow.run_sweep(sweep, tmp_path / "result.zarr", workers=1)
    assert [p.name for p in sorted(partial_folder(tmp_path / "result.zarr").iterdir())] == [
        "000000.npz",
        "identity.json",
    ]


def test_outputs_that_cannot_be(tmp_path, monkeypatch):
    sweep = Sweep.load(write_sweep(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    for name, message in (
        ("none/result.zarr", "the folder .* does not exist"),
        ("mine", "exists and is not the result of a sweep, so it was left as it is"),
        ("mine.txt", "exists and is not the result of a sweep"),
    ):
        with pytest.raises(FileError, match=message):
            symlow.run_sweep(sweep, tmp_path / name, force=True)
    for name in ("mine", "mine.txt", "none"):
        with pytest.raises(FileError, match="is not the result of a sweep; expected a folder that symlow sweep has"):
            symlow.open_sweep(tmp_path / name)
    (tmp_path / "other.zarr.partial").mkdir()
    (tmp_path / "other.zarr.partial" / "thesis.tex").touch()
    with pytest.raises(FileError, match=r"other.zarr.partial: exists and is not of a sweep"):
        symlow.run_sweep(sweep, tmp_path / "other.zarr")
    for workers in (0, 1.5, "2", True):
        with pytest.raises(SweepError, match=f"workers: found {workers!r}; accepted: an integer >= 1"):
            symlow.run_sweep(sweep, tmp_path / "result.zarr", workers=workers)
    with pytest.raises(SweepError, match="dask: no scheduler at 'nonsense://here'"):
        symlow.run_sweep(sweep, tmp_path / "result.zarr", dask="nonsense://here")
    with pytest.raises(SweepError, match="workers: found 3 with a cluster, which has workers of its own"):
        symlow.run_sweep(sweep, tmp_path / "result.zarr", workers=3, dask="tcp://127.0.0.1:1")
    for module, extra in (("joblib", "sweep"), ("distributed", "dask"), ("zarr", "sweep")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            with pytest.raises(DependencyError, match=rf'sweeps need {module}, .*; pip install "symlow\[{extra}\]"'):
                symlow.run_sweep(sweep, tmp_path / "third.zarr", dask="local" if module == "distributed" else None)


def test_generate_leaves_sweeps_out(tmp_path):
    from symlow.generate import specifications

    write_sweep(tmp_path, SWEEP)
    assert [path.name for path in specifications(tmp_path)] == ["small.toml"]


def test_the_command_says_what_it_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_sweep(tmp_path, SWEEP.replace('over = "seed"', 'over = "sed"'))
    assert fails("sweep", "sweep.toml") == (
        "error: sweep.toml: axes[2].over: unknown 'sed'; did you mean 'seed'?; accepted: seed, initial.seed, "
        "initial.neurons, initial.scale, trials.seed, learning.lr, initial.OVERLAP, or a number of the specification "
        "such as task.KEY, learning.KEY\n"
    )
    assert fails("sweep", "none.toml") == "error: none.toml: no such file; expected a sweep (TOML)\n"
    assert not list(Path().glob("*.zarr*"))

    def interrupted(pool, function, tasks):
        yield 0, function(tasks[0])
        raise KeyboardInterrupt

    write_sweep(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("symlow.sweep.run.completed", interrupted)
        result = run("sweep", "sweep.toml", "--workers", 1)
    assert (result.returncode, result.stderr) == (130, "interrupted; the same command goes on from here\n")
    monkeypatch.setattr("symlow.sweep.run.completed", lambda pool, function, tasks: enumerate(map(function, tasks)))
    assert works("sweep", "sweep.toml") == (
        "6 histories (v_u 2 x seed 3) in 2 tasks; 1 task done before\nwrote sweep.zarr: 6 took all steps\n"
    )
    assert works("sweep", "sweep.toml") == (
        "sweep.zarr: is there, whole, from the same sweep; nothing to do\nfound sweep.zarr: 6 took all steps\n"
    )


def test_the_sweep_of_the_readme(tmp_path, monkeypatch, capsys):
    readme = (ROOT / "README.md").read_text()
    folder = ROOT / "derivations" / "ger_barak_2026"
    text = (folder / "invisible_start.toml").read_text()
    (shown,) = [b for b in re.findall(r"^```toml\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL) if "[[axes]]" in b]
    assert shown in text
    monkeypatch.chdir(tmp_path)
    Path("rank1_linear.toml").write_text((folder / "rank1_linear.toml").read_text())
    Path("invisible_start.toml").write_text(text.replace("number = 37", "number = 3"))
    # In this process: what is looked at is what is shown.
    monkeypatch.setattr("symlow.sweep.run.completed", lambda pool, function, tasks: enumerate(map(function, tasks)))
    assert works("sweep", "invisible_start.toml").splitlines() == [
        "9 histories (m_u 3 x z_v 3) in 1 task; 3 start from overlaps that no network has, and are skipped",
        "wrote invisible_start.zarr: 6 converged, 3 skipped",
    ]
    section = re.search(r"^## Sweeps$.*?^## ", readme, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^>>> (.*)$", section[0], re.MULTILINE)
    assert len(commands) == 4
    exec("\n".join(commands), {})
    picture = tmp_path / "picture.png"
    monkeypatch.setattr("sys.argv", ["script", "invisible_start.zarr", "--picture", str(picture)])
    runpy.run_path(str(folder / "invisible_start.py"), run_name="__main__")
    assert picture.stat().st_size > 10_000
    assert capsys.readouterr().out.startswith("between 175 and ")
