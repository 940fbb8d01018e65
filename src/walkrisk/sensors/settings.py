"""sensors.toml: everything about the way from recordings to days that a user may decide, in one declaration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from walkrisk.days.daily import DaySettings
from walkrisk.days.local_time import TimeSettings, time_faults
from walkrisk.declarations import build, json_schema, option, read_toml
from walkrisk.epochs.cadence import CadenceSettings
from walkrisk.epochs.intensity import (
    OWN_DEFINITION,
    IntensitySettings,
    definition_sentence,
    intensity_faults,
)
from walkrisk.errors import StudyFault
from walkrisk.places import with_lines
from walkrisk.recordings.calibration import CalibrationSettings
from walkrisk.recordings.synchrony import Synchrony
from walkrisk.recordings.wear import WearSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class UseSettings:
    """Which recordings are used, and what is repaired."""

    thigh_alone: bool = option(True, doc="Classify from the thigh where there is no back sensor; else unknown.")
    back_alone: bool = option(True, doc="Classify from the back where there is no thigh sensor; else unknown.")
    calibrate: bool = option(True, doc="Calibrate the sensors against gravity.")
    synchronise: bool = option(True, doc="Bring the clocks of the two sensors together.")
    turn: bool = option(True, doc="Turn sensors worn upside down or inside out.")
    exchange: bool = option(True, doc="Exchange files of thigh and back that were named the wrong way round.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorSettings:
    """The declaration of `walkrisk sensors`."""

    note: str = option("", doc="A sentence on where these choices come from; said wherever the result is shown.")
    use: UseSettings = option(factory=UseSettings)
    time: TimeSettings = option(factory=TimeSettings)
    calibration: CalibrationSettings = option(factory=CalibrationSettings)
    wear: WearSettings = option(factory=WearSettings)
    clocks: Synchrony = option(factory=Synchrony)
    cadence: CadenceSettings = option(factory=CadenceSettings)
    intensity: IntensitySettings = option(factory=IntensitySettings)
    days: DaySettings = option(factory=DaySettings)


def load_settings(path: Path) -> SensorSettings:
    """The settings in a sensors.toml. Raises UsageFault without the file, StudyFault with every fault in it."""
    faults: list[str] = []
    table = read_toml(path, "the sensors' declaration")
    settings = build(SensorSettings, table, "", faults)
    faults += _value_faults(settings or _sections_in_order(table))
    if faults or settings is None:
        raise StudyFault(with_lines(faults, path))
    return settings


def _sections_in_order(table: Mapping[str, Any]) -> SensorSettings:
    """The sections that can be built each for itself, the others at their defaults: to look for faults in them."""
    built: dict[str, Any] = {}
    default = SensorSettings()
    for section in fields(SensorSettings):
        raw = table.get(section.name)
        found = build(type(getattr(default, section.name)), raw, "", []) if isinstance(raw, Mapping) else None
        if found is not None:
            built[section.name] = found
    return SensorSettings(**built)


def _value_faults(settings: SensorSettings) -> list[str]:
    faults = [f"intensity.{key}: {sentence}" for key, sentence in intensity_faults(settings.intensity)]
    return faults + [f"time.{sentence}" for sentence in time_faults(settings.time)] + _numbers(settings)


def notes_of(settings: SensorSettings) -> tuple[str, ...]:
    """What must be said wherever speed classes, or intensities made of them, are shown."""
    return (*((settings.note,) if settings.note else ()), definition_sentence(settings.intensity), OWN_DEFINITION)


def sensors_schema() -> dict[str, Any]:
    """JSON Schema of sensors.toml, for editors."""
    return json_schema(SensorSettings, title="walkrisk sensors declaration")


def settings_table(settings: SensorSettings) -> dict[str, Any]:
    """The settings as plain tables, defaults included."""
    table: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    return table


def _numbers(settings: SensorSettings) -> list[str]:
    """Limits and lengths that must be above 0, or at least not below it."""
    faults = []
    positive: dict[str, Any] = {
        "calibration": settings.calibration,
        "wear": settings.wear,
        "clocks": settings.clocks,
        "cadence": settings.cadence,
    }
    for section, values in positive.items():
        for key, value in asdict(values).items():
            if isinstance(value, int | float) and not isinstance(value, bool) and not 0 < value < 1e6:
                faults.append(f"{section}.{key}: must be above 0 and below 1,000,000, got {value:g}.")
    for key, value in asdict(settings.days).items():
        if key.endswith("_s") and not 0 <= value <= 90_000:
            faults.append(f"days.{key}: must be 0 to 90,000 seconds, got {value:g}.")
    cadence = settings.cadence
    if cadence.fastest_spm <= cadence.slowest_spm:
        faults.append("cadence.fastest_spm: must be above slowest_spm.")
    elif not cadence.slowest_spm < cadence.walking_fastest_spm <= cadence.fastest_spm:
        faults.append("cadence.walking_fastest_spm: must be above slowest_spm and at most fastest_spm.")
    elif not cadence.slowest_spm <= cadence.running_slowest_spm < cadence.fastest_spm:
        faults.append("cadence.running_slowest_spm: must be from slowest_spm to below fastest_spm.")
    return faults
