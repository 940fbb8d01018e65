"""Mantel-Haenszel over strata: closed forms, uninformative strata, simulation with a known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from walkrisk.estimates.stratified import (
    StratifiedCounts,
    crossed,
    mantel_haenszel,
    mantel_haenszel_levels,
    standardised_risk_ratio,
    stratified_counts,
    woolf,
)
from walkrisk.estimates.two_by_two import two_by_two


def counts(*rows: tuple[int, int, int, int]) -> StratifiedCounts:
    a, n1, c, n0 = np.array(rows, dtype=float).T
    return StratifiedCounts(events_exposed=a, exposed=n1, events_unexposed=c, unexposed=n0)


def test_one_stratum_is_the_crude_table() -> None:
    mh, t = mantel_haenszel(counts((15, 50, 10, 100))), two_by_two(15, 50, 10, 100)
    for one, other in (
        (mh.risk_ratio, t.risk_ratio["wald"]),
        (mh.odds_ratio, t.odds_ratio["wald"]),
        (mh.risk_difference["greenland_robins"], t.risk_difference["wald"]),
    ):
        assert one.estimate == pytest.approx(other.estimate)
        assert one.std_error == pytest.approx(other.std_error)
        assert one.p_value == pytest.approx(other.p_value)
    assert mh.association["cmh"].statistic == pytest.approx((t.tests["pearson"].statistic or 0) * 149 / 150)
    assert all(test.p_value is None for test in mh.homogeneity.values())


def test_equal_strata_have_their_ratio_and_no_heterogeneity() -> None:
    mh = mantel_haenszel(counts((20, 100, 10, 100), (40, 200, 20, 200), (6, 30, 9, 90)))
    assert mh.risk_ratio.estimate == pytest.approx(2.0)
    assert mh.risk_difference["sato"].estimate == pytest.approx(0.1)
    for name in ("risk_ratio", "risk_ratio_about_mh", "odds_ratio", "breslow_day", "tarone"):
        assert mh.homogeneity[name].statistic == pytest.approx(0.0, abs=1e-12)
        assert mh.homogeneity[name].p_value == pytest.approx(1.0)
        assert mh.homogeneity[name].df == 2


def test_by_hand() -> None:
    """Two strata: 4 of 10 v 2 of 10, and 3 of 5 v 6 of 15."""
    mh = mantel_haenszel(counts((4, 10, 2, 10), (3, 5, 6, 15)))
    over, under = 4 * 10 / 20 + 3 * 15 / 20, 2 * 10 / 20 + 6 * 5 / 20
    assert mh.risk_ratio.estimate == pytest.approx(over / under)
    variance = ((6 * 10 * 10 - 4 * 2 * 20) / 400 + (9 * 5 * 15 - 3 * 6 * 20) / 400) / (over * under)
    assert mh.risk_ratio.std_error == pytest.approx(math.sqrt(variance))
    weight = 100 / 20 + 75 / 20
    assert mh.risk_difference["sato"].estimate == pytest.approx((over - under) / weight)
    spread = (25 * (0.24 / 10 + 0.16 / 10) + (75 / 20) ** 2 * (0.24 / 5 + 0.24 / 15)) / weight**2
    assert mh.risk_difference["greenland_robins"].std_error == pytest.approx(math.sqrt(spread))
    unbiased = (25 * (0.24 / 9 + 0.16 / 9) + (75 / 20) ** 2 * (0.24 / 4 + 0.24 / 14)) / weight**2
    assert mh.risk_difference["unbiased"].std_error == pytest.approx(math.sqrt(unbiased))
    gap, spread = 4 - 3 + 3 - 5 * 9 / 20, 10 * 10 * 6 * 14 / (400 * 19) + 5 * 15 * 9 * 11 / (400 * 19)
    assert mh.association["cmh"].statistic == pytest.approx(gap**2 / spread)
    assert mh.association["cmh_corrected"].statistic == pytest.approx((gap - 0.5) ** 2 / spread)
    assert mh.odds_ratio.estimate == pytest.approx((4 * 8 / 20 + 3 * 9 / 20) / (6 * 2 / 20 + 2 * 6 / 20))


def test_breslow_day_expects_the_common_odds_ratio() -> None:
    c = counts((15, 60, 8, 70), (9, 40, 9, 80), (12, 30, 20, 60))
    mh = mantel_haenszel(c)
    psi, statistic = mh.odds_ratio.estimate or 0, 0.0
    gap = total = 0.0
    events = c.events_exposed + c.events_unexposed
    for a, n1, m, n0 in zip(c.events_exposed, c.exposed, events, c.unexposed, strict=True):
        grid = np.roots([1 - psi, (n0 - m) + psi * (n1 + m), -psi * n1 * m])
        e = float(next(x for x in grid if max(0, m - n0) < x < min(n1, m)))
        assert e * (n0 - m + e) / ((n1 - e) * (m - e)) == pytest.approx(psi)
        v = 1 / (1 / e + 1 / (n1 - e) + 1 / (m - e) + 1 / (n0 - m + e))
        statistic, gap, total = statistic + (a - e) ** 2 / v, gap + a - e, total + v
    assert mh.homogeneity["breslow_day"].statistic == pytest.approx(statistic)
    assert mh.homogeneity["tarone"].statistic == pytest.approx(statistic - gap**2 / total)
    assert mh.homogeneity["tarone"].p_value == pytest.approx(float(stats.chi2.sf(statistic - gap**2 / total, 2)))


def test_strata_that_add_nothing_are_counted_and_change_nothing() -> None:
    useful = ((20, 100, 10, 100), (9, 40, 12, 80))
    plain = mantel_haenszel(counts(*useful))
    padded = mantel_haenszel(counts(*useful, (3, 12, 0, 0), (0, 0, 2, 9), (0, 30, 0, 20), (5, 5, 4, 4)))
    for one, other in ((plain.odds_ratio, padded.odds_ratio), (plain.association["cmh"], padded.association["cmh"])):
        assert one.p_value == pytest.approx(other.p_value)
    assert padded.informative == {"risk_ratio": 3, "risk_difference": 4, "odds_ratio": 2}
    assert padded.strata == 6
    assert padded.sentences[0].startswith("2 of 6 strata (21 people, 5 events) have people of one exposure group only")
    assert any("1 strata without events" in s for s in padded.sentences)
    assert any("everyone has the outcome" in s for s in padded.sentences)
    no_events = mantel_haenszel(counts(*useful, (0, 30, 0, 20)))
    assert no_events.risk_ratio == plain.risk_ratio
    assert abs(no_events.risk_difference["sato"].estimate or 1) < abs(plain.risk_difference["sato"].estimate or 0)


def test_sums_of_zero_have_no_limits() -> None:
    none_unexposed = mantel_haenszel(counts((5, 20, 0, 20), (3, 10, 0, 30)))
    assert none_unexposed.risk_ratio.estimate == math.inf
    assert none_unexposed.risk_ratio.low is None
    assert any("No unexposed person" in s for s in none_unexposed.sentences)
    none_exposed = mantel_haenszel(counts((0, 20, 4, 20), (0, 10, 2, 30)))
    assert none_exposed.risk_ratio.estimate == 0.0
    assert none_exposed.risk_ratio.std_error is None
    apart = mantel_haenszel(counts((5, 20, 0, 0), (0, 0, 2, 30)))
    assert apart.risk_ratio.estimate is None
    assert apart.risk_difference["sato"].estimate is None
    assert any("coarser strata" in s for s in apart.sentences)
    nobody = mantel_haenszel(counts((0, 20, 0, 10)))
    assert nobody.risk_ratio.estimate is None
    assert any("no ratio" in s for s in nobody.sentences)


def test_nothing_is_added_unless_named() -> None:
    a, b, c, d = (np.array(x, dtype=float) for x in ((5, 0, 7), (10, 12, 9), (4, 3, 2), (20, 9, 30)))
    without = woolf(a, b, c, d)
    kept = woolf(a[[0, 2]], b[[0, 2]], c[[0, 2]], d[[0, 2]])
    assert without == kept
    assert woolf(a, b, c, d, added=0.5).df == 2


def test_levels_against_the_first_over_crossed_strata() -> None:
    rng = np.random.default_rng(3)
    n = 900
    exposure, age, sex = (rng.integers(low, high, n).astype(np.float64) for low, high in ((1, 4), (0, 4), (0, 2)))
    y = (rng.random(n) < 0.1 * exposure * (1 + 0.3 * sex)).astype(float)
    two, three = mantel_haenszel_levels(exposure, y, [age, sex], levels=(1, 2, 3), labels=("a", "b", "c"))
    assert (two.level, two.reference, three.level) == ("b", "a", "c")
    assert two.strata == 8
    numbers, over, under = age * 2 + sex, 0.0, 0.0
    for s in np.unique(numbers):
        one, zero = (numbers == s) & (exposure == 3), (numbers == s) & (exposure == 1)
        total = one.sum() + zero.sum()
        over, under = over + y[one].sum() * zero.sum() / total, under + y[zero].sum() * one.sum() / total
    assert three.risk_ratio.estimate == pytest.approx(over / under)
    assert two.n == int(((exposure == 1) | (exposure == 2)).sum())


def test_known_truth_in_sparse_and_in_large_strata() -> None:
    """A risk ratio of 1.8 in every stratum: 600 simulations each of 60 strata of 10 people and of 3 strata of 400."""
    rng = np.random.default_rng(11)
    for strata, size in ((60, 5), (3, 200)):
        base = np.linspace(0.1, 0.4, strata)
        logs, inside, spread = [], 0, []
        for _ in range(600):
            c = rng.binomial(size, base).astype(float)
            a = rng.binomial(size, 1.8 * base).astype(float)
            n = np.full(strata, float(size))
            mh = mantel_haenszel(StratifiedCounts(events_exposed=a, exposed=n, events_unexposed=c, unexposed=n))
            assert mh.risk_ratio.estimate
            assert mh.risk_ratio.std_error
            logs.append(math.log(mh.risk_ratio.estimate))
            spread.append(mh.risk_ratio.std_error)
            inside += (mh.risk_ratio.low or 0) < 1.8 < (mh.risk_ratio.high or 0)
        assert np.mean(logs) == pytest.approx(math.log(1.8), abs=0.03)
        assert np.mean(spread) == pytest.approx(np.std(logs), rel=0.1)
        assert 0.93 < inside / 600 < 0.97


def test_standardised_ratios() -> None:
    c = counts((10, 50, 10, 100), (30, 100, 5, 50))
    for standard, weights in (("everyone", (150, 150)), ("exposed", (50, 100)), ("unexposed", (100, 50))):
        one = weights[0] * 0.2 + weights[1] * 0.3
        zero = weights[0] * 0.1 + weights[1] * 0.1
        assert standardised_risk_ratio(c, standard=standard).estimate == pytest.approx(one / zero)
    assert standardised_risk_ratio(counts((15, 50, 10, 100))).std_error == pytest.approx(
        two_by_two(15, 50, 10, 100).risk_ratio["wald"].std_error
    )
    with pytest.raises(ValueError, match="coarser"):
        standardised_risk_ratio(counts((1, 5, 2, 6), (0, 0, 1, 5)))
    assert standardised_risk_ratio(counts((1, 5, 2, 6), (0, 0, 1, 5)), standard="exposed").estimate is not None
    with pytest.raises(ValueError, match="Unknown standard"):
        standardised_risk_ratio(c, standard="world")


def test_misuse() -> None:
    ones = np.ones(4)
    with pytest.raises(ValueError, match="missing"):
        crossed([np.array([1.0, math.nan, 1, 1])])
    with pytest.raises(ValueError, match="at least one"):
        crossed([])
    with pytest.raises(ValueError, match="0 or 1"):
        stratified_counts(ones, ones * 2, [ones], level=1, reference=0)
    with pytest.raises(ValueError, match="no people"):
        stratified_counts(ones, ones, [ones], level=1, reference=0)
    with pytest.raises(ValueError, match="no people"):
        stratified_counts(ones, ones, [ones], level=3, reference=2)
    with pytest.raises(ValueError, match="same"):
        stratified_counts(ones, ones, [ones], level=1, reference=1)
    with pytest.raises(ValueError, match="more events"):
        counts((6, 5, 1, 5))
    with pytest.raises(ValueError, match="whole"):
        StratifiedCounts(events_exposed=ones * 0.5, exposed=ones, events_unexposed=ones, unexposed=ones)
    with pytest.raises(ValueError, match="same length"):
        StratifiedCounts(events_exposed=ones, exposed=ones, events_unexposed=ones, unexposed=np.ones(3))
    with pytest.raises(ValueError, match="level"):
        mantel_haenszel(counts((1, 5, 1, 5)), conf_level=1.0)
    with pytest.raises(ValueError, match="two levels"):
        mantel_haenszel_levels(ones, ones, [ones], levels=(1,), labels=("a",))
