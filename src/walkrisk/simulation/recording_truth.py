"""What is known of simulated recordings: activity by second, daily totals, devices and faults, the questionnaire."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from walkrisk.simulation.recording_declaration import Outcome
from walkrisk.simulation.recording_devices import DeviceTruth
from walkrisk.simulation.recording_schedule import ACTIVITIES, CODE, SPEEDS, STEPPING, Person, Plan, utc_offsets_s

ROWS = 100_000
WALKING_MIN, AGE = 90.0, 55.0  # where the outcome's risk is the declared one


def seconds_table(plan: Plan, devices: Sequence[DeviceTruth]) -> pd.DataFrame:
    """One row a true second: moment in UTC, local time, activity, speed class, steps/min, and which devices are worn.

    `local_time` is the wall clock where the person lives, `utc_offset_s` how far it is ahead of UTC. Cadence is of
    steps in walking, stairs and running and 0 elsewhere; the steps of a second are a sixtieth of it.
    """
    n = len(plan)
    ahead = utc_offsets_s(plan.start, n, plan.zone)
    utc = np.datetime64(plan.start.astimezone(dt.UTC).replace(tzinfo=None), "s") + np.arange(n)
    stepping = np.isin(plan.activity, [CODE[name] for name in STEPPING])
    table: dict[str, Any] = {
        "start_utc": utc.astype("datetime64[ms]"),
        "local_time": (utc + ahead.astype("timedelta64[s]")).astype("datetime64[ms]"),
        "utc_offset_s": ahead,
        "activity": pd.Categorical.from_codes(
            plan.activity.astype(np.int64), dtype=pd.CategoricalDtype(list(ACTIVITIES))
        ),
        "speed": pd.Categorical.from_codes(plan.speed.astype(np.int64), dtype=pd.CategoricalDtype(list(SPEEDS))),
        "cadence_spm": np.where(stepping, plan.cadence_spm, 0.0),
    }
    for device in devices:
        table[f"{device.name}_worn"] = device.worn(n)
    return pd.DataFrame(table)


def daily_truth(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """By local calendar day: seconds of each activity (adding up to those recorded) and walking speed, and steps."""
    days, day = np.unique(table["local_time"].to_numpy().astype("datetime64[D]"), return_inverse=True)
    activity, speed = table["activity"].cat.codes.to_numpy(), table["speed"].cat.codes.to_numpy()
    cadence = table["cadence_spm"].to_numpy()
    out: dict[str, dict[str, Any]] = {}
    for i, date in enumerate(days):
        is_day = day == i
        counts = np.bincount(activity[is_day], minlength=len(ACTIVITIES))
        speeds = np.bincount(speed[is_day], minlength=len(SPEEDS))
        out[str(date)] = {
            "recorded_s": int(is_day.sum()),
            "seconds": {name: int(counts[k]) for k, name in enumerate(ACTIVITIES)},
            "walking_seconds": {name: int(speeds[k]) for k, name in enumerate(SPEEDS) if name},
            "steps": round(float(cadence[is_day].sum()) / 60, 3),
        }
    return out


def walking_min_per_day(table: pd.DataFrame) -> float:
    """Mean true walking, stairs included, in minutes per 24 recorded hours."""
    walks = table["activity"].isin(["walking", "upstairs", "downstairs"])
    return float(walks.mean() * 1440)


def risk_of(outcome: Outcome, person: Person, walking_min: float) -> float:
    """The declared risk of the outcome, at most 0.95."""
    log_risk = (
        np.log(max(outcome.risk, 1e-12))
        + outcome.log_rr_per_walking_h * (walking_min - WALKING_MIN) / 60
        + outcome.log_rr_per_decade * (person.age_years - AGE) / 10
        + outcome.log_rr_female * person.is_female
        + (0.0, outcome.log_rr_former, outcome.log_rr_current)[person.smoking]
    )
    return float(min(np.exp(log_risk), 0.95))


def write_seconds(table: pd.DataFrame, path: Path) -> None:
    """Write a table to parquet, a day or so at a time, so that it is never twice in memory."""
    import pyarrow as pa  # slow to import, and needed here only
    import pyarrow.parquet as pq

    schema = pa.Schema.from_pandas(table.iloc[:1], preserve_index=False)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, len(table), ROWS):
            rows = table.iloc[start : start + ROWS]
            writer.write_table(pa.Table.from_pandas(rows, schema=schema, preserve_index=False))


def json_bytes(truth: Mapping[str, Any]) -> bytes:
    return (json.dumps(truth, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def questionnaire_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The questionnaires as csv: participant_id, age, sex, smoking, outcome; nothing of the truth."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["participant_id", "age", "sex", "smoking", "outcome"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
