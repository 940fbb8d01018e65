"""What is said and done when recordings are laid side by side, on simulated files."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from walkrisk.days.local_time import TimeSettings, local_clock
from walkrisk.sensors.pairs import Pair
from walkrisk.sensors.participant import Task, process
from walkrisk.sensors.preparation import prepare
from walkrisk.sensors.run import run_sensors
from walkrisk.sensors.settings import SensorSettings, UseSettings
from walkrisk.sensors.store import read_part
from walkrisk.simulation.recording_declaration import clean
from walkrisk.simulation.recordings import simulate_recordings


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("simulated") / "cwa"
    simulate_recordings(folder, participants=1, days=0.03, seed=2, mix=clean())
    return Pair("p", folder / "sim0001_thigh.cwa", folder / "sim0001_back.cwa")


def quality(pair: Pair, out: Path, settings: SensorSettings | None = None) -> dict[str, object]:
    assert process(Task(pair, settings or SensorSettings(), out, "s", ())) == ""
    part = read_part(out, "p")
    assert part is not None
    return dict(part.quality)


def test_a_pair_is_complete_and_one_recording_twice_is_not(files: Pair, tmp_path: Path) -> None:
    assert quality(files, tmp_path)["status"] == "complete"
    shutil.copy(files.thigh or "", tmp_path / "copy.cwa")
    twice = quality(Pair("p", files.thigh, tmp_path / "copy.cwa"), tmp_path)
    assert twice["status"] == "reduced"
    assert twice["back_status"] == "not used"
    assert "Both files are one recording" in str(twice["notes"])


def test_the_site_a_file_names_is_compared_with_its_name(files: Pair) -> None:
    assert not [note for note in prepare(files, SensorSettings()).notes if "itself says" in note]
    ready = prepare(Pair("p", thigh=files.back), SensorSettings())
    assert "Thigh: the file itself says that it was worn at the back." in ready.notes


def test_a_sensor_that_may_not_be_used_alone_leaves_unknown_time_and_says_so(files: Pair, tmp_path: Path) -> None:
    settings = SensorSettings(use=UseSettings(thigh_alone=False))
    row = quality(replace(files, back=None), tmp_path, settings)
    assert row["status"] == "failed"
    assert "is not to be classified, as declared" in str(row["notes"])
    assert "Nothing was classified" in str(row["notes"])


def test_a_back_that_began_before_the_thigh_was_set_does_not_move_its_hours() -> None:
    """The thigh's clock was set after the clocks went forward; the back's recording began the day before."""
    clock = local_clock(
        TimeSettings(timezone="Europe/Oslo"),
        origin=np.datetime64("2024-03-31", "ns"),
        start_s=-86_400.0,
        stop_s=86_400.0,
        configured=np.datetime64("2024-03-31T09:00", "ns"),
        started_s=40_000.0,
    )
    assert clock.shift(np.array([40_000.0]))[0] == 0.0


def test_gaps_are_neither_recorded_nor_worn_hours(tmp_path: Path) -> None:
    time = np.arange(0.0, 3600.0, 0.02)
    time = time[(time < 600.0) | (time >= 2400.0)]
    rng = np.random.default_rng(1)
    table = pd.DataFrame(0.02 * rng.standard_normal((len(time), 3)), columns=["acc_x", "acc_y", "acc_z"])
    table["acc_x"] += 1.0
    table.insert(0, "datetime", np.datetime64("2024-02-01T10:00", "ns") + (time * 1e9).astype("timedelta64[ns]"))
    table.to_parquet(tmp_path / "p.parquet")
    row = quality(Pair("p", tmp_path / "p.parquet"), tmp_path)
    assert row["thigh_hours"] == pytest.approx(0.5, abs=0.001)
    assert row["thigh_worn_h"] == pytest.approx(0.5, abs=0.001)
    assert row["thigh_gap_s"] == pytest.approx(1800.0, abs=1.0)


def test_a_recording_that_was_never_worn_is_read_all_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    still = pd.DataFrame(0.001 * rng.standard_normal((5 * 3600 * 25, 3)), columns=["acc_x", "acc_y", "acc_z"])
    still["acc_z"] += 1.0
    still.insert(0, "datetime", np.datetime64("2024-02-01", "ns") + np.arange(len(still)) * np.timedelta64(40, "ms"))
    (tmp_path / "in").mkdir()
    still.to_parquet(tmp_path / "in" / "p_thigh.parquet")
    made = run_sensors(tmp_path / "in", out=tmp_path / "out", settings=SensorSettings(), pictures=False)
    row = read_part(tmp_path / "out", "p")
    assert row is not None
    assert (row.quality["status"], row.quality["thigh_status"]) == ("failed", "read")
    assert "Not worn: thigh" in row.quality["notes"]
    assert made.unread == 0
