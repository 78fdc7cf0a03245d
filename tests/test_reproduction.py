"""Figures of papers, made again: their quick forms hold, and what is no figure is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from symlow.cli import app
from symlow.errors import FileError, SymlowError, UnknownNameError
from symlow.reproduction import Check, choose_figures, find_figures, reproduce, write

ROOT = Path(__file__).parents[1]
PAPER = "ger_barak_2026"
FIGURES = find_figures(PAPER, ROOT)

FIGURE = '''
"""A title.

A claim.
"""
from matplotlib.figure import Figure

from own_settings import BOUND
from symlow.reproduction import Check, Outcome


def run(quick):
    figure = Figure()
    figure.add_subplot().plot([1, 2])
    return Outcome(figure, (Check("one is small", 1.0, BOUND),), {"a": 2.0}, {"quick": str(quick)}, ("A note.",))
'''


@pytest.mark.parametrize("name", FIGURES)
def test_the_quick_form_shows_what_is_claimed(name):
    made = reproduce(FIGURES[name], quick=True)
    assert made.outcome.checks
    assert [check.statement for check in made.outcome.checks if not check.holds] == []


def test_every_figure_of_the_paper_that_holds_numbers_is_there():
    assert list(FIGURES) == [f"fig{number:02d}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)]


@pytest.mark.parametrize("name", FIGURES)
def test_pictures_and_pages_of_the_full_form_are_kept(name):
    page, picture = (FIGURES[name].with_suffix(suffix) for suffix in (".md", ".png"))
    text = page.read_text()
    assert f"\nsymlow reproduce {PAPER} {name}\n" in text
    assert f"({picture.name})" in text
    assert "This is the quick form" not in text
    assert 5_000 < picture.stat().st_size < 150_000
    failed = text.count("| **no** |")
    assert ("**Verdict.** The claim is reproduced." in text) == (failed == 0)
    assert re.search(r"^# " + name + ": ", text)


def folder(path, bound="2.0", name="fig03.py", text=FIGURE):
    paper = path / "derivations" / "some_2020"
    paper.mkdir(parents=True)
    (paper / name).write_text(text)
    (paper / "own_settings.py").write_text(f"BOUND = {bound}\n")
    return paper


def test_a_figure_is_written_with_its_page(tmp_path, monkeypatch):
    monkeypatch.delitem(__import__("sys").modules, "own_settings", raising=False)
    made = reproduce(folder(tmp_path) / "fig03.py", quick=True)
    assert (made.name, made.title, made.claim) == ("fig03", "A title", "A claim.")
    picture, page = write(made, tmp_path)
    first = picture.read_bytes()
    text = page.read_text()
    assert "symlow reproduce some_2020 fig03 --quick" in text
    assert "| one is small | 1 | at most 2 | yes |" in text
    assert "The claim is reproduced." in text
    assert text.rstrip().endswith("than in the full one.")
    with pytest.raises(FileError, match="exists"):
        write(made, tmp_path)
    write(reproduce(tmp_path / "derivations" / "some_2020" / "fig03.py", quick=True), tmp_path, overwrite=True)
    assert picture.read_bytes() == first


@pytest.mark.parametrize(("bound", "code", "word"), [("2.0", 0, "holds"), ("0.5", 1, "FAILS")])
def test_the_command_says_what_holds(bound, code, word, tmp_path, monkeypatch):
    monkeypatch.delitem(__import__("sys").modules, "own_settings", raising=False)
    folder(tmp_path, bound)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["reproduce", "some_2020", "3", "--quick"])
    assert result.exit_code == code, result.output
    assert f"{word}  one is small: 1 (at most {bound.rstrip('0').rstrip('.')})" in result.output
    assert "wrote fig03.png and fig03.md in the current folder" in result.output
    assert (tmp_path / "fig03.png").stat().st_size > 1000
    again = CliRunner().invoke(app, ["reproduce", "some_2020"])
    assert isinstance(again.exception, FileError)
    monkeypatch.delitem(__import__("sys").modules, "own_settings", raising=False)


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(FileError, match="run this where the folder derivations is"):
        find_figures("some_2020", tmp_path)
    (tmp_path / "derivations").mkdir()
    with pytest.raises(FileError, match="found no figure"):
        find_figures("some_2020", tmp_path)
    folder(tmp_path / "other")
    with pytest.raises(UnknownNameError, match="did you mean 'some_2020'"):
        find_figures("some_2021", tmp_path / "other")
    with pytest.raises(UnknownNameError, match="unknown figure 'fig07'"):
        choose_figures(find_figures("some_2020", tmp_path / "other"), "fig07")
    with pytest.raises(UnknownNameError, match="unknown figure 'figure3'; did you mean 'fig03'"):
        choose_figures(find_figures("some_2020", tmp_path / "other"), "figure3")


@pytest.mark.parametrize(
    "text", ["def run(quick): pass\n", '"""A title alone."""\ndef run(quick): pass\n', '"""A.\n\nB."""\n']
)
def test_a_file_that_is_no_figure_is_refused(text, tmp_path):
    with pytest.raises(FileError, match="found no figure"):
        reproduce(folder(tmp_path, text=text) / "fig03.py")


@pytest.mark.parametrize("wanted", ["3", "03", "fig3", "fig03", "FIG03", None])
def test_figures_are_named_in_short(wanted):
    assert list(choose_figures({"fig03": Path("fig03.py")}, wanted)) == ["fig03"]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("nowhere", "nowhere: no such folder; create it first"),
        ("a_file", "a_file: is a file, expected a folder to write to"),
        ("/proc", "/proc: no file can be written there"),
    ],
)
def test_the_output_folder_is_checked_before_any_work(output, message, tmp_path, monkeypatch):
    folder(tmp_path, text="raise AssertionError\n")
    monkeypatch.chdir(tmp_path)
    Path("a_file").write_text("")
    result = CliRunner().invoke(app, ["reproduce", "some_2020", "-o", output])
    assert isinstance(result.exception, SymlowError)
    assert message in str(result.exception)


def test_a_number_that_is_none_holds_nothing():
    assert not Check("it is small", float("nan"), 1.0).holds
    assert not Check("it is any number", float("nan")).holds
    assert Check("it is one", 1.0, 1.0, 1.0).holds
    assert Check("it is one", 1.0, 1.0, 1.0).bounds == "at least 1, at most 1"
