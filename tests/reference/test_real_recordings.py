"""Every real .cwa file beside the checkout against its reference and against a decode by the plain definition.

`../shared/data/cwa`: arrays of scikit-digital-health (AX6), tables of GGIR (AX3, AX6), and for all files a decode
written here with struct and loops. Times are held to the fractional stamps of the blocks themselves.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from walkrisk.recordings.axivity import open_axivity
from walkrisk.recordings.opening import read_recording
from walkrisk.recordings.recording import Recording

FILES = {
    "ax3_testfile": (),
    "ax3_testfile_corrupt_blocks_0_13_14_142_143_144": (0, 13, 14, 142, 143, 144),
    "ax6_testfile": (),
    "openmovement_example-610-steps": (),
    "skdh_ax6_sample": (),
}
MS = np.timedelta64(1_000_000, "ns")


@dataclass
class Plain:
    """One block by the definition: its samples in g, and the time at which sample `index` was taken."""

    sound: bool
    g: list[tuple[float, float, float]]
    index: int
    time: np.datetime64
    fractional: bool


def signed(value: int) -> int:
    return value - 1024 if value >= 512 else value


def plain(sector: bytes) -> Plain:
    """The definition of a block, a sample at a time."""
    sound = sum(struct.unpack("<256H", sector)) % 65536 == 0
    (fraction,) = struct.unpack_from("<H", sector, 4)
    (when,) = struct.unpack_from("<I", sector, 14)
    (light,) = struct.unpack_from("<H", sector, 18)
    rate, layout, index, count = struct.unpack_from("<BBhH", sector, 24)
    g = []
    for k in range(count):
        if layout == 0x30:
            (word,) = struct.unpack_from("<I", sector, 30 + 4 * k)
            fields = [signed(word >> shift & 1023) * 2 ** (word >> 30) / 256 for shift in (0, 10, 20)]
        else:
            axes = layout >> 4
            values = struct.unpack_from(f"<{axes}h", sector, 30 + 2 * axes * k)
            fields = [value / 2 ** (8 + (light >> 13)) for value in (values[3:6] if axes == 6 else values)]
        g.append(tuple(fields))
    if not sound:
        return Plain(False, g, 0, np.datetime64("NaT"), False)
    second = datetime(2000 + (when >> 26), when >> 22 & 15, when >> 17 & 31, when >> 12 & 31, when >> 6 & 63, when & 63)
    time, fractional = np.datetime64(second, "ns"), fraction >= 0x8000
    if fractional:
        part = (fraction & 0x7FFF) << 1
        index += part * int(3200 / (1 << (15 - (rate & 15)))) >> 16
        time += np.timedelta64(round(part / 65536 * 1e9), "ns")
    return Plain(sound, g, index, time, fractional)


def blocks_of(path: Path) -> list[Plain]:
    content = path.read_bytes()[1024:]
    return [plain(content[k : k + 512]) for k in range(0, len(content) - 511, 512)]


def cwa(shared: Path, name: str) -> Path:
    path = shared / "data" / "cwa" / f"{name}.cwa"
    if not path.is_file():
        pytest.skip(f"../shared/data/cwa/{name}.cwa is not here")
    return path


@pytest.fixture(params=FILES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_samples_are_those_of_the_plain_definition(shared: Path, name: str) -> None:
    path = cwa(shared, name)
    recording = read_recording(path)
    expected = [row for block in blocks_of(path) if block.sound for row in block.g]
    np.testing.assert_array_equal(recording.acceleration_g, np.array(expected, np.float32))
    assert len(recording.time) == len(expected)
    assert (np.diff(recording.time) > np.timedelta64(0)).all()


def test_bad_blocks_are_exactly_those_of_the_files_name(shared: Path, name: str) -> None:
    source = open_axivity(cwa(shared, name))
    assert source.bad_blocks == FILES[name]
    assert source.quality.counts["bad_checksum"] == len(FILES[name])
    assert source.quality.counts["blocks"] == len(blocks_of(cwa(shared, name)))
    assert source.quality.counts["missing"] == source.quality.counts["restarts"] == 0


def test_samples_stand_within_a_millisecond_of_their_blocks_stamps(shared: Path, name: str) -> None:
    """Sample `index` of a block at its stamp; where it lies past the block, by the block that follows."""
    path = cwa(shared, name)
    time, first = read_recording(path).time, 0
    checked, blocks = 0, blocks_of(path)
    for k, block in enumerate(blocks):
        if not block.sound:
            continue
        at = first + block.index
        first += len(block.g)
        joined = k + 1 < len(blocks) and blocks[k + 1].sound
        if block.fractional and (block.index < len(block.g) or joined) and at < len(time):
            assert abs(time[at] - block.time) < MS
            checked += 1
    assert checked >= (0 if name.startswith("openmovement") else 0.9 * len(blocks))


def test_whole_second_stamps_hold_to_two_samples(shared: Path) -> None:
    path = cwa(shared, "openmovement_example-610-steps")
    time, first = read_recording(path).time, 0
    for block in blocks_of(path):
        at = first + block.index
        first += len(block.g)
        if 0 <= at < len(time):
            assert abs(time[at] - block.time) < 20 * MS


def test_the_damaged_copy_gives_the_sound_ones_samples_at_its_times(shared: Path) -> None:
    whole = read_recording(cwa(shared, "ax3_testfile"))
    damaged = read_recording(cwa(shared, "ax3_testfile_corrupt_blocks_0_13_14_142_143_144"))
    kept = ~np.isin(np.arange(len(whole.time)) // 120, (0, 13, 14, 142, 143, 144))
    np.testing.assert_array_equal(damaged.acceleration_g, whole.acceleration_g[kept])
    assert np.abs(damaged.time - whole.time[kept]).max() < MS


def seconds(recording: Recording) -> np.ndarray:
    return (recording.time - np.datetime64("1970-01-01")).astype(np.int64) / 1e9


def test_ax6_against_the_arrays_of_scikit_digital_health(shared: Path) -> None:
    """Its times miss the fraction of a sample: to within 21 ms (two samples) of ours."""
    path = cwa(shared, "skdh_ax6_sample")
    with np.load(path.with_name("skdh_ax6_sample.reference.npz")) as kept:
        acceleration, time, rate = kept["accel"], kept["time"], float(kept["fs"][0])
    recording = read_recording(path)
    np.testing.assert_allclose(recording.acceleration_g, acceleration, atol=1e-6)  # it keeps six decimals
    assert recording.rate_hz == rate
    assert np.abs(seconds(recording) - time).max() < 0.021
    assert recording.device.model == "AX6"


def table(path: Path, columns: tuple[int, ...]) -> np.ndarray:
    return np.loadtxt(path, delimiter=",", usecols=columns)


def test_ax3_against_the_table_of_ggir(shared: Path) -> None:
    """The table is at 100 Hz where the device took 98.9: its rows are our samples, one of which it passes over."""
    path = cwa(shared, "ax3_testfile")
    expected = table(path.with_name("ax3_testfile_unix_timestamps.csv"), (0, 1, 2, 3))
    recording = read_recording(path)
    ours, rows = recording.acceleration_g, expected[:, 1:].astype(np.float32)
    here = (ours[: len(rows)] == rows).all(axis=1)
    next_one = (ours[1 : len(rows) + 1] == rows).all(axis=1)
    passed = int(np.flatnonzero(~here)[0])
    assert here[:passed].all()
    assert next_one[passed:].all()
    assert abs(seconds(recording)[0] - expected[0, 0]) < 0.021


def test_ax6_against_the_table_of_ggir(shared: Path) -> None:
    """Columns of the table: time, gyroscope, acceleration."""
    path = cwa(shared, "ax6_testfile")
    beside = path.with_name("ax6_testfile_formatted_timestamps.csv")
    expected = table(beside, (1, 2, 3))
    written = np.loadtxt(beside, delimiter=",", usecols=0, dtype=str)
    recording = read_recording(path)
    np.testing.assert_allclose(recording.acceleration_g[: len(expected)], expected, atol=1e-6)
    when = np.array([np.datetime64(text.replace(" ", "T"), "ns") for text in written])
    assert np.abs(recording.time[: len(when)] - when).max() < 21 * MS


@pytest.mark.parametrize(
    ("name", "model", "serial", "session", "range_g", "configured"),
    [
        ("ax3_testfile", "AX3", 39434, 26, 8, "2019-02-26T10:53:54"),
        ("ax6_testfile", "AX6", 6011834, 993, 16, "2019-12-23T21:02:06"),
        ("skdh_ax6_sample", "AX6", 6011802, 0, 16, "2019-10-29T09:02:52"),
        ("openmovement_example-610-steps", "AX3", 1841, 0, 8, "2012-03-27T10:14:08"),
    ],
)
def test_the_device_by_its_header(
    shared: Path, name: str, model: str, serial: int, session: int, range_g: float, configured: str
) -> None:
    source = open_axivity(cwa(shared, name))
    device = source.device
    assert (device.model, device.serial, device.session, device.range_g) == (model, serial, session, range_g)
    assert source.configured == np.datetime64(configured)
    assert source.rate_hz == 100
    assert 20 < np.nanmedian(source.blocks.temperature_c) < 35
    assert 3.5 < np.nanmedian(source.blocks.battery_v) < 5.5
