"""Colours in a terminal: only there, with the same words, and not where NO_COLOR is set."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from symlow.artefacts import Artefacts
from symlow.colours import INVISIBLE_ON_ANY, VISIBLE_ON_ANY

SPEC = """
name = "small"
reference = "[bold red]not markup[/]"
[network]
rank = 1
[task]
kind = "exponential_filter"
decay = 0.2
"""
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    path = tmp_path_factory.mktemp("terminal") / "small.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="module")
def plain(spec):
    return Artefacts(spec).text() + "\n"


def in_terminal(*arguments, **variables):
    """What a command prints to a terminal of 200 columns with all colours."""
    ours, theirs = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "CI")}
    environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "200", **variables}
    command = [sys.executable, "-m", "symlow.cli", *map(str, arguments)]
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, env=environment) as process:
        os.close(theirs)
        printed = b""
        while chunk := read(ours):
            printed += chunk
        assert process.wait(60) == 0, process.stderr.read().decode()
    os.close(ours)
    return printed.decode().replace("\r\n", "\n")


def read(descriptor):
    try:
        return os.read(descriptor, 4096)
    except OSError:  # Linux says so when the other end is closed
        return b""


def code(colour):
    return ";".join(str(int(colour[k : k + 2], 16)) for k in (1, 3, 5))


def test_overlaps_have_the_colours_of_their_kinds(spec, plain):
    printed = in_terminal("derive", spec)
    coloured = dict(re.findall(r"\x1b\[1;38;2;([0-9;]+)m[ ]*(d v_u/dt|d m_u/dt)", printed))
    assert coloured == {code(VISIBLE_ON_ANY): "d v_u/dt", code(INVISIBLE_ON_ANY): "d m_u/dt"}
    words = [" ".join(line.split()) for line in ESCAPE.sub("", printed).splitlines()]
    assert words == [" ".join(line.split()) for line in plain.splitlines()]


def test_no_color_and_pipes_print_plain_text(spec, plain):
    assert in_terminal("derive", spec, NO_COLOR="1") == plain
    command = [sys.executable, "-m", "symlow.cli", "derive", str(spec)]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout == plain


def test_explanations_have_them_too(spec):
    printed = in_terminal("explain", spec, "v_u")
    assert f"\x1b[1;38;2;{code(VISIBLE_ON_ANY)}mloss-visible" in printed


def test_parts_of_the_text_are_the_text(spec, plain):
    before, parts, after = Artefacts(spec).sections()
    lines = [before]
    for title, rows in parts:
        lines += ["", title, *(f"    {equation}" for _, equation in rows)]
    assert "\n".join([*lines, "", after, ""]) == plain
