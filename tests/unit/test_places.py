"""Faults point at file, line and key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from walkrisk.cli import main
from walkrisk.errors import StudyFault
from walkrisk.places import line_of, places
from walkrisk.runs.methods import variations
from walkrisk.runs.pointing import with_declared
from walkrisk.studies.declaration import load_study
from walkrisk.studies.kinds import without_display

MINIMAL = Path(__file__).resolve().parents[2] / "analyses" / "minimal_study.toml"

TEXT = """\
[settings]            # 1
outcome = "y"
[models.adjusted]
covariates = [        # 4
  "age",
  "sexx",
]
[[analyses]]          # 8
id = "main"
restrict = [{ variable = "age", above = 3 }]
[[analyses]]          # 11
id = "second"
stratify.by = "sex"   # 13
[[tables]]            # 14
id = "t1"
[[tables]]            # 16
id = "t1"
[columns."a.b c"]     # 18
kind = "code"
[columns."a.b c".labels]
1 = "One"             # 21
[columns.a]           # 22
"""


@pytest.mark.parametrize(
    ("sentence", "line"),
    [
        ("settings.outcome: there is none.", 2),
        ("settings.seed: must be 0 or more.", 1),
        ("models.adjusted.covariates: must be a list.", 4),
        ("models.adjusted.covariates: there is no variable 'sexx'.", 6),
        ("models.adjusted.label: is missing.", 3),
        ("analyses[0] (main): restrict names 'age'.", 10),
        ("analyses[0] (main).restrict[0].above: must be a number.", 10),
        ("analyses[1] (second).stratify.by: there is no variable.", 13),
        ("analyses[7].id: is missing.", 8),
        ("tables (t1).analysis: there is none.", 14),
        ("tables and figures: t1 stands more than once.", 16),
        ("columns.a.b c.labels.1: must be a text.", 21),
        ("columns.a.b: unknown key.", 22),
        ("nothing.of.the.kind: is here.", None),
    ],
)
def test_a_sentence_is_about_a_line(sentence: str, line: int | None) -> None:
    assert line_of(places(TEXT), sentence) == line


def faults_of(path: Path, *, sensitivity: bool = False) -> tuple[str, ...]:
    """What load_study says of a file."""
    with pytest.raises(StudyFault) as fault:
        load_study(path, sensitivity=sensitivity)
    return fault.value.faults


def test_every_fault_of_a_study_has_its_line(tmp_path: Path) -> None:
    text = MINIMAL.read_text(encoding="utf-8")
    bad = text.replace("quantiles = 4", "quantile = 4").replace('kind = "number"', 'kind = "numbr"', 1)
    (tmp_path / "my_study.toml").write_text(bad, encoding="utf-8")
    lines = bad.splitlines()
    said = faults_of(tmp_path / "my_study.toml")
    at = lines.index("quantile = 4                 # or cuts = [5000, 10000]") + 1
    assert f"my_study.toml:{at}: exposures.volume.quantile: unknown key; did you mean quantiles?" in said
    at = lines.index('kind = "numbr"') + 1
    assert any(s.startswith(f"my_study.toml:{at}: columns.age.kind: must be one of") for s in said)


def test_names_that_lead_nowhere_have_the_line_they_stand_on(tmp_path: Path) -> None:
    bad = MINIMAL.read_text(encoding="utf-8").replace('rows = ["age", "sex", "smoking"]', 'rows = [\n"age",\n"sexx"]')
    (tmp_path / "s.toml").write_text(bad, encoding="utf-8")
    at = bad.splitlines().index('"sexx"]') + 1
    assert faults_of(tmp_path / "s.toml") == (
        f"s.toml:{at}: characteristics (table1).rows: there is no variable 'sexx'; did you mean sex?",
    )


def test_faults_of_sensitivity_toml_are_on_its_own_lines(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(MINIMAL.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "sensitivity.toml").write_text('# none\n[[influence]]\nid = "a"\nexposures = ["volum"]\nx = 1\n')
    assert faults_of(tmp_path / "study.toml", sensitivity=True) == (
        "sensitivity.toml:5: sensitivity.influence[0].x: unknown key.",
    )
    (tmp_path / "sensitivity.toml").write_text('# none\n[[influence]]\nid = "a"\nexposures = ["volum"]\n')
    (said,) = faults_of(tmp_path / "study.toml", sensitivity=True)
    assert said.startswith("sensitivity.toml:4: sensitivity.influence (a).exposures: there is no exposure")


def test_what_is_no_toml_has_its_line(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('[study]\nid = "a"\ntitle = "b" c\n')
    assert faults_of(tmp_path / "s.toml") == (
        "s.toml:3: is not valid TOML: Expected newline or end of document after a statement (column 13).",
    )


PEOPLE = "id,age,sex,smoking,steps,activity,outcome\n" + "".join(
    f"{i},{20 + i},{'FM'[i % 2]},{i % 3},{1000 * i},{1 + i % 3},{int(i % 4 == 0)}\n" for i in range(60)
)


def test_faults_of_the_data_name_the_line_of_the_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = MINIMAL.read_text(encoding="utf-8").replace("[columns.smoking]", '[columns.smoking]\nfrom = "Smokes (now)"')
    (tmp_path / "s.toml").write_text(text, encoding="utf-8")
    data = PEOPLE.replace("smoking", "Smokes (now)").replace("\n3,23,", "\n3,230,").replace("\n5,25,M,2", "\n5,25,M,7")
    (tmp_path / "p.csv").write_text(data.replace(",activity", ",activty"))
    lines = text.splitlines()
    at = {name: lines.index(f"[columns.{name}]") + 1 for name in ("activity", "age", "smoking")}
    for command in (["check"], ["run", "--out", str(tmp_path / "out")]):
        assert main([*command, str(tmp_path / "s.toml"), "--data", str(tmp_path / "p.csv")]) == 4
        said = capsys.readouterr().err
        assert f"correct the names in the study declaration (s.toml:{at['activity']})." in said
        assert f"in row 4; correct it at the source or declare its code as missing (s.toml:{at['age']})." in said
        assert f"(s.toml:{at['smoking']})." in said
    assert not (tmp_path / "out").exists()


def test_faults_of_the_declaration_and_of_the_data_are_said_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = MINIMAL.read_text(encoding="utf-8").replace('covariates = ["age"', 'covariates = ["agee"')
    (tmp_path / "s.toml").write_text(text, encoding="utf-8")
    (tmp_path / "p.csv").write_text(PEOPLE.replace("\n3,23,", "\n3,230,"))
    assert main(["check", str(tmp_path / "s.toml"), "--data", str(tmp_path / "p.csv")]) == 3
    said = capsys.readouterr().err
    assert "there is no variable 'agee'" in said
    assert "Column age holds 1 value outside 18 to 110 years, in row 4" in said


def test_check_says_what_will_be_run_and_on_whom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = '[[exclusions]]\nid = "young"\nreason = "Below 30"\nrequire = [{ variable = "age", at_least = 30 }]\n'
    few = '[[exclusions]]\nid = "few"\nreason = "Above 77"\nrequire = [{ variable = "age", at_most = 77 }]\n'
    (tmp_path / "s.toml").write_text(MINIMAL.read_text(encoding="utf-8") + steps + few, encoding="utf-8")
    (tmp_path / "p.csv").write_text(PEOPLE)
    assert main(["check", str(tmp_path / "s.toml"), "--data", str(tmp_path / "p.csv")]) == 0
    said = capsys.readouterr().out
    assert "analysis main: volume, activity_group under crude, adjusted (modified_poisson; HC0)" in said
    assert "60 - 12 = 48  Below 30; Above 77 (young+few)" in said
    assert "exposure volume: 4 quantile groups of steps" in said
    assert "figures: flow" in said
    assert re.search(r"\n  48 people analysed, \d+ of them with the outcome\n", said)
    assert "estimates.csv only" not in said


def test_an_analysis_that_nothing_shows_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hidden = (
        '[[analyses]]\nid = "by_sex"\ntitle = "By sex"\nexposures = ["volume"]\nmodels = ["crude"]\n'
        'stratify = { by = "sex", names = { 1 = "F", 2 = "M" } }\n'
    )
    (tmp_path / "s.toml").write_text(MINIMAL.read_text(encoding="utf-8") + hidden, encoding="utf-8")
    assert main(["check", str(tmp_path / "s.toml")]) == 0
    said = capsys.readouterr().out
    assert "in estimates.csv only, as no [[tables]] or figure names it: by_sex\n" in said
    (sentence,) = variations(load_study(tmp_path / "s.toml"))
    assert sentence.endswith("; its ratios are in estimates.csv, in no table or figure.")


def test_an_analysis_in_the_summary_of_sensitivity_analyses_is_shown(tmp_path: Path) -> None:
    variant = '[[analyses]]\nid = "x"\ntitle = "X"\ngroup = "sensitivity"\nexposures = ["volume"]\nmodels = ["crude"]\n'
    (tmp_path / "s.toml").write_text(MINIMAL.read_text(encoding="utf-8") + variant, encoding="utf-8")
    assert without_display(load_study(tmp_path / "s.toml")) == ["x"]
    with (tmp_path / "s.toml").open("a", encoding="utf-8") as text:
        text.write('[[sensitivity.influence]]\nid = "influence"\n')
    assert not without_display(load_study(tmp_path / "s.toml"))


def test_columns_by_day_have_the_line_of_their_activity(tmp_path: Path) -> None:
    days = '[days]\nnumber = 3\n[days.columns]\nlying_s = "ly{day}"\nwalking_s = "wa{day}"\n'
    (tmp_path / "s.toml").write_text(MINIMAL.read_text(encoding="utf-8") + days, encoding="utf-8")
    sentence = "p.csv: 2 columns are missing: wa2 (did you mean wa1?), nothing; add what is missing, or the like."
    line = (tmp_path / "s.toml").read_text(encoding="utf-8").splitlines().index('walking_s = "wa{day}"') + 1
    said = with_declared((sentence, "Nobody is left."), tmp_path / "s.toml", load_study(tmp_path / "s.toml"))
    assert said == [f"{sentence[:-1]} (s.toml:{line}).", "Nobody is left."]
