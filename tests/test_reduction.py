"""Reduction: names, order, the derived visible set, and networks whose vectors are not m, u, v, z."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

import symlow
from symlow.architectures import build_network
from symlow.errors import SpecError, UnknownNameError
from symlow.learning import GramFlow
from symlow.reduction import Reduction
from tests.conftest import EXPONENTIAL, compiled, derived, filters, spec, states
from tests.hand_made import by_hand


def test_names_and_order_at_rank_1():
    d = derived()
    assert d.visible == ("z_m", "z_u", "v_m", "v_u")
    assert d.invisible == ("m_u", "z_v", "m_m", "u_u", "v_v", "z_z")
    assert d.overlaps == d.visible + d.invisible


def test_names_and_order_at_rank_2():
    d = derived(rank=2)
    assert d.visible == ("z_m", "z_u1", "z_u2", "v1_m", "v2_m", "v1_u1", "v1_u2", "v2_u1", "v2_u2")
    assert d.invisible[:6] == ("m_u1", "m_u2", "z_v1", "z_v2", "u1_u2", "v1_v2")
    assert d.invisible[6:] == ("m_m", "u1_u1", "u2_u2", "v1_v1", "v2_v2", "z_z")


@pytest.mark.parametrize(("rank", "inputs", "outputs"), [(1, 1, 1), (2, 1, 1), (3, 2, 2), (8, 2, 2)])
def test_counts(rank, inputs, outputs):
    d = derived(rank=rank, inputs=inputs, outputs=outputs, task=filters(outputs, inputs, (EXPONENTIAL,)))
    p = inputs + 2 * rank + outputs
    assert len(d.overlaps) == len(set(d.overlaps)) == p * (p + 1) // 2
    assert len(d.visible) == (rank + outputs) * (rank + inputs)


def test_visibility_is_proved_by_derivatives():
    d = derived(rank=2)
    for name, why in d.reduction.visibility.items():
        assert why.visible == (name in d.visible)
        assert (why.derivative != 0) == why.visible
        if why.visible:
            row = [e for key, e in d.reduction.equations.items() if why.where.startswith(key)]
            entries = [sympy.diff(entry, d.symbols[name]) for e in row for entry in d.reduction.explicit(e)]
            assert why.derivative in entries
            assert why.path[-1] == "y"


def test_invisible_overlaps_do_not_move_the_output_and_visible_ones_do():
    module = compiled(rank=2)
    sigma, x = states(module, 1)[0], np.random.default_rng(1).standard_normal((2, 40, 1))
    for k, name in enumerate(module.OVERLAPS):
        shifted = sigma.copy()
        shifted[k] += 0.3
        change = np.abs(module.outputs(shifted, x) - module.outputs(sigma, x)).max()
        assert (change > 1e-6) == (name in module.VISIBLE), name


def test_unknown_overlap_has_a_hint():
    with pytest.raises(UnknownNameError, match="unknown overlap 'v_mm'; did you mean 'v_m'"):
        derived().reduction.index["v_mm"]


def test_frozen_vector_that_does_not_exist():
    with pytest.raises(SpecError, match=r"learning.frozen: unknown vector 'w'.*accepted: m, u, v, z"):
        build_network(spec(frozen=("m", "w")))


def test_tied_vectors_are_one_block_that_carries_and_reads():
    # Symmetric connectivity U U^T: one block is carrier and reader, so its inner overlaps become visible.
    lines = ("h' = -h + INP*x + REC*a", "a = REC.T*h/N", "y = OUT.T*h/N")
    reduction = Reduction(by_hand(lines, [("inp", 1, True), ("rec", 2, True), ("out", 1, True)]))
    assert [o.name for o in reduction.visible] == [
        "out_inp", "out_rec1", "out_rec2", "rec1_inp", "rec2_inp", "rec1_rec2", "rec1_rec1", "rec2_rec2",
    ]  # fmt: skip
    assert [o.name for o in reduction.invisible] == ["inp_inp", "out_out"]
    flow = GramFlow(reduction.index, reduction.visible, reduction.invisible)
    norm, mixed, into, out = (reduction.index[n] for n in ("rec1_rec1", "rec1_rec2", "rec1_inp", "out_rec1"))
    # S has the whole gradient of a norm on its diagonal, so the norm's own term is twice the others.
    expected = {norm: -4 * norm.symbol, mixed: -2 * mixed.symbol, into: -2 * into.symbol, out: -2 * out.symbol}
    assert flow.by_gradient(norm) == expected


def test_projection_that_never_reaches_the_output_stays_invisible():
    lines = ("h' = -h + M*x + U*a", "a = V.T*h/N", "b = W.T*h/N", "y = Z.T*h/N")
    reduction = Reduction(by_hand(lines, [(name, 1, True) for name in "muvwz"]))
    assert [o.name for o in reduction.visible] == ["z_m", "z_u", "v_m", "v_u"]


def test_output_feedback_makes_read_out_overlaps_drive_the_state():
    lines = ("h' = -h + M*x + F*y", "y = Z.T*h/N")
    reduction = Reduction(by_hand(lines, [(name, 1, True) for name in "mfz"]))
    assert [o.name for o in reduction.visible] == ["z_m", "z_f"]
    assert reduction.visibility["z_f"].path[-1] == "y"


def test_more_columns_than_can_be_named_are_refused():
    with pytest.raises(SpecError, match=r"the network has 602 columns of P, so 181503 overlaps; accepted: at"):
        symlow.derive(spec(rank=300))
