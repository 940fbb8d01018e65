"""Runs over recordings stopped and started again: the same bytes as if nothing had happened, nothing done twice."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from walkrisk.cli import main
from walkrisk.sensors.run import run_sensors
from walkrisk.sensors.settings import SensorSettings
from walkrisk.simulation.recording_declaration import Part, clean
from walkrisk.simulation.recordings import simulate_recordings

DEFAULTS = SensorSettings()
PEOPLE = ("sim0001", "sim0002", "sim0003")
TABLES = {"quality.html", "days.parquet", "quality.csv", "measurement_error.json", "manifest.json"}
PATIENCE_S = 60.0
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pairs of a quarter of an hour."""
    folder = tmp_path_factory.mktemp("recordings") / "cwa"
    program = tuple(
        Part(activity=a, seconds=s, cadence_spm=c)  # type: ignore[arg-type]
        for a, s, c in (("sitting", 90, 0), ("walking", 120, 104), ("standing", 60, 0), ("lying", 60, 0))
    )
    mix = replace(clean(), program=program)
    simulate_recordings(folder, participants=len(PEOPLE), days=0.012, seed=3, mix=mix)
    return folder


@pytest.fixture(scope="module")
def reference(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a run that nothing disturbs leaves."""
    out = tmp_path_factory.mktemp("reference") / "out"
    run_sensors(recordings, out=out, settings=DEFAULTS, epochs=True)
    return left_in(out)


def left_in(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def changed_at(out: Path, *folders: str) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for folder in folders for p in (out / folder).iterdir()}


def walkrisk(*words: str | Path, **options: object) -> subprocess.Popen[str]:
    return python("-m", "walkrisk", "sensors", *words, **options)


def python(*words: str | Path, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, *map(str, words)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


# --- the same bytes --------------------------------------------------------------------------------------------------


def test_an_undisturbed_run_leaves_everything(reference: dict[str, bytes]) -> None:
    pieces = {f"parts/{who}.json" for who in PEOPLE} | {f"epochs/{who}.parquet" for who in PEOPLE}
    pictures = {f"pictures/{who}.png" for who in PEOPLE}
    assert set(reference) == TABLES | pieces | pictures | {"parts/-settings.json"}


KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from walkrisk.sensors.run import run_sensors
from walkrisk.sensors.settings import SensorSettings

left = int(sys.argv[3])
sync = os.fsync


def stopped(handle):
    global left
    left -= 1
    if not left:
        os.ftruncate(handle, 7)  # only the first bytes reached the disk
        os.kill(os.getpid(), signal.SIGKILL)
    sync(handle)


os.fsync = stopped
run_sensors(Path(sys.argv[1]), out=Path(sys.argv[2]), settings=SensorSettings(), epochs=True)
"""


def test_killed_again_and_again_while_writing_it_ends_with_the_same_bytes(
    recordings: Path, reference: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    finished: dict[str, int] = {}
    # Each run writes settings.json, then epochs, picture and part of whoever is left, then the four tables.
    for moment, expected in ((1, 0), (3, 0), (4, 0), (5, 1), (7, 2), (6, 3), (5, 3)):
        child = python("-c", KILLED_WHILE_WRITING, recordings, out, str(moment))
        _, stderr = child.communicate(timeout=PATIENCE_S)
        assert child.returncode == -signal.SIGKILL, stderr
        whole = {name: data for name, data in left_in(out).items() if ".walkrisk-" not in name}
        assert whole.items() <= reference.items()
        done = {k: v for k, v in changed_at(out, "parts").items() if k[:-5] in PEOPLE}
        assert len(done) == expected
        assert finished.items() <= done.items(), "what was finished was done again"
        finished = done
    run_sensors(recordings, out=out, settings=DEFAULTS, epochs=True)
    assert left_in(out) == reference
    assert finished.items() <= changed_at(out, "parts").items()


def test_finished_work_is_not_touched(recordings: Path, reference: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_sensors(recordings, out=out, settings=DEFAULTS, epochs=True)
    assert left_in(out) == reference
    before = changed_at(out, "epochs", "pictures") | parts_of(out)
    said = run_sensors(recordings, out=out, settings=DEFAULTS, epochs=True)
    assert changed_at(out, "epochs", "pictures") | parts_of(out) == before
    assert any("3 participant(s) were finished by an earlier run" in note for note in said.notes)
    assert left_in(out) == reference


def parts_of(out: Path) -> dict[str, int]:
    return {k: v for k, v in changed_at(out, "parts").items() if k != "-settings.json"}


def test_processes_side_by_side_leave_the_same_bytes(
    recordings: Path, reference: dict[str, bytes], tmp_path: Path
) -> None:
    run_sensors(recordings, out=tmp_path / "out", settings=DEFAULTS, epochs=True, jobs=2)
    assert left_in(tmp_path / "out") == reference


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Dask cluster of two worker processes that stand in another folder than we do."""
    distributed = pytest.importorskip("distributed")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    here = Path.cwd()
    os.chdir(elsewhere)
    try:
        cluster = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, local_directory=str(elsewhere)
        )
    finally:
        os.chdir(here)
    with cluster:
        yield cluster.scheduler_address


def test_a_cluster_leaves_the_same_bytes(
    recordings: Path, reference: dict[str, bytes], scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recordings.parent)  # a relative path means what it means here, wherever the workers are
    said = run_sensors(Path(recordings.name), out=tmp_path / "out", settings=DEFAULTS, epochs=True, cluster=scheduler)
    assert said.unread == 0
    assert left_in(tmp_path / "out") == reference


def test_a_cluster_that_is_not_there_is_a_sentence(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed")

    def nobody(**_: object) -> None:
        raise OSError("timed out")

    monkeypatch.setattr(distributed, "Client", nobody)
    words = ["sensors", str(recordings), "--out", str(tmp_path / "out"), "--cluster", "tcp://127.0.0.1:9"]
    assert main(words) == 2
    assert "No Dask scheduler answers" in capsys.readouterr().err


# --- what is redone --------------------------------------------------------------------------------------------------


def test_epochs_asked_for_later_only_add(recordings: Path, reference: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_sensors(recordings, out=out, settings=DEFAULTS)
    assert not (out / "epochs").exists()
    first = {name: data for name, data in left_in(out).items() if name in reference}
    for name in ("days.parquet", "quality.csv", *(f"pictures/{who}.png" for who in PEOPLE)):
        assert first[name] == reference[name]
    run_sensors(recordings, out=out, settings=DEFAULTS, epochs=True)
    assert left_in(out) == reference


def test_other_settings_redo_everyone_and_leave_nothing_of_before(recordings: Path, tmp_path: Path) -> None:
    settings = replace(DEFAULTS, days=replace(DEFAULTS.days, stairs_are_walking=False))
    fresh, out = tmp_path / "fresh", tmp_path / "out"
    run_sensors(recordings, out=fresh, settings=settings, pictures=False)
    run_sensors(recordings, out=out, settings=DEFAULTS, pictures=False, epochs=True)
    before = parts_of(out)
    run_sensors(recordings, out=out, settings=settings, pictures=False)
    assert all(after > before[name] for name, after in parts_of(out).items())
    assert left_in(out) == left_in(fresh)  # no epochs of the settings before beside days of those now


def test_a_changed_recording_redoes_its_participant_only(recordings: Path, tmp_path: Path) -> None:
    mine, out = tmp_path / "mine", tmp_path / "out"
    mine.mkdir()
    for path in recordings.glob("*.cwa"):
        shutil.copy2(path, mine)
    run_sensors(mine, out=out, settings=DEFAULTS, pictures=False)
    before = parts_of(out)
    shutil.copy(recordings / "sim0003_back.cwa", mine / "sim0002_back.cwa")
    run_sensors(mine, out=out, settings=DEFAULTS, pictures=False)
    assert {name for name, when in parts_of(out).items() if when != before[name]} == {"sim0002.json"}
    (mine / "sim0002_back.cwa").unlink()
    run_sensors(mine, out=out, settings=DEFAULTS, pictures=False)
    run_sensors(mine, out=tmp_path / "fresh", settings=DEFAULTS, pictures=False)
    assert left_in(out) == left_in(tmp_path / "fresh")


def test_a_recording_that_could_not_be_reached_is_tried_again(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    for site in ("thigh", "back"):
        shutil.copy2(recordings / f"sim0001_{site}.cwa", mine)
    opened = Path.open

    def refused(path: Path, *words: object, **options: object) -> object:
        if path.suffix == ".cwa" and "_back" in path.name:
            raise PermissionError(13, "Permission denied")
        return opened(path, *words, **options)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refused)
        assert run_sensors(mine, out=tmp_path / "out", settings=DEFAULTS, pictures=False).unread == 1
    assert run_sensors(mine, out=tmp_path / "out", settings=DEFAULTS, pictures=False).unread == 0
    assert run_sensors(mine, out=tmp_path / "out", settings=DEFAULTS, pictures=False).notes[0].startswith("1 ")


# --- stopping --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_keeps_what_is_finished(
    recordings: Path, reference: dict[str, bytes], tmp_path: Path, jobs: int
) -> None:
    settings = tmp_path / "sensors.toml"
    settings.write_text("")
    out = tmp_path / "out"
    words = (recordings, "--out", out, "--settings", settings, "--epochs")
    child = walkrisk(*words, "--jobs", str(jobs))
    wait_until(lambda: child.poll() is not None or list(out.glob("parts/sim*.json")))
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to the workers too
    stdout, stderr = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 130
    assert stdout == ""
    lines = [line for line in stderr.splitlines() if not line.startswith("Note: ")]
    assert lines == ["Stopped; what is finished is kept; the same command goes on from there."]
    kept = parts_of(out)
    assert 1 <= len(kept) < len(PEOPLE)
    assert not (out / "days.parquet").exists()
    assert main(["sensors", *map(str, words), "--quiet"]) == 0
    assert kept.items() <= parts_of(out).items()
    assert left_in(out) == reference


@needs_proc
def test_workers_end_when_their_parent_is_killed(recordings: Path, reference: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    child = walkrisk(recordings, "--out", out, "--jobs", "2", "--epochs", "--settings", settings_in(tmp_path))
    wait_until(lambda: child.poll() is not None or list(out.glob("parts/sim*.json")))
    workers = in_session(child.pid) - {child.pid}
    assert len(workers) >= 2
    child.kill()
    child.communicate(timeout=PATIENCE_S)
    wait_until(lambda: not in_session(child.pid) & workers)
    run_sensors(recordings, out=out, settings=DEFAULTS, epochs=True)
    assert left_in(out) == reference


def settings_in(folder: Path) -> Path:
    (folder / "sensors.toml").write_text("")
    return folder / "sensors.toml"


def in_session(leader: int) -> set[int]:
    """The living processes of a session."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == leader and state != "Z":
            found.add(int(stat.parent.name))
    return found


def test_what_was_left_is_what_the_manifest_says(reference: dict[str, bytes]) -> None:
    import json

    manifest = json.loads(reference["manifest.json"])
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in reference.items()}
    assert manifest["files"] == {k: v for k, v in digests.items() if "/" not in k and k != "manifest.json"}
    for folder in ("epochs", "pictures"):
        own = sorted((k, v) for k, v in digests.items() if k.startswith(f"{folder}/"))
        assert manifest["folders"][folder] == hashlib.sha256(json.dumps(own).encode()).hexdigest()
    assert not [who for who in PEOPLE if who in reference["manifest.json"].decode()]
