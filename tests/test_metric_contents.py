"""What the entries of the metric contain, entry by entry, in words of the paper."""

from __future__ import annotations

import pytest

from symlow.metric_contents import Content, metric_contents, moving_rows
from symlow.plot import plot_metric
from symlow.printing.notation import Notation
from symlow.report.matrices import metric_picture
from tests.conftest import derived


@pytest.mark.parametrize("network", [{"rank": 1}, {"rank": 2}, {"rank": 1, "inputs": 2}])
def test_blocks_of_a_linear_metric(network):
    d = derived(None if "inputs" not in network else {"kind": "trials"}, **network)
    contents, n = metric_contents(d), len(d.visible)
    assert {kind for (row, _), kind in contents.items() if row < n} == {Content.INVISIBLE}
    assert {kind for (row, _), kind in contents.items() if row >= n} == {Content.VISIBLE}
    assert Content.BOTH in metric_contents(derived({"kind": "trials"}, nonlinearity="erf")).values()


def test_entries_that_are_numbers_are_of_a_kind_of_their_own():
    """The gradient by m_one moves m along ones, and m_one with it by one_one, which is 1."""
    d = derived({"kind": "trials"}, nonlinearity="relu", bias=True, means=True)
    contents, n = metric_contents(d), len(d.visible)
    one = d.reduction.index["one_one"].symbol
    numbers = {place for place, entry in d.metric.todok().items() if entry.free_symbols <= {one}}
    assert numbers
    assert {place for place, kind in contents.items() if kind is Content.CONSTANT} == numbers
    for place in (place for place, kind in contents.items() if kind is Content.VISIBLE):
        found = d.metric[place].free_symbols - {one}
        assert found <= {overlap.symbol for overlap in d.ordered[:n]}
    assert [d.overlaps[k] for k in range(len(d.overlaps)) if k not in moving_rows(d)] == ["one_one"]
    (panel,) = plot_metric(d).axes
    assert "numbers" in [text.get_text() for text in panel.get_legend().get_texts()]
    names = [label.get_text() for label in panel.get_yticklabels()]
    assert r"$\langle m\rangle$" in names
    assert not any(r"\mathbf{1}" in name for name in names)


def test_both_pictures_show_the_same_contents():
    d = derived({"kind": "trials"}, nonlinearity="erf")
    contents = metric_contents(d)
    svg = metric_picture(d, Notation(d.reduction.index)).svg
    assert svg.count("<g>") == len(contents)
    drawn = plot_metric(d).axes[0].collections[0].get_array()
    found = {(i, j): list(Content)[int(drawn[i, j])] for i, j in zip(*(~drawn.mask).nonzero(), strict=True)}
    assert found == contents
