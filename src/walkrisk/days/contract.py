"""The columns of days.parquet: what a row a participant and calendar day holds."""

from __future__ import annotations

from typing import Any

from walkrisk.schema import ColumnContract, ColumnKind

LONGEST_DAY_S = 90_000.0
DAYS_NOTES = "walkrisk_notes"  # key of the sentences in the file's metadata
BOUT_MINUTES = (1, 5, 10)
DAY_QUALITY = {
    "full": "known and worn from midnight to midnight, by both sensors",
    "one_sensor": "worn all day, but part of it classified from one sensor",
    "nonwear": "known all day, but not worn for longer than allowed",
    "partial": "unknown for longer than allowed: a first or last day, or a gap",
    "empty": "never worn",
}


def _column(
    name: str,
    meaning: str,
    unit: str = "s",
    *,
    kind: ColumnKind = "integer",
    highest: float = LONGEST_DAY_S,
    **more: Any,
) -> ColumnContract:
    return ColumnContract(name=name, kind=kind, minimum=0, maximum=highest, unit=unit, meaning=meaning, **more)


DAY_COLUMNS: tuple[ColumnContract, ...] = (
    ColumnContract(name="participant_id", kind="id", unique=False, meaning="whose day it is"),
    ColumnContract(name="date", kind="date", meaning="local calendar day"),
    _column("lying_s", "lying"),
    _column("sitting_s", "sitting"),
    _column("standing_s", "standing (with shuffling, as declared)"),
    _column("walking_slow_s", "slow walking"),
    _column("walking_moderate_s", "moderate walking"),
    _column("walking_brisk_s", "brisk walking"),
    _column("walking_s", "walking (with stairs, as declared): the sum of slow, moderate and brisk"),
    _column("running_s", "running"),
    _column("cycling_s", "cycling"),
    _column("nonwear_s", "not worn"),
    _column("unknown_s", "not recorded or not classified"),
    _column("steps", "steps walking, on stairs and running: cadence over time", "steps", highest=400_000),
    ColumnContract(name="classifier", kind="category", meaning="what told the activities apart"),
    ColumnContract(
        name="quality",
        kind="category",
        categories=tuple(DAY_QUALITY),
        meaning="; ".join(f"{code}: {words}" for code, words in DAY_QUALITY.items()),
    ),
    _column("stairs_s", "stairs, where they are not walking", required=False),
    _column("shuffling_s", "shuffling, where it is not standing", required=False),
    _column("day_s", "length of the calendar day"),
    _column("wear_s", "worn and classified: day_s without nonwear_s and unknown_s"),
    _column("both_sensors_s", "worn and classified from both sensors"),
    _column("walking_unclassed_s", "walking whose speed class was taken from the seconds around it, or slow"),
    _column("walking_met", "mean intensity of walking", "MET", kind="number", highest=30),
    _column("cadence_spm", "mean cadence of walking", "steps/min", kind="number", highest=400),
    _column(
        "cadence_peak30_spm", "mean of the day's 30 minutes with most steps", "steps/min", kind="number", highest=400
    ),
    *(_column(f"bouts_{m}min", f"bouts of walking of {m} min or more", "bouts") for m in BOUT_MINUTES),
    _column("longest_bout_s", "longest bout of walking"),
    ColumnContract(name="simulated", kind="boolean", required=False, meaning="1 where the recording is simulated"),
)
PARTS = {
    "lying_s": ("lying",),
    "sitting_s": ("sitting",),
    "standing_s": ("standing", "shuffling"),
    "walking_s": ("walking", "stairs"),
    "running_s": ("running",),
    "cycling_s": ("cycling",),
    "nonwear_s": ("nonwear",),
    "unknown_s": ("unknown",),
}
WHOLE_DAY = tuple(PARTS)  # columns that add up to a day where stairs are walking and shuffling is standing
