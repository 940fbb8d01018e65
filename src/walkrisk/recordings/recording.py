"""What a raw recording is to the rest of walkrisk, whatever device or file it came from.

Times are seconds on the device's own clock since `origin` (a calendar midnight of that clock), so that float64 holds a
week to better than a nanosecond. Accelerations are (3, n) float32 in g, one contiguous row an axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
AxesArray = npt.NDArray[np.float32]
SECOND = np.timedelta64(1, "s")


@dataclass(frozen=True, slots=True)
class Device:
    """The instrument, as far as it may be named: never whom it was worn by."""

    maker: str = ""
    model: str = ""
    serial: int | None = None
    session: int | None = None
    firmware: int | None = None
    range_g: float | None = None
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Blocks:
    """What the device notes once a block of samples; all arrays are (b,), missing values NaN."""

    time_s: FloatArray
    temperature_c: FloatArray
    battery_v: FloatArray
    light: FloatArray


@dataclass(frozen=True, slots=True)
class Quality:
    """What was found while reading: counts by name, and a sentence for each thing a person should know."""

    counts: Mapping[str, int] = field(default_factory=dict)
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Samples:
    """A stretch of good samples: `time_s` (n,), strictly increasing, and `axes_g` (3, n)."""

    time_s: FloatArray
    axes_g: AxesArray


class Source(Protocol):
    """An opened recording that hands out its samples a stretch at a time, so that memory stays bounded."""

    @property
    def origin(self) -> np.datetime64:
        """Midnight (datetime64[ns]) of the device clock's first day; `time_s` counts from here."""
        ...

    @property
    def rate_hz(self) -> float:
        """Nominal sampling rate."""
        ...

    @property
    def segments(self) -> FloatArray:
        """(k, 2) stretches [start_s, stop_s) without a gap, in order; between them nothing is known."""
        ...

    @property
    def blocks(self) -> Blocks: ...

    @property
    def device(self) -> Device: ...

    @property
    def site(self) -> str:
        """Where the file says it was worn: "thigh", "back" or "" (not said)."""
        ...

    @property
    def configured(self) -> np.datetime64 | None:
        """Device-clock time at which the device was set up, where the file says so."""
        ...

    @property
    def quality(self) -> Quality: ...

    def samples(self, start_s: float, stop_s: float) -> Samples:
        """All good samples with start_s <= time_s < stop_s (possibly none)."""
        ...


@dataclass(frozen=True, slots=True)
class ArraySource:
    """A recording held in memory, from `time_s` (n,) and `axes_g` (3, n)."""

    origin: np.datetime64
    rate_hz: float
    time_s: FloatArray
    axes_g: AxesArray
    segments: FloatArray
    blocks: Blocks
    device: Device = field(default_factory=Device)
    site: str = ""
    configured: np.datetime64 | None = None
    quality: Quality = field(default_factory=Quality)

    def samples(self, start_s: float, stop_s: float) -> Samples:
        """Views of the samples with start_s <= time_s < stop_s."""
        i, j = np.searchsorted(self.time_s, [start_s, stop_s], side="left")
        return Samples(self.time_s[i:j], self.axes_g[:, i:j])


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole recording in memory.

    `time` (n,) datetime64[ns] on the device's clock; `acceleration_g` (n, 3); `temperature_c` (n,), NaN where unknown;
    `rate_hz` nominal. `device` and `quality` as in `Source`.
    """

    time: npt.NDArray[np.datetime64]
    acceleration_g: AxesArray
    rate_hz: float
    temperature_c: AxesArray
    device: Device
    site: str
    quality: Quality


def stretches(source: Source, *, hours: float = 2.0, pad_s: float = 0.0) -> Iterator[tuple[float, float, Samples]]:
    """(start_s, stop_s, samples) over the recording on whole multiples of `hours`, samples reaching `pad_s` beyond."""
    if not len(source.segments):
        return
    step = hours * 3600.0
    first, last = float(source.segments[0, 0]), float(source.segments[-1, 1])
    for k in range(int(first // step), int(last // step) + 1):
        start, stop = k * step, (k + 1) * step
        yield start, stop, source.samples(start - pad_s, stop + pad_s)


def segments_of(time_s: FloatArray, *, rate_hz: float, gap_s: float = 0.5) -> FloatArray:
    """(k, 2) gap-free stretches of increasing sample times; a gap is a step above `gap_s`; each ends one sample on."""
    if not len(time_s):
        return np.empty((0, 2))
    cut = np.flatnonzero(np.diff(time_s) > gap_s)
    starts = time_s[np.concatenate(([0], cut + 1))]
    stops = time_s[np.concatenate((cut, [len(time_s) - 1]))] + 1.0 / rate_hz
    return np.column_stack((starts, stops))
