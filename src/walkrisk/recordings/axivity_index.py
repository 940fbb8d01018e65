"""One pass over a .cwa file: which of its sectors are good, and what each says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from walkrisk.recordings import axivity_format as cwa
from walkrisk.recordings.axivity_decode import PACKED, Sectors, decode, packed_words
from walkrisk.recordings.recording import FloatArray

CHUNK = 2048  # sectors: a megabyte, which stays in the processor's cache
_HAS_FRACTION = 0x8000
_UPPER_BITS = np.uint32(1 << 9 | 1 << 19 | 1 << 29)
_PLAUSIBLE_OLD_HZ = (1, 3200)
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SectorIndex:
    """What the good blocks of a file say; all arrays are (b,), in file order.

    `position` counts sectors from `first_byte`; `anchor_s` (since 2000) is the time at which sample `anchor` of the
    block was taken, NaN where it has no valid stamp, and `coarse` where it is only the second in which the block began;
    `unit_g` of one unpacked step; `clipped` samples at the end of the range. `bad_blocks` are the positions of sectors
    whose checksum fails or that cannot be a block; none of their data is used.
    """

    first_byte: int
    position: IntArray
    session: IntArray
    sequence: IntArray
    count: IntArray
    anchor: IntArray
    anchor_s: FloatArray
    coarse: npt.NDArray[np.bool_]
    rate_hz: FloatArray
    range_g: FloatArray
    packing: IntArray
    unit_g: FloatArray
    temperature_c: FloatArray
    battery_v: FloatArray
    light: FloatArray
    clipped: IntArray
    counts: Mapping[str, int]
    bad_blocks: tuple[int, ...]


def read_sectors(path: Path, first_byte: int) -> Iterator[tuple[int, Sectors]]:
    """(position of the first, (n, 512) sectors) of a whole file, a chunk at a time; the buffer is used again."""
    buffer = np.empty((CHUNK, cwa.SECTOR), np.uint8)
    flat = buffer.reshape(-1).data
    position = 0
    with path.open("rb", buffering=0) as file:
        file.seek(first_byte)
        while True:
            filled = 0
            while filled < len(flat) and (got := file.readinto(flat[filled:])):
                filled += got
            whole = filled // cwa.SECTOR
            if whole:
                yield position, buffer[:whole]
            if filled < len(flat):
                return
            position += whole


def checksums_hold(sectors: Sectors) -> npt.NDArray[np.bool_]:
    """(n,) whether the 256 16-bit words of each sector add up to 0 modulo 2^16."""
    return np.add.reduce(sectors.view("<u2"), axis=1, dtype=np.uint16) == 0


def index_sectors(path: Path, *, first_byte: int, unsigned: bool) -> SectorIndex:
    """Check every sector of a file and note what the good blocks say, in bounded memory.

    `unsigned`: the file is of the first prototypes, whose rate code is 0 and whose sectors carry no checksum.
    """
    parts: list[npt.NDArray[np.void]] = []
    positions: list[IntArray] = []
    clips: list[IntArray] = []
    bad: list[IntArray] = []
    counts = dict.fromkeys(("sectors", "bad_checksum", "unreadable", "empty"), 0)
    for start, sectors in read_sectors(path, first_byte):
        fields = sectors.view(cwa.FIELDS)[:, 0]
        data = fields["magic"] == cwa.DATA_MAGIC
        blank = ~data
        blank[blank] = _blank(sectors[blank])
        sums = checksums_hold(sectors) | ((fields["rate"] == 0) & unsigned)
        good = data & sums
        good[good] = _possible(fields[good], unsigned=unsigned)
        clipped = np.zeros(len(sectors), np.int64)
        sound = slice(None) if good.all() else good  # a slice copies nothing
        clipped[sound] = _count_clipped(sectors[sound], fields[sound])
        good &= clipped >= 0
        counts["sectors"] += len(sectors)
        counts["empty"] += int(blank.sum())
        counts["bad_checksum"] += int((data & ~sums).sum())
        counts["unreadable"] += int((~blank & ~good & ~(data & ~sums)).sum())
        bad.append(start + np.flatnonzero(~good & ~blank))
        parts.append(fields[good].astype(_SLIM))
        positions.append(start + np.flatnonzero(good))
        clips.append(clipped[good])
    counts["truncated_bytes"] = max(0, path.stat().st_size - first_byte) % cwa.SECTOR
    fields = np.concatenate(parts) if parts else np.empty(0, _SLIM)
    none = [np.empty(0, np.int64)]
    where, clipped = np.concatenate(positions or none), np.concatenate(clips or none)
    return _describe(fields, where, clipped, tuple(np.concatenate(bad or none).tolist()), counts, first_byte)


_SLIM = np.dtype([(name, cwa.FIELDS[name]) for name in cwa.FIELDS.names or ()])


def _describe(
    fields: npt.NDArray[np.void],
    position: IntArray,
    clipped: IntArray,
    bad: tuple[int, ...],
    counts: Mapping[str, int],
    first_byte: int,
) -> SectorIndex:
    old = fields["rate"] == 0
    offset = fields["offset"].astype(np.int64)
    rate = np.where(old, offset.astype(np.float64), cwa.rate_hz(fields["rate"]))
    fractional = ((fields["fraction"] & _HAS_FRACTION) > 0) & ~old
    sixteenth = np.where(fractional, (fields["fraction"].astype(np.int64) & 0x7FFF) << 1, 0)
    anchor = np.where(old, 0, offset + ((sixteenth * rate.astype(np.int64)) >> 16))
    return SectorIndex(
        first_byte=first_byte,
        position=position,
        session=fields["session"].astype(np.int64),
        sequence=fields["sequence"].astype(np.int64),
        count=fields["count"].astype(np.int64),
        anchor=anchor,
        anchor_s=cwa.stamp_seconds(fields["stamp"]) + sixteenth / 65536.0,
        coarse=old,
        rate_hz=rate,
        range_g=cwa.range_g(fields["rate"]),
        packing=fields["packing"].astype(np.int64),
        unit_g=cwa.unpacked_unit_g(fields["light"]),
        temperature_c=cwa.temperature_c(fields["temperature"]),
        battery_v=cwa.battery_v(fields["battery"]),
        light=cwa.light_level(fields["light"]),
        clipped=clipped,
        counts=counts,
        bad_blocks=bad,
    )


def _blank(sectors: Sectors) -> npt.NDArray[np.bool_]:
    """Never written, or erased: one byte, 0x00 or 0xff, all through."""
    words = sectors.view("<u8")
    lowest, highest = words.min(axis=1), words.max(axis=1)
    return (lowest == highest) & ((lowest == 0) | (lowest == np.uint64(0xFFFFFFFFFFFFFFFF)))


def _possible(fields: npt.NDArray[np.void], *, unsigned: bool) -> npt.NDArray[np.bool_]:
    """Whether the layout, the rate and the number of samples are ones that the format has."""
    fits = cwa.capacity(fields["packing"])
    count = fields["count"]
    low = fields["rate"] & 15
    known_rate = (low >= cwa.LOWEST_RATE) & (low <= cwa.HIGHEST_RATE)
    slowest, fastest = _PLAUSIBLE_OLD_HZ
    old = (fields["rate"] == 0) & (fields["offset"] >= slowest) & (fields["offset"] <= fastest) & unsigned
    return (fits > 0) & (count > 0) & (count <= fits) & (known_rate | old)


def _count_clipped(sectors: Sectors, fields: npt.NDArray[np.void]) -> IntArray:
    """(n,) samples of each block at the end of the declared range, -1 where a value is beyond any device's.

    A value is at the end when it is within one step of the range. Packed blocks are decoded only where a sample lies
    beyond half the range.
    """
    out = np.zeros(len(sectors), np.int64)
    limit = cwa.range_g(fields["rate"])
    unit = cwa.unpacked_unit_g(fields["light"])
    for packing in np.unique(fields["packing"]):
        rows = np.flatnonzero(fields["packing"] == packing)
        step = unit[rows]
        if packing == PACKED:
            step = limit[rows] / 512.0
            near = _reaches_half(packed_words(sectors if len(rows) == len(sectors) else sectors[rows]), limit[rows])
            rows, step = rows[near], step[near]
        for value in np.unique(unit[rows]):
            same = unit[rows] == value
            out[rows[same]] = _at_the_end(
                sectors[rows[same]], fields[rows[same]], step[same], int(packing), float(value)
            )
    return out


def _reaches_half(words: npt.NDArray[np.uint32], limit: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether any axis of (b, 120) packed samples uses the upper bit of its ten, or a larger exponent than it needs."""
    differ = words << np.uint32(1)
    differ ^= words
    differ &= _UPPER_BITS
    beyond = (words.max(axis=1) >> np.uint32(30)) >= np.log2(limit)
    return beyond | (differ.max(axis=1) > 0)


def _at_the_end(
    sectors: Sectors, fields: npt.NDArray[np.void], step: FloatArray, packing: int, unit_g: float
) -> IntArray:
    size = np.abs(decode(sectors, packing, unit_g)).max(axis=0)
    size[np.arange(size.shape[1]) >= fields["count"][:, None]] = 0.0
    ends = (cwa.range_g(fields["rate"]) - step)[:, None]
    return np.where(size.max(axis=1) > cwa.WIDEST_RANGE_G, -1, (size >= ends).sum(axis=1))
