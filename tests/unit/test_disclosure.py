"""Small counts stay hidden: a reader who knows every total and every rule cannot work one out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from walkrisk.cohorts.eligibility import FlowStep
from walkrisk.estimates.disclosure import (
    UNKNOWN,
    characteristic_marks,
    merge_small_steps,
    min_cell_faults,
    ratio_marks,
    shown_count,
    suppression_note,
)
from walkrisk.estimates.results import Characteristic
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.suppression import Sum, hidden_cells

Cell = tuple[int, int]


def margins(inside: Sequence[Sequence[int]]) -> tuple[dict[Cell, int], list[Sum[Cell]]]:
    """A table with its totals in the last row and column, and every sum a reader can form."""
    rows, columns = len(inside), len(inside[0])
    full = [[*row, sum(row)] for row in inside]
    full.append([sum(row[j] for row in full) for j in range(columns + 1)])
    values = {(i, j): full[i][j] for i in range(rows + 1) for j in range(columns + 1)}
    sums = [Sum((i, columns), tuple((i, j) for j in range(columns))) for i in range(rows + 1)]
    sums += [Sum((rows, j), tuple((i, j) for i in range(rows))) for j in range(columns + 1)]
    return values, sums


def tables_like(
    values: Mapping[Cell, int], hidden: Mapping[Cell, str], shape: Cell, min_cell: int, largest: int
) -> Iterator[dict[Cell, int]]:
    """Every table of whole numbers that a reader must think possible, by trying all (brute force)."""
    rows, columns = shape
    inside = [(i, j) for i in range(rows) for j in range(columns)]
    asked = [c for c in inside if c in hidden]
    ranges = [
        range(1, min_cell)
        if hidden[c] == "small"
        else range(min_cell, largest)
        if values[c] >= min_cell
        else range(largest)
        for c in asked
    ]
    for guess in product(*ranges):
        tried = dict(values) | dict(zip(asked, guess, strict=True))
        made, _ = margins([[tried[i, j] for j in range(columns)] for i in range(rows)])
        outside = [c for c in values if c not in inside]
        if all(made[c] == values[c] for c in outside if c not in hidden) and all(
            1 <= made[c] < min_cell for c in outside if hidden.get(c) == "small"
        ):
            yield made


small_tables = st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3), min_size=2, max_size=2)


@settings(max_examples=30, deadline=None)
@given(small_tables, st.integers(3, 4))
def test_no_small_cell_can_be_worked_out_from_the_totals(inside: list[list[int]], min_cell: int) -> None:
    values, sums = margins(inside)
    cost = {c: (2 if c[0] == 2 or c[1] == 3 else 1) for c in values}
    hidden = hidden_cells(values, sums, min_cell=min_cell, cost=cost)
    small = {c for c, v in values.items() if 1 <= v < min_cell}
    assert small <= hidden.keys()
    seen: dict[Cell, set[int]] = {c: set() for c in small}
    for guess in tables_like(values, hidden, (2, 3), min_cell, 10):
        for c in small:
            seen[c].add(guess[c])
        if all(len(v) > 1 for v in seen.values()):
            return
    assert not {c: v for c, v in seen.items() if len(v) < 2}


def test_one_small_cell_takes_a_rectangle_with_it() -> None:
    values, sums = margins([[3, 20, 30], [40, 50, 60], [70, 80, 90]])
    cost = {c: (2 if 3 in c else 1) for c in values}
    hidden = hidden_cells(values, sums, min_cell=5, cost=cost)
    assert (0, 0) in hidden
    assert all(sum(c in hidden for c in s.cells) != 1 for s in sums), "a line with one hidden cell gives it away"
    assert len(hidden) == 4, "no more than needed is hidden"
    assert not any(3 in c for c in hidden), "totals stay"


def test_nothing_is_hidden_without_small_cells_or_with_the_rule_off() -> None:
    values, sums = margins([[0, 20], [5, 30]])
    cost = dict.fromkeys(values, 1)
    assert hidden_cells(values, sums, min_cell=5, cost=cost) == {}
    values, sums = margins([[1, 2], [3, 4]])
    assert hidden_cells(values, sums, min_cell=0, cost=cost) == {}


def test_two_small_cells_that_add_up_to_two_are_not_enough() -> None:
    values = {"a": 1, "b": 1, "c": 9, "t": 11}
    sums = [Sum("t", ("a", "b", "c"))]
    assert hidden_cells(values, sums, min_cell=5, cost={"a": 1, "b": 1, "c": 1}).keys() == {"a", "b", "c"}


# ---------------------------------------------------------------- flow and histogram


def step(name: str, before: int, excluded: int) -> FlowStep:
    return FlowStep(name, name.upper(), before, excluded, before - excluded)


def test_a_small_step_is_merged_with_the_next_and_the_last_with_the_one_before() -> None:
    flow = (step("a", 100, 3), step("b", 97, 20), step("c", 77, 0), step("d", 77, 2))
    assert merge_small_steps(flow[:3], min_cell=5) == (FlowStep("a+b", "A; B", 100, 23, 77), flow[2])
    assert merge_small_steps(flow, min_cell=5) == (FlowStep("a+b+c+d", "A; B; C; D", 100, 25, 75),)
    assert merge_small_steps(flow, min_cell=0) == flow
    assert merge_small_steps((step("a", 100, 3),), min_cell=5) == ()


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(3, 6))
def test_merged_steps_keep_the_people(excluded: list[int], min_cell: int) -> None:
    flow, n = [], 100
    for i, x in enumerate(excluded):
        flow.append(step(f"s{i}", n, x))
        n -= x
    merged = merge_small_steps(flow, min_cell=min_cell)
    assert all(not 1 <= s.n_excluded < min_cell and s.n_before - s.n_excluded == s.n_after for s in merged)
    assert sum(s.n_excluded for s in merged) == (sum(excluded) if merged else sum(s.n_excluded for s in merged))
    assert all(a.n_after == b.n_before for a, b in pairwise(merged))


# ---------------------------------------------------------------- ratio tables


def ratios(
    counts: Mapping[str, tuple[int, int]], *, analysis: str = "main", exposure: str = "dose", stratum: str = ""
) -> list[Estimate]:
    return [
        Estimate(
            analysis=analysis, exposure=exposure, stratum=stratum, level=level, reference=next(iter(counts)),
            model="m", estimand="risk_ratio", n=n, events=events, estimate=1.0, variance="HC0",
        )
        for level, (n, events) in counts.items()
    ]  # fmt: skip


def test_few_events_hide_another_category_but_no_group_size() -> None:
    rows = ratios({"Q1": (100, 30), "Q2": (100, 3), "Q3": (100, 20), "Q4": (100, 25)})
    assert ratio_marks(rows, min_cell=5) == {
        ("main", "dose", "", "Q2", "events"): "small",
        ("main", "dose", "", "Q3", "events"): "hidden",
    }
    assert ratio_marks(rows, min_cell=0) == {}


def test_few_people_without_the_event_are_as_small_a_cell() -> None:
    rows = ratios({"Q1": (100, 97), "Q2": (100, 50), "Q3": (100, 60)})
    marks = ratio_marks(rows, min_cell=5)
    assert marks["main", "dose", "", "Q1", "events"] == "hidden"
    assert len(marks) == 2


def test_a_stratum_cannot_be_had_from_the_whole_and_the_other_stratum() -> None:
    women, men = {"Q1": (60, 20), "Q2": (60, 3)}, {"Q1": (40, 10), "Q2": (40, 12)}
    whole = {level: (women[level][0] + men[level][0], women[level][1] + men[level][1]) for level in women}
    rows = [
        *ratios(whole),
        *ratios(women, analysis="by_sex", stratum="women"),
        *ratios(men, analysis="by_sex", stratum="men"),
    ]
    marks = ratio_marks(rows, min_cell=5)
    assert marks["by_sex", "dose", "women", "Q2", "events"] == "small"
    hidden = {c[0:4] for c in marks if c[3] == "Q2" and c[4] == "events"}
    assert len(hidden) > 1, "women = whole - men"


def test_the_same_block_in_two_analyses_is_hidden_alike() -> None:
    counts = {"Q1": (100, 30), "Q2": (100, 3), "Q3": (100, 20), "Q4": (100, 20)}
    marks = ratio_marks([*ratios(counts), *ratios(counts, analysis="mutual")], min_cell=5)
    by_analysis = {a: {c[1:] for c in marks if c[0] == a} for a in ("main", "mutual")}
    assert by_analysis["main"] == by_analysis["mutual"]


def test_joint_groups_are_tied_to_their_margins() -> None:
    joint = {"Q1/Q1": (50, 20), "Q1/Q2": (50, 3), "Q2/Q1": (50, 15), "Q2/Q2": (50, 16)}
    first, second = {"Q1": (100, 23), "Q2": (100, 31)}, {"Q1": (100, 35), "Q2": (100, 19)}
    rows = [*ratios(joint, exposure="both"), *ratios(first, exposure="a"), *ratios(second, exposure="b")]
    marks = ratio_marks(rows, min_cell=5)
    assert {c[3] for c in marks if c[1] == "both"} == set(joint), "all four must go where all margins are shown"


# ---------------------------------------------------------------- descriptive tables


def described(
    table: str, groups: Mapping[str, Mapping[str, Sequence[int]]], sizes: Mapping[str, int]
) -> list[Characteristic]:
    """Groups -> variable -> counts of levels 0, 1, ...; who is in no level is unknown."""
    rows = []
    for group, variables in groups.items():
        size = sizes[group]

        def add(variable: str, level: str, statistic: str, value: float, known: int, group: str = group) -> None:
            rows.append(
                Characteristic(
                    table=table, variable=variable, level=level, group=group, statistic=statistic,
                    value=value, known=known,
                )
            )  # fmt: skip

        add("", "", "n", size, size)
        for variable, counts in variables.items():
            known = sum(counts)
            for code, n in enumerate(counts):
                add(variable, str(code), "count", n, known)
                add(variable, str(code), "percent", 100 * n / known, known)
    return rows


def attack(rows: Sequence[Characteristic], marks: Mapping[tuple[str, str, str, str], str]) -> None:
    """No line of the printed table has exactly one hidden cell."""
    groups = list(dict.fromkeys(r.group for r in rows))
    table = rows[0].table
    sizes = {r.group: r.known for r in rows if r.statistic == "n"}
    for variable in dict.fromkeys(r.variable for r in rows if r.variable):
        levels = [*dict.fromkeys(r.level for r in rows if r.variable == variable), UNKNOWN]
        for group in groups:
            gone = [(table, group, variable, x) in marks for x in levels] + [(table, group, "", "") in marks]
            assert sum(gone) != 1, f"{variable} adds up to the size of {group} ({sizes[group]})"
        for level in levels:
            gone = [(table, g, variable, level) in marks for g in groups]
            assert sum(gone) != 1, f"{variable} {level} adds up over the groups"


def test_a_small_unknown_is_not_given_back_by_the_other_group_or_the_levels() -> None:
    rows = described(
        "t",
        {"No": {"work": (767, 422)}, "Yes": {"work": (19442, 10213)}, "Total": {"work": (20209, 10635)}},
        {"No": 1192, "Yes": 29808, "Total": 31000},
    )
    marks = characteristic_marks(rows, min_cell=5)
    assert marks["t", "No", "work", UNKNOWN] == "small"
    attack(rows, marks)
    assert not any(c[1] == "Total" for c in marks)


counts_of_two = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12)), min_size=3, max_size=3)


@settings(max_examples=30, deadline=None)
@given(counts_of_two)
def test_no_line_of_a_descriptive_table_has_a_single_hidden_cell(cells: list[tuple[int, int, int]]) -> None:
    names = ("A", "B", "C")
    groups = {g: {"v": (a, b)} for g, (a, b, _) in zip(names, cells, strict=True)}
    sizes = {g: sum(c) for g, c in zip(names, cells, strict=True)}
    groups["Total"] = {"v": (sum(c[0] for c in cells), sum(c[1] for c in cells))}
    sizes["Total"] = sum(sizes.values())
    if any(sum(v["v"]) == 0 for v in groups.values()):
        return
    rows = described("t", groups, sizes)
    marks = characteristic_marks(rows, min_cell=4)
    small = {c for c, m in marks.items() if m == "small"}
    if small:
        attack(rows, marks)


def test_a_small_group_shows_nothing() -> None:
    rows = described(
        "t",
        {"A": {"v": (3, 0)}, "B": {"v": (40, 50)}, "C": {"v": (30, 20)}, "Total": {"v": (73, 70)}},
        {"A": 3, "B": 90, "C": 50, "Total": 143},
    )
    marks = characteristic_marks(rows, min_cell=5)
    assert {c for c in marks if c[1] == "A"} == {
        ("t", "A", "", ""), ("t", "A", "v", "0"), ("t", "A", "v", "1"), ("t", "A", "v", UNKNOWN)
    }  # fmt: skip
    attack(rows, marks)


def test_the_same_people_are_hidden_alike_in_two_tables() -> None:
    total = {"v": (60, 40)}
    one = described(
        "one", {"A": {"v": (3, 20)}, "B": {"v": (57, 20)}, "Total": total}, {"A": 23, "B": 77, "Total": 100}
    )
    two = described(
        "two", {"X": {"v": (30, 20)}, "Y": {"v": (30, 20)}, "Total": total}, {"X": 50, "Y": 50, "Total": 100}
    )
    marks = characteristic_marks([*one, *two], min_cell=5)
    assert {c[1:] for c in marks if c[1] == "Total"} == set()
    assert ("one", "A", "v", "0") in marks
    assert not any(c[0] == "two" for c in marks)


# ---------------------------------------------------------------- words


def test_what_is_printed_for_a_hidden_count() -> None:
    assert shown_count("12", None, 5) == "12"
    assert shown_count("3", "small", 5) == "<5"
    assert shown_count("12", "hidden", 5) == "NR"
    assert suppression_note(5, []) == ""
    assert suppression_note(5, ["small"]) == "Counts from 1 to 4 are shown as <5."
    assert "NR" in suppression_note(5, ["small", "hidden"])


@pytest.mark.parametrize(("min_cell", "fine"), [(0, True), (1, True), (2, False), (3, True), (5, True), (-1, False)])
def test_a_limit_that_would_give_the_count_away_is_refused(min_cell: int, fine: bool) -> None:
    assert (min_cell_faults(min_cell) == []) is fine
