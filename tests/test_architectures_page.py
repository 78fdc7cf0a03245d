"""The folder of architectures: its page says what is derived, and the linear ones are those of N neurons."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import symlow
from symlow.errors import SpecError

FOLDER = Path(__file__).parents[1] / "derivations" / "architectures"
NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))
PAGE = (FOLDER / "README.md").read_text()
ROWS = {
    row[0]: row for row in (re.split(r" \| ", line.strip("| ")) for line in PAGE.splitlines() if line.startswith("| ["))
}


def derived(name):
    return symlow.derive(symlow.Spec.load(FOLDER / f"{name}.toml"))


def test_every_architecture_has_its_row():
    assert [re.fullmatch(r"\[(\w+)\]\(\1\.toml\)", cell)[1] for cell in ROWS] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_row_says_what_is_derived(name):
    _, equations, _, counts, _ = ROWS[f"[{name}]({name}.toml)"]
    system = derived(name)
    shown = re.findall(r"`([^`]+)`", equations)
    assert shown
    assert set(shown) <= set(system.spec.network.dynamics)
    assert counts == f"{len(system.visible)} / {len(system.invisible)}"


@pytest.mark.parametrize("name", NAMES)
def test_linear_ones_are_verified(name):
    system = derived(name)
    _, _, _, _, verified = ROWS[f"[{name}]({name}.toml)"]
    assert verified.startswith("exact" if system.network.nonlinearity.is_linear else "asymptotic")
    if system.network.nonlinearity.is_linear:
        certificate = symlow.verify(system, neurons=12, steps=3)
        assert certificate.passed, [check for check in certificate.checks if not check.passed]


def test_names_of_columns_and_of_entries_are_different():
    """Two gates, of two entries and of one: entry 2 of w is w2, so the other one is not."""
    system = derived("gated_drive")
    names = [
        name for symbol in system.reduction.columns.values() for name in symlow.equations.entry_names(symbol.symbol)
    ]
    assert len(names) == len(set(names))


def test_an_entry_and_a_symbol_of_one_name_are_refused():
    text = (FOLDER / "gated_drive.toml").read_text().replace("open", "gate2")
    with pytest.raises(SpecError, match="symbol 'gate2': gate has an entry gate2; accepted: another name"):
        symlow.Spec.from_toml(text)
