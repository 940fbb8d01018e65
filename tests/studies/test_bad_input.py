"""Whatever is wrong with a file, a study or a command gets its sentences and exit code, and leaves nothing behind."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from walkrisk.estimates.results import Diagnostic
from walkrisk.estimates.rows import Estimate
from walkrisk.reports.files import rows_from_csv

Command = Callable[..., Any]
Spoil = Callable[[pd.DataFrame], pd.DataFrame]
ID = "PID_114165"


def spoilt(frame: pd.DataFrame, column: str, rows: list[int], value: object) -> pd.DataFrame:
    out = frame.copy()
    kept = out[column].astype("float64") if isinstance(value, int | float) else out[column].astype("object")
    kept.iloc[rows] = value
    out[column] = kept
    return out


def refused(answer: Any, code: int, *words: str, frame: pd.DataFrame | None = None) -> None:
    """The exit code, each of `words` in the error, no traceback, no id of anyone, and nothing written."""
    assert answer.code == code, answer.stderr
    for word in words:
        assert re.search(word, answer.stderr), f"{word!r} is not in: {answer.stderr}"
    assert "Traceback" not in answer.stderr
    assert len(answer.stderr.splitlines()) <= 40
    assert not answer.out.exists()
    assert [p.name for p in answer.out.parent.iterdir() if p.name.startswith(".")] == []
    if frame is not None:
        shown = set(re.findall(r"\d{5,}", answer.stderr))
        assert not shown & set(frame[ID].astype(str))


DAY1 = "WalkTmD1_NT4ActMX"
FAULTY: dict[str, tuple[Spoil, list[str]]] = {
    "duplicate ids": (lambda f: spoilt(f, ID, [7], int(f[ID].iloc[3])), [ID, r"4\b.*\b8\b"]),
    "an unknown code": (lambda f: spoilt(f, "Educ_NT4BLQ1", [2, 5], 9), ["Educ_NT4BLQ1", r"\b9\b", "rows? 3"]),
    "a score out of range": (lambda f: spoilt(f, "HADSDepr_NT4BLQ2", [1], 35), ["HADSDepr_NT4BLQ2", r"\b35\b", "21"]),
    "negative seconds": (lambda f: spoilt(f, DAY1, [0, 4], -60), [r"WalkTmD1|walking_s", "negative|below 0"]),
    "a day over 24 hours": (lambda f: spoilt(f, "LyTmD2_NT4ActMX", [9], 100_000), ["86,?400", r"\b10\b"]),
    "a missing column": (lambda f: f.drop(columns=["Sex", DAY1]), ["Sex", DAY1]),
    "a misspelt column": (lambda f: f.rename(columns={"Sex": "sex"}), ["Sex", "did you mean sex"]),
    "text in a number": (lambda f: spoilt(f, "Bmi_NT4BLM", [11], "missing"), ["Bmi_NT4BLM", r"\b12\b"]),
    "minutes for seconds": (
        lambda f: f.assign(**{c: f[c] / 60 for c in f.columns if c.endswith("_NT4ActMX")}),
        ["minutes", "60"],
    ),
    "follow-up before baseline": (
        lambda f: f.assign(PartDat_NT4BLM=f["PartDat_NT4CovQ"], PartDat_NT4CovQ=f["PartDat_NT4BLM"]),
        ["PartDat_NT4CovQ comes before PartDat_NT4BLM", "rows"],
    ),
    "nobody left": (lambda f: f.assign(MSPaLY_NT4CovQ=np.nan), ["Nobody is left", "followup_pain_known 0"]),
}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("name", FAULTY)
def test_data_at_fault(name: str, suffix: str, simulated_frame: pd.DataFrame, command: Command, tmp_path: Path) -> None:
    spoil, words = FAULTY[name]
    frame = spoil(simulated_frame)
    path = tmp_path / f"extract{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.astype({c: str for c in frame.columns if frame[c].dtype == object}).to_parquet(path, index=False)
    refused(command("reproduce", "--data", path), 4, *words, frame=simulated_frame)


def test_every_fault_of_a_file_is_reported_together(
    simulated_frame: pd.DataFrame, command: Command, tmp_path: Path
) -> None:
    frame = simulated_frame
    for name in ("duplicate ids", "an unknown code", "a score out of range", "text in a number"):
        frame = FAULTY[name][0](frame)
    frame.drop(columns=["Sex"]).to_csv(tmp_path / "extract.csv", index=False)
    words = [ID, "Educ_NT4BLQ1", "HADSDepr_NT4BLQ2", "Bmi_NT4BLM", "Sex"]
    refused(command("reproduce", "--data", tmp_path / "extract.csv"), 4, *words, frame=simulated_frame)


@pytest.mark.parametrize("suffix", [".csv", ".dta", ".sav", ".parquet"])
def test_an_empty_file(suffix: str, command: Command, tmp_path: Path) -> None:
    (tmp_path / f"extract{suffix}").write_bytes(b"")
    refused(command("reproduce", "--data", tmp_path / f"extract{suffix}"), 4, f"extract{suffix}", "empty")


@pytest.mark.parametrize("kept", [0.999, 0.5, 0.05])
def test_a_truncated_stata_file(kept: float, simulated_frame: pd.DataFrame, command: Command, tmp_path: Path) -> None:
    path = tmp_path / "extract.dta"
    as_stata(simulated_frame).to_stata(path, write_index=False, version=118)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    refused(command("reproduce", "--data", path), 4, "extract.dta", "truncated|cut short|incomplete|ends|damaged")


def test_a_stata_file_that_is_a_csv(simulated_frame: pd.DataFrame, command: Command, tmp_path: Path) -> None:
    simulated_frame.to_csv(tmp_path / "extract.dta", index=False)
    refused(command("reproduce", "--data", tmp_path / "extract.dta"), 4, "extract.dta", "text", r"\.csv")


def test_a_norwegian_csv_is_read_rightly_and_said(
    simulated_frame: pd.DataFrame, command: Command, tmp_path: Path
) -> None:
    simulated_frame.to_csv(tmp_path / "plain.csv", index=False)
    simulated_frame.to_csv(tmp_path / "norsk.csv", index=False, sep=";", decimal=",")
    plain = command("reproduce", "--data", tmp_path / "plain.csv", "--numbers-only")
    assert plain.code == 0
    expected = (plain.out / "estimates.csv").read_bytes()
    norsk = command("reproduce", "--data", tmp_path / "norsk.csv", "--numbers-only")
    assert norsk.code == 0
    assert re.search("semicolon.*decimal comma", norsk.stderr)
    assert (norsk.out / "estimates.csv").read_bytes() == expected


def test_a_category_without_events_is_not_estimable(
    simulated_frame: pd.DataFrame, command: Command, tmp_path: Path
) -> None:
    frame = simulated_frame.copy()
    daily = frame[[f"WalkTmD{i}_NT4ActMX" for i in range(1, 8)]].astype("float64")
    walked = daily.where(daily > 0).mean(axis=1) / 60
    frame.loc[walked > 105, "MSPaLum_NT4CovQ"] = pd.NA
    frame.to_parquet(tmp_path / "extract.parquet", index=False)
    answer = command("reproduce", "--data", tmp_path / "extract.parquet", "--min-cell", "0")
    assert answer.code == 0, answer.stderr
    rows = rows_from_csv((answer.out / "estimates.csv").read_text(), Estimate)
    q4 = [e for e in rows if (e.analysis, e.exposure, e.level, e.estimand) == ("main", "volume", "Q4", "risk_ratio")]
    assert len(q4) == 6
    assert all(e.n and e.events == 0 and e.estimate is None and e.conf_low is None for e in q4)
    table = (answer.out / "tables" / "table2.html").read_text()
    assert "not estimable (no cases)" in table
    assert "0.00 (" not in table
    said = rows_from_csv((answer.out / "diagnostics.csv").read_text(), Diagnostic)
    assert any("volume Q4 has no cases" in d.warnings for d in said)


def test_a_collinear_covariate_is_left_out_and_said(
    simulated_frame: pd.DataFrame, command: Command, tmp_path: Path
) -> None:
    frame = simulated_frame.assign(WorCu_NT4BLI=simulated_frame["Sex"])
    frame.to_parquet(tmp_path / "extract.parquet", index=False)
    answer = command("reproduce", "--data", tmp_path / "extract.parquet", "--numbers-only")
    assert answer.code == 0, answer.stderr
    said = rows_from_csv((answer.out / "diagnostics.csv").read_text(), Diagnostic)
    multi = [d for d in said if (d.analysis, d.exposure, d.model) == ("main", "volume", "multi_adjusted")]
    assert "work_status[Not employed]: a combination of earlier columns" in multi[0].warnings


def test_an_outcome_without_any_event(simulated_frame: pd.DataFrame, command: Command, tmp_path: Path) -> None:
    simulated_frame.assign(MSPaLum_NT4CovQ=0).to_parquet(tmp_path / "extract.parquet", index=False)
    refused(command("reproduce", "--data", tmp_path / "extract.parquet"), 5, "Nobody .* has the outcome lbp_t1")


@pytest.fixture
def broken_study(reference_toml: Path, tmp_path: Path) -> Callable[..., Path]:
    def write(*changes: tuple[str, str]) -> Path:
        text = reference_toml.read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "study.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_five_faults_of_a_study_are_reported_together(broken_study: Callable[..., Path], command: Command) -> None:
    study = broken_study(
        ('outcome = "chronic_lbp"', 'outcome = "chronic_lpb"'),
        ("quantiles = 4", "quantiles = 1"),
        ("knot_percentiles = [10, 50, 90]", "knot_percentiles = [90, 10, 50]"),
        ("conf_level = 0.95", "conf_level = 95"),
        ('covariates = ["age"]', 'covariates = ["agee"]'),
    )
    answer = command("run", study)
    keys = ["settings.outcome", "exposures.volume.quantiles", r"curves\[0\]", "settings.conf_level", "models.age_adj"]
    refused(answer, 3, *keys, "did you mean chronic_lbp")
    assert len(answer.stderr.splitlines()) == 6


@pytest.mark.parametrize(
    "code",
    ["__import__('os').system('touch pwned')", "np.log(age)", "age + I(age**2)", "C(sex)", "age; import os", "age\\n"],
)
def test_a_declaration_never_runs_code(code: str, broken_study: Callable[..., Path], command: Command) -> None:
    study = broken_study(('covariates = ["age"]', f'covariates = ["{code}"]'))
    refused(command("run", study), 3, r"models.age_adjusted.covariates\[0\]", "plain name")
    assert not Path("pwned").exists()


def test_a_study_that_is_not_toml(command: Command, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text("this is [not toml")
    refused(command("run", tmp_path / "study.toml"), 3, "study.toml", "TOML")


def test_files_that_are_not_there(command: Command, tmp_path: Path) -> None:
    refused(command("run", tmp_path / "none.toml"), 2, "none.toml")
    refused(command("reproduce", "--data", tmp_path / "none.dta"), 2, "none.dta")


def test_an_output_folder_with_other_files_is_not_touched(command: Command, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "thesis.docx").write_text("mine")
    answer = command("reproduce", "--numbers-only")
    assert answer.code == 2
    assert "thesis" not in answer.stderr
    assert (tmp_path / "results" / "thesis.docx").read_text() == "mine"


def test_wrong_options(command: Command) -> None:
    assert command("reproduce", "--jobs", "0").code == 2
    assert command("reproduce", "--unknown").code == 2
    assert command("nonsense", out=False).code == 2


def as_stata(frame: pd.DataFrame) -> pd.DataFrame:
    """Nullable integers as the floats that Stata files hold."""
    return frame.astype({c: "float64" for c in frame.columns if str(frame[c].dtype).startswith("Int")})
