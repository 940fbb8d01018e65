"""What a simulated person does in every second of a recording, on true time: nights, rest, walks, sport."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from walkrisk.simulation.recording_declaration import Part, People, RecordingMix

ACTIVITIES = (
    "lying",
    "sitting",
    "standing",
    "shuffling",
    "walking",
    "upstairs",
    "downstairs",
    "running",
    "cycling",
)
CODE = {name: i for i, name in enumerate(ACTIVITIES)}
STEPPING = ("walking", "upstairs", "downstairs", "running")
SPEEDS = ("", "slow", "moderate", "brisk")
DAY_S, AWAKE_MIN = 86400, 960.0
_SIT_MIN, _WALK_MIN, _STAND_MIN = 16.5, 0.62, 2.2  # mean lengths of the bouts drawn below
_OUTDOORS = 0.4  # of the walking
Bout = tuple[str, int, float]  # activity, seconds, cadence (steps or half turns per minute, 0 at rest)
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What a simulated person is like; walking is the mean they aim at, not what they do."""

    age_years: float
    is_female: bool
    smoking: int
    walking_min: float
    cadence_spm: float
    runs: bool
    cycles: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A person's true recording by second (n,): activity code, bout number, realised steps/min, speed class code.

    `stride_phase` (n + 1,) is the phase in strides at the start of each second; it grows by cadence/120 a second, also
    in cycling, whose turns are no steps. `start` is the true moment (UTC) the recording begins, `zone` where.
    """

    start: dt.datetime
    zone: ZoneInfo
    activity: npt.NDArray[np.int8]
    bout: npt.NDArray[np.int32]
    cadence_spm: FloatArray
    speed: npt.NDArray[np.int8]
    stride_phase: FloatArray

    def __len__(self) -> int:
        return len(self.activity)


def draw_person(people: People, former: float, current: float, rng: np.random.Generator) -> Person:
    """A person: age uniform, walking log-normal, comfortable cadence normal, the last two falling with age."""
    age = float(rng.uniform(people.age_years[0], people.age_years[1]))
    decades = (age - 55) / 10
    log_walking = people.walking_log_per_decade * decades + people.walking_log_sd * rng.standard_normal()
    cadence = people.cadence_spm + people.cadence_per_decade_spm * decades + people.cadence_sd_spm * rng.normal()
    return Person(
        age_years=round(age, 1),
        is_female=bool(rng.random() < 0.5),
        smoking=int(np.searchsorted(np.cumsum([1 - former - current, former]), rng.random(), side="right")),
        walking_min=min(float(people.walking_min * np.exp(log_walking)), 240.0),
        cadence_spm=float(np.clip(cadence, people.cadence_limits_spm[0], people.cadence_limits_spm[1])),
        runs=bool(rng.random() < people.runs),
        cycles=bool(rng.random() < people.cycles),
    )


def make_plan(
    mix: RecordingMix,
    person: Person,
    start: dt.datetime,
    seconds: int,
    rng: np.random.Generator,
    *,
    handling_s: int = 0,
) -> Plan:
    """The plan of `seconds` from `start` (aware); the person stands while the devices are prepared."""
    zone = ZoneInfo(mix.calendar.timezone)
    bouts: list[Bout] = [("standing", handling_s, 0.0)] if handling_s else []
    left = seconds - handling_s
    if mix.program:
        bouts += _programme(mix, person, left, rng)
    else:
        bouts += _life(mix.people, person, start + dt.timedelta(seconds=handling_s), left, zone, rng)
    return _plan(bouts, seconds, start, zone, mix.people, rng)


def _plan(
    bouts: list[Bout], seconds: int, start: dt.datetime, zone: ZoneInfo, people: People, rng: np.random.Generator
) -> Plan:
    lengths = np.array([length for _, length, _ in bouts])
    bout = np.repeat(np.arange(len(bouts), dtype=np.int32), lengths)[:seconds]
    activity = np.array([CODE[name] for name, _, _ in bouts], dtype=np.int8)[bout]
    cadence = np.array([c for _, _, c in bouts])[bout]
    cadence *= 1 + 0.025 * slow_course(seconds, rng, memory_s=8.0)
    slow, brisk = people.speed_limits_spm
    walks = activity == CODE["walking"]
    speed = np.where(walks, 1 + (cadence >= slow) + (cadence >= brisk), 0).astype(np.int8)
    phase = np.concatenate(([0.0], np.cumsum(cadence / 120)))
    return Plan(
        start=start, zone=zone, activity=activity, bout=bout, cadence_spm=cadence, speed=speed, stride_phase=phase
    )


def slow_course(n: int, rng: np.random.Generator, *, memory_s: float) -> FloatArray:
    """A random course (n,) of mean 0 and SD 1 whose autocorrelation falls to 1/e in `memory_s` steps, cut at 3 SD."""
    taps = np.exp(-np.arange(int(6 * memory_s)) / memory_s)
    taps /= np.sqrt((taps**2).sum())
    out = np.convolve(rng.standard_normal(n + len(taps) - 1), taps, mode="valid")
    return np.clip(out, -3, 3)


def usual_cadence(activity: str, person: Person, people: People, rng: np.random.Generator) -> float:
    """Steps (half turns) per minute of one bout; 0 where there is no rhythm."""
    low, high = people.cadence_limits_spm
    if activity == "walking":
        return float(np.clip(person.cadence_spm + people.cadence_bout_sd_spm * rng.standard_normal(), low, high))
    mean, sd = {"running": (161, 5), "upstairs": (88, 9), "downstairs": (95, 10), "cycling": (130, 20)}.get(
        activity, (0, 0)
    )
    return float(max(mean + sd * rng.standard_normal(), 30.0)) if mean else 0.0


def _programme(mix: RecordingMix, person: Person, seconds: int, rng: np.random.Generator) -> list[Bout]:
    out: list[Bout] = []
    done = 0
    while done < seconds:
        part: Part = mix.program[len(out) % len(mix.program)]
        usual = usual_cadence(part.activity, person, mix.people, rng)
        out.append((part.activity, part.seconds, part.cadence_spm if part.cadence_spm and usual else usual))
        done += part.seconds
    return out


def _nights(start: dt.datetime, seconds: int, zone: ZoneInfo, rng: np.random.Generator) -> list[tuple[int, int]]:
    """[from, to) seconds after the start in bed, by the local clock, whatever it does in the night."""
    day = start.astimezone(zone).date() - dt.timedelta(days=1)
    out = []
    for _ in range(seconds // DAY_S + 3):
        bed = dt.datetime.combine(day, dt.time(0), zone) + dt.timedelta(minutes=float(rng.normal(1365, 35)))
        up = dt.datetime.combine(day, dt.time(0), zone) + dt.timedelta(minutes=float(rng.normal(1440 + 415, 30)))
        day += dt.timedelta(days=1)
        out.append(
            (
                int((bed.astimezone(dt.UTC) - start).total_seconds()),
                int((up.astimezone(dt.UTC) - start).total_seconds()),
            )
        )
    return out


def _life(
    people: People, person: Person, start: dt.datetime, seconds: int, zone: ZoneInfo, rng: np.random.Generator
) -> list[Bout]:
    """Nights lying; by day long sitting, then stretches of standing and walking; walks outdoors and sport by day."""
    out: list[Bout] = []
    now = 0
    for bed, up in _nights(start, seconds, zone, rng):
        awake = bed - now
        if awake > 0:
            out += _cut(_waking(people, person, awake, rng), awake)
            now = bed
        if up > now:
            out += _cut(_sleep(people, person, up - now, rng), up - now)
            now = up
        if now >= seconds:
            break
    return out


def _cut(bouts: list[Bout], seconds: int) -> list[Bout]:
    out: list[Bout] = []
    left = seconds
    for name, length, cadence in bouts:
        if left <= 0:
            break
        out.append((name, min(length, left), cadence))
        left -= length
    return out


def _lognormal(median_s: float, log_sd: float, low: float, high: float, rng: np.random.Generator) -> int:
    return int(np.clip(median_s * np.exp(log_sd * rng.standard_normal()), low, high))


def _walk(people: People, person: Person, seconds: int, rng: np.random.Generator) -> Bout:
    return ("walking", seconds, usual_cadence("walking", person, people, rng))


def _sleep(people: People, person: Person, seconds: int, rng: np.random.Generator) -> list[Bout]:
    out: list[Bout] = []
    done, rises = 0, rng.random() < 0.4
    while done < seconds:
        out.append(("lying", _lognormal(1500, 0.7, 300, 7200, rng), 0.0))
        if rises and done > seconds / 2:
            rises = False
            out += [_walk(people, person, 14, rng), ("standing", 50, 0.0), _walk(people, person, 14, rng)]
        done = sum(length for _, length, _ in out)
    return out


def _waking(people: People, person: Person, seconds: int, rng: np.random.Generator) -> list[Bout]:
    share = seconds / 60 / AWAKE_MIN
    indoors = (1 - _OUTDOORS) * person.walking_min
    walks = max(_SIT_MIN * indoors / max(AWAKE_MIN * _WALK_MIN - (_WALK_MIN + _STAND_MIN) * indoors, 60.0), 0.3)
    special = _outings(people, person, share, rng)
    at = sorted((float(rng.uniform(0.05, 0.9)) * seconds, i) for i in range(len(special)))
    out: list[Bout] = []
    done = 0
    while done < seconds:
        while at and done >= at[0][0]:
            out += special[at.pop(0)[1]]
        out += _sitting(rng)
        out += _pottering(people, person, walks, rng)
        done = sum(length for _, length, _ in out)
    return out


def _outings(people: People, person: Person, share: float, rng: np.random.Generator) -> list[list[Bout]]:
    """A walk outdoors of varying pace on most days, a run or a ride where the person does so."""
    out: list[list[Bout]] = []
    if rng.random() < 0.75 * min(share * 1.5, 1.0):
        left = int(60 * _OUTDOORS * person.walking_min / 0.75 * np.exp(0.5 * rng.standard_normal() - 0.125))
        walk: list[Bout] = []
        while left > 0:
            piece = min(_lognormal(90, 0.8, 15, 600, rng), max(left, 5))
            walk.append(_walk(people, person, piece, rng))
            left -= piece
            if rng.random() < 0.25:
                walk.append(("standing", _lognormal(12, 0.6, 3, 60, rng), 0.0))
        out.append(walk)
    for does, name, often, median_s in ((person.runs, "running", 1 / 3, 1500), (person.cycles, "cycling", 1 / 2, 1100)):
        if does and rng.random() < often * min(share * 1.5, 1.0):
            length = _lognormal(median_s, 0.4, 300, 5400, rng)
            ride: list[Bout] = []
            while length > 0:
                piece = min(_lognormal(120, 0.6, 20, 400, rng), length)
                ride.append((name, piece, usual_cadence(name, person, people, rng)))
                length -= piece
            out.append(ride)
    return out


def _sitting(rng: np.random.Generator) -> list[Bout]:
    name = "lying" if rng.random() < 0.03 else "sitting"
    left = _lognormal(600, 1.0, 40, 7200, rng)
    out: list[Bout] = []
    while left > 0:
        piece = min(_lognormal(420, 0.6, 60, 1800, rng), left)
        out.append((name, piece, 0.0))
        left -= piece
    return out


def _pottering(people: People, person: Person, walks: float, rng: np.random.Generator) -> list[Bout]:
    """Short walks with standing between them, some steps on the spot, now and then stairs."""
    out: list[Bout] = []
    for _ in range(int(rng.poisson(walks))):
        out.append(_walk(people, person, _lognormal(25, 0.9, 5, 600, rng), rng))
        if rng.random() < 0.05:
            name = "upstairs" if rng.random() < 0.5 else "downstairs"
            out.append((name, _lognormal(12, 0.4, 6, 40, rng), usual_cadence(name, person, people, rng)))
            out.append(_walk(people, person, _lognormal(8, 0.4, 4, 30, rng), rng))
        if rng.random() < 0.25:
            out.append(("shuffling", int(rng.integers(3, 9)), 0.0))
        out.append(("standing", _lognormal(80, 1.0, 4, 1800, rng), 0.0))
    return out


def utc_offsets_s(start: dt.datetime, seconds: int, zone: ZoneInfo) -> npt.NDArray[np.int32]:
    """Seconds (n,) the local clock is ahead of UTC in each second from `start`; zones change at whole quarter hours."""
    first = int(start.timestamp())
    quarters = (first + np.arange(seconds, dtype=np.int64)) // 900
    edges, where = np.unique(quarters, return_inverse=True)
    ahead = [dt.datetime.fromtimestamp(int(q) * 900, zone).utcoffset() or dt.timedelta(0) for q in edges]
    return np.array([int(a.total_seconds()) for a in ahead], dtype=np.int32)[where]
