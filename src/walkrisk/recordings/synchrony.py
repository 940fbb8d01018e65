"""Two sensors, two clocks: which second of the thigh's recording a second of the back's belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from walkrisk.declarations import option
from walkrisk.recordings.lags import Matches, Part, best_line, coarse_lags, fit_knots, match_windows
from walkrisk.recordings.recording import SECOND, FloatArray, Source
from walkrisk.recordings.windows import Windows, window_summaries

DAY = 86400.0
Verdict = Literal["synchronised", "constant only", "too little movement", "ambiguous", "not found"]
AHEAD = 3.5  # standard errors by which a line must match better than any other
SAME_SETTING = 0.3  # seconds by which the lag may change across a pause before it is taken for a new clock setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Synchrony:
    """How the clocks of the two sensors are brought together."""

    search_h: float = option(26.0, doc="Largest difference of the two clocks looked for, hours.")
    drift_limit_s_per_day: float = option(10.0, doc="Fastest drift looked for, seconds a day.")
    windows_per_day: int = option(36, doc="60-second windows of movement compared a day.")
    fewest_windows: int = option(8, doc="Fewest matching windows on which a clock is taken as found.")
    least_match: float = option(0.7, doc="Least mean agreement of the movement, in root mean squares over all lags.")
    least_span: float = option(0.25, doc="Share of the common time that matched windows must span for a drift.")
    knot_h: float = option(6.0, doc="Hours between the points at which the lag may bend.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The back sensor's clock in terms of the thigh sensor's.

    thigh second = back second + shift_s + lag(back second), seconds counted from each recording's own origin;
    `shift_s` is the distance of the two origins, lag the line through (`knot_s`, `knot_lag_s`), kept constant outside.
    `offset_s` is the lag where the back's recording starts, `slope_s_per_day` its mean change, `residual_ms` the median
    absolute distance of the windows' own lags from it, `match` their mean agreement (in root mean squares of it over
    all lags), `windows` their number and `span` the share of the common time between the first and the last;
    `restarts` counts changes of a clock's setting.
    """

    verdict: Verdict
    sentence: str
    shift_s: float = 0.0
    knot_s: FloatArray
    knot_lag_s: FloatArray
    offset_s: float = float("nan")
    slope_s_per_day: float = float("nan")
    residual_ms: float = float("nan")
    match: float = float("nan")
    windows: int = 0
    span: float = 0.0
    restarts: int = 0

    @property
    def found(self) -> bool:
        """Whether the two recordings can be laid side by side."""
        return self.verdict in ("synchronised", "constant only", "ambiguous")

    def lag(self, back_s: FloatArray) -> FloatArray:
        """Seconds (n,) by which the back's clock is behind the thigh's at `back_s` (n,), origins set aside."""
        if not len(self.knot_s):
            return np.zeros_like(np.asarray(back_s, dtype=np.float64))
        return np.asarray(np.interp(back_s, self.knot_s, self.knot_lag_s), dtype=np.float64)

    def thigh_time(self, back_s: FloatArray) -> FloatArray:
        """Thigh-clock seconds (n,) of back-clock seconds (n,)."""
        return np.asarray(back_s + self.shift_s + self.lag(back_s), dtype=np.float64)

    def back_time(self, thigh_s: FloatArray) -> FloatArray:
        """Back-clock seconds (n,) of thigh-clock seconds (n,): the inverse of `thigh_time` to a microsecond."""
        target = np.asarray(thigh_s, dtype=np.float64) - self.shift_s
        if not len(self.knot_s):
            return target
        at = self.knot_s + self.knot_lag_s
        return np.asarray(target - np.interp(target, at, self.knot_lag_s), dtype=np.float64)


def synchronise(
    thigh: Source,
    back: Source,
    settings: Synchrony | None = None,
    *,
    thigh_windows: Windows | None = None,
    back_windows: Windows | None = None,
) -> Clock:
    """The clock of the back sensor, from movement that both sensors felt.

    1. The 10-s movement of both records is cross-correlated, part by part, over all lags up to `search_h`; no lag
       at all (clocks set by one computer) is looked at first.
    2. In 60-s windows with movement, the log envelope above 6 Hz of both (heel strikes, starts and stops; no axis is
       used, so it does not matter how a sensor was worn) is cross-correlated at 50 Hz over +-16 s, whitened, so that
       what happens once counts more than what every stride repeats.
    3. The line lag = a + b t with the highest mean over all windows is taken. It must be ahead of every other line by
       3.5 standard errors of the windows' differences; where only lines a step or a stride off come nearer than
       that, it is used and said to be "ambiguous". Then each window's own maximum within 0.25 s of the line.
    4. A bisquare line through those, free to bend a little every `knot_h`, gives the lag; parts of the record between
       pauses have their own where a clock was set anew.

    Drift, if any, is taken from the data, not from the rates. Legs and back do not move as one: real people differ by
    about 15 ms (up to 40) in the lag that fits best, and by more in cycling, so the clock can be no more exact.
    With `thigh_windows` and `back_windows` (10-s summaries) only the windows compared are read again.
    Like Open Movement's timesync and Acti4's AutoSynchronization, except for step 3, which those replace by a narrow
    search around the lag found so far, and for the first search, which has no narrow limit.
    """
    settings = settings or Synchrony()
    shift = float((back.origin - thigh.origin) / SECOND)
    w_thigh = thigh_windows or window_summaries(thigh)
    w_back = back_windows or window_summaries(back)
    parts = coarse_lags(w_thigh, w_back, shift_s=shift, search_s=settings.search_h * 3600.0)
    if not parts:
        return _without(
            shift,
            "too little movement",
            "The two recordings share no stretch in which both sensors moved enough to compare their clocks, "
            "so they were not brought together.",
        )
    likely = [found for part in parts if (found := _line(thigh, back, part, shift, settings)) is not None]
    lined = [found for found in likely if found.lead_in_cycle >= AHEAD]
    if not likely:
        return _without(
            shift,
            "not found",
            "No lag was found at which the two sensors moved together: these two files do not seem to belong "
            "together, so they were not brought together.",
        )
    return _clock(lined or likely, (parts[0].start_s, parts[-1].stop_s), shift, settings, is_sure=bool(lined))


def _most(duration_s: float, settings: Synchrony) -> int:
    """Windows to compare in a part: the day's number, and at least 60 in a short one."""
    return max(60, round(settings.windows_per_day * duration_s / DAY))


def _line(thigh: Source, back: Source, part: Part, shift: float, settings: Synchrony) -> Matches | None:
    """The common line of a part, at the first coarse lag where one stands out; else the one surest but for a step."""
    most = _most(part.stop_s - part.start_s, settings)
    spare: Matches | None = None
    for centre in part.lags_s:
        found = match_windows(thigh, back, part, centre, shift_s=shift, most=most)
        found = best_line(found, drift_limit=settings.drift_limit_s_per_day / DAY)
        if len(found.centre_s) < settings.fewest_windows or found.match < settings.least_match or found.lead < AHEAD:
            continue
        if found.lead_in_cycle >= AHEAD:
            return found
        spare = found if spare is None or found.lead > spare.lead else spare
    return spare


def _clock(
    lined: list[Matches], common: tuple[float, float], shift: float, settings: Synchrony, *, is_sure: bool
) -> Clock:
    """The clock through all matched windows, in as many pieces as it was set."""
    groups = _groups(lined)
    shortest = settings.least_span * (common[1] - common[0]) / len(groups)
    knots, lags, residuals, bends = [], [], [], []
    for group in groups:
        centre, lag, weight = (
            np.concatenate([getattr(m, name) for m in group]) for name in ("centre_s", "lag_s", "weight")
        )
        bends.append(bool(np.ptp(centre) >= shortest))
        spots, values = fit_knots(centre, lag, weight, every_s=settings.knot_h * 3600.0, drift=bends[-1])
        residuals.append(lag - np.interp(centre, spots, values))
        ends = (
            common[0] if group is groups[0] else group[0].start_s,
            common[1] if group is groups[-1] else group[-1].stop_s,
        )
        knots.append(np.concatenate((ends[:1], spots, ends[1:])))
        lags.append(np.concatenate(([_beyond(spots, values, ends[0])], values, [_beyond(spots, values, ends[1])])))
    residual_ms = 1000.0 * float(np.median(np.abs(np.concatenate(residuals))))
    knot_s, knot_lag = _increasing(np.concatenate(knots), np.concatenate(lags))
    count = sum(len(m.centre_s) for m in lined)
    verdict: Verdict = ("synchronised" if any(bends) else "constant only") if is_sure else "ambiguous"
    slope = _slope(knots, lags)
    return Clock(
        verdict=verdict,
        sentence=_sentence(verdict, float(knot_lag[0]), slope, residual_ms, count, len(groups) - 1, any(bends)),
        shift_s=shift,
        knot_s=knot_s,
        knot_lag_s=knot_lag,
        offset_s=float(knot_lag[0]),
        slope_s_per_day=slope,
        residual_ms=residual_ms,
        match=float(np.average([m.match for m in lined], weights=[len(m.centre_s) for m in lined])),
        windows=count,
        span=float((lined[-1].centre_s.max() - lined[0].centre_s.min()) / max(common[1] - common[0], 1.0)),
        restarts=len(groups) - 1,
    )


def _groups(lined: list[Matches]) -> list[list[Matches]]:
    """The parts of the record, those side by side together whose lines meet: one group for each setting of a clock."""
    groups = [lined[:1]]
    for found in lined[1:]:
        before = groups[-1][-1]
        at = (before.centre_s[-1] + found.centre_s[0]) / 2.0
        if abs(before.line(at) - found.line(at)) <= SAME_SETTING:
            groups[-1].append(found)
        else:
            groups.append([found])
    return groups


def _beyond(spots: FloatArray, values: FloatArray, at: float) -> float:
    """The lag at the end of a stretch, along the mean drift from its nearest knot."""
    slope = (values[-1] - values[0]) / (spots[-1] - spots[0]) if spots[-1] > spots[0] else 0.0
    near = 0 if at < spots[0] else -1
    return float(values[near] + slope * (at - spots[near]))


def _slope(knots: list[FloatArray], lags: list[FloatArray]) -> float:
    """Mean drift, s/day, of the stretches, weighted by their length."""
    length = np.array([k[-1] - k[0] for k in knots])
    rise = np.array([v[-1] - v[0] for v in lags])
    return float(rise.sum() / max(length.sum(), 1.0) * DAY)


def _increasing(knot_s: FloatArray, knot_lag: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Knots in strictly increasing order: at a restart the two sides lie a millisecond apart."""
    keep_s, keep_lag = [knot_s[0]], [knot_lag[0]]
    for at, lag in zip(knot_s[1:], knot_lag[1:], strict=True):
        if at <= keep_s[-1] and abs(lag - keep_lag[-1]) < 1e-9:
            continue
        keep_s.append(max(at, keep_s[-1] + 1e-3))
        keep_lag.append(lag)
    return np.array(keep_s), np.array(keep_lag)


def _sentence(
    verdict: Verdict, offset: float, slope: float, residual_ms: float, count: int, restarts: int, has_drift: bool
) -> str:
    """What was done, for a person."""
    side = "behind" if offset >= 0 else "ahead of"
    text = f"The back sensor's clock was {abs(offset):.2f} s {side} the thigh's"
    if has_drift:
        text += f" and drifted {slope:+.2f} s a day"
    text += f" ({count} windows of common movement, median deviation {residual_ms:.0f} ms); this was removed."
    if not has_drift:
        text += " The windows span too little of the recording for a drift, so none was removed."
    if verdict == "ambiguous":
        text += " The person moved so evenly that this is known to within about a step or a stride (0.5 to 1.3 s) only."
    if restarts:
        text += f" A clock was set anew {restarts} time{'s' if restarts > 1 else ''} within the recording."
    return text


def _without(shift: float, verdict: Verdict, sentence: str) -> Clock:
    """The clock of a pair that could not be brought together."""
    return Clock(verdict=verdict, sentence=sentence, shift_s=shift, knot_s=np.empty(0), knot_lag_s=np.empty(0))
