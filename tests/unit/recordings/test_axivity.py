"""The .cwa reader on files of known content: samples, times, and every kind of damage."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from walkrisk.errors import RecordingFault
from walkrisk.recordings.axivity import CwaSource, open_axivity
from walkrisk.recordings.recording import Samples, stretches

from . import cwa_builder as cwa

MS = 0.001


def written(folder: Path, blocks: list[bytes], *, head: bytes | None = None, tail: bytes = b"") -> Path:
    path = folder / "a.cwa"
    path.write_bytes((cwa.header() if head is None else head) + b"".join(blocks) + tail)
    return path


def opened(folder: Path, blocks: list[bytes], **parts: bytes) -> CwaSource:
    return open_axivity(written(folder, blocks, **parts))


def everything(source: CwaSource) -> Samples:
    return source.samples(-np.inf, np.inf)


def holds(source: CwaSource, made: cwa.Made, kept: np.ndarray | slice = slice(None), *, within: float = MS) -> None:
    """All kept samples of the truth and no other, bit for bit, at their times, inside the segments."""
    found = everything(source)
    np.testing.assert_array_equal(found.axes_g.T, made.g[kept].astype(np.float32))
    np.testing.assert_allclose(found.time_s, made.time[kept], atol=within, rtol=0)
    assert (np.diff(found.time_s) > 0).all()
    at = np.searchsorted(source.segments[:, 0], found.time_s, side="right") - 1
    assert (found.time_s < source.segments[at, 1]).all()
    assert source.quality.counts["samples"] == len(found.time_s)


def without(made: cwa.Made, *blocks: int) -> np.ndarray:
    return ~np.isin(made.of, blocks)


@pytest.mark.parametrize("hz", cwa.RATES)
@pytest.mark.parametrize("packing", [0x30, 0x32, 0x62, 0x92])
def test_every_rate_and_layout_gives_samples_and_times_as_taken(tmp_path: Path, hz: float, packing: int) -> None:
    made = cwa.record(12, hz=hz, packing=packing, last=17)
    source = opened(tmp_path, made.blocks)
    holds(source, made, within=MS if hz >= 12.5 else 0.5 / hz)
    assert source.rate_hz == hz
    assert source.segments.shape == (1, 2)
    assert source.origin == np.datetime64("2024-03-04")


@pytest.mark.parametrize("range_g", cwa.RANGES)
@pytest.mark.parametrize("packing", [0x30, 0x62])
def test_every_range_is_scaled_by_its_code(tmp_path: Path, range_g: int, packing: int) -> None:
    made = cwa.record(3, range_g=range_g, packing=packing)
    source = opened(tmp_path, made.blocks)
    holds(source, made)
    assert source.device.range_g == range_g


@pytest.mark.parametrize("hz", [50, 100, 1600])
def test_whole_second_stamps_place_samples_to_within_one(tmp_path: Path, hz: float) -> None:
    made = cwa.record(40, hz=hz, fractional=False)
    holds(opened(tmp_path, made.blocks), made, within=1.6 / hz)


def test_the_real_rate_is_taken_from_the_stamps(tmp_path: Path) -> None:
    made = cwa.record(200, hz=50, true_hz=48.7)
    source = opened(tmp_path, made.blocks)
    holds(source, made, within=0.1 * MS)
    assert source.rate_hz == 50


def test_a_rate_far_from_the_setting_is_said(tmp_path: Path) -> None:
    source = opened(tmp_path, cwa.record(20, hz=50, true_hz=44).blocks)
    assert any("44.0" in sentence for sentence in source.quality.sentences)


def test_prototype_files_have_no_checksum_and_their_rate_in_the_offset(tmp_path: Path) -> None:
    """Rate code 0: the offset is the rate and the stamp the second in which the block began."""
    made = cwa.record(100, hz=100, true_hz=100, start="2011-05-02T10:00:00")
    seconds = np.datetime64("2011-05-02T10:00:00") + (np.arange(100) * 1.2).astype(int)
    blocks = [
        cwa.block((made.g[made.of == k] * 256).astype(int), sequence=k, when=cwa.stamp(seconds[k]), offset=100, rate=0)[
            :510
        ]
        + b"\x12\x34"
        for k in range(100)
    ]
    source = opened(tmp_path, blocks, head=cwa.header(rate=0))
    holds(source, made, within=1.0)
    assert source.rate_hz == 100
    assert source.device.range_g == 16


def test_a_rate_code_of_0_does_not_excuse_a_bad_checksum(tmp_path: Path) -> None:
    made = cwa.record(5)
    bad = bytearray(made.blocks[2])
    bad[24] = 0
    source = opened(tmp_path, [*made.blocks[:2], bytes(bad), *made.blocks[3:]])
    holds(source, made, without(made, 2))
    assert source.bad_blocks == (2,)


def test_block_notes_are_in_units(tmp_path: Path) -> None:
    source = opened(tmp_path, cwa.record(4, temperature=282, battery=190).blocks)
    np.testing.assert_allclose(source.blocks.temperature_c, 282 * 75 / 256 - 50)
    assert round(float(source.blocks.temperature_c[0]), 1) == 32.6
    np.testing.assert_allclose(source.blocks.battery_v, (2 * 190 + 512) * 6 / 1024)
    np.testing.assert_array_equal(source.blocks.light, 100)
    silent = opened(tmp_path, cwa.record(2, temperature=0, battery=0, light=0).blocks)
    assert np.isnan([silent.blocks.temperature_c, silent.blocks.battery_v, silent.blocks.light]).all()


def test_high_bits_of_the_thermometer_are_reserved(tmp_path: Path) -> None:
    source = opened(tmp_path, cwa.record(2, temperature=0xFC00 | 282).blocks)
    assert round(float(source.blocks.temperature_c[0]), 1) == 32.6


def test_the_header_names_the_device(tmp_path: Path) -> None:
    head = cwa.header(hardware=0x64, device=0xBA64, upper=0x005B, session=993, rate=0x0A)
    source = opened(tmp_path, cwa.record(2, packing=0x62, range_g=16, session=993).blocks, head=head)
    device = source.device
    assert (device.maker, device.model, device.serial, device.session) == ("Axivity", "AX6", 0x005BBA64, 993)
    assert source.configured == np.datetime64("2024-03-01T08:30:00")
    assert opened(tmp_path, cwa.record(2).blocks, head=cwa.header(changed=None)).configured is None


@pytest.mark.parametrize(
    ("place", "site"),
    [
        (b"right+thigh", "thigh"),
        (b"Left%20Thigh", "thigh"),
        (b"lower_back", "back"),
        (b"sacrum", "back"),
        (b"right+wrist", ""),
        (b"thigh+or+back", ""),
        (b"backpack", ""),
    ],
)
def test_only_thigh_and_back_are_kept_of_the_annotation(tmp_path: Path, place: bytes, site: str) -> None:
    source = opened(tmp_path, cwa.record(2).blocks, head=cwa.header(annotation=b"_sc=4711&_n=Ola+Nordmann&_p=" + place))
    assert source.site == site
    assert any("neither" in s for s in source.quality.sentences) == (site == "")
    assert not any(word in repr(source) for word in ("4711", "Nordmann", "wrist", "backpack"))


def test_a_stretch_is_what_lies_in_it(tmp_path: Path) -> None:
    first, second = cwa.record(30, hz=50), cwa.record(30, hz=50, start="2024-03-04T10:05:00", seed=1)
    source = opened(tmp_path, first.blocks + second.blocks)
    whole = everything(source)
    rng = np.random.default_rng(0)
    low = float(whole.time_s[0])
    for start, stop in [*np.sort(rng.uniform(low - 5, low + 400, (60, 2)), axis=1), (low + 100, low + 200), (0, 1)]:
        inside = (whole.time_s >= start) & (whole.time_s < stop)
        found = source.samples(start, stop)
        np.testing.assert_array_equal(found.time_s, whole.time_s[inside])
        np.testing.assert_array_equal(found.axes_g, whole.axes_g[:, inside])
    at = float(whole.time_s[777])
    assert source.samples(at, np.nextafter(at, np.inf)).time_s.tolist() == [at]
    parts = [part.time_s for _, _, part in stretches(source, hours=0.01)]
    np.testing.assert_array_equal(np.concatenate(parts), whole.time_s)


# Damage


def spoiled(block: bytes, at: int = 100) -> bytes:
    out = bytearray(block)
    out[at] ^= 0x40
    return bytes(out)


@pytest.mark.parametrize("bad", [(0,), (5,), (4, 5, 6), (11,), (0, 3, 5, 7, 11)])
def test_blocks_with_a_bad_checksum_are_named_and_not_used(tmp_path: Path, bad: tuple[int, ...]) -> None:
    made = cwa.record(12, hz=50)
    source = opened(tmp_path, [spoiled(b) if k in bad else b for k, b in enumerate(made.blocks)])
    holds(source, made, without(made, *bad))
    assert source.bad_blocks == bad
    assert source.quality.counts["bad_checksum"] == len(bad)
    assert source.quality.counts["missing"] == 0
    assert ", ".join(map(str, bad)) in source.quality.sentences[0]


@pytest.mark.parametrize("at", [0, 2, 12, 16, 25, 29, 510])
def test_damage_to_any_field_is_seen(tmp_path: Path, at: int) -> None:
    made = cwa.record(5)
    source = opened(tmp_path, [*made.blocks[:3], spoiled(made.blocks[3], at), made.blocks[4]])
    holds(source, made, without(made, 3))
    assert source.bad_blocks == (3,)
    assert source.quality.counts["bad_checksum"] + source.quality.counts["unreadable"] == 1


def test_missing_sectors_leave_a_gap(tmp_path: Path) -> None:
    made = cwa.record(400, hz=50)
    source = opened(tmp_path, made.blocks[:100] + made.blocks[380:])
    holds(source, made, (made.of < 100) | (made.of >= 380))
    assert source.quality.counts["missing"] == 280
    assert (source.quality.counts["gaps"], source.quality.counts["restarts"]) == (1, 0)
    np.testing.assert_allclose(source.segments[0, 1], made.time[12000], atol=MS)
    np.testing.assert_allclose(source.segments[1, 0], made.time[380 * 120], atol=MS)


def test_a_restart_begins_a_new_segment(tmp_path: Path) -> None:
    first = cwa.record(50, hz=100, last=40)
    second = cwa.record(30, hz=100, start="2024-03-04T10:04:03.700", seed=1)
    source = opened(tmp_path, first.blocks + second.blocks)
    both = cwa.Made(
        [], np.append(first.time, second.time), np.vstack((first.g, second.g)), np.zeros(len(first.of) + len(second.of))
    )
    holds(source, both)
    assert (source.quality.counts["restarts"], source.quality.counts["missing"]) == (1, 0)
    np.testing.assert_allclose(source.segments[:, 0], [first.time[0], second.time[0]], atol=MS)


def test_a_file_that_ends_inside_a_sector_is_read_to_its_last_whole_one(tmp_path: Path) -> None:
    made = cwa.record(6)
    source = opened(tmp_path, made.blocks[:5], tail=made.blocks[5][:300])
    holds(source, made, without(made, 5))
    assert source.quality.counts["truncated_bytes"] == 300


def test_duplicates_are_dropped(tmp_path: Path) -> None:
    made = cwa.record(8)
    b = made.blocks
    source = opened(tmp_path, [*b[:4], b[3], b[3], *b[4:], b[1]])
    holds(source, made)
    assert source.quality.counts["duplicated"] == 3
    assert len(source.segments) == 1


@pytest.mark.parametrize(
    ("order", "moved"),
    [((0, 1, 3, 2, 4, 5, 6, 7), 1), ((0, 1, 2, 6, 5, 4, 3, 7), 3), ((1, 2, 3, 4, 5, 6, 7, 0), 1)],
)
def test_displaced_blocks_are_put_back(tmp_path: Path, order: tuple[int, ...], moved: int) -> None:
    made = cwa.record(8)
    source = opened(tmp_path, [made.blocks[k] for k in order])
    holds(source, made)
    assert source.quality.counts["out_of_order"] == moved
    assert len(source.segments) == 1


def test_a_block_of_the_first_start_found_in_the_second_is_put_back(tmp_path: Path) -> None:
    first = cwa.record(20)
    second = cwa.record(20, start="2024-03-04T10:04:03.700", seed=1)
    blocks = first.blocks[:7] + first.blocks[8:] + second.blocks[:5] + first.blocks[7:8] + second.blocks[5:]
    source = opened(tmp_path, blocks)
    found = everything(source)
    np.testing.assert_array_equal(found.axes_g.T, np.vstack((first.g, second.g)).astype(np.float32))
    assert len(source.segments) == 2


@pytest.mark.parametrize("fill", [b"\0", b"\xff"])
def test_sectors_never_written_are_no_data(tmp_path: Path, fill: bytes) -> None:
    made = cwa.record(6)
    source = opened(tmp_path, made.blocks, tail=fill * 512 * 20)
    holds(source, made)
    assert (source.quality.counts["empty"], source.bad_blocks) == (20, ())


def test_junk_behind_the_data_is_counted(tmp_path: Path) -> None:
    made = cwa.record(6)
    source = opened(tmp_path, made.blocks, tail=np.random.default_rng(0).bytes(512 * 3 + 7))
    holds(source, made)
    assert source.quality.counts["unreadable"] == 3
    assert source.bad_blocks == (6, 7, 8)


@pytest.mark.parametrize("head", [b"", b"\0" * 1024, b"\xff" * 512, np.random.default_rng(0).bytes(1024)])
def test_data_without_a_header_are_read(tmp_path: Path, head: bytes) -> None:
    made = cwa.record(6)
    source = opened(tmp_path, made.blocks, head=head)
    holds(source, made)
    assert source.quality.counts["header_missing"] == 1
    assert source.device.serial is None
    assert source.bad_blocks == ()


def test_a_change_of_settings_or_session_is_a_new_segment(tmp_path: Path) -> None:
    one = cwa.record(10, hz=50, true_hz=50)
    stop = np.datetime64("2024-03-04T00:00", "ms") + np.timedelta64(round((one.time[-1] + 0.02) * 1000), "ms")
    two = cwa.record(4, hz=100, start=str(stop), sequence=10, seed=1, range_g=16)
    source = opened(tmp_path, one.blocks + two.blocks)
    np.testing.assert_array_equal(everything(source).axes_g.T, np.vstack((one.g, two.g)).astype(np.float32))
    assert (len(source.segments), source.rate_hz, source.quality.counts["settings"]) == (2, 50, 2)
    three = cwa.record(4, hz=50, true_hz=50, start=str(stop), sequence=10, session=8)
    source = opened(tmp_path, one.blocks + three.blocks)
    assert (len(source.segments), source.quality.counts["sessions"]) == (2, 2)


# Clocks


def restamped(block: bytes, **fields: int) -> bytes:
    out = bytearray(block)
    for name, value in fields.items():
        at, size = {"when": (14, 4), "fraction": (4, 2), "count": (28, 2), "offset": (26, 2), "sequence": (10, 4)}[name]
        out[at : at + size] = (value % 2 ** (8 * size)).to_bytes(size, "little")
    return cwa.checksummed(bytes(out))


@pytest.mark.parametrize("which", [(0,), (6,), (11,), (3, 8), (4, 5)])
@pytest.mark.parametrize(
    "wild", [0, 0xFFFFFFFF, cwa.stamp("2000-01-01"), cwa.stamp("2063-12-31"), cwa.stamp("2024-03-04T10:02")]
)
def test_a_single_wild_stamp_moves_no_sample(tmp_path: Path, which: tuple[int, ...], wild: int) -> None:
    made = cwa.record(12, hz=50)
    source = opened(tmp_path, [restamped(b, when=wild) if k in which else b for k, b in enumerate(made.blocks)])
    holds(source, made)
    assert len(source.segments) == 1
    if wild not in (0, 0xFFFFFFFF):
        assert source.quality.counts["wild_stamps"] == len(which)


def test_a_clock_put_forward_leaves_a_gap(tmp_path: Path) -> None:
    one = cwa.record(20, hz=50, true_hz=50)
    two = cwa.record(20, hz=50, true_hz=50, start="2024-03-04T11:00:00", sequence=20, seed=1)
    source = opened(tmp_path, one.blocks + two.blocks)
    np.testing.assert_allclose(source.segments[:, 0], [one.time[0], two.time[0]], atol=MS)
    assert (source.quality.counts["gaps"], everything(source).time_s.size) == (1, 40 * 120)


@pytest.mark.parametrize(("sizes", "used"), [((20, 100), "second"), ((100, 20), "first")])
def test_a_clock_set_back_repeats_no_time(tmp_path: Path, sizes: tuple[int, int], used: str) -> None:
    """The longer part stands; of the other, what lies outside it."""
    one = cwa.record(sizes[0], hz=50, true_hz=50, start="2024-03-04T10:00:00")
    two = cwa.record(sizes[1], hz=50, true_hz=50, start="2024-03-04T09:59:30", sequence=sizes[0], seed=1)
    source = opened(tmp_path, one.blocks + two.blocks)
    found = everything(source)
    whole = two if used == "second" else one
    np.testing.assert_array_equal(found.axes_g.T[-len(whole.g) :], whole.g.astype(np.float32))
    assert (np.diff(found.time_s) > 0).all()
    assert source.quality.counts["clock_set_back"] > 0
    assert any("set back" in sentence for sentence in source.quality.sentences)


def test_a_clock_lost_at_a_restart_does_not_stretch_the_recording_over_years(tmp_path: Path) -> None:
    lost = cwa.record(5, start="2000-01-01T00:00:10")
    made = cwa.record(50)
    for blocks in (lost.blocks + made.blocks, made.blocks + lost.blocks):
        source = opened(tmp_path, blocks)
        holds(source, made)
        assert source.quality.counts["other_clock"] == 5


def test_no_valid_time_at_all_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(RecordingFault, match="time"):
        opened(tmp_path, [restamped(b, when=0) for b in cwa.record(4).blocks])
    with pytest.raises(RecordingFault, match="time"):  # 29 February 2023
        opened(tmp_path, [restamped(b, when=23 << 26 | 2 << 22 | 29 << 17) for b in cwa.record(4).blocks])


@pytest.mark.parametrize("late_s", [-1, 1])
def test_a_stamp_a_second_off_is_wild(tmp_path: Path, late_s: int) -> None:
    made = cwa.record(12, hz=50)
    second = int.from_bytes(made.blocks[6][14:18], "little")
    source = opened(tmp_path, [*made.blocks[:6], restamped(made.blocks[6], when=second + late_s), *made.blocks[7:]])
    holds(source, made)
    assert source.quality.counts["wild_stamps"] == 1


@pytest.mark.parametrize("stamp", ["2024-02-29T23:59:58", "2023-12-31T23:59:58", "2024-02-28T23:59:58"])
def test_midnights_month_ends_and_leap_days(tmp_path: Path, stamp: str) -> None:
    holds(opened(tmp_path, (made := cwa.record(20, start=stamp)).blocks), made)


def test_a_day_that_does_not_exist_is_no_time(tmp_path: Path) -> None:
    made = cwa.record(12, start="2023-02-28T23:59:50")
    bad = (23 << 26) | (2 << 22) | (29 << 17) | 5
    holds(opened(tmp_path, [restamped(b, when=bad) if k == 9 else b for k, b in enumerate(made.blocks)]), made)


# Values that are not what they seem


@pytest.mark.parametrize(
    "fields", [{"count": 121}, {"count": 0xFFFF}, {"packing": 0x31}, {"packing": 0x33}, {"rate": 0x42}]
)
def test_impossible_blocks_with_a_right_checksum_are_not_used(tmp_path: Path, fields: dict[str, int]) -> None:
    made = cwa.record(5)
    bad = bytearray(made.blocks[2])
    at = {"count": 28, "packing": 25, "rate": 24}[next(iter(fields))]
    size = 2 if "count" in fields else 1
    bad[at : at + size] = next(iter(fields.values())).to_bytes(size, "little")
    source = opened(tmp_path, [*made.blocks[:2], cwa.checksummed(bytes(bad)), *made.blocks[3:]])
    holds(source, made, without(made, 2))
    assert (source.quality.counts["unreadable"], source.bad_blocks) == (1, (2,))


@pytest.mark.parametrize(
    ("packing", "unit", "range_g"), [(0x30, 256, 8), (0x30, 256, 2), (0x32, 256, 8), (0x62, 2048, 16)]
)
def test_samples_at_the_end_of_the_range_are_counted(tmp_path: Path, packing: int, unit: int, range_g: int) -> None:
    counts = np.zeros((cwa.FITS[packing], 3), int)
    end = range_g * unit
    counts[3] = (0, end - (range_g // 2 if packing == 0x30 else 1), 0)
    counts[5:7] = (-end, 0, -end)
    counts[8:12] = end // 2
    light = (unit.bit_length() - 9) << 13
    code = 0x0A | cwa.RANGES[range_g]
    fields = {"fraction": 0x8000, "packing": packing, "rate": code, "light": light}
    blocks = [cwa.block(counts, sequence=0, when=cwa.stamp("2024-03-04T10:00"), offset=40, **fields)]
    source = opened(tmp_path, blocks)
    assert source.quality.counts["clipped"] == 3
    np.testing.assert_allclose(np.abs(everything(source).axes_g[2]).max(), range_g)


def test_values_no_device_can_measure_are_not_used(tmp_path: Path) -> None:
    made = cwa.record(3, packing=0x32)
    counts = np.zeros((80, 3), int)
    counts[7, 1] = 32767
    made.blocks[1] = cwa.block(counts, sequence=1, when=0, offset=0, packing=0x32, light=0)
    source = opened(tmp_path, made.blocks)
    holds(source, made, without(made, 1))
    assert source.bad_blocks == (1,)


# What is no recording


@pytest.mark.parametrize(
    "content",
    [
        b"M",
        b"MD",
        b"\0" * 5000,
        b"\xff" * 5000,
        b"time,x,y,z\n" * 300,
        np.random.default_rng(1).bytes(20_000),
        cwa.header(),
    ],
)
def test_what_holds_no_data_is_a_fault_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.cwa"
    path.write_bytes(content)
    with pytest.raises(RecordingFault) as caught:
        open_axivity(path)
    assert all(fault.endswith(".") and len(fault) > 40 for fault in caught.value.faults)


def test_a_file_cut_while_it_is_read_is_a_fault(tmp_path: Path) -> None:
    path = written(tmp_path, cwa.record(10).blocks)
    source = open_axivity(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(RecordingFault, match="shorter"):
        everything(source)


# Mutations: whatever the file, either sound data or a fault


def mutated(rng: np.random.Generator, blocks: list[bytes]) -> bytes:
    sectors = [bytearray(block) for block in blocks]
    head = bytearray(cwa.header())
    for _ in range(rng.integers(1, 8)):
        k = int(rng.integers(len(sectors)))
        kind = rng.integers(9)
        if kind == 0:
            sectors[k][rng.integers(512)] ^= 1 << rng.integers(8)
        elif kind in (1, 2, 3):  # hostile fields under a right checksum
            at = int(rng.integers(4, 30))
            sectors[k][at] = rng.integers(256)
            sectors[k] = bytearray(cwa.checksummed(sectors[k]))
        elif kind == 4:
            at = int(rng.integers(0, 500))
            sectors[k][at : at + 12] = rng.bytes(12)
            sectors[k] = bytearray(cwa.checksummed(sectors[k]))
        elif kind == 5:
            sectors.insert(int(rng.integers(len(sectors))), sectors[k][:])
        elif kind == 6:
            j = int(rng.integers(len(sectors)))
            sectors[k], sectors[j] = sectors[j], sectors[k]
        elif kind == 7:
            sectors[k] = bytearray([(0, 255)[int(rng.integers(2))]] * 512)
        else:
            head[rng.integers(1024)] = rng.integers(256)
    out = bytes(head) + b"".join(sectors)
    if rng.random() < 0.2:
        out = out[: rng.integers(len(out))]
    if rng.random() < 0.1:
        out += rng.bytes(int(rng.integers(2000)))
    return out


def survives(path: Path, content: bytes) -> bool:
    """True where data were read; they must be finite, possible, in order and inside the segments."""
    path.write_bytes(content)
    try:
        source = open_axivity(path)
        found = everything(source)
    except RecordingFault as fault:
        return not all(sentence.endswith(".") for sentence in fault.faults)
    assert np.isfinite(found.axes_g).all()
    assert np.abs(found.axes_g).max(initial=0.0) <= 16.0
    assert np.isfinite(found.time_s).all()
    assert (np.diff(found.time_s) > 0).all()
    assert (source.segments[:, 1] > source.segments[:, 0]).all()
    assert (source.segments[1:, 0] >= source.segments[:-1, 1]).all()
    assert (np.diff(source.blocks.time_s) > 0).all()
    assert found.time_s.size <= source.quality.counts["samples"] <= len(content)
    half = source.samples(float(source.segments[0, 0]), float(source.segments[:, 0].mean()))
    np.testing.assert_array_equal(half.time_s, found.time_s[: half.time_s.size])
    return True


def mutants(number: int, seed: int) -> list[tuple[int, bytes]]:
    rng = np.random.default_rng(seed)
    packings = itertools.cycle((0x30, 0x32, 0x62))
    seeds = [
        cwa.record(9, packing=p, hz=h, last=23).blocks for p, h in zip(packings, (50, 100, 12.5, 1600), strict=False)
    ]
    seeds.append(cwa.record(5).blocks + cwa.record(5, start="2024-03-04T10:03:00").blocks)
    return [(k, mutated(rng, seeds[k % len(seeds)])) for k in range(number)]


def test_mutated_files_give_sound_data_or_a_fault(tmp_path: Path) -> None:
    read = sum(survives(tmp_path / "m.cwa", content) for _, content in mutants(500, seed=1))
    assert 300 < read < 500


def test_random_files_give_a_fault(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    assert not any(survives(tmp_path / "r.cwa", rng.bytes(int(rng.integers(1, 6000)))) for _ in range(100))
