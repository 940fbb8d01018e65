"""walkrisk new: a study drafted from the columns of a file is one that checks and runs, and tells nobody's values."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from walkrisk.cli import main
from walkrisk.cohorts.columns import RawColumn
from walkrisk.cohorts.profiles import ColumnProfile, FileProfile, profile, profile_file
from walkrisk.commands.asking import ask_wishes
from walkrisk.errors import UsageFault
from walkrisk.studies.declaration import study_from
from walkrisk.studies.draft_days import families
from walkrisk.studies.guesses import guess, guesses, plain_names, round_above, round_limits
from walkrisk.studies.names import variables_of
from walkrisk.studies.roles import Wishes, resolve
from walkrisk.studies.toml_text import key, quoted

N = 240
LABELS = {
    "pid": "Participant",
    "age": "Age at baseline (years)",
    "sex": "Sex",
    "smoke": "Smoking",
    "walk": "Walking (min/day)",
    "lbp": "Chronic low back pain",
}
VALUES = {"sex": {1: "Male", 2: "Female"}, "smoke": {0: "Never", 1: "Former", 2: "Current"}, "lbp": {0: "No", 1: "Yes"}}


@pytest.fixture
def people() -> pd.DataFrame:
    """Simulated people with missing values."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "pid": np.arange(N) + 1000,
            "age": rng.integers(23, 88, N),
            "sex": rng.integers(1, 3, N),
            "smoke": rng.choice([0.0, 1.0, 2.0], N),
            "walk": rng.gamma(4, 20, N).round(1),
            "lbp": (rng.random(N) < 0.3).astype(float),
            "note": [f"told us {i}" for i in range(N)],
            "job": ["nurse"] * (N - 2) + ["astronaut"] * 2,
            "visit": pd.Timestamp("2018-01-01") + pd.to_timedelta(rng.integers(0, 500, N), "D"),
        }
    )
    frame.loc[:9, "smoke"] = np.nan
    return frame


def drafted(tmp_path: Path, data: Path, *flags: str) -> str:
    """The text of the study that `new` writes for a file, which also checks without a fault."""
    out = tmp_path / "my_study.toml"
    out.unlink(missing_ok=True)
    assert main(["new", str(data), "--out", str(out), "--outcome", "lbp", "--exposure", "walk", "--quiet", *flags]) == 0
    assert main(["check", str(out), "--data", str(data)]) == 0
    return out.read_text(encoding="utf-8")


def as_dta(frame: pd.DataFrame, path: Path) -> None:
    pyreadstat.write_dta(frame, path, column_labels=[LABELS.get(c, "") for c in frame], variable_value_labels=VALUES)


def as_sav(frame: pd.DataFrame, path: Path) -> None:
    labels = {**VALUES, "smoke": {**VALUES["smoke"], 9: "No answer"}}
    pyreadstat.write_sav(
        frame.fillna({"smoke": 9}),
        path,
        column_labels=[LABELS.get(c, "") for c in frame],
        variable_value_labels=labels,
        missing_ranges={"smoke": [9]},
    )


def as_r_csv(frame: pd.DataFrame, path: Path) -> None:
    frame.set_axis(frame.index + 1).to_csv(path, na_rep="NA", index_label="", quoting=2)


def as_r_csv2(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, na_rep="NA", index=False, sep=";", decimal=",")


def as_parquet(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path, index=False)


WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    "extract.dta": as_dta,
    "extract.sav": as_sav,
    "r.csv": as_r_csv,
    "r2.csv": as_r_csv2,
    "extract.parquet": as_parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_study_checks_and_declares_the_same_from_every_format(
    people: pd.DataFrame, tmp_path: Path, name: str
) -> None:
    WRITERS[name](people, tmp_path / name)
    declared = tomllib.loads(drafted(tmp_path, tmp_path / name, "--covariates", "age", "sex", "smoke"))
    assert declared["columns"]["pid"]["kind"] == "id"
    assert declared["columns"]["smoke"]["codes"] == [0, 1, 2]
    assert (declared["columns"]["age"]["minimum"], declared["columns"]["age"]["maximum"]) == (20, 100)
    assert declared["exposures"]["walk_groups"]["quantiles"] == 4
    assert list(declared["models"]) == ["crude", "age_adjusted", "adjusted"]
    if name in ("extract.dta", "extract.sav"):
        assert declared["columns"]["sex"]["labels"] == {"1": "Male", "2": "Female"}
        assert declared["columns"]["smoke"]["labels"] == {"0": "Never", "1": "Former", "2": "Current"}
        assert declared["exposures"]["walk_groups"]["label"] == "Walking"
        assert declared["exposures"]["walk_groups"]["unit"] == "min/day"


def test_the_study_runs_at_once(people: pd.DataFrame, tmp_path: Path) -> None:
    as_dta(people, tmp_path / "extract.dta")
    drafted(tmp_path, tmp_path / "extract.dta", "--covariates", "age", "sex", "smoke")
    study, out = str(tmp_path / "my_study.toml"), tmp_path / "results"
    assert main(["run", study, "--data", str(tmp_path / "extract.dta"), "--out", str(out), "--numbers-only"]) == 0
    assert "walk_groups,,Q4," in (out / "estimates.csv").read_text()
    assert (out / "curves.csv").read_text().count("\n") > 20


def test_extended_missing_values_and_user_missing_values_are_no_codes(people: pd.DataFrame, tmp_path: Path) -> None:
    codes = people["smoke"].astype(object).where(people["smoke"].notna(), "a")
    frame = people.drop(columns="visit").assign(smoke=codes)
    labels = {**VALUES, "smoke": {**VALUES["smoke"], "a": "refused"}}
    pyreadstat.write_dta(frame, tmp_path / "a.dta", variable_value_labels=labels, missing_user_values={"smoke": ["a"]})
    smoke = next(c for c in guesses(profile_file(tmp_path / "a.dta")) if c.name == "smoke")
    assert dict(smoke.labels) == {0: "Never", 1: "Former", 2: "Current"}
    assert not smoke.complete
    as_sav(people, tmp_path / "a.sav")
    smoke = next(c for c in guesses(profile_file(tmp_path / "a.sav")) if c.name == "smoke")
    assert dict(smoke.labels) == {0: "Never", 1: "Former", 2: "Current"}


def uncommented(text: str) -> list[str]:
    """The study with one of its examples in force at a time: blocks of lines with a # and no space before them."""
    blocks = re.findall(r"(?:^#[^ \n].*\n)+", text, re.MULTILINE)
    return [text + "\n" + re.sub(r"^#", "", block, flags=re.MULTILINE) for block in blocks]


def test_every_example_is_in_order_once_its_signs_are_taken_away(people: pd.DataFrame, tmp_path: Path) -> None:
    frame = people.assign(**{f"walk_d{d}_s": people["walk"] * 60 + d for d in range(1, 8)})
    as_dta(frame, tmp_path / "extract.dta")
    text = drafted(tmp_path, tmp_path / "extract.dta", "--covariates", "age", "sex", "smoke")
    variants = uncommented(text)
    assert len(variants) >= 10
    for variant in variants:
        study = study_from(tomllib.loads(variant))
        assert {a.id for a in study.analyses} == {i for t in study.tables for i in t.analysis}
    for said in ("stratify", "sensitivity.imputations", "restrict", "[days]", 'walk_d_s = "walk_d{day}_s"'):
        assert said in text


@pytest.mark.parametrize(
    ("label", "meaning", "unit"),
    [
        ("Walking, minutes per day", "Walking", "minutes per day"),
        ("Body mass index, kg/m2", "Body mass index", "kg/m2"),
        ("Age at participation, years", "Age at participation", "years"),
        ("Gange, minutter pr. dag", "Gange", "minutter pr. dag"),
        ("Walking (min/day)", "Walking", "min/day"),
        ("Pain, yes/no", "Pain, yes/no", ""),
        ("Walking, cycling and running", "Walking, cycling and running", ""),
    ],
)
def test_a_unit_at_the_end_of_a_label_is_no_part_of_the_name(label: str, meaning: str, unit: str) -> None:
    found = guess(profile("x", RawColumn(np.linspace(1.5, 80.5, 50), "numbers"), label=label), "x", 50)
    assert (found.meaning, found.unit) == (meaning, unit)


def test_a_number_of_days_is_no_code() -> None:
    raw = RawColumn(np.repeat([3.0, 4.0, 5.0, 6.0, 7.0], 20), "numbers")
    assert guess(profile("days", raw, label="Valid accelerometer days"), "days", 100).kind == "integer"
    assert guess(profile("area", raw, label="Area of residence"), "area", 100).kind == "code"


def test_means_of_narrow_numbers_have_decimals_enough(people: pd.DataFrame, tmp_path: Path) -> None:
    as_dta(people.assign(met=people["walk"] / 200 + 2.5), tmp_path / "p.dta")
    declared = tomllib.loads(drafted(tmp_path, tmp_path / "p.dta", "--exposure", "met"))
    assert {name: c.get("decimals", 1) for name, c in declared["columns"].items()}["met"] == 2
    variables = variables_of(study_from(declared))
    assert (variables["met"].decimals, variables["walk"].decimals) == (2, 1)


def test_two_exposures_are_named_in_sentences(people: pd.DataFrame, tmp_path: Path) -> None:
    as_dta(people.assign(met=people["walk"] / 50 + 2), tmp_path / "p.dta")
    study = tomllib.loads(drafted(tmp_path, tmp_path / "p.dta", "--exposure", "met", "--covariates", "age"))
    assert study["study"]["question"] == "Are walking and met associated with the risk of chronic low back pain?"
    assert study["tables"][0]["title"] == "Walking and met and chronic low back pain"


def test_a_unit_at_the_end_of_a_name_is_no_part_of_what_people_read(people: pd.DataFrame, tmp_path: Path) -> None:
    people.rename(columns={"age": "age_yrs"}).to_csv(tmp_path / "p.csv", index=False)
    study = tomllib.loads(drafted(tmp_path, tmp_path / "p.csv", "--covariates", "age_yrs"))
    assert (study["columns"]["age_yrs"]["meaning"], study["columns"]["age_yrs"]["unit"]) == ("Age", "years")
    assert "Adjusted for age." in study["tables"][0]["footnotes"]


def test_the_outcome_at_the_start_is_an_example_of_who_leaves(people: pd.DataFrame, tmp_path: Path) -> None:
    people["lbp0"] = (people.index % 5 == 0).astype(float)
    labels = [{**LABELS, "lbp0": "Low back pain at baseline"}.get(c, "") for c in people]
    pyreadstat.write_dta(people, tmp_path / "p.dta", column_labels=labels, variable_value_labels=VALUES)
    text = drafted(tmp_path, tmp_path / "p.dta", "--covariates", "age", "sex")
    variant = next(v for v in uncommented(text) if '\nid = "free_at_start"' in v)
    study = study_from(tomllib.loads(variant))
    assert [(s.require[0].variable, s.require[0].equals) for s in study.exclusions if s.id == "free_at_start"] == [
        ("lbp0", 0)
    ]
    assert text.count("[columns.lbp0]") == 1


def test_nobody_s_values_are_written(people: pd.DataFrame, tmp_path: Path) -> None:
    frame = people.assign(walk=people["walk"].where(people.index != 3, 431.7), bmi=people["walk"] / 7 + 17.123)
    frame.to_csv(tmp_path / "p.csv", index=False)
    text = drafted(tmp_path, tmp_path / "p.csv")
    assert "astronaut" not in text
    assert "nurse" not in text
    assert "told us" not in text
    numbers = {float(x) for x in re.findall(r"(?:minimum|maximum) = (\S+)", text)}
    held = {float(v) for c in ("age", "walk", "bmi") for v in (frame[c].min(), frame[c].max())}
    assert not numbers & (held - {0.0})
    assert "431" not in text


def test_a_rare_category_is_listed_only_where_it_is_asked_for(people: pd.DataFrame, tmp_path: Path) -> None:
    people.to_parquet(tmp_path / "p.parquet")
    text = drafted(tmp_path, tmp_path / "p.parquet", "--covariates", "job")
    assert 'categories = ["astronaut", "nurse"] # few people have some of these' in text


def test_sentinels_that_several_people_have_are_missing_and_said_so() -> None:
    values = np.array([*np.linspace(18, 40, 50), *[999.0] * 6])
    found = profile("bmi", RawColumn(values, "numbers"))
    assert found.missing == (999.0,)
    assert found.high == 40
    once = profile("bmi", RawColumn(np.array([*np.linspace(18, 40, 50), 999.0]), "numbers"))
    assert once.missing == ()
    labelled = profile("q", RawColumn(np.array([1.0, 2.0, 2.0, 8.0]), "numbers", {1: "Yes", 2: "No", 8: "Don't know"}))
    assert labelled.missing == (8.0,)
    assert dict(labelled.labels) == {1: "Yes", 2: "No"}


def test_row_names_of_r_are_no_column_to_take_in(people: pd.DataFrame, tmp_path: Path) -> None:
    people.drop(columns="note").assign(**{"steps.day": range(N), "weight.kg": range(N)}).to_csv(tmp_path / "p.csv")
    text = drafted(tmp_path, tmp_path / "p.csv")
    assert "# A column without a name: row names" in text
    assert "knot_percentiles = [10, 50, 90] # or knots = 4" in text
    assert "[columns.column]" not in text
    assert 'from = "steps.day"' in text
    assert '#unit = "steps/day"\n#meaning = "Steps"' in text
    assert 'from = "weight.kg"' in text
    assert '#unit = "kg"\n#meaning = "Weight"' in text
    people.drop(columns=["note", "pid"]).to_csv(tmp_path / "p.csv")
    assert 'kind = "id"\nfrom = ""' in drafted(tmp_path, tmp_path / "p.csv"), "they are the id where there is no other"


def test_an_outcome_of_other_codes_is_recoded(people: pd.DataFrame, tmp_path: Path) -> None:
    frame = people.assign(lbp=people["lbp"].map({0.0: "without", 1.0: "with pain"}))
    frame.to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(AssertionError):
        drafted(tmp_path, tmp_path / "p.csv")
    declared = tomllib.loads(drafted(tmp_path, tmp_path / "p.csv", "--event", "With Pain"))
    assert declared["columns"]["lbp"]["categories"] == ["with pain", "without"]
    assert declared["variables"]["lbp_event"]["map"] == {"1": 1, "2": 0}
    assert declared["outcomes"]["lbp"]["variable"] == "lbp_event"


def test_what_is_not_given_is_listed_where_nobody_can_be_asked(
    people: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    people.to_parquet(tmp_path / "p.parquet")
    assert main(["new", str(tmp_path / "p.parquet"), "--out", str(tmp_path / "s.toml")]) == 2
    said = capsys.readouterr().err
    assert "--outcome. Columns with few values: lbp, sex, smoke" in said
    assert "--exposure. Columns with numbers: walk" in said
    assert not (tmp_path / "s.toml").exists()


def test_every_fault_of_the_flags_is_said_together(people: pd.DataFrame, tmp_path: Path) -> None:
    people.to_parquet(tmp_path / "p.parquet")
    columns = guesses(profile_file(tmp_path / "p.parquet"))
    wishes = Wishes(
        id="age", outcome="age", exposures=("wakl", "note", "walking_min_day"), covariates=("visit", "WALK")
    )
    with pytest.raises(UsageFault) as fault:
        resolve(wishes, columns)
    said = "\n".join(fault.value.faults)
    assert "age cannot be the id" in said
    assert "age is a number, and an outcome happens or not" in said
    assert "there is no column 'wakl' in the file; did you mean walk?" in said
    assert "note: many different texts" in said
    assert "there is no column 'walking_min_day' in the file; give the days it is worked out of with --days." in said
    assert "visit: is a date" in said


def test_questions_take_numbers_names_and_defaults(people: pd.DataFrame, tmp_path: Path) -> None:
    people.to_parquet(tmp_path / "p.parquet")
    columns = guesses(profile_file(tmp_path / "p.parquet"))
    answers = iter(["", "", "walk", "nonsense", "1, smoke"])
    said: list[str] = []
    found = ask_wishes(Wishes(), columns, (), ask=lambda _: next(answers), say=said.append)
    assert found == Wishes(outcome="lbp", event="1", exposures=("walk",), covariates=("age", "smoke"))
    assert "   1  lbp: No, Yes" in said
    assert any(line.startswith("That is not one of them") for line in said)


def test_a_study_that_is_there_is_not_replaced(people: pd.DataFrame, tmp_path: Path) -> None:
    as_parquet(people, tmp_path / "p.parquet")
    out = tmp_path / "s.toml"
    out.write_text("mine")
    assert main(["new", str(tmp_path / "p.parquet"), "--out", str(out), "--outcome", "lbp", "--exposure", "walk"]) == 2
    assert out.read_text() == "mine"


def test_a_bug_after_the_draft_does_not_say_that_nothing_was_written(
    people: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    as_parquet(people, tmp_path / "p.parquet")
    monkeypatch.setattr("walkrisk.commands.starting._say", lambda arguments, roles: 1 / 0)
    out = tmp_path / "s.toml"
    flags = ["--out", str(out), "--outcome", "lbp", "--exposure", "walk"]
    assert main(["new", str(tmp_path / "p.parquet"), *flags]) == 70
    assert out.exists()
    assert "s.toml was written." in capsys.readouterr().err


def test_days_of_sensors_bring_their_own_exposures(people: pd.DataFrame, tmp_path: Path) -> None:
    as_parquet(people, tmp_path / "p.parquet")
    rng = np.random.default_rng(2)
    walking = rng.integers(600, 9000, (N * 2, 3))
    days = pd.DataFrame(
        {
            "participant_id": np.repeat(people["pid"], 2).to_numpy(),
            "date": np.tile(pd.to_datetime(["2018-03-05", "2018-03-06"]), N),
            "standing_s": 20_000, "sitting_s": 30_000, "running_s": 0, "cycling_s": 0, "nonwear_s": 0, "unknown_s": 0,
            "walking_slow_s": walking[:, 0], "walking_moderate_s": walking[:, 1], "walking_brisk_s": walking[:, 2],
            "walking_s": walking.sum(axis=1), "lying_s": 36_400 - walking.sum(axis=1),
            "steps": walking.sum(axis=1) * 1.7 // 1,
        }
    )  # fmt: skip
    days.to_parquet(tmp_path / "days.parquet", index=False)
    flags = ["--days", str(tmp_path / "days.parquet")]
    out, data = str(tmp_path / "s.toml"), str(tmp_path / "p.parquet")
    assert main(["new", data, "--out", out, "--outcome", "lbp", *flags, "--quiet"]) == 0
    assert main(["check", out, "--data", data, *flags]) == 0
    declared = tomllib.loads(Path(out).read_text())
    assert declared["exposures"]["walking_min_day_groups"]["variable"] == "walking_min_day"
    assert "walking_min_day" not in declared["columns"]
    assert declared["characteristics"][0]["rows"][-1] == "valid_days"


def test_limits_are_round_numbers_outside() -> None:
    assert round_limits(19, 94) == (10, 100)
    assert round_limits(0, 21) == (0, 50)
    assert round_limits(20, 100) == (10, 200)
    assert round_limits(-3.2, 2.5) == (-5, 5)
    assert round_limits(-7, -5.5) == (-10, -5)
    assert round_limits(1e-6, 2e-6) == (5e-7, 5e-6)
    assert round_above(0) == 1


def test_names_are_plain_and_differ() -> None:
    assert plain_names(["a b", "a_b", "A.B", "", "1st", "été", "a b"]) == [
        "a_b_2", "a_b", "A_B_3", "column", "column_1st", "été", "a_b_4",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ['a"b\\c]', "tab\tline\nend", "é健\u2028\x7f\x00", "", "'#=.[]{}"])
def test_texts_and_keys_are_quoted_exactly(text: str) -> None:
    assert tomllib.loads(f"{key(text)} = {quoted(text)}") == {text: text}


def test_columns_by_day_are_seconds_numbered_from_one() -> None:
    def file(names: list[str], high: float = 5000.0) -> FileProfile:
        columns = tuple(ColumnProfile(name=n, holds="numbers", known=9, distinct=9, high=high) for n in names)
        return FileProfile(name="p.csv", n_rows=9, columns=columns)

    (found,) = families(file(["age", "sit1", "sit2", "sit3", "q12"]))
    assert (found.stem, found.pattern, found.days) == ("sit_s", "sit{day}", 3)
    assert families(file(["sit1", "sit2", "sit4"])) == []
    assert families(file(["sit1", "sit2"])) == []
    assert families(file(["sit1", "sit2", "sit3"], high=100.0)) == []
    assert families(file(["sit1", "sit2", "sit3"], high=100_000.0)) == []
