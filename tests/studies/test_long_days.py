"""Days in a table of their own: the same numbers as in the wide layout, and every fault of both files together."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import walkrisk
from walkrisk.cohorts.days import Days
from walkrisk.days.contract import DAY_COLUMNS
from walkrisk.days.daily import days_parquet
from walkrisk.declarations import build
from walkrisk.errors import DataFault, StudyFault, UsageFault
from walkrisk.runs.checking import check_files
from walkrisk.runs.compute import make_cohort
from walkrisk.runs.reading import read_data
from walkrisk.runs.run import run_file

Table = dict[str, Any]
SECONDS = [
    "lying_s", "sitting_s", "standing_s", "walking_slow_s", "walking_moderate_s", "walking_brisk_s", "walking_s",
    "running_s", "cycling_s", "nonwear_s", "unknown_s",
]  # fmt: skip


# ---------------------------------------------------------------- the reference study, its days turned long
@pytest.fixture(scope="module")
def wide(reference_toml: Path) -> Table:
    return tomllib.loads(reference_toml.read_text(encoding="utf-8"))


def turned_long(study: Table) -> Table:
    days = {**study["days"], "layout": "long", "columns": {a: a for a in study["days"]["columns"]}}
    return {**study, "days": days}


def long_frames(study: Table, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """People without their daily columns, and a row for each day of which anything is known."""
    patterns = study["days"]["columns"]
    parts = []
    for d in range(1, study["days"]["number"] + 1):
        part = pd.DataFrame({a: frame[p.replace("{day}", str(d))].astype(float) for a, p in patterns.items()})
        known = part.notna().any(axis=1)
        part.insert(0, "participant_id", frame["PID_114165"].astype(str))
        part.insert(1, "date", pd.Timestamp("2018-03-20") + pd.Timedelta(days=d))
        parts.append(part[known])
    daily = [p.replace("{day}", str(d)) for p in patterns.values() for d in range(1, study["days"]["number"] + 1)]
    shuffled = pd.concat(parts).sample(frac=1, random_state=1)
    return frame.drop(columns=daily), shuffled


def test_wide_and_long_give_the_same_rows(wide: Table, simulated_frame: pd.DataFrame) -> None:
    people, days = long_frames(wide, simulated_frame)
    one = walkrisk.run(walkrisk.study_from(wide), data=simulated_frame)
    other = walkrisk.run(walkrisk.study_from(turned_long(wide)), data=people, days=days)
    assert other.results == one.results
    assert other.source.days is not None
    assert other.source.days["rows"] == len(days)
    assert one.source.days is None


# ---------------------------------------------------------------- a small study a reader can check by hand
SMALL: Table = {
    "study": {"id": "small", "title": "Small"},
    "columns": {"id": {"kind": "id"}, "ill": {"kind": "boolean"}},
    "settings": {"outcome": "ill", "min_cell": 0},
    "outcomes": {"ill": {"variable": "ill", "label": "Ill"}},
    "exposures": {"volume": {"variable": "walking", "per": 1.0}},
    "models": {"crude": {}},
    "days": {
        "number": 2,
        "layout": "long",
        "valid": {"zero_invalidates": ["walking_s"], "not_worn": ["nonwear_s", "unknown_s"], "max_not_worn_h": 1.0},
        "counts": {
            "recorded": {"any_of": ["walking_s"]},
            "valid": {"any_of": ["walking_s"], "days": "valid"},
            "weekend": {"any_of": ["walking_s"], "days": "valid", "on": "weekend"},
            "weekdays": {"any_of": ["walking_s"], "on": "weekdays"},
        },
        "means": {
            "walking": {"of": "walking_s"},
            "steps": {"of": "steps", "divide_by": 1.0},
            "running": {"of": "running_s", "days": "recorded"},
        },
    },
}


def small(**days: Any) -> walkrisk.Study:
    return walkrisk.study_from({**SMALL, "days": {**SMALL["days"], **days}})


def day(who: object, date: str, walking_min: float, *, nonwear_h: float = 0.0, running_min: float = 0.0) -> Table:
    seconds: dict[str, float] = dict.fromkeys(SECONDS, 0.0)
    seconds |= {"walking_s": 60 * walking_min, "walking_slow_s": 60 * walking_min, "running_s": 60 * running_min}
    seconds |= {"nonwear_s": 3600 * nonwear_h}
    seconds["sitting_s"] = 86_400 - seconds["walking_s"] - seconds["nonwear_s"] - seconds["running_s"]
    return {"participant_id": who, "date": date, **seconds, "steps": 100 * walking_min}


PEOPLE = pd.DataFrame({"id": [11, 12, 13, 14], "ill": [0, 1, 0, 1]})
DAYS = pd.DataFrame(
    [
        day("12", "2018-03-24", 40, running_min=6),  # a Saturday
        day("11", "2018-03-23", 30),
        day("11", "2018-03-25", 10),  # a Sunday, listed before the Saturday
        day("11", "2018-03-24", 20, nonwear_h=2, running_min=3),
        day("11", "2018-03-26", 50),
        day("13", "2018-03-26", 0),
        day("99", "2018-03-26", 10),
    ]
)


def values(study: walkrisk.Study, people: pd.DataFrame, days: pd.DataFrame) -> dict[str, list[float]]:
    extract, _ = read_data(study, people, days)
    cohort, _ = make_cohort(study, extract)
    return {name: cohort.everyone[name].tolist() for name in [*SMALL["days"]["counts"], *SMALL["days"]["means"]]}


NAN = pytest.approx(np.nan, nan_ok=True)
# what is taken -> each person's values: 11 has four days, 12 one, 13 one without walking, 14 none
TAKEN = {
    "recorded": {
        "recorded": [2, 1, 1, 0], "valid": [1, 1, 0, 0], "weekend": [0, 1, 0, 0], "weekdays": [1, 0, 1, 0],
        "walking": [30, 40, NAN, NAN], "steps": [3000, 4000, NAN, NAN], "running": [1.5, 6, 0, NAN],
    },
    "valid": {
        "recorded": [3, 1, 1, 0], "valid": [2, 1, 0, 0], "weekend": [1, 1, 0, 0], "weekdays": [1, 0, 1, 0],
        "walking": [20, 40, NAN, NAN], "steps": [2000, 4000, NAN, NAN], "running": [1, 6, 0, NAN],
    },
}  # fmt: skip


@pytest.mark.parametrize("take", TAKEN)
def test_days_taken_by_hand(take: str) -> None:
    assert values(small(take=take), PEOPLE, DAYS) == TAKEN[take]


def test_a_day_of_which_nothing_is_known_takes_no_place() -> None:
    empty = dict.fromkeys(DAYS.columns, np.nan) | {"participant_id": "11", "date": "2018-03-22"}
    frame = pd.concat([DAYS, pd.DataFrame([empty])])
    assert values(small(), PEOPLE, frame) == TAKEN["recorded"]


def test_a_whole_day_of_23_or_25_hours_is_valid() -> None:
    rule = {"not_worn": ["nonwear_s"], "max_not_worn_h": 0.0}
    frame = pd.DataFrame(
        [day(11, "2018-03-25", 10), day(12, "2018-10-28", 20), day(13, "2018-06-01", 30, nonwear_h=0.1)]
    )
    frame["sitting_s"] += [-3600, 3600, 0]
    assert values(small(valid=rule), PEOPLE, frame)["valid"] == [1, 1, 0, 0]


def test_ids_are_matched_as_texts() -> None:
    people = pd.DataFrame({"id": ["a1", "11", "12"], "ill": [0, 1, 0]})
    assert values(small(), people, DAYS)["recorded"] == [0, 2, 1]


def test_days_of_others_and_people_without_days_are_said_not_named() -> None:
    extract, _ = read_data(small(), PEOPLE, DAYS)
    assert extract.days is not None
    strangers, without = extract.days.warnings
    assert "days of fewer than 10 people not in data_frame" in strangers
    assert "no day of fewer than 10 people" in without
    assert "99" not in strangers
    assert "14" not in without


def test_people_without_days_leave_at_the_first_step_of_the_flow() -> None:
    steps = [{"id": "worn", "reason": "No day", "require": [{"variable": "recorded", "above": 0}]}]
    study = walkrisk.study_from({**SMALL, "exclusions": steps})
    cohort, _ = make_cohort(study, read_data(study, PEOPLE, DAYS)[0])
    assert [(s.step, s.n_before, s.n_excluded) for s in cohort.flow] == [("worn", 4, 1)]


# ---------------------------------------------------------------- faults
def spoilt(**columns: Any) -> pd.DataFrame:
    frame = DAYS.copy()
    for name, (row, value) in columns.items():
        frame[name] = frame[name].astype(object)
        frame.loc[row, name] = value
    return frame


FAULTY = {
    "no id column": (DAYS.drop(columns="participant_id"), "column is missing: participant_id"),
    "no date column": (DAYS.rename(columns={"date": "day"}), "column is missing: date"),
    "a day without id": (spoilt(participant_id=(2, None)), "participant_id holds 1 missing id, in row 3"),
    "a day without date": (spoilt(date=(2, None)), "date is empty in row 3; every day needs its date"),
    "a day twice": (spoilt(date=(2, "2018-03-24")), r"2 rows hold a day that another row holds too .* rows 3 and 4"),
    "negative": (spoilt(lying_s=(1, -5)), "lying_s holds 1 negative duration, in row 2"),
    "above 25 h in all": (spoilt(lying_s=(1, 9000)), "1 day in row 2: .* more than 90,000 s"),
    "above 25 h of one": (spoilt(nonwear_s=(1, 90_001)), "nonwear_s holds 1 duration above 90,000 s, in row 2"),
    "negative steps": (spoilt(steps=(4, -1)), "steps holds 1 value below 0, in row 5"),
    "minutes": (DAYS.assign(**{c: DAYS[c] / 60 for c in SECONDS}), "look like minutes"),
    "nobody's": (DAYS.assign(participant_id="x" + DAYS["participant_id"]), "None of the 4 people .* leading zeros"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_days_at_fault(name: str, tmp_path: Path) -> None:
    frame, words = FAULTY[name]
    frame.to_csv(tmp_path / "days.csv", index=False)
    with pytest.raises(DataFault, match=words) as fault:
        walkrisk.run(small(), data=PEOPLE, days=tmp_path / "days.csv")
    assert "days.csv" in str(fault.value)


def test_faults_of_both_files_are_reported_together(tmp_path: Path) -> None:
    people = pd.concat([PEOPLE, PEOPLE[:1]]).assign(ill=7)
    with pytest.raises(DataFault) as fault:
        walkrisk.run(small(), data=people, days=spoilt(lying_s=(1, -5), date=(2, "2018-03-24")))
    text = str(fault.value)
    for words in ("id holds 2 rows whose id", "ill holds 5 values", "negative duration", "2 rows hold a day"):
        assert words in text


STUDIES: dict[str, tuple[dict[str, Any], str]] = {
    "wide without columns": ({"layout": "wide"}, "days.columns: is missing"),
    "long with {day}": ({"columns": {"walking_s": "W{day}"}}, "one column has all days"),
    "wide that takes valid days": (
        {"layout": "wide", "columns": {"walking_s": "W{day}"}, "take": "valid"},
        "days.take",
    ),
    "weekend in wide": (
        {"layout": "wide", "columns": {"walking_s": "W{day}"}},
        r"days.counts.weekend.on: the wide layout has no dates",
    ),
    "a limit of nothing": ({"valid": {"max_not_worn_h": 1.0}}, "days.valid.not_worn: max_not_worn_h needs"),
    "an unknown activity": ({"valid": {"not_worn": ["nowear_s"]}}, "did you mean nonwear_s"),
    "a name taken": ({"columns": {"date": "x", "walking_s": "walking_s"}}, "days.columns.date: this name is taken"),
}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_at_fault(name: str) -> None:
    changes, words = STUDIES[name]
    with pytest.raises(StudyFault, match=words):
        small(**changes)


def test_days_where_there_should_be_none_and_the_reverse(wide: Table) -> None:
    with pytest.raises(UsageFault, match="give it with --days"):
        walkrisk.run(small(), data=PEOPLE)
    with pytest.raises(UsageFault, match="reads no table of days"):
        walkrisk.run(walkrisk.study_from(wide), data=PEOPLE, days=DAYS)


# ---------------------------------------------------------------- files
@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(
        """
        study = { id = "small", title = "Small" }
        columns = { id = { kind = "id" }, ill = { kind = "boolean" } }
        settings = { outcome = "ill", min_cell = 0 }
        outcomes = { ill = { variable = "ill", label = "Ill" } }
        exposures = { volume = { variable = "walking", cuts = [30] } }
        models = { crude = {} }
        analyses = [{ id = "main", title = "Main", exposures = ["volume"], models = ["crude"] }]
        [days]
        number = 7
        layout = "long"
        valid = { not_worn = ["nonwear_s"], max_not_worn_h = 4 }
        means = { walking = { of = "walking_s" } }
        """,
        encoding="utf-8",
    )
    return path


def people_and_days(n: int = 60) -> tuple[pd.DataFrame, list[Table]]:
    people = pd.DataFrame({"id": np.arange(100, 100 + n), "ill": np.arange(n) % 3 == 0})
    rows = []
    for i in range(n):
        row = dict.fromkeys((c.name for c in DAY_COLUMNS if c.required), 0)
        rows.append(row | day(str(100 + i), "2018-03-24", i) | {"classifier": "test", "quality": "full"})
    return people, rows


@pytest.mark.parametrize(("simulated", "truth"), [(False, ""), (True, ""), (False, "people"), (False, "days")])
def test_a_days_table_straight_into_a_run(simulated: bool, truth: str, study_file: Path, tmp_path: Path) -> None:
    people, rows = people_and_days()
    people.to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "days.parquet").write_bytes(days_parquet([row | {"simulated": simulated} for row in rows]))
    if truth:
        (tmp_path / f"{truth}.truth.json").write_text("{}")
    made = run_file(
        study_file,
        data=tmp_path / "people.csv",
        days=tmp_path / "days.parquet",
        out=tmp_path / "out",
        numbers_only=True,
    )
    assert made.source.simulated is (simulated or bool(truth))
    assert not made.warnings
    again = walkrisk.load_study(study_file)
    assert walkrisk.run(again, data=people, days=tmp_path / "days.parquet").results == made.results
    manifest = (tmp_path / "out" / "manifest.json").read_text(encoding="utf-8")
    assert '"name": "days.parquet"' in manifest
    assert str(tmp_path) not in manifest


def test_check_covers_both_files(study_file: Path, tmp_path: Path) -> None:
    people, rows = people_and_days()
    people.to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "days.parquet").write_bytes(days_parquet(rows))
    said = check_files(study_file, tmp_path / "people.csv", tmp_path / "days.parquet")
    assert "days.parquet: the days are in order (60 rows)." in said
    (tmp_path / "days.parquet").write_bytes(days_parquet([*rows, rows[0]]))
    with pytest.raises(DataFault, match="2 rows hold a day that another row holds too"):
        check_files(study_file, tmp_path / "people.csv", tmp_path / "days.parquet")
    with pytest.raises(UsageFault, match="give --data too"):
        check_files(study_file, None, tmp_path / "days.parquet")


def test_columns_by_default_are_the_contract() -> None:
    faults: list[str] = []
    days = build(Days, {"number": 7, "layout": "long"}, "days", faults)
    assert days is not None
    assert list(days.sources) == [*SECONDS, "steps"]
    assert set(days.whole_day) < set(days.sources)


def test_a_study_without_a_rule_for_valid_days_is_told_so(study_file: Path, tmp_path: Path) -> None:
    people, rows = people_and_days()
    people.to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "days.parquet").write_bytes(days_parquet(rows))
    study_file.write_text(
        study_file.read_text().replace('valid = { not_worn = ["nonwear_s"], max_not_worn_h = 4 }', "")
    )
    files = {"data": tmp_path / "people.csv", "days": tmp_path / "days.parquet"}
    made = run_file(study_file, out=tmp_path / "out", numbers_only=True, **files)
    assert any("no rule for a valid day" in warning for warning in made.warnings)
