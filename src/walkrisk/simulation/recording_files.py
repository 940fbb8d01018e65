"""One device's file from what it felt: sampled at its own rate, stamped by its own clock, damaged as declared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from walkrisk.simulation.cwa_writer import Notes, Sectors, Setup, anchor, damage, header, sectors
from walkrisk.simulation.recording_devices import DAY_S, REFERENCE_C, DeviceTruth, temperature
from walkrisk.simulation.recording_signal import Course, Float32, Pools, felt

FloatArray = npt.NDArray[np.float64]
CHUNK = 1000  # sectors made at once: 40 minutes at 50 Hz
Ticked = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stint:
    """A run of sectors without a restart: true time of its first sample, and how many sectors it has."""

    start_s: float
    sectors: int


@dataclass(slots=True, kw_only=True)
class Written:
    """What was put into a file: whole sectors, and where the faults came to lie (sector numbers from 0)."""

    sectors: int = 0
    samples: int = 0
    corrupt: list[int] = field(default_factory=list)
    gaps: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """All that is needed to write one device's file."""

    device: DeviceTruth
    setup: Setup
    clock_zero: np.datetime64
    course: Course
    pools: Pools
    still: dict[int, FloatArray]
    noise_g: float


def device_clock(work: Work, true_s: FloatArray) -> npt.NDArray[np.datetime64]:
    """What the device's clock shows (datetime64[ns]) at true seconds after the start."""
    device = work.device
    shown = true_s * (1 + device.drift_s_per_day / DAY_S) + device.offset_s
    return work.clock_zero + np.rint(shown * 1e9).astype(np.int64).astype("timedelta64[ns]")


def stints(device: DeviceTruth, samples: int, seconds: float) -> tuple[Stint, ...]:
    """The whole sectors that fit: one run, or two with a standstill between."""
    length = samples / device.rate_hz
    if device.trouble.restart is None:
        return (Stint(start_s=0.0, sectors=int(seconds / length)),)
    halt, again = device.trouble.restart
    return (
        Stint(start_s=0.0, sectors=int(halt / length)),
        Stint(start_s=again, sectors=int((seconds - again) / length)),
    )


def write_recording(path: Path, work: Work, rng: np.random.Generator, ticked: Ticked) -> Written:
    """Write the file, a chunk of sectors at a time, and say what it holds."""
    seconds = len(work.course.plan)
    made = Written()
    worn = work.device.worn(seconds)
    runs = stints(work.device, work.setup.samples, seconds)
    garbage = _garbage(work.device.trouble.corrupt_sectors, sum(run.sectors for run in runs), rng)
    warmth = temperature(worn, rng)
    with path.open("wb") as file:
        file.write(header(work.setup))
        for number, run in enumerate(runs):
            if number:
                before = runs[0].start_s + runs[0].sectors * work.setup.samples / work.device.rate_hz
                _note_gap(made, work, "restart", before, run.start_s)
            for first in range(0, run.sectors, CHUNK):
                count = min(CHUNK, run.sectors - first)
                blocks = _chunk(work, run, first, count, worn, warmth, rng, resumed=number > 0 and first == 0)
                _write(file, blocks, work, run, first, garbage, made, rng)
                ticked((run.start_s + (first + count) * work.setup.samples / work.device.rate_hz) / seconds)
        if work.device.trouble.truncated_bytes and made.sectors:
            file.truncate(file.tell() - work.device.trouble.truncated_bytes)
            made.sectors -= 1
            made.samples -= work.setup.samples
            made.corrupt = [i for i in made.corrupt if i < made.sectors]
    return made


def _garbage(wanted: int, of: int, rng: np.random.Generator) -> set[int]:
    if not wanted or not of:
        return set()
    return {int(i) for i in rng.choice(of, min(wanted, of), replace=False)}


def _note_gap(made: Written, work: Work, kind: str, start_s: float, stop_s: float) -> None:
    shown = device_clock(work, np.array([start_s, stop_s]))
    made.gaps.append(
        {
            "kind": kind,
            "true_s": [start_s, stop_s],
            "device_clock": [str(t) for t in shown],
            "after_sector": made.sectors - 1,
        }
    )


def _chunk(
    work: Work,
    run: Stint,
    first: int,
    count: int,
    worn: npt.NDArray[np.bool_],
    warmth: FloatArray,
    rng: np.random.Generator,
    *,
    resumed: bool,
) -> Sectors:
    """Sectors `first` to `first + count` of a run, before any damage."""
    setup, rate = work.setup, work.device.rate_hz
    k = first * setup.samples + np.arange(count * setup.samples)
    true_s = run.start_s + k / rate
    counts = _counts(work, true_s, worn, warmth, rng)
    index = anchor(first, count, setup.samples)
    stamped = run.start_s + (np.arange(first, first + count) * setup.samples + index) / rate
    middle = true_s[setup.samples // 2 :: setup.samples]
    on = worn[np.minimum(middle.astype(np.int64), len(worn) - 1)]
    notes = Notes(
        temperature_c=np.interp(middle / 60, np.arange(len(warmth)), warmth),
        battery_v=4.15 - 0.03 * middle / DAY_S,
        light=np.where(on, 60, 250) + rng.integers(0, 20, count),
    )
    return sectors(
        setup,
        counts,
        device_clock(work, stamped),
        anchor_index=index,
        first_sequence=first,
        notes=notes,
        resumed=resumed,
    )


def _counts(
    work: Work, true_s: FloatArray, worn: npt.NDArray[np.bool_], warmth: FloatArray, rng: np.random.Generator
) -> npt.NDArray[np.int16]:
    """What the device measures at true times (n,), in whole counts, sector by sector (m, samples, 3)."""
    device, setup = work.device, work.setup
    body = felt(work.course, device.site, true_s, work.pools, rng, noise_g=work.noise_g)
    turned = device.rotation.astype(np.float32) @ body
    _lay_down(turned, work, true_s, worn, rng)
    warm = (np.interp(true_s / 60, np.arange(len(warmth)), warmth) - REFERENCE_C).astype(np.float32)
    scale = setup.counts_per_g
    highest = 8 * scale - 1
    out = np.empty((len(true_s), 3), dtype=np.int16)
    for axis in range(3):
        measured = turned[axis] * np.float32(device.gain[axis] * scale)
        measured += np.float32(device.temperature_g_per_c[axis] * scale) * warm
        measured += np.float32(device.offset_g[axis] * scale)
        out[:, axis] = np.clip(np.rint(measured), -8 * scale, highest)
    return out.reshape(-1, setup.samples, 3)


def _lay_down(
    turned: Float32, work: Work, true_s: FloatArray, worn: npt.NDArray[np.bool_], rng: np.random.Generator
) -> None:
    """Where the device is off the body, it lies still in some direction, with nothing but its own noise."""
    second = np.minimum(true_s.astype(np.int64), len(worn) - 1)
    off = np.flatnonzero(~worn[second])
    if not len(off):
        return
    starts = np.array(sorted(work.still), dtype=np.int64)
    directions = np.stack([work.still[int(start)] for start in starts], axis=1).astype(np.float32)
    at = np.searchsorted(starts, second[off], side="right") - 1
    noise = np.float32(work.noise_g) * rng.standard_normal((3, len(off)), dtype=np.float32)
    turned[:, off] = directions[:, at] + noise


def _write(
    file: BinaryIO,
    blocks: Sectors,
    work: Work,
    run: Stint,
    first: int,
    garbage: set[int],
    made: Written,
    rng: np.random.Generator,
) -> None:
    """Append a chunk without the sectors that are missing and with garbage in those that are corrupt."""
    length = work.setup.samples / work.device.rate_hz
    start: FloatArray = run.start_s + np.arange(first, first + len(blocks), dtype=np.float64) * length
    keep = np.ones(len(blocks), dtype=bool)
    if work.device.trouble.missing is not None:
        lost_from, lost_to = work.device.trouble.missing
        keep = ~((start >= lost_from) & (start < lost_to))
        _note_missing(made, work, start, keep, length)
    kept = blocks[keep]
    bad = np.array([made.sectors + i in garbage for i in range(len(kept))], dtype=bool)
    if bad.any():
        spoilt = kept[bad]
        damage(spoilt, rng)
        kept[bad] = spoilt
        made.corrupt += [made.sectors + int(i) for i in np.flatnonzero(bad)]
    file.write(kept.tobytes())
    made.sectors += len(kept)
    made.samples += len(kept) * work.setup.samples


def _note_missing(made: Written, work: Work, start: FloatArray, keep: npt.NDArray[np.bool_], length: float) -> None:
    lost = np.flatnonzero(~keep)
    if not len(lost):
        return
    begin, end = float(start[lost[0]]), float(start[lost[-1]] + length)
    if made.gaps and made.gaps[-1]["kind"] == "missing":  # it goes on from the chunk before
        begin, at = made.gaps[-1]["true_s"][0], made.gaps.pop()["after_sector"]
    else:
        at = made.sectors + int(lost[0]) - 1
    _note_gap(made, work, "missing", begin, end)
    made.gaps[-1]["after_sector"] = at
