"""What must not matter to an estimate does not, through the public doors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from walkrisk import (
    Estimates,
    categories,
    example_cohort,
    linear,
    power,
    product,
    risk_differences,
    risk_ratios,
    spline,
    standardised_risks,
    weighted_risks,
)

pytestmark = pytest.mark.filterwarnings("ignore::walkrisk.doors.results.WalkriskWarning")

DOORS: dict[str, Callable[..., Estimates]] = {
    **{
        m: (lambda data, m=m, **named: risk_ratios(data, method=m, **named))
        for m in ("modified_poisson", "log_binomial", "logistic", "case_duplication", "standardisation_logistic")
    },
    "identity_binomial": lambda data, **named: risk_differences(data, method="identity_binomial", **named),
    "iptw": weighted_risks,
    "aipw": lambda data, **named: weighted_risks(data, method="aipw", **named),
    "tmle": lambda data, **named: weighted_risks(data, method="tmle", **named),
}
ASK: dict[str, Any] = {"outcome": "event", "exposure": "smoking", "covariates": ["age", "sex"]}


@pytest.fixture(scope="module")
def cohort() -> pd.DataFrame:
    return example_cohort(600, seed=4)


def same(one: Estimates, other: Estimates, rtol: float = 1e-7, *, errors: bool = True) -> None:
    assert len(one.rows) == len(other.rows)
    for a, b in zip(one.rows, other.rows, strict=True):
        assert (a.level, a.estimand) == (b.level, b.estimand)
        for what in ("estimate", "conf_low", "conf_high", "std_error") if errors else ("estimate",):
            x, y = getattr(a, what), getattr(b, what)
            assert (x is None) == (y is None)
            assert x is None or math.isclose(x, y, rel_tol=rtol, abs_tol=1e-9), (a, b)


@pytest.mark.parametrize("name", DOORS)
def test_order_of_rows_index_and_units_do_not_matter(name: str, cohort: pd.DataFrame) -> None:
    door = DOORS[name]
    made = door(cohort, **ASK)
    shuffled = cohort.sample(frac=1, random_state=2)
    same(made, door(shuffled, **ASK))
    same(made, door(shuffled.reset_index(drop=True), **ASK))
    same(made, door(cohort.assign(age=(cohort["age"] - 60) / 7), **ASK), 1e-6)
    same(made, door(cohort, **{**ASK, "covariates": ["sex", linear("age", per=10)]}), 1e-6)


@pytest.mark.parametrize("name", DOORS)
def test_weights_of_two_are_people_counted_twice(name: str, cohort: pd.DataFrame) -> None:
    door = DOORS[name]
    frame = cohort.assign(w=1.0 + (np.arange(len(cohort)) % 3 == 0))
    twice = frame.loc[frame.index.repeat(frame["w"].astype(int))].assign(person=lambda d: d.index)
    if name == "iptw" or name in ("aipw", "tmle"):
        same(door(frame, weights="w", **ASK), door(twice, **ASK), errors=False)
    else:
        made = door(twice, cluster="person", variance="CR0", **ASK)
        same(door(frame, weights="w", **ASK), made, 1e-6, errors=name != "case_duplication")


@pytest.mark.parametrize("name", DOORS)
def test_another_reference_turns_the_ratio_over(name: str, cohort: pd.DataFrame) -> None:
    door = DOORS[name]
    one, other = door(cohort, **ASK), door(cohort, reference="current", **ASK)
    estimand = one.rows[-1].estimand if name in ("logistic", "identity_binomial") else "risk_ratio"
    a, b = one.row(estimand, "current"), other.row(estimand, "never")
    turned = -b.estimate if estimand == "risk_difference" else 1 / b.estimate
    assert math.isclose(a.estimate, turned, rel_tol=1e-7)
    turned = -b.conf_high if estimand == "risk_difference" else 1 / b.conf_high
    assert math.isclose(a.conf_low, turned, rel_tol=1e-5, abs_tol=1e-7)
    assert (a.reference, b.reference) == ("never", "current")
    assert a.n == (cohort["smoking"] == "current").sum()


@pytest.mark.parametrize("name", DOORS)
def test_names_of_levels_and_codes_do_not_matter(name: str, cohort: pd.DataFrame) -> None:
    door = DOORS[name]
    frame = cohort.assign(k=cohort["smoking"].cat.codes * 10, t=cohort["smoking"].astype(str).map(str.upper))
    made = door(cohort, **ASK)
    codes = door(frame, **{**ASK, "exposure": categories("k")})
    words = door(frame, **{**ASK, "exposure": categories("t", reference="NEVER")})
    assert [r.level for r in codes.rows[:3]] == ["0", "10", "20"]
    assert [r.estimate for r in codes.rows] == pytest.approx([r.estimate for r in made.rows], rel=1e-7, nan_ok=True)
    for row in made.rows:
        assert words.row(row.estimand, row.level.upper()).estimate == pytest.approx(row.estimate, rel=1e-7)


@pytest.mark.parametrize("name", DOORS)
def test_a_binary_exposure_is_the_same_as_number_boolean_or_factor(name: str, cohort: pd.DataFrame) -> None:
    door = DOORS[name]
    frame = cohort.assign(b=(cohort["sex"] == "male").astype(int))
    frame["flag"] = frame["b"] == 1
    frame["whole"] = frame["b"].astype("Int64")
    found = []
    for exposure in ("b", "flag", "whole", categories("b"), "sex"):
        made = door(frame, outcome="event", exposure=exposure, covariates=["age"])
        found.append(next(r for r in made.rows if r.conf_low is not None and r.estimand != "risk"))
    assert len({round(r.estimate, 9) for r in found}) == 1
    assert len({round(r.conf_low, 6) for r in found}) == 1


def test_a_product_written_by_names_or_by_terms_is_the_same(cohort: pd.DataFrame) -> None:
    frame = cohort.assign(k=cohort["smoking"].cat.codes)
    ask = {"outcome": "event", "exposure": "walking_min_day", "method": "modified_poisson"}
    one = risk_ratios(frame, covariates=[categories("k"), "age", product("k", "age")], **ask)
    other = risk_ratios(frame, covariates=[categories("k"), "age", product(categories("k"), "age")], **ask)
    same(one, other, 1e-12)
    assert "k[1]:age" in one.fit.coefficients.index


def test_terms_by_any_route_give_the_same_fit(cohort: pd.DataFrame) -> None:
    ask = {"outcome": "event", "exposure": "sex", "method": "modified_poisson"}
    squared = cohort.assign(square=cohort["age"] ** 2)
    same(
        risk_ratios(cohort, covariates=["age", power("age", 2)], **ask),
        risk_ratios(squared, covariates=["age", "square"], **ask),
    )
    knots = np.percentile(cohort["age"], [5, 35, 65, 95])
    same(
        risk_ratios(cohort, covariates=[spline("age", knots=4)], **ask),
        risk_ratios(cohort, covariates=[spline("age", knots=knots)], **ask),
    )


def test_a_subset_is_the_rows_taken_out_beforehand_without_a_design(cohort: pd.DataFrame) -> None:
    frame = cohort.assign(old=(cohort["age"] > 55).astype(int))
    for door in (risk_ratios, standardised_risks):
        made = door(frame, subset="old", **ASK)
        same(made, door(frame[frame["old"] == 1], **ASK))
        same(made, door(frame, subset=(frame["old"] == 1).tolist(), **ASK))
    assert "rows are in the subset" in made.warnings[0]


def test_confidence_levels_nest(cohort: pd.DataFrame) -> None:
    wide, narrow = (risk_ratios(cohort, conf_level=c, **ASK).rows[-1] for c in (0.99, 0.9))
    assert wide.conf_low < narrow.conf_low < narrow.conf_high < wide.conf_high
    half = math.log(narrow.conf_high / narrow.estimate) / narrow.std_error
    assert math.isclose(half, 1.6448536269514722, rel_tol=1e-9)


def test_a_subset_of_a_survey_counts_the_sampling_units_that_it_empties() -> None:
    """A weight of 0 outside the subset keeps everyone in the design: the same variance, another than of fewer rows."""
    frame = example_cohort(600, seed=4).assign(stratum=lambda d: d["area"] % 4, inside=lambda d: d["area"] > 8)
    frame["zeroed"] = np.where(frame["inside"], frame["weight"], 0.0)
    design: dict[str, Any] = {"strata": "stratum", "psu": "area", "variance": "survey", "method": "modified_poisson"}
    within = risk_ratios(frame, subset="inside", weights="weight", **design, **ASK)
    same(within, risk_ratios(frame, weights="zeroed", **design, **ASK))
    fewer = risk_ratios(frame[frame["inside"]], weights="weight", **design, **ASK)
    assert within.rows[2].estimate == pytest.approx(fewer.rows[2].estimate, rel=1e-9)
    assert abs(within.rows[2].std_error / fewer.rows[2].std_error - 1) > 1e-3
