"""Standardised differences by hand, and how tables show or hide them; tables as a matrix; declared rounding."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest

from walkrisk.cohorts.cohort import Variable
from walkrisk.errors import StudyFault
from walkrisk.estimates.characteristics import TOTAL, describe
from walkrisk.estimates.disclosure import characteristic_marks
from walkrisk.estimates.group_differences import difference_hidden, standardised_differences
from walkrisk.estimates.numbers import JAMA, Rounding, p_value
from walkrisk.estimates.results import Characteristic, CutPoint, Diagnostic, Results
from walkrisk.estimates.rows import Estimate
from walkrisk.studies.declaration import study_from
from walkrisk.tables.categories import ExposureLabel
from walkrisk.tables.cells import Guard
from walkrisk.tables.characteristics import characteristics_table
from walkrisk.tables.matrix import matrix_table
from walkrisk.tables.ratios import ModelColumn
from walkrisk.tables.risks import Shown
from walkrisk.tables.table import footnotes, plain_rows

AGE, SEX = Variable("age", "Age", unit="years"), Variable("sex", "Sex", levels={0: "Female", 1: "Male"})
VARIABLES = {"age": AGE, "sex": SEX}


def described(per_group: int = 20, *, men: tuple[int, ...] = (5, 10), unknown: int = 0) -> list[Characteristic]:
    """Two or more groups of the same ages but for a shift of 1 a group, with so many men in each."""
    n = per_group * len(men)
    group = np.repeat(np.arange(len(men)), per_group)
    age = np.tile(np.linspace(40, 59, per_group), len(men)) + group
    sex = np.concatenate([np.arange(per_group) < m for m in men]).astype(float)
    sex[n - unknown :] = np.nan
    masks = {f"g{i + 1}": group == i for i in range(len(men))} | {TOTAL: np.ones(n, dtype=bool)}
    rows = list(describe("t", {"age": age, "sex": sex}, [AGE, SEX], masks))
    return [*rows, *standardised_differences(rows)]


def values(rows: list[Characteristic]) -> dict[str, float | None]:
    return {r.variable: r.value for r in rows if r.statistic == "smd"}


def test_two_groups_by_hand() -> None:
    got = values(described())
    assert got["age"] == pytest.approx(1 / np.std(np.linspace(40, 59, 20), ddof=1))
    assert got["sex"] == pytest.approx(0.25 / sqrt((0.25 * 0.75 + 0.5 * 0.5) / 2)), "as of a 0/1 variable"


def test_more_groups_have_the_largest_of_their_pairs() -> None:
    got = values(described(men=(5, 10, 15)))
    assert got["age"] == pytest.approx(2 / np.std(np.linspace(40, 59, 20), ddof=1))
    assert got["sex"] == pytest.approx(0.5 / sqrt(0.25 * 0.75))


def test_what_has_no_spread_or_nobody_has_no_difference() -> None:
    assert values(described(men=(0, 0)))["sex"] is None
    assert values(described(men=(0, 20)))["sex"] is None, "no sex in common"
    assert values(described(unknown=20))["sex"] is None, "nobody known in a group"
    assert values(described(1, men=(0, 1)))["age"] is None, "no standard deviation"


def table(rows: list[Characteristic], **options: object) -> dict[str, list[str]]:
    made = characteristics_table("t", "T", rows, VARIABLES, span="Groups", **options)  # type: ignore[arg-type]
    assert made.leaves[-2:] == ("Total", "SMD")
    return {line[0]: line[1:] for line in plain_rows(made)[1:]}


def test_the_column_stands_in_the_first_row_of_a_variable() -> None:
    lines = table(described())
    assert lines["Age, mean (SD), years"] == ["49.5 (5.9)", "50.5 (5.9)", "50.0 (5.9)", "0.17"]
    assert lines["Sex, No. (%)"] == ["", "", "", "0.53"]
    assert [lines[k][-1] for k in ("No.", "Female", "Male")] == ["", "", ""]
    two = characteristics_table("t", "T", described(), VARIABLES)
    three = characteristics_table("t", "T", described(men=(5, 10, 15)), VARIABLES)
    assert "largest" not in footnotes(two)[0]
    assert "largest between any two" in footnotes(three)[0]


def test_missing_counts_by_choice() -> None:
    rows = described(men=(8, 10), unknown=6)
    assert table(rows)["Unknown, No."] == ["0", "6", "6", ""]
    assert "Unknown, No." not in table(rows, missing=False)
    said = characteristics_table("t", "T", rows, VARIABLES, missing=False)
    assert "Percentages and means are of those whose value is known." in footnotes(said)


def test_a_difference_does_not_give_a_hidden_count_away() -> None:
    rows = described(men=(3, 10))
    marks = characteristic_marks(rows, min_cell=5)
    assert ("t", "g1", "sex", "1") in marks
    shown = table(rows, min_cell=5)
    assert (shown["Sex, No. (%)"][-1], shown["Age, mean (SD), years"][-1]) == ("NR", "0.17")
    assert table(rows)["Sex, No. (%)"][-1] != "NR"
    assert difference_hidden(marks, rows, "t", "sex", 5)
    assert not difference_hidden(marks, rows, "t", "age", 5)
    assert difference_hidden({("t", "g1", "", "")}, rows, "t", "age", 5), "the size of a group counts for everything"
    assert difference_hidden((), described(4), "t", "age", 5), "few people known"
    assert not difference_hidden(marks, rows, "other", "sex", 5)


def test_marks_of_counts_do_not_depend_on_differences() -> None:
    rows = described(men=(3, 10), unknown=2)
    bare = [r for r in rows if r.statistic != "smd"]
    assert characteristic_marks(rows, min_cell=5) == characteristic_marks(bare, min_cell=5)


# ---------------------------------------------------------------- joint groups as a matrix

LABELS = {
    "volume": ExposureLabel(id="volume", label="Volume", unit="min/day", decimals=0),
    "pace": ExposureLabel(id="pace", label="Pace", decimals=1),
    "joint": ExposureLabel(id="joint", label="Joint", cross=("volume", "pace")),
}
CUTS = tuple(CutPoint(analysis="joint", exposure=e, cut="p50", value=v) for e, v in (("volume", 60.4), ("pace", 3.05)))
MODELS = (
    ModelColumn(id="crude", label="Crude", footnote="Not adjusted.", crude=True),
    ModelColumn(id="full", label="Adjusted", footnote="For age."),
)


def joint(level: str, model: str, value: float | None, n: int = 100, events: int = 20) -> Estimate:
    first = level == "Q1/Q1"
    return Estimate(
        analysis="joint", exposure="joint", level=level, reference="Q1/Q1", model=model, estimand="risk_ratio", n=n,
        events=events, estimate=value, conf_low=None if first or not value else value * 0.9,
        conf_high=None if first or not value else value * 1.1, variance="HC0",
    )  # fmt: skip


ROWS = tuple(
    joint(level, m.id, value + (m.id == "full") / 10 * (level != "Q1/Q1"), n=100 + i, events=20 + i)
    for m in MODELS
    for i, (level, value) in enumerate((("Q1/Q1", 1.0), ("Q1/Q2", 0.8), ("Q2/Q1", 0.7), ("Q2/Q2", 0.6)))
)


def shown(rows: tuple[Estimate, ...] = ROWS, marks: dict[object, str] | None = None, **changes: object) -> Shown:
    results = Results(
        estimates=rows, curves=(), flow=(), cutpoints=CUTS, characteristics=(), diagnostics=(), histograms=()
    )
    made = Shown(
        analysis="joint", results=results, exposures=LABELS, variance="HC0", events="cases", conf_level=0.95,
        guard=Guard(marks or {}, 5),  # type: ignore[arg-type]
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_matrix_has_one_exposure_in_rows_and_one_in_columns() -> None:
    made = matrix_table("m", "M", shown(), exposure="joint", models=MODELS[1:])
    assert plain_rows(made) == [
        ["Volume, min/day", "Pace: ≤3.1", "Pace: >3.1"],
        ["≤60", "1 [Reference]", "0.90 (0.81-0.99)"],
        ["No. of cases / participants", "20 / 100", "21 / 101"],
        [">60", "0.80 (0.72-0.88)", "0.70 (0.63-0.77)"],
        ["No. of cases / participants", "22 / 102", "23 / 103"],
    ]
    assert "Cells are RR (95% CI), adjusted." in made.notes
    assert "For age." in made.notes
    bare = matrix_table("m", "M", shown(), exposure="joint", models=MODELS[1:], counts=())
    assert len(bare.rows) == 2


def test_a_matrix_of_several_models_has_a_row_for_each() -> None:
    made = matrix_table("m", "M", shown(), exposure="joint", models=MODELS, counts=("n",))
    assert [line[0] for line in plain_rows(made)[1:5]] == [
        "≤60", "Crude, RR (95% CI)", "Adjusted, RR (95% CI)", "No. of participants"
    ]  # fmt: skip
    assert plain_rows(made)[2][1:] == ["1 [Reference]", "0.80 (0.72-0.88)"]
    assert plain_rows(made)[4][1:] == ["100", "101"]
    assert [n for n in footnotes(made) if n[0] in "bc"] == ["b Not adjusted.", "c For age."]


def test_a_matrix_hides_what_a_list_hides() -> None:
    marks: dict[object, str] = {
        ("joint", "joint", "", "Q2/Q2", "events"): "small", ("joint", "joint", "", "Q1/Q2", "n"): "hidden"
    }  # fmt: skip
    made = plain_rows(matrix_table("m", "M", shown(marks=marks), exposure="joint", models=MODELS))
    assert made[4] == ["No. of cases / participants", "20 / 100", "21 / NR"]
    assert made[8][2] == "<5 / 103"
    assert made[2][2] == made[6][2] == "NR", "a crude ratio gives the count away"
    assert made[3][2] == "0.90 (0.81-0.99)"


def test_a_matrix_without_rows_says_so() -> None:
    made = matrix_table("m", "M", shown(()), exposure="joint", models=MODELS)
    assert "not estimable" in plain_rows(made)[1][0]


# ---------------------------------------------------------------- rounding


def test_declared_decimals_are_those_printed() -> None:
    coarse = Rounding(ratios=1, percentages=0, risks=2, means=2, smd=3, p_values="leading_zero")
    assert (JAMA.interval(0.868, 0.7749, 0.975), coarse.interval(0.868, 0.7749, 0.975)) == (
        "0.87 (0.77-0.98)", "0.9 (0.8-1.0)"
    )  # fmt: skip
    lines = table(described(), rounding=coarse)
    assert lines["Age, mean (SD), years"][-1] == "0.169"
    assert lines["Age, mean (SD), years"][0] == "49.50 (5.92)"
    assert lines["Female"][0] == "15 (75)"
    made = plain_rows(matrix_table("m", "M", shown(rounding=coarse), exposure="joint", models=MODELS[1:]))
    assert made[1][2] == "0.9 (0.8-1.0)"


@pytest.mark.parametrize(
    ("p", "ama", "leading_zero", "three_decimals"),
    [
        (0.0304, ".03", "0.03", "0.030"), (0.0004, "<.001", "<0.001", "<0.001"), (0.995, ">.99", ">0.99", "0.995"),
        (0.0496, ".049", "0.049", "0.050"), (None, "NA", "NA", "NA"),
    ],
)  # fmt: skip
def test_p_values_in_three_styles(p: float | None, ama: str, leading_zero: str, three_decimals: str) -> None:
    assert (p_value(p), p_value(p, "leading_zero"), p_value(p, "three_decimals")) == (ama, leading_zero, three_decimals)


# ---------------------------------------------------------------- the declaration


def declared(**changes: object) -> dict[str, object]:
    return {
        "study": {"id": "s", "title": "S"},
        "columns": {"id": {"kind": "id"}, "dose": {"kind": "number"}, "pace": {"kind": "number"},
                    "y": {"kind": "code", "codes": [0, 1]}},
        "settings": {"outcome": "y"},
        "outcomes": {"y": {"variable": "y", "label": "Y"}},
        "exposures": {"volume": {"variable": "dose", "quantiles": 2}, "speed": {"variable": "pace", "quantiles": 2},
                      "joint": {"cross": ["volume", "speed"]}},
        "models": {"crude": {"label": "Crude"}},
        "analyses": [{"id": "both", "title": "B", "exposures": ["joint"], "models": ["crude"]},
                     {"id": "main", "title": "M", "exposures": ["volume"], "models": ["crude"]}],
        **changes,
    }  # fmt: skip


def test_choices_of_tables_are_declared_and_checked() -> None:
    matrix = {"id": "m", "title": "M", "analysis": ["both"], "models": ["crude"], "form": "matrix", "counts": ["n"]}
    described_by = {"id": "t", "title": "T", "rows": ["dose"], "by_exposure": "volume", "smd": True, "missing": False}
    study = study_from(declared(tables=[matrix], characteristics=[described_by], rounding={"ratios": 3}))
    assert (study.tables[0].form, study.tables[0].counts) == ("matrix", ("n",))
    assert (study.characteristics[0].smd, study.characteristics[0].missing) == (True, False)
    assert study.rounding == Rounding(ratios=3)
    wrong = declared(
        tables=[{**matrix, "analysis": ["main"]}],
        characteristics=[{"id": "t", "title": "T", "rows": ["dose"], "smd": True}],
        rounding={"ratios": 9, "means": -1},
    )
    with pytest.raises(StudyFault) as fault:
        study_from(wrong)
    said = str(fault.value)
    for key in ("characteristics (t).smd", "tables (m).form", "rounding.ratios", "rounding.means"):
        assert key in said


def test_a_fit_that_failed_has_no_matrix_cells() -> None:
    empty = tuple(replace(e, estimate=None) if e.level == "Q2/Q2" else e for e in ROWS)
    fit = Diagnostic(
        analysis="joint", exposure="joint", stratum="", model="full", method="m", n=1, events=1, parameters=1,
        converged=False, iterations=1, boundary=False, max_fitted_risk=None, log_likelihood=None, warnings="",
    )  # fmt: skip
    base = shown(empty)
    made = matrix_table(
        "m", "M", replace(base, results=replace(base.results, diagnostics=(fit,))), exposure="joint", models=MODELS[1:]
    )
    assert "not estimable" in plain_rows(made)[3][2]


def test_rows_whose_counts_are_withheld_read_not_reported() -> None:
    rows = described(men=(3, 10), unknown=2)
    exact, marks = table(rows, min_cell=5), characteristic_marks(rows, min_cell=5)
    blank = [
        replace(
            r,
            value=None if (r.table, r.group, r.variable, r.level) in marks or r.statistic == "smd" else r.value,
            known=None if (r.table, r.group, r.variable, "unknown") in marks else r.known,
        )
        for r in rows
        if r.statistic != "smd" or r.variable == "sex"
    ]
    exact["Age, mean (SD), years"][-1] = "–"
    assert table(blank, min_cell=5, marks=marks) == exact
    assert table(blank, min_cell=5, marks={})["Male"][0] == "NR", "without marks too"
    gone = tuple(
        replace(e, n=None, events=None, estimate=None, conf_low=None, conf_high=None) if e.level == "Q2/Q2" else e
        for e in ROWS
    )
    hidden: dict[object, str] = {("joint", "joint", "", "Q2/Q2", what): "hidden" for what in ("n", "events")}
    made = plain_rows(matrix_table("m", "M", shown(gone, hidden), exposure="joint", models=MODELS))
    assert [line[2] for line in made[6:9]] == ["NR", "NR", "NR / NR"]
