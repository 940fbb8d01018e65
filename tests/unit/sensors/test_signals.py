from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from walkrisk.recordings.orientation import Placement
from walkrisk.recordings.recording import ArraySource, Blocks
from walkrisk.recordings.synchrony import Clock
from walkrisk.recordings.windows import window_summaries
from walkrisk.sensors.signals import RATE_HZ, Sensor, complement, mask, signal

NONE = np.empty(0)


def placed(rotation: list[list[int]]) -> Placement:
    return Placement(
        site="thigh",
        verdict="turned",
        rotation=np.array(rotation, dtype=np.float32),
        up_known=True,
        front_known=True,
        confidence=1.0,
        tilt_deg=0.0,
        sentence="",
    )


AS_IS = placed([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
UPSIDE_DOWN = placed([[-1, 0, 0], [0, -1, 0], [0, 0, 1]])


def sensor(seconds: int = 40, *, worn: list[list[float]], gap: tuple[float, float] = (0.0, 0.0)) -> Sensor:
    """Samples whose x is their own second, y 1 and z 2, from second 100 on."""
    time = 100.0 + np.arange(seconds * RATE_HZ) / RATE_HZ
    time = time[(time < gap[0]) | (time >= gap[1])]
    axes = np.stack([time, np.ones_like(time), np.full_like(time, 2.0)]).astype(np.float32)
    source = ArraySource(
        origin=np.datetime64("2024-01-01", "ns"),
        rate_hz=50.0,
        time_s=time,
        axes_g=axes,
        segments=np.array([[100.0, 100.0 + seconds]]),
        blocks=Blocks(NONE, NONE, NONE, NONE),
    )
    return Sensor(
        source=source,
        windows=window_summaries(source),
        calibration=None,
        off=np.empty((0, 2)),
        worn=np.array(worn),
        placed=(AS_IS,) * len(worn),
    )


def test_the_signal_is_on_the_grid_and_unknown_outside_samples_and_wear() -> None:
    x = signal(sensor(worn=[[100.0, 110.0], [120.0, 140.0]], gap=(130.0, 132.0)), 98, 44)[0].reshape(44, RATE_HZ)
    known = np.isfinite(x).mean(axis=1) > 0.9
    expected = np.zeros(44, dtype=bool)
    expected[2:12] = expected[22:42] = True
    expected[32:34] = False
    np.testing.assert_array_equal(known, expected)
    np.testing.assert_allclose(x[25, ::10], 98 + 25 + np.arange(0, 1, 0.2), atol=1e-4)


def test_each_stretch_of_wear_has_its_own_placement() -> None:
    turned = replace(sensor(worn=[[100.0, 110.0], [120.0, 140.0]]), placed=(AS_IS, UPSIDE_DOWN))
    x, y, z = signal(turned, 100, 40).reshape(3, 40, RATE_HZ)[:, :, 25]
    np.testing.assert_allclose([y[5], y[30]], [1.0, -1.0])
    np.testing.assert_allclose([z[5], z[30]], [2.0, 2.0])
    np.testing.assert_allclose([x[5], x[30]], [105.5, -130.5], atol=1e-3)
    np.testing.assert_allclose(signal(replace(turned, placed=()), 100, 40)[1, 30 * RATE_HZ], 1.0)


def test_a_sensor_with_another_clock_is_read_at_the_participants_time() -> None:
    clock = Clock(
        verdict="synchronised",
        sentence="",
        shift_s=1000.0,
        knot_s=np.array([100.0, 140.0]),
        knot_lag_s=np.array([0.5, 0.5]),
    )
    late = replace(sensor(worn=[[100.0, 140.0]]), clock=clock)
    x = signal(late, 1105, 10)[0]
    np.testing.assert_allclose(x[[0, 100]], [1105 - 1000.5, 1107 - 1000.5], atol=1e-3)


def test_mask_and_complement() -> None:
    stretches = np.array([[2.0, 4.4], [6.6, 8.0]])
    np.testing.assert_array_equal(mask(stretches, 0, 10), [0, 0, 1, 1, 0, 0, 0, 1, 0, 0])
    np.testing.assert_array_equal(complement(stretches, 0.0, 10.0), [[0.0, 2.0], [4.4, 6.6], [8.0, 10.0]])
    np.testing.assert_array_equal(complement(stretches, 3.0, 7.0), [[4.4, 6.6]])
    np.testing.assert_array_equal(complement(np.empty((0, 2)), 1.0, 2.0), [[1.0, 2.0]])
    assert complement(np.array([[0.0, 5.0]]), 1.0, 2.0).shape == (0, 2)


@pytest.mark.parametrize("site", ["thigh", "back"])
def test_a_second_is_classified_from_both_sensors_or_the_one_there_is(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from walkrisk.sensors import second_pass
    from walkrisk.sensors.settings import SensorSettings, UseSettings

    other = "back" if site == "thigh" else "thigh"
    sensors = {site: sensor(worn=[[100.0, 140.0]]), other: sensor(worn=[[110.0, 130.0]])}
    found = second_pass.classify(sensors, start_s=95, seconds=50, settings=SensorSettings())
    alone = 1 + second_pass.KINDS.index(site)  # type: ignore[arg-type]
    expected = np.zeros(50, dtype=int)
    expected[5:45] = alone
    expected[15:35] = 1
    np.testing.assert_array_equal(found.kind, expected)
    unknown = second_pass.ACTIVITIES.index("unknown")
    np.testing.assert_array_equal(found.activity == unknown, expected == 0)
    refused = SensorSettings(use=UseSettings(thigh_alone=False, back_alone=False))
    np.testing.assert_array_equal(
        second_pass.classify(sensors, start_s=95, seconds=50, settings=refused).kind > 0, expected == 1
    )
