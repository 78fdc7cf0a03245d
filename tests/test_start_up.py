"""What a start loads: the help and the package itself load none of the libraries that take long."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import symlow
from symlow.cli import COMMANDS

SLOW = ("matplotlib", "mpmath", "numpy", "pydantic", "scipy", "sympy")


def fresh(code, *arguments, folder=None):
    """What code prints in a new interpreter, as JSON."""
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=120, cwd=folder
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


LOADED = "import json, sys; print(json.dumps([name for name in sys.modules if '.' not in name]))"


def test_importing_the_package_loads_nothing_else():
    more = set(fresh(f"import symlow; {LOADED}")) - set(fresh(LOADED))
    assert more <= {"symlow", "__future__", "types"}


def test_help_loads_no_slow_library():
    code = """
import contextlib, io, json, sys
from symlow.cli import main
shown, loaded = [], []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["symlow", *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main()
    shown.append(out.getvalue())
    loaded.append(list(sys.modules))
print(json.dumps([shown, loaded]))
"""
    names = [command.__name__ for command in COMMANDS]
    shown, loaded = fresh(code, json.dumps([["--version"], ["--help"], *([name, "--help"] for name in names)]))
    assert shown[0] == f"symlow {symlow.__version__}\n"
    assert all(name in shown[1] for name in names)
    assert all(f"Usage: symlow {name}" in text for name, text in zip(names, shown[2:], strict=True))
    assert [name for name in SLOW if name in loaded[1]] == []
    # Newer versions of typer check the defaults of a command's options with pydantic themselves.
    assert [name for name in SLOW if name in loaded[-1] and name != "pydantic"] == []


def test_deriving_loads_neither_scipy_nor_matplotlib():
    code = f"""
import symlow
network = {{"rank": 1, "nonlinearity": "tanh"}}
d = symlow.derive(symlow.Spec.model_validate({{"name": "a", "network": network, "task": {{"kind": "trials"}}}}))
assert d.latex() and d.source() and str(d)
{LOADED}
"""
    assert not {"scipy", "matplotlib"} & set(fresh(code))


def annotated():
    """The names that type checkers see in the package, each with its module."""
    tree = ast.parse(Path(symlow.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module != "__future__"]
    return {alias.name: node.module for node in imports for alias in node.names if node.level == 0}


def test_names_of_the_surface_are_those_of_type_checkers():
    names = {name: module for name, module in annotated().items() if module.startswith("symlow")}
    assert sorted(names) == sorted(symlow.__all__)
    for name, module in names.items():
        assert getattr(symlow, name) is getattr(sys.modules[module], name)
    assert set(symlow.__all__) <= set(dir(symlow))


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'symlow' has no attribute 'dervie'"):
        symlow.dervie  # noqa: B018 - the access is the test
    with pytest.raises(ImportError, match="cannot import name 'dervie'"):
        exec("from symlow import dervie")
    assert not hasattr(symlow, "not a name")


HIDING = ("drift", "dynamics", "learn", "realise", "stability", "verify")
"""Functions of the surface that stand in a module of the same name."""


@pytest.mark.parametrize("first", ["module", "function", "neighbour"])
def test_functions_win_over_modules_of_the_same_name(first):
    before = {
        "module": "".join(f"import symlow.{name}\n" for name in HIDING),
        "function": f"from symlow import {', '.join(HIDING)}\n",
        "neighbour": "from symlow.learn import LearningRun\nfrom symlow.closure import drift_measurements\n",
    }
    code = f"""
import importlib, json, symlow, sys
{before[first]}
names = {HIDING}
kinds = [type(getattr(symlow, name)).__name__ for name in names]
for name in names:
    importlib.import_module("symlow." + name)
    kinds.append(type(getattr(symlow, name)).__name__)
    kinds.append(type(sys.modules["symlow." + name]).__name__)
namespace = {{}}
exec("from symlow import *", namespace)
print(json.dumps([kinds, sorted(name for name in symlow.__all__ if namespace[name] is not getattr(symlow, name))]))
"""
    kinds, different = fresh(code)
    assert kinds == ["function"] * len(HIDING) + ["function", "module"] * len(HIDING)
    assert different == []


def test_modules_are_attributes_as_they_were():
    assert fresh("import json, symlow; print(json.dumps(symlow.errors.SpecError.__name__))") == "SpecError"
    assert symlow.tasks.__name__ == "symlow.tasks"
