"""Unmeasured confounding and selection by declaration: grammar, rows, accounts, on a small simulated extract."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import walkrisk
from walkrisk.accounts.account import Account, View
from walkrisk.accounts.evalues import evalue_account
from walkrisk.cohorts.readers import read_extract
from walkrisk.declarations import read_toml
from walkrisk.errors import DataFault, StudyFault
from walkrisk.estimates.results import Point
from walkrisk.estimates.rows import Estimate
from walkrisk.runs.accounting import accounts_of, view_of
from walkrisk.runs.compute import _source_columns, make_cohort
from walkrisk.runs.run import Run
from walkrisk.runs.tabulations import tabulation
from walkrisk.sensitivity.confounding import array_approach
from walkrisk.sensitivity.evalue import bias_factor, evalue
from walkrisk.studies.bench import make_bench
from walkrisk.studies.declaration import contracts, study_from
from walkrisk.studies.study import Study
from walkrisk.variations.confounding import plan
from walkrisk.variations.ground import Ground, main_rows

from .sentences_check import every_fault

KEPT = ("study", "columns", "days", "variables", "exclusions", "settings", "outcomes", "exposures", "models")
UNIFORM = {"op": "uniform", "low": 0.2, "high": 0.3}
LEVELS = ("Q1", "Q2", "Q3", "Q4")
SUITE: dict[str, Any] = {
    "analysis": "main",
    "model": "multi_adjusted",
    "exposures": ["volume"],
    "evalue_curves": [{"id": "ev", "curve": "main"}],
    "benchmarks": [{"id": "bm", "groups": {"work_and_school": ["education", "work_status"]}}],
    "contours": [{"id": "ct", "benchmarks": "bm"}],
    "confounder_arrays": [{"id": "ar", "association": [1.5, 3.0], "prevalence": [0.1, 0.4]}],
    "probabilistic_confounders": [
        {
            "id": "pc",
            "association": {"op": "constant", "value": 2.0},
            "prevalence": {
                x: {"op": "constant", "value": p} for x, p in zip(LEVELS, (0.4, 0.3, 0.2, 0.2), strict=True)
            },
            "draws": 20000,
            "refits": 100,
        }
    ],
    "probabilistic_selections": [
        {
            "id": "ps",
            "with_outcome": {x: {"op": "beta", "a": 50, "b": 50} for x in LEVELS},
            "without_outcome": {x: {"op": "beta", "a": 60, "b": 40} for x in LEVELS},
            "correlation": 0.5,
            "draws": 2000,
            "refits": 0,
        }
    ],
}


def declared(reference_toml: Path, **changed: Any) -> Study:
    """The reference study with its main analysis and curve alone, and the suite with some keys changed."""
    whole = read_toml(reference_toml, "a study")
    table = {k: whole[k] for k in KEPT}
    table["analyses"] = [{**whole["analyses"][0], "models": ["multi_adjusted"]}]
    table["curves"] = [{**whole["curves"][0], "exposures": ["volume"], "step": {"volume": 4.0}}]
    table["sensitivity"] = {**SUITE, **changed}
    return study_from(table)


@pytest.fixture(scope="module")
def run(reference_toml: Path, simulated_frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("confounding") / "results"
    return walkrisk.run(declared(reference_toml), data=simulated_frame, out=out)


@pytest.fixture(scope="module")
def view(run: Run) -> View:
    return view_of(tabulation(run.study, run.results, simulated=True))


@pytest.fixture(scope="module")
def accounts(view: View) -> tuple[Account, ...]:
    return accounts_of(tabulation(view.study, view.results, simulated=True)).every


@pytest.fixture(scope="module")
def ground(reference_toml: Path, simulated_frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    study = declared(reference_toml)
    path = tmp_path_factory.mktemp("ground") / "extract.parquet"
    simulated_frame.to_parquet(path, index=False)
    extract = read_extract(path, contracts(study))
    cohort, _ = make_cohort(study, extract)
    return Ground(study, _source_columns(study, extract), None, make_bench(study, cohort))


def one(view: View, analysis: str, estimand: str, method: str = "", stratum: str | None = None) -> Estimate:
    rows = view.rows(analysis, exposure="volume", level="Q4", estimand=estimand, stratum=stratum)
    return next(e for e in rows if method in ("", e.method))


# ---------------------------------------------------------------- rows


def test_evalues_of_ratios_and_curve_are_those_of_the_rows(view: View) -> None:
    main = view.main("volume", "Q4")
    expected = evalue(main.estimate, main.conf_low, main.conf_high)
    assert one(view, "ev", "e_value").estimate == pytest.approx(expected.point, rel=1e-12)
    assert one(view, "ev", "e_value_ci").estimate == pytest.approx(expected.limit, rel=1e-12)
    curve = {p.x: p for p in view.results.curves if p.analysis == "main"}
    points = view.points("ev", "e_value")
    assert len(points) == len(curve) > 40
    for p in points:
        assert p.x is not None
        assert p.y == pytest.approx(evalue(curve[p.x].estimate).point, rel=1e-12)


@pytest.mark.parametrize(("method", "measure"), [("logistic", "OR"), ("identity_poisson", "RD")])
@pytest.mark.parametrize("rare", [True, False, None])
def test_evalues_of_odds_ratios_and_risk_differences(
    ground: Ground, method: Any, measure: str, rare: bool | None
) -> None:
    study = ground.study
    main = replace(study.analyses[0], method=method)
    curves = replace(study.sensitivity.evalue_curves[0], curve="", rare=rare)
    only = replace(study.sensitivity, evalue_curves=(curves,), benchmarks=(), contours=(), confounder_arrays=())
    only = replace(only, probabilistic_confounders=(), probabilistic_selections=())
    changed = replace(study, analyses=(main,), sensitivity=only)
    bench = replace(ground.bench, study=changed)
    (variation,) = plan(replace(ground, study=changed, bench=bench))
    found = main_rows(bench, "volume")
    row = next(e for e in found.estimates if e.level == "Q4" and e.variance == "stata")
    reference = next(e for e in found.estimates if e.level == "Q1" and e.variance == "stata")
    got = next(e for e in variation.finish(()).estimates if e.level == "Q4" and e.variance == "stata")
    fit = found.diagnostics[0]
    is_rare = fit.events / fit.n < 0.15 if rare is None else rare
    if measure == "OR":
        expected = evalue(row.estimate, row.conf_low, row.conf_high, measure="OR", rare=is_rare).point
    else:
        cells = [(e.events or 0, (e.n or 0) - (e.events or 0)) for e in (row, reference)]
        cells.sort(key=lambda c: c[0] / sum(c), reverse=True)
        expected = evalue(measure="RD", counts=(*cells[0], *cells[1])).point
    assert got.estimand == "e_value"
    assert got.estimate == pytest.approx(expected, rel=1e-12)


def test_a_covariate_left_out_gives_the_ratio_of_a_study_without_it(view: View, ground: Ground) -> None:
    study = ground.study
    model = study.models["multi_adjusted"]
    smaller = replace(model, covariates=tuple(c for c in model.covariates if c != "depression"))
    without = replace(study, models={**study.models, "multi_adjusted": smaller})
    rows = main_rows(replace(ground.bench, study=without), "volume").estimates
    expected = next(e for e in rows if e.level == "Q4" and e.variance == "stata")
    got = one(view, "bm", "risk_ratio", stratum="depression")
    assert got.estimate == pytest.approx(expected.estimate, rel=1e-10)
    assert got.conf_high == pytest.approx(expected.conf_high, rel=1e-10)
    shift = one(view, "bm", "log_ratio_shift", stratum="depression").estimate
    main = view.main("volume", "Q4").estimate
    assert main is not None
    assert got.estimate is not None
    assert shift == pytest.approx(math.log(got.estimate / main), rel=1e-12)
    assert {e.stratum for e in view.rows("bm")} == {*model.covariates, "work_and_school"}


def test_associations_of_a_covariate_by_hand(view: View, ground: Ground) -> None:
    sample = ground.bench.sample
    depressed, volume = sample.columns["depression"] == 1, sample.categories["volume"]
    p = [depressed[volume == k].mean() for k in (4, 1)]
    main = view.main("volume", "Q4").estimate
    assert main is not None
    pair = (p[1] / p[0], (1 - p[1]) / (1 - p[0])) if main < 1 else (p[0] / p[1], (1 - p[0]) / (1 - p[1]))
    a = one(view, "bm", "exposure_association", stratum="depression").estimate
    b = one(view, "bm", "outcome_association", stratum="depression").estimate
    assert a == pytest.approx(max(pair), rel=1e-12)
    assert b is not None
    assert a is not None
    assert b >= 1
    factor = one(view, "bm", "bias_factor", stratum="depression").estimate
    assert factor == pytest.approx(bias_factor(max(a, 1.0), b), rel=1e-12)


def test_the_array_and_the_contours_are_their_closed_forms(view: View) -> None:
    main = view.main("volume", "Q4")
    assert main.estimate is not None
    for p in view.points("ar", "array"):
        assert p.x is not None
        assert p.y is not None
        expected = array_approach(main.estimate, float(p.stratum), p.x, float(p.item))
        assert p.y == pytest.approx(float(expected), rel=1e-12)
    for p in view.points("ct", "contour_estimate"):
        assert p.x is not None
        assert p.y is not None
        assert bias_factor(p.x, p.y) == pytest.approx(max(main.estimate, 1 / main.estimate), rel=1e-9)
    end = view.points("ct", "end")[0].x
    assert end is not None
    marked = [e.estimate for e in view.rows("bm", level="Q4", estimand="exposure_association")]
    assert end >= max(v for v in marked if v is not None)


def test_constant_priors_give_the_array(view: View) -> None:
    """Without spread in the priors the median is the closed form, and random error that of the main analysis."""
    main = view.main("volume", "Q4")
    assert main.estimate is not None
    assert main.std_error is not None
    expected = float(array_approach(main.estimate, 2.0, 0.2, 0.4))
    systematic = one(view, "pc", "risk_ratio", "probabilistic_confounder_systematic")
    assert systematic.estimate == pytest.approx(expected, rel=1e-12)
    total = one(view, "pc", "risk_ratio", "probabilistic_confounder")
    error = view.points("pc", "monte_carlo_error", exposure="volume")
    mc = next(p for p in error if p.level == "Q4" and p.item == "probabilistic_confounder")
    for got, due, within in (
        (total.estimate, expected, mc.y),
        (total.conf_low, expected * math.exp(-1.959964 * main.std_error), mc.low),
        (total.conf_high, expected * math.exp(1.959964 * main.std_error), mc.high),
    ):
        assert got is not None
        assert within is not None
        assert abs(got - due) < 4 * within
    records = one(view, "pc", "risk_ratio", "probabilistic_confounder_records_systematic")
    assert records.estimate == pytest.approx(expected, rel=0.03)
    both = {e.variance for e in view.results.estimates if (e.analysis, e.method) == ("pc", "probabilistic_confounder")}
    assert both == {"stata", "HC0"}


def test_parts_do_not_depend_on_one_another(ground: Ground) -> None:
    (variation,) = [v for v in plan(ground) if v.id == "pc"]
    assert [p.key for p in variation.parts] == ["volume_0", "volume_1"]
    second = variation.parts[1].work()
    first, again = variation.parts[0].work(), variation.parts[1].work()
    for name in second:
        np.testing.assert_array_equal(second[name], again[name])
    assert not np.array_equal(first["log_ratios"], second["log_ratios"])


# ---------------------------------------------------------------- accounts


def test_accounts_have_sentences_tables_and_pictures(accounts: tuple[Account, ...]) -> None:
    assert [a.id for a in accounts] == ["ev", "bm", "ct", "ar", "pc", "ps"]
    assert [a.group for a in accounts] == ["Unmeasured confounding"] * 5 + ["Selection"]
    for account in accounts:
        assert account.sentences, account.id
        assert account.tables, account.id
        assert account.drawings, account.id
        assert account.methods, account.id
    lines = [line.label for a in accounts for line in a.lines]
    assert len(lines) == 4  # left out, two of the confounder (estimates and records), selection


def test_methods_say_what_was_assumed(accounts: tuple[Account, ...]) -> None:
    said = {a.id: " ".join(a.methods) for a in accounts}
    for id_ in ("ar", "pc"):
        assert "independent of the measured covariates within categories of the exposure" in said[id_]
        assert (
            "one and the same ratio with the outcome for everyone, without interaction with the exposure" in said[id_]
        )
    assert "depend on the category of the exposure and on the outcome alone" in said["ps"]
    assert "independent of the measured covariates" not in said["ps"]
    assert "are crude" in said["ct"]


def curve_of(view: View, above: Any, *, reference: float | None, grid: Any = range(0, 101, 10)) -> str:
    """What is said of a curve whose limit's E-value is 2 where `above` says so, shown from 5 to 95."""
    at = {"analysis": "ev", "exposure": "volume"}
    points = [Point(**at, series="shown", x=reference, low=5.0, high=95.0)]
    points += [Point(**at, series="e_value_ci", x=float(x), y=2.0 if above(x) else 1.0) for x in grid]
    made = replace(view, results=replace(view.results, points=tuple(points)))
    said = evalue_account(made, view.study.sensitivity.evalue_curves[0]).sentences
    return next(s.text for s in said if s.text.startswith("Within"))


SHOWN = "Within the part of the curve of Walking volume that is shown (5 to 95 min/day) "
ABOVE = "the limit's E-value was above that of no association "
SIDES = ", on both sides of the reference ({} min/day), where ratio and E-value are those of no association."


def test_where_the_limits_evalue_is_above_one_is_said_without_the_edges_of_the_figure(view: View) -> None:
    assert curve_of(view, lambda x: False, reference=50) == f"{SHOWN}no interval left out no association."
    assert curve_of(view, lambda x: True, reference=None) == f"{SHOWN}{ABOVE}over all of that part."
    assert curve_of(view, lambda x: True, reference=0.0) == f"{SHOWN}{ABOVE}over all of that part."
    for reference in (50, 45):  # a point of the curve, or between two
        both = curve_of(view, lambda x, r=reference: x != r, reference=reference)
        assert both == f"{SHOWN}{ABOVE}over all of that part{SIDES.format(reference)}"
    some = curve_of(view, lambda x: 20 < x < 70 and x != 50, reference=50)
    assert some == f"{SHOWN}{ABOVE}from 30 to 40 min/day and from 60 to 60 min/day{SIDES.format(50)}"
    between = curve_of(view, lambda x: 20 < x < 70, reference=45)
    assert between == f"{SHOWN}{ABOVE}from 30 to 40 min/day and from 50 to 60 min/day{SIDES.format(45)}"
    assert curve_of(view, lambda x: x > 60, reference=50) == f"{SHOWN}{ABOVE}from 70 to 90 min/day."
    apart = curve_of(view, lambda x: x in (60, 70, 90), reference=50)
    assert apart == f"{SHOWN}{ABOVE}from 60 to 70 min/day and from 90 to 90 min/day."


def test_the_shown_part_of_a_curve_has_its_reference(view: View) -> None:
    (shown,) = view.points("ev", "shown")
    assert shown.x == next(p.reference for p in view.results.curves if p.analysis == "main")


def test_every_sentence_says_what_the_files_say(view: View, accounts: tuple[Account, ...], run: Run) -> None:
    assert run.out is not None
    faults = every_fault(view, accounts, run.out)
    assert not faults, "\n".join(faults)


def test_numbers_stand_in_the_places_that_are_theirs(accounts: tuple[Account, ...]) -> None:
    """Limits and medians of one row share their form, so that a swap would read as well."""
    columns = {"low": "low", "high": "high", "median": "y", "size": "x", "factor": "y", "start": "x", "end": "x"}
    checked = 0
    for account in accounts:
        for place, fact in ((p, f) for s in account.sentences for p, f in s.facts.items()):
            if account.id in ("ct", "pc", "ps", "ev") and place in columns:
                assert fact.column == columns[place], (account.id, place)
                checked += 1
    assert checked >= 10


# ---------------------------------------------------------------- what is refused


def test_faults_are_sentences_with_their_keys(reference_toml: Path) -> None:
    confounder = SUITE["probabilistic_confounders"][0]
    with pytest.raises(StudyFault) as raised:
        declared(
            reference_toml,
            benchmarks=[{"id": "bm", "groups": {"sex": ["sex", "age"], "one": ["sex"], "odd": ["sex", "weight"]}}],
            contours=[{"id": "ct", "benchmarks": "nothing", "largest": 0.5}],
            confounder_arrays=[{"id": "ar", "association": [-1.0], "prevalence": [0.4, 1.2]}],
            probabilistic_confounders=[
                {**confounder, "association": UNIFORM | {"low": -1.0}, "prevalence": {"Q1": UNIFORM, "Q9": UNIFORM}},
                {**confounder, "id": "p2", "correlation": 2.0, "draws": 5, "refits": 7},
            ],
            evalue_curves=[{"id": "ev", "curve": "no_curve"}],
        )
    text = "\n".join(raised.value.faults)
    for part in (
        "benchmarks[0] (bm).groups.sex: is the name of a covariate",
        "groups.one: a group has two covariates or more",
        "groups.odd: there is no covariate of multi_adjusted 'weight'",
        "contours[0] (ct).benchmarks: there is no benchmarks 'nothing'",
        "contours[0] (ct).largest: must be above 1",
        "confounder_arrays[0] (ar).association: a ratio of confounder and outcome must be positive",
        "confounder_arrays[0] (ar).prevalence: a prevalence lies between 0 and 1",
        "probabilistic_confounders[0] (pc).association: A ratio is above 0, but this prior reaches from -1",
        "has no prior for Q2, Q3, Q4 of volume",
        "there is no category of volume 'Q9'",
        "p2).correlation: lies between 0 and 1",
        "p2).draws: must be from 100",
        "p2).refits: must be 0 (none) or at least 100",
        "evalue_curves[0] (ev).curve: there is no curve 'no_curve'",
    ):
        assert part in text, part


def test_records_need_a_regression_of_risk_ratios(reference_toml: Path) -> None:
    whole = read_toml(reference_toml, "a study")
    table = {k: whole[k] for k in KEPT}
    table["analyses"] = [{**whole["analyses"][0], "method": "logistic", "models": ["multi_adjusted"]}]
    suite = {k: v for k, v in SUITE.items() if k != "evalue_curves"}
    with pytest.raises(StudyFault, match="not logistic; set refits = 0"):
        study_from({**table, "sensitivity": suite})


def test_priors_that_contradict_the_data_are_refused_before_any_work(reference_toml: Path, ground: Ground) -> None:
    impossible = {
        **SUITE["probabilistic_confounders"][0],
        "association": {"op": "constant", "value": 50.0},
        "prevalence": {x: {"op": "constant", "value": 0.05} for x in LEVELS},
    }
    study = declared(reference_toml, probabilistic_confounders=[impossible])
    with pytest.raises(DataFault, match=r"\(pc\), volume: 20000 of 20000 draws .* take priors of a weaker"):
        list(plan(replace(ground, study=study)))
