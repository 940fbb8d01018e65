"""Local time and calendar days: 23, 24 and 25 hours that add up, whatever zone a recorder was set up in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from walkrisk.days.local_time import LocalClock, TimeSettings, local_clock, time_faults
from walkrisk.errors import StudyFault

HOUR = 3600.0
DAY = 24 * HOUR
OSLO = TimeSettings(timezone="Europe/Oslo")


def clock(
    settings: TimeSettings, origin: str, start_h: float, stop_h: float, configured: str | None = None
) -> LocalClock:
    return local_clock(
        settings,
        origin=np.datetime64(origin, "ns"),
        start_s=start_h * HOUR,
        stop_s=stop_h * HOUR,
        configured=np.datetime64(configured) if configured else None,
    )


def hours(found: LocalClock, start_h: float, stop_h: float) -> dict[str, float]:
    days = found.days(start_h * HOUR, stop_h * HOUR)
    assert np.array_equal(days.start_s[1:], days.stop_s[:-1])
    return {str(d): s / HOUR for d, s in zip(days.date, days.length_s, strict=True)}


# Zone worn, zone configured, device midnight, hours of recording -> length of each calendar day.
DAYS = {
    "no change": ("Europe/Oslo", "", "2018-03-20", (10, 40), {"2018-03-20": 24, "2018-03-21": 24}),
    "spring": ("Europe/Oslo", "", "2018-03-24", (10, 60), {"2018-03-24": 24, "2018-03-25": 23, "2018-03-26": 24}),
    "autumn": ("Europe/Oslo", "", "2018-10-27", (10, 60), {"2018-10-27": 24, "2018-10-28": 25, "2018-10-29": 24}),
    "the change before the start": ("Europe/Oslo", "", "2018-03-25", (10, 12), {"2018-03-25": 23}),
    "the change after the end": ("Europe/Oslo", "", "2018-10-28", (1, 1.5), {"2018-10-28": 25}),
    "half an hour": (
        "Australia/Lord_Howe",
        "",
        "2023-10-01",
        (-20, 30),
        {"2023-09-30": 24, "2023-10-01": 23.5, "2023-10-02": 24},
    ),
    "midnight itself": (
        "America/Sao_Paulo",
        "",
        "2018-11-03",
        (1, 49),
        {"2018-11-03": 24, "2018-11-04": 23, "2018-11-05": 24},
    ),
    "a date left out": ("Pacific/Apia", "", "2011-12-29", (1, 30), {"2011-12-29": 24, "2011-12-31": 24}),
}  # fmt: skip


@pytest.mark.parametrize("case", DAYS)
def test_length_of_days(case: str) -> None:
    worn, configured, origin, (start, stop), expected = DAYS[case]
    found = clock(TimeSettings(timezone=worn, configured_timezone=configured), origin, start, stop)
    assert hours(found, start, stop) == expected


def test_a_recording_over_both_clock_changes_adds_up() -> None:
    start, stop = 8.0, 8.0 + 230 * 24
    found = clock(OSLO, "2018-03-23", start, stop)
    lengths = hours(found, start, stop)
    assert [d for d, h in lengths.items() if h != 24] == ["2018-03-25", "2018-10-28"]
    assert (lengths["2018-03-25"], lengths["2018-10-28"]) == (23, 25)
    assert sum(lengths.values()) == 24 * len(lengths)
    assert found.days(start * HOUR, stop * HOUR).changes_s.tolist() == [50 * HOUR, (50 + 217 * 24) * HOUR]


@pytest.mark.parametrize(
    ("worn", "configured"),
    [
        ("Europe/Oslo", ""),
        ("Europe/Oslo", "America/New_York"),
        ("Asia/Kathmandu", "Europe/Oslo"),
        ("UTC", "Asia/Tokyo"),
    ],
)
def test_local_time_second_by_second_against_the_standard_library(worn: str, configured: str) -> None:
    """The device shows the wall clock of its zone when set, and then counts on."""
    set_at = datetime(2018, 10, 26, 9, 30, tzinfo=ZoneInfo(configured or worn))
    device = set_at.replace(tzinfo=None)
    found = clock(
        TimeSettings(timezone=worn, configured_timezone=configured), "2018-10-26", 9.5, 120, device.isoformat()
    )
    later = np.arange(0, 110 * 3600, 700)
    time_s = 9.5 * HOUR + later.astype(np.float64)
    truth = [
        (set_at.astimezone(UTC) + timedelta(seconds=int(s))).astimezone(ZoneInfo(worn)).replace(tzinfo=None)
        for s in later
    ]
    assert found.local(time_s).tolist() == np.array(truth, dtype="datetime64[ns]").tolist()
    days = found.days(time_s[0], time_s[-1] + 1)
    which = np.searchsorted(days.start_s, time_s, side="right") - 1
    assert days.date[which].tolist() == [t.date() for t in truth]


def test_the_clock_keeps_the_offset_of_the_day_it_was_set() -> None:
    """Set in summer (UTC+2) for a recording in winter (UTC+1): the device runs an hour ahead of local time."""
    found = clock(OSLO, "2018-11-05", 12, 60, configured="2018-10-01T15:00")
    assert found.local(np.array([12 * HOUR])) == np.datetime64("2018-11-05T11:00")
    assert hours(found, 12, 48.5) == {"2018-11-05": 24, "2018-11-06": 24}
    assert found.days(12 * HOUR, 60 * HOUR).start_s[1] == 25 * HOUR
    assert not found.sentences


@pytest.mark.parametrize("said", ["2000-01-01T00:00", "2018-11-06T12:00"])
def test_a_time_of_setting_that_cannot_be_is_not_believed(said: str) -> None:
    found = clock(OSLO, "2018-11-05", 12, 60, configured=said)
    assert found.local(np.array([12 * HOUR])) == np.datetime64("2018-11-05T12:00")
    assert "no credible time" in found.sentences[0]


def test_fractions_of_a_second_are_kept() -> None:
    found = clock(OSLO, "2018-03-24", 10, 60)
    at = np.array([36_000.25, 26 * HOUR - 0.001, 26 * HOUR])
    said = ["2018-03-24T10:00:00.250", "2018-03-25T01:59:59.999", "2018-03-25T03:00"]
    assert found.local(at).tolist() == [np.datetime64(s, "ns").item() for s in said]


def test_without_a_zone_days_have_24_hours_and_it_is_said() -> None:
    found = clock(TimeSettings(), "2018-03-24", 10, 60)
    assert hours(found, 10, 60) == {"2018-03-24": 24, "2018-03-25": 24, "2018-03-26": 24}
    assert "device clock is taken for local time" in found.sentences[0]
    assert "gives no time at which" in clock(OSLO, "2018-03-24", 10, 60).sentences[0]


def test_ends_of_a_recording() -> None:
    found = clock(TimeSettings(), "2018-03-24", 0, 48)
    assert hours(found, 0, 24) == {"2018-03-24": 24}
    assert len(found.days(24 * HOUR, 24 * HOUR + 0.01).date) == 1
    assert len(found.days(5.0, 5.0).date) == 0


@pytest.mark.parametrize("name", ["Europe/Olso", "../etc/passwd", "Europe", "/etc/localtime", "\0"])
def test_unknown_zones_are_faults(name: str) -> None:
    with pytest.raises(StudyFault, match="timezone: there is no time zone"):
        clock(TimeSettings(timezone=name), "2018-03-24", 0, 1)
    assert time_faults(TimeSettings(timezone="UTC", configured_timezone=name))


def test_configured_zone_alone_is_a_fault() -> None:
    assert "needs timezone" in time_faults(TimeSettings(configured_timezone="UTC"))[0]
