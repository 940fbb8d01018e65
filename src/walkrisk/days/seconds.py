"""A recording after classification: what the wearer did in each second, as days are counted from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.days.bouts import runs
from walkrisk.epochs.activities import KINDS
from walkrisk.epochs.epoch_table import ACTIVITIES as ACTIVITIES  # the codes of epochs are those of seconds
from walkrisk.epochs.epoch_table import SPEED_CLASSES

BoolArray = npt.NDArray[np.bool_]
ByteArray = npt.NDArray[np.uint8]
F32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """One value a second from device-clock second `start_s` on; all arrays are (n,).

    `activity` codes into `names` (out of ACTIVITIES); `speed` 1 slow, 2 moderate, 3 brisk, 0 none; `cadence_spm` steps
    a minute and `met` (of walking: that of its class after `complete_speed`), NaN where there is none; `kind` codes the
    sensors a second was classified from as in KINDS, 1 both, 0 none (None: both, wherever it is classified).
    """

    start_s: int
    activity: ByteArray
    speed: ByteArray
    cadence_spm: F32Array
    met: F32Array
    kind: ByteArray | None = None
    names: tuple[str, ...] = ACTIVITIES

    def __post_init__(self) -> None:
        """Raises ValueError where arrays differ in length or a name or code is not known."""
        n = len(self.activity)
        others = (self.speed, self.cadence_spm, self.met, *(() if self.kind is None else (self.kind,)))
        if any(len(a) != n for a in others):
            raise ValueError("all arrays of Seconds have one value a second")
        if set(self.names) - set(ACTIVITIES) or (n and int(self.activity.max()) >= len(self.names)):
            raise ValueError(f"activities are {', '.join(ACTIVITIES)}, got {', '.join(self.names)} and codes into them")
        if n and int(self.speed.max()) > len(SPEED_CLASSES):
            raise ValueError("speed is 0 (none), 1 (slow), 2 (moderate) or 3 (brisk)")

    @property
    def sensors(self) -> ByteArray:
        """Code (n,) of the sensors each second was classified from, 0 where not worn or not known."""
        classified = ~self.being("nonwear", "unknown")
        return np.where(classified, 1 if self.kind is None else self.kind, 0).astype(np.uint8)

    def being(self, *activities: str) -> BoolArray:
        """Seconds (n,) of any of these activities."""
        wanted = np.array([name in activities for name in self.names])
        return np.asarray(wanted[self.activity], dtype=np.bool_)


def usual_sensors(kind: ByteArray) -> str:
    """The sensors from which most classified seconds (n,) come; "none" where there are none."""
    counts = np.bincount(kind, minlength=len(KINDS) + 1)[1:]
    return KINDS[int(counts.argmax())] if counts.any() else "none"


def complete_speed(walking: BoolArray, speed: ByteArray) -> ByteArray:
    """A speed class (n,) for every second of `walking` (n,), 0 elsewhere.

    Walking without a class takes that of the nearest second of the same run of walking that has one (the earlier of
    two as near); a run without any is slow, as bouts too short for a cadence are.
    """
    n = len(walking)
    at = np.arange(n)
    has = walking & (speed > 0)
    before = np.maximum.accumulate(np.where(has, at, -1)) if n else at
    after = np.minimum.accumulate(np.where(has, at, n)[::-1])[::-1] if n else at
    first, last = np.zeros(n, dtype=np.int64), np.full(n, n, dtype=np.int64)
    for start, stop in runs(walking):
        first[start:stop], last[start:stop] = start, stop - 1
    to_before = np.where(before >= first, at - before, n + 1)
    to_after = np.where(after <= last, after - at, n + 1)
    nearest = np.where(to_before <= to_after, before, after)
    found = np.minimum(to_before, to_after) <= n
    filled = np.where(found, speed[np.clip(nearest, 0, max(n - 1, 0))] if n else speed, 1)
    return np.where(walking, filled, 0).astype(np.uint8)
