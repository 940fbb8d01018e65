"""Axivity .cwa recordings (AX3, AX6) as a Source: opened by an index of their blocks, decoded a stretch at a time.

The gyroscope and magnetometer of an AX6 are passed over. Nothing is filled in: where blocks are missing or damaged the
recording has a gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from io import FileIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from walkrisk.errors import RecordingFault
from walkrisk.recordings import axivity_format as cwa
from walkrisk.recordings.axivity_decode import Sectors, decode
from walkrisk.recordings.axivity_format import capacity
from walkrisk.recordings.axivity_index import CHUNK, IntArray, SectorIndex, index_sectors
from walkrisk.recordings.axivity_order import Order, layouts, order_blocks
from walkrisk.recordings.axivity_report import nothing_in, quality_of
from walkrisk.recordings.axivity_timing import Knots, fit_knots, sample_times
from walkrisk.recordings.recording import AxesArray, Blocks, Device, FloatArray, Quality, Samples

_HEAD = cwa.HEADER_BYTES + 64 * cwa.SECTOR
_OLD_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where the samples of a file are: `position` (b,) of its blocks in the order of time and how they are laid out.

    `first_sample` (b + 1,) counts samples over all blocks, `segment_row` (k + 1,) blocks over all segments, and `knots`
    give the times of each segment's samples.
    """

    first_byte: int
    position: IntArray
    first_sample: IntArray
    packing: IntArray
    unit_g: FloatArray
    segment_row: IntArray
    knots: tuple[Knots, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CwaSource:
    """An opened .cwa file, its blocks in the order of time; see `Source`.

    `bad_blocks` are the positions in the file (0 = first sector after the header) of sectors that were not used because
    their checksum fails or they cannot be a block.
    """

    path: Path = field(repr=False)  # a file's name may tell who wore the device
    origin: np.datetime64
    rate_hz: float
    segments: FloatArray
    blocks: Blocks
    device: Device
    site: str
    configured: np.datetime64 | None
    quality: Quality
    bad_blocks: tuple[int, ...]
    store: Store

    def samples(self, start_s: float, stop_s: float) -> Samples:
        """All good samples with start_s <= time_s < stop_s, decoded from the blocks that hold them.

        Raises RecordingFault where the file can no longer be read as it was opened.
        """
        spans = list(self._spans(start_s, stop_s))
        edge = self.store.first_sample
        total = sum(int(edge[j] - edge[i]) for _, i, j in spans)
        time_s, axes_g = np.empty(total), np.empty((3, total), np.float32)
        kept: list[slice] = []
        at = 0
        with self.path.open("rb", buffering=0) as file:
            for segment, i, j in spans:
                n = int(edge[j] - edge[i])
                _decode(file, self.store, i, j, axes_g[:, at : at + n])
                first = int(edge[i] - edge[self.store.segment_row[segment]])
                times = sample_times(self.store.knots[segment], first, first + n)
                low, high = np.searchsorted(times, [start_s, min(stop_s, self.segments[segment, 1])], side="left")
                time_s[at : at + n] = times
                kept.append(slice(at + int(low), at + int(high)))
                at += n
        return _joined(time_s, axes_g, kept)

    def _spans(self, start_s: float, stop_s: float) -> Iterator[tuple[int, int, int]]:
        """(segment, first row, row past the last) of the blocks that may hold samples of a stretch."""
        first = int(np.searchsorted(self.segments[:, 1], start_s, side="right"))
        last = int(np.searchsorted(self.segments[:, 0], stop_s, side="left"))
        for segment in range(first, last):
            low, high = self.store.segment_row[segment : segment + 2].tolist()
            starts = self.blocks.time_s[low:high]
            i = low + max(int(np.searchsorted(starts, start_s, side="right")) - 1, 0)
            j = low + int(np.searchsorted(starts, stop_s, side="left"))
            if j > i:
                yield segment, i, j


def _decode(file: FileIO, store: Store, i: int, j: int, out: AxesArray) -> None:
    """Accelerations of rows i .. j - 1, which are of one layout, into `out` (3, samples)."""
    fits = int(capacity(store.packing[i : i + 1])[0])
    packing, unit = int(store.packing[i]), float(store.unit_g[i])
    buffer = np.empty((min(CHUNK, j - i), cwa.SECTOR), np.uint8)
    at = 0
    for a in range(i, j, CHUNK):
        b = min(a + CHUNK, j)
        sectors = buffer[: b - a]
        _read_at(file, store.first_byte, store.position[a:b], sectors)
        counts = np.diff(store.first_sample[a : b + 1])
        n = int(counts.sum())
        if n == (b - a) * fits:
            decode(sectors, packing, unit, out[:, at : at + n].reshape(3, b - a, fits))
        else:
            out[:, at : at + n] = decode(sectors, packing, unit)[:, np.arange(fits) < counts[:, None]]
        at += n


def _joined(time_s: FloatArray, axes_g: AxesArray, kept: list[slice]) -> Samples:
    kept = [part for part in kept if part.stop > part.start]
    if all(a.stop == b.start for a, b in pairwise(kept)):
        whole = slice(kept[0].start, kept[-1].stop) if kept else slice(0, 0)
        return Samples(time_s[whole], axes_g[:, whole])
    times = np.concatenate([time_s[part] for part in kept])
    return Samples(times, np.concatenate([axes_g[:, part] for part in kept], axis=1))


def _read_at(file: FileIO, first_byte: int, positions: IntArray, out: Sectors) -> None:
    """Sectors at `positions` of the file into `out`, one read a run of neighbours."""
    cuts = np.flatnonzero(np.diff(positions) != 1) + 1
    edges = [0, *cuts.tolist(), len(positions)]
    for i, j in pairwise(edges):
        want = out[i:j].reshape(-1).data
        file.seek(first_byte + int(positions[i]) * cwa.SECTOR)
        done = 0
        while done < len(want):
            got = file.readinto(want[done:])
            if not got:
                raise RecordingFault("The file became shorter while it was read: copy it again, then repeat the run.")
            done += got


def open_axivity(path: Path) -> CwaSource:
    """Index and time the blocks of a .cwa file (AX3, AX6) without keeping its samples.

    Every sector's checksum is verified, duplicates are dropped, displaced blocks put back, and segments end at a
    restart, a change of settings, a step of the clock and where a block is missing or bad; `quality` tells all of it.
    Sample times lie on the line through the blocks' fractional time stamps. Format: Open Movement, ax3-technical.md.
    Raises RecordingFault where no block with a valid time can be found.
    """
    head = _head(path)
    header = cwa.parse_header(head)
    first_byte = _first_byte(head, header)
    index = index_sectors(path, first_byte=first_byte, unsigned=_unsigned(head[first_byte:], header))
    if not len(index.position):
        raise RecordingFault(nothing_in(index.counts, has_header=header is not None))
    order = order_blocks(index)
    if not order.segments:
        raise RecordingFault("No block of the .cwa file carries a valid time stamp: its samples have no place in time.")
    return _source(path, header, index, order)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _fields(sectors: bytes) -> npt.NDArray[np.void]:
    return np.frombuffer(sectors[: len(sectors) // cwa.SECTOR * cwa.SECTOR], cwa.FIELDS)


def _first_byte(head: bytes, header: cwa.Header | None) -> int:
    """Where the sectors start: after the header, or at the first sector where the file has lost it."""
    if header is not None:
        return cwa.HEADER_BYTES
    lead = _fields(head[: cwa.HEADER_BYTES])["magic"] == cwa.DATA_MAGIC
    return int(np.argmax(lead)) * cwa.SECTOR if lead.any() else cwa.HEADER_BYTES


def _unsigned(sectors: bytes, header: cwa.Header | None) -> bool:
    """Whether the file is a prototype's without checksums: rate code 0 in the header and in most first sectors."""
    fields = _fields(sectors)
    data = fields[fields["magic"] == cwa.DATA_MAGIC]
    old_header = header is None or header.rate_code == 0
    return old_header and len(data) > 0 and bool((data["rate"] == 0).mean() > _OLD_SHARE)


def _source(path: Path, header: cwa.Header | None, index: SectorIndex, order: Order) -> CwaSource:
    rows = np.concatenate(order.segments)
    base = float(np.nanmin(index.anchor_s[order.segments[0]]) // cwa.DAY_S * cwa.DAY_S)
    knots = [_line(index, order, part, base) for part in order.segments]
    starts = np.concatenate([_starts(index, part, line) for part, line in zip(order.segments, knots, strict=True)])
    shift = float(starts[0] // cwa.DAY_S * cwa.DAY_S)
    knots = [Knots(sample=line.sample, time_s=line.time_s - shift) for line in knots]
    usual = _usual_row(index, rows)
    return CwaSource(
        path=path,
        origin=cwa.EPOCH + np.timedelta64(int(base + shift), "s"),
        rate_hz=float(index.rate_hz[usual]),
        segments=_segment_times(index, order, knots),
        blocks=Blocks(
            time_s=starts - shift,
            temperature_c=index.temperature_c[rows],
            battery_v=index.battery_v[rows],
            light=index.light[rows],
        ),
        device=_device(header, index, usual),
        site=header.site if header else "",
        configured=header.configured if header else None,
        quality=quality_of(header, index, order, rows),
        bad_blocks=index.bad_blocks,
        store=Store(
            first_byte=index.first_byte,
            position=index.position[rows],
            first_sample=np.concatenate(([0], np.cumsum(index.count[rows]))),
            packing=index.packing[rows],
            unit_g=index.unit_g[rows],
            segment_row=np.concatenate(([0], np.cumsum([len(part) for part in order.segments]))),
            knots=tuple(knots),
        ),
    )


def _line(index: SectorIndex, order: Order, rows: IntArray, base: float) -> Knots:
    rate = float(order.anchors.rate_hz[rows[0]])
    return fit_knots(index, rows, good=order.anchors.good, rate_hz=rate, base_s=base)


def _starts(index: SectorIndex, rows: IntArray, line: Knots) -> FloatArray:
    """(b,) time of the first sample of each block of a segment."""
    first = np.cumsum(index.count[rows]) - index.count[rows]
    return np.interp(first.astype(np.float64), line.sample, line.time_s)


def _segment_times(index: SectorIndex, order: Order, knots: list[Knots]) -> FloatArray:
    """(k, 2) first sample and one sample past the last; a segment ends where the next begins at the latest."""
    totals = [int(index.count[rows].sum()) for rows in order.segments]
    edges = [np.interp([0.0, float(n)], line.sample, line.time_s) for line, n in zip(knots, totals, strict=True)]
    out = np.array(edges)
    out[:-1, 1] = np.minimum(out[:-1, 1], out[1:, 0])
    return out


def _usual_row(index: SectorIndex, rows: IntArray) -> int:
    """A row of the settings under which most samples were taken."""
    layout = layouts(index)[rows]
    return int(rows[np.argmax(layout == np.argmax(np.bincount(layout, index.count[rows])))])


def _device(header: cwa.Header | None, index: SectorIndex, usual: int) -> Device:
    if header is not None:
        return replace(header.device, range_g=float(index.range_g[usual]))
    return Device(
        maker="Axivity",
        model="AX6" if index.packing[usual] >> 4 > 3 else "",
        session=int(index.session[usual]),
        range_g=float(index.range_g[usual]),
    )
