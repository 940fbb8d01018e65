"""Every method and section of a declared study gives the rows of the Python door on the same people."""

from __future__ import annotations

import copy
import math
import warnings
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

import walkrisk
from walkrisk.cohorts.categories import cut_up, quantile_cuts
from walkrisk.cohorts.readers import Extract
from walkrisk.doors.methods import DIFFERENCE_METHODS, RATIO_METHODS
from walkrisk.doors.results import Estimates
from walkrisk.errors import StudyFault
from walkrisk.estimates.disclosure import ratio_marks
from walkrisk.estimates.results import Results
from walkrisk.estimates.rows import Estimate
from walkrisk.models.covariance import EXPECTED, VARIANCES
from walkrisk.runs.compute import compute
from walkrisk.runs.tabulations import ratio_tables, section_tables, tabulation
from walkrisk.studies.declaration import study_from
from walkrisk.studies.kinds import is_resampled
from walkrisk.studies.names import titles_of
from walkrisk.studies.vocabulary import Method, VarianceName
from walkrisk.tables.table import Table, plain_rows

pytestmark = pytest.mark.filterwarnings("ignore::walkrisk.doors.results.WalkriskWarning")

NUMBER = {"kind": "number"}
TABLE: dict[str, Any] = {
    "study": {"id": "small", "title": "Small"},
    "columns": {
        "pid": {"kind": "id"},
        "sex": {"kind": "code", "codes": [0, 1], "labels": {"0": "Female", "1": "Male"}},
        "case": {"kind": "code", "codes": [0, 1]},
        "ended": {"kind": "code", "codes": [0, 1, 2]},
        **dict.fromkeys(("dose", "age", "rest", "sleep", "weight", "stratum", "unit", "household", "time"), NUMBER),
    },
    "settings": {"outcome": "case", "variances": ["HC0"], "min_cell": 5},
    "outcomes": {
        "case": {"variable": "case", "label": "Case", "time": "time", "event": "case"},
    },
    "exposures": {
        "volume": {"variable": "dose", "quantiles": 3, "label": "Volume", "unit": "min"},
        "amount": {"variable": "dose", "per": 10, "unit": "min"},
    },
    "models": {"crude": {}, "sex": {"covariates": ["sex"]}, "both": {"covariates": ["age", "sex"]}},
    "design": {"weights": "weight", "strata": "stratum", "psu": "unit"},
}
CLUSTERED = {"design": {"weights": "weight", "cluster": "household"}}
SHAPE = {"analysis": "x", "title": "X", "exposures": ["volume"], "models": ["both"]}


def frame(n: int = 900, seed: int = 7) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    made = pd.DataFrame({"pid": np.arange(n), "dose": np.round(rng.gamma(4, 20, n), 1)})
    made["age"] = np.round(rng.uniform(20, 80, n))
    made["sex"] = rng.integers(0, 2, n).astype(float)
    risk = np.exp(-1.6 - 0.004 * (made["dose"] - 80) + 0.008 * (made["age"] - 50) + 0.2 * made["sex"])
    made["case"] = (rng.random(n) < np.minimum(risk, 0.9)).astype(float)
    made["rest"], made["sleep"] = rng.uniform(300, 500, n), rng.uniform(350, 550, n)
    made["weight"] = rng.uniform(0.5, 2, n)
    made["stratum"], made["unit"] = (np.arange(n) % 8).astype(float), ((np.arange(n) // 8) % 6).astype(float)
    made["household"] = (np.arange(n) // 15).astype(float)
    made["time"] = np.ceil(rng.exponential(5, n)) + 1
    made["ended"] = np.where((made["case"] == 0) & (rng.random(n) < 0.2), 2.0, made["case"])
    return made


def study_of(**parts: Any) -> Any:
    table = copy.deepcopy(TABLE)
    for key, value in parts.items():
        own = {**table.get(key, {}), **value} if isinstance(value, dict) and key != "design" else value
        table[key] = own
    return study_from(table)


def run(data: pd.DataFrame, *, jobs: int = 1, **parts: Any) -> Results:
    return compute(study_of(**parts), Extract(data, "made up", "", (), data.shape[1]), jobs=jobs).results


def for_doors(data: pd.DataFrame) -> pd.DataFrame:
    """The same people as a user of the doors has them: categories as text."""
    codes = cut_up(data["dose"].to_numpy(), quantile_cuts(data["dose"].to_numpy(), 3)).astype(int)
    volume = pd.Categorical([f"Q{c}" for c in codes], categories=["Q1", "Q2", "Q3"])
    sex = pd.Categorical(np.where(data["sex"] == 0, "Female", "Male"), categories=["Female", "Male"])
    return data.assign(volume=volume, sex=sex)


ASKED: dict[str, Any] = {"outcome": "case", "exposure": "volume", "covariates": ["age", "sex"]}


def same(mine: list[Estimate], door: list[Estimate]) -> None:
    """Rows agree in every number and name but for their place in the study."""
    assert len(mine) == len(door)
    place = {"analysis": "", "exposure": "", "model": ""}
    for a, b in zip(mine, door, strict=True):
        a, b = replace(a, **place), replace(b, **place)
        for name in ("n", "events", "level", "reference", "stratum", "estimand", "method", "variance"):
            assert getattr(a, name) == getattr(b, name), (name, a, b)
        for name in ("estimate", "std_error", "conf_low", "conf_high", "p_value"):
            x, y = getattr(a, name), getattr(b, name)
            assert (x is None) == (y is None), (name, a, b)
            assert x is None or x == pytest.approx(y, rel=1e-9, abs=1e-12), (name, a, b)


def of(results: Results, analysis: str = "x", **equal: str) -> list[Estimate]:
    return [
        e for e in results.estimates if e.analysis == analysis and all(getattr(e, k) == v for k, v in equal.items())
    ]


def zero_at_reference(found: Estimates) -> list[Estimate]:
    """A difference is 0 at the reference, and no ratio."""
    return [replace(r, estimate=0.0) if r.level == r.reference and "diff" in r.estimand else r for r in found.rows]


# ---------------------------------------------------------------- vocabulary


def test_a_declaration_knows_every_method_and_variance_of_the_doors() -> None:
    assert set(get_args(Method)) == {*RATIO_METHODS, *DIFFERENCE_METHODS, "auto", "cox"}
    assert set(get_args(VarianceName)) == {*VARIANCES, *(v + EXPECTED for v in VARIANCES), "bootstrap"}


# ---------------------------------------------------------------- methods of ratio analyses

ANALYSIS = {"id": "x", "title": "X", "exposures": ["volume"], "models": ["both"]}
LEFT_OUT = ("mantel_haenszel", "aipw", "tmle")  # of their own below


@pytest.mark.parametrize("method", ["auto", *(m for m in RATIO_METHODS if m not in LEFT_OUT)])
def test_every_method_of_ratios_gives_the_rows_of_its_door(method: str) -> None:
    data = frame()
    results = run(data, analyses=[{**ANALYSIS, "method": method}])
    same(of(results), list(walkrisk.risk_ratios(for_doors(data), **ASKED, method=method).rows))
    (diagnostic,) = results.diagnostics
    assert (diagnostic.n, diagnostic.events, diagnostic.converged) == (900, data["case"].sum(), True)


@pytest.mark.parametrize("method", ["auto", *(m for m in DIFFERENCE_METHODS if m not in LEFT_OUT)])
def test_every_method_of_differences_gives_the_rows_of_its_door(method: str) -> None:
    data = frame()
    results = run(data, analyses=[{**ANALYSIS, "method": method, "estimand": "risk_difference"}])
    door = walkrisk.risk_differences(for_doors(data), **ASKED, method=method)
    same(of(results), zero_at_reference(door))


@pytest.mark.parametrize("method", ["aipw", "tmle"])
def test_doubly_robust_methods_take_plain_weights(method: str) -> None:
    data = frame()
    rows = of(run(data, analyses=[{**ANALYSIS, "method": method}]))
    door = walkrisk.weighted_risks(for_doors(data), **ASKED, method=method, stabilised=False)
    same(rows, [r for r in door.rows if r.estimand == "risk_ratio"])


def test_mantel_haenszel_has_variances_of_its_own() -> None:
    data = frame()
    rows = of(run(data, analyses=[{**ANALYSIS, "models": ["sex"], "method": "mantel_haenszel"}]))
    asked = {**ASKED, "covariates": ["sex"], "method": "mantel_haenszel"}
    same(rows, list(walkrisk.risk_ratios(for_doors(data), **asked).rows))
    assert {r.variance for r in rows} == {"greenland_robins"}


def test_everyone_of_a_category_is_counted_whatever_a_model_loses() -> None:
    data = frame()
    data.loc[:99, "age"] = np.nan
    for method in ("modified_poisson", "standardisation_logistic"):
        rows = of(run(data, analyses=[{**ANALYSIS, "method": method}]))
        assert sum(r.n or 0 for r in rows) == 900


# ---------------------------------------------------------------- variances


@pytest.mark.parametrize("variance", ["HC3", "MBN", "FG", "HC1_expected", "CR2", "CR3", "KC", "CR1S", "survey"])
@pytest.mark.parametrize("method", ["modified_poisson", "standardisation_logistic"])
def test_one_variance_is_that_of_the_door(method: str, variance: str) -> None:
    data = frame()
    clustered = variance in ("CR2", "CR3", "KC", "CR1S")
    parts: dict[str, Any] = CLUSTERED if clustered else {}
    rows = of(run(data, analyses=[{**ANALYSIS, "method": method, "variances": [variance]}], **parts))
    more = (
        {"cluster": "household"} if clustered else {"strata": "stratum", "psu": "unit"} if variance == "survey" else {}
    )
    same(rows, list(walkrisk.risk_ratios(for_doors(data), **ASKED, method=method, variance=variance, **more).rows))


@pytest.mark.parametrize("method", ["modified_poisson", "standardisation_logistic"])
def test_a_bootstrap_is_the_same_by_seed_and_another_by_another(method: str) -> None:
    data = frame()

    def rows(seed: int) -> list[Estimate]:
        settings = {"replicates": 60, "seed": seed}
        analysis = {**ANALYSIS, "method": method, "variances": ["bootstrap"]}
        return of(run(data, settings=settings, analyses=[analysis], design={"weights": "weight"}))

    door = walkrisk.risk_ratios(for_doors(data), **ASKED, method=method, variance="bootstrap", replicates=60, seed=3)
    same(rows(3), list(door.rows))
    assert rows(3) == rows(3)
    assert rows(4)[1].conf_low != rows(3)[1].conf_low


def test_t_limits_are_carried_by_trends_and_curves() -> None:
    data = frame(n=300)
    parts: dict[str, Any] = {
        **CLUSTERED,
        "settings": {"variances": ["CR2"]},
        "trends": [{"analysis": "t", "exposures": ["volume"], "models": ["both"]}],
        "curves": [{"analysis": "c", "exposures": ["volume"], "model": "both", "step": {"volume": 20}}],
    }
    results = run(data, **parts)
    trend = of(results, "t")[0]
    assert trend.estimate is not None
    assert trend.std_error is not None
    assert trend.conf_high is not None
    assert (trend.conf_high - trend.estimate) / trend.std_error > 2.0  # 20 clusters: t, and not 1.96
    normal = run(data, **{**parts, "settings": {"variances": ["cluster"]}})
    widths = [math.log(p.conf_high / p.conf_low) for p in (results.curves[-1], normal.curves[-1])]
    assert widths[0] > widths[1]


def test_a_variance_that_does_not_exist_is_a_sentence_and_the_others_stay() -> None:
    data = frame()
    data["alone"] = (data.index == 5).astype(float)
    data.loc[5, "case"] = 1.0
    columns = {"alone": {"kind": "code", "codes": [0, 1], "labels": {"0": "No", "1": "Yes"}}}
    analysis = {**ANALYSIS, "models": ["alone"], "variances": ["HC3", "HC0"]}
    results = run(data, columns=columns, models={"alone": {"covariates": ["alone"]}}, analyses=[analysis])
    assert "HC3: 1 persons each determine a coefficient alone" in results.diagnostics[0].warnings
    assert all(r.std_error is None for r in of(results, variance="HC3") if r.level != "Q1")
    assert all(r.std_error for r in of(results, variance="HC0") if r.level != "Q1")


# ---------------------------------------------------------------- sections


def test_standardised_risks_are_those_of_the_door() -> None:
    data = frame()
    results = run(data, standardised=[{**SHAPE, "variances": ["HC3"]}])
    same(of(results), list(walkrisk.standardised_risks(for_doors(data), **ASKED, variance="HC3").rows))
    assert {c.analysis for c in results.cutpoints} == {"x"}


def test_crude_standardised_risks_are_the_observed_ones() -> None:
    data = frame()
    rows = of(run(data, standardised=[{**SHAPE, "models": ["crude"]}]), estimand="risk")
    observed = for_doors(data).groupby("volume", observed=True)["case"].mean()
    assert [r.estimate for r in rows] == pytest.approx(list(observed), rel=1e-9)


@pytest.mark.parametrize("population", ["everyone", "Q3"])
def test_a_population_and_a_model_of_risks(population: str) -> None:
    data = frame()
    asked = {**SHAPE, "population": population, "method": "poisson", "estimands": ["risk", "risk_ratio"]}
    rows = of(run(data, standardised=[asked]))
    door = walkrisk.standardised_risks(
        for_doors(data), **ASKED, method="standardisation_poisson", population=population
    )
    same(rows, [r for r in door.rows if r.estimand in ("risk", "risk_ratio")])


def test_values_of_a_number_and_bootstrap_limits() -> None:
    data = frame()
    asked = {**SHAPE, "exposures": ["amount"], "at": {"amount": [60, 90]}, "intervals": "percentile"}
    rows = of(run(data, settings={"replicates": 60}, standardised=[asked], design={"weights": "weight"}))
    door = walkrisk.standardised_risks(
        for_doors(data), outcome="case", exposure="dose", covariates=["age", "sex"], at=(60, 90),
        intervals="percentile", replicates=60,
    )  # fmt: skip
    same(rows, list(door.rows))
    assert {r.variance for r in rows} == {"bootstrap"}


def test_methods_side_by_side() -> None:
    data = frame()
    methods = ["modified_poisson", "log_binomial", "iptw", "logistic"]
    results = run(
        data,
        comparisons=[{"analysis": "x", "title": "X", "exposures": ["volume"], "model": "both", "methods": methods}],
    )
    same(of(results), list(walkrisk.compare_methods(for_doors(data), **ASKED, methods=methods).rows))
    assert [d.method for d in results.diagnostics] == methods


@pytest.mark.parametrize("formula", ["standardised", "miettinen", "levin"])
def test_attributable_fractions_are_those_of_the_door(formula: str) -> None:
    data = frame()
    rows = of(run(data, attributable=[{**SHAPE, "formula": formula, "reference": "Q3", "variances": ["survey"]}]))
    door = walkrisk.attributable_fractions(
        for_doors(data), **ASKED, formula=formula, reference="Q3", variance="survey", strata="stratum", psu="unit"
    )
    same(rows, list(door.rows))


@pytest.mark.parametrize("kind", ["isotemporal", "compositional"])
def test_moved_time_is_that_of_the_door(kind: str) -> None:
    data = frame()
    parts = ["dose", "rest", "sleep"]
    results = run(
        data,
        substitutions=[{"analysis": "x", "title": "X", "parts": parts, "amounts": [10], "kind": kind, "model": "both"}],
    )
    door = walkrisk.time_substitution(
        for_doors(data), outcome="case", parts=parts, amounts=[10], covariates=["age", "sex"], model=kind
    )
    same(of(results), list(door.rows))


@pytest.mark.parametrize("method", ["cox", "kaplan_meier", "aalen_johansen"])
def test_risks_at_a_horizon_are_those_of_the_door(method: str) -> None:
    data = frame()
    outcome = "ended" if method == "aalen_johansen" else "case"
    outcomes = {"ended": {"variable": "case", "label": "Ended", "time": "time", "event": "ended"}}
    asked = {**SHAPE, "horizon": 6.0, "method": method, "outcome": outcome}
    results = run(data, outcomes=outcomes if outcome == "ended" else {}, horizons=[asked])
    door = walkrisk.risks_at_horizon(
        for_doors(data), time="time", event=outcome, horizon=6.0, exposure="volume", covariates=["age", "sex"],
        method=method,
    )  # fmt: skip
    same(of(results), list(door.rows))


def test_joint_effects_are_those_of_the_door() -> None:
    data = frame()
    asked = {"analysis": "x", "exposure": "volume", "modifier": "sex", "model": "both", "additive": True}
    results = run(data, settings={"variances": ["HC3"]}, interactions=[asked])
    mine = [r for r in of(results) if r.estimand != "p_interaction"]
    door = walkrisk.interaction(
        for_doors(data), outcome="case", exposure="volume", modifier="sex", covariates=["age"], variance="HC3"
    )
    same(mine, [r for r in door.rows if r.estimand != "p_interaction"])
    tests = {r.method: r.p_value for r in of(results, estimand="p_interaction")}
    found = {r.method: r.p_value for r in door.rows if r.estimand == "p_interaction"}
    assert tests == pytest.approx(found)


def test_a_curve_with_knots_by_rule_its_standardised_form_and_the_lowest_risk() -> None:
    data = frame()
    asked = {"analysis": "x", "exposures": ["volume"], "model": "both", "knots": 4, "step": {"volume": 10}}
    plain = run(data, curves=[{**asked, "lowest": True}])
    at = [p.x for p in plain.curves]
    door = walkrisk.dose_response(
        for_doors(data), **{**ASKED, "exposure": "dose"}, reference=plain.curves[0].reference, at=at
    )
    assert [p.estimate for p in plain.curves] == pytest.approx([p.estimate for p in door.curve], rel=1e-9)
    assert [c.value for c in plain.cutpoints] == pytest.approx(list(door.details["knots"]))
    (lowest,) = of(plain, estimand="lowest_risk")
    assert data["dose"].min() < (lowest.estimate or 0) < data["dose"].max()
    marginal = run(data, curves=[{**asked, "standardised": True, "method": "logistic"}])
    asked_door = {**ASKED, "exposure": "dose", "method": "logistic", "reference": plain.curves[0].reference, "at": at}
    wanted = walkrisk.dose_response(for_doors(data), **asked_door, standardised=True)
    for field in ("estimate", "conf_low", "conf_high"):
        expected = [getattr(p, field) for p in wanted.curve]
        assert [getattr(p, field) for p in marginal.curves] == pytest.approx(expected, rel=1e-9)


ALL_SECTIONS: dict[str, Any] = {
    "standardised": [{**SHAPE, "analysis": "risks", "models": ["crude", "both"]}],
    "comparisons": [{"analysis": "methods", "title": "M", "exposures": ["volume"], "model": "both"}],
    "attributable": [{**SHAPE, "analysis": "fractions"}],
    "substitutions": [{"analysis": "moved", "title": "T", "parts": ["dose", "rest"], "model": "both"}],
    "horizons": [{**SHAPE, "analysis": "horizon", "horizon": 6.0}],
    "interactions": [
        {"analysis": "joint", "exposure": "volume", "modifier": "sex", "model": "crude", "additive": True}
    ],
    "analyses": [{**ANALYSIS, "models": ["crude", "both"]}],
}


def test_the_number_of_jobs_changes_nothing() -> None:
    data = frame()
    resampled = [{**SHAPE, "analysis": "b", "intervals": "bca"}]
    parts = {**ALL_SECTIONS, "standardised": [*ALL_SECTIONS["standardised"], *resampled], "design": {}}
    assert run(data, jobs=2, settings={"replicates": 50}, **parts) == run(data, settings={"replicates": 50}, **parts)


@pytest.mark.parametrize("engine", ["newton", "statsmodels"])
def test_every_section_runs_with_either_engine(engine: str) -> None:
    results = run(frame(), settings={"engine": engine}, **ALL_SECTIONS)
    assert all(d.converged for d in results.diagnostics)


def test_a_category_without_cases_has_no_estimate_that_looks_fine() -> None:
    data = frame()
    data.loc[for_doors(data)["volume"] == "Q3", "case"] = 0.0
    comparison = {**ALL_SECTIONS["comparisons"][0], "methods": ["modified_poisson", "aipw", "bias_reduced_poisson"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        results = run(data, **{**ALL_SECTIONS, "comparisons": [comparison]})
    rows = [e for e in results.estimates if e.level == "Q3" and e.estimand in ("risk_ratio", "odds_ratio")]
    assert rows
    for row in rows:
        assert row.conf_low is None or (row.method, row.variance) == ("bias_reduced_poisson", "model"), row
        assert row.estimate is None or row.method == "bias_reduced_poisson", row
    text = "\n".join(d.warnings for d in results.diagnostics)
    assert "volume Q3 has no cases" in text
    assert "not estimable (no cases)" in str(rendered(data, results, "risks", comparisons=[comparison]))


def test_a_section_that_cannot_be_answered_is_a_sentence_and_the_run_goes_on() -> None:
    data = frame()
    data.loc[3, "rest"] = 0.0  # has no logarithm
    moved = {**ALL_SECTIONS["substitutions"][0], "kind": "compositional"}
    results = run(data, **{**ALL_SECTIONS, "substitutions": [moved]})
    assert not of(results, "moved")
    (told,) = [d for d in results.diagnostics if d.analysis == "moved"]
    assert not told.converged
    assert told.n == 900
    assert "rest" in told.warnings
    assert of(results, "risks")


# ---------------------------------------------------------------- tables and disclosure


def tables_of(data: pd.DataFrame, results: Results, **parts: Any) -> dict[str, Table]:
    del data
    study = study_of(**{**ALL_SECTIONS, **parts})
    return {t.id: t for t in section_tables(tabulation(study, results, simulated=False))}


def rendered(data: pd.DataFrame, results: Results, id: str, **parts: Any) -> list[list[str]]:
    return plain_rows(tables_of(data, results, **parts)[id])


def test_every_section_has_its_table() -> None:
    data = frame()
    tables = tables_of(data, run(data, **ALL_SECTIONS))
    assert list(tables) == ["risks", "horizon", "methods", "joint_volume_sex", "fractions", "moved"]
    assert all(t.number.startswith("eTable") for t in tables.values())
    cells = " ".join(c for t in tables.values() for row in plain_rows(t) for c in row)
    assert "NA" not in cells.split()
    assert "nan" not in cells


def few(data: pd.DataFrame, *, cases: int, sex: float | None = None) -> pd.DataFrame:
    """The data with so many cases left in the second category (of one sex)."""
    here = (for_doors(data)["volume"] == "Q2") & ((data["sex"] == sex) if sex is not None else True)
    at = data.index[here & (data["case"] == 1)]
    return data.assign(case=data["case"].where(~data.index.isin(at[cases:]), 0.0))


def test_risks_of_a_category_of_few_cases_are_not_shown() -> None:
    data = few(frame(), cases=3)
    results = run(data, **ALL_SECTIONS)
    for id in ("risks", "horizon"):
        small = [row for row in rendered(data, results, id) if row[2] == "<5"]
        assert small
        assert all(set(row[3:]) == {"NR"} for row in small)
    methods = rendered(data, results, "methods")
    assert "<5" in methods[2]
    fractions = rendered(data, results, "fractions")
    assert {row[1] for row in fractions if "against" in row[0]} == {"NR"}
    assert any("%" not in row[1] and row[0] == "Total" and row[1] != "NR" for row in fractions)
    unhidden = rendered(data, results, "risks", settings={"min_cell": 0})
    assert not any("NR" in row or "<5" in row for row in unhidden)


def test_contrasts_with_a_reference_of_few_cases_are_not_shown() -> None:
    data = frame()
    at = data.index[(for_doors(data)["volume"] == "Q1") & (data["case"] == 1)]
    data.loc[at[4:], "case"] = 0.0
    rows = rendered(data, run(data, **ALL_SECTIONS), "risks")
    body = [row for row in rows if row[1].isdigit()]
    assert body[0][3] == "NR"
    assert all(row[3] != "NR" and set(row[4:]) == {"NR"} for row in body[4:6])  # adjusted: only the risk itself


def test_a_small_joint_group_hides_what_gives_it_away() -> None:
    data = few(frame(), cases=2, sex=1.0)
    rows = rendered(data, run(data, **ALL_SECTIONS), "joint_volume_sex")
    counts = [cell for row in rows for cell in row if "<5 / " in cell]
    assert len(counts) == 1
    other = [cell for row in rows for cell in row if cell.startswith("NR / ")]
    assert other  # a second one, or the margin would give it away
    crude = next(row for row in rows if "<5 / " in "".join(row))
    assert crude[4] == "NR"
    heads = [row[0] for row in rows if "within each level of" in row[0]]
    assert heads == ["Volume within each level of sex, RR", "Sex within each level of volume, RR"]


def test_ratios_within_strata_hide_the_cells_of_the_joint_groups() -> None:
    data = few(frame(), cases=2, sex=1.0)
    marks = ratio_marks(run(data, **ALL_SECTIONS).estimates, min_cell=5)
    joint = {cell[3:]: mark for cell, mark in marks.items() if cell[:3] == ("joint", "volume", "")}
    assert len(joint) == 2
    for stratum, part in (("sex=Male", "/Male"), ("sex=Female", "/Female"), ("volume=Q2", "Q2/"), ("volume=Q3", "Q3/")):
        within = {cell[3:]: mark for cell, mark in marks.items() if cell[:3] == ("joint", "volume", stratum)}
        assert within == {cell: mark for cell, mark in joint.items() if part in cell[0]}


def test_a_table_of_differences_is_in_percentage_points() -> None:
    data = few(frame(), cases=3)
    analysis = {**ANALYSIS, "models": ["crude", "both"], "method": "identity_binomial"}
    results = run(data, analyses=[analysis])
    study = study_of(
        analyses=[analysis], tables=[{"id": "t", "title": "T", "analysis": ["x"], "models": ["crude", "both"]}]
    )
    (table,) = ratio_tables(tabulation(study, results, simulated=False))
    header, _, first, second, third = plain_rows(table)
    assert header[3].startswith("RD (95% CI)")
    assert first[3:] == ["0 [Reference]", "0 [Reference]"]
    assert second[2:4] == ["<5", "NR"]  # a crude difference would say the count
    (row,) = [e for e in of(results, model="both") if e.level == "Q3"]
    assert third[4].startswith(f"{100 * (row.estimate or 0):.1f}".replace("-", "−"))
    assert "risk difference, in percentage points" in table.notes[0]


# ---------------------------------------------------------------- declarations that cannot be


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (
            {"analyses": [{**ANALYSIS, "method": "iptw", "variances": ["HC3"]}]},
            "analyses[0] (x).variances: iptw has no variance HC3",
        ),
        (
            {"analyses": [{**ANALYSIS, "method": "mantel_haenszel", "models": ["sex"], "variances": ["HC0"]}]},
            "analyses[0] (x).variances: mantel_haenszel has variances of its own",
        ),
        (
            {
                "analyses": [{**ANALYSIS, "method": "mantel_haenszel", "models": ["sex"]}],
                "settings": {"variances": ["cluster"]},
                **CLUSTERED,
            },
            "analyses[0] (x).method: mantel_haenszel knows no clusters",
        ),
        (
            {"analyses": [{**ANALYSIS, "method": "mantel_haenszel"}]},
            "analyses[0] (x).method: strata of mantel_haenszel are made of",
        ),
        (
            {"analyses": [{**ANALYSIS, "variances": ["CR2"]}]},
            "analyses[0] (x).variances: variance 'CR2' needs design.cluster.",
        ),
        (
            {"analyses": [{**ANALYSIS, "method": "cox", "variances": ["HC2"]}]},
            "analyses[0] (x).method: a Cox model has no variance HC2",
        ),
        (
            {"analyses": [{**ANALYSIS, "method": "linear", "estimand": "risk_ratio"}]},
            "analyses[0] (x).estimand: linear estimates a risk difference",
        ),
        (
            {"analyses": [{**ANALYSIS, "method": "case_duplication", "variances": ["HC2"]}]},
            "analyses[0] (x).variances: case_duplication has no",
        ),
        (
            {"analyses": [{**ANALYSIS, "exposures": ["amount"], "form": "per_unit", "method": "aipw"}]},
            "analyses[0] (x).form: aipw compares",
        ),
        ({"settings": {"replicates": 10}}, "settings.replicates: must be from 50"),
        ({"settings": {"seed": -1}}, "settings.seed: must be 0 or more"),
        (
            {
                "settings": {"method": "iptw"},
                "trends": [{"analysis": "t", "exposures": ["volume"], "models": ["both"]}],
            },
            "trends[0] (t).method: needs one of",
        ),
        (
            {"standardised": [{**SHAPE, "exposures": ["amount"]}]},
            "standardised[0] (x).exposures: there is no exposure with categories",
        ),
        (
            {"standardised": [{**SHAPE, "population": "Q9"}]},
            "standardised[0] (x).population: 'Q9' is no category of volume",
        ),
        (
            {"standardised": [{**SHAPE, "exposures": ["amount"], "at": {"amount": [5]}}]},
            "standardised[0] (x).at.amount: needs two",
        ),
        ({"standardised": [SHAPE], "attributable": [SHAPE]}, "analysis: x stands more than once"),
        ({"standardised": [SHAPE], "analyses": [ANALYSIS]}, "analysis: x is the name of another analysis"),
        (
            {"attributable": [{**SHAPE, "variances": ["bootstrap"]}]},
            "attributable[0] (x).variances: a fraction has no bootstrap",
        ),
        (
            {"attributable": [{**SHAPE, "formula": "levin", "method": "logistic"}]},
            "attributable[0] (x).method: the levin formula",
        ),
        (
            {"substitutions": [{"analysis": "x", "title": "X", "parts": ["dose", "age"], "model": "both"}]},
            "substitutions[0] (x).model: age is a part of the day already",
        ),
        ({"horizons": [{**SHAPE, "horizon": -1.0}]}, "horizons[0] (x).horizon: must be a positive time"),
        (
            {"horizons": [{**SHAPE, "horizon": 1.0, "variances": ["HC3"]}]},
            "horizons[0] (x).variances: iptw has no variance HC3",
        ),
        (
            {
                "curves": [
                    {"analysis": "c", "exposures": ["volume"], "model": "both", "knots": 9, "step": {"volume": 5}}
                ]
            },
            "curves[0] (c).knots: must be from 3 to 7",
        ),
        (
            {
                "interactions": [
                    {"analysis": "i", "exposure": "volume", "modifier": "sex", "model": "both", "additive": True}
                ]
                * 2
            },
            "interactions.additive: i of volume stands more than once",
        ),
        (
            {
                "comparisons": [
                    {"analysis": "x", "title": "X", "exposures": ["volume"], "model": "both", "methods": ["cox"]}
                ]
            },
            "comparisons[0] (x).methods: cox estimates no risk ratio",
        ),
    ],
)
def test_faults_of_methods_and_sections(parts: dict[str, Any], sentence: str) -> None:
    with pytest.raises(StudyFault) as caught:
        study_of(**parts)
    assert any(f.startswith(sentence) for f in caught.value.faults), caught.value.faults


def test_only_what_is_resampled_depends_on_a_seed() -> None:
    assert not is_resampled(study_of(**ALL_SECTIONS))
    assert is_resampled(study_of(standardised=[{**SHAPE, "intervals": "bca"}]))
    assert is_resampled(study_of(settings={"variances": ["bootstrap"]}))


def test_everything_that_gives_estimates_has_its_title() -> None:
    joint = {"analysis": "joint", "exposure": "volume", "modifier": "sex", "model": "both"}
    study = study_from(
        TABLE
        | {
            "analyses": [{"id": "main", **{k: v for k, v in SHAPE.items() if k != "analysis"}}],
            "standardised": [SHAPE | {"analysis": "risks", "title": "Risks"}],
            "interactions": [joint],
            "sensitivity": {"imputations": [{"id": "imputed", "impute": {"age": "pmm"}}]},
        }
    )
    assert titles_of(study) == {
        "main": "X", "imputed": "Multiple imputation", "risks": "Risks", "joint": "Interaction",
    }  # fmt: skip
