from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from walkrisk.commands.arguments import reference_study
from walkrisk.errors import StudyFault, UsageFault
from walkrisk.sensors.settings import SensorSettings, load_settings, notes_of, sensors_schema, settings_table


def written(folder: Path, text: str) -> Path:
    path = folder / "sensors.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_declaration_is_the_default(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, "")) == SensorSettings()


def test_the_reference_study_declares_its_choices() -> None:
    settings = load_settings(reference_study() / "sensors.toml")
    assert settings.time.timezone == "Europe/Oslo"
    assert settings.days.stairs_are_walking
    assert settings.days.shuffling_is_standing
    assert settings.intensity.limits_spm == (100.0, 115.0)
    assert (settings.intensity.met_slow, settings.intensity.met_moderate, settings.intensity.met_brisk) == (
        2.8,
        3.8,
        4.8,
    )
    assert "not published" in settings.note


def test_all_faults_are_said_together(tmp_path: Path) -> None:
    text = """
[time]
timezone = "Europe/Nowhere"
[intensity]
moderate_from_spm = 120.0
brisk_from_spm = 110.0
[wear]
still_sd_mg = -1.0
[clocks]
search_h = 0.0
[cadence]
slowest_spm = 300.0
[days]
allowed_unknown_s = -5.0
"""
    with pytest.raises(StudyFault) as fault:
        load_settings(written(tmp_path, text))
    said = "\n".join(fault.value.faults)
    for key in (
        "time.timezone",
        "intensity.brisk_from_spm",
        "wear.still_sd_mg",
        "clocks.search_h",
        "cadence.fastest_spm",
        "days.allowed_unknown_s",
    ):
        assert re.search(rf"sensors\.toml:\d+: {re.escape(key)}: ", said)
    assert len(fault.value.faults) == 6


def test_unknown_keys_and_missing_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(StudyFault, match=r"wear\.still_sd: unknown key.*still_sd_mg"):
        load_settings(written(tmp_path, "[wear]\nstill_sd = 13.0\n"))
    with pytest.raises(UsageFault):
        load_settings(tmp_path / "nowhere.toml")


def test_the_table_of_settings_holds_the_defaults_too() -> None:
    assert settings_table(SensorSettings())["intensity"]["brisk_from_spm"] == 115.0


def test_the_schema_for_editors_is_up_to_date() -> None:
    kept = json.loads((reference_study().parent / "sensors.schema.json").read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(sensors_schema())), (
        "run: walkrisk schema --sensors --out analyses/sensors.schema.json"
    )


def test_what_must_be_said_travels_with_the_days(tmp_path: Path) -> None:
    from walkrisk.cohorts.long_days import _notes
    from walkrisk.days.daily import days_parquet

    said = notes_of(load_settings(reference_study() / "sensors.toml"))
    assert "not published" in said[0]
    assert "100" in said[1]
    path = tmp_path / "days.parquet"
    path.write_bytes(days_parquet([], notes=said))
    assert tuple(_notes(path)) == said
    path.write_bytes(days_parquet([]))
    assert _notes(path) == []


def test_a_fault_of_one_kind_does_not_hide_another(tmp_path: Path) -> None:
    with pytest.raises(StudyFault) as fault:
        load_settings(
            written(tmp_path, '[wear]\nstill_sd = 13.0\n[cadence]\nslowest_spm = 300.0\n[time]\ntimezone = "X/Y"\n')
        )
    assert len(fault.value.faults) == 3
