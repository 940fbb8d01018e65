"""Sines of known amplitude and phase come back from the grid; gaps do not."""

from __future__ import annotations

import numpy as np
import pytest

from walkrisk.recordings.recording import Samples
from walkrisk.recordings.resampling import conversion, on_grid


def sines(time_s, hz):
    return np.stack([np.sin(2 * np.pi * hz * time_s + p) for p in (0.0, 1.0, 2.0)]).astype(np.float32)


@pytest.mark.parametrize(
    ("source_hz", "hz", "most"),
    [
        (49.9, 1.0, 0.0006),
        (49.9, 2.0, 0.002),
        (49.9, 4.0, 0.006),
        (49.9, 6.0, 0.008),
        (49.9, 8.0, 0.002),
        (50.125, 8.0, 0.002),
        (100.0, 8.0, 0.006),
        (200.0, 8.0, 0.002),
        (98.6, 15.0, 0.006),
        (25.0, 3.0, 0.008),
    ],
)
def test_a_sine_comes_back_at_every_phase(source_hz, hz, most):
    t = 0.0031 + np.arange(0.0, 60.0, 1.0 / source_hz)
    out, valid = on_grid(Samples(t, sines(t, hz)), 5.0, 50 * 50)
    assert out.dtype == np.float32
    assert valid.all()
    np.testing.assert_allclose(out, sines(5.0 + np.arange(50 * 50) / 50.0, hz), atol=most)


@pytest.mark.parametrize("hz", [30.0, 40.0, 49.0])
def test_what_the_grid_cannot_carry_is_filtered_out_and_not_folded(hz):
    t = np.arange(0.0, 30.0, 0.01)
    out, _ = on_grid(Samples(t, sines(t, hz)), 2.0, 50 * 26)
    assert np.abs(out).max() < 0.002


def test_constants_are_exact_up_to_the_edges_of_a_low_passed_stretch():
    t = np.arange(0.0, 30.0, 0.01)
    t = t[(t < 10.0) | (t >= 12.0)]
    g = np.tile(np.array([[1.0], [-0.5], [0.25]], dtype=np.float32), len(t))
    out, valid = on_grid(Samples(t, g), 0.0, 1500)
    np.testing.assert_allclose(out[:, valid], g[:, : valid.sum()], atol=2e-6)
    assert 1398 <= valid.sum() <= 1402


def test_samples_already_on_the_grid_are_kept_to_the_bit():
    rng = np.random.default_rng(1)
    t, g = np.arange(500) / 50.0, rng.normal(size=(3, 500)).astype(np.float32)
    out, valid = on_grid(Samples(t, g), 0.0, 500)
    assert valid.all()
    np.testing.assert_allclose(out, g, atol=2e-6)


def test_gaps_and_what_lies_outside_are_not_known():
    t = np.arange(0.0, 20.0, 1.0 / 49.9)
    t = t[(t < 8.0) | (t > 9.5)]
    out, valid = on_grid(Samples(t, sines(t, 1.0)), -1.0, 50 * 25)
    grid = -1.0 + np.arange(50 * 25) / 50.0
    left, right = t[t < 8.0][-1], t[t > 9.5][0]
    known = ((grid >= t[0]) & (grid <= left)) | ((grid >= right) & (grid <= t[-1]))
    np.testing.assert_array_equal(valid, known)
    assert not out[:, ~known].any()
    np.testing.assert_allclose(out[:, known], sines(grid[known], 1.0), atol=0.003)


def test_one_lost_sample_is_bridged_by_a_line_and_by_nothing_beyond_the_longest_gap():
    t = np.delete(np.arange(0.0, 4.0, 0.02), 100)
    g = np.stack([t, 2.0 * t, -t]).astype(np.float32)
    out, valid = on_grid(Samples(t, g), 1.9, 11)
    assert valid.all()
    grid = 1.9 + np.arange(11) / 50.0
    np.testing.assert_allclose(out[:, 3:7], np.stack([grid, 2 * grid, -grid])[:, 3:7], atol=1e-5)
    _, strict = on_grid(Samples(t, g), 1.9, 11, max_gap_s=0.03)
    assert strict.sum() == 10
    assert not strict[5]


@pytest.mark.parametrize("source_hz", [49.9, 100.0, 25.0])
def test_parts_with_padding_are_the_whole(source_hz):
    rng = np.random.default_rng(2)
    t = np.arange(0.0, 120.0, 1.0 / source_hz)
    t = t[(t < 40.0) | (t > 41.3)]
    g = rng.normal(size=(3, len(t))).astype(np.float32)
    whole, known = on_grid(Samples(t, g), 0.0, 6000)
    for start in range(0, 120, 20):
        part = (t >= start - 0.5) & (t < start + 20.5)
        out, valid = on_grid(Samples(t[part], g[:, part]), float(start), 1000)
        np.testing.assert_array_equal(valid, known[start * 50 : start * 50 + 1000])
        np.testing.assert_allclose(out, whole[:, start * 50 : start * 50 + 1000], atol=5e-6)


def test_too_few_samples_and_impossible_grids():
    nothing = Samples(np.empty(0), np.empty((3, 0), dtype=np.float32))
    out, valid = on_grid(nothing, 0.0, 5)
    assert out.shape == (3, 5)
    assert not valid.any()
    with pytest.raises(ValueError, match="positive rate"):
        on_grid(nothing, 0.0, 5, 0.0)


def test_the_sentence_says_what_was_done():
    assert "low-passed at 21 Hz" in conversion(100.0)
    assert "above 12.5 Hz is not in the recording" in conversion(25.0)
    assert "low-passed" not in conversion(50.0)
