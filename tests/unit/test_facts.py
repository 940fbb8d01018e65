"""Sentences whose numbers are tied to rows."""

from __future__ import annotations

import pytest

from walkrisk.accounts.facts import count_of, number_of, ratio_of, rounded, sentence, setting, words
from walkrisk.estimates.numbers import Rounding
from walkrisk.estimates.rows import Estimate

ROW = Estimate(
    analysis="mi",
    estimand="risk_ratio",
    n=2800,
    events=4,
    estimate=0.7649,
    conf_low=0.671,
    conf_high=0.8749,
    p_value=0.0004,
)


def test_a_sentence_prints_its_facts_and_knows_where_they_are_from() -> None:
    made = sentence(
        "{level}: {rr} in {m} sets, P {p}.",
        level=words("Q4"),
        rr=ratio_of(ROW),
        m=setting(20),
        p=number_of(ROW, "p_value", "p"),
    )
    assert made.text == "Q4: 0.76 (0.67-0.87) in 20 sets, P < .001."
    assert made.facts["rr"].row is ROW
    assert made.facts["p"].column == "p_value"


def test_a_sentence_in_other_decimals() -> None:
    made = sentence(
        "{level}: {rr} in {m} sets, {n} people, {share}, P {p}.",
        level=words("Q4 (>2.50)"),
        rr=ratio_of(ROW),
        m=setting(20),
        n=number_of(ROW, "n", "count"),
        share=number_of(ROW, "estimate", "percent1"),
        p=number_of(ROW, "p_value", "p"),
    )
    assert rounded(made, Rounding()) is made
    coarse = rounded(made, Rounding(ratios=1, percentages=0, p_values="leading_zero"))
    assert coarse.text == "Q4 (>2.50): 0.8 (0.7-0.9) in 20 sets, 2800 people, 76%, P < 0.001."
    assert coarse.facts["rr"].row is ROW


def test_a_sentence_begins_with_a_capital() -> None:
    assert sentence("of {n} people.", n=number_of(ROW, "n", "count")).text == "Of 2800 people."


@pytest.mark.parametrize("template", ["In 20 sets {rr}.", "No place for it."])
def test_a_number_in_the_template_or_a_fact_left_over_is_an_error(template: str) -> None:
    with pytest.raises(ValueError, match=r"number stands|differ"):
        sentence(template, rr=ratio_of(ROW))


def test_small_counts_are_not_said() -> None:
    assert count_of(ROW, "events", 5).text == "fewer than 5"
    assert count_of(ROW, "events", 0).text == "4"
    assert count_of(ROW, "n", 5).text == "2800"


@pytest.mark.parametrize(
    ("column", "form", "text"),
    [
        ("estimate", "fixed3", "0.765"),
        ("estimate", "percent1", "76.5%"),
        ("estimate", "ratio", "0.76"),
        ("n", "count", "2800"),
    ],
)
def test_forms(column: str, form: str, text: str) -> None:
    assert number_of(ROW, column, form).text == text  # type: ignore[arg-type]
