"""Weights for loss to follow-up: what they leave unchanged, and what they refuse."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.estimates.balance import Covariate
from walkrisk.models.covariance import covariance, survey_design
from walkrisk.models.design import Factor, Linear, Product, build_design, factor
from walkrisk.models.fit import fit_model
from walkrisk.sensitivity.loss_weights import balance_of_followed, follow_up, spread, weighted_fit

FloatArray = npt.NDArray[np.float64]


def example(n: int = 400, seed: int = 3) -> tuple[dict[str, FloatArray], npt.NDArray[np.bool_], FloatArray]:
    rng = np.random.default_rng(seed)
    columns = {
        "a": rng.integers(1, 4, n).astype(float),
        "g": rng.integers(0, 2, n).astype(float),
        "x": rng.normal(0, 1, n),
    }
    followed = rng.random(n) < 1 / (1 + np.exp(-(0.5 + 0.5 * columns["x"] - 0.8 * columns["g"])))
    y = (rng.random(n) < np.exp(-1.5 + 0.3 * (columns["a"] == 3))).astype(float)
    return columns, followed, y


def terms_of(columns: dict[str, FloatArray]) -> list[Factor | Linear]:
    return [factor("a", columns["a"]), factor("g", columns["g"]), Linear("x")]


def test_saturated_weights_restore_the_shares_of_everyone() -> None:
    columns, followed, _ = example()
    made = follow_up(columns, [factor("g", columns["g"])], followed)
    for g in (0.0, 1.0):
        share = made.weights.values[columns["g"] == g].sum()
        assert share == pytest.approx((columns["g"] == g).sum(), rel=1e-10)
        assert made.chance[columns["g"] == g] == pytest.approx(followed[columns["g"] == g].mean(), rel=1e-9)
    covariate = Covariate(name="g", values=columns["g"], kind="binary")
    (row,) = balance_of_followed([covariate], followed, made.weights.values).rows
    assert abs(row.standardised) > 0.1
    assert row.weighted_standardised == pytest.approx(0, abs=1e-9)
    assert (row.comparison, row.reference) == ("Followed up", "Eligible")


def test_a_model_within_strata_is_one_model_a_stratum() -> None:
    columns, followed, _ = example()
    whole = follow_up(columns, terms_of(columns), followed, strata=columns["g"])
    assert (whole.models, whole.parameters) == (2, 8)
    for g in (0.0, 1.0):
        rows = columns["g"] == g
        some = {name: values[rows] for name, values in columns.items()}
        alone = follow_up(some, [factor("a", some["a"]), Linear("x")], followed[rows])
        np.testing.assert_allclose(whole.weights.values[rows], alone.weights.values, rtol=1e-10)


def test_stabilised_weights_of_the_exposure_alone_are_one() -> None:
    columns, followed, y = example()
    levels = columns["a"].astype(np.intp) - 1
    made = follow_up(columns, [factor("a", columns["a"])], followed, levels=levels)
    np.testing.assert_allclose(made.weights.values[followed], 1, rtol=1e-9)
    assert made.weights.stabilised
    design = build_design({n: v[followed] for n, v in columns.items()}, terms_of(columns), int(followed.sum()))
    fit = weighted_fit("modified_poisson", design, y[followed], made.weights, followed)
    np.testing.assert_allclose(fit.estimated["HC0"], fit.known["HC0"], rtol=1e-6, atol=1e-12)


def test_truncation_is_counted() -> None:
    columns, followed, _ = example()
    whole = follow_up(columns, terms_of(columns), followed)
    cut = follow_up(columns, terms_of(columns), followed, truncate=(5, 95))
    found, before = spread(cut.weights), spread(whole.weights)
    assert found.largest == pytest.approx(before.percentiles[95])
    assert found.smallest == pytest.approx(before.percentiles[5])
    changed = int((cut.weights.values != whole.weights.values).sum())
    assert (found.truncated, before.truncated) == (changed, 0)
    np.testing.assert_array_equal(cut.untruncated, whole.weights.values)
    assert found.effective > before.effective


def test_equal_weights_leave_the_model_as_it_is() -> None:
    columns, followed, y = example()
    made = follow_up({"one": np.ones(len(y))}, [], followed)
    rows = followed
    design = build_design({n: v[rows] for n, v in columns.items()}, terms_of(columns), int(rows.sum()))
    weighted = weighted_fit("modified_poisson", design, y[rows], made.weights, rows, variances=("HC0", "stata", "HC1"))
    plain = fit_model("modified_poisson", design, y[rows])
    np.testing.assert_allclose(weighted.fit.coefficients, plain.coefficients, rtol=1e-9)
    for name in ("HC0", "stata", "HC1"):
        np.testing.assert_allclose(weighted.known[name], covariance(plain, name), rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(weighted.estimated["HC0"], weighted.known["HC0"], rtol=1e-7, atol=1e-12)


def test_a_survey_of_single_units_is_the_robust_variance() -> None:
    columns, followed, y = example()
    made = follow_up(columns, terms_of(columns), followed)
    design = build_design({n: v[followed] for n, v in columns.items()}, terms_of(columns), int(followed.sum()))
    survey = survey_design(np.ones(len(y)), np.arange(float(len(y))))
    fit = weighted_fit(
        "modified_poisson",
        design,
        y[followed],
        made.weights,
        followed,
        variances=("survey", "stata", "cluster"),
        survey=survey,
        cluster=np.arange(float(len(y))),
    )
    np.testing.assert_allclose(fit.estimated["survey"], fit.estimated["stata"], rtol=1e-8, atol=1e-14)
    np.testing.assert_allclose(fit.estimated["cluster"], fit.estimated["stata"], rtol=1e-8, atol=1e-14)


def test_sampling_weights_count_people() -> None:
    columns, followed, _ = example(150)
    times = np.tile([1.0, 2.0, 3.0], 50)
    again = np.repeat(np.arange(150), times.astype(int))
    counted = follow_up(columns, terms_of(columns), followed, sampling=times)
    repeated = follow_up({n: v[again] for n, v in columns.items()}, terms_of(columns), followed[again])
    np.testing.assert_allclose(counted.weights.values[again], repeated.weights.values, rtol=1e-8)


def test_nobody_lost_and_everybody_lost() -> None:
    columns, followed, _ = example()
    with pytest.raises(ValueError, match="Nobody was lost"):
        follow_up(columns, terms_of(columns), np.ones_like(followed))
    with pytest.raises(ValueError, match="Everybody was lost"):
        follow_up(columns, terms_of(columns), np.zeros_like(followed))


def test_everybody_of_a_stratum_or_group_lost_is_said_with_its_name() -> None:
    columns, followed, _ = example()
    gone = followed & (columns["g"] == 0)
    names = {0.0: "Women", 1.0: "Men"}
    with pytest.raises(ValueError, match="Men: Everybody in this stratum was lost"):
        follow_up(columns, [Linear("x")], gone, strata=columns["g"], names=names)
    with pytest.raises(ValueError, match="Everybody with g 1 was lost to follow-up"):
        follow_up(columns, terms_of(columns), gone)
    with pytest.raises(ValueError, match="everybody was lost"):
        follow_up(columns, [Linear("g"), Linear("x")], gone)
    kept = followed | (columns["g"] == 1)
    made = follow_up(columns, [Linear("x")], kept, strata=columns["g"], names=names)
    assert made.warnings == ("Nobody of Men was lost: their weights are 1.",)
    assert (made.weights.values[columns["g"] == 1] == 1).all()


def test_loss_foretold_with_certainty() -> None:
    columns, _, _ = example()
    with pytest.raises(ValueError, match=r"everybody was lost|with certainty|did not converge"):
        follow_up(columns, [Linear("x")], columns["x"] > 0)


def test_wrong_requests() -> None:
    columns, followed, y = example()
    with pytest.raises(ValueError, match="is no range"):
        follow_up(columns, terms_of(columns), followed, truncate=(99, 1))
    with pytest.raises(ValueError, match="takes no products"):
        follow_up(columns, [Product(Linear("x"), Linear("g"))], followed)
    with pytest.raises(ValueError, match="stratum of the model of loss is unknown"):
        follow_up(columns, [Linear("x")], followed, strata=np.where(y == 1, np.nan, 0.0))
    made = follow_up(columns, terms_of(columns), followed)
    design = build_design(columns, terms_of(columns), len(y))
    with pytest.raises(ValueError, match="no weight"):
        weighted_fit("modified_poisson", design, y, made.weights, np.ones_like(followed))
    levels = np.where(followed, 0, 1).astype(np.intp)
    with pytest.raises(ValueError, match="nobody who was followed"):
        follow_up(columns, terms_of(columns), followed, levels=levels)
