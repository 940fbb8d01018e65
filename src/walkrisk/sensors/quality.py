"""quality.csv: one row a participant, what was found in each recording and what was done about it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from walkrisk.recordings.wear import intersection
from walkrisk.sensors.pairs import Pair
from walkrisk.sensors.preparation import EXCHANGED, Prepared
from walkrisk.sensors.signals import Sensor

Status = Literal["complete", "reduced", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorQuality:
    """One recording. `status`: read, unreadable, absent or not used; missing figures are None."""

    status: Annotated[str, "read, unreadable, absent or not used"] = "absent"
    device: Annotated[str, "maker and model"] = ""
    serial: Annotated[int | None, "serial number of the device"] = None
    sha256: Annotated[str, "hash of the file"] = ""
    start: Annotated[str, "first sample, device clock"] = ""
    stop: Annotated[str, "end, device clock"] = ""
    hours: Annotated[float | None, "hours with samples"] = None
    rate_hz: Annotated[float | None, "nominal rate of samples"] = None
    measured_rate_hz: Annotated[float | None, "rate as measured by the time stamps"] = None
    blocks: Annotated[int | None, "blocks used"] = None
    bad_blocks: Annotated[int | None, "blocks whose checksum fails"] = None
    missing_blocks: Annotated[int | None, "blocks that are not there by the sequence numbers"] = None
    restarts: Annotated[int | None, "times the device started again"] = None
    gap_s: Annotated[float | None, "seconds without samples between first and last"] = None
    battery_v_last: Annotated[float | None, "battery at the end (V)"] = None
    calibration: Annotated[str, "verdict of the calibration"] = ""
    error_before_mg: Annotated[float | None, "mean distance of still orientations from 1 g before calibration (mg)"] = (
        None
    )
    error_after_mg: Annotated[float | None, "the same after it"] = None
    placement: Annotated[str, "how the sensor was worn"] = ""
    tilt_deg: Annotated[float | None, "forward lean in the median upright window (degrees)"] = None
    worn_h: Annotated[float | None, "hours worn"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRow:
    """One participant. `status`: complete (both sensors used), reduced (one of them), failed (no worn day)."""

    participant_id: Annotated[str, "whose recordings these are"]
    status: Annotated[Status, "complete (both sensors used), reduced (one), failed (no worn day)"]
    simulated: Annotated[bool, "whether a recording says that it is simulated"] = False
    classifier: Annotated[str, "version of the classifier"] = ""
    days: Annotated[int, "rows in days.parquet"] = 0
    wear_h: Annotated[float | None, "hours worn and classified"] = None
    unknown_h: Annotated[float | None, "hours not recorded or not classified"] = None
    walking_min_day: Annotated[float | None, "walking, minutes in 24 h of wear"] = None
    sites: Annotated[str, "whether files of thigh and back were exchanged"] = ""
    clocks: Annotated[str, "verdict on the two clocks"] = ""
    clock_offset_s: Annotated[float | None, "lag of the back's clock at its start (s)"] = None
    clock_drift_s_day: Annotated[float | None, "its mean change (s/day)"] = None
    clock_residual_ms: Annotated[float | None, "median distance of windows from the line of lags (ms)"] = None
    thigh: SensorQuality = field(default_factory=SensorQuality)
    back: SensorQuality = field(default_factory=SensorQuality)
    notes: Annotated[tuple[str, ...], "sentences on everything else"] = ()

    def table(self) -> dict[str, Any]:
        """The row as flat columns; figures rounded to six decimals so that a last bit does not show."""
        flat: dict[str, Any] = {}
        for column in fields(self):
            value = getattr(self, column.name)
            if isinstance(value, SensorQuality):
                flat |= {f"{column.name}_{k}": _plain(v) for k, v in asdict(value).items()}
            else:
                flat[column.name] = " ".join(value) if column.name == "notes" else _plain(value)
        return flat


def quality_columns() -> list[str]:
    """The columns of quality.csv, in order."""
    return list(QualityRow(participant_id="", status="failed").table())


def row_of_fault(participant_id: str, sentence: str) -> QualityRow:
    """The row of a participant whose work came to nothing for a reason that is not in the recordings."""
    return QualityRow(participant_id=participant_id, status="failed", notes=(sentence,))


def quality_of(
    pair: Pair, ready: Prepared, rows: Sequence[Mapping[str, Any]], *, classifier: str, simulated: bool
) -> dict[str, Any]:
    """The row of a participant whose recordings were gone through; `rows` are the days they gave."""
    clock = ready.clock
    given = {site: getattr(pair, site) for site in EXCHANGED}
    if ready.exchanged:
        given = {EXCHANGED[site]: path for site, path in given.items()}
    wear_h = sum(row["wear_s"] for row in rows) / 3600.0
    days_worn = wear_h / 24.0
    return QualityRow(
        participant_id=pair.participant_id,
        status=_status(rows),
        simulated=simulated,
        classifier=classifier,
        days=len(rows),
        wear_h=wear_h,
        unknown_h=sum(row["unknown_s"] for row in rows) / 3600.0,
        walking_min_day=sum(row["walking_s"] for row in rows) / 60.0 / days_worn if days_worn else None,
        sites=ready.sites.verdict if ready.sites else "",
        clocks=clock.verdict if clock else "",
        clock_offset_s=clock.offset_s if clock else None,
        clock_drift_s_day=clock.slope_s_per_day if clock else None,
        clock_residual_ms=clock.residual_ms if clock else None,
        thigh=_sensor("thigh", given["thigh"], ready),
        back=_sensor("back", given["back"], ready),
        notes=(*ready.notes, *(() if wear_h or not rows else ("Nothing was classified: never worn, or not known.",))),
    ).table()


def _sensor(site: str, path: Path | None, ready: Prepared) -> SensorQuality:
    sensor = ready.sensors.get(site)
    if path is None:
        return SensorQuality()
    if sensor is None:
        return SensorQuality(status="not used" if site in ready.unused else "unreadable", sha256=_digest(path))
    source, counts = sensor.source, sensor.source.quality.counts
    segments = source.segments
    start, stop = (source.origin + np.timedelta64(round(s), "s") for s in (segments[0, 0], segments[-1, 1]))
    calibration = sensor.calibration
    battery = source.blocks.battery_v[np.isfinite(source.blocks.battery_v)]
    seconds = float(np.diff(segments, axis=1).sum())
    return SensorQuality(
        status="read",
        device=f"{source.device.maker} {source.device.model}".strip(),
        serial=source.device.serial,
        sha256=_digest(path),
        start=str(start.astype("datetime64[s]")),
        stop=str(stop.astype("datetime64[s]")),
        hours=seconds / 3600.0,
        rate_hz=source.rate_hz,
        measured_rate_hz=counts["samples"] / seconds if counts.get("samples") and seconds else None,
        blocks=counts.get("blocks"),
        bad_blocks=counts.get("bad_checksum"),
        missing_blocks=counts.get("missing"),
        restarts=counts.get("restarts"),
        gap_s=float(segments[-1, 1] - segments[0, 0]) - seconds,
        battery_v_last=float(battery[-1]) if len(battery) else None,
        calibration=calibration.verdict if calibration else "not asked for",
        error_before_mg=calibration.error_before_mg if calibration else None,
        error_after_mg=calibration.error_after_mg if calibration else None,
        placement="; ".join(dict.fromkeys(p.verdict for p in sensor.placed)) or _unplaced(sensor),
        tilt_deg=sensor.placed[0].tilt_deg if sensor.placed else None,
        worn_h=float(np.diff(intersection(sensor.worn, segments), axis=1).sum()) / 3600.0,
    )


def _unplaced(sensor: Sensor) -> str:
    return "not asked for" if len(sensor.worn) else "never worn"


def _status(rows: Sequence[Mapping[str, Any]]) -> Status:
    if not sum(row["wear_s"] for row in rows):
        return "failed"
    return "complete" if sum(row["both_sensors_s"] for row in rows) else "reduced"


def _digest(path: Path) -> str:
    """SHA-256 of a file; nothing where it cannot be read."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if value == value else None
    return value
