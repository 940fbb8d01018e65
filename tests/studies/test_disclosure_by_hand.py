"""Recoveries of hidden counts by simple arithmetic, each of which worked once, and works no more."""

from __future__ import annotations

import csv
import math
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import walkrisk
from walkrisk.disclosure.blanking import Secrets, blanked_estimates
from walkrisk.disclosure.crude import is_crude
from walkrisk.disclosure.imputed import guarded_imputed
from walkrisk.disclosure.protecting import protect
from walkrisk.estimates.marking import Marks
from walkrisk.estimates.results import Point
from walkrisk.estimates.rows import Estimate
from walkrisk.runs.run import Run, write

from .test_disclosure_attack import people

HERE = Path(__file__).resolve().parent

YOUNGER = {"variable": "age", "below": 65}
KEPT = {"id": "declared", "op": "as_declared"}
DECISIONS = [
    {"id": "model", "options": [KEPT, {"id": "age", "op": "covariates", "model": "adjusted"}]},
    {"id": "people", "options": [KEPT, {"id": "younger", "op": "restrict", "require": [YOUNGER]}]},
]
LEFT_OUT = {"id": "left_out", "variables": ["sex"]}


def declared() -> dict[str, Any]:
    study = tomllib.loads((HERE / "attacked_study.toml").read_text(encoding="utf-8"))
    for gone in ("curves", "standardised", "attributable", "curve_figures", "forest_figures", "exclusions", "tables"):
        study.pop(gone)
    study["exclusions"] = [{"id": "followed", "reason": "Lost to follow-up", "known": ["outcome"]}]
    study["columns"] |= {"fell": {"kind": "boolean"}, "visits": {"kind": "integer"}, "old": {"kind": "number"}}
    study["models"] |= {
        "fell": {"label": "Falls", "covariates": ["fell"]},
        "old": {"label": "O", "covariates": ["old"]},
    }
    study["analyses"] = [study["analyses"][0] | {"models": ["crude", "adjusted", "fell", "old"]}]
    study["trends"] = []
    study["columns"]["outcome"].pop("labels")
    study["characteristics"] = [
        study["characteristics"][0] | {"rows": ["age", "sex", "fell", "visits", "old", "outcome"]}
    ]
    study["sensitivity"] = {
        "model": "crude",
        "losses": [{"id": "ipcw", "steps": ["followed"], "covariates": ["volume", "age", "sex"]}],
        "worst_cases": [{"id": "worst", "steps": ["followed"], "multipliers": [1.0, 2.0]}],
        "leave_one_out": [LEFT_OUT],
        "jackknives": [{"id": "jack", "random_groups": 10}],
        "other_forms": [{"id": "forms", "methods": ["logistic"], "differences": ["linear"], "changes": []}],
        "confounder_arrays": [{"id": "array"}],
        "multiverses": [{"id": "choices", "permutations": 0, "decisions": DECISIONS}],
    }
    return study


def cohort() -> pd.DataFrame:
    frame = people(1).assign(fell=0, visits=0, old=0)
    followed = frame.index[frame["outcome"].notna()]
    frame.loc[followed[[3, 50, 120]], "fell"] = 1
    frame.loc[followed[[5, 60]], "visits"] = 2
    frame.loc[followed[::5], "old"] = 1
    lost = frame.index[frame["outcome"].isna()]
    quarter = pd.qcut(frame.loc[followed, "steps"], 4, retbins=True)[1]
    low, high = frame.index[frame["steps"] <= quarter[1]], frame.index[frame["steps"] > quarter[3]]
    frame.loc[lost, ["steps", "activity"]] = [9000.0, 1]
    frame.loc[lost[:3], "activity"] = 3
    frame.loc[lost[:1], "steps"] = frame.loc[low, "steps"].median()
    frame.loc[lost[1:7], "steps"] = frame.loc[high, "steps"].median()
    return frame


@pytest.fixture(scope="module")
def run() -> Run:
    return walkrisk.run(walkrisk.study_from(declared()), data=cohort())


@pytest.fixture(scope="module")
def of_losses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is published where the model of sensitivity analyses has covariates."""
    study = declared()
    parts = {part: study["sensitivity"][part] for part in ("losses", "worst_cases")}
    study |= {"characteristics": [], "sensitivity": {"model": "adjusted"} | parts}
    out = tmp_path_factory.mktemp("of_losses") / "results"
    write(walkrisk.run(walkrisk.study_from(study), data=cohort()), out, numbers_only=True)
    return out


@pytest.fixture(scope="module")
def published(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("by_hand") / "results"
    write(run, out)
    return out


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def numbers(folder: Path) -> Iterator[tuple[float, str, dict[str, str]]]:
    for path in sorted(folder.glob("*.csv")):
        for row in rows(folder, path.stem):
            for column, text in row.items():
                with suppress(ValueError):
                    yield float(text), column, row


def counts(run: Run, exposure: str) -> dict[str, tuple[int, int]]:
    return {
        e.level: (e.n or 0, e.events or 0)
        for e in run.results.estimates
        if e.analysis == "main" and e.exposure == exposure and e.model == "crude"
    }


def test_no_file_has_a_crude_number_of_a_hidden_count(run: Run, published: Path) -> None:
    (n, events), (m, others) = counts(run, "activity_group")["High"], counts(run, "activity_group")["Low"]
    assert 0 < events < 5
    risk, reference = events / n, others / m
    ratio, odds = risk / reference, (risk / (1 - risk)) / (reference / (1 - reference))
    told = {
        "ratio": ratio,
        "odds ratio": odds,
        "difference": risk - reference,
        "standard error": math.sqrt((1 - risk) / events + (1 - reference) / others),
    }
    found = [
        (what, column, row)
        for value, column, row in numbers(published)
        for what, secret in told.items()
        if math.isclose(value, secret, rel_tol=1e-6)
    ]
    assert not found


def test_nor_has_a_rounded_release(run: Run) -> None:
    study = replace(run.study, settings=replace(run.study.settings, round_counts=5))
    made = protect(study, run.results).results
    assert all(s.estimate is None for s in made.specifications if "model=declared" in s.choices)
    assert any(s.estimate is not None for s in made.specifications)
    assert not [p for p in made.points if p.analysis in ("array", "choices", "worst")]
    exact = [p for p in made.points if p.series in ("chance", "weights") and p.y and p.n is None]
    assert all(p.y == round(p.y, 2) for p in exact), "229/240 is a number of people"


def test_a_model_of_one_number_with_two_values_tells_as_much_as_a_factor(published: Path) -> None:
    told = [
        e
        for e in rows(published, "estimates")
        if e["model"] in ("fell", "old") and e["level"] == "High" and e["estimate"]
    ]
    fits = [d for d in rows(published, "diagnostics") if d["model"] in ("fell", "old") and d["log_likelihood"]]
    assert not told
    assert not [d for d in fits if d["exposure"] == "activity_group"]


def test_a_covariate_left_out_or_the_same_for_all_leaves_a_model_of_one_factor() -> None:
    table = declared()
    table["models"]["two"] = {"label": "Two", "covariates": ["sex", "smoking"]}
    table["analyses"][0]["models"].append("two")
    women = {"id": "women", "restrict": [{"variable": "sex", "equals": 0}], "models": ["two"]}
    table["analyses"].append(table["analyses"][0] | women)
    table["sensitivity"] = {"model": "two", "benchmarks": [{"id": "yard"}], "leave_one_out": [LEFT_OUT]}
    study = walkrisk.study_from(table)
    row = Estimate(analysis="main", exposure="volume", level="Q2", model="two", estimand="risk_ratio")
    assert not is_crude(study, row)
    assert is_crude(study, replace(row, analysis="yard", stratum="smoking", estimand="log_ratio_shift"))
    assert is_crude(study, replace(row, analysis="women"))
    assert is_crude(study, replace(row, analysis="left_out", stratum="without sex: Women"))


def test_an_association_of_a_covariate_with_an_exposure_is_no_ratio_of_hidden_counts(run: Run) -> None:
    marks = Marks(characteristic={("table1", "Q4", "smoking", "2"): "small"})
    secrets = Secrets(run.study, marks, {}, 5, {}, {})
    row = Estimate(
        analysis="yard", exposure="volume", stratum="smoking", level="Q4", reference="Q1", model="adjusted",
        estimand="exposure_association", n=300, events=60, estimate=4.538461538461538,
    )  # fmt: skip
    others = [replace(row, stratum="sex"), replace(row, exposure="activity_group")]
    told, _ = blanked_estimates([row, *others], secrets)
    assert [e.estimate is None for e in told] == [True, False, False]


def test_the_mean_of_a_number_that_hardly_varies_is_no_count(run: Run, published: Path) -> None:
    exact = [c for c in run.results.characteristics if c.variable == "fell" and c.statistic == "mean"]
    assert any(0 < round((c.value or 0) * (c.known or 0)) < 5 for c in exact)
    means = [c for c in rows(published, "characteristics") if c["statistic"] in ("mean", "sd") and c["value"]]
    assert {c["variable"] for c in means if c["table"] == "table1"} == {"age", "old"}


def test_two_analyses_of_the_same_people_lost_hide_the_same_of_them(of_losses: Path) -> None:
    shares = {
        e["level"]: e["estimate"]
        for e in rows(of_losses, "estimates")
        if e["analysis"] == "ipcw" and e["estimand"] == "share" and e["exposure"] == "volume"
    }
    added = {
        e["level"]: e["estimate"]
        for e in rows(of_losses, "estimates")
        if e["analysis"] == "worst" and e["stratum"] == "lost" and e["exposure"] == "volume" and e["level"]
    }
    assert 2 <= sum(not v for v in shares.values()) < 4
    assert {q for q, v in shares.items() if not v} == {q for q, v in added.items() if not v}
    said = [r for r in rows(of_losses, "disclosure") if r["analysis"] == "worst" and r["stratum"] == "lost"]
    assert {r["column"] for r in said} == {"estimate"}, "a reason of a few alone would tell them from the others"


def test_weights_do_not_tell_the_share_that_stayed(run: Run, published: Path) -> None:
    lost = {
        e.level: (e.n or 0, round((e.n or 0) * (e.estimate or 0)))
        for e in run.results.estimates
        if e.analysis == "ipcw" and e.estimand == "share" and e.exposure == "activity_group"
    }
    assert any(0 < gone < 5 for _, gone in lost.values())
    assert not [p for p in rows(published, "points") if p["analysis"] == "ipcw" and p["series"] == "histogram"]
    assert not [p for p in rows(published, "points") if p["series"] == "weights" and p["item"][1:].isdigit() and p["y"]]
    assert not [d for d in rows(published, "diagnostics") if "truncated to" in d["warnings"]]


def test_degrees_of_freedom_and_densities_do_not_tell_how_many_values_were_imputed() -> None:
    study = walkrisk.study_from(tomllib.loads((HERE / "attacked_study.toml").read_text(encoding="utf-8")))
    row = Estimate(
        analysis="mi", exposure="volume", level="Q2", reference="Q1", model="adjusted", estimand="risk_ratio",
        estimate=1.2, std_error=0.3, conf_low=0.7, conf_high=2.1, p_value=0.5, variance="stata",
    )  # fmt: skip
    told = Point(analysis="mi", exposure="volume", stratum="", level="Q2", series="df", item="stata", y=212.02)
    gone = Point(analysis="mi", exposure="", stratum="", level="pmm", series="missing", item="bmi")
    bar = Point(
        analysis="mi", exposure="", stratum="imputed", level="", series="distribution", item="bmi",
        x=20.0, y=0.0654, low=19.0, high=20.7, n=0,
    )  # fmt: skip
    rows_, points, said = guarded_imputed(study, [row], [told, gone, bar])
    assert (rows_[0].estimate, rows_[0].std_error, rows_[0].p_value) == (1.2, None, None)
    assert [p.y for p in points] == [None, None, None]
    assert {w.column for w in said} == {"std_error", "p_value", "y"}
    known = guarded_imputed(study, [replace(row, n=400, events=90)], [told, replace(gone, n=40, x=400.0, y=0.1)])
    assert known[0][0].std_error == 0.3
    assert known[1][0] == told
