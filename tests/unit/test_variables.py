"""Derived variables: each operation on a column of every kind of value, missing ones among them."""

from __future__ import annotations

import numpy as np
import pytest

from walkrisk.cohorts.variables import (
    AllOf,
    AnyOf,
    AtLeast,
    Coalesce,
    Copy,
    Difference,
    EventBy,
    Fill,
    Gated,
    Ratio,
    Recode,
    Sum,
    apply,
    derive,
    sources_of,
)

NA = np.nan


def check(derivation: object, columns: dict[str, list[float]], expected: list[float]) -> None:
    arrays = {name: np.array(values, dtype=float) for name, values in columns.items()}
    before = {name: values.copy() for name, values in arrays.items()}
    np.testing.assert_array_equal(apply(derivation, arrays), expected)
    for name, values in before.items():
        np.testing.assert_array_equal(arrays[name], values, err_msg=f"{name} was changed")


def test_gated_item() -> None:
    """Gate no and item yes counts as yes; the gate missing makes it missing whatever the item says."""
    check(
        Gated(op="gated", gate="gate", item="item"),
        {
            "gate": [1, 1, 1, 0, 0, 0, NA, NA, NA],
            "item": [1, 0, NA, 1, 0, NA, 1, 0, NA],
        },
        [1, 0, 0, 1, 0, 0, NA, NA, NA],
    )


def test_any_of_one_yes_beats_missing_and_missing_beats_no() -> None:
    check(
        AnyOf(op="any_of", sources=("a", "b")),
        {"a": [1, 1, 0, 0, NA], "b": [NA, 0, NA, 0, NA]},
        [1, 1, NA, 0, NA],
    )


def test_all_of_missing_counts_as_no_unless_known_if_is_missing() -> None:
    columns: dict[str, list[float]] = {"a": [1, 1, 1, 0, NA], "b": [1, NA, 0, 1, 1], "gate": [1, 1, NA, 0, NA]}
    check(AllOf(op="all_of", sources=("a", "b")), columns, [1, 0, 0, 0, 0])
    check(AllOf(op="all_of", sources=("a", "b"), known_if="gate"), columns, [1, 0, NA, 0, NA])


def test_coalesce_takes_the_first_known() -> None:
    check(
        Coalesce(op="coalesce", sources=("a", "b", "c")),
        {"a": [1, NA, NA, NA], "b": [2, 2, NA, NA], "c": [3, 3, 3, NA]},
        [1, 2, 3, NA],
    )


def test_event_by_a_horizon() -> None:
    """Died at 60 exactly counts; censored at 60 was followed up to it; censored earlier is unknown."""
    check(
        EventBy(op="event_by", event="died", time="months", horizon=60),
        {
            "died": [1, 1, 1, 0, 0, 0, NA, 1, NA],
            "months": [59, 60, 61, 61, 60, 59, 70, NA, 10],
        },
        [1, 1, 0, 0, 0, NA, NA, NA, NA],
    )


def test_recode_drops_or_keeps_what_the_map_does_not_name() -> None:
    columns: dict[str, list[float]] = {"code": [0, 1, 2, 3, NA]}
    check(Recode(op="recode", source="code", map={1: 0, 0: 1}), columns, [1, 0, NA, NA, NA])
    check(Recode(op="recode", source="code", map={1: 0, 0: 1}, otherwise="keep"), columns, [1, 0, 2, 3, NA])


def test_at_least_includes_its_threshold() -> None:
    check(AtLeast(op="at_least", source="age", threshold=65), {"age": [64.9, 65, 66, NA]}, [0, 1, 1, NA])


def test_sum_and_difference_are_missing_where_a_part_is() -> None:
    columns: dict[str, list[float]] = {"a": [1, NA, 365], "b": [2, 2, 0]}
    check(Sum(op="sum", sources=("a", "b")), columns, [3, NA, 365])
    check(Difference(op="difference", source="a", minus="b", divide_by=365), columns, [-1 / 365, NA, 1])


def test_fill_puts_its_value_only_where_missing_and_where_it_applies() -> None:
    check(
        Fill(op="fill", source="work", value=0, where="idle", equals=1),
        {"work": [2, NA, NA, 3, NA], "idle": [1, 1, 0, 0, NA]},
        [2, 0, NA, 3, NA],
    )


def test_copy_and_its_factor() -> None:
    check(Copy(op="copy", source="a"), {"a": [1, NA]}, [1, NA])
    check(Copy(op="copy", source="a", multiply=0.5), {"a": [1, NA]}, [0.5, NA])


def test_a_copy_is_an_array_of_its_own() -> None:
    columns = {"a": np.array([1.0])}
    assert apply(Copy(op="copy", source="a"), columns) is not columns["a"]


def test_later_variables_see_earlier_ones() -> None:
    derivations = {
        "b": Copy(op="copy", source="a", multiply=2.0),
        "c": Sum(op="sum", sources=("a", "b")),
        "r": Ratio(op="ratio_of_means", weights={"b": 3.0}, total="a"),
    }
    got = derive({"a": np.array([1.0, 2.0])}, derivations)
    np.testing.assert_array_equal(got["c"], [3, 6])
    np.testing.assert_array_equal(got["r"], [6, 6])


@pytest.mark.parametrize(
    ("derivation", "sources"),
    [
        (AllOf(op="all_of", sources=("a", "b"), known_if="g"), ("a", "b", "g")),
        (Gated(op="gated", gate="g", item="i"), ("g", "i")),
        (Difference(op="difference", source="a", minus="b"), ("a", "b")),
        (Ratio(op="ratio_of_means", weights={"a": 1.0, "b": 2.0}, total="t"), ("a", "b", "t")),
        (Fill(op="fill", source="a", value=0, where="w", equals=1), ("a", "w")),
        (EventBy(op="event_by", event="e", time="t", horizon=1), ("e", "t")),
        (Coalesce(op="coalesce", sources=("a", "b")), ("a", "b")),
        (Copy(op="copy", source="a"), ("a",)),
    ],
)
def test_every_source_of_a_derivation_is_named(derivation: object, sources: tuple[str, ...]) -> None:
    assert sources_of(derivation) == sources  # type: ignore[arg-type]
