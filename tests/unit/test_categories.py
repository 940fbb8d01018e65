"""Percentiles, quantile groups, fixed limits, joint groups: the rules at their edges."""

from __future__ import annotations

import numpy as np
import pytest

from walkrisk.cohorts.categories import cut_fixed, cut_up, percentiles, quantile_cuts, winsorise_upper
from walkrisk.cohorts.samples import CategoryRule, Sample, categorise, cut_names

NA = np.nan


@pytest.mark.parametrize(
    ("values", "p", "expected"),
    [
        ([1, 2, 3, 4], 25, 1.5),  # P = 1 is a step: the mean of the 1st and the 2nd
        ([1, 2, 3, 4], 50, 2.5),
        ([1, 2, 3, 4, 5], 25, 2.0),  # P = 1.25: the 2nd
        ([1, 2, 3, 4, 5], 75, 4.0),  # P = 3.75: the 4th
        ([4, 1, 3, 2], 75, 3.5),  # order does not matter
        (list(range(1, 11)), 10, 1.5),  # P = 1 exactly, although 0.1 is no binary fraction
        (list(range(1, 11)), 90, 9.5),
        (list(range(1, 1001)), 0.1, 1.5),
        ([7], 10, 7.0),
        ([7], 90, 7.0),
        ([2, 2, 2, 9], 50, 2.0),
    ],
)
def test_percentiles_average_at_the_steps_of_the_distribution(values: list[float], p: float, expected: float) -> None:
    np.testing.assert_array_equal(percentiles(np.array(values, dtype=float), [p]), [expected])


def test_unknown_values_do_not_count_and_no_values_give_no_percentile() -> None:
    np.testing.assert_array_equal(percentiles(np.array([NA, 1, 2, NA, 3, 4]), [50]), [2.5])
    assert np.isnan(percentiles(np.array([NA]), [10, 90])).all()


@pytest.mark.parametrize("p", [29, 57, 58])
def test_steps_are_exact_where_floating_point_would_miss_them(p: int) -> None:
    """100 x 0.29 is 28.999999999999996 in binary: the step at 29 is taken all the same."""
    np.testing.assert_array_equal(percentiles(np.arange(1.0, 101.0), [p]), [p + 0.5])


def test_quartile_cuts_and_the_value_on_a_cut_goes_down() -> None:
    values = np.array([1.0, 2, 3, 4, 5, 6, 7])
    cuts = quantile_cuts(values, 4)
    np.testing.assert_array_equal(cuts, [2, 4, 6])
    np.testing.assert_array_equal(cut_up(values, cuts), [1, 1, 2, 2, 3, 3, 4])


def test_tied_cut_points_leave_the_group_between_them_empty() -> None:
    values = np.array([1.0, 1, 1, 1, 1, 1, 2, 3])
    cuts = quantile_cuts(values, 4)
    np.testing.assert_array_equal(cuts, [1, 1, 1.5])
    np.testing.assert_array_equal(cut_up(values, cuts), [1, 1, 1, 1, 1, 1, 4, 4])


def test_thirds_of_numbers_that_three_does_not_divide() -> None:
    np.testing.assert_array_equal(quantile_cuts(np.arange(1.0, 8.0), 3), [3, 5])
    np.testing.assert_array_equal(quantile_cuts(np.arange(1.0, 7.0), 3), [2.5, 4.5])


def test_a_value_on_a_fixed_limit_goes_up_and_unknown_stays_unknown() -> None:
    values = np.array([77.9, 78, 101, 124.9, 125, NA])
    np.testing.assert_array_equal(cut_fixed(values, [78, 101, 125]), [1, 2, 3, 3, 4, NA])
    np.testing.assert_array_equal(cut_up(values, [78, 101, 125]), [1, 1, 2, 3, 3, NA])


def test_winsorising_lowers_only_what_is_above() -> None:
    values = np.array([0.0, 1, 2, 3, NA, 100])
    got = winsorise_upper(values, 75)
    np.testing.assert_array_equal(got, [0, 1, 2, 3, NA, 3])
    assert values[-1] == 100


RULES = {
    "joint": CategoryRule(cross=("a", "b")),
    "a": CategoryRule(variable="x", quantiles=2),
    "b": CategoryRule(variable="y", cuts=(10.0, 20.0), prefix="T"),
}


def test_joint_groups_keep_their_numbers_when_cells_are_empty() -> None:
    """(first - 1) x 3 + second; nobody is in Q1/T1 or Q2/T3."""
    columns = {"x": np.array([1.0, 2, 3, 4, NA, 0, 5]), "y": np.array([10.0, 25, 0, 19, 5, NA, NA])}
    sample = categorise(columns, RULES, 7)
    np.testing.assert_array_equal(sample.categories["a"], [1, 1, 2, 2, NA, 1, 2])
    np.testing.assert_array_equal(sample.categories["b"], [2, 3, 1, 2, 1, NA, NA])
    np.testing.assert_array_equal(sample.categories["joint"], [2, 3, 4, 5, NA, NA, NA])
    assert RULES["joint"].labels(RULES) == ("Q1/T1", "Q1/T2", "Q1/T3", "Q2/T1", "Q2/T2", "Q2/T3")


def test_cut_points_have_names() -> None:
    assert list(cut_names(CategoryRule(variable="x", quantiles=4))) == ["p25", "p50", "p75"]
    assert list(cut_names(CategoryRule(variable="x", quantiles=3))) == ["p33.33333333", "p66.66666667"]
    assert list(cut_names(RULES["b"])) == ["limit1", "limit2"]


def test_a_part_of_a_sample_keeps_its_categories() -> None:
    sample = Sample({"x": np.arange(4.0)}, {"a": np.array([1.0, 1, 2, 2])}, {"a": np.array([1.5])}, 4)
    part = sample.where(np.array([False, True, True, False]))
    assert part.n == 2
    np.testing.assert_array_equal(part.categories["a"], [1, 2])
    np.testing.assert_array_equal(part.cuts["a"], [1.5])
