"""Times of samples from the time stamps of blocks.

Each block names one moment of the clock and the sample taken then (its anchor). Between anchors the time runs in a
straight line, so that a sample stands where its block's fractional stamp puts it; before the first and after the last
anchor of a segment it runs on at the mean rate of the eight nearest intervals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.recordings.axivity_index import IntArray, SectorIndex
from walkrisk.recordings.recording import FloatArray

_RATE_CHANGE = 0.02  # real sampling rates wander by less than this within a recording
_JITTER_S = 0.02
_JITTER_SAMPLES = 2.0
_COARSE_S = 1.1
_BEYOND_BLOCK = 200  # samples that may wait in the sensor when a block is stamped
_NEIGHBOURS = 11
_END_INTERVALS = 8
_COARSE_GROUP = 60
_ROUNDS = 8
_FEW_MISSING = 100
_RATE_PLAUSIBLE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """Which stamps may be trusted: `good` and `wild` (b,) by row of the index, `rate_hz` (b,) as measured.

    `steps` (n - 1,) says after which of the n rows looked at the clock jumps.
    """

    good: npt.NDArray[np.bool_]
    wild: npt.NDArray[np.bool_]
    rate_hz: FloatArray
    steps: npt.NDArray[np.bool_]

    @staticmethod
    def tolerance_s(elapsed_s: float, rate_hz: float) -> float:
        """How far two stamps `elapsed_s` apart by their samples may disagree with the sampling rate."""
        return float(_tolerance(np.array([elapsed_s]), np.array([rate_hz]), np.zeros(1, np.bool_))[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Knots:
    """A broken line from sample number (from the segment's first) to seconds; both (k,) increasing, k >= 2."""

    sample: FloatArray
    time_s: FloatArray


def usable_anchors(index: SectorIndex, rows: IntArray, *, layout: IntArray, breaks: npt.NDArray[np.bool_]) -> Anchors:
    """Find wild stamps and steps of the clock among `rows` in file order; `breaks` (n - 1,) parts them beforehand."""
    reach = _BEYOND_BLOCK + 2.0 * index.rate_hz
    good = np.isfinite(index.anchor_s) & (np.abs(index.anchor) <= reach + index.count)
    piece = np.concatenate(([0], np.cumsum(breaks)))
    start = np.cumsum(index.count[rows]) - index.count[rows]
    rate = _measured_rates(index, rows, good, layout, piece, start)
    wild = np.zeros(len(good), np.bool_)
    for _ in range(_ROUNDS):
        known = np.flatnonzero(good[rows])
        jumps = _jumps(index, rows[known], start[known], piece[known], rate)
        suspects = _wild(index, rows[known], start[known], piece[known], rate, jumps)
        if not len(suspects):
            break
        wild[suspects] = True
        good[suspects] = False
    steps = np.zeros(max(len(rows) - 1, 0), np.bool_)
    steps[known[1:][jumps] - 1] = True
    return Anchors(good=good, wild=wild, rate_hz=rate, steps=steps)


def _measured_rates(
    index: SectorIndex, rows: IntArray, good: npt.NDArray[np.bool_], layout: IntArray, piece: IntArray, start: IntArray
) -> FloatArray:
    """(b,) the median rate between neighbouring stamps of blocks of the same settings."""
    out = index.rate_hz.copy()
    known = np.flatnonzero(good[rows])
    at = rows[known]
    samples = np.diff(start[known] + index.anchor[at])
    passed = np.diff(index.anchor_s[at])
    fits = (np.diff(piece[known]) == 0) & (passed > 0) & (samples > 0)
    for code in np.unique(layout[at]):
        of = fits & (layout[at][1:] == code)
        if of.any():
            coarse = bool(index.coarse[at[1:][of]].any())
            mean, median = samples[of].sum() / passed[of].sum(), np.median(samples[of] / passed[of])
            out[layout == code] = mean if coarse else median
        else:
            out[layout == code] = _rate_across(index, at[layout[at] == code])
    return out


def _rate_across(index: SectorIndex, at: IntArray) -> float:
    """The rate between blocks that do not follow one another, those missing taken for full; else the nominal one."""
    nominal = float(index.rate_hz[at[0]])
    ahead = np.diff(index.sequence[at])
    same = (np.diff(index.session[at]) == 0) & (ahead > 0) & (ahead <= _FEW_MISSING)
    samples = ahead * index.count[at[:-1]] + np.diff(index.anchor[at])
    passed = np.where(same, np.diff(index.anchor_s[at]), np.nan)
    rates = samples / np.where(passed > 0.0, passed, np.nan)
    near = rates[np.abs(rates / nominal - 1.0) < _RATE_PLAUSIBLE]
    return float(np.median(near)) if len(near) else nominal


def _tolerance(elapsed_s: FloatArray, rate_hz: FloatArray, coarse: npt.NDArray[np.bool_]) -> FloatArray:
    room = _RATE_CHANGE * elapsed_s + _JITTER_SAMPLES / rate_hz + _JITTER_S
    return np.where(coarse, room + _COARSE_S, np.minimum(room, 0.5 * elapsed_s))


def _jumps(
    index: SectorIndex, at: IntArray, start: IntArray, piece: IntArray, rate: FloatArray
) -> npt.NDArray[np.bool_]:
    """(n - 1,) whether the clock and the count of samples disagree between neighbouring stamps of a piece."""
    elapsed = np.diff(start + index.anchor[at]) / rate[at[1:]]
    passed = np.diff(index.anchor_s[at])
    whole = (passed == 0.0) & (index.anchor_s[at[1:]] % 1.0 == 0.0)  # stamps of whole seconds repeat at high rates
    off = np.abs(passed - elapsed) > _tolerance(np.abs(elapsed), rate[at[1:]], index.coarse[at[1:]])
    off |= (elapsed <= 0.0) | (passed <= 0.0)
    off &= ~(whole & (np.abs(elapsed) <= _JITTER_SAMPLES / rate[at[1:]])) & ~(index.coarse[at[1:]] & (passed == 0.0))
    return off & (np.diff(piece) == 0)


def _wild(
    index: SectorIndex,
    at: IntArray,
    start: IntArray,
    piece: IntArray,
    rate: FloatArray,
    jumps: npt.NDArray[np.bool_],
) -> IntArray:
    """Rows whose stamp disagrees with the median of the eleven about it, in pieces where the clock jumps."""
    found: list[IntArray] = []
    for number in np.unique(piece[1:][jumps]):
        i, j = np.searchsorted(piece, [number, number + 1])
        rows = at[i:j]
        if len(rows) < 3:
            continue
        lead = index.anchor_s[rows] - (start[i:j] + index.anchor[rows]) / rate[rows]
        size = min(_NEIGHBOURS, len(rows) - (1 - len(rows) % 2))
        beside = np.lib.stride_tricks.sliding_window_view(np.pad(lead, size // 2, mode="symmetric"), size)
        middle = np.median(beside, axis=1)
        room = _tolerance(_NEIGHBOURS / 2.0 * index.count[rows] / rate[rows], rate[rows], index.coarse[rows])
        near = np.concatenate(([False], jumps[i : j - 1])) | np.concatenate((jumps[i : j - 1], [False]))
        found.append(rows[near & (np.abs(lead - middle) > room)])
    return np.concatenate(found) if found else np.empty(0, np.int64)


def fit_knots(
    index: SectorIndex, rows: IntArray, *, good: npt.NDArray[np.bool_], rate_hz: float, base_s: float
) -> Knots:
    """The line of times of one segment in seconds since `base_s`.

    Its first knot is at or before sample 0, its last at or after the end. `rate_hz` serves where there is one anchor.
    """
    start = np.cumsum(index.count[rows]) - index.count[rows]
    sample = (start + index.anchor[rows])[good[rows]].astype(np.float64)
    time = index.anchor_s[rows[good[rows]]] - base_s
    if index.coarse[rows[0]]:
        sample, time = _grouped(sample), _grouped(time)
    rising = _rising(time) & _rising(sample)
    sample, time = sample[rising], time[rising]
    total = float(index.count[rows].sum())
    few = min(_END_INTERVALS, len(sample) - 1)
    first = (time[few] - time[0]) / (sample[few] - sample[0]) if few else 1.0 / rate_hz
    last = (time[-1] - time[-1 - few]) / (sample[-1] - sample[-1 - few]) if few else 1.0 / rate_hz
    if sample[0] > 0.0:
        sample, time = np.append(0.0, sample), np.append(time[0] - first * sample[0], time)
    if sample[-1] < total:
        sample, time = np.append(sample, total), np.append(time, time[-1] + last * (total - sample[-1]))
    return Knots(sample=sample, time_s=time)


def _rising(values: FloatArray) -> npt.NDArray[np.bool_]:
    return np.concatenate(([True], values[1:] > np.maximum.accumulate(values)[:-1]))


def _grouped(values: FloatArray) -> FloatArray:
    """Means of sixty neighbouring anchors: stamps of whole seconds alone are a second coarse."""
    edges = np.arange(0, max(len(values) - _COARSE_GROUP // 2, 1), _COARSE_GROUP)
    sizes = np.diff(np.append(edges, len(values)))
    return np.add.reduceat(values, edges) / sizes


def sample_times(knots: Knots, first: int, stop: int) -> FloatArray:
    """(stop - first,) times of samples first .. stop - 1 of a segment, strictly increasing."""
    last = len(knots.sample) - 2
    i = min(max(int(np.searchsorted(knots.sample, first, side="right")) - 1, 0), last)
    j = min(max(int(np.searchsorted(knots.sample, stop, side="left")) - 1, i), last)
    sample, time = knots.sample[i : j + 2], knots.time_s[i : j + 2]
    slope = np.diff(time) / np.diff(sample)
    edges = np.clip(np.ceil(sample).astype(np.int64), first, stop)
    edges[0], edges[-1] = first, stop
    reps = np.diff(edges)
    out = np.arange(first, stop, dtype=np.float64)
    out *= np.repeat(slope, reps)
    out += np.repeat(time[:-1] - sample[:-1] * slope, reps)
    return out
