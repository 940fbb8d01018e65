"""Reporting again: the bytes of a whole render in a fraction of the work, also where a declaration reads otherwise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import walkrisk.runs.remaking as remaking
from walkrisk.cli import main
from walkrisk.declarations import as_table
from walkrisk.estimates.fingerprints import fingerprint
from walkrisk.figures.drawn import drawn_from
from walkrisk.figures.forest import ForestCell, ForestRow, forest_figure
from walkrisk.runs.presentation import differences
from walkrisk.studies.declaration import load_study
from walkrisk.tables.table import Table

N = 400


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a drafted study and its run in `results`."""
    folder = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(11)
    frame = pd.DataFrame(
        {
            "pid": np.arange(N),
            "age": rng.integers(20, 80, N),
            "sex": rng.choice(["F", "M"], N),
            "walk": rng.gamma(4, 20, N).round(1),
            "ill": (rng.random(N) < 0.3) * 1,
        }
    )
    frame.loc[:19, "age"] = np.nan
    frame.to_csv(folder / "p.csv", index=False)
    flags = ["--outcome", "ill", "--exposure", "walk", "--quiet"]
    assert main(["new", str(folder / "p.csv"), "--out", str(folder / "study.toml"), *flags]) == 0
    run(folder, folder / "study.toml", folder / "results")
    return folder


def run(folder: Path, study: Path, out: Path) -> None:
    """Run a study on the data of the folder."""
    assert main(["run", str(study), "--data", str(folder / "p.csv"), "--out", str(out), "--quiet"]) == 0


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    """A copy of the run's folder."""
    return Path(shutil.copytree(made / "results", tmp_path / "results"))


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the pictures and tables that are made from now on."""
    made: list[str] = []
    original = remaking.picture

    def counting(figure: object, fmt: str, *, title: str, alt: str) -> bytes:
        made.append(f"{title} {fmt}")
        return original(figure, fmt, title=title, alt=alt)  # type: ignore[arg-type]

    monkeypatch.setattr(remaking, "picture", counting)
    tabled = remaking.table_files

    def counting_tables(table: Table, *, simulated: bool, source: str) -> dict[str, str | bytes]:
        made.append(table.id)
        return tabled(table, simulated=simulated, source=source)

    monkeypatch.setattr(remaking, "table_files", counting_tables)
    return made


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_only_the_first_picture_and_table_are_made_again_and_every_byte_is_the_same(
    made: Path, results: Path, rendered: list[str]
) -> None:
    assert main(["report", str(results), "--quiet"]) == 0
    assert contents(results) == contents(made / "results")
    assert rendered == [*(f"Participant flow {fmt}" for fmt in ("svg", "png", "pdf")), "flow"]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_pictures_that_were_changed_or_deleted_are_made_again(made: Path, results: Path, jobs: str) -> None:
    (results / "figures" / "figure_curves.pdf").unlink()
    (results / "figures" / "figure_ratios.svg").write_bytes(b"<svg/>")
    (results / "tables" / "table2.docx").write_bytes(b"PK")
    (results / "tables" / "table1.tex").unlink()
    (results / "report.html").write_text("other")
    assert main(["report", str(results), "--quiet", "--jobs", jobs]) == 0
    assert contents(results) == contents(made / "results")


def test_nothing_is_kept_of_another_version_or_of_other_fonts(
    made: Path, results: Path, rendered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remaking, "environment", lambda: {"walkrisk": "another"})
    assert main(["report", str(results), "--quiet"]) == 0
    assert len([name for name in rendered if " " in name]) == 9
    assert {"flow", "table1", "table2"} <= {*rendered}
    monkeypatch.undo()


def test_where_the_first_picture_comes_out_other_all_are_made(
    made: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = remaking.picture
    monkeypatch.setattr(remaking, "picture", lambda *a, **k: original(*a, **k) + b"\n")
    assert main(["report", str(results), "--quiet"]) == 0
    for picture in (results / "figures").iterdir():
        assert picture.read_bytes() == (made / "results" / "figures" / picture.name).read_bytes() + b"\n"


WORDS = (
    ('title = "Walk and ill"', 'title = "A <b>walk</b>"'),
    ('reason = "Missing data on a covariate"', 'reason = "Age unknown"'),
    ('label = "Adjusted"', 'label = "Fully adjusted"'),
    ('label = "Ill"', 'label = "Illness"'),
    ('event_word = "cases"', 'event_word = "the ill"'),
    ('label = "Walk"', 'label = "Strolls"\nunit = "min"'),
    ("decimals = 1 ", "decimals = 0 "),
    ('unit = "years"', 'unit = "y"\nmeaning = "Age, in full"'),
    ('title = "Ill by walk"', 'title = "Main"'),
    ('title = "Adjusted ratios"', 'title = "Risk ratios"'),
    ("[settings]", "[rounding]\nratios = 3\n[settings]"),
)
SHOWN = (
    ('[[curve_figures]]\nid = "figure_curves"\ntitle = "Ill across walk"\nanalysis = "dose_response"\n', ""),
    ("[settings]", '[[tables]]\nid = "more"\ntitle = "More"\nanalysis = ["main"]\nmodels = ["crude"]\n[settings]'),
)


@pytest.mark.parametrize("changes", [WORDS, SHOWN], ids=["words", "tables and figures"])
def test_a_declaration_that_reads_otherwise_gives_what_a_run_of_it_gives(
    made: Path, results: Path, tmp_path: Path, changes: tuple[tuple[str, str], ...]
) -> None:
    text = (made / "study.toml").read_text(encoding="utf-8")
    for before, after in changes:
        assert before in text
        text = text.replace(before, after, 1)
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    run(made, tmp_path / "study.toml", tmp_path / "fresh")
    assert main(["report", str(results), "--study", str(tmp_path / "study.toml"), "--quiet"]) == 0
    assert contents(results) == contents(tmp_path / "fresh")


def test_what_numbers_depend_on_is_refused_with_every_key_and_line(
    made: Path, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(results)
    text = (made / "study.toml").read_text(encoding="utf-8")
    text = text.replace("quantiles = 4", "quantiles = 3").replace('variances = ["HC0"]', 'variances = ["HC3"]')
    text = text.replace('label = "Adjusted"', 'label = "Other"')
    (tmp_path / "s.toml").write_text(text, encoding="utf-8")
    assert main(["report", str(results), "--study", str(tmp_path / "s.toml")]) == 2
    said = capsys.readouterr().err
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    for key, line in (
        ("exposures.walk_groups.quantiles", "quantiles = 3"),
        ("settings.variances", 'variances = ["HC3"]'),
    ):
        assert f"- s.toml:{lines.index(line) + 1}: {key}: differs from the run" in said
    assert "label" not in said
    assert contents(results) == before


def test_min_cell_of_numbers_fit_for_publication_is_refused(made: Path, results: Path, tmp_path: Path) -> None:
    text = (made / "study.toml").read_text(encoding="utf-8").replace("min_cell = 5", "min_cell = 10")
    (tmp_path / "s.toml").write_text(text, encoding="utf-8")
    assert main(["report", str(results), "--study", str(tmp_path / "s.toml"), "--quiet"]) == 2


def test_differences_are_keys() -> None:
    a = {"x": {"b": 1, "c": 2}, "l": [{"id": "a"}, {"id": "b"}], "k": [1, 2]}
    b = {"x": {"c": 2, "b": 1}, "l": [{"id": "a"}], "k": [1, 3], "n": 1}
    assert set(differences(a, b)) == {("x",), ("l", "1"), ("k",), ("n",)}
    assert list(differences(a, a)) == []


def test_a_study_differs_in_nothing_from_itself(made: Path) -> None:
    kept = json.loads((made / "results" / "study.json").read_text(encoding="utf-8"))
    assert list(differences(kept, as_table(load_study(made / "study.toml")))) == []


def test_a_figure_remembers_what_it_was_drawn_from() -> None:
    def rows(estimate: float) -> list[ForestRow]:
        cell = ForestCell(estimate=estimate, conf_low=0.5, conf_high=0.9, text="0.70")
        return [ForestRow(label="A", cells=(cell,))]

    prints = [drawn_from(forest_figure(rows(x), panels=["P"]), title="t", alt="a") for x in (0.7, 0.7, 0.7 + 1e-15)]
    assert prints[0] == prints[1] != prints[2]
    assert drawn_from(forest_figure(rows(0.7), panels=["P"]), title="t", alt="b") != prints[0]
    assert fingerprint(1, [object()]) == ""
    assert len({fingerprint(x) for x in (1, "1", [1], [[1]], True, None, {1: 1}, b"1", 1.5)}) == 9
    assert fingerprint(1) == fingerprint(1.0) == fingerprint(np.float64(1.0)), "a file tells no 1 from a 1.0"
    assert fingerprint(2**53 + 1) != fingerprint(2.0**53)
