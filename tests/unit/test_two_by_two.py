"""2x2 tables: closed forms, exact distributions, empty cells and coverage."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from walkrisk.estimates.rows import critical_value
from walkrisk.estimates.score_limits import ConditionalOdds, difference_score, odds_score, ratio_score
from walkrisk.estimates.two_by_two import Interval, TwoByTwo, number_needed, two_by_two

Z = critical_value(0.95)


def limits(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


def test_a_table_by_hand() -> None:
    t = two_by_two(15, 50, 10, 100)
    assert t.risk_ratio["wald"].estimate == pytest.approx(3.0)
    assert t.risk_ratio["wald"].std_error == pytest.approx(math.sqrt(1 / 15 - 1 / 50 + 1 / 10 - 1 / 100))
    assert t.risk_difference["wald"].estimate == pytest.approx(0.2)
    assert t.odds_ratio["wald"].estimate == pytest.approx(15 * 90 / (35 * 10))
    assert t.number_needed["wald"].estimate == pytest.approx(5.0)
    assert t.attributable_fraction["wald"].estimate == pytest.approx(2 / 3)
    assert t.population_attributable_risk.estimate == pytest.approx(25 / 150 - 0.1)
    assert t.population_attributable_fraction.estimate == pytest.approx(1 - 0.1 / (25 / 150))
    assert t.tests["pearson"].statistic == pytest.approx(150 * (15 * 90 - 35 * 10) ** 2 / (50 * 100 * 25 * 125))
    assert t.risk_ratio["small_sample"].estimate == pytest.approx(0.3 / (11 / 101))
    tail = stats.hypergeom.sf(15, 150, 50, 25) + stats.hypergeom.pmf(15, 150, 50, 25) / 2
    assert t.tests["mid_p"].p_value == pytest.approx(2 * tail)
    assert t.sentences == ()


def test_exact_quantities_are_those_of_scipy() -> None:
    for a, n1, c, n0 in ((15, 50, 10, 100), (2, 12, 5, 55), (12, 14, 9, 15), (1, 9, 8, 11)):
        t, m = two_by_two(a, n1, c, n0), a + c

        def upper(psi: float, a: int = a, n1: int = n1, n0: int = n0, m: int = m) -> float:
            return float(stats.nchypergeom_fisher.sf(a - 1, n1 + n0, n1, m, psi))

        def lower(psi: float, a: int = a, n1: int = n1, n0: int = n0, m: int = m) -> float:
            return float(stats.nchypergeom_fisher.cdf(a, n1 + n0, n1, m, psi))

        def point(psi: float, a: int = a, n1: int = n1, n0: int = n0, m: int = m) -> float:
            return float(stats.nchypergeom_fisher.pmf(a, n1 + n0, n1, m, psi))

        low, high = limits(t.odds_ratio["exact"])
        assert upper(low) == pytest.approx(0.025, rel=1e-9)
        assert lower(high) == pytest.approx(0.025, rel=1e-9)
        low, high = limits(t.odds_ratio["mid_p"])
        assert upper(low) - point(low) / 2 == pytest.approx(0.025, rel=1e-9)
        assert lower(high) - point(high) / 2 == pytest.approx(0.025, rel=1e-9)
        estimate = t.odds_ratio["exact"].estimate or math.nan
        assert stats.nchypergeom_fisher.mean(n1 + n0, n1, m, estimate) == pytest.approx(a, rel=1e-9)
        middle = t.odds_ratio["mid_p"].estimate or math.nan
        assert upper(middle) - point(middle) / 2 == pytest.approx(0.5, rel=1e-9)
        table = [[a, n1 - a], [c, n0 - c]]
        assert t.tests["fisher"].p_value == pytest.approx(stats.fisher_exact(table).pvalue, rel=1e-9)
        assert t.tests["yates"].p_value == pytest.approx(stats.chi2_contingency(table, correction=True)[1], rel=1e-9)


def best_on_a_grid(a: int, n1: int, c: int, n0: int, risk1: np.ndarray, risk0: np.ndarray) -> tuple[float, float]:
    """The pair of risks of largest likelihood."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log = sum(
            np.where(k > 0, k * np.log(p), 0.0)
            for k, p in ((a, risk1), (n1 - a, 1 - risk1), (c, risk0), (n0 - c, 1 - risk0))
        )
    k = int(np.argmax(log))
    return float(risk1[k]), float(risk0[k])


@pytest.mark.parametrize("table", [(15, 50, 10, 100), (0, 20, 5, 20), (20, 20, 7, 30)])
def test_scores_are_taken_at_the_restricted_maximum(table: tuple[int, int, int, int]) -> None:
    a, n1, c, n0 = table
    grid = np.linspace(1e-7, 1 - 1e-7, 400_001)
    for theta in (0.6, 1.7):
        p0 = grid[grid * theta < 1]
        p1, p0_best = best_on_a_grid(a, n1, c, n0, theta * p0, p0)
        variance = p1 * (1 - p1) / n1 + theta**2 * p0_best * (1 - p0_best) / n0
        expected = (a / n1 - theta * c / n0) / math.sqrt(variance)
        assert ratio_score(*table, 1.0)(theta) == pytest.approx(expected, rel=1e-5)
        odds1, odds0 = best_on_a_grid(a, n1, c, n0, theta * grid / (1 - grid + theta * grid), grid)
        spread = 1 / (1 / (n1 * odds1 * (1 - odds1)) + 1 / (n0 * odds0 * (1 - odds0)))
        assert odds_score(*table, 1.0)(theta) == pytest.approx((a - n1 * odds1) / math.sqrt(spread), rel=1e-4)
    for delta in (-0.15, 0.3):
        p0 = grid[(grid + delta > 0) & (grid + delta < 1)]
        p1, p0_best = best_on_a_grid(a, n1, c, n0, p0 + delta, p0)
        variance = p1 * (1 - p1) / n1 + p0_best * (1 - p0_best) / n0
        expected = (a / n1 - c / n0 - delta) / math.sqrt(variance)
        assert difference_score(*table, 1.0)(delta) == pytest.approx(expected, rel=1e-5)


def test_score_limits_are_where_the_score_is_the_quantile() -> None:
    a, n1, c, n0 = 7, 40, 3, 45
    t = two_by_two(a, n1, c, n0)
    for name, factor in (("koopman", 1.0), ("miettinen_nurminen", 85 / 84)):
        low, high = limits(t.risk_ratio[name])
        score = ratio_score(a, n1, c, n0, factor)
        assert score(low) == pytest.approx(Z, rel=1e-10)
        assert score(high) == pytest.approx(-Z, rel=1e-10)
    for name, factor in (("mee", 1.0), ("miettinen_nurminen", 85 / 84)):
        low, high = limits(t.risk_difference[name])
        score = difference_score(a, n1, c, n0, factor)
        assert score(low) == pytest.approx(Z, rel=1e-8)
        assert score(high) == pytest.approx(-Z, rel=1e-8)
    assert t.risk_ratio["koopman"].p_value == pytest.approx(t.tests["pearson"].p_value)
    assert t.risk_difference["mee"].p_value == pytest.approx(t.tests["pearson"].p_value)
    assert t.odds_ratio["score"].p_value == pytest.approx(t.tests["pearson"].p_value)


def test_nothing_is_added_to_an_empty_cell() -> None:
    none_exposed, none_unexposed = two_by_two(0, 20, 5, 20), two_by_two(5, 20, 0, 20)
    for t in (none_exposed, none_unexposed):
        for wald in (t.risk_ratio["wald"], t.risk_difference["wald"], t.odds_ratio["wald"]):
            assert wald.low is None
            assert wald.std_error is None
        assert t.risk_ratio["small_sample"].estimate is None
        assert any("Wald limits do not exist" in s for s in t.sentences)
    assert none_exposed.risk_ratio["koopman"].estimate == 0.0
    assert limits(none_exposed.risk_ratio["koopman"])[0] == 0.0
    assert none_unexposed.risk_ratio["koopman"].estimate == math.inf
    low, high = limits(none_unexposed.risk_ratio["koopman"])
    assert high == math.inf
    assert low == pytest.approx(1 / limits(none_exposed.risk_ratio["koopman"])[1], rel=1e-9)
    low, high = limits(none_unexposed.odds_ratio["exact"])
    assert high == math.inf
    assert low == pytest.approx(1 / limits(none_exposed.odds_ratio["exact"])[1], rel=1e-9)


def test_no_events_at_all_and_nothing_but_events() -> None:
    nothing, everything = two_by_two(0, 5, 0, 7), two_by_two(5, 5, 7, 7)
    assert all(i.estimate is None for i in (*nothing.risk_ratio.values(), *nothing.odds_ratio.values()))
    assert all(t.p_value is None for t in nothing.tests.values())
    assert nothing.sentences == ("Nobody has the outcome, so no ratio can be estimated.",)
    assert limits(nothing.risk_difference["mee"]) == pytest.approx(limits(nothing.risk_difference["newcombe"]))
    assert limits(everything.risk_ratio["koopman"]) == pytest.approx((5 / (5 + Z**2), (7 + Z**2) / 7), rel=1e-9)
    assert "no contrast" in everything.sentences[0]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_exchanging_groups_or_outcomes_mirrors_every_interval(n1: int, n0: int, data: st.DataObject) -> None:
    a, c = data.draw(st.integers(0, n1)), data.draw(st.integers(0, n0))
    t, swapped = two_by_two(a, n1, c, n0), two_by_two(c, n0, a, n1)
    complement = two_by_two(n1 - a, n1, n0 - c, n0)
    for name in ("newcombe", "mee", "miettinen_nurminen"):
        low, high = limits(t.risk_difference[name])
        assert limits(swapped.risk_difference[name]) == pytest.approx((-high, -low), abs=1e-8)
        assert limits(complement.risk_difference[name]) == pytest.approx((-high, -low), abs=1e-8)
        assert -1 <= low <= a / n1 - c / n0 <= high <= 1
    for intervals, mirrored in (
        [(t.risk_ratio[k], swapped.risk_ratio[k]) for k in ("koopman", "miettinen_nurminen")]
        + [(t.odds_ratio[k], swapped.odds_ratio[k]) for k in ("score", "exact", "mid_p")]
        + [(t.odds_ratio[k], complement.odds_ratio[k]) for k in ("score", "exact", "mid_p")]
    ):
        if intervals.estimate is None:
            assert mirrored.estimate is None
            continue
        low, high = limits(intervals)
        assert low <= intervals.estimate <= high
        back_low, back_high = limits(mirrored)
        for x, y in ((low, back_high), (high, back_low)):
            assert (x == 0 and y == math.inf) or (x == math.inf and y == 0) or x * y == pytest.approx(1, rel=1e-7)


def coverage(n1: int, n0: int, p1: float, p0: float, covered: dict[str, float]) -> None:
    """Exact coverage over all tables, added to `covered` by name."""
    weights1, weights0 = stats.binom.pmf(np.arange(n1 + 1), n1, p1), stats.binom.pmf(np.arange(n0 + 1), n0, p0)
    truth = {"risk_ratio": p1 / p0, "risk_difference": p1 - p0, "odds_ratio": p1 * (1 - p0) / (p0 * (1 - p1))}
    for a, c in itertools.product(range(n1 + 1), range(n0 + 1)):
        weight = float(weights1[a] * weights0[c])
        if weight < 1e-5:
            continue
        t = two_by_two(a, n1, c, n0)
        for measure, name in (("risk_ratio", "koopman"), ("risk_difference", "newcombe"), ("odds_ratio", "exact")):
            interval: Interval = getattr(t, measure)[name]
            inside = interval.low is None or interval.low <= truth[measure] <= (interval.high or 0)
            covered[name] = covered.get(name, 0.0) + weight * inside


def test_coverage_at_a_small_size_is_near_the_level() -> None:
    covered: dict[str, float] = {}
    coverage(11, 13, 0.45, 0.2, covered)
    assert 0.93 < covered["koopman"] < 0.98
    assert 0.93 < covered["newcombe"] < 0.98
    assert covered["exact"] >= 0.95


def numeric_variance(function: object, counts: np.ndarray) -> float:
    """Delta-method variance of a function of four multinomial counts, by numeric derivatives."""
    assert callable(function)
    slopes = []
    for k in range(4):
        h = np.zeros(4)
        h[k] = 1e-4
        slopes.append((function(counts + h) - function(counts - h)) / 2e-4)
    g, total = np.array(slopes), counts.sum()
    return float(g**2 @ counts - (g @ counts) ** 2 / total)


def test_population_fractions_have_their_delta_variance() -> None:
    counts = np.array([15.0, 35.0, 10.0, 90.0])
    t: TwoByTwo = two_by_two(15, 50, 10, 100)

    def risk(x: np.ndarray) -> float:
        return float((x[0] + x[2]) / x.sum() - x[2] / (x[2] + x[3]))

    def log_complement(x: np.ndarray) -> float:
        return math.log(x[2] / (x[2] + x[3]) / ((x[0] + x[2]) / x.sum()))

    assert t.population_attributable_risk.std_error == pytest.approx(
        math.sqrt(numeric_variance(risk, counts)), rel=1e-6
    )
    assert t.population_attributable_fraction.std_error == pytest.approx(
        math.sqrt(numeric_variance(log_complement, counts)), rel=1e-6
    )


def test_numbers_needed_through_infinity() -> None:
    crossing = number_needed(Interval(method="wald", estimate=0.02, low=-0.05, high=0.1))
    assert crossing.through_infinity
    assert (crossing.low, crossing.high) == pytest.approx((-20, 10))
    sure = number_needed(Interval(method="wald", estimate=-0.1, low=-0.2, high=-0.05))
    assert not sure.through_infinity
    assert (sure.low, sure.high) == pytest.approx((-20, -5))
    touching = number_needed(Interval(method="wald", estimate=0.1, low=0.0, high=0.2))
    assert (touching.low, touching.high) == (5.0, math.inf)


def test_the_conditional_distribution_of_one_point() -> None:
    t = ConditionalOdds.of(3, 3, 0, 4)
    assert t.maximum_likelihood() == math.inf
    assert two_by_two(0, 1, 1, 1).odds_ratio["exact"].estimate == 0.0


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ((1, 0, 1, 5), "no|none"),
        ((6, 5, 1, 5), "between 0"),
        ((-1, 5, 1, 5), "between 0"),
        ((math.nan, 5, 1, 5), "whole"),
        ((1.5, 5, 1, 5), "whole"),
        ((math.inf, 5, 1, 5), "whole"),
    ],
)
def test_impossible_tables(table: tuple[int, int, int, int], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        two_by_two(*table)


def test_an_impossible_level() -> None:
    with pytest.raises(ValueError, match="level"):
        two_by_two(1, 5, 1, 5, conf_level=95)


def test_few_expected_events_are_said() -> None:
    assert "exact test" in two_by_two(3, 10, 1, 12).sentences[0]
