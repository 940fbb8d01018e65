"""How fast walking is: slow, moderate or brisk by limits on cadence, and METs by declared values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from walkrisk.declarations import Name, option
from walkrisk.epochs.epoch_table import ACTIVITIES, SPEED_CLASSES

BoolArray = npt.NDArray[np.bool_]
ByteArray = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]
Class = Literal["slow", "moderate", "brisk"]

OWN_DEFINITION = (
    "Slow, moderate and brisk walking are walkrisk's own classes, by limits on cadence (steps/min) that stand in the "
    "declaration; walking speed was not measured, and classes that others derived from raw signal by rules they have "
    "not published may differ. Steps and cadence are reported beside them."
)
"""To be said wherever speed classes, or intensities made of them, are shown."""

CADENCE_ADULTS_SPM = (100.0, 130.0)
"""Cadences of 3 and 6 METs in adults of 21-40 years: Tudor-Locke et al. 2019, doi 10.1186/s12966-019-0769-6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntensitySettings:
    """What slow, moderate and brisk walking are, and the METs of each."""

    definition: Literal["cadence", "cadence_adults"] = option(
        "cadence",
        doc="cadence: by moderate_from_spm and brisk_from_spm; cadence_adults: from 100 and 130 steps/min on.",
    )
    moderate_from_spm: float = option(100.0, doc="Lowest cadence of moderate walking (steps/min); below it is slow.")
    brisk_from_spm: float = option(115.0, doc="Lowest cadence of brisk walking (steps/min).")
    window_s: int = option(
        11, doc="A second's class is that of the median cadence of so many seconds of its bout (odd; 1: its own)."
    )
    stairs: Literal["by_cadence", "slow", "moderate", "brisk"] = option(
        "by_cadence", doc="Class of stairs: by their cadence like level walking, or always one class."
    )
    met_slow: float = option(2.8, doc="METs of slow walking.")
    met_moderate: float = option(3.8, doc="METs of moderate walking.")
    met_brisk: float = option(4.8, doc="METs of brisk walking.")
    met_others: Mapping[Name, float] = option(
        factory=dict, doc="METs of other activities by name (running, cycling, sitting, ...); not named: none."
    )

    @property
    def limits_spm(self) -> tuple[float, float]:
        """Lowest cadence of moderate and of brisk walking, as defined."""
        return (
            CADENCE_ADULTS_SPM if self.definition == "cadence_adults" else (self.moderate_from_spm, self.brisk_from_spm)
        )


DEFAULT = IntensitySettings()


def intensity_faults(settings: IntensitySettings) -> Iterator[tuple[str, str]]:
    """(key, sentence) for each setting that contradicts another or names what is not known."""
    if not 0 < settings.moderate_from_spm < settings.brisk_from_spm:
        yield (
            "brisk_from_spm",
            f"must be above moderate_from_spm, and both above 0; got {settings.brisk_from_spm:g} and "
            f"{settings.moderate_from_spm:g}.",
        )
    if settings.window_s < 1 or settings.window_s % 2 == 0:
        yield "window_s", f"must be an odd whole number of seconds, 1 or more, got {settings.window_s}."
    for speed in SPEED_CLASSES:
        value = getattr(settings, f"met_{speed}")
        if not value > 0:
            yield f"met_{speed}", f"must be above 0, got {value:g}."
    for name, value in settings.met_others.items():
        if name not in OTHERS:
            yield f"met_others.{name}", f"is no activity that can have METs of its own; these can: {', '.join(OTHERS)}."
        elif not value > 0:
            yield f"met_others.{name}", f"must be above 0, got {value:g}."


OTHERS = tuple(name for name in ACTIVITIES if name not in ("walking", "nonwear", "unknown"))


def definition_sentence(settings: IntensitySettings = DEFAULT) -> str:
    """The definition in use as one sentence for tables and quality reports."""
    moderate, brisk = settings.limits_spm
    stairs = "by their own cadence" if settings.stairs == "by_cadence" else f"always {settings.stairs}"
    window = f"median cadence over {settings.window_s} s" if settings.window_s > 1 else "cadence of each second"
    return (
        f"Walking was slow below {moderate:g}, moderate from {moderate:g} and brisk from {brisk:g} steps/min "
        f"({window}; stairs {stairs}), with {settings.met_slow:g}, {settings.met_moderate:g} and "
        f"{settings.met_brisk:g} METs."
    )


def speed_class(
    cadence: Float32Array, walking: BoolArray, *, stairs: BoolArray | None = None, settings: IntensitySettings = DEFAULT
) -> ByteArray:
    """Class (S,) of each second: 1 slow, 2 moderate, 3 brisk; 0 where there is no walking or no cadence.

    `cadence` (S,) steps/min, NaN where unknown; `walking` (S,) seconds on foot but not running; `stairs` (S,) those of
    them (or beside them) on stairs, which lengthen a bout of walking. A second has the class of the median known
    cadence among the `window_s` seconds around it that are of its own bout, so that a step cannot flicker.
    """
    on_foot = walking if stairs is None else walking | stairs
    codes = np.zeros(len(cadence), dtype=np.uint8)
    second = np.flatnonzero(on_foot)
    if not len(second):
        return codes
    middle = _bout_median(cadence, on_foot, settings.window_s)[second]
    known = np.isfinite(cadence[second])
    classes = 1 + np.searchsorted(np.asarray(settings.limits_spm, dtype=np.float32), middle, side="right")
    codes[second] = np.where(known, classes, 0)
    if stairs is not None and settings.stairs != "by_cadence":
        codes[stairs] = 1 + SPEED_CLASSES.index(settings.stairs)
    return codes


def _bout_median(cadence: Float32Array, on_foot: BoolArray, window: int) -> Float32Array:
    """Median (S,) of the known cadences within `window` // 2 seconds in the same bout; NaN outside bouts."""
    out = np.full(len(cadence), np.nan, dtype=np.float32)
    bout = np.cumsum(np.diff(on_foot.astype(np.int8), prepend=0) == 1)
    second = np.flatnonzero(on_foot)
    at = second[:, None] + np.arange(-(window // 2), window // 2 + 1)
    inside = (at >= 0) & (at < len(cadence))
    at = np.clip(at, 0, len(cadence) - 1)
    inside &= on_foot[at] & (bout[at] == bout[second][:, None])
    values = np.sort(np.where(inside, cadence[at], np.float32(np.nan)), axis=1)  # NaN last
    count = np.isfinite(values).sum(axis=1)
    row = np.arange(len(second))
    out[second] = (values[row, np.maximum(count - 1, 0) // 2] + values[row, np.minimum(count // 2, window - 1)]) / 2
    return out


def met(activity: ByteArray, speed: ByteArray, *, settings: IntensitySettings = DEFAULT) -> Float32Array:
    """METs (S,) of each second: by speed class for walking, as declared for the rest, NaN where nothing is declared.

    `activity` (S,) codes into ACTIVITIES, `speed` (S,) as from `speed_class`. Stairs have the METs declared for them,
    otherwise those of their speed class.
    """
    own = np.array([settings.met_others.get(name, np.nan) for name in ACTIVITIES], dtype=np.float32)[activity]
    by_class = np.array([np.nan, settings.met_slow, settings.met_moderate, settings.met_brisk], dtype=np.float32)
    return np.where(np.isnan(own), by_class[speed], own).astype(np.float32)
