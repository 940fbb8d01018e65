"""What each 10 s of a recording looked like: the small table that calibration, wear and orientation work from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.errors import UsageFault
from walkrisk.recordings.recording import AxesArray, Blocks, FloatArray, Samples, Source, stretches

HOURS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Windows of `window_s` on whole multiples of it on the device's clock; those without a sample are left out.

    `start_s` (w,) seconds since `origin`; `n` (w,) samples; `mean_g`, `sd_g`, `min_g`, `max_g` (w, 3);
    `temperature_c` (w,), NaN where unknown; `expected` samples in a whole window.
    """

    origin: np.datetime64
    window_s: float
    expected: float
    start_s: FloatArray
    n: npt.NDArray[np.int64]
    mean_g: FloatArray
    sd_g: FloatArray
    min_g: FloatArray
    max_g: FloatArray
    temperature_c: FloatArray

    @property
    def whole(self) -> npt.NDArray[np.bool_]:
        """(w,) windows holding at least nine tenths of the samples they should."""
        return np.asarray(self.n >= 0.9 * self.expected)


def window_summaries(source: Source, *, window_s: float = 10.0) -> Windows:
    """Mean, SD (of the samples, divisor n), least and largest of every axis in each window, in one bounded pass.

    Means and SDs are taken window by window around the window's own mean, so that float32 samples cost no accuracy.
    Temperature is the mean of the readings noted within the window, between readings interpolated. Windows of 10 s are
    those of van Hees et al. 2014 (doi 10.1152/japplphysiol.00421.2014). UsageFault if
    two hours are not a whole number of windows.
    """
    if not window_s > 0 or HOURS * 3600.0 % window_s:
        raise UsageFault(
            f"Windows of {window_s:g} s do not fill two hours evenly; choose 5, 10, 12, 15, 20, 30 or 60 s."
        )
    parts = [_summaries(part, window_s) for _, _, part in stretches(source, hours=HOURS) if len(part.time_s)]
    if not parts:
        parts = [(np.empty(0), np.empty(0, dtype=np.int64), np.empty((4, 0, 3)))]
    start_s = np.concatenate([p[0] for p in parts])
    mean_g, sd_g, min_g, max_g = np.concatenate([p[2] for p in parts], axis=1)
    return Windows(
        origin=source.origin,
        window_s=window_s,
        expected=window_s * source.rate_hz,
        start_s=start_s,
        n=np.concatenate([p[1] for p in parts]),
        mean_g=mean_g,
        sd_g=sd_g,
        min_g=min_g,
        max_g=max_g,
        temperature_c=window_temperature(source.blocks, start_s, window_s=window_s),
    )


def _summaries(part: Samples, window_s: float) -> tuple[FloatArray, npt.NDArray[np.int64], FloatArray]:
    """Starts (w,), counts (w,) and [mean, SD, least, largest] (4, w, 3) of the windows that hold a sample."""
    k = np.arange(int(part.time_s[0] // window_s), int(part.time_s[-1] // window_s) + 2)
    edges = np.searchsorted(part.time_s, k * window_s, side="left")
    held = np.diff(edges) > 0
    first, n = edges[:-1][held], np.diff(edges)[held]
    out = np.empty((4, len(n), 3))
    for axis, values in enumerate(part.axes_g):
        out[:, :, axis] = _axis(values, first, n)
    return np.asarray(k[:-1][held] * window_s, dtype=np.float64), n, out


def _axis(values: AxesArray, first: npt.NDArray[np.int64], n: npt.NDArray[np.int64]) -> FloatArray:
    """[mean, SD, least, largest] (4, w) of consecutive windows of one axis that begin at `first` and hold `n`."""
    rough = (np.add.reduceat(values, first) / n).astype(np.float32)
    apart = values - np.repeat(rough, n)
    shift = np.add.reduceat(apart, first) / n
    spread = np.add.reduceat(np.square(apart, out=apart), first) / n
    sd = np.sqrt(np.maximum(spread - shift**2, 0.0))
    least, largest = np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)
    return np.stack([rough + shift, sd, least, largest]).astype(np.float64)


def window_temperature(blocks: Blocks, start_s: FloatArray, *, window_s: float) -> FloatArray:
    """Temperature (w,) in each window: the mean of its readings, or the line between the nearest ones."""
    known = np.isfinite(blocks.temperature_c) & np.isfinite(blocks.time_s)
    if not known.any() or not len(start_s):
        return np.full(len(start_s), np.nan)
    time_s, temperature_c = blocks.time_s[known], blocks.temperature_c[known]
    order = np.argsort(time_s, kind="stable")
    time_s, temperature_c = time_s[order], temperature_c[order]
    total = np.concatenate(([0.0], np.cumsum(temperature_c - temperature_c[0])))
    low, high = np.searchsorted(time_s, start_s), np.searchsorted(time_s, start_s + window_s)
    between = np.interp(start_s + window_s / 2.0, time_s, temperature_c)
    mean = temperature_c[0] + (total[high] - total[low]) / np.maximum(high - low, 1)
    return np.where(high > low, mean, between)
