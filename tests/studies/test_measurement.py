"""Measurement error in a whole study: rows against direct fits, accounts from rows, and what is refused."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from walkrisk.accounts.account import Account
from walkrisk.cohorts.days import DATE, daily_seconds
from walkrisk.cohorts.readers import Extract, read_extract
from walkrisk.errors import DataFault, StudyFault
from walkrisk.estimates.results import Results
from walkrisk.estimates.rows import Estimate
from walkrisk.runs.accounting import accounts_of
from walkrisk.runs.compute import compute, make_cohort
from walkrisk.runs.tabulations import tabulation
from walkrisk.studies.bench import make_bench
from walkrisk.studies.declaration import check_study, contracts, load_study
from walkrisk.studies.measurement import Calibration, MisclassifiedOutcome, Reliability, Simex
from walkrisk.studies.priors import ConstantPrior, UniformPrior
from walkrisk.studies.sensitivity import Sensitivity
from walkrisk.studies.study import Study
from walkrisk.tables.table import plain_rows
from walkrisk.variations.ground import Ground
from walkrisk.variations.measured import daily_values, people_of, weekdays
from walkrisk.variations.measurement import plan

FloatArray = npt.NDArray[np.float64]

DAYS = Reliability(id="days", replicates=200)
CALIBRATED = Calibration(
    id="calibrated", per={"volume": 30.0, "intensity": 0.2}, curve="main", together=True, replicates=200
)
DECLARED = Calibration(
    id="declared", exposures=("volume",), reliability={"volume": 0.75}, source="a test", categories=False
)
ADDED = Simex(id="simex", exposures=("volume",), forms=("categories", "per_unit", "curve"), curve="main", replicates=20)
KAPPA = MisclassifiedOutcome(id="kappa", kappa=(0.51, 0.60), source="a test", draws=200, exposures=("volume",))
GIVEN = MisclassifiedOutcome(
    id="given",
    exposures=("volume",),
    sensitivity=ConstantPrior(op="constant", value=0.8),
    specificity=UniformPrior(op="uniform", low=0.9, high=1.0),
    specificity_reference=ConstantPrior(op="constant", value=0.98),
    draws=200,
)


def small(study: Study, **sensitivity: Any) -> Study:
    """The main analysis, with sensitivity analyses."""
    main = next(a for a in study.analyses if a.id == "main")
    return replace(
        study,
        analyses=(replace(main, models=("multi_adjusted",)),),
        sensitivity=Sensitivity(model="multi_adjusted", **sensitivity),
        curves=tuple(c for c in study.curves if c.analysis == "main"),
        trends=(), interactions=(), standardised=(), comparisons=(), attributable=(), evalues=(),
        characteristics=(), tables=(), curve_figures=(), forest_figures=(), heat_figures=(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def reference(reference_toml: Path) -> Study:
    return load_study(reference_toml)


@pytest.fixture(scope="module")
def extract(reference: Study, simulated_frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Extract:
    path = tmp_path_factory.mktemp("measurement") / "extract.parquet"
    simulated_frame.to_parquet(path, index=False)
    return read_extract(path, contracts(reference))


def ground_of(study: Study, extract: Extract) -> Ground:
    columns = {n: extract.frame[n].to_numpy(dtype=np.float64) for n in extract.frame if n != "PID_114165"}
    cohort, _ = make_cohort(study, extract)
    assert study.days is not None
    return Ground(study, columns, daily_seconds(study.days, columns), make_bench(study, cohort))


@pytest.fixture(scope="module")
def study(reference: Study) -> Study:
    return small(
        reference,
        reliabilities=(DAYS,),
        calibrations=(CALIBRATED, DECLARED),
        simex=(ADDED,),
        misclassified_outcomes=(KAPPA, GIVEN),
    )


@pytest.fixture(scope="module")
def ground(study: Study, extract: Extract) -> Ground:
    return ground_of(study, extract)


@pytest.fixture(scope="module")
def results(study: Study, extract: Extract) -> Results:
    return compute(study, extract).results


def rows_of(results: Results, analysis: str, stratum: str, **wanted: object) -> list[Estimate]:
    named = {"estimand": "risk_ratio", "exposure": "volume", **wanted}
    return [
        e
        for e in results.estimates
        if (e.analysis, e.stratum) == (analysis, stratum) and all(getattr(e, k) == v for k, v in named.items())
    ]


def one(results: Results, analysis: str, stratum: str, **wanted: object) -> Estimate:
    (found,) = rows_of(results, analysis, stratum, **wanted)
    return found


def test_the_days_behind_an_exposure_have_its_values_as_their_means(ground: Ground) -> None:
    assert ground.day_values is not None
    for variable in ("walking_min_day", "walking_intensity_met"):
        days = daily_values(ground.study, ground.day_values, variable)
        known = ~np.isnan(days).all(axis=1)
        value = ground.bench.cohort.everyone[variable]
        np.testing.assert_array_equal(known, ~np.isnan(value))
        np.testing.assert_allclose(np.nanmean(days[known], axis=1), value[known], rtol=1e-9)
    days = daily_values(ground.study, ground.day_values, "walking_min_day")
    invalid = ground.day_values["lying_s"] == 0
    assert np.isnan(days[invalid]).all()
    people = people_of(ground, "volume", by_days=True)
    assert people.said == ()
    np.testing.assert_array_equal(people.value, ground.bench.sample.columns["walking_min_day"][: people.n])


def test_days_of_the_week_are_read_from_dates() -> None:
    assert weekdays({DATE: np.array([[0.0, 4.0, 20_423.0]])}).tolist() == [[3, 0, 0]]  # a Thursday, two Mondays


def newton(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Coefficients of a Poisson regression and their HC0 covariance, by plain Newton steps."""
    b = np.zeros(x.shape[1])
    b[0] = math.log(y.mean())
    for _ in range(30):
        mu = np.exp(x @ b)
        bread = np.linalg.inv((x * mu[:, None]).T @ x)
        b = b + bread @ (x.T @ (y - mu))
    mu = np.exp(x @ b)
    return b, bread @ ((x * ((y - mu) ** 2)[:, None]).T @ x) @ bread


def test_calibrated_ratios_are_those_of_a_direct_fit(ground: Ground, results: Results) -> None:
    people = people_of(ground, "volume", by_days=True)
    assert people.days is not None
    k = (~np.isnan(people.days)).sum(axis=1)
    w, z = people.value, people.covariates()
    within = np.nansum((people.days - w[:, None]) ** 2) / (k - 1).sum()
    slopes = np.linalg.lstsq(z, w, rcond=None)[0]
    residual = w - z @ slopes
    between = residual @ residual / (len(w) - z.shape[1]) - within * (1 / k).mean()
    expected = z @ slopes + between / (between + within / k) * residual
    b, v = newton(np.column_stack([z, expected / 30]), people.y)
    row = one(results, "calibrated", "calibrated", variance="HC0")
    assert row.estimate == pytest.approx(math.exp(b[-1]), rel=1e-8)
    assert row.std_error is not None
    assert math.sqrt(v[-1, -1]) < row.std_error < 1.1 * math.sqrt(v[-1, -1])  # calibration adds its own
    naive, v = newton(np.column_stack([z, w / 30]), people.y)
    plain = one(results, "calibrated", "as measured", variance="HC0")
    assert plain.estimate == pytest.approx(math.exp(naive[-1]), rel=1e-8)
    assert plain.std_error == pytest.approx(math.sqrt(v[-1, -1]), rel=1e-8)
    again = one(results, "calibrated", "calibrated", variance="bootstrap")
    assert again.estimate == row.estimate
    assert again.std_error == pytest.approx(row.std_error, rel=4 / math.sqrt(400))
    kept = one(results, "calibrated", "", estimand="reliability")
    assert kept.estimate == pytest.approx((between / (between + within / k)).mean(), rel=1e-8)


def test_calibrated_categories_are_cut_by_expected_exposure(ground: Ground, results: Results) -> None:
    found = rows_of(results, "calibrated", "categories of calibrated exposure", variance="HC0")
    main = rows_of(results, "main", "", variance="HC0")
    assert [e.level for e in found] == ["Q1", "Q2", "Q3", "Q4"]
    assert [e.n for e in found] == [e.n for e in main]
    assert [e.estimate for e in found] != [e.estimate for e in main]


def test_a_declared_reliability_divides_the_slope(results: Results) -> None:
    naive = one(results, "declared", "as measured", variance="HC0")
    made = one(results, "declared", "calibrated", variance="HC0")
    kept = one(results, "declared", "", estimand="reliability").estimate
    assert naive.estimate is not None
    assert made.estimate is not None
    assert kept is not None
    assert kept < 0.75  # the covariates take their part of what is reliable
    assert math.log(made.estimate) == pytest.approx(math.log(naive.estimate) / kept, rel=1e-8)


def test_reliability_in_rows(results: Results) -> None:
    day = one(results, "days", "", estimand="reliability", level="one day")
    between = one(results, "days", "", estimand="variance", level="between").estimate
    within = one(results, "days", "", estimand="variance", level="within").estimate
    assert between is not None
    assert within is not None
    assert day.estimate == pytest.approx(between / (between + within))
    assert day.conf_low is not None
    assert day.conf_low < (day.estimate or 0) < (day.conf_high or 0)
    needed = one(results, "days", "", estimand="days_needed")
    assert needed.estimate == pytest.approx(4 * within / between)


def test_simex_starts_from_the_main_ratios(results: Results) -> None:
    for main in rows_of(results, "main", "", variance="stata")[1:]:
        naive = one(results, "simex", "categories, as measured", variance="stata", level=main.level)
        assert naive.estimate == pytest.approx(main.estimate, rel=1e-8)
        assert naive.std_error == pytest.approx(main.std_error, rel=1e-8)
        made = one(results, "simex", "categories, quadratic", variance="stata", level=main.level)
        assert (made.std_error or 0) > (naive.std_error or 1)
    assert not rows_of(results, "simex", "categories, rational", variance="stata")
    assert rows_of(results, "simex", "per unit, rational")
    naive = one(results, "simex", "per unit, as measured", variance="stata")
    made = one(results, "simex", "per unit, quadratic", variance="stata")
    assert (made.estimate or 1) < (naive.estimate or 0) < 1  # drawn away from no association
    curve = [p for p in results.points if (p.analysis, p.series, p.item) == ("simex", "curve", "quadratic")]
    assert len(curve) == 61
    at_none = [p for p in results.points if (p.analysis, p.item, p.x) == ("simex", "quadratic", 0.0)]
    by_level = {p.level: p.y for p in at_none}
    assert by_level[""] == pytest.approx(made.estimate, rel=1e-8)  # the curve ends where the row stands


def test_a_perfect_specificity_leaves_the_ratios_of_the_main_analysis(results: Results) -> None:
    for main in rows_of(results, "main", "", variance="stata"):
        for number in (3, 6):  # of either kappa
            row = one(results, "kappa", f"values {number}", variance="stata", level=main.level)
            assert row.estimate == pytest.approx(main.estimate, rel=1e-8)
            assert row.std_error == (None if main.std_error is None else pytest.approx(main.std_error, rel=1e-8))
    first = one(results, "kappa", "values 1", variance="stata", level="Q4")
    assert (first.estimate or 1) < (one(results, "main", "", variance="stata", level="Q4").estimate or 0)
    total = one(results, "kappa", "probabilistic", level="Q4")
    alone = one(results, "kappa", "probabilistic, without random error", level="Q4")
    assert (total.conf_low or 1) < (alone.conf_low or 0) < (alone.conf_high or 0) < (total.conf_high or 0)
    shares = [p.y for p in results.points if (p.analysis, p.series, p.level) == ("kappa", "corrected ratios", "Q4")]
    assert sum(y or 0 for y in shares) == pytest.approx(1)


def test_parts_are_the_same_in_any_order(ground: Ground) -> None:
    for variation in plan(ground):
        if variation.id in ("simex", "kappa"):
            last = variation.parts[-1].work()
            again = next(part.work() for part in reversed(variation.parts[-2:]))
            for name, values in last.items():
                np.testing.assert_array_equal(values, again[name])


@pytest.fixture(scope="module")
def accounts(study: Study, results: Results) -> tuple[Account, ...]:
    return accounts_of(tabulation(study, results, simulated=True)).all()


def test_accounts_are_made_from_rows(accounts: tuple[Account, ...], results: Results) -> None:
    found = {a.id: a for a in accounts}
    assert set(found) == {"days", "calibrated", "declared", "simex", "kappa", "given", "sensitivity_summary"}
    rows = {id(e) for e in results.estimates}
    for account in accounts:
        assert account.sentences
        assert account.tables
        for said in account.sentences:
            assert all(id(f.row) in rows for f in said.facts.values() if f.row is not None)
            texts = [f.text for f in said.facts.values() if f.form == "words" and account.id != "sensitivity_summary"]
            assert not any(re.search(r"\d", text) for text in texts if "Q" not in text)
    assert "a test" in " ".join(found["declared"].methods + found["kappa"].methods)
    simex = plain_rows(found["simex"].tables[0])
    assert simex[0] == ["Ratio", "As measured", "No error, quadratic", "No error, linear", "No error, rational"]
    assert [len(a.drawings) for a in (found["days"], found["calibrated"], found["simex"], found["kappa"])] == [
        1,
        1,
        2,
        1,
    ]
    (line,) = found["simex"].lines  # the ratio per unit; that of categories rests on a single cut of the people
    assert "linear exposure" in line.label
    assert {row.stratum for row in line.rows} == {"per unit, quadratic"}
    assert [row[0] for row in simex[2:]] == ["Q2", "Q3", "Q4", *[row[0] for row in simex[5:]]]
    assert "the ratio of Q4" in found["simex"].sentences[0].text
    said = " ".join(found["simex"].methods)
    assert "of a single cut of the people" in said
    assert "gives it a weight of 3 (quadratic), 1 (linear)" in said
    kappa = " ".join(found["kappa"].methods)
    assert "Errors of the same item at baseline, where it decided who was eligible, are not corrected." in kappa
    assert "measured in other people are carried over to these" in kappa


def test_what_cannot_be_declared_is_said(reference: Study) -> None:
    def faults(**sensitivity: Any) -> str:
        with pytest.raises(StudyFault) as said:
            check_study(small(reference, **sensitivity))
        return " ".join(said.value.faults)

    of_bmi = replace(
        reference, exposures={**reference.exposures, "volume": replace(reference.exposures["volume"], variable="bmi")}
    )
    with pytest.raises(StudyFault, match=re.escape("reliability = { volume = 0.8 }")) as said:
        check_study(small(of_bmi, calibrations=(CALIBRATED,)))
    assert "volume needs days: its variable bmi is no mean of days" in " ".join(said.value.faults)
    assert "needs the days of every exposure" in faults(
        calibrations=(replace(CALIBRATED, reliability={"volume": 0.7}, source="x"),)
    )
    assert "say where the declared reliability comes from" in faults(calibrations=(replace(DECLARED, source=""),))
    assert "up to 1, got 1.2" in faults(calibrations=(replace(DECLARED, reliability={"volume": 1.2}),))
    assert "three sizes above 0" in faults(simex=(replace(ADDED, added=(1.0, 2.0)),))
    assert "both or neither" in faults(simex=(replace(ADDED, curve=""),))
    assert "name quadratic or linear first" in faults(simex=(replace(ADDED, extrapolants=("rational",)),))
    assert "no dates" in faults(reliabilities=(replace(DAYS, weekdays=True),))
    assert "needs priors of sensitivity and of specificity" in faults(
        misclassified_outcomes=(replace(KAPPA, kappa=()),)
    )
    assert "give one of them" in faults(misclassified_outcomes=(replace(GIVEN, kappa=(0.5, 0.6)),))
    assert "the lowest and the highest kappa" in faults(misclassified_outcomes=(replace(KAPPA, kappa=(0.6, 0.5)),))
    cox = small(reference, misclassified_outcomes=(KAPPA,))
    with pytest.raises(StudyFault, match="needs a regression of risks"):
        check_study(replace(cox, settings=replace(cox.settings, method="logistic", variances=("HC0",))))


def test_priors_that_contradict_the_data_are_said_before_any_work(reference: Study, extract: Extract) -> None:
    low = replace(GIVEN, specificity=UniformPrior(op="uniform", low=0.6, high=0.7), specificity_reference=None)
    study = small(reference, misclassified_outcomes=(low,))
    with pytest.raises(DataFault, match="200 of 200 draws of sensitivity and specificity contradict") as said:
        list(plan(ground_of(study, extract)))
    assert "misclassified_outcomes (given): volume" in str(said.value)
    some = replace(GIVEN, specificity=UniformPrior(op="uniform", low=0.84, high=0.95), specificity_reference=None)
    results = compute(small(reference, misclassified_outcomes=(some,)), extract).results
    aside = one(results, "given", "probabilistic", estimand="count", level="set aside")
    assert 0 < (aside.estimate or 0) < 200
    said_in = next(d.warnings for d in results.diagnostics if d.analysis == "given")
    assert f"{round(aside.estimate or 0)} of 200 draws" in said_in
    assert "were set aside" in said_in


def test_one_day_a_person_is_not_enough(reference: Study, extract: Extract) -> None:
    assert reference.days is not None
    study = small(reference, calibrations=(replace(CALIBRATED, curve="", together=False),), simex=(ADDED,))
    one_day = replace(study, days=replace(reference.days, number=1))
    with pytest.raises(DataFault, match="two valid days or more") as said:
        list(plan(ground_of(one_day, extract)))
    assert len(said.value.faults) == 2
