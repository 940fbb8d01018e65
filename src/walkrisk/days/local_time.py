"""From a device's clock to local time and calendar days, whatever the clocks did meanwhile.

A recorder's clock is set once, from the computer that configured it, and then runs on: it knows no summer time and no
zone. Between the device clock and local time stands a shift that is constant between clock changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from walkrisk.declarations import option
from walkrisk.errors import StudyFault

FloatArray = npt.NDArray[np.float64]
Dates = npt.NDArray[np.datetime64]

DAY_S = 86_400.0
LONGEST_WAIT = np.timedelta64(366, "D")  # from setting a clock to the start of a recording
_STEP_S = 3 * 3600  # no zone changes its clocks twice within it
_MARGIN_S = 2 * 86_400  # whole first and last days, in any zone


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSettings:
    """Where recorders were worn and where their clocks were set."""

    timezone: str = option(
        "",
        doc="Zone in which the recorders were worn, such as Europe/Oslo; empty takes the device clock for local time, "
        "and every day has 24 h.",
    )
    configured_timezone: str = option("", doc="Zone of the computer that set the recorders' clocks; empty: as worn.")


@dataclass(frozen=True, slots=True)
class CalendarDays:
    """Calendar days in a row: `date` (D,) datetime64[D], and [start_s, stop_s) (D,) on the device clock.

    `changes_s` are the clock changes in them (device clock). A day begins when its date first does.
    """

    date: Dates
    start_s: FloatArray
    stop_s: FloatArray
    changes_s: FloatArray

    @property
    def length_s(self) -> FloatArray:
        """Seconds in each day (D,): 86,400, or 82,800 and 90,000 where the clocks change by an hour."""
        return self.stop_s - self.start_s


@dataclass(frozen=True, slots=True)
class LocalClock:
    """Local time from device-clock seconds since `origin`: `shift_s[i]` is added from `from_s[i]` on (k,).

    `sentences` say what was assumed.
    """

    origin: np.datetime64
    from_s: FloatArray
    shift_s: FloatArray
    sentences: tuple[str, ...]

    def shift(self, time_s: FloatArray) -> FloatArray:
        """Local time minus device time (n,), in seconds."""
        return self.shift_s[np.maximum(np.searchsorted(self.from_s, time_s, side="right") - 1, 0)]

    def local(self, time_s: FloatArray) -> Dates:
        """Local time (n,) datetime64[ns] of device-clock seconds (n,)."""
        whole = np.floor(time_s)
        ns = (whole + self.shift(time_s)).astype(np.int64) * 1_000_000_000 + np.rint((time_s - whole) * 1e9).astype(
            np.int64
        )
        return self.origin.astype("datetime64[ns]") + ns.astype("timedelta64[ns]")

    def days(self, start_s: float, stop_s: float) -> CalendarDays:
        """All calendar days that [start_s, stop_s) touches; none if it is empty."""
        changes = self.from_s[1:]
        if stop_s <= start_s:
            none = np.empty(0)
            return CalendarDays(np.empty(0, dtype="datetime64[D]"), none, none, none)
        ends = np.array([start_s, np.nextafter(stop_s, start_s)])
        first, last = np.floor((ends + self.shift(ends)) / DAY_S).astype(np.int64)
        number = np.arange(first, last + 2)
        edges = self._begins(number * DAY_S)
        dates = self.origin.astype("datetime64[D]") + number[:-1].astype("timedelta64[D]")
        real = np.diff(edges) > 0  # a zone that crosses the date line leaves a date out
        inside = (changes >= edges[0]) & (changes < edges[-1])
        return CalendarDays(dates[real], edges[:-1][real], edges[1:][real], changes[inside])

    def _begins(self, local_s: FloatArray) -> FloatArray:
        """First device-clock second (m,) at which local time is `local_s` (m,) or later."""
        until = np.append(self.from_s[1:], np.inf)
        at = np.maximum(self.from_s, local_s[:, None] - self.shift_s)
        return np.where(at < until, at, np.inf).min(axis=1)


def time_faults(settings: TimeSettings) -> list[str]:
    """A sentence for each zone that is not known, beginning with its key."""
    faults = [
        f"{key}: there is no time zone {name[:60]!r}; give its name in the IANA list, such as Europe/Oslo."
        for key, name in (("timezone", settings.timezone), ("configured_timezone", settings.configured_timezone))
        if name and _zone(name) is None
    ]
    if settings.configured_timezone and not settings.timezone:
        faults.append("configured_timezone: needs timezone, the zone in which the recorders were worn.")
    return faults


def local_clock(
    settings: TimeSettings,
    *,
    origin: np.datetime64,
    start_s: float,
    stop_s: float,
    configured: np.datetime64 | None = None,
    started_s: float | None = None,
) -> LocalClock:
    """The local clock of a recording over [start_s, stop_s) of device time since `origin`.

    The device clock keeps the UTC offset that held in the configured zone when it was set (`configured`, device-clock
    time; else the start of the recording). With u = device - that offset, local time is u + the offset of the worn
    zone at u. Drift of the device clock (a second or two a day) is left in it. A clock set within the hour that
    autumn repeats is taken to have been set in its first pass; a time after the start, or more than a year before it,
    is not believed. `started_s`: where this device's own recording started, if not at `start_s`.

    Raises StudyFault for an unknown zone.
    """
    faults = time_faults(settings)
    if faults:
        raise StudyFault(faults)
    origin = origin.astype("datetime64[s]")
    if not settings.timezone:
        said = "No time zone is declared: the device clock is taken for local time, and every day has 24 h."
        return LocalClock(origin, np.array([-np.inf]), np.zeros(1), (said,))
    worn, set_in = ZoneInfo(settings.timezone), ZoneInfo(settings.configured_timezone or settings.timezone)
    sentences = []
    started = origin + np.timedelta64(int(start_s if started_s is None else started_s), "s")
    if configured is None or not started - LONGEST_WAIT <= configured <= started + np.timedelta64(1, "h"):
        unsaid = "gives no time" if configured is None else "gives no credible time"
        configured = started
        sentences.append(
            f"The file {unsaid} at which the device's clock was set; the start of the recording is taken for it."
        )
    device_offset = _offset(_python(configured).replace(tzinfo=set_in))
    midnight_utc = _python(origin).replace(tzinfo=UTC) - timedelta(seconds=device_offset)
    from_s, shift_s = _shifts(worn, midnight_utc, device_offset, start_s - _MARGIN_S, stop_s + _MARGIN_S)
    return LocalClock(origin, from_s, shift_s, tuple(sentences))


def _shifts(
    zone: ZoneInfo, midnight_utc: datetime, device_offset: int, start_s: float, stop_s: float
) -> tuple[FloatArray, FloatArray]:
    """Where the shift between local and device time changes, and the shifts."""

    def shift(s: int) -> int:
        return _offset((midnight_utc + timedelta(seconds=s)).astimezone(zone)) - device_offset

    low = int(start_s)
    from_s, shifts = [-np.inf], [shift(low)]
    for high in range(low + _STEP_S, int(stop_s) + _STEP_S, _STEP_S):
        before, after = shift(low), shift(high)
        if before != after:
            left, right = low, high
            while right - left > 1:
                middle = (left + right) // 2
                left, right = (middle, right) if shift(middle) == before else (left, middle)
            from_s.append(float(right))
            shifts.append(after)
        low = high
    return np.array(from_s), np.array(shifts, dtype=np.float64)


def _offset(moment: datetime) -> int:
    return round((moment.utcoffset() or timedelta()).total_seconds())


def _python(moment: np.datetime64) -> datetime:
    return datetime(1970, 1, 1) + timedelta(seconds=int(moment.astype("datetime64[s]").astype(np.int64)))


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; a path; a folder of zones
        return None
