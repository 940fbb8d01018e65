"""What the classifier knows of each second: postures, movement and rhythm of thigh and back around it.

All features of a second come from samples at most `PAD_S` away from it, so a recording may be cut into stretches that
overlap by `PAD_S` without changing any of them beyond float32 rounding.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

RATE_HZ = 50
PAD_S = 35
"""Seconds of signal wanted before and after the seconds that are to be classified."""

LEAST_KNOWN = 0.2  # share of a second's samples
ACTIVE_G = 0.02  # SD over 5 s below which a sensor has no rhythm worth a spectrum
LEAN_G = 0.7  # a back leaning by less than about 45 degrees counts as upright
HALF_SPECTRUM_S = 2  # spectra are over the second and two on either side
FREQUENCIES_HZ = np.arange(0.4, 8.01, 0.2)
LAGS_S = np.arange(0.3, 2.01, 0.05)
BANDS_HZ = ((0.3, 0.7), (0.7, 1.1), (1.1, 1.5), (1.5, 1.9), (1.9, 2.5), (2.5, 3.5), (3.5, 5.1), (5.1, 8.1))

SECOND = [
    "mean_x",
    "mean_y",
    "mean_z",
    "incline",
    "pitch",
    "sd_x",
    "sd_y",
    "sd_z",
    "sd_vm",
    "max_vm",
    "min_vm",
    "jerk",
    "range_x",
    "range_y",
    "range_z",
    "swing",
    "turn",
    "smooth",
]
NEAR = ("incline", "sd_x", "sd_vm", "swing")  # whose neighbouring seconds are features as well
FAR = ("incline", "pitch", "sd_vm", "swing", "smooth")  # summarised over 15, 31 and 61 s
SHIFTS = (-3, -2, -1, 1, 2, 3)


def second_features(thigh: F32 | None, back: F32 | None, rate_hz: float = RATE_HZ) -> F32:
    """Features (s, p) of the s whole seconds of a stretch, from one or both sensors.

    `thigh` and `back` are (3, 50 s) in g on the common 50 Hz grid and in the canonical frame (x +1 g upright, thigh z
    -1 g seated), NaN where there is no sample. A second with less than a fifth of its samples from either given sensor
    has NaN features; smaller holes are held from the nearest samples. Columns are `feature_names(kind)`.
    """
    if rate_hz != RATE_HZ:
        raise ValueError(f"features are defined on a {RATE_HZ} Hz grid, not on {rate_hz:g} Hz")
    sites = [site for site, a in (("thigh", thigh), ("back", back)) if a is not None]
    sensors = [a for a in (thigh, back) if a is not None]
    if not sensors:
        raise ValueError("give the signal of the thigh, of the back, or of both")
    seconds = [_whole_seconds(a) for a in sensors]
    known = np.logical_and.reduce([k for _, k in seconds])
    columns: list[F32] = []
    postures = []
    for site, (a, _) in zip(sites, seconds, strict=True):
        own = _sensor_features(np.where(known[None, :, None], a, np.float32(0)), known, signed=site == "thigh")
        columns += own
        postures.append(own)
    if len(postures) == 2:
        columns += _pair_features(postures[0], postures[1])
    out = np.stack(columns, axis=1)
    out[~known] = np.nan
    return out


def feature_names(kind: str) -> tuple[str, ...]:
    """Names of the columns of `second_features` for "thigh+back", "thigh" or "back"."""
    sites = kind.split("+")
    names = [f"{site}_{n}" for site in sites for n in _sensor_names(signed=site == "thigh")]
    if len(sites) == 2:
        names += [f"pair_{n}" for n in ("incline", "pitch", "sd", "lying", "jerk", "sd_5s", "jerk_5s")]
        names += [*(f"pair_{low:g}Hz" for low, _ in BANDS_HZ), "pair_peak_hz"]
    return tuple(names)


def _sensor_names(*, signed: bool) -> list[str]:
    names = list(SECOND)
    names += [
        f"{n}_5s"
        for n in (
            "mean_x",
            "mean_y",
            "mean_z",
            "sd_x",
            "sd_y",
            "sd_z",
            "sd_vm",
            "xy",
            "xz",
            "yz",
            "jerk",
            "smooth",
            "pitch",
        )
    ]
    names += [f"{n}_{d:+d}s" for n in NEAR for d in SHIFTS]
    names += [f"{n}_{w}" for n in FAR for w in ("mean_15s", "min_15s", "max_15s", "mean_31s", "mean_61s")]
    for channel in ("all", "vm"):
        names += [f"{channel}_{low:g}Hz" for low, _ in BANDS_HZ]
        names += [f"{channel}_{n}" for n in ("power", "peak_hz", "peak", "centroid_hz", "step", "step_s", "stride")]
    names += ["skew_5s", "kurtosis_5s"]
    if signed:
        names += ["low_5s", "high_5s", "low_15s", "high_15s"]
    return names


def _whole_seconds(axes: F32) -> tuple[F32, Bools]:
    """(3, s, 50) with small holes held from their nearest samples, and which seconds (s,) have enough samples."""
    if axes.ndim != 2 or axes.shape[0] != 3 or axes.shape[1] % RATE_HZ:
        raise ValueError(f"a stretch is (3, {RATE_HZ} s) of whole seconds, not {axes.shape}")
    a = np.asarray(axes, dtype=np.float32).reshape(3, -1, RATE_HZ)
    hole = np.isnan(a.sum(axis=0))
    holes = hole.sum(axis=1)
    known = _enough(holes)
    partly = np.flatnonzero(known & (holes > 0))
    if len(partly):
        a = a.copy()
        at = np.arange(RATE_HZ)
        for i in partly:
            good = np.flatnonzero(~hole[i])
            a[:, i] = a[:, i][:, good[np.abs(at[:, None] - good).argmin(axis=1)]]
    return a, known


def known_seconds(axes: F32) -> Bools:
    """Seconds (s,) with enough samples (3, 50 s) for features."""
    return _enough(np.isnan(axes[0]).reshape(-1, RATE_HZ).sum(axis=1))


def _enough(holes: npt.NDArray[np.intp]) -> Bools:
    return np.asarray(holes <= RATE_HZ * (1 - LEAST_KNOWN))


def _sensor_features(a: F32, known: Bools, *, signed: bool) -> list[F32]:
    """Columns of one sensor; `signed` where front and rear are told apart (a back sensor may sit inside out)."""
    vm = np.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])
    ten = np.matmul(_averager(10).T, a.transpose(0, 2, 1))  # (3, 10, s): low-passed to about 4 Hz
    second = _second_columns(a, vm, ten)
    five = _five_seconds(a, vm, second, known, signed=signed)
    shape = _shape(vm, known)
    if signed:
        shape += _flexion(ten, known)
    second[:, 1] = np.abs(second[:, 1])
    if not signed:
        second[:, 0:5] = _far_leaning(*second[:, 0:5].T)
    columns = [second[:, i] for i in range(len(SECOND))] + five
    filled = _hold(second, known)
    for name in NEAR:
        columns += [_shift(filled[:, SECOND.index(name)], d) for d in SHIFTS]
    columns += _far(second, known)
    active = (five[3] ** 2 + five[4] ** 2 + five[5] ** 2 > ACTIVE_G**2) & known
    columns += _spectra(a, vm, known, active)
    return columns + shape


def _second_columns(a: F32, vm: F32, ten: F32) -> F32:
    """The SECOND columns (s, 18): each of one second alone."""
    mean = ten.mean(axis=1)
    centred = a - mean[:, :, None]
    sd = np.sqrt(np.einsum("aij,aij->ai", centred, centred) / RATE_HZ)
    level = vm.mean(axis=1)
    off = vm - level[:, None]
    sd_vm = np.sqrt(np.einsum("ij,ij->i", off, off) / RATE_HZ)
    step = a[:, :, 1:] - a[:, :, :-1]
    jerk = np.sqrt(np.einsum("aij,aij->i", step, step) / (RATE_HZ - 1))
    spread = ten.max(axis=1) - ten.min(axis=1)
    side = np.sqrt(ten[1] ** 2 + ten[2] ** 2)
    incline = np.arctan2(side, ten[0])
    pitch = np.arctan2(mean[2], mean[0])
    swing = incline.max(axis=0) - incline.min(axis=0)
    turn = np.abs(np.diff(incline, axis=0)).mean(axis=0)
    smooth = jerk / np.sqrt(np.float32(1e-4) + (sd * sd).sum(axis=0))
    rows = [
        *mean,
        incline.mean(axis=0),
        pitch,
        *sd,
        sd_vm,
        vm.max(axis=1),
        vm.min(axis=1),
        jerk,
        *spread,
        swing,
        turn,
        smooth,
    ]
    return np.stack(rows, axis=1).astype(np.float32, copy=False)


def _shape(vm: F32, known: Bools) -> list[F32]:
    """Skewness and kurtosis over 5 s of the vector magnitude about its mean of each second: heel strikes are peaks."""
    off = vm - vm.mean(axis=1)[:, None]
    square = off * off
    moments = [square.sum(axis=1), np.einsum("ij,ij->i", square, off), np.einsum("ij,ij->i", square, square)]
    each = np.asarray(np.stack(moments, axis=1) / np.float32(RATE_HZ), dtype=np.float32)
    m = _moving_mean(each, 2, known)
    variance = m[:, 0] + np.float32(1e-4)
    return [m[:, 1] / variance**1.5, m[:, 2] / variance**2]


def _flexion(ten: F32, known: Bools) -> list[F32]:
    """Least and greatest angle of the thigh over 5 s, and means of these over 15 s: on a bicycle it stays in front."""
    angle = np.arctan2(ten[2], ten[0])
    low = np.where(known, angle.min(axis=0), np.float32(np.inf))[:, None]
    high = np.where(known, angle.max(axis=0), np.float32(-np.inf))[:, None]
    five = np.concatenate([_moving_extreme(low, 2, np.minimum), _moving_extreme(high, 2, np.maximum)], axis=1)
    return [*five.T, *_moving_mean(five, 7, known).T]


def _averager(k: int) -> F32:
    """(50, k) matrix that averages a second into k equal parts."""
    return np.kron(np.eye(k), np.full((RATE_HZ // k, 1), k / RATE_HZ)).astype(np.float32)


def _far_leaning(x: F32, y: F32, z: F32, incline: F32, pitch: F32) -> F32:
    """Postures (s, 5) of a back, without front and rear and without leans of less than LEAN_G.

    Small leans tell a person's build, attachment or bicycle rather than what they do, and few people were observed.
    """
    low, angle = np.float32(LEAN_G), np.float32(np.arccos(LEAN_G))
    sides = [np.maximum(np.abs(c), low) for c in (y, z)]
    return np.stack([np.minimum(x, low), *sides, *(np.maximum(np.abs(c), angle) for c in (incline, pitch))], axis=1)


def _five_seconds(a: F32, vm: F32, second: F32, known: Bools, *, signed: bool) -> list[F32]:
    """Means, SDs and correlations over the second and two on either side."""
    mean, sd = second[:, 0:3], second[:, 5:8]
    cross = np.stack([np.einsum("ij,ij->i", a[p], a[q]) / RATE_HZ for p, q in ((0, 1), (0, 2), (1, 2))], axis=1)
    level = vm.mean(axis=1)[:, None]
    parts = [mean, sd**2 + mean**2, second[:, 8:9] ** 2 + level**2, level, cross, second[:, 11:12]]
    m = _moving_mean(np.concatenate(parts, axis=1), 2, known)
    mu, var = m[:, 0:3], np.maximum(m[:, 3:6] - m[:, 0:3] ** 2, 1e-8)
    sd_vm = np.sqrt(np.maximum(m[:, 6] - m[:, 7] ** 2, 0))
    pairs = ((0, 1), (0, 2), (1, 2))
    r = [(m[:, 8 + i] - mu[:, p] * mu[:, q]) / np.sqrt(var[:, p] * var[:, q]) for i, (p, q) in enumerate(pairs)]
    smooth = m[:, 11] / np.sqrt(var.sum(axis=1) + np.float32(1e-4))
    front = [mu[:, 2], r[1], np.arctan2(mu[:, 2], mu[:, 0])]
    z, xz, pitch = front
    x, y = mu[:, 0], np.abs(mu[:, 1])
    if not signed:
        xz = np.abs(xz)
        x, y, z, _, pitch = _far_leaning(x, y, z, pitch, pitch).T
    spread = np.sqrt(var).T
    return [x, y, z, *spread, sd_vm, np.abs(r[0]), xz, np.abs(r[2]), m[:, 11], smooth, pitch]


def _far(second: F32, known: Bools) -> list[F32]:
    """Mean, least and greatest over 15 s and means over 31 and 61 s of the FAR columns."""
    x = second[:, [SECOND.index(n) for n in FAR]]
    m15, m31 = _moving_mean(x, 7, known), _moving_mean(x, 15, known)
    low = _moving_extreme(np.where(known[:, None], x, np.float32(np.inf)), 7, np.minimum)
    high = _moving_extreme(np.where(known[:, None], x, np.float32(-np.inf)), 7, np.maximum)
    m61 = _moving_mean(x, 30, known)
    return [c[:, i] for i in range(len(FAR)) for c in (m15, low, high, m31, m61)]


def _pair_features(thigh: list[F32], back: list[F32]) -> list[F32]:
    """How the two postures, the two amounts of movement and the two rhythms compare."""
    names = _sensor_names(signed=False)  # with which those of the thigh begin

    def own(sensor: list[F32], name: str) -> F32:
        return sensor[names.index(name)]

    def ratio(name: str) -> F32:
        least = np.float32(0.005)
        return np.log((own(thigh, name) + least) / (own(back, name) + least))

    def power(sensor: list[F32]) -> F32:
        least = np.float32(1e-5)
        shares = np.stack([own(sensor, f"all_{low:g}Hz") for low, _ in BANDS_HZ])
        return np.log(shares * np.exp(own(sensor, "all_power")) + least)

    apart = [own(thigh, n) - own(back, n) for n in ("incline", "pitch")]
    lying = np.minimum(own(thigh, "incline"), own(back, "incline"))
    amounts = [ratio("sd_vm"), lying, ratio("jerk"), ratio("sd_vm_5s"), ratio("jerk_5s")]
    rhythm = own(thigh, "all_peak_hz") - own(back, "all_peak_hz")
    return [*apart, *amounts, *(power(thigh) - power(back)), rhythm]


def _shift(x: F32, d: int) -> F32:
    """Row i holds what row i + d had; the ends repeat the first and last row."""
    i = np.clip(np.arange(len(x)) + d, 0, len(x) - 1)
    return x[i]


def _hold(x: F32, known: Bools) -> F32:
    """Unknown rows replaced by the last known row, or by the first one at the start."""
    if known.all() or not known.any():
        return x
    last = np.maximum.accumulate(np.where(known, np.arange(len(x)), -1))
    return x[np.where(last < 0, np.flatnonzero(known)[0], last)]


def _padded(x: F32, half: int, value: float) -> F32:
    edge = np.full((half, *x.shape[1:]), value, dtype=np.float32)
    return np.concatenate([edge, x, edge])


def _moving_mean(x: F32, half: int, known: Bools) -> F32:
    """Mean (s, c) over the known seconds within `half` of each; summed in a fixed order, whatever the cut."""
    stacked = np.concatenate([np.where(known[:, None], x, np.float32(0)), known[:, None].astype(np.float32)], axis=1)
    p, n = _padded(stacked, half, 0.0), len(x)
    total = p[:n].copy()
    for d in range(1, 2 * half + 1):
        total += p[d : d + n]
    return np.asarray(total[:, :-1] / np.maximum(total[:, -1:], 1), dtype=np.float32)


def _moving_extreme(x: F32, half: int, pick: np.ufunc) -> F32:
    p, n = _padded(x, half, np.inf if pick is np.minimum else -np.inf), len(x)
    best = p[:n].copy()
    for d in range(1, 2 * half + 1):
        pick(best, p[d : d + n], out=best)
    return best


def _spectra(a: F32, vm: F32, known: Bools, active: Bools) -> list[F32]:
    """Band powers, peak and periodicity over 5 s of all axes together and of the vector magnitude."""
    rows = np.flatnonzero(active)
    width = len(BANDS_HZ) + 7
    out = np.zeros((len(active), 2 * width), dtype=np.float32)
    if len(rows):
        power = [_power(channel @ _averager(25), known, rows) for channel in (*a, vm)]
        for i, p in enumerate((power[0] + power[1] + power[2], power[3])):
            out[rows, i * width : (i + 1) * width] = _rhythm(p)
    return list(out.T)


def _power(x: F32, known: Bools, rows: npt.NDArray[np.intp]) -> F32:
    """Power (r, f) at FREQUENCIES_HZ of Hann-weighted 5-s windows around `rows` of x (s, 25), mean removed."""
    h, k = HALF_SPECTRUM_S, x.shape[1]
    level = _moving_mean(x.mean(axis=1, keepdims=True), h, known)[rows]
    window = _padded(x, h, 0.0)[rows[:, None] + np.arange(2 * h + 1)]  # (r, 5, 25)
    there = _padded(known.astype(np.float32)[:, None], h, 0.0)[rows[:, None] + np.arange(2 * h + 1), 0]
    window -= level[:, :, None]
    window *= there[:, :, None]
    out = window.reshape(len(rows), -1) @ _basis(k * (2 * h + 1), k)
    f = len(FREQUENCIES_HZ)
    result: F32 = out[:, :f] ** 2 + out[:, f:] ** 2
    return result


def _basis(n: int, rate: int) -> F32:
    """(n, 2 f) Hann-weighted cosines and sines, scaled so that a sine of amplitude A has power A**2 / 2."""
    t = (np.arange(n) + 0.5) / rate
    hann = np.sin(np.pi * t * rate / n) ** 2
    phase = 2 * np.pi * t[:, None] * FREQUENCIES_HZ
    both = np.concatenate([np.cos(phase), np.sin(phase)], axis=1) * hann[:, None]
    return np.asarray(both * np.sqrt(2) / hann.sum(), dtype=np.float32)


def _rhythm(power: F32) -> F32:
    """Shares of the bands, then power, peak, centroid and autocorrelation at step and stride lags (r, 15)."""
    f = FREQUENCIES_HZ.astype(np.float32)
    total = power.sum(axis=1) + np.float32(1e-9)
    share = power / total[:, None]
    inside = [(f >= low) & (f < high) for low, high in BANDS_HZ]
    bands = (share @ np.stack(inside, axis=1).astype(np.float32)).T
    top = share.argmax(axis=1)
    r = share @ np.cos(2 * np.pi * FREQUENCIES_HZ[:, None] * LAGS_S).astype(np.float32)
    early, late = r[:, LAGS_S < 0.8], r[:, LAGS_S >= 0.8]
    best = early.argmax(axis=1)
    lag = LAGS_S.astype(np.float32)[best]
    columns = [*bands, np.log(total), f[top], share.max(axis=1), share @ f, early.max(axis=1), lag, late.max(axis=1)]
    return np.stack(columns, axis=1)
