"""What freezing vectors does to conservation laws: the table of conservation_laws.md, found by the search.

python derivations/beyond_the_papers/conservation_laws.py
"""

from __future__ import annotations

import itertools

import symlow

SPECIFICATION = {
    "name": "conservation_laws",
    "network": {"rank": 1},
    "task": {"kind": "exponential_filter", "decay": 0.2, "horizon": 20.0},
}
DEGREE = 3


def row(frozen: tuple[str, ...]) -> str:
    """Return the row of the table for some frozen vectors."""
    spec = symlow.Spec.model_validate({**SPECIFICATION, "learning": {"frozen": list(frozen)}})
    d = symlow.derive(spec)
    found = d.invariants(DEGREE)
    n_frozen = sum(invariant.kind == "frozen" for invariant in d.conserved)
    others = ", ".join(str(invariant.degree) for invariant in d.conserved if invariant.kind != "frozen") or "none"
    dimensions = " | ".join(map(str, found.dimensions))
    return f"| {', '.join(frozen) or 'none'} | {dimensions} | {n_frozen} | {others} | {found.most} |"


def table() -> str:
    """Return the table, a row for each set of frozen vectors."""
    head = "| frozen | degree <= 1 | <= 2 | <= 3 | frozen overlaps | degrees of the others | independent, of any kind |"
    subsets = [frozen for size in range(5) for frozen in itertools.combinations("muvz", size)]
    return "\n".join([head, "|" + " --- |" * 7, *map(row, subsets)])


if __name__ == "__main__":
    print(table())
