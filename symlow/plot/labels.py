r"""Names of symlow in mathematical notation, as matplotlib sets it: v1_u2 is \sigma_{v_1u_2}, m_m is \|m\|^2."""

from __future__ import annotations


def overlap_label(name: str) -> str:
    """Return an overlap, between dollar signs."""
    left, right = name.split("_")
    return rf"$\|{vector(left)}\|^2$" if left == right else rf"$\sigma_{{{vector(left)}{vector(right)}}}$"


def gradient_label(name: str) -> str:
    r"""Return dL/d(overlap), between dollar signs: \partial_{zu}L, of a norm \partial_{mm}L."""
    left, right = name.split("_")
    return rf"$\partial_{{{vector(left)}{vector(right)}}}L$"


def vector(label: str) -> str:
    """Return a vector or a column of one, without dollar signs: u2 is u_{2}."""
    letters = label.rstrip("0123456789")
    number = label[len(letters) :]
    letters = letters if len(letters) == 1 else rf"\mathrm{{{letters}}}"
    return f"{letters}_{{{number}}}" if number else letters


def latent_label(name: str) -> str:
    r"""Return an entry of a latent, between dollar signs: kappa_u1 is \kappa_{u_1}."""
    key = name.removeprefix("kappa_")
    below = ",".join(vector(part) for part in key.split("_"))
    return rf"$\kappa_{{{below}}}$"
