"""Tables and figures of a comparison."""

from __future__ import annotations

import math

import numpy as np
import pytest

from walkrisk.estimates.pairs import CountPair, Pair
from walkrisk.estimates.rows import Estimate
from walkrisk.figures.comparison import (
    DifferencePoint,
    PairRow,
    RatioMark,
    difference_figure,
    paired_figure,
)
from walkrisk.figures.render import Page, render
from walkrisk.tables.comparison import CutPair, StepRow, cut_table, flow_table, ratio_table, steps_table
from walkrisk.tables.table import plain_rows

LABELS = ("One", "Other")


def row(estimate: float, low: float | None = None, high: float | None = None) -> Estimate:
    return Estimate(
        analysis="main", exposure="volume", level="Q2", reference="Q1", estimand="risk_ratio", estimate=estimate,
        conf_low=low, conf_high=high, std_error=None if low is None else 0.3,
    )  # fmt: skip


# ---------------------------------------------------------------- tables


def test_ratios_stand_with_their_quotient_and_the_difference_in_standard_errors() -> None:
    pair = Pair(a=row(0.8, 0.7, 0.9), b=row(1.0, 0.95, 1.05))
    table = ratio_table([pair, Pair(a=row(0.5), b=row(0.5))], labels=LABELS, name=lambda e: e.level, same_people=True)
    assert plain_rows(table)[1:] == [
        ["Q2", "0.80 (0.70-0.90)", "1.00 (0.95-1.05)", "1.250", f"{math.log(1.25) / math.hypot(0.3, 0.3):.2f}", "No"],
        ["Q2", "0.50", "0.50", "1.000", "", ""],
    ]
    assert table.header[3].text == "Other / One"
    assert "same people" in table.notes[0]


def test_a_long_table_of_ratios_says_what_it_leaves_out() -> None:
    pairs = [Pair(a=row(0.8), b=row(0.9))] * 41
    table = ratio_table(pairs, labels=LABELS, name=lambda e: e.level, same_people=False)
    assert len(table.rows) == 40
    assert table.notes == ("The 40 of 41 ratios that differ most; all are in comparison.csv.",)


def test_a_flow_says_who_is_left_and_what_is_not_shown() -> None:
    def step(name: str, *counts: tuple[int | None, int | None]) -> list[CountPair]:
        kinds = ("n_before", "n_excluded", "n_after")
        return [CountPair(place=("flow", name), what=k, a=a, b=b) for k, (a, b) in zip(kinds, counts, strict=True)]

    pairs = [*step("adults", (900, 900), (100, 150), (800, 750)), *step("known", (800, 750), (None, 50), (None, 700))]
    table = flow_table(pairs, labels=LABELS)
    assert table is not None
    assert plain_rows(table)[1:] == [
        ["adults", "100", "150", "800", "750", "−50"],
        ["known", "NA", "50", "NA", "700", "NA"],
    ]
    assert flow_table([], labels=LABELS) is None


def test_cut_points_of_the_same_numbers_stand_together() -> None:
    pairs = [CutPair(exposure="volume", cut="p25", a=78.25, b=None, analyses=("main", "joint", "a", "b", "c"))]
    table = cut_table(pairs, labels=LABELS)
    assert table is not None
    assert plain_rows(table)[1] == ["volume", "p25", "78.25", "NA", "main, joint, a and 2 more"]
    assert cut_table([], labels=LABELS) is None


def test_steps_stand_in_their_order() -> None:
    table = steps_table([StepRow(step="Data", verdict="Same", what="x")], labels=LABELS, notes=["y"])
    assert (table.title, table.notes) == ("One and Other, step by step", ("y",))


# ---------------------------------------------------------------- figures


def tips(figure: object) -> list[str]:
    assert isinstance(figure, Page)
    return [t.text for t in figure.tips]


def test_both_ratios_of_a_row_stand_on_the_same_axis() -> None:
    mark = RatioMark(estimate=0.8, conf_low=0.01, conf_high=0.9, text="0.80 (0.01-0.90)")
    rows = [
        PairRow(label="Volume"),
        PairRow(label="Q2", first=mark, second=RatioMark(estimate=0.9, text="0.90")),
        PairRow(label="Q3", first=mark, second=None),
    ]
    figure = paired_figure(rows, labels=LABELS)
    assert tips(figure) == ["Q2: One 0.80 (0.01-0.90); Other 0.90", "Q3: One 0.80 (0.01-0.90)"]
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    drawn = sorted(
        float(x) for line in axes.lines for x in np.atleast_1d(line.get_xdata()) if line.get_marker() in "so"
    )
    assert drawn == [0.8, 0.8, 0.9]
    texts = [t.get_text() for t in figure.texts]
    assert {"Volume", "Q2", "One", "Other", "0.90"} <= set(texts)


def test_a_ratio_that_is_not_there_is_not_drawn() -> None:
    nothing = RatioMark(estimate=None)
    figure = paired_figure([PairRow(label="Q2", first=nothing, second=nothing)], labels=LABELS)
    assert not [line for line in figure.axes[0].lines if line.get_marker() in ("s", "o")]


def test_differences_stand_against_means_with_their_limits() -> None:
    points = [DifferencePoint(mean=0.8, ratio=1.1, label="Q2"), DifferencePoint(mean=0.9, ratio=0.9, overlap=False)]
    figure = difference_figure(points, labels=LABELS, mean=1.0, low=0.85, high=1.2)
    assert tips(figure) == ["Q2"]
    (axes,) = figure.axes
    offsets = [tuple(map(float, xy)) for c in axes.collections for xy in np.asarray(c.get_offsets())]
    assert offsets == [(0.8, 1.1), (0.9, 0.9)]
    low, high = axes.get_ylim()
    assert low < 0.85 < 1.2 < high
    texts = {t.get_text() for t in figure.texts}
    assert {"mean 1.000", "+1.96 SD 1.200", "−1.96 SD 0.850", "They do not"} <= texts


@pytest.mark.parametrize("simulated", [True, False])
def test_the_same_picture_has_the_same_bytes(simulated: bool) -> None:
    points = [DifferencePoint(mean=0.8, ratio=1.1)]
    first, second = (
        render(difference_figure(points, labels=LABELS, mean=1.1, simulated=simulated), "svg") for _ in range(2)
    )
    assert first == second
    assert (b"SIMULATED" in first) is simulated
