"""Daily seconds in a wide extract -> person values, as a study declares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from walkrisk.declarations import Name, option
from walkrisk.exposures.daily_seconds import days_known, invalid_days, mean_min_day, recorded_days

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidDay:
    """The rule a day must pass; a day that fails it counts as recorded but not as valid."""

    zero_invalidates: tuple[Name, ...] = option((), doc="A day with exactly 0 s of any of these is invalid.")
    total_of: tuple[Name, ...] = option((), doc="Activities whose sum must reach min_total_h.")
    min_total_h: float = option(0.0, doc="Fewest hours a day in total_of; 0 asks for none.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCount:
    """How many days have a known value of any of these activities."""

    any_of: tuple[Name, ...]
    days: Literal["recorded", "valid"] = option(
        "recorded", doc="All recorded days, or those passing the valid-day rule."
    )
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayMean:
    """Mean minutes a day of one activity."""

    of: Name
    days: Literal["recorded", "valid"] = "valid"
    label: str = ""
    unit: str = "min/day"
    decimals: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Daily seconds, one column an activity and day: `{day}` in a column pattern stands for 1 .. number."""

    number: int = option(doc="Days a person can have.")
    columns: Mapping[Name, str] = option(doc="Activity -> column name with {day} for the day's number.")
    day_total: tuple[Name, ...] = option(
        (), doc="Activities that make up a whole day (their sum is checked against 24 h)."
    )
    valid: ValidDay = option(factory=ValidDay)
    counts: Mapping[Name, DayCount] = option(factory=dict)
    means: Mapping[Name, DayMean] = option(factory=dict)

    def column_names(self, activity: str) -> list[str]:
        """The source columns of one activity, in day order."""
        return [self.columns[activity].replace("{day}", str(d)) for d in range(1, self.number + 1)]


def daily_seconds(days: Days, columns: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Seconds (n, D) of each activity."""
    return {a: np.column_stack([columns[c] for c in days.column_names(a)]) for a in days.columns}


def person_values(days: Days, seconds: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """The declared day counts and mean minutes (n,) of each person."""
    rule = days.valid
    invalid = invalid_days(
        seconds, zero_invalidates=rule.zero_invalidates, total_of=rule.total_of, min_total_h=rule.min_total_h
    )
    out: dict[str, FloatArray] = {}
    for name, count in days.counts.items():
        recorded = recorded_days(seconds, count.any_of)
        marked = np.where(recorded & ~invalid if count.days == "valid" else recorded, 1.0, np.nan)
        out[name] = days_known(marked)
    for name, mean in days.means.items():
        out[name] = mean_min_day(seconds[mean.of], excluded=invalid if mean.days == "valid" else None)
    return out
