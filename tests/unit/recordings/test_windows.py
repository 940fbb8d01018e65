"""Summaries of windows against numpy on the same samples, across stretches, gaps and odd rates."""

from __future__ import annotations

import numpy as np
import pytest

from walkrisk.errors import UsageFault
from walkrisk.recordings.recording import ArraySource, Blocks, segments_of
from walkrisk.recordings.windows import window_summaries, window_temperature

MONDAY = np.datetime64("2024-01-01", "ns")


def source(time_s, axes_g, *, rate_hz=50.0, temperature=None):
    every = time_s[::100]
    nothing = np.full(len(every), np.nan)
    noted = nothing if temperature is None else temperature(every)
    blocks = Blocks(every, noted, nothing, nothing)
    return ArraySource(MONDAY, rate_hz, time_s, axes_g, segments_of(time_s, rate_hz=rate_hz), blocks)


def recording(rng, *, start_s=7000.0, seconds=900.0, rate_hz=50.0):
    time_s = start_s + np.arange(int(seconds * rate_hz)) / rate_hz
    axes_g = rng.normal([[1.0], [-0.2], [0.1]], [[0.3], [0.002], [0.05]], (3, len(time_s))).astype(np.float32)
    return time_s, axes_g


def test_each_window_is_what_numpy_says_of_its_samples_on_multiples_of_ten_seconds():
    time_s, axes_g = recording(np.random.default_rng(1), start_s=7003.4, rate_hz=49.7)  # over the edge of a stretch
    windows = window_summaries(source(time_s, axes_g, rate_hz=49.7))
    assert windows.start_s[0] == 7000.0
    assert (windows.start_s % 10 == 0).all()
    assert windows.n.sum() == len(time_s)
    for k in (0, 1, 20, 21, 50, len(windows.n) - 1):  # 7200 s, the edge, is window 20
        inside = (time_s >= windows.start_s[k]) & (time_s < windows.start_s[k] + 10)
        part = axes_g[:, inside].astype(float)
        assert windows.n[k] == inside.sum()
        np.testing.assert_allclose(windows.mean_g[k], part.mean(axis=1), atol=1e-7)
        np.testing.assert_allclose(windows.sd_g[k], part.std(axis=1), rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(windows.min_g[k], part.min(axis=1))
        np.testing.assert_array_equal(windows.max_g[k], part.max(axis=1))


def test_only_windows_with_samples_are_listed_and_only_full_ones_are_whole():
    time_s, axes_g = recording(np.random.default_rng(2), start_s=0.0, seconds=100.0)
    kept = (time_s < 35) | (time_s >= 61)
    windows = window_summaries(source(time_s[kept], axes_g[:, kept]))
    np.testing.assert_array_equal(windows.start_s, [0, 10, 20, 30, 60, 70, 80, 90])
    np.testing.assert_array_equal(windows.n, [500, 500, 500, 250, 450, 500, 500, 500])
    np.testing.assert_array_equal(windows.whole, [1, 1, 1, 0, 1, 1, 1, 1])


def test_the_sd_of_a_constant_far_from_zero_is_zero_and_of_one_step_exact():
    time_s = np.arange(1000) / 50.0
    axes_g = np.full((3, 1000), 7.984375, dtype=np.float32)
    axes_g[0, 500:750] += 1 / 64
    windows = window_summaries(source(time_s, axes_g))
    np.testing.assert_array_equal(windows.sd_g[0], 0.0)
    np.testing.assert_allclose(windows.sd_g[1], [1 / 128, 0, 0], atol=1e-7)


def test_a_stretch_boundary_changes_nothing_for_any_length_of_window():
    time_s, axes_g = recording(np.random.default_rng(3), start_s=7150.0, seconds=120.0)
    for window_s in (5.0, 12.0, 60.0):
        windows = window_summaries(source(time_s, axes_g), window_s=window_s)
        assert len(np.unique(windows.start_s)) == len(windows.start_s)
        assert windows.n.sum() == len(time_s)
        assert windows.n[1:-1].min() >= window_s * 50 - 1


@pytest.mark.parametrize("window_s", [7.0, 0.0, -10.0, float("nan")])
def test_windows_that_would_straddle_a_stretch_are_refused(window_s):
    with pytest.raises(UsageFault, match="two hours"):
        window_summaries(source(*recording(np.random.default_rng(3), seconds=20.0)), window_s=window_s)


def test_a_source_without_samples_gives_no_windows():
    windows = window_summaries(source(np.empty(0), np.empty((3, 0), dtype=np.float32)))
    assert windows.mean_g.shape == (0, 3)
    assert windows.temperature_c.shape == (0,)


def test_temperature_is_the_mean_of_the_windows_readings_or_lies_between_neighbours():
    blocks = Blocks(
        time_s=np.array([1.0, 4.0, 7.0, 31.0, 50.0]),
        temperature_c=np.array([20.0, 21.0, 25.0, 30.0, np.nan]),
        battery_v=np.zeros(5),
        light=np.zeros(5),
    )
    found = window_temperature(blocks, np.array([0.0, 10.0, 20.0, 30.0, 50.0]), window_s=10.0)
    np.testing.assert_allclose(found, [22.0, 25 + 5 * 8 / 24, 25 + 5 * 18 / 24, 30.0, 30.0])


def test_unknown_temperature_stays_unknown():
    time_s, axes_g = recording(np.random.default_rng(4), seconds=60.0)
    assert np.isnan(window_summaries(source(time_s, axes_g)).temperature_c).all()


def test_temperature_follows_the_device():
    time_s, axes_g = recording(np.random.default_rng(5), start_s=0.0, seconds=600.0)
    windows = window_summaries(source(time_s, axes_g, temperature=lambda t: 20 + t / 1000))
    np.testing.assert_allclose(windows.temperature_c[:-1], 20.005 + windows.start_s[:-1] / 1000, atol=2e-3)
