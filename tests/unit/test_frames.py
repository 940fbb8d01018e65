"""Data frames and what is asked of them: terms, complete rows, and every fault as a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from walkrisk.doors.example import example_cohort
from walkrisk.doors.frames import Asked, interval_labels, model_frame
from walkrisk.doors.terms import categories, linear, power, product, spline
from walkrisk.errors import DataFault, UsageFault
from walkrisk.models.design import Factor, Linear


@pytest.fixture
def small() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "y": [0, 1, 0, 1, 1, 0, 1, 0],
            "stage": ["II", "I", "I", "II", "III", "III", "I", "II"],
            "age": [40.0, 50, 60, np.nan, 70, 45, 55, 65],
            "w": [1.0, 2, 1, 1, 0, 1, 1, 1],
            "id": list("abcdefgh"),
        }
    )


def ask(data: Any, **named: Any) -> Any:
    return model_frame(data, Asked(**{"outcome": "y", "exposure": "stage", **named}))


def test_a_text_column_is_a_factor_whose_first_level_is_the_reference(small: pd.DataFrame) -> None:
    frame = ask(small)
    assert frame.exposure == Factor("stage", (0.0, 1.0, 2.0), ("I", "II", "III"))
    assert frame.levels == ("I", "II", "III")


def test_a_categorical_keeps_the_order_of_its_categories(small: pd.DataFrame) -> None:
    small["stage"] = pd.Categorical(small["stage"], categories=["III", "I", "II", "IV"])
    frame = ask(small)
    assert frame.exposure.labels == ("III", "I", "II")
    assert "nobody is in IV" in " ".join(frame.sentences)


def test_another_reference_comes_first_in_the_factor_and_stays_in_place_in_the_levels(small: pd.DataFrame) -> None:
    frame = ask(small, reference="II")
    assert frame.exposure.labels == ("II", "I", "III")
    assert frame.levels == ("I", "II", "III")
    names = frame.design().names
    assert names == ("Intercept", "stage[I]", "stage[III]")
    coded = {(s, c) for s, c in zip(small["stage"], frame.columns["stage"], strict=True)}
    assert coded == {("II", 0.0), ("I", 1.0), ("III", 2.0)}


def test_numbers_are_linear_and_booleans_too(small: pd.DataFrame) -> None:
    small["old"] = small["age"] > 50
    assert ask(small, exposure="age").exposure == Linear("age")
    assert ask(small, exposure=linear("age", per=10)).exposure == Linear("age", 10.0)
    assert ask(small, exposure="old").exposure == Linear("old")


def test_rows_with_unknown_values_are_left_out_and_counted(small: pd.DataFrame) -> None:
    frame = ask(small, covariates=["age"])
    assert frame.n == 7
    assert frame.sentences == ("1 of 8 rows have an unknown value (age 1) and are left out.",)
    assert not frame.rows[3]


def test_categories_by_their_own_values_by_quantiles_and_by_limits() -> None:
    values = pd.DataFrame({"y": [0, 1] * 4, "x": [1.0, 2, 3, 4, 5, 6, 7, 8]})
    own = model_frame(values.assign(x=[1, 1, 2, 2, 3, 3, 1, 2]), Asked(outcome="y", exposure=categories("x")))
    assert own.levels == ("1", "2", "3")
    quartiles = model_frame(values, Asked(outcome="y", exposure=categories("x", quantiles=4)))
    assert quartiles.levels == ("Q1", "Q2", "Q3", "Q4")
    assert quartiles.columns["x"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    cut = model_frame(values, Asked(outcome="y", exposure=categories("x", cuts=(3, 6))))
    assert cut.levels == ("<3", "3 to <6", ">=6")
    assert cut.columns["x"].tolist() == [0, 0, 1, 1, 1, 2, 2, 2]  # a value equal to a limit belongs above it
    assert interval_labels((1.5,)) == ("<1.5", ">=1.5")


def test_a_variable_may_enter_as_a_number_and_in_groups() -> None:
    cohort = example_cohort(200)
    frame = model_frame(
        cohort, Asked(outcome="event", exposure="sex", covariates=[categories("bmi", quantiles=4), "bmi"])
    )
    names = frame.design().names
    assert len(names) == 6
    assert len(set(names)) == 6


def test_terms_make_the_columns_they_name() -> None:
    cohort = example_cohort(300)
    frame = model_frame(
        cohort,
        Asked(
            outcome="event",
            exposure="sex",
            covariates=["age", power("age", 2), spline("bmi", knots=3), product("sex", "age"), "smoking"],
        ),
    )
    x = pd.DataFrame(frame.design().matrix, columns=list(frame.design().names))
    age = cohort["age"].to_numpy()
    assert np.allclose(x.iloc[:, 2], age)
    assert np.allclose(x.iloc[:, 3], age**2)
    assert np.allclose(x["sex[male]:age"], (cohort["sex"] == "male") * age)
    assert list(x.columns)[-3:] == ["sex[male]:age", "smoking[former]", "smoking[current]"]


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"exposure": "stag"}, "no column 'stag'"),
        ({"covariates": ["agee"]}, "did you mean age?"),
        ({"covariates": "age"}, "list of columns"),
        ({"covariates": ["y"]}, "outcome y also stands"),
        ({"covariates": ["age", "age"]}, "stands twice"),
        ({"strata": "w"}, "`strata` and `psu`"),
        ({"exposure": "age", "reference": 40}, "categories('age')"),
        ({"reference": "IV"}, "no level 'IV'"),
        ({"exposure": linear("stage", per=2)}, "is text"),
        ({"exposure": categories("stage", quantiles=2)}, "is text"),
        ({"exposure": spline("stage", knots=3)}, "is text"),
        ({"exposure": product("stage", "age")}, "among the covariates"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(small: pd.DataFrame, named: dict[str, Any], words: str) -> None:
    with pytest.raises((UsageFault, DataFault)) as raised:
        ask(small, **named)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("change", "named", "words"),
    [
        ({"y": [0, 1, 2, 0, 1, 0, 1, 0]}, {}, "must be 0 or 1; found 0, 1, 2"),
        ({"y": list("abababab")}, {}, "is text"),
        ({"age": [np.inf, 1, 2, 3, 4, 5, 6, 7]}, {"covariates": ["age"]}, "age is infinite"),
        ({"age": [1e300, 1, 2, 3, 4, 5, 6, 7]}, {"covariates": ["age"]}, "in 1 rows"),
        ({"w": [-1, 1, 1, 1, 1, 1, 1, -2]}, {"weights": "w"}, "negative in 2 rows"),
        ({"w": [0] * 8}, {"weights": "w"}, "all zero"),
        ({"w": [np.nan] * 8}, {"weights": "w"}, "all zero or unknown"),
        ({"stage": ["I"] * 8}, {}, "single level"),
        ({"stage": [None] * 8}, {}, "No row has all"),
        ({"age": pd.date_range("2020-01-01", periods=8)}, {"covariates": ["age"]}, "of type datetime64"),
        ({"age": [1 + 1j] * 8}, {"covariates": ["age"]}, "complex"),
        ({"age": [object()] * 8}, {"covariates": ["age"]}, "of type object"),
    ],
)
def test_data_that_cannot_be_used_are_a_sentence(
    small: pd.DataFrame, change: dict[str, Any], named: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataFault) as raised:
        ask(small.assign(**change), **named)
    assert words in str(raised.value)


def test_all_faults_of_the_data_come_together(small: pd.DataFrame) -> None:
    with pytest.raises(DataFault) as raised:
        ask(small.assign(y=2), covariates=["agee"], weights="ww")
    assert len(raised.value.faults) == 3


def test_no_message_shows_an_id(small: pd.DataFrame) -> None:
    frame = ask(small, cluster="id", covariates=["age"])
    assert len(np.unique(frame.cluster)) == 7
    assert not any(f" {i} " in " ".join(frame.sentences) for i in "abcdefgh" if i != "a")


def test_data_of_another_kind_and_without_rows() -> None:
    with pytest.raises(UsageFault, match="must be a data frame"):
        model_frame([1, 2], Asked(outcome="y", exposure="x"))  # type: ignore[arg-type]
    with pytest.raises(DataFault, match="no rows"):
        model_frame(pd.DataFrame({"y": [], "x": []}), Asked(outcome="y", exposure="x"))
    frame = model_frame({"y": [0, 1, 0, 1], "x": [1.0, 2, 3, 5]}, Asked(outcome="y", exposure="x"))
    assert frame.n == 4


def test_a_name_that_stands_twice_in_the_data_is_said(small: pd.DataFrame) -> None:
    doubled = pd.concat([small, small[["age"]]], axis=1)
    with pytest.raises(DataFault, match="more than one column 'age'"):
        ask(doubled, covariates=["age"])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: linear("x", per=0), "positive"),
        (lambda: categories("x", quantiles=4, cuts=(1, 2)), "not both"),
        (lambda: categories("x", quantiles=1), "2 or more"),
        (lambda: categories("x", cuts=(2, 1)), "increasing"),
        (lambda: categories("x", quantiles=4, labels=("a",)), "1 labels for 4"),
        (lambda: spline("x", knots=2), "3 to 7"),
        (lambda: spline("x", knots=(1, 1, 2)), "increasing"),
    ],
)
def test_terms_that_contradict_themselves(make: Any, words: str) -> None:
    with pytest.raises(UsageFault, match=words):
        make()
