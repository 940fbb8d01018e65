"""Irregular samples -> values on a regular grid of times."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from walkrisk.recordings.recording import AxesArray, FloatArray, Samples

BoolArray = npt.NDArray[np.bool_]

BAND = 0.2  # cycles a sample up to which the four taps are fitted: 10 Hz at 50 Hz
BLOCK = 16384  # grid points at a time, so that the work stays in the processor's cache
IRREGULAR = 0.5  # an interval this much longer or shorter than the usual one breaks the even spacing of the taps
LOWPASS_FROM = 1.2  # source rates above this multiple of the grid's are low-passed first
PASS = 0.42  # half-power frequency of that low-pass, in grid rates
HALF_STEPS = 16.0  # half length of its kernel, in grid steps


def _cubic_weights() -> npt.NDArray[np.float32]:
    """(4, 4) coefficients [power, tap] of the weights of taps -1, 0, 1, 2 at the fraction f between taps 0 and 1.

    At f = 0, 1/3, 2/3, 1 the weights minimise the mean squared error of all sines below `BAND`, given that constants
    are kept exactly; between those fractions they are cubic in f.
    """
    taps, f = np.arange(-1.0, 3.0), np.arange(4) / 3.0
    system = np.ones((5, 5))
    system[:4, :4] = np.sinc(2.0 * BAND * (taps[:, None] - taps))
    system[4, 4] = 0.0
    right = np.vstack([np.sinc(2.0 * BAND * (f - taps[:, None])), np.ones(4)])
    weights = np.linalg.solve(system, right)[:4]
    weights[:, 0], weights[:, 3] = (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0)
    return np.asarray(np.linalg.solve(np.vander(f, increasing=True), weights.T), dtype=np.float32)


CUBIC = _cubic_weights()


def conversion(source_rate_hz: float, rate_hz: float = 50.0) -> str:
    """A sentence on what `on_grid` does to samples of this rate."""
    if source_rate_hz > LOWPASS_FROM * rate_hz:
        return (
            f"{source_rate_hz:g} samples/s were low-passed at {PASS * rate_hz:g} Hz and resampled to {rate_hz:g} "
            "by cubic interpolation."
        )
    if source_rate_hz * LOWPASS_FROM < rate_hz:
        return (
            f"{source_rate_hz:g} samples/s were interpolated to {rate_hz:g}: movement above "
            f"{source_rate_hz / 2.0:g} Hz is not in the recording, and features that use it are not what they were "
            "trained on."
        )
    return f"{source_rate_hz:g} samples/s were resampled to {rate_hz:g} by cubic interpolation."


def on_grid(
    samples: Samples, start_s: float, n: int, rate_hz: float = 50.0, *, max_gap_s: float = 0.1
) -> tuple[AxesArray, BoolArray]:
    """Accelerations (3, n) in g at start_s + k / rate_hz, k = 0 .. n - 1, and where they are known (n,).

    Four-tap cubic interpolation in the fraction of the sample interval, which the recorded times give; the taps are
    fitted to sines below 10 Hz (at 50 Hz) instead of being exact for polynomials (Catmull-Rom), which takes the largest
    error at 8 Hz from 2.2 % to 0.2 % and leaves under 0.8 % at every lower frequency; constants are exact. Where the
    four samples are not evenly spaced (a lost sample, the edge of a gap) the line between the two neighbours is taken.
    Grid points outside the samples or between two further apart than `max_gap_s` are not known, and 0.

    Samples of more than 1.2 times the grid's rate go through a linear-phase low-pass first (windowed sinc, half power
    at 0.42 of the grid's rate), cut and scaled at the ends of a stretch. Given half a second of samples either side, a
    part of a record comes out as it does within the whole.
    """
    if n < 0 or not rate_hz > 0.0:
        raise ValueError("a grid has n >= 0 points and a positive rate")
    out, valid = np.zeros((3, n), dtype=np.float32), np.zeros(n, dtype=np.bool_)
    time_s = samples.time_s
    if len(time_s) < 2 or n == 0:
        return out, valid
    steps = np.diff(time_s)
    usual = float(np.median(steps))
    axes = samples.axes_g
    if 1.0 / usual > LOWPASS_FROM * rate_hz:
        axes = _low_passed(axes, np.flatnonzero(steps > max_gap_s) + 1, 1.0 / usual, rate_hz)
    grid = start_s + np.arange(n) / rate_hz
    first, last = np.searchsorted(grid, [time_s[0], time_s[-1]], side="left")
    last += last < n and grid[last] == time_s[-1]
    order = np.arange(len(time_s), dtype=np.float64)
    for a in range(int(first), int(last), BLOCK):
        b = min(a + BLOCK, int(last))
        i, j = np.searchsorted(time_s, [grid[a], grid[b - 1]])
        i, j = max(i - 3, 0), min(j + 4, len(time_s))
        place = np.interp(grid[a:b], time_s[i:j], order[: j - i])
        _interpolate(axes[:, i:j], place, out[:, a:b])
        valid[a:b] = True
    _mend(axes, time_s, steps, usual, max_gap_s, start_s, rate_hz, out, valid)
    return out, valid


def _interpolate(axes: AxesArray, place: FloatArray, out: AxesArray) -> None:
    """Write the four-tap values at fractional sample numbers `place` (m,) into `out` (3, m); ends repeat a sample."""
    last = axes.shape[1] - 1
    base = np.minimum(place.astype(np.intp), max(last - 1, 0))
    f = (place - base).astype(np.float32)
    weights = CUBIC[3][:, None] * f
    for power in (2, 1):
        weights += CUBIC[power][:, None]
        weights *= f
    weights += CUBIC[0][:, None]
    value, index = np.empty_like(f), np.empty_like(base)
    for tap in range(4):
        np.add(base, tap - 1, out=index)
        for axis in range(3):
            np.take(axes[axis], index, out=value, mode="clip")
            value *= weights[tap]
            if tap:
                out[axis] += value
            else:
                out[axis] = value


def _mend(
    axes: AxesArray,
    time_s: FloatArray,
    steps: FloatArray,
    usual: float,
    max_gap_s: float,
    start_s: float,
    rate_hz: float,
    out: AxesArray,
    valid: BoolArray,
) -> None:
    """Straight lines where the taps are not evenly spaced, and nothing where the neighbours are too far apart."""
    n = len(valid)
    uneven = np.flatnonzero(np.abs(steps / usual - 1.0) > IRREGULAR)
    touched = np.unique(np.concatenate([uneven - 1, uneven, uneven + 1, [0, len(steps) - 1]]))
    touched = touched[(touched >= 0) & (touched < len(steps))]
    low = np.clip(np.ceil((time_s[touched] - start_s) * rate_hz - 1e-6), 0, n).astype(np.intp)
    high = np.clip(np.floor((time_s[touched + 1] - start_s) * rate_hz + 1e-6) + 1, 0, n).astype(np.intp)
    count = np.maximum(high - low, 0)
    left = np.repeat(touched, count)
    points = np.arange(len(left)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
    f = (start_s + points / rate_hz - time_s[left]) / steps[left]
    inside = (f >= 0.0) & (f <= 1.0)
    left, points, f = left[inside], points[inside], f[inside]
    known = (steps[left] <= max_gap_s) | (f == 0.0) | (f == 1.0)
    line = axes[:, left] * (1.0 - f) + axes[:, left + 1] * f
    out[:, points] = np.where(known, line, 0.0)
    valid[points] = known


def _low_passed(axes: AxesArray, cuts: npt.NDArray[np.intp], source_rate_hz: float, rate_hz: float) -> AxesArray:
    """The axes (3, n) without what the grid cannot carry, stretch by stretch."""
    from scipy.signal import firwin, oaconvolve  # half a second to load, for fast recordings only

    ratio = round(20.0 * source_rate_hz / rate_hz) / 20.0  # so that every part of a record is given the same kernel
    half = round(HALF_STEPS * ratio)
    kernel = firwin(2 * half + 1, PASS / ratio, fs=1.0, window=("kaiser", 5.0)).astype(np.float32)
    weight = np.cumsum(np.concatenate(([0.0], kernel)))
    out = np.empty_like(axes)
    edges = np.concatenate(([0], cuts, [axes.shape[1]]))
    for a, b in pairwise(edges):
        for axis in range(3):
            out[axis, a:b] = oaconvolve(axes[axis, a:b], kernel)[half : half + b - a]
        k = np.arange(b - a)
        k = k[(k < half) | (k >= b - a - half)]
        share = weight[np.minimum(k, half) + half + 1] - weight[half - np.minimum(b - a - 1 - k, half)]
        out[:, a + k] /= share.astype(np.float32)
    return out
