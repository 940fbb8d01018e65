"""One sensor of a participant made ready: calibrated, placed, worn or not, and on the participant's clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.epochs.features import RATE_HZ as RATE_HZ  # the grid of the classifier is that of signals
from walkrisk.recordings.calibration import Calibration
from walkrisk.recordings.orientation import Placement
from walkrisk.recordings.recording import Samples, Source
from walkrisk.recordings.resampling import on_grid
from walkrisk.recordings.synchrony import Clock
from walkrisk.recordings.windows import Windows

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

MARGIN_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """A recording and all that was found of it; `off` and `worn` are (k, 2) stretches on its own clock.

    `placed` holds the placement in each stretch of `worn`, or nothing: as the device has it. `clock` maps its time to
    the participant's (the thigh's); None: it is that clock.
    """

    source: Source
    windows: Windows
    calibration: Calibration | None
    off: FloatArray
    worn: FloatArray
    placed: tuple[Placement, ...]
    clock: Clock | None = None

    def common(self, own_s: FloatArray) -> FloatArray:
        """The participant's clock (n,) at own seconds (n,)."""
        return own_s if self.clock is None else self.clock.thigh_time(own_s)

    def own(self, common_s: FloatArray) -> FloatArray:
        """Own seconds (n,) at the participant's (n,)."""
        return common_s if self.clock is None else self.clock.back_time(common_s)

    def common_stretches(self, stretches: FloatArray) -> FloatArray:
        """Stretches (k, 2) on the participant's clock."""
        return self.common(stretches.reshape(-1)).reshape(-1, 2)


def signal(sensor: Sensor, start_s: int, seconds: int) -> Float32Array:
    """Acceleration (3, 50 n) in g and in the body's axes on the 50 Hz grid of n seconds of the participant's clock.

    NaN where there is no sample or the sensor was not worn.
    """
    n = seconds * RATE_HZ
    first, last = sensor.own(np.array([start_s - MARGIN_S, start_s + seconds + MARGIN_S]))
    samples = sensor.source.samples(float(first), float(last))
    axes, known = on_grid(Samples(sensor.common(samples.time_s), samples.axes_g), float(start_s), n, float(RATE_HZ))
    if not known.any():
        return np.full((3, n), np.nan, dtype=np.float32)
    if sensor.calibration is not None and sensor.calibration.applied:
        axes = sensor.calibration.apply(axes, _temperature(sensor, start_s, seconds))
    out = np.full((3, n), np.nan, dtype=np.float32)
    for k, (a, b) in enumerate(sensor.common_stretches(sensor.worn)):
        i, j = (int(np.clip(round((s - start_s) * RATE_HZ), 0, n)) for s in (a, b))
        if i < j:
            out[:, i:j] = sensor.placed[k].apply(axes[:, i:j]) if sensor.placed else axes[:, i:j]
    out[:, ~known] = np.nan
    return out


def _temperature(sensor: Sensor, start_s: int, seconds: int) -> npt.NDArray[np.float32]:
    """Temperature (50 n,) on the grid, from the 10-s windows; NaN where the device has none."""
    known = np.isfinite(sensor.windows.temperature_c)
    if not known.any():
        return np.full(seconds * RATE_HZ, np.nan, dtype=np.float32)
    middle = sensor.common(sensor.windows.start_s[known] + sensor.windows.window_s / 2)
    each = np.interp(start_s + np.arange(seconds) + 0.5, middle, sensor.windows.temperature_c[known])
    return np.repeat(each.astype(np.float32), RATE_HZ)


def mask(stretches: FloatArray, start_s: int, n: int) -> BoolArray:
    """Seconds (n,) from `start_s` on whose middle lies in one of the stretches (k, 2)."""
    middle = start_s + np.arange(n) + 0.5
    inside = np.zeros(n, dtype=np.bool_)
    for a, b in stretches:
        i, j = np.searchsorted(middle, [a, b])
        inside[i:j] = True
    return inside


def complement(stretches: FloatArray, start_s: float, stop_s: float) -> FloatArray:
    """What of [start_s, stop_s) is in none of the ordered stretches (k, 2)."""
    edges = [start_s]
    for a, b in stretches:
        edges += [min(max(a, start_s), stop_s), min(max(b, start_s), stop_s)]
    pairs = np.array([*edges, stop_s], dtype=np.float64).reshape(-1, 2)
    return pairs[pairs[:, 1] > pairs[:, 0]]
