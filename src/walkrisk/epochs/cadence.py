"""Steps per minute of each second on foot, from the thigh's and the back's acceleration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from walkrisk.declarations import option

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

Basis = tuple[Float32Array, Float32Array, Float32Array, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How walking is felt along an axis: harmonics of the stride, what each counts, and the SD in g at 100 steps/min.

    The SD grows as cadence to the power `exponent`; an axis whose SD says little of cadence has None.
    """

    axis: int
    harmonics: tuple[int, ...]
    weights: tuple[float, ...]
    sd_g: float | None = None
    exponent: float = 1.0


Plan = tuple[Rhythm, ...]

THIGH: Plan = (
    Rhythm(axis=0, harmonics=(1, 2, 3, 4), weights=(0.9, 1.0, 0.7, 0.5), sd_g=0.34, exponent=2.6),
    Rhythm(axis=2, harmonics=(1, 2, 3), weights=(0.9, 1.0, 0.8), sd_g=0.37, exponent=1.9),
)
"""A thigh swings once a stride, along the femur and forward."""
BACK: Plan = (
    Rhythm(axis=0, harmonics=(1, 2, 4), weights=(0.4, 1.0, 0.8), sd_g=0.17, exponent=2.7),
    Rhythm(axis=1, harmonics=(1, 3), weights=(1.0, 1.0)),
)
"""A trunk rises once a step (even harmonics, hardly the first) and sways once a stride (odd ones)."""

WORKING_HZ = 25.0  # samples are averaged in blocks down to about this rate
HIGHEST_HZ = 8.0  # harmonics above this are left out
GRID = 0.03  # log step of the candidate stride rates
NOISE_G = 0.01  # movement below this is not told from the sensors' noise
EVIDENCE = 10.0  # log-likelihood a unit of -log(unexplained power): half the independent samples of a window
SPREAD = 0.35  # SD of log cadence around the usual one, before the signal is seen
RUNNING_SPREAD = 0.2  # the same of running
STRENGTH_SPREAD = 0.25  # SD of log cadence around what the strength of the movement says; 0.11 in the labelled people
STRENGTH_MOST = 4.0  # the most that it says against any cadence
BEYOND = 6.0  # held against cadences that walking, or running, hardly has: a wrong label must not force an octave
STEP_COST = 0.7  # log-likelihood a GRID step from one second to the next
JUMP_COST = 6.0  # the most that any change from one second to the next costs
HALT_S = 10.0  # a halt of this length or more ends what the seconds before it say about those after it
MARGIN_S = 0.5  # a bout shorter than the window is looked at up to this much beyond its ends
MOST_EXPLAINED = 0.995
PAD_S = 30
"""Seconds of signal and of walking wanted before and after those whose cadence is asked for."""
BATCH = 4096  # windows held at a time
CORE, OVERLAP = 32, 16  # seconds decided together, and seconds heard on either side of them


@dataclass(frozen=True, slots=True, kw_only=True)
class CadenceSettings:
    """How cadence is found."""

    window_s: float = option(5.0, doc="Length of the window around each second (s).")
    slowest_spm: float = option(30.0, doc="Lowest cadence looked for (steps/min).")
    fastest_spm: float = option(220.0, doc="Highest cadence looked for (steps/min).")
    usual_spm: float = option(105.0, doc="Cadence leaned to where the signal does not decide (steps/min).")
    walking_fastest_spm: float = option(
        150.0, doc="Above this, seconds said to be walking need strong evidence (steps/min)."
    )
    running_slowest_spm: float = option(
        130.0, doc="Below this, seconds said to be running need strong evidence (steps/min)."
    )
    running_usual_spm: float = option(165.0, doc="Cadence leaned to in seconds said to be running (steps/min).")


DEFAULT = CadenceSettings()


def cadence_spm(
    thigh: Float32Array | None,
    back: Float32Array | None,
    walking: BoolArray,
    *,
    rate_hz: float,
    running: BoolArray | None = None,
    settings: CadenceSettings = DEFAULT,
) -> Float32Array:
    """Cadence (S,) in steps/min of each second of `walking` (S,), NaN in all others.

    `thigh`, `back`: (3, n) in g at `rate_hz` from the start of the first second, x along the body, y sideways, z
    forward or backward, NaN where unknown; either may be None. `running` (S,): which of the seconds of `walking` are
    running, the rest being walking or stairs; None where that is not known. For every candidate stride rate f the
    weighted share R2 of a window's power in the harmonics of f is found by least squares (Hann weights, mean and slope
    removed), on x and z of the thigh and x and y of the back, whose odd and even harmonics tell stride from step. The
    stride rates of all seconds together are where this is highest:

        sum over seconds and axes of -EVIDENCE log(1 - R2(f)) - lean(120 f) - cost of changes,

    cadence being 120 f, between grid points from a parabola. The lean keeps a rhythm's half and double apart:
    (log(c / usual) / SPREAD)^2 / 2 for the usual cadence, the same for the cadence c = 100 (SD / sd_g)^(1 / exponent)
    that the strength of the movement would have (STRENGTH_SPREAD, at most STRENGTH_MOST: slow walking is weak
    walking), and BEYOND above `walking_fastest_spm`. Running has a usual cadence of its own, BEYOND below
    `running_slowest_spm`, and nothing from strength. A change costs STEP_COST a grid step, at most JUMP_COST, less
    across a halt and nothing from HALT_S on. Windows stay inside their bout, so that standing beside it does not count.
    A second without movement or without samples on every sensor has NaN. A recording may be cut into stretches that
    overlap by PAD_S.

    Assumes two steps a stride and a rhythm steady over some seconds: at turns and single steps it is a guess near the
    neighbouring seconds. The constants were chosen on the labelled recordings named in analyses/activity_classifier;
    that people walk below some 140 steps/min and run above: Hum Mov Sci 90 (2023), doi 10.1016/j.humov.2023.103117.
    Likeliest sequence: Forney 1973, doi 10.1109/PROC.1973.9030.
    """
    cadence = np.full(len(walking), np.nan, dtype=np.float32)
    second = np.flatnonzero(walking)
    sensors = [(axes, plan) for axes, plan in ((thigh, THIGH), (back, BACK)) if axes is not None]
    if not len(second) or not sensors:
        return cadence
    evidence, strength, moved = _evidence(sensors, walking, rate_hz, settings)
    stride_hz = stride_rates(settings)
    lean = _lean(strength, None if running is None else running[second], settings)
    best = _likeliest(evidence - lean, _coupling(second))
    cadence[second] = np.where(moved, 120.0 * _between(evidence, best, stride_hz), np.nan)
    return cadence


def steps(cadence: npt.NDArray[np.floating], *, second_s: float = 1.0) -> float:
    """Number of steps, cadence (steps/min) integrated over its seconds; unknown seconds add none."""
    return float(np.nansum(np.asarray(cadence, dtype=np.float64)) * second_s / 60.0)


def stride_rates(settings: CadenceSettings) -> FloatArray:
    """The candidate stride rates (F,) in Hz, evenly spaced on the log scale."""
    slowest, fastest = settings.slowest_spm / 120.0, settings.fastest_spm / 120.0
    count = int(np.ceil(np.log(fastest / slowest) / GRID)) + 1
    return np.geomspace(slowest, fastest, count)


def _evidence(
    sensors: list[tuple[Float32Array, Plan]], walking: BoolArray, rate_hz: float, settings: CadenceSettings
) -> tuple[Float32Array, Float32Array, BoolArray]:
    """Of each walking second: log-likelihood (T, F) of each stride rate, log of the cadence in steps/min that the
    strength of its movement would have (T,), and whether anything moved in it (T,).
    """
    block = max(1, round(rate_hz / WORKING_HZ))
    hz = rate_hz / block
    windows = _windows(walking, settings.window_s)
    new = np.diff(windows[0], prepend=-1.0) != 0  # seconds of one short bout, or of a bout's end, share a window
    windows, window_of = windows[:, new], np.cumsum(new) - 1
    evidence = np.zeros((windows.shape[1], len(stride_rates(settings))), dtype=np.float32)
    strength, heard = np.zeros((2, len(evidence)), dtype=np.float32)
    moved = np.zeros(len(evidence), dtype=np.bool_)
    for axes, plan in sensors:
        for rhythm in plan:
            signal = _block_means(axes[rhythm.axis], block)
            basis = _basis(settings, rhythm.harmonics, rhythm.weights, hz)
            for i in range(0, len(evidence), BATCH):
                j = slice(i, i + BATCH)
                share, power = _explained(_cut(signal, windows[:, j], hz, len(basis[0])), basis)
                evidence[j] -= np.float32(EVIDENCE) * np.log1p(-np.minimum(share, np.float32(MOST_EXPLAINED)))
                known = power > NOISE_G**2
                moved[j] |= known
                if rhythm.sd_g is not None:
                    power = np.maximum(power, np.float32(NOISE_G**2))
                    strength[j] += known * np.log(power / np.float32(rhythm.sd_g**2)) / np.float32(2 * rhythm.exponent)
                    heard[j] += known
    strength = np.where(heard > 0, np.log(100.0) + strength / np.maximum(heard, 1), np.nan).astype(np.float32)
    return evidence[window_of], strength[window_of], moved[window_of]


def _lean(strength: Float32Array, running: BoolArray | None, settings: CadenceSettings) -> Float32Array:
    """What is held against each stride rate in each walking second (T, F), before its rhythm is looked at."""
    log_spm = np.log(120.0 * stride_rates(settings))

    def away(usual: npt.ArrayLike, spread: float) -> FloatArray:
        return np.asarray(((log_spm - np.log(usual)) / spread) ** 2 / 2)

    off = (log_spm.astype(np.float32) - strength[:, None]) / np.float32(STRENGTH_SPREAD)
    by_strength = np.minimum(np.nan_to_num(off**2 / 2), np.float32(STRENGTH_MOST))
    lean = by_strength + away(settings.usual_spm, SPREAD).astype(np.float32)
    if running is not None:
        lean[:, log_spm > np.log(settings.walking_fastest_spm) + GRID / 2] += np.float32(BEYOND)
        run = away(settings.running_usual_spm, RUNNING_SPREAD)
        run[log_spm < np.log(settings.running_slowest_spm) - GRID / 2] += BEYOND
        lean[running] = run
    return lean


def _explained(windows: Float32Array, basis: Basis) -> tuple[Float32Array, Float32Array]:
    """Share (w, F) of each window's power in the weighted harmonics of each stride rate, and that power (w,) in g2."""
    taper, trend, waves, width = basis
    inside = (windows != 0) @ (taper**2)
    windows = windows * (taper / np.sqrt(np.sum(taper**2)))
    windows -= (windows @ trend.T) @ trend
    power = np.einsum("ij,ij->i", windows, windows)
    parts = (windows @ waves).reshape(len(windows), -1, width)
    share = np.einsum("ijk,ijk->ij", parts, parts) / (power + np.float32(NOISE_G**2))[:, None]
    return share, power * (np.sum(taper**2) / np.maximum(inside, np.float32(1.0)))


def _windows(walking: BoolArray, window_s: float) -> FloatArray:
    """Centre of each walking second's window, start and stop of its bout: (3, T) in s.

    Windows are moved so as to lie inside the bout; in a bout shorter than the window all share the bout's middle.
    """
    edges = np.flatnonzero(np.diff(walking.astype(np.int8), prepend=0, append=0))
    starts, stops = edges[::2], edges[1::2]
    length = stops - starts
    first, stop = np.repeat(starts, length).astype(np.float64), np.repeat(stops, length).astype(np.float64)
    middle = (first + stop) / 2
    inside = np.clip(np.flatnonzero(walking) + 0.5, first + window_s / 2, np.maximum(stop - window_s / 2, first))
    return np.stack((np.where(stop - first < window_s, middle, inside), first, stop))


def _block_means(signal: Float32Array, block: int) -> Float32Array:
    """Means of every `block` samples, (n // block,)."""
    whole = len(signal) // block * block
    total = np.array(signal[:whole:block], dtype=np.float32)
    for k in range(1, block):
        total += signal[k:whole:block]
    total /= np.float32(block)
    return total


def _cut(signal: Float32Array, windows_s: FloatArray, hz: float, width: int) -> Float32Array:
    """Windows (w, width) about their mean, nought outside their bout and where the signal is not known."""
    centre, first, stop = windows_s
    at = np.round(centre * hz - width / 2).astype(np.int64)[:, None] + np.arange(width)
    time = (at + 0.5) / hz
    margin = np.where(stop - first < width / hz, MARGIN_S, 0.5 / hz)[:, None]
    inside = (time >= first[:, None] - margin) & (time <= stop[:, None] + margin) & (at >= 0) & (at < len(signal))
    windows = signal[np.clip(at, 0, len(signal) - 1)] if len(signal) else np.zeros(at.shape, dtype=np.float32)
    inside &= np.isfinite(windows)
    windows[~inside] = 0.0
    windows -= windows.sum(axis=1, keepdims=True) / np.maximum(inside.sum(axis=1, keepdims=True), 1).astype(np.float32)
    windows[~inside] = 0.0
    return windows


@lru_cache(maxsize=16)
def _basis(settings: CadenceSettings, harmonics: tuple[int, ...], weights: tuple[float, ...], hz: float) -> Basis:
    """Taper (n,), orthonormal mean and slope (2, n), harmonics (n, F 2H) orthogonal for each rate, and 2H."""
    n = round(settings.window_s * hz)
    time = (np.arange(n) - (n - 1) / 2) / hz
    taper = np.cos(np.pi * time / settings.window_s)  # its square, the weight, is Hann's
    trend = np.stack((taper, taper * time))
    blocks = []
    for rate in stride_rates(settings):
        phases = [2 * np.pi * h * rate * time for h in harmonics if h * rate < min(HIGHEST_HZ, 0.45 * hz)]
        waves = [taper * wave for phase in phases for wave in (np.cos(phase), np.sin(phase))]
        block = np.zeros((n, 2 * len(harmonics)))
        block[:, : len(waves)] = np.linalg.qr(np.stack((*trend, *waves), axis=1))[0][:, 2:]
        block *= np.sqrt(np.repeat(weights, 2))
        blocks.append(block)
    waves_of_all = np.concatenate(blocks, axis=1)
    return (
        taper.astype(np.float32),
        np.linalg.qr(trend.T)[0].T.astype(np.float32),
        waves_of_all.astype(np.float32),
        2 * len(harmonics),
    )


def _coupling(second: IntArray) -> Float32Array:
    """How much each walking second has to do with the one before it (T,): 1 next to it, falling to 0 at HALT_S."""
    halt = np.diff(second, prepend=second[0] - HALT_S - 1.0) - 1.0
    return np.clip(1.0 - halt / HALT_S, 0.0, 1.0).astype(np.float32)


def _likeliest(evidence: Float32Array, coupling: Float32Array) -> IntArray:
    """The state of each second (T,) on the likeliest path through evidence (T, F).

    Every state's best path is followed from both sides (max-product), in stretches of CORE seconds that hear OVERLAP
    seconds beyond their ends, all stretches at once.
    """
    total = len(evidence)
    starts = np.arange(0, total, CORE)
    at = starts + np.arange(-OVERLAP, CORE + OVERLAP)[:, None]
    known = (at >= 0) & (at < total)
    at = np.clip(at, 0, total - 1)
    local = np.where(known[..., None], evidence[at], np.float32(0.0))
    tie = coupling[at][..., None]
    ahead = np.zeros_like(local)
    behind = np.zeros_like(local)
    for t in range(1, len(at)):
        ahead[t] = _passed(ahead[t - 1] + local[t - 1], tie[t])
    for t in range(len(at) - 2, -1, -1):
        behind[t] = _passed(behind[t + 1] + local[t + 1], tie[t + 1])
    core = slice(OVERLAP, OVERLAP + CORE)
    best = np.argmax(ahead[core] + local[core] + behind[core], axis=2)
    return best.T.reshape(-1)[:total]


def _passed(message: Float32Array, tie: Float32Array) -> Float32Array:
    """Best score (c, F) of each state after one change: a cost a step, never more than a jump's."""
    highest = message.max(axis=1, keepdims=True)
    out = message - highest
    cost = np.float32(STEP_COST) * tie
    for shift in (1, 2, 4, 8):
        wider = out.copy()
        np.maximum(wider[:, shift:], out[:, :-shift] - shift * cost, out=wider[:, shift:])
        np.maximum(wider[:, :-shift], out[:, shift:] - shift * cost, out=wider[:, :-shift])
        out = wider
    return np.maximum(out, -np.float32(JUMP_COST) * tie)


def _between(evidence: Float32Array, best: IntArray, stride_hz: FloatArray) -> FloatArray:
    """Stride rates (T,) at the top of the parabola through the best state and its neighbours."""
    row, mid = np.arange(len(best)), np.clip(best, 1, len(stride_hz) - 2)
    left, top, right = (evidence[row, mid + k].astype(np.float64) for k in (-1, 0, 1))
    bend = left - 2 * top + right
    shift = np.clip(0.5 * (left - right) / np.where(bend < 0, bend, -np.inf), -0.5, 0.5)
    spacing = np.log(stride_hz[1] / stride_hz[0])
    return np.where(mid == best, stride_hz[mid] * np.exp(spacing * shift), stride_hz[best])
