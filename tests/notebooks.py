"""Notebooks executed anew, without what differs from run to run: counts, times, versions.

python -m tests.notebooks        executes those of derivations/ and writes them
"""

from __future__ import annotations

import copy
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from symlow.files import write_whole

DERIVATIONS = Path(__file__).parents[1] / "derivations"
NOTEBOOKS = tuple(sorted(DERIVATIONS.glob("*.ipynb")))

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
ROUNDING = re.compile(r"\b\d(?:\.\d+)?e-(?:09|[1-9]\d)\b")
"""Numbers below 1e-8, which differ from machine to machine."""

SECONDS = 300
"""The longest that a cell may take: far longer than any does."""


WITHOUT_PICTURES = "get_ipython().display_formatter.active_types = ['text/plain', 'text/html', 'text/latex']"


def executed(path: Path, pictures: bool = True) -> Any:
    """Return a notebook with the outputs of a run in a new kernel, in its folder; errors of cells are raised.

    Without pictures they are made, and not drawn.
    """
    notebook = nbformat.read(path, as_version=4)
    if not pictures:
        notebook.cells.insert(0, nbformat.v4.new_code_cell(WITHOUT_PICTURES))
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
    )
    run = client.execute()
    if not pictures:
        del run.cells[0]
    return cleaned(run)


def cleaned(notebook: Any) -> Any:
    """Return a notebook without what differs from run to run; its cells are numbered."""
    notebook = copy.deepcopy(notebook)
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells, 1):
        cell.id, cell.metadata = f"cell-{number:02}", nbformat.from_dict({})
        if cell.cell_type == "code":
            cell.execution_count = None
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = None
                # Of what has a table or a formula the plain text is long, and shown nowhere.
                if {"text/html", "text/latex"} & {*output.get("data", {})}:
                    output.data.pop("text/plain", None)
    return notebook


def written(notebook: Any) -> str:
    """Return a notebook as the text of its file."""
    nbformat.validate(notebook)
    return f"{nbformat.writes(notebook)}\n"


def words(notebook: Any) -> list[list[dict[str, str]]]:
    """Return the outputs of each code cell but for pictures, by kind of text, without what is rounding alone."""
    return [[_text(output) for output in cell.outputs] for cell in notebook.cells if cell.cell_type == "code"]


def _text(output: Any) -> dict[str, str]:
    texts = {output.name: output.text} if output.output_type == "stream" else output.data
    return {kind: ROUNDING.sub("tiny", text) for kind, text in texts.items() if not kind.startswith("image/")}


def main() -> None:
    """Execute the notebooks named, or all, and write them."""
    for path in [Path(name) for name in sys.argv[1:]] or NOTEBOOKS:
        sys.stdout.write(f"wrote {write_whole(path, written(executed(path)), overwrite=True)}\n")


if __name__ == "__main__":
    main()
