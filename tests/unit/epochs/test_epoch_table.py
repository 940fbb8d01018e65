"""The epochs' record, its Arrow table and its file."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from walkrisk.epochs import activities
from walkrisk.epochs.epoch_table import (
    ACTIVITIES,
    EPOCH_COLUMNS,
    SPEED_CLASSES,
    Epochs,
    epochs_parquet,
    epochs_table,
)

START = np.datetime64("2018-03-24T23:59:58", "ns")
CONTRACT = ["participant_id", "start", "duration_s", "activity", "probability", "cadence_spm", "speed_class", "met"]


def epochs(n: int = 5, **other: object) -> Epochs:
    f32 = np.float32
    values: dict[str, object] = {
        "participant_id": "0012",
        "start": START + np.arange(n) * np.timedelta64(1, "s"),
        "duration_s": np.ones(n, f32),
        "activity": np.resize(np.array([4, 5, 6, 1, 8], np.uint8), n),
        "probability": np.resize(np.array([0.98765, 0.5, 1.0, np.nan, 0.25], f32), n),
        "cadence_spm": np.resize(np.array([104.26, 80.0, 161.0, np.nan, np.nan], f32), n),
        "speed_class": np.resize(np.array([2, 1, 0, 0, 0], np.uint8), n),
        "met": np.resize(np.array([3.8, 2.8, np.nan, np.nan, np.nan], f32), n),
    }
    return Epochs(**(values | other))  # type: ignore[arg-type]


def test_the_columns_are_those_of_the_contract() -> None:
    assert [c.name for c in EPOCH_COLUMNS] == CONTRACT
    assert epochs_table(epochs()).column_names == CONTRACT


def test_names_are_those_of_the_classifier() -> None:
    assert set(ACTIVITIES) == {*activities.ACTIVITIES, "nonwear", "unknown"}


def test_codes_become_words_and_missing_stays_missing() -> None:
    rows = epochs_table(epochs()).to_pylist()
    assert [r["activity"] for r in rows] == ["walking", "stairs", "running", "sitting", "nonwear"]
    assert [r["speed_class"] for r in rows] == ["moderate", "slow", None, None, None]
    assert {r["participant_id"] for r in rows} == {"0012"}
    assert rows[0]["cadence_spm"] == pytest.approx(104.3)
    assert rows[0]["probability"] == pytest.approx(0.988)
    assert [r["cadence_spm"] is None for r in rows] == [False, False, False, True, True]
    assert [r["met"] is None for r in rows] == [False, False, True, True, True]
    assert rows[3]["probability"] is None
    assert str(rows[2]["start"]) == "2018-03-25 00:00:00"


def test_types_are_small_and_times_have_no_zone() -> None:
    schema = epochs_table(epochs()).schema
    assert schema.field("start").type == pa.timestamp("ns")
    for name in ("participant_id", "activity", "speed_class"):
        assert pa.types.is_dictionary(schema.field(name).type)
    for name in ("duration_s", "probability", "cadence_spm", "met"):
        assert schema.field(name).type == pa.float32()


def test_every_activity_and_class_has_its_word() -> None:
    n = len(ACTIVITIES)
    table = epochs_table(epochs(n, activity=np.arange(n, dtype=np.uint8)))
    assert table["activity"].to_pylist() == list(ACTIVITIES)
    table = epochs_table(epochs(4, speed_class=np.arange(4, dtype=np.uint8)))
    assert table["speed_class"].to_pylist() == [None, *SPEED_CLASSES]


def test_the_frame_says_the_same() -> None:
    frame = epochs_table(epochs()).to_pandas()
    assert list(frame.columns) == CONTRACT
    assert frame["activity"].tolist() == ["walking", "stairs", "running", "sitting", "nonwear"]
    assert frame["speed_class"].isna().tolist() == [False, False, True, True, True]
    assert frame["start"].dtype == np.dtype("datetime64[ns]")
    assert np.isnan(frame["met"].to_numpy()[2:]).all()


def test_the_file_holds_the_table_and_is_the_same_each_time() -> None:
    for n in (0, 5):
        data = epochs_parquet(epochs(n))
        assert data == epochs_parquet(epochs(n))
        assert pq.read_table(io.BytesIO(data)).to_pylist() == epochs_table(epochs(n)).to_pylist()


def test_a_week_of_seconds_is_a_small_file() -> None:
    n = 7 * 86_400
    rng = np.random.default_rng(1)
    activity = np.repeat(rng.integers(0, len(ACTIVITIES), n // 20), 20).astype(np.uint8)
    walking = activity == ACTIVITIES.index("walking")
    week = epochs(
        n,
        activity=activity,
        probability=rng.uniform(0.3, 1.0, n).astype(np.float32),
        cadence_spm=np.where(walking, rng.normal(100, 15, n), np.nan).astype(np.float32),
        speed_class=np.where(walking, rng.integers(1, 4, n), 0).astype(np.uint8),
        met=np.where(walking, 3.8, np.nan).astype(np.float32),
    )
    assert len(epochs_parquet(week)) < 2_500_000


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("met", np.ones(4, np.float32), "one value an epoch"),
        ("activity", np.full(5, len(ACTIVITIES), np.uint8), "activities are coded 0 to 9"),
        ("speed_class", np.full(5, 4, np.uint8), "speed classes are coded 0 to 3"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(field: str, value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        epochs(**{field: value})
