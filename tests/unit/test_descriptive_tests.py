"""Tests for a table of characteristics against R 4.2 (t.test, wilcox.test, kruskal.test, chisq.test, fisher.test)."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from walkrisk.estimates.descriptive_tests import (
    chi_square,
    fisher_exact,
    kruskal_wallis,
    one_way_anova,
    t_test,
    wilcoxon_rank_sum,
)

A, B = [1.1, 2.3, 3.7, 4.2, 8.1], [2.2, 5.5, 6.1, 7.7, 9.9, 10.4]
TIED_A, TIED_B = [1, 2, 2, 3, 8], [2, 5, 6, 7, 9, 10]


def test_two_means() -> None:
    welch = t_test(A, B)
    np.testing.assert_allclose(
        [welch.p_value, welch.statistic, welch.df], [0.1065228419185231, -1.7940346838397554, 8.9643458258671114]
    )
    np.testing.assert_allclose(t_test(A, B, equal_variances=True).p_value, 0.1106630707758376)
    assert t_test([*A, math.nan], B).p_value == welch.p_value


def test_rank_sums_are_exact_only_in_small_groups_without_ties() -> None:
    exact = wilcoxon_rank_sum(A, B)
    assert exact.method == "Wilcoxon rank sum exact test"
    np.testing.assert_allclose([exact.p_value, exact.statistic], [0.1774891774891775, 7])
    tied = wilcoxon_rank_sum(TIED_A, TIED_B)
    assert tied.method == "Wilcoxon rank sum test"
    np.testing.assert_allclose([tied.p_value, tied.statistic], [0.1173055640120867, 6])
    large = wilcoxon_rank_sum(10 * np.sin(np.arange(1, 61)), 10 * np.cos(np.arange(1, 56)) + 1)
    assert large.method == "Wilcoxon rank sum test"
    np.testing.assert_allclose(large.p_value, 0.5928591556556162)
    assert wilcoxon_rank_sum([1, 1, 1], [1, 1]).p_value == 1


def test_several_groups() -> None:
    groups = [A, B, TIED_B]
    np.testing.assert_allclose(
        [kruskal_wallis(groups).p_value, kruskal_wallis(groups).statistic], [0.2273997603277378, 2.9620915032679775]
    )
    anova = one_way_anova(groups)
    np.testing.assert_allclose([anova.statistic, anova.p_value], [1.7700412060287944, 0.2063834379941162])
    assert (anova.df, anova.df2) == (2, 14)
    two = one_way_anova([A, B])
    np.testing.assert_allclose(two.p_value, t_test(A, B, equal_variances=True).p_value)


def test_chi_square_and_its_correction() -> None:
    table = [[8, 2], [1, 5]]
    got = chi_square(table)
    np.testing.assert_allclose([got.p_value, got.statistic], [0.05096193696776331, 3.80952380952380931])
    assert got.method == "chi-square test with continuity correction"
    np.testing.assert_allclose(chi_square(table, continuity=False).p_value, 0.01342542488149126)
    assert chi_square([[10, 10], [10, 11]]).p_value == 1  # the correction stops at the difference itself
    larger = chi_square([[3, 1, 2], [0, 4, 5], [6, 2, 1]])
    np.testing.assert_allclose([larger.p_value, larger.statistic], [0.04926030700200059, 9.52380952380952372])
    assert larger.df == 4
    assert repr(chi_square([[8, 2, 0], [1, 5, 0], [0, 0, 0]])) == repr(got)


@pytest.mark.parametrize(
    ("table", "p"),
    [
        ([[8, 2], [1, 5]], 0.03496503496503497),
        ([[3, 1, 2], [0, 4, 5], [6, 2, 1]], 0.03153369593242789),
        ([[3, 1, 2, 0], [0, 4, 5, 7]], 0.01932639084341829),
        ([[3, 1, 2, 0, 0], [0, 4, 5, 7, 0]], 0.01932639084341829),
    ],
)
def test_fisher_of_any_size(table: list[list[int]], p: float) -> None:
    np.testing.assert_allclose(fisher_exact(table).p_value, p, rtol=1e-10)
    np.testing.assert_allclose(fisher_exact(np.transpose(table)).p_value, p, rtol=1e-10)


def test_fisher_by_permuting_people() -> None:
    """Three groups, two levels: the share of all 8!/(2! 3! 3!) assignments that are no more likely than the table."""
    groups, y = [0, 0, 1, 1, 1, 2, 2, 2], (1, 1, 1, 0, 0, 0, 0, 0)
    tables = [
        tuple(sum(v for v, g in zip(p, groups, strict=True) if g == k) for k in range(3))
        for p in set(itertools.permutations(y))
    ]
    count = {t: tables.count(t) for t in set(tables)}
    observed = (2, 1, 0)
    p = sum(n for n in count.values() if n <= count[observed]) / len(tables)
    np.testing.assert_allclose(fisher_exact([[2, 1, 0], [0, 2, 3]]).p_value, p)


def test_misuse_has_a_sentence() -> None:
    with pytest.raises(ValueError, match="at least 2 known value"):
        t_test([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="vary within a group"):
        t_test([1.0, 1.0], [2.0, 2.0])
    with pytest.raises(ValueError, match="at least 1 known value"):
        wilcoxon_rank_sum([math.nan], [1.0])
    with pytest.raises(ValueError, match="2 groups or more"):
        kruskal_wallis([[1.0, 2.0]])
    with pytest.raises(ValueError, match="all are the same"):
        kruskal_wallis([[1.0], [1.0, 1.0]])
    with pytest.raises(ValueError, match="do not"):
        one_way_anova([[1.0], [2.0]])
    with pytest.raises(ValueError, match="infinite"):
        one_way_anova([[1.0, math.inf], [2.0, 3.0]])
    with pytest.raises(ValueError, match="at least 2 rows and 2 columns"):
        chi_square([[1, 2], [0, 0]])
    with pytest.raises(ValueError, match="not negative"):
        chi_square([[1, -2], [3, 4]])
    with pytest.raises(ValueError, match="rows and columns"):
        fisher_exact([1, 2, 3])
    with pytest.raises(ValueError, match="whole counts"):
        fisher_exact([[1.5, 2], [3, 4]])
    with pytest.raises(ValueError, match="millions of tables"):
        fisher_exact(np.full((6, 6), 200))
