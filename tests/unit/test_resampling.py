"""Weights of resamples."""

from __future__ import annotations

import numpy as np
import pytest

from walkrisk.models.resampling import (
    acceleration,
    jackknife_influence,
    regression_influence,
    resampling,
    weights_of_indices,
)


@pytest.mark.parametrize("kind", ["multinomial", "bayesian"])
@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("stratified", [False, True])
def test_a_replicate_depends_on_the_seed_and_its_number_alone(kind: str, clustered: bool, stratified: bool) -> None:
    cluster = np.repeat(np.arange(30), 2) if clustered else None
    strata = np.repeat([5.0, 7, 9], 20) if stratified else None
    make = lambda seed: resampling(60, seed, cluster=cluster, strata=strata, kind=kind)  # type: ignore[arg-type]  # noqa: E731
    whole = make(11).weights(0, 20)
    assert np.vstack([make(11).weights(k, k + 1) for k in range(20)]).tobytes() == whole.tobytes()
    assert make(11).weights(7, 13).tobytes() == whole[7:13].tobytes()
    assert not np.array_equal(make(12).weights(0, 20), whole)
    assert len(np.unique(whole, axis=0)) == 20
    np.testing.assert_allclose(whole.sum(axis=1), 60)
    if clustered:
        assert np.array_equal(whole[:, ::2], whole[:, 1::2])
    if stratified:
        np.testing.assert_allclose(whole.reshape(20, 3, 20).sum(axis=2), 20)
    if kind == "multinomial":
        assert np.array_equal(whole, whole.round())


def test_the_numbers_of_a_seed_stay_what_they_were() -> None:
    assert resampling(8, 2024).weights(0, 2).tolist() == [[0, 3, 1, 0, 1, 3, 0, 0], [2, 1, 1, 2, 0, 1, 0, 1]]


def test_patterns_hold_the_sums_of_their_rows() -> None:
    pattern = np.arange(50) % 7
    for cluster in (None, np.arange(50) // 5):
        draw = resampling(50, 3, cluster=cluster)
        rows, sums = draw.weights(0, 4), draw.weights(0, 4, pattern=pattern, patterns=7)
        np.testing.assert_allclose(sums, np.stack([rows[:, pattern == k].sum(axis=1) for k in range(7)], axis=1))


def test_counts_have_the_moments_of_the_multinomial() -> None:
    counts = resampling(40, 1).weights(0, 4000)
    assert counts.mean() == pytest.approx(1)
    assert counts.var(axis=0).mean() == pytest.approx(1 - 1 / 40, abs=0.02)
    assert np.abs(counts.mean(axis=0) - 1).max() < 4.5 / np.sqrt(4000)
    assert np.cov(counts[:, 0], counts[:, 1])[0, 1] == pytest.approx(-1 / 40, abs=0.06)
    bayesian = resampling(40, 1, kind="bayesian").weights(0, 4000)
    assert bayesian.var(axis=0).mean() == pytest.approx(39 / 41, abs=0.03)


def test_a_seed_may_be_a_sequence_or_a_generator() -> None:
    plain = resampling(20, 5).weights(0, 3)
    assert np.array_equal(resampling(20, np.random.SeedSequence(5)).weights(0, 3), plain)
    child = np.random.SeedSequence(5).spawn(1)[0]
    assert not np.array_equal(resampling(20, child).weights(0, 3), plain)
    first, second = (resampling(20, np.random.default_rng(5)).weights(0, 3) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"n": 1}, "single unit"),
        ({"n": 4, "cluster": np.zeros(4)}, "single unit"),
        ({"n": 4, "cluster": np.array([0, 0, 1, 1]), "strata": np.array([0, 1, 1, 1])}, "several strata"),
        ({"n": 4, "strata": np.array([0, 1, 1, 1])}, "1 of 2 strata have a single unit"),
        ({"n": 4, "kind": "wild"}, "choose multinomial or bayesian"),
        ({"n": 4, "cluster": np.array([0, np.nan, 1, 1])}, "missing values"),
        ({"n": 4, "strata": np.zeros(3)}, "do not fit 4 rows"),
        ({"n": 4, "seed": -1}, "negative"),
    ],
)
def test_faults(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        resampling(**{"seed": 1, **arguments})  # type: ignore[arg-type]


def test_row_numbers_become_counts() -> None:
    assert weights_of_indices(np.array([[0, 0, 2], [1, 2, 1]]), 3).tolist() == [[2, 0, 1], [0, 2, 1]]


def test_influence_on_a_mean_is_the_deviation() -> None:
    values = np.random.default_rng(2).normal(size=15)
    draw = resampling(15, 4)
    counts = draw.weights(0, 200)
    means = counts @ values / 15
    np.testing.assert_allclose(regression_influence(counts, means[:, None])[:, 0], values - values.mean(), atol=1e-12)
    left_out = (values.sum() - values) / 14
    np.testing.assert_allclose(
        jackknife_influence(left_out[:, None], np.array([values.mean()]))[:, 0], values - values.mean(), atol=1e-12
    )
    deviation = values - values.mean()
    expected = (deviation**3).sum() / (6 * (deviation**2).sum() ** 1.5)
    assert acceleration(deviation[:, None])[0] == pytest.approx(expected)
    assert np.isnan(acceleration(np.zeros((5, 1)))[0])


def test_influence_within_strata_is_centred_there() -> None:
    strata = np.repeat([0, 1], [6, 9])
    values = np.random.default_rng(2).normal(size=15)
    counts = resampling(15, 4, strata=strata).weights(0, 100)
    share = np.where(strata == 0, 1 / 6, 1 / 9)
    statistic = (counts * values * share).sum(axis=1)  # the sum of the two means
    centred = values - np.where(strata == 0, values[:6].mean(), values[6:].mean())
    found = regression_influence(counts, statistic[:, None], strata=strata)
    np.testing.assert_allclose(found[:, 0], centred, atol=1e-10)


def test_regression_needs_more_replicates_than_units() -> None:
    with pytest.raises(ValueError, match="more replicates than units"):
        regression_influence(np.ones((10, 15)), np.ones((10, 1)))
