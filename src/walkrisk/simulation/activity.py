"""Days of activity in whole epochs from a person's own means: (n, D) arrays of seconds by behaviour."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from walkrisk.simulation.declaration import Activity, Invalid, Occasional
from walkrisk.simulation.terms import BoolArray, FloatArray, all_hold

IntArray = npt.NDArray[np.int32]
Values = Mapping[str, FloatArray]
REST = ("lying", "sitting", "standing")
WALKING = ("walking_slow", "walking_moderate", "walking_brisk")
MAY_BE_ZERO = ("walking", *REST)
BEHAVIOURS = (*REST, *WALKING, "walking", "running", "cycling")


def simulate_days(
    activity: Activity, values: Values, n: int, rng: np.random.Generator
) -> tuple[dict[str, IntArray], BoolArray]:
    """Seconds (n, D) by behaviour, and which days (n, D) are recorded.

    A day's epochs go to walking (a person's mean times log-normal day-to-day noise of mean 1), running and cycling;
    lying, sitting and standing share what is left. Every recorded day adds up to its length exactly: `day_s`, or less
    on a short day. An invalid day has one of walking, lying, sitting and standing at 0, its time given to another.
    """
    length, share = _day_lengths(activity, n, rng)
    epochs = _active_epochs(activity, values, share, rng)
    rest = length - sum(epochs.values(), start=np.zeros_like(length))
    epochs.update(_divide_rest(activity, values, rest, rng))
    if activity.invalid is not None:
        _invalidate(activity.invalid, epochs, values, rng)
    seconds = {name: (e * activity.epoch_s).astype(np.int32) for name, e in epochs.items()}
    seconds["walking"] = sum((seconds[name] for name in WALKING), start=np.zeros_like(length))
    return seconds, _recorded(activity, values, n, rng)


def _recorded(activity: Activity, values: Values, n: int, rng: np.random.Generator) -> BoolArray:
    """The first k days of a person, or any k where a recording has gaps."""
    order = np.broadcast_to(np.arange(activity.days), (n, activity.days)).copy()
    gaps = rng.random(n) < activity.gap_probability
    order[gaps] = rng.permuted(order[gaps], axis=1)
    return order < values[activity.recorded_days][:, None]


def _day_lengths(activity: Activity, n: int, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
    """Epochs (n, D) a day has, and the same as a share of a full day."""
    shape = (n, activity.days)
    low, high = activity.short_day_share
    is_short = rng.random(shape) < activity.short_day_probability
    share = np.where(is_short, rng.uniform(low, high, shape), 1.0)
    full = activity.day_s // activity.epoch_s
    length = np.floor(full * share).astype(np.int32)
    return length, length / full


def _noise(log_sd: float, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Log-normal factors of mean 1."""
    return np.exp(log_sd * rng.standard_normal(shape) - log_sd**2 / 2)


def _active_epochs(
    activity: Activity, values: Values, share: FloatArray, rng: np.random.Generator
) -> dict[str, IntArray]:
    """Epochs (n, D) of the three speeds of walking, of running and of cycling."""
    per_min = 60 / activity.epoch_s
    walking = values[activity.walking_min][:, None] * per_min * share
    walking = walking * _noise(activity.walking_day_log_sd, share.shape, rng)
    others = {
        name: _occasional(declared, values, share, rng) * per_min
        for name, declared in (("running", activity.running), ("cycling", activity.cycling))
    }
    full = activity.day_s // activity.epoch_s
    most = activity.walking_highest_share * full * share
    total = walking + sum(others.values())
    shrink = np.minimum(1.0, most / np.maximum(total, 1.0))
    walked = np.maximum(np.floor(walking * shrink), 1.0)
    faster = _share(values[activity.split.faster], activity.split.day_log_sd, share.shape, rng)
    brisk = _share(values[activity.split.brisk], activity.split.day_log_sd, share.shape, rng)
    quick = np.rint(walked * faster)
    brisk_epochs = np.rint(quick * brisk)
    out = {
        "walking_slow": walked - quick,
        "walking_moderate": quick - brisk_epochs,
        "walking_brisk": brisk_epochs,
        **{name: np.floor(epochs * shrink) for name, epochs in others.items()},
    }
    return {name: epochs.astype(np.int32) for name, epochs in out.items()}


def _share(person: FloatArray, log_sd: float, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """A person's share (n,) on each day (n, D)."""
    return np.clip(person[:, None] * _noise(log_sd, shape, rng), 0.0, 1.0)


def _occasional(declared: Occasional | None, values: Values, share: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Minutes (n, D): 0 on most days."""
    if declared is None:
        return np.zeros(share.shape)
    does = rng.random(share.shape) < values[declared.day_probability][:, None]
    minutes = np.zeros(share.shape)
    minutes[does] = declared.median_min * np.exp(declared.log_sd * rng.standard_normal(int(does.sum())))
    return minutes * share


def _divide_rest(activity: Activity, values: Values, rest: IntArray, rng: np.random.Generator) -> dict[str, IntArray]:
    """Lying, sitting and standing, at least one epoch each, adding up to `rest`."""
    weights = [
        np.exp(values[activity.log_weights[name]][:, None] + activity.weight_day_sd * rng.standard_normal(rest.shape))
        for name in REST
    ]
    total = weights[0] + weights[1] + weights[2]
    free = rest - len(REST)
    lying = np.floor(free * (weights[0] / total)).astype(np.int32)
    sitting = np.floor(free * (weights[1] / total)).astype(np.int32)
    return {"lying": lying + 1, "sitting": sitting + 1, "standing": free - lying - sitting + 1}


def _invalidate(invalid: Invalid, epochs: dict[str, IntArray], values: Values, rng: np.random.Generator) -> None:
    """Set one behaviour of the invalid days to 0 and give its time to sitting (to lying where it is sitting)."""
    shape = epochs["lying"].shape
    is_invalid = rng.random(shape) < invalid.probability
    if invalid.all_days_when:
        is_invalid |= all_hold(invalid.all_days_when, values, shape[0])[:, None]
    shares = np.array([invalid.shares.get(name, 0.0) for name in MAY_BE_ZERO])
    cumulated = np.cumsum(shares) / shares.sum()
    kind = np.searchsorted(cumulated, rng.random(shape), side="right")
    for i, name in enumerate(MAY_BE_ZERO):
        days = is_invalid & (kind == i)
        taken = np.zeros(shape, dtype=np.int32)
        for part in WALKING if name == "walking" else (name,):
            taken += np.where(days, epochs[part], 0).astype(np.int32)
            epochs[part] = np.where(days, 0, epochs[part]).astype(np.int32)
        receiver = "lying" if name == "sitting" else "sitting"
        epochs[receiver] = epochs[receiver] + taken
