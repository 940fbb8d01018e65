"""Axivity AX3 recordings (.cwa): the header and the 512-byte sectors a device writes, from samples in whole counts.

The layout is the maker's (openmovement, Docs/ax3/ax3-technical.md and cwa.h). Nothing here is shared with walkrisk's
reader, so that the one can be tested with the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SECTOR_BYTES, HEADER_BYTES = 512, 1024
RATE_CODES = {12: 0x07, 25: 0x08, 50: 0x09, 100: 0x0A, 200: 0x0B}
COUNTS_PER_G = {True: 64, False: 256}  # packed at +/-8 g: 10 bits; unpacked: 13 bits in 16
SAMPLES = {True: 120, False: 80}
_RANGE_8G = 0x40
_FIFO = 25  # samples the sensor hands over at once; a time stamp belongs to such a hand-over
_SECTOR = np.dtype(
    [
        ("magic", "S2"),
        ("length", "<u2"),
        ("fraction", "<u2"),
        ("session", "<u4"),
        ("sequence", "<u4"),
        ("time", "<u4"),
        ("light", "<u2"),
        ("temperature", "<u2"),
        ("events", "u1"),
        ("battery", "u1"),
        ("rate", "u1"),
        ("format", "u1"),
        ("offset", "<i2"),
        ("count", "<u2"),
        ("data", "u1", (480,)),
        ("checksum", "<u2"),
    ]
)
Sectors = npt.NDArray[np.void]
IntArray = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a device is set up: `rate_hz` nominal, `packed` or not, at +/-8 g; times are datetime64 of its own clock."""

    device: int
    session: int
    rate_hz: int = 50
    packed: bool = True
    configured: np.datetime64
    start: np.datetime64
    stop: np.datetime64
    annotation: tuple[tuple[str, str], ...] = ()

    @property
    def samples(self) -> int:
        """Samples in a sector."""
        return SAMPLES[self.packed]

    @property
    def counts_per_g(self) -> int:
        return COUNTS_PER_G[self.packed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What the device notes once a sector: temperature in degrees C, battery in volts, light raw (10 bits); (m,)."""

    temperature_c: npt.NDArray[np.float64]
    battery_v: npt.NDArray[np.float64]
    light: npt.NDArray[np.int64]


def stamp(times: npt.NDArray[np.datetime64]) -> npt.NDArray[np.uint32]:
    """Times of the device's clock as it packs them: years since 2000 in 6 bits, month 4, day 5, hour 5, min 6, s 6."""
    seconds = np.asarray(times).astype("datetime64[s]")
    days, months, years = (seconds.astype(f"datetime64[{unit}]") for unit in "DMY")
    year = years.astype(np.int64) - 30
    month = (months - years).astype(np.int64) + 1
    day = (days - months.astype("datetime64[D]")).astype(np.int64) + 1
    s = (seconds - days).astype(np.int64)
    packed = year << 26 | month << 22 | day << 17 | s // 3600 << 12 | s // 60 % 60 << 6 | s % 60
    return np.asarray(packed, dtype=np.uint32)


def header(setup: Setup) -> bytes:
    """The first 1024 bytes, as the maker's configuration program leaves them; text is url-encoded at byte 64."""
    out = bytearray(b"\xff" * HEADER_BYTES)
    configured, start, stop = stamp(np.array([setup.configured, setup.start, setup.stop]))
    out[0:4] = b"MD" + (1020).to_bytes(2, "little")
    out[4] = 0xFF
    out[5:7] = (setup.device & 0xFFFF).to_bytes(2, "little")
    out[7:11] = setup.session.to_bytes(4, "little")
    out[11:13] = (setup.device >> 16 or 0xFFFF).to_bytes(2, "little")
    out[13:17], out[17:21] = start.tobytes(), stop.tobytes()
    out[21:26] = b"\x00\x00\x00\x00\xff"
    out[26] = 0x00
    out[35] = 0xFF
    out[36] = _RANGE_8G | RATE_CODES[setup.rate_hz]
    out[37:41] = configured.tobytes()
    out[41] = 44
    text = "&".join(f"{key}={_encoded(value)}" for key, value in setup.annotation).encode("ascii")[:448]
    out[64:512] = text.ljust(448, b" ")
    return bytes(out)


def _encoded(text: str) -> str:
    """Text as in a web form: blanks as +, what is no plain letter or digit as %XX."""
    return "".join(
        "+" if c == 0x20 else chr(c) if (chr(c).isalnum() and c < 0x80) or chr(c) in "-_." else f"%{c:02x}"
        for c in text.encode()
    )


def anchor(first: int, m: int, samples: int) -> npt.NDArray[np.int64]:
    """Index (m,) of the sample that a sector's time stamp belongs to, counted from the sector's first.

    It is the first hand-over of 25 samples that fills the sector, so it can lie up to 25 samples beyond its end.
    """
    sector = np.arange(first, first + m, dtype=np.int64)
    filled = -(-((sector + 1) * samples) // _FIFO) * _FIFO
    return filled - sector * samples


def sectors(
    setup: Setup,
    counts: IntArray,
    anchor_time: npt.NDArray[np.datetime64],
    *,
    anchor_index: npt.NDArray[np.int64],
    first_sequence: int,
    notes: Notes,
    resumed: bool = False,
) -> Sectors:
    """Sectors (m,) with right checksums.

    `counts` (m, samples, 3): whole counts of 1/64 g (packed) or 1/256 g. `anchor_time` (m,) datetime64[ns] of the
    device's clock at sample `anchor_index`. The fraction of a second is written in 15 bits and the offset moved by
    the samples it is worth, so that a reader that knows neither still gets whole seconds right.
    """
    m = len(counts)
    out = np.zeros(m, dtype=_SECTOR)
    whole = anchor_time.astype("datetime64[s]")
    fraction = (anchor_time - whole).astype("timedelta64[ns]").astype(np.int64) * 32768 // 10**9
    out["magic"], out["length"], out["session"] = b"AX", 508, setup.session
    out["fraction"] = 0x8000 | fraction
    out["sequence"] = first_sequence + np.arange(m)
    out["time"] = stamp(whole)
    out["offset"] = anchor_index - (fraction * 2 * setup.rate_hz >> 16)
    out["light"] = notes.light & 0x3FF
    out["temperature"] = np.clip(np.rint((notes.temperature_c + 50) * 256 / 75), 0, 1023)
    out["battery"] = np.clip(np.rint((notes.battery_v * 1024 / 6 - 512) / 2), 0, 255)
    out["rate"] = _RANGE_8G | RATE_CODES[setup.rate_hz]
    out["count"] = setup.samples
    out["format"] = 0x30 if setup.packed else 0x32
    if resumed and m:
        out["events"][0] = 1
    out["data"] = _packed(counts) if setup.packed else counts.astype("<i2").reshape(m, -1).view(np.uint8)
    sign(out)
    return out


def _packed(counts: IntArray) -> npt.NDArray[np.uint8]:
    """(m, 480) bytes: three 10-bit counts of 4/256 g in 32 bits, the exponent (2) on top."""
    bits = counts.astype(np.uint16).astype(np.uint32) & 0x3FF
    words = bits[..., 0] | bits[..., 1] << 10 | bits[..., 2] << 20 | np.uint32(2 << 30)
    return np.ascontiguousarray(words, dtype="<u4").view(np.uint8)


def sign(blocks: Sectors) -> None:
    """Set each checksum in place, so that the 256 words of a sector add up to 0 (mod 65536)."""
    blocks["checksum"] = 0
    words = blocks.view("<u2").reshape(len(blocks), SECTOR_BYTES // 2)
    blocks["checksum"] = (-words.sum(axis=1, dtype=np.int64)) & 0xFFFF


def damage(blocks: Sectors, rng: np.random.Generator) -> None:
    """Fill the samples of these sectors with garbage in place, and leave their checksums wrong."""
    for i in range(len(blocks)):
        blocks["data"][i] = rng.integers(0, 256, 480, dtype=np.uint8)
    sign(blocks)
    blocks["checksum"] ^= 0x5A5A
