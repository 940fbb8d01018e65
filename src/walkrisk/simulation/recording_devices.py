"""What two simulated devices are like and what befalls them: errors, placement, time off the body, damaged files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from walkrisk.simulation.recording_declaration import Device, RecordingMix, Wear

DAY_S = 86400
REFERENCE_C, ROOM_C, SKIN_C = 25.0, 21.0, 32.5
Intervals = tuple[tuple[int, int], ...]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is wrong with one file; times are true seconds after the start."""

    corrupt_sectors: int = 0
    missing: tuple[float, float] | None = None
    restart: tuple[float, float] | None = None
    truncated_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTruth:
    """One device, called after the file it writes ("thigh" or "back").

    Measured g = gain (R felt) + offset_g + temperature_g_per_c (T - 25 C), by axis; R turns the device about x by
    `tilt_deg`, then by 180 degrees about z (upside down) and about x (inside out). Its clock shows
    local time of the configuration + offset_s + drift_s_per_day x days since the start; real rate `rate_hz`.
    """

    name: str
    site: str
    device: int
    session: int
    rate_hz: float
    offset_s: float
    drift_s_per_day: float
    gain: tuple[float, float, float]
    offset_g: tuple[float, float, float]
    temperature_g_per_c: tuple[float, float, float]
    tilt_deg: float
    is_upside_down: bool
    is_inside_out: bool
    off: Intervals
    trouble: Trouble

    @property
    def rotation(self) -> FloatArray:
        """(3, 3): what is felt in the body's axes, in the device's."""
        angle = np.deg2rad(self.tilt_deg)
        tilt = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
        signs = np.ones(3)
        signs *= (-1, -1, 1) if self.is_upside_down else 1
        signs *= (1, -1, -1) if self.is_inside_out else 1
        return signs[:, None] * tilt

    def worn(self, seconds: int) -> BoolArray:
        """Whether it is on the body in each second (n,)."""
        out = np.ones(seconds, dtype=bool)
        for start, stop in self.off:
            out[start:stop] = False
        return out


def draw_devices(
    mix: RecordingMix, seconds: int, handling_s: int, mornings: tuple[int, ...], rng: np.random.Generator
) -> tuple[DeviceTruth, DeviceTruth]:
    """The thigh's and the back's device of one participant; `mornings`: seconds at which a shower would be taken."""
    swapped = rng.random() < mix.wear.swapped
    off = _times_off(mix.wear, seconds, handling_s, mornings, rng)
    devices = tuple(
        _device(mix, name, ("back", "thigh")[i] if swapped else name, off[i], seconds, rng)
        for i, name in enumerate(("thigh", "back"))
    )
    return devices[0], devices[1]


def _device(
    mix: RecordingMix, name: str, site: str, off: Intervals, seconds: int, rng: np.random.Generator
) -> DeviceTruth:
    d, wear = mix.device, mix.wear
    return DeviceTruth(
        name=name,
        site=site,
        device=int(rng.integers(10000, 60000)),
        session=int(rng.integers(1, 2**31)),
        rate_hz=mix.rate_hz * (1 + 1e-6 * d.rate_error_ppm * float(np.clip(rng.standard_normal(), -3, 3))),
        offset_s=float(rng.uniform(-1, 1) * d.clock_offset_s),
        drift_s_per_day=float(rng.uniform(-1, 1) * d.drift_s_per_day),
        gain=_three(1.0, d.gain_sd, rng),
        offset_g=_three(0.0, d.offset_sd_g, rng),
        temperature_g_per_c=_three(0.0, d.temperature_sd_g_per_c, rng),
        tilt_deg=float(wear.tilt_deg * rng.standard_normal()),
        is_upside_down=bool(rng.random() < wear.upside_down),
        is_inside_out=bool(rng.random() < wear.inside_out),
        off=off,
        trouble=_trouble(d, seconds, rng),
    )


def _three(mean: float, sd: float, rng: np.random.Generator) -> tuple[float, float, float]:
    x, y, z = mean + sd * np.clip(rng.standard_normal(3), -3, 3)
    return float(x), float(y), float(z)


def _trouble(d: Device, seconds: int, rng: np.random.Generator) -> Trouble:
    chance, at, other = rng.random(4), rng.uniform(0.2, 0.45), rng.uniform(0.55, 0.8)
    cut = int(rng.integers(20, 490))
    gap, halt = min(d.missing_s, 0.1 * seconds), min(d.restart_s, 0.1 * seconds)
    return Trouble(
        corrupt_sectors=d.corrupt_sectors if chance[0] < d.corrupt else 0,
        missing=(at * seconds, at * seconds + gap) if chance[1] < d.missing else None,
        restart=(other * seconds, other * seconds + halt) if chance[2] < d.restart else None,
        truncated_bytes=cut if chance[3] < d.truncated else 0,
    )


def _times_off(
    wear: Wear, seconds: int, handling_s: int, mornings: tuple[int, ...], rng: np.random.Generator
) -> tuple[Intervals, Intervals]:
    """[from, to) in which the thigh's and the back's device is off the body; before attachment both are."""
    both = [(0, handling_s)] if handling_s else []
    if rng.random() < wear.shower:
        both += [(t, t + int(rng.integers(900, 2400))) for t in mornings]
    longest = (seconds - handling_s) // 2
    if rng.random() < wear.both_off:
        both.append(_stretch(handling_s, seconds, min(int(rng.uniform(2, 5) * 3600), longest), rng))
    one: list[list[tuple[int, int]]] = [[], []]
    which = int(rng.integers(0, 2))
    if rng.random() < wear.one_off:
        one[which].append(_stretch(handling_s, seconds, min(int(rng.uniform(3, 9) * 3600), longest), rng))
    return _joined(both + one[0], seconds), _joined(both + one[1], seconds)


def _stretch(first: int, last: int, length: int, rng: np.random.Generator) -> tuple[int, int]:
    start = int(rng.integers(first, max(last - length, first + 1)))
    return start, start + length


def _joined(intervals: list[tuple[int, int]], seconds: int) -> Intervals:
    out: list[tuple[int, int]] = []
    for start, stop in sorted((a, min(b, seconds)) for a, b in intervals if a < seconds):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(stop, out[-1][1]))
        elif stop > start:
            out.append((start, stop))
    return tuple(out)


def temperature(worn: BoolArray, rng: np.random.Generator) -> FloatArray:
    """Degrees C at the start of each minute (m,): towards skin when worn, room when not, with 10 minutes' delay."""
    minutes = worn[::60]
    skin = SKIN_C + 0.8 * np.sin(2 * np.pi * (np.arange(len(minutes)) / 1440 + rng.random()))
    target = np.where(minutes, skin, ROOM_C)
    out = np.empty(len(minutes))
    t = ROOM_C
    for i, aim in enumerate(target):
        t += (aim - t) * 0.1
        out[i] = t
    return out


def lying_about(device: DeviceTruth, handling_s: int, rng: np.random.Generator) -> dict[int, FloatArray]:
    """Second at which the device is laid another way -> its direction (3,), while it is off the body.

    While it is prepared it is laid every 24 s in another direction, all directions equally often; later it lies still.
    """
    turns = list(range(0, handling_s, 24)) + [start for start, _ in device.off if start >= handling_s]
    turns += [handling_s] if device.off and device.off[0][0] == 0 and device.off[0][1] > handling_s else []
    out = {}
    for i, second in enumerate(sorted(set(turns))):
        v = rng.standard_normal(3)
        if i < 6:
            v = 0.15 * v + np.roll([1.0 - 2.0 * (i % 2), 0.0, 0.0], i // 2)
        out[second] = v / np.linalg.norm(v)
    return out


def as_truth(device: DeviceTruth) -> dict[str, Any]:
    """The device as plain values for JSON."""
    trouble = device.trouble
    return {
        "worn_at": device.site,
        "device": device.device,
        "session": device.session,
        "rate_hz": device.rate_hz,
        "clock": {"offset_s_at_start": device.offset_s, "drift_s_per_day": device.drift_s_per_day},
        "calibration": {
            "equation": "measured_g = gain * true_g + offset_g + temperature_g_per_c * (temperature_c - 25)",
            "gain": list(device.gain),
            "offset_g": list(device.offset_g),
            "temperature_g_per_c": list(device.temperature_g_per_c),
        },
        "placement": {
            "tilt_deg": device.tilt_deg,
            "upside_down": device.is_upside_down,
            "inside_out": device.is_inside_out,
            "swapped": device.site != device.name,
        },
        "not_worn": [list(interval) for interval in device.off],
        "declared_faults": {
            "corrupt_sectors": trouble.corrupt_sectors,
            "missing": list(trouble.missing or ()),
            "restart": list(trouble.restart or ()),
            "truncated_bytes": trouble.truncated_bytes,
        },
    }
