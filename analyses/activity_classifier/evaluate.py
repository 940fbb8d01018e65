"""Scores the activity classifiers subject by subject, each by classifiers that saw nothing of that subject.

    python analyses/activity_classifier/evaluate.py --harth FOLDER --har70plus FOLDER [--peer NAME=FILE]...

Writes results/: scores.csv (a row a subject, sensor set and condition), confusion.csv, summary.json, disputed.csv,
walking_weight.json and measurement_error.json/.csv, and the tables of README.md. A peer's parquet file has
`subject, second` (a time) and `predicted` (named as in walkrisk.epochs.activities); it is scored by the same functions,
as it is and a second earlier.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from baseline import windowed_baseline
from card import write_tables
from labelled import RATE_HZ, UNLABELLED, Labels, Person, calibrated, merge
from train import HERE, Rows, chain_of, fit, folders, read_everyone, rows_of

from walkrisk.epochs.activities import ACTIVITIES, CODE, UNKNOWN
from walkrisk.epochs.classifier import KINDS, Classifier, columns_of
from walkrisk.epochs.features import second_features
from walkrisk.epochs.smoothing import Transition, smooth

FOLDS = 6
DELAYS_S = (1, 5, 10)
MERGED = [a for a in ACTIVITIES if a not in ("stairs", "shuffling")]
LEAST_WALKING_S = 300
WEIGHTS = (0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.25, 1.6)  # of walking and stairs, tried and interpolated between
DISPUTED = (0.3, 0.8)
SWEEP = (0.3, 0.6, 0.72, 1.0, 1.6, 2.0)
Codes = npt.NDArray[np.int8]
Probabilities = dict[tuple[str, str], dict[str, npt.NDArray[np.float32]]]
Predictions = dict[tuple[str, str], dict[str, Codes]]


def folds_of(people: Sequence[Person]) -> dict[str, int]:
    """Person -> fold, each study dealt out in order of its subjects' names."""
    out = {}
    for study in dict.fromkeys(p.study for p in people):
        out |= {p.key: i % FOLDS for i, p in enumerate(q for q in people if q.study == study)}
    return out


def delayed(person: Person, seconds: int) -> Person:
    """The same person with a back sensor whose clock is late."""
    back = np.roll(person.back, seconds * RATE_HZ, axis=1)
    back[:, : seconds * RATE_HZ] = np.nan
    return replace(person, back=back)


CONDITIONS: dict[str, Callable[[Person], Person]] = {
    "as recorded": lambda person: person,
    "calibrated": calibrated,
    **{f"back {s} s late": partial(delayed, seconds=s) for s in DELAYS_S},
}
ALONE = ("as recorded", "calibrated")  # of interest for one sensor, too


def probabilities(people: Sequence[Person], *, jobs: int) -> Probabilities:
    """(sensor set, condition) -> person -> probabilities (s, k), each by classifiers of the people of other folds."""
    fold = folds_of(people)
    with Pool(jobs) as pool:
        rows = dict(pool.starmap(_rows, [(p, i) for i, p in enumerate(people)], chunksize=1))
        work = []
        for k in range(FOLDS):
            others = [r for p in people if fold[p.key] != k for r in rows[p.key]]
            work.append((others, [p for p in people if fold[p.key] == k]))
        parts = pool.starmap(_fold, work, chunksize=1)
    out: Probabilities = {}
    for part in parts:
        for name, found in part.items():
            out.setdefault(name, {}).update(found)
    return out


def _rows(person: Person, number: int) -> tuple[str, list[Rows]]:
    return person.key, rows_of(person, number=number)


def _fold(others: Sequence[Rows], people: Sequence[Person]) -> Probabilities:
    """What classifiers trained on the rows of others say of `people`."""
    boosters = tuple((kind, fit(others, kind)) for kind in KINDS)
    chain = Transition.of(chain_of([y for _, y, _ in others]))  # not used for probabilities
    out: Probabilities = {}
    for kind in KINDS:
        own = boosters if kind == "thigh+back" else tuple(b for b in boosters if b[0] == kind)
        classifier = Classifier(kind=kind, version="", transition=chain, boosters=own)
        for condition, changed in CONDITIONS.items():
            if condition in ALONE or kind == "thigh+back":
                for p in people:
                    q = changed(p)
                    x = second_features(q.thigh, q.back)[:, columns_of(kind, "thigh+back")]
                    out.setdefault((kind, condition), {})[p.key] = classifier.probabilities(x)
    return out


def smoothed(
    people: Sequence[Person], found: Mapping[str, npt.NDArray[np.float32]], weight: Mapping[int, float]
) -> dict[str, Codes]:
    """Person -> codes (s,); the chain of each fold is that of the labels of the people of other folds."""
    fold, out = folds_of(people), {}
    for k, w in weight.items():
        labels = [p.labels for p in people if fold[p.key] != k]
        chain = Transition.of(chain_of(labels, walking_weight=w))
        own = [p for p in people if fold[p.key] == k]
        gap = np.full((1, len(ACTIVITIES)), np.nan, dtype=np.float32)  # between people
        codes = smooth(np.concatenate([x for p in own for x in (found[p.key], gap)]), chain)[0]
        ends = np.cumsum([len(found[p.key]) + 1 for p in own])
        out |= {p.key: codes[end - len(found[p.key]) - 1 : end - 1] for p, end in zip(own, ends, strict=True)}
    return out


def balanced(people: Sequence[Person], found: Mapping[str, npt.NDArray[np.float32]]) -> tuple[dict[int, float], float]:
    """The weight of walking for each fold, and for all folds together.

    It makes predicted/true walking time 1 in the geometric mean over the people of the other folds with at least
    LEAST_WALKING_S, from predictions of classifiers that had not seen them.
    """
    fold = folds_of(people)
    walkers = [p for p in people if np.isin(p.labels, (CODE["walking"], CODE["stairs"])).sum() >= LEAST_WALKING_S]
    log = np.empty((len(WEIGHTS), len(walkers)))
    for i, w in enumerate(WEIGHTS):
        codes = smoothed(people, found, dict.fromkeys(range(FOLDS), w))
        log[i] = [np.log(scored(p.labels, codes[p.key])["walking_ratio"]) for p in walkers]

    def where_even(use: npt.NDArray[np.bool_]) -> float:
        return round(float(np.interp(0.0, log[:, use].mean(axis=1), WEIGHTS)), 3)

    at = np.array([fold[p.key] for p in walkers])
    return {k: where_even(at != k) for k in range(FOLDS)}, where_even(at >= 0)


def cross_validated(people: Sequence[Person], *, jobs: int) -> tuple[Predictions, dict[str, Any], pd.DataFrame]:
    """(sensor set, condition) -> person -> codes (s,), the weights of walking of each sensor set, and `disputed`."""
    found = probabilities(people, jobs=jobs)
    out: Predictions = {}
    weights = {}
    for kind in KINDS:
        by_fold, shipped = balanced(people, found[kind, "as recorded"])
        weights[kind] = {"by_fold": list(by_fold.values()), "shipped": shipped}
        for name in found:
            if name[0] == kind:
                out[name] = smoothed(people, found[name], by_fold)
    return out, weights, disputed(people, found["thigh+back", "as recorded"])


def disputed(people: Sequence[Person], found: Mapping[str, npt.NDArray[np.float32]]) -> pd.DataFrame:
    """How the labels of each person name the seconds that others' labels leave open.

    Disputed seconds have a probability of walking and stairs between DISPUTED; `walking_expected` is its mean there,
    `walking_labelled` the share the person's own labels call so. `shuffling_share` is that of shuffling among labelled
    seconds of walking, stairs and shuffling. `ratio_weight_W` is predicted/true walking time with weight W of walking.
    """
    walks = [CODE["walking"], CODE["stairs"]]
    rows = []
    for p in people:
        chance = found[p.key][:, walks].sum(axis=1)
        walked = np.isin(p.labels, walks)
        on_foot = walked | (p.labels == CODE["shuffling"])
        open_ = (p.labels != UNLABELLED) & (chance > DISPUTED[0]) & (chance < DISPUTED[1])
        rows.append(
            {
                "study": p.study,
                "subject": p.subject,
                "walking_true_s": int(walked.sum()),
                "shuffling_share": 1 - walked.sum() / max(int(on_foot.sum()), 1),
                "disputed_s": int(open_.sum()),
                "walking_expected": chance[open_].mean(),
                "walking_labelled": walked[open_].mean(),
            }
        )
    table = pd.DataFrame(rows)
    for weight in SWEEP:
        codes = smoothed(people, found, dict.fromkeys(range(FOLDS), weight))
        table[f"ratio_weight_{weight:g}"] = [scored(p.labels, codes[p.key])["walking_ratio"] for p in people]
    return table.round(3)


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
    return merge(labels[use].astype(np.int8)), merge(codes[use])


def confusion(people: Sequence[Person], codes: Mapping[str, Codes], *, merged: bool) -> pd.DataFrame:
    """Seconds by true (rows) and predicted activity (columns, the last "unknown")."""
    truth = np.concatenate([p.labels[p.labels != UNLABELLED].astype(np.int8) for p in people])
    found = np.concatenate([codes[p.key][p.labels != UNLABELLED] for p in people])
    if merged:
        truth, found = merge(truth), merge(found)
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


def read_peer(file: Path, people: Sequence[Person], *, earlier_s: int = 0) -> dict[str, Codes]:
    """A peer's labels, moved by `earlier_s`, on the seconds of these people; what it does not name is unknown."""
    table = pd.read_parquet(file)
    out = {}
    for p in people:
        own = table[table["subject"].astype(str) == p.subject]
        codes = np.full(len(p.labels), UNKNOWN, dtype=np.int8)
        at = ((own["second"].to_numpy() - p.origin) / np.timedelta64(1, "s")).astype(np.int64) - earlier_s
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
    parser.add_argument("--jobs", type=int, default=1, help="processes (the results are the same)")
    parser.add_argument("--baseline", action="store_true", help="also non-overlapping 5-s windows (slow)")
    arguments = parser.parse_args()
    people = read_everyone(arguments)
    predictions, weights, open_seconds = cross_validated(people, jobs=arguments.jobs)
    if arguments.baseline:
        predictions["thigh+back", "baseline: 5-s windows"] = windowed_baseline(people, folds_of(people))
    for peer in arguments.peer:
        name, _, file = peer.partition("=")
        for earlier, condition in ((0, "peer"), (1, "peer, 1 s earlier")):
            predictions[name, condition] = read_peer(Path(file), people, earlier_s=earlier)
    write(people, predictions, folds_of(people))
    open_seconds.to_csv(HERE / "results" / "disputed.csv", index=False)
    (HERE / "results" / "walking_weight.json").write_text(json.dumps(weights, indent=1) + "\n", encoding="utf-8")
    write_tables(HERE)


if __name__ == "__main__":
    main()
