"""Daily seconds by activity -> one value a person: valid days, mean minutes a day, intensity as a ratio of means.

Arrays are (n participants, D days), missing as NaN. Nothing here knows which study it serves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def recorded_days(seconds: Mapping[str, FloatArray], any_of: Sequence[str]) -> BoolArray:
    """Days (n, D) with a known value of at least one of the activities `any_of`."""
    known = [~np.isnan(seconds[name]) for name in any_of]
    return np.logical_or.reduce(known)


def invalid_days(
    seconds: Mapping[str, FloatArray],
    *,
    zero_invalidates: Sequence[str] = (),
    total_of: Sequence[str] = (),
    min_total_h: float = 0.0,
    not_worn: Sequence[str] = (),
    max_not_worn_h: float | None = None,
) -> BoolArray:
    """Days (n, D) that a rule excludes.

    A day is invalid if any of `zero_invalidates` EQUALS 0 (a missing component does not invalidate it), if the sum of
    `total_of` (missing counted as 0) is below `min_total_h` hours, or if that of `not_worn` is above `max_not_worn_h`.
    """
    shape = next(iter(seconds.values())).shape
    invalid = np.zeros(shape, dtype=bool)
    for name in zero_invalidates:
        invalid |= seconds[name] == 0
    if min_total_h > 0:
        invalid |= _total(seconds, total_of, shape) < min_total_h * 3600
    if max_not_worn_h is not None:
        invalid |= _total(seconds, not_worn, shape) > max_not_worn_h * 3600
    return invalid


def _total(seconds: Mapping[str, FloatArray], names: Sequence[str], shape: tuple[int, ...]) -> FloatArray:
    total = np.zeros(shape)
    for name in names:
        total += np.nan_to_num(seconds[name])
    return total


def mean_day(seconds: FloatArray, *, excluded: BoolArray | None = None) -> FloatArray:
    """Mean a day (n,), in the unit of the values (n, D), over known days that are not `excluded`; NaN without any."""
    values = seconds if excluded is None else np.where(excluded, np.nan, seconds)
    known = ~np.isnan(values)
    days = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(days > 0, total / days, np.nan))


def days_known(seconds: FloatArray, *, excluded: BoolArray | None = None) -> FloatArray:
    """Number of known days (n,) of (n, D) seconds that are not `excluded`."""
    known = ~np.isnan(seconds)
    if excluded is not None:
        known &= ~excluded
    return known.sum(axis=1).astype(np.float64)


def ratio_of_means(parts: Mapping[str, FloatArray], weights: Mapping[str, float], total: FloatArray) -> FloatArray:
    """Weighted mean intensity (n,): sum of weight x person mean over `weights`, divided by the person mean `total`.

    It is the ratio of the weekly means, not the mean of daily ratios. NaN where a part or the total is unknown or the
    total is 0.
    """
    names = list(weights)
    numerator = parts[names[0]] * weights[names[0]]
    for name in names[1:]:
        numerator = numerator + parts[name] * weights[name]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = numerator / total
    return np.where(np.isfinite(ratio), ratio, np.nan)
