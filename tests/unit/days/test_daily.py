"""One row a calendar day: every second counted once, whatever the day's length."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from walkrisk.days.bouts import BoutSettings
from walkrisk.days.contract import DAY_COLUMNS
from walkrisk.days.daily import DaySettings, daily_rows, day_quality, days_parquet, parts_of_day
from walkrisk.days.local_time import CalendarDays, TimeSettings, local_clock
from walkrisk.days.seconds import ACTIVITIES, Seconds, complete_speed

CODE = {name: i for i, name in enumerate(ACTIVITIES)}
# fmt: off
CONTRACT = [
    "participant_id", "date", "lying_s", "sitting_s", "standing_s", "walking_slow_s", "walking_moderate_s",
    "walking_brisk_s", "walking_s", "running_s", "cycling_s", "nonwear_s", "unknown_s", "steps", "classifier",
    "quality",
]
# fmt: on
NAN = float("nan")


def seconds(*spans: tuple[str, int, int, float], start_s: int = 0) -> Seconds:
    """Spans of (activity, seconds, speed class, cadence)."""
    lengths = [n for _, n, _, _ in spans]

    def column(values: list[Any], dtype: type) -> Any:
        return np.repeat(np.array(values, dtype=dtype), lengths)

    return Seconds(
        start_s=start_s,
        activity=column([CODE[a] for a, _, _, _ in spans], np.uint8),
        speed=column([s for _, _, s, _ in spans], np.uint8),
        cadence_spm=column([c for _, _, _, c in spans], np.float32),
        met=column([{0: NAN, 1: 2.8, 2: 3.8, 3: 4.8}[s] for _, _, s, _ in spans], np.float32),
    )


def days_of(s: Seconds, settings: TimeSettings | None = None, origin: str = "2018-03-24") -> CalendarDays:
    stop = s.start_s + len(s.activity)
    clock = local_clock(
        settings or TimeSettings(), origin=np.datetime64(origin), start_s=float(s.start_s), stop_s=float(stop)
    )
    return clock.days(float(s.start_s), float(stop))


def rows_of(
    s: Seconds, settings: DaySettings | None = None, *, days: CalendarDays | None = None
) -> list[dict[str, Any]]:
    return daily_rows(s, days or days_of(s), participant_id="a", settings=settings or DaySettings())


DAY = seconds(
    ("lying", 28_800, 0, NAN),
    ("sitting", 36_000, 0, NAN),
    ("standing", 7_200, 0, NAN),
    ("shuffling", 600, 0, NAN),
    ("walking", 1_200, 1, 90.0),
    ("standing", 60, 0, NAN),
    ("walking", 1_800, 2, 105.0),
    ("stairs", 300, 2, 110.0),
    ("walking", 600, 3, 120.0),
    ("running", 900, 0, 160.0),
    ("cycling", 1_800, 0, NAN),
    ("nonwear", 4_140, 0, NAN),
    ("sitting", 3_000, 0, NAN),
)


def test_a_day_by_hand() -> None:
    (row,) = rows_of(DAY)
    assert list(row)[:16] == CONTRACT
    expected = {
        "date": "2018-03-24", "lying_s": 28_800, "sitting_s": 39_000, "standing_s": 7_860, "walking_slow_s": 1_200,
        "walking_moderate_s": 2_100, "walking_brisk_s": 600, "walking_s": 3_900, "running_s": 900, "cycling_s": 1_800,
        "nonwear_s": 4_140, "unknown_s": 0, "day_s": 86_400, "wear_s": 82_260, "both_sensors_s": 82_260,
        "walking_unclassed_s": 0, "quality": "nonwear", "bouts_1min": 2, "bouts_5min": 2, "bouts_10min": 2,
        "longest_bout_s": 2_700,
    }  # fmt: skip
    assert {k: row[k] for k in expected} == expected
    assert row["steps"] == 20 * 90 + 30 * 105 + 5 * 110 + 10 * 120 + 15 * 160
    assert row["walking_met"] == pytest.approx((1200 * 2.8 + 2100 * 3.8 + 600 * 4.8) / 3900)
    assert row["cadence_spm"] == pytest.approx((1200 * 90 + 1800 * 105 + 300 * 110 + 600 * 120) / 3900)
    assert row["cadence_peak30_spm"] == pytest.approx((15 * 160 + 10 * 120 + 5 * 110) / 30)


def test_stairs_and_shuffling_by_themselves() -> None:
    settings = DaySettings(stairs_are_walking=False, shuffling_is_standing=False)
    (row,) = rows_of(DAY, settings)
    assert (row["walking_s"], row["walking_moderate_s"], row["stairs_s"]) == (3_600, 1_800, 300)
    assert (row["standing_s"], row["shuffling_s"]) == (7_260, 600)
    assert sum(row[c] for c in parts_of_day(settings)) == 86_400
    assert not {"stairs_s", "shuffling_s"} & set(rows_of(DAY)[0])


@pytest.mark.parametrize(("day", "length"), [("2018-03-25", 82_800), ("2018-10-28", 90_000), ("2018-06-01", 86_400)])
def test_seconds_add_up_to_the_length_of_the_day(day: str, length: int) -> None:
    s = replace(
        seconds(("lying", 40_000, 0, NAN), ("walking", 3_600, 1, 100.0), ("sitting", 150_000, 0, NAN)), start_s=-30_000
    )
    for settings in (DaySettings(), DaySettings(stairs_are_walking=False, shuffling_is_standing=False)):
        rows = rows_of(s, settings, days=days_of(s, TimeSettings(timezone="Europe/Oslo"), day))
        by_date = {row["date"]: row for row in rows}
        for row in rows:
            assert sum(row[c] for c in parts_of_day(settings)) == row["day_s"]
            assert row["walking_slow_s"] + row["walking_moderate_s"] + row["walking_brisk_s"] == row["walking_s"]
        assert by_date[day]["day_s"] == length
        assert by_date[day]["unknown_s"] == 0
        assert sum(row["lying_s"] for row in rows) == 40_000
        assert sum(row["unknown_s"] for row in rows) == sum(row["day_s"] for row in rows) - 193_600
        assert sum(row["steps"] for row in rows) == 6_000


def test_ends_of_a_recording_are_unknown_and_partial() -> None:
    rows = rows_of(seconds(("sitting", 90_000, 0, NAN), start_s=43_200))
    assert [(r["date"], r["sitting_s"], r["unknown_s"], r["quality"]) for r in rows] == [
        ("2018-03-24", 43_200, 43_200, "partial"),
        ("2018-03-25", 46_800, 39_600, "partial"),
    ]


def test_a_day_within_a_gap_has_its_row() -> None:
    rows = rows_of(seconds(("sitting", 86_400, 0, NAN), ("unknown", 86_400, 0, NAN), ("sitting", 86_400, 0, NAN)))
    assert [(r["unknown_s"], r["quality"]) for r in rows] == [(0, "full"), (86_400, "empty"), (0, "full")]


def test_a_bout_over_midnight_belongs_to_the_day_it_begins_in() -> None:
    s = seconds(("sitting", 86_100, 0, NAN), ("walking", 900, 2, 100.0), ("sitting", 85_800, 0, NAN))
    assert [(r["bouts_10min"], r["longest_bout_s"], r["walking_s"]) for r in rows_of(s)] == [(1, 900, 300), (0, 0, 600)]


def test_bouts_follow_their_settings() -> None:
    s = seconds(*[("walking", 50, 2, 100.0), ("standing", 8, 0, NAN)] * 10)
    joined = DaySettings(bouts=BoutSettings(longest_break_s=8))
    assert rows_of(s)[0]["bouts_1min"] == 0
    assert (rows_of(s, joined)[0]["bouts_5min"], rows_of(s, joined)[0]["longest_bout_s"]) == (1, 572)


def test_walking_without_any_cadence_has_no_steps_rather_than_none_taken() -> None:
    (row,) = rows_of(seconds(("walking", 600, 0, NAN), ("sitting", 600, 0, NAN)))
    assert row["steps"] is None
    assert row["cadence_spm"] is None
    assert (row["walking_slow_s"], row["walking_unclassed_s"]) == (600, 600)
    assert rows_of(seconds(("sitting", 600, 0, NAN)))[0]["steps"] == 0
    row = rows_of(seconds(("nonwear", 600, 0, NAN)))[0]
    assert row["steps"] is row["cadence_peak30_spm"] is row["bouts_1min"] is None
    assert row["walking_s"] == 0


def test_peak_minutes_count_from_midnight() -> None:
    """Two half minutes of walking in different minutes of the clock are two minutes with half the steps."""
    turns = [("walking", 60, 2, 120.0), ("sitting", 60, 0, NAN)] * 30
    assert rows_of(seconds(*turns))[0]["cadence_peak30_spm"] == pytest.approx(120)
    assert rows_of(seconds(*turns, start_s=30))[0]["cadence_peak30_spm"] == pytest.approx(60)
    assert rows_of(seconds(*turns[:2], start_s=30))[0]["cadence_peak30_spm"] == pytest.approx(120 / 30)


# walking, speed class as found -> as counted
SPEEDS = [
    ("", "", ""),
    ("ww.ww", "00000", "11011"),
    ("wwww.", "03000", "33330"),
    ("wwwwww", "200003", "222333"),
    ("wwwww", "20003", "22233"),
    ("ww.ww", "30000", "33011"),
    (".ww.", "3003", "0110"),
]


@pytest.mark.parametrize(("walking", "found", "counted"), SPEEDS)
def test_walking_without_a_speed_class_takes_the_nearest(walking: str, found: str, counted: str) -> None:
    mask = np.array([c == "w" for c in walking], dtype=bool)
    speed = np.array([int(c) for c in found], dtype=np.uint8)
    assert "".join(str(c) for c in complete_speed(mask, speed)) == counted


QUALITY = [
    ({}, "full"),
    ({"both_sensors_s": 86_000}, "one_sensor"),
    ({"nonwear_s": 301, "wear_s": 86_099, "both_sensors_s": 0}, "nonwear"),
    ({"nonwear_s": 300, "wear_s": 86_100, "both_sensors_s": 86_100}, "full"),
    ({"unknown_s": 301, "nonwear_s": 9_000, "wear_s": 77_099}, "partial"),
    ({"unknown_s": 301, "nonwear_s": 86_099, "wear_s": 0}, "empty"),
]


@pytest.mark.parametrize(("changes", "code"), QUALITY)
def test_quality_codes(changes: dict[str, int], code: str) -> None:
    row = {"unknown_s": 0, "nonwear_s": 0, "wear_s": 86_400, "both_sensors_s": 86_400} | changes
    assert day_quality(row, DaySettings()) == code


def test_one_sensor_is_counted() -> None:
    both = np.arange(86_400) < 80_000
    (row,) = rows_of(replace(seconds(("sitting", 86_400, 0, NAN)), kind=np.where(both, 1, 2).astype(np.uint8)))
    assert (row["both_sensors_s"], row["quality"]) == (80_000, "one_sensor")


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    s = seconds(("sitting", 10, 0, NAN))
    for wrong in (
        {"speed": s.speed[:5]},
        {"names": ("sitting", "flying")},
        {"activity": np.full(10, 99, dtype=np.uint8)},
        {"speed": np.full(10, 4, dtype=np.uint8)},
    ):
        with pytest.raises(ValueError, match=r"Seconds|activities|speed"):
            replace(s, **wrong)


def test_other_orders_of_codes_count_the_same() -> None:
    names = tuple(reversed(ACTIVITIES))
    turned = replace(DAY, activity=(len(names) - 1 - DAY.activity).astype(np.uint8), names=names)
    assert rows_of(turned) == rows_of(DAY)


def test_parquet_is_the_contract_and_the_same_bytes() -> None:
    rows = rows_of(DAY) + rows_of(seconds(("walking", 600, 0, NAN)))
    content = days_parquet(rows)
    assert content == days_parquet(rows)
    frame = pd.read_parquet(io.BytesIO(content))
    assert list(frame.columns)[:16] == CONTRACT
    assert frame["steps"].isna().tolist() == [False, True]
    assert frame["walking_s"].tolist() == [3_900, 600]
    assert not frame["simulated"].any()
    required = [c.name for c in DAY_COLUMNS if c.required]
    assert list(pd.read_parquet(io.BytesIO(days_parquet([]))).columns) == required
    apart = days_parquet(rows_of(DAY, DaySettings(stairs_are_walking=False)))
    assert "stairs_s" in pd.read_parquet(io.BytesIO(apart)).columns


def test_each_day_names_the_sensors_it_was_classified_from() -> None:
    two = seconds(("sitting", 86_400, 0, NAN), ("sitting", 86_400, 0, NAN))
    kind = np.repeat(np.array([1, 2], dtype=np.uint8), 86_400)
    said = replace(two, kind=kind)
    assert [row["classifier"] for row in rows_of(said)] == ["thigh+back", "thigh"]
