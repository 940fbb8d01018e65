"""The shipped classifiers: boosted trees (XGBoost) over the features of each second.

Three were trained, for both sensors, the thigh alone and the back alone, by analyses/activity_classifier/train.py; its
README.md is their model card. Files are XGBoost's own binary JSON and a json of settings: nothing in them is executed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xgboost

from walkrisk.epochs.activities import ACTIVITIES
from walkrisk.epochs.features import feature_names
from walkrisk.epochs.smoothing import Transition

F32 = npt.NDArray[np.float32]
Kind = Literal["thigh+back", "thigh", "back"]
KINDS: tuple[Kind, ...] = ("thigh+back", "thigh", "back")
ROWS = 8192  # at a time, which bounds memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """A trained classifier for one set of sensors, with the chain that smooths its probabilities."""

    kind: Kind
    version: str
    transition: Transition
    booster: xgboost.Booster

    def probabilities(self, features: F32) -> F32:
        """Probability (s, 8) of each of ACTIVITIES in each second from `second_features` (s, p); NaN where unknown."""
        names = feature_names(self.kind)
        if features.ndim != 2 or features.shape[1] != len(names):
            raise ValueError(f"the {self.kind} classifier takes {len(names)} features a second, not {features.shape}")
        out = np.full((len(features), len(ACTIVITIES)), np.nan, dtype=np.float32)
        known = np.flatnonzero(~np.isnan(features[:, 0]))
        for start in range(0, len(known), ROWS):
            rows = known[start : start + ROWS]
            out[rows] = self.booster.inplace_predict(np.ascontiguousarray(features[rows]))
        return out


@cache
def load_classifier(kind: Kind) -> Classifier:
    """The shipped classifier for "thigh+back", "thigh" or "back"; RuntimeError where its files are not whole."""
    own = metadata()["classifiers"][kind]
    content = (resources.files(__package__) / "trained" / own["file"]).read_bytes()
    if hashlib.sha256(content).hexdigest() != own["sha256"]:
        raise RuntimeError(f"the shipped classifier {own['file']} is not as it was released; install walkrisk again")
    if tuple(own["features"]) != feature_names(kind):
        raise RuntimeError(f"the shipped classifier {own['file']} was trained on other features; train it again")
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(content))
    booster.set_param({"nthread": 1})
    transition = Transition.of(own["transition"])
    return Classifier(kind=kind, version=metadata()["version"], transition=transition, booster=booster)


@cache
def metadata() -> dict[str, Any]:
    """What is known of the shipped classifiers: version, training data, settings, scores and measurement error."""
    text = (resources.files(__package__) / "trained" / "classifiers.json").read_text(encoding="utf-8")
    values: dict[str, Any] = json.loads(text)
    return values
