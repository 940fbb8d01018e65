"""Leaving out, negative controls, influence, jackknife, other forms and power of a declared study."""

from __future__ import annotations

import copy
import math
import warnings
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from walkrisk.accounts.account import Account
from walkrisk.cohorts.categories import cut_up, quantile_cuts
from walkrisk.cohorts.readers import Extract
from walkrisk.errors import DataFault, StudyFault, WalkriskError
from walkrisk.estimates.results import Results
from walkrisk.estimates.rows import Estimate
from walkrisk.runs.accounting import accounts_of
from walkrisk.runs.compute import compute
from walkrisk.runs.tabulations import tabulation
from walkrisk.studies.declaration import study_from
from walkrisk.tables.table import plain_rows

NUMBER = {"kind": "number"}
SEX = {"kind": "code", "codes": [0, 1], "labels": {"0": "Female", "1": "Male"}}
SMOKING = {"kind": "code", "codes": [1, 2, 3], "labels": {"1": "Never", "2": "Former", "3": "Current"}}
CODE = {"kind": "code", "codes": [0, 1]}
TABLE: dict[str, Any] = {
    "study": {"id": "small", "title": "Small"},
    "columns": {
        "pid": {"kind": "id"},
        "sex": SEX,
        "smoking": SMOKING,
        "one": {"kind": "code", "codes": [1], "labels": {"1": "All"}},
        **dict.fromkeys(("case", "other", "risk"), CODE),
        **dict.fromkeys(("dose", "age", "area", "region", "weight", "noise"), NUMBER),
    },
    "settings": {"outcome": "case", "variances": ["HC0", "model"], "min_cell": 5},
    "outcomes": {
        "case": {"variable": "case", "label": "Case"},
        "again": {"variable": "case", "label": "Case again"},
        "other": {"variable": "other", "label": "Other"},
    },
    "exposures": {
        "volume": {"variable": "dose", "quantiles": 3, "label": "Volume", "unit": "min"},
        "noise3": {"variable": "noise", "cuts": [-0.5, 0.5], "label": "Noise"},
    },
    "models": {"both": {"covariates": ["age", "sex"]}},
    "design": {"weights": "weight"},
    "analyses": [
        {"id": "main", "title": "Main", "group": "main", "exposures": ["volume"], "models": ["both"]},
        {
            "id": "men",
            "title": "Men",
            "group": "sensitivity",
            "exposures": ["volume"],
            "models": ["both"],
            "restrict": [{"variable": "sex", "equals": 1}],
        },
    ],
}


@cache
def people(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(12)
    made = pd.DataFrame({"pid": np.arange(n), "dose": np.round(rng.gamma(4, 20, n), 1)})
    made["age"] = np.round(rng.uniform(20, 80, n))
    made["sex"] = rng.integers(0, 2, n).astype(float)
    made["smoking"] = rng.choice([1.0, 2.0, 3.0], n, p=[0.6, 0.39, 0.01])
    made["one"] = 1.0
    chance = np.exp(-1.6 - 0.008 * (made["dose"] - 80) + 0.008 * (made["age"] - 50) + 0.2 * made["sex"])
    made["case"] = (rng.random(n) < np.minimum(chance, 0.9)).astype(float)
    made["other"] = (rng.random(n) < 0.3).astype(float)
    made["risk"] = (rng.random(n) < 0.8).astype(float)
    made["area"] = (np.arange(n) % 12).astype(float)
    made["region"] = (np.arange(n) % 12 // 4).astype(float)
    made["weight"] = rng.uniform(0.5, 2, n)
    made["noise"] = rng.normal(size=n)
    return made


def study_of(sensitivity: dict[str, Any], **parts: Any) -> Any:
    table = copy.deepcopy(TABLE)
    table["sensitivity"] = sensitivity
    for key, value in parts.items():
        table[key] = {**table.get(key, {}), **value} if isinstance(value, dict) else value
    return study_from(table)


def extract_of(data: pd.DataFrame) -> Extract:
    return Extract(data, "made up", "", (), data.shape[1])


def run(sensitivity: dict[str, Any], data: pd.DataFrame | None = None, *, jobs: int = 1, **parts: Any) -> Results:
    return compute(study_of(sensitivity, **parts), extract_of(people() if data is None else data), jobs=jobs).results


def told(sensitivity: dict[str, Any], **parts: Any) -> dict[str, Account]:
    study = study_of(sensitivity, **parts)
    made = compute(study, extract_of(people()))
    accounts = accounts_of(tabulation(study, made.results, simulated=False))
    return {a.id: a for a in accounts.all()}


def rows(results: Results, analysis: str, **wanted: Any) -> list[Estimate]:
    return [
        e for e in results.estimates if e.analysis == analysis and all(getattr(e, k) == v for k, v in wanted.items())
    ]


def tertile(data: pd.DataFrame, among: pd.DataFrame | None = None) -> np.ndarray:
    cuts = quantile_cuts((data if among is None else among)["dose"].to_numpy(), 3)
    return cut_up(data["dose"].to_numpy(), cuts)


def poisson(
    data: pd.DataFrame, codes: np.ndarray, outcome: str = "case", more: tuple[str, ...] = ("age", "sex")
) -> Any:
    """statsmodels' modified Poisson of the third category: log ratio, HC0 standard error."""
    columns = [np.ones(len(data)), codes == 2, codes == 3, *(data[m] for m in more)]
    x = np.column_stack(columns).astype(float)
    fit = sm.GLM(data[outcome].to_numpy(), x, family=sm.families.Poisson()).fit(cov_type="HC0", tol=1e-12)
    return float(fit.params[2]), float(fit.bse[2])


# ---------------------------------------------------------------- selection


@pytest.mark.parametrize("recut", [False, True])
def test_a_level_left_out_is_a_fit_without_its_people(recut: bool) -> None:
    found = run({"leave_one_out": [{"id": "loo", "variables": ["sex", "smoking"], "recut": recut}]})
    data = people()
    for variable, code, stratum in (
        ("sex", 0, "without sex: Female"),
        ("sex", 1, "without sex: Male"),
        ("smoking", 2, "without smoking: Former"),
    ):
        left = data[data[variable] != code]
        more = ("age",) if variable == "sex" else ("age", "sex")
        log_ratio, error = poisson(left, tertile(left, left if recut else data), more=more)
        row = rows(found, "loo", stratum=stratum, level="Q3", variance="HC0")[0]
        assert row.estimate == pytest.approx(math.exp(log_ratio), rel=1e-8)
        assert row.std_error == pytest.approx(error, rel=1e-7)
        assert row.n == len(left)
        assert row.events is None
        assert rows(found, "loo", stratum=stratum, level="Q3", variance="model")


def test_a_level_of_few_people_is_not_left_out_alone() -> None:
    assert 0 < (people()["smoking"] == 3).sum() < 5
    found = run({"leave_one_out": [{"id": "loo", "variables": ["smoking"]}]})
    assert not rows(found, "loo", stratum="without smoking: Current")
    said = [d for d in found.diagnostics if d.stratum == "without smoking: Current"]
    assert "Fewer than 5" in said[0].warnings
    assert said[0].n == 0
    account = told({"leave_one_out": [{"id": "loo", "variables": ["smoking"]}]})["loo"]
    assert any("too few people" in s.text for s in account.sentences)
    assert "Current" not in str(account.tables)


def test_a_ratio_against_another_reference_is_not_beside_the_main_one() -> None:
    data = people().copy()
    women = data["sex"] == 0
    data.loc[women, "dose"] += data.loc[~women, "dose"].quantile(0.8)
    study = study_of({"leave_one_out": [{"id": "loo", "variables": ["sex", "smoking"]}]})
    made = compute(study, extract_of(data))
    other = rows(made.results, "loo", stratum="without sex: Male", level="Q3", variance="HC0")[0]
    assert other.reference == "Q2"
    account = {a.id: a for a in accounts_of(tabulation(study, made.results, simulated=False)).all()}["loo"]
    cells = {row.cells[0]: row.cells[1] for row in account.tables[0].rows if len(row.cells) > 1}
    assert cells["Male"] == "not estimable"
    assert cells["Never"] != "not estimable"
    strata = {r.stratum for line in account.lines for r in line.rows}
    assert strata
    assert "without sex: Male" not in strata


def test_a_level_few_of_whom_are_in_the_main_model_is_not_left_out_alone() -> None:
    """Its people could be told from the numbers left, though enough have it in the analytic sample."""
    data = people().copy()
    former = np.flatnonzero(data["smoking"] == 2)
    data.loc[former[3:], "age"] = np.nan
    found = run({"leave_one_out": [{"id": "loo", "variables": ["smoking"]}]}, data)
    assert {e.stratum for e in rows(found, "loo")} == {"without smoking: Never"}
    assert {d.stratum for d in found.diagnostics if "Fewer than 5" in d.warnings} == {
        "without smoking: Former",
        "without smoking: Current",
    }


def test_a_control_outcome_is_the_main_model_of_that_outcome() -> None:
    control = {"id": "nc", "outcome": "other", "restrict": [{"variable": "risk", "equals": 1}]}
    found = run({"negative_controls": [control]})
    data = people()
    at_risk = data[data["risk"] == 1]
    log_ratio, error = poisson(at_risk, tertile(at_risk, data), "other")
    row = rows(found, "nc", level="Q3", variance="HC0")[0]
    assert row.estimate == pytest.approx(math.exp(log_ratio), rel=1e-8)
    assert row.std_error == pytest.approx(error, rel=1e-7)
    assert row.events == int(at_risk["other"][tertile(at_risk, data) == 3].sum())


def test_a_control_exposure_stands_beside_what_is_named() -> None:
    found = run({"negative_controls": [{"id": "nc", "exposure": "noise3", "beside": ["volume"]}]})
    data = people()
    codes = np.digitize(data["noise"], [-0.5, 0.5]) + 1
    log_ratio, _ = poisson(data, codes, more=("age", "sex", "dose"))
    row = rows(found, "nc", exposure="noise3", level="Q3", variance="HC0")[0]
    assert row.estimate == pytest.approx(math.exp(log_ratio), rel=1e-8)


def test_accounts_of_selection_say_what_was_found() -> None:
    made = told(
        {
            "leave_one_out": [{"id": "loo", "variables": ["sex"]}],
            "negative_controls": [
                {"id": "nc", "outcome": "other", "why": "Nothing leads there."},
                {"id": "ne", "exposure": "noise3"},
            ],
        }
    )
    assert [line.label for line in made["restrictions"].lines] == ["Men"]
    assert len(made["loo"].lines) == 2
    smallest, largest = (line.rows[-1].estimate for line in made["loo"].lines)
    assert smallest is not None
    assert largest is not None
    assert smallest <= largest
    text = " ".join(s.text for s in made["loo"].sentences)
    assert "without sex: Female" in text
    assert "without sex: Male" in text
    women, men = (int((people()["sex"] == s).sum()) for s in (0, 1))
    assert f"without sex: Female, {men} people left)" in text
    assert f"without sex: Male, {women} people left)" in text
    assert "Nothing leads there." in made["nc"].methods
    assert not made["nc"].lines  # the ratio of a control is no estimate of the main contrast
    assert "hold" in made["nc"].sentences[0].text
    assert "the ratio of Q3 (≥0.5) against Q1 (<−0.5) for Case was" in made["ne"].sentences[0].text
    assert "against Q1 (" in made["nc"].sentences[0].text
    assert "Men" in str(plain_rows(made["sensitivity_summary"].tables[0]))
    assert "over the 3 lines of the summary" in " ".join(s.text for s in made["sensitivity_summary"].sentences)


def test_one_line_beside_the_main_ratio_is_no_range() -> None:
    made = told({"negative_controls": [{"id": "nc", "outcome": "other", "why": "Nothing leads there."}]})
    assert len(made["sensitivity_summary"].sentences) == 1


# ---------------------------------------------------------------- influence and jackknife


def test_influence_is_that_of_leaving_out_everyone_in_turn() -> None:
    data = people()
    codes, n = tertile(data), len(data)
    whole, error = poisson(data, codes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        moves = np.array([poisson(data.drop(index=i), np.delete(codes, i))[0] - whole for i in range(n)])
    found = run({"influence": [{"id": "inf"}]})
    one = {r.stratum: r for r in rows(found, "inf", level="Q3", variance="HC0") if r.estimand != "share"}
    largest = moves[np.abs(moves).argmax()] / error
    assert one["largest_change"].estimate == pytest.approx(largest, rel=1e-5)
    assert one["largest_change_one_step"].estimate == pytest.approx(largest, rel=0.05)
    near = np.abs(np.abs(moves / error) - 2 / math.sqrt(n)) < 0.02 / math.sqrt(n)
    beyond = int((np.abs(moves / error) > 2 / math.sqrt(n)).sum())
    assert one["beyond_threshold"].estimate is not None
    assert beyond > 5
    assert abs(one["beyond_threshold"].estimate - beyond) <= near.sum() + 2  # by one Newton step
    points = [p for p in found.points if p.analysis == "inf" and p.level == "Q3"]
    assert sum(p.n or 0 for p in points) == n


def test_the_fewest_people_bring_the_ratio_to_one_and_one_fewer_does_not() -> None:
    found = run({"influence": [{"id": "inf"}]})
    main = rows(found, "main", level="Q3", variance="HC0")[0]
    one = {r.stratum: r for r in rows(found, "inf", level="Q3", variance="HC0") if r.estimand != "share"}
    assert main.estimate is not None
    assert main.estimate < 1
    then = one["without_to_null"].estimate
    assert then is not None
    assert then >= 1
    assert then < 1.1
    assert one["to_null"].estimate is not None
    assert 1 <= one["to_null"].estimate < 60
    limit = one["without_to_limit"]
    assert main.conf_high is not None
    assert limit.conf_high is not None
    assert (main.conf_high - 1) * (limit.conf_high - 1) <= 0  # on the other side of 1 now
    share = rows(found, "inf", level="Q3", variance="HC0", estimand="share", stratum="to_null")[0].estimate
    assert share == one["to_null"].estimate / 400


def test_small_counts_of_people_are_not_printed() -> None:
    account = told({"influence": [{"id": "inf"}]}, settings={"min_cell": 300})["inf"]
    text = " ".join(s.text for s in account.sentences) + str(account.tables)
    assert "fewer than 300" in text
    assert "<300" in text
    assert "%)" not in " ".join(s.text for s in account.sentences)
    cells = [cell for row in plain_rows(account.tables[0])[2:] for cell in (row[2], row[4], row[6])]
    assert set(cells) <= {"<300", "not reached"}


def test_the_jackknife_over_areas_is_a_loop_of_fits() -> None:
    data = people()
    codes, areas = tertile(data), np.arange(12)
    left = np.array([poisson(data[data["area"] != a], codes[data["area"] != a])[0] for a in areas])
    found = run({"jackknives": [{"id": "jk", "over": "area"}]})
    row = rows(found, "jk", level="Q3", stratum="", estimand="risk_ratio")[0]
    assert row.std_error == pytest.approx(math.sqrt(11 / 12 * ((left - left.mean()) ** 2).sum()), rel=1e-7)
    assert row.estimate == rows(found, "main", level="Q3")[0].estimate
    text = " ".join(s.text for s in told({"jackknives": [{"id": "jk", "over": "area"}]})["jk"].sentences)
    assert "with the standard error of the main analysis; the standard errors of the log ratio are" in text
    half = (math.log(row.conf_high or 0) - math.log(row.conf_low or 0)) / 2
    assert half / row.std_error == pytest.approx(2.200985, rel=1e-6)  # qt(0.975, 11)
    smallest = rows(found, "jk", level="Q3", stratum="smallest")[0]
    assert smallest.estimate == pytest.approx(math.exp(left.min()), rel=1e-8)
    assert smallest.n == int((data["area"] == left.argmin()).sum())
    strata = run({"jackknives": [{"id": "jk", "over": "area", "strata": "region"}]})
    within = rows(strata, "jk", level="Q3", stratum="", estimand="risk_ratio")[0]
    assert (math.log(within.conf_high or 0) - math.log(within.estimate or 0)) / (
        within.std_error or 1
    ) == pytest.approx(2.262157, rel=1e-6)  # qt(0.975, 9)


def test_hazard_ratios_are_jackknifed_and_looked_into_as_well() -> None:
    rng = np.random.default_rng(3)
    data = people().assign(time=np.round(rng.exponential(5, 400), 1) + 0.1)
    codes = tertile(data)
    x = np.column_stack([codes == 2, codes == 3, data["age"], data["sex"]]).astype(float)

    def log_hazard(keep: np.ndarray) -> float:
        model = sm.PHReg(data["time"][keep], x[keep], status=data["case"][keep], ties="efron")
        return float(model.fit(disp=False).params[1])

    left = np.array([log_hazard((data["area"] != a).to_numpy()) for a in range(12)])
    parts: dict[str, Any] = {
        "columns": {**TABLE["columns"], "time": NUMBER},
        "outcomes": {"case": {"variable": "case", "label": "Case", "time": "time", "event": "case"}},
        "analyses": [{**TABLE["analyses"][0], "method": "cox"}],
    }
    found = run({"jackknives": [{"id": "jk", "over": "area"}], "influence": [{"id": "inf"}]}, data, **parts)
    row = rows(found, "jk", level="Q3", stratum="", estimand="hazard_ratio")[0]
    assert row.std_error == pytest.approx(math.sqrt(11 / 12 * ((left - left.mean()) ** 2).sum()), rel=1e-5)
    one = {r.stratum: r for r in rows(found, "inf", level="Q3", variance="HC0") if r.estimand != "share"}
    main = rows(found, "main", level="Q3", variance="HC0")[0]
    then = one["without_to_null"]
    assert main.estimate is not None
    assert then.estimate is not None
    assert (main.estimate - 1) * (then.estimate - 1) <= 0


def test_a_group_that_holds_all_of_a_covariates_level_is_left_out_too() -> None:
    data = people().assign(area=people()["sex"] + 1)  # without either area everyone has one sex
    found = run({"jackknives": [{"id": "jk", "over": "area"}]}, data)
    codes = tertile(data)
    left = [poisson(data[data["sex"] != s], codes[data["sex"] != s], more=("age",))[0] for s in (0, 1)]
    ends = [rows(found, "jk", level="Q3", stratum=s)[0].estimate for s in ("smallest", "largest")]
    assert ends == pytest.approx(sorted(math.exp(v) for v in left), rel=1e-8)


def test_random_groups_are_the_same_again_and_by_any_number_of_workers() -> None:
    asked = {"jackknives": [{"id": "jk", "random_groups": 20}], "power": [{"id": "pw", "replicates": 50}]}
    first, again = run(asked), run(asked, jobs=3)
    assert first.estimates == again.estimates
    assert first.points == again.points
    assert rows(first, "jk", stratum="groups")[0].estimate == 20


# ---------------------------------------------------------------- other forms


def test_the_exposure_as_a_number_is_the_fit_of_that_number() -> None:
    found = run({"other_forms": [{"id": "of", "units": {"volume": 10}, "winsorise_percentile": 95}]})
    data = people()
    dose, sd = data["dose"].to_numpy(), float(data["dose"].std())
    capped = np.minimum(dose, np.percentile(dose, 95))
    for change, x in (
        ("unit", dose / 10),
        ("sd", dose / sd),
        ("winsorised_sd", capped / sd),
        ("doubling", np.log2(dose)),
    ):
        design = np.column_stack([np.ones(len(x)), x, data["age"], data["sex"]])
        fit = sm.GLM(data["case"], design, family=sm.families.Poisson()).fit(cov_type="HC0", tol=1e-12)
        row = rows(found, "of", stratum=change, variance="HC0")[0]
        assert row.estimate == pytest.approx(math.exp(fit.params.iloc[1]), rel=1e-7), change
        assert row.std_error == pytest.approx(fit.bse.iloc[1], rel=1e-6), change
    size = {p.item: p.y for p in found.points if p.analysis == "of" and p.series == "unit"}
    assert size["sd"] == pytest.approx(sd)
    assert size["unit"] == 10


def test_other_methods_and_differences_are_those_of_the_doors() -> None:
    found = run({"other_forms": [{"id": "of", "changes": []}]})
    data = people()
    codes = tertile(data)
    x = np.column_stack([np.ones(400), codes == 2, codes == 3, data["age"], data["sex"]]).astype(float)
    linear = sm.OLS(data["case"], x).fit(cov_type="HC0")
    row = rows(found, "of", stratum="linear", level="Q3", variance="HC0")[0]
    assert row.estimate == pytest.approx(linear.params.iloc[2], rel=1e-9)
    assert row.std_error == pytest.approx(linear.bse.iloc[2], rel=1e-9)
    logistic = sm.Logit(data["case"], x).fit(disp=False, tol=1e-12)
    odds = rows(found, "of", stratum="logistic", level="Q3", variance="model")[0]
    assert odds.estimate == pytest.approx(math.exp(logistic.params.iloc[2]), rel=1e-7)
    assert odds.estimand == "odds_ratio"
    account = told({"other_forms": [{"id": "of"}]})["of"]
    assert [line.label for line in account.lines] == ["Method: Log-binomial", "Method: Standardised, logistic"]


@pytest.mark.parametrize(("top", "is_left_out"), [(0.9, True), (1.1, False)])
def test_nobody_a_doubling_away_has_no_ratio_per_doubling(top: float, is_left_out: bool) -> None:
    data = people().copy()
    spread = (data["dose"].rank() - 1) / (len(data) - 1)
    data["dose"] = 100 + 100 * top * (spread - 0.01) / 0.98  # percentiles 1 and 99 at 100 and 100 (1 + top)
    study = study_of({"other_forms": [{"id": "of"}]})
    made = compute(study, extract_of(data))
    said = [d.warnings for d in made.results.diagnostics if d.stratum == "doubling" and "left out" in d.warnings]
    assert len(said) == is_left_out
    assert bool(rows(made.results, "of", stratum="doubling")) != is_left_out
    assert bool(rows(made.results, "of", stratum="sd"))
    account = next(a for a in accounts_of(tabulation(study, made.results, simulated=False)).all() if a.id == "of")
    text = " ".join(s.text for s in account.sentences)
    assert "per standard deviation" in text
    assert ("per doubling" in text) != is_left_out
    assert ("doubling" in str(plain_rows(account.tables[0]))) != is_left_out


def test_a_value_of_zero_has_no_doubling_and_is_said() -> None:
    data = people().copy()
    data.loc[:9, "dose"] = 0.0
    study = study_of({"other_forms": [{"id": "of"}]})
    made = compute(study, extract_of(data))
    left = next(p for p in made.results.points if p.series == "left_out" and p.item == "doubling")
    assert left.n == 10
    account = next(a for a in accounts_of(tabulation(study, made.results, simulated=False)).all() if a.id == "of")
    assert any("10 people with a value of zero or less" in s.text for s in account.sentences)


def test_a_comparison_of_the_study_stands_in_place_of_methods() -> None:
    compared = {
        "analysis": "cmp",
        "title": "By method",
        "exposures": ["volume"],
        "model": "both",
        "methods": ["modified_poisson", "iptw"],
    }
    account = told(
        {"other_forms": [{"id": "of", "comparison": "cmp", "changes": [], "differences": []}]}, comparisons=[compared]
    )["of"]
    assert [line.label for line in account.lines] == ["Method: Inverse probability weighting"]
    said = account.sentences[0].text  # modified Poisson is the main analysis itself
    assert "by another method (Inverse probability weighting) the ratio of Q3" in said
    assert "Modified Poisson" in str(plain_rows(account.tables[0]))


# ---------------------------------------------------------------- power


def test_the_smallest_detectable_ratio_is_near_its_closed_form() -> None:
    found = run({"power": [{"id": "pw", "replicates": 200, "powers": [0.8], "direction": "below"}]})
    least = {r.method: r for r in rows(found, "pw", estimand="minimal_detectable_ratio")}
    simulated, closed = least["modified_poisson"], least["closed_form"]
    assert simulated.estimate is not None
    assert closed.estimate is not None
    assert closed.estimate < 1
    assert simulated.std_error is not None
    away = abs(math.log(simulated.estimate / closed.estimate))
    assert away < 3.3 * simulated.std_error + 0.05 * abs(math.log(closed.estimate))  # 400 people: not yet asymptotic
    size = rows(found, "pw", estimand="power")[0]
    assert size.conf_low is not None
    assert size.conf_low < 0.05 < (size.conf_high or 0)
    shares = [p for p in found.points if p.series == "power" and p.item == "below"]
    assert len(shares) == 7
    assert {p.n for p in shares} == {200}


def least_of(shares: np.ndarray) -> float:
    """The ratio below 1 detected with power 0.8, worked out anew: risks at the reference, expected sandwich."""
    data = people()
    codes = tertile(data)
    x = np.column_stack([np.ones(400), codes == 2, codes == 3, data["age"], data["sex"]]).astype(float)
    beta = sm.GLM(data["case"], x, family=sm.families.Poisson()).fit(tol=1e-12).params.to_numpy()
    reference = np.exp(x[:, [0, 3, 4]] @ beta[[0, 3, 4]])

    def power(log_ratio: float) -> float:
        p = reference * np.exp(shares[codes.astype(int) - 1] * log_ratio)
        bread = np.linalg.inv(x.T @ (x * p[:, None]))
        meat = x.T @ (x * (p * (1 - p))[:, None])
        away = abs(log_ratio) / math.sqrt((bread @ meat @ bread)[2, 2])
        normal = NormalDist()
        return normal.cdf(away - 1.959963984540054) + normal.cdf(-away - 1.959963984540054)

    low, high = -3.0, 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle) > 0.8 else (low, middle)
    return math.exp(low)


@pytest.mark.parametrize(("pattern", "shares"), [("steps", (0.0, 0.5, 1.0)), ("alone", (0.0, 0.0, 1.0))])
def test_categories_between_are_as_declared(pattern: str, shares: tuple[float, ...]) -> None:
    asked = {"id": "pw", "replicates": 50, "powers": [0.8], "direction": "below", "pattern": pattern}
    found = run({"power": [asked]})
    closed = rows(found, "pw", estimand="minimal_detectable_ratio", method="closed_form")[0]
    assert closed.estimate == pytest.approx(least_of(np.array(shares)), rel=1e-6)


def test_declared_ratios_are_the_ones_simulated_on_their_side() -> None:
    asked = {"id": "pw", "replicates": 50, "ratios": [0.9, 0.7, 0.5], "pattern": "alone"}
    found = run({"power": [asked]})
    assert sorted(round(p.x or 0, 6) for p in found.points if p.series == "power" and p.item == "below") == [
        0.5,
        0.7,
        0.9,
    ]
    assert not [p for p in found.points if p.item == "above"]


def test_risks_above_one_are_said() -> None:
    data = people().assign(case=np.where(people()["age"] > 40, 1.0, people()["case"]))
    found = run({"power": [{"id": "pw", "replicates": 50, "ratios": [1.1, 1.3, 1.6]}]}, data)
    said = next(d for d in found.diagnostics if d.analysis == "pw").warnings
    assert "risks above 1, which were set to 1" in said


def test_the_account_of_power_says_that_it_is_of_the_design() -> None:
    account = told({"power": [{"id": "pw", "replicates": 50}]})["pw"]
    assert any("property of the design" in m for m in account.methods)
    assert not account.lines
    assert sum("the design detects" in s.text for s in account.sentences) == 4


# ---------------------------------------------------------------- impossible requests

LEFT = "sensitivity.leave_one_out (x)"
CONTROL = "sensitivity.negative_controls (x)"
JACK = "sensitivity.jackknives (x)"
FORMS = "sensitivity.other_forms (x)"
POWER = "sensitivity.power (x)"


@pytest.mark.parametrize(
    ("part", "asked", "said"),
    [
        ("leave_one_out", {"variables": []}, f"{LEFT}.variables: name at least one"),
        ("leave_one_out", {"variables": ["sexx"]}, "there is no variable 'sexx'; did you mean sex?"),
        ("leave_one_out", {"variables": ["one"]}, "one has a single level"),
        ("negative_controls", {}, f"{CONTROL}: give either outcome"),
        ("negative_controls", {"outcome": "other", "exposure": "noise3"}, f"{CONTROL}: give either outcome"),
        ("negative_controls", {"outcome": "case"}, "case is the outcome of the main analysis itself"),
        ("negative_controls", {"outcome": "again"}, "again is the variable of case itself"),
        ("negative_controls", {"exposure": "volume"}, "volume is an exposure of the main analysis"),
        ("negative_controls", {"exposure": "noise3", "beside": ["noise3"]}, "is the control exposure itself"),
        ("negative_controls", {"exposure": "noise3", "exposures": ["volume"]}, "is for control outcomes"),
        ("jackknives", {}, f"{JACK}.over: names no groups"),
        ("jackknives", {"over": "area", "random_groups": 5}, f"{JACK}: give either over"),
        ("jackknives", {"random_groups": 1}, "must be from 2 to 2000, got 1"),
        ("influence", {"exposures": ["noise3"]}, "there is no exposure of the main analysis 'noise3'"),
        ("other_forms", {"methods": ["linear"]}, "linear estimates no risk ratio"),
        ("other_forms", {"methods": ["cox"]}, "a Cox model needs an outcome with time and event"),
        ("other_forms", {"winsorise_percentile": 40}, "must be between 50 and 100"),
        ("other_forms", {"units": {"volume": 0}}, f"{FORMS}.units.volume: must be positive"),
        ("other_forms", {"comparison": "no"}, "there is no comparison 'no'"),
        ("power", {"ratios": [1.0, 0.9, 0.8, 0.7]}, "at a true ratio of 1 there is nothing to detect"),
        ("power", {"ratios": [0.9, 0.8]}, f"{POWER}.ratios: names 2 below 1"),
        ("power", {"ratios": [0.9, 0.8, 0.7], "direction": "above"}, "is not above 1, the direction asked for"),
        ("power", {"powers": [0.04]}, "must be between 0.05 (the size of the test) and 1"),
        ("power", {"replicates": 3}, "must be from 50 to 20000, got 3"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(part: str, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyFault) as raised:
        study_of({part: [{"id": "x", **asked}]})
    assert said in "\n".join(raised.value.faults)


def test_methods_without_a_single_model_have_no_influence() -> None:
    main = {**TABLE["analyses"][0], "method": "iptw", "variances": ["HC0"]}
    with pytest.raises(StudyFault, match="which has no single model to leave people out of"):
        study_of({"influence": [{"id": "x"}]}, analyses=[main])


@pytest.mark.parametrize(
    ("part", "asked", "said"),
    [
        ("leave_one_out", {"variables": ["pair"]}, "pair has 1 level in the analytic sample"),
        ("leave_one_out", {"variables": ["dose"]}, "values in the analytic sample; group them into 100 or fewer"),
        ("jackknives", {"over": "pair"}, "pair has a single group"),
        ("jackknives", {"over": "area", "strata": "area"}, "12 values of area hold a single group of area"),
        ("jackknives", {"over": "holes"}, "holes is unknown for some people of the main model"),
        ("jackknives", {"random_groups": 500}, "500 groups for 400 people"),
    ],
)
def test_what_the_data_do_not_allow_is_a_sentence_before_any_work(part: str, asked: dict[str, Any], said: str) -> None:
    data = people().assign(pair=1.0, holes=np.where(people()["sex"] == 1, np.nan, people()["area"]))
    columns = {**TABLE["columns"], "pair": NUMBER, "holes": NUMBER}
    with pytest.raises(DataFault) as raised:
        run({part: [{"id": "x", **asked}]}, data, columns=columns)
    assert said in "\n".join(raised.value.faults)


def test_power_where_the_main_ratio_is_not_estimable_is_a_sentence() -> None:
    data = people().assign(case=np.where(tertile(people()) == 3, 0.0, people()["case"]))
    with pytest.raises(WalkriskError) as raised:
        run({"power": [{"id": "pw"}]}, data)
    assert "The ratio of Q3 is not estimable, so there are no risks to simulate from." in raised.value.faults[0]


def test_influence_where_nothing_is_estimable_leaves_a_diagnostics_row() -> None:
    data = people().assign(case=np.where(tertile(people()) == 1, 0.0, people()["case"]))  # no cases in the reference
    found = run({"influence": [{"id": "inf"}], "jackknives": [{"id": "jk", "over": "area"}]}, data)
    assert not rows(found, "inf")
    said = {d.analysis: d.warnings for d in found.diagnostics if d.analysis in ("inf", "jk")}
    assert said == dict.fromkeys(
        ("inf", "jk"), "No category has a ratio in the main model, so nothing rests on anybody."
    )
