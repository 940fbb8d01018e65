"""The .cwa format of Axivity AX3 and AX6: field positions, codes and units, and the header that opens a file.

Facts from the maker's description (Open Movement, "AX Device - Technical Documentation", Docs/ax3/ax3-technical.md, and
cwa.h). All fields are little endian and unaligned. Time stamps are of the device's own clock, without a zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.recordings.recording import Device, FloatArray

SECTOR = 512
HEADER_BYTES = 1024
PAYLOAD = slice(30, 510)
PAYLOAD_BYTES = 480
DATA_MAGIC = 0x01FC5841  # "AX" and the length 508
HEADER_MAGIC = 0x03FC444D  # "MD" and the length 1020
EPOCH = np.datetime64(
    "2000-01-01T00:00:00", "ns"
)  # seconds in this reader count from here until a file's origin is known
DAY_S = 86400.0
LOWEST_RATE, HIGHEST_RATE = 6, 15  # rate codes, 6.25 to 3200 Hz
WIDEST_RANGE_G = 16.0
AX6_HARDWARE = 0x64
NO_UPPER_ID = 0xFFFF

FIELDS = np.dtype(
    {
        "names": [
            *("magic", "fraction", "session", "sequence", "stamp", "light", "temperature", "battery"),
            *("rate", "packing", "offset", "count"),
        ],
        "formats": ["<u4", "<u2", "<u4", "<u4", "<u4", "<u2", "<u2", "u1", "u1", "u1", "<i2", "<u2"],
        "offsets": [0, 4, 6, 10, 14, 18, 20, 23, 24, 25, 26, 28],
        "itemsize": SECTOR,
    }
)
_HEADER = np.dtype(
    {
        "names": ["magic", "hardware", "id", "session", "upper_id", "rate", "changed", "firmware"],
        "formats": ["<u4", "u1", "<u2", "<u4", "<u2", "u1", "<u4", "u1"],
        "offsets": [0, 4, 5, 7, 11, 36, 37, 41],
        "itemsize": 64,
    }
)
_ANNOTATION = slice(64, 512)
SIMULATED = b"=SIMULATED&"  # what walkrisk's own simulation notes as the study's name
_BACK = re.compile(r"\b(back|trunk|spine|sacrum)\b")
_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_THIGH = re.compile(r"\bthigh\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the first kilobyte says; `placed`: a body location is noted, whichever it is."""

    device: Device
    rate_code: int
    configured: np.datetime64 | None
    site: str
    placed: bool


def parse_header(raw: bytes) -> Header | None:
    """Device, set-up time and site of a .cwa header; None where the bytes are not one.

    Of the annotation only the body location (`_p`) is looked at, and only "thigh", "back" or "" is kept; and whether
    the recording says that it is simulated.
    """
    if len(raw) < _HEADER.itemsize:
        return None
    field = np.frombuffer(raw, _HEADER, 1)[0]
    if field["magic"] != HEADER_MAGIC:
        return None
    upper = int(field["upper_id"])
    changed = stamp_seconds(np.array([field["changed"]]))[0]
    code = int(field["rate"])
    site, placed = _site(raw[_ANNOTATION])
    device = Device(
        maker="Axivity",
        model="AX6" if field["hardware"] == AX6_HARDWARE else "AX3",
        serial=int(field["id"]) | (0 if upper == NO_UPPER_ID else upper << 16),
        session=int(field["session"]),
        firmware=int(field["firmware"]),
        range_g=float(range_g(np.array([code]))[0]),
        simulated=SIMULATED in raw[_ANNOTATION],
    )
    configured = None if np.isnan(changed) else EPOCH + np.timedelta64(int(changed), "s")
    return Header(device=device, rate_code=code, configured=configured, site=site, placed=placed)


def _site(annotation: bytes) -> tuple[str, bool]:
    """("thigh", "back" or "", whether a location is noted at all)."""
    text = annotation.rstrip(b"\x00\xff ").decode("latin-1")
    for pair in text.split("&"):
        key, _, value = pair.partition("=")
        if key == "_p" and value:
            place = _words(value)
            found = [site for site, words in (("thigh", _THIGH), ("back", _BACK)) if words.search(place)]
            return (found[0] if len(found) == 1 else ""), True
    return "", False


def _words(value: str) -> str:
    """The lower-case words of a url-encoded value."""
    plain = _ENCODED.sub(lambda found: chr(int(found[1], 16)), value)
    return re.sub(r"[\W_]+", " ", plain).lower()


def stamp_seconds(stamps: npt.NDArray[np.integer]) -> FloatArray:
    """(b,) seconds since 2000-01-01 of packed time stamps; NaN where the stamp is no date (0 is "unknown")."""
    s = stamps.astype(np.int64)
    year, month, day = s >> 26 & 63, s >> 22 & 15, s >> 17 & 31
    hour, minute, second = s >> 12 & 31, s >> 6 & 63, s & 63
    first = np.datetime64("2000-01", "M") + (12 * year + np.clip(month, 1, 12) - 1).astype("timedelta64[M]")
    days = (first.astype("datetime64[D]") - EPOCH.astype("datetime64[D]")).astype(np.int64) + day - 1
    length = ((first + 1).astype("datetime64[D]") - first.astype("datetime64[D]")).astype(np.int64)
    good = (month >= 1) & (month <= 12) & (day >= 1) & (day <= length) & (hour < 24) & (minute < 60) & (second < 60)
    return np.where(good, days * DAY_S + hour * 3600.0 + minute * 60.0 + second, np.nan)


def rate_hz(codes: npt.NDArray[np.integer]) -> FloatArray:
    """Nominal rate of a rate code: 3200 / 2^(15 - low four bits) Hz."""
    return np.ldexp(3200.0, (codes.astype(np.int64) & 15) - 15)


def range_g(codes: npt.NDArray[np.integer]) -> FloatArray:
    """Range of a rate code: 16 / 2^(top two bits) g."""
    return np.ldexp(WIDEST_RANGE_G, -(codes.astype(np.int64) >> 6))


def unpacked_unit_g(light: npt.NDArray[np.integer]) -> FloatArray:
    """g a step of unpacked samples: 1 / 2^(8 + top three bits of the light field)."""
    return np.ldexp(1.0, -8 - (light.astype(np.int64) >> 13))


def capacity(packing: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """(b,) samples that fit one block: 120 packed, 80, 40 or 26 of 3, 6 or 9 16-bit axes; 0 for an unknown layout."""
    out = np.zeros(packing.shape, np.int64)
    for code, fits in ((0x30, 120), (0x32, 80), (0x62, 40), (0x92, 26)):
        out[packing == code] = fits
    return out


def temperature_c(raw: npt.NDArray[np.integer]) -> FloatArray:
    """Degrees C of the thermometer, raw * 75 / 256 - 50 of the low ten bits; NaN for 0, "none"."""
    bits = raw.astype(np.int64) & 0x3FF
    return np.where(bits > 0, bits * (75.0 / 256.0) - 50.0, np.nan)


def battery_v(raw: npt.NDArray[np.integer]) -> FloatArray:
    """Volts of the cell, (2 raw + 512) * 6 / 1024; NaN for 0, "unknown"."""
    bits = raw.astype(np.float64)
    return np.where(bits > 0, (2.0 * bits + 512.0) * 6.0 / 1024.0, np.nan)


def light_level(raw: npt.NDArray[np.integer]) -> FloatArray:
    """The light sensor's ten bits as they are (the maker calls them a relative indicator); NaN for 0, "none"."""
    bits = raw.astype(np.int64) & 0x3FF
    return np.where(bits > 0, bits.astype(np.float64), np.nan)
