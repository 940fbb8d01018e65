"""Properties of percentiles and categories that hold for any data."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from walkrisk.cohorts.categories import cut_fixed, cut_up, percentiles, quantile_cuts, winsorise_upper

MANY = settings(max_examples=200)
# Whole numbers, halves: ties are the rule, and the mean of two values is exact.
VALUES = arrays(np.float64, st.integers(1, 120), elements=st.integers(-40, 40).map(lambda i: i / 2))
WITH_UNKNOWN = arrays(np.float64, st.integers(1, 60), elements=st.one_of(st.just(np.nan), st.integers(0, 9).map(float)))


@MANY
@given(VALUES, st.integers(1, 99))
def test_percentiles_are_those_of_numpys_averaged_inverted_cdf(values: np.ndarray, p: int) -> None:
    """numpy works with p/100 as a binary fraction; at a step it may land beside it, and then the rule is counted."""
    (got,) = percentiles(values, [p])
    (other,) = np.percentile(values, [p], method="averaged_inverted_cdf")
    if values.size * p % 100:
        assert got == other
    x, step = np.sort(values), values.size * p // 100
    assert got == (x[step] if values.size * p % 100 else (x[step - 1] + x[step]) / 2)


@MANY
@given(VALUES, st.sampled_from([2, 3, 4, 5, 10]))
def test_a_cut_point_has_the_share_below_and_the_share_above(values: np.ndarray, groups: int) -> None:
    for i, cut in enumerate(quantile_cuts(values, groups), start=1):
        assert (values < cut).sum() * groups <= i * values.size
        assert (values <= cut).sum() * groups >= i * values.size


@MANY
@given(VALUES, st.sampled_from([2, 3, 4, 5, 10]))
def test_quantile_groups_are_ordered_and_never_above_their_share(values: np.ndarray, groups: int) -> None:
    cuts = quantile_cuts(values, groups)
    category = cut_up(values, cuts)
    order = np.argsort(values, kind="stable")
    assert (np.diff(category[order]) >= 0).all()
    for i, cut in enumerate(cuts, start=1):
        assert ((category <= i) == (values <= cut)).all()
    assert np.isin(category, np.arange(1, groups + 1)).all()


@MANY
@given(st.integers(4, 200))
def test_without_ties_groups_differ_by_one_at_most(n: int) -> None:
    values = np.random.default_rng(n).permutation(n).astype(float)
    sizes = np.bincount(cut_up(values, quantile_cuts(values, 4)).astype(int), minlength=5)[1:]
    assert sizes.max() - sizes.min() <= 1


@MANY
@given(WITH_UNKNOWN)
def test_unknown_stays_unknown_and_changes_nothing_for_the_known(values: np.ndarray) -> None:
    known = ~np.isnan(values)
    for cut, cuts in ((cut_up, quantile_cuts(values, 4)), (cut_fixed, np.array([2.0, 5.0, 7.0]))):
        category = cut(values, cuts)
        np.testing.assert_array_equal(np.isnan(category), ~known)
        if cut is cut_up:
            np.testing.assert_array_equal(cuts, quantile_cuts(values[known], 4))
        np.testing.assert_array_equal(category[known], cut(values[known], cuts))


@MANY
@given(VALUES)
def test_the_two_ways_to_cut_differ_on_the_limits_only(values: np.ndarray) -> None:
    limits = [-5.0, 0.0, 7.5]
    down, up = cut_up(values, limits), cut_fixed(values, limits)
    on = np.isin(values, limits)
    np.testing.assert_array_equal(up - down, on.astype(float))


@MANY
@given(VALUES, st.integers(50, 99))
def test_winsorising_moves_only_values_above_and_keeps_order(values: np.ndarray, p: int) -> None:
    got = winsorise_upper(values, p)
    limit = np.percentile(values, p)
    np.testing.assert_array_equal(got, np.where(values > limit, limit, values))
