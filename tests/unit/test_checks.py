"""Sentences about columns and daily seconds, on tables a reader can check by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from walkrisk.cohorts.checks import (
    check_daily_seconds,
    find_column_faults,
    finding_sentences,
    missing_columns_sentence,
    row_list,
)
from walkrisk.schema import ColumnContract

NAN = np.nan


def check_columns(columns, contracts):
    """The sentences a reader says of columns in their in-memory form."""
    present = [c for c in contracts if c.name in columns]
    return finding_sentences([f for c in present for f in find_column_faults(np.asarray(columns[c.name]), c)])


def test_sound_columns_have_no_faults():
    frame = pd.DataFrame(
        {
            "id": np.array([3, 1, 2]),
            "sex": [0.0, 1.0, NAN],
            "hads": [0.0, 21.0, 99.0],
            "bmi": [18.5, NAN, 40.0],
            "empty": [NAN, NAN, NAN],
            "smoke": [1.0, 2.0, NAN],
        }
    )
    contracts = [
        ColumnContract(name="id", kind="id"),
        ColumnContract(name="sex", kind="code", codes=(0, 1)),
        ColumnContract(name="hads", kind="integer", minimum=0, maximum=21, missing_codes=(99,)),
        ColumnContract(name="bmi", kind="number", minimum=10, maximum=80),
        ColumnContract(name="empty", kind="boolean"),
        ColumnContract(name="smoke", kind="category", categories=("never", "now")),
        ColumnContract(name="absent", kind="number", required=False),
    ]
    assert check_columns(frame, contracts) == []


@pytest.mark.parametrize(
    ("values", "contract", "sentence"),
    [
        (
            [35.0, 3.0, 21.0],
            ColumnContract(name="hads", kind="integer", minimum=0, maximum=21),
            "Column hads holds 1 value outside 0 to 21 (35), in row 1; "
            "correct it at the source or declare its code as missing.",
        ),
        (
            [-1.0, 90_001.0, 5.0],
            ColumnContract(name="lying", kind="integer", minimum=0, maximum=90_000, unit="s"),
            "Column lying holds 2 values outside 0 to 90,000 s, in rows 1 and 2; "
            "correct it at the source or declare its code as missing.",
        ),
        (
            [1.0, 7.0, 9.0],
            ColumnContract(name="educ", kind="code", codes=(1, 2, 3, 4, 5, 6)),
            "Column educ holds 2 values outside the declared codes 1 to 6 (7, 9), in rows 2 and 3; "
            "declare the code, declare it as missing, or correct the file.",
        ),
        (
            [1.0, 2.0, NAN],
            ColumnContract(name="ill", kind="boolean"),
            "Column ill holds 1 value other than 0 and 1 (2), in row 2; "
            "recode it to 0 and 1 or declare its code as missing.",
        ),
        (
            [1.0, 1.5, 2.0],
            ColumnContract(name="sex", kind="code", codes=(1, 2)),
            "Column sex holds 1 value that is not a whole number, in row 2; export unrounded codes.",
        ),
        (
            [1.0, np.inf, -np.inf],
            ColumnContract(name="bmi", kind="number"),
            "Column bmi holds 2 infinite values, in rows 2 and 3; correct it at the source or leave the cell empty.",
        ),
    ],
)
def test_each_fault_is_a_sentence(values, contract, sentence):
    assert check_columns({contract.name: np.array(values)}, [contract]) == [sentence]


def test_ids_are_named_by_row_only():
    contract = ColumnContract(name="pid", kind="id")
    faults = check_columns({"pid": np.array(["s7781", "s7782", "s7781", None], dtype=object)}, [contract])
    assert faults == [
        "Column pid holds 1 missing id, in row 4; every row needs an id.",
        "Column pid holds 2 rows whose id another row has too, in rows 1 and 3; keep one row a participant.",
    ]


def test_a_column_of_ids_in_the_wrong_place_is_not_copied_into_the_message():
    ids = np.arange(114_000.0, 114_100.0)
    (fault,) = check_columns({"sex": ids}, [ColumnContract(name="sex", kind="code", codes=(0, 1))])
    assert "114" not in fault
    assert "100 values" in fault
    (fault,) = check_columns({"sex": np.arange(10.0, 60.0)}, [ColumnContract(name="sex", kind="code", codes=(0, 1))])
    assert "(" not in fault


def test_columns_with_the_same_fault_share_a_sentence_when_they_are_more_than_three():
    contracts = [ColumnContract(name=f"day{i}", kind="number", minimum=0) for i in range(1, 8)]
    columns = {c.name: np.array([1.0, -5.0, 2.0]) for c in contracts}
    assert check_columns(columns, contracts) == [
        "7 columns (day1, day2, day3, day4, day5 and 2 more) hold 7 values below 0, in row 2; "
        "correct it at the source or declare its code as missing."
    ]
    assert len(check_columns({name: columns[name] for name in ("day1", "day2", "day3")}, contracts[:3])) == 3


def test_a_column_with_a_rule_of_its_own_keeps_its_sentence():
    contracts = [ColumnContract(name=f"day{i}", kind="number", minimum=0) for i in range(1, 8)]
    contracts.append(ColumnContract(name="hads", kind="integer", minimum=0, maximum=21))
    faults = check_columns({c.name: np.array([1.0, -5.0, 35.0]) for c in contracts}, contracts)
    assert [fault.split(" hold")[0] for fault in faults] == [
        "Column hads",
        "7 columns (day1, day2, day3, day4, day5 and 2 more)",
    ]


def test_more_than_three_columns_with_rules_of_their_own_share_a_sentence_too():
    contracts = [ColumnContract(name=f"c{i}", kind="integer", minimum=0, maximum=i) for i in range(1, 6)]
    assert check_columns({c.name: np.array([0.0, 9.0]) for c in contracts}, contracts) == [
        "5 columns (c1, c2, c3, c4 and c5) hold 5 values outside their ranges (9), in row 2; "
        "correct it at the source or declare its code as missing."
    ]


def test_missing_columns_stand_in_one_sentence_with_the_nearest_name():
    sentence = missing_columns_sentence(["Sex", "Bmi_NT4BLM", "Zzz"], ["sex", "Bmi_NT4BML", "age"])
    assert sentence == (
        "3 columns are missing: Sex (did you mean sex?), Bmi_NT4BLM (did you mean Bmi_NT4BML?), Zzz; "
        "add what is missing, or correct the names in the study declaration."
    )


def test_row_list_names_five_rows_from_one():
    assert row_list(np.array([0])) == "row 1"
    assert row_list(np.array([0, 4])) == "rows 1 and 5"
    assert row_list(np.arange(36)) == "rows 1, 2, 3, 4, 5 and 31 more"


def _week(lying: float, sitting: float, n: int = 4) -> dict[str, np.ndarray]:
    return {"lying": np.full((n, 2), lying), "sitting": np.full((n, 2), sitting)}


NAMES = {"lying": ["Ly1", "Ly2"], "sitting": ["Sit1", "Sit2"]}
BOTH = ("lying", "sitting")


def test_full_days_and_missing_days_are_sound():
    seconds = _week(40_000.0, 46_400.0)
    seconds["lying"][0, 1] = NAN
    assert check_daily_seconds(seconds, BOTH, NAMES) == ([], [])
    assert check_daily_seconds(_week(NAN, NAN), BOTH, NAMES) == ([], [])


def test_negative_seconds_and_days_that_are_too_long_are_faults():
    seconds = _week(40_000.0, 46_400.0)
    seconds["lying"][1, 0] = -5.0
    seconds["sitting"][2, 1] = 86_401.0
    faults, warnings = check_daily_seconds(seconds, BOTH, NAMES)
    assert faults == [
        "Column Ly1 holds 1 negative duration, in row 2; a duration is 0 s or more.",
        "Column Sit2 holds 1 duration above 86,400 s, in row 3; "
        "a day has 86,400 s; export seconds a day, not sums of days.",
        "1 day in row 3: the activities (lying and sitting) add up to more than 90,000 s in a day, the longest a day "
        "can be; check that no activity counts twice and that the unit is seconds.",
    ]
    assert warnings == []


@pytest.mark.parametrize(("total", "warned"), [(86_400.0, 0), (86_400.5, 0), (86_401.0, 1), (90_000.0, 1)])
def test_the_day_the_clocks_go_back_is_a_warning(total, warned):
    seconds = _week(40_000.0, 46_400.0)
    seconds["sitting"][3, 0] = total - 40_000.0
    faults, warnings = check_daily_seconds(seconds, BOTH, NAMES)
    assert faults == []
    assert len(warnings) == warned
    assert all(w.startswith("1 day in row 4:") and "86,400 s" in w for w in warnings)


def test_minutes_are_recognised_and_short_recordings_in_seconds_are_not():
    faults, _ = check_daily_seconds(_week(480.0, 960.0), BOTH, NAMES)
    assert faults == [
        "The durations (lying and sitting) look like minutes: the median daily total is 1,440 and 99 of 100 are 1,440 "
        "or less, while a day has 86,400 s; multiply by 60."
    ]
    assert check_daily_seconds(_week(60.0, 100.0), BOTH, NAMES)[0] == []
    assert check_daily_seconds(_week(900.0, 741.0), BOTH, NAMES)[0] == []


def test_sixty_three_bad_columns_are_one_sentence():
    seconds = {f"a{i}": np.array([[-1.0] * 7, [10.0] * 7]) for i in range(9)}
    names = {stem: [f"{stem}D{day}" for day in range(1, 8)] for stem in seconds}
    faults, _ = check_daily_seconds(seconds, list(seconds), names)
    assert faults == [
        "63 columns (a0D1, a0D2, a0D3, a0D4, a0D5 and 58 more) hold 63 negative durations, in row 1; "
        "a duration is 0 s or more."
    ]


def test_input_is_not_changed():
    seconds = _week(NAN, 1.0)
    before = {stem: values.copy() for stem, values in seconds.items()}
    check_daily_seconds(seconds, BOTH, NAMES)
    for stem, values in seconds.items():
        np.testing.assert_array_equal(values, before[stem])
