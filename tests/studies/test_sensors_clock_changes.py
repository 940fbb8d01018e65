"""Recordings over both nights of changing clocks, and from a computer in another zone: days that add up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from walkrisk.days.daily import parts_of_day
from walkrisk.days.local_time import TimeSettings
from walkrisk.sensors.run import run_sensors
from walkrisk.sensors.settings import SensorSettings
from walkrisk.simulation.recording_declaration import Calendar, Part, clean
from walkrisk.simulation.recordings import simulate_recordings

OSLO, NEW_YORK = "Europe/Oslo", "America/New_York"
PROGRAM = tuple(
    Part(activity=a, seconds=s, cadence_spm=c)  # type: ignore[arg-type]
    for a, s, c in (("sitting", 1500, 0), ("walking", 300, 104), ("standing", 300, 0), ("lying", 1200, 0))
)
NEAR_S = 6  # how far the ends of a stretch of walking may lie from the truth


@dataclass(frozen=True)
class Night:
    """A recording that begins in the evening before a Sunday, and what was made of it."""

    days: pd.DataFrame
    epochs: pd.DataFrame
    truth: pd.DataFrame


def night(folder: Path, evening: str, *, days: float, settings: TimeSettings, set_in: str, hour: float = 21.0) -> Night:
    """The thigh's recording from about `hour` o'clock of the day `evening` in the zone `set_in` on."""
    calendar = Calendar(timezone=set_in, clock_change=1.0, clock_change_day=evening, start_hour=hour)
    mix = replace(clean(), program=PROGRAM, calendar=calendar, rate_hz=25)
    before = pd.Timestamp(evening) + pd.Timedelta(days=min(2, int(days)))  # the simulation begins that much earlier
    mix = replace(mix, calendar=replace(calendar, clock_change_day=str(before.date())))
    simulate_recordings(folder / "cwa", participants=1, days=days, seed=11, mix=mix)
    (folder / "cwa" / "sim0001_back.cwa").unlink()
    declared = replace(SensorSettings(), time=settings)
    run_sensors(folder / "cwa", out=folder / "out", settings=declared, epochs=True, pictures=False)
    return Night(
        days=pd.read_parquet(folder / "out" / "days.parquet").set_index("date"),
        epochs=pd.read_parquet(folder / "out" / "epochs" / "sim0001.parquet"),
        truth=pd.read_parquet(folder / "cwa" / "truth" / "sim0001.parquet"),
    )


@pytest.fixture(scope="module")
def spring(tmp_path_factory: pytest.TempPathFactory) -> Night:
    return night(
        tmp_path_factory.mktemp("spring"), "2024-03-30", days=1.2, settings=TimeSettings(timezone=OSLO), set_in=OSLO
    )


@pytest.fixture(scope="module")
def autumn(tmp_path_factory: pytest.TempPathFactory) -> Night:
    return night(
        tmp_path_factory.mktemp("autumn"), "2024-10-26", days=1.2, settings=TimeSettings(timezone=OSLO), set_in=OSLO
    )


@pytest.fixture(scope="module")
def from_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Worn in Oslo over the spring night, set up on a computer in New York, whose clocks had changed weeks before."""
    settings = TimeSettings(timezone=OSLO, configured_timezone=NEW_YORK)
    folder = tmp_path_factory.mktemp("elsewhere")
    return night(folder, "2024-03-30", days=0.35, settings=settings, set_in=NEW_YORK, hour=15.0)


def lengths(found: Night) -> dict[str, int]:
    return {str(date): int(length) for date, length in found.days["day_s"].items()}


def walked(moments: pd.Series, walking: np.ndarray) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """First and last moment of each stretch of walking of four minutes or more."""
    edges = np.flatnonzero(np.diff(walking.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    return [(moments.iloc[i], moments.iloc[j - 1]) for i, j in edges if j - i >= 240]


def assert_at_the_right_time(found: Night, local: pd.Series) -> None:
    mine = walked(found.epochs["start"], found.epochs["activity"].isin(["walking", "stairs"]).to_numpy())
    true = walked(local, (found.truth["activity"] == "walking").to_numpy())
    true = true[-len(mine) :]  # before it is attached the device is handled
    assert len(mine) >= 5
    apart = [abs((a - b).total_seconds()) for m, t in zip(mine, true, strict=True) for a, b in zip(m, t, strict=True)]
    assert max(apart) <= NEAR_S


def assert_add_up(found: Night) -> None:
    columns = [c for c in parts_of_day(SensorSettings().days) if c in found.days]
    assert len(columns) >= 7
    assert (found.days[columns].sum(axis=1) == found.days["day_s"]).all()
    classes = ["walking_slow_s", "walking_moderate_s", "walking_brisk_s"]
    assert (found.days[classes].sum(axis=1) == found.days["walking_s"]).all()


def test_the_day_of_the_spring_night_has_23_hours(spring: Night) -> None:
    assert lengths(spring) == {"2024-03-30": 86400, "2024-03-31": 82800, "2024-04-01": 86400}
    assert_add_up(spring)
    assert spring.days["unknown_s"].astype(int).loc[pd.Timestamp("2024-03-31").date()] <= 2
    assert_at_the_right_time(spring, spring.truth["local_time"])
    hours = spring.epochs["start"].dt.floor("h")
    assert not (hours == "2024-03-31 02:00").any()  # an hour that never was
    assert {pd.Timestamp("2024-03-31 01:00"), pd.Timestamp("2024-03-31 03:00")} <= set(hours)


def test_the_day_of_the_autumn_night_has_25_hours(autumn: Night) -> None:
    assert lengths(autumn) == {"2024-10-26": 86400, "2024-10-27": 90000, "2024-10-28": 86400}
    assert_add_up(autumn)
    assert autumn.days["unknown_s"].astype(int).loc[pd.Timestamp("2024-10-27").date()] <= 2
    assert_at_the_right_time(autumn, autumn.truth["local_time"])
    twice = (autumn.epochs["start"].dt.floor("h") == "2024-10-27 02:00").sum()
    assert abs(twice - 7200) <= 2


def test_daily_walking_is_counted_to_the_right_day(spring: Night, autumn: Night) -> None:
    for found in (spring, autumn):
        true = found.truth.groupby(found.truth["local_time"].dt.date)["activity"].apply(
            lambda a: (a == "walking").sum()
        )
        mine = found.days["walking_s"].astype(float)
        for date in mine.index[1:]:  # the first day begins with handling
            assert mine[date] == pytest.approx(true[date], rel=0.05)


def test_a_clock_set_in_another_zone_is_brought_to_local_time(from_elsewhere: Night) -> None:
    assert lengths(from_elsewhere) == {"2024-03-30": 86400, "2024-03-31": 82800}
    assert_add_up(from_elsewhere)
    utc = from_elsewhere.truth["start_utc"].dt.tz_localize("UTC")
    assert_at_the_right_time(from_elsewhere, utc.dt.tz_convert(OSLO).dt.tz_localize(None))


def test_without_a_zone_every_day_has_24_hours_and_it_is_said(tmp_path: Path) -> None:
    found = night(tmp_path, "2024-03-30", days=0.3, settings=TimeSettings(), set_in=OSLO)
    assert set(lengths(found).values()) == {86400}
    assert_add_up(found)
    assert "every day has 24 h" in pd.read_csv(tmp_path / "out" / "quality.csv")["notes"].iloc[0]
