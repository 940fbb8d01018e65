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
import xgboost
from labelled import F32, UNLABELLED, Labels, Person, doubtful, read_study, varied

from walkrisk.epochs.activities import ACTIVITIES
from walkrisk.epochs.classifier import KINDS
from walkrisk.epochs.features import feature_names, second_features

HERE = Path(__file__).resolve().parent
VERSION = "1"
ROUNDS = 60
COPIES = 2  # varied copies of each person
EVERY = 2  # of their seconds, one in so many
SEED = 20261
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
}
EXPONENT = 1.0
Rows = tuple[F32, Labels]


def features_of(person: Person, kind: str) -> F32:
    """The features of one person's seconds with the sensors of `kind`."""
    sites = kind.split("+")
    return second_features(person.thigh if "thigh" in sites else None, person.back if "back" in sites else None)


def rows_of(person: Person, kind: str, *, number: int, copies: int = COPIES) -> list[Rows]:
    """Features and labels of one person as recorded and in varied copies, unknown and doubtful seconds left out."""
    out = [_known(features_of(person, kind), np.where(doubtful(person.labels), UNLABELLED, person.labels))]
    for copy in range(copies):
        other = varied(person, np.random.default_rng([SEED, number, copy]))
        labels = np.where(np.arange(len(other.labels)) % EVERY == copy % EVERY, other.labels, UNLABELLED)
        out.append(_known(features_of(other, kind), labels))
    return out


def _known(x: F32, labels: Labels) -> Rows:
    use = (labels != UNLABELLED) & ~np.isnan(x[:, 0])
    return x[use], labels[use]


def fit(rows: Iterable[Rows], *, threads: int = 1, **changes: object) -> xgboost.Booster:
    """One classifier from the rows of many people."""
    pieces = list(rows)
    x, y = np.concatenate([x for x, _ in pieces]), np.concatenate([y for _, y in pieces])
    parameters = PARAMETERS | {"nthread": threads} | changes
    data = xgboost.QuantileDMatrix(x, label=y, max_bin=PARAMETERS["max_bin"], nthread=threads)
    return xgboost.train(parameters, data, num_boost_round=ROUNDS)


def chain_of(labels: Sequence[Labels], *, exponent: float = EXPONENT) -> dict[str, Any]:
    """The transition settings of walkrisk.epochs.smoothing.Transition, as lists, from the labels of many people."""
    k = len(ACTIVITIES)
    counts = np.full((k, k), 0.5)
    for y in labels:
        both = (y[:-1] != UNLABELLED) & (y[1:] != UNLABELLED)
        np.add.at(counts, (y[:-1][both], y[1:][both]), 1)
    start = counts.sum(axis=1) / counts.sum()
    matrix = counts / counts.sum(axis=1, keepdims=True)
    return {"matrix": matrix.tolist(), "start": start.tolist(), "weight": np.ones(k).tolist(), "exponent": exponent}


def read_everyone(arguments: argparse.Namespace) -> list[Person]:
    return read_study(arguments.harth, "harth") + read_study(arguments.har70plus, "har70plus")


def folders(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--harth", type=Path, required=True, help="folder of HARTH (csv, or thigh/, trunk/, ...)")
    parser.add_argument("--har70plus", type=Path, required=True, help="folder of HAR70+ in either layout")
    parser.add_argument("--threads", type=int, default=1)
    return parser


def main() -> None:
    parser = folders("Trains the shipped activity classifiers.")
    parser.add_argument("--out", type=Path, default=HERE.parents[1] / "src" / "walkrisk" / "epochs" / "trained")
    arguments = parser.parse_args()
    people = read_everyone(arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    shipped = {}
    for kind in KINDS:
        rows = [r for i, p in enumerate(people) for r in rows_of(p, kind, number=i)]
        file = kind.replace("+", "_") + ".ubj"
        fit(rows, threads=arguments.threads).save_model(arguments.out / file)
        shipped[kind] = {
            "file": file,
            "sha256": hashlib.sha256((arguments.out / file).read_bytes()).hexdigest(),
            "features": list(feature_names(kind)),
            "transition": chain_of([p.labels for p in people]),
        }
        print(f"{kind}: {sum(len(y) for _, y in rows):,} seconds, {len(feature_names(kind))} features", flush=True)
    _write(arguments.out / "classifiers.json", people, shipped)


def _write(path: Path, people: Sequence[Person], shipped: dict[str, Any]) -> None:
    results = HERE / "results" / "measurement_error.json"
    values = {
        "version": VERSION,
        "activities": list(ACTIVITIES),
        "trained_on": {s: [p.subject for p in people if p.study == s] for s in ("harth", "har70plus")},
        "labelled_seconds": int(sum((p.labels != UNLABELLED).sum() for p in people)),
        "parameters": PARAMETERS | {"rounds": ROUNDS, "varied_copies": COPIES},
        "xgboost": xgboost.__version__,
        "numpy": np.__version__,
        "classifiers": shipped,
        "measurement_error": json.loads(results.read_text("utf-8")) if results.exists() else None,
    }
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
