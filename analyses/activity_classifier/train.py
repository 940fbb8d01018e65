"""Trains the shipped activity classifiers from the public files of HARTH and HAR70+.

    python analyses/activity_classifier/train.py --harth FOLDER --har70plus FOLDER [--out src/walkrisk/epochs/trained]

Deterministic: the same files and the same versions of NumPy and XGBoost give the same classifiers. The scores and the
measurement error that evaluate.py finds are added to the metadata where its results are in results/.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost
from labelled import F32, UNLABELLED, Labels, Person, calibrated, doubtful, read_study, varied

from walkrisk.epochs.activities import ACTIVITIES, CODE
from walkrisk.epochs.classifier import KINDS, SHARES, Kind, columns_of
from walkrisk.epochs.features import feature_names, second_features

HERE = Path(__file__).resolve().parent
VERSION = "3"
ROUNDS = 60
COPIES = 3  # varied copies of each person
CYCLING_COPIES = 4  # further ones of their cycling alone, which few people did
SHARE = 0.6  # of the seconds of a copy
SEED = 20261
NEAR_S = 4  # seconds about a change of label are all kept
RARE = [CODE["stairs"], CODE["shuffling"]]
EVERY = (3, 4)  # of the other seconds one in so many is kept, as recorded and in copies, with that weight
PARAMETERS: dict[str, Any] = {
    "objective": "multi:softprob",
    "num_class": len(ACTIVITIES),
    "tree_method": "hist",
    "max_bin": 64,
    "eta": 0.12,
    "max_depth": 5,
    "min_child_weight": 20,
    "lambda": 3.0,
    "subsample": 0.7,
    "colsample_bynode": 0.1,
    "seed": SEED,
    "nthread": 1,
}
EXPONENT, TEMPER, WALKING_WEIGHT = 0.35, 0.3, 0.65  # the last where evaluate.py has not found one
TOGETHER = {"stairs": "walking", "shuffling": "standing"}
Rows = tuple[F32, Labels, F32]


def rows_of(person: Person, *, number: int) -> list[Rows]:
    """Features, labels and weights of one person as recorded and in varied copies, every other one calibrated first.

    Unknown and doubtful seconds are left out, and most seconds within long stretches of one activity, whose weight the
    kept ones carry.
    """
    labels = np.where(doubtful(person.labels), UNLABELLED, person.labels)
    out = [_thinned(second_features(person.thigh, person.back), labels, EVERY[0], np.ones(len(labels), dtype=bool))]
    cycles = CODE["cycling"] in labels
    as_calibrated = calibrated(person)
    for copy in range(COPIES + (CYCLING_COPIES if cycles else 0)):
        rng = np.random.default_rng([SEED, number, copy])
        other = varied(person if copy % 2 else as_calibrated, rng, on_bicycle=copy >= COPIES)
        part = rng.random(len(other.labels)) < SHARE
        if copy >= COPIES:
            part &= other.labels == CODE["cycling"]
        out.append(_thinned(second_features(other.thigh, other.back), other.labels, EVERY[1], part))
    return out


def _thinned(x: F32, labels: Labels, every: int, part: npt.NDArray[np.bool_]) -> Rows:
    n = len(labels)
    near = np.isin(labels, RARE)
    for d in range(-NEAR_S, NEAR_S):
        near[np.clip(np.flatnonzero(labels[1:] != labels[:-1]) + 1 + d, 0, n - 1)] = True
    weight = np.where(near, 1.0, every).astype(np.float32)
    use = (near | (np.arange(n) % every == 0)) & part & (labels != UNLABELLED) & ~np.isnan(x[:, 0])
    return x[use], labels[use], weight[use]


def fit(rows: Iterable[Rows], kind: Kind) -> xgboost.Booster:
    """One classifier from the rows of many people."""
    pieces = list(rows)
    x, y, weight = (np.concatenate([p[i] for p in pieces]) for i in range(3))
    data = xgboost.QuantileDMatrix(
        x[:, columns_of(kind, "thigh+back")], label=y, weight=weight, max_bin=PARAMETERS["max_bin"]
    )
    return xgboost.train(PARAMETERS, data, num_boost_round=ROUNDS)


def chain_of(labels: Sequence[Labels], *, walking_weight: float = WALKING_WEIGHT) -> dict[str, Any]:
    """The settings of walkrisk.epochs.smoothing.Transition, as lists, from the labels of many people.

    Transition probabilities are raised to the power TEMPER and scaled anew: the features already see half a minute, so
    the chain is to settle doubts of seconds, not to hold activities together. Those to and from cycling are left as
    they are: a ride lasts minutes, and whoever rises from the saddle for half a minute has not started to walk.
    """
    k, cycling = len(ACTIVITIES), CODE["cycling"]
    counts = np.full((k, k), 0.5)
    for y in labels:
        both = (y[:-1] != UNLABELLED) & (y[1:] != UNLABELLED)
        np.add.at(counts, (y[:-1][both], y[1:][both]), 1)
    observed = counts / counts.sum(axis=1, keepdims=True)
    matrix = observed**TEMPER
    matrix[cycling], matrix[:, cycling] = observed[cycling], observed[:, cycling]
    weight = np.ones(k)
    weight[[CODE["walking"], CODE["stairs"]]] = walking_weight
    return {
        "matrix": (matrix / matrix.sum(axis=1, keepdims=True)).tolist(),
        "start": (counts.sum(axis=1) / counts.sum()).tolist(),
        "weight": weight.tolist(),
        "exponent": EXPONENT,
        "groups": [CODE[TOGETHER.get(name, name)] for name in ACTIVITIES],
    }


def walking_weights() -> dict[str, float]:
    """Of each sensor set, as evaluate.py found it, or else WALKING_WEIGHT."""
    file = HERE / "results" / "walking_weight.json"
    found = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return {kind: found.get(kind, {}).get("shipped", WALKING_WEIGHT) for kind in KINDS}


def read_everyone(arguments: argparse.Namespace) -> list[Person]:
    return read_study(arguments.harth, "harth") + read_study(arguments.har70plus, "har70plus")


def folders(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--harth", type=Path, required=True, help="folder of HARTH (csv, or thigh/, trunk/, ...)")
    parser.add_argument("--har70plus", type=Path, required=True, help="folder of HAR70+ in either layout")
    return parser


def main() -> None:
    parser = folders("Trains the shipped activity classifiers.")
    parser.add_argument("--out", type=Path, default=HERE.parents[1] / "src" / "walkrisk" / "epochs" / "trained")
    arguments = parser.parse_args()
    people = read_everyone(arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = [r for i, p in enumerate(people) for r in rows_of(p, number=i)]
    shipped, weights = {}, walking_weights()
    for kind in KINDS:
        file = kind.replace("+", "_") + ".ubj"
        fit(rows, kind).save_model(arguments.out / file)
        shipped[kind] = {
            "file": file,
            "sha256": hashlib.sha256((arguments.out / file).read_bytes()).hexdigest(),
            "features": list(feature_names(kind)),
            "transition": chain_of([p.labels for p in people], walking_weight=weights[kind]),
        }
        print(f"{kind}: {sum(len(y) for _, y, _ in rows):,} seconds, {len(feature_names(kind))} features", flush=True)
    _write(arguments.out / "classifiers.json", people, shipped)


def _write(path: Path, people: Sequence[Person], shipped: dict[str, Any]) -> None:
    results = HERE / "results" / "measurement_error.json"
    values = {
        "version": VERSION,
        "activities": list(ACTIVITIES),
        "trained_on": {s: [p.subject for p in people if p.study == s] for s in ("harth", "har70plus")},
        "labelled_seconds": int(sum((p.labels != UNLABELLED).sum() for p in people)),
        "parameters": PARAMETERS | {"rounds": ROUNDS, "varied_copies": COPIES, "cycling_copies": CYCLING_COPIES},
        "shares_when_moving": SHARES,
        "xgboost": xgboost.__version__,
        "numpy": np.__version__,
        "classifiers": shipped,
        "measurement_error": json.loads(results.read_text("utf-8")) if results.exists() else None,
    }
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
