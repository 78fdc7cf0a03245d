"""README and pages: every block runs, every link leads somewhere, the reference pages are those of the code."""

from __future__ import annotations

import re

import pytest

from tests.pages import GUIDE, ROOT, assert_page_runs, blocks, headings, links
from tests.reference_pages import PAGES

PAPER = ROOT / "derivations" / "ger_barak_2026"
REFERENCE = [GUIDE / name for name in PAGES]
FIGURES = sorted(PAPER.glob("fig*.md"))
EVERY = [ROOT / "README.md", *sorted((ROOT / "derivations").rglob("*.md"))]
RUN = [page for page in EVERY if page not in (*REFERENCE, *FIGURES)]


def name_of(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in RUN if blocks(page)], ids=name_of)
def test_every_block_runs_and_prints_what_is_shown(page, tmp_path, monkeypatch):
    assert_page_runs(page, tmp_path, monkeypatch)


def test_blocks_that_do_not_run():
    """All of them, so that none hides: by page what the block begins with."""
    found = [(name_of(page), block.body.split()[:2]) for page in RUN for block in blocks(page) if block.reason]
    assert found == [
        ("README.md", ["python3", "-m"]),
        ("README.md", ["python3", "-m"]),
        ("README.md", ["$", "symlow"]),
        ("derivations/guide/quick_start.md", ["python3", "-m"]),
    ]


def test_reference_pages_are_up_to_date():
    for name, page in PAGES.items():
        written = (GUIDE / name).read_text(encoding="utf-8")
        assert written == page(), f"{name}: run python -m tests.reference_pages"
    assert {block.language for page in REFERENCE for block in blocks(page)} == {"text"}


def test_figures_are_made_by_the_command_on_their_page():
    """Whose quick form tests/test_reproduction.py runs."""
    assert len(FIGURES) == 12
    for page in FIGURES:
        assert [block.body for block in blocks(page)] == [f"symlow reproduce ger_barak_2026 {page.stem}\n"]


@pytest.mark.parametrize("page", EVERY, ids=name_of)
def test_links_lead_somewhere(page):
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in headings(target), link


def test_the_index_names_every_page_of_the_guide():
    index = links(GUIDE / "README.md")
    assert {page.name for page in GUIDE.glob("*.md")} - {"README.md"} <= set(index)
    assert "derivations/guide/README.md" in links(ROOT / "README.md")


def test_tables_have_as_many_cells_in_each_row():
    for page in EVERY:
        text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
            rows = [len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()]
            assert len(set(rows)) == 1, f"{name_of(page)}\n{table}"
