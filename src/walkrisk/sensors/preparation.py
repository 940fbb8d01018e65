"""The first pass over a participant's recordings: calibration, the two clocks, wear and placement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from walkrisk.errors import RecordingFault
from walkrisk.recordings.calibration import Calibration, calibrate
from walkrisk.recordings.opening import open_recording
from walkrisk.recordings.orientation import Site, Sites, placements, sites_swapped
from walkrisk.recordings.recording import SECOND, Source
from walkrisk.recordings.resampling import conversion
from walkrisk.recordings.synchrony import Clock, synchronise
from walkrisk.recordings.wear import joint_wear, not_worn, wear_sentences
from walkrisk.recordings.windows import Windows, window_summaries
from walkrisk.sensors.pairs import Pair
from walkrisk.sensors.settings import SensorSettings
from walkrisk.sensors.signals import RATE_HZ, Sensor, complement

FloatArray = npt.NDArray[np.float64]
MOST_DAYS = 62
FAR_APART_S = 60.0
USUAL_RATE = 0.05  # share by which a sampling rate may differ from the classifier's without a word
EXCHANGED: dict[Site, Site] = {"thigh": "back", "back": "thigh"}


@dataclass(slots=True)
class Prepared:
    """The sensors that can be used, by site, and what was found on the way.

    `unread` and `unused` say why a file was not; `retry`: the system, not the file, stood in the way of reading.
    """

    sensors: dict[str, Sensor] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)
    clock: Clock | None = None
    sites: Sites | None = None
    exchanged: bool = False
    retry: bool = False
    notes: list[str] = field(default_factory=list)


def prepare(pair: Pair, settings: SensorSettings) -> Prepared:
    """Open a participant's recordings and make them ready to be classified.

    A recording that cannot be read, or that does not belong with the other, is left out and said; the thigh's clock is
    the participant's, the back's where there is no thigh.
    """
    ready = Prepared()
    sources: dict[Site, Source] = {}
    windows: dict[Site, Windows] = {}
    for site in EXCHANGED:
        path = getattr(pair, site)
        if path is None:
            continue
        try:
            sources[site] = open_recording(path, site=site)
            _check_span(sources[site])
            windows[site] = window_summaries(sources[site])
            if not len(windows[site].start_s):
                raise RecordingFault("The recording holds no samples.")
        except (RecordingFault, OSError) as fault:
            sources.pop(site, None)
            why = fault.faults if isinstance(fault, RecordingFault) else (f"Reading it failed ({fault.strerror}).",)
            ready.retry |= isinstance(fault, OSError) or isinstance(fault.__context__, OSError)
            ready.unread[site] = " ".join(why)
            ready.notes.append(f"{site.capitalize()}: not read. {ready.unread[site]}")
    if len(sources) == 2:
        sources, windows = _side_by_side(sources, windows, settings, ready)
    off = _off(windows, settings, ready)
    if len(sources) == 1:
        _say_alone(next(iter(sources)), settings, ready)
    for site, source in sources.items():
        if source.site not in ("", site):
            ready.notes.append(f"{site.capitalize()}: the file itself says that it was worn at the {source.site}.")
        calibration = calibrate(windows[site], settings.calibration) if settings.use.calibrate else None
        clock = ready.clock if site == "back" and len(sources) == 2 else None
        ready.sensors[site] = _sensor(site, source, windows[site], calibration, off[site], clock, settings, ready)
    return ready


def _side_by_side(
    sources: dict[Site, Source], windows: dict[Site, Windows], settings: SensorSettings, ready: Prepared
) -> tuple[dict[Site, Source], dict[Site, Windows]]:
    """The clocks of the two brought together, files named the wrong way round exchanged, strangers parted."""
    devices = [source.device for source in sources.values()]
    if devices[0].serial is not None and devices[0] == devices[1] and _same_times(*sources.values()):
        return _thigh_alone(sources, windows, ready, "Both files are one recording; it is taken for the thigh's.")
    back = sources["back"].segments + _shift_s(sources)
    if not _overlap(sources["thigh"], back, slack_s=settings.clocks.search_h * 3600.0):
        return _thigh_alone(sources, windows, ready, "The two recordings share no time; the back's is not used.")
    clock = _clock(sources, windows, settings)
    lag_s = clock.offset_s if clock and clock.found else 0.0
    ready.sites = sites_swapped(windows["thigh"], windows["back"], lag_s=lag_s)
    if ready.sites.verdict == "swapped" and settings.use.exchange:
        sources = {EXCHANGED[site]: source for site, source in sources.items()}
        windows = {EXCHANGED[site]: w for site, w in windows.items()}
        clock = _clock(sources, windows, settings)
        ready.exchanged = True
    if ready.sites.verdict != "as named":
        ready.notes.append(ready.sites.sentence)
    if clock is not None:
        ready.clock = clock
        ready.notes.append(clock.sentence)
        if abs(clock.offset_s) > FAR_APART_S:
            ready.notes.append("Which of the two clocks is right is not known: days follow the thigh's.")
        if clock.verdict == "not found":
            return _thigh_alone(sources, windows, ready, "The back's recording is not used.")
        on_thigh = clock.thigh_time(sources["back"].segments.reshape(-1)).reshape(-1, 2)
        if not _overlap(sources["thigh"], on_thigh, slack_s=0.0):
            return _thigh_alone(sources, windows, ready, "The two recordings share no time; the back's is not used.")
    return sources, windows


def _say_alone(site: Site, settings: SensorSettings, ready: Prepared) -> None:
    if not (settings.use.thigh_alone if site == "thigh" else settings.use.back_alone):
        ready.notes.append(f"The {site} sensor alone is not to be classified, as declared; its time is unknown.")


def _check_span(source: Source) -> None:
    days = float(source.segments[-1, 1] - source.segments[0, 0]) / 86_400.0 if len(source.segments) else 0.0
    if days > MOST_DAYS:
        raise RecordingFault(
            f"The recording spans {days:,.0f} days by its clock, more than {MOST_DAYS}: the clock was set anew in "
            "between, or time stamps are damaged; cut the file into its sessions."
        )


def _same_times(one: Source, other: Source) -> bool:
    return one.origin == other.origin and np.array_equal(one.segments, other.segments)


def _overlap(thigh: Source, back: FloatArray, *, slack_s: float) -> bool:
    """Whether two recordings share time on one clock, or come within `slack_s` of it."""
    own = thigh.segments
    return bool(back[-1, 1] + slack_s > own[0, 0] and back[0, 0] - slack_s < own[-1, 1])


def _thigh_alone(
    sources: Mapping[Site, Source], windows: Mapping[Site, Windows], ready: Prepared, why: str
) -> tuple[dict[Site, Source], dict[Site, Windows]]:
    ready.unused["back"] = why
    ready.notes.append(why)
    return {"thigh": sources["thigh"]}, {"thigh": windows["thigh"]}


def _shift_s(sources: Mapping[Site, Source]) -> float:
    """Seconds from the thigh's origin to the back's."""
    return float((sources["back"].origin - sources["thigh"].origin) / SECOND)


def _clock(sources: Mapping[Site, Source], windows: Mapping[Site, Windows], settings: SensorSettings) -> Clock | None:
    if not settings.use.synchronise:
        return Clock(
            verdict="constant only",
            sentence="The clocks of the two sensors were taken as they are, as declared.",
            shift_s=_shift_s(sources),
            knot_s=np.empty(0),
            knot_lag_s=np.empty(0),
        )
    return synchronise(
        sources["thigh"],
        sources["back"],
        settings.clocks,
        thigh_windows=windows["thigh"],
        back_windows=windows["back"],
    )


def _off(windows: Mapping[Site, Windows], settings: SensorSettings, ready: Prepared) -> dict[str, FloatArray]:
    """Stretches not worn (k, 2) by site, on each sensor's own clock."""
    if len(windows) < 2:
        alone: dict[str, FloatArray] = {site: not_worn(w, settings.wear) for site, w in windows.items()}
        for site, w in windows.items():
            ready.notes += wear_sentences(site, w, alone[site], settings.wear)
        return alone
    clock = ready.clock
    ahead = float(np.median(clock.thigh_time(windows["back"].start_s) - windows["back"].start_s)) if clock else 0.0
    found = joint_wear(windows["thigh"], windows["back"], settings.wear, back_ahead_s=ahead)
    ready.notes += found.sentences
    return {"thigh": found.thigh, "back": found.back}


def _sensor(
    site: Site,
    source: Source,
    windows: Windows,
    calibration: Calibration | None,
    off: FloatArray,
    clock: Clock | None,
    settings: SensorSettings,
    ready: Prepared,
) -> Sensor:
    first, last = float(source.segments[0, 0]), float(source.segments[-1, 1])
    worn = complement(off, first, last)
    placed = tuple(placements(windows, site, worn)) if settings.use.turn else ()
    if abs(source.rate_hz / RATE_HZ - 1.0) > USUAL_RATE:
        ready.notes.append(f"{site.capitalize()}: {conversion(source.rate_hz, RATE_HZ)}")
    ready.notes += [f"{site.capitalize()}: {sentence}" for sentence in source.quality.sentences]
    if calibration is not None and calibration.verdict != "full":
        ready.notes.append(f"{site.capitalize()}: {calibration.sentence}")
    ready.notes += sorted({p.sentence for p in placed if p.verdict != "as expected"})
    return Sensor(
        source=source, windows=windows, calibration=calibration, off=off, worn=worn, placed=placed, clock=clock
    )
