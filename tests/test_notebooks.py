"""The notebooks of derivations/: run anew, they say what they show, and nothing in them is of one machine."""

from __future__ import annotations

import re

import nbformat
import pytest

from tests.notebooks import DERIVATIONS, NOTEBOOKS, cleaned, executed, words, written


def test_there_are_two():
    assert [path.stem for path in NOTEBOOKS] == ["quick_start", "your_own_architecture"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_those_of_a_run(path):
    assert words(executed(path, pictures=False)) == words(nbformat.read(path, as_version=4))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_files_hold_nothing_of_a_machine(path):
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.read(path, as_version=4)
    assert written(cleaned(notebook)) == text
    assert not re.search(r"/(home|Users|tmp|root)/|site-packages|0x[0-9a-f]{6}", text)
    assert len(text) < 1_000_000
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert [output for output in cell.outputs if output.get("name") == "stderr"] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_they_link_to_exists(path):
    for name in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
        assert (DERIVATIONS / name).exists(), name
