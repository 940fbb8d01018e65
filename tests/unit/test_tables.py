"""Numbers as they are printed, categories as they are called, tables as they are laid out."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from walkrisk.cohorts.cohort import Variable
from walkrisk.cohorts.eligibility import FlowStep
from walkrisk.errors import StudyFault
from walkrisk.estimates.numbers import count, count_percent, fixed, mean_sd, p_value, ratio_interval
from walkrisk.estimates.results import Characteristic, CutPoint, Diagnostic, Results
from walkrisk.estimates.rows import Estimate
from walkrisk.tables.categories import ExposureLabel, category_labels, level_names, rounding_note
from walkrisk.tables.characteristics import characteristics_table
from walkrisk.tables.diagnostics import diagnostics_summary, diagnostics_table, flow_table, p_value_table
from walkrisk.tables.ratios import AnalysisPart, ModelColumn, ratio_table
from walkrisk.tables.side_by_side import published_fact_table, published_from, published_ratio_table
from walkrisk.tables.table import Head, Row, Table, footnotes, letters, plain_rows

ROOT = Path(__file__).resolve().parents[2]
NARROW = "\u202f"

# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (0.125, 2, "0.13"), (0.375, 2, "0.38"), (2.5, 0, "3"), (0.285, 2, "0.29"), (1.005, 2, "1.01"),
        (0.865, 2, "0.87"), (-0.001, 2, "0.00"), (-1.25, 1, "−1.3"), (1e30, 0, "1" + 30 * "0"),
        (None, 1, "NA"), (float("nan"), 1, "NA"),
    ],
)  # fmt: skip
def test_halves_go_away_from_zero(value: float | None, places: int, text: str) -> None:
    assert fixed(value, places) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0304, ".03"), (0.0031, ".003"), (0.00099, "<.001"), (0.001, ".001"), (0.00996, ".01"), (0.0099, ".01"),
        (0.0496, ".049"), (0.047, ".047"), (0.0449, ".04"), (0.05, ".05"), (0.20, ".20"), (0.995, ">.99"),
        (1.0, ">.99"),
        (0.0, "<.001"), (0.99, ".99"), (None, "NA"),
    ],
)  # fmt: skip
def test_p_values_in_ama_style(p: float | None, text: str) -> None:
    assert p_value(p) == text


def test_counts_percentages_means_ratios() -> None:
    assert count(2798) == "2798"
    assert count(11194) == f"11{NARROW}194"
    assert count(1234567) == f"1{NARROW}234{NARROW}567"
    assert count_percent(6564, 58.638) == "6564 (58.6)"
    assert mean_sd(55.25, 15.14) == "55.3 (15.1)"
    assert ratio_interval(0.868, 0.7749, 0.975) == "0.87 (0.77-0.98)"
    assert ratio_interval(2e-9, 1e-12, 4e40) == "<0.01 (<0.01 to >999)", "never 0.00 (0.00-0.00)"


# ---------------------------------------------------------------- categories


def cuts(*values: float, name: str = "p", analysis: str = "main", exposure: str = "dose") -> tuple[CutPoint, ...]:
    return tuple(
        CutPoint(analysis=analysis, exposure=exposure, cut=f"{name}{i}", value=v) for i, v in enumerate(values, 1)
    )


def test_quantile_groups_hold_their_upper_limit() -> None:
    assert category_labels(cuts(73.557, 97.365, 125.653), 0) == ("≤74", ">74 to 97", ">97 to 126", ">126")
    assert "lower group" in rounding_note(cuts(73.557))
    assert "rounded" in rounding_note(cuts(73.557))


def test_whole_numbers_are_in_the_group_that_is_printed() -> None:
    assert category_labels(cuts(5089.0, 6674.5), 0, whole=True) == ("≤5089", ">5089 to 6674", ">6674")
    assert category_labels(cuts(2.5), 1, whole=True) == ("≤2.5", ">2.5")
    assert category_labels(cuts(2.5, name="limit"), 0, whole=True) == ("<2.5", "≥2.5")
    assert "rounded" not in rounding_note(cuts(6674.5), whole=True)


def test_fixed_limits_are_exact_and_belong_above() -> None:
    limits = cuts(78.0, 101.5, name="limit")
    assert category_labels(limits, 0) == ("<78.0", "78.0 to <101.5", "≥101.5")
    assert rounding_note(limits) == ""


def test_decimals_are_added_where_limits_would_look_alike() -> None:
    assert category_labels(cuts(3.001, 3.004, 3.2), 2) == ("≤3.001", ">3.001 to 3.004", ">3.004 to 3.200", ">3.200")
    assert category_labels(cuts(5.0, 5.0), 0) == ("≤5", ">5 to 5", ">5"), "tied limits are alike"


# ---------------------------------------------------------------- layout


def test_a_table_refuses_a_row_of_another_width() -> None:
    with pytest.raises(ValueError, match="2 cells under 3 columns"):
        Table(
            id="t",
            title="T",
            header=(Head("a"), Head("b", parts=(Head("c"), Head("d")))),
            rows=(Row(cells=("1", "2")),),
        )


def test_footnotes_get_letters_in_reading_order() -> None:
    table = Table(
        id="t",
        title="T",
        header=(Head("x"), Head("RR", parts=(Head("m1", "first"), Head("m2", "second"))), Head("E", "third")),
        rows=(Row(kind="heading", cells=("g",), note="fourth"), Row(cells=("1", "2", "3", "4"), note="first")),
        notes=("plain",),
    )
    assert letters(table) == {"first": "a", "second": "b", "third": "c", "fourth": "d"}
    assert footnotes(table) == ["a first", "b second", "c third", "d fourth", "plain"]
    assert plain_rows(table) == [["x", "RR: m1", "RR: m2", "E"], ["g", "", "", ""], ["1", "2", "3", "4"]]


# ---------------------------------------------------------------- ratio tables

EMPTY = Results(
    estimates=(), curves=(), flow=(), cutpoints=(), characteristics=(), diagnostics=(), histograms=()
)  # fmt: skip
DOSE = ExposureLabel(id="dose", label="Dose", unit="min/day", decimals=0)


def estimate(level: str, n: int, events: int, value: float | None, **other: object) -> Estimate:
    row = Estimate(
        analysis="main", exposure="dose", level=level, reference="Q1", model="adjusted", estimand="risk_ratio",
        n=n, events=events, estimate=value, variance="HC0",
        conf_low=value * 0.9 if value and level != "Q1" else None,
        conf_high=value * 1.1 if value and level != "Q1" else None,
    )  # fmt: skip
    return replace(row, **other)  # type: ignore[arg-type]


def made(*rows: Estimate, **options: object) -> Table:
    results = replace(EMPTY, estimates=rows, cutpoints=cuts(10.2, 20.4, 30.6))
    settings: dict[str, object] = {
        "analyses": [AnalysisPart(id="main", title="Main")],
        "exposures": {"dose": DOSE},
        "models": [ModelColumn(id="adjusted", label="Adjusted", footnote="For age.")],
        "variance": "HC0",
    }
    return ratio_table("t", "Title", results, **(settings | options))  # type: ignore[arg-type]


QUARTILES = (
    estimate("Q1", 100, 30, 1.0),
    estimate("Q2", 100, 25, 0.80),
    estimate("Q3", 0, 0, None),
    estimate("Q4", 100, 0, None),
)


def test_the_layout_of_a_ratio_table() -> None:
    table = made(*QUARTILES)
    assert plain_rows(table) == [
        ["Category", "No. of participants", "No. of cases", "RR (95% CI): Adjusted"],
        ["Dose, min/day", "", "", ""],
        ["≤10", "100", "30", "1 [Reference]"],
        [">10 to 20", "100", "25", "0.80 (0.72-0.88)"],
        [">20 to 31", "0", "0", "not estimable (nobody in this category)"],
        [">31", "100", "0", "not estimable (no cases)"],
    ]
    assert footnotes(table)[0] == "a For age."
    assert "RR, risk ratio" in table.notes[0]


def test_why_there_is_no_ratio() -> None:
    no_reference = made(estimate("Q1", 100, 0, 1.0), estimate("Q2", 100, 9, None))
    assert [r.cells[-1] for r in no_reference.rows[1:]] == ["[Reference]", "not estimable (no cases in the reference)"]
    failed = made(estimate("Q1", 100, 20, 1.0), estimate("Q2", 100, 9, None))
    assert failed.rows[-1].cells[-1] == "not estimable (see diagnostics)"


def test_a_category_without_cases_says_so_where_its_size_is_hidden() -> None:
    rows = [estimate("Q1", 100, 30, 1.0), estimate("Q2", 4, 0, None), estimate("Q3", 100, 20, 0.7)]
    assert made(*rows, min_cell=5).rows[2].cells == (">10 to 20", "<5", "0", "not estimable (no cases)")


def test_another_variance_is_not_mixed_in() -> None:
    other = replace(QUARTILES[1], variance="HC3", conf_low=0.1, conf_high=9.0)
    assert made(*QUARTILES, other).rows == made(*QUARTILES).rows


def test_few_cases_are_hidden_and_the_crude_ratio_that_would_tell_them() -> None:
    rows = [estimate("Q1", 100, 30, 1.0), estimate("Q2", 100, 3, 0.1), estimate("Q3", 100, 20, 0.67)]
    crude = [replace(r, model="crude") for r in rows]
    models = [ModelColumn(id="crude", label="Crude", crude=True), ModelColumn(id="adjusted", label="Adjusted")]
    table = made(*rows, *crude, models=models, min_cell=5)
    assert [r.cells[2:] for r in table.rows[1:]] == [
        ("30", "1 [Reference]", "1 [Reference]"),
        ("<5", "NR", "0.10 (0.09-0.11)"),
        ("NR", "NR", "0.67 (0.60-0.74)"),
    ]
    assert "Counts from 1 to 4 are shown as <5" in table.notes[-1]


def test_strata_with_an_interaction_and_a_trend() -> None:
    rows = [replace(r, analysis="by_sex", stratum=s) for s in ("female", "male") for r in QUARTILES[:2]]
    test = estimate("", 200, 55, 4.0, stratum="sex", estimand="p_interaction", method="likelihood_ratio",
                    variance="model", p_value=0.26)  # fmt: skip
    wald = replace(test, method="wald", variance="HC0", p_value=0.31)
    trend = replace(test, analysis="trend", stratum="", estimand="p_trend", level="quartile_median", variance="HC0",
                    p_value=0.0004)  # fmt: skip
    part = AnalysisPart(id="by_sex", title="Sex", modifier="sex", trend="trend")
    table = made(*rows, test, wald, trend, analyses=[part, AnalysisPart(id="none", title="None")])
    first = [r.cells[0] for r in table.rows if r.kind == "heading"]
    assert first == ["Sex", "Dose, min/day", "Female", "Male", "None"]
    assert [(r.cells[0], r.cells[-1]) for r in table.rows if r.cells[0].startswith("P for")] == [
        ("P for trend", "<.001"),
        ("P for interaction, likelihood ratio", ".26"),
        ("P for interaction, robust Wald", ".31"),
    ]


def test_joint_groups_have_two_label_columns() -> None:
    rows = [
        replace(
            QUARTILES[0], exposure="both", level=level, reference="Q1/Q1", estimate=1.0 if level == "Q1/Q1" else 0.9
        )
        for level in ("Q1/Q1", "Q1/Q2", "Q2/Q1", "Q2/Q2")
    ]
    results = replace(EMPTY, estimates=tuple(rows), cutpoints=(*cuts(10.0), *cuts(3.1, exposure="pace")))
    pace = ExposureLabel(id="pace", label="Pace", unit="MET", decimals=1)
    both = ExposureLabel(id="both", label="Both", cross=("dose", "pace"))
    table = ratio_table(
        "t", "T", results, analyses=[AnalysisPart(id="main", title="Main")],
        exposures={"dose": DOSE, "pace": pace, "both": both},
        models=[ModelColumn(id="adjusted", label="Adjusted")], variance="HC0",
    )  # fmt: skip
    assert table.label_columns == 2
    assert plain_rows(table)[0][:2] == ["Dose, min/day", "Pace, MET"]
    assert [r.cells[:2] for r in table.rows] == [("≤10", "≤3.1"), ("≤10", ">3.1"), (">10", "≤3.1"), (">10", ">3.1")]


def test_ratios_per_unit_and_of_hazards() -> None:
    row = estimate("per 500 steps", 3638, 412, 0.88, reference="", estimand="hazard_ratio")
    table = made(row)
    assert table.rows[-1].cells == ("per 500 steps", "3638", "412", "0.88 (0.79-0.97)")
    assert table.leaves[-1] == "HR (95% CI): Adjusted"


def test_an_empty_stratum_says_so() -> None:
    nobody = Diagnostic(
        analysis="main", exposure="dose", stratum="male", model="adjusted", method="m", n=0, events=0, parameters=0,
        converged=False, iterations=0, boundary=False, max_fitted_risk=None, log_likelihood=None, warnings="Nobody.",
    )  # fmt: skip
    results = replace(EMPTY, diagnostics=(nobody,))
    table = ratio_table(
        "t", "T", results, analyses=[AnalysisPart(id="main", title="Main")], exposures={"dose": DOSE},
        models=[ModelColumn(id="adjusted", label="Adjusted")], variance="HC0",
    )  # fmt: skip
    assert table.rows[-1].cells[0] == "Nobody in this stratum"
    assert diagnostics_summary([nobody])[1].startswith("1 did not converge")
    told = diagnostics_table([nobody])
    assert told is not None
    assert told.rows[0].cells[-1] == "Nobody."
    assert diagnostics_table([]) is None


# ---------------------------------------------------------------- descriptive tables


def cell(variable: str, level: str, group: str, statistic: str, value: float, known: int) -> Characteristic:
    return Characteristic(
        table="t", variable=variable, level=level, group=group, statistic=statistic, value=value, known=known
    )


VARIABLES = {
    "age": Variable("age", "Age", "years"),
    "sex": Variable("sex", "Sex", levels={0: "Female", 1: "Male"}),
    "valid_days": Variable("valid_days", "Valid days", "days"),
}
DESCRIBED = [
    cell("", "", "Q1", "n", 100, 100), cell("age", "", "Q1", "mean", 55.25, 100),
    cell("age", "", "Q1", "sd", 15.1, 100),
    cell("sex", "0", "Q1", "count", 50, 90), cell("sex", "0", "Q1", "percent", 55.5556, 90),
    cell("sex", "1", "Q1", "count", 40, 90), cell("sex", "1", "Q1", "percent", 44.4444, 90),
    cell("valid_days", "", "Q1", "mean", 5.7, 100), cell("valid_days", "", "Q1", "sd", 1.1, 100),
]  # fmt: skip


def test_a_descriptive_table() -> None:
    table = characteristics_table(
        "t", "T", DESCRIBED, VARIABLES, span="Dose, min/day", group_labels={"Q1": "≤10"}, group_note="Cut.", min_cell=5
    )
    assert plain_rows(table) == [
        ["Characteristic", "Dose, min/day: ≤10"],
        ["No.", "100"],
        ["Age, mean (SD), years", "55.3 (15.1)"],
        ["Sex, No. (%)", ""],
        ["Female", "50 (55.6)"],
        ["Male", "40 (44.4)"],
        ["Unknown, No.", "10"],
        ["Valid days, mean (SD)", "5.7 (1.1)"],
    ]
    assert footnotes(table) == ["a Cut.", "Percentages are of those whose value is known."]


def test_percentages_go_where_they_would_tell_the_unknown() -> None:
    rows = [replace(r, known=98) if r.variable == "sex" else r for r in DESCRIBED]
    rows = [replace(r, value=58.0) if r.level == "0" and r.statistic == "count" else r for r in rows]
    table = characteristics_table("t", "T", rows, VARIABLES, min_cell=5)
    shown = {r.cells[0]: r.cells[-1] for r in table.rows}
    assert shown["Unknown, No."] == "<5"
    assert {shown["Female"], shown["Male"]} == {"58", "NR"}


# ---------------------------------------------------------------- published and obtained

PUBLISHED = {
    "reference": "Someone 2025",
    "ratios": [
        {"analysis": "main", "exposure": "dose", "level": "Q1", "model": "adjusted", "label": "<10", "estimate": 1},
        {
            "analysis": "main", "exposure": "dose", "level": "Q2", "model": "adjusted", "label": "10-20",
            "estimate": 0.64, "conf_low": 0.50, "conf_high": 0.71, "source": "abstract",
        },
    ],
    "facts": [
        {"label": "People", "value": 12000, "obtained": {"op": "flow", "step": "all"}},
        {
            "label": "Cases", "value": 60,
            "obtained": {"op": "sample", "analysis": "main", "exposure": "dose", "what": "events"},
        },
        {"label": "Elsewhere", "value": 1.5, "decimals": 1},
    ],
}  # fmt: skip


def test_published_beside_obtained() -> None:
    published = published_from(PUBLISHED)
    rows = tuple(replace(r, std_error=0.05) if r.level == "Q2" else r for r in QUARTILES)
    results = replace(
        EMPTY, estimates=rows, cutpoints=cuts(10.2, 20.4, 30.6), flow=(FlowStep("all", "All", 300, 0, 300),)
    )
    options = {"exposures": {"dose": DOSE}, "models": {"adjusted": "Adjusted"}, "variance": "HC0"}
    table = published_ratio_table(published, results, simulated=True, **options)  # type: ignore[arg-type]
    assert plain_rows(table)[2:] == [
        ["Q1", "<10", "1 [Reference]", "≤10", "1 [Reference]", "", ""],
        ["Q2", "10-20", "0.64 (0.50-0.71)", ">10 to 20", "0.80 (0.72-0.88)", "1.25", "No"],
    ]
    assert "no replication" in table.notes[0]
    assert "SE about 0.05" in table.notes[0]
    real = published_ratio_table(published, results, simulated=False, **options)  # type: ignore[arg-type]
    assert "simulat" not in " ".join(real.notes)
    facts = published_fact_table(published, results, simulated=False)
    assert [r.cells[1:3] for r in facts.rows] == [(f"12{NARROW}000", "300"), ("60", "55"), ("1.5", "")]


def test_every_fault_of_published_numbers_is_told() -> None:
    with pytest.raises(StudyFault) as caught:
        published_from({"reference": 3, "ratios": [{"analysis": "main", "levels": "Q1"}]})
    assert len(caught.value.faults) >= 5
    assert all(f.startswith("published.toml: ") for f in caught.value.faults)


@pytest.mark.parametrize("path", sorted((ROOT / "analyses").glob("*/published.toml")), ids=lambda p: p.parent.name)
def test_published_numbers_of_the_studies_can_be_read_and_name_their_source(path: Path) -> None:
    published = published_from(tomllib.loads(path.read_text(encoding="utf-8")))
    assert all(r.source for r in published.ratios)
    assert all(f.source for f in published.facts)
    for r in published.ratios:
        assert r.conf_low is None or r.conf_high is None or r.conf_low <= r.estimate <= r.conf_high


# ---------------------------------------------------------------- flow and tests


def test_flow_and_tests() -> None:
    flow = (FlowStep("a", "No recording", 20000, 3, 19997), FlowStep("b", "No answer", 19997, 500, 19497))
    table = flow_table(flow, min_cell=5)
    assert [r.cells for r in table.rows] == [
        ("No recording; No answer", f"20{NARROW}000", "503", f"19{NARROW}497")
    ]  # fmt: skip
    assert table.notes
    row = estimate("", 300, 55, 5.426, stratum="sex", estimand="p_interaction", method="likelihood_ratio",
                   variance="model", p_value=0.143)  # fmt: skip
    tests = p_value_table(
        [row], exposures={"dose": "Dose"}, models={"adjusted": "Adjusted"}, variance="HC0", modifiers={"sex": "Sex"}
    )
    assert tests.rows[0].cells == ("Interaction", "Dose", "Sex", "Adjusted", "Likelihood ratio", "5.43", ".14")


def test_labels_of_categories_go_by_their_number_whatever_the_order_of_rows() -> None:
    values = (("p25", 10.0), ("p50", 20.0), ("p75", 30.0))
    cuts = [CutPoint(analysis="a", exposure="x", cut=c, value=v) for c, v in values]
    shown = ExposureLabel(id="x", label="X", decimals=0)
    found = level_names(["Q4", "Q1", "Q3"], cuts, "a", shown, {"x": shown})
    assert found == {"Q4": (">30",), "Q1": ("≤10",), "Q3": (">20 to 30",)}
    assert level_names(["a", "b"], cuts, "a", shown, {"x": shown}) == {"a": ("a",), "b": ("b",)}
