"""Non-wear against simulated weeks of known truth (sitting, walking, sleep, removals) and real recordings all worn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from walkrisk.recordings.recording import ArraySource, Blocks, segments_of
from walkrisk.recordings.wear import WearSettings, intersection, joint_wear, not_worn, runs, still_windows
from walkrisk.recordings.windows import Windows, window_summaries

MONDAY = np.datetime64("2024-01-01", "ns")
HOUR, DAY = 3600.0, 86400.0
SITTING, UPRIGHT = np.array([0.1, 0.1, -0.98]), np.array([1.0, 0.0, 0.0])


def unit(vector):
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def life(rng, n):
    """SD (n,) and mean (n, 3) of the windows of a sitting, standing, walking and, from 23 to 7, sleeping person."""
    sd, mean = np.empty(n), np.empty((n, 3))
    i = 0
    while i < n:
        if 7 <= i / 360 % 24 < 23:
            kind = rng.choice(3, p=[0.55, 0.25, 0.2])
            k = int(rng.lognormal(np.log([90, 24, 12][kind]), 0.8)) + 1
            posture, level = (SITTING, UPRIGHT, UPRIGHT)[kind] + rng.normal(0, 0.1, 3), (0.006, 0.03, 0.25)[kind]
            fidgets = rng.uniform(0.02, 0.25) if kind == 0 else 0.0
        else:  # lies still for 40 min on average, then turns
            k, posture, level, fidgets = int(rng.gamma(2, 120)) + 1, rng.normal(0, [0.15, 1, 1]), 0.004, 0.0
        stop = min(i + k, n)
        mean[i:stop] = unit(posture) + rng.normal(0, 0.003, (stop - i, 3))
        sd[i:stop] = level * rng.lognormal(0, 0.2, stop - i)
        sd[i:stop][rng.random(stop - i) < fidgets] = 0.05
        sd[i : i + 2] = rng.uniform(0.03, 0.3)
        i = stop
    return sd, mean


def cooled(target, first, *, minutes=14.0):
    """What a thermometer in a case shows of a course of temperatures, in steps of 0.29 C."""
    out, now, part = np.empty(len(target)), first, np.exp(-1 / 6 / minutes)
    for k, aim in enumerate(target.tolist()):
        now = aim + (now - aim) * part
        out[k] = now
    return np.round(out / 0.293) * 0.293


def week(rng, *, days=4, off=(), handling_min=0, room=21.0, minutes=14.0):
    """Windows of some days and the truth (w,): worn but for `off` and the handling that begins the recording."""
    n = int(days * 8640)
    start_s = 10.0 * np.arange(n)
    sd, mean = life(rng, n)
    slow = np.convolve(rng.normal(0, 1, n + 359), np.ones(360) / np.sqrt(360), "valid")
    skin = 33.5 - 1.5 * np.sin(2 * np.pi * (start_s / HOUR - 15) / 24) + 0.7 * slow
    truth = np.zeros(n, dtype=bool)
    for start, stop in off:
        i, j = int(start / 10), int(stop / 10)
        truth[i:j], sd[i:j] = True, 0.004
        mean[i:j] = np.array([0.0, 0.02, 1.0]) + rng.normal(0, 0.0005, (j - i, 3))
        sd[i] = sd[j - 1] = 0.2
    h = int(6 * handling_min)
    truth[:h], sd[:h], mean[:h] = True, rng.choice([0.005, 0.1, 0.4], h), unit(rng.normal(size=(h, 3)))
    temperature = cooled(np.where(truth, room, skin), room if truth[0] else skin[0], minutes=minutes)
    return windows(start_s, sd[:, None] * rng.uniform(0.7, 1.0, (n, 3)), mean, temperature), truth


def windows(start_s, sd, mean, temperature):
    n = len(start_s)
    return Windows(
        origin=MONDAY,
        window_s=10.0,
        expected=500.0,
        start_s=start_s,
        n=np.full(n, 500),
        mean_g=mean,
        sd_g=sd,
        min_g=mean - 3 * sd,
        max_g=mean + 3 * sd,
        temperature_c=temperature,
    )


def without_temperature(those):
    return replace(those, temperature_c=np.full(len(those.n), np.nan))


def part(those, kept):
    names = ("start_s", "n", "mean_g", "sd_g", "min_g", "max_g", "temperature_c")
    return replace(those, **{name: getattr(those, name)[kept] for name in names})


def marked(those, off):
    inside = (those.start_s[:, None] >= off[None, :, 0]) & (those.start_s[:, None] < off[None, :, 1])
    return inside.any(axis=1)


def rates(those, truth, off):
    """Share of the unworn windows found, and hours wrongly called unworn."""
    found = marked(those, off)
    return (found & truth).sum() / max(truth.sum(), 1), (found & ~truth).sum() / 360


@pytest.mark.parametrize("seed", range(4))
def test_days_and_nights_of_wear_are_all_worn(seed):
    those, _ = week(np.random.default_rng(seed))
    assert not_worn(those).shape == (0, 2)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("room", [18.0, 25.0])
def test_three_hours_off_are_found_to_the_minute_at_both_edges(seed, room):
    those, _truth = week(np.random.default_rng(seed), off=[(37 * HOUR, 40 * HOUR)], room=room)
    np.testing.assert_allclose(not_worn(those), [[37 * HOUR, 40 * HOUR]], atol=60)


def test_showers_of_a_quarter_of_an_hour_are_found_by_the_fall_of_temperature():
    off = [(d * DAY + 7.5 * HOUR, d * DAY + 7.5 * HOUR + m * 60) for d, m in ((1, 15), (2, 17), (3, 20))]
    for seed in range(3):
        those, _ = week(np.random.default_rng(seed), off=off, minutes=8 + 4 * seed)
        np.testing.assert_allclose(not_worn(those), off, atol=60)
        assert not_worn(without_temperature(those)).shape == (0, 2)


def test_a_night_off_is_found_and_the_nights_slept_through_are_not():
    for seed in range(3):
        those, truth = week(np.random.default_rng(seed), off=[(46.5 * HOUR, 55 * HOUR)])
        sensitivity, wrong_h = rates(those, truth, not_worn(those))
        assert sensitivity > 0.99
        assert wrong_h < 0.1


def test_handling_before_wear_is_not_wear_and_ends_when_the_sensor_warms():
    for seed in range(4):
        those, _ = week(np.random.default_rng(seed), handling_min=30)
        off = not_worn(those)
        assert off.shape == (1, 2)
        assert off[0, 0] == 0
        assert abs(off[0, 1] - 1800) < 150


def test_hands_that_warm_the_sensor_somewhat_do_not_end_the_handling():
    rng = np.random.default_rng(1)
    those, _ = week(rng, handling_min=30)
    temperature = those.temperature_c.copy()
    temperature[:180] += np.linspace(0, 2.5, 180)
    temperature[180:] = np.maximum(temperature[180:], temperature[179])
    off = not_worn(replace(those, temperature_c=temperature))
    assert off.shape == (1, 2)
    assert abs(off[0, 1] - 1800) < 300


def test_a_sensor_cold_at_the_start_but_worn_at_once_is_worn():
    those, _ = week(np.random.default_rng(2))
    temperature = those.temperature_c.copy()
    temperature[:600] -= 12 * np.exp(-np.arange(600) / 6 / 14)
    assert not_worn(replace(those, temperature_c=temperature)).shape == (0, 2)


def test_posted_home_with_knocks_stays_off_to_the_end():
    rng = np.random.default_rng(3)
    those, truth = week(rng, off=[(2.5 * DAY, 4 * DAY)])
    knocks = truth & (rng.random(len(truth)) < 0.02)
    those = replace(those, sd_g=np.where(knocks[:, None], 0.3, those.sd_g))
    off = not_worn(those)
    np.testing.assert_allclose(off, [[2.5 * DAY, 4 * DAY]], atol=120)


def test_laid_down_again_after_a_knock_is_one_period():
    those, _ = week(np.random.default_rng(4), off=[(37 * HOUR, 40 * HOUR)])
    sd = those.sd_g.copy()
    sd[(38 * 360) : (38 * 360) + 30] = 0.2
    np.testing.assert_allclose(not_worn(replace(those, sd_g=sd)), [[37 * HOUR, 40 * HOUR]], atol=60)


def test_a_long_rest_that_stays_warm_is_wear_and_one_that_cools_is_not():
    n = 4 * 360
    start_s = 10.0 * np.arange(n)
    sd, mean = np.full((n, 3), 0.2), np.tile(SITTING, (n, 1))
    sd[180 : n - 180] = 0.003  # three hours
    warm = 33.0 + 0.9 * np.sin(start_s / 2000)
    room = np.where(sd[:, 0] < 0.01, 22.0, 33.0)
    assert not_worn(windows(start_s, sd, mean, warm)).shape == (0, 2)
    np.testing.assert_allclose(not_worn(windows(start_s, sd, mean, cooled(room, 33.0))), [[1800, 12600]], atol=10)
    assert not_worn(windows(start_s, sd, mean, np.full(n, np.nan))).shape == (1, 2)
    assert not_worn(windows(start_s, sd, mean, np.full(n, 25.0))).shape == (1, 2), "a constant tells nothing"
    drifting = mean + np.linspace(0, 0.1, n)[:, None]
    assert not_worn(windows(start_s, sd, drifting, np.full(n, np.nan))).shape == (0, 2)
    patient = WearSettings(min_still_min=190.0)
    assert not_worn(windows(start_s, sd, mean, np.full(n, np.nan)), patient).shape == (0, 2)
    assert not_worn(windows(start_s, sd, mean, warm), WearSettings(min_warm_min=120.0)).shape == (1, 2)


@pytest.mark.parametrize(("hours", "fall", "found"), [(1, 4, 0), (1, 8, 1), (3, 5, 1), (3, 3, 0), (0.1, 12, 0)])
def test_what_counts_is_how_far_it_cools_for_how_long(hours, fall, found):
    n = 5 * 360
    start_s, moving = 10.0 * np.arange(n), np.ones(n, dtype=bool)
    moving[360 : 360 + int(hours * 360)] = False
    sd, mean = np.where(moving[:, None], 0.2, 0.003) * np.ones(3), np.tile(SITTING, (n, 1))
    temperature = cooled(np.where(moving, 33.0, 33.0 - fall), 33.0, minutes=10.0)
    assert len(not_worn(windows(start_s, sd, mean, temperature))) == found


def test_a_cold_walk_at_the_end_of_the_recording_is_wear():
    those, _ = week(np.random.default_rng(12), days=1.5)
    temperature, sd = those.temperature_c.copy(), those.sd_g.copy()
    temperature[-240:] = cooled(np.full(240, 21.0), temperature[-241])
    sd[-240:] = 0.2
    assert not_worn(replace(those, temperature_c=temperature, sd_g=sd)).shape == (0, 2)


def test_an_uncovered_sleeper_cools_less_than_a_sensor_taken_off():
    those, _ = week(np.random.default_rng(5))
    temperature = those.temperature_c.copy()
    for start in (26.0, 50.5, 75.0):
        i = int(start * 360)
        temperature[i : i + 300] -= 3.0 * (1 - np.exp(-np.arange(300) / 6 / 12))
    assert not_worn(replace(those, temperature_c=temperature)).shape == (0, 2)


def test_nothing_is_said_of_a_gap():
    those, _truth = week(np.random.default_rng(6), off=[(37 * HOUR, 40 * HOUR)])
    kept = (those.start_s < 38 * HOUR) | (those.start_s >= 39 * HOUR)
    off = not_worn(part(those, kept))
    np.testing.assert_allclose(off, [[37 * HOUR, 38 * HOUR], [39 * HOUR, 40 * HOUR]], atol=60)
    assert off[0, 1] == 38 * HOUR
    assert off[1, 0] == 39 * HOUR
    short = (those.start_s < 38 * HOUR) | (those.start_s >= 38 * HOUR + 50)
    assert not_worn(part(those, short)).shape == (1, 2)


def test_only_the_sensor_at_rest_while_the_other_walks_is_off():
    worn, _ = week(np.random.default_rng(7))
    walks = (worn.sd_g > 0.15).any(axis=1) & (worn.start_s > 33 * HOUR)
    begin = worn.start_s[np.convolve(walks, np.ones(360))[359:].argmax()]  # the hour with most walking
    rested, _truth = week(np.random.default_rng(7), off=[(begin, begin + HOUR)])
    rested, worn = without_temperature(rested), without_temperature(worn)
    found = joint_wear(rested, worn)
    np.testing.assert_allclose(found.thigh, [[begin, begin + HOUR]], atol=60)
    assert found.back.shape == found.both.shape == (0, 2)
    assert "thigh 1.0 h, back 0.0 h" in found.sentences[0]
    assert "no telling temperature" in found.sentences[1]
    other = joint_wear(worn, rested)
    assert other.thigh.shape == (0, 2)
    assert len(other.back) == 1
    assert not_worn(rested).shape == (0, 2), "an hour alone is too short without temperature"


def test_a_sleeper_whose_other_sensor_turns_now_and_then_is_not_off_without_temperature():
    n = 5 * 360
    start_s, mean = 10.0 * np.arange(n), np.tile(SITTING, (n, 1))
    still, turning = np.full((n, 3), 0.003), np.full((n, 3), 0.003)
    turning[::200] = 0.1
    unknown = np.full(n, np.nan)
    thigh, back = windows(start_s, still, mean, unknown), windows(start_s, turning, mean, unknown)
    assert not_worn(thigh).shape == (1, 2)
    assert joint_wear(thigh, back).thigh.shape == (0, 2)
    assert len(joint_wear(thigh, thigh).both) == 1


def test_the_backs_clock_is_brought_to_the_thighs():
    off = [(37 * HOUR, 40 * HOUR)]
    thigh, _ = week(np.random.default_rng(8), off=off)
    back, _ = week(np.random.default_rng(8), off=[(38 * HOUR, 41 * HOUR)])
    late = replace(back, start_s=back.start_s - DAY)
    found = joint_wear(thigh, late, back_ahead_s=DAY)
    np.testing.assert_allclose(found.back, [[14 * HOUR, 17 * HOUR]], atol=60)
    np.testing.assert_allclose(found.both, [[38 * HOUR, 40 * HOUR]], atol=60)


def test_still_needs_two_axes_by_sd_and_by_range():
    start_s, mean = np.arange(4) * 10.0, np.zeros((4, 3))
    sd = np.array([[5, 5, 50], [5, 50, 50], [12.9, 12.9, 0], [13.1, 13.1, 0]]) / 1000
    those = windows(start_s, sd, mean, np.full(4, np.nan))
    np.testing.assert_array_equal(still_windows(those, WearSettings()), [1, 0, 1, 0])
    twitch = replace(those, max_g=those.min_g + 0.2)
    assert not still_windows(twitch, WearSettings()).any()


def test_runs_and_intersections_by_hand():
    assert runs(np.array([1, 1, 0, 1, 1], dtype=bool), np.array([0.0, 10, 20, 30, 200]), longest_step_s=70) == [
        (0, 2),
        (3, 4),
        (4, 5),
    ]
    assert runs(np.zeros(3, dtype=bool), np.arange(3.0), longest_step_s=1) == []
    one, other = np.array([[0.0, 10], [20, 30]]), np.array([[5.0, 25], [30, 40]])
    np.testing.assert_array_equal(intersection(one, other), [[5, 10], [20, 25]])
    assert intersection(one, np.empty((0, 2))).shape == (0, 2)


def test_empty_and_tiny_recordings_are_worn():
    those, _ = week(np.random.default_rng(10), days=1)
    for n in (0, 1, 2):
        few = part(those, np.arange(len(those.n)) < n)
        assert not_worn(few).shape == (0, 2)
        assert joint_wear(few, few).both.shape == (0, 2)


def test_from_samples_to_intervals():
    """Six hours at 50 Hz in packed steps: walking, two hours off and cooling, walking."""
    rng = np.random.default_rng(11)
    time_s = 8 * HOUR + np.arange(int(6 * HOUR * 50)) / 50
    off = (time_s >= 10 * HOUR + 4) & (time_s < 12 * HOUR + 7)
    wave = np.where(off, 0.0, 0.4 * np.sin(2 * np.pi * 1.8 * time_s))
    axes_g = np.stack([np.where(off, 0.0, 1.0) + wave, 0.5 * wave, np.where(off, 1.0, 0.0)])
    axes_g = np.round((axes_g + rng.normal(0, 0.004, axes_g.shape)) * 64) / 64
    block_s = time_s[::500]
    temperature = cooled(np.where(off[::500], 21.0, 33.0), 33.0)
    nothing = np.full(len(block_s), np.nan)
    blocks = Blocks(block_s, temperature, nothing, nothing)
    segments = segments_of(time_s, rate_hz=50.0)
    those = window_summaries(ArraySource(MONDAY, 50.0, time_s, axes_g.astype(np.float32), segments, blocks))
    np.testing.assert_allclose(not_worn(those), [[10 * HOUR + 4, 12 * HOUR + 7]], atol=10)


def test_real_recordings_worn_throughout_have_no_minute_of_non_wear(shared):
    import pandas as pd

    files = sorted((shared / "data").glob("har*/thigh/*.parquet"))
    assert files
    for path in files[::3]:
        both = []
        for site in ("thigh", "trunk"):
            table = pd.read_parquet(path.parents[1] / site / path.name)
            time_s = (table["datetime"] - table["datetime"].iloc[0]).dt.total_seconds().to_numpy()
            axes_g = np.ascontiguousarray(table[["acc_x", "acc_y", "acc_z"]].to_numpy(np.float32).T)
            none = np.empty(0)
            segments, blocks = segments_of(time_s, rate_hz=50.0), Blocks(none, none, none, none)
            both.append(window_summaries(ArraySource(MONDAY, 50.0, time_s, axes_g, segments, blocks)))
        found = joint_wear(*both)
        assert not len(found.thigh)
        assert not len(found.back)
        assert not len(not_worn(both[0])) + len(not_worn(both[1]))
