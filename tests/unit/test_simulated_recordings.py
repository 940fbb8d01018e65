"""Simulated recordings against their own truth, read by a decoder written here from the maker's description."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from walkrisk.errors import StudyFault, UsageFault
from walkrisk.recordings.opening import open_recording
from walkrisk.recordings.synchrony import synchronise
from walkrisk.simulation import recording_declaration as declaration
from walkrisk.simulation.cwa_writer import Notes, Setup, anchor, header, sectors, stamp
from walkrisk.simulation.recording_declaration import Part, RecordingMix, clean, load_mix, parse_mix
from walkrisk.simulation.recording_devices import DeviceTruth, Trouble, draw_devices, lying_about, temperature
from walkrisk.simulation.recording_files import CHUNK
from walkrisk.simulation.recording_schedule import CODE, Person, draw_person, make_plan
from walkrisk.simulation.recording_signal import felt, make_course, make_pools
from walkrisk.simulation.recording_truth import daily_truth, risk_of, seconds_table
from walkrisk.simulation.recordings import simulate_recordings

ROOT = Path(__file__).resolve().parents[2]
EPOCH = dt.datetime(2000, 1, 1)


@dataclass(frozen=True)
class Decoded:
    """A file as the maker describes it: one entry a sector."""

    good: np.ndarray[Any, Any]
    sequence: np.ndarray[Any, Any]
    clock_s: np.ndarray[Any, Any]
    index: np.ndarray[Any, Any]
    temperature_c: np.ndarray[Any, Any]
    events: np.ndarray[Any, Any]
    g: np.ndarray[Any, Any]

    @property
    def sample(self) -> np.ndarray[Any, Any]:
        """Number of the stamped sample where no sector is lost."""
        return np.arange(len(self.index)) * self.g.shape[1] + self.index


def decode(path: Path) -> Decoded:
    data = path.read_bytes()[1024:]
    return _decoded([data[i : i + 512] for i in range(0, len(data) - 511, 512)])


def _decoded(blocks: list[bytes]) -> Decoded:
    rows: list[tuple[Any, ...]] = []
    for b in blocks:
        magic, length, fraction, _, sequence, time = struct.unpack_from("<2sHHIII", b)
        assert (magic, length) == (b"AX", 508)
        _, temperature, events, _, rate, form, offset, count = struct.unpack_from("<HHBBBBhH", b, 18)
        hz = 3200 / (1 << (15 - (rate & 15)))
        frac = (fraction & 0x7FFF) / 32768
        moment = dt.datetime(
            2000 + (time >> 26),
            time >> 22 & 15,
            time >> 17 & 31,
            time >> 12 & 31,
            time >> 6 & 63,
            time & 63,
        )
        index = offset + (((fraction & 0x7FFF) << 1) * int(hz) >> 16)
        good = sum(struct.unpack("<256H", b)) % 65536 == 0
        g = _packed(b) if form & 15 == 0 else np.frombuffer(b, "<i2", 240, 30).reshape(80, 3) / 256
        assert len(g) == count
        rows.append(
            (good, sequence, (moment - EPOCH).total_seconds() + frac, index, temperature * 75 / 256 - 50, events)
        )
        rows[-1] += (g,)
    return Decoded(*(np.array(column) for column in zip(*rows, strict=True)))


def _packed(b: bytes) -> np.ndarray[Any, Any]:
    out = []
    for word in struct.unpack_from("<120I", b, 30):
        tens = [(word >> shift) & 0x3FF for shift in (0, 10, 20)]
        out.append([((t - 1024 if t > 511 else t) << (word >> 30)) / 256 for t in tens])
    return np.array(out)


PROGRAM = tuple(
    Part(activity=activity, seconds=seconds, cadence_spm=cadence)  # type: ignore[arg-type]
    for activity, seconds, cadence in (("sitting", 60, 0), ("walking", 120, 100), ("standing", 60, 0), ("lying", 60, 0))
)


def plain(**device: Any) -> RecordingMix:
    mix = replace(clean(), program=PROGRAM)
    return replace(mix, wear=replace(mix.wear, handling_min=0.0), device=replace(mix.device, **device))


def simulated(tmp_path: Path, mix: RecordingMix, *, days: float = 0.01, seed: int = 3) -> tuple[Path, dict[str, Any]]:
    out = tmp_path / "recordings"
    simulate_recordings(out, participants=1, days=days, seed=seed, mix=mix)
    return out, json.loads((out / "truth" / "sim0001.json").read_text())


# --- the bytes -------------------------------------------------------------------------------------------------------


def _setup(*, packed: bool) -> Setup:
    t = np.datetime64("2024-02-29T23:59:58", "ns")
    return Setup(
        device=0x1C0DE,
        session=77,
        packed=packed,
        configured=t,
        start=t,
        stop=t,
        annotation=(("_p", "right thigh"), ("_sc", "a&b-ø")),
    )


@pytest.mark.parametrize("packed", [True, False])
def test_sectors_hold_exactly_the_counts_and_times_given(packed: bool) -> None:
    setup, m = _setup(packed=packed), 5
    counts = np.random.default_rng(1).integers(-512, 512, (m, setup.samples, 3)).astype(np.int16)
    counts[0, 0], counts[0, 1] = (-512, 511, 0), (0, -1, 1)
    times = np.datetime64("2024-02-29T23:59:58.123456789", "ns") + np.arange(m) * np.timedelta64(2_400_700_001, "ns")
    index = anchor(0, m, setup.samples)
    notes = Notes(temperature_c=np.full(m, 31.0), battery_v=np.full(m, 4.0), light=np.arange(m))
    made = sectors(setup, counts, times, anchor_index=index, first_sequence=9, notes=notes, resumed=True)
    assert made.dtype.itemsize == 512
    read = _decoded([made[i].tobytes() for i in range(m)])
    assert read.good.all()
    np.testing.assert_array_equal(read.g, counts / setup.counts_per_g)
    np.testing.assert_array_equal(read.index, index)
    np.testing.assert_array_equal(read.sequence, np.arange(9, 9 + m))
    np.testing.assert_array_equal(read.events, [1, 0, 0, 0, 0])
    expected = (times - np.datetime64("2000-01-01", "ns")) / np.timedelta64(1, "s")
    assert np.all((read.clock_s <= expected + 1e-6) & (read.clock_s > expected - 1 / 32768 - 1e-6))
    assert np.abs(read.temperature_c - 31).max() < 75 / 512 + 1e-9


def test_a_time_stamp_belongs_to_a_hand_over_of_25_samples_as_in_a_real_file() -> None:
    np.testing.assert_array_equal(anchor(0, 5, 120), [125, 130, 135, 140, 120])
    np.testing.assert_array_equal(anchor(2, 2, 120), [135, 140])


def test_stamps_pack_the_calendar() -> None:
    (value,) = stamp(np.array(["2024-02-29T13:14:15"], dtype="datetime64[s]"))
    assert value == 24 << 26 | 2 << 22 | 29 << 17 | 13 << 12 | 14 << 6 | 15


def test_the_header_says_device_rate_site_and_text() -> None:
    text = header(_setup(packed=True))
    assert len(text) == 1024
    assert text[:4] == b"MD\xfc\x03"
    assert struct.unpack_from("<HIH", text, 5) == (0xC0DE, 77, 1)
    assert text[36] == 0x49
    assert text[37:41] == stamp(np.array(["2024-02-29T23:59:58"], dtype="datetime64[s]")).tobytes()
    assert text[64:512].rstrip() == b"_p=right+thigh&_sc=a%26b-%c3%b8"


# --- whole recordings ------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes_and_another_participant_changes_nothing(tmp_path: Path) -> None:
    def digest(folder: str, participants: int, seed: int) -> dict[str, str]:
        out = tmp_path / folder
        simulate_recordings(out, participants=participants, days=0.004, seed=seed)
        files = sorted(path for path in out.rglob("sim0001*") if path.is_file())
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    one = digest("a", 1, 5)
    assert len(one) == 4
    assert one == digest("b", 2, 5)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "b").rglob("sim000*")]
    assert len(set(digests)) == 8
    starts = {json.loads((tmp_path / "b" / "truth" / f"sim000{i}.json").read_text())["start_utc"] for i in (1, 2)}
    assert len(starts) == 2
    assert all(one[name] != other for name, other in digest("c", 1, 6).items())


def test_a_clean_recording_is_stamped_by_true_time(tmp_path: Path) -> None:
    out, truth = simulated(tmp_path, plain())
    start = dt.datetime.fromisoformat(truth["start_utc"]).astimezone(ZoneInfo("Europe/Oslo")).replace(tzinfo=None)
    for name in ("thigh", "back"):
        read = decode(out / f"sim0001_{name}.cwa")
        assert read.good.all()
        assert len(read.good) == truth["devices"][name]["sectors"] == 864 * 50 // 120
        shown = read.clock_s - (start - EPOCH).total_seconds()
        assert np.abs(shown - read.sample / 50).max() <= 1 / 32768


def test_rate_offset_and_drift_are_what_the_stamps_show(tmp_path: Path) -> None:
    mix = plain(rate_error_ppm=2000.0, clock_offset_s=0.5, drift_s_per_day=40.0)
    out, truth = simulated(tmp_path, mix, days=0.03)
    start = dt.datetime.fromisoformat(truth["start_utc"]).astimezone(ZoneInfo("Europe/Oslo")).replace(tzinfo=None)
    seen = []
    for name in ("thigh", "back"):
        device = truth["devices"][name]
        read = decode(out / f"sim0001_{name}.cwa")
        np.testing.assert_array_equal(read.sequence, np.arange(len(read.good)))  # over more than one chunk
        assert len(read.good) > CHUNK
        true_s = read.sample / device["rate_hz"]
        ahead = read.clock_s - (start - EPOCH).total_seconds() - true_s
        slope, offset = np.polyfit(true_s / 86400, ahead, 1)
        assert slope == pytest.approx(device["clock"]["drift_s_per_day"], abs=0.005)
        assert offset == pytest.approx(device["clock"]["offset_s_at_start"], abs=1e-4)
        seen += [slope, offset, device["rate_hz"] - 50]
    assert max(map(abs, seen[:3])) > 0.05
    assert seen[0] != seen[3]


def test_what_is_felt_keeps_true_time_at_the_real_rate(tmp_path: Path) -> None:
    out, truth = simulated(tmp_path, plain(rate_error_ppm=8000.0), days=0.03)
    shifts = []
    for name in ("thigh", "back"):
        g, rate = decode(out / f"sim0001_{name}.cwa").g, truth["devices"][name]["rate_hz"]
        true_s = np.arange(len(g)) * 120 / rate
        walks = (g.std(axis=1).max(axis=1) > 0.06) & (true_s > 2120)  # lying, sitting, and from 2160 s on walking
        assert true_s[walks][0] == pytest.approx(2160, abs=3)
        shifts.append(2160 * abs(rate / 50 - 1))
    assert max(shifts) > 8


def test_calibration_errors_act_as_the_truth_says(tmp_path: Path) -> None:
    mix = plain(gain_sd=0.03, offset_sd_g=0.05, temperature_sd_g_per_c=0.002, noise_g=0.0, packed=0.0)
    out, truth = simulated(tmp_path / "wrong", mix)
    same, _ = simulated(tmp_path / "right", replace(mix, device=replace(clean().device, noise_g=0.0, packed=0.0)))
    read, right = decode(out / "sim0001_thigh.cwa"), decode(same / "sim0001_thigh.cwa")
    error = truth["devices"]["thigh"]["calibration"]
    warm = read.temperature_c[:, None, None] - 25
    expected = right.g * error["gain"] + error["offset_g"] + warm * error["temperature_g_per_c"]
    assert np.abs(read.g - expected).max() < 0.004 + 0.002 * 0.5
    assert np.abs(read.g - right.g).mean() > 0.01


def test_faults_are_where_the_truth_says(tmp_path: Path) -> None:
    mix = plain(corrupt=1.0, missing=1.0, missing_s=60.0, restart=1.0, restart_s=30.0, truncated=1.0)
    out, truth = simulated(tmp_path, mix, days=0.015)
    for name in ("thigh", "back"):
        device = truth["devices"][name]
        path = out / f"sim0001_{name}.cwa"
        read = decode(path)
        assert (path.stat().st_size - 1024) % 512 == 512 - device["declared_faults"]["truncated_bytes"]
        assert len(read.good) == device["sectors"]
        assert np.flatnonzero(~read.good).tolist() == device["corrupt_blocks"]
        assert 4 <= len(device["corrupt_blocks"]) <= 6
        missing, restart = device["gaps"]
        jump = missing["after_sector"]
        assert read.sequence[jump + 1] - read.sequence[jump] == round(60 / 2.4) + 1
        again = restart["after_sector"] + 1
        assert read.sequence[again] == 0
        assert read.events[again] == 1
        assert (np.diff(read.sequence) <= 0).sum() == 1
        for gap in (missing, restart):
            clock = [(dt.datetime.fromisoformat(t[:26]) - EPOCH).total_seconds() for t in gap["device_clock"]]
            before, after = gap["after_sector"], gap["after_sector"] + 1
            assert read.clock_s[before] + (120 - read.index[before]) / 50 == pytest.approx(clock[0], abs=1e-3)
            assert read.clock_s[after] - read.index[after] / 50 == pytest.approx(clock[1], abs=1e-3)


def test_without_faults_declared_there_are_none(tmp_path: Path) -> None:
    _, truth = simulated(tmp_path, plain())
    for device in truth["devices"].values():
        assert device["corrupt_blocks"] == device["gaps"] == device["not_worn"] == []
        assert device["placement"] == {"tilt_deg": 0.0, "upside_down": False, "inside_out": False, "swapped": False}
        assert device["calibration"]["gain"] == [1.0, 1.0, 1.0]
        assert device["rate_hz"] == 50.0


@pytest.mark.parametrize(("wear", "signs"), [({"upside_down": 1.0}, (-1, -1, 1)), ({"inside_out": 1.0}, (1, -1, -1))])
def test_a_turned_device_has_the_signs_turned(tmp_path: Path, wear: dict[str, float], signs: tuple[int, ...]) -> None:
    mix = plain(noise_g=0.0)
    right, _ = simulated(tmp_path / "right", mix)
    turned, _ = simulated(tmp_path / "turned", replace(mix, wear=replace(mix.wear, **wear)))
    a, b = (decode(folder / "sim0001_thigh.cwa").g for folder in (right, turned))
    np.testing.assert_array_equal(b, a * signs)


def test_swapped_devices_hold_each_other_s_signal(tmp_path: Path) -> None:
    mix = plain()
    right, _ = simulated(tmp_path / "right", mix)
    swapped, truth = simulated(tmp_path / "swapped", replace(mix, wear=replace(mix.wear, swapped=1.0)))
    assert truth["devices"]["thigh"]["worn_at"] == "back"
    assert truth["devices"]["thigh"]["placement"]["swapped"]
    means = {
        (folder.parent.name, name): decode(folder / f"sim0001_{name}.cwa").g.mean(axis=(0, 1))
        for folder in (right, swapped)
        for name in ("thigh", "back")
    }
    np.testing.assert_allclose(means["swapped", "thigh"], means["right", "back"], atol=0.01)
    assert np.abs(means["right", "thigh"] - means["right", "back"]).max() > 0.2


def test_everything_says_that_it_is_simulated_and_names_nobody(tmp_path: Path) -> None:
    out, truth = simulated(tmp_path, plain())
    assert truth["simulated"] is True
    assert json.loads((out / "truth" / "truth.json").read_text())["simulated"] is True
    text = (out / "sim0001_back.cwa").read_bytes()[64:512].rstrip().decode()
    assert "SIMULATED" in text
    assert "_p=lower+back" in text
    assert "_sc=sim0001" in text


# --- the truth -------------------------------------------------------------------------------------------------------


def test_steps_are_the_integral_of_cadence_and_days_add_up(tmp_path: Path) -> None:
    out, truth = simulated(tmp_path, plain())
    table = pd.read_parquet(out / "truth" / "sim0001.parquet")
    (day,) = truth["days"].values()
    assert len(table) == truth["seconds"] == 864 == sum(day["seconds"].values()) == day["recorded_s"]
    assert day["seconds"]["walking"] == 120 + 120 + 120  # 2.88 rounds of 300 s
    assert sum(day["walking_seconds"].values()) == 360
    assert day["steps"] == pytest.approx(table["cadence_spm"].sum() / 60, abs=1e-3)
    assert day["steps"] == pytest.approx(360 / 60 * 100, rel=0.03)
    assert (table["cadence_spm"] > 0).equals(table["activity"] == "walking")


def test_the_back_moves_at_the_true_cadence() -> None:
    mix = replace(plain(), program=(Part(activity="walking", seconds=300, cadence_spm=112.0),))
    plan, course, pools = _course(mix, 300)
    steps = plan.cadence_spm.sum() / 60
    assert plan.stride_phase[-1] * 2 == pytest.approx(steps)
    t = np.arange(300 * 50) / 50
    x = felt(course, "back", t, pools, np.random.default_rng(2), noise_g=0.0)[0]
    power = np.abs(np.fft.rfft(x - x.mean())) ** 2
    f = np.fft.rfftfreq(len(x), 1 / 50)
    near = (f > 1.5) & (f < 2.3)
    assert (f[near] * power[near]).sum() / power[near].sum() == pytest.approx(steps / 300, rel=0.02)


def _walk_felt(noise_g: float = 0.0) -> tuple[Any, Any, dict[str, np.ndarray[Any, Any]]]:
    """A walk of ten minutes at 250 samples/s, so that single strikes can be timed."""
    mix = replace(plain(), program=(Part(activity="walking", seconds=600, cadence_spm=100.0),))
    plan, course, pools = _course(mix, 600)
    t = np.arange(600 * 250) / 250
    both = {site: felt(course, site, t, pools, np.random.default_rng(2), noise_g=noise_g) for site in ("thigh", "back")}
    return plan, course, both


def _shock(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Log of the size above 6 Hz of a signal of 250 samples/s."""
    f = np.fft.rfftfreq(x.shape[1], 1 / 250)
    size = np.sqrt((np.fft.irfft(np.fft.rfft(x) * (f > 6) * (f < 25), x.shape[1]) ** 2).sum(axis=0))
    return np.log(size + 0.03)


def test_a_heel_strike_is_felt_by_both_sensors_within_30_ms() -> None:
    _, _, both = _walk_felt()
    thigh, back = (_shock(both[site]) for site in ("thigh", "back"))
    lags = np.arange(-150, 151)
    agree = [np.corrcoef(thigh[200:-200], back[200 + k : len(back) - 200 + k])[0, 1] for k in lags]
    assert 0 <= lags[int(np.argmax(agree))] / 250 <= 0.03
    assert 0.4 < max(agree) < 0.9  # in walking people 0.62 in the median
    assert max(agree) > 1.15 * max(a for a, k in zip(agree, lags, strict=True) if abs(k) > 50)


def test_steps_come_a_little_early_or_late_and_differ_in_strength() -> None:
    plan, course, both = _walk_felt()
    assert np.std(np.diff(course.late)) == pytest.approx(0.025, rel=0.1)
    assert np.std(np.log(course.strength)) == pytest.approx(0.13, rel=0.1)
    steps = int(2 * plan.stride_phase[-1])
    edges = np.searchsorted(np.interp(np.arange(600 * 250) / 250, np.arange(601), 2 * plan.stride_phase), range(steps))
    peaks = np.array([np.maximum.reduceat(_shock(both[site]), edges) for site in ("thigh", "back")])[:, 2:-2]
    own = peaks[:, 0::2] if peaks[0, 0::2].mean() > peaks[0, 1::2].mean() else peaks[:, 1::2]
    assert np.corrcoef(own)[0, 1] > 0.5, "a strong step is strong in both"
    assert peaks[0, 0::2].mean() - peaks[0, 1::2].mean() > 0.2, "the thigh feels its own foot more"


def test_the_clocks_of_a_simulated_pair_are_brought_together(tmp_path: Path) -> None:
    mix = replace(plain(clock_offset_s=0.5, drift_s_per_day=2.0, rate_error_ppm=2500.0), program=())
    out, truth = simulated(tmp_path, mix, days=0.6, seed=8)
    thigh, back = (open_recording(out / f"sim0001_{name}.cwa") for name in ("thigh", "back"))
    clock = synchronise(thigh, back)
    start = dt.datetime.fromisoformat(truth["start_utc"]).astimezone(ZoneInfo("Europe/Oslo")).replace(tzinfo=None)
    zero = float((np.datetime64(start, "ns") - thigh.origin) / np.timedelta64(1, "s"))
    true_s = np.linspace(0, truth["seconds"], 50)
    shown = [
        zero + true_s * (1 + c["drift_s_per_day"] / 86400) + c["offset_s_at_start"]
        for c in (truth["devices"][name]["clock"] for name in ("thigh", "back"))
    ]
    assert clock.verdict == "synchronised"
    assert np.abs(shown[0] - shown[1]).max() > 0.1
    assert np.abs(clock.thigh_time(shown[1]) - shown[0]).max() < 0.04


def test_standing_up_moves_both_sensors() -> None:
    mix = replace(plain(), program=tuple(Part(activity=a, seconds=60) for a in ("sitting", "standing")))
    _, course, _ = _course(mix, 600)
    near = np.abs((np.arange(600) + 30) % 60 - 30) < 2
    near[:2] = near[-2:] = False
    for rows in (slice(0, 3), slice(3, 6)):
        calm = course.movement[rows][:, ~near].mean()
        assert course.movement[rows][:, near].mean() > 2.5 * calm


def _course(mix: RecordingMix, seconds: int, seed: int = 1) -> Any:
    rng = np.random.default_rng(seed)
    person = draw_person(mix.people, 0.3, 0.2, rng)
    plan = make_plan(mix, person, dt.datetime(2024, 2, 1, 9, tzinfo=dt.UTC), seconds=seconds, handling_s=0, rng=rng)
    return plan, make_course(plan, rng), make_pools(50, np.random.default_rng(0))


def test_postures_lie_where_they_do_in_people() -> None:
    for seed in range(5):
        plan, course, pools = _course(plain(), 300, seed)
        t = np.arange(300 * 50) / 50
        rng = np.random.default_rng(seed)
        thigh, back = (felt(course, site, t, pools, rng, noise_g=0.004) for site in ("thigh", "back"))
        activity = np.repeat(plan.activity, 50)
        stands, sits, lies, walks = (activity == CODE[a] for a in ("standing", "sitting", "lying", "walking"))
        assert thigh[0, stands].mean() > 0.85
        assert back[0, stands].mean() > 0.7
        assert abs(thigh[0, sits].mean()) < 0.65
        assert back[0, sits].mean() > 0.4
        assert abs(back[0, lies].mean()) < 0.6
        assert thigh[0, walks].std() > 0.1 > thigh[0, stands].std()


def test_days_of_23_24_and_25_hours_add_up() -> None:
    for first, hours in ((dt.date(2024, 3, 30), 23), (dt.date(2024, 5, 1), 24), (dt.date(2024, 10, 26), 25)):
        mix, zone = RecordingMix(), ZoneInfo("Europe/Oslo")
        start = dt.datetime.combine(first, dt.time(9), zone).astimezone(dt.UTC)
        rng = np.random.default_rng(4)
        person = draw_person(mix.people, 0.3, 0.2, rng)
        plan = make_plan(mix, person, start, seconds=3 * 86400, handling_s=600, rng=rng)
        table = seconds_table(plan, ())
        day = daily_truth(table)[str(first + dt.timedelta(days=1))]
        assert day["recorded_s"] == hours * 3600 == sum(day["seconds"].values())
        local = pd.DatetimeIndex(table["local_time"])
        asleep = (table["activity"] == "lying").to_numpy()
        assert asleep[(local.hour >= 1) & (local.hour < 5)].mean() > 0.95


def test_a_week_is_lived_as_declared() -> None:
    mix = RecordingMix()
    walked, wanted = [], []
    for seed in range(10):
        plan, person = _week(mix, seed)
        walked.append((plan.activity == CODE["walking"]).mean() * 1440)
        wanted.append(person.walking_min)
    assert np.corrcoef(walked, wanted)[0, 1] > 0.9
    assert np.mean(walked) / np.mean(wanted) == pytest.approx(1, abs=0.15)


def _week(mix: RecordingMix, seed: int) -> tuple[Any, Person]:
    rng = np.random.default_rng(seed)
    person = draw_person(mix.people, 0.3, 0.2, rng)
    start = dt.datetime(2024, 2, 1, 9, tzinfo=dt.UTC)
    return make_plan(mix, person, start, seconds=7 * 86400, handling_s=0, rng=rng), person


def test_a_device_off_the_body_is_still_and_cools(tmp_path: Path) -> None:
    mix = plain()
    mix = replace(mix, wear=replace(mix.wear, one_off=1.0))
    out, truth = simulated(tmp_path, mix, days=0.1)
    off = {name: truth["devices"][name]["not_worn"] for name in ("thigh", "back")}
    (name,) = (name for name in off if off[name])
    ((start, stop),) = off[name]
    read = decode(out / f"sim0001_{name}.cwa")
    middle = (np.arange(len(read.g)) + 0.5) * 2.4
    inside = (middle > start + 3) & (middle < stop - 3)
    assert read.g[inside].reshape(-1, 3).std(axis=0).max() < 0.013
    last = np.flatnonzero(inside)[-1]
    assert read.temperature_c[last] < 23 < read.temperature_c[np.flatnonzero(inside)[0]]
    table = pd.read_parquet(out / "truth" / "sim0001.parquet")
    assert (~table[f"{name}_worn"]).sum() == stop - start
    other = {"thigh": "back", "back": "thigh"}[name]
    assert table[f"{other}_worn"].all()


def test_handling_turns_every_axis_both_ways(tmp_path: Path) -> None:
    mix = plain()
    out, truth = simulated(tmp_path, replace(mix, wear=replace(mix.wear, handling_min=5.0)), days=0.02)
    for name in ("thigh", "back"):
        assert truth["devices"][name]["not_worn"] == [[0, 300]]
        g = decode(out / f"sim0001_{name}.cwa").g[:125].reshape(-1, 3)
        assert (g.min(axis=0) < -0.9).all()
        assert (g.max(axis=0) > 0.9).all()


def test_temperature_goes_towards_skin_and_room() -> None:
    worn = np.repeat([True, False], 7200)
    t = temperature(worn, np.random.default_rng(0))
    assert len(t) == 240
    assert t[119] > 31
    assert t[239] < 21.2
    assert t[0] < 23


def test_the_outcome_has_the_declared_risk() -> None:
    outcome = RecordingMix().outcome
    person = Person(
        age_years=55.0, is_female=False, smoking=0, walking_min=90.0, cadence_spm=100.0, runs=False, cycles=False
    )
    assert risk_of(outcome, person, 90.0) == pytest.approx(0.2)
    assert risk_of(outcome, person, 150.0) == pytest.approx(0.2 * np.exp(-0.25))
    other = replace(person, age_years=65.0, is_female=True, smoking=2)
    assert risk_of(outcome, other, 90.0) == pytest.approx(0.2 * np.exp(0.1 + 0.1 + 0.3))


def test_the_questionnaire_has_one_row_a_participant_and_no_truth(tmp_path: Path) -> None:
    made = simulate_recordings(tmp_path / "r", participants=3, days=0.002, seed=1, mix=plain())
    with made.questionnaires.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["participant_id"] for row in rows] == ["sim0001", "sim0002", "sim0003"]
    assert set(rows[0]) == {"participant_id", "age", "sex", "smoking", "outcome"}
    assert sum(int(row["outcome"]) for row in rows) == made.cases
    assert [path.name for path in made.recordings[:2]] == ["sim0001_thigh.cwa", "sim0001_back.cwa"]


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_folder_with_something_in_it_and_odd_numbers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    for arguments in (
        {"participants": 1, "days": 1.0, "seed": 1},
        {"participants": 0, "days": 1.0, "seed": 1},
        {"participants": 1, "days": 0.0, "seed": 1},
        {"participants": 1, "days": 1.0, "seed": -1},
    ):
        folder = (
            tmp_path if arguments["participants"] and arguments["days"] and arguments["seed"] > 0 else tmp_path / "n"
        )
        with pytest.raises(UsageFault):
            simulate_recordings(folder, **arguments)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_progress_ends_at_the_end(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    simulate_recordings(
        tmp_path / "r", participants=2, days=0.002, seed=1, mix=plain(), progress=lambda *a: seen.append(a)
    )
    shares = [done / of for _, done, of in seen]
    assert shares == sorted(shares)
    assert shares[-1] > 0.97
    assert max(shares) <= 1


def test_every_fault_of_a_declaration_is_named() -> None:
    with pytest.raises(StudyFault) as caught:
        parse_mix(
            {
                "rate_hz": 60,
                "wear": {"swapped": 1.5},
                "people": {"speed_limits_spm": [115, 100]},
                "calendar": {"timezone": "Oslo", "first_day": "soon"},
            }
        )
    said = str(caught.value)
    for key in ("rate_hz", "wear.swapped", "people.speed_limits_spm", "calendar.timezone", "calendar.first_day"):
        assert key in said


def test_the_shipped_declaration_is_the_default_one() -> None:
    shipped = load_mix(ROOT / "analyses" / "simulated_recordings.toml")
    assert replace(shipped, title=RecordingMix().title) == RecordingMix()


def test_the_default_mix_has_every_fault_and_mostly_clean_devices() -> None:
    rng = np.random.default_rng(0)
    pairs = [draw_devices(RecordingMix(), 7 * 86400, 720, (), rng) for _ in range(400)]
    devices: list[DeviceTruth] = [device for pair in pairs for device in pair]
    faulty = np.mean([device.trouble != Trouble() for device in devices])
    assert 0.15 < faulty < 0.3
    assert 0.07 < np.mean([device.is_upside_down for device in devices]) < 0.13
    assert 0.02 < np.mean([pair[0].site == "back" for pair in pairs]) < 0.07
    assert np.std([device.drift_s_per_day for device in devices]) == pytest.approx(2 / np.sqrt(3), rel=0.1)
    assert declaration.RATES == (25, 50, 100, 200)


def test_a_device_is_laid_in_one_direction_for_each_time_off() -> None:
    rng = np.random.default_rng(0)
    mix = plain()
    mix = replace(mix, wear=replace(mix.wear, both_off=1.0))
    device, _ = draw_devices(mix, 86400, 240, (), rng)
    still = lying_about(device, 240, rng)
    assert sorted(still)[:10] == list(range(0, 240, 24))
    assert len(still) == 11
    np.testing.assert_allclose([np.linalg.norm(v) for v in still.values()], 1)
