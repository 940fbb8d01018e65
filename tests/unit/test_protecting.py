"""The rules by which rows are made fit for publication, one by one, on tables small enough to check by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from walkrisk.cohorts.eligibility import FlowStep
from walkrisk.disclosure.blanking import marked_cells, marks_from
from walkrisk.disclosure.coarsening import (
    people_below,
    published_curves,
    published_cutpoints,
    published_flow,
    published_histograms,
    published_points,
)
from walkrisk.disclosure.rounding import to_base
from walkrisk.disclosure.sayings import published_text
from walkrisk.estimates.disclosure import round_counts_faults
from walkrisk.estimates.marking import Links, Released, count_marks
from walkrisk.estimates.results import Characteristic, CutPoint, HistogramBin, Point
from walkrisk.estimates.rows import CurvePoint, Estimate
from walkrisk.estimates.samples import Sample, secret_samples
from walkrisk.reports.manifest import DataSource
from walkrisk.runs.run import published_source


def ratios(analysis: str, counts: Mapping[str, tuple[int, int]], *, stratum: str = "") -> list[Estimate]:
    return [
        Estimate(
            analysis=analysis, exposure="dose", stratum=stratum, level=level, reference=next(iter(counts)),
            model="m", estimand="risk_ratio", n=n, events=events, estimate=1.0, variance="HC0",
        )
        for level, (n, events) in counts.items()
    ]  # fmt: skip


# ---------------------------------------------------------------- nearly the same people


MAIN = {"Q1": (100, 30), "Q2": (100, 25), "Q3": (100, 20)}


def test_an_analysis_without_three_people_of_a_category_hides_counts_of_its_own() -> None:
    fewer = {"Q1": (97, 28), "Q2": (80, 15), "Q3": (85, 12)}
    rows = [*ratios("main", MAIN), *ratios("restricted", fewer)]
    marks = count_marks(rows, (), min_cell=5)
    hidden = {cell for cell in marks.ratio if cell[4] == "n"}
    assert ("restricted", "dose", "", "Q1", "n") in hidden, "100 less 97 would show three people"
    assert len(hidden) > 1, "the sum would give a single one back"
    assert marks.reasons["restricted", "dose", "", "Q1", "n"] == "difference"


def test_categories_cut_elsewhere_are_no_difference_of_people() -> None:
    fewer = {"Q1": (97, 28), "Q2": (80, 15), "Q3": (85, 12)}
    rows = [*ratios("main", MAIN), *ratios("restricted", fewer)]
    cuts = {("main", "dose"): (10.0, 20.0), ("restricted", "dose"): (11.0, 22.0)}
    assert count_marks(rows, (), min_cell=5, cuts=cuts).ratio == {}


def test_people_between_two_limits_are_a_group_too() -> None:
    other = {"G1": (103, 32), "G2": (97, 23), "G3": (100, 20)}
    rows = [*ratios("main", MAIN), *ratios("fixed", other)]
    cuts = {("main", "dose"): (10.0, 20.0), ("fixed", "dose"): (11.0, 20.0)}
    marks = count_marks(rows, (), min_cell=5, cuts=cuts)
    assert marks.ratio, "three people, two with the outcome, lie between 10 and 11"
    apart = {("main", "dose"): (10.0, 20.0), ("fixed", "dose"): (11.0, 15.0)}
    wide = {"G1": (120, 40), "G2": (60, 5), "G3": (120, 30)}
    assert count_marks([*ratios("main", MAIN), *ratios("fixed", wide)], (), min_cell=5, cuts=apart).ratio == {}


def test_a_released_count_is_held_against_ours() -> None:
    released = Released(counts={("main", "dose", "", "Q2", "n"): 102})
    marks = count_marks(ratios("main", MAIN), (), min_cell=5, released=released)
    assert ("main", "dose", "", "Q2", "n") in marks.ratio
    far = Released(counts={("main", "dose", "", "Q2", "n"): 120})
    assert count_marks(ratios("main", MAIN), (), min_cell=5, released=far).ratio == {}


def test_whole_samples_that_differ_by_few_keep_their_counts() -> None:
    known = [Sample(1000, 200)]
    said = secret_samples(
        [Sample(997, 199), Sample(900, 197), Sample(800, 150), Sample(996, None), Sample(998, 230)],
        known=known,
        min_cell=5,
    )
    assert said == {(997, 199): "n", (900, 197): "events", (996, None): "n"}
    assert secret_samples([Sample(997, 199, "men")], known=[Sample(1000, 200, "women")], min_cell=5) == {}


def described(table: str, group: str, n: int, counts: Mapping[str, int]) -> list[Characteristic]:
    cells = [("", "", "n", n), *(("v", level, "count", count) for level, count in counts.items())]
    return [
        Characteristic(table=table, variable=v, level=level, group=group, statistic=what, value=float(x), known=n)
        for v, level, what, x in cells
    ]


def test_what_an_analysis_hides_no_descriptive_table_shows() -> None:
    counts = {"Q1": (50, 3), "Q2": (50, 10), "Q3": (50, 20)}
    rows = [r for q, (n, events) in counts.items() for r in described("t", q, n, {"1": events})]
    links = Links(by_exposure={"t": "dose"}, outcome="v", main="main")
    marks = count_marks(ratios("main", counts), rows, min_cell=5, links=links)
    hidden = {cell[3] for cell in marks.ratio if cell[4] == "events"}
    assert len(hidden) > 1
    assert {cell[1] for cell in marks.characteristic if cell[3] == "1"} == hidden


def test_groups_of_nearly_the_same_people_hide_counts() -> None:
    rows = [*described("t", "All", 100, {"1": 40, "2": 60}), *described("u", "Most", 97, {"1": 38, "2": 59})]
    marks = count_marks((), rows, min_cell=5)
    assert ("u", "Most", "", "") in marks.characteristic or ("t", "All", "", "") in marks.characteristic
    apart = [*described("t", "All", 100, {"1": 40, "2": 60}), *described("u", "Some", 60, {"1": 20, "2": 40})]
    assert count_marks((), apart, min_cell=5).characteristic == {}


# ---------------------------------------------------------------- marks and their file


def test_marks_come_back_from_the_list_of_what_is_withheld() -> None:
    rows = [
        Characteristic(table="t", variable="", level="", group="Total", statistic="n", value=40.0, known=40),
        *(
            Characteristic(table="t", variable="v", level=level, group="Total", statistic="count", value=n, known=40)
            for level, n in (("1", 3.0), ("2", 12.0), ("3", 25.0))
        ),
    ]
    marks = count_marks(ratios("main", {"Q1": (50, 3), "Q2": (50, 10), "Q3": (50, 20)}), rows, min_cell=5)
    assert {*marks.ratio.values()} == {"small", "hidden"} == {*marks.characteristic.values()}
    again = marks_from(list(marked_cells(marks)))
    assert (again.ratio, again.characteristic) == (dict(marks.ratio), dict(marks.characteristic))


# ---------------------------------------------------------------- figures


def bars(*counts: int) -> list[HistogramBin]:
    return [HistogramBin(exposure="dose", low=10.0 * i, high=10.0 * (i + 1), n=n) for i, n in enumerate(counts)]


def test_the_outermost_bars_hold_everyone_beyond_and_curves_end_there() -> None:
    made, ends, said = published_histograms(bars(1, 0, 3, 2, 30, 2, 40, 0, 9, 4, 0, 1), min_cell=5)
    assert [(b.low, b.high, b.n) for b in made] == [
        (30.0, 40.0, 6), (40.0, 50.0, 30), (50.0, 60.0, 0), (60.0, 70.0, 42), (70.0, 80.0, 0), (80.0, 90.0, 9),
        (90.0, 100.0, 5),
    ]  # fmt: skip
    assert ends == {"dose": (40.0, 90.0)}
    assert said[0].reason == "merged"
    curve = CurvePoint(
        analysis="main", exposure="dose", stratum="", model="m", x=0, estimate=1, conf_low=1, conf_high=1, reference=1
    )
    points = [
        CurvePoint(**{**{f: getattr(curve, f) for f in curve.__slots__}, "x": x}) for x in (39.0, 40.0, 90.0, 91.0)
    ]
    shown, hidden = published_curves(points, ends)
    assert [(p.x, p.reference) for p in shown] == [(40.0, None), (90.0, None)]  # the reference lies below 40
    assert {w.column for w in hidden} == {"x", "reference"}
    inside = [replace(p, reference=50.0) for p in points]
    assert {p.reference for p in published_curves(inside, ends)[0]} == {50.0}


def test_bars_are_wider_where_many_would_be_told_at_a_neighbours_place() -> None:
    made, ends, _ = published_histograms(bars(2, 3, 2, 1, 3, 2, 3, 4, 2, 1, 0, 2, 4, 1, 3, 2), min_cell=5)
    assert [(b.low, b.high, b.n) for b in made] == [
        (0.0, 40.0, 8),
        (40.0, 80.0, 12),
        (80.0, 120.0, 5),
        (120.0, 160.0, 10),
    ]
    assert ends == {"dose": (20.0, 140.0)}  # of the narrow bars


def test_no_limit_of_bars_lies_few_people_from_a_cut_point() -> None:
    own = bars(10, 8, 12, 10)
    rows = ratios("main", {"Half 1": (20, 9), "Half 2": (20, 9)})
    assert people_below(rows, own) == {"dose": {20}}
    assert people_below(ratios("main", {"Half 1": (20, 9), "Half 2": (19, 9)}), own) == {}  # of other people
    few = bars(40, 5, 40, 40)
    made = published_histograms(few, min_cell=5, below={"dose": {47}})[0]
    assert [b.n for b in made] == [40, 0, 45, 40]  # 45 below the second limit would tell of 2 people
    made, ends, _ = published_histograms(own, min_cell=5, below={"dose": {20}})
    assert (made, ends) == ([], {"dose": (10.0, 30.0)})  # nor at 18, and in wider bars too
    assert [b.n for b in published_histograms(own, min_cell=5, below={"dose": {18}})[0]] == [10, 8, 12, 10]


def test_a_histogram_of_few_people_is_not_shown() -> None:
    made, ends, _ = published_histograms(bars(3, 2, 4), min_cell=5)
    assert (made, ends) == ([], {})


def test_percentiles_beyond_which_few_people_lie_are_left_out() -> None:
    cuts = [
        CutPoint(analysis="a", exposure="e", cut=cut, value=1.0) for cut in ("knot_p5", "knot_p50", "p25", "limit1")
    ]
    assert [c.cut for c in published_cutpoints(cuts, {"a": 60}, min_cell=5)[0]] == ["knot_p50", "p25", "limit1"]
    assert [c.cut for c in published_cutpoints(cuts, {"a": 16}, min_cell=5)[0]] == ["knot_p50"]
    assert len(published_cutpoints(cuts, {"a": 1000}, min_cell=5)[0]) == 4


def test_points_of_few_people_and_the_one_that_would_tell_them_are_empty() -> None:
    shares = [
        Point(analysis="mi", series="distribution", item="v", stratum="known", level=str(i), y=n / 50, n=n)
        for i, n in enumerate((2, 8, 40))
    ]
    ends = [Point(analysis="w", series="chance", item=item, y=0.5) for item in ("smallest", "mean", "largest")]
    made, said = published_points([*shares, *ends], {}, hidden=set(), min_cell=5)
    assert [p.n for p in made[:3]] == [None, None, 40]
    assert [p.y for p in made] == [None, None, 0.8, None, 0.5, None]
    assert {w.reason for w in said} == {"small", "tail"}


def test_days_tell_no_more_of_who_left_than_the_rows() -> None:
    days = {"name": "days.parquet", "sha256": "0", "rows": 72}
    source = DataSource(
        name="p.csv", sha256="0", rows=36, columns_read=2, columns_in_file=2, simulated=False, days=days
    )
    assert published_source(source, 36) == source
    hidden = published_source(source, None)
    assert (hidden.rows, dict(hidden.days or {})) == (None, {**days, "rows": None})


def test_merged_steps_are_listed() -> None:
    flow = (FlowStep("a", "A", 100, 3, 97), FlowStep("b", "B", 97, 20, 77))
    shown, said = published_flow(flow, min_cell=5)
    assert [s.step for s in shown] == ["a+b"]
    assert [w.item for w in said] == ["a", "b"]


# ---------------------------------------------------------------- sentences and rounding


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("3 people lack a covariate.", "Fewer than 5 people lack a covariate."),
        ("It converged. 3 people lack a covariate.", "It converged. Fewer than 5 people lack a covariate."),
        ("24 of 1129 weights were cut; 2 of 40 too.", "24 of 1129 weights were cut; fewer than 5 of 40 too."),
        ("The groups are below 5 events for 19 coefficients.", "The groups are below 5 events for 19 coefficients."),
        ("64 events for 19 coefficients.", "NR events for 19 coefficients."),
        ("Column x holds 2 values outside its range, in rows 5 and 9; mend them.",
         "Column x holds fewer than 5 values outside its range; mend them."),
        ("A statistic of 1.3 people.", "A statistic of 1.3 people."),
    ],
)  # fmt: skip
def test_sentences_say_no_small_and_no_hidden_count(text: str, shown: str) -> None:
    assert published_text(text, min_cell=5, hidden={64}) == shown


def test_counts_in_sentences_are_rounded_as_any() -> None:
    assert published_text("123 people had none.", min_cell=0, base=5) == "125 people had none."


def test_counts_are_rounded_to_the_nearest_multiple_halves_up() -> None:
    assert [to_base(n, 5) for n in (0, 2, 3, 7, 8, 12, 13)] == [0, 0, 5, 5, 10, 10, 15]
    assert [to_base(n, 10) for n in (4, 5, 14, 15)] == [0, 10, 10, 20]
    assert (to_base(7, 0), to_base(None, 5)) == (7, None)


def test_a_base_of_rounding_leaves_no_count_below_the_least_that_is_shown() -> None:
    fits = [(base, k) for k in (0, 5, 6, 10) for base in range(-1, 12) if not round_counts_faults(base, k)]
    assert {(0, 5), (5, 5), (7, 5), (3, 6), (5, 10), (3, 0)} <= set(fits)
    assert not {(-1, 5), (1, 0), (2, 0), (4, 5), (4, 6), (8, 10)} & set(fits)
    for base, k in fits:
        assert all(not 1 <= (to_base(n, base) or 0) < k for n in range(max(k, 1), 60))


def test_sizes_of_equal_groups_are_known_to_whoever_knows_the_rule() -> None:
    smokers = {"Q1": (33, 20, 2), "Q2": (31, 21, 2), "Q3": (33, 18, 4), "Q4": (31, 22, 1), "Total": (128, 81, 9)}
    rows = ratios("main", {"Q1": (55, 10), "Q2": (54, 12), "Q3": (55, 10), "Q4": (54, 4)})
    imputed = ratios("mi", {"Q1": (56, 10), "Q2": (55, 12), "Q3": (55, 10), "Q4": (55, 4)})
    cells = [c for group, n in smokers.items() for c in described("t", group, sum(n), dict(zip("012", n, strict=True)))]
    cuts = {("main", "dose"): (1.0, 2.0, 3.0), ("mi", "dose"): (1.1, 2.0, 3.0)}
    guessed, known = (
        count_marks(
            [*rows, *imputed], cells, min_cell=5, cuts=cuts, secrets={(221, 36): "n"},
            links=Links(by_exposure={"t": "dose"}, main="main", known=frozenset({218}), quantiles=frozenset(exposures)),
        )
        for exposures in ((), ("dose",))
    )  # fmt: skip
    for marks, hidden in ((guessed, True), (known, False)):
        assert hidden == any(cell[0] == "main" and cell[4] == "n" for cell in marks.ratio)
        assert hidden == any(cell[2:] == ("", "") for cell in marks.characteristic)
    assert all(("mi", "dose", "", q, "n") in known.ratio for q in ("Q1", "Q2", "Q3", "Q4"))
