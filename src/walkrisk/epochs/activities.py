"""The activities that are told apart, their codes in per-second arrays, and how they are merged by declaration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.declarations import option

Codes = npt.NDArray[np.int8]

ACTIVITIES = ("walking", "stairs", "running", "standing", "shuffling", "sitting", "lying", "cycling")
"""Code i is ACTIVITIES[i]."""

CODE = {name: code for code, name in enumerate(ACTIVITIES)}
UNKNOWN = -1
"""Code of a second without enough signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivitySettings:
    """Which activities count as which."""

    stairs_as_walking: bool = option(True, doc="Stairs, up and down, count as walking.")
    shuffling_as_standing: bool = option(True, doc="Shuffling (steps that lead nowhere) counts as standing.")


def merge(codes: Codes, settings: ActivitySettings) -> Codes:
    """Codes (s,) int8 in which stairs and shuffling are what `settings` say; unknown (-1) stays unknown."""
    table = np.arange(-1, len(ACTIVITIES), dtype=np.int8)  # table[code + 1]
    if settings.stairs_as_walking:
        table[CODE["stairs"] + 1] = CODE["walking"]
    if settings.shuffling_as_standing:
        table[CODE["shuffling"] + 1] = CODE["standing"]
    return table[codes.astype(np.intp) + 1]
