"""Speed classes and METs, by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from walkrisk.declarations import build
from walkrisk.epochs.epoch_table import ACTIVITIES
from walkrisk.epochs.intensity import (
    OWN_DEFINITION,
    IntensitySettings,
    definition_sentence,
    intensity_faults,
    met,
    speed_class,
)

NAN = np.nan
EACH_ITS_OWN = IntensitySettings(window_s=1)


def f32(*values: float) -> npt.NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def on_foot(cadence: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    return np.isfinite(cadence)


def test_limits_belong_to_the_faster_class() -> None:
    cadence = f32(30, 99.9, 100, 114.9, 115, 200)
    assert speed_class(cadence, on_foot(cadence), settings=EACH_ITS_OWN).tolist() == [1, 1, 2, 2, 3, 3]


def test_declared_limits_and_the_named_ones() -> None:
    cadence = f32(85, 95, 105, 125, 131)
    own = IntensitySettings(moderate_from_spm=90, brisk_from_spm=120, window_s=1)
    assert speed_class(cadence, on_foot(cadence), settings=own).tolist() == [1, 2, 2, 3, 3]
    named = IntensitySettings(definition="cadence_adults", window_s=1)
    assert speed_class(cadence, on_foot(cadence), settings=named).tolist() == [1, 1, 2, 2, 3]


def test_only_walking_has_a_class() -> None:
    cadence = f32(110, 110, 160, NAN, 110)
    walking = np.array([True, True, False, True, True])
    assert speed_class(cadence, walking, settings=EACH_ITS_OWN).tolist() == [2, 2, 0, 0, 2]
    assert speed_class(cadence, np.zeros(5, dtype=np.bool_)).tolist() == [0, 0, 0, 0, 0]
    assert speed_class(f32(), np.zeros(0, dtype=np.bool_)).shape == (0,)


def test_one_odd_second_does_not_flicker() -> None:
    cadence = f32(*[105] * 10, 140, *[105] * 10)
    assert (speed_class(cadence, on_foot(cadence)) == 2).all()
    assert speed_class(cadence, on_foot(cadence), settings=EACH_ITS_OWN)[10] == 3


def test_the_median_of_an_even_number_is_between_the_two_middle_ones() -> None:
    cadence = f32(98, 104)
    wide = IntensitySettings(window_s=3)
    assert speed_class(cadence, on_foot(cadence), settings=wide).tolist() == [2, 2]  # 101
    cadence = f32(90, 104)
    assert speed_class(cadence, on_foot(cadence), settings=wide).tolist() == [1, 1]  # 97


def test_the_window_is_as_long_as_declared() -> None:
    cadence = f32(90, 90, 90, 120, 120, 120, 120)
    assert speed_class(cadence, on_foot(cadence), settings=IntensitySettings(window_s=3)).tolist() == [
        1,
        1,
        1,
        3,
        3,
        3,
        3,
    ]
    assert speed_class(cadence, on_foot(cadence), settings=IntensitySettings(window_s=5))[0] == 1
    # seconds 0-5 are within 5 s of second 0: the middle of 90, 90, 90, 120, 120, 120 is 105
    assert speed_class(cadence, on_foot(cadence))[0] == 2


def test_another_bout_has_no_say() -> None:
    cadence = f32(90, 90, NAN, 120, 120, 120, 120)
    assert speed_class(cadence, on_foot(cadence)).tolist() == [1, 1, 0, 3, 3, 3, 3]


def test_running_beside_it_has_no_say() -> None:
    cadence = f32(*[105] * 4, *[165] * 6)
    walking = np.arange(10) < 4
    assert speed_class(cadence, walking).tolist() == [2] * 4 + [0] * 6


def test_an_unknown_second_has_no_class_and_no_say() -> None:
    cadence = f32(90, NAN, NAN, NAN, 91)
    assert speed_class(cadence, np.ones(5, dtype=np.bool_)).tolist() == [1, 0, 0, 0, 1]


@pytest.mark.parametrize(("stairs_as", "on_stairs"), [("by_cadence", 1), ("slow", 1), ("moderate", 2), ("brisk", 3)])
def test_stairs_count_as_declared(stairs_as: str, on_stairs: int) -> None:
    cadence = f32(120, 120, 120, 80, 80)
    stairs = np.array([False, False, False, True, True])
    settings = IntensitySettings(stairs=stairs_as, window_s=1)  # type: ignore[arg-type]
    for walking in (~stairs, np.ones(5, dtype=np.bool_)):
        found = speed_class(cadence, walking, stairs=stairs, settings=settings)
        assert found.tolist() == [3, 3, 3, on_stairs, on_stairs]


def test_stairs_left_out_have_no_class() -> None:
    cadence = f32(120, 120, 80)
    assert speed_class(cadence, np.array([True, True, False]), settings=EACH_ITS_OWN).tolist() == [3, 3, 0]


def codes(*names: str) -> npt.NDArray[np.uint8]:
    return np.array([ACTIVITIES.index(name) for name in names], dtype=np.uint8)


def test_mets_by_class_and_as_declared() -> None:
    activity = codes("walking", "walking", "walking", "walking", "stairs", "running", "sitting", "nonwear")
    speed = np.array([1, 2, 3, 0, 2, 0, 0, 0], dtype=np.uint8)
    np.testing.assert_allclose(met(activity, speed), [2.8, 3.8, 4.8, NAN, 3.8, NAN, NAN, NAN], rtol=1e-6)
    declared = IntensitySettings(met_slow=2.0, met_others={"stairs": 8.0, "running": 10.0, "sitting": 1.3})
    np.testing.assert_allclose(
        met(activity, speed, settings=declared), [2.0, 3.8, 4.8, NAN, 8.0, 10.0, 1.3, NAN], rtol=1e-6
    )


def test_declared_in_toml_and_said_in_a_sentence() -> None:
    faults: list[str] = []
    table = {"moderate_from_spm": 95, "stairs": "slow", "met_others": {"cycling": 6.8}}
    settings = build(IntensitySettings, table, "intensity", faults)
    assert settings is not None
    assert not faults
    assert not list(intensity_faults(settings))
    sentence = definition_sentence(settings)
    for words in ("below 95", "from 115", "stairs always slow", "2.8, 3.8 and 4.8 METs"):
        assert words in sentence
    assert "from 130" in definition_sentence(IntensitySettings(definition="cadence_adults"))
    assert "own classes" in OWN_DEFINITION


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (IntensitySettings(moderate_from_spm=115), "brisk_from_spm"),
        (IntensitySettings(moderate_from_spm=-1), "brisk_from_spm"),
        (IntensitySettings(window_s=10), "window_s"),
        (IntensitySettings(window_s=-1), "window_s"),
        (IntensitySettings(met_brisk=0), "met_brisk"),
        (IntensitySettings(met_slow=float("nan")), "met_slow"),
        (IntensitySettings(met_others={"walking": 3.0}), "met_others.walking"),
        (IntensitySettings(met_others={"rowing": 3.0}), "met_others.rowing"),
        (IntensitySettings(met_others={"running": -3.0}), "met_others.running"),
    ],
)
def test_contradictions_are_named(settings: IntensitySettings, key: str) -> None:
    assert [k for k, _ in intensity_faults(settings)] == [key]
