"""Small .cwa files with known samples and times, written sector by sector from the maker's description of the format.

Shares no code with the reader. A device model: the sensor samples at its own rate; the processor is woken every 25
samples, notes the clock (15 bits of fraction) and writes a block when 120 (80, 40) samples are there; the block names
the last wake-up, its sample moved back by the whole samples in the fraction (the compatibility shim).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

RATES = {6.25: 6, 12.5: 7, 25: 8, 50: 9, 100: 10, 200: 11, 400: 12, 800: 13, 1600: 14, 3200: 15}
RANGES = {16: 0x00, 8: 0x40, 4: 0x80, 2: 0xC0}
FITS = {0x30: 120, 0x32: 80, 0x62: 40, 0x92: 26}


def stamp(when: str | np.datetime64) -> int:
    """YYYYYYMM MMDDDDDh hhhhmmmm mmssssss."""
    t = np.datetime64(when, "s").astype(object)
    return (t.year - 2000) << 26 | t.month << 22 | t.day << 17 | t.hour << 12 | t.minute << 6 | t.second


def header(
    *,
    annotation: bytes = b"",
    hardware: int = 0x17,
    device: int = 12345,
    upper: int = 0xFFFF,
    session: int = 7,
    rate: int = 0x4A,
    changed: str | None = "2024-03-01T08:30:00",
) -> bytes:
    out = bytearray(b"\xff" * 1024)
    out[0:4] = b"MD\xfc\x03"
    struct.pack_into("<BHIHII", out, 4, hardware, device, session, upper, 0, 0xFFFFFFFF)
    struct.pack_into("<BIB", out, 36, rate, stamp(changed) if changed else 0, 44)
    out[64 : 64 + len(annotation)] = annotation
    return bytes(out)


def pack(x: int, y: int, z: int) -> int:
    """Counts of 1/256 g -> eezzzzzzzzzzyyyyyyyyyyxxxxxxxxxx with the smallest exponent that holds them."""
    e = next(e for e in range(4) if all(-512 << e <= v <= (512 << e) - 1 for v in (x, y, z)))
    return (x >> e & 1023) | (y >> e & 1023) << 10 | (z >> e & 1023) << 20 | e << 30


def checksummed(block: bytes | bytearray) -> bytes:
    """The block with its last word such that its 256 words add up to 0."""
    words = struct.unpack("<255H", block[:510])
    return bytes(block[:510]) + struct.pack("<H", -sum(words) & 0xFFFF)


def block(
    counts: np.ndarray,
    *,
    sequence: int,
    when: int,
    offset: int,
    fraction: int = 0,
    session: int = 7,
    rate: int = 0x4A,
    packing: int = 0x30,
    light: int = 0x0064,
    temperature: int = 282,
    battery: int = 190,
    events: int = 0,
) -> bytes:
    """One sector of (n, 3) counts; other axes than the accelerometer's are filled with 9999."""
    head = struct.pack(
        "<2sHHIIIHHBBBBhH",
        *(b"AX", 508, fraction, session, sequence, when, light, temperature, events, battery, rate, packing),
        *(offset, len(counts)),
    )
    if packing == 0x30:
        data = b"".join(struct.pack("<I", pack(*row)) for row in counts.tolist())
    else:
        axes = packing >> 4
        lead, tail = ([9999] * 3 if axes > 3 else []), [9999] * (axes - 6 if axes > 6 else 0)
        data = b"".join(struct.pack(f"<{axes}h", *lead, *row, *tail) for row in counts.tolist())
    return checksummed(head + data.ljust(480, b"\0") + b"\0\0")


@dataclass
class Made:
    """Blocks, and the truth: `time` (n,) seconds since the midnight of the start day, `g` (n, 3), `of` (n,) block."""

    blocks: list[bytes]
    time: np.ndarray
    g: np.ndarray
    of: np.ndarray


def record(
    n_blocks: int,
    *,
    hz: float = 100,
    true_hz: float | None = None,
    range_g: int = 8,
    packing: int = 0x30,
    start: str = "2024-03-04T10:00:00.300",
    session: int = 7,
    sequence: int = 0,
    seed: int = 0,
    last: int | None = None,
    fractional: bool = True,
    **fields: int,
) -> Made:
    """What a device writes from one start on; the last block holds `last` samples, and packing loses nothing."""
    rate, code, fits = true_hz or 0.987 * hz, RATES[hz] | RANGES[range_g], FITS[packing]
    n = (n_blocks - 1) * fits + (last or fits)
    unit = 256 if packing in (0x30, 0x32) else 32768 // range_g
    light = (unit.bit_length() - 9) << 13 | 2 << 10 | 100
    rng = np.random.default_rng(seed)
    counts = rng.integers(-2 * unit, 2 * unit, (n, 3)) // 2 * 2
    day = np.datetime64(start, "D")
    begin = (np.datetime64(start, "ms") - day.astype("datetime64[ms]")).astype(int) / 1000
    wake = 25 if packing == 0x30 else 1
    blocks = []
    for k in range(n_blocks):
        noted = -(-(k + 1) * fits // wake) * wake  # first sample after the last wake-up
        ticks = int((begin + noted / rate) * 32768)
        index = noted - k * fits
        second, part = divmod(ticks, 32768)
        if fractional:
            index, fraction = index - ((part << 1) * int(hz) >> 16), 0x8000 | part
        else:
            index, fraction = index - round(part / 32768 * rate), 1234
        when = stamp(day.astype("datetime64[s]") + second)
        data = counts[k * fits : (k + 1) * fits]
        blocks.append(
            block(
                data,
                **{"sequence": sequence + k, "when": when, "offset": index, "fraction": fraction, "session": session}
                | {"rate": code, "packing": packing, "light": light, "events": int(k == 0)}
                | fields,
            )
        )
    return Made(blocks, begin + np.arange(n) / rate, counts / unit, np.arange(n) // fits)
