"""What simulated people and devices can be like: the grammar of `simulated_recordings.toml`, all with defaults."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from walkrisk.declarations import build, key_of, option, read_toml
from walkrisk.errors import StudyFault
from walkrisk.places import pointing

Activity = Literal[
    "lying", "sitting", "standing", "shuffling", "walking", "upstairs", "downstairs", "running", "cycling"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One stretch of a fixed programme."""

    activity: Activity
    seconds: int
    cadence_spm: float = option(0.0, doc="steps (cycling: half turns) per minute; 0: as the person does")


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Who wears the devices and how they spend their days."""

    age_years: tuple[float, ...] = option((40.0, 75.0), doc="lowest and highest age")
    walking_min: float = option(90.0, doc="median true walking a day at 55 years, minutes")
    walking_log_sd: float = option(0.45, doc="between people, SD of its logarithm")
    walking_log_per_decade: float = option(-0.08, doc="change of its logarithm per ten years of age")
    cadence_spm: float = option(106.0, doc="mean comfortable steps/min at 55 years")
    cadence_sd_spm: float = option(9.0, doc="between people")
    cadence_per_decade_spm: float = option(-3.0)
    cadence_bout_sd_spm: float = option(12.0, doc="between the bouts of one person")
    cadence_limits_spm: tuple[float, ...] = option((50.0, 145.0))
    speed_limits_spm: tuple[float, ...] = option(
        (100.0, 115.0), doc="true speed class: below the first slow, from the second on brisk"
    )
    runs: float = option(0.25, doc="probability that a person runs, every third day")
    cycles: float = option(0.35, doc="probability that a person cycles, every second day")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wear:
    """How the devices are worn; probabilities are per participant."""

    handling_min: float = option(12.0, doc="minutes before attachment, the devices turned through many orientations")
    shower: float = option(0.3, doc="takes both devices off for a shower every morning")
    both_off: float = option(0.15, doc="both devices off once, for 2 to 5 hours")
    one_off: float = option(0.15, doc="one device off (fallen off) once, for 3 to 9 hours")
    upside_down: float = option(0.1, doc="each device: turned by 180 degrees about z (x and y change sign)")
    inside_out: float = option(0.05, doc="each device: turned by 180 degrees about x (y and z change sign)")
    swapped: float = option(0.04, doc="thigh and back exchanged: each file holds the other site's signal")
    tilt_deg: float = option(5.0, doc="SD of the rotation about x with which a device is put on")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Errors of the devices; SDs between devices, probabilities per device unless said otherwise."""

    rate_error_ppm: float = option(1500.0, doc="SD of the sampling rate's error")
    clock_offset_s: float = option(0.5, doc="the clock is set within plus or minus this")
    drift_s_per_day: float = option(2.0, doc="the clock drifts within plus or minus this")
    gain_sd: float = option(0.012)
    offset_sd_g: float = option(0.015)
    temperature_sd_g_per_c: float = option(0.0004)
    noise_g: float = option(0.004, doc="SD of the sensor's noise")
    packed: float = option(1.0, doc="probability that a participant's files are packed (10 bits)")
    corrupt: float = option(0.08, doc="probability of sectors with a wrong checksum")
    corrupt_sectors: int = option(6, doc="how many then")
    missing: float = option(0.06, doc="probability that sectors are missing once")
    missing_s: float = option(600.0, doc="for how long then (about)")
    restart: float = option(0.05, doc="probability that the device restarts once")
    restart_s: float = option(240.0, doc="how long it then stands still")
    truncated: float = option(0.05, doc="probability that the file ends within a sector")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """When and where it is recorded; the device clock never changes with daylight saving."""

    timezone: str = option("Europe/Oslo")
    first_day: str = option("2024-01-15")
    weeks: int = option(8, doc="recordings begin on any day of these weeks")
    clock_change_day: str = option("2024-03-31", doc="a night of changing clocks")
    clock_change: float = option(0.1, doc="probability that a recording begins two days before it")
    start_hour: float = option(9.0, doc="local hour at which a recording begins, plus up to two")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Log-linear risk of the outcome: log p = log risk + sum of coefficient times (value - centre)."""

    risk: float = option(0.2, doc="of a man of 55 years who never smoked and walks 90 min/day")
    log_rr_per_walking_h: float = option(-0.25, doc="per hour of true walking a day")
    log_rr_per_decade: float = option(0.1)
    log_rr_female: float = option(0.1)
    log_rr_former: float = option(0.1)
    log_rr_current: float = option(0.3)
    former: float = option(0.35, doc="share of former smokers")
    current: float = option(0.15, doc="share of current smokers")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingMix:
    """Simulated recordings: the people, how devices are worn, what is wrong with them, when, and the outcome."""

    title: str = option("Simulated recordings")
    rate_hz: int = option(50)
    people: People = option(factory=People)
    wear: Wear = option(factory=Wear)
    device: Device = option(factory=Device)
    calendar: Calendar = option(factory=Calendar)
    outcome: Outcome = option(factory=Outcome)
    program: tuple[Part, ...] = option((), doc="instead of a person's days: these parts over and over, after handling")


PROBABILITIES = {
    "people": ("runs", "cycles"),
    "wear": ("shower", "both_off", "one_off", "upside_down", "inside_out", "swapped"),
    "device": ("packed", "corrupt", "missing", "restart", "truncated"),
    "calendar": ("clock_change",),
    "outcome": ("risk", "former", "current"),
}
PAIRS = {"people": ("age_years", "cadence_limits_spm", "speed_limits_spm")}
RATES = (25, 50, 100, 200)


def clean() -> RecordingMix:
    """A mix in which nothing is wrong with any device or the way it is worn: no error, no fault, no non-wear."""
    return RecordingMix(
        wear=Wear(shower=0, both_off=0, one_off=0, upside_down=0, inside_out=0, swapped=0, tilt_deg=0),
        device=Device(
            rate_error_ppm=0,
            clock_offset_s=0,
            drift_s_per_day=0,
            gain_sd=0,
            offset_sd_g=0,
            temperature_sd_g_per_c=0,
            corrupt=0,
            missing=0,
            restart=0,
            truncated=0,
        ),
        calendar=Calendar(clock_change=0),
    )


def load_mix(path: Path) -> RecordingMix:
    """The mix a TOML file declares; UsageFault if there is none, StudyFault with every fault."""
    table = read_toml(Path(path), "a declaration of simulated recordings")
    with pointing(Path(path)):
        return parse_mix(table)


def parse_mix(table: Mapping[str, Any]) -> RecordingMix:
    """A mix from its TOML table; raises StudyFault with every fault, each with its key."""
    faults: list[str] = []
    mix = build(RecordingMix, table, "", faults)
    if mix is not None:
        faults += faults_of(mix)
    if mix is None or faults:
        raise StudyFault(faults)
    return mix


def faults_of(mix: RecordingMix) -> list[str]:
    """Every value that cannot be simulated, as a sentence with its key."""
    faults: list[str] = []
    for table, names in PROBABILITIES.items():
        for name in names:
            if not 0 <= getattr(getattr(mix, table), name) <= 1:
                faults.append(f"{table}.{name}: must be between 0 and 1.")
    for table in ("people", "wear", "device", "calendar"):
        declared = getattr(mix, table)
        for f in fields(declared):
            value = getattr(declared, f.name)
            if isinstance(value, int | float) and value < 0 and "per_decade" not in f.name:
                faults.append(f"{table}.{key_of(f)}: must be 0 or more.")
    for table, names in PAIRS.items():
        for name in names:
            pair = getattr(getattr(mix, table), name)
            if len(pair) != 2 or not 0 < pair[0] < pair[1] or not math.isfinite(pair[1]):
                faults.append(f"{table}.{name}: must be two numbers above 0, the lower one first.")
    if mix.rate_hz not in RATES:
        faults.append(f"rate_hz: must be one of {', '.join(map(str, RATES))}, got {mix.rate_hz}.")
    if mix.outcome.former + mix.outcome.current > 1:
        faults.append("outcome: former and current smokers are more than everybody.")
    if any(part.seconds < 1 for part in mix.program):
        faults.append("program: every part must last 1 second or more.")
    return faults + _calendar_faults(mix.calendar)


def _calendar_faults(calendar: Calendar) -> list[str]:
    faults = []
    for name in ("first_day", "clock_change_day"):
        try:
            if not 2001 <= dt.date.fromisoformat(getattr(calendar, name)).year <= 2060:
                faults.append(f"calendar.{name}: must lie between 2001 and 2060.")
        except ValueError:
            faults.append(f"calendar.{name}: must be a day, YYYY-MM-DD.")
    try:
        ZoneInfo(calendar.timezone)
    except (KeyError, ValueError, OSError):
        faults.append(f"calendar.timezone: {calendar.timezone!r} is no time zone such as Europe/Oslo.")
    if calendar.weeks < 1 or calendar.start_hour > 21:
        faults.append("calendar: weeks must be 1 or more and start_hour 21 or less.")
    return faults
