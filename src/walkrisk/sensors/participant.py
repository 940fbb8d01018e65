"""One participant from files to a finished part: days, quality and, by choice, epochs and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from walkrisk.days.daily import daily_rows
from walkrisk.days.local_time import CalendarDays, LocalClock, local_clock
from walkrisk.days.seconds import ACTIVITIES, Seconds, complete_speed, usual_sensors
from walkrisk.days.week import Week
from walkrisk.epochs.epoch_table import Epochs, epochs_parquet
from walkrisk.epochs.intensity import met, speed_class
from walkrisk.errors import RecordingFault, UsageFault, where_raised
from walkrisk.reports.manifest import sha256
from walkrisk.sensors.pairs import Pair
from walkrisk.sensors.preparation import Prepared, prepare
from walkrisk.sensors.quality import quality_of
from walkrisk.sensors.second_pass import Classified, classify
from walkrisk.sensors.settings import SensorSettings
from walkrisk.sensors.signals import Sensor, mask
from walkrisk.sensors.store import EPOCHS, PICTURES, Part, write, write_part

WALKING, STAIRS, STANDING, SHUFFLING, NONWEAR, UNKNOWN = (
    ACTIVITIES.index(name) for name in ("walking", "stairs", "standing", "shuffling", "nonwear", "unknown")
)


@dataclass(frozen=True, slots=True)
class Task:
    """One participant's work: where from, how, where to, and which of EPOCHS and PICTURES are wanted."""

    pair: Pair
    settings: SensorSettings
    out: Path
    signature: str
    wanted: tuple[str, ...]


def process(task: Task) -> str:
    """Carry out a task and keep its part; a sentence where it came to nothing that could be kept, else nothing.

    Raises UsageFault where the part cannot be written.
    """
    try:
        with threadpool_limits(1):  # small products: threads cost more than they give, and change the last digits
            _process(task)
    except UsageFault:
        raise
    except (RecordingFault, OSError) as error:
        why = " ".join(error.faults) if isinstance(error, RecordingFault) else f"Reading failed ({error.strerror})."
        return f"A recording could not be read to its end: {why}"
    except Exception as error:  # one participant never stops the others
        return f"walkrisk met a bug of its own ({type(error).__name__}{where_raised(error)}); please report it."
    return ""


def _process(task: Task) -> None:
    who = task.pair.participant_id
    for old in (f"{EPOCHS}/{who}.parquet", f"{PICTURES}/{who}.png"):  # of other settings
        (task.out / old).unlink(missing_ok=True)
    ready = prepare(task.pair, task.settings)
    simulated = any(sensor.source.device.simulated for sensor in ready.sensors.values())
    files: dict[str, str] = {}
    rows: list[dict[str, object]] = []
    classifier = ""
    if ready.sensors:
        seconds, found = _seconds(ready, task.settings)
        classifier = usual_sensors(found.kind)
        local, days = _calendar(ready, seconds, task.settings)
        rows = daily_rows(seconds, days, participant_id=who, settings=task.settings.days, simulated=simulated)
        if EPOCHS in task.wanted:
            start = local.local(seconds.start_s + np.arange(len(seconds.activity), dtype=np.float64))
            epochs = _epochs(who, seconds, found, start, task.settings)
            files |= _kept(task, f"{EPOCHS}/{who}.parquet", epochs_parquet(epochs))
        if PICTURES in task.wanted:
            picture = _picture(_week(ready, seconds, days, rows), who, simulated=simulated)
            files |= _kept(task, f"{PICTURES}/{who}.png", picture)
    quality = quality_of(task.pair, ready, rows, classifier=classifier, simulated=simulated)
    write_part(task.out, who, Part("" if ready.retry else task.signature, rows, quality, files))


def _calendar(ready: Prepared, seconds: Seconds, settings: SensorSettings) -> tuple[LocalClock, CalendarDays]:
    """Local time and the calendar days of a participant, by the clock of the thigh or of the only sensor."""
    source = (ready.sensors.get("thigh") or ready.sensors["back"]).source
    stop_s = seconds.start_s + len(seconds.activity)
    local = local_clock(
        settings.time,
        origin=source.origin,
        start_s=seconds.start_s,
        stop_s=stop_s,
        configured=source.configured,
        started_s=float(source.segments[0, 0]),
    )
    ready.notes += local.sentences
    return local, local.days(seconds.start_s, stop_s)


def _week(ready: Prepared, seconds: Seconds, days: CalendarDays, rows: list[dict[str, object]]) -> Week:
    return Week(
        days=days,
        seconds=seconds,
        rows=rows,
        temperature={site: _temperature(sensor) for site, sensor in ready.sensors.items()},
        not_worn={site: sensor.common_stretches(sensor.off) for site, sensor in ready.sensors.items()},
        sentences=tuple(ready.notes),
    )


def _seconds(ready: Prepared, settings: SensorSettings) -> tuple[Seconds, Classified]:
    """What was done in every second of the participant's recordings, on the thigh's clock."""
    ends = [sensor.common(sensor.source.segments[[0, -1], [0, 1]]) for sensor in ready.sensors.values()]
    start_s = int(np.floor(min(e[0] for e in ends)))
    n = int(np.ceil(max(e[1] for e in ends))) - start_s
    found = classify(ready.sensors, start_s=start_s, seconds=n, settings=settings)
    known = found.kind > 0
    off = np.zeros(n, dtype=np.bool_)
    for sensor in ready.sensors.values():
        off |= mask(sensor.common_stretches(sensor.off), start_s, n)
    activity = np.where(known, found.activity, np.where(off, NONWEAR, UNKNOWN)).astype(np.uint8)
    walking, stairs = activity == WALKING, activity == STAIRS
    speed = speed_class(found.cadence_spm, walking, stairs=stairs, settings=settings.intensity)
    seconds = Seconds(
        start_s=start_s,
        activity=activity,
        speed=speed,
        cadence_spm=found.cadence_spm,
        met=met(activity, complete_speed(walking | stairs, speed), settings=settings.intensity),
        kind=found.kind,
    )
    return seconds, found


def _epochs(who: str, seconds: Seconds, found: Classified, start: np.ndarray, settings: SensorSettings) -> Epochs:
    activity = seconds.activity
    if settings.days.shuffling_is_standing:
        activity = np.where(activity == SHUFFLING, STANDING, activity).astype(np.uint8)
    n = len(activity)
    return Epochs(
        participant_id=who,
        start=start,
        duration_s=np.ones(n, dtype=np.float32),
        activity=activity,
        probability=np.where(activity >= NONWEAR, np.float32("nan"), found.probability).astype(np.float32),
        cadence_spm=seconds.cadence_spm,
        speed_class=complete_speed(seconds.being("walking", "stairs"), seconds.speed),
        met=seconds.met,
    )


def _picture(week: Week, who: str, *, simulated: bool) -> bytes:
    from walkrisk.figures.render import render  # half a second to load, for pictures only
    from walkrisk.figures.week import week_figure

    return render(week_figure(week, title=f"Participant {who}", simulated=simulated), "png")


def _temperature(sensor: Sensor) -> tuple[np.ndarray, np.ndarray]:
    windows = sensor.windows
    return sensor.common(windows.start_s + windows.window_s / 2), windows.temperature_c


def _kept(task: Task, name: str, content: bytes) -> dict[str, str]:
    write(task.out / name, content)
    return {name: sha256(content)}
