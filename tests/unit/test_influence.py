"""Leaving people out: changes of a standard error, the fewest people, counts that may be shown, groups."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from walkrisk.models.covariance import covariance, survey_design
from walkrisk.models.design import Linear, build_design, factor
from walkrisk.models.fit import Fit, fit_model
from walkrisk.models.survey import jackknife_replicates
from walkrisk.sensitivity.influence import (
    Bin,
    binned,
    cook_distances,
    fewest,
    first_order_changes,
    merged,
    one_step_changes,
    refitted_without,
    relative_change_of_error,
    verified,
)
from walkrisk.sensitivity.jackknife import dealt, jackknife


def fitted(
    n: int, seed: int, method: str = "modified_poisson", weights: np.ndarray | None = None, year: float = 0.0
) -> Fit:
    rng = np.random.default_rng(seed)
    columns = {"a": rng.integers(1, 4, n).astype(float), "z": rng.normal(size=n) + year}
    risk = 0.3 * np.exp(-0.25 * (columns["a"] - 1) + 0.1 * (columns["z"] - year))
    y = (rng.random(n) < risk).astype(float)
    design = build_design(columns, [factor("a", columns["a"]), Linear("z")], n)
    return fit_model(method, design, y, weights=weights)


def log_error(fit: Fit, weight: np.ndarray) -> float:
    """log SE of coefficient 2 with people counted `weight` times: each adds weight x u u' to the meat."""
    assert fit.outcome is not None
    assert fit.weights is not None
    again = fit_model(fit.method, fit.design, fit.outcome, weights=fit.weights * weight)
    u = again.scores / np.sqrt(weight)[:, None]
    return float(0.5 * np.log((again.bread @ (u.T @ u) @ again.bread)[2, 2]))


@pytest.mark.parametrize("method", ["modified_poisson", "logistic"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_change_of_a_standard_error_is_its_derivative(method: str, weighted: bool) -> None:
    n = 300
    weights = np.random.default_rng(5).uniform(0.5, 2, n) if weighted else None
    fit = fitted(n, 3, method, weights)
    found, h = relative_change_of_error(fit, 2), 1e-4
    for i in (0, 17, 123, 299):
        up, down = np.ones(n), np.ones(n)
        up[i], down[i] = 1 + h, 1 - h
        slope = (log_error(fit, up) - log_error(fit, down)) / (2 * h)
        assert found[i] == pytest.approx(-slope, rel=1e-5, abs=1e-9)


def test_the_change_of_an_error_of_another_method_is_refused() -> None:
    with pytest.raises(ValueError, match="modified_poisson, logistic"):
        relative_change_of_error(fitted(200, 1, "log_binomial"), 1)


def test_one_step_changes_of_least_squares_are_exact() -> None:
    fit = fitted(120, 2, "linear")
    people = np.arange(fit.n)
    np.testing.assert_allclose(one_step_changes(fit), refitted_without(fit, people), rtol=0, atol=1e-10)


def test_changes_do_not_depend_on_the_coordinates_of_the_fit() -> None:
    plain, narrow = fitted(150, 4), fitted(150, 4, year=2e6)
    assert narrow.conditioned is not None
    np.testing.assert_allclose(one_step_changes(narrow)[:, 2], one_step_changes(plain)[:, 2], rtol=1e-5)
    np.testing.assert_allclose(cook_distances(narrow), cook_distances(plain), rtol=1e-5)
    np.testing.assert_allclose(relative_change_of_error(narrow, 2), relative_change_of_error(plain, 2), rtol=1e-5)


def test_people_set_aside_change_nothing() -> None:
    fit = fitted(200, 6)
    rows = fit.design.matrix[:, 2] == 1
    assert fit.everyone is not None
    y = np.where(rows, 0.0, fit.everyone[0])
    columns = {"a": 1.0 + fit.design.matrix[:, 1] + 2 * rows, "z": fit.design.matrix[:, 3]}
    again = fit_model("modified_poisson", build_design(columns, [factor("a", columns["a"]), Linear("z")], 200), y)
    assert not again.rows[rows].any()
    assert not one_step_changes(again)[rows].any()
    assert not cook_distances(again)[rows].any()
    with pytest.raises(ValueError, match="set aside"):
        refitted_without(again, np.flatnonzero(rows)[:1])


def test_the_first_k_are_the_set_whose_absence_moves_a_ratio_most() -> None:
    fit = fitted(40, 11)
    order = fewest(first_order_changes(fit)[:, 2], 1e9).order
    assert fit.outcome is not None

    def without(gone: tuple[int, ...]) -> float:
        w = np.ones(fit.n)
        w[list(gone)] = 0
        return float(fit_model(fit.method, fit.design, fit.outcome, weights=w).coefficients[2])  # type: ignore[arg-type]

    best = max(combinations(range(40), 2), key=without)
    assert set(best) == set(order[:2].tolist())


def test_fewest_is_the_first_sum_that_suffices() -> None:
    changes = np.array([0.5, -2.0, 0.1, 1.0, 0.3])
    assert fewest(changes, 1.5).predicted == 2  # 1.0 + 0.5
    assert fewest(changes, 1.5).order.tolist() == [3, 0, 4, 2]
    assert fewest(changes, -1.0).order.tolist() == [1]
    assert fewest(changes, 2.0).predicted is None
    with pytest.raises(ValueError, match="already"):
        fewest(changes, 0.0)


@pytest.mark.parametrize("truth", [1, 2, 3, 7, 40, 99, 100])
@pytest.mark.parametrize("start", [1, 5, 38, 45, 100])
def test_verified_finds_where_the_crossing_is(truth: int, start: int) -> None:
    tried: list[int] = []

    def crossed(k: int) -> bool:
        tried.append(k)
        return k >= truth

    assert verified(crossed, start, 100) == truth
    assert len(tried) == len(set(tried)) <= 40


def test_verified_says_when_nothing_suffices() -> None:
    assert verified(lambda k: False, 3, 50) is None


def test_predicted_and_refitted_counts_are_near() -> None:
    fit = fitted(4000, 8)
    theta = float(fit.coefficients[2])
    found = fewest(first_order_changes(fit)[:, 2], -theta / 5)
    assert found.predicted is not None

    def crossed(k: int) -> bool:
        assert fit.outcome is not None
        w = np.ones(fit.n)
        w[found.order[:k]] = 0
        return bool(fit_model(fit.method, fit.design, fit.outcome, weights=w).coefficients[2] / theta <= 0.8)

    k = verified(crossed, found.predicted, len(found.order))
    assert k is not None
    assert crossed(k)
    assert not crossed(k - 1)
    assert abs(k - found.predicted) <= 0.1 * k + 1


def test_tails_are_merged_until_enough_people_are_in_each_bin() -> None:
    edges = np.arange(0.0, 9.0)
    values = np.repeat([0.5, 2.5, 3.5, 4.5, 5.5, 7.9], [1, 6, 20, 9, 3, 1])
    bins = binned(values, edges)
    assert [b.n for b in bins] == [1, 0, 6, 20, 9, 3, 0, 1]
    assert merged(bins, 5) == (Bin(0.0, 3.0, 7), Bin(3.0, 4.0, 20), Bin(4.0, 8.0, 13))
    assert sum(b.n for b in merged(bins, 5)) == 40
    assert merged(bins[:2], 5) == ()
    assert merged(binned(np.full(9, 4.5), edges), 5) == (Bin(4.0, 5.0, 9),)


def test_jackknife_weights_are_those_of_survey_replicates() -> None:
    rng = np.random.default_rng(1)
    psu = rng.integers(0, 12, 90)
    strata, weights = psu // 4, rng.uniform(1, 3, 90)
    values = rng.normal(size=90)

    def mean(w: np.ndarray) -> np.ndarray:
        return np.asarray((w @ values / w.sum(axis=1))[:, None])

    found = jackknife(mean, weights, psu, strata=strata)
    replicates = jackknife_replicates(survey_design(strata.astype(float), psu.astype(float)), weights)
    np.testing.assert_allclose(found.without, mean(replicates.weights), rtol=1e-12)
    # the survey's replicates are centred at the mean of all, ours within strata: no larger
    assert found.covariance[0, 0] <= replicates.covariance(mean(replicates.weights))[0, 0] + 1e-15


def test_the_jackknife_over_persons_of_a_mean_is_its_variance() -> None:
    values = np.random.default_rng(2).normal(size=30)

    def mean(w: np.ndarray) -> np.ndarray:
        return np.asarray((w @ values / w.sum(axis=1))[:, None])

    found = jackknife(mean, np.ones(30), np.arange(30))
    assert found.covariance[0, 0] == pytest.approx(values.var(ddof=1) / 30, rel=1e-12)


def test_what_a_jackknife_cannot_do_is_a_sentence() -> None:
    def refit(w: np.ndarray) -> np.ndarray:
        return np.full((len(w), 1), np.nan)

    with pytest.raises(ValueError, match="a single group"):
        jackknife(refit, np.ones(4), np.zeros(4, dtype=int))
    with pytest.raises(ValueError, match="1 strata have a single group"):
        jackknife(refit, np.ones(3), np.array([0, 1, 2]), strata=np.array([0, 0, 1]))
    with pytest.raises(ValueError, match="in several strata"):
        jackknife(refit, np.ones(4), np.array([0, 0, 1, 1]), strata=np.array([0, 1, 0, 1]))
    with pytest.raises(ValueError, match="fewer than two groups"):
        jackknife(refit, np.ones(4), np.array([0, 0, 1, 1]))


def test_people_are_dealt_evenly() -> None:
    sizes = np.bincount(dealt(103, 10, np.random.default_rng(1)))
    assert sizes.min() == 10
    assert sizes.max() == 11


def test_the_jackknife_over_random_groups_is_near_the_sandwich() -> None:
    fit = fitted(3000, 9)

    def refit(w: np.ndarray) -> np.ndarray:
        assert fit.outcome is not None
        return np.array([fit_model(fit.method, fit.design, fit.outcome, weights=v).coefficients for v in w])

    found = jackknife(refit, np.ones(3000), dealt(3000, 200, np.random.default_rng(3)))
    ratio = np.sqrt(np.diag(found.covariance) / np.diag(covariance(fit, "HC0")))
    assert np.abs(ratio - 1).max() < 4 * np.sqrt(1 / (2 * 200))  # relative error of a variance on 199 df
