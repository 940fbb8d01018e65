"""Lags between two recordings of one movement: from 10-s summaries, from 60-s windows, and the lines through them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from walkrisk.recordings.recording import AxesArray, FloatArray, Source
from walkrisk.recordings.resampling import on_grid
from walkrisk.recordings.windows import Windows

STEP = 10.0  # seconds of a summary
WINDOW = 60.0
REACH = 16.0  # seconds of lag a window is searched around the coarse lag
RATE = 50.0
NEAR = 0.25  # seconds from the common line within which a window's own lag is looked for
PAUSE = 20.0  # a gap this long may hide a restart, so both sides are looked at apart
SHORTEST = 1200.0  # a part shorter than this is joined to its neighbour
FLOOR_G = 0.03
HIGHPASS_HZ, HIGHPASS_ORDER = 6.0, 8.0
EDGE = 150  # samples over which the ends of an envelope fade, so that cutting it out makes no event of its own
WHITEN = 0.9  # power of the cross-spectrum divided out: at 1 only its phases count
ROUGH = 5  # samples a step in the first search for a drift
SMOOTH = np.array([1, 8, 28, 56, 70, 56, 28, 8, 1], dtype=np.float32) / 256  # at 100 Hz: SD 14 ms
CLEAR = 3.0  # agreement from which a window tells a lag of its own
APART = 0.2  # seconds by which another line must differ to be a rival
CYCLE = 2.5  # seconds within which a rival may be a step or a stride off
ENVELOPE_HZ = 6.0  # frequency at which an envelope counts 1/e: faster changes are folded ones, or differ between sites
BENDING = 1.0  # weight of squared bends, in windows a knot


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch [start_s, stop_s) of the back's clock, the lags to look at in turn, and both records' movement."""

    start_s: float
    stop_s: float
    lags_s: tuple[float, ...]
    thigh: _Movement
    back: _Movement


@dataclass(frozen=True, slots=True)
class _Movement:
    """Log movement every 10 s from second `first_s` (of the thigh's origin): `raw` (w,) in log g, NaN where unknown."""

    first_s: float
    raw: FloatArray

    @property
    def detrended(self) -> FloatArray:
        """Movement less its mean over ten minutes, in [-2, 2], 0 where unknown."""
        known = np.isfinite(self.raw)
        filled = np.where(known, self.raw, 0.0)
        mean = _running(filled, 61) / np.maximum(_running(known.astype(np.float64), 61), 1e-9)
        apart = np.clip(filled - mean, -2.0, 2.0)
        return np.asarray(np.where(known & (np.abs(apart) > 1e-9), apart, 0.0))


def _running(x: FloatArray, width: int) -> FloatArray:
    """Sums (n,) of `width` (odd) values around each, 0 beyond the ends."""
    half = width // 2
    sums = np.concatenate((np.zeros(half + 1), np.cumsum(x), np.full(half, x.sum())))
    return np.asarray(sums[width:] - sums[:-width], dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """Windows of common movement: back-clock centres (k,), agreement (k, 2 reach + 1) at lags around `around_s`.

    `line`(t) = intercept + slope (t - middle) is the common lag, `lag_s` (k,) each window's own near it. `match` is the
    mean agreement along the line. `lead` and `lead_in_cycle` tell how far the line is ahead of its closest rival
    elsewhere and of the closest within 2.5 s (a step or a stride off): the mean over windows of the difference of the
    two agreements, in standard errors.
    """

    start_s: float
    stop_s: float
    around_s: float
    centre_s: FloatArray
    agreement: AxesArray
    lag_s: FloatArray
    weight: FloatArray
    middle_s: float = 0.0
    intercept_s: float = 0.0
    slope: float = 0.0
    match: float = 0.0
    lead: float = 0.0
    lead_in_cycle: float = 0.0

    def line(self, at: float) -> float:
        """The common lag at a back-clock second."""
        return self.intercept_s + self.slope * (at - self.middle_s)


def _movement(windows: Windows, shift_s: float) -> _Movement:
    """Log of the SDs' sum on a regular 10-s axis."""
    whole = windows.whole
    if not whole.any():
        return _Movement(0.0, np.empty(0))
    index = np.round((windows.start_s[whole] + shift_s) / STEP).astype(np.int64)
    raw = np.full(int(index[-1] - index[0]) + 1, np.nan)
    raw[index - index[0]] = np.log(windows.sd_g[whole].sum(axis=1) + FLOOR_G)
    return _Movement(float(index[0]) * STEP, raw)


def coarse_lags(thigh: Windows, back: Windows, *, shift_s: float, search_s: float) -> list[Part]:
    """Parts of the back's recording and the lags at which its 10-s movement is most like the thigh's.

    No lag comes first: the clocks of both were most often set by one computer, and a person's days can be so alike that
    movement a day apart fits as well.
    """
    a, b = _movement(thigh, shift_s=0.0), _movement(back, shift_s=shift_s)
    if min(np.isfinite(a.raw).sum(), np.isfinite(b.raw).sum()) < 12:
        return []
    whole = _likeliest(a, b, b.first_s, b.first_s + len(b.raw) * STEP, search_s)
    if not whole:
        return []
    cuts = _cuts(a, b, whole[0])
    parts = []
    for start, stop in pairwise(cuts):
        own = _likeliest(a, b, start, stop, search_s) if len(cuts) > 2 else whole
        lags = tuple(dict.fromkeys((0.0, *own[:2], whole[0], *own[2:])))
        parts.append(Part(start - shift_s, stop - shift_s, lags, a, b))
    return parts


def _cuts(a: _Movement, b: _Movement, lag: float) -> list[float]:
    """Ends of the parts: the pauses of either sensor, but no part shorter than `SHORTEST`."""
    first, last = b.first_s, b.first_s + len(b.raw) * STEP
    marks: list[float] = []
    for movement, move in ((b, 0.0), (a, -lag)):
        unknown = ~np.isfinite(movement.raw)
        edges = np.flatnonzero(np.diff(np.concatenate(([False], unknown, [False])).astype(np.int8)))
        for i, j in edges.reshape(-1, 2):
            if (j - i) * STEP >= PAUSE:
                marks += [movement.first_s + i * STEP + move, movement.first_s + j * STEP + move]
    cuts = [first]
    for mark in sorted(marks):
        if mark - cuts[-1] >= SHORTEST and last - mark >= SHORTEST:
            cuts.append(mark)
    return [*cuts, last]


def _likeliest(a: _Movement, b: _Movement, start: float, stop: float, search_s: float) -> tuple[float, ...]:
    """Up to three lags (s) of normalised cross-correlation of movement, highest sqrt(overlap)-weighted first."""
    i, j = int((start - b.first_s) // STEP), int((stop - b.first_s) // STEP)
    x, y = a.detrended, b.detrended[i:j]
    if not x.any() or not y.any():
        return ()
    base = round((b.first_s - a.first_s) / STEP) + i
    size = 1 << (len(x) + len(y)).bit_length()

    def cross(p: FloatArray, q: FloatArray) -> FloatArray:
        return np.asarray(np.fft.irfft(np.fft.rfft(p, size) * np.conj(np.fft.rfft(q, size)), size))

    known_x = (x != 0.0).astype(np.float64)
    known_y = (y != 0.0).astype(np.float64)
    top = cross(x, y)
    energy = np.maximum(cross(x * x, known_y), 0.0) * np.maximum(cross(known_x, y * y), 0.0)
    overlap = cross(known_x, known_y)
    score = np.where(overlap >= 60.0, top / np.sqrt(np.maximum(energy, 1e-6)) * np.sqrt(np.maximum(overlap, 0.0)), -9.0)
    reach = int(search_s // STEP)
    lags = np.arange(-reach, reach + 1)
    at = lags + base
    within = (at > -len(y)) & (at < len(x))
    lags, values = lags[within], score[at[within] % size]
    found: list[float] = []
    for k in np.argsort(-values)[:200]:
        if values[k] > 0.0 and all(abs(lags[k] * STEP - f) > 60.0 for f in found):
            found.append(float(lags[k] * STEP))
        if len(found) == 3:
            break
    return tuple(found)


def match_windows(thigh: Source, back: Source, part: Part, lag: float, *, shift_s: float, most: int) -> Matches:
    """Agreement of the log envelopes in up to `most` windows of movement, spread over the part."""
    reach = int(REACH * RATE)
    centres: list[float] = []
    rows: list[AxesArray] = []
    for start in _choose(part, lag, shift_s, most):
        moved = _envelope(back, start, WINDOW)
        still = _envelope(thigh, start + shift_s + lag - REACH, WINDOW + 2 * REACH)
        if moved is None or still is None:
            continue
        centres.append(start + WINDOW / 2.0)
        rows.append(_agreement(still, moved, reach))
    return Matches(
        start_s=part.start_s,
        stop_s=part.stop_s,
        around_s=lag,
        centre_s=np.array(centres),
        agreement=np.array(rows, dtype=np.float32).reshape(len(rows), 2 * reach + 1),
        lag_s=np.empty(0),
        weight=np.empty(0),
    )


def _choose(part: Part, lag: float, shift_s: float, most: int) -> list[float]:
    """Back-clock starts of windows in which both moved and movement changed: the best of each share, in time order."""
    a, b, width = part.thigh, part.back, int(WINDOW // STEP)
    i = int((part.start_s + shift_s - b.first_s) // STEP)
    j = int((part.stop_s + shift_s - b.first_s) // STEP)
    at = np.arange(i, j) + round((b.first_s + lag - a.first_s) / STEP)
    ok = (at >= 0) & (at < len(a.raw))
    both = np.full(j - i, np.nan)
    both[ok] = np.minimum(b.raw[i:j][ok], a.raw[at[ok]])
    if len(both) < width:
        return []
    runs = np.lib.stride_tricks.sliding_window_view(both, width)
    score = 0.5 * runs.mean(axis=1) + runs.std(axis=1)
    score[~(runs.max(axis=1) > np.log(0.08 + FLOOR_G))] = np.nan
    movable = np.flatnonzero(np.isfinite(score))
    if not len(movable):
        return []
    strata = np.array_split(movable, min(most, max(1, len(movable) // 3)))
    picked = [int(part[np.argmax(score[part])]) for part in strata]
    return [b.first_s - shift_s + (i + p) * STEP for p in picked]


def _envelope(source: Source, start_s: float, length_s: float) -> AxesArray | None:
    """Log of the acceleration vector's length above 6 Hz, at 50 Hz; None where more than a tenth is unknown.

    It is squared at 100 Hz and smoothed before every other value is taken: what folds back draws lags to whole samples.
    """
    n = round(length_s * RATE)
    axes, valid = on_grid(source.samples(start_s - 0.5, start_s + length_s + 0.5), start_s, n, RATE)
    if valid.sum() < 0.9 * n:
        return None
    axes -= axes.mean(axis=1, keepdims=True)
    ratio = (np.fft.rfftfreq(n, 1.0 / RATE) / HIGHPASS_HZ) ** HIGHPASS_ORDER
    moved = 2.0 * np.fft.irfft(np.fft.rfft(axes) * (ratio / (1.0 + ratio)).astype(np.float32), 2 * n)
    power = np.convolve(np.square(moved).sum(axis=0), SMOOTH, mode="same")[::2]
    envelope = np.log(np.sqrt(power) + FLOOR_G)
    centred = np.where(valid, envelope - envelope[valid].mean(), 0.0)
    fade = 0.5 - 0.5 * np.cos(np.pi * (np.arange(EDGE) + 0.5) / EDGE)
    centred[:EDGE] *= fade
    centred[-EDGE:] *= fade[::-1]
    return np.asarray(centred, dtype=np.float32)


def _agreement(long: AxesArray, short: AxesArray, reach: int) -> AxesArray:
    """Whitened cross-correlation (2 reach + 1,) of `short` with each stretch of `long`, which begins `reach` before it.

    In units of its own root mean square over those lags. Division by the size of the cross-spectrum takes the weight
    from the lines of an even gait, in which a step too far agrees as well, and gives it to what happens once: starts,
    stops, knocks, the unevenness of steps. A phase that gait has between the sites counts for little, too. Generalised
    cross-correlation with phase transform: Knapp and Carter 1976 (doi 10.1109/TASSP.1976.1162830).
    """
    size = len(long)
    cross = np.fft.rfft(long) * np.conj(np.fft.rfft(short, size))
    height = np.abs(cross)
    weight = np.exp(-np.square(np.fft.rfftfreq(size, 1.0 / RATE) / ENVELOPE_HZ))
    top = np.fft.irfft(cross * weight / (height + 0.02 * height.mean() + 1e-12) ** WHITEN, size)[: 2 * reach + 1]
    return np.asarray(top / max(float(np.sqrt(np.square(top).mean())), 1e-12), dtype=np.float32)


def best_line(found: Matches, *, drift_limit: float) -> Matches:
    """The line of lags with the highest mean agreement, how far ahead it is, and each window's own lag near it."""
    k, width = found.agreement.shape
    if k == 0:
        return found
    middle = float(np.median(found.centre_s))
    apart = found.centre_s - middle
    slope, others = _slopes(found.agreement, apart, drift_limit)
    along = _along(found.agreement, slope * apart)
    mean = along.mean(axis=0)
    top = int(mean.argmax())
    steps = np.abs(np.arange(width) - top) / RATE
    ahead = _ahead(along[:, [top]], along)
    tilt = np.abs(np.array(others) - slope) * float(np.abs(apart).max())
    tilted = np.array([float(_ahead(along[:, top], _best_lane(found.agreement, b * apart))) for b in others])
    in_cycle = [*ahead[(steps > APART) & (steps < CYCLE)], *tilted[tilt < CYCLE]]
    intercept = (top - width // 2) / RATE
    own, weight = _own_lags(found.agreement, intercept + slope * apart)
    keep = weight > 0.0
    return replace(
        found,
        centre_s=found.centre_s[keep],
        agreement=found.agreement[keep],
        lag_s=own[keep] + found.around_s,
        weight=weight[keep],
        middle_s=middle,
        intercept_s=intercept + found.around_s,
        slope=slope,
        match=float(mean[top]),
        lead=float(min([*ahead[steps >= CYCLE], *tilted[tilt >= CYCLE]])),
        lead_in_cycle=float(min(in_cycle)),
    )


def _ahead(line: npt.NDArray[np.floating], rival: npt.NDArray[np.floating]) -> FloatArray:
    """Mean of line - rival over windows (axis 0) in standard errors; an even one counts as a window more."""
    less = line - rival
    k = len(less)
    error = np.sqrt((np.square(less - less.mean(axis=0)).sum(axis=0) + 1e-4) / k / (k + 1.0))
    return np.asarray(less.mean(axis=0) / error, dtype=np.float64)


def _slopes(agreement: AxesArray, apart: FloatArray, drift_limit: float) -> tuple[float, list[float]]:
    """The drift (s/s) with the highest mean agreement, and up to eight rivals: the best that differ by a step or more.

    Looked for in steps of 0.1 s at the furthest window, then of 0.02 s.
    """
    box = np.cumsum(np.pad(agreement, ((0, 0), (ROUGH, ROUGH))), axis=1)
    rough = (box[:, ROUGH:] - box[:, :-ROUGH])[:, ::ROUGH] / ROUGH
    reach = max(float(np.abs(apart).max()), 1.0)
    step = ROUGH / RATE / reach
    n = int(np.ceil(drift_limit / step))
    slopes = np.arange(-n, n + 1) * step
    heights = np.array([_stacked(rough, np.round(b * apart * RATE / ROUGH).astype(np.int64)).max() for b in slopes])
    first = slopes[int(np.argmax(heights))]
    near = first + np.arange(-6, 7) * step / 5.0
    best = float(near[int(np.argmax([_along(agreement, b * apart).mean(axis=0).max() for b in near]))])
    far = np.flatnonzero(np.abs(slopes - best) * reach > 2.0 * APART)
    return best, [float(slopes[i]) for i in far[np.argsort(-heights[far])[:8]]]


def _along(agreement: AxesArray, lags_s: FloatArray) -> AxesArray:
    """Agreement (k, width) at lags around each window's own `lags_s` (k,); 0 where a window does not reach."""
    width = agreement.shape[1]
    at = np.arange(width) + np.round(lags_s * RATE).astype(np.int64)[:, None]
    values = np.take_along_axis(agreement, np.clip(at, 0, width - 1), axis=1)
    return np.where((at >= 0) & (at < width), values, np.float32(0.0))


def _best_lane(agreement: AxesArray, lags_s: FloatArray) -> AxesArray:
    """Agreement (k,) along the best line of one drift."""
    along = _along(agreement, lags_s)
    return np.asarray(along[:, int(along.mean(axis=0).argmax())])


def _stacked(agreement: npt.NDArray[np.floating], move: npt.NDArray[np.int64]) -> FloatArray:
    """Mean over windows, each shifted by `move` steps; 0 where a window does not reach."""
    k, width = agreement.shape
    out = np.zeros(width)
    for row, by in zip(agreement, move.tolist(), strict=True):
        if 0 <= by < width:
            out[: width - by] += row[by:]
        elif -width < by < 0:
            out[-by:] += row[: width + by]
    return out / k


def _own_lags(agreement: AxesArray, line: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Each window's lag (k,) of highest agreement near the line, to a part of a sample; weight 0 where at an edge."""
    k, width = agreement.shape
    near = int(NEAR * RATE)
    centre = np.round(line * RATE).astype(np.int64) + width // 2
    inside = (centre >= near + 1) & (centre < width - near - 1)
    at = np.clip(centre, near + 1, width - near - 2)[:, None] + np.arange(-near, near + 1)
    rows = np.arange(k)
    top = at[rows, np.take_along_axis(agreement, at, axis=1).argmax(axis=1)]
    low, mid, high = (agreement[rows, top + d].astype(np.float64) for d in (-1, 0, 1))
    curve = np.minimum(low - 2.0 * mid + high, -1e-9)
    part = np.clip(0.5 * (low - high) / curve, -0.5, 0.5)
    sure = inside & (np.abs(top - np.clip(centre, near + 1, width - near - 2)) < near) & (mid > CLEAR)
    return (top + part - width // 2) / RATE, np.where(sure, np.maximum(mid, 0.0) ** 2, 0.0)


def fit_knots(
    centre_s: FloatArray, lag_s: FloatArray, weight: FloatArray, *, every_s: float, drift: bool
) -> tuple[FloatArray, FloatArray]:
    """Knots (m,) and lags (m,) of a bisquare fit: a line that may bend at each knot, bending penalised.

    Without `drift` one knot, the weighted median.
    """
    first, last = float(centre_s.min()), float(centre_s.max())
    if not drift or last - first < 60.0:
        order = np.argsort(lag_s)
        share = np.cumsum(weight[order])
        return np.array([(first + last) / 2.0]), np.array([lag_s[order][np.searchsorted(share, share[-1] / 2.0)]])
    m = max(2, round((last - first) / every_s) + 1)
    knots = np.linspace(first, last, m)
    place = (centre_s - first) / (knots[1] - knots[0])
    base = np.minimum(place.astype(np.int64), m - 2)
    design = np.zeros((len(centre_s), m))
    rows = np.arange(len(centre_s))
    design[rows, base], design[rows, base + 1] = 1.0 - (place - base), place - base
    bend = np.diff(np.eye(m), n=2, axis=0)
    robust = np.ones_like(lag_s)
    values = np.zeros(m)
    for _ in range(20):
        w = weight * robust
        penalty = BENDING * w.sum() / m
        values = np.linalg.solve(
            (design.T * w) @ design + penalty * bend.T @ bend + 1e-9 * np.eye(m), (design.T * w) @ lag_s
        )
        apart = lag_s - design @ values
        scale = max(1.4826 * float(np.median(np.abs(apart))), 0.005)
        robust = np.square(np.maximum(1.0 - np.square(apart / (4.685 * scale)), 0.0))
    return knots, values
