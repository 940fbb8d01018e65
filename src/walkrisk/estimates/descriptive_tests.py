"""Tests of a difference between groups, for a table of characteristics. Two-sided, by the rules of R's functions.

The sums are scipy's; here are the choices R makes: the exact Wilcoxon test below 50 in both groups without ties, else
the normal approximation with ties and a continuity correction of 1/2; Yates' correction in 2 x 2 tables only, and never
larger than the difference itself; Fisher's exact test adds up all tables no more likely than the observed one (to a
relative 1e-7), of any size. Values that are NaN are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

EXACT_BELOW = 50  # people in either group
AS_LIKELY = 1 + 1e-7
MOST_TABLES = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTest:
    """A test of a difference between groups: its statistic, degrees of freedom (NaN if none) and two-sided P value."""

    method: str
    statistic: float
    df: float
    df2: float
    p_value: float


def t_test(first: npt.ArrayLike, second: npt.ArrayLike, *, equal_variances: bool = False) -> GroupTest:
    """Difference of two means by t: Welch's, or Student's with `equal_variances`. Raises ValueError for fewer than 2
    values in a group, or none that differ."""
    from scipy import stats

    a, b = _groups((first, second), at_least=2)
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        raise ValueError("A t test needs values that vary within a group; here all are the same.")
    found = stats.ttest_ind(a, b, equal_var=equal_variances)
    method = "t test, equal variances" if equal_variances else "Welch t test"
    return _made(method, found.statistic, found.df, found.pvalue)


def wilcoxon_rank_sum(first: npt.ArrayLike, second: npt.ArrayLike) -> GroupTest:
    """Wilcoxon rank sum (Mann-Whitney) test; the statistic counts pairs with the first larger. Raises ValueError for an
    empty group."""
    from scipy import stats

    a, b = _groups((first, second), at_least=1)
    together = np.concatenate([a, b])
    untied = len(np.unique(together)) == len(together)
    exact = untied and max(len(a), len(b)) < EXACT_BELOW
    if np.ptp(together) == 0:
        return _made("Wilcoxon rank sum test", len(a) * len(b) / 2, math.nan, 1.0)
    found = stats.mannwhitneyu(a, b, method="exact" if exact else "asymptotic", use_continuity=True)
    method = "Wilcoxon rank sum exact test" if exact else "Wilcoxon rank sum test"
    return _made(method, found.statistic, math.nan, found.pvalue)


def kruskal_wallis(groups: Sequence[npt.ArrayLike]) -> GroupTest:
    """Kruskal-Wallis test of two groups or more, with its correction for ties. Raises ValueError for an empty group, or
    values that are all the same."""
    from scipy import stats

    values = _groups(groups, at_least=1)
    if np.ptp(np.concatenate(values)) == 0:
        raise ValueError("A Kruskal-Wallis test needs values that differ; here all are the same.")
    found = stats.kruskal(*values)
    return _made("Kruskal-Wallis test", found.statistic, len(values) - 1, found.pvalue)


def one_way_anova(groups: Sequence[npt.ArrayLike]) -> GroupTest:
    """F test of equal means in two groups or more, of equal variances. Raises ValueError for an empty group, or values
    that do not vary within any."""
    from scipy import stats

    values = _groups(groups, at_least=1)
    rest = sum(map(len, values)) - len(values)
    if rest < 1 or all(np.ptp(v) == 0 for v in values):
        raise ValueError("An analysis of variance needs values that vary within a group; here they do not.")
    found = stats.f_oneway(*values)
    return _made("one-way analysis of variance", found.statistic, len(values) - 1, found.pvalue, rest)


def chi_square(table: npt.ArrayLike, *, continuity: bool = True) -> GroupTest:
    """Pearson's chi-square of an r x c table of counts, with Yates' `continuity` correction if it is 2 x 2.

    Rows and columns without people are left out. Raises ValueError if fewer than 2 of either are left, or for negative
    counts.
    """
    from scipy import stats

    counts = _table(table)
    corrected = continuity and counts.shape == (2, 2)
    found = stats.chi2_contingency(counts, correction=corrected)
    method = "chi-square test with continuity correction" if corrected else "chi-square test"
    return _made(method, found.statistic, found.dof, found.pvalue)


def fisher_exact(table: npt.ArrayLike) -> GroupTest:
    """Fisher's exact test of an r x c table of counts (the statistic is the chance of the table itself).

    Enumerates all tables with the same margins; raises ValueError where there are too many (about 2 million partial
    ones: use the chi-square test), as well as for counts that are not whole, and as `chi_square` does.
    """
    from scipy import special

    counts = _table(table)
    if (counts != np.round(counts)).any():
        raise ValueError("Fisher's exact test needs whole counts; with weighted counts use the chi-square test.")
    whole = np.round(counts).astype(np.intp)
    if whole.shape[1] > whole.shape[0]:
        whole = whole.T
    rows, columns = whole.sum(axis=1), whole.sum(axis=0)
    constant = float(special.gammaln(rows + 1).sum() + special.gammaln(columns + 1).sum())
    constant -= float(special.gammaln(rows.sum() + 1))
    observed = constant - float(special.gammaln(whole + 1).sum())
    chances = np.exp(constant - _log_factorials_of_tables(rows, columns))
    p = float(chances[chances <= math.exp(observed) * AS_LIKELY].sum())
    return _made("Fisher exact test", math.exp(observed), math.nan, min(1.0, p))


def _log_factorials_of_tables(rows: IntArray, columns: IntArray) -> FloatArray:
    """Sum of log factorials of the cells, of every table with these margins.

    Row by row: what is left of the columns, with the sums so far, of every way to fill the rows above.
    """
    from scipy import special

    left, sums = columns[None, :], np.zeros(1)
    for total in rows[:-1]:
        fills, owner = np.zeros((len(left), 0), dtype=np.intp), np.arange(len(left))
        for j in range(len(columns) - 1):
            used = fills.sum(axis=1)
            after = left[owner, j + 1 :].sum(axis=1)
            low = np.maximum(0, total - used - after)
            high = np.minimum(left[owner, j], total - used)
            ways = high - low + 1
            if ways.sum() > MOST_TABLES:
                raise ValueError(
                    "Fisher's exact test would have to list millions of tables with these margins; use the chi-square "
                    "test, or join levels."
                )
            at = np.repeat(np.arange(len(owner)), ways)
            step = np.arange(len(at)) - np.repeat(np.cumsum(ways) - ways, ways)
            fills, owner = np.column_stack([fills[at], low[at] + step]), owner[at]
        fills = np.column_stack([fills, total - fills.sum(axis=1)])
        left, sums = left[owner] - fills, sums[owner] + special.gammaln(fills + 1).sum(axis=1)
    return np.asarray(sums + special.gammaln(left + 1).sum(axis=1))


def _made(method: str, statistic: float, df: float, p_value: float, df2: float = math.nan) -> GroupTest:
    return GroupTest(
        method=method, statistic=float(statistic), df=float(df), df2=float(df2), p_value=min(1.0, float(p_value))
    )


def _groups(groups: Sequence[npt.ArrayLike], *, at_least: int) -> list[FloatArray]:
    values = [np.asarray(group, dtype=np.float64).ravel() for group in groups]
    values = [v[~np.isnan(v)] for v in values]
    if len(values) < 2 or min(map(len, values)) < at_least:
        raise ValueError(f"This test needs 2 groups or more, each with at least {at_least} known value(s).")
    if not all(np.isfinite(v).all() for v in values):
        raise ValueError("A value to be tested is infinite; take it out or set it to missing.")
    return values


def _table(table: npt.ArrayLike) -> FloatArray:
    counts = np.asarray(table, dtype=np.float64)
    if counts.ndim != 2 or not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError("A table of counts needs rows and columns of finite numbers that are not negative.")
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    if min(counts.shape) < 2:
        raise ValueError("A test of a table needs people in at least 2 rows and 2 columns.")
    return counts
