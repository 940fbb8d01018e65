"""Balance tables: by hand, what weighting does, and what has no standardised difference."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.estimates.balance import BalanceTable, Covariate, balance_table, mahalanobis_difference
from walkrisk.estimates.weighting import exposure_weights
from walkrisk.models.design import Factor, Linear, build_design, factor
from walkrisk.models.propensity import fit_propensity

FloatArray = npt.NDArray[np.float64]
INDEX = np.array([0, 0, 0, 0, 1, 1, 1, 1])


def one(covariate: Covariate, weights: FloatArray | None = None) -> BalanceTable:
    return balance_table([covariate], INDEX, ("no", "yes"), weights=weights)


def test_continuous_by_hand() -> None:
    """Means 2.5 and 4.5, both variances 5/3; weights (1, 1, 1, 3) move the second mean to 32/6 = 16/3."""
    values, w = np.array([1.0, 2, 3, 4, 3, 4, 5, 6]), np.array([1.0, 1, 1, 1, 1, 1, 1, 3])
    (row,) = one(Covariate(name="x", values=values), w).rows
    assert row.standardised == pytest.approx(2 / np.sqrt(5 / 3))
    assert row.weighted_mean == pytest.approx(30 / 6)
    assert row.weighted_standardised == pytest.approx(2.5 / np.sqrt(5 / 3))
    assert row.variance_ratio == pytest.approx(1)
    spread = (4 + 1 + 0 + 3) / (6 - 12 / 6)
    assert row.weighted_variance_ratio == pytest.approx(spread / (5 / 3))


def test_binary_and_categorical_by_hand() -> None:
    hit = np.array([1.0, 0, 0, 0, 1, 1, 0, 0])
    (row,) = one(Covariate(name="b", values=hit, kind="binary")).rows
    assert row.standardised == pytest.approx(0.25 / np.sqrt((3 / 16 + 1 / 4) / 2))
    assert np.isnan(row.variance_ratio)
    (weighted,) = one(Covariate(name="b", values=hit, kind="binary"), np.array([3.0, 1, 1, 1, 1, 1, 1, 1])).rows
    assert weighted.weighted_standardised == pytest.approx(0, abs=1e-12)
    (weighted,) = one(Covariate(name="b", values=hit, kind="binary"), np.array([1.0, 1, 1, 1, 3, 3, 1, 1])).rows
    assert weighted.weighted_standardised == pytest.approx(0.5 / np.sqrt((3 / 16 + 1 / 4) / 2))  # the unit stays
    table = one(Covariate(name="b", values=hit, kind="categorical", labels=("no", "yes")))
    head, no, yes = table.rows
    assert yes.standardised == pytest.approx(row.standardised)
    assert no.standardised == pytest.approx(-row.standardised)
    assert head.standardised == pytest.approx(abs(row.standardised))  # of two categories the distance is the difference
    assert table.largest == pytest.approx(row.standardised)


def test_distance_does_not_depend_on_the_category_left_out() -> None:
    p, q = np.array([0.2, 0.3, 0.1, 0.4]), np.array([0.4, 0.25, 0.25, 0.1])
    for order in ([1, 2, 3, 0], [3, 0, 2, 1]):
        assert mahalanobis_difference(p[order], q[order]) == pytest.approx(mahalanobis_difference(p, q))
    assert mahalanobis_difference(np.append(p, 0), np.append(q, 0)) == pytest.approx(mahalanobis_difference(p, q))
    assert np.isnan(mahalanobis_difference(np.array([1.0, 0]), np.array([0.0, 1])))  # disjoint: no finite distance
    assert np.isnan(mahalanobis_difference(np.array([1.0]), np.array([1.0])))


def confounded() -> tuple[dict[str, FloatArray], FloatArray]:
    rng = np.random.default_rng(3)
    g = rng.integers(1, 4, 600).astype(float)
    dose = np.minimum(rng.integers(0, 3, 600) + (rng.random(600) < g / 6), 2).astype(float)
    return {"g": g, "x": rng.normal(size=600) + 0.4 * dose}, dose


def covariates_of(data: dict[str, FloatArray]) -> list[Covariate]:
    return [Covariate(name="g", values=data["g"], kind="categorical"), Covariate(name="x", values=data["x"])]


def test_overlap_weights_of_two_levels_balance_their_own_covariates_exactly() -> None:
    """Li, Morgan & Zaslavsky 2018, theorem 3: the score equations of logistic regression say so."""
    data, dose = confounded()
    design = build_design(data, [factor("g", data["g"]), Linear("x")], 600)
    p = fit_propensity(design, (dose == 2).astype(float), Factor("high", (0.0, 1.0), ("no", "yes")))
    after = balance_table(
        covariates_of(data), p.index, ("no", "yes"), weights=exposure_weights(p, estimand="ATO").values
    )
    assert after.largest > 0.2
    assert after.weighted_largest < 1e-8
    assert after.warnings == ()


def test_three_levels_in_pairs() -> None:
    data, dose = confounded()
    labels = ("low", "mid", "high")
    design = build_design(data, [factor("g", data["g"]), Linear("x")], 600)
    p = fit_propensity(design, dose, Factor("dose", (0.0, 1.0, 2.0), labels))
    before = balance_table(covariates_of(data), p.index, labels, pairs="all")
    after = balance_table(covariates_of(data), p.index, labels, weights=exposure_weights(p).values, pairs="all")
    assert len(before.rows) == 3 * 5
    assert before.largest == after.largest > 0.2
    assert after.weighted_largest < 0.1
    assert any("x differs by" in text for text in before.warnings)
    assert before.effective_size == tuple(float(v) for v in before.size)
    assert sum(after.effective_size) < 600
    assert len(balance_table(covariates_of(data), p.index, labels).rows) == 2 * 5


def test_missing_values_are_counted_by_covariate() -> None:
    values = np.array([1.0, 2, np.nan, 4, 3, 4, 5, 6])
    (row,) = one(Covariate(name="x", values=values)).rows
    assert row.missing == 1
    assert row.mean_reference == pytest.approx(7 / 3)


def test_a_constant_has_no_standardised_difference() -> None:
    table = one(Covariate(name="x", values=np.full(8, 0.1)))
    assert np.isnan(table.rows[0].standardised)
    assert "does not vary" in table.warnings[0]
    assert np.isnan(table.largest)
    apart = one(Covariate(name="x", values=INDEX.astype(float), kind="binary"))
    assert np.isnan(apart.rows[0].standardised)


@pytest.mark.parametrize(
    ("covariate", "weights", "sentence"),
    [
        (Covariate(name="x", values=np.arange(8.0), kind="ordinal"), None, "choose from continuous"),
        (Covariate(name="x", values=np.arange(8.0), kind="binary"), None, "other values than 0 and 1"),
        (Covariate(name="x", values=np.arange(8.0)), -np.ones(8), "not negative"),
        (Covariate(name="x", values=np.arange(8.0)), (INDEX == 0).astype(float), "not all 0 in a level"),
        (Covariate(name="x", values=np.where(INDEX == 1, np.nan, 1.0)), None, "missing for everyone"),
        (Covariate(name="x", values=np.arange(8.0), kind="categorical", labels=("a",)), None, "one for each"),
    ],
)
def test_misuse(covariate: Covariate, weights: FloatArray | None, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        one(covariate, weights)


def test_misuse_of_levels() -> None:
    x = [Covariate(name="x", values=np.arange(3.0))]
    with pytest.raises(ValueError, match="fewer than two"):
        balance_table(x, np.array([0, 0, 1]), ("a", "b"))
    with pytest.raises(ValueError, match="choose reference or all"):
        balance_table(x, np.array([0, 0, 1]) * 0, ("a",), pairs="some")
