"""What comes back from the doors: frames with fixed types, and tables to read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from walkrisk import Estimates, WalkriskWarning, categories, example_cohort, risk_ratios
from walkrisk.estimates.rows import COLUMNS


@pytest.fixture(scope="module")
def made() -> Estimates:
    data = example_cohort(300)
    data["group"] = np.where(data["smoking"] == "never", "a <b>", "c & d")
    data.loc[data["group"] == "c & d", "event"] = 0
    with pytest.warns(WalkriskWarning, match="no"):
        return risk_ratios(data, outcome="event", exposure="group", covariates=["age"], method="modified_poisson")


def test_the_frame_has_one_type_a_column_whatever_is_missing(made: Estimates) -> None:
    frame = made.to_frame()
    assert list(frame.columns) == list(COLUMNS)
    for name in ("estimate", "std_error", "conf_low", "conf_high", "p_value"):
        assert frame[name].dtype == np.float64
    assert frame["n"].dtype == frame["events"].dtype == pd.Int64Dtype()
    assert frame["estimate"].isna().tolist() == [False, True]


def test_the_table_to_read_and_its_html_say_the_same(made: Estimates) -> None:
    text, html = str(made), made._repr_html_()
    assert "not estimable" in text
    assert "not estimable" in html
    assert "a &lt;b&gt;" in html
    assert "<b>" not in html
    assert all(sentence in text for sentence in made.warnings)


def test_a_row_is_found_by_what_it_is(made: Estimates) -> None:
    assert made.row("risk_ratio").level == "a <b>"
    assert made.row("risk_ratio", "c & d").estimate is None
    with pytest.raises(KeyError, match="no risk_difference row"):
        made.row("risk_difference")


def test_warnings_are_raised_once_each_and_kept() -> None:
    data = example_cohort(300)
    data.loc[:9, "age"] = np.nan
    with pytest.warns(WalkriskWarning) as caught:
        found = risk_ratios(data, outcome="event", exposure=categories("sex"), covariates=["age"])
    assert sorted(str(w.message) for w in caught) == sorted(found.warnings)
    assert "10 of 300 rows" in found.warnings[0]
    assert {w.filename for w in caught} == {__file__}, "the line of the caller is named"
