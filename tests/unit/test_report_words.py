"""What a report says in words: the main result, who was analysed, limits, software, and where STROBE items stand."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import walkrisk
from walkrisk.accounts.account import View
from walkrisk.cohorts.days import DayMean, Days, ValidDay
from walkrisk.estimates.results import Results
from walkrisk.reports.html import Paragraphs, Section
from walkrisk.runs.accounting import view_of
from walkrisk.runs.headlines import headline, in_text
from walkrisk.runs.limits import covariate_steps, limits, loss_steps
from walkrisk.runs.ran import _days, missing_data, participants, printing, sensitivity, software
from walkrisk.runs.strobe import NOT_HERE, strobe_table
from walkrisk.runs.tabulations import tabulation
from walkrisk.studies.study import Study
from walkrisk.tables.table import Head, Row, Table

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "tests" / "browser" / "small_study.toml"
ITEMS = "1a 1b 2 3 4 5 6a 6b 7 8 9 10 11 12a 12b 12c 12d 12e 13a 13b 13c 14a 14b 14c 15 16a 16b 16c 17 18 19 20 21 22"


def made_view(study: Study, results: Results, *, simulated: bool = False) -> View:
    return view_of(tabulation(study, results, simulated=simulated))


@pytest.fixture(scope="module")
def view() -> View:
    cohort = walkrisk.example_cohort(900, seed=3)
    cohort["event"] = cohort["event"].astype(float).mask(np.random.default_rng(1).random(len(cohort)) < 0.1)
    cohort.insert(0, "person", np.arange(len(cohort)))
    study = walkrisk.load_study(SMALL)
    study = replace(study, curves=(), curve_figures=(), standardised=(), interactions=(), trends=())
    return made_view(study, walkrisk.run(study, data=cohort).results)


def changed(view: View, **settings: object) -> View:
    return replace(view, study=replace(view.study, settings=replace(view.study.settings, **settings)))  # type: ignore[arg-type]


# ---------------------------------------------------------------- the main result


def test_the_headline_is_the_row_of_the_last_category_under_the_last_model(view: View) -> None:
    (said,) = headline(view)
    for exposure, level in (("volume", "Q4"), ("intensity", "T3")):
        row = next(
            e
            for e in view.results.estimates
            if (e.analysis, e.exposure, e.level, e.model, e.stratum, e.variance)
            == ("main", exposure, level, "adjusted", "", "HC0")
        )
        assert row.estimate is not None
        assert f"{row.estimate:.2f} (95% CI {row.conf_low:.2f}-{row.conf_high:.2f}) for walking {exposure} >" in said
    assert said.startswith("The risk ratio of the event (Adjusted model) was ")
    assert said.count(" against ≤") == 2
    assert headline(replace(view, simulated=True))[0].startswith("In these simulated data the risk ratio")


def test_the_headline_says_when_there_is_no_estimate_and_is_silent_without_an_analysis(view: View) -> None:
    rows = tuple(replace(e, estimate=None) if e.level == "Q4" else e for e in view.results.estimates)
    none = replace(view, results=replace(view.results, estimates=rows))
    assert "was not estimable for walking volume" in headline(none)[0]
    assert headline(replace(view, study=replace(view.study, analyses=()))) == ()


@pytest.mark.parametrize(
    ("label", "within"), [("Walking", "walking"), ("BMI", "BMI"), ("E-value", "E-value"), ("A group", "a group")]
)
def test_labels_within_a_sentence(label: str, within: str) -> None:
    assert in_text(label) == within


# ---------------------------------------------------------------- methods as run


def test_people_are_counted_as_in_the_flow(view: View) -> None:
    (said,) = participants(view)
    first, last = view.results.flow[0], view.results.flow[-1]
    for step in view.results.flow:
        assert f"{in_text(step.reason)} (n = {step.n_excluded})" in said
    assert said.startswith(f"Of {first.n_before} people in the data, {first.n_before - last.n_after} were excluded")
    assert said.endswith(f"The analytic sample is {last.n_after} people.")


def test_days_are_said_as_they_are_declared() -> None:
    rule = ValidDay(zero_invalidates=("lying_s", "walking_s"), not_worn=("nonwear_s",), max_not_worn_h=4.0)
    mean = DayMean(of="walking_s", label="Walking volume")
    said = _days(Days(number=7, valid=rule, means={"walking_min_day": mean}))
    assert "Of each person up to 7 days" in said
    assert "A day was valid with some lying and some walking; at most 4 h of nonwear time together." in said
    assert said.endswith("Daily means over valid days: walking volume.")


def test_programs_are_named_with_their_versions(view: View) -> None:
    said = software(view.study)
    assert re.match(r"Analyses were done with walkrisk \S+ on Python 3\.\d+\.\d+ \(NumPy ", said)
    for package in ("statsmodels", "pandas"):
        assert f"{package} {version(package)}" in said
    assert "own Newton iterations" in said
    assert "found by statsmodels" in software(changed(view, engine="statsmodels").study)


def test_rounding_and_withholding_are_those_of_the_settings(view: View) -> None:
    assert "from 1 to 4 are printed as <5" in printing(view.study)
    assert "ratios to 2 decimals, percentages to 1 decimal" in printing(view.study)
    assert "multiple of 5" in printing(changed(view, round_counts=5).study)
    assert "No count is withheld" in printing(changed(view, min_cell=0).study)


def test_missing_data_and_sensitivity_analyses_are_said_as_far_as_declared(view: View) -> None:
    assert "by the exclusions" in missing_data(view.study)
    assert "imputed" not in missing_data(view.study)
    assert sensitivity(()) == ""


# ---------------------------------------------------------------- limits


def test_limits_tell_who_is_missing_and_what_was_not_looked_at(view: View) -> None:
    said = "\n".join(limits(view, ("A remark.",)))
    lost = next(s for s in view.results.flow if s.step == "followed")
    assert f"{100 * lost.n_excluded / lost.n_before:.1f}% ({lost.n_excluded} of {lost.n_before})" in said
    assert "no analysis looks at them" in said
    assert "No sensitivity analysis was declared for: missing values" in said
    assert "unmeasured confounding" not in said, "there are E-values"
    assert "E-values of the limits" in said
    assert "Remarks on the data: 1" in said
    assert "fewer than 10 events" not in said or any(d.events < 10 * d.parameters for d in view.results.diagnostics)


def test_limits_follow_the_diagnostics(view: View) -> None:
    first, *others = view.results.diagnostics
    worse = replace(first, converged=False), *(replace(d, max_fitted_risk=1.2, boundary=True) for d in others)
    said = "\n".join(limits(replace(view, results=replace(view.results, diagnostics=worse)), ()))
    n = len(others)
    assert f"1 of {n + 1} models did not converge" in said
    assert f"{n} of {n + 1} models gave somebody a fitted risk above 1" in said
    assert f"{n} of {n + 1} models ended at the boundary" in said
    few = tuple(replace(d, events=9 * d.parameters) for d in view.results.diagnostics)
    said = "\n".join(limits(replace(view, results=replace(view.results, diagnostics=few)), ()))
    assert "had fewer than 10 events a parameter" in said


def test_steps_of_loss_and_of_covariates_are_found_by_what_variables_are_derived_from() -> None:
    study = walkrisk.load_study(ROOT / "analyses" / "walking_low_back_pain" / "study.toml")
    assert loss_steps(study) == ("followup_pain_known",)
    assert covariate_steps(study) == ("complete_covariates",)
    varied = walkrisk.load_study(ROOT / "analyses" / "walking_low_back_pain" / "study.toml", sensitivity=True)
    assert loss_steps(varied) == ("followup_pain_known",)


# ---------------------------------------------------------------- STROBE


def sections(*titles: tuple[str, str]) -> list[Section]:
    table = Table(id="table1", title="T", number="Table 1", header=(Head("a"),), rows=(Row(cells=("b",)),))
    flow = replace(table, id="flow", number="Figure 1")
    methods = Section(id="section_methods", title="Methods", blocks=(Paragraphs(texts=("x",)), table, flow))
    return [methods, *(Section(id=i, title=t, blocks=(Paragraphs(texts=("x",)),)) for i, t in titles)]


def found(view: View, *titles: tuple[str, str]) -> dict[str, tuple[str, str]]:
    rows = [r for r in strobe_table(view, sections(*titles)).rows if r.kind == "data"]
    return {r.cells[0]: (r.cells[2], r.cells[3]) for r in rows}


def test_every_item_stands_in_the_checklist_once_and_says_something(view: View) -> None:
    rows = [r for r in strobe_table(view, sections()).rows if r.kind == "data"]
    assert " ".join(r.cells[0] for r in rows) == ITEMS
    assert all(r.cells[1] for r in rows)
    assert len({r.cells[1] for r in rows}) == len(rows)
    assert not [r.cells[0] for r in rows if r.cells[2] == r.cells[3] == NOT_HERE]


def test_items_are_found_only_where_the_report_has_them(view: View) -> None:
    without, with_all = found(view), found(view, ("section_limits", "Limits"), ("l", "Loss to follow-up"))
    assert without["13c"][0] == "Figure 1"
    assert without["14a"][0] == "Table 1"
    assert without["19"][0] == NOT_HERE
    assert with_all["19"][0] == "“Limits”; “Loss to follow-up”"
    assert without["12d"][0] == NOT_HERE
    assert with_all["12d"][0] == "“Loss to follow-up”"
    assert without["16c"] == (NOT_HERE, "Absolute risks.")
    assert without["22"][0] == NOT_HERE
    bare = replace(view, study=replace(view.study, analyses=view.study.analyses[:1]))
    assert found(bare)["12b"] == (NOT_HERE, "No subgroup or interaction was declared; say so.")
    assert without["12b"][0] == "“Methods”"
