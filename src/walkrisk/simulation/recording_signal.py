"""The acceleration two sensors feel while a person does what a plan says: postures, rhythms, movement, noise.

A rhythm is a Fourier series in the stride's phase; its coefficients are drawn from the population for the person and
again for each bout, and its size grows with cadence as it does between the windows of real people. Each step has a
length and a strength of its own, and each strike of a heel shakes thigh and back, one after the other: what happens to
the body happens to both sensors at once, so that their clocks can be compared as those of real ones can.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.simulation import recording_population as population
from walkrisk.simulation.recording_population import GAITS, HARMONICS, STRIKES, Gait, Rest, Strike
from walkrisk.simulation.recording_schedule import ACTIVITIES, CODE, FloatArray, Plan, slow_course

PHASES = 256
POOL = 1 << 19
SITES = ("thigh", "back")
Float32 = npt.NDArray[np.float32]
_BOUT_SHARE = 0.5  # of the spread of 4-s windows that a bout's coefficients take; the rest comes from step to step
_FAST_SHARE = 0.4  # of the harmonics above the fifth in walking and running; strikes make up the rest
_STEP_SD = 0.018  # of a step, by which each comes early or late: step times then vary by 2.5 %
_STRENGTH_SD = 0.13  # of the log strength of a step
_STIRRED_S = 2  # seconds before and after a change of posture in which both sensors are moved
_KNOCK_HZ = 1000  # values a second of the course of a strike


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A plan as the sensors will feel it, by second (n,): posture and movement (6, n) in g, rhythm by bout.

    `waves` one stride (6, PHASES) and `knocks` the size (6,) of a strike of each bout with a rhythm, in g; `late` (m,)
    in steps and `strength` (m,) of every step (half a turn of the phase) since the start.
    """

    plan: Plan
    posture: Float32
    movement: Float32
    late: FloatArray
    strength: FloatArray
    waves: Mapping[int, Float32]
    knocks: Mapping[int, FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """Noise of SD 1 that everybody's sensors draw from at random places: white, and slow as movement is; (POOL,)."""

    white: Float32
    slow: Float32


def make_pools(rate_hz: float, rng: np.random.Generator) -> Pools:
    """White noise, and noise of the spectrum f^2 / (1 + (f / 1.5 Hz)^2)^2.5, as small movements have."""
    white = rng.standard_normal(POOL, dtype=np.float32)
    f = np.fft.rfftfreq(POOL, 1 / rate_hz)
    shape = f / (1 + (f / 1.5) ** 2) ** 1.25
    slow = np.fft.irfft(np.fft.rfft(rng.standard_normal(POOL)) * shape, POOL)
    return Pools(white=white, slow=(slow / slow.std()).astype(np.float32))


def make_course(plan: Plan, rng: np.random.Generator) -> Course:
    """Draw the person's and each bout's postures and rhythms."""
    person = rng.standard_normal(6)
    lying = rng.standard_normal(6)
    gaits = {name: _person_gait(gait, rng) for name, gait in GAITS.items()}
    n, starts = len(plan), np.flatnonzero(np.diff(plan.bout, prepend=-1))
    stops = np.append(starts[1:], n)
    posture = np.empty((6, n), dtype=np.float32)
    movement = np.zeros((6, n), dtype=np.float32)
    drift = _drift(n, rng)
    waves: dict[int, Float32] = {}
    knocks: dict[int, FloatArray] = {}
    lively = np.exp(0.6 * rng.standard_normal(n)).astype(np.float32)
    for i, j in zip(starts, stops, strict=True):
        name = ACTIVITIES[plan.activity[i]]
        if name in GAITS:
            gait = GAITS[name]
            bout = 0.03 * rng.standard_normal(6)
            posture[:, i:j] = (np.array(gait.posture) + np.array(gait.posture_sd) * person + bout)[:, None]
            stride_hz = plan.cadence_spm[i:j].mean() / 120
            key = int(plan.bout[i])
            waves[key], rough = _wave(gait, gaits[name], stride_hz, rng)
            if any(gait.strike):
                knocks[key] = waves[key].std(axis=1) * np.array(gait.strike) * np.exp(0.15 * rng.standard_normal())
            movement[:, i:j] = rough[:, None]
        else:
            rest = _rest(name, rng)
            p = _leaning(rest, lying if name == "lying" else person, rng)
            posture[:, i:j] = _unit(p[:, None] + rest.drift * drift[:, i:j])
            movement[:, i:j] = np.array(rest.movement)[:, None] * lively[i:j] * np.exp(0.3 * rng.standard_normal())
    _stir(movement, plan, starts[1:], rng)
    steps = int(2 * plan.stride_phase[-1]) + 3
    return Course(
        plan=plan,
        posture=posture,
        movement=movement,
        late=_STEP_SD * np.clip(rng.standard_normal(steps), -3, 3),
        strength=np.exp(_STRENGTH_SD * rng.standard_normal(steps)),
        waves=waves,
        knocks=knocks,
    )


def _stir(movement: Float32, plan: Plan, changes: npt.NDArray[np.intp], rng: np.random.Generator) -> None:
    """Move both sensors for a moment wherever one posture gives way to another."""
    for i in changes:
        before, after = plan.activity[i - 1], plan.activity[i]
        if before == after or max(before, after) >= CODE["shuffling"]:
            continue
        size = np.array(population.STIR) * np.exp(0.4 * rng.standard_normal())
        around = np.arange(max(i - _STIRRED_S, 0), min(i + _STIRRED_S, len(plan)))
        around = around[plan.activity[around] < CODE["walking"]]
        movement[:, around] = np.maximum(movement[:, around], size[:, None])


def _rest(name: str, rng: np.random.Generator) -> Rest:
    if name == "lying":
        return population.LYING[int(rng.choice(len(population.LYING), p=population.LYING_SHARES))]
    return {"sitting": population.SITTING, "standing": population.STANDING}.get(name, population.SHUFFLING)


def _leaning(rest: Rest, person: FloatArray, rng: np.random.Generator) -> FloatArray:
    spread = np.array(rest.between) * person + np.array(rest.bout) * rng.standard_normal(6)
    return np.array(rest.posture) + spread


def _unit(v: FloatArray) -> FloatArray:
    """Both sensors' vectors (6, n) at 1 g."""
    size = np.repeat(np.linalg.norm(v.reshape(2, 3, -1), axis=1), 3, axis=0)
    return v / np.maximum(size, 1e-6)


def _drift(n: int, rng: np.random.Generator) -> Float32:
    out = np.empty((6, n), dtype=np.float32)
    for row in out:
        row[:] = slow_course(n, rng, memory_s=8.0)
    return out


def _complex(size: FloatArray, rng: np.random.Generator) -> npt.NDArray[np.complex128]:
    """Complex numbers of root mean square `size`."""
    return (rng.standard_normal(size.shape) + 1j * rng.standard_normal(size.shape)) * size / np.sqrt(2)


def _person_gait(gait: Gait, rng: np.random.Generator) -> npt.NDArray[np.complex128]:
    return gait.mean + _complex(gait.between, rng)


def _wave(
    gait: Gait, person: npt.NDArray[np.complex128], stride_hz: float, rng: np.random.Generator
) -> tuple[Float32, FloatArray]:
    """One stride (6, PHASES) of a bout, and the SD (6,) of the roughness on top."""
    c = person + _BOUT_SHARE * _complex(gait.within, rng)
    c[:, 5:] *= _FAST_SHARE if any(gait.strike) else 1.0
    growth = np.clip((stride_hz / gait.stride_hz) ** np.array(gait.exponent), 0.3, 3.0)
    spectrum = np.zeros((6, PHASES // 2 + 1), dtype=np.complex128)
    spectrum[:, 1 : HARMONICS + 1] = c * growth[:, None] * PHASES / 2
    wave = np.fft.irfft(spectrum, PHASES, axis=1)
    rough = np.array(gait.rough)
    return wave.astype(np.float32), gait.rough_share * wave.std(axis=1) * rough / np.sqrt(1 - rough**2)


def felt(
    course: Course, site: str, time_s: FloatArray, pools: Pools, rng: np.random.Generator, *, noise_g: float
) -> Float32:
    """What a sensor at `site` feels (3, n) in g at true times `time_s` (n,), increasing, seconds after the start."""
    n, plan = len(time_s), course.plan
    rows = slice(0, 3) if site == SITES[0] else slice(3, 6)
    first, last = int(time_s[0]), min(int(time_s[-1]) + 2, len(plan))
    around = slice(max(first - 1, 0), last)
    knots = np.arange(around.start, around.stop) + 0.5
    second = np.minimum(time_s.astype(np.int32), len(plan) - 1) - first
    out = np.empty((3, n), dtype=np.float32)
    moving = plan.activity[first:last] >= CODE["walking"]
    for k, row in enumerate(range(*rows.indices(6))):
        out[k] = np.interp(time_s, knots, course.posture[row, around])
        scale = course.movement[row, first:last]
        out[k] += np.where(moving, 0, scale)[second] * _pick(pools.slow, n, rng)
        out[k] += np.sqrt(noise_g**2 + np.where(moving, scale, 0) ** 2)[second] * _pick(pools.white, n, rng)
    _add_rhythm(out, course, rows, time_s, first)
    return out


def _pick(pool: Float32, n: int, rng: np.random.Generator) -> Float32:
    """`n` values of a pool from a random place on, round its end if need be."""
    start = int(rng.integers(0, len(pool)))
    if start + n <= len(pool):
        return pool[start : start + n]
    return np.resize(np.roll(pool, -start), n)


def _add_rhythm(out: Float32, course: Course, rows: slice, time_s: FloatArray, first: int) -> None:
    plan = course.plan
    bouts = plan.bout[first : min(int(time_s[-1]) + 1, len(plan))]
    starts = np.flatnonzero(np.diff(bouts, prepend=-1))
    stops = np.append(starts[1:], len(bouts))
    for i, j in zip(starts, stops, strict=True):
        key = int(bouts[i])
        a, b = np.searchsorted(time_s, [first + i, first + j])
        if key not in course.waves or b <= a:
            continue
        seconds = np.arange(first + i, first + j + 1)
        even = 2.0 * np.interp(time_s[a:b], seconds, plan.stride_phase[first + i : first + j + 1])
        whole = even.astype(np.int64)
        part = even - whole
        step = even - course.late[whole] * (1 - part) - course.late[whole + 1] * part
        strength = course.strength[whole] * (1 - part) + course.strength[whole + 1] * part
        at = ((0.5 * step % 1.0) * PHASES).astype(np.int32)
        out[:, a:b] += course.waves[key][rows][:, at] * strength
        if key in course.knocks:
            hz = plan.cadence_spm[first + i : first + j].mean() / 60
            shaken = _shaken(step, hz, course.strength, STRIKES[rows.start // 3])
            out[:, a:b] += course.knocks[key][rows, None] * shaken


def _shaken(step: FloatArray, step_hz: float, strength: FloatArray, strike: Strike) -> FloatArray:
    """Damped oscillation (n,) after each heel strike, which comes at whole `step` (n,); root mean square about 1."""
    number = np.floor(step).astype(np.int64)
    since = ((step - number) * (_KNOCK_HZ / step_hz)).astype(np.int32)
    t = np.arange(_KNOCK_HZ // 2) / _KNOCK_HZ - strike.delay_s
    course = np.where(t > 0, np.exp(-t / strike.decay_s) * np.sin(2 * np.pi * strike.hz * t), 0.0)
    course /= np.sqrt(np.square(course).sum() / _KNOCK_HZ * 1.8)
    foot = np.where(number % 2 == 0, 1.0, strike.other_foot)
    size = strength[np.clip(number, 0, len(strength) - 1)] ** 2 * foot
    return np.asarray(course[np.minimum(since, len(course) - 1)] * size)
