"""Generated files in the repository: up to date, importable on their own, and free of this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from symlow.errors import FileError
from symlow.files import write_whole
from symlow.generate import GeneratedFile, drift, generated_files, specifications, write

ROOT = Path(__file__).parents[1]
SPECS = specifications(ROOT / "derivations")


def test_committed_files_are_up_to_date():
    files = generated_files(SPECS, ROOT / "derivations", ROOT / "generated")
    assert drift(files, ROOT / "generated", complete=True) == ""
    assert len(files) == 2 * len(SPECS) >= 8


def test_left_over_files_are_drift(tmp_path):
    files = [GeneratedFile(tmp_path / "a.py", "text\n")]
    write(files[0])
    (tmp_path / "b.py").write_text("old\n")
    assert drift(files, tmp_path, complete=False) == ""
    assert "left over, no specification makes it" in drift(files, tmp_path, complete=True)


@pytest.mark.parametrize("path", sorted((ROOT / "generated").rglob("*.py")), ids=lambda path: path.stem)
def test_generated_module_runs_without_symlow(path):
    # -S -I would hide NumPy too; the module may import it and nothing else of ours.
    program = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('m', {str(path)!r})\n"
        "m = importlib.util.module_from_spec(spec); spec.loader.exec_module(m)\n"
        "import numpy as np; P = np.random.default_rng(0).standard_normal((30, m.N_COLUMNS))\n"
        "sigma = (P.T @ P / 30)[m._ROWS, m._COLUMNS]\n"
        "assert m.loss(m.step(sigma, 1e-3)) < m.loss(sigma)\n"
        "assert not any(name.split('.')[0] in ('symlow', 'sympy', 'scipy') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_interrupted_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    write_whole(path, "old")

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(FileError, match="No space left on device"):
        write_whole(path, "new", overwrite=True)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
