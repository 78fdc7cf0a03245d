"""The README: its equations are the derived ones, its Python runs, its commands are those of CI."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from symlow.cli import app
from tests.conftest import derived

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_equations_are_the_derived_ones():
    shown = [line for line in blocks("math")[0].splitlines() if "&=" in line]
    shown = [re.sub(r" \\\\(\[4pt\])?$", "", line) for line in shown]
    document = [re.sub(r" \\\\$", "", line) for line in derived().latex(fragment=True).splitlines()]
    assert len(shown) == 10
    assert [line for line in document if line in shown] == shown


def test_python_runs_with_the_specification_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("my_network.toml").write_text(blocks("toml")[0])
    (program,) = blocks("python")
    exec(program, {})
    assert capsys.readouterr().out


def test_every_command_is_listed():
    commands = {command.callback.__name__ for command in app.registered_commands}
    assert set(re.findall(r"^\| `symlow (\w+)", README, re.MULTILINE)) == commands


def test_files_that_it_names_exist():
    for name in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"derivations/\S+\.(?:toml|py)", README):
        assert (ROOT / name).exists(), name


def test_the_test_command_stands_where_ci_reads_it():
    (command,) = re.findall(r"<!-- tests -->\n```sh\n(.*)\n```", README)
    assert command.endswith(".venv/bin/pytest")
    assert "<!-- tests -->" in (ROOT / ".ci" / "run").read_text()


def test_script_of_the_picture_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    import runpy

    picture = tmp_path / "picture.png"
    script = ROOT / "derivations" / "ger_barak_2026" / "linear_theory.py"
    options = ["--steps", "40", "--neurons", "30", "--picture", str(picture)]
    monkeypatch.setattr("sys.argv", [str(script), *options])
    runpy.run_path(str(script), run_name="__main__")
    assert picture.stat().st_size > 10_000
    deviation = re.search(r"largest deviation .*: (\S+)", capsys.readouterr().out).group(1)
    assert float(deviation) < 1e-12
