"""Descriptive cells by hand."""

from __future__ import annotations

import numpy as np

from walkrisk.cohorts.cohort import Variable
from walkrisk.estimates.characteristics import describe, histogram

NA = np.nan
COLUMNS = {"age": np.array([40.0, 50, 60, NA, 30]), "sex": np.array([0.0, 1, 1, 1, NA])}
AGE, SEX = Variable("age", "Age"), Variable("sex", "Sex", levels={0: "Female", 1: "Male", 2: "Other"})
GROUPS = {
    "a": np.array([True, True, False, True, False]),
    "none": np.zeros(5, dtype=bool),
    "one": np.array([False, False, False, False, True]),
}


def cells() -> dict[tuple[str, str, str, str], tuple[float | None, int]]:
    rows = describe("t", COLUMNS, [AGE, SEX], GROUPS)
    return {(r.group, r.variable, r.level, r.statistic): (r.value, r.known) for r in rows}


def test_means_and_shares_are_among_the_known() -> None:
    got = cells()
    assert got["a", "", "", "n"] == (3.0, 3)
    assert got["a", "age", "", "mean"] == (45.0, 2)
    assert got["a", "age", "", "sd"] == (np.sqrt(50.0), 2)  # n - 1
    assert got["a", "sex", "0", "count"] == (1.0, 3)
    assert got["a", "sex", "1", "percent"] == (200 / 3, 3)
    assert got["a", "sex", "2", "count"] == (0.0, 3)


def test_what_cannot_be_computed_is_none() -> None:
    got = cells()
    assert got["none", "", "", "n"] == (0.0, 0)
    assert got["none", "age", "", "mean"] == (None, 0)
    assert got["none", "sex", "1", "percent"] == (None, 0)
    assert got["none", "sex", "1", "count"] == (0.0, 0)
    assert got["one", "age", "", "sd"] == (None, 1)
    assert got["one", "age", "", "mean"] == (30.0, 1)


def test_a_histogram_holds_everyone_known_once() -> None:
    bins = histogram("e", np.array([0.0, 1, 1, 2, NA, 4]), bins=4)
    assert [(b.low, b.high, b.n) for b in bins] == [(0, 1, 1), (1, 2, 2), (2, 3, 1), (3, 4, 1)]
    assert histogram("e", np.array([NA])) == []
