"""Exclusions: every condition, what becomes of missing values, and the counts of the flow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from walkrisk.cohorts.cohort import Variable
from walkrisk.cohorts.eligibility import Condition, Exclusion, FlowStep, apply_exclusions, eligible, holds
from walkrisk.cohorts.prepare import prepare_cohort
from walkrisk.cohorts.variables import AtLeast

NA = np.nan
X = {"x": np.array([1.0, 2.0, 3.0, NA])}


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"equals": 2}, [False, True, False]),
        ({"equals": 0}, [False, False, False]),
        ({"not_equals": 2}, [True, False, True]),
        ({"one_of": (1, 3)}, [True, False, True]),
        ({"at_least": 2}, [False, True, True]),
        ({"above": 2}, [False, False, True]),
        ({"at_most": 2}, [True, True, False]),
        ({"below": 2}, [True, False, False]),
        ({"at_least": 2, "below": 3}, [False, True, False]),
        ({}, [True, True, True]),
    ],
)
@pytest.mark.parametrize("missing", ["exclude", "keep"])
def test_conditions_and_missing_values(limits: dict[str, Any], expected: list[bool], missing: Any) -> None:
    condition = Condition(variable="x", missing=missing, **limits)
    assert holds(condition, X).tolist() == [*expected, missing == "keep"]


def test_a_limit_of_zero_is_a_limit() -> None:
    columns = {"x": np.array([-1.0, 0.0, 1.0])}
    assert holds(Condition(variable="x", above=0), columns).tolist() == [False, False, True]
    assert holds(Condition(variable="x", equals=0), columns).tolist() == [False, True, False]


def test_a_step_needs_all_its_conditions_and_all_its_known_variables() -> None:
    columns = {"x": np.array([1.0, 1, 1, 2]), "y": np.array([5.0, NA, 5, 5]), "z": np.array([0.0, 0, NA, 0])}
    step = Exclusion(id="s", reason="", require=(Condition(variable="x", equals=1),), known=("y", "z"))
    assert eligible(step, columns).tolist() == [True, False, False, False]


def test_the_flow_counts_each_person_once_at_the_first_step_they_fail() -> None:
    columns = {"days": np.array([0.0, 3, 3, 3, 0]), "pain": np.array([NA, NA, 0, 1, 1])}
    steps = (
        Exclusion(id="day", reason="No day", require=(Condition(variable="days", above=0),)),
        Exclusion(id="known", reason="Unknown", known=("pain",)),
        Exclusion(id="free", reason="Pain", require=(Condition(variable="pain", not_equals=1),)),
    )
    keep, flow = apply_exclusions(steps, columns, 5)
    assert keep.tolist() == [False, False, True, False, False]
    assert flow == (
        FlowStep("day", "No day", 5, 2, 3),
        FlowStep("known", "Unknown", 3, 1, 2),
        FlowStep("free", "Pain", 2, 1, 1),
    )


def test_a_cohort_keeps_everyone_beside_those_analysed() -> None:
    columns = {"age": np.array([64.0, 65, NA, 80]), "ok": np.array([1.0, 1, 1, 0])}
    step = Exclusion(id="ok", reason="", require=(Condition(variable="ok", equals=1),), known=("old",))
    cohort = prepare_cohort(
        columns,
        days=None,
        derivations={
            "old": AtLeast(op="at_least", source="age", threshold=65, label="Old", levels={0: "No", 1: "Yes"})
        },
        exclusions=(step,),
        source_variables={"age": Variable("age", "Age", "years")},
    )
    assert (cohort.n_all, cohort.n) == (4, 2)
    np.testing.assert_array_equal(cohort.everyone["old"], [0, 1, NA, 1])
    np.testing.assert_array_equal(cohort.analytic("age"), [64, 65])
    assert cohort.step_alone["ok"].tolist() == [True, True, False, False]
    assert cohort.variables["old"] == Variable("old", "Old", "", {0: "No", 1: "Yes"}, 1)
    assert cohort.variables["age"].unit == "years"


def test_without_exclusions_everyone_is_analysed() -> None:
    cohort = prepare_cohort({"a": np.array([NA, 1.0])}, days=None, derivations={}, exclusions=(), source_variables={})
    assert cohort.n == 2
    assert cohort.flow == ()
