"""Two clocks of known offset, drift and restarts, on people who walk with a cadence of their own from bout to bout."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from walkrisk.recordings import synchrony
from walkrisk.recordings.lags import Matches, best_line
from walkrisk.recordings.recording import ArraySource, Blocks, Device, Quality, Samples, segments_of
from walkrisk.recordings.synchrony import AHEAD, Clock, Synchrony, synchronise
from walkrisk.recordings.windows import Windows

DAY = 86400.0
ORIGIN = np.datetime64("2024-03-01", "ns")
NO_BLOCKS = Blocks(*(np.empty(0),) * 4)


def walking(seed, days, *, bouts_a_day=14, jitter=0.03):
    """(starts, stops) of bouts and the times of all steps."""
    rng = np.random.default_rng(seed)
    starts = np.sort(np.concatenate([d * DAY + rng.uniform(7, 22, bouts_a_day) * 3600 for d in range(days)]))
    starts = starts[np.concatenate(([True], np.diff(starts) > 700))]
    stops, steps = starts + rng.uniform(90, 600, len(starts)), []
    for a, b in zip(starts, stops, strict=True):
        pace = rng.uniform(0.45, 0.65)
        times = a + np.cumsum(pace * (1 + jitter * rng.standard_normal(int((b - a) / pace))))
        steps.append(times)
    return starts, stops, np.concatenate(steps)


@dataclass
class Sensor:
    """Heel strikes felt at true times, written with the sensor's own clock; random access, nothing stored."""

    steps: np.ndarray
    strength: tuple[float, float]
    span: tuple[float, float]
    clock: object = None  # true seconds -> own seconds
    true: object = None
    origin: np.datetime64 = ORIGIN
    rate_hz: float = 50.0
    real_hz: float = 49.94
    site: str = ""
    configured: None = None
    pause: tuple[float, float] = (0.0, 0.0)
    blocks: Blocks = NO_BLOCKS
    device: Device = field(default_factory=Device)
    quality: Quality = field(default_factory=Quality)
    read_s: float = 0.0

    @property
    def segments(self):
        return np.array([[self.clock(self.span[0]), self.clock(self.span[1])]])

    def samples(self, start_s, stop_s):
        a, b = self.true(start_s), self.true(stop_s)
        self.read_s += stop_s - start_s
        t = (
            np.arange(np.ceil(max(a, self.span[0]) * self.real_hz), np.floor(min(b, self.span[1]) * self.real_hz))
            / self.real_hz
        )
        t = t[(t < self.pause[0]) | (t >= self.pause[1])]
        last = np.searchsorted(self.steps, t) - 1
        since = t - self.steps[np.maximum(last, 0)]
        shock = np.exp(-np.maximum(since, 0.0) / 0.06) * np.sin(2 * np.pi * 9.0 * since) * (last >= 0) * (since < 1.0)
        axes = np.zeros((3, len(t)))
        axes[0] = 1.0 + shock * np.where(last % 2 == 0, *self.strength)
        axes[2] = 0.3 * axes[0]
        own = self.clock(t)
        inside = (own >= start_s) & (own < stop_s)
        return Samples(own[inside], axes[:, inside].astype(np.float32))


def summaries(sensor, starts, stops):
    """The 10-s windows as they would be computed, still between bouts (so that a week takes no time)."""
    first, last = sensor.segments[0, 0] // 10, sensor.segments[-1, 1] // 10
    start_s = np.arange(first + 1, last) * 10.0
    sd = np.full((len(start_s), 3), 0.002)
    for a, b in zip(sensor.clock(starts), sensor.clock(stops), strict=True):
        part = sensor.samples(a - 20, b + 20)
        slot = (part.time_s // 10).astype(int)
        for k in np.unique(slot):
            at = k - int(first) - 1
            if 0 <= at < len(sd):
                sd[at] = np.maximum(part.axes_g[:, slot == k].std(axis=1), 0.002)
    gone = (start_s >= sensor.clock(sensor.pause[0]) - 10) & (start_s < sensor.clock(sensor.pause[1]))
    kept = ~gone if sensor.pause[1] > sensor.pause[0] else np.ones(len(sd), dtype=bool)
    k = kept.sum()
    return Windows(
        origin=sensor.origin,
        window_s=10.0,
        expected=500.0,
        start_s=start_s[kept],
        n=np.full(k, 500),
        mean_g=np.zeros((k, 3)),
        sd_g=sd[kept],
        min_g=np.zeros((k, 3)),
        max_g=np.zeros((k, 3)),
        temperature_c=np.full(k, np.nan),
    )


def pair(days, *, offset=0.0, drift=0.0, seed=1, other=None, jitter=0.03, origin=ORIGIN, bouts_a_day=14):
    """Thigh and back of one person (of two with `other`), the back's clock behind by offset + drift a day."""
    starts, stops, steps = walking(seed, days, jitter=jitter, bouts_a_day=bouts_a_day)
    theirs = (starts, stops, steps) if other is None else walking(other, days, bouts_a_day=bouts_a_day)
    shift = float((origin - ORIGIN) / np.timedelta64(1, "s"))
    span = (0.0, days * DAY)
    rate = 1 + drift / DAY
    thigh = Sensor(steps, (0.5, 1.2), span, clock=lambda t: t, true=lambda t: t)
    back = Sensor(
        theirs[2],
        (0.6, 0.5),
        span,
        clock=lambda t: (t - offset) / rate - shift,
        true=lambda t: (t + shift) * rate + offset,
        origin=origin,
        real_hz=50.125,
    )
    return thigh, back, summaries(thigh, starts, stops), summaries(back, *theirs[:2])


def found(thigh, back, w_thigh, w_back, **settings):
    return synchronise(thigh, back, Synchrony(**settings), thigh_windows=w_thigh, back_windows=w_back)


def error_ms(clock, back, days):
    t = np.arange(0.0, days * DAY, 900.0)
    return 1000.0 * np.abs(clock.thigh_time(back.clock(t)) - t)


@pytest.fixture(scope="module")
def week():
    return pair(7, offset=0.4, drift=1.3)


@pytest.fixture(scope="module")
def week_clock(week):
    week[1].read_s = 0.0
    return found(*week)


def test_a_week_with_offset_and_drift_is_laid_side_by_side_to_40_ms(week, week_clock):
    back, clock = week[1], week_clock
    assert clock.verdict == "synchronised"
    assert error_ms(clock, back, 7).max() < 40.0
    assert clock.slope_s_per_day == pytest.approx(1.3, abs=0.02)
    assert clock.offset_s == pytest.approx(0.4, abs=0.04)
    assert clock.residual_ms < 15.0
    assert clock.restarts == 0
    assert "drifted +1.30 s a day" in clock.sentence
    assert back.read_s < 0.1 * 7 * DAY, "only the windows compared are read"


def test_lags_are_told_to_a_part_of_a_sample(week, week_clock):
    noon = [found(*pair(1, offset=offset, seed=2)).lag(np.array([DAY / 2]))[0] for offset in (0.013, 0.023)]
    assert 1000.0 * (noon[1] - noon[0]) == pytest.approx(10.0, abs=3.0)
    assert 1000.0 * noon[0] == pytest.approx(13.0, abs=5.0)
    assert np.median(error_ms(week_clock, week[1], 7)) < 5.0


def test_back_time_undoes_thigh_time(week_clock):
    clock = week_clock
    t = np.linspace(-1000.0, 8 * DAY, 1001)
    np.testing.assert_allclose(clock.back_time(clock.thigh_time(t)), t, atol=1e-6)


def test_days_that_are_all_alike_do_not_lead_a_day_astray():
    starts, stops, steps = walking(4, 1)
    alike = [np.concatenate([x + d * (DAY - 5.0) for d in range(6)]) for x in (starts, stops, steps)]
    thigh, back, _, _ = pair(6, offset=5.0, drift=0.1)  # a day on, the 10-s summaries fit better
    thigh.steps = back.steps = alike[2]
    clock = found(thigh, back, summaries(thigh, *alike[:2]), summaries(back, *alike[:2]))
    assert clock.verdict == "synchronised"
    assert error_ms(clock, back, 6).max() < 40.0


@pytest.mark.parametrize(("offset", "drift"), [(-2 * 3600.0 - 187.3, -2.0), (25 * 3600.0, 6.0), (41.75, 0.0)])
def test_a_clock_hours_off_and_another_origin(offset, drift):
    parts = pair(2, offset=offset, drift=drift, origin=np.datetime64("2024-02-28", "ns"), seed=3)
    clock = found(*parts)
    assert clock.verdict == "synchronised"
    assert clock.shift_s == -2 * DAY
    assert error_ms(clock, parts[1], 2).max() < 40.0


def test_a_metronome_does_not_lead_a_step_astray():
    parts = pair(2, offset=0.9, drift=1.0, jitter=0.0, seed=5)
    clock = found(*parts)
    assert clock.verdict == "synchronised"
    assert error_ms(clock, parts[1], 2).max() < 40.0


@pytest.mark.parametrize("jump", [3601.5, 4.0])
def test_a_clock_set_anew_within_the_recording(jump):
    thigh, back, w_thigh, _ = pair(2, offset=0.4, drift=1.3, seed=7)
    plain, rate, cut = back.clock, 1 + 1.3 / DAY, 1 * DAY
    back.clock = lambda t: plain(t) + jump * (np.asarray(t) >= cut)
    back.true = lambda own: rate * (own - jump * (own >= plain(cut) + jump)) + 0.4
    back.pause = (cut - 300.0, cut)
    starts, stops, _ = walking(7, 2)
    clock = found(thigh, back, w_thigh, summaries(back, starts, stops))
    assert clock.restarts == 1
    assert "set anew 1 time " in clock.sentence
    t = np.arange(0.0, 2 * DAY, 900.0)
    t = t[(t < cut - 1800) | (t > cut + 1800)]
    assert 1000.0 * np.abs(clock.thigh_time(back.clock(t)) - t).max() < 60.0


@pytest.mark.parametrize("days", [1, 3])
def test_two_people_are_not_brought_together(days):
    clock = found(*pair(days, other=77, seed=11))
    assert clock.verdict == "not found"
    assert not clock.found
    assert "do not seem to belong together" in clock.sentence
    np.testing.assert_array_equal(clock.lag(np.array([0.0, 5.0])), 0.0)


def test_nothing_moved():
    thigh, back, w_thigh, w_back = pair(1)
    clock = found(thigh, back, w_thigh, replace(w_back, sd_g=np.full_like(w_back.sd_g, 0.002)))
    assert clock.verdict == "too little movement"
    assert "not brought together" in clock.sentence


def test_movement_in_one_hour_of_a_day_gives_an_offset_but_no_drift():
    thigh, back, w_thigh, w_back = pair(1, offset=2.5, seed=13)
    at = thigh.steps[0] // 3600 * 3600
    early = thigh.steps[thigh.steps < at + 7200]
    thigh.steps = back.steps = early
    quiet = [np.where((w.start_s < early[-1])[:, None], w.sd_g, 0.002) for w in (w_thigh, w_back)]
    clock = found(thigh, back, replace(w_thigh, sd_g=quiet[0]), replace(w_back, sd_g=quiet[1]), least_span=0.5)
    assert clock.verdict == "constant only"
    assert clock.slope_s_per_day == 0.0
    assert clock.offset_s == pytest.approx(2.5, abs=0.04)
    assert "none was removed" in clock.sentence


def test_an_empty_clock_changes_nothing_but_the_origin():
    clock = Clock(verdict="not found", sentence="", shift_s=5.0, knot_s=np.empty(0), knot_lag_s=np.empty(0))
    np.testing.assert_array_equal(clock.thigh_time(np.array([1.0])), [6.0])
    np.testing.assert_array_equal(clock.back_time(np.array([6.0])), [1.0])


@dataclass
class Swinging(Sensor):
    """Gait as a sum of three sines that begins and ends at once: no heel strikes, and every step like the others."""

    starts: np.ndarray = None
    stops: np.ndarray = None
    hz: np.ndarray = None
    phase: float = 0.0
    noise_g: float = 0.004

    def samples(self, start_s, stop_s):
        a, b = max(self.true(start_s), self.span[0]), min(self.true(stop_s), self.span[1])
        t = np.arange(np.ceil(a * self.real_hz), np.floor(b * self.real_hz)) / self.real_hz
        k = np.maximum(np.searchsorted(self.starts, t) - 1, 0)
        since = t - self.starts[k]
        turn = 2 * np.pi * (self.hz[k] * since + self.phase)
        moving = (since >= 0) & (t < self.stops[k])
        axes = self.noise_g * np.random.default_rng([int(start_s), int(self.real_hz * 8)]).standard_normal((3, len(t)))
        axes[0] += np.where(moving, 1 + self.strength[0] * (np.sin(2 * turn) + 0.3 * np.sin(4 * turn + 0.5)), 0.1)
        axes[2] += np.where(moving, self.strength[1] * np.sin(turn + 0.3), 1.0)
        own = self.clock(t)
        inside = (own >= start_s) & (own < stop_s)
        return Samples(own[inside], (np.rint(axes[:, inside] * 64) / 64).astype(np.float32))


def swinging(days, *, offset, drift, metronome, phase):
    """A pair whose gait is alike in every step, the back's `phase` strides late, whatever its pace."""
    starts, stops, _ = walking(21, days)
    hz = np.where(metronome, 0.9, np.random.default_rng(3).uniform(0.75, 1.05, len(starts)))
    gait, span, rate = {"starts": starts, "stops": stops, "hz": hz}, (0.0, days * DAY), 1 + drift / DAY
    thigh = Swinging(np.empty(0), (0.35, 0.3), span, clock=lambda t: t, true=lambda t: t, **gait)
    back = Swinging(
        np.empty(0),
        (0.2, 0.1),
        span,
        clock=lambda t: (t - offset) / rate,
        true=lambda t: t * rate + offset,
        real_hz=50.125,
        phase=phase,
        **gait,
    )
    return thigh, back, summaries(thigh, starts, stops), summaries(back, starts, stops)


@pytest.mark.parametrize("metronome", [False, True])
@pytest.mark.parametrize("phase", [0.0, 0.17, -0.3])
def test_a_gait_of_pure_sines_is_not_laid_by_its_phase(metronome, phase):
    parts = swinging(3, offset=0.4, drift=1.3, metronome=metronome, phase=phase)
    clock = found(*parts)
    assert clock.verdict == "synchronised"
    assert error_ms(clock, parts[1], 3).max() < 40.0


def test_a_line_that_may_be_a_step_off_is_used_and_said_to_be_so(monkeypatch):
    parts = pair(2, offset=0.4, drift=1.3, seed=3)
    straight = synchrony.best_line
    monkeypatch.setattr(synchrony, "best_line", lambda *a, **k: replace(straight(*a, **k), lead_in_cycle=AHEAD - 0.1))
    clock = found(*parts)
    assert clock.verdict == "ambiguous"
    assert clock.found
    assert "within about a step" in clock.sentence
    assert error_ms(clock, parts[1], 2).max() < 40.0


def test_a_line_is_ahead_by_standard_errors_of_the_windows_differences():
    agreement = np.zeros((4, 1601), dtype=np.float32)
    agreement[:, 800], agreement[:, 830], agreement[:, 1200] = (5, 5, 5, 5), (1, 3, 1, 3), (0, 0, 2, 2)
    empty = np.empty(0)
    seen = best_line(
        Matches(
            start_s=0.0,
            stop_s=4.0,
            around_s=0.0,
            centre_s=np.arange(4.0),
            agreement=agreement,
            lag_s=empty,
            weight=empty,
        ),
        drift_limit=0.0,
    )
    assert seen.intercept_s == 0.0
    assert seen.match == 5.0
    error = np.sqrt(4.0 / 4 / 5)  # squared distances from the mean 3 add up to 4
    assert seen.lead_in_cycle == pytest.approx(3.0 / error, rel=1e-4)
    assert seen.lead == pytest.approx(4.0 / error, rel=1e-4)


def real(shared, kind, name):
    import pandas as pd

    tables = [pd.read_parquet(shared / "data" / kind / site / f"{name}.parquet") for site in ("thigh", "trunk")]
    time_s = (tables[0]["datetime"] - tables[0]["datetime"].iloc[0]).dt.total_seconds().to_numpy() + 3600.0
    return time_s, [t[["acc_x", "acc_y", "acc_z"]].to_numpy().T.astype(np.float32) for t in tables]


def source(time_s, axes_g):
    return ArraySource(ORIGIN, 50.0, time_s, axes_g, segments_of(time_s, rate_hz=50.0), NO_BLOCKS)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("harth", "S027"), ("harth", "S028"), ("harth", "S037"), ("har70plus", "501"), ("har70plus", "514")],
)
def test_real_people_warped_and_brought_back(shared, kind, name):
    if not (shared / "data" / kind).is_dir():
        pytest.skip("the labelled recordings are not here")
    time_s, (thigh, back) = real(shared, kind, name)
    own = (time_s - time_s[0] - 37.4) / (1 + 31.3 / DAY) + time_s[0]
    clock = synchronise(source(time_s, thigh), source(own, back), Synchrony(drift_limit_s_per_day=60.0))
    apart = 1000.0 * (clock.thigh_time(own) - time_s)
    assert clock.verdict == "synchronised"
    assert np.abs(np.median(apart)) < 30.0
    assert np.abs(apart).max() < 50.0


def test_real_strangers_are_told_apart(shared):
    if not (shared / "data" / "harth").is_dir():
        pytest.skip("the labelled recordings are not here")
    time_a, (thigh, _) = real(shared, "harth", "S023")
    time_b, (_, back) = real(shared, "harth", "S024")
    assert synchronise(source(time_a, thigh), source(time_b, back)).verdict == "not found"
