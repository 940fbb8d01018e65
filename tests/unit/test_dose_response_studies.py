"""Trends from published tables: the covariance of category ratios, the slope, and pooling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from walkrisk.estimates.dose_response_studies import StudyTrend, category_covariance, pooled_trend, study_trend

CASES, PEOPLE = np.array([20.0, 30.0, 45.0]), np.array([200.0, 210.0, 190.0])
CRUDE = {
    "cumulative": (1 / CASES - 1 / PEOPLE, np.log(CASES / PEOPLE)),
    "rate": (1 / CASES, np.log(CASES / PEOPLE)),
    "case_control": (1 / CASES + 1 / (PEOPLE - CASES), np.log(CASES / (PEOPLE - CASES))),
}


@pytest.mark.parametrize("kind", list(CRUDE))
def test_the_covariance_of_crude_ratios_is_the_variance_of_the_reference(kind: str) -> None:
    variance, level = CRUDE[kind]
    y, se = level[1:] - level[0], np.sqrt(variance[1:] + variance[0])
    made = category_covariance(CASES, PEOPLE, y, se, kind)
    np.testing.assert_allclose(made, np.diag(variance[1:]) + variance[0], rtol=1e-9)
    wider = category_covariance(CASES, PEOPLE, y, 2 * se, kind)
    np.testing.assert_allclose(wider, 4 * made, rtol=1e-9)


def test_the_slope_by_generalised_least_squares() -> None:
    v = np.array([[0.04, 0.01], [0.01, 0.09]])
    made = study_trend([5.0, 10.0, 25.0], [0.2, 0.5], v)
    x, inverse = np.array([5.0, 20.0]), np.linalg.inv(v)
    np.testing.assert_allclose(made.slope, x @ inverse @ [0.2, 0.5] / (x @ inverse @ x))
    np.testing.assert_allclose(made.std_error, 1 / np.sqrt(x @ inverse @ x))


def trend(slope: float, std_error: float) -> StudyTrend:
    return StudyTrend(slope=slope, std_error=std_error, p_value=1.0, studies=1, tau2=None)


def test_equal_studies_pool_by_hand() -> None:
    """With one standard error s, REML is the variance of the slopes less s^2, and 0 where that is negative."""
    slopes = [0.1, 0.5, -0.2, 0.9]
    made = pooled_trend([trend(b, 0.1) for b in slopes])
    assert made.tau2 == pytest.approx(np.var(slopes, ddof=1) - 0.01, rel=1e-9)
    assert made.slope == pytest.approx(np.mean(slopes))
    assert made.std_error == pytest.approx(np.std(slopes, ddof=1) / 2)
    calm = pooled_trend([trend(b, 5.0) for b in slopes])
    assert calm.tau2 == 0
    assert pooled_trend([trend(b, 5.0) for b in slopes], "fixed").std_error == pytest.approx(2.5)


def test_the_variance_between_studies_maximises_the_restricted_likelihood() -> None:
    b, s = np.array([0.1, 0.9, -0.4, 0.3]), np.array([0.1, 0.2, 0.15, 0.3])

    def negative(tau2: float) -> float:
        w = 1 / (s**2 + tau2)
        return float(-np.log(w).sum() + np.log(w.sum()) + w @ (b - w @ b / w.sum()) ** 2)

    expected = minimize_scalar(negative, bounds=(0, 3), method="bounded", options={"xatol": 1e-12}).x
    assert pooled_trend([trend(*pair) for pair in zip(b, s, strict=True)]).tau2 == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: category_covariance(CASES, PEOPLE, [0.1, 0.2], [0.1, 0.1], "ic"), "kind of study"),
        (lambda: category_covariance(CASES, PEOPLE, [0.1], [0.1], "rate"), "one more count"),
        (lambda: category_covariance(CASES * 0, PEOPLE, [0.1, 0.2], [0.1, 0.1], "rate"), "above 0"),
        (lambda: category_covariance(CASES, PEOPLE, [0.1, 0.2], [0.1, -0.1], "rate"), "above 0"),
        (lambda: category_covariance(PEOPLE, CASES, [0.1, 0.2], [0.1, 0.1], "cumulative"), "fewer cases than people"),
        (lambda: category_covariance([100.0, 9.0], [1000.0, 10.0], [5.0], [0.1], "cumulative"), "No counts of cases"),
        (lambda: study_trend([5.0, 5.0], [0.2], np.eye(1)), "All doses"),
        (lambda: study_trend([5.0, 6.0], [0.2, 0.1], np.eye(2)), "one more dose"),
        (lambda: pooled_trend([trend(0.1, 0.1)]), "two or more studies"),
        (lambda: pooled_trend([trend(0.1, 0.1)] * 2, "ml"), "fixed or reml"),  # type: ignore[arg-type]
    ],
)
def test_a_table_at_fault_is_a_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
