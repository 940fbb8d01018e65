"""The shipped classifiers: boosted trees (XGBoost) over the features of each second.

Three were trained, for both sensors, the thigh alone and the back alone, by analyses/activity_classifier/train.py; its
README.md is their model card. Files are XGBoost's own binary JSON and a json of settings: nothing in them is executed.

Where both sensors are there, and the model of both is not sure of a second with movement, the other two are asked too
and a weighted mean of the probabilities is given; a still second is a matter of posture, which needs both sensors.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

from walkrisk.epochs.activities import ACTIVITIES, Kind
from walkrisk.epochs.activities import KINDS as KINDS
from walkrisk.epochs.features import feature_names
from walkrisk.epochs.smoothing import Transition

F32 = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
ROWS = 8192  # at a time, which bounds memory
SHARES: dict[Kind, float] = {"thigh+back": 0.4, "thigh": 0.4, "back": 0.2}  # of the mean in moving seconds
SURE = 0.98  # probability from which the model of both sensors is believed alone
MOVING_S = 3  # seconds about movement that are not still
HELD_S = 3  # a still second may be given what was found for one so far away


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """A trained classifier for one set of sensors, with the chain that smooths its probabilities.

    `boosters` are those of `kind` and, for both sensors, of each alone.
    """

    kind: Kind
    version: str
    transition: Transition
    boosters: tuple[tuple[Kind, xgboost.Booster], ...]

    def probabilities(self, features: F32) -> F32:
        """Probability (s, 8) of each of ACTIVITIES in each second from `second_features` (s, p); NaN where unknown.

        In still stretches only the seconds that moved most among those within HELD_S are looked at, and give their
        probabilities to the nearest others.
        """
        names = feature_names(self.kind)
        if features.ndim != 2 or features.shape[1] != len(names):
            raise ValueError(f"the {self.kind} classifier takes {len(names)} features a second, not {features.shape}")
        known: Bools = ~np.isnan(features[:, 0])
        moving = moving_seconds(features, self.kind)
        look = known & (moving | _most_moved(features, self.kind))
        look |= known & (np.abs(_nearest(look) - np.arange(len(look))) > HELD_S)
        out = np.full((len(features), len(ACTIVITIES)), np.nan, dtype=np.float32)
        for start in range(0, len(features), ROWS):
            here = slice(start, start + ROWS)
            self._look(features[here], moving[here] & known[here], look[here], out[here])
        out[known] = out[_nearest(look)[known]]
        return out

    def _look(self, features: F32, moving: Bools, look: Bools, out: F32) -> None:
        """Fill the rows `look` of `out`; those of `moving` are among them."""
        (_, own), *others = self.boosters
        if look.any():
            out[look] = own.inplace_predict(np.ascontiguousarray(features[look]))
        doubtful = np.flatnonzero(moving & ~(out.max(axis=1) >= SURE))
        if others and len(doubtful):
            rows = features[doubtful]
            total = out[doubtful] * np.float32(SHARES[self.kind])
            for kind, booster in others:
                p = booster.inplace_predict(np.ascontiguousarray(rows[:, columns_of(kind, self.kind)]))
                total += p * np.float32(SHARES[kind])
            out[doubtful] = total


@cache
def columns_of(kind: Kind, among: Kind) -> list[int]:
    """Which columns of the features of the sensors `among` are the features of `kind`."""
    whole = feature_names(among)
    return [whole.index(name) for name in feature_names(kind)]


def moving_seconds(features: F32, kind: Kind) -> Bools:
    """Seconds (s,) within MOVING_S of one in which a sensor moves enough to have a rhythm."""
    names = feature_names(kind)
    power = np.nan_to_num(features[:, [names.index(f"{site}_all_power") for site in kind.split("+")]])
    moves: Bools = (power != 0).any(axis=1)
    near = moves.copy()
    for d in range(1, MOVING_S + 1):
        near[d:] |= moves[:-d]
        near[:-d] |= moves[d:]
    return near


def _most_moved(features: F32, kind: Kind) -> Bools:
    """Seconds (s,) that move no less than any known one within HELD_S."""
    names = feature_names(kind)
    jerk = features[:, [names.index(f"{site}_jerk") for site in kind.split("+")]].sum(axis=1)
    jerk = np.where(np.isnan(jerk), np.float32(-1), jerk)
    most = np.ones(len(jerk), dtype=np.bool_)
    for d in range(1, HELD_S + 1):
        most[d:] &= jerk[d:] >= jerk[:-d]
        most[:-d] &= jerk[:-d] >= jerk[d:]
    return most


def _nearest(look: Bools) -> npt.NDArray[np.intp]:
    """Row (s,) of the nearest second of `look`, the earlier of two; a row that is not there if there is none."""
    at = np.arange(len(look))
    far = 2 * len(look) + HELD_S
    before = np.maximum.accumulate(np.where(look, at, -far))
    after = np.minimum.accumulate(np.where(look, at, far)[::-1])[::-1]
    nearest: npt.NDArray[np.intp] = np.where(at - before <= after - at, before, after)
    return nearest


@cache
def load_classifier(kind: Kind) -> Classifier:
    """The shipped classifier for "thigh+back", "thigh" or "back"; RuntimeError where its files are not whole."""
    kinds = KINDS if kind == "thigh+back" else (kind,)
    transition = Transition.of(metadata()["classifiers"][kind]["transition"])
    boosters = tuple((k, _booster(k)) for k in kinds)
    return Classifier(kind=kind, version=metadata()["version"], transition=transition, boosters=boosters)


def _booster(kind: Kind) -> xgboost.Booster:
    own = metadata()["classifiers"][kind]
    content = (resources.files(__package__) / "trained" / own["file"]).read_bytes()
    if hashlib.sha256(content).hexdigest() != own["sha256"]:
        raise RuntimeError(f"the shipped classifier {own['file']} is not as it was released; install walkrisk again")
    if tuple(own["features"]) != feature_names(kind):
        raise RuntimeError(f"the shipped classifier {own['file']} was trained on other features; train it again")
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(content))
    booster.set_param({"nthread": 1})
    return booster


@cache
def metadata() -> dict[str, Any]:
    """What is known of the shipped classifiers: version, training data, settings, scores and measurement error."""
    text = (resources.files(__package__) / "trained" / "classifiers.json").read_text(encoding="utf-8")
    values: dict[str, Any] = json.loads(text)
    return values
