"""Loss to follow-up in a whole study: rows against direct fits of the same people, accounts, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from walkrisk.accounts.account import Account
from walkrisk.cohorts.eligibility import Condition, Exclusion
from walkrisk.cohorts.readers import Extract, read_extract
from walkrisk.disclosure.coarsening import joined
from walkrisk.disclosure.protecting import protect
from walkrisk.errors import DataFault, StudyFault
from walkrisk.estimates.results import Results
from walkrisk.estimates.rows import Estimate
from walkrisk.runs.accounting import accounts_of
from walkrisk.runs.compute import compute, make_cohort
from walkrisk.runs.tabulations import tabulation
from walkrisk.sensitivity.bounds import assumed, log_ratio
from walkrisk.studies.bench import make_bench
from walkrisk.studies.declaration import contracts, load_study
from walkrisk.studies.losses import LossWeights, WorstCases, before_and_after
from walkrisk.studies.missing_data import Imputation
from walkrisk.studies.sensitivity import Sensitivity
from walkrisk.studies.study import Study
from walkrisk.tables.table import plain_rows
from walkrisk.variations.ground import Ground
from walkrisk.variations.loss_imputation import loss_imputing
from walkrisk.variations.loss_sample import people_of
from walkrisk.variations.losses import plan
from walkrisk.variations.worst_cases import OF_REFERENCE, prepared

FloatArray = npt.NDArray[np.float64]
STEP = ("followup_pain_known",)
COVARIATES = ("age", "sex", "education", "income", "work_status", "smoking", "depression")
WEIGHTED = LossWeights(id="ipcw", steps=STEP, covariates=("volume", "health", *COVARIATES), truncate=(2.0, 98.0))
STRATIFIED = LossWeights(
    id="within", steps=STEP, covariates=("volume", "age"), strata="sex", stabilised=False, truncate=()
)
WORST = WorstCases(id="worst", steps=STEP, multipliers=(0.5, 1.0, 2.0))
IMPUTED = ("education", "income", "work_status", "smoking", "depression", "health")
MI = Imputation(id="mi", impute=dict.fromkeys(IMPUTED, "auto"), replaces=("complete_covariates",), sets=2, cycles=2)


def small(study: Study, **sensitivity: Any) -> Study:
    """The main analysis of volume alone, with sensitivity analyses."""
    main = next(a for a in study.analyses if a.id == "main")
    return replace(
        study,
        analyses=(replace(main, models=("multi_adjusted",), exposures=("volume",)),),
        sensitivity=Sensitivity(model="multi_adjusted", **sensitivity),
        curves=(), trends=(), interactions=(), standardised=(), comparisons=(), attributable=(), evalues=(),
        characteristics=(), tables=(), curve_figures=(), forest_figures=(), heat_figures=(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def reference(reference_toml: Path) -> Study:
    return load_study(reference_toml)


@pytest.fixture(scope="module")
def extract(reference: Study, simulated_frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Extract:
    path = tmp_path_factory.mktemp("losses") / "extract.parquet"
    simulated_frame.to_parquet(path, index=False)
    return read_extract(path, contracts(reference))


def ground_of(study: Study, extract: Extract) -> Ground:
    columns = {n: extract.frame[n].to_numpy(dtype=np.float64) for n in extract.frame if n != "PID_114165"}
    cohort, _ = make_cohort(study, extract)
    return Ground(study, columns, None, make_bench(study, cohort))


@pytest.fixture(scope="module")
def study(reference: Study) -> Study:
    return small(reference, losses=(WEIGHTED, STRATIFIED), worst_cases=(WORST,))


@pytest.fixture(scope="module")
def results(study: Study, extract: Extract) -> Results:
    return compute(study, extract).results


@pytest.fixture(scope="module")
def everyone(study: Study, extract: Extract) -> Mapping[str, FloatArray]:
    """Every variable of everyone eligible, with the category of volume and who was followed."""
    bench = ground_of(study, extract).bench
    c = bench.cohort
    eligible = np.logical_and.reduce(
        [c.step_alone[s] for s in ("accelerometer_day", "valid_walking_day", "baseline_pain_known", "no_baseline_lbp")]
    )
    out = {name: values[eligible] for name, values in c.everyone.items()}
    out["category"] = 1.0 + np.searchsorted(bench.sample.cuts["volume"], out["walking_min_day"], side="left")
    out["followed"] = (~np.isnan(out["msp_t1"])).astype(float)
    return out


def dummies(values: FloatArray) -> list[FloatArray]:
    """0/1 columns of all levels but the first, unknown values a level of their own."""
    coded = np.where(np.isnan(values), 999.0, values)
    return [(coded == level).astype(float) for level in np.unique(coded)[1:]]


def newton(x: FloatArray, y: FloatArray, w: FloatArray, *, link: str) -> FloatArray:
    """Coefficients of a logistic or Poisson regression, by plain Newton steps."""
    b = np.zeros(x.shape[1])
    b[0] = math.log(y.mean() / (1 - y.mean())) if link == "logit" else math.log(np.average(y, weights=w))
    for _ in range(30):
        mu = 1 / (1 + np.exp(-x @ b)) if link == "logit" else np.exp(x @ b)
        v = mu * (1 - mu) if link == "logit" else mu
        b = b + np.linalg.solve((x * (w * v)[:, None]).T @ x, x.T @ (w * (y - mu)))
    return b


def outcome_matrix(d: Mapping[str, FloatArray], rows: npt.NDArray[np.bool_]) -> FloatArray:
    columns = [np.ones(int(rows.sum())), *(c[rows] for c in dummies(d["category"])), d["age"][rows]]
    for name in COVARIATES[1:]:
        known = np.where(np.isnan(d[name]), -1.0, d[name])[rows]
        columns += [(known == level).astype(float) for level in np.unique(known)[1:]]
    return np.column_stack(columns)


def complete(d: Mapping[str, FloatArray]) -> npt.NDArray[np.bool_]:
    return np.logical_and.reduce([~np.isnan(d[name]) for name in COVARIATES])


def ratios(results: Results, analysis: str, variance: str = "stata", stratum: str = "") -> list[float]:
    rows = [
        e
        for e in results.estimates
        if (e.analysis, e.variance, e.estimand, e.stratum) == (analysis, variance, "risk_ratio", stratum)
    ]
    return [e.estimate or math.nan for e in rows if e.level != "Q1"]


def direct_weights(d: Mapping[str, FloatArray]) -> tuple[FloatArray, tuple[float, float]]:
    """The weights of WEIGHTED, of everyone, and the limits at which they are cut off."""
    health = np.isnan(d["health"])
    columns = [np.ones(len(health)), *dummies(d["category"]), np.where(health, np.nanmean(d["health"]), d["health"])]
    columns += [health.astype(float), d["age"]]
    for name in COVARIATES[1:]:
        columns += dummies(d[name])
    x = np.column_stack(columns)
    b = newton(x, d["followed"], np.ones(len(x)), link="logit")
    weights = 1 / (1 / (1 + np.exp(-x @ b)))
    for k in (1.0, 2.0, 3.0, 4.0):
        weights[d["category"] == k] *= d["followed"][d["category"] == k].mean()
    low, high = np.percentile(weights[d["followed"] == 1], [2, 98])
    return np.clip(weights, low, high), (float(low), float(high))


def test_weighted_ratios_are_those_of_a_direct_fit(results: Results, everyone: Mapping[str, FloatArray]) -> None:
    d = everyone
    weights, _ = direct_weights(d)
    rows = (d["followed"] == 1) & complete(d)
    fitted = newton(outcome_matrix(d, rows), d["lbp_t1"][rows], weights[rows], link="log")
    np.testing.assert_allclose(ratios(results, "ipcw"), np.exp(fitted[1:4]), rtol=1e-7)


def test_effective_sample_size_is_of_the_weighted_model(
    results: Results, accounts: dict[str, Account], everyone: Mapping[str, FloatArray]
) -> None:
    """Fewer people are in the model than were followed; sentence and table count those in it."""
    weights, _ = direct_weights(everyone)
    followed = everyone["followed"] == 1
    own = {p.item: p.y for p in results.points if (p.analysis, p.series) == ("ipcw", "weights")}
    w = weights[followed & complete(everyone)]
    effective = w.sum() ** 2 / (w @ w)
    assert (own["n"], own["in_model"]) == (followed.sum(), len(w))
    assert own["effective"] == pytest.approx(effective, rel=1e-9)
    assert own["mean"] == pytest.approx(weights[followed].mean(), rel=1e-9)
    assert effective < len(w) < followed.sum()
    said = " ".join(s.text for s in accounts["ipcw"].sentences)
    assert f"Of these people {shown(len(w))} are in the weighted model; {shown(effective)} people without" in said
    cells = {row[0]: row[1] for row in plain_rows(accounts["ipcw"].tables[1])}
    assert cells["In the weighted model, No."] == shown(len(w))
    assert cells["Effective sample size of the weighted model"] == shown(effective)


def shown(n: float) -> str:
    return f"{round(n):,}".replace(",", "\u202f") if n >= 9999.5 else f"{round(n)}"


def test_only_the_limits_of_weights_that_are_used_are_spoken_of(
    results: Results, everyone: Mapping[str, FloatArray]
) -> None:
    _, (low, high) = direct_weights(everyone)
    of_loss, of_volume = (d.warnings for d in results.diagnostics if d.analysis == "ipcw")
    assert "truncated" not in of_loss
    assert of_volume.count("truncated") == 1
    assert f"weights were truncated to {low:.3f} to {high:.3f}" in of_volume


def test_limits_of_weights_that_are_not_stabilised_are_spoken_of_where_they_are_used(
    reference: Study, extract: Extract
) -> None:
    study = small(reference, losses=(replace(WEIGHTED, stabilised=False),))
    (variation,) = plan(ground_of(study, extract))
    of_loss, of_volume = (d.warnings for d in variation.finish(()).diagnostics)
    assert "truncated" not in of_loss
    assert of_volume.count("truncated") == 1


def test_a_model_within_strata(results: Results, everyone: Mapping[str, FloatArray]) -> None:
    d = everyone
    weights = np.empty(len(d["age"]))
    for sex in (0.0, 1.0):
        s = d["sex"] == sex
        x = np.column_stack([np.ones(int(s.sum())), *(c[s] for c in dummies(d["category"])), d["age"][s]])
        weights[s] = 1 + np.exp(-x @ newton(x, d["followed"][s], np.ones(len(x)), link="logit"))
    rows = (d["followed"] == 1) & complete(d)
    fitted = newton(outcome_matrix(d, rows), d["lbp_t1"][rows], weights[rows], link="log")
    np.testing.assert_allclose(ratios(results, "within"), np.exp(fitted[1:4]), rtol=1e-7)


def test_worst_cases_are_fits_with_outcomes_set(results: Results, everyone: Mapping[str, FloatArray]) -> None:
    d = everyone
    rows = complete(d) & ~((d["followed"] == 1) & np.isnan(d["lbp_t1"]))
    x, lost = outcome_matrix(d, rows), d["followed"][rows] == 0
    for stratum, value in (("all cases", 1.0), ("no cases", 0.0)):
        y = np.where(lost, value, d["lbp_t1"][rows])
        fitted = newton(x, y, np.ones(len(y)), link="log")
        np.testing.assert_allclose(ratios(results, "worst", "HC0", stratum), np.exp(fitted[1:4]), rtol=1e-7)


def test_a_k_of_one_is_the_main_analysis(results: Results) -> None:
    for row in results.estimates:
        if (row.analysis, row.variance) == ("main", "HC0") and row.level != "Q1":
            points = [p for p in results.points if p.analysis == "worst" and p.level == row.level and p.x == 1.0]
            scans = [p for p in points if p.series != "grid"]
            assert len(scans) == 2
            for p in scans:
                assert (p.y, p.low, p.high) == pytest.approx((row.estimate, row.conf_low, row.conf_high), rel=1e-8)


def test_at_a_tipping_point_the_ratio_or_its_limit_is_one(study: Study, extract: Extract, results: Results) -> None:
    ready = prepared(ground_of(study, extract), WORST, "volume")
    main = {e.level: e for e in results.estimates if (e.analysis, e.variance) == ("main", "HC0")}
    found = [e for e in results.estimates if e.analysis == "worst" and e.estimand == "tipping_point"]
    assert len(found) == 3 * 2 * 2
    for row in found:
        own = main[row.level]
        outside = not (own.conf_low or 0) <= 1 <= (own.conf_high or 2)
        if row.estimate is None:
            assert row.method == "limit"
            assert not outside
            continue
        at = 0 if row.stratum == OF_REFERENCE else ("Q1", "Q2", "Q3", "Q4").index(row.level)
        k = np.where(np.arange(4) == at, row.estimate, 1.0)
        value, error = log_ratio(assumed(ready.lost, k, scale="odds"), ready.columns[int(row.level[1]) - 1])
        if row.method == "limit":
            assert outside
            value -= math.copysign(1.959963984540054, math.log(own.estimate or 1)) * error
        assert value == pytest.approx(0, abs=1e-7)


def test_people_are_eligible_by_the_steps_before_the_first_of_loss(study: Study) -> None:
    before, after = before_and_after(study, ("followup_pain_known", "baseline_pain_known"))
    assert before == ["accelerometer_day", "valid_walking_day"]
    assert after == ["no_baseline_lbp", "complete_covariates"]


def test_bounds_hold_every_scan(results: Results) -> None:
    for level in ("Q2", "Q3", "Q4"):
        ends = {
            e.stratum: e.estimate or 0
            for e in results.estimates
            if e.analysis == "worst" and e.level == level and e.estimand == "risk_ratio"
        }
        inner = [p.y or 0 for p in results.points if p.analysis == "worst" and p.level == level]
        assert ends["lowest"] < min(inner) < max(inner) < ends["highest"]


def test_weights_known_stand_beside_weights_estimated(results: Results) -> None:
    rows = {(e.level, e.variance): e for e in results.estimates if e.analysis == "ipcw" and e.estimand == "risk_ratio"}
    assert {v for _, v in rows} == {"stata", "HC0", "stata weights_known", "HC0 weights_known"}
    for level in ("Q2", "Q3", "Q4"):
        own, known = rows[level, "HC0"], rows[level, "HC0 weights_known"]
        assert own.estimate == known.estimate
        assert 0.9 < (own.std_error or 0) / (known.std_error or 1) < 1.02
        assert own.std_error != known.std_error


def test_those_followed_and_lost_are_everyone_eligible(results: Results, everyone: Mapping[str, FloatArray]) -> None:
    counts = {e.level: e.n for e in results.estimates if e.analysis == "ipcw" and e.estimand == "count"}
    assert counts["eligible"] == len(everyone["age"]) == (counts["followed"] or 0) + (counts["lost"] or 0)
    sizes = [c for c in results.characteristics if c.table == "ipcw_followed" and c.statistic == "n"]
    assert [c.value for c in sizes] == [counts["followed"], counts["lost"]]
    assert not any(c.table == "within_followed" for c in results.characteristics)
    age = everyone["age"]
    lost = everyone["followed"] == 0
    spread = math.sqrt((age[lost].var(ddof=1) + age[~lost].var(ddof=1)) / 2)
    (point,) = [p for p in results.points if p.analysis == "ipcw" and p.series == "lost" and p.item == "age"]
    assert point.x == pytest.approx((age[lost].mean() - age[~lost].mean()) / spread, rel=1e-10)


def test_with_imputation_everyone_followed_is_analysed(reference: Study, extract: Extract) -> None:
    weighted = replace(WEIGHTED, imputation="mi")
    ground = ground_of(small(reference, imputations=(MI,), losses=(weighted,)), extract)
    (variation,) = plan(ground)
    assert [p.key for p in variation.parts] == ["set1", "set2"]
    arrays = [p.work() for p in variation.parts]
    again = variation.parts[1].work()
    np.testing.assert_array_equal(arrays[1]["volume.log"], again["volume.log"])
    assert not np.array_equal(arrays[0]["volume.log"], arrays[1]["volume.log"])
    rows = variation.finish(arrays)
    own = [e for e in rows.estimates if e.estimand == "risk_ratio" and e.variance == "stata"]
    followed = next(e.n for e in rows.estimates if e.level == "followed" and e.estimand == "count")
    assert sum(e.n or 0 for e in own) == followed
    logs = np.array([a["volume.log"][3] for a in arrays])
    within = np.array([a["volume.variances"][0, 3] for a in arrays]).mean()
    total = within + 1.5 * logs.var(ddof=1)
    assert own[3].estimate == pytest.approx(math.exp(logs.mean()), rel=1e-10)
    assert own[3].std_error == pytest.approx(math.sqrt(total), rel=1e-10)
    assert "unknown" not in rows.diagnostics[0].warnings


def test_those_without_an_exposure_may_be_weighted_for(reference: Study, extract: Extract) -> None:
    """Selection into wearing the device: the lost have no exposure, which the model of loss then does not hold."""
    worn = ("accelerometer_day", "valid_walking_day")
    declared = LossWeights(
        id="worn",
        steps=worn,
        also=("baseline_pain_known",),
        covariates=("age", "smoking"),
        missing="exclude",
        truncate=(),
    )
    study = small(reference, losses=(declared,))
    ground = ground_of(study, extract)
    (variation,) = plan(ground)
    rows = variation.finish(())
    c = ground.bench.cohort
    d, included = c.everyone, c.included
    eligible = ~np.isnan(d["msp_t0"]) & ~np.isnan(d["age"]) & ~np.isnan(d["smoking"])
    kept = np.logical_and.reduce([c.step_alone[s] for s in worn])
    counts = {e.level: e.n for e in rows.estimates if e.estimand == "count"}
    assert (counts["eligible"], counts["lost"]) == (eligible.sum(), (eligible & ~kept).sum())
    x = np.column_stack([np.ones(len(kept)), d["age"], *((d["smoking"] == k) for k in (1, 2))])[eligible]
    weights = np.full(len(kept), np.nan)
    chance = 1 / (1 + np.exp(-x @ newton(x, kept[eligible].astype(float), np.ones(len(x)), link="logit")))
    weights[eligible] = 1 / chance
    own = {
        **d,
        "category": 1.0 + np.searchsorted(ground.bench.sample.cuts["volume"], d["walking_min_day"], side="left"),
    }
    fitted = newton(outcome_matrix(own, included), d["lbp_t1"][included], weights[included], link="log")
    mine = [e.estimate for e in rows.estimates if e.variance == "HC0" and e.level != "Q1"]
    np.testing.assert_allclose(mine, np.exp(fitted[1:4]), rtol=1e-7)
    assert all(e.estimate is None for e in rows.estimates if e.estimand == "share" and e.level != "lost")
    worst = replace(WORST, steps=worn)
    assert "None of those lost has a known category" in refused(small(reference, worst_cases=(worst,)), extract)


def test_imputed_values_know_who_was_followed(reference: Study, extract: Extract) -> None:
    """Pain decides who is lost, and is then made unknown to half: what is imputed differs as what is known does."""
    rng = np.random.default_rng(3)
    frame = extract.frame.copy()
    pain = frame["MSPaChrL4W_NT4BLQ1"].to_numpy(dtype=np.float64).copy()
    gate = frame["MSPaLY_NT4CovQ"].to_numpy(dtype=np.float64).copy()
    gate[(pain >= 3) & (rng.random(len(pain)) < 0.7)] = np.nan
    pain[rng.random(len(pain)) < 0.5] = np.nan
    frame["MSPaLY_NT4CovQ"], frame["MSPaChrL4W_NT4BLQ1"] = gate, pain
    imputation = replace(MI, impute={**MI.impute, "pain_4_weeks": "pmm", "lbp_t1": "binary"})
    weighted = replace(WEIGHTED, covariates=(*WEIGHTED.covariates, "pain_4_weeks"), imputation="mi")
    study = small(reference, imputations=(imputation,), losses=(weighted,))
    ground = ground_of(study, replace(extract, frame=frame))
    people = people_of(ground, ground.bench, STEP)
    made = loss_imputing(ground, imputation, people, STEP)
    assert "lbp_t1" not in made.made.declared.impute
    values = made.bench(0).cohort.everyone["pain_4_weeks"][people.at]
    known = ~np.isnan(pain[people.at])
    assert not np.isnan(values).any()
    gaps = [values[~people.followed & m].mean() - values[people.followed & m].mean() for m in (known, ~known)]
    assert gaps[0] > 0.5
    assert gaps[1] == pytest.approx(gaps[0], abs=0.2)


# ---------------------------------------------------------------- what is refused


def refused(study: Study, extract: Extract) -> str:
    with pytest.raises(DataFault) as fault:
        list(plan(ground_of(study, extract)))
    return " ".join(fault.value.faults)


def test_nobody_lost(reference: Study, extract: Extract) -> None:
    everybody = Exclusion(id="all_stay", reason="Nobody", require=(Condition(variable="age", at_least=0),))
    study = replace(reference, exclusions=(*reference.exclusions, everybody))
    for declared in (
        {"losses": (replace(WEIGHTED, steps=("all_stay",)),)},
        {"worst_cases": (replace(WORST, steps=("all_stay",)),)},
    ):
        said = refused(small(study, **declared), extract)
        assert "Nobody was lost to follow-up" in said
        assert said.startswith("sensitivity.")


def test_everybody_of_a_stratum_lost(reference: Study, extract: Extract) -> None:
    women = Exclusion(id="women", reason="Men lost", require=(Condition(variable="sex", equals=0),))
    study = replace(reference, exclusions=(women, *reference.exclusions))
    weights = replace(STRATIFIED, steps=("women",))
    assert "sensitivity.losses (within): Sex Male: Everybody in this stratum was lost" in refused(
        small(study, losses=(weights,)), extract
    )


def test_a_k_that_puts_a_risk_above_one(reference: Study, extract: Extract) -> None:
    worst = replace(WORST, scale="risk", multipliers=(0.5, 1.0, 9.0))
    said = refused(small(reference, worst_cases=(worst,)), extract)
    assert "k = 9 gives some of those lost" in said
    assert "the largest k allowed is" in said


def check(reference: Study, tmp_path: Path, reference_toml: Path, text: str) -> str:
    path = tmp_path / "study.toml"
    path.write_text(reference_toml.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "sensitivity.toml").write_text(text, encoding="utf-8")
    with pytest.raises(StudyFault) as fault:
        load_study(path, sensitivity=True)
    return " ".join(fault.value.faults)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ('steps = ["follow_up"]', "there is no exclusion 'follow_up'"),
        ("steps = []", "names no exclusion"),
        ('steps = ["followup_pain_known"]\ntruncate = [99, 1]', "must be two percentiles in order"),
        ('steps = ["followup_pain_known"]\ncovariates = ["agee"]', "there is no variable or exposure 'agee'"),
        ('steps = ["followup_pain_known"]\nstrata = "age"', "age has no levels"),
        ('steps = ["followup_pain_known"]\ncovariates = ["sex"]\nsplines = { sex = 4 }', "has categories"),
        ('steps = ["followup_pain_known"]\nimputation = "none"', "there is no imputation 'none'"),
        ('steps = ["followup_pain_known"]\nleast_chance = 2.0', "must be between 0 and 1"),
    ],
)  # fmt: skip
def test_weights_that_make_no_sense(
    reference: Study, tmp_path: Path, reference_toml: Path, keys: str, sentence: str
) -> None:
    text = f'model = "multi_adjusted"\n[[losses]]\nid = "ipcw"\n{keys}\n'
    assert sentence in check(reference, tmp_path, reference_toml, text)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ("multipliers = [2.0, 1.0]", "must be increasing"),
        ("multipliers = [0.0, 1.0]", "must be above 0"),
        ("widest = 0.5", "must be above 1"),
    ],
)
def test_worst_cases_that_make_no_sense(
    reference: Study, tmp_path: Path, reference_toml: Path, keys: str, sentence: str
) -> None:
    text = f'model = "multi_adjusted"\n[[worst_cases]]\nid = "worst"\nsteps = ["followup_pain_known"]\n{keys}\n'
    assert sentence in check(reference, tmp_path, reference_toml, text)


# ---------------------------------------------------------------- accounts


@pytest.fixture(scope="module")
def accounts(study: Study, results: Results) -> dict[str, Account]:
    made = accounts_of(tabulation(study, results, simulated=True))
    return {a.id: a for a in made.every}


def test_accounts_say_what_the_rows_hold(accounts: dict[str, Account], results: Results) -> None:
    assert {a.group for a in accounts.values()} == {"Loss to follow-up"}
    said = " ".join(s.text for s in accounts["ipcw"].sentences)
    row = next(e for e in results.estimates if (e.analysis, e.level, e.variance) == ("ipcw", "Q4", "stata"))
    assert f"was {row.estimate:.2f} ({row.conf_low:.2f}-{row.conf_high:.2f})" in said
    worst = " ".join(s.text for s in accounts["worst"].sentences)
    assert "had all of those lost in Q4" in worst
    assert [line.label for a in accounts.values() for line in a.lines] == [WEIGHTED.title, STRATIFIED.title]
    assert [t.id for t in accounts["ipcw"].tables] == ["ipcw_ratios", "ipcw_weights", "ipcw_followed"]
    assert {d.id for d in accounts["worst"].drawings} == {"worst_scan", "worst_grid"}


def test_methods_say_how_covariates_enter_and_what_complete_cases_need(
    study: Study, results: Results, accounts: dict[str, Account]
) -> None:
    methods = " ".join(accounts["ipcw"].methods)
    listed = methods[methods.index("(covariates: ") : methods.index("), and people of the main model")]
    names = listed.removeprefix("(covariates: ").split("; ")
    assert [n for n in names if n.endswith(" (linear)")] == [names[1], names[2]]  # health and age
    assert names[2].startswith("Age")
    assert names[0].endswith(" (categories)")
    splines = replace(study.sensitivity.losses[0], splines={"age": 4})
    (curved,) = [a for a in again(study, results, splines) if a.id == "ipcw"]
    assert "(spline, 4 knots)" in curved.methods[0]
    assert curved.methods[0].count("(linear)") == 1
    dropped = "Some people who were followed up are not in the weighted model"
    assert sum(text.startswith(dropped) for text in accounts["ipcw"].methods) == 1
    followed = next(p.n for p in results.points if (p.analysis, p.series, p.item) == ("ipcw", "weights", "n"))
    everybody = tuple(
        replace(p, n=followed) if (p.analysis, p.series, p.item) == ("ipcw", "weights", "in_model") else p
        for p in results.points
    )
    (whole,) = [a for a in again(study, replace(results, points=everybody), WEIGHTED) if a.id == "ipcw"]
    assert not any(text.startswith(dropped) for text in whole.methods)


def again(study: Study, results: Results, declared: LossWeights) -> tuple[Account, ...]:
    """The accounts of the same rows with other weights declared first."""
    sensitivity = replace(study.sensitivity, losses=(declared, *study.sensitivity.losses[1:]))
    made = accounts_of(tabulation(replace(study, sensitivity=sensitivity), results, simulated=True))
    return tuple(made.every)


def test_differences_stand_beside_their_rows(accounts: dict[str, Account], results: Results) -> None:
    table = plain_rows(accounts["ipcw"].tables[2])
    cells = {row[0]: row[-1] for row in table}
    by_item = {(p.item, p.level): p.x for p in results.points if p.analysis == "ipcw" and p.series == "lost"}
    assert float(cells["Age, mean (SD), years"].replace("−", "-")) == pytest.approx(by_item["age", ""], abs=0.005)
    assert float(cells["Primary school"].replace("−", "-")) == pytest.approx(by_item["education", "1"], abs=0.005)
    assert float(cells["Current"].replace("−", "-")) == pytest.approx(by_item["smoking", "2"], abs=0.005)
    assert cells["Unknown, No."] == ""


def test_small_counts_stay_hidden(study: Study, results: Results) -> None:
    """With a limit above the number lost, no cell or sentence holds it, nor the number eligible beside it."""
    lost = next(e for e in results.estimates if e.analysis == "ipcw" and e.level == "lost" and e.estimand == "count")
    eligible = next(e for e in results.estimates if e.analysis == "ipcw" and e.level == "eligible")
    strict = replace(study, settings=replace(study.settings, min_cell=(lost.n or 0) + 1))
    published = protect(strict, results)
    made = accounts_of(tabulation(strict, published.results, simulated=True, marks=published.marks))
    (account,) = [a for a in made.every if a.id == "ipcw"]
    words = " ".join(s.text for s in account.sentences).replace("\u202f", "")
    cells = {c.replace("\u202f", "") for t in account.tables for row in plain_rows(t) for c in row}
    assert "lost to follow-up is not reported" in words
    for count in (lost.n, eligible.n):
        assert str(count) not in words.split()
        assert str(count) not in cells


def test_joined_bins_keep_everyone_and_leave_none_small() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        counts = rng.poisson(rng.choice([0.5, 3, 20]), 24).tolist()
        out = joined(counts, 5)
        assert all(n == 0 or n >= 5 for n in out)
        assert sum(out) in (0, sum(counts))
    assert joined([0, 2, 9, 1, 3, 0], 5) == [0, 0, 15, 0, 0, 0]


def test_rows_are_the_same_again(study: Study, extract: Extract, results: Results) -> None:
    def mine(found: Results) -> list[Estimate]:
        return [e for e in found.estimates if e.analysis in ("ipcw", "worst")]

    assert mine(compute(study, extract, jobs=2).results) == mine(results)
