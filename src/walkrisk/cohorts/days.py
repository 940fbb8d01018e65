"""Daily seconds, wide in the extract or long in a table of days -> person values, as a study declares them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from walkrisk.days.contract import DAY_COLUMNS, WHOLE_DAY
from walkrisk.declarations import Name, option
from walkrisk.exposures.daily_seconds import days_known, invalid_days, mean_day, recorded_days

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

DATE = "date"  # in a DayTable, beside the activities: days since 1970-01-01
_TABLE_COLUMNS = {c.name: c.name for c in DAY_COLUMNS[: 1 + [c.name for c in DAY_COLUMNS].index("steps")] if c.unit}


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidDay:
    """The rule a day must pass; a day that fails it counts as recorded but not as valid."""

    zero_invalidates: tuple[Name, ...] = option((), doc="A day with exactly 0 s of any of these is invalid.")
    total_of: tuple[Name, ...] = option((), doc="Activities whose sum must reach min_total_h.")
    min_total_h: float = option(0.0, doc="Fewest hours a day in total_of; 0 asks for none.")
    not_worn: tuple[Name, ...] = option((), doc="Activities whose sum must not pass max_not_worn_h.")
    max_not_worn_h: float | None = option(
        None, doc="Most hours a day in not_worn; 0 asks for whole days, of 23 and 25 hours too."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCount:
    """How many days have a known value of any of these activities."""

    any_of: tuple[Name, ...] = option(doc="Activities of which one must have a known value.")
    days: Literal["recorded", "valid"] = option(
        "recorded", doc="All recorded days, or those passing the valid-day rule."
    )
    on: Literal["any", "weekdays", "weekend"] = option(
        "any", doc="Weekend is Saturday and Sunday; dates are known in the long layout only."
    )
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayMean:
    """Mean minutes a day of one activity."""

    of: Name = option(doc="The activity.")
    days: Literal["recorded", "valid"] = option("valid", doc="All recorded days, or those passing the valid-day rule.")
    label: str = ""
    unit: str = "min/day"
    decimals: int = 1
    divide_by: float = option(60.0, doc="60 makes minutes of seconds; 1 leaves counts, such as steps, as they are.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Daily seconds by activity: columns of the extract (wide) or a table with one row a participant and day (long)."""

    number: int = option(doc="Days a person can have; in the long layout, the most that are taken of a person's.")
    layout: Literal["wide", "long"] = option(
        "wide", doc="long: a file of its own, given with --days, such as days.parquet."
    )
    columns: Mapping[Name, str] = option(
        factory=dict,
        doc="Activity -> column name; wide: with {day} for the day's number, 1 .. number; long: by default those of "
        "days.parquet, from lying_s to steps.",
    )
    participant_id: str = option("participant_id", doc="Long: column of the days that holds the id of the extract.")
    date: str = option("date", doc="Long: column of the days that holds the calendar date.")
    take: Literal["recorded", "valid"] = option(
        "recorded", doc="Long: days are taken by date until this many recorded, or valid, ones are found."
    )
    day_total: tuple[Name, ...] = option(
        (), doc="Activities that make up a whole day (their sum is checked against 24 h)."
    )
    valid: ValidDay = option(factory=ValidDay)
    counts: Mapping[Name, DayCount] = option(factory=dict)
    means: Mapping[Name, DayMean] = option(factory=dict)

    def column_names(self, activity: str) -> list[str]:
        """The source columns of one activity in the wide layout, in day order."""
        return [self.columns[activity].replace("{day}", str(d)) for d in range(1, self.number + 1)]

    @property
    def sources(self) -> Mapping[str, str]:
        """Activity -> column, or in the wide layout its pattern."""
        return _TABLE_COLUMNS if self.layout == "long" and not self.columns else self.columns

    @property
    def whole_day(self) -> tuple[str, ...]:
        """Activities that make up a whole day."""
        default = WHOLE_DAY if self.layout == "long" and not self.columns else ()
        return self.day_total or default


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DayTable:
    """Long days put beside the people of an extract: activity -> (n, D), missing as NaN, and DATE -> (n, D).

    `name` is the file's without its folder, `sha256` of its bytes, `rows` and `columns_in_file` as in the file,
    `simulated` whether it says so, `warnings` sentences.
    """

    values: Mapping[str, FloatArray]
    name: str
    sha256: str
    rows: int
    simulated: bool
    warnings: tuple[str, ...]


def layout_faults(days: Days) -> Iterator[tuple[str, str]]:
    """(key, sentence) for each setting of the days that contradicts another or their layout."""
    wide = days.layout == "wide"
    if days.number < 1:
        yield "days.number", f"must be 1 or more, got {days.number}."
    if wide and not days.columns:
        yield "days.columns", "is missing; name the columns of each activity, or choose layout = 'long'."
    if wide and days.take != "recorded":
        yield "days.take", "the wide layout takes the days there are; use the long one to choose."
    for activity, pattern in days.columns.items():
        if wide and "{day}" not in pattern:
            yield f"days.columns.{activity}", "must hold {day} where the day's number stands in the column name."
        if not wide and "{day}" in pattern:
            yield f"days.columns.{activity}", "holds {day}, but in the long layout one column has all days."
        if wide and not activity.endswith("_s"):
            yield f"days.columns.{activity}", "names of daily seconds end in _s."
    if not wide and DATE in days.columns:
        yield f"days.columns.{DATE}", "this name is taken by the date of the day; choose another."
    if days.valid.max_not_worn_h is not None and not days.valid.not_worn:
        yield "days.valid.not_worn", "max_not_worn_h needs the activities it is about, such as nonwear_s."
    if days.valid.min_total_h > 0 and not days.valid.total_of:
        yield "days.valid.total_of", "min_total_h needs the activities it is about."
    for name, count in days.counts.items():
        if count.on != "any" and wide:
            yield f"days.counts.{name}.on", "the wide layout has no dates; use the long one, or 'any'."
    for name, mean in days.means.items():
        if mean.divide_by <= 0:
            yield f"days.means.{name}.divide_by", f"must be positive, got {mean.divide_by}."


def daily_seconds(days: Days, columns: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Seconds (n, D) of each activity from the wide columns of an extract."""
    return {a: np.column_stack([columns[c] for c in days.column_names(a)]) for a in days.columns}


def not_valid(days: Days, seconds: Mapping[str, FloatArray]) -> BoolArray:
    """Days (n, D) that fail the declared rule."""
    rule = days.valid
    return invalid_days(
        seconds,
        zero_invalidates=rule.zero_invalidates,
        total_of=rule.total_of,
        min_total_h=rule.min_total_h,
        not_worn=rule.not_worn,
        max_not_worn_h=rule.max_not_worn_h,
    )


def person_values(days: Days, seconds: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """The declared day counts and means (n,) of each person; `seconds` (n, D) by activity, with DATE where known."""
    invalid = not_valid(days, seconds)
    out: dict[str, FloatArray] = {}
    for name, count in days.counts.items():
        counted = recorded_days(seconds, count.any_of)
        if count.days == "valid":
            counted = counted & ~invalid
        if count.on != "any":
            counted = counted & (is_weekend(seconds[DATE]) == (count.on == "weekend"))
        out[name] = days_known(np.where(counted, 1.0, np.nan))
    for name, mean in days.means.items():
        excluded = invalid if mean.days == "valid" else None
        out[name] = mean_day(seconds[mean.of], excluded=excluded) / mean.divide_by
    return out


def is_weekend(date: FloatArray) -> BoolArray:
    """Saturdays and Sundays among days since 1970-01-01, a Thursday."""
    return np.asarray((date + 3) % 7 >= 5, dtype=np.bool_)
