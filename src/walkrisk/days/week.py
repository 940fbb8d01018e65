"""Everything that one participant's picture shows, put together for whoever draws it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from walkrisk.days.local_time import CalendarDays
from walkrisk.days.seconds import Seconds

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Week:
    """A recording by day: `rows` of `daily_rows`, one for each of `days`; all times are device-clock seconds.

    `temperature` has (time_s (m,), temperature_c (m,)) and `not_worn` the stretches (k, 2) [start_s, stop_s) by
    sensor, in the order they are drawn. `sentences` say what a person should know of its quality.
    """

    days: CalendarDays
    seconds: Seconds
    rows: Sequence[Mapping[str, Any]]
    temperature: Mapping[str, tuple[FloatArray, FloatArray]]
    not_worn: Mapping[str, FloatArray]
    sentences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError unless there is a row for each day."""
        if len(self.rows) != len(self.days.date):
            raise ValueError(f"{len(self.days.date)} days need as many rows, got {len(self.rows)}")


def shares(seconds: Seconds, start_s: float, stop_s: float, *, bin_s: int) -> FloatArray:
    """Share (b, a) of each activity of `seconds.names` in bins of `bin_s` from `start_s`; the rest is not recorded."""
    first = round(start_s) - seconds.start_s
    n = len(seconds.activity)
    i, j = min(max(first, 0), n), min(max(first + round(stop_s - start_s), 0), n)
    bins = max(-(-round(stop_s - start_s) // bin_s), 1)
    a = len(seconds.names)
    at = (np.arange(i, j) - first) // bin_s * a + seconds.activity[i:j]
    return np.bincount(at, minlength=bins * a).reshape(bins, a) / float(bin_s)


def binned_mean(time_s: FloatArray, values: FloatArray, *, edges_s: FloatArray) -> FloatArray:
    """Mean (b,) of the known values (m,) between neighbouring edges (b + 1,); NaN where there is none."""
    known = np.isfinite(values) & (time_s >= edges_s[0]) & (time_s < edges_s[-1])
    at = np.searchsorted(edges_s, time_s[known], side="right") - 1
    n = np.bincount(at, minlength=len(edges_s) - 1)
    total = np.bincount(at, weights=values[known], minlength=len(edges_s) - 1)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)
