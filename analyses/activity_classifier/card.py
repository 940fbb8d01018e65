"""Writes the tables of README.md from the files of results/, between the lines <!-- NAME --> and <!-- end -->."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

NAMES = {"harth": "HARTH", "har70plus": "HAR70+"}
GROUPS = {"harth": "Adults (HARTH)", "har70plus": "70 years and over (HAR70+)"}
COLUMNS = ("walking", "running", "standing", "sitting", "lying", "cycling")
APART = ("walking", "stairs", "standing", "shuffling")
ALL = ("walking", "stairs", "running", "standing", "shuffling", "sitting", "lying", "cycling")


def write_tables(folder: Path) -> None:
    """README.md of `folder` with the tables of its results/ in place."""
    results = folder / "results"
    summary = json.loads((results / "summary.json").read_text("utf-8"))
    scores, tables = (pd.read_csv(results / f"{n}.csv", dtype={"subject": str}) for n in ("scores", "confusion"))
    own = scores[(scores["sensors"] == "thigh+back") & (scores["condition"] == "as recorded")]
    weights = json.loads((results / "walking_weight.json").read_text("utf-8"))
    parts = {
        "scores": _scores(summary),
        "summary": _summary(summary, own),
        "apart": _apart(summary),
        "confusion": "\n\n".join(_confusion(tables, study) for study in NAMES),
        "persons": _persons(own),
        "weights": _weights(weights),
    }
    readme = folder / "README.md"
    text = readme.read_text("utf-8")
    for name, part in parts.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        text, found = re.subn(pattern, lambda m, part=part: f"{m[1]}{part}\n{m[2]}", text, count=1, flags=re.DOTALL)
        if not found:
            raise SystemExit(f"README.md has no place for {name}: put <!-- {name} --> and <!-- end --> there.")
    readme.write_text(text, encoding="utf-8")


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, r)) + " |" for r in rows])


def _number(x: float | None) -> str:
    return "-" if x is None else f"{x:.3f}"


def _scores(summary: dict[str, Any]) -> str:
    rows = []
    for study, label in NAMES.items():
        for key, v in summary.items():
            of, sensors, condition = key.split(" | ")
            if of != study:
                continue
            name = {"as recorded": sensors, "peer": sensors}.get(condition, f"{sensors}, {condition}")
            by_person = f"{_number(v['walking_f1_mean'])} / {_number(v['walking_f1_least'])}"
            ratio = f"{v['walking_ratio_mean']:.2f} ({v['walking_ratio_least']:.2f}-{v['walking_ratio_most']:.2f})"
            name = name.replace("thigh+back, baseline", "baseline").replace("peer, ", "")
            rows.append(
                [label, name, _number(v["accuracy"]), *(_number(v["f1"][a]) for a in COLUMNS), by_person, ratio]
            )
    people = ["walking F1 by person: mean / least", "predicted/true walking: mean (range)"]
    return _table(["people", "classifier", "accuracy", *COLUMNS, *people], rows)


def _summary(summary: dict[str, Any], own: pd.DataFrame) -> str:
    """The figures that were asked for, with what is not reached in bold."""
    walkers = own[own["walking_true_s"] >= 300]
    f1, ratio = walkers["walking_f1"], walkers["walking_ratio"]
    both = {s: summary[f"{s} | thigh+back | as recorded"] for s in NAMES}
    off = walkers[(ratio < 0.9) | (ratio > 1.1)]
    who = "; ".join(f"{NAMES[r.study]} {r.subject} ({r.walking_ratio:.3f})" for r in off.itertuples())
    each = [f"{NAMES[s]} {_number(v['walking_ratio_mean'])}, of all time {_number(v['walking_ratio_pooled'])}"
            for s, v in both.items()]  # fmt: skip
    rows = [
        ["pooled walking F1, HARTH", "0.93", _number(both["harth"]["f1"]["walking"])],
        ["pooled walking F1, HAR70+", "0.955", _number(both["har70plus"]["f1"]["walking"])],
        ["walking F1 by person, mean", "0.93", _number(f1.mean())],
        ["walking F1 by person, least", "0.80", _number(f1.min())],
        ["predicted/true walking, mean over persons", "0.97-1.03", f"{_number(ratio.mean())} ({'; '.join(each)})"],
        ["predicted/true walking, each person", "0.9-1.1", f"**not in: {who}**" if who else "all"],
    ]
    for row in rows[:4]:
        row[2] = row[2] if float(row[2]) >= float(row[1]) else f"**{row[2]}: not reached**"
    if not all(abs(v["walking_ratio_mean"] - 1) <= 0.03 for v in both.values()):
        rows[4][2] = f"**{rows[4][2]}: not within**"
    return _table([f"of {len(own)} people, {len(walkers)} with 300 s of walking", "wanted", "reached"], rows)


def _apart(summary: dict[str, Any]) -> str:
    rows = [
        [name, *(_number(summary[f"{s} | thigh+back | as recorded"]["f1_unmerged"][a]) for a in APART)]
        for s, name in NAMES.items()
    ]
    return _table(["people", *APART], rows)


def _confusion(tables: pd.DataFrame, study: str) -> str:
    mine = (tables["study"] == study) & (tables["sensors"] == "thigh+back") & (tables["condition"] == "as recorded")
    wide = tables[mine].pivot(index="true", columns="predicted", values="seconds").loc[list(ALL), [*ALL, "unknown"]]
    wide = wide[wide.sum(axis=1) > 0]
    rows = [[name, *values] for name, values in zip(wide.index, wide.to_numpy(), strict=True)]
    return f"{GROUPS[study]}, seconds, rows true, columns predicted:\n\n" + _table(["true", *wide.columns], rows)


def _persons(own: pd.DataFrame) -> str:
    rows = [
        [f"{NAMES[r.study]} {r.subject}", r.walking_true_s, r.walking_predicted_s, _number(r.walking_f1),
         f"{r.walking_ratio:.2f}", _number(r.accuracy)]
        for r in own.itertuples()
    ]  # fmt: skip
    return _table(["person", "true walking s", "predicted s", "F1", "predicted/true", "accuracy"], rows)


def _weights(weights: dict[str, Any]) -> str:
    rows = [[kind, ", ".join(f"{w:.2f}" for w in v["by_fold"]), f"{v['shipped']:.2f}"] for kind, v in weights.items()]
    return _table(["sensors", "weight of walking, by fold", "shipped"], rows)
