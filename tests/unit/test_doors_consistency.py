"""Every door means the same by the same words: references, confidence level, limits, labels, standard populations."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import walkrisk as w
from walkrisk.errors import UsageFault, WalkriskError

Z90, Z95 = 1.6448536269514722, 1.959963984540054


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", w.WalkriskWarning)
        yield


@pytest.fixture(scope="module")
def cohort() -> pd.DataFrame:
    data = w.example_cohort(1500, seed=3)
    return data.assign(smoke=data["smoking"].astype(str))


def by_level(found: Any, estimand: str = "risk_ratio") -> dict[str, tuple[float, int]]:
    return {r.level: (r.estimate, r.n) for r in found.rows if r.estimand == estimand and not r.stratum}


def test_a_reference_holds_where_the_exposure_is_in_a_product_too(cohort: pd.DataFrame) -> None:
    declared = cohort.assign(smoke=pd.Categorical(cohort["smoke"], ["never", "current", "former"]))
    terms = ["age", w.product("smoke", "age")]
    asked: dict[str, Any] = {"outcome": "event", "exposure": "smoke", "covariates": terms}
    one = w.standardised_risks(cohort, reference="never", **asked)
    other = w.standardised_risks(declared, **asked)
    assert by_level(other)["never"][0] == 1.0
    for level, (estimate, n) in by_level(other).items():
        assert by_level(one)[level] == (pytest.approx(estimate, rel=1e-9), n)


def test_interaction_with_references_named_is_that_of_reordered_categories(cohort: pd.DataFrame) -> None:
    ordered = cohort.assign(
        smoke=pd.Categorical(cohort["smoke"], ["never", "former", "current"]),
        sex=pd.Categorical(cohort["sex"], ["male", "female"]),
    )
    asked: dict[str, Any] = {"outcome": "event", "exposure": "smoke", "modifier": "sex", "covariates": ["age"]}
    one = w.interaction(cohort, reference="never", modifier_reference="male", **asked)
    other = w.interaction(ordered, **asked)
    for estimand in ("reri", "risk_ratio"):
        expected = {(r.level, r.stratum, r.method): r.estimate for r in other.rows if r.estimand == estimand}
        found = {(r.level, r.stratum, r.method): r.estimate for r in one.rows if r.estimand == estimand}
        assert set(found) == set(expected)
        for key, value in expected.items():
            assert found[key] == pytest.approx(value, rel=1e-8)


def test_two_groupings_of_one_variable_keep_apart(cohort: pd.DataFrame) -> None:
    groups = [w.categories("bmi", quantiles=4), w.categories("bmi", cuts=(20,))]
    found = w.risk_ratios(cohort, outcome="event", exposure="sex", covariates=groups, method="modified_poisson")
    assert found.fit is not None
    assert len(set(found.fit.coefficients.index)) == 6


@pytest.mark.parametrize(
    ("exposure", "other"),
    [
        (w.categories("bmi", quantiles=4), w.categories("bmi", cuts=(20,))),
        (w.categories("bmi", quantiles=4), "bmi"),
        ("bmi", w.categories("bmi", cuts=(25,))),
    ],
)
def test_a_second_form_of_the_exposure_is_refused(cohort: pd.DataFrame, exposure: Any, other: Any) -> None:
    with pytest.raises(UsageFault, match="another form"):
        w.risk_ratios(cohort, outcome="event", exposure=exposure, covariates=["age", other])


def test_a_product_that_names_another_reference_is_refused(cohort: pd.DataFrame) -> None:
    terms = ["age", w.product(w.categories("smoke", reference="former"), "age")]
    with pytest.raises(UsageFault, match="two references"):
        w.standardised_risks(cohort, outcome="event", exposure="smoke", reference="never", covariates=terms)


def test_long_identifiers_stay_apart(cohort: pd.DataFrame) -> None:
    ids = cohort["area"] + 2**60
    asked: dict[str, Any] = {"outcome": "event", "exposure": "sex", "method": "modified_poisson"}
    long = w.risk_ratios(cohort.assign(id=ids), cluster="id", **asked).rows[1]
    short = w.risk_ratios(cohort, cluster="area", **asked).rows[1]
    assert long.std_error == pytest.approx(short.std_error, rel=1e-12)


def test_bias_reduced_ratios_of_a_level_without_cases_pretend_nothing(cohort: pd.DataFrame) -> None:
    empty = cohort.assign(event=np.where(cohort["smoking"] == "former", 0, cohort["event"]))
    asked: dict[str, Any] = {"outcome": "event", "exposure": "smoking", "method": "bias_reduced_poisson"}
    usual = w.risk_ratios(empty, **asked).row("risk_ratio", "former")
    assert usual.variance == "model"
    assert usual.conf_high > 0.05  # 0 of some 500: anything but certain
    robust = w.risk_ratios(empty, variance="HC1", **asked).row("risk_ratio", "former")
    assert robust.std_error is None
    turned = w.risk_ratios(empty, variance="HC1", reference="former", **asked)
    assert all(r.std_error is None for r in turned.rows)


def test_few_clusters_have_limits_of_students_t(cohort: pd.DataFrame) -> None:
    asked: dict[str, Any] = {"outcome": "event", "exposure": "sex", "cluster": "area", "method": "modified_poisson"}
    few = w.risk_ratios(cohort.assign(area=cohort["area"] % 10), **asked)
    assert width(few.rows[1]) == pytest.approx(2.262157, rel=1e-6)  # t on 9 degrees of freedom
    assert width(w.risk_ratios(cohort, **asked).rows[1]) == pytest.approx(Z95, rel=1e-9)


def test_the_ordinal_trend_follows_the_values_whatever_the_reference(cohort: pd.DataFrame) -> None:
    plain, turned = (
        w.dose_response(cohort, outcome="event", exposure=w.categories("bmi", quantiles=4, reference=r)).rows[1]
        for r in ("Q1", "Q3")
    )
    assert (plain.level, turned.estimate) == ("ordinal", pytest.approx(plain.estimate, rel=1e-9))


def test_a_categorical_has_the_same_reference_in_every_door_and_container(cohort: pd.DataFrame) -> None:
    found = w.risks_at_horizon(cohort, time="time_years", event="event", horizon=3, exposure="smoking")
    assert {r.reference for r in found.rows if r.estimand == "risk_ratio"} == {"never"}
    columns = {name: cohort[name] for name in ("event", "smoking", "age")}
    same = w.risk_ratios(columns, outcome="event", exposure="smoking", covariates=["age"])
    assert same.rows[0].level == "never"


def test_a_text_event_is_a_sentence(cohort: pd.DataFrame) -> None:
    text = cohort.assign(event=cohort["sex"])
    with pytest.raises(WalkriskError):
        w.risks_at_horizon(text, time="time_years", event="event", horizon=3, exposure="smoking")


def test_doubly_robust_risks_are_the_textbook_ones(cohort: pd.DataFrame) -> None:
    asked: dict[str, Any] = {"outcome": "event", "exposure": "sex", "covariates": ["age", "smoking"]}
    found = w.weighted_risks(cohort, method="aipw", **asked)
    former, current = (cohort["smoking"] == level for level in ("former", "current"))
    x = np.column_stack([np.ones(len(cohort)), cohort["age"], former, current]).astype(float)
    male, y = (cohort["sex"] == "male").to_numpy(float), cohort["event"].to_numpy(float)

    def logit(design: np.ndarray, outcome: np.ndarray) -> np.ndarray:
        b = np.zeros(design.shape[1])
        for _ in range(40):
            mu = 1 / (1 + np.exp(-design @ b))
            b += np.linalg.solve((design * (mu * (1 - mu))[:, None]).T @ design, design.T @ (outcome - mu))
        return b

    e = 1 / (1 + np.exp(-x @ logit(x, male)))
    b = logit(np.column_stack([x, male]), y)
    for level, has, score in (("female", 1 - male, 1 - e), ("male", male, e)):
        q = 1 / (1 + np.exp(-(x @ b[:-1] + b[-1] * (level == "male"))))
        assert found.row("risk", level).estimate == pytest.approx(np.mean(q + has / score * (y - q)), rel=1e-9)


def test_targeted_learning_answers_with_its_defaults(cohort: pd.DataFrame) -> None:
    asked: dict[str, Any] = {"outcome": "event", "exposure": "smoking", "covariates": ["age", "sex"]}
    plain = w.weighted_risks(cohort, method="tmle", **asked).row("risk", "current")
    near = w.weighted_risks(cohort, method="aipw", **asked).row("risk", "current")
    assert plain.estimate == pytest.approx(near.estimate, rel=0.02)
    assert plain.std_error == pytest.approx(near.std_error, rel=0.1)
    att = w.weighted_risks(cohort, method="tmle", estimand="ATT", target="current", **asked)
    other = w.weighted_risks(cohort, method="iptw", estimand="ATT", target="current", **asked)
    assert att.row("risk", "never").std_error == pytest.approx(other.row("risk", "never").std_error, rel=0.2)
    w.weighted_risks(cohort, method="tmle", truncate=(1, 99), **asked)


def width(row: Any, *, log: bool = True) -> float:
    """Half width of an interval in standard errors."""
    if log:
        return (math.log(row.conf_high) - math.log(row.estimate)) / row.std_error
    return (row.conf_high - row.estimate) / row.std_error


def test_the_confidence_level_reaches_a_standardised_curve(cohort: pd.DataFrame) -> None:
    asked: dict[str, Any] = {"outcome": "event", "exposure": "walking_min_day", "covariates": ["age"]}
    asked |= {"at": [60, 150], "reference": 100, "standardised": True}
    narrow, wide = (w.dose_response(cohort, conf_level=c, **asked).curve[0] for c in (0.9, 0.95))
    ratio = math.log(narrow.conf_high / narrow.conf_low) / math.log(wide.conf_high / wide.conf_low)
    assert ratio == pytest.approx(Z90 / Z95, rel=1e-6)


def test_t_limits_of_a_cluster_variance_hold_in_every_door(cohort: pd.DataFrame) -> None:
    data = cohort.assign(area=cohort["area"] % 12)
    asked: dict[str, Any] = {"outcome": "event", "covariates": ["age"], "variance": "CR2", "cluster": "area"}
    assert width(w.risk_ratios(data, exposure="sex", method="modified_poisson", **asked).rows[1]) > Z95 + 0.05
    for row in w.interaction(data, exposure="smoking", modifier="sex", **asked).rows:
        if row.estimand == "reri" and not row.method.endswith("mover"):
            assert width(row, log=False) > Z95 + 0.05
        if row.estimand == "risk_ratio" and row.std_error:
            assert width(row) > Z95 + 0.05
    trend = w.dose_response(data, exposure="bmi", shape="categories", **asked).rows[0]
    assert width(trend, log=False) > Z95 + 0.05
    day = ["sleep_min", "sitting_min", "light_min", "walking_min_day"]
    assert width(w.time_substitution(data, parts=day, **asked).rows[0]) > Z95 + 0.05


def test_compared_methods_take_the_bootstrap_too(cohort: pd.DataFrame) -> None:
    found = w.compare_methods(
        cohort,
        outcome="event",
        exposure="sex",
        covariates=["age"],
        methods=("modified_poisson", "standardisation_logistic"),
        variance="bootstrap",
        replicates=200,
    )
    assert {r.method for r in found.rows} == {"modified_poisson", "standardisation_logistic"}
    assert not any("nknown variance" in s for s in found.warnings)


@pytest.mark.parametrize("intervals", ["delta", "percentile"])
def test_a_number_needed_says_on_which_side_it_lies(cohort: pd.DataFrame, intervals: Any) -> None:
    found = w.standardised_risks(
        cohort, outcome="event", exposure="smoking", covariates=["age"], intervals=intervals, replicates=200
    )
    texts = found.details["number_needed"]
    assert set(texts) == {"former", "current"}
    assert all(t.startswith(("NNTB", "NNTH")) for t in texts.values())


def test_no_likelihood_ratio_where_there_is_no_likelihood(cohort: pd.DataFrame) -> None:
    asked: dict[str, Any] = {"outcome": "event", "covariates": ["age"], "method": "logistic"}
    curve = w.dose_response(cohort, exposure="walking_min_day", weights="weight", **asked)
    clustered = w.dose_response(cohort, exposure="walking_min_day", cluster="area", **asked)
    joint = w.interaction(cohort, exposure="smoking", modifier="sex", cluster="area", **asked)
    for found in (curve, clustered, joint):
        assert all(r.method != "likelihood_ratio" for r in found.rows)


def test_covariates_taken_as_fixed_cannot_be_resampled(cohort: pd.DataFrame) -> None:
    asked: dict[str, Any] = {"outcome": "event", "exposure": "sex", "covariates": ["age"]}
    with pytest.raises(UsageFault, match="sampled"):
        w.standardised_risks(cohort, sampled=False, intervals="percentile", **asked)


@pytest.mark.parametrize("covariates", [["age", w.product("bmi", "age")], ["age", w.power("bmi", 2)]])
def test_no_single_ratio_where_it_depends_on_where_one_starts(cohort: pd.DataFrame, covariates: list[Any]) -> None:
    with pytest.raises(UsageFault, match="no single ratio"):
        w.risk_ratios(cohort, outcome="event", exposure="bmi", covariates=covariates, method="modified_poisson")


def test_no_single_ratio_of_a_factor_in_a_product(cohort: pd.DataFrame) -> None:
    terms = ["age", w.product("smoking", "age")]
    asked: dict[str, Any] = {"outcome": "event", "exposure": "smoking", "covariates": terms}
    with pytest.raises(UsageFault, match="no single ratio"):
        w.risk_ratios(cohort, method="modified_poisson", **asked)
    with pytest.raises(UsageFault, match="no single ratio"):
        w.attributable_fractions(cohort, formula="levin", **asked)
    assert w.risk_ratios(cohort, method="standardisation_logistic", **asked).rows[1].estimate


def test_a_mask_with_another_index_is_refused(cohort: pd.DataFrame) -> None:
    mask = (cohort["sex"] == "male").sample(frac=1, random_state=1)
    with pytest.raises(UsageFault, match="index"):
        w.standardised_risks(cohort, outcome="event", exposure="smoking", covariates=["age"], population=mask)


def test_limits_and_p_value_of_an_attributable_fraction_agree() -> None:
    for seed in range(40):
        data = w.example_cohort(300, seed=seed)
        row = w.attributable_fractions(data, outcome="event", exposure="smoking", covariates=["age"]).rows[-1]
        assert row.conf_low is not None
        assert (row.p_value < 0.05) == (row.conf_low > 0 or row.conf_high < 0)


def test_limits_of_risks_at_a_horizon_stay_inside(cohort: pd.DataFrame) -> None:
    found = w.risks_at_horizon(cohort, time="time_years", event="event", horizon=0.2, exposure="smoking")
    for row in found.rows:
        if row.estimand == "risk" and row.conf_low is not None:
            assert 0 < row.conf_low < row.estimate < row.conf_high < 1


def test_a_subset_with_another_index_is_refused(cohort: pd.DataFrame) -> None:
    mask = (cohort["sex"] == "male").sample(frac=1, random_state=1)
    with pytest.raises(UsageFault, match="index"):
        w.risk_ratios(cohort, outcome="event", exposure="smoking", subset=mask)


@pytest.mark.parametrize("variance", ["model", "MBN"])
def test_a_method_without_a_variance_says_so(cohort: pd.DataFrame, variance: str) -> None:
    with pytest.raises(WalkriskError, match="variance"):
        w.risk_ratios(cohort, outcome="event", exposure="smoking", method="case_duplication", variance=variance)


def test_the_scale_of_weights_changes_nothing_by_default(cohort: pd.DataFrame) -> None:
    heavy = cohort.assign(weight=cohort["weight"] * 1000)
    for method in ("modified_poisson", "bias_reduced_poisson", "iptw", "standardisation_logistic"):
        asked: dict[str, Any] = {"outcome": "event", "exposure": "smoking", "weights": "weight", "method": method}
        one, other = (w.risk_ratios(data, **asked).rows[1] for data in (cohort, heavy))
        assert other.std_error == pytest.approx(one.std_error, rel=0.02)
    said = w.risk_ratios(heavy, outcome="event", exposure="smoking", weights="weight", variance="model").warnings
    assert any("numbers of people" in s for s in said)


@pytest.mark.parametrize(
    ("name", "role"), [("area", {"cluster": "area"}), ("smoke", {"strata": "smoke", "psu": "area"})]
)
def test_a_column_may_be_covariate_and_identifier(cohort: pd.DataFrame, name: str, role: dict[str, str]) -> None:
    asked: dict[str, Any] = {"outcome": "event", "exposure": "sex", "method": "modified_poisson"}
    both = w.risk_ratios(cohort, covariates=[name, "age"], **role, **asked)
    copied = {k: "copy" if v == name else v for k, v in role.items()}
    apart = w.risk_ratios(cohort.assign(copy=cohort[name]), covariates=[name, "age"], **copied, **asked)
    assert both.fit is not None
    assert apart.fit is not None
    assert list(both.fit.coefficients.index) == list(apart.fit.coefficients.index)
    assert both.rows[1].estimate == pytest.approx(apart.rows[1].estimate, rel=1e-12)
    assert both.rows[1].std_error == pytest.approx(apart.rows[1].std_error, rel=1e-12)


def test_what_has_no_standard_error_is_not_pooled_from_the_first_set() -> None:
    sets = [
        w.interaction(w.example_cohort(800, seed=s), outcome="event", exposure="sex", modifier="smoking")
        for s in (1, 2, 3)
    ]
    pooled = w.pool(sets)
    assert not any(r.method.endswith("mover") for r in pooled.rows)
    for row in pooled.rows:
        assert row.std_error is not None or row.estimate in (None, 0.0, 1.0), row


def test_pooled_limits_keep_the_degrees_of_freedom_of_few_clusters(cohort: pd.DataFrame) -> None:
    few = [
        cohort.assign(area=cohort["area"] % 25),
        w.example_cohort(1500, seed=4).assign(area=lambda d: d["area"] % 25),
    ]
    asked: dict[str, Any] = {"outcome": "event", "exposure": "sex", "cluster": "area", "method": "modified_poisson"}
    alone = w.pool([w.risk_ratios(few[0], **asked)] * 2).rows[1]  # nothing between the sets
    assert width(alone) == pytest.approx(2.0739, rel=2e-3)  # t on 24 degrees of freedom, less a little
    risks = w.pool([w.standardised_risks(d, outcome="event", exposure="sex", covariates=["age"]) for d in few])
    for row in risks.rows:
        if row.estimand == "risk":
            assert row.p_value is None
            assert 0 < row.conf_low < row.estimate < row.conf_high < 1
