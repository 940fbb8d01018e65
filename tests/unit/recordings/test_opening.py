"""One door for every kind of recording."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from walkrisk.errors import RecordingFault
from walkrisk.recordings.opening import open_recording, read_recording
from walkrisk.recordings.recording import stretches

from . import cwa_builder as cwa

CSV = b"datetime,acc_x,acc_y,acc_z\n" + b"".join(b"2019-01-01 00:00:%02d,1,0,0\n" % k for k in range(60))


def saved(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["a.cwa", "A.CWA", "a.csv", "a", "a.parquet", "a.gt3x"])
def test_a_cwa_recording_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    made = cwa.record(4)
    source = open_recording(str(saved(tmp_path, name, cwa.header() + b"".join(made.blocks))))
    assert source.device.maker == "Axivity"
    np.testing.assert_array_equal(source.samples(-np.inf, np.inf).axes_g.T, made.g.astype(np.float32))


@pytest.mark.parametrize("name", ["a.csv", "A.CSV", "a.txt"])
def test_a_csv_recording_is_known_by_its_name(tmp_path: Path, name: str) -> None:
    assert open_recording(saved(tmp_path, name, CSV)).rate_hz == 1


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.gt3x", b"PK\x03\x04" + b"\0" * 200, r"gt3x.*\.cwa"),
        ("a.csv.gz", b"\x1f\x8b" + b"\0" * 200, r"gzip.*\.cwa"),
        ("a.bin", b"Device Identity\r\nDevice", r"GENEActiv.*\.cwa"),
        ("a.dat", b"something else", r"\.cwa"),
        ("a.csv", np.random.default_rng(0).bytes(4000), "not known"),
        ("a.parquet", b"no parquet at all", "not known"),
        ("a.parquet", b"PAR1 but no more", "parquet"),
        ("a.cwa", CSV, "no .cwa recording"),
        ("a.cwa", b"PK\x03\x04" * 500, "no .cwa recording"),
        *((f"a.{kind}", b"", "empty") for kind in ("cwa", "csv", "parquet", "gt3x")),
        ("a.cwa", cwa.header(), "no data"),
    ],
)
def test_what_cannot_be_read_is_a_fault_that_says_what_can(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    with pytest.raises(RecordingFault, match=says) as caught:
        open_recording(saved(tmp_path, name, content))
    assert all(sentence.endswith(".") for sentence in caught.value.faults)
    assert str(tmp_path) not in str(caught.value)


def test_a_missing_file_and_a_folder_are_faults(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.cwa"):
        with pytest.raises(RecordingFault):
            open_recording(path)


def test_a_recording_in_memory(tmp_path: Path) -> None:
    cold = cwa.record(10, hz=50, temperature=200)
    warm = cwa.record(10, hz=50, start="2024-03-04T10:01:00", temperature=300, seed=1)
    head = cwa.header(annotation=b"_p=left+thigh")
    recording = read_recording(saved(tmp_path, "a.cwa", head + b"".join(cold.blocks + warm.blocks)), site="back")
    assert (recording.site, recording.rate_hz, recording.device.serial) == ("thigh", 50, 12345)
    assert recording.quality.counts["restarts"] == 1
    np.testing.assert_array_equal(recording.acceleration_g, np.vstack((cold.g, warm.g)).astype(np.float32))
    expected = np.datetime64("2024-03-04", "ns") + (np.append(cold.time, warm.time) * 1e9).astype("timedelta64[ns]")
    assert np.abs(recording.time - expected).max() < np.timedelta64(1, "ms")
    np.testing.assert_allclose(recording.temperature_c[:1000], 200 * 75 / 256 - 50, rtol=1e-6)
    np.testing.assert_allclose(recording.temperature_c[-1000:], 300 * 75 / 256 - 50, rtol=1e-6)
    assert read_recording(saved(tmp_path, "b.csv", CSV), site="back").site == "back"


def test_streaming_keeps_little_in_memory(tmp_path: Path) -> None:
    """A day at 50 Hz (18 MB): opened and read in stretches of two hours in a fraction of its samples' 86 MB."""
    hour = cwa.record(100, hz=50, true_hz=50)
    template = np.frombuffer(b"".join(hour.blocks), np.uint8).reshape(100, 512)
    blocks = np.tile(template, (360, 1))
    fields = blocks[:, :30].copy()
    begun = 36000.3 + np.ceil((np.arange(36000) + 1) * 4.8) / 2
    second = begun.astype(np.int64)
    ticks = ((begun - second) * 32768).astype(np.int64)
    day = np.datetime64("2024-03-04") + (second // 86400).astype("timedelta64[D]")
    number = np.array([cwa.stamp(d) for d in np.unique(day)])[np.unique(day, return_inverse=True)[1]]
    clock = second % 86400
    stamps = number | clock // 3600 << 12 | clock // 60 % 60 << 6 | clock % 60
    index = np.ceil((np.arange(36000) + 1) * 4.8).astype(np.int64) * 25 - np.arange(36000) * 120
    fields[:, 4:6] = (0x8000 | ticks).astype("<u2").view(np.uint8).reshape(-1, 2)
    fields[:, 10:14] = np.arange(36000).astype("<u4").view(np.uint8).reshape(-1, 4)
    fields[:, 14:18] = stamps.astype("<u4").view(np.uint8).reshape(-1, 4)
    fields[:, 26:28] = (index - (ticks * 100 >> 16)).astype("<i2").view(np.uint8).reshape(-1, 2)
    blocks[:, :30] = fields
    words = blocks.view("<u2")
    words[:, 255] = -words[:, :255].sum(axis=1, dtype=np.int64) & 0xFFFF
    path = saved(tmp_path, "a.cwa", cwa.header(rate=0x49) + blocks.tobytes())
    tracemalloc.start()
    source = open_recording(path)
    total = 0
    for _, _, part in stretches(source):
        total += part.time_s.size
        assert (np.abs(np.diff(part.time_s) - 0.02) < 0.001).all()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 36000 * 120
    assert len(source.segments) == 1
    assert peak < 40e6
