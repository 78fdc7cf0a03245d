"""The blocks of Markdown pages: found, run in the order of a page, and compared with what the page shows.

A comment alone on a line before a block, ``<!-- NAME.toml -->``, says which file the block is;
``<!-- not run: REASON -->`` that no test runs it, and why. Nothing else keeps a block from being run.

    python, pycon   in one namespace for each page; what pycon shows is compared
    text            what the block of Python before it prints
    sh, console     commands "symlow ...", through the command line in this process; what console shows is compared
    toml            written to its file, and read as a specification or a sweep
    math            not for machines
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import symlow
from tests.test_cli import run

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "derivations" / "guide"
FENCE = re.compile(
    r"(?P<comments>(?:^<!-- [^\n]* -->\n)*)^```(?P<language>\S*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
ROUNDING = re.compile(r"\d\\\.\de\\-\d\d")  # such as 6.0e-16, escaped: differs from machine to machine
PRINTS = re.compile(r"^print\(.*\)  # prints: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, the number of its first line, what is said before it, and what it holds."""

    page: Path
    line: int
    comments: tuple[str, ...]
    language: str
    body: str

    @property
    def file(self) -> str | None:
        """The file that it is to be written to."""
        names = [comment for comment in self.comments if re.fullmatch(r"[\w/]+\.\w+", comment)]
        return names[0] if names else None

    @property
    def reason(self) -> str | None:
        """Why it is not run, or None if it is."""
        reasons = [comment[9:] for comment in self.comments if comment.startswith("not run: ")]
        return reasons[0] if reasons else None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}, line {self.line}"


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start("body")) + 1,
            tuple(re.findall(r"^<!-- (.*) -->$", found["comments"], re.MULTILINE)),
            found["language"],
            found["body"],
        )
        for found in FENCE.finditer(text)
    ]


def commands(body: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with what the page says that it prints."""
    parts = re.split(r"^\$ (.*)\n", body, flags=re.MULTILINE)
    assert parts[0] == ""
    return list(zip(parts[1::2], parts[2::2], strict=True))


def assert_shown(shown: str, printed: str) -> None:
    """What is shown is what was printed; "..." stands for lines, or for the rest of a line."""
    pattern = ""
    for line in shown.splitlines():
        start = line.removesuffix("...").rstrip() if line.endswith(" ...") else line.rstrip()
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            rest = ".*" if start != line.rstrip() else ""
            pattern += ROUNDING.sub(r"\\d\\.\\de-\\d\\d", re.escape(start)) + rest + r"\n"
    printed = "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())
    assert re.fullmatch(pattern, printed), f"the page shows\n{shown}\nprinted was\n{printed}"


def assert_page_runs(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block of a page runs, in an empty folder with a copy of derivations/, and prints what is shown."""
    shutil.copytree(ROOT / "derivations", folder / "derivations", ignore=shutil.ignore_patterns("*.png", "*.ipynb"))
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    modules = set(sys.modules)
    try:
        _Page(page).run()
    finally:
        for name in [name for name in sys.modules if name not in modules]:
            if str(folder) in (getattr(sys.modules[name], "__file__", None) or ""):
                del sys.modules[name]  # a module that the page generated


class _Page:
    """A page while it is run: the names that its Python has made, and what was printed last."""

    def __init__(self, page: Path) -> None:
        self.blocks = blocks(page)
        self.shows_all = any(block.language == "text" for block in self.blocks)
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self.printed = ""

    def run(self) -> None:
        for block in self.blocks:
            if block.reason is not None:
                continue
            if block.language != "text":
                self.check_all_is_shown()
            match block.language:
                case "toml":
                    self.toml(block)
                case "console":
                    for command, shown in commands(block.body):
                        assert_shown(shown, self.command(block, command))
                case "sh":
                    for command in block.body.replace("\\\n", " ").splitlines():
                        self.command(block, command)
                case "python":
                    self.python(block)
                case "pycon":
                    self.session(block)
                case "text":
                    assert_shown(block.body, self.printed)
                    self.printed = ""
                case "math":
                    pass
                case language:
                    pytest.fail(f"{block}: a block of {language!r}, which no test runs")
        self.check_all_is_shown()

    def check_all_is_shown(self) -> None:
        assert not (self.shows_all and self.printed), f"the page does not show what Python prints:\n{self.printed}"

    def toml(self, block: Block) -> None:
        assert block.file is not None, f"{block}: no comment says what the file is called"
        path = Path(block.file)
        path.write_text(block.body, encoding="utf-8")
        if "spec" in tomllib.loads(block.body):
            symlow.Sweep.load(path)
        else:
            symlow.Spec.load(path)

    def command(self, block: Block, command: str) -> str:
        program, *arguments = shlex.split(command)
        assert program == "symlow", f"{block}: runs {program!r}, and does not say why no test does"
        result = run(*arguments)
        assert result.returncode == 0, f"{block}: {command}\n{result.stdout}{result.stderr}"
        return result.stdout

    def python(self, block: Block) -> None:
        code = compile("\n" * (block.line - 1) + block.body, str(block.page), "exec")
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(code, self.namespace)
        self.printed = output.getvalue()
        shown = PRINTS.findall(block.body)
        if shown:
            assert self.printed.splitlines() == shown, str(block)
            self.printed = ""

    def session(self, block: Block) -> None:
        test = doctest.DocTestParser().get_doctest(block.body, self.namespace, str(block), str(block.page), block.line)
        told = io.StringIO()
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        runner.run(test, out=told.write, clear_globs=False)
        assert runner.failures == 0, told.getvalue()
        assert runner.tries > 0
        self.namespace = test.globs


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them of headings."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in found}


def links(page: Path) -> list[str]:
    """The relative links of a page, pictures among them."""
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text(encoding="utf-8")))
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"\w+:", link)]
