"""The README: its equations are the derived ones, its commands those of CI. Its blocks run in tests/test_pages.py."""

from __future__ import annotations

import re
import runpy

import pytest

from symlow.cli import app
from tests.conftest import derived
from tests.pages import ROOT, blocks

README = (ROOT / "README.md").read_text()


def test_equations_are_the_derived_ones():
    first = next(block.body for block in blocks(ROOT / "README.md") if block.language == "math")
    shown = [line for line in first.splitlines() if "&=" in line]
    shown = [re.sub(r" \\\\(\[4pt\])?$", "", line) for line in shown]
    document = [re.sub(r" \\\\$", "", line) for line in derived().latex(fragment=True).splitlines()]
    assert len(shown) == 10
    assert [line for line in document if line in shown] == shown


def test_every_command_is_listed():
    commands = {command.callback.__name__ for command in app.registered_commands}
    assert set(re.findall(r"^\| `symlow (\w+)", README, re.MULTILINE)) == commands


def test_files_that_it_names_exist():
    for name in re.findall(r"derivations/\S+\.(?:toml|py)", README):
        assert (ROOT / name).exists() or f"<!-- {name} -->" in README, name


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
