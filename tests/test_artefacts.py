"""What is printed of a specification is the same from the disk and anew, and so is every error."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import sympy

import symlow
from symlow import artefacts as artefacts_module
from symlow import provenance as provenance_module
from symlow import views
from symlow.artefacts import Artefacts
from symlow.cache import Cache
from symlow.cli import main
from symlow.errors import FileError, SpecError, UnknownNameError
from symlow.provenance import LIBRARIES, digest_of_files, is_unchanged, provenance

SMALL = """
name = "small"
[network]
rank = 1
[task]
kind = "trials"
"""
PRINTERS = {
    "name": lambda artefacts: artefacts.name(),
    "text": lambda artefacts: artefacts.text(),
    "document": lambda artefacts: artefacts.latex(),
    "fragment": lambda artefacts: artefacts.latex(fragment=True),
    "blocks": lambda artefacts: artefacts.latex(scalars=False),
    "scalars": lambda artefacts: artefacts.latex(scalars=True),
    "module": lambda artefacts: artefacts.source(),
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def printed(path, cache):
    artefacts = Artefacts(path, cache)
    return {name: printer(artefacts) for name, printer in PRINTERS.items()}


def forbidden(*_, **__):
    raise AssertionError("derived or printed anew")


def test_the_same_from_the_disk_and_anew(path, cache, monkeypatch):
    d = views.derive_file(path)
    expected = {
        "name": "small",
        "text": str(d),
        "document": d.latex(),
        "fragment": d.latex(fragment=True),
        "blocks": d.latex(scalars=False),
        "scalars": d.latex(scalars=True),
        "module": d.source(),
    }
    assert printed(path, None) == expected
    assert not cache.folder.exists()
    assert printed(path, cache) == expected
    assert len(os.listdir(cache.folder)) == 1 + len(set(PRINTERS))
    monkeypatch.setattr(views, "derive_text", forbidden)
    assert printed(path, cache) == expected


def test_explanations_are_those_of_the_derivation(path, cache, monkeypatch):
    d = views.derive_file(path)
    monkeypatch.setattr(views, "derive_text", lambda text, path: d)  # its structure takes seconds, once
    report = d.closure_report()
    for artefacts in (Artefacts(path), Artefacts(path, cache), Artefacts(path, cache)):
        summary, explanations = artefacts.closure_report()
        assert tuple(summary) == report.summary
        assert [words.name for words in explanations] == list(d.overlaps)
        words = artefacts.explanation("u_v")
        assert words == explanations[d.overlaps.index("v_u")]
        assert (words.meaning, words.visible, words.reason) == ("v . u / N", True, d.explain("v_u").reason)
        flow = sum(sympy.sympify(term) for term, _ in words.terms)
        assert flow == d.flow["v_u"].subs(
            {s: sympy.Symbol(s.name.replace("sigma_", "")) for s in d.flow["v_u"].free_symbols}
        )
        assert artefacts.structure() == [(fact.kind, fact.statement) for fact in d.structure]


def test_a_comment_costs_no_printing(path, cache, monkeypatch):
    expected = printed(path, cache)
    path.write_text("# a comment\n" + SMALL.replace("rank = 1", "rank  =  1\noutputs = 1"))
    for name in ("equations", "latex", "source"):
        monkeypatch.setattr(views, name, forbidden)
    assert printed(path, cache) == expected


def test_another_specification_is_derived(path, cache):
    before = Artefacts(path, cache).text()
    path.write_text(SMALL.replace("rank = 1", "rank = 1\ndt = 0.1"))
    assert Artefacts(path, cache).text() == Artefacts(path, None).text() != before


def test_with_another_version_or_source_it_is_derived(path, cache, monkeypatch):
    d = views.derive_file(path)
    monkeypatch.setattr(views, "derive_text", lambda text, path: d)
    known = provenance()
    for index, (name, version) in enumerate(known):
        changed = (*known[:index], (name, version + "x"), *known[index + 1 :])
        monkeypatch.setattr(artefacts_module, "provenance", lambda changed=changed: changed)
        monkeypatch.setattr(views, "equations", lambda derivation, name=name: f"printed by another {name}")
        for _ in range(2):
            assert Artefacts(path, cache).text() == f"printed by another {name}"
    monkeypatch.setattr(artefacts_module, "provenance", lambda: known)
    monkeypatch.setattr(views, "equations", lambda derivation: "printed by this one")
    assert Artefacts(path, cache).text() == "printed by this one"


def test_what_depends_on_what_is_known_is_listed():
    names = [name for name, _ in provenance()]
    assert names == ["symlow", "files of symlow", *LIBRARIES, "Python", "machine"]


def test_where_versions_are_not_known_nothing_is_kept(path, cache, monkeypatch):
    monkeypatch.setattr(artefacts_module, "provenance", lambda: None)
    assert Artefacts(path, cache).name() == "small"
    assert not cache.folder.exists()


def test_a_file_of_symlow_that_changes_is_seen(tmp_path):
    (tmp_path / "printing").mkdir()
    files = {"a.py": "x = 1\n", "printing/b.jinja": "{{ x }}\n", "printing/c.py": ""}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    before = digest_of_files(tmp_path)
    assert digest_of_files(tmp_path) == before
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("compiled")
    assert digest_of_files(tmp_path) == before
    stamp = (tmp_path / "a.py").stat().st_mtime_ns
    (tmp_path / "a.py").write_text("x = 2\n")
    os.utime(tmp_path / "a.py", ns=(stamp, stamp))  # neither its size nor its time tells
    changed = digest_of_files(tmp_path)
    (tmp_path / "a.py").write_text(files["a.py"])
    (tmp_path / "printing" / "c.py").rename(tmp_path / "c.py")
    moved = digest_of_files(tmp_path)
    assert len({before, changed, moved}) == 3


def test_what_is_derived_while_a_file_of_symlow_changes_is_not_kept(path, cache, monkeypatch):
    assert provenance() is not None
    assert is_unchanged()
    monkeypatch.setattr(provenance_module, "digest_of_files", lambda folder: "another digest")
    assert not is_unchanged()
    assert Artefacts(path, cache).name() == "small"
    assert not cache.folder.exists()


def test_a_file_of_symlow_that_cannot_be_read_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        digest_of_files(tmp_path / "nowhere")


MISTAKES = {
    "not TOML": ("rank = 1", "rank ="),
    "a wrong value": ("rank = 1", "rank = 0"),
    "a date": ("rank = 1", "rank = 2020-01-01"),
    "a vector that is not there": ('name = "small"', 'name = "small"\nlearning.frozen = ["q"]'),
    # The digest does not see a rate of 1, which is that of every vector: only deriving finds this one.
    "a vector that only deriving misses": ('name = "small"', 'name = "small"\nlearning.rates = { q = 1.0 }'),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_errors_are_the_same_with_and_without(path, cache, mistake):
    Artefacts(path, cache).text()
    path.write_text(SMALL.replace(*MISTAKES[mistake]))
    messages = set()
    for kept in (None, cache, cache):
        with pytest.raises(SpecError, match=r"small\.toml: ") as caught:
            Artefacts(path, kept).text()
        messages.add(str(caught.value))
    with pytest.raises(SpecError) as caught:
        views.derive_file(path)
    assert messages == {str(caught.value)}


def test_other_errors_are_the_same_too(path, cache):
    with pytest.raises(FileError, match="no such file; expected a specification"):
        Artefacts(path.with_name("none.toml"), cache)
    for _ in range(2):
        with pytest.raises(UnknownNameError, match="unknown backend 'nunpy'"):
            Artefacts(path, cache).source("nunpy")


def command(*arguments):
    out = io.StringIO()
    with redirect_stdout(out), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["symlow", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
    assert not stop.value.code
    return out.getvalue()


@pytest.fixture
def folder(path, monkeypatch):
    """A folder with small.toml in which commands run, and their cache."""
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("SYMLOW_CACHE_DIR", "kept")
    return Path("kept")


def test_commands_without_a_cache_leave_none_and_read_none(folder, monkeypatch):
    commands = (
        ["derive", "small.toml"],
        ["latex", "small.toml"],
        ["explain", "small.toml"],
        ["generate", "small.toml"],
    )
    fresh = [command(*arguments, "--no-cache") for arguments in commands]
    files = {path: path.read_text() for path in Path("generated").iterdir()}
    assert len(files) == 2
    assert not folder.exists()
    for _ in range(2):
        assert [command(*arguments) for arguments in commands[:-1]] == fresh[:-1]
        assert command(*commands[-1]).count("up to date: ") == 2
    assert {path: path.read_text() for path in Path("generated").iterdir()} == files
    monkeypatch.setattr(views, "equations", lambda derivation: "anew")
    assert command("derive", "small.toml") == fresh[0]
    assert command("derive", "small.toml", "--no-cache") == "anew\n"


def test_a_check_of_generated_files_rests_on_nothing_kept(folder):
    command("generate", "small.toml", "--no-cache")
    command("generate", "small.toml", "--check")
    assert not folder.exists()


def test_a_damaged_cache_is_no_error(folder):
    fresh = command("derive", "small.toml")
    entries = sorted((folder / "derived").iterdir())
    assert len(entries) == 2
    for entry in entries:
        entry.write_bytes(entry.read_bytes()[:-1])
        assert command("derive", "small.toml") == fresh
    place = folder / "derived"
    for entry in entries:
        entry.unlink()
    place.rmdir()
    place.write_text("a file in the place of the folder")
    assert command("derive", "small.toml") == fresh


COMMANDS = (
    ["derive", "small.toml"],
    ["latex", "small.toml", "--fragment"],
    ["generate", "small.toml"],
    ["explain", "small.toml", "v_u"],
    ["explain", "small.toml", "--invariants", "1"],
)


def test_a_derivation_that_is_kept_loads_neither_sympy_nor_numpy(folder):
    code = """
import contextlib, io, json, sys
from symlow.cli import main
shown = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["symlow", *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main()
    shown.append(out.getvalue())
print(json.dumps([shown, [name for name in ("sympy", "numpy", "scipy", "jinja2") if name in sys.modules]]))
"""
    for arguments in COMMANDS:
        command(*arguments)
    expected = [command(*arguments) for arguments in COMMANDS]
    process = [sys.executable, "-c", code, json.dumps(COMMANDS)]
    result = subprocess.run(process, capture_output=True, text=True, timeout=60)
    assert json.loads(result.stdout) == [expected, []], result.stderr


def test_deriving_in_python_keeps_nothing(folder):
    assert str(symlow.derive(symlow.Spec.load("small.toml")))
    assert not folder.exists()
