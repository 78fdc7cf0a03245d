"""The README: its equations are the derived ones, its Python runs, its commands are those of CI."""

from __future__ import annotations

import re
import runpy
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


@pytest.mark.parametrize(("number", "name"), [(0, "my_network.toml"), (1, "own_network.toml"), (2, "flip_flop.toml")])
def test_python_runs_with_the_specification_shown(number, name, tmp_path, monkeypatch, capsys):
    assert f"`{name}`" in README
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(blocks("toml")[number])
    assert len(blocks("python")) == 3
    exec(blocks("python")[number], {})
    printed = capsys.readouterr().out
    assert printed
    shown = re.findall(r"^print\(.*\)  # prints: (.*)$", blocks("python")[number], re.MULTILINE)
    assert not shown or printed.splitlines() == shown


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


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ger_barak_2026/linear_theory", ["--neurons", "30", "--steps", "40"]),
        ("ger_barak_2026/nonlinear_flip_flop", ["--neurons", "200", "--steps", "4", "--batch", "2"]),
        ("ger_barak_2025/closed_loop", ["--steps", "30"]),
    ],
)
def test_scripts_of_the_pictures_run(name, options, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "picture.png"
    script = ROOT / "derivations" / f"{name}.py"
    monkeypatch.setattr("sys.argv", [str(script), *options, "--picture", str(picture)])
    runpy.run_path(str(script), run_name="__main__")
    assert picture.stat().st_size > 10_000
    deviation = re.findall(r"largest deviation .*: (\S+)", capsys.readouterr().out)[-1]
    if "nonlinear" not in name:
        assert float(deviation) < 1e-12
    else:
        assert 0 < float(deviation.rstrip("%")) < 5
