"""A whole run: what it leaves, that it is the same every time, and that it can be reported again."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import walkrisk
from walkrisk.estimates.results import ROW_TYPES, columns_of
from walkrisk.studies.declaration import study_schema

from .tables_read import faults as faults_of_tables

Command = Callable[..., Any]
CONTRACT = {
    "estimates": "analysis, exposure, stratum, level, reference, model, estimand, n, events, estimate, std_error, "
    "conf_low, conf_high, p_value, method, variance",
    "curves": "analysis, exposure, stratum, model, x, estimate, conf_low, conf_high, reference",
    "flow": "step, reason, n_before, n_excluded, n_after",
    "cutpoints": "analysis, exposure, cut, value",
}


@pytest.fixture(scope="module")
def extract(tmp_path_factory: pytest.TempPathFactory, simulated_frame: pd.DataFrame) -> Path:
    path = tmp_path_factory.mktemp("data") / "extract.parquet"
    simulated_frame.to_parquet(path, index=False)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, extract: Path, reference_toml: Path) -> Path:
    from walkrisk.runs.run import run_file

    out = tmp_path_factory.mktemp("run") / "results"
    run_file(reference_toml, data=extract, out=out, simulated=True)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("kind", CONTRACT)
def test_the_columns_are_those_of_the_contract(kind: str) -> None:
    assert ", ".join(columns_of(kind)) == CONTRACT[kind]


def test_a_run_leaves_what_the_contract_names(finished: Path) -> None:
    for name in [*(f"{k}.csv" for k in ROW_TYPES), "report.html", "report.docx", "manifest.json", "tables", "figures"]:
        assert (finished / name).exists(), name
    estimates = pd.read_csv(finished / "estimates.csv", keep_default_na=False)
    analyses = set(estimates["analysis"])
    sensitivity = ["1_bmi", "2_other_pa", "3_four_days", "4_no_msp", "5_pain_below_moderate", "6_good_health"]
    wanted = {"main", "mutual", "joint", "strat_age", "strat_sex", "strat_intensity", "interaction", "trend", "evalue"}
    wanted |= {f"sens{s}" for s in [*sensitivity, "7_no_disease", "8_severe"]}
    assert wanted <= analyses
    assert set(estimates.loc[estimates.analysis == "joint", "level"]) == {f"Q{v}/Q{i}" for v in "1234" for i in "1234"}
    main = estimates[(estimates.analysis == "main") & (estimates.estimand == "risk_ratio")]
    reference = main[main.level == "Q1"]
    assert set(reference["estimate"].astype(str)) == {"1.0"}
    assert set(reference["conf_low"]) == {""}
    flow = pd.read_csv(finished / "flow.csv")
    assert list(flow["step"]) == [
        "accelerometer_day", "valid_walking_day", "baseline_pain_known", "no_baseline_lbp", "followup_pain_known",
        "complete_covariates",
    ]  # fmt: skip


def test_every_table_says_the_same_in_every_format(finished: Path) -> None:
    assert faults_of_tables(finished / "tables") == []


def test_the_same_input_gives_the_same_bytes_whatever_the_jobs(
    finished: Path, extract: Path, reference_toml: Path, tmp_path: Path
) -> None:
    from walkrisk.runs.run import run_file

    run_file(reference_toml, data=extract, out=tmp_path / "again", simulated=True, jobs=3)
    assert contents(tmp_path / "again") == contents(finished)


def test_reporting_again_gives_the_same_bytes(finished: Path, tmp_path: Path, command: Command) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "report.html").unlink()
    (copy / "tables" / "table2.html").write_text("spoilt")
    assert command("report", copy, out=False).code == 0
    assert contents(copy) == contents(finished)


def test_reporting_again_a_changed_folder_is_refused(finished: Path, tmp_path: Path, command: Command) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "estimates.csv").write_text("analysis,exposure\n")
    answer = command("report", copy, out=False)
    assert answer.code == 2
    assert "run the study again" in answer.stderr
    assert command("report", tmp_path, out=False).code == 2


def test_everything_made_for_readers_says_that_the_data_are_simulated(finished: Path) -> None:
    for path in [finished / "report.html", *(finished / "tables").iterdir()]:
        text = zipfile.ZipFile(path).read("word/document.xml") if path.suffix == ".docx" else path.read_bytes()
        assert "imulated" in text.decode("utf-8").replace("SIMULATED", "Simulated"), path.name
    assert json.loads((finished / "manifest.json").read_text())["simulated"] is True
    flow = (finished / "figures" / "flow.pdf").read_bytes()
    assert flow.startswith(b"%PDF")


def test_a_run_on_real_data_does_not_say_so(extract: Path, reference_toml: Path, tmp_path: Path) -> None:
    from walkrisk.runs.run import run_file

    run_file(reference_toml, data=extract, out=tmp_path / "real")
    page = (tmp_path / "real" / "report.html").read_text(encoding="utf-8")
    assert "Simulated data" not in page
    assert json.loads((tmp_path / "real" / "manifest.json").read_text())["simulated"] is False


def test_the_report_needs_no_network(finished: Path) -> None:
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", page)
    assert page.count("<script") == 1, "its own"
    assert not re.search(r"url\((?!data:|#)", page)


def test_no_id_of_a_participant_is_in_any_output(finished: Path, simulated_frame: pd.DataFrame) -> None:
    ids = set(simulated_frame["PID_114165"].astype(str))
    for name in ("report.html", "manifest.json", "study.json", "characteristics.csv", "diagnostics.csv"):
        text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", (finished / name).read_text(encoding="utf-8"))
        assert not ids & set(re.findall(r"(?<![\w.])\d{6}(?![\w.])", text)), name


def test_a_study_built_in_python_gives_the_same_rows(
    extract: Path, reference_toml: Path, simulated_frame: pd.DataFrame
) -> None:
    study = walkrisk.load_study(reference_toml)
    from_file = walkrisk.run(study, data=extract)
    model = replace(study.models["multi_adjusted"])
    built = replace(study, models={**study.models, "multi_adjusted": model})
    from_frame = walkrisk.run(built, data=simulated_frame)
    assert from_frame.results == from_file.results
    assert tuple(from_frame.to_frame("curves").columns) == columns_of("curves")
    assert len(from_frame.to_frame()) == len(from_frame.results.estimates)


def test_the_engines_agree(extract: Path, reference_toml: Path) -> None:
    study = walkrisk.load_study(reference_toml)
    keep = [a for a in study.analyses if a.id in ("main", "joint", "strat_intensity", "x_log_binomial")]
    study = replace(
        study,
        analyses=tuple(keep),
        curves=(),
        evalues=(),
        tables=(),
        curve_figures=(),
        forest_figures=(),
        heat_figures=(),
    )
    ours = walkrisk.run(study, data=extract).results.estimates
    other = replace(study, settings=replace(study.settings, engine="statsmodels"))
    theirs = walkrisk.run(other, data=extract).results.estimates
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert (a.level, a.n, a.events) == (b.level, b.n, b.events)
        for field in ("estimate", "std_error", "conf_low", "conf_high"):
            mine, other_engine = getattr(a, field), getattr(b, field)
            assert (mine is None) == (other_engine is None), (a.analysis, a.level, field)
            if mine is not None:
                assert mine == pytest.approx(other_engine, rel=1e-7), (a.analysis, a.level, field)


def test_check_says_that_all_is_in_order(extract: Path, reference_toml: Path, command: Command) -> None:
    answer = command("check", reference_toml, "--data", extract, out=False)
    assert answer.code == 0
    assert "3000 rows" in answer.stdout


def test_simulating_is_repeatable_and_leaves_the_truth(tmp_path: Path, command: Command) -> None:
    for name in ("a", "b"):
        path = tmp_path / f"{name}.dta"
        assert command("simulate", "extract", "--n", "200", "--seed", "3", "--out", path, out=False).code == 0
    assert (tmp_path / "a.dta").read_bytes() == (tmp_path / "b.dta").read_bytes()
    assert json.loads((tmp_path / "a.truth.json").read_text())["simulated"] is True


def test_a_simulated_extract_is_known_as_such_by_the_truth_beside_it(tmp_path: Path, command: Command) -> None:
    command("simulate", "extract", "--n", "1500", "--seed", "3", "--out", tmp_path / "extract.sav", out=False)
    answer = command("reproduce", "--data", tmp_path / "extract.sav", "--numbers-only")
    assert answer.code == 0, answer.stderr
    assert "SIMULATED" in answer.stdout
    assert json.loads((answer.out / "manifest.json").read_text())["simulated"] is True


def test_the_schema_beside_the_studies_is_that_of_the_grammar(reference_toml: Path) -> None:
    kept = json.loads((reference_toml.parents[1] / "study.schema.json").read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(study_schema())), "run: walkrisk schema --out analyses/study.schema.json"
