"""Sensitivity analyses that cannot be: a sentence with a way out, the right exit code, nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

Command = Callable[..., Any]
PAIN = ["MSPaLY_NT4CovQ", "MSPaLum_NT4CovQ"]
WEIGHTED = '[[losses]]\nid = "weighted"\nsteps = ["followup_pain_known"]\n'
MULTIVERSE = """
[[multiverses]]
id = "choices"
never = {never}
[[multiverses.decisions]]
id = "groups"
options = [{{ id = "four", op = "as_declared" }}, {{ id = "three", op = "categories", quantiles = 3 }}]
[[multiverses.decisions]]
id = "people"
options = [
  {{ id = "old", op = "restrict", require = [{{ variable = "age", {condition} }}] }},
  {{ id = "older", op = "restrict", require = [{{ variable = "age", {other} }}] }},
]
"""
WORST = '[[worst_cases]]\nid = "worst"\nsteps = ["followup_pain_known"]\n'


def everyone_followed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.fillna(dict.fromkeys(PAIN, 0))


def unchanged(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


# name: (declaration, what becomes of the extract, exit code, words of the sentence)
REFUSED: dict[str, tuple[str, Callable[[pd.DataFrame], pd.DataFrame], int, list[str]]] = {
    "nobody lost, weights": (WEIGHTED, everyone_followed, 4, ["weighted", "lost"]),
    "nobody lost, worst cases": (WORST, everyone_followed, 4, ["worst", "lost"]),
    "a step that is none": (
        WEIGHTED.replace("followup_pain_known", "followup_pane_known"),
        unchanged,
        3,
        ["sensitivity.losses[0] (weighted)", "did you mean followup_pain_known?"],
    ),
    "priors that leave no true cases": (
        '[[misclassified_outcomes]]\nid = "misreported"\nsensitivity = { op = "constant", value = 0.9 }\n'
        'specificity = { op = "constant", value = 0.5 }\n',
        unchanged,
        4,
        ["misreported", "specificity"],
    ),
    "a prevalence above 1": (
        '[[probabilistic_confounders]]\nid = "confounder"\nassociation = { op = "constant", value = 2.0 }\n'
        'prevalence = { Q1 = { op = "uniform", low = 0.5, high = 1.5 }, Q2 = { op = "constant", value = 0.2 }, '
        'Q3 = { op = "constant", value = 0.2 }, Q4 = { op = "constant", value = 0.2 } }\n',
        unchanged,
        3,
        ["confounder", "Q1", "prevalence", "1.5"],
    ),
    "a multiverse with nobody in it": (
        MULTIVERSE.format(never="[]", condition="above = 200", other="above = 300"),
        unchanged,
        4,
        ["choices", "nobody"],
    ),
    "a multiverse whose combinations are all barred": (
        MULTIVERSE.format(never='[{ groups = ["four", "three"] }]', condition="at_least = 20", other="at_least = 30"),
        unchanged,
        3,
        ["choices", "never", "no admissible specification"],
    ),
    "a variable that nobody has": (
        '[[imputations]]\nid = "mi"\nimpute = { bmi = "pmm" }\n',
        lambda frame: frame.assign(Bmi_NT4BLM=np.nan, BmiEld_NT4BLM=np.nan),
        4,
        ["mi", "bmi"],
    ),
    "one set": ('[[imputations]]\nid = "mi"\nsets = 1\nimpute = { bmi = "pmm" }\n', unchanged, 3, ["at least 2 sets"]),
    "a control outcome that is the outcome": (
        '[[negative_controls]]\nid = "control"\noutcome = "chronic_lbp"\n',
        unchanged,
        3,
        ["control", "chronic_lbp"],
    ),
    "power at no association": (
        '[[power]]\nid = "power"\nratios = [0.8, 1.0]\n',
        unchanged,
        3,
        ["power", "1"],
    ),
}  # fmt: skip


def study_with(folder: Path, reference_toml: Path, declared: str) -> Path:
    (folder / "study.toml").write_text(reference_toml.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "sensitivity.toml").write_text(declared, encoding="utf-8")
    return folder / "study.toml"


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_ends_in_a_sentence(
    name: str, command: Command, tmp_path: Path, simulated_frame: pd.DataFrame, reference_toml: Path
) -> None:
    declared, change, code, said = REFUSED[name]
    study = study_with(tmp_path, reference_toml, declared)
    changed = change(simulated_frame.copy())
    changed.to_parquet(tmp_path / "extract.parquet", index=False)
    answer = command("run", study, "--sensitivity", "--data", tmp_path / "extract.parquet")
    assert answer.code == code, answer.stderr
    for words in said:
        assert words in answer.stderr, answer.stderr
    assert "Traceback" not in answer.stderr
    assert len(answer.stderr.splitlines()) < 10
    assert not answer.out.exists()
    ids = {str(i) for i in simulated_frame["PID_114165"] if len(str(i)) > 5}
    assert not any(i in answer.stderr for i in ids)


def test_all_that_cannot_be_is_said_together(
    command: Command, tmp_path: Path, simulated_frame: pd.DataFrame, reference_toml: Path
) -> None:
    study = study_with(tmp_path, reference_toml, WEIGHTED + WORST + REFUSED["a multiverse with nobody in it"][0])
    everyone_followed(simulated_frame.copy()).to_parquet(tmp_path / "extract.parquet", index=False)
    answer = command("check", study, "--sensitivity", "--data", tmp_path / "extract.parquet", out=False)
    assert answer.code == 4
    for name in ("weighted", "worst", "choices"):
        assert name in answer.stderr


def test_without_the_file_the_way_out_is_said(command: Command, tmp_path: Path, reference_toml: Path) -> None:
    (tmp_path / "study.toml").write_text(reference_toml.read_text(encoding="utf-8"), encoding="utf-8")
    answer = command("check", tmp_path / "study.toml", "--sensitivity", out=False)
    assert answer.code == 2
    assert "sensitivity.toml" in answer.stderr


def test_two_declarations_of_the_section_are_one_too_many(
    command: Command, tmp_path: Path, reference_toml: Path
) -> None:
    study = study_with(tmp_path, reference_toml, WORST)
    study.write_text(study.read_text(encoding="utf-8") + "\n[sensitivity]\nanalysis = 'main'\n", encoding="utf-8")
    answer = command("check", study, "--sensitivity", out=False)
    assert answer.code == 3
    assert "keep one of them" in answer.stderr
