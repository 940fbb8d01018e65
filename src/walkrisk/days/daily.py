"""Seconds of a recording -> one row a calendar day: time by activity, steps, cadence, bouts, wear."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from walkrisk.days.bouts import BoutSettings, bouts
from walkrisk.days.contract import BOUT_MINUTES, DAY_COLUMNS, DAYS_NOTES, PARTS
from walkrisk.days.local_time import CalendarDays
from walkrisk.days.seconds import Seconds, complete_speed, usual_sensors
from walkrisk.declarations import option
from walkrisk.epochs.epoch_table import SPEED_CLASSES

IntArray = npt.NDArray[np.int64]
Row = dict[str, Any]

PEAK_MINUTES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySettings:
    """What seconds count as, and what a day's quality code allows."""

    stairs_are_walking: bool = option(True, doc="Stairs count as walking; else they have a column of their own.")
    shuffling_is_standing: bool = option(True, doc="Shuffling counts as standing; else it has a column of its own.")
    allowed_unknown_s: float = option(300.0, doc="Most unknown seconds of a day whose quality is not `partial`.")
    allowed_nonwear_s: float = option(300.0, doc="Most seconds not worn of a day whose quality is not `nonwear`.")
    allowed_one_sensor_s: float = option(300.0, doc="Most seconds from one sensor of a day that is not `one_sensor`.")
    bouts: BoutSettings = option(factory=BoutSettings, doc="What a bout of walking is.")


def parts_of_day(settings: DaySettings) -> dict[str, tuple[str, ...]]:
    """Column -> the activities it holds; every second of a day is in exactly one of these columns."""
    parts = dict(PARTS)
    if not settings.stairs_are_walking:
        parts |= {"walking_s": ("walking",), "stairs_s": ("stairs",)}
    if not settings.shuffling_is_standing:
        parts |= {"standing_s": ("standing",), "shuffling_s": ("shuffling",)}
    return parts


def daily_rows(
    seconds: Seconds,
    days: CalendarDays,
    *,
    participant_id: str,
    settings: DaySettings,
    simulated: bool = False,
) -> list[Row]:
    """A row of DAY_COLUMNS for each calendar day, plain values, dates as texts (2018-03-24).

    Seconds of a day outside the recording are unknown, so that the columns of `parts_of_day` add up to the length of
    the day: 86,400 s but for a clock change. Steps are cadence/60 summed over walking, stairs and running with a known
    cadence, None where they have none at all or the day was not worn.
    """
    parts = parts_of_day(settings)
    walking = seconds.being(*parts["walking_s"])
    speed = complete_speed(walking, seconds.speed)
    moving = seconds.being("walking", "stairs", "running")
    cadence = np.where(moving & np.isfinite(seconds.cadence_spm), seconds.cadence_spm, np.float32("nan"))
    walked = bouts(walking, known=~seconds.being("nonwear", "unknown"), settings=settings.bouts)
    sensors = seconds.sensors
    n = len(seconds.activity)
    rows = []
    for day, start_s, stop_s in zip(days.date, days.start_s, days.stop_s, strict=True):
        i, j = (int(min(max(round(s) - seconds.start_s, 0), n)) for s in (start_s, stop_s))
        length = round(stop_s - start_s)
        counts = np.bincount(seconds.activity[i:j], minlength=len(seconds.names))
        row: Row = {"participant_id": participant_id, "date": str(day)}
        row |= {
            c: int(sum(counts[seconds.names.index(a)] for a in of if a in seconds.names)) for c, of in parts.items()
        }
        row["unknown_s"] += length - (j - i)
        classes = np.bincount(speed[i:j], minlength=len(SPEED_CLASSES) + 1)
        row |= {f"walking_{name}_s": int(classes[c]) for c, name in enumerate(SPEED_CLASSES, start=1)}
        row |= {
            "classifier": usual_sensors(sensors[i:j]),
            "day_s": length,
            "both_sensors_s": int((sensors[i:j] == 1).sum()),
        }
        row["wear_s"] = length - row["nonwear_s"] - row["unknown_s"]
        row["walking_unclassed_s"] = int((walking[i:j] & (seconds.speed[i:j] == 0)).sum())
        row["walking_met"] = _mean(seconds.met[i:j][walking[i:j]])
        row["cadence_spm"] = _mean(cadence[i:j][walking[i:j]])
        counted = _steps(cadence[i:j], moving[i:j], offset=i + seconds.start_s - round(start_s), length=length)
        counted |= _bout_columns(walked[(walked[:, 0] >= i) & (walked[:, 0] < j)])
        row |= counted if row["wear_s"] > 0 else dict.fromkeys(counted)
        row["quality"] = day_quality(row, settings)
        row["simulated"] = simulated
        rows.append({c.name: row[c.name] for c in DAY_COLUMNS if c.name in row})
    return rows


def day_quality(row: Mapping[str, Any], settings: DaySettings) -> str:
    """The first of the codes of DAY_QUALITY, from the end, that fits a day."""
    if row["wear_s"] <= 0:
        return "empty"
    if row["unknown_s"] > settings.allowed_unknown_s:
        return "partial"
    if row["nonwear_s"] > settings.allowed_nonwear_s:
        return "nonwear"
    if row["wear_s"] - row["both_sensors_s"] > settings.allowed_one_sensor_s:
        return "one_sensor"
    return "full"


def _steps(cadence: npt.NDArray[np.float32], moving: npt.NDArray[np.bool_], *, offset: int, length: int) -> Row:
    """Steps and peak cadence of a day whose seconds begin `offset` after midnight."""
    if moving.any() and np.isnan(cadence[moving]).all():
        return {"steps": None, "cadence_peak30_spm": None}
    each = np.nan_to_num(cadence.astype(np.float64)) / 60.0
    minute = (np.arange(len(each)) + offset) // 60
    per_minute = np.bincount(minute, weights=each, minlength=max(-(-length // 60), PEAK_MINUTES))
    peak = np.sort(per_minute)[-PEAK_MINUTES:].mean()
    return {"steps": round(float(each.sum())), "cadence_peak30_spm": float(peak)}


def _bout_columns(walked: IntArray) -> Row:
    lengths = walked[:, 1] - walked[:, 0]
    row: Row = {f"bouts_{m}min": int((lengths >= 60 * m).sum()) for m in BOUT_MINUTES}
    return row | {"longest_bout_s": int(lengths.max(initial=0))}


def _mean(values: npt.NDArray[np.float32]) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean(dtype=np.float64)) if len(known) else None


def days_parquet(rows: Sequence[Mapping[str, Any]], *, notes: Sequence[str] = ()) -> bytes:
    """Rows of `daily_rows` as a parquet file; the same rows give the same bytes.

    `notes` are sentences that whoever shows results from these days must show too; they travel in the file's metadata
    (DAYS_NOTES, a json list).

    Columns are those of DAY_COLUMNS in their order; one that is not required is there if a row has it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"id": pa.string(), "category": pa.string(), "date": pa.date32(), "boolean": pa.bool_()}
    types |= {"integer": pa.int64(), "number": pa.float64()}
    present = [c for c in DAY_COLUMNS if c.required or any(c.name in row for row in rows)]
    arrays = []
    for c in present:
        values = [row.get(c.name) for row in rows]
        if c.kind == "date":
            values = [date.fromisoformat(str(v)) for v in values]
        arrays.append(pa.array(values, type=types[c.kind]))
    said = {DAYS_NOTES: json.dumps(list(notes), ensure_ascii=False)} if notes else None
    table = pa.Table.from_arrays(arrays, schema=pa.schema([(c.name, types[c.kind]) for c in present], metadata=said))
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()
