"""The tutorial: its commands and Python run, in the order of the page, and print what the page shows."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.test_cli import run

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "derivations" / "your_own_architecture.md"
BLOCK = re.compile(r"^(?:<!-- (?P<file>\S+) -->\n)?```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
ROUNDING = re.compile(r"\d\\\.\de\\-\d\d")  # such as 6.0e-16, escaped: differs from machine to machine


def assert_shown(shown, printed):
    """What is shown is what was printed; "..." stands for lines, or for the rest of a line."""
    pattern = ""
    for line in shown.splitlines():
        start = line.removesuffix("...").rstrip() if line.endswith(" ...") else line.rstrip()
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += (
                ROUNDING.sub(r"\\d\\.\\de-\\d\\d", re.escape(start)) + (".*" if start != line.rstrip() else "") + r"\n"
            )
    printed = "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())
    assert re.fullmatch(pattern, printed), f"the page shows\n{shown}\nprinted was\n{printed}"


def commands(body):
    """The commands of a console block, each with what the page says that it prints."""
    parts = re.split(r"^\$ (.*)\n", body, flags=re.MULTILINE)
    assert parts[0] == ""
    return list(zip(parts[1::2], parts[2::2], strict=True))


def test_every_block_runs_and_prints_what_is_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "neuromodulated", raising=False)
    namespace, printed, languages = {}, "", []
    for block in BLOCK.finditer(PAGE.read_text()):
        body = block["body"]
        languages.append(block["language"])
        match block["language"]:
            case "toml":
                Path(block["file"]).write_text(body)
            case "console":
                for command, shown in commands(body):
                    program, *arguments = shlex.split(command)
                    assert program == "symlow"
                    result = run(*arguments)
                    assert result.returncode == 0, result.stderr
                    assert_shown(shown, result.stdout)
            case "python":
                with contextlib.redirect_stdout(io.StringIO()) as output:
                    exec(compile(body, PAGE.name, "exec"), namespace)
                printed = output.getvalue()
            case "text":
                assert_shown(body, printed)
                printed = ""
            case "math":
                pass
            case language:
                pytest.fail(f"a block of {language}, which no test runs")
        if block["language"] != "python":
            assert printed == "", "the page does not show what Python prints"
    assert languages.count("python") == languages.count("text") == 7
    assert languages.count("console") == 7


def test_names_that_it_links_to_exist():
    for name in re.findall(r"\]\(([^)#]+)\)", PAGE.read_text()):
        assert (PAGE.parent / name).exists(), name
