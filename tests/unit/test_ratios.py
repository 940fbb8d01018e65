"""Rows of ratios: counts, references, categories that give none, trend scores, Wald intervals."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from walkrisk.estimates.interaction import likelihood_ratio, wald
from walkrisk.estimates.ratios import count_levels, level_ratios, median_scores, per_unit
from walkrisk.estimates.rows import (
    COLUMNS,
    Estimate,
    chi_square_p,
    critical_value,
    on_own_scale,
    ratio,
    two_sided_p,
    wald_statistic,
)
from walkrisk.models.covariance import covariance
from walkrisk.models.design import Linear, Product, build_design, factor
from walkrisk.models.fit import Fit, fit_model

NA = np.nan
ROW = Estimate(analysis="a", exposure="volume", estimand="risk_ratio")
Z = critical_value(0.95)
LABELS = ("Q1", "Q2", "Q3")


def fitted(codes: np.ndarray, y: np.ndarray) -> Fit:
    labels = dict(enumerate(LABELS, start=1))
    return fit_model("modified_poisson", build_design({"g": codes}, [factor("g", codes, labels)], len(y)), y)


def rows_of(codes: np.ndarray, y: np.ndarray) -> list[Estimate]:
    fit = fitted(codes, y)
    (term,) = fit.design.columns_of
    v = {"HC0": covariance(fit, "HC0"), "stata": covariance(fit, "stata")}
    return level_ratios(fit, term, count_levels(codes, y, LABELS), v, row=ROW, z=Z)  # type: ignore[arg-type]


def people(*groups: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Codes 1, 2, ... and outcomes from (cases, people) of each."""
    codes = np.concatenate([np.full(n, float(i)) for i, (_, n) in enumerate(groups, start=1)])
    y = np.concatenate([np.repeat([1.0, 0.0], [cases, n - cases]) for cases, n in groups])
    return codes, y


def test_columns_of_an_estimate_are_those_of_the_contract() -> None:
    assert COLUMNS == (
        "analysis",
        "exposure",
        "stratum",
        "level",
        "reference",
        "model",
        "estimand",
        "n",
        "events",
        "estimate",
        "std_error",
        "conf_low",
        "conf_high",
        "p_value",
        "method",
        "variance",
    )


def test_counts_are_over_known_category_and_outcome() -> None:
    codes, y = np.array([1.0, 1, 2, NA, 3, 3]), np.array([1.0, 0, NA, 1, 1, 1])
    got = [(c.code, c.label, c.n, c.events) for c in count_levels(codes, y, LABELS)]
    assert got == [(1.0, "Q1", 2, 1), (2.0, "Q2", 0, 0), (3.0, "Q3", 2, 2)]


def test_ratios_by_hand() -> None:
    """Risks 10/50, 5/50, 20/40: ratios 0.5 and 2.5, se = sqrt(1/a - 1/n + 1/b - 1/m)."""
    rows = rows_of(*people((10, 50), (5, 50), (20, 40)))
    assert [(r.level, r.n, r.events, r.variance) for r in rows] == [
        ("Q1", 50, 10, "HC0"),
        ("Q2", 50, 5, "HC0"),
        ("Q3", 40, 20, "HC0"),
        ("Q1", 50, 10, "stata"),
        ("Q2", 50, 5, "stata"),
        ("Q3", 40, 20, "stata"),
    ]
    assert {r.reference for r in rows} == {"Q1"}
    reference, second, third = rows[:3]
    assert (reference.estimate, reference.std_error, reference.conf_low, reference.p_value) == (1.0, None, None, None)
    se = math.sqrt(1 / 5 - 1 / 50 + 1 / 10 - 1 / 50)
    np.testing.assert_allclose(
        [second.estimate, second.std_error, second.conf_low, second.conf_high],
        [0.5, se, 0.5 * math.exp(-1.959963984540054 * se), 0.5 * math.exp(1.959963984540054 * se)],
        rtol=1e-9,
    )
    np.testing.assert_allclose(second.p_value, math.erfc(abs(math.log(0.5)) / se / math.sqrt(2)), rtol=1e-9)
    np.testing.assert_allclose(third.estimate, 2.5, rtol=1e-9)
    np.testing.assert_allclose(rows[4].std_error, se * math.sqrt(140 / 139), rtol=1e-9)


def test_a_category_without_cases_has_its_counts_and_no_ratio() -> None:
    rows = rows_of(*people((10, 50), (0, 30), (20, 40)))[:3]
    assert (rows[1].n, rows[1].events, rows[1].estimate, rows[1].conf_low, rows[1].p_value) == (30, 0, None, None, None)
    np.testing.assert_allclose(rows[2].estimate, 2.5, rtol=1e-9)


def test_a_reference_without_cases_leaves_every_category_without_a_ratio() -> None:
    rows = rows_of(*people((0, 50), (5, 30), (20, 40)))[:3]
    assert [r.estimate for r in rows] == [1.0, None, None]
    assert [r.std_error for r in rows] == [None, None, None]


def test_where_nobody_is_in_the_lowest_category_the_next_is_the_reference() -> None:
    codes, y = people((10, 50), (5, 50))
    rows = rows_of(codes + 1, y)[:3]
    assert [(r.level, r.n, r.estimate) for r in rows][:2] == [("Q1", 0, None), ("Q2", 50, 1.0)]
    np.testing.assert_allclose(rows[2].estimate, 0.5, rtol=1e-9)
    assert {r.reference for r in rows} == {"Q2"}


def test_per_unit_on_the_ratio_scale_and_on_the_log_scale() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=100), (rng.random(100) < 0.4).astype(float)
    fit = fit_model("modified_poisson", build_design({"x": x}, [Linear("x", per=2)], 100), y)
    v = {"HC0": covariance(fit, "HC0")}
    (as_ratio,) = per_unit(fit, Linear("x", per=2), v, row=ROW, z=Z, log_scale=False)
    (as_log,) = per_unit(fit, Linear("x", per=2), v, row=ROW, z=Z, log_scale=True)
    assert as_log.estimate is not None
    assert as_log.conf_low is not None
    assert as_log.std_error == as_ratio.std_error
    assert as_log.p_value == as_ratio.p_value
    np.testing.assert_allclose(as_ratio.estimate, math.exp(as_log.estimate))
    np.testing.assert_allclose(as_ratio.conf_low, math.exp(as_log.conf_low))
    assert (as_ratio.n, as_ratio.events) == (100, int(y.sum()))
    one = fit_model("modified_poisson", build_design({"x": x / 2}, [Linear("x")], 100), y)
    np.testing.assert_allclose(as_log.estimate, one.coefficients[1], rtol=1e-10)


def test_trend_scores_are_the_medians_of_the_categories() -> None:
    values = np.array([1.0, 3, 2, 10, 20, NA, 5])
    categories = np.array([1.0, 1, 1, 2, 2, NA, NA])
    np.testing.assert_array_equal(median_scores(values, categories), [2, 2, 2, 15, 15, NA, NA])


def test_normal_and_chi_square_numbers() -> None:
    np.testing.assert_allclose(critical_value(0.95), 1.959963984540054, rtol=1e-14)
    np.testing.assert_allclose(critical_value(0.9), 1.6448536269514722, rtol=1e-14)
    np.testing.assert_allclose(two_sided_p(-1.959963984540054), 0.05, rtol=1e-12)
    np.testing.assert_allclose(chi_square_p(3.841458820694124, 1), 0.05, rtol=1e-12)
    np.testing.assert_allclose(chi_square_p(7.814727903251179, 3), 0.05, rtol=1e-12)
    np.testing.assert_allclose(wald_statistic(np.array([1.0, 2.0]), np.diag([0.5, 4.0])), 3.0)


@pytest.mark.parametrize(("value", "se"), [(NA, 1.0), (0.1, NA), (np.inf, 1.0)])
def test_what_is_not_finite_is_no_estimate(value: float, se: float) -> None:
    assert ratio(ROW, value, se, Z) == ROW
    assert on_own_scale(ROW, value, se, Z) == ROW


def interaction_data() -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(12)
    columns = {"g": rng.integers(1, 4, 400).astype(float), "s": rng.integers(0, 2, 400).astype(float)}
    y = (rng.random(400) < 0.15 + 0.15 * (columns["g"] == 2) * columns["s"] + 0.1 * columns["s"]).astype(float)
    return columns, y


def interaction_of(columns: dict[str, np.ndarray], y: np.ndarray) -> tuple[Fit, Fit, Product]:
    g, s = factor("g", columns["g"]), factor("s", columns["s"])
    product = Product(g, s)
    without = fit_model("modified_poisson", build_design(columns, [g, s], len(y)), y)
    return without, fit_model("modified_poisson", build_design(columns, [g, s, product], len(y)), y), product


def test_likelihood_ratio_of_a_saturated_model_by_hand() -> None:
    columns, y = interaction_data()
    without, added, _ = interaction_of(columns, y)
    cells = [
        (y[m].sum(), m.sum()) for a in (1, 2, 3) for b in (0, 1) for m in [(columns["g"] == a) & (columns["s"] == b)]
    ]
    saturated = sum(c * math.log(c / n) - c for c, n in cells)
    row = likelihood_ratio(without, added, row=ROW)
    np.testing.assert_allclose(row.estimate, 2 * (saturated - without.log_likelihood), rtol=1e-9)
    assert row.estimate is not None
    np.testing.assert_allclose(row.p_value, chi_square_p(row.estimate, 2))


def test_an_empty_product_cell_costs_a_degree_of_freedom() -> None:
    columns, y = interaction_data()
    y[(columns["g"] == 3) & (columns["s"] == 1)] = 0
    without, added, product = interaction_of(columns, y)
    row = likelihood_ratio(without, added, row=ROW)
    assert row.estimate is not None
    np.testing.assert_allclose(row.p_value, chi_square_p(row.estimate, 1))
    (robust,) = wald(added, product, {"HC0": covariance(added, "HC0")}, row=ROW)
    assert robust.estimate is not None
    np.testing.assert_allclose(robust.p_value, chi_square_p(robust.estimate, 1))
    at = added.position(added.design.columns_of[product])
    b, v = added.coefficients[4], covariance(added, "HC0")[at[0], at[0]]
    np.testing.assert_allclose(robust.estimate, b * b / v)


def test_a_test_of_a_fit_that_did_not_converge_has_no_numbers() -> None:
    columns, y = interaction_data()
    without, added, product = interaction_of(columns, y)
    broken = replace(added, converged=False)
    v = {"HC0": covariance(added, "HC0")}
    assert likelihood_ratio(without, broken, row=ROW).estimate is None
    assert likelihood_ratio(replace(without, converged=False), added, row=ROW).p_value is None
    assert [(r.estimate, r.p_value) for r in wald(broken, product, v, row=ROW)] == [(None, None)]
    assert likelihood_ratio(added, added, row=ROW).p_value is None


@pytest.mark.parametrize("df", [1, 2, 3, 4, 5, 9, 16])
@pytest.mark.parametrize("statistic", [0.0, 1e-6, 0.3, 2.7, 11.0, 60.0, 400.0])
def test_tails_are_those_of_scipy(df: int, statistic: float) -> None:
    from scipy import stats

    assert chi_square_p(statistic, df) == pytest.approx(stats.chi2.sf(statistic, df), rel=1e-12)
    assert two_sided_p(-statistic / 20) == pytest.approx(2 * stats.norm.sf(statistic / 20), rel=1e-12)
    assert critical_value(0.95) == pytest.approx(stats.norm.ppf(0.975), rel=1e-15)
