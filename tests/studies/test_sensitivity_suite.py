"""The whole suite of sensitivity analyses on a small simulated extract: every part, its sentences, its bytes."""

from __future__ import annotations

import dataclasses
import html
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from walkrisk.accounts.account import GROUPS, Account, Drawing, View
from walkrisk.accounts.facts import Fact, number_of, ratio_of, sentence, setting, words
from walkrisk.disclosure.blanking import marks_from
from walkrisk.estimates.disclosure import merge_small_steps
from walkrisk.estimates.results import ROW_TYPES, Results
from walkrisk.estimates.withheld import Withheld
from walkrisk.reports.files import rows_from_csv
from walkrisk.reports.html import table_csv
from walkrisk.reports.kept import folder_of
from walkrisk.runs.accounting import accounts_of, view_of
from walkrisk.runs.drawings import drawings
from walkrisk.runs.run import run_file
from walkrisk.runs.tabulations import Tabulation, tabulation
from walkrisk.studies.declaration import load_study

from .figures_read import faults_of_layout, faults_of_words
from .sentences_check import every_fault
from .tables_read import faults as faults_of_tables

HERE = Path(__file__).resolve().parent
SMALL = HERE / "sensitivity_small.toml"  # every kind of analysis, with few sets, draws and specifications
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def study_toml(tmp_path_factory: pytest.TempPathFactory, reference_toml: Path) -> Path:
    """The reference study with the small suite beside it."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.toml").write_text(reference_toml.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "sensitivity.toml").write_text(SMALL.read_text(encoding="utf-8"), encoding="utf-8")
    return folder / "study.toml"


@pytest.fixture(scope="module")
def extract(tmp_path_factory: pytest.TempPathFactory, simulated_frame: pd.DataFrame) -> Path:
    path = tmp_path_factory.mktemp("data") / "extract.parquet"
    simulated_frame.to_parquet(path, index=False)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, study_toml: Path, extract: Path) -> Path:
    out = tmp_path_factory.mktemp("run") / "results"
    run_file(study_toml, data=extract, out=out, simulated=True, sensitivity=True)
    return out


@pytest.fixture(scope="module")
def made(finished: Path, study_toml: Path) -> Tabulation:
    """What the report was made from, read back from the files."""
    study = load_study(study_toml, sensitivity=True)
    rows = {k: rows_from_csv((finished / f"{k}.csv").read_text(encoding="utf-8"), t) for k, t in ROW_TYPES.items()}
    withheld = rows_from_csv((finished / "disclosure.csv").read_text(encoding="utf-8"), Withheld)
    return tabulation(study, Results(**rows), simulated=True, marks=marks_from(withheld))


@pytest.fixture(scope="module")
def view(made: Tabulation) -> View:
    return view_of(made)


@pytest.fixture(scope="module")
def accounts(made: Tabulation) -> tuple[Account, ...]:
    return accounts_of(made).all()


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def test_every_kind_of_analysis_has_its_account(accounts: tuple[Account, ...]) -> None:
    assert {a.group for a in accounts} == set(GROUPS)
    for account in accounts:
        assert account.sentences, account.id
        assert account.tables or account.lines, account.id


def test_every_sentence_of_the_report_says_what_the_files_say(
    view: View, accounts: tuple[Account, ...], finished: Path
) -> None:
    faults = every_fault(view, accounts, finished)
    assert not faults, "\n".join(faults)


def test_every_table_says_the_same_in_every_format(finished: Path, accounts: tuple[Account, ...]) -> None:
    assert {t.id for a in accounts for t in a.tables} < {p.stem for p in (finished / "tables").glob("*.docx")}
    assert faults_of_tables(finished / "tables") == []


def drawn(view: View) -> list[Drawing]:
    """Every figure of the run, the study's own first."""
    flow = merge_small_steps(view.results.flow, min_cell=view.study.settings.min_cell)
    own = drawings(view.study, view.results, flow=flow, simulated=True)
    accounts = accounts_of(tabulation(view.study, view.results, simulated=True))
    return [*own, *(d for a in accounts.all() for d in a.drawings)]


def test_every_figure_says_what_it_shows(view: View, finished: Path) -> None:
    figures = drawn(view)
    assert {d.id for d in figures} == {p.stem for p in (finished / "figures").glob("*.svg")}
    exposures = [view.label(e) for e in view.followed]
    assert faults_of_words(figures, exposures=exposures, min_cell=view.study.settings.min_cell) == []


@pytest.mark.parametrize("width", ["single", "double"])
def test_no_text_of_a_figure_is_clipped_or_on_another(view: View, width: str) -> None:
    settings = dataclasses.replace(view.study.settings, figure_width=width)
    study = dataclasses.replace(view.study, settings=settings)
    figures = drawn(dataclasses.replace(view, study=study))
    assert len(figures) > 20
    assert faults_of_layout(figures) == []


def test_every_sentence_stands_in_the_report(accounts: tuple[Account, ...], finished: Path) -> None:
    page = text_of((finished / "report.html").read_text(encoding="utf-8"))
    missing = [s.text for a in accounts for s in a.sentences if re.sub(r"\s+", " ", s.text) not in page]
    assert not missing


def test_a_wrong_number_in_a_sentence_is_found(view: View, accounts: tuple[Account, ...], finished: Path) -> None:
    row = view.main(view.followed[0], view.headline(view.followed[0]))
    other = dataclasses.replace(row, estimate=(row.estimate or 0) + 0.01)
    assert row.estimate is not None
    right = sentence("The ratio was {rr}.", rr=ratio_of(row))
    wrong_text = sentence("The ratio was {rr}.", rr=dataclasses.replace(ratio_of(row), text="0.11 (0.10-0.12)"))
    wrong_row = sentence("The ratio was {rr}.", rr=ratio_of(other))
    loose = sentence("The ratio was {rr}.", rr=words("about 0.7312"))
    undeclared = sentence("With {m} sets.", m=setting(98765))
    rounded = sentence("P {p}.", p=dataclasses.replace(number_of(row, "p_value", "p"), text="= .77"))

    def faults(*sentences: object) -> list[str]:
        account = Account(id="x", title="x", group=GROUPS[0], sentences=sentences)  # type: ignore[arg-type]
        return every_fault(view, (account,), finished)

    assert faults(right) == []
    for wrong in (wrong_text, wrong_row, loose, undeclared, rounded):
        assert len(faults(wrong)) == 1, wrong.text


def test_no_sentence_shows_a_small_count(accounts: tuple[Account, ...], view: View) -> None:
    small = view.study.settings.min_cell
    for account in accounts:
        for said in account.sentences:
            counts = [f for f in said.facts.values() if f.form == "count" and _people(f)]
            assert all(not 0 < (getattr(f.row, f.column) or 0) < small for f in counts), said.text


def _people(fact: Fact) -> bool:
    return fact.column in ("n", "events")


def test_other_measures_are_those_of_the_files(accounts: tuple[Account, ...], view: View, finished: Path) -> None:
    (table,) = [t for a in accounts for t in a.tables if t.id == "sensitivity_measures"]
    cells = {row.cells[0]: row.cells[1:] for row in table.rows}
    estimates = pd.read_csv(finished / "estimates.csv", keep_default_na=False)

    def at(analysis: str, exposure: str, estimand: str, **wanted: str) -> float:
        level = view.headline(exposure)
        rows = estimates[(estimates.analysis == analysis) & (estimates.exposure == exposure)]
        rows = rows[(rows.level == level) & (rows.estimand == estimand)]
        for column, value in wanted.items():
            rows = rows[rows[column] == value]
        return float(rows.estimate.iloc[0])

    for i, exposure in enumerate(view.followed):
        point, limit = (at("evalue_curve", exposure, e) for e in ("e_value", "e_value_ci"))
        assert cells["E-value of the ratio (of its limit)"][i] == f"{point:.2f} ({limit:.2f})"
        low, high = (at("worst", exposure, "risk_ratio", stratum=s) for s in ("lowest", "highest"))
        (bounds,) = [c[i] for label, c in cells.items() if label.endswith("lowest to highest ratio")]
        assert bounds == f"{low:.2f} to {high:.2f}"
        detected = at(
            "power", exposure, "minimal_detectable_ratio", stratum="below 1, power 0.8", method="modified_poisson"
        )
        assert cells["Ratio nearest to 1, below it, that is detected with power 80%"][i] == f"{detected:.2f}"


def test_the_tables_are_the_same_made_again_from_the_rows(accounts: tuple[Account, ...], finished: Path) -> None:
    for table in (t for a in accounts for t in a.tables):
        assert (finished / "tables" / f"{table.id}.csv").read_text("utf-8") == table_csv(table, simulated=True), (
            table.id
        )


def test_a_killed_run_goes_on_where_it_was_and_ends_the_same_with_other_workers(
    study_toml: Path, extract: Path, finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    command = [
        *(sys.executable, "-m", "walkrisk", "run", str(study_toml), "--data", str(extract), "--out", str(out)),
        *("--simulated", "--sensitivity", "--numbers-only", "--quiet", "--jobs", "2"),
    ]
    process = subprocess.Popen(command, env=ONE_THREAD)
    kept = folder_of(out)
    deadline = time.monotonic() + 120
    while len(list(kept.glob("*.npz"))) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = {p.name: p.stat().st_mtime_ns for p in kept.glob("*.npz")}
    assert len(there) >= 3, "the run ended before it could be killed: declare more parts"
    assert not out.exists()
    subprocess.run(command, env=ONE_THREAD, check=True)
    assert not kept.exists()
    again, one = contents(out), contents(finished)
    for name in (f"{kind}.csv" for kind in ROW_TYPES):
        assert again[name] == one[name], name


def test_ids_of_participants_are_nowhere(finished: Path, simulated_frame: pd.DataFrame) -> None:
    ids = {str(i) for i in simulated_frame["PID_114165"]}
    long = {i for i in ids if len(i) > 4}
    for name in ("points.csv", "specifications.csv"):
        fields = {field for line in (finished / name).read_text("utf-8").splitlines() for field in line.split(",")}
        assert not fields & long, name
