"""Daily seconds to person values: every rule on a table that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from walkrisk.cohorts.days import DayCount, DayMean, Days, ValidDay, daily_seconds, person_values
from walkrisk.exposures.daily_seconds import (
    days_known,
    invalid_days,
    mean_day,
    ratio_of_means,
    recorded_days,
)

NA = np.nan


def test_a_day_with_a_zero_is_invalid_and_a_missing_component_is_not() -> None:
    seconds = {
        #                     full  zero  missing  all missing
        "lying_s": np.array([[30000, 0.0, NA, NA]]),
        "walking_s": np.array([[3600, 3600.0, 3600, NA]]),
    }
    invalid = invalid_days(seconds, zero_invalidates=("lying_s", "walking_s"))
    assert invalid.tolist() == [[False, True, False, False]]


def test_only_the_named_activities_invalidate_a_day() -> None:
    seconds = {"lying_s": np.array([[0.0]]), "running_s": np.array([[0.0]])}
    assert not invalid_days(seconds, zero_invalidates=()).any()
    assert not invalid_days({**seconds, "lying_s": np.array([[1.0]])}, zero_invalidates=("lying_s",)).any()


def test_a_day_needs_its_hours_and_missing_counts_as_nothing() -> None:
    ten_hours = 36_000.0
    seconds = {"a_s": np.array([[ten_hours, ten_hours - 1, NA]]), "b_s": np.array([[0.0, 0.0, ten_hours]])}
    invalid = invalid_days(seconds, total_of=("a_s", "b_s"), min_total_h=10)
    assert invalid.tolist() == [[False, True, False]]


def test_a_day_is_recorded_if_any_activity_is_known() -> None:
    seconds = {"a_s": np.array([[NA, 0.0, NA]]), "b_s": np.array([[NA, NA, 5.0]]), "c_s": np.array([[9.0, NA, NA]])}
    assert recorded_days(seconds, ("a_s", "b_s")).tolist() == [[False, True, True]]


def test_mean_is_over_known_days_that_are_not_excluded() -> None:
    seconds = np.array([[600.0, 1200.0, NA], [600.0, 1200.0, 1800.0], [NA, NA, NA], [600.0, NA, NA]])
    excluded = np.array([[False] * 3, [False, False, True], [False] * 3, [True, False, False]])
    np.testing.assert_array_equal(mean_day(seconds, excluded=excluded) / 60, [15.0, 15.0, NA, NA])
    np.testing.assert_array_equal(mean_day(seconds) / 60, [15.0, 20.0, NA, 10.0])
    np.testing.assert_array_equal(days_known(seconds, excluded=excluded), [2, 2, 0, 0])
    np.testing.assert_array_equal(days_known(seconds), [2, 3, 0, 1])


def test_intensity_is_the_ratio_of_means_not_the_mean_of_ratios() -> None:
    """Two days: 10 of 10 min slow, then 90 of 90 min brisk. Of means 4.6 MET; the mean of daily ratios would be 3.8."""
    slow, brisk, total = np.array([[600.0, 0.0]]), np.array([[0.0, 5400.0]]), np.array([[600.0, 5400.0]])
    parts = {"slow": mean_day(slow) / 60, "brisk": mean_day(brisk) / 60}
    got = ratio_of_means(parts, {"slow": 2.8, "brisk": 4.8}, mean_day(total) / 60)
    np.testing.assert_allclose(got, [(2.8 * 5 + 4.8 * 45) / 50])


def test_intensity_is_unknown_without_walking_or_without_a_part() -> None:
    parts = {"slow": np.array([0.0, NA, 4.0]), "brisk": np.array([0.0, 1.0, 2.0])}
    got = ratio_of_means(parts, {"slow": 2.8, "brisk": 4.8}, np.array([0.0, 5.0, NA]))
    assert np.isnan(got).all()


def test_the_denominator_is_the_total_as_delivered() -> None:
    got = ratio_of_means({"slow": np.array([30.0])}, {"slow": 2.8}, np.array([40.0]))
    np.testing.assert_allclose(got, [2.1])


DAYS = Days(
    number=3,
    columns={"lying_s": "LyD{day}", "walking_s": "WalkD{day}", "running_s": "RunD{day}"},
    valid=ValidDay(zero_invalidates=("lying_s", "walking_s")),
    counts={
        "recorded": DayCount(any_of=("lying_s", "running_s")),
        "valid": DayCount(any_of=("walking_s",), days="valid"),
    },
    means={
        "walking_min_day": DayMean(of="walking_s"),
        "running_min_day": DayMean(of="running_s", days="recorded"),
    },
)


def test_columns_are_named_by_day() -> None:
    assert DAYS.column_names("walking_s") == ["WalkD1", "WalkD2", "WalkD3"]


def test_person_values_by_hand() -> None:
    """Day 2 of the first person has no lying: walking loses it, running keeps it. The second has no valid day."""
    columns = {
        "LyD1": [30000.0, 0.0],
        "LyD2": [0.0, NA],
        "LyD3": [30000.0, NA],
        "WalkD1": [3600.0, 600.0],
        "WalkD2": [7200.0, NA],
        "WalkD3": [NA, 0.0],
        "RunD1": [60.0, NA],
        "RunD2": [120.0, NA],
        "RunD3": [NA, NA],
    }
    arrays = {name: np.array(values) for name, values in columns.items()}
    got = person_values(DAYS, daily_seconds(DAYS, arrays))
    np.testing.assert_array_equal(got["recorded"], [3, 1])
    np.testing.assert_array_equal(got["valid"], [1, 0])
    np.testing.assert_array_equal(got["walking_min_day"], [60.0, NA])
    np.testing.assert_array_equal(got["running_min_day"], [1.5, NA])


def test_input_is_left_as_it_was() -> None:
    seconds = np.array([[0.0, 5.0, NA]])
    before = seconds.copy()
    invalid = invalid_days({"a_s": seconds}, zero_invalidates=("a_s",), total_of=("a_s",), min_total_h=1)
    mean_day(seconds, excluded=invalid) / 60
    np.testing.assert_array_equal(seconds, before)


@pytest.mark.parametrize("days", [1, 7, 12])
def test_two_digit_days_are_their_own_columns(days: int) -> None:
    made = Days(number=days, columns={"walking_s": "W{day}_x"})
    names = made.column_names("walking_s")
    assert len(set(names)) == days
    assert names[-1] == f"W{days}_x"
