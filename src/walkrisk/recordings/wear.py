"""When a sensor was not worn, from its 10-s windows: stillness, temperature, and what the other sensor did meanwhile.

A sleeper lies as still as a table for an hour, so stillness alone needs long periods; a sensor taken off cools towards
the room, which shows within minutes. All temperatures are compared with the wearer's own, never with a fixed level.
Periods without data are unknown, not unworn: no interval reaches over a gap of more than a minute (`bridge_s`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.declarations import option
from walkrisk.recordings.recording import FloatArray
from walkrisk.recordings.windows import Windows

BoolArray = npt.NDArray[np.bool_]
MINUTE = 60.0
LEAST_HANDLING_MIN = 5.0
LEAST_END_MIN = 60.0
MOVES = 2
RISE = float(np.log(4 / 3) / np.log(3 / 2))  # an exponential: start to 1/4 of the way, over 1/4 to 1/2


@dataclass(frozen=True, slots=True, kw_only=True)
class WearSettings:
    """When a sensor counts as not worn."""

    still_sd_mg: float = option(13.0, doc="Still: SD below this on two of three axes (van Hees 2013: 13 mg) ...")
    still_range_mg: float = option(100.0, doc="... and largest minus least below this on the same axes.")
    min_still_min: float = option(150.0, doc="Shortest still period that counts where temperature does not tell.")
    min_cooled_min: float = option(12.0, doc="Shortest still period that counts when the sensor cools as if taken off.")
    min_warm_min: float = option(
        360.0, doc="Shortest still period that counts though the sensor stays warm or the other one moves at times."
    )
    cooling_c: float = option(6.0, doc="Least fall of temperature after a sensor is taken off, in the end.")
    cooling_min: float = option(15.0, doc="Time constant of that fall.")
    warm_c: float = option(4.0, doc="A sensor that fell by less than this stayed warm.")
    min_spread_c: float = option(1.5, doc="Temperature counts as known when it varies by at least this much.")
    min_other_min: float = option(10.0, doc="Shortest still period that counts while the other sensor walks.")
    walk_sd_mg: float = option(150.0, doc="The other sensor walks when the SD of an axis is above this ...")
    walk_windows: int = option(6, doc="... in at least this many windows of the period.")
    drift_mg: float = option(30.0, doc="A sensor at rest keeps its orientation within this.")
    bridge_s: float = option(60.0, doc="Missing data up to this long do not end a still period.")
    onset_c: float = option(1.0, doc="Rise of temperature by which putting on is recognised.")


@dataclass(frozen=True, slots=True)
class _Witness:
    """Ordered starts of the windows in which the other sensor moved, and of those in which it walked."""

    moves_s: FloatArray
    walks_s: FloatArray

    def counts(self, start_s: float, stop_s: float) -> tuple[int, int]:
        """Windows of movement and of walking that begin in [start_s, stop_s)."""
        moves, walks = (np.diff(np.searchsorted(at, [start_s, stop_s])) for at in (self.moves_s, self.walks_s))
        return int(moves[0]), int(walks[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class JointWear:
    """Not-worn intervals (k, 2) [start_s, stop_s): of each sensor on its own clock, and of both on the thigh's."""

    thigh: FloatArray
    back: FloatArray
    both: FloatArray
    sentences: tuple[str, ...]


def not_worn(windows: Windows, settings: WearSettings | None = None) -> FloatArray:
    """Intervals (k, 2) [start_s, stop_s) in which one sensor was not worn.

    A still period (without one window of movement) counts when
    - it lasts `min_cooled_min` and the sensor cools as fast and as far as one taken off: by
      `cooling_c` (1 - exp(-t / `cooling_min`)) after t minutes, from its temperature in the ten minutes before; or
      begins or ends the recording that much colder than the wearer's middle temperature. Change of temperature
      with stillness: Vert et al. 2022 (doi 10.1186/s12874-022-01633-6; 0.4 C/min at first), Zhou et al. 2015
      (doi 10.1136/bmjopen-2014-007447; their fixed 26 C is not used);
    - it lasts `min_still_min`, temperature unknown or in between, and orientation kept within `drift_mg`. Stillness
      as van Hees et al. 2013 (doi 10.1371/journal.pone.0061691), longer here since people sleep with these sensors;
    - it lasts `min_warm_min` in the same orientation, though warm.
    Where temperature is known, handling and transport follow: what is next to a cold period stays unworn until the
    sensor begins to warm towards the wearer's temperature, and so does the cold end of a recording from its last
    fall on, if that is an hour or more. Skovgaard et al. 2023 (doi 10.1038/s41598-023-29666-x)
    compare such rules.
    """
    return intervals(windows, _flags(windows, settings or WearSettings(), None), bridge_s=_bridge(settings))


def joint_wear(
    thigh: Windows, back: Windows, settings: WearSettings | None = None, *, back_ahead_s: float = 0.0
) -> JointWear:
    """As `not_worn` for each sensor, with the other as witness; `back_ahead_s` is added to the back's clock.

    A sensor that rests for `min_other_min` or longer while the other walks is off, and only that one: nobody walks
    with one of the two at rest. Where the other moves at times, as sleepers do, stillness without cooling must last
    `min_warm_min`. Times need to agree to within a minute or so.
    """
    settings = settings or WearSettings()
    on_thigh, on_back = back.start_s + back_ahead_s, thigh.start_s - back_ahead_s
    off_thigh = _flags(thigh, settings, _witness(on_thigh, back, settings))
    off_back = _flags(back, settings, _witness(on_back, thigh, settings))
    bridge_s = settings.bridge_s
    apart = intervals(thigh, off_thigh, bridge_s=bridge_s), intervals(back, off_back, bridge_s=bridge_s)
    both = intersection(apart[0], apart[1] + back_ahead_s)
    return JointWear(
        thigh=apart[0], back=apart[1], both=both, sentences=_sentences(thigh, back, *apart, both, settings)
    )


def still_windows(windows: Windows, settings: WearSettings) -> BoolArray:
    """(w,) windows still on at least two of three axes, by SD and by range."""
    quiet = windows.sd_g < settings.still_sd_mg / 1000.0
    quiet &= windows.max_g - windows.min_g < settings.still_range_mg / 1000.0
    return np.asarray(quiet.sum(axis=1) >= 2)


def temperature_known(windows: Windows, settings: WearSettings) -> bool:
    """Whether the temperature says anything: known for most windows and not the same throughout."""
    known = windows.temperature_c[np.isfinite(windows.temperature_c)]
    return bool(len(known) > 0.5 * len(windows.n)) and bool(np.ptp(known) >= settings.min_spread_c)


def runs(mask: BoolArray, start_s: FloatArray, *, longest_step_s: float) -> list[tuple[int, int]]:
    """Index pairs [i, j) of consecutive true windows that begin at most `longest_step_s` after one another."""
    inside = np.flatnonzero(mask)
    if not len(inside):
        return []
    cut = np.flatnonzero((np.diff(inside) > 1) | (np.diff(start_s[inside]) > longest_step_s))
    first = inside[np.concatenate(([0], cut + 1))]
    last = inside[np.concatenate((cut, [len(inside) - 1]))]
    return [(int(i), int(j) + 1) for i, j in zip(first, last, strict=True)]


def intervals(windows: Windows, mask: BoolArray, *, bridge_s: float) -> FloatArray:
    """(k, 2) [start_s, stop_s) of the marked windows."""
    found = runs(mask, windows.start_s, longest_step_s=windows.window_s + bridge_s)
    ends = [(windows.start_s[i], windows.start_s[j - 1] + windows.window_s) for i, j in found]
    return np.asarray(ends, dtype=np.float64).reshape(-1, 2)


def intersection(one: FloatArray, other: FloatArray) -> FloatArray:
    """(k, 2) what two lists of disjoint ordered intervals share."""
    low = np.maximum(one[:, None, 0], other[None, :, 0])
    high = np.minimum(one[:, None, 1], other[None, :, 1])
    shared = low < high
    return np.asarray(np.column_stack((low[shared], high[shared])))


def _bridge(settings: WearSettings | None) -> float:
    return (settings or WearSettings()).bridge_s


def _witness(start_s: FloatArray, windows: Windows, settings: WearSettings) -> _Witness:
    walks = (windows.sd_g > settings.walk_sd_mg / 1000.0).any(axis=1)
    return _Witness(start_s[~still_windows(windows, settings)], start_s[walks])


def _flags(windows: Windows, settings: WearSettings, witness: _Witness | None) -> BoolArray:
    """(w,) windows in which the sensor was not worn."""
    still = still_windows(windows, settings)
    found = runs(still, windows.start_s, longest_step_s=windows.window_s + settings.bridge_s)
    off = np.zeros(len(still), dtype=bool)
    temperature = _smooth(windows.temperature_c) if temperature_known(windows, settings) else None
    level = _worn_level(temperature, still, found, windows, settings)
    for i, j in found:
        minutes = _minutes(windows, i, j)
        if minutes < min(settings.min_cooled_min, settings.min_other_min):
            continue
        span = windows.start_s[i], windows.start_s[j - 1] + windows.window_s
        moves, walks = witness.counts(*span) if witness is not None else (0, 0)
        fall, colder = _fall(windows, temperature, level, i, j)
        unlikely = (fall < settings.warm_c and colder < settings.cooling_c) or moves >= MOVES
        off[i:j] = (
            (walks >= settings.walk_windows and minutes >= settings.min_other_min)
            or _cooled(fall, minutes, settings)
            or _rests(windows, unlikely, minutes, i, j, settings)
        )
    return off if temperature is None else _with_handling(windows, temperature, level, off, found, settings)


def _minutes(windows: Windows, i: int, j: int) -> float:
    return float(windows.start_s[j - 1] + windows.window_s - windows.start_s[i]) / MINUTE


def _smooth(temperature_c: FloatArray) -> FloatArray:
    """Mean of five windows, NaN left out; the readings step by 0.3 C."""
    known = np.isfinite(temperature_c)
    kernel = np.ones(min(5, len(temperature_c)))
    total = np.convolve(np.where(known, temperature_c, 0.0), kernel, mode="same")
    count = np.convolve(known.astype(float), kernel, mode="same")
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1.0), np.nan))


def _worn_level(
    temperature: FloatArray | None,
    still: BoolArray,
    found: list[tuple[int, int]],
    windows: Windows,
    settings: WearSettings,
) -> float:
    """Middle temperature of the wearer: the median of the warmer half of the windows outside long still periods."""
    if temperature is None:
        return float("nan")
    worn = np.ones(len(still), dtype=bool)
    for i, j in found:
        worn[i:j] = _minutes(windows, i, j) < settings.min_cooled_min
    known = temperature[worn & np.isfinite(temperature)]
    return float(np.quantile(known, 0.75)) if len(known) else float("nan")


def _fall(windows: Windows, temperature: FloatArray | None, level: float, i: int, j: int) -> tuple[float, float]:
    """Degrees by which a period ends colder than it began, and than the wearer's `level`; NaN where unknown.

    What began the recording is compared with `level`.
    """
    if temperature is None or not np.isfinite(tail := temperature[max(i, j - 6) : j]).any():
        return float("nan"), float("nan")
    first = int(np.searchsorted(windows.start_s, windows.start_s[i] - 10 * MINUTE))
    before = float(np.fmax.reduce(temperature[first:i], initial=-np.inf)) if i > first else level
    end = float(np.nanmin(tail))
    return before - end, level - end


def _cooled(fall: float, minutes: float, settings: WearSettings) -> bool:
    expected = settings.cooling_c * (1.0 - np.exp(-minutes / settings.cooling_min))
    return bool(minutes >= settings.min_cooled_min and fall >= expected)


def _rests(windows: Windows, unlikely: bool, minutes: float, i: int, j: int, settings: WearSettings) -> bool:
    """Whether a period is long enough on stillness alone, its orientation kept."""
    if minutes < (settings.min_warm_min if unlikely else settings.min_still_min):
        return False
    low, high = np.quantile(windows.mean_g[i:j], [0.02, 0.98], axis=0)
    return bool((high - low).max() < settings.drift_mg / 1000.0)


def _with_handling(
    windows: Windows,
    temperature: FloatArray,
    level: float,
    off: BoolArray,
    found: list[tuple[int, int]],
    settings: WearSettings,
) -> BoolArray:
    """`off` with the handling and transport after each cold period, before the first wear and after the last.

    Five minutes are the least that is added; less is the lag of the temperature behind a sensor put on at once.
    """
    out = off.copy()
    seeds = runs(off, windows.start_s, longest_step_s=np.inf)
    if len(off) and not off[0]:
        seeds.insert(0, (0, 1))
    for i, j in seeds:
        if not np.nanmin(temperature[max(i, j - 30) : j], initial=np.inf) < level - settings.cooling_c:
            continue
        stop = j + _warming(windows.start_s[j:], temperature[j:], level, settings)
        laid = [b for a, b in found if j <= a and b <= stop and _minutes(windows, a, b) >= LEAST_HANDLING_MIN]
        rest = max(laid, default=j)
        if windows.start_s[stop - 1] - windows.start_s[rest - 1] < LEAST_HANDLING_MIN * MINUTE:
            stop = rest
        out[i:stop] |= stop > j
    begin = _final_fall(windows.start_s, temperature, level, settings)
    if begin < len(off) and windows.start_s[-1] - windows.start_s[begin] >= LEAST_END_MIN * MINUTE:
        out[begin:] = True
    return out


def _final_fall(start_s: FloatArray, temperature: FloatArray, level: float, settings: WearSettings) -> int:
    """Index at which the last fall to a cold end of the recording begins; their number if it does not end cold.

    From the last times at three quarters and at half of the way, as of an exponential fall that began before them.
    """
    low = float(np.nanmin(temperature[-30:], initial=np.inf))
    if not low < level - settings.cooling_c:
        return len(start_s)
    half, high = (np.flatnonzero(temperature >= low + part * (level - low)) for part in (0.5, 0.75))
    if not len(high):
        return 0
    fell = min(start_s[half[-1]] - start_s[high[-1]], settings.cooling_min * MINUTE)
    return int(np.searchsorted(start_s, start_s[half[-1]] - (1.0 + RISE) * fell))


def _warming(start_s: FloatArray, temperature: FloatArray, level: float, settings: WearSettings) -> int:
    """Index at which a cold sensor begins to warm towards `level`: all of them if it never does.

    Warm is half way from the coldest to `level`. The beginning is the last time within `onset_c` of the coldest,
    or where an exponential rise through a quarter and a half of the way began, if that is later (warm hands).
    """
    coldest = np.fmin.accumulate(temperature)
    warm = np.flatnonzero(temperature >= (coldest + level) / 2.0)
    if not len(warm):
        return len(temperature)
    half = int(warm[0])
    low = coldest[half]
    quarter = int(np.flatnonzero(~(temperature[: half + 1] >= low + (level - low) / 4.0))[-1:].sum())
    onset = min(settings.onset_c, max(0.1 * (level - low), 0.4))
    foot = int(np.flatnonzero(temperature[: half + 1] <= low + onset)[-1:].sum())
    began = start_s[quarter] - RISE * (start_s[half] - start_s[quarter])
    return max(foot, int(np.searchsorted(start_s[: half + 1], began)))


def _sentences(
    thigh: Windows, back: Windows, off_thigh: FloatArray, off_back: FloatArray, both: FloatArray, settings: WearSettings
) -> tuple[str, ...]:
    """What a person should know of the wear of both sensors."""
    hours = [float(np.diff(off, axis=1).sum()) / 3600.0 for off in (off_thigh, off_back, both)]
    out = []
    if max(hours) > 0:
        out.append(f"Not worn: thigh {hours[0]:.1f} h, back {hours[1]:.1f} h, both at once {hours[2]:.1f} h.")
    none = np.empty((0, 2))
    for site, windows in (("thigh", thigh), ("back", back)):
        out += wear_sentences(site, windows, none, settings, joint=True)
    return tuple(out)


def wear_sentences(
    site: str, windows: Windows, off: FloatArray, settings: WearSettings, *, joint: bool = False
) -> list[str]:
    """What a person should know of the wear of one sensor; with `joint`, the hours are said for both together."""
    hours = float(np.diff(off, axis=1).sum()) / 3600.0
    out = [f"Not worn: {site} {hours:.1f} h."] if hours > 0 else []
    if not temperature_known(windows, settings):
        walking = ", or with the other sensor walking," if joint else ""
        out.append(
            f"The {site} recording has no telling temperature: only still periods of {settings.min_still_min:g} "
            f"min or more{walking} are found."
        )
    return out
