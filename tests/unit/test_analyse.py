"""What an analysis of a study does to its sample: cutting, restricting, stratifying, adding, on made-up data."""

from __future__ import annotations

import contextlib
import copy
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from walkrisk.cohorts.categories import cut_up, quantile_cuts
from walkrisk.cohorts.readers import Extract
from walkrisk.errors import DataFault, ModelFault, StudyFault
from walkrisk.estimates.results import Results
from walkrisk.estimates.rows import Estimate
from walkrisk.models.covariance import covariance
from walkrisk.models.design import Linear, Spline, build_design, factor
from walkrisk.models.fit import fit_model
from walkrisk.runs.compute import Computed, compute
from walkrisk.studies.declaration import study_from

NUMBER = {"kind": "number"}
TABLE: dict[str, Any] = {
    "study": {"id": "small", "title": "Small"},
    "columns": {
        "pid": {"kind": "id"},
        "dose": NUMBER,
        "pace": NUMBER,
        "age": NUMBER,
        "sex": {"kind": "code", "codes": [0, 1], "labels": {"0": "Female", "1": "Male"}},
        "health": NUMBER,
        "case": {"kind": "code", "codes": [0, 1]},
        "rare": {"kind": "code", "codes": [0, 1]},
        "weight": NUMBER,
        "stratum": NUMBER,
        "unit": NUMBER,
        "household": NUMBER,
        "time": NUMBER,
    },
    "settings": {"outcome": "case", "variances": ["HC0"]},
    "outcomes": {
        "case": {"variable": "case", "label": "Case", "time": "time", "event": "case"},
        "rare": {"variable": "rare", "label": "Rare"},
    },
    "exposures": {
        "volume": {"variable": "dose", "quantiles": 4},
        "speed": {"variable": "pace", "quantiles": 2, "prefix": "S"},
        "joint": {"cross": ["volume", "speed"]},
        "dose_10": {"variable": "dose", "per": 10, "unit": "min"},
    },
    "models": {"crude": {}, "age": {"covariates": ["age"]}, "both": {"covariates": ["age", "sex"]}},
}
ANALYSIS = {"id": "a", "title": "A", "exposures": ["volume"], "models": ["crude"]}


def frame(n: int = 400, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    made = pd.DataFrame(
        {
            "pid": np.arange(n),
            "dose": np.round(rng.gamma(4, 20, n), 1),
            "pace": np.round(rng.normal(3, 0.3, n), 2),
            "age": np.round(rng.uniform(20, 80, n)),
            "sex": rng.integers(0, 2, n).astype(float),
            "health": rng.integers(1, 5, n).astype(float),
        }
    )
    risk = np.exp(-1.2 - 0.006 * (made["dose"] - 80) + 0.01 * (made["age"] - 50))
    made["case"] = (rng.random(n) < np.minimum(risk, 0.95)).astype(float)
    made["rare"] = ((made["case"] == 1) & (rng.random(n) < 0.4)).astype(float)
    made["weight"] = rng.uniform(0.5, 2, n)
    made["stratum"], made["unit"] = np.arange(n) % 8, (np.arange(n) // 8) % 4
    made["household"] = (np.arange(n) // 3).astype(float)
    made["time"] = np.ceil(rng.exponential(5, n)) + 1
    return made


def run(data: pd.DataFrame, **parts: Any) -> Results:
    return computed(data, **parts).results


def computed(data: pd.DataFrame, **parts: Any) -> Computed:
    """The small study with parts put in (a table is merged, anything else put in place), on a data frame."""
    table = copy.deepcopy(TABLE)
    for key, value in parts.items():
        table[key] = {**table.get(key, {}), **value} if isinstance(value, dict) else value
    return compute(study_from(table), Extract(data, "made up", "", (), data.shape[1]))


def estimate_of(results: Results, **names: Any) -> Estimate:
    (found,) = [e for e in results.estimates if all(getattr(e, k) == v for k, v in names.items())]
    return found


def quartiles(values: pd.Series) -> np.ndarray:
    x = values.to_numpy(dtype=float)
    return cut_up(x, quantile_cuts(x, 4))


def risk_ratio(codes: np.ndarray, y: pd.Series, level: int) -> float:
    return float(y[codes == level].mean() / y[codes == 1].mean())


def cuts_of(results: Results, analysis: str) -> list[float]:
    return [c.value for c in results.cutpoints if c.analysis == analysis]


# ---------------------------------------------------------------- ratios


def test_the_crude_ratios_of_quartiles() -> None:
    data = frame()
    results = run(data, analyses=[ANALYSIS])
    codes = quartiles(data["dose"])
    for level in (2, 3, 4):
        row = estimate_of(results, level=f"Q{level}")
        assert row.estimate == pytest.approx(risk_ratio(codes, data["case"], level), rel=1e-9)
        assert (row.n, row.events) == ((codes == level).sum(), data["case"][codes == level].sum())
    assert cuts_of(results, "a") == quantile_cuts(data["dose"].to_numpy(), 4).tolist()


def test_quantiles_are_cut_on_the_analytic_sample_only() -> None:
    data = frame()
    step = {"id": "old", "reason": "Young", "require": [{"variable": "age", "at_least": 50}]}
    results = run(data, exclusions=[step], analyses=[ANALYSIS])
    old = data[data["age"] >= 50]
    assert cuts_of(results, "a") == quantile_cuts(old["dose"].to_numpy(), 4).tolist()
    assert (results.flow[0].n_before, results.flow[0].n_after) == (400, len(old))


@pytest.mark.parametrize("recut", [False, True])
def test_a_restriction_cuts_again_only_where_declared(recut: bool) -> None:
    data = frame()
    results = run(data, analyses=[{**ANALYSIS, "restrict": [{"variable": "health", "above": 2}], "recut": recut}])
    healthy = data["health"] > 2
    kept = quartiles(data["dose"])[healthy]
    codes = quartiles(data["dose"][healthy]) if recut else kept
    row = estimate_of(results, level="Q4")
    assert row.estimate == pytest.approx(risk_ratio(codes, data["case"][healthy], 4), rel=1e-9)
    assert row.n == (codes == 4).sum()
    assert not np.array_equal(kept, quartiles(data["dose"][healthy]))


def test_unknown_values_leave_or_stay_in_a_restriction_as_declared() -> None:
    data = frame()
    data.loc[:49, "health"] = np.nan
    for missing, expected in (("exclude", data["health"] > 2), ("keep", ~(data["health"] <= 2))):
        limit = {"variable": "health", "above": 2, "missing": missing}
        results = run(data, analyses=[{**ANALYSIS, "restrict": [limit]}])
        assert results.diagnostics[0].n == expected.sum()


def test_fixed_limits_take_the_place_of_quantiles() -> None:
    data = frame()
    results = run(data, analyses=[{**ANALYSIS, "fixed_cuts": {"volume": [60, 80, 100]}}])
    codes = 1 + (data["dose"].to_numpy()[:, None] >= np.array([60, 80, 100])).sum(axis=1)
    assert estimate_of(results, level="Q3").estimate == pytest.approx(risk_ratio(codes, data["case"], 3), rel=1e-9)
    assert cuts_of(results, "a") == [60, 80, 100]


def test_fixed_limits_of_one_exposure_leave_the_others_uncut_in_a_restricted_sample() -> None:
    data = frame()
    results = run(
        data,
        analyses=[
            {
                **ANALYSIS,
                "exposures": ["volume", "speed"],
                "restrict": [{"variable": "health", "above": 2}],
                "fixed_cuts": {"speed": [3.1]},
            }
        ],
    )
    cut = [c.value for c in results.cutpoints if c.exposure == "volume"]
    assert cut == quantile_cuts(data["dose"].to_numpy(), 4).tolist()


def test_strata_keep_the_quartiles_of_the_whole_sample() -> None:
    data = frame()
    strata = {"by": "sex", "names": {"0": "female", "1": "male"}, "drop": ["sex"]}
    results = run(data, analyses=[{**ANALYSIS, "models": ["crude", "both"], "stratify": strata}])
    codes, men = quartiles(data["dose"]), (data["sex"] == 1).to_numpy()
    row = estimate_of(results, stratum="male", level="Q2", model="crude")
    assert row.estimate == pytest.approx(risk_ratio(codes[men], data["case"][men], 2), rel=1e-9)
    assert {d.parameters for d in results.diagnostics if d.model == "both"} == {5}  # sex has left


def test_strata_of_another_exposures_categories() -> None:
    data = frame()
    strata = {"by": "speed", "names": {"1": "slow", "2": "fast"}}
    results = run(data, analyses=[{**ANALYSIS, "stratify": strata}])
    slow = (data["pace"] <= quantile_cuts(data["pace"].to_numpy(), 2)[0]).to_numpy()
    row = estimate_of(results, stratum="slow", level="Q4")
    assert row.estimate == pytest.approx(risk_ratio(quartiles(data["dose"])[slow], data["case"][slow], 4), rel=1e-9)


def test_a_covariate_leaves_within_strata_where_declared() -> None:
    strata = {"by": "sex", "names": {"0": "female"}, "drop": ["age"]}
    results = run(frame(), analyses=[{**ANALYSIS, "models": ["age"], "stratify": strata}])
    assert [d.parameters for d in results.diagnostics] == [4]


def test_joint_groups_refer_to_the_lowest_of_both() -> None:
    data = frame()
    results = run(data, analyses=[{**ANALYSIS, "exposures": ["joint"]}])
    pace = data["pace"].to_numpy()
    codes = 2 * (quartiles(data["dose"]) - 1) + cut_up(pace, quantile_cuts(pace, 2))
    row = estimate_of(results, level="Q3/S2")
    assert (row.reference, row.n) == ("Q1/S1", (codes == 6).sum())
    assert row.estimate == pytest.approx(risk_ratio(codes, data["case"], 6), rel=1e-9)
    assert {(c.exposure, c.cut) for c in results.cutpoints} == {
        ("volume", "p25"),
        ("volume", "p50"),
        ("volume", "p75"),
        ("speed", "p50"),
    }


def test_mutual_adjustment_is_linear_and_only_where_declared() -> None:
    data = frame()
    data.loc[:19, "pace"] = np.nan
    add = [{"covariates": ["speed"], "models": ["age"], "exposures": ["volume"]}]
    results = run(data, analyses=[{**ANALYSIS, "models": ["crude", "age"], "add": add}])
    rows = {d.model: d for d in results.diagnostics}
    assert (rows["crude"].n, rows["crude"].parameters) == (400, 4)
    assert (rows["age"].n, rows["age"].parameters) == (380, 6)
    known = data["pace"].notna().to_numpy()
    columns = {"g": quartiles(data["dose"]), **{c: data[c].to_numpy() for c in ("age", "pace")}}
    columns = {name: values[known] for name, values in columns.items()}
    fit = fit_model(
        "modified_poisson",
        build_design(columns, [factor("g", columns["g"]), Linear("age"), Linear("pace")], 380),
        data["case"].to_numpy()[known],
    )
    row = estimate_of(results, model="age", level="Q2")
    assert row.estimate == pytest.approx(math.exp(fit.coefficients[1]), rel=1e-9)
    assert row.n == (quartiles(data["dose"]) == 2).sum()  # people of the category, whatever the model lost


def test_a_covariate_with_levels_is_a_factor_and_can_be_replaced() -> None:
    data = frame()
    variables = {"old": {"op": "at_least", "from": "age", "threshold": 65, "levels": {"0": "No", "1": "Yes"}}}
    replaced = {**ANALYSIS, "models": ["age"], "replace_covariates": {"age": "old"}}
    results = run(data, variables=variables, analyses=[replaced])
    columns = {"g": quartiles(data["dose"]), "old": (data["age"] >= 65).to_numpy(dtype=float)}
    design = build_design(columns, [factor("g", columns["g"]), factor("old", columns["old"])], 400)
    fit = fit_model("modified_poisson", design, data["case"].to_numpy())
    assert estimate_of(results, level="Q3").estimate == pytest.approx(math.exp(fit.coefficients[2]), rel=1e-9)


def test_a_ratio_per_unit() -> None:
    data = frame()
    results = run(data, analyses=[{**ANALYSIS, "exposures": ["dose_10"], "form": "per_unit"}])
    fit = fit_model(
        "modified_poisson", build_design({"d": data["dose"].to_numpy()}, [Linear("d")], 400), data["case"].to_numpy()
    )
    (row,) = results.estimates
    assert (row.level, row.n, row.events) == ("per 10 min", 400, int(data["case"].sum()))
    assert row.estimate == pytest.approx(math.exp(10 * fit.coefficients[1]), rel=1e-8)
    assert results.cutpoints == ()


@pytest.mark.parametrize(
    ("method", "estimand"),
    [
        ("modified_poisson", "risk_ratio"),
        ("log_binomial", "risk_ratio"),
        ("logistic", "odds_ratio"),
        ("cox", "hazard_ratio"),
    ],
)
def test_the_estimand_follows_the_method(method: str, estimand: str) -> None:
    results = run(frame(), analyses=[{**ANALYSIS, "method": method}])
    assert {(e.estimand, e.method) for e in results.estimates} == {(estimand, method)}
    assert estimate_of(results, level="Q4").estimate is not None


def test_weights_and_design_count_where_declared() -> None:
    data = frame()
    design = {"weights": "weight", "strata": "stratum", "psu": "unit", "cluster": "household"}
    weighted = {**ANALYSIS, "id": "w", "weighted": True, "variances": ["survey", "cluster", "HC0"]}
    results = run(data, design=design, analyses=[ANALYSIS, weighted])
    codes = quartiles(data["dose"])
    w, y = data["weight"], data["case"]
    means = [np.average(y[codes == c], weights=w[codes == c]) for c in (1, 2)]
    rows = [e for e in results.estimates if e.analysis == "w" and e.level == "Q2"]
    assert [e.variance for e in rows] == ["survey", "cluster", "HC0"]
    assert rows[0].estimate == pytest.approx(means[1] / means[0], rel=1e-9)
    assert len({e.estimate for e in rows}) == 1
    assert len({e.std_error for e in rows}) == 3
    assert {e.n for e in rows} == {(codes == 2).sum()}  # counts of people, not of weights
    plain = estimate_of(results, analysis="a", level="Q2")
    assert plain.estimate == pytest.approx(risk_ratio(codes, y, 2), rel=1e-9)


def test_people_outside_the_analysis_keep_their_sampling_unit_in_the_design() -> None:
    """Excluding everyone of unit 1 in stratum 0 is not the same as never having sampled it."""
    data = frame()
    gone = (data["stratum"] == 0) & (data["unit"] == 1)
    step = {"id": "in", "reason": "Out", "require": [{"variable": "health", "above": 0}]}
    data.loc[gone, "health"] = 0.0
    design = {"weights": "weight", "strata": "stratum", "psu": "unit"}
    analysis = {**ANALYSIS, "weighted": True, "variances": ["survey"]}
    domain = run(data, design=design, exclusions=[step], analyses=[analysis])
    subset = run(data[~gone].reset_index(drop=True), design=design, exclusions=[step], analyses=[analysis])
    a, b = estimate_of(domain, level="Q4"), estimate_of(subset, level="Q4")
    assert a.estimate == b.estimate
    assert a.std_error != pytest.approx(b.std_error, rel=1e-4)


def test_a_stratum_without_cases_has_rows_and_a_sentence() -> None:
    data = frame()
    data["rare"] = np.where(data["sex"] == 1, 0.0, data["rare"])
    strata = {"by": "sex", "names": {"0": "female", "1": "male"}}
    results = run(data, analyses=[{**ANALYSIS, "outcome": "rare", "stratify": strata}])
    men = [e for e in results.estimates if e.stratum == "male"]
    assert [e.events for e in men] == [0, 0, 0, 0]
    assert {e.estimate for e in men} <= {None, 1.0}
    assert "Nobody in this sample has the outcome" in results.diagnostics[1].warnings


def test_a_stratum_that_nobody_is_in_is_said_and_the_others_stand() -> None:
    strata = {"by": "health", "names": {"4": "good", "9": "unheard of"}}
    results = run(frame(), analyses=[{**ANALYSIS, "stratify": strata}])
    assert estimate_of(results, stratum="good", level="Q2").estimate is not None
    (nobody,) = [d for d in results.diagnostics if d.stratum == "unheard of"]
    assert (nobody.n, nobody.converged) == (0, False)
    assert "Nobody here" in nobody.warnings


def test_a_reference_that_nobody_is_in_is_replaced_and_said() -> None:
    data = frame()
    low = quartiles(data["dose"]) == 1
    data.loc[low, "health"] = 1.0
    results = run(data, analyses=[{**ANALYSIS, "restrict": [{"variable": "health", "above": 1}]}])
    assert estimate_of(results, level="Q2").estimate == 1.0
    assert "Nobody is in Q1 here, so the reference is Q2." in results.diagnostics[0].warnings


# ---------------------------------------------------------------- curves, trend, interaction, E-values


CURVE = {"analysis": "c", "exposures": ["volume"], "model": "age", "step": {"volume": 5}}


def test_knots_reference_and_curve() -> None:
    data = frame()
    results = run(data, curves=[{**CURVE, "reference_percentile": 50}])
    x = np.sort(data["dose"].to_numpy())
    knots = [(x[39] + x[40]) / 2, (x[199] + x[200]) / 2, (x[359] + x[360]) / 2]  # 400 people: the steps themselves
    assert [(c.cut, c.value) for c in results.cutpoints] == list(
        zip(["knot_p10", "knot_p50", "knot_p90"], knots, strict=True)
    )
    assert {p.reference for p in results.curves} == {knots[1]}
    assert results.curves[0].x == x[0]
    columns = {"dose": data["dose"].to_numpy(), "age": data["age"].to_numpy()}
    spline = Spline("dose", tuple(knots))
    fit = fit_model("modified_poisson", build_design(columns, [Linear("age"), spline], 400), data["case"].to_numpy())
    at = {"dose": np.array([results.curves[10].x, knots[1]]), "age": np.zeros(2)}
    eta = build_design(at, [Linear("age"), spline], 2).matrix @ fit.coefficients
    assert results.curves[10].estimate == pytest.approx(math.exp(eta[0] - eta[1]), rel=1e-9)
    (test,) = results.estimates
    b, v = fit.coefficients[3], covariance(fit, "HC0")[3, 3]
    assert test.estimate == pytest.approx(b * b / v, rel=1e-7)


def test_a_mutual_curve_holds_the_other_spline_too() -> None:
    results = run(
        frame(),
        curves=[
            {
                **CURVE,
                "exposures": ["volume", "speed"],
                "step": {"volume": 5, "speed": 0.05},
                "mutual": True,
            }
        ],
    )
    assert [d.parameters for d in results.diagnostics] == [6, 6]
    assert results.diagnostics[0].log_likelihood == pytest.approx(results.diagnostics[1].log_likelihood, rel=1e-10)


def test_no_curve_where_too_many_share_a_value() -> None:
    data = frame()
    data["dose"] = np.where(data["dose"] < 120, 50.0, data["dose"])
    results = run(data, curves=[CURVE])
    assert results.curves == ()
    assert "knots of the spline are not distinct" in results.diagnostics[0].warnings


def test_trend_scores() -> None:
    data = frame()
    scores = ["quartile_median", "quartile_score", "continuous"]
    results = run(data, trends=[{"analysis": "t", "exposures": ["volume"], "models": ["crude"], "scores": scores}])
    codes = quartiles(data["dose"])
    medians = data["dose"].groupby(codes).median().loc[codes].to_numpy()
    for name, score in zip(scores, (medians, codes, data["dose"].to_numpy()), strict=True):
        fit = fit_model("modified_poisson", build_design({"s": score}, [Linear("s")], 400), data["case"].to_numpy())
        row = estimate_of(results, level=name)
        assert row.estimate == pytest.approx(fit.coefficients[1], rel=1e-8)
        assert row.std_error == pytest.approx(math.sqrt(covariance(fit, "HC0")[1, 1]), rel=1e-8)


def test_interaction_drops_what_the_modifier_replaces() -> None:
    variables = {"old": {"op": "at_least", "from": "age", "threshold": 65, "levels": {"0": "No", "1": "Yes"}}}
    declared = {"analysis": "i", "exposure": "volume", "modifier": "old", "model": "both", "drop": ["age"]}
    results = run(frame(), variables=variables, interactions=[declared])
    assert [d.parameters for d in results.diagnostics] == [6, 9]  # intercept, 3, old, sex; and 3 products
    assert [(e.method, e.stratum) for e in results.estimates] == [("likelihood_ratio", "old"), ("wald", "old")]


def test_evalues_take_the_ratios_of_their_model() -> None:
    evalues = [{"analysis": "e", "of": ["a"], "model": "age"}]
    results = run(frame(), analyses=[{**ANALYSIS, "models": ["crude", "age"]}], evalues=evalues)
    source = estimate_of(results, analysis="a", model="age", level="Q4")
    point = estimate_of(results, analysis="e", level="Q4", estimand="e_value")
    assert source.estimate is not None
    assert source.estimate < 1
    r = 1 / source.estimate
    assert point.estimate == pytest.approx(r + math.sqrt(r * (r - 1)), rel=1e-12)
    assert (point.n, point.events) == (results.diagnostics[1].n, results.diagnostics[1].events)


def test_evalues_of_the_limit_use_the_declared_quantile() -> None:
    evalues = [{"analysis": "e", "of": ["a"], "model": "crude", "z": 0.5}]
    results = run(frame(), analyses=[ANALYSIS], evalues=evalues)
    source = estimate_of(results, analysis="a", level="Q4")
    limit = estimate_of(results, analysis="e", level="Q4", estimand="e_value_ci")
    assert source.estimate is not None
    assert source.std_error is not None
    r = 1 / (source.estimate * math.exp(0.5 * source.std_error))
    assert r > 1
    assert limit.estimate == pytest.approx(r + math.sqrt(r * (r - 1)), rel=1e-12)


def test_winsorising_is_at_a_percentile_of_the_analytic_sample() -> None:
    data = frame()
    exposures = {"dose_10": {"variable": "dose", "per": 10, "winsorise_percentile": 90}}
    results = run(data, exposures=exposures, analyses=[{**ANALYSIS, "exposures": ["dose_10"], "form": "per_unit"}])
    x = data["dose"].to_numpy()
    capped = np.minimum(x, np.percentile(x, 90))
    fit = fit_model("modified_poisson", build_design({"d": capped}, [Linear("d")], 400), data["case"].to_numpy())
    assert results.estimates[0].estimate == pytest.approx(math.exp(10 * fit.coefficients[1]), rel=1e-8)


# ---------------------------------------------------------------- what stops a run, and what should not


def test_nobody_left_and_nobody_with_the_outcome() -> None:
    data = frame()
    step = {"id": "s", "reason": "r", "require": [{"variable": "age", "above": 200}]}
    with pytest.raises(DataFault, match="Nobody is left after the exclusions"):
        run(data, exclusions=[step])
    with pytest.raises(ModelFault, match="has the outcome case"):
        run(data.assign(case=0.0))


def test_an_outcome_of_other_values_is_refused() -> None:
    with pytest.raises(DataFault, match="takes other values than 0 and 1"):
        run(frame().assign(case=frame()["case"] + 1))


def test_another_analysis_outcome_of_other_values_is_refused() -> None:
    """Coded 1/2 it would be fitted as if the risks were 1 to 2."""
    with pytest.raises(DataFault, match="takes other values than 0 and 1"):
        run(frame().assign(rare=frame()["rare"] + 1), analyses=[{**ANALYSIS, "outcome": "rare"}])


def test_a_missing_sampling_unit_costs_nobody_where_no_variance_needs_it() -> None:
    data = frame()
    data.loc[:99, ["stratum", "unit", "household"]] = np.nan
    design = {"weights": "weight", "strata": "stratum", "psu": "unit", "cluster": "household"}
    assert run(data, design=design, analyses=[ANALYSIS]).diagnostics[0].n == 400


def test_clusters_that_differ_behind_the_point_are_two_clusters() -> None:
    data = frame()
    analysis = {**ANALYSIS, "variances": ["cluster"]}
    whole = run(data, design={"cluster": "household"}, analyses=[analysis])
    tenths = run(data.assign(household=data["household"] / 10), design={"cluster": "household"}, analyses=[analysis])
    assert estimate_of(tenths, level="Q2").std_error == estimate_of(whole, level="Q2").std_error


def test_negative_weights_are_refused() -> None:
    data = frame()
    data.loc[:9, "weight"] = -1.0
    with pytest.raises(DataFault):
        run(data, design={"weights": "weight"}, analyses=[{**ANALYSIS, "weighted": True}])


def test_a_covariate_that_is_zero_for_everyone_is_said() -> None:
    data = frame().assign(age=0.0)
    assert "age" in run(data, analyses=[{**ANALYSIS, "models": ["age"]}]).diagnostics[0].warnings


def test_an_evalue_has_the_counts_of_the_fitted_sample() -> None:
    data = frame()
    data.loc[:49, "age"] = np.nan
    evalues = [{"analysis": "e", "of": ["a"], "model": "age"}]
    results = run(data, analyses=[{**ANALYSIS, "models": ["age"]}], evalues=evalues)
    assert {e.n for e in results.estimates if e.analysis == "e"} == {350}


def test_an_evalue_of_a_stratum_has_the_counts_of_the_stratum() -> None:
    data = frame()
    strata = {"by": "sex", "names": {"0": "female", "1": "male"}}
    evalues = [{"analysis": "e", "of": ["a"], "model": "crude"}]
    results = run(data, analyses=[{**ANALYSIS, "stratify": strata}], evalues=evalues)
    assert {e.n for e in results.estimates if e.analysis == "e" and e.stratum == "male"} == {int(data["sex"].sum())}


def test_winsorising_one_exposure_leaves_another_of_the_same_variable() -> None:
    data = frame()
    exposures = {"capped": {"variable": "dose", "per": 10, "winsorise_percentile": 60}}
    plain = run(data, curves=[CURVE])
    assert run(data, exposures=exposures, curves=[CURVE]).curves == plain.curves


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(
            {"analyses": [{**ANALYSIS, "models": ["age"], "add": [{"covariates": ["age"], "models": ["age"]}]}]},
            id="a covariate added that the model has",
        ),
        pytest.param(
            {"analyses": [{**ANALYSIS, "restrict": [{"variable": "pid_like", "equals": 7}], "variances": ["stata"]}]},
            id="one person left, stata",
        ),
        pytest.param(
            {
                "analyses": [
                    {
                        **ANALYSIS,
                        "variances": ["HC3"],
                        "outcome": "rare",
                        "restrict": [{"variable": "case", "equals": 0}],
                    }
                ]
            },
            id="nobody with the outcome, HC3",
        ),
        pytest.param(
            {"analyses": [{**ANALYSIS, "method": "cox", "variances": ["HC3"]}]},
            id="Cox with HC3",
        ),
        pytest.param(
            {"settings": {"outcome": "case", "method": "cox"}, "curves": [CURVE]}, id="Cox as the setting, a curve"
        ),
        pytest.param(
            {"analyses": [{**ANALYSIS, "method": "cox", "restrict": [{"variable": "dose", "below": 40}]}]},
            id="Cox with one category left",
        ),
        pytest.param(
            {"analyses": [{**ANALYSIS, "stratify": {"by": "dose_10", "names": {"1": "x"}}}]},
            id="strata of an exposure without categories",
        ),
        pytest.param(
            {"characteristics": [{"id": "t", "title": "T", "rows": ["age"], "by_exposure": "dose_10"}]},
            id="characteristics by an exposure without categories",
        ),
    ],
)
def test_faults_are_sentences_never_tracebacks(parts: dict[str, Any]) -> None:
    variables = {"pid_like": {"op": "copy", "from": "health"}}
    data = frame()
    data["health"] = np.arange(400.0)
    data.loc[7, "case"] = 1.0
    with contextlib.suppress(DataFault, ModelFault, StudyFault):
        run(data, variables=variables, **parts)
