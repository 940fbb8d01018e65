"""The second pass over a participant's recordings: signals -> activity and cadence of every second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from walkrisk.epochs import features
from walkrisk.epochs.activities import ACTIVITIES as CLASSES
from walkrisk.epochs.activities import KINDS, Kind
from walkrisk.epochs.cadence import PAD_S as CADENCE_PAD_S
from walkrisk.epochs.cadence import cadence_spm
from walkrisk.epochs.classifier import Classifier, load_classifier
from walkrisk.epochs.epoch_table import ACTIVITIES
from walkrisk.epochs.smoothing import smooth
from walkrisk.sensors.settings import SensorSettings
from walkrisk.sensors.signals import RATE_HZ, Sensor, signal

Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
ByteArray = npt.NDArray[np.uint8]
IntArray = npt.NDArray[np.int64]

STRETCH_S = 7200
PIECE_S, HEARD_S = 2 * 86_400, 3600
ON_FOOT = [CLASSES.index(name) for name in ("walking", "stairs", "running")]
LEAST_ON_FOOT = 0.05  # probability from which a second's signal is kept for its cadence
NEAR_S = 3  # and that of so many seconds on either side
KEPT_HZ = RATE_HZ // 2  # what cadence works at
CODES = np.array([ACTIVITIES.index(name) for name in CLASSES] + [ACTIVITIES.index("unknown")], dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Classified:
    """By second, (n,): `activity` coded into epoch_table.ACTIVITIES with its `probability`; `kind` says from what: 1
    both sensors, 2 the thigh, 3 the back, 0 not classified (unknown); `cadence_spm` on foot, else NaN.
    """

    activity: ByteArray
    probability: Float32Array
    kind: ByteArray
    cadence_spm: Float32Array


@dataclass(frozen=True, slots=True)
class _Steps:
    """Signals of the seconds (m,) in which somebody may be on foot, by site: (m, 3, KEPT_HZ)."""

    second: IntArray
    signals: Mapping[str, Float32Array]


def classify(sensors: Mapping[str, Sensor], *, start_s: int, seconds: int, settings: SensorSettings) -> Classified:
    """Activity and cadence of `seconds` seconds of the participant's clock from `start_s`.

    Signals are made and classified in stretches of two hours; a second known from both sensors is classified from
    both, else from one where `use` allows it. All of it is then smoothed, and cadence found from the signals kept of
    seconds that may be on foot.
    """
    classifiers = {kind: load_classifier(kind) for kind in _allowed(sensors, settings)}
    probability = np.full((seconds, len(CLASSES)), np.nan, dtype=np.float32)
    kind = np.zeros(seconds, dtype=np.uint8)
    kept: list[_Steps] = []
    for first in range(0, seconds, STRETCH_S):
        last = min(first + STRETCH_S, seconds)
        low, high = max(first - features.PAD_S, 0), min(last + features.PAD_S, seconds)
        axes = {site: signal(sensor, start_s + low, high - low) for site, sensor in sensors.items()}
        p, used = _probabilities(axes, classifiers)
        kept.append(_may_step(axes, p, low=low, first=first, last=last))
        inner = slice(first - low, last - low)
        probability[first:last], kind[first:last] = p[inner], used[inner]
    activity, certainty = _smoothed(probability, kind, classifiers)
    return Classified(activity, certainty, kind, _cadence(kept, activity, settings))


def _allowed(sensors: Mapping[str, Sensor], settings: SensorSettings) -> list[Kind]:
    alone = {"thigh": settings.use.thigh_alone, "back": settings.use.back_alone}
    return [kind for kind in KINDS if all(site in sensors for site in kind.split("+")) and alone.get(kind, True)]


def _probabilities(
    axes: Mapping[str, Float32Array], classifiers: Mapping[Kind, Classifier]
) -> tuple[Float32Array, ByteArray]:
    """Probabilities (n, k) of a stretch, NaN where unknown, and the kind of classifier (n,) that gave them."""
    known = {site: features.known_seconds(a) for site, a in axes.items()}
    n = len(next(iter(known.values())))
    out, used = np.full((n, len(CLASSES)), np.nan, dtype=np.float32), np.zeros(n, dtype=np.uint8)
    for kind, classifier in classifiers.items():
        sites = kind.split("+")
        wanted = np.logical_and.reduce([known[site] for site in sites]) & (used == 0)
        if not wanted.any():
            continue
        thigh, back = (axes[site] if site in sites else None for site in ("thigh", "back"))
        found = classifier.probabilities(features.second_features(thigh, back))
        wanted &= np.isfinite(found[:, 0])
        out[wanted], used[wanted] = found[wanted], 1 + KINDS.index(kind)
    return out, used


def _smoothed(
    probability: Float32Array, kind: ByteArray, classifiers: Mapping[Kind, Classifier]
) -> tuple[ByteArray, Float32Array]:
    """Activity (n,) and its probability; each kind's seconds are smoothed with its own chain."""
    activity = np.full(len(kind), CODES[-1], dtype=np.uint8)
    certainty = np.full(len(kind), np.nan, dtype=np.float32)
    for name, classifier in classifiers.items():
        mine = np.flatnonzero(kind == 1 + KINDS.index(name))
        if not len(mine):
            continue
        runs = np.cumsum(np.diff(mine, prepend=mine[0]) > 1)  # the chain starts anew after each
        apart = np.full((len(mine) + int(runs[-1]), len(CLASSES)), np.nan, dtype=np.float32)
        place = np.arange(len(mine)) + runs
        apart[place] = probability[mine]
        codes, sure = _in_pieces(apart, classifier)
        activity[mine], certainty[mine] = CODES[codes[place]], sure[place]
    return activity, certainty


def _in_pieces(probability: Float32Array, classifier: Classifier) -> tuple[IntArray, Float32Array]:
    """`smooth` in pieces of two days with an hour more heard on either side, which bounds its memory."""
    codes, sure = np.empty(len(probability), dtype=np.int64), np.empty(len(probability), dtype=np.float32)
    for first in range(0, len(probability), PIECE_S):
        last, low = min(first + PIECE_S, len(probability)), max(first - HEARD_S, 0)
        own, certain = smooth(probability[low : last + HEARD_S], classifier.transition)
        inner = slice(first - low, last - low)
        codes[first:last], sure[first:last] = own[inner], certain[inner]
    return codes, sure


def _may_step(axes: Mapping[str, Float32Array], p: Float32Array, *, low: int, first: int, last: int) -> _Steps:
    """Keep the signals of the seconds from `first` to `last` in which somebody may be on foot."""
    likely = np.nan_to_num(p[:, ON_FOOT].sum(axis=1)) >= LEAST_ON_FOOT
    near = np.convolve(likely, np.ones(2 * NEAR_S + 1), mode="same") > 0.5
    second = np.flatnonzero(near[first - low : last - low]) + first - low
    signals = {}
    for site, a in axes.items():
        pairs = a.reshape(3, -1, RATE_HZ)[:, second]
        signals[site] = ((pairs[..., ::2] + pairs[..., 1::2]) / np.float32(2)).transpose(1, 0, 2)
    return _Steps(second + low, signals)


def _cadence(kept: list[_Steps], activity: ByteArray, settings: SensorSettings) -> Float32Array:
    """Cadence (n,) of the seconds on foot, stretch by stretch."""
    on_foot, running = np.isin(activity, CODES[ON_FOOT]), activity == CODES[CLASSES.index("running")]
    second = np.concatenate([k.second for k in kept]) if kept else np.empty(0, dtype=np.int64)
    cadence = np.full(len(on_foot), np.nan, dtype=np.float32)
    for first in range(0, len(on_foot), STRETCH_S):
        last = min(first + STRETCH_S, len(on_foot))
        low, high = max(first - CADENCE_PAD_S, 0), min(last + CADENCE_PAD_S, len(on_foot))
        if not on_foot[first:last].any():
            continue
        held = slice(*np.searchsorted(second, [low, high]))
        axes: dict[str, Float32Array] = {}
        for site in kept[0].signals:
            whole = np.full((high - low, 3, KEPT_HZ), np.nan, dtype=np.float32)
            whole[second[held] - low] = _between(kept, site, held)
            axes[site] = whole.transpose(1, 0, 2).reshape(3, -1)
        found = cadence_spm(
            axes.get("thigh"),
            axes.get("back"),
            on_foot[low:high],
            rate_hz=KEPT_HZ,
            running=running[low:high],
            settings=settings.cadence,
        )
        cadence[first:last] = found[first - low : last - low]
    return cadence


def _between(kept: list[_Steps], site: str, held: slice) -> Float32Array:
    """Rows `held` of all kept signals of a site in a row, without laying them all together."""
    parts = []
    at = 0
    for k in kept:
        n = len(k.second)
        i, j = max(held.start - at, 0), min(held.stop - at, n)
        if i < j:
            parts.append(k.signals[site][i:j])
        at += n
    return np.concatenate(parts) if parts else np.empty((0, 3, KEPT_HZ), dtype=np.float32)
