"""Trend over categories: Cochran-Armitage and orthogonal polynomials."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from walkrisk.estimates.trend import cochran_armitage, orthogonal_polynomials, polynomial_contrasts
from walkrisk.models.covariance import covariance
from walkrisk.models.design import Linear, build_design, factor
from walkrisk.models.fit import fit_model


def test_a_table_by_hand() -> None:
    """Events 1, 3, 8 of 10 each: p 0.4, sum s (d - np) = 7, sum n (s - 2)^2 = 20, so chi2 = 49 / (0.24 x 20)."""
    made = cochran_armitage([1, 3, 8], [10, 10, 10])
    assert made.chi2 == pytest.approx(49 / 4.8)
    assert made.df == 1


def test_two_categories_give_the_chi_square_of_the_table() -> None:
    made = cochran_armitage([5, 12], [40, 30], scores=[0.0, 17.0])
    table = np.array([[5, 35], [12, 18]])
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    assert made.chi2 == pytest.approx(float(((table - expected) ** 2 / expected).sum()))


def test_it_is_n_times_the_squared_correlation() -> None:
    rng = np.random.default_rng(0)
    s = rng.integers(1, 6, 300).astype(float)
    y = (rng.random(300) < 0.1 * s).astype(float)
    levels = np.unique(s)
    made = cochran_armitage([y[s == v].sum() for v in levels], [(s == v).sum() for v in levels], scores=levels)
    assert made.chi2 == pytest.approx(300 * np.corrcoef(s, y)[0, 1] ** 2)


@pytest.mark.parametrize("weights", [None, np.linspace(0.5, 2, 40)])
def test_polynomials_are_orthonormal(weights: Any) -> None:
    x = np.random.default_rng(1).uniform(50, 60, 40)
    made = orthogonal_polynomials(x, 4, weights=weights)
    w = np.ones(40) if weights is None else weights
    every = np.column_stack([np.full(40, 1 / np.sqrt(w.sum())), made])
    np.testing.assert_allclose(every.T @ (every * w[:, None]), np.eye(5), atol=1e-12)
    np.testing.assert_allclose(np.polyfit(x, made[:, 2], 3)[0] > 0, True)


def test_polynomials_of_four_categories_are_those_of_textbooks() -> None:
    made = orthogonal_polynomials(np.arange(1.0, 5), 3)
    np.testing.assert_allclose(made[:, 0] * np.sqrt(20), [-3, -1, 1, 3])
    np.testing.assert_allclose(made[:, 1] * 2, [1, -1, -1, 1])
    np.testing.assert_allclose(made[:, 2] * np.sqrt(20), [-1, 3, -3, 1])


def test_contrasts_are_the_coefficients_of_polynomials_in_the_model() -> None:
    rng = np.random.default_rng(2)
    g, z = rng.integers(1, 5, 500).astype(float), rng.normal(size=500)
    y = (rng.random(500) < 0.1 + 0.05 * g).astype(float)
    term = factor("g", g)
    fit = fit_model("modified_poisson", build_design({"g": g, "z": z}, [Linear("z"), term], 500), y)
    scores = np.array([0.0, 1.0, 5.0, 7.0])
    people = [int((g == k).sum()) for k in (1, 2, 3, 4)]
    made = polynomial_contrasts(fit, term, covariance(fit, "HC0"), scores=scores, people=people)
    p = orthogonal_polynomials(scores[g.astype(int) - 1], 3)
    columns = {"z": z, "a": p[:, 0], "b": p[:, 1], "c": p[:, 2]}
    direct = fit_model(
        "modified_poisson", build_design(columns, [Linear("z"), Linear("a"), Linear("b"), Linear("c")], 500), y
    )
    np.testing.assert_allclose(made.log_ratio, direct.coefficients[2:], rtol=1e-7)
    np.testing.assert_allclose(made.std_error, np.sqrt(np.diag(covariance(direct, "HC0")))[2:], rtol=1e-7)
    one = polynomial_contrasts(fit, term, covariance(fit, "HC0"), degree=1)
    np.testing.assert_allclose(one.log_ratio[0], np.array([-1, 1, 3]) / np.sqrt(20) @ fit.coefficients[2:])
    with pytest.raises(ValueError, match="4 categories"):
        polynomial_contrasts(fit, term, covariance(fit, "HC0"), people=[1, 2])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: cochran_armitage([1, 2], [3, 1]), "events between 0 and its people"),
        (lambda: cochran_armitage([1, -2], [3, 1]), "events between 0 and its people"),
        (lambda: cochran_armitage([1, 2], [3, np.nan]), "events between 0 and its people"),
        (lambda: cochran_armitage([1, 2, 3], [3, 4, 5], scores=[1.0, 2.0]), "a score and events"),
        (lambda: cochran_armitage([0, 0], [3, 4]), "Nobody or everybody"),
        (lambda: cochran_armitage([3, 4], [3, 4]), "Nobody or everybody"),
        (lambda: cochran_armitage([1, 0], [3, 0]), "two or more categories"),
        (lambda: cochran_armitage([1, 2], [3, 4], scores=[2.0, 2.0]), "different scores"),
        (lambda: orthogonal_polynomials(np.array([1.0, 1.0, 2.0]), 2), "degree 1 to 1, not 2"),
        (lambda: orthogonal_polynomials(np.arange(3.0), 2, weights=np.array([1.0, 1.0, 0.0])), "degree 1 to 1, not 2"),
        (lambda: orthogonal_polynomials(np.array([1.0, np.nan, 2.0]), 1), "known and finite"),
    ],
)
def test_no_trend_is_a_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()
