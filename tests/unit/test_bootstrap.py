"""Intervals from replicates."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from walkrisk.estimates.bootstrap import bootstrap_intervals, quantile

Z = NormalDist().inv_cdf


def _replicates(r: int, k: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(r, k))


def test_order_statistics_at_whole_ranks() -> None:
    t = np.arange(1.0, 1000)[:, None]  # 999 replicates: rank 25 and 975
    found = bootstrap_intervals(t, np.array([500.0]), kind="percentile")
    assert (found.conf_low[0], found.conf_high[0]) == pytest.approx((25, 975))
    assert (found.rank_low[0], found.rank_high[0]) == pytest.approx((25, 975))
    basic = bootstrap_intervals(t, np.array([500.0]), kind="basic")
    assert (basic.conf_low[0], basic.conf_high[0]) == pytest.approx((25, 975))
    skew = bootstrap_intervals(t**2, np.array([500.0**2]), kind="basic")
    assert (skew.conf_low[0], skew.conf_high[0]) == pytest.approx((2 * 500**2 - 975**2, 2 * 500**2 - 25**2))


def test_between_order_statistics_on_the_normal_scale() -> None:
    t = np.array([0.0, 1, 4, 9, 16, 25, 36, 49, 64])
    share = (Z(0.33) - Z(0.3)) / (Z(0.4) - Z(0.3))
    assert quantile(t, 0.33) == pytest.approx(4 + share * 5, rel=1e-14)
    assert quantile(t, 0.5) == 16
    assert quantile(t, 0.05) == 0
    assert quantile(t, 0.99) == 64


def test_normal_limits_take_the_bias_off() -> None:
    t = _replicates(500) + 3
    found = bootstrap_intervals(t, np.array([2.9]), kind="normal", conf_level=0.9)
    centre, half = 2 * 2.9 - t.mean(), Z(0.95) * t.std(ddof=1)
    assert (found.conf_low[0], found.conf_high[0]) == pytest.approx((centre - half, centre + half), rel=1e-12)
    assert found.bias[0] == pytest.approx(t.mean() - 2.9)
    assert found.std_error[0] == pytest.approx(t.std(ddof=1))


def test_bca_by_its_formula() -> None:
    t = np.exp(_replicates(1999))
    influence = np.random.default_rng(3).exponential(size=(50, 1)) - 1
    found = bootstrap_intervals(t, np.array([0.9]), kind="bca", influence=influence)
    a = (influence**3).sum() / (6 * (influence**2).sum() ** 1.5)
    z0 = Z((t < 0.9).mean())
    levels = [NormalDist().cdf(z0 + (z0 + z) / (1 - a * (z0 + z))) for z in (Z(0.025), Z(0.975))]
    assert found.z0[0] == pytest.approx(z0)
    assert found.acceleration[0] == pytest.approx(a)
    np.testing.assert_allclose([found.rank_low[0], found.rank_high[0]], np.array(levels) * 2000)
    np.testing.assert_allclose([found.conf_low[0], found.conf_high[0]], [quantile(np.sort(t[:, 0]), u) for u in levels])


def test_bca_without_bias_or_skewness_is_percentile() -> None:
    t = np.arange(1.0, 1000)[:, None]
    influence = np.array([[-1.0], [1.0]])
    bca = bootstrap_intervals(np.delete(t, 499, axis=0), np.array([500.0]), kind="bca", influence=influence)
    percentile = bootstrap_intervals(np.delete(t, 499, axis=0), np.array([500.0]))
    assert bca.conf_low == pytest.approx(percentile.conf_low)
    assert bca.conf_high == pytest.approx(percentile.conf_high)


def test_percentile_limits_follow_a_monotone_transformation() -> None:
    t, t0 = _replicates(999, 2, 5), np.array([0.1, -0.2])
    influence = np.random.default_rng(3).normal(size=(50, 2))
    for kind in ("percentile", "bca"):
        plain = bootstrap_intervals(t, t0, kind=kind, influence=influence)
        # exp is the same up to interpolation between neighbouring order statistics
        raised = bootstrap_intervals(np.exp(t), np.exp(t0), kind=kind, influence=influence)
        np.testing.assert_allclose(raised.conf_low, np.exp(plain.conf_low), rtol=1e-3)
        np.testing.assert_allclose(raised.conf_high, np.exp(plain.conf_high), rtol=1e-3)


def test_monte_carlo_errors_are_what_other_seeds_show() -> None:
    for kind in ("normal", "basic", "percentile"):
        runs = [bootstrap_intervals(_replicates(1000, 1, seed), np.zeros(1), kind=kind) for seed in range(200)]
        for limit, error in (("conf_low", "error_low"), ("conf_high", "error_high")):
            seen = np.std([getattr(run, limit)[0] for run in runs])
            assert np.mean([getattr(run, error)[0] for run in runs]) == pytest.approx(seen, rel=0.2)


def test_failed_replicates_are_counted_and_refused_above_the_limit() -> None:
    t = _replicates(1000, 2)
    t[:40, 1] = np.nan
    found = bootstrap_intervals(t, np.zeros(2))
    assert (found.failed, found.replicates, found.sentences) == (40, 1000, ())
    np.testing.assert_allclose(found.conf_low, bootstrap_intervals(t[40:], np.zeros(2)).conf_low)
    t[:60, 0] = np.inf
    found = bootstrap_intervals(t, np.zeros(2))
    assert np.isnan(found.conf_low).all()
    assert np.isnan(found.conf_high).all()
    assert "60 of 1000 resamples have no estimate (more than 5%)" in found.sentences[0]
    assert np.isfinite(bootstrap_intervals(t, np.zeros(2), failed_limit=0.1).conf_low).all()


def test_too_few_replicates_are_said() -> None:
    few = bootstrap_intervals(_replicates(30), np.zeros(1))
    assert "extreme order statistics" in few.sentences[0]
    assert few.conf_low[0] == _replicates(30).min()
    assert "too few for a bootstrap interval" in bootstrap_intervals(_replicates(10), np.zeros(1)).sentences[0]
    t = _replicates(200)
    shifted = np.array([float(np.sort(t[:, 0])[3])])  # z0 far below 0: ranks below 1
    found = bootstrap_intervals(t, shifted, kind="bca", influence=np.array([[1.0], [-1], [0.5]]))
    assert "too few for these bca limits" in found.sentences[0]
    beyond = bootstrap_intervals(t, np.array([99.0]), kind="bca", influence=np.array([[1.0], [-1]]))
    assert "one side of the estimate" in beyond.sentences[0]
    assert np.isnan(beyond.conf_low[0])


def test_statistics_that_do_not_vary_have_no_limits() -> None:
    t = np.column_stack([_replicates(100), np.ones(100)])
    found = bootstrap_intervals(t, np.array([0.0, 1.0]))
    assert np.isfinite(found.conf_low[0])
    assert np.isnan(found.conf_low[1])
    assert found.sentences[-1].startswith("Statistic 2 ")
    still = bootstrap_intervals(t[:, :1], np.zeros(1), kind="bca", influence=np.zeros((5, 1)))
    assert "nobody has influence" in still.sentences[0]
    assert np.isnan(still.conf_low[0])


def test_faults() -> None:
    t = _replicates(100)
    with pytest.raises(ValueError, match="choose from normal, basic, percentile, bca"):
        bootstrap_intervals(t, np.zeros(1), kind="student")
    with pytest.raises(ValueError, match="between 0 and 1"):
        bootstrap_intervals(t, np.zeros(1), conf_level=95)
    with pytest.raises(ValueError, match="needs the influence"):
        bootstrap_intervals(t, np.zeros(1), kind="bca")
    with pytest.raises(ValueError, match="do not fit estimates"):
        bootstrap_intervals(t, np.zeros(2))
