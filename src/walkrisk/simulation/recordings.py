"""Simulated thigh and back recordings of a small cohort as .cwa files, with their truth and a questionnaire."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from walkrisk.declarations import as_table
from walkrisk.errors import UsageFault
from walkrisk.simulation.cwa_writer import Setup
from walkrisk.simulation.recording_declaration import Calendar, RecordingMix
from walkrisk.simulation.recording_devices import DeviceTruth, as_truth, draw_devices, lying_about
from walkrisk.simulation.recording_files import Work, Written, write_recording
from walkrisk.simulation.recording_schedule import Person, Plan, draw_person, make_plan
from walkrisk.simulation.recording_signal import Course, Pools, make_course, make_pools
from walkrisk.simulation.recording_truth import (
    daily_truth,
    json_bytes,
    questionnaire_bytes,
    risk_of,
    seconds_table,
    walking_min_per_day,
    write_seconds,
)

MOST, LEAST_S, DAY_S = 100_000, 60, 86400
MARK = "SIMULATED"
_BODY = {"thigh": "right thigh", "back": "lower back"}
Progress = Callable[[str, int, int], None]
Streams = dict[str, np.random.Generator]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedRecordings:
    """What was written, as paths, and the number of people with the outcome."""

    recordings: tuple[Path, ...]
    questionnaires: Path
    truth: Path
    cases: int


def simulate_recordings(
    out: Path,
    *,
    participants: int,
    days: float,
    seed: int,
    mix: RecordingMix | None = None,
    progress: Progress | None = None,
) -> SimulatedRecordings:
    """Write `ID_thigh.cwa` and `ID_back.cwa` of each participant into a new or empty folder `out`, and their truth.

    `truth/ID.json` (devices, clocks, faults, true days), `truth/ID.parquet` (a row a second), `truth/truth.json` (the
    declaration and the people), and `questionnaires.csv`, whose outcome has the declared log-linear risk in true
    walking. `days` may be a fraction. The same arguments give the same bytes, and participant i is the same whatever
    their number. Raises UsageFault for values out of range or a folder with something in it.
    """
    mix = mix or RecordingMix()
    seconds = _checked(out, participants, days, seed)
    pools = make_pools(mix.rate_hz, np.random.default_rng([seed, 0]))
    progress = progress or (lambda title, done, of: None)
    (out / "truth").mkdir(parents=True, exist_ok=True)
    answers: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    paths: list[Path] = []
    for i in range(1, participants + 1):
        name = f"sim{i:0{max(4, len(str(participants)))}d}"
        streams = _streams(seed, i)
        person = draw_person(mix.people, mix.outcome.former, mix.outcome.current, streams["person"])
        paths += [out / f"{name}_{site}.cwa" for site in _BODY]

        def ticked(share: float, i: int = i) -> None:
            progress("simulating recordings", int(100 * (i - 1 + share)), 100 * participants)

        truth = _participant(out, name, person, mix, seconds, pools, streams, ticked)
        is_case = bool(streams["outcome"].random() < truth["outcome"]["risk"])
        answers.append(_answers(name, person, is_case))
        people.append({"participant_id": name, "walking_min_per_day": truth["walking_min_per_day"]} | truth["outcome"])
    _whole(out / "questionnaires.csv", questionnaire_bytes(answers))
    study = {"simulated": True, "title": mix.title, "participants": participants, "days": days, "seed": seed}
    _whole(out / "truth" / "truth.json", json_bytes(study | {"mix": as_table(mix), "people": people}))
    return SimulatedRecordings(
        recordings=tuple(paths),
        questionnaires=out / "questionnaires.csv",
        truth=out / "truth",
        cases=sum(row["outcome"] for row in answers),
    )


def _checked(out: Path, participants: int, days: float, seed: int) -> int:
    """Seconds of each recording."""
    if not 1 <= participants <= MOST:
        raise UsageFault(f"participants must be between 1 and {MOST:,}, got {participants}.")
    if not LEAST_S / DAY_S <= days <= 60:
        raise UsageFault(f"days must be between one minute (0.0007) and 60, got {days:g}.")
    if seed < 0:
        raise UsageFault(f"the seed must be 0 or more, got {seed}.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageFault(f"{out}: is not an empty folder; choose a new one, so that nothing is overwritten.")
    return round(days * DAY_S)


def _streams(seed: int, participant: int) -> Streams:
    """Independent random streams of one participant, so that one part's draws leave the others alone."""
    names = ("person", "start", "plan", "devices", "course", "outcome", "thigh", "back")
    return {name: np.random.default_rng([seed, participant, k]) for k, name in enumerate(names)}


def _participant(
    out: Path,
    name: str,
    person: Person,
    mix: RecordingMix,
    seconds: int,
    pools: Pools,
    streams: Streams,
    ticked: Callable[[float], None],
) -> dict[str, Any]:
    """Both files, the seconds and the truth of one person; returns the truth."""
    start = _start(mix.calendar, seconds, streams["start"])
    handling_s = min(round(60 * mix.wear.handling_min), seconds // 4)
    plan = make_plan(mix, person, start, seconds=seconds, handling_s=handling_s, rng=streams["plan"])
    mornings = _mornings(plan)
    devices = draw_devices(mix, seconds, handling_s, mornings, streams["devices"])
    packed = bool(streams["devices"].random() < mix.device.packed)
    setups = {d.name: _setup(d, plan, mix, name, packed) for d in devices}
    written = _files(out, name, plan, devices, setups, mix, handling_s, pools, streams, ticked)
    table = seconds_table(plan, devices)
    write_seconds(table, out / "truth" / f"{name}.parquet")
    walking = walking_min_per_day(table)
    truth = {
        "simulated": True,
        "participant_id": name,
        "start_utc": start.isoformat(),
        "timezone": mix.calendar.timezone,
        "seconds": seconds,
        "handling_s": handling_s,
        "nominal_rate_hz": mix.rate_hz,
        "packed": packed,
        "devices": {d.name: as_truth(d) | _file_truth(setups[d.name], written[d.name]) for d in devices},
        "days": daily_truth(table),
        "walking_min_per_day": walking,
        "outcome": {"risk": risk_of(mix.outcome, person, walking)},
    }
    _whole(out / "truth" / f"{name}.json", json_bytes(truth))
    return truth


def _files(
    out: Path,
    name: str,
    plan: Plan,
    devices: tuple[DeviceTruth, DeviceTruth],
    setups: dict[str, Setup],
    mix: RecordingMix,
    handling_s: int,
    pools: Pools,
    streams: Streams,
    ticked: Callable[[float], None],
) -> dict[str, Written]:
    """Write both files, each under another name until it is whole."""
    course = make_course(plan, streams["course"])
    written: dict[str, Written] = {}
    for device in devices:
        rng = streams[device.name]
        work = _work(device, setups[device.name], course, pools, mix, handling_s, rng)
        target = out / f"{name}_{device.name}.cwa"
        partial = target.with_name(f".partial-{os.getpid()}-{target.name}")

        def half(share: float, before: int = len(written)) -> None:
            ticked((before + share) / 2)

        try:
            written[device.name] = write_recording(partial, work, rng, half)
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)
    return written


def _answers(name: str, person: Person, is_case: bool) -> dict[str, Any]:
    return {
        "participant_id": name,
        "age": f"{person.age_years:.1f}",
        "sex": "F" if person.is_female else "M",
        "smoking": person.smoking,
        "outcome": int(is_case),
    }


def _start(calendar: Calendar, seconds: int, rng: np.random.Generator) -> dt.datetime:
    """The true moment (UTC) a recording begins: a whole second on a random day, or two days before clocks change."""
    day = dt.date.fromisoformat(calendar.first_day) + dt.timedelta(days=int(rng.integers(0, 7 * calendar.weeks)))
    if rng.random() < calendar.clock_change:
        ahead = min(2, seconds // DAY_S)
        day = dt.date.fromisoformat(calendar.clock_change_day) - dt.timedelta(days=ahead)
    hours = calendar.start_hour + float(rng.uniform(0, 2))
    midnight = dt.datetime.combine(day, dt.time(0), ZoneInfo(calendar.timezone))
    return (midnight + dt.timedelta(seconds=round(3600 * hours))).astimezone(dt.UTC)


def _mornings(plan: Plan) -> tuple[int, ...]:
    """Seconds at 7:30 local time of each day of the plan."""
    day = plan.start.astimezone(plan.zone).date()
    out = []
    for _ in range(len(plan) // DAY_S + 2):
        moment = dt.datetime.combine(day, dt.time(7, 30), plan.zone)
        second = int((moment.astimezone(dt.UTC) - plan.start).total_seconds())
        out += [second] if 0 < second < len(plan) else []
        day += dt.timedelta(days=1)
    return tuple(out)


def _setup(device: DeviceTruth, plan: Plan, mix: RecordingMix, name: str, packed: bool) -> Setup:
    zero = _clock_zero(plan)
    return Setup(
        device=device.device,
        session=device.session,
        rate_hz=mix.rate_hz,
        packed=packed,
        configured=zero - np.timedelta64(2, "h"),
        start=zero,
        stop=zero + np.timedelta64(len(plan), "s"),
        annotation=(("_c", MARK), ("_s", MARK), ("_p", _BODY[device.name]), ("_sc", name), ("_n", "no real person")),
    )


def _clock_zero(plan: Plan) -> np.datetime64:
    """Local time at the start, which the device's clock keeps counting from, through any change of clocks."""
    return np.datetime64(plan.start.astimezone(plan.zone).replace(tzinfo=None), "ns")


def _work(
    device: DeviceTruth,
    setup: Setup,
    course: Course,
    pools: Pools,
    mix: RecordingMix,
    handling_s: int,
    rng: np.random.Generator,
) -> Work:
    return Work(
        device=device,
        setup=setup,
        clock_zero=_clock_zero(course.plan),
        course=course,
        pools=pools,
        still=lying_about(device, handling_s, rng),
        noise_g=mix.device.noise_g,
    )


def _file_truth(setup: Setup, written: Written) -> dict[str, Any]:
    """Where the file's faults are, and when its clock was set up."""
    return {
        "configured": str(setup.configured),
        "sectors": written.sectors,
        "samples": written.samples,
        "corrupt_blocks": written.corrupt,
        "gaps": written.gaps,
    }


def _whole(path: Path, data: bytes) -> None:
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
