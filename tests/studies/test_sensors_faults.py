"""Bad recordings, full disks, dying processes and odd pairs: said, never a crash, never silent, never the others'."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from walkrisk.cli import main
from walkrisk.errors import RecordingFault, UsageFault
from walkrisk.recordings.opening import open_recording
from walkrisk.recordings.recording import Source
from walkrisk.recordings.windows import window_summaries
from walkrisk.sensors import participant
from walkrisk.sensors.pairs import Pair
from walkrisk.sensors.participant import Task, process
from walkrisk.sensors.run import SensorRun, run_sensors
from walkrisk.sensors.settings import SensorSettings
from walkrisk.sensors.store import check_store, read_part
from walkrisk.simulation.recording_declaration import Calendar, Part, RecordingMix, clean
from walkrisk.simulation.recordings import simulate_recordings

DEFAULTS = SensorSettings()
HEADER, SECTOR = 1024, 512
SCREEN = 25


def mix(*, day: str = "2024-02-01", **device: float) -> RecordingMix:
    program = tuple(
        Part(activity=a, seconds=s, cadence_spm=c)  # type: ignore[arg-type]
        for a, s, c in (("sitting", 90, 0), ("walking", 120, 104), ("standing", 60, 0), ("lying", 60, 0))
    )
    plain = clean()
    return replace(
        plain,
        program=program,
        device=replace(plain.device, **device),
        calendar=Calendar(clock_change=1.0, clock_change_day=day),
    )


def simulated(folder: Path, *, participants: int = 1, days: float = 0.01, **options: Any) -> Path:
    simulate_recordings(folder, participants=participants, days=days, seed=3, mix=mix(**options))
    return folder


@pytest.fixture(scope="module")
def cwa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs of a quarter of an hour."""
    return simulated(tmp_path_factory.mktemp("recordings") / "cwa", participants=2)


def run(recordings: Path, out: Path, settings: SensorSettings = DEFAULTS) -> tuple[SensorRun, pd.DataFrame]:
    """The run and its quality table, by participant."""
    found = run_sensors(recordings, out=out, settings=settings, pictures=False)
    table = pd.read_csv(out / "quality.csv", dtype={"participant_id": str}, keep_default_na=False)
    return found, table.set_index("participant_id")


def pair(folder: Path, who: str, thigh: Path | bytes | None, back: Path | bytes | None) -> None:
    folder.mkdir(exist_ok=True)
    for site, content in (("thigh", thigh), ("back", back)):
        if content is not None:
            data = content.read_bytes() if isinstance(content, Path) else content
            (folder / f"{who}_{site}.cwa").write_bytes(data)


def days_of(out: Path, who: str) -> pd.DataFrame:
    days = pd.read_parquet(out / "days.parquet")
    return days[days["participant_id"] == who]


# --- files that are no recordings ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bad_folder(cwa: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sound pairs, and around them whatever ends up in folders."""
    folder = tmp_path_factory.mktemp("bad") / "mixed"
    folder.mkdir()
    for path in cwa.glob("*.cwa"):
        shutil.copy2(path, folder)
    thigh, back = cwa / "sim0001_thigh.cwa", cwa / "sim0001_back.cwa"
    noise = np.random.default_rng(1)
    picture = b"\x89PNG\r\n\x1a\n" + noise.bytes(3000)
    pair(folder, "empty", b"", back)
    pair(folder, "header", thigh.read_bytes()[:300], None)
    pair(folder, "headeronly", thigh.read_bytes()[:HEADER], None)
    pair(folder, "random", noise.bytes(20_000), noise.bytes(20_000))
    pair(folder, "text", b"Dear reader,\nthis is no recording.\n", None)
    pair(folder, "picture", picture, None)
    pair(folder, "zeros", bytes(50_000), None)
    pair(folder, "lonely", None, back)
    shutil.copy2(thigh, folder / "renamed_thigh.csv")
    shutil.copy2(back, folder / "renamed_back.xyz")
    (folder / "table_thigh.csv").write_text("datetime,acc_x,acc_y,acc_z\n")
    (folder / "words_thigh.csv").write_text("name,age\nA,3\n")
    (folder / "parquet_thigh.parquet").write_bytes(b"PAR1" + noise.bytes(500) + b"PAR1")
    (folder / "folder_thigh.cwa").mkdir()
    (folder / "dangling_thigh.cwa").symlink_to("nowhere.cwa")
    return folder


UNREADABLE = {
    "dangling", "header", "headeronly", "parquet", "picture", "random", "table", "text", "words", "zeros",
}  # fmt: skip


def test_bad_files_are_said_and_stop_nobody(
    bad_folder: Path, cwa: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    settings = tmp_path / "sensors.toml"
    settings.write_text("")
    words = ["sensors", str(bad_folder), "--out", str(out), "--settings", str(settings), "--no-pictures"]
    assert main(words) == RecordingFault.exit_code == 6
    said = capsys.readouterr()
    quality = pd.read_csv(out / "quality.csv", keep_default_na=False).set_index("participant_id")
    assert set(quality.index[quality["status"] == "failed"]) == UNREADABLE
    assert (quality.loc[sorted(UNREADABLE), "thigh_status"] == "unreadable").all()
    assert (quality.loc[["empty", "lonely"], "status"] == "reduced").all()
    assert quality.loc["empty", "thigh_status"] == "unreadable"
    assert quality.loc["lonely", "thigh_status"] == "absent"
    assert (quality.loc[["renamed", "sim0001", "sim0002"], "thigh_status"] == "read").all()  # by content, not by name
    unread = (quality[["thigh_status", "back_status"]] == "unreadable").to_numpy().sum()
    assert f"{unread} recording(s) came to nothing" in said.err
    assert len((said.out + said.err).splitlines()) <= SCREEN
    assert not [who for who in quality.index if f"{who}_" in said.out + said.err or f"{who} " in said.err]
    run_sensors(cwa, out=tmp_path / "alone", settings=DEFAULTS, pictures=False)
    for who in ("sim0001", "sim0002"):
        assert read_part(out, who).days == read_part(tmp_path / "alone", who).days  # type: ignore[union-attr]


def test_quality_csv_says_why_a_file_could_not_be_read(bad_folder: Path, tmp_path: Path) -> None:
    _, quality = run(bad_folder, tmp_path / "out")
    why = quality["notes"]
    assert "empty" in why["empty"]
    assert "no .cwa recording" in why["text"]
    assert "cannot be read" in why["dangling"]
    for who in UNREADABLE:
        assert why[who].startswith("Thigh: "), who
    assert "Thigh: " in why["random"]
    assert "Back: " in why["random"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_said(cwa: Path, tmp_path: Path) -> None:
    pair(tmp_path / "in", "p", cwa / "sim0001_thigh.cwa", cwa / "sim0001_back.cwa")
    (tmp_path / "in" / "p_back.cwa").chmod(0)
    _, quality = run(tmp_path / "in", tmp_path / "out")
    assert quality.loc["p", "status"] == "reduced"
    assert "Permission denied" in quality.loc["p", "notes"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p_thigh.cwa")
    keep = os.open(tmp_path / "p_thigh.cwa", os.O_RDWR | os.O_NONBLOCK)
    said: list[str] = []

    def opened() -> None:
        try:
            open_recording(tmp_path / "p_thigh.cwa")
        except RecordingFault as fault:
            said.extend(fault.faults)

    reader = threading.Thread(target=opened, daemon=True)
    reader.start()
    reader.join(5)
    waiting = reader.is_alive()
    os.close(keep)  # lets a reader that waits go
    assert not waiting
    assert said


def test_a_disk_that_fails_while_reading_is_said_as_such(
    cwa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(source: Source) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("walkrisk.sensors.preparation.window_summaries", failing)
    found, quality = run(cwa, tmp_path / "out")
    assert found.unread == 4
    assert quality["notes"].str.contains("Input/output error").all()
    assert not quality["notes"].str.contains("bug").any()


# --- files damaged in part -------------------------------------------------------------------------------------------


def signed(sector: bytearray) -> bytearray:
    """The sector with the checksum its content asks for."""
    total = int(np.frombuffer(bytes(sector[:-2]), "<u2").sum(dtype=np.uint64))
    sector[-2:] = (-total & 0xFFFF).to_bytes(2, "little")
    return sector


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Bits flipped, bytes lost, sectors moved, and fields made wild under a right checksum."""
    b = bytearray(data)
    sectors = (len(b) - HEADER) // SECTOR

    def at() -> int:
        return HEADER + int(rng.integers(sectors)) * SECTOR

    kind = int(rng.integers(9))
    i = int(rng.integers(len(b)))
    if kind == 0:
        for k in rng.integers(0, len(b), int(rng.integers(1, 500))):
            b[k] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        n = min(int(rng.integers(1, 9000)), len(b) - i)
        b[i : i + n] = rng.bytes(n)
    elif kind == 2:
        del b[i:]
    elif kind == 3:
        b[i:i] = rng.bytes(int(rng.integers(1, 2000)))
    elif kind == 4:
        del b[i : i + int(rng.integers(1, 2000))]
    elif kind == 5:
        i, j = at(), at()
        b[i : i + SECTOR], b[j : j + SECTOR] = b[j : j + SECTOR], b[i : i + SECTOR]
    elif kind == 6:
        for k in rng.integers(0, HEADER, int(rng.integers(1, 60))):
            b[k] = int(rng.integers(256))
    else:
        for _ in range(int(rng.integers(1, sectors // 2))):
            i = at()
            sector = bytearray(b[i : i + SECTOR])
            for k in rng.integers(14, 18, 2) if kind == 7 else rng.integers(2, 30, 3):
                sector[k] = int(rng.integers(256))
            b[i : i + SECTOR] = signed(sector)
    return bytes(b)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pair of a little over four minutes."""
    return simulated(tmp_path_factory.mktemp("tiny") / "cwa", days=0.003)


def sound(source: Source) -> None:
    samples = source.samples(-np.inf, np.inf)
    assert samples.axes_g.shape == (3, len(samples.time_s))
    assert np.isfinite(samples.axes_g).all()
    assert np.abs(samples.axes_g).max(initial=0) <= 32
    assert (np.diff(samples.time_s) > 0).all()
    assert np.isfinite(window_summaries(source).mean_g).all()


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_mutated_files_are_refused_or_read_soundly_and_said(tiny: Path, tmp_path: Path) -> None:
    data = (tiny / "sim0001_thigh.cwa").read_bytes()
    whole = open_recording(tiny / "sim0001_thigh.cwa")
    true = {(t, *g) for t, g in zip(*_values(whole), strict=True)}
    refused = 0
    file = tmp_path / "p_thigh.cwa"
    for k in range(120):
        file.write_bytes(mutated(data, np.random.default_rng([9, k])))
        try:
            source = open_recording(file)
        except RecordingFault:
            refused += 1
            continue
        sound(source)
        lost = true - {(t, *g) for t, g in zip(*_values(source), strict=True)}
        ended_early = not lost or min(t for t, *_ in lost) > max(t for t in _values(source)[0])
        assert ended_early or source.quality.sentences or _near(whole, source), k
    assert refused < 40


def _values(source: Source) -> tuple[list[float], list[tuple[float, ...]]]:
    samples = source.samples(-np.inf, np.inf)
    origin = float((source.origin - np.datetime64("2000-01-01")) / np.timedelta64(1, "s"))
    return (samples.time_s + origin).round(2).tolist(), [tuple(g) for g in samples.axes_g.T.tolist()]


def _near(a: Source, b: Source) -> bool:
    """The same samples but for times: a stamp's fraction may be wrong without a trace by less than tells it."""
    x, y = a.samples(-np.inf, np.inf), b.samples(-np.inf, np.inf)
    return len(x.time_s) == len(y.time_s) and bool(np.abs(x.time_s - y.time_s).max() < 0.25)


def test_mutated_pairs_go_all_the_way(tiny: Path, tmp_path: Path) -> None:
    thigh, back = ((tiny / f"sim0001_{site}.cwa").read_bytes() for site in ("thigh", "back"))
    for k in range(25):
        rng = np.random.default_rng([5, k])
        pair(tmp_path, "p", mutated(thigh, rng), mutated(back, rng) if k % 2 else back)
        task = Task(Pair("p", tmp_path / "p_thigh.cwa", tmp_path / "p_back.cwa"), DEFAULTS, tmp_path / "o", "s", ())
        assert process(task) == "", k
        part = read_part(tmp_path / "o", "p")
        assert part is not None
        assert part.quality["status"] in ("complete", "reduced", "failed")
        assert len(part.days) <= 60
        assert part.quality["notes"] or part.quality["status"] == "complete", k


# --- faults that are not in the recordings ---------------------------------------------------------------------------


def test_a_bug_in_one_participant_is_said_and_the_others_go_on(
    cwa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound_prepare = participant.prepare

    def faulty(one: Pair, settings: SensorSettings) -> object:
        if one.participant_id == "sim0001":
            raise ZeroDivisionError(one.participant_id)
        return sound_prepare(one, settings)

    with monkeypatch.context() as patch:
        patch.setattr(participant, "prepare", faulty)
        found, quality = run(cwa, tmp_path / "out")
    assert found.unread == 1
    assert quality.loc["sim0001", "status"] == "failed"
    assert "bug of its own (ZeroDivisionError at test_sensors_faults.py" in quality.loc["sim0001", "notes"]
    assert quality.loc["sim0002", "status"] != "failed"
    assert set(pd.read_parquet(tmp_path / "out" / "days.parquet")["participant_id"]) == {"sim0002"}
    found, quality = run(cwa, tmp_path / "out")  # once mended, it is tried again
    assert found.unread == 0
    assert found.notes[0].startswith("1 participant(s) were finished")


def dying(task: Task) -> str:
    """Like `process`, but the process ends without a word at the first participant."""
    if task.pair.participant_id == "sim0001":
        os._exit(9)
    return process(task)


def test_a_process_that_dies_loses_only_its_participant(
    cwa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from walkrisk.sensors import run as run_module

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    dying.__module__ = Path(__file__).stem
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setitem(__import__("sys").modules, Path(__file__).stem, __import__("sys").modules[__name__])
    monkeypatch.setattr(run_module, "process", dying)
    found = run_sensors(cwa, out=tmp_path / "out", settings=DEFAULTS, pictures=False, jobs=2)
    quality = pd.read_csv(tmp_path / "out" / "quality.csv").set_index("participant_id")
    assert found.unread == 1
    assert "died twice" in quality.loc["sim0001", "notes"]
    assert quality.loc["sim0002", "status"] != "failed"


class Disk:
    """A disk with room for so many bytes, as far as `os.fsync` can tell."""

    def __init__(self, room: int) -> None:
        self.room, self.sync = room, os.fsync

    def fsync(self, handle: int) -> None:
        self.room -= os.fstat(handle).st_size
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.sync(handle)


def files(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def test_a_full_disk_leaves_no_half_written_table(
    cwa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = tmp_path / "reference"
    (tmp_path / "sensors.toml").write_text("")
    settings = ["--settings", str(tmp_path / "sensors.toml")]
    assert main(["sensors", str(cwa), "--out", str(reference), "--epochs", *settings]) == 0
    whole = files(reference)
    capsys.readouterr()
    total = sum(map(len, whole.values()))
    words = ["sensors", str(cwa), "--out", str(tmp_path / "out"), "--epochs", *settings]
    for room in (0, 4_000, total // 2, total // 2, 15_000):  # of what is left to write, each time
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", Disk(room).fsync)
            code = main(words)
        said = capsys.readouterr()
        if code == 0:
            break
        assert code == UsageFault.exit_code == 2
        assert "No space left on device" in said.err
        assert "run the same command again" in " ".join(said.err.split())
        assert files(tmp_path / "out").items() <= whole.items()
    assert main(words) == 0
    assert files(tmp_path / "out") == whole


def test_a_run_killed_while_writing_a_table_leaves_nothing_beside_it_for_ever(tmp_path: Path) -> None:
    check_store(tmp_path)
    (tmp_path / "parts" / "-settings.json").write_text("{}")
    for folder in (tmp_path, tmp_path / "parts"):
        handle, _ = tempfile.mkstemp(prefix=".walkrisk-", dir=folder)
        os.close(handle)
    check_store(tmp_path)
    assert not list(tmp_path.rglob(".walkrisk-*"))


@pytest.mark.parametrize(
    ("declared", "keys"),
    [
        ("surprise = 1\n[use]\ncalibrate = 'yes'\n[days]\nfoo = 1\n", ("surprise", "use.calibrate", "days.foo")),
        (
            "[time]\ntimezone = 'Europe/Olso'\n[cadence]\nslowest_spm = -3\n[days]\nallowed_unknown_s = 1e9\n"
            "[intensity]\nmoderate_from_spm = 120.0\nbrisk_from_spm = 100.0\n",
            ("time.timezone", "cadence.slowest_spm", "days.allowed_unknown_s", "brisk_from_spm"),
        ),
    ],
)
def test_every_fault_of_the_settings_is_said_at_once(
    cwa: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], declared: str, keys: tuple[str, ...]
) -> None:
    settings = tmp_path / "sensors.toml"
    settings.write_text(declared)
    assert main(["sensors", str(cwa), "--out", str(tmp_path / "out"), "--settings", str(settings)]) == 3
    said = capsys.readouterr().err
    assert [key for key in keys if key not in said] == []
    assert not (tmp_path / "out").exists()


# --- odd pairs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("day", "asked"), [("2024-02-15", True), ("2023-02-01", True), ("2004-02-01", False)])
def test_recordings_that_share_no_time_are_not_one(cwa: Path, tmp_path: Path, day: str, asked: bool) -> None:
    other = simulated(tmp_path / "other", day=day)
    pair(tmp_path / "in", "p", cwa / "sim0001_thigh.cwa", other / "sim0001_back.cwa")
    settings = replace(DEFAULTS, use=replace(DEFAULTS.use, synchronise=asked))
    _, quality = run(tmp_path / "in", tmp_path / "out", settings)
    assert quality.loc["p", "status"] == "reduced"
    assert quality.loc["p", "back_status"] == "not used"
    assert "share no time" in quality.loc["p", "notes"]
    assert len(days_of(tmp_path / "out", "p")) == 1


def test_a_recording_torn_over_months_does_not_fill_the_memory(tiny: Path, tmp_path: Path) -> None:
    """The second half of the sectors stamped 300 days later, as after a clock set anew."""
    data = bytearray((tiny / "sim0001_thigh.cwa").read_bytes())
    for i in range(HEADER + (len(data) - HEADER) // SECTOR // 2 * SECTOR, len(data), SECTOR):
        sector = data[i : i + SECTOR]
        stamp = int.from_bytes(sector[14:18], "little")
        sector[14:18] = (stamp + (10 << 22)).to_bytes(4, "little")  # ten months on
        data[i : i + SECTOR] = signed(sector)
    pair(tmp_path / "in", "p", bytes(data), None)
    _, quality = run(tmp_path / "in", tmp_path / "out")
    assert len(days_of(tmp_path / "out", "p")) <= 60
    assert "more than a month from the rest" in quality.loc["p", "notes"]


def test_a_sensor_that_stops_early_leaves_the_rest_to_the_other(cwa: Path, tmp_path: Path) -> None:
    data = (cwa / "sim0001_back.cwa").read_bytes()
    half = HEADER + (len(data) - HEADER) // SECTOR // 2 * SECTOR
    pair(tmp_path / "in", "p", cwa / "sim0001_thigh.cwa", data[:half])
    pair(tmp_path / "in", "q", cwa / "sim0001_thigh.cwa", cwa / "sim0001_back.cwa")
    _, quality = run(tmp_path / "in", tmp_path / "out")
    cut, whole = (days_of(tmp_path / "out", who).iloc[0] for who in ("p", "q"))
    assert cut["wear_s"] == pytest.approx(whole["wear_s"], abs=60)
    assert cut["both_sensors_s"] < 0.6 * cut["wear_s"]
    assert cut["walking_s"] == pytest.approx(whole["walking_s"], rel=0.1)
    assert float(quality.loc["p", "back_hours"]) == pytest.approx(float(quality.loc["p", "thigh_hours"]) / 2, rel=0.02)


@pytest.mark.parametrize("seconds", [3, 30])
def test_a_recording_of_seconds_is_no_bug(tiny: Path, tmp_path: Path, seconds: int) -> None:
    sectors = -(-seconds * 50 // 120)
    cut = {site: (tiny / f"sim0001_{site}.cwa").read_bytes()[: HEADER + sectors * SECTOR] for site in ("thigh", "back")}
    pair(tmp_path / "in", "p", cut["thigh"], cut["back"])
    pair(tmp_path / "in", "q", cut["thigh"], None)
    _, quality = run(tmp_path / "in", tmp_path / "out")
    assert not quality["notes"].str.contains("bug").any()
    days = pd.read_parquet(tmp_path / "out" / "days.parquet")
    assert (days["wear_s"] <= seconds + 4).all()
    assert (days["day_s"] == 86400).all()


# --- tables as recordings --------------------------------------------------------------------------------------------


def table(source: Path, site: str, hz: float) -> pd.DataFrame:
    """Samples of a simulated recording at a lower or higher rate, as a table in the layout datetime, acc_x ..."""
    opened = open_recording(source / f"sim0001_{site}.cwa")
    samples = opened.samples(-np.inf, np.inf)
    at = np.arange(samples.time_s[0], samples.time_s[-1], 1 / hz)
    axes = [np.interp(at, samples.time_s, axis) for axis in samples.axes_g]
    time = opened.origin.astype("datetime64[ns]") + np.rint(at * 1e9).astype("timedelta64[ns]")
    return pd.DataFrame({"datetime": time} | dict(zip(("acc_x", "acc_y", "acc_z"), axes, strict=True)))


@pytest.mark.parametrize(
    ("thigh_hz", "back_hz", "near"), [(50, 50, 0.1), (50, 100, 0.1), (25, 25, 0.15), (12.5, 12.5, 0.5)]
)
def test_tables_and_other_rates(cwa: Path, tmp_path: Path, thigh_hz: float, back_hz: float, near: float) -> None:
    (tmp_path / "in").mkdir()
    table(cwa, "thigh", thigh_hz).to_csv(tmp_path / "in" / "p_thigh.csv", index=False)
    table(cwa, "back", back_hz).to_parquet(tmp_path / "in" / "p_back.parquet", index=False)
    pair(tmp_path / "in", "q", cwa / "sim0001_thigh.cwa", cwa / "sim0001_back.cwa")
    found, quality = run(tmp_path / "in", tmp_path / "out")
    assert found.unread == 0
    assert float(quality.loc["p", "thigh_rate_hz"]) == pytest.approx(thigh_hz, rel=0.01)
    assert float(quality.loc["p", "back_rate_hz"]) == pytest.approx(back_hz, rel=0.01)
    mine, true = (days_of(tmp_path / "out", who).iloc[0] for who in ("p", "q"))
    assert mine["walking_s"] == pytest.approx(true["walking_s"], rel=near)
    assert mine["sitting_s"] == pytest.approx(true["sitting_s"], rel=near)


def test_one_public_table_serves_both_sites(cwa: Path, tmp_path: Path) -> None:
    thigh, back = (table(cwa, site, 50) for site in ("thigh", "back"))
    n = min(len(thigh), len(back))
    columns: dict[str, Any] = {"timestamp": thigh["datetime"][:n]}
    columns |= {f"back_{a}": back[f"acc_{a}"].to_numpy()[:n] for a in "xyz"}
    columns |= {f"thigh_{a}": thigh[f"acc_{a}"].to_numpy()[:n] for a in "xyz"} | {"label": 1}
    pd.DataFrame(columns).to_csv(tmp_path / "S006.csv", index=False)
    (tmp_path / "manifest.csv").write_text(
        "participant_id,site,path\nS006,thigh,S006.csv\nS006,back,S006.csv\nS007,thigh,nowhere.csv\n"
    )
    found, quality = run(tmp_path / "manifest.csv", tmp_path / "out")
    assert found.unread == 1
    assert quality.loc["S006", ["thigh_status", "back_status"]].tolist() == ["read", "read"]
    assert quality.loc["S007", "status"] == "failed"
    day = days_of(tmp_path / "out", "S006").iloc[0]
    assert day["walking_s"] > 200


def test_every_status_is_counted_in_the_manifest(bad_folder: Path, tmp_path: Path) -> None:
    _, quality = run(bad_folder, tmp_path / "out")
    status = json.loads((tmp_path / "out" / "manifest.json").read_text())["status"]
    assert status == quality["status"].value_counts().to_dict()


def everything_said(capsys: pytest.CaptureFixture[str], call: Callable[[], int]) -> tuple[int, str]:
    code = call()
    said = capsys.readouterr()
    return code, said.out + said.err


def test_no_participant_is_named_on_the_screen(cwa: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    for k in range(40):
        pair(folder, f"Nordmann{k}", b"x", b"")
    pair(folder, "Nordmann99", cwa / "sim0001_thigh.cwa", None)
    words = ["sensors", str(folder), "--out", str(tmp_path / "out"), "--no-pictures"]
    code, said = everything_said(capsys, lambda: main(words))
    assert code == 6
    assert "Nordmann" not in said
    assert len(said.splitlines()) <= SCREEN
    (folder / "Nordmann é?_thigh.cwa").write_bytes(b"x")
    (folder / "nordmann1_thigh.cwa").write_bytes(b"x")
    code, said = everything_said(capsys, lambda: main(words))
    assert code == 4
    assert "ordmann" not in said
