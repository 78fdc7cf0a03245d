"""The structure of the package: imports run one way through the stages, in the order of the package's docstring."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import symlow

PACKAGE = Path(symlow.__file__).parent
STAGES = re.findall(r"^    (\w+) {2,}\S", symlow.__doc__, re.MULTILINE)
BELOW = [
    "errors",
    "version",
    "files",
    "cache",
    "extras",
    "provenance",
    "arrays",
    "caret",
    "spec_messages",
    "expressions",
    "parser",
]


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def imported(path):
    tree = ast.parse(path.read_text())
    return [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]


def stage(module):
    return module.split(".")[1]


def test_every_module_is_a_stage_or_below_them():
    names = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()}
    assert names == set(STAGES) | set(BELOW)


def test_imports_run_from_right_to_left_only():
    rank = {name: k for k, name in enumerate(STAGES)}
    for path in modules():
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for module in imported(path):
            if module.startswith("symlow.") and stage(module) in rank:
                assert rank[stage(module)] <= rank.get(name, -1), f"{path.name} imports {module}"


def test_there_are_no_circles():
    graph = {
        ".".join(["symlow", *path.relative_to(PACKAGE).with_suffix("").parts]): {
            module for module in imported(path) if module.startswith("symlow.")
        }
        for path in modules()
    }
    while graph:
        leaves = [name for name, needs in graph.items() if not needs & graph.keys()]
        assert leaves, f"imports in a circle: {sorted(graph)}"
        for leaf in leaves:
            del graph[leaf]


def test_no_module_is_large():
    assert {path.name: n for path in modules() if (n := path.read_text().count("\n")) > 450} == {}


def test_modules_begin_with_a_docstring():
    assert [path for path in modules() if not ast.get_docstring(ast.parse(path.read_text()))] == []
