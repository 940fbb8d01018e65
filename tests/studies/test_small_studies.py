"""The study a newcomer starts from, and what small or odd cohorts get."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import walkrisk
from walkrisk.errors import DataFault, StudyFault

from .minimal_cohort import cohort

Command = Callable[..., Any]
STUDY = Path(__file__).resolve().parents[2] / "analyses" / "minimal_study.toml"


def diagnostics(run: walkrisk.Run) -> str:
    return " ".join(d.warnings for d in run.results.diagnostics)


def test_the_minimal_study_runs_to_its_report(command: Command, tmp_path: Path) -> None:
    cohort().to_csv(tmp_path / "cohort.csv", index=False)
    answer = command("run", STUDY, "--data", tmp_path / "cohort.csv")
    assert answer.code == 0, answer.stderr
    table = (answer.out / "tables" / "table2.html").read_text(encoding="utf-8")
    assert "Moderate" in table
    assert "600 people" in (answer.out / "report.html").read_text(encoding="utf-8")


def test_a_variable_with_labels_brings_its_own_categories() -> None:
    data = cohort()
    run = walkrisk.run(walkrisk.load_study(STUDY), data=data)
    rows = {
        e.level: e
        for e in run.results.estimates
        if (e.analysis, e.exposure, e.model) == ("main", "activity_group", "crude")
    }
    risk = data.groupby("activity")["outcome"].mean()
    assert list(rows) == ["Low", "Moderate", "High"]
    assert rows["High"].n == int((data["activity"] == 3).sum())
    assert rows["High"].estimate == pytest.approx(risk[3] / risk[1], rel=1e-9)


def test_one_excluded_person_is_not_shown_by_subtraction(command: Command, tmp_path: Path) -> None:
    text = STUDY.read_text(encoding="utf-8")
    exclusion = '[[exclusions]]\nid = "age_known"\nreason = "Age missing"\nknown = ["age"]\n'
    (tmp_path / "study.toml").write_text(text + exclusion, encoding="utf-8")
    data = cohort(500)
    data.loc[3, "age"] = np.nan
    data.to_csv(tmp_path / "cohort.csv", index=False)
    answer = command("run", tmp_path / "study.toml", "--data", tmp_path / "cohort.csv")
    assert answer.code == 0, answer.stderr
    page = (answer.out / "report.html").read_text(encoding="utf-8")
    assert "499 people" in page
    assert "500 rows" not in page
    assert "500" not in (answer.out / "tables" / "flow.csv").read_text(encoding="utf-8")


def test_what_is_the_same_for_everyone_is_said() -> None:
    study = walkrisk.load_study(STUDY)
    assert "sex: the same for everyone here" in diagnostics(walkrisk.run(study, data=cohort().assign(sex="F")))
    assert "Cut points coincide" in diagnostics(walkrisk.run(study, data=cohort().assign(steps=7000)))
    everyone = walkrisk.run(study, data=cohort().assign(outcome=1))
    assert "Everyone in this sample has the outcome" in diagnostics(everyone)
    assert all(e.estimate in (None, 1.0) and e.std_error is None for e in everyone.results.estimates)


def test_an_exposure_nobody_has_and_values_beyond_measure_are_faults() -> None:
    study = walkrisk.load_study(STUDY)
    with pytest.raises(DataFault, match="steps is unknown for everyone"):
        walkrisk.run(study, data=cohort().assign(steps=np.nan))
    text = STUDY.read_text(encoding="utf-8").replace("minimum = 18\nmaximum = 110\n", "")
    with pytest.raises(DataFault, match="age: values beyond"):
        walkrisk.run(walkrisk.study_from(tomllib.loads(text)), data=cohort().assign(age=1e300))


def test_labels_that_cannot_be_printed_and_endless_ones_are_faults() -> None:
    for label in ("St\\u001beps", "two\\nlines", "x" * 5000):
        text = STUDY.read_text(encoding="utf-8").replace('label = "Steps"', f'label = "{label}"')
        with pytest.raises(StudyFault, match=r"exposures\.volume\.label"):
            walkrisk.study_from(tomllib.loads(text))


def test_column_names_of_other_alphabets(tmp_path: Path) -> None:
    text = STUDY.read_text(encoding="utf-8").replace("[columns.age]", '[columns."ålder"]').replace('"age"', '"ålder"')
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    run = walkrisk.run(walkrisk.load_study(tmp_path / "study.toml"), data=cohort().rename(columns={"age": "ålder"}))
    assert any(e.model == "adjusted" and e.estimate for e in run.results.estimates)


def test_a_changed_result_is_not_reported_again(command: Command, tmp_path: Path) -> None:
    cohort().to_csv(tmp_path / "cohort.csv", index=False)
    out = command("run", STUDY, "--data", tmp_path / "cohort.csv", "--numbers-only").out
    rows = (out / "estimates.csv").read_text(encoding="utf-8")
    (out / "estimates.csv").write_text(rows.replace("0.", "0.1", 1), encoding="utf-8")
    answer = command("report", out, out=False)
    assert answer.code == 2
    assert "estimates.csv is not what the run left" in answer.stderr


def test_the_extract_in_the_output_folder_is_never_deleted(command: Command, tmp_path: Path) -> None:
    cohort().to_csv(tmp_path / "cohort.csv", index=False)
    out = command("run", STUDY, "--data", tmp_path / "cohort.csv", "--numbers-only").out
    (out / "mine.csv").write_bytes((tmp_path / "cohort.csv").read_bytes())
    assert command("run", STUDY, "--data", out / "mine.csv", "--numbers-only").code == 2
    assert (out / "mine.csv").is_file()


def test_simulating_never_overwrites_what_is_not_simulated(command: Command, tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("id\n1\n")
    answer = command("simulate", "extract", "--n", "50", "--out", tmp_path / "real.csv", out=False)
    assert answer.code == 2
    assert (tmp_path / "real.csv").read_text() == "id\n1\n"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"reference = [[[[", b"[[ratios]]\nlevel = 3\n"])
def test_published_numbers_are_checked_before_anything_is_fitted(
    content: bytes, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "study.toml").write_bytes(STUDY.read_bytes())
    (tmp_path / "published.toml").write_bytes(content)
    answer = command("check", tmp_path / "study.toml", out=False)
    assert answer.code == 3
    assert "published.toml" in answer.stderr


def test_two_tables_of_one_id_and_reserved_ids_are_faults() -> None:
    for wrong in ("table2", "flow"):
        text = STUDY.read_text(encoding="utf-8").replace('id = "table1"', f'id = "{wrong}"')
        with pytest.raises(StudyFault, match=f"{wrong} stands more than once"):
            walkrisk.study_from(tomllib.loads(text))


def test_options_are_checked_at_the_door(command: Command, tmp_path: Path) -> None:
    assert command("run", STUDY, "--min-cell", "2").code == 2
    assert "whole number" in command("run", STUDY, "--jobs", "x").stderr
    assert command("schema", "--out", tmp_path, out=False).code == 2
    assert command("run", STUDY, "--data", tmp_path / "none.csv", "--out", tmp_path / ("x" * 300), out=False).code == 2
    assert command("check", tmp_path, out=False).code == 2
    (tmp_path / "deep.toml").write_text("x = " + "[" * 100_000)
    assert command("check", tmp_path / "deep.toml", out=False).code == 3
