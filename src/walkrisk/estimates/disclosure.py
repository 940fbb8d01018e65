"""Small counts kept out of tables, figures and report.

A count of 1..min_cell - 1 is shown as "<min_cell"; others are not reported where a sum, or nearly the same people
elsewhere, would give it away; steps of the participant flow and bins of a histogram are merged. `min_cell` 0 turns it
off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from walkrisk.cohorts.eligibility import FlowStep
from walkrisk.estimates.marking import count_marks
from walkrisk.estimates.results import Characteristic
from walkrisk.estimates.rows import Estimate
from walkrisk.estimates.suppression import Mark as Mark
from walkrisk.estimates.suppression import is_small
from walkrisk.estimates.withheld import NOT_REPORTED as NOT_REPORTED
from walkrisk.estimates.withheld import RATIOS as RATIOS
from walkrisk.estimates.withheld import UNKNOWN as UNKNOWN
from walkrisk.estimates.withheld import CharacteristicCell as CharacteristicCell
from walkrisk.estimates.withheld import RatioCell as RatioCell


def min_cell_faults(min_cell: int) -> list[str]:
    """What is wrong with a `min_cell`, as sentences."""
    if min_cell < 0 or min_cell == 2:
        return [
            f"min_cell: must be 0 (nothing is suppressed) or at least 3, got {min_cell}; below 3 the sign for a small "
            "count would itself say the count."
        ]
    return []


def round_counts_faults(base: int, min_cell: int) -> list[str]:
    """What is wrong with a base of rounding beside a `min_cell`, as sentences."""
    if base < 0 or base in (1, 2):
        return [f"round_counts: must be 0 (counts stay exact) or at least 3, got {base}; 5 is usual."]
    if 0 < base < min_cell and min_cell % base:
        return [
            f"round_counts: counts that are shown would be rounded to less than min_cell ({min_cell}); take {min_cell} "
            f"or more, or a number that divides it, got {base}."
        ]
    return []


def shown_count(text: str, mark: Mark | None, min_cell: int) -> str:
    """What is printed for a count: `text`, "<min_cell", or NR (not reported)."""
    return text if mark is None else f"<{min_cell}" if mark == "small" else NOT_REPORTED


def suppression_note(min_cell: int, marks: Iterable[Mark]) -> str:
    """The footnote of a table with these marks; empty without any."""
    found = set(marks)
    if not found:
        return ""
    small = f"Counts from 1 to {min_cell - 1} are shown as <{min_cell}"
    rest = (
        f"; {NOT_REPORTED} (not reported) hides what would let one of them be worked out" if "hidden" in found else ""
    )
    return f"{small}{rest}."


# ---------------------------------------------------------------- participant flow and histograms


def merge_small_steps(flow: Sequence[FlowStep], *, min_cell: int) -> tuple[FlowStep, ...]:
    """The flow with steps that exclude 1..min_cell - 1 people merged with the next one, the last with the one before.

    Ids are joined with "+", reasons with "; ". Empty if all steps together exclude so few.
    """
    steps = list(flow)
    while True:
        at = next((i for i, s in enumerate(steps) if is_small(s.n_excluded, min_cell)), None)
        if at is None:
            return tuple(steps)
        if len(steps) == 1:
            return ()
        first = at if at + 1 < len(steps) else at - 1
        steps[first : first + 2] = [_joined(steps[first], steps[first + 1])]


def has_merged_steps(flow: Iterable[FlowStep]) -> bool:
    """Whether steps of a flow were merged."""
    return any("+" in s.step for s in flow)


def _joined(a: FlowStep, b: FlowStep) -> FlowStep:
    return FlowStep(f"{a.step}+{b.step}", f"{a.reason}; {b.reason}", a.n_before, a.n_excluded + b.n_excluded, b.n_after)


# ---------------------------------------------------------------- counts of tables


def ratio_marks(estimates: Sequence[Estimate], *, min_cell: int) -> dict[RatioCell, Mark]:
    """Which counts of the categories of ratio analyses are not shown, looked at alone."""
    marks = count_marks(estimates, (), min_cell=min_cell).ratio
    return {cell: mark for cell, mark in marks.items() if cell[3]}


def characteristic_marks(rows: Sequence[Characteristic], *, min_cell: int) -> dict[CharacteristicCell, Mark]:
    """Which counts of descriptive tables are not shown, looked at alone; give it every descriptive table of the run."""
    return dict(count_marks((), rows, min_cell=min_cell).characteristic)
