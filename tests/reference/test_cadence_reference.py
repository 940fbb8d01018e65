"""Cadence on real walking: the table in analyses/activity_classifier/cadence.csv made again, and what it must show."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "analyses" / "activity_classifier"
KEYS = ["data", "signal", "compared", "unit", "by", "band"]
AX3 = "50 Hz, 1/64 g"


def evaluation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("evaluate_cadence", FOLDER / "evaluate_cadence.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def table(shared: Path) -> pd.DataFrame:
    script, data = evaluation(), shared / "data"
    return pd.DataFrame(
        [*script.against_strides(data), *script.between_sensors(data), *script.against_counted_steps(data)]
    )


def row(table: pd.DataFrame, **wanted: str) -> pd.Series:
    found = table[(table[list(wanted)] == list(wanted.values())).all(axis=1)]
    assert len(found) == 1
    return found.iloc[0]


def test_the_table_in_the_project_is_the_one_the_script_makes(table: pd.DataFrame) -> None:
    kept = pd.read_csv(FOLDER / "cadence.csv", dtype={"band": str}, keep_default_na=False, na_values={"n": ""})
    kept = kept.apply(lambda c: c if c.name in KEYS else pd.to_numeric(c))
    pd.testing.assert_frame_equal(kept[KEYS], table[KEYS].astype(str), check_dtype=False)
    for name in set(kept.columns) - set(KEYS):
        pd.testing.assert_series_equal(kept[name], table[name].astype(float), check_dtype=False, atol=0.05, rtol=0.01)


@pytest.mark.parametrize("system", ["INDIP", "Stereophoto"])
def test_bouts_agree_with_strides_measured_at_the_feet(table: pd.DataFrame, system: str) -> None:
    bouts = table[(table["unit"] == "bout") & (table["signal"] == AX3)]
    bouts = bouts[bouts["compared"] == f"back, {system} strides"]
    assert row(bouts, by="all")["mean_absolute_error"] < 4.5
    assert abs(row(bouts, by="all")["bias"]) < 3.5
    assert row(bouts, by="speed_m_s", band="1 to below 1.2")["mean_absolute_error"] < 2.5
    assert row(bouts, by="cadence_spm", band="below 90")["mean_absolute_error"] < 5.5


def test_thigh_and_back_find_the_same_slow_walking_in_old_age(table: pd.DataFrame) -> None:
    old = table[(table["data"] == "har70plus")]
    slow = row(old, by="cadence_spm", band="below 90")
    assert slow["n"] > 5000
    assert slow["median_absolute_error"] < 1
    assert slow["within_10_percent"] > 0.9
    assert row(old, by="all")["within_10_percent"] > 0.955
    assert row(old, by="all")["mean_absolute_error"] < 1.6
    assert old[old["by"] == "subject"]["within_10_percent"].min() > 0.9


def test_thigh_and_back_find_the_same_walking_and_running(table: pd.DataFrame) -> None:
    harth = table[table["data"] == "harth"]
    assert row(harth, compared="thigh and back, walking", by="all")["within_10_percent"] > 0.95
    running = row(harth, compared="thigh and back, running", by="cadence_spm", band="from 110")
    assert running["within_5_percent"] > 0.99
    mislabelled = row(harth, compared="thigh and back, running said to be walking", by="all")
    assert mislabelled["within_5_percent"] > 0.99
    assert (
        abs(mislabelled["mean_reference"] - row(harth, compared="thigh and back, running", by="all")["mean_reference"])
        < 2
    )


def test_counted_steps_are_found(table: pd.DataFrame) -> None:
    counted = table[table["by"] == "steps"]
    assert len(counted) == 2
    assert (counted["mean_absolute_error"] < 0.05 * 610).all()
