"""One door to recordings of every kind that can be read, told apart by their content before their name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from walkrisk.errors import RecordingFault
from walkrisk.recordings.axivity import open_axivity
from walkrisk.recordings.recording import AxesArray, FloatArray, Recording, Source, stretches

READABLE = (
    "walkrisk reads Axivity .cwa files, and .csv and .parquet tables with a time column and accelerations in g "
    "(datetime, acc_x, acc_y, acc_z; or timestamp, back_x ... thigh_z)."
)
_STRANGERS = (
    (b"PK\x03\x04", "The file is a zip archive (a .gt3x or a packed file)"),
    (b"\x1f\x8b", "The file is packed with gzip"),
    (b"7z\xbc\xaf", "The file is a 7z archive"),
    (b"Device Identity", "The file is a GENEActiv .bin recording"),
    (b"%PDF", "The file is a PDF"),
)
_LOOK_AT = 4096
HOURS = 0.5  # read at a time, so that what is at work stays in the processor's cache


def open_recording(path: Path | str, *, site: str | None = None) -> Source:
    """Open a recording without keeping its samples, as far as its kind allows.

    An Axivity .cwa file (AX3, AX6) is streamed; a .csv or .parquet table is read whole. `site` ("thigh" or "back") says
    which sensor's columns to take where a table holds both; a site noted in the file itself is not overruled.
    Raises RecordingFault, in sentences, where the file is missing, empty, of another kind or without usable data.
    """
    path = Path(path)
    try:
        return _open(path, site)
    except OSError as error:
        raise RecordingFault(f"The file cannot be read: {error.strerror or 'the system refuses it'}.") from None


def _open(path: Path, site: str | None) -> Source:
    if path.is_dir():
        raise RecordingFault("This is a folder, not a recording.")
    if path.exists() and not path.is_file():
        raise RecordingFault("This is not a file but a device or pipe; give the recording itself.")
    with path.open("rb") as file:
        head = file.read(_LOOK_AT)
    if not head:
        raise RecordingFault("The file is empty: copy it from the device again.")
    suffix = path.suffix.lower()
    if head[:2] in (b"MD", b"AX") or suffix == ".cwa":
        return open_axivity(path)
    from walkrisk.recordings.tabular import open_csv, open_parquet  # loads pandas, which .cwa does without

    if head.startswith(b"PAR1"):
        return open_parquet(path, site=site)
    for magic, what in _STRANGERS:
        if head.startswith(magic):
            raise RecordingFault(f"{what}. {READABLE}")
    if suffix in (".csv", ".txt") and b"\x00" not in head:
        return open_csv(path, site=site)
    raise RecordingFault(f"The kind of file is not known. {READABLE}")


def read_recording(path: Path | str, *, site: str | None = None) -> Recording:
    """Read a whole recording into memory: time, acceleration and temperature of every good sample.

    `temperature_c` is interpolated between blocks and NaN where the file has none. `site` as in `open_recording`; it
    also names the site where the file does not. A week at 50 Hz takes about 0.8 GB: stream it from `open_recording`.
    Raises RecordingFault as `open_recording` does.
    """
    source = open_recording(path, site=site)
    room = source.quality.counts["samples"]  # memory not written to is not taken up
    time_ns, axes_g = np.empty(room, np.int64), np.empty((3, room), np.float32)
    warm = np.empty(room, np.float32)
    begin = source.origin.astype("datetime64[ns]").astype(np.int64)
    n = 0
    for _, _, part in stretches(source, hours=HOURS):
        here = slice(n, n + len(part.time_s))
        np.rint(part.time_s * 1e9, out=time_ns[here], casting="unsafe")
        time_ns[here] += begin
        axes_g[:, here] = part.axes_g
        warm[here] = _temperature(source, part.time_s)
        n = here.stop
    return Recording(
        time=time_ns[:n].view("datetime64[ns]"),
        acceleration_g=axes_g[:, :n].T,
        rate_hz=source.rate_hz,
        temperature_c=warm[:n],
        device=source.device,
        site=source.site or site or "",
        quality=source.quality,
    )


def _temperature(source: Source, time_s: FloatArray) -> AxesArray:
    known = np.isfinite(source.blocks.temperature_c)
    if not known.any():
        return np.full(len(time_s), np.nan, np.float32)
    return np.interp(time_s, source.blocks.time_s[known], source.blocks.temperature_c[known]).astype(np.float32)
