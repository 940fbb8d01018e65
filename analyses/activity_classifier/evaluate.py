"""Scores the activity classifiers subject by subject, each by classifiers that saw nothing of that subject.

    python analyses/activity_classifier/evaluate.py --harth FOLDER --har70plus FOLDER [--peer NAME=FILE]...

Writes results/: scores.csv (a row a subject, sensor set and condition), confusion.csv, summary.json and
measurement_error.json/.csv. A peer's parquet file has `subject, second` (a time) and `predicted` (named as in
walkrisk.epochs.activities); it is scored by the same functions.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xgboost
from baseline import windowed_baseline
from labelled import RATE_HZ, UNLABELLED, Labels, Person
from train import HERE, Rows, chain_of, columns_of, fit, folders, read_everyone, rows_of

from walkrisk.epochs.activities import ACTIVITIES, CODE, UNKNOWN, ActivitySettings, merge
from walkrisk.epochs.classifier import KINDS
from walkrisk.epochs.features import second_features
from walkrisk.epochs.smoothing import Transition, smooth

FOLDS = 6
DELAYS_S = (1, 5, 10)
MERGED = [a for a in ACTIVITIES if a not in ("stairs", "shuffling")]
LEAST_WALKING_S = 300
Codes = npt.NDArray[np.int8]
Predictions = dict[tuple[str, str], dict[str, Codes]]


def folds_of(people: Sequence[Person]) -> dict[str, int]:
    """Person -> fold, each study dealt out in order of its subjects' names."""
    out = {}
    for study in dict.fromkeys(p.study for p in people):
        out |= {p.key: i % FOLDS for i, p in enumerate(q for q in people if q.study == study)}
    return out


def predict(booster: xgboost.Booster, chain: Transition, features: npt.NDArray[np.float32]) -> Codes:
    known = ~np.isnan(features[:, 0])
    p = np.full((len(features), len(ACTIVITIES)), np.nan, dtype=np.float32)
    p[known] = booster.inplace_predict(np.ascontiguousarray(features[known]))
    return smooth(p, chain)[0]


def delayed(person: Person, seconds: int) -> Person:
    """The same person with a back sensor whose clock is late."""
    back = np.roll(person.back, seconds * RATE_HZ, axis=1)
    back[:, : seconds * RATE_HZ] = np.nan
    return replace(person, back=back)


def cross_validated(people: Sequence[Person]) -> Predictions:
    """(sensor set, condition) -> person -> codes (s,), each predicted from the people of the other folds."""
    fold = folds_of(people)
    rows: dict[str, list[Rows]] = {p.key: rows_of(p, number=i) for i, p in enumerate(people)}
    out: Predictions = {}
    for k in range(FOLDS):
        others = [p for p in people if fold[p.key] != k]
        chain = Transition.of(chain_of([p.labels for p in others]))
        for kind in KINDS:
            booster = fit([r for p in others for r in rows[p.key]], kind)
            for p in (p for p in people if fold[p.key] == k):
                x = second_features(p.thigh, p.back)[:, columns_of(kind)]
                out.setdefault((kind, "as recorded"), {})[p.key] = predict(booster, chain, x)
                for late in DELAYS_S if kind == "thigh+back" else ():
                    x = second_features(delayed(p, late).thigh, delayed(p, late).back)
                    out.setdefault((kind, f"back {late} s late"), {})[p.key] = predict(booster, chain, x)
        print(f"fold {k + 1} of {FOLDS} done", flush=True)
    return out


def scored(labels: Labels, codes: Codes) -> dict[str, float]:
    """Seconds, agreement and F1 of one person over all labelled seconds, stairs and shuffling merged."""
    truth, found = _merged(labels, codes)
    walked, said = truth == CODE["walking"], found == CODE["walking"]
    both = int((walked & said).sum())
    return {
        "labelled_s": len(truth),
        "walking_true_s": int(walked.sum()),
        "walking_predicted_s": int(said.sum()),
        "walking_both_s": both,
        "walking_f1": 2 * both / max(int(walked.sum() + said.sum()), 1),
        "walking_ratio": float(said.sum() / max(int(walked.sum()), 1)),
        "accuracy": float((truth == found).mean()),
    }


def _merged(labels: Labels, codes: Codes) -> tuple[Codes, Codes]:
    use = labels != UNLABELLED
    settings = ActivitySettings()
    return merge(labels[use].astype(np.int8), settings), merge(codes[use], settings)


def confusion(people: Sequence[Person], codes: Mapping[str, Codes], *, merged: bool) -> pd.DataFrame:
    """Seconds by true (rows) and predicted activity (columns, the last "unknown")."""
    settings = ActivitySettings(stairs_as_walking=merged, shuffling_as_standing=merged)
    truth = np.concatenate([merge(p.labels[p.labels != UNLABELLED].astype(np.int8), settings) for p in people])
    found = np.concatenate([merge(codes[p.key][p.labels != UNLABELLED], settings) for p in people])
    names = list(ACTIVITIES)
    table = np.zeros((len(names), len(names) + 1), dtype=np.int64)
    np.add.at(table, (truth, np.where(found == UNKNOWN, len(names), found)), 1)
    keep = MERGED if merged else names
    return pd.DataFrame(table, index=names, columns=[*names, "unknown"]).loc[keep, [*keep, "unknown"]]


def summarised(people: Sequence[Person], codes: Mapping[str, Codes]) -> dict[str, Any]:
    """Pooled F1 of each activity and the spread of walking between persons, for one study."""
    each = pd.DataFrame([scored(p.labels, codes[p.key]) for p in people])
    walkers = each[each["walking_true_s"] >= LEAST_WALKING_S]
    tables = {m: confusion(people, codes, merged=m) for m in (True, False)}
    whole = tables[True]
    return {
        "persons": len(each),
        "seconds": int(each["labelled_s"].sum()),
        "accuracy": round(float(np.trace(whole.iloc[:, : len(MERGED)]) / whole.to_numpy().sum()), 4),
        "f1": {name: _f1(whole, name) for name in MERGED},
        "f1_unmerged": {name: _f1(tables[False], name) for name in ("walking", "stairs", "standing", "shuffling")},
        "walking_ratio_pooled": round(float(each["walking_predicted_s"].sum() / each["walking_true_s"].sum()), 4),
        "persons_with_300_s": len(walkers),
        "walking_f1_mean": round(float(walkers["walking_f1"].mean()), 4),
        "walking_f1_least": round(float(walkers["walking_f1"].min()), 4),
        "walking_ratio_mean": round(float(walkers["walking_ratio"].mean()), 4),
        "walking_ratio_sd": round(float(walkers["walking_ratio"].std()), 4),
        "walking_ratio_least": round(float(walkers["walking_ratio"].min()), 4),
        "walking_ratio_most": round(float(walkers["walking_ratio"].max()), 4),
    }


def _f1(table: pd.DataFrame, name: str) -> float | None:
    true, said = table.loc[name].sum(), table[name].sum()
    return round(float(2 * table.loc[name, name] / (true + said)), 4) if true else None


def read_peer(file: Path, people: Sequence[Person]) -> dict[str, Codes]:
    """A peer's labels on the seconds of these people; what it does not name is unknown."""
    table = pd.read_parquet(file)
    out = {}
    for p in people:
        own = table[table["subject"].astype(str) == p.subject]
        codes = np.full(len(p.labels), UNKNOWN, dtype=np.int8)
        at = ((own["second"].to_numpy() - p.origin) / np.timedelta64(1, "s")).astype(np.int64)
        inside = (at >= 0) & (at < len(codes))
        found = own["predicted"].astype(str).map(CODE).fillna(UNKNOWN).to_numpy(dtype=np.int8)
        codes[at[inside]] = found[inside]
        out[p.key] = codes
    return out


def measurement_error(people: Sequence[Person], predictions: Predictions) -> dict[str, Any]:
    """What the sensitivity analyses need: confusion by age group and sensor set, walking of each person."""
    out: dict[str, Any] = {"unit": "seconds", "true_are_rows": True, "activities": list(ACTIVITIES), "sensors": {}}
    for kind in KINDS:
        codes = predictions[kind, "as recorded"]
        out["sensors"][kind] = {}
        for study, group in (("harth", "adults"), ("har70plus", "70+")):
            own = [p for p in people if p.study == study]
            s = summarised(own, codes)
            persons = {
                p.subject: [v["walking_true_s"], v["walking_predicted_s"]]
                for p in own
                if (v := scored(p.labels, codes[p.key]))
            }
            out["sensors"][kind][group] = {
                "confusion": confusion(own, codes, merged=False).to_numpy().tolist(),
                "walking_true_and_predicted_s": persons,
                "walking_ratio_mean": s["walking_ratio_mean"],
                "walking_ratio_sd_between_persons": s["walking_ratio_sd"],
                "persons_in_ratio": s["persons_with_300_s"],
            }
    return out


def write(people: Sequence[Person], predictions: Predictions, fold: Mapping[str, int]) -> None:
    """The result files."""
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    rows, tables, summary = [], [], {}
    for (sensors, condition), codes in predictions.items():
        label = {"sensors": sensors, "condition": condition}
        for p in people:
            values = scored(p.labels, codes[p.key])
            rows.append(label | {"study": p.study, "subject": p.subject, "fold": fold[p.key]} | values)
        for study in ("harth", "har70plus"):
            own = [p for p in people if p.study == study]
            summary[f"{study} | {sensors} | {condition}"] = summarised(own, codes)
            long = confusion(own, codes, merged=False).rename_axis("true").reset_index()
            long = long.melt("true", var_name="predicted", value_name="seconds")
            tables.append(long.assign(study=study, **label))
    pd.DataFrame(rows).round(4).to_csv(folder / "scores.csv", index=False)
    pd.concat(tables)[["study", "sensors", "condition", "true", "predicted", "seconds"]].to_csv(
        folder / "confusion.csv", index=False
    )
    (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    error = measurement_error(people, predictions)
    (folder / "measurement_error.json").write_text(json.dumps(error, indent=1) + "\n", encoding="utf-8")
    flat = [
        {"sensors": k, "age_group": g, "subject": s, "walking_true_s": t, "walking_predicted_s": w}
        for k, groups in error["sensors"].items()
        for g, v in groups.items()
        for s, (t, w) in v["walking_true_and_predicted_s"].items()
    ]
    pd.DataFrame(flat).to_csv(folder / "measurement_error.csv", index=False)


def main() -> None:
    parser: argparse.ArgumentParser = folders("Scores the activity classifiers on subjects they have not seen.")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=FILE", help="a peer's predictions")
    parser.add_argument("--baseline", action="store_true", help="also non-overlapping 5-s windows (slow)")
    arguments = parser.parse_args()
    people = read_everyone(arguments)
    predictions = cross_validated(people)
    if arguments.baseline:
        predictions["thigh+back", "baseline: 5-s windows"] = windowed_baseline(people, folds_of(people))
    for peer in arguments.peer:
        name, _, file = peer.partition("=")
        predictions[name, "peer"] = read_peer(Path(file), people)
    write(people, predictions, folds_of(people))


if __name__ == "__main__":
    main()
