"""A table of days, one row a participant and day, put beside the people of an extract."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from walkrisk.cohorts.checks import LONGEST_DAY_S, check_daily_seconds, row_list
from walkrisk.cohorts.days import DATE, Days, DayTable, not_valid
from walkrisk.cohorts.readers import Extract, read_extract
from walkrisk.days.contract import DAYS_NOTES
from walkrisk.errors import DataFault
from walkrisk.schema import ColumnContract

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SIMULATED = "simulated"
LONGEST_NOTE, MOST_NOTES = 600, 10
_FEWEST_SAID = 10  # people; warnings stand in reports


def day_contracts(days: Days) -> tuple[ColumnContract, ...]:
    """Contracts of the columns that a study reads of a table of days."""
    values = [
        ColumnContract(name=c, kind="number", unit="s" if c.endswith("_s") else "", meaning=a, minimum=low)
        for a, c in days.sources.items()
        for low in (None if a.endswith("_s") else 0,)
    ]
    return (
        ColumnContract(name=days.participant_id, kind="id", unique=False, meaning="whose day it is"),
        ColumnContract(name=days.date, kind="date", meaning="calendar day"),
        *values,
        ColumnContract(name=SIMULATED, kind="boolean", required=False, meaning="1 where simulated"),
    )


def read_days(path: Path, days: Days) -> Extract:
    """Read a table of days in any format of `read_extract`, one row a participant and calendar day.

    Faults, all together: columns missing or of another kind, days without id or date, a date twice for one person,
    negative durations, more than 90,000 s of one activity or of all that make up a day. Raises UsageFault, DataFault.
    """
    table = read_extract(path, day_contracts(days))
    frame = table.frame
    faults = []
    undated = np.flatnonzero(np.isnan(frame[days.date].to_numpy()))
    if undated.size:
        faults.append(f"Column {days.date} is empty in {row_list(undated)}; every day needs its date.")
    twice = np.flatnonzero(frame.duplicated([days.participant_id, days.date], keep=False).to_numpy())
    if twice.size:
        faults.append(
            f"{twice.size:,} rows hold a day that another row holds too (the same {days.participant_id} and "
            f"{days.date}), in {row_list(twice)}; keep one row a participant and day."
        )
    seconds = {a: frame[c].to_numpy()[:, None] for a, c in days.sources.items() if a.endswith("_s")}
    names = {a: [days.sources[a]] for a in seconds}
    more, warnings = check_daily_seconds(seconds, days.whole_day, names, longest_s=LONGEST_DAY_S)
    faults += more
    if faults:
        raise DataFault([f"{table.name}: {fault}" for fault in faults])
    said = [w for w in table.warnings if not w.startswith(f"{SIMULATED}:")]
    return replace(table, warnings=(*said, *(f"{table.name}: {w}" for w in (*warnings, *_notes(path)))))


def _notes(path: Path) -> list[str]:
    """The sentences a parquet file of days carries for whoever shows results from it."""
    if path.suffix.lower() != ".parquet":
        return []
    import pyarrow.parquet as pq

    try:
        kept = json.loads((pq.read_schema(path).metadata or {}).get(DAYS_NOTES.encode(), b"[]"))
    except ValueError:
        return []
    texts = [note for note in kept if isinstance(note, str)] if isinstance(kept, list) else []
    return [" ".join(note.split())[:LONGEST_NOTE] for note in texts[:MOST_NOTES]]


def join_days(people: Extract, table: Extract, days: Days, *, id_column: str, simulated: bool = False) -> Extract:
    """The extract with the days of its people as (n, D) arrays in order of date.

    Ids are compared as texts. A person's days are taken by date until `days.number` recorded (or valid) ones are
    found; the invalid ones among them stay, as recorded days. People without a day have none; days of others than
    the people of the extract are left out, with a warning. Raises DataFault if no id is in both.
    """
    frame = table.frame
    keys = frame[days.participant_id].astype(str)
    person = pd.Index(people.frame[id_column].astype(str)).get_indexer(pd.Index(keys))
    if (person < 0).all():
        raise DataFault(
            f"None of the {keys.nunique():,} people of {table.name} is in {people.name}: {days.participant_id} and "
            f"{id_column} must hold the same ids; look for leading zeros, prefixes and an exchanged file."
        )
    values = {a: frame[c].to_numpy(dtype=np.float64) for a, c in days.sources.items()}
    recorded = np.logical_or.reduce([~np.isnan(v) for v in values.values()])
    values[DATE] = frame[days.date].to_numpy(dtype=np.float64)
    rows = np.flatnonzero((person >= 0) & recorded)
    rows = rows[np.lexsort((values[DATE][rows], person[rows]))]
    counted = np.ones(rows.size, dtype=bool)
    if days.take == "valid":
        counted = ~not_valid(days, {a: v[rows, None] for a, v in values.items()})[:, 0]
    taken = _number_within(person[rows], counted) < days.number
    rows = rows[taken]
    place = _number_within(person[rows], np.ones(rows.size, dtype=bool))
    shape = (len(people.frame), int(place.max(initial=0)) + 1)
    made = DayTable(
        values={a: _spread(v[rows], person[rows], place, shape) for a, v in values.items()},
        name=table.name,
        sha256=table.sha256,
        rows=len(frame),
        simulated=simulated or bool((frame[SIMULATED] == 1).any()),
        warnings=(*table.warnings, *_rule_warnings(days, table), *_matching_warnings(people, table, person, keys)),
    )
    return replace(people, days=made)


def _number_within(person: IntArray, counted: npt.NDArray[np.bool_]) -> IntArray:
    """How many `counted` rows of the same person come before each row (m,); rows are sorted by person."""
    before: IntArray = np.cumsum(counted) - counted
    first = np.searchsorted(person, person, side="left")
    return np.asarray(before - before[first], dtype=np.int64)


def _spread(values: FloatArray, person: IntArray, place: IntArray, shape: tuple[int, int]) -> FloatArray:
    out = np.full(shape, np.nan)
    out[person, place] = values
    return out


def _rule_warnings(days: Days, table: Extract) -> list[str]:
    rule = days.valid
    if rule.zero_invalidates or rule.min_total_h > 0 or rule.max_not_worn_h is not None:
        return []
    return [
        f"{table.name}: the study declares no rule for a valid day (days.valid), so every day counts, also those "
        "hardly or never worn, which are days without walking."
    ]


def _matching_warnings(people: Extract, table: Extract, person: IntArray, keys: pd.Series) -> list[str]:
    strangers = int(keys[person < 0].nunique())
    without = len(people.frame) - int(np.unique(person[person >= 0]).size)
    said = []
    if strangers:
        said.append(f"{table.name} holds days of {_people(strangers)} not in {people.name}; they are left out.")
    if without:
        said.append(f"{table.name} holds no day of {_people(without)} in {people.name}; the flow counts them.")
    return said


def _people(n: int) -> str:
    return f"{n:,} people" if n >= _FEWEST_SAID else f"fewer than {_FEWEST_SAID} people"
