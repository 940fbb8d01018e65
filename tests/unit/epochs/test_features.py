"""Features of signals whose posture, rhythm and amount of movement are known."""

from __future__ import annotations

import numpy as np
import pytest

from walkrisk.epochs.features import PAD_S, RATE_HZ, feature_names, second_features

SECONDS = 120
T = np.arange(SECONDS * RATE_HZ) / RATE_HZ


def still(x: float, y: float, z: float) -> np.ndarray:
    return np.repeat(np.array([[x], [y], [z]], dtype=np.float32), len(T), axis=1)


def noise(seed: int, sd: float = 0.2) -> np.ndarray:
    slow = np.sin(2 * np.pi * np.arange(len(T)) / 1900)
    moved = np.random.default_rng(seed).normal(0, sd, (3, len(T))) * (slow > -0.3)
    return (still(1, 0, 0) + moved).astype(np.float32)


def column(features: np.ndarray, name: str, kind: str = "thigh") -> np.ndarray:
    return features[:, feature_names(kind).index(name)]


@pytest.mark.parametrize("kind", ["thigh+back", "thigh", "back"])
def test_one_name_a_column(kind: str) -> None:
    sites = kind.split("+")
    f = second_features(noise(1) if "thigh" in sites else None, noise(2) if "back" in sites else None)
    assert f.shape == (SECONDS, len(feature_names(kind)))
    assert f.dtype == np.float32
    assert np.isfinite(f).all()
    assert len(set(feature_names(kind))) == f.shape[1]


def test_postures() -> None:
    up, seated = second_features(still(1, 0, 0), None), second_features(still(0, 0, -1), None)
    assert column(up, "thigh_incline") == pytest.approx(0, abs=1e-6)
    assert column(seated, "thigh_incline") == pytest.approx(np.pi / 2, abs=1e-6)
    assert column(seated, "thigh_pitch") == pytest.approx(-np.pi / 2, abs=1e-6)
    assert column(up, "thigh_sd_vm_5s") == pytest.approx(0, abs=1e-3)
    assert (column(up, "thigh_all_power") == 0).all()


def test_a_rhythm_of_two_hertz_is_found() -> None:
    a = still(1, 0, 0)
    a[0] += 0.3 * np.sin(2 * np.pi * 2.0 * T)
    f = second_features(a, None)[5:-5]
    assert column(f, "thigh_all_peak_hz") == pytest.approx(2.0, abs=0.01)
    assert np.exp(column(f, "thigh_all_power")) == pytest.approx(1.5 * 0.3**2 / 2, rel=0.05)  # Hann spreads to 3 bins
    assert column(f, "thigh_sd_x") == pytest.approx(0.3 / np.sqrt(2), rel=1e-3)
    assert column(f, "thigh_all_step_s") == pytest.approx(0.5, abs=0.051)
    leak = np.cos(2 * np.pi * 0.2) / 3  # Hann puts a sixth of the power 0.2 Hz to either side
    assert column(f, "thigh_all_stride") == pytest.approx(2 / 3 + leak, abs=0.01)


def test_angles_of_the_thigh_over_five_and_fifteen_seconds() -> None:
    a = still(1, 0, 0)
    flexed = np.deg2rad(40)
    a[:, 60 * RATE_HZ : 61 * RATE_HZ] = np.array([[np.cos(flexed)], [0], [-np.sin(flexed)]])
    f = second_features(a, None)
    assert np.flatnonzero(column(f, "thigh_low_5s") < -0.1).tolist() == [58, 59, 60, 61, 62]
    assert column(f, "thigh_low_5s")[60] == pytest.approx(-flexed, abs=1e-5)
    assert column(f, "thigh_high_5s")[60] == pytest.approx(0, abs=1e-5)
    assert column(f, "thigh_low_15s")[60] == pytest.approx(-flexed * 5 / 15, abs=1e-5)
    assert column(f, "thigh_incline_mean_61s")[[28, 29, 30, 89]] == pytest.approx([0, 0, flexed / 61, flexed / 61])


def test_impacts_are_told_from_a_smooth_rhythm() -> None:
    smooth, knocks = still(1, 0, 0), still(1, 0, 0)
    smooth[0] += 0.3 * np.sin(2 * np.pi * 2.0 * T)
    knocks[0, ::25] += 1.0
    f, g = (second_features(a, None)[5:-5] for a in (smooth, knocks))
    assert column(f, "thigh_kurtosis_5s") == pytest.approx(1.5, abs=0.02)  # of a sine
    assert column(f, "thigh_skew_5s") == pytest.approx(0, abs=0.01)
    share = 1 / 25  # of samples at 1, the others at 0: skewness and kurtosis of a Bernoulli variable
    assert column(g, "thigh_skew_5s") == pytest.approx((1 - 2 * share) / np.sqrt(share * (1 - share)), rel=0.01)
    assert column(g, "thigh_kurtosis_5s") == pytest.approx(1 / (share * (1 - share)) - 3, rel=0.01)


def test_rhythms_of_thigh_and_back_are_compared() -> None:
    thigh, back = still(1, 0, 0), still(1, 0, 0)
    thigh[0] += 0.4 * np.sin(2 * np.pi * 1.0 * T)
    back[0] += 0.1 * np.sin(2 * np.pi * 2.0 * T)
    f = second_features(thigh, back)[5:-5]
    assert column(f, "pair_peak_hz", "thigh+back") == pytest.approx(-1.0, abs=0.01)
    assert (column(f, "pair_0.7Hz", "thigh+back") > 5).all()
    assert (column(f, "pair_1.9Hz", "thigh+back") < -5).all()


def test_neighbours_are_at_their_own_place() -> None:
    a = still(1, 0, 0)
    a[:, 40 * RATE_HZ : 41 * RATE_HZ] = np.array([[0], [0], [-1]])
    f = second_features(a, None)
    assert np.flatnonzero(column(f, "thigh_incline") > 1).tolist() == [40]
    assert np.flatnonzero(column(f, "thigh_incline_+2s") > 1).tolist() == [38]
    assert np.flatnonzero(column(f, "thigh_incline_-3s") > 1).tolist() == [43]
    assert np.flatnonzero(column(f, "thigh_incline_max_15s") > 1).tolist() == list(range(33, 48))
    assert column(f, "thigh_incline_mean_31s")[[24, 25, 55, 56]] == pytest.approx([0, np.pi / 62, np.pi / 62, 0])


def test_the_cut_does_not_matter() -> None:
    thigh, back = noise(3), noise(4)
    thigh[:, 33 * RATE_HZ : 36 * RATE_HZ] = np.nan
    whole = second_features(thigh, back)
    first, last = PAD_S, 75
    cut = slice((first - PAD_S) * RATE_HZ, (last + PAD_S) * RATE_HZ)
    part = second_features(thigh[:, cut], back[:, cut])
    np.testing.assert_allclose(part[PAD_S:-PAD_S], whole[first:last], rtol=1e-4, atol=1e-5)


def test_no_second_beyond_the_padding_matters() -> None:
    a = noise(5)
    b = a.copy()
    b[:, : 20 * RATE_HZ] = 3.0
    same = slice(20 + PAD_S, None)
    np.testing.assert_allclose(second_features(a, None)[same], second_features(b, None)[same], rtol=1e-4, atol=1e-5)


def test_missing_seconds_are_unknown_and_taint_nobody() -> None:
    a, back = noise(6), noise(7)
    a[:, 40 * RATE_HZ : 43 * RATE_HZ] = np.nan  # three whole seconds
    back[:, 60 * RATE_HZ : 60 * RATE_HZ + 30] = np.nan  # 20 of 50 samples left
    back[:, 70 * RATE_HZ : 70 * RATE_HZ + 41] = np.nan  # 9 of 50
    f = second_features(a, back)
    unknown = np.isnan(f).all(axis=1)
    assert np.flatnonzero(unknown).tolist() == [40, 41, 42, 70]
    assert np.isfinite(f[~unknown]).all()
    assert np.isnan(back[:, 60 * RATE_HZ : 60 * RATE_HZ + 30]).all()  # the input is left alone


def test_a_hole_in_a_second_is_held_from_its_nearest_samples() -> None:
    a = still(0, 0, -1)
    a[:, 50 * RATE_HZ : 50 * RATE_HZ + 20] = np.nan
    f = second_features(a, None)
    np.testing.assert_allclose(f[50], f[20], atol=1e-6)


def test_nothing_depends_on_the_side_of_the_body_or_a_back_sensor_inside_out() -> None:
    thigh, back = noise(8), noise(9)
    back[2] -= 0.6
    mirror, inside_out = np.array([[1], [-1], [1]]), np.array([[1], [-1], [-1]])
    f = second_features(thigh, back)
    g = second_features((thigh * mirror).astype(np.float32), (back * inside_out).astype(np.float32))
    np.testing.assert_allclose(f, g, atol=1e-5)


def test_what_is_no_stretch_is_refused() -> None:
    with pytest.raises(ValueError, match="whole seconds"):
        second_features(np.zeros((3, 120), dtype=np.float32), None)
    with pytest.raises(ValueError, match="50 Hz"):
        second_features(still(1, 0, 0), None, rate_hz=100)
    with pytest.raises(ValueError, match="thigh"):
        second_features(None, None)
