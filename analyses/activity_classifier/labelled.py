"""Reads HARTH and HAR70+ as published (csv) or as their parquet copies, and varies them for training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from walkrisk.epochs.activities import ACTIVITIES, CODE, Codes
from walkrisk.recordings.calibration import calibrate
from walkrisk.recordings.recording import ArraySource, Blocks, segments_of
from walkrisk.recordings.windows import window_summaries

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

RATE_HZ = 50
LONGEST_HOLE_S = 0.1
UNLABELLED = -1
CSV_CODES = {1: "walking", 2: "running", 3: "shuffling", 4: "stairs", 5: "stairs", 6: "standing", 7: "sitting"}
CSV_CODES |= {8: "lying", 13: "cycling", 14: "cycling", 130: "cycling", 140: "cycling"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One labelled recording on whole seconds: `thigh`, `back` (3, 50 s) in g, NaN in gaps; `labels` (s,), -1 none.

    `origin` is the start of the first second.
    """

    study: str
    subject: str
    thigh: F32
    back: F32
    labels: Labels
    origin: np.datetime64

    @property
    def key(self) -> str:
        return f"{self.study}/{self.subject}"


def merge(codes: Codes) -> Codes:
    """Codes (s,) int8 with stairs as walking and shuffling as standing; -1 (unknown) stays."""
    table = np.arange(-1, len(ACTIVITIES), dtype=np.int8)  # table[code + 1]
    table[CODE["stairs"] + 1], table[CODE["shuffling"] + 1] = CODE["walking"], CODE["standing"]
    return table[codes.astype(np.intp) + 1]


def read_study(folder: Path, study: str) -> list[Person]:
    """Everyone of one study: csv files in `folder`, or parquet files in its thigh/, trunk/ and ground_truth/."""
    if (folder / "thigh").is_dir():
        return [_from_parquet(folder, study, p.stem) for p in sorted((folder / "thigh").glob("*.parquet"))]
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise SystemExit(f"{folder} holds neither *.csv nor thigh/*.parquet; download {study} and give its folder.")
    return [_from_csv(p, study) for p in files]


def _from_parquet(folder: Path, study: str, subject: str) -> Person:
    thigh, back = (pd.read_parquet(folder / site / f"{subject}.parquet") for site in ("thigh", "trunk"))
    truth = pd.read_parquet(folder / "ground_truth" / f"{subject}.parquet")["ground_truth"].astype(str)
    codes = truth.str.replace(r" \(.*", "", regex=True).map(CODE)
    second = codes.index.to_numpy().astype("datetime64[s]")
    axes = ["acc_x", "acc_y", "acc_z"]
    signals = [(f["datetime"].to_numpy(), f[axes].to_numpy(dtype=np.float64).T) for f in (thigh, back)]
    return _person(study, subject, signals, second, codes.to_numpy(dtype=np.int64))


def _from_csv(path: Path, study: str) -> Person:
    """The published layout; its x and y have the other sign, and its labels are one a sample."""
    table = pd.read_csv(path, parse_dates=["timestamp"])
    time = table["timestamp"].to_numpy()
    signs = np.array([[-1.0], [-1.0], [1.0]])
    signals = [(time, signs * table[[f"{s}_{a}" for a in "xyz"]].to_numpy(float).T) for s in ("thigh", "back")]
    median = table.groupby(time.astype("datetime64[s]"))["label"].median().astype(int)
    codes = median.map(CSV_CODES).map(CODE).fillna(UNLABELLED)
    return _person(study, path.stem, signals, codes.index.to_numpy(), codes.to_numpy(dtype=np.int64))


def _person(
    study: str, subject: str, signals: list[tuple[npt.NDArray[np.datetime64], F64]], second: npt.NDArray, codes: Labels
) -> Person:
    origin = signals[0][0][0].astype("datetime64[s]")
    times = [(t - origin) / np.timedelta64(1, "s") for t, _ in signals]
    seconds = int(max(t[-1] for t in times)) + 1
    thigh, back = (_on_grid(t, a, seconds) for t, (_, a) in zip(times, signals, strict=True))
    labels = np.full(seconds, UNLABELLED)
    at = ((second.astype("datetime64[s]") - origin) / np.timedelta64(1, "s")).astype(int)
    labels[at] = codes
    return Person(study=study, subject=subject, thigh=thigh, back=back, labels=labels, origin=origin)


def _on_grid(time_s: F64, axes: F64, seconds: int) -> F32:
    """Linear between samples; NaN where the nearest sample is farther than one period within a hole."""
    grid = np.arange(seconds * RATE_HZ) / RATE_HZ
    after = np.searchsorted(time_s, grid, side="right")
    low, high = np.clip(after - 1, 0, len(time_s) - 1), np.clip(after, 0, len(time_s) - 1)
    distance = np.minimum(np.abs(grid - time_s[low]), np.abs(time_s[high] - grid))
    outside = (grid < time_s[0]) | (grid > time_s[-1])
    missing = ((time_s[high] - time_s[low] > LONGEST_HOLE_S) | outside) & (distance > 0.5 / RATE_HZ)
    out = np.stack([np.interp(grid, time_s, a) for a in axes]).astype(np.float32)
    out[:, missing] = np.nan
    return out


def calibrated(person: Person) -> Person:
    """The same recordings calibrated against gravity, as `walkrisk sensors` does it where it can."""
    return replace(person, thigh=_calibrated(person.thigh), back=_calibrated(person.back))


def _calibrated(axes: F32) -> F32:
    known = np.flatnonzero(np.isfinite(axes[0]))
    none = np.empty(0)
    time_s = known / RATE_HZ
    source = ArraySource(
        origin=np.datetime64("2000-01-01", "ns"),
        rate_hz=float(RATE_HZ),
        time_s=time_s,
        axes_g=axes[:, known],
        segments=segments_of(time_s, rate_hz=RATE_HZ),
        blocks=Blocks(none, none, none, none),
    )
    return calibrate(window_summaries(source)).apply(axes)


def doubtful(labels: Labels) -> npt.NDArray[np.bool_]:
    """Seconds of a label of their own between two different ones: a median of codes may name what nobody did."""
    before, after = np.r_[labels[:1], labels[:-1]], np.r_[labels[1:], labels[-1:]]
    return (labels != before) & (labels != after) & (before != after)


def varied(person: Person, rng: np.random.Generator, *, on_bicycle: bool = False) -> Person:
    """As somebody else, somewhat faster or slower, might have worn the sensors.

    Time is stretched by up to 20 %, each sensor turned by up to 15 degrees about a random axis, its movement made up to
    40 % larger or 30 % smaller, gain and offset changed by up to 3 % and 30 mg, and the back put off by up to 0.3 s.
    For cyclists, of whom there are few, also other saddles and pedalling while standing: time stretched by up to 35 %,
    the thigh 25 degrees nearer to upright to 10 farther from it, the back's movement up to 2.5 times as large.
    """
    factor = float(np.exp(rng.uniform(-0.2, 0.2) * (1.5 if on_bicycle else 1.0)))
    n = person.thigh.shape[1]
    seconds = int(n / RATE_HZ * factor)
    position = (np.arange(seconds * RATE_HZ) + 0.5) / factor - 0.5
    thigh, late = person.thigh, rng.uniform(-0.3, 0.3) * RATE_HZ
    if on_bicycle:
        rise = np.deg2rad(rng.uniform(-10, 25))
        turn = np.array([[np.cos(rise), 0, -np.sin(rise)], [0, 1, 0], [np.sin(rise), 0, np.cos(rise)]])
        thigh = (turn @ thigh).astype(np.float32)
    thigh = _worn_otherwise(thigh, position, rng)
    back = _worn_otherwise(person.back, position + late, rng, largest=0.9 if on_bicycle else 0.35)
    first = np.floor(np.arange(seconds) / factor + 1e-9).astype(int)
    last = np.ceil((np.arange(seconds) + 1) / factor - 1e-9).astype(int) - 1
    first, last = (np.clip(i, 0, len(person.labels) - 1) for i in (first, last))
    same = (person.labels[first] == person.labels[last]) & ~doubtful(person.labels)[first]
    labels = np.where(same, person.labels[first], UNLABELLED)
    return Person(
        study=person.study, subject=person.subject, thigh=thigh, back=back, labels=labels, origin=person.origin
    )


def _worn_otherwise(axes: F32, position: F64, rng: np.random.Generator, *, largest: float = 0.35) -> F32:
    at = np.clip(position, 0, axes.shape[1] - 1.001)
    low = at.astype(int)
    weight = (at - low).astype(np.float32)
    a = axes[:, low] * (1 - weight) + axes[:, low + 1] * weight
    one_second = np.full(RATE_HZ + 1, 1 / (RATE_HZ + 1))
    slow = np.stack([np.convolve(x, one_second, mode="same") for x in np.nan_to_num(a)])
    a = slow + (a - slow) * np.exp(rng.uniform(-0.35, largest))
    a = _rotation(rng, degrees=15.0) @ a
    a = a * (1 + rng.uniform(-0.03, 0.03, (3, 1))) + rng.uniform(-0.03, 0.03, (3, 1))
    return np.asarray(a, dtype=np.float32)


def _rotation(rng: np.random.Generator, *, degrees: float) -> F64:
    """Rotation by up to `degrees` about a random axis (Rodrigues)."""
    x, y, z = (v := rng.normal(size=3)) / np.linalg.norm(v)
    angle = np.deg2rad(rng.uniform(-degrees, degrees))
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k)
