"""A simulated day of sitting, lying and walking, worn in every way a plate can be worn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from walkrisk.recordings.orientation import placement, placements, sites_swapped
from walkrisk.recordings.recording import ArraySource, Blocks, segments_of
from walkrisk.recordings.windows import Windows, window_summaries

ORIGIN = np.datetime64("2024-03-01", "ns")
FLIPS = {"": np.diag([1.0, 1.0, 1.0]), "inside out": np.diag([1.0, -1.0, -1.0])}
QUARTERS = [np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
WAYS = [q @ f for q in QUARTERS for f in FLIPS.values()]


def windows(mean, sd, origin=ORIGIN, start=0.0):
    mean, sd = np.asarray(mean, dtype=float), np.asarray(sd, dtype=float)
    n = len(mean)
    return Windows(
        origin=origin,
        window_s=10.0,
        expected=500.0,
        start_s=start + np.arange(n) * 10.0,
        n=np.full(n, 500),
        mean_g=mean,
        sd_g=sd,
        min_g=mean - 2 * sd,
        max_g=mean + 2 * sd,
        temperature_c=np.full(n, 30.0),
    )


#            posture   windows, thigh mean, thigh sd, back mean, back sd
POSTURES = {
    "walk": (60, (1.0, 0.1, -0.15), 0.25, (0.97, 0.05, -0.25), 0.12),
    "stand": (40, (1.0, 0.0, 0.05), 0.01, (0.97, 0.0, -0.2), 0.01),
    "sit": (80, (0.05, 0.1, -1.0), 0.01, (0.93, 0.0, 0.3), 0.01),
    "lie": (30, (0.0, 0.2, -0.98), 0.005, (0.05, 0.1, 0.98), 0.005),
    "prone": (30, (0.0, 0.2, 0.98), 0.005, (0.05, 0.1, -0.98), 0.005),
}


def day(*names, seed=0):
    rng = np.random.default_rng(seed)
    thigh, back = ([], []), ([], [])
    for name in names:
        n, *rest = POSTURES[name]
        for site, (mean, sd) in ((thigh, rest[:2]), (back, rest[2:])):
            site[0].append(np.asarray(mean) + 0.05 * rng.standard_normal((n, 3)))
            site[1].append(sd * (1 + 0.2 * rng.random((n, 3))))
    return tuple(windows(np.concatenate(m), np.concatenate(s)) for m, s in (thigh, back))


def worn(w, way):
    """The windows of a sensor whose axes are `way` @ body."""
    return replace(w, mean_g=w.mean_g @ way.T, sd_g=w.sd_g @ np.abs(way).T)


@pytest.mark.parametrize("site", ["thigh", "back"])
@pytest.mark.parametrize("way", WAYS, ids=range(8))
def test_every_right_angle_is_found_and_undone(site, way):
    w = day("walk", "stand", "sit", "lie")[site == "back"]
    found = placement(worn(w, way), site)
    np.testing.assert_array_equal(found.rotation, way.T)
    assert found.verdict == ("as expected" if np.array_equal(way, np.eye(3)) else "turned")
    assert found.confidence > 0.9
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)
    body = np.random.default_rng(1).normal(size=(3, 7)).astype(np.float32)
    np.testing.assert_allclose(found.apply((way @ body).astype(np.float32)), body, atol=1e-6)


def test_the_public_files_turned_about_z_and_the_words_for_it():
    thigh, back = day("walk", "sit", "lie")
    half_turn = np.diag([-1.0, -1.0, 1.0])
    assert "worn upside down; this was put right" in placement(worn(thigh, half_turn), "thigh").sentence
    assert "inside out" in placement(worn(back, np.diag([1.0, -1.0, -1.0])), "back").sentence
    both = placement(worn(back, np.diag([-1.0, 1.0, -1.0])), "back")
    assert "upside down and inside out" in both.sentence
    assert "as expected" in placement(thigh, "thigh").sentence
    assert "quarter turn" in placement(worn(thigh, QUARTERS[1]), "thigh").sentence


def test_tilt_is_reported_forward_positive_and_not_removed():
    thigh, back = day("walk", "sit", "lie")
    found = placement(back, "back")
    assert found.tilt_deg == pytest.approx(np.degrees(np.arctan2(0.25, 0.97)), abs=1.5)
    np.testing.assert_array_equal(found.rotation, np.eye(3))
    turned = placement(worn(thigh, np.diag([-1.0, -1.0, 1.0])), "thigh")
    assert turned.tilt_deg == pytest.approx(np.degrees(np.arctan2(0.15, 1.0)), abs=1.5)


def test_what_cannot_be_told_is_said_and_not_guessed():
    thigh, back = day("walk", "stand")
    for way in WAYS:
        found = placement(worn(thigh, way), "thigh")
        assert found.verdict == "unsure"
        assert found.up_known
        assert not found.front_known
        np.testing.assert_array_equal(found.rotation[0], way.T[0])
        assert "inside out could not be told" in found.sentence
    still = placement(day("sit", "lie")[0], "thigh")
    assert (still.verdict, still.up_known) == ("unsure", False)
    np.testing.assert_array_equal(still.rotation, np.eye(3))
    assert "too little upright movement" in still.sentence
    assert placement(day("walk", "lie", "prone")[1], "back").verdict == "unsure"
    assert placement(back, "back", within=np.zeros(len(back.n), dtype=bool)).verdict == "unsure"


def test_a_sensor_put_back_the_other_way_is_found_in_its_own_stretch():
    first, second = day("walk", "sit", "lie")[0], worn(day("walk", "sit", "lie", seed=3)[0], np.diag([-1.0, -1.0, 1.0]))
    third = worn(day("stand")[0], np.diag([-1.0, -1.0, 1.0]))
    parts = [first, second, third]
    joined = windows(np.concatenate([p.mean_g for p in parts]), np.concatenate([p.sd_g for p in parts]))
    a, b = len(first.n) * 10.0, len(first.n) * 20.0
    found = placements(joined, "thigh", [(0.0, a), (a, b), (b, b + 400.0)])
    assert [f.verdict for f in found[:2]] == ["as expected", "turned"]
    np.testing.assert_array_equal(found[1].rotation, np.diag([-1.0, -1.0, 1.0]))
    assert placements(joined, "thigh", []) == []


def test_a_stretch_that_cannot_tell_takes_the_whole_recordings_placement():
    way = np.diag([-1.0, 1.0, -1.0])
    parts = [worn(day("walk", "sit", "lie")[0], way), worn(day("stand")[0], way), worn(day("walk")[0], way)]
    joined = windows(np.concatenate([p.mean_g for p in parts]), np.concatenate([p.sd_g for p in parts]))
    found = placements(joined, "thigh", [(0.0, 1700.0), (1700.0, 2100.0), (2100.0, 2700.0)])
    for one in found:
        np.testing.assert_array_equal(one.rotation, way)
    assert "From other stretches" in found[1].sentence
    assert found[2].tilt_deg == pytest.approx(np.degrees(np.arctan2(0.15, 1.0)), abs=1.5)


@pytest.mark.parametrize("way", WAYS, ids=range(8))
def test_exchanged_files_are_found_however_the_sensors_are_turned(way):
    thigh, back = day("walk", "stand", "sit", "lie")
    assert sites_swapped(worn(thigh, way), worn(back, WAYS[2])).verdict == "as named"
    swapped = sites_swapped(worn(back, way), worn(thigh, WAYS[5]))
    assert swapped.verdict == "swapped"
    assert "exchanged" in swapped.sentence


def test_sites_by_one_sign_alone_and_by_none():
    thigh, back = day("walk", "stand")
    assert sites_swapped(thigh, back).verdict == "as named", "movement alone"
    thigh, back = day("sit", "lie")
    assert sites_swapped(thigh, back).verdict == "unsure", "up is not known without movement"
    thigh, back = day("walk", "sit")
    contrary = replace(thigh, sd_g=np.where(thigh.sd_g > 0.1, 0.05, thigh.sd_g))
    assert sites_swapped(contrary, back).verdict == "unsure"
    assert "contradict" in sites_swapped(contrary, back).sentence


def test_windows_are_laid_side_by_side_by_origin_and_lag():
    thigh, back = day("walk", "sit", "stand", "sit", "walk")
    day_before = replace(back, origin=ORIGIN - np.timedelta64(1, "D"), start_s=back.start_s + 86400.0 - 300.0)
    assert sites_swapped(thigh, day_before, lag_s=300.0).verdict == "as named"
    nowhere = replace(back, origin=ORIGIN + np.timedelta64(9, "D"))
    assert sites_swapped(thigh, nowhere).verdict == "unsure"


def test_the_lag_says_which_windows_belong_together():
    thigh, back = day("walk", "stand")
    late = replace(back, start_s=back.start_s - 1200.0)
    assert sites_swapped(thigh, late).verdict == "unsure"
    assert sites_swapped(thigh, late, lag_s=1200.0).verdict == "as named"


def real(shared, kind, name):
    import pandas as pd

    out = []
    for site in ("thigh", "trunk"):
        t = pd.read_parquet(shared / "data" / kind / site / f"{name}.parquet")
        time_s = (t["datetime"] - t["datetime"].iloc[0]).dt.total_seconds().to_numpy()
        axes = t[["acc_x", "acc_y", "acc_z"]].to_numpy().T.astype(np.float32)
        segments = segments_of(time_s, rate_hz=50.0)
        out.append(window_summaries(ArraySource(ORIGIN, 50.0, time_s, axes, segments, Blocks(*(np.empty(0),) * 4))))
    return out


SOME = {"harth": ("S009", "S026", "S030", "S034"), "har70plus": ("501", "510", "513")}


@pytest.mark.parametrize("kind", SOME)
def test_nobody_real_is_turned_the_wrong_way(shared, kind):
    if not (shared / "data" / kind).is_dir():
        pytest.skip("the labelled recordings are not here")
    right = total = 0
    for name in SOME[kind]:
        pair = real(shared, kind, name)
        for w, site in zip(pair, ("thigh", "back"), strict=True):
            for way in WAYS:
                found = placement(worn(w, way), site)
                total += 1
                right += found.verdict != "unsure"
                np.testing.assert_array_equal(found.rotation[0], way.T[0])
                if found.verdict != "unsure":
                    np.testing.assert_array_equal(found.rotation, way.T)
        for way in WAYS:
            assert sites_swapped(worn(pair[0], way), pair[1]).verdict == "as named"
            assert sites_swapped(worn(pair[1], way), pair[0]).verdict == "swapped"
    assert right >= 0.5 * total


def test_equal_movement_is_no_sign_that_the_sites_were_exchanged() -> None:
    thigh, _ = day("walk", "walk", "sit")
    assert sites_swapped(thigh, thigh).verdict != "swapped"


def test_a_still_stretch_takes_the_way_up_of_the_others_though_the_front_is_not_known() -> None:
    back = day("walk", "stand", "stand")[1]
    turned = worn(back, np.diag([-1.0, -1.0, 1.0]))
    still = placements(turned, "back", [(0.0, 600.0), (1000.0, 1400.0)])
    assert still[0].up_known
    assert not still[0].front_known
    np.testing.assert_array_equal(still[1].rotation, still[0].rotation)
