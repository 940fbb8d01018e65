"""The shipped classifier on real labelled recordings, and the stored scores of subjects it had not seen."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from walkrisk.epochs.activities import ACTIVITIES, CODE
from walkrisk.epochs.classifier import KINDS, load_classifier, metadata
from walkrisk.epochs.features import second_features
from walkrisk.epochs.smoothing import smooth

FOLDER = Path(__file__).resolve().parents[2] / "analyses" / "activity_classifier"


@pytest.fixture(scope="module")
def labelled() -> ModuleType:
    sys.path.insert(0, str(FOLDER))
    try:
        import labelled
    finally:
        sys.path.remove(str(FOLDER))
    return labelled


def stored() -> list[dict[str, str]]:
    with (FOLDER / "results" / "scores.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("study", "subject"), [("harth", "S023"), ("har70plus", "505")])
def test_shipped_classifier_does_no_worse_than_one_that_never_saw_the_person(
    shared: Path, labelled: ModuleType, study: str, subject: str
) -> None:
    person = labelled._from_parquet(shared / "data" / study, study, subject)
    classifier = load_classifier("thigh+back")
    codes, _ = smooth(classifier.probabilities(second_features(person.thigh, person.back)), classifier.transition)
    use = person.labels >= 0
    truth = labelled.merge(person.labels[use].astype(np.int8)) == CODE["walking"]
    found = labelled.merge(codes[use]) == CODE["walking"]
    f1 = 2 * (truth & found).sum() / (truth.sum() + found.sum())
    row = next(r for r in stored() if r["subject"] == subject and r["sensors"] == "thigh+back")
    assert truth.sum() == int(row["walking_true_s"])
    assert f1 >= float(row["walking_f1"]) - 0.005
    assert 0.9 < found.sum() / truth.sum() < 1.1


def test_nobody_is_in_two_folds_and_everyone_is_scored() -> None:
    rows = [r for r in stored() if r["sensors"] in KINDS]
    folds: dict[tuple[str, str], set[str]] = {}
    for r in rows:
        folds.setdefault((r["study"], r["subject"]), set()).add(r["fold"])
    assert len(folds) == 23
    assert all(len(f) == 1 for f in folds.values())


def test_stored_walking_scores_follow_from_the_stored_seconds() -> None:
    """F1 and walking time by hand from each person's seconds, and what the project asks of them."""
    least = {"harth": 0.93, "har70plus": 0.955}
    rows = [r for r in stored() if (r["sensors"], r["condition"]) == ("thigh+back", "as recorded")]
    for study, wanted in least.items():
        own = [r for r in rows if r["study"] == study]
        true, said, both = (sum(int(r[f"walking_{n}_s"]) for r in own) for n in ("true", "predicted", "both"))
        assert 2 * both / (true + said) >= wanted
    walkers = [r for r in rows if int(r["walking_true_s"]) >= 300]
    assert len(walkers) == 21
    f1 = [float(r["walking_f1"]) for r in walkers]
    assert np.mean(f1) >= 0.93
    assert min(f1) >= 0.80
    ratio = {r["subject"]: int(r["walking_predicted_s"]) / int(r["walking_true_s"]) for r in walkers}
    assert np.mean(list(ratio.values())) == pytest.approx(1, abs=0.03)
    for study in least:
        own = [ratio[r["subject"]] for r in walkers if r["study"] == study]
        assert np.mean(own) == pytest.approx(1, abs=0.03)
    outside = {s for s, v in ratio.items() if not 0.9 <= v <= 1.1}
    assert outside <= {"S026", "S030", "S037"}  # nobody was wanted: the model card names them
    assert 0.8 <= min(ratio.values()) <= max(ratio.values()) <= 1.25


def test_the_card_shows_the_stored_scores() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    for r in stored():
        if (r["sensors"], r["condition"]) == ("thigh+back", "as recorded"):
            name = {"harth": "HARTH", "har70plus": "HAR70+"}[r["study"]]
            assert f"| {name} {r['subject']} | {r['walking_true_s']} | {r['walking_predicted_s']} |" in card


def test_the_weight_of_walking_is_the_one_found_in_cross_validation() -> None:
    weights = json.loads((FOLDER / "results" / "walking_weight.json").read_text(encoding="utf-8"))
    for kind in KINDS:
        weight = metadata()["classifiers"][kind]["transition"]["weight"]
        assert weight[CODE["walking"]] == weight[CODE["stairs"]] == weights[kind]["shipped"]


def test_measurement_error_travels_with_the_classifier() -> None:
    results = json.loads((FOLDER / "results" / "measurement_error.json").read_text(encoding="utf-8"))
    shipped = metadata()["measurement_error"]
    assert shipped == results
    for kind in KINDS:
        for group in ("adults", "70+"):
            table = np.array(shipped["sensors"][kind][group]["confusion"])
            assert table.shape == (len(ACTIVITIES), len(ACTIVITIES) + 1)
            walked = sum(t for t, _ in shipped["sensors"][kind][group]["walking_true_and_predicted_s"].values())
            assert table[[CODE["walking"], CODE["stairs"]]].sum() == walked


def test_the_published_csv_layout(labelled: ModuleType, tmp_path: Path) -> None:
    """Signs of x and y, codes, a median label, and a second without samples."""
    lines = ["timestamp,back_x,back_y,back_z,thigh_x,thigh_y,thigh_z,label"]
    for i in range(200):
        if not 50 <= i < 100:
            code = 4 if i < 30 else 1 if i < 50 else 130 if i < 150 else 3
            lines.append(f"2019-01-12 00:00:{i / 50:06.3f},-1,0.1,0.2,-0.9,0.3,-0.4,{code}")
    (tmp_path / "S001.csv").write_text("\n".join(lines), encoding="utf-8")
    person = labelled.read_study(tmp_path, "harth")[0]
    assert person.labels.tolist() == [CODE["stairs"], -1, CODE["cycling"], CODE["shuffling"]]
    np.testing.assert_allclose(person.back[:, 0], [1, -0.1, 0.2], rtol=1e-6)
    np.testing.assert_allclose(person.thigh[:, 170], [0.9, -0.3, -0.4], rtol=1e-6)
    assert np.isnan(person.thigh).any(axis=0).sum() == pytest.approx(50, abs=2)
